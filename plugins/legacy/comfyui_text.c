/* SPDX-License-Identifier: MIT */
/*
 * comfyui_text.c - the prompts of a ComfyUI graph: text, from the sampler along the conditioning.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "comfyui_graph.h"

#include <stdio.h>
#include <string.h>

#define PARTS_MOST 64
#define TEXT_MOST ((size_t)1 << 20)

/* ---- text ---- */

typedef struct text_part {
    const char *text;
    size_t size;
} text_part;

typedef struct text_parts {
    text_part list[PARTS_MOST];
    size_t count;
} text_parts;

typedef struct text_walk {
    comfy_graph *graph;
    bool negative; /* which of the two prompts is looked for */
    bool start;    /* at the sampler or its guider, where the two part */
    size_t left;   /* bytes that may still be gathered */
    const legacy_json *guidance;
} text_walk;

static bool gather(text_walk *walk, text_parts *parts, comfy_node *node, int slot);

/* Text that was found before isn't added again. */
static void add_part(text_walk *walk, text_parts *parts, const char *text, size_t size)
{
    for (size_t i = 0; i < parts->count; i++)
        if (parts->list[i].size == size && memcmp(parts->list[i].text, text, size) == 0)
            return;
    if (size == 0 || size > walk->left || parts->count == PARTS_MOST)
        return;
    walk->left -= size;
    parts->list[parts->count++] = (text_part){text, size};
}

/* A comment as C has it ends where the text does, if nowhere else; `at` is behind its first two characters. */
static const char *after_comment(const char *at, const char *end)
{
    const char *stop = at[-1] == '*' ? memmem(at, (size_t)(end - at), "*/", 2) : memchr(at, '\n', (size_t)(end - at));
    if (!stop)
        return end;
    return at[-1] == '*' ? stop + 2 : stop;
}

/* The text without the editor's comments: what it sends. */
static const char *without_comments(text_walk *walk, const char *text, size_t *size)
{
    const char *end = text + *size, *at = text;
    legacy_string string = {.in = walk->graph->in};
    while (at < end) {
        const char *slash = memchr(at, '/', (size_t)(end - at));
        bool comment = slash && end - slash > 1 && (slash[1] == '*' || slash[1] == '/');
        const char *stop = comment ? slash : slash ? slash + 1 : end;
        legacy_append(&string, at, (size_t)(stop - at));
        at = comment ? after_comment(slash + 2, end) : stop;
    }
    *size = string.size;
    return string.text ? string.text : "";
}

/* Text, or what a link leads to.  True if there is a text, though it may be empty. */
static bool gather_value(text_walk *walk, text_parts *parts, const legacy_json *value)
{
    bool found = false;
    size_t size;
    int slot = -1;
    if (value && value->type == RAIIAF_JSON_STRING) {
        const char *text = value->size - 2 <= walk->left ? comfy_text(walk->graph->in, value, &size) : NULL;
        if (text && walk->graph->edited)
            text = without_comments(walk, text, &size);
        if (text)
            add_part(walk, parts, text, size);
        return text != NULL;
    }
    comfy_node *node = comfy_link(walk->graph, value, &slot);
    if (node && comfy_enter(walk->graph, node)) {
        found = gather(walk, parts, node, slot);
        comfy_leave(walk->graph, node);
    }
    return found;
}

static bool join(text_walk *walk, const text_parts *parts, const char *between, text_part *joined)
{
    legacy_string string = {.in = walk->graph->in};
    for (size_t i = 0; i < parts->count; i++)
        if ((i > 0 && !legacy_append_string(&string, between)) ||
            !legacy_append(&string, parts->list[i].text, parts->list[i].size))
            return false;
    *joined = (text_part){string.text ? string.text : "", string.size};
    return true;
}

/* Inputs for the one prompt or the other: "positive", "text_positive", "positive_prompt"... but not how it's read:
   "positive_weight_interpretation". */
