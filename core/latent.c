/* SPDX-License-Identifier: MIT */
/*
 * latent.c - adding latents, and figures about them.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "codec.h"
#include "file.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

/* What the reference takes. */
#define RANK 4

/* Elements are looked at in blocks that stay in the cache. */
#define BLOCK 2048

/* Whether a block is free of NaN and infinity, tested to the end, so that the compiler can
   use vectors. */
static bool all_finite(const float *values, size_t count)
{
    unsigned bad = 0;
    for (size_t i = 0; i < count; i++)
        bad |= !(fabsf(values[i]) <= FLT_MAX);
    return !bad;
}

/* The first NaN or infinity, or `count`. */
static size_t find_non_finite(const uint8_t *data, size_t count, raiiaf_dtype dtype)
{
    float values[BLOCK];
    for (size_t done = 0; done < count; done += BLOCK) {
        size_t some = count - done < BLOCK ? count - done : BLOCK;
        rf_load_floats(data + done * rf_element_size(dtype), some, dtype, values);
        if (all_finite(values, some))
            continue;
        size_t i = 0;
        while (isfinite(values[i]))
            i++;
        return done + i;
    }
    return count;
}

static raiiaf_status check_latent(const raiiaf_file *file, const uint32_t *shape, unsigned rank, raiiaf_dtype dtype,
                                  const void *data, size_t size, raiiaf_error *error)
{
    const rf_where *where = RF_NAME(file->name);
    const raiiaf_limits *limits = &file->limits;
    if (dtype != RAIIAF_FLOAT32 && dtype != RAIIAF_FLOAT16)
        return rf_fail(error, RAIIAF_ERROR_SCHEMA, "latent-dtype", where, _("a latent is float32 or float16"));
    if (rank != RANK)
        return rf_fail(error, RAIIAF_ERROR_SCHEMA, "latent-rank", where,
                       _("a latent has 4 axes, not %u; give it a leading axis of length 1 for each that is missing"),
                       rank);
    uint64_t elements = 1;
    for (unsigned i = 0; i < rank; i++) {
        if (shape[i] < 1 || (limits->dimension && shape[i] > limits->dimension))
            return rf_fail(error, RAIIAF_ERROR_SCHEMA, "latent-dimension", where,
                           _("axis %u of the latent has length %" PRIu32 "; 1 to %" PRIu64 " is allowed"), i, shape[i],
                           limits->dimension ? limits->dimension : UINT32_MAX);
        if (!rf_multiply(elements, shape[i], &elements) ||
            (limits->latent_elements && elements > limits->latent_elements))
            return rf_fail(error, RAIIAF_ERROR_SCHEMA, "latent-elements", where,
                           _("the latent has more than %" PRIu64 " elements"),
                           limits->latent_elements ? limits->latent_elements : UINT64_MAX);
    }
    uint64_t wanted;
    if (!rf_multiply(elements, rf_element_size(dtype), &wanted) || wanted != size)
        return rf_fail(error, RAIIAF_ERROR_ARGUMENT, "latent-size", where,
                       _("the latent's data has %zu bytes where its shape asks for %" PRIu64), size, wanted);
    size_t bad = find_non_finite(data, (size_t)elements, dtype);
    if (bad < elements)
        return rf_fail(error, RAIIAF_ERROR_SCHEMA, "latent-finite", where,
                       _("element %zu of the latent is NaN or infinite"), bad);
    return RAIIAF_OK;
}

static bool has_key(const raiiaf_file *file, const char *key)
{
    for (size_t i = 0; i < file->chunk_count; i++)
        if (file->chunks[i].info.dtype != RAIIAF_DTYPE_NONE && strcmp(file->chunks[i].info.key, key) == 0)
            return true;
    return false;
}

/* As the reference spells it: {"shape": [1, 4, 64, 64], "dtype": "float32", "key": "initial_noise"} */
static void spell_extra(rf_bytes *extra, const char *key, const uint32_t *shape, unsigned rank, raiiaf_dtype dtype)
{
    rf_bytes_string(extra, "{\"shape\": [");
    for (unsigned i = 0; i < rank; i++)
        rf_bytes_format(extra, "%s%" PRIu32, i ? ", " : "", shape[i]);
    rf_bytes_format(extra, "], \"dtype\": \"%s\", \"key\": ", dtype == RAIIAF_FLOAT32 ? "float32" : "float16");
    rf_bytes_json_string(extra, key, strlen(key));
    rf_bytes_string(extra, "}");
}

raiiaf_status raiiaf_latent_add(raiiaf_file *file, const char *key, const uint32_t *shape, unsigned rank,
                                raiiaf_dtype dtype, const void *data, size_t size, raiiaf_error *error)
{
    if (!key)
        return rf_fail(error, RAIIAF_ERROR_ARGUMENT, "latent-key", RF_NAME(file->name), _("a latent needs a key"));
    raiiaf_status status = check_latent(file, shape, rank, dtype, data, size, error);
    if (!status && has_key(file, key))
        status = rf_fail(error, RAIIAF_ERROR_SCHEMA, "latent-key", RF_NAME(file->name),
                         _("there is a latent \"%s\" already; each needs a key of its own"), key);
    if (status)
        return status;
    rf_bytes extra = {0};
    spell_extra(&extra, key, shape, rank, dtype);
    if (extra.failed) {
        status = rf_fail_memory(error, file->name);
        goto done;
    }
    raiiaf_buffer payload;
    status = rf_buffer_new(&payload, size, file->budget, RF_NAME(file->name), error);
    if (status)
        goto done;
    memcpy(rf_buffer_data(&payload), data, size);
    status = rf_chunk_add(file, "LATN", &payload, extra.data, dtype, rank, shape, key, error);
done:
    rf_bytes_free(&extra);
    return status;
}

