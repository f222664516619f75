/* SPDX-License-Identifier: MIT */
/*
 * carriers.c - the text that image files carry beside their pixels.
 *
 * A carrier is handed out as its part of the file holds it: the value after keyword and flags in PNG (inflated), the
 * whole payload of a JPEG segment, signature included, and of a WebP chunk.  So its bytes can always be had again.
 * Checksums aren't looked at: a text with a wrong CRC is still its user's text, as most readers have it.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "file.h"
#include "parts.h"

#include <string.h>
#include <zlib.h>

/* ---- the walk ---- */

typedef struct walker {
    bool (*callback)(void *user, const raiiaf_carrier *carrier);
    void *user;
    bool wary;
    uint64_t most; /* bytes that may still come out of compressed texts */
    bool stopped;  /* by the callback */
    raiiaf_status status;
} walker;

typedef struct piece {
    const uint8_t *data;
    size_t size;
} piece;

static bool starts_with(piece text, const char *start, size_t size)
{
    return text.size >= size && memcmp(text.data, start, size) == 0;
}

/* Cuts `rest` at its first NUL; false if there is none. */
static bool cut(piece *rest, piece *before)
{
    const uint8_t *end = rest->size ? memchr(rest->data, 0, rest->size) : NULL;
    if (!end)
        return false;
    *before = (piece){rest->data, (size_t)(end - rest->data)};
    *rest = (piece){end + 1, rest->size - before->size - 1};
    return true;
}

void rf_bytes_latin1(rf_bytes *out, const void *text, size_t size)
{
    for (const uint8_t *p = text, *end = p + size; p < end; p++) {
        char utf8[2] = {(char)(0xC0 | *p >> 6), (char)(0x80 | (*p & 0x3F))};
        if (*p < 0x80)
            rf_bytes_append(out, p, 1);
        else
            rf_bytes_append(out, utf8, 2);
    }
}

/* `text` is in UTF-8 where it reads as such: the PNG standard wants Latin-1 in places where writers put UTF-8. */
static const char *encoding_of(piece text, const char *otherwise)
{
    return rf_utf8_valid((const char *)text.data, text.size) ? "utf-8" : otherwise;
}

static void give(walker *w, const char *kind, piece keyword, piece text, const char *encoding)
{
    rf_bytes name = {0};
    rf_bytes_latin1(&name, keyword.data, keyword.size);
    if (name.failed)
        w->status = RAIIAF_ERROR_MEMORY;
    else {
        raiiaf_carrier carrier = {.kind = kind,
                                  .keyword = name.data ? name.data : "",
                                  .data = text.data,
                                  .size = text.size,
                                  .encoding = encoding};
        w->stopped = !w->callback(w->user, &carrier);
    }
    rf_bytes_free(&name);
}

/* Text of this length that shrinks to less than one part in so many says next to nothing: it is there to do harm. */
#define BOMB_SIZE ((size_t)64 << 10)
#define BOMB_RATIO 512

static bool is_bomb(const walker *w, const rf_bytes *out, const z_stream *stream)
{
    return w->wary && out->size > BOMB_SIZE && out->size / BOMB_RATIO > stream->total_in;
}

/* Inflates; false if the stream is damaged or more comes out than is left to come. */
static bool inflate_text(walker *w, piece packed, rf_bytes *out)
{
    z_stream stream = {.next_in = (Bytef *)packed.data, .avail_in = (uInt)packed.size};
    uint8_t block[16384];
    int result = inflateInit(&stream);
    if (result != Z_OK) {
        w->status = RAIIAF_ERROR_MEMORY;
        return false;
    }
    while (result == Z_OK && out->size <= w->most && !is_bomb(w, out, &stream)) {
        stream.next_out = block;
        stream.avail_out = sizeof block;
        result = inflate(&stream, Z_NO_FLUSH);
        rf_bytes_append(out, block, sizeof block - stream.avail_out);
    }
    inflateEnd(&stream);
    if (out->failed || result == Z_MEM_ERROR)
        w->status = RAIIAF_ERROR_MEMORY;
    else if (out->size > w->most || is_bomb(w, out, &stream)) {
        w->status = RAIIAF_ERROR_LIMIT;
        w->most = 0; /* what follows would cost as much time again */
    } else if (result == Z_STREAM_END) {
        w->most -= out->size;
        return true;
    }
    return false;
}

static void give_inflated(walker *w, const char *kind, piece keyword, piece packed, const char *otherwise)
{
    rf_bytes out = {0};
    if (inflate_text(w, packed, &out)) {
        piece text = {(const uint8_t *)(out.data ? out.data : ""), out.size};
        give(w, kind, keyword, text, encoding_of(text, otherwise));
    }
    rf_bytes_free(&out);
}

static void give_ztxt(walker *w, piece rest)
{
    piece keyword;
    if (cut(&rest, &keyword) && rest.size >= 1 && rest.data[0] == 0)
        give_inflated(w, "png:zTXt", keyword, (piece){rest.data + 1, rest.size - 1}, "latin-1");
}

