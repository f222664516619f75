/* SPDX-License-Identifier: MIT */
/*
 * keep.c - keeping the text of an image that is given up, in the manifest's source.carriers (doc/format.md, 9).
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "file.h"
#include "parts.h"

#include <stdlib.h>
#include <string.h>

/* ---- what two carriers have in common ---- */

/* The name of something, by which it is found again, and where in a list that is. */
typedef struct mark {
    char hex[RF_SHA256_HEX];
    size_t index;
} mark;

typedef struct marks {
    mark *all;
    size_t count, capacity;
    bool failed;
} marks;

static void add_mark(marks *set, const rf_bytes *name, size_t index)
{
    if (set->count == set->capacity && !set->failed) {
        size_t capacity = set->capacity ? 2 * set->capacity : 16;
        mark *all = realloc(set->all, capacity * sizeof *all);
        if (all) {
            set->all = all;
            set->capacity = capacity;
        }
    }
    set->failed |= name->failed || set->count == set->capacity;
    if (set->failed)
        return;
    rf_sha256(name->data, name->size, set->all[set->count].hex);
    set->all[set->count++].index = index;
}

static int compare_marks(const void *a, const void *b)
{
    return strcmp(((const mark *)a)->hex, ((const mark *)b)->hex);
}

static const mark *find_mark(const marks *set, const rf_bytes *name)
{
    mark wanted;
    if (!set->count || name->failed)
        return NULL;
    rf_sha256(name->data, name->size, wanted.hex);
    return bsearch(&wanted, set->all, set->count, sizeof wanted, compare_marks);
}

/* What a carrier is, whichever file format holds it. */
static const char *class_of(const raiiaf_carrier *carrier)
{
    const char *form = strchr(carrier->kind, ':') + 1;
    if (strcmp(form + 1, "TXt") == 0 || strcmp(form, "tEXt") == 0)
        return strcmp(carrier->keyword, "XML:com.adobe.xmp") == 0 ? "xmp" : "text";
    return strcmp(form, "eXIf") == 0 ? "exif" : strcmp(form, "caBX") == 0 ? "c2pa" : form;
}

/* Appends what makes a carrier the same as another: class, keyword and the very bytes. */
static void append_meaning(rf_bytes *out, const raiiaf_carrier *carrier)
{
    const char *class = class_of(carrier);
    rf_bytes_append(out, class, strlen(class) + 1);
    if (strcmp(class, "xmp") != 0)
        rf_bytes_append(out, carrier->keyword, strlen(carrier->keyword) + 1);
    /* A time stamp that every writer renews is no text that the former one loses. */
    if (strncmp(carrier->keyword, "date:", 5) != 0)
        rf_bytes_append(out, carrier->data, carrier->size);
}

/* ---- keeping ---- */

/* An element of source.carriers as it stands, and what it lacked. */
typedef struct entry {
    bool complete;
    const char *encoding; /* NULL: nothing to add */
    rf_bytes text;        /* as JSON */
} entry;

typedef struct keeper {
    raiiaf_file *file;
    rf_span list; /* source.carriers as it stands, if entry_count */
    entry *entries;
    size_t entry_count;
    marks recorded; /* those entries: kind, keyword, digest */
    marks carried;  /* by the new image: meanings */
    rf_bytes added; /* elements that come new */
    uint64_t room;  /* bytes that the manifest may still take */
    bool failed;
} keeper;

/* Profiles that ImageMagick puts into PNG text are no text; a capsule would even put the file into itself. */
static bool is_profile(const raiiaf_carrier *carrier)
{
    static const char *const names[] = {"Raw profile type raiiaf", "Raw profile type icc", "Raw profile type icm"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(carrier->keyword, names[i]) == 0)
            return true;
    }
    return false;
}

static bool note_carried(void *user, const raiiaf_carrier *carrier)
{
    keeper *k = user;
    rf_bytes name = {0};
    append_meaning(&name, carrier);
    add_mark(&k->carried, &name, 0);
    rf_bytes_free(&name);
    return !k->carried.failed;
}

static void spell_text(rf_bytes *out, const raiiaf_carrier *carrier)
{
    rf_bytes utf8 = {0};
    if (strcmp(carrier->encoding, "base64") == 0) {
        rf_bytes_string(out, "\"");
        rf_bytes_base64(out, carrier->data, carrier->size);
        rf_bytes_string(out, "\"");
    } else if (strcmp(carrier->encoding, "latin-1") == 0) {
        rf_bytes_latin1(&utf8, carrier->data, carrier->size);
        rf_bytes_json_string(out, utf8.data ? utf8.data : "", utf8.size);
        out->failed |= utf8.failed;
    } else
        rf_bytes_json_string(out, (const char *)carrier->data, carrier->size);
    rf_bytes_free(&utf8);
}

