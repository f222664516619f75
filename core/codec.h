/* SPDX-License-Identifier: MIT */
/*
 * codec.h - the two compressions that the format uses.  Knows sizes and bytes, nothing of chunks.
 */
#ifndef RAIIAF_CODEC_H
#define RAIIAF_CODEC_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- zstd (zstd.c) ---- */

#define RF_ZSTD_LEVEL 3       /* the reference's own, and zstd's default */
#define RF_ZSTD_LEVEL_BEST 19 /* for repacking: the highest that needs no unusual window */

/* The content size that the first frame of `data` declares; fails where the data doesn't begin with a data frame or
   that frame doesn't say. */
raiiaf_status rf_zstd_content_size(const void *data, size_t size, uint64_t *content, const rf_where *where,
                                   raiiaf_error *error);
/* Decodes the first frame into exactly `capacity` bytes; anything else is an error. */
raiiaf_status rf_zstd_decode(const void *data, size_t size, void *out, size_t capacity, const rf_where *where,
                             raiiaf_error *error);
/* Decodes as much of the first frame's beginning as `data` (cut anywhere) and `capacity` allow; *got tells how much. */
raiiaf_status rf_zstd_decode_head(const void *data, size_t size, void *out, size_t capacity, size_t *got,
                                  const rf_where *where, raiiaf_error *error);
/* One frame of head and body together, content size declared.  Deterministic. */
raiiaf_status rf_zstd_encode(const void *head, size_t head_size, const void *body, size_t body_size, int level,
                             raiiaf_buffer *out, raiiaf_error *error);
/* About how many bytes encoding would save, told from samples; false where that isn't cheaper than doing it. */
bool rf_zstd_saves(const void *data, size_t size, int level, size_t *saved);
/* What makes of `base` the bytes in `data`: little where they have much in common. */
raiiaf_status rf_zstd_encode_delta(const void *base, size_t base_size, const void *data, size_t size,
                                   raiiaf_buffer *delta, raiiaf_error *error);
/* Makes them of it again, exactly `capacity`; anything else is an error. */
raiiaf_status rf_zstd_decode_delta(const void *base, size_t base_size, const void *delta, size_t delta_size, void *out,
                                   size_t capacity, raiiaf_error *error);

/* ---- zfp (zfp.c): libzfp is loaded when first needed, kept apart from symbols of the host ---- */

/* Decodes a stream with a full header into `elements` floats (native order).  *lossy tells whether its header says a
   lossy mode.  Fails where scalar type or number of elements differ, or the stream is cut; libzfp reads nothing beyond
   `size`. */
raiiaf_status rf_zfp_decode(const void *data, size_t size, uint64_t elements, float *out, bool *lossy,
                            const rf_where *where, raiiaf_error *error);
/* Encodes reversibly, with a full header, as a field of 2 or 3 dimensions (nx the fastest axis; nz 0 for 2-D).
   At most `most` bytes: if the stream would be larger, or the field has axes too long for zfp's header, out stays empty
   and RAIIAF_OK is returned. */
raiiaf_status rf_zfp_encode(const float *data, size_t nx, size_t ny, size_t nz, size_t most, raiiaf_buffer *out,
                            raiiaf_error *error);
/* Whether libzfp can be had here. */
bool rf_zfp_available(raiiaf_error *error);

/* ---- float16 (half.c) ---- */

void rf_half_to_float(const void *halves, size_t count, float *out); /* little-endian in, native out; exact */
/* Rounds to nearest even, as NumPy does; values beyond 65504 become infinity. */
void rf_float_to_half(const float *floats, size_t count, void *out);
/* `count` elements of a tensor (little-endian) as native floats. */
void rf_load_floats(const void *data, size_t count, raiiaf_dtype dtype, float *out);
/* Bytes of an element; 0 for RAIIAF_DTYPE_NONE. */
size_t rf_element_size(raiiaf_dtype dtype);

#ifdef __cplusplus
}
#endif

#endif
