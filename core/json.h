/* SPDX-License-Identifier: MIT */
/*
 * json.h - the span scanner that keeps a manifest's spelling.
 *
 * json-c can't hand on what Python wrote (25-digit integers, -0, lone surrogates, duplicate keys; format.md, 3), so
 * the text itself stays the truth: these functions check it once, find spans in it, and splice.
 */
#ifndef RAIIAF_JSON_H
#define RAIIAF_JSON_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A run of the text, [start, end). */
typedef struct rf_span {
    size_t start, end;
} rf_span;

/* Exactly one RFC 8259 value plus NaN, Infinity and -Infinity, valid UTF-8, no BOM, nesting of at most
   RAIIAF_MAX_DEPTH.  On failure *position is where. Everything below takes text that has passed. */
bool rf_json_check(const char *text, size_t size, size_t *position);
/* The same, but control characters may stand in strings as they are: some tools write line ends so. */
bool rf_json_check_leniently(const char *text, size_t size);

/* The next string, number, word or bracket between *position and `end`, and moves behind it: a text in one pass.
   false at the end. */
bool rf_json_token(const char *text, size_t *position, size_t end, rf_span *token);

/* The span of the outermost value, white space around it left off. */
rf_span rf_json_root(const char *text, size_t size);
raiiaf_json rf_json_type(const char *text, rf_span value);

/* A walk over the members of an object or the elements of an array, in order, duplicates included:
     rf_json_walk walk = rf_json_begin(text, span);
     while (rf_json_next(&walk)) ... walk.name (quotes included; empty in arrays), walk.value ... */
typedef struct rf_json_walk {
    const char *text;
    size_t position, end;
    size_t index; /* of the current element */
    bool object;
    rf_span name, value;
} rf_json_walk;

rf_json_walk rf_json_begin(const char *text, rf_span container); /* a scalar has no members */
bool rf_json_next(rf_json_walk *walk);
size_t rf_json_count(const char *text, rf_span container); /* of what that walk comes by */

/* The last member of that name; names compare decoded. */
bool rf_json_member(const char *text, rf_span object, const char *name, rf_span *value);
/* The same for the first `size` bytes of a text that ends with NUL. */
bool rf_json_member_of(const char *text, rf_span object, const char *name, size_t size, rf_span *value);
bool rf_json_element(const char *text, rf_span array, size_t index, rf_span *value);
bool rf_json_string_equals(const char *text, rf_span string, const char *expected);
/* The length of the decoded string if `whole` begins with it, else SIZE_MAX. */
size_t rf_json_string_prefix(const char *text, rf_span string, const char *whole);
/* How deeply a value is nested: 1 for a scalar or an empty container. */
size_t rf_json_depth(const char *text, rf_span value);

/* Which members of an object count: of duplicate names the last.  Costs one walk, then nothing for each member. */
typedef struct rf_json_names {
    const char *text;
    size_t end;     /* of the object */
    size_t *starts; /* where the last member of each name begins; by hash */
    size_t mask;
    uint64_t seed;
} rf_json_names;

bool rf_json_names_begin(rf_json_names *names, const char *text, rf_span container); /* false: no memory */
bool rf_json_names_last(const rf_json_names *names, const rf_json_walk *walk);       /* elements always count */
void rf_json_names_end(rf_json_names *names);

/* The decoded form of a string, appended; lone surrogates become U+FFFD. */
void rf_json_decode(const char *text, rf_span string, rf_bytes *out);
/* The same to where there is room: what stands between the quotes is never shorter.  Gives the length. */
size_t rf_json_decode_into(const char *text, rf_span string, char *out);
/* An integer token (no fraction, no exponent, "-0" is 0) that fits. */
bool rf_json_uint64(const char *text, rf_span value, uint64_t *number);

/* Edits of a text, each one splice; style (indentation or none) follows the neighbours.
   name is decoded; value is JSON text. */
void rf_json_put(rf_bytes *text, rf_span object, const char *name, const char *value, size_t size);
/* Appends an element to an array. */
void rf_json_push(rf_bytes *text, rf_span array, const char *value, size_t size);
/* Takes out every member of that name, or the element, with the comma that goes. */
void rf_json_drop_member(rf_bytes *text, rf_span object, const char *name);
void rf_json_drop_element(rf_bytes *text, rf_span array, size_t index);

/* ---- what the schema says (schema.c; format.md, 3) ---- */

/* A pointer names a place from the metadata object ("/model_info/generation_settings/seed").

   Checks `value` for the place `pointer`, and what lies below it; `complete` also wants the required members of
   settings and hardware to be there (those of a GPU are always wanted).  On refusal `path` and *rule (translated; what
   stands behind "must be") tell which. */
bool rf_schema_check(const char *pointer, const char *text, rf_span value, bool complete, char path[256],
                     const char **rule);
/* What a text that a person typed should become at `pointer`: RAIIAF_JSON_NULL where the schema says nothing.  With
   `integer`, a number without fraction and exponent. */
raiiaf_json rf_schema_type(const char *pointer, bool *integer);
/* Whether the member may not be taken out. */
bool rf_schema_required(const char *pointer);
/* Where a member of this name belongs by itself: "/model_info" or "/model_info/hardware_info", else NULL. */
const char *rf_schema_home(const char *name);

#ifdef __cplusplus
}
#endif

#endif
