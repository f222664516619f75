/* SPDX-License-Identifier: MIT */
/*
 * manifest.c - places in the manifest: finding them, and editing the text there.
 *
 * An edit is prepared on a copy of the text, which takes the text's place when all of it has succeeded.  Pointers in
 * here are relative to the metadata object, "places" as doc/format.md names them: "/model_info/prompt".
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MODEL_INFO "/model_info"
#define SETTINGS "/model_info/generation_settings"
#define HARDWARE "/model_info/hardware_info"
#define SOURCE "/source"
#define SOURCE_SETTINGS "/source/settings"

static const rf_where *manifest_of(const raiiaf_file *file, rf_where *where)
{
    *where = (rf_where){file->name, "manifest", RAIIAF_NO_OFFSET};
    return where;
}
#define WHERE(file) manifest_of((file), &(rf_where){0})

/* A path in a message: a long one is cut, between characters. */
#define SHOWN_MOST 200
typedef struct shown_path {
    char text[SHOWN_MOST + 4];
} shown_path;

static const char *show(const char *path, shown_path *shown)
{
    size_t size = strlen(path);

    if (size > SHOWN_MOST) {
        size = SHOWN_MOST;
        while (size > 0 && ((unsigned char)path[size] & 0xC0) == 0x80)
            size--;
        snprintf(shown->text, sizeof shown->text, "%.*s...", (int)size, path);
    } else {
        snprintf(shown->text, sizeof shown->text, "%s", path);
    }
    return shown->text;
}
#define SHOW(path) show((path), &(shown_path){{0}})

/* ---- pointers ---- */

/* Takes the next token off a pointer, decoded, into room for all of it; false at the end or where it is malformed. */
static bool decode_token(const char **pointer, char *token)
{
    const char *p = *pointer;

    *token = '\0';
    if (*p++ != '/')
        return false;
    for (; *p && *p != '/'; p++) {
        if (*p == '~' && p[1] != '0' && p[1] != '1')
            return false;
        *token++ = *p != '~' ? *p : *++p == '0' ? '~' : '/';
    }
    *token = '\0';
    *pointer = p;
    return true;
}

static bool next_token(const char **pointer, rf_bytes *token)
{
    token->size = 0;
    rf_bytes_append(token, *pointer, strlen(*pointer)); /* as much room as it can take */
    if (token->failed || !decode_token(pointer, token->data))
        return false;
    token->size = strlen(token->data);
    return true;
}

void rf_pointer_append(rf_bytes *pointer, const char *name, size_t size)
{
    rf_bytes_string(pointer, "/");
    for (size_t i = 0; i < size; i++)
        if (name[i] == '~' || name[i] == '/')
            rf_bytes_string(pointer, name[i] == '~' ? "~0" : "~1");
        else
            rf_bytes_append(pointer, name + i, 1);
}

static bool well_formed(const char *pointer)
{
    if (*pointer && *pointer != '/')
        return false;
    for (; *pointer; pointer++)
        if (*pointer == '~' && pointer[1] != '0' && pointer[1] != '1')
            return false;
    return true;
}

/* Whether `place` is `above` or lies below it. */
static bool lies_in(const char *place, const char *above)
{
    size_t size = strlen(above);

    return strncmp(place, above, size) == 0 && (place[size] == '\0' || place[size] == '/');
}

bool rf_pointer_index(const char *token, size_t size, size_t *index)
{
    uint64_t number;

    if (size == 0 || strspn(token, "0123456789") < size || (size > 1 && token[0] == '0') ||
        !rf_json_uint64(token, (rf_span){0, size}, &number) || number > SIZE_MAX)
        return false;
    *index = (size_t)number;
    return true;
}

/* ---- finding ---- */

static rf_span metadata_in(const char *text, size_t size, raiiaf_layout layout)
{
    rf_span root = rf_json_root(text, size), metadata;

    return rf_json_member(text, root, rf_metadata_key(layout), &metadata) ? metadata : root;
}

rf_span rf_metadata(const raiiaf_file *file)
{
    return metadata_in(file->text.data, file->text.size, file->layout);
}

static bool child(const char *text, rf_span parent, const char *token, size_t size, rf_span *value)
{
    size_t index;

    return rf_json_type(text, parent) == RAIIAF_JSON_ARRAY
               ? rf_pointer_index(token, size, &index) && rf_json_element(text, parent, index, value)
               : rf_json_member_of(text, parent, token, size, value);
}

