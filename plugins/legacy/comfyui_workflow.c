/* SPDX-License-Identifier: MIT */
/*
 * comfyui_workflow.c - a graph of what the editor saves, where the API's graph isn't there.
 *
 * The editor's nodes have inputs that name a link, and widgets whose values are listed by position alone.  What the
 * positions mean is told by the inputs that newer editors list for each widget, or, for the nodes that matter, by a
 * table.  Values of other nodes stay unknown.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "comfyui_graph.h"

#include <stdlib.h>
#include <string.h>

#define BYPASSED_MOST 64 /* nodes in a row */
#define BUDGET ((size_t)1 << 20)

/* The widgets of a node type, in order, without the one that tells what becomes of a seed after each run. */
static const struct {
    const char *type, *widgets[12];
} known[] = {
    {"KSampler", {"seed", "steps", "cfg", "sampler_name", "scheduler", "denoise"}},
    {"KSamplerAdvanced",
     {"add_noise", "noise_seed", "steps", "cfg", "sampler_name", "scheduler", "start_at_step", "end_at_step",
      "return_with_leftover_noise"}},
    {"KSampler (Efficient)", {"seed", "steps", "cfg", "sampler_name", "scheduler", "denoise"}},
    {"SamplerCustom", {"add_noise", "noise_seed", "cfg"}},
    {"RandomNoise", {"noise_seed"}},
    {"KSamplerSelect", {"sampler_name"}},
    {"BasicScheduler", {"scheduler", "steps", "denoise"}},
    {"SDTurboScheduler", {"steps", "denoise"}},
    {"KarrasScheduler", {"steps", "sigma_max", "sigma_min", "rho"}},
    {"ExponentialScheduler", {"steps", "sigma_max", "sigma_min"}},
    {"LTXVScheduler", {"steps", "max_shift", "base_shift", "stretch", "terminal"}},
    {"Flux2Scheduler", {"steps", "width", "height"}},
    {"CFGGuider", {"cfg"}},
    {"DualCFGGuider", {"cfg_conds", "cfg_cond2_negative"}},
    {"FluxGuidance", {"guidance"}},
    {"CLIPTextEncode", {"text"}},
    {"CLIPTextEncodeFlux", {"clip_l", "t5xxl", "guidance"}},
    {"CLIPTextEncodeSD3", {"clip_l", "clip_g", "t5xxl", "empty_padding"}},
    {"CLIPTextEncodeSDXL",
     {"width", "height", "crop_w", "crop_h", "target_width", "target_height", "text_g", "text_l"}},
    {"CLIPTextEncodeSDXLRefiner", {"ascore", "width", "height", "text"}},
    {"TextEncodeQwenImageEdit", {"prompt"}},
    {"TextEncodeQwenImageEditPlus", {"prompt"}},
    {"GLIGENTextBoxApply", {"text", "width", "height", "x", "y"}},
    {"CheckpointLoaderSimple", {"ckpt_name"}},
    {"CheckpointLoader", {"config_name", "ckpt_name"}},
    {"unCLIPCheckpointLoader", {"ckpt_name"}},
    {"ImageOnlyCheckpointLoader", {"ckpt_name"}},
    {"CheckpointLoaderNF4", {"ckpt_name"}},
    {"UNETLoader", {"unet_name", "weight_dtype"}},
    {"UnetLoaderGGUF", {"unet_name"}},
    {"LoraLoader", {"lora_name", "strength_model", "strength_clip"}},
    {"LoraLoaderModelOnly", {"lora_name", "strength_model"}},
    {"EmptyLatentImage", {"width", "height", "batch_size"}},
    {"EmptySD3LatentImage", {"width", "height", "batch_size"}},
    {"EmptyFlux2LatentImage", {"width", "height", "batch_size"}},
    {"EmptyHunyuanLatentVideo", {"width", "height", "length", "batch_size"}},
    {"EmptyHunyuanImageLatent", {"width", "height", "batch_size"}},
    {"EmptyLTXVLatentVideo", {"width", "height", "length", "batch_size"}},
    {"EmptyMochiLatentVideo", {"width", "height", "length", "batch_size"}},
    {"StableCascade_EmptyLatentImage", {"width", "height", "compression", "batch_size"}},
    {"LatentUpscale", {"upscale_method", "width", "height", "crop"}},
    {"SVD_img2vid_Conditioning", {"width", "height", "video_frames", "motion_bucket_id", "fps", "augmentation_level"}},
    {"WanImageToVideo", {"width", "height", "length", "batch_size"}},
    {"PrimitiveNode", {"value"}},
    {"PrimitiveInt", {"value"}},
    {"PrimitiveFloat", {"value"}},
    {"PrimitiveString", {"value"}},
    {"PrimitiveStringMultiline", {"value"}},
    {"PrimitiveBoolean", {"value"}},
    {"StringConcatenate", {"string_a", "string_b", "delimiter"}},
    {"Seed (rgthree)", {"seed"}},
    {"ShowText|pysssss", {"text_0"}},
};

