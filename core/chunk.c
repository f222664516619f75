/* SPDX-License-Identifier: MIT */
/*
 * chunk.c - chunks of an open file: what they are, their payloads decoded and verified when asked for, and adding,
 * replacing and removing them.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "codec.h"
#include "file.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- looking ---- */

size_t raiiaf_chunk_count(const raiiaf_file *file)
{
    return file->chunk_count;
}

void raiiaf_chunk_get(const raiiaf_file *file, size_t i, raiiaf_chunk_info *info)
{
    *info = file->chunks[i].info;
}

static bool is_type(const raiiaf_file *file, size_t i, const char *type)
{
    return memcmp(file->chunks[i].info.type, type, 4) == 0;
}

static size_t last_of_type(const raiiaf_file *file, const char *type)
{
    for (size_t i = file->chunk_count; i > 0; i--)
        if (is_type(file, i - 1, type))
            return i - 1;
    return RAIIAF_NONE;
}

size_t raiiaf_image_chunk(const raiiaf_file *file)
{
    return last_of_type(file, "DATA");
}

size_t raiiaf_environment_chunk(const raiiaf_file *file)
{
    return last_of_type(file, "ENVC");
}

size_t raiiaf_latent_count(const raiiaf_file *file)
{
    size_t count = 0;
    for (size_t i = 0; i < file->chunk_count; i++)
        count += is_type(file, i, "LATN");
    return count;
}

size_t raiiaf_latent_chunk(const raiiaf_file *file, size_t n)
{
    for (size_t i = 0; i < file->chunk_count; i++)
        if (is_type(file, i, "LATN") && n-- == 0)
            return i;
    return RAIIAF_NONE;
}

size_t raiiaf_latent_find(const raiiaf_file *file, const char *key_or_number)
{
    for (size_t i = 0; i < file->chunk_count; i++)
        if (is_type(file, i, "LATN") && strcmp(file->chunks[i].info.key, key_or_number) == 0)
            return i;
    size_t n = 0;
    for (const char *p = key_or_number; *p || p == key_or_number; p++)
        if (*p < '0' || *p > '9' || __builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, *p - '0', &n))
            return RAIIAF_NONE;
    return raiiaf_latent_chunk(file, n);
}

/* ---- decoding ---- */

/* A chunk that is being read, and where its errors are. */
typedef struct reading {
    const raiiaf_file *file;
    const rf_chunk *chunk;
    rf_where where;
    raiiaf_error *error;
    bool lossy; /* found so on decoding */
} reading;

static raiiaf_status damaged(const reading *r, const char *id, const char *message)
{
    return rf_fail(r->error, RAIIAF_ERROR_DAMAGED, id, &r->where, "%s", message);
}

/* The 12 bytes that begin a chunk must agree with the record: type, size, and for latents the type of element. */
static raiiaf_status check_header(const reading *r, const uint8_t *head)
{
    const raiiaf_chunk_info *info = &r->chunk->info;
    if (memcmp(head, info->type, 4) != 0)
        return damaged(r, "chunk-type", _("its chunk header tells another type than its record"));
    if (rf_get32(head + 8) != info->size)
        return damaged(r, "chunk-size", _("its chunk header tells another size than its record"));
    if (info->dtype != RAIIAF_DTYPE_NONE) {
        const char *flags = info->dtype == RAIIAF_FLOAT32 ? "F32" : "F16";
        if (memcmp(head + 4, flags, 4) != 0)
            return damaged(r, "latent-dtype", _("its chunk header tells another type of element than its size"));
    } else if (memcmp(head + 4, "0000", 4) != 0)
        rf_warn(r->file, RAIIAF_ERROR_DAMAGED, "chunk-flags", &r->where, _("its chunk header has unknown flags"));
    return RAIIAF_OK;
}

/* Leaves the chunk header off a buffer that begins with it. */
static void skip_header(raiiaf_buffer *buffer)
{
    buffer->data += RF_CHUNK_HEADER;
    buffer->size -= RF_CHUNK_HEADER;
}

