/* SPDX-License-Identifier: MIT */
/*
 * python.c - what the active environment's `python3` would say of itself and of what is installed for it.
 *
 * Running somebody's Python from a library that opens pictures would be slow and unsafe, so all of it is read from
 * files.
 *
 *   the version      the string inside the interpreter (or its libpython), else what pyvenv.cfg or conda recorded
 *   distributions    the Version of their metadata, along the sys.path that the interpreter would build
 *   torch's CUDA     what torch/version.py says, as torch.version.cuda is that file's variable, else the local part of
 *                    torch's version ("2.3.1+cu121")
 *
 * Of sys.path, .pth files (editable installs) aren't followed.  A `python3` in PATH that is a script (pyenv's shims)
 * is passed over, since only running it would tell where it leads.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "environment.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEXT_MOST (1u << 20)     /* of a metadata file: the fields that count come first */
#define ENTRIES_MOST 200000u     /* of a folder; site-packages holds some thousand */
#define BINARY_MOST (256u << 20) /* of an interpreter; the largest static ones have some 100 MiB */

typedef struct python {
    char series[16]; /* "3.11"; "" as long as it isn't known */
    char version[RF_VERSION_SIZE];
    rf_bytes search; /* sys.path: NUL-terminated names one behind the other */
    bool no_memory;  /* something may have been overlooked */
} python;

/* ---- files and folders ---- */

static bool join(char out[PATH_MAX], const char *format, ...) RF_PRINTF(2, 3);

/* false if the path is too long */
static bool join(char out[PATH_MAX], const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(out, PATH_MAX, format, arguments);
    va_end(arguments);
    return size > 0 && size < PATH_MAX;
}

/* Opens a regular file; anything else (a FIFO would block) is refused. */
static int open_regular(const char *path)
{
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat status;
    if (file >= 0 && (fstat(file, &status) || !S_ISREG(status.st_mode))) {
        close(file);
        file = -1;
    }
    return file;
}

/* Up to TEXT_MOST bytes of a file's beginning; empty if it can't be read. */
static rf_bytes read_text(python *py, const char *path)
{
    rf_bytes text = {0};
    int file = open_regular(path);
    if (file < 0)
        return text;
    char block[8192];
    for (ssize_t got; text.size < TEXT_MOST && (got = read(file, block, sizeof block)) > 0;)
        rf_bytes_append(&text, block, (size_t)got);
    close(file);
    if (text.failed) {
        py->no_memory = true;
        rf_bytes_free(&text);
    }
    return text;
}

static DIR *open_folder(python *py, const char *path)
{
    DIR *folder = opendir(path);
    if (!folder && errno == ENOMEM)
        py->no_memory = true;
    return folder;
}

static bool is_directory(const char *path)
{
    struct stat status;
    return !stat(path, &status) && S_ISDIR(status.st_mode);
}

static bool is_set(const char *text)
{
    return text && *text;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static size_t count_digits(const char *text)
{
    size_t count = 0;
    while (is_digit(text[count]))
        count++;
    return count;
}

/* Copies what may be a version: it starts with a digit and holds no byte that a version can't. */
static bool take_version(char out[RF_VERSION_SIZE], const char *text, size_t size)
{
    if (!size || size >= RF_VERSION_SIZE || !is_digit(*text))
        return false;
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        bool fits = is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c && strchr(".+!_-", c));
        if (!fits)
            return false;
    }
    memcpy(out, text, size);
    out[size] = 0;
    return true;
}

/* The line after the one at `line`, or NULL. */
static const char *next_line(const char *line)
{
    const char *end = strchr(line, '\n');
    return end && end[1] ? end + 1 : NULL;
}

/* The rest of a line without the white space around it. */
static const char *trim(const char *text, size_t *size)
{
    text += strspn(text, " \t");
    *size = strcspn(text, "\r\n");
    while (*size && (text[*size - 1] == ' ' || text[*size - 1] == '\t'))
        --*size;
    return text;
}

/* ---- versions inside an interpreter ---- */

/* The length of "X.Y.Z", a pre-release mark and a "+" (sys.version's own forms) at `text`, which begins with the
   series "X.Y"; 0 if it is something else. */
static size_t full_version_length(const char *text, const char *series)
{
    size_t length = strlen(series);
    if (strncmp(text, series, length) || text[length] != '.')
        return 0;
    size_t digits = count_digits(text + length + 1);
    if (!digits || digits > 3)
        return 0;
    length += 1 + digits;
    size_t mark = text[length] == 'a' || text[length] == 'b' ? 1 : !strncmp(text + length, "rc", 2) ? 2 : 0;
    if (mark) {
        digits = count_digits(text + length + mark);
        if (!digits || digits > 3)
            return 0;
        length += mark + digits;
    }
    return length + (text[length] == '+');
}