/* ---- what the editor saves ---- */

typedef struct map_entry {
    const char *key;
    size_t size;
    const legacy_json *value;  /* a node's inputs; the id of the node that a link comes from; the id of a link */
    const legacy_json *output; /* a node's outputs; the number of the one that a link comes from */
    uint64_t mode;             /* of a node */
} map_entry;

typedef struct name_map {
    map_entry *entries;
    size_t count;
} name_map;

typedef struct editor_graph {
    legacy_input *in;
    name_map links; /* by id */
    name_map nodes; /* by id */
    name_map sets;  /* the SetNodes, by the name under which each keeps a value */
    size_t budget;  /* of inputs of bypassed nodes that may still be looked at */
} editor_graph;

static int by_key(const void *a, const void *b)
{
    const map_entry *one = a, *other = b;
    int order = memcmp(one->key, other->key, one->size < other->size ? one->size : other->size);
    return order != 0 ? order : (one->size > other->size) - (one->size < other->size);
}

static map_entry *add(legacy_input *in, name_map *map, const legacy_json *key, const legacy_json *value)
{
    map_entry *entry = &map->entries[map->count];
    if (!(entry->key = comfy_text(in, key, &entry->size)))
        return NULL;
    entry->value = value;
    map->count++;
    return entry;
}

static void sort(name_map *map)
{
    if (map->count > 0)
        qsort(map->entries, map->count, sizeof *map->entries, by_key);
}

static const map_entry *lookup(legacy_input *in, const name_map *map, const legacy_json *key)
{
    map_entry wanted = {0};
    if (!(wanted.key = comfy_text(in, key, &wanted.size)) || map->count == 0)
        return NULL;
    return bsearch(&wanted, map->entries, map->count, sizeof *map->entries, by_key);
}

static size_t length(const legacy_json *array)
{
    size_t count = 0;
    for (const legacy_json *element = array ? array->child : NULL; element; element = element->next)
        count++;
    return count;
}

/* Part of a link: [id, from, output, to, input, type], or an object with names. */
static const legacy_json *link_part(const legacy_json *link, size_t i)
{
    static const char *const names[] = {"id", "origin_id", "origin_slot"};
    return link && link->type == RAIIAF_JSON_OBJECT ? legacy_member(link, names[i]) : legacy_element(link, i);
}

static const legacy_json *widget(const legacy_json *node, size_t i)
{
    return legacy_element(legacy_member(node, "widgets_values"), i);
}

typedef enum mode { ALWAYS = 0, NEVER = 2, BYPASS = 4 } mode;

static uint64_t mode_of(const legacy_json *node)
{
    uint64_t number;
    return legacy_uint64(legacy_member(node, "mode"), &number) ? number : ALWAYS;
}

static void add_link(editor_graph *editor, const legacy_json *link)
{
    map_entry *entry = add(editor->in, &editor->links, link_part(link, 0), link_part(link, 1));
    if (entry)
        entry->output = link_part(link, 2);
}

static void add_node(editor_graph *editor, const legacy_json *node)
{
    const legacy_json *inputs = legacy_member(node, "inputs");
    map_entry *entry = add(editor->in, &editor->nodes, legacy_member(node, "id"), inputs);
    if (entry) {
        entry->output = legacy_member(node, "outputs");
        entry->mode = mode_of(node);
    }
    if (legacy_is(legacy_member(node, "type"), "SetNode"))
        add(editor->in, &editor->sets, widget(node, 0), legacy_member(legacy_element(inputs, 0), "link"));
}

