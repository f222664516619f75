/* SPDX-License-Identifier: MIT */
/*
 * raiiaf.c - RAIIAF for ImageMagick: one source for versions 6 and 7, with and without HDRI.
 *
 * ImageMagick's own coders turn the embedded image into pixels and back; the container is libraiiaf's.  What else
 * the file holds travels beside the pixels as the profile "raiiaf", the capsule; the properties raiiaf:* are a view of
 * it.  doc/magick.md tells users what is kept, and how "unchanged" is decided.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "raiiaf.h"

/* ---- what ImageMagick 6 and 7 name differently ---- */

#if __has_include(<MagickCore/MagickCore.h>)
#include <MagickCore/MagickCore.h>
#define MAGICK6 0
#define WITH(exception) , exception
#define SET_ALPHA(image) ((image)->alpha_trait = BlendPixelTrait)
#define RESOLUTION(image, axis) ((image)->resolution.axis)
#else
#include <magick/MagickCore.h>
#define MAGICK6 1
#define MagickPathExtent MaxTextExtent
#define WITH(exception)
#define SET_ALPHA(image) ((image)->matte = MagickTrue)
#define RESOLUTION(image, axis) ((image)->axis##_resolution)
#endif
_Static_assert(MAGICKCORE_QUANTUM_DEPTH == 16, "only ImageMagick with 16 bits a quantum is supported");

/* Exported, but declared in a header that isn't installed. */
typedef enum { ReadBinaryBlobMode = 2, WriteBinaryBlobMode = 4 } BlobMode;
extern MagickExport MagickBooleanType OpenBlob(const ImageInfo *, Image *, const BlobMode, ExceptionInfo *);
extern MagickExport MagickBooleanType CloseBlob(Image *);
extern MagickExport MagickOffsetType SeekBlob(Image *, const MagickOffsetType, const int);
extern MagickExport ssize_t ReadBlob(Image *, const size_t, void *);
extern MagickExport ssize_t WriteBlob(Image *, const size_t, const void *);

/* What ImageMagick looks up by name; GEN5 is the same module under the name that a file x.gen5 asks for. */
ModuleExport size_t RegisterRAIIAFImage(void);
ModuleExport void UnregisterRAIIAFImage(void);
ModuleExport size_t RegisterGEN5Image(void) __attribute__((alias("RegisterRAIIAFImage")));
ModuleExport void UnregisterGEN5Image(void) __attribute__((alias("UnregisterRAIIAFImage")));
/* What ImageMagick makes of x.raiiaf under a Turkish locale, in which no ASCII capital belongs to i. */
ModuleExport size_t RegisterRAiiAFImage(void) __attribute__((alias("RegisterRAIIAFImage")));
ModuleExport void UnregisterRAiiAFImage(void) __attribute__((alias("UnregisterRAIIAFImage")));

#define PREFIX "raiiaf:" /* of properties and of defines */
#define STARTS_WITH(text, start) (strncmp(text, start, sizeof(start) - 1) == 0)

/* One reading or writing. */
typedef struct call {
    const ImageInfo *info;
    Image *image; /* reading: the blob's, and the result */
    ExceptionInfo *exception;
    raiiaf_file *file;
    raiiaf_error error; /* passed on at the end, where it is set and the call failed */
} call;

/* What was read in this process: image chunks and traits, for images that turn out to be unchanged, and by the artifact
   ORIGIN, which goes into no file, the capsule where the image bears less of it, else the manifest. */
static raiiaf_cache *cache;
#define CACHE_SIZE (UINT64_C(256) << 20)
#define ORIGIN "raiiaf:origin"

/* ---- errors ---- */

static void pass_on(call *c, ExceptionType severity)
{
    if (c->error.status == RAIIAF_ERROR_MEMORY || c->error.status == RAIIAF_ERROR_LIMIT)
        severity = ResourceLimitError;
    if (c->error.status && c->error.status != RAIIAF_ERROR_CANCELLED) /* whoever asked for that knows */
        ThrowMagickException(c->exception, GetMagickModule(), severity, c->error.text, "%s", "");
}

static void on_warning(void *user, const raiiaf_error *warning)
{
    ThrowMagickException(((call *)user)->exception, GetMagickModule(), CoderWarning, warning->text, "%s", "");
}

static bool on_drift(void *user, const char *component_id, const char *text)
{
    ThrowMagickException(((call *)user)->exception, GetMagickModule(), CoderWarning, text, "`%s'", component_id);
    return true;
}

