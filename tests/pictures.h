// SPDX-License-Identifier: MIT
//
// pictures.h - PNG files of every kind that libpng writes, with the samples that they stand for worked out by hand, and
// the means to put further chunks into them.
#ifndef RAIIAF_TESTS_PICTURES_H
#define RAIIAF_TESTS_PICTURES_H

#include "raiiaf.h"

#include <gtest/gtest.h>
#include <png.h>
#include <zlib.h>

#include <cstdint>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

namespace test
{

// The same pseudo-random bytes everywhere.
class Noise
{
  public:
    explicit Noise(uint32_t seed) : state(seed * 2654435761u + 1)
    {
    }
    uint32_t next()
    {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        return state;
    }
    uint8_t byte()
    {
        return static_cast<uint8_t>(next() >> 11);
    }
    size_t below(size_t bound)
    {
        return next() % bound;
    }

  private:
    uint32_t state;
};

struct PngKind {
    int colour = PNG_COLOR_TYPE_RGB;
    int depth = 8;
    bool interlaced = false;
    bool transparency = false; // tRNS
};

inline std::string name_of(const PngKind &kind)
{
    return "colour" + std::to_string(kind.colour) + "_depth" + std::to_string(kind.depth) +
           (kind.interlaced ? "_interlaced" : "") + (kind.transparency ? "_tRNS" : "");
}

inline std::ostream &operator<<(std::ostream &out, const PngKind &kind)
{
    return out << name_of(kind);
}

inline std::vector<PngKind> png_kinds()
{
    std::vector<PngKind> kinds;
    for (int colour : {0, 2, 3, 4, 6})
        for (int depth : {1, 2, 4, 8, 16})
            for (bool interlaced : {false, true})
                for (bool transparency : {false, true}) {
                    bool legal = colour == 0 || (colour == 3 ? depth <= 8 : depth >= 8);
                    if (legal && !(transparency && (colour & 4)))
                        kinds.push_back({colour, depth, interlaced, transparency});
                }
    return kinds;
}

// A picture as PNG stores it: samples row by row, not packed; and what they mean.
class Picture
{
  public:
    Picture(uint32_t width_, uint32_t height_, PngKind kind_, uint32_t seed = 1)
        : width(width_), height(height_), kind(kind_)
    {
        Noise noise(seed);
        for (int i = 0; i < 256; i++) {
            palette.push_back({noise.byte(), noise.byte(), noise.byte()});
            palette_alpha.push_back(noise.byte());
        }
        for (size_t i = 0; i < size_t{width} * height * channels(); i++)
            samples.push_back(static_cast<uint16_t>(noise.next() >> 9 & ((1u << kind.depth) - 1)));
        for (unsigned c = 0; c < 3; c++) // the transparent colour is one that occurs
            transparent[c] = kind.colour == 2 ? samples[c] : samples[0];
    }

    unsigned channels() const // of samples
    {
        return kind.colour == 2 ? 3 : kind.colour == 4 ? 2 : kind.colour == 6 ? 4 : 1;
    }
    unsigned shown_channels() const
    {
        return (kind.colour & 2 ? 3 : 1) + (alpha() ? 1 : 0);
    }
    unsigned shown_depth() const
    {
        return kind.depth == 16 ? 16 : 8;
    }
    bool alpha() const
    {
        return (kind.colour & 4) || kind.transparency;
    }

    // Four 16-bit samples a pixel, as the PNG specification says that they look.
    std::vector<uint16_t> rgba() const
    {
        std::vector<uint16_t> out;
        for (size_t i = 0; i < size_t{width} * height; i++) {
            const uint16_t *s = &samples[i * channels()];
            uint16_t a = 65535;
            if (kind.colour == 3) {
                const png_color &entry = palette[s[0]];
                if (kind.transparency)
                    a = static_cast<uint16_t>(palette_alpha[s[0]] * 257);
                for (int v : {entry.red, entry.green, entry.blue})
                    out.push_back(static_cast<uint16_t>(v * 257));
            } else if (kind.colour & 2) {
                for (unsigned c = 0; c < 3; c++)
                    out.push_back(wide(s[c]));
                if (kind.transparency && s[0] == transparent[0] && s[1] == transparent[1] && s[2] == transparent[2])
                    a = 0;
            } else {
                out.insert(out.end(), 3, wide(s[0]));
                if (kind.transparency && s[0] == transparent[0])
                    a = 0;
            }
            if (kind.colour & 4)
                a = wide(s[channels() - 1]);
            out.push_back(a);
        }
        return out;
    }