static bool is_for(const legacy_json *input, bool negative)
{
    const char *word = negative ? "negative" : "positive";
    if (input->type != RAIIAF_JSON_STRING && input->type != RAIIAF_JSON_ARRAY)
        return false;
    if (comfy_ends(input, "_normalization") || comfy_ends(input, "_interpretation"))
        return false;
    return comfy_begins(input, word) || comfy_ends(input, word) || comfy_begins(input, negative ? "neg_" : "pos_");
}

/* Of a node with two outputs the number says which prompt is meant, unless a model or the like comes first. */
static bool asks_negative(const text_walk *walk, const comfy_node *node, int slot)
{
    const comfy_graph *graph = walk->graph;
    if (slot < 0 || slot > 1 || comfy_linked(graph, node, "model") || !comfy_linked(graph, node, "positive") ||
        !comfy_linked(graph, node, "negative"))
        return walk->negative;
    return slot == 1;
}

static bool gather_role(text_walk *walk, text_parts *parts, const comfy_node *node, int slot)
{
    bool before = walk->negative, found = false;
    walk->negative = asks_negative(walk, node, slot);
    for (const legacy_json *input = comfy_first_input(node); input; input = input->next)
        if (is_for(input, walk->negative))
            found = gather_value(walk, parts, input) || found;
    walk->negative = before;
    return found;
}

/* Whether a node writes text of its own, which the graph doesn't know: a language model, or one that describes images.
 */
static bool is_author(const comfy_graph *graph, const comfy_node *node)
{
    static const char *const models[] = {"max_length",  "max_tokens",    "max_new_tokens",
                                         "temperature", "sampling_mode", NULL};
    static const char *const services[] = {
        "system_prompt", "system_message", "system_content", "instruction", "api_key", "url", "image", "images", NULL};
    static const char *const encoders[] = {"clip", "vae", "conditioning", "text_encoder", "t5", NULL};
    const legacy_json *model = legacy_member(node->inputs, "model");
    if (comfy_has_any(node, models))
        return true;
    return !comfy_any_linked(graph, node, encoders) &&
           (comfy_has_any(node, services) || (model && model->type == RAIIAF_JSON_STRING));
}

/* The node's own text.  Those that are encoded side by side count together. */
static bool gather_own(text_walk *walk, text_parts *parts, const comfy_node *node)
{
    static const char *const groups[][5] = {{"text"},
                                            {"text_g", "text_l"},
                                            {"t5xxl", "clip_l", "clip_g", "llama"},
                                            {"mt5xl", "bert"},
                                            {"prompt"},
                                            {"user_prompt"},
                                            {"prompt_g", "prompt_l"},
                                            {"Text"},
                                            {"string"},
                                            {"STRING"},
                                            {"String"},
                                            {"value"},
                                            {"prompt_text"},
                                            {"populated_text"},
                                            {"wildcard_text"},
                                            {"tags", "lyrics"},
                                            {"caption"}};
    bool found = false;
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        size_t before = parts->count;
        for (size_t j = 0; j < 5 && groups[i][j]; j++)
            found = gather_value(walk, parts, legacy_member(node->inputs, groups[i][j])) || found;
        if (parts->count > before)
            return true;
    }
    return found;
}

static bool gather_routes(text_walk *walk, text_parts *parts, comfy_node *node)
{
    const legacy_json *routes[COMFY_ROUTES];
    size_t count = comfy_routes(walk->graph, node, routes);
    for (size_t i = 0; i < count; i++)
        if (gather_value(walk, parts, routes[i]))
            return true;
    return false;
}

/* ---- texts that are strung together ---- */

static const char *delimiter(text_walk *walk, const comfy_node *node)
{
    static const char *const names[] = {"delimiter", "separator", "delim", "sep"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const legacy_json *value = legacy_member(node->inputs, names[i]);
        const char *text =
            value && value->type == RAIIAF_JSON_STRING ? legacy_value(walk->graph->in, value, NULL) : NULL;
        if (text)
            return strcmp(text, "\\n") == 0 ? "\n" : text;
    }
    return legacy_member(node->inputs, "tidy_tags") ? ", " : "";
}

