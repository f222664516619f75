/* SPDX-License-Identifier: MIT */
/*
 * settings.c - settings by their canonical name, wherever they live, and the "parameters" text made of them.
 *
 * A deeper setting is called by the names on the way to it, joined by dots ("gpu.0.name"); names may have dots of
 * their own.  Each scalar has one such name, so that looking one up visits every value once at most.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "manifest.h"

#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

const char *const rf_homes[RF_HOMES] = {
    RF_MODEL_INFO,
    RF_SETTINGS,
    RF_SOURCE_SETTINGS,
    RF_HARDWARE,
};
enum { HOME_MODEL, HOME_SETTINGS, HOME_SOURCE, HOME_HARDWARE };

/* The homes that are there, as objects, found in one go: their manifest may be long. */
static unsigned find_homes(const raiiaf_file *file, rf_span homes[RF_HOMES])
{
    const char *text = file->text.data;
    rf_span metadata = rf_metadata(file), source;
    bool there[RF_HOMES] = {false};
    unsigned found = 0;

    there[HOME_MODEL] = rf_json_member(text, metadata, "model_info", &homes[HOME_MODEL]);
    if (there[HOME_MODEL]) {
        there[HOME_SETTINGS] = rf_json_member(text, homes[HOME_MODEL], "generation_settings", &homes[HOME_SETTINGS]);
        there[HOME_HARDWARE] = rf_json_member(text, homes[HOME_MODEL], "hardware_info", &homes[HOME_HARDWARE]);
    }
    there[HOME_SOURCE] = rf_json_member(text, metadata, "source", &source) &&
                         rf_json_member(text, source, "settings", &homes[HOME_SOURCE]);
    for (unsigned i = 0; i < RF_HOMES; i++)
        if (there[i] && rf_json_type(text, homes[i]) == RAIIAF_JSON_OBJECT)
            found |= 1u << i;
    return found;
}

static bool is_container(const char *text, rf_span value)
{
    return text[value.start] == '{' || text[value.start] == '[';
}

/* ---- one setting ---- */

/* Members whose names the name sought may begin with: "a" and "a.b" for "a.b.c".  More than these no file has. */
#define CANDIDATES 16

typedef struct candidate {
    size_t length; /* of its name */
    rf_span value;
} candidate;

static size_t find_candidates(const char *text, rf_span object, const char *name, candidate found[CANDIDATES])
{
    rf_json_walk walk = rf_json_begin(text, object);
    size_t count = 0;

    while (rf_json_next(&walk)) {
        size_t length = rf_json_string_prefix(text, walk.name, name), i = 0;
        if (length == SIZE_MAX || (name[length] != '\0' && name[length] != '.'))
            continue;
        /* Of duplicate names the last counts, at the place where it stands. */
        while (i < count && found[i].length != length)
            i++;
        if (i == CANDIDATES)
            continue;
        if (i < count)
            memmove(found + i, found + i + 1, (--count - i) * sizeof *found);
        found[count++] = (candidate){length, walk.value};
    }
    return count;
}

static size_t find_index(const char *text, rf_span array, const char *name, candidate *found)
{
    size_t length = strcspn(name, "."), index;

    found->length = length;
    return rf_pointer_index(name, length, &index) && rf_json_element(text, array, index, &found->value);
}

/* Recurses as deep as the manifest is nested. */
static bool find_named(const char *text, rf_span container, const char *name, rf_bytes *pointer, rf_span *value)
{
    candidate found[CANDIDATES];
    size_t count = rf_json_type(text, container) == RAIIAF_JSON_ARRAY ? find_index(text, container, name, found)
                                                                      : find_candidates(text, container, name, found);

    for (size_t i = 0; i < count; i++) {
        size_t length = found[i].length, before = pointer ? pointer->size : 0;
        if (pointer)
            rf_pointer_append(pointer, name, length);
        if (name[length] == '\0') {
            *value = found[i].value;
            return true;
        }
        if (is_container(text, found[i].value) && find_named(text, found[i].value, name + length + 1, pointer, value))
            return true;
        if (pointer)
            pointer->size = before;
    }
    return false;
}

