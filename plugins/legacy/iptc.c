/* SPDX-License-Identifier: MIT */
/*
 * iptc.c - the texts in a Photoshop segment: IPTC's records ("2:120" is the caption).
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "legacy.h"
#include "parts.h"

#include <stdio.h>
#include <string.h>

#define START "Photoshop 3.0"
#define RESOURCE_IPTC 0x0404

static void read_records(legacy_input *in, const char *kind, const uint8_t *data, size_t size)
{
    while (size >= 5 && data[0] == 0x1C) {
        unsigned record = data[1], set = data[2];
        size_t length = rf_get16_be(data + 3), head = 5;
        if (length & 0x8000) { /* the length of the length */
            size_t digits = length & 0x7FFF;
            if (digits > 4 || size < 5 + digits)
                return;
            length = 0;
            for (size_t i = 0; i < digits; i++)
                length = length << 8 | data[5 + i];
            head += digits;
        }
        if (length > size - head)
            return;
        char name[16];
        size_t text_size;
        int name_size = snprintf(name, sizeof name, "%u:%u", record, set);
        const char *keyword = record == 2 ? legacy_copy(&in->arena, name, (size_t)name_size) : NULL;
        if (keyword) {
            const char *text = legacy_utf8_or_latin1(&in->arena, data + head, length, &text_size);
            legacy_text_add(in, kind, keyword, text, text_size);
        }
        data += head + length;
        size -= head + length;
    }
}

void legacy_iptc_read(legacy_input *in, const char *kind, const uint8_t *data, size_t size)
{
    if (size >= sizeof START && memcmp(data, START, sizeof START) == 0) { /* a profile comes without it */
        data += sizeof START;
        size -= sizeof START;
    }
    if (size && *data == 0x1C)
        read_records(in, kind, data, size);
    /* "8BIM", number, name (a counted string), length; name and data padded to even lengths */
    while (size >= 12 && memcmp(data, "8BIM", 4) == 0) {
        unsigned number = rf_get16_be(data + 4);
        size_t name = (data[6] + 2u) / 2 * 2, head = 6 + name + 4;
        if (head > size)
            return;
        size_t length = rf_get32_be(data + head - 4);
        if (length > size - head)
            return;
        if (number == RESOURCE_IPTC)
            read_records(in, kind, data + head, length);
        size_t whole = head + length + (length & 1);
        if (whole > size)
            return;
        data += whole;
        size -= whole;
    }
}