/* The i-th of an input that there are several of: text_a, text1, text_1. */
static const legacy_json *several(const comfy_node *node, const char *name, int form, int i)
{
    char full[64];
    if (form == 0)
        snprintf(full, sizeof full, "%s_%c", name, 'a' + i);
    else
        snprintf(full, sizeof full, form == 1 ? "%s%d" : "%s_%d", name, i + 1);
    return legacy_member(node->inputs, full);
}

static bool gather_strung(text_walk *walk, text_parts *all, const comfy_node *node, const char *name, int form)
{
    const char *between = delimiter(walk, node);
    legacy_string string = {.in = walk->graph->in};
    bool found = false, core = strcmp(name, "string") == 0, first = true;
    for (int i = 0; i < 26; i++) {
        text_parts own = {.count = 0};
        text_part text;
        if (!gather_value(walk, &own, several(node, name, form, i)) || !join(walk, &own, "\n", &text))
            continue;
        found = true;
        if (text.size == 0 && !core)
            continue;
        if ((!first && !legacy_append_string(&string, between)) || !legacy_append(&string, text.text, text.size))
            return false;
        first = false;
    }
    if (string.text)
        add_part(walk, all, string.text, string.size);
    return found;
}

/* Whether any of the inputs could be one of several. */
static bool may_be_strung(const comfy_node *node, const char *name)
{
    for (const legacy_json *input = comfy_first_input(node); input; input = input->next)
        if (input->name_size > strlen(name) && comfy_begins(input, name))
            return true;
    return false;
}

