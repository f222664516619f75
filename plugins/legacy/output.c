/* SPDX-License-Identifier: MIT */
/*
 * output.c - what a driver recognised: canonical fields, each in the form that the format gives it, and settings of the
 * tool's own.  Everything is kept as JSON, as it will stand in the manifest.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "legacy.h"
#include "json.h"

#include <math.h>
#include <string.h>

#define EXTRAS_MOST 1024
#define EXTRA_SIZE_MOST 65536

typedef enum kind { PROMPT, WORD, COUNT, NUMBER, EITHER, TAGS } kind;

static const struct canonical {
    const char *name;
    kind kind;
    uint64_t least;
    uint64_t most;
} canonical[] = {
    {"prompt", PROMPT, 0, 0},
    {"negative_prompt", PROMPT, 0, 0},
    {"seed", COUNT, 0, UINT64_MAX},
    {"steps", COUNT, 1, INT32_MAX},
    {"sampler", WORD, 0, 0},
    {"scheduler", WORD, 0, 0},
    {"cfg_scale", NUMBER, 0, 0},
    {"guidance", EITHER, 0, 0},
    {"eta", NUMBER, 0, 0},
    {"model_name", WORD, 0, 0},
    {"model_hash", WORD, 0, 0},
    {"width", COUNT, 1, INT32_MAX},
    {"height", COUNT, 1, INT32_MAX},
    {"date", WORD, 0, 0},
    {"tags", TAGS, 0, 0},
};
#define FIELDS (sizeof canonical / sizeof *canonical)

const char *raiiaf_legacy_field(size_t i)
{
    return i < FIELDS ? canonical[i].name : NULL;
}

/* Looked for so often that a call for each name would tell. */
static bool same_name(const char *a, const char *b)
{
    return *a == *b && strcmp(a, b) == 0;
}

static size_t find_canonical(const char *name)
{
    size_t i = 0;
    while (i < FIELDS && !same_name(canonical[i].name, name))
        i++;
    return i;
}

bool legacy_output_begin(legacy_output *out, legacy_arena *arena)
{
    *out = (legacy_output){.arena = arena, .fields = legacy_take(arena, FIELDS * sizeof *out->fields)};
    for (size_t i = 0; out->fields && i < FIELDS; i++)
        out->fields[i] = (legacy_field){.name = canonical[i].name};
    return out->fields != NULL;
}

const raiiaf_value *legacy_output_get(const legacy_output *out, const char *name)
{
    size_t i = find_canonical(name);
    if (i < FIELDS)
        return out->fields[i].value.text ? &out->fields[i].value : NULL;
    for (i = 0; i < out->extra_count; i++)
        if (same_name(out->extras[i].name, name))
            return &out->extras[i].value;
    return NULL;
}

bool legacy_has(const legacy_output *out, const char *name)
{
    return legacy_output_get(out, name) != NULL;
}

/* ---- putting ---- */

/* Puts a value that is in order; json lives as long as the arena. */
static bool put(legacy_output *out, const char *name, const char *json, size_t size)
{
    size_t i = find_canonical(name);
    raiiaf_value value = {json ? rf_json_type(json, (rf_span){0, size}) : RAIIAF_JSON_NULL, json, size};
    if (!json || legacy_has(out, name))
        return json != NULL;
    if (i < FIELDS) {
        out->fields[i].value = value;
        return true;
    }
    if (*name == 0 || size > EXTRA_SIZE_MOST || out->extra_count == EXTRAS_MOST ||
        !legacy_grow(out->arena, &out->extras, out->extra_count, &out->extra_capacity, sizeof *out->extras))
        return false;
    const char *copy = legacy_copy(out->arena, name, strlen(name));
    if (!copy)
        return false;
    out->extras[out->extra_count++] = (legacy_field){copy, value};
    return true;
}

