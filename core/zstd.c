/* SPDX-License-Identifier: MIT */
/*
 * zstd.c - zstd frames as the format uses them: one data frame comes first and declares its content size.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "codec.h"

#include <stdlib.h>
#include <string.h>
#include <zstd.h>
#include <zstd_errors.h>

#define MAGIC_SIZE 4

/* Fields of the frame header's descriptor (RFC 8878, 3.1.1.1.1). */
#define SINGLE_SEGMENT 0x20
#define RESERVED 0x08
#define DICTIONARY 0x03

static raiiaf_status fail_zstd(size_t code, const rf_where *where, raiiaf_error *error)
{
    if (ZSTD_getErrorCode(code) == ZSTD_error_memory_allocation)
        return rf_fail_memory(error, where ? where->name : NULL);
    return rf_fail(error, RAIIAF_ERROR_DAMAGED, "zstd-data", where, _("the zstd data is damaged or cut short (%s)"),
                   ZSTD_getErrorName(code));
}

static raiiaf_status fail_frame(const rf_where *where, raiiaf_error *error)
{
    return rf_fail(error, RAIIAF_ERROR_DAMAGED, "zstd-frame", where,
                   _("no zstd data frame begins here; the chunk is damaged or stored in another encoding"));
}

static raiiaf_status check_magic(const void *data, size_t size, const rf_where *where, raiiaf_error *error)
{
    /* A skippable frame has another magic: refused as well, since ZSTD_getFrameContentSize takes it for an empty one.
     */
    if (size < MAGIC_SIZE || rf_get32(data) != ZSTD_MAGICNUMBER)
        return fail_frame(where, error);
    return RAIIAF_OK;
}

raiiaf_status rf_zstd_content_size(const void *data, size_t size, uint64_t *content, const rf_where *where,
                                   raiiaf_error *error)
{
    *content = 0;
    raiiaf_status status = check_magic(data, size, where, error);
    if (status)
        return status;
    unsigned long long declared = ZSTD_getFrameContentSize(data, size);
    if (declared == ZSTD_CONTENTSIZE_ERROR)
        return fail_frame(where, error);
    if (declared == ZSTD_CONTENTSIZE_UNKNOWN)
        return rf_fail(error, RAIIAF_ERROR_DAMAGED, "zstd-size", where,
                       _("the zstd frame doesn't declare its content size"));
    *content = declared;
    return RAIIAF_OK;
}

raiiaf_status rf_zstd_decode(const void *data, size_t size, void *out, size_t capacity, const rf_where *where,
                             raiiaf_error *error)
{
    uint64_t content;
    raiiaf_status status = rf_zstd_content_size(data, size, &content, where, error);
    if (status)
        return status;
    if (content != capacity)
        return rf_fail(error, RAIIAF_ERROR_DAMAGED, "zstd-size", where,
                       _("the zstd frame declares %llu bytes of content where %zu are expected"),
                       (unsigned long long)content, capacity);
    size_t frame = ZSTD_findFrameCompressedSize(data, size);
    if (ZSTD_isError(frame))
        return fail_zstd(frame, where, error);
    size_t got = ZSTD_decompress(out, capacity, data, frame);
    if (ZSTD_isError(got))
        return fail_zstd(got, where, error);
    if (got != capacity)
        return fail_zstd((size_t)-ZSTD_error_corruption_detected, where, error);
    return RAIIAF_OK;
}

/* Size of the frame header whose descriptor is `descriptor`. */
static size_t header_size(uint8_t descriptor)
{
    static const uint8_t dictionary[] = {0, 1, 2, 4}, content[] = {0, 2, 4, 8};
    size_t size = MAGIC_SIZE + 1u + dictionary[descriptor & DICTIONARY] + content[descriptor >> 6];
    /* one byte more: the window, or else the smallest kind of content size */
    return descriptor & SINGLE_SEGMENT && descriptor >> 6 ? size : size + 1;
}

/* Feeds `data` to the stream until it is used up, the frame ends or `out` is full. */
static size_t feed(ZSTD_DStream *stream, ZSTD_outBuffer *out, const void *data, size_t size)
{
    ZSTD_inBuffer in = {data, size, 0};
    size_t result = 1, before;
    do {
        before = in.pos + out->pos;
        result = ZSTD_decompressStream(stream, out, &in);
    } while (!ZSTD_isError(result) && result > 0 && out->pos < out->size && in.pos + out->pos > before);
    return result;
}

