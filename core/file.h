/* SPDX-License-Identifier: MIT */
/*
 * file.h - what a raiiaf_file is, for the modules that work on one.
 *
 *   source -> header -> manifest text -> chunk records -> payload
 *
 * `text` is the whole manifest at any time; edits are splices in it, the records in its `chunks` array included.
 * `chunks` holds what those records say, in the same order, and the payload of a chunk that isn't saved yet.
 */
#ifndef RAIIAF_FILE_H
#define RAIIAF_FILE_H

#include <pthread.h>

#include "base.h"
#include "json.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RF_CHUNK_HEADER 12
#define RF_HEADER_MOST 33

typedef struct rf_chunk {
    raiiaf_chunk_info info; /* info.key points to `key` */
    char *key;
    bool compressed;
    bool no_header;       /* second gen5 draft: the raw tensor alone */
    uint64_t header_size; /* len_header and len_data of a zfp latent, else 0 */
    uint64_t data_size;
    /* A chunk that isn't in the source: its payload (decoded), to be encoded on saving. */
    bool fresh;
    raiiaf_buffer payload;
    raiiaf_buffer stored; /* the chunk as the source has it, once it was read to be kept */
} rf_chunk;

#define RF_CREATED_MODEL_INFO 1u
#define RF_CREATED_SETTINGS 2u
#define RF_CREATED_HARDWARE 4u

struct raiiaf_file {
    raiiaf_source source; /* read_at NULL: a new file */
    /* A caller's read_at is called by one thread at a time: most seek, then read.  What is copied for a while locks the
       same. */
    pthread_mutex_t *reading;
    char *name;
    raiiaf_limits limits;
    rf_budget *budget;
    raiiaf_warning_callback warning;
    void *warning_user;

    raiiaf_layout layout;
    uint8_t header[RF_HEADER_MOST];
    size_t header_size;
    uint64_t table_offset, table_size; /* the stored manifest, chunk header and compression included */

    raiiaf_buffer kept; /* what the source looks at, where that is the file's own */

    rf_bytes text;
    rf_chunk *chunks;
    size_t chunk_count;

    bool edited;        /* saving has to write anew */
    bool image_changed; /* for the history */
    bool description_changed;
    bool settings_touched; /* settings may have become complete: looked at on saving */
    unsigned created;      /* RF_CREATED_*: objects that the caller made, and has to complete before saving */
    char image_before[RF_SHA256_HEX];        /* of the image as opened or joined; "" if none */
    char picture_before[RAIIAF_DIGEST_SIZE]; /* of the present picture, or of the last one where there is none now:
                                                its digest where known (from a capsule, from raiiaf_image_set) */
    bool picture_changed;
    char *image_record;    /* of a joined capsule without its image: the record that the next image takes over */
    size_t image_position; /* and its place in the array */
};

/* ---- capsule.c ---- */
#define RF_CAPSULE_WITH_IMAGE 4u /* for raiiaf_capsule_make: the image goes along, and none of its text is lost */

/* ---- io.c ---- */
raiiaf_status rf_source_read(const raiiaf_file *file, uint64_t offset, void *out, size_t size, const rf_where *where,
                             raiiaf_error *error);
/* A view where the source can give one, else a copy charged to the file's budget. */
raiiaf_status rf_source_fetch(const raiiaf_file *file, uint64_t offset, size_t size, raiiaf_buffer *out,
                              const rf_where *where, raiiaf_error *error);

/* ---- composite.c ---- */
/* A run of bytes of a file, and where they come from: memory, or (memory NULL) another source. */
typedef struct rf_segment {
    uint64_t start, size;
    const uint8_t *memory;
    uint64_t from;
} rf_segment;

/* A source put together from others. */
typedef struct rf_composite {
    raiiaf_source base; /* where segments come from that aren't memory */
    rf_bytes own;       /* memory of the composite's own */
    size_t count;
    rf_segment segments[];
} rf_composite;