/* text is JSON, or NULL where it can't be kept. */
static void spell_element(rf_bytes *out, const raiiaf_carrier *carrier, const char *sha256, const rf_bytes *text)
{
    rf_bytes_format(out, "{\"kind\": \"%s\", \"keyword\": ", carrier->kind);
    rf_bytes_json_string(out, carrier->keyword, strlen(carrier->keyword));
    rf_bytes_format(out, ", \"bytes\": %zu, \"sha256\": \"%s\"", carrier->size, sha256);
    if (text) {
        rf_bytes_format(out, ", \"encoding\": \"%s\", \"text\": ", carrier->encoding);
        rf_bytes_append(out, text->data, text->size);
        out->failed |= text->failed;
    }
    rf_bytes_string(out, "}");
}

static void append_record_name(rf_bytes *out, const char *kind, const char *keyword, const char *sha256)
{
    rf_bytes_append(out, kind, strlen(kind) + 1);
    rf_bytes_append(out, keyword, strlen(keyword) + 1);
    rf_bytes_append(out, sha256, strlen(sha256) + 1);
}

static void warn_too_large(const raiiaf_file *file)
{
    rf_warn(file, RAIIAF_ERROR_LIMIT, "text-too-large", RF_NAME(file->name),
            _("text that the former image carries is too large for the manifest and is lost with that image"));
}

/* Adds an element for the carrier, or what its entry lacks. */
static void keep_one(keeper *k, const raiiaf_carrier *carrier, const char *sha256, entry *listed)
{
    rf_bytes text = {0}, element = {0};
    spell_text(&text, carrier);
    bool fits = text.size <= k->room;
    if (!fits)
        warn_too_large(k->file);
    if (listed && fits) {
        listed->complete = true;
        listed->encoding = carrier->encoding;
        listed->text = text;
        k->room -= text.size;
        text = (rf_bytes){0};
    } else if (!listed) {
        spell_element(&element, carrier, sha256, fits ? &text : NULL);
        if (element.size <= k->room) {
            rf_bytes_string(&k->added, k->added.size ? ", " : "");
            rf_bytes_append(&k->added, element.data, element.size);
            k->room -= element.size;
        }
    }
    k->failed |= text.failed || element.failed || k->added.failed;
    rf_bytes_free(&text);
    rf_bytes_free(&element);
}

static bool keep_carrier(void *user, const raiiaf_carrier *carrier)
{
    keeper *k = user;
    char sha256[RF_SHA256_HEX];
    rf_bytes meaning = {0}, name = {0};
    append_meaning(&meaning, carrier);
    rf_sha256(carrier->data, carrier->size, sha256);
    append_record_name(&name, carrier->kind, carrier->keyword, sha256);
    k->failed |= meaning.failed || name.failed;
    const mark *found = find_mark(&k->recorded, &name);
    entry *listed = found ? &k->entries[found->index] : NULL;
    if (!k->failed && !is_profile(carrier) && !find_mark(&k->carried, &meaning) && !(listed && listed->complete))
        keep_one(k, carrier, sha256, listed);
    rf_bytes_free(&meaning);
    rf_bytes_free(&name);
    return !k->failed;
}

/* The decoded string that a member is; "" if it isn't one. */
static void decode_member(const char *text, rf_span object, const char *name, rf_bytes *out)
{
    rf_span value;
    rf_bytes_string(out, "");
    if (rf_json_member(text, object, name, &value) && rf_json_type(text, value) == RAIIAF_JSON_STRING)
        rf_json_decode(text, value, out);
}

static void read_entry(keeper *k, rf_span element, entry *out)
{
    const char *text = k->file->text.data;
    rf_bytes parts[3] = {{0}}, name = {0};
    rf_span value;
    if (rf_json_type(text, element) != RAIIAF_JSON_OBJECT)
        return;
    out->complete = rf_json_member(text, element, "text", &value);
    static const char *const names[] = {"kind", "keyword", "sha256"};
    for (size_t i = 0; i < 3; i++) {
        decode_member(text, element, names[i], &parts[i]);
        k->failed |= parts[i].failed;
    }
    if (!k->failed)
        append_record_name(&name, parts[0].data, parts[1].data, parts[2].data);
    add_mark(&k->recorded, &name, (size_t)(out - k->entries));
    k->failed |= k->recorded.failed;
    for (size_t i = 0; i < 3; i++)
        rf_bytes_free(&parts[i]);
    rf_bytes_free(&name);
}

