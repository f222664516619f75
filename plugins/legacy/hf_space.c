/* SPDX-License-Identifier: MIT */
/*
 * hf_space.c - the Hugging Face spaces for anime models: one JSON object with names of diffusers' settings.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "driver.h"

static const legacy_text *find(legacy_input *in)
{
    const legacy_text *text = legacy_find_json(in, "\"Model\"");
    return legacy_contains(text, "\"resolution\"") && legacy_contains(text, "\"prompt\"") ? text : NULL;
}

static bool identify(legacy_input *in)
{
    return find(in) != NULL;
}

static bool import(legacy_input *in, legacy_output *out)
{
    static const legacy_map map[] = {
        {"prompt", "prompt"},    {"negative_prompt", "negative_prompt"},
        {"seed", "seed"},        {"num_inference_steps", "steps"},
        {"sampler", "sampler"},  {"guidance_scale", "cfg_scale"},
        {"Model", "model_name"}, {"Model hash", "model_hash"},
        {"resolution", NULL},    {NULL, NULL},
    };
    const legacy_text *text = find(in);
    const legacy_json *data = legacy_parse(in, text->text, text->size);
    size_t size;
    const char *resolution = legacy_value(in, legacy_member(data, "resolution"), &size);
    if (!data || data->type != RAIIAF_JSON_OBJECT || !legacy_member(data, "Model"))
        return false;
    legacy_set_members(out, data, map);
    if (resolution)
        legacy_set_size(out, resolution, size);
    return true;
}

const legacy_driver legacy_hf_space = {
    .name = "hf-space",
    .title = "Hugging Face space",
    .home = "https://huggingface.co/spaces",
    .reads = "PNG parameters: JSON with Model and resolution",
    .identify = identify,
    .import = import,
};
