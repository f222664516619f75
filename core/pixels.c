/* SPDX-License-Identifier: MIT */
/*
 * pixels.c - the digest of a decoded picture, by which any host tells whether latents still belong to it.
 *
 * What is hashed are always four samples a pixel, R G B A, at the depth of the form: at 16 the samples as they come
 * (little-endian), at 8 the one byte that an 8-bit sample v * 257 stands for.  So gray, alpha and colour that the form
 * lacks need no case of their own: they change the hash.  Only depth does: from the first sample on that a byte
 * can't express, whole 16-bit pixels are hashed after a marker, wherever the calls were cut.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "file.h"

#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define DIGEST_NAME "xxh3-128"
#define DIGEST_DIGITS 32

struct raiiaf_pixels {
    uint32_t width, height;
    unsigned channels, depth;
    uint64_t left; /* pixels still to come */
    bool overrun;  /* more came */
    bool deep;     /* a sample came that 8 bits can't express */
    XXH3_state_t *state;
};

raiiaf_status raiiaf_pixels_begin(raiiaf_pixels **out, uint32_t width, uint32_t height, unsigned channels,
                                  unsigned depth, raiiaf_error *error)
{
    *out = NULL;
    rf_error_clear(error);
    if (!width || !height || channels < 1 || channels > 4 || (depth != 8 && depth != 16))
        return rf_fail(error, RAIIAF_ERROR_ARGUMENT, "digest-form", RF_NAME(NULL),
                       _("a picture of %u by %u pixels, %u channels and %u bits has no digest"), width, height,
                       channels, depth);
    raiiaf_pixels *pixels = calloc(1, sizeof *pixels);
    XXH3_state_t *state = XXH3_createState();
    if (!pixels || !state) {
        free(pixels);
        XXH3_freeState(state);
        return rf_fail_memory(error, NULL);
    }
    XXH3_128bits_reset(state);
    *pixels = (raiiaf_pixels){.width = width,
                              .height = height,
                              .channels = channels,
                              .depth = depth,
                              .left = (uint64_t)width * height,
                              .state = state};
    *out = pixels;
    return RAIIAF_OK;
}

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

/* The form that a digest was taken in; false if it isn't one.  *hash is where its digits begin. */
static bool read_form(const char *digest, uint32_t form[4], const char **hash)
{
    const char *p = digest;
    if (strncmp(p, DIGEST_NAME ":", sizeof DIGEST_NAME) != 0)
        return false;
    p += sizeof DIGEST_NAME;
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
    if (!digest || !read_form(digest, form, &hash))
        return rf_fail(error, RAIIAF_ERROR_ARGUMENT, "digest-form", RF_NAME(NULL), _("\"%.100s\" is no picture digest"),
                       digest ? digest : "");
    return raiiaf_pixels_begin(pixels, form[0], form[1], form[2], form[3], error);
}

/* Pixels that are narrowed at a time: the narrow form stays in the first-level cache. */
#define BLOCK 2048
/* Pixels that a compiler may take at once: a loop of fixed length needs no remainder. */
#define STRIDE 16

/* Narrows samples; false if there is one among them that a byte can't express. */
static bool narrow(const uint16_t *restrict samples, size_t count, uint8_t *restrict out)
{
    unsigned bad = 0;
    size_t i = 0;
    for (; count - i >= 4 * STRIDE; i += 4 * STRIDE) {
        uint16_t differ = 0;
        for (size_t k = 0; k < 4 * STRIDE; k++) {
            uint16_t sample = samples[i + k];
            out[i + k] = (uint8_t)(sample & 0xFF);
            differ |= (uint16_t)(sample ^ (uint16_t)(sample << 8 | sample >> 8));
        }
        bad |= differ;
    }
    for (; i < count; i++) {
        out[i] = (uint8_t)(samples[i] & 0xFF);
        bad |= (unsigned)(samples[i] >> 8 ^ (samples[i] & 0xFF));
    }
    return !bad;
}

static void hash_deep(raiiaf_pixels *pixels, const uint16_t *rgba, size_t count)
{
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    uint16_t swapped[4 * BLOCK];
    for (size_t done = 0; done < 4 * count;) {
        size_t part = 4 * count - done < 4 * BLOCK ? 4 * count - done : 4 * BLOCK;
        for (size_t i = 0; i < part; i++)
            swapped[i] = __builtin_bswap16(rgba[done + i]);
        XXH3_128bits_update(pixels->state, swapped, part * sizeof *swapped);
        done += part;
    }
#else
    XXH3_128bits_update(pixels->state, rgba, count * 4 * sizeof *rgba);
#endif
}

