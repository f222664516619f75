/* SPDX-License-Identifier: MIT */
/*
 * schema.c - what the format's schema says of the manifest (doc/format.md, 3), as a table.
 *
 * It speaks of what is set, never of what is read.  Members that the tables don't name are free.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "json.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef enum kind {
    KIND_FREE = 0,
    KIND_STRING,
    KIND_DATE,
    KIND_BOOLEAN,
    KIND_INTEGER,
    KIND_NUMBER,
    KIND_ARRAY,
    KIND_OBJECT
} kind;

typedef enum minimum { ANY = 0, AT_LEAST_0, AT_LEAST_1 } minimum;

/* When an object's required members have to be there. */
typedef enum strictness { WHEN_COMPLETE = 0, ALWAYS, NEVER } strictness;

typedef struct schema {
    const char *name;
    kind kind;
    minimum least;
    strictness wanted;
    bool required;
    bool advisory;                /* a further key of ours: tells what typed text becomes, and refuses nothing */
    const struct schema *members; /* of an object; the last has no name */
    const struct schema *element; /* of an array */
} schema;

static const schema free_rule = {.kind = KIND_FREE};
static const schema string_rule = {.kind = KIND_STRING};

static const schema gpu_rules[] = {
    {.name = "name", .kind = KIND_STRING, .required = true},
    {.name = "memory_gb", .kind = KIND_NUMBER},
    {.name = "driver", .kind = KIND_STRING},
    {.name = "cuda_version", .kind = KIND_STRING},
    {0},
};

static const schema gpu_rule = {.kind = KIND_OBJECT, .members = gpu_rules, .wanted = ALWAYS};

static const schema hardware_rules[] = {
    {.name = "os", .kind = KIND_STRING, .required = true},
    {.name = "machine_name", .kind = KIND_STRING},
    {.name = "cpu", .kind = KIND_STRING},
    {.name = "framework", .kind = KIND_STRING},
    {.name = "compute_lib", .kind = KIND_STRING},
    {.name = "cpu_cores", .kind = KIND_INTEGER, .least = AT_LEAST_1},
    {.name = "ram_gb", .kind = KIND_NUMBER, .least = AT_LEAST_0},
    {.name = "gpu", .kind = KIND_ARRAY, .element = &gpu_rule},
    {0},
};

static const schema settings_rules[] = {
    {.name = "seed", .kind = KIND_INTEGER, .least = AT_LEAST_0, .required = true},
    {.name = "steps", .kind = KIND_INTEGER, .least = AT_LEAST_1, .required = true},
    {.name = "sampler", .kind = KIND_STRING, .required = true},
    {.name = "cfg_scale", .kind = KIND_NUMBER, .least = AT_LEAST_0},
    {.name = "eta", .kind = KIND_NUMBER, .least = AT_LEAST_0},
    {.name = "scheduler", .kind = KIND_STRING},
    {.name = "guidance", .kind = KIND_STRING},
    {.name = "precision", .kind = KIND_STRING},
    {.name = "deterministic", .kind = KIND_BOOLEAN},
    {.name = "negative_prompt", .kind = KIND_STRING, .advisory = true},
    {.name = "model_hash", .kind = KIND_STRING, .advisory = true},
    {.name = "width", .kind = KIND_INTEGER, .advisory = true},
    {.name = "height", .kind = KIND_INTEGER, .advisory = true},
    {0},
};

static const schema model_rules[] = {
    {.name = "model_name", .kind = KIND_STRING, .required = true},
    {.name = "version", .kind = KIND_STRING, .required = true},
    {.name = "date", .kind = KIND_DATE, .required = true},
    {.name = "prompt", .kind = KIND_STRING, .required = true},
    {.name = "tags", .kind = KIND_ARRAY, .required = true, .element = &string_rule},
    {.name = "generation_settings", .kind = KIND_OBJECT, .members = settings_rules},
    {.name = "hardware_info", .kind = KIND_OBJECT, .members = hardware_rules},
    {0},
};

static const schema source_rules[] = {
    {.name = "settings", .kind = KIND_OBJECT, .members = settings_rules, .wanted = NEVER},
    {0},
};

static const schema metadata_rules[] = {
    {.name = "model_info", .kind = KIND_OBJECT, .required = true, .members = model_rules},
    {.name = "source", .kind = KIND_OBJECT, .members = source_rules},
    {0},
};

static const schema metadata_rule = {.kind = KIND_OBJECT, .members = metadata_rules};

static const schema *find_member(const schema *members, const char *name, size_t size)
{
    for (; members && members->name; members++)
        if (strlen(members->name) == size && memcmp(members->name, name, size) == 0)
            return members;
    return &free_rule;
}

