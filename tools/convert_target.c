/* SPDX-License-Identifier: MIT */
/*
 * convert_target.c - where the conversion of a file goes.
 *
 * photo.png becomes photo.raiiaf; where the folder holds a photo.jpg as well, that becomes photo.jpg.raiiaf, whichever
 * comes first.  What is there already and isn't this very file's gets out of nobody's way: then the next name is taken,
 * photo.png.raiiaf, and at last one with the beginning of the file's SHA-256 in it.  So which names a file can have
 * depends on nothing but its name and content, and a later run, or another machine's, finds what is done.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "convert.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NAMES 3

/* Of files that differ in nothing else the first has the short name. */
static const char *const endings[] = {".png",  ".PNG",  ".jpg", ".JPG", ".jpeg", ".JPEG",
                                      ".webp", ".WEBP", ".bmp", ".BMP", ""};
#define ENDINGS (sizeof endings / sizeof *endings)
#define NO_ENDING (ENDINGS - 1)

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

/* The place of a name's ending in the list, or ENDINGS. */
static size_t ending_of(const char *name)
{
    const char *dot = strrchr(name, '.'), *ending = dot != NULL && dot != name ? dot : "";
    size_t i = 0;
    while (i < ENDINGS && strcmp(endings[i], ending) != 0)
        i++;
    return i;
}

/* Whether another file has the short name; it is no other where case doesn't count. */
static bool has_rival(const struct source *source, size_t ending)
{
    size_t stem = strlen(source->path) - strlen(endings[ending]);
    bool found = false;
    for (size_t i = 0; i < ending && !found; i++) {
        struct stat about;
        char *path = NULL;
        if (asprintf(&path, "%.*s%s", (int)stem, source->path, endings[i]) < 0)
            path = NULL;
        found = stat(checked(path), &about) == 0 && S_ISREG(about.st_mode) &&
                (about.st_ino != source->about.st_ino || about.st_dev != source->about.st_dev);
        free(path);
    }
    return found;
}

/* Whether the nth name is one of its own: a file with another ending has no short name, one without has only that. */
static bool has_name(size_t ending, size_t n)
{
    return ending == ENDINGS ? n != 0 : ending != NO_ENDING || n != 1;
}

/* The nth name that a file's conversion can have. */
static char *name_of(const struct plan *plan, const struct source *source, size_t n)
{
    const char *below = plan->output != NULL ? source->path + source->relative : source->path;
    const char *name = base_name(below), *between = plan->output != NULL ? "/" : "";
    size_t ending = ending_of(name), stem = strlen(name);
    char digits[16] = "", *path = NULL;
    if (n == 0 && ending < ENDINGS)
        stem -= strlen(endings[ending]);
    if (n == 2)
        snprintf(digits, sizeof digits, ".%.8s", source->sha256);
    if (asprintf(&path, "%s%s%.*s%.*s%s.raiiaf", plan->output != NULL ? plan->output : "", between, (int)(name - below),
                 below, (int)stem, name, digits) < 0)
        path = NULL;
    return checked(path);
}

/* ---- what is there ---- */

enum standing {
    ABSENT,
    MADE,     /* of this file, and whole */
    OUTDATED, /* of a file of this name with other content */
    DAMAGED,
    FOREIGN
};

static bool says(const raiiaf_file *file, const char *path, const char *json, size_t size)
{
    raiiaf_value value;
    return raiiaf_get(file, path, &value) && value.size == size && memcmp(value.text, json, size) == 0;
}

/* Whether it is the very file that came back out of a PNG.  A manifest has the digests of all chunks. */
static bool is_same(const raiiaf_file *file, const struct source *source)
{
    const char *text;
    size_t size;
    raiiaf_manifest_text(file, &text, &size);
    return source->manifest != NULL && strlen(source->manifest) == size && memcmp(source->manifest, text, size) == 0;
}

static bool is_damage(raiiaf_status status)
{
    return status == RAIIAF_ERROR_FORMAT || status == RAIIAF_ERROR_DAMAGED || status == RAIIAF_ERROR_HASH;
}

