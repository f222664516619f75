/* SPDX-License-Identifier: MIT */
/*
 * change.c - what a caller does to the manifest: set, unset, merge; held to the schema, and remembered until the file
 * is saved.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "manifest.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct changes {
    rf_edit edit;
    unsigned replaced; /* RF_CREATED_*: objects that were given anew as a whole */
    bool changed, settings_touched;
} changes;

/* Objects that whoever makes them has to complete. */
static const struct {
    const char *pointer;
    unsigned flag;
} completed[] = {
    {RF_MODEL_INFO, RF_CREATED_MODEL_INFO}, {RF_SETTINGS, RF_CREATED_SETTINGS}, {RF_HARDWARE, RF_CREATED_HARDWARE}};

#define COMPLETED (sizeof completed / sizeof *completed)

static unsigned objects_there(const raiiaf_file *file)
{
    unsigned there = 0;

    for (size_t i = 0; i < COMPLETED; i++)
        if (rf_is_object(file, completed[i].pointer))
            there |= completed[i].flag;
    return there;
}

/* ---- what a caller may change ---- */

/* The library writes these; of a chunk's record only further keys of `extra` are the user's. */
static bool kept_by_library(const char *pointer)
{
    static const char *const kept[] = {"/file_info", "/history", "/capsule"};
    static const char *const ours[] = {"shape", "dtype", "key", "stale"};

    if (*pointer == '\0')
        return true;
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        if (rf_lies_in(pointer, kept[i]))
            return true;
    if (!rf_lies_in(pointer, "/chunks"))
        return false;
    const char *record = pointer + strlen("/chunks");
    const char *extra = *record ? strchr(record + 1, '/') : NULL;
    if (!extra || !rf_lies_in(extra, "/extra") || extra[strlen("/extra")] == '\0' || record[1] == '-')
        return true;
    const char *name = extra + strlen("/extra/");
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (rf_lies_in(name, ours[i]))
            return true;
    return false;
}

/* A record stands for a chunk: none may come into being by an edit of what would be part of it. */
static bool is_record_there(const raiiaf_file *file, const char *pointer)
{
    const char *number = pointer + strlen("/chunks/");
    size_t index;

    return rf_pointer_index(number, strcspn(number, "/"), &index) && index < file->chunk_count;
}

static raiiaf_status refuse_kept(const raiiaf_file *file, const char *pointer, raiiaf_error *error)
{
    return rf_fail(error, RAIIAF_ERROR_SCHEMA, "kept-by-library", RF_IN_MANIFEST(file),
                   _("\"%s\" can't be changed: the library writes it itself"), RF_SHOW(pointer));
}

static raiiaf_status refuse_schema(const raiiaf_file *file, const char *path, const char *rule, raiiaf_error *error)
{
    /* TRANSLATORS: a place in the manifest, and what it must be: "an integer, at least 1" */
    return rf_fail(error, RAIIAF_ERROR_SCHEMA, "schema", RF_IN_MANIFEST(file), _("\"%s\" must be %s"), path, rule);
}

/* An edit below a list of GPUs may leave it broken only if it was so before: an element lives or dies as a whole. */
static raiiaf_status check_gpus(const changes *change, const char *pointer, raiiaf_error *error)
{
    static const char gpus[] = RF_HARDWARE "/gpu";
    char path[256];
    const char *rule;
    rf_span before, after;

    if (!rf_lies_in(pointer, gpus) || !rf_edit_find(&change->edit, gpus, &after) ||
        rf_schema_check(gpus, change->edit.text.data, after, true, path, &rule))
        return RAIIAF_OK;
    char former_path[256];
    const char *former_rule;
    if (rf_find(change->edit.file, gpus, &before) &&
        !rf_schema_check(gpus, change->edit.file->text.data, before, true, former_path, &former_rule))
        return RAIIAF_OK;
    return refuse_schema(change->edit.file, path, rule, error);
}

static void note_change(changes *change, const char *pointer)
{
    change->changed = true;
    for (size_t i = 0; i < COMPLETED; i++)
        if (rf_lies_in(completed[i].pointer, pointer))
            change->replaced |= completed[i].flag;
    if (rf_lies_in(pointer, RF_SETTINGS) || rf_lies_in(RF_SETTINGS, pointer) ||
        rf_lies_in(pointer, RF_SOURCE_SETTINGS) || rf_lies_in(RF_SOURCE_SETTINGS, pointer))
        change->settings_touched = true;
}

