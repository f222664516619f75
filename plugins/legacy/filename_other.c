/* SPDX-License-Identifier: MIT */
/*
 * filename_other.c - other tools that put seed and prompt into the file's name.
 *
 * Stablecog: "[sd_874124]-[scl_7]-[stp_30]-a castle in the sky.png"
 * A1111's default: "00012-874124-a castle in the sky.png"
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "driver.h"

#include <string.h>

typedef struct parts {
    const char *seed, *scale, *steps, *prompt;
    size_t seed_size, scale_size, steps_size, prompt_size;
} parts;

/* "[NAME_VALUE]-" */
static const char *read_bracket(const char *at, const char *name, const char **value, size_t *size)
{
    size_t length = strlen(name);
    if (*at != '[' || strncmp(at + 1, name, length) != 0)
        return NULL;
    *value = at + 1 + length;
    *size = strspn(*value, "0123456789.");
    at = *value + *size;
    return *size && at[0] == ']' && at[1] == '-' ? at + 2 : NULL;
}

static bool read_stablecog(const char *at, parts *p)
{
    at = read_bracket(at, "sd_", &p->seed, &p->seed_size);
    if (at)
        at = read_bracket(at, "scl_", &p->scale, &p->scale_size);
    if (at)
        at = read_bracket(at, "stp_", &p->steps, &p->steps_size);
    p->prompt = at;
    return at != NULL;
}

static bool read_default(const char *at, parts *p)
{
    if (strspn(at, "0123456789") != 5 || at[5] != '-')
        return false;
    p->seed = at + 6;
    p->seed_size = strspn(p->seed, "0123456789");
    if (p->seed_size < 1 || p->seed_size > 20 || p->seed[p->seed_size] != '-')
        return false;
    p->prompt = p->seed + p->seed_size + 1;
    return true;
}

static bool read_name(legacy_input *in, parts *p)
{
    const char *name = legacy_file_name(in), *dot = strrchr(name, '.');
    *p = (parts){NULL, NULL, NULL, NULL, 0, 0, 0, 0};
    if (!read_stablecog(name, p) && !read_default(name, p))
        return false;
    p->prompt_size = dot && dot > p->prompt ? (size_t)(dot - p->prompt) : strlen(p->prompt);
    for (size_t i = 0; i < p->prompt_size; i++)
        if ((p->prompt[i] >= 'a' && p->prompt[i] <= 'z') || (p->prompt[i] >= 'A' && p->prompt[i] <= 'Z') ||
            (p->prompt[i] & 0x80))
            return true;
    return false;
}

static bool identify(legacy_input *in)
{
    parts p;
    return read_name(in, &p);
}

static bool import(legacy_input *in, legacy_output *out)
{
    parts p;
    if (!read_name(in, &p))
        return false;
    legacy_set(out, "prompt", p.prompt, p.prompt_size);
    legacy_set(out, "seed", p.seed, p.seed_size);
    legacy_set(out, "steps", p.steps, p.steps_size);
    legacy_set(out, "cfg_scale", p.scale, p.scale_size);
    legacy_set_string(out, "provenance", "filename");
    return true;
}

const legacy_driver legacy_filename_other = {
    .name = "filename-other",
    .title = "Stablecog's and A1111's file names",
    .home = "https://github.com/stablecog/stablecog",
    .reads = "file name",
    .identify = identify,
    .import = import,
};
