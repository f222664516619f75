/* SPDX-License-Identifier: MIT */
/*
 * threads.c - the same work on many items, on several threads.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "base.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#define THREADS_MOST 64

typedef struct job {
    atomic_size_t next;
    atomic_bool stop;
    size_t count;
    bool (*work)(void *user, size_t i);
    void *user;
} job;

static void *run(void *argument)
{
    job *all = argument;
    while (!atomic_load(&all->stop)) {
        size_t i = atomic_fetch_add(&all->next, 1);
        if (i >= all->count)
            break;
        if (!all->work(all->user, i))
            atomic_store(&all->stop, true);
    }
    return NULL;
}

static unsigned processors(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        return (unsigned)CPU_COUNT(&set);
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (unsigned)online : 1;
}

bool rf_parallel(size_t count, unsigned threads, bool (*work)(void *user, size_t i), void *user)
{
    job all = {.count = count, .work = work, .user = user};
    pthread_t helpers[THREADS_MOST];
    size_t wanted = threads ? threads : processors(), started = 0;
    if (wanted > count)
        wanted = count;
    if (wanted > THREADS_MOST)
        wanted = THREADS_MOST;

    if (wanted > 1) {
        /* Signals are the host's: its own threads get them. */
        sigset_t everything, before;
        sigfillset(&everything);
        pthread_sigmask(SIG_SETMASK, &everything, &before);
        /* The caller's thread works too; where the system gives fewer threads, the rest do more. */
        while (started < wanted - 1 && pthread_create(&helpers[started], NULL, run, &all) == 0)
            started++;
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    run(&all);
    for (size_t i = 0; i < started; i++)
        pthread_join(helpers[i], NULL);
    return !atomic_load(&all.stop);
}
