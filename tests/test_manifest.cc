// SPDX-License-Identifier: MIT
//
// test_manifest.cc - places in the manifest: reading them, setting them as the schema allows, and what becomes of them
// in a saved file; settings by name; the "parameters" text.
#include "support.h"

#include "file.h"

#include <map>
#include <random>

namespace
{

using test::get;
using test::manifest;

class Manifest : public testing::Test
{
  protected:
    void SetUp() override
    {
        setenv("SOURCE_DATE_EPOCH", "1700000000", 1);
        ASSERT_EQ(RAIIAF_OK, raiiaf_new(&file, nullptr, &problem)) << problem.text;
    }
    void TearDown() override
    {
        unsetenv("SOURCE_DATE_EPOCH");
    }

    raiiaf_status set(const std::string &path, const std::string &json)
    {
        return raiiaf_set(file, path.c_str(), json.data(), json.size(), &problem);
    }
    raiiaf_status set_text(const std::string &path, const std::string &text)
    {
        return raiiaf_set_text(file, path.c_str(), text.c_str(), &problem);
    }
    raiiaf_status unset(const std::string &path)
    {
        return raiiaf_unset(file, path.c_str(), &problem);
    }
    raiiaf_status merge(const std::string &json)
    {
        return raiiaf_merge(file, json.data(), json.size(), &problem);
    }
    // The call fails with this status, tells this rule or reason, and changes nothing.
    void refuses(raiiaf_status status, const std::string &why, const std::function<raiiaf_status()> &call)
    {
        std::string before = manifest(file);
        bool edited = raiiaf_edited(file);
        problem.text[0] = '\0';
        EXPECT_EQ(status, call()) << problem.text;
        EXPECT_NE(std::string::npos, std::string(problem.text).find(why)) << problem.text;
        EXPECT_TRUE(problem.id && *problem.id);
        EXPECT_EQ(before, manifest(file));
        EXPECT_EQ(edited, raiiaf_edited(file));
    }
    // Opens what saving the file gives.
    void reopen()
    {
        ASSERT_NO_FATAL_FAILURE(save());
        open(saved);
    }
    void save()
    {
        test::Buffer out;
        ASSERT_EQ(RAIIAF_OK, raiiaf_save_memory(file, &out, nullptr, &problem)) << problem.text;
        saved = out.bytes();
    }
    void open(const std::string &bytes)
    {
        file.close();
        ASSERT_EQ(RAIIAF_OK, test::open_bytes(file, bytes, &problem)) << problem.text;
    }
    void open_golden(const std::string &name)
    {
        saved = test::slurp(test::data_folder() / "golden" / name);
        open(saved);
    }
    // A file whose metadata object is this text.
    void with_metadata(const std::string &members)
    {
        rf_bytes &text = static_cast<raiiaf_file *>(file)->text;
        text.size = 0;
        std::string whole = "{\"raiiaf_metadata\": {\"chunks\": []" + (members.empty() ? "" : ", " + members) + "}}";
        ASSERT_TRUE(rf_json_check(whole.data(), whole.size(), nullptr)) << whole;
        rf_bytes_append(&text, whole.data(), whole.size());
        static_cast<raiiaf_file *>(file)->edited = false;
        static_cast<raiiaf_file *>(file)->created = 0;
    }
    raiiaf_status settle()
    {
        return rf_settle(file, &problem);
    }
    std::string setting(const std::string &name)
    {
        raiiaf_value value;
        return raiiaf_setting(file, name.c_str(), &value) ? std::string(value.text, value.size) : "(none)";
    }
    std::string parameters()
    {
        test::Buffer text;
        raiiaf_status status = raiiaf_parameters(file, &text, &problem);
        return status == RAIIAF_OK ? text.bytes() : "(" + std::string(problem.id) + ")";
    }
    std::vector<std::pair<std::string, std::string>> settings()
    {
        std::vector<std::pair<std::string, std::string>> all;
        raiiaf_setting_each(
            file,
            [](void *user, const char *name, const raiiaf_value *value) {
                static_cast<decltype(all) *>(user)->emplace_back(name, std::string(value->text, value->size));
                return true;
            },
            &all);
        return all;
    }

