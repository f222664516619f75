/* SPDX-License-Identifier: MIT */
/*
 * info.c - the dialog that shows how a picture was made: what the library tells, page by page.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <string.h>

#include "raiiaf-gimp.h"

#define PREVIEW 144
#define COPY 1
#define TEXT_CHUNK "png-raiiaf/iTXt" /* GIMP 3.0 writes a parasite of such a name into PNG files, as that chunk */

typedef struct Dialog {
    raiiaf_file *file;
    GtkWidget *window, *notebook, *message;
    GtkTextBuffer *prompts[2];
    GtkListStore *settings;
} Dialog;

static const char *const prompt_names[2] = {"prompt", "negative_prompt"};

static void tell(Dialog *dialog, const char *text)
{
    gtk_label_set_text(GTK_LABEL(dialog->message), text);
    gtk_widget_set_visible(dialog->message, *text);
}

/* ---- widgets ---- */

#ifdef GIMP3
#define new_column(spacing) gtk_box_new(GTK_ORIENTATION_VERTICAL, spacing)
#define new_row(spacing) gtk_box_new(GTK_ORIENTATION_HORIZONTAL, spacing)
#define gtk_misc_set_alignment(misc, x, y) gtk_label_set_xalign(GTK_LABEL(misc), x)
#undef GTK_MISC
#define GTK_MISC(label) (label)
#else
#define new_column(spacing) gtk_vbox_new(FALSE, spacing)
#define new_row(spacing) gtk_hbox_new(FALSE, spacing)
#endif

static GtkWidget *add_label(GtkWidget *box, const char *text)
{
    GtkWidget *label = gtk_label_new(text);
    gtk_label_set_line_wrap(GTK_LABEL(label), TRUE);
    gtk_misc_set_alignment(GTK_MISC(label), 0, 0.5);
    gtk_box_pack_start(GTK_BOX(box), label, FALSE, FALSE, 0);
    return label;
}

static GtkWidget *add_page(Dialog *dialog, const char *title)
{
    GtkWidget *box = new_column(6);
    gtk_container_set_border_width(GTK_CONTAINER(box), 12);
    gtk_notebook_append_page(GTK_NOTEBOOK(dialog->notebook), box, gtk_label_new(title));
    return box;
}

static GtkWidget *add_scrolled(GtkWidget *box)
{
    GtkWidget *scrolled = gtk_scrolled_window_new(NULL, NULL);
    gtk_scrolled_window_set_policy(GTK_SCROLLED_WINDOW(scrolled), GTK_POLICY_AUTOMATIC, GTK_POLICY_AUTOMATIC);
    gtk_scrolled_window_set_shadow_type(GTK_SCROLLED_WINDOW(scrolled), GTK_SHADOW_IN);
    gtk_box_pack_start(GTK_BOX(box), scrolled, TRUE, TRUE, 0);
    return scrolled;
}

static GtkTextBuffer *add_text(GtkWidget *box, gboolean editable)
{
    GtkWidget *view = gtk_text_view_new();
    gtk_text_view_set_wrap_mode(GTK_TEXT_VIEW(view), GTK_WRAP_WORD_CHAR);
    gtk_text_view_set_editable(GTK_TEXT_VIEW(view), editable);
    gtk_text_view_set_left_margin(GTK_TEXT_VIEW(view), 6);
    gtk_container_add(GTK_CONTAINER(add_scrolled(box)), view);
    return gtk_text_view_get_buffer(GTK_TEXT_VIEW(view));
}

/* ---- pages ---- */

/* What the library says of a topic, or why it can't. */
static char *describe(const Dialog *dialog, raiiaf_topic topic, size_t chunk)
{
    raiiaf_buffer text;
    raiiaf_error error;
    if (raiiaf_describe(dialog->file, topic, chunk, &text, &error) != RAIIAF_OK)
        return g_strdup(error.text);
    char *copy = g_strndup((const char *)text.data, text.size);
    raiiaf_buffer_free(&text);
    return copy;
}

