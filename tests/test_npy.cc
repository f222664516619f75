// SPDX-License-Identifier: MIT
//
// test_npy.cc - NumPy's .npy files, in and out.
#include "support.h"

#include <cmath>
#include <limits>
#include <random>

namespace
{

using test::Buffer;
using test::Error;

// An .npy file with this header text and these elements.
std::string npy(std::string_view header, std::string_view data, int version = 1, int minor = 0)
{
    std::string bytes = "\x93NUMPY";
    bytes += static_cast<char>(version);
    bytes += static_cast<char>(minor);
    for (int i = 0; i < (version == 1 ? 2 : 4); i++)
        bytes += static_cast<char>(header.size() >> 8 * i);
    return bytes.append(header).append(data);
}

std::string header_text(const char *descr, const char *fortran, const char *shape)
{
    return std::string("{'descr': '") + descr + "', 'fortran_order': " + fortran + ", 'shape': " + shape + ", }\n";
}

struct Array {
    raiiaf_dtype dtype = RAIIAF_DTYPE_NONE;
    unsigned rank = 0;
    uint32_t shape[RAIIAF_MAX_RANK] = {};
    std::string tensor;
    std::vector<uint32_t> lengths() const
    {
        return {shape, shape + rank};
    }
};

// Reads from memory of exactly the file's size.
raiiaf_status read(std::string_view bytes, Array *array, raiiaf_error *error)
{
    std::unique_ptr<char[]> exact(new char[bytes.size()]);
    std::copy(bytes.begin(), bytes.end(), exact.get());
    Buffer tensor;
    raiiaf_status status =
        raiiaf_npy_read(exact.get(), bytes.size(), "x.npy", &array->dtype, &array->rank, array->shape, &tensor, error);
    array->tensor = tensor.bytes();
    if (status) {
        EXPECT_EQ(0u, tensor.size);
        EXPECT_TRUE(std::strstr(error->text, "x.npy")) << error->text;
    }
    return status;
}

template <typename Number> std::string bytes_of(const std::vector<Number> &values)
{
    return {reinterpret_cast<const char *>(values.data()), values.size() * sizeof(Number)};
}

std::string swapped(std::string bytes, size_t item)
{
    for (size_t i = 0; i + item <= bytes.size(); i += item)
        std::reverse(bytes.begin() + static_cast<ptrdiff_t>(i), bytes.begin() + static_cast<ptrdiff_t>(i + item));
    return bytes;
}

const std::vector<float> six = {1.5f, -2, 3, 1e-42f, 5, 6e30f};

// ---- out ----

// np.save's own bytes before the elements (NumPy 1.24 and 2.2): the text, and how long spaces make it.
TEST(NpyHeader, IsNumpysToTheByte)
{
    struct Case {
        raiiaf_dtype dtype;
        std::vector<uint32_t> shape;
        std::string text;
        size_t size;
    };
    const Case cases[] = {
        {RAIIAF_FLOAT32, {3}, "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }", 128},
        {RAIIAF_FLOAT16, {1, 4, 64, 64}, "{'descr': '<f2', 'fortran_order': False, 'shape': (1, 4, 64, 64), }", 128},
        {RAIIAF_FLOAT32, {4294967295u, 1}, "{'descr': '<f4', 'fortran_order': False, 'shape': (4294967295, 1), }", 128},
        {RAIIAF_FLOAT32,
         {10000, 10000, 10000, 10000, 10000},
         "{'descr': '<f4', 'fortran_order': False, 'shape': (10000, 10000, 10000, 10000, 10000), }",
         128},
        // the longest that fits into two lines with NumPy's room for growth, and one more
        {RAIIAF_FLOAT32,
         {1, 9999, 9999, 9999, 9999, 9999, 9999, 12},
         "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 9999, 9999, 9999, 9999, 9999, 9999, 12), }",
         128},
        {RAIIAF_FLOAT32,
         {1, 9999, 9999, 9999, 9999, 9999, 9999, 123},
         "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 9999, 9999, 9999, 9999, 9999, 9999, 123), }",
         192},
        {RAIIAF_FLOAT32,
         {1, 1, 1, 1, 1, 1, 1, 1},
         "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 1, 1, 1, 1, 1, 1), }",
         128},
    };
    for (const Case &c : cases) {
        Buffer header;
        ASSERT_GOOD(raiiaf_npy_header(c.dtype, static_cast<unsigned>(c.shape.size()), c.shape.data(), &header, &error));
        std::string wanted = npy(c.text + std::string(c.size - 11 - c.text.size(), ' ') + "\n", "");
        EXPECT_EQ(wanted, header.view());
        EXPECT_EQ(c.size, header.size);
    }
}

TEST(NpyHeader, RefusesWhatIsNoTensor)
{
    const uint32_t shape[9] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
    Buffer header;
    EXPECT_BAD(RAIIAF_ERROR_ARGUMENT, raiiaf_npy_header(RAIIAF_DTYPE_NONE, 1, shape, &header, &error));
    EXPECT_BAD(RAIIAF_ERROR_ARGUMENT, raiiaf_npy_header(RAIIAF_FLOAT32, 0, shape, &header, &error));
    EXPECT_BAD(RAIIAF_ERROR_ARGUMENT, raiiaf_npy_header(RAIIAF_FLOAT32, 9, shape, &header, &error));
    EXPECT_EQ(0u, header.size);
}

TEST(Npy, ReadsWhatItWrote)
{
    std::mt19937 random(1);
    for (int i = 0; i < 200; i++) {
        raiiaf_dtype dtype = i % 2 ? RAIIAF_FLOAT32 : RAIIAF_FLOAT16;
        std::vector<uint32_t> shape(1 + random() % RAIIAF_MAX_RANK);
        size_t size = dtype == RAIIAF_FLOAT32 ? 4 : 2;
        for (uint32_t &length : shape)
            size *= length = 1 + random() % (shape.size() < 4 ? 20 : 3);
        std::string data(size, '\0');
        for (char &byte : data)
            byte = static_cast<char>(random());
        Buffer header;
        Array array;
        ASSERT_GOOD(raiiaf_npy_header(dtype, static_cast<unsigned>(shape.size()), shape.data(), &header, &error));
        EXPECT_EQ(0u, header.size % 64);
        ASSERT_GOOD(read(header.bytes() + data, &array, &error));
        EXPECT_EQ(dtype, array.dtype);
        EXPECT_EQ(shape, array.lengths());
        EXPECT_TRUE(data == array.tensor);
    }
}

// ---- in ----

TEST(NpyRead, TakesEveryVersionTypeAndOrderOfBytes)
{
    const std::string floats = bytes_of(six);
    const std::string halves("\0\x3C\1\0\xFF\x7B\0\xC0\0\x7E\xFF\xFF", 12);
    const std::string doubles = bytes_of(std::vector<double>(six.begin(), six.end()));
    struct Case {
        const char *descr;
        std::string data;
        const std::string &wanted;
    };
    const Case cases[] = {{"<f4", floats, floats},  {"=f4", floats, floats},
                          {"f4", floats, floats},   {">f4", swapped(floats, 4), floats},
                          {"<f2", halves, halves},  {">f2", swapped(halves, 2), halves},
                          {"<f8", doubles, floats}, {">f8", swapped(doubles, 8), floats}};
    for (int version : {1, 2, 3})
        for (const Case &c : cases) {
            Array array;
            // what follows the elements belongs to something else
            ASSERT_GOOD(read(npy(header_text(c.descr, "False", "(2, 3)"), c.data + "more", version), &array, &error));
            EXPECT_EQ(c.wanted.size() == 12 ? RAIIAF_FLOAT16 : RAIIAF_FLOAT32, array.dtype) << c.descr;
            EXPECT_EQ((std::vector<uint32_t>{2, 3}), array.lengths());
            EXPECT_EQ(c.wanted, array.tensor) << c.descr;
        }
}

TEST(NpyRead, GivesAViewWhereNothingMoves)
{
    std::string file = npy(header_text("<f4", "False", "(6,)"), bytes_of(six));
    raiiaf_dtype dtype;
    unsigned rank;
    uint32_t shape[RAIIAF_MAX_RANK];
    Buffer tensor;
    for (const char *order : {"False", "True"}) { // one long axis: both orders are the same
        file = npy(header_text("<f4", order, "(1, 6, 1)"), bytes_of(six));
        ASSERT_GOOD(raiiaf_npy_read(file.data(), file.size(), nullptr, &dtype, &rank, shape, &tensor, &error));
        EXPECT_EQ(reinterpret_cast<const uint8_t *>(file.data()) + file.size() - 24, tensor.data);
    }
}

TEST(NpyRead, TransposesFortranOrder)
{
    std::mt19937 random(9);
    for (int i = 0; i < 100; i++) {
        std::vector<uint32_t> shape(1 + random() % 5);
        size_t elements = 1;
        for (uint32_t &length : shape)
            elements *= length = 1 + random() % 5;
        // element number n in C order has the value n; its place in Fortran order by the definition
        std::vector<float> wanted(elements), stored(elements);
        for (size_t n = 0; n < elements; n++) {
            wanted[n] = static_cast<float>(n);
            size_t rest = n, place = 0, step = elements;
            for (size_t axis = shape.size(); axis-- > 0;) {
                step /= shape[axis];
                place += rest % shape[axis] * step;
                rest /= shape[axis];
            }
            stored[place] = wanted[n];
        }
        std::string text = "(";
        for (uint32_t length : shape)
            text += std::to_string(length) + ",";
        text += ")";
        for (const char *descr : {"<f4", ">f4", "<f8"}) {
            std::string data = bytes_of(stored);
            if (descr[0] == '>')
                data = swapped(data, 4);
            if (descr[2] == '8')
                data = bytes_of(std::vector<double>(stored.begin(), stored.end()));
            Array array;
            ASSERT_GOOD(read(npy(header_text(descr, "True", text.c_str()), data), &array, &error));
            EXPECT_TRUE(bytes_of(wanted) == array.tensor) << text << descr;
        }
    }
}

TEST(NpyRead, NarrowsDoublesOnlyWhenExact)
{
    const double nan_value = std::numeric_limits<double>::quiet_NaN(),
                 infinity = std::numeric_limits<double>::infinity();
    const std::vector<double> exact = {0.5, -0.0, 1e-45f, 3.0000000000000004e38f, infinity, -infinity, 16777216};
    Array array;
    ASSERT_GOOD(read(npy(header_text("<f8", "False", "(7,)"), bytes_of(exact)), &array, &error));
    EXPECT_EQ(bytes_of(std::vector<float>(exact.begin(), exact.end())), array.tensor);
    ASSERT_GOOD(
        read(npy(header_text("<f8", "False", "(1,)"), bytes_of(std::vector<double>{nan_value})), &array, &error));
    float value;
    ASSERT_EQ(4u, array.tensor.size());
    std::memcpy(&value, array.tensor.data(), 4);
    EXPECT_TRUE(std::isnan(value));
    for (double inexact : {0.1, 1e300, -1e300, 1e-46, 16777217.0, 3.5e38})
        EXPECT_BAD(
            RAIIAF_ERROR_UNSUPPORTED,
            read(npy(header_text("<f8", "False", "(2,)"), bytes_of(std::vector<double>{1, inexact})), &array, &error));
}

TEST(NpyRead, TakesAnySpellingOfTheHeader)
{
    const char *spellings[] = {
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }",
        "{\"shape\":(2,3),\"fortran_order\":False,\"descr\":\"<f4\"}",
        "  {\t'fortran_order' :False ,\n'descr': '<f4',\r'shape':( 2 , 3 , ) } \n\n",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2L, 3L), }",
    };
    for (const char *text : spellings) {
        Array array;
        ASSERT_GOOD(read(npy(text, bytes_of(six)), &array, &error));
        EXPECT_EQ((std::vector<uint32_t>{2, 3}), array.lengths());
        EXPECT_EQ(bytes_of(six), array.tensor);
    }
}

