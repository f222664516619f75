/* SPDX-License-Identifier: MIT */
/*
 * raster.c - what is told of a picture in a host's memory: its digest, and which of zlib's strategies suits it, for
 * hosts whose PNG encoder takes long and can be told.  For that, a few rows are filtered as libpng would and deflated
 * both ways.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "file.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

/* Of a picture in memory that is one look at it; of one on disk it bounds what is read at a time. */
#define PIXELS_AT_ONCE (UINT32_C(4) << 20)

bool raiiaf_raster_digest(const raiiaf_raster *raster, const char *like, unsigned channels, unsigned depth,
                          char digest[RAIIAF_DIGEST_SIZE])
{
    raiiaf_pixels *pixels;
    uint32_t form[4] = {0, 0, channels, depth > 8 ? 16 : 8}, step;
    const char *hash;
    if (like && !rf_digest_form(like, form, &hash))
        return false;
    if (raiiaf_pixels_begin(&pixels, raster->width, raster->height, form[2], form[3], NULL) != RAIIAF_OK)
        return false;
    step = 1 + PIXELS_AT_ONCE / raster->width;
    bool good = true;
    for (uint32_t y = 0; good && y < raster->height; y += step) {
        uint32_t height = raster->height - y < step ? raster->height - y : step;
        const void *rows = raster->rows(raster->user, y, height);
        good = rows != NULL;
        if (good)
            raiiaf_pixels_update_samples(pixels, &raster->samples, rows, (size_t)raster->width * height,
                                         raster->threads);
    }
    return raiiaf_pixels_end(pixels, good ? digest : NULL);
}

/* ---- zlib's strategy ---- */

#define BANDS 5       /* of the picture are looked at */
#define BAND_ROWS 6   /* each so many rows, so that what repeats from row to row shows */
#define BAND_PART 256 /* and this part of its height */
#define TOLERANCE 16  /* this part more bytes than the usual search's are worth the time */
#define USUAL_LEVEL 6
#define FILTERS 5

typedef struct sample {
    size_t length; /* bytes of a row */
    size_t pixel;  /* of a pixel */
    size_t count;
    uint8_t *data;     /* the rows themselves */
    uint8_t *filtered; /* each with a byte before it that tells the filter */
    uint8_t *trial;
} sample;

static uint8_t paeth(int a, int b, int c)
{
    int p = a + b - c, pa = abs(p - a), pb = abs(p - b), pc = abs(p - c);
    return (uint8_t)(pa <= pb && pa <= pc ? a : pb <= pc ? b : c);
}

/* The sum that libpng goes by: the smaller, the better the row will compress. */
static uint64_t filter(const sample *r, unsigned type, const uint8_t *row, const uint8_t *above, uint8_t *out)
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

static void filter_row(const sample *r, size_t y)
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

static bool estimate(const raiiaf_samples *layout, const void *data, uint32_t width, uint32_t height, uint64_t *usual,
                     uint64_t *runs)
{
    bool alpha = layout->channel[3] >= 0, gray = layout->channel[0] == layout->channel[1];
    bool deep = !layout->narrow && layout->type != RAIIAF_SAMPLES_8;
    size_t samples = (gray ? 1 : 3) + (size_t)alpha, count = (size_t)width * height;
    sample r = {.pixel = samples * (deep ? 2 : 1), .count = height};
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

bool raiiaf_raster_suits_runs(const raiiaf_raster *raster)
{
    uint64_t usual = 0, runs = 0;
    uint32_t height = BAND_ROWS + raster->height / BAND_PART;
    if (height > raster->height)
        height = raster->height;
    for (uint64_t i = 0; i < BANDS; i++) {
        const void *rows = raster->rows(raster->user, (uint32_t)((raster->height - height) * i / (BANDS - 1)), height);
        if (!rows || !estimate(&raster->samples, rows, raster->width, height, &usual, &runs))
            return false;
    }
    return runs < usual + usual / TOLERANCE;
}
