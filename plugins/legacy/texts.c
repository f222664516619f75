/* SPDX-License-Identifier: MIT */
/*
 * texts.c - the texts of an image: each carrier decoded to UTF-8, and what lies beside the image where that is asked
 * for.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "legacy.h"
#include "parts.h"

#include <string.h>

/* No text that a tool wrote is as large, inflated or beside the image. */
#define TEXT_MOST (UINT64_C(16) << 20)

#define PNG_XMP "XML:com.adobe.xmp"

/* ---- decoding ---- */

static size_t without_nuls(const uint8_t *data, size_t size)
{
    while (size && data[size - 1] == 0)
        size--;
    return size;
}

/* The length of the valid sequence at the beginning, 0 if there is none. */
static size_t sequence(const uint8_t *data, size_t size)
{
    size_t length = data[0] < 0x80 ? 1 : data[0] < 0xE0 ? 2 : data[0] < 0xF0 ? 3 : 4;
    return length <= size && rf_utf8_valid((const char *)data, length) ? length : 0;
}

static const char *replace_invalid(legacy_arena *arena, const uint8_t *data, size_t size, size_t *length)
{
    char *out = size < SIZE_MAX / 3 ? legacy_take(arena, 3 * size + 1) : NULL, *at = out;
    for (size_t i = 0; out && i < size;) {
        size_t valid = sequence(data + i, size - i);
        memcpy(at, valid ? (const char *)data + i : "\xEF\xBF\xBD", valid ? valid : 3);
        at += valid ? valid : 3;
        i += valid ? valid : 1;
    }
    if (!out)
        return NULL;
    *at = 0;
    *length = (size_t)(at - out);
    return out;
}

static const char *from_latin1(legacy_arena *arena, const uint8_t *data, size_t size, size_t *length)
{
    char *out = size < SIZE_MAX / 2 ? legacy_take(arena, 2 * size + 1) : NULL, *at = out;
    if (!out)
        return NULL;
    for (size_t i = 0; i < size; i++) {
        if (data[i] >= 0x80)
            *at++ = (char)(0xC0 | data[i] >> 6);
        *at++ = (char)(data[i] < 0x80 ? data[i] : 0x80 | (data[i] & 0x3F));
    }
    *at = 0;
    *length = (size_t)(at - out);
    return out;
}

const char *legacy_utf8(legacy_arena *arena, const void *data, size_t size, size_t *length)
{
    size = without_nuls(data, size);
    if (!rf_utf8_valid(data, size))
        return replace_invalid(arena, data, size, length);
    *length = size;
    return legacy_copy(arena, data, size);
}

const char *legacy_utf8_or_latin1(legacy_arena *arena, const void *data, size_t size, size_t *length)
{
    size = without_nuls(data, size);
    return rf_utf8_valid(data, size) ? legacy_utf8(arena, data, size, length) : from_latin1(arena, data, size, length);
}

const char *legacy_utf16(legacy_arena *arena, const void *text, size_t size, bool big, size_t *length)
{
    const uint8_t *data = text;
    size_t units = size / 2;
    char *out = units < SIZE_MAX / 4 ? legacy_take(arena, 3 * units + 1) : NULL, *at = out;
    if (!out)
        return NULL;
    for (size_t i = 0; i < units; i++) {
        uint32_t code = (uint32_t)(data[2 * i + !big] << 8 | data[2 * i + big]);
        if (code >= 0xD800 && code < 0xDC00 && i + 1 < units) {
            uint32_t low = (uint32_t)(data[2 * i + 2 + !big] << 8 | data[2 * i + 2 + big]);
            if (low >= 0xDC00 && low < 0xE000) {
                code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
                i++;
            }
        }
        if (code >= 0xD800 && code < 0xE000)
            code = 0xFFFD;
        if (code >= 0x10000) {
            *at++ = (char)(0xF0 | code >> 18);
            *at++ = (char)(0x80 | (code >> 12 & 0x3F));
        } else if (code >= 0x800)
            *at++ = (char)(0xE0 | code >> 12);
        if (code >= 0x800)
            *at++ = (char)(0x80 | (code >> 6 & 0x3F));
        else if (code >= 0x80)
            *at++ = (char)(0xC0 | code >> 6);
        *at++ = (char)(code < 0x80 ? code : 0x80 | (code & 0x3F));
    }
    while (at > out && at[-1] == 0)
        at--;
    *at = 0;
    *length = (size_t)(at - out);
    return out;
}

