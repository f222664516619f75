/* SPDX-License-Identifier: MIT */
/*
 * convert_report.c - how a conversion goes: a bar on a terminal, a line for each file in a report, one line at the end.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "convert.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#define BAR 24
#define TICK 0.1 /* seconds */
#define REPORT_BEGIN "{\"file\": "

static struct {
    pthread_mutex_t lock; /* over all else, and what is printed */
    const struct plan *plan;
    FILE *report;
    bool terminal, shown, failed;
    uint64_t results[RESULTS], skipped, unrecognised, deleted;
    double begun, drawn; /* seconds */
    pthread_t counter;
    bool counting;
    atomic_bool stop;
    atomic_uint_fast64_t counted;
    atomic_bool all_counted;
} progress = {.lock = PTHREAD_MUTEX_INITIALIZER};

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

/* ---- the bar ---- */

static void hide(void)
{
    if (progress.shown)
        fputs("\r\033[K", stderr);
    progress.shown = false;
}

static void draw(void)
{
    double time = now(), seconds = time - progress.begun;
    uint64_t done = progress.skipped, total = atomic_load(&progress.counted);
    char bar[BAR + 1] = "";
    if (!progress.terminal || time - progress.drawn < TICK)
        return;
    progress.drawn = time;
    for (size_t i = 0; i < RESULTS; i++)
        done += progress.results[i];
    double rate = (double)done / seconds;
    fputs("\r\033[K", stderr);
    if (atomic_load(&progress.all_counted) && total >= done && total > 0 && done > 0) {
        unsigned left = (unsigned)((double)(total - done) / rate + 0.5);
        size_t full = (size_t)(done * BAR / total);
        memset(bar, '.', BAR);
        memset(bar, '#', full);
        fprintf(stderr, _("[%s] %'" PRIu64 " of %'" PRIu64 ", %.0f files/s, %u:%02u:%02u left"), bar, done, total, rate,
                left / 3600, left / 60 % 60, left % 60);
    } else {
        fprintf(stderr, _("%'" PRIu64 " files, %.0f files/s"), done, rate);
    }
    fflush(stderr);
    progress.shown = true;
}

static bool count(void *user, const struct found *found)
{
    (void)user;
    if (plan_includes(progress.plan, found))
        atomic_fetch_add(&progress.counted, 1);
    return !atomic_load(&progress.stop);
}

/* Walks ahead to learn how many files there are, for the time that is left. */
static void *count_all(void *user)
{
    struct walk how = {progress.plan->recursive, true, count, NULL};
    (void)user;
    walk(&how, progress.plan->paths);
    atomic_store(&progress.all_counted, !atomic_load(&progress.stop));
    return NULL;
}

/* ---- a line for each file ---- */

static void write_text(const char *name, const char *text)
{
    fprintf(progress.report, ", \"%s\": ", name);
    if (text != NULL)
        print_json_string(progress.report, text, strlen(text));
    else
        fputs("null", progress.report);
}

static void write_line(enum result result, const struct source *source, const char *target, const raiiaf_error *error)
{
    static const char *const names[] = {"converted", "up-to-date", "failed"};
    bool planned = progress.plan->dry_run && result == RESULT_CONVERTED;
    fputs(REPORT_BEGIN, progress.report);
    print_json_string(progress.report, source->path, strlen(source->path));
    write_text("status", planned ? "planned" : names[result]);
    write_text("target", target);
    write_text("dialect", source->dialect);
    fprintf(progress.report, ", \"bytes\": %" PRIu64, source->bytes);
    write_text("sha256", source->sha256[0] != 0 ? source->sha256 : NULL);
    write_text("error_id", error != NULL ? error->id : NULL);
    write_text("error", error != NULL ? error->text : NULL);
    fputs("}\n", progress.report);
}

