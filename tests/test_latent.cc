// SPDX-License-Identifier: MIT
//
// test_latent.cc - adding latents, figures about them, and pictures of them.
#include "support.h"

#include <cfloat>
#include <cmath>
#include <limits>
#include <random>

namespace
{

using test::Buffer;
using test::Error;
using test::File;

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float nan_value = std::numeric_limits<float>::quiet_NaN();

template <typename Number> size_t bytes_of(const std::vector<Number> &values)
{
    return values.size() * sizeof(Number);
}

// ---- adding ----

class LatentAdd : public testing::Test
{
  protected:
    void SetUp() override
    {
        ASSERT_GOOD(raiiaf_new(&file, nullptr, &error));
    }

    raiiaf_status add(const std::vector<uint32_t> &shape, raiiaf_dtype dtype, const void *data, size_t size,
                      raiiaf_error *error, const char *key = "noise")
    {
        return raiiaf_latent_add(file, key, shape.data(), static_cast<unsigned>(shape.size()), dtype, data, size,
                                 error);
    }

    File file;
};

TEST_F(LatentAdd, KeepsTheTensorAndTellsItsShape)
{
    std::vector<float> values(2 * 3 * 4 * 5);
    for (size_t i = 0; i < values.size(); i++)
        values[i] = static_cast<float>(i) - 7.5f;
    std::vector<uint16_t> halves(6, 0x3C00);
    ASSERT_GOOD(add({2, 3, 4, 5}, RAIIAF_FLOAT32, values.data(), bytes_of(values), &error, "initial_noise"));
    ASSERT_GOOD(add({1, 1, 2, 3}, RAIIAF_FLOAT16, halves.data(), bytes_of(halves), &error, "half \"\xC3\xA9\""));
    std::string kept(reinterpret_cast<const char *>(values.data()), bytes_of(values));
    values.assign(values.size(), 0); // copied

    ASSERT_EQ(2u, raiiaf_latent_count(file));
    EXPECT_TRUE(raiiaf_edited(file));
    size_t first = raiiaf_latent_find(file, "initial_noise"), second = raiiaf_latent_find(file, "half \"\xC3\xA9\"");
    ASSERT_NE(RAIIAF_NONE, first);
    ASSERT_NE(RAIIAF_NONE, second);
    raiiaf_chunk_info info = test::chunk_info(file, first);
    EXPECT_EQ(RAIIAF_FLOAT32, info.dtype);
    EXPECT_EQ((std::vector<uint32_t>{2, 3, 4, 5}), std::vector<uint32_t>(info.shape, info.shape + info.rank));
    EXPECT_EQ(kept.size(), info.size);
    EXPECT_EQ(test::sha256(kept), info.sha256);
    EXPECT_EQ(kept, test::read_chunk(file, first));
    info = test::chunk_info(file, second);
    EXPECT_EQ(RAIIAF_FLOAT16, info.dtype);
    EXPECT_EQ(12u, test::read_chunk(file, second).size());

    // spelt as Python's json.dumps does
    std::string text = test::manifest(file);
    EXPECT_NE(std::string::npos, text.find(R"({"shape": [2, 3, 4, 5], "dtype": "float32", "key": "initial_noise"})"))
        << text;
    EXPECT_NE(std::string::npos, text.find(R"({"shape": [1, 1, 2, 3], "dtype": "float16", "key": "half \"\u00e9\""})"))
        << text;
}

TEST_F(LatentAdd, HoldsTheRulesOfTheReference)
{
    std::vector<float> values(16, 1.0f);
    size_t size = bytes_of(values);
    const std::vector<std::vector<uint32_t>> shapes = {
        {},           {16},          {4, 4},          {1, 4, 4},          {1, 1, 1, 4, 4},
        {0, 1, 4, 4}, {1, 1, 0, 16}, {1, 1, 1, 8193}, {8192, 8192, 2, 1}, {65536, 65536, 65536, 65536}};
    std::string before = test::manifest(file);
    for (const auto &shape : shapes)
        EXPECT_BAD(RAIIAF_ERROR_SCHEMA, add(shape, RAIIAF_FLOAT32, values.data(), size, &error));
    EXPECT_BAD(RAIIAF_ERROR_SCHEMA, add({1, 1, 4, 4}, RAIIAF_DTYPE_NONE, values.data(), size, &error));
    EXPECT_BAD(RAIIAF_ERROR_ARGUMENT, add({1, 1, 4, 4}, RAIIAF_FLOAT32, values.data(), size - 1, &error));
    EXPECT_BAD(RAIIAF_ERROR_ARGUMENT, add({1, 1, 4, 4}, RAIIAF_FLOAT16, values.data(), size, &error));
    EXPECT_BAD(RAIIAF_ERROR_ARGUMENT, add({1, 1, 4, 4}, RAIIAF_FLOAT32, values.data(), size, &error, nullptr));
    EXPECT_EQ(0u, raiiaf_chunk_count(file));
    EXPECT_EQ(before, test::manifest(file));
    EXPECT_GOOD(add({1, 1, 4, 4}, RAIIAF_FLOAT32, values.data(), size, &error));
}

TEST_F(LatentAdd, RefusesNanInfinityAndKeysThatAreTaken)
{
    const size_t count = 5000;
    for (size_t at : {size_t(0), size_t(2047), size_t(2048), count - 1})
        for (float bad : {nan_value, infinity, -infinity}) {
            std::vector<float> values(count, 0.5f);
            values[at] = bad;
            Error error;
            EXPECT_EQ(RAIIAF_ERROR_SCHEMA,
                      add({1, 1, 1, count}, RAIIAF_FLOAT32, values.data(), bytes_of(values), &error));
            EXPECT_NE(nullptr, std::strstr(error.text, (" " + std::to_string(at) + " ").c_str())) << error.text;
        }
    for (uint16_t bad : {0x7C00, 0xFC00, 0x7E00, 0x7C01}) {
        std::vector<uint16_t> halves(count, 0x7BFF);
        std::string key = std::to_string(bad);
        EXPECT_GOOD(add({1, 1, 1, count}, RAIIAF_FLOAT16, halves.data(), bytes_of(halves), &error, key.c_str()));
        halves[4000] = bad;
        EXPECT_BAD(RAIIAF_ERROR_SCHEMA, add({1, 1, 1, count}, RAIIAF_FLOAT16, halves.data(), bytes_of(halves), &error));
    }
    std::vector<float> extremes = {FLT_MAX, -FLT_MAX, 1e-45f, -0.0f};
    EXPECT_GOOD(add({1, 1, 2, 2}, RAIIAF_FLOAT32, extremes.data(), bytes_of(extremes), &error));
    EXPECT_BAD(RAIIAF_ERROR_SCHEMA, add({1, 1, 2, 2}, RAIIAF_FLOAT32, extremes.data(), bytes_of(extremes), &error));
}

TEST(LatentAddLimits, AreTheCallers)
{
    raiiaf_limits limits;
    raiiaf_limits_default(&limits);
    limits.dimension = 10;
    limits.latent_elements = 50;
    raiiaf_open_options options{};
    options.limits = &limits;
    File file;
    ASSERT_GOOD(raiiaf_new(&file, &options, &error));
    std::vector<float> values(100, 1.0f);
    const uint32_t wide[] = {1, 1, 1, 11}, many[] = {1, 1, 10, 10}, good[] = {1, 1, 5, 10};
    EXPECT_BAD(RAIIAF_ERROR_SCHEMA, raiiaf_latent_add(file, "k", wide, 4, RAIIAF_FLOAT32, values.data(), 44, &error));
    EXPECT_BAD(RAIIAF_ERROR_SCHEMA, raiiaf_latent_add(file, "k", many, 4, RAIIAF_FLOAT32, values.data(), 400, &error));
    EXPECT_GOOD(raiiaf_latent_add(file, "k", good, 4, RAIIAF_FLOAT32, values.data(), 200, &error));
}

// ---- statistics ----

raiiaf_statistics statistics_of(const std::vector<float> &values)
{
    raiiaf_statistics statistics;
    Error error;
    EXPECT_EQ(RAIIAF_OK, raiiaf_latent_statistics(values.data(), bytes_of(values), RAIIAF_FLOAT32, &statistics, &error))
        << error.text;
    return statistics;
}

// The same by the definitions, in two passes.
void expect_statistics(const std::vector<float> &values)
{
    raiiaf_statistics got = statistics_of(values);
    long double sum = 0, squares = 0;
    uint64_t finite = 0, nans = 0;
    float low = FLT_MAX, high = -FLT_MAX;
    for (float value : values) {
        nans += std::isnan(value);
        if (!std::isfinite(value))
            continue;
        finite++;
        sum += value;
        low = std::min(low, value);
        high = std::max(high, value);
    }
    long double mean = finite ? sum / static_cast<long double>(finite) : 0;
    for (float value : values)
        if (std::isfinite(value))
            squares += (value - mean) * (value - mean);
    double deviation = finite ? static_cast<double>(sqrtl(squares / static_cast<long double>(finite))) : 0;
    EXPECT_EQ(values.size(), got.elements);
    EXPECT_EQ(nans, got.nans);
    EXPECT_EQ(values.size() - finite - nans, got.infinities);
    EXPECT_EQ(finite ? low : 0, got.minimum);
    EXPECT_EQ(finite ? high : 0, got.maximum);
    double scale = std::max({std::fabs(static_cast<double>(mean)), deviation, 1e-300});
    EXPECT_NEAR(static_cast<double>(mean), got.mean, scale * 1e-14);
    EXPECT_NEAR(deviation, got.deviation, deviation * 1e-12);
}

TEST(Statistics, AgreeWithTheDefinitions)
{
    std::mt19937 random(17);
    std::normal_distribution<float> normal;
    for (size_t count : {1, 2, 7, 8, 9, 2047, 2048, 2049, 20000})
        for (float offset : {0.0f, 1e6f, -3.0f})
            for (float scale : {1.0f, 1e-3f, 1e30f, 1e-40f})
                for (bool holes : {false, true}) {
                    std::vector<float> values(count);
                    for (float &value : values) {
                        value = offset + scale * normal(random);
                        unsigned hole = holes ? random() % 50 : 50;
                        value = hole == 0 ? nan_value : hole == 1 ? infinity : hole == 2 ? -infinity : value;
                    }
                    SCOPED_TRACE(testing::Message() << count << " " << offset << " " << scale << " " << holes);
                    expect_statistics(values);
                }
}

TEST(Statistics, OfNothing)
{
    expect_statistics({});
    expect_statistics({nan_value, infinity, -infinity, infinity});
}

TEST(Statistics, OfAConstantHaveNoDeviation)
{
    for (float constant : {0.1f, -1e30f, 1e-45f, 0.0f}) {
        raiiaf_statistics got = statistics_of(std::vector<float>(10001, constant));
        EXPECT_EQ(constant, got.mean);
        EXPECT_EQ(0, got.deviation);
        EXPECT_EQ(constant, got.minimum);
        EXPECT_EQ(constant, got.maximum);
    }
}

TEST(Statistics, OfHalvesAreThoseOfTheirValues)
{
    std::vector<uint16_t> halves(65536);
    std::vector<double> finite;
    for (size_t i = 0; i < halves.size(); i++) {
        halves[i] = static_cast<uint16_t>(i);
        int exponent = i >> 10 & 31, mantissa = i & 1023;
        double magnitude = exponent ? std::ldexp(1024 + mantissa, exponent - 25) : std::ldexp(mantissa, -24);
        if (exponent != 31)
            finite.push_back(i & 0x8000 ? -magnitude : magnitude);
    }
    double squares = 0;
    for (double value : finite)
        squares += value * value;
    raiiaf_statistics got;
    ASSERT_GOOD(raiiaf_latent_statistics(halves.data(), bytes_of(halves), RAIIAF_FLOAT16, &got, &error));
    EXPECT_EQ(65536u, got.elements);
    EXPECT_EQ(2u, got.infinities);
    EXPECT_EQ(2046u, got.nans);
    EXPECT_EQ(-65504, got.minimum);
    EXPECT_EQ(65504, got.maximum);
    EXPECT_NEAR(0, got.mean, 1e-10);
    EXPECT_NEAR(std::sqrt(squares / static_cast<double>(finite.size())), got.deviation, 1e-8);
}

TEST(Statistics, WantWholeElements)
{
    raiiaf_statistics got;
    char bytes[8] = {};
    EXPECT_BAD(RAIIAF_ERROR_ARGUMENT, raiiaf_latent_statistics(bytes, 7, RAIIAF_FLOAT32, &got, &error));
    EXPECT_BAD(RAIIAF_ERROR_ARGUMENT, raiiaf_latent_statistics(bytes, 3, RAIIAF_FLOAT16, &got, &error));
    EXPECT_BAD(RAIIAF_ERROR_ARGUMENT, raiiaf_latent_statistics(bytes, 8, RAIIAF_DTYPE_NONE, &got, &error));
    // not aligned, and nothing behind the end
    std::unique_ptr<char[]> odd(new char[9]{});
    EXPECT_GOOD(raiiaf_latent_statistics(odd.get() + 1, 8, RAIIAF_FLOAT32, &got, &error));
}

// ---- preview ----

struct Picture : raiiaf_picture {
    Picture() : raiiaf_picture()
    {
    }
    ~Picture()
    {
        raiiaf_picture_free(this);
    }
    Picture(const Picture &) = delete;
    Picture &operator=(const Picture &) = delete;
    const uint8_t *pixel(uint32_t x, uint32_t y) const
    {
        return rgb.data + 3 * (size_t(y) * width + x);
    }
    int gray(uint32_t x, uint32_t y) const
    {
        const uint8_t *p = pixel(x, y);
        EXPECT_EQ(p[0], p[1]);
        EXPECT_EQ(p[0], p[2]);
        return p[0];
    }
};

raiiaf_chunk_info tensor_info(const std::vector<uint32_t> &shape, raiiaf_dtype dtype = RAIIAF_FLOAT32)
{
    raiiaf_chunk_info info{};
    info.dtype = dtype;
    info.rank = static_cast<unsigned>(shape.size());
    std::copy(shape.begin(), shape.end(), info.shape);
    return info;
}

size_t elements_of(const std::vector<uint32_t> &shape)
{
    size_t elements = 1;
    for (uint32_t length : shape)
        elements *= length;
    return elements;
}

void draw(const std::vector<uint32_t> &shape, const std::vector<float> &values, Picture &picture)
{
    raiiaf_chunk_info info = tensor_info(shape);
    ASSERT_EQ(elements_of(shape), values.size());
    // of exactly its size
    std::unique_ptr<float[]> data(new float[values.size()]);
    std::copy(values.begin(), values.end(), data.get());
    ASSERT_GOOD(raiiaf_latent_preview(&info, data.get(), bytes_of(values), &picture, &error));
    ASSERT_EQ(size_t(3) * picture.width * picture.height, picture.rgb.size);
}

TEST(Preview, FourChannelsAreColours)
{
    // the four unit vectors, and black for what isn't a number
    const float factors[4][3] = {
        {0.298f, 0.207f, 0.208f}, {0.187f, 0.286f, 0.173f}, {-0.158f, 0.189f, 0.264f}, {-0.184f, -0.271f, -0.473f}};
    const uint32_t width = 6, height = 2, plane = width * height;
    std::vector<float> values(2 * 4 * plane, 0.0f);
    for (uint32_t c = 0; c < 4; c++)
        values[c * plane + c] = 1; // pixel (c, 0)
    values[4] = nan_value;         // pixel (4, 0)
    values[plane - 1] = infinity;  // pixel (5, 1)
    for (size_t i = 4 * plane; i < values.size(); i++)
        values[i] = 1000; // the second of the batch isn't shown
    Picture picture;
    draw({2, 4, height, width}, values, picture);
    ASSERT_EQ(width, picture.width);
    ASSERT_EQ(height, picture.height);
    for (uint32_t c = 0; c < 4; c++)
        for (int k = 0; k < 3; k++)
            EXPECT_NEAR((factors[c][k] + 1) * 127.5, picture.pixel(c, 0)[k], 0.51);
    EXPECT_EQ(0, picture.pixel(4, 0)[0]);
    EXPECT_EQ(255, picture.pixel(5, 1)[0]);
    EXPECT_EQ(128, picture.gray(0, 1));
}

TEST(Preview, ChannelsMayComeLast)
{
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    for (uint32_t channels : {4u, 16u}) {
        const uint32_t width = 40, height = 30;
        std::vector<float> first(channels * width * height), last(first.size());
        for (uint32_t c = 0; c < channels; c++)
            for (uint32_t i = 0; i < width * height; i++)
                first[c * width * height + i] = last[i * channels + c] = normal(random);
        Picture a, b;
        draw({1, channels, height, width}, first, a);
        draw({1, height, width, channels}, last, b);
        EXPECT_EQ(a.width, b.width);
        EXPECT_EQ(std::string(a.rgb.data, a.rgb.data + a.rgb.size), std::string(b.rgb.data, b.rgb.data + b.rgb.size));
    }
}

TEST(Preview, OtherChannelsAreAGridOfGray)
{
    // three channels of 2 x 2: columns 2, rows 2, the last cell empty
    std::vector<float> values = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
    Picture picture;
    draw({3, 2, 2}, values, picture);
    ASSERT_EQ(4u, picture.width);
    ASSERT_EQ(4u, picture.height);
    for (uint32_t c = 0; c < 3; c++)
        for (uint32_t i = 0; i < 4; i++) {
            int expected = static_cast<int>(std::lround((c * 4 + i) * 255.0 / 11));
            EXPECT_EQ(expected, picture.gray(c % 2 * 2 + i % 2, c / 2 * 2 + i / 2)) << c << " " << i;
        }
    EXPECT_EQ(0, picture.gray(3, 3));
}

TEST(Preview, StretchesFromTheFirstToTheLastPercentile)
{
    std::mt19937 random(2);
    for (float offset : {0.0f, 5000.0f, -5000.0f}) {
        std::vector<float> values(10000), sorted;
        for (size_t i = 0; i < values.size(); i++)
            values[i] = offset + static_cast<float>(i) / 1000;
        std::shuffle(values.begin(), values.end(), random);
        values[77] = 1e30f; // what lies far outside doesn't matter
        values[78] = -1e30f;
        values[79] = nan_value;
        values[80] = infinity;
        for (float value : values)
            if (std::isfinite(value))
                sorted.push_back(value);
        std::sort(sorted.begin(), sorted.end());
        double low = sorted[sorted.size() / 100], high = sorted[sorted.size() - 1 - sorted.size() / 100];
        Picture picture;
        draw({1, 1, 100, 100}, values, picture);
        for (uint32_t i = 0; i < values.size(); i++) {
            double wanted = std::isnan(values[i]) ? 0 : std::clamp((values[i] - low) / (high - low) * 255, 0.0, 255.0);
            ASSERT_NEAR(wanted, picture.gray(i % 100, i / 100), 0.51) << i;
        }
    }
}

TEST(Preview, OfAConstantIsMidGray)
{
    for (float constant : {0.0f, 7.0f, -1e38f}) {
        std::vector<float> values(16 * 8 * 8, constant);
        values[3] = nan_value;
        Picture picture;
        draw({1, 16, 8, 8}, values, picture);
        EXPECT_EQ(32u, picture.width);
        EXPECT_EQ(32u, picture.height);
        EXPECT_EQ(128, picture.gray(0, 0));
        EXPECT_EQ(128, picture.gray(31, 31));
        EXPECT_EQ(0, picture.gray(3, 0));
    }
    Picture picture;
    draw({1, 1, 2, 2}, {nan_value, nan_value, infinity, -infinity}, picture);
    EXPECT_EQ(0, picture.gray(0, 0));
    EXPECT_EQ(255, picture.gray(0, 1));
    EXPECT_EQ(0, picture.gray(1, 1));
}

TEST(Preview, HasAPictureForAnyShape)
{
    struct Case {
        std::vector<uint32_t> shape;
        uint32_t width, height;
    };
    const std::vector<Case> cases = {
        {{1}, 1, 1},
        {{5}, 5, 1},
        {{3, 7}, 7, 3},
        {{4, 3, 7}, 7, 3},
        {{2, 4, 3, 7}, 7, 3},
        {{1, 4, 1, 3, 7}, 7, 3},
        {{1, 3, 3, 4, 4}, 12, 12},
        {{2, 1, 1, 1, 1, 1, 2, 3}, 3, 2},
        {{9000}, 3000, 1},     // every third
        {{5000, 10}, 5, 2500}, // every other, both ways
        {{1, 100, 1, 1}, 10, 10},
        {{1, 3, 1, 4096}, 4096, 3},
    };
    for (const Case &c : cases) {
        std::vector<float> values(elements_of(c.shape));
        for (size_t i = 0; i < values.size(); i++)
            values[i] = static_cast<float>(i % 17);
        Picture picture;
        draw(c.shape, values, picture);
        EXPECT_EQ(c.width, picture.width) << testing::PrintToString(c.shape);
        EXPECT_EQ(c.height, picture.height) << testing::PrintToString(c.shape);
    }
}

TEST(Preview, IsNeverHuge)
{
    // 2,000 channels of 100 x 100 as one grid would be 4472 pixels wide
    std::vector<uint16_t> halves(size_t(2000) * 100 * 100, 0x3C00);
    raiiaf_chunk_info info = tensor_info({1, 2000, 100, 100}, RAIIAF_FLOAT16);
    Picture picture;
    ASSERT_GOOD(raiiaf_latent_preview(&info, halves.data(), bytes_of(halves), &picture, &error));
    EXPECT_LE(picture.width, 4096u);
    EXPECT_LE(picture.height, 4096u);
    EXPECT_GE(picture.width, 4000u);
    EXPECT_EQ(128, picture.gray(picture.width - 1, picture.height - 1));
}

TEST(Preview, RefusesDataOfAnotherSize)
{
    std::vector<float> values(16);
    Picture picture;
    auto refused = [&](const raiiaf_chunk_info &info, size_t size) {
        EXPECT_BAD(RAIIAF_ERROR_ARGUMENT, raiiaf_latent_preview(&info, values.data(), size, &picture, &error));
        EXPECT_EQ(0u, picture.rgb.size);
    };
    refused(tensor_info({1, 1, 4, 4}), 60);
    refused(tensor_info({1, 1, 4, 4}, RAIIAF_FLOAT16), 64);
    refused(tensor_info({1, 1, 4, 4}, RAIIAF_DTYPE_NONE), 64);
    refused(tensor_info({1, 0, 4, 4}), 0);
    refused(tensor_info({}), 4);
    refused(tensor_info({0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 4}), 64);
    raiiaf_chunk_info many = tensor_info({1, 1, 4, 4});
    many.rank = 9;
    refused(many, 64);
}

// ---- PNG ----

TEST(PicturePng, HoldsThePicture)
{
    std::mt19937 random(4);
    for (auto [width, height] : std::vector<std::pair<uint32_t, uint32_t>>{{1, 1}, {3, 2}, {257, 130}}) {
        std::string rgb(size_t(3) * width * height, '\0');
        for (char &byte : rgb)
            byte = static_cast<char>(random());
        raiiaf_picture picture{};
        picture.width = width;
        picture.height = height;
        picture.rgb.data = reinterpret_cast<const uint8_t *>(rgb.data());
        picture.rgb.size = rgb.size();
        Buffer png, again;
        ASSERT_GOOD(raiiaf_picture_png(&picture, &png, &error));
        ASSERT_GOOD(raiiaf_picture_png(&picture, &again, &error));
        EXPECT_EQ(png.view(), again.view());

        png_image image{};
        image.version = PNG_IMAGE_VERSION;
        ASSERT_TRUE(png_image_begin_read_from_memory(&image, png.data, png.size)) << image.message;
        EXPECT_EQ(width, image.width);
        EXPECT_EQ(height, image.height);
        EXPECT_EQ(static_cast<png_uint_32>(PNG_FORMAT_RGB), image.format);
        std::string back(PNG_IMAGE_SIZE(image), '\0');
        ASSERT_TRUE(png_image_finish_read(&image, nullptr, back.data(), 0, nullptr)) << image.message;
        EXPECT_TRUE(rgb == back);
    }
}

TEST(PicturePng, RefusesWhatIsNoPicture)
{
    uint8_t rgb[12] = {};
    raiiaf_picture picture{};
    picture.rgb.data = rgb;
    auto refused = [&](uint32_t width, uint32_t height, size_t size) {
        Buffer png;
        picture.width = width;
        picture.height = height;
        picture.rgb.size = size;
        EXPECT_BAD(RAIIAF_ERROR_ARGUMENT, raiiaf_picture_png(&picture, &png, &error));
        EXPECT_EQ(0u, png.size);
    };
    refused(0, 4, 0);
    refused(4, 0, 0);
    refused(2, 2, 11);
    refused(2, 2, 13);
    refused(0xFFFFFFFF, 0xFFFFFFFF, 12);
}

TEST(PicturePng, RefusesMoreThanLibpngTakes)
{
    uint8_t rgb[1] = {};
    raiiaf_picture picture{};
    Buffer png;
    picture.width = 40000;
    picture.height = 40000;
    picture.rgb.data = rgb; // isn't looked at
    picture.rgb.size = size_t(3) * 40000 * 40000;
    EXPECT_BAD(RAIIAF_ERROR_LIMIT, raiiaf_picture_png(&picture, &png, &error));
    // one row, longer than libpng's own limit
    std::vector<uint8_t> row(3 * 2000000);
    picture.width = 2000000;
    picture.height = 1;
    picture.rgb.data = row.data();
    picture.rgb.size = row.size();
    EXPECT_BAD(RAIIAF_ERROR_UNSUPPORTED, raiiaf_picture_png(&picture, &png, &error));
}

} // namespace