/* The beginning of a frame refers to nothing but the bytes before it.  So a window that takes what is asked for does,
   whatever the frame's own header says: that may want 2 GiB.  The stream gets a header of ours in its place, without
   content size and checksum. */
raiiaf_status rf_zstd_decode_head(const void *data, size_t size, void *out, size_t capacity, size_t *got,
                                  const rf_where *where, raiiaf_error *error)
{
    const uint8_t *bytes = data;
    *got = 0;
    if (size <= MAGIC_SIZE)
        return RAIIAF_OK;
    raiiaf_status status = check_magic(data, size, where, error);
    if (status)
        return status;
    uint8_t descriptor = bytes[MAGIC_SIZE];
    size_t skip = header_size(descriptor);
    if (descriptor & (RESERVED | DICTIONARY))
        return fail_frame(where, error);
    if (size <= skip || !capacity)
        return RAIIAF_OK;

    unsigned window_log = 18;
    while (window_log < 31 && UINT64_C(1) << window_log < (uint64_t)capacity + ZSTD_BLOCKSIZE_MAX)
        window_log++;
    uint8_t header[MAGIC_SIZE + 2] = {0, 0, 0, 0, 0, (uint8_t)((window_log - 10) << 3)};
    rf_put32(header, ZSTD_MAGICNUMBER);

    ZSTD_DStream *stream = ZSTD_createDStream();
    if (!stream)
        return rf_fail_memory(error, where ? where->name : NULL);
    ZSTD_outBuffer to = {out, capacity, 0};
    size_t result = ZSTD_DCtx_setParameter(stream, ZSTD_d_windowLogMax, (int)window_log);
    if (!ZSTD_isError(result))
        result = feed(stream, &to, header, sizeof header);
    if (!ZSTD_isError(result))
        result = feed(stream, &to, bytes + skip, size - skip);
    if (ZSTD_isError(result))
        status = fail_zstd(result, where, error);
    else
        *got = to.pos;
    ZSTD_freeDStream(stream);
    return status;
}

static raiiaf_status fail_encode(size_t code, raiiaf_error *error)
{
    if (ZSTD_getErrorCode(code) == ZSTD_error_memory_allocation)
        return rf_fail_memory(error, NULL);
    return rf_fail(error, RAIIAF_ERROR_ARGUMENT, "zstd-encode", NULL, _("zstd can't compress this (%s)"),
                   ZSTD_getErrorName(code));
}

/* Takes all of `data`, appending to `out` what comes of it.  Returns zstd's own error code or 0. */
static size_t compress(ZSTD_CCtx *context, const void *data, size_t size, ZSTD_EndDirective directive, void *piece,
                       size_t piece_size, rf_bytes *out)
{
    ZSTD_inBuffer in = {data, size, 0};
    size_t left;
    do {
        ZSTD_outBuffer to = {piece, piece_size, 0};
        left = ZSTD_compressStream2(context, &to, &in, directive);
        if (ZSTD_isError(left))
            return left;
        rf_bytes_append(out, piece, to.pos);
    } while (!out->failed && (directive == ZSTD_e_end ? left > 0 : in.pos < in.size));
    return 0;
}

/* Text lies at the ends of an image file; of what is between, a few samples tell. */
#define ENDS ((size_t)64 << 10)
#define SAMPLE ((size_t)16 << 10)
#define SAMPLE_EVERY ((size_t)256 << 10)

/* Bytes that a run shrinks by. */
static size_t saved_on(ZSTD_CCtx *context, const uint8_t *data, size_t size, void *out, size_t capacity, int level)
{
    size_t got = ZSTD_compressCCtx(context, out, capacity, data, size, level);
    return ZSTD_isError(got) || got > size ? 0 : size - got;
}

bool rf_zstd_saves(const void *data, size_t size, int level, size_t *saved)
{
    const uint8_t *bytes = data;
    size_t capacity = ZSTD_compressBound(ENDS), samples = 0, between = 0;
    if (size < 2 * ENDS + SAMPLE_EVERY)
        return false;
    ZSTD_CCtx *context = ZSTD_createCCtx();
    void *out = malloc(capacity);
    bool told = context && out;
    if (told) {
        for (size_t at = ENDS; at + ENDS + SAMPLE <= size; at += SAMPLE_EVERY, samples++)
            between += saved_on(context, bytes + at, SAMPLE, out, capacity, level);
        *saved = saved_on(context, bytes, ENDS, out, capacity, level) +
                 saved_on(context, bytes + size - ENDS, ENDS, out, capacity, level) +
                 (size_t)((double)between / (double)(samples * SAMPLE) * (double)(size - 2 * ENDS));
    }
    free(out);
    ZSTD_freeCCtx(context);
    return told;
}

