/* SPDX-License-Identifier: MIT */
/*
 * verify.c - raiiaf verify: decodes and checks everything, a line for each file.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "command.h"

#include <inttypes.h>
#include <string.h>

static void print_contents(const raiiaf_file *file)
{
    raiiaf_image_info image;
    size_t latents = raiiaf_latent_count(file);
    printf("%s", raiiaf_layout_name(raiiaf_layout_of(file)));
    if (raiiaf_image_probe(file, &image, NULL) == RAIIAF_OK) {
        printf(", %s", raiiaf_image_format_name(image.format));
        if (image.width > 0)
            printf(" %" PRIu32 "x%" PRIu32, image.width, image.height);
    } else {
        printf(", %s", _("no image"));
    }
    if (latents > 0)
        printf(ngettext(", %'zu latent", ", %'zu latents", latents), latents);
    if (raiiaf_environment_chunk(file) != RAIIAF_NONE)
        printf(", %s", _("environment"));
}

static bool verify(const char *path, bool quiet)
{
    raiiaf_file *file = NULL;
    raiiaf_error error;
    bool good = open_input(&file, path);
    if (good && raiiaf_verify(file, 0, NULL, NULL, &error) != RAIIAF_OK) {
        report_error(&error);
        good = false;
    }
    if (!good || !quiet) {
        print_safe(stdout, path, strlen(path));
        fputs(good ? _(": OK (") : _(": FAILED"), stdout);
        if (good) {
            print_contents(file);
            fputc(')', stdout);
        }
        fputc('\n', stdout);
    }
    raiiaf_close(file);
    return good;
}

static const char help[] = N_("Usage: raiiaf verify [--quiet] FILE...\n"
                              "Decode everything in each FILE ('-': standard input) and check it against its\n"
                              "SHA-256.  A line for each file tells the result, standard error what is wrong\n"
                              "with it.\n"
                              "\n"
                              "  -q, --quiet  no line for files that are well\n"
                              "  -h, --help   this text\n");

int verify_run(int argc, char **argv)
{
    static const struct option options[] = {{"quiet", no_argument, NULL, 'q'}, {"help", no_argument, NULL, 'h'}, {0}};
    bool quiet = false, good = true;
    for (int option; (option = getopt_long(argc, argv, "hq", options, NULL)) != -1;) {
        if (option == 'h')
            return print_help(_(help));
        if (option != 'q')
            return usage_error("verify", NULL);
        quiet = true;
    }
    if (optind == argc)
        return usage_error("verify", "%s", _("there is no FILE"));
    for (int i = optind; i < argc; i++)
        good = verify(argv[i], quiet) && good;
    return good ? EXIT_WELL : EXIT_WRONG;
}
