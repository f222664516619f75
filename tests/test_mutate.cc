// SPDX-License-Identifier: MIT
//
// test_mutate.cc - files damaged at random, but the same way in every run: bytes flipped, put in and taken out, and the
// manifest changed as JSON and packed again, so that damage gets past the decompression.  Whatever comes of it, nothing
// may crash, hang or contradict itself.

#include "support.h"

using test::Buffer;
using test::Error;
using test::File;

namespace
{

constexpr unsigned rounds = TEST_SANITIZED ? 150 : 400; // for each file

class Random
{
  public:
    explicit Random(uint64_t seed) : state(seed * 0x9e3779b97f4a7c15u + 1)
    {
    }
    uint64_t operator()()
    {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        return state;
    }
    size_t below(size_t limit) // 0 below 0
    {
        return limit ? static_cast<size_t>((*this)() % limit) : 0;
    }

  private:
    uint64_t state;
};

bool reject(void *user, uint64_t, uint64_t)
{
    return ++*static_cast<unsigned *>(user) < 1000;
}

// Everything that a host might do with a file that it was given.
void exercise(const std::string &bytes)
{
    raiiaf_limits limits;
    raiiaf_limits_default(&limits);
    limits.memory = 64 << 20;
    raiiaf_open_options options{&limits, [](void *, const raiiaf_error *) {}, nullptr};
    File file;
    Error error;
    if (test::open_bytes(file, bytes, &error, &options) != RAIIAF_OK) {
        ASSERT_EQ(nullptr, static_cast<raiiaf_file *>(file));
        ASSERT_TRUE(error.id && error.text[0]);
        return;
    }
    unsigned calls = 0;
    raiiaf_status verified = raiiaf_verify(file, 1, reject, &calls, &error);
    for (size_t i = 0; i < raiiaf_chunk_count(file); i++) {
        raiiaf_chunk_info info = test::chunk_info(file, i);
        ASSERT_LE(info.offset + info.stored_size, bytes.size());
        Buffer payload, stored;
        raiiaf_status status = raiiaf_chunk_read(file, i, RAIIAF_READ_LOSSY, &payload, &error);
        if (status == RAIIAF_OK && info.dtype != RAIIAF_DTYPE_NONE) {
            raiiaf_statistics statistics;
            raiiaf_picture picture{};
            raiiaf_latent_statistics(payload.data, payload.size, info.dtype, &statistics, nullptr);
            raiiaf_latent_preview(&info, payload.data, payload.size, &picture, nullptr);
            raiiaf_picture_free(&picture);
        }
        ASSERT_EQ(RAIIAF_OK, raiiaf_chunk_read_stored(file, i, &stored, &error)) << error.text;
        ASSERT_EQ(info.stored_size, stored.size);
    }
    raiiaf_image_info image;
    raiiaf_image_probe(file, &image, nullptr);
    raiiaf_setting_each(
        file,
        [](void *, const char *, const raiiaf_value *value) {
            Buffer text;
            raiiaf_value_text(value, &text, nullptr);
            return true;
        },
        nullptr);
    Buffer parameters, capsule;
    raiiaf_parameters(file, &parameters, nullptr);
    ASSERT_EQ(bytes, test::save_bytes(file));
    raiiaf_capsule_make(file, nullptr, 0, &capsule, nullptr);

    // An edited save either says what is wrong, or makes a file at least as good.
    Buffer saved;
    if (raiiaf_set(file, "/mutated", "true", 4, nullptr) == RAIIAF_OK &&
        raiiaf_save_memory(file, &saved, nullptr, nullptr) == RAIIAF_OK) {
        File again;
        std::string_view view = saved.view();
        ASSERT_EQ(RAIIAF_OK, test::open_bytes(again, view, &error, &options)) << error.text;
        ASSERT_EQ(RAIIAF_LAYOUT_33, raiiaf_layout_of(again));
        if (verified == RAIIAF_OK) {
            ASSERT_EQ(RAIIAF_OK, raiiaf_verify(again, 1, nullptr, nullptr, &error)) << error.text;
        }
    }
}

const char *const words[] = {"null",        "true",       "-1",
                             "0",           "1e999",      "18446744073709551616",
                             "4294967295",  "[]",         "{}",
                             "\"\\ud8\"",   "33",         "7.0",
                             "-0",          "\"LATN\"",   "[[[[[",
                             "NaN",         "2147483648", "\"",
                             "\"\\u0000\"", "\"\xff\"",   "9223372036854775807"};

void change_bytes(std::string &text, Random &random)
{
    if (text.empty())
        return;
    size_t at = random.below(text.size());
    switch (random.below(5)) {
    case 0:
        text[at] = static_cast<char>(text[at] ^ 1 << random.below(8));
        break;
    case 1:
        text[at] = static_cast<char>(random());
        break;
    case 2:
        text.insert(at, 1 + random.below(4), static_cast<char>(random()));
        break;
    case 3:
        text.erase(at, 1 + random.below(8));
        break;
    default:
        text.resize(at + 1);
    }
}

// Replaces one number, word or string of the manifest by something of another kind or size.
void change_json(std::string &text, Random &random)
{
    size_t at = text.find_first_of(":[,", random.below(text.size()));
    if (at == std::string::npos || ++at >= text.size())
        return;
    at = text.find_first_not_of(" \n", at);
    size_t end = at == std::string::npos ? at : text.find_first_of(",\n}]", at);
    if (end == std::string::npos)
        return;
    std::string word = words[random.below(std::size(words))];
    if (random.below(4) == 0) // a value from elsewhere in the manifest
        word = text.substr(random.below(text.size()), random.below(40));
    text.replace(at, end - at, word);
}

class Mutate : public testing::TestWithParam<std::string>
{
  protected:
    Mutate() : bytes(test::slurp(test::data_folder() / "golden" / GetParam()))
    {
        File file;
        EXPECT_EQ(RAIIAF_OK, test::open_bytes(file, bytes, nullptr));
        manifest = test::manifest(file);
    }
    std::string bytes, manifest;
};

TEST_P(Mutate, Bytes)
{
    for (unsigned round = 0; round < rounds; round++) {
        Random random(round);
        std::string changed = bytes;
        for (size_t changes = 1 + random.below(3); changes > 0; changes--)
            change_bytes(changed, random);
        SCOPED_TRACE("round " + std::to_string(round));
        ASSERT_NO_FATAL_FAILURE(exercise(changed));
    }
}

TEST_P(Mutate, Manifest)
{
    for (unsigned round = 0; round < rounds; round++) {
        Random random(round + 100000);
        std::string changed = manifest;
        for (size_t changes = 1 + random.below(3); changes > 0; changes--) {
            if (random.below(4))
                change_json(changed, random);
            else
                change_bytes(changed, random);
        }
        SCOPED_TRACE("round " + std::to_string(round));
        ASSERT_NO_FATAL_FAILURE(exercise(test::with_manifest(bytes, changed)));
    }
}

INSTANTIATE_TEST_SUITE_P(Some, Mutate,
                         testing::Values("corrupt/ok_base_compressed.raiiaf", "corrupt/ok_base_raw.raiiaf",
                                         "corrupt/g5_ok_base_compressed.gen5", "corrupt/g5z_ok_base_raw.gen5",
                                         "corrupt/unknown_type_extra.raiiaf", "corrupt/dup_data.raiiaf",
                                         "key_oddities.raiiaf", "g5old2_f32_raw.gen5", "settings_extra_keys.raiiaf"),
                         [](const testing::TestParamInfo<std::string> &param) {
                             std::string name = param.param.substr(0, param.param.find('.'));
                             std::replace(name.begin(), name.end(), '/', '_');
                             return name;
                         });

// A capsule comes out of a host's profile, and may have been tampered with like any file.
TEST(MutateCapsule, JoinsOrRefuses)
{
    std::string bytes = test::slurp(test::data_folder() / "golden" / "img_rgba_text.raiiaf");
    File file;
    Buffer made;
    ASSERT_EQ(RAIIAF_OK, test::open_bytes(file, bytes, nullptr));
    ASSERT_EQ(RAIIAF_OK, raiiaf_capsule_make(file, nullptr, 0, &made, nullptr));
    std::string stored = test::read_stored(file, raiiaf_image_chunk(file)), capsule = made.bytes();
    File opened;
    ASSERT_EQ(RAIIAF_OK, test::open_bytes(opened, capsule, nullptr));
    std::string manifest = test::manifest(opened), png = test::plain_png(2, 2, 1, 2, 3);
    for (unsigned round = 0; round < 4 * rounds; round++) {
        SCOPED_TRACE("round " + std::to_string(round));
        Random random(round + 200000);
        std::string text = manifest;
        for (size_t changes = 1 + random.below(2); changes > 0; changes--)
            change_json(text, random);
        std::string changed = test::with_manifest(capsule, text);
        for (bool with_image : {true, false}) {
            File again;
            Error error;
            if (test::open_bytes(again, changed, &error) != RAIIAF_OK || !raiiaf_is_capsule(again))
                continue;
            raiiaf_capsule_digest(again);
            raiiaf_capsule_image_sha256(again);
            raiiaf_status status = raiiaf_capsule_join(again, with_image ? stored.data() : nullptr,
                                                       with_image ? stored.size() : 0, &error);
            if (status != RAIIAF_OK) {
                ASSERT_NE('\0', error.text[0]);
                continue;
            }
            if (!with_image) {
                raiiaf_image_set(again, png.data(), png.size(), nullptr, &error);
            }
            Buffer saved;
            if (raiiaf_save_memory(again, &saved, nullptr, &error) != RAIIAF_OK)
                continue;
            File last;
            raiiaf_source source;
            raiiaf_source_memory(&source, saved.data, saved.size, "joined", nullptr, nullptr);
            if (with_image) {
                raiiaf_open(&last, &source, nullptr, nullptr); // the header came from the capsule: it may say anything
            } else {
                ASSERT_EQ(RAIIAF_OK, raiiaf_open(&last, &source, nullptr, &error)) << error.text;
            }
        }
    }
}

// Parsers that take bytes from elsewhere.
TEST(MutateImages, CarriersProbeAndPixels)
{
    for (const char *name : {"a1111/syn-itxt-emoji.png", "a1111/syn-after-idat-ztxt.png", "a1111/syn-uc-le.jpg",
                             "a1111/syn-uc-ascii.webp", "a1111/syn-jpeg-com.jpg", "a1111/syn-png-exif.png"}) {
        std::string image = test::slurp(test::data_folder() / "legacy" / name);
        for (unsigned round = 0; round < rounds; round++) {
            SCOPED_TRACE(std::string(name) + ", round " + std::to_string(round));
            Random random(round + 300000);
            std::string changed = image;
            for (size_t changes = 1 + random.below(4); changes > 0; changes--)
                change_bytes(changed, random);
            size_t carriers = 0;
            auto count = [](void *user, const raiiaf_carrier *carrier) {
                EXPECT_NE(nullptr, carrier->kind);
                EXPECT_TRUE(carrier->data || !carrier->size);
                return ++*static_cast<size_t *>(user) < 1000;
            };
            raiiaf_carrier_each(changed.data(), changed.size(), nullptr, count, &carriers, nullptr);
            ASSERT_GT(1000u, carriers);
            raiiaf_image_info info;
            raiiaf_image_probe_memory(changed.data(), changed.size(), &info);
            char digest[RAIIAF_DIGEST_SIZE];
            raiiaf_pixels_of_image(changed.data(), changed.size(), nullptr, digest, nullptr);
            File file;
            raiiaf_import(&file, changed.data(), changed.size(), nullptr, nullptr, nullptr);
        }
    }
}

TEST(MutateNpy, ReadsOrRefuses)
{
    for (const char *descr : {"<f4", ">f2", "<f8"}) {
        std::string header = std::string("{'descr': '") + descr + "', 'fortran_order': True, 'shape': (1, 4, 2, 2), }";
        std::string npy = std::string("\x93NUMPY\1\0", 8) + static_cast<char>(header.size() + 1) + '\0' + header +
                          '\n' + std::string(16u * (descr[2] - '0'), '\0');
        for (unsigned round = 0; round < 4 * rounds; round++) {
            SCOPED_TRACE("round " + std::to_string(round));
            Random random(round + 400000);
            std::string changed = npy;
            for (size_t changes = random.below(4); changes > 0; changes--)
                change_bytes(changed, random);
            raiiaf_dtype dtype;
            unsigned rank;
            uint32_t shape[RAIIAF_MAX_RANK];
            Buffer tensor;
            Error error;
            raiiaf_status status =
                raiiaf_npy_read(changed.data(), changed.size(), "x.npy", &dtype, &rank, shape, &tensor, &error);
            if (status != RAIIAF_OK) {
                ASSERT_NE('\0', error.text[0]);
                continue;
            }
            size_t size = dtype == RAIIAF_FLOAT16 ? 2 : 4;
            for (unsigned axis = 0; axis < rank; axis++)
                size *= shape[axis];
            ASSERT_EQ(size, tensor.size);
        }
    }
}

} // namespace
