/* SPDX-License-Identifier: MIT */
/*
 * bytes.c - growing byte strings, buffers handed to callers, and the memory budget that they are charged to.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "base.h"

#include <nettle/base64.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Room for `size` more bytes and a terminating 0. */
static bool reserve(rf_bytes *bytes, size_t size)
{
    if (bytes->failed)
        return false;
    uint64_t need;
    if (!rf_add(bytes->size, size, &need) || need >= SIZE_MAX / 2) {
        bytes->failed = true;
        return false;
    }
    if (need < bytes->capacity)
        return true;
    size_t capacity = bytes->capacity ? bytes->capacity : 64;
    while (capacity <= need)
        capacity *= 2;
    char *data = realloc(bytes->data, capacity);
    if (!data) {
        bytes->failed = true;
        return false;
    }
    bytes->data = data;
    bytes->capacity = capacity;
    return true;
}

char *rf_bytes_extend(rf_bytes *bytes, size_t size)
{
    return reserve(bytes, size) ? bytes->data + bytes->size : NULL;
}

void rf_bytes_append(rf_bytes *bytes, const void *data, size_t size)
{
    if (!reserve(bytes, size))
        return;
    if (size)
        memcpy(bytes->data + bytes->size, data, size);
    bytes->size += size;
    bytes->data[bytes->size] = 0;
}

void rf_bytes_string(rf_bytes *bytes, const char *text)
{
    rf_bytes_append(bytes, text, strlen(text));
}

void rf_bytes_format(rf_bytes *bytes, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    va_list again;
    va_copy(again, arguments);
    int size = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (size < 0)
        bytes->failed = true;
    else if (reserve(bytes, (size_t)size)) {
        vsnprintf(bytes->data + bytes->size, (size_t)size + 1, format, again);
        bytes->size += (size_t)size;
    }
    va_end(again);
}

/* The code point at text[*i], which moves past it; U+FFFD for one byte that begins no valid sequence. */
static uint32_t next_code_point(const uint8_t *text, size_t size, size_t *i, bool *valid)
{
    uint8_t lead = text[*i];
    unsigned more = lead < 0x80                   ? 0
                    : lead >= 0xC2 && lead < 0xE0 ? 1
                    : lead >= 0xE0 && lead < 0xF0 ? 2
                    : lead >= 0xF0 && lead < 0xF5 ? 3
                                                  : 4;
    uint32_t code = more == 0 ? lead : lead & (0x3Fu >> more);
    *valid = more < 4 && size - *i > more;
    for (unsigned k = 1; *valid && k <= more; k++) {
        *valid = (text[*i + k] & 0xC0) == 0x80;
        code = code << 6 | (text[*i + k] & 0x3F);
    }
    if (*valid && ((more == 2 && (code < 0x800 || (code >= 0xD800 && code < 0xE000))) ||
                   (more == 3 && (code < 0x10000 || code > 0x10FFFF))))
        *valid = false;
    *i += *valid ? more + 1 : 1;
    return *valid ? code : 0xFFFD;
}

bool rf_utf8_valid(const char *text, size_t size)
{
    bool valid = true;
    for (size_t i = 0; i < size && valid;) {
        uint64_t eight = 0;
        while (size - i >= sizeof eight && (memcpy(&eight, text + i, sizeof eight), !(eight & 0x8080808080808080)))
            i += sizeof eight;
        if (i < size)
            next_code_point((const uint8_t *)text, size, &i, &valid);
    }
    return valid;
}

/* "\u20ac" */
static void append_escape(rf_bytes *bytes, uint32_t unit)
{
    static const char digits[] = "0123456789abcdef";
    rf_bytes_append(
        bytes,
        (char[]){'\\', 'u', digits[unit >> 12], digits[unit >> 8 & 15], digits[unit >> 4 & 15], digits[unit & 15]}, 6);
}

