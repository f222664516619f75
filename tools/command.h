/* SPDX-License-Identifier: MIT */
/*
 * command.h - what the subcommands of `raiiaf` share: messages, where bytes come from and go, printing for people.
 */
#ifndef RAIIAF_COMMAND_H
#define RAIIAF_COMMAND_H

#include <raiiaf.h>

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

#ifdef ENABLE_NLS
#include <libintl.h>
#define _(text) gettext(text)
#else
#define _(text) (text)
#define ngettext(one, many, n) ((n) == 1 ? (one) : (many))
#endif
#define N_(text) (text)

#define PRINTF(text, first) __attribute__((format(printf, text, first)))

enum { EXIT_WELL = 0, EXIT_WRONG = 1, EXIT_USAGE = 2 };

/* A subcommand.  run gets the command's own arguments, argv[0] being "raiiaf NAME", and returns the exit status. */
struct command {
    const char *name;
    const char *summary;
    int (*run)(int argc, char **argv);
};

int info_run(int argc, char **argv);
int verify_run(int argc, char **argv);
int extract_run(int argc, char **argv);
int create_run(int argc, char **argv);
int edit_run(int argc, char **argv);
int repack_run(int argc, char **argv);
int export_run(int argc, char **argv);
int scan_run(int argc, char **argv);
int convert_run(int argc, char **argv);
int dialects_run(int argc, char **argv);

/* ---- messages (report.c): all to standard error, control characters escaped ---- */

void report(const char *format, ...) PRINTF(1, 2);
void warn(const char *format, ...) PRINTF(1, 2);
void report_error(const raiiaf_error *error);
void report_warning(void *user, const raiiaf_error *warning); /* a raiiaf_warning_callback */
/* Says what is wrong with the call (NULL: getopt has said it) and where help is; returns EXIT_USAGE. */
int usage_error(const char *name, const char *format, ...) PRINTF(2, 3);
int print_help(const char *text); /* translated; returns EXIT_WELL */
/* `pointer` itself; ends the process if it is NULL, as memory has run out. */
void *checked(void *pointer);

/* ---- files (files.c): "-" is standard input or output; failures are reported, and false returned ---- */

bool is_standard(const char *path);
bool open_input(raiiaf_file **file, const char *path);
bool open_output(raiiaf_sink *sink, const char *path);
/* The whole of a file; free data after use. */
bool load(const char *path, void **data, size_t *size);
bool save(const raiiaf_file *file, const char *path, const raiiaf_save_options *options);
/* Writes two pieces, one after the other, whole or not at all. */
bool write_output(const char *path, const raiiaf_buffer *head, const raiiaf_buffer *body);
/* The same to a sink, which is ended; `path` is for messages. */
bool fill_sink(const raiiaf_sink *sink, const char *path, const raiiaf_buffer *head, const raiiaf_buffer *body);
bool same_file(const char *a, const char *b);
bool is_folder(const char *path);
bool is_special(const char *path); /* something that is written to as it is: a pipe, say */
/* Makes the folders that a file's path names; false with errno. */
bool make_folders(const char *path);
/* Source and sink over a descriptor, which stays the caller's. */
void sink_descriptor(raiiaf_sink *sink, int *descriptor, const char *name);
bool source_descriptor(raiiaf_source *source, int *descriptor, const char *name);

/* ---- the files that a call names, and those in the folders that it names (walk.c) ---- */

struct found {
    const char *path;
    const char *relative; /* below the folder that was named; of a file that was named, its name */
    bool named;
};

struct walk {
    bool recursive;                                         /* into folders in folders, too */
    bool quiet;                                             /* don't report what can't be read */
    bool (*callback)(void *user, const struct found *file); /* false ends the walk */
    void *user;
};

/* paths ends with NULL; false if something couldn't be read. */
bool walk(const struct walk *how, char **paths);

/* ---- image files of other tools (picture.c) ---- */

struct picture {
    const char *path;
    uint8_t *data; /* used again for the next one */
    size_t size, capacity;
    struct stat about;
    raiiaf_beside beside; /* where to look for what belongs to it */
};

/* Reads a file, all of it if it is an image, in place of the one before; path has to stay. */
bool picture_read(struct picture *picture, const char *path, raiiaf_error *error);
void picture_free(struct picture *picture);
/* How to import it; refers to it. */
raiiaf_import_options picture_options(struct picture *picture, const char *dialect);
/* Whether a file that can't be read as an image should be one, by its name or because it's another kind of picture. */
bool picture_expected(const struct found *found, const raiiaf_error *error);
bool ends_with(const char *path, const char *ending); /* in small letters; capitals count as such, in every locale */
bool is_artifact_name(const char *path);              /* whether it ends in .raiiaf or .gen5 */
bool is_dialect(const char *name);

/* ---- edits that create and edit have in common (change.c) ---- */

/* One --set or --unset; argument is the user's, "PATH=VALUE" or "PATH". */
struct change {
    const char *argument;
    bool unset;
};

struct changes {
    struct change *list;
    size_t count;
};

void changes_add(struct changes *changes, const char *argument, bool unset);
/* NULL, or the first argument that lacks its "=". */
const char *changes_malformed(const struct changes *changes);
bool changes_apply(const struct changes *changes, raiiaf_file *file);

/* ---- printing (print.c) ---- */

/* One line of text; whatever could steer a terminal is escaped. */
void print_safe(FILE *out, const char *text, size_t size);
/* Text of several lines, wrapped to the terminal, every line but the first indented by `column`. */
void print_wrapped(const char *text, size_t size, unsigned column);
/* A JSON string.  Bytes that aren't UTF-8 become U+DC80 to U+DCFF, as Python's surrogateescape has them. */
void print_json_string(FILE *out, const char *text, size_t size);
/* JSON that was checked before, on one line: a line break and the indentation after it become a space. */
void print_json_line(const char *json, size_t size);

#define TABLE_COLUMNS 8

/* Rows of cells; the last column may hold several lines and is wrapped. */
struct table {
    struct cell {
        char *text;
        size_t size;
    } * cells;
    size_t count, columns;
    unsigned right; /* bit c: column c is aligned to the right */
};

void table_add(struct table *table, const char *text, size_t size);
/* Appends to the last cell. */
void table_append(struct table *table, const char *text, size_t size);
/* Whether the last row begins with that text. */
bool table_row_is(const struct table *table, const char *text, size_t size);
void table_format(struct table *table, const char *format, ...) PRINTF(2, 3);
void table_append_format(struct table *table, const char *format, ...) PRINTF(2, 3);
void table_print(struct table *table, unsigned indent); /* and empties it */

#endif