/* ---- the list ---- */

/* Exiv2 shows the encoding of a UserComment before its text, and GIMP 3.0 copies both into a PNG's comment. */
static size_t charset_size(const char *text, size_t size)
{
    static const char start[] = "charset=";
    const char *space = size > sizeof start - 1 ? memchr(text, ' ', size < 24 ? size : 24) : NULL;
    return space && memcmp(text, start, sizeof start - 1) == 0 ? (size_t)(space + 1 - text) : 0;
}

void legacy_text_add(legacy_input *in, const char *kind, const char *keyword, const char *text, size_t size)
{
    size_t skipped = text ? charset_size(text, size) : 0;
    text = text ? text + skipped : NULL;
    size -= skipped;
    if (text && legacy_grow(&in->arena, &in->texts, in->text_count, &in->text_capacity, sizeof *in->texts))
        in->texts[in->text_count++] = (legacy_text){kind, keyword, text, size};
}

void legacy_carrier_add(legacy_input *in, const raiiaf_carrier *carrier, bool beside)
{
    if (legacy_grow(&in->arena, &in->carriers, in->carrier_count, &in->carrier_capacity, sizeof *in->carriers))
        in->carriers[in->carrier_count++] = (legacy_listed){*carrier, beside, !beside};
}

static bool is_kind(const raiiaf_carrier *carrier, const char *form)
{
    return strcmp(strchr(carrier->kind, ':') + 1, form) == 0;
}

static void add_block(legacy_input *in, const raiiaf_carrier *carrier)
{
    const uint8_t *data = carrier->data;
    size_t size = carrier->size;
    if (size >= sizeof RF_EXIF_START && memcmp(data, RF_EXIF_START, sizeof RF_EXIF_START) == 0) {
        data += sizeof RF_EXIF_START;
        size -= sizeof RF_EXIF_START;
    }
    legacy_exif_read(in, carrier->kind, data, size);
}

/* A packet that is too long for one segment of a JPEG comes in pieces: which packet, how long it is, where the piece
   belongs.  It is a text once it is whole.  Of several such packets the first counts. */
#define PIECE_START "http://ns.adobe.com/xmp/extension/"
#define PIECE_NAME 32
#define PIECE_HEAD (sizeof PIECE_START + PIECE_NAME + 8)

static bool add_piece(legacy_input *in, const raiiaf_carrier *carrier)
{
    struct legacy_extended *e = &in->extended;
    if (carrier->size < PIECE_HEAD || memcmp(carrier->data, PIECE_START, sizeof PIECE_START) != 0)
        return false;
    const uint8_t *packet = carrier->data + sizeof PIECE_START, *data = carrier->data + PIECE_HEAD;
    uint32_t whole = rf_get32_be(packet + PIECE_NAME), offset = rf_get32_be(packet + PIECE_NAME + 4);
    size_t size = carrier->size - PIECE_HEAD, length;
    if (!e->data && whole <= in->image_size && whole <= TEXT_MOST) {
        *e = (struct legacy_extended){packet, legacy_take(&in->arena, whole), whole, 0};
        if (e->data)
            memset(e->data, ' ', whole);
    }
    if (!e->data || memcmp(e->packet, packet, PIECE_NAME) != 0 || whole != e->size || offset > whole ||
        size > whole - offset)
        return true;
    memcpy(e->data + offset, data, size);
    e->have += size;
    if (size > 0 && e->have == whole) {
        const char *text = legacy_utf8(&in->arena, e->data, whole, &length);
        legacy_text_add(in, carrier->kind, carrier->keyword, text, length);
    }
    return true;
}

