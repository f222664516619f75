/* SPDX-License-Identifier: MIT */
/*
 * capsule.c - what travels beside the pixels: the file without its image chunk, and back.
 *
 * A capsule is a valid file of the layout that it was made of.  Its chunks stand one behind the other, as stored; its
 * manifest is the file's, less the image's record, with new offsets, the text that the image carried (source.carriers),
 * and one member more:
 *
 *   "capsule": {"layout": "raiiaf-33",        of the file
 *               "header": "726169...",        its header, hexadecimal
 *               "position": 1,                the image record's place in the array (null: the file had no image)
 *               "image_record": {...},        the record, verbatim
 *               "pixel_digest": "xxh3-128:...",
 *               "offsets": [33, ...],         where the other chunks stood
 *               "rest": [[27212, "..."]]}     all bytes that no chunk claims, the stored manifest first of all, base64
 *
 * Header, chunks and rest put together in order of their offsets are the very file.  `rest` is absent where chunks were
 * left out on purpose, or where there is more of it than is worth carrying.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "codec.h"
#include "file.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Manifests take kilobytes; more than this is junk between chunks, and the picture's host would have to carry it. */
#define REST_MOST (UINT64_C(16) << 20)

/* ---- making ---- */

typedef struct making {
    const raiiaf_file *file;
    unsigned flags;
    size_t image;
    uint64_t offset; /* of the next chunk */
} making;

static bool carried(const making *m, size_t i)
{
    if (i == m->image || (m->flags & RAIIAF_CAPSULE_NO_CHUNKS))
        return false;
    return !(m->flags & RAIIAF_CAPSULE_NO_LATENTS) || strcmp(m->file->chunks[i].info.type, "LATN") != 0;
}

static bool spell_record(void *user, size_t i, rf_bytes *record)
{
    making *m = user;
    rf_bytes number = {0};
    if (!carried(m, i))
        return false;
    rf_bytes_format(&number, "%" PRIu64, m->offset);
    if (!record->failed && !number.failed)
        rf_json_put(record, rf_json_root(record->data, record->size), "offset", number.data, number.size);
    record->failed |= number.failed;
    rf_bytes_free(&number);
    m->offset += m->file->chunks[i].info.stored_size;
    return true;
}

static raiiaf_status spell_gap(const raiiaf_file *file, uint64_t start, uint64_t end, rf_bytes *out,
                               raiiaf_error *error)
{
    raiiaf_buffer bytes = {0};
    raiiaf_status status = rf_source_fetch(file, start, (size_t)(end - start), &bytes, RF_NAME(file->name), error);
    if (status == RAIIAF_OK) {
        rf_bytes_format(out, "%s[%" PRIu64 ", \"", out->size ? ", " : "", start);
        rf_bytes_base64(out, bytes.data, bytes.size);
        rf_bytes_string(out, "\"]");
    }
    raiiaf_buffer_free(&bytes);
    return status;
}

/* The bytes that neither header nor chunks claim, as elements of a JSON array.  Nothing where they are too many. */
static raiiaf_status spell_rest(const raiiaf_file *file, rf_bytes *out, raiiaf_error *error)
{
    uint64_t claimed = file->header_size, end = file->header_size;
    rf_segment *chunks = calloc(file->chunk_count + 1, sizeof *chunks);
    raiiaf_status status = chunks ? RAIIAF_OK : rf_fail_memory(error, file->name);
    for (size_t i = 0; chunks && i < file->chunk_count; i++) {
        chunks[i] = (rf_segment){file->chunks[i].info.offset, file->chunks[i].info.stored_size, NULL, 0};
        claimed += chunks[i].size;
    }
    if (chunks && file->source.size - claimed <= REST_MOST) {
        qsort(chunks, file->chunk_count, sizeof *chunks, rf_segment_compare);
        chunks[file->chunk_count] = (rf_segment){file->source.size, 0, NULL, 0};
        for (size_t i = 0; i <= file->chunk_count && status == RAIIAF_OK; i++) {
            if (chunks[i].start > end)
                status = spell_gap(file, end, chunks[i].start, out, error);
            if (chunks[i].size) /* one without bytes may lie anywhere, in the header or another chunk */
                end = chunks[i].start + chunks[i].size;
        }
    }
    free(chunks);
    return status;
}