static bool put_string(legacy_output *out, const char *name, const char *text, size_t size)
{
    size_t plain = 0;
    while (plain < size && text[plain] >= 0x20 && text[plain] < 0x7F && text[plain] != '"' && text[plain] != '\\')
        plain++;
    if (plain == size) {
        char *json = legacy_take(out->arena, size + 3);
        if (!json)
            return false;
        json[0] = json[size + 1] = '"';
        if (size)
            memcpy(json + 1, text, size);
        json[size + 2] = 0;
        return put(out, name, json, size + 2);
    }
    rf_bytes spelt = {0};
    rf_bytes_json_string(&spelt, text, size);
    const char *json = NULL;
    if (!spelt.failed)
        json = legacy_copy(out->arena, spelt.data, spelt.size);
    else
        out->arena->status = RAIIAF_ERROR_MEMORY;
    bool good = put(out, name, json, spelt.size);
    rf_bytes_free(&spelt);
    return good;
}

/* ---- canonical fields ---- */

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static void trim(const char **text, size_t *size)
{
    while (*size && is_space(**text)) {
        ++*text;
        --*size;
    }
    while (*size && is_space((*text)[*size - 1]))
        --*size;
}

static bool equals(const char *text, size_t size, const char *word)
{
    return size == strlen(word) && memcmp(text, word, size) == 0;
}

/* How tools say that there is nothing to say. */
static bool says_nothing(const char *text, size_t size)
{
    return size == 0 || equals(text, size, "None") || equals(text, size, "none") || equals(text, size, "null") ||
           equals(text, size, "unknown") || equals(text, size, "undefined");
}

/* "20", "20.0" */
static bool parse_count(const char *text, size_t size, uint64_t *number)
{
    size_t i = 0;
    *number = 0;
    while (i < size && text[i] >= '0' && text[i] <= '9') {
        if (!rf_multiply(*number, 10, number) || !rf_add(*number, (uint64_t)(text[i] - '0'), number))
            return false;
        i++;
    }
    if (i == 0)
        return false;
    if (i < size && text[i] == '.') {
        while (++i < size && text[i] == '0')
            ;
    }
    return i == size;
}

/* Digits, in the last bytes of `buffer`. */
static const char *spell_count(uint64_t number, char buffer[20], size_t *size)
{
    char *at = buffer + 20;
    do
        *--at = (char)('0' + number % 10);
    while (number /= 10);
    *size = (size_t)(buffer + 20 - at);
    return at;
}

static bool set_count(legacy_output *out, const struct canonical *field, const char *text, size_t size)
{
    uint64_t number;
    char buffer[20];
    if (!parse_count(text, size, &number) || number < field->least || number > field->most)
        return false;
    const char *digits = spell_count(number, buffer, &size);
    return put(out, field->name, legacy_copy(out->arena, digits, size), size);
}

/* A number of at least 0, in its own digits where JSON takes them. */
static bool set_number(legacy_output *out, const char *name, const char *text, size_t size)
{
    double number;
    char spelt[32];
    if (!size || !(*text == '.' || (*text >= '0' && *text <= '9')) || !rf_parse_double(text, size, &number) ||
        !isfinite(number))
        return false;
    for (size_t i = 0; i < size; i++)
        if (text[i] == 'x' || text[i] == 'X')
            return false;
    if (rf_json_check(text, size, NULL))
        return put(out, name, legacy_copy(out->arena, text, size), size);
    rf_format_double(spelt, number);
    return put(out, name, legacy_copy(out->arena, spelt, strlen(spelt)), strlen(spelt));
}

static bool set_canonical(legacy_output *out, const struct canonical *field, const char *text, size_t size)
{
    const char *inner = text;
    size_t length = size;
    trim(&inner, &length);
    if (length == 0)
        return false;
    switch (field->kind) {
    case PROMPT:
        return put_string(out, field->name, text, size);
    case WORD:
        return !says_nothing(inner, length) && put_string(out, field->name, inner, length);
    case COUNT:
        return set_count(out, field, inner, length);
    case NUMBER:
        return set_number(out, field->name, inner, length);
    case EITHER:
        return set_number(out, field->name, inner, length) ||
               (!says_nothing(inner, length) && put_string(out, field->name, inner, length));
    case TAGS:
        break;
    }
    return false;
}

