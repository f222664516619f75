/* SPDX-License-Identifier: MIT */
/*
 * save.c - writing.  A file without edits is copied.  Otherwise: encode what is new, spell the manifest around it,
 * and only then send the first byte to the sink.  Always layout raiiaf-33; doc/format.md, 7.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "codec.h"
#include "file.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COPY_BLOCK ((size_t)1 << 20)
#define LEAST_SAVING 50 /* one part in so many is what an encoding has to save: 2 % (doc/format.md, 2 and 7) */

/* A chunk as it will stand in the new file: `front`, then `body`. */
typedef struct piece {
    bool left_out;
    bool as_stored; /* copied from the source */
    uint64_t offset, stored_size;
    raiiaf_buffer front, body;
    raiiaf_encoding encoding;
    raiiaf_dtype dtype;
    uint64_t size; /* of the payload as it will be */
    char sha256[RF_SHA256_HEX];
} piece;

typedef struct saving {
    const raiiaf_file *file;
    raiiaf_save_options options;
    raiiaf_file work; /* the file with a text of its own; chunks and source are those of `file` */
    piece *pieces;
    size_t kept;
    raiiaf_buffer manifest; /* encoded */
    uint64_t table_offset, total_size, padding;

    pthread_mutex_t lock; /* over what follows, while encoding */
    uint64_t done, total;
    raiiaf_status status;
    raiiaf_error *error;
} saving;

/* ---- progress ---- */

/* What counts as done when chunk i is encoded, and once more when it is written. */
static uint64_t effort(const saving *s, size_t i)
{
    return s->pieces[i].left_out ? 0 : s->file->chunks[i].info.size;
}

static bool advance(saving *s, uint64_t bytes)
{
    s->done += bytes;
    if (!s->options.progress || s->options.progress(s->options.progress_user, s->done, s->total))
        return true;
    s->status = rf_fail(s->error, RAIIAF_ERROR_CANCELLED, "cancelled", RF_NAME(s->file->name), _("cancelled"));
    return false;
}

/* ---- encoding ---- */

static void chunk_header(uint8_t head[RF_CHUNK_HEADER], const char *type, const char *flags, size_t size)
{
    memcpy(head, type, 4);
    memcpy(head + 4, flags, 4);
    rf_put32(head + 8, (uint32_t)size);
}

static raiiaf_status set_front(piece *p, const void *data, size_t size, raiiaf_error *error)
{
    raiiaf_status status = rf_buffer_new(&p->front, size, NULL, NULL, error);
    if (status == RAIIAF_OK)
        memcpy(rf_buffer_data(&p->front), data, size);
    return status;
}

/* The most bytes that an encoding of `size` may take and still be preferred to the raw form. */
static size_t worthwhile(const saving *s, size_t size)
{
    return s->options.repack ? size - 1 : size - size / LEAST_SAVING - 1;
}

/* What samples don't nearly save, the whole won't. */
static bool saves_nothing(const saving *s, const raiiaf_buffer *payload)
{
    size_t saved;
    return !s->options.repack && rf_zstd_saves(payload->data, payload->size, RF_ZSTD_LEVEL, &saved) &&
           saved < payload->size / LEAST_SAVING * 3 / 4;
}

static raiiaf_status encode_zstd(const saving *s, piece *p, const uint8_t head[RF_CHUNK_HEADER], raiiaf_buffer *payload,
                                 bool prefer, raiiaf_error *error)
{
    raiiaf_buffer frame = {0};
    size_t raw = payload->size + RF_CHUNK_HEADER;
    int level = s->options.repack ? RF_ZSTD_LEVEL_BEST : RF_ZSTD_LEVEL;
    raiiaf_status status = RAIIAF_OK;
    if (!saves_nothing(s, payload))
        status = rf_zstd_encode(head, RF_CHUNK_HEADER, payload->data, payload->size, level, &frame, error);
    if (frame.size > 0 && (frame.size <= worthwhile(s, raw) || (prefer && frame.size < raw))) {
        p->encoding = RAIIAF_ENCODING_ZSTD;
        p->front = frame;
        return RAIIAF_OK;
    }
    raiiaf_buffer_free(&frame);
    if (status == RAIIAF_OK)
        status = set_front(p, head, RF_CHUNK_HEADER, error);
    if (status == RAIIAF_OK) {
        p->encoding = RAIIAF_ENCODING_RAW;
        p->body = *payload;
        *payload = (raiiaf_buffer){0};
    }
    return status;
}

