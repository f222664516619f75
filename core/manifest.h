/* SPDX-License-Identifier: MIT */
/*
 * manifest.h - places in the manifest and edits of its text, for the modules that change it.
 *
 * Pointers are relative to the metadata object ("/model_info/prompt"); a path is what a caller gives: a pointer, also
 * one from the manifest's root, or a setting's name.
 */
#ifndef RAIIAF_MANIFEST_H
#define RAIIAF_MANIFEST_H

#include "file.h"

#define RF_MODEL_INFO "/model_info"
#define RF_SETTINGS "/model_info/generation_settings"
#define RF_HARDWARE "/model_info/hardware_info"
#define RF_SOURCE "/source"
#define RF_SOURCE_SETTINGS "/source/settings"

/* ---- what messages tell ---- */

#define RF_IN_MANIFEST(file) RF_WHERE((file)->name, "manifest", RAIIAF_NO_OFFSET)

/* A path as it fits into a message: a long one is cut, between characters. */
#define RF_SHOWN_MOST 200
typedef struct rf_shown_path {
    char text[RF_SHOWN_MOST + 4];
} rf_shown_path;

const char *rf_show_path(const char *path, rf_shown_path *shown); /* returns shown->text */
#define RF_SHOW(path) rf_show_path((path), &(rf_shown_path){{0}})

raiiaf_status rf_fail_place(const raiiaf_file *file, const char *path, raiiaf_error *error); /* there is no such */

/* ---- places ---- */

/* Whether the place `pointer` is `above` or lies below it. */
bool rf_lies_in(const char *pointer, const char *above);
/* Turns a caller's path into a pointer; a setting's name that isn't there yet, into the place where it belongs if
   `create`, else into RAIIAF_ERROR_MISSING. */
raiiaf_status rf_resolve(const raiiaf_file *file, const char *path, bool create, rf_bytes *pointer,
                         raiiaf_error *error);
bool rf_is_object(const raiiaf_file *file, const char *pointer);

static inline raiiaf_value rf_value_at(const char *text, rf_span span)
{
    return (raiiaf_value){rf_json_type(text, span), text + span.start, span.end - span.start};
}
/* What a host shows of a value: strings decoded, all else as spelt; appended. */
void rf_append_value(const raiiaf_value *value, rf_bytes *out);
/* The value as spelt, on one line; appended. */
void rf_append_flat(const raiiaf_value *value, rf_bytes *out);

/* ---- edits: on a copy of the text first ---- */

typedef struct rf_edit {
    raiiaf_file *file;
    rf_bytes text;
} rf_edit;

void rf_edit_begin(rf_edit *edit, raiiaf_file *file);
/* Makes the copy the file's text if `status`, of what was done to it, is RAIIAF_OK; ends the edit in any case. */
raiiaf_status rf_edit_end(rf_edit *edit, raiiaf_status status, raiiaf_error *error);
/* As rf_find, rf_put and rf_drop, in the copy. */
bool rf_edit_find(const rf_edit *edit, const char *pointer, rf_span *value);
raiiaf_status rf_edit_put(rf_edit *edit, const char *pointer, const char *json, size_t size, raiiaf_error *error);
raiiaf_status rf_edit_drop(rf_edit *edit, const char *pointer, raiiaf_error *error);

#endif
