/* SPDX-License-Identifier: MIT */
/*
 * describe.c - parts of a file as texts for people: what a host's dialog shows.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "file.h"
#include "manifest.h"

#include <inttypes.h>

/* ---- latents ---- */

static raiiaf_status describe_latent(const raiiaf_file *file, size_t i, rf_bytes *text, raiiaf_error *error)
{
    raiiaf_buffer tensor = {0};
    raiiaf_statistics statistics;
    const raiiaf_chunk_info *info = &file->chunks[i].info;
    rf_bytes_format(text, "%s\n%s ", *info->key ? info->key : "-",
                    info->dtype == RAIIAF_FLOAT16 ? "float16" : "float32");
    for (unsigned axis = 0; axis < info->rank; axis++)
        rf_bytes_format(text, axis ? " x %" PRIu32 : "%" PRIu32, info->shape[axis]);
    raiiaf_status status = raiiaf_chunk_read(file, i, RAIIAF_READ_LOSSY, &tensor, error);
    if (status == RAIIAF_OK)
        status = raiiaf_latent_statistics(tensor.data, tensor.size, info->dtype, &statistics, error);
    raiiaf_buffer_free(&tensor);
    if (status != RAIIAF_OK)
        return status;
    rf_bytes_string(text, "\n"); /* numbers for people, and so as their locale writes them */
    rf_bytes_format(text, _("from %.4g to %.4g\nmean %.4g, standard deviation %.4g"), statistics.minimum,
                    statistics.maximum, statistics.mean, statistics.deviation);
    if (statistics.nans || statistics.infinities)
        rf_bytes_format(text, _(", %" PRIu64 " NaN, %" PRIu64 " infinite"), statistics.nans, statistics.infinities);
    if (info->stale)
        rf_bytes_format(text, "\n%s", _("the picture was edited since"));
    return RAIIAF_OK;
}

/* ---- environment ---- */

static bool append_component(void *text, const raiiaf_component *component)
{
    rf_bytes_format(text, "%s\n", component->canonical);
    return true;
}

static bool append_drift(void *text, const char *component_id, const char *line)
{
    (void)component_id;
    rf_bytes_format(text, "%s\n", line);
    return true;
}

static raiiaf_status describe_environment(const raiiaf_file *file, rf_bytes *text, raiiaf_error *error)
{
    raiiaf_buffer json = {0};
    size_t chunk = raiiaf_environment_chunk(file);
    if (chunk == RAIIAF_NONE) {
        rf_bytes_string(text, _("the file holds no environment"));
        return RAIIAF_OK;
    }
    raiiaf_status status = raiiaf_chunk_read(file, chunk, 0, &json, error);
    if (status == RAIIAF_OK)
        status = raiiaf_environment_each((const char *)json.data, json.size, append_component, text, error);
    raiiaf_buffer_free(&json);
    rf_bytes_string(text, "\n");
    size_t before = text->size;
    if (status == RAIIAF_OK)
        status = raiiaf_drift_each(file, append_drift, text, error);
    if (status == RAIIAF_OK && text->size == before)
        rf_bytes_string(text, _("this computer has the same environment"));
    return status;
}

/* ---- history ---- */

typedef struct history {
    const raiiaf_file *file;
    rf_bytes *text;
} history;

static bool append_entry(void *user, const char *number, const raiiaf_value *value)
{
    static const char *const members[] = {"date", "action", "tool"};
    history *h = user;
    (void)value;
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        rf_bytes path = {0};
        raiiaf_value member;
        rf_bytes_format(&path, "/history/%s/%s", number, members[i]);
        if (!path.failed && raiiaf_get(h->file, path.data, &member)) {
            rf_bytes_string(h->text, i ? "  " : "");
            rf_append_value(&member, h->text);
        }
        rf_bytes_free(&path);
    }
    rf_bytes_string(h->text, "\n");
    return true;
}

raiiaf_status raiiaf_describe(const raiiaf_file *file, raiiaf_topic topic, size_t i, raiiaf_buffer *out,
                              raiiaf_error *error)
{
    rf_bytes text = {0};
    raiiaf_status status = RAIIAF_OK;
    *out = (raiiaf_buffer){0};
    rf_error_clear(error);
    if (topic == RAIIAF_TOPIC_LATENT)
        status = describe_latent(file, i, &text, error);
    else if (topic == RAIIAF_TOPIC_ENVIRONMENT)
        status = describe_environment(file, &text, error);
    else if (!raiiaf_each(file, "/history", append_entry, &(history){file, &text}) || !text.size)
        rf_bytes_string(&text, _("nothing was changed since the file was made"));
    if (status == RAIIAF_OK)
        status = rf_bytes_to_buffer(&text, out, error);
    rf_bytes_free(&text);
    return status;
}
