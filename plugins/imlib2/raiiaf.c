/* SPDX-License-Identifier: MIT */
/*
 * raiiaf.c - RAIIAF for imlib2: feh and other viewers, and the wallpapers of small desktops.  imlib2's own loader
 * decodes the embedded image.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <Imlib2_Loader.h>

#include "raiiaf.h"

static int load(ImlibImage *im, int load_data)
{
    raiiaf_file *file = NULL;
    raiiaf_source source;
    raiiaf_image_info form = {0};
    raiiaf_buffer image = {0};
    size_t size = (size_t)im->fi->fsize;
    int result = LOAD_BADIMAGE;
    if (!raiiaf_is_magic(im->fi->fdata, size))
        return LOAD_FAIL;
    raiiaf_source_memory(&source, im->fi->fdata, size, im->fi->name, NULL, NULL);
    if (raiiaf_open(&file, &source, NULL, NULL))
        return LOAD_BADIMAGE;
    ImlibLoader *loader = NULL;
    if (!raiiaf_image_probe(file, &form, NULL) && form.format)
        loader = __imlib_FindBestLoader(NULL, raiiaf_image_format_name(form.format), 0);
    /* Size alone needs no proof of the bytes. */
    if (loader &&
        !raiiaf_chunk_read(file, raiiaf_image_chunk(file), load_data ? 0 : RAIIAF_READ_UNVERIFIED, &image, NULL))
        result = __imlib_LoadEmbeddedMem(loader, im, load_data, image.data, (unsigned)image.size);
    raiiaf_buffer_free(&image);
    raiiaf_close(file);
    return result;
}

static const char *const formats[] = {"raiiaf", "gen5"};
IMLIB_LOADER(formats, load, NULL);
