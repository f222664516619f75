/* SPDX-License-Identifier: MIT */
/*
 * convert_file.c - one file's way to its .raiiaf file.
 *
 * What a worker has written waits, nameless, until a batch of it is on disk; only then each file gets its name.  So a
 * file that is there is whole, and whatever ends the run, the same call goes on where it ended.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "convert.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BATCH 128
#define BATCH_BYTES (UINT64_C(256) << 20)

/* A file that is written, or was found up to date, and what remains to be done about it. */
struct entry {
    struct source source;
    raiiaf_pending *pending; /* NULL: it has its place */
    char *target;
};

struct worker {
    const struct plan *plan;
    struct picture picture;
    struct entry batch[BATCH];
    size_t count, most;
    uint64_t bytes;
    bool useless; /* to go on */
};

static pthread_mutex_t places = PTHREAD_MUTEX_INITIALIZER; /* over choosing and taking them */

/* ---- one file ---- */

static void source_free(struct source *source)
{
    free(source->path);
    free(source->name);
    free(source->dialect);
    free(source->manifest);
}

static void entry_free(struct entry *entry)
{
    raiiaf_pending_drop(entry->pending);
    source_free(&entry->source);
    free(entry->target);
}

/* Where the disk is full, it is so for all. */
static void fail(struct worker *worker, const struct source *source, const raiiaf_error *error)
{
    int number = errno;
    progress_done(RESULT_FAILED, source, NULL, error);
    worker->useless |= error->status == RAIIAF_ERROR_IO && (number == ENOSPC || number == EDQUOT || number == EROFS);
}

static void fail_taken(struct worker *worker, const struct source *source)
{
    raiiaf_error error = {.status = RAIIAF_ERROR_ARGUMENT, .id = "target-taken", .offset = RAIIAF_NO_OFFSET};
    snprintf(error.text, sizeof error.text, _("%s: every name for its conversion is taken by other files"),
             source->path);
    fail(worker, source, &error);
}

static char *copy_value(const raiiaf_file *file, const char *path)
{
    raiiaf_value value;
    return raiiaf_get(file, path, &value) ? checked(strndup(value.text, value.size)) : NULL;
}

/* The manifest of a file as it will be saved. */
static raiiaf_status copy_manifest(const raiiaf_file *file, char **manifest, raiiaf_error *error)
{
    raiiaf_buffer saved = {0};
    raiiaf_file *reopened = NULL;
    const char *text;
    size_t size;
    raiiaf_save_options options = {.threads = 1};
    raiiaf_status status = raiiaf_save_memory(file, &saved, &options, error);
    if (status == RAIIAF_OK)
        status = raiiaf_open_memory(&reopened, saved.data, saved.size, raiiaf_name(file), NULL, error);
    if (status == RAIIAF_OK) {
        raiiaf_manifest_text(reopened, &text, &size);
        *manifest = checked(strndup(text, size));
    }
    raiiaf_close(reopened);
    raiiaf_buffer_free(&saved);
    return status;
}

/* What was found out about a file. */
static raiiaf_status learn(struct source *source, const raiiaf_file *file, raiiaf_error *error)
{
    raiiaf_chunk_info image;
    raiiaf_value value;
    raiiaf_buffer text = {0};
    raiiaf_chunk_get(file, raiiaf_image_chunk(file), &image);
    memcpy(source->sha256, image.sha256, sizeof source->sha256);
    source->name = copy_value(file, "/source/file_name");
    if (raiiaf_get(file, "/source/dialect", &value) && raiiaf_value_text(&value, &text, NULL) == RAIIAF_OK)
        source->dialect = checked(strdup((const char *)text.data));
    raiiaf_buffer_free(&text);
    source->recognised = source->dialect != NULL || (raiiaf_get(file, "prompt", &value) && value.size > strlen("\"\""));
    /* An image that was imported is in there as it is. */
    return image.size == source->bytes ? RAIIAF_OK : copy_manifest(file, &source->manifest, error);
}

/* What others may not read as an image they may not read here either. */
static raiiaf_status write_file(const raiiaf_file *file, struct entry *entry, raiiaf_error *error)
{
    const char *target = entry->target;
    unsigned mode = entry->source.about.st_mode & 0666;
    raiiaf_save_options options = {.threads = 1};
    raiiaf_sink sink;
    raiiaf_status status = raiiaf_sink_pending(&sink, target, mode, &entry->pending, error);
    if (status != RAIIAF_OK && errno == ENOENT && make_folders(target))
        status = raiiaf_sink_pending(&sink, target, mode, &entry->pending, error);
    return status == RAIIAF_OK ? raiiaf_save(file, &sink, &options, error) : status;
}

/* ---- a batch ---- */

static bool sync_path(const char *path)
{
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    bool done = descriptor >= 0 && (fsync(descriptor) == 0 || errno == EINVAL);
    if (done)
        posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED); /* who reads it now reads what is on disk */
    if (descriptor >= 0)
        close(descriptor);
    return done;
}

/* A file's content and its name. */
static bool sync_file(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = checked(slash != NULL ? strndup(path, (size_t)(slash - path) + 1) : strdup("."));
    bool done = sync_path(path) && sync_path(folder);
    free(folder);
    return done;
}

