/* SPDX-License-Identifier: MIT */
/*
 * walk.c - the files that a call names.  Those in a folder come as the folder gives them, one at a time: a million of
 * them take no more memory than one.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "command.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct walker {
    const struct walk *how;
    char *path; /* of the present file or folder */
    size_t size, capacity;
    size_t below; /* where the part of it that isn't the user's begins */
    bool stopped, good;
};

static void append(struct walker *w, const char *text)
{
    size_t length = strlen(text);
    if (w->size + length >= w->capacity) {
        w->capacity = 2 * (w->size + length) + 64;
        w->path = checked(realloc(w->path, w->capacity));
    }
    memcpy(w->path + w->size, text, length + 1);
    w->size += length;
}

static void failed(struct walker *w)
{
    w->good = false;
    if (!w->how->quiet)
        report(_("%s can't be read: %s"), w->path, strerror(errno));
}

static void give(struct walker *w, bool named)
{
    struct found found = {w->path, w->path + w->below, named};
    w->stopped = !w->how->callback(w->how->user, &found);
}

static void visit_folder(struct walker *w);

/* What a folder holds: files, also behind links, and folders, which are followed only where they lie themselves. */
static void visit_entry(struct walker *w, const struct dirent *entry)
{
    struct stat about;
    unsigned char type = entry->d_type;
    if (type == DT_UNKNOWN && lstat(w->path, &about) == 0)
        type = IFTODT(about.st_mode);
    if (type == DT_DIR && w->how->recursive)
        visit_folder(w);
    else if (type == DT_REG || (type == DT_LNK && stat(w->path, &about) == 0 && S_ISREG(about.st_mode)))
        give(w, false);
}

static void visit_folder(struct walker *w)
{
    size_t size = w->size;
    DIR *folder = opendir(w->path);
    if (folder == NULL) {
        failed(w);
        return;
    }
    while (!w->stopped) {
        errno = 0;
        const struct dirent *entry = readdir(folder);
        w->size = size;
        w->path[size] = 0;
        if (entry == NULL) {
            if (errno != 0)
                failed(w);
            break;
        }
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (w->path[size - 1] != '/')
            append(w, "/");
        append(w, entry->d_name);
        visit_entry(w, entry);
    }
    closedir(folder);
}

static void visit_named(struct walker *w, const char *path)
{
    struct stat about;
    w->size = 0;
    append(w, path);
    if (stat(path, &about) != 0) {
        failed(w);
    } else if (S_ISDIR(about.st_mode)) {
        w->below = w->size + (w->path[w->size - 1] != '/');
        visit_folder(w);
    } else {
        const char *slash = strrchr(path, '/');
        w->below = slash != NULL ? (size_t)(slash - path) + 1 : 0;
        give(w, true);
    }
}

bool walk(const struct walk *how, char **paths)
{
    struct walker w = {.how = how, .good = true};
    for (; *paths != NULL && !w.stopped; paths++)
        visit_named(&w, *paths);
    free(w.path);
    return w.good;
}
