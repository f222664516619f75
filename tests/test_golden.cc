// SPDX-License-Identifier: MIT
//
// test_golden.cc - every file that the reference wrote gives what its JSON tells, whichever way it is read; comes back
// to the byte when nothing was edited; and loses nothing when something was.

#include "support.h"

using test::Buffer;
using test::Error;
using test::File;
using test::Json;

namespace
{

class Golden : public testing::TestWithParam<std::string>
{
  protected:
    Golden()
        : folder(test::data_folder() / "golden"), story(folder / (GetParam() + ".json")),
          path(folder / story["file"].text()), bytes(test::slurp(path))
    {
    }
    void open(File &file)
    {
        ASSERT_GOOD(raiiaf_open_path(&file, path.c_str(), nullptr, &error));
    }
    bool has_image() const
    {
        return !story["image"].null();
    }
    size_t latents() const
    {
        return std::max(story["latents"].size(), story["latents_sha256_in_order"].size());
    }

    std::filesystem::path folder;
    Json story;
    std::filesystem::path path;
    std::string bytes;
};

void expect_latent(const raiiaf_file *file, size_t n, const Json &told)
{
    size_t i = raiiaf_latent_chunk(file, n);
    ASSERT_NE(RAIIAF_NONE, i);
    raiiaf_chunk_info info = test::chunk_info(file, i);
    EXPECT_STREQ("LATN", info.type);
    EXPECT_EQ(told["sha256"].text(), info.sha256);
    // The drafts of gen5 have no keys at all.
    EXPECT_EQ(test::lacks_key(file, i) ? "" : told["key"].text(), info.key);
    EXPECT_EQ(told["dtype"].text() == "float16" ? RAIIAF_FLOAT16 : RAIIAF_FLOAT32, info.dtype);
    ASSERT_EQ(told["shape"].size(), info.rank);
    for (unsigned axis = 0; axis < info.rank; axis++)
        EXPECT_EQ(told["shape"][axis].number(), info.shape[axis]);
    EXPECT_EQ(told["bytes"].number(), info.size);
    EXPECT_EQ(told["stored_bytes"].number(), info.stored_size);
    EXPECT_EQ(told["compressed"].text() == "true", info.encoding != RAIIAF_ENCODING_RAW);
    EXPECT_FALSE(info.stale);
    std::string payload = test::read_chunk(file, i);
    EXPECT_EQ(told["bytes"].number(), payload.size());
    EXPECT_EQ(told["sha256"].text(), test::sha256(payload));
}

void expect_latents(const raiiaf_file *file, const Json &story)
{
    if (story.has("latents")) {
        ASSERT_EQ(story["latents"].size(), raiiaf_latent_count(file));
        for (size_t n = 0; n < story["latents"].size(); n++)
            expect_latent(file, n, story["latents"][n]);
        return;
    }
    Json digests = story["latents_sha256_in_order"];
    ASSERT_LT(0u, digests.size());
    ASSERT_EQ(digests.size(), raiiaf_latent_count(file));
    for (size_t n = 0; n < digests.size(); n++) {
        raiiaf_chunk_info info = test::chunk_info(file, raiiaf_latent_chunk(file, n));
        ASSERT_EQ(story["latent_shape_all"].size(), info.rank);
        EXPECT_EQ(story["latent_shape_all"][size_t{0}].number(), info.shape[0]);
        EXPECT_EQ(RAIIAF_FLOAT32, info.dtype);
        EXPECT_EQ(digests[n].text(), test::sha256(test::read_chunk(file, raiiaf_latent_chunk(file, n))));
    }
}

void expect_image(const raiiaf_file *file, const Json &told)
{
    size_t i = raiiaf_image_chunk(file);
    if (told.null()) {
        EXPECT_EQ(RAIIAF_NONE, i);
        raiiaf_image_info info;
        EXPECT_BAD(RAIIAF_ERROR_MISSING, raiiaf_image_probe(file, &info, &error));
        return;
    }
    ASSERT_NE(RAIIAF_NONE, i);
    raiiaf_chunk_info info = test::chunk_info(file, i);
    EXPECT_STREQ("DATA", info.type);
    EXPECT_EQ(told["bytes"].number(), info.size);
    EXPECT_EQ(told["sha256"].text(), info.sha256);
    EXPECT_EQ(told["sha256"].text(), test::sha256(test::read_chunk(file, i)));
}

void expect_environment(const raiiaf_file *file, const Json &told)
{
    size_t i = raiiaf_environment_chunk(file);
    if (told.null()) {
        EXPECT_EQ(RAIIAF_NONE, i);
        return;
    }
    ASSERT_NE(RAIIAF_NONE, i);
    struct Walk {
        const Json &told;
        size_t count;
    } walk{told, 0};
    std::string json = test::read_chunk(file, i);
    auto callback = [](void *user, const raiiaf_component *component) {
        Walk *w = static_cast<Walk *>(user);
        Json wanted = w->told[w->count++];
        EXPECT_EQ(wanted["component_id"].text(), component->id);
        EXPECT_EQ(wanted["cononical_str"].text(), component->canonical);
        EXPECT_EQ(wanted["sha256"].text(), component->sha256);
        return true;
    };
    EXPECT_GOOD(raiiaf_environment_each(json.data(), json.size(), callback, &walk, &error));
    EXPECT_EQ(told.size(), walk.count);
}

void expect_story(const raiiaf_file *file, const Json &story)
{
    EXPECT_EQ(story["layout"].text(), raiiaf_layout_name(raiiaf_layout_of(file)));
    EXPECT_EQ(story["file_size"].number(), raiiaf_file_size(file));
    EXPECT_FALSE(raiiaf_edited(file));
    std::string manifest = test::manifest(file);
    EXPECT_EQ(story["manifest_text_bytes"].number(), manifest.size());
    EXPECT_EQ(story["manifest_text_sha256"].text(), test::sha256(manifest));
    if (story.has("manifest_text")) {
        EXPECT_EQ(story["manifest_text"].text(), manifest);
    }
    expect_image(file, story["image"]);
    expect_latents(file, story);
    expect_environment(file, story["env"]);
}

uint64_t little_endian(const std::string &bytes, size_t at, size_t size)
{
    uint64_t value = 0;
    while (size-- > 0)
        value = value << 8 | static_cast<uint8_t>(bytes[at + size]);
    return value;
}

// Header and file_info of a file that was written anew (doc/format.md, 1).
void expect_truth(const std::string &saved, const raiiaf_file *file)
{
    std::string size = std::to_string(saved.size()), count = std::to_string(raiiaf_chunk_count(file));
    EXPECT_EQ(0u, saved.find(std::string("raiiaf\1\0\0", 9)));
    size_t end = little_endian(saved, 9, 4) + little_endian(saved, 13, 4);
    ASSERT_LE(end, saved.size());
    EXPECT_EQ(std::string(saved.size() - end, '\0'), saved.substr(end)) << "the manifest comes last, but for padding";
    EXPECT_EQ(count, std::to_string(little_endian(saved, 17, 4)));
    EXPECT_EQ(size, std::to_string(little_endian(saved, 21, 8)));
    EXPECT_EQ(0u, little_endian(saved, 29, 4));
    EXPECT_EQ("\"raiiaf\"", test::get(file, "/file_info/magic"));
    EXPECT_EQ("1", test::get(file, "/file_info/version_major"));
    EXPECT_EQ("0", test::get(file, "/file_info/version_minor"));
    EXPECT_EQ(size, test::get(file, "/file_info/file_size"));
    EXPECT_EQ(count, test::get(file, "/file_info/chunk_count"));
}

// A source that counts what is asked of it.
struct Counted {
    std::string_view bytes;
    unsigned reads = 0, closes = 0;
    uint64_t read_bytes = 0;

