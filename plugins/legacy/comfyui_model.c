/* SPDX-License-Identifier: MIT */
/*
 * comfyui_model.c - the checkpoint of a ComfyUI graph with its LoRAs, along the model, and the size, along the latent.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "comfyui_graph.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define LORAS_MOST 64

/* ---- size ---- */

typedef struct image_size {
    uint64_t width, height;
} image_size;

static size_t digits(const char *text, size_t size, uint64_t *number)
{
    size_t count = 0;
    for (*number = 0; count < size && count < 6 && text[count] >= '0' && text[count] <= '9'; count++)
        *number = *number * 10 + (uint64_t)(text[count] - '0');
    return count;
}

/* "1024x1024 (1.0)", "SDXL - 1:1 square 1024 x 1024" */
static bool parse_size(const char *text, size_t size, image_size *extent)
{
    for (size_t i = 0; i < size; i++) {
        size_t count = digits(text + i, size - i, &extent->width), at = i + count;
        if (count == 0)
            continue;
        while (at < size && text[at] == ' ')
            at++;
        if (at < size && text[at++] == 'x') {
            while (at < size && text[at] == ' ')
                at++;
            if (digits(text + at, size - at, &extent->height) > 0 && extent->width > 0 && extent->height > 0)
                return true;
        }
        i += count - 1;
    }
    return false;
}

/* "16:9 (Widescreen)" of so many times 1024 * 1024 pixels. */
static bool by_ratio(comfy_graph *graph, comfy_node *node, image_size *extent)
{
    static const char *const areas[] = {"megapixels", NULL}, *const multiples[] = {"multiple", NULL};
    const char *text = legacy_member_value(graph->in, node->inputs, "aspect_ratio");
    const legacy_json *multiple = comfy_number(graph, node, multiples);
    unsigned across, down;
    double area, step = 8, scale;
    if (!text || sscanf(text, "%4u:%4u", &across, &down) != 2 || across == 0 || down == 0 ||
        !legacy_number(comfy_number(graph, node, areas), &area) || area <= 0 || area > 1000)
        return false;
    if (multiple && (!legacy_number(multiple, &step) || step < 1 || step > 1024))
        return false;
    scale = sqrt(area * 1024 * 1024 / ((double)across * down)) / step;
    extent->width = (uint64_t)(nearbyint(across * scale) * step);
    extent->height = (uint64_t)(nearbyint(down * scale) * step);
    return true;
}

/* A node that offers sizes by name. */
static bool by_choice(comfy_graph *graph, comfy_node *node, image_size *extent)
{
    static const char *const names[] = {"resolution", "dimensions", "size", "aspect_ratio", "preset"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const legacy_json *value = legacy_member(node->inputs, names[i]);
        size_t size;
        const char *text = value && value->type == RAIIAF_JSON_STRING ? comfy_text(graph->in, value, &size) : NULL;
        if (text && parse_size(text, size, extent))
            return true;
    }
    return by_ratio(graph, node, extent);
}

/* "SD1.5 - 2:3 portrait 512x768", which counts before the width and height beside it unless it's "custom". */
static bool by_preset(comfy_graph *graph, const comfy_node *node, image_size *extent)
{
    static const char *const names[] = {"aspect_ratio", "resolution", "empty_latent_aspect"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const legacy_json *preset = legacy_member(node->inputs, names[i]);
        size_t size;
        const char *text = preset && preset->type == RAIIAF_JSON_STRING ? comfy_text(graph->in, preset, &size) : NULL;
        if (!text || !parse_size(text, size, extent))
            continue;
        if (legacy_is(legacy_member(node->inputs, "swap_dimensions"), "On"))
            *extent = (image_size){extent->height, extent->width};
        return true;
    }
    return false;
}