    test::File file;
    test::Error problem;
    std::string saved;
};

std::string text_of(const raiiaf_value &value)
{
    test::Buffer text;
    EXPECT_EQ(RAIIAF_OK, raiiaf_value_text(&value, &text, nullptr));
    EXPECT_EQ('\0', text.data[text.size]);
    return text.bytes();
}

// ---- reading ----

TEST_F(Manifest, PointersAndNames)
{
    with_metadata(R"("model_info": {"prompt": "a", "tags": ["x", "y"], "a/b~c": 1, "": {"": 2}, "prompt": "b"},)"
                  R"( "gen5_metadata": {"model_info": 3})");
    EXPECT_EQ("\"b\"", get(file, "/model_info/prompt"));
    EXPECT_EQ("\"b\"", get(file, "/raiiaf_metadata/model_info/prompt"));
    EXPECT_EQ("\"b\"", get(file, "prompt"));
    EXPECT_EQ("3", get(file, "/gen5_metadata/model_info")); // a member of that name comes first
    EXPECT_EQ("1", get(file, "/model_info/a~1b~0c"));
    EXPECT_EQ("2", get(file, "/model_info//"));
    EXPECT_EQ("\"y\"", get(file, "/model_info/tags/1"));
    EXPECT_EQ("[]", get(file, "/chunks"));
    EXPECT_EQ('{', get(file, "").front());
    EXPECT_EQ(get(file, ""), get(file, "/raiiaf_metadata"));
    for (const char *path : {"/",
                             "//",
                             "/model_info/prompt/",
                             "/model_info/prompt/0",
                             "/model_info/tags/2",
                             "/model_info/tags/-",
                             "/model_info/tags/01",
                             "/model_info/tags/+1",
                             "/model_info/tags/1 ",
                             "/model_info/tags/18446744073709551616",
                             "/model_info/a~1b~0c/x",
                             "/model_info/a~b",
                             "/~",
                             "/~2",
                             "/model_info~",
                             "model_info",
                             "nothing",
                             "..",
                             "tags.",
                             ".tags",
                             "tags.2",
                             "tags.01",
                             "tags.-1",
                             "prompt.x",
                             "\xff",
                             "/\xff",
                             "/raiiaf_metadatax",
                             "/raiiaf_metadata/raiiaf_metadata/model_info"})
        EXPECT_EQ("(none)", get(file, path)) << path;
}

TEST_F(Manifest, ValuesAreTyped)
{
    with_metadata(R"("model_info": {"s": "a\u0000\ud800\n", "i": 18446744073709551616, "n": 42, "z": -0, "f": 7.50,)"
                  R"( "x": NaN, "y": -Infinity, "t": true, "u": null, "a": [1, 2], "o": {"k": "v"}})");
    raiiaf_value value;
    uint64_t number = 1;
    double real = 0;
    auto at = [&](const char *name) {
        EXPECT_TRUE(raiiaf_get(file, (std::string("/model_info/") + name).c_str(), &value)) << name;
        return value;
    };
    EXPECT_EQ(std::string("a\0\xEF\xBF\xBD\n", 6), text_of(at("s")));
    EXPECT_EQ(RAIIAF_JSON_STRING, value.type);
    EXPECT_FALSE(raiiaf_value_uint64(&value, &number));
    EXPECT_FALSE(raiiaf_value_double(&value, &real));
    EXPECT_EQ("18446744073709551616", text_of(at("i")));
    EXPECT_FALSE(raiiaf_value_uint64(&value, &number));
    EXPECT_TRUE(raiiaf_value_double(&value, &real));
    EXPECT_EQ(18446744073709551616.0, real);
    at("n");
    EXPECT_TRUE(raiiaf_value_uint64(&value, &number));
    EXPECT_EQ(42u, number);
    at("z");
    EXPECT_TRUE(raiiaf_value_uint64(&value, &number));
    EXPECT_EQ(0u, number);
    EXPECT_EQ("7.50", text_of(at("f")));
    EXPECT_FALSE(raiiaf_value_uint64(&value, &number));
    EXPECT_TRUE(raiiaf_value_double(&value, &real));
    EXPECT_EQ(7.5, real);
    at("x");
    EXPECT_EQ(RAIIAF_JSON_NUMBER, value.type);
    EXPECT_TRUE(raiiaf_value_double(&value, &real));
    EXPECT_NE(real, real);
    at("y");
    EXPECT_TRUE(raiiaf_value_double(&value, &real));
    EXPECT_LT(real, -1e308);
    EXPECT_EQ(RAIIAF_JSON_BOOLEAN, at("t").type);
    EXPECT_EQ(RAIIAF_JSON_NULL, at("u").type);
    EXPECT_EQ("[1, 2]", text_of(at("a")));
    EXPECT_EQ(RAIIAF_JSON_OBJECT, at("o").type);
}

TEST_F(Manifest, EachTellsMembersThatCount)
{
    with_metadata(R"("o": {"a": 1, "b": 2, "\u0061": 3, "c\u0000d": 4, "c": 5, "": 6}, "a": ["x", {"y": 1}], "s": 1)");
    std::vector<std::string> seen;
    size_t most = 100;
    struct Watch {
        std::vector<std::string> &seen;
        size_t &most;
    } watch{seen, most};
    auto walk = [&](const char *pointer) {
        seen.clear();
        return raiiaf_each(
            file, pointer,
            [](void *user, const char *name, const raiiaf_value *value) {
                auto *to = static_cast<Watch *>(user);
                to->seen.push_back(name + ("=" + std::string(value->text, value->size)));
                return to->seen.size() < to->most;
            },
            &watch);
    };
    using Strings = std::vector<std::string>;
    EXPECT_TRUE(walk("/o"));
    EXPECT_EQ((Strings{"b=2", "a=3",
                       "c\xEF\xBF\xBD"
                       "d=4",
                       "c=5", "=6"}),
              seen);
    EXPECT_TRUE(walk("/a"));
    EXPECT_EQ((Strings{"0=\"x\"", "1={\"y\": 1}"}), seen);
    EXPECT_TRUE(walk("/s"));
    EXPECT_TRUE(seen.empty());
    EXPECT_FALSE(walk("/nothing"));
    EXPECT_FALSE(walk("o"));
    std::string nuls, shown;
    for (int i = 0; i < 200000; i++) {
        nuls += "\\u0000";
        shown += "\xEF\xBF\xBD";
    }
    with_metadata("\"o\": {\"" + nuls + "\": 1, \"b\": 2, \"c\": 3}");
    EXPECT_TRUE(walk("/o"));
    EXPECT_EQ((Strings{shown + "=1", "b=2", "c=3"}), seen);
    most = 2;
    EXPECT_TRUE(walk("/o"));
    EXPECT_EQ(2u, seen.size());
}

// ---- setting ----

TEST_F(Manifest, SetKeepsEverythingElse)
{
    open_golden("settings_extra_keys.raiiaf");
    std::string before = manifest(file);
    ASSERT_EQ(RAIIAF_OK, set("/model_info/prompt", "\"new \\u00e9\"")) << problem.text;
    std::string old = "\"a lighthouse at dusk, volumetric light\"";
    size_t at = before.find(old);
    ASSERT_NE(std::string::npos, at);
    EXPECT_EQ(before.substr(0, at) + "\"new \\u00e9\"" + before.substr(at + old.size()), manifest(file));
    EXPECT_TRUE(raiiaf_edited(file));
    reopen();
    EXPECT_EQ("\"new \\u00e9\"", get(file, "prompt"));
    EXPECT_EQ("1e+22", get(file, "/model_info/generation_settings/num/4"));
    EXPECT_EQ("3", get(file, "__proto__"));
}

TEST_F(Manifest, TheSameAgainIsNoEdit)
{
    for (const std::string &name : test::stories("golden")) {
        test::Json story(test::data_folder() / "golden" / (name + ".json"));
        open_golden(story["file"].text());
        for (const auto &[setting, spelt] : settings()) {
            raiiaf_value value;
            ASSERT_TRUE(raiiaf_setting(file, setting.c_str(), &value)) << setting;
            std::string shown = text_of(value);
            EXPECT_EQ(RAIIAF_OK, set(setting, spelt)) << name << ": " << problem.text;
            EXPECT_EQ(RAIIAF_OK, set_text(setting, shown.c_str())) << name << ": " << problem.text;
        }
        EXPECT_FALSE(raiiaf_edited(file)) << name;
        ASSERT_EQ(RAIIAF_OK, merge(manifest(file))) << name << ": " << problem.text;
        EXPECT_FALSE(raiiaf_edited(file)) << name;
    }
}

struct Rule {
    const char *place, *json, *rule; // rule "": taken
};

TEST_F(Manifest, SchemaIsHeld)
{
    const std::string model = "/model_info/", settings = model + "generation_settings/",
                      hardware = model + "hardware_info/";
    const Rule rules[] = {
        {"m:model_name", "\"x\"", ""},
        {"m:model_name", "1", "a string"},
        {"m:version", "null", "a string"},
        {"m:prompt", "\"\\ud800\"", ""},
        {"m:prompt", "[\"a\"]", "a string"},
        {"m:date", "\"2026-11-21T00:25:23Z\"", ""},
        {"m:date", "\"2026-11-21T00:25:23.116470+00:00\"", ""},
        {"m:date", "\"2024-02-29T23:59:60+05:30\"", ""},
        {"m:date", "\"2023-02-29T00:00:00Z\"", "a date and time"},
        {"m:date", "\"2026-13-01T00:00:00Z\"", "a date and time"},
        {"m:date", "\"2026-11-21T00:25:23\"", "a date and time"},
        {"m:date", "\"2026-11-21T24:25:23Z\"", "a date and time"},
        {"m:date", "\"2026-11-21\"", "a date and time"},
        {"m:date", "\"2026-11-21 00:25:23Z\"", "a date and time"},
        {"m:date", "\"2026-11-21T00:25:23.Z\"", "a date and time"},
        {"m:date", "\"2026-11-21T00:25:23Z \"", "a date and time"},
        {"m:date", "\"2026-11-21T00:25:23Z\\u0000\"", "a date and time"},
        {"m:date", "\"\"", "a date and time"},
        {"m:date", "5", "a date and time"},
        {"m:tags", "[]", ""},
        {"m:tags", "[\"a\", \"b\"]", ""},
        {"m:tags", "[\"a\", 1]", "a string"},
        {"m:tags", "\"a\"", "an array of strings"},
        {"m:tags/0", "\"a\"", ""},
        {"m:tags/0", "1", "a string"},
        {"m:generation_settings", "[]", "an object"},
        {"m:generation_settings", "{\"seed\": -1}", "an integer, at least 0"},
        {"m:generation_settings", "{\"seed\": 1, \"seed\": \"x\"}", "an integer, at least 0"},
        {"m:generation_settings", "{\"seed\": \"x\", \"seed\": 1}", ""},
        {"s:seed", "0", ""},
        {"s:seed", "-0", ""},
        {"s:seed", "123456789012345678901234567890123456789", ""},
        {"s:seed", "42.0", ""},
        {"s:seed", "1e3", ""},
        {"s:seed", "-1", "an integer, at least 0"},
        {"s:seed", "-123456789012345678901234567890", "an integer, at least 0"},
        {"s:seed", "42.5", "an integer, at least 0"},
        {"s:seed", "1e-3", "an integer, at least 0"},
        {"s:seed", "1e999", "an integer, at least 0"},
        {"s:seed", "NaN", "an integer, at least 0"},
        {"s:seed", "Infinity", "an integer, at least 0"},
        {"s:seed", "true", "an integer, at least 0"},
        {"s:seed", "\"1\"", "an integer, at least 0"},
        {"s:seed", "null", "an integer, at least 0"},
        {"s:steps", "1", ""},
        {"s:steps", "0", "an integer, at least 1"},
        {"s:steps", "0.0", "an integer, at least 1"},
        {"s:steps", "-0", "an integer, at least 1"},
        {"s:steps", "20.0", ""},
        {"s:sampler", "\"\"", ""},
        {"s:sampler", "false", "a string"},
        {"s:cfg_scale", "7", ""},
        {"s:cfg_scale", "7.5", ""},
        {"s:cfg_scale", "0e5", ""},
        {"s:cfg_scale", "-0.0", ""},
        {"s:cfg_scale", "-1e-400", "a number, at least 0"},
        {"s:cfg_scale", "-0.1", "a number, at least 0"},
        {"s:cfg_scale", "NaN", ""}, // to the reference's validator, too
        {"s:cfg_scale", "Infinity", ""},
        {"s:cfg_scale", "-Infinity", "a number, at least 0"},
        {"s:cfg_scale", "\"7\"", "a number, at least 0"},
        {"s:eta", "-1", "a number, at least 0"},
        {"s:guidance", "3.5", "a string"},
        {"s:scheduler", "\"karras\"", ""},
        {"s:precision", "16", "a string"},
        {"s:deterministic", "1", "true or false"},
        {"s:deterministic", "false", ""},
        {"s:anything", "[{\"a\": NaN}]", ""},
        {"s:negative_prompt", "null", ""},
        {"s:width", "\"512\"", ""},
        {"h:os", "\"Linux\"", ""},
        {"h:os", "1", "a string"},
        {"h:cpu_cores", "0", "an integer, at least 1"},
        {"h:cpu_cores", "8", ""},
        {"h:ram_gb", "-1", "a number, at least 0"},
        {"h:ram_gb", "64.5", ""},
        {"h:machine_name", "1", "a string"},
        {"h:gpu", "{}", "an array of objects"},
        {"h:gpu", "[1]", "an object"},
        {"h:gpu", "[{}]", "present"},
        {"h:gpu", "[{\"name\": \"A\"}, {\"memory_gb\": 1}]", "present"},
        {"h:gpu", "[{\"name\": \"A\", \"memory_gb\": -1.5}]", ""},
        {"h:gpu/0", "{\"name\": \"B\", \"more\": {}}", ""},
        {"h:gpu/-", "{\"driver\": \"B\"}", "present"},
        {"h:gpu/-", "{\"name\": \"C\"}", ""},
        {"h:gpu/2/driver", "\"1\"", "present"},
        {"h:gpu/2/name", "\"D\"", ""},
        {"h:gpu/2/driver", "\"1\"", ""},
        {"h:gpu/2/driver", "1", "a string"},
        {"h:gpu/2/memory_gb", "\"1\"", "a number"},
        {"/source/settings/seed", "-1", "an integer, at least 0"},
        {"/source/settings/seed", "5", ""},
        {"/source/settings/clip", "-1", ""},
        {"/source/dialect", "\"a1111\"", ""},
        {"/model_info", "[]", "an object"},
        {"/model_info", "{\"prompt\": 1}", "a string"},
        {"/source", "{\"settings\": {\"steps\": 0}}", "an integer, at least 1"},
        {"/my/own/key", "1", ""},
    };
    for (const Rule &rule : rules) {
        std::string place = rule.place;
        if (place[1] == ':')
            place = (place[0] == 'm' ? model : place[0] == 's' ? settings : hardware) + place.substr(2);
        if (*rule.rule) {
            refuses(RAIIAF_ERROR_SCHEMA, std::string("must be ") + rule.rule, [&] { return set(place, rule.json); });
            EXPECT_NE(std::string::npos, std::string(problem.text).find("\"/")) << problem.text;
            EXPECT_STREQ("schema", problem.id);
        } else {
            EXPECT_EQ(RAIIAF_OK, set(place, rule.json)) << place << " " << rule.json << ": " << problem.text;
            std::string read = place.substr(0, place.find("/-"));
            EXPECT_NE("(none)", get(file, read.c_str()));
        }
    }
    std::string text = manifest(file);
    EXPECT_TRUE(rf_json_check(text.data(), text.size(), nullptr));
}

TEST_F(Manifest, SchemaTellsTheVeryPlace)
{
    refuses(RAIIAF_ERROR_SCHEMA, "\"/model_info/hardware_info/gpu/1/name\" must be present",
            [&] { return set("/model_info", R"({"hardware_info": {"gpu": [{"name": "a"}, {"memory_gb": 1}]}})"); });
    refuses(RAIIAF_ERROR_SCHEMA, "\"/model_info/tags/2\" must be a string",
            [&] { return set("/raiiaf_metadata/model_info/tags", R"(["a", "b", 3])"); });
}

TEST_F(Manifest, LibraryKeepsItsOwnPlaces)
{
    open_golden("env_with_gpu.raiiaf");
    for (const char *place : {"",
                              "/file_info",
                              "/file_info/magic",
                              "/file_info/new",
                              "/chunks",
                              "/chunks/0",
                              "/chunks/-",
                              "/chunks/0/hash",
                              "/chunks/0/extra",
                              "/chunks/0/extra/shape",
                              "/chunks/0/extra/shape/0",
                              "/chunks/0/extra/dtype",
                              "/chunks/0/extra/key",
                              "/chunks/0/extra/stale",
                              "/chunks/-/extra/mine",
                              "/history",
                              "/history/-",
                              "/history/0/date",
                              "/capsule",
                              "/capsule/layout",
                              "/raiiaf_metadata/chunks",
                              "/raiiaf_metadata"}) {
        refuses(RAIIAF_ERROR_SCHEMA, "the library writes it itself", [&] { return set(place, "{}"); });
        refuses(RAIIAF_ERROR_SCHEMA, "the library writes it itself", [&] { return set_text(place, "x"); });
        refuses(RAIIAF_ERROR_SCHEMA, "the library writes it itself", [&] { return unset(place); });
    }
    EXPECT_EQ(RAIIAF_OK, set("/chunks/0/extra/mine", "1")) << problem.text;
    EXPECT_EQ("1", get(file, "/chunks/0/extra/mine"));
    EXPECT_EQ(RAIIAF_OK, set("/chunksx", "1")) << problem.text;
    // Nor may a record come into being without its chunk: saving would look for that.
    std::string next = "/chunks/" + std::to_string(raiiaf_chunk_count(file)) + "/extra/mine";
    for (const char *place : {next.c_str(), "/chunks/99/extra/mine", "/chunks/00/extra/mine", "/chunks//extra/mine"}) {
        refuses(RAIIAF_ERROR_MISSING, "there is no", [&] { return set(place, "1"); });
        refuses(RAIIAF_ERROR_MISSING, "there is no", [&] { return set_text(place, "1"); });
    }
    reopen();
    EXPECT_EQ("1", get(file, "/chunks/0/extra/mine"));
    EXPECT_EQ(RAIIAF_OK, unset("/chunks/0/extra/mine")) << problem.text;
}

TEST_F(Manifest, HostilePaths)
{
    refuses(RAIIAF_ERROR_ARGUMENT, "", [&] { return set("/model_info/prompt/x", "1"); });
    refuses(RAIIAF_ERROR_MISSING, "0 elements", [&] { return set("/model_info/tags/1", "\"x\""); });
    refuses(RAIIAF_ERROR_MISSING, "0 elements", [&] { return set("/model_info/tags/00", "\"x\""); });
    refuses(RAIIAF_ERROR_MISSING, "0 elements", [&] { return set("/model_info/tags/x", "\"x\""); });
    refuses(RAIIAF_ERROR_ARGUMENT, "JSON pointer", [&] { return set("/a~b", "1"); });
    refuses(RAIIAF_ERROR_ARGUMENT, "JSON pointer", [&] { return set("/a~", "1"); });
    refuses(RAIIAF_ERROR_ARGUMENT, "UTF-8", [&] { return set("/a\xff", "1"); });
    refuses(RAIIAF_ERROR_ARGUMENT, "UTF-8", [&] { return set("a\xff", "1"); });
    refuses(RAIIAF_ERROR_ARGUMENT, "UTF-8", [&] { return set_text("prompt", "a\xff"); });
    std::string deep, deeper(100000, '/');
    for (int i = 0; i < 254; i++)
        deep += "/x";
    refuses(RAIIAF_ERROR_LIMIT, "nested", [&] { return set(deep + "/x", "1"); });
    refuses(RAIIAF_ERROR_LIMIT, "nested", [&] { return set(deep, "[1]"); });
    refuses(RAIIAF_ERROR_LIMIT, "nested", [&] { return set(deeper, "1"); });
    EXPECT_EQ(RAIIAF_OK, set(deep, "[]")) << problem.text;
    EXPECT_EQ("[]", get(file, deep.c_str()));
    EXPECT_EQ(RAIIAF_OK, set("/odd/~0~1 \"\\\n\xC3\xA9/-", "1")) << problem.text;
    EXPECT_EQ("{\"~/ \\\"\\\\\\n\\u00e9\": [1]}", get(file, "/odd"));
    EXPECT_EQ(RAIIAF_OK, set(std::string(5000, 'n'), "1")) << problem.text;
    EXPECT_EQ("1", get(file, std::string(5000, 'n').c_str()));
    refuses(RAIIAF_ERROR_MISSING, "no", [&] { return unset("nothing"); });
    refuses(RAIIAF_ERROR_MISSING, "no", [&] { return unset("/model_info/nothing"); });
    refuses(RAIIAF_ERROR_MISSING, "no", [&] { return unset("/model_info/tags/0"); });
    refuses(RAIIAF_ERROR_MISSING, "no", [&] { return unset("/model_info/prompt/0"); });
    reopen();
    EXPECT_EQ("[]", get(file, deep.c_str()));
}

TEST_F(Manifest, WhatIsNotJsonIsRefused)
{
    for (const char *json : {"", "{", "nope", "'a'", "\"a", "1 2",
                             "\xEF\xBB\xBF"
                             "1",
                             "\"\xff\""})
        refuses(RAIIAF_ERROR_ARGUMENT, "not a JSON value", [&] { return set("prompt", json); });
    EXPECT_EQ(RAIIAF_OK, set("prompt", " \n\"a\"\t")) << problem.text;
    EXPECT_EQ("\"a\"", get(file, "prompt"));
    std::string nul("\"a\"\0", 4);
    refuses(RAIIAF_ERROR_ARGUMENT, "not a JSON value", [&] { return set("prompt", nul); });
}

TEST_F(Manifest, SizeLimitHolds)
{
    static_cast<raiiaf_file *>(file)->limits.manifest_size = manifest(file).size() + 10;
    refuses(RAIIAF_ERROR_LIMIT, "manifest_size", [&] { return set("prompt", "\"a longer prompt\""); });
    EXPECT_EQ(RAIIAF_OK, set("prompt", "\"short\"")) << problem.text;
}

// ---- typed by a person ----

TEST_F(Manifest, TextTakesTheTypeOfItsPlace)
{
    const char *const cases[][3] = {
        {"prompt", "20", "\"20\""},
        {"prompt", "say \"hi\"\n\xC3\xA9", "\"say \\\"hi\\\"\\n\\u00e9\""},
        {"seed", "42", "42"},
        {"seed", " 123456789012345678901234567890 ", "123456789012345678901234567890"},
        {"steps", "20", "20"},
        {"cfg_scale", "7.5", "7.5"},
        {"cfg_scale", "7", "7"},
        {"cfg_scale", "1e-3", "1e-3"},
        {"guidance", "3.5", "\"3.5\""},
        {"deterministic", "true", "true"},
        {"sampler", "null", "\"null\""},
        {"tags", "a, b,,  c d ", "[\"a\", \"b\", \"c d\"]"},
        {"tags", "", "[]"},
        {"tags", "[\"x\", \"y,z\"]", "[\"x\", \"y,z\"]"},
        {"negative_prompt", "12", "\"12\""},
        {"model_hash", "0123456789", "\"0123456789\""},
        {"model_hash", "12345678", "\"12345678\""},
        {"width", "512", "512"},
        {"width", "wide", "\"wide\""},
        {"Clip skip", "2", "2"},
        {"Clip skip", "two", "\"two\""},
        {"Clip skip", "3", "\"3\""}, // it is a string by now
        {"lora", "{\"a\": [1]}", "{\"a\": [1]}"},
        {"VAE", "007", "\"007\""},
        {"flag", "true", "true"},
        {"flag", "false", "false"},
        {"gpu", "[{\"name\": \"A\"}]", "[{\"name\": \"A\"}]"},
        {"gpu.0.memory_gb", "24", "24"},
        {"gpu.1.name", "1080", "\"1080\""},
        {"tags.0", "7", "\"7\""},
        {"cpu_cores", "8", "8"},
        {"os", "Linux", "\"Linux\""},
        {"date", "2026-11-21T00:25:23Z", "\"2026-11-21T00:25:23Z\""},
    };
    for (const auto &[path, text, json] : cases) {
        EXPECT_EQ(RAIIAF_OK, set_text(path, text)) << problem.text;
        EXPECT_EQ(json, get(file, path)) << path << " " << text;
    }
    EXPECT_EQ("24", get(file, "/model_info/hardware_info/gpu/0/memory_gb"));
    const char *const refused[][3] = {
        {"seed", "-1", "an integer, at least 0"},
        {"seed", "42.0", "an integer, at least 0"},
        {"seed", "1e3", "an integer, at least 0"},
        {"seed", "", "an integer, at least 0"},
        {"seed", "0x10", "an integer, at least 0"},
        {"seed", "1,5", "an integer, at least 0"},
        {"steps", "0", "an integer, at least 1"},
        {"steps", "many", "an integer, at least 1"},
        {"cfg_scale", "7,5", "a number, at least 0"},
        {"cfg_scale", "NaN", "a number, at least 0"},
        {"cfg_scale", "-0.5", "a number, at least 0"},
        {"deterministic", "yes", "true or false"},
        {"deterministic", "1", "true or false"},
        {"deterministic", "TRUE", "true or false"},
        {"tags", "[1]", "a string"},
        {"gpu", "A100", "an object"},
        {"date", "yesterday", "a date and time"},
        {"gpu.2.driver", "1", "present"},
    };
    for (const auto &[path, text, rule] : refused)
        refuses(RAIIAF_ERROR_SCHEMA, std::string("must be ") + rule,
                [&, place = path, typed = text] { return set_text(place, typed); });
    refuses(RAIIAF_ERROR_ARGUMENT, "JSON text of the same kind", [&] { return set_text("lora", "x"); });
    refuses(RAIIAF_ERROR_ARGUMENT, "JSON text of the same kind", [&] { return set_text("lora", "[]"); });
}

TEST_F(Manifest, AValueShownBackIsNoEdit)
{
    with_metadata(R"("model_info": {"prompt": "a\u0000b", "x": "\ud800", "date": "soon", "tags": ["a", 1]})");
    EXPECT_EQ(RAIIAF_OK, set_text("prompt", "a")); // what a host of C strings saw
    EXPECT_EQ(RAIIAF_OK, set_text("x", "\xEF\xBF\xBD"));
    EXPECT_EQ(RAIIAF_OK, set_text("date", "soon")); // breaks the schema already
    EXPECT_EQ(RAIIAF_OK, set_text("tags", "[\"a\", 1]"));
    EXPECT_FALSE(raiiaf_edited(file));
    EXPECT_EQ(RAIIAF_OK, set_text("prompt", "ab"));
    EXPECT_TRUE(raiiaf_edited(file));
}

// ---- where new settings go, and settling ----

TEST_F(Manifest, NewNamesFindTheirHome)
{
    for (const auto &[name, place] : std::map<std::string, std::string>{
             {"seed", "/source/settings/seed"},
             {"anything", "/source/settings/anything"},
             {"a.b/c~d", "/source/settings/a.b~1c~0d"},
             {"cpu", "/model_info/hardware_info/cpu"},
             {"prompt", "/model_info/prompt"},
             {"version", "/model_info/version"},
         }) {
        std::string value = name == "seed" ? "1" : "\"v\"";
        ASSERT_EQ(RAIIAF_OK, set(name, value)) << problem.text;
        EXPECT_EQ(value, get(file, place.c_str())) << manifest(file);
        EXPECT_EQ(value, get(file, name.c_str()));
        EXPECT_EQ(value, setting(name));
    }
    open_golden("env_with_gpu.raiiaf");
    ASSERT_EQ(RAIIAF_OK, set("negative_prompt", "\"v\"")) << problem.text;
    EXPECT_EQ("\"v\"", get(file, "/model_info/generation_settings/negative_prompt"));
    EXPECT_EQ("(none)", get(file, "/source"));
    EXPECT_NE(std::string::npos, manifest(file).find("\n        \"negative_prompt\": \"v\"\n      }"));
}

TEST_F(Manifest, CompleteSettingsMoveWhereTheyBelong)
{
    ASSERT_EQ(RAIIAF_OK, set_text("seed", "1"));
    ASSERT_EQ(RAIIAF_OK, set_text("steps", "20"));
    ASSERT_EQ(RAIIAF_OK, set_text("Clip skip", "2"));
    reopen(); // seed and steps alone stay
    EXPECT_EQ("1", get(file, "/source/settings/seed"));
    EXPECT_EQ("(none)", get(file, "/model_info/generation_settings"));
    ASSERT_EQ(RAIIAF_OK, set_text("sampler", "euler"));
    std::string before = manifest(file);
    save();
    EXPECT_EQ(before, manifest(file)) << "saving changes the file";
    reopen();
    EXPECT_EQ("(none)", get(file, "/source"));
    EXPECT_EQ("1", get(file, "/model_info/generation_settings/seed"));
    EXPECT_EQ("2", get(file, "/model_info/generation_settings/Clip skip"));
    EXPECT_EQ("\"euler\"", setting("sampler"));
}

TEST_F(Manifest, WhatElseTheSourceTellsStays)
{
    with_metadata(
        R"("model_info": {"prompt": "x"}, "source": {"dialect": "a1111", "settings": {"seed": 1, "steps": 2}})");
    ASSERT_EQ(RAIIAF_OK, set("sampler", "\"euler\""));
    ASSERT_EQ(RAIIAF_OK, settle()) << problem.text;
    EXPECT_EQ("{\"dialect\": \"a1111\"}", get(file, "/source"));
    EXPECT_EQ("{\"seed\": 1, \"steps\": 2, \"sampler\": \"euler\"}", get(file, "/model_info/generation_settings"));
}

TEST_F(Manifest, UntouchedSettingsStay)
{
    const char *metadata =
        R"("model_info": {"prompt": "x"}, "source": {"settings": {"seed": 1, "steps": 2, "sampler": "a"}})";
    with_metadata(metadata);
    ASSERT_EQ(RAIIAF_OK, set("prompt", "\"y\""));
    std::string before = manifest(file);
    ASSERT_EQ(RAIIAF_OK, settle()) << problem.text;
    EXPECT_EQ(before, manifest(file));
    // Of a wrong type they don't move.
    with_metadata(R"("model_info": {}, "source": {"settings": {"seed": -1, "steps": 2, "sampler": "a"}})");
    ASSERT_EQ(RAIIAF_OK, set("eta", "1"));
    before = manifest(file);
    ASSERT_EQ(RAIIAF_OK, settle()) << problem.text;
    EXPECT_EQ(before, manifest(file));
}

TEST_F(Manifest, HalfASettingsObjectIsRefusedOnSaving)
{
    ASSERT_EQ(RAIIAF_OK, set("/model_info/generation_settings/seed", "1")) << problem.text;
    refuses(RAIIAF_ERROR_SCHEMA, "\"/model_info/generation_settings/steps\" must be present", [&] { return settle(); });
    test::Buffer out;
    EXPECT_EQ(RAIIAF_ERROR_SCHEMA, raiiaf_save_memory(file, &out, nullptr, &problem));
    EXPECT_EQ(0u, out.size);
    ASSERT_EQ(RAIIAF_OK, set("steps", "2"));
    refuses(RAIIAF_ERROR_SCHEMA, "\"/model_info/generation_settings/sampler\" must be present",
            [&] { return settle(); });
    ASSERT_EQ(RAIIAF_OK, set("/source/settings/sampler", "\"a\""));
    reopen(); // both together are complete
    EXPECT_EQ("\"a\"", get(file, "/model_info/generation_settings/sampler"));
    EXPECT_EQ("1", get(file, "/model_info/generation_settings/seed"));
    EXPECT_EQ("(none)", get(file, "/source"));
}

TEST_F(Manifest, HalfAHardwareObjectIsRefusedOnSaving)
{
    ASSERT_EQ(RAIIAF_OK, set_text("cpu", "EPYC")) << problem.text;
    refuses(RAIIAF_ERROR_SCHEMA, "\"/model_info/hardware_info/os\" must be present", [&] { return settle(); });
    ASSERT_EQ(RAIIAF_OK, set_text("os", "Linux")) << problem.text;
    reopen();
    EXPECT_EQ("\"Linux\"", setting("os"));
    ASSERT_EQ(RAIIAF_OK, set("/model_info/hardware_info", "{\"cpu\": \"x\"}"));
    refuses(RAIIAF_ERROR_SCHEMA, "\"/model_info/hardware_info/os\" must be present", [&] { return settle(); });
    ASSERT_EQ(RAIIAF_OK, unset("/model_info/hardware_info"));
    EXPECT_EQ(RAIIAF_OK, settle()) << problem.text;
}

TEST_F(Manifest, WhatWasBrokenBeforeStaysReadableAndSavable)
{
    with_metadata(
        R"("model_info": {"generation_settings": {"seed": "x"}, "hardware_info": {"gpu": [{"memory_gb": "a"}]}})");
    ASSERT_EQ(RAIIAF_OK, set("cfg_scale", "7")) << problem.text;
    ASSERT_EQ(RAIIAF_OK, set("/model_info/hardware_info/gpu/-", "{\"name\": \"b\"}")) << problem.text;
    ASSERT_EQ(RAIIAF_OK, set("cpu", "\"c\"")) << problem.text;
    EXPECT_EQ(RAIIAF_OK, settle()) << problem.text;
    refuses(RAIIAF_ERROR_SCHEMA, "an integer, at least 0", [&] { return set("seed", "\"y\""); });
    reopen();
    EXPECT_EQ("\"x\"", setting("seed"));
}

TEST_F(Manifest, AModelInfoThatACallerBeganIsFilled)
{
    with_metadata("");
    ASSERT_EQ(RAIIAF_OK, set("prompt", "\"x\"")) << problem.text;
    ASSERT_EQ(RAIIAF_OK, settle()) << problem.text;
    EXPECT_EQ(R"({"prompt": "x", "model_name": "", "version": "", "date": "2023-11-14T22:13:20+00:00", "tags": []})",
              get(file, "/model_info"));
    // Settings that move bring one along, too.
    with_metadata("");
    ASSERT_EQ(RAIIAF_OK, set("/source/settings", R"({"seed": 1, "steps": 2, "sampler": "a"})")) << problem.text;
    ASSERT_EQ(RAIIAF_OK, settle()) << problem.text;
    EXPECT_EQ("\"\"", get(file, "/model_info/model_name"));
    EXPECT_EQ("2", get(file, "/model_info/generation_settings/steps"));
    // One that was incomplete before is left alone.
    with_metadata(R"("model_info": {"prompt": "a"})");
    ASSERT_EQ(RAIIAF_OK, set("prompt", "\"b\"")) << problem.text;
    ASSERT_EQ(RAIIAF_OK, settle()) << problem.text;
    EXPECT_EQ(R"({"prompt": "b"})", get(file, "/model_info"));
}

// ---- unsetting ----

TEST_F(Manifest, Unset)
{
    open_golden("settings_extra_keys.raiiaf");
    std::string before = manifest(file);
    for (const char *path : {"prompt", "date", "tags", "seed", "sampler", "os", "/model_info", "/model_info/prompt",
                             "gpu.0.name", "/model_info/hardware_info/gpu/0/name"})
        refuses(RAIIAF_ERROR_SCHEMA, "must be present", [&] { return unset(path); });
    EXPECT_EQ(RAIIAF_OK, unset("cfg_scale")) << problem.text;
    EXPECT_EQ(RAIIAF_OK, unset("deep.a.b")) << problem.text;
    EXPECT_EQ("{}", get(file, "/model_info/generation_settings/deep/a"));
    EXPECT_EQ(RAIIAF_OK, unset("/model_info/tags/0")) << problem.text;
    EXPECT_EQ("[]", get(file, "tags"));
    EXPECT_EQ(RAIIAF_OK, unset("a.b")) << problem.text;
    EXPECT_EQ(RAIIAF_OK, unset("gpu.0")) << problem.text;
    EXPECT_EQ(RAIIAF_OK, unset("/model_info/hardware_info")) << problem.text;
    EXPECT_EQ(RAIIAF_OK, unset("/model_info/generation_settings")) << problem.text;
    reopen();
    EXPECT_EQ("(none)", get(file, "/model_info/hardware_info"));
    EXPECT_EQ("(none)", setting("seed"));
}

TEST_F(Manifest, UnsetTakesASettingFromWhereverItLives)
{
    with_metadata(
        R"("model_info": {"generation_settings": {"x": 1, "x": 2}}, "source": {"settings": {"x": 3, "seed": 1}})");
    EXPECT_EQ("2", get(file, "x"));
    EXPECT_EQ(RAIIAF_OK, unset("x")) << problem.text;
    EXPECT_EQ("(none)", get(file, "x"));
    EXPECT_EQ(RAIIAF_OK, unset("seed")) << problem.text; // in source it isn't required
    with_metadata(R"("model_info": {"tags": ["a", "b"]})");
    EXPECT_EQ(RAIIAF_OK, unset("tags.0")) << problem.text;
    EXPECT_EQ("[\"b\"]", get(file, "tags"));
}

// ---- merging ----

TEST_F(Manifest, MergeTakesOverWhatIsTheCallers)
{
    ASSERT_EQ(RAIIAF_OK, merge(R"({"raiiaf_metadata": {"file_info": {"magic": "x"}, "chunks": [{"type": "LATN"}],
        "history": [1], "capsule": {}, "mine": {"a": 1},
        "model_info": {"prompt": "p", "prompt": "q", "generation_settings": {"seed": 12345678901234567890123, "steps": 3,
        "sampler": "s"}, "own": [1e-05]}, "source": {"dialect": "d"}}})"))
        << problem.text;
    EXPECT_EQ("\"q\"", get(file, "prompt"));
    EXPECT_EQ("\"\"", get(file, "model_name"));
    EXPECT_EQ("[1e-05]", get(file, "/model_info/own"));
    EXPECT_EQ("12345678901234567890123", setting("seed"));
    EXPECT_EQ("[]", get(file, "/chunks"));
    EXPECT_EQ("(none)", get(file, "/history"));
    EXPECT_EQ("(none)", get(file, "/capsule"));
    EXPECT_EQ("{\"a\": 1}", get(file, "/mine"));
    ASSERT_EQ(RAIIAF_OK, merge(R"({"model_info": {"generation_settings": {"steps": 4}}, "mine": {"b": 2}})"));
    EXPECT_EQ("4", setting("steps"));
    EXPECT_EQ("\"s\"", setting("sampler"));
    EXPECT_EQ("{\"b\": 2}", get(file, "/mine"));
    reopen();
    EXPECT_EQ("4", setting("steps"));
}