/* A latent as zfp may see it: never 4-D (doc/format.md, 2). */
typedef struct field {
    const float *data;
    size_t nx, ny, nz; /* last axis, the one before, all others */
} field;

/* A box from the middle of the field, at most 64 KiB: how well it shrinks tells how the whole will. */
#define SAMPLE_ROW 512
#define SAMPLE_ROWS 8
#define SAMPLE_PLANES 4

static field take_sample(const field *whole, float *out)
{
    size_t planes = whole->nz < SAMPLE_PLANES ? whole->nz : SAMPLE_PLANES;
    size_t rows = whole->ny < SAMPLE_ROWS ? whole->ny : SAMPLE_ROWS;
    size_t row = whole->nx < SAMPLE_ROW ? whole->nx : SAMPLE_ROW;
    size_t z0 = (whole->nz - planes) / 2, y0 = (whole->ny - rows) / 2, x0 = (whole->nx - row) / 2;
    field sample = {out, row, rows, planes};
    for (size_t z = 0; z < planes; z++)
        for (size_t y = 0; y < rows; y++, out += row)
            memcpy(out, whole->data + ((z0 + z) * whole->ny + y0 + y) * whole->nx + x0, row * sizeof *out);
    return sample;
}

static raiiaf_status encode_field(const field *f, bool three, size_t most, raiiaf_buffer *out, raiiaf_error *error)
{
    return three ? rf_zfp_encode(f->data, f->nx, f->ny, f->nz, most, out, error)
                 : rf_zfp_encode(f->data, f->nx, f->ny * f->nz, 0, most, out, error);
}

/* Which of the two forms is smaller on a sample, and whether either is worth it at all. */
static raiiaf_status choose_form(const field *whole, bool *worth, bool *three, raiiaf_error *error)
{
    float *box = malloc(SAMPLE_ROW * SAMPLE_ROWS * SAMPLE_PLANES * sizeof *box);
    if (!box)
        return rf_fail_memory(error, NULL);
    field sample = take_sample(whole, box);
    size_t size = sample.nx * sample.ny * sample.nz * sizeof(float);
    raiiaf_buffer flat = {0}, deep = {0};
    raiiaf_status status = encode_field(&sample, false, SIZE_MAX, &flat, error);
    if (status == RAIIAF_OK && sample.nz > 1)
        status = encode_field(&sample, true, SIZE_MAX, &deep, error);
    *three = deep.size && deep.size < flat.size;
    /* what the sample doesn't nearly save, the whole won't: noise is told from the rest here, and costs no more */
    *worth = (*three ? deep.size : flat.size) < size - size * 3 / (4 * LEAST_SAVING);
    free(box);
    raiiaf_buffer_free(&flat);
    raiiaf_buffer_free(&deep);
    return status;
}

static raiiaf_status encode_best_form(const saving *s, const field *f, size_t most, raiiaf_buffer *stream,
                                      raiiaf_error *error)
{
    bool worth = true, three = false;
    raiiaf_status status = RAIIAF_OK;
    if (!s->options.repack)
        status = choose_form(f, &worth, &three, error);
    if (status == RAIIAF_OK && worth)
        status = encode_field(f, three, most, stream, error);
    if (status == RAIIAF_OK && s->options.repack && f->nz > 1) {
        raiiaf_buffer deep = {0};
        status = encode_field(f, true, stream->size ? stream->size - 1 : most, &deep, error);
        if (deep.size) {
            raiiaf_buffer_free(stream);
            *stream = deep;
        }
    }
    return status;
}

