/* SPDX-License-Identifier: MIT */
/*
 * error.c - how an error gets its sentence, and the library's version.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "base.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#ifdef ENABLE_NLS
#include <libintl.h>
#endif

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "1.0.0"
#endif

const char *raiiaf_version(void)
{
    return PACKAGE_VERSION;
}

#ifdef ENABLE_NLS
static pthread_once_t catalogue_once = PTHREAD_ONCE_INIT;

static void bind_catalogue(void)
{
    bindtextdomain("raiiaf", LOCALEDIR);
    bind_textdomain_codeset("raiiaf", "UTF-8");
}

const char *raiiaf_translate(const char *text)
{
    pthread_once(&catalogue_once, bind_catalogue);
    return dgettext("raiiaf", text);
}
#else
const char *raiiaf_translate(const char *text)
{
    return text;
}
#endif

void rf_error_clear(raiiaf_error *error)
{
    if (error)
        *error = (raiiaf_error){.id = "", .offset = RAIIAF_NO_OFFSET};
}

/* Cuts a text that snprintf may have cut inside a UTF-8 sequence back to its last whole character. */
static void trim_partial_character(char *text, size_t capacity)
{
    size_t size = strlen(text);
    if (size + 1 < capacity)
        return;
    size_t start = size;
    while (start > 0 && ((uint8_t)text[start - 1] & 0xC0) == 0x80)
        start--;
    if (start == 0)
        return;
    uint8_t lead = (uint8_t)text[start - 1];
    size_t want = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
    if (size - (start - 1) < want)
        text[start - 1] = 0;
}

/* The places that are words; those with a number ("LATN 3") are the same in every language. */
static const char *translate_place(const char *chunk)
{
    if (strcmp(chunk, "header") == 0)
        return _("header");
    return strcmp(chunk, "manifest") == 0 ? _("manifest") : chunk;
}

static void set_text(raiiaf_error *error, const rf_where *where, const char *message)
{
    const char *name = where && where->name ? where->name : "";
    const char *colon = *name ? ": " : "";
    const char *place = translate_place(error->chunk);
    if (*error->chunk && error->offset != RAIIAF_NO_OFFSET)
        /* TRANSLATORS: file name and ": ", chunk ("LATN 3", "manifest"), byte offset, what is wrong */
        snprintf(error->text, sizeof error->text, _("%s%s%s at byte %" PRIu64 ": %s"), name, colon, place,
                 error->offset, message);
    else if (*error->chunk)
        snprintf(error->text, sizeof error->text, "%s%s%s: %s", name, colon, place, message);
    else
        snprintf(error->text, sizeof error->text, "%s%s%s", name, colon, message);
    trim_partial_character(error->text, sizeof error->text);
}

static raiiaf_status fail(raiiaf_error *error, raiiaf_status status, const char *id, const rf_where *where,
                          const char *message)
{
    if (error) {
        error->status = status;
        error->id = id;
        snprintf(error->chunk, sizeof error->chunk, "%s", where && where->chunk ? where->chunk : "");
        error->offset = where ? where->offset : RAIIAF_NO_OFFSET;
        set_text(error, where, message);
    }
    return status;
}

raiiaf_status rf_fail(raiiaf_error *error, raiiaf_status status, const char *id, const rf_where *where,
                      const char *format, ...)
{
    if (!error)
        return status;
    char message[sizeof error->text];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    return fail(error, status, id, where, message);
}

raiiaf_status rf_fail_memory(raiiaf_error *error, const char *name)
{
    return fail(error, RAIIAF_ERROR_MEMORY, "no-memory", RF_NAME(name), _("the system has no memory left"));
}

raiiaf_status rf_fail_errno(raiiaf_error *error, int number, const char *id, const rf_where *where, const char *format,
                            ...)
{
    raiiaf_status status = number == ENOMEM ? RAIIAF_ERROR_MEMORY : RAIIAF_ERROR_IO;
    if (!error)
        return status;
    char message[sizeof error->text];
    va_list arguments;
    va_start(arguments, format);
    int used = vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    if (number && used >= 0 && (size_t)used < sizeof message) {
        char reason[128];
        /* the GNU form returns the text, which need not be in `reason` */
        snprintf(message + used, sizeof message - (size_t)used, ": %s", strerror_r(number, reason, sizeof reason));
    }
    return fail(error, status, id, where, message);
}

void raiiaf_limits_default(raiiaf_limits *limits)
{
    *limits = (raiiaf_limits){
        .file_size = RAIIAF_LIMIT_FILE_SIZE,
        .chunk_size = RAIIAF_LIMIT_CHUNK_SIZE,
        .latent_elements = RAIIAF_LIMIT_LATENT_ELEMENTS,
        .dimension = RAIIAF_LIMIT_DIMENSION,
        .chunks = RAIIAF_LIMIT_CHUNKS,
        .manifest_size = RAIIAF_LIMIT_MANIFEST_SIZE,
        .stream_size = RAIIAF_LIMIT_STREAM_SIZE,
        .memory = RAIIAF_LIMIT_MEMORY,
    };
}