raiiaf_status rf_zstd_encode(const void *head, size_t head_size, const void *body, size_t body_size, int level,
                             raiiaf_buffer *out, raiiaf_error *error)
{
    raiiaf_status status = RAIIAF_OK;
    rf_bytes frame = {0};
    size_t piece_size = ZSTD_CStreamOutSize();
    *out = (raiiaf_buffer){0};
    ZSTD_CCtx *context = ZSTD_createCCtx();
    void *piece = malloc(piece_size);
    if (!context || !piece) {
        status = rf_fail_memory(error, NULL);
        goto done;
    }
    size_t result = ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level);
    if (!ZSTD_isError(result))
        result = ZSTD_CCtx_setPledgedSrcSize(context, (unsigned long long)head_size + body_size);
    if (!ZSTD_isError(result))
        result = compress(context, head, head_size, ZSTD_e_continue, piece, piece_size, &frame);
    if (!ZSTD_isError(result))
        result = compress(context, body, body_size, ZSTD_e_end, piece, piece_size, &frame);
    if (!ZSTD_isError(result))
        status = rf_bytes_to_buffer(&frame, out, error);
    else
        status = fail_encode(result, error);
done:
    rf_bytes_free(&frame);
    free(piece);
    ZSTD_freeCCtx(context);
    return status;
}

/* ---- what makes of one run of bytes another ---- */

/* A window in which all of both is within reach. */
static int window_log(size_t base_size, size_t size)
{
    int log = 10;
    while (log < 31 && UINT64_C(1) << log < (uint64_t)base_size + size)
        log++;
    return log;
}

raiiaf_status rf_zstd_encode_delta(const void *base, size_t base_size, const void *data, size_t size,
                                   raiiaf_buffer *delta, raiiaf_error *error)
{
    size_t capacity = ZSTD_compressBound(size), result = 0;
    raiiaf_status status = rf_buffer_new(delta, capacity, NULL, NULL, error);
    ZSTD_CCtx *context = ZSTD_createCCtx();
    if (status == RAIIAF_OK && !context)
        status = rf_fail_memory(error, NULL);
    const int parameters[][2] = {{ZSTD_c_compressionLevel, RF_ZSTD_LEVEL},
                                 {ZSTD_c_windowLog, window_log(base_size, size)},
                                 {ZSTD_c_enableLongDistanceMatching, 1}};
    for (size_t i = 0; status == RAIIAF_OK && !ZSTD_isError(result) && i < 3; i++)
        result = ZSTD_CCtx_setParameter(context, (ZSTD_cParameter)parameters[i][0], parameters[i][1]);
    if (status == RAIIAF_OK && !ZSTD_isError(result))
        result = ZSTD_CCtx_refPrefix(context, base, base_size);
    if (status == RAIIAF_OK && !ZSTD_isError(result))
        result = ZSTD_compress2(context, rf_buffer_data(delta), capacity, data, size);
    if (ZSTD_isError(result))
        status = fail_encode(result, error);
    ZSTD_freeCCtx(context);
    if (status == RAIIAF_OK)
        delta->size = result;
    else
        raiiaf_buffer_free(delta);
    return status;
}

raiiaf_status rf_zstd_decode_delta(const void *base, size_t base_size, const void *delta, size_t delta_size, void *out,
                                   size_t capacity, raiiaf_error *error)
{
    ZSTD_DCtx *context = ZSTD_createDCtx();
    if (!context)
        return rf_fail_memory(error, NULL);
    size_t result = ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, 31);
    if (!ZSTD_isError(result))
        result = ZSTD_DCtx_refPrefix(context, base, base_size);
    if (!ZSTD_isError(result))
        result = ZSTD_decompressDCtx(context, out, capacity, delta, delta_size);
    ZSTD_freeDCtx(context);
    if (result == capacity)
        return RAIIAF_OK;
    return fail_zstd(ZSTD_isError(result) ? result : (size_t)-ZSTD_error_corruption_detected, NULL, error);
}
