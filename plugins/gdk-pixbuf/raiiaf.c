/* SPDX-License-Identifier: MIT */
/*
 * raiiaf.c - RAIIAF for gdk-pixbuf: viewers and thumbnailers of GNOME, Xfce, MATE and Cinnamon.
 *
 * gdk-pixbuf's own loaders turn the embedded image into pixels and back; the container is libraiiaf's.  A picture in
 * its full size carries the file that it came from, so that saving it unchanged gives the very file.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#define GDK_PIXBUF_ENABLE_BACKEND
#include <gdk-pixbuf/gdk-pixbuf.h>
#include <stdlib.h>
#include <string.h>

#include "raiiaf.h"

#define _(text) raiiaf_translate(text)

#define TEXT "tEXt::" /* of gdk-pixbuf's names for texts */
#define MANIFEST "raiiaf::manifest"
#define ORIGIN "raiiaf-file" /* what a picture carries: the bytes of its file */

G_MODULE_EXPORT void fill_vtable(GdkPixbufModule *module);
G_MODULE_EXPORT void fill_info(GdkPixbufFormat *info);

/* Fills a GError from one of ours; always false. */
static gboolean fail(GError **error, const raiiaf_error *ours)
{
    int code = GDK_PIXBUF_ERROR_CORRUPT_IMAGE;
    if (ours->status == RAIIAF_ERROR_MEMORY || ours->status == RAIIAF_ERROR_LIMIT)
        code = GDK_PIXBUF_ERROR_INSUFFICIENT_MEMORY;
    else if (ours->status == RAIIAF_ERROR_SCHEMA || ours->status == RAIIAF_ERROR_ARGUMENT)
        code = GDK_PIXBUF_ERROR_BAD_OPTION;
    else if (ours->status == RAIIAF_ERROR_IO)
        code = GDK_PIXBUF_ERROR_FAILED;
    if (error && !*error)
        g_set_error_literal(error, GDK_PIXBUF_ERROR, code, ours->text);
    return FALSE;
}

static raiiaf_status open_bytes(raiiaf_file **file, const void *data, size_t size, raiiaf_error *error)
{
    raiiaf_source source;
    raiiaf_source_memory(&source, data, size, "RAIIAF", NULL, NULL);
    return raiiaf_open(file, &source, NULL, error);
}

/* ---- the embedded image ---- */

/* What the caller wants to know of a picture, and may wish of it, as soon as its size is known. */
typedef struct wish {
    GdkPixbufModuleSizeFunc ask;
    gpointer user;
    gboolean refused, scaled;
} wish;

static void on_size(GdkPixbufLoader *loader, int width, int height, gpointer user)
{
    wish *w = user;
    int wide = width, high = height;
    w->ask(&wide, &high, w->user);
    w->refused = wide <= 0 || high <= 0;
    w->scaled = !w->refused && (wide != width || high != height);
    if (w->scaled)
        gdk_pixbuf_loader_set_size(loader, wide, high);
}

static GdkPixbuf *decode(raiiaf_image_format format, const raiiaf_buffer *image, wish *w, GError **error)
{
    GdkPixbuf *pixbuf = NULL;
    gchar *name = g_ascii_strdown(raiiaf_image_format_name(format), -1);
    GdkPixbufLoader *loader = gdk_pixbuf_loader_new_with_type(name, error);
    g_free(name);
    if (!loader)
        return NULL;
    if (w)
        g_signal_connect(loader, "size-prepared", G_CALLBACK(on_size), w);
    gboolean written = gdk_pixbuf_loader_write(loader, image->data, image->size, error);
    gboolean good = gdk_pixbuf_loader_close(loader, written ? error : NULL) && written;
    if (good && w && w->refused)
        g_set_error_literal(error, GDK_PIXBUF_ERROR, GDK_PIXBUF_ERROR_FAILED,
                            _("a picture without any size was asked for"));
    else if (good && (pixbuf = gdk_pixbuf_loader_get_pixbuf(loader)))
        g_object_ref(pixbuf);
    g_object_unref(loader);
    return pixbuf;
}

