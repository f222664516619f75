/* SPDX-License-Identifier: MIT */
/*
 * import.c - a new file around an image that some other tool wrote.  This is where what the drivers recognised becomes
 * a manifest (doc/format.md, 9); what nobody knows stays empty, and the image itself keeps all its bytes.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "file.h"

#include <stdlib.h>
#include <string.h>

typedef struct importer {
    raiiaf_file *file;
    const raiiaf_legacy *legacy;
    rf_bytes json;
    bool whole; /* settings as the schema wants them; else as they come */
    const void *original;
    size_t original_size;
} importer;

/* ---- JSON, member by member ---- */

static void begin_member(rf_bytes *json, const char *name)
{
    rf_bytes_string(json, json->size == 1 ? "" : ", ");
    rf_bytes_json_string(json, name, strlen(name));
    rf_bytes_string(json, ": ");
}

static void add_string(rf_bytes *json, const char *name, const char *text)
{
    begin_member(json, name);
    rf_bytes_json_string(json, text, strlen(text));
}

static raiiaf_status put_json(importer *im, const char *pointer, raiiaf_error *error)
{
    return im->json.failed ? rf_fail_memory(error, im->file->name)
                           : rf_put(im->file, pointer, im->json.data, im->json.size, error);
}

/* ---- what is about the model ---- */

/* The tool's date in the format's form: time of day and offset, where it doesn't tell them, as 0.  NULL where it tells
   no day. */
static const char *complete_date(const raiiaf_value *value, char out[64])
{
    static const char rest[] = "T00:00:00+00:00";
    size_t size = value->size < 2 ? 0 : value->size - 2;
    if (value->type != RAIIAF_JSON_STRING || size < 10 || size > 40)
        return NULL;
    memcpy(out, value->text + 1, size);
    out[size] = 0;
    if (out[4] == ':' && out[7] == ':') /* as in Exif */
        out[4] = out[7] = '-';
    if (size > 10 && out[10] == ' ')
        out[10] = 'T';
    if (size <= 19) /* up to the seconds */
        strcpy(out + size, rest + (size - 10));
    return out;
}

static raiiaf_status put_model(importer *im, raiiaf_error *error)
{
    static const char *const names[] = {"prompt", "model_name", "tags", "date"};
    raiiaf_status status = RAIIAF_OK;
    for (size_t i = 0; !status && i < sizeof names / sizeof *names; i++) {
        raiiaf_value value;
        char path[256], date[64];
        const char *rule, *completed;
        rf_bytes pointer = {0};
        if (!raiiaf_legacy_get(im->legacy, names[i], &value))
            continue;
        im->json.size = 0;
        completed = strcmp(names[i], "date") == 0 ? complete_date(&value, date) : NULL;
        if (completed)
            rf_bytes_json_string(&im->json, completed, strlen(completed));
        else
            rf_bytes_append(&im->json, value.text, value.size);
        rf_bytes_string(&pointer, "/model_info/");
        rf_bytes_string(&pointer, names[i]);
        if (im->json.failed || pointer.failed)
            status = rf_fail_memory(error, im->file->name);
        else if (rf_schema_check(pointer.data, im->json.data, (rf_span){0, im->json.size}, true, path, &rule))
            status = rf_put(im->file, pointer.data, im->json.data, im->json.size, error);
        rf_bytes_free(&pointer);
    }
    return status;
}

static raiiaf_status put_date(importer *im, int64_t modified, raiiaf_error *error)
{
    char date[32];
    if (modified < 0)
        return RAIIAF_OK;
    rf_format_date(date, modified);
    im->json.size = 0;
    rf_bytes_json_string(&im->json, date, strlen(date));
    return put_json(im, "/model_info/date", error);
}

/* ---- settings ---- */

