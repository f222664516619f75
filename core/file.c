/* SPDX-License-Identifier: MIT */
/*
 * file.c - opening: from a source, by way of header and manifest text, to checked chunk records.  No payload is
 * touched here.  Reads in the order of doc/format.md, 1 to 3.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "codec.h"
#include "file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- small things that every module asks for ---- */

void rf_warn(const raiiaf_file *file, raiiaf_status status, const char *id, const rf_where *where, const char *format,
             ...)
{
    if (!file->warning)
        return;
    raiiaf_error warning;
    char message[sizeof warning.text];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    rf_fail(&warning, status, id, where, "%s", message);
    file->warning(file->warning_user, &warning);
}

const char *rf_metadata_key(raiiaf_layout layout)
{
    return layout == RAIIAF_LAYOUT_33 || layout == RAIIAF_LAYOUT_29 ? "raiiaf_metadata" : "gen5_metadata";
}

const char *rf_chunk_name(const raiiaf_file *file, size_t i, char out[32])
{
    const char *type = file->chunks[i].info.type;
    if (*type)
        snprintf(out, 32, "%s %zu", type, i);
    else
        snprintf(out, 32, _("record %zu"), i);
    return out;
}

const char *raiiaf_name(const raiiaf_file *file)
{
    return file->name;
}

raiiaf_layout raiiaf_layout_of(const raiiaf_file *file)
{
    return file->layout;
}

const char *raiiaf_layout_name(raiiaf_layout layout)
{
    static const char *const names[] = {"raiiaf-33", "raiiaf-29", "gen5-zfp", "gen5"};
    return names[layout];
}

uint64_t raiiaf_file_size(const raiiaf_file *file)
{
    return file->source.size;
}

bool raiiaf_edited(const raiiaf_file *file)
{
    return file->edited;
}

bool raiiaf_is_magic(const void *head, size_t size)
{
    return (size >= 6 && memcmp(head, "raiiaf", 6) == 0) || (size >= 4 && memcmp(head, "GEN5", 4) == 0);
}

/* ---- header ---- */

typedef struct header_fields {
    size_t magic_size, table_position, least_size;
} header_fields;

/* A raiiaf header counts 29 bytes here whichever of the two it is: the fields that matter lie at the same places. */
static const header_fields raiiaf_fields = {6, 9, 29}, gen5_fields = {4, 8, 32};

static raiiaf_status read_header(raiiaf_file *file, raiiaf_error *error)
{
    const rf_where where = {file->name, "header", 0};
    uint8_t *head = file->header;
    size_t size = file->source.size < sizeof file->header ? (size_t)file->source.size : sizeof file->header;
    raiiaf_status status = rf_source_read(file, 0, head, size, &where, error);
    if (status != RAIIAF_OK)
        return status;
    if (!raiiaf_is_magic(head, size))
        return rf_fail(error, RAIIAF_ERROR_FORMAT, "magic", RF_NAME(file->name), _("is not a .raiiaf file"));
    bool gen5 = head[0] == 'G';
    const header_fields *fields = gen5 ? &gen5_fields : &raiiaf_fields;
    if (size < fields->least_size)
        return rf_fail(error, RAIIAF_ERROR_DAMAGED, "truncated", &where, _("the file ends inside its header"));
    if (head[fields->magic_size] != 1)
        return rf_fail(error, RAIIAF_ERROR_VERSION, "version", &where,
                       _("version %u.%u of the format is not known; this library reads 1.x"), head[fields->magic_size],
                       head[fields->magic_size + 1]);
    file->layout = gen5 ? RAIIAF_LAYOUT_GEN5 : RAIIAF_LAYOUT_33;
    file->header_size = fields->least_size;
    file->table_offset = rf_get32(head + fields->table_position);
    file->table_size = rf_get32(head + fields->table_position + 4);
    if (file->table_offset < file->header_size)
        return rf_fail(error, RAIIAF_ERROR_DAMAGED, "manifest-offset", &where,
                       _("the manifest's offset, %" PRIu64 ", lies inside the header"), file->table_offset);
    if (file->table_offset > file->source.size || file->table_size > file->source.size - file->table_offset)
        return rf_fail(error, RAIIAF_ERROR_DAMAGED, "truncated", &where,
                       _("the manifest (%" PRIu64 " bytes at %" PRIu64 ") lies beyond the end of the file (%" PRIu64
                         " bytes): the file is cut or damaged"),
                       file->table_size, file->table_offset, file->source.size);
    return RAIIAF_OK;
}

