/* SPDX-License-Identifier: MIT */
/*
 * comfyui_workflow.c - a graph of what the editor saves, where the API's graph isn't there.
 *
 * The editor's nodes have inputs that name a link, and nodes that are switched off or stand for a whole subgraph.  As
 * the API does, those are left out: links go past them, and a node in a subgraph is called "subgraph:node".
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "comfyui_graph.h"

#include <stdlib.h>
#include <string.h>

#define HOPS_MOST 64   /* past nodes that are left out */
#define SCOPES_MOST 64 /* the graph itself and its subgraphs */
#define DEPTH_MOST 8
#define NODES_MOST 200000
#define BUDGET ((size_t)1 << 20)

/* ---- what the editor saves ---- */

typedef struct map_entry {
    const char *key;
    size_t size;
    const legacy_json *value;            /* a node; the id of the node that a link comes from; the id of a link */
    const legacy_json *output;           /* the number of the one that a link comes from */
    const legacy_json *inputs, *outputs; /* of a node */
    uint64_t mode;
    struct editor_scope *inner; /* what a node stands for */
} map_entry;

typedef struct name_map {
    map_entry *entries;
    size_t count;
} name_map;

/* The graph, or a subgraph each time that it's used. */
typedef struct editor_scope {
    name_map links; /* by id */
    name_map nodes; /* by id */
    name_map sets;  /* the SetNodes, by the name under which each keeps a value */
    const legacy_json *graph;
    const char *prefix; /* of ids: "30:" */
    struct editor_scope *outer;
    const map_entry *instance; /* the node that stands for it there */
} editor_scope;