bool legacy_set(legacy_output *out, const char *name, const char *text, size_t size)
{
    size_t i = find_canonical(name);
    if (legacy_has(out, name))
        return true;
    if (!text)
        return false;
    return i < FIELDS ? set_canonical(out, &canonical[i], text, size) : put_string(out, name, text, size);
}

bool legacy_set_string(legacy_output *out, const char *name, const char *text)
{
    return legacy_set(out, name, text, text ? strlen(text) : 0);
}

bool legacy_set_typed(legacy_output *out, const char *name, const char *text, size_t size)
{
    raiiaf_json type = size ? rf_json_type(text, (rf_span){0, size}) : RAIIAF_JSON_NULL;
    if ((type == RAIIAF_JSON_NUMBER || type == RAIIAF_JSON_BOOLEAN) && legacy_set_spelt(out, name, text, size))
        return true;
    return legacy_set(out, name, text, size);
}

bool legacy_set_time(legacy_output *out, const char *name, int64_t seconds)
{
    char date[32];
    rf_format_date(date, seconds);
    return legacy_set_string(out, name, date);
}

bool legacy_set_uint64(legacy_output *out, const char *name, uint64_t number)
{
    char buffer[20];
    size_t size;
    const char *digits = spell_count(number, buffer, &size);
    return legacy_set_spelt(out, name, digits, size);
}

static bool all_strings(const char *json, size_t size)
{
    rf_json_walk walk = rf_json_begin(json, rf_json_root(json, size));
    while (rf_json_next(&walk))
        if (rf_json_type(json, walk.value) != RAIIAF_JSON_STRING)
            return false;
    return true;
}

/* A copy on one line: files beside images are indented. */
static const char *copy_flat(legacy_arena *arena, const char *json, size_t *size)
{
    char *copy = legacy_take(arena, *size + 1), *out = copy;
    bool string = false;
    for (size_t i = 0; copy && i < *size; i++) {
        if (!string && (json[i] == '\n' || json[i] == '\r' || json[i] == '\t')) {
            while (i + 1 < *size && is_space(json[i + 1]))
                i++;
            if (out > copy && out[-1] == ',')
                *out++ = ' ';
            continue;
        }
        string ^= json[i] == '"';
        *out++ = json[i];
        if (string && json[i] == '\\')
            *out++ = json[++i];
    }
    if (copy) {
        *out = 0;
        *size = (size_t)(out - copy);
    }
    return copy;
}

bool legacy_set_spelt(legacy_output *out, const char *name, const char *json, size_t size)
{
    size_t i = find_canonical(name), position;
    raiiaf_json type = size ? rf_json_type(json, (rf_span){0, 1}) : RAIIAF_JSON_NULL;
    if (legacy_has(out, name))
        return true;
    if (type == RAIIAF_JSON_NULL || size > EXTRA_SIZE_MOST)
        return false;
    if (i < FIELDS) {
        if (type == RAIIAF_JSON_NUMBER)
            return set_canonical(out, &canonical[i], json, size);
        if (canonical[i].kind != TAGS || type != RAIIAF_JSON_ARRAY)
            return false;
    }
    if (!rf_json_check(json, size, &position) || (i < FIELDS && !all_strings(json, size)))
        return false;
    const char *flat = copy_flat(out->arena, json, &size);
    return put(out, name, flat, size);
}

bool legacy_set_json(legacy_output *out, const char *name, const legacy_json *value)
{
    if (!value)
        return legacy_has(out, name);
    if (value->type != RAIIAF_JSON_STRING)
        return legacy_set_spelt(out, name, value->spelling, value->size);
    if (legacy_has(out, name))
        return true;
    size_t size;
    const char *text = legacy_decode(out->arena, value, &size);
    return legacy_set(out, name, text, size);
}