static void add_topic(Dialog *dialog, const char *title, raiiaf_topic topic)
{
    char *text = describe(dialog, topic, 0);
    gtk_text_buffer_set_text(add_text(add_page(dialog, title), FALSE), text, -1);
    g_free(text);
}

static bool add_setting(void *user, const char *name, const char *text)
{
    Dialog *dialog = user;
    for (size_t i = 0; i < 2; i++)
        if (strcmp(name, prompt_names[i]) == 0) {
            gtk_text_buffer_set_text(dialog->prompts[i], text, -1);
            gtk_text_buffer_set_modified(dialog->prompts[i], FALSE);
            return true;
        }
    gtk_list_store_insert_with_values(dialog->settings, NULL, -1, 0, name, 1, text, -1);
    return true;
}

static void change_setting(GtkCellRendererText *cell, char *path, char *text, Dialog *dialog)
{
    GtkTreeIter row;
    raiiaf_error error = {0};
    char *name;
    (void)cell;
    if (!gtk_tree_model_get_iter_from_string(GTK_TREE_MODEL(dialog->settings), &row, path))
        return;
    gtk_tree_model_get(GTK_TREE_MODEL(dialog->settings), &row, 0, &name, -1);
    if (raiiaf_set_text(dialog->file, name, text, &error) == RAIIAF_OK)
        gtk_list_store_set(dialog->settings, &row, 1, text, -1);
    tell(dialog, error.text);
    g_free(name);
}

static void add_settings(Dialog *dialog, GtkWidget *box)
{
    GtkCellRenderer *cell = gtk_cell_renderer_text_new();
    dialog->settings = gtk_list_store_new(2, G_TYPE_STRING, G_TYPE_STRING);
    GtkWidget *tree = gtk_tree_view_new_with_model(GTK_TREE_MODEL(dialog->settings));
    g_object_set(cell, "editable", TRUE, NULL);
    g_signal_connect(cell, "edited", G_CALLBACK(change_setting), dialog);
    gtk_tree_view_insert_column_with_attributes(GTK_TREE_VIEW(tree), 0, _("Setting"), gtk_cell_renderer_text_new(),
                                                "text", 0, NULL);
    gtk_tree_view_insert_column_with_attributes(GTK_TREE_VIEW(tree), 1, _("Value (click it to change it)"), cell,
                                                "text", 1, NULL);
    gtk_container_add(GTK_CONTAINER(add_scrolled(box)), tree);
}

static void save_latent(GtkWidget *button, Dialog *dialog)
{
    raiiaf_error error = {0};
    size_t chunk = GPOINTER_TO_SIZE(g_object_get_data(G_OBJECT(button), "chunk"));
    GtkWidget *chooser =
        gtk_file_chooser_dialog_new(_("Save Latent"), GTK_WINDOW(dialog->window), GTK_FILE_CHOOSER_ACTION_SAVE,
                                    _("_Cancel"), GTK_RESPONSE_CANCEL, _("_Save"), GTK_RESPONSE_OK, NULL);
    gtk_file_chooser_set_do_overwrite_confirmation(GTK_FILE_CHOOSER(chooser), TRUE);
    gtk_file_chooser_set_current_name(GTK_FILE_CHOOSER(chooser), "latent.npy");
    if (gtk_dialog_run(GTK_DIALOG(chooser)) == GTK_RESPONSE_OK) {
        char *path = gtk_file_chooser_get_filename(GTK_FILE_CHOOSER(chooser));
        raiiaf_npy_save(dialog->file, chunk, RAIIAF_READ_LOSSY, path, &error);
        tell(dialog, error.text);
        g_free(path);
    }
    gtk_widget_destroy(chooser);
}