static bool on_progress(void *user, uint64_t done, uint64_t total)
{
    return SetImageProgress(((call *)user)->image, "Save/Image", (MagickOffsetType)done, total) != MagickFalse;
}

/* ---- what the command asks for ---- */

static const char *given(const call *c, const char *name)
{
    const char *value = GetImageOption(c->info, name);
    return value ? value : GetImageArtifact(c->image, name);
}

static bool is_defined(const call *c, const char *name, const char *value)
{
    return given(c, name) && LocaleCompare(given(c, name), value) == 0;
}

/* Refuses defines that mean nothing: a misspelt raiiaf:carry=none would publish a prompt. */
static bool check_defines(call *c)
{
    static const char known[] = "raiiaf:latents=keep,raiiaf:latents=drop,raiiaf:carry=all,raiiaf:carry=manifest,"
                                "raiiaf:carry=none,raiiaf:passthrough=true,raiiaf:passthrough=false,"
                                "raiiaf:drift=ignore,raiiaf:drift=warn";
    char define[MagickPathExtent];
    ResetImageOptionIterator(c->info);
    for (const char *name; (name = GetNextImageOption(c->info));) {
        FormatLocaleString(define, MagickPathExtent, "%s=%s", name, GetImageOption(c->info, name));
        if (!STARTS_WITH(name, PREFIX) || IsOptionMember(define, known) != MagickFalse)
            continue;
        ThrowMagickException(c->exception, GetMagickModule(), OptionError, "UnrecognizedOption", "`%s' (%s)", define,
                             known);
        return false;
    }
    return true;
}

static bool is_for_coder(const char *name)
{
    return IsOptionMember(name, "png:*,jpeg:*,webp:*,bmp:*,profile:*") != MagickFalse;
}

/* Whether the command tells the embedded image's coder something, such as png:bit-depth. */
static bool has_coder_defines(const call *c)
{
    bool found = false;
    ResetImageOptionIterator(c->info);
    for (const char *name; !found && (name = GetNextImageOption(c->info));)
        found = is_for_coder(name);
    ResetImageArtifactIterator(c->image);
    for (const char *name; !found && (name = GetNextImageArtifact(c->image));)
        found = is_for_coder(name);
    return found;
}

/* Whether the command wants an image of a certain kind: then it is always encoded anew. */
static bool has_wishes(const call *c)
{
    const ImageInfo *info = c->info;
    return info->quality || info->density || info->page || info->depth || info->type != UndefinedType ||
           info->units != UndefinedResolution || info->interlace > NoInterlace || GetImageOption(info, "caption") ||
           GetImageOption(info, "comment") || GetImageOption(info, "label") || has_coder_defines(c) ||
           is_defined(c, PREFIX "passthrough", "false");
}

static bool skips_profile(const call *c)
{
    return IsOptionMember("raiiaf", GetImageOption(c->info, "profile:skip")) != MagickFalse;
}

/* -strip leaves the properties behind, but also this order to the PNG coder. */
static bool is_stripped(const call *c)
{
    const char *excluded = given(c, "png:exclude-chunk");
    return IsOptionMember("zTXt", excluded) != MagickFalse || IsOptionMember("all", excluded) != MagickFalse;
}

/* ---- what decides whether an image is unchanged: its pixels, and what else a PNG expresses ---- */

static const void *rows_of(void *image, uint32_t y, uint32_t height)
{
    ExceptionInfo *ignored = AcquireExceptionInfo();
    const void *rows = GetVirtualPixels(image, 0, (ssize_t)y, ((Image *)image)->columns, height, ignored);
    ignored = DestroyExceptionInfo(ignored);
    return rows;
}

