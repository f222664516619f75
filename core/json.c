/* SPDX-License-Identifier: MIT */
/*
 * json.c - the span scanner: checks a text once, finds spans in it, splices it.
 *
 * rf_json_check is the only function that distrusts its input; all others walk over text that has passed it, so they
 * can skip by quotes and brackets alone.  Nothing recurses, and everything is linear in the text.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "json.h"

#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

static bool is_space(unsigned char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static bool is_digit(unsigned char c)
{
    return (unsigned)(c - '0') < 10;
}

static uint64_t load64(const char *text)
{
    uint64_t word;
    memcpy(&word, text, sizeof word);
    return word;
}

#define REPEAT(byte) (UINT64_C(0x0101010101010101) * (byte))
#define HIGH_BITS REPEAT(0x80)

static size_t skip_space(const char *text, size_t position, size_t end)
{
    while (position < end && is_space((unsigned char)text[position])) {
        position++;
        while (end - position >= 8 && load64(text + position) == REPEAT(' '))
            position += 8;
    }
    return position;
}

/* ---- checking ---- */

static bool check_escape(const char *text, size_t size, size_t *position)
{
    size_t at = *position + 1;

    if (at >= size || text[at] == '\0' || !strchr("\"\\/bfnrtu", text[at]))
        return false;
    if (text[at] == 'u') {
        for (size_t i = 1; i <= 4; i++)
            if (at + i >= size || rf_hex_digit(text[at + i]) < 0)
                return false;
        at += 4;
    }
    *position = at + 1;
    return true;
}

/* *position is at the opening quote, and afterwards behind the closing one; `least` is the first character that may
   stand in between. */
static bool check_string(const char *text, size_t size, unsigned char least, size_t *position)
{
    size_t at = *position + 1;

    for (;;) {
        while (size - at >= 8) {
            uint64_t word = load64(text + at);
            uint64_t quote = (word ^ REPEAT('"')) - REPEAT(1), backslash = (word ^ REPEAT('\\')) - REPEAT(1);
            if ((word | quote | backslash | (word - REPEAT(0x20))) & HIGH_BITS)
                break;
            at += 8;
        }
        *position = at;
        if (at >= size)
            return false;
        unsigned char c = (unsigned char)text[at];
        if (c == '"') {
            *position = at + 1;
            return true;
        }
        if (c == '\\') {
            if (!check_escape(text, size, &at))
                return false;
        } else if (c >= 0x80) {
            while (at < size && (unsigned char)text[at] >= 0x80)
                at++;
            if (!rf_utf8_valid(text + *position, at - *position))
                return false;
        } else if (c >= least) {
            at++;
        } else {
            return false;
        }
    }
}

static bool check_word(const char *text, size_t size, size_t *position, const char *word)
{
    size_t length = strlen(word);

    if (size - *position < length || memcmp(text + *position, word, length) != 0)
        return false;
    *position += length;
    return true;
}

static bool check_digits(const char *text, size_t size, size_t *position)
{
    size_t start = *position;

    while (*position < size && is_digit((unsigned char)text[*position]))
        ++*position;
    return *position > start;
}

static bool check_number(const char *text, size_t size, size_t *position)
{
    if (text[*position] == '-') {
        ++*position;
        if (*position < size && text[*position] == 'I')
            return check_word(text, size, position, "Infinity");
    }
    if (*position < size && text[*position] == '0')
        ++*position;
    else if (!check_digits(text, size, position))
        return false;
    if (*position < size && text[*position] == '.') {
        ++*position;
        if (!check_digits(text, size, position))
            return false;
    }
    if (*position < size && (text[*position] == 'e' || text[*position] == 'E')) {
        ++*position;
        if (*position < size && (text[*position] == '+' || text[*position] == '-'))
            ++*position;
        if (!check_digits(text, size, position))
            return false;
    }
    return true;
}

