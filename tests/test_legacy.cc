// SPDX-License-Identifier: MIT
//
// test_legacy.cc - images of other tools: every sample tells what its story says, converted files keep each byte of
// it, also when their image is replaced, and hostile files do no harm.
#include "support.h"

#include "base.h"
#include "pictures.h"
#include "scan.h"

#include <cstdio>
#include <functional>
#include <map>
#include <optional>
#include <set>

namespace
{

using test::Buffer;
using test::Error;
using test::File;
using test::Json;
using test::Options;
using test::png_chunk;
using test::png_with;
using test::Scan;
using namespace std::string_literals;
namespace fs = std::filesystem;

// ---- samples and their stories ----

struct Sample {
    fs::path path;
    std::string folder;
    Json story;
};

std::vector<Sample> samples_in(const fs::path &root)
{
    static const std::set<std::string> kinds = {".png", ".jpg", ".jpeg", ".webp"};
    std::vector<Sample> all;
    std::error_code missing;
    for (const auto &entry : fs::recursive_directory_iterator(root, missing)) {
        fs::path story = entry.path();
        story.replace_extension(".expected.json");
        if (kinds.count(entry.path().extension().string()) && fs::exists(story))
            all.push_back({entry.path(), entry.path().parent_path().filename().string(), Json(story)});
    }
    std::sort(all.begin(), all.end(), [](const Sample &a, const Sample &b) { return a.path < b.path; });
    return all;
}

fs::path shared_samples()
{
    const char *shared = std::getenv("RAIIAF_SHARED");
    return fs::path(shared ? shared : "../shared") / "legacy";
}

// All samples where they are at hand, else those that are ours.
const std::vector<Sample> &samples()
{
    static const std::vector<Sample> all = [] {
        std::vector<Sample> found = samples_in(shared_samples());
        if (found.empty()) {
            std::printf("no samples in %s: only those of tests/data are read\n", shared_samples().c_str());
            found = samples_in(test::data_folder() / "legacy");
        }
        return found;
    }();
    return all;
}

// Runs of white space are one blank, and none at the ends.
std::string normal(const std::string &text)
{
    std::string out;
    for (char c : text) {
        bool space = c == ' ' || (c >= '\t' && c <= '\r');
        if (!space)
            out += c;
        else if (!out.empty() && out.back() != ' ')
            out += ' ';
    }
    while (!out.empty() && out.back() == ' ')
        out.pop_back();
    return out;
}

std::string without_extension(const std::string &model)
{
    for (std::string extension : {".safetensors", ".ckpt"})
        if (model.size() > extension.size() && model.substr(model.size() - extension.size()) == extension)
            return model.substr(0, model.size() - extension.size());
    return model;
}

// Whether a field is as the story tells it: README.txt's rules.
bool same(const std::string &field, const std::string &found, const Json &wanted)
{
    if (wanted.null() || found.empty())
        return wanted.null() && found.empty();
    if (field == "prompt" || field == "negative_prompt")
        return normal(found) == normal(wanted.text());
    if (field == "model_name")
        return without_extension(found) == without_extension(wanted.text());
    double a, b;
    std::string number = wanted.text();
    if (field == "cfg_scale")
        return rf_parse_double(found.data(), found.size(), &a) && rf_parse_double(number.data(), number.size(), &b) &&
               a == b;
    return found == wanted.text();
}

const std::vector<const char *> fields = {"prompt",    "negative_prompt", "seed",       "steps", "sampler", "scheduler",
                                          "cfg_scale", "model_name",      "model_hash", "width", "height"};

bool accepted(const std::string &field, const std::string &found, const Json &accept)
{
    Json others = accept[field.c_str()];
    for (size_t i = 0; i < others.size(); i++)
        if (same(field, found, others[i]))
            return true;
    if (field != "prompt" || !accept["prompt_parts"].size())
        return false;
    bool all = true;
    for (size_t i = 0; i < accept["prompt_parts"].size(); i++)
        all &= normal(found).find(normal(accept["prompt_parts"][i].text())) != std::string::npos;
    return all;
}

// The fields that differ from what `wanted` says, a set of values that may leave some to the story.
std::vector<std::string> wrong_fields(const Scan &scan, const Json &story, const Json &wanted)
{
    std::vector<std::string> wrong;
    for (const char *field : fields) {
        const Json &from = wanted.has(field) ? wanted : story;
        std::string found = scan[field];
        if (!same(field, found, from[field]) && !accepted(field, found, story["accept"]))
            wrong.push_back(std::string(field) + ": " + found + " instead of " + from[field].text());
    }
    return wrong;
}

// Of several accepted sets the one that fits best.
std::vector<std::string> wrong_fields(const Scan &scan, const Json &story)
{
    std::vector<std::string> best = wrong_fields(scan, story, story);
    Json accept = story["accept"], sets = accept["any_base_sampler"];
    auto try_set = [&](const Json &set) {
        std::vector<std::string> wrong = wrong_fields(scan, story, set);
        if (wrong.size() < best.size())
            best = wrong;
    };
    for (size_t i = 0; i < sets.size(); i++)
        try_set(sets[i]);
    if (accept["parameters"].is(json_type_object))
        try_set(accept["parameters"]);
    return best;
}

bool is_dialect(const Scan &scan, const Sample &sample)
{
    if (scan.dialect() == sample.story["dialect"].text() || sample.folder == "bad")
        return true;
    Json others = sample.story["accept"]["dialect"];
    for (size_t i = 0; i < others.size(); i++)
        if (scan.dialect() == others[i].text())
            return true;
    return false;
}

std::set<std::string> told_digests(const Sample &sample)
{
    std::set<std::string> all;
    for (const char *list : {"raw", "sidecars"})
        for (size_t i = 0; i < sample.story[list].size(); i++)
            if (!sample.story[list][i]["sha256"].null())
                all.insert(sample.story[list][i]["sha256"].text());
    return all;
}

struct Tally {
    size_t fields = 0, right = 0, files = 0, whole = 0;
};

TEST(Legacy, TellsWhatEverySampleSays)
{
    std::map<std::string, Tally> table;
    for (const Sample &sample : samples()) {
        SCOPED_TRACE(sample.path);
        std::string image = test::slurp(sample.path);
        Options options(sample.path);
        Scan scan(image, &options);
        Tally &tally = table[sample.folder];
        tally.files++;
        tally.fields += fields.size();
        if (scan.status != RAIIAF_OK && sample.folder == "bad") {
            tally.right += fields.size();
            tally.whole++;
            continue;
        }
        ASSERT_EQ(RAIIAF_OK, scan.status) << scan.error.text;
        std::vector<std::string> wrong = wrong_fields(scan, sample.story);
        tally.right += fields.size() - wrong.size();
        bool dialect = is_dialect(scan, sample);
        tally.whole += wrong.empty() && dialect;
        EXPECT_TRUE(dialect) << scan.dialect() << " instead of " << sample.story["dialect"].text();
        for (const std::string &line : wrong)
            ADD_FAILURE() << line;
    }
    Tally all;
    std::printf("%-22s %11s %9s\n", "dialect", "fields", "files");
    for (const auto &[folder, tally] : table) {
        std::printf("%-22s %5zu/%-5zu %4zu/%-4zu\n", folder.c_str(), tally.right, tally.fields, tally.whole,
                    tally.files);
        all.fields += tally.fields;
        all.right += tally.right;
        all.files += tally.files;
        all.whole += tally.whole;
    }
    std::printf("%-22s %5zu/%-5zu %4zu/%-4zu\n", "all", all.right, all.fields, all.whole, all.files);
    EXPECT_LT(0u, all.files);
}

TEST(Legacy, GivesEveryCarrier)
{
    for (const Sample &sample : samples()) {
        SCOPED_TRACE(sample.path);
        std::string image = test::slurp(sample.path);
        Options options(sample.path);
        Scan scan(image, &options);
        std::set<std::string> given = scan.digests();
        for (const std::string &digest : told_digests(sample))
            EXPECT_TRUE(scan.status != RAIIAF_OK || given.count(digest)) << digest;
    }
}

// ---- conversion ----

std::string decoded(const std::string &encoding, const std::string &text)
{
    std::string out;
    if (encoding == "base64") {
        rf_bytes bytes = {nullptr, 0, 0, false};
        EXPECT_TRUE(rf_base64_decode(text.data(), text.size(), &bytes));
        if (bytes.data)
            out.assign(bytes.data, bytes.size);
        rf_bytes_free(&bytes);
    } else if (encoding == "latin-1") {
        for (size_t i = 0; i < text.size(); i++) {
            auto byte = static_cast<unsigned char>(text[i]);
            out += byte < 0x80 ? text[i] : static_cast<char>((byte & 3) << 6 | (text[++i] & 0x3F));
        }
    } else
        out = text;
    return out;
}

// What the manifest's carriers are, read back from their own texts where they have one.
std::set<std::string> kept_digests(const raiiaf_file *file, bool texts_only)
{
    std::set<std::string> all;
    std::string json = test::get(file, "/source/carriers");
    if (json == "(none)")
        return all;
    Json carriers = Json::parse(json);
    for (size_t i = 0; i < carriers.size(); i++) {
        Json carrier = carriers[i];
        if (carrier.has("text")) {
            std::string bytes = decoded(carrier["encoding"].text(), carrier["text"].text());
            EXPECT_EQ(carrier["sha256"].text(), test::sha256(bytes)) << carrier["kind"].text();
            EXPECT_EQ(carrier["bytes"].number(), bytes.size());
            all.insert(carrier["sha256"].text());
        } else if (!texts_only)
            all.insert(carrier["sha256"].text());
    }
    return all;
}

raiiaf_status convert(File &file, const std::string &image, const Options &options, raiiaf_error *error)
{
    return raiiaf_import(&file, image.data(), image.size(), &options, nullptr, error);
}

void expect_settings(const raiiaf_file *file, const Scan &scan)
{
    raiiaf_value value;
    for (size_t i = 0; const char *field = raiiaf_legacy_field(i); i++) {
        std::string told = scan[field];
        if (told.empty() || !std::strcmp(field, "date") || !std::strcmp(field, "tags"))
            continue;
        ASSERT_TRUE(raiiaf_setting(file, field, &value)) << field;
        Buffer text;
        Error error;
        ASSERT_TRUE(test::good(raiiaf_value_text(&value, &text, &error), error));
        EXPECT_EQ(told, text.bytes()) << field;
    }
    bool complete = !scan["seed"].empty() && !scan["steps"].empty() && !scan["sampler"].empty();
    EXPECT_EQ(complete, test::get(file, "/model_info/generation_settings") != "(none)");
    EXPECT_TRUE(!complete || test::get(file, "/source/settings") == "(none)");
    EXPECT_EQ(RAIIAF_NONE, raiiaf_environment_chunk(file));
    EXPECT_EQ("(none)", test::get(file, "/model_info/hardware_info"));
}

TEST(Legacy, ConvertsWithoutLosingAByte)
{
    test::Variable now("SOURCE_DATE_EPOCH", "1700000000"); /* the next conversion may fall into the next second */
    for (const Sample &sample : samples()) {
        SCOPED_TRACE(sample.path);
        std::string image = test::slurp(sample.path);
        Options options(sample.path);
        Scan scan(image, &options);
        File file, again;
        if (scan.status != RAIIAF_OK) {
            EXPECT_BAD(scan.status, convert(file, image, options, &error));
            continue;
        }
        ASSERT_GOOD(convert(file, image, options, &error));
        std::string saved = test::save_bytes(file);
        ASSERT_GOOD(test::open_bytes(again, saved, &error));
        EXPECT_GOOD(raiiaf_verify(again, 1, nullptr, nullptr, &error));
        File lent;
        options.borrowed = true;
        ASSERT_GOOD(convert(lent, image, options, &error));
        EXPECT_TRUE(saved == test::save_bytes(lent));
        EXPECT_TRUE(image == test::read_chunk(again, raiiaf_image_chunk(again)));
        EXPECT_EQ('"' + test::sha256(image) + '"', test::get(again, "/source/sha256"));
        EXPECT_EQ(scan.dialect() == "none" ? "(none)" : '"' + scan.dialect() + '"',
                  test::get(again, "/source/dialect"));
        expect_settings(again, scan);
        std::set<std::string> kept = kept_digests(again, false);
        for (const std::string &digest : told_digests(sample))
            EXPECT_TRUE(kept.count(digest)) << digest;
    }
}

TEST(Legacy, KeepsEveryTextWhenTheImageIsReplaced)
{
    std::string plain = test::plain_png(8, 8, 1, 2, 3);
    for (const Sample &sample : samples()) {
        SCOPED_TRACE(sample.path);
        std::string image = test::slurp(sample.path);
        Options options(sample.path);
        File file, again;
        Error ignored;
        if (convert(file, image, options, &ignored) != RAIIAF_OK)
            continue;
        ASSERT_GOOD(raiiaf_image_set(file, plain.data(), plain.size(), nullptr, &error));
        std::string saved = test::save_bytes(file);
        ASSERT_GOOD(test::open_bytes(again, saved, &error));
        std::set<std::string> kept = kept_digests(again, true);
        for (const std::string &digest : told_digests(sample))
            EXPECT_TRUE(kept.count(digest)) << digest;
    }
}

TEST(Legacy, TakesWhatTheOriginalTells)
{
    std::string original = test::with_chunks(
        test::plain_png(4, 4, 9, 9, 9), png_chunk("tEXt", "parameters\0a cat\nSteps: 5, Sampler: Euler, Seed: 6"s));
    std::string image = test::plain_png(4, 4, 1, 1, 1);
    raiiaf_import_options options = {};
    options.file_name = "/some/where/cat.png";
    options.modified = 1000000000;
    options.original = original.data();
    options.original_size = original.size();
    File file;
    ASSERT_GOOD(raiiaf_import(&file, image.data(), image.size(), &options, nullptr, &error));
    EXPECT_EQ("\"a cat\"", test::get(file, "/model_info/prompt"));
    EXPECT_EQ("\"cat.png\"", test::get(file, "/source/file_name"));
    EXPECT_EQ('"' + test::sha256(original) + '"', test::get(file, "/source/sha256"));
    EXPECT_EQ("\"2001-09-09T01:46:40+00:00\"", test::get(file, "/model_info/date"));
    EXPECT_TRUE(image == test::read_chunk(file, raiiaf_image_chunk(file)));
    EXPECT_EQ(1u, kept_digests(file, true).size());
}

TEST(Legacy, TellsTheDateInTheFormatsForm)
{
    const std::pair<const char *, const char *> dates[] = {
        {"2026-01-03", "2026-01-03T00:00:00+00:00"},
        {"2026-01-04T01:27:21.2717070Z", "2026-01-04T01:27:21.2717070Z"},
        {"2026-01-04T01:27:21Z", "2026-01-04T01:27:21Z"},
        {"2026:01:04 01:27:21", "2026-01-04T01:27:21+00:00"},
        {"2026-01-04 01:27:21+09:00", "2026-01-04T01:27:21+09:00"},
        {"2026-01-04T01:27", "2026-01-04T01:27:00+00:00"},
        {"2026-02-30", "2001-09-09T01:46:40+00:00"},
        {"some day in May", "2001-09-09T01:46:40+00:00"},
    };
    for (const auto &[told, wanted] : dates) {
        std::string image = png_with(test::text_chunk("parameters", "a\nSteps: 1, Seed: 2, Size: 3x4, Date: "s + told));
        raiiaf_import_options options = {};
        options.modified = 1000000000;
        File file;
        ASSERT_GOOD(raiiaf_import(&file, image.data(), image.size(), &options, nullptr, &error));
        EXPECT_EQ('"' + std::string(wanted) + '"', test::get(file, "/model_info/date")) << told;
    }
}

// ---- where texts stand ----

std::string exif(const std::string &tag, unsigned type, const std::string &value, bool big, bool nested)
{
    auto number = [big](uint32_t v, int bytes) {
        std::string out;
        for (int i = 0; i < bytes; i++)
            out += static_cast<char>(v >> 8 * (big ? bytes - 1 - i : i));
        return out;
    };
    uint32_t id = static_cast<uint32_t>(std::stoul(tag, nullptr, 16));
    auto directory = [&](uint32_t entry, uint32_t kind, uint32_t count, uint32_t where) {
        return number(1, 2) + number(entry, 2) + number(kind, 2) + number(count, 4) + number(where, 4) + number(0, 4);
    };
    std::string head = (big ? "MM\0*"s : "II*\0"s) + number(8, 4);
    auto size = static_cast<uint32_t>(value.size());
    if (!nested)
        return head + directory(id, type, size, 26) + value;
    return head + directory(0x8769, 4, 1, 26) + directory(id, type, size, 44) + value;
}

std::string utf16(const std::string &ascii, bool big)
{
    std::string out;
    for (char c : ascii) {
        out += big ? '\0' : c;
        out += big ? c : '\0';
    }
    return out;
}

const std::string parameters = "a cat\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 5, Size: 64x32";

TEST(LegacyTexts, ReadsUserCommentsHoweverTheyAreWritten)
{
    std::string codes[] = {
        "UNICODE\0"s + utf16(parameters, true),
        "UNICODE\0"s + utf16(parameters, false),
        "UNICODE\0\xFE\xFF"s + utf16(parameters, true),
        "UNICODE\0\xFF\xFE"s + utf16(parameters, false),
        "UNICODE\0"s + parameters,
        "ASCII\0\0\0"s + parameters,
        "JIS\0\0\0\0\0"s + parameters,
        std::string(8, '\0') + parameters,
        parameters,
        utf16(parameters, true),
        parameters + std::string(3, '\0'),
    };
    for (const std::string &code : codes)
        for (bool big : {false, true})
            for (bool nested : {false, true})
                for (unsigned type : {2u, 7u}) {
                    Scan scan(png_with(png_chunk("eXIf", exif("9286", type, code, big, nested))));
                    EXPECT_EQ("a1111", scan.dialect()) << code.substr(0, 8) << big << nested << type;
                    EXPECT_EQ("a cat", scan["prompt"]);
                    EXPECT_EQ("5", scan["seed"]);
                }
}

TEST(LegacyTexts, TellsTheByteOrderOfTextsWithoutAscii)
{
    // 猫と犬と鳥
    std::string little = "\x2B\x73\x68\x30\xAC\x72\x68\x30\xE5\x9C"s, big;
    for (size_t i = 0; i < little.size(); i += 2)
        big += {little[i + 1], little[i]};
    for (bool order : {false, true})
        for (const std::string &text : {little, big}) {
            Scan scan(png_with(png_chunk("eXIf", exif("9286", 7, "UNICODE\0"s + text, order, true))));
            ASSERT_EQ(1u, scan.texts().size());
            EXPECT_EQ("png:eXIf UserComment=猫と犬と鳥", scan.texts()[0]);
        }
}

TEST(LegacyTexts, NamesExifTags)
{
    std::map<std::string, std::string> names = {{"010E", "ImageDescription"},
                                                {"0110", "Model"},
                                                {"0131", "Software"},
                                                {"010D", "DocumentName"},
                                                {"C0DE", "0xC0DE"}};
    for (const auto &[tag, name] : names) {
        Scan scan(png_with(png_chunk("eXIf", exif(tag, 2, "some text\0"s, false, false))));
        ASSERT_EQ(1u, scan.texts().size());
        EXPECT_EQ("png:eXIf " + name + "=some text", scan.texts()[0]);
    }
    Scan comment(png_with(png_chunk("eXIf", exif("9C9C", 1, utf16("for people", false) + "\0\0"s, true, false))));
    ASSERT_EQ(1u, comment.texts().size());
    EXPECT_EQ("png:eXIf XPComment=for people", comment.texts()[0]);
    Scan binary(png_with(png_chunk("eXIf", exif("927C", 7, "\x01\x02\x03\x04\x05"s, true, false))));
    EXPECT_EQ(0u, binary.texts().size());
}

std::string xmp(const std::string &inner)
{
    return "<x:xmpmeta xmlns:x='adobe:ns:meta/'><r:RDF xmlns:r='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>" + inner +
           "</r:RDF></x:xmpmeta>";
}

Scan scan_xmp(const std::string &packet)
{
    return Scan(png_with(png_chunk("iTXt", "XML:com.adobe.xmp\0\0\0\0\0"s + packet)));
}

TEST(LegacyTexts, ReadsXmpInEveryForm)
{
    const std::string spaces =
        "xmlns:e='http://ns.adobe.com/exif/1.0/' xmlns:q='http://ns.adobe.com/xap/1.0/' r:about=''";
    const std::string json = R"({&quot;c&quot;:&#x22;a &lt;cat&gt;&quot;,"steps":4})";
    const std::string forms[] = {
        "<r:Description " + spaces + " q:CreatorTool='Draw Things' e:UserComment='" + json + "'/>",
        "<r:Description " + spaces + "><q:CreatorTool>Draw Things</q:CreatorTool><e:UserComment>" + json +
            "</e:UserComment></r:Description>",
        "<r:Description " + spaces +
            "><q:CreatorTool>Draw Things</q:CreatorTool><e:UserComment><r:Alt>"
            "<r:li xml:lang='x-default'>" +
            json + "</r:li></r:Alt></e:UserComment></r:Description>",
        "<r:Description " + spaces +
            "><q:CreatorTool>Draw Things</q:CreatorTool><e:UserComment><![CDATA["
            R"({"c": "a <cat>", "steps": 4})"
            "]]></e:UserComment></r:Description>",
    };
    for (const std::string &form : forms) {
        Scan scan = scan_xmp(xmp(form));
        EXPECT_EQ("drawthings", scan.dialect()) << form;
        EXPECT_EQ("a <cat>", scan["prompt"]);
        EXPECT_EQ("4", scan["steps"]);
    }
}

// A piece of a packet as a JPEG carries one that is too long for a segment.
TEST(LegacyTexts, ReadsParametersInXmp)
{
    for (const char *line : {"\n", "&#10;"}) {
        Scan scan =
            scan_xmp(xmp("<r:Description xmlns:d='http://purl.org/dc/elements/1.1/'><d:description>a cat"s + line +
                         "Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 5</d:description></r:Description>"));
        EXPECT_EQ("a1111", scan.dialect());
        EXPECT_EQ("a cat", scan["prompt"]);
        EXPECT_EQ("20", scan["steps"]);
        EXPECT_EQ("5", scan["seed"]);
    }
}

std::string xmp_piece(const std::string &name, const std::string &packet, size_t offset, size_t size)
{
    auto number = [](size_t n) {
        return std::string{static_cast<char>(n >> 24), static_cast<char>(n >> 16), static_cast<char>(n >> 8),
                           static_cast<char>(n)};
    };
    return test::jpeg_segment(0xE1, "http://ns.adobe.com/xmp/extension/\0"s + name + number(packet.size()) +
                                        number(offset) + packet.substr(offset, size));
}

TEST(LegacyTexts, JoinsXmpThatComesInPieces)
{
    const std::string name(32, 'A'), other(32, 'B');
    const std::string start = "\xFF\xD8" + test::jpeg_segment(0xE1, "http://ns.adobe.com/xap/1.0/\0"s +
                                                                        xmp("<r:Description "
                                                                            "xmlns:q='http://ns.adobe.com/xap/1.0/' "
                                                                            "q:CreatorTool='Draw Things'/>"));
    const std::string packet = xmp("<r:Description xmlns:e='http://ns.adobe.com/exif/1.0/'><e:UserComment>"
                                   R"({"c": ")" +
                                   std::string(100000, 'x') + R"(", "steps": 4})" + "</e:UserComment></r:Description>");
    const std::string first = xmp_piece(name, packet, 0, 60000), second = xmp_piece(name, packet, 60000, 60000);
    const std::string end = test::jpeg_segment(0xDA, "");
    for (const std::string &pieces :
         {first + second, second + first, first + xmp_piece(other, "<x/>", 0, 4) + second}) {
        Scan scan(start + pieces + end);
        EXPECT_EQ("drawthings", scan.dialect());
        EXPECT_TRUE(scan["prompt"] == std::string(100000, 'x'));
        EXPECT_EQ("4", scan["steps"]);
    }
    for (const std::string &pieces :
         {first, xmp_piece(name, packet.substr(0, 60000), 0, 60000) + second, xmp_piece(name, "", 0, 0)}) {
        Scan scan(start + pieces + end);
        EXPECT_EQ(RAIIAF_OK, scan.status);
        EXPECT_EQ("", scan["prompt"]);
    }
}

