/* SPDX-License-Identifier: MIT */
/*
 * npy.c - NumPy's .npy files: a magic, a version, the length of a header, the header (a Python dict), the elements.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "codec.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define MAGIC "\x93NUMPY"
#define MAGIC_SIZE 6
#define ALIGNMENT 64
/* NumPy leaves room for the first axis to grow to this many digits. */
#define GROWTH_DIGITS 21
/* NumPy itself reads no longer header of a file that it doesn't trust than 10,000. */
#define HEADER_MOST 65536

/* ---- the header, a Python literal ---- */

typedef struct literal {
    const char *at, *end;
} literal;

typedef struct header {
    char kind[2]; /* "f4", "f2" or "f8" */
    bool big_endian, fortran;
    unsigned rank;
    uint32_t shape[RAIIAF_MAX_RANK];
} header;

static void skip_space(literal *text)
{
    while (text->at < text->end && memchr(" \t\n\r\f", *text->at, 5))
        text->at++;
}

/* Takes `token` and the white space before it. */
static bool take(literal *text, const char *token)
{
    size_t size = strlen(token);
    skip_space(text);
    if ((size_t)(text->end - text->at) < size || memcmp(text->at, token, size) != 0)
        return false;
    text->at += size;
    return true;
}

/* A string in either kind of quotes; NumPy writes none that needs a backslash. */
static bool take_string(literal *text, const char **start, size_t *size)
{
    skip_space(text);
    if (text->at == text->end || (*text->at != '\'' && *text->at != '"'))
        return false;
    const char *close = memchr(text->at + 1, *text->at, (size_t)(text->end - text->at) - 1);
    if (!close)
        return false;
    *start = text->at + 1;
    *size = (size_t)(close - *start);
    text->at = close + 1;
    return !memchr(*start, '\\', *size);
}

static bool take_number(literal *text, uint32_t *number)
{
    uint64_t value = 0;
    skip_space(text);
    const char *start = text->at;
    while (text->at < text->end && *text->at >= '0' && *text->at <= '9' && value <= UINT32_MAX)
        value = value * 10 + (uint64_t)(*text->at++ - '0');
    if (text->at == start || value > UINT32_MAX)
        return false;
    take(text, "L"); /* as Python 2 spelt it */
    *number = (uint32_t)value;
    return true;
}

/* "()", "(3,)", "(3, 4)", "(3, 4,)"; "(3)" is no tuple. */
static bool take_shape(literal *text, header *h)
{
    bool comma = true;
    h->rank = 0;
    if (!take(text, "("))
        return false;
    while (!take(text, ")")) {
        if (!comma || h->rank == RAIIAF_MAX_RANK || !take_number(text, &h->shape[h->rank]))
            return false;
        h->rank++;
        comma = take(text, ",");
    }
    return h->rank != 1 || comma;
}

static bool take_descr(literal *text, header *h)
{
    const char *start;
    size_t size;
    if (!take_string(text, &start, &size))
        return false;
    h->big_endian = size == 3 && *start == '>';
    if (size == 3 && memchr("<>=", *start, 3)) {
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
        h->big_endian |= *start == '=';
#endif
        start++;
        size--;
    }
    if (size != 2 || start[0] != 'f' || !memchr("248", start[1], 3))
        return false;
    memcpy(h->kind, start, 2);
    return true;
}

static bool take_boolean(literal *text, bool *value)
{
    *value = take(text, "True");
    return *value || take(text, "False");
}

/* Returns what is wrong, or NULL. */
static const char *parse_header(literal text, header *h)
{
    bool descr = false, order = false, shape = false;
    const char *name;
    size_t size;
    if (!take(&text, "{"))
        return _("its header is no Python dict");
    while (!take(&text, "}")) {
        if (!take_string(&text, &name, &size) || !take(&text, ":"))
            return _("its header is no Python dict");
        if (size == 5 && memcmp(name, "descr", 5) == 0 && !descr) {
            descr = take_descr(&text, h);
            if (!descr)
                return _("its elements are not f2, f4 or f8; convert it with astype('float32')");
        } else if (size == 13 && memcmp(name, "fortran_order", 13) == 0 && !order) {
            order = take_boolean(&text, &h->fortran);
            if (!order)
                return _("fortran_order in its header is neither True nor False");
        } else if (size == 5 && memcmp(name, "shape", 5) == 0 && !shape) {
            shape = take_shape(&text, h);
            if (!shape)
                return _("shape in its header is no tuple of at most 8 lengths");
        } else
            return _("its header holds a name that doesn't belong there");
        if (!take(&text, ",")) {
            if (!take(&text, "}"))
                return _("its header is no Python dict");
            break;
        }
    }
    skip_space(&text);
    if (text.at != text.end || !descr || !order || !shape)
        return _("its header is incomplete or goes on behind its end");
    return NULL;
}

