/* SPDX-License-Identifier: MIT */
/*
 * edit.c - raiiaf edit: changes the description in a file, and nothing else.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "command.h"

#include <stdlib.h>

static bool edit(const char *input, const char *output, const struct changes *changes)
{
    raiiaf_file *file;
    char tool[64];
    raiiaf_save_options options = {.tool = tool};
    snprintf(tool, sizeof tool, "raiiaf %s", raiiaf_version());
    if (!open_input(&file, input))
        return false;
    bool good = changes_apply(changes, file);
    if (good && !raiiaf_edited(file))
        report(_("%s: nothing to change"), input);
    if (good && (raiiaf_edited(file) || output != input || is_standard(output))) {
        raiiaf_image_warn(file);
        good = save(file, output, &options);
    }
    raiiaf_close(file);
    return good;
}

static const char help[] = N_("Usage: raiiaf edit FILE [OPTION]...\n"
                              "Change the description in FILE, checked against the format's schema; image,\n"
                              "latents and all else in it stay as they are, and its history tells of the\n"
                              "edit.\n"
                              "\n"
                              "  --set PATH=VALUE  set a value: seed=42, /model_info/prompt='a lighthouse';\n"
                              "                    PATH ends at the first '='\n"
                              "  --unset PATH      take a value out\n"
                              "  -o, --output OUT  write OUT ('-': standard output), leave FILE ('-': standard\n"
                              "                    input) as it is\n"
                              "  -h, --help        this text\n"
                              "\n"
                              "--set and --unset can be given several times and apply in that order.\n");

int edit_run(int argc, char **argv)
{
    static const struct option options[] = {{"set", required_argument, NULL, 's'},
                                            {"unset", required_argument, NULL, 'u'},
                                            {"output", required_argument, NULL, 'o'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    struct changes changes = {0};
    const char *output = NULL, *malformed;
    int status = EXIT_USAGE;
    for (int option; (option = getopt_long(argc, argv, "ho:", options, NULL)) != -1;) {
        if (option == 's' || option == 'u') {
            changes_add(&changes, optarg, option == 'u');
        } else if (option == 'o') {
            output = optarg;
        } else {
            status = option == 'h' ? print_help(_(help)) : usage_error("edit", NULL);
            goto done;
        }
    }
    malformed = changes_malformed(&changes);
    if (argc - optind != 1)
        usage_error("edit", "%s", optind == argc ? _("there is no FILE") : _("only one FILE can be given"));
    else if (malformed != NULL)
        usage_error("edit", _("--set wants PATH=VALUE, not '%s'"), malformed);
    else if (changes.count == 0)
        usage_error("edit", "%s", _("nothing was asked for: --set or --unset is missing"));
    else
        status = edit(argv[optind], output != NULL ? output : argv[optind], &changes) ? EXIT_WELL : EXIT_WRONG;
done:
    free(changes.list);
    return status;
}