static bool gather_concatenated(text_walk *walk, text_parts *parts, const comfy_node *node)
{
    static const char *const names[] = {"string", "text", "prompt", "str"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        for (int form = 0; form < 3 && may_be_strung(node, names[i]); form++)
            if (several(node, names[i], form, 0) || several(node, names[i], form, 1))
                return gather_strung(walk, parts, node, names[i], form);
    return false;
}

/* ---- conditioning ---- */

static bool is_embedded(const legacy_json *input)
{
    if (input->type != RAIIAF_JSON_ARRAY)
        return false;
    return comfy_has_part(input, "text_embeds") || comfy_has_part(input, "prompt_embeds") ||
           comfy_has_part(input, "hyvid_embeds") || comfy_named(input, "clip_regions");
}

static bool gather_conditioning(text_walk *walk, text_parts *parts, const comfy_node *node, bool start)
{
    bool found = false, mine = !start || !walk->negative;
    if (mine)
        found = gather_value(walk, parts, legacy_member(node->inputs, "conditioning_to"));
    for (const legacy_json *input = comfy_first_input(node); input; input = input->next)
        if (is_embedded(input) || (mine && comfy_begins(input, "cond") && !comfy_named(input, "conditioning_to") &&
                                   !comfy_named(input, "cond1") && !comfy_named(input, "cond2")))
            found = gather_value(walk, parts, input) || found;
    return found;
}

/* The second conditioning of a guider, where a node hands it out as the negative prompt's; else NULL. */
static const legacy_json *second_negative(const comfy_graph *graph, const comfy_node *node)
{
    const legacy_json *second = legacy_member(node->inputs, "cond2");
    int slot = -1;
    const comfy_node *target = comfy_link(graph, second, &slot);
    return target && slot == 1 && comfy_linked(graph, target, "negative") ? second : NULL;
}

/* Two conditionings in one guider: the second is often the negative prompt over again. */
static bool gather_dual(text_walk *walk, text_parts *all, const comfy_node *node)
{
    text_parts second = {.count = 0}, negative = {.count = 0};
    bool found = gather_value(walk, all, legacy_member(node->inputs, "cond1"));
    if (!second_negative(walk->graph, node))
        found = gather_value(walk, &second, legacy_member(node->inputs, "cond2")) || found;
    gather_value(walk, &negative, legacy_member(node->inputs, "negative"));
    for (size_t i = 0; i < second.count; i++) {
        size_t count = negative.count;
        add_part(walk, &negative, second.list[i].text, second.list[i].size);
        if (negative.count > count)
            add_part(walk, all, second.list[i].text, second.list[i].size);
    }
    return found;
}

static bool gather_bundles(text_walk *walk, text_parts *parts, const comfy_node *node)
{
    bool found = false;
    for (const legacy_json *input = comfy_first_input(node); input && !found; input = input->next) {
        comfy_node *target = comfy_is_bundle(input) ? comfy_link(walk->graph, input, NULL) : NULL;
        if (target && comfy_enter(walk->graph, target)) {
            found = gather(walk, parts, target, -1);
            comfy_leave(walk->graph, target);
        }
    }
    return found;
}

static bool gather_guider(text_walk *walk, text_parts *parts, const comfy_node *node)
{
    const legacy_json *guider = legacy_member(node->inputs, "guider");
    if (!comfy_link(walk->graph, guider, NULL))
        return false;
    walk->start = true;
    return gather_value(walk, parts, guider);
}

/* What was shown when the node last ran: stale, but better than nothing. */
static bool gather_shown(text_walk *walk, text_parts *parts, const comfy_node *node)
{
    const legacy_json *shown = legacy_member(node->inputs, "text_0");
    return shown && shown->type == RAIIAF_JSON_STRING && gather_value(walk, parts, shown);
}

/* All text that the node has or passes on for the prompt in question. */
static bool gather(text_walk *walk, text_parts *parts, comfy_node *node, int slot)
{
    static const char *const guidance[] = {"guidance", NULL};
    bool start = walk->start, author = !start && is_author(walk->graph, node);
    bool shows = comfy_linked(walk->graph, node, "anything"); /* its own text is the last that was shown */
    walk->start = false;
    if (!walk->negative && !walk->guidance)
        walk->guidance = comfy_number(walk->graph, node, guidance);
    if (comfy_type_has(node, "ZeroOut"))
        return true;
    if (start && walk->negative && gather_value(walk, parts, second_negative(walk->graph, node)))
        return true;
    if (gather_role(walk, parts, node, slot) || (start && gather_guider(walk, parts, node)))
        return true;
    if (!(start && walk->negative)) {
        if ((shows && gather_routes(walk, parts, node)) || (!author && gather_own(walk, parts, node)))
            return true;
        if (gather_routes(walk, parts, node) || (!author && gather_concatenated(walk, parts, node)))
            return true;
        if (start && gather_dual(walk, parts, node))
            return true;
    }
    return gather_conditioning(walk, parts, node, start) || gather_bundles(walk, parts, node) ||
           gather_shown(walk, parts, node);
}

static bool find_text(text_walk *walk, comfy_node *sampler, bool negative, text_part *text)
{
    text_parts all = {.count = 0};
    walk->negative = negative;
    walk->start = true;
    walk->left = TEXT_MOST;
    if (!comfy_enter(walk->graph, sampler))
        return false;
    gather(walk, &all, sampler, -1);
    comfy_leave(walk->graph, sampler);
    return join(walk, &all, "\n", text);
}

bool comfy_has_prompt(comfy_graph *graph, comfy_node *sampler)
{
    text_walk walk = {.graph = graph};
    text_part text;
    return find_text(&walk, sampler, false, &text) && text.size > 0;
}

void comfy_set_texts(comfy_graph *graph, comfy_node *sampler, legacy_output *out)
{
    static const char *const embedded[] = {"embedded_guidance_scale", "guidance", NULL};
    text_walk walk = {.graph = graph};
    text_part text;
    if (find_text(&walk, sampler, false, &text))
        legacy_set(out, "prompt", text.text, text.size);
    if (find_text(&walk, sampler, true, &text))
        legacy_set(out, "negative_prompt", text.text, text.size);
    legacy_set_json(out, "guidance", walk.guidance ? walk.guidance : comfy_number(graph, sampler, embedded));
}
