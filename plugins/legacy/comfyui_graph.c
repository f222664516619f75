/* SPDX-License-Identifier: MIT */
/*
 * comfyui_graph.c - the nodes of a ComfyUI graph, its links, and the values behind them.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "comfyui_graph.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MOST 200
#define BUDGET ((size_t)1 << 17)

/* ---- nodes ---- */

static int compare(const char *a, size_t a_size, const char *b, size_t b_size)
{
    int order = memcmp(a, b, a_size < b_size ? a_size : b_size);
    return order != 0 ? order : (a_size > b_size) - (a_size < b_size);
}

static int by_id(const void *a, const void *b)
{
    const comfy_node *one = *(comfy_node *const *)a, *other = *(comfy_node *const *)b;
    return compare(one->id, one->id_size, other->id, other->id_size);
}

bool comfy_begin(comfy_graph *graph, legacy_input *in, size_t most)
{
    *graph = (comfy_graph){.in = in, .budget = BUDGET};
    if (most == 0)
        return false;
    graph->nodes = legacy_alloc(in, most * sizeof *graph->nodes);
    graph->sorted = legacy_alloc(in, most * sizeof *graph->sorted);
    return graph->nodes && graph->sorted;
}

void comfy_add(comfy_graph *graph, const char *id, size_t size, const legacy_json *type, const legacy_json *inputs)
{
    size_t price = 1;
    if (!type || type->type != RAIIAF_JSON_STRING)
        return;
    if (inputs && inputs->type != RAIIAF_JSON_OBJECT)
        inputs = NULL;
    for (const legacy_json *input = inputs ? inputs->child : NULL; input; input = input->next)
        price++;
    graph->nodes[graph->count++] =
        (comfy_node){.id = id, .id_size = size, .type = type, .inputs = inputs, .price = price};
}

bool comfy_end(comfy_graph *graph)
{
    for (size_t i = 0; i < graph->count; i++)
        graph->sorted[i] = &graph->nodes[i];
    if (graph->count > 0)
        qsort(graph->sorted, graph->count, sizeof *graph->sorted, by_id);
    return graph->count > 0;
}

bool comfy_read_api(comfy_graph *graph, legacy_input *in, const legacy_json *root)
{
    size_t most = 0;
    if (!root || root->type != RAIIAF_JSON_OBJECT)
        return false;
    for (const legacy_json *node = root->child; node; node = node->next)
        most++;
    if (!comfy_begin(graph, in, most))
        return false;
    for (const legacy_json *node = root->child; node; node = node->next)
        comfy_add(graph, node->name, node->name_size, legacy_member(node, "class_type"), legacy_member(node, "inputs"));
    return comfy_end(graph);
}

bool comfy_enter_once(comfy_graph *graph, comfy_node *node)
{
    if (node->busy || graph->depth >= DEPTH_MOST)
        return false;
    graph->depth++;
    return node->busy = true;
}

bool comfy_enter(comfy_graph *graph, comfy_node *node)
{
    if (graph->budget < node->price || !comfy_enter_once(graph, node))
        return false;
    graph->budget -= node->price;
    return true;
}

void comfy_leave(comfy_graph *graph, comfy_node *node)
{
    graph->depth--;
    node->busy = false;
}

/* ---- texts and links ---- */

const char *comfy_text(legacy_input *in, const legacy_json *value, size_t *size)
{
    unsigned quote;
    if (!value || (value->type != RAIIAF_JSON_STRING && value->type != RAIIAF_JSON_NUMBER))
        return NULL;
    if (value->type == RAIIAF_JSON_STRING && memchr(value->spelling, '\\', value->size))
        return legacy_value(in, value, size);
    quote = value->type == RAIIAF_JSON_STRING;
    *size = value->size - 2 * quote;
    return value->spelling + quote;
}

bool comfy_type_has(const comfy_node *node, const char *part)
{
    const legacy_text type = {.text = node->type->spelling, .size = node->type->size};
    return legacy_contains(&type, part);
}

static comfy_node *find(const comfy_graph *graph, const char *id, size_t size)
{
    comfy_node key = {.id = id, .id_size = size}, *pointer = &key;
    comfy_node **found = bsearch(&pointer, graph->sorted, graph->count, sizeof *graph->sorted, by_id);
    return found ? *found : NULL;
}

