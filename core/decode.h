/* SPDX-License-Identifier: MIT */
/*
 * decode.h - libpng reading from memory, and saying nothing.
 */
#ifndef RAIIAF_DECODE_H
#define RAIIAF_DECODE_H

#include <png.h>
#include <stdint.h>
#include <string.h>

/* What is left of the file. */
typedef struct rf_png_bytes {
    const uint8_t *data;
    size_t left;
} rf_png_bytes;

static void rf_png_read(png_structp png, png_bytep out, size_t size)
{
    rf_png_bytes *bytes = png_get_io_ptr(png);
    if (size > bytes->left)
        png_error(png, "the file ends early");
    memcpy(out, bytes->data, size);
    bytes->data += size;
    bytes->left -= size;
}

static void rf_png_ignore(png_structp png, png_const_charp message)
{
    (void)png;
    (void)message;
}

/* Only pixels are wanted: text and colour profiles can't do harm if libpng passes them over. */
static inline void rf_png_begin(png_structp png, rf_png_bytes *bytes)
{
    png_set_read_fn(png, bytes, rf_png_read);
    png_set_user_limits(png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
}

#endif