static void spell_offsets(const making *m, rf_bytes *out)
{
    rf_bytes_string(out, "[");
    bool first = true;
    for (size_t i = 0; i < m->file->chunk_count; i++)
        if (carried(m, i)) {
            rf_bytes_format(out, "%s%" PRIu64, first ? "" : ", ", m->file->chunks[i].info.offset);
            first = false;
        }
    rf_bytes_string(out, "]");
}

static void spell_image_record(const making *m, rf_bytes *out)
{
    rf_span chunks, record;
    if (m->image != RAIIAF_NONE && rf_find(m->file, "/chunks", &chunks) &&
        rf_json_element(m->file->text.data, chunks, m->image, &record)) {
        rf_bytes_format(out, "\"position\": %zu, \"image_record\": ", m->image);
        rf_bytes_append(out, m->file->text.data + record.start, record.end - record.start);
    } else
        rf_bytes_string(out, "\"position\": null, \"image_record\": null");
}

/* The member "capsule". */
static raiiaf_status spell_member(const making *m, const char *digest, rf_bytes *out, raiiaf_error *error)
{
    char header[2 * RF_HEADER_MOST + 1];
    rf_bytes rest = {0};
    raiiaf_status status = m->flags & ~RF_CAPSULE_WITH_IMAGE ? RAIIAF_OK : spell_rest(m->file, &rest, error);
    rf_hex(m->file->header, m->file->header_size, header);
    rf_bytes_format(out, "{\"layout\": \"%s\", \"header\": \"%s\", ", raiiaf_layout_name(m->file->layout), header);
    spell_image_record(m, out);
    rf_bytes_string(out, ", \"pixel_digest\": ");
    if (digest)
        rf_bytes_json_string(out, digest, strlen(digest));
    else
        rf_bytes_string(out, "null");
    if (rest.size) {
        rf_bytes_string(out, ", \"offsets\": ");
        spell_offsets(m, out);
        rf_bytes_string(out, ", \"rest\": [");
        rf_bytes_append(out, rest.data, rest.size);
        rf_bytes_string(out, "]");
    }
    rf_bytes_string(out, "}");
    if (status == RAIIAF_OK && (out->failed || rest.failed))
        status = rf_fail_memory(error, m->file->name);
    rf_bytes_free(&rest);
    return status;
}

/* The capsule's manifest; m->offset becomes the place behind its last chunk. */
static raiiaf_status spell_manifest(making *m, const char *digest, rf_bytes *text, raiiaf_error *error)
{
    raiiaf_file work = *m->file;
    rf_bytes capsule = {0};
    raiiaf_buffer image = {0};
    if (m->flags & RF_CAPSULE_WITH_IMAGE)
        work.warning = NULL;
    work.text = (rf_bytes){0};
    rf_bytes_append(&work.text, m->file->text.data, m->file->text.size);
    m->offset = m->file->header_size;
    raiiaf_status status =
        work.text.failed ? rf_fail_memory(error, m->file->name) : rf_records_rewrite(&work, spell_record, m, error);
    /* What text the image carries has to be in the manifest before the image goes. */
    if (status == RAIIAF_OK && m->image != RAIIAF_NONE)
        status = raiiaf_chunk_read(m->file, m->image, RAIIAF_READ_UNVERIFIED, &image, error);
    if (status == RAIIAF_OK)
        status = rf_carriers_keep(&work, image.data, image.size, NULL, 0, error);
    raiiaf_buffer_free(&image);
    if (status == RAIIAF_OK)
        status = spell_member(m, digest, &capsule, error);
    if (status == RAIIAF_OK)
        status = rf_put(&work, "/capsule", capsule.data, capsule.size, error);
    rf_bytes_free(&capsule);
    if (status == RAIIAF_OK)
        *text = work.text;
    else
        rf_bytes_free(&work.text);
    return status;
}

/* The file's own header, told of the capsule's manifest. */
static void write_header(const making *m, uint8_t *out, uint64_t table_size, size_t count)
{
    const raiiaf_file *file = m->file;
    size_t table = file->header[0] == 'G' ? 8 : 9;
    memcpy(out, file->header, file->header_size);
    rf_put32(out + table, (uint32_t)m->offset);
    rf_put32(out + table + 4, (uint32_t)table_size);
    rf_put32(out + table + 8, (uint32_t)count);
    rf_put32(out + table + 12, (uint32_t)(m->offset + table_size));
}