/* The tensor as aligned native floats: itself where it is that, else a copy in `copy`. */
static raiiaf_status as_floats(const saving *s, const piece *p, const raiiaf_buffer *payload, raiiaf_buffer *copy,
                               const float **data, raiiaf_error *error)
{
    bool half = p->dtype == RAIIAF_FLOAT16;
    if (!half && (uintptr_t)payload->data % _Alignof(float) == 0) {
        *data = (const float *)(const void *)payload->data;
        return RAIIAF_OK;
    }
    raiiaf_status status =
        rf_buffer_new(copy, half ? payload->size * 2 : payload->size, s->file->budget, RF_NAME(s->file->name), error);
    if (status != RAIIAF_OK)
        return status;
    if (half)
        rf_half_to_float(payload->data, payload->size / 2, (float *)(void *)rf_buffer_data(copy));
    else
        memcpy(rf_buffer_data(copy), payload->data, payload->size);
    *data = (const float *)(const void *)copy->data;
    return RAIIAF_OK;
}

/* Tries zfp; leaves front and body empty where raw is the better form. */
static raiiaf_status encode_zfp(const saving *s, piece *p, const raiiaf_chunk_info *info,
                                const uint8_t head[RF_CHUNK_HEADER], const raiiaf_buffer *payload, raiiaf_error *error)
{
    field f = {NULL, info->shape[info->rank - 1], info->rank > 1 ? info->shape[info->rank - 2] : 1, 1};
    raiiaf_buffer copy = {0};
    size_t most = worthwhile(s, payload->size + RF_CHUNK_HEADER);
    for (unsigned axis = 0; axis + 2 < info->rank; axis++)
        f.nz *= info->shape[axis];
    raiiaf_status status = rf_zstd_encode(head, RF_CHUNK_HEADER, NULL, 0, RF_ZSTD_LEVEL, &p->front, error);
    if (status == RAIIAF_OK && p->front.size < most) {
        status = as_floats(s, p, payload, &copy, &f.data, error);
        if (status == RAIIAF_OK)
            status = encode_best_form(s, &f, most - p->front.size, &p->body, error);
    }
    raiiaf_buffer_free(&copy);
    if (p->body.size)
        p->encoding = RAIIAF_ENCODING_ZFP;
    else
        raiiaf_buffer_free(&p->front);
    return status;
}

static raiiaf_status encode_latent(const saving *s, piece *p, const raiiaf_chunk_info *info, raiiaf_buffer *payload,
                                   raiiaf_error *error)
{
    uint8_t head[RF_CHUNK_HEADER];
    raiiaf_status status = RAIIAF_OK;
    chunk_header(head, "LATN", p->dtype == RAIIAF_FLOAT32 ? "F32" : "F16", payload->size);
    /* zfp has no float16; widened ones seldom pay, so that only repacking tries them */
    if ((p->dtype == RAIIAF_FLOAT32 || s->options.repack) && rf_zfp_available(NULL))
        status = encode_zfp(s, p, info, head, payload, error);
    if (status != RAIIAF_OK || p->body.size)
        return status;
    status = set_front(p, head, sizeof head, error);
    if (status == RAIIAF_OK) {
        p->encoding = RAIIAF_ENCODING_RAW;
        p->body = *payload;
        *payload = (raiiaf_buffer){0};
    }
    return status;
}

static bool fits_half(const float *floats, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (fabsf(floats[i]) >= 65520 && isfinite(floats[i])) /* which rounds to infinity */
            return false;
    return true;
}

static raiiaf_status narrow(const saving *s, piece *p, raiiaf_buffer *payload, raiiaf_error *error)
{
    raiiaf_buffer halves = {0}, copy = {0};
    const float *floats = NULL;
    size_t count = payload->size / 4;
    raiiaf_status status = as_floats(s, p, payload, &copy, &floats, error);
    if (status == RAIIAF_OK && !fits_half(floats, count))
        status = rf_fail(error, RAIIAF_ERROR_SCHEMA, "latent-range", RF_NAME(s->file->name),
                         _("a latent holds values beyond 65504, which float16 can't express; write it as float32"));
    if (status == RAIIAF_OK)
        status = rf_buffer_new(&halves, count * 2, s->file->budget, RF_NAME(s->file->name), error);
    if (status == RAIIAF_OK) {
        rf_float_to_half(floats, count, rf_buffer_data(&halves));
        raiiaf_buffer_free(payload);
        *payload = halves;
        p->dtype = RAIIAF_FLOAT16;
        p->size = halves.size;
        rf_sha256(halves.data, halves.size, p->sha256);
    }
    raiiaf_buffer_free(&copy);
    return status;
}

