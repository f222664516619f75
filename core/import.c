/* SPDX-License-Identifier: MIT */
/*
 * import.c - a new file around an image that some other tool wrote.  This is where an image's text becomes a
 * manifest; what nobody knows stays empty, and the image itself keeps all its bytes.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Takes over what the image's own file tells: its name, for messages, and its time stamp. */
static raiiaf_status describe(raiiaf_file *file, const char *name, int64_t modified, raiiaf_error *error)
{
    char *copy = strdup(name ? name : "");
    if (!copy)
        return rf_fail_memory(error, name);
    free(file->name);
    file->name = copy;
    if (modified < 0)
        return RAIIAF_OK;
    char date[32], json[40];
    rf_format_date(date, modified);
    int size = snprintf(json, sizeof json, "\"%s\"", date);
    return rf_put(file, "/model_info/date", json, (size_t)size, error);
}

raiiaf_status raiiaf_import(raiiaf_file **out, const void *image, size_t size, const char *name, int64_t modified,
                            const raiiaf_open_options *options, raiiaf_error *error)
{
    raiiaf_file *file;
    *out = NULL;
    rf_error_clear(error);
    if (!size)
        return rf_fail(error, RAIIAF_ERROR_FORMAT, "image-empty", RF_NAME(name), _("is empty, not an image"));
    raiiaf_status status = raiiaf_new(&file, options, error);
    if (status)
        return status;
    status = describe(file, name, modified, error);
    if (!status)
        status = raiiaf_image_set(file, image, size, NULL, error);
    if (status)
        raiiaf_close(file);
    else
        *out = file;
    return status;
}