static void give_itxt(walker *w, piece rest)
{
    piece keyword, language, translated;
    if (!cut(&rest, &keyword) || rest.size < 2)
        return;
    bool packed = rest.data[0] != 0, known = rest.data[1] == 0;
    rest = (piece){rest.data + 2, rest.size - 2};
    if (!cut(&rest, &language) || !cut(&rest, &translated))
        return;
    if (!packed)
        give(w, "png:iTXt", keyword, rest, encoding_of(rest, "base64"));
    else if (known)
        give_inflated(w, "png:iTXt", keyword, rest, "base64");
}

/* "keyword", NUL, text; without a NUL all is text. */
static void give_keyed(walker *w, const char *kind, piece rest, const char *otherwise)
{
    piece keyword = {NULL, 0};
    cut(&rest, &keyword);
    give(w, kind, keyword, rest, encoding_of(rest, otherwise));
}

static const piece no_keyword = {NULL, 0};

static void give_png_chunk(walker *w, uint32_t type, piece text)
{
    if (type == RF_TAG('t', 'E', 'X', 't'))
        give_keyed(w, "png:tEXt", text, "latin-1");
    else if (type == RF_TAG('z', 'T', 'X', 't'))
        give_ztxt(w, text);
    else if (type == RF_TAG('i', 'T', 'X', 't'))
        give_itxt(w, text);
    else if (type == RF_TAG('e', 'X', 'I', 'f'))
        give(w, "png:eXIf", no_keyword, text, "base64");
    else if (type == RF_TAG('c', 'a', 'B', 'X'))
        give(w, "png:caBX", no_keyword, text, "base64");
    else if (type == RF_TAG('c', 'o', 'm', 'f')) /* ComfyUI's animated PNG */
        give_keyed(w, "png:comf", text, "base64");
}

/* Whether text begins with a literal, the literal's final NUL included. */
#define STARTS(text, literal) starts_with(text, literal, sizeof(literal))

enum { APP1 = 0xE1, APP11 = 0xEB, APP13 = 0xED, COM = 0xFE };

static void give_jpeg_segment(walker *w, uint32_t marker, piece text)
{
    /* ImageMagick leaves the start off where the Exif block came from a WebP. */
    bool bare = starts_with(text, "II*", 4) || starts_with(text, "MM\0*", 4);
    if (marker == APP1 && (bare || STARTS(text, RF_EXIF_START)))
        give(w, "jpeg:exif", no_keyword, text, "base64");
    else if (marker == APP1 && (STARTS(text, RF_XMP_START) || STARTS(text, "http://ns.adobe.com/xmp/extension/")))
        give(w, "jpeg:xmp", no_keyword, text, encoding_of(text, "base64"));
    else if (marker == APP13 && STARTS(text, "Photoshop 3.0"))
        give(w, "jpeg:iptc", no_keyword, text, "base64");
    else if (marker == APP11 && starts_with(text, "JP", 2))
        give(w, "jpeg:c2pa", no_keyword, text, "base64");
    else if (marker == COM)
        give(w, "jpeg:com", no_keyword, text, encoding_of(text, "latin-1"));
}

static void give_webp_chunk(walker *w, uint32_t type, piece text)
{
    if (type == RF_TAG('E', 'X', 'I', 'F'))
        give(w, "webp:exif", no_keyword, text, "base64");
    else if (type == RF_TAG('X', 'M', 'P', ' '))
        give(w, "webp:xmp", no_keyword, text, encoding_of(text, "base64"));
    else if (type == RF_TAG('C', '2', 'P', 'A'))
        give(w, "webp:c2pa", no_keyword, text, "base64");
}

raiiaf_status raiiaf_carrier_each(const void *image, size_t size, const raiiaf_limits *limits,
                                  bool (*callback)(void *user, const raiiaf_carrier *carrier), void *user,
                                  raiiaf_error *error)
{
    return rf_carrier_each(image, size, limits, false, callback, user, error);
}

raiiaf_status rf_carrier_each(const void *image, size_t size, const raiiaf_limits *limits, bool wary,
                              bool (*callback)(void *user, const raiiaf_carrier *carrier), void *user,
                              raiiaf_error *error)
{
    raiiaf_image_info info;
    raiiaf_limits defaults;
    raiiaf_limits_default(&defaults);
    const raiiaf_limits *bounds = limits ? limits : &defaults;
    walker w = {.callback = callback, .user = user, .wary = wary};
    w.most = bounds->manifest_size ? bounds->manifest_size : UINT64_MAX - 1;
    rf_error_clear(error);
    raiiaf_image_probe_memory(image, size, &info);
    rf_parts parts = rf_parts_begin(info.format, image, size);
    while (!w.stopped && w.status != RAIIAF_ERROR_MEMORY && rf_parts_next(&parts) && parts.have == parts.length) {
        piece text = {parts.part, parts.length};
        if (info.format == RAIIAF_IMAGE_PNG)
            give_png_chunk(&w, parts.type, text);
        else if (info.format == RAIIAF_IMAGE_JPEG)
            give_jpeg_segment(&w, parts.type, text);
        else
            give_webp_chunk(&w, parts.type, text);
    }
    if (w.status == RAIIAF_ERROR_MEMORY)
        return rf_fail_memory(error, NULL);
    if (w.status)
        return rf_fail(error, w.status, "text-too-large", RF_NAME(NULL),
                       _("compressed text in the image would take more than the limit; raise "
                         "raiiaf_limits.manifest_size if you trust it"));
    return RAIIAF_OK;
}
