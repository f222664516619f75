/* SPDX-License-Identifier: MIT */
/*
 * pixels.c - the digest of a decoded picture as text, and that of a PNG.  samples.c tells what is hashed.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "decode.h"
#include "file.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIGEST_DIGITS 32

/* A decimal number without sign or leading zeros, and the character after it. */
static bool read_number(const char **text, char after, uint32_t *number)
{
    uint64_t value = 0;
    const char *p = *text;
    for (; *p >= '0' && *p <= '9' && value <= UINT32_MAX; p++)
        value = value * 10 + (uint64_t)(*p - '0');
    if (p == *text || **text == '0' || value > UINT32_MAX || *p != after)
        return false;
    *number = (uint32_t)value;
    *text = p + 1;
    return true;
}

bool rf_digest_form(const char *digest, uint32_t form[4], const char **hash)
{
    const char *p = digest;
    if (strncmp(p, RF_DIGEST_NAME ":", sizeof RF_DIGEST_NAME) != 0)
        return false;
    p += sizeof RF_DIGEST_NAME;
    for (int i = 0; i < 4; i++) {
        if (!read_number(&p, "xxx:"[i], &form[i]))
            return false;
    }
    *hash = p;
    return strlen(p) == DIGEST_DIGITS && strspn(p, "0123456789abcdef") == DIGEST_DIGITS;
}

raiiaf_status raiiaf_pixels_begin_like(raiiaf_pixels **pixels, const char *digest, raiiaf_error *error)
{
    *pixels = NULL;
    uint32_t form[4];
    const char *hash;
    if (!digest || !rf_digest_form(digest, form, &hash))
        return rf_fail(error, RAIIAF_ERROR_ARGUMENT, "digest-form", RF_NAME(NULL), _("\"%.100s\" is no picture digest"),
                       digest ? digest : "");
    return raiiaf_pixels_begin(pixels, form[0], form[1], form[2], form[3], error);
}

bool rf_pixels_same(const char *a, const char *b)
{
    uint32_t form_a[4], form_b[4];
    const char *hash_a, *hash_b;
    return rf_digest_form(a, form_a, &hash_a) && rf_digest_form(b, form_b, &hash_b) && form_a[0] == form_b[0] &&
           form_a[1] == form_b[1] && form_a[3] == form_b[3] && strcmp(hash_a, hash_b) == 0;
}

/* ---- of a PNG ---- */

typedef struct decoder {
    raiiaf_image_info head;
    const char *like;
    rf_png_bytes bytes;
    png_structp png;
    png_infop info;
    uint16_t *rows; /* one, or all of an interlaced picture */
    raiiaf_pixels *pixels;
    char message[200];
} decoder;

static void stop(png_structp png, png_const_charp message)
{
    decoder *from = png_get_error_ptr(png);
    snprintf(from->message, sizeof from->message, "%s", message);
    png_longjmp(png, 1);
}

/* Has libpng give each pixel as four native 16-bit samples, values as they are: no gamma, no colour management. */
static void want_rgba16(png_structp png)
{
    png_set_expand_16(png);
    png_set_gray_to_rgb(png);
    png_set_add_alpha(png, 0xFFFF, PNG_FILLER_AFTER);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    png_set_swap(png);
#endif
}

static raiiaf_status limit_error(raiiaf_error *error, png_uint_32 width, png_uint_32 height)
{
    return rf_fail(error, RAIIAF_ERROR_LIMIT, "image-too-large", RF_NAME(NULL),
                   _("decoding the image of %u by %u pixels needs more memory than the limit allows; raise "
                     "raiiaf_limits.memory if you trust it"),
                   (unsigned)width, (unsigned)height);
}