TEST(LegacyTexts, LeavesXmpAloneThatDeclaresEntities)
{
    std::string bomb = "<!DOCTYPE b [<!ENTITY a 'Draw Things'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;'>"
                       "<!ENTITY c '&b;&b;&b;&b;&b;&b;&b;&b;'>]>";
    Scan scan = scan_xmp(bomb + xmp("<r:Description xmlns:e='http://ns.adobe.com/exif/1.0/'>"
                                    "<e:UserComment>{\"c\":\"&c;\"}</e:UserComment></r:Description>"));
    EXPECT_EQ(RAIIAF_OK, scan.status);
    EXPECT_EQ("none", scan.dialect());
}

TEST(LegacyTexts, PrefersTheImageToWhatLiesBesideIt)
{
    test::Scratch folder;
    test::spill(folder / "cat.txt", "beside\nSteps: 1, Sampler: Euler, Seed: 1, Size: 8x8");
    Options options(folder / "cat.png");
    std::string image = png_with(png_chunk("tEXt", "parameters\0"s + parameters));
    EXPECT_EQ("a cat", Scan(image, &options)["prompt"]);
    std::string plain = png_with("");
    Scan beside(plain, &options);
    EXPECT_EQ("a1111", beside.dialect());
    EXPECT_EQ("beside", beside["prompt"]);
    EXPECT_EQ(1u, beside.digests().size());
    options.sidecar = nullptr;
    EXPECT_EQ("none", Scan(plain, &options).dialect());
}

