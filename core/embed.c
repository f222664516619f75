/* SPDX-License-Identifier: MIT */
/*
 * embed.c - a PNG that holds a whole .raiiaf file, and the way back.
 *
 * The PNG is the file's image, chunk by chunk, with three kinds of chunks more:
 *
 *   tEXt, iTXt  "parameters", before the pixels, where the image has none
 *   raIf        the capsule, in pieces that every reader's limits let pass; an editor may copy them
 *   raDA        what makes of all the rest the image chunk as the file has it stored; an editor may not copy it
 *
 * So the file comes back to the byte where nobody touched the PNG, and what its manifest and latents say where somebody
 * did, as far as raIf was copied.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "codec.h"
#include "file.h"
#include "parts.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define PARAMETERS "parameters"
#define CAPSULE RF_TAG('r', 'a', 'I', 'f')
#define DELTA RF_TAG('r', 'a', 'D', 'A')
#define PIECE ((size_t)1 << 20)
#define PNG_SIGNATURE 8
#define CHUNK_FRAME 12 /* length, type and checksum of a PNG's chunk */

/* ---- chunks of a PNG ---- */

static void put32_be(uint8_t *p, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(value >> (24 - 8 * i));
}

static uint32_t checksum(uint32_t type, const void *data, size_t size)
{
    uint8_t name[4];
    put32_be(name, type);
    uLong sum = crc32(0, name, sizeof name);
    return (uint32_t)(size > 0 ? crc32(sum, data, (uInt)size) : sum);
}

static void append_chunk(rf_bytes *out, uint32_t type, const void *data, size_t size)
{
    uint8_t head[8], tail[4];
    put32_be(head, (uint32_t)size);
    put32_be(head + 4, type);
    put32_be(tail, checksum(type, data, size));
    rf_bytes_append(out, head, sizeof head);
    rf_bytes_append(out, data, size);
    rf_bytes_append(out, tail, sizeof tail);
}

static void append_pieces(rf_bytes *out, uint32_t type, const raiiaf_buffer *data)
{
    for (size_t at = 0; at < data->size; at += PIECE)
        append_chunk(out, type, data->data + at, data->size - at < PIECE ? data->size - at : PIECE);
}

/* NULs, which text in a PNG can't have, are left out. */
static void append_text(rf_bytes *out, const char *keyword, const raiiaf_buffer *text)
{
    rf_bytes chunk = {0};
    bool ascii = true;
    for (size_t i = 0; i < text->size; i++)
        ascii &= text->data[i] < 0x80;
    rf_bytes_append(&chunk, keyword, strlen(keyword) + 1);
    if (!ascii)
        rf_bytes_append(&chunk, "\0\0\0", 4); /* not compressed; no language, no translated keyword */
    for (size_t i = 0; i < text->size; i++)
        if (text->data[i])
            rf_bytes_append(&chunk, text->data + i, 1);
    if (!chunk.failed)
        append_chunk(out, ascii ? RF_TAG('t', 'E', 'X', 't') : RF_TAG('i', 'T', 'X', 't'), chunk.data, chunk.size);
    out->failed |= chunk.failed;
    rf_bytes_free(&chunk);
}

/* ---- there ---- */

/* Where in a PNG chunks can be put. */
typedef struct places {
    size_t pixels, end; /* before the first IDAT, before IEND; 0 if there is none */
    bool parameters;    /* it has some */
    bool ours;          /* it has chunks of this kind */
} places;

/* `size` is the keyword's, NUL included. */
static bool is_text(const rf_parts *part, const char *keyword, size_t size)
{
    uint32_t type = part->type;
    return (type == RF_TAG('t', 'E', 'X', 't') || type == RF_TAG('i', 'T', 'X', 't') ||
            type == RF_TAG('z', 'T', 'X', 't')) &&
           part->have >= size && memcmp(part->part, keyword, size) == 0;
}

