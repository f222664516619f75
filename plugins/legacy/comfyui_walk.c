/* SPDX-License-Identifier: MIT */
/*
 * comfyui_walk.c - what made the image, told from a ComfyUI graph.
 *
 * A graph has any number of samplers; what people mean by "the seed" is the one of the pass that makes the picture from
 * noise: the base pass, which samples no other one's result.  From there text is looked for along the conditioning,
 * the size along the latent, the checkpoint along the model.  Nodes that nobody has heard of are followed where the
 * names of their inputs say what is passed on, and nothing is made up about the others.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "comfyui_graph.h"

#include <stdio.h>
#include <string.h>

#define PASSES_MOST 64

/* ---- samplers ---- */

static bool is_sampler(const comfy_graph *graph, const comfy_node *node)
{
    static const char *const consumed[] = {"model", "guider",     "latent_image", "latent",  "samples", "sdxl_tuple",
                                           "pipe",  "basic_pipe", "text_embeds",  "context", "ctx",     "base_ctx",
                                           NULL};
    static const char *const seeds[] = {"seed", "noise_seed", "noise", NULL};
    static const char *const steps[] = {"steps", "sigmas", NULL};
    static const char *const samplers[] = {"sampler_name", "sampler", NULL};
    bool carries = comfy_type_has(node, "Context") && !comfy_type_has(node, "Sampl"); /* what a sampler is to use */
    if (carries || !comfy_any_linked(graph, node, consumed))
        return false;
    return (comfy_has_any(node, seeds) && (comfy_has_any(node, steps) || comfy_linked(graph, node, "guider"))) ||
           (comfy_has_any(node, samplers) && comfy_has_any(node, steps) && legacy_member(node->inputs, "positive"));
}

/* Images are made by one node alone where a service makes them. */
static bool is_service(const comfy_node *node)
{
    return legacy_member(node->inputs, "prompt") && legacy_member(node->inputs, "seed");
}

/* A cascade's second stage takes the first one's result as a condition. */
static const legacy_json *cascade_stage(const comfy_graph *graph, const comfy_node *node)
{
    const comfy_node *conditioning = comfy_linked(graph, node, "positive");
    return node->sampler && conditioning ? legacy_member(conditioning->inputs, "stage_c") : NULL;
}

static bool resamples(comfy_graph *graph, comfy_node *node);

static bool comes_after(comfy_graph *graph, const comfy_node *node, const legacy_json *input)
{
    comfy_node *target = comfy_link(graph, input, NULL);
    return target && target != node && (target->sampler || resamples(graph, target));
}

/* Whether a sampler comes before the node. */
static bool resamples(comfy_graph *graph, comfy_node *node)
{
    bool found;
    if (node->resamples != 0)
        return node->resamples > 0;
    if (!comfy_enter_once(graph, node))
        return false;
    found = comes_after(graph, node, cascade_stage(graph, node));
    for (const legacy_json *input = comfy_first_input(node); input && !found; input = input->next)
        found = comfy_is_latent(input) && comes_after(graph, node, input);
    comfy_leave(graph, node);
    node->resamples = found ? 1 : -1;
    return found;
}

/* The base pass that is nearest to a node whose type says `output`; breadth first, each node once. */
static comfy_node *nearest(comfy_graph *graph, comfy_node **queue, const char *output)
{
    size_t head = 0, tail = 0;
    for (size_t i = 0; i < graph->count; i++) {
        graph->nodes[i].seen = comfy_type_has(&graph->nodes[i], output);
        if (graph->nodes[i].seen)
            queue[tail++] = &graph->nodes[i];
    }
    while (head < tail) {
        comfy_node *node = queue[head++];
        if (node->sampler && !resamples(graph, node))
            return node;
        for (const legacy_json *input = comfy_first_input(node); input; input = input->next) {
            comfy_node *target = comfy_link(graph, input, NULL);
            if (target && !target->seen) {
                target->seen = true;
                queue[tail++] = target;
            }
        }
    }
    return NULL;
}

static comfy_node *first_base(comfy_graph *graph)
{
    comfy_node *first = NULL;
    for (size_t i = 0; i < graph->count; i++) {
        comfy_node *node = &graph->nodes[i];
        if (!node->sampler)
            continue;
        if (!resamples(graph, node))
            return node;
        if (!first)
            first = node;
    }
    return first;
}

static bool find_samplers(comfy_graph *graph)
{
    bool any = false;
    for (size_t i = 0; i < graph->count; i++)
        any = (graph->nodes[i].sampler = is_sampler(graph, &graph->nodes[i])) || any;
    for (size_t i = 0; !any && i < graph->count; i++)
        any = graph->nodes[i].sampler = is_service(&graph->nodes[i]);
    return any;
}

static comfy_node *find_base(comfy_graph *graph)
{
    comfy_node **queue, *base;
    if (!find_samplers(graph) || !(queue = legacy_alloc(graph->in, graph->count * sizeof *queue)))
        return NULL;
    if (!(base = nearest(graph, queue, "Save")) && !(base = nearest(graph, queue, "Preview")))
        base = first_base(graph);
    return base;
}

/* ---- settings of a sampler ---- */

typedef const legacy_json *(*getter)(comfy_graph *graph, comfy_node *node, const char *const *names);

