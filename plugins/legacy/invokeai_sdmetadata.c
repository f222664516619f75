/* SPDX-License-Identifier: MIT */
/*
 * invokeai_sdmetadata.c - InvokeAI 2: JSON in sd-metadata.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "driver.h"

#include <string.h>

static bool identify(legacy_input *in)
{
    return legacy_looks_json(legacy_find(in, "png:", "sd-metadata"));
}

/* One prompt, or several with weights, as one text. */
static void join_prompts(legacy_input *in, const legacy_json *prompt, legacy_string *out, legacy_string *weights)
{
    size_t size;
    const char *text = legacy_value(in, prompt, &size);
    if (text)
        legacy_append(out, text, size);
    if (!prompt || prompt->type != RAIIAF_JSON_ARRAY)
        return;
    for (const legacy_json *part = prompt->child; part; part = part->next) {
        const legacy_json *weight = legacy_member(part, "weight");
        text = legacy_value(in, part->type == RAIIAF_JSON_OBJECT ? legacy_member(part, "prompt") : part, &size);
        if (!text)
            continue;
        while (out->size && size && (*text == ' ' || *text == ',')) {
            text++;
            size--;
        }
        legacy_append_string(out, out->size ? ", " : "");
        legacy_append(out, text, size);
        if (!weight || weight->type != RAIIAF_JSON_NUMBER)
            continue;
        legacy_append_string(weights, weights->size ? ", " : "[");
        legacy_append(weights, weight->spelling, weight->size);
    }
}

static bool import(legacy_input *in, legacy_output *out)
{
    static const legacy_map image_map[] = {{"prompt", NULL}, {NULL, NULL}};
    static const legacy_map root_map[] = {
        {"model_weights", "model_name"}, {"model_id", "model_name"}, {"image", NULL}, {"images", NULL}, {NULL, NULL}};
    const legacy_text *text = legacy_find(in, "png:", "sd-metadata");
    const legacy_json *root = legacy_parse(in, text->text, text->size), *image = legacy_member(root, "image");
    legacy_string prompt = {.in = in}, weights = {.in = in};
    if (!image)
        image = legacy_element(legacy_member(root, "images"), 0);
    if (!image)
        return false;
    legacy_set_tool(out, "InvokeAI", legacy_member_value(in, root, "app_version"));
    join_prompts(in, legacy_member(image, "prompt"), &prompt, &weights);
    if (prompt.text)
        legacy_set_bracketed(in, out, prompt.text, prompt.size);
    if (weights.size && strchr(weights.text, ',')) {
        legacy_append_string(&weights, "]");
        legacy_set_json(out, "weights", legacy_parse(in, weights.text, weights.size));
    }
    legacy_set_members(out, image, image_map);
    legacy_set_members(out, root, root_map);
    return true;
}

const legacy_driver legacy_invokeai_sdmetadata = {
    .name = "invokeai-sdmetadata",
    .title = "InvokeAI 2",
    .home = "https://github.com/invoke-ai/InvokeAI",
    .reads = "PNG sd-metadata",
    .identify = identify,
    .import = import,
};
