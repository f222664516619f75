// SPDX-License-Identifier: MIT
//
// test_json.cc - the span scanner: what it takes and refuses, what it finds, and that a splice changes nothing else.
#include "support.h"

#include "json.h"

#include <algorithm>
#include <functional>
#include <map>
#include <random>
#include <set>

namespace
{

// A text in memory of its own size, so that a read beyond it is found out.
struct Text {
    explicit Text(std::string_view text) : size(text.size()), data(new char[size ? size : 1])
    {
        std::copy(text.begin(), text.end(), data.get());
    }
    size_t size;
    std::unique_ptr<char[]> data;
};

bool check(std::string_view text, size_t *position = nullptr)
{
    Text copy(text);
    return rf_json_check(copy.data.get(), copy.size, position);
}

// A text that edits change.
struct Edited : rf_bytes {
    explicit Edited(std::string_view text) : rf_bytes()
    {
        rf_bytes_append(this, text.data(), text.size());
    }
    ~Edited()
    {
        rf_bytes_free(this);
    }
    Edited(const Edited &) = delete;
    Edited &operator=(const Edited &) = delete;
    std::string text() const
    {
        return {data, size};
    }
    rf_span root() const
    {
        return rf_json_root(data, size);
    }
    // The value at names on the way from the root; "#3" is an element.
    rf_span at(const std::vector<std::string> &way) const
    {
        rf_span span = root();
        for (const std::string &step : way) {
            rf_span inner{};
            bool found = step[0] == '#' ? rf_json_element(data, span, std::stoul(step.substr(1)), &inner)
                                        : rf_json_member(data, span, step.c_str(), &inner);
            EXPECT_TRUE(found) << step << " in " << text();
            span = inner;
        }
        return span;
    }
};

std::string spelt(std::string_view text, rf_span span)
{
    return std::string(text.substr(span.start, span.end - span.start));
}

std::string decoded(std::string_view string)
{
    rf_bytes out{};
    rf_json_decode(string.data(), {0, string.size()}, &out);
    std::string text(out.data, out.size);
    rf_bytes_free(&out);
    return text;
}

std::string nested(size_t arrays, const std::string &inner = "")
{
    return std::string(arrays, '[') + inner + std::string(arrays, ']');
}

// ---- what is JSON ----

TEST(JsonCheck, TakesWhatPythonWrites)
{
    for (const char *text : {"{}",
                             "[]",
                             "0",
                             "-0",
                             "-0.0",
                             "1",
                             "12345678901234567890123456789",
                             "7.0",
                             "1e-05",
                             "1E+400",
                             "-1.5e308",
                             "NaN",
                             "Infinity",
                             "-Infinity",
                             "true",
                             "false",
                             "null",
                             "\"\"",
                             "\"a\"",
                             "\"\\ud800\"",
                             "\"\\udc00\\ud800\"",
                             "\"\\u0000\"",
                             "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\uABCD\\uabcd\"",
                             "\"\x7f\"",
                             "\"\xC2\x80\"",
                             "\"\xEF\xBF\xBF\"",
                             "\"\xED\x9F\xBF\"",
                             "\"\xEE\x80\x80\"",
                             "\"\xF4\x8F\xBF\xBF\"",
                             "\"\xF0\x90\x80\x80\"",
                             " \t\r\n{ \"a\" : [ 1 , { } , [ ] ] , \"a\" : null } \n",
                             "[NaN,Infinity,-Infinity]",
                             "{\"\": {\"\": [\"\", \"\"]}}"})
        EXPECT_TRUE(check(text)) << text;
}

TEST(JsonCheck, RefusesTheRest)
{
    for (const char *text : {"",
                             " ",
                             "{",
                             "}",
                             "[",
                             "]",
                             "[1,]",
                             "[,1]",
                             "[1 2]",
                             "[,]",
                             "{,}",
                             "{\"a\"}",
                             "{\"a\":}",
                             "{\"a\":1,}",
                             "{\"a\":1 \"b\":2}",
                             "{a:1}",
                             "{'a':1}",
                             "{1:1}",
                             "[}",
                             "{]",
                             "[1}",
                             "{\"a\":1]",
                             "1 2",
                             "{} {}",
                             "{}x",
                             "01",
                             "-",
                             "-01",
                             "+1",
                             ".5",
                             "5.",
                             "1.e1",
                             "1e",
                             "1e+",
                             "0x10",
                             "1_000",
                             "--1",
                             "nan",
                             "NAN",
                             "inf",
                             "-inf",
                             "-NaN",
                             "+Infinity",
                             "Infinit",
                             "-Infinit",
                             "NaNs",
                             "True",
                             "tru",
                             "truex",
                             "nul",
                             "None",
                             "\"",
                             "\"a",
                             "\"\\\"",
                             "\"\\",
                             "\"\\x41\"",
                             "\"\\u\"",
                             "\"\\u12\"",
                             "\"\\u123g\"",
                             "\"\\'\"",
                             "\"\\U0041\"",
                             "'a'",
                             "\"a\nb\"",
                             "\"\t\"",
                             "\"\x1f\"",
                             "\"\x80\"",
                             "\"\xC0\x80\"",
                             "\"\xC1\xBF\"",
                             "\"\xC2\"",
                             "\"\xE0\x80\x80\"",
                             "\"\xE2\x82\"",
                             "\"\xED\xA0\x80\"",
                             "\"\xED\xBF\xBF\"",
                             "\"\xF0\x80\x80\x80\"",
                             "\"\xF4\x90\x80\x80\"",
                             "\"\xF5\x80\x80\x80\"",
                             "\"\xFF\"",
                             "\xEF\xBB\xBF{}",
                             "{}\xEF\xBB\xBF",
                             "\xC2\xA0{}",
                             "/**/{}",
                             "{}//",
                             "#",
                             "{\"a\":1}\f",
                             "\v1",
                             "[1]\x0b"})
        EXPECT_FALSE(check(text)) << text;
    EXPECT_FALSE(check(std::string_view("{}\0", 3)));
    EXPECT_FALSE(check(std::string_view("\0{}", 3)));
    EXPECT_FALSE(check(std::string_view("\"a\0b\"", 5)));
    EXPECT_FALSE(check(std::string_view("\"\\\0\"", 4)));
    EXPECT_FALSE(check(std::string_view("[1,\0]", 5)));
}

TEST(JsonCheck, SaysWhere)
{
    size_t position = 99;
    EXPECT_FALSE(check("{\"a\": 1, \"b\": x}", &position));
    EXPECT_EQ(14u, position);
    EXPECT_FALSE(check("[1, 2", &position));
    EXPECT_EQ(5u, position);
    EXPECT_FALSE(check("", &position));
    EXPECT_EQ(0u, position);
    EXPECT_FALSE(check("{} x", &position));
    EXPECT_EQ(3u, position);
}

TEST(JsonCheck, BoundsTheDepth)
{
    EXPECT_TRUE(check(nested(256)));
    EXPECT_FALSE(check(nested(257)));
    EXPECT_TRUE(check(nested(255, "1")));
    EXPECT_FALSE(check(nested(256, "1")));
    EXPECT_FALSE(check(nested(5000)));
    EXPECT_FALSE(check(nested(200000)));
    std::string objects;
    for (int i = 0; i < 255; i++)
        objects += "{\"a\":";
    EXPECT_TRUE(check(objects + "{}" + std::string(255, '}')));
    EXPECT_FALSE(check(objects + "{\"a\":1}" + std::string(255, '}')));
    EXPECT_FALSE(check(std::string(10000000, '[')));
    for (size_t depth : {1, 2, 100, 256}) {
        std::string text = nested(depth);
        EXPECT_EQ(depth, rf_json_depth(text.data(), {0, text.size()}));
        EXPECT_EQ(depth + 1, rf_json_depth(nested(depth, "[\"]\", 3]").data(), {0, 2 * depth + 8}) - 1);
    }
    EXPECT_EQ(1u, rf_json_depth("7", {0, 1}));
    EXPECT_EQ(3u, rf_json_depth("{\"{[\":[\"[[[\"]}", {0, 15}));
}

TEST(JsonCheck, EachTruncationIsRefused)
{
    const std::string text =
        "{\"a\": [1, -2.5e+3, NaN, -Infinity, true, null], \"\\u00e9\xC3\xA9\": {\"b\": \"x\\\\\"}}";
    ASSERT_TRUE(check(text));
    for (size_t size = 0; size < text.size(); size++)
        EXPECT_FALSE(check(text.substr(0, size))) << size;
}

TEST(JsonCheck, LongTextsTakeNoLongerThanTheyMust)
{
    const size_t size = 8 << 20;
    EXPECT_FALSE(check(std::string(size, ' ')));
    EXPECT_TRUE(check("[" + std::string(size, ' ') + "]"));
    EXPECT_TRUE(check("\"" + std::string(size, '\\') + "\""));
    EXPECT_TRUE(check("\"" + std::string(size, 'x') + "\""));
    EXPECT_TRUE(check(std::string(size, '9')));
    EXPECT_FALSE(check(std::string(size, '"')));
    std::string quotes = "\"";
    for (size_t i = 0; i < size; i += 2)
        quotes += "\\\"";
    quotes += "\"";
    EXPECT_TRUE(check(quotes));
    // Skipping is what the walk does: a string of escaped quotes is the worst that it can meet.
    std::string object = "{\"a\": " + quotes + ", \"b\": 1}";
    rf_span value{};
    ASSERT_TRUE(rf_json_member(object.data(), {0, object.size()}, "b", &value));
    EXPECT_EQ("1", spelt(object, value));
}

class JsonGolden : public testing::TestWithParam<std::string>
{
};
INSTANTIATE_TEST_SUITE_P(All, JsonGolden, testing::ValuesIn(test::stories("golden")), test::story_name);

TEST_P(JsonGolden, StoryIsJson)
{
    std::string text = test::slurp(test::data_folder() / "golden" / (GetParam() + ".json"));
    ASSERT_TRUE(check(text));
    size_t last = text.find_last_not_of(" \n");
    for (size_t size : {last, last - 1, last / 2, last / 3})
        EXPECT_FALSE(check(text.substr(0, size)));
    rf_span file{};
    ASSERT_TRUE(rf_json_member(text.data(), rf_json_root(text.data(), text.size()), "file", &file));
    EXPECT_EQ(test::Json::parse(text)["file"].text(), decoded(spelt(text, file)));
}

// ---- finding ----

TEST(JsonFind, NamesCompareDecodedAndTheLastWins)
{
    const std::string text = R"({"a": 1, "\u0061": 2, "b\u0000c": 3, "b": 4, "\ud83d\ude00": 5, "": 6, "A": 7})";
    rf_span root = rf_json_root(text.data(), text.size()), value{};
    auto find = [&](const char *name) {
        return rf_json_member(text.data(), root, name, &value) ? spelt(text, value) : "(none)";
    };
    EXPECT_EQ("2", find("a"));
    EXPECT_EQ("4", find("b"));
    EXPECT_EQ("5", find("\xF0\x9F\x98\x80"));
    EXPECT_EQ("6", find(""));
    EXPECT_EQ("7", find("A"));
    EXPECT_EQ("(none)", find("aa"));
    EXPECT_EQ("(none)", find("c"));
    const std::string scalar = "\"{}\"";
    EXPECT_FALSE(rf_json_member(scalar.data(), {0, scalar.size()}, "", &value));
    EXPECT_FALSE(rf_json_element(scalar.data(), {0, scalar.size()}, 0, &value));
    EXPECT_FALSE(rf_json_element(text.data(), root, 0, &value));
}

TEST(JsonFind, Decodes)
{
    EXPECT_EQ("\"\\/\b\f\n\r\t", decoded(R"("\"\\\/\b\f\n\r\t")"));
    EXPECT_EQ("A\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80", decoded(R"("\u0041\u00e9\u20AC\ud83d\uDE00")"));
    EXPECT_EQ(std::string("a\0b", 3), decoded(R"("a\u0000b")"));
    const std::string lone = "\xEF\xBF\xBD";
    EXPECT_EQ(lone, decoded(R"("\ud800")"));
    EXPECT_EQ(lone, decoded(R"("\udc00")"));
    EXPECT_EQ(lone + "x", decoded(R"("\ud800x")"));
    EXPECT_EQ(lone + lone, decoded(R"("\ud800\ud800")"));
    EXPECT_EQ(lone + "\n", decoded(R"("\ud800\n")"));
    EXPECT_EQ(lone + "A", decoded(R"("\udbff\u0041")"));
    EXPECT_EQ(lone + "\xF0\x90\x80\x80", decoded(R"("\ud800\ud800\udc00")"));
    EXPECT_EQ("", decoded("\"\""));
}

TEST(JsonFind, Integers)
{
    auto read = [](std::string_view text) {
        uint64_t number = 0;
        return rf_json_uint64(text.data(), {0, text.size()}, &number) ? std::to_string(number) : "no";
    };
    EXPECT_EQ("0", read("0"));
    EXPECT_EQ("0", read("-0"));
    EXPECT_EQ("18446744073709551615", read("18446744073709551615"));
    for (const char *text : {"18446744073709551616", "99999999999999999999999", "-1", "1.0", "1e2", "-0.0", "true",
                             "null", "NaN", "-Infinity", "\"1\"", "[1]", "-"})
        EXPECT_EQ("no", read(text)) << text;
}

TEST(JsonFind, PrefixesForDottedNames)
{
    const std::string name = R"("a\u002eb")";
    EXPECT_EQ(3u, rf_json_string_prefix(name.data(), {0, name.size()}, "a.b.c"));
    EXPECT_EQ(3u, rf_json_string_prefix(name.data(), {0, name.size()}, "a.b"));
    EXPECT_EQ(SIZE_MAX, rf_json_string_prefix(name.data(), {0, name.size()}, "a."));
    EXPECT_EQ(0u, rf_json_string_prefix("\"\"", {0, 2}, "x"));
}

TEST(JsonFind, ManyNames)
{
    std::string text = "{";
    const int count = 100000;
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < count; i++)
            text += "\"n" + std::to_string(i) + (round ? "\":1," : "\":0,");
    text += "\"\\u006e0\": 2}";
    rf_json_names names;
    ASSERT_TRUE(rf_json_names_begin(&names, text.data(), {0, text.size()}));
    rf_json_walk walk = rf_json_begin(text.data(), {0, text.size()});
    int last = 0, index = 0;
    for (; rf_json_next(&walk); index++) {
        bool expected = index > count;
        ASSERT_EQ(expected, rf_json_names_last(&names, &walk)) << index;
        last += expected;
    }
    EXPECT_EQ(count, last);
    EXPECT_EQ(2 * count + 1, index);
    rf_json_names_end(&names);
}

TEST(JsonFind, NamesHashDecoded)
{
    for (size_t length : {1, 9, 63, 64, 65, 200}) {
        std::string plain(length, 'a'), escaped, other(length, 'b');
        for (size_t i = 0; i < length; i++)
            escaped += i % 3 ? "a" : "\\u0061";
        std::string text = "{\"" + plain + "\": 1, \"" + other + "\": 2, \"" + escaped + "\": 3}";
        rf_json_names names;
        ASSERT_TRUE(rf_json_names_begin(&names, text.data(), {0, text.size()}));
        std::string last;
        for (rf_json_walk walk = rf_json_begin(text.data(), {0, text.size()}); rf_json_next(&walk);)
            if (rf_json_names_last(&names, &walk))
                last += spelt(text, walk.value);
        EXPECT_EQ("23", last) << length;
        rf_json_names_end(&names);
    }
}

// ---- style ----

struct Style {
    const char *before, *put, *after;
};

TEST(JsonStyle, PutFollowsTheNeighbours)
{
    const Style cases[] = {
        {"{}", "", R"({"n": 1})"},
        {"{ \n }", "", R"({"n": 1})"},
        {R"({"a": 0})", "", R"({"a": 0, "n": 1})"},
        {R"({"a":0})", "", R"({"a":0,"n":1})"},
        {R"({ "a" : 0 })", "", R"({ "a" : 0, "n": 1 })"},
        {"{\n  \"a\": 0\n}", "", "{\n  \"a\": 0,\n  \"n\": 1\n}"},
        {"{\r\n\t\"a\": 0\r\n}", "", "{\r\n\t\"a\": 0,\r\n\t\"n\": 1\r\n}"},
        {"{\n\"a\":0\n}", "", "{\n\"a\":0,\n\"n\":1\n}"},
        {"{\"b\":2,\n \"a\":0}", "", "{\"b\":2,\n \"a\":0,\n \"n\":1}"},
        {R"({"a": 0, "n": 7, "b": 2})", "", R"({"a": 0, "n": 1, "b": 2})"},
        {R"({"n": 7, "n" : 8})", "", R"({"n": 7, "n" : 1})"},
        {R"({"\u006e":7})", "", R"({"\u006e":1})"},
        {"{\n  \"o\": {}\n}", "o", "{\n  \"o\": {\n    \"n\": 1\n  }\n}"},
        {"{\n  \"o\": {\n    \"p\": {}\n  }\n}", "o p", "{\n  \"o\": {\n    \"p\": {\n      \"n\": 1\n    }\n  }\n}"},
        {R"({"o": {}, "b": 1})", "o", R"({"o": {"n": 1}, "b": 1})"},
        {R"({"o":{}})", "o", R"({"o":{"n":1}})"},
        {"{\n  \"o\": [1, {}]\n}", "o #1", "{\n  \"o\": [1, {\"n\": 1}]\n}"},
        {"[\n {}\n]", "#0", "[\n {\n  \"n\": 1\n }\n]"},
        {"[{\"a\":[{}]}]", "#0 a #0", "[{\"a\":[{\"n\":1}]}]"},
    };
    for (const Style &style : cases) {
        Edited text(style.before);
        std::vector<std::string> way;
        std::istringstream steps(style.put);
        for (std::string step; steps >> step;)
            way.push_back(step);
        rf_json_put(&text, text.at(way), "n", "1", 1);
        EXPECT_EQ(style.after, text.text()) << style.before;
    }
}

TEST(JsonStyle, PushFollowsTheNeighbours)
{
    const Style cases[] = {
        {"[]", "", "[1]"},
        {"[0]", "", "[0, 1]"},
        {"[0,0]", "", "[0,0,1]"},
        {"[0, 0]", "", "[0, 0, 1]"},
        {"[\n  0\n]", "", "[\n  0,\n  1\n]"},
        {"{\"a\":[0]}", "a", "{\"a\":[0,1]}"},
        {"{\"a\": [0]}", "a", "{\"a\": [0, 1]}"},
        {"{\n  \"a\": []\n}", "a", "{\n  \"a\": [\n    1\n  ]\n}"},
        {"{\n  \"a\": [0]\n}", "a", "{\n  \"a\": [0, 1]\n}"},
    };
    for (const Style &style : cases) {
        Edited text(style.before);
        rf_json_push(&text, *style.put ? text.at({style.put}) : text.root(), "1", 1);
        EXPECT_EQ(style.after, text.text()) << style.before;
    }
}

TEST(JsonStyle, DropTakesTheCommaThatGoes)
{
    const Style cases[] = {
        {R"({"n": 1})", "", "{}"},
        {"{\n  \"n\": 1\n}", "", "{}"},
        {R"({"n": 1, "a": 0})", "", R"({"a": 0})"},
        {R"({"a": 0, "n": 1})", "", R"({"a": 0})"},
        {R"({"a": 0 ,  "n": 1 , "b": 2 })", "", R"({"a": 0 , "b": 2 })"},
        {R"({"n": 1, "a": 0, "\u006e": 2, "b": 3, "n": 4})", "", R"({"a": 0, "b": 3})"},
        {"{\n  \"n\": 1,\n  \"a\": 0\n}", "", "{\n  \"a\": 0\n}"},
        {"{\n  \"a\": 0,\n  \"n\": 1\n}", "", "{\n  \"a\": 0\n}"},
        {R"({"a": {"n": 1}})", "", R"({"a": {"n": 1}})"},
    };
    for (const Style &style : cases) {
        Edited text(style.before);
        rf_json_drop_member(&text, text.root(), "n");
        EXPECT_EQ(style.after, text.text()) << style.before;
    }
    Edited array("[ 1, [2] ,3 ]");
    rf_json_drop_element(&array, array.root(), 1);
    EXPECT_EQ("[ 1 ,3 ]", array.text());
    rf_json_drop_element(&array, array.root(), 5);
    EXPECT_EQ("[ 1 ,3 ]", array.text());
    rf_json_drop_element(&array, array.root(), 0);
    EXPECT_EQ("[ 3 ]", array.text());
    rf_json_drop_element(&array, array.root(), 0);
    EXPECT_EQ("[]", array.text());
}

TEST(JsonStyle, HugeIndentationIsNotCopied)
{
    std::string wide = "{\n" + std::string(100000, ' ') + "\"a\": 0}";
    Edited text(wide);
    for (int i = 0; i < 3; i++)
        rf_json_put(&text, text.root(), ("n" + std::to_string(i)).c_str(), "1", 1);
    EXPECT_LT(text.size, wide.size() + 100);
    EXPECT_TRUE(check(text.text()));
}

// ---- random documents ----

// A value with its spelling, white space included.
struct Node {
    std::string scalar;
    char open = 0;                  // '{' or '['
    std::vector<std::string> names; // as spelt
    std::vector<Node> children;
};

class Author
{
  public:
    Author(unsigned seed, bool tame_) : random(seed), tame(tame_)
    {
    }
    size_t below(size_t n)
    {
        return std::uniform_int_distribution<size_t>(0, n - 1)(random);
    }

