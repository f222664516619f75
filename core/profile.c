/* SPDX-License-Identifier: MIT */
/*
 * profile.c - a capsule that ImageMagick left in a PNG: a compressed text "Raw profile type raiiaf" that holds an empty
 * line, the profile's name, its length and its bytes as hexadecimal digits.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "file.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

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

raiiaf_status raiiaf_capsule_find_path(const char *path, size_t least, const raiiaf_limits *limits,
                                       raiiaf_buffer *capsule, raiiaf_error *error)
{
    raiiaf_source source;
    struct stat state;
    *capsule = (raiiaf_buffer){0};
    rf_error_clear(error);
    if (stat(path, &state) != 0 || !S_ISREG(state.st_mode) || (uint64_t)state.st_size < least)
        return RAIIAF_OK; /* too small to hold it, whatever it is */
    raiiaf_status status = raiiaf_source_path(&source, path, limits, error);
    if (status != RAIIAF_OK)
        return status;
    raiiaf_buffer image = {0};
    rf_budget *budget = rf_budget_new(limits ? limits->memory : RAIIAF_LIMIT_MEMORY);
    if (!budget)
        status = rf_fail_memory(error, path);
    else
        status = rf_buffer_new(&image, (size_t)source.size, budget, RF_NAME(path), error);
    if (status == RAIIAF_OK &&
        source.read_at(source.user, 0, rf_buffer_data(&image), image.size) != (int64_t)image.size)
        status = rf_fail_errno(error, errno, "read", RF_NAME(path), _("can't be read"));
    if (status == RAIIAF_OK)
        status = raiiaf_capsule_find(image.data, image.size, limits, capsule, error);
    if (capsule->size < least)
        raiiaf_buffer_free(capsule);
    raiiaf_buffer_free(&image);
    rf_budget_release(budget);
    raiiaf_source_close(&source);
    return status;
}
