/* SPDX-License-Identifier: MIT */
/*
 * invokeai_dream.c - InvokeAI 1 and 2: the command that made the image, as it was typed.
 *
 * Quotes aren't escaped, and anything may stand in a prompt.  So the command is read from its end: its switches are the
 * longest tail that is nothing but switches and their values.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "driver.h"

#include <string.h>

#define WORDS_MOST 64

typedef struct dream_switch {
    const char *name;     /* without its dash */
    const char *field;    /* canonical or own */
    unsigned least, most; /* values */
    bool numeric;
} dream_switch;

static const dream_switch switches[] = {
    {"s", "steps", 1, 1, true},
    {"S", "seed", 1, 1, true},
    {"W", "width", 1, 1, true},
    {"H", "height", 1, 1, true},
    {"C", "cfg_scale", 1, 1, true},
    {"A", "sampler", 1, 1, false},
    {"m", "sampler", 1, 1, false},
    {"n", "iterations", 1, 1, true},
    {"b", "batch_size", 1, 1, true},
    {"G", "facetool_strength", 1, 1, true},
    {"ft", "facetool", 1, 1, false},
    {"cf", "codeformer_fidelity", 1, 1, true},
    {"U", "upscale", 1, 2, true},
    {"V", "variations", 1, 1, false},
    {"v", "variation_amount", 1, 1, true},
    {"I", "init_img", 1, 1, false},
    {"M", "init_mask", 1, 1, false},
    {"tm", "text_mask", 1, 2, false},
    {"f", "strength", 1, 1, true},
    {"F", "fit", 0, 0, false},
    {"g", "grid", 0, 0, false},
    {"i", "individual", 0, 0, false},
    {"x", "skip_normalize", 0, 0, false},
    {"N", "initimg_noise", 1, 1, true},
    {"D", "outcrop_mask", 1, 1, false},
    {"save_orig", "save_original", 0, 0, false},
    {"embiggen", "embiggen", 1, 3, true},
    {"embiggen_tiles", "embiggen_tiles", 1, 64, true},
};

/* Long names of what has a canonical name. */
static const char *const long_names[][2] = {
    {"steps", "steps"},         {"seed", "seed"},       {"width", "width"},          {"height", "height"},
    {"cfg_scale", "cfg_scale"}, {"sampler", "sampler"}, {"sampler_name", "sampler"}, {"with_variations", "variations"},
};

typedef struct word {
    const char *text;
    size_t size;
} word;

static bool is_numeric(word w)
{
    size_t i = w.size && *w.text == '-';
    if (i == w.size)
        return false;
    for (; i < w.size; i++)
        if (!strchr("0123456789.", w.text[i]))
            return false;
    return true;
}

static bool is_value(word w, bool numeric)
{
    return w.size && (is_numeric(w) || (!numeric && *w.text != '-'));
}

/* The switch that a word is; *glued is the value that sticks to it ("-s50"), if one does. */
static const dream_switch *find_switch(word w, word *glued)
{
    const dream_switch *found = NULL;
    *glued = (word){NULL, 0};
    for (size_t i = 0; i < sizeof switches / sizeof *switches; i++) {
        size_t length = strlen(switches[i].name);
        if (w.size < 1 + length || memcmp(w.text + 1, switches[i].name, length) != 0)
            continue;
        word rest = {w.text + 1 + length, w.size - 1 - length};
        if (rest.size && !(switches[i].most && is_value(rest, switches[i].numeric)))
            continue;
        if (found && strlen(found->name) >= length)
            continue;
        found = &switches[i];
        *glued = rest;
    }
    return found;
}

typedef struct reader {
    legacy_input *in;
    legacy_output *out; /* NULL: only whether the tail is one */
    const word *words;
    size_t count, at;
} reader;

static void set_words(const reader *r, const char *field, size_t first, size_t count, word glued)
{
    if (!r->out)
        return;
    if (glued.size)
        legacy_set_typed(r->out, field, glued.text, glued.size);
    else if (!count)
        legacy_set_typed(r->out, field, "true", 4);
    else {
        const word *last = &r->words[first + count - 1];
        const char *start = r->words[first].text;
        legacy_set_typed(r->out, field, start, (size_t)(last->text + last->size - start));
    }
}

