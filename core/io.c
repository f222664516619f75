/* SPDX-License-Identifier: MIT */
/*
 * io.c - where bytes come from and where they go: paths, memory, streams.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* ---- sources ---- */

typedef struct path_source {
    int descriptor;
    char name[];
} path_source;

static int64_t path_read_at(void *user, uint64_t offset, void *buffer, size_t length)
{
    const path_source *path = user;
    size_t done = 0;
    while (done < length) {
        ssize_t got = pread(path->descriptor, (char *)buffer + done, length - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        done += (size_t)got;
    }
    return (int64_t)done;
}

static void path_close(void *user)
{
    path_source *path = user;
    close(path->descriptor);
    free(path);
}

static int64_t descriptor_read(void *user, void *buffer, size_t length)
{
    ssize_t got;
    do
        got = read(*(const int *)user, buffer, length);
    while (got < 0 && errno == EINTR);
    return got;
}

static raiiaf_status open_regular(raiiaf_source *source, int descriptor, const char *name, uint64_t size,
                                  raiiaf_error *error)
{
    size_t length = strlen(name) + 1;
    path_source *path = malloc(sizeof *path + length);
    if (!path)
        return rf_fail_memory(error, name);
    path->descriptor = descriptor;
    memcpy(path->name, name, length);
    *source = (raiiaf_source){path, path->name, size, path_read_at, NULL, path_close};
    return RAIIAF_OK;
}

raiiaf_status raiiaf_source_path(raiiaf_source *source, const char *path, const raiiaf_limits *limits,
                                 raiiaf_error *error)
{
    *source = (raiiaf_source){0};
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (descriptor < 0 || fstat(descriptor, &status) != 0) {
        int number = errno;
        if (descriptor >= 0)
            close(descriptor);
        return rf_fail_errno(error, number, "open", RF_NAME(path), _("can't be opened"));
    }
    raiiaf_status result;
    if (S_ISDIR(status.st_mode))
        result = rf_fail_errno(error, EISDIR, "open", RF_NAME(path), _("can't be opened"));
    else if (S_ISREG(status.st_mode)) {
        result = open_regular(source, descriptor, path, (uint64_t)status.st_size, error);
        if (result == RAIIAF_OK)
            return RAIIAF_OK; /* which keeps the descriptor */
    } else
        result = raiiaf_source_stream(source, descriptor_read, &descriptor, path, limits, error);
    close(descriptor);
    return result;
}

/* Bytes in memory: the caller's, or ours, read from a stream. */
typedef struct memory_source {
    const uint8_t *data;
    uint64_t size;
    void (*release)(void *user);
    void *user;
    char name[];
} memory_source;

static int64_t memory_read_at(void *user, uint64_t offset, void *buffer, size_t length)
{
    const memory_source *memory = user;
    if (offset >= memory->size)
        return 0;
    size_t rest = (size_t)(memory->size - offset);
    size_t got = length < rest ? length : rest;
    memcpy(buffer, memory->data + offset, got);
    return (int64_t)got;
}

static const uint8_t *memory_view(void *user, uint64_t offset, size_t length)
{
    const memory_source *memory = user;
    return offset <= memory->size && length <= memory->size - offset ? memory->data + offset : NULL;
}

static void memory_close(void *user)
{
    memory_source *memory = user;
    if (memory->release)
        memory->release(memory->user);
    free(memory);
}

void raiiaf_source_memory(raiiaf_source *source, const void *data, size_t size, const char *name,
                          void (*release)(void *user), void *user)
{
    size_t length = strlen(name ? name : "") + 1;
    memory_source *memory = malloc(sizeof *memory + length);
    /* Without memory for the book-keeping the source has no read_at, which raiiaf_open reports. */
    *source = (raiiaf_source){0};
    if (!memory) {
        if (release)
            release(user);
        return;
    }
    *memory = (memory_source){data, size, release, user};
    memcpy(memory->name, name ? name : "", length);
    *source = (raiiaf_source){memory, memory->name, size, memory_read_at, memory_view, memory_close};
}

raiiaf_status raiiaf_source_stream(raiiaf_source *source, int64_t (*read)(void *user, void *buffer, size_t length),
                                   void *user, const char *name, const raiiaf_limits *limits, raiiaf_error *error)
{
    uint64_t most = limits ? limits->stream_size : RAIIAF_LIMIT_STREAM_SIZE;
    size_t size = 0, capacity = 0;
    uint8_t *data = NULL;
    raiiaf_status status = RAIIAF_OK;
    *source = (raiiaf_source){0};
    for (;;) {
        if (size == capacity) {
            capacity = capacity ? 2 * capacity : 65536;
            if (most && capacity > most) /* one byte more tells a stream that is too long from one that just fits */
                capacity = (size_t)most + 1;
            uint8_t *larger = realloc(data, capacity);
            if (!larger) {
                status = rf_fail_memory(error, name);
                break;
            }
            data = larger;
        }
        int64_t got = read(user, data + size, capacity - size);
        if (got < 0) {
            status = rf_fail_errno(error, errno, "read", RF_NAME(name), _("can't be read"));
            break;
        }
        if (got == 0)
            break;
        size += (size_t)got;
        if (most && size > most) {
            status = rf_fail(error, RAIIAF_ERROR_LIMIT, "stream-size", RF_NAME(name),
                             _("the stream is longer than the limit of %" PRIu64
                               " bytes; save it to a file and open that, or raise raiiaf_limits.stream_size"),
                             most);
            break;
        }
    }
    if (status != RAIIAF_OK) {
        free(data);
        return status;
    }
    raiiaf_source_memory(source, data, size, name, free, data);
    return source->read_at ? RAIIAF_OK : rf_fail_memory(error, name);
}

bool raiiaf_source_beside(void *user, const char *name, raiiaf_source *source)
{
    const raiiaf_beside *beside = user;
    const char *slash = strrchr(beside->path, '/');
    struct stat about;
    rf_bytes path = {0};
    rf_bytes_append(&path, beside->path, slash ? (size_t)(slash - beside->path) + 1 : 0);
    rf_bytes_string(&path, name);
    bool found = !path.failed && !strchr(name, '/') && (!beside->may_read || beside->may_read(path.data)) &&
                 stat(path.data, &about) == 0 && S_ISREG(about.st_mode) &&
                 raiiaf_source_path(source, path.data, NULL, NULL) == RAIIAF_OK;
    rf_bytes_free(&path);
    return found;
}

void raiiaf_source_close(raiiaf_source *source)
{
    if (source->close)
        source->close(source->user);
    *source = (raiiaf_source){0};
}

raiiaf_status rf_source_read(const raiiaf_file *file, uint64_t offset, void *out, size_t size, const rf_where *where,
                             raiiaf_error *error)
{
    const raiiaf_source *source = &file->source;
    bool ours = source->read_at == path_read_at || source->read_at == memory_read_at;
    pthread_mutex_t *reading = ours ? NULL : file->reading;
    if (reading)
        pthread_mutex_lock(reading);
    errno = 0;
    int64_t got = source->read_at(source->user, offset, out, size);
    int reason = errno;
    if (reading)
        pthread_mutex_unlock(reading);
    if (got == (int64_t)size)
        return RAIIAF_OK;
    if (got < 0)
        return rf_fail_errno(error, reason, "read", where, _("can't be read"));
    return rf_fail(error, RAIIAF_ERROR_DAMAGED, "truncated", where, _("the file ends early"));
}

raiiaf_status rf_source_fetch(const raiiaf_file *file, uint64_t offset, size_t size, raiiaf_buffer *out,
                              const rf_where *where, raiiaf_error *error)
{
    const uint8_t *view = file->source.view ? file->source.view(file->source.user, offset, size) : NULL;
    if (view) {
        *out = rf_buffer_view(view, size);
        return RAIIAF_OK;
    }
    raiiaf_status status = rf_buffer_new(out, size, file->budget, where, error);
    if (status == RAIIAF_OK)
        status = rf_source_read(file, offset, rf_buffer_data(out), size, where, error);
    if (status != RAIIAF_OK)
        raiiaf_buffer_free(out);
    return status;
}

/* ---- sinks ---- */

typedef struct raiiaf_pending {
    int descriptor;
    bool nameless;   /* the temporary file has no name yet: if the process is killed, nothing stays behind */
    char *target;    /* the file to replace, links followed */
    char *temporary; /* NULL where the target is written to as it is */
    struct raiiaf_pending **wait; /* who gets it when it is complete, instead of the target; else NULL */
    char name[];
} path_sink;

static bool write_all(int descriptor, const void *data, size_t length)
{
    while (length > 0) {
        ssize_t done = write(descriptor, data, length);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return false;
        data = (const char *)data + done;
        length -= (size_t)done;
    }
    return true;
}

static bool path_write(void *user, const void *data, size_t length)
{
    return write_all(((const path_sink *)user)->descriptor, data, length);
}

static void path_sink_free(path_sink *sink)
{
    free(sink->target);
    free(sink->temporary);
    free(sink);
}

static void path_abort(void *user)
{
    path_sink *sink = user;
    int number = errno;
    if (sink->descriptor >= 0)
        close(sink->descriptor);
    if (sink->temporary && !sink->nameless)
        unlink(sink->temporary);
    path_sink_free(sink);
    errno = number;
}

/* The rename is on disk only once its folder is.  Folders that can't be opened or synced (some network file systems)
   are as safe as they can be made. */
static void sync_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
    int descriptor = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (descriptor >= 0) {
        fsync(descriptor);
        close(descriptor);
    }
    free(folder);
}

