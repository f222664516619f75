// SPDX-License-Identifier: MIT
//
// test_parameters.cc - the "parameters" text of the A1111 family: settings that are written come back equal, whoever
// writes them; and what makes reading them hard.
#include "support.h"

#include "pictures.h"

#include <map>
#include <optional>

namespace
{

using test::Buffer;
using test::Error;
using test::File;
using test::Json;
using test::Noise;
using namespace std::string_literals;

using Told = std::map<std::string, std::string>;

// What is told of a text, canonical fields and others, as texts; with "dialect".
Told told(const std::string &text)
{
    Told all;
    std::string png =
        test::with_chunks(test::plain_png(4, 4, 1, 2, 3), test::png_chunk("iTXt", "parameters\0\0\0\0\0"s + text));
    raiiaf_legacy *legacy = nullptr;
    Error error;
    EXPECT_TRUE(test::good(raiiaf_scan(&legacy, png.data(), png.size(), nullptr, nullptr, &error), error));
    if (!legacy)
        return all;
    if (const char *dialect = raiiaf_legacy_dialect(legacy))
        all["dialect"] = dialect;
    auto add = [](void *user, const char *name, const raiiaf_value *value) {
        Json list = Json::parse("[" + std::string(value->text, value->size) + "]");
        (*static_cast<Told *>(user))[name] = list[size_t{0}].text();
        return true;
    };
    raiiaf_value value;
    for (size_t i = 0; const char *field = raiiaf_legacy_field(i); i++)
        if (raiiaf_legacy_get(legacy, field, &value))
            add(&all, field, &value);
    raiiaf_legacy_extra_each(legacy, add, &all);
    raiiaf_legacy_free(legacy);
    return all;
}

// ---- a writer as the tools have it ----

// As Python's json.dumps(ensure_ascii=False) has it.
std::string json_string(const std::string &text)
{
    std::string out = "\"";
    for (char c : text)
        out += c == '\n' ? "\\n"s : c == '"' || c == '\\' ? std::string{'\\', c} : std::string{c};
    return out + '"';
}

std::string pair_value(const std::string &text)
{
    return text.find_first_of(",:\n\"") == std::string::npos ? text : json_string(text);
}

struct Writer {
    explicit Writer(uint32_t seed) : noise(seed)
    {
    }
    size_t below(size_t bound)
    {
        return noise.below(bound);
    }
    bool sometimes(size_t often)
    {
        return below(often) == 0;
    }
    std::string number(size_t digits)
    {
        std::string out(1, static_cast<char>('1' + below(9)));
        while (out.size() < digits)
            out += static_cast<char>('0' + below(10));
        return out;
    }
    std::string pick(const std::vector<std::string> &from)
    {
        return from[below(from.size())];
    }
    // Neither begins nor ends with white space, and no line of it begins as the parts of the text do.
    std::string words(bool lines)
    {
        static const std::vector<std::string> parts = {"a cat",
                                                       "(masterpiece:1.2)",
                                                       "<lora:thin: line:0.7>",
                                                       "\"quoted, text\"",
                                                       "Steps: 3",
                                                       "東京",
                                                       "🦊",
                                                       "[fog|rain]",
                                                       "back\\slash",
                                                       "{a|b}",
                                                       "Seed: many",
                                                       "50% off",
                                                       "café",
                                                       "Model: none",
                                                       "Negative prompt: here",
                                                       "1girl",
                                                       "Size: 1x1",
                                                       "x=y",
                                                       "Hires prompt:",
                                                       "\\(paren\\)",
                                                       "ratio 3:4",
                                                       ", ,",
                                                       "Sampler: you",
                                                       "#tag"};
        std::string out = pick({"the", "A", "very", "о", "1"});
        for (size_t count = below(8); count > 0; count--)
            out += pick({" ", ", ", lines ? "\n" + pick({"so ", "BREAK ", "  "}) : " "}) + pick(parts);
        while (out.back() == ' ' || out.back() == '\n')
            out.pop_back();
        return out;
    }
    Noise noise;
};

std::string label_of(const std::string &field)
{
    static const std::map<std::string, std::string> labels = {
        {"steps", "Steps"},      {"sampler", "Sampler"},      {"scheduler", "Schedule type"},
        {"seed", "Seed"},        {"cfg_scale", "CFG scale"},  {"guidance", "Distilled CFG Scale"},
        {"model_name", "Model"}, {"model_hash", "Model hash"}};
    auto found = labels.find(field);
    return found == labels.end() ? field : found->second;
}

Told random_settings(Writer &w)
{
    Told all;
    if (!w.sometimes(6))
        all["prompt"] = w.words(true);
    if (!w.sometimes(3))
        all["negative_prompt"] = w.words(true);
    all["steps"] = w.number(1 + w.below(3));
    all["seed"] = w.sometimes(4) ? "18446744073709551615" : w.number(1 + w.below(18));
    all["sampler"] = w.pick({"Euler a", "DPM++ 2M SDE", "DPM2 a Karras", "LMS", "weird, one: \"x\""});
    if (w.sometimes(2))
        all["scheduler"] = w.pick({"Karras", "Automatic", "SGM Uniform"});
    if (!w.sometimes(5))
        all["cfg_scale"] = w.pick({"7", "7.0", "6.5", "1", "30", "0.25"});
    if (w.sometimes(4))
        all["guidance"] = w.pick({"3.5", "1", "4.25"});
    if (!w.sometimes(4)) {
        all["width"] = w.number(3 + w.below(2));
        all["height"] = w.number(3 + w.below(2));
    }
    if (w.sometimes(2))
        all["model_name"] = w.pick({"v1-5-pruned", "sd/x.safetensors", "weird, name: v2", "模型", "a \\ \"b\""});
    if (w.sometimes(2))
        all["model_hash"] = w.pick({"6ce0161689", "ABCDEF01"});
    if (w.sometimes(2))
        all["Clip skip"] = w.number(1);
    if (w.sometimes(3))
        all["Hires prompt"] = w.words(true);
    if (w.sometimes(3))
        all["Lora hashes"] = "one: 0123, two, three: 4567";
    if (w.sometimes(3))
        all["Variation seed"] = "18446744073709551614";
    if (w.sometimes(3))
        all["ADetailer model 2nd"] = "face_yolov8n.pt";
    if (w.sometimes(3))
        all["Version"] = "v1.10.1";
    return all;
}

std::string written(Writer &w, const Told &settings)
{
    std::vector<std::string> pairs;
    for (const auto &[name, value] : settings)
        if (name != "prompt" && name != "negative_prompt" && name != "width" && name != "height")
            pairs.push_back(label_of(name) + ": " + pair_value(value));
    if (settings.count("width"))
        pairs.push_back("Size: " + settings.at("width") + "x" + settings.at("height"));
    for (size_t i = pairs.size(); i > 1; i--)
        std::swap(pairs[i - 1], pairs[w.below(i)]);
    while (pairs.size() < 3)
        pairs.push_back("Extra " + std::to_string(pairs.size()) + ": 1");
    std::string out = settings.count("prompt") ? settings.at("prompt") + "\n" : "";
    if (settings.count("negative_prompt"))
        out += "Negative prompt: " + settings.at("negative_prompt") + "\n";
    for (size_t i = 0; i < pairs.size(); i++)
        out += (i ? ", " : "") + pairs[i];
    return out;
}

TEST(Parameters, ComeBackAsTheToolsWriteThem)
{
    for (uint32_t round = 0; round < 3000 && !testing::Test::HasFailure(); round++) {
        Writer w(round);
        Told wanted = random_settings(w);
        std::string text = written(w, wanted);
        if (w.sometimes(3)) {
            wanted["Template"] = w.words(true);
            text += "\nTemplate: " + wanted["Template"];
        }
        Told found = told(text);
        for (const auto &[name, value] : wanted)
            EXPECT_EQ(value, found[name]) << name << " of round " << round << ":\n" << text;
        EXPECT_EQ("a1111", found["dialect"]);
    }
}

// ---- the library's own writer ----

std::string json_of(const std::string &name, const std::string &value)
{
    bool number = name == "seed" || name == "steps" || name == "width" || name == "height" || name == "cfg_scale";
    return number ? value : json_string(value);
}

TEST(Parameters, ComeBackAsTheLibraryWritesThem)
{
    for (uint32_t round = 0; round < 1000 && !testing::Test::HasFailure(); round++) {
        Writer w(round + 50000);
        Told wanted = random_settings(w);
        std::string settings;
        for (const auto &[name, value] : wanted)
            if (name != "prompt" && name != "model_name")
                settings += (settings.empty() ? "{" : ", ") + json_string(name) + ": " + json_of(name, value);
        File file;
        ASSERT_GOOD(raiiaf_new(&file, nullptr, &error));
        settings += "}";
        ASSERT_GOOD(raiiaf_set(file, "/model_info/generation_settings", settings.data(), settings.size(), &error));
        for (const char *name : {"prompt", "model_name"})
            if (wanted.count(name)) {
                std::string json = json_string(wanted[name]);
                ASSERT_GOOD(raiiaf_set(file, ("/model_info/"s + name).c_str(), json.data(), json.size(), &error));
            }
        Buffer text;
        ASSERT_GOOD(raiiaf_parameters(file, &text, &error));
        Told found = told(text.bytes());
        found.erase("dialect");
        EXPECT_EQ(wanted, found) << "round " << round << ":\n" << text.bytes();
    }
}

TEST(Parameters, KeepWhatTheToolsWriteAsJson)
{
    const std::string line =
        R"(Steps: 20, Sampler: LMS, CFG scale: 7, Seed: 5, Hashes: {"vae": "a, b", "model": "c: d"}, )"
        R"(Civitai resources: [{"modelName": "x \" ] y", "weight": 1}], Version: v1.10.1)";
    Told wanted = told("a cat\n" + line);
    ASSERT_EQ(Json::parse(R"({"vae": "a, b", "model": "c: d"})").text(), wanted["Hashes"]);
    std::string png = test::with_chunks(test::plain_png(4, 4, 1, 2, 3),
                                        test::png_chunk("iTXt", "parameters\0\0\0\0\0"s + "a cat\n" + line));
    File file;
    ASSERT_GOOD(raiiaf_import(&file, png.data(), png.size(), nullptr, nullptr, &error));
    ASSERT_GOOD(raiiaf_set(file, "/model_info/generation_settings/sampler_passes", "[{\"id\": 3}]", 11, &error));
    Buffer text;
    ASSERT_GOOD(raiiaf_parameters(file, &text, &error));
    EXPECT_EQ(wanted, told(text.bytes())) << text.bytes();
    EXPECT_EQ(std::string::npos, text.bytes().find("sampler_passes"));
}