/* The pixels of an image, rounded as a PNG of its depth would. */
static raiiaf_raster raster_of(Image *image)
{
    raiiaf_raster raster = {.width = (uint32_t)image->columns,
                            .height = (uint32_t)image->rows,
                            .threads = (unsigned)GetMagickResourceLimit(ThreadResource),
                            .rows = rows_of,
                            .user = image};
    bool alpha = GetImageAlphaChannel(image) != MagickFalse;
#if MAGICK6
#define OFFSET(sample) (int)(offsetof(PixelPacket, sample) / sizeof(Quantum))
    raster.samples = (raiiaf_samples){RAIIAF_SAMPLES_16,
                                      sizeof(PixelPacket) / sizeof(Quantum),
                                      {OFFSET(red), OFFSET(green), OFFSET(blue), alpha ? OFFSET(opacity) : -1},
                                      true,
                                      image->depth <= 8};
    if (image->colorspace == CMYKColorspace) /* whose K isn't among the pixels: no digest */
        raster.width = 0;
#else
#define OFFSET(channel) (int)GetPixelChannelOffset(image, channel##PixelChannel)
    int fourth = image->colorspace == CMYKColorspace ? OFFSET(Black) : alpha ? OFFSET(Alpha) : -1;
    raster.samples = (raiiaf_samples){MAGICKCORE_HDRI_ENABLE ? RAIIAF_SAMPLES_FLOAT : RAIIAF_SAMPLES_16,
                                      (unsigned)GetPixelChannels(image),
                                      {OFFSET(Red), OFFSET(Green), OFFSET(Blue), fourth},
                                      false,
                                      image->depth <= 8};
#endif
    return raster;
}

/* What a PNG of the image would say beside its pixels; for free(). */
static char *traits_of(Image *image, size_t *size WITH(ExceptionInfo *exception))
{
    char *text = NULL;
    FILE *out = open_memstream(&text, size);
    const RectangleInfo *page = &image->page;
    if (!out)
        return NULL;
    fprintf(out, "%d %d %d %zu %zux%zu%+zd%+zd %a %a %d %a %d %d %d %a %a %a\n", (int)image->colorspace,
            (int)image->storage_class, (int)GetImageAlphaChannel(image), image->depth,
            page->width ? page->width : image->columns, page->height ? page->height : image->rows, page->x, page->y,
            RESOLUTION(image, x), RESOLUTION(image, y), (int)image->units, image->gamma, (int)image->rendering_intent,
            (int)image->orientation, (int)image->interlace, (double)image->background_color.red,
            (double)image->background_color.green, (double)image->background_color.blue);
    fwrite(&image->chromaticity, sizeof image->chromaticity, 1, out);
    ResetImageProfileIterator(image);
    for (const char *name; (name = GetNextImageProfile(image));) {
        const StringInfo *profile = GetImageProfile(image, name);
        if (!profile || LocaleCompare(name, "raiiaf") == 0)
            continue;
        fprintf(out, "%s %zu\n", name, GetStringInfoLength(profile));
        fwrite(GetStringInfoDatum(profile), 1, GetStringInfoLength(profile), out);
    }
    ResetImagePropertyIterator(image);
    for (const char *name; (name = GetNextImageProperty(image));) {
        const char *value = GetImageProperty(image, name WITH(exception));
        if (value && !STARTS_WITH(name, PREFIX) && !STARTS_WITH(name, "date:") && !is_for_coder(name))
            fprintf(out, "%s=%zu %s\n", name, strlen(value), value);
    }
    return fclose(out) == 0 ? text : (free(text), NULL);
}

/* Both of an image; without the traits where it is to be encoded anew in any case. */
typedef struct print {
    char digest[RAIIAF_DIGEST_SIZE]; /* "" where there is none */
    char *traits;                    /* NULL likewise; for free() */
    size_t size;
} print;

static print print_of(const call *c, Image *image, const char *like, unsigned channels, size_t depth)
{
    print p = {.size = 0};
    raiiaf_raster raster = raster_of(image);
    if (!raiiaf_raster_digest(&raster, like, channels, (unsigned)depth, p.digest))
        *p.digest = 0;
    if (!has_wishes(c))
        p.traits = traits_of(image, &p.size WITH(c->exception));
    return p;
}

/* ---- reading ---- */

static int64_t read_at(void *blob, uint64_t offset, void *buffer, size_t length)
{
    return SeekBlob(blob, (MagickOffsetType)offset, SEEK_SET) < 0 ? -1 : ReadBlob(blob, length, buffer);
}

static int64_t read_next(void *blob, void *buffer, size_t length)
{
    return ReadBlob(blob, length, buffer);
}