/* A name may have been taken since it was chosen. */
static void place(struct worker *worker, struct entry *entry)
{
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, entry->source.about.st_mtim};
    raiiaf_error error;
    enum choice choice = CHOICE_NONE;
    pthread_mutex_lock(&places);
    for (unsigned attempt = 0; attempt < 10; attempt++) {
        free(entry->target);
        error.status = RAIIAF_OK;
        choice = target_choose(worker->plan, &entry->source, &entry->target);
        if (choice == CHOICE_KEEP || choice == CHOICE_NONE ||
            raiiaf_pending_place(entry->pending, entry->target, choice == CHOICE_REPLACE, &error) == RAIIAF_OK ||
            strcmp(error.id, "exists") != 0)
            break;
    }
    pthread_mutex_unlock(&places);
    if (choice == CHOICE_KEEP) {
        raiiaf_pending_drop(entry->pending);
        entry->pending = NULL;
        progress_done(RESULT_KEPT, &entry->source, entry->target, NULL);
    } else if (choice == CHOICE_NONE) {
        fail_taken(worker, &entry->source);
    } else if (error.status != RAIIAF_OK) {
        fail(worker, &entry->source, &error);
    } else {
        entry->pending = NULL;
        utimensat(AT_FDCWD, entry->target, times, 0);
        progress_done(RESULT_CONVERTED, &entry->source, entry->target, NULL);
    }
}

/* Removes a file whose conversion was read back, unless it isn't what was converted any more. */
static void delete_source(const struct entry *entry)
{
    const struct source *source = &entry->source;
    struct stat about;
    bool held = sync_file(entry->target) && target_holds(entry->target, source);
    if (lstat(source->path, &about) != 0)
        return; /* named twice in the call, say */
    bool same = S_ISLNK(about.st_mode) ||
                (about.st_ino == source->about.st_ino && about.st_dev == source->about.st_dev &&
                 about.st_size == source->about.st_size && about.st_mtim.tv_sec == source->about.st_mtim.tv_sec &&
                 about.st_mtim.tv_nsec == source->about.st_mtim.tv_nsec);
    if (!same)
        progress_fail(_("%s stays, as it has changed meanwhile"), source->path);
    else if (!held)
        progress_fail(_("%s stays, as %s doesn't hold it unchanged"), source->path, entry->target);
    else if (unlink(source->path) != 0)
        progress_fail(_("%s can't be deleted: %s"), source->path, strerror(errno));
    else
        progress_deleted();
}

static void commit(struct worker *worker)
{
    raiiaf_pending *pending[BATCH];
    raiiaf_error error;
    size_t waiting = 0;
    for (size_t i = 0; i < worker->count; i++)
        if (worker->batch[i].pending != NULL)
            pending[waiting++] = worker->batch[i].pending;
    bool synced = raiiaf_pending_sync(pending, waiting, &error) == RAIIAF_OK;
    for (size_t i = 0; i < worker->count; i++) {
        struct entry *entry = &worker->batch[i];
        if (entry->pending != NULL && synced)
            place(worker, entry);
        else if (entry->pending != NULL)
            fail(worker, &entry->source, &error);
    }
    for (size_t i = 0; i < worker->count; i++) {
        const struct entry *entry = &worker->batch[i];
        if (worker->plan->delete_source && entry->pending == NULL)
            delete_source(entry);
    }
    for (size_t i = 0; i < worker->count; i++)
        entry_free(&worker->batch[i]);
    worker->count = 0;
    worker->bytes = 0;
}

static void wait_for_batch(struct worker *worker, struct entry *entry)
{
    worker->batch[worker->count++] = *entry;
    worker->bytes += entry->source.bytes;
    *entry = (struct entry){.pending = NULL};
    if (worker->count == worker->most || worker->bytes >= BATCH_BYTES)
        commit(worker);
}

/* ---- a file's way ---- */

static void convert(struct worker *worker, struct entry *entry, const raiiaf_file *file)
{
    raiiaf_error error;
    if (learn(&entry->source, file, &error) != RAIIAF_OK) {
        fail(worker, &entry->source, &error);
        return;
    }
    switch (target_choose(worker->plan, &entry->source, &entry->target)) {
    case CHOICE_NONE:
        fail_taken(worker, &entry->source);
        break;
    case CHOICE_KEEP:
        progress_done(RESULT_KEPT, &entry->source, entry->target, NULL);
        if (worker->plan->delete_source && !worker->plan->dry_run)
            wait_for_batch(worker, entry);
        break;
    default:
        if (worker->plan->dry_run)
            progress_done(RESULT_CONVERTED, &entry->source, entry->target, NULL);
        else if (write_file(file, entry, &error) != RAIIAF_OK)
            fail(worker, &entry->source, &error);
        else
            wait_for_batch(worker, entry);
    }
}

struct worker *worker_new(const struct plan *plan, size_t batch)
{
    struct worker *worker = checked(calloc(1, sizeof *worker));
    worker->plan = plan;
    worker->most = batch < BATCH ? batch : BATCH;
    return worker;
}

bool worker_take(struct worker *worker, const struct found *found)
{
    struct picture *picture = &worker->picture;
    struct entry entry = {
        .source = {.path = checked(strdup(found->path)), .relative = (size_t)(found->relative - found->path)}};
    raiiaf_open_options warnings = {.warning = progress_warn};
    raiiaf_file *file = NULL;
    raiiaf_error error;
    bool good = picture_read(picture, found->path, &error);
    if (good) {
        raiiaf_import_options options = picture_options(picture, worker->plan->dialect);
        entry.source.about = picture->about;
        entry.source.bytes = (uint64_t)picture->about.st_size;
        good = raiiaf_import(&file, picture->data, picture->size, &options, &warnings, &error) == RAIIAF_OK;
    }
    if (good)
        convert(worker, &entry, file);
    else if (picture_expected(found, &error))
        fail(worker, &entry.source, &error);
    else
        progress_skipped();
    raiiaf_close(file);
    entry_free(&entry);
    return !worker->useless;
}

void worker_end(struct worker *worker)
{
    commit(worker);
    picture_free(&worker->picture);
    free(worker);
}