/* ---- manifest ---- */

static raiiaf_status check_chunk_header(const raiiaf_file *file, const uint8_t *head, const rf_where *where,
                                        raiiaf_error *error)
{
    if (memcmp(head, "META", 4) != 0)
        return rf_fail(error, RAIIAF_ERROR_DAMAGED, "chunk-type", where, _("its chunk header is not of type META"));
    if (memcmp(head + 4, "0000", 4) != 0)
        rf_warn(file, RAIIAF_ERROR_DAMAGED, "chunk-flags", where, _("its chunk header has unknown flags"));
    return RAIIAF_OK;
}

static raiiaf_status read_manifest(raiiaf_file *file, raiiaf_error *error)
{
    const rf_where where = {file->name, "manifest", file->table_offset};
    raiiaf_buffer stored = {0};
    uint64_t size = 0;
    /* Bytes after the frame are ignored; so many that no frame within the limit reaches them aren't even read. */
    uint64_t most =
        file->limits.manifest_size ? file->limits.manifest_size + file->limits.manifest_size / 128 + 65536 : UINT64_MAX;
    size_t wanted = (size_t)(file->table_size < most ? file->table_size : most);
    raiiaf_status status = rf_source_fetch(file, file->table_offset, wanted, &stored, &where, error);
    if (status == RAIIAF_OK)
        status = rf_zstd_content_size(stored.data, stored.size, &size, &where, error);
    if (status != RAIIAF_OK)
        goto done;
    if (size < RF_CHUNK_HEADER) {
        status = rf_fail(error, RAIIAF_ERROR_DAMAGED, "chunk-size", &where, _("is too short for a chunk header"));
        goto done;
    }
    if (file->limits.manifest_size && size - RF_CHUNK_HEADER > file->limits.manifest_size) {
        status = rf_fail(error, RAIIAF_ERROR_LIMIT, "manifest-size", &where,
                         _("would take %" PRIu64 " bytes, more than the limit of %" PRIu64
                           "; raise raiiaf_limits.manifest_size if you trust the file"),
                         size - RF_CHUNK_HEADER, file->limits.manifest_size);
        goto done;
    }
    if (!rf_budget_take(file->budget, size)) {
        status = rf_fail(error, RAIIAF_ERROR_LIMIT, "memory-budget", &where,
                         _("needs %" PRIu64 " more bytes of memory than the limit allows; "
                           "raise raiiaf_limits.memory if you trust the file"),
                         size);
        goto done;
    }
    char *text = malloc((size_t)size + 1);
    if (!text) {
        status = rf_fail_memory(error, file->name);
        goto done;
    }
    file->text = (rf_bytes){text, (size_t)size, (size_t)size + 1, false};
    status = rf_zstd_decode(stored.data, stored.size, text, (size_t)size, &where, error);
    if (status == RAIIAF_OK)
        status = check_chunk_header(file, (const uint8_t *)text, &where, error);
    if (status == RAIIAF_OK && rf_get32((const uint8_t *)text + 8) != size - RF_CHUNK_HEADER)
        status = rf_fail(error, RAIIAF_ERROR_DAMAGED, "chunk-size", &where,
                         _("its chunk header tells %" PRIu32 " bytes, but there are %" PRIu64),
                         rf_get32((const uint8_t *)text + 8), size - RF_CHUNK_HEADER);
    if (status == RAIIAF_OK) {
        file->text.size -= RF_CHUNK_HEADER;
        memmove(text, text + RF_CHUNK_HEADER, file->text.size);
        text[file->text.size] = 0;
    }
done:
    raiiaf_buffer_free(&stored);
    return status;
}

