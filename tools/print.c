/* SPDX-License-Identifier: MIT */
/*
 * print.c - text from files for people and programs: nothing that a file holds may steer the terminal.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "command.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

/* The character at the beginning of `text`: its code, and its length in bytes; 0 where it isn't UTF-8. */
static size_t decode(const unsigned char *text, size_t size, uint32_t *code)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t length = text[0] < 0x80 ? 1 : text[0] < 0xC2 ? 0 : text[0] < 0xE0 ? 2 : text[0] < 0xF0 ? 3 : 4;
    if (length == 0 || length > size || text[0] > 0xF4)
        return 0;
    uint32_t value = length == 1 ? text[0] : text[0] & (0xFFu >> (length + 1));
    for (size_t i = 1; i < length; i++) {
        if ((text[i] & 0xC0) != 0x80)
            return 0;
        value = value << 6 | (text[i] & 0x3Fu);
    }
    if (value < least[length] || value > 0x10FFFF || (value >= 0xD800 && value < 0xE000))
        return 0;
    *code = value;
    return length;
}

/* Controls of terminals, and those of Unicode that reorder what stands around them. */
static bool is_control(uint32_t code)
{
    return code < 0x20 || (code >= 0x7F && code < 0xA0) || code == 0x061C || code == 0x200E || code == 0x200F ||
           (code >= 0x2028 && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069);
}

/* One character in a form that is safe to show. */
struct glyph {
    char text[12];
    size_t size; /* bytes that it was */
    unsigned columns;
};

static struct glyph next_glyph(const char *text, size_t size)
{
    uint32_t code = (unsigned char)text[0];
    size_t length = decode((const unsigned char *)text, size, &code);
    struct glyph glyph = {.size = length > 0 ? length : 1};
    if (length == 0 || is_control(code)) {
        int columns = snprintf(glyph.text, sizeof glyph.text, code > 0xFF ? "\\u%04x" : "\\x%02x", (unsigned)code);
        glyph.columns = (unsigned)columns;
    } else {
        int columns = wcwidth((wchar_t)code);
        memcpy(glyph.text, text, length);
        glyph.columns = columns < 0 ? 1 : (unsigned)columns; /* this locale doesn't know */
    }
    return glyph;
}

static unsigned safe_columns(const char *text, size_t size)
{
    unsigned columns = 0;
    for (size_t i = 0; i < size;) {
        struct glyph glyph = next_glyph(text + i, size - i);
        columns += glyph.columns;
        i += glyph.size;
    }
    return columns;
}

void print_safe(FILE *out, const char *text, size_t size)
{
    for (size_t i = 0; i < size;) {
        struct glyph glyph = next_glyph(text + i, size - i);
        fputs(glyph.text, out);
        i += glyph.size;
    }
}

