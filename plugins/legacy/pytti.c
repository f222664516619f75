/* SPDX-License-Identifier: MIT */
/*
 * pytti.c - pytti: the settings of a run, in a file beside its images.
 *
 * "default_settings.txt" is about "default_1.png" and those that follow; its first line is JSON.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "driver.h"

#include <string.h>

static const char *settings_name(legacy_input *in)
{
    const char *name = legacy_file_name(in), *gap = strrchr(name, '_');
    if (!gap || gap[1] < '0' || gap[1] > '9')
        return NULL;
    for (const char *at = gap + 1; *at != '.'; at++)
        if (*at < '0' || *at > '9')
            return NULL;
    legacy_string out = {.in = in};
    legacy_append(&out, name, (size_t)(gap + 1 - name));
    return legacy_append_string(&out, "settings.txt") ? out.text : NULL;
}

static const legacy_text *find_settings(legacy_input *in)
{
    const char *name = settings_name(in);
    const legacy_text *text = name ? legacy_sidecar(in, name) : NULL;
    return text && legacy_looks_json(text) && legacy_contains(text, "\"scenes\"") ? text : NULL;
}

static bool identify(legacy_input *in)
{
    return find_settings(in) != NULL;
}

/* Scenes, each between the prefix and the suffix that belong to all. */
static void set_scenes(legacy_input *in, legacy_output *out, const legacy_json *root)
{
    size_t size, prefix_size, suffix_size;
    const char *scenes = legacy_value(in, legacy_member(root, "scenes"), &size);
    const char *prefix = legacy_value(in, legacy_member(root, "scene_prefix"), &prefix_size);
    const char *suffix = legacy_value(in, legacy_member(root, "scene_suffix"), &suffix_size);
    legacy_string text = {.in = in};
    for (const char *at = scenes, *end = scenes ? scenes + size : NULL; at && at <= end;) {
        const char *stop = memmem(at, (size_t)(end - at), "||", 2);
        legacy_append_string(&text, at > scenes ? " || " : "");
        if (prefix)
            legacy_append(&text, prefix, prefix_size);
        legacy_append(&text, at, (size_t)((stop ? stop : end) - at));
        if (suffix)
            legacy_append(&text, suffix, suffix_size);
        at = stop ? stop + 2 : NULL;
    }
    legacy_set(out, "prompt", text.text, text.size);
}

static bool import(legacy_input *in, legacy_output *out)
{
    static const legacy_map map[] = {{"steps_per_scene", "steps"}, {"image_model", "model_name"}, {NULL, NULL}};
    const legacy_text *text = find_settings(in);
    if (!text)
        return false;
    const char *stop = memchr(text->text, '\n', text->size);
    const legacy_json *root = legacy_parse(in, text->text, stop ? (size_t)(stop - text->text) : text->size);
    if (!root)
        root = legacy_parse(in, text->text, text->size);
    if (!root || root->type != RAIIAF_JSON_OBJECT)
        return false;
    legacy_set_tool(out, "pytti", NULL);
    set_scenes(in, out, root);
    legacy_set_member(out, "seed", root, "seed");
    if (!legacy_has(out, "seed")) /* it may be negative here */
        legacy_set_member(out, "seed_raw", root, "seed");
    legacy_set_members(out, root, map);
    return true;
}

const legacy_driver legacy_pytti = {
    .name = "pytti",
    .title = "pytti",
    .home = "https://github.com/pytti-tools/pytti-core",
    .reads = "NAMESPACE_settings.txt",
    .identify = identify,
    .import = import,
};
