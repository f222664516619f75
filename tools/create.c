/* SPDX-License-Identifier: MIT */
/*
 * create.c - raiiaf create: a new file from an image, latents and a description.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "command.h"

#include <stdlib.h>
#include <string.h>

struct recipe {
    const char *output, *image, *manifest;
    const char **latents; /* "KEY=PATH" */
    size_t latent_count;
    struct changes changes;
    bool float16, no_environment;
};

/* Hands a file's bytes to a function of the library that takes them. */
static bool add_loaded(raiiaf_file *file, const char *path,
                       raiiaf_status (*add)(raiiaf_file *file, const void *data, size_t size, raiiaf_error *error))
{
    void *data;
    size_t size;
    raiiaf_error error;
    if (!load(path, &data, &size))
        return false;
    raiiaf_status status = add(file, data, size, &error);
    if (status != RAIIAF_OK)
        report("%s: %s", path, error.text);
    free(data);
    return status == RAIIAF_OK;
}

static raiiaf_status add_image(raiiaf_file *file, const void *data, size_t size, raiiaf_error *error)
{
    raiiaf_image_info info;
    if (!raiiaf_image_probe_memory(data, size, &info) || info.format == RAIIAF_IMAGE_UNKNOWN)
        warn("%s", _("the image is no PNG, JPEG, WebP or BMP file; it is kept as it is"));
    return raiiaf_image_set(file, data, size, NULL, error);
}

static raiiaf_status add_manifest(raiiaf_file *file, const void *data, size_t size, raiiaf_error *error)
{
    return raiiaf_merge(file, data, size, error);
}

static bool add_latent(raiiaf_file *file, const char *argument)
{
    size_t length = strcspn(argument, "="), size;
    const char *path = argument + length + 1;
    uint32_t shape[RAIIAF_MAX_RANK];
    raiiaf_buffer tensor = {0};
    raiiaf_dtype dtype;
    raiiaf_error error;
    unsigned rank;
    void *data;
    if (!load(path, &data, &size))
        return false;
    char *key = checked(strndup(argument, length));
    raiiaf_status status = raiiaf_npy_read(data, size, path, &dtype, &rank, shape, &tensor, &error);
    if (status != RAIIAF_OK)
        report_error(&error);
    else if ((status = raiiaf_latent_add(file, key, shape, rank, dtype, tensor.data, tensor.size, &error)) != RAIIAF_OK)
        report("%s: %s", path, error.text);
    raiiaf_buffer_free(&tensor);
    free(data);
    free(key);
    return status == RAIIAF_OK;
}

static bool add_environment(raiiaf_file *file)
{
    raiiaf_buffer json = {0};
    raiiaf_error error;
    raiiaf_status status = raiiaf_environment_capture(&json, &error);
    if (status == RAIIAF_OK)
        status = raiiaf_environment_set(file, (const char *)json.data, json.size, &error);
    if (status != RAIIAF_OK)
        report(_("%s (--no-environment leaves it out)"), error.text);
    raiiaf_buffer_free(&json);
    return status == RAIIAF_OK;
}

static bool fill(raiiaf_file *file, const struct recipe *recipe)
{
    if (recipe->image != NULL && !add_loaded(file, recipe->image, add_image))
        return false;
    for (size_t i = 0; i < recipe->latent_count; i++) {
        if (!add_latent(file, recipe->latents[i]))
            return false;
    }
    return (recipe->manifest == NULL || add_loaded(file, recipe->manifest, add_manifest)) &&
           changes_apply(&recipe->changes, file) && (recipe->no_environment || add_environment(file));
}

static bool create(const struct recipe *recipe)
{
    raiiaf_save_options options = {.float16 = recipe->float16};
    raiiaf_open_options warnings = {.warning = report_warning};
    raiiaf_file *file;
    raiiaf_error error;
    if (raiiaf_new(&file, &warnings, &error) != RAIIAF_OK) {
        report_error(&error);
        return false;
    }
    bool good = fill(file, recipe) && save(file, recipe->output, &options);
    raiiaf_close(file);
    return good;
}

