/* SPDX-License-Identifier: MIT */
/*
 * midjourney.c - Midjourney: the command that was typed, in the description; what is left of it in the file's name.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "driver.h"

#include <string.h>

#define JOB "Job ID: "
#define UUID_SIZE 36

static bool is_uuid(const char *text, size_t size)
{
    if (size < UUID_SIZE)
        return false;
    for (size_t i = 0; i < UUID_SIZE; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? text[i] != '-' : !text[i] || !strchr("0123456789abcdef", text[i] | 0x20))
            return false;
    }
    return true;
}

/* Where "Job ID: UUID" stands at the end of a text, or NULL. */
static const char *find_job(const legacy_text *text)
{
    size_t size = text ? text->size : 0, wanted = strlen(JOB) + UUID_SIZE;
    while (size && strchr(" \t\r\n.", text->text[size - 1]))
        size--;
    if (size < wanted)
        return NULL;
    const char *at = text->text + size - wanted;
    return memcmp(at, JOB, strlen(JOB)) == 0 && is_uuid(at + strlen(JOB), UUID_SIZE) ? at : NULL;
}

static const legacy_text *find_description(legacy_input *in)
{
    for (size_t i = legacy_count(in); i-- > 0;)
        if (find_job(legacy_at(in, i)))
            return legacy_at(in, i);
    const legacy_text *text =
        legacy_contains(legacy_find_form(in, "xmp"), JOB) ? legacy_xmp(in, "dc:description") : NULL;
    return find_job(text) ? text : NULL;
}

/* ---- the file's name: user_some_words_UUID_0.png ---- */

typedef struct name_parts {
    const char *words, *uuid;
    size_t words_size;
} name_parts;

static bool read_name(const char *name, name_parts *parts)
{
    size_t size = strlen(name), gaps = 0;
    const char *user = strchr(name, '_');
    for (size_t i = 1; user && i + UUID_SIZE <= size; i++) {
        if (name[i - 1] != '_' || !is_uuid(name + i, size - i))
            continue;
        *parts = (name_parts){user + 1, name + i, 0};
        if (parts->uuid <= parts->words)
            return false;
        parts->words_size = (size_t)(parts->uuid - 1 - parts->words);
        for (size_t k = 0; k < parts->words_size; k++)
            gaps += parts->words[k] == '_';
        return gaps > 0;
    }
    return false;
}

static void import_name(legacy_input *in, legacy_output *out, const name_parts *parts)
{
    legacy_string prompt = {.in = in};
    for (size_t i = 0; i < parts->words_size; i++)
        legacy_append(&prompt, parts->words[i] == '_' ? " " : parts->words + i, 1);
    legacy_set(out, "prompt", prompt.text, prompt.size);
    legacy_set(out, "job_id", parts->uuid, UUID_SIZE);
    legacy_set_string(out, "provenance", "filename");
    legacy_set_string(out, "model_name", "Midjourney");
}

/* ---- the command ---- */

/* The next " --flag" (or a dash that a telephone made of two), or `end`. */
static const char *find_flag(const char *at, const char *end, size_t *dashes)
{
    static const char *const forms[] = {"--", "\xE2\x80\x94"};
    for (; at < end; at++)
        for (size_t i = 0; i < 2 && strchr(" \t\r\n", *at); i++) {
            size_t size = strlen(forms[i]);
            if ((size_t)(end - at) > size + 1 && memcmp(at + 1, forms[i], size) == 0 && at[size + 1] >= 'a' &&
                at[size + 1] <= 'z') {
                *dashes = size;
                return at;
            }
        }
    return end;
}

static void set_version(legacy_input *in, legacy_output *out, const char *name, const char *value, size_t size)
{
    legacy_string model = {.in = in};
    legacy_append_string(&model, strcmp(name, "niji") == 0 ? "Midjourney niji " : "Midjourney v");
    legacy_append(&model, value, size);
    if (size)
        legacy_set(out, "model_name", model.text, model.size);
}

