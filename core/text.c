/* SPDX-License-Identifier: MIT */
/*
 * text.c - numbers and dates as the format spells them, whatever the locale.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "base.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static locale_t c_locale;
static pthread_once_t c_locale_once = PTHREAD_ONCE_INIT;

static void make_c_locale(void)
{
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

/* The C locale, which glibc gives without fail; (locale_t)0 only where it doesn't. */
static locale_t plain_locale(void)
{
    pthread_once(&c_locale_once, make_c_locale);
    return c_locale;
}

bool rf_parse_double(const char *text, size_t size, double *number)
{
    /* Longer numbers than this occur only to make trouble; their value is decided by fewer digits. */
    char copy[1024];
    char *end;
    if (size == 0 || size >= sizeof copy || !plain_locale())
        return false;
    memcpy(copy, text, size);
    copy[size] = 0;
    *number = strtod_l(copy, &end, plain_locale());
    return end == copy + size;
}

/* Python's repr writes fixed notation for exponents -4 to 15, else d.ddde+XX. */
static void respell_as_python(char out[32], const char *digits, int exponent, bool negative)
{
    int count = (int)strlen(digits);
    rf_bytes text = {0};
    rf_bytes_string(&text, negative ? "-" : "");
    if (exponent < -4 || exponent >= 16) {
        rf_bytes_append(&text, digits, 1);
        if (count > 1) {
            rf_bytes_string(&text, ".");
            rf_bytes_append(&text, digits + 1, (size_t)count - 1);
        }
        rf_bytes_format(&text, "e%c%02d", exponent < 0 ? '-' : '+', abs(exponent));
    } else if (exponent < 0) {
        rf_bytes_string(&text, "0.");
        for (int i = -1; i > exponent; i--)
            rf_bytes_string(&text, "0");
        rf_bytes_string(&text, digits);
    } else {
        for (int i = 0; i <= exponent || i < count; i++) {
            if (i == exponent + 1)
                rf_bytes_string(&text, ".");
            rf_bytes_append(&text, i < count ? digits + i : "0", 1);
        }
        if (count <= exponent + 1)
            rf_bytes_string(&text, ".0");
    }
    snprintf(out, 32, "%s", text.data ? text.data : "");
    rf_bytes_free(&text);
}

void rf_format_double(char out[32], double number)
{
    if (isnan(number) || isinf(number)) {
        snprintf(out, 32, "%s", isnan(number) ? "NaN" : number < 0 ? "-Infinity" : "Infinity");
        return;
    }
    locale_t before = uselocale(plain_locale());
    char text[40];
    for (int precision = 0; precision <= 16; precision++) {
        snprintf(text, sizeof text, "%.*e", precision, number);
        if (strtod(text, NULL) == number)
            break;
    }
    uselocale(before);
    char digits[20];
    size_t count = 0;
    const char *p = text;
    for (; *p != 'e'; p++)
        if (*p >= '0' && *p <= '9')
            digits[count++] = *p;
    digits[count] = 0;
    respell_as_python(out, digits, atoi(p + 1), signbit(number));
}

void rf_format_date(char out[32], int64_t seconds)
{
    time_t time = (time_t)seconds;
    struct tm parts;
    if (!gmtime_r(&time, &parts) || parts.tm_year < -899 || parts.tm_year > 8099) {
        time = 0;
        gmtime_r(&time, &parts);
    }
    strftime(out, 32, "%Y-%m-%dT%H:%M:%S+00:00", &parts);
}

int64_t rf_now(void)
{
    const char *epoch = getenv("SOURCE_DATE_EPOCH");
    if (epoch && *epoch >= '0' && *epoch <= '9') {
        char *end;
        errno = 0;
        long long seconds = strtoll(epoch, &end, 10);
        if (!errno && !*end)
            return seconds;
    }
    return (int64_t)time(NULL);
}