TEST(LegacyTexts, KeepsNoCompanionThatNobodyUnderstands)
{
    test::Scratch folder;
    test::spill(folder / "00012-34-a dog.txt", "just a note");
    Options options(folder / "00012-34-a dog.png");
    std::string plain = png_with("");
    Scan scan(plain, &options);
    EXPECT_EQ("filename-other", scan.dialect());
    EXPECT_EQ("a dog", scan["prompt"]);
    EXPECT_EQ("34", scan["seed"]);
    EXPECT_EQ("filename", scan["provenance"]);
    EXPECT_EQ(0u, scan.digests().size());
}

TEST(LegacyTexts, AsksForNothingOutsideTheFolder)
{
    Options options("/x/..(0)_0001.png");
    std::string plain = png_with("");
    options.sidecar = [](void *, const char *name, raiiaf_source *) {
        EXPECT_EQ(nullptr, std::strchr(name, '/')) << name;
        return false;
    };
    EXPECT_EQ("none", Scan(plain, &options).dialect());
}

TEST(LegacyTexts, AsksOneDriverAlone)
{
    std::string image = png_with(png_chunk("tEXt", "parameters\0"s + parameters));
    Options options("cat.png");
    options.dialect = "novelai";
    EXPECT_EQ("none", Scan(image, &options).dialect());
    options.dialect = "a1111";
    EXPECT_EQ("a1111", Scan(image, &options).dialect());
    options.dialect = "nobody's";
    Scan unknown(image, &options);
    EXPECT_EQ(RAIIAF_ERROR_ARGUMENT, unknown.status);
    EXPECT_STREQ("dialect-unknown", unknown.error.id);
}