static raiiaf_status decode_zstd(const reading *r, const raiiaf_buffer *stored, raiiaf_buffer *payload)
{
    uint64_t size, expected;
    raiiaf_status status = rf_zstd_content_size(stored->data, stored->size, &size, &r->where, r->error);
    /* without limits, a record may claim so much that the sum wraps */
    if (status == RAIIAF_OK && (!rf_add(r->chunk->info.size, RF_CHUNK_HEADER, &expected) || size != expected))
        status = damaged(r, "chunk-size", _("its compressed data declares another size than its record"));
    if (status == RAIIAF_OK)
        status = rf_buffer_new(payload, (size_t)size, r->file->budget, &r->where, r->error);
    if (status == RAIIAF_OK)
        status = rf_zstd_decode(stored->data, stored->size, rf_buffer_data(payload), (size_t)size, &r->where, r->error);
    if (status == RAIIAF_OK)
        status = check_header(r, payload->data);
    if (status == RAIIAF_OK)
        skip_header(payload);
    return status;
}

static raiiaf_status decode_zfp_header(const reading *r, const raiiaf_buffer *stored)
{
    uint8_t head[RF_CHUNK_HEADER];
    uint64_t size;
    size_t length = (size_t)r->chunk->header_size;
    raiiaf_status status = rf_zstd_content_size(stored->data, length, &size, &r->where, r->error);
    if (status == RAIIAF_OK && size != RF_CHUNK_HEADER)
        status = damaged(r, "chunk-size", _("its compressed chunk header doesn't have 12 bytes"));
    if (status == RAIIAF_OK)
        status = rf_zstd_decode(stored->data, length, head, sizeof head, &r->where, r->error);
    return status == RAIIAF_OK ? check_header(r, head) : status;
}

static raiiaf_status decode_zfp(reading *r, const raiiaf_buffer *stored, raiiaf_buffer *payload)
{
    const raiiaf_chunk_info *info = &r->chunk->info;
    bool half = info->dtype == RAIIAF_FLOAT16;
    size_t elements = (size_t)info->size / (half ? 2 : 4);
    const uint8_t *stream = stored->data + r->chunk->header_size;
    raiiaf_buffer wide = {0};
    raiiaf_status status = decode_zfp_header(r, stored);
    if (status == RAIIAF_OK)
        status = rf_buffer_new(half ? &wide : payload, elements * 4, r->file->budget, &r->where, r->error);
    if (status == RAIIAF_OK)
        status = rf_zfp_decode(stream, (size_t)r->chunk->data_size, elements,
                               (float *)(void *)rf_buffer_data(half ? &wide : payload), &r->lossy, &r->where, r->error);
    if (status == RAIIAF_OK && half)
        status = rf_buffer_new(payload, elements * 2, r->file->budget, &r->where, r->error);
    if (status == RAIIAF_OK && half)
        rf_float_to_half((const float *)(const void *)wide.data, elements, rf_buffer_data(payload));
    raiiaf_buffer_free(&wide);
    return status;
}

/* `stored` becomes the payload itself where it holds it as it is. */
static raiiaf_status decode(reading *r, raiiaf_buffer *stored, raiiaf_buffer *payload)
{
    if (r->chunk->info.encoding == RAIIAF_ENCODING_ZFP)
        return decode_zfp(r, stored, payload);
    if (r->chunk->info.encoding == RAIIAF_ENCODING_ZSTD)
        return decode_zstd(r, stored, payload);
    raiiaf_status status = RAIIAF_OK;
    if (!r->chunk->no_header) {
        if (stored->size < RF_CHUNK_HEADER)
            return damaged(r, "chunk-size", _("is too short for a chunk header"));
        status = check_header(r, stored->data);
    }
    if (status != RAIIAF_OK)
        return status;
    *payload = *stored;
    *stored = (raiiaf_buffer){0};
    if (!r->chunk->no_header)
        skip_header(payload);
    return RAIIAF_OK;
}

static raiiaf_status verify_payload(const reading *r, const raiiaf_buffer *payload, unsigned flags)
{
    char hex[RF_SHA256_HEX];
    if (flags & RAIIAF_READ_UNVERIFIED)
        return RAIIAF_OK;
    rf_sha256(payload->data, payload->size, hex);
    if (strcmp(hex, r->chunk->info.sha256) == 0)
        return RAIIAF_OK;
    if (!r->lossy)
        return rf_fail(r->error, RAIIAF_ERROR_HASH, "hash", &r->where,
                       _("its SHA-256 is not the recorded one: the data is damaged"));
    if (flags & RAIIAF_READ_LOSSY)
        return RAIIAF_OK;
    return rf_fail(r->error, RAIIAF_ERROR_LOSSY, "lossy", &r->where,
                   _("the latent was stored lossily, so that its SHA-256 can't match; it can be read only by asking "
                     "for lossy data"));
}