/* What a scan has found.  The version is a string of its own, unless the linker made it the tail of a longer one that
   ends alike (".../python/3.11.7"): such a tail counts only while all of them agree. */
typedef struct version_scan {
    const char *series;
    char exact[RF_VERSION_SIZE], tail[RF_VERSION_SIZE];
    bool disagree;
} version_scan;

/* Of a version with its terminating 0: enough for full_version_length's longest. */
#define LONGEST 32

static void take_match(version_scan *scan, const char *at)
{
    size_t length = full_version_length(at, scan->series);
    if (!length || at[length] || is_digit(at[-1]) || at[-1] == '.')
        return;
    char found[LONGEST];
    memcpy(found, at, length + 1);
    if (!at[-1])
        strcpy(scan->exact, found);
    else if (*scan->tail && strcmp(scan->tail, found))
        scan->disagree = true;
    else
        strcpy(scan->tail, found);
}

/* Looks at every place of the window but its first byte and its last LONGEST - 1. */
static void scan_window(version_scan *scan, const char *window, size_t size)
{
    size_t series = strlen(scan->series);
    const char *stop = window + size - LONGEST;
    for (const char *at = window + 1; at <= stop && !*scan->exact; at++) {
        at = memmem(at, (size_t)(stop - at) + series, scan->series, series);
        if (!at)
            return;
        take_match(scan, at);
    }
}

/* Looks for the version in an executable or a library, a window at a time: they may be larger than a caller expects
   a look at a file to be.  Zeros stand before the first byte and behind the last, and one behind the window: digits are
   counted as far as they go. */
static void scan_file(python *py, version_scan *scan, const char *path)
{
    enum { BLOCK = 1 << 16 };
    int file = open_regular(path);
    char *window = file >= 0 ? calloc(1, LONGEST + BLOCK + 1) : NULL;
    bool more = window;
    py->no_memory |= file >= 0 && !window;
    for (size_t total = 0; more && !*scan->exact && total < BINARY_MOST;) {
        ssize_t got = read(file, window + LONGEST, BLOCK);
        more = got > 0;
        if (!more) {
            got = LONGEST;
            memset(window + LONGEST, 0, LONGEST);
        }
        scan_window(scan, window, LONGEST + (size_t)got);
        memmove(window, window + got, LONGEST);
        total += (size_t)got;
    }
    free(window);
    if (file >= 0)
        close(file);
}

/* ---- the Python ---- */

static void add_folder(python *py, const char *path)
{
    rf_bytes_append(&py->search, path, strlen(path) + 1);
}

/* "3.11" of a text that begins so, "3.11.2" or "3.11": what folders are named after. */
static bool take_series(python *py, const char *text)
{
    size_t major = count_digits(text);
    if (!major || text[major] != '.')
        return false;
    size_t minor = count_digits(text + major + 1);
    size_t size = major + 1 + minor;
    if (!minor || size >= sizeof py->series)
        return false;
    memcpy(py->series, text, size);
    py->series[size] = 0;
    return true;
}

/* What sys.version_info's spelling, "3.13.0.final.0", as virtualenv writes it, is in that of sys.version. */
static void respell(char version[RF_VERSION_SIZE])
{
    static const char *const levels[][2] = {
        {".final.", NULL}, {".alpha.", "a"}, {".beta.", "b"}, {".candidate.", "rc"}};
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
        char *level = strstr(version, levels[i][0]);
        if (!level)
            continue;
        char serial[RF_VERSION_SIZE] = "";
        if (levels[i][1])
            snprintf(serial, sizeof serial, "%s%s", levels[i][1], level + strlen(levels[i][0]));
        strcpy(level, serial); /* never longer than what it replaces */
        return;
    }
}

/* The version inside the interpreter `program` (a resolved path) or the libpython beside it; a version that is known
   from elsewhere stays where none can be found. */
static void ask_interpreter(python *py, const char *program, const char *prefix)
{
    static const char *const libraries[] = {"%s/lib/libpython%s.so.1.0", "%s/lib64/libpython%s.so.1.0",
                                            "%s/lib/libpython%sm.so.1.0"};
    version_scan scan = {.series = py->series};
    if (!*py->series)
        return;
    scan_file(py, &scan, program);
    for (size_t i = 0; i < 3 && !*scan.exact; i++) {
        char path[PATH_MAX];
        if (snprintf(path, sizeof path, libraries[i], prefix, py->series) < PATH_MAX)
            scan_file(py, &scan, path);
    }
    if (*scan.exact)
        strcpy(py->version, scan.exact);
    else if (*scan.tail && !scan.disagree)
        strcpy(py->version, scan.tail);
}

