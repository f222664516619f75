/* SPDX-License-Identifier: MIT */
/*
 * hidden.c - text that is hidden in the lowest bits of a PNG's pixels.
 *
 * The bits go down the columns from the left, one in each alpha sample, or one in each of red, green and blue: a magic,
 * the length of the text in bits (32 of them), the text, the highest bit of each byte first.  Hardly any image hides
 * something, so rows are decoded one by one until they tell otherwise: two or three, usually.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "decode.h"
#include "legacy.h"

#include <stdlib.h>
#include <zlib.h>

#define MAGIC_BITS 120u
#define LENGTH_BITS 32u
#define TEXT_MOST (16u << 20)

static const struct form {
    const char magic[16];
    unsigned per_pixel; /* bits */
    unsigned first;     /* sample of a pixel */
    bool packed;
} forms[] = {
    {"stealth_pnginfo", 1, 3, false},
    {"stealth_pngcomp", 1, 3, true},
    {"stealth_rgbinfo", 3, 0, false},
    {"stealth_rgbcomp", 3, 0, true},
};
#define FORMS (sizeof forms / sizeof *forms)

typedef struct decoder {
    rf_png_bytes bytes;
    uint32_t width, height;
    unsigned channels;
    uint8_t *row;
    uint32_t y;
    bool whole;              /* nothing was damaged */
    unsigned alive;          /* forms that the first bits still fit; a bit for each */
    const struct form *form; /* the one whose bits are collected; NULL while it is sought */
    uint8_t *bits;           /* row by row, packed */
} decoder;

/* ---- libpng ---- */

static void stop(png_structp png, png_const_charp message)
{
    (void)message;
    png_longjmp(png, 1);
}

/* Hands every row to `take` until it returns false.  What a long jump may leave behind is in `from`. */
static bool each_row(decoder *from, bool (*take)(decoder *from, uint32_t y))
{
    png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, NULL, stop, rf_png_ignore);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    if (info && !setjmp(png_jmpbuf(png))) {
        rf_png_begin(png, &from->bytes);
        png_set_crc_action(png, PNG_CRC_QUIET_USE, PNG_CRC_QUIET_USE);
        png_read_info(png, info);
        if (png_get_image_width(png, info) == from->width && png_get_image_height(png, info) == from->height &&
            png_get_bit_depth(png, info) == 8 && png_get_channels(png, info) == from->channels) {
            do
                png_read_row(png, from->row, NULL);
            while (take(from, from->y) && ++from->y < from->height);
            from->whole = true;
        }
    }
    png_destroy_read_struct(&png, &info, NULL);
    return from->whole;
}

/* ---- bits ---- */

/* Drops the forms that the bits of row y don't fit; false once none is left, or all are checked. */
static bool check_row(decoder *from, uint32_t y)
{
    for (unsigned i = 0; i < FORMS; i++) {
        const struct form *form = &forms[i];
        uint64_t pixel = y;
        for (uint32_t x = 0; (from->alive >> i & 1) && x < from->width && pixel * form->per_pixel < MAGIC_BITS; x++) {
            const uint8_t *samples = from->row + (size_t)x * from->channels + form->first;
            for (unsigned k = 0; k < form->per_pixel; k++) {
                unsigned bit = (unsigned)pixel * form->per_pixel + k;
                if ((samples[k] & 1) != (form->magic[bit / 8] >> (7 - bit % 8) & 1))
                    from->alive &= ~(1u << i);
            }
            pixel += from->height;
        }
    }
    return from->alive && y + 1 < MAGIC_BITS;
}

static bool keep_row(decoder *from, uint32_t y)
{
    const struct form *form = from->form;
    uint64_t at = (uint64_t)y * from->width * form->per_pixel;
    for (uint32_t x = 0; x < from->width; x++) {
        const uint8_t *samples = from->row + (size_t)x * from->channels + form->first;
        for (unsigned k = 0; k < form->per_pixel; k++, at++)
            from->bits[at / 8] |= (uint8_t)((samples[k] & 1) << at % 8);
    }
    return true;
}

/* Bit `i` of the hidden stream. */
static unsigned bit_at(const decoder *from, uint64_t i)
{
    uint64_t pixel = i / from->form->per_pixel, x = pixel / from->height, y = pixel % from->height;
    uint64_t at = (y * from->width + x) * from->form->per_pixel + i % from->form->per_pixel;
    return from->bits[at / 8] >> at % 8 & 1;
}

