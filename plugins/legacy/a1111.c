/* SPDX-License-Identifier: MIT */
/*
 * a1111.c - AUTOMATIC1111's web UI, and whatever writes its "parameters" text and isn't known by a driver of its own.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "driver.h"

#include <string.h>

static bool has_line(const legacy_text *text, const char *start)
{
    size_t size = strlen(start);
    for (const char *at = text->text, *end = text->text + text->size; at; at = memchr(at, '\n', (size_t)(end - at))) {
        at += at > text->text || (at < end && *at == '\n');
        if ((size_t)(end - at) >= size && memcmp(at, start, size) == 0)
            return true;
    }
    return false;
}

/* "alpha=0.05; beta=3": the parameters of something else. */
static bool is_assignment(const legacy_text *text)
{
    size_t i = 0;
    while (i < text->size && text->text[i] != '=' && text->text[i] > ' ' && text->text[i] != ',')
        i++;
    return i < text->size && text->text[i] == '=';
}

/* A prompt without settings, where the web UI puts it: any text that isn't plainly something else. */
static const legacy_text *find_prompt(legacy_input *in)
{
    const legacy_text *text = legacy_find(in, "png:", "parameters");
    if (!text || !text->size || legacy_begins(text, "{") || legacy_begins(text, "[") || legacy_begins(text, "<?"))
        return NULL;
    return has_line(text, "Negative prompt:") || !is_assignment(text) ? text : NULL;
}

static bool identify(legacy_input *in)
{
    return legacy_find_parameters(in) || find_prompt(in) || legacy_find(in, "png:", "postprocessing") ||
           legacy_find(in, "png:", "extras");
}

static bool import(legacy_input *in, legacy_output *out)
{
    static const char *const others[] = {"postprocessing", "extras"};
    const legacy_text *text = legacy_find_parameters(in);
    if (!text)
        text = find_prompt(in);
    if (text) {
        const char *app = legacy_parameter(in, text->text, text->size, "App");
        const char *version = legacy_parameter(in, text->text, text->size, "Version");
        if (app || (version && *version))
            legacy_set_tool(out, app ? app : "AUTOMATIC1111", version);
        legacy_import_parameters(in, out, text->text, text->size);
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        const legacy_text *more = legacy_find(in, "png:", others[i]);
        if (more)
            legacy_import_pairs(in, out, more->text, more->size);
    }
    return true;
}

const legacy_driver legacy_a1111 = {
    .name = "a1111",
    .title = "Stable Diffusion web UI (AUTOMATIC1111) and tools that write as it does",
    .home = "https://github.com/AUTOMATIC1111/stable-diffusion-webui",
    .reads = "PNG parameters, postprocessing; UserComment; JPEG comment; NAME.txt",
    .identify = identify,
    .import = import,
};