static raiiaf_status encode_chunk(const saving *s, size_t i, raiiaf_error *error)
{
    piece *p = &s->pieces[i];
    const raiiaf_chunk_info *info = &s->file->chunks[i].info;
    bool latent = strcmp(info->type, "LATN") == 0;
    raiiaf_buffer payload = {0};
    raiiaf_status status = raiiaf_chunk_read(s->file, i, 0, &payload, error);
    if (status == RAIIAF_ERROR_LOSSY && !s->options.float16) {
        p->as_stored = true; /* nothing truthful could be written instead */
        p->stored_size = info->stored_size;
        return RAIIAF_OK;
    }
    if (status == RAIIAF_OK && latent && s->options.float16 && p->dtype == RAIIAF_FLOAT32)
        status = narrow(s, p, &payload, error);
    if (status == RAIIAF_OK && latent)
        status = encode_latent(s, p, info, &payload, error);
    else if (status == RAIIAF_OK) {
        uint8_t head[RF_CHUNK_HEADER];
        chunk_header(head, info->type, "0000", payload.size);
        status = encode_zstd(s, p, head, &payload, strcmp(info->type, "ENVC") == 0, error);
    }
    p->stored_size = p->front.size + p->body.size;
    raiiaf_buffer_free(&payload);
    return status;
}

static bool encode_worker(void *user, size_t i)
{
    saving *s = user;
    const piece *p = &s->pieces[i];
    raiiaf_error error;
    raiiaf_status status = RAIIAF_OK;
    if (!p->left_out && !p->as_stored)
        status = encode_chunk(s, i, &error);
    pthread_mutex_lock(&s->lock);
    if (status != RAIIAF_OK && s->status == RAIIAF_OK) {
        s->status = status;
        if (s->error)
            *s->error = error;
    }
    bool go_on = s->status == RAIIAF_OK && advance(s, effort(s, i));
    pthread_mutex_unlock(&s->lock);
    return go_on;
}

/* Whether chunk i can go into a raiiaf-33 file as its bytes stand, and nothing was asked of it. */
static bool stays_as_stored(const saving *s, size_t i)
{
    const rf_chunk *chunk = &s->file->chunks[i];
    const char *type = chunk->info.type;
    bool latent = strcmp(type, "LATN") == 0;
    if (chunk->fresh)
        return false;
    if (latent && s->options.float16 && chunk->info.dtype == RAIIAF_FLOAT32)
        return false;
    if (latent && (chunk->no_header || chunk->info.encoding == RAIIAF_ENCODING_ZSTD))
        return false;
    return !s->options.repack || !(latent || strcmp(type, "DATA") == 0 || strcmp(type, "ENVC") == 0);
}

static raiiaf_status plan_pieces(saving *s)
{
    const raiiaf_file *file = s->file;
    s->pieces = calloc(file->chunk_count + 1, sizeof *s->pieces);
    if (!s->pieces)
        return rf_fail_memory(s->error, file->name);
    for (size_t i = 0; i < file->chunk_count; i++) {
        const rf_chunk *chunk = &file->chunks[i];
        piece *p = &s->pieces[i];
        *p = (piece){.left_out = s->options.drop_latents && strcmp(chunk->info.type, "LATN") == 0,
                     .as_stored = stays_as_stored(s, i),
                     .stored_size = chunk->info.stored_size,
                     .encoding = chunk->info.encoding,
                     .dtype = chunk->info.dtype,
                     .size = chunk->info.size};
        memcpy(p->sha256, chunk->info.sha256, sizeof p->sha256);
        s->kept += !p->left_out;
        s->total += 2 * effort(s, i);
    }
    return RAIIAF_OK;
}

static raiiaf_status place_pieces(saving *s)
{
    uint64_t offset = RF_HEADER_MOST;
    for (size_t i = 0; i < s->file->chunk_count; i++) {
        piece *p = &s->pieces[i];
        if (p->left_out)
            continue;
        p->offset = offset;
        offset += p->stored_size;
    }
    s->table_offset = offset;
    if (offset > UINT32_MAX)
        return rf_fail(s->error, RAIIAF_ERROR_LIMIT, "file-size-format", RF_NAME(s->file->name),
                       _("would need %" PRIu64
                         " bytes before its manifest, but the format's version 1.0 ends at 4 GiB; "
                         "leave latents out or write them as float16"),
                       offset);
    return RAIIAF_OK;
}