void rf_bytes_json_string(rf_bytes *bytes, const char *text, size_t size)
{
    static const char named[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    rf_bytes_append(bytes, "\"", 1);
    for (size_t i = 0; i < size;) {
        bool valid;
        size_t plain = i;
        while (plain < size && text[plain] >= 0x20 && text[plain] < 0x7F && text[plain] != '"' && text[plain] != '\\')
            plain++;
        rf_bytes_append(bytes, text + i, plain - i);
        i = plain;
        if (i == size)
            break;
        uint32_t code = next_code_point((const uint8_t *)text, size, &i, &valid);
        const char *name = code && code < 0x80 ? strchr(named, (int)code) : NULL;
        if (name && (name - named) % 2 == 0)
            rf_bytes_append(bytes, (char[]){'\\', name[1]}, 2);
        else if (code < 0x10000)
            append_escape(bytes, code);
        else {
            append_escape(bytes, 0xD800 + ((code - 0x10000) >> 10));
            append_escape(bytes, 0xDC00 + ((code - 0x10000) & 0x3FF));
        }
    }
    rf_bytes_append(bytes, "\"", 1);
}

void rf_bytes_base64(rf_bytes *bytes, const void *data, size_t size)
{
    size_t length = BASE64_ENCODE_RAW_LENGTH(size);
    if (!reserve(bytes, length))
        return;
    base64_encode_raw(bytes->data + bytes->size, size, data);
    bytes->size += length;
    bytes->data[bytes->size] = 0;
}

bool rf_base64_decode(const char *text, size_t size, rf_bytes *out)
{
    struct base64_decode_ctx context;
    size_t length = BASE64_DECODE_LENGTH(size);
    if (!reserve(out, length))
        return false;
    base64_decode_init(&context);
    if (!base64_decode_update(&context, &length, (uint8_t *)out->data + out->size, size, text) ||
        !base64_decode_final(&context))
        return false;
    out->size += length;
    out->data[out->size] = 0;
    return true;
}

void rf_bytes_splice(rf_bytes *bytes, size_t start, size_t end, const void *data, size_t size)
{
    if (!reserve(bytes, size))
        return;
    memmove(bytes->data + start + size, bytes->data + end, bytes->size - end);
    if (size)
        memcpy(bytes->data + start, data, size);
    bytes->size = bytes->size - (end - start) + size;
    bytes->data[bytes->size] = 0;
}

void rf_bytes_free(rf_bytes *bytes)
{
    free(bytes->data);
    *bytes = (rf_bytes){0};
}

/* ---- budget ---- */

struct rf_budget {
    atomic_uint_least64_t used;
    atomic_uint references;
    uint64_t limit;
};

rf_budget *rf_budget_new(uint64_t limit)
{
    rf_budget *budget = malloc(sizeof *budget);
    if (budget) {
        atomic_init(&budget->used, 0);
        atomic_init(&budget->references, 1);
        budget->limit = limit;
    }
    return budget;
}

rf_budget *rf_budget_keep(rf_budget *budget)
{
    if (budget)
        atomic_fetch_add(&budget->references, 1);
    return budget;
}

void rf_budget_release(rf_budget *budget)
{
    if (budget && atomic_fetch_sub(&budget->references, 1) == 1)
        free(budget);
}

bool rf_budget_take(rf_budget *budget, uint64_t size)
{
    if (!budget || !budget->limit)
        return true;
    uint_least64_t used = atomic_load(&budget->used);
    do {
        if (size > budget->limit || used > budget->limit - size)
            return false;
    } while (!atomic_compare_exchange_weak(&budget->used, &used, used + size));
    return true;
}

void rf_budget_give(rf_budget *budget, uint64_t size)
{
    if (budget && budget->limit)
        atomic_fetch_sub(&budget->used, size);
}

/* ---- buffers ---- */

/* What buffers hold on to: memory from malloc and the budget it counts against. */
typedef struct hold {
    rf_budget *budget;
    size_t size;
    void *memory;
    atomic_uint others; /* buffers that hold on to it too */
} hold;

void raiiaf_buffer_free(raiiaf_buffer *buffer)
{
    hold *held = buffer->hold;
    if (held && atomic_fetch_sub(&held->others, 1) == 0) {
        rf_budget_give(held->budget, held->size);
        rf_budget_release(held->budget);
        free(held->memory);
        free(held);
    }
    *buffer = (raiiaf_buffer){0};
}

raiiaf_buffer rf_buffer_share(const raiiaf_buffer *buffer)
{
    hold *held = buffer->hold;
    if (held)
        atomic_fetch_add(&held->others, 1);
    return *buffer;
}

raiiaf_status rf_buffer_new(raiiaf_buffer *buffer, size_t size, rf_budget *budget, const rf_where *where,
                            raiiaf_error *error)
{
    *buffer = (raiiaf_buffer){0};
    if (size == SIZE_MAX || !rf_budget_take(budget, size))
        return rf_fail(error, RAIIAF_ERROR_LIMIT, "memory-budget", where,
                       _("needs %zu more bytes of memory than the limit allows; raise raiiaf_limits.memory if you "
                         "trust the file"),
                       size);
    hold *held = malloc(sizeof *held);
    void *memory = malloc(size + 1);
    if (!held || !memory) {
        free(held);
        free(memory);
        rf_budget_give(budget, size);
        return rf_fail_memory(error, where ? where->name : NULL);
    }
    ((uint8_t *)memory)[size] = 0;
    *held = (hold){.budget = rf_budget_keep(budget), .size = size, .memory = memory};
    *buffer = (raiiaf_buffer){memory, size, held};
    return RAIIAF_OK;
}

raiiaf_status rf_bytes_to_buffer(rf_bytes *bytes, raiiaf_buffer *buffer, raiiaf_error *error)
{
    *buffer = (raiiaf_buffer){0};
    if (!bytes->data)
        rf_bytes_append(bytes, "", 0);
    hold *held = malloc(sizeof *held);
    if (bytes->failed || !held) {
        free(held);
        rf_bytes_free(bytes);
        return rf_fail_memory(error, NULL);
    }
    *held = (hold){.memory = bytes->data};
    *buffer = (raiiaf_buffer){(uint8_t *)bytes->data, bytes->size, held};
    *bytes = (rf_bytes){0};
    return RAIIAF_OK;
}
