/* SPDX-License-Identifier: MIT */
/*
 * store.c - a file taken apart into pieces that a host keeps by name, and put together again.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define INDEX "index"
#define MANIFEST "manifest"

/* ---- taking apart ---- */

/* A run of the file's bytes. */
typedef struct run {
    uint64_t start, size;
    const char *name;
} run;

static int compare_runs(const void *a, const void *b)
{
    const run *x = a, *y = b;
    return x->start < y->start ? -1 : x->start > y->start;
}

/* Header, chunks and manifest, in file order; the last one, of no size, stands at the file's end. */
static run *claimed_runs(const raiiaf_file *file, size_t *count)
{
    run *runs = calloc(file->chunk_count + 3, sizeof *runs);
    if (!runs)
        return NULL;
    *count = file->chunk_count + 2;
    runs[0] = (run){0, file->header_size, "header"};
    runs[1] = (run){file->table_offset, file->table_size, "manifest"};
    for (size_t i = 0; i < file->chunk_count; i++) {
        const raiiaf_chunk_info *info = &file->chunks[i].info;
        bool plain = true; /* a type may be any four bytes */
        for (const char *p = info->type; *p; p++)
            plain = plain && ((*p >= '0' && *p <= '9') || (*p >= 'A' && *p <= 'Z'));
        runs[i + 2] = (run){info->offset, info->stored_size, plain ? info->type : "chunk"};
    }
    qsort(runs, *count, sizeof *runs, compare_runs);
    runs[(*count)++] = (run){file->source.size, 0, ""};
    return runs;
}

typedef struct keeping {
    const raiiaf_file *file;
    const raiiaf_store *store;
    size_t most, count;
    rf_bytes index;
    raiiaf_error *error;
} keeping;

static raiiaf_status put(const keeping *k, const char *name, const void *data, size_t size)
{
    errno = 0;
    return k->store->put(k->store->user, name, data, size)
               ? RAIIAF_OK
               : rf_fail_errno(k->error, errno, "store", RF_NAME(k->file->name), _("can't be kept"));
}

static raiiaf_status keep_run(keeping *k, const char *name, uint64_t start, uint64_t end)
{
    raiiaf_status status = RAIIAF_OK;
    while (status == RAIIAF_OK && start < end) {
        raiiaf_buffer bytes = {0};
        rf_bytes line = {0};
        size_t size = k->most && end - start > k->most ? k->most : (size_t)(end - start);
        rf_bytes_format(&line, "%zu-%s", k->count++, name);
        rf_bytes_format(&k->index, "%s %zu\n", line.failed ? "" : line.data, size);
        status = line.failed || k->index.failed
                     ? rf_fail_memory(k->error, k->file->name)
                     : rf_source_fetch(k->file, start, size, &bytes, RF_NAME(k->file->name), k->error);
        if (status == RAIIAF_OK)
            status = put(k, line.data, bytes.data, size);
        raiiaf_buffer_free(&bytes);
        rf_bytes_free(&line);
        start += size;
    }
    return status;
}

raiiaf_status raiiaf_store_keep(const raiiaf_file *file, const raiiaf_store *store, size_t most, raiiaf_error *error)
{
    keeping k = {file, store, most, 0, {0}, error};
    uint64_t end = 0;
    size_t count = 0;
    rf_error_clear(error);
    if (!file->source.read_at || file->edited)
        return rf_fail(error, RAIIAF_ERROR_ARGUMENT, "not-stored", RF_NAME(file->name),
                       _("has to be saved and opened again before it can be kept"));
    run *runs = claimed_runs(file, &count);
    raiiaf_status status = runs ? RAIIAF_OK : rf_fail_memory(error, file->name);
    for (size_t i = 0; status == RAIIAF_OK && i < count; i++) {
        uint64_t start = runs[i].start > end ? runs[i].start : end;
        status = keep_run(&k, "rest", end, start);
        end = runs[i].start + runs[i].size > end ? runs[i].start + runs[i].size : end;
        if (status == RAIIAF_OK)
            status = keep_run(&k, runs[i].name, start, end);
    }
    if (status == RAIIAF_OK)
        status = put(&k, MANIFEST, file->text.data, file->text.size);
    if (status == RAIIAF_OK)
        status = put(&k, INDEX, k.index.data, k.index.size);
    rf_bytes_free(&k.index);
    free(runs);
    return status;
}

