/* SPDX-License-Identifier: MIT */
/*
 * exif.c - the texts in an Exif block.
 *
 * A reader of our own: what prompts need is a UserComment wherever it stands, in whatever encoding, and the texts of
 * tags that a camera's reader has no names for.  Two directories are looked at, each once, so that no offset can lead
 * it astray.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "legacy.h"
#include "parts.h"

#include <stdio.h>
#include <string.h>

enum { TYPE_BYTE = 1, TYPE_ASCII = 2, TYPE_LONG = 4, TYPE_UNDEFINED = 7, TYPE_UTF8 = 129 };
enum {
    TAG_EXIF = 0x8769,
    TAG_MAKER_NOTE = 0x927C,
    TAG_USER_COMMENT = 0x9286,
    TAG_XP_TITLE = 0x9C9B,
    TAG_XP_SUBJECT = 0x9C9F
};

typedef struct block {
    legacy_input *in;
    const char *kind;
    const uint8_t *data;
    size_t size;
    bool big;
    uint32_t exif; /* where the second directory is; 0 if there is none */
} block;

typedef struct entry {
    unsigned tag, type;
    const uint8_t *value;
    size_t size;
} entry;

static uint32_t get16(const block *b, const uint8_t *p)
{
    return b->big ? rf_get16_be(p) : rf_get16(p);
}

static uint32_t get32(const block *b, const uint8_t *p)
{
    return b->big ? rf_get32_be(p) : rf_get32(p);
}

static const char *tag_name(legacy_input *in, unsigned tag)
{
    static const struct {
        unsigned tag;
        const char *name;
    } names[] = {
        {0x010D, "DocumentName"}, {0x010E, "ImageDescription"}, {0x010F, "Make"},
        {0x0110, "Model"},        {0x011D, "PageName"},         {0x0131, "Software"},
        {0x0132, "DateTime"},     {0x013B, "Artist"},           {0x013C, "HostComputer"},
        {0x8298, "Copyright"},    {0x9003, "DateTimeOriginal"}, {0x9004, "DateTimeDigitized"},
        {0x927C, "MakerNote"},    {0x9286, "UserComment"},      {0x9C9B, "XPTitle"},
        {0x9C9C, "XPComment"},    {0x9C9D, "XPAuthor"},         {0x9C9E, "XPKeywords"},
        {0x9C9F, "XPSubject"},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].tag == tag)
            return names[i].name;
    char number[12];
    int size = snprintf(number, sizeof number, "0x%04X", tag);
    return legacy_copy(&in->arena, number, (size_t)size);
}

/* ---- UserComment ---- */

/* How much a text in this order looks like one: its code units that people write with. */
static size_t plausible_units(const uint8_t *data, size_t size, bool big)
{
    static const struct {
        unsigned first, last;
    } ranges[] = {{0x0009, 0x000D}, {0x0020, 0x06FF}, {0x0900, 0x0FFF}, {0x1E00, 0x22FF}, {0x3000, 0x30FF},
                  {0x4E00, 0x9FFF}, {0xAC00, 0xD7A3}, {0xD83C, 0xD83E}, {0xFE00, 0xFE0F}, {0xFF00, 0xFFEF}};
    size_t count = 0;
    for (size_t i = 0; i + 1 < size; i += 2) {
        unsigned unit = (unsigned)(data[i + !big] << 8 | data[i + big]);
        for (size_t k = 0; k < sizeof ranges / sizeof *ranges; k++)
            count += unit >= ranges[k].first && unit <= ranges[k].last;
    }
    return count;
}

/* Whether UTF-16 without a mark is big-endian.  Writers don't keep to the block's own order. */
static bool is_big(const uint8_t *data, size_t size, bool otherwise)
{
    size_t zeros[2] = {0, 0};
    for (size_t i = 0; i + 1 < size; i++)
        zeros[i & 1] += data[i] == 0;
    if (zeros[0] != zeros[1])
        return zeros[0] > zeros[1];
    size_t big = plausible_units(data, size, true), little = plausible_units(data, size, false);
    return big != little ? big > little : otherwise;
}

static const char *decode_utf16(const block *b, const uint8_t *data, size_t size, size_t *length)
{
    bool big;
    if (size >= 2 && ((data[0] == 0xFE && data[1] == 0xFF) || (data[0] == 0xFF && data[1] == 0xFE))) {
        big = data[0] == 0xFE;
        data += 2;
        size -= 2;
    } else
        big = is_big(data, size, b->big);
    return legacy_utf16(&b->in->arena, data, size, big, length);
}

