// SPDX-License-Identifier: MIT
//
// test_store.cc - a file in a host's store and back, wishes for another manifest, what a host shows, .npy files; and
// that a save which never ends leaves nothing.

#include "support.h"

#include <map>

using test::Buffer;
using test::Error;
using test::File;

namespace
{

std::filesystem::path golden(const char *name)
{
    return test::data_folder() / "golden" / name;
}

// A store as a host has one.
struct Store {
    std::map<std::string, std::string> held;
    unsigned released = 0;
    size_t puts_left = 1000000;

    raiiaf_store store()
    {
        return {this,
                [](void *user, const char *name, const void *data, size_t size) {
                    auto *self = static_cast<Store *>(user);
                    self->held[name] = std::string(static_cast<const char *>(data), size);
                    return self->puts_left-- > 0;
                },
                [](void *user, const char *name, const void **data, size_t *size) {
                    auto *self = static_cast<Store *>(user);
                    auto found = self->held.find(name);
                    if (found == self->held.end())
                        return false;
                    *data = found->second.data();
                    *size = found->second.size();
                    return true;
                },
                [](void *user) { static_cast<Store *>(user)->released++; }};
    }
};

void keep(Store &store, const std::filesystem::path &path, size_t most)
{
    File file;
    ASSERT_GOOD(raiiaf_open_path(&file, path.c_str(), nullptr, &error));
    raiiaf_store s = store.store();
    ASSERT_GOOD(raiiaf_store_keep(file, &s, most, &error));
}

void open(File &file, Store &store)
{
    raiiaf_store s = store.store();
    ASSERT_GOOD(raiiaf_store_open(&file, &s, "picture", nullptr, &error));
}

void wish(Store &store, const std::string &what, const std::string &instead)
{
    std::string &manifest = store.held["manifest"];
    size_t at = manifest.find(what);
    ASSERT_NE(std::string::npos, at) << what;
    manifest.replace(at, what.size(), instead);
}

} // namespace

TEST(Store, GivesEveryFileBackToTheByte)
{
    unsigned count = 0;
    for (const auto &entry : std::filesystem::directory_iterator(test::data_folder() / "golden")) {
        std::string extension = entry.path().extension().string();
        if (extension != ".raiiaf" && extension != ".gen5")
            continue;
        SCOPED_TRACE(entry.path().string());
        for (size_t most : {size_t{0}, size_t{1000}}) {
            Store store;
            ASSERT_NO_FATAL_FAILURE(keep(store, entry.path(), most));
            std::string all;
            std::string index = store.held.at("index");
            for (size_t at = 0; at < index.size(); at = index.find('\n', at) + 1) {
                const std::string &piece = store.held.at(index.substr(at, index.find(' ', at) - at));
                EXPECT_TRUE(!most || piece.size() <= most);
                all += piece;
            }
            EXPECT_EQ(test::slurp(entry.path()), all);
            {
                File file;
                ASSERT_NO_FATAL_FAILURE(open(file, store));
                EXPECT_FALSE(raiiaf_edited(file));
                EXPECT_GOOD(raiiaf_verify(file, 0, nullptr, nullptr, &error));
                EXPECT_EQ(all, test::save_bytes(file));
                EXPECT_EQ(0u, store.released);
            }
            EXPECT_EQ(1u, store.released);
        }
        count++;
    }
    EXPECT_GE(count, 70u);
}

TEST(Store, KeepsWhatNoRecordClaims)
{
    test::Scratch scratch;
    std::string bytes = test::slurp(golden("trajectory.raiiaf")), junk = "bytes that no record claims";
    uint32_t table;
    memcpy(&table, bytes.data() + 9, 4);
    bytes.insert(table, junk);
    table += static_cast<uint32_t>(junk.size());
    memcpy(bytes.data() + 9, &table, 4);
    bytes += "and more";
    test::spill(scratch / "junk.raiiaf", bytes);
    Store store;
    ASSERT_NO_FATAL_FAILURE(keep(store, scratch / "junk.raiiaf", 0));
    File file;
    ASSERT_NO_FATAL_FAILURE(open(file, store));
    EXPECT_EQ(bytes, test::save_bytes(file));
}

