// SPDX-License-Identifier: MIT
//
// test_pixels.cc - the picture digest: what it hashes, that nothing else matters, and that damaged images get none.
#include "pictures.h"
#include "support.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace
{

using test::Noise;
using test::Picture;
using test::PngKind;

std::string hex_of(const std::string &bytes)
{
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits(bytes.data(), bytes.size()));
    std::string out;
    for (unsigned char byte : canonical.digest) {
        char digits[3];
        snprintf(digits, sizeof digits, "%02x", byte);
        out += digits;
    }
    return out;
}

std::string digest_of(const std::vector<uint16_t> &rgba, uint32_t width, uint32_t height, unsigned channels,
                      unsigned depth)
{
    raiiaf_pixels *pixels = nullptr;
    char text[RAIIAF_DIGEST_SIZE] = "";
    EXPECT_EQ(RAIIAF_OK, raiiaf_pixels_begin(&pixels, width, height, channels, depth, nullptr));
    raiiaf_pixels_update(pixels, rgba.data(), rgba.size() / 4);
    EXPECT_TRUE(raiiaf_pixels_end(pixels, text));
    return text;
}

std::string digest_of_image(const std::string &image)
{
    char text[RAIIAF_DIGEST_SIZE] = "";
    test::Error error;
    EXPECT_TRUE(test::good(raiiaf_pixels_of_image(image.data(), image.size(), nullptr, text, &error), error));
    return text;
}

std::vector<uint16_t> noise_rgba(size_t pixels, bool eight_bits, uint32_t seed)
{
    Noise noise(seed);
    std::vector<uint16_t> out;
    for (size_t i = 0; i < 4 * pixels; i++)
        out.push_back(static_cast<uint16_t>(eight_bits ? noise.byte() * 257 : noise.next() >> 7));
    return out;
}

TEST(Pixels, HashesRgbaAtTheDepthOfTheForm)
{
    std::vector<uint16_t> eight = noise_rgba(5 * 7, true, 1), sixteen = noise_rgba(5 * 7, false, 2);
    std::string eight_bytes, sixteen_bytes;
    for (uint16_t sample : eight)
        eight_bytes += static_cast<char>(sample & 255);
    for (uint16_t sample : sixteen)
        sixteen_bytes += test::le16(sample);
    EXPECT_EQ("xxh3-128:5x7x4x8:" + hex_of(eight_bytes), digest_of(eight, 5, 7, 4, 8));
    EXPECT_EQ("xxh3-128:5x7x4x16:" + hex_of(sixteen_bytes), digest_of(sixteen, 5, 7, 4, 16));
}

TEST(Pixels, DoesNotMatterHowTheyAreHandedOver)
{
    const uint32_t width = 131, height = 79; // more than one block, and no round number
    const size_t count = width * height;
    Noise noise(3);
    for (unsigned depth : {8u, 16u})
        for (size_t deep_from : {count, size_t{0}, size_t{1}, size_t{2047}, size_t{2048}, size_t{5000}, count - 1}) {
            std::vector<uint16_t> rgba = noise_rgba(count, true, 4);
            for (size_t i = deep_from; i < count; i += 97)
                rgba[4 * i + i % 4] ^= 1;
            std::string whole = digest_of(rgba, width, height, 4, depth);
            for (size_t most : {size_t{1}, size_t{17}, size_t{width}, size_t{4000}}) {
                raiiaf_pixels *pixels = nullptr;
                char text[RAIIAF_DIGEST_SIZE] = "";
                ASSERT_GOOD(raiiaf_pixels_begin(&pixels, width, height, 4, depth, &error));
                for (size_t done = 0, part; done < count; done += part) {
                    part = std::min(count - done, most == 1 ? 1 : noise.below(most + 1));
                    raiiaf_pixels_update(pixels, rgba.data() + 4 * done, part);
                }
                ASSERT_TRUE(raiiaf_pixels_end(pixels, text));
                EXPECT_EQ(whole, text) << "depth " << depth << " deep from " << deep_from << " parts " << most;
            }
        }
}