/* Takes memory for escaped tokens only: what the library itself looks for it finds without any. */
static bool find_in(const char *text, rf_span metadata, const char *pointer, rf_span *value)
{
    rf_bytes token = {0};
    bool found = true;

    *value = metadata;
    while (found && *pointer) {
        size_t size = strcspn(pointer + 1, "/");
        if (*pointer == '/' && !memchr(pointer + 1, '~', size)) {
            found = child(text, *value, pointer + 1, size, value);
            pointer += 1 + size;
        } else {
            found = next_token(&pointer, &token) && child(text, *value, token.data, token.size, value);
        }
    }
    rf_bytes_free(&token);
    return found;
}

bool rf_find(const raiiaf_file *file, const char *pointer, rf_span *value)
{
    return find_in(file->text.data, rf_metadata(file), pointer, value);
}

/* ---- editing a text ---- */

static raiiaf_status fail_place(const raiiaf_file *file, const char *pointer, raiiaf_error *error)
{
    return rf_fail(error, RAIIAF_ERROR_MISSING, "no-such-place", WHERE(file), _("there is no \"%s\""), SHOW(pointer));
}

/* What has to be made at the place `pointer` so that `next` can be put into it. */
static const char *container_for(const char *pointer, const char *next)
{
    bool array = rf_schema_type(pointer, NULL) == RAIIAF_JSON_ARRAY || lies_in(next, "/-");

    return array ? "[]" : "{}";
}

/* One step of put_in: `parent` has no `token` yet, so it gets one; *parent grows with the text. */
static void add_child(rf_bytes *text, rf_span *parent, const char *token, const char *json, size_t size)
{
    size_t before = text->size;

    if (rf_json_type(text->data, *parent) == RAIIAF_JSON_ARRAY)
        rf_json_push(text, *parent, json, size);
    else
        rf_json_put(text, *parent, token, json, size);
    parent->end += text->size - before;
}

static size_t count_elements(const char *text, rf_span array)
{
    rf_json_walk walk = rf_json_begin(text, array);
    size_t count = 0;

    while (rf_json_next(&walk))
        count++;
    return count;
}

/* How deep the manifest becomes around a value at this place: root and metadata object count as well. */
static size_t depth_at(const char *pointer, const char *json, size_t size)
{
    size_t depth = 1 + rf_json_depth(json, (rf_span){0, size});

    for (; *pointer; pointer++)
        depth += *pointer == '/';
    return depth;
}

/* Puts a JSON value into `text`, creating what is missing on the way. */
static raiiaf_status put_in(const raiiaf_file *file, rf_bytes *text, const char *pointer, const char *json, size_t size,
                            raiiaf_error *error)
{
    const rf_where *where = WHERE(file);
    rf_span at = metadata_in(text->data, text->size, file->layout), value;
    rf_bytes token = {0}, place = {0};
    raiiaf_status status = RAIIAF_OK;

    if (depth_at(pointer, json, size) > RAIIAF_MAX_DEPTH)
        return rf_fail(error, RAIIAF_ERROR_LIMIT, "manifest-depth", where,
                       _("\"%s\" can't be set: the manifest may be nested %d deep at most"), SHOW(pointer),
                       RAIIAF_MAX_DEPTH);
    for (const char *rest = pointer; *rest && !text->failed;) {
        const char *start = rest;
        if (!next_token(&rest, &token))
            break;
        rf_bytes_append(&place, start, (size_t)(rest - start));
        raiiaf_json type = rf_json_type(text->data, at);
        if (type != RAIIAF_JSON_OBJECT && type != RAIIAF_JSON_ARRAY) {
            status = rf_fail(error, RAIIAF_ERROR_ARGUMENT, "not-a-container", where,
                             _("\"%s\" can't be set: what it would be part of is neither an object nor an array"),
                             SHOW(pointer));
            break;
        }
        if (child(text->data, at, token.data, token.size, &value)) {
            if (*rest == '\0')
                rf_bytes_splice(text, value.start, value.end, json, size);
            at = value;
            continue;
        }
        size_t index, count = type == RAIIAF_JSON_ARRAY ? count_elements(text->data, at) : 0;
        if (type == RAIIAF_JSON_ARRAY && strcmp(token.data, "-") != 0 &&
            !(rf_pointer_index(token.data, token.size, &index) && index == count)) {
            status =
                rf_fail(error, RAIIAF_ERROR_MISSING, "beyond-array", where,
                        _("\"%s\" can't be set: the array has %zu elements; \"-\" appends one"), SHOW(pointer), count);
            break;
        }
        if (*rest == '\0') {
            add_child(text, &at, token.data, json, size);
        } else if (!place.failed) {
            add_child(text, &at, token.data, container_for(place.data, rest), 2);
            if (type == RAIIAF_JSON_ARRAY ? rf_json_element(text->data, at, count, &value)
                                          : rf_json_member(text->data, at, token.data, &value))
                at = value;
        }
    }
    if (status == RAIIAF_OK && (text->failed || token.failed || place.failed))
        status = rf_fail_memory(error, file->name);
    rf_bytes_free(&token);
    rf_bytes_free(&place);
    return status;
}