TEST(Store, GrantsWishes)
{
    Store store;
    ASSERT_NO_FATAL_FAILURE(keep(store, golden("settings_extra_keys.raiiaf"), 0));
    File before;
    ASSERT_NO_FATAL_FAILURE(open(before, store));
    raiiaf_value steps, prompt;
    ASSERT_TRUE(raiiaf_get(before, "steps", &steps));
    ASSERT_TRUE(raiiaf_get(before, "prompt", &prompt));
    std::string shown = store.held["manifest"], text(prompt.text, prompt.size);
    wish(store, text, "\"another\"");
    store.held["manifest"] += '\0'; // as a host hands strings back
    File file;
    ASSERT_NO_FATAL_FAILURE(open(file, store));
    EXPECT_TRUE(raiiaf_edited(file));
    raiiaf_value now;
    ASSERT_TRUE(raiiaf_get(file, "prompt", &now));
    EXPECT_EQ("\"another\"", std::string(now.text, now.size));
    ASSERT_TRUE(raiiaf_get(file, "steps", &now));
    EXPECT_EQ(std::string(steps.text, steps.size), std::string(now.text, now.size));
}

TEST(Store, DropsWhatIsGoneFromTheManifestButKeepsItsOwn)
{
    File made;
    ASSERT_GOOD(raiiaf_open_path(&made, golden("trajectory.raiiaf").c_str(), nullptr, &error));
    ASSERT_GOOD(raiiaf_set(made, "/mine", "{\"a\": 1}", 8, &error));
    ASSERT_GOOD(raiiaf_set(made, "/model_info/mine", "2", 1, &error));
    test::Scratch scratch;
    raiiaf_save_options options{};
    options.tool = "test";
    ASSERT_GOOD(raiiaf_save_path(made, (scratch / "a.raiiaf").c_str(), &options, &error));
    Store store;
    ASSERT_NO_FATAL_FAILURE(keep(store, scratch / "a.raiiaf", 0));
    {
        File file;
        ASSERT_NO_FATAL_FAILURE(open(file, store));
        raiiaf_value value;
        ASSERT_TRUE(raiiaf_get(file, "/model_info", &value));
        store.held["manifest"] = "{\"raiiaf_metadata\": {\"model_info\": " + std::string(value.text, value.size) + "}}";
    }
    wish(store, "\"mine\"", "\"other\"");
    File file;
    ASSERT_NO_FATAL_FAILURE(open(file, store));
    raiiaf_value value;
    EXPECT_FALSE(raiiaf_get(file, "/mine", &value));
    EXPECT_FALSE(raiiaf_get(file, "/model_info/mine", &value));
    EXPECT_TRUE(raiiaf_get(file, "/model_info/other", &value));
    EXPECT_TRUE(raiiaf_get(file, "/history/0/tool", &value));
    EXPECT_TRUE(raiiaf_get(file, "/file_info", &value));
    EXPECT_EQ(raiiaf_chunk_count(made), raiiaf_chunk_count(file));
    // What the schema requires can't go.
    store.held["manifest"] = "{\"model_info\": {}}";
    raiiaf_store s = store.store();
    File refused;
    EXPECT_BAD(RAIIAF_ERROR_SCHEMA, raiiaf_store_open(&refused, &s, "picture", nullptr, &error));
    store.held["manifest"] = "no JSON";
    EXPECT_BAD(RAIIAF_ERROR_ARGUMENT, raiiaf_store_open(&refused, &s, "picture", nullptr, &error));
}

