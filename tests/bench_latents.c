/* SPDX-License-Identifier: MIT */
/*
 * bench_latents.c - how fast latents are encoded and decoded in process, and how small they get.
 * Prints a line for each kind: its name, bytes of tensors, seconds to encode, seconds to decode, bytes of the file.
 * The times are medians.
 */
#include "raiiaf.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define COUNT 64
#define CHANNELS 16
#define SIDE 128
#define ELEMENTS ((size_t)CHANNELS * SIDE * SIDE)
#define RUNS 7
#define THREADS 2

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void check(raiiaf_status status, const raiiaf_error *error)
{
    if (status == RAIIAF_OK)
        return;
    fprintf(stderr, "%s\n", error->text);
    exit(1);
}

static float uniform(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (float)((double)(*state >> 11) / 9007199254740992.0);
}

static float normal(uint64_t *state)
{
    double radius = sqrt(-2 * log(1 - (double)uniform(state)));
    return (float)(radius * cos(6.283185307179586 * (double)uniform(state)));
}

static void fill_noise(float *tensor, uint64_t seed)
{
    for (size_t i = 0; i < ELEMENTS; i++)
        tensor[i] = normal(&seed);
}

/* A few long waves in each channel, as a finished latent of a plain picture has. */
static void fill_smooth(float *tensor, uint64_t seed)
{
    for (size_t channel = 0; channel < CHANNELS; channel++) {
        double a = uniform(&seed), b = uniform(&seed), c = uniform(&seed);
        for (size_t y = 0; y < SIDE; y++)
            for (size_t x = 0; x < SIDE; x++)
                *tensor++ = (float)(sin(a * (double)x / 12 + c) + cos(b * (double)y / 9) + c);
    }
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *times)
{
    qsort(times, RUNS, sizeof *times, compare);
    return times[RUNS / 2];
}

static raiiaf_file *make(void (*fill)(float *tensor, uint64_t seed))
{
    static const uint32_t shape[] = {1, CHANNELS, SIDE, SIDE};
    raiiaf_file *file;
    raiiaf_error error;
    float *tensor = malloc(ELEMENTS * sizeof *tensor);
    if (!tensor)
        abort();
    check(raiiaf_new(&file, NULL, &error), &error);
    for (unsigned i = 0; i < COUNT; i++) {
        char key[16];
        snprintf(key, sizeof key, "step%u", i);
        fill(tensor, i + 1);
        check(raiiaf_latent_add(file, key, shape, 4, RAIIAF_FLOAT32, tensor, ELEMENTS * sizeof *tensor, &error),
              &error);
    }
    free(tensor);
    return file;
}

static void measure(const char *name, void (*fill)(float *tensor, uint64_t seed))
{
    raiiaf_file *file = make(fill);
    raiiaf_error error;
    raiiaf_save_options options = {.threads = THREADS};
    double encode[RUNS], decode[RUNS];
    size_t size = 0;
    for (unsigned run = 0; run < RUNS; run++) {
        raiiaf_buffer saved;
        raiiaf_source source;
        raiiaf_file *again;
        double start = now();
        check(raiiaf_save_memory(file, &saved, &options, &error), &error);
        encode[run] = now() - start;
        size = saved.size;
        raiiaf_source_memory(&source, saved.data, saved.size, "memory", NULL, NULL);
        start = now();
        check(raiiaf_open(&again, &source, NULL, &error), &error);
        check(raiiaf_verify(again, THREADS, NULL, NULL, &error), &error);
        decode[run] = now() - start;
        raiiaf_close(again);
        raiiaf_buffer_free(&saved);
    }
    raiiaf_close(file);
    printf("%s %zu %.6f %.6f %zu\n", name, COUNT * ELEMENTS * sizeof(float), median(encode), median(decode), size);
}

int main(void)
{
    measure("noise", fill_noise);
    measure("smooth", fill_smooth);
    return 0;
}
