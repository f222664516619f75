/* SPDX-License-Identifier: MIT */
/*
 * raiiaf.h - the public interface of libraiiaf, and the only header that a program needs.
 *
 * A .raiiaf file holds an image, the latent tensors that it grew from, the settings that made it and the
 * software that it was made on, each with its SHA-256.  doc/format.md tells the bytes; this page tells what
 * the library promises about them.
 *
 * One object stands for all of it.  A raiiaf_file is where bytes come from, the manifest (text as stored, plus
 * edits) and its chunks; opening makes one, a capsule is one, saving one without edits copies it.
 *
 * Conventions
 *   - Functions that can fail return a raiiaf_status and take a raiiaf_error as their last argument, which may
 *     be NULL.  On failure nothing that they were given has changed, and outputs are empty.
 *   - Text is UTF-8.  Numbers are read and written independent of the locale.
 *   - Tensors and files are little-endian; 16-bit pixel samples handed across this interface are native.
 *   - Functions that only read (const raiiaf_file *) may run at the same time on one file from several
 *     threads; everything else wants one thread at a time.
 *   - The library prints nothing, keeps no global state but its message catalogue, and never ends the process.
 */
#ifndef RAIIAF_H
#define RAIIAF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define RAIIAF_API __attribute__((visibility("default")))
#define RAIIAF_FORMAT_ARGUMENT(i) __attribute__((format_arg(i))) /* the result is a format if that argument is */
#else
#define RAIIAF_API
#define RAIIAF_FORMAT_ARGUMENT(i)
#endif

/* The version of the library in use, "1.0.0"; the string is static. */
RAIIAF_API const char *raiiaf_version(void);

/* A message in the language of LC_MESSAGES, UTF-8, or `text` itself: for plug-ins, whose messages are in this library's
   catalogue too. */
RAIIAF_API const char *raiiaf_translate(const char *text) RAIIAF_FORMAT_ARGUMENT(1);

/* ------------------------------------------------------------------------------------------- errors ---- */

typedef enum raiiaf_status {
    RAIIAF_OK = 0,
    RAIIAF_ERROR_ARGUMENT,    /* the caller asked for something that has no meaning */
    RAIIAF_ERROR_MEMORY,      /* the system gave no memory */
    RAIIAF_ERROR_IO,          /* reading or writing failed */
    RAIIAF_ERROR_FORMAT,      /* not a .raiiaf file at all */
    RAIIAF_ERROR_VERSION,     /* a .raiiaf file of a major version that this library doesn't read */
    RAIIAF_ERROR_DAMAGED,     /* a .raiiaf file that breaks the format's rules, truncation included */
    RAIIAF_ERROR_HASH,        /* a payload whose SHA-256 is not the recorded one */
    RAIIAF_ERROR_LOSSY,       /* as HASH, but the latent was stored lossily: see RAIIAF_READ_LOSSY */
    RAIIAF_ERROR_LIMIT,       /* larger than raiiaf_limits allow */
    RAIIAF_ERROR_MISSING,     /* the file holds no such chunk, member or image */
    RAIIAF_ERROR_SCHEMA,      /* a value that the schema refuses */
    RAIIAF_ERROR_UNSUPPORTED, /* a valid thing that this build can't handle, e.g. zfp missing at run time */
    RAIIAF_ERROR_CANCELLED    /* the progress callback asked to stop */
} raiiaf_status;

/* `offset` of an error that no byte of the file can be blamed for. */
#define RAIIAF_NO_OFFSET UINT64_MAX

typedef struct raiiaf_error {
    raiiaf_status status;
    const char *id;  /* stable name of the very error, e.g. "chunk-overlap"; static, never translated */
    char chunk[32];  /* where: "LATN 3" (the third record is 2), "manifest", "header", or "" */
    uint64_t offset; /* where, in bytes from the start of the file, or RAIIAF_NO_OFFSET */
    char text[1024]; /* one translated sentence with the file's name, what is wrong, where, and the way out */
} raiiaf_error;

/* Something that the format tolerates but a user should hear of (a contradiction between a record and a chunk
   header, an unknown environment version...).  `status` says what it would have been as an error.  Called from
   the thread that found it. */
typedef void (*raiiaf_warning_callback)(void *user, const raiiaf_error *warning);

/* ------------------------------------------------------------------------------------------- limits ---- */

/* Defaults.  Those marked (F) are the Python reference's own.  In raiiaf_limits 0 means unlimited. */
#define RAIIAF_LIMIT_FILE_SIZE (UINT64_C(10) << 30)     /* (F) */
#define RAIIAF_LIMIT_CHUNK_SIZE (UINT64_C(2) << 30)     /* (F) decoded payload */
#define RAIIAF_LIMIT_LATENT_ELEMENTS 100000000u         /* (F) */
#define RAIIAF_LIMIT_DIMENSION 8192u                    /* (F) each axis of a latent */
#define RAIIAF_LIMIT_CHUNKS 65536u                      /* (F) names 1000 but never enforces it; golden files pass it */
#define RAIIAF_LIMIT_MANIFEST_SIZE (UINT64_C(64) << 20) /* inflated; prompts of megabytes fit, a bomb doesn't */
#define RAIIAF_LIMIT_STREAM_SIZE (UINT64_C(2) << 30)    /* what a source without seeking may hold in memory */
/* All that is held for one file at one time: a largest chunk stored and decoded, and as much again to work. */
#define RAIIAF_LIMIT_MEMORY (UINT64_C(6) << 30)
#define RAIIAF_MAX_RANK 8    /* axes of a latent; fixed, as raiiaf_chunk_info shows them */
#define RAIIAF_MAX_DEPTH 256 /* nesting of the manifest; fixed: it bounds the stack */

typedef struct raiiaf_limits {
    uint64_t file_size;
    uint64_t chunk_size;
    uint64_t latent_elements;
    uint64_t dimension;
    uint64_t chunks;
    uint64_t manifest_size;
    uint64_t stream_size;
    uint64_t memory;
} raiiaf_limits;

RAIIAF_API void raiiaf_limits_default(raiiaf_limits *limits);

/* ------------------------------------------------------------------------------------------ buffers ---- */

/* Bytes handed to the caller: a copy, or a view into the source where that can give one.  data[size] is 0 for
   text (manifest, parameters, environment, decoded strings) and unspecified otherwise.  Free every buffer with
   raiiaf_buffer_free, before closing the file it came from; freeing an empty one ({0}) does nothing. */
typedef struct raiiaf_buffer {
    const uint8_t *data;
    size_t size;
    void *hold; /* the library's */
} raiiaf_buffer;

RAIIAF_API void raiiaf_buffer_free(raiiaf_buffer *buffer);

/* ---------------------------------------------------------------------------------- where bytes come from */