TEST(LegacyTexts, ReadsProfilesThatImageMagickLeavesInPng)
{
    const std::string block = exif("9286", 7, "ASCII\0\0\0"s + parameters, true, true);
    std::string iptc =
        "\x1C\x02\x78"s + static_cast<char>(parameters.size() >> 8) + static_cast<char>(parameters.size()) + parameters;
    const std::pair<std::string, std::string> profiles[] = {
        {"exif", "Exif\0\0"s + block},
        {"APP1", block},
        {"iptc", iptc},
        {"8bim", "8BIM\x04\x04\0\0\0\0"s + test::be16(static_cast<uint16_t>(iptc.size())) + iptc},
    };
    for (const auto &[name, bytes] : profiles) {
        std::string text =
            "Raw profile type " + name + "\0\n"s + name + "\n      " + std::to_string(bytes.size()) + '\n';
        for (size_t i = 0; i < bytes.size(); i++) {
            char digits[4];
            std::snprintf(digits, sizeof digits, "%02x", static_cast<unsigned char>(bytes[i]));
            text += digits + (i % 36 == 35 ? "\n"s : ""s);
        }
        Scan scan(png_with(png_chunk("tEXt", text + '\n')));
        EXPECT_EQ("a1111", scan.dialect()) << name;
        EXPECT_EQ("a cat", scan["prompt"]) << name;
    }
}