bool rf_setting_find(const raiiaf_file *file, const char *name, rf_bytes *pointer, rf_span *value)
{
    rf_span homes[RF_HOMES];
    unsigned there = find_homes(file, homes);

    for (unsigned i = 0; i < RF_HOMES; i++) {
        if (!(there >> i & 1))
            continue;
        if (pointer) {
            pointer->size = 0;
            rf_bytes_string(pointer, rf_homes[i]);
        }
        if (find_named(file->text.data, homes[i], name, pointer, value))
            return true;
    }
    return false;
}

bool raiiaf_setting(const raiiaf_file *file, const char *name, raiiaf_value *value)
{
    rf_span span;

    *value = (raiiaf_value){RAIIAF_JSON_NULL, NULL, 0};
    if (!rf_setting_find(file, name, NULL, &span))
        return false;
    *value = rf_value_at(file->text.data, span);
    return true;
}

/* ---- all settings ---- */

/* More and longer names are no settings: the rest of a file that has them isn't listed. */
#define LISTED_MOST 65536
#define NAME_MOST 1024
#define SLOTS (2 * LISTED_MOST)

typedef struct listing {
    const char *text;
    bool (*callback)(void *user, const char *name, const raiiaf_value *value);
    void *user;
    XXH128_hash_t *seen; /* [SLOTS], names by hash */
    size_t count;
    rf_bytes name;
    size_t home;
    bool stopped;
} listing;

static bool first_of_its_name(listing *list)
{
    XXH128_hash_t hash = XXH3_128bits(list->name.data, list->name.size);
    size_t slot;

    hash.low64 |= 1; /* a slot of zeros is empty */
    for (slot = hash.low64 / 2 % SLOTS; list->seen[slot].low64 != 0; slot = (slot + 1) % SLOTS)
        if (XXH128_isEqual(list->seen[slot], hash))
            return false;
    list->seen[slot] = hash;
    if (++list->count == LISTED_MOST)
        list->stopped = true;
    return true;
}

static void list_container(listing *list, rf_span container, bool top);

/* list->name is the name of this value. */
static void list_value(listing *list, rf_span value, bool top)
{
    const char *name = list->name.data;

    /* A name that begins with a slash would be taken for a pointer where a path is wanted, "" for the whole. */
    if (list->name.failed || list->name.size > NAME_MOST || strlen(name) < list->name.size || *name == '\0' ||
        *name == '/')
        return;
    if (top && list->home == HOME_MODEL && rf_json_type(list->text, value) == RAIIAF_JSON_OBJECT)
        for (size_t i = HOME_MODEL + 1; i < RF_HOMES; i++)
            if (i != HOME_SOURCE && strcmp(name, rf_homes[i] + strlen("/model_info/")) == 0)
                return;
    if (!first_of_its_name(list))
        return;
    if (is_container(list->text, value)) {
        list_container(list, value, false);
    } else {
        raiiaf_value scalar = rf_value_at(list->text, value);
        list->stopped |= !list->callback(list->user, name, &scalar);
    }
}

/* Recurses as deep as the manifest is nested. */
static void list_container(listing *list, rf_span container, bool top)
{
    rf_json_names names;
    rf_json_walk walk = rf_json_begin(list->text, container);
    size_t before = list->name.size;

    if (!rf_json_names_begin(&names, list->text, container))
        return;
    while (!list->stopped && rf_json_next(&walk)) {
        if (walk.object && (walk.name.end - walk.name.start > 6 * NAME_MOST + 2 || !rf_json_names_last(&names, &walk)))
            continue;
        list->name.size = before;
        rf_bytes_string(&list->name, top ? "" : ".");
        if (walk.object)
            rf_json_decode(list->text, walk.name, &list->name);
        else
            rf_bytes_format(&list->name, "%zu", walk.index);
        list_value(list, walk.value, top);
    }
    list->name.size = before;
    rf_json_names_end(&names);
}

static void list_homes(const raiiaf_file *file, size_t first, size_t last,
                       bool (*callback)(void *user, const char *name, const raiiaf_value *value), void *user)
{
    listing list = {.text = file->text.data, .callback = callback, .user = user};
    rf_span homes[RF_HOMES];
    unsigned there = find_homes(file, homes);

    list.seen = calloc(SLOTS, sizeof *list.seen);
    for (list.home = first; list.seen && list.home <= last && !list.stopped; list.home++)
        if (there >> list.home & 1)
            list_container(&list, homes[list.home], true);
    free(list.seen);
    rf_bytes_free(&list.name);
}