/* A random-access source of `size` bytes.
   read_at fills `buffer` with the `length` bytes at `offset`.  The library never asks beyond `size`.  It returns
   the number of bytes read; fewer than asked means that the file ended early, and -1 an error (errno tells, if
   it isn't 0).  For one file it is called by one thread at a time, though not always by the same.
   view (may be NULL; any threads) returns a pointer to those bytes, valid until close, or NULL.
   close (may be NULL) is called once, also when opening fails.  `name` is for messages and is copied. */
typedef struct raiiaf_source {
    void *user;
    const char *name;
    uint64_t size;
    int64_t (*read_at)(void *user, uint64_t offset, void *buffer, size_t length);
    const uint8_t *(*view)(void *user, uint64_t offset, size_t length);
    void (*close)(void *user);
} raiiaf_source;

/* A file of this system.  A pipe or another file that can't seek is read to its end into memory. */
RAIIAF_API raiiaf_status raiiaf_source_path(raiiaf_source *source, const char *path, const raiiaf_limits *limits,
                                            raiiaf_error *error);
/* `size` bytes that the caller keeps unchanged until the file is closed; `release` (may be NULL) is called then. */
RAIIAF_API void raiiaf_source_memory(raiiaf_source *source, const void *data, size_t size, const char *name,
                                     void (*release)(void *user), void *user);
/* Reads a stream once, to its end, into memory of at most limits->stream_size.  read returns the number of bytes
   read, 0 at the end, -1 for an error. */
RAIIAF_API raiiaf_status raiiaf_source_stream(raiiaf_source *source,
                                              int64_t (*read)(void *user, void *buffer, size_t length), void *user,
                                              const char *name, const raiiaf_limits *limits, raiiaf_error *error);
/* Closes a source that was not handed to raiiaf_open. */
RAIIAF_API void raiiaf_source_close(raiiaf_source *source);

/* -------------------------------------------------------------------------------------- where bytes go ---- */

/* write takes all `length` bytes, in file order, or returns false (errno tells, if it isn't 0).  Exactly one of
   commit and abort ends a sink; commit returns false when the data may not have reached its place.  The library
   has everything encoded before the first write. */
typedef struct raiiaf_sink {
    void *user;
    const char *name;
    bool (*write)(void *user, const void *data, size_t length);
    bool (*commit)(void *user);
    void (*abort)(void *user);
} raiiaf_sink;

/* A file of this system, replaced whole or not at all: temporary file beside it, fsync, rename.  A symbolic link
   is followed, permissions of a file that is replaced are kept.  A target that isn't a regular file (a pipe,
   /dev/stdout) is written to as it is. */
RAIIAF_API raiiaf_status raiiaf_sink_path(raiiaf_sink *sink, const char *path, raiiaf_error *error);
/* The same in two steps, for many files at once: after commit the file is complete but has no place yet, and *pending
   has to be placed or dropped; `path` tells whose folder it will be in, `mode` its permissions, less the umask.  Where
   it aborts, *pending is NULL. */
typedef struct raiiaf_pending raiiaf_pending;
RAIIAF_API raiiaf_status raiiaf_sink_pending(raiiaf_sink *sink, const char *path, unsigned mode,
                                             raiiaf_pending **pending, raiiaf_error *error);
/* Brings all of them to disk, which takes hardly longer than with one. */
RAIIAF_API raiiaf_status raiiaf_pending_sync(raiiaf_pending *const *pending, size_t count, raiiaf_error *error);
/* Gives a file its place.  The folder isn't synced: the caller does that, once for all that were placed there.  Without
   `replace`, the error's id is "exists" where something is there; after an error, the file still has no place. */
RAIIAF_API raiiaf_status raiiaf_pending_place(raiiaf_pending *pending, const char *path, bool replace,
                                              raiiaf_error *error);
RAIIAF_API void raiiaf_pending_drop(raiiaf_pending *pending); /* NULL is fine */
/* Memory: after commit `out` holds what was written. */
RAIIAF_API raiiaf_status raiiaf_sink_memory(raiiaf_sink *sink, raiiaf_buffer *out, raiiaf_error *error);

/* done and total count payload bytes, or all bytes of a file that is copied as it is.  Returning false asks to stop,
   with RAIIAF_ERROR_CANCELLED and nothing committed.  Called from one thread at a time. */
typedef bool (*raiiaf_progress_callback)(void *user, uint64_t done, uint64_t total);

/* ---------------------------------------------------------------------------------------------- files ---- */

typedef struct raiiaf_file raiiaf_file;

/* doc/format.md, 1.  The drafts of gen5 count as gen5. */
typedef enum raiiaf_layout {
    RAIIAF_LAYOUT_33 = 0,   /* "raiiaf-33": today's, and the one that is written */
    RAIIAF_LAYOUT_29,       /* "raiiaf-29" */
    RAIIAF_LAYOUT_GEN5_ZFP, /* "gen5-zfp" */
    RAIIAF_LAYOUT_GEN5      /* "gen5" */
} raiiaf_layout;

typedef struct raiiaf_open_options {
    const raiiaf_limits *limits;     /* NULL: the defaults */
    raiiaf_warning_callback warning; /* NULL: warnings are dropped */
    void *warning_user;
} raiiaf_open_options;

/* Opens a file from `source`, which the file then owns; it is closed also when opening fails.  Costs two reads,
   header and manifest; checks the header, the whole manifest and every record (ranges, sizes, overlaps, hash
   form), and decodes no payload.  options may be NULL. */
RAIIAF_API raiiaf_status raiiaf_open(raiiaf_file **file, const raiiaf_source *source,
                                     const raiiaf_open_options *options, raiiaf_error *error);
RAIIAF_API raiiaf_status raiiaf_open_path(raiiaf_file **file, const char *path, const raiiaf_open_options *options,
                                          raiiaf_error *error);
/* `size` bytes that stay unchanged until the file is closed. */
RAIIAF_API raiiaf_status raiiaf_open_memory(raiiaf_file **file, const void *data, size_t size, const char *name,
                                            const raiiaf_open_options *options, raiiaf_error *error);
/* A new file with nothing in it: required strings "", tags [], date from SOURCE_DATE_EPOCH, else now. */
RAIIAF_API raiiaf_status raiiaf_new(raiiaf_file **file, const raiiaf_open_options *options, raiiaf_error *error);
RAIIAF_API void raiiaf_close(raiiaf_file *file); /* NULL is fine */

/* Whether the first bytes of something are those of a .raiiaf or .gen5 file. */
#define RAIIAF_MAGIC_SIZE 6
RAIIAF_API bool raiiaf_is_magic(const void *head, size_t size);

RAIIAF_API const char *raiiaf_name(const raiiaf_file *file); /* its source's name; lives as long as the file */
RAIIAF_API raiiaf_layout raiiaf_layout_of(const raiiaf_file *file);
RAIIAF_API const char *raiiaf_layout_name(raiiaf_layout layout);
RAIIAF_API uint64_t raiiaf_file_size(const raiiaf_file *file); /* of the source; 0 for a new file */
/* Whether saving would write anything else than the bytes it was opened from. */
RAIIAF_API bool raiiaf_edited(const raiiaf_file *file);