static bool own_size(comfy_graph *graph, comfy_node *node, image_size *extent)
{
    static const char *const widths[] = {"width", "empty_latent_width", NULL};
    static const char *const heights[] = {"height", "empty_latent_height", NULL};
    const legacy_json *width = comfy_number(graph, node, widths), *height = comfy_number(graph, node, heights);
    comfy_node *chooser = comfy_linked(graph, node, "width");
    if (chooser != comfy_linked(graph, node, "height"))
        chooser = NULL;
    if (by_preset(graph, node, extent) || (chooser && by_preset(graph, chooser, extent)))
        return true;
    if (width && height)
        return legacy_uint64(width, &extent->width) && legacy_uint64(height, &extent->height) && extent->width > 0 &&
               extent->height > 0;
    if (chooser)
        return by_choice(graph, chooser, extent);
    return !comfy_has_any(node, widths) && by_choice(graph, node, extent);
}

/* Of the latent that the node gives; of images (`decoded`) only where they were scaled to what is written there. */
static bool find_size(comfy_graph *graph, comfy_node *node, bool decoded, image_size *extent)
{
    bool found;
    if (!comfy_enter(graph, node))
        return false;
    found = !node->sampler && (!decoded || legacy_is(node->type, "ImageScale")) && own_size(graph, node, extent);
    for (const legacy_json *input = comfy_first_input(node); input && !found; input = input->next) {
        comfy_node *target = comfy_is_latent(input) ? comfy_link(graph, input, NULL) : NULL;
        bool image =
            comfy_has_part(input, "pixel") || comfy_has_part(input, "video") || comfy_has_part(input, "frame") ||
            (comfy_has_part(input, "image") && !comfy_has_part(input, "latent") && !comfy_has_part(input, "embed"));
        found = target && find_size(graph, target, decoded || image, extent);
    }
    comfy_leave(graph, node);
    return found;
}

/* ---- model ---- */

typedef struct lora_list {
    legacy_string json;
    size_t count;
} lora_list;

static bool is_none(const legacy_json *value)
{
    return legacy_is(value, "None") || legacy_is(value, "none");
}

static void add_lora(lora_list *loras, const legacy_json *name, const legacy_json *strength)
{
    legacy_string *json = &loras->json;
    if (!name || name->type != RAIIAF_JSON_STRING || is_none(name) || loras->count == LORAS_MOST)
        return;
    legacy_append_string(json, loras->count++ > 0 ? ", [" : "[");
    legacy_append(json, name->spelling, name->size);
    legacy_append_string(json, ", ");
    if (strength)
        legacy_append(json, strength->spelling, strength->size);
    else
        legacy_append_string(json, "null");
    legacy_append_string(json, "]");
}

/* One of several in a node, each with a switch. */
static void add_numbered(comfy_graph *graph, comfy_node *node, lora_list *loras, int i)
{
    static const char *const strengths[] = {"model_weight_", "model_str_", "lora_wt_", "strength_"};
    const legacy_json *strength = NULL;
    char name[32];
    snprintf(name, sizeof name, "switch_%d", i);
    if (legacy_is(legacy_member(node->inputs, name), "Off"))
        return;
    for (size_t j = 0; !strength && j < sizeof strengths / sizeof *strengths; j++) {
        snprintf(name, sizeof name, "%s%d", strengths[j], i);
        strength = legacy_member(node->inputs, name);
    }
    snprintf(name, sizeof name, "lora_name_%d", i);
    add_lora(loras, comfy_string(graph, node, (const char *const[]){name, NULL}), strength);
}

/* Several in one node: numbered, or objects {"on", "lora", "strength"}. */
static void add_stack(comfy_graph *graph, comfy_node *node, lora_list *loras)
{
    int count = 0;
    for (const legacy_json *input = comfy_first_input(node); input; input = input->next) {
        const legacy_json *on = legacy_member(input, "on");
        if (on && on->type == RAIIAF_JSON_BOOLEAN && *on->spelling == 't')
            add_lora(loras, legacy_member(input, "lora"), legacy_member(input, "strength"));
        else if (comfy_begins(input, "lora_name_"))
            add_numbered(graph, node, loras, ++count);
    }
}