static bool check_scalar(const char *text, size_t size, unsigned char least, size_t *position)
{
    switch (text[*position]) {
    case '"':
        return check_string(text, size, least, position);
    case 't':
        return check_word(text, size, position, "true");
    case 'f':
        return check_word(text, size, position, "false");
    case 'n':
        return check_word(text, size, position, "null");
    case 'N':
        return check_word(text, size, position, "NaN");
    case 'I':
        return check_word(text, size, position, "Infinity");
    default:
        return check_number(text, size, position);
    }
}

/* The name and colon of a member; afterwards at its value. */
static bool check_name(const char *text, size_t size, unsigned char least, size_t *position)
{
    *position = skip_space(text, *position, size);
    if (*position >= size || text[*position] != '"' || !check_string(text, size, least, position))
        return false;
    *position = skip_space(text, *position, size);
    if (*position >= size || text[*position] != ':')
        return false;
    ++*position;
    return true;
}

static bool check(const char *text, size_t size, unsigned char least, size_t *position)
{
    char closing[RAIIAF_MAX_DEPTH]; /* of the containers around `at` */
    size_t depth = 0, at = 0;
    bool valid = false;

    for (;;) {
        at = skip_space(text, at, size);
        if (at >= size || depth >= RAIIAF_MAX_DEPTH)
            goto done;
        if (text[at] == '{' || text[at] == '[') {
            closing[depth++] = text[at] == '{' ? '}' : ']';
            at = skip_space(text, at + 1, size);
            if (at >= size)
                goto done;
            if (text[at] != closing[depth - 1]) {
                if (closing[depth - 1] == '}' && !check_name(text, size, least, &at))
                    goto done;
                continue;
            }
        } else if (check_scalar(text, size, least, &at)) {
            at = skip_space(text, at, size);
        } else {
            goto done;
        }
        /* Behind a value, or at the bracket of an empty container. */
        while (depth > 0 && at < size && text[at] == closing[depth - 1]) {
            depth--;
            at = skip_space(text, at + 1, size);
        }
        if (depth == 0) {
            valid = at == size;
            goto done;
        }
        if (at >= size || text[at] != ',')
            goto done;
        at++;
        if (closing[depth - 1] == '}' && !check_name(text, size, least, &at))
            goto done;
    }
done:
    if (position)
        *position = at;
    return valid;
}

bool rf_json_check(const char *text, size_t size, size_t *position)
{
    return check(text, size, 0x20, position);
}

bool rf_json_check_leniently(const char *text, size_t size)
{
    return check(text, size, 1, NULL);
}

/* ---- finding ---- */

/* From an opening quote to behind the closing one. */
static size_t skip_string(const char *text, size_t position, size_t end)
{
    size_t start = position + 1;

    for (;;) {
        const char *quote = memchr(text + start, '"', end - start);
        if (!quote)
            return end;
        size_t at = (size_t)(quote - text), before = at;
        while (before > start && text[before - 1] == '\\')
            before--;
        if ((at - before) % 2 == 0)
            return at + 1;
        start = at + 1;
    }
}

bool rf_json_token(const char *text, size_t *position, size_t end, rf_span *token)
{
    size_t at = skip_space(text, *position, end);

    while (at < end && (text[at] == ',' || text[at] == ':'))
        at = skip_space(text, at + 1, end);
    token->start = at;
    if (at >= end)
        return false;
    switch (text[at]) {
    case '"':
        at = skip_string(text, at, end);
        break;
    case '{':
    case '[':
    case '}':
    case ']':
        at++;
        break;
    default:
        while (at < end && !is_space((unsigned char)text[at]) && text[at] != ',' && text[at] != '}' && text[at] != ']')
            at++;
    }
    *position = token->end = at;
    return true;
}

static size_t skip_value(const char *text, size_t position, size_t end)
{
    size_t depth = 0;

    for (rf_span token; rf_json_token(text, &position, end, &token);) {
        char c = text[token.start];
        if (c == '{' || c == '[')
            depth++;
        else if (c == '}' || c == ']')
            depth--;
        if (depth == 0)
            break;
    }
    return position;
}