static raiiaf_status check_manifest(const raiiaf_file *file, rf_span *chunks, raiiaf_error *error)
{
    const rf_where where = {file->name, "manifest", file->table_offset};
    const char *text = file->text.data;
    size_t position;
    if (!rf_json_check(text, file->text.size, &position))
        return rf_fail(error, RAIIAF_ERROR_DAMAGED, "manifest-json", &where,
                       _("its text is not valid JSON (at byte %zu of %zu, decompressed)"), position, file->text.size);
    rf_span metadata;
    rf_span root = rf_json_root(text, file->text.size);
    const char *key = rf_metadata_key(file->layout);
    if (!rf_json_member(text, root, key, &metadata) || rf_json_type(text, metadata) != RAIIAF_JSON_OBJECT)
        return rf_fail(error, RAIIAF_ERROR_DAMAGED, "manifest-root", &where, _("holds no object \"%s\""), key);
    if (!rf_json_member(text, metadata, "chunks", chunks) || rf_json_type(text, *chunks) != RAIIAF_JSON_ARRAY)
        return rf_fail(error, RAIIAF_ERROR_DAMAGED, "manifest-chunks", &where, _("holds no array \"chunks\""));
    return RAIIAF_OK;
}

/* ---- records ---- */

/* What is being read, for messages. */
typedef struct record {
    raiiaf_file *file;
    rf_chunk *chunk;
    rf_span span;
    raiiaf_error *error;
} record;

static rf_where where_of(const record *r, char name[32])
{
    rf_chunk_name(r->file, (size_t)(r->chunk - r->file->chunks), name);
    return (rf_where){r->file->name, name, r->chunk->info.offset ? r->chunk->info.offset : RAIIAF_NO_OFFSET};
}

static raiiaf_status refuse_record(const record *r, raiiaf_status status, const char *id, const char *message)
{
    char name[32];
    const rf_where where = where_of(r, name);
    return rf_fail(r->error, status, id, &where, "%s", message);
}

static raiiaf_status bad_record(const record *r, const char *id, const char *message)
{
    return refuse_record(r, RAIIAF_ERROR_DAMAGED, id, message);
}

static bool member(const record *r, const char *name, rf_span *value)
{
    return rf_json_member(r->file->text.data, r->span, name, value);
}

static raiiaf_status read_size(const record *r, const char *name, uint64_t *number)
{
    rf_span value;
    char message[256];
    if (member(r, name, &value) && rf_json_uint64(r->file->text.data, value, number))
        return RAIIAF_OK;
    snprintf(message, sizeof message, _("its record has no whole number \"%s\""), name);
    return bad_record(r, "record-number", message);
}

static raiiaf_status read_type(const record *r)
{
    const char *text = r->file->text.data;
    rf_span value;
    if (rf_json_type(text, r->span) != RAIIAF_JSON_OBJECT)
        return bad_record(r, "record-form", _("its record is not an object"));
    /* four plain ASCII characters between the quotes */
    bool good = member(r, "type", &value) && rf_json_type(text, value) == RAIIAF_JSON_STRING &&
                value.end - value.start == 6 && !memchr(text + value.start, '\\', 6);
    for (size_t i = value.start + 1; good && i + 1 < value.end; i++)
        good = text[i] >= ' ' && text[i] <= '~';
    if (!good)
        return bad_record(r, "record-type", _("its record has no type of four characters"));
    memcpy(r->chunk->info.type, text + value.start + 1, 4);
    return RAIIAF_OK;
}

static raiiaf_status read_hash(const record *r)
{
    const char *text = r->file->text.data;
    rf_span value;
    uint8_t digest[32];
    if (!member(r, "hash", &value) || rf_json_type(text, value) != RAIIAF_JSON_STRING ||
        value.end - value.start != 66 || !rf_unhex(text + value.start + 1, 64, digest))
        return bad_record(r, "record-hash", _("its record has no SHA-256, so nothing could be verified"));
    rf_hex(digest, sizeof digest, r->chunk->info.sha256);
    return RAIIAF_OK;
}

