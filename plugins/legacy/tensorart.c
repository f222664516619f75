/* SPDX-License-Identifier: MIT */
/*
 * tensorart.c - Tensor.Art: "generation_data" as JSON, beside the graph that ComfyUI ran for it, which alone knows the
 * seed where it was left to chance.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "driver.h"

static const legacy_text *find(legacy_input *in)
{
    const legacy_text *text = legacy_find(in, "", "generation_data");
    return text ? text : legacy_find_json(in, "\"ksamplerName\"");
}

static bool identify(legacy_input *in)
{
    return find(in) != NULL;
}

static bool import(legacy_input *in, legacy_output *out)
{
    static const legacy_map map[] = {
        {"prompt", "prompt"},
        {"negativePrompt", "negative_prompt"},
        {"seed", "seed"},
        {"steps", "steps"},
        {"ksamplerName", "sampler"},
        {"schedule", "scheduler"},
        {"cfgScale", "cfg_scale"},
        {"guidance", "guidance"},
        {"width", "width"},
        {"height", "height"},
        {NULL, NULL},
    };
    const legacy_text *text = find(in);
    const legacy_json *data = legacy_parse(in, text->text, text->size), *model = legacy_member(data, "baseModel");
    if (!data || data->type != RAIIAF_JSON_OBJECT)
        return false;
    legacy_set_tool(out, "Tensor.Art", NULL);
    legacy_set_members(out, data, map);
    legacy_set_member(out, "model_name", model, "modelFileName");
    legacy_set_member(out, "model_hash", model, "hash");
    legacy_import_graph(in, out);
    return true;
}

const legacy_driver legacy_tensorart = {
    .name = "tensorart",
    .title = "Tensor.Art",
    .home = "https://tensor.art",
    .reads = "PNG generation_data, prompt",
    .identify = identify,
    .import = import,
};
