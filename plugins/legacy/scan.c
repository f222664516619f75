/* SPDX-License-Identifier: MIT */
/*
 * scan.c - looking at an image: its texts are listed, the drivers asked in turn, and what the first of them recognises
 * handed out.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "legacy.h"

#include <stdlib.h>
#include <string.h>

/* ---- memory ---- */

#define BLOCK_SIZE 16384

struct legacy_block {
    struct legacy_block *next;
    size_t used, size;
    max_align_t data[];
};

void *legacy_take(legacy_arena *arena, size_t size)
{
    const size_t unit = sizeof(max_align_t);
    if (size > SIZE_MAX / 2 || arena->status) {
        arena->status = arena->status ? arena->status : RAIIAF_ERROR_LIMIT;
        return NULL;
    }
    size_t need = (size + unit - 1) / unit * unit;
    struct legacy_block *block = arena->blocks;
    if (!block || block->size - block->used < need) {
        /* What is larger than a block gets one of its own, behind the one that is being filled. */
        size_t most = need > BLOCK_SIZE / 4 ? need : BLOCK_SIZE;
        if (most > arena->left) {
            arena->status = RAIIAF_ERROR_LIMIT;
            return NULL;
        }
        struct legacy_block *fresh = malloc(sizeof *fresh + most);
        if (!fresh) {
            arena->status = RAIIAF_ERROR_MEMORY;
            return NULL;
        }
        arena->left -= most;
        *fresh = (struct legacy_block){.next = block, .size = most};
        if (block && most != BLOCK_SIZE) {
            fresh->next = block->next;
            block->next = fresh;
        } else
            arena->blocks = fresh;
        block = fresh;
    }
    void *taken = (char *)block->data + block->used;
    block->used += need;
    return taken;
}

char *legacy_copy(legacy_arena *arena, const void *text, size_t size)
{
    char *copy = size < SIZE_MAX ? legacy_take(arena, size + 1) : NULL;
    if (!copy)
        return NULL;
    if (size)
        memcpy(copy, text, size);
    copy[size] = 0;
    return copy;
}

bool legacy_grow(legacy_arena *arena, void *array, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity)
        return true;
    size_t more = *capacity ? 2 * *capacity : 16;
    void *fresh = more <= SIZE_MAX / 2 / size ? legacy_take(arena, more * size) : NULL;
    void **place = array;
    if (!fresh)
        return false;
    if (count)
        memcpy(fresh, *place, count * size);
    *place = fresh;
    *capacity = more;
    return true;
}

void *legacy_alloc(legacy_input *in, size_t size)
{
    void *taken = legacy_take(&in->arena, size);
    if (taken)
        memset(taken, 0, size);
    return taken;
}

bool legacy_append(legacy_string *string, const char *text, size_t size)
{
    if (string->capacity <= size || string->size >= string->capacity - size) {
        size_t capacity = 2 * (string->size + size) + 64;
        char *fresh = legacy_take(&string->in->arena, capacity);
        if (!fresh)
            return false;
        if (string->size)
            memcpy(fresh, string->text, string->size);
        string->text = fresh;
        string->capacity = capacity;
    }
    if (size)
        memcpy(string->text + string->size, text, size);
    string->size += size;
    string->text[string->size] = 0;
    return true;
}

bool legacy_append_string(legacy_string *string, const char *text)
{
    return legacy_append(string, text, strlen(text));
}

/* ---- a scan ---- */

struct raiiaf_legacy {
    legacy_input in;
    legacy_output out;
    const legacy_driver *driver;
};

/* What else people have in their folders, by its first bytes. */
typedef struct other_format {
    size_t at;
    const char *magic;
    const char *name;
    bool no_picture; /* nor video */
} other_format;

