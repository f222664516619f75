// SPDX-License-Identifier: MIT
//
// support.h - what the tests share: files of tests/data, the stories that are told of them, and owners of what the
// library hands out.
#ifndef RAIIAF_TESTS_SUPPORT_H
#define RAIIAF_TESTS_SUPPORT_H

#include "raiiaf.h"

#include <gtest/gtest.h>
#include <json-c/json.h>
#include <nettle/sha2.h>
#include <png.h>
#include <zstd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <ostream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#define TEST_SANITIZED 1
#else
#define TEST_SANITIZED 0
#endif

namespace test
{

inline std::filesystem::path data_folder()
{
    if (const char *folder = std::getenv("RAIIAF_DATA"))
        return folder;
    const char *srcdir = std::getenv("srcdir");
    return std::filesystem::path(srcdir ? srcdir : "tests") / "data";
}

inline std::string slurp(const std::filesystem::path &path)
{
    std::ifstream stream(path, std::ios::binary);
    EXPECT_TRUE(stream) << "can't read " << path;
    return {std::istreambuf_iterator<char>(stream), {}};
}

inline void spill(const std::filesystem::path &path, std::string_view bytes)
{
    std::ofstream stream(path, std::ios::binary | std::ios::trunc);
    stream.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    stream.close();
    ASSERT_TRUE(stream) << "can't write " << path;
}

inline std::string sha256(std::string_view bytes)
{
    static const char digits[] = "0123456789abcdef";
    sha256_ctx context;
    uint8_t digest[SHA256_DIGEST_SIZE];
    nettle_sha256_init(&context);
    nettle_sha256_update(&context, bytes.size(), reinterpret_cast<const uint8_t *>(bytes.data()));
    nettle_sha256_digest(&context, sizeof digest, digest);
    std::string text;
    for (uint8_t byte : digest) {
        text += digits[byte >> 4];
        text += digits[byte & 15];
    }
    return text;
}

// A folder that goes with the test.
class Scratch
{
  public:
    Scratch()
    {
        std::string name = (std::filesystem::temp_directory_path() / "raiiaf-test-XXXXXX").string();
        if (!mkdtemp(name.data()))
            throw std::runtime_error("no temporary folder: " + name);
        folder = name;
    }
    ~Scratch()
    {
        std::error_code ignored;
        std::filesystem::remove_all(folder, ignored);
    }
    Scratch(const Scratch &) = delete;
    Scratch &operator=(const Scratch &) = delete;
    std::filesystem::path operator/(const std::string &name) const
    {
        return folder / name;
    }
    std::vector<std::string> names() const
    {
        std::vector<std::string> found;
        for (const auto &entry : std::filesystem::directory_iterator(folder))
            found.push_back(entry.path().filename().string());
        std::sort(found.begin(), found.end());
        return found;
    }

  private:
    std::filesystem::path folder;
};

// What a JSON file tells, by json-c.
class Json
{
  public:
    explicit Json(const std::filesystem::path &path) : root(json_object_from_file(path.c_str()), json_object_put)
    {
        if (!root)
            throw std::runtime_error("not JSON: " + path.string());
        value = root.get();
    }
    static Json parse(std::string_view text)
    {
        json_tokener *tokener = json_tokener_new_ex(1000);
        json_object *parsed = json_tokener_parse_ex(tokener, text.data(), static_cast<int>(text.size()));
        json_tokener_free(tokener);
        return Json(std::shared_ptr<json_object>(parsed, json_object_put), parsed);
    }
    bool has(const char *name) const
    {
        return json_object_object_get_ex(value, name, nullptr);
    }
    bool null() const
    {
        return !value;
    }
    Json operator[](const char *name) const
    {
        json_object *member = nullptr;
        json_object_object_get_ex(value, name, &member);
        return Json(root, member);
    }
    Json operator[](size_t i) const
    {
        return Json(root, json_object_array_get_idx(value, i));
    }
    size_t size() const
    {
        return value && json_object_is_type(value, json_type_array) ? json_object_array_length(value) : 0;
    }
    bool is(json_type type) const
    {
        return json_object_is_type(value, type);
    }
    std::string text() const
    {
        return value ? std::string(json_object_get_string(value), is(json_type_string)
                                                                      ? json_object_get_string_len(value)
                                                                      : std::strlen(json_object_get_string(value)))
                     : "null";
    }
    uint64_t number() const
    {
        return json_object_get_uint64(value);
    }

