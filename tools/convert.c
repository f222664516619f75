/* SPDX-License-Identifier: MIT */
/*
 * convert.c - raiiaf convert: other tools' images into .raiiaf files, folders of them, on all processors.
 *
 * One thread finds files and hands them out; the workers read, import and write them.  What a worker has written waits,
 * nameless, until a batch of it is on disk; only then each file gets its name.  So a file that is there is whole, and
 * whatever ends the run, the same call goes on where it ended.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "convert.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define BATCH 32
#define BATCH_BYTES (UINT64_C(256) << 20)
#define QUEUE 256

/* A file that is written, or was found up to date, and what remains to be done about it. */
struct entry {
    struct source source;
    raiiaf_pending *pending; /* NULL: it has its place */
    char *target;
};

struct worker {
    pthread_t thread;
    struct picture picture;
    struct entry batch[BATCH];
    size_t count;
    uint64_t bytes;
};

struct job {
    char *path;
    size_t relative;
    bool named;
};

static struct {
    const struct plan *plan;
    pthread_mutex_t lock, places; /* over the queue; over choosing and taking places */
    pthread_cond_t filled, emptied;
    struct job jobs[QUEUE];
    size_t first, count;
    bool complete;
    atomic_bool stopped; /* by something that makes going on useless */
} all = {.lock = PTHREAD_MUTEX_INITIALIZER,
         .places = PTHREAD_MUTEX_INITIALIZER,
         .filled = PTHREAD_COND_INITIALIZER,
         .emptied = PTHREAD_COND_INITIALIZER};

static volatile sig_atomic_t interrupted;

static bool is_over(void)
{
    return interrupted != 0 || atomic_load(&all.stopped);
}

/* ---- one file ---- */

static void source_free(struct source *source)
{
    free(source->path);
    free(source->name);
    free(source->dialect);
}

static void entry_free(struct entry *entry)
{
    raiiaf_pending_drop(entry->pending);
    source_free(&entry->source);
    free(entry->target);
}

/* What ends one file; where the disk is full, it ends all. */
static void fail(const struct source *source, const char *target, const raiiaf_error *error)
{
    int number = errno;
    progress_done(RESULT_FAILED, source, target, error);
    if (error->status == RAIIAF_ERROR_IO && (number == ENOSPC || number == EDQUOT || number == EROFS) &&
        !atomic_exchange(&all.stopped, true))
        progress_say("%s", _("no more is converted; once there is room, the same command goes on"));
}

static void fail_text(const struct source *source, const char *target, const char *id, const char *format, ...)
    PRINTF(4, 5);

static void fail_text(const struct source *source, const char *target, const char *id, const char *format, ...)
{
    raiiaf_error error = {.status = RAIIAF_ERROR_ARGUMENT, .id = id, .offset = RAIIAF_NO_OFFSET};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error.text, sizeof error.text, format, arguments);
    va_end(arguments);
    fail(source, target, &error);
}

static char *copy_value(const raiiaf_file *file, const char *path)
{
    raiiaf_value value;
    return raiiaf_get(file, path, &value) ? checked(strndup(value.text, value.size)) : NULL;
}

/* What was found out about a file. */
static void learn(struct source *source, const raiiaf_file *file)
{
    raiiaf_chunk_info image;
    raiiaf_value value;
    raiiaf_buffer text = {0};
    raiiaf_chunk_get(file, raiiaf_image_chunk(file), &image);
    memcpy(source->sha256, image.sha256, sizeof source->sha256);
    source->name = copy_value(file, "/source/file_name");
    if (raiiaf_get(file, "/source/dialect", &value) && raiiaf_value_text(&value, &text, NULL) == RAIIAF_OK)
        source->dialect = checked(strdup((const char *)text.data));
    raiiaf_buffer_free(&text);
}

static raiiaf_status write_file(const raiiaf_file *file, const char *target, raiiaf_pending **pending,
                                raiiaf_error *error)
{
    raiiaf_save_options options = {.threads = 1};
    raiiaf_sink sink;
    raiiaf_status status = raiiaf_sink_pending(&sink, target, pending, error);
    if (status != RAIIAF_OK && errno == ENOENT && make_folders(target))
        status = raiiaf_sink_pending(&sink, target, pending, error);
    return status == RAIIAF_OK ? raiiaf_save(file, &sink, &options, error) : status;
}

/* ---- a batch ---- */

/* Its folder on disk, and with it the names of the files in it. */
static bool sync_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = checked(slash != NULL ? strndup(path, (size_t)(slash - path) + 1) : strdup("."));
    int descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool done = descriptor >= 0 && (fsync(descriptor) == 0 || errno == EINVAL);
    if (descriptor >= 0)
        close(descriptor);
    free(folder);
    return done;
}