static void set_flag(legacy_input *in, legacy_output *out, const char *at, const char *end)
{
    size_t length = 0;
    char name[32];
    while (at + length < end && !strchr(" \t\r\n", at[length]))
        length++;
    if (length >= sizeof name)
        return;
    memcpy(name, at, length);
    name[length] = 0;
    const char *value = at + length;
    while (value < end && strchr(" \t\r\n", *value))
        value++;
    while (end > value && strchr(" \t\r\n", end[-1]))
        end--;
    size_t size = (size_t)(end - value);
    if (strcmp(name, "v") == 0 || strcmp(name, "version") == 0 || strcmp(name, "niji") == 0)
        set_version(in, out, name, value, size);
    else if (strcmp(name, "seed") == 0)
        legacy_set(out, "seed", value, size);
    else if (strcmp(name, "no") == 0)
        legacy_set(out, "negative_prompt", value, size);
    else if (size)
        legacy_set(out, name, value, size);
    else
        legacy_set_typed(out, name, "true", 4);
}

static void import_command(legacy_input *in, legacy_output *out, const legacy_text *text)
{
    const char *end = find_job(text);
    size_t dashes = 0, next;
    legacy_set(out, "job_id", end + strlen(JOB), UUID_SIZE);
    const char *at = find_flag(text->text, end, &dashes);
    size_t size = (size_t)(at - text->text);
    while (size && strchr(" \t\r\n", text->text[size - 1]))
        size--;
    legacy_set(out, "prompt", text->text, size);
    while (at < end) {
        const char *stop = find_flag(at + 1, end, &next);
        set_flag(in, out, at + 1 + dashes, stop);
        at = stop;
        dashes = next;
    }
    legacy_set_string(out, "model_name", "Midjourney");
}

/* ---- when ---- */

static unsigned number_at(const char *text, size_t digits)
{
    unsigned value = 0;
    for (size_t i = 0; i < digits; i++)
        value = text[i] >= '0' && text[i] <= '9' ? 10 * value + (unsigned)(text[i] - '0') : 10 * value;
    return value;
}

/* "Sat, 09 Mar 2024 10:11:12 GMT" */
static void set_time(legacy_input *in, legacy_output *out, const legacy_text *text)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    char month[4];
    if (!text || text->size != 29 || memcmp(text->text + 25, " GMT", 4) != 0)
        return;
    memcpy(month, text->text + 8, 3);
    month[3] = 0;
    const char *found = strstr(months, month);
    if (!found || (found - months) % 3)
        return;
    unsigned m = (unsigned)(found - months) / 3 + 1;
    char parts[] = {(char)('0' + m / 10), (char)('0' + m % 10)};
    legacy_string date = {.in = in};
    legacy_append(&date, text->text + 12, 4);
    legacy_append_string(&date, "-");
    legacy_append(&date, parts, 2);
    legacy_append_string(&date, "-");
    legacy_append(&date, text->text + 5, 2);
    legacy_append_string(&date, "T");
    legacy_append(&date, text->text + 17, 8);
    legacy_append_string(&date, "+00:00");
    if (number_at(text->text + 5, 2))
        legacy_set(out, "date", date.text, date.size);
}

/* ---- the driver ---- */

static bool identify(legacy_input *in)
{
    name_parts parts;
    return find_description(in) || read_name(legacy_file_name(in), &parts);
}

static bool import(legacy_input *in, legacy_output *out)
{
    const legacy_text *text = find_description(in), *author = legacy_find(in, "png:", "Author");
    name_parts parts;
    legacy_set_tool(out, "Midjourney", NULL);
    if (text)
        import_command(in, out, text);
    else if (read_name(legacy_file_name(in), &parts))
        import_name(in, out, &parts);
    if (author)
        legacy_set(out, "author", author->text, author->size);
    set_time(in, out, legacy_find(in, "png:", "Creation Time"));
    return true;
}

const legacy_driver legacy_midjourney = {
    .name = "midjourney",
    .title = "Midjourney",
    .home = "https://www.midjourney.com",
    .reads = "PNG Description, Author; XMP and IPTC descriptions; file name",
    .identify = identify,
    .import = import,
};