/* The folder two above a program: "/usr" of "/usr/bin/python3". */
static bool prefix_of(const char *program, char prefix[PATH_MAX])
{
    if (!join(prefix, "%s", program))
        return false;
    for (int i = 0; i < 2; i++) {
        char *slash = strrchr(prefix, '/');
        if (!slash)
            return false;
        *slash = 0;
    }
    return true;
}

/* "3.11" from the program's name, python3.11, else from the one folder lib/python3.11. */
static bool find_series(python *py, const char *program, const char *prefix)
{
    const char *name = strrchr(program, '/');
    if (name && !strncmp(name, "/python", 7) && take_series(py, name + 7))
        return true;
    char path[PATH_MAX];
    DIR *folder = join(path, "%s/lib", prefix) ? open_folder(py, path) : NULL;
    unsigned found = 0;
    struct dirent *entry;
    for (unsigned i = 0; folder && i < ENTRIES_MOST && (entry = readdir(folder)); i++)
        if (!strncmp(entry->d_name, "python", 6) && take_series(py, entry->d_name + 6))
            found++;
    if (folder)
        closedir(folder);
    if (found != 1)
        *py->series = 0;
    return found == 1;
}

static void add_joined(python *py, const char *format, const char *prefix)
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, format, prefix, py->series) < PATH_MAX && is_directory(path))
        add_folder(py, path);
}

static void add_python_path(python *py, const char *list)
{
    while (is_set(list)) {
        size_t size = strcspn(list, ":");
        char path[PATH_MAX];
        if (size && join(path, "%.*s", (int)size, list))
            add_folder(py, path);
        list += size + (list[size] == ':');
    }
}

static void add_user_site(python *py, const char *user_base)
{
    if (is_set(user_base))
        add_joined(py, "%s/lib/python%s/site-packages", user_base);
}

/* The folders of a Python that isn't a virtualenv.  Debian's own keeps to dist-packages and leaves site-packages below
   /usr/local to one built there; Fedora's takes both. */
static void add_sites(python *py, const char *prefix)
{
    const char *last = strrchr(prefix, '/');
    bool system = last && !strcmp(last, "/usr");
    char debian[PATH_MAX];
    if (system && join(debian, "%s/lib/python3/dist-packages", prefix) && is_directory(debian)) {
        add_joined(py, "%s/local/lib/python%s/dist-packages", prefix);
        add_folder(py, debian);
        add_joined(py, "%s/lib/python%s/dist-packages", prefix);
        return;
    }
    if (system) {
        add_joined(py, "%s/local/lib64/python%s/site-packages", prefix);
        add_joined(py, "%s/local/lib/python%s/site-packages", prefix);
    }
    add_joined(py, "%s/lib64/python%s/site-packages", prefix);
    add_joined(py, "%s/lib/python%s/site-packages", prefix);
}

/* The value of a key of pyvenv.cfg. */
static bool configured(const rf_bytes *text, const char *key, const char **value, size_t *size)
{
    for (const char *line = text->data; line; line = next_line(line)) {
        const char *at = line + strspn(line, " \t");
        if (strncmp(at, key, strlen(key)))
            continue;
        at += strlen(key);
        at += strspn(at, " \t");
        if (*at != '=')
            continue;
        *value = trim(at + 1, size);
        return true;
    }
    return false;
}

/* The interpreter of an environment, every link resolved. */
static bool resolve_interpreter(const char *prefix, char program[PATH_MAX])
{
    static const char *const names[] = {"%s/bin/python3", "%s/bin/python"};
    for (size_t i = 0; i < 2; i++) {
        char path[PATH_MAX];
        if (snprintf(path, sizeof path, names[i], prefix) < PATH_MAX && realpath(path, program))
            return true;
    }
    return false;
}

/* The Python that the virtualenv was made from shows its own folders there, if that was asked for. */
static void add_base_sites(python *py, const rf_bytes *config, const rf_capture_roots *roots)
{
    const char *value;
    size_t size;
    if (!configured(config, "include-system-site-packages", &value, &size) || size != 4 || memcmp(value, "true", 4))
        return;
    add_user_site(py, roots->user_base);
    char program[PATH_MAX], base[PATH_MAX];
    /* home is the folder of the base's programs: "/usr/bin" */
    if (configured(config, "home", &value, &size) && join(program, "%.*s/python3", (int)size, value) &&
        prefix_of(program, base))
        add_sites(py, base);
}