/* Begins the digest: in the form that is asked for, else in the picture's own. */
static raiiaf_status begin(decoder *from, uint32_t width, uint32_t height, raiiaf_error *error)
{
    if (!from->like)
        return raiiaf_pixels_begin(&from->pixels, width, height, from->head.channels, from->head.depth == 16 ? 16 : 8,
                                   error);
    uint32_t form[4];
    const char *hash;
    raiiaf_status status = raiiaf_pixels_begin_like(&from->pixels, from->like, error);
    if (!status && rf_digest_form(from->like, form, &hash) && (form[0] != width || form[1] != height))
        return rf_fail(error, RAIIAF_ERROR_ARGUMENT, "digest-form", RF_NAME(NULL),
                       _("the image has another size than the form of the digest"));
    return status;
}

/* What libpng may leave by a long jump: everything that outlives it is in `from`. */
static raiiaf_status decode(decoder *from, const raiiaf_limits *limits, raiiaf_error *error)
{
    png_structp png = from->png;
    if (setjmp(png_jmpbuf(png)))
        return rf_fail(error, RAIIAF_ERROR_DAMAGED, "image-damaged", RF_NAME(NULL), _("the image can't be decoded: %s"),
                       from->message);
    rf_png_begin(png, &from->bytes);
    png_read_info(png, from->info);

    png_uint_32 width = png_get_image_width(png, from->info), height = png_get_image_height(png, from->info);
    uint64_t row = (uint64_t)width * 4 * sizeof(uint16_t), whole;
    /* A picture that no host could hold isn't worth the time either: a megabyte can inflate to a terapixel. */
    if (!rf_multiply(row, height, &whole) || (limits->memory && whole > limits->memory) || whole > SIZE_MAX / 2)
        return limit_error(error, width, height);
    raiiaf_status status = begin(from, width, height, error);
    if (status)
        return status;

    want_rgba16(png);
    int passes = png_set_interlace_handling(png);
    png_read_update_info(png, from->info);
    if (png_get_rowbytes(png, from->info) != row)
        png_error(png, "unexpected size of a row");
    from->rows = malloc((size_t)(passes > 1 ? whole : row));
    if (!from->rows)
        return rf_fail_memory(error, NULL);
    for (int pass = 0; pass < passes; pass++) {
        for (png_uint_32 y = 0; y < height; y++) {
            uint16_t *samples = from->rows + (passes > 1 ? (size_t)y * width * 4 : 0);
            png_read_row(png, (png_bytep)samples, NULL);
            if (pass == passes - 1)
                raiiaf_pixels_update(from->pixels, samples, width);
        }
    }
    return RAIIAF_OK;
}

static raiiaf_status of_image(const void *image, size_t size, const char *like, const raiiaf_limits *limits,
                              char digest[RAIIAF_DIGEST_SIZE], raiiaf_error *error)
{
    digest[0] = 0;
    rf_error_clear(error);
    raiiaf_limits defaults;
    raiiaf_limits_default(&defaults);
    decoder from = {.bytes = {image, size}, .like = like};
    raiiaf_image_probe_memory(image, size, &from.head);
    if (from.head.format != RAIIAF_IMAGE_PNG)
        return rf_fail(error, RAIIAF_ERROR_UNSUPPORTED, "image-not-png", RF_NAME(NULL),
                       _("the library decodes PNG images only, not %s"), raiiaf_image_format_name(from.head.format));
    raiiaf_status status;
    from.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &from, stop, rf_png_ignore);
    if (from.png)
        from.info = png_create_info_struct(from.png);
    if (from.info)
        status = decode(&from, limits ? limits : &defaults, error);
    else
        status = rf_fail_memory(error, NULL);
    raiiaf_pixels_end(from.pixels, status ? NULL : digest);
    free(from.rows);
    png_destroy_read_struct(&from.png, &from.info, NULL);
    return status;
}

raiiaf_status raiiaf_pixels_of_image(const void *image, size_t size, const raiiaf_limits *limits,
                                     char digest[RAIIAF_DIGEST_SIZE], raiiaf_error *error)
{
    return of_image(image, size, NULL, limits, digest, error);
}

raiiaf_status rf_pixels_of_image_like(const void *image, size_t size, const char *like, const raiiaf_limits *limits,
                                      char digest[RAIIAF_DIGEST_SIZE])
{
    return of_image(image, size, like, limits, digest, NULL);
}
