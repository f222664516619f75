/* SPDX-License-Identifier: MIT */
/*
 * info.c - raiiaf info: what is in files, for people or as one line of JSON each.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "command.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define INDENT 4

/* What is printed of one file; `good` turns false where a part of it can't be had. */
struct facts {
    const char *path;
    raiiaf_file *file;
    size_t image; /* chunk, or RAIIAF_NONE */
    raiiaf_chunk_info image_chunk;
    raiiaf_image_info image_info;
    raiiaf_buffer environment; /* data NULL: none */
    const raiiaf_buffer *now;  /* this computer's; NULL: unknown */
    bool good;
};

static void failed(struct facts *facts, const raiiaf_error *error)
{
    report_error(error);
    facts->good = false;
}

/* This computer's environment, captured when first asked for; NULL where that fails. */
static const raiiaf_buffer *present_environment(raiiaf_error *error)
{
    static raiiaf_buffer present;
    if (present.data == NULL && raiiaf_environment_capture(&present, error) != RAIIAF_OK)
        return NULL;
    return &present;
}

static bool ignore_component(void *user, const raiiaf_component *component)
{
    (void)user;
    (void)component;
    return true;
}

static void gather_environment(struct facts *facts)
{
    raiiaf_error error;
    size_t chunk = raiiaf_environment_chunk(facts->file);
    if (chunk == RAIIAF_NONE)
        return;
    if (raiiaf_chunk_read(facts->file, chunk, 0, &facts->environment, &error) != RAIIAF_OK) {
        failed(facts, &error);
        return;
    }
    const char *json = (const char *)facts->environment.data;
    if (raiiaf_environment_each(json, facts->environment.size, ignore_component, NULL, &error) != RAIIAF_OK) {
        failed(facts, &error);
        raiiaf_buffer_free(&facts->environment);
        facts->environment = (raiiaf_buffer){0};
        return;
    }
    facts->now = present_environment(&error);
    if (facts->now == NULL)
        failed(facts, &error);
}

static void gather(struct facts *facts)
{
    raiiaf_error error;
    facts->image = raiiaf_image_chunk(facts->file);
    if (facts->image != RAIIAF_NONE) {
        raiiaf_chunk_get(facts->file, facts->image, &facts->image_chunk);
        if (raiiaf_image_probe(facts->file, &facts->image_info, &error) != RAIIAF_OK) {
            facts->image_info = (raiiaf_image_info){0};
            failed(facts, &error);
        }
    }
    gather_environment(facts);
}

/* Hands each line of drift to `callback`. */
static void each_drift(struct facts *facts, bool (*callback)(void *user, const char *id, const char *text), void *user)
{
    raiiaf_error error;
    if (facts->environment.data != NULL && facts->now != NULL &&
        raiiaf_environment_drift((const char *)facts->environment.data, facts->environment.size,
                                 (const char *)facts->now->data, facts->now->size, callback, user, &error) != RAIIAF_OK)
        failed(facts, &error);
}

static const char *dtype_name(raiiaf_dtype dtype)
{
    return dtype == RAIIAF_FLOAT32 ? "float32" : dtype == RAIIAF_FLOAT16 ? "float16" : "";
}

static const char *encoding_name(raiiaf_encoding encoding)
{
    return encoding == RAIIAF_ENCODING_ZFP ? "zfp" : encoding == RAIIAF_ENCODING_ZSTD ? "zstd" : "raw";
}

/* ---- JSON ---- */

static void json_number(const char *name, uint64_t number)
{
    if (number == 0) /* can't be told */
        printf(", \"%s\": null", name);
    else
        printf(", \"%s\": %" PRIu64, name, number);
}

static void json_image(const struct facts *facts)
{
    if (facts->image == RAIIAF_NONE) {
        fputs("null", stdout);
        return;
    }
    printf("{\"format\": \"%s\"", raiiaf_image_format_name(facts->image_info.format));
    json_number("width", facts->image_info.width);
    json_number("height", facts->image_info.height);
    json_number("depth", facts->image_info.depth);
    printf(", \"bytes\": %" PRIu64 ", \"sha256\": \"%s\"}", facts->image_chunk.size, facts->image_chunk.sha256);
}