static void add_preview(const Dialog *dialog, GtkWidget *row, size_t chunk)
{
    raiiaf_buffer tensor;
    raiiaf_picture picture;
    raiiaf_chunk_info info;
    raiiaf_chunk_get(dialog->file, chunk, &info);
    if (raiiaf_chunk_read(dialog->file, chunk, RAIIAF_READ_LOSSY, &tensor, NULL) != RAIIAF_OK)
        return;
    if (raiiaf_latent_preview(&info, tensor.data, tensor.size, &picture, NULL) == RAIIAF_OK) {
        int width = (int)picture.width, height = (int)picture.height, most = MAX(width, height);
        GdkPixbuf *all = gdk_pixbuf_new_from_data(picture.rgb.data, GDK_COLORSPACE_RGB, FALSE, 8, width, height,
                                                  width * 3, NULL, NULL);
        GdkPixbuf *small = gdk_pixbuf_scale_simple(all, MAX(1, PREVIEW * width / most), MAX(1, PREVIEW * height / most),
                                                   most < PREVIEW ? GDK_INTERP_NEAREST : GDK_INTERP_BILINEAR);
        gtk_box_pack_start(GTK_BOX(row), gtk_image_new_from_pixbuf(small), FALSE, FALSE, 0);
        g_object_unref(small);
        g_object_unref(all);
        raiiaf_picture_free(&picture);
    }
    raiiaf_buffer_free(&tensor);
}

static void add_latents(Dialog *dialog, GtkWidget *box)
{
    GtkWidget *list = new_column(12), *view = gtk_viewport_new(NULL, NULL);
    gtk_container_set_border_width(GTK_CONTAINER(list), 12);
    gtk_viewport_set_shadow_type(GTK_VIEWPORT(view), GTK_SHADOW_NONE); /* what scrolls it has one */
    gtk_container_add(GTK_CONTAINER(view), list);
    gtk_container_add(GTK_CONTAINER(add_scrolled(box)), view);
    for (size_t i = 0; i < raiiaf_latent_count(dialog->file); i++) {
        size_t chunk = raiiaf_latent_chunk(dialog->file, i);
        GtkWidget *row = new_row(12), *column = new_column(6), *line = new_row(0);
        GtkWidget *button = gtk_button_new_with_mnemonic(_("_Save as .npy…"));
        char *text = describe(dialog, RAIIAF_TOPIC_LATENT, chunk);
        g_object_set_data(G_OBJECT(button), "chunk", GSIZE_TO_POINTER(chunk));
        g_signal_connect(button, "clicked", G_CALLBACK(save_latent), dialog);
        add_preview(dialog, row, chunk);
        add_label(column, text);
        gtk_box_pack_start(GTK_BOX(line), button, FALSE, FALSE, 0);
        gtk_box_pack_start(GTK_BOX(column), line, FALSE, FALSE, 0);
        gtk_box_pack_start(GTK_BOX(row), column, TRUE, TRUE, 0);
        gtk_box_pack_start(GTK_BOX(list), row, FALSE, FALSE, 0);
        g_free(text);
    }
    if (!raiiaf_latent_count(dialog->file))
        add_label(list, _("the file holds no latents"));
}

/* ---- what is done with it ---- */

static gboolean take_prompts(Dialog *dialog)
{
    raiiaf_error error = {0};
    for (size_t i = 0; i < 2 && !error.status; i++) {
        GtkTextIter start, end;
        gtk_text_buffer_get_bounds(dialog->prompts[i], &start, &end);
        char *text = gtk_text_buffer_get_text(dialog->prompts[i], &start, &end, TRUE);
        if (gtk_text_buffer_get_modified(dialog->prompts[i]))
            raiiaf_set_text(dialog->file, prompt_names[i], text, &error);
        g_free(text);
    }
    tell(dialog, error.text);
    return !error.status;
}

static void copy_parameters(Dialog *dialog)
{
    raiiaf_buffer text = {0};
    raiiaf_error error = {0};
    GtkClipboard *clipboard = gtk_clipboard_get(GDK_SELECTION_CLIPBOARD);
    if (raiiaf_parameters(dialog->file, &text, &error) == RAIIAF_OK) {
        gtk_clipboard_set_text(clipboard, (const char *)text.data, (int)text.size);
        gtk_clipboard_store(clipboard);
    }
    tell(dialog, error.status ? error.text : _("Prompt and settings are in the clipboard."));
    raiiaf_buffer_free(&text);
}

#ifdef GIMP3
static gboolean is_published(Image image)
{
    GimpParasite *parasite = gimp_image_get_parasite(image, TEXT_CHUNK);
    if (parasite)
        gimp_parasite_free(parasite);
    return parasite != NULL;
}

