/* SPDX-License-Identifier: MIT */
/*
 * report.c - messages to the user, on standard error.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "command.h"

#include <stdlib.h>
#include <string.h>

static void message(const char *kind, const char *format, va_list arguments) PRINTF(2, 0);

static void message(const char *kind, const char *format, va_list arguments)
{
    char *text = NULL;
    if (vasprintf(&text, format, arguments) < 0)
        text = NULL;
    fflush(stdout); /* where both are the same terminal, in the order of events */
    fprintf(stderr, "raiiaf: %s", kind);
    print_safe(stderr, text != NULL ? text : format, strlen(text != NULL ? text : format));
    fputc('\n', stderr);
    free(text);
}

void report(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    message("", format, arguments);
    va_end(arguments);
}

void report_error(const raiiaf_error *error)
{
    report("%s", error->text);
}

void warn(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    message(_("warning: "), format, arguments);
    va_end(arguments);
}

void report_warning(void *user, const raiiaf_error *warning)
{
    (void)user;
    warn("%s", warning->text);
}

int usage_error(const char *name, const char *format, ...)
{
    if (format != NULL) {
        va_list arguments;
        va_start(arguments, format);
        message("", format, arguments);
        va_end(arguments);
    }
    fprintf(stderr, _("Try 'raiiaf%s%s --help'.\n"), name != NULL ? " " : "", name != NULL ? name : "");
    return EXIT_USAGE;
}

int print_help(const char *text)
{
    fputs(text, stdout);
    return EXIT_WELL;
}

void *checked(void *pointer)
{
    if (pointer == NULL) {
        report("%s", _("memory has run out"));
        exit(EXIT_WRONG);
    }
    return pointer;
}
