/* SPDX-License-Identifier: MIT */
/*
 * base.h - the ground floor: errors, bytes, memory budget, digests.  Knows nothing of the format.
 */
#ifndef RAIIAF_BASE_H
#define RAIIAF_BASE_H

#include "raiiaf.h"

#include <stdarg.h>

#ifdef __cplusplus
extern "C" {
#endif

#define _(text) raiiaf_translate(text)
#define N_(text) (text)

#define RF_PRINTF(text, first) __attribute__((format(printf, text, first)))

/* ---- errors (error.c) ---- */

/* Where an error happened: file name (may be NULL), chunk ("LATN 3", "manifest", "header" or NULL), offset. */
typedef struct rf_where {
    const char *name;
    const char *chunk;
    uint64_t offset;
} rf_where;

#define RF_WHERE(name_, chunk_, offset_) (&(rf_where){(name_), (chunk_), (offset_)})
#define RF_NAME(name_) RF_WHERE((name_), NULL, RAIIAF_NO_OFFSET)

/* Fills `error` (may be NULL) and returns `status`.  The text becomes "NAME: CHUNK at byte OFFSET: message"; the
   message is an already translated printf format: one clause, no capital, no full stop. */
raiiaf_status rf_fail(raiiaf_error *error, raiiaf_status status, const char *id, const rf_where *where,
                      const char *format, ...) RF_PRINTF(5, 6);
raiiaf_status rf_fail_memory(raiiaf_error *error, const char *name);
/* With the reason that errno gives, if it isn't 0. */
raiiaf_status rf_fail_errno(raiiaf_error *error, int number, const char *id, const rf_where *where, const char *format,
                            ...) RF_PRINTF(5, 6);
void rf_error_clear(raiiaf_error *error);

/* ---- bytes (bytes.c) ---- */

/* A growing run of bytes, always NUL-terminated once it holds any.  A failed allocation sets `failed` and makes
   every later call a no-op, so that a sequence of appends is checked once at its end. */
typedef struct rf_bytes {
    char *data;
    size_t size, capacity;
    bool failed;
} rf_bytes;

void rf_bytes_append(rf_bytes *bytes, const void *data, size_t size);
/* Room for `size` more and a 0, or NULL; whoever writes there adds to the size. */
char *rf_bytes_extend(rf_bytes *bytes, size_t size);
void rf_bytes_string(rf_bytes *bytes, const char *text);
void rf_bytes_format(rf_bytes *bytes, const char *format, ...) RF_PRINTF(2, 3); /* integers and strings only */
/* text as a JSON string in quotes: ASCII as json.dumps writes it (\uXXXX), so that the spelling is the reference's.
   Invalid UTF-8 becomes U+FFFD. */
void rf_bytes_json_string(rf_bytes *bytes, const char *text, size_t size);
void rf_bytes_base64(rf_bytes *bytes, const void *data, size_t size);
/* Replaces bytes [start, end) with `data`. */
void rf_bytes_splice(rf_bytes *bytes, size_t start, size_t end, const void *data, size_t size);
void rf_bytes_free(rf_bytes *bytes);
/* Hands the bytes to a buffer; `bytes` is empty afterwards.  Fails with MEMORY if an append failed. */
raiiaf_status rf_bytes_to_buffer(rf_bytes *bytes, raiiaf_buffer *buffer, raiiaf_error *error);
/* The decoded form of base64 text, appended to `out`; false if it isn't base64. */
bool rf_base64_decode(const char *text, size_t size, rf_bytes *out);
bool rf_utf8_valid(const char *text, size_t size);

/* The memory that one file may hold at one time (limit 0: any amount); counted, shared between the file and the buffers
   it gave out, from whatever thread. */
typedef struct rf_budget rf_budget;

rf_budget *rf_budget_new(uint64_t limit);
rf_budget *rf_budget_keep(rf_budget *budget);
void rf_budget_release(rf_budget *budget);
bool rf_budget_take(rf_budget *budget, uint64_t size); /* false: over the limit.  NULL budget: always true */
void rf_budget_give(rf_budget *budget, uint64_t size);

/* A fresh buffer of `size` bytes (plus a terminating 0), charged to `budget` (may be NULL) until freed. */
raiiaf_status rf_buffer_new(raiiaf_buffer *buffer, size_t size, rf_budget *budget, const rf_where *where,
                            raiiaf_error *error);
/* A second buffer of the same bytes; they go when both are freed. */
raiiaf_buffer rf_buffer_share(const raiiaf_buffer *buffer);
static inline uint8_t *rf_buffer_data(const raiiaf_buffer *buffer) /* of a buffer that rf_buffer_new made */
{
    return (uint8_t *)buffer->data;
}
/* A buffer that only looks at memory of somebody else. */
static inline raiiaf_buffer rf_buffer_view(const void *data, size_t size)
{
    return (raiiaf_buffer){(const uint8_t *)data, size, NULL};
}

static inline uint16_t rf_get16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}
static inline uint32_t rf_get32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}
static inline uint64_t rf_get64(const uint8_t *p)
{
    return rf_get32(p) | (uint64_t)rf_get32(p + 4) << 32;
}
static inline void rf_put32(uint8_t *p, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(value >> 8 * i);
}
static inline void rf_put64(uint8_t *p, uint64_t value)
{
    rf_put32(p, (uint32_t)value);
    rf_put32(p + 4, (uint32_t)(value >> 32));
}
/* false on overflow */
static inline bool rf_add(uint64_t a, uint64_t b, uint64_t *sum)
{
    return !__builtin_add_overflow(a, b, sum);
}
static inline bool rf_multiply(uint64_t a, uint64_t b, uint64_t *product)
{
    return !__builtin_mul_overflow(a, b, product);
}

/* ---- numbers and dates, independent of the locale (text.c) ---- */

bool rf_parse_double(const char *text, size_t size, double *number);
/* The shortest text that reads back as the same double, as Python spells it (7.0, 1e-05, NaN). */
void rf_format_double(char out[32], double number);
/* ISO 8601 UTC with seconds, "2026-11-21T00:25:23+00:00". */
void rf_format_date(char out[32], int64_t seconds);
/* SOURCE_DATE_EPOCH if it is set and valid, else now. */
int64_t rf_now(void);

/* ---- digests (digest.c) ---- */

#define RF_SHA256_HEX 65
static inline int rf_hex_digit(char c) /* its value, or -1 */
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}
void rf_hex(const uint8_t *data, size_t size, char *out);   /* lower case, NUL-terminated */
bool rf_unhex(const char *text, size_t size, uint8_t *out); /* size digits, even */
void rf_sha256(const void *data, size_t size, char hex[RF_SHA256_HEX]);

/* ---- threads (threads.c) ---- */

/* Runs work(user, i) for i in [0, count) on up to `threads` threads (0: one for each processor); items are taken
   in order. work returns false to stop the rest.  Returns whether every item ran and returned true. */
bool rf_parallel(size_t count, unsigned threads, bool (*work)(void *user, size_t i), void *user);

#ifdef __cplusplus
}
#endif

#endif