// ---- hidden bits ----

// A picture with these bits in the lowest ones of its alpha (1 for each pixel) or its colours (3).
std::string with_bits(const std::string &bytes, uint32_t width, uint32_t height, unsigned per_pixel)
{
    test::Noise noise(width * 131 + height);
    unsigned channels = per_pixel == 1 ? 4 : 3;
    std::vector<uint8_t> pixels(size_t{width} * height * channels);
    for (uint8_t &sample : pixels)
        sample = noise.byte();
    for (size_t bit = 0; bit < bytes.size() * 8; bit++) {
        size_t pixel = bit / per_pixel, at = (pixel % height * width + pixel / height) * channels;
        at += per_pixel == 1 ? 3 : bit % 3;
        auto value = static_cast<unsigned char>(bytes[bit / 8]) >> (7 - bit % 8) & 1;
        if (pixel < size_t{width} * height)
            pixels[at] = static_cast<uint8_t>((pixels[at] & 0xFE) | value);
    }
    png_image image{};
    image.version = PNG_IMAGE_VERSION;
    image.width = width;
    image.height = height;
    image.format = channels == 4 ? PNG_FORMAT_RGBA : PNG_FORMAT_RGB;
    png_alloc_size_t size = 0;
    EXPECT_TRUE(png_image_write_get_memory_size(image, size, 0, pixels.data(), 0, nullptr));
    std::string out(size, '\0');
    EXPECT_TRUE(png_image_write_to_memory(&image, out.data(), &size, 0, pixels.data(), 0, nullptr));
    out.resize(size);
    return out;
}