static raiiaf_status drop_in(const raiiaf_file *file, rf_bytes *text, const char *pointer, raiiaf_error *error)
{
    const char *last = strrchr(pointer, '/');
    rf_bytes parent = {0}, token = {0};
    rf_span at, value;
    size_t index = 0;
    bool found = false;

    rf_bytes_append(&parent, pointer, last ? (size_t)(last - pointer) : 0);
    if (last && !parent.failed && next_token(&last, &token) &&
        find_in(text->data, metadata_in(text->data, text->size, file->layout), parent.data, &at) &&
        child(text->data, at, token.data, token.size, &value)) {
        found = true;
        if (rf_json_type(text->data, at) == RAIIAF_JSON_ARRAY && rf_pointer_index(token.data, token.size, &index))
            rf_json_drop_element(text, at, index);
        else
            rf_json_drop_member(text, at, token.data);
    }
    bool failed = parent.failed || token.failed;
    rf_bytes_free(&parent);
    rf_bytes_free(&token);
    return failed ? rf_fail_memory(error, file->name) : found ? RAIIAF_OK : fail_place(file, pointer, error);
}

/* ---- edits: on a copy first ---- */

typedef struct edits {
    raiiaf_file *file;
    rf_bytes text;
    unsigned replaced; /* RF_CREATED_*: objects that it gave anew as a whole */
    bool changed, settings_touched;
} edits;

static const struct {
    const char *pointer;
    unsigned flag;
} completed[] = {{MODEL_INFO, RF_CREATED_MODEL_INFO}, {SETTINGS, RF_CREATED_SETTINGS}, {HARDWARE, RF_CREATED_HARDWARE}};

#define COMPLETED (sizeof completed / sizeof *completed)

static bool is_object(const raiiaf_file *file, const char *pointer)
{
    rf_span value;

    return rf_find(file, pointer, &value) && rf_json_type(file->text.data, value) == RAIIAF_JSON_OBJECT;
}

static unsigned objects_there(const raiiaf_file *file)
{
    unsigned there = 0;

    for (size_t i = 0; i < COMPLETED; i++)
        if (is_object(file, completed[i].pointer))
            there |= completed[i].flag;
    return there;
}

static void edit_begin(edits *edit, raiiaf_file *file)
{
    memset(edit, 0, sizeof *edit);
    edit->file = file;
    rf_bytes_append(&edit->text, file->text.data, file->text.size);
}

/* Makes the copy the file's text, if all went well; ends the edit in any case. */
static raiiaf_status edit_end(edits *edit, raiiaf_status status, raiiaf_error *error)
{
    raiiaf_file *file = edit->file;
    uint64_t most = file->limits.manifest_size;

    if (status == RAIIAF_OK && edit->text.failed)
        status = rf_fail_memory(error, file->name);
    if (status == RAIIAF_OK && most && edit->text.size > most && edit->text.size > file->text.size)
        status = rf_fail(error, RAIIAF_ERROR_LIMIT, "manifest-size", WHERE(file),
                         _("the manifest would become larger than raiiaf_limits.manifest_size allows (%llu bytes)"),
                         (unsigned long long)most);
    if (status == RAIIAF_OK) {
        rf_bytes former = file->text;
        file->text = edit->text;
        edit->text = former;
    }
    rf_bytes_free(&edit->text);
    return status;
}

