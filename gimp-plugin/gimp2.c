/* SPDX-License-Identifier: MIT */
/*
 * gimp2.c - the plug-in for GIMP 2.10.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <string.h>

#include "raiiaf-gimp.h"

Image host_decode(const char *procedure, const char *path)
{
    int count;
    GimpParam *values = gimp_run_procedure(procedure, &count, GIMP_PDB_INT32, GIMP_RUN_NONINTERACTIVE, GIMP_PDB_STRING,
                                           path, GIMP_PDB_STRING, path, GIMP_PDB_END);
    Image image = values[0].data.d_status == GIMP_PDB_SUCCESS ? values[1].data.d_image : NO_IMAGE;
    gimp_destroy_params(values, count);
    return image;
}

char *host_encode(Image image, Drawable drawable, int compression)
{
    int count;
    char *path = gimp_temp_name("png");
    Image original = image;
    GimpExportReturn way = gimp_export_image(&image, &drawable, "PNG",
                                             GIMP_EXPORT_CAN_HANDLE_RGB | GIMP_EXPORT_CAN_HANDLE_GRAY |
                                                 GIMP_EXPORT_CAN_HANDLE_INDEXED | GIMP_EXPORT_CAN_HANDLE_ALPHA);
    bool good = way != GIMP_EXPORT_CANCEL;
    if (good) { /* no interlacing, background, gamma or offset; resolution; no time; comment, colours of what is clear
                 */
        GimpParam *values = gimp_run_procedure(
            "file-png-save2", &count, GIMP_PDB_INT32, GIMP_RUN_NONINTERACTIVE, GIMP_PDB_IMAGE, image, GIMP_PDB_DRAWABLE,
            drawable, GIMP_PDB_STRING, path, GIMP_PDB_STRING, path, GIMP_PDB_INT32, 0, GIMP_PDB_INT32, compression,
            GIMP_PDB_INT32, 0, GIMP_PDB_INT32, 0, GIMP_PDB_INT32, 0, GIMP_PDB_INT32, 1, GIMP_PDB_INT32, 0,
            GIMP_PDB_INT32, 1, GIMP_PDB_INT32, 1, GIMP_PDB_END);
        good = values[0].data.d_status == GIMP_PDB_SUCCESS;
        gimp_destroy_params(values, count);
    }
    if (image != original)
        gimp_image_delete(image);
    if (good)
        return path;
    g_free(path);
    return NULL;
}

/* ---- the export dialog ---- */

static GtkWidget *add_toggle(GtkWidget *box, const char *title, const char *tip, gint *value)
{
    GtkWidget *toggle = gtk_check_button_new_with_mnemonic(title);
    gimp_help_set_help_data(toggle, tip, NULL);
    gtk_toggle_button_set_active(GTK_TOGGLE_BUTTON(toggle), *value);
    g_signal_connect(toggle, "toggled", G_CALLBACK(gimp_toggle_button_update), value);
    gtk_box_pack_start(GTK_BOX(box), toggle, FALSE, FALSE, 0);
    return toggle;
}

static bool ask(Wishes *wishes)
{
    GtkWidget *dialog = gimp_export_dialog_new("RAIIAF", "raiiaf", EXPORT), *box = gtk_vbox_new(FALSE, 6);
    GtkWidget *row = gtk_hbox_new(FALSE, 6), *label = gtk_label_new_with_mnemonic(TITLE_EFFORT);
    GtkWidget *effort = gimp_int_combo_box_new(EFFORT_NORMAL, 0, EFFORT_FAST, 1, EFFORT_SMALLEST, 2, NULL);
    gtk_container_set_border_width(GTK_CONTAINER(box), 12);
    gtk_box_pack_start(GTK_BOX(gimp_export_dialog_get_content_area(dialog)), box, TRUE, TRUE, 0);
    add_toggle(box, TITLE_DROP, TIP_DROP, &wishes->drop_latents);
    add_toggle(box, TITLE_FLOAT16, TIP_FLOAT16, &wishes->float16);
    gtk_label_set_mnemonic_widget(GTK_LABEL(label), effort);
    gimp_help_set_help_data(effort, TIP_EFFORT, NULL);
    gimp_int_combo_box_connect(GIMP_INT_COMBO_BOX(effort), wishes->effort, G_CALLBACK(gimp_int_combo_box_get_active),
                               &wishes->effort);
    gtk_box_pack_start(GTK_BOX(row), label, FALSE, FALSE, 0);
    gtk_box_pack_start(GTK_BOX(row), effort, FALSE, FALSE, 0);
    gtk_box_pack_start(GTK_BOX(box), row, FALSE, FALSE, 0);
    add_toggle(box, TITLE_ENCODE, TIP_ENCODE, &wishes->encode);
    gtk_widget_show_all(dialog);
    bool good = gimp_dialog_run(GIMP_DIALOG(dialog)) == GTK_RESPONSE_OK;
    gtk_widget_destroy(dialog);
    return good;
}