raiiaf_status raiiaf_chunk_read_stored(const raiiaf_file *file, size_t i, raiiaf_buffer *stored, raiiaf_error *error)
{
    const rf_chunk *chunk = &file->chunks[i];
    char name[32];
    const rf_where where = {file->name, rf_chunk_name(file, i, name), chunk->info.offset};
    rf_error_clear(error);
    *stored = (raiiaf_buffer){0};
    if (chunk->fresh)
        return rf_fail(error, RAIIAF_ERROR_ARGUMENT, "not-stored", RF_WHERE(file->name, name, RAIIAF_NO_OFFSET),
                       _("isn't stored yet; save the file first"));
    if (chunk->stored.data) {
        *stored = rf_buffer_share(&chunk->stored);
        return RAIIAF_OK;
    }
    return rf_source_fetch(file, chunk->info.offset, (size_t)chunk->info.stored_size, stored, &where, error);
}

raiiaf_status rf_chunk_hold(raiiaf_file *file, size_t i, raiiaf_error *error)
{
    rf_chunk *chunk = &file->chunks[i];
    return chunk->fresh || chunk->stored.data ? RAIIAF_OK : raiiaf_chunk_read_stored(file, i, &chunk->stored, error);
}

raiiaf_status raiiaf_chunk_read(const raiiaf_file *file, size_t i, unsigned flags, raiiaf_buffer *payload,
                                raiiaf_error *error)
{
    char name[32];
    raiiaf_buffer stored = {0};
    reading r = {
        file, &file->chunks[i], {file->name, rf_chunk_name(file, i, name), file->chunks[i].info.offset}, error, false};
    rf_error_clear(error);
    *payload = (raiiaf_buffer){0};
    if (r.chunk->fresh) {
        *payload = rf_buffer_share(&r.chunk->payload);
        return RAIIAF_OK;
    }
    raiiaf_status status = raiiaf_chunk_read_stored(file, i, &stored, error);
    if (status == RAIIAF_OK)
        status = decode(&r, &stored, payload);
    raiiaf_buffer_free(&stored);
    if (status == RAIIAF_OK)
        status = verify_payload(&r, payload, flags);
    if (status != RAIIAF_OK)
        raiiaf_buffer_free(payload);
    return status;
}

raiiaf_status rf_chunk_verify(const raiiaf_file *file, size_t i, const raiiaf_buffer *payload, raiiaf_error *error)
{
    char name[32];
    const rf_where where = {file->name, rf_chunk_name(file, i, name), file->chunks[i].info.offset};
    reading r = {file, &file->chunks[i], where, error, false};
    rf_error_clear(error);
    return verify_payload(&r, payload, 0);
}

/* A zstd block holds at most 128 KiB, so this much of a frame always gives the first bytes of its content. */
#define HEAD_OF_FRAME ((128u << 10) + 64)

raiiaf_status rf_chunk_head(const raiiaf_file *file, size_t i, void *out, size_t capacity, size_t *got,
                            raiiaf_error *error)
{
    const rf_chunk *chunk = &file->chunks[i];
    char name[32];
    const rf_where where = {file->name, rf_chunk_name(file, i, name), chunk->info.offset};
    raiiaf_buffer stored = {0}, head = {0};
    *got = chunk->info.size < capacity ? (size_t)chunk->info.size : capacity;
    if (chunk->fresh) {
        memcpy(out, chunk->payload.data, *got);
        return RAIIAF_OK;
    }
    if (!chunk->compressed)
        return *got ? rf_source_read(file, chunk->info.offset + RF_CHUNK_HEADER, out, *got, &where, error) : RAIIAF_OK;
    uint64_t wanted = HEAD_OF_FRAME + capacity;
    size_t length = (size_t)(chunk->info.stored_size < wanted ? chunk->info.stored_size : wanted);
    size_t decoded = 0;
    raiiaf_status status = rf_source_fetch(file, chunk->info.offset, length, &stored, &where, error);
    if (status == RAIIAF_OK)
        status = rf_buffer_new(&head, *got + RF_CHUNK_HEADER, file->budget, &where, error);
    if (status == RAIIAF_OK)
        status =
            rf_zstd_decode_head(stored.data, stored.size, rf_buffer_data(&head), head.size, &decoded, &where, error);
    if (status == RAIIAF_OK && decoded < RF_CHUNK_HEADER)
        status = rf_fail(error, RAIIAF_ERROR_DAMAGED, "chunk-size", &where, _("is too short for a chunk header"));
    if (status == RAIIAF_OK) {
        *got = decoded - RF_CHUNK_HEADER;
        memcpy(out, head.data + RF_CHUNK_HEADER, *got);
    }
    raiiaf_buffer_free(&stored);
    raiiaf_buffer_free(&head);
    return status;
}