    std::string digest() const
    {
        return digest(shown_channels(), shown_depth());
    }
    std::string digest(unsigned form_channels, unsigned form_depth) const
    {
        raiiaf_pixels *pixels = nullptr;
        char text[RAIIAF_DIGEST_SIZE] = "";
        std::vector<uint16_t> all = rgba();
        EXPECT_EQ(RAIIAF_OK, raiiaf_pixels_begin(&pixels, width, height, form_channels, form_depth, nullptr));
        raiiaf_pixels_update(pixels, all.data(), all.size() / 4);
        EXPECT_TRUE(raiiaf_pixels_end(pixels, text));
        return text;
    }

    std::string png(int level = 6) const
    {
        std::string out;
        png_structp writer = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
        png_infop info = png_create_info_struct(writer);
        png_set_write_fn(writer, &out, append, nullptr);
        png_set_compression_level(writer, level);
        png_set_IHDR(writer, info, width, height, kind.depth, kind.colour,
                     kind.interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
                     PNG_FILTER_TYPE_DEFAULT);
        int entries = 1 << (kind.depth < 8 ? kind.depth : 8);
        if (kind.colour == 3)
            png_set_PLTE(writer, info, palette.data(), entries);
        png_color_16 see_through{0, transparent[0], transparent[1], transparent[2], transparent[0]};
        if (kind.transparency)
            png_set_tRNS(writer, info, palette_alpha.data(), kind.colour == 3 ? entries : 0, &see_through);
        png_write_info(writer, info);
        if (kind.depth < 8)
            png_set_packing(writer);
        std::vector<std::vector<uint8_t>> rows;
        std::vector<png_bytep> pointers;
        size_t row_samples = size_t{width} * channels();
        for (uint32_t y = 0; y < height; y++) {
            std::vector<uint8_t> row;
            for (size_t x = 0; x < row_samples; x++) {
                uint16_t sample = samples[y * row_samples + x];
                if (kind.depth == 16)
                    row.push_back(static_cast<uint8_t>(sample >> 8));
                row.push_back(static_cast<uint8_t>(sample & 255));
            }
            rows.push_back(row);
        }
        for (auto &row : rows)
            pointers.push_back(row.data());
        png_write_image(writer, pointers.data());
        png_write_end(writer, info);
        png_destroy_write_struct(&writer, &info);
        return out;
    }

    uint32_t width, height;
    PngKind kind;
    std::vector<uint16_t> samples;

  private:
    uint16_t wide(uint16_t sample) const
    {
        return static_cast<uint16_t>(sample * (65535u / ((1u << kind.depth) - 1)));
    }
    static void append(png_structp writer, png_bytep data, size_t size)
    {
        static_cast<std::string *>(png_get_io_ptr(writer))->append(reinterpret_cast<char *>(data), size);
    }
    std::vector<png_color> palette;
    std::vector<uint8_t> palette_alpha;
    uint16_t transparent[3];
};

inline std::string be32(uint32_t value)
{
    return {static_cast<char>(value >> 24), static_cast<char>(value >> 16), static_cast<char>(value >> 8),
            static_cast<char>(value)};
}

inline std::string le32(uint32_t value)
{
    std::string out = be32(value);
    return {out.rbegin(), out.rend()};
}

inline std::string be16(uint32_t value)
{
    return be32(value).substr(2);
}

inline std::string le16(uint32_t value)
{
    return le32(value).substr(0, 2);
}

inline std::string png_chunk(const std::string &type, const std::string &data)
{
    std::string body = type + data;
    uint32_t crc =
        static_cast<uint32_t>(crc32(0, reinterpret_cast<const Bytef *>(body.data()), static_cast<uInt>(body.size())));
    return be32(static_cast<uint32_t>(data.size())) + body + be32(crc);
}

// Puts chunks behind IHDR, where text usually stands.
inline std::string with_chunks(std::string png, const std::string &chunks)
{
    return png.insert(33, chunks);
}

// Puts chunks before IEND.
inline std::string with_last_chunks(std::string png, const std::string &chunks)
{
    return png.insert(png.size() - 12, chunks);
}

inline std::string deflated(const std::string &text)
{
    uLongf size = compressBound(text.size());
    std::string out(size, '\0');
    EXPECT_EQ(Z_OK, compress2(reinterpret_cast<Bytef *>(out.data()), &size,
                              reinterpret_cast<const Bytef *>(text.data()), text.size(), 9));
    out.resize(size);
    return out;
}

inline std::string jpeg_segment(unsigned marker, const std::string &payload)
{
    return std::string("\xFF") + static_cast<char>(marker) + be16(static_cast<uint32_t>(payload.size() + 2)) + payload;
}

inline std::string riff_chunk(const std::string &type, const std::string &data)
{
    return type + le32(static_cast<uint32_t>(data.size())) + data + std::string(data.size() & 1, '\0');
}

inline std::string webp(const std::string &chunks)
{
    return "RIFF" + le32(static_cast<uint32_t>(chunks.size() + 4)) + "WEBP" + chunks;
}

} // namespace test

#endif