TEST(Pixels, WhatTheFormCannotExpressGivesAnotherDigest)
{
    const std::vector<uint16_t> gray = [] {
        Noise noise(5);
        std::vector<uint16_t> out;
        for (int i = 0; i < 64; i++) {
            out.insert(out.end(), 3, static_cast<uint16_t>(noise.byte() * 257));
            out.push_back(65535);
        }
        return out;
    }();
    std::vector<std::string> seen = {digest_of(gray, 8, 8, 1, 8)};
    auto is_new = [&](size_t at, uint16_t value) {
        std::vector<uint16_t> other = gray;
        other[at] = value;
        std::string digest = digest_of(other, 8, 8, 1, 8);
        EXPECT_EQ(0, std::count(seen.begin(), seen.end(), digest)) << "sample " << at << " value " << value;
        seen.push_back(digest);
    };
    for (size_t at : {0u, 1u, 2u, 100u, 253u}) {
        is_new(at, static_cast<uint16_t>(gray[at] ^ 0x0101)); // colour
        is_new(at, static_cast<uint16_t>(gray[at] ^ 1));      // depth
        is_new(at, static_cast<uint16_t>(gray[at] ^ 2));
        is_new(at, static_cast<uint16_t>(gray[at] ^ 0x0200));
    }
    for (size_t at : {3u, 127u, 255u})
        for (uint16_t value : {0, 257, 65278, 65534, 256, 1})
            is_new(at, value); // alpha
}

TEST(Pixels, WhatFollowsASampleThatIsTooDeepStillCounts)
{
    std::vector<uint16_t> rgba = noise_rgba(64, true, 6);
    rgba[40] ^= 1;
    std::string before = digest_of(rgba, 8, 8, 4, 8);
    for (size_t at : {0u, 39u, 41u, 200u}) {
        std::vector<uint16_t> other = rgba;
        other[at] ^= 0x0101;
        EXPECT_NE(before, digest_of(other, 8, 8, 4, 8)) << at;
    }
}

template <typename Sample> std::string lay_out(const std::vector<uint16_t> &rgba, const raiiaf_samples &layout)
{
    std::vector<Sample> out(rgba.size() / 4 * layout.stride);
    for (size_t i = 0; i < rgba.size(); i++) {
        unsigned sample = i % 4 == 3 && layout.inverted ? 65535u - rgba[i] : rgba[i];
        if (layout.channel[i % 4] >= 0)
            out[i / 4 * layout.stride + layout.channel[i % 4]] =
                static_cast<Sample>(sizeof(Sample) == 1 ? sample / 257 : sample);
    }
    return std::string(reinterpret_cast<const char *>(out.data()), out.size() * sizeof(Sample));
}

TEST(Pixels, AreTheSameInEveryLayout)
{
    struct {
        unsigned stride;
        int channel[4];
        bool inverted;
    } forms[] = {{1, {0, 0, 0, -1}, false}, {2, {0, 0, 0, 1}, false}, {3, {0, 1, 2, -1}, false},
                 {3, {2, 1, 0, -1}, false}, {4, {0, 1, 2, 3}, false}, {4, {2, 1, 0, 3}, true},
                 {4, {2, 1, 0, -1}, false}, {5, {0, 1, 2, 4}, false}};
    for (auto size : {std::pair{5u, 3u}, {131u, 79u}, {1021u, 601u}})
        for (auto &form : forms)
            for (raiiaf_sample type : {RAIIAF_SAMPLES_8, RAIIAF_SAMPLES_16, RAIIAF_SAMPLES_FLOAT})
                for (size_t deep : {SIZE_MAX, size_t{7}, size_t{9000}, size_t{70000}}) {
                    size_t count = size_t{size.first} * size.second;
                    if (deep != SIZE_MAX &&
                        (deep >= count || (count > 100000 && deep < 10000) || type == RAIIAF_SAMPLES_8))
                        continue;
                    std::vector<uint16_t> rgba = noise_rgba(count, true, size.first);
                    for (size_t i = 0; i < rgba.size(); i++)
                        if (form.channel[i % 4] < 0)
                            rgba[i] = 65535;
                        else if (i % 4 < 3 && form.channel[0] == form.channel[1])
                            rgba[i] = rgba[i - i % 4];
                    if (deep != SIZE_MAX)
                        for (size_t c = 0; c < (form.channel[0] == form.channel[1] ? 3 : 1); c++)
                            rgba[4 * deep + c] ^= 1;
                    raiiaf_samples layout = {type, form.stride, {}, form.inverted, false};
                    std::copy(form.channel, form.channel + 4, layout.channel);
                    std::string data = type == RAIIAF_SAMPLES_8    ? lay_out<uint8_t>(rgba, layout)
                                       : type == RAIIAF_SAMPLES_16 ? lay_out<uint16_t>(rgba, layout)
                                                                   : lay_out<float>(rgba, layout);
                    raiiaf_pixels *pixels = nullptr;
                    char text[RAIIAF_DIGEST_SIZE] = "";
                    ASSERT_EQ(RAIIAF_OK, raiiaf_pixels_begin(&pixels, size.first, size.second, 4, 8, nullptr));
                    raiiaf_pixels_update_samples(pixels, &layout, data.data(), count, 2);
                    ASSERT_TRUE(raiiaf_pixels_end(pixels, text));
                    EXPECT_EQ(digest_of(rgba, size.first, size.second, 4, 8), text)
                        << count << " pixels, stride " << form.stride << ", type " << type << ", deep at " << deep;
                }
}