/* --------------------------------------------------------------------------------------------- chunks ---- */

typedef enum raiiaf_dtype { RAIIAF_DTYPE_NONE = 0, RAIIAF_FLOAT32, RAIIAF_FLOAT16 } raiiaf_dtype;

typedef enum raiiaf_encoding {
    RAIIAF_ENCODING_RAW = 0, /* as it is */
    RAIIAF_ENCODING_ZSTD,    /* one zstd frame */
    RAIIAF_ENCODING_ZFP      /* a zfp stream: latents only */
} raiiaf_encoding;

/* What the record says of a chunk; nothing has been decoded for it.  Pointers live until the file changes. */
typedef struct raiiaf_chunk_info {
    char type[5];         /* "LATN", "DATA", "ENVC" or another, unknown one */
    uint64_t offset;      /* from the start of the file; 0 for a chunk that isn't saved yet */
    uint64_t stored_size; /* bytes in the file, chunk header included; 0 likewise */
    uint64_t size;        /* bytes of the payload */
    char sha256[65];      /* of the payload, lower-case hexadecimal; recorded, not verified */
    raiiaf_encoding encoding;
    const char *key;    /* latents: their key as text (7 as "7", null as "null", none as ""), NUL-terminated */
    raiiaf_dtype dtype; /* latents */
    unsigned rank;      /* latents: number of axes */
    uint32_t shape[RAIIAF_MAX_RANK]; /* latents: slowest axis first, as the tensor was given (NCHW or not) */
    bool stale;                      /* latents: the picture was edited since */
} raiiaf_chunk_info;

#define RAIIAF_NONE SIZE_MAX /* no such chunk */

RAIIAF_API size_t raiiaf_chunk_count(const raiiaf_file *file);
/* i < raiiaf_chunk_count, in the order of the manifest's array. */
RAIIAF_API void raiiaf_chunk_get(const raiiaf_file *file, size_t i, raiiaf_chunk_info *info);
/* The chunk that is the image (the last DATA), the environment (the last ENVC), or RAIIAF_NONE. */
RAIIAF_API size_t raiiaf_image_chunk(const raiiaf_file *file);
RAIIAF_API size_t raiiaf_environment_chunk(const raiiaf_file *file);
/* Latents are counted in the order of the array, from 0. */
RAIIAF_API size_t raiiaf_latent_count(const raiiaf_file *file);
RAIIAF_API size_t raiiaf_latent_chunk(const raiiaf_file *file, size_t n);
/* By key, else, if that is a decimal number, by count.  RAIIAF_NONE if neither fits. */
RAIIAF_API size_t raiiaf_latent_find(const raiiaf_file *file, const char *key_or_number);

/* Flags of raiiaf_chunk_read. */
#define RAIIAF_READ_LOSSY 1u /* hand out a lossily stored latent although its hash can't match */
/* Don't compute the hash: for a caller who has it done meanwhile, on another thread, by a second call without this
   flag. */
#define RAIIAF_READ_UNVERIFIED 2u

/* The payload, decoded and verified: raw tensor (C order, little-endian), image bytes, environment JSON. */
RAIIAF_API raiiaf_status raiiaf_chunk_read(const raiiaf_file *file, size_t i, unsigned flags, raiiaf_buffer *payload,
                                           raiiaf_error *error);
/* The chunk's bytes as the file has them, unverified: what raiiaf_capsule_join takes. */
RAIIAF_API raiiaf_status raiiaf_chunk_read_stored(const raiiaf_file *file, size_t i, raiiaf_buffer *stored,
                                                  raiiaf_error *error);
/* Decodes and verifies every known chunk and checks the environment's form; the first failure is the error.
   threads 0: one for each processor. */
RAIIAF_API raiiaf_status raiiaf_verify(const raiiaf_file *file, unsigned threads, raiiaf_progress_callback progress,
                                       void *user, raiiaf_error *error);

/* ---------------------------------------------------------------------------------------------- image ---- */

typedef enum raiiaf_image_format {
    RAIIAF_IMAGE_UNKNOWN = 0, /* verbatim bytes of some other kind */
    RAIIAF_IMAGE_PNG,
    RAIIAF_IMAGE_JPEG,
    RAIIAF_IMAGE_WEBP,
    RAIIAF_IMAGE_BMP
} raiiaf_image_format;

typedef struct raiiaf_image_info {
    raiiaf_image_format format;
    uint32_t width, height; /* pixels; 0 where they can't be told */
    unsigned depth;         /* bits per sample as the file has them: 1, 2, 4, 8, 16; of a palette, of its entries (8) */
    unsigned channels;      /* 1 gray, 2 gray alpha, 3 RGB, 4 RGBA (or CMYK JPEG); a palette counts as its colours,
                               transparency in tRNS as alpha */
    bool palette;
    bool alpha;
    bool cmyk;
    bool interlaced;
    bool keyed; /* the alpha isn't stored for each pixel: a colour, or entries of the palette, are transparent (tRNS) */
} raiiaf_image_info;

RAIIAF_API const char *raiiaf_image_format_name(raiiaf_image_format format); /* "PNG"; "unknown" */

/* Of the file's image, from the first bytes of its chunk: decodes no pixel and verifies nothing.
   RAIIAF_ERROR_MISSING if the file holds none. */
RAIIAF_API raiiaf_status raiiaf_image_probe(const raiiaf_file *file, raiiaf_image_info *info, raiiaf_error *error);
/* The same for a host that decodes the image by its own means: an image of an unknown format is an error too. */
RAIIAF_API raiiaf_status raiiaf_image_probe_known(const raiiaf_file *file, raiiaf_image_info *info,
                                                  raiiaf_error *error);
/* Warns, by the file's callback, if the image is damaged: for whoever copies it as it is stored, which looks at
   nothing.  Reads and verifies the whole chunk. */
RAIIAF_API void raiiaf_image_warn(const raiiaf_file *file);
/* Of the beginning of an image file; false if more bytes are needed than `size` (info then holds what is known so far).
   Never fails on other bytes: what it doesn't know has format RAIIAF_IMAGE_UNKNOWN. */
RAIIAF_API bool raiiaf_image_probe_memory(const void *head, size_t size, raiiaf_image_info *info);

/* Makes `data` (copied) the image, verbatim, in place of any former one.
   pixel_digest is the new picture's (see raiiaf_pixels_begin), or NULL: then the core decodes both if it can
   (PNG).  Where the picture isn't provably the former one, every latent is marked stale.  Text that the former
   image carried and the new one doesn't goes into the manifest (source.carriers), so that it isn't lost. */
RAIIAF_API raiiaf_status raiiaf_image_set(raiiaf_file *file, const void *data, size_t size, const char *pixel_digest,
                                          raiiaf_error *error);