static raiiaf_status assemble(const making *m, const raiiaf_buffer *manifest, raiiaf_buffer *capsule,
                              raiiaf_error *error)
{
    const raiiaf_file *file = m->file;
    uint64_t total = m->offset + manifest->size;
    size_t count = 0;
    if (total > UINT32_MAX)
        return rf_fail(
            error, RAIIAF_ERROR_LIMIT, "capsule-size", RF_NAME(file->name),
            _("what travels beside the picture would need %" PRIu64 " bytes, more than 4 GiB; leave the latents out"),
            total);
    raiiaf_status status = rf_buffer_new(capsule, (size_t)total, file->budget, RF_NAME(file->name), error);
    if (status != RAIIAF_OK)
        return status;
    uint8_t *out = rf_buffer_data(capsule) + file->header_size;
    for (size_t i = 0; i < file->chunk_count && status == RAIIAF_OK; i++) {
        const raiiaf_chunk_info *info = &file->chunks[i].info;
        char name[32];
        if (!carried(m, i))
            continue;
        status = rf_source_read(file, info->offset, out, (size_t)info->stored_size,
                                RF_WHERE(file->name, rf_chunk_name(file, i, name), info->offset), error);
        out += info->stored_size;
        count++;
    }
    memcpy(out, manifest->data, manifest->size);
    write_header(m, rf_buffer_data(capsule), manifest->size, count);
    if (status != RAIIAF_OK)
        raiiaf_buffer_free(capsule);
    return status;
}

static raiiaf_status encode_manifest(const rf_bytes *text, raiiaf_buffer *out, raiiaf_error *error)
{
    uint8_t head[RF_CHUNK_HEADER] = "META0000";
    rf_put32(head + 8, (uint32_t)text->size);
    return rf_zstd_encode(head, sizeof head, text->data, text->size, RF_ZSTD_LEVEL, out, error);
}

/* Of the file's own image, where the core can decode it; "" where not. */
static void digest_of_image(const raiiaf_file *file, size_t image, char digest[RAIIAF_DIGEST_SIZE])
{
    raiiaf_buffer payload = {0};
    *digest = 0;
    if (image == RAIIAF_NONE || raiiaf_chunk_read(file, image, 0, &payload, NULL) != RAIIAF_OK)
        return;
    if (raiiaf_pixels_of_image(payload.data, payload.size, &file->limits, digest, NULL) != RAIIAF_OK)
        *digest = 0;
    raiiaf_buffer_free(&payload);
}

/* An edited file has chunks that aren't stored yet: they are, in memory, and the capsule is made of that. */
static raiiaf_status make_of_edited(const raiiaf_file *file, const char *digest, unsigned flags, raiiaf_buffer *capsule,
                                    raiiaf_error *error)
{
    raiiaf_buffer saved = {0};
    raiiaf_source source;
    raiiaf_file *reopened = NULL;
    raiiaf_open_options options = {.limits = &file->limits};
    raiiaf_status status = raiiaf_save_memory(file, &saved, NULL, error);
    if (status == RAIIAF_OK) {
        raiiaf_source_memory(&source, saved.data, saved.size, file->name, NULL, NULL);
        status = raiiaf_open(&reopened, &source, &options, error);
    }
    if (status == RAIIAF_OK)
        status = raiiaf_capsule_make(reopened, digest, flags, capsule, error);
    raiiaf_close(reopened);
    raiiaf_buffer_free(&saved);
    return status;
}

raiiaf_status raiiaf_capsule_make(const raiiaf_file *file, const char *pixel_digest, unsigned flags,
                                  raiiaf_buffer *capsule, raiiaf_error *error)
{
    rf_error_clear(error);
    *capsule = (raiiaf_buffer){0};
    if (raiiaf_is_capsule(file))
        return raiiaf_save_memory(file, capsule, NULL, error);
    if (file->edited)
        return make_of_edited(file, pixel_digest, flags, capsule, error);
    making m = {file, flags, raiiaf_image_chunk(file), 0};
    char digest[RAIIAF_DIGEST_SIZE];
    rf_bytes text = {0};
    raiiaf_buffer manifest = {0};
    if (!pixel_digest) {
        digest_of_image(file, m.image, digest);
        pixel_digest = *digest ? digest : NULL;
    }
    raiiaf_status status = spell_manifest(&m, pixel_digest, &text, error);
    if (status == RAIIAF_OK)
        status = encode_manifest(&text, &manifest, error);
    if (status == RAIIAF_OK)
        status = assemble(&m, &manifest, capsule, error);
    rf_bytes_free(&text);
    raiiaf_buffer_free(&manifest);
    return status;
}