int rf_segment_compare(const void *a, const void *b);
rf_composite *rf_composite_new(size_t most); /* room for so many segments; NULL: no memory */
void rf_composite_free(void *composite);     /* closes its base, too */
void rf_composite_add(rf_composite *c, uint64_t start, uint64_t size, const uint8_t *memory, uint64_t from);
bool rf_composite_sort(rf_composite *c); /* false where the segments leave gaps or overlap */
/* Takes over `base`.  Only good segments, sorted and without gap or overlap, make a source. */
raiiaf_source rf_composite_source(rf_composite *c, const raiiaf_source *base);

/* ---- file.c ---- */
/* Frees all that a file holds, but not the file itself. */
void rf_file_clear(raiiaf_file *file);
/* Reads `chunks`, which must be empty, from the text, and checks every record against the source. */
raiiaf_status rf_records_read(raiiaf_file *file, raiiaf_error *error);
void rf_warn(const raiiaf_file *file, raiiaf_status status, const char *id, const rf_where *where, const char *format,
             ...) RF_PRINTF(5, 6);
const char *rf_metadata_key(raiiaf_layout layout);
/* "LATN 3" into out; returns out. */
const char *rf_chunk_name(const raiiaf_file *file, size_t i, char out[32]);
/* Keeps chunk i as stored until the file is closed, so that it isn't read again. */
raiiaf_status rf_chunk_hold(raiiaf_file *file, size_t i, raiiaf_error *error);
/* Holds chunk i's payload, read unverified, against its hash. */
raiiaf_status rf_chunk_verify(const raiiaf_file *file, size_t i, const raiiaf_buffer *payload, raiiaf_error *error);
/* The first bytes of chunk i's payload: as many as `capacity`, or all; for the image probe. */
raiiaf_status rf_chunk_head(const raiiaf_file *file, size_t i, void *out, size_t capacity, size_t *got,
                            raiiaf_error *error);
/* Adds a chunk that isn't saved yet; takes over payload (also on failure).  extra is JSON text, "{...}". */
raiiaf_status rf_chunk_add(raiiaf_file *file, const char type[5], raiiaf_buffer *payload, const char *extra,
                           raiiaf_dtype dtype, unsigned rank, const uint32_t *shape, const char *key,
                           raiiaf_error *error);
/* Gives chunk i a new payload; its record keeps `extra` and whatever else it holds. */
raiiaf_status rf_chunk_replace(raiiaf_file *file, size_t i, raiiaf_buffer *payload, raiiaf_error *error);
/* Rewrites the text of every record in one pass; rewrite returns false to leave a record out of the text (the caller
   sees to `chunks`). */
raiiaf_status rf_records_rewrite(raiiaf_file *file, bool (*rewrite)(void *user, size_t i, rf_bytes *record), void *user,
                                 raiiaf_error *error);
/* Puts a record into the text of the array at place `at` of chunk_count, spaced like its neighbours. */
raiiaf_status rf_record_insert(raiiaf_file *file, size_t at, const rf_bytes *record, raiiaf_error *error);
raiiaf_status rf_latents_mark_stale(raiiaf_file *file, raiiaf_error *error);

/* ---- change.c ---- */
/* Takes back the text of a manifest that was shown and changed: as raiiaf_merge, and members that are gone from the
   text go from the file, except those that the library keeps. */
raiiaf_status rf_manifest_apply(raiiaf_file *file, const char *json, size_t size, raiiaf_error *error);

/* ---- manifest.c ---- */
rf_span rf_metadata(const raiiaf_file *file); /* the object under the metadata key, in file->text */
/* The value at a pointer from the metadata object. */
bool rf_find(const raiiaf_file *file, const char *pointer, rf_span *value);
/* Puts a JSON value at a pointer, creating objects on the way; no schema, no reserved places; marks nothing. */
raiiaf_status rf_put(raiiaf_file *file, const char *pointer, const char *json, size_t size, raiiaf_error *error);
raiiaf_status rf_drop(raiiaf_file *file, const char *pointer, raiiaf_error *error);
/* Appends a JSON value to the array at a pointer, creating it if need be. */
raiiaf_status rf_push(raiiaf_file *file, const char *pointer, const char *json, size_t size, raiiaf_error *error);
/* Before saving, on a copy's text: moves settings that the caller completed to generation_settings, fills a model_info
   that the caller began, and refuses what the caller left incomplete. */