/* Some writers put UTF-8 where they promise UTF-16: that has no zeros inside, and ASCII as single bytes. */
static bool reads_as_utf8(const uint8_t *data, size_t size)
{
    size_t ascii = 0;
    while (size && data[size - 1] == 0)
        size--;
    if (!size || memchr(data, 0, size) || !rf_utf8_valid((const char *)data, size))
        return false;
    for (size_t i = 0; i < size; i++)
        ascii += data[i] < 0x80;
    return ascii > size / 3;
}

static bool looks_utf16(const uint8_t *data, size_t size)
{
    size_t zeros = 0;
    for (size_t i = 0; i < size; i++)
        zeros += data[i] == 0;
    return size >= 4 &&
           (zeros > size / 4 || (data[0] == 0xFE && data[1] == 0xFF) || (data[0] == 0xFF && data[1] == 0xFE));
}

static size_t trimmed(const uint8_t *data, size_t size)
{
    while (size && data[size - 1] == 0)
        size--;
    return size;
}

static const char *decode_comment(const block *b, const uint8_t *data, size_t size, size_t *length)
{
    static const char utf16[8] = "UNICODE", ascii[8] = "ASCII", jis[8] = "JIS", undefined[8] = "";
    if (size >= 8 && (memcmp(data, utf16, 8) == 0 || memcmp(data, "Unicode", 8) == 0)) {
        if (!reads_as_utf8(data + 8, size - 8))
            return decode_utf16(b, data + 8, size - 8, length);
        return legacy_utf8(&b->in->arena, data + 8, size - 8, length);
    }
    if (size >= 8 && (memcmp(data, ascii, 8) == 0 || memcmp(data, jis, 8) == 0 || memcmp(data, undefined, 8) == 0)) {
        data += 8;
        size -= 8;
    }
    if (looks_utf16(data, trimmed(data, size)))
        return decode_utf16(b, data, size, length);
    return legacy_utf8_or_latin1(&b->in->arena, data, size, length);
}

/* ---- directories ---- */

/* Whether a MakerNote, which may be anything, is a text. */
static bool is_text(const entry *e)
{
    size_t size = trimmed(e->value, e->size);
    for (size_t i = 0; i < size; i++)
        if (e->value[i] < 0x20 && !(e->value[i] >= '\t' && e->value[i] <= '\r'))
            return false;
    return size && rf_utf8_valid((const char *)e->value, size);
}

static void take_entry(block *b, const entry *e)
{
    legacy_arena *arena = &b->in->arena;
    bool letters = e->type == TYPE_ASCII || e->type == TYPE_UTF8,
         bytes = e->type == TYPE_BYTE || e->type == TYPE_UNDEFINED;
    const char *text = NULL;
    size_t length = 0;
    if (e->tag == TAG_EXIF && e->type == TYPE_LONG && e->size == 4)
        b->exif = get32(b, e->value);
    else if (e->tag == TAG_USER_COMMENT && (letters || bytes))
        text = decode_comment(b, e->value, e->size, &length);
    else if (e->tag >= TAG_XP_TITLE && e->tag <= TAG_XP_SUBJECT && (letters || bytes))
        text = legacy_utf16(arena, e->value, e->size, false, &length);
    else if (letters || (e->tag == TAG_MAKER_NOTE && bytes && is_text(e)))
        text = legacy_utf8_or_latin1(arena, e->value, e->size, &length);
    const char *name = length ? tag_name(b->in, e->tag) : NULL;
    if (name)
        legacy_text_add(b->in, b->kind, name, text, length);
}

static size_t size_of_type(unsigned type)
{
    static const uint8_t sizes[] = {0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4};
    return type < sizeof sizes ? sizes[type] : type == TYPE_UTF8 ? 1 : 0;
}

static void read_directory(block *b, uint32_t offset)
{
    if (offset > b->size || b->size - offset < 2)
        return;
    uint32_t count = get16(b, b->data + offset);
    const uint8_t *at = b->data + offset + 2, *end = b->data + b->size;
    for (; count && end - at >= 12; count--, at += 12) {
        entry e = {.tag = get16(b, at), .type = get16(b, at + 2)};
        uint64_t size = (uint64_t)get32(b, at + 4) * size_of_type(e.type);
        uint32_t where = get32(b, at + 8);
        e.value = at + 8;
        e.size = (size_t)size;
        if (size > 4) {
            if (where > b->size || size > b->size - where)
                continue;
            e.value = b->data + where;
        }
        if (size)
            take_entry(b, &e);
    }
}

void legacy_exif_read(legacy_input *in, const char *kind, const uint8_t *data, size_t size)
{
    block b = {.in = in, .kind = kind, .data = data, .size = size};
    if (size < 8 || (memcmp(data, "II*", 4) != 0 && memcmp(data, "MM\0*", 4) != 0))
        return;
    b.big = *data == 'M';
    read_directory(&b, get32(&b, data + 4));
    uint32_t exif = b.exif;
    if (exif)
        read_directory(&b, exif);
}