comfy_node *comfy_link(const comfy_graph *graph, const legacy_json *value, int *slot)
{
    const legacy_json *id = value && value->type == RAIIAF_JSON_ARRAY ? value->child : NULL;
    const legacy_json *output = id ? id->next : NULL;
    uint64_t number;
    size_t size;
    const char *text;
    if (!output || output->next || output->type != RAIIAF_JSON_NUMBER || !legacy_uint64(output, &number) ||
        !(text = comfy_text(graph->in, id, &size)))
        return NULL;
    if (slot)
        *slot = number < 1024 ? (int)number : 1024;
    return find(graph, text, size);
}

comfy_node *comfy_linked(const comfy_graph *graph, const comfy_node *node, const char *name)
{
    return comfy_link(graph, legacy_member(node->inputs, name), NULL);
}

/* ---- switches and reroutes ---- */

typedef bool (*wanted)(const legacy_json *value);

static const legacy_json *value_of(comfy_graph *graph, comfy_node *node, const char *const *names, wanted is);

static size_t add_route(const legacy_json **routes, size_t count, const legacy_json *value)
{
    if (value && count < COMFY_ROUTES)
        routes[count++] = value;
    return count;
}

static bool is_condition(const legacy_json *value)
{
    return value->type == RAIIAF_JSON_BOOLEAN || value->type == RAIIAF_JSON_NUMBER;
}

/* Whether a switch is on; an unknown one counts as on. */
static bool condition(comfy_graph *graph, comfy_node *node)
{
    static const char *const names[] = {"switch", "boolean", "condition", "cond", "bool", "value", NULL};
    const legacy_json *value = value_of(graph, node, names, is_condition);
    double number;
    if (value && value->type == RAIIAF_JSON_BOOLEAN)
        return *value->spelling == 't';
    return !value || !legacy_number(value, &number) || number != 0;
}

static size_t branches(comfy_graph *graph, comfy_node *node, const legacy_json **routes)
{
    static const char *const names[][2] = {
        {"on_false", "on_true"}, {"if_false", "if_true"}, {"false_value", "true_value"}, {"ff_value", "tt_value"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const legacy_json *no = legacy_member(node->inputs, names[i][0]);
        const legacy_json *yes = legacy_member(node->inputs, names[i][1]);
        if (!no && !yes)
            continue;
        bool on = condition(graph, node);
        size_t count = add_route(routes, 0, on ? yes : no);
        return add_route(routes, count, on ? no : yes);
    }
    return 0;
}

/* A switch by number: the input that is chosen, whatever its kind is called. */
static size_t numbered(comfy_graph *graph, comfy_node *node, const legacy_json **routes)
{
    static const char *const choices[] = {"select", "Input", "index", "selected_index", NULL};
    static const char *const kinds[] = {"input",        "input_", "value",  "text",   "text_",
                                        "conditioning", "model",  "latent", "string", "any_0"};
    uint64_t choice;
    size_t count = 0;
    char name[64];
    if (!legacy_uint64(comfy_number(graph, node, choices), &choice))
        return 0;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        snprintf(name, sizeof name, "%s%llu", kinds[i], (unsigned long long)choice);
        count = add_route(routes, count, legacy_member(node->inputs, name));
    }
    return count;
}

size_t comfy_routes(comfy_graph *graph, comfy_node *node, const legacy_json *routes[COMFY_ROUTES])
{
    static const char *const neutral[] = {"any_01", "any_02", "any_03", "any_04",    "any_05", "",
                                          "*",      "source", "any",    "anything",  "input",  "any_input",
                                          "value",  "data",   "in",     "any_value", "signal", "output"};
    size_t count = branches(graph, node, routes);
    if (count == 0)
        count = numbered(graph, node, routes);
    for (size_t i = 0; i < sizeof neutral / sizeof *neutral; i++)
        if (comfy_linked(graph, node, neutral[i]))
            count = add_route(routes, count, legacy_member(node->inputs, neutral[i]));
    return count;
}

/* ---- values ---- */

static bool is_number(const legacy_json *value)
{
    double number;
    return legacy_number(value, &number) && isfinite(number);
}

static bool is_string(const legacy_json *value)
{
    return value->type == RAIIAF_JSON_STRING && value->size > 2;
}

static const legacy_json *behind(comfy_graph *graph, comfy_node *node, const char *const *names, wanted is);

/* The value itself, or what is behind its link when these names are asked for. */
static const legacy_json *resolve(comfy_graph *graph, const legacy_json *value, const char *const *names, wanted is)
{
    const legacy_json *found = NULL, *content;
    comfy_node *target;
    if (!value || is(value))
        return value;
    /* A name with its preview: {"content": "x.safetensors", "image": ...}. */
    if ((content = legacy_member(value, "content")) && is(content))
        return content;
    if ((target = comfy_link(graph, value, NULL)) && comfy_enter(graph, target)) {
        found = behind(graph, target, names, is);
        comfy_leave(graph, target);
    }
    return found;
}