/* ---- verifying everything ---- */

typedef struct verification {
    const raiiaf_file *file;
    raiiaf_progress_callback progress;
    void *user;
    pthread_mutex_t lock;
    uint64_t done, total;
    size_t failed; /* the first chunk, in order, that failed */
    raiiaf_status status;
    raiiaf_error error;
} verification;

static bool known(const raiiaf_file *file, size_t i)
{
    return is_type(file, i, "LATN") || is_type(file, i, "DATA") || is_type(file, i, "ENVC");
}

static bool verify_chunk(void *user, size_t i)
{
    verification *v = user;
    const raiiaf_file *file = v->file;
    raiiaf_buffer payload = {0};
    raiiaf_error error;
    if (!known(file, i))
        return true; /* whose record has been checked */
    raiiaf_status status = raiiaf_chunk_read(file, i, 0, &payload, &error);
    if (status == RAIIAF_OK && is_type(file, i, "ENVC")) {
        char name[32];
        const rf_where where = {file->name, rf_chunk_name(file, i, name), file->chunks[i].info.offset};
        status = rf_environment_check(file, (const char *)payload.data, payload.size, &where, &error);
    }
    raiiaf_buffer_free(&payload);
    pthread_mutex_lock(&v->lock);
    v->done += file->chunks[i].info.size;
    if (status == RAIIAF_OK && v->progress && !v->progress(v->user, v->done, v->total))
        status = rf_fail(&error, RAIIAF_ERROR_CANCELLED, "cancelled", RF_NAME(file->name), _("cancelled"));
    if (status != RAIIAF_OK && (v->status == RAIIAF_OK || i < v->failed)) {
        v->failed = i;
        v->status = status;
        v->error = error;
    }
    pthread_mutex_unlock(&v->lock);
    return status == RAIIAF_OK;
}

raiiaf_status raiiaf_verify(const raiiaf_file *file, unsigned threads, raiiaf_progress_callback progress, void *user,
                            raiiaf_error *error)
{
    verification v = {.file = file, .progress = progress, .user = user, .lock = PTHREAD_MUTEX_INITIALIZER};
    rf_error_clear(error);
    for (size_t i = 0; i < file->chunk_count; i++)
        v.total += known(file, i) ? file->chunks[i].info.size : 0;
    if (!rf_parallel(file->chunk_count, threads, verify_chunk, &v) && v.status == RAIIAF_OK)
        v.status = rf_fail_memory(&v.error, file->name);
    pthread_mutex_destroy(&v.lock);
    if (v.status != RAIIAF_OK && error)
        *error = v.error;
    return v.status;
}

/* ---- changing ---- */