static places find_places(const raiiaf_buffer *png)
{
    places found = {0};
    rf_parts part = rf_parts_begin(RAIIAF_IMAGE_PNG, png->data, png->size);
    while (rf_parts_next(&part)) {
        if (part.type == RF_TAG('I', 'D', 'A', 'T') && !found.pixels)
            found.pixels = (size_t)(part.part - png->data) - 8;
        found.parameters |= is_text(&part, PARAMETERS, sizeof PARAMETERS);
        found.ours |= part.type == CAPSULE || part.type == DELTA;
    }
    if (!part.short_of && part.next + CHUNK_FRAME <= png->size &&
        rf_get32_be(png->data + part.next + 4) == RF_TAG('I', 'E', 'N', 'D'))
        found.end = (size_t)part.next;
    return found;
}

/* The image, from its beginning to the place before IEND, and parameters in it. */
static raiiaf_status put_image(const raiiaf_file *file, const raiiaf_buffer *image, const places *at, rf_bytes *out,
                               raiiaf_error *error)
{
    raiiaf_buffer text = {0};
    size_t split = at->pixels ? at->pixels : at->end;
    raiiaf_status status = at->parameters ? RAIIAF_ERROR_MISSING : raiiaf_parameters(file, &text, error);
    rf_bytes_append(out, image->data, split);
    if (status == RAIIAF_OK)
        append_text(out, PARAMETERS, &text);
    rf_bytes_append(out, image->data + split, at->end - split);
    raiiaf_buffer_free(&text);
    return status == RAIIAF_ERROR_MEMORY ? status : RAIIAF_OK;
}

/* What comes before IEND, the chunks that bring the file back included. */
static raiiaf_status put_file(const raiiaf_file *file, const raiiaf_buffer *image, const places *at, rf_bytes *out,
                              raiiaf_error *error)
{
    raiiaf_buffer capsule = {0}, stored = {0}, delta = {0};
    rf_bytes rest = {0};
    size_t end = out->size;
    raiiaf_status status = raiiaf_capsule_make(file, NULL, RF_CAPSULE_WITH_IMAGE, &capsule, error);
    if (status == RAIIAF_OK)
        status = raiiaf_chunk_read_stored(file, raiiaf_image_chunk(file), &stored, error);
    rf_bytes_append(&rest, out->data, end);
    rf_bytes_append(&rest, image->data + at->end, image->size - at->end);
    if (status == RAIIAF_OK && rest.failed)
        status = rf_fail_memory(error, file->name);
    if (status == RAIIAF_OK)
        status = rf_zstd_encode_delta(rest.data, rest.size, stored.data, stored.size, &delta, error);
    if (status == RAIIAF_OK) {
        append_pieces(out, CAPSULE, &capsule);
        append_pieces(out, DELTA, &delta);
    }
    rf_bytes_free(&rest);
    raiiaf_buffer_free(&capsule);
    raiiaf_buffer_free(&stored);
    raiiaf_buffer_free(&delta);
    return status;
}

static raiiaf_status embed(const raiiaf_file *file, const raiiaf_buffer *image, raiiaf_buffer *png, raiiaf_error *error)
{
    places at = find_places(image);
    rf_bytes out = {0};
    if (!at.end)
        return rf_fail(error, RAIIAF_ERROR_DAMAGED, "png-end", RF_NAME(file->name),
                       _("its PNG image ends early; raiiaf extract --image hands it out as it is"));
    if (at.ours)
        return rf_fail(error, RAIIAF_ERROR_UNSUPPORTED, "png-embedded", RF_NAME(file->name),
                       _("its PNG image holds a .raiiaf file already; raiiaf extract --image hands it out as it is"));
    raiiaf_status status = put_image(file, image, &at, &out, error);
    if (status == RAIIAF_OK && out.failed)
        status = rf_fail_memory(error, file->name);
    if (status == RAIIAF_OK)
        status = put_file(file, image, &at, &out, error);
    rf_bytes_append(&out, image->data + at.end, image->size - at.end);
    if (status == RAIIAF_OK)
        status = rf_bytes_to_buffer(&out, png, error);
    rf_bytes_free(&out);
    return status;
}