static raiiaf_status read_compressed(const record *r)
{
    const char *text = r->file->text.data;
    rf_span value;
    r->chunk->compressed = true;
    if (!member(r, "compressed", &value))
        return RAIIAF_OK;
    if (rf_json_type(text, value) != RAIIAF_JSON_BOOLEAN)
        return bad_record(r, "record-compressed", _("\"compressed\" in its record is neither true nor false"));
    r->chunk->compressed = text[value.start] == 't';
    return RAIIAF_OK;
}

static raiiaf_status check_range(const record *r)
{
    const raiiaf_chunk_info *info = &r->chunk->info;
    uint64_t end, size = r->file->source.size;
    char message[512];
    if (rf_add(info->offset, info->stored_size, &end) && end <= size)
        return RAIIAF_OK;
    snprintf(message, sizeof message,
             _("%" PRIu64 " bytes are recorded there, but the file ends at %" PRIu64 ": it is cut or damaged"),
             info->stored_size, size);
    return bad_record(r, "chunk-range", message);
}

static raiiaf_status read_shape(const record *r, rf_span extra)
{
    const char *text = r->file->text.data;
    const raiiaf_limits *limits = &r->file->limits;
    raiiaf_chunk_info *info = &r->chunk->info;
    rf_span shape;
    uint64_t elements = 1, length, bytes;
    if (!rf_json_member(text, extra, "shape", &shape) || rf_json_type(text, shape) != RAIIAF_JSON_ARRAY)
        return bad_record(r, "latent-shape", _("its record tells no shape"));
    for (rf_json_walk walk = rf_json_begin(text, shape); rf_json_next(&walk);) {
        if (info->rank == RAIIAF_MAX_RANK)
            return bad_record(r, "latent-shape", _("its shape has more than 8 axes"));
        if (!rf_json_uint64(text, walk.value, &length) || length == 0 || length > UINT32_MAX)
            return bad_record(r, "latent-shape", _("an axis of its shape is not a whole number above 0"));
        if (limits->dimension && length > limits->dimension)
            return refuse_record(r, RAIIAF_ERROR_LIMIT, "latent-dimension",
                                 _("an axis of its shape is longer than the limit"));
        if (!rf_multiply(elements, length, &elements) ||
            (limits->latent_elements && elements > limits->latent_elements))
            return refuse_record(r, RAIIAF_ERROR_LIMIT, "latent-elements", _("it has more elements than the limit"));
        info->shape[info->rank++] = (uint32_t)length;
    }
    if (info->rank == 0)
        return bad_record(r, "latent-shape", _("its shape has no axis"));
    /* The size settles the type of element; what the record says of it only describes. */
    if (rf_multiply(elements, 4, &bytes) && bytes == info->size)
        info->dtype = RAIIAF_FLOAT32;
    else if (rf_multiply(elements, 2, &bytes) && bytes == info->size)
        info->dtype = RAIIAF_FLOAT16;
    else
        return bad_record(r, "latent-size", _("its shape doesn't fit its size in bytes"));
    return RAIIAF_OK;
}

static raiiaf_status read_key(const record *r, rf_span extra)
{
    const char *text = r->file->text.data;
    rf_span value;
    rf_bytes key = {0};
    if (!rf_json_member(text, extra, "key", &value))
        rf_bytes_string(&key, "");
    else if (rf_json_type(text, value) == RAIIAF_JSON_STRING)
        rf_json_decode(text, value, &key);
    else
        rf_bytes_append(&key, text + value.start, value.end - value.start);
    if (!key.data && !key.failed)
        rf_bytes_string(&key, "");
    if (key.failed) {
        rf_bytes_free(&key);
        return rf_fail_memory(r->error, r->file->name);
    }
    r->chunk->key = key.data;
    r->chunk->info.key = key.data;
    return RAIIAF_OK;
}

