// SPDX-License-Identifier: MIT
//
// test_chaos.cc - fails the n-th allocation, for every n: each operation then succeeds or reports that memory is short,
// leaves what it was given as it was, and (under sanitizers) leaks nothing.
//
// The program is linked with --wrap, so that the library's own allocations come here.  Without sanitizers, which have
// an allocator of their own, those of libpng, zstd, json-c and zfp come here too.

#include "support.h"

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <functional>
#include <set>

using test::Buffer;
using test::Error;
using test::File;

namespace
{

std::atomic<long> countdown{-1}; // the allocation that fails, from 1; below that: none
std::atomic<bool> failed{false};

bool fails_now()
{
    if (countdown.load(std::memory_order_relaxed) < 0 || countdown.fetch_sub(1) != 1)
        return false;
    failed = true;
    errno = ENOMEM;
    return true;
}

} // namespace

extern "C" {

#if TEST_SANITIZED
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
#else
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
#define __real_malloc __libc_malloc
#define __real_calloc __libc_calloc
#define __real_realloc __libc_realloc
#endif
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t size);

void *__wrap_malloc(size_t size)
{
    return fails_now() ? nullptr : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails_now() ? nullptr : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return fails_now() ? nullptr : __real_realloc(old, size);
}

char *__wrap_strndup(const char *text, size_t size)
{
    size_t length = strnlen(text, size);
    char *copy = static_cast<char *>(__wrap_malloc(length + 1));
    if (copy) {
        std::memcpy(copy, text, length);
        copy[length] = '\0';
    }
    return copy;
}

char *__wrap_strdup(const char *text)
{
    return __wrap_strndup(text, SIZE_MAX);
}

#if !TEST_SANITIZED
void *malloc(size_t size)
{
    return __wrap_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return __wrap_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
    return __wrap_realloc(old, size);
}
#endif
}

namespace
{

// Other libraries have only words for it.
bool tells_of_memory(const raiiaf_error &error)
{
    return error.status == RAIIAF_ERROR_MEMORY || error.status == RAIIAF_ERROR_LIMIT ||
           std::strstr(error.text, "ut of memory") || std::strstr(error.text, "nsufficient memory");
}

// Runs `operation` with its n-th allocation failing, for every n until none is left to fail.  Before each run
// `prepare` makes what it works on; after a failed one `check` looks whether that is as it was.
void for_every_allocation(const std::function<void()> &prepare,
                          const std::function<raiiaf_status(raiiaf_error *)> &operation,
                          const std::function<void()> &check)
{
    prepare();
    Error first;
    ASSERT_EQ(RAIIAF_OK, operation(&first)) << first.text; // what is loaded once is loaded now
    for (long n = 1;; n++) {
        ASSERT_GT(200000, n);
        prepare();
        Error error;
        failed = false;
        countdown = n;
        raiiaf_status status = operation(&error);
        countdown = -1;
        if (!failed) {
            ASSERT_EQ(RAIIAF_OK, status) << error.text;
            ASSERT_LT(1, n) << "no allocation came through here";
            return;
        }
        if (status == RAIIAF_OK)
            continue;
        ASSERT_TRUE(tells_of_memory(error)) << "allocation " << n << ": status " << status << ": " << error.text;
        ASSERT_EQ(status, error.status);
        ASSERT_NE('\0', error.text[0]);
        check();
        ASSERT_FALSE(testing::Test::HasFailure()) << "after allocation " << n << " had failed";
    }
}

std::filesystem::path golden(const std::string &name)
{
    return test::data_folder() / "golden" / name;
}

// An operation on a file that lies in memory.
class Chaos : public testing::TestWithParam<std::string>
{
  protected:
    Chaos() : bytes(test::slurp(golden(GetParam())))
    {
    }
    void reopen()
    {
        file.reset(new File);
        Error error;
        ASSERT_EQ(RAIIAF_OK, test::open_bytes(*file, bytes, &error, nullptr, "chaos")) << error.text;
        before = test::manifest(*file);
    }
    void expect_unchanged()
    {
        EXPECT_EQ(before, test::manifest(*file));
        EXPECT_FALSE(raiiaf_edited(*file));
        EXPECT_EQ(bytes, test::save_bytes(*file));
    }
    void run(const std::function<raiiaf_status(raiiaf_error *)> &operation)
    {
        for_every_allocation([this] { reopen(); }, operation, [this] { expect_unchanged(); });
    }
    raiiaf_status save(raiiaf_error *error, bool repack = false) const
    {
        Buffer out;
        raiiaf_save_options options{};
        options.threads = 1;
        options.tool = "chaos";
        options.repack = repack;
        return raiiaf_save_memory(*file, &out, &options, error);
    }

