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
#define MAGICK6 0
#define WITH(exception) , exception
#define HAS_ALPHA(image) ((image)->alpha_trait != UndefinedPixelTrait)
#define SET_ALPHA(image) ((image)->alpha_trait = BlendPixelTrait)
#define RESOLUTION(image, axis) ((image)->resolution.axis)
#else
#include <magick/MagickCore.h>
#define MAGICK6 1
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

/* One reading or writing. */
typedef struct call {
    const ImageInfo *info;
    Image *image; /* reading: the blob's, and the result */
    ExceptionInfo *exception;
    raiiaf_file *file;
    raiiaf_error error; /* passed on at the end, where it is set and the call failed */
} call;

/* What was read in this process: by the SHA-256 of the embedded image its chunk as stored; by SNAPSHOT of that the
   snapshot of the image, where it was read without wishes; by the artifact ORIGIN, which goes into no file, the capsule
   where the image bears less of it, else the manifest. */
static raiiaf_cache *cache;
#define CACHE_SIZE (UINT64_C(256) << 20)
#define SNAPSHOT "%s snapshot"
#define ORIGIN "raiiaf:origin"

/* ---- errors ---- */

static bool complain(call *c, ExceptionType severity, const char *text, const char *name)
{
    ThrowMagickException(c->exception, GetMagickModule(), severity, text, "`%s'", name);
    return false;
}

static void pass_on(call *c)
{
    raiiaf_status status = c->error.status;
    ExceptionType severity = CorruptImageError;
    if (status == RAIIAF_ERROR_MEMORY || status == RAIIAF_ERROR_LIMIT)
        severity = ResourceLimitError;
    else if (status == RAIIAF_ERROR_IO)
        severity = BlobError;
    else if (status == RAIIAF_ERROR_ARGUMENT || status >= RAIIAF_ERROR_MISSING)
        severity = CoderError;
    if (status && status != RAIIAF_ERROR_CANCELLED) /* whoever asked for that knows */
        ThrowMagickException(c->exception, GetMagickModule(), severity, c->error.text, "%s", "");
}

static void on_warning(void *user, const raiiaf_error *warning)
{
    ThrowMagickException(((call *)user)->exception, GetMagickModule(), CoderWarning, warning->text, "%s", "");
}

static bool on_drift(void *user, const char *component_id, const char *text)
{
    complain(user, CoderWarning, text, component_id);
    return true;
}

static bool on_progress(void *user, uint64_t done, uint64_t total)
{
    return SetImageProgress(((call *)user)->image, "Save/Image", (MagickOffsetType)done, total) != MagickFalse;
}

/* ---- what the command asks for ---- */

static bool is_defined(const call *c, const char *name, const char *value)
{
    const char *given = GetImageOption(c->info, name);
    if (!given)
        given = GetImageArtifact(c->image, name);
    return given && LocaleCompare(given, value) == 0;
}

