// SPDX-License-Identifier: MIT
//
// test_codec.cc - zstd frames, zfp streams, float16, and the threads that run them.
#include "codec.h"
#include "support.h"

#include <dlfcn.h>
#include <zfp.h>
#include <zstd.h>

#include <atomic>
#include <cmath>
#include <limits>
#include <random>

namespace
{

using test::Buffer;
using test::Error;

constexpr rf_where where = {"x.raiiaf", "LATN 0", 33};

// Bytes in memory of exactly their size, so that a sanitizer sees the first one read behind them.
class Exact
{
  public:
    explicit Exact(std::string_view bytes) : data(new char[bytes.size()]), size(bytes.size())
    {
        std::copy(bytes.begin(), bytes.end(), data.get());
    }
    std::unique_ptr<char[]> data;
    size_t size;
};

enum class Kind { Noise, Text, Flat };

std::string make(Kind kind, size_t size, unsigned seed = 1)
{
    std::mt19937 random(seed);
    std::string bytes(size, 'x');
    if (kind == Kind::Noise)
        for (char &byte : bytes)
            byte = static_cast<char>(random());
    if (kind == Kind::Text)
        for (char &byte : bytes)
            byte = static_cast<char>('a' + random() % 4);
    return bytes;
}

std::string encode(std::string_view head, std::string_view body, int level = RF_ZSTD_LEVEL)
{
    Buffer out;
    Error error;
    EXPECT_EQ(RAIIAF_OK, rf_zstd_encode(head.data(), head.size(), body.data(), body.size(), level, &out, &error))
        << error.text;
    return out.bytes();
}

raiiaf_status decode(std::string_view frame, size_t capacity, std::string *out, raiiaf_error *error)
{
    Exact in(frame);
    auto memory = std::make_unique<char[]>(capacity);
    raiiaf_status status = rf_zstd_decode(in.data.get(), in.size, memory.get(), capacity, &where, error);
    out->assign(memory.get(), capacity);
    return status;
}

std::string decode_head(std::string_view frame, size_t capacity, raiiaf_status wanted = RAIIAF_OK)
{
    Exact in(frame);
    Error error;
    size_t got = 99;
    auto memory = std::make_unique<char[]>(capacity);
    EXPECT_EQ(wanted, rf_zstd_decode_head(in.data.get(), in.size, memory.get(), capacity, &got, &where, &error))
        << error.text;
    EXPECT_LE(got, capacity);
    return {memory.get(), got};
}

// Text at either end of noise, or mixed into it, whatever its share: the samples tell what a whole encoding does.
TEST(Zstd, SamplesTellWhatIsSaved)
{
    const size_t size = 2000000;
    auto judge = [](const std::string &bytes) {
        size_t told = 0;
        EXPECT_TRUE(rf_zstd_saves(bytes.data(), bytes.size(), RF_ZSTD_LEVEL, &told));
        size_t saved = bytes.size() - std::min(bytes.size(), encode("", bytes).size());
        EXPECT_NEAR(static_cast<double>(saved), static_cast<double>(told), static_cast<double>(bytes.size()) / 100);
    };
    judge(make(Kind::Noise, size));
    for (size_t text : {5000, 30000, 60000}) {
        judge(make(Kind::Text, text) + make(Kind::Noise, size));
        judge(make(Kind::Noise, size) + make(Kind::Text, text));
    }
    std::string text = make(Kind::Text, size), mixed;
    for (unsigned i = 0; i < 20; i++)
        mixed += make(Kind::Noise, 90000, i) + make(Kind::Text, 10000, i);
    size_t told = 0;
    for (const std::string &bytes : {text, mixed}) {
        EXPECT_TRUE(rf_zstd_saves(bytes.data(), bytes.size(), RF_ZSTD_LEVEL, &told));
        EXPECT_LT(bytes.size() / 50, told);
    }
    EXPECT_FALSE(rf_zstd_saves(mixed.data(), 300000, RF_ZSTD_LEVEL, &told)) << "which is encoded as fast";
}

TEST(Zstd, EncodesHeadAndBodyAsOneFrameThatDeclaresItsSize)
{
    const std::string head = "LATNF32\0\1\2\3\4";
    for (Kind kind : {Kind::Noise, Kind::Text, Kind::Flat})
        for (size_t size :
             {size_t(0), size_t(1), size_t(4096), size_t(131071), size_t(131072), size_t(131073), size_t(3000000)})
            for (int level : {RF_ZSTD_LEVEL, RF_ZSTD_LEVEL_BEST}) {
                if (level == RF_ZSTD_LEVEL_BEST && size > 200000)
                    continue;
                std::string body = make(kind, size);
                std::string frame = encode(head, body, level);
                ASSERT_EQ(frame, encode(head, body, level)) << "not deterministic";
                EXPECT_LE(frame.size(), ZSTD_compressBound(head.size() + size));
                EXPECT_EQ(frame.size(), ZSTD_findFrameCompressedSize(frame.data(), frame.size())) << "one frame";
                uint64_t content = 0;
                ASSERT_GOOD(rf_zstd_content_size(frame.data(), frame.size(), &content, &where, &error));
                ASSERT_EQ(head.size() + size, content);
                std::string out;
                ASSERT_GOOD(decode(frame, head.size() + size, &out, &error));
                ASSERT_TRUE(out == head + body) << "size " << size << " level " << level;
            }
}

TEST(Zstd, EncodesNothingAtAll)
{
    std::string frame = encode("", ""), out;
    ASSERT_GOOD(decode(frame, 0, &out, &error));
    EXPECT_EQ("", decode_head(frame, 10));
}

TEST(Zstd, GivesTheSameBytesOnEveryThread)
{
    struct Shared {
        std::string body = make(Kind::Text, 500000);
        std::string frames[8];
    } shared;
    ASSERT_TRUE(rf_parallel(
        8, 4,
        [](void *user, size_t i) {
            auto *all = static_cast<Shared *>(user);
            all->frames[i] = encode("head", all->body);
            return true;
        },
        &shared));
    for (const std::string &frame : shared.frames)
        EXPECT_TRUE(frame == encode("head", shared.body));
}

TEST(Zstd, TakesTheFirstFrameAndIgnoresWhatFollows)
{
    std::string body = make(Kind::Text, 5000), frame = encode("", body), out;
    ASSERT_GOOD(decode(frame + "what follows", 5000, &out, &error));
    EXPECT_TRUE(out == body);
    ASSERT_GOOD(decode(frame + encode("", "another frame"), 5000, &out, &error));
    EXPECT_TRUE(out == body);
    EXPECT_TRUE(decode_head(frame + encode("", "another frame"), 6000) == body);
}

TEST(Zstd, RefusesAnyOtherCapacity)
{
    std::string frame = encode("", make(Kind::Text, 5000)), out;
    for (size_t capacity : {0, 1, 4999, 5001, 100000})
        EXPECT_BAD(RAIIAF_ERROR_DAMAGED, decode(frame, capacity, &out, &error));
}

TEST(Zstd, RefusesAFrameCutAnywhere)
{
    for (Kind kind : {Kind::Noise, Kind::Text}) {
        std::string frame = encode("", make(kind, 1500)), out;
        for (size_t size = 0; size < frame.size(); size++)
            EXPECT_BAD(RAIIAF_ERROR_DAMAGED, decode(frame.substr(0, size), 1500, &out, &error));
    }
}

TEST(Zstd, NeverReadsOrWritesBeyondDamagedFrames)
{
    std::mt19937 random(7);
    std::string frame = encode("", make(Kind::Text, 3000)), out;
    size_t survived = 0;
    for (int i = 0; i < 3000; i++) {
        std::string damaged = frame;
        damaged[random() % damaged.size()] ^= static_cast<char>(1u << random() % 8);
        Error error;
        survived += decode(damaged, 3000, &out, &error) == RAIIAF_OK;
        Exact in(damaged);
        char head[64];
        size_t got;
        if (rf_zstd_decode_head(in.data.get(), in.size, head, sizeof head, &got, &where, &error) != RAIIAF_OK)
            EXPECT_EQ(0u, got);
        else
            EXPECT_LE(got, sizeof head);
    }
    EXPECT_LT(survived, 3000u) << "no damage was ever noticed";
}

TEST(Zstd, WantsADataFrameFirst)
{
    const std::string skippable = std::string("\x50\x2A\x4D\x18\4\0\0\0", 8) + "skip";
    std::string frame = encode("", "content"), out;
    uint64_t content;
    for (const std::string &bytes :
         {skippable + frame, std::string("\x89PNG\r\n\x1A\n"), std::string("("), std::string()}) {
        EXPECT_BAD(RAIIAF_ERROR_DAMAGED, rf_zstd_content_size(bytes.data(), bytes.size(), &content, &where, &error));
        EXPECT_BAD(RAIIAF_ERROR_DAMAGED, decode(bytes, 7, &out, &error));
    }
    decode_head(skippable + frame, 7, RAIIAF_ERROR_DAMAGED);
    decode_head("\x89PNG\r\n", 7, RAIIAF_ERROR_DAMAGED);
}

// A frame made by zstd itself with parameters of the test's choice.
std::string encode_with(std::string_view content, std::vector<std::pair<ZSTD_cParameter, int>> parameters)
{
    std::unique_ptr<ZSTD_CCtx, size_t (*)(ZSTD_CCtx *)> context(ZSTD_createCCtx(), ZSTD_freeCCtx);
    for (auto [parameter, value] : parameters)
        EXPECT_FALSE(ZSTD_isError(ZSTD_CCtx_setParameter(context.get(), parameter, value)));
    std::string frame(ZSTD_compressBound(content.size()), '\0');
    frame.resize(ZSTD_compress2(context.get(), frame.data(), frame.size(), content.data(), content.size()));
    return frame;
}

TEST(Zstd, WantsTheContentSizeDeclared)
{
    std::string frame = encode_with("some content", {{ZSTD_c_contentSizeFlag, 0}}), out;
    uint64_t content;
    EXPECT_BAD(RAIIAF_ERROR_DAMAGED, rf_zstd_content_size(frame.data(), frame.size(), &content, &where, &error));
    EXPECT_BAD(RAIIAF_ERROR_DAMAGED, decode(frame, 12, &out, &error));
}

TEST(Zstd, ChecksAChecksum)
{
    std::string body = make(Kind::Noise, 1000), frame = encode_with(body, {{ZSTD_c_checksumFlag, 1}}), out;
    ASSERT_GOOD(decode(frame, 1000, &out, &error));
    EXPECT_TRUE(decode_head(frame, 1000) == body);
    frame[500] ^= 1; // noise is stored as it is: only the checksum can tell
    EXPECT_BAD(RAIIAF_ERROR_DAMAGED, decode(frame, 1000, &out, &error));
}

TEST(Zstd, DecodesTheHeadOfAFrameCutAnywhere)
{
    for (Kind kind : {Kind::Noise, Kind::Text}) {
        std::string body = make(kind, 1000), frame = encode("", body);
        for (size_t capacity : {0, 33, 1000, 2000})
            for (size_t size = 0; size <= frame.size(); size++) {
                std::string head = decode_head(std::string_view(frame).substr(0, size), capacity);
                ASSERT_TRUE(head == body.substr(0, head.size()));
                if (size == frame.size()) {
                    EXPECT_EQ(std::min<size_t>(capacity, 1000), head.size());
                }
            }
    }
}

TEST(Zstd, DecodesTheHeadOfManyBlocks)
{
    for (Kind kind : {Kind::Noise, Kind::Text, Kind::Flat}) {
        std::string body = make(kind, 1000000), frame = encode("", body);
        size_t before = 0;
        for (size_t size = 0; size <= frame.size(); size += 1 + frame.size() / 20) {
            std::string head = decode_head(std::string_view(frame).substr(0, size), body.size());
            ASSERT_TRUE(head == body.substr(0, head.size()));
            EXPECT_GE(head.size(), before) << "more input gave less";
            before = head.size();
        }
        EXPECT_TRUE(decode_head(frame, body.size()) == body);
        EXPECT_TRUE(decode_head(frame, 200000) == body.substr(0, 200000));
    }
    // what zstd couldn't compress can be had to the last byte that is there
    std::string noise = make(Kind::Noise, 300000), frame = encode("", noise);
    EXPECT_GE(decode_head(frame.substr(0, 65536), 300000).size(), 65000u);
}

TEST(Zstd, DecodesTheHeadWhateverTheWindow)
{
    std::string body = make(Kind::Text, 400000);
    for (int level : {1, 19, 22}) {
        std::string frame = encode_with(body, {{ZSTD_c_compressionLevel, level}});
        EXPECT_TRUE(frame[4] & 0x20) << "the whole content is one segment";
        EXPECT_TRUE(decode_head(frame.substr(0, frame.size() / 2), 1000) == body.substr(0, 1000));
    }
    // A header that wants 2 GiB: zstd's own streaming gives up, or takes that much.
    std::string frame = encode_with(body, {{ZSTD_c_windowLog, 17}, {ZSTD_c_compressionLevel, 1}});
    ASSERT_FALSE(frame[4] & 0x20);
    frame[5] = static_cast<char>((31 - 10) << 3);
    EXPECT_TRUE(decode_head(frame.substr(0, frame.size() / 2), 1000) == body.substr(0, 1000));
    EXPECT_TRUE(decode_head(frame, body.size()) == body);
    std::string out;
    EXPECT_GOOD(decode(frame, body.size(), &out, &error));
    EXPECT_TRUE(out == body);
}

TEST(Zstd, RefusesADictionary)
{
    std::string frame = encode("", make(Kind::Text, 300)), out;
    // the descriptor says that a dictionary's number follows
    std::string with = frame.substr(0, 4) + static_cast<char>(frame[4] | 1) + '\7' + frame.substr(5);
    EXPECT_BAD(RAIIAF_ERROR_DAMAGED, decode(with, 300, &out, &error));
    decode_head(with, 300, RAIIAF_ERROR_DAMAGED);
}

// ---- zfp ----

class Zfp : public testing::Test
{
  protected:
    void SetUp() override
    {
        Error error;
        if (!rf_zfp_available(&error))
            GTEST_SKIP() << error.text;
        library = dlopen("libzfp.so.1", RTLD_NOW | RTLD_LOCAL);
        ASSERT_TRUE(library) << dlerror();
    }