static void publish(Image image, const raiiaf_file *file, gboolean wanted)
{
    static const char head[] = "parameters\0\0\0\0"; /* with its own NUL: no compression, language or translation */
    raiiaf_buffer text;
    if (!wanted)
        gimp_image_detach_parasite(image, TEXT_CHUNK);
    else if (raiiaf_parameters(file, &text, NULL) == RAIIAF_OK) {
        GByteArray *chunk = g_byte_array_new();
        g_byte_array_append(chunk, (const guint8 *)head, sizeof head);
        g_byte_array_append(chunk, text.data, (guint)text.size);
        attach(image, TEXT_CHUNK, chunk->data, chunk->len);
        g_byte_array_free(chunk, TRUE);
        raiiaf_buffer_free(&text);
    }
}
#endif

static void take_over(Image image, const Dialog *dialog, GtkWidget *published)
{
    const char *manifest;
    size_t size;
    gimp_image_undo_group_start(image);
    raiiaf_manifest_text(dialog->file, &manifest, &size);
    attach(image, MANIFEST, manifest, size);
#ifdef GIMP3
    publish(image, dialog->file, gtk_toggle_button_get_active(GTK_TOGGLE_BUTTON(published)));
#else
    (void)published;
#endif
    gimp_image_undo_group_end(image);
}

void show_info(Image image, raiiaf_file *file)
{
    Dialog dialog = {.file = file, .notebook = gtk_notebook_new()};
    GtkWidget *published = NULL;
    int response;
    dialog.window = gimp_dialog_new(_("Generation Info"), "raiiaf-info", NULL, 0, NULL, NULL, _("Copy as _Text"), COPY,
                                    _("_Cancel"), GTK_RESPONSE_CANCEL, _("_OK"), GTK_RESPONSE_OK, NULL);
    GtkWidget *content = gtk_dialog_get_content_area(GTK_DIALOG(dialog.window));
    gtk_window_set_default_size(GTK_WINDOW(dialog.window), 620, 500);
    gtk_container_set_border_width(GTK_CONTAINER(dialog.window), 12);
    gtk_box_set_spacing(GTK_BOX(content), 12);
    gtk_box_pack_start(GTK_BOX(content), dialog.notebook, TRUE, TRUE, 0);
    dialog.message = add_label(content, "");
    GtkWidget *page = add_page(&dialog, _("Prompt"));
    add_label(page, _("Prompt:"));
    dialog.prompts[0] = add_text(page, TRUE);
    add_label(page, _("Negative prompt:"));
    dialog.prompts[1] = add_text(page, TRUE);
#ifdef GIMP3
    published = gtk_check_button_new_with_mnemonic(
        _("Also _write prompt and settings into PNG files exported from this image"));
    gtk_widget_set_tooltip_text(published, _("Whoever gets such a PNG file can read the prompt"));
    gtk_toggle_button_set_active(GTK_TOGGLE_BUTTON(published), is_published(image));
    gtk_box_pack_start(GTK_BOX(page), published, FALSE, FALSE, 0);
#endif
    add_settings(&dialog, add_page(&dialog, _("Settings")));
    raiiaf_text_each(file, add_setting, &dialog);
    add_latents(&dialog, add_page(&dialog, _("Latents")));
    add_topic(&dialog, _("Environment"), RAIIAF_TOPIC_ENVIRONMENT);
    add_topic(&dialog, _("History"), RAIIAF_TOPIC_HISTORY);
    gtk_widget_show_all(dialog.window);
    tell(&dialog, "");
    do {
        response = gimp_dialog_run(GIMP_DIALOG(dialog.window));
        if (response == COPY && take_prompts(&dialog))
            copy_parameters(&dialog);
    } while (response == COPY || (response == GTK_RESPONSE_OK && !take_prompts(&dialog)));
    if (response == GTK_RESPONSE_OK)
        take_over(image, &dialog, published);
    gtk_widget_destroy(dialog.window);
    g_object_unref(dialog.settings);
}
