/* SPDX-License-Identifier: MIT */
/*
 * disco_diffusion.c - Disco Diffusion: the settings of a batch, in a file beside its images.
 *
 * "TimeToDisco(0)_settings.txt" is about "TimeToDisco(0)_0000.png" and those that follow.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "driver.h"

#include <string.h>

/* The name of the batch's settings; *frame is the image's number.  NULL for other names. */
static const char *settings_name(legacy_input *in, uint64_t *frame)
{
    const char *name = legacy_file_name(in), *close = strrchr(name, ')');
    if (!close || close[1] != '_' || !strrchr(name, '('))
        return NULL;
    const char *at = close + 2;
    *frame = 0;
    while (*at >= '0' && *at <= '9' && *frame < 100000000)
        *frame = 10 * *frame + (uint64_t)(*at++ - '0');
    if (at == close + 2 || *at != '.')
        return NULL;
    legacy_string out = {.in = in};
    legacy_append(&out, name, (size_t)(close + 2 - name));
    return legacy_append_string(&out, "settings.txt") ? out.text : NULL;
}

static const legacy_text *find_settings(legacy_input *in, uint64_t *frame)
{
    const char *name = settings_name(in, frame);
    const legacy_text *text = name ? legacy_sidecar(in, name) : NULL;
    return text && legacy_looks_json(text) && legacy_contains(text, "\"text_prompts\"") ? text : NULL;
}

static bool identify(legacy_input *in)
{
    uint64_t frame;
    return find_settings(in, &frame) != NULL;
}

/* The prompts in force at a frame of an animation; of a still the first. */
static const legacy_json *prompts_at(const legacy_json *prompts, uint64_t frame)
{
    const legacy_json *best = NULL;
    uint64_t best_at = 0;
    if (!prompts || prompts->type != RAIIAF_JSON_OBJECT)
        return prompts;
    for (const legacy_json *one = prompts->child; one; one = one->next) {
        uint64_t at = 0;
        for (size_t i = 0; i < one->name_size && i < 9; i++)
            at = 10 * at + (uint64_t)(one->name[i] >= '0' && one->name[i] <= '9' ? one->name[i] - '0' : 0);
        if (at <= frame && (!best || at > best_at)) {
            best = one;
            best_at = at;
        }
    }
    return best ? best : prompts->child;
}

static void set_prompts(legacy_input *in, legacy_output *out, const legacy_json *prompts)
{
    legacy_string text = {.in = in};
    size_t size;
    const char *one = legacy_value(in, prompts, &size);
    if (one)
        legacy_append(&text, one, size);
    for (const legacy_json *line = prompts ? prompts->child : NULL; line; line = line->next) {
        one = legacy_value(in, line, &size);
        if (!one)
            continue;
        legacy_append_string(&text, text.size ? "\n" : "");
        legacy_append(&text, one, size);
    }
    legacy_set(out, "prompt", text.text, text.size);
}

static bool import(legacy_input *in, legacy_output *out)
{
    static const legacy_map map[] = {{"clip_guidance_scale", "guidance"},
                                     {"diffusion_model", "model_name"},
                                     {"diffusion_sampling_mode", "sampler"},
                                     {NULL, NULL}};
    uint64_t frame, frames = 0;
    const legacy_text *text = find_settings(in, &frame);
    const legacy_json *root = text ? legacy_parse(in, text->text, text->size) : NULL;
    if (!root)
        return false;
    legacy_uint64(legacy_member(root, "max_frames"), &frames);
    legacy_set_tool(out, "Disco Diffusion", NULL);
    set_prompts(in, out, prompts_at(legacy_member(root, "text_prompts"), frames > 1 ? frame : 0));
    legacy_set_members(out, root, map);
    return true;
}

const legacy_driver legacy_disco_diffusion = {
    .name = "disco-diffusion",
    .title = "Disco Diffusion",
    .home = "https://github.com/alembics/disco-diffusion",
    .reads = "BATCH(N)_settings.txt",
    .identify = identify,
    .import = import,
};