  private:
    Json(std::shared_ptr<json_object> root_, json_object *value_) : root(std::move(root_)), value(value_)
    {
    }
    std::shared_ptr<json_object> root;
    json_object *value;
};

// The stories of a folder: NAME of each NAME.json that stands beside a file.
inline std::vector<std::string> stories(const char *folder)
{
    std::vector<std::string> names;
    std::error_code missing;
    for (const auto &entry : std::filesystem::directory_iterator(data_folder() / folder, missing))
        if (entry.path().extension() == ".json" && entry.path().stem() != "INDEX")
            names.push_back(entry.path().stem().string());
    std::sort(names.begin(), names.end());
    return names;
}

inline std::string story_name(const testing::TestParamInfo<std::string> &info)
{
    return info.param;
}

struct Buffer : raiiaf_buffer {
    Buffer() : raiiaf_buffer()
    {
    }
    ~Buffer()
    {
        raiiaf_buffer_free(this);
    }
    Buffer(const Buffer &) = delete;
    Buffer &operator=(const Buffer &) = delete;
    std::string_view view() const
    {
        return {reinterpret_cast<const char *>(data), size};
    }
    std::string bytes() const
    {
        return std::string(view());
    }
};

struct Error : raiiaf_error {
    Error() : raiiaf_error()
    {
    }
};

// A raiiaf_file that closes itself.
class File
{
  public:
    File() = default;
    ~File()
    {
        raiiaf_close(pointer);
    }
    File(const File &) = delete;
    File &operator=(const File &) = delete;
    File(File &&other) noexcept : pointer(std::exchange(other.pointer, nullptr))
    {
    }
    operator raiiaf_file *() const
    {
        return pointer;
    }
    raiiaf_file **operator&()
    {
        return &pointer;
    }
    void close()
    {
        raiiaf_close(pointer);
        pointer = nullptr;
    }

