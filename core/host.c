/* SPDX-License-Identifier: MIT */
/*
 * host.c - what every host does with a file: it shows settings as texts and takes changed ones back, tells how the
 * computer has drifted, decodes the image by its own means while the library checks it, and hands back unchanged ones.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "file.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
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

/* Equal but for spaces at the end and, where it is lossy, for backslashes that `text` has lost. */
static bool same_text(const char *text, const char *original, bool lossy)
{
    const char *end = text + strlen(text);
    while (end > text && end[-1] == ' ')
        end--;
    for (; *original; original++) {
        bool over = text == end;
        if ((lossy && *original == '\\' && (over || *text != '\\')) || (over && *original == ' '))
            continue;
        if (over || *text++ != *original)
            return false;
    }
    return text == end;
}

typedef struct taking {
    raiiaf_file *file;
    const raiiaf_file *shown;
    bool lossy;
    size_t failures;
    raiiaf_error first;
} taking;

static raiiaf_status take(taking *t, const char *name, const char *text, raiiaf_error *error)
{
    raiiaf_value value;
    raiiaf_buffer original = {0};
    raiiaf_status status = RAIIAF_OK;
    bool known = t->shown && raiiaf_setting(t->shown, name, &value);
    if (known)
        status = raiiaf_value_text(&value, &original, error);
    if (status == RAIIAF_OK && !(known && same_text(text, (const char *)original.data, t->lossy)))
        status = raiiaf_set_text(t->file, name, text, error);
    raiiaf_buffer_free(&original);
    return status;
}

static void take_text(void *taker, const char *name, const char *text)
{
    taking *t = taker;
    raiiaf_error error;
    if (*text && take(t, name, text, &error) != RAIIAF_OK && !t->failures++)
        t->first = error;
}

raiiaf_status raiiaf_text_apply(raiiaf_file *file, const raiiaf_file *shown, const char *name, const char *text,
                                unsigned flags, raiiaf_error *error)
{
    taking t = {.file = file, .shown = shown, .lossy = flags & RAIIAF_TEXT_LOSSY};
    rf_error_clear(error);
    return *text ? take(&t, name, text, error) : RAIIAF_OK;
}

raiiaf_status raiiaf_text_take(raiiaf_file *file, const raiiaf_file *shown, unsigned flags,
                               void (*each)(void *user, raiiaf_text_taker take, void *taker), void *user,
                               raiiaf_error *error)
{
    taking t = {.file = file, .shown = shown, .lossy = flags & RAIIAF_TEXT_LOSSY, .failures = SIZE_MAX};
    size_t before;
    do { /* some have to wait for others: gpu.0.driver for gpu.0.name */
        before = t.failures;
        t.failures = 0;
        rf_error_clear(&t.first);
        each(user, take_text, &t);
    } while (t.failures && t.failures < before);
    if (error)
        *error = t.first;
    return t.first.status;
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

raiiaf_status raiiaf_image_probe_known(const raiiaf_file *file, raiiaf_image_info *info, raiiaf_error *error)
{
    raiiaf_status status = raiiaf_image_probe(file, info, error);
    if (status == RAIIAF_OK && info->format == RAIIAF_IMAGE_UNKNOWN)
        status = rf_fail(error, RAIIAF_ERROR_UNSUPPORTED, "image-unknown", RF_NAME(file->name),
                         _("the image is no PNG, JPEG, WebP or BMP; raiiaf extract --image hands it out as it is"));
    return status;
}

void raiiaf_image_warn(const raiiaf_file *file)
{
    raiiaf_buffer image = {0};
    raiiaf_error error;
    size_t chunk = raiiaf_image_chunk(file);
    raiiaf_status status = chunk != RAIIAF_NONE ? raiiaf_chunk_read(file, chunk, 0, &image, &error) : RAIIAF_OK;
    if (file->warning && (status == RAIIAF_ERROR_HASH || status == RAIIAF_ERROR_DAMAGED))
        file->warning(file->warning_user, &error);
    raiiaf_buffer_free(&image);
}

#define WORTH_A_THREAD ((size_t)512 << 10) /* less is hashed before a thread has started */

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
        rf_cache_share(c->cache, c->file->chunks[image].info.sha256, &stored);
    raiiaf_buffer_free(&stored);
    return NULL;
}

