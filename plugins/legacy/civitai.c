/* SPDX-License-Identifier: MIT */
/*
 * civitai.c - Civitai's generator: A1111's text with the models' ids as JSON, or the graph that ComfyUI ran for it with
 * what the user had asked for, as JSON in a string of it.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "driver.h"

static const legacy_text *find_graph(legacy_input *in)
{
    const legacy_text *text = legacy_find(in, "png:", "prompt");
    return legacy_contains(text, "\"extraMetadata\"") ? text : legacy_find_json(in, "\"extraMetadata\"");
}

/* ComfyUI's savers name the models in the same way. */
static const legacy_text *find_text(legacy_input *in)
{
    const legacy_text *text = legacy_find_parameters(in);
    return legacy_contains(text, "Civitai resources: [") && !legacy_contains(text, "Version: ComfyUI") ? text : NULL;
}

static bool identify(legacy_input *in)
{
    return find_graph(in) || find_text(in);
}

/* An object, or the text of one. */
static const legacy_json *asked_for(legacy_input *in, const legacy_text *text)
{
    const legacy_json *extra = legacy_member(legacy_parse(in, text->text, text->size), "extraMetadata");
    size_t size;
    const char *inner;
    if (!extra || extra->type != RAIIAF_JSON_STRING)
        return extra;
    inner = legacy_value(in, extra, &size);
    return inner ? legacy_parse(in, inner, size) : NULL;
}

static bool import_graph(legacy_input *in, legacy_output *out)
{
    static const char *const fields[][2] = {
        {"prompt", "prompt"},      {"negative_prompt", "negativePrompt"},
        {"seed", "seed"},          {"steps", "steps"},
        {"sampler", "sampler"},    {"scheduler", "scheduler"},
        {"cfg_scale", "cfgScale"}, {"model_name", "baseModel"},
        {"width", "width"},        {"height", "height"},
    };
    const legacy_text *text = find_graph(in);
    const legacy_json *asked = text ? asked_for(in, text) : NULL;
    if (!asked || asked->type != RAIIAF_JSON_OBJECT)
        return false;
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        legacy_set_member(out, fields[i][0], asked, fields[i][1]);
    legacy_set_json(out, "extraMetadata", asked);
    legacy_import_graph(in, out);
    return true;
}

static bool import(legacy_input *in, legacy_output *out)
{
    const legacy_text *text = find_text(in);
    legacy_set_tool(out, "Civitai", NULL);
    if (import_graph(in, out))
        return true;
    if (!text)
        return false;
    legacy_set_string(out, "date", legacy_parameter(in, text->text, text->size, "Created Date"));
    return legacy_import_parameters(in, out, text->text, text->size);
}

const legacy_driver legacy_civitai = {
    .name = "civitai",
    .title = "Civitai",
    .home = "https://civitai.com",
    .reads = "UserComment, PNG prompt: JSON with extraMetadata; A1111's text with Civitai resources",
    .identify = identify,
    .import = import,
};