static bool read_editor(editor_graph *editor, legacy_input *in, const legacy_json *root)
{
    const legacy_json *links = legacy_member(root, "links"), *nodes = legacy_member(root, "nodes");
    size_t link_count = length(links), node_count = length(nodes);
    map_entry *entries = legacy_alloc(in, (link_count + 2 * node_count + 1) * sizeof *entries);
    *editor = (editor_graph){.in = in,
                             .budget = BUDGET,
                             .links.entries = entries,
                             .nodes.entries = entries + link_count,
                             .sets.entries = entries + link_count + node_count};
    if (!entries || node_count == 0)
        return false;
    for (const legacy_json *link = links ? links->child : NULL; link; link = link->next)
        add_link(editor, link);
    for (const legacy_json *node = nodes->child; node; node = node->next)
        add_node(editor, node);
    sort(&editor->links);
    sort(&editor->nodes);
    sort(&editor->sets);
    return true;
}

/* ---- links ---- */

static bool same(legacy_input *in, const legacy_json *a, const legacy_json *b)
{
    size_t size, other;
    const char *text = comfy_text(in, a, &size), *with = comfy_text(in, b, &other);
    return text && with && size == other && memcmp(text, with, size) == 0;
}

/* legacy_member at the budget's cost. */
static const legacy_json *member(editor_graph *editor, const legacy_json *object, const char *name)
{
    size_t size = strlen(name);
    for (const legacy_json *found = object ? object->child : NULL; found && editor->budget > 0; found = found->next) {
        editor->budget--;
        if (found->name && found->name_size == size && memcmp(found->name, name, size) == 0)
            return found;
    }
    return NULL;
}

/* The link into a bypassed node that its output hands on: of the first input of the same type. */
static const legacy_json *bypass(editor_graph *editor, const map_entry *node, const legacy_json *output)
{
    const legacy_json *type = NULL;
    uint64_t number;
    if (legacy_uint64(output, &number) && number < 256)
        type = member(editor, legacy_element(node->output, (size_t)number), "type");
    for (const legacy_json *input = node->value ? node->value->child : NULL; type && input; input = input->next)
        if (same(editor->in, type, member(editor, input, "type")))
            return member(editor, input, "link");
    return NULL;
}

/* An object that is being made. */
typedef struct object_maker {
    legacy_input *in;
    legacy_json *object;
    const legacy_json **tail;
} object_maker;

static bool begin(object_maker *maker, legacy_input *in)
{
    maker->in = in;
    maker->object = legacy_alloc(in, sizeof *maker->object);
    if (!maker->object)
        return false;
    maker->object->type = RAIIAF_JSON_OBJECT;
    maker->tail = &maker->object->child;
    return true;
}

/* Appends a member with the name of another; the value's contents are shared. */
static legacy_json *put(object_maker *maker, const legacy_json *name, const legacy_json *value)
{
    legacy_json *member = legacy_alloc(maker->in, sizeof *member);
    if (!member)
        return NULL;
    *member = *value;
    member->name = name->name;
    member->name_size = name->name_size;
    member->next = NULL;
    *maker->tail = member;
    maker->tail = &member->next;
    return member;
}

/* Puts the API's [node, output] for a link's id, past nodes that are bypassed; nothing if nothing comes through it. */
static void put_link(editor_graph *editor, object_maker *maker, const legacy_json *name, const legacy_json *id)
{
    for (int i = 0; i < BYPASSED_MOST; i++) {
        const map_entry *link = lookup(editor->in, &editor->links, id);
        const map_entry *from = link ? lookup(editor->in, &editor->nodes, link->value) : NULL;
        if (!from || !link->output || from->mode == NEVER)
            return;
        if (from->mode == BYPASS) {
            id = bypass(editor, from, link->output);
            continue;
        }
        legacy_json *pair = legacy_alloc(editor->in, 2 * sizeof *pair);
        if (!pair)
            return;
        pair[0] = *link->value;
        pair[0].next = &pair[1];
        pair[1] = *link->output;
        pair[1].next = NULL;
        put(maker, name, &(legacy_json){.type = RAIIAF_JSON_ARRAY, .child = pair});
        return;
    }
}

/* ---- widgets ---- */

static legacy_json named(const char *name)
{
    return (legacy_json){.name = name, .name_size = strlen(name)};
}

static bool is_any(const legacy_json *value, const char *const *words)
{
    for (; *words; words++)
        if (legacy_is(value, *words))
            return true;
    return false;
}

