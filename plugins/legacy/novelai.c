/* SPDX-License-Identifier: MIT */
/*
 * novelai.c - NovelAI: JSON in PNG's Comment; in WebP and in hidden bits the same within JSON.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "driver.h"

#include <string.h>

/* The settings, wherever they are, and what stands beside them. */
typedef struct parts {
    const legacy_json *settings;
    const char *source, *description, *software;
} parts;

static bool is_settings(const legacy_text *text)
{
    return legacy_looks_json(text) && legacy_contains(text, "\"sampler\"") && legacy_contains(text, "\"scale\"") &&
           (legacy_contains(text, "\"uc\"") || legacy_contains(text, "\"v4_prompt\""));
}

/* JSON that holds the settings as a string. */
static const legacy_text *find_wrapped(legacy_input *in)
{
    for (size_t i = legacy_count(in); i-- > 0;) {
        const legacy_text *text = legacy_at(in, i);
        bool place = strcmp(text->keyword, "UserComment") == 0 || strcmp(text->kind, "stealth") == 0;
        if (place && legacy_looks_json(text) && legacy_contains(text, "\"Comment\"") &&
            (legacy_contains(text, "NovelAI") || legacy_contains(text, "\\\"uc\\\"")))
            return text;
    }
    return NULL;
}

static const legacy_text *find_comment(legacy_input *in)
{
    const legacy_text *comment = legacy_find(in, "png:", "Comment"), *software = legacy_find(in, "png:", "Software");
    return is_settings(comment) || (legacy_looks_json(comment) && legacy_begins(software, "NovelAI")) ? comment : NULL;
}

static bool identify(legacy_input *in)
{
    return find_comment(in) || find_wrapped(in);
}

static const char *text_of(const legacy_text *text)
{
    return text ? text->text : NULL;
}

static bool read_parts(legacy_input *in, parts *p)
{
    const legacy_text *text = find_comment(in);
    if (text) {
        p->settings = legacy_parse(in, text->text, text->size);
        p->source = text_of(legacy_find(in, "png:", "Source"));
        p->description = text_of(legacy_find(in, "png:", "Description"));
        p->software = text_of(legacy_find(in, "png:", "Software"));
        return p->settings != NULL;
    }
    text = find_wrapped(in);
    const legacy_json *wrapper = legacy_parse(in, text->text, text->size), *comment = legacy_member(wrapper, "Comment");
    size_t size = 0;
    const char *inner = legacy_value(in, comment, &size);
    p->settings = inner ? legacy_parse(in, inner, size) : comment;
    p->source = legacy_member_value(in, wrapper, "Source");
    p->description = legacy_member_value(in, wrapper, "Description");
    p->software = legacy_member_value(in, wrapper, "Software");
    return p->settings && p->settings->type == RAIIAF_JSON_OBJECT;
}

static bool is_hash(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (!strchr("0123456789ABCDEFabcdef", text[i]))
            return false;
    return size == 8;
}

/* "NovelAI Diffusion V4.5 4BDE2A90" */
static void set_source(legacy_output *out, const char *source)
{
    if (!source)
        return;
    size_t size = strlen(source);
    const char *space = strrchr(source, ' ');
    if (space && is_hash(space + 1, size - (size_t)(space + 1 - source))) {
        legacy_set_string(out, "model_hash", space + 1);
        size = (size_t)(space - source);
    }
    legacy_set(out, "model_name", source, size);
}

/* The captions of version 4: the prompt itself, and those of each character, which are kept. */
static void set_caption(legacy_output *out, const legacy_json *settings, const char *member, const char *name)
{
    legacy_set_member(out, name, legacy_member(legacy_member(settings, member), "caption"), "base_caption");
}

static void count_characters(legacy_output *out, const legacy_json *settings)
{
    const legacy_json *caption = legacy_member(legacy_member(settings, "v4_prompt"), "caption");
    const legacy_json *characters = legacy_member(caption, "char_captions");
    uint64_t count = 0;
    if (!characters || characters->type != RAIIAF_JSON_ARRAY)
        return;
    for (const legacy_json *one = characters->child; one; one = one->next)
        count++;
    legacy_set_uint64(out, "n_characters", count);
}

static bool import(legacy_input *in, legacy_output *out)
{
    static const legacy_map map[] = {
        {"uc", "negative_prompt"}, {"scale", "cfg_scale"}, {"noise_schedule", "scheduler"}, {NULL, NULL}};
    parts p = {NULL, NULL, NULL, NULL};
    if (!read_parts(in, &p))
        return false;
    set_source(out, p.source);
    set_source(out, text_of(legacy_find(in, "webp:", "Software"))); /* Exif has no better place */
    set_source(out, text_of(legacy_find(in, "jpeg:", "Software")));
    legacy_set_tool(out, p.software && strncmp(p.software, "NovelAI", 7) != 0 ? p.software : "NovelAI", NULL);
    set_caption(out, p.settings, "v4_prompt", "prompt");
    set_caption(out, p.settings, "v4_negative_prompt", "negative_prompt");
    legacy_set_member(out, "prompt", p.settings, "prompt");
    legacy_set_string(out, "prompt", p.description);
    count_characters(out, p.settings);
    legacy_set_members(out, p.settings, map);
    return true;
}

const legacy_driver legacy_novelai = {
    .name = "novelai",
    .title = "NovelAI",
    .home = "https://novelai.net",
    .reads = "PNG Comment, Source, Description; UserComment; stealth bits",
    .identify = identify,
    .import = import,
};