/* Where an open file without a name can be given one. */
static char *descriptor_path(int descriptor, char out[40])
{
    snprintf(out, 40, "/proc/self/fd/%d", descriptor);
    return out;
}

/* Gives a complete file its temporary name, where it has none yet. */
static bool name_temporary(path_sink *sink)
{
    char path[40];
    if (sink->nameless)
        sink->nameless = linkat(AT_FDCWD, descriptor_path(sink->descriptor, path), AT_FDCWD, sink->temporary,
                                AT_SYMLINK_FOLLOW) != 0;
    return !sink->nameless;
}

static bool path_commit(void *user)
{
    path_sink *sink = user;
    if (sink->wait) {
        *sink->wait = sink;
        return true;
    }
    bool done = !sink->temporary || ((fsync(sink->descriptor) == 0 || errno == EINVAL) && name_temporary(sink));
    if (done) {
        int descriptor = sink->descriptor;
        sink->descriptor = -1;
        done = close(descriptor) == 0;
    }
    if (done && sink->temporary)
        done = rename(sink->temporary, sink->target) == 0;
    if (!done) {
        path_abort(sink);
        return false;
    }
    if (sink->temporary)
        sync_folder(sink->target);
    path_sink_free(sink);
    return true;
}

/* What the link `path` names, seen from where `path` is; `path` itself if it is no link. */
static char *follow_link(const char *path)
{
    char link[PATH_MAX];
    ssize_t length = readlink(path, link, sizeof link - 1);
    if (length < 0)
        return strdup(path);
    const char *slash = strrchr(path, '/');
    rf_bytes joined = {0};
    if (*link != '/' && slash)
        rf_bytes_append(&joined, path, (size_t)(slash - path) + 1);
    rf_bytes_append(&joined, link, (size_t)length);
    if (joined.failed)
        rf_bytes_free(&joined);
    return joined.data;
}