rf_span rf_json_root(const char *text, size_t size)
{
    size_t start = skip_space(text, 0, size);

    while (size > start && is_space((unsigned char)text[size - 1]))
        size--;
    return (rf_span){start, size};
}

raiiaf_json rf_json_type(const char *text, rf_span value)
{
    switch (text[value.start]) {
    case '{':
        return RAIIAF_JSON_OBJECT;
    case '[':
        return RAIIAF_JSON_ARRAY;
    case '"':
        return RAIIAF_JSON_STRING;
    case 't':
    case 'f':
        return RAIIAF_JSON_BOOLEAN;
    case 'n':
        return RAIIAF_JSON_NULL;
    default:
        return RAIIAF_JSON_NUMBER;
    }
}

rf_json_walk rf_json_begin(const char *text, rf_span container)
{
    rf_json_walk walk = {.text = text, .position = container.start, .end = container.start, .index = SIZE_MAX};

    if (text[container.start] == '{' || text[container.start] == '[') {
        walk.position = container.start + 1;
        walk.end = container.end - 1;
        walk.object = text[container.start] == '{';
    }
    return walk;
}

bool rf_json_next(rf_json_walk *walk)
{
    const char *text = walk->text;
    size_t at = skip_space(text, walk->position, walk->end);

    if (at < walk->end && text[at] == ',')
        at = skip_space(text, at + 1, walk->end);
    if (at >= walk->end)
        return false;
    walk->name = (rf_span){at, at};
    if (walk->object) {
        walk->name.end = skip_string(text, at, walk->end);
        at = skip_space(text, walk->name.end, walk->end);
        at = skip_space(text, at + 1, walk->end);
    }
    walk->value = (rf_span){at, skip_value(text, at, walk->end)};
    walk->position = walk->value.end;
    walk->index++;
    return true;
}

size_t rf_json_count(const char *text, rf_span container)
{
    rf_json_walk walk = rf_json_begin(text, container);
    size_t count = 0;

    while (rf_json_next(&walk))
        count++;
    return count;
}

bool rf_json_member_of(const char *text, rf_span object, const char *name, size_t size, rf_span *value)
{
    rf_json_walk walk = rf_json_begin(text, object);
    bool found = false;

    while (walk.object && rf_json_next(&walk))
        if (rf_json_string_prefix(text, walk.name, name) == size) {
            *value = walk.value;
            found = true;
        }
    return found;
}

bool rf_json_member(const char *text, rf_span object, const char *name, rf_span *value)
{
    return rf_json_member_of(text, object, name, strlen(name), value);
}

bool rf_json_element(const char *text, rf_span array, size_t index, rf_span *value)
{
    rf_json_walk walk = rf_json_begin(text, array);

    while (!walk.object && rf_json_next(&walk))
        if (walk.index == index) {
            *value = walk.value;
            return true;
        }
    return false;
}

/* ---- decoding ---- */

static unsigned hex4(const char *text)
{
    unsigned value = 0;

    for (int i = 0; i < 4; i++)
        value = value << 4 | (unsigned)rf_hex_digit(text[i]);
    return value;
}

static size_t utf8_encode(uint32_t code, char out[4])
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    size_t length = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const uint8_t lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = length; i-- > 1; code >>= 6)
        out[i] = (char)(0x80 | (code & 0x3f));
    out[0] = (char)(lead[length] | code);
    return length;
}

/* The bytes that the escape at *position stands for; moves behind it. */
static size_t decode_escape(const char *text, size_t *position, size_t end, char out[4])
{
    static const char letters[] = "bfnrt", values[] = "\b\f\n\r\t";
    size_t at = *position + 1;
    const char *letter = strchr(letters, text[at]);

    *position = at + 1;
    if (text[at] != 'u') {
        out[0] = letter ? values[letter - letters] : text[at];
        return 1;
    }
    uint32_t code = hex4(text + at + 1);
    *position = at += 5;
    if (code >= 0xd800 && code < 0xe000) {
        unsigned low =
            code < 0xdc00 && end - at >= 6 && text[at] == '\\' && text[at + 1] == 'u' ? hex4(text + at + 2) : 0;
        if (low >= 0xdc00 && low < 0xe000) {
            code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
            *position = at + 6;
        } else {
            code = 0xfffd;
        }
    }
    return utf8_encode(code, out);
}

