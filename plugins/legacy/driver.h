/* SPDX-License-Identifier: MIT */
/*
 * driver.h - what a dialect driver sees, besides raiiaf.h.
 *
 * A dialect is one tool's private way of writing a prompt into an image.  Its driver is one file in this folder with
 * one `const legacy_driver`, and one line in table.c.  It gets the texts that a file carries, already decoded, says
 * cheaply whether they are its tool's, and if so puts what it recognises under the canonical names.  It knows no other
 * driver, keeps no state, and needs neither pixels nor bytes of the file.  Everything it is handed is hostile.
 *
 * All memory that is handed out here lives until the scan is over and is never freed by a driver.  Where it runs out,
 * functions return NULL or false, and the scan fails in the end: drivers only have to bear it.
 */
#ifndef RAIIAF_LEGACY_DRIVER_H
#define RAIIAF_LEGACY_DRIVER_H

#include "raiiaf.h"

typedef struct legacy_input legacy_input;
typedef struct legacy_output legacy_output;

/* ---- what comes in ---- */

/* A text that the file carries.  Valid UTF-8, whatever it was stored in; trailing NULs are off; text[size] is 0. */
typedef struct legacy_text {
    const char *kind;    /* as raiiaf_carrier's: "png:tEXt", "jpeg:exif"...; "sidecar"; "stealth" */
    const char *keyword; /* PNG keyword; Exif tag ("UserComment", "ImageDescription", "DocumentName", "Software",
                            "Make", "Model", "Artist", "MakerNote", "XPComment"..., "0x1234" for others); IPTC "2:120";
                            name of the companion file; magic of stealth bits; else "" */
    const char *text;    /* "png:caBX", "jpeg:c2pa", "webp:c2pa": the bytes themselves */
    size_t size;
} legacy_text;

/* All of them, in file order.  An Exif or IPTC block is many, one for each text in it; an XMP packet is one. */
size_t legacy_count(const legacy_input *in);
const legacy_text *legacy_at(const legacy_input *in, size_t i);
/* The last one of this keyword in a kind that begins so ("png:"; "" for any), or NULL. */
const legacy_text *legacy_find(const legacy_input *in, const char *kind, const char *keyword);
/* The last text of a kind that ends so ("xmp", "com", "c2pa"), or NULL; PNG's XMP counts as "xmp". */
const legacy_text *legacy_find_form(const legacy_input *in, const char *form);
/* The last JSON object with this in it, spelt so, or NULL.  What ComfyUI leaves in "prompt" and "workflow", which is
   long and beside much else, isn't looked through. */
const legacy_text *legacy_find_json(const legacy_input *in, const char *part);
/* A property of the XMP packets ("dc:description", "xmp:CreatorTool", "exif:UserComment",
   "Iptc4xmpExt:DigitalSourceType": usual prefixes, whatever the packet calls them), or NULL; parses them once. */
const legacy_text *legacy_xmp(legacy_input *in, const char *name);

/* What lies beside the image counts only where nothing in it was recognised by any driver: before that, the first of
   these is NULL and the second "".  A file beside the image, by its name without a folder, is asked of the host and
   read once. */
const legacy_text *legacy_sidecar(legacy_input *in, const char *name);
const char *legacy_file_name(const legacy_input *in); /* the image's own, without a folder */
/* The companion that has the image's own name with another extension (".txt"). */
const legacy_text *legacy_companion(legacy_input *in, const char *extension);

/* ---- what goes out ---- */

/* Canonical fields: prompt, negative_prompt, seed, steps, sampler, scheduler, cfg_scale, guidance, eta, model_name,
   model_hash, width, height, date, tags.  Any other name is a setting of the tool's own, kept
   as it is ("extra"; values of more than 64 KiB aren't: the carrier has them).
   A field is set once: later values for the same name are ignored, so drivers go from the best source to the worst.
   Values that a canonical field can't take (an empty prompt, a seed of -1, "unknown" steps, 0 steps, "None" for a
   model's hash) are dropped.  Both return whether the field is set now. */
bool legacy_set(legacy_output *out, const char *name, const char *text, size_t size);
bool legacy_set_string(legacy_output *out, const char *name, const char *text); /* NULL sets nothing */
bool legacy_set_uint64(legacy_output *out, const char *name, uint64_t number);
/* As a JSON number or boolean where the text reads as one ("0.5", "true"), else as legacy_set. */
bool legacy_set_typed(legacy_output *out, const char *name, const char *text, size_t size);
/* A time in seconds since 1970 as ISO 8601. */
bool legacy_set_time(legacy_output *out, const char *name, int64_t seconds);
bool legacy_has(const legacy_output *out, const char *name);
/* "512x768", "512 x 768", "(512, 768)" into width and height. */
bool legacy_set_size(legacy_output *out, const char *text, size_t size);
/* The base name of a Windows or POSIX path as model_name; the extension stays. */
bool legacy_set_model(legacy_output *out, const char *path, size_t size);
/* The tool's name and version as far as the file tells them, for people: "Forge f2.0.1".  Once, too. */
void legacy_set_tool(legacy_output *out, const char *name, const char *version); /* version may be NULL */

/* ---- JSON ---- */

