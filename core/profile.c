/* SPDX-License-Identifier: MIT */
/*
 * profile.c - a capsule that ImageMagick left in a PNG: a compressed text "Raw profile type raiiaf" that holds an empty
 * line, the profile's name, its length and its bytes as hexadecimal digits.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "file.h"

#include <string.h>

typedef struct search {
    raiiaf_buffer *capsule;
    raiiaf_status status;
    raiiaf_error *error;
} search;

static int digit(uint8_t c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Everything that is no digit is skipped: lines end where the writer liked. */
static size_t decode(const uint8_t *text, size_t size, uint8_t *out)
{
    unsigned byte = 1; /* the bit above its digits tells when two are there */
    size_t count = 0;
    for (size_t i = 0; i < size; i++) {
        int value = digit(text[i]);
        if (value < 0)
            continue;
        byte = byte << 4 | (unsigned)value;
        if (byte & 0x100) {
            out[count++] = (uint8_t)byte;
            byte = 1;
        }
    }
    return count;
}

static bool take(void *user, const raiiaf_carrier *carrier)
{
    search *find = user;
    if (strcmp(carrier->keyword, RF_PROFILE_KEYWORD) != 0)
        return true;
    const uint8_t *text = carrier->data, *end = text + carrier->size;
    for (int line = 0; line < 3; line++) {
        text = memchr(text, '\n', (size_t)(end - text));
        if (!text)
            return true;
        text++;
    }
    size_t size = (size_t)(end - text);
    find->status = rf_buffer_new(find->capsule, size / 2, NULL, RF_NAME(NULL), find->error);
    if (find->status == RAIIAF_OK)
        find->capsule->size = decode(text, size, rf_buffer_data(find->capsule));
    return false;
}

raiiaf_status raiiaf_capsule_find(const void *image, size_t size, const raiiaf_limits *limits, raiiaf_buffer *capsule,
                                  raiiaf_error *error)
{
    *capsule = (raiiaf_buffer){0};
    search find = {capsule, RAIIAF_OK, error};
    raiiaf_status status = raiiaf_carrier_each(image, size, limits, take, &find, error);
    return status == RAIIAF_OK ? find.status : status;
}