/* "--word", "--word value", "--word=value" */
static bool read_long(reader *r)
{
    word w = r->words[r->at++];
    const char *equals = memchr(w.text, '=', w.size);
    size_t length = (equals ? (size_t)(equals - w.text) : w.size) - 2, first = r->at;
    for (size_t i = 0; i < length; i++)
        if (!((w.text[2 + i] >= 'a' && w.text[2 + i] <= 'z') || strchr("_-0123456789", w.text[2 + i])))
            return false;
    if (!equals && r->at < r->count && is_value(r->words[r->at], false))
        r->at++;
    char name[32];
    if (!length || length >= sizeof name)
        return false;
    memcpy(name, w.text + 2, length);
    name[length] = 0;
    const char *field = name;
    for (size_t i = 0; i < sizeof long_names / sizeof *long_names; i++)
        if (strcmp(name, long_names[i][0]) == 0)
            field = long_names[i][1];
    while (strncmp(name, "embiggen", strlen("embiggen")) == 0 && r->at < r->count && is_value(r->words[r->at], true))
        r->at++;
    word glued = {equals ? equals + 1 : NULL, equals ? (size_t)(w.text + w.size - equals - 1) : 0};
    set_words(r, field, first, r->at - first, glued);
    return true;
}

static bool read_switch(reader *r)
{
    word w = r->words[r->at], glued;
    if (w.size < 2 || *w.text != '-')
        return false;
    if (w.text[1] == '-')
        return read_long(r);
    const dream_switch *found = find_switch(w, &glued);
    if (!found)
        return false;
    size_t first = ++r->at, count = glued.size ? 1 : 0;
    while (count < found->most && r->at < r->count && is_value(r->words[r->at], found->numeric)) {
        r->at++;
        count++;
    }
    if (count < found->least)
        return false;
    set_words(r, found->field, first, r->at - first, glued);
    return true;
}

/* Whether words from `at` on are switches alone. */
static bool read_tail(legacy_input *in, legacy_output *out, const word *words, size_t count, size_t at)
{
    reader r = {in, out, words, count, at};
    while (r.at < count)
        if (!read_switch(&r))
            return false;
    return true;
}

/* The last words of the text, at most WORDS_MOST; returns how many. */
static size_t split(const char *text, size_t size, word words[WORDS_MOST])
{
    size_t count = 0, end = size;
    while (count < WORDS_MOST) {
        while (end && strchr(" \t\r\n", text[end - 1]))
            end--;
        size_t start = end;
        while (start && !strchr(" \t\r\n", text[start - 1]))
            start--;
        if (start == end)
            break;
        words[count++] = (word){text + start, end - start};
        end = start;
    }
    for (size_t i = 0; i < count / 2; i++) {
        word other = words[i];
        words[i] = words[count - 1 - i];
        words[count - 1 - i] = other;
    }
    return count;
}

static bool identify(legacy_input *in)
{
    const legacy_text *text = legacy_find(in, "png:", "Dream");
    return text && text->size;
}

static bool import(legacy_input *in, legacy_output *out)
{
    const legacy_text *text = legacy_find(in, "png:", "Dream");
    const char *prompt = text->text;
    size_t size = text->size, at = 0;
    word words[WORDS_MOST];
    size_t count = split(prompt, size, words);
    while (at < count && !(words[at].size > 1 && *words[at].text == '-' && read_tail(in, NULL, words, count, at)))
        at++;
    if (at < count)
        size = (size_t)(words[at].text - prompt);
    while (size && strchr(" \t\r\n", prompt[size - 1]))
        size--;
    while (size && strchr(" \t\r\n", *prompt)) {
        prompt++;
        size--;
    }
    if (size >= 2 && *prompt == '"' && prompt[size - 1] == '"') {
        prompt++;
        size -= 2;
    }
    legacy_set_tool(out, "InvokeAI", NULL);
    legacy_set_bracketed(in, out, prompt, size);
    read_tail(in, out, words, count, at);
    return true;
}

const legacy_driver legacy_invokeai_dream = {
    .name = "invokeai-dream",
    .title = "InvokeAI 1 and 2 (dream.py)",
    .home = "https://github.com/invoke-ai/InvokeAI",
    .reads = "PNG Dream",
    .identify = identify,
    .import = import,
};