/* What flags ("F32") and extra.dtype ("float32") of the record say, where they say anything. */
static raiiaf_status check_described_dtype(const record *r, rf_span extra)
{
    static const struct {
        const char *text;
        raiiaf_dtype dtype;
    } known[] = {
        {"F32", RAIIAF_FLOAT32}, {"F16", RAIIAF_FLOAT16}, {"float32", RAIIAF_FLOAT32}, {"float16", RAIIAF_FLOAT16}};
    const char *text = r->file->text.data;
    rf_span values[2];
    bool agrees = false, contradicts = false;
    bool have[2] = {member(r, "flags", &values[0]), rf_json_member(text, extra, "dtype", &values[1])};
    for (size_t i = 0; i < 2; i++)
        for (size_t k = 2 * i; have[i] && k < 2 * i + 2; k++)
            if (rf_json_type(text, values[i]) == RAIIAF_JSON_STRING &&
                rf_json_string_equals(text, values[i], known[k].text)) {
                agrees |= known[k].dtype == r->chunk->info.dtype;
                contradicts |= known[k].dtype != r->chunk->info.dtype;
            }
    if (r->chunk->no_header && !agrees)
        return bad_record(r, "latent-dtype", _("nothing tells its type of element"));
    if (contradicts) {
        char name[32];
        const rf_where where = where_of(r, name);
        rf_warn(r->file, RAIIAF_ERROR_DAMAGED, "latent-dtype", &where,
                _("its record contradicts itself about the type of element; its size says %s"),
                r->chunk->info.dtype == RAIIAF_FLOAT32 ? "float32" : "float16");
    }
    return RAIIAF_OK;
}

/* Lengths of the two parts of a zfp latent; both positive, together the stored size. */
static raiiaf_status read_zfp_parts(const record *r)
{
    rf_chunk *chunk = r->chunk;
    uint64_t sum;
    raiiaf_status status = read_size(r, "len_header", &chunk->header_size);
    if (status == RAIIAF_OK)
        status = read_size(r, "len_data", &chunk->data_size);
    if (status == RAIIAF_OK && (chunk->header_size == 0 || chunk->data_size == 0 ||
                                !rf_add(chunk->header_size, chunk->data_size, &sum) || sum != chunk->info.stored_size))
        status = bad_record(r, "latent-parts", _("len_header and len_data are not the two parts of its stored bytes"));
    return status;
}

static raiiaf_status read_latent(const record *r)
{
    rf_chunk *chunk = r->chunk;
    rf_span extra;
    if (!member(r, "extra", &extra) || rf_json_type(r->file->text.data, extra) != RAIIAF_JSON_OBJECT)
        return bad_record(r, "record-extra", _("its record has no object \"extra\""));
    rf_span stale;
    chunk->info.stale =
        rf_json_member(r->file->text.data, extra, "stale", &stale) && r->file->text.data[stale.start] == 't';
    if (!chunk->compressed) {
        chunk->info.encoding = RAIIAF_ENCODING_RAW;
        /* second gen5 draft: the tensor alone, without a chunk header */
        chunk->no_header = r->file->header[0] == 'G' && chunk->info.stored_size == chunk->info.size;
    } else
        chunk->info.encoding = r->file->layout == RAIIAF_LAYOUT_GEN5 ? RAIIAF_ENCODING_ZSTD : RAIIAF_ENCODING_ZFP;
    raiiaf_status status = read_shape(r, extra);
    if (status == RAIIAF_OK)
        status = read_key(r, extra);
    if (status == RAIIAF_OK)
        status = check_described_dtype(r, extra);
    if (status == RAIIAF_OK && chunk->info.encoding == RAIIAF_ENCODING_ZFP)
        status = read_zfp_parts(r);
    return status;
}

static bool known_type(const char *type)
{
    return strcmp(type, "LATN") == 0 || strcmp(type, "DATA") == 0 || strcmp(type, "ENVC") == 0;
}