/* Puts JSON that has been checked at a place, as a caller may. */
static raiiaf_status change_put(changes *change, const char *pointer, const char *json, size_t size,
                                raiiaf_error *error)
{
    const raiiaf_file *file = change->edit.file;
    rf_span present;
    char path[256];
    const char *rule;

    if (change->edit.text.failed)
        return RAIIAF_OK;
    if (kept_by_library(pointer))
        return refuse_kept(file, pointer, error);
    if (rf_lies_in(pointer, "/chunks") && !is_record_there(file, pointer))
        return rf_fail_place(file, pointer, error);
    if (rf_edit_find(&change->edit, pointer, &present) && present.end - present.start == size &&
        memcmp(change->edit.text.data + present.start, json, size) == 0)
        return RAIIAF_OK;
    if (!rf_schema_check(pointer, json, (rf_span){0, size}, false, path, &rule))
        return refuse_schema(file, path, rule, error);
    raiiaf_status status = rf_edit_put(&change->edit, pointer, json, size, error);
    if (status == RAIIAF_OK)
        status = check_gpus(change, pointer, error);
    if (status == RAIIAF_OK)
        note_change(change, pointer);
    return status;
}

static raiiaf_status change_drop(changes *change, const char *pointer, raiiaf_error *error)
{
    if (change->edit.text.failed)
        return RAIIAF_OK;
    if (kept_by_library(pointer))
        return refuse_kept(change->edit.file, pointer, error);
    if (rf_schema_required(pointer))
        /* TRANSLATORS: stands behind "must be" */
        return refuse_schema(change->edit.file, pointer, _("present"), error);
    raiiaf_status status = rf_edit_drop(&change->edit, pointer, error);
    if (status == RAIIAF_OK)
        note_change(change, pointer);
    return status;
}

/* As rf_edit_end; what was changed is remembered until the file is saved. */
static raiiaf_status change_commit(changes *change, raiiaf_status status, raiiaf_error *error)
{
    raiiaf_file *file = change->edit.file;
    unsigned existed = objects_there(file);

    status = rf_edit_end(&change->edit, status, error);
    if (status != RAIIAF_OK || !change->changed)
        return status;
    unsigned there = objects_there(file);
    file->created = ((file->created | change->replaced | ~existed) & there);
    file->settings_touched |= change->settings_touched;
    file->edited = true;
    file->description_changed = true;
    return status;
}

/* ---- setting ---- */

/* Checks a caller's JSON; *span becomes the value in it. */
static raiiaf_status check_json(const raiiaf_file *file, const char *json, size_t size, rf_span *span,
                                raiiaf_error *error)
{
    size_t position = 0;

    if (!rf_json_check(json, size, &position))
        return rf_fail(error, RAIIAF_ERROR_ARGUMENT, "json-syntax", RF_IN_MANIFEST(file),
                       _("what is to be set is not a JSON value: it goes wrong at its byte %zu"), position);
    *span = rf_json_root(json, size);
    return RAIIAF_OK;
}

static raiiaf_status set_place(raiiaf_file *file, const char *pointer, const char *json, size_t size,
                               raiiaf_error *error)
{
    changes change = {.edit = {0}};

    rf_edit_begin(&change.edit, file);
    return change_commit(&change, change_put(&change, pointer, json, size, error), error);
}

raiiaf_status raiiaf_set(raiiaf_file *file, const char *path, const char *json, size_t size, raiiaf_error *error)
{
    rf_bytes pointer = {0};
    rf_span span;

    rf_error_clear(error);
    raiiaf_status status = check_json(file, json, size, &span, error);
    if (status == RAIIAF_OK)
        status = rf_resolve(file, path, true, &pointer, error);
    if (status == RAIIAF_OK)
        status = set_place(file, pointer.data, json + span.start, span.end - span.start, error);
    rf_bytes_free(&pointer);
    return status;
}

