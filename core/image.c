/* SPDX-License-Identifier: MIT */
/*
 * image.c - the image chunk: what its first bytes tell of the picture, and giving the file another one.
 *
 * The probes read heads of PNG, JPEG, WebP and BMP.  Each looks at nothing but [data, data + size), tells all it has
 * seen so far, and returns false where what it still wants lies beyond.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "file.h"
#include "parts.h"

#include <stdlib.h>
#include <string.h>

const char *raiiaf_image_format_name(raiiaf_image_format format)
{
    switch (format) {
    case RAIIAF_IMAGE_PNG:
        return "PNG";
    case RAIIAF_IMAGE_JPEG:
        return "JPEG";
    case RAIIAF_IMAGE_WEBP:
        return "WebP";
    case RAIIAF_IMAGE_BMP:
        return "BMP";
    case RAIIAF_IMAGE_UNKNOWN:
        break;
    }
    return "unknown";
}

static uint32_t get24(const uint8_t *p)
{
    return rf_get16(p) | (uint32_t)p[2] << 16;
}

/* ---- PNG ---- */

#define PNG_SIGNATURE "\x89PNG\r\n\x1a\n"
#define PNG_IHDR_END 33      /* signature, IHDR's length and name, its 13 bytes, its CRC */
#define PNG_MOST 0x7FFFFFFFu /* of a size */

/* Whether tRNS comes before the first IDAT: it makes a picture one with alpha. */
static bool find_transparency(const uint8_t *data, size_t size, bool *found)
{
    rf_parts walk = rf_parts_begin(RAIIAF_IMAGE_PNG, data, size);
    *found = false;
    while (rf_parts_next(&walk)) {
        *found = walk.type == RF_TAG('t', 'R', 'N', 'S');
        if (*found || walk.type == RF_TAG('I', 'D', 'A', 'T'))
            return true;
    }
    return !walk.short_of;
}

static bool probe_png(const uint8_t *data, size_t size, raiiaf_image_info *info)
{
    if (size < PNG_IHDR_END)
        return false;
    const uint8_t *header = data + 16;
    uint32_t width = rf_get32_be(header), height = rf_get32_be(header + 4);
    unsigned depth = header[8], colour = header[9];
    if (memcmp(data + 12, "IHDR", 4) != 0 || width > PNG_MOST || height > PNG_MOST)
        return true;
    info->width = width;
    info->height = height;
    info->palette = colour == 3;
    info->depth = info->palette ? 8 : depth == 1 || depth == 2 || depth == 4 || depth == 16 ? depth : 8;
    info->alpha = colour == 4 || colour == 6;
    info->channels = (colour & 2 ? 3 : 1) + (info->alpha ? 1 : 0);
    info->interlaced = header[12] != 0;
    if (info->alpha)
        return true;
    bool transparency, decided = find_transparency(data, size, &transparency);
    if (transparency) {
        info->alpha = info->keyed = true;
        info->channels++;
    }
    return decided;
}

/* ---- JPEG ---- */

#define JPEG_FRAME 6 /* bytes of a frame header that matter: precision, height, width, number of components */

static bool is_start_of_frame(unsigned marker)
{
    return marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
}

static void read_frame(const uint8_t *frame, unsigned marker, raiiaf_image_info *info)
{
    info->depth = frame[0] > 8 ? 16 : 8;
    info->height = rf_get16_be(frame + 1);
    info->width = rf_get16_be(frame + 3);
    info->channels = frame[5] < 4 ? frame[5] : 4;
    info->cmyk = frame[5] == 4;
    info->interlaced = (marker & 3) == 2;
}

static bool probe_jpeg(const uint8_t *data, size_t size, raiiaf_image_info *info)
{
    rf_parts walk = rf_parts_begin(RAIIAF_IMAGE_JPEG, data, size);
    while (rf_parts_next(&walk)) {
        if (!is_start_of_frame(walk.type))
            continue;
        if (walk.have >= JPEG_FRAME)
            read_frame(walk.part, walk.type, info);
        return walk.have >= JPEG_FRAME || walk.length < JPEG_FRAME;
    }
    return !walk.short_of;
}

/* ---- WebP ---- */

/* The first chunk tells; each kind needs so many bytes of it. */
#define VP8X_NEEDED 10
#define VP8L_NEEDED 5
#define VP8_NEEDED 10