/* An earlier report is replaced, and nothing else: the name could be that of an image. */
static bool may_replace(const char *path)
{
    static const char beginning[] = REPORT_BEGIN;
    char head[sizeof beginning];
    struct stat about;
    FILE *file = stat(path, &about) == 0 && S_ISREG(about.st_mode) && about.st_size > 0 ? fopen(path, "re") : NULL;
    if (file == NULL)
        return true;
    bool good = fgets(head, sizeof head, file) != NULL && strcmp(head, beginning) == 0;
    fclose(file);
    if (!good)
        errno = EEXIST;
    return good;
}

static void print_plan(const struct source *source, const char *target)
{
    print_safe(stdout, source->path, strlen(source->path));
    fputs(" -> ", stdout);
    print_safe(stdout, target, strlen(target));
    if (source->dialect != NULL || !source->recognised)
        printf(" (%s)", source->dialect != NULL ? source->dialect : _("nothing recognised"));
    fputc('\n', stdout);
}

/* ---- what others call ---- */

bool progress_begin(const struct plan *plan)
{
    progress.plan = plan;
    progress.begun = now();
    progress.terminal = isatty(STDERR_FILENO) && !plan->dry_run;
    if (plan->report != NULL && (!may_replace(plan->report) || (progress.report = fopen(plan->report, "we")) == NULL)) {
        report(_("%s can't be written: %s"), plan->report, strerror(errno));
        return false;
    }
    if (progress.terminal)
        progress.counting = pthread_create(&progress.counter, NULL, count_all, NULL) == 0;
    return true;
}

void progress_done(enum result result, const struct source *source, const char *target, const raiiaf_error *error)
{
    pthread_mutex_lock(&progress.lock);
    progress.results[result]++;
    progress.unrecognised += result == RESULT_CONVERTED && !source->recognised;
    if (error != NULL) {
        hide();
        report_error(error);
    }
    if (progress.report != NULL)
        write_line(result, source, target, error);
    if (progress.plan->dry_run && result == RESULT_CONVERTED)
        print_plan(source, target);
    draw();
    pthread_mutex_unlock(&progress.lock);
}

void progress_deleted(void)
{
    pthread_mutex_lock(&progress.lock);
    progress.deleted++;
    pthread_mutex_unlock(&progress.lock);
}

void progress_skipped(void)
{
    pthread_mutex_lock(&progress.lock);
    progress.skipped++;
    draw();
    pthread_mutex_unlock(&progress.lock);
}

void progress_warn(void *user, const raiiaf_error *warning)
{
    pthread_mutex_lock(&progress.lock);
    hide();
    report_warning(user, warning);
    pthread_mutex_unlock(&progress.lock);
}

void progress_fail(const char *format, ...)
{
    char text[2048];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    pthread_mutex_lock(&progress.lock);
    hide();
    report("%s", text);
    progress.failed = true;
    pthread_mutex_unlock(&progress.lock);
}

static void print_end(void)
{
    uint64_t converted = progress.results[RESULT_CONVERTED], kept = progress.results[RESULT_KEPT],
             failed = progress.results[RESULT_FAILED];
    double seconds = now() - progress.begun;
    printf(progress.plan->dry_run ? _("%'" PRIu64 " to convert, %'" PRIu64 " up to date, %'" PRIu64 " failed")
                                  : _("%'" PRIu64 " converted, %'" PRIu64 " up to date, %'" PRIu64 " failed"),
           converted, kept, failed);
    if (progress.unrecognised > 0)
        printf(_(", %'" PRIu64 " of them without a known prompt"), progress.unrecognised);
    if (progress.deleted > 0)
        printf(_(", %'" PRIu64 " deleted"), progress.deleted);
    printf(_(" (%.1f s, %.0f files/s)\n"), seconds, (double)(converted + kept + failed) / seconds);
}

bool progress_end(void)
{
    bool good = progress.results[RESULT_FAILED] == 0 && !progress.failed;
    atomic_store(&progress.stop, true);
    if (progress.counting)
        pthread_join(progress.counter, NULL);
    hide();
    print_end();
    errno = 0;
    if (progress.report != NULL && (ferror(progress.report) | fclose(progress.report)) != 0) {
        report(_("%s can't be written: %s"), progress.plan->report,
               errno != 0 ? strerror(errno) : _("an earlier write failed"));
        good = false;
    }
    return good;
}