/* ---- looking ---- */

bool raiiaf_is_capsule(const raiiaf_file *file)
{
    rf_span capsule;
    return rf_find(file, "/capsule", &capsule) && rf_json_type(file->text.data, capsule) == RAIIAF_JSON_OBJECT;
}

const char *raiiaf_capsule_digest(const raiiaf_file *file)
{
    return *file->picture_before ? file->picture_before : NULL;
}

const char *raiiaf_capsule_image_sha256(const raiiaf_file *file)
{
    return *file->image_before ? file->image_before : NULL;
}

/* ---- joining ---- */

/* What a capsule's member says. */
typedef struct joining {
    raiiaf_file *capsule;
    const void *stored;
    size_t size;
    rf_span record; /* the image's; empty if there was none */
    uint64_t position, image_offset;
    raiiaf_error *error;
} joining;

static bool number_at(const raiiaf_file *file, rf_span object, const char *name, uint64_t *number)
{
    rf_span value;
    return rf_json_member(file->text.data, object, name, &value) && rf_json_uint64(file->text.data, value, number);
}

static raiiaf_status read_member(joining *j)
{
    const raiiaf_file *file = j->capsule;
    const char *text = file->text.data;
    rf_span member, record, type;
    uint64_t stored_size;
    if (!rf_find(file, "/capsule", &member) || rf_json_type(text, member) != RAIIAF_JSON_OBJECT)
        return rf_fail(j->error, RAIIAF_ERROR_ARGUMENT, "no-capsule", RF_NAME(file->name), _("is not a capsule"));
    if (!rf_json_member(text, member, "image_record", &record) || rf_json_type(text, record) != RAIIAF_JSON_OBJECT)
        return RAIIAF_OK;
    if (!rf_json_member(text, record, "type", &type) || rf_json_type(text, type) != RAIIAF_JSON_STRING ||
        !rf_json_string_equals(text, type, "DATA") || !number_at(file, record, "offset", &j->image_offset) ||
        !number_at(file, record, "compressed_size", &stored_size) || !number_at(file, member, "position", &j->position))
        return rf_fail(j->error, RAIIAF_ERROR_DAMAGED, "capsule", RF_WHERE(file->name, "manifest", file->table_offset),
                       _("its capsule doesn't tell where the image belongs"));
    if (j->stored && stored_size != j->size)
        return rf_fail(j->error, RAIIAF_ERROR_HASH, "capsule-image", RF_NAME(file->name),
                       _("the image given is not the one that the capsule was made beside"));
    if (j->position > file->chunk_count) /* chunks before it were left out */
        j->position = file->chunk_count;
    j->record = record;
    return RAIIAF_OK;
}

static bool has_record(const joining *j)
{
    return j->record.end > 0;
}

/* Adds a piece of `rest` to what the composite owns; its place in memory is settled once all are there. */
static bool add_rest(rf_composite *c, const char *text, rf_span piece)
{
    rf_span offset, data;
    uint64_t start;
    size_t before = c->own.size;
    if (rf_json_type(text, piece) != RAIIAF_JSON_ARRAY || !rf_json_element(text, piece, 0, &offset) ||
        !rf_json_element(text, piece, 1, &data) || !rf_json_uint64(text, offset, &start) ||
        rf_json_type(text, data) != RAIIAF_JSON_STRING ||
        !rf_base64_decode(text + data.start + 1, data.end - data.start - 2, &c->own))
        return false;
    rf_composite_add(c, start, c->own.size - before, (const uint8_t *)"", before);
    return true;
}

static bool add_header(rf_composite *c, const raiiaf_file *file, rf_span member)
{
    rf_span header;
    uint8_t bytes[RF_HEADER_MOST];
    const char *text = file->text.data;
    if (!rf_json_member(text, member, "header", &header) || rf_json_type(text, header) != RAIIAF_JSON_STRING)
        return false;
    size_t digits = header.end - header.start - 2;
    if (digits > 2 * sizeof bytes || !rf_unhex(text + header.start + 1, digits, bytes))
        return false;
    rf_bytes_append(&c->own, bytes, digits / 2);
    rf_composite_add(c, 0, digits / 2, (const uint8_t *)"", 0);
    return !c->own.failed;
}