    raiiaf_source source()
    {
        raiiaf_source source{};
        source.user = this;
        source.name = "counted.raiiaf";
        source.size = bytes.size();
        source.read_at = [](void *user, uint64_t offset, void *buffer, size_t length) -> int64_t {
            Counted *self = static_cast<Counted *>(user);
            self->reads++;
            self->read_bytes += length;
            EXPECT_LE(offset + length, self->bytes.size()) << "read beyond the end";
            std::memcpy(buffer, self->bytes.data() + offset, length);
            return static_cast<int64_t>(length);
        };
        source.close = [](void *user) { static_cast<Counted *>(user)->closes++; };
        return source;
    }
};

// Those with an image.
class GoldenImage : public Golden
{
};

std::vector<std::string> image_stories()
{
    std::vector<std::string> names = test::stories("golden");
    auto lacks_image = [](const std::string &name) {
        return Json(test::data_folder() / "golden" / (name + ".json"))["image"].null();
    };
    names.erase(std::remove_if(names.begin(), names.end(), lacks_image), names.end());
    return names;
}

unsigned warnings;

void count_warning(void *, const raiiaf_error *warning)
{
    warnings++;
    ADD_FAILURE() << warning->id << ": " << warning->text;
}

TEST_P(Golden, FromPath)
{
    raiiaf_open_options options{};
    options.warning = count_warning;
    warnings = 0;
    File file;
    ASSERT_GOOD(raiiaf_open_path(&file, path.c_str(), &options, &error));
    EXPECT_NE(nullptr, std::strstr(raiiaf_name(file), path.filename().c_str()));
    expect_story(file, story);
    EXPECT_GOOD(raiiaf_verify(file, 0, nullptr, nullptr, &error));
    EXPECT_EQ(0u, warnings);
}

TEST_P(Golden, FromMemory)
{
    File file;
    ASSERT_GOOD(test::open_bytes(file, bytes, &error));
    expect_story(file, story);
}

TEST_P(Golden, ThroughCallbacksInThreeReads)
{
    Counted counted{bytes};
    raiiaf_source source = counted.source();
    File file;
    ASSERT_GOOD(raiiaf_open(&file, &source, nullptr, &error));
    EXPECT_GE(2u, counted.reads) << "to open it";
    for (size_t i = 0; i < raiiaf_chunk_count(file); i++)
        test::chunk_info(file, i);
    raiiaf_image_info info;
    if (has_image()) {
        ASSERT_GOOD(raiiaf_image_probe(file, &info, &error));
    }
    EXPECT_GE(3u, counted.reads) << "to know everything but payloads";
    uint64_t few = story["header"]["chunk_table_size"].number() + (256 << 10);
    EXPECT_GE(few, counted.read_bytes) << "read more than header, manifest and the head of the image";
    expect_story(file, story);
    EXPECT_EQ(0u, counted.closes);
    file.close();
    EXPECT_EQ(1u, counted.closes);
}

TEST_P(Golden, FromStream)
{
    struct Stream {
        std::string_view rest;
        size_t most;
    } stream{bytes, 1};
    raiiaf_source source;
    auto read = [](void *user, void *buffer, size_t length) -> int64_t {
        Stream *s = static_cast<Stream *>(user);
        size_t count = std::min({length, s->most, s->rest.size()});
        std::memcpy(buffer, s->rest.data(), count);
        s->rest.remove_prefix(count);
        s->most = s->most * 2 + 1; // reads of many sizes
        return static_cast<int64_t>(count);
    };
    ASSERT_GOOD(raiiaf_source_stream(&source, read, &stream, "stream", nullptr, &error));
    File file;
    ASSERT_GOOD(raiiaf_open(&file, &source, nullptr, &error));
    expect_story(file, story);
}

TEST_P(Golden, UneditedComesBackToTheByte)
{
    File file;
    ASSERT_NO_FATAL_FAILURE(open(file));
    EXPECT_EQ(bytes, test::save_bytes(file));
    raiiaf_save_options options{};
    options.tool = "a test 1.0"; // nothing changed: no history either
    EXPECT_EQ(bytes, test::save_bytes(file, &options));
    test::Scratch scratch;
    ASSERT_GOOD(raiiaf_save_path(file, (scratch / "out.raiiaf").c_str(), nullptr, &error));
    EXPECT_EQ(bytes, test::slurp(scratch / "out.raiiaf"));
    EXPECT_EQ(std::vector<std::string>{"out.raiiaf"}, scratch.names());
}

TEST_P(Golden, EditedKeepsAllElse)
{
    File file;
    ASSERT_NO_FATAL_FAILURE(open(file));
    std::vector<std::string> contents = test::contents(file, true);
    std::string model = test::get(file, "/model_info"), prompt = test::get(file, "/model_info/prompt");
    ASSERT_NE("(none)", prompt);
    ASSERT_GOOD(raiiaf_set(file, "/model_info/prompt", "\"another one\"", 13, &error));
    EXPECT_TRUE(raiiaf_edited(file));
    std::string saved = test::save_bytes(file);
    EXPECT_EQ(saved, test::save_bytes(file)) << "saving isn't deterministic";
    raiiaf_save_options options{};
    options.threads = 3;
    EXPECT_EQ(saved, test::save_bytes(file, &options)) << "threads show in the file";

    File again;
    ASSERT_GOOD(test::open_bytes(again, saved, &error));
    EXPECT_EQ(RAIIAF_LAYOUT_33, raiiaf_layout_of(again));
    EXPECT_NO_FATAL_FAILURE(expect_truth(saved, again));
    EXPECT_GOOD(raiiaf_verify(again, 0, nullptr, nullptr, &error));
    EXPECT_EQ(contents, test::contents(again));
    EXPECT_EQ("\"another one\"", test::get(again, "/model_info/prompt"));
    EXPECT_EQ(0u, test::manifest(again).find('{'));
    EXPECT_NE(std::string::npos, test::manifest(again).find("\"raiiaf_metadata\""));
    EXPECT_EQ(std::string::npos, test::manifest(again).find("gen5_metadata"));

    // Undo the edit in the text: the spelling of everything around it must have stayed.
    raiiaf_value now, whole;
    ASSERT_TRUE(raiiaf_get(again, "/model_info", &whole));
    ASSERT_TRUE(raiiaf_get(again, "/model_info/prompt", &now));
    std::string undone(whole.text, whole.size);
    undone.replace(static_cast<size_t>(now.text - whole.text), now.size, prompt);
    EXPECT_EQ(model, undone);
    for (size_t i = 0; i < raiiaf_chunk_count(again); i++) {
        std::string extra = "/chunks/" + std::to_string(i) + "/extra";
        if (*test::chunk_info(file, i).type == 'L' && test::lacks_key(file, i))
            extra += "/shape"; // it has got a key
        EXPECT_EQ(test::get(file, extra.c_str()), test::get(again, extra.c_str()));
    }
}

TEST_P(Golden, RepackedKeepsAllAndGrowsNowhere)
{
    File file;
    ASSERT_NO_FATAL_FAILURE(open(file));
    raiiaf_save_options options{};
    options.repack = true;
    std::string saved = test::save_bytes(file, &options);
    if (raiiaf_layout_of(file) != RAIIAF_LAYOUT_GEN5) { // whose zstd for latents isn't legal any more
        EXPECT_GE(bytes.size() + 64, saved.size());
    }
    File again;
    ASSERT_GOOD(test::open_bytes(again, saved, &error));
    EXPECT_GOOD(raiiaf_verify(again, 0, nullptr, nullptr, &error));
    EXPECT_EQ(test::contents(file, true), test::contents(again));
    for (size_t n = 0; n < raiiaf_latent_count(again); n++) {
        raiiaf_chunk_info info = test::chunk_info(again, raiiaf_latent_chunk(again, n));
        EXPECT_GE(info.size + 12, info.stored_size) << "never larger than raw";
    }
}

TEST_P(Golden, CapsuleAndImageMakeTheFile)
{
    File file;
    ASSERT_NO_FATAL_FAILURE(open(file));
    Buffer capsule;
    ASSERT_GOOD(raiiaf_capsule_make(file, nullptr, 0, &capsule, &error));
    EXPECT_FALSE(raiiaf_edited(file));
    std::string kept = capsule.bytes();
    File joined;
    ASSERT_GOOD(test::open_bytes(joined, kept, &error));
    EXPECT_EQ(raiiaf_layout_of(file), raiiaf_layout_of(joined));
    EXPECT_EQ(RAIIAF_NONE, raiiaf_image_chunk(joined));
    EXPECT_EQ(latents(), raiiaf_latent_count(joined));
    EXPECT_EQ(test::get(file, "/model_info"), test::get(joined, "/model_info"));
    EXPECT_GOOD(raiiaf_verify(joined, 0, nullptr, nullptr, &error));
    if (!has_image())
        return;
    EXPECT_TRUE(raiiaf_is_capsule(joined));
    EXPECT_EQ(story["image"]["sha256"].text(), raiiaf_capsule_image_sha256(joined));
    std::string stored = test::read_stored(file, raiiaf_image_chunk(file));
    ASSERT_GOOD(raiiaf_capsule_join(joined, stored.data(), stored.size(), &error));
    EXPECT_EQ(bytes, test::save_bytes(joined));
    EXPECT_EQ(test::contents(file), test::contents(joined));
    EXPECT_EQ(test::manifest(file), test::manifest(joined));
}

// A capsule that comes back beside a new image: everything is kept, and stale where the picture is another.
TEST_P(GoldenImage, CapsuleBesideThatPictureOrAnother)
{
    File file;
    ASSERT_NO_FATAL_FAILURE(open(file));
    std::string image = test::read_chunk(file, raiiaf_image_chunk(file));
    const char *digest = "xxh3-128:2x2x3x8:0123456789abcdef0123456789abcdef";
    Buffer capsule;
    ASSERT_GOOD(raiiaf_capsule_make(file, digest, 0, &capsule, &error));
    for (bool same : {true, false}) {
        std::string kept = capsule.bytes();
        File joined;
        ASSERT_GOOD(test::open_bytes(joined, kept, &error));
        EXPECT_STREQ(digest, raiiaf_capsule_digest(joined));
        ASSERT_GOOD(raiiaf_capsule_join(joined, nullptr, 0, &error));
        std::string png = test::plain_png(5, 4, 1, 2, 3);
        const char *other = "xxh3-128:5x4x3x8:ffffffffffffffffffffffffffffffff";
        ASSERT_GOOD(raiiaf_image_set(joined, png.data(), png.size(), same ? digest : other, &error));
        std::string saved = test::save_bytes(joined);
        File again;
        ASSERT_GOOD(test::open_bytes(again, saved, &error));
        EXPECT_GOOD(raiiaf_verify(again, 0, nullptr, nullptr, &error));
        EXPECT_EQ(RAIIAF_LAYOUT_33, raiiaf_layout_of(again));
        EXPECT_FALSE(raiiaf_is_capsule(again));
        EXPECT_EQ("(none)", test::get(again, "/capsule"));
        ASSERT_NE(RAIIAF_NONE, raiiaf_image_chunk(again));
        EXPECT_EQ(png, test::read_chunk(again, raiiaf_image_chunk(again)));
        EXPECT_EQ(test::get(file, "/model_info"), test::get(again, "/model_info"));
        ASSERT_EQ(latents(), raiiaf_latent_count(again));
        for (size_t n = 0; n < latents(); n++) {
            raiiaf_chunk_info was = test::chunk_info(file, raiiaf_latent_chunk(file, n));
            raiiaf_chunk_info is = test::chunk_info(again, raiiaf_latent_chunk(again, n));
            EXPECT_STREQ(was.sha256, is.sha256);
            if (!test::lacks_key(file, raiiaf_latent_chunk(file, n))) {
                EXPECT_STREQ(was.key, is.key);
            }
            EXPECT_EQ(!same, is.stale);
        }
        EXPECT_EQ(test::chunks_of(file, "ENVC").size(), test::chunks_of(again, "ENVC").size());
    }
}

// Another image with the same pixels leaves the latents fresh: the core decodes PNG by itself.
TEST_P(GoldenImage, ImageSetTellsPicturesApart)
{
    File file;
    ASSERT_NO_FATAL_FAILURE(open(file));
    raiiaf_image_info info;
    ASSERT_GOOD(raiiaf_image_probe(file, &info, &error));
    if (info.format == RAIIAF_IMAGE_PNG) {
        std::string image = test::read_chunk(file, raiiaf_image_chunk(file)) + "trailing bytes";
        ASSERT_GOOD(raiiaf_image_set(file, image.data(), image.size(), nullptr, &error));
        EXPECT_FALSE(test::chunk_info(file, raiiaf_latent_chunk(file, 0)).stale);
    }
    std::string other = test::plain_png(7, 5, 200, 100, 0);
    ASSERT_GOOD(raiiaf_image_set(file, other.data(), other.size(), nullptr, &error));
    for (size_t n = 0; n < latents(); n++)
        EXPECT_TRUE(test::chunk_info(file, raiiaf_latent_chunk(file, n)).stale);
    EXPECT_EQ(other, test::read_chunk(file, raiiaf_image_chunk(file)));
}

INSTANTIATE_TEST_SUITE_P(All, Golden, testing::ValuesIn(test::stories("golden")), test::story_name);

INSTANTIATE_TEST_SUITE_P(All, GoldenImage, testing::ValuesIn(image_stories()), test::story_name);

TEST(GoldenFolder, IsWhole)
{
    EXPECT_LE(80u, test::stories("golden").size()) << "look for tests/data at " << test::data_folder();
}

} // namespace