/* As rf_find, in the copy. */
static bool edit_find(const edits *edit, const char *pointer, rf_span *value)
{
    const char *text = edit->text.data;

    return find_in(text, metadata_in(text, edit->text.size, edit->file->layout), pointer, value);
}

raiiaf_status rf_put(raiiaf_file *file, const char *pointer, const char *json, size_t size, raiiaf_error *error)
{
    edits edit;

    if (*pointer == '\0' || !well_formed(pointer))
        return fail_place(file, pointer, error);
    edit_begin(&edit, file);
    raiiaf_status status = edit.text.failed ? RAIIAF_OK : put_in(file, &edit.text, pointer, json, size, error);
    return edit_end(&edit, status, error);
}

raiiaf_status rf_drop(raiiaf_file *file, const char *pointer, raiiaf_error *error)
{
    edits edit;

    edit_begin(&edit, file);
    raiiaf_status status = edit.text.failed ? RAIIAF_OK : drop_in(file, &edit.text, pointer, error);
    return edit_end(&edit, status, error);
}

raiiaf_status rf_push(raiiaf_file *file, const char *pointer, const char *json, size_t size, raiiaf_error *error)
{
    rf_bytes end = {0};

    rf_bytes_string(&end, pointer);
    rf_bytes_string(&end, "/-");
    raiiaf_status status = end.failed ? rf_fail_memory(error, file->name) : rf_put(file, end.data, json, size, error);
    rf_bytes_free(&end);
    return status;
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
        if (lies_in(pointer, kept[i]))
            return true;
    if (!lies_in(pointer, "/chunks"))
        return false;
    const char *record = pointer + strlen("/chunks");
    const char *extra = *record ? strchr(record + 1, '/') : NULL;
    if (!extra || !lies_in(extra, "/extra") || extra[strlen("/extra")] == '\0' || record[1] == '-')
        return true;
    const char *name = extra + strlen("/extra/");
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (lies_in(name, ours[i]))
            return true;
    return false;
}

static raiiaf_status refuse_kept(const raiiaf_file *file, const char *pointer, raiiaf_error *error)
{
    return rf_fail(error, RAIIAF_ERROR_SCHEMA, "kept-by-library", WHERE(file),
                   _("\"%s\" can't be changed: the library writes it itself"), SHOW(pointer));
}

static raiiaf_status refuse_schema(const raiiaf_file *file, const char *path, const char *rule, raiiaf_error *error)
{
    /* TRANSLATORS: a place in the manifest, and what it must be: "an integer, at least 1" */
    return rf_fail(error, RAIIAF_ERROR_SCHEMA, "schema", WHERE(file), _("\"%s\" must be %s"), path, rule);
}

/* An edit below a list of GPUs may leave it broken only if it was so before: an element lives or dies as a whole. */
static raiiaf_status check_gpus(const edits *edit, const char *pointer, raiiaf_error *error)
{
    static const char gpus[] = HARDWARE "/gpu";
    char path[256];
    const char *rule;
    rf_span before, after;

    if (!lies_in(pointer, gpus) || !edit_find(edit, gpus, &after) ||
        rf_schema_check(gpus, edit->text.data, after, true, path, &rule))
        return RAIIAF_OK;
    char former_path[256];
    const char *former_rule;
    if (rf_find(edit->file, gpus, &before) &&
        !rf_schema_check(gpus, edit->file->text.data, before, true, former_path, &former_rule))
        return RAIIAF_OK;
    return refuse_schema(edit->file, path, rule, error);
}

static void note_change(edits *edit, const char *pointer)
{
    edit->changed = true;
    for (size_t i = 0; i < COMPLETED; i++)
        if (lies_in(completed[i].pointer, pointer))
            edit->replaced |= completed[i].flag;
    if (lies_in(pointer, SETTINGS) || lies_in(SETTINGS, pointer) || lies_in(pointer, SOURCE_SETTINGS) ||
        lies_in(SOURCE_SETTINGS, pointer))
        edit->settings_touched = true;
}