TEST_F(Manifest, MergeIsAllOrNothing)
{
    refuses(RAIIAF_ERROR_SCHEMA, "at least 1",
            [&] { return merge(R"({"model_info": {"prompt": "p", "generation_settings": {"steps": 0}}})"); });
    refuses(RAIIAF_ERROR_SCHEMA, "a string", [&] { return merge(R"({"mine": 1, "model_info": {"prompt": null}})"); });
    refuses(RAIIAF_ERROR_SCHEMA, "an object", [&] { return merge(R"({"mine": 1, "model_info": []})"); });
    refuses(RAIIAF_ERROR_ARGUMENT, "U+0000", [&] { return merge(R"({"a": 1, "b\u0000c": 2})"); });
    refuses(RAIIAF_ERROR_ARGUMENT, "a JSON object", [&] { return merge("[]"); });
    refuses(RAIIAF_ERROR_ARGUMENT, "not a JSON value", [&] { return merge("{"); });
    EXPECT_EQ(RAIIAF_OK, merge("{}"));
    EXPECT_EQ(RAIIAF_OK, merge("{\"gen5_metadata\": {\"model_info\": {\"prompt\": \"g\"}}}")) << problem.text;
    EXPECT_EQ("\"g\"", get(file, "prompt"));
}

TEST_F(Manifest, MergedGoldenManifestsGiveTheSameSettings)
{
    for (const std::string &name : test::stories("golden")) {
        test::Json story(test::data_folder() / "golden" / (name + ".json"));
        open_golden(story["file"].text());
        std::string text = manifest(file);
        auto before = settings();
        file.close();
        ASSERT_EQ(RAIIAF_OK, raiiaf_new(&file, nullptr, &problem)) << problem.text;
        ASSERT_EQ(RAIIAF_OK, merge(text)) << name << ": " << problem.text;
        EXPECT_EQ(RAIIAF_OK, settle()) << name << ": " << problem.text;
        auto after = settings();
        std::sort(before.begin(), before.end());
        std::sort(after.begin(), after.end());
        EXPECT_EQ(before, after) << name;
    }
}

