/* SPDX-License-Identifier: MIT */
/*
 * gimp3.c - the plug-in for GIMP 3.0.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <string.h>

#include "raiiaf-gimp.h"

static GimpProcedure *gimp_procedure(const char *name)
{
    /* GIMP would tell of a failure too, with names of its own. */
    gimp_plug_in_set_pdb_error_handler(gimp_get_plug_in(), GIMP_PDB_ERROR_HANDLER_PLUGIN);
    return gimp_pdb_lookup_procedure(gimp_get_pdb(), name);
}

static bool succeeded(const GimpValueArray *values)
{
    return values && GIMP_VALUES_GET_ENUM(values, 0) == GIMP_PDB_SUCCESS;
}

Image host_decode(const char *procedure, const char *path)
{
    GFile *file = g_file_new_for_path(path);
    GimpValueArray *values =
        gimp_procedure_run(gimp_procedure(procedure), "run-mode", GIMP_RUN_NONINTERACTIVE, "file", file, NULL);
    Image image = succeeded(values) ? GIMP_VALUES_GET_IMAGE(values, 1) : NO_IMAGE;
    gimp_value_array_unref(values);
    g_object_unref(file);
    return image;
}

char *host_encode(Image image, Drawable drawable, int compression)
{
    GFile *file = gimp_temp_file("png");
    GimpColorProfile *profile = gimp_image_get_color_profile(image); /* else GIMP would write its own sRGB */
    GimpValueArray *values = gimp_procedure_run(
        gimp_procedure("file-png-export"), "run-mode", GIMP_RUN_NONINTERACTIVE, "image", image, "file", file,
        "compression", compression, "bkgd", FALSE, "time", FALSE, "save-transparent", TRUE, "include-exif", TRUE,
        "include-iptc", TRUE, "include-xmp", TRUE, "include-color-profile", profile != NULL, "include-comment", TRUE,
        "include-thumbnail", FALSE, NULL);
    char *path = succeeded(values) ? g_file_get_path(file) : NULL;
    (void)drawable;
    g_clear_object(&profile);
    gimp_value_array_unref(values);
    g_object_unref(file);
    return path;
}

static GimpValueArray *end(GimpProcedure *procedure, bool good, const raiiaf_error *error)
{
    GError *reason = good ? NULL : g_error_new_literal(G_FILE_ERROR, G_FILE_ERROR_FAILED, error->text);
    return gimp_procedure_new_return_values(procedure, good ? GIMP_PDB_SUCCESS : GIMP_PDB_EXECUTION_ERROR, reason);
}

static Image load_any(GFile *file, bool whole, bool interactive, raiiaf_error *error)
{
    char *path = g_file_get_path(file);
    Image image = load_file(path, whole, interactive, error);
    g_free(path);
    return image;
}

static GimpValueArray *load(GimpProcedure *procedure, GimpRunMode mode, GFile *file, GimpMetadata *metadata,
                            GimpMetadataLoadFlags *flags, GimpProcedureConfig *config, void *user)
{
    raiiaf_error error = {0};
    (void)metadata, (void)config, (void)user;
    *flags = GIMP_METADATA_LOAD_NONE; /* the embedded image's are there already */
    Image image = load_any(file, true, mode == GIMP_RUN_INTERACTIVE, &error);
    GimpValueArray *values = end(procedure, image != NULL, &error);
    if (image)
        GIMP_VALUES_SET_IMAGE(values, 1, image);
    return values;
}

static GimpValueArray *load_thumbnail(GimpProcedure *procedure, GFile *file, int size, GimpProcedureConfig *config,
                                      void *user)
{
    raiiaf_error error = {0};
    (void)size, (void)config, (void)user;
    Image image = load_any(file, false, false, &error);
    GimpValueArray *values = end(procedure, image != NULL, &error);
    if (image) {
        GIMP_VALUES_SET_IMAGE(values, 1, image);
        GIMP_VALUES_SET_INT(values, 2, gimp_image_get_width(image));
        GIMP_VALUES_SET_INT(values, 3, gimp_image_get_height(image));
    }
    return values;
}

