/* SPDX-License-Identifier: MIT */
/*
 * host.c - what every host does with a file: it shows settings as texts and takes changed ones back, tells how the
 * computer has drifted, and decodes the image by its own means while the library checks it.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "file.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* ---- settings as texts ---- */

typedef struct view {
    bool (*callback)(void *user, const char *name, const char *text);
    void *user;
} view;

static bool show(void *user, const char *name, const raiiaf_value *value)
{
    const view *v = user;
    raiiaf_buffer text;
    if (raiiaf_value_text(value, &text, NULL) != RAIIAF_OK)
        return true;
    bool more = v->callback(v->user, name, (const char *)text.data);
    raiiaf_buffer_free(&text);
    return more;
}

void raiiaf_text_each(const raiiaf_file *file, bool (*callback)(void *user, const char *name, const char *text),
                      void *user)
{
    raiiaf_setting_each(file, show, &(view){callback, user});
}

/* Equal, or equal but for backslashes that `text` has lost. */
static bool same_text(const char *text, const char *original, bool lossy)
{
    for (; *original; original++) {
        if (lossy && *original == '\\' && *text != '\\')
            continue;
        if (*text++ != *original)
            return false;
    }
    return !*text;
}

raiiaf_status raiiaf_text_apply(raiiaf_file *file, const raiiaf_file *shown, const char *name, const char *text,
                                unsigned flags, raiiaf_error *error)
{
    raiiaf_value value;
    raiiaf_buffer original = {0};
    rf_error_clear(error);
    if (!*text)
        return RAIIAF_OK;
    raiiaf_status status = RAIIAF_OK;
    bool known = shown && raiiaf_setting(shown, name, &value);
    if (known)
        status = raiiaf_value_text(&value, &original, error);
    if (status == RAIIAF_OK && !(known && same_text(text, (const char *)original.data, flags & RAIIAF_TEXT_LOSSY)))
        status = raiiaf_set_text(file, name, text, error);
    raiiaf_buffer_free(&original);
    return status;
}

/* ---- drift ---- */

raiiaf_status raiiaf_drift_each(const raiiaf_file *file,
                                bool (*callback)(void *user, const char *component_id, const char *text), void *user,
                                raiiaf_error *error)
{
    raiiaf_buffer then = {0}, now = {0};
    size_t chunk = raiiaf_environment_chunk(file);
    rf_error_clear(error);
    if (chunk == RAIIAF_NONE)
        return RAIIAF_OK;
    raiiaf_status status = raiiaf_chunk_read(file, chunk, 0, &then, error);
    if (status == RAIIAF_OK)
        status = raiiaf_environment_capture(&now, error);
    if (status == RAIIAF_OK)
        status = raiiaf_environment_drift((const char *)then.data, then.size, (const char *)now.data, now.size,
                                          callback, user, error);
    raiiaf_buffer_free(&then);
    raiiaf_buffer_free(&now);
    return status;
}

/* ---- an image checked beside its decoding ---- */

struct raiiaf_check {
    const raiiaf_file *file;
    raiiaf_cache *cache;
    raiiaf_buffer bytes; /* a view of the caller's */
    pthread_t thread;
    bool started;
    raiiaf_status status;
    raiiaf_error error;
};

static void *check(void *user)
{
    raiiaf_check *c = user;
    size_t image = raiiaf_image_chunk(c->file);
    raiiaf_buffer stored = {0};
    c->status = rf_chunk_verify(c->file, image, &c->bytes, &c->error);
    if (c->status == RAIIAF_OK && c->cache && !raiiaf_chunk_read_stored(c->file, image, &stored, NULL))
        raiiaf_cache_put(c->cache, c->file->chunks[image].info.sha256, stored.data, stored.size, NULL);
    raiiaf_buffer_free(&stored);
    return NULL;
}

raiiaf_status raiiaf_check_begin(raiiaf_check **out, const raiiaf_file *file, raiiaf_cache *cache, raiiaf_buffer *image,
                                 raiiaf_error *error)
{
    *out = NULL;
    *image = (raiiaf_buffer){0};
    rf_error_clear(error);
    if (raiiaf_image_chunk(file) == RAIIAF_NONE)
        return rf_fail(error, RAIIAF_ERROR_MISSING, "no-image", RF_NAME(file->name), _("the file holds no image"));
    raiiaf_check *c = calloc(1, sizeof *c);
    if (!c)
        return rf_fail_memory(error, file->name);
    raiiaf_status status = raiiaf_chunk_read(file, raiiaf_image_chunk(file), RAIIAF_READ_UNVERIFIED, image, error);
    if (status != RAIIAF_OK) {
        free(c);
        return status;
    }
    c->file = file;
    c->cache = cache;
    c->bytes = rf_buffer_view(image->data, image->size);
    c->started = pthread_create(&c->thread, NULL, check, c) == 0;
    *out = c;
    return RAIIAF_OK;
}

raiiaf_status raiiaf_check_end(raiiaf_check *c, raiiaf_error *error)
{
    if (c->started)
        pthread_join(c->thread, NULL);
    else
        check(c);
    raiiaf_status status = c->status;
    if (error)
        *error = c->error;
    free(c);
    return status;
}
