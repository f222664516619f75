/* SPDX-License-Identifier: MIT */
/*
 * zfp.c - zfp streams through libzfp, which is loaded when the first latent needs it.
 *
 * It is never linked: libzfp and libcfitsio export the same names (stream_open and more), and in a host that loads both
 * (GDAL, libvips) zfp would call cfitsio's.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "codec.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zfp.h>

#define LIBRARY "libzfp.so.1"
#ifndef RTLD_DEEPBIND
#define RTLD_DEEPBIND 0
#endif

/* Only types come from zfp.h; this is everything that is called. */
#define FUNCTIONS(each)                                                                                                \
    each(stream_open);                                                                                                 \
    each(stream_close);                                                                                                \
    each(zfp_stream_open);                                                                                             \
    each(zfp_stream_close);                                                                                            \
    each(zfp_stream_set_bit_stream);                                                                                   \
    each(zfp_stream_set_reversible);                                                                                   \
    each(zfp_stream_maximum_size);                                                                                     \
    each(zfp_stream_compression_mode);                                                                                 \
    each(zfp_stream_params);                                                                                           \
    each(zfp_field_alloc);                                                                                             \
    each(zfp_field_free);                                                                                              \
    each(zfp_field_set_pointer);                                                                                       \
    each(zfp_field_set_type);                                                                                          \
    each(zfp_field_set_size_2d);                                                                                       \
    each(zfp_field_set_size_3d);                                                                                       \
    each(zfp_field_type);                                                                                              \
    each(zfp_field_size);                                                                                              \
    each(zfp_field_blocks);                                                                                            \
    each(zfp_read_header);                                                                                             \
    each(zfp_write_header);                                                                                            \
    each(zfp_compress);                                                                                                \
    each(zfp_decompress)

#define POINTER(name) __typeof__(&name) name
static struct {
    FUNCTIONS(POINTER);
} zfp;

static pthread_mutex_t zfp_mutex = PTHREAD_MUTEX_INITIALIZER;
static bool zfp_loaded;

#define STREAM_WORD 8

/* What zfp_read_header looks at: 148 bits, in whole words. */
#define HEADER_BYTES 24

/* No block of a stream takes more bits: zfp's own bound is 16658, and 15 bits hold a header's minimum for a block. */
#define BLOCK_BITS_MOST 32768

/* Fills `reason` where it fails; the next latent tries again, since memory may have been short. */
static bool load(char *reason, size_t size)
{
    /* DEEPBIND makes zfp call its own functions whatever else the host has loaded; the run-time libraries of sanitizers
       end the process when they see it. */
    int flags = RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND;
    if (dlsym(RTLD_DEFAULT, "__sanitizer_set_death_callback"))
        flags &= ~RTLD_DEEPBIND;
    void *library = dlopen(LIBRARY, flags);
    bool complete = library;
#define FIND(name) complete = complete && (*(void **)&zfp.name = dlsym(library, #name))
    FUNCTIONS(FIND);
#undef FIND
    if (complete)
        return true;
    const char *text = dlerror();
    snprintf(reason, size, "%s", text ? text : LIBRARY);
    if (library)
        dlclose(library);
    return false;
}

static raiiaf_status need_zfp(const rf_where *where, raiiaf_error *error)
{
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
    /* libzfp's streams are made of words in the order of the machine. */
    return rf_fail(error, RAIIAF_ERROR_UNSUPPORTED, "zfp-missing", where,
                   _("zfp latents can't be handled on a big-endian machine"));
#endif
    char reason[256];
    pthread_mutex_lock(&zfp_mutex);
    zfp_loaded = zfp_loaded || load(reason, sizeof reason);
    bool loaded = zfp_loaded;
    pthread_mutex_unlock(&zfp_mutex);
    if (loaded)
        return RAIIAF_OK;
    return rf_fail(error, RAIIAF_ERROR_UNSUPPORTED, "zfp-missing", where,
                   _("a zfp latent needs libzfp, which can't be loaded (%s); install the package libzfp1 or, from "
                     "Debian 13 on, libzfp1t64"),
                   reason);
}

bool rf_zfp_available(raiiaf_error *error)
{
    return need_zfp(NULL, error) == RAIIAF_OK;
}

/* A zfp stream and what it works on; each part may be NULL. */
typedef struct work {
    zfp_stream *stream;
    zfp_field *field;
    bitstream *bits;
    void *memory;
} work;

static void close_work(work *w)
{
    if (w->bits)
        zfp.stream_close(w->bits);
    if (w->field)
        zfp.zfp_field_free(w->field);
    if (w->stream)
        zfp.zfp_stream_close(w->stream);
    free(w->memory);
}

static bool open_work(work *w)
{
    *w = (work){.stream = zfp.zfp_stream_open(NULL), .field = zfp.zfp_field_alloc()};
    return w->stream && w->field;
}

static bool set_bits(work *w, void *memory, size_t size)
{
    if (w->bits)
        zfp.stream_close(w->bits);
    w->bits = zfp.stream_open(memory, size);
    if (w->bits)
        zfp.zfp_stream_set_bit_stream(w->stream, w->bits);
    return w->bits;
}

static raiiaf_status fail_cut(const rf_where *where, raiiaf_error *error)
{
    return rf_fail(error, RAIIAF_ERROR_DAMAGED, "zfp-data", where, _("the zfp stream is damaged or cut short"));
}