/* The rule for a place.  No name of the schema has a character that a pointer escapes. */
static const schema *find_rule(const char *pointer)
{
    const schema *rule = &metadata_rule;

    while (*pointer == '/') {
        size_t size = strcspn(++pointer, "/");
        rule = rule->kind == KIND_OBJECT  ? find_member(rule->members, pointer, size)
               : rule->kind == KIND_ARRAY ? rule->element
                                          : &free_rule;
        pointer += size;
    }
    return rule;
}

static const char *phrase(const schema *rule)
{
    /* TRANSLATORS: each of these stands behind "must be" */
    switch (rule->kind) {
    case KIND_STRING:
        return _("a string");
    case KIND_DATE:
        return _("a date and time with its offset from UTC, in the form 2026-11-21T00:25:23+00:00");
    case KIND_BOOLEAN:
        return _("true or false");
    case KIND_INTEGER:
        return rule->least == ANY          ? _("an integer")
               : rule->least == AT_LEAST_0 ? _("an integer, at least 0")
                                           : _("an integer, at least 1");
    case KIND_NUMBER:
        return rule->least == ANY ? _("a number") : _("a number, at least 0");
    case KIND_ARRAY:
        return rule->element->kind == KIND_STRING ? _("an array of strings") : _("an array of objects");
    case KIND_OBJECT:
        return _("an object");
    default:
        return "";
    }
}

/* ---- scalars ---- */

static bool digits(const char **text, int count, int low, int high, int *value)
{
    *value = 0;
    for (; count > 0; count--, ++*text) {
        if (**text < '0' || **text > '9')
            return false;
        *value = *value * 10 + (**text - '0');
    }
    return *value >= low && *value <= high;
}

static bool literal(const char **text, char c)
{
    return **text == c && ++*text;
}

/* ISO 8601 in its extended form, seconds included, with "Z" or an offset. */
static bool is_date(const char *text)
{
    static const int8_t days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year, month, day, part;

    if (!digits(&text, 4, 0, 9999, &year) || !literal(&text, '-') || !digits(&text, 2, 1, 12, &month) ||
        !literal(&text, '-') || !digits(&text, 2, 1, days[month - 1], &day))
        return false;
    if (month == 2 && day == 29 && (year % 4 != 0 || (year % 100 == 0 && year % 400 != 0)))
        return false;
    if (!literal(&text, 'T') || !digits(&text, 2, 0, 23, &part) || !literal(&text, ':') ||
        !digits(&text, 2, 0, 59, &part) || !literal(&text, ':') || !digits(&text, 2, 0, 60, &part))
        return false;
    if (literal(&text, '.')) {
        size_t fraction = strspn(text, "0123456789");
        if (fraction == 0)
            return false;
        text += fraction;
    }
    if (literal(&text, 'Z'))
        return *text == '\0';
    return (literal(&text, '+') || literal(&text, '-')) && digits(&text, 2, 0, 23, &part) && literal(&text, ':') &&
           digits(&text, 2, 0, 59, &part) && *text == '\0';
}

static bool check_date(const char *text, rf_span value)
{
    rf_bytes decoded = {0};
    char date[48];
    size_t size = value.end - value.start - 2;

    if (rf_json_type(text, value) != RAIIAF_JSON_STRING)
        return false;
    if (size < sizeof date && !memchr(text + value.start, '\\', size)) {
        memcpy(date, text + value.start + 1, size);
        date[size] = '\0';
        return is_date(date);
    }
    rf_json_decode(text, value, &decoded);
    bool valid = !decoded.failed && strlen(decoded.data) == decoded.size && is_date(decoded.data);
    rf_bytes_free(&decoded);
    return valid;
}

/* Whether a number isn't less than `least`, whatever its length; NaN never is, as JSON Schema's validators see it. */
static bool check_least(const char *number, size_t size, minimum least)
{
    bool negative = number[0] == '-', zero = true;

    if (least == ANY || number[0] == 'N')
        return true;
    if (negative && number[1] == 'I')
        return false;
    for (size_t i = 0; i < size && number[i] != 'e' && number[i] != 'E'; i++)
        if (number[i] == 'I' || (number[i] >= '1' && number[i] <= '9'))
            zero = false;
    return least == AT_LEAST_0 ? zero || !negative : !zero && !negative;
}

/* JSON Schema's integer: 42.0 is one.  Only where there is a fraction or an exponent does precision matter. */
static bool is_integer(const char *number, size_t size)
{
    double value;

    if (number[size - 1] == 'y' || number[size - 1] == 'N')
        return false;
    if (!memchr(number, '.', size) && !memchr(number, 'e', size) && !memchr(number, 'E', size))
        return true;
    return rf_parse_double(number, size, &value) && isfinite(value) && floor(value) == value;
}

