/* SPDX-License-Identifier: MIT */
/*
 * raiiaf.c - RAIIAF for ImageMagick: one source for versions 6 and 7 and for every kind of quantum.
 *
 * ImageMagick's own coders turn the embedded image into pixels and back; the container is libraiiaf's.  What else
 * the file holds travels beside the pixels as the profile "raiiaf", the capsule; the properties raiiaf:* are a view of
 * it.  doc/magick.md tells users what is kept, and how "unchanged" is decided.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "raiiaf.h"

#ifdef ENABLE_NLS
#include <libintl.h>
#define _(text) dgettext("raiiaf", text)
#else
#define _(text) (text)
#endif

/* ---- what ImageMagick 6 and 7 name differently ---- */

#if __has_include(<MagickCore/MagickCore.h>)
#include <MagickCore/MagickCore.h>
#define WITH(exception) , exception
#define HAS_ALPHA(image) ((image)->alpha_trait != UndefinedPixelTrait)
#define SET_ALPHA(image) ((image)->alpha_trait = BlendPixelTrait)
#define RESOLUTION(image, axis) ((image)->resolution.axis)
#else
#include <magick/MagickCore.h>
#define MAGICK6
#define MagickPathExtent MaxTextExtent
#define WITH(exception)
#define HAS_ALPHA(image) ((image)->matte != MagickFalse)
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
extern MagickExport const struct stat *GetBlobProperties(const Image *);

/* What ImageMagick looks up by name; GEN5 is the same module under the name that a file x.gen5 asks for. */
ModuleExport size_t RegisterRAIIAFImage(void);
ModuleExport void UnregisterRAIIAFImage(void);
ModuleExport size_t RegisterGEN5Image(void) __attribute__((alias("RegisterRAIIAFImage")));
ModuleExport void UnregisterGEN5Image(void) __attribute__((alias("UnregisterRAIIAFImage")));

#define PREFIX "raiiaf:" /* of properties and of defines */
#define STARTS_WITH(text, start) (strncmp(text, start, sizeof(start) - 1) == 0)
#define LENGTH(array) (sizeof(array) / sizeof *(array))

/* ---- errors ---- */

static void complain(ExceptionInfo *exception, ExceptionType severity, const char *text, const char *name)
{
    ThrowMagickException(exception, GetMagickModule(), severity, text, "`%s'", name);
}

static void pass_on(ExceptionInfo *exception, const raiiaf_error *error)
{
    bool limit = error->status == RAIIAF_ERROR_MEMORY || error->status == RAIIAF_ERROR_LIMIT;
    bool wish = error->status == RAIIAF_ERROR_ARGUMENT || error->status >= RAIIAF_ERROR_MISSING;
    if (error->status && error->status != RAIIAF_ERROR_CANCELLED) /* whoever asked for that knows */
        ThrowMagickException(exception, GetMagickModule(),
                             limit                              ? ResourceLimitError
                             : wish                             ? CoderError
                             : error->status == RAIIAF_ERROR_IO ? BlobError
                                                                : CorruptImageError,
                             error->text, "%s", "");
}

static void on_warning(void *exception, const raiiaf_error *warning)
{
    ThrowMagickException(exception, GetMagickModule(), CoderWarning, warning->text, "%s", "");
}

/* ---- what the command asks for ---- */

static bool is_defined(const ImageInfo *info, const Image *image, const char *name, const char *value)
{
    const char *given = GetImageOption(info, name);
    if (!given && image)
        given = GetImageArtifact(image, name);
    return given && LocaleCompare(given, value) == 0;
}

/* Refuses defines that mean nothing: a misspelt raiiaf:carry=none would publish a prompt. */
static bool check_defines(const ImageInfo *info, ExceptionInfo *exception)
{
    static const char *const known[][2] = {{PREFIX "latents", "keep,drop"},
                                           {PREFIX "carry", "all,manifest,none"},
                                           {PREFIX "passthrough", "true,false"},
                                           {PREFIX "drift", "ignore,warn"}};
    ResetImageOptionIterator(info);
    for (const char *name; (name = GetNextImageOption(info));) {
        const char *values = NULL;
        for (size_t i = 0; i < LENGTH(known); i++)
            values = LocaleCompare(name, known[i][0]) == 0 ? known[i][1] : values;
        if (!STARTS_WITH(name, PREFIX) || IsOptionMember(GetImageOption(info, name), values) != MagickFalse)
            continue;
        complain(exception, OptionError, values ? values : _("there is no such define (-set sets properties)"), name);
        return false;
    }
    return true;
}

