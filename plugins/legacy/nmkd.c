/* SPDX-License-Identifier: MIT */
/*
 * nmkd.c - NMKD Stable Diffusion GUI: JSON, its members named either way.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "driver.h"

static const legacy_text *find_settings(legacy_input *in)
{
    static const char *const keywords[] = {"GenerationInfoJson", "GenerationInfo", "Nmkdiffusers"};
    for (size_t i = 0; i < sizeof keywords / sizeof *keywords; i++) {
        const legacy_text *text = legacy_find(in, "png:", keywords[i]);
        if (legacy_looks_json(text))
            return text;
    }
    return NULL;
}

static bool identify(legacy_input *in)
{
    return find_settings(in) != NULL;
}

static bool import(legacy_input *in, legacy_output *out)
{
    static const legacy_map map[] = {{"negativePrompt", "negative_prompt"},
                                     {"promptNeg", "negative_prompt"},
                                     {"negprompt", "negative_prompt"},
                                     {"w", "width"},
                                     {"h", "height"},
                                     {"prompt_neg", "negative_prompt"},
                                     {"scale", "cfg_scale"},
                                     {"scaleTxt", "cfg_scale"},
                                     {"scale_txt", "cfg_scale"},
                                     {"guidanceScale", "cfg_scale"},
                                     {"guidance_scale", "cfg_scale"},
                                     {"modelName", "model_name"},
                                     {"modelHash", "model_hash"},
                                     {"model", NULL},
                                     {"baseResolution", NULL},
                                     {"base_resolution", NULL},
                                     {"res", NULL},
                                     {"resolution", NULL},
                                     {NULL, NULL}};
    static const char *const sizes[] = {"baseResolution", "base_resolution", "resolution", "res"};
    const legacy_text *text = find_settings(in);
    const legacy_json *root = legacy_parse(in, text->text, text->size);
    if (!root || root->type != RAIIAF_JSON_OBJECT)
        return false;
    legacy_set_tool(out, "NMKD Stable Diffusion GUI", NULL);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const legacy_json *value = legacy_member(root, sizes[i]);
        if (value && value->type != RAIIAF_JSON_NULL && !legacy_has(out, "width"))
            legacy_set_size(out, value->spelling, value->size);
    }
    size_t size;
    const char *model = legacy_value(in, legacy_member(root, "model"), &size);
    if (model)
        legacy_set_model(out, model, size);
    legacy_set_members(out, root, map);
    return true;
}

const legacy_driver legacy_nmkd = {
    .name = "nmkd",
    .title = "NMKD Stable Diffusion GUI",
    .home = "https://github.com/n00mkrad/text2image-gui",
    .reads = "PNG GenerationInfoJson, GenerationInfo, Nmkdiffusers",
    .identify = identify,
    .import = import,
};
