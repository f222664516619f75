/* SPDX-License-Identifier: MIT */
/*
 * extract.c - raiiaf extract: parts of a file as files of their own.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "command.h"

#include <stdlib.h>
#include <string.h>

enum part { IMAGE = 'i', LATENT = 'l', PREVIEW = 'p', MANIFEST = 'm', ENVIRONMENT = 'e' };

/* One thing that was asked for. */
struct wish {
    enum part part;
    const char *key; /* of latents */
    const char *path;
};

struct wishes {
    struct wish *list;
    size_t count;
    unsigned flags; /* of raiiaf_chunk_read */
};

static bool chunk_failed(const struct wishes *wishes, const raiiaf_error *error)
{
    if (error->status == RAIIAF_ERROR_LOSSY && wishes->flags == 0)
        report(_("%s (--accept-lossy asks for them)"), error->text);
    else
        report_error(error);
    return false;
}

static bool extract_chunk(const raiiaf_file *file, const struct wishes *wishes, const struct wish *wish, size_t chunk)
{
    raiiaf_buffer payload = {0}, nothing = {0};
    raiiaf_error error;
    if (chunk == RAIIAF_NONE) {
        report(wish->part == IMAGE ? _("%s holds no image") : _("%s holds no environment"), raiiaf_name(file));
        return false;
    }
    if (raiiaf_chunk_read(file, chunk, 0, &payload, &error) != RAIIAF_OK)
        return chunk_failed(wishes, &error);
    bool good = write_output(wish->path, &nothing, &payload);
    raiiaf_buffer_free(&payload);
    return good;
}

static raiiaf_status make_npy(const raiiaf_chunk_info *info, raiiaf_buffer *header, raiiaf_error *error)
{
    return raiiaf_npy_header(info->dtype, info->rank, info->shape, header, error);
}

/* Turns the tensor in `payload` into a PNG file. */
static raiiaf_status make_preview(const raiiaf_chunk_info *info, raiiaf_buffer *payload, raiiaf_error *error)
{
    raiiaf_picture picture = {0};
    raiiaf_buffer png = {0};
    raiiaf_status status = raiiaf_latent_preview(info, payload->data, payload->size, &picture, error);
    if (status == RAIIAF_OK)
        status = raiiaf_picture_png(&picture, &png, error);
    raiiaf_picture_free(&picture);
    raiiaf_buffer_free(payload);
    *payload = png;
    return status;
}

static bool extract_latent(const raiiaf_file *file, const struct wishes *wishes, const struct wish *wish)
{
    raiiaf_buffer header = {0}, payload = {0};
    raiiaf_chunk_info info;
    raiiaf_error error;
    size_t chunk = raiiaf_latent_find(file, wish->key);
    if (chunk == RAIIAF_NONE) {
        report(_("%s holds no latent '%s'; 'raiiaf info' lists what it holds"), raiiaf_name(file), wish->key);
        return false;
    }
    raiiaf_chunk_get(file, chunk, &info);
    if (raiiaf_chunk_read(file, chunk, wishes->flags, &payload, &error) != RAIIAF_OK)
        return chunk_failed(wishes, &error);
    raiiaf_status status =
        wish->part == LATENT ? make_npy(&info, &header, &error) : make_preview(&info, &payload, &error);
    if (status != RAIIAF_OK)
        report_error(&error);
    bool good = status == RAIIAF_OK && write_output(wish->path, &header, &payload);
    raiiaf_buffer_free(&header);
    raiiaf_buffer_free(&payload);
    return good;
}

static bool extract_manifest(const raiiaf_file *file, const struct wish *wish)
{
    const char *text;
    size_t size;
    raiiaf_manifest_text(file, &text, &size);
    raiiaf_buffer manifest = {(const uint8_t *)text, size, NULL}, nothing = {0};
    return write_output(wish->path, &nothing, &manifest);
}

static bool extract(const raiiaf_file *file, const struct wishes *wishes, const struct wish *wish)
{
    switch (wish->part) {
    case IMAGE:
        return extract_chunk(file, wishes, wish, raiiaf_image_chunk(file));
    case ENVIRONMENT:
        return extract_chunk(file, wishes, wish, raiiaf_environment_chunk(file));
    case MANIFEST:
        return extract_manifest(file, wish);
    default:
        return extract_latent(file, wishes, wish);
    }
}

