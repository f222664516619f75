/* SPDX-License-Identifier: MIT */
/*
 * manifest.c - places in the manifest: finding them, and splicing values into the text there.  What a caller may do to
 * them, change.c knows.
 *
 * An edit is prepared on a copy of the text, which takes the text's place when all of it has succeeded.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "manifest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *rf_show_path(const char *path, rf_shown_path *shown)
{
    size_t size = strlen(path);

    if (size > RF_SHOWN_MOST) {
        size = RF_SHOWN_MOST;
        while (size > 0 && ((unsigned char)path[size] & 0xC0) == 0x80)
            size--;
        snprintf(shown->text, sizeof shown->text, "%.*s...", (int)size, path);
    } else {
        snprintf(shown->text, sizeof shown->text, "%s", path);
    }
    return shown->text;
}

raiiaf_status rf_fail_place(const raiiaf_file *file, const char *pointer, raiiaf_error *error)
{
    return rf_fail(error, RAIIAF_ERROR_MISSING, "no-such-place", RF_IN_MANIFEST(file), _("there is no \"%s\""),
                   RF_SHOW(pointer));
}

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

bool rf_lies_in(const char *pointer, const char *above)
{
    size_t size = strlen(above);

    return strncmp(pointer, above, size) == 0 && (pointer[size] == '\0' || pointer[size] == '/');
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

/* As child, of a token with "~0" or "~1" in it, `size` bytes long so far; *pointer is at its slash and moves behind. */
static bool escaped_child(const char *text, rf_span parent, const char **pointer, size_t size, rf_span *value)
{
    char room[256];
    char *token = size < sizeof room ? room : malloc(size + 1);
    bool found = token && decode_token(pointer, token) && child(text, parent, token, strlen(token), value);

    if (token != room)
        free(token);
    return found;
}

/* A place with names of ordinary length is found without memory being taken: "not there" must not mean "no memory". */
static bool find_in(const char *text, rf_span metadata, const char *pointer, rf_span *value)
{
    bool found = true;

    *value = metadata;
    while (found && *pointer) {
        size_t size = strcspn(pointer + 1, "/");
        if (*pointer == '/' && !memchr(pointer + 1, '~', size)) {
            found = child(text, *value, pointer + 1, size, value);
            pointer += 1 + size;
        } else {
            found = escaped_child(text, *value, &pointer, size, value);
        }
    }
    return found;
}

bool rf_find(const raiiaf_file *file, const char *pointer, rf_span *value)
{
    return find_in(file->text.data, rf_metadata(file), pointer, value);
}

bool rf_is_object(const raiiaf_file *file, const char *pointer)
{
    rf_span value;

    return rf_find(file, pointer, &value) && rf_json_type(file->text.data, value) == RAIIAF_JSON_OBJECT;
}

/* ---- editing a text ---- */

/* What has to be made at the place `pointer` so that `next` can be put into it. */
static const char *container_for(const char *pointer, const char *next)
{
    bool array = rf_schema_type(pointer, NULL) == RAIIAF_JSON_ARRAY || rf_lies_in(next, "/-");

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
    const rf_where *where = RF_IN_MANIFEST(file);
    rf_span at = metadata_in(text->data, text->size, file->layout), value;
    rf_bytes token = {0}, place = {0};
    raiiaf_status status = RAIIAF_OK;

    if (depth_at(pointer, json, size) > RAIIAF_MAX_DEPTH)
        return rf_fail(error, RAIIAF_ERROR_LIMIT, "manifest-depth", where,
                       _("\"%s\" can't be set: the manifest may be nested %d deep at most"), RF_SHOW(pointer),
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
                             RF_SHOW(pointer));
            break;
        }
        if (child(text->data, at, token.data, token.size, &value)) {
            if (*rest == '\0')
                rf_bytes_splice(text, value.start, value.end, json, size);
            at = value;
            continue;
        }
        size_t index, count = type == RAIIAF_JSON_ARRAY ? rf_json_count(text->data, at) : 0;
        if (type == RAIIAF_JSON_ARRAY && strcmp(token.data, "-") != 0 &&
            !(rf_pointer_index(token.data, token.size, &index) && index == count)) {
            status = rf_fail(error, RAIIAF_ERROR_MISSING, "beyond-array", where,
                             _("\"%s\" can't be set: the array has %zu elements; \"-\" appends one"), RF_SHOW(pointer),
                             count);
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
    return failed ? rf_fail_memory(error, file->name) : found ? RAIIAF_OK : rf_fail_place(file, pointer, error);
}

/* ---- edits ---- */

void rf_edit_begin(rf_edit *edit, raiiaf_file *file)
{
    *edit = (rf_edit){.file = file};
    rf_bytes_append(&edit->text, file->text.data, file->text.size);
}