TEST(Store, TellsWhatIsMissing)
{
    Store store;
    raiiaf_store s = store.store();
    File file;
    EXPECT_BAD(RAIIAF_ERROR_MISSING, raiiaf_store_open(&file, &s, "picture", nullptr, &error));
    EXPECT_EQ(1u, store.released);
    ASSERT_NO_FATAL_FAILURE(keep(store, golden("trajectory.raiiaf"), 0));
    const std::map<std::string, std::string> good = store.held;
    for (const auto &[name, bytes] : good) {
        SCOPED_TRACE(name);
        if (name == "manifest" || name == "index")
            continue;
        store.held = good;
        store.held.erase(name);
        EXPECT_BAD(RAIIAF_ERROR_DAMAGED, raiiaf_store_open(&file, &s, "picture", nullptr, &error));
        store.held = good;
        store.held[name].pop_back();
        EXPECT_BAD(RAIIAF_ERROR_DAMAGED, raiiaf_store_open(&file, &s, "picture", nullptr, &error));
    }
    store.held = good;
    for (const char *index : {"", "0-header\n", "0-header 33", " \n", "0-header 33\n\n"}) {
        SCOPED_TRACE(index);
        store.held["index"] = index;
        Error error;
        EXPECT_NE(RAIIAF_OK, raiiaf_store_open(&file, &s, "picture", nullptr, &error));
    }
    File source;
    ASSERT_GOOD(raiiaf_open_path(&source, golden("trajectory.raiiaf").c_str(), nullptr, &error));
    for (size_t puts : {size_t{0}, size_t{1}, size_t{3}}) {
        store.puts_left = puts;
        EXPECT_BAD(RAIIAF_ERROR_IO, raiiaf_store_keep(source, &s, 0, &error));
    }
    ASSERT_GOOD(raiiaf_set(source, "/mine", "1", 1, &error));
    EXPECT_BAD(RAIIAF_ERROR_ARGUMENT, raiiaf_store_keep(source, &s, 0, &error));
}

TEST(Describe, TellsAllThatIsThere)
{
    File file;
    ASSERT_GOOD(raiiaf_open_path(&file, golden("trajectory.raiiaf").c_str(), nullptr, &error));
    Buffer text;
    ASSERT_GOOD(raiiaf_describe(file, RAIIAF_TOPIC_LATENT, raiiaf_latent_chunk(file, 0), &text, &error));
    std::string latent(reinterpret_cast<const char *>(text.data), text.size);
    EXPECT_NE(std::string::npos, latent.find("float32"));
    EXPECT_NE(std::string::npos, latent.find("deviation"));
    Buffer environment, history;
    ASSERT_GOOD(raiiaf_describe(file, RAIIAF_TOPIC_ENVIRONMENT, 0, &environment, &error));
    EXPECT_NE(std::string::npos,
              std::string(reinterpret_cast<const char *>(environment.data), environment.size).find("name=os;"));
    ASSERT_GOOD(raiiaf_describe(file, RAIIAF_TOPIC_HISTORY, 0, &history, &error));
    EXPECT_GT(history.size, 0u);
}

TEST(Npy, SavesALatent)
{
    File file;
    test::Scratch scratch;
    ASSERT_GOOD(raiiaf_open_path(&file, golden("trajectory.raiiaf").c_str(), nullptr, &error));
    size_t chunk = raiiaf_latent_chunk(file, 0);
    ASSERT_GOOD(raiiaf_npy_save(file, chunk, 0, (scratch / "a.npy").c_str(), &error));
    std::string npy = test::slurp(scratch / "a.npy");
    Buffer tensor;
    ASSERT_GOOD(raiiaf_chunk_read(file, chunk, 0, &tensor, &error));
    EXPECT_EQ("\x93NUMPY", npy.substr(0, 6));
    EXPECT_EQ(std::string(reinterpret_cast<const char *>(tensor.data), tensor.size),
              npy.substr(npy.size() - tensor.size));
    EXPECT_BAD(RAIIAF_ERROR_IO, raiiaf_npy_save(file, chunk, 0, (scratch / "none/a.npy").c_str(), &error));
    size_t image = raiiaf_environment_chunk(file);
    EXPECT_BAD(RAIIAF_ERROR_ARGUMENT, raiiaf_npy_save(file, image, 0, (scratch / "b.npy").c_str(), &error));
    EXPECT_EQ(std::vector<std::string>{"a.npy"}, scratch.names());
}

TEST(Sink, ShowsNoFileBeforeItsEnd)
{
    test::Scratch scratch;
    raiiaf_sink sink;
    ASSERT_GOOD(raiiaf_sink_path(&sink, (scratch / "out").c_str(), &error));
    ASSERT_TRUE(sink.write(sink.user, "text", 4));
    EXPECT_TRUE(scratch.names().empty()) << "a killed process would leave " << scratch.names()[0];
    ASSERT_TRUE(sink.commit(sink.user));
    EXPECT_EQ(std::vector<std::string>{"out"}, scratch.names());
    EXPECT_EQ("text", test::slurp(scratch / "out"));
}
