/* SPDX-License-Identifier: MIT */
/*
 * preview.c - a picture of a latent for people to look at, and that picture as a PNG file.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "codec.h"

#include <inttypes.h>
#include <math.h>
#include <png.h>
#include <stdlib.h>
#include <string.h>

/* No picture is larger than this either way, whatever the tensor: pixels are left out, then channels. */
#define SIDE_MOST 4096

/* Axes up to this length count as channels where they come last: see find_layout. */
#define CHANNELS_MOST 16

/* libpng's simplified interface counts bytes in 32 bits, overhead included. */
#define PNG_BYTES_MOST (UINT32_C(1) << 31)

#define MID_GRAY 128

/* Stable Diffusion's decoder as a linear map, from its four channels to R, G, B between -1 and 1.  The factors were
   measured by Keturn for version 1.4: "Decoding latents to RGB without upscaling",
   https://discuss.huggingface.co/t/decoding-latents-to-rgb-without-upscaling/23204 */
static const float rgb_factors[4][3] = {
    {0.298f, 0.207f, 0.208f},
    {0.187f, 0.286f, 0.173f},
    {-0.158f, 0.189f, 0.264f},
    {-0.184f, -0.271f, -0.473f},
};

/* Where things lie in the tensor: all numbers count elements. */
typedef struct layout {
    const uint8_t *data;
    raiiaf_dtype dtype;
    uint64_t width, height, channels;
    uint64_t x_step, y_step, channel_step; /* from one to the next */
    uint64_t keep;                         /* one pixel of `keep` is shown either way */
} layout;

static raiiaf_status check_tensor(const raiiaf_chunk_info *info, size_t size, raiiaf_error *error)
{
    uint64_t wanted = rf_element_size(info->dtype);
    bool good = wanted && info->rank >= 1 && info->rank <= RAIIAF_MAX_RANK;
    for (unsigned i = 0; good && i < info->rank; i++)
        good = info->shape[i] > 0 && rf_multiply(wanted, info->shape[i], &wanted);
    if (good && wanted == size)
        return RAIIAF_OK;
    return rf_fail(error, RAIIAF_ERROR_ARGUMENT, "latent-size", NULL,
                   _("the %zu bytes are not the tensor that the chunk's information describes"), size);
}

/* The last two axes are the raster and those before them channels, but the first of four or more, which is a batch.
   Where the last axis is short and the two before it are longer than any usual number of channels, channels come
   last. */
static layout find_layout(const raiiaf_chunk_info *info, const uint8_t *data)
{
    uint32_t shape[RAIIAF_MAX_RANK];
    unsigned rank = info->rank;
    memcpy(shape, info->shape, sizeof shape);
    if (rank >= 4) {
        rank--;
        memmove(shape, shape + 1, rank * sizeof *shape);
    }
    layout l = {.data = data, .dtype = info->dtype, .width = shape[rank - 1], .height = 1, .channels = 1};
    if (rank >= 2)
        l.height = shape[rank - 2];
    l.x_step = 1;
    l.y_step = l.width;
    l.channel_step = l.width * l.height;
    if (rank == 3 && shape[2] <= CHANNELS_MOST && shape[1] > CHANNELS_MOST && shape[0] > CHANNELS_MOST) {
        l.channels = shape[2];
        l.width = shape[1];
        l.height = shape[0];
        l.x_step = l.channels;
        l.y_step = l.channels * l.width;
        l.channel_step = 1;
    } else
        for (unsigned i = 0; i + 2 < rank; i++)
            l.channels *= shape[i];
    uint64_t longest = l.width > l.height ? l.width : l.height;
    l.keep = (longest + SIDE_MOST - 1) / SIDE_MOST;
    return l;
}

static uint64_t shown(const layout *l, uint64_t length)
{
    return (length + l->keep - 1) / l->keep;
}

static float element(const layout *l, uint64_t channel, uint64_t x, uint64_t y)
{
    uint64_t at = channel * l->channel_step + y * l->keep * l->y_step + x * l->keep * l->x_step;
    float value;
    rf_load_floats(l->data + at * rf_element_size(l->dtype), 1, l->dtype, &value);
    return value;
}