/* ---- putting together ---- */

static size_t count_lines(const char *text, size_t size)
{
    size_t count = 0;
    for (const char *p = text; (p = memchr(p, '\n', size - (size_t)(p - text))); p++)
        count++;
    return count;
}

/* Adds the piece that a line of the index tells of; `name` is room for its name. */
static raiiaf_status add_piece(rf_composite *c, const raiiaf_store *store, char *line, uint64_t *offset,
                               const char *name, raiiaf_error *error)
{
    const void *data;
    size_t size;
    char *space = strchr(line, ' ');
    if (space)
        *space = '\0';
    if (!space || !store->get(store->user, line, &data, &size) || size != strtoull(space + 1, NULL, 10))
        return rf_fail(error, RAIIAF_ERROR_DAMAGED, "store-piece", RF_NAME(name),
                       _("\"%s\", a piece of the file that came with the picture, is gone or was changed"), line);
    rf_composite_add(c, *offset, size, data, 0);
    *offset += size;
    return RAIIAF_OK;
}

/* The kept bytes as a source, which calls the store's release. */
static raiiaf_status store_source(raiiaf_source *source, const raiiaf_store *store, const char *name,
                                  raiiaf_error *error)
{
    const void *data;
    size_t size;
    uint64_t offset = 0;
    if (!store->get(store->user, INDEX, &data, &size))
        return rf_fail(error, RAIIAF_ERROR_MISSING, "store-empty", RF_NAME(name),
                       _("was not opened from a .raiiaf file: nothing is known of how it was made"));
    rf_composite *c = rf_composite_new(count_lines(data, size));
    raiiaf_status status = c ? RAIIAF_OK : rf_fail_memory(error, name);
    if (c) {
        rf_bytes_append(&c->own, name, strlen(name) + 1);
        size_t start = c->own.size;
        rf_bytes_append(&c->own, data, size);
        char *line = c->own.failed ? NULL : c->own.data + start, *end;
        for (; status == RAIIAF_OK && line && (end = strchr(line, '\n')); line = end + 1) {
            *end = '\0';
            status = add_piece(c, store, line, &offset, name, error);
        }
        if (c->own.failed)
            status = rf_fail_memory(error, name);
        else if (status == RAIIAF_OK && !c->count)
            status = rf_fail(error, RAIIAF_ERROR_DAMAGED, "store-index", RF_NAME(name),
                             _("\"%s\", the list of the pieces that came with the picture, was changed"), INDEX);
    }
    if (status == RAIIAF_OK)
        *source =
            rf_composite_source(c, &(raiiaf_source){.user = store->user, .name = c->own.data, .close = store->release});
    else if (c)
        rf_composite_free(c);
    return status;
}

raiiaf_status raiiaf_store_open(raiiaf_file **file, const raiiaf_store *store, const char *name,
                                const raiiaf_open_options *options, raiiaf_error *error)
{
    raiiaf_source source;
    const void *data;
    size_t size;
    *file = NULL;
    rf_error_clear(error);
    raiiaf_status status = store_source(&source, store, name, error);
    if (status != RAIIAF_OK) {
        if (store->release)
            store->release(store->user);
        return status;
    }
    status = raiiaf_open(file, &source, options, error);
    if (status == RAIIAF_OK && store->get(store->user, MANIFEST, &data, &size)) {
        while (size > 0 && ((const char *)data)[size - 1] == '\0') /* a host's string */
            size--;
        status = rf_manifest_apply(*file, data, size, error);
        if (status != RAIIAF_OK) {
            raiiaf_close(*file);
            *file = NULL;
        }
    }
    return status;
}