/* Whether the schema takes the value, as it is or as a string: then it is added so. */
static bool add_checked(importer *im, const char *name, const raiiaf_value *value)
{
    rf_bytes pointer = {0}, text = {0};
    char path[256];
    const char *rule;
    bool integer;
    rf_bytes_string(&pointer, "/model_info/generation_settings");
    rf_pointer_append(&pointer, name, strlen(name));
    rf_bytes_append(&text, value->text, value->size);
    if (!pointer.failed && value->type != RAIIAF_JSON_STRING &&
        rf_schema_type(pointer.data, &integer) == RAIIAF_JSON_STRING) {
        text.size = 0;
        rf_bytes_json_string(&text, value->text, value->size);
    }
    bool good = !pointer.failed && !text.failed &&
                rf_schema_check(pointer.data, text.data, (rf_span){0, text.size}, true, path, &rule);
    if (good) {
        begin_member(&im->json, name);
        rf_bytes_append(&im->json, text.data, text.size);
    }
    im->json.failed |= pointer.failed || text.failed;
    rf_bytes_free(&pointer);
    rf_bytes_free(&text);
    return good;
}

static bool add_setting(void *user, const char *name, const raiiaf_value *value)
{
    importer *im = user;
    if (im->whole && add_checked(im, name, value))
        return true;
    /* What the schema refuses is the tool's own, whatever it calls it. */
    if (im->whole) {
        rf_bytes own = {0};
        rf_bytes_format(&own, "%s (%s)", name, raiiaf_legacy_dialect(im->legacy));
        if (!own.failed)
            add_checked(im, own.data, value);
        im->json.failed |= own.failed;
        rf_bytes_free(&own);
        return true;
    }
    begin_member(&im->json, name);
    rf_bytes_append(&im->json, value->text, value->size);
    return true;
}

static bool is_complete(const raiiaf_legacy *legacy)
{
    raiiaf_value value;
    return raiiaf_legacy_get(legacy, "seed", &value) && raiiaf_legacy_get(legacy, "steps", &value) &&
           raiiaf_legacy_get(legacy, "sampler", &value);
}