TEST(Parameters, ComeBackWhereLittleIsKnown)
{
    for (const char *settings :
         {"{\"steps\": 20}", "{\"steps\": 20, \"seed\": 5}", "{\"steps\": 3, \"sampler\": \"LMS\"}"}) {
        File file;
        ASSERT_GOOD(raiiaf_new(&file, nullptr, &error));
        ASSERT_GOOD(raiiaf_set(file, "/source/settings", settings, std::strlen(settings), &error));
        ASSERT_GOOD(raiiaf_set_text(file, "prompt", "a cat", &error));
        Buffer text;
        ASSERT_GOOD(raiiaf_parameters(file, &text, &error));
        Told found = told(text.bytes());
        EXPECT_EQ("a cat", found["prompt"]) << text.bytes();
        EXPECT_EQ(Json::parse(settings)["steps"].text(), found["steps"]);
    }
}

// ---- one by one ----

const std::string line = "Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 5, Size: 64x32";

TEST(Parameters, SeekTheSettingsFromTheEnd)
{
    Told found = told("Steps: 1, Sampler: A, CFG scale: 1, Seed: 1\nNegative prompt: no\n" + line);
    EXPECT_EQ("Steps: 1, Sampler: A, CFG scale: 1, Seed: 1", found["prompt"]);
    EXPECT_EQ("20", found["steps"]);
    found = told("a\n" + line + "\nTemplate: a {x|\ny}\nNegative Template: b: c\nmore");
    EXPECT_EQ("a {x|\ny}", found["Template"]);
    EXPECT_EQ("b: c\nmore", found["Negative Template"]);
    EXPECT_EQ("5", found["seed"]);
    found = told("a\n" + line + "\nTemplate: x, Steps: 3, Sampler: y, CFG scale: 3, Seed: 3");
    EXPECT_EQ("a", found["prompt"]);
    EXPECT_EQ("5", found["seed"]);
}

