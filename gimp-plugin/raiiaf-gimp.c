/* SPDX-License-Identifier: MIT */
/*
 * raiiaf-gimp.c - .raiiaf files in GIMP, for versions 2.10 and 3.0 alike.
 *
 * GIMP's own plug-ins turn the embedded image into pixels and back; the container is libraiiaf's.  All of the file
 * travels beside the pixels in parasites, so that an image that nobody changed becomes the very file again.
 * doc/gimp.md tells users what is kept, and how "unchanged" is decided.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "raiiaf-gimp.h"

#define PARASITE_MOST ((size_t)64 << 20) /* XCF loses those of more than 256 MiB, and all after them */
#define BAND 256                         /* rows of pixels at a time */
#define KEY "raiiaf/key"
#define KEY_IMPORTED                                                                                                   \
    "raiiaf/key-imported" /* the same at 72 dpi: GIMP's own, if the file says none and a user opens it */

static void on_warning(void *user, const raiiaf_error *warning)
{
    (void)user;
    g_message("%s", warning->text);
}

static bool fail(raiiaf_error *error, const char *name, const char *problem)
{
    error->status = RAIIAF_ERROR_UNSUPPORTED;
    g_snprintf(error->text, sizeof error->text, "%s: %s", name, problem);
    return false;
}

/* Of GEGL, buffers are all that is needed here: its hundreds of operations would take longer to load than most files.
 */
void begin(void)
{
    g_setenv("GEGL_PATH", "", TRUE);
    gegl_init(NULL, NULL);
}

/* ---- parasites ---- */

static const void *parasite_bytes(const GimpParasite *parasite, size_t *size)
{
#ifdef GIMP3
    guint32 count = 0;
    const void *data = gimp_parasite_get_data(parasite, &count);
    *size = count;
    return data;
#else
    *size = (size_t)gimp_parasite_data_size(parasite);
    return gimp_parasite_data(parasite);
#endif
}

void attach(Image image, const char *name, const void *data, size_t size)
{
    GimpParasite *parasite =
        gimp_parasite_new(name, GIMP_PARASITE_PERSISTENT | GIMP_PARASITE_UNDOABLE, (guint32)size, data);
    gimp_image_attach_parasite(image, parasite);
    gimp_parasite_free(parasite);
}

/* A parasite's text, or NULL. */
static char *text_of(Image image, const char *name)
{
    size_t size;
    GimpParasite *parasite = gimp_image_get_parasite(image, name);
    if (!parasite)
        return NULL;
    const char *data = parasite_bytes(parasite, &size);
    char *text = g_strndup(data, size);
    gimp_parasite_free(parasite);
    return text;
}

/* An image as the library's store: parasites "raiiaf/...". */
typedef struct Parasites {
    Image image;
    GPtrArray *held;
    double done, total;
} Parasites;

static bool put_parasite(void *user, const char *name, const void *data, size_t size)
{
    Parasites *parasites = user;
    char *path = g_strconcat("raiiaf/", name, NULL);
    attach(parasites->image, path, data, size);
    g_free(path);
    parasites->done += (double)size;
    return gimp_progress_update(MIN(1, parasites->done / parasites->total)) || true;
}

static bool get_parasite(void *user, const char *name, const void **data, size_t *size)
{
    Parasites *parasites = user;
    char *path = g_strconcat("raiiaf/", name, NULL);
    GimpParasite *parasite = gimp_image_get_parasite(parasites->image, path);
    g_free(path);
    if (!parasite)
        return false;
    g_ptr_array_add(parasites->held, parasite);
    *data = parasite_bytes(parasite, size);
    return true;
}

static void release_parasites(void *user)
{
    g_ptr_array_free(((Parasites *)user)->held, TRUE);
    g_free(user);
}

raiiaf_status open_kept(raiiaf_file **file, Image image, raiiaf_error *error)
{
    Parasites *parasites = g_new0(Parasites, 1);
    const raiiaf_store store = {parasites, NULL, get_parasite, release_parasites};
    char *name = gimp_image_get_name(image);
    parasites->image = image;
    parasites->held = g_ptr_array_new_with_free_func((GDestroyNotify)gimp_parasite_free);
    raiiaf_status status = raiiaf_store_open(file, &store, name, NULL, error);
    g_free(name);
    return status;
}

/* ---- what decides whether an image is unchanged: its pixels, and what else a PNG expresses ---- */