/* Marks what stacks of LoRAs are behind a node. */
static void mark(comfy_graph *graph, comfy_node *node)
{
    comfy_node *stack = comfy_linked(graph, node, "lora_stack");
    node->seen = true;
    if (stack && comfy_enter(graph, stack)) {
        mark(graph, stack);
        comfy_leave(graph, stack);
    }
}

static void add_loras(comfy_graph *graph, comfy_node *node, lora_list *loras)
{
    static const char *const names[] = {"lora_name", NULL};
    static const char *const strengths[] = {
        "strength_model", "lora_model_strength", "lora_strength", "model_strength", "strength", NULL};
    if (legacy_member(node->inputs, "lora_name"))
        add_lora(loras, comfy_string(graph, node, names), comfy_number(graph, node, strengths));
    add_stack(graph, node, loras);
}

static const legacy_json *find_model(comfy_graph *graph, comfy_node *node);

static const legacy_json *model_through(comfy_graph *graph, const legacy_json *value)
{
    const legacy_json *found = NULL;
    comfy_node *target = comfy_link(graph, value, NULL);
    if (target && comfy_enter(graph, target)) {
        found = find_model(graph, target);
        comfy_leave(graph, target);
    }
    return found;
}

static const legacy_json *model_beyond(comfy_graph *graph, comfy_node *node, bool *linked)
{
    static const char *const names[] = {"model",      "model1", "model_1", "model_a",
                                        "base_model", "unet",   "guider",  "MODEL"};
    const legacy_json *routes[COMFY_ROUTES], *found = NULL;
    for (size_t i = 0; !found && i < sizeof names / sizeof *names; i++)
        if (comfy_linked(graph, node, names[i])) {
            *linked = true;
            found = model_through(graph, legacy_member(node->inputs, names[i]));
        }
    if (*linked)
        return found;
    for (size_t i = 0, count = comfy_routes(graph, node, routes); !found && i < count; i++)
        found = model_through(graph, routes[i]);
    for (const legacy_json *input = comfy_first_input(node); input && !found; input = input->next)
        if (comfy_is_bundle(input))
            found = model_through(graph, input);
    return found;
}

/* The checkpoint behind a node; marks the nodes on the way to it. */
static const legacy_json *find_model(comfy_graph *graph, comfy_node *node)
{
    static const char *const names[] = {"ckpt_name",  "unet_name", "model_name", "base_ckpt_name", "checkpoint",
                                        "model_path", "gguf_name", "ckpt",       "model",          NULL};
    bool linked = false;
    const legacy_json *found = model_beyond(graph, node, &linked);
    if (!found && !linked && (found = comfy_string(graph, node, names)) && is_none(found))
        found = NULL;
    mark(graph, node);
    return found;
}

/* LoRAs add up: their order says nothing, so it's the file's. */
static void set_loras(comfy_graph *graph, legacy_output *out)
{
    lora_list loras = {.json.in = graph->in};
    legacy_append_string(&loras.json, "[");
    for (size_t i = 0; i < graph->count; i++)
        if (graph->nodes[i].seen)
            add_loras(graph, &graph->nodes[i], &loras);
    legacy_append_string(&loras.json, "]");
    if (loras.count > 0)
        comfy_set_spelt(graph, out, "loras", &loras.json);
}

void comfy_set_model(comfy_graph *graph, comfy_node *base, legacy_output *out)
{
    for (size_t i = 0; i < graph->count; i++)
        graph->nodes[i].seen = false;
    if (!comfy_enter(graph, base))
        return;
    legacy_set_json(out, "model_name", find_model(graph, base));
    comfy_leave(graph, base);
    set_loras(graph, out);
}

void comfy_set_size(comfy_graph *graph, comfy_node *base, legacy_output *out)
{
    image_size extent;
    if (!find_size(graph, base, false, &extent))
        return;
    legacy_set_uint64(out, "width", extent.width);
    legacy_set_uint64(out, "height", extent.height);
}