static bool read_webp(const rf_parts *first, raiiaf_image_info *info)
{
    const uint8_t *p = first->part;
    if (first->type == RF_TAG('V', 'P', '8', 'X') && first->have >= VP8X_NEEDED) {
        info->alpha = p[0] & 0x10;
        info->width = get24(p + 4) + 1;
        info->height = get24(p + 7) + 1;
    } else if (first->type == RF_TAG('V', 'P', '8', 'L') && first->have >= VP8L_NEEDED && p[0] == 0x2F) {
        uint32_t bits = rf_get32(p + 1);
        info->width = (bits & 0x3FFF) + 1;
        info->height = (bits >> 14 & 0x3FFF) + 1;
        info->alpha = bits >> 28 & 1;
    } else if (first->type == RF_TAG('V', 'P', '8', ' ') && first->have >= VP8_NEEDED &&
               memcmp(p + 3, "\x9D\x01\x2A", 3) == 0) {
        info->width = rf_get16(p + 6) & 0x3FFF;
        info->height = rf_get16(p + 8) & 0x3FFF;
    } else
        return false;
    info->depth = 8;
    info->channels = info->alpha ? 4 : 3;
    return true;
}

static bool probe_webp(const uint8_t *data, size_t size, raiiaf_image_info *info)
{
    rf_parts walk = rf_parts_begin(RAIIAF_IMAGE_WEBP, data, size);
    if (!rf_parts_next(&walk))
        return false;
    return read_webp(&walk, info) || walk.have == walk.length || walk.have >= VP8X_NEEDED;
}

/* ---- BMP ---- */

#define BMP_FILE_HEADER 14
#define BMP_CORE_HEADER 12
#define BMP_INFO_HEADER 40
#define BMP_ALPHA_HEADER 56 /* from here on a header has room for a mask of alpha */

static uint32_t magnitude(uint32_t two_complement)
{
    return two_complement > INT32_MAX ? 0u - two_complement : two_complement;
}

static bool probe_bmp(const uint8_t *data, size_t size, raiiaf_image_info *info)
{
    const uint8_t *header = data + BMP_FILE_HEADER;
    uint32_t header_size = rf_get32(header), wanted = header_size < BMP_ALPHA_HEADER ? header_size : BMP_ALPHA_HEADER;
    if (size - BMP_FILE_HEADER < wanted)
        return false;
    bool core = header_size == BMP_CORE_HEADER;
    info->width = core ? rf_get16(header + 4) : magnitude(rf_get32(header + 4));
    info->height = core ? rf_get16(header + 6) : magnitude(rf_get32(header + 8));
    unsigned bits = rf_get16(header + (core ? 10 : 14));
    info->depth = 8;
    info->palette = bits && bits <= 8;
    info->alpha = header_size >= BMP_ALPHA_HEADER && rf_get32(header + 52) != 0 && bits >= 16;
    info->channels = info->alpha ? 4 : 3;
    return true;
}

/* "BM" alone begins many a text; the size of the second header is one of few. */
static bool is_bmp_header(const uint8_t *data)
{
    static const uint8_t sizes[] = {BMP_CORE_HEADER, BMP_INFO_HEADER, 52, BMP_ALPHA_HEADER, 64, 108, 124};
    for (size_t i = 0; i < sizeof sizes; i++) {
        if (rf_get32(data + BMP_FILE_HEADER) == sizes[i])
            return true;
    }
    return false;
}

/* ---- any ---- */

/* Whether data begins with `magic`; *short_of is set where it may, but ends too early to tell. */
static bool begins(const uint8_t *data, size_t size, const char *magic, size_t length, bool *short_of)
{
    if (memcmp(data, magic, size < length ? size : length) != 0)
        return false;
    if (size < length)
        *short_of = true;
    return size >= length;
}

bool raiiaf_image_probe_memory(const void *head, size_t size, raiiaf_image_info *info)
{
    *info = (raiiaf_image_info){.format = RAIIAF_IMAGE_UNKNOWN};
    if (!size)
        return false;
    const uint8_t *data = head;
    bool short_of = false;
    if (begins(data, size, PNG_SIGNATURE, 8, &short_of)) {
        info->format = RAIIAF_IMAGE_PNG;
        return probe_png(data, size, info);
    }
    if (begins(data, size, "\xFF\xD8\xFF", 3, &short_of)) {
        info->format = RAIIAF_IMAGE_JPEG;
        return probe_jpeg(data, size, info);
    }
    if (begins(data, size, "RIFF", 4, &short_of)) {
        if (size < 12)
            return size > 8 && memcmp(data + 8, "WEBP", size - 8) != 0;
        if (memcmp(data + 8, "WEBP", 4) != 0)
            return true;
        info->format = RAIIAF_IMAGE_WEBP;
        return probe_webp(data, size, info);
    }
    if (begins(data, size, "BM", 2, &short_of)) {
        if (size < BMP_FILE_HEADER + 4)
            return false;
        if (!is_bmp_header(data))
            return true;
        info->format = RAIIAF_IMAGE_BMP;
        return probe_bmp(data, size, info);
    }
    return !short_of;
}

/* How much of a chunk is looked at, one read each: the first is enough unless much text or a large colour profile
   comes before the pixels; what isn't decided by the last is told as far as it is known. */