// ---- settings by name ----

TEST_F(Manifest, SettingsAreFoundWhereverTheyLive)
{
    with_metadata(
        R"("model_info": {"prompt": "p", "a": 1, "deep": {"x": [{"y": 1}]}, "generation_settings": {"a": 2, "b": 2,
        "a.b": 5, "n": {"o": 1}, "n.o": 2}, "hardware_info": {"a": 4, "b": 4, "c": 4, "d": 4, "gpu": [{"name": "G"}]}},
        "source": {"settings": {"a": 3, "b": 3, "c": 3}})");
    EXPECT_EQ("1", setting("a"));
    EXPECT_EQ("2", setting("b"));
    EXPECT_EQ("3", setting("c"));
    EXPECT_EQ("4", setting("d"));
    EXPECT_EQ("5", setting("a.b"));
    EXPECT_EQ("1", setting("n.o")); // the first in the text
    EXPECT_EQ("\"G\"", setting("gpu.0.name"));
    EXPECT_EQ("[{\"name\": \"G\"}]", setting("gpu"));
    EXPECT_EQ("1", setting("deep.x.0.y"));
    for (const char *name : {"", ".", "gpu.", "gpu.1.name", "gpu.00.name", "gpu.0", "gpu.0.name.x", "e", "a."})
        EXPECT_EQ(std::string(name) == "gpu.0" ? "{\"name\": \"G\"}" : "(none)", setting(name)) << name;
    using Pairs = std::vector<std::pair<std::string, std::string>>;
    EXPECT_EQ((Pairs{{"prompt", "\"p\""},
                     {"a", "1"},
                     {"deep.x.0.y", "1"},
                     {"b", "2"},
                     {"a.b", "5"},
                     {"n.o", "1"},
                     {"c", "3"},
                     {"d", "4"},
                     {"gpu.0.name", "\"G\""}}),
              settings());
    // What is listed is what is found.
    for (const auto &[name, spelt] : settings())
        EXPECT_EQ(spelt, setting(name)) << name;
}