void raiiaf_setting_each(const raiiaf_file *file,
                         bool (*callback)(void *user, const char *name, const raiiaf_value *value), void *user)
{
    list_homes(file, 0, RF_HOMES - 1, callback, user);
}

/* ---- the "parameters" text ---- */

/* The names that its readers know, in the order that its writers keep. */
static const char *const known_pairs[][2] = {
    {"steps", "Steps"},
    {"sampler", "Sampler"},
    {"scheduler", "Schedule type"},
    {"cfg_scale", "CFG scale"},
    {"guidance", "Distilled CFG Scale"},
    {"seed", "Seed"},
    {NULL, "Size"},
    {"model_hash", "Model hash"},
    {"model_name", "Model"},
    {"eta", "Eta"},
};
#define KNOWN_PAIRS (sizeof known_pairs / sizeof *known_pairs)

/* Settings that this text has no place for, or another one. */
static const char *const other_settings[] = {"prompt", "negative_prompt", "width",
                                             "height", "precision",       "deterministic"};

typedef struct parameters {
    rf_bytes line;
    size_t pairs, marks; /* pairs in the line, and those of them that a reader takes it for settings by */
} parameters;

/* What Python's str() makes of it, near enough; false where there is nothing to tell. */
static bool plain_text(const char *text, rf_span value, rf_bytes *out)
{
    switch (rf_json_type(text, value)) {
    case RAIIAF_JSON_STRING:
        rf_json_decode(text, value, out);
        return out->size > 0;
    case RAIIAF_JSON_BOOLEAN:
        rf_bytes_string(out, text[value.start] == 't' ? "True" : "False");
        return true;
    case RAIIAF_JSON_NUMBER:
        rf_bytes_append(out, text + value.start, value.end - value.start);
        return text[value.end - 1] != 'N' && text[value.end - 1] != 'y';
    default:
        return false;
    }
}

/* A value that its readers would cut or trim goes in quotes, as a JSON string. */
static bool needs_quotes(const rf_bytes *value)
{
    const char *data = value->data;
    size_t size = value->size;

    for (size_t i = 0; i < size; i++)
        if ((unsigned char)data[i] < 0x20 || data[i] == ',' || data[i] == ':' || data[i] == '"')
            return true;
    return data[0] == ' ' || data[size - 1] == ' ' || data[0] == '[' || data[0] == '{';
}

static void add_label(parameters *made, const char *name)
{
    static const char *const marks[] = {"Steps", "Seed", "Sampler", "CFG scale", "Size"};

    rf_bytes_string(&made->line, made->pairs ? ", " : "");
    rf_bytes_string(&made->line, name);
    rf_bytes_string(&made->line, ": ");
    made->pairs++;
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        made->marks += strcmp(name, marks[i]) == 0;
}

static void add_pair(parameters *made, const char *name, const rf_bytes *value)
{
    add_label(made, name);
    if (needs_quotes(value))
        rf_bytes_json_string(&made->line, value->data, value->size);
    else
        rf_bytes_append(&made->line, value->data, value->size);
}

static bool setting_text(const raiiaf_file *file, const char *name, rf_bytes *out)
{
    rf_span value;

    return rf_setting_find(file, name, NULL, &value) && plain_text(file->text.data, value, out) && !out->failed;
}

static bool is_number(const rf_bytes *value)
{
    return rf_json_check(value->data, value->size, NULL) &&
           rf_json_type(value->data, rf_json_root(value->data, value->size)) == RAIIAF_JSON_NUMBER;
}

static void add_known(parameters *made, const raiiaf_file *file, const char *name, const char *label)
{
    rf_bytes value = {0};
    bool found;

    if (name) {
        /* Elsewhere guidance is a word for a method; here it is a number. */
        found = setting_text(file, name, &value) && (strcmp(name, "guidance") != 0 || is_number(&value));
    } else {
        found = setting_text(file, "width", &value);
        rf_bytes_string(&value, "x");
        found = found && setting_text(file, "height", &value);
    }
    if (found && !value.failed)
        add_pair(made, label, &value);
    made->line.failed |= value.failed;
    rf_bytes_free(&value);
}