static const char help[] = N_("Usage: raiiaf create -o OUT [OPTION]...\n"
                              "Make OUT ('-': standard output) from an image, latents and what is known of\n"
                              "their making.\n"
                              "\n"
                              "  -o, --output OUT      the file to make; one that is there is replaced\n"
                              "  --image FILE          the image (PNG, JPEG, WebP, BMP), kept as it is\n"
                              "  --latent KEY=X.npy    add a latent: a NumPy file of four axes, float32 or\n"
                              "                        float16; KEY ends at the first '='; can be given several\n"
                              "                        times\n"
                              "  --manifest JSON       take prompt, settings and so on from a JSON file in the\n"
                              "                        manifest's form\n"
                              "  --set PATH=VALUE      set one of them, after that: seed=42,\n"
                              "                        /model_info/prompt='a lighthouse'; PATH ends at the\n"
                              "                        first '='; can be given several times\n"
                              "  --float16             store latents as float16: half the size, and lossy\n"
                              "  --no-environment      don't record the software and GPUs of this computer\n"
                              "  -h, --help            this text\n"
                              "\n"
                              "One of FILE, X.npy and JSON can be '-': standard input.\n");

/* -1: go on; else the exit status. */
static int parse(int argc, char **argv, struct recipe *recipe)
{
    static const struct option options[] = {{"output", required_argument, NULL, 'o'},
                                            {"image", required_argument, NULL, 'i'},
                                            {"latent", required_argument, NULL, 'l'},
                                            {"manifest", required_argument, NULL, 'm'},
                                            {"set", required_argument, NULL, 's'},
                                            {"float16", no_argument, NULL, 'f'},
                                            {"no-environment", no_argument, NULL, 'n'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    for (int option; (option = getopt_long(argc, argv, "ho:", options, NULL)) != -1;) {
        switch (option) {
        case 'o':
            recipe->output = optarg;
            break;
        case 'i':
            recipe->image = optarg;
            break;
        case 'l':
            recipe->latents[recipe->latent_count++] = optarg;
            break;
        case 'm':
            recipe->manifest = optarg;
            break;
        case 's':
            changes_add(&recipe->changes, optarg, false);
            break;
        case 'f':
            recipe->float16 = true;
            break;
        case 'n':
            recipe->no_environment = true;
            break;
        case 'h':
            return print_help(_(help));
        default:
            return usage_error("create", NULL);
        }
    }
    return -1;
}

/* Readers look latents up by their keys. */
static bool key_occurs_before(const struct recipe *recipe, size_t i)
{
    size_t length = strcspn(recipe->latents[i], "=") + 1;
    for (size_t j = 0; j < i; j++) {
        if (strncmp(recipe->latents[i], recipe->latents[j], length) == 0)
            return true;
    }
    return false;
}

/* -1: the call makes sense; else the exit status. */
static int check(int argc, char **argv, const struct recipe *recipe)
{
    size_t standard = recipe->image != NULL && is_standard(recipe->image);
    const char *malformed = changes_malformed(&recipe->changes);
    standard += recipe->manifest != NULL && is_standard(recipe->manifest);
    for (size_t i = 0; i < recipe->latent_count; i++) {
        const char *path = strchr(recipe->latents[i], '=');
        if (path == NULL)
            return usage_error("create", _("--latent wants KEY=X.npy, not '%s'"), recipe->latents[i]);
        if (key_occurs_before(recipe, i))
            return usage_error("create", _("--latent '%s': the KEY has been given before"), recipe->latents[i]);
        standard += is_standard(path + 1);
    }
    if (malformed != NULL)
        return usage_error("create", _("--set wants PATH=VALUE, not '%s'"), malformed);
    if (optind < argc)
        return usage_error("create", _("'%s' is too much; an image is given with --image"), argv[optind]);
    if (recipe->output == NULL)
        return usage_error("create", "%s", _("-o OUT is missing"));
    if (standard > 1)
        return usage_error("create", "%s", _("only one input can be standard input"));
    if (recipe->image != NULL && same_file(recipe->image, recipe->output))
        return usage_error("create", "%s", _("OUT would replace the image itself"));
    return -1;
}

int create_run(int argc, char **argv)
{
    struct recipe recipe = {.latents = checked(calloc((size_t)argc, sizeof *recipe.latents))};
    int status = parse(argc, argv, &recipe);
    if (status < 0)
        status = check(argc, argv, &recipe);
    if (status < 0)
        status = create(&recipe) ? EXIT_WELL : EXIT_WRONG;
    free(recipe.latents);
    free(recipe.changes.list);
    return status;
}
