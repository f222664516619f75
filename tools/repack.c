/* SPDX-License-Identifier: MIT */
/*
 * repack.c - raiiaf repack: the same content in fewer bytes.
 *
 * The packed file goes to an unnamed temporary file first, is read back from there, verified and held against the
 * old one; only then, and only if it is smaller, it takes the old one's place.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "command.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* In the target's folder, which has to have the room anyway; unnamed, so that nothing of it can stay behind. */
static int open_temporary(const char *target)
{
    int descriptor = -1;
    if (!is_standard(target)) {
        char *path = checked(strdup(target));
        descriptor = open(dirname(path), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        free(path);
    }
    if (descriptor < 0) { /* a file system that can't */
        FILE *stream = tmpfile();
        if (stream != NULL) {
            descriptor = dup(fileno(stream));
            fclose(stream);
        }
    }
    if (descriptor < 0)
        report(_("%s: no temporary file can be made: %s"), target, strerror(errno));
    return descriptor;
}

/* Two files, and whether what was looked at so far is the same in both. */
struct pair {
    const raiiaf_file *old, *new;
    const char *base; /* of the members that are being compared */
    bool same;
};

static bool same_place(const struct pair *pair, const char *path)
{
    raiiaf_value old, new;
    bool here = raiiaf_get(pair->old, path, &old), there = raiiaf_get(pair->new, path, &new);
    return here == there && (!here || (old.size == new.size &&memcmp(old.text, new.text, old.size) == 0));
}

static bool same_stored(const struct pair *pair, size_t i)
{
    raiiaf_buffer old = {0}, new = {0};
    bool same = raiiaf_chunk_read_stored(pair->old, i, &old, NULL) == RAIIAF_OK &&
                raiiaf_chunk_read_stored(pair->new, i, &new, NULL) == RAIIAF_OK &&
                old.size == new.size &&memcmp(old.data, new.data, old.size) == 0;
    raiiaf_buffer_free(&old);
    raiiaf_buffer_free(&new);
    return same;
}

/* The JSON pointer to a member of `base`; free it. */
static char *pointer_to(const char *base, const char *name)
{
    char *pointer = checked(malloc(strlen(base) + 2 * strlen(name) + 2)), *out = stpcpy(pointer, base);
    *out++ = '/';
    for (; *name != 0; name++) {
        bool special = *name == '~' || *name == '/';
        *out++ = special ? '~' : *name;
        if (special)
            *out++ = *name == '~' ? '0' : '1';
    }
    *out = 0;
    return pointer;
}

static bool compare_member(void *user, const char *name, const raiiaf_value *value)
{
    struct pair *pair = user;
    char *pointer = pointer_to(pair->base, name);
    (void)value;
    if (strcmp(pointer, "/chunks") != 0 && strcmp(pointer, "/file_info") != 0) /* they tell how the rest is stored */
        pair->same = same_place(pair, pointer);
    free(pointer);
    return pair->same;
}

/* What a record says of its payload: old layouts leave some of it out, and their other members are ours to keep. */
static bool same_chunk(struct pair *pair, size_t i)
{
    raiiaf_chunk_info old, new;
    char base[64];
    raiiaf_chunk_get(pair->old, i, &old);
    raiiaf_chunk_get(pair->new, i, &new);
    if (strcmp(old.type, new.type) != 0 || old.size != new.size || strcmp(old.sha256, new.sha256) != 0 ||
        old.dtype != new.dtype || old.rank != new.rank ||
        memcmp(old.shape, new.shape, old.rank * sizeof old.shape[0]) != 0)
        return false;
    snprintf(base, sizeof base, "/chunks/%zu/extra", i);
    pair->base = base;
    raiiaf_each(pair->old, base, compare_member, pair);
    bool known = strcmp(old.type, "LATN") == 0 || strcmp(old.type, "DATA") == 0 || strcmp(old.type, "ENVC") == 0;
    return pair->same && (known || same_stored(pair, i)); /* what raiiaf_verify can't vouch for */
}

static bool same_content(const raiiaf_file *old, const raiiaf_file *new)
{
    struct pair pair = {.old = old, .new = new, .same = raiiaf_chunk_count(old) == raiiaf_chunk_count(new)};
    for (size_t i = 0; pair.same && i < raiiaf_chunk_count(old); i++)
        pair.same = same_chunk(&pair, i);
    pair.base = "";
    if (pair.same)
        raiiaf_each(old, "", compare_member, &pair);
    if (pair.same)
        raiiaf_each(new, "", compare_member, &pair);
    return pair.same;
}

/* Packs `file` into the temporary file and opens that, all checked. */
static bool pack(const raiiaf_file *file, int *descriptor, raiiaf_file **packed)
{
    raiiaf_save_options options = {.repack = true};
    raiiaf_source source;
    raiiaf_sink sink;
    raiiaf_error error;
    sink_descriptor(&sink, descriptor, raiiaf_name(file));
    if (raiiaf_save(file, &sink, &options, &error) != RAIIAF_OK) {
        report_error(&error);
        return false;
    }
    if (!source_descriptor(&source, descriptor, raiiaf_name(file)))
        return false;
    if (raiiaf_open(packed, &source, NULL, &error) != RAIIAF_OK ||
        raiiaf_verify(*packed, 0, NULL, NULL, &error) != RAIIAF_OK) {
        report(_("%s stays as it is, as its packed form failed the check: %s"), raiiaf_name(file), error.text);
        return false;
    }
    if (!same_content(file, *packed)) {
        report(_("%s stays as it is, as its packed form is not the same"), raiiaf_name(file));
        return false;
    }
    return true;
}

static void print_saving(const char *path, const char *target, uint64_t before, uint64_t after)
{
    FILE *out = is_standard(target) ? stderr : stdout;
    print_safe(out, path, strlen(path));
    if (after < before)
        fprintf(out, _(": %'" PRIu64 " -> %'" PRIu64 " bytes (%u %% smaller)\n"), before, after,
                (unsigned)((double)(before - after) * 100 / (double)before + 0.5));
    else
        fprintf(out, _(": %'" PRIu64 " bytes, can't be made smaller\n"), before);
}

static bool repack(const char *path, const char *target)
{
    raiiaf_file *file = NULL, *packed = NULL;
    int descriptor = -1;
    bool good =
        open_input(&file, path) && (descriptor = open_temporary(target)) >= 0 && pack(file, &descriptor, &packed);
    if (good) {
        uint64_t before = raiiaf_file_size(file), after = raiiaf_file_size(packed);
        if (after < before)
            good = save(packed, target, NULL);
        else if (strcmp(path, target) != 0 || is_standard(target))
            good = save(file, target, NULL);
        if (good)
            print_saving(path, target, before, after);
    }
    raiiaf_close(packed);
    if (descriptor >= 0)
        close(descriptor);
    raiiaf_close(file);
    return good;
}

/* Where the packed form of `path` goes; free it. */
static char *target_of(const char *path, const char *output)
{
    char *target = NULL;
    const char *slash = strrchr(path, '/');
    if (output == NULL || !is_folder(output))
        return checked(strdup(output == NULL ? path : output));
    if (asprintf(&target, "%s/%s", output, slash != NULL ? slash + 1 : path) < 0)
        target = NULL;
    return checked(target);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* The first of FILEs whose name in the output folder another has already, or NULL. */
static const char *find_clash(char **paths)
{
    void *names = NULL;
    for (; *paths != NULL; paths++) {
        const char *slash = strrchr(*paths, '/'), *name = slash != NULL ? slash + 1 : *paths;
        if (*(const char **)checked(tsearch(name, &names, compare_names)) != name)
            break;
    }
    while (names != NULL)
        tdelete(*(const char **)names, &names, compare_names);
    return *paths;
}

static const char help[] = N_("Usage: raiiaf repack [-o OUT] FILE...\n"
                              "Store everything in each FILE in its smallest lossless form that the Python\n"
                              "implementation reads too.  The result is checked before it takes the place of\n"
                              "FILE; where it isn't smaller, FILE stays as it is.  '-' is standard input, and\n"
                              "its result goes to standard output.\n"
                              "\n"
                              "  -o, --output OUT  write OUT ('-': standard output) and leave FILE as it is;\n"
                              "                    for several FILEs a folder\n"
                              "  -h, --help        this text\n");

int repack_run(int argc, char **argv)
{
    static const struct option options[] = {
        {"output", required_argument, NULL, 'o'}, {"help", no_argument, NULL, 'h'}, {0}};
    const char *output = NULL;
    bool good = true;
    for (int option; (option = getopt_long(argc, argv, "ho:", options, NULL)) != -1;) {
        if (option == 'h')
            return print_help(_(help));
        if (option != 'o')
            return usage_error("repack", NULL);
        output = optarg;
    }
    if (optind == argc)
        return usage_error("repack", "%s", _("there is no FILE"));
    if (argc - optind > 1 && output != NULL && !is_folder(output))
        return usage_error("repack", _("for several FILEs OUT has to be a folder, which '%s' isn't"), output);
    const char *clash = output != NULL ? find_clash(argv + optind) : NULL;
    if (clash != NULL)
        return usage_error("repack", "%s: %s", clash, _("one output would replace another"));
    for (int i = optind; i < argc; i++) {
        char *target = target_of(argv[i], output);
        good = repack(argv[i], target) && good;
        free(target);
    }
    return good ? EXIT_WELL : EXIT_WRONG;
}
