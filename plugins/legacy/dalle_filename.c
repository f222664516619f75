/* SPDX-License-Identifier: MIT */
/*
 * dalle_filename.c - DALL·E's downloads: date and prompt in the file's name, nothing in the file.
 *
 * "DALL·E 2022-08-13 08.58.24 - A black Honda motorcycle.png"
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "driver.h"

#include <string.h>

/* Where the date begins, or NULL.  Systems replace the dot by what they like. */
static const char *find_date(const char *name)
{
    static const char *const starts[] = {"DALL\xC2\xB7"
                                         "E ",
                                         "DALL\xE2\x80\xA2"
                                         "E ",
                                         "DALL-E ",
                                         "DALL_E ",
                                         "DALL.E ",
                                         "DALL E ",
                                         "DALLE "};
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++)
        if (strncmp(name, starts[i], strlen(starts[i])) == 0)
            return name + strlen(starts[i]);
    return NULL;
}

/* "2022-08-13 08.58.24 - "; 0 stands for any digit. */
static const char *after_date(const char *at)
{
    static const char form[] = "0000-00-00 00.00.00 - ";
    for (const char *want = form; *want; want++, at++)
        if (*want == '0' ? *at < '0' || *at > '9' : *at != *want)
            return NULL;
    return at;
}

static const char *find_prompt(legacy_input *in, const char **date)
{
    *date = find_date(legacy_file_name(in));
    return *date ? after_date(*date) : NULL;
}

static bool identify(legacy_input *in)
{
    const char *date;
    return find_prompt(in, &date) != NULL;
}

static bool import(legacy_input *in, legacy_output *out)
{
    const char *date, *prompt = find_prompt(in, &date), *dot = strrchr(prompt, '.');
    legacy_string when = {.in = in};
    legacy_append(&when, date, 10);
    legacy_append_string(&when, "T");
    legacy_append(&when, date + 11, 8);
    if (when.size == 19)
        when.text[13] = when.text[16] = ':';
    /* The third has been there since October 2023, under the same name. */
    legacy_set_string(out, "model_name",
                      strncmp(date, "2023-10", 7) < 0 ? "DALL\xC2\xB7"
                                                        "E 2"
                                                      : "DALL\xC2\xB7"
                                                        "E");
    legacy_set(out, "prompt", prompt, dot ? (size_t)(dot - prompt) : strlen(prompt));
    legacy_set(out, "date", when.text, when.size);
    legacy_set_string(out, "provenance", "filename");
    legacy_set_tool(out,
                    "DALL\xC2\xB7"
                    "E",
                    NULL);
    return true;
}

const legacy_driver legacy_dalle_filename = {
    .name = "dalle-filename",
    .title = "DALL\xC2\xB7"
             "E downloads",
    .home = "https://openai.com/dall-e-2",
    .reads = "file name",
    .identify = identify,
    .import = import,
};