std::string gzipped(const std::string &text)
{
    z_stream stream{};
    std::string out(text.size() + 100, '\0');
    EXPECT_EQ(Z_OK, deflateInit2(&stream, 9, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY));
    stream.next_in = reinterpret_cast<Bytef *>(const_cast<char *>(text.data()));
    stream.avail_in = static_cast<uInt>(text.size());
    stream.next_out = reinterpret_cast<Bytef *>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    EXPECT_EQ(Z_STREAM_END, deflate(&stream, Z_FINISH));
    out.resize(stream.total_out);
    deflateEnd(&stream);
    return out;
}

std::string hidden(const std::string &magic, const std::string &payload, uint32_t bits)
{
    return magic + test::be32(bits) + payload + "and what follows";
}

TEST(LegacyHidden, IsFoundInPicturesOfAnyShape)
{
    for (auto [width, height] : {std::pair<uint32_t, uint32_t>{16, 400}, {400, 16}, {50, 121}, {2000, 3}, {3, 2000}})
        for (const char *magic : {"stealth_pnginfo", "stealth_pngcomp", "stealth_rgbinfo", "stealth_rgbcomp"}) {
            std::string payload = std::strstr(magic, "comp") ? gzipped(parameters) : parameters;
            unsigned per_pixel = std::strstr(magic, "rgb") ? 3 : 1;
            std::string bits = hidden(magic, payload, static_cast<uint32_t>(payload.size() * 8));
            Scan scan(with_bits(bits, width, height, per_pixel));
            EXPECT_EQ("stealth", scan.dialect()) << magic << " " << width << "x" << height;
            EXPECT_EQ("a cat", scan["prompt"]);
            EXPECT_EQ("5", scan["seed"]);
            EXPECT_TRUE(scan.digests().count(test::sha256(parameters)));
        }
}

