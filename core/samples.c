/* SPDX-License-Identifier: MIT */
/*
 * samples.c - what the picture digest hashes: four samples a pixel, R G B A, at the depth of the form: at 16 the
 * samples as they come (little-endian), at 8 the one byte that an 8-bit sample v * 257 stands for.  So gray, alpha and
 * colour that the form lacks need no case of their own: they change the hash.  Only depth does: from the first sample
 * on that a byte can't express, whole 16-bit pixels are hashed after a marker, wherever the calls were cut.
 *
 * A picture of more than one band of BAND pixels is hashed band by band, and the hash of their hashes is its own: bands
 * can be worked on at the same time.  Every host pays for all this at every picture that it opens, so the usual layouts
 * of 8-bit pictures have a way of their own, which the compiler can vectorise.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define BAND ((size_t)1 << 16)
#define BANDS_WORTH_THREADS 8 /* fewer take less time than threads take to start */
#define BLOCK 1024            /* pixels at a time: what is made of them stays in the first-level cache */
#define RUN 64                /* samples that a compiler may take at once: a loop of fixed length needs no remainder */
#define OPAQUE 0xFF000000u

/* What is compiled twice: for every processor, and for those whose registers hold twice as much. */
#if defined(__x86_64__) && defined(__GNUC__)
#define WIDE __attribute__((target("avx2")))
#define has_wide_registers() (__builtin_cpu_supports("avx2") != 0)
#define EITHER static inline __attribute__((always_inline))
#else
#define WIDE
#define has_wide_registers() false
#define EITHER static inline
#endif

/* A band being hashed. */
typedef struct band {
    XXH3_state_t *state;
    unsigned depth;
    bool deep; /* a sample came that 8 bits can't express */
} band;

struct raiiaf_pixels {
    uint32_t width, height;
    unsigned channels, depth;
    uint64_t left; /* pixels still to come */
    bool overrun;  /* more came */
    size_t room;   /* of the band at hand */
    band band;
    XXH3_state_t *bands; /* the bands' hashes */
};

raiiaf_status raiiaf_pixels_begin(raiiaf_pixels **out, uint32_t width, uint32_t height, unsigned channels,
                                  unsigned depth, raiiaf_error *error)
{
    *out = NULL;
    rf_error_clear(error);
    if (!width || !height || channels < 1 || channels > 4 || (depth != 8 && depth != 16))
        return rf_fail(error, RAIIAF_ERROR_ARGUMENT, "digest-form", RF_NAME(NULL),
                       _("a picture of %u by %u pixels, %u channels and %u bits has no digest"), width, height,
                       channels, depth);
    raiiaf_pixels *pixels = calloc(1, sizeof *pixels);
    XXH3_state_t *state = XXH3_createState(), *bands = XXH3_createState();
    if (!pixels || !state || !bands) {
        free(pixels);
        XXH3_freeState(state);
        XXH3_freeState(bands);
        return rf_fail_memory(error, NULL);
    }
    XXH3_128bits_reset(state);
    XXH3_128bits_reset(bands);
    *pixels = (raiiaf_pixels){.width = width,
                              .height = height,
                              .channels = channels,
                              .depth = depth,
                              .left = (uint64_t)width * height,
                              .room = BAND,
                              .band = {.state = state, .depth = depth},
                              .bands = bands};
    *out = pixels;
    return RAIIAF_OK;
}

/* ---- from samples to bytes ---- */

static uint16_t from_float(float sample)
{
    return (uint16_t)((sample > 0 ? sample < 65535 ? sample : 65535 : 0) + 0.5f);
}

/* The bytes that 8-bit samples v * 257 stand for; false if there is another sample among them. */
EITHER bool narrow16(const uint16_t *restrict samples, size_t count, uint8_t *restrict out)
{
    unsigned bad = 0;
    size_t i = 0;
    for (; count - i >= RUN; i += RUN) {
        uint16_t differ = 0;
        for (size_t k = 0; k < RUN; k++) {
            uint16_t sample = samples[i + k];
            out[i + k] = (uint8_t)(sample & 0xFF);
            differ |= (uint16_t)(sample ^ (uint16_t)(sample << 8 | sample >> 8));
        }
        bad |= differ;
    }
    for (; i < count; i++) {
        out[i] = (uint8_t)(samples[i] & 0xFF);
        bad |= (unsigned)(samples[i] >> 8 ^ (samples[i] & 0xFF));
    }
    return !bad;
}