/* The file as ImageMagick opened it: mapped or in memory, on disk, or a pipe. */
static bool open_blob(call *c)
{
    const char *name = c->info->filename;
    raiiaf_source source = {.user = c->image, .name = name, .read_at = read_at};
    raiiaf_open_options options = {.warning = on_warning, .warning_user = c};
    const void *data = GetBlobStreamData(c->image);
    MagickOffsetType end = data || IsBlobSeekable(c->image) == MagickFalse ? -1 : SeekBlob(c->image, 0, SEEK_END);
    if (data)
        raiiaf_source_memory(&source, data, (size_t)GetBlobSize(c->image), name, NULL, NULL);
    else if (end >= 0)
        source.size = (uint64_t)end;
    else if (raiiaf_source_stream(&source, read_next, c->image, name, NULL, &c->error) != RAIIAF_OK)
        return false;
    return raiiaf_open(&c->file, &source, &options, &c->error) == RAIIAF_OK;
}

static bool set_property(void *image, const char *name, const char *text)
{
    char key[80]; /* no longer than a PNG keyword may be, and no other characters */
    bool plain = snprintf(key, sizeof key, PREFIX "%s", name) < (int)sizeof key;
    for (const char *p = name; *p; p++)
        plain = plain && *p > ' ' && *p < 127;
    char *value = AcquireString(text);
    if (*text && text[strlen(text) - 1] == '\\') /* MIFF would take the next property for a part of this one */
        ConcatenateString(&value, " ");
    if (plain)
        SetImageProperty(image, key, value WITH(NULL)); /* no name that ImageMagick checks */
    value = DestroyString(value);
    return true;
}

/* What the first bytes of the embedded image tell, as its own coder would when it only pings. */
static void ping_image(Image *image, const raiiaf_image_info *info WITH(ExceptionInfo *exception))
{
    bool gray = info->channels <= 2 && !info->palette;
    image->columns = info->width;
    image->rows = info->height;
    image->depth = info->depth > 8 ? 16 : 8;
    image->interlace = info->interlaced ? PNGInterlace : NoInterlace;
    if (info->format == RAIIAF_IMAGE_PNG || info->format == RAIIAF_IMAGE_JPEG)
        image->compression = info->format == RAIIAF_IMAGE_PNG ? ZipCompression : JPEGCompression;
    if (info->cmyk || gray)
        SetImageColorspace(image, gray ? GRAYColorspace : CMYKColorspace WITH(exception));
    if (info->format == RAIIAF_IMAGE_PNG && !info->alpha && (info->palette || (gray && info->depth <= 8)))
        AcquireImageColormap(image, (size_t)1 << info->depth WITH(exception));
    if (info->alpha)
        SET_ALPHA(image);
}

static Image *decode(const call *c, const char *coder, const void *data, size_t size)
{
    ImageInfo *info = CloneImageInfo(c->info);
    /* What ImageMagick does by these to the image that we return is enough. */
    if (info->extract)
        info->extract = DestroyString(info->extract);
    if (info->scenes)
        info->scenes = DestroyString(info->scenes);
    info->scene = info->number_scenes = 0;
    info->verbose = info->temporary = MagickFalse;
    info->file = NULL;
    CopyMagickString(info->magick, coder, MagickPathExtent);
    Image *image = BlobToImage(info, data, size, c->exception);
    info = DestroyImageInfo(info);
    return image;
}

static Image *decode_checked(call *c, raiiaf_image_format format)
{
    static const char *const coders[] = {NULL, "PNG", "JPEG", "WEBP", "BMP"}; /* no other is ever called */
    raiiaf_check *check;
    raiiaf_buffer bytes;
    if (raiiaf_check_begin(&check, c->file, cache, &bytes, &c->error) != RAIIAF_OK)
        return NULL;
    Image *image = decode(c, coders[format], bytes.data, bytes.size);
    if (raiiaf_check_end(check, &c->error) != RAIIAF_OK && image)
        image = DestroyImageList(image);
    raiiaf_buffer_free(&bytes);
    return image;
}

/* Puts the capsule beside the pixels, and what may be wanted again into the cache. */
static bool attach_capsule(call *c, Image *image, const raiiaf_image_info *form)
{
    char origin[RAIIAF_ORIGIN_SIZE];
    raiiaf_buffer beside;
    raiiaf_carry carry = is_defined(c, PREFIX "carry", "none") || skips_profile(c) ? RAIIAF_CARRY_NONE
                         : is_defined(c, PREFIX "carry", "manifest")               ? RAIIAF_CARRY_MANIFEST
                                                                                   : RAIIAF_CARRY_ALL;
    unsigned flags = is_defined(c, PREFIX "latents", "drop") ? RAIIAF_CAPSULE_NO_LATENTS : 0;
    print p = print_of(c, image, NULL, form->channels, form->depth);
    if (has_coder_defines(c)) /* then it may not be the picture that others decode */
        *p.digest = 0;
    raiiaf_status status =
        raiiaf_carry_make(c->file, cache, p.digest, p.traits, p.size, carry, flags, &beside, origin, &c->error);
    free(p.traits);
    if (status != RAIIAF_OK)
        return false;
    if (beside.size) {
        StringInfo *profile = BlobToStringInfo(beside.data, beside.size);
        SetImageProfile(image, "raiiaf", profile WITH(c->exception));
        profile = DestroyStringInfo(profile);
    }
    raiiaf_buffer_free(&beside);
    SetImageArtifact(image, ORIGIN, origin);
    return true;
}

