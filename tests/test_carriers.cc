// SPDX-License-Identifier: MIT
//
// test_carriers.cc - the text beside the pixels: found in every file that is known to hold some, to the byte, and kept
// when its image is given up.
#include "file.h"
#include "pictures.h"
#include "support.h"

#include <map>
#include <set>

namespace
{

using namespace std::string_literals;
using test::File;
using test::Json;
using test::Noise;
using test::Picture;
using test::png_chunk;

struct Carrier {
    std::string kind, keyword, bytes, encoding;
    bool operator==(const Carrier &other) const
    {
        return kind == other.kind && keyword == other.keyword && bytes == other.bytes && encoding == other.encoding;
    }
};

std::ostream &operator<<(std::ostream &out, const Carrier &carrier)
{
    return out << carrier.kind << " \"" << carrier.keyword << "\" " << carrier.encoding << " "
               << testing::PrintToString(carrier.bytes.substr(0, 60));
}

raiiaf_status collect(std::string_view image, std::vector<Carrier> *out, const raiiaf_limits *limits = nullptr,
                      raiiaf_error *error = nullptr)
{
    std::vector<char> exact(image.begin(), image.end()); // so that a read beyond is caught
    return raiiaf_carrier_each(
        exact.data(), exact.size(), limits,
        [](void *user, const raiiaf_carrier *carrier) {
            static_cast<std::vector<Carrier> *>(user)->push_back(
                {carrier->kind,
                 carrier->keyword,
                 {reinterpret_cast<const char *>(carrier->data), carrier->size},
                 carrier->encoding});
            return true;
        },
        out, error);
}

std::vector<Carrier> carriers(std::string_view image)
{
    std::vector<Carrier> found;
    test::Error error;
    EXPECT_TRUE(test::good(collect(image, &found, nullptr, &error), error));
    return found;
}

std::string plain()
{
    return Picture(8, 8, {PNG_COLOR_TYPE_RGB, 8, false, false}).png();
}

std::string text_chunk(const std::string &keyword, const std::string &text)
{
    return png_chunk("tEXt", keyword + '\0' + text);
}

std::string ztxt_chunk(const std::string &keyword, const std::string &text)
{
    return png_chunk("zTXt", keyword + "\0\0"s + test::deflated(text));
}

std::string itxt_chunk(const std::string &keyword, const std::string &text, bool packed = false)
{
    return png_chunk("iTXt", keyword + (packed ? "\0\1\0"s : "\0\0\0"s) + "de\0Wort\0"s +
                                 (packed ? test::deflated(text) : text));
}

// ---- what files hold ----

// The lists of every sample: those that ship with the tests, and all others where they are at hand.
std::vector<std::filesystem::path> samples()
{
    std::vector<std::filesystem::path> stories;
    std::vector<std::filesystem::path> folders = {test::data_folder() / "legacy"};
    if (const char *shared = getenv("RAIIAF_SHARED"))
        folders.push_back(std::filesystem::path(shared) / "legacy");
    for (const auto &folder : folders) {
        std::error_code missing;
        for (const auto &entry : std::filesystem::recursive_directory_iterator(folder, missing))
            if (entry.path().string().find(".expected.json") != std::string::npos)
                stories.push_back(entry.path());
        if (missing)
            printf("no samples in %s: %s\n", folder.c_str(), missing.message().c_str());
    }
    return stories;
}

std::filesystem::path image_of(const std::filesystem::path &story)
{
    std::string stem = story.string();
    stem.resize(stem.size() - strlen(".expected.json"));
    for (const char *extension : {".png", ".jpg", ".jpeg", ".webp"})
        if (std::filesystem::exists(stem + extension))
            return stem + extension;
    ADD_FAILURE() << "no image beside " << story;
    return {};
}

TEST(Carriers, OfEverySampleAreThoseItIsKnownToHold)
{
    size_t files = 0, texts = 0;
    for (const auto &story : samples()) {
        Json raw = Json(story)["raw"];
        if (raw.null()) // bombs: tested below
            continue;
        files++;
        std::vector<Carrier> found = carriers(test::slurp(image_of(story)));
        ASSERT_EQ(raw.size(), found.size()) << story;
        for (size_t i = 0; i < found.size(); i++) {
            texts++;
            EXPECT_EQ(raw[i]["bytes"].number(), found[i].bytes.size()) << story << " " << i;
            EXPECT_EQ(raw[i]["sha256"].text(), test::sha256(found[i].bytes)) << story << " " << i;
            if (raw[i].has("chunk")) {
                EXPECT_EQ("png:" + raw[i]["chunk"].text(), found[i].kind) << story << " " << i;
            }
            if (raw[i].has("key")) {
                EXPECT_EQ(raw[i]["key"].text(), found[i].keyword) << story << " " << i;
            }
        }
    }
    EXPECT_GT(files, 50u);
    EXPECT_GT(texts, 50u);
}

TEST(Carriers, OfPngInAllForms)
{
    std::string long_text(100000, 'x');
    std::string before = text_chunk("parameters", "plain") + text_chunk("Author", "J\xF6rg") + // Latin-1
                         text_chunk("prompt", "{\"a\": \"\xC3\xB6\"}") + // UTF-8 that shouldn't be there
                         text_chunk("nul", "a\0b"s) +
                         text_chunk("Fran\xE7"
                                    "ais",
                                    "") +
                         ztxt_chunk("big", long_text) + ztxt_chunk("latin", "\xE4\xF6") +
                         itxt_chunk("i", "\xE2\x82\xAC") + itxt_chunk("packed", "\xF0\x9F\x90\xB1", true) +
                         itxt_chunk("broken", "\xFF\xFE") + png_chunk("eXIf", "MM\0*"s) + png_chunk("caBX", "jumb"s) +
                         png_chunk("tEXt", "no keyword");
    std::string after = text_chunk("late", "text") + png_chunk("comf", "workflow\0{}"s);
    std::vector<Carrier> expected = {
        {"png:tEXt", "parameters", "plain", "utf-8"},
        {"png:tEXt", "Author", "J\xF6rg", "latin-1"},
        {"png:tEXt", "prompt", "{\"a\": \"\xC3\xB6\"}", "utf-8"},
        {"png:tEXt", "nul", "a\0b"s, "utf-8"},
        {"png:tEXt",
         "Fran\xC3\xA7"
         "ais",
         "", "utf-8"},
        {"png:zTXt", "big", long_text, "utf-8"},
        {"png:zTXt", "latin", "\xE4\xF6", "latin-1"},
        {"png:iTXt", "i", "\xE2\x82\xAC", "utf-8"},
        {"png:iTXt", "packed", "\xF0\x9F\x90\xB1", "utf-8"},
        {"png:iTXt", "broken", "\xFF\xFE", "base64"},
        {"png:eXIf", "", "MM\0*"s, "base64"},
        {"png:caBX", "", "jumb", "base64"},
        {"png:tEXt", "", "no keyword", "utf-8"},
        {"png:tEXt", "late", "text", "utf-8"},
        {"png:comf", "workflow", "{}", "utf-8"},
    };
    EXPECT_EQ(expected, carriers(test::with_last_chunks(test::with_chunks(plain(), before), after)));
}

TEST(Carriers, OfJpegAndWebp)
{
    std::string jpeg = "\xFF\xD8" + test::jpeg_segment(0xE0, "JFIF\0"s) + test::jpeg_segment(0xE1, "Exif\0\0II*\0"s) +
                       test::jpeg_segment(0xE1, "http://ns.adobe.com/xap/1.0/\0<x/>"s) +
                       test::jpeg_segment(0xE1, "http://ns.adobe.com/xmp/extension/\0more"s) +
                       test::jpeg_segment(0xE1, "something else") +
                       test::jpeg_segment(0xED, "Photoshop 3.0\0"s
                                                "8BIM") +
                       test::jpeg_segment(0xEB, "JP\0\1jumb"s) + test::jpeg_segment(0xFE, "caf\xE9") +
                       test::jpeg_segment(0xFE, "") + test::jpeg_segment(0xDA, "scan") +
                       test::jpeg_segment(0xFE, "late");
    std::vector<Carrier> expected = {
        {"jpeg:exif", "", "Exif\0\0II*\0"s, "base64"},
        {"jpeg:xmp", "", "http://ns.adobe.com/xap/1.0/\0<x/>"s, "utf-8"},
        {"jpeg:xmp", "", "http://ns.adobe.com/xmp/extension/\0more"s, "utf-8"},
        {"jpeg:iptc", "",
         "Photoshop 3.0\0"s
         "8BIM",
         "base64"},
        {"jpeg:c2pa", "", "JP\0\1jumb"s, "base64"},
        {"jpeg:com", "", "caf\xE9", "latin-1"},
        {"jpeg:com", "", "", "utf-8"},
    };
    EXPECT_EQ(expected, carriers(jpeg));

    std::string pixels = test::riff_chunk("VP8L", "\x2F\0\0\0\0odd"s);
    std::string webp = test::webp(pixels + test::riff_chunk("EXIF", "II*") + test::riff_chunk("XMP ", "<x/>") +
                                  test::riff_chunk("C2PA", "jumb"));
    std::vector<Carrier> from_webp = {
        {"webp:exif", "", "II*", "base64"}, {"webp:xmp", "", "<x/>", "utf-8"}, {"webp:c2pa", "", "jumb", "base64"}};
    EXPECT_EQ(from_webp, carriers(webp));
    EXPECT_EQ(from_webp, carriers(webp + test::riff_chunk("XMP ", "behind the end")));
}

TEST(Carriers, StopWhenTheCallerHasEnough)
{
    std::string png = test::with_chunks(plain(), text_chunk("a", "1") + text_chunk("b", "2") + text_chunk("c", "3"));
    int calls = 0;
    ASSERT_GOOD(raiiaf_carrier_each(
        png.data(), png.size(), nullptr,
        [](void *user, const raiiaf_carrier *) { return ++*static_cast<int *>(user) < 2; }, &calls, &error));
    EXPECT_EQ(2, calls);
}

TEST(Carriers, OfWhatIsNoImageAreNone)
{
    for (const std::string &bytes :
         {""s, "GIF89a"s, "BM"s, std::string(100, '\0'), "\x89PNG\r\n\x1a\n"s, "\xFF\xD8\xFF"s})
        EXPECT_TRUE(carriers(bytes).empty());
}

TEST(Carriers, DamagedTextIsLeftOutAndDamagedStructureEndsTheWalk)
{
    std::string cut = ztxt_chunk("cut", std::string(1000, 'x') + "tail");
    cut = png_chunk("zTXt", cut.substr(8, cut.size() - 12 - 10));
    std::string bad = png_chunk("zTXt", "k\0\0not deflated"s) + png_chunk("zTXt", "method\0\1"s + test::deflated("x")) +
                      cut + png_chunk("iTXt", "short\0\0"s) + png_chunk("iTXt", "no language\0\0\0"s) +
                      png_chunk("iTXt", "method\0\1\1\0\0"s + test::deflated("x")) + png_chunk("zTXt", "nothing");
    std::string wrong_crc = text_chunk("crc", "still the user's");
    wrong_crc.back() ^= 1;
    std::vector<Carrier> expected = {{"png:tEXt", "crc", "still the user's", "utf-8"},
                                     {"png:tEXt", "z", "last", "utf-8"}};
    EXPECT_EQ(expected, carriers(test::with_chunks(plain(), bad + wrong_crc + text_chunk("z", "last"))));

    for (uint32_t length : {0xFFFFFFF0u, 0x7FFFFFFFu, 0x10000000u}) {
        std::string lie = text_chunk("lie", "x").replace(0, 4, test::be32(length));
        std::vector<Carrier> found =
            carriers(test::with_chunks(plain(), text_chunk("a", "1") + lie + text_chunk("b", "2")));
        EXPECT_EQ((std::vector<Carrier>{{"png:tEXt", "a", "1", "utf-8"}}), found) << length;
    }
}

TEST(Carriers, OfACutFileAreTheFirstOfTheWhole)
{
    std::string png = test::with_chunks(plain(), text_chunk("a", "1") + ztxt_chunk("b", "2") + itxt_chunk("c", "3"));
    std::string jpeg = "\xFF\xD8" + test::jpeg_segment(0xE1, "Exif\0\0II"s) + test::jpeg_segment(0xFE, "x");
    std::string webp = test::webp(test::riff_chunk("EXIF", "II*") + test::riff_chunk("XMP ", "<x/>"));
    for (const std::string &image : {png, jpeg, webp}) {
        std::vector<Carrier> whole = carriers(image);
        ASSERT_LE(2u, whole.size());
        size_t most = 0;
        for (size_t size = 0; size <= image.size(); size++) {
            std::vector<Carrier> found = carriers(std::string_view(image).substr(0, size));
            ASSERT_LE(found.size(), whole.size());
            EXPECT_TRUE(std::equal(found.begin(), found.end(), whole.begin())) << size;
            EXPECT_LE(most, found.size()) << size;
            most = found.size();
        }
        EXPECT_EQ(whole.size(), most);
    }
}

TEST(Carriers, BombsAreBoundedAndReported)
{
    raiiaf_limits limits;
    raiiaf_limits_default(&limits);
    limits.manifest_size = 100000;
    std::string bomb = ztxt_chunk("bomb", std::string(1000000, '\0'));
    ASSERT_LT(bomb.size(), 2000u);
    std::string png = test::with_chunks(plain(), text_chunk("a", "1") + bomb + text_chunk("b", "2") + bomb);
    std::vector<Carrier> found, expected = {{"png:tEXt", "a", "1", "utf-8"}, {"png:tEXt", "b", "2", "utf-8"}};
    EXPECT_BAD(RAIIAF_ERROR_LIMIT, collect(png, &found, &limits, &error));
    EXPECT_EQ(expected, found);

    // Many that fit by themselves are bounded together.
    std::string many;
    for (int i = 0; i < 5; i++)
        many += ztxt_chunk(std::to_string(i), std::string(30000, 'x'));
    found.clear();
    EXPECT_BAD(RAIIAF_ERROR_LIMIT, collect(test::with_chunks(plain(), many), &found, &limits, &error));
    EXPECT_EQ(3u, found.size());

    limits.manifest_size = 1000000;
    found.clear();
    EXPECT_GOOD(collect(test::with_chunks(plain(), bomb), &found, &limits, &error));
    limits.manifest_size = 0; // no limit
    EXPECT_GOOD(collect(png, &found, &limits, &error));
}

TEST(Carriers, SurviveDamage)
{
    std::string whole = test::with_chunks(plain(), text_chunk("a", "1") + ztxt_chunk("b", std::string(50, '2')) +
                                                       itxt_chunk("c", "3", true) + itxt_chunk("d", "4"));
    std::string jpeg = "\xFF\xD8" + test::jpeg_segment(0xE1, "Exif\0\0II"s) + test::jpeg_segment(0xFE, "x") +
                       test::jpeg_segment(0xED, "Photoshop 3.0\0"s);
    std::string webp = test::webp(test::riff_chunk("EXIF", "II*") + test::riff_chunk("XMP ", "<x/>"));
    Noise noise(4);
    std::vector<Carrier> found;
    for (int round = 0; round < 20000; round++) {
        std::string bytes = round % 3 == 0 ? whole : round % 3 == 1 ? jpeg : webp;
        for (size_t hits = 1 + noise.below(5); hits--;)
            bytes[noise.below(bytes.size())] = static_cast<char>(noise.byte());
        bytes.resize(noise.below(4) ? bytes.size() : noise.below(bytes.size()));
        found.clear();
        collect(bytes, &found);
        for (const Carrier &carrier : found)
            EXPECT_TRUE(carrier.encoding == "utf-8" || carrier.encoding == "latin-1" || carrier.encoding == "base64");
    }
}

// ---- keeping ----

std::string from_base64(const std::string &text)
{
    static const std::string digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string out;
    uint32_t bits = 0;
    int have = 0;
    for (char c : text) {
        if (c == '=')
            break;
        bits = bits << 6 | static_cast<uint32_t>(digits.find(c));
        if ((have += 6) >= 8)
            out += static_cast<char>(bits >> (have -= 8));
    }
    return out;
}

std::string to_latin1(const std::string &utf8)
{
    std::string out;
    for (size_t i = 0; i < utf8.size(); i++) {
        unsigned char c = static_cast<unsigned char>(utf8[i]);
        out += c < 0x80 ? utf8[i] : static_cast<char>(c << 6 | (utf8[++i] & 0x3F));
    }
    return out;
}

// The carriers that a manifest holds, their bytes got back from the text.
std::vector<Carrier> kept(const raiiaf_file *file)
{
    std::vector<Carrier> out;
    std::string text = test::get(file, "/source/carriers");
    if (text == "(none)")
        return out;
    Json list = Json::parse(text);
    for (size_t i = 0; i < list.size(); i++) {
        Json entry = list[i];
        std::string encoding = entry["encoding"].text(), bytes = entry["text"].text();
        if (encoding == "base64")
            bytes = from_base64(bytes);
        if (encoding == "latin-1")
            bytes = to_latin1(bytes);
        if (entry.has("text")) {
            EXPECT_EQ(entry["bytes"].number(), bytes.size()) << i;
            EXPECT_EQ(entry["sha256"].text(), test::sha256(bytes)) << i;
        }
        out.push_back({entry["kind"].text(), entry["keyword"].text(), bytes, encoding});
    }
    return out;
}

class Kept : public testing::Test
{
  protected:
    void SetUp() override
    {
        make({});
    }
    void make(const raiiaf_open_options &options)
    {
        file.close();
        ASSERT_GOOD(raiiaf_new(&file, &options, &error));
    }
    void set(const std::string &image)
    {
        ASSERT_GOOD(raiiaf_image_set(file, image.data(), image.size(), nullptr, &error));
        std::string saved = test::save_bytes(file); // which a manifest that isn't JSON would not survive
        File again;
        ASSERT_GOOD(test::open_bytes(again, saved, &error));
        EXPECT_EQ(kept(file), kept(again));
    }
    File file;
    std::string other = Picture(8, 8, {PNG_COLOR_TYPE_RGB, 8, false, false}, 99).png();
};

TEST_F(Kept, EveryTextSurvivesItsImageToTheByte)
{
    for (const auto &story : samples()) {
        if (Json(story)["raw"].null()) // a bomb
            continue;
        std::string image = test::slurp(image_of(story));
        std::vector<Carrier> before = carriers(image);
        make({});
        set(image);
        EXPECT_TRUE(kept(file).empty()) << story; // the image itself carries it
        set(other);
        std::vector<Carrier> after = kept(file);
        for (const Carrier &carrier : before)
            EXPECT_EQ(1, std::count(after.begin(), after.end(), carrier)) << story << " " << carrier;
        EXPECT_EQ(before.size(), after.size()) << story;
    }
}

TEST_F(Kept, OnlyWhatTheNewImageDoesNotCarry)
{
    // The same bytes in whatever chunk or file format
    std::string exif = "II*\0\x08\0\0\0"s, xmp = "<x:xmpmeta/>";
    set(test::with_chunks(plain(), text_chunk("parameters", "caf\xE9") + text_chunk("Comment", "gone") +
                                       png_chunk("eXIf", exif) + itxt_chunk("XML:com.adobe.xmp", xmp) +
                                       text_chunk("date:modify", "2020")));
    set(test::with_chunks(other, itxt_chunk("parameters", "caf\xC3\xA9", true) + png_chunk("eXIf", exif) +
                                     itxt_chunk("XML:com.adobe.xmp", xmp) + text_chunk("date:modify", "2026")));
    EXPECT_EQ((std::vector<Carrier>{{"png:tEXt", "parameters", "caf\xE9", "latin-1"},
                                    {"png:tEXt", "Comment", "gone", "utf-8"}}),
              kept(file));

    make({});
    set(test::with_chunks(plain(), png_chunk("eXIf", exif) + itxt_chunk("XML:com.adobe.xmp", xmp) +
                                       text_chunk("parameters", "a cat")));
    set("\xFF\xD8" + test::jpeg_segment(0xE1, "Exif\0\0"s + exif) +
        test::jpeg_segment(0xE1, "http://ns.adobe.com/xap/1.0/\0"s + xmp) + test::jpeg_segment(0xFE, "a cat"));
    EXPECT_EQ((std::vector<Carrier>{{"png:eXIf", "", exif, "base64"}, // a JPEG's begin otherwise
                                    {"png:iTXt", "XML:com.adobe.xmp", xmp, "utf-8"},
                                    {"png:tEXt", "parameters", "a cat", "utf-8"}}), // a comment is none
              kept(file));
    make({});
    set(test::webp(test::riff_chunk("EXIF", exif) + test::riff_chunk("XMP ", xmp)));
    set(test::with_chunks(plain(), png_chunk("eXIf", exif) + itxt_chunk("XML:com.adobe.xmp", xmp)));
    EXPECT_TRUE(kept(file).empty());
}

TEST_F(Kept, OnceHoweverOftenTheImageChanges)
{
    std::string with_text = test::with_chunks(plain(), text_chunk("parameters", "a cat"));
    for (uint32_t round = 1; round < 4; round++) {
        set(with_text);
        set(Picture(8, 8, {PNG_COLOR_TYPE_RGB, 8, false, false}, 100 + round).png());
    }
    EXPECT_EQ((std::vector<Carrier>{{"png:tEXt", "parameters", "a cat", "utf-8"}}), kept(file));
    set(test::with_chunks(plain(), text_chunk("parameters", "a dog")));
    set(other);
    EXPECT_EQ((std::vector<Carrier>{{"png:tEXt", "parameters", "a cat", "utf-8"},
                                    {"png:tEXt", "parameters", "a dog", "utf-8"}}),
              kept(file));
}

TEST_F(Kept, EntriesThatLackTheirTextGetIt)
{
    std::string text = "a cat",
                listed = R"({"dialect": "a1111", "carriers": [ {"kind": "sidecar", "keyword": "", "x": -0},
        {"kind": "png:tEXt", "keyword": "parameters", "bytes": 5, "sha256": ")" +
                         test::sha256(text) + R"(", "mine": 1e400}, 7 ], "tool": "x"})";
    ASSERT_GOOD(raiiaf_set(file, "/source", listed.data(), listed.size(), &error));
    set(test::with_chunks(plain(), text_chunk("parameters", text) + text_chunk("Comment", "new")));
    set(other);
    EXPECT_EQ("\"a cat\"", test::get(file, "/source/carriers/1/text"));
    EXPECT_EQ("\"utf-8\"", test::get(file, "/source/carriers/1/encoding"));
    EXPECT_EQ("1e400", test::get(file, "/source/carriers/1/mine"));
    EXPECT_EQ("-0", test::get(file, "/source/carriers/0/x"));
    EXPECT_EQ("7", test::get(file, "/source/carriers/2"));
    EXPECT_EQ("\"new\"", test::get(file, "/source/carriers/3/text"));
    EXPECT_EQ("(none)", test::get(file, "/source/carriers/4"));
    EXPECT_EQ("\"a1111\"", test::get(file, "/source/dialect"));
    EXPECT_EQ("\"x\"", test::get(file, "/source/tool"));
}

