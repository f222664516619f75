/* SPDX-License-Identifier: MIT */
/*
 * dialects.c - raiiaf dialects: the tools whose images are understood.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "command.h"

static const char help[] = N_("Usage: raiiaf dialects [--names]\n"
                              "List the tools whose images 'raiiaf scan' and 'raiiaf convert' understand, in\n"
                              "the order in which they are asked: what each is called, what of an image it\n"
                              "reads, its home page.\n"
                              "\n"
                              "  --names     the names alone, one per line, as --dialect takes them\n"
                              "  -h, --help  this text\n");

int dialects_run(int argc, char **argv)
{
    static const struct option options[] = {{"names", no_argument, NULL, 'n'}, {"help", no_argument, NULL, 'h'}, {0}};
    struct table table = {.columns = 2};
    bool names = false;
    for (int option; (option = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        if (option == 'h')
            return print_help(_(help));
        if (option != 'n')
            return usage_error("dialects", NULL);
        names = true;
    }
    if (optind < argc)
        return usage_error("dialects", _("'%s' is too much"), argv[optind]);
    for (size_t i = 0; i < raiiaf_dialect_count(); i++) {
        raiiaf_dialect dialect;
        raiiaf_dialect_get(i, &dialect);
        if (names) {
            puts(dialect.name);
            continue;
        }
        table_format(&table, "%s", dialect.name);
        table_format(&table, "%s\n%s\n%s", dialect.title, dialect.reads, dialect.home);
    }
    table_print(&table, 0);
    return EXIT_WELL;
}