typedef struct editor_graph {
    legacy_input *in;
    name_map subgraphs; /* by id */
    editor_scope scopes[SCOPES_MOST];
    size_t scope_count, node_count;
    size_t budget; /* of members that may still be looked at while links are followed */
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

static void add_link(editor_graph *editor, editor_scope *scope, const legacy_json *link)
{
    map_entry *entry = add(editor->in, &scope->links, link_part(link, 0), link_part(link, 1));
    if (entry)
        entry->output = link_part(link, 2);
}

static void add_node(editor_graph *editor, editor_scope *scope, const legacy_json *node)
{
    map_entry *entry = add(editor->in, &scope->nodes, legacy_member(node, "id"), node);
    const legacy_json *inputs = legacy_member(node, "inputs");
    if (entry) {
        entry->inputs = inputs;
        entry->outputs = legacy_member(node, "outputs");
        entry->mode = mode_of(node);
    }
    if (legacy_is(legacy_member(node, "type"), "SetNode"))
        add(editor->in, &scope->sets, widget(node, 0), legacy_member(legacy_element(inputs, 0), "link"));
}

static editor_scope *open_scope(editor_graph *editor, const legacy_json *graph)
{
    const legacy_json *links = legacy_member(graph, "links"), *nodes = legacy_member(graph, "nodes");
    size_t link_count = length(links), node_count = length(nodes);
    map_entry *entries;
    if (node_count == 0 || editor->scope_count == SCOPES_MOST || node_count > NODES_MOST - editor->node_count)
        return NULL;
    entries = legacy_alloc(editor->in, (link_count + 2 * node_count) * sizeof *entries);
    if (!entries)
        return NULL;
    struct editor_scope *scope = &editor->scopes[editor->scope_count++];
    scope->graph = graph;
    scope->prefix = "";
    scope->links.entries = entries;
    scope->nodes.entries = entries + link_count;
    scope->sets.entries = entries + link_count + node_count;
    editor->node_count += node_count;
    for (const legacy_json *link = links ? links->child : NULL; link; link = link->next)
        add_link(editor, scope, link);
    for (const legacy_json *node = nodes->child; node; node = node->next)
        add_node(editor, scope, node);
    sort(&scope->links);
    sort(&scope->nodes);
    sort(&scope->sets);
    return scope;
}

static const char *inner_prefix(editor_graph *editor, const editor_scope *outer, const map_entry *node)
{
    legacy_string prefix = {.in = editor->in};
    if (!legacy_append_string(&prefix, outer->prefix) || !legacy_append(&prefix, node->key, node->size) ||
        !legacy_append_string(&prefix, ":"))
        return "";
    return prefix.text;
}

static void open_inner(editor_graph *editor, editor_scope *outer, unsigned depth)
{
    for (size_t i = 0; i < outer->nodes.count && depth < DEPTH_MOST; i++) {
        map_entry *node = &outer->nodes.entries[i];
        const map_entry *subgraph = lookup(editor->in, &editor->subgraphs, legacy_member(node->value, "type"));
        if (!subgraph || node->mode == NEVER || node->mode == BYPASS ||
            !(node->inner = open_scope(editor, subgraph->value)))
            continue;
        node->inner->outer = outer;
        node->inner->instance = node;
        node->inner->prefix = inner_prefix(editor, outer, node);
        open_inner(editor, node->inner, depth + 1);
    }
}

static bool open_editor(editor_graph *editor, const legacy_json *root)
{
    const legacy_json *subgraphs = legacy_member(legacy_member(root, "definitions"), "subgraphs");
    editor_scope *outermost = open_scope(editor, root);
    editor->subgraphs.entries = legacy_alloc(editor->in, (length(subgraphs) + 1) * sizeof *editor->subgraphs.entries);
    if (!outermost || !editor->subgraphs.entries)
        return false;
    for (const legacy_json *subgraph = subgraphs ? subgraphs->child : NULL; subgraph; subgraph = subgraph->next)
        add(editor->in, &editor->subgraphs, legacy_member(subgraph, "id"), subgraph);
    sort(&editor->subgraphs);
    open_inner(editor, outermost, 0);
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

static const legacy_json *element(editor_graph *editor, const legacy_json *array, const legacy_json *index)
{
    uint64_t number;
    const legacy_json *found = array && array->type == RAIIAF_JSON_ARRAY ? array->child : NULL;
    if (!legacy_uint64(index, &number))
        return NULL;
    for (; found && number > 0 && editor->budget > 0; number--, editor->budget--)
        found = found->next;
    return number == 0 ? found : NULL;
}

/* The link into a bypassed node that its output hands on: of the input in the same place if it's of the same type, else
   of the first that is. */
static const legacy_json *bypass(editor_graph *editor, const map_entry *node, const legacy_json *output)
{
    const legacy_json *type = member(editor, element(editor, node->outputs, output), "type");
    const legacy_json *beside = element(editor, node->inputs, output);
    if (type && beside && same(editor->in, type, member(editor, beside, "type")))
        return member(editor, beside, "link");
    for (const legacy_json *input = node->inputs ? node->inputs->child : NULL; type && input; input = input->next)
        if (same(editor->in, type, member(editor, input, "type")))
            return member(editor, input, "link");
    return NULL;
}

/* The link in a subgraph that its output is from. */
static const legacy_json *leave(editor_graph *editor, const editor_scope *inner, const legacy_json *output)
{
    const legacy_json *outputs = member(editor, inner->graph, "outputs");
    const legacy_json *links = member(editor, element(editor, outputs, output), "linkIds");
    return links ? links->child : NULL;
}

/* Of the values of a node that stands for a subgraph, the one that newer editors list for an input: ["-1", name]; other
   values are listed with the node inside that has them. */
static const legacy_json *listed_value(editor_graph *editor, const legacy_json *proxies, const legacy_json *value,
                                       const legacy_json *name)
{
    static const legacy_json input_node = {.type = RAIIAF_JSON_STRING, .spelling = "\"-1\"", .size = 4};
    const legacy_json *proxy = proxies->child;
    for (; proxy && value && editor->budget > 0; proxy = proxy->next, value = value->next, editor->budget--) {
        const legacy_json *node = proxy->type == RAIIAF_JSON_ARRAY ? proxy->child : NULL;
        if (node && node->next && same(editor->in, node, &input_node) && same(editor->in, node->next, name))
            return value->type == RAIIAF_JSON_NULL ? NULL : value;
    }
    return NULL;
}

/* The input of the node that stands for a subgraph, and its value if it's a widget there. */
static const legacy_json *come_from(editor_graph *editor, const editor_scope *inner, const legacy_json *output,
                                    const legacy_json **value)
{
    const legacy_json *name = member(editor, element(editor, member(editor, inner->graph, "inputs"), output), "name");
    const legacy_json *values = member(editor, inner->instance->value, "widgets_values");
    const legacy_json *proxies = member(editor, member(editor, inner->instance->value, "properties"), "proxyWidgets");
    const legacy_json *input = inner->instance->inputs ? inner->instance->inputs->child : NULL, *first;
    *value = first = values && values->type == RAIIAF_JSON_ARRAY ? values->child : NULL;
    for (; input && !same(editor->in, name, member(editor, input, "name")); input = input->next)
        if (*value && member(editor, input, "widget"))
            *value = (*value)->next;
    if (proxies && proxies->type == RAIIAF_JSON_ARRAY && proxies->child)
        *value = listed_value(editor, proxies, first, name);
    else if (!member(editor, input, "widget"))
        *value = NULL;
    return input;
}

/* The API's [node, output]. */
static void put_pair(editor_graph *editor, const editor_scope *scope, comfy_maker *maker, const legacy_json *name,
                     const map_entry *link)
{
    legacy_json *pair = legacy_alloc(editor->in, 2 * sizeof *pair);
    legacy_string id = {.in = editor->in};
    size_t size;
    const char *text = comfy_text(editor->in, link->value, &size);
    if (!pair || !text || !legacy_append_string(&id, "\"") || !legacy_append_string(&id, scope->prefix) ||
        !legacy_append(&id, text, size) || !legacy_append_string(&id, "\""))
        return;
    pair[0] = (legacy_json){.type = RAIIAF_JSON_STRING, .spelling = id.text, .size = id.size, .next = &pair[1]};
    pair[1] = *link->output;
    pair[1].next = NULL;
    comfy_put(maker, name, &(legacy_json){.type = RAIIAF_JSON_ARRAY, .child = pair});
}

/* Puts what comes through a link, past the nodes that are left out; nothing if that is nothing. */
static void put_link(editor_graph *editor, const editor_scope *scope, comfy_maker *maker, const legacy_json *name,
                     const legacy_json *id)
{
    static const legacy_json input_node = {.type = RAIIAF_JSON_NUMBER, .spelling = "-10", .size = 3};
    for (int i = 0; i < HOPS_MOST; i++) {
        const map_entry *link = lookup(editor->in, &scope->links, id), *from;
        const legacy_json *value, *input;
        if (!link || !link->output)
            return;
        if (scope->outer && same(editor->in, link->value, &input_node)) {
            input = come_from(editor, scope, link->output, &value);
            id = member(editor, input, "link");
            scope = scope->outer;
            if (value && !lookup(editor->in, &scope->links, id)) {
                comfy_put(maker, name, value);
                return;
            }
            continue;
        }
        if (!(from = lookup(editor->in, &scope->nodes, link->value)) || from->mode == NEVER)
            return;
        if (from->mode == BYPASS) {
            id = bypass(editor, from, link->output);
        } else if (from->inner) {
            id = leave(editor, from->inner, link->output);
            scope = from->inner;
        } else {
            put_pair(editor, scope, maker, name, link);
            return;
        }
    }
}

/* Links come after values: where an input has both, the link counts. */
static void put_links(editor_graph *editor, const editor_scope *scope, comfy_maker *maker, const legacy_json *inputs)
{
    for (const legacy_json *input = inputs ? inputs->child : NULL; input; input = input->next) {
        size_t size;
        const char *text = legacy_value(editor->in, legacy_member(input, "name"), &size);
        const legacy_json name = {.name = text, .name_size = size};
        if (text)
            put_link(editor, scope, maker, &name, legacy_member(input, "link"));
    }
}

/* A GetNode's value is what the SetNode of the same name is linked to. */
static void put_kept(editor_graph *editor, const editor_scope *scope, comfy_maker *maker, const legacy_json *node)
{
    const map_entry *set = lookup(editor->in, &scope->sets, widget(node, 0));
    const legacy_json name = comfy_name("value");
    if (set)
        put_link(editor, scope, maker, &name, set->value);
}

/* ---- nodes ---- */

static void read_node(editor_graph *editor, const editor_scope *scope, comfy_graph *graph, const map_entry *node)
{
    const legacy_json *type = legacy_member(node->value, "type");
    legacy_string id = {.in = editor->in};
    comfy_maker maker;
    if (!type || node->inner || node->mode == NEVER || node->mode == BYPASS || !comfy_make(&maker, editor->in) ||
        !legacy_append_string(&id, scope->prefix) || !legacy_append(&id, node->key, node->size))
        return;
    comfy_put_widgets(&maker, node->value, type);
    if (legacy_is(type, "GetNode"))
        put_kept(editor, scope, &maker, node->value);
    else
        put_links(editor, scope, &maker, node->inputs);
    comfy_add(graph, id.text, id.size, type, maker.object);
}

/* In the file's order. */
static void read_nodes(editor_graph *editor, const editor_scope *scope, comfy_graph *graph)
{
    for (const legacy_json *node = legacy_member(scope->graph, "nodes")->child; node; node = node->next) {
        const map_entry *entry = lookup(editor->in, &scope->nodes, legacy_member(node, "id"));
        if (entry && entry->value == node)
            read_node(editor, scope, graph, entry);
    }
}

bool comfy_read_workflow(comfy_graph *graph, legacy_input *in, const legacy_json *root)
{
    editor_graph *editor = legacy_alloc(in, sizeof *editor);
    if (!editor)
        return false;
    editor->in = in;
    editor->budget = BUDGET;
    if (!open_editor(editor, root) || !comfy_begin(graph, in, editor->node_count))
        return false;
    graph->edited = true;
    for (size_t i = 0; i < editor->scope_count; i++)
        read_nodes(editor, &editor->scopes[i], graph);
    return comfy_end(graph);
}