/* ---- procedures ---- */

static GimpParamDef load_arguments[] = {{GIMP_PDB_INT32, "run-mode", "The run mode"},
                                        {GIMP_PDB_STRING, "filename", "The file to load"},
                                        {GIMP_PDB_STRING, "raw-filename", "The name as entered"}};
static GimpParamDef thumbnail_arguments[] = {{GIMP_PDB_STRING, "filename", "The file to load"},
                                             {GIMP_PDB_INT32, "thumb-size", "Preferred size"}};
static GimpParamDef image_values[] = {{GIMP_PDB_IMAGE, "image", "The image"},
                                      {GIMP_PDB_INT32, "image-width", "Its width"},
                                      {GIMP_PDB_INT32, "image-height", "Its height"}};
static GimpParamDef export_arguments[] = {{GIMP_PDB_INT32, "run-mode", "The run mode"},
                                          {GIMP_PDB_IMAGE, "image", "The image"},
                                          {GIMP_PDB_DRAWABLE, "drawable", "Its drawable"},
                                          {GIMP_PDB_STRING, "filename", "The file to write"},
                                          {GIMP_PDB_STRING, "raw-filename", "The name as entered"},
                                          {GIMP_PDB_INT32, "drop-latents", "1: leave the latents out"},
                                          {GIMP_PDB_INT32, "float16", "1: latents as float16, which loses precision"},
                                          {GIMP_PDB_INT32, "effort", "0: normal, 1: fast, 2: smallest file"},
                                          {GIMP_PDB_INT32, "encode", "1: a new PNG even if nothing was changed"}};
static GimpParamDef info_values[] = {{GIMP_PDB_STRING, "manifest", "The manifest, JSON"}};

static void query(void)
{
    static const char *const loaders[][3] = {{LOAD, "raiiaf", "0,string,raiiaf"}, {LOAD_GEN5, "gen5", "0,string,GEN5"}};
    for (size_t i = 0; i < G_N_ELEMENTS(loaders); i++) {
        gimp_install_procedure(loaders[i][0], BLURB_LOAD, HELP, "raiiaf", "MIT", "2026", TITLE_FORMAT, NULL,
                               GIMP_PLUGIN, G_N_ELEMENTS(load_arguments), 1, load_arguments, image_values);
        gimp_register_file_handler_mime(loaders[i][0], "image/x-raiiaf");
        gimp_register_magic_load_handler(loaders[i][0], loaders[i][1], "", loaders[i][2]);
        gimp_register_thumbnail_loader(loaders[i][0], THUMBNAIL);
    }
    gimp_install_procedure(THUMBNAIL, BLURB_THUMBNAIL, HELP, "raiiaf", "MIT", "2026", NULL, NULL, GIMP_PLUGIN,
                           G_N_ELEMENTS(thumbnail_arguments), G_N_ELEMENTS(image_values), thumbnail_arguments,
                           image_values);
    gimp_install_procedure(EXPORT, BLURB_EXPORT, HELP, "raiiaf", "MIT", "2026", TITLE_FORMAT, "*", GIMP_PLUGIN,
                           G_N_ELEMENTS(export_arguments), 0, export_arguments, NULL);
    gimp_register_file_handler_mime(EXPORT, "image/x-raiiaf");
    gimp_register_save_handler(EXPORT, "raiiaf", "");
    gimp_install_procedure(INFO, BLURB_INFO, HELP, "raiiaf", "MIT", "2026", TITLE_INFO, "*", GIMP_PLUGIN, 3,
                           G_N_ELEMENTS(info_values), export_arguments, info_values);
    gimp_plugin_menu_register(INFO, "<Image>/Image/Metadata");
}