/* The file that `path` leads to; where links lead nowhere yet, what the last of them names.  NULL with errno. */
static char *follow_links(const char *path)
{
    enum { LINKS_MOST = 40 }; /* Linux's own limit */
    char *target = realpath(path, NULL);
    if (target || errno == ELOOP)
        return target;
    target = strdup(path);
    for (unsigned i = 0; target && i < LINKS_MOST; i++) {
        char *next = follow_link(target);
        bool last = next && strcmp(next, target) == 0;
        free(target);
        target = next;
        if (last)
            break;
    }
    return target;
}

/* Opens a file without a name in the target's folder, or -1 where the system has no such. */
static int open_nameless(const char *target, int folder, mode_t mode)
{
    int descriptor = -1;
    char path[40];
    char *name = folder ? strndup(target, (size_t)folder) : strdup(".");
    if (name)
        descriptor = open(name, O_WRONLY | O_TMPFILE | O_CLOEXEC, mode);
    free(name);
    if (descriptor >= 0 && access(descriptor_path(descriptor, path), F_OK) != 0) {
        close(descriptor);
        descriptor = -1;
    }
    return descriptor;
}

/* Gives a file the permissions of the one that it will replace.  Where it can't have the same owner or group, nobody is
   allowed more for it: the group's rights then are those that all others have. */