/* Puts JSON that has been checked at a place, as a caller may. */
static raiiaf_status edit_put(edits *edit, const char *pointer, const char *json, size_t size, raiiaf_error *error)
{
    const raiiaf_file *file = edit->file;
    rf_span present;
    char path[256];
    const char *rule;

    if (edit->text.failed)
        return RAIIAF_OK;
    if (kept_by_library(pointer))
        return refuse_kept(file, pointer, error);
    if (edit_find(edit, pointer, &present) && present.end - present.start == size &&
        memcmp(edit->text.data + present.start, json, size) == 0)
        return RAIIAF_OK;
    if (!rf_schema_check(pointer, json, (rf_span){0, size}, false, path, &rule))
        return refuse_schema(file, path, rule, error);
    raiiaf_status status = put_in(file, &edit->text, pointer, json, size, error);
    if (status == RAIIAF_OK)
        status = check_gpus(edit, pointer, error);
    if (status == RAIIAF_OK)
        note_change(edit, pointer);
    return status;
}

static raiiaf_status edit_drop(edits *edit, const char *pointer, raiiaf_error *error)
{
    if (edit->text.failed)
        return RAIIAF_OK;
    if (kept_by_library(pointer))
        return refuse_kept(edit->file, pointer, error);
    if (rf_schema_required(pointer))
        /* TRANSLATORS: stands behind "must be" */
        return refuse_schema(edit->file, pointer, _("present"), error);
    raiiaf_status status = drop_in(edit->file, &edit->text, pointer, error);
    if (status == RAIIAF_OK)
        note_change(edit, pointer);
    return status;
}

/* As edit_end, for a caller's edit: what it changed is remembered until the file is saved. */
static raiiaf_status edit_commit(edits *edit, raiiaf_status status, raiiaf_error *error)
{
    raiiaf_file *file = edit->file;
    unsigned existed = objects_there(file);

    status = edit_end(edit, status, error);
    if (status != RAIIAF_OK || !edit->changed)
        return status;
    unsigned there = objects_there(file);
    file->created = ((file->created | edit->replaced | ~existed) & there);
    file->settings_touched |= edit->settings_touched;
    file->edited = true;
    file->description_changed = true;
    return status;
}

/* ---- paths ---- */

/* The place where a setting that doesn't exist yet belongs. */
static void new_place(const raiiaf_file *file, const char *name, rf_bytes *pointer)
{
    size_t head = strcspn(name, ".");
    rf_bytes first = {0};

    rf_bytes_append(&first, name, head);
    const char *home = first.failed ? NULL : rf_schema_home(first.data);
    if (home && name[head]) {
        /* "gpu.0.name" goes into the list; of other names the dots are part. */
        rf_bytes_string(pointer, home);
        rf_pointer_append(pointer, name, head);
        if (pointer->failed || rf_schema_type(pointer->data, NULL) != RAIIAF_JSON_ARRAY) {
            pointer->size = 0;
            home = rf_schema_home(name);
        } else {
            for (const char *part = name + head; *part; part += head) {
                head = strcspn(++part, ".");
                rf_pointer_append(pointer, part, head);
            }
        }
    }
    if (pointer->size == 0) {
        rf_bytes_string(pointer, home ? home : is_object(file, SETTINGS) ? SETTINGS : SOURCE_SETTINGS);
        rf_pointer_append(pointer, name, strlen(name));
    }
    pointer->failed |= first.failed;
    rf_bytes_free(&first);
}

/* A pointer from the manifest's root is one from the metadata object, unless that has a member of its own name. */
static const char *skip_metadata_key(const raiiaf_file *file, const char *path)
{
    static const char *const keys[] = {"/raiiaf_metadata", "/gen5_metadata"};
    rf_span value;

    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (lies_in(path, keys[i]) && !rf_find(file, keys[i], &value))
            return path + strlen(keys[i]);
    return path;
}

/* Turns a caller's path into a pointer.  Without `create`, a setting that doesn't exist is RAIIAF_ERROR_MISSING. */
static raiiaf_status resolve(const raiiaf_file *file, const char *path, bool create, rf_bytes *pointer,
                             raiiaf_error *error)
{
    rf_span value;

    if (!rf_utf8_valid(path, strlen(path)))
        return rf_fail(error, RAIIAF_ERROR_ARGUMENT, "bad-path", WHERE(file), _("a path is not valid UTF-8"));
    if (*path == '\0' || *path == '/') {
        if (!well_formed(path))
            return rf_fail(error, RAIIAF_ERROR_ARGUMENT, "bad-path", WHERE(file),
                           _("\"%s\" is not a JSON pointer: \"~\" stands for \"~0\" or \"~1\" only"), SHOW(path));
        rf_bytes_string(pointer, skip_metadata_key(file, path));
    } else if (!rf_setting_find(file, path, pointer, &value)) {
        if (!create)
            return fail_place(file, path, error);
        pointer->size = 0;
        new_place(file, path, pointer);
    }
    return pointer->failed ? rf_fail_memory(error, file->name) : RAIIAF_OK;
}

