/* SPDX-License-Identifier: MIT */
/*
 * estimate.c - which of zlib's strategies suits a picture, told from a few of its rows: for hosts whose PNG encoder
 * takes long, and can be told.  The rows are filtered as libpng does it by itself and deflated both ways.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "file.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define USUAL_LEVEL 6
#define FILTERS 5

typedef struct rows {
    size_t length; /* bytes of a row */
    size_t pixel;  /* of a pixel */
    size_t count;
    uint8_t *data;     /* the rows themselves */
    uint8_t *filtered; /* each with a byte before it that tells the filter */
    uint8_t *trial;
} rows;

static uint8_t paeth(int a, int b, int c)
{
    int p = a + b - c, pa = abs(p - a), pb = abs(p - b), pc = abs(p - c);
    return (uint8_t)(pa <= pb && pa <= pc ? a : pb <= pc ? b : c);
}

/* The sum that libpng goes by: the smaller, the better the row will compress. */
static uint64_t filter(const rows *r, unsigned type, const uint8_t *row, const uint8_t *above, uint8_t *out)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < r->length; i++) {
        int left = i < r->pixel ? 0 : row[i - r->pixel], up = above ? above[i] : 0;
        int corner = i < r->pixel || !above ? 0 : above[i - r->pixel];
        int guess = type == 1 ? left : type == 2 ? up : type == 3 ? (left + up) / 2 : paeth(left, up, corner);
        uint8_t byte = (uint8_t)(row[i] - (type ? guess : 0));
        out[i] = byte;
        sum += byte < 128 ? byte : 256u - byte;
    }
    return sum;
}

static void filter_row(const rows *r, size_t y)
{
    const uint8_t *row = r->data + y * r->length, *above = y ? row - r->length : NULL;
    uint8_t *out = r->filtered + y * (r->length + 1);
    uint64_t least = UINT64_MAX;
    for (unsigned type = 0; type < FILTERS; type++) {
        uint64_t sum = filter(r, type, row, above, r->trial);
        if (sum >= least)
            continue;
        least = sum;
        out[0] = (uint8_t)type;
        memcpy(out + 1, r->trial, r->length);
    }
}

static size_t deflated(const uint8_t *data, size_t size, int level, int strategy)
{
    uint8_t out[16384];
    z_stream z = {.next_in = (Bytef *)(uintptr_t)data, .avail_in = (uInt)size};
    if (deflateInit2(&z, level, Z_DEFLATED, MAX_WBITS, MAX_MEM_LEVEL, strategy) != Z_OK)
        return 0;
    do {
        z.next_out = out;
        z.avail_out = sizeof out;
    } while (deflate(&z, Z_FINISH) == Z_OK);
    size_t total = z.total_out;
    deflateEnd(&z);
    return total;
}

bool raiiaf_png_estimate(const raiiaf_samples *layout, const void *data, uint32_t width, uint32_t height,
                         uint64_t *usual, uint64_t *runs)
{
    bool alpha = layout->channel[3] >= 0, gray = layout->channel[0] == layout->channel[1];
    bool deep = !layout->narrow && layout->type != RAIIAF_SAMPLES_8;
    size_t samples = (gray ? 1 : 3) + (size_t)alpha, count = (size_t)width * height;
    rows r = {.pixel = samples * (deep ? 2 : 1), .count = height};
    uint64_t size;
    if (!count || !rf_multiply(count, 8, &size) || size > UINT32_MAX / 2)
        return false;
    r.length = width * r.pixel;
    uint16_t *rgba = malloc(count * 4 * sizeof *rgba);
    r.data = malloc(r.length * height);
    r.filtered = malloc((r.length + 1) * height);
    r.trial = malloc(r.length);
    bool good = rgba && r.data && r.filtered && r.trial;
    if (good) {
        uint8_t *out = r.data;
        rf_samples_gather(layout, data, count, rgba);
        for (size_t i = 0; i < 4 * count; i++) {
            if ((i % 4 == 3 && !alpha) || (gray && i % 4 && i % 4 < 3))
                continue;
            *out++ = (uint8_t)(rgba[i] >> 8);
            if (deep)
                *out++ = (uint8_t)rgba[i];
        }
        for (size_t y = 0; y < height; y++)
            filter_row(&r, y);
        *usual += deflated(r.filtered, (r.length + 1) * height, USUAL_LEVEL, Z_DEFAULT_STRATEGY);
        *runs += deflated(r.filtered, (r.length + 1) * height, 1, Z_RLE);
    }
    free(rgba);
    free(r.data);
    free(r.filtered);
    free(r.trial);
    return good;
}
