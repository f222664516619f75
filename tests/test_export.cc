// SPDX-License-Identifier: MIT
//
// test_export.cc - what goes out comes back: a PNG that holds a file is its image to every other reader, and becomes
// the very file again; where somebody has changed it, as much of the file as is left.
#include "support.h"

#include "pictures.h"
#include "scan.h"

#include <set>

namespace
{

using test::Buffer;
using test::Error;
using test::File;
using test::Json;
using test::png_chunk;
using namespace std::string_literals;
namespace fs = std::filesystem;

std::string exported(const raiiaf_file *file, raiiaf_export_form form)
{
    Buffer out;
    Error error;
    EXPECT_TRUE(test::good(raiiaf_export(file, form, &out, &error), error));
    return out.bytes();
}

std::string imported(const std::string &image)
{
    File file;
    Error error;
    EXPECT_TRUE(test::good(raiiaf_import(&file, image.data(), image.size(), nullptr, nullptr, &error), error));
    return file ? test::save_bytes(file) : "";
}

// ---- chunks of a PNG ----

struct Chunk {
    std::string type, bytes; // bytes: all of it
};

std::vector<Chunk> chunks_of(const std::string &png)
{
    std::vector<Chunk> all;
    for (size_t at = 8; at + 12 <= png.size() && (all.empty() || all.back().type != "IEND");) {
        size_t size = 12;
        for (size_t i = 0; i < 4; i++)
            size += static_cast<size_t>(static_cast<uint8_t>(png[at + i])) << (24 - 8 * i);
        all.push_back({png.substr(at + 4, 4), png.substr(at, size)});
        at += size;
    }
    return all;
}

bool is_ours(const Chunk &chunk)
{
    return chunk.type == "raIf" || chunk.type == "raDA";
}

// The PNG without the chunks that `drop` wants away.
template <typename Drop> std::string without(const std::string &png, Drop drop)
{
    std::string out = png.substr(0, 8);
    size_t at = 8;
    for (const Chunk &chunk : chunks_of(png)) {
        if (!drop(chunk))
            out += chunk.bytes;
        at += chunk.bytes.size();
    }
    return out + png.substr(at);
}

bool says_parameters(const Chunk &chunk)
{
    return chunk.bytes.substr(8, 11) == "parameters\0"s;
}

std::vector<fs::path> golden_files()
{
    std::vector<fs::path> all;
    for (const auto &entry : fs::directory_iterator(test::data_folder() / "golden"))
        if (entry.path().extension() == ".raiiaf" || entry.path().extension() == ".gen5")
            all.push_back(entry.path());
    std::sort(all.begin(), all.end());
    return all;
}

fs::path legacy_samples()
{
    const char *shared = std::getenv("RAIIAF_SHARED");
    fs::path all = fs::path(shared ? shared : "../shared") / "legacy";
    return fs::exists(all) ? all : test::data_folder() / "legacy";
}

bool has_png(const raiiaf_file *file)
{
    raiiaf_image_info info;
    return raiiaf_image_probe(file, &info, nullptr) == RAIIAF_OK && info.format == RAIIAF_IMAGE_PNG;
}

// ---- PNG ----

// The image is all there, and what is more is known.
void expect_image_kept(const std::string &image, const std::string &png)
{
    bool had = false;
    for (const Chunk &chunk : chunks_of(image))
        had |= says_parameters(chunk);
    EXPECT_EQ(image, without(png, [&](const Chunk &c) { return is_ours(c) || (!had && says_parameters(c)); }));
    std::string before, after;
    char digest[RAIIAF_DIGEST_SIZE];
    if (raiiaf_pixels_of_image(image.data(), image.size(), nullptr, digest, nullptr) == RAIIAF_OK)
        before = digest;
    if (raiiaf_pixels_of_image(png.data(), png.size(), nullptr, digest, nullptr) == RAIIAF_OK)
        after = digest;
    EXPECT_EQ(before, after);
}

TEST(Export, BringsEveryGoldenFileBack)
{
    size_t count = 0;
    for (const fs::path &path : golden_files()) {
        SCOPED_TRACE(path);
        std::string bytes = test::slurp(path);
        File file;
        ASSERT_GOOD(test::open_bytes(file, bytes, &error));
        if (!has_png(file)) {
            Buffer out;
            Error error;
            EXPECT_NE(RAIIAF_OK, raiiaf_export(file, RAIIAF_EXPORT_PNG, &out, &error));
            EXPECT_TRUE(error.status == RAIIAF_ERROR_MISSING || error.status == RAIIAF_ERROR_UNSUPPORTED);
            continue;
        }
        std::string png = exported(file, RAIIAF_EXPORT_PNG);
        expect_image_kept(test::read_chunk(file, raiiaf_image_chunk(file)), png);
        EXPECT_EQ(bytes, imported(png));
        count++;
    }
    EXPECT_LT(20u, count);
}

TEST(Export, BringsEverySampleBack)
{
    size_t count = 0;
    for (const auto &entry : fs::recursive_directory_iterator(legacy_samples())) {
        if (entry.path().extension() != ".png")
            continue;
        SCOPED_TRACE(entry.path());
        std::string image = test::slurp(entry.path());
        test::Options options(entry.path());
        File file, stored;
        if (raiiaf_import(&file, image.data(), image.size(), &options, nullptr, nullptr) != RAIIAF_OK)
            continue;
        std::string bytes = test::save_bytes(file);
        ASSERT_GOOD(test::open_bytes(stored, bytes, &error));
        Buffer out;
        Error error;
        if (raiiaf_export(stored, RAIIAF_EXPORT_PNG, &out, &error) != RAIIAF_OK) {
            EXPECT_STREQ("png-end", error.id) << error.text; // cut short: some in bad/ are
            continue;
        }
        expect_image_kept(image, out.bytes());
        EXPECT_EQ(bytes, imported(out.bytes()));
        test::Scan before(image), after(out.bytes()); // without the file that is in it
        for (const char *field : {"prompt", "negative_prompt", "seed", "steps", "sampler", "model_name"})
            EXPECT_TRUE(before.dialect() == "none" || before[field] == after[field]) << field << after[field];
        count++;
    }
    EXPECT_LT(20u, count);
}

const std::string settings_json =
    R"({"seed": 18446744073709551615, "steps": 20, "sampler": "euler", "negative_prompt": "fog", "a": {"b": [1]}})";

// A file with a latent, settings and a PNG.
std::string sample_file(const std::string &png, const char *prompt = "a lighthouse")
{
    File file;
    std::vector<float> noise(4 * 8 * 8, 0.5f);
    const uint32_t shape[] = {1, 4, 8, 8};
    Error error;
    EXPECT_TRUE(test::good(raiiaf_new(&file, nullptr, &error), error));
    EXPECT_EQ(RAIIAF_OK, raiiaf_set_text(file, "prompt", prompt, nullptr));
    EXPECT_EQ(RAIIAF_OK,
              raiiaf_set(file, "/model_info/generation_settings", settings_json.data(), settings_json.size(), nullptr));
    EXPECT_EQ(RAIIAF_OK, raiiaf_image_set(file, png.data(), png.size(), nullptr, nullptr));
    EXPECT_EQ(RAIIAF_OK,
              raiiaf_latent_add(file, "end", shape, 4, RAIIAF_FLOAT32, noise.data(), noise.size() * 4, nullptr));
    return test::save_bytes(file);
}

std::string sample_png(const std::string &bytes)
{
    File file;
    Error error;
    EXPECT_TRUE(test::good(test::open_bytes(file, bytes, &error), error));
    return exported(file, RAIIAF_EXPORT_PNG);
}

TEST(Export, AddsParametersWhereThereAreNone)
{
    std::string plain = test::plain_png(8, 8, 1, 2, 3);
    for (const char *prompt : {"a lighthouse", "ein Leuchtturm bei Nacht, 灯台"}) {
        std::string png = sample_png(sample_file(plain, prompt));
        test::Scan scan(png);
        EXPECT_EQ(prompt, scan["prompt"]);
        EXPECT_EQ("18446744073709551615", scan["seed"]);
        EXPECT_EQ("fog", scan["negative_prompt"]);
        std::vector<Chunk> chunks = chunks_of(png);
        size_t at = 0, pixels = 0;
        while (!says_parameters(chunks[at]))
            at++;
        while (chunks[pixels].type != "IDAT")
            pixels++;
        EXPECT_LT(at, pixels); // readers that stop at the pixels see it, too
    }
    for (const char *kind : {"tEXt", "zTXt", "iTXt"}) {
        std::string own = test::with_chunks(plain, png_chunk(kind, "parameters\0of their own"s)),
                    png = sample_png(sample_file(own));
        EXPECT_EQ(own, without(png, is_ours)) << kind;
    }
}

TEST(Export, TakesAnEditedFileAsItWouldBeSaved)
{
    File file, again;
    std::string bytes = sample_file(test::plain_png(8, 8, 1, 2, 3));
    ASSERT_GOOD(test::open_bytes(file, bytes, &error));
    ASSERT_GOOD(raiiaf_set_text(file, "prompt", "another", &error));
    std::string png = exported(file, RAIIAF_EXPORT_PNG);
    EXPECT_EQ(test::save_bytes(file), imported(png));
    EXPECT_EQ("another", test::Scan(png)["prompt"]);
}

TEST(Export, HoldsLargeFilesInPieces)
{
    File file;
    std::string bytes = sample_file(test::plain_png(8, 8, 1, 2, 3));
    ASSERT_GOOD(test::open_bytes(file, bytes, &error));
    test::Noise noise(7);
    std::vector<float> values(4 * 300 * 300);
    for (float &value : values)
        value = static_cast<float>(noise.next()) / 4e9f;
    const uint32_t shape[] = {1, 4, 300, 300};
    ASSERT_GOOD(raiiaf_latent_add(file, "big", shape, 4, RAIIAF_FLOAT32, values.data(), values.size() * 4, &error));
    std::string png = exported(file, RAIIAF_EXPORT_PNG);
    size_t pieces = 0;
    for (const Chunk &chunk : chunks_of(png)) {
        pieces += chunk.type == "raIf";
        EXPECT_GE((1u << 20) + 12, chunk.bytes.size()) << chunk.type; // libpng takes 8 MB at most
    }
    EXPECT_LT(1u, pieces);
    EXPECT_EQ(test::save_bytes(file), imported(png));
}

TEST(Export, RefusesWhatIsNoWholePng)
{
    std::string png = test::plain_png(8, 8, 1, 2, 3);
    const std::pair<std::string, const char *> images[] = {{png.substr(0, png.size() - 12), "png-end"},
                                                           {sample_png(sample_file(png)), "png-embedded"},
                                                           {"\xFF\xD8\xFF\xE0", "image-no-png"},
                                                           {"text", "image-unknown"}};
    for (const auto &[image, id] : images) {
        File file;
        std::string bytes = sample_file(image);
        ASSERT_GOOD(test::open_bytes(file, bytes, &error));
        Buffer out;
        Error error;
        EXPECT_NE(RAIIAF_OK, raiiaf_export(file, RAIIAF_EXPORT_PNG, &out, &error));
        EXPECT_STREQ(id, error.id);
        EXPECT_EQ(0u, out.size);
    }
}

// The image goes out as it is, and its text with it, however long.
TEST(Export, LosesNoTextThatItWarnsOf)
{
    std::string png = test::plain_png(8, 8, 1, 2, 3);
    std::string image = png.substr(0, 33) + png_chunk("tEXt", "Title\0"s + std::string(1 << 16, 'x')) + png.substr(33);
    std::string bytes = sample_file(image);
    raiiaf_limits limits;
    raiiaf_limits_default(&limits);
    limits.manifest_size = 1 << 15;
    std::vector<std::string> warnings;
    raiiaf_open_options options = {};
    options.limits = &limits;
    options.warning_user = &warnings;
    options.warning = [](void *user, const raiiaf_error *warning) {
        static_cast<std::vector<std::string> *>(user)->push_back(warning->id);
    };
    File file;
    Error error;
    ASSERT_TRUE(test::good(raiiaf_open_memory(&file, bytes.data(), bytes.size(), "text", &options, &error), error));
    expect_image_kept(image, exported(file, RAIIAF_EXPORT_PNG));
    EXPECT_EQ(std::vector<std::string>{}, warnings);
    Buffer capsule;
    ASSERT_TRUE(test::good(raiiaf_capsule_make(file, nullptr, 0, &capsule, &error), error));
    EXPECT_EQ(std::vector<std::string>{"text-too-large"}, warnings);
}

// ---- a PNG that somebody changed ----

raiiaf_status import(File &file, const std::string &png, const raiiaf_import_options *options = nullptr)
{
    Error error;
    raiiaf_status status = raiiaf_import(&file, png.data(), png.size(), options, nullptr, &error);
    EXPECT_TRUE(test::good(status, error));
    return status;
}

TEST(Export, ComesBackWithTheNewPicture)
{
    std::string old = test::plain_png(8, 8, 1, 2, 3), png = sample_png(sample_file(old)), capsule;
    for (const Chunk &chunk : chunks_of(png))
        capsule += chunk.type == "raIf" ? chunk.bytes : "";
    for (bool same : {true, false}) {
        std::string picture = test::with_chunks(test::plain_png(8, 8, same ? 1 : 9, 2, 3), png_chunk("tEXt", "a\0b"s)),
                    edited = test::with_last_chunks(picture, capsule); // as editors copy it
        File file;
        ASSERT_EQ(RAIIAF_OK, import(file, edited));
        EXPECT_EQ(picture, test::read_chunk(file, raiiaf_image_chunk(file)));
        EXPECT_EQ("\"a lighthouse\"", test::get(file, "prompt"));
        EXPECT_EQ("18446744073709551615", test::get(file, "seed"));
        ASSERT_EQ(1u, raiiaf_latent_count(file));
        EXPECT_EQ(!same, test::chunk_info(file, raiiaf_latent_chunk(file, 0)).stale);
        EXPECT_EQ("(none)", test::get(file, "/capsule"));
        File reopened;
        std::string saved = test::save_bytes(file);
        ASSERT_GOOD(test::open_bytes(reopened, saved, &error));
        EXPECT_GOOD(raiiaf_verify(reopened, 1, nullptr, nullptr, &error));
    }
}

TEST(Export, ComesBackBesideAHostsOwnImage)
{
    std::string bytes = sample_file(test::plain_png(8, 8, 1, 2, 3)), png = sample_png(bytes),
                fresh = test::plain_png(8, 8, 1, 2, 3);
    raiiaf_import_options options = {};
    options.modified = -1;
    options.original = png.data();
    options.original_size = png.size();
    File file;
    ASSERT_EQ(RAIIAF_OK, import(file, fresh, &options));
    EXPECT_EQ(fresh, test::read_chunk(file, raiiaf_image_chunk(file)));
    EXPECT_EQ("\"a lighthouse\"", test::get(file, "prompt"));
    EXPECT_FALSE(test::chunk_info(file, raiiaf_latent_chunk(file, 0)).stale);
}

TEST(Export, IsAnImageLikeAnyOtherToWhoAsksForADialect)
{
    std::string png = sample_png(sample_file(test::plain_png(8, 8, 1, 2, 3)));
    raiiaf_import_options options = {};
    options.modified = -1;
    options.dialect = "a1111";
    File file;
    ASSERT_EQ(RAIIAF_OK, import(file, png, &options));
    EXPECT_EQ("\"a1111\"", test::get(file, "/source/dialect"));
    EXPECT_EQ(png, test::read_chunk(file, raiiaf_image_chunk(file)));
}

TEST(Export, SurvivesDamage)
{
    std::string png = sample_png(sample_file(test::plain_png(8, 8, 1, 2, 3)));
    test::Noise noise(3);
    size_t start = png.find("raIf");
    for (int round = 0; round < 400; round++) {
        std::string changed = png;
        for (size_t count = 1 + noise.below(3); count > 0; count--)
            changed[start + noise.below(png.size() - start)] = static_cast<char>(noise.byte());
        if (noise.below(4) == 0)
            changed.resize(start + noise.below(png.size() - start));
        File file;
        Error error;
        raiiaf_status status = raiiaf_import(&file, changed.data(), changed.size(), nullptr, nullptr, &error);
        EXPECT_EQ(status == RAIIAF_OK, file != nullptr);
        // by the capsule, or by its parameters
        EXPECT_TRUE(!file || test::get(file, "prompt") == "\"a lighthouse\"") << round;
    }
}

// A capsule and a delta of somebody else's.
TEST(Export, TakesNoImageThatIsNotTheFiles)
{
    std::string one = sample_png(sample_file(test::plain_png(8, 8, 1, 2, 3))),
                other = sample_png(sample_file(test::plain_png(8, 8, 4, 5, 6), "a ship")), deltas;
    for (const Chunk &chunk : chunks_of(other))
        deltas += chunk.type == "raDA" ? chunk.bytes : "";
    std::string mixed =
        test::with_last_chunks(without(one, [](const Chunk &chunk) { return chunk.type == "raDA"; }), deltas);
    File file;
    ASSERT_EQ(RAIIAF_OK, import(file, mixed));
    EXPECT_EQ("\"a lighthouse\"", test::get(file, "prompt"));
    EXPECT_EQ(without(one, is_ours), test::read_chunk(file, raiiaf_image_chunk(file)));
}

// ---- JSON ----

TEST(Export, TellsAsJsonWhatTheScanTold)
{
    size_t count = 0;
    for (const auto &entry : fs::recursive_directory_iterator(legacy_samples())) {
        fs::path story = entry.path();
        if (!fs::exists(story.replace_extension(".expected.json")) || entry.path() == story)
            continue;
        SCOPED_TRACE(entry.path());
        std::string image = test::slurp(entry.path());
        test::Options options(entry.path());
        test::Scan scan(image, &options);
        File file;
        if (raiiaf_import(&file, image.data(), image.size(), &options, nullptr, nullptr) != RAIIAF_OK)
            continue;
        std::string line = exported(file, RAIIAF_EXPORT_JSON);
        EXPECT_EQ(std::string::npos, line.find('\n'));
        Json json = Json::parse(line);
        ASSERT_FALSE(json.null()) << line;
        EXPECT_EQ(scan.dialect(), json["dialect"].null() ? "none" : json["dialect"].text());
        for (size_t i = 0; const char *field = raiiaf_legacy_field(i); i++)
            if (std::strcmp(field, "date") != 0) {
                EXPECT_EQ(scan[field], json[field].null() ? "" : json[field].text()) << field;
            }
        count++;
    }
    EXPECT_LT(20u, count);
}

TEST(Export, TellsAllOtherSettingsAsJson)
{
    File file;
    std::string bytes = sample_file(test::plain_png(8, 8, 1, 2, 3));
    ASSERT_GOOD(test::open_bytes(file, bytes, &error));
    const std::string more = "{\n  \"seed\": 1,\n  \"a\": 2,\n  \"c\": [\n    1,\n    \"x  \\n  y\"\n  ]\n}";
    ASSERT_GOOD(raiiaf_set(file, "/source/settings", more.data(), more.size(), &error));
    Json json = Json::parse(exported(file, RAIIAF_EXPORT_JSON));
    EXPECT_EQ(18446744073709551615u, json["seed"].number());
    EXPECT_EQ(Json::parse(R"({"b": [1]})").text(), json["extra"]["a"].text());
    EXPECT_EQ("x  \n  y", json["extra"]["c"][1].text());
    EXPECT_TRUE(json.has("model_name") && json["model_name"].null());
    EXPECT_FALSE(json["extra"].has("seed") || json["extra"].has("negative_prompt"));
}

// ---- XMP ----

TEST(Export, TellsXmpThatTheScanReads)
{
    File file;
    std::string bytes = sample_file(test::plain_png(8, 8, 1, 2, 3), "a <b> & \"c\"\r\nd\x01 \xEF\xBF\xBF]]>");
    ASSERT_GOOD(test::open_bytes(file, bytes, &error));
    std::string xmp = exported(file, RAIIAF_EXPORT_XMP);
    for (const char *part : {"a &#60;b&#62; &#38; \"c\"&#13;\nd\uFFFD \uFFFD]]&#62;", "trainedAlgorithmicMedia<",
                             "\nNegative prompt: fog</Iptc4xmpExt:AIPromptInformation>"})
        EXPECT_NE(std::string::npos, xmp.find(part)) << part << " in " << xmp;
}

} // namespace