/* ---- reading ---- */

static raiiaf_value value_at(const char *text, rf_span span)
{
    return (raiiaf_value){rf_json_type(text, span), text + span.start, span.end - span.start};
}

void raiiaf_manifest_text(const raiiaf_file *file, const char **text, size_t *size)
{
    *text = file->text.data;
    *size = file->text.size;
}

static bool find_path(const raiiaf_file *file, const char *path, rf_span *value)
{
    if (*path && *path != '/')
        return rf_setting_find(file, path, NULL, value);
    return well_formed(path) && rf_find(file, skip_metadata_key(file, path), value);
}

bool raiiaf_get(const raiiaf_file *file, const char *path, raiiaf_value *value)
{
    rf_span span;

    *value = (raiiaf_value){RAIIAF_JSON_NULL, NULL, 0};
    if (!find_path(file, path, &span))
        return false;
    *value = value_at(file->text.data, span);
    return true;
}

/* A name as C may see it: a NUL inside would cut it into another name. */
static void name_for_c(rf_bytes *name)
{
    static const char replacement[] = "\xEF\xBF\xBD";
    char *nul;

    while (!name->failed && (nul = memchr(name->data, '\0', name->size))) {
        size_t at = (size_t)(nul - name->data);
        rf_bytes_splice(name, at, at + 1, replacement, strlen(replacement));
    }
}

bool raiiaf_each(const raiiaf_file *file, const char *pointer,
                 bool (*callback)(void *user, const char *name, const raiiaf_value *value), void *user)
{
    const char *text = file->text.data;
    rf_json_names names;
    rf_bytes name = {0};
    rf_span container;

    if (!find_path(file, pointer, &container) || !rf_json_names_begin(&names, text, container))
        return false;
    rf_json_walk walk = rf_json_begin(text, container);
    for (bool go_on = true; go_on && rf_json_next(&walk);) {
        if (!rf_json_names_last(&names, &walk))
            continue;
        name.size = 0;
        if (walk.object)
            rf_json_decode(text, walk.name, &name);
        else
            rf_bytes_format(&name, "%zu", walk.index);
        name_for_c(&name);
        raiiaf_value value = value_at(text, walk.value);
        go_on = !name.failed && callback(user, name.data, &value);
    }
    rf_json_names_end(&names);
    rf_bytes_free(&name);
    return true;
}

static void append_value(const raiiaf_value *value, rf_bytes *out)
{
    if (value->type == RAIIAF_JSON_STRING)
        rf_json_decode(value->text, (rf_span){0, value->size}, out);
    else
        rf_bytes_append(out, value->text, value->size);
}

raiiaf_status raiiaf_value_text(const raiiaf_value *value, raiiaf_buffer *text, raiiaf_error *error)
{
    rf_bytes out = {0};

    *text = (raiiaf_buffer){0};
    append_value(value, &out);
    return rf_bytes_to_buffer(&out, text, error);
}

bool raiiaf_value_uint64(const raiiaf_value *value, uint64_t *number)
{
    return value->type == RAIIAF_JSON_NUMBER && rf_json_uint64(value->text, (rf_span){0, value->size}, number);
}

bool raiiaf_value_double(const raiiaf_value *value, double *number)
{
    return value->type == RAIIAF_JSON_NUMBER && rf_parse_double(value->text, value->size, number);
}

/* ---- changing ---- */

/* Checks a caller's JSON; *span becomes the value in it. */
static raiiaf_status check_json(const raiiaf_file *file, const char *json, size_t size, rf_span *span,
                                raiiaf_error *error)
{
    size_t position = 0;

    if (!rf_json_check(json, size, &position))
        return rf_fail(error, RAIIAF_ERROR_ARGUMENT, "json-syntax", WHERE(file),
                       _("what is to be set is not a JSON value: it goes wrong at its byte %zu"), position);
    *span = rf_json_root(json, size);
    return RAIIAF_OK;
}

