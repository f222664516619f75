/* SPDX-License-Identifier: MIT */
/*
 * stability_matrix.c - Stability Matrix: its project and its settings as JSON, beside the graph that ComfyUI ran for
 * it.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "driver.h"

static bool identify(legacy_input *in)
{
    return legacy_find(in, "", "parameters-json") || legacy_find(in, "", "smproj");
}

static const legacy_json *parse(legacy_input *in, const char *keyword)
{
    const legacy_text *text = legacy_find(in, "", keyword);
    return text ? legacy_parse(in, text->text, text->size) : NULL;
}

static bool import_settings(legacy_input *in, legacy_output *out)
{
    static const legacy_map map[] = {
        {"PositivePrompt", "prompt"},
        {"NegativePrompt", "negative_prompt"},
        {"Seed", "seed"},
        {"Steps", "steps"},
        {"Sampler", "sampler"},
        {"Scheduler", "scheduler"},
        {"CfgScale", "cfg_scale"},
        {"ModelName", "model_name"},
        {"ModelHash", "model_hash"},
        {"Width", "width"},
        {"Height", "height"},
        {NULL, NULL},
    };
    const legacy_json *settings = parse(in, "parameters-json");
    if (!settings || settings->type != RAIIAF_JSON_OBJECT)
        return false;
    legacy_set_members(out, settings, map);
    return true;
}

/* The state of the cards that the user sees: what was asked for, not always what was done. */
static bool import_project(legacy_input *in, legacy_output *out)
{
    const legacy_json *state = legacy_member(parse(in, "smproj"), "State");
    const legacy_json *prompt = legacy_member(state, "Prompt"), *sampler = legacy_member(state, "Sampler");
    if (!state)
        return false;
    legacy_set_member(out, "prompt", prompt, "Prompt");
    legacy_set_member(out, "negative_prompt", prompt, "NegativePrompt");
    legacy_set_member(out, "seed", legacy_member(state, "Seed"), "Seed");
    legacy_set_member(out, "steps", sampler, "Steps");
    legacy_set_member(out, "sampler", legacy_member(sampler, "SelectedSampler"), "Name");
    legacy_set_member(out, "scheduler", legacy_member(sampler, "SelectedScheduler"), "Name");
    legacy_set_member(out, "cfg_scale", sampler, "CfgScale");
    legacy_set_member(out, "model_name", legacy_member(state, "Model"), "SelectedModelName");
    legacy_set_member(out, "width", sampler, "Width");
    legacy_set_member(out, "height", sampler, "Height");
    return true;
}

static bool import(legacy_input *in, legacy_output *out)
{
    const legacy_text *text = legacy_find_parameters(in);
    legacy_set_tool(out, "Stability Matrix", NULL);
    if (import_settings(in, out) || (text && legacy_import_parameters(in, out, text->text, text->size)))
        return true;
    return legacy_import_graph(in, out) || import_project(in, out);
}

const legacy_driver legacy_stability_matrix = {
    .name = "stability-matrix",
    .title = "Stability Matrix",
    .home = "https://github.com/LykosAI/StabilityMatrix",
    .reads = "PNG parameters-json, smproj, parameters",
    .identify = identify,
    .import = import,
};