/* Takes the image out (of several DATA chunks the last, so that the one before becomes the image); its text goes into
   the manifest likewise. */
RAIIAF_API raiiaf_status raiiaf_image_remove(raiiaf_file *file, raiiaf_error *error);

/* A text that an image file carries beside its pixels. */
typedef struct raiiaf_carrier {
    const char *kind;    /* "png:tEXt", "png:zTXt", "png:iTXt", "png:eXIf", "png:caBX", "png:comf", "jpeg:exif",
                            "jpeg:xmp", "jpeg:iptc", "jpeg:com", "jpeg:c2pa", "webp:exif", "webp:xmp", "webp:c2pa";
                            static */
    const char *keyword; /* PNG keyword as UTF-8, else "" */
    const uint8_t *data; /* the text or block itself, decompressed, in `encoding`; not NUL-terminated */
    size_t size;
    const char *encoding; /* "utf-8", "latin-1", or "base64" for bytes that are no text (data holds the bytes) */
} raiiaf_carrier;

/* Calls back for each carrier of an image file, in file order, until `callback` returns false.  `data` is the whole
   payload of a JPEG segment or WebP chunk, signatures included.  A damaged text is left out; damaged structure ends the
   walk silently, and what came before it still counts; checksums aren't looked at.  Text that inflates beyond
   limits->manifest_size is left out, and RAIIAF_ERROR_LIMIT returned in the end.  No pixel is decoded.  limits may be
   NULL. */
RAIIAF_API raiiaf_status raiiaf_carrier_each(const void *image, size_t size, const raiiaf_limits *limits,
                                             bool (*callback)(void *user, const raiiaf_carrier *carrier), void *user,
                                             raiiaf_error *error);

/* -------------------------------------------------------------------------------------- picture digest ---- */

/* The digest of a decoded picture: the same whichever host decoded it, and the same after any detour that kept the
   pixels.  It is no proof against forgery (XXH3-128); it only tells whether latents still belong to the picture.
   Form: "xxh3-128:WIDTHxHEIGHTxCHANNELSxDEPTH:32 hexadecimal digits"; channels and depth are the embedded image's
   (depth 8 also for 1, 2 and 4). */
#define RAIIAF_DIGEST_SIZE 96 /* of a buffer that takes any digest, NUL included */

typedef struct raiiaf_pixels raiiaf_pixels;

/* Begins a digest of a picture with these dimensions; channels 1 to 4, depth 8 or 16. */
RAIIAF_API raiiaf_status raiiaf_pixels_begin(raiiaf_pixels **pixels, uint32_t width, uint32_t height, unsigned channels,
                                             unsigned depth, raiiaf_error *error);
/* Begins one in the form of an earlier digest, to compare with it. */
RAIIAF_API raiiaf_status raiiaf_pixels_begin_like(raiiaf_pixels **pixels, const char *digest, raiiaf_error *error);
/* `count` pixels, top to bottom, left to right, each four native 16-bit samples R, G, B, A (gray in all three of
   R, G, B; alpha 65535 where there is none; C, M, Y, K for CMYK; an 8-bit sample v as v * 257).  A picture that
   the form can't express (alpha, colour or depth that it lacks) simply gives another digest. */
RAIIAF_API void raiiaf_pixels_update(raiiaf_pixels *pixels, const uint16_t *rgba, size_t count);
/* How a host's pixels lie in memory. */
typedef enum raiiaf_sample { RAIIAF_SAMPLES_8 = 0, RAIIAF_SAMPLES_16, RAIIAF_SAMPLES_FLOAT } raiiaf_sample;
typedef struct raiiaf_samples {
    raiiaf_sample type; /* uint8_t, uint16_t or float, which goes from 0 to 65535 too */
    unsigned stride;    /* samples from one pixel to the next */
    int channel[4];     /* where in a pixel R, G, B and A (or C, M, Y and K) are; A -1 where there is none */
    bool inverted;      /* the fourth counts the other way round: 0 is opaque */
    bool narrow;        /* round to 8 bits first, as an image file of that depth will */
} raiiaf_samples;
/* The same as raiiaf_pixels_update, of pixels in such a layout, and faster: for the usual ones, and where it is given
   many pixels at a time.  threads 0: one for each processor. */
RAIIAF_API void raiiaf_pixels_update_samples(raiiaf_pixels *pixels, const raiiaf_samples *layout, const void *data,
                                             size_t count, unsigned threads);
/* Ends it: writes the digest and frees `pixels`.  With fewer or more pixels than announced, or with digest NULL,
   nothing is written and false returned. */
RAIIAF_API bool raiiaf_pixels_end(raiiaf_pixels *pixels, char digest[RAIIAF_DIGEST_SIZE]);

/* A picture in a host's memory. `rows` gives `height` rows from row y on, at least the next call long, or NULL. */
typedef struct raiiaf_raster {
    raiiaf_samples samples;
    uint32_t width, height;
    unsigned threads; /* 0: one for each processor */
    const void *(*rows)(void *user, uint32_t y, uint32_t height);
    void *user;
} raiiaf_raster;
/* Its digest: of the channels and the depth of `like`, another digest, or where that is NULL, of those named. false
   without memory or rows. */
RAIIAF_API bool raiiaf_raster_digest(const raiiaf_raster *raster, const char *like, unsigned channels, unsigned depth,
                                     char digest[RAIIAF_DIGEST_SIZE]);
/* Whether run lengths, zlib's fastest strategy (Z_RLE), make about as small a PNG of it as its usual search; told from
   a few rows. */
RAIIAF_API bool raiiaf_raster_suits_runs(const raiiaf_raster *raster);

/* Of an image file that the core can decode by itself (PNG, by libpng). */
RAIIAF_API raiiaf_status raiiaf_pixels_of_image(const void *image, size_t size, const raiiaf_limits *limits,
                                                char digest[RAIIAF_DIGEST_SIZE], raiiaf_error *error);

/* -------------------------------------------------------------------------------------------- latents ---- */

/* Adds a tensor: 4 axes of 1 to 8192, float32 or float16, no NaN or infinity (the reference's rules), data in C
   order, little-endian, copied; its key unlike all others, which in the reference are a dictionary's.
   RAIIAF_ERROR_SCHEMA says which rule was broken. */
RAIIAF_API raiiaf_status raiiaf_latent_add(raiiaf_file *file, const char *key, const uint32_t *shape, unsigned rank,
                                           raiiaf_dtype dtype, const void *data, size_t size, raiiaf_error *error);
/* Removes chunk i, of whatever type. */
RAIIAF_API raiiaf_status raiiaf_chunk_remove(raiiaf_file *file, size_t i, raiiaf_error *error);

typedef struct raiiaf_statistics {
    double minimum, maximum, mean, deviation; /* of the finite elements (population deviation); 0 if there are none */
    uint64_t elements, nans, infinities;
} raiiaf_statistics;