static Image *ReadRAIIAFImage(const ImageInfo *image_info, ExceptionInfo *exception)
{
    call c = {.info = image_info, .image = AcquireImage(image_info WITH(exception)), .exception = exception};
    Image *image = NULL;
    raiiaf_image_info form;
    if (OpenBlob(image_info, c.image, ReadBinaryBlobMode, exception) == MagickFalse)
        return DestroyImageList(c.image);
    bool good = check_defines(&c) && open_blob(&c) &&
                (!is_defined(&c, PREFIX "drift", "warn") || !raiiaf_drift_each(c.file, on_drift, &c, &c.error)) &&
                !raiiaf_image_probe_known(c.file, &form, &c.error);
    if (good && image_info->ping != MagickFalse)
        ping_image(image = c.image, &form WITH(exception));
    else if (good && (image = decode_checked(&c, form.format)) && !image_info->stream &&
             !attach_capsule(&c, image, &form))
        image = DestroyImageList(image);
    if (!image)
        pass_on(&c, CorruptImageError);
    else if (!is_defined(&c, PREFIX "carry", "none"))
        raiiaf_text_each(c.file, set_property, image);
    raiiaf_close(c.file);
    CloseBlob(c.image);
    if (image && image != c.image) { /* name, size and dates are the file's, not the embedded image's */
        DuplicateBlob(image, c.image);
        image->extent = c.image->extent;
        CopyMagickString(image->filename, c.image->filename, MagickPathExtent);
    }
    if (image)
        CopyMagickString(image->magick, "RAIIAF", MagickPathExtent);
    if (image != c.image)
        DestroyImage(c.image);
    return image;
}

/* ---- writing ---- */

/* The file that the image was read from ("x.png" of "PNG:x.png[50%]"); false if it isn't there any more as it was. */
static bool find_source(call *c, char path[MagickPathExtent], raiiaf_import_options *options)
{
    ImageInfo *info = AcquireImageInfo();
    char date[MagickPathExtent];
    struct stat about;
    const char *then = GetImageProperty(c->image, "date:modify" WITH(c->exception));
    CopyMagickString(info->filename, c->image->magick_filename, MagickPathExtent);
    ExceptionInfo *ignored = AcquireExceptionInfo(); /* a montage bears the name of a file that is to be */
    SetImageInfo(info, 0, ignored);
    ignored = DestroyExceptionInfo(ignored);
    CopyMagickString(path, info->filename, MagickPathExtent);
    info = DestroyImageInfo(info);
    if (stat(path, &about) != 0 || !S_ISREG(about.st_mode))
        return false;
    options->file_name = path;
    options->modified = (int64_t)about.st_mtime;
    FormatMagickTime(about.st_mtime, MagickPathExtent, date);
    return then ? strcmp(then, date) == 0 : getenv("SOURCE_DATE_EPOCH") != NULL; /* then dates are left out */
}

static bool is_same(const call *c, Image *a, Image *b)
{
    print p = print_of(c, a, NULL, 4, 16), q = print_of(c, b, NULL, 4, 16);
    bool same = *p.digest && strcmp(p.digest, q.digest) == 0 && p.traits && q.traits && p.size == q.size &&
                memcmp(p.traits, q.traits, p.size) == 0;
    free(p.traits);
    free(q.traits);
    return same;
}

/* Whether a profile or a text of the image as it was read is there no more: somebody took it off.  Colour profiles go
   by themselves with the colours. */
