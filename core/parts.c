/* SPDX-License-Identifier: MIT */
/*
 * parts.c - walks over the chunks of PNG and WebP and the segments of JPEG.  Nothing here trusts a length.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "parts.h"

#define PNG_FIRST 8
#define PNG_MOST 0x7FFFFFFFu /* of a chunk's length */
#define WEBP_FIRST 12        /* "RIFF", size, "WEBP" */
#define JPEG_FIRST 2

enum { JPEG_TEM = 0x01, JPEG_RST0 = 0xD0, JPEG_SOI = 0xD8, JPEG_EOI = 0xD9, JPEG_SOS = 0xDA };

rf_parts rf_parts_begin(raiiaf_image_format format, const void *data, size_t size)
{
    rf_parts walk = {.format = format, .data = data, .size = size, .next = UINT64_MAX};
    if (format == RAIIAF_IMAGE_PNG)
        walk.next = PNG_FIRST;
    else if (format == RAIIAF_IMAGE_JPEG)
        walk.next = JPEG_FIRST;
    else if (format == RAIIAF_IMAGE_WEBP && size >= WEBP_FIRST) {
        uint64_t end = (uint64_t)rf_get32(walk.data + 4) + 8;
        walk.next = WEBP_FIRST;
        if (end > WEBP_FIRST && end < size)
            walk.size = (size_t)end;
    }
    return walk;
}

static bool ends_early(rf_parts *walk)
{
    walk->short_of = true;
    return false;
}

/* The part of `length` bytes at `at`; `after` bytes of it follow that are nobody's. */
static bool give(rf_parts *walk, uint32_t type, size_t at, size_t length, size_t after)
{
    walk->type = type;
    walk->part = walk->data + at;
    walk->length = length;
    walk->have = length < walk->size - at ? length : walk->size - at;
    walk->next = (uint64_t)at + length + after;
    return true;
}

static bool next_chunk(rf_parts *walk, size_t at)
{
    bool png = walk->format == RAIIAF_IMAGE_PNG;
    if (walk->size - at < 8)
        return ends_early(walk);
    const uint8_t *head = walk->data + at;
    uint32_t type = rf_get32_be(png ? head + 4 : head), length = png ? rf_get32_be(head) : rf_get32(head + 4);
    if (png && (length > PNG_MOST || type == RF_TAG('I', 'E', 'N', 'D')))
        return false;
    return give(walk, type, at + 8, length, png ? 4 : length & 1);
}

static bool next_segment(rf_parts *walk, size_t at)
{
    const uint8_t *data = walk->data;
    while (walk->size - at >= 2) {
        unsigned marker = data[at + 1];
        /* As decoders do: whatever isn't a marker with a length is passed over. */
        if (data[at] != 0xFF || marker == 0xFF) {
            at++;
            continue;
        }
        if (marker == 0 || marker == JPEG_TEM || (marker >= JPEG_RST0 && marker <= JPEG_SOI)) {
            at += 2;
            continue;
        }
        if (marker == JPEG_EOI || marker == JPEG_SOS)
            return false;
        if (walk->size - at < 4)
            break;
        size_t length = rf_get16_be(data + at + 2);
        return length >= 2 && give(walk, marker, at + 4, length - 2, 0);
    }
    return ends_early(walk);
}

bool rf_parts_next(rf_parts *walk)
{
    if (walk->next >= walk->size)
        return ends_early(walk);
    size_t at = (size_t)walk->next;
    return walk->format == RAIIAF_IMAGE_JPEG ? next_segment(walk, at) : next_chunk(walk, at);
}