TEST(LegacyHidden, IsNothingWhereItLies)
{
    std::string packed = gzipped(parameters), broken = packed;
    broken[broken.size() / 2] ^= 0x55;
    auto size = [](const std::string &text) { return static_cast<uint32_t>(text.size() * 8); };
    const std::string lies[] = {
        hidden("stealth_pnginfo", parameters, 0xFFFFFFF8),
        hidden("stealth_pnginfo", parameters, size(parameters) + 3),
        hidden("stealth_pnginfo", parameters, 0),
        hidden("stealth_pngcomp", packed, size(packed) - 32),
        hidden("stealth_pngcomp", broken, size(broken)),
        hidden("stealth_pngcomp", parameters, size(parameters)),
        hidden("stealth_pnginfo", "\xFF\xFE\xFD no text", 64),
        hidden("stealth_pngnone", parameters, size(parameters)),
        hidden("stealth_pngcomp", gzipped(std::string(20 << 20, ' ')), size(gzipped(std::string(20 << 20, ' ')))),
    };
    for (const std::string &bits : lies) {
        Scan scan(with_bits(bits, 500, 400, 1));
        EXPECT_EQ(RAIIAF_OK, scan.status) << scan.error.text;
        EXPECT_EQ("none", scan.dialect());
    }
}

