/* SPDX-License-Identifier: MIT */
/*
 * parts.h - the parts that image files consist of: chunks of PNG and WebP, segments of JPEG.
 */
#ifndef RAIIAF_PARTS_H
#define RAIIAF_PARTS_H

#include "base.h"

/* A walk over the parts of an image file, or of its beginning:
     rf_parts walk = rf_parts_begin(RAIIAF_IMAGE_PNG, data, size);
     while (rf_parts_next(&walk)) ... walk.type, walk.part[0 .. walk.have) ...
   It ends before IEND of a PNG, before the pixels of a JPEG (SOS) and where a length can't be true. */
typedef struct rf_parts {
    raiiaf_image_format format;
    const uint8_t *data;
    size_t size;
    uint64_t next;
    uint32_t type; /* RF_TAG of a chunk, marker of a segment (0xE1: APP1) */
    const uint8_t *part;
    size_t length; /* as the file says */
    size_t have;   /* what of it lies before the end of the data */
    bool short_of; /* the walk ended because the data did */
} rf_parts;

#define RF_TAG(a, b, c, d) ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))

/* How JPEG's APP1 segments begin; the final NUL counts. */
#define RF_EXIF_START "Exif\0"
#define RF_XMP_START "http://ns.adobe.com/xap/1.0/"

rf_parts rf_parts_begin(raiiaf_image_format format, const void *data, size_t size);
bool rf_parts_next(rf_parts *walk);

/* carriers.c: as raiiaf_carrier_each; `wary`: text that says next to nothing at great length counts as beyond the limit
   as well. */
raiiaf_status rf_carrier_each(const void *image, size_t size, const raiiaf_limits *limits, bool wary,
                              bool (*callback)(void *user, const raiiaf_carrier *carrier), void *user,
                              raiiaf_error *error);

static inline uint32_t rf_get16_be(const uint8_t *p)
{
    return (uint32_t)p[0] << 8 | p[1];
}
static inline uint32_t rf_get32_be(const uint8_t *p)
{
    return rf_get16_be(p) << 16 | rf_get16_be(p + 2);
}

#endif