/* ---- spelling the manifest ---- */

static void put_number(rf_bytes *record, const char *name, uint64_t number)
{
    char text[24];
    int size = snprintf(text, sizeof text, "%" PRIu64, number);
    if (!record->failed)
        rf_json_put(record, rf_json_root(record->data, record->size), name, text, (size_t)size);
}

static void put_text(rf_bytes *record, const char *name, const char *json)
{
    if (!record->failed)
        rf_json_put(record, rf_json_root(record->data, record->size), name, json, strlen(json));
}

/* What a piece that was encoded anew says of its payload. */
static void put_payload_facts(rf_bytes *record, const raiiaf_chunk_info *info, const piece *p)
{
    char quoted[RF_SHA256_HEX + 2];
    snprintf(quoted, sizeof quoted, "\"%s\"", p->sha256);
    put_number(record, "uncompressed_size", p->size);
    put_text(record, "hash", quoted);
    put_text(record, "compressed", p->encoding == RAIIAF_ENCODING_RAW ? "false" : "true");
    if (info->dtype == RAIIAF_DTYPE_NONE) {
        put_text(record, "len_header", "null");
        put_text(record, "len_data", "null");
        return;
    }
    put_number(record, "len_header", p->front.size);
    put_number(record, "len_data", p->body.size);
    rf_span extra;
    if (p->dtype != info->dtype && !record->failed) {
        put_text(record, "flags", "\"F16\"");
        if (!record->failed && rf_json_member(record->data, rf_json_root(record->data, record->size), "extra", &extra))
            rf_json_put(record, extra, "dtype", "\"float16\"", 9);
    }
}

/* Members that the reference wants of today's records and gen5's lack.  A key must be there and differ from others. */
static void complete_gen5_record(rf_bytes *record, const raiiaf_chunk_info *info, const piece *p, size_t i)
{
    rf_span extra, key;
    put_text(record, "compressed", p->encoding == RAIIAF_ENCODING_RAW ? "false" : "true");
    if (info->dtype == RAIIAF_DTYPE_NONE) {
        put_text(record, "len_header", "null");
        put_text(record, "len_data", "null");
        return;
    }
    if (p->as_stored) { /* raw: all others were encoded anew */
        put_number(record, "len_header", RF_CHUNK_HEADER);
        put_number(record, "len_data", info->size);
    }
    if (record->failed || !rf_json_member(record->data, rf_json_root(record->data, record->size), "extra", &extra) ||
        rf_json_member(record->data, extra, "key", &key))
        return;
    char name[32];
    int size = snprintf(name, sizeof name, "\"latent_%zu\"", i);
    rf_json_put(record, extra, "key", name, (size_t)size);
}

static bool spell_record(void *user, size_t i, rf_bytes *record)
{
    saving *s = user;
    const piece *p = &s->pieces[i];
    if (p->left_out)
        return false;
    put_number(record, "index", s->kept++);
    put_number(record, "offset", p->offset);
    put_number(record, "compressed_size", p->stored_size);
    if (!p->as_stored)
        put_payload_facts(record, &s->file->chunks[i].info, p);
    if (s->file->layout == RAIIAF_LAYOUT_GEN5)
        complete_gen5_record(record, &s->file->chunks[i].info, p, i);
    return true;
}

static raiiaf_status rename_metadata(saving *s)
{
    raiiaf_file *work = &s->work;
    if (work->layout == RAIIAF_LAYOUT_GEN5 || work->layout == RAIIAF_LAYOUT_GEN5_ZFP) {
        rf_span root = rf_json_root(work->text.data, work->text.size), name = {0, 0};
        rf_json_drop_member(&work->text, root, "raiiaf_metadata"); /* nobody's here, and it would be taken for ours */
        root = rf_json_root(work->text.data, work->text.size);
        for (rf_json_walk walk = rf_json_begin(work->text.data, root); rf_json_next(&walk);)
            if (rf_json_string_equals(walk.text, walk.name, rf_metadata_key(work->layout)))
                name = walk.name;
        rf_bytes_splice(&work->text, name.start, name.end, "\"raiiaf_metadata\"", 17);
    }
    work->layout = RAIIAF_LAYOUT_33;
    return work->text.failed ? rf_fail_memory(s->error, work->name) : RAIIAF_OK;
}