static bool use_virtualenv(python *py, const char *prefix, const rf_capture_roots *roots)
{
    char path[PATH_MAX], program[PATH_MAX], base[PATH_MAX];
    rf_bytes config = {0};
    if (is_set(prefix) && join(path, "%s/pyvenv.cfg", prefix))
        config = read_text(py, path);
    if (!config.data)
        return false;

    const char *value;
    size_t size;
    /* venv writes version, virtualenv and uv version_info */
    if ((configured(&config, "version_info", &value, &size) || configured(&config, "version", &value, &size)) &&
        take_version(py->version, value, size)) {
        respell(py->version);
        if (!take_series(py, py->version))
            *py->version = 0;
    }
    bool resolved = resolve_interpreter(prefix, program) && prefix_of(program, base);
    bool known = *py->series || (resolved && find_series(py, program, prefix));
    if (known) {
        if (resolved)
            ask_interpreter(py, program, base);
        add_python_path(py, roots->python_path);
        add_joined(py, "%s/lib/python%s/site-packages", prefix);
        add_joined(py, "%s/lib64/python%s/site-packages", prefix);
        add_base_sites(py, &config, roots);
    }
    rf_bytes_free(&config);
    return known;
}

/* Conda's record of its Python is conda-meta/python-VERSION-BUILD.json; neither part holds a "-". */
static bool conda_version(python *py, const char *folder)
{
    DIR *records = open_folder(py, folder);
    bool found = false;
    struct dirent *entry;
    for (unsigned i = 0; records && !found && i < ENTRIES_MOST && (entry = readdir(records)); i++) {
        if (strncmp(entry->d_name, "python-", 7))
            continue;
        const char *version = entry->d_name + 7;
        size_t size = strcspn(version, "-");
        const char *suffix = strstr(version + size, ".json");
        found = version[size] == '-' && !strchr(version + size + 1, '-') && suffix && !suffix[5] &&
                take_version(py->version, version, size) && take_series(py, py->version);
    }
    if (records)
        closedir(records);
    return found;
}

static bool use_conda(python *py, const char *prefix, const rf_capture_roots *roots)
{
    char path[PATH_MAX];
    if (!is_set(prefix) || !join(path, "%s/conda-meta", prefix) || !conda_version(py, path))
        return false;
    add_python_path(py, roots->python_path);
    add_user_site(py, roots->user_base);
    add_sites(py, prefix);
    return true;
}

static bool is_program(const char *path)
{
    char head[2] = "";
    int file = access(path, X_OK) ? -1 : open_regular(path);
    if (file < 0)
        return false;
    bool whole = read(file, head, 2) == 2;
    close(file);
    return whole && memcmp(head, "#!", 2);
}

/* The first `python3` of PATH may belong to an environment that wasn't activated: the interpreter looks around its own
   path, links unresolved, and so does this. */
static bool use_program(python *py, const char *path, const rf_capture_roots *roots)
{
    char prefix[PATH_MAX], program[PATH_MAX];
    if (prefix_of(path, prefix) && (use_virtualenv(py, prefix, roots) || use_conda(py, prefix, roots)))
        return true;
    if (!realpath(path, program) || !prefix_of(program, prefix) || !find_series(py, program, prefix))
        return false;
    ask_interpreter(py, program, prefix);
    add_python_path(py, roots->python_path);
    add_user_site(py, roots->user_base);
    add_sites(py, prefix);
    return true;
}

static bool use_path(python *py, const rf_capture_roots *roots)
{
    const char *list = is_set(roots->path) ? roots->path : "/usr/local/bin:/usr/bin:/bin";
    while (*list) {
        size_t size = strcspn(list, ":"), name = size;
        while (name > 1 && list[name - 1] == '/')
            name--;
        char path[PATH_MAX];
        /* an empty or relative entry depends on the present folder, which says nothing of the system */
        if (*list == '/' && join(path, "%.*s/python3", (int)name, list) && is_program(path))
            return use_program(py, path, roots);
        list += size + (list[size] == ':');
    }
    return false;
}

static void find_python(python *py, const rf_capture_roots *roots)
{
    if (!use_virtualenv(py, roots->virtual_env, roots) && !use_conda(py, roots->conda_prefix, roots))
        use_path(py, roots);
}

/* ---- distributions ---- */

/* The Version field of a distribution's metadata; fields end at the first empty line. */
static bool metadata_version(python *py, const char *path, char version[RF_VERSION_SIZE])
{
    rf_bytes text = read_text(py, path);
    bool found = false;
    for (const char *line = text.data; line && !found && *line != '\n' && *line != '\r'; line = next_line(line)) {
        size_t size;
        if (strncmp(line, "Version:", 8))
            continue;
        const char *value = trim(line + 8, &size);
        found = take_version(version, value, size);
    }
    rf_bytes_free(&text);
    return found;
}

