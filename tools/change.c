/* SPDX-License-Identifier: MIT */
/*
 * change.c - --set PATH=VALUE and --unset PATH, in the order in which the user gave them.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "command.h"

#include <stdlib.h>
#include <string.h>

void changes_add(struct changes *changes, const char *argument, bool unset)
{
    changes->list = checked(realloc(changes->list, (changes->count + 1) * sizeof *changes->list));
    changes->list[changes->count++] = (struct change){argument, unset};
}

const char *changes_malformed(const struct changes *changes)
{
    for (size_t i = 0; i < changes->count; i++) {
        if (!changes->list[i].unset && strchr(changes->list[i].argument, '=') == NULL)
            return changes->list[i].argument;
    }
    return NULL;
}

static raiiaf_status apply(const struct change *change, raiiaf_file *file, raiiaf_error *error)
{
    if (change->unset)
        return raiiaf_unset(file, change->argument, error);
    size_t length = strcspn(change->argument, "=");
    char *path = checked(strndup(change->argument, length));
    raiiaf_status status = raiiaf_set_text(file, path, change->argument + length + 1, error);
    free(path);
    return status;
}

bool changes_apply(const struct changes *changes, raiiaf_file *file)
{
    for (size_t i = 0; i < changes->count; i++) {
        raiiaf_error error;
        if (apply(&changes->list[i], file, &error) != RAIIAF_OK) {
            report_error(&error);
            return false;
        }
    }
    return true;
}