TEST(Parameters, OpenTheNegativePromptOnceAtALineStart)
{
    Told found = told("say Negative prompt: x\nNegative prompt: one\nNegative prompt: two\n" + line);
    EXPECT_EQ("say Negative prompt: x", found["prompt"]);
    EXPECT_EQ("one\nNegative prompt: two", found["negative_prompt"]);
    found = told("Negative prompt: \n" + line);
    EXPECT_EQ("", found["prompt"]);
    EXPECT_EQ("", found["negative_prompt"]);
}

TEST(Parameters, StandBehindThePromptWhereAllIsOneLine)
{
    Told found = told("a cat, sitting. " + line + ", Hires prompt: \"x Steps: 3, y\"");
    EXPECT_EQ("a cat, sitting.", found["prompt"]);
    EXPECT_EQ("20", found["steps"]);
    EXPECT_EQ("Euler a", found["sampler"]);
    for (const char *start : {"Seed: 7, Hires prompt: \"x Steps: 3, y\", Sampler: b, Size: 8x8",
                              "Model: m, Refiner Steps: 4, Steps: 9, Sampler: b, Seed: 7"}) {
        found = told("a cat\n" + std::string(start));
        EXPECT_EQ("a cat", found["prompt"]) << start;
        EXPECT_EQ("7", found["seed"]) << start;
    }
}