#ifdef GIMP3
typedef GimpLayer *Layer;
#else
typedef gint32 Layer;
#undef GIMP_DRAWABLE
#undef GIMP_ITEM
#define GIMP_DRAWABLE(id) (id)
#define GIMP_ITEM(id) (id)
#define gimp_drawable_get_offsets gimp_drawable_offsets
#define gimp_image_get_base_type gimp_image_base_type
#define gimp_image_get_width gimp_image_width
#define gimp_image_get_height gimp_image_height
#endif

static void describe_pixels(GString *key, GeglBuffer *buffer, const Babl *format)
{
    static const raiiaf_samples bytes = {RAIIAF_SAMPLES_8, 1, {0, 0, 0, -1}, false, false};
    GeglRectangle band = *gegl_buffer_get_extent(buffer);
    int end = band.y + band.height;
    if (babl_format_is_palette(format))
        format = babl_format("R'G'B'A u8");
    size_t row = (size_t)band.width * (size_t)babl_format_get_bytes_per_pixel(format);
    guint8 *data = g_malloc_n(row, BAND);
    char digest[RAIIAF_DIGEST_SIZE] = "";
    raiiaf_pixels *pixels;
    if (raiiaf_pixels_begin(&pixels, (uint32_t)row, (uint32_t)band.height, 1, 8, NULL) == RAIIAF_OK) {
        for (; band.y < end; band.y += band.height) {
            band.height = MIN(BAND, end - band.y);
            gegl_buffer_get(buffer, &band, 1.0, format, data, GEGL_AUTO_ROWSTRIDE, GEGL_ABYSS_NONE);
            raiiaf_pixels_update_samples(pixels, &bytes, data, row * (size_t)band.height, 0);
        }
        raiiaf_pixels_end(pixels, digest);
    }
    g_string_append_printf(key, " %s %s", babl_format_get_encoding(format), digest);
    g_free(data);
}

static void describe_layer(GString *key, Layer layer)
{
    gint x = 0, y = 0;
    GeglBuffer *buffer = gimp_drawable_get_buffer(GIMP_DRAWABLE(layer));
    gimp_drawable_get_offsets(GIMP_DRAWABLE(layer), &x, &y);
    g_string_append_printf(key, "\nlayer %d %d %d %ld %d", x, y, (int)gimp_layer_get_mode(layer),
                           lrint(1000 * gimp_layer_get_opacity(layer)), gimp_item_get_visible(GIMP_ITEM(layer)));
    describe_pixels(key, buffer, gimp_drawable_get_format(GIMP_DRAWABLE(layer)));
    g_object_unref(buffer);
    if (gimp_layer_get_mask(layer) != NO_IMAGE) /* no image file gives a layer one, nor filters */
        g_string_append(key, " mask");
#ifdef GIMP3
    GimpDrawableFilter **filters = gimp_drawable_get_filters(GIMP_DRAWABLE(layer));
    g_string_append(key, filters && *filters ? " filters" : "");
    g_free(filters);
#endif
}

static void describe_bytes(GString *key, const char *name, const void *data, size_t size)
{
    char *sha256 = g_compute_checksum_for_data(G_CHECKSUM_SHA256, data, size);
    g_string_append_printf(key, "\n%s %s", name, sha256);
    g_free(sha256);
}

static void describe_metadata(GString *key, Image image)
{
    GimpColorProfile *profile = gimp_image_get_color_profile(image);
    GimpMetadata *metadata = gimp_image_get_metadata(image);
    char *text = metadata ? gimp_metadata_serialize(metadata) : NULL, *comment = text_of(image, "gimp-comment");
    gsize size = 0;
    const guint8 *icc = profile ? gimp_color_profile_get_icc_profile(profile, &size) : NULL;
    if (icc)
        describe_bytes(key, "profile", icc, size);
    if (text)
        describe_bytes(key, "metadata", text, strlen(text));
    if (comment)
        describe_bytes(key, "comment", comment, strlen(comment));
    g_free(comment);
    g_free(text);
    g_clear_object(&metadata);
    g_clear_object(&profile);
}

static char *describe_resolution(Image image)
{
    double x = 0, y = 0;
    gimp_image_get_resolution(image, &x, &y);
    return g_strdup_printf("%ldx%ld", lrint(1000 * x), lrint(1000 * y));
}