/* Of a decoded tensor (raiiaf_chunk_read). */
RAIIAF_API raiiaf_status raiiaf_latent_statistics(const void *data, size_t size, raiiaf_dtype dtype,
                                                  raiiaf_statistics *statistics, raiiaf_error *error);

/* `count` elements of a decoded tensor as native floats; exact. */
RAIIAF_API void raiiaf_latent_widen(const void *data, size_t count, raiiaf_dtype dtype, float *floats);
/* Native floats as elements of a tensor: exact where they came from such elements, else the nearest float16. */
RAIIAF_API void raiiaf_latent_narrow(const float *floats, size_t count, raiiaf_dtype dtype, void *data);

/* Eight-bit RGB, rows from top to bottom without padding: width * height * 3 bytes. */
typedef struct raiiaf_picture {
    uint32_t width, height;
    raiiaf_buffer rgb;
} raiiaf_picture;

/* A picture of a tensor for people to look at: the last two axes are the raster; with exactly four channels the
   usual linear approximation of Stable Diffusion's decoder, else channels side by side in a grid, gray, stretched
   from the 1st to the 99th percentile.  Only the first item of a batch is shown.  Channels last are recognised where
   the last axis is at most 16 and the two before it are longer.  At most 4096 pixels a side: larger ones are thinned.
 */
RAIIAF_API raiiaf_status raiiaf_latent_preview(const raiiaf_chunk_info *info, const void *data, size_t size,
                                               raiiaf_picture *picture, raiiaf_error *error);
/* The same picture as a PNG file. */
RAIIAF_API raiiaf_status raiiaf_picture_png(const raiiaf_picture *picture, raiiaf_buffer *png, raiiaf_error *error);
RAIIAF_API void raiiaf_picture_free(raiiaf_picture *picture);

/* NumPy's .npy files.  Reads versions 1.0 to 3.0, little- and big-endian f4 and f2 and f8 (narrowed only when
   exact, else refused), C and Fortran order; `tensor` is C order, little-endian, a view where nothing had to be
   moved: keep `npy` while it lives.  f8 counts as float32 once read. */
RAIIAF_API raiiaf_status raiiaf_npy_read(const void *npy, size_t size, const char *name, raiiaf_dtype *dtype,
                                         unsigned *rank, uint32_t shape[RAIIAF_MAX_RANK], raiiaf_buffer *tensor,
                                         raiiaf_error *error);
/* The header that makes a tensor's bytes an .npy file (version 1.0): write it, then the tensor. */
RAIIAF_API raiiaf_status raiiaf_npy_header(raiiaf_dtype dtype, unsigned rank, const uint32_t *shape,
                                           raiiaf_buffer *header, raiiaf_error *error);

/* Writes a latent, chunk i, to `path` as an .npy file, whole or not at all; flags as of raiiaf_chunk_read. */
RAIIAF_API raiiaf_status raiiaf_npy_save(const raiiaf_file *file, size_t i, unsigned flags, const char *path,
                                         raiiaf_error *error);

/* ------------------------------------------------------------------------------------------- manifest ---- */

/* A place in the manifest is a path:
     "/model_info/prompt"    a JSON pointer (RFC 6901) from the metadata object, whichever key that has in this
                             layout; "/raiiaf_metadata/model_info/prompt" is the same place
     "seed"                  a setting by its canonical name, wherever it lives: see raiiaf_setting */

typedef enum raiiaf_json {
    RAIIAF_JSON_NULL,
    RAIIAF_JSON_BOOLEAN,
    RAIIAF_JSON_NUMBER, /* NaN, Infinity and -Infinity included */
    RAIIAF_JSON_STRING,
    RAIIAF_JSON_ARRAY,
    RAIIAF_JSON_OBJECT
} raiiaf_json;

/* A value as spelt in the manifest: a view, not NUL-terminated, until the file changes. */
typedef struct raiiaf_value {
    raiiaf_json type;
    const char *text;
    size_t size;
} raiiaf_value;

/* The manifest as it stands now: the stored text, to the byte, plus edits. A view until the file changes. */
RAIIAF_API void raiiaf_manifest_text(const raiiaf_file *file, const char **text, size_t *size);

/* false if there is no such place. */
RAIIAF_API bool raiiaf_get(const raiiaf_file *file, const char *path, raiiaf_value *value);
/* Calls back for each member (its name decoded) or element (its number) of the object or array at `pointer`,
   until `callback` returns false.  Of duplicate names the last alone.  false if there is no such place. */
RAIIAF_API bool raiiaf_each(const raiiaf_file *file, const char *pointer,
                            bool (*callback)(void *user, const char *name, const raiiaf_value *value), void *user);

/* A value for reading: strings decoded (lone surrogates become U+FFFD, U+0000 stays: size counts), all else as
   spelt. */
RAIIAF_API raiiaf_status raiiaf_value_text(const raiiaf_value *value, raiiaf_buffer *text, raiiaf_error *error);
/* false unless the value is an integer token that fits exactly. */
RAIIAF_API bool raiiaf_value_uint64(const raiiaf_value *value, uint64_t *number);
/* false unless the value is a number. */
RAIIAF_API bool raiiaf_value_double(const raiiaf_value *value, double *number);

/* Puts a JSON value at `path`, creating objects on the way; the rest of the manifest keeps its spelling.
   RAIIAF_ERROR_SCHEMA names JSON path and rule where the format's schema refuses the value, or where the library
   itself keeps the place (file_info, chunks, history, capsule). */
RAIIAF_API raiiaf_status raiiaf_set(raiiaf_file *file, const char *path, const char *json, size_t size,
                                    raiiaf_error *error);
/* The same from a text that a person typed: taken as the type that the schema wants at that place; where it says
   nothing, as the type of the present value, else a JSON value if it reads as one, else a string. */
RAIIAF_API raiiaf_status raiiaf_set_text(raiiaf_file *file, const char *path, const char *text, raiiaf_error *error);
/* Takes a member or element out; RAIIAF_ERROR_MISSING if it isn't there, RAIIAF_ERROR_SCHEMA if it is required. */
RAIIAF_API raiiaf_status raiiaf_unset(raiiaf_file *file, const char *path, raiiaf_error *error);
/* Takes over all members of a caller's metadata (a JSON object in the form of a manifest, with or without the
   outer key), except those that the library keeps. */
RAIIAF_API raiiaf_status raiiaf_merge(raiiaf_file *file, const char *json, size_t size, raiiaf_error *error);

/* One setting by its canonical name (prompt, negative_prompt, seed, steps, sampler, scheduler, cfg_scale,
   guidance, eta, model_name, model_hash, width, height, date...), wherever it lives: model_info, then
   generation_settings, then source.settings, then hardware_info. */