/* ---- statistics ---- */

/* Of each block the mean first, then the squared deviations from it, which are then merged (Chan, Golub and LeVeque
   1979).  One pass over memory, and no cancellation. */
#define LANES 8 /* independent sums, so that the compiler can use vectors without reordering a sum */

typedef struct moments {
    uint64_t count;
    double mean, squares; /* squares: of deviations from the mean, summed */
    float minimum, maximum;
} moments;

static double sum(const float *values, size_t count)
{
    double lane[LANES] = {0}, total = 0;
    size_t i = 0;
    for (; i + LANES <= count; i += LANES)
        for (size_t k = 0; k < LANES; k++)
            lane[k] += (double)values[i + k];
    for (; i < count; i++)
        total += (double)values[i];
    for (size_t k = 0; k < LANES; k++)
        total += lane[k];
    return total;
}

static double sum_of_squares(const float *values, size_t count, double mean)
{
    double lane[LANES] = {0}, total = 0;
    size_t i = 0;
    for (; i + LANES <= count; i += LANES)
        for (size_t k = 0; k < LANES; k++) {
            double difference = (double)values[i + k] - mean;
            lane[k] += difference * difference;
        }
    for (; i < count; i++)
        total += ((double)values[i] - mean) * ((double)values[i] - mean);
    for (size_t k = 0; k < LANES; k++)
        total += lane[k];
    return total;
}

static void extremes(const float *values, size_t count, float *minimum, float *maximum)
{
    float low[LANES], high[LANES];
    for (size_t k = 0; k < LANES; k++)
        low[k] = *minimum, high[k] = *maximum;
    size_t i = 0;
    for (; i + LANES <= count; i += LANES)
        for (size_t k = 0; k < LANES; k++) {
            low[k] = values[i + k] < low[k] ? values[i + k] : low[k];
            high[k] = values[i + k] > high[k] ? values[i + k] : high[k];
        }
    for (; i < count; i++) {
        low[0] = values[i] < low[0] ? values[i] : low[0];
        high[0] = values[i] > high[0] ? values[i] : high[0];
    }
    for (size_t k = 0; k < LANES; k++) {
        *minimum = low[k] < *minimum ? low[k] : *minimum;
        *maximum = high[k] > *maximum ? high[k] : *maximum;
    }
}

static void add_block(moments *all, const float *values, size_t count)
{
    if (count == 0)
        return;
    if (all->count == 0)
        all->minimum = all->maximum = values[0];
    extremes(values, count, &all->minimum, &all->maximum);
    double n = (double)count, mean = sum(values, count) / n;
    double before = (double)all->count, together = before + n, difference = mean - all->mean;
    all->squares += sum_of_squares(values, count, mean) + difference * difference * (before * n / together);
    all->mean += difference * (n / together);
    all->count += count;
}

/* Moves the finite values to the front and counts the others. */
static size_t keep_finite(float *values, size_t count, raiiaf_statistics *statistics)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (isfinite(values[i]))
            values[kept++] = values[i];
        else if (isnan(values[i]))
            statistics->nans++;
        else
            statistics->infinities++;
    return kept;
}

raiiaf_status raiiaf_latent_statistics(const void *data, size_t size, raiiaf_dtype dtype, raiiaf_statistics *statistics,
                                       raiiaf_error *error)
{
    *statistics = (raiiaf_statistics){0};
    size_t item = rf_element_size(dtype);
    if (item == 0 || size % item)
        return rf_fail(error, RAIIAF_ERROR_ARGUMENT, "latent-size", NULL,
                       _("%zu bytes are no whole number of elements"), size);
    const uint8_t *bytes = data;
    moments all = {0};
    float values[BLOCK];
    statistics->elements = size / item;
    for (size_t done = 0; done < statistics->elements;) {
        size_t count = statistics->elements - done < BLOCK ? (size_t)(statistics->elements - done) : BLOCK;
        rf_load_floats(bytes + done * item, count, dtype, values);
        add_block(&all, values, all_finite(values, count) ? count : keep_finite(values, count, statistics));
        done += count;
    }
    if (all.count) {
        statistics->minimum = (double)all.minimum;
        statistics->maximum = (double)all.maximum;
        statistics->mean = all.mean;
        statistics->deviation = sqrt(all.squares / (double)all.count);
    }
    return RAIIAF_OK;
}

void raiiaf_latent_widen(const void *data, size_t count, raiiaf_dtype dtype, float *floats)
{
    rf_load_floats(data, count, dtype, floats);
}

void raiiaf_latent_narrow(const float *floats, size_t count, raiiaf_dtype dtype, void *data)
{
    if (dtype == RAIIAF_FLOAT16) {
        rf_float_to_half(floats, count, data);
        return;
    }
    uint8_t *to = data;
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, floats + i, sizeof bits);
        rf_put32(to + 4 * i, bits);
    }
}