TEST(Pixels, WantsExactlyThePixelsThatWereAnnounced)
{
    std::vector<uint16_t> rgba = noise_rgba(13, true, 7);
    for (size_t count : {0u, 11u, 12u, 13u}) {
        raiiaf_pixels *pixels = nullptr;
        char text[RAIIAF_DIGEST_SIZE] = "untouched";
        ASSERT_GOOD(raiiaf_pixels_begin(&pixels, 4, 3, 3, 8, &error));
        raiiaf_pixels_update(pixels, rgba.data(), count);
        EXPECT_EQ(count == 12, raiiaf_pixels_end(pixels, text)) << count;
        EXPECT_EQ(count == 12, std::string("untouched") != text) << count;
    }
    raiiaf_pixels *pixels = nullptr;
    ASSERT_GOOD(raiiaf_pixels_begin(&pixels, 4, 3, 3, 8, &error));
    raiiaf_pixels_update(pixels, rgba.data(), 12);
    EXPECT_FALSE(raiiaf_pixels_end(pixels, nullptr));
    EXPECT_FALSE(raiiaf_pixels_end(nullptr, nullptr));
}

TEST(Pixels, FormsAreChecked)
{
    const unsigned bad[][4] = {{0, 1, 3, 8}, {1, 0, 3, 8}, {1, 1, 0, 8}, {1, 1, 5, 8}, {1, 1, 3, 4}, {1, 1, 3, 32}};
    for (const auto &form : bad) {
        raiiaf_pixels *pixels = nullptr;
        EXPECT_BAD(RAIIAF_ERROR_ARGUMENT, raiiaf_pixels_begin(&pixels, form[0], form[1], form[2], form[3], &error));
        EXPECT_EQ(nullptr, pixels);
    }
}

TEST(Pixels, BeginsLikeAnEarlierDigest)
{
    std::vector<uint16_t> rgba = noise_rgba(15, true, 8);
    std::string first = digest_of(rgba, 5, 3, 4, 8);
    raiiaf_pixels *pixels = nullptr;
    char again[RAIIAF_DIGEST_SIZE] = "";
    ASSERT_GOOD(raiiaf_pixels_begin_like(&pixels, first.c_str(), &error));
    raiiaf_pixels_update(pixels, rgba.data(), 15);
    ASSERT_TRUE(raiiaf_pixels_end(pixels, again));
    EXPECT_EQ(first, again);

    std::string hash = first.substr(first.rfind(':'));
    for (const std::string &text :
         {std::string(), std::string("xxh3-128"), std::string("xxh3-128:"), "xxh3-128:5x3x4" + hash,
          "xxh3-128:5x3x4x8x1" + hash, "xxh3-128:5x3x5x8" + hash, "xxh3-128:5x3x4x9" + hash, "xxh3-128:-5x3x4x8" + hash,
          "xxh3-128:+5x3x4x8" + hash, "xxh3-128:05x3x4x8" + hash, "xxh3-128:0x3x4x8" + hash,
          "xxh3-128:99999999999999999999x3x4x8" + hash, "xxh3-128:4294967296x3x4x8" + hash,
          "xxh3-128:5x3x4x8" + hash + "0", first.substr(0, first.size() - 1), "md5:5x3x4x8" + hash,
          "xxh3-128:5x3x4x8:" + std::string(32, 'G'), first + "\n"}) {
        EXPECT_BAD(RAIIAF_ERROR_ARGUMENT, raiiaf_pixels_begin_like(&pixels, text.c_str(), &error)) << text;
        EXPECT_EQ(nullptr, pixels);
    }
    EXPECT_BAD(RAIIAF_ERROR_ARGUMENT, raiiaf_pixels_begin_like(&pixels, nullptr, &error));
}

class EveryPng : public testing::TestWithParam<PngKind>
{
};

TEST_P(EveryPng, GivesTheDigestOfItsSamples)
{
    for (auto size : {std::pair{1u, 1u}, {3u, 2u}, {9u, 5u}, {33u, 17u}, {1000u, 3u}}) {
        Picture picture(size.first, size.second, GetParam(), size.first);
        EXPECT_EQ(picture.digest(), digest_of_image(picture.png())) << size.first << " by " << size.second;
    }
}

TEST_P(EveryPng, GivesNoneWhenItIsCut)
{
    Picture picture(9, 5, GetParam());
    std::string png = picture.png();
    size_t pixels_end = png.rfind("IDAT");
    for (size_t size = 0; size < pixels_end; size += size < 60 ? 1 : 7) {
        std::vector<char> exact(png.begin(), png.begin() + static_cast<long>(size)); // so that a read beyond is caught
        char text[RAIIAF_DIGEST_SIZE] = "x";
        test::Error error;
        raiiaf_status status = raiiaf_pixels_of_image(exact.data(), size, nullptr, text, &error);
        EXPECT_TRUE(test::bad(size < 8 ? RAIIAF_ERROR_UNSUPPORTED : RAIIAF_ERROR_DAMAGED, status, error)) << size;
        EXPECT_STREQ("", text) << size;
    }
}