static raiiaf_status read_record(const record *r)
{
    rf_chunk *chunk = r->chunk;
    raiiaf_chunk_info *info = &chunk->info;
    const raiiaf_limits *limits = &r->file->limits;
    uint64_t raw_size;
    raiiaf_status status = read_type(r);
    if (status == RAIIAF_OK)
        status = read_size(r, "offset", &info->offset);
    if (status == RAIIAF_OK)
        status = read_size(r, "compressed_size", &info->stored_size);
    if (status == RAIIAF_OK)
        status = read_size(r, "uncompressed_size", &info->size);
    if (status == RAIIAF_OK)
        status = read_hash(r);
    if (status == RAIIAF_OK)
        status = read_compressed(r);
    if (status == RAIIAF_OK)
        status = check_range(r);
    if (status != RAIIAF_OK)
        return status;
    info->key = "";
    info->encoding = chunk->compressed ? RAIIAF_ENCODING_ZSTD : RAIIAF_ENCODING_RAW;
    if (!known_type(info->type))
        return RAIIAF_OK;
    if (limits->chunk_size && info->size > limits->chunk_size) {
        char name[32];
        const rf_where where = where_of(r, name);
        return rf_fail(r->error, RAIIAF_ERROR_LIMIT, "chunk-size", &where,
                       _("would take %" PRIu64 " bytes, more than the limit of %" PRIu64
                         "; raise raiiaf_limits.chunk_size if you trust the file"),
                       info->size, limits->chunk_size);
    }
    if (strcmp(info->type, "LATN") == 0)
        status = read_latent(r);
    if (status == RAIIAF_OK && !chunk->compressed && !chunk->no_header &&
        (!rf_add(info->size, RF_CHUNK_HEADER, &raw_size) || raw_size != info->stored_size))
        status = bad_record(r, "chunk-size", _("it is recorded as not compressed, but its two sizes don't fit"));
    return status;
}

/* ---- overlaps ---- */

typedef struct range {
    uint64_t start, end;
    size_t chunk; /* or RAIIAF_NONE: header or manifest */
} range;

static int compare_ranges(const void *a, const void *b)
{
    const range *x = a, *y = b;
    return x->start < y->start ? -1 : x->start > y->start ? 1 : x->end < y->end ? -1 : x->end > y->end;
}

static raiiaf_status check_overlaps(const raiiaf_file *file, raiiaf_error *error)
{
    size_t count = 0;
    range *ranges = calloc(file->chunk_count + 2, sizeof *ranges);
    if (!ranges)
        return rf_fail_memory(error, file->name);
    ranges[count++] = (range){0, file->header_size, RAIIAF_NONE};
    ranges[count++] = (range){file->table_offset, file->table_offset + file->table_size, RAIIAF_NONE};
    for (size_t i = 0; i < file->chunk_count; i++) {
        const raiiaf_chunk_info *info = &file->chunks[i].info;
        if (info->stored_size)
            ranges[count++] = (range){info->offset, info->offset + info->stored_size, i};
    }
    qsort(ranges, count, sizeof *ranges, compare_ranges);
    raiiaf_status status = RAIIAF_OK;
    for (size_t i = 1; i < count && status == RAIIAF_OK; i++) {
        if (ranges[i].start >= ranges[i - 1].end)
            continue;
        const range *named = ranges[i].chunk != RAIIAF_NONE ? &ranges[i] : &ranges[i - 1];
        char name[32];
        const rf_where where = {file->name,
                                named->chunk == RAIIAF_NONE ? "manifest" : rf_chunk_name(file, named->chunk, name),
                                named->start};
        status = rf_fail(error, RAIIAF_ERROR_DAMAGED, "chunk-overlap", &where,
                         _("its bytes overlap those of another chunk, the header or the manifest"));
    }
    free(ranges);
    return status;
}

/* ---- all records ---- */