static bool is_for_coder(const char *name)
{
    return STARTS_WITH(name, "png:") || STARTS_WITH(name, "jpeg:") || STARTS_WITH(name, "webp:") ||
           STARTS_WITH(name, "bmp:") || STARTS_WITH(name, "profile:");
}

/* Whether the command wants an image of a certain kind: then it is always encoded anew. */
static bool has_wishes(const ImageInfo *info, const Image *image)
{
    const char *name;
    bool found = info->quality || info->density || info->page || info->depth || info->type != UndefinedType ||
                 info->units != UndefinedResolution || info->interlace > NoInterlace ||
                 GetImageOption(info, "caption") || GetImageOption(info, "comment") || GetImageOption(info, "label");
    ResetImageOptionIterator(info);
    while (!found && (name = GetNextImageOption(info)))
        found = is_for_coder(name);
    ResetImageArtifactIterator(image);
    while (!found && (name = GetNextImageArtifact(image)))
        found = is_for_coder(name);
    return found;
}

/* -strip leaves the properties behind, but also this order to the PNG coder. */
static bool is_stripped(const ImageInfo *info, const Image *image)
{
    const char *excluded = GetImageArtifact(image, "png:exclude-chunk");
    if (!excluded)
        excluded = GetImageOption(info, "png:exclude-chunk");
    return IsOptionMember("zTXt", excluded) != MagickFalse || IsOptionMember("all", excluded) != MagickFalse;
}

/* ---- what decides whether an image is unchanged: its pixels, and what else a PNG expresses ---- */

/* How an image's pixels lie in memory; a PNG of the image's depth will round them. */
static raiiaf_samples samples_of(const Image *image)
{
#ifdef MAGICK6
#define OFFSET(sample) (int)(offsetof(PixelPacket, sample) / sizeof(Quantum))
    return (raiiaf_samples){RAIIAF_SAMPLES_16,
                            sizeof(PixelPacket) / sizeof(Quantum),
                            {OFFSET(red), OFFSET(green), OFFSET(blue), HAS_ALPHA(image) ? OFFSET(opacity) : -1},
                            true,
                            image->depth <= 8};
#else
#define OFFSET(channel) (int)GetPixelChannelOffset(image, channel)
    int fourth = image->colorspace == CMYKColorspace ? OFFSET(BlackPixelChannel)
                 : HAS_ALPHA(image)                  ? OFFSET(AlphaPixelChannel)
                                                     : -1;
    return (raiiaf_samples){MAGICKCORE_HDRI_ENABLE ? RAIIAF_SAMPLES_FLOAT : RAIIAF_SAMPLES_16,
                            (unsigned)GetPixelChannels(image),
                            {OFFSET(RedPixelChannel), OFFSET(GreenPixelChannel), OFFSET(BluePixelChannel), fourth},
                            false,
                            image->depth <= 8};
#endif
}

/* Of an image in memory that is one look at it; of one on disk it bounds what is read at a time. */
#define PIXELS_AT_ONCE ((size_t)4 << 20)

static bool digest_pixels(const Image *image, unsigned channels, unsigned depth, char digest[RAIIAF_DIGEST_SIZE],
                          ExceptionInfo *exception)
{
    raiiaf_pixels *pixels;
    const raiiaf_samples layout = samples_of(image);
    const void *rows = image;
    size_t step = 1 + PIXELS_AT_ONCE / image->columns;
    if (raiiaf_pixels_begin(&pixels, (uint32_t)image->columns, (uint32_t)image->rows, channels, depth > 8 ? 16 : 8,
                            NULL) != RAIIAF_OK)
        return false;
    for (size_t y = 0; rows && y < image->rows; y += step) {
        size_t height = image->rows - y < step ? image->rows - y : step;
        if ((rows = GetVirtualPixels(image, 0, (ssize_t)y, image->columns, height, exception)))
            raiiaf_pixels_update_samples(pixels, &layout, rows, image->columns * height,
                                         (unsigned)GetMagickResourceLimit(ThreadResource));
    }
    return raiiaf_pixels_end(pixels, rows ? digest : NULL);
}