static bool ends_with(const char *text, const char *end)
{
    size_t size = strlen(text), length = strlen(end);
    return size >= length && !strcmp(text + size - length, end);
}

/* The version that an entry of `folder`, NAME-VERSION.dist-info or NAME-VERSION.egg-info (a folder or a file), tells
   if it is the distribution `name`. */
static bool entry_version(python *py, const char *folder, const char *entry, const char *name,
                          char version[RF_VERSION_SIZE])
{
    size_t size = strlen(name);
    char path[PATH_MAX];
    if (strncmp(entry, name, size) || (entry[size] != '-' && entry[size] != '.'))
        return false;
    if (ends_with(entry, ".dist-info"))
        return join(path, "%s/%s/METADATA", folder, entry) && metadata_version(py, path, version);
    return ends_with(entry, ".egg-info") &&
           ((join(path, "%s/%s/PKG-INFO", folder, entry) && metadata_version(py, path, version)) ||
            (join(path, "%s/%s", folder, entry) && metadata_version(py, path, version)));
}

/* Looks for a distribution in one folder.  Should an earlier version have left its metadata behind, the last by name
   counts: the order of a folder is nothing to rely on. */
static bool find_in_folder(python *py, const char *folder, const char *name, char version[RF_VERSION_SIZE])
{
    DIR *entries = open_folder(py, folder);
    char best[NAME_MAX + 1] = "";
    struct dirent *entry;
    for (unsigned i = 0; entries && i < ENTRIES_MOST && (entry = readdir(entries)); i++) {
        char found[RF_VERSION_SIZE];
        if (strcmp(entry->d_name, best) > 0 && entry_version(py, folder, entry->d_name, name, found)) {
            snprintf(best, sizeof best, "%s", entry->d_name);
            strcpy(version, found);
        }
    }
    if (entries)
        closedir(entries);
    return *best;
}

/* The folder of the search path that holds the distribution, as an import would find it, or NULL. */
static const char *find_distribution(python *py, const char *name, char version[RF_VERSION_SIZE])
{
    for (size_t i = 0; i < py->search.size; i += strlen(py->search.data + i) + 1)
        if (find_in_folder(py, py->search.data + i, name, version))
            return py->search.data + i;
    return NULL;
}

/* Reads `cuda = '12.1'` or `cuda: Optional[str] = None`; false if the file doesn't say. */
static bool declared_cuda(python *py, const char *folder, char cuda[RF_VERSION_SIZE])
{
    char path[PATH_MAX];
    rf_bytes text = {0};
    if (join(path, "%s/torch/version.py", folder))
        text = read_text(py, path);
    bool found = false;
    for (const char *line = text.data; line && !found; line = next_line(line)) {
        size_t size;
        if (strncmp(line, "cuda", 4) || !line[4] || !strchr(" :=", line[4]))
            continue;
        const char *value = memchr(line, '=', strcspn(line, "\n"));
        if (!value)
            continue;
        value = trim(value + 1, &size);
        if (*value == '\'' || *value == '"')
            found = take_version(cuda, value + 1, strcspn(value + 1, "'\"\r\n"));
        else
            found = size == 4 && !memcmp(value, "None", 4);
    }
    rf_bytes_free(&text);
    return found;
}

/* "12.1" of "2.3.1+cu121" or "2.3.1+cu121.with.pypi.cudnn": the last digit is the minor version. */
static void local_cuda(const char *version, char cuda[RF_VERSION_SIZE])
{
    const char *local = strstr(version, "+cu");
    size_t digits = local ? count_digits(local + 3) : 0;
    if (digits >= 2 && (!local[3 + digits] || local[3 + digits] == '.'))
        snprintf(cuda, RF_VERSION_SIZE, "%.*s.%c", (int)digits - 1, local + 3, local[3 + digits - 1]);
}

bool rf_python_look(const rf_capture_roots *roots, rf_python *found)
{
    python py = {.series = ""};
    *found = (rf_python){.version = ""};
    find_python(&py, roots);
    strcpy(found->version, py.version);
    if (!py.search.failed) {
        const char *folder = find_distribution(&py, "torch", found->torch);
        if (folder && !declared_cuda(&py, folder, found->cuda))
            local_cuda(found->torch, found->cuda);
        find_distribution(&py, "numpy", found->numpy);
    }
    bool complete = !py.no_memory && !py.search.failed;
    rf_bytes_free(&py.search);
    return complete;
}