static const size_t head_sizes[] = {(size_t)64 << 10, (size_t)1 << 20};

static raiiaf_status no_image(const raiiaf_file *file, raiiaf_error *error)
{
    return rf_fail(error, RAIIAF_ERROR_MISSING, "no-image", RF_NAME(file->name),
                   _("the file holds no image; raiiaf extract hands out what it does hold"));
}

raiiaf_status raiiaf_image_probe(const raiiaf_file *file, raiiaf_image_info *info, raiiaf_error *error)
{
    *info = (raiiaf_image_info){.format = RAIIAF_IMAGE_UNKNOWN};
    rf_error_clear(error);
    size_t chunk = raiiaf_image_chunk(file);
    if (chunk == RAIIAF_NONE)
        return no_image(file, error);
    uint64_t whole = file->chunks[chunk].info.size;
    bool decided = !whole;
    for (size_t i = 0; i < sizeof head_sizes / sizeof *head_sizes && !decided; i++) {
        size_t capacity = whole < head_sizes[i] ? (size_t)whole : head_sizes[i], got = 0;
        char name[32];
        raiiaf_buffer head;
        raiiaf_status status =
            rf_buffer_new(&head, capacity, file->budget,
                          RF_WHERE(file->name, rf_chunk_name(file, chunk, name), RAIIAF_NO_OFFSET), error);
        if (!status)
            status = rf_chunk_head(file, chunk, rf_buffer_data(&head), capacity, &got, error);
        if (!status)
            decided = raiiaf_image_probe_memory(head.data, got, info) || got == whole;
        raiiaf_buffer_free(&head);
        if (status) {
            *info = (raiiaf_image_info){.format = RAIIAF_IMAGE_UNKNOWN};
            return status;
        }
    }
    return RAIIAF_OK;
}

/* ---- another image ---- */

/* What has to be put back where a later step fails. */
typedef struct undo {
    rf_bytes text;
    bool *stale;
} undo;

static void undo_end(undo *saved)
{
    rf_bytes_free(&saved->text);
    free(saved->stale);
    *saved = (undo){.stale = NULL};
}

static raiiaf_status undo_begin(const raiiaf_file *file, undo *saved, raiiaf_error *error)
{
    *saved = (undo){.stale = malloc(file->chunk_count * sizeof *saved->stale + 1)};
    rf_bytes_append(&saved->text, file->text.data, file->text.size);
    if (saved->text.failed || !saved->stale) {
        undo_end(saved);
        return rf_fail_memory(error, file->name);
    }
    for (size_t i = 0; i < file->chunk_count; i++)
        saved->stale[i] = file->chunks[i].info.stale;
    return RAIIAF_OK;
}

static void undo_all(raiiaf_file *file, undo *saved)
{
    rf_bytes_free(&file->text);
    file->text = saved->text;
    saved->text = (rf_bytes){0};
    for (size_t i = 0; i < file->chunk_count; i++)
        file->chunks[i].info.stale = saved->stale[i];
}

/* The present image's bytes.  Damaged ones can't be had, which is no reason to refuse better ones. */
static raiiaf_status read_present(const raiiaf_file *file, size_t chunk, raiiaf_buffer *image, raiiaf_error *error)
{
    raiiaf_error found;
    raiiaf_status status = raiiaf_chunk_read(file, chunk, 0, image, &found);
    if (status == RAIIAF_ERROR_HASH || status == RAIIAF_ERROR_DAMAGED) {
        char name[32];
        rf_warn(file, status, "image-damaged", RF_WHERE(file->name, rf_chunk_name(file, chunk, name), RAIIAF_NO_OFFSET),
                _("the image that is given up is damaged; text that it may have carried is lost"));
        *image = (raiiaf_buffer){0};
        return RAIIAF_OK;
    }
    if (status && error)
        *error = found;
    return status;
}

/* The digest of the picture that the latents belong to; "" if it can't be told. */
static raiiaf_status present_digest(const raiiaf_file *file, const raiiaf_buffer *image,
                                    char digest[RAIIAF_DIGEST_SIZE], raiiaf_error *error)
{
    memcpy(digest, file->picture_before, RAIIAF_DIGEST_SIZE);
    if (digest[0] || !image->size)
        return RAIIAF_OK;
    raiiaf_status status = raiiaf_pixels_of_image(image->data, image->size, &file->limits, digest, NULL);
    return status == RAIIAF_ERROR_MEMORY ? rf_fail_memory(error, file->name) : RAIIAF_OK;
}

/* Whether `payload` is, to the byte, the image of a capsule that was joined without it. */
static bool is_image_before(const raiiaf_file *file, const raiiaf_buffer *payload)
{
    char sha256[RF_SHA256_HEX];
    if (!file->image_record)
        return false;
    rf_sha256(payload->data, payload->size, sha256);
    return strcmp(sha256, file->image_before) == 0;
}

