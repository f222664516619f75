/* SPDX-License-Identifier: MIT */
/*
 * sygil.c - Sygil WebUI: a PNG text for each setting, JSON in a UserComment, or YAML beside the image.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "driver.h"

#include <string.h>

#define PREFIX "SD:"

static const char *const names[][2] = {
    {"prompt", NULL},           {"seed", "seed"},     {"ddim_steps", "steps"},     {"steps", "steps"},
    {"cfg_scale", "cfg_scale"}, {"ddim_eta", "eta"},  {"sampler_name", "sampler"}, {"model_name", "model_name"},
    {"width", "width"},         {"height", "height"},
};
#define NAMES (sizeof names / sizeof *names)

/* "a cat, ###dog": what isn't wanted stands behind. */
static void set_prompt(legacy_output *out, const char *text, size_t size)
{
    const char *mark = NULL;
    for (size_t i = 0; !mark && i + 3 <= size; i++)
        if (memcmp(text + i, "###", 3) == 0)
            mark = text + i;
    if (mark) {
        legacy_set(out, "negative_prompt", mark + 3, size - (size_t)(mark + 3 - text));
        size = (size_t)(mark - text);
        while (size && (text[size - 1] == ' ' || text[size - 1] == ','))
            size--;
    }
    legacy_set(out, "prompt", text, size);
}

static void set(legacy_output *out, const char *name, const char *text, size_t size)
{
    if (strncmp(name, PREFIX, strlen(PREFIX)) == 0)
        name += strlen(PREFIX);
    for (size_t i = 0; i < NAMES; i++) {
        if (strcmp(names[i][0], name) != 0)
            continue;
        if (names[i][1])
            legacy_set(out, names[i][1], text, size);
        else
            set_prompt(out, text, size);
        return;
    }
    legacy_set(out, name, text, size);
}

static bool import_json(legacy_input *in, legacy_output *out, const legacy_text *text)
{
    const legacy_json *root = legacy_parse(in, text->text, text->size);
    if (!root || root->type != RAIIAF_JSON_OBJECT)
        return false;
    for (const legacy_json *member = root->child; member; member = member->next) {
        char name[64];
        size_t size;
        const char *value = legacy_value(in, member, &size);
        if (!value || member->name_size >= sizeof name)
            continue;
        memcpy(name, member->name, member->name_size);
        name[member->name_size] = 0;
        set(out, name, value, size);
    }
    legacy_set_rest(out, root, NULL);
    return true;
}

/* ---- YAML, as far as PyYAML writes a mapping of scalars: plain, 'single', "double", folded after 80 columns ---- */

static bool is_indented(const char *line, const char *end)
{
    return line < end && (*line == ' ' || *line == '\n' || *line == '\r');
}

static const char *line_end(const char *at, const char *end)
{
    const char *stop = memchr(at, '\n', (size_t)(end - at));
    return stop ? stop : end;
}

/* One line of a scalar, its white space off.  A line end within it is a space, an empty line a line end. */
static void append_folded(legacy_string *out, const char *at, const char *end, bool *pending)
{
    while (at < end && strchr(" \t\r", *at))
        at++;
    while (end > at && strchr(" \t\r", end[-1]))
        end--;
    if (at == end) {
        legacy_append_string(out, "\n");
        *pending = false;
        return;
    }
    /* Of a double-quoted one, the backslash takes the line end away. */
    bool joined = end[-1] == '\\' && (out->size ? out->text[0] : *at) == '"';
    legacy_append_string(out, *pending ? " " : "");
    legacy_append(out, at, (size_t)(end - at) - joined);
    *pending = !joined;
}

static size_t hex_value(const char *text, size_t count, uint32_t *code)
{
    static const char digits[] = "0123456789abcdef";
    *code = 0;
    for (size_t i = 0; i < count; i++) {
        const char *digit = text[i] ? strchr(digits, text[i] | 0x20) : NULL;
        if (!digit)
            return 0;
        *code = *code << 4 | (uint32_t)(digit - digits);
    }
    return count;
}

static void append_code(legacy_string *out, uint32_t code)
{
    char utf8[4];
    size_t size = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    if (code > 0x10FFFF || (code >= 0xD800 && code < 0xE000))
        return;
    for (size_t i = size; i-- > 1; code >>= 6)
        utf8[i] = (char)(0x80 | (code & 0x3F));
    utf8[0] = (char)(size == 1 ? code : (0xF00 >> size & 0xFF) | code);
    legacy_append(out, utf8, size);
}

