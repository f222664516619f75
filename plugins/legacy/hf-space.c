/* SPDX-License-Identifier: MIT */
/*
 * hf-space.c - the Hugging Face spaces for anime models: one JSON object with names of diffusers' settings.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "driver.h"

static const legacy_text *find(legacy_input *in)
{
    for (size_t i = legacy_count(in); i-- > 0;) {
        const legacy_text *text = legacy_at(in, i);
        if (legacy_looks_json(text) && legacy_contains(text, "\"Model\"") && legacy_contains(text, "\"resolution\"") &&
            legacy_contains(text, "\"guidance_scale\""))
            return text;
    }
    return NULL;
}

static bool identify(legacy_input *in)
{
    return find(in) != NULL;
}

static bool import(legacy_input *in, legacy_output *out)
{
    static const char *const fields[][2] = {
        {"prompt", "prompt"},    {"negative_prompt", "negative_prompt"},
        {"seed", "seed"},        {"steps", "num_inference_steps"},
        {"sampler", "sampler"},  {"cfg_scale", "guidance_scale"},
        {"model_name", "Model"}, {"model_hash", "Model hash"},
    };
    static const char *const taken[] = {
        "prompt",         "negative_prompt", "seed",       "num_inference_steps", "sampler",
        "guidance_scale", "Model",           "Model hash", "resolution",          NULL};
    const legacy_text *text = find(in);
    const legacy_json *data = legacy_parse(in, text->text, text->size);
    size_t size;
    const char *resolution = legacy_value(in, legacy_member(data, "resolution"), &size);
    if (!data || data->type != RAIIAF_JSON_OBJECT || !legacy_member(data, "Model"))
        return false;
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        legacy_set_member(out, fields[i][0], data, fields[i][1]);
    if (resolution)
        legacy_set_size(out, resolution, size);
    legacy_set_rest(out, data, taken);
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