/* All but the resolution, with which a key begins. */
static char *describe_image(Image image)
{
    GString *key = g_string_new(NULL);
    g_string_printf(key, "\nimage %d %dx%d", (int)gimp_image_get_base_type(image), (int)gimp_image_get_width(image),
                    (int)gimp_image_get_height(image));
    describe_metadata(key, image);
#ifdef GIMP3
    GimpLayer **layers = gimp_image_get_layers(image);
    for (size_t i = 0; layers && layers[i]; i++)
        describe_layer(key, layers[i]);
#else
    int count = 0;
    gint *layers = gimp_image_get_layers(image, &count);
    for (int i = 0; i < count; i++)
        describe_layer(key, layers[i]);
#endif
    g_free(layers);
    return g_string_free(key, FALSE);
}

static void attach_key(Image image, const char *name, const char *resolution, const char *description)
{
    char *key = g_strconcat(resolution, description, NULL);
    attach(image, name, key, strlen(key));
    g_free(key);
}

static void remember_image(Image image)
{
    Image empty = gimp_image_new(1, 1, GIMP_RGB);
    char *unknown = describe_resolution(empty), *resolution = describe_resolution(image);
    char *description = describe_image(image);
    attach_key(image, KEY, resolution, description);
    if (strcmp(resolution, unknown) == 0)
        attach_key(image, KEY_IMPORTED, "72000x72000", description);
    gimp_image_delete(empty);
    g_free(description);
    g_free(resolution);
    g_free(unknown);
}

static bool has_key(Image image, const char *name, const char *resolution, const char *description)
{
    char *key = text_of(image, name);
    size_t size = strlen(resolution);
    bool same = key && strncmp(key, resolution, size) == 0 && strcmp(key + size, description) == 0;
    g_free(key);
    return same;
}

static bool is_unchanged(Image image)
{
    char *resolution = describe_resolution(image), *description = describe_image(image);
    bool same = has_key(image, KEY, resolution, description) || has_key(image, KEY_IMPORTED, resolution, description);
    g_free(description);
    g_free(resolution);
    return same;
}

/* ---- loading ---- */

/* Lets GIMP decode the image from memory that has a name: no file is left behind, whatever happens. */
static Image decode_bytes(const raiiaf_buffer *bytes, const char *procedure)
{
    Image image = NO_IMAGE;
    int memory = memfd_create("raiiaf", MFD_CLOEXEC);
    if (memory >= 0 && write(memory, bytes->data, bytes->size) == (ssize_t)bytes->size) {
        char *path = g_strdup_printf("/proc/%ld/fd/%d", (long)getpid(), memory);
        image = host_decode(procedure, path);
        g_free(path);
    }
    if (memory >= 0)
        close(memory);
    return image;
}

static Image decode_image(const raiiaf_file *file, raiiaf_error *error)
{
    static const char *const procedures[] = {NULL, "file-png-load", "file-jpeg-load", "file-webp-load",
                                             "file-bmp-load"};
    raiiaf_image_info info;
    raiiaf_buffer bytes;
    /* Verified first: what GIMP can't decode to the end, it leaves behind as half an image. */
    if (raiiaf_image_probe_known(file, &info, error) ||
        raiiaf_chunk_read(file, raiiaf_image_chunk(file), 0, &bytes, error))
        return NO_IMAGE;
    Image image = decode_bytes(&bytes, procedures[info.format]);
    raiiaf_buffer_free(&bytes);
    if (image == NO_IMAGE)
        fail(error, raiiaf_name(file), _("GIMP can't decode the image in it; raiiaf extract --image hands it out"));
    return image;
}

static bool keep(const raiiaf_file *file, Image image, raiiaf_error *error)
{
    Parasites parasites = {image, NULL, 0, (double)raiiaf_file_size(file)};
    const raiiaf_store store = {&parasites, put_parasite, NULL, NULL};
    gimp_image_undo_disable(image);
    remember_image(image);
    bool good = raiiaf_store_keep(file, &store, PARASITE_MOST, error) == RAIIAF_OK;
    gimp_image_undo_enable(image);
    return good;
}

static void begin_progress(const char *format, const char *path)
{
    char *name = g_filename_display_basename(path), *text = g_strdup_printf(format, name);
    gimp_progress_init(text);
    g_free(text);
    g_free(name);
}