TEST_F(Manifest, ListedSettingsCanBeSetByTheirNames)
{
    for (const std::string &name : test::stories("golden")) {
        test::Json story(test::data_folder() / "golden" / (name + ".json"));
        open_golden(story["file"].text());
        for (const auto &[setting_name, spelt] : settings()) {
            EXPECT_EQ(spelt, setting(setting_name)) << name << ": " << setting_name;
            EXPECT_EQ(spelt, get(file, setting_name.c_str())) << name << ": " << setting_name;
        }
    }
}

TEST_F(Manifest, HostileSettingsAreListedInBoundedTime)
{
    std::string many, same, deep, tail;
    for (int i = 0; i < 100000; i++) {
        many += "\"k" + std::to_string(i) + "\": 1, ";
        same += "\"k\": 1, ";
    }
    for (int i = 0; i < 240; i++) {
        deep += "{\"" + std::string(100, 'n') + "\": ";
        tail += "}";
    }
    std::string dots(5000, '.');
    with_metadata("\"model_info\": {" + same + "\"" + dots + "\": {\"x\": 1}, \"deep\": " + deep + "1" + tail +
                  ", \"/p\": 1, \"\": 2, \"a\\u0000b\": 3, \"generation_settings\": 5}, \"source\": {\"settings\": {" +
                  many + "\"z\": 1}}");
    auto all = settings();
    EXPECT_LE(all.size(), 65536u);
    EXPECT_GT(all.size(), 60000u);
    EXPECT_EQ("k", all[0].first);
    EXPECT_EQ("generation_settings", all[1].first);
    EXPECT_EQ("1", setting("k99999"));
    EXPECT_EQ("1", setting(dots + ".x"));
    EXPECT_EQ("(none)", setting(dots + dots));
}