static void json_string_or_null(rf_bytes *out, const char *text)
{
    if (text && *text)
        rf_bytes_json_string(out, text, strlen(text));
    else
        rf_bytes_string(out, "null");
}

static raiiaf_status add_history(saving *s)
{
    const raiiaf_file *file = s->file;
    size_t image = raiiaf_image_chunk(file);
    char now[32];
    rf_bytes entry = {0};
    rf_span present;
    bool changed = file->source.read_at && (file->image_changed || file->description_changed); /* what is new didn't */
    if (!s->options.tool || !changed)
        return RAIIAF_OK;
    if (rf_find(&s->work, "/history", &present) && rf_json_type(s->work.text.data, present) != RAIIAF_JSON_ARRAY)
        return RAIIAF_OK; /* somebody else's member of that name stays as it is */
    rf_format_date(now, rf_now());
    rf_bytes_string(&entry, "{\"date\": ");
    json_string_or_null(&entry, s->options.date ? s->options.date : now);
    rf_bytes_string(&entry, ", \"tool\": ");
    json_string_or_null(&entry, s->options.tool);
    rf_bytes_format(&entry, ", \"action\": \"%s\", \"image_before\": ",
                    !file->image_changed                            ? "metadata"
                    : file->picture_changed || image == RAIIAF_NONE ? "edited"
                                                                    : "converted");
    json_string_or_null(&entry, file->image_before);
    rf_bytes_string(&entry, ", \"image_after\": ");
    json_string_or_null(&entry, image == RAIIAF_NONE ? NULL : file->chunks[image].info.sha256);
    rf_bytes_string(&entry, "}");
    raiiaf_status status = entry.failed ? rf_fail_memory(s->error, file->name)
                                        : rf_push(&s->work, "/history", entry.data, entry.size, s->error);
    rf_bytes_free(&entry);
    return status;
}

static raiiaf_status put_file_info(saving *s, const char *name, const char *json)
{
    char pointer[48];
    snprintf(pointer, sizeof pointer, "/file_info/%s", name);
    return rf_put(&s->work, pointer, json, strlen(json), s->error);
}

static raiiaf_status spell_file_info(saving *s)
{
    char count[24];
    rf_span present;
    raiiaf_status status = RAIIAF_OK;
    snprintf(count, sizeof count, "%zu", s->kept);
    if (rf_find(&s->work, "/file_info", &present) && rf_json_type(s->work.text.data, present) != RAIIAF_JSON_OBJECT)
        status = rf_put(&s->work, "/file_info", "{}", 2, s->error);
    if (status == RAIIAF_OK)
        status = put_file_info(s, "magic", "\"raiiaf\"");
    if (status == RAIIAF_OK)
        status = put_file_info(s, "version_major", "1");
    if (status == RAIIAF_OK)
        status = put_file_info(s, "version_minor", "0");
    if (status == RAIIAF_OK)
        status = put_file_info(s, "chunk_count", count);
    return status;
}

static raiiaf_status spell_manifest(saving *s)
{
    raiiaf_status status = rename_metadata(s);
    if (status == RAIIAF_OK)
        status = rf_settle(&s->work, s->error);
    if (status == RAIIAF_OK)
        status = add_history(s);
    if (status == RAIIAF_OK)
        status = spell_file_info(s);
    s->kept = 0;
    if (status == RAIIAF_OK)
        status = rf_records_rewrite(&s->work, spell_record, s, s->error);
    return status;
}

static raiiaf_status encode_manifest(saving *s, uint64_t file_size, int level)
{
    uint8_t head[RF_CHUNK_HEADER];
    char number[24];
    snprintf(number, sizeof number, "%" PRIu64, file_size);
    raiiaf_buffer_free(&s->manifest);
    raiiaf_status status = put_file_info(s, "file_size", number);
    if (status == RAIIAF_OK && s->work.text.size > UINT32_MAX)
        status = rf_fail(s->error, RAIIAF_ERROR_LIMIT, "manifest-size", RF_NAME(s->file->name),
                         _("the manifest is too long for the format"));
    if (status != RAIIAF_OK)
        return status;
    chunk_header(head, "META", "0000", s->work.text.size);
    return rf_zstd_encode(head, sizeof head, s->work.text.data, s->work.text.size, level, &s->manifest, s->error);
}