static bool check_number(const schema *rule, const char *text, rf_span value)
{
    const char *number = text + value.start;
    size_t size = value.end - value.start;

    if (rf_json_type(text, value) != RAIIAF_JSON_NUMBER)
        return false;
    return (rule->kind == KIND_NUMBER || is_integer(number, size)) && check_least(number, size, rule->least);
}

static bool check_scalar(const schema *rule, const char *text, rf_span value)
{
    switch (rule->kind) {
    case KIND_STRING:
        return rf_json_type(text, value) == RAIIAF_JSON_STRING;
    case KIND_DATE:
        return check_date(text, value);
    case KIND_BOOLEAN:
        return rf_json_type(text, value) == RAIIAF_JSON_BOOLEAN;
    case KIND_INTEGER:
    case KIND_NUMBER:
        return check_number(rule, text, value);
    default:
        return true;
    }
}

/* ---- containers ---- */

#define PATH_SIZE 256

typedef struct checking {
    const char *text;
    bool complete;
    char *path; /* where the check is; what doesn't fit isn't told */
    const char **refused_by;
} checking;

/* Steps down; returns the length of the path before. */
static size_t enter(const checking *check, const char *name)
{
    size_t length = strlen(check->path);

    snprintf(check->path + length, PATH_SIZE - length, "/%s", name);
    return length;
}

static bool check_value(const checking *check, const schema *rule, rf_span value);

static bool check_members(const checking *check, const schema *rule, rf_span object)
{
    bool wanted = rule->wanted == ALWAYS || (rule->wanted == WHEN_COMPLETE && check->complete);

    for (const schema *member = rule->members; member && member->name; member++) {
        rf_span value;
        size_t length = enter(check, member->name);
        if (rf_json_member(check->text, object, member->name, &value)) {
            if (!check_value(check, member, value))
                return false;
        } else if (wanted && member->required) {
            /* TRANSLATORS: stands behind "must be" */
            *check->refused_by = _("present");
            return false;
        }
        check->path[length] = '\0';
    }
    return true;
}

static bool check_elements(const checking *check, const schema *rule, rf_span array)
{
    rf_json_walk walk = rf_json_begin(check->text, array);

    while (rf_json_next(&walk)) {
        char index[24];
        snprintf(index, sizeof index, "%zu", walk.index);
        size_t length = enter(check, index);
        if (!check_value(check, rule->element, walk.value))
            return false;
        check->path[length] = '\0';
    }
    return true;
}

static bool check_value(const checking *check, const schema *rule, rf_span value)
{
    raiiaf_json type = rf_json_type(check->text, value);

    if (rule->advisory)
        return true;
    if (rule->kind == KIND_OBJECT && type == RAIIAF_JSON_OBJECT)
        return check_members(check, rule, value);
    if (rule->kind == KIND_ARRAY && type == RAIIAF_JSON_ARRAY)
        return check_elements(check, rule, value);
    if (rule->kind != KIND_OBJECT && rule->kind != KIND_ARRAY && check_scalar(rule, check->text, value))
        return true;
    *check->refused_by = phrase(rule);
    return false;
}

bool rf_schema_check(const char *pointer, const char *text, rf_span value, bool complete, char path[256],
                     const char **rule)
{
    const checking check = {text, complete, path, rule};

    snprintf(path, PATH_SIZE, "%s", pointer);
    return check_value(&check, find_rule(pointer), value);
}

raiiaf_json rf_schema_type(const char *pointer, bool *integer)
{
    static const raiiaf_json types[] = {
        [KIND_FREE] = RAIIAF_JSON_NULL,       [KIND_STRING] = RAIIAF_JSON_STRING,  [KIND_DATE] = RAIIAF_JSON_STRING,
        [KIND_BOOLEAN] = RAIIAF_JSON_BOOLEAN, [KIND_INTEGER] = RAIIAF_JSON_NUMBER, [KIND_NUMBER] = RAIIAF_JSON_NUMBER,
        [KIND_ARRAY] = RAIIAF_JSON_ARRAY,     [KIND_OBJECT] = RAIIAF_JSON_OBJECT,
    };
    const schema *rule = find_rule(pointer);

    if (integer)
        *integer = rule->kind == KIND_INTEGER;
    return types[rule->kind];
}

bool rf_schema_required(const char *pointer)
{
    const char *name = strrchr(pointer, '/');
    char parent[PATH_SIZE];

    if (!name || !find_rule(pointer)->required || (size_t)(name - pointer) >= sizeof parent)
        return false;
    snprintf(parent, sizeof parent, "%.*s", (int)(name - pointer), pointer);
    return find_rule(parent)->wanted != NEVER;
}

const char *rf_schema_home(const char *name)
{
    size_t size = strlen(name);

    if (find_member(model_rules, name, size)->kind != KIND_FREE)
        return "/model_info";
    return find_member(hardware_rules, name, size)->kind != KIND_FREE ? "/model_info/hardware_info" : NULL;
}