/* A string's decoded bytes, one by one. */
typedef struct reader {
    const char *text;
    size_t position, end;
    char decoded[4];
    size_t count, used;
} reader;

static reader read_string(const char *text, rf_span string)
{
    return (reader){.text = text, .position = string.start + 1, .end = string.end - 1};
}

static bool next_byte(reader *from, char *byte)
{
    if (from->used < from->count) {
        *byte = from->decoded[from->used++];
        return true;
    }
    if (from->position >= from->end)
        return false;
    if (from->text[from->position] == '\\') {
        from->count = decode_escape(from->text, &from->position, from->end, from->decoded);
        from->used = 1;
        *byte = from->decoded[0];
    } else {
        *byte = from->text[from->position++];
    }
    return true;
}

size_t rf_json_string_prefix(const char *text, rf_span string, const char *whole)
{
    reader from = read_string(text, string);
    size_t matched = 0;

    for (char byte; next_byte(&from, &byte); matched++)
        if (whole[matched] == '\0' || whole[matched] != byte)
            return SIZE_MAX;
    return matched;
}

bool rf_json_string_equals(const char *text, rf_span string, const char *expected)
{
    size_t length = rf_json_string_prefix(text, string, expected);

    return length != SIZE_MAX && expected[length] == '\0';
}

size_t rf_json_decode_into(const char *text, rf_span string, char *out)
{
    size_t at = string.start + 1, end = string.end - 1, length = 0;

    while (at < end) {
        const char *escape = memchr(text + at, '\\', end - at);
        size_t stop = escape ? (size_t)(escape - text) : end;
        memcpy(out + length, text + at, stop - at);
        length += stop - at;
        at = stop;
        if (escape)
            length += decode_escape(text, &at, end, out + length);
    }
    return length;
}

void rf_json_decode(const char *text, rf_span string, rf_bytes *out)
{
    char *room = rf_bytes_extend(out, string.end - string.start);

    if (room) {
        out->size += rf_json_decode_into(text, string, room);
        out->data[out->size] = 0;
    }
}

bool rf_json_uint64(const char *text, rf_span value, uint64_t *number)
{
    size_t at = value.start;
    bool negative = text[at] == '-';
    uint64_t result = 0;

    if (negative)
        at++;
    if (at >= value.end)
        return false;
    for (; at < value.end; at++)
        if (!is_digit((unsigned char)text[at]) || !rf_multiply(result, 10, &result) ||
            !rf_add(result, (uint64_t)(text[at] - '0'), &result))
            return false;
    if (negative && result != 0)
        return false;
    *number = result;
    return true;
}

size_t rf_json_depth(const char *text, rf_span value)
{
    size_t depth = 0, deepest = 1, at = value.start;

    for (rf_span token; rf_json_token(text, &at, value.end, &token);) {
        char c = text[token.start];
        if (c == '}' || c == ']')
            depth--;
        else if (c == '{' || c == '[')
            deepest = ++depth > deepest ? depth : deepest;
        else
            deepest = depth + 1 > deepest ? depth + 1 : deepest;
    }
    return deepest;
}

/* ---- names that count ---- */

static bool same_string(const char *text, rf_span a, rf_span b)
{
    reader left = read_string(text, a), right = read_string(text, b);
    char x = 0, y = 0;

    for (;;) {
        bool more = next_byte(&left, &x);
        if (more != next_byte(&right, &y))
            return false;
        if (!more || x != y)
            return !more;
    }
}

