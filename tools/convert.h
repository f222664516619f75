/* SPDX-License-Identifier: MIT */
/*
 * convert.h - what the parts of `raiiaf convert` share: convert.c reads the call, convert_pool.c has all files
 * converted side by side, convert_file.c one of them, convert_target.c decides where it goes, convert_report.c tells
 * how it went.
 */
#ifndef RAIIAF_CONVERT_H
#define RAIIAF_CONVERT_H

#include "command.h"

#include <time.h>

/* What the call asks for. */
struct plan {
    char **paths;
    const char *output; /* a folder; NULL: beside the source */
    const char *dialect;
    const char *report;
    bool recursive, overwrite, dry_run, delete_source;
    unsigned jobs;
    uint64_t shard, shards;
    struct timespec begun;
};

/* A file that is being converted, once it was looked at. */
struct source {
    char *path;
    size_t relative; /* where the part of the path that counts below an output folder begins */
    char *name;      /* as source.file_name has it: JSON; NULL: it has none */
    char *dialect;   /* NULL: none */
    bool recognised; /* prompt or settings */
    char *manifest;  /* as it will be saved, of a file that came back whole out of a PNG; NULL: it was none before */
    char sha256[65];
    uint64_t bytes;
    struct stat about;
};

/* ---- convert_pool.c ---- */

/* Whether a file is this call's to look at. */
bool plan_includes(const struct plan *plan, const struct found *found);
/* Converts all; false if something couldn't be read or written at all.  *interrupted is the signal that ended it, or 0.
 */
bool pool_run(const struct plan *plan, int *interrupted);

/* ---- convert_file.c: what one thread does ---- */

/* One that brings at most `batch` files to disk at once. */
struct worker *worker_new(const struct plan *plan, size_t batch);
/* Converts a file; false if there is no use in going on. */
bool worker_take(struct worker *worker, const struct found *found);
void worker_end(struct worker *worker);

/* ---- convert_target.c ---- */

enum choice {
    CHOICE_NONE,    /* all names that it could have are taken by others */
    CHOICE_NEW,     /* *target is free */
    CHOICE_REPLACE, /* *target is there and gives way */
    CHOICE_KEEP     /* *target is there, whole, and made of this very file */
};

/* Where the conversion of a file goes, or is already; free *target. */
enum choice target_choose(const struct plan *plan, const struct source *source, char **target);
/* Whether the file at `target` holds, verified, the image, and where that held a whole file, this. */
bool target_holds(const char *target, const struct source *source);

/* ---- convert_report.c: from any thread ---- */

enum result { RESULT_CONVERTED, RESULT_KEPT, RESULT_FAILED, RESULTS };

/* Begins; false if the report can't be written. */
bool progress_begin(const struct plan *plan);
/* One more file is done.  target NULL: there is none; error NULL: none. */
void progress_done(enum result result, const struct source *source, const char *target, const raiiaf_error *error);
void progress_deleted(void);
/* A file that is none of ours after all. */
void progress_skipped(void);
/* Messages that leave the bar whole; a raiiaf_warning_callback. */
void progress_warn(void *user, const raiiaf_error *warning);
/* What went wrong besides the conversion of a file. */
void progress_fail(const char *format, ...) PRINTF(1, 2);
/* Ends it with one line; false if something failed. */
bool progress_end(void);

#endif