static bool is_bared(const call *c, Image *then)
{
    bool bared = false;
    ResetImageProfileIterator(then);
    for (const char *name; !bared && (name = GetNextImageProfile(then));)
        bared = IsOptionMember(name, "icc,icm") == MagickFalse && !GetImageProfile(c->image, name);
    ResetImagePropertyIterator(then);
    for (const char *name; !bared && (name = GetNextImageProperty(then));)
        bared =
            !STARTS_WITH(name, "date:") && !is_for_coder(name) && !GetImageProperty(c->image, name WITH(c->exception));
    return bared;
}

/* A time stamp of the writer's is nothing that anybody takes off. */
static bool find_carrier(void *found, const raiiaf_carrier *carrier)
{
    return !(*(bool *)found = !STARTS_WITH(carrier->keyword, "date:"));
}

/* The file around the image as it was read, or NULL where nothing is to be taken from that.  Its coder may have lost
   some of its text; `same` tells whether the image still is that picture. */
static raiiaf_file *read_source(const call *c, const raiiaf_import_options *options, bool *same)
{
    size_t size;
    raiiaf_file *file = NULL;
    Image *then = NULL;
    call again = {.info = c->info, .exception = AcquireExceptionInfo()}; /* a failure of which is none of the writing */
    void *bytes = FileToBlob(options->file_name, ~(size_t)0, &size, again.exception);
    bool wanted = c->image->taint == MagickFalse && !has_wishes(c), carries = false;
    if (bytes)
        raiiaf_carrier_each(bytes, size, NULL, find_carrier, &carries, NULL);
    if (bytes && (wanted || carries))
        then = decode(&again, c->image->magick, bytes, size);
    if (bytes && (!carries || (then && !is_bared(c, then))))
        raiiaf_import(&file, bytes, size, options, NULL, NULL);
    *same = file && wanted && then && !then->next && is_same(c, c->image, then);
    if (then)
        then = DestroyImageList(then);
    again.exception = DestroyExceptionInfo(again.exception);
    RelinquishMagickMemory(bytes);
    return file;
}

static bool may_read(const char *path)
{
    return IsRightsAuthorized(PathPolicyDomain, ReadPolicyRights, path) != MagickFalse;
}

static void each_property(void *user, raiiaf_text_taker take, void *taker)
{
    const call *c = user;
    ResetImagePropertyIterator(c->image);
    for (const char *name; (name = GetNextImageProperty(c->image));) {
        const char *text = STARTS_WITH(name, PREFIX) ? GetImageProperty(c->image, name WITH(c->exception)) : NULL;
        if (text)
            take(taker, name + sizeof PREFIX - 1, text);
    }
}

/* Puts the properties raiiaf:* that aren't as `shown` has them into the manifest. */
static bool apply_properties(call *c, const raiiaf_file *shown)
{
    /* These two empty texts and drop backslashes. */
    bool lossy = LocaleCompare(c->image->magick, "MIFF") == 0 || LocaleCompare(c->image->magick, "MPC") == 0;
    return !raiiaf_text_take(c->file, shown, lossy ? RAIIAF_TEXT_LOSSY : 0, each_property, c, &c->error);
}

/* A new PNG of the image without anything of ours. */
static void *encode_image(call *c, size_t *size)
{
    Image *clone = CloneImage(c->image, 0, 0, MagickTrue, c->exception);
    if (!clone)
        return NULL;
#if MAGICK6 /* where it inherits what went wrong before */
    ClearMagickException(&clone->exception);
#endif
    ImageInfo *info = CloneImageInfo(c->info);
    CopyMagickString(info->magick, "PNG", MagickPathExtent);
    CopyMagickString(info->filename, "PNG:", MagickPathExtent);
    info->file = NULL;
    info->verbose = MagickFalse;
    DeleteImageProfile(clone, "raiiaf");
    ResetImagePropertyIterator(clone);
    for (const char *name; (name = GetNextImageProperty(clone));) {
        if (!STARTS_WITH(name, PREFIX) && !STARTS_WITH(name, "date:"))
            continue;
        DeleteImageProperty(clone, name);
        ResetImagePropertyIterator(clone);
    }
    raiiaf_raster raster = raster_of(c->image);
    if (!has_wishes(c) && c->image->storage_class == DirectClass) {
        bool runs = raiiaf_raster_suits_runs(&raster);
        SetImageOption(info, "png:compression-level", runs ? "1" : "4");
        SetImageOption(info, "png:compression-strategy", runs ? "3" : "0");
        SetImageOption(info, "png:compression-filter", "5");
    }
    ExceptionInfo *told = AcquireExceptionInfo();
    void *png = ImageToBlob(info, clone, size, told);
    if (told->severity >= ErrorException) /* its coder may have gone on, with pixels that are none */
        png = RelinquishMagickMemory(png);
    InheritException(c->exception, told);
    told = DestroyExceptionInfo(told);
    info = DestroyImageInfo(info);
    clone = DestroyImage(clone);
    return png;
}

