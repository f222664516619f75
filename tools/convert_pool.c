/* SPDX-License-Identifier: MIT */
/*
 * convert_pool.c - all files of a call: one thread finds them and hands them out, the others convert them.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "convert.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define QUEUE 256

struct job {
    char *path;
    size_t relative;
    bool named;
};

struct pool {
    const struct plan *plan;
    size_t batch;
    pthread_mutex_t lock;
    pthread_cond_t filled, emptied;
    struct job jobs[QUEUE];
    size_t first, count;
    bool complete;
    atomic_bool useless; /* to go on */
};

static volatile sig_atomic_t interrupted;

static bool is_over(struct pool *pool)
{
    return interrupted != 0 || atomic_load(&pool->useless);
}

/* ---- workers ---- */

static bool next_job(struct pool *pool, struct job *job)
{
    pthread_mutex_lock(&pool->lock);
    while (pool->count == 0 && !pool->complete)
        pthread_cond_wait(&pool->filled, &pool->lock);
    bool some = pool->count > 0;
    if (some) {
        *job = pool->jobs[pool->first];
        pool->first = (pool->first + 1) % QUEUE;
        pool->count--;
        pthread_cond_signal(&pool->emptied);
    }
    pthread_mutex_unlock(&pool->lock);
    return some;
}

static void *work(void *user)
{
    struct pool *pool = user;
    struct worker *worker = worker_new(pool->plan, pool->batch);
    struct job job;
    while (next_job(pool, &job)) {
        struct found found = {job.path, job.path + job.relative, job.named};
        if (!is_over(pool) && !worker_take(worker, &found))
            atomic_store(&pool->useless, true);
        free(job.path);
    }
    worker_end(worker);
    return NULL;
}

/* ---- finding files ---- */

/* FNV-1a: the same on every machine, whatever else is in the folder. */
static uint64_t hash(const char *text)
{
    uint64_t value = UINT64_C(0xCBF29CE484222325);
    for (; *text != 0; text++)
        value = (value ^ (unsigned char)*text) * UINT64_C(0x100000001B3);
    return value ^ value >> 32;
}

bool plan_includes(const struct plan *plan, const struct found *found)
{
    return (found->named || !is_artifact_name(found->path)) && hash(found->relative) % plan->shards == plan->shard;
}

static bool hand_out(void *user, const struct found *found)
{
    struct pool *pool = user;
    if (plan_includes(pool->plan, found)) {
        struct job job = {checked(strdup(found->path)), (size_t)(found->relative - found->path), found->named};
        pthread_mutex_lock(&pool->lock);
        while (pool->count == QUEUE)
            pthread_cond_wait(&pool->emptied, &pool->lock);
        pool->jobs[(pool->first + pool->count++) % QUEUE] = job;
        pthread_cond_signal(&pool->filled);
        pthread_mutex_unlock(&pool->lock);
    }
    return !is_over(pool);
}

/* ---- all together ---- */

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

/* Every file of a batch is open: allows as many as may be, and tells how many that makes for each thread. */
static size_t open_files(unsigned threads)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 1;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    getrlimit(RLIMIT_NOFILE, &limit);
    size_t most = limit.rlim_cur / 2 / threads;
    return most > 0 ? most : 1;
}

bool pool_run(const struct plan *plan, int *number)
{
    struct pool pool = {.plan = plan,
                        .batch = open_files(plan->jobs),
                        .lock = PTHREAD_MUTEX_INITIALIZER,
                        .filled = PTHREAD_COND_INITIALIZER,
                        .emptied = PTHREAD_COND_INITIALIZER};
    struct walk how = {plan->recursive, false, hand_out, &pool};
    pthread_t *threads = checked(calloc(plan->jobs, sizeof *threads));
    unsigned started = 0;
    prepare_signals();
    while (started < plan->jobs && pthread_create(&threads[started], NULL, work, &pool) == 0)
        started++;
    bool good = started > 0 && walk(&how, plan->paths);
    if (started == 0)
        report("%s", _("no thread can be started"));
    pthread_mutex_lock(&pool.lock);
    pool.complete = true;
    pthread_cond_broadcast(&pool.filled);
    pthread_mutex_unlock(&pool.lock);
    for (unsigned i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    free(threads);
    if (atomic_load(&pool.useless))
        progress_fail("%s", _("no more is converted; once there is room, the same command goes on"));
    *number = interrupted;
    return good;
}