  private:
    raiiaf_file *pointer = nullptr;
};

inline testing::AssertionResult good(raiiaf_status status, const raiiaf_error &error)
{
    if (status == RAIIAF_OK)
        return testing::AssertionSuccess();
    return testing::AssertionFailure() << "status " << status << ", " << (error.id ? error.id : "no id") << ": "
                                       << error.text;
}

// Failed with this status, and says what a user needs.
inline testing::AssertionResult bad(raiiaf_status wanted, raiiaf_status status, const raiiaf_error &error)
{
    if (status == wanted && error.status == wanted && error.id && *error.id && error.text[0])
        return testing::AssertionSuccess();
    return testing::AssertionFailure() << "status " << status << " instead of " << wanted << ", error " << error.status
                                       << ", " << (error.id ? error.id : "no id") << ": " << error.text;
}

// `call` is a call of the library with &error as its last argument.
#define ASSERT_GOOD(call)                                                                                              \
    ASSERT_TRUE([&] {                                                                                                  \
        test::Error error;                                                                                             \
        raiiaf_status status_ = (call);                                                                                \
        return test::good(status_, error);                                                                             \
    }())
#define EXPECT_GOOD(call)                                                                                              \
    EXPECT_TRUE([&] {                                                                                                  \
        test::Error error;                                                                                             \
        raiiaf_status status_ = (call);                                                                                \
        return test::good(status_, error);                                                                             \
    }())
#define EXPECT_BAD(wanted, call)                                                                                       \
    EXPECT_TRUE([&] {                                                                                                  \
        test::Error error;                                                                                             \
        raiiaf_status status_ = (call);                                                                                \
        return test::bad(wanted, status_, error);                                                                      \
    }())

// Opens bytes that outlive the file.
inline raiiaf_status open_bytes(File &file, std::string_view bytes, raiiaf_error *error,
                                const raiiaf_open_options *options = nullptr, const char *name = "memory")
{
    raiiaf_source source;
    raiiaf_source_memory(&source, bytes.data(), bytes.size(), name, nullptr, nullptr);
    return raiiaf_open(&file, &source, options, error);
}

inline std::string read_chunk(const raiiaf_file *file, size_t i)
{
    Buffer payload;
    Error error;
    EXPECT_EQ(RAIIAF_OK, raiiaf_chunk_read(file, i, 0, &payload, &error)) << error.text;
    return payload.bytes();
}

inline std::string read_stored(const raiiaf_file *file, size_t i)
{
    Buffer stored;
    Error error;
    EXPECT_EQ(RAIIAF_OK, raiiaf_chunk_read_stored(file, i, &stored, &error)) << error.text;
    return stored.bytes();
}

inline std::string save_bytes(const raiiaf_file *file, const raiiaf_save_options *options = nullptr)
{
    Buffer out;
    Error error;
    EXPECT_EQ(RAIIAF_OK, raiiaf_save_memory(file, &out, options, &error)) << error.text;
    return out.bytes();
}

inline std::string manifest(const raiiaf_file *file)
{
    const char *text = nullptr;
    size_t size = 0;
    raiiaf_manifest_text(file, &text, &size);
    return {text, size};
}

// A value as spelt; "(none)" where there is none.
inline std::string get(const raiiaf_file *file, const char *path)
{
    raiiaf_value value;
    return raiiaf_get(file, path, &value) ? std::string(value.text, value.size) : "(none)";
}

inline std::vector<size_t> chunks_of(const raiiaf_file *file, const char *type)
{
    std::vector<size_t> found;
    raiiaf_chunk_info info;
    for (size_t i = 0; i < raiiaf_chunk_count(file); i++) {
        raiiaf_chunk_get(file, i, &info);
        if (!std::strcmp(info.type, type))
            found.push_back(i);
    }
    return found;
}

inline raiiaf_chunk_info chunk_info(const raiiaf_file *file, size_t i)
{
    raiiaf_chunk_info info;
    raiiaf_chunk_get(file, i, &info);
    return info;
}

inline bool lacks_key(const raiiaf_file *file, size_t i)
{
    return get(file, ("/chunks/" + std::to_string(i) + "/extra/key").c_str()) == "(none)";
}

// All that a file holds, to compare it with another: type, key, shape and payload (unknown chunks: as stored).
// `written` names latents without a key, which only the drafts of gen5 have, as they are named when written anew.
inline std::vector<std::string> contents(const raiiaf_file *file, bool written = false)
{
    std::vector<std::string> all;
    size_t latent = 0;
    for (size_t i = 0; i < raiiaf_chunk_count(file); i++) {
        raiiaf_chunk_info info = chunk_info(file, i);
        std::string line = info.type;
        bool known = line == "LATN" || line == "DATA" || line == "ENVC";
        if (line == "LATN") {
            bool named = written && lacks_key(file, i);
            line += " " + (named ? "latent_" + std::to_string(latent) : info.key) + " " + std::to_string(info.dtype);
            latent++;
            for (unsigned axis = 0; axis < info.rank; axis++)
                line += " " + std::to_string(info.shape[axis]);
        }
        all.push_back(line + " " + sha256(known ? read_chunk(file, i) : read_stored(file, i)));
    }
    return all;
}

inline uint32_t get32(const std::string &bytes, size_t at)
{
    uint32_t value;
    std::memcpy(&value, bytes.data() + at, sizeof value);
    return value;
}

// The file with another manifest, truthfully framed; bytes and offsets before it stay.
inline std::string with_manifest(const std::string &bytes, const std::string &text)
{
    size_t field = bytes[0] == 'r' ? 9 : 8;
    std::string body = std::string("META0000") + std::string(4, '\0') + text;
    uint32_t size = static_cast<uint32_t>(text.size());
    std::memcpy(body.data() + 8, &size, sizeof size);
    std::string packed(ZSTD_compressBound(body.size()), '\0');
    packed.resize(ZSTD_compress(packed.data(), packed.size(), body.data(), body.size(), 1));
    std::string out = bytes.substr(0, get32(bytes, field)) + packed;
    size = static_cast<uint32_t>(packed.size());
    std::memcpy(out.data() + field + 4, &size, sizeof size);
    return out;
}

// A PNG of one colour: 8-bit RGB, without any text.
inline std::string plain_png(uint32_t width, uint32_t height, uint8_t red, uint8_t green, uint8_t blue)
{
    std::vector<uint8_t> pixels;
    for (uint32_t i = 0; i < width * height; i++)
        pixels.insert(pixels.end(), {red, green, blue});
    png_image image{};
    image.version = PNG_IMAGE_VERSION;
    image.width = width;
    image.height = height;
    image.format = PNG_FORMAT_RGB;
    png_alloc_size_t size = 0;
    EXPECT_TRUE(png_image_write_get_memory_size(image, size, 0, pixels.data(), 0, nullptr));
    std::string out(size, '\0');
    EXPECT_TRUE(png_image_write_to_memory(&image, out.data(), &size, 0, pixels.data(), 0, nullptr));
    out.resize(size);
    return out;
}

// An environment variable for the time being.
class Variable
{
  public:
    Variable(const char *name_, const char *value) : name(name_), had(std::getenv(name_) ? std::getenv(name_) : "")
    {
        setenv(name, value, 1);
    }
    ~Variable()
    {
        if (had.empty())
            unsetenv(name);
        else
            setenv(name, had.c_str(), 1);
    }

  private:
    const char *name;
    std::string had;
};

} // namespace test

#endif
