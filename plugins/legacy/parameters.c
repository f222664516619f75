/* SPDX-License-Identifier: MIT */
/*
 * parameters.c - the text that AUTOMATIC1111's web UI began with and many tools write since:
 *
 *   prompt, any number of lines
 *   Negative prompt: any number of lines
 *   Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 512x512, Model: "with, comma", Hashes: {"vae": "..."}
 *   Template: lines that extensions add
 *
 * All but the prompt may be missing, and the prompt may look like any of it.  So the line of settings is sought from
 * the end: the first one with several pairs that only such lines have.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "legacy.h"

#include <string.h>

#define PAIRS_MOST 512
#define NAME_MOST 64
#define PAIRS_LEAST 3 /* of a line of settings */

typedef struct span {
    const char *start, *end;
} span;

typedef struct pair {
    span name, value;
    bool quoted; /* value stands between quotes, which aren't in it */
} pair;

typedef struct legacy_parameters {
    const char *text;
    size_t size;
    span prompt, negative, settings, after;
    pair *pairs;
    size_t count;
} parameters;

/* ---- characters, whatever the locale ---- */

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_word(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' || (c & 0x80);
}

static char lower(char c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
}

static span trimmed(span s)
{
    while (s.start < s.end && is_space(*s.start))
        s.start++;
    while (s.end > s.start && is_space(s.end[-1]))
        s.end--;
    return s;
}

static bool starts_with(span s, const char *text)
{
    size_t size = strlen(text);
    return (size_t)(s.end - s.start) >= size && memcmp(s.start, text, size) == 0;
}

/* Names compare without case: "CFG scale" is "CFG Scale" in some tools. */
static bool is_name(span s, const char *name)
{
    for (; s.start < s.end && *name; s.start++, name++)
        if (lower(*s.start) != lower(*name))
            return false;
    return s.start == s.end && !*name;
}

static bool is_spelt(span s, const char *name)
{
    return starts_with(s, name) && (size_t)(s.end - s.start) == strlen(name);
}

/* ---- pairs ---- */

/* Past a quoted string that begins at `at`, or NULL where it isn't closed before `end`. */
static const char *past_quotes(const char *at, const char *end)
{
    for (at++; at < end && *at != '"'; at++)
        if (*at == '\\')
            at++;
    return at < end ? at + 1 : NULL;
}

/* Past brackets of any kind that begin at `at`, strings in them included; NULL where they aren't balanced. */
static const char *past_brackets(const char *at, const char *end)
{
    unsigned depth = 0;
    while (at && at < end) {
        char c = *at;
        if (c == '"') {
            at = past_quotes(at, end);
            continue;
        }
        if (c == '[' || c == '{' || c == '(')
            depth++;
        if ((c == ']' || c == '}' || c == ')') && --depth == 0)
            return at + 1;
        at++;
    }
    return NULL;
}

/* Whether a value may end at `at`: only a comma, or the line's end, follows. */
static bool ends_at(const char *at, const char *end)
{
    while (at && at < end && is_space(*at))
        at++;
    return at && (at == end || *at == ',');
}

static const char *find(const char *at, const char *end, char c)
{
    const char *found = at < end ? memchr(at, c, (size_t)(end - at)) : NULL;
    return found ? found : end;
}

/* The name of a pair that begins at `at`; *colon is where it ends. */
static bool read_name(const char *at, const char *end, span *name, const char **colon)
{
    while (at < end && is_space(*at))
        at++;
    const char *start = at;
    if (at == end || !is_word(*at))
        return false;
    while (at < end && *at != ':' && at - start <= NAME_MOST) {
        if (*at == ',' || *at == '"' || *at == '{' || *at == '[' || *at == '<' || *at == '\n')
            return false;
        at++;
    }
    *name = trimmed((span){start, at});
    *colon = at;
    return at < end && *at == ':' && name->end - name->start >= 2;
}

/* The value that begins at `at`; returns where it ends. */
static const char *read_value(const char *at, const char *end, pair *p)
{
    while (at < end && is_space(*at))
        at++;
    const char *stop = NULL;
    if (at < end && *at == '"') {
        stop = past_quotes(at, end);
        if (ends_at(stop, end)) {
            p->quoted = true;
            p->value = (span){at + 1, stop - 1};
            return stop;
        }
    } else if (at < end && (*at == '[' || *at == '{' || *at == '(')) {
        stop = past_brackets(at, end);
        if (ends_at(stop, end)) {
            p->value = (span){at, stop};
            return stop;
        }
    }
    stop = find(at, end, ',');
    p->value = trimmed((span){at, stop});
    return stop;
}