raiiaf_status rf_records_rewrite(raiiaf_file *file, bool (*rewrite)(void *user, size_t i, rf_bytes *record), void *user,
                                 raiiaf_error *error)
{
    rf_span chunks;
    rf_bytes out = {0}, record = {0};
    if (!rf_find(file, "/chunks", &chunks))
        return rf_fail_memory(error, file->name); /* checked on opening */
    const char *text = file->text.data;
    size_t end = 0; /* of the record before */
    bool first = true;
    for (rf_json_walk walk = rf_json_begin(text, chunks); rf_json_next(&walk); end = walk.value.end) {
        if (walk.index == 0)
            rf_bytes_append(&out, text, walk.value.start);
        record.size = 0;
        rf_bytes_append(&record, text + walk.value.start, walk.value.end - walk.value.start);
        if (!rewrite(user, walk.index, &record))
            continue;
        if (!first) /* comma and white space */
            rf_bytes_append(&out, text + end, walk.value.start - end);
        rf_bytes_append(&out, record.data, record.size);
        first = false;
    }
    rf_bytes_append(&out, text + end, file->text.size - end);
    bool failed = record.failed || out.failed;
    rf_bytes_free(&record);
    if (failed) {
        rf_bytes_free(&out);
        return rf_fail_memory(error, file->name);
    }
    rf_bytes_free(&file->text);
    file->text = out;
    return RAIIAF_OK;
}

static bool mark_stale(void *user, size_t i, rf_bytes *record)
{
    raiiaf_file *file = user;
    rf_span extra;
    if (is_type(file, i, "LATN") && !file->chunks[i].info.stale && !record->failed &&
        rf_json_member(record->data, rf_json_root(record->data, record->size), "extra", &extra)) {
        rf_json_put(record, extra, "stale", "true", 4);
        file->chunks[i].info.stale = true;
    }
    return true;
}

raiiaf_status rf_latents_mark_stale(raiiaf_file *file, raiiaf_error *error)
{
    return rf_records_rewrite(file, mark_stale, file, error);
}

/* Latents come before the image, the image before the environment, as the reference orders them. */
static size_t place_for(const raiiaf_file *file, const char *type)
{
    if (strcmp(type, "DATA") == 0 && file->image_record)
        return file->image_position < file->chunk_count ? file->image_position : file->chunk_count;
    for (size_t i = 0; i < file->chunk_count; i++)
        if ((is_type(file, i, "ENVC") && strcmp(type, "ENVC") != 0) ||
            (is_type(file, i, "DATA") && strcmp(type, "LATN") == 0))
            return i;
    return file->chunk_count;
}

raiiaf_status rf_record_insert(raiiaf_file *file, size_t at, const rf_bytes *record, raiiaf_error *error)
{
    rf_span chunks, here, other;
    if (at == file->chunk_count)
        return rf_push(file, "/chunks", record->data, record->size, error);
    if (!rf_find(file, "/chunks", &chunks) || !rf_json_element(file->text.data, chunks, at, &here))
        return rf_fail_memory(error, file->name);
    rf_bytes piece = {0};
    rf_bytes_append(&piece, record->data, record->size);
    if (at > 0 && rf_json_element(file->text.data, chunks, at - 1, &other))
        rf_bytes_append(&piece, file->text.data + other.end, here.start - other.end);
    else if (rf_json_element(file->text.data, chunks, at + 1, &other))
        rf_bytes_append(&piece, file->text.data + here.end, other.start - here.end);
    else
        rf_bytes_string(&piece, ", ");
    if (!piece.failed)
        rf_bytes_splice(&file->text, here.start, here.start, piece.data, piece.size);
    bool failed = piece.failed || file->text.failed;
    rf_bytes_free(&piece);
    return failed ? rf_fail_memory(error, file->name) : RAIIAF_OK;
}

static void spell_record(rf_bytes *out, const raiiaf_file *file, size_t at, const rf_chunk *chunk, const char *extra)
{
    const char *flags = chunk->info.dtype == RAIIAF_FLOAT32   ? "F32"
                        : chunk->info.dtype == RAIIAF_FLOAT16 ? "F16"
                                                              : "0000";
    if (strcmp(chunk->info.type, "DATA") == 0 && file->image_record) {
        rf_bytes_string(out, file->image_record);
        return;
    }
    rf_bytes_format(out,
                    "{\"index\": %zu, \"type\": \"%s\", \"flags\": \"%s\", \"offset\": 0, \"compressed_size\": 0, "
                    "\"uncompressed_size\": %zu, \"hash\": \"%s\", \"extra\": %s, \"compressed\": false, "
                    "\"len_header\": null, \"len_data\": null}",
                    at, chunk->info.type, flags, (size_t)chunk->info.size, chunk->info.sha256, extra);
}