    // A function of libzfp itself, to make streams that rf_zfp_encode doesn't and to check those that it does.
    template <typename Function> Function *own(const char *name, Function *)
    {
        void *symbol = dlsym(library, name);
        EXPECT_TRUE(symbol) << name;
        return reinterpret_cast<Function *>(symbol);
    }
#define OWN(name) own(#name, static_cast<decltype(name) *>(nullptr))

    // data: float or double
    template <typename Number, typename Mode>
    std::string stream(const std::vector<Number> &data, std::vector<size_t> shape, Mode mode)
    {
        zfp_type type = sizeof(Number) == 8 ? zfp_type_double : zfp_type_float;
        zfp_field *field = OWN(zfp_field_alloc)();
        OWN(zfp_field_set_type)(field, type);
        OWN(zfp_field_set_pointer)(field, const_cast<Number *>(data.data()));
        shape.resize(4);
        if (shape[3])
            OWN(zfp_field_set_size_4d)(field, shape[0], shape[1], shape[2], shape[3]);
        else if (shape[2])
            OWN(zfp_field_set_size_3d)(field, shape[0], shape[1], shape[2]);
        else if (shape[1])
            OWN(zfp_field_set_size_2d)(field, shape[0], shape[1]);
        else
            OWN(zfp_field_set_size_1d)(field, shape[0]);
        zfp_stream *zfp = OWN(zfp_stream_open)(nullptr);
        mode(zfp);
        std::vector<uint64_t> memory(OWN(zfp_stream_maximum_size)(zfp, field) / 8 + 4096);
        bitstream *bits = OWN(stream_open)(memory.data(), memory.size() * 8);
        OWN(zfp_stream_set_bit_stream)(zfp, bits);
        EXPECT_NE(0u, OWN(zfp_write_header)(zfp, field, ZFP_HEADER_FULL));
        size_t size = OWN(zfp_compress)(zfp, field);
        EXPECT_NE(0u, size);
        OWN(stream_close)(bits);
        OWN(zfp_stream_close)(zfp);
        OWN(zfp_field_free)(field);
        return {reinterpret_cast<char *>(memory.data()), size};
    }