static void keep_permissions(int descriptor, const struct stat *former)
{
    mode_t mode = former->st_mode & 07777;
    if (fchown(descriptor, former->st_uid, former->st_gid) != 0) {
        mode &= 0777;
        if (fchown(descriptor, (uid_t)-1, former->st_gid) != 0)
            mode = (mode & 0707) | (mode & 0007) << 3;
    }
    fchmod(descriptor, mode);
}

/* Creates ".NAME.XXXXXX" beside the target, with the permissions that open() gives, or those of `former`; the name may
   have to be given to it later (*nameless). */
static int open_temporary(const char *target, mode_t mode, const struct stat *former, char **temporary, bool *nameless)
{
    const char *slash = strrchr(target, '/');
    int folder = slash ? (int)(slash - target) + 1 : 0;
    for (unsigned attempt = 0; attempt < 100; attempt++) {
        rf_bytes name = {0};
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        /* a name of 255 bytes has no room for a suffix: its beginning tells enough */
        rf_bytes_format(&name, "%.*s.%.200s.%lx-%lx", folder, target, target + folder, (long)getpid(),
                        (long)now.tv_nsec + attempt);
        if (name.failed)
            return -1;
        int descriptor = open_nameless(target, folder, mode);
        *nameless = descriptor >= 0;
        if (!*nameless)
            descriptor = open(name.data, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
        if (descriptor >= 0) {
            if (former)
                keep_permissions(descriptor, former);
            *temporary = name.data;
            return descriptor;
        }
        rf_bytes_free(&name);
        if (errno != EEXIST)
            return -1;
    }
    return -1;
}

raiiaf_status raiiaf_sink_path(raiiaf_sink *sink, const char *path, raiiaf_error *error)
{
    struct stat former;
    bool exists = stat(path, &former) == 0;
    size_t length = strlen(path) + 1;
    path_sink *state = calloc(1, sizeof *state + length);
    *sink = (raiiaf_sink){0};
    if (!state)
        return rf_fail_memory(error, path);
    memcpy(state->name, path, length);
    state->descriptor = -1;
    errno = 0;
    if (exists && !S_ISREG(former.st_mode))
        state->descriptor = open(path, O_WRONLY | O_CLOEXEC);
    else if (!exists || access(path, W_OK) == 0) { /* a file that is write-protected isn't replaced either */
        state->target = follow_links(path);
        if (state->target)
            state->descriptor = open_temporary(state->target, exists ? 0600 : 0666, exists ? &former : NULL,
                                               &state->temporary, &state->nameless);
    }
    if (state->descriptor < 0) {
        int number = errno;
        path_sink_free(state);
        return rf_fail_errno(error, number, "create", RF_NAME(path), _("can't be written"));
    }
    *sink = (raiiaf_sink){state, state->name, path_write, path_commit, path_abort};
    return RAIIAF_OK;
}

/* ---- files that wait for their places ---- */

raiiaf_status raiiaf_sink_pending(raiiaf_sink *sink, const char *path, unsigned mode, raiiaf_pending **pending,
                                  raiiaf_error *error)
{
    size_t length = strlen(path) + 1;
    path_sink *state = calloc(1, sizeof *state + length);
    *sink = (raiiaf_sink){0};
    *pending = NULL;
    if (!state)
        return rf_fail_memory(error, path);
    memcpy(state->name, path, length);
    state->wait = pending;
    state->descriptor = open_temporary(path, mode, NULL, &state->temporary, &state->nameless);
    if (state->descriptor < 0) {
        int number = errno;
        path_sink_free(state);
        return rf_fail_errno(error, number, "create", RF_NAME(path), _("can't be written"));
    }
    *sink = (raiiaf_sink){state, state->name, path_write, path_commit, path_abort};
    return RAIIAF_OK;
}

raiiaf_status raiiaf_pending_sync(raiiaf_pending *const *pending, size_t count, raiiaf_error *error)
{
    dev_t synced = 0;
    for (size_t i = 0; i < count; i++) {
        struct stat about = {0};
        if (fstat(pending[i]->descriptor, &about) == 0 && i > 0 && about.st_dev == synced)
            continue;
        if (syncfs(pending[i]->descriptor) != 0)
            return rf_fail_errno(error, errno, "write", RF_NAME(pending[i]->name), _("can't be written"));
        synced = about.st_dev;
    }
    return RAIIAF_OK;
}

/* Gives the file a name that nothing has yet; false with EEXIST if something has it. */
static bool link_new(path_sink *sink, const char *path)
{
    char descriptor[40];
    if (sink->nameless)
        return linkat(AT_FDCWD, descriptor_path(sink->descriptor, descriptor), AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0;
    if (renameat2(AT_FDCWD, sink->temporary, AT_FDCWD, path, RENAME_NOREPLACE) == 0)
        return true;
    /* Not every file system can: there the name is taken first. */
    int taken = errno == EINVAL ? open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666) : -1;
    if (taken < 0)
        return false;
    close(taken);
    if (rename(sink->temporary, path) == 0)
        return true;
    int number = errno;
    unlink(path);
    errno = number;
    return false;
}

raiiaf_status raiiaf_pending_place(raiiaf_pending *pending, const char *path, bool replace, raiiaf_error *error)
{
    bool done = replace ? name_temporary(pending) && rename(pending->temporary, path) == 0 : link_new(pending, path);
    if (!done)
        return rf_fail_errno(error, errno, errno == EEXIST ? "exists" : "create", RF_NAME(path), _("can't be written"));
    pending->nameless = true; /* its temporary name isn't there any more */
    path_abort(pending);
    return RAIIAF_OK;
}

void raiiaf_pending_drop(raiiaf_pending *pending)
{
    if (pending)
        path_abort(pending);
}

/* ---- memory ---- */

typedef struct memory_sink {
    rf_bytes bytes;
    raiiaf_buffer *out;
} memory_sink;

static bool memory_write(void *user, const void *data, size_t length)
{
    memory_sink *sink = user;
    rf_bytes_append(&sink->bytes, data, length);
    if (sink->bytes.failed)
        errno = ENOMEM;
    return !sink->bytes.failed;
}

static void memory_abort(void *user)
{
    memory_sink *sink = user;
    rf_bytes_free(&sink->bytes);
    free(sink);
}

static bool memory_commit(void *user)
{
    memory_sink *sink = user;
    bool done = rf_bytes_to_buffer(&sink->bytes, sink->out, NULL) == RAIIAF_OK;
    memory_abort(sink);
    if (!done)
        errno = ENOMEM;
    return done;
}

raiiaf_status raiiaf_sink_memory(raiiaf_sink *sink, raiiaf_buffer *out, raiiaf_error *error)
{
    memory_sink *state = calloc(1, sizeof *state);
    *out = (raiiaf_buffer){0};
    *sink = (raiiaf_sink){0};
    if (!state)
        return rf_fail_memory(error, NULL);
    state->out = out;
    *sink = (raiiaf_sink){state, "", memory_write, memory_commit, memory_abort};
    return RAIIAF_OK;
}
