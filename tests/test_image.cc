// SPDX-License-Identifier: MIT
//
// test_image.cc - what the first bytes of an image tell, and what becomes of a file that is given another image.
#include "pictures.h"
#include "support.h"

namespace
{

using namespace std::string_literals;
using test::be16;
using test::be32;
using test::File;
using test::Json;
using test::le16;
using test::le32;
using test::Noise;
using test::Picture;
using test::PngKind;

bool probe(std::string_view bytes, raiiaf_image_info *info)
{
    std::vector<char> exact(bytes.begin(), bytes.end()); // so that a read beyond is caught
    return raiiaf_image_probe_memory(exact.data(), exact.size(), info);
}

bool same(const raiiaf_image_info &a, const raiiaf_image_info &b)
{
    return a.format == b.format && a.width == b.width && a.height == b.height && a.depth == b.depth &&
           a.channels == b.channels && a.palette == b.palette && a.alpha == b.alpha && a.cmyk == b.cmyk &&
           a.interlaced == b.interlaced && a.keyed == b.keyed;
}

// What libpng says of a PNG.
raiiaf_image_info by_libpng(const std::string &png)
{
    struct Input {
        const std::string &bytes;
        size_t at;
    } input{png, 0};
    raiiaf_image_info info{};
    png_structp reader = png_create_read_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
    png_infop told = png_create_info_struct(reader);
    if (setjmp(png_jmpbuf(reader))) {
        ADD_FAILURE() << "libpng can't read it";
        png_destroy_read_struct(&reader, &told, nullptr);
        return info;
    }
    png_set_read_fn(reader, &input, [](png_structp from, png_bytep out, size_t size) {
        auto *in = static_cast<Input *>(png_get_io_ptr(from));
        if (size > in->bytes.size() - in->at)
            png_error(from, "end");
        memcpy(out, in->bytes.data() + in->at, size);
        in->at += size;
    });
    png_read_info(reader, told);
    unsigned colour = png_get_color_type(reader, told);
    info.format = RAIIAF_IMAGE_PNG;
    info.width = png_get_image_width(reader, told);
    info.height = png_get_image_height(reader, told);
    info.palette = colour == PNG_COLOR_TYPE_PALETTE;
    info.depth = info.palette ? 8 : png_get_bit_depth(reader, told);
    info.alpha = (colour & PNG_COLOR_MASK_ALPHA) || png_get_valid(reader, told, PNG_INFO_tRNS);
    info.channels = (colour & PNG_COLOR_MASK_COLOR ? 3 : 1) + (info.alpha ? 1 : 0);
    info.keyed = png_get_valid(reader, told, PNG_INFO_tRNS) != 0;
    info.interlaced = png_get_interlace_type(reader, told) != PNG_INTERLACE_NONE;
    png_destroy_read_struct(&reader, &told, nullptr);
    return info;
}

// A source that counts how often it is asked.
struct Counting {
    std::string bytes;
    int reads = 0;
    raiiaf_source source()
    {
        raiiaf_source made{};
        made.user = this;
        made.name = "counted";
        made.size = bytes.size();
        made.read_at = [](void *user, uint64_t offset, void *out, size_t size) -> int64_t {
            auto *self = static_cast<Counting *>(user);
            self->reads++;
            memcpy(out, self->bytes.data() + offset, size);
            return static_cast<int64_t>(size);
        };
        return made;
    }
};

class GoldenImage : public testing::TestWithParam<std::string>
{
  protected:
    std::string bytes() const
    {
        std::filesystem::path folder = test::data_folder() / "golden";
        return test::slurp(folder / Json(folder / (GetParam() + ".json"))["file"].text());
    }
};

TEST_P(GoldenImage, TellsItsFormInThreeReads)
{
    Counting counting{bytes()};
    raiiaf_source source = counting.source();
    File file;
    raiiaf_image_info info;
    ASSERT_GOOD(raiiaf_open(&file, &source, nullptr, &error));
    if (raiiaf_image_chunk(file) == RAIIAF_NONE) {
        EXPECT_BAD(RAIIAF_ERROR_MISSING, raiiaf_image_probe(file, &info, &error));
        return;
    }
    ASSERT_GOOD(raiiaf_image_probe(file, &info, &error));
    EXPECT_LE(counting.reads, 3);
    std::string image = test::read_chunk(file, raiiaf_image_chunk(file));
    raiiaf_image_info expected{};
    if (image.compare(0, 4, "\x89PNG") == 0)
        expected = by_libpng(image);
    else if (GetParam() == "img_is_jpeg")
        expected = {RAIIAF_IMAGE_JPEG, 96, 72, 8, 3, false, false, false, false, false};
    else if (GetParam() == "img_is_webp")
        expected = {RAIIAF_IMAGE_WEBP, 96, 72, 8, 3, false, false, false, false, false};
    EXPECT_TRUE(same(expected, info)) << raiiaf_image_format_name(info.format) << " " << info.width << "x"
                                      << info.height << " depth " << info.depth << " channels " << info.channels;
}

INSTANTIATE_TEST_SUITE_P(All, GoldenImage, testing::ValuesIn(test::stories("golden")), test::story_name);

TEST(ImageProbe, TellsOfPngWhatLibpngTells)
{
    for (const PngKind &kind : test::png_kinds()) {
        std::string png = Picture(7, 5, kind).png();
        raiiaf_image_info info;
        EXPECT_TRUE(probe(png, &info)) << kind;
        EXPECT_TRUE(same(by_libpng(png), info)) << kind;
    }
}

struct Head {
    const char *name;
    std::string bytes;
    raiiaf_image_info info;
};

std::string jpeg_frame(unsigned marker, unsigned precision, unsigned height, unsigned width, unsigned components)
{
    return test::jpeg_segment(marker, std::string(1, static_cast<char>(precision)) + be16(height) + be16(width) +
                                          static_cast<char>(components) + std::string(3 * components, 1));
}

std::string bmp(uint32_t header_size, const std::string &fields)
{
    std::string header = le32(header_size) + fields;
    header.resize(header_size);
    return "BM" + le32(1000) + le32(0) + le32(54) + header;
}

std::string bmp_info(uint32_t header_size, uint32_t width, uint32_t height, unsigned bits, uint32_t alpha = 0)
{
    return bmp(header_size, le32(width) + le32(height) + le16(1) + le16(bits) + le32(alpha ? 3 : 0) +
                                std::string(20, '\0') + le32(0xFF0000) + le32(0xFF00) + le32(0xFF) + le32(alpha));
}

std::vector<Head> heads()
{
    const auto png = RAIIAF_IMAGE_PNG;
    const auto jpeg = RAIIAF_IMAGE_JPEG;
    const auto webp = RAIIAF_IMAGE_WEBP;
    const auto bm = RAIIAF_IMAGE_BMP;
    std::string soi = "\xFF\xD8";
    std::string app0 = test::jpeg_segment(0xE0, "JFIF\0\1\1\0\0\1\0\1\0\0"s);
    std::string exif = test::jpeg_segment(0xE1, "Exif\0\0"s + soi + jpeg_frame(0xC0, 8, 1, 1, 1)); // with a thumbnail
    std::string tables = test::jpeg_segment(0xDB, std::string(65, 1)) + test::jpeg_segment(0xC4, std::string(20, 2));
    std::string sos = test::jpeg_segment(0xDA, std::string(10, 1)) + "scan";
    std::string rgb = Picture(300, 200, {PNG_COLOR_TYPE_RGB, 8}).png();
    std::string palette = Picture(3, 2, {PNG_COLOR_TYPE_PALETTE, 2, false, true}).png();
    std::string much_text = test::png_chunk("tEXt", "parameters\0"s + std::string(500, 'x'));
    return {
        {"png_rgb", rgb, {png, 300, 200, 8, 3, false, false, false, false, false}},
        {"png_text_before_tRNS",
         test::with_chunks(palette, much_text),
         {png, 3, 2, 8, 4, true, true, false, false, true}},
        {"jpeg_gray",
         soi + app0 + tables + jpeg_frame(0xC0, 8, 20, 30, 1) + sos,
         {jpeg, 30, 20, 8, 1, false, false, false, false, false}},
        {"jpeg_thumbnail",
         soi + exif + app0 + jpeg_frame(0xC0, 8, 0x1234, 0x4321, 3) + sos,
         {jpeg, 0x4321, 0x1234, 8, 3, false, false, false, false, false}},
        {"jpeg_progressive",
         soi + app0 + jpeg_frame(0xC2, 8, 5, 6, 3) + sos,
         {jpeg, 6, 5, 8, 3, false, false, false, true, false}},
        {"jpeg_cmyk",
         soi + test::jpeg_segment(0xEE, "Adobe\0d\0\0\0\0\0"s) + jpeg_frame(0xC1, 8, 5, 6, 4) + sos,
         {jpeg, 6, 5, 8, 4, false, false, true, false, false}},
        {"jpeg_12_bits",
         soi + jpeg_frame(0xC1, 12, 5, 6, 1) + sos,
         {jpeg, 6, 5, 16, 1, false, false, false, false, false}},
        {"jpeg_fill_bytes",
         soi + "\xFF\xFF\xFF" + app0.substr(1) + "junk\xFF" + jpeg_frame(0xC0, 8, 5, 6, 3) + sos,
         {jpeg, 6, 5, 8, 3, false, false, false, false, false}},
        {"jpeg_without_frame", soi + app0 + sos, {jpeg, 0, 0, 0, 0, false, false, false, false, false}},
        {"webp_lossy",
         test::webp(test::riff_chunk("VP8 ", "\x30\1\0\x9D\1\x2A"s + le16(0x4000 | 320) + le16(240) + "data")),
         {webp, 320, 240, 8, 3, false, false, false, false, false}},
        {"webp_lossless",
         test::webp(test::riff_chunk("VP8L", "\x2F"s + le32(99 | 49 << 14) + "data")),
         {webp, 100, 50, 8, 3, false, false, false, false, false}},
        {"webp_lossless_alpha",
         test::webp(test::riff_chunk("VP8L", "\x2F"s + le32(16383 | 16383 << 14 | 1 << 28) + "d")),
         {webp, 16384, 16384, 8, 4, false, true, false, false, false}},
        {"webp_extended",
         test::webp(test::riff_chunk("VP8X", "\x08\0\0\0"s + "\x3F\1\0"s + "\xEF\0\1"s)),
         {webp, 320, 65776, 8, 3, false, false, false, false, false}},
        {"webp_extended_alpha",
         test::webp(test::riff_chunk("VP8X", "\x10\0\0\0"s + "\0\0\0"s + "\1\0\0"s)),
         {webp, 1, 2, 8, 4, false, true, false, false, false}},
        {"webp_unknown_chunk",
         test::webp(test::riff_chunk("ABCD", "0123456789")),
         {webp, 0, 0, 0, 0, false, false, false, false, false}},
        {"bmp_core",
         bmp(12, le16(30) + le16(20) + le16(1) + le16(24)),
         {bm, 30, 20, 8, 3, false, false, false, false, false}},
        {"bmp_palette", bmp_info(40, 30, 20, 4), {bm, 30, 20, 8, 3, true, false, false, false, false}},
        {"bmp_top_down",
         bmp_info(40, 30, static_cast<uint32_t>(-20), 24),
         {bm, 30, 20, 8, 3, false, false, false, false, false}},
        {"bmp_smallest",
         bmp_info(40, 30, 0x80000000u, 24),
         {bm, 30, 0x80000000u, 8, 3, false, false, false, false, false}},
        {"bmp_v4_alpha", bmp_info(108, 30, 20, 32, 0xFF000000), {bm, 30, 20, 8, 4, false, true, false, false, false}},
        {"bmp_v5", bmp_info(124, 30, 20, 32), {bm, 30, 20, 8, 3, false, false, false, false, false}},
        {"text_that_begins_BM", "BMW is a maker of cars", {}},
        {"riff_wave", "RIFF\x24\0\0\0WAVEfmt "s, {}},
        {"gif", "GIF89a\1\0\1\0", {}},
        {"jpeg2000", "\0\0\0\x0CjP  "s, {}},
    };
}

TEST(ImageProbe, KnowsTheHeadsOfItsFormats)
{
    for (const Head &head : heads()) {
        raiiaf_image_info info;
        EXPECT_TRUE(probe(head.bytes, &info)) << head.name;
        EXPECT_TRUE(same(head.info, info))
            << head.name << ": " << raiiaf_image_format_name(info.format) << " " << info.width << "x" << info.height
            << " depth " << info.depth << " channels " << info.channels;
    }
}

TEST(ImageProbe, AsksForMoreUntilItKnowsAndThenStaysWithIt)
{
    for (const Head &head : heads()) {
        bool decided = false;
        for (size_t size = 0; size <= std::min<size_t>(head.bytes.size(), 1500); size++) {
            raiiaf_image_info info;
            bool now = probe(std::string_view(head.bytes).substr(0, size), &info);
            EXPECT_TRUE(now || !decided) << head.name << " forgot at " << size;
            decided = now;
            if (now) {
                EXPECT_TRUE(same(head.info, info)) << head.name << " at " << size;
            }
        }
    }
    raiiaf_image_info info;
    EXPECT_FALSE(raiiaf_image_probe_memory(nullptr, 0, &info));
    EXPECT_EQ(RAIIAF_IMAGE_UNKNOWN, info.format);
}

TEST(ImageProbe, TellsTheSizeOfAPngBeforeItsTextIsThere)
{
    std::string png = test::with_chunks(Picture(300, 200, {PNG_COLOR_TYPE_RGB, 8}).png(),
                                        test::png_chunk("iCCP", std::string(5000, 'p')));
    raiiaf_image_info info;
    EXPECT_FALSE(probe(png.substr(0, 1000), &info));
    EXPECT_EQ(300u, info.width);
    EXPECT_EQ(200u, info.height);
    EXPECT_EQ(3u, info.channels);
}

TEST(ImageProbe, SurvivesDamage)
{
    Noise noise(1);
    std::vector<Head> all = heads();
    raiiaf_image_info info;
    for (int round = 0; round < 50000; round++) {
        std::string bytes = all[noise.below(all.size())].bytes;
        for (size_t hits = 1 + noise.below(8); hits--;)
            bytes[noise.below(std::min<size_t>(bytes.size(), 80))] = static_cast<char>(noise.byte());
        probe(std::string_view(bytes).substr(0, noise.below(bytes.size() + 1)), &info);
        EXPECT_LE(info.channels, 4u);
        EXPECT_STRNE("", raiiaf_image_format_name(info.format));
    }
}

TEST(ImageProbe, ReadsOnUntilTheTextEnds)
{
    for (size_t text : {100u, 70000u, 900000u, 3000000u}) {
        std::string png = test::with_chunks(Picture(9, 7, {PNG_COLOR_TYPE_PALETTE, 8, false, true}).png(),
                                            test::png_chunk("tEXt", "workflow\0"s + std::string(text, 'w')));
        File made, file;
        ASSERT_GOOD(raiiaf_new(&made, nullptr, &error));
        ASSERT_GOOD(raiiaf_image_set(made, png.data(), png.size(), nullptr, &error));
        Counting counting{test::save_bytes(made)};
        raiiaf_source source = counting.source();
        ASSERT_GOOD(raiiaf_open(&file, &source, nullptr, &error));
        raiiaf_image_info info;
        ASSERT_GOOD(raiiaf_image_probe(file, &info, &error));
        EXPECT_LE(counting.reads, text < 60000 ? 3 : 4) << text;
        EXPECT_EQ(9u, info.width) << text;
        EXPECT_EQ(text < 1000000 ? 4u : 3u, info.channels) << text; // beyond a MiB it says what it has seen
    }
}

TEST(ImageProbe, AnEmptyImageIsOne)
{
    File file;
    raiiaf_image_info info;
    ASSERT_GOOD(raiiaf_new(&file, nullptr, &error));
    ASSERT_GOOD(raiiaf_image_set(file, "", 0, nullptr, &error));
    ASSERT_GOOD(raiiaf_image_probe(file, &info, &error));
    EXPECT_EQ(RAIIAF_IMAGE_UNKNOWN, info.format);
    EXPECT_EQ(0u, info.width);
}

// ---- another image ----

size_t stale_latents(const raiiaf_file *file)
{
    size_t count = 0;
    for (size_t i : test::chunks_of(file, "LATN"))
        count += test::chunk_info(file, i).stale;
    return count;
}

// A file with two latents, an environment and `image` (none if empty), as opened from its bytes.
class Edited : public testing::Test
{
  protected:
    void open(const std::string &image)
    {
        File made;
        const uint32_t shape[] = {1, 4, 2, 2};
        const float tensor[16] = {1, 2, 3};
        ASSERT_GOOD(raiiaf_new(&made, nullptr, &error));
        for (const char *key : {"a", "b"})
            ASSERT_GOOD(raiiaf_latent_add(made, key, shape, 4, RAIIAF_FLOAT32, tensor, sizeof tensor, &error));
        if (!image.empty()) {
            ASSERT_GOOD(raiiaf_image_set(made, image.data(), image.size(), nullptr, &error));
        }
        ASSERT_EQ(0u, stale_latents(made));
        file.close();
        bytes = test::save_bytes(made);
        ASSERT_GOOD(test::open_bytes(file, bytes, &error));
        ASSERT_FALSE(raiiaf_edited(file));
    }
    void set(const std::string &image, const char *digest = nullptr)
    {
        ASSERT_NE(nullptr, static_cast<raiiaf_file *>(file));
        ASSERT_GOOD(raiiaf_image_set(file, image.data(), image.size(), digest, &error));
        size_t chunk = raiiaf_image_chunk(file);
        ASSERT_NE(RAIIAF_NONE, chunk);
        EXPECT_TRUE(image == test::read_chunk(file, chunk));
        EXPECT_EQ(1u, test::chunks_of(file, "DATA").size());
    }
    // As it is after saving and opening again.
    size_t stale_when_saved() const
    {
        std::string saved = test::save_bytes(file);
        File again;
        test::Error error;
        EXPECT_TRUE(test::good(test::open_bytes(again, saved, &error), error));
        EXPECT_EQ(stale_latents(file), stale_latents(again));
        return stale_latents(again);
    }
    std::string bytes;
    File file;
};

const PngKind rgb8 = {PNG_COLOR_TYPE_RGB, 8, false, false};

TEST_F(Edited, TheSameBytesChangeNothing)
{
    std::string png = Picture(20, 10, rgb8).png();
    open(png);
    set(png);
    EXPECT_FALSE(raiiaf_edited(file));
    EXPECT_TRUE(bytes == test::save_bytes(file));
}

TEST_F(Edited, TheSamePictureLeavesLatentsFresh)
{
    Picture picture(20, 10, rgb8), interlaced = picture;
    interlaced.kind.interlaced = true;
    open(picture.png(9));
    set(picture.png(0));
    EXPECT_TRUE(raiiaf_edited(file));
    set(interlaced.png());
    set(test::with_chunks(picture.png(1), test::png_chunk("tEXt", "a\0b"s)));
    EXPECT_EQ(0u, stale_when_saved());
}

TEST_F(Edited, AnotherPictureMakesThemStale)
{
    open(Picture(20, 10, rgb8, 1).png());
    set(Picture(20, 10, rgb8, 2).png());
    EXPECT_TRUE(raiiaf_edited(file));
    EXPECT_EQ(2u, stale_when_saved());
}

TEST_F(Edited, ADetourThroughAnotherFormKeepsThemFresh)
{
    // gray as RGB, RGB as RGBA, a palette as its colours, 8 bits as 16, each with the very same pixels
    Picture gray(20, 10, {PNG_COLOR_TYPE_GRAY, 8, false, false}), rgb = gray, rgba = gray, deep = gray;
    rgb.kind.colour = PNG_COLOR_TYPE_RGB;
    rgba.kind.colour = PNG_COLOR_TYPE_RGBA;
    deep.kind.depth = 16;
    rgb.samples.clear();
    rgba.samples.clear();
    deep.samples.clear();
    for (uint16_t sample : gray.samples) {
        rgb.samples.insert(rgb.samples.end(), 3, sample);
        rgba.samples.insert(rgba.samples.end(), {sample, sample, sample, 255});
        deep.samples.push_back(static_cast<uint16_t>(sample * 257));
    }
    for (const Picture *form : {&rgb, &rgba, &deep}) {
        open(gray.png());
        set(form->png());
        EXPECT_EQ(0u, stale_when_saved()) << form->kind;
    }
    deep.samples[7] ^= 1; // a difference that only 16 bits can tell
    open(gray.png());
    set(deep.png());
    EXPECT_EQ(2u, stale_when_saved());
    rgba.samples[3] = 254;
    open(gray.png());
    set(rgba.png());
    EXPECT_EQ(2u, stale_when_saved());
}

TEST_F(Edited, ADigestOfTheCallerSaysWhetherThePictureIsTheSame)
{
    Picture picture(20, 10, rgb8, 1), other(20, 10, rgb8, 2);
    std::string jpeg = "\xFF\xD8\xFF\xD9 not decoded";
    open(picture.png());
    set(jpeg, picture.digest().c_str());
    EXPECT_EQ(0u, stale_latents(file));
    set(picture.png(), picture.digest(4, 8).c_str()); // told with alpha, which it hasn't
    EXPECT_EQ(0u, stale_latents(file));
    set(jpeg + "again", raiiaf_capsule_digest(file)); // the file's own
    EXPECT_EQ(0u, stale_latents(file));
    EXPECT_STREQ(picture.digest(4, 8).c_str(), raiiaf_capsule_digest(file));
    set(jpeg, other.digest().c_str());
    EXPECT_EQ(2u, stale_when_saved());
}

TEST_F(Edited, WhatCannotBeComparedIsNotTheSame)
{
    open(Picture(20, 10, rgb8).png());
    set("\xFF\xD8\xFF\xD9 not decoded");
    EXPECT_EQ(2u, stale_latents(file));

    open("\xFF\xD8\xFF\xD9 not decoded");
    set(Picture(20, 10, rgb8).png(), Picture(20, 10, rgb8).digest().c_str());
    EXPECT_EQ(2u, stale_latents(file));
}

TEST_F(Edited, AFirstImageMakesNothingStale)
{
    open("");
    set(Picture(20, 10, rgb8).png());
    EXPECT_EQ(0u, stale_when_saved());
}

TEST_F(Edited, AMalformedDigestIsRefused)
{
    std::string png = Picture(20, 10, rgb8).png();
    open("");
    EXPECT_BAD(RAIIAF_ERROR_ARGUMENT, raiiaf_image_set(file, png.data(), png.size(), "xxh3-128:1x1", &error));
    EXPECT_FALSE(raiiaf_edited(file));
    EXPECT_EQ(RAIIAF_NONE, raiiaf_image_chunk(file));
}

TEST_F(Edited, TooLittleMemoryChangesNothing)
{
    std::string png = Picture(64, 64, rgb8, 1).png(0), other = Picture(64, 64, rgb8, 2).png(0);
    open(png);
    raiiaf_limits limits;
    raiiaf_limits_default(&limits);
    limits.memory = other.size(); // the manifest takes of it too
    raiiaf_open_options options = {&limits, nullptr, nullptr};
    File small;
    ASSERT_GOOD(test::open_bytes(small, bytes, &error, &options));
    EXPECT_BAD(RAIIAF_ERROR_LIMIT, raiiaf_image_set(small, other.data(), other.size(), nullptr, &error));
    EXPECT_FALSE(raiiaf_edited(small));
    EXPECT_TRUE(bytes == test::save_bytes(small));
}

TEST_F(Edited, RecordsKeepWhatTheUserPutThere)
{
    std::string golden = test::slurp(test::data_folder() / "golden" / "extra_image.raiiaf");
    ASSERT_GOOD(test::open_bytes(file, golden, &error));
    std::string pointer = "/chunks/" + std::to_string(raiiaf_image_chunk(file)) + "/extra";
    std::string extra = test::get(file, pointer.c_str());
    ASSERT_NE("{}", extra);
    set(Picture(20, 10, rgb8).png());
    std::string saved = test::save_bytes(file);
    File again;
    ASSERT_GOOD(test::open_bytes(again, saved, &error));
    EXPECT_EQ(extra, test::get(again, pointer.c_str()));
}

TEST_F(Edited, ADamagedImageCanBeReplaced)
{
    open(Picture(64, 64, rgb8).png(0));
    size_t image = raiiaf_image_chunk(file);
    bytes[test::chunk_info(file, image).offset + 500] ^= 1;
    std::vector<std::string> warnings;
    raiiaf_open_options options{};
    options.warning_user = &warnings;
    options.warning = [](void *user, const raiiaf_error *warning) {
        static_cast<std::vector<std::string> *>(user)->push_back(warning->id);
    };
    File damaged;
    ASSERT_GOOD(test::open_bytes(damaged, bytes, &error, &options));
    std::string png = Picture(5, 5, rgb8).png();
    ASSERT_GOOD(raiiaf_image_set(damaged, png.data(), png.size(), nullptr, &error));
    EXPECT_EQ(std::vector<std::string>{"image-damaged"}, warnings);
    EXPECT_TRUE(png == test::read_chunk(damaged, image));
    EXPECT_EQ(2u, stale_latents(damaged));
}

TEST_F(Edited, TheImageCanBeTakenOut)
{
    Picture picture(20, 10, rgb8);
    std::string text = test::png_chunk("tEXt", "parameters\0a cat\nSteps: 20"s);
    open(test::with_chunks(picture.png(), text));
    ASSERT_GOOD(raiiaf_image_remove(file, &error));
    EXPECT_TRUE(raiiaf_edited(file));
    EXPECT_EQ(RAIIAF_NONE, raiiaf_image_chunk(file));
    EXPECT_EQ("\"a cat\\nSteps: 20\"", test::get(file, "/source/carriers/0/text"));
    EXPECT_EQ(0u, stale_when_saved());
    EXPECT_BAD(RAIIAF_ERROR_MISSING, raiiaf_image_remove(file, &error));

    // The picture that latents belong to is remembered.
    set(picture.png());
    EXPECT_EQ(0u, stale_when_saved());
    ASSERT_GOOD(raiiaf_image_remove(file, &error));
    set(Picture(20, 10, rgb8, 5).png());
    EXPECT_EQ(2u, stale_when_saved());
}

// ---- a capsule that was joined without its image ----

class Joined : public Edited
{
  protected:
    void join(const std::string &image, const char *digest)
    {
        open(image);
        test::Buffer capsule;
        ASSERT_GOOD(raiiaf_capsule_make(file, digest, 0, &capsule, &error));
        capsule_bytes = capsule.bytes();
        file.close();
        ASSERT_GOOD(test::open_bytes(file, capsule_bytes, &error));
        ASSERT_GOOD(raiiaf_capsule_join(file, nullptr, 0, &error));
    }
    std::string capsule_bytes;
};

TEST_F(Joined, RemembersThePicture)
{
    Picture picture(20, 10, rgb8, 1);
    join(picture.png(), nullptr);
    set(picture.png(0));
    EXPECT_EQ(0u, stale_when_saved());
    join(picture.png(), nullptr);
    set(Picture(20, 10, rgb8, 2).png());
    EXPECT_EQ(2u, stale_when_saved());
}

TEST_F(Joined, KnowsTheImageByItsBytes)
{
    std::string jpeg = "\xFF\xD8\xFF\xD9 not decoded";
    join(jpeg, nullptr);
    set(jpeg);
    EXPECT_EQ(0u, stale_when_saved());
    join(jpeg, nullptr);
    set(jpeg + " either");
    EXPECT_EQ(2u, stale_when_saved());
}

// ---- import ----

TEST(Import, TakesTheImageAsItIsAndInventsNothing)
{
    std::string png = test::with_chunks(Picture(20, 10, rgb8).png(), test::png_chunk("tEXt", "Comment\0a cat"s));
    File file;
    raiiaf_import_options options = {};
    options.file_name = "cat.png";
    options.modified = 1000000000;
    ASSERT_GOOD(raiiaf_import(&file, png.data(), png.size(), &options, nullptr, &error));
    EXPECT_STREQ("cat.png", raiiaf_name(file));
    EXPECT_EQ("\"2001-09-09T01:46:40+00:00\"", test::get(file, "/model_info/date"));
    EXPECT_EQ("\"\"", test::get(file, "/model_info/prompt"));
    EXPECT_EQ("(none)", test::get(file, "/model_info/generation_settings"));
    EXPECT_TRUE(png == test::read_chunk(file, raiiaf_image_chunk(file)));
    std::string saved = test::save_bytes(file);
    File again;
    ASSERT_GOOD(test::open_bytes(again, saved, &error));
    EXPECT_TRUE(png == test::read_chunk(again, raiiaf_image_chunk(again)));
    EXPECT_GOOD(raiiaf_verify(again, 1, nullptr, nullptr, &error));
}

TEST(Import, TakesTheDateOfTheBuildWhereTheFileHasNone)
{
    const char *former = getenv("SOURCE_DATE_EPOCH");
    std::string kept = former ? former : "";
    setenv("SOURCE_DATE_EPOCH", "1234567890", 1);
    File file;
    std::string png = Picture(2, 1, rgb8).png();
    ASSERT_GOOD(raiiaf_import(&file, png.data(), png.size(), nullptr, nullptr, &error));
    EXPECT_EQ("\"2009-02-13T23:31:30+00:00\"", test::get(file, "/model_info/date"));
    if (former)
        setenv("SOURCE_DATE_EPOCH", kept.c_str(), 1);
    else
        unsetenv("SOURCE_DATE_EPOCH");
}

TEST(Import, RefusesNothingAtAll)
{
    File file;
    EXPECT_BAD(RAIIAF_ERROR_FORMAT, raiiaf_import(&file, "", 0, nullptr, nullptr, &error));
    EXPECT_EQ(nullptr, static_cast<raiiaf_file *>(file));
}

} // namespace