/* Puts the image into the file, in place of the one that is there; without a file, makes one around it. */
static bool put_image(call *c, const char *digest, const raiiaf_import_options *options)
{
    size_t size = 0;
    void *png = encode_image(c, &size);
    /* In a colour model that PNG lacks the same samples mean another picture. */
    ColorspaceType model = c->image->colorspace;
    if (!*digest || (model != sRGBColorspace && model != GRAYColorspace && model != RGBColorspace))
        digest = NULL;
    bool good = png && !(c->file ? raiiaf_image_set(c->file, png, size, digest, &c->error)
                                 : raiiaf_import(&c->file, png, size, options, NULL, &c->error));
    RelinquishMagickMemory(png);
    return good;
}

/* Puts the image beside what its capsule holds. */
static bool join(call *c)
{
    bool unchanged;
    print p = print_of(c, c->image, raiiaf_capsule_digest(c->file), 4, c->image->depth);
    bool good = !raiiaf_capsule_unite(c->file, cache, p.digest, p.traits, p.size, &unchanged, &c->error) &&
                apply_properties(c, c->file) && (unchanged || put_image(c, p.digest, NULL));
    free(p.traits);
    return good;
}

/* A file around an image that has no capsule: what is known of it, nothing invented. */
static bool import(call *c, const raiiaf_file *shown)
{
    char path[MagickPathExtent];
    bool same = false, stripped = is_stripped(c), ours = GetImageArtifact(c->image, ORIGIN) != NULL;
    raiiaf_beside beside = {path, may_read};
    raiiaf_import_options options = {.modified = -1, .sidecar_user = &beside};
    if (!ours && !stripped && !skips_profile(c) && find_source(c, path, &options)) {
        options.sidecar = raiiaf_source_beside;
        if (IsOptionMember(c->image->magick, "PNG*,JPEG,JPG,WEBP") != MagickFalse)
            c->file = read_source(c, &options, &same);
    }
    /* Properties that merely outlived their capsule (-strip, +profile) describe nothing any more. */
    return (same || put_image(c, "", &options)) && ((!shown && (ours || stripped)) || apply_properties(c, shown));
}

/* Whether the image goes to a plain file; its name, where frames are numbered, becomes the one that OpenBlob makes. */
static bool is_plain_target(const ImageInfo *info, Image *image WITH(ExceptionInfo *exception))
{
    char name[MagickPathExtent], root[MagickPathExtent], extension[MagickPathExtent];
    struct stat status;
    GetPathComponent(image->filename, ExtensionPath, extension);
    if (info->blob || info->file || info->stream || !*image->filename || strcmp(image->filename, "-") == 0 ||
        *image->filename == '|' || LocaleNCompare(image->filename, "fd:", 3) == 0 ||
        IsOptionMember(extension, "gz,wmz,svgz,bz2") != MagickFalse)
        return false;
    if (info->adjoin == MagickFalse || strchr(image->filename, '%')) {
        InterpretImageFilename(info, image, image->filename, (int)image->scene, name WITH(exception));
        if (strcmp(name, image->filename) == 0 && (GetPreviousImageInList(image) || GetNextImageInList(image))) {
            GetPathComponent(image->filename, RootPath, root);
            FormatLocaleString(name, MagickPathExtent, *extension ? "%s-%.20g.%s" : "%s-%.20g", root,
                               (double)image->scene, extension);
        }
        CopyMagickString(image->filename, name, MagickPathExtent);
    }
    return stat(image->filename, &status) != 0 || S_ISREG(status.st_mode);
}