/* The same of floats.  Added to 2^23, whole numbers from 0 to 65535 lie in the sum's low bits. */
EITHER uint32_t narrow_run(const float *restrict samples, size_t count, uint8_t *restrict out)
{
    uint32_t bad = 0;
    for (size_t k = 0; k < count; k++) {
        union {
            float number;
            uint32_t bits;
        } sample = {samples[k]}, sum = {samples[k] + 0x1p23f}, back = {sum.number - 0x1p23f};
        uint32_t byte = sum.bits & 0xFF;
        out[k] = (uint8_t)byte;
        bad |= (sum.bits ^ (UINT32_C(0x4B000000) | byte << 8 | byte)) | (back.bits ^ sample.bits);
    }
    return bad;
}

EITHER bool narrow_float(const float *restrict samples, size_t count, uint8_t *restrict out)
{
    uint32_t bad = 0;
    size_t i = 0;
    for (; !bad && count - i >= RUN; i += RUN)
        bad = narrow_run(samples + i, RUN, out + i);
    return !bad && !narrow_run(samples + i, count - i, out + i);
}

/* Bytes as they lie in the host's pixels to R G B A; the number of pixels is a multiple of 4. */
EITHER void arrange_gray(const uint8_t *restrict in, uint32_t *restrict out, size_t pixels)
{
    for (size_t i = 0; i < pixels; i++)
        out[i] = in[i] * 0x010101u | OPAQUE;
}

EITHER void arrange_rgb(const uint8_t *restrict in, uint32_t *restrict out, size_t pixels)
{
    for (size_t i = 0; i < pixels; i += 4) {
        uint32_t words[3];
        memcpy(words, in + 3 * i, sizeof words);
        out[i] = words[0] | OPAQUE;
        out[i + 1] = words[0] >> 24 | words[1] << 8 | OPAQUE;
        out[i + 2] = words[1] >> 16 | words[2] << 16 | OPAQUE;
        out[i + 3] = words[2] >> 8 | OPAQUE;
    }
}

EITHER void arrange_run(uint32_t *out, size_t count, bool swap, uint32_t set, uint32_t flip)
{
    for (size_t k = 0; k < count; k++) {
        uint32_t word = out[k];
        if (swap)
            word = (word & 0xFF) << 16 | (word >> 16 & 0xFF) | (word & 0xFF00FF00u);
        out[k] = (word | set) ^ flip;
    }
}

EITHER void arrange_four(uint32_t *out, size_t pixels, bool swap, uint32_t set, uint32_t flip)
{
    for (; pixels >= RUN; pixels -= RUN, out += RUN)
        arrange_run(out, RUN, swap, set, flip);
    arrange_run(out, pixels, swap, set, flip);
}

/* The usual layouts; false if this isn't one of them. */
EITHER bool arrange(const raiiaf_samples *layout, const uint8_t *in, uint32_t *out, size_t pixels)
{
    const int *at = layout->channel;
    bool rgb = at[0] == 0 && at[1] == 1 && at[2] == 2, bgr = at[0] == 2 && at[1] == 1 && at[2] == 0;
    if (layout->stride == 1 && !at[0] && !at[1] && !at[2] && at[3] < 0)
        arrange_gray(in, out, pixels);
    else if (layout->stride == 3 && rgb && at[3] < 0)
        arrange_rgb(in, out, pixels);
    else if (layout->stride == 4 && (rgb || bgr) && (at[3] < 0 || at[3] == 3)) {
        memcpy(out, in, pixels * sizeof *out);
        arrange_four(out, pixels, bgr, at[3] < 0 ? OPAQUE : 0, at[3] == 3 && layout->inverted ? OPAQUE : 0);
    } else
        return false;
    return true;
}