/* Writes a typed text as JSON of this type, if it reads as that; RAIIAF_JSON_NULL: of any type. */
static bool read_as(raiiaf_json type, const char *text, rf_bytes *json)
{
    size_t size = strlen(text);

    json->size = 0;
    if (type == RAIIAF_JSON_STRING) {
        rf_bytes_json_string(json, text, size);
        return true;
    }
    if (!rf_json_check(text, size, NULL))
        return false;
    rf_span span = rf_json_root(text, size);
    if (type != RAIIAF_JSON_NULL && rf_json_type(text, span) != type)
        return false;
    rf_bytes_append(json, text + span.start, span.end - span.start);
    return true;
}

/* A number that a person may set a known setting to: NaN and Infinity are Python's, not theirs, and neither is 1e400,
   which it reads as Infinity. */
static bool read_number(bool integer, const char *text, rf_bytes *json)
{
    double number;

    if (!read_as(RAIIAF_JSON_NUMBER, text, json) || json->failed)
        return json->failed;
    if (integer)
        return strspn(json->data, "-0123456789") == json->size;
    return rf_parse_double(json->data, json->size, &number) && isfinite(number);
}

/* "a, b" as ["a", "b"]. */
static void read_list(const char *text, rf_bytes *json)
{
    rf_bytes_string(json, "[");
    while (*text) {
        text += strspn(text, " \t\r\n,");
        size_t size = strcspn(text, ","), trimmed = size;
        while (trimmed > 0 && strchr(" \t\r\n", text[trimmed - 1]))
            trimmed--;
        if (trimmed > 0) {
            rf_bytes_string(json, json->size > 1 ? ", " : "");
            rf_bytes_json_string(json, text, trimmed);
        }
        text += size;
    }
    rf_bytes_string(json, "]");
}

/* Where the schema says what it wants; a text that doesn't fit stays a string, which the schema then refuses in its own
   words. */
static void read_known(raiiaf_json wanted, bool integer, const char *text, rf_bytes *json)
{
    if (wanted == RAIIAF_JSON_NUMBER ? read_number(integer, text, json) : read_as(wanted, text, json))
        return;
    json->size = 0;
    if (wanted == RAIIAF_JSON_ARRAY)
        read_list(text, json);
    else
        read_as(RAIIAF_JSON_STRING, text, json);
}

/* What a typed text becomes at a place. */
static raiiaf_status read_typed(const raiiaf_file *file, const char *pointer, const raiiaf_value *present,
                                const char *text, rf_bytes *json, raiiaf_error *error)
{
    bool integer = false;
    raiiaf_json wanted = rf_schema_type(pointer, &integer);

    if (wanted != RAIIAF_JSON_NULL) {
        read_known(wanted, integer, text, json);
        return RAIIAF_OK;
    }
    wanted = present ? present->type : RAIIAF_JSON_NULL;
    if (read_as(wanted, text, json))
        return RAIIAF_OK;
    if (wanted == RAIIAF_JSON_ARRAY || wanted == RAIIAF_JSON_OBJECT)
        return rf_fail(error, RAIIAF_ERROR_ARGUMENT, "not-json", RF_IN_MANIFEST(file),
                       _("\"%s\" is an array or object: it takes JSON text of the same kind, nothing else"),
                       RF_SHOW(pointer));
    if (!read_as(RAIIAF_JSON_NULL, text, json))
        read_as(RAIIAF_JSON_STRING, text, json);
    return RAIIAF_OK;
}

/* Whether a value, as a host shows it, is this text already.  A host of C strings sees a value up to its first NUL. */
static bool reads_as(const raiiaf_value *value, const char *text)
{
    rf_bytes shown = {0};

    rf_append_value(value, &shown);
    bool same = !shown.failed && shown.data && strcmp(shown.data, text) == 0;
    rf_bytes_free(&shown);
    return same;
}