static const legacy_json *among(comfy_graph *graph, comfy_node *node, const char *const *names,
                                const char *const *asked, wanted is)
{
    const legacy_json *found = NULL;
    for (; !found && *names; names++)
        found = resolve(graph, legacy_member(node->inputs, *names), asked, is);
    return found;
}

/* What a node gives for a value: under the name that is asked for, or as a node that only holds a value. */
static const legacy_json *behind(comfy_graph *graph, comfy_node *node, const char *const *names, wanted is)
{
    static const char *const values[] = {"value", "Value",  "int",    "INT",    "float", "FLOAT", "number", "Number",
                                         "val",   "string", "String", "STRING", "text",  "Text",  NULL};
    const legacy_json *routes[COMFY_ROUTES], *found = among(graph, node, names, names, is);
    if (!found)
        found = among(graph, node, values, names, is);
    if (found)
        return found;
    size_t count = comfy_routes(graph, node, routes);
    for (size_t i = 0; !found && i < count; i++)
        found = resolve(graph, routes[i], names, is);
    for (const legacy_json *input = comfy_first_input(node); input && !found; input = input->next)
        if (comfy_is_bundle(input))
            found = resolve(graph, input, names, is);
    return found;
}

static const legacy_json *value_of(comfy_graph *graph, comfy_node *node, const char *const *names, wanted is)
{
    bool entered = comfy_enter(graph, node);
    const legacy_json *found = entered || node->busy ? among(graph, node, names, names, is) : NULL;
    if (entered)
        comfy_leave(graph, node);
    return found;
}

const legacy_json *comfy_number(comfy_graph *graph, comfy_node *node, const char *const *names)
{
    return value_of(graph, node, names, is_number);
}

const legacy_json *comfy_string(comfy_graph *graph, comfy_node *node, const char *const *names)
{
    return value_of(graph, node, names, is_string);
}

/* ---- names of inputs ---- */

bool comfy_named(const legacy_json *input, const char *name)
{
    return input->name_size == strlen(name) && memcmp(input->name, name, input->name_size) == 0;
}

bool comfy_begins(const legacy_json *input, const char *start)
{
    size_t size = strlen(start);
    return input->name_size >= size && memcmp(input->name, start, size) == 0;
}

bool comfy_ends(const legacy_json *input, const char *end)
{
    size_t size = strlen(end);
    return input->name_size >= size && memcmp(input->name + input->name_size - size, end, size) == 0;
}

bool comfy_has_part(const legacy_json *input, const char *part)
{
    const legacy_text name = {.text = input->name, .size = input->name_size};
    return legacy_contains(&name, part);
}

static bool any_part(const legacy_json *input, const char *const *words)
{
    for (; *words; words++)
        if (comfy_has_part(input, *words))
            return true;
    return false;
}

const legacy_json *comfy_first_input(const comfy_node *node)
{
    return node->inputs ? node->inputs->child : NULL;
}

bool comfy_has_any(const comfy_node *node, const char *const *names)
{
    for (; *names; names++)
        if (legacy_member(node->inputs, *names))
            return true;
    return false;
}

const comfy_node *comfy_any_linked(const comfy_graph *graph, const comfy_node *node, const char *const *names)
{
    const comfy_node *found = NULL;
    for (; !found && *names; names++)
        found = comfy_linked(graph, node, *names);
    return found;
}

/* A link to several things in one: a model with its prompts, sizes and so on. */
bool comfy_is_bundle(const legacy_json *input)
{
    static const char *const words[] = {"pipe", "ctx", "context", "sdxl_tuple", NULL};
    return input->type == RAIIAF_JSON_ARRAY && any_part(input, words);
}

bool comfy_is_latent(const legacy_json *input)
{
    static const char *const names[] = {"",        "*",        "any",     "input",  "value",
                                        "on_true", "on_false", "stage_c", "source", NULL};
    static const char *const words[] = {"latent", "sample", "image", "pixel",       "frame",
                                        "video",  "any_",   "input", "destination", NULL};
    if (input->type != RAIIAF_JSON_ARRAY)
        return false;
    for (size_t i = 0; names[i]; i++)
        if (comfy_named(input, names[i]))
            return true;
    return any_part(input, words) || comfy_is_bundle(input);
}

void comfy_set_spelt(comfy_graph *graph, legacy_output *out, const char *name, const legacy_string *json)
{
    if (json->text)
        legacy_set_json(out, name, legacy_parse(graph->in, json->text, json->size));
}