    std::string space()
    {
        static const char *const spaces[] = {"", "", "", " ", "\n", "\n  ", "\t", " \r\n ", "        ", "          "};
        return spaces[below(std::size(spaces))];
    }
    std::string string()
    {
        static const char *const pieces[] = {"a", "b", "n", "\\u0061", "\\\"", "\\\\", "\\/", "\\n", "{", "}", "[", "]",
                                             ",", ":", "\xC3\xA9", "\xF0\x9F\x98\x80", "\\ud83d\\ude00", " ",
                                             "long text ",
                                             // json-c cuts names at the first and replaces the second
                                             "\\u0000", "\\ud800"};
        std::string text = "\"";
        for (size_t i = below(4); i > 0; i--)
            text += pieces[below(std::size(pieces) - (tame ? 2 : 0))];
        return text + "\"";
    }
    Node node(size_t depth)
    {
        static const char *const scalars[] = {
            "0",     "-1",    "17",       "1.5",       "-2.25e3",
            "true",  "false", "null",     "-0",        "7.0",
            "1e-05", "NaN",   "Infinity", "-Infinity", "123456789012345678901234567890"};
        Node made;
        size_t what = below(depth < 5 ? 4 : 2);
        if (what == 0)
            made.scalar = string();
        else if (what == 1)
            made.scalar = scalars[below(tame ? 8 : std::size(scalars))];
        else {
            made.open = what == 2 ? '{' : '[';
            std::set<std::string> used;
            for (size_t i = below(6); i > 0; i--) {
                std::string name = made.open == '{' ? string() : "";
                if (tame && made.open == '{' && !used.insert(decoded(name)).second)
                    continue;
                made.names.push_back(name);
                made.children.push_back(node(depth + 1));
            }
        }
        return made;
    }
    std::string render(const Node &node)
    {
        if (!node.open)
            return node.scalar;
        std::string text(1, node.open);
        text += space();
        for (size_t i = 0; i < node.children.size(); i++) {
            text += i ? "," + space() : "";
            if (node.open == '{')
                text += node.names[i] + space() + ":" + space();
            text += render(node.children[i]) + space();
        }
        return text + (node.open == '{' ? "}" : "]");
    }

