/* SPDX-License-Identifier: MIT */
/*
 * capture.c - the environment that the program runs in, as the reference would write it: components in its order,
 * canonical strings in its words, JSON in its spelling (format.md, 4).
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "environment.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

static bool is_set(const char *text)
{
    return text && *text;
}

/* ---- components ---- */

typedef struct components {
    rf_bytes json;
    size_t count;
} components;

static void add_component(components *all, const char *id, const char *format, ...) RF_PRINTF(3, 4);

/* A string that isn't UTF-8 (a GPU's name?) can have no digest that another program would agree with, and is left
   out. */
static void add_component(components *all, const char *id, const char *format, ...)
{
    char canonical[512], hex[RF_SHA256_HEX];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(canonical, sizeof canonical, format, arguments);
    va_end(arguments);
    if (size < 0 || (size_t)size >= sizeof canonical || !rf_utf8_valid(canonical, (size_t)size))
        return;
    rf_sha256(canonical, (size_t)size, hex);
    rf_bytes_format(&all->json,
                    "%s\n    {\n      \"component_id\": \"%s\",\n      \"cononical_str\": ", all->count++ ? "," : "",
                    id);
    rf_bytes_json_string(&all->json, canonical, (size_t)size);
    rf_bytes_format(&all->json, ",\n      \"component_sha256_digest\": \"%s\"\n    }", hex);
}

/* cuda is torch's once more: where torch isn't installed nothing is known of it, and it is left out. */
static bool add_python(components *all, const rf_capture_roots *roots)
{
    rf_python py;
    if (!rf_python_look(roots, &py))
        return false;
    if (*py.torch)
        add_component(all, "torch", "name=torch;version=%.*s;cuda=%s", (int)strcspn(py.torch, "+"), py.torch,
                      *py.cuda ? py.cuda : "None");
    if (*py.numpy)
        add_component(all, "numpy", "name=numpy;version=%s", py.numpy);
    if (*py.version)
        add_component(all, "python", "name=python;version=%s", py.version);
    if (*py.torch)
        add_component(all, "cuda", "name=cuda;version=%s", *py.cuda ? py.cuda : "none");
    return true;
}

static void add_system(components *all)
{
    struct utsname name;
    if (!uname(&name))
        add_component(all, "os", "name=os;version=%s %s", name.sysname, name.release);
}

/* ---- GPUs ---- */

/* What is used of libnvidia-ml, whose own header isn't needed to build: every function returns 0 for success. */
typedef struct nvml {
    int (*initialise)(void);
    int (*shut_down)(void);
    int (*driver)(char *version, unsigned size);
    int (*count)(unsigned *count);
    int (*by_index)(unsigned i, void **device);
    int (*name)(void *device, char *name, unsigned size);
} nvml;

#define GPUS_MOST 256u
#define NVML_TEXT 96 /* NVML_DEVICE_NAME_V2_BUFFER_SIZE, the largest of its kind */

/* Old drivers know only the names without _v2. */
static bool take_symbol(void *library, void *function, const char *name, const char *old_name)
{
    void *symbol = dlsym(library, name);
    if (!symbol && old_name)
        symbol = dlsym(library, old_name);
    memcpy(function, &symbol, sizeof symbol); /* ISO C converts no data pointer to a function pointer */
    return symbol;
}

static bool nvml_load(void *library, nvml *api)
{
    return take_symbol(library, &api->initialise, "nvmlInit_v2", "nvmlInit") &&
           take_symbol(library, &api->shut_down, "nvmlShutdown", NULL) &&
           take_symbol(library, &api->driver, "nvmlSystemGetDriverVersion", NULL) &&
           take_symbol(library, &api->count, "nvmlDeviceGetCount_v2", "nvmlDeviceGetCount") &&
           take_symbol(library, &api->by_index, "nvmlDeviceGetHandleByIndex_v2", "nvmlDeviceGetHandleByIndex") &&
           take_symbol(library, &api->name, "nvmlDeviceGetName", NULL);
}

static void add_devices(components *all, const nvml *api)
{
    char driver[NVML_TEXT + 1] = "";
    unsigned count = 0;
    if (api->driver(driver, NVML_TEXT) || api->count(&count))
        return;
    for (unsigned i = 0; i < count && i < GPUS_MOST; i++) {
        void *device = NULL;
        char name[NVML_TEXT + 1] = "";
        if (!api->by_index(i, &device) && !api->name(device, name, NVML_TEXT))
            add_component(all, "gpu", "name=gpu;model=%s;driver=%s", name, driver);
    }
}

static void add_gpus(components *all, const char *library_name)
{
    void *library = dlopen(is_set(library_name) ? library_name : "libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
    nvml api;
    if (!library)
        return;
    if (nvml_load(library, &api) && !api.initialise()) {
        add_devices(all, &api);
        api.shut_down();
    }
    dlclose(library);
}

/* ---- all of it ---- */

raiiaf_status rf_capture(const rf_capture_roots *roots, raiiaf_buffer *json, raiiaf_error *error)
{
    components all = {.count = 0};
    *json = (raiiaf_buffer){0};
    rf_bytes_string(&all.json, "{\n  \"env_version\": 1,\n  \"components\": [");
    if (!add_python(&all, roots)) {
        rf_bytes_free(&all.json);
        return rf_fail_memory(error, NULL);
    }
    add_system(&all);
    add_gpus(&all, roots->nvml);
    rf_bytes_string(&all.json, all.count ? "\n  ]\n}" : "]\n}");
    return rf_bytes_to_buffer(&all.json, json, error);
}

raiiaf_status raiiaf_environment_capture(raiiaf_buffer *json, raiiaf_error *error)
{
    char home[PATH_MAX] = "";
    if (is_set(getenv("HOME")) && snprintf(home, sizeof home, "%s/.local", getenv("HOME")) >= PATH_MAX)
        *home = 0;
    const char *user_base = is_set(getenv("PYTHONUSERBASE")) ? getenv("PYTHONUSERBASE") : home;
    const rf_capture_roots roots = {
        .virtual_env = getenv("VIRTUAL_ENV"),
        .conda_prefix = getenv("CONDA_PREFIX"),
        .path = getenv("PATH"),
        .python_path = getenv("PYTHONPATH"),
        .user_base = is_set(getenv("PYTHONNOUSERSITE")) ? NULL : user_base,
        .nvml = secure_getenv("RAIIAF_NVML"), /* code that runs: not for programs with more rights than their user */
    };
    return rf_capture(&roots, json, error);
}