    void reversible(zfp_stream *zfp)
    {
        OWN(zfp_stream_set_reversible)(zfp);
    }

    raiiaf_status decode(std::string_view bytes, uint64_t elements, std::vector<float> *out, bool *lossy,
                         raiiaf_error *error)
    {
        Exact in(bytes);
        out->assign(static_cast<size_t>(elements), -1.0f);
        return rf_zfp_decode(in.data.get(), in.size, elements, out->data(), lossy, &where, error);
    }

    static bool same(const std::vector<float> &a, const std::vector<float> &b)
    {
        return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
    }

    void *library = nullptr;
};

// Noise, smooth runs, and bit patterns of every kind: denormals, -0, infinities, NaN.
std::vector<float> tensor(size_t count, unsigned seed)
{
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    std::vector<float> values(count);
    unsigned kind = seed % 4;
    float level = 0;
    for (float &value : values) {
        level += normal(random) * 0.01f;
        uint32_t bits = random();
        value = kind == 0 ? normal(random) : level;
        if (kind == 2 || (kind == 3 && random() % 16 == 0))
            std::memcpy(&value, &bits, sizeof value);
    }
    return values;
}

TEST_F(Zfp, RoundTripIsExactForAnyBits)
{
    std::mt19937 random(3);
    for (unsigned i = 0; i < 120; i++) {
        bool flat = random() % 2;
        size_t nx = 1 + random() % 40, ny = 1 + random() % 40, nz = flat ? 0 : 1 + random() % 12;
        size_t elements = nx * ny * (flat ? 1 : nz);
        std::vector<float> values = tensor(elements, i), out;
        Buffer encoded;
        ASSERT_GOOD(rf_zfp_encode(values.data(), nx, ny, nz, SIZE_MAX, &encoded, &error));
        ASSERT_GT(encoded.size, 0u);
        std::vector<size_t> shape = flat ? std::vector<size_t>{nx, ny} : std::vector<size_t>{nx, ny, nz};
        EXPECT_TRUE(encoded.bytes() == stream(values, shape, [this](zfp_stream *zfp) { reversible(zfp); }))
            << "libzfp itself writes something else";
        bool lossy = true;
        ASSERT_GOOD(decode(encoded.view(), elements, &out, &lossy, &error));
        EXPECT_FALSE(lossy);
        ASSERT_TRUE(same(values, out)) << nx << " " << ny << " " << nz;
        ASSERT_GOOD(decode(encoded.bytes() + std::string(100, '\xFF'), elements, &out, &lossy, &error));
        ASSERT_TRUE(same(values, out));
    }
}

TEST_F(Zfp, DecodesOneToFourDimensions)
{
    for (const auto &shape :
         std::vector<std::vector<size_t>>{{500}, {25, 20}, {25, 10, 2}, {5, 5, 4, 5}, {1, 1, 1, 500}}) {
        std::vector<float> values = tensor(500, 3), out;
        std::string bytes = stream(values, shape, [this](zfp_stream *zfp) { reversible(zfp); });
        bool lossy;
        ASSERT_GOOD(decode(bytes, 500, &out, &lossy, &error));
        EXPECT_TRUE(same(values, out)) << shape.size();
    }
}

TEST_F(Zfp, TellsLossyModes)
{
    std::vector<float> values = tensor(400, 1), out;
    auto check = [&](auto mode) {
        std::string bytes = stream(values, {20, 20}, mode);
        bool lossy = false;
        EXPECT_GOOD(decode(bytes, 400, &out, &lossy, &error));
        EXPECT_TRUE(lossy);
        for (size_t i = 0; i < values.size(); i++)
            EXPECT_NEAR(values[i], out[i], 0.1);
        // the shortest beginning that can't be whole
        EXPECT_BAD(RAIIAF_ERROR_DAMAGED, decode(bytes.substr(0, bytes.size() - 8), 400, &out, &lossy, &error));
    };
    check([this](zfp_stream *zfp) { OWN(zfp_stream_set_rate)(zfp, 16, zfp_type_float, 2, 0); });
    check([this](zfp_stream *zfp) { OWN(zfp_stream_set_precision)(zfp, 20); });
    check([this](zfp_stream *zfp) { OWN(zfp_stream_set_accuracy)(zfp, 1e-3); });
    check([this](zfp_stream *zfp) { OWN(zfp_stream_set_params)(zfp, 200, 400, 32, -1074); });
}

TEST_F(Zfp, GivesNothingWhereItWouldBeTooLarge)
{
    std::vector<float> values = tensor(1000, 0);
    Buffer whole, exact, less;
    ASSERT_GOOD(rf_zfp_encode(values.data(), 10, 100, 0, SIZE_MAX, &whole, &error));
    ASSERT_GOOD(rf_zfp_encode(values.data(), 10, 100, 0, whole.size, &exact, &error));
    EXPECT_EQ(whole.view(), exact.view());
    ASSERT_GOOD(rf_zfp_encode(values.data(), 10, 100, 0, whole.size - 1, &less, &error));
    EXPECT_EQ(0u, less.size);
    EXPECT_EQ(nullptr, less.data);
    // an axis of a 3-D stream has at most 65536 elements
    std::vector<float> line(65537, 1.0f);
    ASSERT_GOOD(rf_zfp_encode(line.data(), 1, 1, line.size(), SIZE_MAX, &less, &error));
    EXPECT_EQ(0u, less.size);
}

TEST_F(Zfp, RefusesAStreamCutAnywhere)
{
    for (unsigned seed : {0u, 1u, 2u}) {
        std::vector<float> values = tensor(13 * 11, seed), out;
        Buffer encoded;
        ASSERT_GOOD(rf_zfp_encode(values.data(), 13, 11, 0, SIZE_MAX, &encoded, &error));
        bool lossy;
        for (size_t size = 0; size < encoded.size; size++)
            EXPECT_BAD(RAIIAF_ERROR_DAMAGED,
                       decode(encoded.view().substr(0, size), values.size(), &out, &lossy, &error));
    }
}

TEST_F(Zfp, RefusesAnotherNumberOrTypeOfElements)
{
    std::vector<float> values = tensor(600, 1), out;
    std::string bytes = stream(values, {20, 30}, [this](zfp_stream *zfp) { reversible(zfp); });
    bool lossy;
    for (uint64_t elements : {UINT64_C(0), UINT64_C(1), UINT64_C(599), UINT64_C(601)})
        EXPECT_BAD(RAIIAF_ERROR_DAMAGED, decode(bytes, elements, &out, &lossy, &error));
    std::vector<double> doubles(600, 1.5);
    bytes = stream(doubles, {20, 30}, [this](zfp_stream *zfp) { reversible(zfp); });
    EXPECT_BAD(RAIIAF_ERROR_DAMAGED, decode(bytes, 600, &out, &lossy, &error));
    EXPECT_BAD(RAIIAF_ERROR_DAMAGED, decode("zfp", 600, &out, &lossy, &error));
    EXPECT_BAD(RAIIAF_ERROR_DAMAGED, decode(std::string(1000, '\0'), 600, &out, &lossy, &error));
    bytes[3] = 4; // an older codec
    EXPECT_BAD(RAIIAF_ERROR_DAMAGED, decode(bytes, 600, &out, &lossy, &error));
}

TEST_F(Zfp, TakesNoMemoryForAMadeUpHeader)
{
    // 32767 bits a block and 25 million blocks would be 100 GB.
    std::string header;
    zfp_field field{};
    zfp_stream *zfp = OWN(zfp_stream_open)(nullptr);
    uint64_t memory[8] = {};
    bitstream *bits = OWN(stream_open)(memory, sizeof memory);
    OWN(zfp_stream_set_bit_stream)(zfp, bits);
    ASSERT_TRUE(OWN(zfp_stream_set_params)(zfp, 32767, 32767, 32, -1075));
    OWN(zfp_field_set_type)(&field, zfp_type_float);
    OWN(zfp_field_set_size_1d)(&field, 100000000);
    ASSERT_NE(0u, OWN(zfp_write_header)(zfp, &field, ZFP_HEADER_FULL));
    OWN(zfp_stream_flush)(zfp);
    OWN(stream_close)(bits);
    OWN(zfp_stream_close)(zfp);
    float untouched = 7;
    bool lossy;
    EXPECT_BAD(RAIIAF_ERROR_DAMAGED,
               rf_zfp_decode(memory, sizeof memory, 100000000, &untouched, &lossy, &where, &error));
    EXPECT_EQ(7, untouched);
}

TEST_F(Zfp, EndsOnDamagedStreams)
{
    std::mt19937 random(11);
    std::vector<float> values = tensor(20 * 12 * 3, 1), out;
    Buffer encoded;
    ASSERT_GOOD(rf_zfp_encode(values.data(), 20, 12, 3, SIZE_MAX, &encoded, &error));
    size_t refused = 0, different = 0;
    for (int i = 0; i < 3000; i++) {
        std::string damaged = encoded.bytes();
        // mostly in the header
        damaged[random() % (i % 3 ? 20 : damaged.size())] ^= static_cast<char>(1u << random() % 8);
        bool lossy;
        Error error;
        if (decode(damaged, values.size(), &out, &lossy, &error))
            refused++;
        else
            different += !same(values, out);
    }
    EXPECT_GT(refused, 0u);
    EXPECT_GT(different, 0u) << "what decodes all the same is for the hash to find";
}

// ---- float16 ----

uint32_t bits_of(float value)
{
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}

float widen(uint16_t half)
{
    const uint8_t bytes[] = {static_cast<uint8_t>(half), static_cast<uint8_t>(half >> 8)};
    float value;
    rf_half_to_float(bytes, 1, &value);
    return value;
}

uint16_t narrow(float value)
{
    uint8_t bytes[2];
    rf_float_to_half(&value, 1, bytes);
    return rf_get16(bytes);
}

TEST(Half, WidensEveryValueExactly)
{
    for (uint32_t half = 0; half < 65536; half++) {
        int exponent = half >> 10 & 31, mantissa = half & 1023;
        float value = widen(static_cast<uint16_t>(half));
        EXPECT_EQ(half >> 15, bits_of(value) >> 31) << half;
        if (exponent == 31) {
            EXPECT_EQ(0x7F800000u | static_cast<uint32_t>(mantissa) << 13, bits_of(value) & 0x7FFFFFFF) << half;
            continue;
        }
        double exact = exponent ? std::ldexp(1024 + mantissa, exponent - 25) : std::ldexp(mantissa, -24);
        EXPECT_EQ(half & 0x8000 ? -exact : exact, static_cast<double>(value)) << half;
    }
}

TEST(Half, NarrowsWhatItWidened)
{
    for (uint32_t half = 0; half < 65536; half++)
        ASSERT_EQ(half, narrow(widen(static_cast<uint16_t>(half))));
}

TEST(Half, RoundsToNearestAndTiesToEven)
{
    // every pair of neighbours, the step to infinity (as if 65536 came next) included
    for (uint16_t low = 0; low < 0x7C00; low++) {
        uint16_t high = static_cast<uint16_t>(low + 1);
        float upper = high == 0x7C00 ? 65536.0f : widen(high);
        float middle = (widen(low) + upper) / 2;
        uint16_t even = low % 2 ? high : low;
        for (uint16_t sign : {0, 0x8000}) {
            float s = sign ? -1.0f : 1.0f;
            ASSERT_EQ(even | sign, narrow(s * middle)) << low;
            ASSERT_EQ(low | sign, narrow(s * std::nextafter(middle, 0.0f))) << low;
            ASSERT_EQ(high | sign, narrow(s * std::nextafter(middle, 1e9f))) << low;
        }
    }
}

TEST(Half, NarrowsRandomFloatsToTheNearest)
{
    std::mt19937 random(5);
    for (int i = 0; i < 300000; i++) {
        uint32_t bits = random();
        float value;
        std::memcpy(&value, &bits, sizeof value);
        uint16_t half = narrow(value);
        ASSERT_EQ(std::signbit(value), half >> 15);
        float back = widen(half);
        if (std::isnan(value)) {
            ASSERT_TRUE(std::isnan(back));
            continue;
        }
        if (std::fabs(value) >= 65520) {
            ASSERT_TRUE(std::isinf(back)) << value;
            continue;
        }
        double distance = std::fabs(static_cast<double>(value) - static_cast<double>(back));
        double step = std::max(std::ldexp(1, -24), std::ldexp(1, std::ilogb(std::fabs(value) + 1e-30f) - 10));
        ASSERT_LE(distance, step / 2) << value;
    }
}

TEST(Half, KeepsSpecialValues)
{
    EXPECT_EQ(0x7C00, narrow(std::numeric_limits<float>::infinity()));
    EXPECT_EQ(0xFC00, narrow(-std::numeric_limits<float>::infinity()));
    EXPECT_EQ(0x7C00, narrow(std::numeric_limits<float>::max()));
    EXPECT_EQ(0x8000, narrow(-std::numeric_limits<float>::denorm_min()));
    // a NaN whose payload lies in the bits that go stays a NaN
    uint32_t bits = 0x7F800001;
    float nan;
    std::memcpy(&nan, &bits, sizeof nan);
    uint8_t out[2];
    rf_float_to_half(&nan, 1, out);
    EXPECT_EQ(0x7C01, rf_get16(out));
}

TEST(Half, LoadsElementsOfEitherType)
{
    const uint8_t floats[] = {0, 0, 0x80, 0x3F, 0, 0, 0, 0xC0}, halves[] = {0, 0x3C, 0, 0xC0};
    float out[2];
    rf_load_floats(floats, 2, RAIIAF_FLOAT32, out);
    EXPECT_EQ(1.0f, out[0]);
    EXPECT_EQ(-2.0f, out[1]);
    out[0] = out[1] = 0;
    rf_load_floats(halves, 2, RAIIAF_FLOAT16, out);
    EXPECT_EQ(1.0f, out[0]);
    EXPECT_EQ(-2.0f, out[1]);
    EXPECT_EQ(4u, rf_element_size(RAIIAF_FLOAT32));
    EXPECT_EQ(2u, rf_element_size(RAIIAF_FLOAT16));
    EXPECT_EQ(0u, rf_element_size(RAIIAF_DTYPE_NONE));
}

// ---- threads ----

struct Items {
    std::vector<std::atomic<int>> seen;
    size_t stop_at;
    std::atomic<int> running{0}, most{0};
    explicit Items(size_t count, size_t stop = SIZE_MAX) : seen(count), stop_at(stop)
    {
    }
    static bool work(void *user, size_t i)
    {
        auto *items = static_cast<Items *>(user);
        int now = ++items->running, before = items->most;
        while (now > before && !items->most.compare_exchange_weak(before, now)) {
        }
        items->seen[i]++;
        items->running--;
        return i != items->stop_at;
    }
};

TEST(Threads, RunEveryItemOnce)
{
    for (unsigned threads : {0u, 1u, 2u, 3u, 8u, 1000u})
        for (size_t count : {0, 1, 2, 7, 1000}) {
            Items items(count);
            EXPECT_TRUE(rf_parallel(count, threads, Items::work, &items));
            for (auto &seen : items.seen)
                EXPECT_EQ(1, seen);
            if (threads) {
                EXPECT_LE(items.most, static_cast<int>(threads));
            }
        }
}

TEST(Threads, StopWhenAnItemFails)
{
    Items alone(100, 10);
    EXPECT_FALSE(rf_parallel(100, 1, Items::work, &alone));
    EXPECT_EQ(1, alone.seen[10]);
    EXPECT_EQ(0, alone.seen[11]) << "in order, and no further";
    Items many(100, 10), last(100, 99);
    EXPECT_FALSE(rf_parallel(100, 4, Items::work, &many));
    EXPECT_FALSE(rf_parallel(100, 4, Items::work, &last));
}

} // namespace
