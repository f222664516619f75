/* SPDX-License-Identifier: MIT */
/*
 * main.c - the raiiaf command: finds the subcommand and ends with its exit status.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "command.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <string.h>
#include <unistd.h>

static const struct command commands[] = {
    {"info", N_("tell what is in files"), info_run},
    {"verify", N_("decode and check everything in files"), verify_run},
    {"extract", N_("take image, latents, manifest or environment out of a file"), extract_run},
    {"create", N_("make a file from an image, latents and a description"), create_run},
    {"edit", N_("change the description in a file"), edit_run},
    {"repack", N_("make files smaller without changing what they hold"), repack_run},
    {"scan", N_("tell what other tools wrote into their images"), scan_run},
    {"convert", N_("make files of other tools' images, folders of them too"), convert_run},
    {"export", N_("hand out settings as text, JSON or XMP, and images as PNG"), export_run},
    {"dialects", N_("list the tools whose images are understood"), dialects_run},
};
#define COMMANDS (sizeof commands / sizeof commands[0])

static void print_commands(FILE *out)
{
    fputs(_("Usage: raiiaf COMMAND [OPTION]... FILE...\n\nCommands:\n"), out);
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf(out, "  %-10s %s\n", commands[i].name, _(commands[i].summary));
    fputs(_("\n'raiiaf COMMAND --help' tells a command's options, 'man raiiaf' the rest.\n"), out);
}

static int run(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : NULL;
    if (name == NULL) {
        print_commands(stderr);
        return EXIT_USAGE;
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        print_commands(stdout);
        return EXIT_WELL;
    }
    if (strcmp(name, "--version") == 0) {
        printf("raiiaf %s\n", raiiaf_version());
        return EXIT_WELL;
    }
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(name, commands[i].name) == 0) {
            char title[64]; /* getopt begins its messages with it */
            snprintf(title, sizeof title, "raiiaf %s", name);
            argv[1] = title;
            return commands[i].run(argc - 1, argv + 1);
        }
    }
    return usage_error(NULL, _("there is no command '%s'"), name);
}

/* A standard stream that was closed would give its number to the next file that is opened, and messages would end up
   there; so occupied, reading it or writing to it fails. */
static void occupy_standard_streams(void)
{
    for (int i = STDIN_FILENO; i <= STDERR_FILENO; i++) {
        if (fcntl(i, F_GETFD) < 0)
            open("/dev/null", i == STDIN_FILENO ? O_WRONLY : O_RDONLY);
    }
}

int main(int argc, char **argv)
{
    occupy_standard_streams();
    setlocale(LC_ALL, "");
#ifdef ENABLE_NLS
    bindtextdomain(PACKAGE, LOCALEDIR);
    bind_textdomain_codeset(PACKAGE, "UTF-8"); /* as what the library says and files hold */
    textdomain(PACKAGE);
#endif
    int status = run(argc, argv);
    errno = 0;
    if (fflush(stdout) != 0 || ferror(stdout)) {
        report(_("standard output can't be written: %s"), errno != 0 ? strerror(errno) : _("an earlier write failed"));
        return EXIT_WRONG;
    }
    return status;
}