/* Reads the header off a padded copy, since libzfp reads past the end of a cut one, and tells how many bytes of
   memory the stream needs behind it: see rf_zfp_decode. */
static raiiaf_status read_header(work *w, const void *data, size_t size, uint64_t elements, uint64_t *padded,
                                 const rf_where *where, raiiaf_error *error)
{
    uint64_t head[HEADER_BYTES / 8] = {0};
    memcpy(head, data, size < sizeof head ? size : sizeof head);
    if (!set_bits(w, head, sizeof head))
        return rf_fail_memory(error, where ? where->name : NULL);
    size_t header_bits = zfp.zfp_read_header(w->stream, w->field, ZFP_HEADER_FULL);
    if (!header_bits)
        return rf_fail(error, RAIIAF_ERROR_DAMAGED, "zfp-header", where, _("no zfp header begins here"));
    if (zfp.zfp_field_type(w->field) != zfp_type_float)
        return rf_fail(error, RAIIAF_ERROR_DAMAGED, "zfp-type", where,
                       _("the zfp stream holds numbers of another type than float"));
    size_t found = zfp.zfp_field_size(w->field, NULL);
    if (found != elements)
        return rf_fail(error, RAIIAF_ERROR_DAMAGED, "zfp-size", where,
                       _("the zfp stream holds %zu elements where the shape has %llu"), found,
                       (unsigned long long)elements);
    unsigned least;
    zfp.zfp_stream_params(w->stream, &least, NULL, NULL, NULL);
    uint64_t block_bits;
    if (!rf_multiply(zfp.zfp_field_blocks(w->field), least ? least : 1, &block_bits) ||
        header_bits > size * UINT64_C(8) || block_bits > size * UINT64_C(8) - header_bits)
        return fail_cut(where, error);
    *padded = size + (block_bits + BLOCK_BITS_MOST) / 8 + 2 * STREAM_WORD;
    return RAIIAF_OK;
}

/* libzfp doesn't look where its input ends.  It gets a copy with zeros behind: enough for the block that the end cuts,
   and for those after it, each of which is an empty one there and takes the least number of bits that the header wants.
   (zfp_stream_maximum_size would not do: it bounds what libzfp writes, not what a made-up header makes it read.) */
raiiaf_status rf_zfp_decode(const void *data, size_t size, uint64_t elements, float *out, bool *lossy,
                            const rf_where *where, raiiaf_error *error)
{
    *lossy = false;
    raiiaf_status status = need_zfp(where, error);
    if (status)
        return status;
    work w;
    uint64_t padded = 0;
    if (!open_work(&w)) {
        status = rf_fail_memory(error, where ? where->name : NULL);
        goto done;
    }
    status = read_header(&w, data, size, elements, &padded, where, error);
    if (status)
        goto done;
    *lossy = zfp.zfp_stream_compression_mode(w.stream) != zfp_mode_reversible;
    w.memory = padded < SIZE_MAX ? malloc((size_t)padded) : NULL;
    if (!w.memory || !set_bits(&w, w.memory, (size_t)padded)) {
        status = rf_fail_memory(error, where ? where->name : NULL);
        goto done;
    }
    memcpy(w.memory, data, size);
    memset((uint8_t *)w.memory + size, 0, (size_t)padded - size);
    zfp.zfp_field_set_pointer(w.field, out);
    zfp.zfp_read_header(w.stream, w.field, ZFP_HEADER_FULL);
    size_t used = zfp.zfp_decompress(w.stream, w.field);
    if (used == 0 || used > size)
        status = fail_cut(where, error);
done:
    close_work(&w);
    return status;
}

raiiaf_status rf_zfp_encode(const float *data, size_t nx, size_t ny, size_t nz, size_t most, raiiaf_buffer *out,
                            raiiaf_error *error)
{
    *out = (raiiaf_buffer){0};
    raiiaf_status status = need_zfp(NULL, error);
    if (status)
        return status;
    work w;
    if (!open_work(&w)) {
        status = rf_fail_memory(error, NULL);
        goto done;
    }
    zfp.zfp_field_set_type(w.field, zfp_type_float);
    zfp.zfp_field_set_pointer(w.field, (void *)(uintptr_t)data); /* only read */
    if (nz)
        zfp.zfp_field_set_size_3d(w.field, nx, ny, nz);
    else
        zfp.zfp_field_set_size_2d(w.field, nx, ny);
    zfp.zfp_stream_set_reversible(w.stream);
    size_t capacity = zfp.zfp_stream_maximum_size(w.stream, w.field);
    w.memory = malloc(capacity ? capacity : 1);
    if (!w.memory || !set_bits(&w, w.memory, capacity)) {
        status = rf_fail_memory(error, NULL);
        goto done;
    }
    size_t written = zfp.zfp_write_header(w.stream, w.field, ZFP_HEADER_FULL);
    size_t size = written ? zfp.zfp_compress(w.stream, w.field) : 0;
    /* size is 0 where the shape doesn't fit into zfp's header (24 bits an axis in 2-D, 16 in 3-D) */
    if (size > 0 && size <= most) {
        /* a copy of the right size: the working memory is larger than the tensor, and the next one uses it again */
        status = rf_buffer_new(out, size, NULL, NULL, error);
        if (!status)
            memcpy(rf_buffer_data(out), w.memory, size);
    }
done:
    close_work(&w);
    return status;
}