static unsigned terminal_columns(void)
{
    const char *variable = getenv("COLUMNS");
    struct winsize window;
    unsigned long columns = variable != NULL ? strtoul(variable, NULL, 10) : 0;
    if (columns == 0 && ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0)
        columns = window.ws_col;
    return columns >= 40 && columns <= 1000 ? (unsigned)columns : 80;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static void print_line(const char *text, size_t size, unsigned column, unsigned width)
{
    unsigned at = column;
    for (size_t i = 0; i < size;) {
        size_t blanks = 0, word = 0;
        while (i + blanks < size && is_blank(text[i + blanks]))
            blanks++;
        while (i + blanks + word < size && !is_blank(text[i + blanks + word]))
            word++;
        if (word == 0)
            break;
        bool fits = at + blanks + safe_columns(text + i + blanks, word) <= width;
        if (fits || at == column) {
            printf("%*s", (int)(blanks < width ? blanks : 0), "");
            at += (unsigned)(blanks < width ? blanks : 0);
        } else {
            printf("\n%*s", (int)column, "");
            at = column;
        }
        i += blanks;
        for (size_t end = i + word; i < end;) {
            struct glyph glyph = next_glyph(text + i, end - i);
            if (at + glyph.columns > width && at > column) { /* a word longer than a line */
                printf("\n%*s", (int)column, "");
                at = column;
            }
            fputs(glyph.text, stdout);
            at += glyph.columns;
            i += glyph.size;
        }
    }
}

void print_wrapped(const char *text, size_t size, unsigned column)
{
    unsigned width = terminal_columns();
    if (width < column + 20)
        width = column + 20;
    for (;;) {
        const char *newline = memchr(text, '\n', size);
        size_t line = newline != NULL ? (size_t)(newline - text) : size;
        print_line(text, line > 0 && text[line - 1] == '\r' ? line - 1 : line, column, width);
        fputc('\n', stdout);
        if (newline == NULL || line + 1 == size)
            break;
        text += line + 1;
        size -= line + 1;
        if (*text != '\n')
            printf("%*s", (int)column, "");
    }
}

void print_json_string(FILE *out, const char *text, size_t size)
{
    size_t plain = 0; /* where what needs no escape begins */
    fputc('"', out);
    for (size_t i = 0; i < size;) {
        uint32_t code = 0;
        size_t length = decode((const unsigned char *)text + i, size - i, &code);
        if (length > 0 && code != '"' && code != '\\' && !is_control(code)) {
            i += length;
            continue;
        }
        fwrite(text + plain, 1, i - plain, out);
        if (length == 0)
            fprintf(out, "\\udc%02x", (unsigned char)text[i]);
        else if (is_control(code))
            fprintf(out, "\\u%04x", (unsigned)code);
        else
            fprintf(out, "\\%c", (int)code);
        i += length > 0 ? length : 1;
        plain = i;
    }
    fwrite(text + plain, 1, size - plain, out);
    fputc('"', out);
}

void print_json_line(const char *json, size_t size)
{
    for (size_t i = 0; i < size;) { /* a line's end can only stand between tokens, and white space after it too */
        size_t line = i;
        while (line < size && json[line] != '\n' && json[line] != '\r')
            line++;
        fwrite(json + i, 1, line - i, stdout);
        if (line < size)
            fputc(' ', stdout);
        for (i = line; i < size && strchr("\n\r\t ", json[i]) != NULL;)
            i++;
    }
}

/* ---- tables ---- */

#define COLUMN_WIDTH 40 /* a file's name for something may be a megabyte long */

void table_add(struct table *table, const char *text, size_t size)
{
    table->cells = checked(realloc(table->cells, (table->count + 1) * sizeof *table->cells));
    table->cells[table->count++] = (struct cell){NULL, 0};
    table_append(table, text, size);
}

void table_append(struct table *table, const char *text, size_t size)
{
    struct cell *cell = &table->cells[table->count - 1];
    cell->text = checked(realloc(cell->text, cell->size + size + 1));
    memcpy(cell->text + cell->size, text, size);
    cell->size += size;
}

bool table_row_is(const struct table *table, const char *text, size_t size)
{
    if (table->count < table->columns)
        return false;
    const struct cell *cell = &table->cells[table->count - table->columns];
    return cell->size == size && memcmp(cell->text, text, size) == 0;
}

static void append_formatted(struct table *table, const char *format, va_list arguments)
{
    char *text = NULL;
    if (vasprintf(&text, format, arguments) < 0)
        text = NULL;
    table_append(table, checked(text), strlen(text));
    free(text);
}

void table_format(struct table *table, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    table_add(table, "", 0);
    append_formatted(table, format, arguments);
    va_end(arguments);
}

void table_append_format(struct table *table, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    append_formatted(table, format, arguments);
    va_end(arguments);
}

static void print_row(const struct table *table, const struct cell *row, const unsigned *widths, unsigned indent)
{
    unsigned at = 0, start = indent;
    for (size_t c = 0; c < table->columns; c++) {
        bool last = c + 1 == table->columns;
        unsigned columns = last ? 0 : safe_columns(row[c].text, row[c].size);
        unsigned from = start + (table->right >> c & 1 && widths[c] > columns ? widths[c] - columns : 0);
        if (from < at) /* a cell wider than its column */
            from = at + 2;
        if (row[c].size > 0) {
            printf("%*s", (int)(from - at), "");
            at = from + columns;
            if (last) {
                print_wrapped(row[c].text, row[c].size, from);
                return;
            }
            print_safe(stdout, row[c].text, row[c].size);
        }
        start += widths[c] + 2;
    }
    fputc('\n', stdout);
}

void table_print(struct table *table, unsigned indent)
{
    unsigned widths[TABLE_COLUMNS] = {0};
    for (size_t i = 0; i < table->count; i++) {
        unsigned columns = safe_columns(table->cells[i].text, table->cells[i].size);
        if (columns > widths[i % table->columns])
            widths[i % table->columns] = columns < COLUMN_WIDTH ? columns : COLUMN_WIDTH;
    }
    for (size_t i = 0; i + table->columns <= table->count; i += table->columns)
        print_row(table, table->cells + i, widths, indent);
    for (size_t i = 0; i < table->count; i++)
        free(table->cells[i].text);
    free(table->cells);
    table->cells = NULL;
    table->count = 0;
}
