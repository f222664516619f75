/* SPDX-License-Identifier: MIT */
/*
 * export.c - raiiaf export: what is known of an image, for other programs: as text, JSON or XMP, or as a PNG that takes
 * the whole file along.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "command.h"

#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct job {
    int form; /* a raiiaf_export_form; -1: not told yet */
    const char *output;
    bool recursive, overwrite;
    bool folder;   /* the output is one */
    void *written; /* paths, a tree: no output of one call replaces another */
    size_t printed;
    bool good;
};

/* ---- names ---- */

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

static char *joined(const char *folder, const char *name)
{
    size_t size = strlen(folder);
    char *path;
    if (asprintf(&path, "%s%s%s", folder, size > 0 && folder[size - 1] != '/' ? "/" : "", name) < 0)
        path = NULL;
    return checked(path);
}

/* The path with another extension; free it. */
static char *renamed(const char *path, const char *extension)
{
    const char *name = base_name(path), *dot = strrchr(name, '.');
    size_t size = dot != NULL && dot != name ? (size_t)(dot - path) : strlen(path);
    char *made = checked(malloc(size + strlen(extension) + 1));
    memcpy(made, path, size);
    strcpy(made + size, extension);
    return made;
}

/* How the images end that a folder takes; the usual ending first. */
static const char *const *endings_of(raiiaf_image_format format)
{
    static const char *const endings[][4] = {[RAIIAF_IMAGE_UNKNOWN] = {""},
                                             [RAIIAF_IMAGE_PNG] = {".png", ".apng"},
                                             [RAIIAF_IMAGE_JPEG] = {".jpg", ".jpeg", ".jfif"},
                                             [RAIIAF_IMAGE_WEBP] = {".webp"},
                                             [RAIIAF_IMAGE_BMP] = {".bmp"}};
    return endings[format];
}

/* The name that the image had before it was put into the file, or NULL; free it.  The file may come from anywhere:
   names that lead elsewhere, or are no such image's, don't count; nor do those that aren't told in full, as they were
   no UTF-8: then the file's own name still is. */
static char *former_name(const raiiaf_file *file, const char *const *endings)
{
    raiiaf_value value;
    raiiaf_buffer text = {0};
    char *name = NULL;
    if (raiiaf_get(file, "/source/file_name", &value) && value.type == RAIIAF_JSON_STRING &&
        raiiaf_value_text(&value, &text, NULL) == RAIIAF_OK && memchr(text.data, 0, text.size) == NULL &&
        memchr(text.data, '/', text.size) == NULL && strstr((const char *)text.data, "\xEF\xBF\xBD") == NULL)
        for (size_t i = 0; endings[i] != NULL && name == NULL; i++)
            if (ends_with((const char *)text.data, endings[i]))
                name = checked(strdup((const char *)text.data));
    raiiaf_buffer_free(&text);
    return name;
}

/* ---- writing ---- */

