/* SPDX-License-Identifier: MIT */
/*
 * comfyui_graph.h - a ComfyUI graph, for the files of this driver alone.
 *
 * comfyui_graph.c holds the nodes and answers what a link leads to, comfyui_workflow.c and comfyui_widgets.c make a
 * graph of what the editor saves, comfyui_walk.c finds the sampler that made the image and its settings, comfyui_text.c
 * its prompts and comfyui_model.c its model and size, comfyui.c finds the texts and is the driver.
 *
 * A graph is hostile: it may be cyclic, deep, or a diamond of diamonds.  Whoever follows a link enters the node first,
 * which fails for a node that is being visited, below a depth, and when the graph's budget is used up; he leaves it
 * afterwards.
 */
#ifndef RAIIAF_LEGACY_COMFYUI_GRAPH_H
#define RAIIAF_LEGACY_COMFYUI_GRAPH_H

#include "driver.h"

typedef struct comfy_node {
    const char *id;
    size_t id_size;
    const legacy_json *type; /* a string */
    const legacy_json *inputs;
    size_t price;          /* of looking at it */
    bool busy;             /* being visited */
    bool seen;             /* by a search that asks each node once */
    bool sampler;          /* makes noise into a latent */
    signed char resamples; /* what another one sampled: 0 unknown, 1 yes, -1 no */
} comfy_node;

typedef struct comfy_graph {
    legacy_input *in;
    comfy_node *nodes;   /* in the file's order */
    comfy_node **sorted; /* by id */
    size_t count;
    size_t budget; /* of inputs that may still be looked at */
    unsigned depth;
    bool edited; /* as the editor has it: texts hold comments that the API isn't told */
} comfy_graph;

/* Of the API's object {"id": {"class_type", "inputs"}}; false if no node is in it. */
bool comfy_read_api(comfy_graph *graph, legacy_input *in, const legacy_json *root);
/* Of what the editor saves: {"nodes", "links"}. */
bool comfy_read_workflow(comfy_graph *graph, legacy_input *in, const legacy_json *root);

/* For the two above: room for `most` nodes; one more; the index, once all are there. */
bool comfy_begin(comfy_graph *graph, legacy_input *in, size_t most);
void comfy_add(comfy_graph *graph, const char *id, size_t size, const legacy_json *type, const legacy_json *inputs);
bool comfy_end(comfy_graph *graph);

/* An object of inputs that is being made: values under names, of which only name and name_size are looked at.  The
   value's contents are shared. */
typedef struct comfy_maker {
    legacy_input *in;
    legacy_json *object;
    const legacy_json **tail;
} comfy_maker;
bool comfy_make(comfy_maker *maker, legacy_input *in);
bool comfy_put(comfy_maker *maker, const legacy_json *name, const legacy_json *value);
legacy_json comfy_name(const char *name);
/* The values of an editor's node, under their names. */
void comfy_put_widgets(comfy_maker *maker, const legacy_json *node, const legacy_json *type);

bool comfy_enter(comfy_graph *graph, comfy_node *node);
/* For a search that remembers what it found out about each node: costs nothing. */
bool comfy_enter_once(comfy_graph *graph, comfy_node *node);
void comfy_leave(comfy_graph *graph, comfy_node *node);

/* What a string says or how a number is spelt; NULL for other values. */
const char *comfy_text(legacy_input *in, const legacy_json *value, size_t *size);
bool comfy_type_has(const comfy_node *node, const char *part);

/* The node that a value links to, or NULL if it's no link; `slot`, if given, gets the number of the output. */
comfy_node *comfy_link(const comfy_graph *graph, const legacy_json *value, int *slot);
comfy_node *comfy_linked(const comfy_graph *graph, const comfy_node *node, const char *name);

/* What a node hands through unchanged, the likeliest first: a switch's branches, a reroute's input. */
#define COMFY_ROUTES 16
size_t comfy_routes(comfy_graph *graph, comfy_node *node, const legacy_json *routes[COMFY_ROUTES]);

/* The first of the inputs of these names (ended by NULL) that is a number or a text that spells one; through links. */
const legacy_json *comfy_number(comfy_graph *graph, comfy_node *node, const char *const *names);
/* The same for a text that isn't empty. */
const legacy_json *comfy_string(comfy_graph *graph, comfy_node *node, const char *const *names);

/* ---- names of inputs ---- */

const legacy_json *comfy_first_input(const comfy_node *node);
bool comfy_named(const legacy_json *input, const char *name);
bool comfy_begins(const legacy_json *input, const char *start);
bool comfy_ends(const legacy_json *input, const char *end);
bool comfy_has_part(const legacy_json *input, const char *part);
/* Whether it has any of these inputs (NULL ends the names); the node that the first linked one of them leads to. */
bool comfy_has_any(const comfy_node *node, const char *const *names);
const comfy_node *comfy_any_linked(const comfy_graph *graph, const comfy_node *node, const char *const *names);
/* Links to several things in one: a model with its prompts, sizes and so on. */
bool comfy_is_bundle(const legacy_json *input);
/* Links to a latent, or to the image that becomes one. */
bool comfy_is_latent(const legacy_json *input);

/* ---- what a graph tells ---- */

void comfy_set_spelt(comfy_graph *graph, legacy_output *out, const char *name, const legacy_string *json);
/* What belongs to a sampler: prompts and guidance (comfyui_text.c), model and LoRAs, size (comfyui_model.c). */
void comfy_set_texts(comfy_graph *graph, comfy_node *sampler, legacy_output *out);
void comfy_set_model(comfy_graph *graph, comfy_node *sampler, legacy_output *out);
void comfy_set_size(comfy_graph *graph, comfy_node *sampler, legacy_output *out);

bool comfy_has_prompt(comfy_graph *graph, comfy_node *sampler);

/* Fills `out` from a graph; false if it samples nothing, then `out` is as it was. */
bool comfy_walk(comfy_graph *graph, legacy_output *out);
/* Whether the graph tells both prompt and seed. */
bool comfy_is_whole(comfy_graph *graph);

#endif
