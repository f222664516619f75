/* SPDX-License-Identifier: MIT */
/*
 * invokeai_v3.c - InvokeAI since version 3: JSON of the settings, or of the graph that they are a node of.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "driver.h"

#include <string.h>

static bool identify(legacy_input *in)
{
    const legacy_text *metadata = legacy_find(in, "png:", "invokeai_metadata");
    const legacy_text *graph = legacy_find(in, "png:", "invokeai_graph");
    return legacy_looks_json(metadata) || legacy_contains(graph, "core_metadata") ||
           legacy_contains(graph, "metadata_accumulator");
}

static const legacy_json *parse(legacy_input *in, const char *keyword)
{
    const legacy_text *text = legacy_find(in, "png:", keyword);
    return text ? legacy_parse(in, text->text, text->size) : NULL;
}

/* The node of the graph that gathers what the metadata are made of; the second is how 3.0 calls it. */
static const legacy_json *find_core(const legacy_json *graph)
{
    const legacy_json *nodes = legacy_member(graph, "nodes");
    if (!nodes || nodes->type != RAIIAF_JSON_OBJECT)
        return NULL;
    for (const legacy_json *node = nodes->child; node; node = node->next)
        if (legacy_is(legacy_member(node, "type"), "core_metadata") ||
            legacy_is(legacy_member(node, "type"), "metadata_accumulator"))
            return node;
    return NULL;
}

static bool same(const legacy_json *a, const legacy_json *b)
{
    return a && b && a->size == b->size && memcmp(a->spelling, b->spelling, a->size) == 0;
}

/* What an edge brings to a field of that node: the value of the node that it comes from. */
static const legacy_json *edge_value(const legacy_json *graph, const legacy_json *core, const legacy_json *edge)
{
    const legacy_json *to = legacy_member(edge, "destination"), *from = legacy_member(edge, "source");
    const legacy_json *nodes = legacy_member(graph, "nodes");
    if (!same(legacy_member(to, "node_id"), legacy_member(core, "id")) || !nodes)
        return NULL;
    for (const legacy_json *node = nodes->child; node; node = node->next)
        if (same(legacy_member(node, "id"), legacy_member(from, "node_id")))
            return legacy_member(node, "value");
    return NULL;
}

static void set_edges(legacy_input *in, legacy_output *out, const legacy_json *graph, const legacy_json *core)
{
    static const char *const fields[][2] = {
        {"positive_prompt", "prompt"},
        {"negative_prompt", "negative_prompt"},
        {"seed", "seed"},
        {"steps", "steps"},
        {"scheduler", "sampler"},
        {"cfg_scale", "cfg_scale"},
        {"guidance", "guidance"},
        {"width", "width"},
        {"height", "height"},
    };
    const legacy_json *edges = legacy_member(graph, "edges");
    (void)in;
    if (!core || !edges || edges->type != RAIIAF_JSON_ARRAY)
        return;
    for (const legacy_json *edge = edges->child; edge; edge = edge->next) {
        const legacy_json *field = legacy_member(legacy_member(edge, "destination"), "field");
        const legacy_json *value = edge_value(graph, core, edge);
        for (size_t i = 0; value && i < sizeof fields / sizeof *fields; i++)
            if (legacy_is(field, fields[i][0]))
                legacy_set_json(out, fields[i][1], value);
    }
}

static void set_model(legacy_output *out, const legacy_json *model)
{
    if (model && model->type != RAIIAF_JSON_OBJECT)
        legacy_set_json(out, "model_name", model);
    legacy_set_member(out, "model_name", model, "model_name"); /* 3.x */
    legacy_set_member(out, "model_name", model, "name");
    legacy_set_member(out, "model_hash", model, "hash");
}

static bool import(legacy_input *in, legacy_output *out)
{
    static const legacy_map map[] = {
        {"positive_prompt", "prompt"}, {"scheduler", "sampler"}, {"id", NULL}, {"type", NULL},
        {"is_intermediate", NULL},     {"use_cache", NULL},      {NULL, NULL}};
    const legacy_json *metadata = parse(in, "invokeai_metadata"), *graph = NULL, *core = NULL;
    if (!metadata || metadata->type != RAIIAF_JSON_OBJECT || !metadata->child) {
        graph = parse(in, "invokeai_graph");
        metadata = core = find_core(graph);
    }
    if (!metadata)
        return false;
    legacy_set_tool(out, "InvokeAI", legacy_member_value(in, metadata, "app_version"));
    set_model(out, legacy_member(metadata, "model"));
    legacy_set_members(out, metadata, map);
    set_edges(in, out, graph, core);
    return true;
}

const legacy_driver legacy_invokeai_v3 = {
    .name = "invokeai-v3",
    .title = "InvokeAI 3 and later",
    .home = "https://github.com/invoke-ai/InvokeAI",
    .reads = "PNG invokeai_metadata, invokeai_graph",
    .identify = identify,
    .import = import,
};