/* The file's picture; its hash is verified meanwhile. */
static GdkPixbuf *read_picture(raiiaf_file *file, wish *w, GError **error)
{
    raiiaf_check *check;
    raiiaf_buffer image;
    raiiaf_error ours = {0};
    if (raiiaf_check_begin(&check, file, NULL, &image, &ours)) {
        fail(error, &ours);
        return NULL;
    }
    GError *theirs = NULL;
    raiiaf_image_info form = {0};
    raiiaf_image_probe_memory(image.data, image.size, &form);
    /* An image of another kind, our own above all, isn't looked into. */
    GdkPixbuf *pixbuf = form.format ? decode(form.format, &image, w, &theirs) : NULL;
    if (raiiaf_check_end(check, &ours)) { /* which tells more than what the decoder made of damaged bytes */
        fail(error, &ours);
        g_clear_object(&pixbuf);
        g_clear_error(&theirs);
    } else if (theirs) {
        g_propagate_error(error, theirs);
    } else if (!pixbuf) {
        g_set_error_literal(error, GDK_PIXBUF_ERROR, GDK_PIXBUF_ERROR_UNKNOWN_TYPE,
                            _("the image is no PNG, JPEG, WebP or BMP; raiiaf extract --image hands it out"));
    }
    raiiaf_buffer_free(&image);
    return pixbuf;
}

/* ---- loading ---- */

typedef struct loading {
    wish wish;
    GdkPixbufModulePreparedFunc prepared;
    GdkPixbufModuleUpdatedFunc updated;
    guchar *data;
    size_t size, room;
} loading;

static gpointer begin_load(GdkPixbufModuleSizeFunc ask, GdkPixbufModulePreparedFunc prepared,
                           GdkPixbufModuleUpdatedFunc updated, gpointer user, GError **error)
{
    loading *l = calloc(1, sizeof *l);
    if (!l) {
        g_set_error_literal(error, GDK_PIXBUF_ERROR, GDK_PIXBUF_ERROR_INSUFFICIENT_MEMORY, _("not enough memory"));
        return NULL;
    }
    l->wish = (wish){.ask = ask, .user = user};
    l->prepared = prepared;
    l->updated = updated;
    return l;
}

static gboolean load_increment(gpointer context, const guchar *data, guint size, GError **error)
{
    loading *l = context;
    if (size > l->room - l->size) {
        size_t room = 2 * (l->size + size);
        guchar *more = l->size + size > RAIIAF_LIMIT_STREAM_SIZE ? NULL : realloc(l->data, room);
        if (!more) {
            g_set_error_literal(error, GDK_PIXBUF_ERROR, GDK_PIXBUF_ERROR_INSUFFICIENT_MEMORY,
                                _("the file is too large to be held in memory"));
            return FALSE;
        }
        l->data = more;
        l->room = room;
    }
    memcpy(l->data + l->size, data, size);
    l->size += size;
    return TRUE;
}

static bool set_text(void *user, const char *name, const char *text)
{
    gchar *key = g_strconcat(TEXT, name, NULL);
    gdk_pixbuf_remove_option(user, key); /* the image's own text of that name */
    gdk_pixbuf_set_option(user, key, text);
    g_free(key);
    return true;
}

static void set_options(GdkPixbuf *pixbuf, const raiiaf_file *file)
{
    raiiaf_buffer parameters;
    const char *text;
    size_t size;
    raiiaf_manifest_text(file, &text, &size);
    gchar *manifest = g_strndup(text, size);
    gdk_pixbuf_set_option(pixbuf, MANIFEST, manifest);
    g_free(manifest);
    raiiaf_text_each(file, set_text, pixbuf);
    if (raiiaf_parameters(file, &parameters, NULL) == RAIIAF_OK)
        set_text(pixbuf, "parameters", (const char *)parameters.data);
    raiiaf_buffer_free(&parameters);
}

static gboolean stop_load(gpointer context, GError **error)
{
    loading *l = context;
    raiiaf_file *file = NULL;
    raiiaf_error ours = {0};
    GdkPixbuf *pixbuf = NULL;
    if (open_bytes(&file, l->data, l->size, &ours))
        fail(error, &ours);
    else
        pixbuf = read_picture(file, &l->wish, error);
    if (pixbuf) {
        set_options(pixbuf, file);
        if (!l->wish.scaled) { /* a smaller picture is another one, and nobody wants thumbnails that weigh megabytes */
            g_object_set_data_full(G_OBJECT(pixbuf), ORIGIN,
                                   g_bytes_new_with_free_func(l->data, l->size, free, l->data),
                                   (GDestroyNotify)g_bytes_unref);
            l->data = NULL;
        }
        /* Some programs, Geeqie for one, blank a picture that is prepared, as they take it for empty yet. */
        GdkPixbuf *kept = gdk_pixbuf_copy(pixbuf);
        l->prepared(pixbuf, NULL, l->wish.user);
        if (kept)
            gdk_pixbuf_copy_area(kept, 0, 0, gdk_pixbuf_get_width(kept), gdk_pixbuf_get_height(kept), pixbuf, 0, 0);
        g_clear_object(&kept);
        l->updated(pixbuf, 0, 0, gdk_pixbuf_get_width(pixbuf), gdk_pixbuf_get_height(pixbuf), l->wish.user);
    }
    raiiaf_close(file); /* whose bytes stay while the picture has them */
    gboolean good = pixbuf != NULL;
    g_clear_object(&pixbuf);
    free(l->data);
    free(l);
    return good;
}