static GimpPDBStatusType load(const GimpParam *given, GimpParam *values, int *count, bool whole, raiiaf_error *error)
{
    const char *path = given[whole ? 1 : 0].data.d_string;
    Image image = load_file(path, whole, whole && given[0].data.d_int32 == GIMP_RUN_INTERACTIVE, error);
    if (image == NO_IMAGE)
        return GIMP_PDB_EXECUTION_ERROR;
    gimp_image_set_filename(image, path);
    values[1] = (GimpParam){GIMP_PDB_IMAGE, {.d_image = image}};
    values[2] = (GimpParam){GIMP_PDB_INT32, {.d_int32 = gimp_image_width(image)}};
    values[3] = (GimpParam){GIMP_PDB_INT32, {.d_int32 = gimp_image_height(image)}};
    *count = whole ? 2 : 4;
    return GIMP_PDB_SUCCESS;
}

static GimpPDBStatusType export(const GimpParam *given, int given_count, raiiaf_error *error)
{
    Wishes wishes = {0};
    if (given[0].data.d_int32 != GIMP_RUN_NONINTERACTIVE) {
        gimp_get_data(EXPORT, &wishes);
        gimp_ui_init("raiiaf", FALSE);
    } else if (given_count >= (int)G_N_ELEMENTS(export_arguments))
        wishes = (Wishes){given[5].data.d_int32, given[6].data.d_int32, given[7].data.d_int32, given[8].data.d_int32};
    if (given[0].data.d_int32 == GIMP_RUN_INTERACTIVE && !ask(&wishes))
        return GIMP_PDB_CANCEL;
    gimp_set_data(EXPORT, &wishes, sizeof wishes);
    bool good = export_file(given[1].data.d_image, given[2].data.d_drawable, given[3].data.d_string, &wishes, error);
    return good ? GIMP_PDB_SUCCESS : GIMP_PDB_EXECUTION_ERROR;
}

static GimpPDBStatusType info(const GimpParam *given, GimpParam *values, int *count, raiiaf_error *error)
{
    raiiaf_file *file;
    const char *manifest;
    size_t size;
    if (open_kept(&file, given[1].data.d_image, error) != RAIIAF_OK)
        return GIMP_PDB_EXECUTION_ERROR;
    if (given[0].data.d_int32 == GIMP_RUN_INTERACTIVE) {
        gimp_ui_init("raiiaf", FALSE);
        show_info(given[1].data.d_image, file);
    }
    raiiaf_manifest_text(file, &manifest, &size);
    values[1] = (GimpParam){GIMP_PDB_STRING, {.d_string = g_strndup(manifest, size)}};
    *count = 2;
    raiiaf_close(file);
    return GIMP_PDB_SUCCESS;
}

static void run(const char *name, int given_count, const GimpParam *given, int *count, GimpParam **out)
{
    static GimpParam values[4];
    static raiiaf_error error;
    gimp_plugin_set_pdb_error_handler(GIMP_PDB_ERROR_HANDLER_PLUGIN);
    *out = values;
    *count = 1;
    values[0] = (GimpParam){GIMP_PDB_STATUS, {.d_status = GIMP_PDB_CALLING_ERROR}};
    if (strcmp(name, LOAD) == 0 || strcmp(name, LOAD_GEN5) == 0 || strcmp(name, THUMBNAIL) == 0)
        values[0].data.d_status = load(given, values, count, strcmp(name, THUMBNAIL) != 0, &error);
    else if (strcmp(name, EXPORT) == 0)
        values[0].data.d_status = export(given, given_count, &error);
    else if (strcmp(name, INFO) == 0)
        values[0].data.d_status = info(given, values, count, &error);
    if (values[0].data.d_status == GIMP_PDB_EXECUTION_ERROR) {
        values[1] = (GimpParam){GIMP_PDB_STRING, {.d_string = error.text}};
        *count = 2;
    }
}

const GimpPlugInInfo PLUG_IN_INFO = {NULL, NULL, query, run};

MAIN()