/* Every layout and every sample. */
void rf_samples_gather(const raiiaf_samples *layout, const void *data, size_t pixels, uint16_t *out)
{
    for (size_t i = 0; i < pixels; i++) {
        for (size_t c = 0; c < 4; c++) {
            size_t at = i * layout->stride + (size_t)(layout->channel[c] < 0 ? 0 : layout->channel[c]);
            unsigned sample = layout->type == RAIIAF_SAMPLES_8       ? ((const uint8_t *)data)[at] * 257u
                              : layout->type == RAIIAF_SAMPLES_FLOAT ? from_float(((const float *)data)[at])
                                                                     : ((const uint16_t *)data)[at];
            if (layout->channel[c] < 0)
                sample = 65535;
            else if (c == 3 && layout->inverted)
                sample = 65535 - sample;
            if (layout->narrow)
                sample = (sample + 128) / 257 * 257;
            out[4 * i + c] = (uint16_t)sample;
        }
    }
}

/* ---- hashing ---- */

static void hash_deep(band *b, const uint16_t *rgba, size_t count)
{
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    uint16_t swapped[4 * BLOCK];
    for (size_t done = 0; done < 4 * count;) {
        size_t part = 4 * count - done < 4 * BLOCK ? 4 * count - done : 4 * BLOCK;
        for (size_t i = 0; i < part; i++)
            swapped[i] = __builtin_bswap16(rgba[done + i]);
        XXH3_128bits_update(b->state, swapped, part * sizeof *swapped);
        done += part;
    }
#else
    XXH3_128bits_update(b->state, rgba, count * 4 * sizeof *rgba);
#endif
}

/* Hashes pixels in 8 bits, and goes over to 16 at the first that needs it. */
static void hash_narrow(band *b, const uint16_t *rgba, size_t count)
{
    uint8_t bytes[4 * BLOCK];
    while (count && !b->deep) {
        size_t part = count < BLOCK ? count : BLOCK;
        if (!narrow16(rgba, 4 * part, bytes)) {
            for (part = 0; narrow16(rgba + 4 * part, 4, bytes + 4 * part);)
                part++;
            b->deep = true;
        }
        XXH3_128bits_update(b->state, bytes, 4 * part);
        rgba += 4 * part;
        count -= part;
    }
    if (b->deep) {
        static const char marker[] = "16 bits from here";
        XXH3_128bits_update(b->state, marker, sizeof marker);
        hash_deep(b, rgba, count);
    }
}

static void hash_rgba(band *b, const uint16_t *rgba, size_t count)
{
    if (b->depth == 16 || b->deep)
        hash_deep(b, rgba, count);
    else
        hash_narrow(b, rgba, count);
}

static const size_t sample_sizes[] = {[RAIIAF_SAMPLES_8] = 1, [RAIIAF_SAMPLES_16] = 2, [RAIIAF_SAMPLES_FLOAT] = 4};

EITHER void hash_samples_with(band *b, const raiiaf_samples *layout, const uint8_t *in, size_t count)
{
    uint8_t narrow[4 * BLOCK];
    uint32_t words[BLOCK];
    uint16_t rgba[4 * BLOCK];
    bool usual = layout->stride <= 4 && *(const uint8_t *)&(const uint16_t){1} == 1; /* little-endian */
    while (count) {
        size_t part = count < BLOCK ? count : BLOCK, samples = part * layout->stride;
        bool fast = usual && part % 4 == 0 && b->depth == 8 && !b->deep;
        if (fast && layout->type == RAIIAF_SAMPLES_16)
            fast = narrow16((const uint16_t *)(const void *)in, samples, narrow);
        else if (fast && layout->type == RAIIAF_SAMPLES_FLOAT)
            fast = narrow_float((const float *)(const void *)in, samples, narrow);
        if (fast && arrange(layout, layout->type == RAIIAF_SAMPLES_8 ? in : narrow, words, part))
            XXH3_128bits_update(b->state, words, part * sizeof *words);
        else {
            rf_samples_gather(layout, in, part, rgba);
            hash_rgba(b, rgba, part);
        }
        in += samples * sample_sizes[layout->type];
        count -= part;
    }
}

WIDE static void hash_samples_wide(band *b, const raiiaf_samples *layout, const uint8_t *in, size_t count)
{
    hash_samples_with(b, layout, in, count);
}

static void hash_samples(band *b, const raiiaf_samples *layout, const uint8_t *in, size_t count)
{
    if (has_wide_registers())
        hash_samples_wide(b, layout, in, count);
    else
        hash_samples_with(b, layout, in, count);
}