TEST_F(Kept, ACapsuleInThePngIsNotText)
{
    set(test::with_chunks(plain(), ztxt_chunk("Raw profile type raiiaf", "\nraiiaf\n 4\n00000000") +
                                       ztxt_chunk("Raw profile type exif", "\nexif\n 4\n00000000")));
    set(other);
    ASSERT_EQ(1u, kept(file).size());
    EXPECT_EQ("Raw profile type exif", kept(file)[0].keyword);
}

class Warned : public Kept
{
  protected:
    void SetUp() override
    {
        raiiaf_limits_default(&limits);
        options.limits = &limits;
        options.warning_user = &warnings;
        options.warning = [](void *user, const raiiaf_error *warning) {
            static_cast<std::vector<std::string> *>(user)->push_back(warning->id);
        };
    }
    raiiaf_limits limits;
    raiiaf_open_options options{};
    std::vector<std::string> warnings;
};

TEST_F(Warned, WhatTheManifestCannotTakeIsNamed)
{
    limits.manifest_size = 20000;
    make(options);
    set(test::with_chunks(plain(), text_chunk("small", "fits") + text_chunk("large", std::string(30000, 'x')) +
                                       text_chunk("tail", "fits too")));
    set(other);
    EXPECT_EQ(std::vector<std::string>{"text-too-large"}, warnings);
    std::vector<Carrier> all = kept(file);
    ASSERT_EQ(3u, all.size()); // the large one as a record without its text
    EXPECT_EQ("fits", all[0].bytes);
    EXPECT_EQ("large", all[1].keyword);
    EXPECT_EQ("(none)", test::get(file, "/source/carriers/1/text"));
    EXPECT_EQ("30000", test::get(file, "/source/carriers/1/bytes"));
    EXPECT_EQ("fits too", all[2].bytes);
}