/* ---- elements ---- */

/* The bits of element i of an array as it is stored. */
static uint64_t load(const uint8_t *data, size_t i, size_t item, bool big_endian)
{
    uint64_t bits = 0;
    for (size_t k = 0; k < item; k++)
        bits |= (uint64_t)data[i * item + k] << 8 * (big_endian ? item - 1 - k : k);
    return bits;
}

/* A double as the float of the same value; false if there is none. */
static bool narrow(uint64_t bits, uint32_t *result)
{
    double wide;
    memcpy(&wide, &bits, sizeof wide);
    float value = (float)wide;
    memcpy(result, &value, sizeof value);
    return (double)value == wide || wide != wide;
}

/* Moves on to the next element in C order and returns where Fortran order has it. */
static size_t next_fortran(const header *h, uint32_t index[RAIIAF_MAX_RANK], size_t at)
{
    size_t stride[RAIIAF_MAX_RANK], step = 1;
    for (unsigned axis = 0; axis < h->rank; axis++) {
        stride[axis] = step;
        step *= h->shape[axis];
    }
    for (unsigned axis = h->rank; axis-- > 0;) {
        if (++index[axis] < h->shape[axis])
            return at + stride[axis];
        at -= stride[axis] * (h->shape[axis] - 1);
        index[axis] = 0;
    }
    return at;
}

static raiiaf_status convert(const header *h, const uint8_t *data, size_t elements, size_t item, const char *name,
                             raiiaf_buffer *tensor, raiiaf_error *error)
{
    size_t narrow_item = item == 8 ? 4 : item;
    raiiaf_status status = rf_buffer_new(tensor, elements * narrow_item, NULL, RF_NAME(name), error);
    if (status)
        return status;
    uint8_t *out = rf_buffer_data(tensor);
    uint32_t index[RAIIAF_MAX_RANK] = {0};
    size_t at = 0;
    for (size_t i = 0; i < elements; i++) {
        uint64_t bits = load(data, at, item, h->big_endian);
        uint32_t word = (uint32_t)bits;
        if (item == 8 && !narrow(bits, &word)) {
            raiiaf_buffer_free(tensor);
            return rf_fail(error, RAIIAF_ERROR_UNSUPPORTED, "npy-inexact", RF_NAME(name),
                           _("element %zu (in C order) is a float64 that float32 can't hold exactly; convert it with "
                             "astype('float32')"),
                           i);
        }
        for (size_t k = 0; k < narrow_item; k++)
            out[i * narrow_item + k] = (uint8_t)(word >> 8 * k);
        at = h->fortran ? next_fortran(h, index, at) : at + 1;
    }
    return RAIIAF_OK;
}

/* ---- the two functions ---- */

static raiiaf_status fail_npy(const char *name, const char *what, raiiaf_error *error)
{
    return rf_fail(error, RAIIAF_ERROR_DAMAGED, "npy-header", RF_NAME(name), _("not a usable .npy file: %s"), what);
}

/* Finds header and elements. */
static raiiaf_status split(const uint8_t *npy, size_t size, const char *name, literal *text, raiiaf_error *error)
{
    if (size < MAGIC_SIZE || memcmp(npy, MAGIC, MAGIC_SIZE) != 0)
        return rf_fail(error, RAIIAF_ERROR_FORMAT, "npy-magic", RF_NAME(name), _("not an .npy file"));
    if (size < MAGIC_SIZE + 2)
        return fail_npy(name, _("it is cut short"), error);
    if (npy[6] < 1 || npy[6] > 3 || npy[7] != 0)
        return rf_fail(error, RAIIAF_ERROR_VERSION, "npy-version", RF_NAME(name),
                       _("an .npy file of version %u.%u; 1.0, 2.0 and 3.0 can be read"), npy[6], npy[7]);
    size_t start = MAGIC_SIZE + 2 + (npy[6] == 1 ? 2 : 4);
    if (size < start)
        return fail_npy(name, _("it is cut short"), error);
    uint32_t length = npy[6] == 1 ? rf_get16(npy + 8) : rf_get32(npy + 8);
    if (length > HEADER_MOST)
        return fail_npy(name, _("its header is longer than any that NumPy writes"), error);
    if (length > size - start)
        return fail_npy(name, _("it is cut short"), error);
    *text = (literal){(const char *)npy + start, (const char *)npy + start + length};
    return RAIIAF_OK;
}