/* A GEN5 file holds zfp streams when any latent's record tells of their parts. */
static raiiaf_layout gen5_layout(const raiiaf_file *file, rf_span chunks)
{
    const char *text = file->text.data;
    rf_span type, part;
    for (rf_json_walk walk = rf_json_begin(text, chunks); rf_json_next(&walk);)
        if (rf_json_type(text, walk.value) == RAIIAF_JSON_OBJECT && rf_json_member(text, walk.value, "type", &type) &&
            rf_json_type(text, type) == RAIIAF_JSON_STRING && rf_json_string_equals(text, type, "LATN") &&
            (rf_json_member(text, walk.value, "len_header", &part) ||
             rf_json_member(text, walk.value, "len_data", &part)))
            return RAIIAF_LAYOUT_GEN5_ZFP;
    return RAIIAF_LAYOUT_GEN5;
}

raiiaf_status rf_records_read(raiiaf_file *file, raiiaf_error *error)
{
    rf_span chunks;
    const rf_where where = {file->name, "manifest", file->table_offset};
    raiiaf_status status = check_manifest(file, &chunks, error);
    if (status != RAIIAF_OK)
        return status;
    if (file->layout == RAIIAF_LAYOUT_GEN5)
        file->layout = gen5_layout(file, chunks);
    const char *text = file->text.data;
    size_t count = rf_json_count(text, chunks), bytes;
    if (file->limits.chunks && count > file->limits.chunks)
        return rf_fail(error, RAIIAF_ERROR_LIMIT, "chunk-count", &where,
                       _("lists %zu chunks, more than the limit of %" PRIu64), count, file->limits.chunks);
    if (__builtin_mul_overflow(count, sizeof *file->chunks, &bytes) || !(file->chunks = calloc(1, bytes + 1)))
        return rf_fail_memory(error, file->name);
    for (rf_json_walk walk = rf_json_begin(text, chunks); rf_json_next(&walk);) {
        status = read_record(&(record){file, &file->chunks[file->chunk_count++], walk.value, error});
        if (status != RAIIAF_OK)
            return status;
    }
    return check_overlaps(file, error);
}

/* Header of 29 bytes or of 33: only what lies right behind it can tell. */
static void settle_header_size(raiiaf_file *file)
{
    uint64_t first = file->table_offset;
    for (size_t i = 0; i < file->chunk_count; i++)
        if (file->chunks[i].info.offset < first)
            first = file->chunks[i].info.offset;
    if (file->layout == RAIIAF_LAYOUT_33 && first < RF_HEADER_MOST)
        file->layout = RAIIAF_LAYOUT_29;
    file->header_size = file->layout == RAIIAF_LAYOUT_33 ? 33 : file->layout == RAIIAF_LAYOUT_29 ? 29 : 32;
}

/* ---- open, new, close ---- */

static void note_text(const raiiaf_file *file, const char *pointer, char *out, size_t size)
{
    rf_span value;
    if (rf_find(file, pointer, &value) && rf_json_type(file->text.data, value) == RAIIAF_JSON_STRING &&
        value.end - value.start - 2 < size)
        snprintf(out, size, "%.*s", (int)(value.end - value.start - 2), file->text.data + value.start + 1);
}

/* Which picture the file speaks of: its image, or the one that a capsule was made beside. */
static void note_picture(raiiaf_file *file)
{
    size_t image = raiiaf_image_chunk(file);
    note_text(file, "/capsule/pixel_digest", file->picture_before, sizeof file->picture_before);
    note_text(file, "/capsule/image_record/hash", file->image_before, sizeof file->image_before);
    if (image != RAIIAF_NONE)
        memcpy(file->image_before, file->chunks[image].info.sha256, sizeof file->image_before);
}

static raiiaf_status read_file(raiiaf_file *file, raiiaf_error *error)
{
    if (file->limits.file_size && file->source.size > file->limits.file_size)
        return rf_fail(error, RAIIAF_ERROR_LIMIT, "file-size", RF_NAME(file->name),
                       _("has %" PRIu64 " bytes, more than the limit of %" PRIu64), file->source.size,
                       file->limits.file_size);
    raiiaf_status status = read_header(file, error);
    if (status == RAIIAF_OK)
        status = read_manifest(file, error);
    if (status == RAIIAF_OK)
        status = rf_records_read(file, error);
    if (status != RAIIAF_OK)
        return status;
    settle_header_size(file);
    note_picture(file);
    return RAIIAF_OK;
}