/* Calls for each pair of a line.  What has no name belongs to the value before. */
static void each_pair(span line, bool (*callback)(void *user, const pair *found), void *user)
{
    const char *at = line.start;
    pair open = {{NULL, NULL}, {NULL, NULL}, false};
    while (at < line.end) {
        pair next = {{NULL, NULL}, {NULL, NULL}, false};
        const char *colon;
        if (read_name(at, line.end, &next.name, &colon)) {
            if (open.name.start && !callback(user, &open))
                return;
            open = next;
            at = read_value(colon + 1, line.end, &open);
        } else {
            at = find(at, line.end, ',');
            if (open.name.start && !open.quoted)
                open.value = trimmed((span){open.value.start, at});
        }
        at = find(at, line.end, ',');
        if (at < line.end)
            at++;
    }
    if (open.name.start)
        callback(user, &open);
}

/* ---- the line of settings ---- */

static const char *const marks[] = {"Steps", "Seed", "Sampler", "CFG scale", "Size"};
#define MARKS (sizeof marks / sizeof *marks)

typedef struct tally {
    size_t pairs;
    unsigned marks; /* a bit for each */
} tally;

static bool count_pair(void *user, const pair *found)
{
    tally *t = user;
    t->pairs++;
    for (size_t i = 0; i < MARKS; i++)
        if (is_name(found->name, marks[i]))
            t->marks |= 1u << i;
    return true;
}

/* Whether a name that may be Steps, Seed or Sampler ends somewhere: in JSON, which may be long, hardly any does. */
static bool may_be_settings(span line)
{
    for (const char *at = line.start; (at = find(at, line.end, ':')) < line.end; at++)
        if (at > line.start && strchr("sdrSDR", at[-1]))
            return true;
    return false;
}

/* "Steps: 20" alone will do on the last line: what knows little more writes so. */
static bool begins_with_steps(span line)
{
    pair first = {{NULL, NULL}, {NULL, NULL}, false};
    if (!starts_with(line, "Steps:"))
        return false;
    read_value(line.start + strlen("Steps:"), line.end, &first);
    for (const char *at = first.value.start; at < first.value.end; at++)
        if (*at < '0' || *at > '9')
            return false;
    return first.value.start < first.value.end;
}

/* What extensions add after the line of settings; other lines may well look like some. */
static bool is_addition(span name)
{
    return is_name(name, "Template") || is_name(name, "Negative Template") || starts_with(name, "Wildcard ");
}

static bool is_settings(span line)
{
    tally t = {0, 0};
    const char *colon;
    span name;
    line = trimmed(line);
    bool begins = starts_with(line, "Steps:");
    if (!begins && (!may_be_settings(line) || (read_name(line.start, line.end, &name, &colon) && is_addition(name))))
        return false;
    each_pair(line, count_pair, &t);
    return t.pairs >= PAIRS_LEAST && (begins || __builtin_popcount(t.marks) >= 3);
}

/* The line that ends at `end`. */
static span line_before(span text, const char *end)
{
    const char *before = end > text.start ? memrchr(text.start, '\n', (size_t)(end - text.start)) : NULL;
    return (span){before ? before + 1 : text.start, end};
}

static bool find_settings(span text, span *found)
{
    for (const char *end = text.end;; end = found->start - 1) {
        *found = line_before(text, end);
        if (is_settings(*found))
            return true;
        if (found->start == text.start)
            return false;
    }
}

/* Where the settings begin in a line that has the prompt, too, because something made one line of all:
   "a cat. Steps: 20, Sampler: Euler, CFG scale: 7, Seed: 1". */
static const char *after_prompt(span line)
{
    static const char steps[] = " Steps: ";
    const size_t size = (size_t)(line.end - line.start);
    const char *found = memmem(line.start, size, steps, strlen(steps));
    tally t = {0, 0};
    if (!found || memmem(line.start, size, ", Steps: ", strlen(", Steps: ")) ||
        !begins_with_steps((span){found + 1, line.end}))
        return line.start;
    each_pair((span){line.start, found}, count_pair, &t);
    return t.marks == 0 ? found + 1 : line.start;
}

/* In a text that is known for one of parameters. */
static bool find_few_settings(span text, span *found)
{
    *found = line_before(text, trimmed(text).end);
    return begins_with_steps(*found);
}

bool legacy_is_parameters(const char *text, size_t size)
{
    span settings;
    return find_settings((span){text, text + size}, &settings);
}

