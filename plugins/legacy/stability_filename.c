/* SPDX-License-Identifier: MIT */
/*
 * stability_filename.c - stability-sdk and DreamStudio: the prompt in the file's name.
 *
 * "generation_a red bicycle_1664582400_0.png" (prompt, seconds since 1970, number; cut to fit),
 * "2418427432_portrait_of_an_old_fisherman.png" (seed, prompt)
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "driver.h"

#include <string.h>

#define START "generation_"

static size_t count_digits(const char *at, const char *end)
{
    size_t count = 0;
    while (at + count < end && at[count] >= '0' && at[count] <= '9')
        count++;
    return count;
}

/* Digits before `end`, with an underscore before them; *start is where they begin. */
static size_t digits_before(const char *text, const char *end, const char **start)
{
    size_t count = 0;
    while (end - count > text && end[-1 - (ptrdiff_t)count] >= '0' && end[-1 - (ptrdiff_t)count] <= '9')
        count++;
    *start = end - count;
    return count && *start > text && (*start)[-1] == '_' ? count : 0;
}

typedef struct parts {
    const char *prompt, *prompt_end, *time, *number, *seed;
    size_t time_size, number_size, seed_size;
} parts;

static bool read_generation(const char *name, const char *end, parts *p)
{
    if (strncmp(name, START, strlen(START)) != 0)
        return false;
    p->prompt = name + strlen(START);
    p->number_size = digits_before(p->prompt, end, &p->number);
    if (!p->number_size)
        return false;
    p->time_size = digits_before(p->prompt, p->number - 1, &p->time);
    p->prompt_end = p->time - 1;
    return p->time_size >= 9 && p->time_size <= 11 && p->prompt_end > p->prompt;
}

/* "20230415_..." is a camera's date, not a seed. */
static bool is_date(const char *digits, size_t size)
{
    return size == 8 && (strncmp(digits, "19", 2) == 0 || strncmp(digits, "20", 2) == 0) && digits[4] <= '1' &&
           digits[6] <= '3';
}

static bool read_seed(const char *name, const char *end, parts *p)
{
    size_t gaps = 0, letters = 0;
    p->seed = name;
    p->seed_size = count_digits(name, end);
    p->prompt = name + p->seed_size + 1;
    p->prompt_end = end;
    if (p->seed_size < 6 || p->seed_size > 10 || name[p->seed_size] != '_' || is_date(name, p->seed_size))
        return false;
    for (const char *at = p->prompt; at < end; at++) {
        gaps += *at == '_';
        letters += (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') || (*at & 0x80);
    }
    return gaps >= 1 && letters >= 2 * gaps + 2;
}

static bool read_name(legacy_input *in, parts *p)
{
    const char *name = legacy_file_name(in), *dot = strrchr(name, '.'), *end = dot ? dot : name + strlen(name);
    *p = (parts){NULL, NULL, NULL, NULL, NULL, 0, 0, 0};
    return read_generation(name, end, p) || read_seed(name, end, p);
}

static bool identify(legacy_input *in)
{
    parts p;
    return read_name(in, &p);
}

static bool import(legacy_input *in, legacy_output *out)
{
    parts p;
    legacy_string prompt = {.in = in};
    if (!read_name(in, &p))
        return false;
    for (const char *at = p.prompt; at < p.prompt_end; at++)
        legacy_append(&prompt, p.seed && *at == '_' ? " " : at, 1);
    legacy_set(out, "prompt", prompt.text, prompt.size);
    legacy_set_string(out, "provenance", "filename");
    if (p.seed) {
        legacy_set(out, "seed", p.seed, p.seed_size);
    } else {
        int64_t seconds = 0;
        for (size_t i = 0; i < p.time_size; i++)
            seconds = 10 * seconds + (p.time[i] - '0');
        legacy_set_time(out, "date", seconds);
        legacy_set_typed(out, "date_unix", p.time, p.time_size);
        legacy_set_typed(out, "index", p.number, p.number_size);
        legacy_set_string(out, "prompt_truncated", "possibly");
    }
    return true;
}

const legacy_driver legacy_stability_filename = {
    .name = "stability-filename",
    .title = "stability-sdk, DreamStudio",
    .home = "https://github.com/Stability-AI/stability-sdk",
    .reads = "file name",
    .identify = identify,
    .import = import,
};