// ---- "parameters" ----

TEST_F(Manifest, Parameters)
{
    EXPECT_EQ("(no-parameters)", parameters());
    ASSERT_EQ(RAIIAF_OK, merge(R"({"model_info": {"prompt": "a cat,\nsitting", "model_name": "SDXL: base, v1",
        "generation_settings": {"seed": 42, "steps": 20, "sampler": "Euler a", "scheduler": "Karras", "cfg_scale": 7.0,
        "negative_prompt": "dog\nbad", "width": 512, "height": 768, "model_hash": "31e35c80fc", "guidance": "3.5",
        "eta": 0, "precision": "fp16", "deterministic": true, "Clip skip": 2, "note": "say \"hi\"", "lora": {"a": 1},
        "none": null, "bad": NaN, "Hires resize": "", "Tiling": true}}})"))
        << problem.text;
    EXPECT_EQ(
        "a cat,\nsitting\nNegative prompt: dog\nbad\nSteps: 20, Sampler: Euler a, Schedule type: Karras, CFG scale: "
        "7.0, "
        "Distilled CFG Scale: 3.5, Seed: 42, Size: 512x768, Model hash: 31e35c80fc, Model: \"SDXL: base, v1\", Eta: 0, "
        "Clip skip: 2, note: \"say \\\"hi\\\"\", Tiling: True",
        parameters());
}