/* ---- the whole ---- */

#define NEGATIVE "Negative prompt:"

/* Where the first line that says "Negative prompt:" begins, and where what it says does. */
static bool find_negative(span text, span *said)
{
    for (const char *at = text.start; at < text.end;) {
        if (starts_with((span){at, text.end}, NEGATIVE)) {
            *said = (span){at, at + strlen(NEGATIVE)};
            return true;
        }
        at = find(at, text.end, '\n') + 1;
    }
    return false;
}

typedef struct collector {
    pair *pairs;
    size_t count;
} collector;

static bool same(span a, span b)
{
    return a.end - a.start == b.end - b.start && memcmp(a.start, b.start, (size_t)(a.end - a.start)) == 0;
}

/* Of pairs with one name the last counts. */
static bool collect(void *user, const pair *found)
{
    collector *c = user;
    size_t i = 0;
    while (i < c->count && !same(c->pairs[i].name, found->name))
        i++;
    if (i == PAIRS_MOST)
        return false;
    c->pairs[i] = *found;
    c->count += i == c->count;
    return true;
}

/* What was made of a text last is kept: several drivers ask for it. */
static const parameters *read_parameters(legacy_input *in, const char *text, size_t size)
{
    if (in->parameters && in->parameters->text == text && in->parameters->size == size)
        return in->parameters;
    parameters *p = legacy_alloc(in, sizeof *p);
    if (!p)
        return NULL;
    *p = (parameters){.text = text, .size = size};
    span whole = {text, text + size}, said;
    p->prompt = whole;
    tally t = {0, 0};
    span settings;
    if (find_settings(whole, &settings) || find_few_settings(whole, &settings)) {
        settings.start = after_prompt(settings);
        p->settings = settings;
        p->prompt.end = settings.start;
        p->after = (span){settings.end, whole.end};
        each_pair(settings, count_pair, &t);
    }
    if (find_negative(p->prompt, &said)) {
        p->negative = (span){said.end, p->prompt.end};
        p->prompt.end = said.start;
    }
    collector c = {legacy_take(&in->arena, (t.pairs < PAIRS_MOST ? t.pairs + 1 : PAIRS_MOST) * sizeof(pair)), 0};
    if (!c.pairs)
        return NULL;
    each_pair(p->settings, collect, &c);
    p->pairs = c.pairs;
    p->count = c.count;
    return in->parameters = p;
}

/* A value decoded: what stands between quotes is a JSON string. */
static const char *decode_value(legacy_input *in, const pair *p, size_t *size)
{
    *size = (size_t)(p->value.end - p->value.start);
    if (p->quoted) {
        const legacy_json *string = legacy_parse(in, p->value.start - 1, *size + 2);
        size_t length;
        const char *decoded = legacy_decode(&in->arena, string, &length);
        if (decoded) {
            *size = length;
            return decoded;
        }
    }
    return *size ? legacy_copy(&in->arena, p->value.start, *size) : "";
}

const char *legacy_parameter(legacy_input *in, const char *text, size_t size, const char *name)
{
    const parameters *p = read_parameters(in, text, size);
    const pair *found = NULL;
    size_t ignored;
    for (size_t i = p ? p->count : 0; i-- > 0;)
        if (is_spelt(p->pairs[i].name, name) ||
            (is_name(p->pairs[i].name, name) && !(found && is_spelt(found->name, name))))
            found = &p->pairs[i];
    return found ? decode_value(in, found, &ignored) : NULL;
}

static const char *const known[][2] = {
    {"Steps", "steps"},
    {"Seed", "seed"},
    {"Sampler", "sampler"},
    {"Schedule type", "scheduler"},
    {"Scheduler", "scheduler"},
    {"CFG scale", "cfg_scale"},
    {"Distilled CFG Scale", "guidance"},
    {"Eta", "eta"},
    {"Eta DDIM", "eta"},
    {"Model", "model_name"},
    {"Model hash", "model_hash"},
};

static void set_pair(legacy_input *in, legacy_output *out, const pair *p)
{
    size_t size;
    const char *text = decode_value(in, p, &size);
    if (!text)
        return;
    if (is_name(p->name, "Size") && legacy_set_size(out, text, size))
        return;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (is_name(p->name, known[i][0]) && !legacy_has(out, known[i][1]) && legacy_set(out, known[i][1], text, size))
            return;
    const char *name = legacy_copy(&in->arena, p->name.start, (size_t)(p->name.end - p->name.start));
    if (!name)
        return;
    if (is_name(p->name, "Date") || is_name(p->name, "Created Date"))
        legacy_set(out, "date", text, size);
    bool brackets = !p->quoted && size && (*text == '{' || *text == '[');
    if (!brackets || !legacy_set_json(out, name, legacy_parse(in, text, size)))
        legacy_set(out, name, text, size);
}

