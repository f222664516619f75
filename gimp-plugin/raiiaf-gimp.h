/* SPDX-License-Identifier: MIT */
/*
 * raiiaf-gimp.h - what the parts of the plug-in share, and what GIMP 2.10 and 3.0 name differently.
 */
#ifndef RAIIAF_GIMP_H
#define RAIIAF_GIMP_H

#include <libgimp/gimp.h>
#include <libgimp/gimpui.h>

#include "raiiaf.h"

#define _(text) raiiaf_translate(text)

#if GIMP_CHECK_VERSION(2, 99, 0)
#define GIMP3
typedef GimpImage *Image;
typedef GimpDrawable *Drawable;
#define NO_IMAGE NULL
#else
typedef gint32 Image;
typedef gint32 Drawable;
#define NO_IMAGE (-1)
#endif

#define LOAD "file-raiiaf-load"
#define LOAD_GEN5 "file-gen5-load"
#define THUMBNAIL "file-raiiaf-load-thumb"
#define EXPORT "file-raiiaf-export"
#define INFO "plug-in-raiiaf-info"

#define MANIFEST "raiiaf/manifest" /* the parasite that anybody may change */

/* What the export dialog asks.  All 0 is the default: GIMP 2.10 passes that for whatever a script leaves out. */
typedef struct Wishes {
    gint drop_latents, float16, effort, encode;
} Wishes;

#define HELP _("Prompt, settings, latents, environment and history stay with the picture: see doc/gimp.md.")
#define BLURB_LOAD _("Opens a .raiiaf file with all that it holds")
#define BLURB_THUMBNAIL _("Opens the picture of a .raiiaf file for a thumbnail")
#define BLURB_EXPORT _("Writes a .raiiaf file")
#define BLURB_INFO _("Shows how a picture was made, and lets you correct it")
#define TITLE_FORMAT _("AI image with latents (RAIIAF)")
#define TITLE_INFO _("_Generation Info…")
#define TITLE_DROP _("_Leave out the latents")
#define TIP_DROP _("A smaller file, from which nobody can take up the picture's making again")
#define TITLE_FLOAT16 _("Latents as _float16 (lossy)")
#define TIP_FLOAT16 _("Halves the latents by rounding float32 to float16, which loses precision for good")
#define TITLE_EFFORT _("Co_mpression:")
#define TIP_EFFORT _("How long to try for a smaller file. It is lossless either way")
#define EFFORT_NORMAL _("Normal")
#define EFFORT_FAST _("Fast")
#define EFFORT_SMALLEST _("Smallest file")
#define TITLE_ENCODE _("Encode the picture _anew in any case")
#define TIP_ENCODE _("Writes a new PNG even if nothing was changed, instead of the bytes that were opened")

/* ---- a front end's ---- */

/* The picture in an image file, by GIMP's own procedure; NO_IMAGE if that fails. */
Image host_decode(const char *procedure, const char *path);
/* The name of a temporary PNG file of the image, or NULL.  For the caller to remove and to free. */
char *host_encode(Image image, Drawable drawable, int compression);

/* ---- raiiaf-gimp.c ---- */

/* `whole`: with all that came with the picture, of which a thumbnail needs nothing.  `interactive`: a user opens it.
   NO_IMAGE and an error if it fails, here and below. */
Image load_file(const char *path, bool whole, bool interactive, raiiaf_error *error);
bool export_file(Image image, Drawable drawable, const char *path, const Wishes *wishes, raiiaf_error *error);
/* What came with the picture, its manifest as somebody wishes it; RAIIAF_ERROR_MISSING if it was never a .raiiaf. */
raiiaf_status open_kept(raiiaf_file **file, Image image, raiiaf_error *error);
void attach(Image image, const char *name, const void *data, size_t size);

/* ---- info.c ---- */

void show_info(Image image, raiiaf_file *file);

#endif