#define GUESSES 4        /* that a level of zstd gets */
#define LEVELS 6         /* that are tried, the usual one first */
#define LARGE (1u << 18) /* a manifest that isn't encoded as often as that: time counts more there than a few zeros */

/* The manifest tells the file's size, which depends on how well the manifest shrinks.  Guess, encode, guess again;
   where that doesn't settle, another level of zstd makes other sizes of it.  Where none does, a little too much is
   claimed and made true by zeros behind the manifest, which readers ignore. */
static raiiaf_status settle_file_size(saving *s)
{
    uint64_t guess = s->table_offset + 1024;
    unsigned most = s->work.text.size < LARGE ? LEVELS * GUESSES : GUESSES;
    for (unsigned attempt = 0;; attempt++) {
        int step = attempt < most ? (int)(attempt / GUESSES) : 0;
        raiiaf_status status =
            encode_manifest(s, guess, s->options.repack ? RF_ZSTD_LEVEL_BEST - step : RF_ZSTD_LEVEL + step);
        if (status != RAIIAF_OK)
            return status;
        uint64_t size = s->table_offset + s->manifest.size;
        if (size == guess || (size < guess && attempt >= most)) {
            s->padding = guess - size;
            s->total_size = guess;
            return RAIIAF_OK;
        }
        guess = attempt >= most ? size + 8 : size;
    }
}

/* ---- writing ---- */

static raiiaf_status write_failed(raiiaf_error *error, const char *name)
{
    return rf_fail_errno(error, errno, "write", RF_NAME(name), _("can't be written"));
}

static raiiaf_status put(saving *s, const raiiaf_sink *sink, const void *data, size_t size)
{
    errno = 0;
    return size == 0 || sink->write(sink->user, data, size) ? RAIIAF_OK : write_failed(s->error, sink->name);
}

/* Copies a run of the source; of a file that is copied whole, this is all that there is to tell of. */
static raiiaf_status copy(saving *s, const raiiaf_sink *sink, uint64_t offset, uint64_t size, const rf_where *where)
{
    while (size > 0) {
        size_t length = size < COPY_BLOCK ? (size_t)size : COPY_BLOCK;
        raiiaf_buffer block = {0};
        raiiaf_status status = rf_source_fetch(s->file, offset, length, &block, where, s->error);
        if (status == RAIIAF_OK)
            status = put(s, sink, block.data, block.size);
        raiiaf_buffer_free(&block);
        if (status == RAIIAF_OK && !s->pieces && !advance(s, length))
            status = s->status;
        if (status != RAIIAF_OK)
            return status;
        offset += length;
        size -= length;
    }
    return RAIIAF_OK;
}

static raiiaf_status write_piece(saving *s, const raiiaf_sink *sink, size_t i)
{
    const piece *p = &s->pieces[i];
    const raiiaf_chunk_info *info = &s->file->chunks[i].info;
    char name[32];
    raiiaf_status status = RAIIAF_OK;
    if (p->left_out)
        return RAIIAF_OK;
    if (p->as_stored)
        status = copy(s, sink, info->offset, info->stored_size,
                      RF_WHERE(s->file->name, rf_chunk_name(s->file, i, name), info->offset));
    else {
        status = put(s, sink, p->front.data, p->front.size);
        if (status == RAIIAF_OK)
            status = put(s, sink, p->body.data, p->body.size);
    }
    if (status == RAIIAF_OK && !advance(s, effort(s, i)))
        status = s->status;
    return status;
}

static raiiaf_status write_header(saving *s, const raiiaf_sink *sink)
{
    uint8_t head[RF_HEADER_MOST] = "raiiaf";
    head[6] = 1;
    rf_put32(head + 9, (uint32_t)s->table_offset);
    rf_put32(head + 13, (uint32_t)s->manifest.size);
    rf_put32(head + 17, (uint32_t)s->kept);
    rf_put64(head + 21, s->total_size);
    return put(s, sink, head, sizeof head);
}