static void add_xmp(legacy_input *in, const raiiaf_carrier *carrier)
{
    const uint8_t *data = carrier->data;
    size_t size = carrier->size, length;
    if (add_piece(in, carrier))
        return;
    if (size >= sizeof RF_XMP_START && memcmp(data, RF_XMP_START, sizeof RF_XMP_START) == 0) {
        data += sizeof RF_XMP_START;
        size -= sizeof RF_XMP_START;
    }
    const char *text = legacy_utf8(&in->arena, data, size, &length);
    legacy_text_add(in, carrier->kind, carrier->keyword, text, length);
}

static void add_plain(legacy_input *in, const raiiaf_carrier *carrier)
{
    size_t length;
    const char *text;
    if (strcmp(carrier->encoding, "utf-8") == 0) {
        length = without_nuls(carrier->data, carrier->size);
        text = legacy_copy(&in->arena, carrier->data, length);
    } else if (strcmp(carrier->encoding, "latin-1") == 0)
        text = from_latin1(&in->arena, carrier->data, without_nuls(carrier->data, carrier->size), &length);
    else
        text = legacy_utf8(&in->arena, carrier->data, carrier->size, &length);
    legacy_text_add(in, carrier->kind, carrier->keyword, text, length);
}

/* ---- ImageMagick's profiles in PNG text: a name, a size, hexadecimal digits ---- */

#define PROFILE "Raw profile type "

static unsigned hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0');
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10 : 16;
}

static const uint8_t *decode_profile(legacy_arena *arena, const raiiaf_carrier *carrier, size_t *size)
{
    const char *at = (const char *)carrier->data, *end = at + carrier->size;
    uint8_t *out = legacy_take(arena, carrier->size / 2 + 1);
    unsigned digits = 0;
    *size = 0;
    for (int line = 0; line < 3 && at; line++) { /* an empty one, the name, the size */
        at = memchr(at, '\n', (size_t)(end - at));
        at += at != NULL;
    }
    for (; out && at && at < end; at++) {
        unsigned value = hex_value(*at);
        if (value > 15)
            continue;
        if (digits++ & 1)
            out[(*size)++] |= (uint8_t)value;
        else
            out[*size] = (uint8_t)(value << 4);
    }
    return out;
}

/* The texts in it, under their own names; false if it is another profile. */
static bool add_profile(legacy_input *in, const raiiaf_carrier *carrier)
{
    const char *name = carrier->keyword + strlen(PROFILE);
    if (strncmp(carrier->keyword, PROFILE, strlen(PROFILE)) != 0)
        return false;
    bool exif = strcmp(name, "exif") == 0 || strcmp(name, "APP1") == 0,
         iptc = strcmp(name, "iptc") == 0 || strcmp(name, "8bim") == 0;
    raiiaf_carrier inner = *carrier;
    if (!exif && !iptc && strcmp(name, "xmp") != 0)
        return false;
    inner.data = decode_profile(&in->arena, carrier, &inner.size);
    if (!inner.data || !inner.size)
        return false;
    bool packet = inner.size >= sizeof RF_XMP_START && memcmp(inner.data, RF_XMP_START, sizeof RF_XMP_START) == 0;
    if (iptc)
        legacy_iptc_read(in, carrier->kind, inner.data, inner.size);
    else if (exif && !packet)
        add_block(in, &inner);
    else {
        inner.keyword = PNG_XMP;
        add_xmp(in, &inner);
    }
    return true;
}

