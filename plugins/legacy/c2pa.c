/* SPDX-License-Identifier: MIT */
/*
 * c2pa.c - Content Credentials: who made the image, and that it was a model.  They tell no prompt.
 *
 * A manifest is boxes of CBOR.  What is wanted are a few texts in it that stand behind their names, so names are
 * sought, and nothing else is believed.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "driver.h"

#include <string.h>

static bool is_block(const legacy_text *text)
{
    return strcmp(text->kind, "png:caBX") == 0 || strcmp(text->kind, "jpeg:c2pa") == 0 ||
           strcmp(text->kind, "webp:c2pa") == 0;
}

/* JPEG cuts a manifest into segments: "JP", number, place, and from the second on the box's head again. */
static const legacy_text *find_block(legacy_input *in)
{
    legacy_string whole = {.in = in};
    for (size_t i = 0; i < legacy_count(in); i++) {
        const legacy_text *text = legacy_at(in, i);
        if (!is_block(text))
            continue;
        if (strcmp(text->kind, "jpeg:c2pa") != 0)
            return text;
        size_t head = whole.size ? 16 : 8;
        if (text->size > head)
            legacy_append(&whole, text->text + head, text->size - head);
    }
    legacy_text *block = whole.size ? legacy_alloc(in, sizeof *block) : NULL;
    if (block)
        *block = (legacy_text){"jpeg:c2pa", "", whole.text, whole.size};
    return block;
}

typedef struct piece {
    const char *text;
    size_t size;
} piece;

/* A CBOR text string. */
static bool read_text(const char *at, const char *end, piece *out)
{
    unsigned head = at < end ? (unsigned char)*at++ : 0;
    size_t size = head & 0x1F, more = size == 24 ? 1 : size == 25 ? 2 : 0;
    if (head >> 5 != 3 || size > 25 || (size_t)(end - at) < more)
        return false;
    if (more)
        size = 0;
    for (; more; more--)
        size = size << 8 | (unsigned char)*at++;
    *out = (piece){at, size};
    return size && size <= (size_t)(end - at);
}

/* The text behind the first member of that name from `at` on; in what follows it closely, where `within` isn't 0. */
static bool find_member(const char *at, const char *end, const char *name, size_t within, piece *out)
{
    size_t size = strlen(name);
    if (within && (size_t)(end - at) > within)
        end = at + within;
    for (; (size_t)(end - at) > size; at++) {
        at = memmem(at, (size_t)(end - at), name, size);
        if (!at)
            return false;
        if (read_text(at + size, end, out))
            return true;
    }
    return false;
}

/* claim_generator_info is a map, or a list of one, with a name in it. */
static bool find_generator(const legacy_text *block, piece *out)
{
    static const char info[] = "claim_generator_info";
    const char *end = block->text + block->size, *at = memmem(block->text, block->size, info, sizeof info - 1);
    return (at && find_member(at, end, "dname", 256, out)) || find_member(block->text, end, "claim_generator", 0, out);
}

/* That a model made the image, all of it or a part: "http://cv.iptc.org/newscodes/digitalsourcetype/..." */
static bool find_source(const legacy_text *block, piece *out)
{
    const char *at = block->text, *end = at + block->size;
    while (find_member(at, end, "digitalSourceType", 0, out)) {
        if (memmem(out->text, out->size, "lgorithmicMedia", 15))
            return true;
        at = out->text + out->size;
    }
    return false;
}

static bool identify(legacy_input *in)
{
    piece source;
    for (size_t i = 0; i < legacy_count(in); i++)
        if (is_block(legacy_at(in, i)))
            return find_source(find_block(in), &source);
    return false;
}

static const char *vendor_of(piece generator)
{
    static const char *const vendors[][2] = {
        {"OpenAI", "openai"}, {"ChatGPT", "openai"},      {"DALL", "openai"},    {"Adobe", "adobe"},
        {"Google", "google"}, {"Microsoft", "microsoft"}, {"Bing", "microsoft"}, {"Stability", "stabilityai"},
    };
    for (size_t i = 0; i < sizeof vendors / sizeof *vendors; i++)
        if (memmem(generator.text, generator.size, vendors[i][0], strlen(vendors[i][0])))
            return vendors[i][1];
    return NULL;
}

static bool import(legacy_input *in, legacy_output *out)
{
    const legacy_text *block = find_block(in);
    const char *end = block ? block->text + block->size : NULL;
    piece source, generator, text;
    if (!block || !find_source(block, &source))
        return false;
    legacy_set_typed(out, "aiGenerated", "true", 4);
    legacy_set(out, "digitalSourceType", source.text, source.size);
    if (find_generator(block, &generator)) {
        legacy_string tool = {.in = in};
        if (legacy_append(&tool, generator.text, generator.size))
            legacy_set_tool(out, tool.text, NULL);
        legacy_set(out, "claimGenerator", generator.text, generator.size);
        legacy_set_string(out, "vendor", vendor_of(generator));
    }
    const char *created = memmem(block->text, block->size, "c2pa.created", 12);
    if (created && find_member(created, end, "when\xC0", 64, &text))
        legacy_set(out, "date", text.text, text.size);
    const char *agent = memmem(block->text, block->size, "softwareAgent", 13);
    if (agent && (read_text(agent + 13, end, &text) || find_member(agent, end, "dname", 32, &text)))
        legacy_set(out, "softwareAgent", text.text, text.size);
    return true;
}

const legacy_driver legacy_c2pa = {
    .name = "c2pa",
    .title = "Content Credentials (C2PA)",
    .home = "https://c2pa.org",
    .reads = "PNG caBX, JPEG APP11, WebP C2PA",
    .identify = identify,
    .import = import,
};
