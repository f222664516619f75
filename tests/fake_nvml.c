/* SPDX-License-Identifier: MIT */
/*
 * fake_nvml.c - stands in for libnvidia-ml.so.1 in the tests.  FAKE_NVML tells what it plays: a number of GPUs, with
 * words after it for what goes wrong ("3 lost-second", "0", "1 no-init").  Built with OLD_NVML it lacks the _v2 names,
 * as the libraries of old drivers do.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef OLD_NVML
#define VERSIONED(name) name
#else
#define VERSIONED(name) name##_v2
#endif

#define SUCCESS 0
#define NOT_FOUND 6
#define NO_DRIVER 9
#define TOO_SMALL 7

int VERSIONED(nvmlInit)(void);
int nvmlShutdown(void);
int nvmlSystemGetDriverVersion(char *version, unsigned size);
int VERSIONED(nvmlDeviceGetCount)(unsigned *count);
int VERSIONED(nvmlDeviceGetHandleByIndex)(unsigned i, void **device);
int nvmlDeviceGetName(void *device, char *name, unsigned size);

static const char *const models[] = {"NVIDIA GeForce RTX 4090", "NVIDIA A100-SXM4-80GB", "NVIDIA H200"};
static int running;

static int plays(const char *word)
{
    const char *role = getenv("FAKE_NVML");
    return role && strstr(role, word);
}

static int give(char *out, unsigned size, const char *text)
{
    if (size <= strlen(text))
        return TOO_SMALL;
    strcpy(out, text);
    return SUCCESS;
}

int VERSIONED(nvmlInit)(void)
{
    if (plays("no-init"))
        return NO_DRIVER;
    running++;
    return SUCCESS;
}

/* A capture that forgets this, or calls it twice, doesn't get away with it. */
int nvmlShutdown(void)
{
    const char *log = getenv("FAKE_NVML_LOG");
    FILE *file = log ? fopen(log, "a") : NULL;
    running--;
    if (file) {
        fprintf(file, "shut down, %d left\n", running);
        fclose(file);
    }
    return SUCCESS;
}

int nvmlSystemGetDriverVersion(char *version, unsigned size)
{
    return plays("no-driver") || !running ? NO_DRIVER : give(version, size, "550.54.14");
}

int VERSIONED(nvmlDeviceGetCount)(unsigned *count)
{
    const char *role = getenv("FAKE_NVML");
    *count = role ? (unsigned)strtoul(role, NULL, 10) : 0;
    return plays("no-count") || !running ? NO_DRIVER : SUCCESS;
}

int VERSIONED(nvmlDeviceGetHandleByIndex)(unsigned i, void **device)
{
    static char devices[4096];
    if (!running || i >= sizeof devices || (i == 1 && plays("lost-second")))
        return NOT_FOUND;
    devices[i] = (char)(i % (sizeof models / sizeof *models));
    *device = &devices[i];
    return SUCCESS;
}

int nvmlDeviceGetName(void *device, char *name, unsigned size)
{
    if (!running)
        return NO_DRIVER;
    if (plays("endless-name")) {
        memset(name, 'X', size);
        return SUCCESS;
    }
    return give(name, size, plays("broken-name") ? "NVIDIA \xff" : models[(size_t) * (const char *)device]);
}