static uint64_t hash_string(const char *text, rf_span string, uint64_t seed)
{
    XXH3_state_t state;
    char bytes[64];
    size_t count = 0;

    if (!memchr(text + string.start, '\\', string.end - string.start))
        return XXH3_64bits_withSeed(text + string.start + 1, string.end - string.start - 2, seed);
    XXH3_INITSTATE(&state);
    XXH3_64bits_reset_withSeed(&state, seed);
    for (reader from = read_string(text, string); next_byte(&from, &bytes[count]);)
        if (++count == sizeof bytes) {
            XXH3_64bits_update(&state, bytes, count);
            count = 0;
        }
    XXH3_64bits_update(&state, bytes, count);
    return XXH3_64bits_digest(&state);
}

/* The slot of a name: its own, or the empty one where it belongs. */
static size_t find_slot(const rf_json_names *names, rf_span name)
{
    size_t slot = (size_t)hash_string(names->text, name, names->seed) & names->mask;

    for (size_t start; (start = names->starts[slot]) != 0; slot = (slot + 1) & names->mask)
        if (same_string(names->text, name, (rf_span){start, skip_string(names->text, start, names->end)}))
            break;
    return slot;
}

bool rf_json_names_begin(rf_json_names *names, const char *text, rf_span container)
{
    rf_json_walk walk = rf_json_begin(text, container);
    size_t count = walk.object ? rf_json_count(text, container) : 0, slots = 4;

    *names = (rf_json_names){.text = text, .end = container.end};
    if (count < 2)
        return true;
    while (slots < 2 * count)
        slots *= 2;
    names->starts = calloc(slots, sizeof *names->starts);
    if (!names->starts)
        return false;
    names->mask = slots - 1;
    /* A seed that the file's author can't know: no names can be made to share one slot. */
    names->seed = (uint64_t)(uintptr_t)names->starts ^ (uint64_t)(uintptr_t)names << 32;
    while (rf_json_next(&walk))
        names->starts[find_slot(names, walk.name)] = walk.name.start;
    return true;
}

bool rf_json_names_last(const rf_json_names *names, const rf_json_walk *walk)
{
    return !names->starts || names->starts[find_slot(names, walk->name)] == walk->name.start;
}

void rf_json_names_end(rf_json_names *names)
{
    free(names->starts);
    names->starts = NULL;
}

/* ---- editing ---- */

/* White space that a splice copies is at most this long: a hostile text mustn't grow by what it already wastes. */
#define STYLE_MOST 4096

/* The white space before `end` that makes a new line, from its last line break on; empty if there is none.  `start` is
   where the neighbour ends. */
static rf_span line_break(const char *text, size_t start, size_t end)
{
    size_t at = end;

    while (at > start && text[at - 1] != '\n' && is_space((unsigned char)text[at - 1]))
        at--;
    if (at == start || text[at - 1] != '\n' || end - at > STYLE_MOST)
        return (rf_span){end, end};
    at--;
    if (at > start && text[at - 1] == '\r')
        at--;
    return (rf_span){at, end};
}

static void append_span(rf_bytes *out, const char *text, rf_span span)
{
    rf_bytes_append(out, text + span.start, span.end - span.start);
}

static bool span_empty(rf_span span)
{
    return span.start == span.end;
}

/* How a child is set off from what stands around it. */
typedef struct style {
    rf_span line; /* line break and indentation in front of it; empty where it shares a line */
    rf_span unit; /* one step of indentation */
    bool spaced;  /* ", " and ": " rather than "," and ":" */
} style;

static bool colon_spaced(const char *text, const rf_json_walk *walk)
{
    return text[walk->value.start - 1] != ':';
}