TEST(Parameters, TakeValuesThatHoldCommas)
{
    Told found = told(
        line +
        R"(, Hashes: {"a, b": "c: d", "e": [1, 2]}, ADM Guidance: (1.5, 0.8), List: [a, b], Raw prompt: "x, \"y\": \\z\nw", )"
        R"(Raw negative prompt: , Created Date: 2026-01-04T01:27:21.27Z, Unclosed: "a, Version: 1.6.0)");
    EXPECT_EQ(Json::parse(R"({"a, b": "c: d", "e": [1, 2]})").text(), found["Hashes"]);
    EXPECT_EQ("(1.5, 0.8)", found["ADM Guidance"]);
    EXPECT_EQ("[a, b]", found["List"]);
    EXPECT_EQ("x, \"y\": \\z\nw", found["Raw prompt"]);
    EXPECT_EQ(1u, found.count("Raw negative prompt"));
    EXPECT_EQ("", found["Raw negative prompt"]);
    EXPECT_EQ("2026-01-04T01:27:21.27Z", found["date"]);
    EXPECT_EQ("1.6.0", found["Version"]);
}

TEST(Parameters, PreferNamesAsA1111SpellsThem)
{
    Told found = told("a\n" + line + ", ControlNet 0: preprocessor: canny, model: control [d14c], Model: real");
    EXPECT_EQ("real", found["model_name"]);
    EXPECT_EQ("control [d14c]", found["model"]);
    EXPECT_EQ("other", told("a\n" + line + ", model: other")["model_name"]);
}

TEST(Parameters, AreOnePromptWithoutSettings)
{
    Told found = told("just, a: prompt, with: colons");
    EXPECT_EQ((Told{{"dialect", "a1111"}, {"prompt", "just, a: prompt, with: colons"}}), found);
    EXPECT_EQ(Told{}, told("alpha=0.05; beta=3"));
    EXPECT_EQ(Told{}, told("{\"an\": \"object\"}"));
}

TEST(Parameters, LeaveOutWhatNobodyKnows)
{
    Told found = told("a\nSteps: 0, Sampler: None, CFG scale: high, Seed: -1, Size: x, Model hash: unknown, Model: m");
    EXPECT_EQ("krita-ai", found["dialect"]);
    for (const char *name : {"steps", "sampler", "cfg_scale", "seed", "width", "height", "model_hash"})
        EXPECT_EQ(0u, found.count(name)) << name;
    EXPECT_EQ("m", found["model_name"]);
}

TEST(Parameters, TellSubdialectsByWholeNames)
{
    const std::pair<const char *, const char *> versions[] = {
        {"Version: v1.10.1", "a1111"},
        {"Version: f2.0.1v1.10.1-previous-669-gdfdcbab6", "a1111-forge"},
        {"Version: neo-2.28", "a1111-forge"},
        {"Version: classic", "a1111-forge"},
        {"Version: 1.6.0", "a1111"},
        {"ADetailer version: 24.1, Version: v1.8.0", "a1111"},
        {"App: SD.Next, Version: 56a8aea", "a1111-sdnext"},
        {"ADetailer version: neo", "a1111"}};
    for (const auto &[version, dialect] : versions)
        EXPECT_EQ(dialect, told("a\n" + line + ", " + version)["dialect"]) << version;
}

} // namespace