/* NaN becomes 0. */
static uint8_t to_byte(double value)
{
    return value >= 255 ? 255 : value > 0 ? (uint8_t)(value + 0.5) : 0;
}

static void draw_colours(const layout *l, uint8_t *rgb)
{
    for (uint64_t y = 0; y < shown(l, l->height); y++)
        for (uint64_t x = 0; x < shown(l, l->width); x++) {
            double sum[3] = {0};
            for (unsigned c = 0; c < 4; c++) {
                double value = (double)element(l, c, x, y);
                for (unsigned k = 0; k < 3; k++)
                    sum[k] += value * (double)rgb_factors[c][k];
            }
            for (unsigned k = 0; k < 3; k++)
                *rgb++ = to_byte((sum[k] + 1) * 127.5);
        }
}

/* ---- gray ---- */

/* Percentiles by counting: floats in the order of unsigned integers, first their upper halves, then the lower halves
   of those that share the upper half looked for. */
static uint32_t float_to_ordinal(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits & 0x80000000 ? ~bits : bits | 0x80000000;
}

static float ordinal_to_float(uint32_t ordinal)
{
    uint32_t bits = ordinal & 0x80000000 ? ordinal & 0x7FFFFFFF : ~ordinal;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

#define BINS 65536

/* Counts what is finite in `counts`: by upper half, or by lower half where the upper one is `upper`. */
static uint64_t count_ordinals(const layout *l, uint64_t elements, int64_t upper, uint64_t counts[BINS])
{
    enum { BLOCK = 1024 };
    float values[BLOCK];
    uint64_t total = 0;
    memset(counts, 0, BINS * sizeof *counts);
    for (uint64_t done = 0; done < elements; done += BLOCK) {
        size_t some = elements - done < BLOCK ? (size_t)(elements - done) : BLOCK;
        rf_load_floats(l->data + done * rf_element_size(l->dtype), some, l->dtype, values);
        for (size_t i = 0; i < some; i++) {
            uint32_t ordinal = float_to_ordinal(values[i]);
            if (!isfinite(values[i]) || (upper >= 0 && ordinal >> 16 != (uint32_t)upper))
                continue;
            counts[upper >= 0 ? ordinal & 0xFFFF : ordinal >> 16]++;
            total++;
        }
    }
    return total;
}

/* The bin that the element of that rank (from 0) falls into; *rank becomes its rank in there. */
static uint32_t find_bin(const uint64_t counts[BINS], uint64_t *rank)
{
    uint32_t bin = 0;
    while (bin < BINS - 1 && *rank >= counts[bin])
        *rank -= counts[bin++];
    return bin;
}

static bool find_percentiles(const layout *l, double *low, double *high)
{
    uint64_t *counts = malloc(BINS * sizeof *counts);
    if (!counts)
        return false;
    uint64_t elements = l->width * l->height * l->channels;
    uint64_t finite = count_ordinals(l, elements, -1, counts);
    *low = *high = 0;
    if (finite) {
        uint64_t ranks[2] = {finite / 100, finite - 1 - finite / 100};
        uint32_t upper[2] = {find_bin(counts, &ranks[0]), find_bin(counts, &ranks[1])};
        double *found[2] = {low, high};
        for (int i = 0; i < 2; i++) {
            count_ordinals(l, elements, upper[i], counts);
            *found[i] = (double)ordinal_to_float(upper[i] << 16 | find_bin(counts, &ranks[i]));
        }
    }
    free(counts);
    return true;
}

/* Channels side by side, about as many pixels across as down. */
static void find_grid(const layout *l, uint64_t *columns, uint64_t *rows)
{
    uint64_t width = shown(l, l->width), height = shown(l, l->height);
    uint64_t most_columns = SIDE_MOST / width, most_rows = SIDE_MOST / height;
    *columns = (uint64_t)ceil(sqrt((double)l->channels * (double)height / (double)width));
    *columns = *columns < 1 ? 1 : *columns > l->channels ? l->channels : *columns;
    *columns = *columns > most_columns ? most_columns : *columns;
    *rows = (l->channels + *columns - 1) / *columns;
    *rows = *rows > most_rows ? most_rows : *rows;
}

/* NaN is black; where there is nothing to stretch, what isn't the usual value is black or white. */
static uint8_t gray(double value, double low, double high)
{
    if (high > low)
        return to_byte((value - low) * (255 / (high - low)));
    return value == low ? MID_GRAY : value > low ? 255 : 0;
}

static void draw_channel(const layout *l, uint64_t channel, double low, double high, uint8_t *rgb, uint64_t stride)
{
    for (uint64_t y = 0; y < shown(l, l->height); y++) {
        uint8_t *row = rgb + y * stride;
        for (uint64_t x = 0; x < shown(l, l->width); x++)
            memset(row + 3 * x, gray((double)element(l, channel, x, y), low, high), 3);
    }
}

raiiaf_status raiiaf_latent_preview(const raiiaf_chunk_info *info, const void *data, size_t size,
                                    raiiaf_picture *picture, raiiaf_error *error)
{
    *picture = (raiiaf_picture){0};
    raiiaf_status status = check_tensor(info, size, error);
    if (status)
        return status;
    layout l = find_layout(info, data);
    uint64_t width = shown(&l, l.width), height = shown(&l, l.height), columns = 1, rows = 1;
    bool colours = l.channels == 4;
    double low = 0, high = 0;
    if (!colours) {
        find_grid(&l, &columns, &rows);
        if (!find_percentiles(&l, &low, &high))
            return rf_fail_memory(error, NULL);
    }
    uint64_t stride = 3 * width * columns;
    status = rf_buffer_new(&picture->rgb, (size_t)(stride * height * rows), NULL, NULL, error);
    if (status)
        return status;
    picture->width = (uint32_t)(width * columns);
    picture->height = (uint32_t)(height * rows);
    uint8_t *rgb = rf_buffer_data(&picture->rgb);
    if (colours) {
        draw_colours(&l, rgb);
        return RAIIAF_OK;
    }
    memset(rgb, 0, picture->rgb.size);
    for (uint64_t channel = 0; channel < l.channels && channel < columns * rows; channel++)
        draw_channel(&l, channel, low, high, rgb + channel / columns * height * stride + channel % columns * width * 3,
                     stride);
    return RAIIAF_OK;
}

void raiiaf_picture_free(raiiaf_picture *picture)
{
    raiiaf_buffer_free(&picture->rgb);
    *picture = (raiiaf_picture){0};
}

/* ---- PNG ---- */

raiiaf_status raiiaf_picture_png(const raiiaf_picture *picture, raiiaf_buffer *png, raiiaf_error *error)
{
    *png = (raiiaf_buffer){0};
    uint64_t wanted;
    if (picture->width < 1 || picture->height < 1 ||
        !rf_multiply(UINT64_C(3) * picture->width, picture->height, &wanted) || wanted != picture->rgb.size)
        return rf_fail(error, RAIIAF_ERROR_ARGUMENT, "picture-size", NULL,
                       _("a picture of %" PRIu32 " by %" PRIu32 " pixels doesn't have %zu bytes"), picture->width,
                       picture->height, picture->rgb.size);
    if (wanted > PNG_BYTES_MOST)
        return rf_fail(error, RAIIAF_ERROR_LIMIT, "picture-size", NULL,
                       _("a picture of %" PRIu32 " by %" PRIu32 " pixels is too large to be written as PNG"),
                       picture->width, picture->height);
    /* libpng's simplified interface catches its own errors: no setjmp here. */
    png_image image = {
        .version = PNG_IMAGE_VERSION, .width = picture->width, .height = picture->height, .format = PNG_FORMAT_RGB};
    png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(image);
    raiiaf_status status = RAIIAF_OK;
    void *memory = malloc(size);
    if (!memory)
        return rf_fail_memory(error, NULL);
    if (!png_image_write_to_memory(&image, memory, &size, 0, picture->rgb.data, 0, NULL)) {
        status = rf_fail(error, RAIIAF_ERROR_UNSUPPORTED, "png-encode", NULL, _("libpng can't write the picture (%s)"),
                         image.message);
        png_image_free(&image);
    } else {
        status = rf_buffer_new(png, size, NULL, NULL, error);
        if (!status)
            memcpy(rf_buffer_data(png), memory, size);
    }
    free(memory);
    return status;
}