  private:
    std::mt19937 random;
    bool tame;
};

// Names and values of a container as spelt.
std::vector<std::string> children(const Edited &text, rf_span span)
{
    std::vector<std::string> found;
    rf_json_walk walk = rf_json_begin(text.data, span);
    while (rf_json_next(&walk))
        found.push_back(spelt({text.data, text.size}, walk.name) + "=" + spelt({text.data, text.size}, walk.value));
    return found;
}

// Every container of a text, by where it starts, outermost first.
void containers(const Edited &text, rf_span span, std::vector<rf_span> &found)
{
    if (text.data[span.start] != '{' && text.data[span.start] != '[')
        return;
    found.push_back(span);
    rf_json_walk walk = rf_json_begin(text.data, span);
    while (rf_json_next(&walk))
        containers(text, walk.value, found);
}

std::string canonical(const std::string &text, rf_span span)
{
    if (text[span.start] == '"')
        return "'" + decoded(spelt(text, span)) + "'";
    if (text[span.start] != '{' && text[span.start] != '[') {
        std::string number = spelt(text, span);
        double value = 0;
        return rf_parse_double(number.data(), number.size(), &value) ? std::to_string(value) : number;
    }
    std::multiset<std::string> members;
    std::string all(1, text[span.start]);
    rf_json_walk walk = rf_json_begin(text.data(), span);
    while (rf_json_next(&walk))
        if (walk.object)
            members.insert(decoded(spelt(text, walk.name)) + "=" + canonical(text, walk.value));
        else
            all += canonical(text, walk.value) + ";";
    for (const std::string &member : members)
        all += member + ";";
    return all;
}

std::string canonical(json_object *value)
{
    switch (json_object_get_type(value)) {
    case json_type_null:
        return "null";
    case json_type_boolean:
        return json_object_get_boolean(value) ? "true" : "false";
    case json_type_int:
    case json_type_double:
        return std::to_string(json_object_get_double(value));
    case json_type_string:
        return "'" + std::string(json_object_get_string(value), json_object_get_string_len(value)) + "'";
    case json_type_array: {
        std::string all = "[";
        for (size_t i = 0; i < json_object_array_length(value); i++)
            all += canonical(json_object_array_get_idx(value, i)) + ";";
        return all;
    }
    default: {
        std::multiset<std::string> members;
        json_object_object_foreach(value, name, inner) members.insert(name + ("=" + canonical(inner)));
        std::string all = "{";
        for (const std::string &member : members)
            all += member + ";";
        return all;
    }
    }
}

// Being strict, json-c 0.18 takes bytes beyond ASCII for control characters where char is signed.
int json_c_flags(const std::string &text)
{
    bool ascii = std::all_of(text.begin(), text.end(), [](unsigned char c) { return c < 0x80; });
    return JSON_TOKENER_VALIDATE_UTF8 | (ascii || json_c_version_num() < 0x1100 ? JSON_TOKENER_STRICT : 0);
}

TEST(JsonRandom, AgreesWithJsonC)
{
    Author author(1, true);
    for (int round = 0; round < 2000; round++) {
        std::string text = author.space() + author.render(author.node(0)) + author.space();
        ASSERT_TRUE(check(text)) << text;
        json_tokener *tokener = json_tokener_new();
        json_tokener_set_flags(tokener, json_c_flags(text));
        // With its NUL, so that a bare number ends.
        json_object *parsed = json_tokener_parse_ex(tokener, text.c_str(), static_cast<int>(text.size()) + 1);
        ASSERT_EQ(json_tokener_success, json_tokener_get_error(tokener)) << text;
        EXPECT_EQ(canonical(parsed), canonical(text, rf_json_root(text.data(), text.size()))) << text;
        json_object_put(parsed);
        json_tokener_free(tokener);
    }
}

TEST(JsonRandom, NothingThatJsonCRefusesIsTaken)
{
    Author author(2, true);
    int taken = 0, refused = 0;
    for (int round = 0; round < 4000; round++) {
        std::string text = author.render(author.node(0));
        static const char noise[] = "{}[],:\"\\ 0129.eE+-tnfu\n\x01\x80\xC3";
        for (size_t i = 1 + author.below(2); i > 0 && !text.empty(); i--) {
            size_t at = author.below(text.size());
            char c = noise[author.below(sizeof noise - 1)];
            switch (author.below(3)) {
            case 0:
                text[at] = c;
                break;
            case 1:
                text.insert(at, 1, c);
                break;
            default:
                text.erase(at, 1);
            }
        }
        if (!check(text)) {
            refused++;
            continue;
        }
        taken++;
        json_tokener *tokener = json_tokener_new();
        json_tokener_set_flags(tokener, json_c_flags(text));
        json_object *parsed = json_tokener_parse_ex(tokener, text.c_str(), static_cast<int>(text.size()) + 1);
        EXPECT_EQ(json_tokener_success, json_tokener_get_error(tokener)) << text;
        json_object_put(parsed);
        json_tokener_free(tokener);
    }
    EXPECT_GT(taken, 500);
    EXPECT_GT(refused, 500);
}

TEST(JsonRandom, SplicesChangeNothingElse)
{
    Author author(3, false);
    int puts = 0, inserts = 0, drops = 0, pushes = 0;
    for (int round = 0; round < 3000; round++) {
        std::string source = author.render(author.node(0));
        ASSERT_TRUE(check(source)) << source;
        Edited text(source);
        std::vector<rf_span> all;
        containers(text, text.root(), all);
        if (all.empty())
            continue;
        rf_span span = all[author.below(all.size())];
        std::vector<std::string> before = children(text, span), after;
        bool object = text.data[span.start] == '{';
        std::string head = source.substr(0, span.start), tail = source.substr(span.end), name = "new~name";
        if (object && !before.empty() && author.below(2)) {
            std::string raw = before[author.below(before.size())];
            rf_json_walk walk = rf_json_begin(text.data, span);
            rf_json_next(&walk);
            for (size_t i = author.below(before.size()); i > 0; i--)
                rf_json_next(&walk);
            name = decoded(spelt(source, walk.name));
            if (name.find('\0') != std::string::npos)
                continue;
        }
        auto called = [&](const std::string &child) {
            rf_span string = {0, child.find("\"=") + 1};
            for (size_t quote = 0; (quote = child.find("\"=", quote)) != std::string::npos; quote++) {
                string.end = quote + 1;
                if (check(child.substr(0, string.end)))
                    break;
            }
            return rf_json_string_equals(child.data(), string, name.c_str());
        };
        size_t index = before.empty() ? 0 : author.below(before.size());
        if (!object && author.below(2)) {
            pushes++;
            rf_json_push(&text, span, "[\"pushed\"]", 10);
            after = before;
            after.push_back("=[\"pushed\"]");
        } else if (!object) {
            rf_json_drop_element(&text, span, index);
            after = before;
            if (!after.empty())
                after.erase(after.begin() + static_cast<long>(index));
        } else if (author.below(2)) {
            size_t last = before.size();
            for (size_t i = 0; i < before.size(); i++)
                if (called(before[i]))
                    last = i;
            rf_json_put(&text, span, name.c_str(), "{\"put\": 1}", 10);
            after = before;
            if (last < before.size()) {
                puts++;
                rf_json_walk walk = rf_json_begin(source.data(), span);
                for (size_t i = 0; i <= last; i++)
                    rf_json_next(&walk);
                EXPECT_EQ(source.substr(0, walk.value.start) + "{\"put\": 1}" + source.substr(walk.value.end),
                          text.text());
                after[last] = spelt(source, walk.name) + "={\"put\": 1}";
            } else {
                inserts++;
                rf_bytes quoted{};
                rf_bytes_json_string(&quoted, name.data(), name.size());
                after.push_back(std::string(quoted.data, quoted.size) + "={\"put\": 1}");
                rf_bytes_free(&quoted);
                std::string inserted = text.text();
                if (!before.empty()) {
                    // Only at one place something came in.
                    size_t common = 0;
                    while (common < source.size() && source[common] == inserted[common])
                        common++;
                    EXPECT_EQ(source.substr(common), inserted.substr(inserted.size() - (source.size() - common)));
                }
            }
        } else {
            drops++;
            rf_json_drop_member(&text, span, name.c_str());
            for (const std::string &child : before)
                if (!called(child))
                    after.push_back(child);
            if (after.size() == before.size()) {
                EXPECT_EQ(source, text.text());
            }
        }
        size_t wrong = 0;
        ASSERT_TRUE(check(text.text(), &wrong)) << source << "\nat " << wrong << " of\n" << text.text();
        EXPECT_EQ(head, text.text().substr(0, head.size()));
        EXPECT_EQ(tail, text.text().substr(text.size - tail.size()));
        EXPECT_EQ(after, children(text, {span.start, text.size - tail.size()})) << source;
    }
    for (int count : {puts, inserts, drops, pushes})
        EXPECT_GT(count, 100);
}

} // namespace