    std::string bytes, before;
    std::unique_ptr<File> file;
};

void nothing()
{
}

TEST_P(Chaos, Open)
{
    std::string path = golden(GetParam()).string();
    for_every_allocation(
        nothing,
        [this](raiiaf_error *error) {
            File opened;
            return test::open_bytes(opened, bytes, error);
        },
        nothing);
    for_every_allocation(
        nothing,
        [&path](raiiaf_error *error) {
            File opened;
            return raiiaf_open_path(&opened, path.c_str(), nullptr, error);
        },
        nothing);
}

TEST_P(Chaos, OpenStream)
{
    std::string_view rest;
    auto read = [](void *user, void *buffer, size_t length) -> int64_t {
        auto *left = static_cast<std::string_view *>(user);
        size_t count = std::min(length, left->size());
        std::memcpy(buffer, left->data(), count);
        left->remove_prefix(count);
        return static_cast<int64_t>(count);
    };
    for_every_allocation([&] { rest = bytes; },
                         [&](raiiaf_error *error) {
                             raiiaf_source source;
                             raiiaf_status status =
                                 raiiaf_source_stream(&source, read, &rest, "stream", nullptr, error);
                             File opened;
                             return status ? status : raiiaf_open(&opened, &source, nullptr, error);
                         },
                         nothing);
}

TEST_P(Chaos, ReadAndVerify)
{
    run([this](raiiaf_error *error) {
        raiiaf_status status = RAIIAF_OK;
        for (size_t i = 0; i < raiiaf_chunk_count(*file) && !status; i++) {
            Buffer payload, stored;
            status = raiiaf_chunk_read(*file, i, 0, &payload, error);
            if (!status)
                status = raiiaf_chunk_read_stored(*file, i, &stored, error);
        }
        raiiaf_image_info info;
        if (!status && raiiaf_image_chunk(*file) != RAIIAF_NONE)
            status = raiiaf_image_probe(*file, &info, error);
        return status ? status : raiiaf_verify(*file, 1, nullptr, nullptr, error);
    });
}

TEST_P(Chaos, Set)
{
    run([this](raiiaf_error *error) { return raiiaf_set(*file, "/model_info/prompt", "\"another\"", 9, error); });
    run([this](raiiaf_error *error) { return raiiaf_set(*file, "/mine/is/new", "{\"a\": [1]}", 10, error); });
    run([this](raiiaf_error *error) { return raiiaf_set_text(*file, "/model_info/prompt", "a \"text\"", error); });
    run([this](raiiaf_error *error) {
        static const char json[] = "{\"model_info\": {\"prompt\": \"merged\", \"tags\": [\"a\"]}, \"further\": 1}";
        return raiiaf_merge(*file, json, sizeof json - 1, error);
    });
}

TEST_P(Chaos, Texts)
{
    run([this](raiiaf_error *error) {
        raiiaf_value value{RAIIAF_JSON_STRING, "\"a \\u00e9\"", 10};
        Buffer text, parameters;
        raiiaf_status status = raiiaf_value_text(&value, &text, error);
        raiiaf_setting_each(
            *file, [](void *, const char *, const raiiaf_value *) { return true; }, nullptr);
        if (!status)
            status = raiiaf_parameters(*file, &parameters, error);
        return status == RAIIAF_ERROR_MISSING ? RAIIAF_OK : status;
    });
}

TEST_P(Chaos, LatentAddAndRemove)
{
    run([this](raiiaf_error *error) {
        uint32_t shape[] = {1, 1, 2, 2};
        float data[] = {1, 2, 3, 4};
        return raiiaf_latent_add(*file, "added", shape, 4, RAIIAF_FLOAT32, data, sizeof data, error);
    });
    run([this](raiiaf_error *error) { return raiiaf_chunk_remove(*file, 0, error); });
    run([this](raiiaf_error *error) {
        static const char json[] = "{\"env_version\": 1, \"components\": []}";
        return raiiaf_environment_set(*file, json, sizeof json - 1, error);
    });
}

TEST_P(Chaos, ImageSet)
{
    std::string png = test::plain_png(3, 2, 1, 2, 3);
    run([&](raiiaf_error *error) { return raiiaf_image_set(*file, png.data(), png.size(), nullptr, error); });
    reopen();
    if (raiiaf_image_chunk(*file) != RAIIAF_NONE)
        run([this](raiiaf_error *error) { return raiiaf_image_remove(*file, error); });
}

TEST_P(Chaos, Save)
{
    run([this](raiiaf_error *error) { return save(error); });
    run([this](raiiaf_error *error) { return save(error, true); });
    std::string edited;
    for_every_allocation(
        [this] {
            reopen();
            ASSERT_EQ(RAIIAF_OK, raiiaf_set(*file, "/model_info/prompt", "\"another\"", 9, nullptr));
            before = test::manifest(*file);
        },
        [this](raiiaf_error *error) { return save(error); },
        [&] {
            EXPECT_EQ(before, test::manifest(*file));
            std::string saved = test::save_bytes(*file);
            EXPECT_TRUE(edited.empty() || edited == saved);
            edited = saved;
        });
}

TEST_P(Chaos, SavePath)
{
    test::Scratch scratch;
    std::string path = (scratch / "x.raiiaf").string();
    for_every_allocation(
        [&] {
            reopen();
            test::spill(path, "old");
        },
        [&](raiiaf_error *error) { return raiiaf_save_path(*file, path.c_str(), nullptr, error); },
        [&] {
            EXPECT_EQ("old", test::slurp(path));
            EXPECT_EQ(std::vector<std::string>{"x.raiiaf"}, scratch.names());
        });
}

TEST_P(Chaos, Capsule)
{
    run([this](raiiaf_error *error) {
        Buffer capsule;
        return raiiaf_capsule_make(*file, nullptr, 0, &capsule, error);
    });
    reopen();
    if (raiiaf_image_chunk(*file) == RAIIAF_NONE)
        return; // no capsule to join
    Buffer made;
    ASSERT_EQ(RAIIAF_OK, raiiaf_capsule_make(*file, nullptr, 0, &made, nullptr));
    std::string stored = test::read_stored(*file, raiiaf_image_chunk(*file));
    std::string png = test::plain_png(3, 2, 1, 2, 3);
    bytes = made.bytes();
    run([&](raiiaf_error *error) { return raiiaf_capsule_join(*file, stored.data(), stored.size(), error); });
    run([&](raiiaf_error *error) { return raiiaf_capsule_join(*file, nullptr, 0, error); });
    for_every_allocation(
        [this] {
            reopen();
            ASSERT_EQ(RAIIAF_OK, raiiaf_capsule_join(*file, nullptr, 0, nullptr));
            before = test::manifest(*file);
        },
        [&](raiiaf_error *error) { return raiiaf_image_set(*file, png.data(), png.size(), nullptr, error); },
        [&] { EXPECT_EQ(before, test::manifest(*file)); });
}

// One of each layout and way to store: small, for every allocation is a run.
INSTANTIATE_TEST_SUITE_P(Some, Chaos,
                         testing::Values("key_oddities.raiiaf", "img_rgba_text.raiiaf", "img_palette4.raiiaf",
                                         "r29_unicode.raiiaf", "g5_f16_native_zstd.gen5", "g5z_f16_raw.gen5",
                                         "g5old2_f32_raw.gen5"),
                         [](const testing::TestParamInfo<std::string> &param) {
                             return param.param.substr(0, param.param.find('.'));
                         });

TEST(ChaosOf, NewFile)
{
    std::vector<float> data(1024);
    for (size_t i = 0; i < data.size(); i++)
        data[i] = static_cast<float>(i) / 100;
    std::string png = test::plain_png(3, 2, 1, 2, 3);
    for_every_allocation(
        nothing,
        [&](raiiaf_error *error) {
            File file;
            Buffer out;
            uint32_t shape[] = {1, 1, 32, 32};
            raiiaf_save_options options{};
            options.threads = 1;
            raiiaf_status status = raiiaf_new(&file, nullptr, error);
            if (!status)
                status = raiiaf_latent_add(file, "k", shape, 4, RAIIAF_FLOAT32, data.data(), 4096, error);
            if (!status)
                status = raiiaf_image_set(file, png.data(), png.size(), nullptr, error);
            if (!status)
                status = raiiaf_save_memory(file, &out, &options, error);
            return status;
        },
        nothing);
}

// Takes no memory of its own.
bool open_sidecar(void *user, const char *name, raiiaf_source *source)
{
    char path[4096];
    std::snprintf(path, sizeof path, "%s/%s", static_cast<const char *>(user), name);
    return raiiaf_source_path(source, path, nullptr, nullptr) == RAIIAF_OK;
}

TEST(ChaosOf, Import)
{
    for (const auto &entry : std::filesystem::recursive_directory_iterator(test::data_folder() / "legacy")) {
        std::string extension = entry.path().extension().string(), image, name = entry.path().string();
        if ((extension != ".png" && extension != ".jpg" && extension != ".webp") ||
            entry.path().parent_path().filename() == "bad")
            continue;
        SCOPED_TRACE(name);
        std::string folder = entry.path().parent_path().string();
        image = test::slurp(entry.path());
        raiiaf_import_options options = {};
        options.file_name = name.c_str();
        options.sidecar = open_sidecar;
        options.sidecar_user = folder.data();
        for_every_allocation(
            nothing,
            [&](raiiaf_error *error) {
                File file;
                Buffer out;
                raiiaf_status status = raiiaf_import(&file, image.data(), image.size(), &options, nullptr, error);
                return status ? status : raiiaf_save_memory(file, &out, nullptr, error);
            },
            nothing);
    }
}

TEST(ChaosOf, Export)
{
    std::string bytes = test::slurp(golden("img_rgba_text.raiiaf"));
    File file;
    Error error;
    ASSERT_EQ(RAIIAF_OK, test::open_bytes(file, bytes, &error));
    for (raiiaf_export_form form : {RAIIAF_EXPORT_PARAMETERS, RAIIAF_EXPORT_JSON, RAIIAF_EXPORT_XMP, RAIIAF_EXPORT_PNG})
        for_every_allocation(
            nothing,
            [&](raiiaf_error *told) {
                Buffer out;
                return raiiaf_export(file, form, &out, told);
            },
            nothing);
    Buffer png;
    ASSERT_EQ(RAIIAF_OK, raiiaf_export(file, RAIIAF_EXPORT_PNG, &png, &error));
    std::string changed = png.bytes();
    changed[changed.find("raDA") + 3] = 'B'; // the picture comes back as a new one
    for (std::string_view image : {png.view(), std::string_view(changed)})
        for_every_allocation(
            nothing,
            [&](raiiaf_error *told) {
                File back;
                return raiiaf_import(&back, image.data(), image.size(), nullptr, nullptr, told);
            },
            nothing);
}

TEST(ChaosOf, Environment)
{
    Buffer json;
    ASSERT_EQ(RAIIAF_OK, raiiaf_environment_capture(&json, nullptr));
    std::string now = json.bytes(), then = R"({"env_version": 1, "components": [{"component_id": "gpu",)"
                                           R"( "cononical_str": "name=gpu;model=x;driver=1",)"
                                           R"( "component_sha256_digest": "00"}]})";
    for_every_allocation(
        nothing,
        [](raiiaf_error *error) {
            Buffer captured;
            return raiiaf_environment_capture(&captured, error);
        },
        nothing);
    for_every_allocation(
        nothing,
        [&](raiiaf_error *error) {
            auto each = [](void *, const raiiaf_component *) { return true; };
            auto drift = [](void *, const char *, const char *) { return true; };
            raiiaf_status status = raiiaf_environment_each(now.data(), now.size(), each, nullptr, error);
            return status ? status
                          : raiiaf_environment_drift(then.data(), then.size(), now.data(), now.size(), drift, nullptr,
                                                     error);
        },
        nothing);
}

TEST(ChaosOf, NpyAndPreview)
{
    std::string header = "{'descr': '>f8', 'fortran_order': True, 'shape': (1, 4, 2, 2), }";
    std::string npy = std::string("\x93NUMPY\1\0", 8) + static_cast<char>(header.size() + 1) + '\0' + header + '\n' +
                      std::string(128, '\0');
    std::vector<float> tensor(16, 0.5f);
    for_every_allocation(
        nothing,
        [&](raiiaf_error *error) {
            raiiaf_dtype dtype;
            unsigned rank;
            uint32_t shape[RAIIAF_MAX_RANK];
            Buffer read, made;
            raiiaf_status status = raiiaf_npy_read(npy.data(), npy.size(), "x.npy", &dtype, &rank, shape, &read, error);
            return status ? status : raiiaf_npy_header(dtype, rank, shape, &made, error);
        },
        nothing);
    for (uint32_t channels : {4u, 16u}) {
        raiiaf_chunk_info info{};
        info.dtype = RAIIAF_FLOAT32;
        info.rank = 4;
        info.shape[0] = 1;
        info.shape[1] = channels;
        info.shape[2] = 1;
        info.shape[3] = 16 / channels;
        for_every_allocation(
            nothing,
            [&](raiiaf_error *error) {
                raiiaf_picture picture{};
                Buffer png;
                raiiaf_status status = raiiaf_latent_preview(&info, tensor.data(), tensor.size() * 4, &picture, error);
                if (!status)
                    status = raiiaf_picture_png(&picture, &png, error);
                raiiaf_picture_free(&picture);
                return status;
            },
            nothing);
    }
}

TEST(ChaosOf, PixelsAndCarriers)
{
    File file;
    ASSERT_EQ(RAIIAF_OK, raiiaf_open_path(&file, golden("img_rgba_text.raiiaf").c_str(), nullptr, nullptr));
    std::string png = test::read_chunk(file, raiiaf_image_chunk(file));
    for_every_allocation(
        nothing,
        [&](raiiaf_error *error) {
            char digest[RAIIAF_DIGEST_SIZE];
            return raiiaf_pixels_of_image(png.data(), png.size(), nullptr, digest, error);
        },
        nothing);
    for_every_allocation(
        nothing,
        [&](raiiaf_error *error) {
            auto each = [](void *, const raiiaf_carrier *) { return true; };
            return raiiaf_carrier_each(png.data(), png.size(), nullptr, each, nullptr, error);
        },
        nothing);
}

} // namespace
