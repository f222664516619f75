/* SPDX-License-Identifier: MIT */
/*
 * legacy.h - the layer between the core and the drivers: where the texts of a file and what a driver recognises in them
 * are kept while a scan lasts.  No driver sees this.
 */
#ifndef RAIIAF_LEGACY_H
#define RAIIAF_LEGACY_H

#include "base.h"
#include "driver.h"

/* ---- memory of a scan (scan.c): taken piecemeal, given back at once ---- */

typedef struct legacy_arena {
    struct legacy_block *blocks;
    uint64_t left;        /* bytes that may still be taken */
    raiiaf_status status; /* why something wasn't given: MEMORY or LIMIT */
} legacy_arena;

/* Not zeroed; aligned for anything. */
void *legacy_take(legacy_arena *arena, size_t size);
/* A copy with a 0 after it. */
char *legacy_copy(legacy_arena *arena, const void *text, size_t size);

/* ---- texts ---- */

typedef struct legacy_listed {
    raiiaf_carrier carrier;
    bool beside; /* the image doesn't hold it */
    bool used;   /* by the driver that recognised the file; always where it isn't beside */
} legacy_listed;

/* A file beside the image that was asked for, whether it is there (text) or not. */
typedef struct legacy_companion_file {
    const char *name;
    const legacy_text *text;
    size_t carrier;
} legacy_companion_file;

/* A parsed JSON text, so that it is parsed once. */
typedef struct legacy_parsed {
    const char *text;
    size_t size;
    const legacy_json *value;
    struct legacy_parsed *next;
} legacy_parsed;

typedef enum legacy_stage {
    LEGACY_INSIDE = 0, /* what the file carries */
    LEGACY_HIDDEN,     /* and stealth bits */
    LEGACY_BESIDE      /* and companion files and the name */
} legacy_stage;

struct legacy_input {
    legacy_arena arena;
    const uint8_t *image;
    size_t image_size;
    raiiaf_image_info info;
    const raiiaf_import_options *import;
    const raiiaf_open_options *options;
    raiiaf_limits limits;
    const char *file_name; /* without folders */

    legacy_stage stage;
    legacy_listed *carriers;
    size_t carrier_count, carrier_capacity;
    legacy_text *texts;
    size_t text_count, text_capacity;
    legacy_companion_file *companions;
    size_t companion_count, companion_capacity;
    struct legacy_extended {
        const uint8_t *packet; /* its name */
        uint8_t *data;
        size_t size, have;
    } extended; /* an XMP packet that comes in pieces */

    legacy_text *xmp; /* properties, once parsed */
    size_t xmp_count, xmp_capacity;
    bool xmp_parsed;
    legacy_parsed *parsed;
    const struct legacy_parameters *parameters; /* the last that were read */
    const legacy_text *found;                   /* by legacy_find_parameters */
    unsigned found_stage;                       /* at that stage, plus 1; 0: not sought yet */
};

/* texts.c */
/* Lists all that the image carries. */
raiiaf_status legacy_texts_read(legacy_input *in, raiiaf_error *error);
void legacy_text_add(legacy_input *in, const char *kind, const char *keyword, const char *text, size_t size);
/* data becomes the carrier's; encoding as raiiaf_carrier's. */
void legacy_carrier_add(legacy_input *in, const raiiaf_carrier *carrier, bool beside);
/* Valid UTF-8 of bytes that claim to be that, trailing NULs off: what isn't becomes U+FFFD. */
const char *legacy_utf8(legacy_arena *arena, const void *data, size_t size, size_t *length);
/* UTF-8 where it reads as that, else Latin-1. */
const char *legacy_utf8_or_latin1(legacy_arena *arena, const void *data, size_t size, size_t *length);
const char *legacy_utf16(legacy_arena *arena, const void *data, size_t size, bool big, size_t *length);
/* A growing array in an arena: room for one more of `size` bytes; false if there is no memory. */
bool legacy_grow(legacy_arena *arena, void *array, size_t count, size_t *capacity, size_t size);

/* exif.c */
void legacy_exif_read(legacy_input *in, const char *kind, const uint8_t *data, size_t size);
/* iptc.c: a Photoshop segment. */
void legacy_iptc_read(legacy_input *in, const char *kind, const uint8_t *data, size_t size);
/* Whether it is of a kind that legacy_find_form would find. */
bool legacy_has_form(const legacy_text *text, const char *form);

/* xmp.c: adds a packet's properties to in->xmp. */
void legacy_xmp_read(legacy_input *in, const char *kind, const char *text, size_t size);
/* hidden.c: adds what the lowest bits hide, if they do. */
void legacy_hidden_read(legacy_input *in);

/* values.c: a scalar as text, as legacy_value. */
const char *legacy_decode(legacy_arena *arena, const legacy_json *value, size_t *size);

/* ---- output.c ---- */

typedef struct legacy_field {
    const char *name;
    raiiaf_value value; /* JSON */
} legacy_field;

struct legacy_output {
    legacy_arena *arena;
    legacy_field *fields; /* canonical ones first, by their place in the list; unset ones have no text */
    legacy_field *extras;
    size_t extra_count, extra_capacity;
    const char *tool;
};

bool legacy_output_begin(legacy_output *out, legacy_arena *arena);
/* As JSON. */
bool legacy_set_spelt(legacy_output *out, const char *name, const char *json, size_t size);
const raiiaf_value *legacy_output_get(const legacy_output *out, const char *name);

#endif