/* Chunks that aren't stored yet have to be: the file as it would be saved. */
static raiiaf_status embed_edited(const raiiaf_file *file, raiiaf_buffer *png, raiiaf_error *error)
{
    raiiaf_buffer saved = {0};
    raiiaf_file *reopened = NULL;
    raiiaf_open_options options = {.limits = &file->limits};
    raiiaf_status status = raiiaf_save_memory(file, &saved, NULL, error);
    if (status == RAIIAF_OK)
        status = raiiaf_open_memory(&reopened, saved.data, saved.size, file->name, &options, error);
    if (status == RAIIAF_OK)
        status = rf_embed(reopened, png, error);
    raiiaf_close(reopened);
    raiiaf_buffer_free(&saved);
    return status;
}

raiiaf_status rf_embed(const raiiaf_file *file, raiiaf_buffer *png, raiiaf_error *error)
{
    raiiaf_image_info info;
    raiiaf_buffer image = {0};
    *png = (raiiaf_buffer){0};
    if (file->edited)
        return embed_edited(file, png, error);
    raiiaf_status status = raiiaf_image_probe_known(file, &info, error);
    if (status == RAIIAF_OK && info.format != RAIIAF_IMAGE_PNG)
        status = rf_fail(error, RAIIAF_ERROR_UNSUPPORTED, "image-no-png", RF_NAME(file->name),
                         _("its image is %s, which a PNG can't hold unchanged; raiiaf extract --image hands it out as "
                           "it is"),
                         raiiaf_image_format_name(info.format));
    if (status == RAIIAF_OK)
        status = raiiaf_chunk_read(file, raiiaf_image_chunk(file), 0, &image, error);
    if (status == RAIIAF_OK)
        status = embed(file, &image, png, error);
    raiiaf_buffer_free(&image);
    return status;
}

/* ---- and back ---- */

/* A PNG taken apart. */
typedef struct pieces {
    rf_bytes rest; /* it without what follows */
    rf_bytes capsule, delta;
    bool profile; /* ImageMagick's */
} pieces;

static void free_pieces(pieces *all)
{
    rf_bytes_free(&all->rest);
    rf_bytes_free(&all->capsule);
    rf_bytes_free(&all->delta);
}

/* Chunks of ours that are damaged are left out, too: what they belong to then is no capsule. */
static void take_apart(const uint8_t *png, size_t size, pieces *all)
{
    rf_parts part = rf_parts_begin(RAIIAF_IMAGE_PNG, png, size);
    size_t done = 0;
    while (rf_parts_next(&part) && part.next <= size) {
        size_t start = (size_t)(part.part - png) - 8;
        bool profile = is_text(&part, RF_PROFILE_KEYWORD, sizeof RF_PROFILE_KEYWORD);
        if (part.type != CAPSULE && part.type != DELTA && !profile)
            continue;
        all->profile |= profile;
        if (!profile && checksum(part.type, part.part, part.length) == rf_get32_be(part.part + part.length))
            rf_bytes_append(part.type == CAPSULE ? &all->capsule : &all->delta, part.part, part.length);
        rf_bytes_append(&all->rest, png + done, start - done);
        done = (size_t)part.next;
    }
    rf_bytes_append(&all->rest, png + done, done ? size - done : 0);
}

/* Opens a capsule, which becomes the file's; *file stays NULL where it is none after all. */
static raiiaf_status open_capsule(raiiaf_file **file, rf_bytes *capsule, const char *name,
                                  const raiiaf_open_options *options, raiiaf_error *error)
{
    raiiaf_source source;
    raiiaf_source_memory(&source, capsule->data, capsule->size, name ? name : "", free, capsule->data);
    *capsule = (rf_bytes){0};
    raiiaf_status status = raiiaf_open(file, &source, options, error);
    if (status == RAIIAF_OK && !raiiaf_is_capsule(*file)) {
        raiiaf_close(*file);
        *file = NULL;
    }
    return status == RAIIAF_ERROR_MEMORY ? status : RAIIAF_OK;
}