/* From the node behind an input, or from one behind that. */
static const legacy_json *beyond(comfy_graph *graph, comfy_node *node, const char *input, const char *const *names,
                                 getter get)
{
    const legacy_json *routes[COMFY_ROUTES], *found;
    comfy_node *target = comfy_linked(graph, node, input);
    if (!target || !comfy_enter(graph, target))
        return NULL;
    if (!(found = get(graph, target, names)) && !(found = beyond(graph, target, input, names, get))) {
        size_t count = comfy_routes(graph, target, routes);
        for (size_t i = 0; !found && i < count; i++) {
            comfy_node *next = comfy_link(graph, routes[i], NULL);
            found = next ? get(graph, next, names) : NULL;
        }
    }
    comfy_leave(graph, target);
    return found;
}

typedef struct pass_settings {
    const legacy_json *seed, *steps, *cfg, *sampler, *scheduler, *denoise;
} pass_settings;

static const legacy_json *either(const legacy_json *one, const legacy_json *other)
{
    return one ? one : other;
}

static pass_settings read_pass(comfy_graph *graph, comfy_node *node)
{
    static const char *const seed[] = {"seed", "noise_seed", NULL};
    static const char *const steps[] = {"steps", "steps_total", NULL};
    static const char *const cfg[] = {"cfg", "cfg_scale", "cfg_conds", "guidance_scale", NULL};
    static const char *const sampler[] = {"sampler_name", "sampler", NULL};
    static const char *const scheduler[] = {"scheduler", "scheduler_name", NULL};
    static const char *const denoise[] = {"denoise", NULL};
    return (pass_settings){
        .seed = either(comfy_number(graph, node, seed), beyond(graph, node, "noise", seed, comfy_number)),
        .steps = either(comfy_number(graph, node, steps), beyond(graph, node, "sigmas", steps, comfy_number)),
        .cfg = either(comfy_number(graph, node, cfg), beyond(graph, node, "guider", cfg, comfy_number)),
        .sampler = comfy_string(graph, node, sampler),
        .scheduler =
            either(comfy_string(graph, node, scheduler), beyond(graph, node, "sigmas", scheduler, comfy_string)),
        .denoise = either(comfy_number(graph, node, denoise), beyond(graph, node, "sigmas", denoise, comfy_number)),
    };
}

/* ---- what goes out ---- */

static void append_quoted(legacy_string *json, const char *text, size_t size)
{
    legacy_append_string(json, "\"");
    for (size_t i = 0; i < size; i++) {
        char escaped[8];
        if ((unsigned char)text[i] >= 0x20 && text[i] != '"' && text[i] != '\\') {
            legacy_append(json, &text[i], 1);
            continue;
        }
        snprintf(escaped, sizeof escaped, "\\u%04x", (unsigned)(unsigned char)text[i]);
        legacy_append_string(json, escaped);
    }
    legacy_append_string(json, "\"");
}

static void append_setting(legacy_string *json, const char *name, const legacy_json *value)
{
    legacy_append_string(json, ", \"");
    legacy_append_string(json, name);
    legacy_append_string(json, "\": ");
    if (value)
        legacy_append(json, value->spelling, value->size);
    else
        legacy_append_string(json, "null");
}

static void append_pass(comfy_graph *graph, legacy_string *json, comfy_node *node)
{
    pass_settings pass = read_pass(graph, node);
    legacy_append_string(json, json->size > 1 ? ", {\"id\": " : "{\"id\": ");
    append_quoted(json, node->id, node->id_size);
    append_setting(json, "class_type", node->type);
    append_setting(json, "seed", pass.seed);
    append_setting(json, "steps", pass.steps);
    append_setting(json, "cfg", pass.cfg);
    append_setting(json, "sampler", pass.sampler);
    append_setting(json, "scheduler", pass.scheduler);
    append_setting(json, "denoise", pass.denoise);
    legacy_append_string(json, "}");
}

/* All passes, the base first. */
static void set_passes(comfy_graph *graph, comfy_node *base, legacy_output *out)
{
    legacy_string json = {.in = graph->in};
    size_t count = 1;
    legacy_append_string(&json, "[");
    append_pass(graph, &json, base);
    for (size_t i = 0; i < graph->count && count < PASSES_MOST; i++)
        if (graph->nodes[i].sampler && &graph->nodes[i] != base) {
            append_pass(graph, &json, &graph->nodes[i]);
            count++;
        }
    legacy_append_string(&json, "]");
    comfy_set_spelt(graph, out, "sampler_passes", &json);
}

bool comfy_walk(comfy_graph *graph, legacy_output *out)
{
    static const char *const eta[] = {"eta", NULL};
    comfy_node *base = find_base(graph);
    if (!base)
        return false;
    pass_settings pass = read_pass(graph, base);
    comfy_set_texts(graph, base, out);
    legacy_set_json(out, "seed", pass.seed);
    legacy_set_json(out, "steps", pass.steps);
    legacy_set_json(out, "sampler", pass.sampler);
    legacy_set_json(out, "scheduler", pass.scheduler);
    legacy_set_json(out, "cfg_scale", pass.cfg);
    legacy_set_json(out, "eta", beyond(graph, base, "sampler", eta, comfy_number));
    comfy_set_model(graph, base, out);
    comfy_set_size(graph, base, out);
    set_passes(graph, base, out);
    return true;
}

bool comfy_is_whole(comfy_graph *graph)
{
    comfy_node *base = find_base(graph);
    return base && read_pass(graph, base).seed && comfy_has_prompt(graph, base);
}