/* A name may have been taken since it was chosen. */
static void place(struct entry *entry)
{
    struct timespec times[2] = {entry->source.about.st_atim, entry->source.about.st_mtim};
    raiiaf_error error = {.status = RAIIAF_OK};
    enum choice choice = CHOICE_NONE;
    pthread_mutex_lock(&all.places);
    for (unsigned attempt = 0; attempt < 10; attempt++) {
        free(entry->target);
        choice = target_choose(all.plan, &entry->source, &entry->target);
        if (choice == CHOICE_KEEP || choice == CHOICE_NONE ||
            raiiaf_pending_place(entry->pending, entry->target, choice == CHOICE_REPLACE, &error) == RAIIAF_OK ||
            strcmp(error.id, "exists") != 0)
            break;
    }
    pthread_mutex_unlock(&all.places);
    if (choice == CHOICE_KEEP) {
        progress_done(RESULT_KEPT, &entry->source, entry->target, NULL);
    } else if (choice == CHOICE_NONE) {
        fail_text(&entry->source, NULL, "target-taken", _("%s: every name for its conversion is taken by other files"),
                  entry->source.path);
    } else if (error.status != RAIIAF_OK) {
        fail(&entry->source, NULL, &error);
    } else {
        entry->pending = NULL;
        utimensat(AT_FDCWD, entry->target, times, 0);
        progress_done(RESULT_CONVERTED, &entry->source, entry->target, NULL);
    }
}

/* Removes a file whose conversion was read back, unless it isn't what was converted any more. */
static void delete_source(const struct entry *entry)
{
    const struct source *source = &entry->source;
    struct stat about;
    bool same = lstat(source->path, &about) == 0 &&
                (S_ISLNK(about.st_mode) ||
                 (about.st_ino == source->about.st_ino && about.st_dev == source->about.st_dev &&
                  about.st_size == source->about.st_size && about.st_mtim.tv_sec == source->about.st_mtim.tv_sec &&
                  about.st_mtim.tv_nsec == source->about.st_mtim.tv_nsec));
    if (!same)
        progress_say(_("%s stays, as it has changed meanwhile"), source->path);
    else if (!target_holds(entry->target, source->sha256))
        progress_say(_("%s stays, as %s doesn't hold it unchanged"), source->path, entry->target);
    else if (unlink(source->path) != 0)
        progress_say(_("%s can't be deleted: %s"), source->path, strerror(errno));
    else
        progress_deleted();
}

static void commit(struct worker *worker)
{
    raiiaf_pending *pending[BATCH];
    raiiaf_error error;
    size_t waiting = 0;
    for (size_t i = 0; i < worker->count; i++)
        if (worker->batch[i].pending != NULL)
            pending[waiting++] = worker->batch[i].pending;
    bool synced = raiiaf_pending_sync(pending, waiting, &error) == RAIIAF_OK;
    for (size_t i = 0; i < worker->count; i++) {
        struct entry *entry = &worker->batch[i];
        if (entry->pending != NULL && synced)
            place(entry);
        else if (entry->pending != NULL)
            fail(&entry->source, NULL, &error);
    }
    for (size_t i = 0; i < worker->count; i++) {
        const struct entry *entry = &worker->batch[i];
        if (all.plan->delete_source && entry->pending == NULL && sync_folder(entry->target))
            delete_source(entry);
    }
    for (size_t i = 0; i < worker->count; i++)
        entry_free(&worker->batch[i]);
    worker->count = 0;
    worker->bytes = 0;
}

static void wait_for_batch(struct worker *worker, struct entry *entry)
{
    worker->batch[worker->count++] = *entry;
    worker->bytes += entry->source.bytes;
    *entry = (struct entry){.pending = NULL};
    if (worker->count == BATCH || worker->bytes >= BATCH_BYTES)
        commit(worker);
}

/* ---- a file's way ---- */

static void convert(struct worker *worker, struct entry *entry, const raiiaf_file *file)
{
    raiiaf_error error;
    learn(&entry->source, file);
    switch (target_choose(all.plan, &entry->source, &entry->target)) {
    case CHOICE_NONE:
        fail_text(&entry->source, NULL, "target-taken", _("%s: every name for its conversion is taken by other files"),
                  entry->source.path);
        break;
    case CHOICE_KEEP:
        progress_done(RESULT_KEPT, &entry->source, entry->target, NULL);
        if (all.plan->delete_source && !all.plan->dry_run)
            wait_for_batch(worker, entry);
        break;
    default:
        if (all.plan->dry_run)
            progress_done(RESULT_CONVERTED, &entry->source, entry->target, NULL);
        else if (write_file(file, entry->target, &entry->pending, &error) != RAIIAF_OK)
            fail(&entry->source, entry->target, &error);
        else
            wait_for_batch(worker, entry);
    }
}