/* Ends a band and begins the next. */
static XXH128_canonical_t band_end(band *b)
{
    XXH128_canonical_t hash;
    XXH128_canonicalFromHash(&hash, XXH3_128bits_digest(b->state));
    XXH3_128bits_reset(b->state);
    b->deep = false;
    return hash;
}

/* How many of `count` pixels go into the band at hand; 0 at the picture's end. */
static size_t take(raiiaf_pixels *pixels, size_t count)
{
    size_t part = count < pixels->room ? count : pixels->room;
    if (part > pixels->left) {
        pixels->overrun = true;
        return 0;
    }
    pixels->left -= part;
    pixels->room -= part;
    return part;
}

static bool has_bands(const raiiaf_pixels *pixels)
{
    return (uint64_t)pixels->width * pixels->height > BAND;
}

/* Goes on to the next band where this one is full. */
static void turn(raiiaf_pixels *pixels)
{
    if (pixels->room || !has_bands(pixels))
        return;
    XXH128_canonical_t hash = band_end(&pixels->band);
    XXH3_128bits_update(pixels->bands, &hash, sizeof hash);
    pixels->room = BAND;
}

void raiiaf_pixels_update(raiiaf_pixels *pixels, const uint16_t *rgba, size_t count)
{
    for (size_t part; pixels && count && (part = take(pixels, count)); rgba += 4 * part, count -= part) {
        hash_rgba(&pixels->band, rgba, part);
        turn(pixels);
    }
}

/* Whole bands, each on whatever thread has time. */
typedef struct job {
    unsigned depth;
    const raiiaf_samples *layout;
    const uint8_t *data;
    XXH128_canonical_t *hashes;
} job;

static bool hash_band(void *user, size_t i)
{
    const job *all = user;
    XXH3_state_t state;
    XXH3_128bits_reset(&state);
    band b = {.state = &state, .depth = all->depth};
    hash_samples(&b, all->layout, all->data + i * BAND * all->layout->stride * sample_sizes[all->layout->type], BAND);
    all->hashes[i] = band_end(&b);
    return true;
}

static size_t hash_bands(raiiaf_pixels *pixels, const raiiaf_samples *layout, const uint8_t *data, size_t count,
                         unsigned threads)
{
    count = count > pixels->left ? (size_t)(pixels->left / BAND) : count / BAND;
    job all = {pixels->depth, layout, data, NULL};
    if (pixels->room < BAND || count < BANDS_WORTH_THREADS || !(all.hashes = malloc(count * sizeof *all.hashes)))
        return 0;
    rf_parallel(count, threads, hash_band, &all);
    XXH3_128bits_update(pixels->bands, all.hashes, count * sizeof *all.hashes);
    free(all.hashes);
    pixels->left -= count * BAND;
    return count * BAND;
}

void raiiaf_pixels_update_samples(raiiaf_pixels *pixels, const raiiaf_samples *layout, const void *data, size_t count,
                                  unsigned threads)
{
    const uint8_t *in = data;
    size_t pixel = layout->stride * sample_sizes[layout->type];
    while (pixels && count) {
        size_t part = hash_bands(pixels, layout, in, count, threads);
        if (!part) {
            if (!(part = take(pixels, count)))
                return;
            hash_samples(&pixels->band, layout, in, part);
            turn(pixels);
        }
        in += part * pixel;
        count -= part;
    }
}

bool raiiaf_pixels_end(raiiaf_pixels *pixels, char digest[RAIIAF_DIGEST_SIZE])
{
    if (!pixels)
        return false;
    bool complete = digest && !pixels->overrun && !pixels->left;
    if (complete) {
        char hex[2 * sizeof(XXH128_canonical_t) + 1];
        if (has_bands(pixels) && pixels->room < BAND) {
            pixels->room = 0;
            turn(pixels);
        }
        XXH128_canonical_t hash = band_end(has_bands(pixels) ? &(band){.state = pixels->bands} : &pixels->band);
        rf_hex(hash.digest, sizeof hash.digest, hex);
        snprintf(digest, RAIIAF_DIGEST_SIZE, RF_DIGEST_NAME ":%ux%ux%ux%u:%s", pixels->width, pixels->height,
                 pixels->channels, pixels->depth, hex);
    }
    XXH3_freeState(pixels->band.state);
    XXH3_freeState(pixels->bands);
    free(pixels);
    return complete;
}
