/* SPDX-License-Identifier: MIT */
/*
 * xmp.c - the properties of an XMP packet, by expat: elements and attributes alike, by their namespaces, whatever
 * prefixes the packet gives them.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "legacy.h"

#include <expat.h>
#include <string.h>

#define RDF "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
#define SEPARATOR '\n'
#define DEPTH_MOST 64
#define PROPERTIES_MOST 1024

typedef struct packet {
    legacy_input *in;
    const char *kind;
    XML_Parser parser;
    unsigned depth;
    const char *names[DEPTH_MOST]; /* of the elements that we are in; NULL for those of RDF */
    legacy_string text;            /* of the innermost element */
} packet;

/* "NAMESPACE\nlocal" as "prefix:local"; NULL for what isn't a property. */
static const char *property_name(packet *p, const char *name)
{
    static const char *const prefixes[][2] = {
        {"http://purl.org/dc/elements/1.1/", "dc"},
        {"http://ns.adobe.com/xap/1.0/", "xmp"},
        {"http://ns.adobe.com/exif/1.0/", "exif"},
        {"http://ns.adobe.com/tiff/1.0/", "tiff"},
        {"http://ns.adobe.com/photoshop/1.0/", "photoshop"},
        {"http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/", "Iptc4xmpCore"},
        {"http://iptc.org/std/Iptc4xmpExt/2008-02-29/", "Iptc4xmpExt"},
        {"http://ns.adobe.com/xap/1.0/mm/", "xmpMM"},
        {"http://ns.adobe.com/xap/1.0/rights/", "xmpRights"},
    };
    const char *local = strchr(name, SEPARATOR);
    if (!local || strncmp(name, RDF, strlen(RDF)) == 0)
        return NULL;
    legacy_string out = {.in = p->in};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        if (strlen(prefixes[i][0]) == (size_t)(local - name) &&
            strncmp(name, prefixes[i][0], (size_t)(local - name)) == 0)
            legacy_append_string(&out, prefixes[i][1]);
    legacy_append_string(&out, ":");
    legacy_append_string(&out, local + 1);
    return out.text;
}

static void add_property(packet *p, const char *name, const char *text, size_t size)
{
    legacy_input *in = p->in;
    const char *copy = legacy_copy(&in->arena, text, size);
    if (copy && in->xmp_count < PROPERTIES_MOST &&
        legacy_grow(&in->arena, &in->xmp, in->xmp_count, &in->xmp_capacity, sizeof *in->xmp))
        in->xmp[in->xmp_count++] = (legacy_text){p->kind, name, copy, size};
}

static void on_start(void *user, const char *name, const char **attributes)
{
    packet *p = user;
    if (p->depth == DEPTH_MOST) {
        XML_StopParser(p->parser, XML_FALSE);
        return;
    }
    p->names[p->depth++] = property_name(p, name);
    p->text.size = 0;
    for (; *attributes; attributes += 2) {
        const char *property =
            strncmp(attributes[0], "http://www.w3.org/XML", 21) == 0 ? NULL : property_name(p, attributes[0]);
        if (property)
            add_property(p, property, attributes[1], strlen(attributes[1]));
    }
}

static bool is_blank(const legacy_string *text)
{
    for (size_t i = 0; i < text->size; i++)
        if (!strchr(" \t\r\n", text->text[i]))
            return false;
    return true;
}

static void on_end(void *user, const char *name)
{
    packet *p = user;
    const char *property = NULL;
    (void)name;
    for (unsigned i = p->depth; i-- > 0 && !property;)
        property = p->names[i];
    if (property && !is_blank(&p->text))
        add_property(p, property, p->text.text, p->text.size);
    p->text.size = 0;
    p->depth--;
}

static void on_text(void *user, const char *text, int size)
{
    packet *p = user;
    legacy_append(&p->text, text, (size_t)size);
}

/* No packet has a document type; entities that one declares could only do harm. */
static void on_doctype(void *user, const char *name, const char *system, const char *public, int internal)
{
    packet *p = user;
    (void)name;
    (void)system;
    (void)public;
    (void)internal;
    XML_StopParser(p->parser, XML_FALSE);
}

void legacy_xmp_read(legacy_input *in, const char *kind, const char *text, size_t size)
{
    packet p = {.in = in, .kind = kind, .text = {.in = in}};
    if (size > INT32_MAX)
        return;
    p.parser = XML_ParserCreateNS("UTF-8", SEPARATOR);
    if (!p.parser) {
        in->arena.status = RAIIAF_ERROR_MEMORY;
        return;
    }
    XML_SetUserData(p.parser, &p);
    XML_SetElementHandler(p.parser, on_start, on_end);
    XML_SetCharacterDataHandler(p.parser, on_text);
    XML_SetStartDoctypeDeclHandler(p.parser, on_doctype);
    if (XML_Parse(p.parser, text, (int)size, 1) == XML_STATUS_ERROR &&
        XML_GetErrorCode(p.parser) == XML_ERROR_NO_MEMORY)
        in->arena.status = RAIIAF_ERROR_MEMORY;
    XML_ParserFree(p.parser);
}