RAIIAF_API bool raiiaf_setting(const raiiaf_file *file, const char *name, raiiaf_value *value);
/* Every scalar of those four, by canonical name; deeper ones as "gpu.0.name".  A name that occurs twice comes
   once, as raiiaf_setting finds it. */
RAIIAF_API void raiiaf_setting_each(const raiiaf_file *file,
                                    bool (*callback)(void *user, const char *name, const raiiaf_value *value),
                                    void *user);

/* The same, each value as the text that a host shows for it. */
RAIIAF_API void raiiaf_text_each(const raiiaf_file *file,
                                 bool (*callback)(void *user, const char *name, const char *text), void *user);

/* Flags of raiiaf_text_apply. */
#define RAIIAF_TEXT_LOSSY 1u /* the text went through something that drops backslashes */

/* Takes back a text that a host showed, or that its user added: raiiaf_set_text, unless `shown` (the file as the host
   showed it, often `file` itself; NULL where nothing was shown) says the same.  Spaces at the end say nothing, nor does
   an empty text: hosts add the ones and lose the others. */
RAIIAF_API raiiaf_status raiiaf_text_apply(raiiaf_file *file, const raiiaf_file *shown, const char *name,
                                           const char *text, unsigned flags, raiiaf_error *error);
/* The same of all texts.  `each` hands them to `take`, in any order, and is called again while that helps those that
   need others.  On failure, the error is the first refused text's, and others may be set. */
typedef void (*raiiaf_text_taker)(void *taker, const char *name, const char *text);
RAIIAF_API raiiaf_status raiiaf_text_take(raiiaf_file *file, const raiiaf_file *shown, unsigned flags,
                                          void (*each)(void *user, raiiaf_text_taker take, void *taker), void *user,
                                          raiiaf_error *error);

/* The settings in the widely read "parameters" form: prompt, "Negative prompt: ...", "Steps: 20, Sampler: ...".
   RAIIAF_ERROR_MISSING if the file says nothing that could go there. */
RAIIAF_API raiiaf_status raiiaf_parameters(const raiiaf_file *file, raiiaf_buffer *text, raiiaf_error *error);

/* ---------------------------------------------------------------------------------------------- export ---- */

typedef enum raiiaf_export_form {
    RAIIAF_EXPORT_PARAMETERS = 0, /* raiiaf_parameters */
    /* One line: "dialect", "tool", the canonical fields (raiiaf_legacy_field) with null for what isn't known, and
       "extra", an object with all other settings under their own names. */
    RAIIAF_EXPORT_JSON,
    /* An XMP packet: dc:description and dc:subject, and of IPTC Photo Metadata 2025.1 (Iptc4xmpExt) DigitalSourceType,
       AIPromptInformation, AISystemUsed (the model, else the tool) and AISystemVersionUsed (the model's version, else
       its hash). */
    RAIIAF_EXPORT_XMP,
    /* A PNG that other tools read: the file's own, its chunks and pixels untouched, and "parameters" where it has none.
       The whole file goes with it: raiiaf_import makes the very same of it again, and where another program has changed
       the picture, a file with the new picture.  RAIIAF_ERROR_UNSUPPORTED if the image is no PNG. */
    RAIIAF_EXPORT_PNG
} raiiaf_export_form;

/* What is known of an image, in a form that other programs read. */
RAIIAF_API raiiaf_status raiiaf_export(const raiiaf_file *file, raiiaf_export_form form, raiiaf_buffer *out,
                                       raiiaf_error *error);

/* ---------------------------------------------------------------------------------------- environment ---- */

/* The environment chunk's JSON for the system that the program runs on, in the reference's canonical strings: os
   from uname; python, numpy, torch and its CUDA from the metadata of the active virtualenv ($VIRTUAL_ENV), conda
   environment ($CONDA_PREFIX) or system Python, without running it; GPUs from libnvidia-ml, loaded at run time
   ($RAIIAF_NVML names another library). What isn't installed is left out, as the reference does. */
RAIIAF_API raiiaf_status raiiaf_environment_capture(raiiaf_buffer *json, raiiaf_error *error);
/* Makes this JSON (as captured, checked for form) the file's environment; NULL takes it out. */
RAIIAF_API raiiaf_status raiiaf_environment_set(raiiaf_file *file, const char *json, size_t size, raiiaf_error *error);

typedef struct raiiaf_component {
    const char *id;        /* "torch" */
    const char *canonical; /* "name=torch;version=2.3.1;cuda=12.1" */
    const char *sha256;    /* as recorded */
} raiiaf_component;

/* Calls back for each component of an environment's JSON; RAIIAF_ERROR_DAMAGED where its form is broken. */
RAIIAF_API raiiaf_status raiiaf_environment_each(const char *json, size_t size,
                                                 bool (*callback)(void *user, const raiiaf_component *component),
                                                 void *user, raiiaf_error *error);
/* How `now` differs from `then` (two environments' JSON), in the reference's words, one difference a call (the first
   kind has three lines); none, no call. */
RAIIAF_API raiiaf_status raiiaf_environment_drift(const char *then, size_t then_size, const char *now, size_t now_size,
                                                  bool (*callback)(void *user, const char *component_id,
                                                                   const char *text),
                                                  void *user, raiiaf_error *error);

/* The same between a file and the system that the program runs on; none for a file without an environment. */
RAIIAF_API raiiaf_status raiiaf_drift_each(const raiiaf_file *file,
                                           bool (*callback)(void *user, const char *component_id, const char *text),
                                           void *user, raiiaf_error *error);

/* Parts of a file as texts to show, one line or more each, translated. */
typedef enum raiiaf_topic {
    RAIIAF_TOPIC_LATENT,      /* chunk i: key, element type, shape, statistics; decodes it */
    RAIIAF_TOPIC_ENVIRONMENT, /* its components, and how the system that the program runs on differs */
    RAIIAF_TOPIC_HISTORY
} raiiaf_topic;
RAIIAF_API raiiaf_status raiiaf_describe(const raiiaf_file *file, raiiaf_topic topic, size_t i, raiiaf_buffer *text,
                                         raiiaf_error *error);

/* -------------------------------------------------------------------------------------------- capsule ---- */

/* The capsule is what travels beside the pixels through a host: a valid file of the same layout without its image
   chunk, and with what is needed to put the very file together again.  Opened with raiiaf_open it is a file like
   any other. */

#define RAIIAF_CAPSULE_NO_LATENTS 1u /* leave them out: smaller, and final */
#define RAIIAF_CAPSULE_NO_CHUNKS 2u  /* manifest alone */

/* `pixel_digest` of the decoded image; NULL: the core computes it where it can. */
RAIIAF_API raiiaf_status raiiaf_capsule_make(const raiiaf_file *file, const char *pixel_digest, unsigned flags,
                                             raiiaf_buffer *capsule, raiiaf_error *error);