/* ---- saving ---- */

typedef struct target {
    GdkPixbufSaveFunc write;
    gpointer user;
    GError **error;
} target;

static bool write_bytes(void *user, const void *data, size_t size)
{
    target *t = user;
    return t->write(data, size, t->error, t->user);
}

static bool commit(void *user)
{
    (void)user;
    return true;
}

static void give_up(void *user)
{
    (void)user;
}

static gboolean is_save_option_supported(const gchar *key)
{
    static const char *const known[] = {MANIFEST, "icc-profile", "compression", "x-dpi", "y-dpi"};
    for (size_t i = 0; i < G_N_ELEMENTS(known); i++)
        if (strcmp(key, known[i]) == 0)
            return TRUE;
    return g_str_has_prefix(key, TEXT) && key[strlen(TEXT)];
}

/* The settings that everybody knows by that name; any other text belongs to the image. */
static gboolean is_setting(const char *key)
{
    if (!g_str_has_prefix(key, TEXT))
        return FALSE;
    for (size_t i = 0; raiiaf_legacy_field(i); i++)
        if (strcmp(key + strlen(TEXT), raiiaf_legacy_field(i)) == 0)
            return TRUE;
    return FALSE;
}

static gboolean same_pixels(const GdkPixbuf *a, const GdkPixbuf *b)
{
    int height = gdk_pixbuf_get_height(a), stride_a = gdk_pixbuf_get_rowstride(a),
        stride_b = gdk_pixbuf_get_rowstride(b);
    size_t row = (size_t)gdk_pixbuf_get_width(a) * (size_t)gdk_pixbuf_get_n_channels(a);
    const guchar *pixels_a = gdk_pixbuf_read_pixels(a), *pixels_b = gdk_pixbuf_read_pixels(b);
    if (gdk_pixbuf_get_width(a) != gdk_pixbuf_get_width(b) || gdk_pixbuf_get_height(b) != height ||
        gdk_pixbuf_get_n_channels(a) != gdk_pixbuf_get_n_channels(b))
        return FALSE;
    for (int y = 0; y < height; y++)
        if (memcmp(pixels_a + (size_t)y * (size_t)stride_a, pixels_b + (size_t)y * (size_t)stride_b, row) != 0)
            return FALSE;
    return TRUE;
}

/* Whether the picture still is that of the file, and nothing was asked of its encoding. */
static gboolean is_unchanged(raiiaf_file *file, const GdkPixbuf *pixbuf, gchar **keys)
{
    for (; keys && *keys; keys++)
        if (strcmp(*keys, MANIFEST) != 0 && !is_setting(*keys))
            return FALSE;
    GdkPixbuf *former = read_picture(file, NULL, NULL);
    gboolean same = former && same_pixels(former, pixbuf);
    g_clear_object(&former);
    return same;
}

/* Takes over an option of the picture, or one of the caller's, for the PNG. */
static void pass_option(GPtrArray *keys, GPtrArray *values, const char *key, const char *value)
{
    if (!g_ptr_array_find_with_equal_func(keys, key, g_str_equal, NULL)) {
        g_ptr_array_add(keys, (gpointer)key);
        g_ptr_array_add(values, (gpointer)value);
    }
}

/* A PNG of the picture, with the texts that belong to it.  What is in the manifest of `file` (may be NULL) isn't said
   twice. */
static gboolean encode(GdkPixbuf *pixbuf, const raiiaf_file *file, gchar **keys, gchar **values, gchar **png,
                       gsize *size, GError **error)
{
    GPtrArray *names = g_ptr_array_new(), *texts = g_ptr_array_new();
    for (; keys && *keys; keys++, values++)
        if (strcmp(*keys, MANIFEST) != 0 && !is_setting(*keys))
            pass_option(names, texts, *keys, *values);
    GHashTableIter options;
    gpointer key, value;
    raiiaf_value setting;
    GHashTable *own = gdk_pixbuf_get_options(pixbuf);
    for (g_hash_table_iter_init(&options, own); g_hash_table_iter_next(&options, &key, &value);)
        if (strcmp(key, "icc-profile") == 0 ||
            (g_str_has_prefix(key, TEXT) && !(file && raiiaf_setting(file, (char *)key + strlen(TEXT), &setting))))
            pass_option(names, texts, key, value);
    g_ptr_array_add(names, NULL);
    g_ptr_array_add(texts, NULL);
    gboolean good =
        gdk_pixbuf_save_to_bufferv(pixbuf, png, size, "png", (char **)names->pdata, (char **)texts->pdata, error);
    g_hash_table_unref(own);
    g_ptr_array_unref(names);
    g_ptr_array_unref(texts);
    return good;
}