TEST_F(Manifest, ParametersOfLittle)
{
    ASSERT_EQ(RAIIAF_OK, set_text("seed", "1"));
    EXPECT_EQ("(no-parameters)", parameters()); // no reader would know "Seed: 1" for a setting
    ASSERT_EQ(RAIIAF_OK, set_text("prompt", "x"));
    EXPECT_EQ("x", parameters());
    ASSERT_EQ(RAIIAF_OK, set_text("sampler", "e"));
    ASSERT_EQ(RAIIAF_OK, set_text("cfg_scale", "7"));
    EXPECT_EQ("x\nSampler: e, CFG scale: 7, Seed: 1", parameters());
    ASSERT_EQ(RAIIAF_OK, set_text("guidance", "classifier-free"));
    EXPECT_EQ("x\nSampler: e, CFG scale: 7, Seed: 1", parameters());
    ASSERT_EQ(RAIIAF_OK, set_text("prompt", ""));
    ASSERT_EQ(RAIIAF_OK, set_text("negative_prompt", "n"));
    EXPECT_EQ("Negative prompt: n\nSampler: e, CFG scale: 7, Seed: 1", parameters());
}

// The widely read grammar, as its readers have it, takes out again what went in.
std::map<std::string, std::string> read_parameters(const std::string &line)
{
    std::map<std::string, std::string> pairs;
    for (size_t at = 0; at < line.size();) {
        at = line.find_first_not_of(' ', at);
        size_t colon = line.find(": ", at), end;
        std::string name = line.substr(at, colon - at), value;
        at = colon + 2;
        if (line[at] == '"') {
            for (end = at + 1; line[end] != '"'; end += line[end] == '\\' ? 2 : 1)
                ;
            value = test::Json::parse(line.substr(at, ++end - at)).text();
        } else {
            end = std::min(line.find(',', at), line.size());
            value = line.substr(at, end - at);
        }
        pairs[name] = value;
        at = end + 1;
    }
    return pairs;
}

