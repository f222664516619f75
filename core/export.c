/* SPDX-License-Identifier: MIT */
/*
 * export.c - what is known of an image, in forms that other programs read: JSON and XMP here; the "parameters" text is
 * in settings.c, the PNG in embed.c.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "manifest.h"

#include <string.h>

/* ---- JSON ---- */

static void begin_member(rf_bytes *json, const char *name)
{
    rf_bytes_string(json, json->data[json->size - 1] == '{' ? "" : ", ");
    rf_bytes_json_string(json, name, strlen(name));
    rf_bytes_string(json, ": ");
}

/* A canonical field: null also where the format wants a value that nobody knows. */
static void add_field(rf_bytes *json, const char *name, const raiiaf_value *value)
{
    bool known = value->text && !(value->size == 2 && (*value->text == '"' || *value->text == '['));
    begin_member(json, name);
    if (known)
        rf_append_flat(value, json);
    else
        rf_bytes_string(json, "null");
}

static bool is_canonical(const char *name)
{
    for (size_t i = 0; raiiaf_legacy_field(i); i++)
        if (strcmp(raiiaf_legacy_field(i), name) == 0)
            return true;
    return false;
}

typedef struct extras {
    const raiiaf_file *file;
    rf_bytes json;
    size_t home;
} extras;

/* Homes are told in the order of the search; of two settings with one name the first counts. */
static bool add_extra(void *user, const char *name, const raiiaf_value *value)
{
    static const char *const homes[] = {RF_SETTINGS, RF_SOURCE_SETTINGS};
    extras *e = user;
    rf_bytes pointer = {0};
    rf_span span;
    bool first = !is_canonical(name);
    for (size_t i = 0; first && i < e->home; i++) {
        pointer.size = 0;
        rf_bytes_string(&pointer, homes[i]);
        rf_pointer_append(&pointer, name, strlen(name));
        first = !pointer.failed && !rf_find(e->file, pointer.data, &span);
    }
    if (first) {
        begin_member(&e->json, name);
        rf_append_flat(value, &e->json);
    }
    e->json.failed |= pointer.failed;
    rf_bytes_free(&pointer);
    return !e->json.failed;
}

static raiiaf_status export_json(const raiiaf_file *file, raiiaf_buffer *out, raiiaf_error *error)
{
    rf_bytes json = {0};
    raiiaf_value value;
    rf_bytes_string(&json, "{");
    for (size_t i = 0; !json.failed && i < 2; i++) {
        raiiaf_get(file, i ? RF_SOURCE "/tool" : RF_SOURCE "/dialect", &value);
        add_field(&json, i ? "tool" : "dialect", &value);
    }
    for (size_t i = 0; !json.failed && raiiaf_legacy_field(i); i++) {
        raiiaf_setting(file, raiiaf_legacy_field(i), &value);
        add_field(&json, raiiaf_legacy_field(i), &value);
    }
    if (!json.failed)
        begin_member(&json, "extra");
    rf_bytes_string(&json, "{");
    extras e = {.file = file, .json = json};
    if (!e.json.failed)
        raiiaf_each(file, RF_SETTINGS, add_extra, &e);
    e.home = 1;
    if (!e.json.failed)
        raiiaf_each(file, RF_SOURCE_SETTINGS, add_extra, &e);
    rf_bytes_string(&e.json, "}}");
    return rf_bytes_to_buffer(&e.json, out, error);
}

/* ---- XMP ---- */

/* Text of an element; characters that XML doesn't have become U+FFFD. */
static void append_escaped(rf_bytes *xml, const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];
        bool noncharacter = c == 0xEF && i + 2 < size && memcmp(text + i, "\xEF\xBF", 2) == 0 &&
                            ((unsigned char)text[i + 2] == 0xBE || (unsigned char)text[i + 2] == 0xBF);
        if (c == '&' || c == '<' || c == '>' || c == '\r')
            rf_bytes_format(xml, "&#%d;", c);
        else if (noncharacter || (c < 0x20 && c != '\n' && c != '\t'))
            rf_bytes_string(xml, "\xEF\xBF\xBD");
        else
            rf_bytes_append(xml, text + i, 1);
        i += noncharacter ? 2 : 0;
    }
}

/* An element around what is in `text`, if anything is. */
static void add_element(rf_bytes *xml, const char *before, const rf_bytes *text, const char *after)
{
    xml->failed |= text->failed;
    if (!text->size)
        return;
    rf_bytes_string(xml, before);
    append_escaped(xml, text->data, text->size);
    rf_bytes_string(xml, after);
}

/* Appends the string, or the number as spelt, at a path. */
static void append_text(const raiiaf_file *file, const char *path, rf_bytes *text)
{
    raiiaf_value value;
    if (raiiaf_get(file, path, &value) && (value.type == RAIIAF_JSON_STRING || value.type == RAIIAF_JSON_NUMBER))
        rf_append_value(&value, text);
}