static void take(struct worker *worker, const struct job *job)
{
    struct picture *picture = &worker->picture;
    struct entry entry = {.source = {.path = checked(strdup(job->path)), .relative = job->relative}};
    struct found found = {job->path, job->path + job->relative, job->named};
    raiiaf_open_options warnings = {.warning = progress_warn};
    raiiaf_file *file = NULL;
    raiiaf_error error;
    bool good = picture_read(picture, job->path, &error);
    if (good) {
        raiiaf_import_options options = picture_options(picture, all.plan->dialect);
        entry.source.about = picture->about;
        entry.source.bytes = (uint64_t)picture->about.st_size;
        good = raiiaf_import(&file, picture->data, picture->size, &options, &warnings, &error) == RAIIAF_OK;
    }
    if (good)
        convert(worker, &entry, file);
    else if (picture_expected(&found, &error))
        fail(&entry.source, NULL, &error);
    else
        progress_skipped();
    raiiaf_close(file);
    entry_free(&entry);
}

/* ---- all of them ---- */

static bool next_job(struct job *job)
{
    pthread_mutex_lock(&all.lock);
    while (all.count == 0 && !all.complete)
        pthread_cond_wait(&all.filled, &all.lock);
    bool some = all.count > 0;
    if (some) {
        *job = all.jobs[all.first];
        all.first = (all.first + 1) % QUEUE;
        all.count--;
        pthread_cond_signal(&all.emptied);
    }
    pthread_mutex_unlock(&all.lock);
    return some;
}

static void *work(void *user)
{
    struct worker *worker = user;
    struct job job;
    while (next_job(&job)) {
        if (!is_over())
            take(worker, &job);
        free(job.path);
    }
    commit(worker);
    picture_free(&worker->picture);
    return NULL;
}

/* FNV-1a: the same on every machine, whatever else is in the folder. */
static uint64_t hash(const char *text)
{
    uint64_t value = UINT64_C(0xCBF29CE484222325);
    for (; *text != 0; text++)
        value = (value ^ (unsigned char)*text) * UINT64_C(0x100000001B3);
    return value ^ value >> 32;
}

/* Whether a file is this call's to look at. */
static bool is_ours(void *user, const struct found *found)
{
    (void)user;
    return (found->named || !is_artifact_name(found->path)) &&
           hash(found->relative) % all.plan->shards == all.plan->shard;
}

static bool hand_out(void *user, const struct found *found)
{
    if (!is_ours(user, found))
        return !is_over();
    struct job job = {checked(strdup(found->path)), (size_t)(found->relative - found->path), found->named};
    pthread_mutex_lock(&all.lock);
    while (all.count == QUEUE)
        pthread_cond_wait(&all.emptied, &all.lock);
    all.jobs[(all.first + all.count++) % QUEUE] = job;
    pthread_cond_signal(&all.filled);
    pthread_mutex_unlock(&all.lock);
    return !is_over();
}

static bool convert_all(const struct plan *plan)
{
    struct walk how = {.recursive = plan->recursive, .callback = hand_out};
    struct worker *workers = checked(calloc(plan->jobs, sizeof *workers));
    unsigned started = 0;
    while (started < plan->jobs && pthread_create(&workers[started].thread, NULL, work, &workers[started]) == 0)
        started++;
    bool good = started > 0 && walk(&how, plan->paths);
    if (started == 0)
        report("%s", _("no thread can be started"));
    pthread_mutex_lock(&all.lock);
    all.complete = true;
    pthread_cond_broadcast(&all.filled);
    pthread_mutex_unlock(&all.lock);
    for (unsigned i = 0; i < started; i++)
        pthread_join(workers[i].thread, NULL);
    free(workers);
    return good;
}

/* ---- the call ---- */

static void on_signal(int number)
{
    interrupted = number;
}

/* The first signal ends the run in good order, a second one at once. */
static void prepare_signals(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND | SA_RESTART}, former;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (sigaction(numbers[i], NULL, &former) == 0 && former.sa_handler != SIG_IGN)
            sigaction(numbers[i], &action, NULL);
    signal(SIGXFSZ, SIG_IGN); /* writing fails and tells why */
}