/* Whether run lengths make about as small a PNG as zlib's usual search: tried on three bands of the image. */
static bool suits_runs(const Image *image, ExceptionInfo *exception)
{
    const raiiaf_samples layout = samples_of(image);
    uint64_t usual = 0, runs = 0;
    size_t height = 1 + image->rows / 128;
    for (size_t i = 0; i < 3 && image->storage_class == DirectClass; i++) {
        const void *rows =
            GetVirtualPixels(image, 0, (ssize_t)(image->rows * i / 3), image->columns, height, exception);
        if (!rows || !raiiaf_png_estimate(&layout, rows, (uint32_t)image->columns, (uint32_t)height, &usual, &runs))
            return false;
    }
    return runs < usual + usual / 16;
}

static void append(StringInfo *out, const void *data, size_t size)
{
    size_t before = GetStringInfoLength(out);
    SetStringInfoLength(out, before + size);
    memcpy(GetStringInfoDatum(out) + before, data, size);
}

/* Two images of equal pixels and equal snapshots make the same PNG. */
static StringInfo *snapshot(Image *image WITH(ExceptionInfo *exception))
{
    char text[512];
    StringInfo *out = AcquireStringInfo(0);
    const RectangleInfo *page = &image->page;
    int size = snprintf(text, sizeof text, "%d %d %d %zu %zux%zu%+zd%+zd %a %a %d %a %d %d %d %a %a %a",
                        (int)image->colorspace, (int)image->storage_class, (int)HAS_ALPHA(image), image->depth,
                        page->width ? page->width : image->columns, page->height ? page->height : image->rows, page->x,
                        page->y, RESOLUTION(image, x), RESOLUTION(image, y), (int)image->units, image->gamma,
                        (int)image->rendering_intent, (int)image->orientation, (int)image->interlace,
                        (double)image->background_color.red, (double)image->background_color.green,
                        (double)image->background_color.blue);
    append(out, text, (size_t)size + 1);
    append(out, &image->chromaticity, sizeof image->chromaticity);
    ResetImageProfileIterator(image);
    for (const char *name; (name = GetNextImageProfile(image));) {
        const StringInfo *profile = GetImageProfile(image, name);
        if (!profile || LocaleCompare(name, "raiiaf") == 0)
            continue;
        append(out, name, strlen(name) + 1);
        append(out, GetStringInfoDatum(profile), GetStringInfoLength(profile));
    }
    ResetImagePropertyIterator(image);
    for (const char *name; (name = GetNextImageProperty(image));) {
        bool skip = STARTS_WITH(name, PREFIX) || STARTS_WITH(name, "date:") || is_for_coder(name);
        const char *value = skip ? NULL : GetImageProperty(image, name WITH(exception));
        if (!value)
            continue;
        append(out, name, strlen(name) + 1);
        append(out, value, strlen(value) + 1);
    }
    return out;
}

/* What was read in this process: by the embedded image's SHA-256 its chunk as stored, by SNAPSHOT of it the snapshot of
   the image where it was read without wishes, and by the artifact ORIGIN (artifacts go into no file) the capsule. */
static raiiaf_cache *cache;
#define CACHE_SIZE (UINT64_C(256) << 20)
#define SNAPSHOT "%s snapshot"
#define ORIGIN "raiiaf:origin"

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
static bool open_blob(raiiaf_file **file, const char *name, Image *blob, ExceptionInfo *exception, raiiaf_error *error)
{
    raiiaf_source source = {.user = blob, .name = name, .read_at = read_at};
    raiiaf_open_options options = {.warning = on_warning, .warning_user = exception};
    const void *data = GetBlobStreamData(blob);
    MagickOffsetType end = data || IsBlobSeekable(blob) == MagickFalse ? -1 : SeekBlob(blob, 0, SEEK_END);
    if (data)
        raiiaf_source_memory(&source, data, (size_t)GetBlobSize(blob), name, NULL, NULL);
    else if (end >= 0)
        source.size = (uint64_t)end;
    else if (raiiaf_source_stream(&source, read_next, blob, name, NULL, error) != RAIIAF_OK)
        return false;
    return raiiaf_open(file, &source, &options, error) == RAIIAF_OK;
}

static bool open_capsule(raiiaf_file **file, const void *data, size_t size, const Image *image, raiiaf_error *error)
{
    raiiaf_source source;
    raiiaf_source_memory(&source, data, size, image->filename, NULL, NULL);
    return raiiaf_open(file, &source, NULL, error) == RAIIAF_OK;
}