static int compare_paths(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* Gives an image the time stamp that it had.  The file's own, where it still is that one, is more exact. */
static void restore_time(const raiiaf_file *file, const char *path)
{
    struct stat about;
    raiiaf_value value;
    struct tm parts = {0};
    if (!raiiaf_get(file, "/source/modified", &value) ||
        sscanf(value.text, "\"%4d-%2d-%2dT%2d:%2d:%2d", &parts.tm_year, &parts.tm_mon, &parts.tm_mday, &parts.tm_hour,
               &parts.tm_min, &parts.tm_sec) != 6)
        return;
    parts.tm_year -= 1900;
    parts.tm_mon -= 1;
    struct timespec times[2] = {{0, UTIME_OMIT}, {timegm(&parts), 0}};
    if (stat(raiiaf_name(file), &about) == 0 && about.st_mtim.tv_sec == times[1].tv_sec)
        times[1] = about.st_mtim;
    utimensat(AT_FDCWD, path, times, 0);
}

static bool place_failed(raiiaf_pending *pending, const char *path, const raiiaf_error *error)
{
    if (strcmp(error->id, "exists") == 0)
        report(_("%s is there already and stays; --overwrite replaces it"), path);
    else
        report_error(error);
    raiiaf_pending_drop(pending);
    return false;
}

/* Outputs of this call never replace each other.  Those in a folder come to disk together, in the end. */
static bool place(struct job *job, const char *path, const raiiaf_buffer *bytes)
{
    const raiiaf_buffer nothing = {0};
    raiiaf_pending *pending = NULL;
    raiiaf_error error;
    raiiaf_sink sink;
    bool replace = job->overwrite && tfind(path, &job->written, compare_paths) == NULL;
    if (raiiaf_sink_pending(&sink, path, 0666, &pending, &error) != RAIIAF_OK)
        return place_failed(NULL, path, &error);
    if (!fill_sink(&sink, path, &nothing, bytes))
        return false;
    if ((!job->folder && raiiaf_pending_sync(&pending, 1, &error) != RAIIAF_OK) ||
        raiiaf_pending_place(pending, path, replace, &error) != RAIIAF_OK)
        return place_failed(pending, path, &error);
    checked(tsearch(checked(strdup(path)), &job->written, compare_paths));
    return true;
}

static bool write_to(struct job *job, const raiiaf_file *file, const char *path, const raiiaf_buffer *bytes)
{
    bool good = make_folders(path);
    if (!good)
        report(_("%s can't be written: %s"), path, strerror(errno));
    else if (job->overwrite && !job->folder)
        good = write_output(path, &(raiiaf_buffer){0}, bytes);
    else
        good = place(job, path, bytes);
    if (good && job->form == RAIIAF_EXPORT_PNG)
        restore_time(file, path);
    return good;
}

/* Brings the output folder to disk. */
static bool sync_output(const char *path)
{
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool good = folder < 0 ? errno == ENOENT : syncfs(folder) == 0; /* nothing went there */
    if (!good)
        report(_("%s can't be written: %s"), path, strerror(errno));
    if (folder >= 0)
        close(folder);
    return good;
}

/* Another name in the folder of `path`; free it. */
static char *beside(const char *path, const char *name)
{
    char *made;
    if (asprintf(&made, "%.*s%s", (int)(base_name(path) - path), path, name) < 0)
        made = NULL;
    return checked(made);
}

/* Into the output folder, where `below` is the file's path from the folder that was asked for.  Where two images had
   the same name, the second is named after its file. */
static bool write_below(struct job *job, const raiiaf_file *file, const char *below, const char *const *endings,
                        const raiiaf_buffer *bytes)
{
    char *former = job->form == RAIIAF_EXPORT_PNG ? former_name(file, endings) : NULL;
    char *name = former != NULL ? beside(below, former) : renamed(below, endings[0]);
    char *path = joined(job->output, name);
    if (former != NULL && tfind(path, &job->written, compare_paths) != NULL) {
        free(name);
        free(path);
        name = renamed(below, endings[0]);
        path = joined(job->output, name);
    }
    bool good = write_to(job, file, path, bytes);
    free(former);
    free(name);
    free(path);
    return good;
}

/* Texts for people and programs to read one after the other; what raiiaf scan prints begins with the file's name,
   too. */
static void print_text(struct job *job, const char *path, const raiiaf_buffer *text)
{
    size_t done = 0;
    if (job->form == RAIIAF_EXPORT_PARAMETERS && job->printed++ > 0)
        putchar('\n');
    if (job->form == RAIIAF_EXPORT_JSON) {
        fputs("{\"file\": ", stdout);
        print_json_string(stdout, path, strlen(path));
        fputs(", ", stdout);
        done = 1;
    }
    fwrite(text->data + done, 1, text->size - done, stdout);
    putchar('\n');
}

/* ---- one file ---- */

/* What goes out of the file.  A folder takes images of other formats too, as they are. */
static bool make_output(const struct job *job, const raiiaf_file *file, raiiaf_image_format format,
                        raiiaf_buffer *bytes)
{
    raiiaf_error error;
    bool other = job->form == RAIIAF_EXPORT_PNG && job->folder && format > RAIIAF_IMAGE_PNG;
    raiiaf_status status = other ? raiiaf_chunk_read(file, raiiaf_image_chunk(file), 0, bytes, &error)
                                 : raiiaf_export(file, (raiiaf_export_form)job->form, bytes, &error);
    if (status != RAIIAF_OK)
        report_error(&error);
    else if (other)
        warn(_("%s: the image is %s and goes out as it is; only a PNG takes the rest of the file along"),
             raiiaf_name(file), raiiaf_image_format_name(format));
    return status == RAIIAF_OK;
}

static bool export(struct job *job, const char *path, const char *below)
{
    static const char *const endings[][2] = {
        [RAIIAF_EXPORT_PARAMETERS] = {".txt"}, [RAIIAF_EXPORT_JSON] = {".json"}, [RAIIAF_EXPORT_XMP] = {".xmp"}};
    raiiaf_image_info info = {0};
    raiiaf_buffer bytes = {0};
    raiiaf_file *file;
    if (!open_input(&file, path))
        return false;
    if (job->form == RAIIAF_EXPORT_PNG)
        raiiaf_image_probe(file, &info, NULL);
    bool good = make_output(job, file, info.format, &bytes);
    if (good && job->folder)
        good = write_below(job, file, below,
                           job->form == RAIIAF_EXPORT_PNG ? endings_of(info.format) : endings[job->form], &bytes);
    else if (good && is_standard(job->output) && job->form != RAIIAF_EXPORT_PNG)
        print_text(job, path, &bytes);
    else if (good && (is_standard(job->output) || is_special(job->output)))
        good = write_output(job->output, &(raiiaf_buffer){0}, &bytes);
    else if (good)
        good = write_to(job, file, job->output, &bytes);
    raiiaf_buffer_free(&bytes);
    raiiaf_close(file);
    return good;
}

/* ---- many files ---- */

static bool export_found(void *user, const struct found *found)
{
    struct job *job = user;
    if (found->named || is_artifact_name(found->path))
        job->good = export(job, found->path, found->relative) && job->good;
    return true;
}

static const char help[] = N_("Usage: raiiaf export FORM [OPTION]... FILE|DIR...\n"
                              "Hand out what is known of images, for other programs.  Of a DIR, the .raiiaf\n"
                              "and .gen5 files in it.\n"
                              "\n"
                              "      --parameters     the settings as the text that A1111 and many others read\n"
                              "      --json           the same as JSON, one line for each FILE, as\n"
                              "                       'raiiaf scan --json' names them\n"
                              "      --xmp            as an XMP packet, with IPTC's fields for generated images\n"
                              "      --png OUT        the image with its own chunks and pixels, the settings\n"
                              "                       where it has none, and the whole FILE, which\n"
                              "                       'raiiaf convert' makes of it again\n"
                              "\n"
                              "  -o, --output OUT     where a text goes (default: standard output)\n"
                              "  -r, --recursive      take a DIR's folders, too\n"
                              "      --overwrite      replace what is there\n"
                              "  -h, --help           this text\n"
                              "\n"
                              "For several FILEs or a DIR, OUT is a folder.  In a folder, images get back the\n"
                              "name and the time that they had, and those that are no PNG go out as they are.\n");

enum { OVERWRITE = 256 };

/* -1: go on; else the exit status. */
static int parse(int argc, char **argv, struct job *job)
{
    static const struct option options[] = {{"parameters", no_argument, NULL, RAIIAF_EXPORT_PARAMETERS},
                                            {"json", no_argument, NULL, RAIIAF_EXPORT_JSON},
                                            {"xmp", no_argument, NULL, RAIIAF_EXPORT_XMP},
                                            {"png", required_argument, NULL, RAIIAF_EXPORT_PNG},
                                            {"output", required_argument, NULL, 'o'},
                                            {"recursive", no_argument, NULL, 'r'},
                                            {"overwrite", no_argument, NULL, OVERWRITE},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    for (int option; (option = getopt_long(argc, argv, "ho:r", options, NULL)) != -1;) {
        if (option == 'h')
            return print_help(_(help));
        if (option == '?')
            return usage_error("export", NULL);
        if (option == 'r')
            job->recursive = true;
        else if (option == OVERWRITE)
            job->overwrite = true;
        else if (option != 'o' && job->form >= 0)
            return usage_error("export", "%s", _("only one form can be asked for"));
        else if (option != 'o')
            job->form = option;
        if (option == 'o' || option == RAIIAF_EXPORT_PNG) {
            if (job->output != NULL)
                return usage_error("export", "%s", _("only one OUT can be given"));
            job->output = optarg;
        }
    }
    if (job->form < 0)
        return usage_error("export", "%s", _("nothing was asked for"));
    if (optind == argc)
        return usage_error("export", "%s", _("there is no FILE"));
    return -1;
}

/* -1: the call makes sense; else the exit status. */
static int check(int argc, char **argv, struct job *job)
{
    bool several = argc - optind > 1 || job->recursive || is_folder(argv[optind]);
    if (job->output == NULL)
        job->output = "-";
    size_t length = strlen(job->output);
    if (several && length == 0)
        return usage_error("export", _("for several FILEs OUT has to be a folder, which '%s' isn't"), job->output);
    job->folder = !is_standard(job->output) && length > 0 &&
                  (several || is_folder(job->output) || job->output[length - 1] == '/');
    if (several && job->form == RAIIAF_EXPORT_PNG && !job->folder)
        return usage_error("export", "%s", _("only one output can go to standard output"));
    for (int i = optind; i < argc; i++)
        if (!job->folder && same_file(argv[i], job->output))
            return usage_error("export", "%s", _("the output would replace FILE itself"));
    return -1;
}

static bool export_all(struct job *job, char **paths)
{
    struct walk how = {.recursive = job->recursive, .callback = export_found, .user = job};
    if (is_standard(*paths)) /* alone: it can serve only once */
        return export(job, *paths, *paths);
    return walk(&how, paths) && job->good;
}

int export_run(int argc, char **argv)
{
    struct job job = {.form = -1, .good = true};
    int status = parse(argc, argv, &job);
    if (status < 0)
        status = check(argc, argv, &job);
    if (status < 0) {
        bool good = export_all(&job, argv + optind);
        good = (!job.folder || sync_output(job.output)) && good;
        status = good ? EXIT_WELL : EXIT_WRONG;
    }
    tdestroy(job.written, free);
    return status;
}
