/* SPDX-License-Identifier: MIT */
/*
 * picture.c - an image file of some other tool, as it is looked at or converted: its bytes, and what lies beside it.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "command.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HEAD ((size_t)64 << 10) /* tells what a file is; there are videos in folders of pictures */

static bool fill(struct picture *picture, int descriptor, size_t have, size_t size)
{
    if (size > picture->capacity) {
        uint8_t *larger = realloc(picture->data, size);
        if (larger == NULL)
            return false;
        picture->data = larger;
        picture->capacity = size;
    }
    while (have < size) {
        ssize_t got = pread(descriptor, picture->data + have, size - have, (off_t)have);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            errno = got < 0 ? errno : 0;
            return false;
        }
        have += (size_t)got;
    }
    picture->size = size;
    return true;
}

/* All of a picture; the beginning of anything else. */
static bool read_bytes(struct picture *picture, int descriptor)
{
    raiiaf_image_info info;
    size_t size = (size_t)picture->about.st_size, head = size < HEAD ? size : HEAD;
    if (!fill(picture, descriptor, 0, head))
        return false;
    raiiaf_image_probe_memory(picture->data, head, &info);
    return info.format == RAIIAF_IMAGE_UNKNOWN || fill(picture, descriptor, head, size);
}

static bool open_error(const char *path, raiiaf_error *error)
{
    const char *why = errno != 0 ? strerror(errno) : _("it ends early");
    *error = (raiiaf_error){.status = RAIIAF_ERROR_IO, .id = "read", .offset = RAIIAF_NO_OFFSET};
    snprintf(error->text, sizeof error->text, _("%s can't be read: %s"), path, why);
    return false;
}

bool picture_read(struct picture *picture, const char *path, raiiaf_error *error)
{
    picture->path = path;
    picture->size = 0;
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    bool good = descriptor >= 0 && fstat(descriptor, &picture->about) == 0;
    if (good && !S_ISREG(picture->about.st_mode)) {
        errno = S_ISDIR(picture->about.st_mode) ? EISDIR : ENXIO;
        good = false;
    }
    errno = good ? 0 : errno;
    good = good && read_bytes(picture, descriptor);
    if (!good)
        open_error(path, error);
    if (descriptor >= 0)
        close(descriptor);
    return good;
}

void picture_free(struct picture *picture)
{
    free(picture->data);
    *picture = (struct picture){0};
}

/* ---- what is asked of it ---- */

raiiaf_import_options picture_options(struct picture *picture, const char *dialect)
{
    picture->beside = (raiiaf_beside){picture->path, NULL};
    return (raiiaf_import_options){.file_name = picture->path,
                                   .modified = picture->about.st_mtime,
                                   .dialect = dialect,
                                   .borrowed = true,
                                   .sidecar = raiiaf_source_beside,
                                   .sidecar_user = &picture->beside};
}

bool is_dialect(const char *name)
{
    for (size_t i = 0; i < raiiaf_dialect_count(); i++) {
        raiiaf_dialect dialect;
        raiiaf_dialect_get(i, &dialect);
        if (strcmp(dialect.name, name) == 0)
            return true;
    }
    return false;
}

/* ---- what isn't one ---- */

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

bool ends_with(const char *path, const char *ending)
{
    size_t size = strlen(path), length = strlen(ending), i = 0;
    while (i < length && size > length && lower(path[size - length + i]) == ending[i])
        i++;
    return i == length;
}

bool is_artifact_name(const char *path)
{
    return ends_with(path, ".raiiaf") || ends_with(path, ".gen5");
}

bool picture_expected(const struct found *found, const raiiaf_error *error)
{
    static const char *const endings[] = {".png", ".jpg", ".jpeg", ".webp", ".bmp"};
    bool named = found->named;
    for (size_t i = 0; i < sizeof endings / sizeof *endings && !named; i++)
        named = ends_with(found->path, endings[i]);
    return named || (strcmp(error->id, "image-empty") != 0 && strcmp(error->id, "image-unknown") != 0);
}