static const char help[] = N_("Usage: raiiaf extract FILE [OPTION]...\n"
                              "Take parts out of FILE ('-': standard input), checked against their SHA-256.\n"
                              "OUT '-' is standard output, for one of them.  Options can be given several\n"
                              "times.\n"
                              "\n"
                              "  --image OUT                the image file, as it is\n"
                              "  --latent KEY OUT.npy       a latent, by its key or its number, for NumPy\n"
                              "  --latent-preview KEY OUT   a picture of a latent, as PNG\n"
                              "  --manifest OUT             the manifest, as it is\n"
                              "  --environment OUT          the environment's JSON, as it is\n"
                              "  --accept-lossy             take latents that were stored lossily, whose\n"
                              "                             SHA-256 can't match\n"
                              "  -h, --help                 this text\n");

static void add_wish(struct wishes *wishes, int part, const char *key, const char *path)
{
    wishes->list = checked(realloc(wishes->list, (wishes->count + 1) * sizeof *wishes->list));
    wishes->list[wishes->count++] = (struct wish){(enum part)part, key, path};
}

/* -1: go on; else the exit status. */
static int parse(int argc, char **argv, struct wishes *wishes)
{
    static const struct option options[] = {{"image", required_argument, NULL, IMAGE},
                                            {"latent", required_argument, NULL, LATENT},
                                            {"latent-preview", required_argument, NULL, PREVIEW},
                                            {"manifest", required_argument, NULL, MANIFEST},
                                            {"environment", required_argument, NULL, ENVIRONMENT},
                                            {"accept-lossy", no_argument, NULL, 'a'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    for (int option; (option = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        if (option == 'h')
            return print_help(_(help));
        if (option == '?')
            return usage_error("extract", NULL);
        if (option == 'a') {
            wishes->flags = RAIIAF_READ_LOSSY;
        } else if (option == LATENT || option == PREVIEW) { /* getopt knows one argument; the next is ours */
            if (optind == argc)
                return usage_error("extract", _("'%s' is the latent; where it goes is missing"), optarg);
            add_wish(wishes, option, optarg, argv[optind++]);
        } else {
            add_wish(wishes, option, NULL, optarg);
        }
    }
    if (argc - optind != 1)
        return usage_error("extract", "%s", optind == argc ? _("there is no FILE") : _("only one FILE can be given"));
    if (wishes->count == 0)
        return usage_error("extract", "%s", _("nothing was asked for"));
    return -1;
}

static bool would_replace(const char *path, const char *former)
{
    return strcmp(path, former) == 0 ? !is_standard(path) && !is_special(path) : same_file(path, former);
}

/* NULL, or why these outputs can't be. */
static const char *conflict(const struct wishes *wishes, const char *input)
{
    size_t standard = 0;
    for (size_t i = 0; i < wishes->count; i++) {
        standard += is_standard(wishes->list[i].path);
        if (same_file(wishes->list[i].path, input))
            return _("the output would replace FILE itself");
        for (size_t k = 0; k < i; k++)
            if (would_replace(wishes->list[i].path, wishes->list[k].path))
                return _("one output would replace another");
    }
    return standard > 1 ? _("only one output can go to standard output") : NULL;
}

static int extract_all(const char *input, const struct wishes *wishes)
{
    raiiaf_file *file;
    int status = EXIT_WELL;
    const char *reason = conflict(wishes, input);
    if (reason != NULL)
        return usage_error("extract", "%s", reason);
    if (!open_input(&file, input))
        return EXIT_WRONG;
    for (size_t i = 0; i < wishes->count; i++) {
        if (!extract(file, wishes, &wishes->list[i]))
            status = EXIT_WRONG;
    }
    raiiaf_close(file);
    return status;
}

int extract_run(int argc, char **argv)
{
    struct wishes wishes = {0};
    int status = parse(argc, argv, &wishes);
    if (status < 0)
        status = extract_all(argv[optind], &wishes);
    free(wishes.list);
    return status;
}
