/* SPDX-License-Identifier: MIT */
/*
 * values.c - JSON for drivers: the core's span scanner, and one pass that makes a tree of views into the text.
 *
 * json-c can't do here (doc/format.md, 3): seeds beyond 64 bits and NaN have to keep their spelling, and most of its
 * time would go to copying what no driver asks for.  What is asked for is decoded when it is.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "json.h"
#include "legacy.h"

#include <string.h>

#define SIZE_MOST (32u << 20)
#define NODES_MOST (1u << 20)

/* ---- the tree ---- */

typedef struct builder {
    legacy_arena *arena;
    const char *text;
    size_t at, size, nodes;
} builder;

static size_t length_of(rf_span span)
{
    return span.end - span.start;
}

static bool set_name(builder *b, legacy_json *member, rf_span name)
{
    bool plain = !memchr(b->text + name.start, '\\', length_of(name));
    char *decoded = plain ? NULL : legacy_take(b->arena, length_of(name));
    member->name = plain ? b->text + name.start + 1 : decoded;
    if (plain)
        member->name_size = length_of(name) - 2;
    else if (decoded)
        member->name_size = rf_json_decode_into(b->text, name, decoded);
    return member->name != NULL;
}

/* Recurses as deep as the text is nested: RAIIAF_MAX_DEPTH. */
static legacy_json *build(builder *b, rf_span token)
{
    legacy_json *value = b->nodes < NODES_MOST ? legacy_take(b->arena, sizeof *value) : NULL;
    if (!value)
        return NULL;
    b->nodes++;
    *value = (legacy_json){.type = rf_json_type(b->text, token), .spelling = b->text + token.start};
    if (value->type == RAIIAF_JSON_OBJECT || value->type == RAIIAF_JSON_ARRAY) {
        bool object = value->type == RAIIAF_JSON_OBJECT;
        const legacy_json **last = &value->child;
        rf_span name;
        while (rf_json_token(b->text, &b->at, b->size, &token) && b->text[token.start] != (object ? '}' : ']')) {
            if (object) {
                name = token;
                rf_json_token(b->text, &b->at, b->size, &token);
            }
            legacy_json *child = build(b, token);
            if (!child || (object && !set_name(b, child, name)))
                return NULL;
            *last = child;
            last = &child->next;
        }
    }
    value->size = (size_t)(b->text + b->at - value->spelling);
    return value;
}

const legacy_json *legacy_parse(legacy_input *in, const char *text, size_t size)
{
    for (const legacy_parsed *known = in->parsed; known; known = known->next)
        if (known->text == text && known->size == size)
            return known->value;
    builder b = {.arena = &in->arena, .text = text, .size = size};
    rf_span token;
    const legacy_json *value = NULL;
    if (size <= SIZE_MOST && rf_json_check_leniently(text, size) && rf_json_token(text, &b.at, size, &token))
        value = build(&b, token);
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

static const char *decode(legacy_arena *arena, const legacy_json *string, size_t *size)
{
    char *out = legacy_take(arena, string->size);
    if (out) {
        *size = rf_json_decode_into(string->spelling, (rf_span){0, string->size}, out);
        out[*size] = 0;
    }
    return out;
}

const char *legacy_decode(legacy_arena *arena, const legacy_json *value, size_t *size)
{
    *size = 0;
    if (!value)
        return NULL;
    switch (value->type) {
    case RAIIAF_JSON_STRING:
        return decode(arena, value, size);
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
    return rf_json_uint64(value->spelling, (rf_span){quote, value->size - quote}, number);
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
