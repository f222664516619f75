// SPDX-License-Identifier: MIT
//
// scan.h - what the library tells of an image that some other tool wrote.
#ifndef RAIIAF_TESTS_SCAN_H
#define RAIIAF_TESTS_SCAN_H

#include "pictures.h"
#include "support.h"

#include <set>

namespace test
{

inline bool open_sidecar(void *user, const char *name, raiiaf_source *source)
{
    return raiiaf_source_path(source, (*static_cast<std::filesystem::path *>(user) / name).c_str(), nullptr, nullptr) ==
           RAIIAF_OK;
}

struct Options : raiiaf_import_options {
    explicit Options(const std::filesystem::path &path)
        : raiiaf_import_options(), folder(path.parent_path()), name(path.string())
    {
        file_name = name.c_str();
        modified = -1;
        sidecar = open_sidecar;
        sidecar_user = &folder;
    }
    Options(const Options &) = delete;
    Options &operator=(const Options &) = delete;

    std::filesystem::path folder;
    std::string name;
};

class Scan
{
  public:
    explicit Scan(const std::string &image, const raiiaf_import_options *import = nullptr,
                  const raiiaf_open_options *options = nullptr)
    {
        status = raiiaf_scan(&legacy, image.data(), image.size(), import, options, &error);
        EXPECT_EQ(status == RAIIAF_OK, legacy != nullptr);
        EXPECT_EQ(status, error.status);
    }
    ~Scan()
    {
        raiiaf_legacy_free(legacy);
    }
    Scan(const Scan &) = delete;
    Scan &operator=(const Scan &) = delete;

    std::string dialect() const
    {
        const char *name = legacy ? raiiaf_legacy_dialect(legacy) : nullptr;
        return name ? name : "none";
    }
    // As JSON; "" where it isn't known.
    std::string spelt(const char *name) const
    {
        raiiaf_value value;
        return legacy && raiiaf_legacy_get(legacy, name, &value) ? std::string(value.text, value.size) : "";
    }
    // As text.
    std::string operator[](const char *name) const
    {
        std::string json = spelt(name);
        return json.empty() ? "" : Json::parse("[" + json + "]")[size_t{0}].text();
    }
    std::set<std::string> digests() const
    {
        std::set<std::string> all;
        auto add = [](void *user, const raiiaf_carrier *carrier, const char *sha256) {
            std::string_view bytes(reinterpret_cast<const char *>(carrier->data), carrier->size);
            EXPECT_EQ(test::sha256(bytes), sha256);
            static_cast<std::set<std::string> *>(user)->insert(sha256);
            return true;
        };
        if (legacy)
            raiiaf_legacy_carrier_each(legacy, add, &all);
        return all;
    }
    std::vector<std::string> texts() const
    {
        std::vector<std::string> all;
        auto add = [](void *user, const char *kind, const char *keyword, const char *text, size_t size) {
            static_cast<std::vector<std::string> *>(user)->push_back(std::string(kind) + " " + keyword + "=" +
                                                                     std::string(text, size));
            return true;
        };
        raiiaf_legacy_text_each(legacy, add, &all);
        return all;
    }

    raiiaf_status status;
    Error error;

  private:
    raiiaf_legacy *legacy = nullptr;
};

// A small PNG with these chunks.
inline std::string png_with(const std::string &chunks)
{
    return with_chunks(plain_png(4, 4, 1, 2, 3), chunks);
}

inline std::string text_chunk(const std::string &keyword, const std::string &text)
{
    return png_chunk("iTXt", keyword + std::string(5, '\0') + text);
}

} // namespace test

#endif