static raiiaf_file *make_file(const char *name, const raiiaf_open_options *options)
{
    raiiaf_file *file = calloc(1, sizeof *file);
    if (!file)
        return NULL;
    if (options && options->limits)
        file->limits = *options->limits;
    else
        raiiaf_limits_default(&file->limits);
    if (options) {
        file->warning = options->warning;
        file->warning_user = options->warning_user;
    }
    file->name = strdup(name ? name : "");
    file->budget = rf_budget_new(file->limits.memory);
    file->reading = malloc(sizeof *file->reading);
    if (file->reading)
        pthread_mutex_init(file->reading, NULL); /* which can't fail */
    if (file->name && file->budget && file->reading)
        return file;
    raiiaf_close(file);
    return NULL;
}

raiiaf_status raiiaf_open(raiiaf_file **out, const raiiaf_source *source, const raiiaf_open_options *options,
                          raiiaf_error *error)
{
    raiiaf_source owned = *source;
    *out = NULL;
    rf_error_clear(error);
    raiiaf_file *file = owned.read_at ? make_file(owned.name, options) : NULL;
    if (!file) {
        raiiaf_source_close(&owned);
        return rf_fail_memory(error, NULL);
    }
    file->source = owned;
    raiiaf_status status = read_file(file, error);
    if (status == RAIIAF_OK)
        *out = file;
    else
        raiiaf_close(file);
    return status;
}

raiiaf_status raiiaf_open_path(raiiaf_file **file, const char *path, const raiiaf_open_options *options,
                               raiiaf_error *error)
{
    raiiaf_source source;
    *file = NULL;
    raiiaf_status status = raiiaf_source_path(&source, path, options ? options->limits : NULL, error);
    return status == RAIIAF_OK ? raiiaf_open(file, &source, options, error) : status;
}

raiiaf_status raiiaf_new(raiiaf_file **out, const raiiaf_open_options *options, raiiaf_error *error)
{
    char date[32];
    rf_error_clear(error);
    *out = NULL;
    raiiaf_file *file = make_file("", options);
    if (!file)
        return rf_fail_memory(error, NULL);
    rf_format_date(date, rf_now());
    rf_bytes_format(&file->text,
                    "{\"raiiaf_metadata\": {\"file_info\": {\"magic\": \"raiiaf\", \"version_major\": 1, "
                    "\"version_minor\": 0, \"file_size\": 0, \"chunk_count\": 0}, \"model_info\": {\"model_name\": "
                    "\"\", \"version\": \"\", \"date\": \"%s\", \"prompt\": \"\", \"tags\": []}, \"chunks\": []}}",
                    date);
    file->edited = true;
    if (file->text.failed) {
        raiiaf_close(file);
        return rf_fail_memory(error, NULL);
    }
    *out = file;
    return RAIIAF_OK;
}

void rf_file_clear(raiiaf_file *file)
{
    for (size_t i = 0; i < file->chunk_count; i++) {
        free(file->chunks[i].key);
        raiiaf_buffer_free(&file->chunks[i].payload);
        raiiaf_buffer_free(&file->chunks[i].stored);
    }
    free(file->chunks);
    free(file->image_record);
    rf_bytes_free(&file->text);
    raiiaf_source_close(&file->source);
    raiiaf_buffer_free(&file->kept);
    rf_budget_release(file->budget);
    free(file->name);
    if (file->reading)
        pthread_mutex_destroy(file->reading);
    free(file->reading);
    *file = (raiiaf_file){0};
}

void raiiaf_close(raiiaf_file *file)
{
    if (file) {
        rf_file_clear(file);
        free(file);
    }
}
