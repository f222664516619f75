/* SPDX-License-Identifier: MIT */
/*
 * values.c - JSON for drivers: one pass over the text makes a tree of views into it.
 *
 * json-c can't do here (doc/format.md, 3): seeds beyond 64 bits and NaN have to keep their spelling, and a tenth of its
 * speed would go to allocating what no driver asks for.  What is asked for is decoded when it is.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "legacy.h"

#include <string.h>

#define DEPTH_MOST 128
#define SIZE_MOST (32u << 20)
#define NODES_MOST (1u << 20)

typedef struct parser {
    legacy_arena *arena;
    const char *at, *end;
    unsigned depth;
    size_t nodes;
} parser;

static void skip_space(parser *p)
{
    while (p->at < p->end && (*p->at == ' ' || *p->at == '\n' || *p->at == '\r' || *p->at == '\t'))
        p->at++;
}

/* Moves past a string; its contents are [*start, at - 1). */
static bool skip_string(parser *p, const char **start, bool *escaped)
{
    const char *at = p->at + 1;
    *start = at;
    *escaped = false;
    while (at < p->end && *at != '"') {
        if (*at == '\\') {
            *escaped = true;
            at++;
        }
        at++;
    }
    if (at >= p->end)
        return false;
    p->at = at + 1;
    return true;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool skip_digits(parser *p)
{
    const char *start = p->at;
    while (p->at < p->end && is_digit(*p->at))
        p->at++;
    return p->at > start;
}

static bool skip_word(parser *p, const char *word)
{
    size_t size = strlen(word);
    if ((size_t)(p->end - p->at) < size || memcmp(p->at, word, size) != 0)
        return false;
    p->at += size;
    return true;
}

static bool skip_number(parser *p)
{
    if (*p->at == '-')
        p->at++;
    if (p->at == p->end)
        return false;
    if (*p->at == 'I')
        return skip_word(p, "Infinity");
    bool zero = *p->at == '0';
    const char *start = p->at;
    if (!skip_digits(p) || (zero && p->at - start > 1))
        return false;
    if (p->at < p->end && *p->at == '.') {
        p->at++;
        if (!skip_digits(p))
            return false;
    }
    if (p->at < p->end && (*p->at | 0x20) == 'e') {
        p->at++;
        if (p->at < p->end && (*p->at == '+' || *p->at == '-'))
            p->at++;
        return skip_digits(p);
    }
    return true;
}

/* ---- strings, decoded ---- */

static unsigned hex_digit(char c)
{
    return is_digit(c)                              ? (unsigned)(c - '0')
           : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (unsigned)((c | 0x20) - 'a') + 10
                                                    : 16;
}

/* The code unit of the four digits at `text`, or -1. */
static long code_unit(const char *text, const char *end)
{
    unsigned unit = 0;
    if (end - text < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        unsigned digit = hex_digit(text[i]);
        if (digit > 15)
            return -1;
        unit = unit << 4 | digit;
    }
    return (long)unit;
}

static char *put_utf8(char *out, uint32_t code)
{
    if (code < 0x80) {
        *out++ = (char)code;
    } else if (code < 0x800) {
        *out++ = (char)(0xC0 | code >> 6);
    } else if (code < 0x10000) {
        *out++ = (char)(0xE0 | code >> 12);
        *out++ = (char)(0x80 | (code >> 6 & 0x3F));
    } else {
        *out++ = (char)(0xF0 | code >> 18);
        *out++ = (char)(0x80 | (code >> 12 & 0x3F));
        *out++ = (char)(0x80 | (code >> 6 & 0x3F));
    }
    if (code >= 0x80)
        *out++ = (char)(0x80 | (code & 0x3F));
    return out;
}

/* After "\u": surrogates in pairs, lone ones as U+FFFD.  NULL where there are no four digits. */
static const char *decode_unit(const char *at, const char *end, char **out)
{
    long unit = code_unit(at, end);
    if (unit < 0)
        return NULL;
    at += 4;
    uint32_t code = (uint32_t)unit;
    if (code >= 0xD800 && code < 0xDC00 && end - at >= 6 && at[0] == '\\' && at[1] == 'u') {
        long low = code_unit(at + 2, end);
        if (low >= 0xDC00 && low < 0xE000) {
            code = 0x10000 + ((code - 0xD800) << 10) + ((uint32_t)low - 0xDC00);
            at += 6;
        }
    }
    *out = put_utf8(*out, code >= 0xD800 && code < 0xE000 ? 0xFFFD : code);
    return at;
}

/* The decoded form of what stands between quotes; never longer than that.  NULL for an escape that there isn't. */
static const char *decode(legacy_arena *arena, const char *at, size_t size, size_t *length)
{
    static const char escapes[] = "\"\"\\\\//b\bf\fn\nr\rt\t";
    const char *end = at + size;
    char *out = legacy_take(arena, size + 1), *start = out;
    while (out && at && at < end) {
        const char *backslash = memchr(at, '\\', (size_t)(end - at)), *stop = backslash ? backslash : end;
        memcpy(out, at, (size_t)(stop - at));
        out += stop - at;
        at = stop;
        if (!backslash)
            break;
        const char *escape = at[1] ? strchr(escapes, at[1]) : NULL;
        at += 2;
        if (at[-1] == 'u')
            at = decode_unit(at, end, &out);
        else if (escape && (escape - escapes) % 2 == 0)
            *out++ = escape[1];
        else
            at = NULL;
    }
    if (!out || !at)
        return NULL;
    *out = 0;
    *length = (size_t)(out - start);
    return start;
}

/* ---- the tree ---- */

static legacy_json *parse_value(parser *p);

static bool parse_name(parser *p, const char **name, size_t *size)
{
    bool escaped;
    if (p->at == p->end || *p->at != '"' || !skip_string(p, name, &escaped))
        return false;
    *size = (size_t)(p->at - 1 - *name);
    if (escaped)
        *name = decode(p->arena, *name, *size, size);
    skip_space(p);
    if (!*name || p->at == p->end || *p->at != ':')
        return false;
    p->at++;
    return true;
}

static bool parse_members(parser *p, legacy_json *container, char close)
{
    const legacy_json **last = &container->child;
    p->at++;
    skip_space(p);
    if (p->at < p->end && *p->at == close) {
        p->at++;
        return true;
    }
    while (p->at < p->end) {
        const char *name = NULL;
        size_t name_size = 0;
        if (close == '}' && !parse_name(p, &name, &name_size))
            return false;
        legacy_json *value = parse_value(p);
        if (!value)
            return false;
        value->name = name;
        value->name_size = name_size;
        *last = value;
        last = &value->next;
        skip_space(p);
        char c = p->at < p->end ? *p->at++ : 0;
        if (c == close)
            return true;
        if (c != ',')
            return false;
        skip_space(p);
    }
    return false;
}

/* Recurses as deep as the text is nested: DEPTH_MOST. */
static legacy_json *parse_value(parser *p)
{
    skip_space(p);
    if (p->at == p->end || p->nodes == NODES_MOST)
        return NULL;
    p->nodes++;
    legacy_json *value = legacy_take(p->arena, sizeof *value);
    if (!value)
        return NULL;
    *value = (legacy_json){.spelling = p->at};
    const char *start;
    bool escaped, good;
    switch (*p->at) {
    case '{':
    case '[':
        value->type = *p->at == '{' ? RAIIAF_JSON_OBJECT : RAIIAF_JSON_ARRAY;
        good = ++p->depth <= DEPTH_MOST && parse_members(p, value, *p->at == '{' ? '}' : ']');
        p->depth--;
        break;
    case '"':
        value->type = RAIIAF_JSON_STRING;
        good = skip_string(p, &start, &escaped);
        break;
    case 't':
        value->type = RAIIAF_JSON_BOOLEAN;
        good = skip_word(p, "true");
        break;
    case 'f':
        value->type = RAIIAF_JSON_BOOLEAN;
        good = skip_word(p, "false");
        break;
    case 'n':
        value->type = RAIIAF_JSON_NULL;
        good = skip_word(p, "null");
        break;
    case 'N':
        value->type = RAIIAF_JSON_NUMBER;
        good = skip_word(p, "NaN");
        break;
    case 'I':
        value->type = RAIIAF_JSON_NUMBER;
        good = skip_word(p, "Infinity");
        break;
    default:
        value->type = RAIIAF_JSON_NUMBER;
        good = skip_number(p);
    }
    value->size = (size_t)(p->at - value->spelling);
    return good ? value : NULL;
}

const legacy_json *legacy_parse(legacy_input *in, const char *text, size_t size)
{
    for (const legacy_parsed *known = in->parsed; known; known = known->next)
        if (known->text == text && known->size == size)
            return known->value;
    parser p = {.arena = &in->arena, .at = text, .end = text + size};
    const legacy_json *value = size <= SIZE_MOST ? parse_value(&p) : NULL;
    skip_space(&p);
    if (p.at != p.end)
        value = NULL;
    legacy_parsed *parsed = legacy_take(&in->arena, sizeof *parsed);
    if (parsed) {
        *parsed = (legacy_parsed){text, size, value, in->parsed};
        in->parsed = parsed;
    }
    return value;
}

bool legacy_looks_json(const legacy_text *text)
{
    size_t i = 0;
    while (text && i < text->size && (text->text[i] == ' ' || (text->text[i] >= '\t' && text->text[i] <= '\r')))
        i++;
    if (!text || i == text->size || text->text[i++] != '{')
        return false;
    while (i < text->size && (text->text[i] == ' ' || (text->text[i] >= '\t' && text->text[i] <= '\r')))
        i++;
    return i < text->size && (text->text[i] == '"' || text->text[i] == '}');
}

/* ---- looking at it ---- */

const legacy_json *legacy_member(const legacy_json *object, const char *name)
{
    const legacy_json *found = NULL;
    size_t size = strlen(name);
    if (!object || object->type != RAIIAF_JSON_OBJECT)
        return NULL;
    for (const legacy_json *member = object->child; member; member = member->next)
        if (member->name_size == size && memcmp(member->name, name, size) == 0)
            found = member;
    return found;
}

const legacy_json *legacy_element(const legacy_json *array, size_t i)
{
    if (!array || array->type != RAIIAF_JSON_ARRAY)
        return NULL;
    const legacy_json *element = array->child;
    while (element && i--)
        element = element->next;
    return element;
}

const char *legacy_decode(legacy_arena *arena, const legacy_json *value, size_t *size)
{
    *size = 0;
    if (!value)
        return NULL;
    switch (value->type) {
    case RAIIAF_JSON_STRING:
        return decode(arena, value->spelling + 1, value->size - 2, size);
    case RAIIAF_JSON_NUMBER:
    case RAIIAF_JSON_BOOLEAN:
        *size = value->size;
        return legacy_copy(arena, value->spelling, value->size);
    default:
        return NULL;
    }
}

const char *legacy_value(legacy_input *in, const legacy_json *value, size_t *size)
{
    size_t ignored;
    return legacy_decode(&in->arena, value, size ? size : &ignored);
}

const char *legacy_member_value(legacy_input *in, const legacy_json *object, const char *name)
{
    return legacy_value(in, legacy_member(object, name), NULL);
}

bool legacy_uint64(const legacy_json *value, uint64_t *number)
{
    if (!value || (value->type != RAIIAF_JSON_NUMBER && value->type != RAIIAF_JSON_STRING))
        return false;
    unsigned quote = value->type == RAIIAF_JSON_STRING;
    const char *at = value->spelling + quote, *end = value->spelling + value->size - quote;
    uint64_t total = 0;
    if (at == end)
        return false;
    for (; at < end; at++)
        if (!is_digit(*at) || !rf_multiply(total, 10, &total) || !rf_add(total, (uint64_t)(*at - '0'), &total))
            return false;
    *number = total;
    return true;
}

bool legacy_number(const legacy_json *value, double *number)
{
    if (!value || (value->type != RAIIAF_JSON_NUMBER && value->type != RAIIAF_JSON_STRING))
        return false;
    unsigned quote = value->type == RAIIAF_JSON_STRING;
    return rf_parse_double(value->spelling + quote, value->size - 2 * quote, number);
}

bool legacy_is(const legacy_json *value, const char *string)
{
    size_t size = strlen(string);
    return value && value->type == RAIIAF_JSON_STRING && value->size == size + 2 &&
           memcmp(value->spelling + 1, string, size) == 0;
}
