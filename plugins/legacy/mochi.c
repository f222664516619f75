/* SPDX-License-Identifier: MIT */
/*
 * mochi.c - Mochi Diffusion: pairs in IPTC's caption.
 *
 * "Include in Image: a fox; in snow; Exclude from Image: ; Model: ...; Generator: Mochi Diffusion 4.1"
 *
 * Nothing is escaped, and only the prompts, which come first, can hold anything.  So the pairs are cut from the end.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "driver.h"

#include <string.h>

#define FIRST "Include in Image: "

/* In the order in which they are written; each but the first may be missing. */
static const char *const names[][2] = {
    {"Include in Image", "prompt"},
    {"Exclude from Image", "negative_prompt"},
    {"Model", "model_name"},
    {"Steps", "steps"},
    {"Guidance Scale", "cfg_scale"},
    {"Seed", "seed"},
    {"Size", NULL},
    {"Quality", "Quality"},
    {"Upscaler", "Upscaler"},
    {"Starting Image", "Starting Image"},
    {"Scheduler", "sampler"},
    {"ML Compute Unit", "ML Compute Unit"},
    {"Generator", "Generator"},
};

static bool is_caption(const legacy_text *text)
{
    return legacy_begins(text, FIRST) && legacy_contains(text, "; Steps: ") && legacy_contains(text, "; Seed: ");
}

static const legacy_text *find_caption(legacy_input *in)
{
    for (size_t i = legacy_count(in); i-- > 0;)
        if (is_caption(legacy_at(in, i)))
            return legacy_at(in, i);
    const legacy_text *description =
        legacy_contains(legacy_find_form(in, "xmp"), FIRST) ? legacy_xmp(in, "dc:description") : NULL;
    return is_caption(description) ? description : NULL;
}

static bool identify(legacy_input *in)
{
    return find_caption(in) != NULL;
}

/* Where "; NAME: " stands last before `end`, or NULL. */
static const char *find_last(const char *text, const char *end, const char *name)
{
    size_t size = strlen(name), all = (size_t)(end - text);
    for (size_t i = all < size + 4 ? 0 : all - size - 3; i-- > 0;) {
        const char *at = text + i;
        if (at[0] == ';' && at[1] == ' ' && memcmp(at + 2, name, size) == 0 && at[2 + size] == ':' &&
            at[3 + size] == ' ')
            return at;
    }
    return NULL;
}

static bool import(legacy_input *in, legacy_output *out)
{
    const legacy_text *text = find_caption(in);
    const char *start = text->text + strlen(FIRST), *end = text->text + text->size;
    for (size_t i = sizeof names / sizeof *names - 1; i > 0; i--) {
        const char *at = find_last(start, end, names[i][0]);
        if (!at)
            continue;
        const char *value = at + strlen(names[i][0]) + 4;
        if (names[i][1])
            legacy_set(out, names[i][1], value, (size_t)(end - value));
        else
            legacy_set_size(out, value, (size_t)(end - value));
        end = at;
    }
    legacy_set(out, "prompt", start, (size_t)(end - start));
    const legacy_text *program = legacy_find(in, "", "2:65"), *version = legacy_find(in, "", "2:70");
    legacy_set_tool(out, program ? program->text : "Mochi Diffusion", version ? version->text : NULL);
    return true;
}

const legacy_driver legacy_mochi = {
    .name = "mochi",
    .title = "Mochi Diffusion",
    .home = "https://github.com/MochiDiffusion/MochiDiffusion",
    .reads = "IPTC caption, XMP dc:description",
    .identify = identify,
    .import = import,
};