RAIIAF_API bool raiiaf_is_capsule(const raiiaf_file *file);
/* The digest of the picture that the capsule was made beside, or NULL; lives until the file changes. */
RAIIAF_API const char *raiiaf_capsule_digest(const raiiaf_file *file);
/* SHA-256 of the image bytes that it was made beside, or NULL. */
RAIIAF_API const char *raiiaf_capsule_image_sha256(const raiiaf_file *file);

/* Turns an opened capsule into the file that it came from.  With `stored`, the image chunk as
   raiiaf_chunk_read_stored gave it (kept unchanged by the caller until the file is closed), the result is, to the
   byte, the file that the capsule was made of, for as long as nothing is edited.  With stored NULL the image is
   missing, and raiiaf_image_set gives it a new one: digest, history and latents then refer to the former picture.
   RAIIAF_ERROR_HASH if `stored` isn't the chunk that the capsule was made beside. */
RAIIAF_API raiiaf_status raiiaf_capsule_join(raiiaf_file *capsule, const void *stored, size_t size,
                                             raiiaf_error *error);

/* The capsule that ImageMagick left in a PNG as a profile, which it drops itself on reading when it is large; empty if
   there is none.  limits may be NULL. */
RAIIAF_API raiiaf_status raiiaf_capsule_find(const void *image, size_t size, const raiiaf_limits *limits,
                                             raiiaf_buffer *capsule, raiiaf_error *error);

/* A host that can keep bytes by name beside its pixels, such as GIMP with its parasites.  put returns false if it
   can't; get gives what was put, or false if there is no such name; the bytes stay until release (may be NULL). */
typedef struct raiiaf_store {
    void *user;
    bool (*put)(void *user, const char *name, const void *data, size_t size);
    bool (*get)(void *user, const char *name, const void **data, size_t *size);
    void (*release)(void *user);
} raiiaf_store;

/* Puts all of a file that was opened into a store: "0-header", "1-LATN" and so on, which one behind the other are the
   file; each of at most `most` bytes (0: as long as it is).  "index" then names them in order, with their sizes; a
   store without one holds no file.  "manifest" is the manifest as plain JSON, for whoever wants to look or to change
   it. */
RAIIAF_API raiiaf_status raiiaf_store_keep(const raiiaf_file *file, const raiiaf_store *store, size_t most,
                                           raiiaf_error *error);
/* The file that is kept in a store; where its "manifest" was changed, the file is edited to say the same, as far as the
   library doesn't keep the place.  The bytes aren't copied: `release` is called when the file is closed, or at once
   where this fails.  RAIIAF_ERROR_MISSING if none is kept there.  `name` is for messages; options may be NULL. */
RAIIAF_API raiiaf_status raiiaf_store_open(raiiaf_file **file, const raiiaf_store *store, const char *name,
                                           const raiiaf_open_options *options, raiiaf_error *error);

/* Bytes by name, for a host that can't leave them on its images: the image chunk as stored, above all.  What was used
   longest ago goes first when all together are more than `limit` bytes (0: no limit); what was put last stays,
   whatever its size.  Any number of threads may use one cache. */
typedef struct raiiaf_cache raiiaf_cache;
RAIIAF_API raiiaf_status raiiaf_cache_new(raiiaf_cache **cache, uint64_t limit, raiiaf_error *error);
RAIIAF_API void raiiaf_cache_free(raiiaf_cache *cache); /* NULL is fine */
/* Keeps a copy of `data`, in place of what had that name. */
RAIIAF_API raiiaf_status raiiaf_cache_put(raiiaf_cache *cache, const char *key, const void *data, size_t size,
                                          raiiaf_error *error);
/* What has that name (nothing has the name NULL), or false and an empty buffer.  The bytes stay until the buffer is
   freed, even if the cache goes first. */
RAIIAF_API bool raiiaf_cache_get(raiiaf_cache *cache, const char *key, raiiaf_buffer *bytes);

/* For a host that decodes the image by its own means: gives its bytes at once and verifies them meanwhile, on another
   thread; until raiiaf_check_end, the bytes must stay, nothing else may be done with the file and nothing that came of
   the bytes be believed.  The image chunk as stored then lies in `cache` (may be NULL), by the SHA-256 of the image.
   doc/architecture.md ("A host, there and back") shows how all of the following go together. */
typedef struct raiiaf_check raiiaf_check;
RAIIAF_API raiiaf_status raiiaf_check_begin(raiiaf_check **check, raiiaf_file *file, raiiaf_cache *cache,
                                            raiiaf_buffer *image, raiiaf_error *error);
RAIIAF_API raiiaf_status raiiaf_check_end(raiiaf_check *check, raiiaf_error *error);

/* What a host leaves beside the pixels that it decoded: `beside`, a capsule of as much as `carry` says (empty: none),
   and a name, which goes into no file.  By that name `cache` has, where `beside` is less than the whole capsule, that
   one, else one of the manifest at least.  The name begins with 'a', 'm' or 'n', as `carry` does.
   Whether an image is unchanged is more than its pixels: its traits are whatever else its file would say of it, in a
   form of the host's own.  Here they are those of the image as the file gave it (NULL: unknown)... */
typedef enum raiiaf_carry { RAIIAF_CARRY_ALL = 0, RAIIAF_CARRY_MANIFEST, RAIIAF_CARRY_NONE } raiiaf_carry;
#define RAIIAF_ORIGIN_SIZE 32
RAIIAF_API raiiaf_status raiiaf_carry_make(const raiiaf_file *file, raiiaf_cache *cache, const char *pixel_digest,
                                           const void *traits, size_t size, raiiaf_carry carry, unsigned flags,
                                           raiiaf_buffer *beside, char origin[RAIIAF_ORIGIN_SIZE], raiiaf_error *error);

/* Back: *file is the capsule of an image that bears `beside` (NULL: nothing) and `origin` (NULL: nothing), the whole
   one where the cache still has it, or NULL.  Then *shown is what the image showed of it when it was read, where that
   is known.  `stripped` says that the image was meant to bear nothing any more.  `beside` has to stay until *file is
   closed. */
RAIIAF_API raiiaf_status raiiaf_carry_open(raiiaf_cache *cache, const char *origin, const void *beside, size_t size,
                                           bool stripped, const char *name, raiiaf_file **file, raiiaf_file **shown,
                                           raiiaf_error *error);
/* ...and at writing, raiiaf_capsule_join with the image chunk that raiiaf_check_begin left in the cache.  *unchanged
   tells whether that is the picture of this digest and these traits (NULL: it isn't, whatever they are), so that
   nothing has to be done; else raiiaf_image_set comes next. */
RAIIAF_API raiiaf_status raiiaf_capsule_unite(raiiaf_file *capsule, raiiaf_cache *cache, const char *digest,
                                              const void *traits, size_t size, bool *unchanged, raiiaf_error *error);

/* ----------------------------------------------------------------------------------------------- save ---- */