/* Refuses defines that mean nothing: a misspelt raiiaf:carry=none would publish a prompt. */
static bool check_defines(call *c)
{
    static const char *const known[][2] = {{PREFIX "latents", "keep,drop"},
                                           {PREFIX "carry", "all,manifest,none"},
                                           {PREFIX "passthrough", "true,false"},
                                           {PREFIX "drift", "ignore,warn"}};
    ResetImageOptionIterator(c->info);
    for (const char *name; (name = GetNextImageOption(c->info));) {
        const char *values = NULL;
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            values = LocaleCompare(name, known[i][0]) == 0 ? known[i][1] : values;
        if (STARTS_WITH(name, PREFIX) && IsOptionMember(GetImageOption(c->info, name), values) == MagickFalse)
            return complain(c, OptionError, values ? values : _("no such define (-set is for properties)"), name);
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
    bool found = info->quality || info->density || info->page || info->depth || info->type != UndefinedType ||
                 info->units != UndefinedResolution || info->interlace > NoInterlace ||
                 GetImageOption(info, "caption") || GetImageOption(info, "comment") || GetImageOption(info, "label");
    ResetImageOptionIterator(info);
    for (const char *name; !found && (name = GetNextImageOption(info));)
        found = is_for_coder(name);
    ResetImageArtifactIterator(image);
    for (const char *name; !found && (name = GetNextImageArtifact(image));)
        found = is_for_coder(name);
    return found;
}

static bool skips_profile(const call *c)
{
    return IsOptionMember("raiiaf", GetImageOption(c->info, "profile:skip")) != MagickFalse;
}

/* -strip leaves the properties behind, but also this order to the PNG coder. */
static bool is_stripped(const call *c)
{
    const char *excluded = GetImageArtifact(c->image, "png:exclude-chunk");
    if (!excluded)
        excluded = GetImageOption(c->info, "png:exclude-chunk");
    return IsOptionMember("zTXt", excluded) != MagickFalse || IsOptionMember("all", excluded) != MagickFalse;
}

/* ---- what decides whether an image is unchanged: its pixels, and what else a PNG expresses ---- */

/* How an image's pixels lie in memory; a PNG of the image's depth will round them. */
static raiiaf_samples samples_of(const Image *image)
{
#if MAGICK6
#define OFFSET(sample) (int)(offsetof(PixelPacket, sample) / sizeof(Quantum))
    raiiaf_samples samples = {.type = RAIIAF_SAMPLES_16,
                              .stride = sizeof(PixelPacket) / sizeof(Quantum),
                              .channel = {OFFSET(red), OFFSET(green), OFFSET(blue), OFFSET(opacity)},
                              .inverted = true};
#else
#define OFFSET(channel) (int)GetPixelChannelOffset(image, channel##PixelChannel)
    raiiaf_samples samples = {.type = MAGICKCORE_HDRI_ENABLE ? RAIIAF_SAMPLES_FLOAT : RAIIAF_SAMPLES_16,
                              .stride = (unsigned)GetPixelChannels(image),
                              .channel = {OFFSET(Red), OFFSET(Green), OFFSET(Blue), OFFSET(Alpha)}};
    if (image->colorspace == CMYKColorspace)
        samples.channel[3] = OFFSET(Black);
    else
#endif
    if (!HAS_ALPHA(image))
        samples.channel[3] = -1;
    samples.narrow = image->depth <= 8;
    return samples;
}

/* Of an image in memory that is one look at it; of one on disk it bounds what is read at a time. */
#define PIXELS_AT_ONCE ((size_t)4 << 20)

static bool digest_pixels(call *c, const Image *image, unsigned channels, unsigned depth,
                          char digest[RAIIAF_DIGEST_SIZE])
{
    raiiaf_pixels *pixels;
    const raiiaf_samples samples = samples_of(image);
    const void *rows = image;
    size_t step = 1 + PIXELS_AT_ONCE / image->columns;
    if (MAGICK6 && image->colorspace == CMYKColorspace) /* whose K isn't among the pixels */
        return false;
    if (raiiaf_pixels_begin(&pixels, (uint32_t)image->columns, (uint32_t)image->rows, channels, depth > 8 ? 16 : 8,
                            NULL) != RAIIAF_OK)
        return false;
    for (size_t y = 0; rows && y < image->rows; y += step) {
        size_t height = image->rows - y < step ? image->rows - y : step;
        if ((rows = GetVirtualPixels(image, 0, (ssize_t)y, image->columns, height, c->exception)))
            raiiaf_pixels_update_samples(pixels, &samples, rows, image->columns * height,
                                         (unsigned)GetMagickResourceLimit(ThreadResource));
    }
    return raiiaf_pixels_end(pixels, rows ? digest : NULL);
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
    if (plain)
        SetImageProperty(image, key, text WITH(NULL)); /* no name that ImageMagick checks */
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

static Image *decode_image(call *c, const char *coder)
{
    raiiaf_check *check;
    raiiaf_buffer bytes;
    if (raiiaf_check_begin(&check, c->file, cache, &bytes, &c->error) != RAIIAF_OK)
        return NULL;
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
    Image *image = BlobToImage(info, bytes.data, bytes.size, c->exception);
    info = DestroyImageInfo(info);
    if (raiiaf_check_end(check, &c->error) != RAIIAF_OK && image)
        image = DestroyImageList(image);
    raiiaf_buffer_free(&bytes);
    return image;
}

/* Puts the capsule beside the pixels, and what may be wanted again into the cache. */
static bool attach_capsule(call *c, Image *image, const raiiaf_image_info *form)
{
    static atomic_uint count;
    char digest[RAIIAF_DIGEST_SIZE], name[96];
    bool none = is_defined(c, PREFIX "carry", "none") || skips_profile(c);
    bool some = none || is_defined(c, PREFIX "carry", "manifest");
    unsigned all = is_defined(c, PREFIX "latents", "drop") ? RAIIAF_CAPSULE_NO_LATENTS : 0;
    bool wishes = has_wishes(c->info, image);
    bool digested = !wishes && digest_pixels(c, image, form->channels, form->depth, digest);
    raiiaf_buffer whole = {0}, manifest = {0};
    bool good = !raiiaf_capsule_make(c->file, digested ? digest : NULL, all, &whole, &c->error) &&
                !raiiaf_capsule_make(c->file, digested ? digest : NULL, RAIIAF_CAPSULE_NO_CHUNKS, &manifest, &c->error);
    const raiiaf_buffer *shown = some ? &manifest : &whole, *kept = some ? &whole : &manifest;
    if (good && !none) {
        StringInfo *profile = BlobToStringInfo(shown->data, shown->size);
        SetImageProfile(image, "raiiaf", profile WITH(c->exception));
        profile = DestroyStringInfo(profile);
    }
    snprintf(name, sizeof name, "%s %u", none ? "none" : some ? "manifest" : "all", atomic_fetch_add(&count, 1));
    if (good && raiiaf_cache_put(cache, name, kept->data, kept->size, NULL) == RAIIAF_OK)
        SetImageArtifact(image, ORIGIN, name);
    if (good && !wishes) {
        raiiaf_chunk_info chunk;
        StringInfo *now = snapshot(image WITH(c->exception));
        raiiaf_chunk_get(c->file, raiiaf_image_chunk(c->file), &chunk);
        snprintf(name, sizeof name, SNAPSHOT, chunk.sha256);
        raiiaf_cache_put(cache, name, GetStringInfoDatum(now), GetStringInfoLength(now), NULL);
        now = DestroyStringInfo(now);
    }
    raiiaf_buffer_free(&whole);
    raiiaf_buffer_free(&manifest);
    return good;
}

/* The picture: the blob's own image where pinging is enough, NULL where there is none. */
static Image *read_picture(call *c)
{
    static const char *const coders[] = {NULL, "PNG", "JPEG", "WEBP", "BMP"}; /* no other is ever called */
    raiiaf_image_info form;
    if (raiiaf_image_chunk(c->file) == RAIIAF_NONE) {
        complain(c, CoderError, _("no image in this file; raiiaf extract hands out the rest"), c->info->filename);
        return NULL;
    }
    if (raiiaf_image_probe(c->file, &form, &c->error) != RAIIAF_OK)
        return NULL;
    if ((size_t)form.format >= sizeof coders / sizeof *coders || !coders[form.format]) {
        complain(c, CoderError, _("the image is no PNG, JPEG, WebP or BMP; raiiaf extract --image hands it out"),
                 c->info->filename);
        return NULL;
    }
    if (c->info->ping != MagickFalse) {
        ping_image(c->image, &form WITH(c->exception));
        return c->image;
    }
    Image *image = decode_image(c, coders[form.format]);
    if (image && !c->info->stream && !attach_capsule(c, image, &form))
        image = DestroyImageList(image);
    return image;
}

static Image *ReadRAIIAFImage(const ImageInfo *image_info, ExceptionInfo *exception)
{
    call c = {.info = image_info, .image = AcquireImage(image_info WITH(exception)), .exception = exception};
    Image *image = NULL;
    if (OpenBlob(image_info, c.image, ReadBinaryBlobMode, exception) == MagickFalse)
        return DestroyImageList(c.image);
    if (check_defines(&c) && open_blob(&c) &&
        (!is_defined(&c, PREFIX "drift", "warn") || !raiiaf_drift_each(c.file, on_drift, &c, &c.error)))
        image = read_picture(&c);
    if (!image)
        pass_on(&c);
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

static bool open_capsule(call *c, raiiaf_file **file, const raiiaf_buffer *capsule)
{
    raiiaf_source source;
    raiiaf_source_memory(&source, capsule->data, capsule->size, c->image->filename, NULL, NULL);
    return raiiaf_open(file, &source, NULL, &c->error) == RAIIAF_OK;
}

/* The capsule that ImageMagick 7 didn't read from a PNG because it is large; a small one was taken off by somebody. */
static raiiaf_buffer capsule_of_source(call *c)
{
    const size_t large = 3 << 20;
    size_t size = 0;
    struct stat status;
    raiiaf_buffer capsule = {0};
    if (LocaleCompare(c->image->magick, "PNG") != 0 || skips_profile(c))
        return capsule;
    ImageInfo *info = AcquireImageInfo();
    CopyMagickString(info->filename, c->image->magick_filename, MagickPathExtent);
    SetImageInfo(info, 0, c->exception);
    bool plain = stat(info->filename, &status) == 0 && S_ISREG(status.st_mode) && (size_t)status.st_size > large;
    void *png = plain ? FileToBlob(info->filename, SIZE_MAX, &size, c->exception) : NULL;
    if (png && raiiaf_capsule_find(png, size, NULL, &capsule, NULL) == RAIIAF_OK && capsule.size < large)
        raiiaf_buffer_free(&capsule);
    RelinquishMagickMemory(png);
    info = DestroyImageInfo(info);
    return capsule;
}

/* Puts each property raiiaf:* that isn't as `shown` (may be NULL) has it into the manifest. */
static bool apply_properties(call *c, const raiiaf_file *shown)
{
    /* These two empty texts and drop backslashes. */
    bool lossy = LocaleCompare(c->image->magick, "MIFF") == 0 || LocaleCompare(c->image->magick, "MPC") == 0;
    size_t failures = SIZE_MAX, before;
    do { /* some have to wait for others: gpu.0.driver for gpu.0.name */
        before = failures;
        failures = 0;
        ResetImagePropertyIterator(c->image);
        for (const char *name; (name = GetNextImageProperty(c->image));) {
            const char *text = STARTS_WITH(name, PREFIX) ? GetImageProperty(c->image, name WITH(c->exception)) : NULL;
            if (text && raiiaf_text_apply(c->file, shown, name + sizeof PREFIX - 1, text, lossy ? RAIIAF_TEXT_LOSSY : 0,
                                          failures ? NULL : &c->error))
                failures++;
        }
    } while (failures && failures < before);
    return !failures;
}

/* Whether run lengths make about as small a PNG as zlib's usual search: tried on three bands of the image. */
static bool suits_runs(call *c)
{
    const Image *image = c->image;
    const raiiaf_samples samples = samples_of(image);
    uint64_t usual = 0, runs = 0;
    size_t height = 1 + image->rows / 128;
    for (size_t i = 0; i < 3 && image->storage_class == DirectClass; i++) {
        const void *rows =
            GetVirtualPixels(image, 0, (ssize_t)(image->rows * i / 3), image->columns, height, c->exception);
        if (!rows || !raiiaf_png_estimate(&samples, rows, (uint32_t)image->columns, (uint32_t)height, &usual, &runs))
            return false;
    }
    return runs < usual + usual / 16;
}

/* A new PNG of the image without anything of ours. */
static void *encode_image(call *c, size_t *size)
{
    Image *clone = CloneImage(c->image, 0, 0, MagickTrue, c->exception);
    if (!clone)
        return NULL;
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
    if (!has_wishes(c->info, c->image) && suits_runs(c)) {
        SetImageOption(info, "png:compression-level", "1");
        SetImageOption(info, "png:compression-strategy", "3");
        SetImageOption(info, "png:compression-filter", "5");
    }
    void *png = ImageToBlob(info, clone, size, c->exception);
    info = DestroyImageInfo(info);
    clone = DestroyImage(clone);
    return png;
}

/* Puts the image beside what its capsule holds.  The file looks at `stored` until it is closed. */
static bool join(call *c, raiiaf_buffer *stored)
{
    Image *image = c->image;
    const char *former = raiiaf_capsule_digest(c->file), *sha256 = raiiaf_capsule_image_sha256(c->file);
    char digest[RAIIAF_DIGEST_SIZE], name[96];
    unsigned channels = 4, depth = (unsigned)image->depth;
    if (former)
        sscanf(former, "%*[^:]:%*ux%*ux%ux%u", &channels, &depth);
    bool digested = digest_pixels(c, image, channels, depth, digest);
    bool unchanged = digested && former && strcmp(digest, former) == 0 && !has_wishes(c->info, image) &&
                     !is_defined(c, PREFIX "passthrough", "false") && raiiaf_cache_get(cache, sha256, stored);
    if (unchanged) {
        raiiaf_buffer then;
        StringInfo *now = snapshot(image WITH(c->exception));
        snprintf(name, sizeof name, SNAPSHOT, sha256);
        unchanged = raiiaf_cache_get(cache, name, &then) && then.size == GetStringInfoLength(now) &&
                    memcmp(then.data, GetStringInfoDatum(now), then.size) == 0;
        now = DestroyStringInfo(now);
        raiiaf_buffer_free(&then);
    }
    raiiaf_status status = raiiaf_capsule_join(c->file, stored->data, stored->size, &c->error);
    if (status == RAIIAF_ERROR_HASH) { /* another file's, with an equal image */
        unchanged = false;
        status = raiiaf_capsule_join(c->file, NULL, 0, &c->error);
    }
    bool good = status == RAIIAF_OK && apply_properties(c, c->file);
    if (good && !unchanged) {
        size_t size = 0;
        void *png = encode_image(c, &size);
        /* In a colour model that PNG lacks the same samples mean another picture. */
        bool same_model = image->colorspace == sRGBColorspace || image->colorspace == GRAYColorspace ||
                          image->colorspace == RGBColorspace;
        good = png && !raiiaf_image_set(c->file, png, size, digested && same_model ? digest : NULL, &c->error);
        RelinquishMagickMemory(png);
    }
    return good;
}

/* A file around an image that has no capsule: what is known of it, nothing invented. */
static bool import(call *c)
{
    size_t size = 0;
    raiiaf_file *shown = NULL;
    raiiaf_buffer capsule;
    const char *id = GetImageArtifact(c->image, ORIGIN);
    int64_t modified = (int64_t)GetBlobProperties(c->image)->st_mtime;
    raiiaf_import_options options = {.modified = modified ? modified : -1};
    bool come = raiiaf_cache_get(cache, id, &capsule);
    void *png = encode_image(c, &size);
    /* Properties that merely outlived their capsule (-strip, +profile) describe nothing any more. */
    bool good = png && (!come || open_capsule(c, &shown, &capsule)) &&
                !raiiaf_import(&c->file, png, size, &options, NULL, &c->error) &&
                ((!shown && (id || is_stripped(c))) || apply_properties(c, shown));
    RelinquishMagickMemory(png);
    raiiaf_close(shown);
    raiiaf_buffer_free(&capsule);
    return good;
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

static bool save(call *c, const char *tool)
{
    Image *image = c->image;
    raiiaf_buffer bytes;
    raiiaf_save_options options = {.tool = tool,
                                   .drop_latents = is_defined(c, PREFIX "latents", "drop"),
                                   .threads = (unsigned)GetMagickResourceLimit(ThreadResource),
                                   .progress = on_progress,
                                   .progress_user = c};
    if (is_plain_target(c->info, image WITH(c->exception))) {
        if (IsRightsAuthorized(PathPolicyDomain, WritePolicyRights, image->filename) == MagickFalse)
            return complain(c, PolicyError, "NotAuthorized", image->filename);
        return raiiaf_save_path(c->file, image->filename, &options, &c->error) == RAIIAF_OK;
    }
    if (raiiaf_save_memory(c->file, &bytes, &options, &c->error) != RAIIAF_OK)
        return false;
    bool good = OpenBlob(c->info, image, WriteBinaryBlobMode, c->exception) != MagickFalse;
    if (good) {
        good = WriteBlob(image, bytes.size, bytes.data) == (ssize_t)bytes.size;
        CloseBlob(image); /* what it finds wrong ImageMagick tells */
        if (!good)
            complain(c, FileOpenError, "UnableToWriteFile", image->filename);
    }
    raiiaf_buffer_free(&bytes);
    return good;
}

static MagickBooleanType write_image(const ImageInfo *image_info, Image *image, ExceptionInfo *exception)
{
    call c = {.info = image_info, .image = image, .exception = exception};
    raiiaf_buffer capsule = {0}, stored = {0};
    const StringInfo *profile = GetImageProfile(image, "raiiaf");
    const char *id = GetImageArtifact(image, ORIGIN);
    if (id && (profile ? *id != 'a' : *id == 'n' && !is_stripped(&c))) /* not "all", or "none" */
        raiiaf_cache_get(cache, id, &capsule);
    else if (!id && !profile && !is_stripped(&c))
        capsule = capsule_of_source(&c);
    if (!capsule.size && profile)
        capsule = (raiiaf_buffer){GetStringInfoDatum(profile), GetStringInfoLength(profile), NULL};
    bool good = check_defines(&c) &&
                (capsule.size ? open_capsule(&c, &c.file, &capsule) && join(&c, &stored) : import(&c)) &&
                save(&c, capsule.size ? "ImageMagick " MagickLibVersionText MagickLibAddendum : NULL);
    if (!good)
        pass_on(&c);
    raiiaf_close(c.file); /* which looks at both until then */
    raiiaf_buffer_free(&capsule);
    raiiaf_buffer_free(&stored);
    return good ? MagickTrue : MagickFalse;
}

#if MAGICK6
static MagickBooleanType WriteRAIIAFImage(const ImageInfo *image_info, Image *image)
{
    return write_image(image_info, image, &image->exception);
}
#define write_image WriteRAIIAFImage
#endif

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