raiiaf_status raiiaf_set_text(raiiaf_file *file, const char *path, const char *text, raiiaf_error *error)
{
    rf_bytes pointer = {0}, json = {0};
    rf_span span;
    raiiaf_value value;
    bool present = false;

    rf_error_clear(error);
    raiiaf_status status = rf_resolve(file, path, true, &pointer, error);
    if (status != RAIIAF_OK)
        goto done;
    if (!rf_utf8_valid(text, strlen(text))) {
        status = rf_fail(error, RAIIAF_ERROR_ARGUMENT, "not-utf8", RF_IN_MANIFEST(file),
                         _("the text for \"%s\" is not UTF-8"), RF_SHOW(pointer.data));
        goto done;
    }
    if (kept_by_library(pointer.data)) {
        status = refuse_kept(file, pointer.data, error);
        goto done;
    }
    if (rf_find(file, pointer.data, &span)) {
        present = true;
        value = rf_value_at(file->text.data, span);
        if (reads_as(&value, text))
            goto done;
    }
    status = read_typed(file, pointer.data, present ? &value : NULL, text, &json, error);
    if (status == RAIIAF_OK && json.failed)
        status = rf_fail_memory(error, file->name);
    if (status == RAIIAF_OK)
        status = set_place(file, pointer.data, json.data, json.size, error);
done:
    rf_bytes_free(&pointer);
    rf_bytes_free(&json);
    return status;
}

/* ---- unsetting ---- */

/* Whether the last token of a pointer is an array's index. */
static bool is_element(const raiiaf_file *file, const char *pointer)
{
    const char *last = strrchr(pointer, '/');
    rf_bytes parent = {0};
    rf_span span;

    rf_bytes_append(&parent, pointer, last ? (size_t)(last - pointer) : 0);
    bool element =
        !parent.failed && rf_find(file, parent.data, &span) && rf_json_type(file->text.data, span) == RAIIAF_JSON_ARRAY;
    rf_bytes_free(&parent);
    return element;
}

raiiaf_status raiiaf_unset(raiiaf_file *file, const char *path, raiiaf_error *error)
{
    rf_bytes pointer = {0};
    changes change = {.edit = {0}};

    rf_error_clear(error);
    raiiaf_status status = rf_resolve(file, path, false, &pointer, error);
    if (status == RAIIAF_OK) {
        rf_edit_begin(&change.edit, file);
        bool everywhere = *path != '/' && !is_element(file, pointer.data);
        status = change_drop(&change, pointer.data, error);
        /* A setting goes from wherever it lives: otherwise another one of its name would come to light. */
        for (size_t i = 0; status == RAIIAF_OK && everywhere && i < RF_HOMES && !change.edit.text.failed; i++) {
            rf_span present;
            pointer.size = 0;
            rf_bytes_string(&pointer, rf_homes[i]);
            rf_pointer_append(&pointer, path, strlen(path));
            if (pointer.failed)
                status = rf_fail_memory(error, file->name);
            else if (rf_edit_find(&change.edit, pointer.data, &present))
                status = change_drop(&change, pointer.data, error);
        }
        status = change_commit(&change, status, error);
    }
    rf_bytes_free(&pointer);
    return status;
}

/* ---- merging ---- */

/* Objects that are merged member by member; others are taken over whole. */
static bool merges(const char *pointer)
{
    static const char *const objects[] = {RF_MODEL_INFO, RF_SETTINGS, RF_HARDWARE, RF_SOURCE, RF_SOURCE_SETTINGS};

    for (size_t i = 0; i < sizeof objects / sizeof *objects; i++)
        if (strcmp(pointer, objects[i]) == 0)
            return true;
    return *pointer == '\0';
}

static bool change_has_object(const changes *change, const char *pointer)
{
    rf_span value;

    return rf_edit_find(&change->edit, pointer, &value) &&
           rf_json_type(change->edit.text.data, value) == RAIIAF_JSON_OBJECT;
}

