/* SPDX-License-Identifier: MIT */
/*
 * environment.h - where the capture of the present environment looks, so that tests can make it look elsewhere, and
 * what it sees there.
 */
#ifndef RAIIAF_ENVIRONMENT_H
#define RAIIAF_ENVIRONMENT_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Folders and lists of folders as the environment variables give them; NULL or "" for what isn't set. */
typedef struct rf_capture_roots {
    const char *virtual_env;  /* VIRTUAL_ENV */
    const char *conda_prefix; /* CONDA_PREFIX */
    const char *path;         /* PATH: where `python3` is looked for when neither of them holds a Python */
    const char *python_path;  /* PYTHONPATH */
    const char *user_base;    /* PYTHONUSERBASE, else $HOME/.local; NULL with PYTHONNOUSERSITE */
    const char *nvml;         /* RAIIAF_NVML: a library to take for libnvidia-ml.so.1 */
} rf_capture_roots;

/* ---- python.c ---- */

#define RF_VERSION_SIZE 64 /* of a buffer for any version; a longer one is no version */

/* Versions; "" for what isn't installed or can't be told. */
typedef struct rf_python {
    char version[RF_VERSION_SIZE]; /* "3.11.2" */
    char numpy[RF_VERSION_SIZE];
    char torch[RF_VERSION_SIZE]; /* with its local part */
    char cuda[RF_VERSION_SIZE];  /* torch's */
} rf_python;

/* false if memory ran out on the way. */
bool rf_python_look(const rf_capture_roots *roots, rf_python *found);

/* ---- capture.c ---- */

raiiaf_status rf_capture(const rf_capture_roots *roots, raiiaf_buffer *json, raiiaf_error *error);

#ifdef __cplusplus
}
#endif

#endif