/* Reads the list as it stands; false if there is something else in its place. */
static bool read_list(keeper *k)
{
    const char *text = k->file->text.data;
    rf_span source;
    if (!rf_find(k->file, "/source", &source))
        return true;
    if (rf_json_type(text, source) != RAIIAF_JSON_OBJECT)
        return false;
    if (!rf_json_member(text, source, "carriers", &k->list))
        return true;
    if (rf_json_type(text, k->list) != RAIIAF_JSON_ARRAY)
        return false;
    k->entry_count = rf_json_count(text, k->list);
    k->entries = calloc(k->entry_count + 1, sizeof *k->entries);
    k->failed |= !k->entries;
    for (rf_json_walk walk = rf_json_begin(text, k->list); !k->failed && rf_json_next(&walk);)
        read_entry(k, walk.value, &k->entries[walk.index]);
    if (k->recorded.count)
        qsort(k->recorded.all, k->recorded.count, sizeof *k->recorded.all, compare_marks);
    return true;
}

/* The list as it shall be: what stands there in its own spelling, with the texts that it lacked and the new elements.
 */
static void spell_list(const keeper *k, rf_bytes *out)
{
    const char *text = k->file->text.data;
    size_t end = k->list.start + 1;
    rf_bytes_string(out, "[");
    if (k->entry_count) {
        for (rf_json_walk walk = rf_json_begin(text, k->list); rf_json_next(&walk); end = walk.value.end) {
            const entry *e = &k->entries[walk.index];
            rf_bytes element = {0}, encoding = {0};
            rf_bytes_append(out, text + end, walk.value.start - end);
            rf_bytes_append(&element, text + walk.value.start, walk.value.end - walk.value.start);
            if (e->encoding) {
                rf_bytes_format(&encoding, "\"%s\"", e->encoding);
                rf_json_put(&element, rf_json_root(element.data, element.size), "encoding", encoding.data,
                            encoding.size);
                rf_json_put(&element, rf_json_root(element.data, element.size), "text", e->text.data, e->text.size);
            }
            rf_bytes_append(out, element.data, element.size);
            out->failed |= element.failed || encoding.failed;
            rf_bytes_free(&element);
            rf_bytes_free(&encoding);
        }
        rf_bytes_string(out, k->added.size ? ", " : "");
    }
    rf_bytes_append(out, k->added.data, k->added.size);
    if (k->entry_count)
        rf_bytes_append(out, text + end, k->list.end - end);
    else
        rf_bytes_string(out, "]");
}

static raiiaf_status put_list(keeper *k, raiiaf_error *error)
{
    bool completed = false;
    for (size_t i = 0; i < k->entry_count; i++)
        completed |= k->entries[i].encoding != NULL;
    if (!completed && !k->added.size)
        return RAIIAF_OK;
    rf_bytes list = {0};
    spell_list(k, &list);
    raiiaf_status status = list.failed ? rf_fail_memory(error, k->file->name)
                                       : rf_put(k->file, "/source/carriers", list.data, list.size, error);
    rf_bytes_free(&list);
    return status;
}

static void free_keeper(keeper *k)
{
    for (size_t i = 0; k->entries && i < k->entry_count; i++)
        rf_bytes_free(&k->entries[i].text);
    free(k->entries);
    free(k->recorded.all);
    free(k->carried.all);
    rf_bytes_free(&k->added);
}

raiiaf_status rf_carriers_keep(raiiaf_file *file, const void *before, size_t before_size, const void *after,
                               size_t after_size, raiiaf_error *error)
{
    keeper k = {.file = file};
    uint64_t most = file->limits.manifest_size ? file->limits.manifest_size : UINT64_MAX;
    k.room = most > file->text.size ? most - file->text.size : 0;
    raiiaf_status status = RAIIAF_OK;
    if (after_size)
        status = raiiaf_carrier_each(after, after_size, &file->limits, note_carried, &k, NULL);
    if (k.carried.count)
        qsort(k.carried.all, k.carried.count, sizeof *k.carried.all, compare_marks);
    k.failed = k.carried.failed || status == RAIIAF_ERROR_MEMORY;
    if (!k.failed && !read_list(&k)) {
        rf_warn(file, RAIIAF_ERROR_SCHEMA, "source-form", RF_NAME(file->name),
                _("the manifest's \"source\" has another form than the format's, so that text which the former image "
                  "carries can't be kept there and is lost"));
        status = RAIIAF_OK;
        goto done;
    }
    if (!k.failed)
        status = raiiaf_carrier_each(before, before_size, &file->limits, keep_carrier, &k, NULL);
    if (status == RAIIAF_ERROR_LIMIT)
        warn_too_large(file);
    status = k.failed || status == RAIIAF_ERROR_MEMORY ? rf_fail_memory(error, file->name) : put_list(&k, error);
done:
    free_keeper(&k);
    return status;
}