static bool list_carrier(void *user, const raiiaf_carrier *given)
{
    legacy_input *in = user;
    raiiaf_carrier carrier = *given;
    carrier.keyword = *given->keyword ? legacy_copy(&in->arena, given->keyword, strlen(given->keyword)) : "";
    /* What was inflated goes when this returns. */
    if ((uintptr_t)carrier.data - (uintptr_t)in->image >= in->image_size)
        carrier.data = (const uint8_t *)legacy_copy(&in->arena, carrier.data, carrier.size);
    if (!carrier.keyword || !carrier.data)
        return false;
    legacy_carrier_add(in, &carrier, false);
    if (is_kind(&carrier, "exif") || is_kind(&carrier, "eXIf"))
        add_block(in, &carrier);
    else if (is_kind(&carrier, "iptc"))
        legacy_iptc_read(in, carrier.kind, carrier.data, carrier.size);
    else if (is_kind(&carrier, "xmp"))
        add_xmp(in, &carrier);
    else if (is_kind(&carrier, "caBX") || is_kind(&carrier, "c2pa"))
        legacy_text_add(in, carrier.kind, "", (const char *)carrier.data, carrier.size);
    else if (!add_profile(in, &carrier))
        add_plain(in, &carrier);
    return in->arena.status == RAIIAF_OK;
}

static void warn(const legacy_input *in, raiiaf_error *warning)
{
    if (in->options && in->options->warning)
        in->options->warning(in->options->warning_user, warning);
}

raiiaf_status legacy_texts_read(legacy_input *in, raiiaf_error *error)
{
    raiiaf_limits limits = in->limits;
    raiiaf_error warning;
    if (!limits.manifest_size || limits.manifest_size > TEXT_MOST)
        limits.manifest_size = TEXT_MOST;
    raiiaf_status status = rf_carrier_each(in->image, in->image_size, &limits, true, list_carrier, in, &warning);
    if (status == RAIIAF_ERROR_LIMIT) {
        rf_fail(&warning, status, "text-too-large", RF_NAME(in->import->file_name),
                _("compressed text in the image would take more than %u MiB and is not looked at"),
                (unsigned)(limits.manifest_size >> 20));
        warn(in, &warning);
        status = RAIIAF_OK;
    }
    return status || in->arena.status == RAIIAF_ERROR_MEMORY ? rf_fail_memory(error, in->import->file_name) : RAIIAF_OK;
}

/* ---- looking for one ---- */

size_t legacy_count(const legacy_input *in)
{
    return in->text_count;
}

const legacy_text *legacy_at(const legacy_input *in, size_t i)
{
    return &in->texts[i];
}

const legacy_text *legacy_find(const legacy_input *in, const char *kind, const char *keyword)
{
    size_t length = strlen(kind);
    for (size_t i = in->text_count; i-- > 0;)
        if (strcmp(in->texts[i].keyword, keyword) == 0 && strncmp(in->texts[i].kind, kind, length) == 0)
            return &in->texts[i];
    return NULL;
}

bool legacy_has_form(const legacy_text *text, const char *form)
{
    size_t length = strlen(text->kind), wanted = strlen(form);
    if (strcmp(form, "xmp") == 0 && strcmp(text->keyword, PNG_XMP) == 0)
        return true;
    return length >= wanted && strcmp(text->kind + length - wanted, form) == 0;
}

const legacy_text *legacy_find_form(const legacy_input *in, const char *form)
{
    for (size_t i = in->text_count; i-- > 0;)
        if (legacy_has_form(&in->texts[i], form))
            return &in->texts[i];
    return NULL;
}

const legacy_text *legacy_find_json(const legacy_input *in, const char *part)
{
    for (size_t i = in->text_count; i-- > 0;) {
        const legacy_text *text = &in->texts[i];
        if (strcmp(text->keyword, "workflow") != 0 && strcmp(text->keyword, "prompt") != 0 && legacy_looks_json(text) &&
            legacy_contains(text, part))
            return text;
    }
    return NULL;
}

const legacy_text *legacy_xmp(legacy_input *in, const char *name)
{
    for (size_t i = 0; !in->xmp_parsed && i < in->text_count; i++)
        if (legacy_has_form(&in->texts[i], "xmp"))
            legacy_xmp_read(in, in->texts[i].kind, in->texts[i].text, in->texts[i].size);
    in->xmp_parsed = true;
    for (size_t i = 0; i < in->xmp_count; i++)
        if (strcmp(in->xmp[i].keyword, name) == 0)
            return &in->xmp[i];
    return NULL;
}