static uint64_t bits_at(const decoder *from, uint64_t start, unsigned count)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < count; i++)
        value = value << 1 | bit_at(from, start + i);
    return value;
}

/* ---- text ---- */

/* Inflates gzip; NULL if it is none, or larger than any text. */
static const uint8_t *inflate_text(legacy_input *in, const uint8_t *packed, size_t size, size_t *length)
{
    z_stream stream = {.next_in = (Bytef *)packed, .avail_in = (uInt)size};
    uint8_t block[16384];
    rf_bytes out = {0};
    const uint8_t *text = NULL;
    int result = inflateInit2(&stream, MAX_WBITS + 16);
    while (result == Z_OK && out.size <= TEXT_MOST) {
        stream.next_out = block;
        stream.avail_out = sizeof block;
        result = inflate(&stream, Z_NO_FLUSH);
        rf_bytes_append(&out, block, sizeof block - stream.avail_out);
    }
    inflateEnd(&stream);
    if (result == Z_MEM_ERROR || out.failed)
        in->arena.status = RAIIAF_ERROR_MEMORY;
    else if (result == Z_STREAM_END && out.size <= TEXT_MOST)
        text = (const uint8_t *)legacy_copy(&in->arena, out.data, *length = out.size);
    rf_bytes_free(&out);
    return text;
}

static void add_text(legacy_input *in, const decoder *from)
{
    uint64_t all = (uint64_t)from->width * from->height * from->form->per_pixel, start = MAGIC_BITS + LENGTH_BITS;
    if (all < start)
        return;
    uint64_t size = bits_at(from, MAGIC_BITS, LENGTH_BITS);
    if (size % 8 || size > all - start || size / 8 > TEXT_MOST)
        return;
    size_t length = (size_t)(size / 8);
    uint8_t *payload = legacy_take(&in->arena, length + 1);
    for (size_t i = 0; payload && i < length; i++)
        payload[i] = (uint8_t)bits_at(from, start + 8 * i, 8);
    const uint8_t *text = payload;
    if (payload && from->form->packed)
        text = inflate_text(in, payload, length, &length);
    if (!text || !length || !rf_utf8_valid((const char *)text, length))
        return;
    raiiaf_carrier carrier = {"stealth", from->form->magic, text, length, "utf-8"};
    legacy_carrier_add(in, &carrier, false);
    size_t text_size;
    const char *copy = legacy_utf8(&in->arena, text, length, &text_size);
    legacy_text_add(in, "stealth", from->form->magic, copy, text_size);
}

/* All the lowest bits, once the first ones have told that it is worth it. */
static void read_bits(legacy_input *in, decoder *from)
{
    uint64_t bits = (uint64_t)from->width * from->height * from->form->per_pixel;
    if (in->limits.memory && bits / 8 > in->limits.memory)
        return;
    from->bits = calloc((size_t)(bits / 8 + 1), 1);
    if (!from->bits)
        in->arena.status = RAIIAF_ERROR_MEMORY;
    else if (each_row(from, keep_row))
        add_text(in, from);
    free(from->bits);
}

void legacy_hidden_read(legacy_input *in)
{
    const raiiaf_image_info *info = &in->info;
    if (info->format != RAIIAF_IMAGE_PNG || info->palette || info->depth != 8 || info->channels < 3 ||
        info->interlaced || !info->width || !info->height || (uint64_t)info->width * info->height < MAGIC_BITS / 3)
        return;
    unsigned channels = in->image[25] == 6 ? 4 : 3; /* alpha by tRNS isn't in the pixels */
    decoder begin = {.bytes = {in->image, in->image_size},
                     .width = info->width,
                     .height = info->height,
                     .channels = channels,
                     .alive = channels == 4 ? 0xF : 0xC};
    begin.row = malloc((size_t)info->width * channels);
    if (!begin.row) {
        in->arena.status = RAIIAF_ERROR_MEMORY;
        return;
    }
    decoder from = begin;
    if (each_row(&from, check_row) && from.alive) {
        unsigned i = 0;
        while (!(from.alive >> i & 1))
            i++;
        begin.form = &forms[i];
        read_bits(in, &begin);
    }
    free(begin.row);
}