/* The segments of the very file, or NULL where the capsule doesn't hold all of it. */
static rf_composite *original_segments(const joining *j)
{
    const raiiaf_file *file = j->capsule;
    const char *text = file->text.data;
    rf_span member, rest, offsets;
    if (!rf_find(file, "/capsule", &member) || !rf_json_member(text, member, "rest", &rest) ||
        !rf_json_member(text, member, "offsets", &offsets) || rf_json_count(text, offsets) != file->chunk_count)
        return NULL;
    rf_composite *c = rf_composite_new(rf_json_count(text, rest) + file->chunk_count + 2);
    bool good = c && add_header(c, file, member);
    for (rf_json_walk walk = rf_json_begin(text, rest); good && rf_json_next(&walk);)
        good = add_rest(c, text, walk.value);
    for (size_t i = 0; good && i < c->count; i++)
        c->segments[i].memory = (const uint8_t *)c->own.data + c->segments[i].from;
    for (rf_json_walk walk = rf_json_begin(text, offsets); good && rf_json_next(&walk);) {
        const raiiaf_chunk_info *info = &file->chunks[walk.index].info;
        uint64_t start;
        good = rf_json_uint64(text, walk.value, &start);
        if (good)
            rf_composite_add(c, start, info->stored_size, NULL, info->offset);
    }
    if (good && has_record(j))
        rf_composite_add(c, j->image_offset, j->size, j->stored, 0);
    if (good && rf_composite_sort(c))
        return c;
    if (c)
        rf_composite_free(c);
    return NULL;
}

/* Whether a capsule made of `file` would be this very one: then nobody has edited it. */
static bool makes_same_capsule(const raiiaf_file *file, const raiiaf_file *capsule)
{
    making m = {file, 0, raiiaf_image_chunk(file), 0};
    rf_bytes text = {0};
    const char *digest = *capsule->picture_before ? capsule->picture_before : NULL;
    bool same = spell_manifest(&m, digest, &text, NULL) == RAIIAF_OK && text.size == capsule->text.size &&
                memcmp(text.data, capsule->text.data, text.size) == 0;
    rf_bytes_free(&text);
    return same;
}

/* The file exactly as it was, or NULL. */
static raiiaf_file *join_original(const joining *j)
{
    raiiaf_file *joined = NULL;
    raiiaf_open_options options = {&j->capsule->limits, NULL, NULL};
    rf_composite *c = original_segments(j);
    if (!c)
        return NULL;
    raiiaf_source borrowed = j->capsule->source;
    borrowed.close = NULL; /* the capsule's until all has gone well */
    raiiaf_source source = rf_composite_source(c, &borrowed);
    if (raiiaf_open(&joined, &source, &options, NULL) == RAIIAF_OK && makes_same_capsule(joined, j->capsule))
        return joined;
    raiiaf_close(joined);
    return NULL;
}

/* Puts the image's record back, its offset behind the capsule's bytes, where the composite has the chunk. */
static raiiaf_status insert_image_record(const joining *j, raiiaf_file *joined)
{
    rf_bytes record = {0}, number = {0};
    rf_bytes_append(&record, j->capsule->text.data + j->record.start, j->record.end - j->record.start);
    rf_bytes_format(&number, "%" PRIu64, j->capsule->source.size);
    if (!record.failed && !number.failed)
        rf_json_put(&record, rf_json_root(record.data, record.size), "offset", number.data, number.size);
    raiiaf_status status = record.failed || number.failed
                               ? rf_fail_memory(j->error, j->capsule->name)
                               : rf_record_insert(joined, (size_t)j->position, &record, j->error);
    rf_bytes_free(&record);
    rf_bytes_free(&number);
    return status;
}