bool legacy_contains(const legacy_text *text, const char *part)
{
    size_t size = strlen(part);
    if (!text || text->size < size)
        return false;
    if (text->size > 256)
        return memmem(text->text, text->size, part, size);
    /* What memmem prepares costs more than a short text. */
    const char *at = text->text, *end = at + text->size - size + 1;
    while ((at = memchr(at, *part, (size_t)(end - at))) && memcmp(at, part, size) != 0)
        at++;
    return at;
}

bool legacy_begins(const legacy_text *text, const char *start)
{
    size_t size = strlen(start);
    return text && text->size >= size && memcmp(text->text, start, size) == 0;
}

/* ---- beside the image ---- */

const char *legacy_file_name(const legacy_input *in)
{
    return in->stage == LEGACY_BESIDE ? in->file_name : "";
}

/* The whole of a source, if it is as small as a text; it is closed. */
static const uint8_t *read_source(legacy_input *in, raiiaf_source *source, size_t *size)
{
    uint8_t *data = NULL;
    *size = 0;
    if (source->size <= TEXT_MOST)
        data = legacy_take(&in->arena, (size_t)source->size + 1);
    if (data && source->size && source->read_at(source->user, 0, data, (size_t)source->size) != (int64_t)source->size)
        data = NULL;
    if (data)
        *size = (size_t)source->size;
    raiiaf_source_close(source);
    return data;
}

static bool read_companion(legacy_input *in, const char *name, legacy_companion_file *file)
{
    raiiaf_source source = {0};
    *file = (legacy_companion_file){.name = legacy_copy(&in->arena, name, strlen(name))};
    if (!file->name || !in->import->sidecar(in->import->sidecar_user, name, &source))
        return false;
    size_t size;
    const uint8_t *data = read_source(in, &source, &size);
    legacy_text *text = data ? legacy_take(&in->arena, sizeof *text) : NULL;
    if (!text)
        return false;
    size_t mark = size >= 3 && memcmp(data, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
    *text = (legacy_text){.kind = "sidecar", .keyword = file->name};
    text->text = legacy_utf8_or_latin1(&in->arena, data + mark, size - mark, &text->size);
    raiiaf_carrier carrier = {"sidecar", file->name, data, size,
                              rf_utf8_valid((const char *)data, size) ? "utf-8" : "base64"};
    if (!text->text)
        return false;
    file->carrier = in->carrier_count;
    legacy_carrier_add(in, &carrier, true);
    if (file->carrier == in->carrier_count)
        return false;
    file->text = text;
    return true;
}

const legacy_text *legacy_sidecar(legacy_input *in, const char *name)
{
    if (in->stage != LEGACY_BESIDE || !in->import->sidecar || !*name || strchr(name, '/'))
        return NULL;
    size_t i = 0;
    while (i < in->companion_count && strcmp(in->companions[i].name, name) != 0)
        i++;
    if (i == in->companion_count) {
        legacy_companion_file file;
        read_companion(in, name, &file);
        if (!file.name || !legacy_grow(&in->arena, &in->companions, i, &in->companion_capacity, sizeof *in->companions))
            return NULL;
        in->companions[in->companion_count++] = file;
    }
    if (in->companions[i].text)
        in->carriers[in->companions[i].carrier].used = true;
    return in->companions[i].text;
}

const legacy_text *legacy_companion(legacy_input *in, const char *extension)
{
    const char *dot = strrchr(in->file_name, '.');
    size_t size = dot ? (size_t)(dot - in->file_name) : strlen(in->file_name), more = strlen(extension);
    if (in->stage != LEGACY_BESIDE || !in->import->sidecar || !size)
        return NULL;
    char *name = legacy_take(&in->arena, size + more + 1);
    if (!name)
        return NULL;
    memcpy(name, in->file_name, size);
    memcpy(name + size, extension, more + 1);
    return legacy_sidecar(in, name);
}
