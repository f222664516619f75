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

/* GIMP copies a parasite a few times on its way: small ones take less than half as long.  (XCF loses those of more than
   256 MiB, and all after them.) */
#define PARASITE_MOST ((size_t)256 << 10)
#define BAND 256 /* rows of pixels at a time */

/* Of GEGL and babl only buffers are needed: to look for hundreds of operations and conversions takes longer than to
   load or to save most files. */
__attribute__((constructor)) static void leave_extensions(void)
{
    g_setenv("GEGL_PATH", "", TRUE);
    g_setenv("BABL_PATH", "", TRUE);
}

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

static Image decode_image(const raiiaf_file *file, bool interactive, raiiaf_error *error)
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
#ifdef GIMP3
    if (image != NO_IMAGE)
        gimp_image_policy_rotate(image, interactive); /* as GIMP does next if it is a user who opens it */
#else
    (void)interactive;
#endif
    if (image == NO_IMAGE)
        fail(error, raiiaf_name(file), _("GIMP can't decode the image in it; raiiaf extract --image hands it out"));
    return image;
}

static bool keep(const raiiaf_file *file, Image image, raiiaf_error *error)
{
    Parasites parasites = {image, NULL, 0, (double)raiiaf_file_size(file)};
    const raiiaf_store store = {&parasites, put_parasite, NULL, NULL};
    gimp_image_undo_disable(image);
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
        image = decode_image(file, interactive, error);
    begin_progress(_("Opening '%s'"), path); /* GIMP's own decoder told another name */
    if (image != NO_IMAGE && whole && !keep(file, image, error)) {
        gimp_image_delete(image);
        image = NO_IMAGE;
    }
    raiiaf_close(file);
    gimp_progress_update(1);
    return image;
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

static bool same_pixels(GeglBuffer *a, GeglBuffer *b, const Babl *format)
{
    GeglRectangle band = *gegl_buffer_get_extent(a);
    int end = band.y + band.height;
    size_t row = (size_t)band.width * (size_t)babl_format_get_bytes_per_pixel(format);
    guint8 *of_a = g_malloc_n(row, 2 * BAND), *of_b = of_a + row * BAND;
    bool same = gegl_rectangle_equal(&band, gegl_buffer_get_extent(b));
    for (; same && band.y < end; band.y += band.height) {
        band.height = MIN(BAND, end - band.y);
        gegl_buffer_get(a, &band, 1.0, format, of_a, GEGL_AUTO_ROWSTRIDE, GEGL_ABYSS_NONE);
        gegl_buffer_get(b, &band, 1.0, format, of_b, GEGL_AUTO_ROWSTRIDE, GEGL_ABYSS_NONE);
        same = memcmp(of_a, of_b, row * (size_t)band.height) == 0;
    }
    g_free(of_a);
    return same;
}

/* In which to compare pixels: each palette has a format of its own. */
static const Babl *format_of(Layer layer)
{
    const Babl *format = gimp_drawable_get_format(GIMP_DRAWABLE(layer));
    return babl_format_is_palette(format) ? babl_format("R'G'B'A u8") : format;
}

/* Where a layer lies and how it is shown.  No image file gives it a mask or filters. */
static char *describe_layer(Layer layer)
{
    gint x = 0, y = 0;
    bool more = gimp_layer_get_mask(layer) != NO_IMAGE;
#ifdef GIMP3
    GimpDrawableFilter **filters = gimp_drawable_get_filters(GIMP_DRAWABLE(layer));
    more = more || (filters && *filters);
    g_free(filters);
#endif
    gimp_drawable_get_offsets(GIMP_DRAWABLE(layer), &x, &y);
    return g_strdup_printf("%s %d %d %d %d %ld %d %d", babl_format_get_encoding(format_of(layer)),
                           gimp_drawable_has_alpha(GIMP_DRAWABLE(layer)), x, y, (int)gimp_layer_get_mode(layer),
                           lrint(1000 * gimp_layer_get_opacity(layer)), gimp_item_get_visible(GIMP_ITEM(layer)), more);
}

static bool same_texts(char *a, char *b)
{
    bool same = g_strcmp0(a, b) == 0;
    g_free(a);
    g_free(b);
    return same;
}

static bool same_layer(Layer a, Layer b)
{
    if (!same_texts(describe_layer(a), describe_layer(b)))
        return false;
    GeglBuffer *of_a = gimp_drawable_get_buffer(GIMP_DRAWABLE(a)), *of_b = gimp_drawable_get_buffer(GIMP_DRAWABLE(b));
    bool same = same_pixels(of_a, of_b, format_of(a));
    g_object_unref(of_a);
    g_object_unref(of_b);
    return same;
}

static Layer *layers_of(Image image, int *count)
{
#ifdef GIMP3
    GimpLayer **layers = gimp_image_get_layers(image);
    for (*count = 0; layers && layers[*count];)
        ++*count;
    return layers;
#else
    return gimp_image_get_layers(image, count);
#endif
}

static bool same_layers(Image a, Image b)
{
    int count, count_b;
    Layer *of_a = layers_of(a, &count), *of_b = layers_of(b, &count_b);
    bool same = count == count_b;
    for (int i = 0; same && i < count; i++)
        same = same_layer(of_a[i], of_b[i]);
    g_free(of_a);
    g_free(of_b);
    return same;
}

static char *metadata_of(Image image)
{
    GimpMetadata *metadata = gimp_image_get_metadata(image);
    char *text = metadata ? gimp_metadata_serialize(metadata) : NULL;
    g_clear_object(&metadata);
    return text;
}

static bool same_profile(Image a, Image b)
{
    GimpColorProfile *of_a = gimp_image_get_color_profile(a), *of_b = gimp_image_get_color_profile(b);
    bool same = of_a && of_b ? gimp_color_profile_is_equal(of_a, of_b) : of_a == of_b;
    g_clear_object(&of_a);
    g_clear_object(&of_b);
    return same;
}

static bool has_resolution(Image image, double x, double y)
{
    double has_x = 0, has_y = 0;
    gimp_image_get_resolution(image, &has_x, &has_y);
    return lrint(1000 * has_x) == lrint(1000 * x) && lrint(1000 * has_y) == lrint(1000 * y); /* XCF rounds it */
}

/* Where a file tells no resolution, an image has that of a new one at first, and 72 dpi if it was a user who opened it,
   and not a script. */
static bool same_resolution(Image image, Image original)
{
    double x = 0, y = 0;
    gimp_image_get_resolution(original, &x, &y);
    if (has_resolution(image, x, y))
        return true;
    Image fresh = gimp_image_new(1, 1, GIMP_RGB);
    bool unknown = has_resolution(fresh, x, y);
    gimp_image_delete(fresh);
    return unknown && has_resolution(image, 72, 72);
}

static bool same_image(Image image, Image original)
{
    return gimp_image_get_base_type(image) == gimp_image_get_base_type(original) &&
           gimp_image_get_width(image) == gimp_image_get_width(original) &&
           gimp_image_get_height(image) == gimp_image_get_height(original) && same_resolution(image, original) &&
           same_texts(metadata_of(image), metadata_of(original)) && same_profile(image, original) &&
           same_texts(text_of(image, "gimp-comment"), text_of(original, "gimp-comment")) &&
           same_layers(image, original);
}

/* Whether it still is what the file's own image gives. */
static bool is_unchanged(Image image, const raiiaf_file *file)
{
    raiiaf_error error = {0};
    gegl_init(NULL, NULL);
    Image original = decode_image(file, false, &error);
    bool same = original != NO_IMAGE && same_image(image, original);
    if (original != NO_IMAGE)
        gimp_image_delete(original);
    return same;
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
    if (good && (!file || wishes->encode || raiiaf_image_chunk(file) == RAIIAF_NONE || !is_unchanged(image, file)))
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