static void json_latents(const raiiaf_file *file)
{
    for (size_t n = 0; n < raiiaf_latent_count(file); n++) {
        raiiaf_chunk_info info;
        raiiaf_chunk_get(file, raiiaf_latent_chunk(file, n), &info);
        printf("%s{\"index\": %zu, \"key\": ", n > 0 ? ", " : "", n);
        print_json_string(stdout, info.key, strlen(info.key));
        fputs(", \"shape\": [", stdout);
        for (unsigned axis = 0; axis < info.rank; axis++)
            printf("%s%" PRIu32, axis > 0 ? ", " : "", info.shape[axis]);
        printf("], \"dtype\": \"%s\", \"bytes\": %" PRIu64 ", \"sha256\": \"%s\", \"encoding\": \"%s\"}",
               dtype_name(info.dtype), info.size, info.sha256, encoding_name(info.encoding));
    }
}

static bool json_drift(void *user, const char *id, const char *text)
{
    bool *first = user;
    (void)id;
    if (!*first)
        fputs(", ", stdout);
    *first = false;
    print_json_string(stdout, text, strlen(text));
    return true;
}

static void print_json(struct facts *facts)
{
    const char *manifest;
    size_t size;
    bool first = true;
    raiiaf_manifest_text(facts->file, &manifest, &size);
    fputs("{\"file\": ", stdout);
    print_json_string(stdout, facts->path, strlen(facts->path));
    printf(", \"layout\": \"%s\", \"manifest\": ", raiiaf_layout_name(raiiaf_layout_of(facts->file)));
    print_json_line(manifest, size);
    fputs(", \"image\": ", stdout);
    json_image(facts);
    fputs(", \"latents\": [", stdout);
    json_latents(facts->file);
    fputs("], \"environment\": ", stdout);
    if (facts->environment.data != NULL)
        print_json_line((const char *)facts->environment.data, facts->environment.size);
    else
        fputs("null", stdout);
    fputs(", \"drift\": [", stdout);
    each_drift(facts, json_drift, &first);
    fputs("]}\n", stdout);
}

/* ---- for people ---- */

static void print_heading(const char *title)
{
    printf("\n  %s\n", title);
}

static void print_text(const char *title, const raiiaf_file *file, const char *setting)
{
    raiiaf_value value;
    raiiaf_buffer text = {0};
    if (raiiaf_setting(file, setting, &value) && raiiaf_value_text(&value, &text, NULL) == RAIIAF_OK && text.size > 0) {
        print_heading(title);
        printf("%*s", INDENT, "");
        print_wrapped((const char *)text.data, text.size, INDENT);
    }
    raiiaf_buffer_free(&text);
}

static const char *colours(const raiiaf_image_info *info)
{
    static const char *const names[] = {"", N_("gray"), N_("gray with alpha"), N_("RGB"), N_("RGB with alpha")};
    return info->cmyk ? _("CMYK") : info->channels > 0 && info->channels <= 4 ? _(names[info->channels]) : "";
}

static void add_image(struct table *table, const struct facts *facts)
{
    const raiiaf_image_info *info = &facts->image_info;
    table_format(table, "%s", _("Image"));
    if (facts->image == RAIIAF_NONE) {
        table_format(table, "%s", _("none"));
        return;
    }
    table_format(table, "%s", raiiaf_image_format_name(info->format));
    if (info->width > 0)
        table_append_format(table, ", %" PRIu32 " x %" PRIu32, info->width, info->height);
    if (info->channels > 0)
        table_append_format(table, ", %s%s", colours(info), info->palette ? _(" (palette)") : "");
    if (info->depth > 0)
        table_append_format(table, ngettext(", %u bit", ", %u bits", info->depth), info->depth);
    table_append_format(table, _(", %'" PRIu64 " bytes"), facts->image_chunk.size);
    table_format(table, "%s", "SHA-256");
    table_format(table, "%s", facts->image_chunk.sha256);
}

/* The length of "tags" in "tags.3", of all of other names. */
static size_t base_length(const char *name)
{
    const char *dot = strrchr(name, '.');
    bool element = dot != NULL && dot[1] != 0 && strspn(dot + 1, "0123456789") == strlen(dot + 1);
    return element ? (size_t)(dot - name) : strlen(name);
}

