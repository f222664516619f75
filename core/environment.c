/* SPDX-License-Identifier: MIT */
/*
 * environment.c - the environment chunk (format.md, 4): its form, its components, and how two of them differ.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "file.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define ENVIRONMENT_VERSION 1

/* Offsets into environment.strings, each of a NUL-terminated string. */
typedef struct component {
    size_t id, canonical, sha256;
    size_t canonical_size; /* a canonical string may hold U+0000 */
    size_t partner;        /* its counterpart's index in the other environment, or RAIIAF_NONE */
} component;

typedef struct environment {
    rf_bytes strings;
    component *components;
    size_t count;
} environment;

static void environment_free(environment *env)
{
    rf_bytes_free(&env->strings);
    free(env->components);
    *env = (environment){0};
}

static const char *string_at(const environment *env, size_t offset)
{
    return env->strings.data + offset;
}

static raiiaf_status broken(raiiaf_error *error, const rf_where *where, const char *what)
{
    return rf_fail(error, RAIIAF_ERROR_DAMAGED, "environment-form", where, "%s", what);
}

/* ---- form ---- */

static bool take_string(environment *env, const char *json, rf_span object, const char *name, size_t *offset,
                        size_t *size)
{
    rf_span value;
    if (!rf_json_member(json, object, name, &value) || rf_json_type(json, value) != RAIIAF_JSON_STRING)
        return false;
    *offset = env->strings.size;
    rf_json_decode(json, value, &env->strings);
    *size = env->strings.size - *offset;
    rf_bytes_append(&env->strings, "", 1);
    return true;
}

static raiiaf_status take_component(environment *env, const char *json, const rf_json_walk *walk, const rf_where *where,
                                    raiiaf_error *error)
{
    static const char *const names[] = {"component_id", "cononical_str", "component_sha256_digest"};
    component *taken = &env->components[env->count];
    size_t *offsets[] = {&taken->id, &taken->canonical, &taken->sha256};
    size_t sizes[3];

    if (rf_json_type(json, walk->value) != RAIIAF_JSON_OBJECT)
        return rf_fail(error, RAIIAF_ERROR_DAMAGED, "environment-form", where,
                       _("component %zu of the environment is not an object"), walk->index);
    for (size_t i = 0; i < 3; i++)
        if (!take_string(env, json, walk->value, names[i], offsets[i], &sizes[i]))
            return rf_fail(error, RAIIAF_ERROR_DAMAGED, "environment-form", where,
                           _("component %zu of the environment has no string \"%s\""), walk->index, names[i]);
    taken->canonical_size = sizes[1];
    taken->partner = RAIIAF_NONE;
    env->count++;
    return RAIIAF_OK;
}

/* Takes an environment's JSON apart.  `env` is empty on failure. */
static raiiaf_status parse(environment *env, const char *json, size_t size, const rf_where *where, raiiaf_error *error)
{
    *env = (environment){0};
    size_t position = 0;
    if (!rf_json_check(json, size, &position))
        return rf_fail(error, RAIIAF_ERROR_DAMAGED, "environment-json", where,
                       _("the environment is not valid JSON (byte %zu of it)"), position);
    rf_span root = rf_json_root(json, size);
    if (rf_json_type(json, root) != RAIIAF_JSON_OBJECT)
        return broken(error, where, _("the environment is not a JSON object"));
    rf_span array;
    if (!rf_json_member(json, root, "components", &array) || rf_json_type(json, array) != RAIIAF_JSON_ARRAY)
        return broken(error, where, _("the environment has no array \"components\""));

    size_t count = rf_json_count(json, array);
    env->components = calloc(count ? count : 1, sizeof *env->components);
    if (!env->components)
        return rf_fail_memory(error, where->name);
    raiiaf_status status = RAIIAF_OK;
    for (rf_json_walk walk = rf_json_begin(json, array); !status && rf_json_next(&walk);)
        status = take_component(env, json, &walk, where, error);
    if (!status && env->strings.failed)
        status = rf_fail_memory(error, where->name);
    if (status)
        environment_free(env);
    return status;
}

/* ---- what is tolerated, but worth a word ---- */

static bool is_known(const char *json, rf_span name, const char *const *known)
{
    for (; *known; known++)
        if (rf_json_string_equals(json, name, *known))
            return true;
    return false;
}