INSTANTIATE_TEST_SUITE_P(All, EveryPng, testing::ValuesIn(test::png_kinds()),
                         [](const auto &kind) { return test::name_of(kind.param); });

TEST(PixelsOfImage, AreTheSameHoweverThePngWasWritten)
{
    Picture picture(64, 48, {PNG_COLOR_TYPE_RGB, 8}), interlaced = picture;
    interlaced.kind.interlaced = true;
    std::string plain = picture.png(0);
    ASSERT_NE(plain, picture.png(9));
    EXPECT_EQ(digest_of_image(plain), digest_of_image(picture.png(9)));
    EXPECT_EQ(digest_of_image(plain), digest_of_image(interlaced.png()));
    /* Colour management is the viewer's affair: gamma, chromaticities and sBIT leave samples alone. */
    std::string marked =
        test::with_chunks(plain, test::png_chunk("gAMA", test::be32(45455)) + test::png_chunk("sBIT", "\5\6\5") +
                                     test::png_chunk("tEXt", std::string("a\0b", 3)));
    EXPECT_EQ(digest_of_image(plain), digest_of_image(marked));
}

TEST(PixelsOfImage, DamagedTextDoesNotMatter)
{
    Picture picture(16, 16, {PNG_COLOR_TYPE_RGB, 8});
    std::string bad =
        test::png_chunk("zTXt", std::string("k\0\0garbage", 10)) + test::png_chunk("iCCP", "not a profile");
    bad[bad.size() - 1] ^= 1; // a wrong CRC too
    EXPECT_EQ(picture.digest(), digest_of_image(test::with_chunks(picture.png(), bad)));
}

TEST(PixelsOfImage, DecodesPngOnly)
{
    char text[RAIIAF_DIGEST_SIZE];
    for (const std::string &image : {std::string("\xFF\xD8\xFF\xE0"), std::string("GIF89a"), std::string()})
        EXPECT_BAD(RAIIAF_ERROR_UNSUPPORTED, raiiaf_pixels_of_image(image.data(), image.size(), nullptr, text, &error));
}

TEST(PixelsOfImage, ObeysTheLimits)
{
    raiiaf_limits limits;
    raiiaf_limits_default(&limits);
    Picture picture(100, 100, {PNG_COLOR_TYPE_GRAY, 8, true});
    std::string png = picture.png();
    char text[RAIIAF_DIGEST_SIZE];
    limits.memory = 100 * 100 * 8 - 1;
    EXPECT_BAD(RAIIAF_ERROR_LIMIT, raiiaf_pixels_of_image(png.data(), png.size(), &limits, text, &error));
    limits.memory++;
    EXPECT_GOOD(raiiaf_pixels_of_image(png.data(), png.size(), &limits, text, &error));
    limits.memory = 0;
    EXPECT_GOOD(raiiaf_pixels_of_image(png.data(), png.size(), &limits, text, &error));

    /* A head that tells of a picture beyond all memory. */
    std::string huge = png;
    huge.replace(
        8, 25,
        test::png_chunk("IHDR", test::be32(0x7FFFFFFF) + test::be32(0x7FFFFFFF) + std::string("\x10\6\0\0\1", 5)));
    EXPECT_BAD(RAIIAF_ERROR_LIMIT, raiiaf_pixels_of_image(huge.data(), huge.size(), nullptr, text, &error));
}

TEST(PixelsOfImage, SurvivesDamage)
{
    Noise noise(9);
    std::vector<PngKind> kinds = test::png_kinds();
    raiiaf_limits limits;
    raiiaf_limits_default(&limits);
    limits.memory = 1 << 20;
    for (int round = 0; round < 3000; round++) {
        std::string png =
            Picture(1 + static_cast<uint32_t>(noise.below(12)), 7, kinds[noise.below(kinds.size())]).png();
        for (size_t hits = 1 + noise.below(4); hits--;)
            png[noise.below(png.size())] = static_cast<char>(noise.byte());
        std::vector<char> exact(png.begin(),
                                png.end() - static_cast<long>(noise.below(3) ? 0 : noise.below(png.size())));
        char text[RAIIAF_DIGEST_SIZE] = "x";
        raiiaf_status status = raiiaf_pixels_of_image(exact.data(), exact.size(), &limits, text, nullptr);
        EXPECT_EQ(status == RAIIAF_OK, text[0] != 0);
    }
}

} // namespace