TEST(LegacyHidden, IsLookedForOnlyWhereNothingElseSpeaks)
{
    std::string secret = "secret\nSteps: 1, Sampler: Euler, Seed: 1, Size: 8x8";
    std::string image =
        with_bits(hidden("stealth_pnginfo", secret, static_cast<uint32_t>(secret.size() * 8)), 64, 64, 1);
    EXPECT_EQ("secret", Scan(image)["prompt"]);
    EXPECT_EQ("a cat", Scan(test::with_chunks(image, png_chunk("tEXt", "parameters\0"s + parameters)))["prompt"]);
}

// ---- what isn't read ----

TEST(LegacyOthers, TellsOtherFormatsByName)
{
    const std::pair<std::string, std::string> others[] = {
        {"GIF89a and more", "GIF"},
        {"\0\0\0\x1C"
         "ftypavif\0\0\0\0"s,
         "AVIF"},
        {"\0\0\0\x18"
         "ftypmp42"s,
         "MP4 video"},
        {"\x1A\x45\xDF\xA3 webm", "Matroska or WebM video"},
        {"MM\0* tiff"s, "TIFF"},
        {"hello", "no image format that is known here"},
    };
    for (const auto &[bytes, name] : others) {
        Options options("/some/file");
        Scan scan(bytes, &options);
        EXPECT_EQ(RAIIAF_ERROR_UNSUPPORTED, scan.status);
        EXPECT_NE(std::string::npos, std::string(scan.error.text).find(name)) << scan.error.text;
        EXPECT_NE(std::string::npos, std::string(scan.error.text).find("/some/file")) << scan.error.text;
        File file;
        EXPECT_BAD(RAIIAF_ERROR_UNSUPPORTED, convert(file, bytes, options, &error));
    }
}

TEST(LegacyOthers, TellsTheDialects)
{
    std::set<std::string> names;
    ASSERT_LT(20u, raiiaf_dialect_count());
    for (size_t i = 0; i < raiiaf_dialect_count(); i++) {
        raiiaf_dialect dialect;
        raiiaf_dialect_get(i, &dialect);
        EXPECT_TRUE(names.insert(dialect.name).second) << dialect.name;
        EXPECT_TRUE(*dialect.title && *dialect.reads && !std::strncmp(dialect.home, "https://", 8)) << dialect.name;
    }
    names.insert({"bad", "none", "full-size"});
    for (const Sample &sample : samples())
        EXPECT_TRUE(names.count(sample.folder)) << sample.folder;
}

TEST(LegacyOthers, WarnsOfTextThatInflatesTooFar)
{
    std::string zeros(20 << 20, 'x');
    std::string bomb = png_with(png_chunk("zTXt", "parameters\0\0"s + test::deflated(zeros)) +
                                png_chunk("tEXt", "parameters\0"s + parameters));
    std::string warned;
    raiiaf_open_options options = {};
    options.warning = [](void *user, const raiiaf_error *warning) { *static_cast<std::string *>(user) = warning->id; };
    options.warning_user = &warned;
    Scan scan(bomb, nullptr, &options);
    EXPECT_EQ(RAIIAF_OK, scan.status);
    EXPECT_EQ("text-too-large", warned);
    EXPECT_EQ("a cat", scan["prompt"]);
}

TEST(LegacyOthers, KeepsToItsMemory)
{
    raiiaf_limits limits;
    raiiaf_limits_default(&limits);
    limits.memory = 100000;
    raiiaf_open_options options = {};
    options.limits = &limits;
    std::string json = "[0", image;
    for (int i = 0; i < 20000; i++)
        json += ",1";
    image = png_with(png_chunk("tEXt", "invokeai_metadata\0{\"seed\":1,\"a\":"s + json + "]}"));
    EXPECT_EQ("1", Scan(image)["seed"]);
    Scan scan(image, nullptr, &options);
    EXPECT_EQ(RAIIAF_ERROR_LIMIT, scan.status);
}

// ---- damage ----

TEST(LegacyDamage, BearsSamplesThatAreCutOrChanged)
{
    test::Noise noise(4);
    size_t rounds = TEST_SANITIZED ? 6 : 30;
    for (const Sample &sample : samples()) {
        std::string image = test::slurp(sample.path);
        if (image.size() > 60000)
            continue;
        Options options(sample.path);
        for (size_t round = 0; round < rounds && !image.empty(); round++) {
            std::string damaged = image;
            if (round % 3 == 0)
                damaged.resize(noise.below(damaged.size()));
            for (size_t changes = noise.below(6); changes > 0 && !damaged.empty(); changes--)
                damaged[noise.below(damaged.size())] = static_cast<char>(noise.byte());
            Scan scan(damaged, &options);
            File file;
            if (scan.status == RAIIAF_OK) {
                EXPECT_GOOD(convert(file, damaged, options, &error));
            }
        }
    }
}

} // namespace