/* One warning for all further keys of an object's kind: there may be millions. */
static bool warn_further_key(const raiiaf_file *file, const char *json, rf_span object, const char *const *known,
                             const rf_where *where)
{
    for (rf_json_walk walk = rf_json_begin(json, object); rf_json_next(&walk);) {
        if (is_known(json, walk.name, known))
            continue;
        rf_bytes name = {0};
        rf_json_decode(json, walk.name, &name);
        rf_warn(file, RAIIAF_ERROR_DAMAGED, "environment-key", where,
                _("the environment holds a further key, \"%s\", that the format doesn't know"),
                name.data ? name.data : "");
        rf_bytes_free(&name);
        return true;
    }
    return false;
}

static void warn_keys(const raiiaf_file *file, const char *json, rf_span root, const rf_where *where)
{
    static const char *const outer[] = {"env_version", "components", NULL};
    static const char *const inner[] = {"component_id", "cononical_str", "component_sha256_digest", NULL};
    rf_span array;

    warn_further_key(file, json, root, outer, where);
    if (!rf_json_member(json, root, "components", &array))
        return;
    for (rf_json_walk walk = rf_json_begin(json, array); rf_json_next(&walk);)
        if (warn_further_key(file, json, walk.value, inner, where))
            return;
}

static void warn_version(const raiiaf_file *file, const char *json, rf_span root, const rf_where *where)
{
    rf_span value;
    uint64_t version;
    if (!rf_json_member(json, root, "env_version", &value) || !rf_json_uint64(json, value, &version))
        rf_warn(file, RAIIAF_ERROR_DAMAGED, "environment-version", where,
                _("the environment has no number \"env_version\""));
    else if (version != ENVIRONMENT_VERSION)
        rf_warn(file, RAIIAF_ERROR_VERSION, "environment-version", where,
                _("the environment's version is %" PRIu64 "; this library knows %d"), version, ENVIRONMENT_VERSION);
}

/* Hexadecimal digests compare without case (format.md, 3). */
static bool same_digest(const char *a, const char *b)
{
    for (;; a++, b++) {
        unsigned char x = (unsigned char)*a, y = (unsigned char)*b;
        if (x >= 'A' && x <= 'F')
            x |= 0x20;
        if (y >= 'A' && y <= 'F')
            y |= 0x20;
        if (x != y)
            return false;
        if (!x)
            return true;
    }
}

static void warn_digests(const raiiaf_file *file, const environment *env, const rf_where *where)
{
    for (size_t i = 0; i < env->count; i++) {
        const component *c = &env->components[i];
        char hex[RF_SHA256_HEX];
        rf_sha256(string_at(env, c->canonical), c->canonical_size, hex);
        if (!same_digest(hex, string_at(env, c->sha256)))
            rf_warn(file, RAIIAF_ERROR_HASH, "environment-digest", where,
                    _("the digest of environment component '%s' doesn't fit its string"), string_at(env, c->id));
    }
}

raiiaf_status rf_environment_check(const raiiaf_file *file, const char *json, size_t size, const rf_where *where,
                                   raiiaf_error *error)
{
    environment env;
    raiiaf_status status = parse(&env, json, size, where, error);
    if (status)
        return status;
    rf_span root = rf_json_root(json, size);
    warn_version(file, json, root, where);
    warn_keys(file, json, root, where);
    warn_digests(file, &env, where);
    environment_free(&env);
    return RAIIAF_OK;
}

/* ---- public ---- */

raiiaf_status raiiaf_environment_each(const char *json, size_t size,
                                      bool (*callback)(void *user, const raiiaf_component *component), void *user,
                                      raiiaf_error *error)
{
    environment env;
    raiiaf_status status = parse(&env, json, size, RF_NAME(NULL), error);
    bool more = !status;
    for (size_t i = 0; more && i < env.count; i++) {
        const component *c = &env.components[i];
        raiiaf_component told = {string_at(&env, c->id), string_at(&env, c->canonical), string_at(&env, c->sha256)};
        more = callback(user, &told);
    }
    environment_free(&env);
    return status;
}

static raiiaf_status take_out(raiiaf_file *file, raiiaf_error *error)
{
    /* Of several ENVC chunks the last is the environment: without this loop the one before would become it. */
    for (size_t i; (i = raiiaf_environment_chunk(file)) != RAIIAF_NONE;) {
        raiiaf_status status = raiiaf_chunk_remove(file, i, error);
        if (status)
            return status;
    }
    return RAIIAF_OK;
}