/* Hashes pixels in 8 bits, and goes over to 16 at the first that needs it. */
static void hash_narrow(raiiaf_pixels *pixels, const uint16_t *rgba, size_t count)
{
    uint8_t bytes[4 * BLOCK];
    while (count && !pixels->deep) {
        size_t part = count < BLOCK ? count : BLOCK;
        if (!narrow(rgba, 4 * part, bytes)) {
            for (part = 0; narrow(rgba + 4 * part, 4, bytes + 4 * part);)
                part++;
            pixels->deep = true;
        }
        XXH3_128bits_update(pixels->state, bytes, 4 * part);
        rgba += 4 * part;
        count -= part;
    }
    if (pixels->deep) {
        static const char marker[] = "16 bits from here";
        XXH3_128bits_update(pixels->state, marker, sizeof marker);
        hash_deep(pixels, rgba, count);
    }
}

void raiiaf_pixels_update(raiiaf_pixels *pixels, const uint16_t *rgba, size_t count)
{
    if (!pixels || !count)
        return;
    if (pixels->overrun || count > pixels->left) {
        pixels->overrun = true;
        return;
    }
    pixels->left -= count;
    if (pixels->depth == 16 || pixels->deep)
        hash_deep(pixels, rgba, count);
    else
        hash_narrow(pixels, rgba, count);
}

bool raiiaf_pixels_end(raiiaf_pixels *pixels, char digest[RAIIAF_DIGEST_SIZE])
{
    if (!pixels)
        return false;
    bool complete = digest && !pixels->overrun && !pixels->left;
    if (complete) {
        XXH128_canonical_t hash;
        char hex[2 * sizeof hash.digest + 1];
        XXH128_canonicalFromHash(&hash, XXH3_128bits_digest(pixels->state));
        rf_hex(hash.digest, sizeof hash.digest, hex);
        snprintf(digest, RAIIAF_DIGEST_SIZE, DIGEST_NAME ":%ux%ux%ux%u:%s", pixels->width, pixels->height,
                 pixels->channels, pixels->depth, hex);
    }
    XXH3_freeState(pixels->state);
    free(pixels);
    return complete;
}

bool rf_pixels_same(const char *a, const char *b)
{
    uint32_t form_a[4], form_b[4];
    const char *hash_a, *hash_b;
    return read_form(a, form_a, &hash_a) && read_form(b, form_b, &hash_b) && form_a[0] == form_b[0] &&
           form_a[1] == form_b[1] && form_a[3] == form_b[3] && strcmp(hash_a, hash_b) == 0;
}

/* ---- of a PNG ---- */

typedef struct decoder {
    raiiaf_image_info head;
    const char *like;
    const uint8_t *data;
    size_t left;
    png_structp png;
    png_infop info;
    uint16_t *rows; /* one, or all of an interlaced picture */
    raiiaf_pixels *pixels;
    char message[200];
} decoder;

static void read_data(png_structp png, png_bytep out, size_t size)
{
    decoder *from = png_get_io_ptr(png);
    if (size > from->left)
        png_error(png, "the file ends early");
    memcpy(out, from->data, size);
    from->data += size;
    from->left -= size;
}

static void stop(png_structp png, png_const_charp message)
{
    decoder *from = png_get_error_ptr(png);
    snprintf(from->message, sizeof from->message, "%s", message);
    png_longjmp(png, 1);
}

static void ignore(png_structp png, png_const_charp message)
{
    (void)png;
    (void)message;
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
    raiiaf_status status = raiiaf_pixels_begin_like(&from->pixels, from->like, error);
    if (!status && (from->pixels->width != width || from->pixels->height != height))
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
    png_set_read_fn(png, from, read_data);
    png_set_user_limits(png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
    /* Text and colour profiles don't matter here, and can't do harm if libpng passes them over. */
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
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
    decoder from = {.data = image, .left = size, .like = like};
    raiiaf_image_probe_memory(image, size, &from.head);
    if (from.head.format != RAIIAF_IMAGE_PNG)
        return rf_fail(error, RAIIAF_ERROR_UNSUPPORTED, "image-not-png", RF_NAME(NULL),
                       _("the library decodes PNG images only, not %s"), raiiaf_image_format_name(from.head.format));
    raiiaf_status status;
    from.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &from, stop, ignore);
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