static const other_format *find_other_format(const uint8_t *data, size_t size)
{
    static const other_format formats[] = {
        {0, "GIF8", "GIF", false},
        {4, "ftypavif", "AVIF", false},
        {4, "ftypavis", "AVIF", false},
        {4, "ftyphei", "HEIF", false},
        {4, "ftyphev", "HEIF", false},
        {4, "ftypmif1", "HEIF", false},
        {4, "ftypmsf1", "HEIF", false},
        {4, "ftypjxl", "JPEG XL", false},
        {4, "JXL \r\n", "JPEG XL", false},
        {0, "\xFF\x0A", "JPEG XL", false},
        {4, "jP  \r\n", "JPEG 2000", false},
        {4, "ftypqt", "QuickTime video", false},
        {4, "ftyp", "MP4 video", false},
        {0, "\x1A\x45\xDF\xA3", "Matroska or WebM video", false},
        {8, "AVI ", "AVI video", false},
        {0, "OggS", "Ogg", false},
        {0, "II*", "TIFF", false},
        {0, "MM\0*", "TIFF", false},
        {0, "II+", "TIFF", false},
        {0, "MM\0+", "TIFF", false},
        {0, "8BPS", "Photoshop", false},
        {0, "gimp xcf", "GIMP's XCF", false},
        {0, "\x76\x2F\x31\x01", "OpenEXR", false},
        {0, "#?RADIANCE", "Radiance HDR", false},
        {0, "qoif", "QOI", false},
        {0, "DDS ", "DDS", false},
        {0, "\x8AMNG", "MNG", false},
        {0, "\x8BJNG", "JNG", false},
        {0, "%PDF", "PDF", true},
        {0, "<svg", "SVG", true},
        {0, "PK\3\4", "a ZIP archive", true},
    };
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        size_t length = formats[i].magic[0] == 'M' && formats[i].magic[1] == 'M' ? 4 : strlen(formats[i].magic);
        if (size >= formats[i].at + length && memcmp(data + formats[i].at, formats[i].magic, length) == 0)
            return &formats[i];
    }
    return NULL;
}

static raiiaf_status unsupported(raiiaf_error *error, const char *name, const uint8_t *data, size_t size)
{
    const other_format *format = find_other_format(data, size);
    const char *what = format                        ? format->name
                       : raiiaf_is_magic(data, size) ? "a .raiiaf file"
                                                     : _("no image format that is known here");
    return rf_fail(error, RAIIAF_ERROR_UNSUPPORTED,
                   format && !format->no_picture ? "image-unsupported" : "image-unknown", RF_NAME(name),
                   _("is %s; only PNG, JPEG, WebP and BMP images are read"), what);
}

/* Asks the drivers, at the present stage. */
static void ask(raiiaf_legacy *legacy, const char *dialect)
{
    for (const legacy_driver *const *driver = legacy_drivers; !legacy->driver && *driver; driver++) {
        if (dialect && strcmp((*driver)->name, dialect) != 0)
            continue;
        for (size_t i = 0; i < legacy->in.carrier_count; i++)
            legacy->in.carriers[i].used = !legacy->in.carriers[i].beside;
        if (!(*driver)->identify(&legacy->in))
            continue;
        if (legacy->in.arena.status)
            return;
        if (!legacy->out.fields && !legacy_output_begin(&legacy->out, &legacy->in.arena))
            return;
        if ((*driver)->import(&legacy->in, &legacy->out))
            legacy->driver = *driver;
        else
            legacy_output_begin(&legacy->out, &legacy->in.arena);
    }
}

static void recognise(raiiaf_legacy *legacy, const char *dialect)
{
    legacy_input *in = &legacy->in;
    ask(legacy, dialect);
    if (!legacy->driver) {
        size_t before = in->text_count;
        in->stage = LEGACY_HIDDEN;
        legacy_hidden_read(in);
        if (in->text_count > before)
            ask(legacy, dialect);
    }
    if (!legacy->driver) {
        in->stage = LEGACY_BESIDE;
        ask(legacy, dialect);
    }
}

static bool knows_dialect(const char *name)
{
    for (const legacy_driver *const *driver = legacy_drivers; *driver; driver++)
        if (strcmp((*driver)->name, name) == 0)
            return true;
    return false;
}

static raiiaf_status begin(raiiaf_legacy *legacy, const void *image, size_t size, raiiaf_error *error)
{
    legacy_input *in = &legacy->in;
    const char *name = in->import->file_name, *slash = name ? strrchr(name, '/') : NULL;
    raiiaf_limits_default(&in->limits);
    if (in->options && in->options->limits)
        in->limits = *in->options->limits;
    in->arena.left = in->limits.memory ? in->limits.memory : UINT64_MAX;
    in->image = image;
    in->image_size = size;
    in->file_name = slash ? slash + 1 : name ? name : "";
    if (in->import->dialect && !knows_dialect(in->import->dialect))
        return rf_fail(error, RAIIAF_ERROR_ARGUMENT, "dialect-unknown", RF_NAME(NULL),
                       _("there is no dialect \"%.100s\"; \"raiiaf dialects\" lists them"), in->import->dialect);
    if (!size)
        return rf_fail(error, RAIIAF_ERROR_FORMAT, "image-empty", RF_NAME(name), _("is empty, not an image"));
    raiiaf_image_probe_memory(image, size, &in->info);
    if (in->info.format == RAIIAF_IMAGE_UNKNOWN)
        return unsupported(error, name, image, size);
    return legacy_texts_read(in, error);
}