/* A value and what is in it.  As Python writes it: NaN and infinities, integers of any length keep their digits. */
typedef struct legacy_json {
    raiiaf_json type;
    const char *name; /* of a member: decoded, not NUL-terminated; else NULL */
    size_t name_size;
    const char *spelling; /* of the value, in the text it was parsed from */
    size_t size;
    const struct legacy_json *child; /* the first of an object or array */
    const struct legacy_json *next;  /* in the object or array that this is in */
} legacy_json;

/* NULL if it isn't JSON, is nested more than RAIIAF_MAX_DEPTH deep or larger than makes sense.  White space around it
   and raw control characters in strings are let pass.  Parsing the same text again costs nothing. */
const legacy_json *legacy_parse(legacy_input *in, const char *text, size_t size);
/* Whether a text could be a JSON object, from its first characters. */
bool legacy_looks_json(const legacy_text *text);

/* All of these take NULL for `object`, and give NULL for what isn't there. */
const legacy_json *legacy_member(const legacy_json *object, const char *name); /* of duplicates the last */
const legacy_json *legacy_element(const legacy_json *array, size_t i);
/* A string decoded, a number or boolean as spelt; NULL for null, arrays and objects.  size may be NULL. */
const char *legacy_value(legacy_input *in, const legacy_json *value, size_t *size);
const char *legacy_member_value(legacy_input *in, const legacy_json *object, const char *name);
bool legacy_uint64(const legacy_json *value, uint64_t *number); /* an integer token, or a string of digits */
bool legacy_number(const legacy_json *value, double *number);   /* of a number, or a string that is one */
bool legacy_is(const legacy_json *value, const char *string);   /* whether it is this string */

/* A value as json spells it; null sets nothing.  Strings count as texts. */
bool legacy_set_json(legacy_output *out, const char *name, const legacy_json *value);
/* The member called `member`, under `name`. */
bool legacy_set_member(legacy_output *out, const char *name, const legacy_json *object, const char *member);
/* All members: those in the map under their canonical names, in the map's order; all others under their own. */
typedef struct legacy_map {
    const char *member; /* NULL ends the map */
    const char *field;  /* NULL: not set at all, because the driver sees to it */
} legacy_map;
void legacy_set_members(legacy_output *out, const legacy_json *object, const legacy_map *map);
/* Every member but those listed (NULL ends the list), under its own name. */
void legacy_set_rest(legacy_output *out, const legacy_json *object, const char *const *taken);

/* ---- helpers that several dialects need ---- */

void *legacy_alloc(legacy_input *in, size_t size); /* zeroed */

/* A growing text.  {.in = in} begins one. */
typedef struct legacy_string {
    legacy_input *in;
    char *text; /* NUL-terminated once anything was appended, else NULL */
    size_t size, capacity;
} legacy_string;
bool legacy_append(legacy_string *string, const char *text, size_t size);
bool legacy_append_string(legacy_string *string, const char *text);

/* Whether `part` occurs in it: like memmem. */
bool legacy_contains(const legacy_text *text, const char *part);
bool legacy_begins(const legacy_text *text, const char *start);

/* A prompt in which brackets hold what isn't wanted ("a cat [blurry]"): into prompt and negative_prompt. */
bool legacy_set_bracketed(legacy_input *in, legacy_output *out, const char *text, size_t size);

/* The text of the A1111 family ("parameters"), which many tools write beside their own; the grammar is in parameters.c.
   Whether it has a line of settings; */
bool legacy_is_parameters(const char *text, size_t size);
/* the value of a setting in that line ("Version"), "" for an empty one, or NULL; */
const char *legacy_parameter(legacy_input *in, const char *text, size_t size, const char *name);
/* and all of it: prompts, canonical fields, all other settings under their own names. */
bool legacy_import_parameters(legacy_input *in, legacy_output *out, const char *text, size_t size);
/* Pairs alone ("Postprocess upscale by: 4, Postprocess upscaler: R-ESRGAN 4x+"), wherever they stand. */
void legacy_import_pairs(legacy_input *in, legacy_output *out, const char *text, size_t size);
/* The last text that such tools put where A1111 does ("parameters" in PNG, UserComment, JPEG comment, companion .txt,
   stealth bits), if it has a line of settings, else NULL. */
const legacy_text *legacy_find_parameters(legacy_input *in);

/* What the graph of ComfyUI tells, which services that run it write beside their own; the walk is in comfyui_walk.c.
   False if there is none that samples anything. */
bool legacy_import_graph(legacy_input *in, legacy_output *out);

/* ---- a driver ---- */

typedef struct legacy_driver {
    const char *name;  /* "invokeai-v3": stable, in manifests and on the command line */
    const char *title; /* "InvokeAI 3 and later" */
    const char *home;  /* where the tool lives */
    const char *reads; /* for people: "PNG invokeai_metadata, invokeai_graph" */
    /* Whether this is the driver's file; cheap: no JSON is parsed that legacy_contains can rule out. */
    bool (*identify)(legacy_input *in);
    /* Fills `out`; false if nothing could be made of it after all: then what it set is dropped and the next driver
       asked. */
    bool (*import)(legacy_input *in, legacy_output *out);
} legacy_driver;

/* In order of priority; ends with NULL. */
extern const legacy_driver *const legacy_drivers[];

#endif