/* The elements of an array share a row. */
static bool add_setting(void *user, const char *name, const raiiaf_value *value)
{
    raiiaf_buffer text = {0};
    size_t length = base_length(name);
    bool elsewhere = strcmp(name, "prompt") == 0 || strcmp(name, "negative_prompt") == 0;
    if (!elsewhere && raiiaf_value_text(value, &text, NULL) == RAIIAF_OK && text.size > 0) {
        if (name[length] != 0 && table_row_is(user, name, length)) {
            table_append(user, ", ", 2);
            table_append(user, (const char *)text.data, text.size);
        } else {
            table_add(user, name, length);
            table_add(user, (const char *)text.data, text.size);
        }
    }
    raiiaf_buffer_free(&text);
    return true;
}

static void print_section(const char *title, struct table *table)
{
    if (table->count == 0)
        return;
    print_heading(title);
    table_print(table, INDENT);
}

static void print_settings(const raiiaf_file *file)
{
    struct table table = {.columns = 2};
    raiiaf_setting_each(file, add_setting, &table);
    print_section(_("Settings"), &table);
}

static void add_shape(struct table *table, const raiiaf_chunk_info *info)
{
    char text[RAIIAF_MAX_RANK * 12] = "";
    for (unsigned axis = 0, at = 0; axis < info->rank; axis++)
        at += (unsigned)snprintf(text + at, sizeof text - at, axis > 0 ? "x%" PRIu32 : "%" PRIu32, info->shape[axis]);
    table_format(table, "%s", text);
}

static void print_latents(const raiiaf_file *file)
{
    static const char *const titles[] = {"#",          N_("key"),   N_("shape"), N_("type"), N_("encoding"),
                                         N_("stored"), N_("bytes"), ""};
    struct table table = {.columns = 8, .right = 1u << 0 | 1u << 5 | 1u << 6};
    if (raiiaf_latent_count(file) == 0)
        return;
    for (size_t c = 0; c < table.columns; c++)
        table_format(&table, "%s", *titles[c] != 0 ? _(titles[c]) : "");
    for (size_t n = 0; n < raiiaf_latent_count(file); n++) {
        raiiaf_chunk_info info;
        raiiaf_chunk_get(file, raiiaf_latent_chunk(file, n), &info);
        table_format(&table, "%zu", n);
        table_format(&table, "%s", info.key);
        add_shape(&table, &info);
        table_format(&table, "%s", dtype_name(info.dtype));
        table_format(&table, "%s", encoding_name(info.encoding));
        table_format(&table, "%'" PRIu64, info.stored_size);
        table_format(&table, "%'" PRIu64, info.size);
        table_format(&table, "%s", info.stale ? _("stale") : "");
    }
    print_section(_("Latents"), &table);
}

static void print_other_chunks(const struct facts *facts)
{
    struct table table = {.columns = 3, .right = 1u << 1};
    size_t environment = raiiaf_environment_chunk(facts->file);
    for (size_t i = 0; i < raiiaf_chunk_count(facts->file); i++) {
        raiiaf_chunk_info info;
        raiiaf_chunk_get(facts->file, i, &info);
        if (i == facts->image || i == environment || strcmp(info.type, "LATN") == 0)
            continue;
        table_format(&table, "%s", info.type);
        table_format(&table, "%'" PRIu64, info.size);
        table_format(&table, "%s", info.sha256);
    }
    print_section(_("Other chunks"), &table);
}

/* "name=torch;version=2.3.1" says once more what it is: the rest is shown beside the component's name. */
static bool add_component(void *user, const raiiaf_component *component)
{
    const char *text = component->canonical;
    size_t length = strlen(component->id);
    if (strncmp(text, "name=", 5) == 0 && strncmp(text + 5, component->id, length) == 0 && text[5 + length] == ';')
        text += 5 + length + 1;
    table_format(user, "%s", component->id);
    table_format(user, "%s", text);
    return true;
}

static bool print_drift(void *user, const char *id, const char *text)
{
    bool *first = user;
    (void)id;
    if (*first)
        print_heading(_("Drift of this computer from it"));
    *first = false;
    printf("%*s", INDENT, "");
    print_wrapped(text, strlen(text), INDENT);
    return true;
}