/* What stands between double quotes; text[size] can be read. */
static void append_unescaped(legacy_string *out, const char *text, size_t size)
{
    static const char escapes[] = "n\nt\tr\r0\0e\033";
    for (size_t i = 0; i < size; i++) {
        if (text[i] != '\\' || i + 1 == size) {
            legacy_append(out, text + i, 1);
            continue;
        }
        char c = text[++i];
        uint32_t code;
        size_t wanted = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
        if (wanted && size - i > wanted && hex_value(text + i + 1, wanted, &code)) {
            append_code(out, code);
            i += wanted;
            continue;
        }
        for (size_t k = 0; k + 1 < sizeof escapes - 1; k += 2)
            c = text[i] == escapes[k] ? escapes[k + 1] : c;
        legacy_append(out, &c, 1);
    }
}

/* A scalar without its quotes. */
static const char *unquote(legacy_input *in, const legacy_string *raw, size_t *size)
{
    *size = raw->size;
    if (raw->size < 2 || raw->text[0] != raw->text[raw->size - 1])
        return raw->text;
    legacy_string out = {.in = in};
    if (raw->text[0] == '"')
        append_unescaped(&out, raw->text + 1, raw->size - 2);
    else if (raw->text[0] != '\'')
        return raw->text;
    for (size_t i = 1; *raw->text == '\'' && i + 1 < raw->size; i++) {
        legacy_append(&out, raw->text + i, 1);
        i += raw->text[i] == '\'' && raw->text[i + 1] == '\'';
    }
    *size = out.size;
    return out.text;
}

static bool import_yaml(legacy_input *in, legacy_output *out, const legacy_text *text)
{
    bool any = false;
    if (!text)
        return false;
    for (const char *at = text->text, *end = at + text->size; at < end;) {
        const char *stop = line_end(at, end), *colon = memchr(at, ':', (size_t)(stop - at));
        char name[64];
        size_t length = colon ? (size_t)(colon - at) : 0;
        legacy_string raw = {.in = in};
        bool pending = false;
        if (colon)
            append_folded(&raw, colon + 1, stop, &pending);
        if (raw.size == 1 && raw.text[0] == '\n')
            raw.size = 0;
        for (at = stop + 1; at < end && is_indented(at, end); at = stop + 1) {
            stop = line_end(at, end);
            append_folded(&raw, at, stop, &pending);
        }
        while (raw.size && raw.text[raw.size - 1] == '\n')
            raw.size--;
        if (!length || length >= sizeof name || !raw.size)
            continue;
        memcpy(name, colon - length, length);
        name[length] = 0;
        size_t size;
        const char *value = unquote(in, &raw, &size);
        if (value)
            set(out, name, value, size);
        any = true;
    }
    return any;
}

/* ---- the driver ---- */

static bool is_json(const legacy_text *text)
{
    if (!legacy_looks_json(text) || !legacy_contains(text, "sampler_name\"") || legacy_contains(text, "class_type"))
        return false;
    return legacy_contains(text, "ddim_steps\"") || legacy_contains(text, "\"" PREFIX) ||
           (legacy_contains(text, "\"steps\"") && legacy_contains(text, "\"cfg_scale\""));
}

static bool is_yaml(const legacy_text *text)
{
    return text && !legacy_looks_json(text) && legacy_contains(text, "sampler_name:") &&
           legacy_contains(text, "prompt:") && legacy_contains(text, "steps:");
}

static bool is_embedded(legacy_input *in)
{
    return legacy_find(in, "png:", PREFIX "prompt") || legacy_find(in, "png:", PREFIX "sampler_name");
}

static bool identify(legacy_input *in)
{
    return is_embedded(in) || is_json(legacy_find(in, "", "UserComment")) || is_yaml(legacy_companion(in, ".yaml"));
}

static bool import(legacy_input *in, legacy_output *out)
{
    legacy_set_tool(out, "Sygil WebUI", NULL);
    if (!is_embedded(in)) {
        const legacy_text *text = legacy_find(in, "", "UserComment");
        return is_json(text) ? import_json(in, out, text) : import_yaml(in, out, legacy_companion(in, ".yaml"));
    }
    for (size_t i = legacy_count(in); i-- > 0;) {
        const legacy_text *text = legacy_at(in, i);
        if (strncmp(text->keyword, PREFIX, strlen(PREFIX)) == 0)
            set(out, text->keyword, text->text, text->size);
    }
    return true;
}

const legacy_driver legacy_sygil = {
    .name = "sygil",
    .title = "Sygil WebUI",
    .home = "https://github.com/Sygil-Dev/sygil-webui",
    .reads = "PNG SD:prompt and so on; UserComment; NAME.yaml",
    .identify = identify,
    .import = import,
};