raiiaf_status rf_settle(raiiaf_file *file, raiiaf_error *error);
/* An array's index, as RFC 6901 spells it: decimal, no leading zeros. */
bool rf_pointer_index(const char *token, size_t size, size_t *index);
/* Appends "/name", escaped. */
void rf_pointer_append(rf_bytes *pointer, const char *name, size_t size);

/* ---- settings.c ---- */
/* Where settings live, in the order of the search. */
#define RF_HOMES 4
extern const char *const rf_homes[RF_HOMES];
/* Finds a setting by its canonical name; `pointer` (may be NULL) becomes its place. */
bool rf_setting_find(const raiiaf_file *file, const char *name, rf_bytes *pointer, rf_span *value);

/* ---- pixels.c ---- */
#define RF_DIGEST_NAME "xxh3-128"
/* The form that a digest was taken in (width, height, channels, depth); false if it isn't one.  *hash is where its
   digits begin. */
bool rf_digest_form(const char *digest, uint32_t form[4], const char **hash);
/* Whether two digests tell of the same picture: the number of channels may differ, what they show doesn't. */
bool rf_pixels_same(const char *a, const char *b);
/* As raiiaf_pixels_of_image, in the form of another digest, which an image of another size doesn't have. */
raiiaf_status rf_pixels_of_image_like(const void *image, size_t size, const char *like, const raiiaf_limits *limits,
                                      char digest[RAIIAF_DIGEST_SIZE]);

/* ---- samples.c ---- */
/* Each pixel as R G B A, 16 bits. */
void rf_samples_gather(const raiiaf_samples *layout, const void *data, size_t pixels, uint16_t *out);

/* ---- environment.c ---- */
/* Checks an environment's form; what is wrong but tolerated goes to the file's warnings. */
raiiaf_status rf_environment_check(const raiiaf_file *file, const char *json, size_t size, const rf_where *where,
                                   raiiaf_error *error);

/* ---- carriers.c, keep.c ---- */
/* Appends Latin-1 text as UTF-8. */
void rf_bytes_latin1(rf_bytes *out, const void *text, size_t size);
/* Puts the former image's text into source.carriers, as far as `after` (may be NULL) doesn't carry it. */
raiiaf_status rf_carriers_keep(raiiaf_file *file, const void *before, size_t before_size, const void *after,
                               size_t after_size, raiiaf_error *error);

/* ---- capsule.c, cache.c ---- */
/* As raiiaf_capsule_join, with an image chunk that has been verified before. */
raiiaf_status rf_capsule_join_verified(raiiaf_file *capsule, const void *stored, size_t size, raiiaf_error *error);
/* As raiiaf_cache_put, without a copy where the bytes are a buffer of our own. */
raiiaf_status rf_cache_share(raiiaf_cache *cache, const char *key, const raiiaf_buffer *bytes);

/* ---- profile.c, embed.c ---- */
/* The text in which ImageMagick leaves a capsule. */
#define RF_PROFILE_KEYWORD "Raw profile type raiiaf"
/* The file's image as a PNG that holds the file. */
raiiaf_status rf_embed(const raiiaf_file *file, raiiaf_buffer *png, raiiaf_error *error);
/* The file that a PNG holds, with `image` as its own; NULL if it holds none.  As raiiaf_import. */
raiiaf_status rf_embedded(raiiaf_file **file, const void *image, size_t size, const raiiaf_import_options *import,
                          const raiiaf_open_options *options, raiiaf_error *error);

#ifdef __cplusplus
}
#endif

#endif