raiiaf_status raiiaf_check_begin(raiiaf_check **out, raiiaf_file *file, raiiaf_cache *cache, raiiaf_buffer *image,
                                 raiiaf_error *error)
{
    *out = NULL;
    *image = (raiiaf_buffer){0};
    rf_error_clear(error);
    if (raiiaf_image_chunk(file) == RAIIAF_NONE)
        return raiiaf_image_probe(file, &(raiiaf_image_info){0}, error);
    raiiaf_check *c = calloc(1, sizeof *c);
    if (!c)
        return rf_fail_memory(error, file->name);
    raiiaf_status status = rf_chunk_hold(file, raiiaf_image_chunk(file), error);
    if (status == RAIIAF_OK)
        status = raiiaf_chunk_read(file, raiiaf_image_chunk(file), RAIIAF_READ_UNVERIFIED, image, error);
    if (status != RAIIAF_OK) {
        free(c);
        return status;
    }
    c->file = file;
    c->cache = cache;
    c->bytes = rf_buffer_view(image->data, image->size);
    c->started = image->size >= WORTH_A_THREAD && pthread_create(&c->thread, NULL, check, c) == 0;
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

/* ---- what is left beside the pixels, and comes back unchanged or not ---- */

typedef struct traits_name {
    char text[RF_SHA256_HEX + sizeof " traits"];
} traits_name;

static traits_name name_of(const char *sha256)
{
    traits_name name;
    snprintf(name.text, sizeof name.text, "%s traits", sha256 ? sha256 : "");
    return name;
}

#define SMALL_CAPSULE ((size_t)64 << 10) /* of which it isn't worth leaving chunks out */

raiiaf_status raiiaf_carry_make(const raiiaf_file *file, raiiaf_cache *cache, const char *digest, const void *traits,
                                size_t size, raiiaf_carry carry, unsigned flags, raiiaf_buffer *beside,
                                char origin[RAIIAF_ORIGIN_SIZE], raiiaf_error *error)
{
    static atomic_uint count;
    static const char *const names[] = {"all", "manifest", "none"};
    raiiaf_buffer whole, manifest = {0};
    *beside = (raiiaf_buffer){0};
    size_t image = raiiaf_image_chunk(file);
    if (digest && !*digest)
        digest = NULL;
    raiiaf_status status = raiiaf_capsule_make(file, digest, flags, &whole, error);
    bool large = carry == RAIIAF_CARRY_ALL && whole.size > SMALL_CAPSULE;
    if (status == RAIIAF_OK && (large || carry == RAIIAF_CARRY_MANIFEST))
        status = raiiaf_capsule_make(file, digest, RAIIAF_CAPSULE_NO_CHUNKS, &manifest, error);
    if (status == RAIIAF_OK) {
        snprintf(origin, RAIIAF_ORIGIN_SIZE, "%s %u", names[carry], atomic_fetch_add(&count, 1));
        if (traits && image != RAIIAF_NONE)
            raiiaf_cache_put(cache, name_of(file->chunks[image].info.sha256).text, traits, size, NULL);
        rf_cache_share(cache, origin, large ? &manifest : &whole);
        *beside = carry == RAIIAF_CARRY_ALL        ? rf_buffer_share(&whole)
                  : carry == RAIIAF_CARRY_MANIFEST ? rf_buffer_share(&manifest)
                                                   : *beside;
    }
    raiiaf_buffer_free(&whole);
    raiiaf_buffer_free(&manifest);
    return status;
}

static void let_go(void *user)
{
    raiiaf_buffer_free(user);
    free(user);
}

raiiaf_status raiiaf_carry_open(raiiaf_cache *cache, const char *origin, const void *beside, size_t size, bool stripped,
                                const char *name, raiiaf_file **file, raiiaf_file **shown, raiiaf_error *error)
{
    raiiaf_buffer capsule = {0};
    *file = *shown = NULL;
    rf_error_clear(error);
    bool kept = raiiaf_cache_get(cache, origin, &capsule);
    /* The whole one, if the image bears less of it, or by its reader's wish nothing. */
    bool whole = kept && (beside ? *origin != 'a' : *origin == 'n' && !stripped);
    if (!kept && !beside)
        return RAIIAF_OK;
    if (beside && !whole) {
        raiiaf_buffer_free(&capsule);
        return raiiaf_open_memory(file, beside, size, name, NULL, error);
    }
    raiiaf_source source;
    raiiaf_buffer *held = malloc(sizeof *held);
    if (!held) {
        raiiaf_buffer_free(&capsule);
        return rf_fail_memory(error, name);
    }
    *held = capsule;
    raiiaf_source_memory(&source, held->data, held->size, name, let_go, held);
    return raiiaf_open(whole ? file : shown, &source, NULL, error);
}

raiiaf_status raiiaf_capsule_unite(raiiaf_file *capsule, raiiaf_cache *cache, const char *digest, const void *traits,
                                   size_t size, bool *unchanged, raiiaf_error *error)
{
    const char *sha256 = raiiaf_capsule_image_sha256(capsule), *former = raiiaf_capsule_digest(capsule);
    raiiaf_buffer stored, then;
    *unchanged = false;
    if (raiiaf_cache_get(cache, sha256, &stored) && traits && digest && former && rf_pixels_same(digest, former)) {
        *unchanged = raiiaf_cache_get(cache, name_of(sha256).text, &then) && then.size == size &&
                     memcmp(then.data, traits, size) == 0;
        raiiaf_buffer_free(&then);
    }
    raiiaf_status status = stored.data ? rf_capsule_join_verified(capsule, stored.data, stored.size, error)
                                       : raiiaf_capsule_join(capsule, NULL, 0, error);
    if (status == RAIIAF_ERROR_HASH) { /* another file's chunk, with an equal image */
        *unchanged = false;
        raiiaf_buffer_free(&stored);
        status = raiiaf_capsule_join(capsule, NULL, 0, error);
    }
    if (status == RAIIAF_OK)
        capsule->kept = stored;
    else
        raiiaf_buffer_free(&stored);
    return status;
}

/* ---- capsules in a host's hands ---- */

raiiaf_status raiiaf_open_memory(raiiaf_file **file, const void *data, size_t size, const char *name,
                                 const raiiaf_open_options *options, raiiaf_error *error)
{
    raiiaf_source source;
    raiiaf_source_memory(&source, data, size, name, NULL, NULL);
    return raiiaf_open(file, &source, options, error);
}