static raiiaf_status set_place(raiiaf_file *file, const char *pointer, const char *json, size_t size,
                               raiiaf_error *error)
{
    edits edit;

    edit_begin(&edit, file);
    return edit_commit(&edit, edit_put(&edit, pointer, json, size, error), error);
}

raiiaf_status raiiaf_set(raiiaf_file *file, const char *path, const char *json, size_t size, raiiaf_error *error)
{
    rf_bytes pointer = {0};
    rf_span span;

    rf_error_clear(error);
    raiiaf_status status = check_json(file, json, size, &span, error);
    if (status == RAIIAF_OK)
        status = resolve(file, path, true, &pointer, error);
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

/* A number that a person may set a known setting to: NaN and Infinity are Python's, not theirs. */
static bool read_number(bool integer, const char *text, rf_bytes *json)
{
    return read_as(RAIIAF_JSON_NUMBER, text, json) &&
           (json->failed || strspn(json->data, integer ? "-0123456789" : "-+.0123456789Ee") == json->size);
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
        return rf_fail(error, RAIIAF_ERROR_ARGUMENT, "not-json", WHERE(file),
                       _("\"%s\" is an array or object: it takes JSON text of the same kind, nothing else"),
                       SHOW(pointer));
    if (!read_as(RAIIAF_JSON_NULL, text, json))
        read_as(RAIIAF_JSON_STRING, text, json);
    return RAIIAF_OK;
}

/* Whether a value, as a host shows it, is this text already.  A host of C strings sees a value up to its first NUL. */
static bool reads_as(const raiiaf_value *value, const char *text)
{
    rf_bytes shown = {0};

    append_value(value, &shown);
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
    raiiaf_status status = resolve(file, path, true, &pointer, error);
    if (status != RAIIAF_OK)
        goto done;
    if (!rf_utf8_valid(text, strlen(text))) {
        status = rf_fail(error, RAIIAF_ERROR_ARGUMENT, "not-utf8", WHERE(file), _("the text for \"%s\" is not UTF-8"),
                         SHOW(pointer.data));
        goto done;
    }
    if (kept_by_library(pointer.data)) {
        status = refuse_kept(file, pointer.data, error);
        goto done;
    }
    if (rf_find(file, pointer.data, &span)) {
        present = true;
        value = value_at(file->text.data, span);
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
    edits edit;

    rf_error_clear(error);
    raiiaf_status status = resolve(file, path, false, &pointer, error);
    if (status == RAIIAF_OK) {
        edit_begin(&edit, file);
        bool everywhere = *path != '/' && !is_element(file, pointer.data);
        status = edit_drop(&edit, pointer.data, error);
        /* A setting goes from wherever it lives: otherwise another one of its name would come to light. */
        for (size_t i = 0; status == RAIIAF_OK && everywhere && i < RF_HOMES && !edit.text.failed; i++) {
            rf_span present;
            pointer.size = 0;
            rf_bytes_string(&pointer, rf_homes[i]);
            rf_pointer_append(&pointer, path, strlen(path));
            if (pointer.failed)
                status = rf_fail_memory(error, file->name);
            else if (edit_find(&edit, pointer.data, &present))
                status = edit_drop(&edit, pointer.data, error);
        }
        status = edit_commit(&edit, status, error);
    }
    rf_bytes_free(&pointer);
    return status;
}

/* ---- merging ---- */

/* Objects that are merged member by member; others are taken over whole. */
static bool merges(const char *pointer)
{
    static const char *const objects[] = {MODEL_INFO, SETTINGS, HARDWARE, SOURCE, SOURCE_SETTINGS};

    for (size_t i = 0; i < sizeof objects / sizeof *objects; i++)
        if (strcmp(pointer, objects[i]) == 0)
            return true;
    return *pointer == '\0';
}

static bool edit_has_object(const edits *edit, const char *pointer)
{
    rf_span value;

    return edit_find(edit, pointer, &value) && rf_json_type(edit->text.data, value) == RAIIAF_JSON_OBJECT;
}

/* Recurses as deep as merges() lets it: three levels. */
static raiiaf_status merge_object(edits *edit, const char *json, rf_span object, rf_bytes *pointer, raiiaf_error *error)
{
    rf_json_names names;
    rf_bytes name = {0};
    size_t length = pointer->size;
    raiiaf_status status = RAIIAF_OK;

    if (!rf_json_names_begin(&names, json, object))
        return rf_fail_memory(error, edit->file->name);
    rf_json_walk walk = rf_json_begin(json, object);
    while (status == RAIIAF_OK && rf_json_next(&walk)) {
        if (!rf_json_names_last(&names, &walk))
            continue;
        name.size = 0;
        rf_json_decode(json, walk.name, &name);
        rf_pointer_append(pointer, name.failed ? "" : name.data, name.size);
        if (name.failed || pointer->failed || edit->text.failed) {
            status = rf_fail_memory(error, edit->file->name);
        } else if (memchr(name.data, '\0', name.size)) {
            status = rf_fail(error, RAIIAF_ERROR_ARGUMENT, "bad-path", WHERE(edit->file),
                             _("a member of \"%s\" has U+0000 in its name"), SHOW(pointer->data));
        } else if (!kept_by_library(pointer->data)) {
            if (merges(pointer->data) && rf_json_type(json, walk.value) == RAIIAF_JSON_OBJECT &&
                edit_has_object(edit, pointer->data))
                status = merge_object(edit, json, walk.value, pointer, error);
            else
                status =
                    edit_put(edit, pointer->data, json + walk.value.start, walk.value.end - walk.value.start, error);
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

raiiaf_status raiiaf_merge(raiiaf_file *file, const char *json, size_t size, raiiaf_error *error)
{
    rf_bytes pointer = {0};
    rf_span object, inner;
    edits edit;

    rf_error_clear(error);
    raiiaf_status status = check_json(file, json, size, &object, error);
    if (status != RAIIAF_OK)
        return status;
    if (rf_json_type(json, object) != RAIIAF_JSON_OBJECT)
        return rf_fail(error, RAIIAF_ERROR_ARGUMENT, "not-an-object", WHERE(file),
                       _("metadata must be a JSON object, in the form of a manifest"));
    if ((rf_json_member(json, object, "raiiaf_metadata", &inner) ||
         rf_json_member(json, object, "gen5_metadata", &inner)) &&
        rf_json_type(json, inner) == RAIIAF_JSON_OBJECT)
        object = inner;
    edit_begin(&edit, file);
    rf_bytes_append(&pointer, "", 0);
    status = edit_commit(&edit, merge_object(&edit, json, object, &pointer, error), error);
    rf_bytes_free(&pointer);
    return status;
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
    bool there = rf_find(file, SETTINGS, &present);

    if (!file->settings_touched || (there && !(file->created & RF_CREATED_SETTINGS)) ||
        !rf_find(file, SOURCE_SETTINGS, &source) || rf_json_type(file->text.data, source) != RAIIAF_JSON_OBJECT)
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
    } else if (rf_schema_check(SETTINGS, all.data, (rf_span){0, all.size}, true, path, &rule)) {
        status = rf_put(file, SETTINGS, all.data, all.size, error);
        if (status == RAIIAF_OK)
            status = rf_drop(file, SOURCE_SETTINGS, error);
        if (status == RAIIAF_OK && rf_find(file, SOURCE, &source) && source.end - source.start == 2)
            status = rf_drop(file, SOURCE, error);
    }
    rf_bytes_free(&all);
    rf_bytes_free(&name);
    return status;
}

/* Required strings that nobody knows are "", tags []; the date is now. */
static raiiaf_status fill_model_info(raiiaf_file *file, raiiaf_error *error)
{
    static const char *const members[][2] = {{MODEL_INFO "/model_name", "\"\""},
                                             {MODEL_INFO "/version", "\"\""},
                                             {MODEL_INFO "/date", NULL},
                                             {MODEL_INFO "/prompt", "\"\""},
                                             {MODEL_INFO "/tags", "[]"}};
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
    bool had_model_info = is_object(file, MODEL_INFO);
    raiiaf_status status = promote_settings(file, error);

    if (status == RAIIAF_OK &&
        ((file->created & RF_CREATED_MODEL_INFO) || (!had_model_info && is_object(file, MODEL_INFO))))
        status = fill_model_info(file, error);
    if (status == RAIIAF_OK && (file->created & RF_CREATED_SETTINGS))
        status = check_complete(file, SETTINGS, error);
    if (status == RAIIAF_OK && (file->created & RF_CREATED_HARDWARE))
        status = check_complete(file, HARDWARE, error);
    return status;
}
