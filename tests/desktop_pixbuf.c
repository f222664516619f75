/* SPDX-License-Identifier: MIT */
/*
 * desktop_pixbuf.c - does with gdk-pixbuf what desktop_test.py asks for, as a viewer would.
 *
 * desktop_pixbuf [WORD...] FILE...
 *
 * For each file prints "ok WIDTHxHEIGHTxCHANNELS SHA-256-of-the-pixels", or "error" and the message.  Words, which go
 * before the files:
 *
 * - piece=N: loads in pieces of N bytes
 * - size=WxH: asks for that size
 * - options: prints the options; name, tab, value with escapes
 * - edit: paints one pixel
 * - copy: goes on with a copy, which has the options alone
 * - save=TYPE:OUT: saves the picture; with OUT a folder and /, under its name
 * - key=NAME=TEXT: an option for save
 */
#include <gdk-pixbuf/gdk-pixbuf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static gsize piece;
static int width, height;
static gboolean show_options, edit, copy;
static char *save;
static char *keys[16], *values[16];

static void on_size(GdkPixbufLoader *loader, int w, int h, gpointer user)
{
    (void)w, (void)h, (void)user;
    if (width > 0)
        gdk_pixbuf_loader_set_size(loader, width, height);
}

/* As Geeqie does: what is prepared is taken for empty. */
static void on_prepared(GdkPixbufLoader *loader, gpointer user)
{
    (void)user;
    gdk_pixbuf_fill(gdk_pixbuf_loader_get_pixbuf(loader), 0);
}

static GdkPixbuf *load_in_pieces(const char *path, GError **error)
{
    gchar *data;
    gsize size;
    GdkPixbuf *pixbuf = NULL;
    if (!g_file_get_contents(path, &data, &size, error))
        return NULL;
    GdkPixbufLoader *loader = gdk_pixbuf_loader_new();
    g_signal_connect(loader, "size-prepared", G_CALLBACK(on_size), NULL);
    g_signal_connect(loader, "area-prepared", G_CALLBACK(on_prepared), NULL);
    gboolean good = TRUE;
    for (gsize at = 0; good && at < size; at += piece)
        good = gdk_pixbuf_loader_write(loader, (guchar *)data + at, MIN(piece, size - at), error);
    if (gdk_pixbuf_loader_close(loader, good ? error : NULL) && good)
        pixbuf = g_object_ref(gdk_pixbuf_loader_get_pixbuf(loader));
    g_object_unref(loader);
    g_free(data);
    return pixbuf;
}

static GdkPixbuf *load(const char *path, GError **error)
{
    if (piece > 0)
        return load_in_pieces(path, error);
    return width > 0 ? gdk_pixbuf_new_from_file_at_scale(path, width, height, FALSE, error)
                     : gdk_pixbuf_new_from_file(path, error);
}

static void print_options(GdkPixbuf *pixbuf)
{
    GHashTableIter iter;
    gpointer key, value;
    GHashTable *options = gdk_pixbuf_get_options(pixbuf);
    for (g_hash_table_iter_init(&iter, options); g_hash_table_iter_next(&iter, &key, &value);) {
        gchar *text = g_strescape(value, NULL);
        printf("%s\t%s\n", (char *)key, text);
        g_free(text);
    }
    g_hash_table_unref(options);
}

static void print_picture(const GdkPixbuf *pixbuf)
{
    int channels = gdk_pixbuf_get_n_channels(pixbuf), stride = gdk_pixbuf_get_rowstride(pixbuf);
    int wide = gdk_pixbuf_get_width(pixbuf), high = gdk_pixbuf_get_height(pixbuf);
    GChecksum *sum = g_checksum_new(G_CHECKSUM_SHA256);
    for (int y = 0; y < high; y++)
        g_checksum_update(sum, gdk_pixbuf_read_pixels(pixbuf) + (gsize)y * (gsize)stride, wide * channels);
    printf("ok %dx%dx%d %s\n", wide, high, channels, g_checksum_get_string(sum));
    g_checksum_free(sum);
}

static gboolean save_picture(GdkPixbuf *pixbuf, const char *path, GError **error)
{
    gchar *type = g_strndup(save, strcspn(save, ":")), *name = g_path_get_basename(path);
    const char *place = save + strlen(type) + 1;
    gchar *out = g_strconcat(place, g_str_has_suffix(place, "/") ? name : "", NULL);
    gboolean good = gdk_pixbuf_savev(pixbuf, out, type, keys, values, error);
    g_free(type);
    g_free(name);
    g_free(out);
    return good;
}

static gboolean handle(const char *path, GError **error)
{
    GdkPixbuf *pixbuf = load(path, error);
    if (!pixbuf)
        return FALSE;
    print_picture(pixbuf);
    if (show_options)
        print_options(pixbuf);
    if (copy) {
        GdkPixbuf *other = gdk_pixbuf_copy(pixbuf);
        gdk_pixbuf_copy_options(pixbuf, other);
        g_object_unref(pixbuf);
        pixbuf = other;
    }
    if (edit)
        gdk_pixbuf_get_pixels(pixbuf)[0] ^= 0xff;
    gboolean good = !save || save_picture(pixbuf, path, error);
    g_object_unref(pixbuf);
    return good;
}

int main(int count, char **words)
{
    int n = 0;
    for (int i = 1; i < count; i++) {
        GError *error = NULL;
        char *word = words[i];
        if (g_str_has_prefix(word, "piece=")) {
            piece = strtoul(word + 6, NULL, 10);
        } else if (sscanf(word, "size=%dx%d", &width, &height) == 2) {
        } else if (strcmp(word, "options") == 0) {
            show_options = TRUE;
        } else if (strcmp(word, "edit") == 0) {
            edit = TRUE;
        } else if (strcmp(word, "copy") == 0) {
            copy = TRUE;
        } else if (g_str_has_prefix(word, "save=")) {
            save = word + 5;
        } else if (g_str_has_prefix(word, "key=") && n < 15) {
            keys[n] = g_strndup(word + 4, strcspn(word + 4, "="));
            values[n] = word + 5 + strlen(keys[n]);
            n++;
        } else if (!handle(word, &error)) {
            printf("error %s\n", error ? error->message : "without a message");
            g_clear_error(&error);
        }
    }
    return 0;
}