/* Joins the capsule with the very image chunk, as far as the PNG is what rf_embed made. */
static raiiaf_status join_stored(raiiaf_file *file, const pieces *all, raiiaf_error *error)
{
    raiiaf_buffer stored = {0};
    uint64_t size;
    raiiaf_status status = rf_zstd_content_size(all->delta.data, all->delta.size, &size, RF_NAME(file->name), error);
    if (status == RAIIAF_OK)
        status =
            rf_buffer_new(&stored, size < SIZE_MAX ? (size_t)size : SIZE_MAX, file->budget, RF_NAME(file->name), error);
    if (status == RAIIAF_OK)
        status = rf_zstd_decode_delta(all->rest.data, all->rest.size, all->delta.data, all->delta.size,
                                      rf_buffer_data(&stored), stored.size, error);
    if (status == RAIIAF_OK)
        status = raiiaf_capsule_join(file, stored.data, stored.size, error);
    if (status == RAIIAF_OK)
        file->kept = stored;
    else
        raiiaf_buffer_free(&stored);
    return status;
}

/* Gives the capsule a new image. */
static raiiaf_status join_fresh(raiiaf_file *file, const void *image, size_t size, raiiaf_error *error)
{
    raiiaf_status status = raiiaf_capsule_join(file, NULL, 0, error);
    return status == RAIIAF_OK ? raiiaf_image_set(file, image, size, NULL, error) : status;
}

static raiiaf_status join(raiiaf_file *file, const pieces *all, raiiaf_error *error)
{
    raiiaf_status status = all->delta.size ? join_stored(file, all, error) : RAIIAF_ERROR_MISSING;
    if (status == RAIIAF_OK || status == RAIIAF_ERROR_MEMORY)
        return status;
    rf_error_clear(error); /* somebody has changed the PNG */
    return join_fresh(file, all->rest.data, all->rest.size, error);
}

/* The capsule that ImageMagick left, if nothing else did. */
static raiiaf_status find_profile(pieces *all, const void *image, size_t size, const raiiaf_open_options *options,
                                  raiiaf_error *error)
{
    raiiaf_buffer found = {0};
    raiiaf_status status = RAIIAF_OK;
    if (all->profile && !all->capsule.size)
        status = raiiaf_capsule_find(image, size, options ? options->limits : NULL, &found, error);
    rf_bytes_append(&all->capsule, found.data, found.size);
    raiiaf_buffer_free(&found);
    return status == RAIIAF_ERROR_MEMORY ? status : RAIIAF_OK;
}

raiiaf_status rf_embedded(raiiaf_file **file, const void *image, size_t size, const raiiaf_import_options *import,
                          const raiiaf_open_options *options, raiiaf_error *error)
{
    pieces all = {0};
    raiiaf_image_info info;
    const void *png = import->original ? import->original : image;
    size_t png_size = import->original ? import->original_size : size;
    raiiaf_status status = RAIIAF_OK;
    *file = NULL;
    raiiaf_image_probe_memory(png, png_size, &info);
    if (info.format != RAIIAF_IMAGE_PNG)
        return RAIIAF_OK;
    take_apart(png, png_size, &all);
    status = find_profile(&all, png, png_size, options, error);
    if (status == RAIIAF_OK && (all.rest.failed || all.capsule.failed || all.delta.failed))
        status = rf_fail_memory(error, import->file_name);
    if (status == RAIIAF_OK && all.capsule.size)
        status = open_capsule(file, &all.capsule, import->file_name, options, error);
    if (status == RAIIAF_OK && *file && import->original)
        status = join_fresh(*file, image, size, error);
    else if (status == RAIIAF_OK && *file)
        status = join(*file, &all, error);
    if (status != RAIIAF_OK) {
        raiiaf_close(*file);
        *file = NULL;
    }
    free_pieces(&all);
    return status;
}