typedef struct raiiaf_save_options {
    const char *tool; /* for the history: "ImageMagick 7.1.1-43"; NULL: no entry */
    const char *date; /* for the history, ISO 8601; NULL: SOURCE_DATE_EPOCH, else now */
    bool float16;     /* narrow added and kept float32 latents to float16: lossy, and said so */
    bool drop_latents;
    bool repack;      /* try every encoding that the reference reads for every payload, and keep the smallest */
    unsigned threads; /* 0: one for each processor */
    raiiaf_progress_callback progress;
    void *progress_user;
} raiiaf_save_options;

/* Writes the file.  Nothing edited: the very bytes it was opened from.  Edited: layout raiiaf-33, chunks that didn't
   change as stored, one history entry if `tool` is given and image or description of a file that was opened really
   changed.  The file itself stays as it was and may be saved again.  options may be NULL.  The sink is always ended. */
RAIIAF_API raiiaf_status raiiaf_save(const raiiaf_file *file, const raiiaf_sink *sink,
                                     const raiiaf_save_options *options, raiiaf_error *error);
RAIIAF_API raiiaf_status raiiaf_save_path(const raiiaf_file *file, const char *path, const raiiaf_save_options *options,
                                          raiiaf_error *error);
RAIIAF_API raiiaf_status raiiaf_save_memory(const raiiaf_file *file, raiiaf_buffer *out,
                                            const raiiaf_save_options *options, raiiaf_error *error);

/* ----------------------------------------------------------------------------------------------- legacy ---- */

/* What image generators wrote into their PNG, JPEG and WebP files before there was this format, each in its own way (a
   "dialect"), by the drivers in plugins/legacy. */

/* Files beside an image that is a file itself: raiiaf_source_beside may be raiiaf_import_options.sidecar, with one of
   these as its user. */
typedef struct raiiaf_beside {
    const char *path;                   /* the image's */
    bool (*may_read)(const char *path); /* asked before a file beside it is read; NULL: yes */
} raiiaf_beside;
RAIIAF_API bool raiiaf_source_beside(void *beside, const char *name, raiiaf_source *source);

typedef struct raiiaf_import_options {
    const char *file_name; /* the image's, with or without folders: some tools put the prompt there; NULL: unknown */
    int64_t modified;      /* the image's time stamp in seconds since 1970; negative: unknown */
    const char *dialect;   /* ask this driver alone; NULL: all */
    /* raiiaf_import: the file that the image was made from, where that isn't the image itself; what it tells counts
       then, and its text that the image doesn't carry is kept. */
    const void *original;
    size_t original_size;
    bool borrowed; /* raiiaf_import: the image stays as it is until the file is closed, which needs no copy then */
    /* Gives a file beside the image, by its name without a folder: fills `source` (raiiaf_source_path) and returns
       true, or returns false if there is none.  The library reads it and closes it.  NULL: nothing lies beside. */
    bool (*sidecar)(void *user, const char *name, raiiaf_source *source);
    void *sidecar_user;
} raiiaf_import_options;

/* What was recognised in an image. */
typedef struct raiiaf_legacy raiiaf_legacy;

/* Looks for an image's prompt and settings.  Of GIF, AVIF, video and whatever else isn't PNG, JPEG or WebP,
   RAIIAF_ERROR_UNSUPPORTED tells the name (id "image-unsupported", of what is no picture "image-unknown").  An image in
   which nothing is recognised is none: it has no dialect.  No pixel is decoded, but where nothing else speaks: then the
   first ones of a PNG, which may hide text in their lowest bits.  Text that takes more than the limits is left out,
   with a warning.  `image` must stay as it is until raiiaf_legacy_free.  import and options may be NULL. */
RAIIAF_API raiiaf_status raiiaf_scan(raiiaf_legacy **legacy, const void *image, size_t size,
                                     const raiiaf_import_options *import, const raiiaf_open_options *options,
                                     raiiaf_error *error);
RAIIAF_API void raiiaf_legacy_free(raiiaf_legacy *legacy); /* NULL is fine; all that follows lives until then */

RAIIAF_API const char *raiiaf_legacy_dialect(const raiiaf_legacy *legacy); /* "invokeai-v3", or NULL */
RAIIAF_API const char *raiiaf_legacy_tool(const raiiaf_legacy *legacy);    /* "InvokeAI 6.10.0", or NULL */
/* A canonical field or a setting of the tool's own, as JSON; false if it isn't known. */
RAIIAF_API bool raiiaf_legacy_get(const raiiaf_legacy *legacy, const char *name, raiiaf_value *value);
/* Calls back for each setting that is no canonical field, under the tool's own name. */
RAIIAF_API void raiiaf_legacy_extra_each(const raiiaf_legacy *legacy,
                                         bool (*callback)(void *user, const char *name, const raiiaf_value *value),
                                         void *user);
/* The canonical fields: prompt, negative_prompt, seed, steps, sampler, scheduler, cfg_scale, guidance, eta, model_name,
   model_hash, width, height, date, tags.  NULL beyond the last. */
RAIIAF_API const char *raiiaf_legacy_field(size_t i);

/* Calls back for each carrier, in file order, then for companion files and hidden text that a driver made use of (kinds
   "sidecar" and "stealth"); `sha256` is of its data. */
RAIIAF_API void
raiiaf_legacy_carrier_each(const raiiaf_legacy *legacy,
                           bool (*callback)(void *user, const raiiaf_carrier *carrier, const char *sha256), void *user);
/* The same carriers decoded, UTF-8: an Exif or IPTC block gives each text in it, by tag. */
RAIIAF_API void raiiaf_legacy_text_each(const raiiaf_legacy *legacy,
                                        bool (*callback)(void *user, const char *kind, const char *keyword,
                                                         const char *text, size_t size),
                                        void *user);

/* A new file around an image file that some other tool wrote: its bytes become the image, verbatim, and what
   raiiaf_scan recognises the manifest (doc/format.md, 9).  Where nothing is recognised, there is just no more to tell:
   that is no error.  A PNG that holds a whole file, by raiiaf_export or left by ImageMagick, becomes that file again,
   unless a dialect was asked for.  import and options may be NULL. */
RAIIAF_API raiiaf_status raiiaf_import(raiiaf_file **file, const void *image, size_t size,
                                       const raiiaf_import_options *import, const raiiaf_open_options *options,
                                       raiiaf_error *error);

typedef struct raiiaf_dialect {
    const char *name;  /* "invokeai-v3" */
    const char *title; /* "InvokeAI 3 and later" */
    const char *home;  /* where the tool lives */
    const char *reads; /* what of an image is read: "PNG invokeai_metadata, invokeai_graph" */
} raiiaf_dialect;

/* The drivers, in order of priority. */
RAIIAF_API size_t raiiaf_dialect_count(void);
RAIIAF_API void raiiaf_dialect_get(size_t i, raiiaf_dialect *dialect); /* i < raiiaf_dialect_count */

#ifdef __cplusplus
}
#endif

#endif
