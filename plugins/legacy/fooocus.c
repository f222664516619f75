/* SPDX-License-Identifier: MIT */
/*
 * fooocus.c - Fooocus, in both of its schemes: JSON of its own, or A1111's text.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "driver.h"

#include <string.h>

/* The text of settings: PNG's "parameters", or a UserComment where the software names itself. */
static const legacy_text *find_settings(legacy_input *in)
{
    const legacy_text *text = legacy_find(in, "png:", "parameters");
    return text ? text : legacy_find(in, "", "UserComment");
}

static const char *version_of(legacy_input *in, const legacy_text *text)
{
    const legacy_text *software = legacy_find(in, "", "Software");
    if (legacy_begins(software, "Fooocus"))
        return software->text;
    return text && !legacy_looks_json(text) ? legacy_parameter(in, text->text, text->size, "Version") : NULL;
}

/* Its settings as JSON tell who wrote them, or the file does, or what only it calls so is there. */
static bool is_own_json(legacy_input *in, const legacy_text *text)
{
    if (legacy_contains(text, "\"real_prompt\"") || legacy_contains(text, "MoonRide"))
        return false;
    if (legacy_contains(text, "\"Base Model\""))
        return legacy_contains(text, "\"Fooocus v");
    return legacy_contains(text, "\"base_model\"") &&
           (legacy_contains(text, "\"metadata_scheme\"") || legacy_contains(text, "\"Fooocus v") ||
            version_of(in, text) ||
            (legacy_contains(text, "\"prompt\"") && legacy_contains(text, "\"guidance_scale\"")));
}

static bool identify(legacy_input *in)
{
    const legacy_text *text = find_settings(in);
    const char *version;
    if (!text)
        return false;
    if (legacy_find(in, "png:", "fooocus_scheme"))
        return true;
    if (legacy_looks_json(text))
        return is_own_json(in, text);
    version = version_of(in, text);
    return version && strncmp(version, "Fooocus", 7) == 0 && legacy_is_parameters(text->text, text->size);
}

static bool import_json(legacy_input *in, legacy_output *out, const legacy_json *root)
{
    /* The second names are those of its pages, which its first versions wrote. */
    static const legacy_map map[] = {
        {"Prompt", "prompt"},
        {"Negative Prompt", "negative_prompt"},
        {"Seed", "seed"},
        {"Steps", "steps"},
        {"Sampler", "sampler"},
        {"Scheduler", "scheduler"},
        {"guidance_scale", "cfg_scale"},
        {"Guidance Scale", "cfg_scale"},
        {"base_model", "model_name"},
        {"Base Model", "model_name"},
        {"base_model_hash", "model_hash"},
        {"resolution", NULL},
        {"Resolution", NULL},
        {"metadata_scheme", NULL},
        {NULL, NULL},
    };
    size_t size;
    const char *resolution = legacy_value(in, legacy_member(root, "resolution"), &size);
    if (!resolution)
        resolution = legacy_value(in, legacy_member(root, "Resolution"), &size);
    if (!root || root->type != RAIIAF_JSON_OBJECT)
        return false;
    legacy_set_tool(out, legacy_member_value(in, root, "version"), NULL);
    legacy_set_tool(out, legacy_member_value(in, root, "Version"), NULL);
    if (resolution)
        legacy_set_size(out, resolution, size);
    legacy_set_members(out, root, map);
    return true;
}

static bool import(legacy_input *in, legacy_output *out)
{
    const legacy_text *text = find_settings(in);
    if (legacy_looks_json(text))
        return import_json(in, out, legacy_parse(in, text->text, text->size));
    const char *version = version_of(in, text);
    legacy_set_tool(out, version ? version : "Fooocus", NULL);
    return legacy_import_parameters(in, out, text->text, text->size);
}

const legacy_driver legacy_fooocus = {
    .name = "fooocus",
    .title = "Fooocus",
    .home = "https://github.com/lllyasviel/Fooocus",
    .reads = "PNG parameters beside fooocus_scheme; UserComment",
    .identify = identify,
    .import = import,
};