static bool in_model_info(const char *name)
{
    static const char *const names[] = {"prompt", "model_name", "tags", "date"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

/* All that was recognised and has no place in model_info itself: to generation_settings where what is required there is
   known, else to source.settings. */
static raiiaf_status put_settings(importer *im, raiiaf_error *error)
{
    const char *name;
    im->json.size = 0;
    im->whole = is_complete(im->legacy);
    rf_bytes_string(&im->json, "{");
    for (size_t i = 0; (name = raiiaf_legacy_field(i)); i++) {
        raiiaf_value value;
        if (!in_model_info(name) && raiiaf_legacy_get(im->legacy, name, &value))
            add_setting(im, name, &value);
    }
    raiiaf_legacy_extra_each(im->legacy, add_setting, im);
    rf_bytes_string(&im->json, "}");
    if (!im->json.failed && im->json.size == 2)
        return RAIIAF_OK;
    return put_json(im, im->whole ? "/model_info/generation_settings" : "/source/settings", error);
}

/* ---- where it came from ---- */

static bool add_carrier(void *user, const raiiaf_carrier *carrier, const char *sha256)
{
    importer *im = user;
    rf_bytes entry = {0};
    rf_bytes_string(&im->json, im->json.data[im->json.size - 1] == '[' ? "" : ", ");
    rf_bytes_string(&entry, "{");
    add_string(&entry, "kind", carrier->kind);
    add_string(&entry, "keyword", carrier->keyword);
    rf_bytes_format(&entry, ", \"bytes\": %zu, \"sha256\": \"%s\"", carrier->size, sha256);
    /* Only what the image holds has a colon in its kind. */
    if (!strchr(carrier->kind, ':')) {
        bool text = strcmp(carrier->encoding, "utf-8") == 0;
        add_string(&entry, "encoding", carrier->encoding);
        begin_member(&entry, "text");
        if (text)
            rf_bytes_json_string(&entry, (const char *)carrier->data, carrier->size);
        else {
            rf_bytes_string(&entry, "\"");
            rf_bytes_base64(&entry, carrier->data, carrier->size);
            rf_bytes_string(&entry, "\"");
        }
    }
    rf_bytes_string(&entry, "}");
    rf_bytes_append(&im->json, entry.data, entry.size);
    im->json.failed |= entry.failed;
    rf_bytes_free(&entry);
    return !im->json.failed;
}

static void add_digest(importer *im)
{
    char sha256[RF_SHA256_HEX];
    if (im->original)
        rf_sha256(im->original, im->original_size, sha256);
    else {
        raiiaf_chunk_info info;
        raiiaf_chunk_get(im->file, raiiaf_image_chunk(im->file), &info);
        memcpy(sha256, info.sha256, sizeof sha256);
    }
    add_string(&im->json, "sha256", sha256);
}

static raiiaf_status put_source(importer *im, const char *file_name, int64_t modified, raiiaf_error *error)
{
    char date[32];
    const char *dialect = raiiaf_legacy_dialect(im->legacy), *tool = raiiaf_legacy_tool(im->legacy);
    const char *slash = file_name ? strrchr(file_name, '/') : NULL;
    im->json.size = 0;
    rf_bytes_string(&im->json, "{");
    if (dialect)
        add_string(&im->json, "dialect", dialect);
    if (tool)
        add_string(&im->json, "tool", tool);
    if (file_name)
        add_string(&im->json, "file_name", slash ? slash + 1 : file_name);
    if (modified >= 0) {
        rf_format_date(date, modified);
        add_string(&im->json, "modified", date);
    }
    add_digest(im);
    begin_member(&im->json, "carriers");
    rf_bytes_string(&im->json, "[");
    if (!im->json.failed)
        raiiaf_legacy_carrier_each(im->legacy, add_carrier, im);
    rf_bytes_string(&im->json, "]}");
    return put_json(im, "/source", error);
}

static raiiaf_status put_image(importer *im, const void *image, size_t size, bool borrowed, raiiaf_error *error)
{
    raiiaf_buffer view = rf_buffer_view(image, size);
    if (!borrowed)
        return raiiaf_image_set(im->file, image, size, NULL, error);
    im->file->image_changed = im->file->picture_changed = true;
    return rf_chunk_add(im->file, "DATA", &view, "{}", RAIIAF_DTYPE_NONE, 0, NULL, NULL, error);
}

static raiiaf_status fill(importer *im, const void *image, size_t size, const raiiaf_import_options *options,
                          raiiaf_error *error)
{
    bool recognised = raiiaf_legacy_dialect(im->legacy) != NULL;
    raiiaf_status status = put_date(im, options->modified, error);
    if (!status)
        status = put_image(im, image, size, options->borrowed, error);
    if (!status && (recognised || options->file_name))
        status = put_source(im, options->file_name, options->modified, error);
    if (!status && recognised)
        status = put_model(im, error);
    if (!status && recognised)
        status = put_settings(im, error);
    if (!status && im->original)
        status = rf_carriers_keep(im->file, im->original, im->original_size, image, size, error);
    return status;
}

raiiaf_status raiiaf_import(raiiaf_file **out, const void *image, size_t size, const raiiaf_import_options *import,
                            const raiiaf_open_options *options, raiiaf_error *error)
{
    static const raiiaf_import_options no_import = {.modified = -1};
    const raiiaf_import_options *how = import ? import : &no_import;
    importer im = {.original = how->original, .original_size = how->original_size};
    raiiaf_legacy *legacy = NULL;
    *out = NULL;
    raiiaf_status status = how->dialect ? RAIIAF_OK : rf_embedded(out, image, size, how, options, error);
    if (status || *out)
        return status;
    status = raiiaf_scan(&legacy, im.original ? im.original : image, im.original ? im.original_size : size, how,
                         options, error);
    im.legacy = legacy;
    if (!status)
        status = raiiaf_new(&im.file, options, error);
    if (!status && how->file_name) {
        free(im.file->name);
        im.file->name = strdup(how->file_name);
        if (!im.file->name)
            status = rf_fail_memory(error, how->file_name);
    }
    if (!status)
        status = fill(&im, image, size, how, error);
    rf_bytes_free(&im.json);
    raiiaf_legacy_free(legacy);
    if (status)
        raiiaf_close(im.file);
    else
        *out = im.file;
    return status;
}