/* The style of `container` itself, as a child of what holds it; the root, having no neighbours, is json.dumps'. */
static style style_around(const char *text, size_t size, rf_span container)
{
    rf_span parent = rf_json_root(text, size);
    style around = {.spaced = true};

    for (size_t depth = 0; parent.start < container.start; depth++) {
        rf_json_walk walk = rf_json_begin(text, parent);
        size_t before = parent.start + 1;
        while (rf_json_next(&walk) && walk.value.end <= container.start)
            before = walk.value.end;
        around.line = line_break(text, before, walk.name.start);
        if (depth == 0) {
            around.unit = around.line;
            while (!span_empty(around.unit) && (text[around.unit.start] == '\r' || text[around.unit.start] == '\n'))
                around.unit.start++;
        }
        if (walk.object)
            around.spaced = colon_spaced(text, &walk);
        parent = walk.value;
    }
    return around;
}

/* Inserts a new last child.  `name` NULL: an element. */
static void insert(rf_bytes *bytes, rf_span container, const char *name, const char *value, size_t size)
{
    const char *text = bytes->data;
    rf_bytes out = {0};
    rf_json_walk walk;
    size_t count = 0, before = 0, last_end = container.start + 1;

    if (bytes->failed)
        return;
    for (walk = rf_json_begin(text, container); rf_json_next(&walk); count++) {
        before = last_end;
        last_end = walk.value.end;
    }
    style around = style_around(text, bytes->size, container);
    if (count > 0) {
        around.line = line_break(text, before, walk.name.start);
        around.unit = (rf_span){0, 0};
        if (name)
            around.spaced = colon_spaced(text, &walk);
        else if (count > 1)
            around.spaced = text[walk.name.start - 1] != ',';
        rf_bytes_string(&out, around.spaced && span_empty(around.line) ? ", " : ",");
    } else if (span_empty(around.line)) {
        around.unit = (rf_span){0, 0};
    }
    append_span(&out, text, around.line);
    append_span(&out, text, around.unit);
    if (name) {
        rf_bytes_json_string(&out, name, strlen(name));
        rf_bytes_string(&out, around.spaced ? ": " : ":");
    }
    rf_bytes_append(&out, value, size);
    if (count == 0)
        append_span(&out, text, around.line);
    if (out.failed)
        bytes->failed = true;
    else
        rf_bytes_splice(bytes, last_end, count > 0 ? last_end : container.end - 1, out.data, out.size);
    rf_bytes_free(&out);
}

void rf_json_put(rf_bytes *text, rf_span object, const char *name, const char *value, size_t size)
{
    rf_span present;

    if (!text->failed && rf_json_member(text->data, object, name, &present))
        rf_bytes_splice(text, present.start, present.end, value, size);
    else
        insert(text, object, name, value, size);
}

void rf_json_push(rf_bytes *text, rf_span array, const char *value, size_t size)
{
    insert(text, array, NULL, value, size);
}

/* Takes out the children called `name`, or the one at `index`, in one pass: each child that stays moves down with what
   stands between it and its former neighbour; the first that stays, with what stood in front of the first of all. */
static void drop(rf_bytes *bytes, rf_span container, const char *name, size_t index)
{
    rf_json_walk walk;
    size_t to, from = container.start + 1;
    bool empty = true, whole = true;

    if (bytes->failed)
        return;
    char *text = bytes->data;
    walk = rf_json_begin(text, container);
    to = skip_space(text, from, container.end);
    while (rf_json_next(&walk)) {
        bool out = name ? walk.object && rf_json_string_equals(text, walk.name, name) : walk.index == index;
        size_t start = empty ? walk.name.start : from;
        from = walk.value.end;
        whole = whole && !out;
        if (out)
            continue;
        memmove(text + to, text + start, from - start);
        to += from - start;
        empty = false;
    }
    if (whole)
        return;
    if (empty) {
        to = container.start + 1;
        from = container.end - 1;
    }
    memmove(text + to, text + from, bytes->size - from);
    bytes->size -= from - to;
    text[bytes->size] = '\0';
}

void rf_json_drop_member(rf_bytes *text, rf_span object, const char *name)
{
    drop(text, object, name, 0);
}

void rf_json_drop_element(rf_bytes *text, rf_span array, size_t index)
{
    drop(text, array, NULL, index);
}
