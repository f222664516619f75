/* SPDX-License-Identifier: MIT */
/*
 * drawthings.c - Draw Things: JSON within XMP.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "driver.h"

static bool identify(legacy_input *in)
{
    const legacy_text *xmp = legacy_find_form(in, "xmp");
    return legacy_contains(xmp, "Draw Things") || legacy_contains(legacy_xmp(in, "xmp:CreatorTool"), "Draw Things");
}

/* "512x768", from the JSON where it says so */
static void set_json_size(legacy_input *in, legacy_output *out, const legacy_json *root)
{
    const legacy_json *details = legacy_member(root, "v2");
    size_t size;
    const char *text = legacy_value(in, legacy_member(root, "size"), &size);
    if (text)
        legacy_set_size(out, text, size);
    legacy_set_member(out, "width", details, "width");
    legacy_set_member(out, "height", details, "height");
}

/* The description is for people: prompt, "-negative", "Steps: 20, ...". */
static void import_description(legacy_input *in, legacy_output *out, const legacy_text *text)
{
    const char *line = text->text + text->size, *cfg;
    while (line > text->text && line[-1] != '\n')
        line--;
    size_t size = (size_t)(text->text + text->size - line), head = (size_t)(line - text->text);
    if (!legacy_is_parameters(line, size))
        return;
    cfg = legacy_parameter(in, line, size, "Guidance Scale");
    legacy_set_string(out, "cfg_scale", cfg);
    legacy_import_pairs(in, out, line, size);
    while (head && text->text[head - 1] == '\n')
        head--;
    const char *negative = NULL;
    for (size_t i = 0; i + 1 < head; i++)
        if (text->text[i] == '\n' && text->text[i + 1] == '-')
            negative = text->text + i;
    if (negative) {
        legacy_set(out, "negative_prompt", negative + 2, head - (size_t)(negative + 2 - text->text));
        head = (size_t)(negative - text->text);
    }
    legacy_set(out, "prompt", text->text, head);
}

static bool import(legacy_input *in, legacy_output *out)
{
    static const legacy_map map[] = {{"c", "prompt"},        {"uc", "negative_prompt"},
                                     {"scale", "cfg_scale"}, {"model", "model_name"},
                                     {"size", NULL},         {NULL, NULL}};
    const legacy_text *comment = legacy_xmp(in, "exif:UserComment"), *description = legacy_xmp(in, "dc:description");
    const legacy_json *root = comment ? legacy_parse(in, comment->text, comment->size) : NULL;
    legacy_set_tool(out, "Draw Things", NULL);
    if (root && root->type == RAIIAF_JSON_OBJECT) {
        set_json_size(in, out, root);
        legacy_set_members(out, root, map);
    } else if (description)
        import_description(in, out, description);
    return legacy_has(out, "prompt") || legacy_has(out, "steps");
}

const legacy_driver legacy_drawthings = {
    .name = "drawthings",
    .title = "Draw Things",
    .home = "https://drawthings.ai",
    .reads = "XMP exif:UserComment, dc:description",
    .identify = identify,
    .import = import,
};