static bool set_property(void *image, const char *name, const char *text)
{
    char key[80]; /* no longer than a PNG keyword may be, and no other characters */
    bool plain = snprintf(key, sizeof key, PREFIX "%s", name) < (int)sizeof key;
    for (const char *p = name; *p; p++)
        plain = plain && *p > ' ' && *p < 127;
    if (plain)
        SetImageProperty(image, key, text WITH(NULL)); /* no name that ImageMagick checks */
    return true;
}

static bool warn_drift(void *exception, const char *component_id, const char *text)
{
    complain(exception, CoderWarning, text, component_id);
    return true;
}

/* The coder for an embedded image, told from its bytes; no other is ever called. */
static const char *coder_name(raiiaf_image_format format)
{
    static const char *const names[] = {NULL, "PNG", "JPEG", "WEBP", "BMP"};
    return (size_t)format < LENGTH(names) ? names[format] : NULL;
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

static Image *decode_image(const raiiaf_file *file, const ImageInfo *image_info, const char *coder,
                           ExceptionInfo *exception, raiiaf_error *error)
{
    raiiaf_check *check;
    raiiaf_buffer bytes;
    if (raiiaf_check_begin(&check, file, cache, &bytes, error) != RAIIAF_OK)
        return NULL;
    ImageInfo *info = CloneImageInfo(image_info);
    /* What ImageMagick does by these to the image that we return is enough. */
    if (info->extract)
        info->extract = DestroyString(info->extract);
    if (info->scenes)
        info->scenes = DestroyString(info->scenes);
    info->scene = info->number_scenes = 0;
    info->verbose = info->temporary = MagickFalse;
    info->file = NULL;
    CopyMagickString(info->magick, coder, MagickPathExtent);
    Image *image = BlobToImage(info, bytes.data, bytes.size, exception);
    info = DestroyImageInfo(info);
    if (raiiaf_check_end(check, error) != RAIIAF_OK && image)
        image = DestroyImageList(image);
    raiiaf_buffer_free(&bytes);
    return image;
}

/* Puts the capsule beside the pixels, and what may be wanted again into the cache. */
static bool attach_capsule(const raiiaf_file *file, const ImageInfo *image_info, const raiiaf_image_info *form,
                           Image *image, ExceptionInfo *exception, raiiaf_error *error)
{
    static atomic_uint count;
    char digest[RAIIAF_DIGEST_SIZE], name[96];
    bool none = is_defined(image_info, NULL, PREFIX "carry", "none") ||
                IsOptionMember("raiiaf", GetImageOption(image_info, "profile:skip")) != MagickFalse;
    bool some = none || is_defined(image_info, NULL, PREFIX "carry", "manifest");
    unsigned all = is_defined(image_info, NULL, PREFIX "latents", "drop") ? RAIIAF_CAPSULE_NO_LATENTS : 0;
    bool wishes = has_wishes(image_info, image);
    bool digested = !wishes && digest_pixels(image, form->channels, form->depth, digest, exception);
    raiiaf_buffer whole = {0}, manifest = {0};
    bool good = !raiiaf_capsule_make(file, digested ? digest : NULL, all, &whole, error) &&
                !raiiaf_capsule_make(file, digested ? digest : NULL, RAIIAF_CAPSULE_NO_CHUNKS, &manifest, error);
    const raiiaf_buffer *shown = some ? &manifest : &whole, *kept = some ? &whole : &manifest;
    if (good && !none) {
        StringInfo *profile = BlobToStringInfo(shown->data, shown->size);
        SetImageProfile(image, "raiiaf", profile WITH(exception));
        profile = DestroyStringInfo(profile);
    }
    snprintf(name, sizeof name, "%s %u", none ? "none" : some ? "manifest" : "all", atomic_fetch_add(&count, 1));
    if (good && raiiaf_cache_put(cache, name, kept->data, kept->size, NULL) == RAIIAF_OK)
        SetImageArtifact(image, ORIGIN, name);
    if (good && !wishes) {
        raiiaf_chunk_info chunk;
        StringInfo *now = snapshot(image WITH(exception));
        raiiaf_chunk_get(file, raiiaf_image_chunk(file), &chunk);
        snprintf(name, sizeof name, SNAPSHOT, chunk.sha256);
        raiiaf_cache_put(cache, name, GetStringInfoDatum(now), GetStringInfoLength(now), NULL);
        now = DestroyStringInfo(now);
    }
    raiiaf_buffer_free(&whole);
    raiiaf_buffer_free(&manifest);
    return good;
}

/* The picture, on `blob` itself where pinging is enough; NULL and an error or an exception otherwise. */
static Image *read_picture(const raiiaf_file *file, const ImageInfo *image_info, Image *blob, ExceptionInfo *exception,
                           raiiaf_error *error)
{
    raiiaf_image_info form;
    const char *coder = NULL;
    if (raiiaf_image_chunk(file) == RAIIAF_NONE)
        complain(exception, CoderError, _("no image in this file; raiiaf extract hands out what it does hold"),
                 image_info->filename);
    else if (raiiaf_image_probe(file, &form, error) == RAIIAF_OK && !(coder = coder_name(form.format)))
        complain(exception, CoderError,
                 _("the image is no PNG, JPEG, WebP or BMP; raiiaf extract --image hands it out"),
                 image_info->filename);
    if (coder && image_info->ping != MagickFalse) {
        ping_image(blob, &form WITH(exception));
        return blob;
    }
    Image *image = coder ? decode_image(file, image_info, coder, exception, error) : NULL;
    if (image && !image_info->stream && !attach_capsule(file, image_info, &form, image, exception, error))
        image = DestroyImageList(image);
    return image;
}

static Image *ReadRAIIAFImage(const ImageInfo *image_info, ExceptionInfo *exception)
{
    raiiaf_file *file = NULL;
    raiiaf_error error = {0};
    Image *image = NULL, *blob = AcquireImage(image_info WITH(exception));
    if (OpenBlob(image_info, blob, ReadBinaryBlobMode, exception) == MagickFalse)
        return DestroyImageList(blob);
    if (check_defines(image_info, exception) && open_blob(&file, image_info->filename, blob, exception, &error) &&
        (!is_defined(image_info, NULL, PREFIX "drift", "warn") ||
         !raiiaf_drift_each(file, warn_drift, exception, &error)))
        image = read_picture(file, image_info, blob, exception, &error);
    if (!image)
        pass_on(exception, &error);
    else if (!is_defined(image_info, NULL, PREFIX "carry", "none"))
        raiiaf_text_each(file, set_property, image);
    raiiaf_close(file);
    CloseBlob(blob);
    if (image && image != blob) { /* name, size and dates are the file's, not the embedded image's */
        DuplicateBlob(image, blob);
        image->extent = blob->extent;
        CopyMagickString(image->filename, blob->filename, MagickPathExtent);
    }
    if (image != blob)
        blob = DestroyImage(blob);
    if (image)
        CopyMagickString(image->magick, "RAIIAF", MagickPathExtent);
    return image;
}

/* ---- writing ---- */

/* The capsule that ImageMagick 7 didn't read from a PNG because it is large; a small one was taken off by somebody. */
static raiiaf_buffer capsule_of_source(const ImageInfo *image_info, const Image *image, ExceptionInfo *exception)
{
    size_t size = 0;
    struct stat status;
    raiiaf_buffer capsule = {0};
    if (LocaleCompare(image->magick, "PNG") != 0 ||
        IsOptionMember("raiiaf", GetImageOption(image_info, "profile:skip")) != MagickFalse)
        return capsule;
    ImageInfo *info = AcquireImageInfo();
    CopyMagickString(info->filename, image->magick_filename, MagickPathExtent);
    SetImageInfo(info, 0, exception);
    bool plain = stat(info->filename, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > (3 << 20);
    void *png = plain ? FileToBlob(info->filename, SIZE_MAX, &size, exception) : NULL;
    if (png && raiiaf_capsule_find(png, size, NULL, &capsule, NULL) == RAIIAF_OK && capsule.size < (3 << 20))
        raiiaf_buffer_free(&capsule);
    RelinquishMagickMemory(png);
    info = DestroyImageInfo(info);
    return capsule;
}

/* Puts each property raiiaf:* that isn't as `shown` (may be NULL) has it into the manifest. */
static bool apply_properties(const Image *image, const raiiaf_file *shown, raiiaf_file *file,
                             raiiaf_error *error WITH(ExceptionInfo *exception))
{
    /* These two empty texts and drop backslashes. */
    bool lossy = LocaleCompare(image->magick, "MIFF") == 0 || LocaleCompare(image->magick, "MPC") == 0;
    bool good = true;
    ResetImagePropertyIterator(image);
    for (const char *name; good && (name = GetNextImageProperty(image));) {
        const char *text = STARTS_WITH(name, PREFIX) ? GetImageProperty(image, name WITH(exception)) : NULL;
        good = !text ||
               !raiiaf_text_apply(file, shown, name + sizeof PREFIX - 1, text, lossy ? RAIIAF_TEXT_LOSSY : 0, error);
    }
    return good;
}

/* A new PNG of the image without anything of ours. */
static void *encode_image(const ImageInfo *image_info, const Image *image, size_t *size, ExceptionInfo *exception)
{
    Image *clone = CloneImage(image, 0, 0, MagickTrue, exception);
    if (!clone)
        return NULL;
    ImageInfo *info = CloneImageInfo(image_info);
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
    if (!has_wishes(image_info, image) && suits_runs(image, exception)) {
        SetImageOption(info, "png:compression-level", "1");
        SetImageOption(info, "png:compression-strategy", "3");
        SetImageOption(info, "png:compression-filter", "5");
    }
    void *png = ImageToBlob(info, clone, size, exception);
    info = DestroyImageInfo(info);
    clone = DestroyImage(clone);
    return png;
}

/* Puts the image beside what its capsule holds.  `file` looks at `stored` until it is closed. */
static bool join(raiiaf_file *file, const ImageInfo *info, Image *image, raiiaf_buffer *stored,
                 ExceptionInfo *exception, raiiaf_error *error)
{
    const char *former = raiiaf_capsule_digest(file), *sha256 = raiiaf_capsule_image_sha256(file);
    char digest[RAIIAF_DIGEST_SIZE], key[96];
    unsigned channels = 4, depth = (unsigned)image->depth;
    if (former)
        sscanf(former, "%*[^:]:%*ux%*ux%ux%u", &channels, &depth);
    bool digested = digest_pixels(image, channels, depth, digest, exception);
    bool unchanged = digested && former && strcmp(digest, former) == 0 && !has_wishes(info, image) &&
                     !is_defined(info, image, PREFIX "passthrough", "false") && raiiaf_cache_get(cache, sha256, stored);
    if (unchanged) {
        raiiaf_buffer then;
        StringInfo *now = snapshot(image WITH(exception));
        snprintf(key, sizeof key, SNAPSHOT, sha256);
        unchanged = raiiaf_cache_get(cache, key, &then) && then.size == GetStringInfoLength(now) &&
                    memcmp(then.data, GetStringInfoDatum(now), then.size) == 0;
        now = DestroyStringInfo(now);
        raiiaf_buffer_free(&then);
    }
    raiiaf_status status = raiiaf_capsule_join(file, stored->data, stored->size, error);
    if (status == RAIIAF_ERROR_HASH) { /* another file's, with an equal image */
        unchanged = false;
        status = raiiaf_capsule_join(file, NULL, 0, error);
    }
    bool good = status == RAIIAF_OK && apply_properties(image, file, file, error WITH(exception));
    if (good && !unchanged) {
        size_t size = 0;
        void *png = encode_image(info, image, &size, exception);
        /* In a colour model that PNG lacks the same samples mean another picture. */
        bool same_model = image->colorspace == sRGBColorspace || image->colorspace == GRAYColorspace ||
                          image->colorspace == RGBColorspace;
        good = png && !raiiaf_image_set(file, png, size, digested && same_model ? digest : NULL, error);
        RelinquishMagickMemory(png);
    }
    return good;
}

/* A file around an image that has no capsule: what is known of it, nothing invented. */
static bool import(raiiaf_file **file, const ImageInfo *info, Image *image, ExceptionInfo *exception,
                   raiiaf_error *error)
{
    size_t size = 0;
    raiiaf_file *known = NULL;
    raiiaf_buffer capsule;
    const char *id = GetImageArtifact(image, ORIGIN);
    int64_t modified = (int64_t)GetBlobProperties(image)->st_mtime;
    bool come = raiiaf_cache_get(cache, id, &capsule);
    void *png = encode_image(info, image, &size, exception);
    /* Properties that merely outlived their capsule (-strip, +profile) describe nothing any more. */
    bool good =
        png && (!come || open_capsule(&known, capsule.data, capsule.size, image, error)) &&
        !raiiaf_import(file, png, size, &(raiiaf_import_options){.modified = modified ? modified : -1}, NULL, error) &&
        ((!known && (id || is_stripped(info, image))) || apply_properties(image, known, *file, error WITH(exception)));
    RelinquishMagickMemory(png);
    raiiaf_close(known);
    raiiaf_buffer_free(&capsule);
    return good;
}

static bool on_progress(void *image, uint64_t done, uint64_t total)
{
    return SetImageProgress(image, "Save/Image", (MagickOffsetType)done, total) != MagickFalse;
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

static bool save(const raiiaf_file *file, const ImageInfo *info, Image *image, ExceptionInfo *exception,
                 raiiaf_error *error)
{
    raiiaf_buffer bytes;
    raiiaf_save_options options = {.tool = "ImageMagick " MagickLibVersionText MagickLibAddendum,
                                   .threads = (unsigned)GetMagickResourceLimit(ThreadResource),
                                   .drop_latents = is_defined(info, image, PREFIX "latents", "drop"),
                                   .progress = on_progress,
                                   .progress_user = image};
    if (is_plain_target(info, image WITH(exception))) {
        if (IsRightsAuthorized(PathPolicyDomain, WritePolicyRights, image->filename) != MagickFalse)
            return raiiaf_save_path(file, image->filename, &options, error) == RAIIAF_OK;
        complain(exception, PolicyError, "NotAuthorized", image->filename);
        return false;
    }
    if (raiiaf_save_memory(file, &bytes, &options, error) != RAIIAF_OK)
        return false;
    bool opened = OpenBlob(info, image, WriteBinaryBlobMode, exception) != MagickFalse;
    bool good = opened && WriteBlob(image, bytes.size, bytes.data) == (ssize_t)bytes.size;
    if (opened && (CloseBlob(image) == MagickFalse || !good)) {
        good = false;
        complain(exception, FileOpenError, "UnableToWriteFile", image->filename);
    }
    raiiaf_buffer_free(&bytes);
    return good;
}

static MagickBooleanType write_image(const ImageInfo *image_info, Image *image, ExceptionInfo *exception)
{
    raiiaf_file *file = NULL;
    raiiaf_error error = {0};
    raiiaf_buffer capsule = {0}, stored = {0};
    const StringInfo *profile = GetImageProfile(image, "raiiaf");
    const char *id = GetImageArtifact(image, ORIGIN);
    if (id && (profile ? *id != 'a' : *id == 'n' && !is_stripped(image_info, image))) /* not "all", or "none" */
        raiiaf_cache_get(cache, id, &capsule);
    else if (!id && !profile && !is_stripped(image_info, image))
        capsule = capsule_of_source(image_info, image, exception);
    if (!capsule.size && profile)
        capsule = (raiiaf_buffer){GetStringInfoDatum(profile), GetStringInfoLength(profile), NULL};
    bool good = check_defines(image_info, exception) &&
                (capsule.size ? open_capsule(&file, capsule.data, capsule.size, image, &error) &&
                                    join(file, image_info, image, &stored, exception, &error)
                              : import(&file, image_info, image, exception, &error)) &&
                save(file, image_info, image, exception, &error);
    if (!good)
        pass_on(exception, &error);
    raiiaf_close(file); /* which looks at both until then */
    raiiaf_buffer_free(&capsule);
    raiiaf_buffer_free(&stored);
    return good ? MagickTrue : MagickFalse;
}

#ifdef MAGICK6
static MagickBooleanType WriteRAIIAFImage(const ImageInfo *image_info, Image *image)
{
    return write_image(image_info, image, &image->exception);
}
#define write_image WriteRAIIAFImage
#endif

/* ---- registration ---- */

static void register_format(const char *name, const char *description, EncodeImageHandler *encoder)
{
#ifdef MAGICK6
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
    register_format("RAIIAF", "Rich AI Image Artifact Format", (EncodeImageHandler *)write_image);
    register_format("GEN5", "Rich AI Image Artifact Format's predecessor", NULL);
    return MagickImageCoderSignature;
}

ModuleExport void UnregisterRAIIAFImage(void)
{
    UnregisterMagickInfo("RAIIAF");
    UnregisterMagickInfo("GEN5");
    raiiaf_cache_free(cache);
    cache = NULL;
}