static bool save(call *c)
{
    static const char tool[] = "ImageMagick " MagickLibVersionText MagickLibAddendum;
    Image *image = c->image;
    raiiaf_buffer bytes;
    raiiaf_save_options options = {.tool =
                                       raiiaf_capsule_image_sha256(c->file) ? tool : NULL, /* it was a file before */
                                   .drop_latents = is_defined(c, PREFIX "latents", "drop"),
                                   .threads = (unsigned)GetMagickResourceLimit(ThreadResource),
                                   .progress = on_progress,
                                   .progress_user = c};
    if (is_plain_target(c->info, image WITH(c->exception))) {
        if (IsRightsAuthorized(PathPolicyDomain, WritePolicyRights, image->filename) != MagickFalse)
            return raiiaf_save_path(c->file, image->filename, &options, &c->error) == RAIIAF_OK;
        ThrowMagickException(c->exception, GetMagickModule(), PolicyError, "NotAuthorized", "`%s'", image->filename);
        return false;
    }
    if (raiiaf_save_memory(c->file, &bytes, &options, &c->error) != RAIIAF_OK)
        return false;
    bool good = OpenBlob(c->info, image, WriteBinaryBlobMode, c->exception) != MagickFalse;
    if (good) {
        WriteBlob(image, bytes.size, bytes.data);
        CloseBlob(image);
        good = GetBlobError(image) == MagickFalse; /* which ImageMagick tells itself */
    }
    raiiaf_buffer_free(&bytes);
    return good;
}

static MagickBooleanType WriteRAIIAFImage(const ImageInfo *image_info, Image *image WITH(ExceptionInfo *exception))
{
#if MAGICK6
    ExceptionInfo *exception = &image->exception;
#endif
    call c = {.info = image_info, .image = image, .exception = exception};
    raiiaf_file *shown = NULL;
    const StringInfo *profile = GetImageProfile(image, "raiiaf");
    bool good = check_defines(&c) &&
                !raiiaf_carry_open(cache, GetImageArtifact(image, ORIGIN), profile ? GetStringInfoDatum(profile) : NULL,
                                   profile ? GetStringInfoLength(profile) : 0, is_stripped(&c), image->filename,
                                   &c.file, &shown, &c.error) &&
                (c.file ? join(&c) : import(&c, shown)) && save(&c);
    if (!good)
        pass_on(&c, CoderError);
    raiiaf_close(shown);
    raiiaf_close(c.file);
    return good ? MagickTrue : MagickFalse;
}

/* ---- registration ---- */

static void register_format(const char *name, const char *description, EncodeImageHandler *encoder)
{
#if MAGICK6
    MagickInfo *entry = SetMagickInfo(name);
    entry->description = ConstantString(description);
    entry->magick_module = ConstantString("RAIIAF");
    entry->adjoin = MagickFalse;
#else
    MagickInfo *entry = AcquireMagickInfo("RAIIAF", name, description);
    entry->flags &= ~(MagickStatusType)CoderAdjoinFlag;
#endif
    entry->mime_type = ConstantString("image/x-raiiaf");
    entry->decoder = (DecodeImageHandler *)ReadRAIIAFImage;
    entry->encoder = encoder;
    RegisterMagickInfo(entry);
}

/* A module for another kind of quantum would corrupt every pixel, and ImageMagick's own check misses HDRI. */
ModuleExport size_t RegisterRAIIAFImage(void)
{
    size_t depth;
    GetMagickQuantumDepth(&depth);
    if (depth != MAGICKCORE_QUANTUM_DEPTH || (strstr(GetMagickFeatures(), "HDRI") != NULL) != MAGICKCORE_HDRI_ENABLE ||
        (!cache && raiiaf_cache_new(&cache, CACHE_SIZE, NULL) != RAIIAF_OK))
        return 0; /* which ImageMagick reports as a mismatch */
    /* Where it is the same name, the next replaces it; policies name RAIIAF alone. */
    if (IsRightsAuthorized(CoderPolicyDomain, ReadPolicyRights, "RAIIAF") != MagickFalse &&
        IsRightsAuthorized(CoderPolicyDomain, WritePolicyRights, "RAIIAF") != MagickFalse)
        register_format("RAiiAF", "Rich AI Image Artifact Format", (EncodeImageHandler *)WriteRAIIAFImage);
    register_format("RAIIAF", "Rich AI Image Artifact Format", (EncodeImageHandler *)WriteRAIIAFImage);
    register_format("GEN5", "Rich AI Image Artifact Format's predecessor", NULL);
    return MagickImageCoderSignature;
}

ModuleExport void UnregisterRAIIAFImage(void)
{
    UnregisterMagickInfo("RAIIAF");
    UnregisterMagickInfo("GEN5");
    UnregisterMagickInfo("RAiiAF");
    raiiaf_cache_free(cache);
    cache = NULL;
}