/* Whether the new picture, of this digest (NULL: not told), is provably that of `before`. */
static raiiaf_status compare_pictures(const raiiaf_file *file, const char *before, const raiiaf_buffer *payload,
                                      const char *digest, bool *same, raiiaf_error *error)
{
    char after[RAIIAF_DIGEST_SIZE];
    raiiaf_status status = RAIIAF_OK;
    if (is_image_before(file, payload))
        *same = true;
    else if (!before[0])
        *same = false;
    else if (digest)
        *same = rf_pixels_same(before, digest);
    else {
        status = rf_pixels_of_image_like(payload->data, payload->size, before, &file->limits, after);
        *same = !status && rf_pixels_same(before, after);
    }
    return status == RAIIAF_ERROR_MEMORY ? rf_fail_memory(error, file->name) : RAIIAF_OK;
}

/* Puts `payload` in the place of `present`, the chunk's image (both may be empty: no former image, none any more),
   keeps what text goes with it, and marks the latents.  All or nothing.  Takes over payload. */
static raiiaf_status exchange(raiiaf_file *file, size_t chunk, const raiiaf_buffer *present, raiiaf_buffer *payload,
                              bool stale, raiiaf_error *error)
{
    undo saved;
    raiiaf_status status = undo_begin(file, &saved, error);
    if (status)
        return status;
    if (present->size)
        status = rf_carriers_keep(file, present->data, present->size, payload->data, payload->size, error);
    if (!status && stale)
        status = rf_latents_mark_stale(file, error);
    if (status)
        ;
    else if (chunk == RAIIAF_NONE)
        status = rf_chunk_add(file, "DATA", payload, "{}", RAIIAF_DTYPE_NONE, 0, NULL, NULL, error);
    else if (payload->data)
        status = rf_chunk_replace(file, chunk, payload, error);
    else
        status = raiiaf_chunk_remove(file, chunk, error);
    if (status)
        undo_all(file, &saved);
    else
        file->edited = file->image_changed = true;
    undo_end(&saved);
    return status;
}

raiiaf_status raiiaf_image_set(raiiaf_file *file, const void *data, size_t size, const char *pixel_digest,
                               raiiaf_error *error)
{
    size_t chunk = raiiaf_image_chunk(file);
    char before[RAIIAF_DIGEST_SIZE];
    raiiaf_buffer present = {0}, payload = {0};
    bool had_picture = chunk != RAIIAF_NONE || file->image_before[0] || file->picture_before[0], same = false;
    raiiaf_status status = RAIIAF_OK;
    rf_error_clear(error);
    if (pixel_digest && !rf_pixels_same(pixel_digest, pixel_digest))
        return rf_fail(error, RAIIAF_ERROR_ARGUMENT, "digest-form", RF_NAME(file->name),
                       _("\"%.100s\" is no picture digest"), pixel_digest);
    if (chunk != RAIIAF_NONE)
        status = read_present(file, chunk, &present, error);
    if (status || (present.data && present.size == size && (!size || memcmp(present.data, data, size) == 0)))
        goto done;
    status = rf_buffer_new(&payload, size, file->budget, RF_NAME(file->name), error);
    if (status)
        goto done;
    if (size)
        memcpy(rf_buffer_data(&payload), data, size);

    *before = 0;
    if (file->image_before[0] || raiiaf_latent_count(file)) /* else neither history nor latents need to know */
        status = present_digest(file, &present, before, error);
    if (!status)
        status = compare_pictures(file, before, &payload, pixel_digest, &same, error);
    if (!status)
        status = exchange(file, chunk, &present, &payload, had_picture && !same, error);
    if (status)
        goto done;
    /* The caller's digest may be this very one.  What isn't known now can be told later from the chunk. */
    const char *known = pixel_digest ? pixel_digest : same ? before : "";
    memmove(file->picture_before, known, strlen(known) + 1);
    file->picture_changed |= !same;
done:
    raiiaf_buffer_free(&payload);
    raiiaf_buffer_free(&present);
    return status;
}

raiiaf_status raiiaf_image_remove(raiiaf_file *file, raiiaf_error *error)
{
    rf_error_clear(error);
    size_t chunk = raiiaf_image_chunk(file);
    if (chunk == RAIIAF_NONE)
        return no_image(file, error);
    raiiaf_buffer present, none = {0};
    raiiaf_status status = read_present(file, chunk, &present, error);
    if (status)
        return status;
    char digest[RAIIAF_DIGEST_SIZE];
    status = present_digest(file, &present, digest, error);
    if (!status)
        status = exchange(file, chunk, &present, &none, false, error);
    if (!status) {
        memcpy(file->picture_before, digest, sizeof digest);
        file->picture_changed = true;
    }
    raiiaf_buffer_free(&present);
    return status;
}