static void print_environment(struct facts *facts)
{
    struct table table = {.columns = 2};
    bool first = true;
    if (facts->environment.data == NULL)
        return;
    raiiaf_environment_each((const char *)facts->environment.data, facts->environment.size, add_component, &table,
                            NULL);
    print_section(_("Environment"), &table);
    each_drift(facts, print_drift, &first);
    if (first && facts->now != NULL)
        printf("%*s%s\n", INDENT, "", _("(this computer is the same)"));
}

static void add_member(struct table *table, const raiiaf_file *file, const char *entry, const char *name)
{
    char path[64];
    raiiaf_value value;
    raiiaf_buffer text = {0};
    snprintf(path, sizeof path, "/history/%s/%s", entry, name);
    if (raiiaf_get(file, path, &value) && raiiaf_value_text(&value, &text, NULL) == RAIIAF_OK)
        table_add(table, (const char *)text.data, text.size);
    else
        table_add(table, "", 0);
    raiiaf_buffer_free(&text);
}

struct history {
    const raiiaf_file *file;
    struct table table;
};

static bool add_entry(void *user, const char *name, const raiiaf_value *value)
{
    struct history *history = user;
    if (value->type != RAIIAF_JSON_OBJECT)
        return true;
    add_member(&history->table, history->file, name, "date");
    add_member(&history->table, history->file, name, "action");
    add_member(&history->table, history->file, name, "tool");
    return true;
}

static void print_history(const raiiaf_file *file)
{
    struct history history = {.file = file, .table = {.columns = 3}};
    raiiaf_value value;
    if (raiiaf_get(file, "/history", &value) && value.type == RAIIAF_JSON_ARRAY)
        raiiaf_each(file, "/history", add_entry, &history);
    print_section(_("History"), &history.table);
}

static void print_human(struct facts *facts)
{
    const raiiaf_file *file = facts->file;
    struct table head = {.columns = 2};
    print_safe(stdout, facts->path, strlen(facts->path));
    fputc('\n', stdout);
    table_format(&head, "%s", _("Layout"));
    table_format(&head, "%s%s", raiiaf_layout_name(raiiaf_layout_of(file)),
                 raiiaf_is_capsule(file) ? _(" (a capsule: its image is elsewhere)") : "");
    table_append_format(&head, _(", %'" PRIu64 " bytes"), raiiaf_file_size(file));
    add_image(&head, facts);
    table_print(&head, 2);
    print_text(_("Prompt"), file, "prompt");
    print_text(_("Negative prompt"), file, "negative_prompt");
    print_settings(file);
    print_latents(file);
    print_other_chunks(facts);
    print_environment(facts);
    print_history(file);
}

static bool info(const char *path, bool json, bool first)
{
    struct facts facts = {.path = path, .good = true};
    if (!open_input(&facts.file, path))
        return false;
    gather(&facts);
    if (json) {
        print_json(&facts);
    } else {
        if (!first)
            fputc('\n', stdout);
        print_human(&facts);
    }
    raiiaf_buffer_free(&facts.environment);
    raiiaf_close(facts.file);
    return facts.good;
}

static const char help[] = N_("Usage: raiiaf info [--json] FILE...\n"
                              "Tell what is in each FILE ('-': standard input): image, prompt, settings,\n"
                              "latents, environment and where this computer has drifted from it.  No pixel is\n"
                              "decoded; 'raiiaf verify' checks what this only reads.\n"
                              "\n"
                              "  --json      one JSON object per line, for programs\n"
                              "  -h, --help  this text\n");

int info_run(int argc, char **argv)
{
    static const struct option options[] = {{"json", no_argument, NULL, 'j'}, {"help", no_argument, NULL, 'h'}, {0}};
    bool json = false, good = true;
    for (int option; (option = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        if (option == 'h')
            return print_help(_(help));
        if (option != 'j')
            return usage_error("info", NULL);
        json = true;
    }
    if (optind == argc)
        return usage_error("info", "%s", _("there is no FILE"));
    for (int i = optind; i < argc; i++)
        good = info(argv[i], json, i == optind) && good;
    return good ? EXIT_WELL : EXIT_WRONG;
}