raiiaf_status rf_edit_end(rf_edit *edit, raiiaf_status status, raiiaf_error *error)
{
    raiiaf_file *file = edit->file;
    uint64_t most = file->limits.manifest_size;

    if (status == RAIIAF_OK && edit->text.failed)
        status = rf_fail_memory(error, file->name);
    if (status == RAIIAF_OK && most && edit->text.size > most && edit->text.size > file->text.size)
        status = rf_fail(error, RAIIAF_ERROR_LIMIT, "manifest-size", RF_IN_MANIFEST(file),
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

bool rf_edit_find(const rf_edit *edit, const char *pointer, rf_span *value)
{
    const char *text = edit->text.data;

    return find_in(text, metadata_in(text, edit->text.size, edit->file->layout), pointer, value);
}

raiiaf_status rf_edit_put(rf_edit *edit, const char *pointer, const char *json, size_t size, raiiaf_error *error)
{
    if (edit->text.failed)
        return rf_fail_memory(error, edit->file->name);
    if (*pointer == '\0' || !well_formed(pointer))
        return rf_fail_place(edit->file, pointer, error);
    return put_in(edit->file, &edit->text, pointer, json, size, error);
}

raiiaf_status rf_edit_drop(rf_edit *edit, const char *pointer, raiiaf_error *error)
{
    if (edit->text.failed)
        return rf_fail_memory(error, edit->file->name);
    return drop_in(edit->file, &edit->text, pointer, error);
}

raiiaf_status rf_put(raiiaf_file *file, const char *pointer, const char *json, size_t size, raiiaf_error *error)
{
    rf_edit edit;

    rf_edit_begin(&edit, file);
    return rf_edit_end(&edit, rf_edit_put(&edit, pointer, json, size, error), error);
}

raiiaf_status rf_drop(raiiaf_file *file, const char *pointer, raiiaf_error *error)
{
    rf_edit edit;

    rf_edit_begin(&edit, file);
    return rf_edit_end(&edit, rf_edit_drop(&edit, pointer, error), error);
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
        rf_bytes_string(pointer, home ? home : rf_is_object(file, RF_SETTINGS) ? RF_SETTINGS : RF_SOURCE_SETTINGS);
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
        if (rf_lies_in(path, keys[i]) && !rf_find(file, keys[i], &value))
            return path + strlen(keys[i]);
    return path;
}

raiiaf_status rf_resolve(const raiiaf_file *file, const char *path, bool create, rf_bytes *pointer, raiiaf_error *error)
{
    rf_span value;

    if (!rf_utf8_valid(path, strlen(path)))
        return rf_fail(error, RAIIAF_ERROR_ARGUMENT, "bad-path", RF_IN_MANIFEST(file), _("a path is not valid UTF-8"));
    if (*path == '\0' || *path == '/') {
        if (!well_formed(path))
            return rf_fail(error, RAIIAF_ERROR_ARGUMENT, "bad-path", RF_IN_MANIFEST(file),
                           _("\"%s\" is not a JSON pointer: \"~\" stands for \"~0\" or \"~1\" only"), RF_SHOW(path));
        rf_bytes_string(pointer, skip_metadata_key(file, path));
    } else if (!rf_setting_find(file, path, pointer, &value)) {
        if (!create)
            return rf_fail_place(file, path, error);
        pointer->size = 0;
        new_place(file, path, pointer);
    }
    return pointer->failed ? rf_fail_memory(error, file->name) : RAIIAF_OK;
}

/* ---- reading ---- */

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
    *value = rf_value_at(file->text.data, span);
    return true;
}

/* A member's name as C may see it: a NUL inside, which would cut it into another name, is U+FFFD. */
static void name_for_c(const char *text, rf_span string, rf_bytes *decoded, rf_bytes *name)
{
    decoded->size = 0;
    rf_json_decode(text, string, decoded);
    name->failed |= decoded->failed;
    for (size_t at = 0; !name->failed && at <= decoded->size; at++) {
        size_t run = strlen(decoded->data + at);
        rf_bytes_append(name, decoded->data + at, run);
        at += run;
        if (at < decoded->size)
            rf_bytes_string(name, "\xEF\xBF\xBD");
    }
}

bool raiiaf_each(const raiiaf_file *file, const char *pointer,
                 bool (*callback)(void *user, const char *name, const raiiaf_value *value), void *user)
{
    const char *text = file->text.data;
    rf_json_names names;
    rf_bytes name = {0}, decoded = {0};
    rf_span container;

    if (!find_path(file, pointer, &container) || !rf_json_names_begin(&names, text, container))
        return false;
    rf_json_walk walk = rf_json_begin(text, container);
    for (bool go_on = true; go_on && rf_json_next(&walk);) {
        if (!rf_json_names_last(&names, &walk))
            continue;
        name.size = 0;
        if (walk.object)
            name_for_c(text, walk.name, &decoded, &name);
        else
            rf_bytes_format(&name, "%zu", walk.index);
        raiiaf_value value = rf_value_at(text, walk.value);
        go_on = !name.failed && callback(user, name.data, &value);
    }
    rf_json_names_end(&names);
    rf_bytes_free(&name);
    rf_bytes_free(&decoded);
    return true;
}

void rf_append_value(const raiiaf_value *value, rf_bytes *out)
{
    if (value->type == RAIIAF_JSON_STRING)
        rf_json_decode(value->text, (rf_span){0, value->size}, out);
    else
        rf_bytes_append(out, value->text, value->size);
}

/* Where a manifest is indented, white space with a line's end stands between tokens alone. */
void rf_append_flat(const raiiaf_value *value, rf_bytes *out)
{
    const char *text = value->text, *end = text + value->size;
    while (text < end) {
        size_t size = 0;
        while (text + size < end && text[size] != '\n' && text[size] != '\r')
            size++;
        rf_bytes_append(out, text, size);
        text += size;
        if (text < end && size > 0 && text[-1] == ',')
            rf_bytes_string(out, " ");
        while (text < end && strchr(" \t\r\n", *text))
            text++;
    }
}

raiiaf_status raiiaf_value_text(const raiiaf_value *value, raiiaf_buffer *text, raiiaf_error *error)
{
    rf_bytes out = {0};

    *text = (raiiaf_buffer){0};
    rf_append_value(value, &out);
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