/* The file as it became: the capsule was edited, or chunks were left out of it. */
static raiiaf_status join_edited(const joining *j, raiiaf_file **out)
{
    raiiaf_file *capsule = j->capsule, *joined = NULL;
    rf_composite *c = rf_composite_new(2);
    raiiaf_open_options options = {&capsule->limits, capsule->warning, capsule->warning_user};
    raiiaf_status status = c ? raiiaf_new(&joined, &options, j->error) : rf_fail_memory(j->error, capsule->name);
    if (status != RAIIAF_OK) {
        free(c);
        return status;
    }
    rf_composite_add(c, 0, capsule->source.size, NULL, 0);
    rf_composite_add(c, capsule->source.size, j->size, j->stored, 0);
    raiiaf_source borrowed = capsule->source;
    borrowed.close = NULL;
    joined->source = rf_composite_source(c, &borrowed);
    joined->layout = capsule->layout;
    memcpy(joined->header, capsule->header, sizeof joined->header);
    joined->header_size = capsule->header_size;
    joined->table_offset = capsule->table_offset;
    joined->table_size = capsule->table_size;
    joined->text.size = 0;
    rf_bytes_append(&joined->text, capsule->text.data, capsule->text.size);
    joined->chunk_count = capsule->chunk_count; /* for the insertion alone */
    status = joined->text.failed ? rf_fail_memory(j->error, capsule->name) : insert_image_record(j, joined);
    joined->chunk_count = 0;
    rf_span rest;
    joined->description_changed = rf_find(joined, "/capsule/rest", &rest); /* all was carried, so it was edited */
    if (status == RAIIAF_OK)
        status = rf_drop(joined, "/capsule", j->error);
    if (status == RAIIAF_OK)
        status = rf_records_read(joined, j->error);
    if (status == RAIIAF_OK)
        *out = joined;
    else
        raiiaf_close(joined);
    return status;
}

/* The joined file takes the capsule's place, and its source with it. */
static void exchange(raiiaf_file *capsule, raiiaf_file *joined)
{
    raiiaf_file former = *capsule;
    rf_composite *c = joined->source.user;
    c->base.close = former.source.close;
    former.source = (raiiaf_source){0};
    free(joined->name);
    joined->name = former.name;
    joined->warning = former.warning;
    joined->warning_user = former.warning_user;
    former.name = NULL;
    memcpy(joined->picture_before, former.picture_before, sizeof joined->picture_before);
    memcpy(joined->image_before, former.image_before, sizeof joined->image_before);
    *capsule = *joined;
    *joined = former;
    raiiaf_close(joined);
}

/* Without its image: what the next one has to know of the former. */
static raiiaf_status detach(const joining *j)
{
    raiiaf_file *file = j->capsule;
    char *record = strndup(file->text.data + j->record.start, j->record.end - j->record.start);
    raiiaf_status status = record ? rf_drop(file, "/capsule", j->error) : rf_fail_memory(j->error, file->name);
    if (status != RAIIAF_OK) {
        free(record);
        return status;
    }
    file->image_record = record;
    file->image_position = (size_t)j->position;
    file->image_changed = true;
    file->edited = true;
    return RAIIAF_OK;
}

static raiiaf_status join(raiiaf_file *capsule, const void *stored, size_t size, unsigned flags, raiiaf_error *error)
{
    joining j = {.capsule = capsule, .stored = stored, .size = stored ? size : 0, .error = error};
    raiiaf_file *joined = NULL;
    raiiaf_buffer image = {0};
    rf_error_clear(error);
    if (capsule->edited)
        return rf_fail(error, RAIIAF_ERROR_ARGUMENT, "capsule-edited", RF_NAME(capsule->name),
                       _("a capsule has to be joined before it is edited"));
    raiiaf_status status = read_member(&j);
    if (status != RAIIAF_OK)
        return status;
    if (has_record(&j) && !stored)
        return detach(&j);
    joined = join_original(&j);
    if (!joined && has_record(&j))
        status = join_edited(&j, &joined);
    else if (!joined) {
        status = rf_drop(capsule, "/capsule", error);
        capsule->edited = status == RAIIAF_OK;
        return status;
    }
    if (status == RAIIAF_OK && has_record(&j))
        status = raiiaf_chunk_read(joined, raiiaf_image_chunk(joined), flags, &image, error);
    raiiaf_buffer_free(&image);
    if (status == RAIIAF_OK)
        exchange(capsule, joined);
    else
        raiiaf_close(joined);
    return status;
}

raiiaf_status raiiaf_capsule_join(raiiaf_file *capsule, const void *stored, size_t size, raiiaf_error *error)
{
    return join(capsule, stored, size, 0, error);
}

raiiaf_status rf_capsule_join_verified(raiiaf_file *capsule, const void *stored, size_t size, raiiaf_error *error)
{
    return join(capsule, stored, size, RAIIAF_READ_UNVERIFIED, error);
}