raiiaf_status raiiaf_environment_set(raiiaf_file *file, const char *json, size_t size, raiiaf_error *error)
{
    if (!json)
        return take_out(file, error);
    const rf_where *where = RF_WHERE(raiiaf_name(file), "ENVC", RAIIAF_NO_OFFSET);
    environment env;
    raiiaf_status status = parse(&env, json, size, where, error);
    if (status)
        return status;
    environment_free(&env);

    raiiaf_buffer payload;
    status = rf_buffer_new(&payload, size, file->budget, where, error);
    if (status)
        return status;
    memcpy(rf_buffer_data(&payload), json, size);
    size_t i = raiiaf_environment_chunk(file);
    return i != RAIIAF_NONE ? rf_chunk_replace(file, i, &payload, error)
                            : rf_chunk_add(file, "ENVC", &payload, "{}", RAIIAF_DTYPE_NONE, 0, NULL, NULL, error);
}

/* ---- drift ---- */

static int compare_places(const void *a, const void *b, void *user)
{
    const environment *env = user;
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    int order = strcmp(string_at(env, env->components[x].id), string_at(env, env->components[y].id));
    return order ? order : (x > y) - (x < y);
}

/* The indices of the components, sorted by id, those of the same id in their own order. */
static size_t *sorted_places(environment *env)
{
    size_t *places = malloc((env->count ? env->count : 1) * sizeof *places);
    if (!places)
        return NULL;
    for (size_t i = 0; i < env->count; i++)
        places[i] = i;
    qsort_r(places, env->count, sizeof *places, compare_places, env);
    return places;
}

/* Gives every component its counterpart: of the same id, the first the first, the second the second (GPUs). */
static bool pair(environment *then, environment *now)
{
    size_t *thens = sorted_places(then), *nows = sorted_places(now);
    bool sorted = thens && nows;
    for (size_t i = 0, k = 0; sorted && i < then->count && k < now->count;) {
        component *a = &then->components[thens[i]], *b = &now->components[nows[k]];
        int order = strcmp(string_at(then, a->id), string_at(now, b->id));
        if (!order) {
            a->partner = nows[k];
            b->partner = thens[i];
        }
        i += order <= 0;
        k += order >= 0;
    }
    free(thens);
    free(nows);
    return sorted;
}

/* What is to be said of `then`'s component i, if anything; empty if not. */
static void describe(rf_bytes *text, const environment *then, const environment *now, size_t i)
{
    const component *c = &then->components[i];
    const char *id = string_at(then, c->id);
    if (c->partner == RAIIAF_NONE) {
        rf_bytes_format(text, "Environment component '%s' missing in current system", id);
        return;
    }
    const component *other = &now->components[c->partner];
    if (!same_digest(string_at(then, c->sha256), string_at(now, other->sha256)))
        rf_bytes_format(text, "Environment component '%s' differs:\n  File: %s\n  Current: %s", id,
                        string_at(then, c->canonical), string_at(now, other->canonical));
}

/* The recorded digests decide, as they do in the reference, also where one doesn't fit its string: such a file has
   drifted from every system, and raiiaf_verify warns of it.  These words are the format's own and not translated. */
static raiiaf_status tell(environment *then, environment *now,
                          bool (*callback)(void *user, const char *component_id, const char *text), void *user,
                          raiiaf_error *error)
{
    rf_bytes text = {0};
    bool more = true;
    for (size_t i = 0; more && i < then->count; i++) {
        text.size = 0;
        describe(&text, then, now, i);
        if (text.size && !text.failed)
            more = callback(user, string_at(then, then->components[i].id), text.data);
    }
    for (size_t i = 0; more && i < now->count; i++) {
        const char *id = string_at(now, now->components[i].id);
        if (now->components[i].partner != RAIIAF_NONE)
            continue;
        text.size = 0;
        rf_bytes_format(&text, "Environment component '%s' missing in file", id);
        if (!text.failed)
            more = callback(user, id, text.data);
    }
    raiiaf_status status = text.failed ? rf_fail_memory(error, NULL) : RAIIAF_OK;
    rf_bytes_free(&text);
    return status;
}

raiiaf_status raiiaf_environment_drift(const char *then, size_t then_size, const char *now, size_t now_size,
                                       bool (*callback)(void *user, const char *component_id, const char *text),
                                       void *user, raiiaf_error *error)
{
    environment file, current = {0};
    raiiaf_status status = parse(&file, then, then_size, RF_NAME(NULL), error);
    if (!status)
        status = parse(&current, now, now_size, RF_NAME(NULL), error);
    if (!status && !pair(&file, &current))
        status = rf_fail_memory(error, NULL);
    if (!status)
        status = tell(&file, &current, callback, user, error);
    environment_free(&file);
    environment_free(&current);
    return status;
}