/* Recurses as deep as merges() lets it: three levels. */
static raiiaf_status merge_object(changes *change, const char *json, rf_span object, rf_bytes *pointer,
                                  raiiaf_error *error)
{
    rf_json_names names;
    rf_bytes name = {0};
    size_t length = pointer->size;
    raiiaf_status status = RAIIAF_OK;

    if (!rf_json_names_begin(&names, json, object))
        return rf_fail_memory(error, change->edit.file->name);
    rf_json_walk walk = rf_json_begin(json, object);
    while (status == RAIIAF_OK && rf_json_next(&walk)) {
        if (!rf_json_names_last(&names, &walk))
            continue;
        name.size = 0;
        rf_json_decode(json, walk.name, &name);
        rf_pointer_append(pointer, name.failed ? "" : name.data, name.size);
        if (name.failed || pointer->failed || change->edit.text.failed) {
            status = rf_fail_memory(error, change->edit.file->name);
        } else if (memchr(name.data, '\0', name.size)) {
            status = rf_fail(error, RAIIAF_ERROR_ARGUMENT, "bad-path", RF_IN_MANIFEST(change->edit.file),
                             _("a member of \"%s\" has U+0000 in its name"), RF_SHOW(pointer->data));
        } else if (!kept_by_library(pointer->data)) {
            if (merges(pointer->data) && rf_json_type(json, walk.value) == RAIIAF_JSON_OBJECT &&
                change_has_object(change, pointer->data))
                status = merge_object(change, json, walk.value, pointer, error);
            else
                status = change_put(change, pointer->data, json + walk.value.start, walk.value.end - walk.value.start,
                                    error);
        }
        if (!pointer->failed) {
            pointer->size = length;
            pointer->data[length] = '\0';
        }
    }
    rf_json_names_end(&names);
    rf_bytes_free(&name);
    return status;
}

/* Drops from the object at `pointer` what the JSON object lacks, down to where merges() ends. */
static raiiaf_status drop_missing(changes *change, const char *json, rf_span object, rf_bytes *pointer,
                                  raiiaf_error *error)
{
    const raiiaf_file *file = change->edit.file;
    rf_bytes name = {0};
    rf_span present, kept;
    size_t length = pointer->size;
    raiiaf_status status = RAIIAF_OK;

    if (!rf_find(file, pointer->data, &present) || rf_json_type(file->text.data, present) != RAIIAF_JSON_OBJECT)
        return RAIIAF_OK;
    rf_json_walk walk = rf_json_begin(file->text.data, present);
    while (status == RAIIAF_OK && rf_json_next(&walk)) {
        name.size = 0;
        rf_json_decode(file->text.data, walk.name, &name);
        rf_pointer_append(pointer, name.failed ? "" : name.data, name.size);
        if (name.failed || pointer->failed) {
            status = rf_fail_memory(error, file->name);
            break;
        }
        bool nameable = !memchr(name.data, '\0', name.size);
        bool there = nameable && rf_json_member(json, object, name.data, &kept);
        if (there && merges(pointer->data) && rf_json_type(json, kept) == RAIIAF_JSON_OBJECT)
            status = drop_missing(change, json, kept, pointer, error);
        else if (nameable && !there && !kept_by_library(pointer->data) &&
                 rf_edit_find(&change->edit, pointer->data, &kept)) /* of duplicate names the first took all */
            status = change_drop(change, pointer->data, error);
        if (!pointer->failed) {
            pointer->size = length;
            pointer->data[length] = '\0';
        }
    }
    rf_bytes_free(&name);
    return status;
}

static raiiaf_status take_over(raiiaf_file *file, const char *json, size_t size, bool all, raiiaf_error *error)
{
    rf_bytes pointer = {0};
    rf_span object, inner;
    changes change = {.edit = {0}};

    rf_error_clear(error);
    raiiaf_status status = check_json(file, json, size, &object, error);
    if (status != RAIIAF_OK)
        return status;
    if (rf_json_type(json, object) != RAIIAF_JSON_OBJECT)
        return rf_fail(error, RAIIAF_ERROR_ARGUMENT, "not-an-object", RF_IN_MANIFEST(file),
                       _("metadata must be a JSON object, in the form of a manifest"));
    if ((rf_json_member(json, object, "raiiaf_metadata", &inner) ||
         rf_json_member(json, object, "gen5_metadata", &inner)) &&
        rf_json_type(json, inner) == RAIIAF_JSON_OBJECT)
        object = inner;
    rf_edit_begin(&change.edit, file);
    rf_bytes_append(&pointer, "", 0);
    status = pointer.failed ? rf_fail_memory(error, file->name) : RAIIAF_OK;
    if (status == RAIIAF_OK && all)
        status = drop_missing(&change, json, object, &pointer, error);
    if (status == RAIIAF_OK)
        status = merge_object(&change, json, object, &pointer, error);
    status = change_commit(&change, status, error);
    rf_bytes_free(&pointer);
    return status;
}

raiiaf_status raiiaf_merge(raiiaf_file *file, const char *json, size_t size, raiiaf_error *error)
{
    return take_over(file, json, size, false, error);
}