raiiaf_status raiiaf_npy_read(const void *npy, size_t size, const char *name, raiiaf_dtype *dtype, unsigned *rank,
                              uint32_t shape[RAIIAF_MAX_RANK], raiiaf_buffer *tensor, raiiaf_error *error)
{
    *tensor = (raiiaf_buffer){0};
    literal text = {0};
    header h = {0};
    raiiaf_status status = split(npy, size, name, &text, error);
    if (status)
        return status;
    const char *wrong = parse_header(text, &h);
    if (!wrong && h.rank == 0)
        wrong = _("it holds a single number without axes; give it some with reshape");
    uint64_t elements = 1, item = (uint64_t)(h.kind[1] - '0'), bytes = 0;
    unsigned long_axes = 0;
    for (unsigned i = 0; !wrong && i < h.rank; i++) {
        long_axes += h.shape[i] > 1;
        if (h.shape[i] == 0)
            wrong = _("it holds no elements");
        else if (!rf_multiply(elements, h.shape[i], &elements))
            wrong = _("its shape has more elements than can be counted");
    }
    if (wrong)
        return fail_npy(name, wrong, error);
    size_t start = (size_t)(text.end - (const char *)npy);
    if (!rf_multiply(elements, item, &bytes) || bytes > size - start)
        return rf_fail(error, RAIIAF_ERROR_DAMAGED, "npy-short", RF_NAME(name),
                       _("cut short: its shape needs %" PRIu64 " elements, %zu bytes are there"), elements,
                       size - start);

    const uint8_t *data = (const uint8_t *)npy + start;
    h.fortran = h.fortran && long_axes > 1; /* else the order is the same */
    if (h.big_endian || h.fortran || item == 8)
        status = convert(&h, data, (size_t)elements, (size_t)item, name, tensor, error);
    else
        *tensor = rf_buffer_view(data, (size_t)bytes);
    if (status)
        return status;
    *dtype = item == 2 ? RAIIAF_FLOAT16 : RAIIAF_FLOAT32;
    *rank = h.rank;
    memcpy(shape, h.shape, sizeof h.shape);
    return RAIIAF_OK;
}

/* As NumPy 1.24 and later spell it, to the byte. */
raiiaf_status raiiaf_npy_header(raiiaf_dtype dtype, unsigned rank, const uint32_t *shape, raiiaf_buffer *npy,
                                raiiaf_error *error)
{
    *npy = (raiiaf_buffer){0};
    if (rf_element_size(dtype) == 0 || rank < 1 || rank > RAIIAF_MAX_RANK)
        return rf_fail(error, RAIIAF_ERROR_ARGUMENT, "npy-argument", NULL,
                       _("an .npy file of a tensor holds float32 or float16 in 1 to 8 axes"));
    rf_bytes text = {0};
    rf_bytes_append(&text, MAGIC "\1\0\0\0", MAGIC_SIZE + 4);
    rf_bytes_format(&text, "{'descr': '<f%zu', 'fortran_order': False, 'shape': (", rf_element_size(dtype));
    size_t before = text.size;
    for (unsigned i = 0; i < rank; i++) {
        rf_bytes_format(&text, i ? ", %" PRIu32 : "%" PRIu32, shape[i]);
        before = i ? before : text.size - before;
    }
    rf_bytes_string(&text, rank == 1 ? ",), }" : "), }");
    for (size_t digits = before; digits < GROWTH_DIGITS; digits++)
        rf_bytes_string(&text, " ");
    /* NumPy pads by a whole line where none would be needed. */
    size_t spaces = ALIGNMENT - (text.size + 1) % ALIGNMENT;
    while (spaces-- > 0)
        rf_bytes_string(&text, " ");
    rf_bytes_string(&text, "\n");
    if (!text.failed) {
        size_t length = text.size - MAGIC_SIZE - 4;
        text.data[MAGIC_SIZE + 2] = (char)length;
        text.data[MAGIC_SIZE + 3] = (char)(length >> 8);
    }
    return rf_bytes_to_buffer(&text, npy, error);
}

raiiaf_status raiiaf_npy_save(const raiiaf_file *file, size_t i, unsigned flags, const char *path, raiiaf_error *error)
{
    raiiaf_chunk_info info;
    raiiaf_buffer head = {0}, tensor = {0};
    raiiaf_sink sink;
    rf_error_clear(error);
    raiiaf_chunk_get(file, i, &info);
    raiiaf_status status = raiiaf_npy_header(info.dtype, info.rank, info.shape, &head, error);
    if (status == RAIIAF_OK)
        status = raiiaf_chunk_read(file, i, flags, &tensor, error);
    if (status == RAIIAF_OK)
        status = raiiaf_sink_path(&sink, path, error);
    if (status == RAIIAF_OK) {
        errno = 0;
        bool written = sink.write(sink.user, head.data, head.size) && sink.write(sink.user, tensor.data, tensor.size);
        if (!written)
            sink.abort(sink.user);
        if (!written || !sink.commit(sink.user))
            status = rf_fail_errno(error, errno, "write", RF_NAME(path), _("can't be written"));
    }
    raiiaf_buffer_free(&head);
    raiiaf_buffer_free(&tensor);
    return status;
}