static raiiaf_status write_all(saving *s, const raiiaf_sink *sink)
{
    static const uint8_t zeros[64];
    raiiaf_status status = write_header(s, sink);
    for (size_t i = 0; i < s->file->chunk_count && status == RAIIAF_OK; i++)
        status = write_piece(s, sink, i);
    if (status == RAIIAF_OK)
        status = put(s, sink, s->manifest.data, s->manifest.size);
    while (status == RAIIAF_OK && s->padding > 0) {
        size_t length = s->padding < sizeof zeros ? (size_t)s->padding : sizeof zeros;
        status = put(s, sink, zeros, length);
        s->padding -= length;
    }
    return status;
}

/* ---- all together ---- */

static raiiaf_status prepare(saving *s)
{
    const raiiaf_file *file = s->file;
    s->work = *file;
    s->work.text = (rf_bytes){0};
    rf_bytes_append(&s->work.text, file->text.data, file->text.size);
    raiiaf_status status = s->work.text.failed ? rf_fail_memory(s->error, file->name) : plan_pieces(s);
    if (status == RAIIAF_OK && !rf_parallel(file->chunk_count, s->options.threads, encode_worker, s))
        status = s->status != RAIIAF_OK ? s->status : rf_fail_memory(s->error, file->name);
    if (status == RAIIAF_OK)
        status = place_pieces(s);
    if (status == RAIIAF_OK)
        status = spell_manifest(s);
    if (status == RAIIAF_OK)
        status = settle_file_size(s);
    return status;
}

static void release(saving *s)
{
    for (size_t i = 0; s->pieces && i < s->file->chunk_count; i++) {
        raiiaf_buffer_free(&s->pieces[i].front);
        raiiaf_buffer_free(&s->pieces[i].body);
    }
    free(s->pieces);
    raiiaf_buffer_free(&s->manifest);
    rf_bytes_free(&s->work.text);
    pthread_mutex_destroy(&s->lock);
}

static bool has_float32(const raiiaf_file *file)
{
    for (size_t i = 0; i < file->chunk_count; i++)
        if (file->chunks[i].info.dtype == RAIIAF_FLOAT32)
            return true;
    return false;
}

/* Whether what the options ask for would change anything. */
static bool options_edit(const raiiaf_file *file, const raiiaf_save_options *options)
{
    return options->repack || (options->drop_latents && raiiaf_latent_count(file) > 0) ||
           (options->float16 && has_float32(file));
}

raiiaf_status raiiaf_save(const raiiaf_file *file, const raiiaf_sink *sink, const raiiaf_save_options *options,
                          raiiaf_error *error)
{
    saving s = {.file = file, .lock = PTHREAD_MUTEX_INITIALIZER, .error = error};
    char name[sizeof error->text]; /* outlives the sink */
    raiiaf_status status;
    rf_error_clear(error);
    snprintf(name, sizeof name, "%s", sink->name);
    if (options)
        s.options = *options;
    if (!file->edited && !options_edit(file, &s.options)) {
        s.total = file->source.size;
        status = copy(&s, sink, 0, file->source.size, RF_NAME(file->name));
    } else {
        status = prepare(&s);
        if (status == RAIIAF_OK)
            status = write_all(&s, sink);
    }
    if (status != RAIIAF_OK)
        sink->abort(sink->user);
    else {
        errno = 0;
        if (!sink->commit(sink->user))
            status = write_failed(error, name);
    }
    release(&s);
    return status;
}

raiiaf_status raiiaf_save_path(const raiiaf_file *file, const char *path, const raiiaf_save_options *options,
                               raiiaf_error *error)
{
    raiiaf_sink sink;
    rf_error_clear(error);
    raiiaf_status status = raiiaf_sink_path(&sink, path, error);
    return status == RAIIAF_OK ? raiiaf_save(file, &sink, options, error) : status;
}

raiiaf_status raiiaf_save_memory(const raiiaf_file *file, raiiaf_buffer *out, const raiiaf_save_options *options,
                                 raiiaf_error *error)
{
    raiiaf_sink sink;
    rf_error_clear(error);
    raiiaf_status status = raiiaf_sink_memory(&sink, out, error);
    return status == RAIIAF_OK ? raiiaf_save(file, &sink, options, error) : status;
}
