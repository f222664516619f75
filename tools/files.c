/* SPDX-License-Identifier: MIT */
/*
 * files.c - where the subcommands' bytes come from and go: paths, standard input and output, descriptors.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "command.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int standard_output = STDOUT_FILENO;

bool is_standard(const char *path)
{
    return strcmp(path, "-") == 0;
}

bool is_folder(const char *path)
{
    struct stat about;
    return stat(path, &about) == 0 && S_ISDIR(about.st_mode);
}

bool is_special(const char *path)
{
    struct stat about;
    return stat(path, &about) == 0 && !S_ISREG(about.st_mode);
}

bool same_file(const char *a, const char *b)
{
    struct stat first, second;
    return !is_standard(a) && !is_standard(b) && stat(a, &first) == 0 && stat(b, &second) == 0 &&
           S_ISREG(first.st_mode) && first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

static int64_t read_standard_input(void *user, void *buffer, size_t length)
{
    (void)user;
    return read(STDIN_FILENO, buffer, length);
}

static bool open_source(raiiaf_source *source, const char *path)
{
    raiiaf_error error;
    raiiaf_status status = is_standard(path)
                               ? raiiaf_source_stream(source, read_standard_input, NULL, path, NULL, &error)
                               : raiiaf_source_path(source, path, NULL, &error);
    if (status != RAIIAF_OK)
        report_error(&error);
    return status == RAIIAF_OK;
}

bool open_input(raiiaf_file **file, const char *path)
{
    raiiaf_source source;
    raiiaf_error error;
    raiiaf_open_options options = {.warning = report_warning};
    if (!open_source(&source, path))
        return false;
    if (raiiaf_open(file, &source, &options, &error) != RAIIAF_OK) {
        report_error(&error);
        return false;
    }
    return true;
}

bool load(const char *path, void **data, size_t *size)
{
    raiiaf_source source;
    if (!open_source(&source, path))
        return false;
    *size = (size_t)source.size;
    *data = checked(malloc(*size > 0 ? *size : 1));
    errno = 0;
    bool good = source.read_at(source.user, 0, *data, *size) == (int64_t)source.size;
    if (!good) {
        report(_("%s can't be read: %s"), path, errno != 0 ? strerror(errno) : _("it ends early"));
        free(*data);
        *data = NULL;
    }
    raiiaf_source_close(&source);
    return good;
}

static bool write_descriptor(void *user, const void *data, size_t length)
{
    const char *bytes = data;
    while (length > 0) {
        ssize_t written = write(*(int *)user, bytes, length);
        if (written < 0)
            return false;
        bytes += written;
        length -= (size_t)written;
    }
    return true;
}

static bool commit_descriptor(void *user)
{
    (void)user;
    return true;
}

static void abort_descriptor(void *user)
{
    (void)user;
}

void sink_descriptor(raiiaf_sink *sink, int *descriptor, const char *name)
{
    *sink = (raiiaf_sink){descriptor, name, write_descriptor, commit_descriptor, abort_descriptor};
}

static int64_t read_descriptor(void *user, uint64_t offset, void *buffer, size_t length)
{
    size_t done = 0;
    while (done < length) {
        ssize_t got = pread(*(int *)user, (char *)buffer + done, length - done, (off_t)(offset + done));
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        done += (size_t)got;
    }
    return (int64_t)done;
}

bool source_descriptor(raiiaf_source *source, int *descriptor, const char *name)
{
    struct stat about;
    if (fstat(*descriptor, &about) != 0) {
        report(_("%s can't be read: %s"), name, strerror(errno));
        return false;
    }
    *source =
        (raiiaf_source){.user = descriptor, .name = name, .size = (uint64_t)about.st_size, .read_at = read_descriptor};
    return true;
}

bool open_output(raiiaf_sink *sink, const char *path)
{
    raiiaf_error error;
    if (is_standard(path)) {
        fflush(stdout);
        sink_descriptor(sink, &standard_output, _("standard output"));
        return true;
    }
    if (raiiaf_sink_path(sink, path, &error) != RAIIAF_OK) {
        report_error(&error);
        return false;
    }
    return true;
}

bool save(const raiiaf_file *file, const char *path, const raiiaf_save_options *options)
{
    raiiaf_sink sink;
    raiiaf_error error;
    if (!open_output(&sink, path))
        return false;
    if (raiiaf_save(file, &sink, options, &error) != RAIIAF_OK) {
        report_error(&error);
        return false;
    }
    return true;
}

bool fill_sink(const raiiaf_sink *sink, const char *path, const raiiaf_buffer *head, const raiiaf_buffer *body)
{
    errno = 0;
    bool written = sink->write(sink->user, head->data, head->size) && sink->write(sink->user, body->data, body->size);
    if (!written) {
        int reason = errno;
        sink->abort(sink->user);
        errno = reason;
    }
    if (written && sink->commit(sink->user))
        return true;
    report(_("%s can't be written: %s"), path, errno != 0 ? strerror(errno) : _("unknown reason"));
    return false;
}

bool write_output(const char *path, const raiiaf_buffer *head, const raiiaf_buffer *body)
{
    raiiaf_sink sink;
    return open_output(&sink, path) && fill_sink(&sink, path, head, body);
}

bool make_folders(const char *path)
{
    char *folder = checked(strdup(path)), *slash = folder;
    bool good = true;
    while (good && (slash = strchr(slash + 1, '/')) != NULL) {
        *slash = 0;
        good = mkdir(folder, 0777) == 0 || errno == EEXIST;
        *slash = '/';
    }
    free(folder);
    return good;
}