TEST_F(Warned, ABombCostsOnlyItself)
{
    limits.manifest_size = 50000;
    make(options);
    set(test::with_chunks(plain(), ztxt_chunk("bomb", std::string(1000000, '\0')) + text_chunk("a", "1")));
    set(other);
    EXPECT_EQ(std::vector<std::string>{"text-too-large"}, warnings);
    EXPECT_EQ((std::vector<Carrier>{{"png:tEXt", "a", "1", "utf-8"}}), kept(file));
}

TEST_F(Warned, SomebodyElsesSourceStays)
{
    for (const char *json : {"\"the web\"", "{\"carriers\": \"none\"}"}) {
        make(options);
        warnings.clear();
        ASSERT_GOOD(rf_put(file, "/source", json, strlen(json), &error)); // as a file may come, though not by our hand
        std::string before = test::get(file, "/source");
        set(test::with_chunks(plain(), text_chunk("a", "1")));
        set(other);
        EXPECT_EQ(std::vector<std::string>{"source-form"}, warnings);
        EXPECT_EQ(before, test::get(file, "/source"));
    }
}

TEST_F(Kept, ManyTextsTakeNoTimeToSpeakOf)
{
    std::string many;
    for (int i = 0; i < 40000; i++)
        many += text_chunk("k", std::to_string(i));
    set(test::with_chunks(plain(), many));
    ASSERT_GOOD(raiiaf_image_set(file, other.data(), other.size(), nullptr, &error));
    EXPECT_EQ("\"39999\"", test::get(file, "/source/carriers/39999/text"));
}

} // namespace
