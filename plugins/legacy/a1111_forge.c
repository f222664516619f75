/* SPDX-License-Identifier: MIT */
/*
 * a1111_forge.c - Forge, reForge, Forge Classic and Forge Neo: A1111's text, with a version of their own.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "driver.h"

#include <string.h>

static const char *version_of(legacy_input *in)
{
    const legacy_text *text = legacy_find_parameters(in);
    return text ? legacy_parameter(in, text->text, text->size, "Version") : NULL;
}

static bool is_branch(const char *version, const char *name)
{
    size_t size = strlen(name);
    return strncmp(version, name, size) == 0 && (version[size] == 0 || version[size] == '-' || version[size] == ' ');
}

/* "f2.0.1v1.10.1-previous-669-gdfdcbab6" */
static bool is_forge(const char *version)
{
    return version[0] == 'f' && version[1] >= '0' && version[1] <= '9';
}

static bool identify(legacy_input *in)
{
    const char *version = version_of(in);
    return version && (is_forge(version) || is_branch(version, "classic") || is_branch(version, "neo") ||
                       is_branch(version, "forge") || is_branch(version, "reforge"));
}

/* reForge counts its own versions before A1111's: "f1.0.0v2-v1.10.1RC-latest-2498-g5120e679". */
static bool is_reforge(const char *version)
{
    const char *v = strchr(version, 'v');
    return v && strstr(v + 1, "-v");
}

static bool import(legacy_input *in, legacy_output *out)
{
    const legacy_text *text = legacy_find_parameters(in);
    const char *version = version_of(in);
    if (!text || !version)
        return false;
    legacy_set_tool(out, is_forge(version) && is_reforge(version) ? "reForge" : "Forge", version);
    return legacy_import_parameters(in, out, text->text, text->size);
}

const legacy_driver legacy_a1111_forge = {
    .name = "a1111-forge",
    .title = "Stable Diffusion WebUI Forge, reForge, Forge Classic and Neo",
    .home = "https://github.com/lllyasviel/stable-diffusion-webui-forge",
    .reads = "as a1111",
    .identify = identify,
    .import = import,
};