static enum standing judge(const raiiaf_file *file, const struct source *source, bool verify)
{
    char sha256[80];
    int size = snprintf(sha256, sizeof sha256, "\"%s\"", source->sha256);
    bool same = is_same(file, source);
    if (!same && (source->name == NULL || !says(file, "/source/file_name", source->name, strlen(source->name))))
        return FOREIGN;
    if (!same && (source->manifest != NULL || !says(file, "/source/sha256", sha256, (size_t)size)))
        return OUTDATED;
    raiiaf_status status = verify ? raiiaf_verify(file, 1, NULL, NULL, NULL) : RAIIAF_OK;
    return status == RAIIAF_OK ? MADE : is_damage(status) ? DAMAGED : FOREIGN;
}

static enum standing look(const char *path, const struct source *source, bool verify, struct stat *about)
{
    raiiaf_file *file = NULL;
    if (lstat(path, about) != 0)
        return errno == ENOENT ? ABSENT : FOREIGN;
    if (!S_ISREG(about->st_mode))
        return FOREIGN;
    raiiaf_status status = raiiaf_open_path(&file, path, NULL, NULL);
    enum standing standing = is_damage(status) ? DAMAGED : FOREIGN;
    if (status == RAIIAF_OK)
        standing = judge(file, source, verify);
    raiiaf_close(file);
    return standing;
}

/* A file that this run, or another one at the same time, has made gives way to none. */
static bool is_older(const struct stat *about, const struct timespec *begun)
{
    return about->st_ctim.tv_sec < begun->tv_sec ||
           (about->st_ctim.tv_sec == begun->tv_sec && about->st_ctim.tv_nsec < begun->tv_nsec);
}

/* What a file that isn't there yet makes of a name. */
static enum choice consider(const struct plan *plan, enum standing standing, const struct stat *about, bool own)
{
    if (standing == OUTDATED)
        return plan->overwrite && is_older(about, &plan->begun) ? CHOICE_REPLACE : CHOICE_NONE;
    if (!own)
        return CHOICE_NONE;
    return standing == ABSENT ? CHOICE_NEW : standing == DAMAGED ? CHOICE_REPLACE : CHOICE_NONE;
}

enum choice target_choose(const struct plan *plan, const struct source *source, char **target)
{
    enum choice best = CHOICE_NONE;
    size_t ending = ending_of(base_name(source->path));
    bool rival = ending < ENDINGS && has_rival(source, ending);
    *target = NULL;
    for (size_t n = 0; n < NAMES; n++) {
        struct stat about;
        if (!has_name(ending, n))
            continue;
        char *path = name_of(plan, source, n);
        enum standing standing = look(path, source, !plan->overwrite, &about);
        enum choice choice = consider(plan, standing, &about, n > 0 || !rival);
        if (standing == MADE || (best == CHOICE_NONE && choice != CHOICE_NONE)) {
            free(*target);
            *target = path;
            best = choice;
        } else {
            free(path);
        }
        if (standing == MADE)
            return plan->overwrite ? CHOICE_REPLACE : CHOICE_KEEP;
    }
    return best;
}

/* ---- a last look ---- */

bool target_holds(const char *target, const struct source *source)
{
    raiiaf_file *file = NULL;
    raiiaf_chunk_info info;
    bool good = raiiaf_open_path(&file, target, NULL, NULL) == RAIIAF_OK;
    size_t image = good ? raiiaf_image_chunk(file) : RAIIAF_NONE;
    if (image != RAIIAF_NONE) {
        raiiaf_chunk_get(file, image, &info);
        good = strcmp(info.sha256, source->sha256) == 0 && (source->manifest == NULL || is_same(file, source)) &&
               raiiaf_verify(file, 1, NULL, NULL, NULL) == RAIIAF_OK;
    }
    raiiaf_close(file);
    return good && image != RAIIAF_NONE;
}