static void add_prompts(const raiiaf_file *file, rf_bytes *xml)
{
    rf_bytes prompt = {0}, negative = {0};
    append_text(file, "prompt", &prompt);
    add_element(xml, "   <dc:description><rdf:Alt><rdf:li xml:lang=\"x-default\">", &prompt,
                "</rdf:li></rdf:Alt></dc:description>\n");
    append_text(file, "negative_prompt", &negative);
    if (negative.size) {
        rf_bytes_string(&prompt, prompt.size ? "\nNegative prompt: " : "Negative prompt: ");
        rf_bytes_append(&prompt, negative.data, negative.size);
    }
    prompt.failed |= negative.failed;
    add_element(xml, "   <Iptc4xmpExt:AIPromptInformation>", &prompt, "</Iptc4xmpExt:AIPromptInformation>\n");
    rf_bytes_free(&prompt);
    rf_bytes_free(&negative);
}

/* The first of two paths where something is told. */
static void add_either(const raiiaf_file *file, rf_bytes *xml, const char *path, const char *otherwise,
                       const char *before, const char *after)
{
    rf_bytes text = {0};
    append_text(file, path, &text);
    if (!text.size)
        append_text(file, otherwise, &text);
    add_element(xml, before, &text, after);
    rf_bytes_free(&text);
}

static bool add_tag(void *user, const char *name, const raiiaf_value *value)
{
    rf_bytes *xml = user, text = {0};
    (void)name;
    if (value->type == RAIIAF_JSON_STRING)
        rf_append_value(value, &text);
    add_element(xml, "<rdf:li>", &text, "</rdf:li>");
    rf_bytes_free(&text);
    return !xml->failed;
}

/* ISO 16684-1; the names after Iptc4xmpExt are those of IPTC Photo Metadata 2025.1. */
static raiiaf_status export_xmp(const raiiaf_file *file, raiiaf_buffer *out, raiiaf_error *error)
{
    rf_bytes xml = {0}, tags = {0};
    rf_bytes_format(&xml,
                    "<?xpacket begin=\"\xEF\xBB\xBF\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?>\n"
                    "<x:xmpmeta xmlns:x=\"adobe:ns:meta/\" x:xmptk=\"raiiaf %s\">\n"
                    " <rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\">\n"
                    "  <rdf:Description rdf:about=\"\" xmlns:dc=\"http://purl.org/dc/elements/1.1/\"\n"
                    "    xmlns:Iptc4xmpExt=\"http://iptc.org/std/Iptc4xmpExt/2008-02-29/\">\n",
                    raiiaf_version());
    add_prompts(file, &xml);
    raiiaf_each(file, RF_MODEL_INFO "/tags", add_tag, &tags);
    if (tags.size) {
        rf_bytes_string(&xml, "   <dc:subject><rdf:Bag>");
        rf_bytes_append(&xml, tags.data, tags.size);
        rf_bytes_string(&xml, "</rdf:Bag></dc:subject>\n");
    }
    rf_bytes_string(&xml, "   <Iptc4xmpExt:DigitalSourceType>http://cv.iptc.org/newscodes/digitalsourcetype/"
                          "trainedAlgorithmicMedia</Iptc4xmpExt:DigitalSourceType>\n");
    add_either(file, &xml, "model_name", RF_SOURCE "/tool", "   <Iptc4xmpExt:AISystemUsed>",
               "</Iptc4xmpExt:AISystemUsed>\n");
    add_either(file, &xml, "version", "model_hash", "   <Iptc4xmpExt:AISystemVersionUsed>",
               "</Iptc4xmpExt:AISystemVersionUsed>\n");
    rf_bytes_string(&xml, "  </rdf:Description>\n </rdf:RDF>\n</x:xmpmeta>\n<?xpacket end=\"w\"?>");
    xml.failed |= tags.failed;
    rf_bytes_free(&tags);
    return rf_bytes_to_buffer(&xml, out, error);
}

/* ---- all forms ---- */

raiiaf_status raiiaf_export(const raiiaf_file *file, raiiaf_export_form form, raiiaf_buffer *out, raiiaf_error *error)
{
    rf_error_clear(error);
    *out = (raiiaf_buffer){0};
    switch (form) {
    case RAIIAF_EXPORT_PARAMETERS:
        return raiiaf_parameters(file, out, error);
    case RAIIAF_EXPORT_JSON:
        return export_json(file, out, error);
    case RAIIAF_EXPORT_XMP:
        return export_xmp(file, out, error);
    case RAIIAF_EXPORT_PNG:
        return rf_embed(file, out, error);
    }
    return rf_fail(error, RAIIAF_ERROR_ARGUMENT, "export-form", RF_NAME(file->name),
                   _("there is no export form of number %d"), (int)form);
}