/* What becomes of a seed after each run: a widget after it that no name is listed for. */
static bool is_control(const legacy_json *value)
{
    static const char *const words[] = {"fixed", "increment", "decrement", "randomize", "increment-wrap", NULL};
    return value && (value->type == RAIIAF_JSON_BOOLEAN || is_any(value, words));
}

static bool has_control(const legacy_json *name)
{
    static const char *const names[] = {"seed", "noise_seed", "value"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (name->name_size == strlen(names[i]) && memcmp(name->name, names[i], name->name_size) == 0)
            return true;
    return false;
}

/* Puts a value under its name; the one after it. */
static const legacy_json *put_value(object_maker *maker, const legacy_json *name, const legacy_json *value)
{
    if (!value)
        return NULL;
    put(maker, name, value);
    value = value->next;
    return has_control(name) && is_control(value) ? value->next : value;
}

static bool put_by_table(object_maker *maker, const legacy_json *type, const legacy_json *value)
{
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (!legacy_is(type, known[i].type))
            continue;
        for (size_t j = 0; j < sizeof known[i].widgets / sizeof *known[i].widgets && known[i].widgets[j]; j++) {
            const legacy_json name = named(known[i].widgets[j]);
            value = put_value(maker, &name, value);
        }
        return true;
    }
    return false;
}

/* By the inputs that newer editors list for the widgets, if they are as many as the values. */
static void put_by_inputs(object_maker *maker, const legacy_json *inputs, const legacy_json *value)
{
    const legacy_json **before = maker->tail;
    bool fits = true;
    for (const legacy_json *input = inputs ? inputs->child : NULL; input && fits; input = input->next) {
        size_t size;
        const char *text = legacy_value(maker->in, legacy_member(legacy_member(input, "widget"), "name"), &size);
        const legacy_json name = {.name = text, .name_size = size};
        fits = !text || value;
        if (text)
            value = put_value(maker, &name, value);
    }
    if (!fits || value) {
        maker->tail = before;
        *before = NULL;
    }
}

static void put_widgets(object_maker *maker, const legacy_json *node, const legacy_json *type)
{
    const legacy_json *values = legacy_member(node, "widgets_values"), *value = values ? values->child : NULL;
    if (values && values->type == RAIIAF_JSON_OBJECT)
        for (; value; value = value->next)
            put(maker, value, value);
    else if (!put_by_table(maker, type, value))
        put_by_inputs(maker, legacy_member(node, "inputs"), value);
}

/* Links come after values: where an input has both, the link counts. */
static void put_links(editor_graph *editor, object_maker *maker, const legacy_json *node)
{
    const legacy_json *inputs = legacy_member(node, "inputs");
    for (const legacy_json *input = inputs ? inputs->child : NULL; input; input = input->next) {
        size_t size;
        const char *text = legacy_value(editor->in, legacy_member(input, "name"), &size);
        const legacy_json name = {.name = text, .name_size = size};
        if (text)
            put_link(editor, maker, &name, legacy_member(input, "link"));
    }
}

/* A GetNode's value is what the SetNode of the same name is linked to. */
static void put_kept(editor_graph *editor, object_maker *maker, const legacy_json *node)
{
    const map_entry *set = lookup(editor->in, &editor->sets, widget(node, 0));
    const legacy_json name = named("value");
    if (set)
        put_link(editor, maker, &name, set->value);
}

static void read_node(editor_graph *editor, comfy_graph *graph, const legacy_json *node)
{
    const legacy_json *type = legacy_member(node, "type");
    size_t size;
    const char *id = comfy_text(editor->in, legacy_member(node, "id"), &size);
    object_maker maker;
    if (!id || !type || mode_of(node) == NEVER || mode_of(node) == BYPASS || !begin(&maker, editor->in))
        return;
    put_widgets(&maker, node, type);
    if (legacy_is(type, "GetNode"))
        put_kept(editor, &maker, node);
    else
        put_links(editor, &maker, node);
    comfy_add(graph, id, size, type, maker.object);
}

bool comfy_read_workflow(comfy_graph *graph, legacy_input *in, const legacy_json *root)
{
    const legacy_json *nodes = legacy_member(root, "nodes");
    editor_graph editor;
    if (!read_editor(&editor, in, root) || !comfy_begin(graph, in, length(nodes)))
        return false;
    for (const legacy_json *node = nodes->child; node; node = node->next)
        read_node(&editor, graph, node);
    return comfy_end(graph);
}