TEST(NpyRead, RefusesAnythingElseAsAHeader)
{
    const char *good = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)}";
    const char *bad[] = {
        "",
        "{}",
        "{",
        "['descr']",
        "{'descr': '<f4', 'fortran_order': False}",
        "{'descr': '<f4', 'shape': (2, 3)}",
        "{'fortran_order': False, 'shape': (2, 3)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)} x",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), 'more': 1}",
        "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)}",
        "{'descr': '<f4' 'fortran_order': False, 'shape': (2, 3)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3),,}",
        "{,'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)}",
        "{'descr' '<f4', 'fortran_order': False, 'shape': (2, 3)}",
        "{'descr: '<f4', 'fortran_order': False, 'shape': (2, 3)}",
        "{'descr': '<f4, 'fortran_order': False, 'shape': (2, 3)}",
        "{'descr': \"<f4', 'fortran_order': False, 'shape': (2, 3)}",
        "{'de\\x73cr': '<f4', 'fortran_order': False, 'shape': (2, 3)}",
        "{'descr': '<f4', 'fortran_order': 0, 'shape': (2, 3)}",
        "{'descr': '<f4', 'fortran_order': false, 'shape': (2, 3)}",
        "{'descr': '<f4', 'fortran_order': Falsely, 'shape': (2, 3)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': 6}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (6)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': [2, 3]}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2 3)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2,, 3)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-2, -3)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2.0, 3)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (0x2, 3)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (None, 3)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3",
        "{'descr': '<f4', 'fortran_order': False, 'shape': ()}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (0,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 0, 3)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 1)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999999999,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,2,3)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (4294967295, 4294967295, 4294967295)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (4294967295, 4294967295)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 4)}",
        "{'descr': '<i4', 'fortran_order': False, 'shape': (2, 3)}",
        "{'descr': '<c8', 'fortran_order': False, 'shape': (2, 3)}",
        "{'descr': '<f16', 'fortran_order': False, 'shape': (2, 3)}",
        "{'descr': '|O', 'fortran_order': False, 'shape': (2, 3)}",
        "{'descr': '', 'fortran_order': False, 'shape': (2, 3)}",
        "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2, 3)}",
        "{'descr': __import__('os'), 'fortran_order': False, 'shape': (2, 3)}",
    };
    Array array;
    EXPECT_GOOD(read(npy(good, bytes_of(six)), &array, &error));
    for (const char *text : bad) {
        SCOPED_TRACE(text);
        EXPECT_BAD(RAIIAF_ERROR_DAMAGED, read(npy(text, bytes_of(six)), &array, &error));
    }
}

