/* SPDX-License-Identifier: MIT */
/*
 * easydiffusion.c - Easy Diffusion: a PNG text for each setting, JSON in a UserComment, or a file beside the image.
 *
 * Settings are called by their names in the program or by their labels on its page; values are as Python prints them.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "driver.h"

#include <string.h>

static const char *const names[][3] = {
    {"prompt", "Prompt", "prompt"},
    {"negative_prompt", "Negative Prompt", "negative_prompt"},
    {"seed", "Seed", "seed"},
    {"num_inference_steps", "Steps", "steps"},
    {"guidance_scale", "Guidance Scale", "cfg_scale"},
    {"distilled_guidance_scale", "Distilled Guidance", "guidance"},
    {"sampler_name", "Sampler", "sampler"},
    {"scheduler_name", "Scheduler", "scheduler"},
    {"width", "Width", "width"},
    {"height", "Height", "height"},
    {"use_stable_diffusion_model", "Stable Diffusion model", NULL},
};
#define NAMES (sizeof names / sizeof *names)
#define MODEL (NAMES - 1)

/* What only this tool calls so. */
static const char *const marks[] = {"use_stable_diffusion_model", "Stable Diffusion model"};

static bool is_nothing(const char *text, size_t size)
{
    return size == 4 && memcmp(text, "None", 4) == 0;
}

static void set(legacy_output *out, const char *name, size_t name_size, const char *text, size_t size)
{
    for (size_t i = 0; i < NAMES; i++) {
        if (!(strlen(names[i][0]) == name_size && memcmp(names[i][0], name, name_size) == 0) &&
            !(strlen(names[i][1]) == name_size && memcmp(names[i][1], name, name_size) == 0))
            continue;
        if (i == MODEL && !is_nothing(text, size))
            legacy_set_model(out, text, size);
        else if (names[i][2])
            legacy_set(out, names[i][2], text, size);
        return;
    }
    char own[64];
    if (name_size >= sizeof own || is_nothing(text, size))
        return;
    memcpy(own, name, name_size);
    own[name_size] = 0;
    legacy_set(out, own, text, size);
}

/* ---- JSON ---- */

static bool import_json(legacy_input *in, legacy_output *out, const legacy_text *text)
{
    const legacy_json *root = legacy_parse(in, text->text, text->size);
    if (!root || root->type != RAIIAF_JSON_OBJECT)
        return false;
    for (const legacy_json *member = root->child; member; member = member->next) {
        size_t size;
        const char *value = legacy_value(in, member, &size);
        if (value)
            set(out, member->name, member->name_size, value, size);
    }
    legacy_set_rest(out, root, NULL); /* lists, and what was none of ours */
    return true;
}

/* ---- lines: "Label: value" ---- */

static bool has_label(const legacy_text *text, const char *label)
{
    size_t size = strlen(label);
    for (const char *at = text->text, *end = at + text->size; at < end; at++) {
        if ((size_t)(end - at) > size && memcmp(at, label, size) == 0 && at[size] == ':')
            return true;
        at = memchr(at, '\n', (size_t)(end - at));
        if (!at)
            break;
    }
    return false;
}

/* Whether a setting of the program is called so. */
static bool is_own_name(const char *text, size_t size)
{
    bool gap = false;
    for (size_t i = 0; i < size; i++) {
        if (text[i] != '_' && !(text[i] >= 'a' && text[i] <= 'z'))
            return false;
        gap |= text[i] == '_';
    }
    for (size_t i = 0; i < NAMES && !gap; i++)
        gap = strlen(names[i][0]) == size && memcmp(names[i][0], text, size) == 0;
    return gap;
}

/* How long a label at the beginning of a line is; 0 where the line goes on with the value before. */
static size_t label_size(const char *line, const char *end)
{
    size_t size = 0;
    while (line + size < end && size < 48 && line[size] != ':')
        size++;
    bool capital = line < end && *line >= 'A' && *line <= 'Z';
    return line + size < end && line[size] == ':' && (capital || is_own_name(line, size)) ? size : 0;
}

static bool import_lines(legacy_input *in, legacy_output *out, const legacy_text *text)
{
    const char *label = NULL;
    size_t size = 0;
    legacy_string value = {.in = in};
    for (const char *at = text->text, *end = at + text->size; at < end;) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        stop = stop ? stop : end;
        size_t length = (size_t)(stop - at), begun = label_size(at, stop);
        length -= length && at[length - 1] == '\r';
        if (begun) {
            if (label && value.text)
                set(out, label, size, value.text, value.size);
            label = at;
            size = begun;
            value = (legacy_string){.in = in};
            size_t skip = begun + 1 + (begun + 1 < length && at[begun + 1] == ' ');
            if (skip <= length)
                legacy_append(&value, at + skip, length - skip);
        } else {
            legacy_append_string(&value, "\n");
            legacy_append(&value, at, length);
        }
        at = stop + 1;
    }
    if (label && value.text)
        set(out, label, size, value.text, value.size);
    return label != NULL;
}

/* ---- the driver ---- */

static bool is_json(const legacy_text *text)
{
    if (!text || !legacy_looks_json(text))
        return false;
    return legacy_contains(text, "\"use_stable_diffusion_model\"") ||
           legacy_contains(text, "\"Stable Diffusion model\"");
}

static bool is_lines(const legacy_text *text)
{
    return text && (has_label(text, marks[0]) || has_label(text, marks[1]));
}

static bool is_embedded(legacy_input *in)
{
    return legacy_find(in, "png:", marks[0]) || legacy_find(in, "png:", marks[1]);
}

/* The one text that holds all, where they aren't separate. */
static const legacy_text *find_whole(legacy_input *in)
{
    const legacy_text *text = legacy_find_json(in, "\"use_stable_diffusion_model\"");
    if (!text)
        text = legacy_find_json(in, "\"Stable Diffusion model\"");
    if (text)
        return text;
    text = legacy_companion(in, ".json");
    if (is_json(text))
        return text;
    text = legacy_companion(in, ".txt");
    return is_lines(text) ? text : NULL;
}

static bool identify(legacy_input *in)
{
    return is_embedded(in) || find_whole(in);
}

static bool import(legacy_input *in, legacy_output *out)
{
    legacy_set_tool(out, "Easy Diffusion", NULL);
    if (!is_embedded(in)) {
        const legacy_text *text = find_whole(in);
        if (!text)
            return false;
        return is_json(text) ? import_json(in, out, text) : import_lines(in, out, text);
    }
    for (size_t i = legacy_count(in); i-- > 0;) {
        const legacy_text *text = legacy_at(in, i);
        if (strncmp(text->kind, "png:", 4) == 0 && *text->keyword && strncmp(text->keyword, "XML:", 4) != 0)
            set(out, text->keyword, strlen(text->keyword), text->text, text->size);
    }
    return true;
}

const legacy_driver legacy_easydiffusion = {
    .name = "easydiffusion",
    .title = "Easy Diffusion",
    .home = "https://github.com/easydiffusion/easydiffusion",
    .reads = "PNG text of each setting; UserComment; NAME.json, NAME.txt",
    .identify = identify,
    .import = import,
};