Image load_file(const char *path, bool whole, bool interactive, raiiaf_error *error)
{
    const raiiaf_open_options options = {.warning = on_warning};
    raiiaf_file *file = NULL;
    Image image = NO_IMAGE;
    begin_progress(_("Opening '%s'"), path);
    if (raiiaf_open_path(&file, path, &options, error) == RAIIAF_OK)
        image = decode_image(file, error);
    begin_progress(_("Opening '%s'"), path); /* GIMP's own decoder told another name */
#ifdef GIMP3
    if (image != NO_IMAGE)
        gimp_image_policy_rotate(image, interactive); /* as GIMP itself does next, which would look like an edit */
#else
    (void)interactive;
#endif
    if (image != NO_IMAGE && whole && !keep(file, image, error)) {
        gimp_image_delete(image);
        image = NO_IMAGE;
    }
    raiiaf_close(file);
    gimp_progress_update(1);
    return image;
}

/* ---- exporting ---- */

/* The file that the image was opened from, or NULL. */
static char *imported_path(Image image)
{
#ifdef GIMP3
    GFile *file = gimp_image_get_imported_file(image);
    file = file ? file : gimp_image_get_file(image); /* where a script opened it */
    return file ? g_file_get_path(file) : NULL;
#else
    char *uri = gimp_image_get_imported_uri(image);
    uri = uri ? uri : gimp_image_get_uri(image);
    return uri ? g_filename_from_uri(uri, NULL, NULL) : NULL;
#endif
}

/* A file around an image that was never a .raiiaf: what is known of it, also by the file that it was opened from, of
   whose texts GIMP loses most. */
static bool import(raiiaf_file **file, const char *png, size_t size, Image image, raiiaf_error *error)
{
    char *manifest = text_of(image, MANIFEST); /* a script may wish for one all the same */
    char *path = imported_path(image), *original = NULL;
    gsize original_size = 0;
    raiiaf_import_options options = {.file_name = path, .modified = -1};
    if (path && g_file_get_contents(path, &original, &original_size, NULL)) {
        options.original = original;
        options.original_size = original_size;
    }
    raiiaf_status status = raiiaf_import(file, png, size, &options, NULL, error);
    if (status == RAIIAF_ERROR_UNSUPPORTED) { /* an XCF or PSD file, say: it tells nothing */
        options.original = NULL;
        status = raiiaf_import(file, png, size, &options, NULL, error);
    }
    bool good =
        status == RAIIAF_OK && (!manifest || raiiaf_merge(*file, manifest, strlen(manifest), error) == RAIIAF_OK);
    g_free(original);
    g_free(path);
    g_free(manifest);
    return good;
}

/* Puts a new PNG into the file, or makes a file around it. */
static bool put_image(raiiaf_file **file, Image image, Drawable drawable, const Wishes *wishes, raiiaf_error *error)
{
    static const int compression[] = {6, 1, 9};
    char *data = NULL, *png = host_encode(image, drawable, compression[CLAMP(wishes->effort, 0, 2)]);
    gsize size = 0;
    bool good = (png && g_file_get_contents(png, &data, &size, NULL)) ||
                fail(error, "PNG", _("GIMP can't write the image in this format"));
    if (good)
        good = *file ? raiiaf_image_set(*file, data, size, NULL, error) == RAIIAF_OK
                     : import(file, data, size, image, error);
    if (png)
        g_unlink(png);
    g_free(png);
    g_free(data);
    return good;
}

static bool on_progress(void *user, uint64_t done, uint64_t total)
{
    (void)user;
    return gimp_progress_update(total ? (double)done / (double)total : 0) || true;
}

bool export_file(Image image, Drawable drawable, const char *path, const Wishes *wishes, raiiaf_error *error)
{
    raiiaf_file *file = NULL;
    begin_progress(_("Exporting '%s'"), path);
    raiiaf_status status = open_kept(&file, image, error);
    bool good = status == RAIIAF_OK || status == RAIIAF_ERROR_MISSING;
    if (good && (!file || wishes->encode || raiiaf_image_chunk(file) == RAIIAF_NONE || !is_unchanged(image)))
        good = put_image(&file, image, drawable, wishes, error);
    begin_progress(_("Exporting '%s'"), path);
    char *version = gimp_version(), *tool = g_strconcat("GIMP ", version, NULL);
    const raiiaf_save_options options = {.tool = tool,
                                         .float16 = wishes->float16,
                                         .drop_latents = wishes->drop_latents,
                                         .repack = wishes->effort == 2,
                                         .progress = on_progress};
    good = good && raiiaf_save_path(file, path, &options, error) == RAIIAF_OK;
    g_free(tool);
    g_free(version);
    raiiaf_close(file);
    gimp_progress_update(1);
    return good;
}
