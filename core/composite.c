/* SPDX-License-Identifier: MIT */
/*
 * composite.c - a source put together from runs of bytes that lie apart.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "file.h"

#include <stdlib.h>
#include <string.h>

int rf_segment_compare(const void *a, const void *b)
{
    const rf_segment *x = a, *y = b;
    return x->start < y->start ? -1 : x->start > y->start;
}

rf_composite *rf_composite_new(size_t most)
{
    return most < SIZE_MAX / sizeof(rf_segment) - 1 ? calloc(1, sizeof(rf_composite) + most * sizeof(rf_segment))
                                                    : NULL;
}

void rf_composite_free(void *user)
{
    rf_composite *c = user;
    raiiaf_source_close(&c->base);
    rf_bytes_free(&c->own);
    free(c);
}

void rf_composite_add(rf_composite *c, uint64_t start, uint64_t size, const uint8_t *memory, uint64_t from)
{
    if (size)
        c->segments[c->count++] = (rf_segment){start, size, memory, from};
}

bool rf_composite_sort(rf_composite *c)
{
    qsort(c->segments, c->count, sizeof *c->segments, rf_segment_compare);
    bool good = c->count > 0 && c->segments[0].start == 0;
    for (size_t i = 1; i < c->count && good; i++)
        good = c->segments[i].start - c->segments[i - 1].start == c->segments[i - 1].size;
    return good;
}

/* The last segment that begins at or before `offset`; segments follow each other without a gap. */
static const rf_segment *segment_at(const rf_composite *c, uint64_t offset)
{
    size_t low = 0, high = c->count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (c->segments[middle].start <= offset)
            low = middle;
        else
            high = middle;
    }
    return &c->segments[low];
}

static int64_t composite_read_at(void *user, uint64_t offset, void *buffer, size_t length)
{
    const rf_composite *c = user;
    size_t done = 0;
    while (done < length) {
        const rf_segment *s = segment_at(c, offset + done);
        uint64_t inside = offset + done - s->start;
        if (inside >= s->size)
            break;
        size_t part = length - done < s->size - inside ? length - done : (size_t)(s->size - inside);
        if (s->memory)
            memcpy((char *)buffer + done, s->memory + inside, part);
        else {
            int64_t got = c->base.read_at(c->base.user, s->from + inside, (char *)buffer + done, part);
            if (got < 0 || (size_t)got < part)
                return got < 0 ? -1 : (int64_t)done + got;
        }
        done += part;
    }
    return (int64_t)done;
}

static const uint8_t *composite_view(void *user, uint64_t offset, size_t length)
{
    const rf_composite *c = user;
    const rf_segment *s = segment_at(c, offset);
    uint64_t inside = offset - s->start;
    if (inside > s->size || length > s->size - inside)
        return NULL;
    if (s->memory)
        return s->memory + inside;
    return c->base.view ? c->base.view(c->base.user, s->from + inside, length) : NULL;
}

raiiaf_source rf_composite_source(rf_composite *c, const raiiaf_source *base)
{
    const rf_segment *last = &c->segments[c->count - 1];
    c->base = *base;
    return (raiiaf_source){
        c, base->name, last->start + last->size, composite_read_at, composite_view, rf_composite_free};
}