/* A name that the readers' pattern takes: a word character, then one or more of those, blank, "-" and "/". */
static bool is_label(const char *name)
{
    size_t size = 0;

    for (; name[size]; size++) {
        unsigned char c = (unsigned char)name[size];
        bool word = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' || c >= 0x80;
        if (!word && (size == 0 || (c != ' ' && c != '-' && c != '/')))
            return false;
    }
    return size > 1;
}

static bool add_further(void *user, const char *name, const raiiaf_value *value)
{
    parameters *made = user;
    rf_bytes text = {0};

    for (size_t i = 0; i < KNOWN_PAIRS; i++)
        if ((known_pairs[i][0] && strcmp(name, known_pairs[i][0]) == 0) || strcmp(name, known_pairs[i][1]) == 0)
            return true;
    for (size_t i = 0; i < sizeof other_settings / sizeof *other_settings; i++)
        if (strcmp(name, other_settings[i]) == 0)
            return true;
    if (is_label(name) && plain_text(value->text, (rf_span){0, value->size}, &text) && !text.failed)
        add_pair(made, name, &text);
    made->line.failed |= text.failed;
    rf_bytes_free(&text);
    return !made->line.failed;
}

/* What the tools of that family write as JSON ("Hashes") has a name like their other settings; what others keep so is
   for none of their readers. */
static bool add_container(void *user, const char *name, const raiiaf_value *value)
{
    parameters *made = user;

    if ((value->type == RAIIAF_JSON_OBJECT || value->type == RAIIAF_JSON_ARRAY) && *name >= 'A' && *name <= 'Z' &&
        is_label(name)) {
        add_label(made, name);
        rf_append_flat(value, &made->line);
    }
    return !made->line.failed;
}

static void add_prompt(rf_bytes *out, const raiiaf_file *file, const char *name, const char *label)
{
    rf_bytes value = {0};
    rf_span span;

    if (rf_setting_find(file, name, NULL, &span) && rf_json_type(file->text.data, span) == RAIIAF_JSON_STRING &&
        setting_text(file, name, &value)) {
        rf_bytes_string(out, out->size > 0 ? "\n" : "");
        rf_bytes_string(out, label);
        rf_bytes_append(out, value.data, value.size);
    }
    out->failed |= value.failed;
    rf_bytes_free(&value);
}

raiiaf_status raiiaf_parameters(const raiiaf_file *file, raiiaf_buffer *text, raiiaf_error *error)
{
    parameters made = {0};
    rf_bytes out = {0};
    raiiaf_status status;

    rf_error_clear(error);
    *text = (raiiaf_buffer){0};
    add_prompt(&out, file, "prompt", "");
    add_prompt(&out, file, "negative_prompt", "Negative prompt: ");
    for (size_t i = 0; i < KNOWN_PAIRS; i++)
        add_known(&made, file, known_pairs[i][0], known_pairs[i][1]);
    list_homes(file, HOME_SETTINGS, HOME_SOURCE, add_further, &made);
    raiiaf_each(file, RF_SETTINGS, add_container, &made);
    raiiaf_each(file, RF_SOURCE_SETTINGS, add_container, &made);
    /* A line that readers don't know for settings they would take for the prompt's end. */
    bool steps_first = made.pairs > 0 && !made.line.failed && strncmp(made.line.data, "Steps:", 6) == 0;
    if (steps_first || (made.pairs >= 3 && made.marks >= 3)) {
        rf_bytes_string(&out, out.size > 0 ? "\n" : "");
        rf_bytes_append(&out, made.line.data, made.line.size);
    }
    out.failed |= made.line.failed;
    if (out.failed || out.size > 0)
        status = rf_bytes_to_buffer(&out, text, error);
    else
        status = rf_fail(error, RAIIAF_ERROR_MISSING, "no-parameters", RF_NAME(file->name),
                         _("the file tells no prompt and too few settings for a parameters text"));
    rf_bytes_free(&out);
    rf_bytes_free(&made.line);
    return status;
}
