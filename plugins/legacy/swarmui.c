/* SPDX-License-Identifier: MIT */
/*
 * swarmui.c - SwarmUI: one JSON object, which names its settings in "sui_image_params".
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "driver.h"

static const legacy_text *find(legacy_input *in)
{
    return legacy_find_json(in, "\"sui_image_params\"");
}

static bool identify(legacy_input *in)
{
    return find(in) != NULL;
}

static void set_hash(legacy_output *out, const legacy_json *models)
{
    for (const legacy_json *model = models ? models->child : NULL; model; model = model->next)
        if (legacy_is(legacy_member(model, "param"), "model"))
            legacy_set_member(out, "model_hash", model, "hash");
}

static bool import(legacy_input *in, legacy_output *out)
{
    static const legacy_map map[] = {
        {"prompt", "prompt"},      {"negativeprompt", "negative_prompt"},
        {"seed", "seed"},          {"steps", "steps"},
        {"sampler", "sampler"},    {"scheduler", "scheduler"},
        {"cfgscale", "cfg_scale"}, {"fluxguidancescale", "guidance"},
        {"model", "model_name"},   {"width", "width"},
        {"height", "height"},      {NULL, NULL},
    };
    static const legacy_map apart[] = {{"sui_image_params", NULL}, {NULL, NULL}};
    const legacy_text *text = find(in);
    const legacy_json *root = legacy_parse(in, text->text, text->size);
    const legacy_json *params = legacy_member(root, "sui_image_params"), *extra = legacy_member(root, "sui_extra_data");
    if (!params || params->type != RAIIAF_JSON_OBJECT)
        return false;
    legacy_set_tool(out, "SwarmUI", legacy_member_value(in, params, "swarm_version"));
    legacy_set_members(out, params, map);
    set_hash(out, legacy_member(root, "sui_models"));
    legacy_set_member(out, "date", extra, "date");
    legacy_set_members(out, root, apart);
    return true;
}

const legacy_driver legacy_swarmui = {
    .name = "swarmui",
    .title = "SwarmUI",
    .home = "https://github.com/mcmonkeyprojects/SwarmUI",
    .reads = "PNG parameters, UserComment, Exif Model: JSON with sui_image_params",
    .identify = identify,
    .import = import,
};