bool legacy_set_member(legacy_output *out, const char *name, const legacy_json *object, const char *member)
{
    return legacy_set_json(out, name, legacy_member(object, member));
}

static void set_own(legacy_output *out, const legacy_json *member)
{
    const char *name =
        memchr(member->name, 0, member->name_size) ? NULL : legacy_copy(out->arena, member->name, member->name_size);
    if (name)
        legacy_set_json(out, name, member);
}

static const legacy_json *first_member(const legacy_json *object)
{
    return object && object->type == RAIIAF_JSON_OBJECT ? object->child : NULL;
}

void legacy_set_rest(legacy_output *out, const legacy_json *object, const char *const *taken)
{
    for (const legacy_json *member = first_member(object); member; member = member->next) {
        size_t i = 0;
        while (taken && taken[i] && !equals(member->name, member->name_size, taken[i]))
            i++;
        if (!taken || !taken[i])
            set_own(out, member);
    }
}

void legacy_set_members(legacy_output *out, const legacy_json *object, const legacy_map *map)
{
    for (size_t i = 0; map[i].member; i++)
        if (map[i].field)
            legacy_set_member(out, map[i].field, object, map[i].member);
    for (const legacy_json *member = first_member(object); member; member = member->next) {
        size_t i = 0;
        while (map[i].member && !equals(member->name, member->name_size, map[i].member))
            i++;
        if (!map[i].member)
            set_own(out, member);
    }
}

/* ---- what takes some reading ---- */

bool legacy_set_bracketed(legacy_input *in, legacy_output *out, const char *text, size_t size)
{
    legacy_string wanted = {.in = in}, unwanted = {.in = in};
    const char *end = text + size;
    while (text < end) {
        const char *open = memchr(text, '[', (size_t)(end - text));
        const char *close = open ? memchr(open, ']', (size_t)(end - open)) : NULL;
        if (!close)
            break;
        legacy_append(&wanted, text, (size_t)(open - text));
        legacy_append_string(&unwanted, unwanted.size ? ", " : "");
        legacy_append(&unwanted, open + 1, (size_t)(close - open - 1));
        text = close + 1;
    }
    legacy_append(&wanted, text, (size_t)(end - text));
    const char *rest = wanted.text;
    size_t length = wanted.size;
    if (rest)
        trim(&rest, &length);
    legacy_set(out, "negative_prompt", unwanted.text, unwanted.size);
    return legacy_set(out, "prompt", rest, length);
}

bool legacy_set_size(legacy_output *out, const char *text, size_t size)
{
    size_t starts[2], ends[2], count = 0;
    for (size_t i = 0; i < size && count < 2;) {
        if (text[i] < '0' || text[i] > '9') {
            i++;
            continue;
        }
        starts[count] = i;
        while (i < size && text[i] >= '0' && text[i] <= '9')
            i++;
        ends[count++] = i;
    }
    return count == 2 && legacy_set(out, "width", text + starts[0], ends[0] - starts[0]) &&
           legacy_set(out, "height", text + starts[1], ends[1] - starts[1]);
}

bool legacy_set_model(legacy_output *out, const char *path, size_t size)
{
    if (!path)
        return false;
    trim(&path, &size);
    size_t start = size;
    while (start > 0 && path[start - 1] != '/' && path[start - 1] != '\\')
        start--;
    return legacy_set(out, "model_name", path + start, size - start);
}

void legacy_set_tool(legacy_output *out, const char *name, const char *version)
{
    if (out->tool || !name)
        return;
    size_t size = strlen(name), more = version && *version ? strlen(version) + 1 : 0;
    char *tool = legacy_take(out->arena, size + more + 1);
    if (!tool)
        return;
    memcpy(tool, name, size);
    if (more) {
        tool[size] = ' ';
        memcpy(tool + size + 1, version, more - 1);
    }
    tool[size + more] = 0;
    out->tool = tool;
}