/* Room for one more chunk at `at`. */
static bool make_room(raiiaf_file *file, size_t at)
{
    rf_chunk *chunks = realloc(file->chunks, (file->chunk_count + 1) * sizeof *chunks);
    if (!chunks)
        return false;
    file->chunks = chunks;
    memmove(chunks + at + 1, chunks + at, (file->chunk_count - at) * sizeof *chunks);
    file->chunk_count++;
    return true;
}

static void take_payload(rf_chunk *chunk, raiiaf_buffer *payload)
{
    raiiaf_buffer_free(&chunk->payload);
    raiiaf_buffer_free(&chunk->stored);
    chunk->payload = *payload;
    *payload = (raiiaf_buffer){0};
    chunk->fresh = true;
    chunk->compressed = false;
    chunk->no_header = false;
    chunk->header_size = chunk->data_size = 0;
    chunk->info.encoding = RAIIAF_ENCODING_RAW;
    chunk->info.offset = chunk->info.stored_size = 0;
    chunk->info.size = chunk->payload.size;
    rf_sha256(chunk->payload.data, chunk->payload.size, chunk->info.sha256);
}

raiiaf_status rf_chunk_add(raiiaf_file *file, const char type[5], raiiaf_buffer *payload, const char *extra,
                           raiiaf_dtype dtype, unsigned rank, const uint32_t *shape, const char *key,
                           raiiaf_error *error)
{
    rf_chunk chunk = {.info = {.dtype = dtype, .rank = rank}};
    rf_bytes record = {0};
    size_t at = place_for(file, type);
    raiiaf_status status = RAIIAF_OK;
    memcpy(chunk.info.type, type, 4);
    for (unsigned axis = 0; axis < rank; axis++)
        chunk.info.shape[axis] = shape[axis];
    chunk.key = strdup(key ? key : "");
    chunk.info.key = chunk.key;
    take_payload(&chunk, payload);
    spell_record(&record, file, at, &chunk, extra);
    if (!chunk.key || record.failed)
        status = rf_fail_memory(error, file->name);
    if (status == RAIIAF_OK && file->limits.chunks && file->chunk_count >= file->limits.chunks)
        status = rf_fail(error, RAIIAF_ERROR_LIMIT, "chunk-count", RF_NAME(file->name),
                         _("can't hold more than %" PRIu64 " chunks"), file->limits.chunks);
    if (status == RAIIAF_OK && !make_room(file, at))
        status = rf_fail_memory(error, file->name);
    if (status == RAIIAF_OK) {
        file->chunk_count--; /* until the record is in */
        status = rf_record_insert(file, at, &record, error);
        if (status == RAIIAF_OK)
            file->chunk_count++;
        else
            memmove(file->chunks + at, file->chunks + at + 1, (file->chunk_count - at) * sizeof chunk);
    }
    rf_bytes_free(&record);
    if (status != RAIIAF_OK) {
        raiiaf_buffer_free(&chunk.payload);
        free(chunk.key);
        return status;
    }
    file->chunks[at] = chunk;
    file->edited = true;
    if (strcmp(chunk.info.type, "DATA") == 0) {
        free(file->image_record);
        file->image_record = NULL;
    }
    return RAIIAF_OK;
}

raiiaf_status rf_chunk_replace(raiiaf_file *file, size_t i, raiiaf_buffer *payload, raiiaf_error *error)
{
    (void)error; /* the record follows on saving */
    take_payload(&file->chunks[i], payload);
    file->edited = true;
    return RAIIAF_OK;
}

raiiaf_status raiiaf_chunk_remove(raiiaf_file *file, size_t i, raiiaf_error *error)
{
    char pointer[40];
    rf_error_clear(error);
    snprintf(pointer, sizeof pointer, "/chunks/%zu", i);
    raiiaf_status status = rf_drop(file, pointer, error);
    if (status != RAIIAF_OK)
        return status;
    if (i == raiiaf_image_chunk(file))
        file->image_changed = file->picture_changed = true;
    free(file->chunks[i].key);
    raiiaf_buffer_free(&file->chunks[i].payload);
    raiiaf_buffer_free(&file->chunks[i].stored);
    file->chunk_count--;
    memmove(file->chunks + i, file->chunks + i + 1, (file->chunk_count - i) * sizeof *file->chunks);
    file->edited = true;
    return RAIIAF_OK;
}