static bool is_known(span name)
{
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (is_spelt(name, known[i][0]))
            return true;
    return is_spelt(name, "Size");
}

/* What is spelt as A1111 does comes first: extensions have a "model" and a "seed" of their own. */
static void set_pairs(legacy_input *in, legacy_output *out, const pair *pairs, size_t count)
{
    for (int first = 1; first >= 0; first--)
        for (size_t i = 0; i < count; i++)
            if (is_known(pairs[i].name) == first)
                set_pair(in, out, &pairs[i]);
}

static void set_addition(legacy_input *in, legacy_output *out, span name, span value)
{
    if (!name.start)
        return;
    const char *key = legacy_copy(&in->arena, name.start, (size_t)(name.end - name.start));
    value = trimmed(value);
    if (key)
        legacy_set(out, key, value.start, (size_t)(value.end - value.start));
}

/* What extensions add after the line of settings: each begins with its name, and may go on over lines. */
static void set_additions(legacy_input *in, legacy_output *out, span rest)
{
    span name = {NULL, NULL}, value = {NULL, NULL};
    for (const char *at = rest.start, *end; at < rest.end; at = end + 1) {
        const char *colon;
        span begun;
        end = find(at, rest.end, '\n');
        if (*at >= 'A' && *at <= 'Z' && read_name(at, end, &begun, &colon) && (!name.start || is_addition(begun))) {
            set_addition(in, out, name, value);
            name = begun;
            value = (span){colon + 1, end};
        } else
            value.end = end;
    }
    set_addition(in, out, name, value);
}

static void set_prompt(legacy_output *out, const char *name, span text)
{
    text = trimmed(text);
    if (text.start < text.end)
        legacy_set(out, name, text.start, (size_t)(text.end - text.start));
}

bool legacy_import_parameters(legacy_input *in, legacy_output *out, const char *text, size_t size)
{
    const parameters *p = read_parameters(in, text, size);
    if (!p)
        return false;
    set_prompt(out, "prompt", p->prompt);
    set_prompt(out, "negative_prompt", p->negative);
    set_pairs(in, out, p->pairs, p->count);
    set_additions(in, out, p->after);
    return true;
}

void legacy_import_pairs(legacy_input *in, legacy_output *out, const char *text, size_t size)
{
    collector c = {legacy_take(&in->arena, PAIRS_MOST * sizeof(pair)), 0};
    if (!c.pairs)
        return;
    each_pair((span){text, text + size}, collect, &c);
    set_pairs(in, out, c.pairs, c.count);
}

/* ---- where it stands ---- */

static bool holds_settings(const legacy_text *text)
{
    return text && text->size && *text->text != '{' && legacy_is_parameters(text->text, text->size);
}

/* The last of the texts with this keyword (NULL: any) that has settings; damaged duplicates don't hide a good one.
   XMP isn't such a text, but may hold one. */
static const legacy_text *find_last(legacy_input *in, const char *keyword)
{
    for (size_t i = in->text_count; i-- > 0;)
        if ((!keyword || strcmp(in->texts[i].keyword, keyword) == 0) && !legacy_has_form(&in->texts[i], "xmp") &&
            holds_settings(&in->texts[i]))
            return &in->texts[i];
    return NULL;
}

/* Photo managers move comments there. */
static const legacy_text *find_in_xmp(legacy_input *in)
{
    static const char *const names[] = {"exif:UserComment", "dc:description"};
    if (!legacy_contains(legacy_find_form(in, "xmp"), "Steps: "))
        return NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const legacy_text *text = legacy_xmp(in, names[i]);
        if (holds_settings(text))
            return text;
    }
    return NULL;
}

const legacy_text *legacy_find_parameters(legacy_input *in)
{
    if (in->stage == LEGACY_BESIDE) {
        const legacy_text *beside = legacy_companion(in, ".txt");
        return holds_settings(beside) ? beside : NULL;
    }
    if (in->found_stage != in->stage + 1) {
        in->found_stage = in->stage + 1;
        in->found = find_last(in, "parameters");
        if (!in->found)
            in->found = find_last(in, NULL);
        if (!in->found)
            in->found = find_in_xmp(in);
    }
    return in->found;
}