raiiaf_status rf_manifest_apply(raiiaf_file *file, const char *json, size_t size, raiiaf_error *error)
{
    return take_over(file, json, size, true, error);
}

/* ---- settling, before a save ---- */

/* Settings that have become complete move to where the format wants them; what is there already stays. */
static raiiaf_status promote_settings(raiiaf_file *file, raiiaf_error *error)
{
    rf_span source, present;
    rf_bytes all = {0}, name = {0};
    char path[256];
    const char *rule;
    raiiaf_status status = RAIIAF_OK;
    bool there = rf_find(file, RF_SETTINGS, &present);

    if (!file->settings_touched || (there && !(file->created & RF_CREATED_SETTINGS)) ||
        !rf_find(file, RF_SOURCE_SETTINGS, &source) || rf_json_type(file->text.data, source) != RAIIAF_JSON_OBJECT)
        return RAIIAF_OK;
    rf_bytes_append(&all, file->text.data + source.start, source.end - source.start);
    rf_json_walk walk = rf_json_begin(file->text.data, there ? present : source);
    while (there && rf_json_next(&walk)) {
        name.size = 0;
        rf_json_decode(file->text.data, walk.name, &name);
        if (!name.failed)
            rf_json_put(&all, (rf_span){0, all.size}, name.data, file->text.data + walk.value.start,
                        walk.value.end - walk.value.start);
    }
    if (all.failed || name.failed) {
        status = rf_fail_memory(error, file->name);
    } else if (rf_schema_check(RF_SETTINGS, all.data, (rf_span){0, all.size}, true, path, &rule)) {
        status = rf_put(file, RF_SETTINGS, all.data, all.size, error);
        if (status == RAIIAF_OK)
            status = rf_drop(file, RF_SOURCE_SETTINGS, error);
        if (status == RAIIAF_OK && rf_find(file, RF_SOURCE, &source) && source.end - source.start == 2)
            status = rf_drop(file, RF_SOURCE, error);
    }
    rf_bytes_free(&all);
    rf_bytes_free(&name);
    return status;
}

/* Required strings that nobody knows are "", tags []; the date is now. */
static raiiaf_status fill_model_info(raiiaf_file *file, raiiaf_error *error)
{
    static const char *const members[][2] = {{RF_MODEL_INFO "/model_name", "\"\""},
                                             {RF_MODEL_INFO "/version", "\"\""},
                                             {RF_MODEL_INFO "/date", NULL},
                                             {RF_MODEL_INFO "/prompt", "\"\""},
                                             {RF_MODEL_INFO "/tags", "[]"}};
    char date[32], quoted[40];
    raiiaf_status status = RAIIAF_OK;
    rf_span value;

    rf_format_date(date, rf_now());
    snprintf(quoted, sizeof quoted, "\"%s\"", date);
    for (size_t i = 0; status == RAIIAF_OK && i < sizeof members / sizeof *members; i++) {
        const char *json = members[i][1] ? members[i][1] : quoted;
        if (!rf_find(file, members[i][0], &value))
            status = rf_put(file, members[i][0], json, strlen(json), error);
    }
    return status;
}

static raiiaf_status check_complete(const raiiaf_file *file, const char *pointer, raiiaf_error *error)
{
    rf_span value;
    char path[256];
    const char *rule;

    if (!rf_find(file, pointer, &value) || rf_schema_check(pointer, file->text.data, value, true, path, &rule))
        return RAIIAF_OK;
    return refuse_schema(file, path, rule, error);
}

raiiaf_status rf_settle(raiiaf_file *file, raiiaf_error *error)
{
    bool had_model_info = rf_is_object(file, RF_MODEL_INFO);
    raiiaf_status status = promote_settings(file, error);

    if (status == RAIIAF_OK &&
        ((file->created & RF_CREATED_MODEL_INFO) || (!had_model_info && rf_is_object(file, RF_MODEL_INFO))))
        status = fill_model_info(file, error);
    if (status == RAIIAF_OK && (file->created & RF_CREATED_SETTINGS))
        status = check_complete(file, RF_SETTINGS, error);
    if (status == RAIIAF_OK && (file->created & RF_CREATED_HARDWARE))
        status = check_complete(file, RF_HARDWARE, error);
    return status;
}