raiiaf_status raiiaf_scan(raiiaf_legacy **out, const void *image, size_t size, const raiiaf_import_options *import,
                          const raiiaf_open_options *options, raiiaf_error *error)
{
    static const raiiaf_import_options no_import = {.modified = -1};
    *out = NULL;
    rf_error_clear(error);
    raiiaf_legacy *legacy = calloc(1, sizeof *legacy);
    if (!legacy)
        return rf_fail_memory(error, import ? import->file_name : NULL);
    legacy->in.import = import ? import : &no_import;
    legacy->in.options = options;
    raiiaf_status status = begin(legacy, image, size, error);
    if (!status) {
        recognise(legacy, legacy->in.import->dialect);
        if (legacy->in.arena.status == RAIIAF_ERROR_LIMIT)
            status = rf_fail(error, RAIIAF_ERROR_LIMIT, "text-too-large", RF_NAME(legacy->in.import->file_name),
                             _("the image's texts take more memory than the limit allows; raise raiiaf_limits.memory "
                               "if you trust it"));
        else if (legacy->in.arena.status)
            status = rf_fail_memory(error, legacy->in.import->file_name);
    }
    legacy->in.import = NULL; /* the caller's, and from now on of no use */
    legacy->in.options = NULL;
    if (status)
        raiiaf_legacy_free(legacy);
    else
        *out = legacy;
    return status;
}

void raiiaf_legacy_free(raiiaf_legacy *legacy)
{
    if (!legacy)
        return;
    for (struct legacy_block *block = legacy->in.arena.blocks, *next; block; block = next) {
        next = block->next;
        free(block);
    }
    free(legacy);
}

/* ---- what came of it ---- */

const char *raiiaf_legacy_dialect(const raiiaf_legacy *legacy)
{
    return legacy->driver ? legacy->driver->name : NULL;
}

const char *raiiaf_legacy_tool(const raiiaf_legacy *legacy)
{
    return legacy->driver ? legacy->out.tool : NULL;
}

bool raiiaf_legacy_get(const raiiaf_legacy *legacy, const char *name, raiiaf_value *value)
{
    const raiiaf_value *found = legacy->driver ? legacy_output_get(&legacy->out, name) : NULL;
    *value = found ? *found : (raiiaf_value){RAIIAF_JSON_NULL, NULL, 0};
    return found != NULL;
}

void raiiaf_legacy_extra_each(const raiiaf_legacy *legacy,
                              bool (*callback)(void *user, const char *name, const raiiaf_value *value), void *user)
{
    for (size_t i = 0; legacy->driver && i < legacy->out.extra_count; i++)
        if (!callback(user, legacy->out.extras[i].name, &legacy->out.extras[i].value))
            return;
}

void raiiaf_legacy_carrier_each(const raiiaf_legacy *legacy,
                                bool (*callback)(void *user, const raiiaf_carrier *carrier, const char *sha256),
                                void *user)
{
    for (size_t i = 0; i < legacy->in.carrier_count; i++) {
        const raiiaf_carrier *carrier = &legacy->in.carriers[i].carrier;
        char sha256[RF_SHA256_HEX];
        if (!legacy->in.carriers[i].used)
            continue;
        rf_sha256(carrier->data, carrier->size, sha256);
        if (!callback(user, carrier, sha256))
            return;
    }
}

void raiiaf_legacy_text_each(const raiiaf_legacy *legacy,
                             bool (*callback)(void *user, const char *kind, const char *keyword, const char *text,
                                              size_t size),
                             void *user)
{
    for (size_t i = 0; i < legacy->in.text_count; i++) {
        const legacy_text *text = &legacy->in.texts[i];
        if (!callback(user, text->kind, text->keyword, text->text, text->size))
            return;
    }
}

/* ---- the drivers ---- */

size_t raiiaf_dialect_count(void)
{
    size_t count = 0;
    while (legacy_drivers[count])
        count++;
    return count;
}

void raiiaf_dialect_get(size_t i, raiiaf_dialect *dialect)
{
    const legacy_driver *driver = legacy_drivers[i];
    *dialect = (raiiaf_dialect){driver->name, driver->title, driver->home, driver->reads};
}