static bool ask(GimpProcedure *procedure, GimpProcedureConfig *config, Image image)
{
    gimp_ui_init("raiiaf");
    GtkWidget *dialog = gimp_export_procedure_dialog_new(GIMP_EXPORT_PROCEDURE(procedure), config, image);
    gimp_procedure_dialog_fill(GIMP_PROCEDURE_DIALOG(dialog), "drop-latents", "float16", "effort", "encode", NULL);
    bool good = gimp_procedure_dialog_run(GIMP_PROCEDURE_DIALOG(dialog));
    gtk_widget_destroy(dialog);
    return good;
}

static GimpValueArray *export(GimpProcedure *procedure, GimpRunMode mode, GimpImage *image, GFile *file,
                              GimpExportOptions *options, GimpMetadata *metadata, GimpProcedureConfig *config,
                              void *user)
{
    Wishes wishes = {0};
    raiiaf_error error = {0};
    (void)options, (void)metadata, (void)user;
    if (mode == GIMP_RUN_INTERACTIVE && !ask(procedure, config, image))
        return gimp_procedure_new_return_values(procedure, GIMP_PDB_CANCEL, NULL);
    g_object_get(config, "drop-latents", &wishes.drop_latents, "float16", &wishes.float16, "encode", &wishes.encode,
                 NULL);
    wishes.effort = gimp_procedure_config_get_choice_id(config, "effort");
    char *path = g_file_get_path(file);
    bool good = export_file(image, NULL, path, &wishes, &error);
    g_free(path);
    return end(procedure, good, &error);
}

static GimpValueArray *info(GimpProcedure *procedure, GimpRunMode mode, GimpImage *image, GimpDrawable **drawables,
                            GimpProcedureConfig *config, void *user)
{
    raiiaf_error error = {0};
    raiiaf_file *file = NULL;
    const char *manifest;
    size_t size;
    (void)drawables, (void)config, (void)user;
    bool good = open_kept(&file, image, &error) == RAIIAF_OK;
    if (good && mode == GIMP_RUN_INTERACTIVE) {
        gimp_ui_init("raiiaf");
        show_info(image, file);
    }
    GimpValueArray *values = end(procedure, good, &error);
    if (good) {
        raiiaf_manifest_text(file, &manifest, &size);
        g_value_take_string(gimp_value_array_index(values, 1), g_strndup(manifest, size));
    }
    raiiaf_close(file);
    return values;
}

/* ---- procedures ---- */

static GimpProcedure *new_loader(GimpPlugIn *plug_in, const char *name, const char *extension, const char *magic)
{
    GimpProcedure *procedure = gimp_load_procedure_new(plug_in, name, GIMP_PDB_PROC_TYPE_PLUGIN, load, NULL, NULL);
    gimp_procedure_set_documentation(procedure, BLURB_LOAD, HELP, name);
    gimp_procedure_set_menu_label(procedure, TITLE_FORMAT);
    gimp_file_procedure_set_mime_types(GIMP_FILE_PROCEDURE(procedure), "image/x-raiiaf");
    gimp_file_procedure_set_extensions(GIMP_FILE_PROCEDURE(procedure), extension);
    gimp_file_procedure_set_magics(GIMP_FILE_PROCEDURE(procedure), magic);
    gimp_load_procedure_set_thumbnail_loader(GIMP_LOAD_PROCEDURE(procedure), THUMBNAIL);
    return procedure;
}

