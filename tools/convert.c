/* SPDX-License-Identifier: MIT */
/*
 * convert.c - raiiaf convert: other tools' images into .raiiaf files, folders of them, on all processors.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "convert.h"

#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static unsigned processors(void)
{
    cpu_set_t set;
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return sched_getaffinity(0, sizeof set, &set) == 0 ? (unsigned)CPU_COUNT(&set) : online > 0 ? (unsigned)online : 1;
}

static int run(const struct plan *plan)
{
    int interrupted = 0;
    if (!progress_begin(plan))
        return EXIT_WRONG;
    bool good = pool_run(plan, &interrupted);
    good = progress_end() && good;
    if (interrupted != 0) {
        report("%s", _("interrupted; the same command goes on where this ended"));
        fflush(stdout);
        raise(interrupted);
    }
    return good ? EXIT_WELL : EXIT_WRONG;
}

static const char help[] = N_("Usage: raiiaf convert [OPTION]... FILE|DIR...\n"
                              "Make .raiiaf files of images that other tools wrote (PNG, JPEG, WebP, BMP): the\n"
                              "very file as it is, and what is recognised of prompt and settings.  Each goes\n"
                              "beside its image; what is there already and up to date is left out, so that the\n"
                              "same command goes on where an interrupted one ended.\n"
                              "\n"
                              "  -r, --recursive     folders in folders too\n"
                              "  -o, --output DIR    put them into DIR, in the same folders as below the DIR\n"
                              "                      that they come from\n"
                              "  -j, --jobs N        work on N files at once (else one for each processor)\n"
                              "  --overwrite         convert again what is there already\n"
                              "  --dialect NAME      read them as this tool's ('raiiaf dialects' lists them),\n"
                              "                      whoever else's they could be\n"
                              "  --shard I/N         only the Ith of N parts, the same on every machine; I from\n"
                              "                      1 to N or from 0 to N-1\n"
                              "  -n, --dry-run       only tell what would be done\n"
                              "  --report FILE       a line of JSON about each image\n"
                              "  --delete-source     delete each image once it was read back from its .raiiaf\n"
                              "                      file on disk\n"
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
