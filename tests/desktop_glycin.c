/* SPDX-License-Identifier: MIT */
/*
 * desktop_glycin.c - loads pictures as Loupe does, for desktop_test.py.
 *
 * desktop_glycin SANDBOX FILE...
 *
 * For each file prints "ok WIDTHxHEIGHTxCHANNELS SHA-256-of-the-pixels", or "error" and the message.  SANDBOX is yes or
 * no.
 */
#include <gio/gio.h>
#include <glycin.h>
#include <stdio.h>
#include <string.h>

static void print_frame(GlyFrame *frame)
{
    guint32 width = gly_frame_get_width(frame), height = gly_frame_get_height(frame);
    guint channels = gly_memory_format_has_alpha(gly_frame_get_memory_format(frame)) ? 4 : 3;
    const guchar *pixels = g_bytes_get_data(gly_frame_get_buf_bytes(frame), NULL);
    GChecksum *sum = g_checksum_new(G_CHECKSUM_SHA256);
    for (guint32 y = 0; y < height; y++)
        g_checksum_update(sum, pixels + (gsize)y * gly_frame_get_stride(frame), (gssize)width * channels);
    printf("ok %ux%ux%u %s\n", width, height, channels, g_checksum_get_string(sum));
    g_checksum_free(sum);
}

int main(int count, char **words)
{
    for (int i = 2; i < count; i++) {
        GError *error = NULL;
        GFile *file = g_file_new_for_path(words[i]);
        GlyLoader *loader = gly_loader_new(file);
        gly_loader_set_sandbox_selector(loader, strcmp(words[1], "yes") == 0 ? GLY_SANDBOX_SELECTOR_BWRAP
                                                                             : GLY_SANDBOX_SELECTOR_NOT_SANDBOXED);
        GlyImage *image = gly_loader_load(loader, &error);
        GlyFrame *frame = image ? gly_image_next_frame(image, &error) : NULL;
        if (frame)
            print_frame(frame);
        else
            printf("error %s\n", error ? g_strdelimit(error->message, "\n", ' ') : "without a message");
        g_clear_object(&frame);
        g_clear_object(&image);
        g_clear_error(&error);
        g_object_unref(loader);
        g_object_unref(file);
    }
    return 0;
}
