/* SPDX-License-Identifier: MIT */
/*
 * scan.c - raiiaf scan: what other tools wrote into their images, for people or as one line of JSON each.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "command.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define INDENT 2
#define BUFFER ((size_t)64 << 10)

struct scan {
    bool json, good, first;
    const char *dialect;
    struct picture picture;
};

/* ---- JSON ---- */

static void json_text_or_null(const char *name, const char *text)
{
    printf(", \"%s\": ", name);
    if (text == NULL)
        fputs("null", stdout);
    else
        print_json_string(stdout, text, strlen(text));
}

static bool json_extra(void *user, const char *name, const raiiaf_value *value)
{
    bool *first = user;
    fputs(*first ? "" : ", ", stdout);
    *first = false;
    print_json_string(stdout, name, strlen(name));
    fputs(": ", stdout);
    print_json_line(value->text, value->size);
    return true;
}

static bool json_carrier(void *user, const raiiaf_carrier *carrier, const char *sha256)
{
    bool *first = user;
    printf("%s{\"kind\": \"%s\", \"keyword\": ", *first ? "" : ", ", carrier->kind);
    *first = false;
    print_json_string(stdout, carrier->keyword, strlen(carrier->keyword));
    printf(", \"bytes\": %zu, \"sha256\": \"%s\"}", carrier->size, sha256);
    return true;
}

static void print_json(const char *path, const raiiaf_legacy *legacy)
{
    const char *name;
    bool first = true;
    fputs("{\"file\": ", stdout);
    print_json_string(stdout, path, strlen(path));
    json_text_or_null("dialect", raiiaf_legacy_dialect(legacy));
    json_text_or_null("tool", raiiaf_legacy_tool(legacy));
    for (size_t i = 0; (name = raiiaf_legacy_field(i)) != NULL; i++) {
        raiiaf_value value;
        bool known = raiiaf_legacy_get(legacy, name, &value);
        printf(", \"%s\": ", name);
        print_json_line(known ? value.text : "null", known ? value.size : 4);
    }
    fputs(", \"extra\": {", stdout);
    raiiaf_legacy_extra_each(legacy, json_extra, &first);
    first = true;
    fputs("}, \"carriers\": [", stdout);
    raiiaf_legacy_carrier_each(legacy, json_carrier, &first);
    fputs("]}\n", stdout);
}

/* ---- for people ---- */

static bool add_value(void *user, const char *name, const raiiaf_value *value)
{
    raiiaf_buffer text = {0};
    if (raiiaf_value_text(value, &text, NULL) == RAIIAF_OK) {
        table_add(user, name, strlen(name));
        table_add(user, (const char *)text.data, text.size);
    }
    raiiaf_buffer_free(&text);
    return true;
}

static void print_human(const char *path, const raiiaf_legacy *legacy)
{
    const char *name, *dialect = raiiaf_legacy_dialect(legacy), *tool = raiiaf_legacy_tool(legacy);
    struct table table = {.columns = 2};
    print_safe(stdout, path, strlen(path));
    printf(": %s", dialect != NULL ? dialect : _("nothing recognised"));
    if (tool != NULL) {
        fputs(" (", stdout);
        print_safe(stdout, tool, strlen(tool));
        fputc(')', stdout);
    }
    fputc('\n', stdout);
    for (size_t i = 0; (name = raiiaf_legacy_field(i)) != NULL; i++) {
        raiiaf_value value;
        if (raiiaf_legacy_get(legacy, name, &value))
            add_value(&table, name, &value);
    }
    raiiaf_legacy_extra_each(legacy, add_value, &table);
    table_print(&table, INDENT);
}

/* ---- all of them ---- */

static bool look(struct scan *scan, const char *path, raiiaf_error *error)
{
    raiiaf_open_options warnings = {.warning = report_warning};
    raiiaf_legacy *legacy = NULL;
    if (!picture_read(&scan->picture, path, error))
        return false;
    raiiaf_import_options options = picture_options(&scan->picture, scan->dialect);
    bool good = raiiaf_scan(&legacy, scan->picture.data, scan->picture.size, &options, &warnings, error) == RAIIAF_OK;
    if (good && scan->json) {
        print_json(path, legacy);
    } else if (good) {
        if (!scan->first)
            fputc('\n', stdout);
        print_human(path, legacy);
    }
    raiiaf_legacy_free(legacy);
    scan->first = scan->first && !good;
    return good;
}

static bool scan_file(void *user, const struct found *found)
{
    struct scan *scan = user;
    raiiaf_error error;
    if (!found->named && is_artifact_name(found->path))
        return true;
    if (!look(scan, found->path, &error) && picture_expected(found, &error)) {
        report_error(&error);
        scan->good = false;
    }
    return !ferror(stdout);
}

static const char help[] = N_("Usage: raiiaf scan [--json] [OPTION]... FILE|DIR...\n"
                              "Tell what prompt and settings other tools wrote into their images (PNG, JPEG,\n"
                              "WebP), in FILEs and in folders; what 'raiiaf convert' would keep.  No pixel is\n"
                              "decoded, and nothing is changed.\n"
                              "\n"
                              "  --json          one JSON object per line, for programs\n"
                              "  -r, --recursive folders in folders too\n"
                              "  --dialect NAME  as this tool wrote it ('raiiaf dialects' lists them), whoever\n"
                              "                  else could have\n"
                              "  -h, --help      this text\n");

int scan_run(int argc, char **argv)
{
    static const struct option options[] = {{"json", no_argument, NULL, 'j'},
                                            {"recursive", no_argument, NULL, 'r'},
                                            {"dialect", required_argument, NULL, 'd'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    struct scan scan = {.good = true, .first = true};
    struct walk how = {.callback = scan_file, .user = &scan};
    for (int option; (option = getopt_long(argc, argv, "hr", options, NULL)) != -1;) {
        if (option == 'j')
            scan.json = true;
        else if (option == 'r')
            how.recursive = true;
        else if (option == 'd')
            scan.dialect = optarg;
        else
            return option == 'h' ? print_help(_(help)) : usage_error("scan", NULL);
    }
    if (scan.dialect != NULL && !is_dialect(scan.dialect))
        return usage_error("scan", _("there is no dialect '%s'; 'raiiaf dialects' lists them"), scan.dialect);
    if (optind == argc)
        return usage_error("scan", "%s", _("there is no FILE or DIR"));
    if (!isatty(STDOUT_FILENO))
        setvbuf(stdout, NULL, _IOFBF, BUFFER);
    bool good = walk(&how, argv + optind);
    picture_free(&scan.picture);
    return good && scan.good ? EXIT_WELL : EXIT_WRONG;
}
