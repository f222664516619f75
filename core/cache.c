/* SPDX-License-Identifier: MIT */
/*
 * cache.c - bytes by name, for hosts that can't leave them on their images.  The latest come first; the oldest go
 * when all together are more than the limit.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "file.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

typedef struct entry {
    struct entry *next;
    char *key;
    raiiaf_buffer bytes;
} entry;

struct raiiaf_cache {
    pthread_mutex_t lock;
    uint64_t limit;
    entry *entries;
};

raiiaf_status raiiaf_cache_new(raiiaf_cache **cache, uint64_t limit, raiiaf_error *error)
{
    *cache = calloc(1, sizeof **cache);
    if (!*cache)
        return rf_fail_memory(error, NULL);
    (*cache)->limit = limit;
    pthread_mutex_init(&(*cache)->lock, NULL);
    return RAIIAF_OK;
}

static void entry_free(entry *old)
{
    raiiaf_buffer_free(&old->bytes);
    free(old->key);
    free(old);
}

void raiiaf_cache_free(raiiaf_cache *cache)
{
    if (!cache)
        return;
    while (cache->entries) {
        entry *old = cache->entries;
        cache->entries = old->next;
        entry_free(old);
    }
    pthread_mutex_destroy(&cache->lock);
    free(cache);
}

/* Takes the entry of that name out of the list. */
static entry *unlink_entry(raiiaf_cache *cache, const char *key)
{
    for (entry **link = &cache->entries; *link; link = &(*link)->next) {
        entry *found = *link;
        if (strcmp(found->key, key) == 0) {
            *link = found->next;
            return found;
        }
    }
    return NULL;
}

static void push_entry(raiiaf_cache *cache, entry *first)
{
    first->next = cache->entries;
    cache->entries = first;
}

static void drop_oldest(raiiaf_cache *cache)
{
    uint64_t size = cache->entries->bytes.size;
    for (entry **link = &cache->entries->next; *link;) {
        entry *old = *link;
        if (cache->limit && old->bytes.size > cache->limit - (size < cache->limit ? size : cache->limit)) {
            *link = old->next;
            entry_free(old);
        } else {
            size += old->bytes.size;
            link = &old->next;
        }
    }
}

/* Takes over `bytes`, also on failure. */
static raiiaf_status put(raiiaf_cache *cache, const char *key, raiiaf_buffer *bytes, raiiaf_error *error)
{
    entry *fresh = calloc(1, sizeof *fresh);
    char *name = strdup(key);
    if (!fresh || !name) {
        free(fresh);
        free(name);
        raiiaf_buffer_free(bytes);
        return rf_fail_memory(error, NULL);
    }
    *fresh = (entry){NULL, name, *bytes};
    pthread_mutex_lock(&cache->lock);
    entry *former = unlink_entry(cache, key);
    if (former)
        entry_free(former);
    push_entry(cache, fresh);
    drop_oldest(cache);
    pthread_mutex_unlock(&cache->lock);
    return RAIIAF_OK;
}

raiiaf_status raiiaf_cache_put(raiiaf_cache *cache, const char *key, const void *data, size_t size, raiiaf_error *error)
{
    raiiaf_buffer copy;
    if (rf_buffer_new(&copy, size, NULL, RF_NAME(NULL), error) != RAIIAF_OK)
        return rf_fail_memory(error, NULL);
    if (size)
        memcpy(rf_buffer_data(&copy), data, size);
    return put(cache, key, &copy, error);
}

raiiaf_status rf_cache_share(raiiaf_cache *cache, const char *key, const raiiaf_buffer *bytes)
{
    if (!bytes->hold) /* somebody else's, who takes them away */
        return raiiaf_cache_put(cache, key, bytes->data, bytes->size, NULL);
    raiiaf_buffer shared = rf_buffer_share(bytes);
    return put(cache, key, &shared, NULL);
}

bool raiiaf_cache_get(raiiaf_cache *cache, const char *key, raiiaf_buffer *bytes)
{
    *bytes = (raiiaf_buffer){0};
    if (!key)
        return false;
    pthread_mutex_lock(&cache->lock);
    entry *found = unlink_entry(cache, key);
    if (found) {
        push_entry(cache, found);
        *bytes = rf_buffer_share(&found->bytes);
    }
    pthread_mutex_unlock(&cache->lock);
    return bytes->data != NULL;
}
