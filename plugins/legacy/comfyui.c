/* SPDX-License-Identifier: MIT */
/*
 * comfyui.c - ComfyUI, whose images carry the graph that made them.
 *
 * The graph is in PNG as "prompt" (the API's) and "workflow" (the editor's), in Exif as "prompt:{...}" in Make, Model,
 * ImageDescription or whichever tag was free, or both in one object in UserComment.  Custom savers add the text of
 * A1111's family, often less true than the graph.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "comfyui_graph.h"

#include <string.h>

/* ---- where a graph is ---- */

static const char *skip_space(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || (*at >= '\t' && *at <= '\r')))
        at++;
    return at;
}

static bool same_letters(const char *text, const char *word, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if ((text[i] | 0x20) != word[i])
            return false;
    return true;
}

/* Where the object begins, after "Workflow: " and the like; NULL if there is none. */
static const char *object_of(const legacy_text *text)
{
    static const char *const names[] = {"prompt", "workflow"};
    const char *end = text->text + text->size, *at = skip_space(text->text, end);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t size = strlen(names[i]);
        if ((size_t)(end - at) <= size || !same_letters(at, names[i], size))
            continue;
        const char *colon = skip_space(at + size, end);
        if (colon < end && *colon == ':')
            at = skip_space(colon + 1, end);
    }
    return at < end && *at == '{' ? at : NULL;
}

static bool may_be_api(const legacy_text *text)
{
    return object_of(text) && legacy_contains(text, "class_type");
}

static bool may_be_workflow(const legacy_text *text)
{
    return object_of(text) && legacy_contains(text, "\"nodes\"") && legacy_contains(text, "\"links\"");
}

static bool is_api(const legacy_json *object)
{
    for (const legacy_json *node = object ? object->child : NULL; node; node = node->next)
        if (node->type == RAIIAF_JSON_OBJECT && legacy_member(node, "class_type"))
            return object->type == RAIIAF_JSON_OBJECT;
    return false;
}

/* An object, or the text of one. */
static const legacy_json *member_object(legacy_input *in, const legacy_json *object, const char *name)
{
    const legacy_json *value = legacy_member(object, name);
    size_t size;
    const char *text;
    if (!value || value->type != RAIIAF_JSON_STRING)
        return value;
    text = legacy_value(in, value, &size);
    return text ? legacy_parse(in, text, size) : NULL;
}

static const legacy_json *parse(legacy_input *in, const legacy_text *text)
{
    const char *start = object_of(text);
    return legacy_parse(in, start, text->size - (size_t)(start - text->text));
}

static bool read_api(legacy_input *in, const legacy_json *object, comfy_graph *graph)
{
    static const char *const names[] = {"prompt", "output", "Prompt"};
    if (is_api(object))
        return comfy_read_api(graph, in, object);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const legacy_json *inner = member_object(in, object, names[i]);
        if (is_api(inner))
            return comfy_read_api(graph, in, inner);
    }
    return false;
}

static bool read_workflow(legacy_input *in, const legacy_json *object, comfy_graph *graph)
{
    const legacy_json *inner = member_object(in, object, "workflow");
    return comfy_read_workflow(graph, in, object) || (inner && comfy_read_workflow(graph, in, inner));
}

/* The API's graph before the editor's, the last one before those that it replaces. */
static bool read_graph(legacy_input *in, comfy_graph *graph)
{
    for (int again = 0; again < 2; again++)
        for (size_t i = legacy_count(in); i-- > 0;) {
            const legacy_text *text = legacy_at(in, i);
            bool late = strcmp(text->keyword, "workflow") == 0; /* long, and hardly ever it */
            if (late == again && may_be_api(text) && read_api(in, parse(in, text), graph))
                return true;
        }
    for (size_t i = legacy_count(in); i-- > 0;)
        if (may_be_workflow(legacy_at(in, i)) && read_workflow(in, parse(in, legacy_at(in, i)), graph))
            return true;
    return false;
}

/* ---- drivers ---- */

static bool identify(legacy_input *in)
{
    for (size_t i = 0; i < legacy_count(in); i++)
        if (may_be_api(legacy_at(in, i)) || may_be_workflow(legacy_at(in, i)))
            return true;
    return false;
}

/* A graph that samples nothing, such as one that only scales an image, is ComfyUI's all the same. */
static bool import(legacy_input *in, legacy_output *out)
{
    comfy_graph graph;
    if (!read_graph(in, &graph))
        return false;
    legacy_set_tool(out, "ComfyUI", NULL);
    comfy_walk(&graph, out);
    return true;
}

bool legacy_import_graph(legacy_input *in, legacy_output *out)
{
    comfy_graph graph;
    return identify(in) && read_graph(in, &graph) && comfy_walk(&graph, out);
}

const legacy_driver legacy_comfyui = {
    .name = "comfyui",
    .title = "ComfyUI",
    .home = "https://github.com/comfyanonymous/ComfyUI",
    .reads = "PNG prompt, workflow, comf; Exif Make, Model, ImageDescription, UserComment",
    .identify = identify,
    .import = import,
};

static bool identify_saver(legacy_input *in)
{
    const legacy_text *text = legacy_find_parameters(in);
    const char *version = text ? legacy_parameter(in, text->text, text->size, "Version") : NULL;
    return text && ((version && strncmp(version, "ComfyUI", 7) == 0) || identify(in));
}

/* The graph, if it tells prompt and seed, else the text before what the graph tells; never a bit of either. */
static bool import_saver(legacy_input *in, legacy_output *out)
{
    const legacy_text *text = legacy_find_parameters(in);
    comfy_graph graph;
    bool read = read_graph(in, &graph);
    legacy_set_tool(out, "ComfyUI", NULL);
    if (read && comfy_is_whole(&graph)) {
        comfy_walk(&graph, out);
        legacy_set(out, "parameters", text->text, text->size);
        return true;
    }
    if (!legacy_import_parameters(in, out, text->text, text->size))
        return false;
    if (read)
        comfy_walk(&graph, out);
    return true;
}

const legacy_driver legacy_comfyui_a1111 = {
    .name = "comfyui-a1111",
    .title = "ComfyUI with a saver that writes A1111's text",
    .home = "https://github.com/comfyanonymous/ComfyUI",
    .reads = "PNG parameters, UserComment; PNG prompt, workflow",
    .identify = identify_saver,
    .import = import_saver,
};