static GimpProcedure *new_exporter(GimpPlugIn *plug_in)
{
    GimpProcedure *procedure =
        gimp_export_procedure_new(plug_in, EXPORT, GIMP_PDB_PROC_TYPE_PLUGIN, FALSE, export, NULL, NULL);
    gimp_procedure_set_documentation(procedure, BLURB_EXPORT, HELP, EXPORT);
    gimp_procedure_set_image_types(procedure, "*");
    gimp_procedure_set_menu_label(procedure, TITLE_FORMAT);
    gimp_file_procedure_set_format_name(GIMP_FILE_PROCEDURE(procedure), "RAIIAF");
    gimp_file_procedure_set_mime_types(GIMP_FILE_PROCEDURE(procedure), "image/x-raiiaf");
    gimp_file_procedure_set_extensions(GIMP_FILE_PROCEDURE(procedure), "raiiaf");
    gimp_export_procedure_set_capabilities(GIMP_EXPORT_PROCEDURE(procedure),
                                           GIMP_EXPORT_CAN_HANDLE_RGB | GIMP_EXPORT_CAN_HANDLE_GRAY |
                                               GIMP_EXPORT_CAN_HANDLE_INDEXED | GIMP_EXPORT_CAN_HANDLE_ALPHA,
                                           NULL, NULL, NULL);
    gimp_procedure_add_boolean_argument(procedure, "drop-latents", TITLE_DROP, TIP_DROP, FALSE, G_PARAM_READWRITE);
    gimp_procedure_add_boolean_argument(procedure, "float16", TITLE_FLOAT16, TIP_FLOAT16, FALSE, G_PARAM_READWRITE);
    gimp_procedure_add_choice_argument(procedure, "effort", TITLE_EFFORT, TIP_EFFORT,
                                       gimp_choice_new_with_values("normal", 0, EFFORT_NORMAL, NULL, "fast", 1,
                                                                   EFFORT_FAST, NULL, "smallest", 2, EFFORT_SMALLEST,
                                                                   NULL, NULL),
                                       "normal", G_PARAM_READWRITE);
    gimp_procedure_add_boolean_argument(procedure, "encode", TITLE_ENCODE, TIP_ENCODE, FALSE, G_PARAM_READWRITE);
    return procedure;
}

static GimpProcedure *create_procedure(GimpPlugIn *plug_in, const char *name)
{
    GimpProcedure *procedure;
    if (strcmp(name, LOAD) == 0)
        return new_loader(plug_in, name, "raiiaf", "0,string,raiiaf");
    if (strcmp(name, LOAD_GEN5) == 0)
        return new_loader(plug_in, name, "gen5", "0,string,GEN5");
    if (strcmp(name, EXPORT) == 0)
        return new_exporter(plug_in);
    if (strcmp(name, THUMBNAIL) == 0) {
        procedure = gimp_thumbnail_procedure_new(plug_in, name, GIMP_PDB_PROC_TYPE_PLUGIN, load_thumbnail, NULL, NULL);
        gimp_procedure_set_documentation(procedure, BLURB_THUMBNAIL, HELP, name);
        return procedure;
    }
    procedure = gimp_image_procedure_new(plug_in, name, GIMP_PDB_PROC_TYPE_PLUGIN, info, NULL, NULL);
    gimp_procedure_set_documentation(procedure, BLURB_INFO, HELP, name);
    gimp_procedure_set_image_types(procedure, "*");
    gimp_procedure_set_menu_label(procedure, TITLE_INFO);
    gimp_procedure_add_menu_path(procedure, "<Image>/Image/Metadata");
    gimp_procedure_set_sensitivity_mask(procedure,
                                        GIMP_PROCEDURE_SENSITIVE_ALWAYS & ~GIMP_PROCEDURE_SENSITIVE_NO_IMAGE);
    gimp_procedure_add_string_return_value(procedure, "manifest", "Manifest", "The manifest, JSON", NULL,
                                           G_PARAM_READWRITE);
    return procedure;
}

static GList *query_procedures(GimpPlugIn *plug_in)
{
    static const char *const names[] = {THUMBNAIL, LOAD, LOAD_GEN5, EXPORT, INFO}; /* the loaders name the first */
    GList *list = NULL;
    (void)plug_in;
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
        list = g_list_append(list, g_strdup(names[i]));
    return list;
}

typedef GimpPlugIn RaiiafPlugIn;
typedef GimpPlugInClass RaiiafPlugInClass;
GType raiiaf_plug_in_get_type(void);
G_DEFINE_TYPE(RaiiafPlugIn, raiiaf_plug_in, GIMP_TYPE_PLUG_IN)

static void raiiaf_plug_in_class_init(RaiiafPlugInClass *class)
{
    class->query_procedures = query_procedures;
    class->create_procedure = create_procedure;
    class->set_i18n = NULL; /* the library binds its catalogue itself */
}

static void raiiaf_plug_in_init(RaiiafPlugIn *plug_in)
{
    (void)plug_in;
}

GIMP_MAIN(raiiaf_plug_in_get_type())