/* Every file of a batch is open. */
static void allow_open_files(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static unsigned processors(void)
{
    cpu_set_t set;
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return sched_getaffinity(0, sizeof set, &set) == 0 ? (unsigned)CPU_COUNT(&set) : online > 0 ? (unsigned)online : 1;
}

static int run(const struct plan *plan)
{
    all.plan = plan;
    prepare_signals();
    allow_open_files();
    if (!progress_begin(plan, is_ours))
        return EXIT_WRONG;
    bool good = convert_all(plan);
    good = progress_end() && good && !atomic_load(&all.stopped);
    if (interrupted != 0) {
        report("%s", _("interrupted; the same command goes on where this ended"));
        fflush(stdout);
        raise(interrupted);
    }
    return good ? EXIT_WELL : EXIT_WRONG;
}

static const char help[] =
    N_("Usage: raiiaf convert [OPTION]... FILE|DIR...\n"
       "Make .raiiaf files of images that other tools wrote (PNG, JPEG, WebP, BMP): the very file as it is,\n"
       "and what is recognised of prompt and settings.  Each goes beside its image; what is there already and\n"
       "up to date is left out, so that the same command goes on where an interrupted one ended.\n"
       "\n"
       "  -r, --recursive     folders in folders too\n"
       "  -o, --output DIR    put them into DIR, in the same folders as below the DIR that they come from\n"
       "  -j, --jobs N        work on N files at once (else one for each processor)\n"
       "  --overwrite         convert again what is there already\n"
       "  --dialect NAME      read them as this tool's ('raiiaf dialects' lists them), whoever else's they could be\n"
       "  --shard I/N         only the Ith of N parts, the same on every machine; I from 1 to N or from 0 to N-1\n"
       "  -n, --dry-run       only tell what would be done\n"
       "  --report FILE       a line of JSON about each image\n"
       "  --delete-source     delete each image once it was read back from its .raiiaf file on disk\n"
       "  -h, --help          this text\n");

/* Reads "3", NULL: it isn't a number; else what follows it. */
static const char *read_number(const char *text, uint64_t *number)
{
    size_t digits = strspn(text, "0123456789");
    *number = digits > 0 && digits < 10 ? strtoull(text, NULL, 10) : 0;
    return digits > 0 && digits < 10 ? text + digits : NULL;
}

static bool read_shard(const char *text, struct plan *plan)
{
    uint64_t shard, shards;
    const char *rest = read_number(text, &shard);
    if (rest == NULL || *rest != '/' || (rest = read_number(rest + 1, &shards)) == NULL || *rest != 0 || shards == 0 ||
        shard > shards)
        return false;
    plan->shard = shard % shards;
    plan->shards = shards;
    return true;
}

static bool read_jobs(const char *text, struct plan *plan)
{
    uint64_t jobs;
    const char *rest = read_number(text, &jobs);
    plan->jobs = (unsigned)jobs;
    return rest != NULL && *rest == 0 && jobs > 0 && jobs <= 1024;
}

/* -1: go on; else the exit status. */
static int take_option(int option, struct plan *plan)
{
    switch (option) {
    case 'r':
        plan->recursive = true;
        break;
    case 'o':
        plan->output = optarg;
        break;
    case 'j':
        if (!read_jobs(optarg, plan))
            return usage_error("convert", _("-j wants a number from 1 to 1024, not '%s'"), optarg);
        break;
    case 'w':
        plan->overwrite = true;
        break;
    case 'd':
        plan->dialect = optarg;
        if (!is_dialect(optarg))
            return usage_error("convert", _("there is no dialect '%s'; 'raiiaf dialects' lists them"), optarg);
        break;
    case 's':
        if (!read_shard(optarg, plan))
            return usage_error("convert", _("--shard wants I/N, such as 1/4, not '%s'"), optarg);
        break;
    case 'n':
        plan->dry_run = true;
        break;
    case 'p':
        plan->report = optarg;
        break;
    case 'x':
        plan->delete_source = true;
        break;
    case 'h':
        return print_help(_(help));
    default:
        return usage_error("convert", NULL);
    }
    return -1;
}

int convert_run(int argc, char **argv)
{
    static const struct option options[] = {{"recursive", no_argument, NULL, 'r'},
                                            {"output", required_argument, NULL, 'o'},
                                            {"jobs", required_argument, NULL, 'j'},
                                            {"overwrite", no_argument, NULL, 'w'},
                                            {"dialect", required_argument, NULL, 'd'},
                                            {"shard", required_argument, NULL, 's'},
                                            {"dry-run", no_argument, NULL, 'n'},
                                            {"report", required_argument, NULL, 'p'},
                                            {"delete-source", no_argument, NULL, 'x'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    struct plan plan = {.jobs = processors(), .shards = 1};
    int status = -1;
    for (int option; status < 0 && (option = getopt_long(argc, argv, "rnho:j:", options, NULL)) != -1;)
        status = take_option(option, &plan);
    if (status >= 0)
        return status;
    if (optind == argc)
        return usage_error("convert", "%s", _("there is no FILE or DIR"));
    if (plan.output != NULL && *plan.output == 0)
        return usage_error("convert", "%s", _("-o DIR is empty"));
    plan.paths = argv + optind;
    clock_gettime(CLOCK_REALTIME_COARSE, &plan.begun);
    return run(&plan);
}