/* The file that a picture is saved as: its own, if it carries one, else a new one with what is known, nothing invented.
 */
static gboolean make_file(raiiaf_file **file, GdkPixbuf *pixbuf, gchar **keys, gchar **values, GError **error)
{
    raiiaf_error ours = {0};
    raiiaf_status status = RAIIAF_OK;
    GBytes *origin = g_object_get_data(G_OBJECT(pixbuf), ORIGIN);
    const char *manifest = gdk_pixbuf_get_option(pixbuf, MANIFEST);
    gchar *png = NULL;
    gsize size = 0;
    if (origin) {
        status = open_bytes(file, g_bytes_get_data(origin, NULL), g_bytes_get_size(origin), &ours);
        if (!status && is_unchanged(*file, pixbuf, keys))
            return TRUE;
    } else if (manifest) {
        status = raiiaf_new(file, NULL, &ours);
        if (!status)
            status = raiiaf_merge(*file, manifest, strlen(manifest), &ours);
    }
    if (status)
        return fail(error, &ours);
    if (!encode(pixbuf, *file, keys, values, &png, &size, error))
        return FALSE;
    status =
        *file ? raiiaf_image_set(*file, png, size, NULL, &ours) : raiiaf_import(file, png, size, NULL, NULL, &ours);
    g_free(png);
    return status ? fail(error, &ours) : TRUE;
}

static gboolean apply_keys(raiiaf_file *file, gchar **keys, gchar **values, GError **error)
{
    raiiaf_error ours = {0};
    raiiaf_status status = RAIIAF_OK;
    for (size_t i = 0; !status && keys && keys[i]; i++)
        if (strcmp(keys[i], MANIFEST) == 0)
            status = raiiaf_merge(file, values[i], strlen(values[i]), &ours);
    for (size_t i = 0; !status && keys && keys[i]; i++)
        if (is_setting(keys[i]))
            status = raiiaf_text_apply(file, file, keys[i] + strlen(TEXT), values[i], 0, &ours);
    return status ? fail(error, &ours) : TRUE;
}

static gboolean check_keys(gchar **keys, GError **error)
{
    for (; keys && *keys; keys++)
        if (!is_save_option_supported(*keys)) {
            g_set_error(error, GDK_PIXBUF_ERROR, GDK_PIXBUF_ERROR_BAD_OPTION, _("there is no option %s"), *keys);
            return FALSE;
        }
    return TRUE;
}

static gboolean save_to_callback(GdkPixbufSaveFunc write, gpointer user, GdkPixbuf *pixbuf, gchar **keys,
                                 gchar **values, GError **error)
{
    raiiaf_file *file = NULL;
    raiiaf_error ours = {0};
    target t = {write, user, error};
    const raiiaf_sink sink = {&t, "RAIIAF", write_bytes, commit, give_up};
    gchar *tool = g_strconcat("gdk-pixbuf ", gdk_pixbuf_version, NULL);
    const raiiaf_save_options options = {.tool = tool};
    gboolean good = check_keys(keys, error) && make_file(&file, pixbuf, keys, values, error) &&
                    apply_keys(file, keys, values, error) &&
                    (!raiiaf_save(file, &sink, &options, &ours) || fail(error, &ours));
    raiiaf_close(file);
    g_free(tool);
    return good;
}

/* ---- registration ---- */

void fill_vtable(GdkPixbufModule *module)
{
    module->begin_load = begin_load;
    module->load_increment = load_increment;
    module->stop_load = stop_load;
    module->save_to_callback = save_to_callback;
    module->is_save_option_supported = is_save_option_supported;
}

void fill_info(GdkPixbufFormat *info)
{
    static GdkPixbufModulePattern signature[] = {{"raiiaf", NULL, 100}, {"GEN5", NULL, 100}, {NULL, NULL, 0}};
    static gchar *mime_types[] = {"image/x-raiiaf", NULL}, *extensions[] = {"raiiaf", "gen5", NULL};
    info->name = "raiiaf";
    info->signature = signature;
    info->description = "RAIIAF";
    info->mime_types = mime_types;
    info->extensions = extensions;
    info->flags = GDK_PIXBUF_FORMAT_WRITABLE | GDK_PIXBUF_FORMAT_THREADSAFE;
    info->license = "MIT";
    info->domain = "raiiaf";
}