TEST_F(Manifest, ParametersReadBack)
{
    std::mt19937 random(7);
    static const char *const pieces[] = {"a",  "B",  " ", ",", ":", ", ",       ": ",     "\"",
                                         "\\", "\n", "{", "[", "]", "\xC3\xA9", "Seed: 1"};
    for (int round = 0; round < 300; round++) {
        auto text = [&] {
            std::string made;
            for (size_t i = 1 + random() % 5; i > 0; i--)
                made += pieces[random() % std::size(pieces)];
            return made;
        };
        std::string model = text(), sampler = text(), vae = text();
        ASSERT_EQ(RAIIAF_OK, set_text("model_name", model));
        ASSERT_EQ(RAIIAF_OK, set_text("sampler", sampler));
        ASSERT_EQ(RAIIAF_OK, set_text("steps", "9"));
        rf_bytes json{};
        rf_bytes_json_string(&json, vae.data(), vae.size());
        ASSERT_EQ(RAIIAF_OK, set("VAE", std::string(json.data, json.size)));
        rf_bytes_free(&json);
        auto pairs = read_parameters(parameters());
        EXPECT_EQ(model, pairs["Model"]);
        EXPECT_EQ(sampler, pairs["Sampler"]);
        EXPECT_EQ(vae, pairs["VAE"]);
        EXPECT_EQ("9", pairs["Steps"]);
        EXPECT_EQ(4u, pairs.size()) << parameters();
    }
}

// ---- random edits ----

TEST_F(Manifest, AThousandEditsLeaveAFileThatOpens)
{
    open_golden("hw_rich.raiiaf");
    std::mt19937 random(11);
    static const char *const paths[] = {"prompt",
                                        "seed",
                                        "x",
                                        "y.z",
                                        "/model_info/tags/-",
                                        "/model_info/tags/0",
                                        "/own/a/b",
                                        "/own",
                                        "/own/a/-",
                                        "gpu.0.name",
                                        "/model_info/hardware_info/gpu/-",
                                        "/source/settings/q",
                                        "cpu",
                                        "/model_info/generation_settings",
                                        "steps",
                                        "/deep/~1/~0/",
                                        "tags",
                                        "/own/a/0/b"};
    static const char *const values[] = {"1",        "\"s\"",
                                         "[]",       "{}",
                                         "null",     "{\"name\": \"g\"}",
                                         "[1, [2]]", "\"\\ud800\"",
                                         "-1e5",     "{\"seed\": 1, \"steps\": 1, \"sampler\": \"s\"}",
                                         "true"};
    int changed = 0, refused = 0;
    for (int round = 0; round < 1000; round++) {
        const char *path = paths[random() % std::size(paths)], *value = values[random() % std::size(values)];
        std::string before = manifest(file);
        raiiaf_status status = random() % 3 == 0 ? unset(path)
                               : random() % 2    ? set(path, value)
                                                 : set_text(path, value);
        std::string after = manifest(file);
        ASSERT_TRUE(rf_json_check(after.data(), after.size(), nullptr)) << path << " " << value << "\n" << after;
        if (status != RAIIAF_OK) {
            EXPECT_EQ(before, after);
        }
        (status == RAIIAF_OK ? changed : refused)++;
    }
    EXPECT_GT(changed, 300);
    EXPECT_GT(refused, 100);
    ASSERT_EQ(RAIIAF_OK, merge(R"({"model_info": {"generation_settings": {"seed": 1, "steps": 1, "sampler": "s"}}})"));
    reopen();
    EXPECT_EQ(1u, raiiaf_latent_count(file));
}

} // namespace