TEST(NpyRead, RefusesOtherFiles)
{
    Array array;
    std::string header = header_text("<f4", "False", "(2, 3)"), data = bytes_of(six);
    for (std::string_view bytes : {"", "\x93", "\x93NUMPX\1\0", "PK\3\4 an .npz is a zip file"})
        EXPECT_BAD(RAIIAF_ERROR_FORMAT, read(bytes, &array, &error));
    for (auto [version, minor] : std::vector<std::pair<int, int>>{{0, 0}, {4, 0}, {255, 0}, {1, 1}})
        EXPECT_BAD(RAIIAF_ERROR_VERSION, read(npy(header, data, version, minor), &array, &error));
    // a header of 4 GB, announced or there
    EXPECT_BAD(RAIIAF_ERROR_DAMAGED, read(std::string("\x93NUMPY\2\0\xFF\xFF\xFF\xFF{", 13), &array, &error));
    EXPECT_BAD(RAIIAF_ERROR_DAMAGED, read(npy(header + std::string(70000, ' '), data, 2), &array, &error));
}

TEST(NpyRead, RefusesAFileCutAnywhere)
{
    for (int version : {1, 2}) {
        std::string whole = npy(header_text("<f4", "False", "(2, 3)"), bytes_of(six), version);
        Array array;
        for (size_t size = 0; size < whole.size(); size++) {
            Error error;
            raiiaf_status status = read(std::string_view(whole).substr(0, size), &array, &error);
            EXPECT_EQ(size < 6 ? RAIIAF_ERROR_FORMAT : RAIIAF_ERROR_DAMAGED, status) << size << error.text;
        }
        EXPECT_GOOD(read(whole, &array, &error));
    }
}

TEST(NpyRead, EndsOnDamagedHeaders)
{
    std::mt19937 random(23);
    const std::string whole = npy(header_text("<f4", "True", "(2, 3)"), bytes_of(six));
    size_t refused = 0;
    for (int i = 0; i < 20000; i++) {
        std::string damaged = whole;
        for (unsigned k = 0; k <= random() % 3; k++)
            damaged[random() % (damaged.size() - 24)] =
                static_cast<char>(random() % 2 ? random() : " '(){},:0123456789"[random() % 18]);
        Array array;
        Error error;
        if (read(damaged, &array, &error))
            refused++;
        else
            EXPECT_LE(array.tensor.size(), 24u);
    }
    EXPECT_GT(refused, 10000u);
}

} // namespace
