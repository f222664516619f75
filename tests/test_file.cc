// SPDX-License-Identifier: MIT
//
// test_file.cc - the contract of raiiaf.h about files as a whole: sources, sinks, limits, saving, edits, capsules.

#include "support.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zstd.h>

#include <atomic>
#include <cerrno>
#include <cmath>
#include <csignal>
#include <limits>
#include <thread>

using test::Buffer;
using test::Error;
using test::File;

namespace
{

std::filesystem::path golden(const char *name)
{
    return test::data_folder() / "golden" / name;
}

void open_golden(File &file, const char *name, const raiiaf_limits *limits = nullptr)
{
    raiiaf_open_options options{limits, nullptr, nullptr};
    ASSERT_GOOD(raiiaf_open_path(&file, golden(name).c_str(), &options, &error));
}

std::vector<float> noise(size_t count, uint32_t seed)
{
    std::vector<float> values(count);
    for (float &value : values) {
        float sum = -6;
        for (int i = 0; i < 12; i++) {
            seed = seed * 1664525u + 1013904223u;
            sum += static_cast<float>(seed >> 8) / 16777216.0f;
        }
        value = sum;
    }
    return values;
}

void add_latent(raiiaf_file *file, const char *key, const std::vector<uint32_t> &shape, const std::vector<float> &data)
{
    ASSERT_GOOD(raiiaf_latent_add(file, key, shape.data(), static_cast<unsigned>(shape.size()), RAIIAF_FLOAT32,
                                  data.data(), data.size() * sizeof(float), &error));
}

void set(raiiaf_file *file, const char *path, const std::string &json)
{
    ASSERT_GOOD(raiiaf_set(file, path, json.data(), json.size(), &error));
}

using test::Variable;

// ---- sources

struct Faulty {
    std::string bytes;
    int64_t ends = -1;  // bytes beyond are missing, although `size` promised them
    unsigned fails = 0; // the read that fails, from 1
    unsigned reads = 0, closes = 0;

    raiiaf_source source()
    {
        raiiaf_source source{};
        source.user = this;
        source.name = "faulty.raiiaf";
        source.size = bytes.size();
        source.read_at = [](void *user, uint64_t offset, void *buffer, size_t length) -> int64_t {
            Faulty *self = static_cast<Faulty *>(user);
            if (++self->reads == self->fails) {
                errno = EIO;
                return -1;
            }
            size_t end = self->ends < 0 ? self->bytes.size() : static_cast<size_t>(self->ends);
            size_t count = offset >= end ? 0 : std::min<size_t>(length, end - offset);
            std::memcpy(buffer, self->bytes.data() + offset, count);
            return static_cast<int64_t>(count);
        };
        source.close = [](void *user) { static_cast<Faulty *>(user)->closes++; };
        return source;
    }
};

// Most read by seeking first.
TEST(Source, IsReadByOneThreadAtATime)
{
    struct Seeking {
        std::string bytes;
        uint64_t at = 0;
        std::atomic<int> inside{0}, most{0};
    } seeking;
    seeking.bytes = test::slurp(golden("g5_many_50.gen5"));
    raiiaf_source source{};
    source.user = &seeking;
    source.name = "seeking.gen5";
    source.size = seeking.bytes.size();
    source.read_at = [](void *user, uint64_t offset, void *buffer, size_t length) -> int64_t {
        Seeking *self = static_cast<Seeking *>(user);
        self->most = std::max<int>(self->most, ++self->inside);
        self->at = offset;
        std::this_thread::yield();
        std::memcpy(buffer, self->bytes.data() + self->at, length);
        self->inside--;
        return static_cast<int64_t>(length);
    };
    File file;
    ASSERT_GOOD(raiiaf_open(&file, &source, nullptr, &error));
    for (int i = 0; i < 20; i++)
        ASSERT_GOOD(raiiaf_verify(file, 8, nullptr, nullptr, &error));
    EXPECT_EQ(1, seeking.most);
}

TEST(Source, MissingFileAndFolder)
{
    File file;
    test::Scratch scratch;
    EXPECT_BAD(RAIIAF_ERROR_IO, raiiaf_open_path(&file, (scratch / "none.raiiaf").c_str(), nullptr, &error));
    EXPECT_EQ(nullptr, static_cast<raiiaf_file *>(file));
    Error failure;
    raiiaf_open_path(&file, (scratch / "none.raiiaf").c_str(), nullptr, &failure);
    EXPECT_NE(nullptr, std::strstr(failure.text, "none.raiiaf")) << failure.text;
    EXPECT_BAD(RAIIAF_ERROR_IO, raiiaf_open_path(&file, (scratch / ".").c_str(), nullptr, &error));
}

TEST(Source, ErrorMayBeNull)
{
    File file;
    EXPECT_NE(RAIIAF_OK, raiiaf_open_path(&file, "/nonexistent/none.raiiaf", nullptr, nullptr));
    EXPECT_EQ(RAIIAF_OK, raiiaf_open_path(&file, golden("img_rgb16.raiiaf").c_str(), nullptr, nullptr));
}

TEST(Source, OtherFilesAreNotRaiiaf)
{
    for (std::string bytes : {std::string(), std::string("r"), std::string("raiia"), std::string("\x89PNG\r\n\x1a\n"),
                              std::string(4096, '\0')}) {
        File file;
        EXPECT_BAD(RAIIAF_ERROR_FORMAT, test::open_bytes(file, bytes, &error)) << bytes.size();
        EXPECT_FALSE(raiiaf_is_magic(bytes.data(), bytes.size()));
    }
    EXPECT_TRUE(raiiaf_is_magic("raiiaf", 6));
    EXPECT_TRUE(raiiaf_is_magic("GEN5\1\0", 6));
    EXPECT_FALSE(raiiaf_is_magic("GIF89a", 6));
}

TEST(Source, EndsEarlyOrFailsAtAnyRead)
{
    std::string whole = test::slurp(golden("many_latents_raw.raiiaf"));
    for (int64_t ends : {int64_t{0}, int64_t{5}, int64_t{20}, static_cast<int64_t>(whole.size()) - 1}) {
        Faulty faulty{whole, ends};
        raiiaf_source source = faulty.source();
        File file;
        EXPECT_BAD(RAIIAF_ERROR_DAMAGED, raiiaf_open(&file, &source, nullptr, &error)) << ends;
        EXPECT_EQ(1u, faulty.closes);
    }
    for (unsigned fails = 1;; fails++) {
        ASSERT_GT(1000u, fails);
        Faulty faulty{whole, -1, fails};
        raiiaf_source source = faulty.source();
        File file;
        Error error;
        raiiaf_open(&file, &source, nullptr, &error);
        if (error.status == RAIIAF_OK)
            raiiaf_verify(file, 1, nullptr, nullptr, &error);
        file.close();
        EXPECT_EQ(1u, faulty.closes);
        if (faulty.reads < fails) {
            EXPECT_EQ(RAIIAF_OK, error.status);
            break;
        }
        EXPECT_EQ(RAIIAF_ERROR_IO, error.status) << error.text;
        EXPECT_NE(nullptr, std::strstr(error.text, "faulty.raiiaf")) << error.text;
    }
}

TEST(Source, MemoryIsReleasedOnce)
{
    std::string bytes = test::slurp(golden("img_ga8.raiiaf"));
    for (size_t size : {bytes.size(), bytes.size() / 2}) {
        unsigned released = 0;
        raiiaf_source source;
        raiiaf_source_memory(
            &source, bytes.data(), size, "memory", [](void *user) { ++*static_cast<unsigned *>(user); }, &released);
        File file;
        Error error;
        raiiaf_open(&file, &source, nullptr, &error);
        EXPECT_EQ(size != bytes.size(), error.status != RAIIAF_OK);
        file.close();
        EXPECT_EQ(1u, released);
    }
}

TEST(Source, PipeByPath)
{
    test::Scratch scratch;
    std::string fifo = (scratch / "pipe").string(), bytes = test::slurp(golden("multi_shapes_f16_raw.raiiaf"));
    ASSERT_EQ(0, mkfifo(fifo.c_str(), 0600));
    std::thread writer([&] { std::ofstream(fifo, std::ios::binary) << bytes; });
    File file;
    EXPECT_GOOD(raiiaf_open_path(&file, fifo.c_str(), nullptr, &error));
    writer.join();
    ASSERT_NE(nullptr, static_cast<raiiaf_file *>(file));
    EXPECT_EQ(bytes, test::save_bytes(file));
}

int64_t endless(void *, void *buffer, size_t length)
{
    std::memset(buffer, 'x', length);
    return static_cast<int64_t>(length);
}

TEST(Source, StreamStaysWithinItsLimit)
{
    raiiaf_limits limits;
    raiiaf_limits_default(&limits);
    limits.stream_size = 1 << 20;
    raiiaf_source source;
    EXPECT_BAD(RAIIAF_ERROR_LIMIT, raiiaf_source_stream(&source, endless, nullptr, "endless", &limits, &error));
    auto broken = [](void *, void *, size_t) -> int64_t {
        errno = EIO;
        return -1;
    };
    EXPECT_BAD(RAIIAF_ERROR_IO, raiiaf_source_stream(&source, broken, nullptr, "broken", nullptr, &error));
}

TEST(Source, MayBeClosedUnused)
{
    raiiaf_source source;
    ASSERT_GOOD(raiiaf_source_path(&source, golden("img_ga8.raiiaf").c_str(), nullptr, &error));
    EXPECT_EQ(std::filesystem::file_size(golden("img_ga8.raiiaf")), source.size);
    raiiaf_source_close(&source);
    unsigned released = 0;
    raiiaf_source_memory(
        &source, "x", 1, "memory", [](void *user) { ++*static_cast<unsigned *>(user); }, &released);
    raiiaf_source_close(&source);
    EXPECT_EQ(1u, released);
}

// ---- limits

TEST(Limits, Defaults)
{
    raiiaf_limits limits;
    raiiaf_limits_default(&limits);
    EXPECT_EQ(RAIIAF_LIMIT_FILE_SIZE, limits.file_size);
    EXPECT_EQ(RAIIAF_LIMIT_CHUNK_SIZE, limits.chunk_size);
    EXPECT_EQ(RAIIAF_LIMIT_LATENT_ELEMENTS, limits.latent_elements);
    EXPECT_EQ(RAIIAF_LIMIT_DIMENSION, limits.dimension);
    EXPECT_EQ(RAIIAF_LIMIT_CHUNKS, limits.chunks);
    EXPECT_EQ(RAIIAF_LIMIT_MANIFEST_SIZE, limits.manifest_size);
    EXPECT_EQ(RAIIAF_LIMIT_STREAM_SIZE, limits.stream_size);
    EXPECT_EQ(RAIIAF_LIMIT_MEMORY, limits.memory);
}

TEST(Limits, EachIsKept)
{
    struct Case {
        const char *what;
        uint64_t raiiaf_limits::*limit;
        uint64_t fits, exceeds;
    };
    // f32_zfp_basic: a latent of (1,4,64,64), an image of 39,055 bytes, a manifest of 2,382, three chunks.
    const Case cases[] = {
        {"file size", &raiiaf_limits::file_size, 287377, 287376},
        {"chunk size", &raiiaf_limits::chunk_size, 65536, 65535},
        {"elements", &raiiaf_limits::latent_elements, 16384, 16383},
        {"dimension", &raiiaf_limits::dimension, 64, 63},
        {"chunks", &raiiaf_limits::chunks, 3, 2},
        {"manifest", &raiiaf_limits::manifest_size, 2382, 2381},
        {"memory", &raiiaf_limits::memory, 16 << 20, 1 << 10},
    };
    for (const Case &c : cases) {
        for (uint64_t value : {c.fits, c.exceeds, uint64_t{0}}) {
            raiiaf_limits limits;
            raiiaf_limits_default(&limits);
            limits.*c.limit = value;
            raiiaf_open_options options{&limits, nullptr, nullptr};
            File file;
            Error error;
            raiiaf_open_path(&file, golden("f32_zfp_basic.raiiaf").c_str(), &options, &error);
            if (error.status == RAIIAF_OK)
                raiiaf_verify(file, 1, nullptr, nullptr, &error);
            EXPECT_EQ(value == c.exceeds ? RAIIAF_ERROR_LIMIT : RAIIAF_OK, error.status)
                << c.what << " " << value << ": " << error.text;
        }
    }
}

// A record may claim so much that its size and a chunk header's together are 5 again: what the frame holds.
TEST(Limits, WithoutThemNoSumWraps)
{
    auto frame = [](std::string_view content) {
        std::string out(ZSTD_compressBound(content.size()), 0);
        out.resize(ZSTD_compress(out.data(), out.size(), content.data(), content.size(), 3));
        return out;
    };
    auto u32 = [](size_t value) {
        std::string out;
        for (int i = 0; i < 4; i++)
            out += static_cast<char>(value >> 8 * i);
        return out;
    };
    const std::string data = frame("DATA0");
    const std::string json = R"({"raiiaf_metadata": {"chunks": [{"type": "DATA", "offset": 33, "compressed_size": )" +
                             std::to_string(data.size()) + R"(, "uncompressed_size": 18446744073709551609, "hash": ")" +
                             std::string(64, '0') + R"("}]}})";
    const std::string manifest = frame("META0000" + u32(json.size()) + json);
    const std::string bytes = "raiiaf" + std::string("\1\0\0", 3) + u32(33 + data.size()) + u32(manifest.size()) +
                              std::string(16, 0) + data + manifest;
    raiiaf_limits limits{};
    raiiaf_open_options options{&limits, nullptr, nullptr};
    File file;
    ASSERT_GOOD(raiiaf_open_memory(&file, bytes.data(), bytes.size(), "wraps", &options, &error));
    Buffer out;
    Error told;
    EXPECT_EQ(RAIIAF_ERROR_DAMAGED, raiiaf_chunk_read(file, 0, 0, &out, &told));
    EXPECT_STREQ("chunk-size", told.id);
    EXPECT_NE(nullptr, std::strstr(told.text, "declares another size")) << told.text;
    EXPECT_BAD(RAIIAF_ERROR_DAMAGED, raiiaf_verify(file, 1, nullptr, nullptr, &error));
}

TEST(Limits, MemoryComesBackWithTheBuffers)
{
    raiiaf_limits limits;
    raiiaf_limits_default(&limits);
    limits.memory = 4 << 20;
    File file;
    ASSERT_NO_FATAL_FAILURE(open_golden(file, "f32_zfp_basic.raiiaf", &limits));
    for (int i = 0; i < 200; i++) {
        Buffer payload;
        ASSERT_GOOD(raiiaf_chunk_read(file, 0, 0, &payload, &error)) << i;
    }
}

// ---- sinks

struct Sink {
    unsigned writes = 0, commits = 0, aborts = 0, fails_at = 0;
    bool commit_fails = false;
    std::string bytes;

    raiiaf_sink sink()
    {
        raiiaf_sink sink{};
        sink.user = this;
        sink.name = "a sink";
        sink.write = [](void *user, const void *data, size_t length) {
            Sink *self = static_cast<Sink *>(user);
            EXPECT_EQ(0u, self->commits + self->aborts) << "written to after its end";
            self->bytes.append(static_cast<const char *>(data), length);
            errno = ENOSPC;
            return ++self->writes != self->fails_at;
        };
        sink.commit = [](void *user) {
            Sink *self = static_cast<Sink *>(user);
            self->commits++;
            errno = EIO;
            return !self->commit_fails;
        };
        sink.abort = [](void *user) { static_cast<Sink *>(user)->aborts++; };
        return sink;
    }
};

TEST(Sink, IsCommittedOrAbortedOnce)
{
    for (bool edited : {false, true}) {
        File file;
        ASSERT_NO_FATAL_FAILURE(open_golden(file, "trajectory.raiiaf"));
        if (edited)
            set(file, "/model_info/prompt", "\"x\"");
        Sink good;
        raiiaf_sink sink = good.sink();
        ASSERT_GOOD(raiiaf_save(file, &sink, nullptr, &error));
        EXPECT_EQ(1u, good.commits);
        EXPECT_EQ(0u, good.aborts);
        EXPECT_EQ(test::save_bytes(file), good.bytes);

        for (unsigned at = 1; at <= good.writes; at++) {
            Sink bad;
            bad.fails_at = at;
            sink = bad.sink();
            EXPECT_BAD(RAIIAF_ERROR_IO, raiiaf_save(file, &sink, nullptr, &error));
            EXPECT_EQ(0u, bad.commits);
            EXPECT_EQ(1u, bad.aborts);
        }
        Sink uncommitted;
        uncommitted.commit_fails = true;
        sink = uncommitted.sink();
        EXPECT_BAD(RAIIAF_ERROR_IO, raiiaf_save(file, &sink, nullptr, &error));
        EXPECT_EQ(1u, uncommitted.commits);
        EXPECT_EQ(0u, uncommitted.aborts);
    }
}

TEST(Sink, IsAbortedWhereTheSourceFails)
{
    File file;
    std::string bytes = test::slurp(golden("img_512_photo.raiiaf"));
    Faulty faulty{bytes};
    raiiaf_source source = faulty.source();
    ASSERT_GOOD(raiiaf_open(&file, &source, nullptr, &error));
    set(file, "/model_info/prompt", "\"x\"");
    faulty.fails = faulty.reads + 1;
    Sink unused;
    raiiaf_sink sink = unused.sink();
    EXPECT_BAD(RAIIAF_ERROR_IO, raiiaf_save(file, &sink, nullptr, &error));
    EXPECT_EQ(0u, unused.commits);
    EXPECT_EQ(1u, unused.aborts);
}

TEST(Sink, GetsNothingFromACancelledSave)
{
    File file;
    ASSERT_GOOD(raiiaf_new(&file, nullptr, &error));
    add_latent(file, "a", {1, 4, 64, 64}, noise(16384, 1));
    add_latent(file, "b", {1, 4, 64, 64}, noise(16384, 2));
    raiiaf_save_options options{};
    options.threads = 1;
    options.progress = [](void *user, uint64_t done, uint64_t total) {
        EXPECT_LE(done, total);
        return ++*static_cast<unsigned *>(user) < 2;
    };
    unsigned calls = 0;
    options.progress_user = &calls;
    Sink unused;
    raiiaf_sink sink = unused.sink();
    EXPECT_BAD(RAIIAF_ERROR_CANCELLED, raiiaf_save(file, &sink, &options, &error));
    EXPECT_EQ(0u, unused.writes);
    EXPECT_EQ(1u, unused.aborts);
    EXPECT_LE(2u, calls);
}

// What is told of a save goes up to the total, whatever becomes of the chunks; a copy is told of, too.
TEST(Save, TellsItsProgress)
{
    struct Told {
        uint64_t done = 0, total = 0;
        unsigned calls = 0;
    };
    for (unsigned kind = 0; kind < 5; kind++) {
        SCOPED_TRACE(kind);
        File file;
        Told told;
        ASSERT_NO_FATAL_FAILURE(open_golden(file, "trajectory.raiiaf"));
        if (kind == 1)
            set(file, "/model_info/prompt", "\"x\"");
        raiiaf_save_options options{};
        options.drop_latents = kind == 2;
        options.float16 = kind == 3;
        options.repack = kind == 4;
        options.progress = [](void *user, uint64_t done, uint64_t total) {
            Told *so_far = static_cast<Told *>(user);
            EXPECT_LE(so_far->done, done);
            EXPECT_TRUE(so_far->calls++ == 0 || so_far->total == total);
            so_far->done = done;
            so_far->total = total;
            return true;
        };
        options.progress_user = &told;
        test::save_bytes(file, &options);
        EXPECT_LT(0u, told.total);
        EXPECT_EQ(told.total, told.done);
    }
}

TEST(Save, CopyMayBeCancelled)
{
    File file;
    ASSERT_NO_FATAL_FAILURE(open_golden(file, "trajectory.raiiaf"));
    raiiaf_save_options options{};
    options.progress = [](void *, uint64_t, uint64_t) { return false; };
    Sink unfinished;
    raiiaf_sink sink = unfinished.sink();
    EXPECT_BAD(RAIIAF_ERROR_CANCELLED, raiiaf_save(file, &sink, &options, &error));
    EXPECT_EQ(0u, unfinished.commits);
    EXPECT_EQ(1u, unfinished.aborts);
}

TEST(Verify, MayBeCancelled)
{
    File file;
    ASSERT_NO_FATAL_FAILURE(open_golden(file, "many_latents_50.raiiaf"));
    unsigned calls = 0;
    auto stop = [](void *user, uint64_t, uint64_t) { return ++*static_cast<unsigned *>(user) < 3; };
    EXPECT_BAD(RAIIAF_ERROR_CANCELLED, raiiaf_verify(file, 1, stop, &calls, &error));
    EXPECT_EQ(3u, calls);
}

// ---- saving to a path

mode_t mode_of(const std::filesystem::path &path)
{
    struct stat status {
    };
    EXPECT_EQ(0, stat(path.c_str(), &status));
    return status.st_mode & 07777;
}

TEST(SavePath, ReplacesWhole)
{
    test::Scratch scratch;
    std::filesystem::path path = scratch / "x.raiiaf", link = scratch / "link.raiiaf";
    mode_t mask = umask(022);
    File file;
    ASSERT_NO_FATAL_FAILURE(open_golden(file, "img_rgb16.raiiaf"));
    ASSERT_GOOD(raiiaf_save_path(file, path.c_str(), nullptr, &error));
    EXPECT_EQ(mode_t{0644}, mode_of(path));
    umask(mask);
    ASSERT_EQ(0, chmod(path.c_str(), 0640));
    ASSERT_EQ(0, symlink("x.raiiaf", link.c_str()));

    // Onto the very file that it comes from, through a link: its stored chunks are still wanted meanwhile.
    File again;
    ASSERT_GOOD(raiiaf_open_path(&again, link.c_str(), nullptr, &error));
    std::vector<std::string> contents = test::contents(again);
    set(again, "/model_info/prompt", "\"new\"");
    ASSERT_GOOD(raiiaf_save_path(again, link.c_str(), nullptr, &error));
    EXPECT_TRUE(std::filesystem::is_symlink(link));
    EXPECT_EQ(mode_t{0640}, mode_of(path));
    EXPECT_EQ(test::slurp(path), test::save_bytes(again)) << "it can't be saved a second time";
    EXPECT_EQ(contents, test::contents(again));
    File last;
    ASSERT_GOOD(raiiaf_open_path(&last, path.c_str(), nullptr, &error));
    EXPECT_EQ("\"new\"", test::get(last, "/model_info/prompt"));
    EXPECT_EQ(contents, test::contents(last));
    EXPECT_EQ((std::vector<std::string>{"link.raiiaf", "x.raiiaf"}), scratch.names());
}

// A folder that several share: whoever may write a file isn't always its owner, and what was closed to all others stays
// so.  tests/all.sh runs the tests of such names as root, and those alone.
TEST(SavePath, AsRootKeepsTheGroupOfAnothersFile)
{
    if (geteuid() != 0)
        GTEST_SKIP() << "only root can make a file that is another's";
    const uid_t somebody = 65534;
    const gid_t team = 12345;
    test::Scratch scratch;
    std::filesystem::path path = scratch / "x.raiiaf";
    File file;
    ASSERT_NO_FATAL_FAILURE(open_golden(file, "img_rgb16.raiiaf"));
    test::spill(path, "the old file");
    ASSERT_EQ(0, chown(path.c_str(), 0, team));
    ASSERT_EQ(0, chmod(path.c_str(), 0660));
    ASSERT_EQ(0, chown((scratch / ".").c_str(), 0, team));
    ASSERT_EQ(0, chmod((scratch / ".").c_str(), 0770));

    // In a process of its own: which user it is can't be taken back by all that it has opened.
    pid_t child = fork();
    if (child == 0) {
        mode_t mask = 022;
        umask(mask);
        bool ready = setgroups(1, &team) == 0 && setresgid(somebody, somebody, somebody) == 0 &&
                     setresuid(somebody, somebody, somebody) == 0;
        _exit(!ready ? 2 : raiiaf_save_path(file, path.c_str(), nullptr, nullptr) == RAIIAF_OK ? 0 : 1);
    }
    int result = -1;
    ASSERT_EQ(child, waitpid(child, &result, 0));
    ASSERT_EQ(0, result);
    struct stat about = {};
    ASSERT_EQ(0, stat(path.c_str(), &about));
    EXPECT_EQ(somebody, about.st_uid);
    EXPECT_EQ(team, about.st_gid);
    EXPECT_EQ(mode_t{0660}, about.st_mode & 07777);
}

TEST(SavePath, FailureLeavesTheOldFile)
{
    test::Scratch scratch;
    std::filesystem::path path = scratch / "x.raiiaf";
    test::spill(path, "the old file");
    File file;
    ASSERT_NO_FATAL_FAILURE(open_golden(file, "img_512_photo.raiiaf"));
    set(file, "/model_info/prompt", "\"x\"");

    rlimit was{}, little{};
    ASSERT_EQ(0, getrlimit(RLIMIT_FSIZE, &was));
    little = was;
    little.rlim_cur = 65536;
    auto handler = signal(SIGXFSZ, SIG_IGN);
    ASSERT_EQ(0, setrlimit(RLIMIT_FSIZE, &little)); // as if the disk were full
    Error failure;
    raiiaf_status status = raiiaf_save_path(file, path.c_str(), nullptr, &failure);
    ASSERT_EQ(0, setrlimit(RLIMIT_FSIZE, &was));
    signal(SIGXFSZ, handler);
    EXPECT_EQ(RAIIAF_ERROR_IO, status) << failure.text;
    EXPECT_NE(nullptr, std::strstr(failure.text, "x.raiiaf")) << failure.text;
    EXPECT_EQ("the old file", test::slurp(path));
    EXPECT_EQ(std::vector<std::string>{"x.raiiaf"}, scratch.names()) << "left something behind";

    EXPECT_BAD(RAIIAF_ERROR_IO, raiiaf_save_path(file, (scratch / "no/x.raiiaf").c_str(), nullptr, &error));
    EXPECT_BAD(RAIIAF_ERROR_IO, raiiaf_save_path(file, (scratch / ".").c_str(), nullptr, &error));
    EXPECT_EQ(std::vector<std::string>{"x.raiiaf"}, scratch.names()) << "left something behind";
}

TEST(SavePath, FullDeviceIsAnError)
{
    if (access("/dev/full", W_OK) != 0)
        GTEST_SKIP() << "no /dev/full here";
    File file;
    ASSERT_NO_FATAL_FAILURE(open_golden(file, "img_rgb16.raiiaf"));
    EXPECT_BAD(RAIIAF_ERROR_IO, raiiaf_save_path(file, "/dev/full", nullptr, &error));
}

TEST(SavePath, PipeIsWrittenAsItIs)
{
    test::Scratch scratch;
    std::string fifo = (scratch / "pipe").string(), got;
    ASSERT_EQ(0, mkfifo(fifo.c_str(), 0600));
    File file;
    ASSERT_NO_FATAL_FAILURE(open_golden(file, "multi_shapes_f16_raw.raiiaf"));
    std::thread reader([&] { got = test::slurp(fifo); });
    EXPECT_GOOD(raiiaf_save_path(file, fifo.c_str(), nullptr, &error));
    reader.join();
    EXPECT_TRUE(got == test::slurp(golden("multi_shapes_f16_raw.raiiaf")));
    EXPECT_EQ(std::vector<std::string>{"pipe"}, scratch.names());
}

TEST(SavePath, LongNameInAFolderOfItsOwn)
{
    test::Scratch scratch;
    std::string name = std::string(248, 'n') + ".raiiaf"; // 255 bytes: no room to append anything
    File file;
    ASSERT_NO_FATAL_FAILURE(open_golden(file, "img_1x1.raiiaf"));
    EXPECT_GOOD(raiiaf_save_path(file, (scratch / name).c_str(), nullptr, &error));
    EXPECT_EQ(std::vector<std::string>{name}, scratch.names());
}

// ---- saving to a path, its name later

raiiaf_pending *wait_for_name(const std::filesystem::path &path, const std::string &text)
{
    raiiaf_sink sink;
    raiiaf_pending *pending = nullptr;
    EXPECT_GOOD(raiiaf_sink_pending(&sink, path.c_str(), 0666, &pending, &error));
    EXPECT_TRUE(sink.write(sink.user, text.data(), text.size()));
    EXPECT_TRUE(sink.commit(sink.user));
    return pending;
}

TEST(SavePending, TakesItsPlaceWhenAsked)
{
    test::Scratch scratch;
    raiiaf_pending *pending[] = {wait_for_name(scratch / "x", "one"), wait_for_name(scratch / "x", "two"),
                                 wait_for_name(scratch / "x", "three")};
    ASSERT_GOOD(raiiaf_pending_sync(pending, 3, &error));
    EXPECT_EQ(std::vector<std::string>{}, scratch.names());
    EXPECT_GOOD(raiiaf_pending_place(pending[0], (scratch / "x").c_str(), false, &error));
    Error taken;
    EXPECT_EQ(RAIIAF_ERROR_IO, raiiaf_pending_place(pending[1], (scratch / "x").c_str(), false, &taken));
    EXPECT_STREQ("exists", taken.id);
    EXPECT_EQ("one", test::slurp(scratch / "x"));
    EXPECT_GOOD(raiiaf_pending_place(pending[1], (scratch / "y").c_str(), false, &error));
    EXPECT_GOOD(raiiaf_pending_place(pending[2], (scratch / "x").c_str(), true, &error));
    EXPECT_EQ("three", test::slurp(scratch / "x"));
    EXPECT_EQ("two", test::slurp(scratch / "y"));
    EXPECT_EQ((std::vector<std::string>{"x", "y"}), scratch.names());
}

TEST(SavePending, LeavesNothingWhereItIsDropped)
{
    test::Scratch scratch;
    raiiaf_pending_drop(nullptr);
    raiiaf_pending_drop(wait_for_name(scratch / "x", "one"));
    raiiaf_pending *pending = wait_for_name(scratch / "x", "two");
    EXPECT_BAD(RAIIAF_ERROR_IO, raiiaf_pending_place(pending, (scratch / "no/x").c_str(), false, &error));
    EXPECT_BAD(RAIIAF_ERROR_IO, raiiaf_pending_place(pending, (scratch / "no/x").c_str(), true, &error));
    raiiaf_pending_drop(pending);
    raiiaf_sink sink;
    ASSERT_GOOD(raiiaf_sink_pending(&sink, (scratch / "x").c_str(), 0666, &pending, &error));
    sink.abort(sink.user);
    EXPECT_EQ(nullptr, pending);
    EXPECT_BAD(RAIIAF_ERROR_IO, raiiaf_sink_pending(&sink, (scratch / "no/x").c_str(), 0666, &pending, &error));
    EXPECT_EQ(std::vector<std::string>{}, scratch.names());
}

// ---- new files

void build(File &file)
{
    ASSERT_GOOD(raiiaf_new(&file, nullptr, &error));
    set(file, "/model_info/prompt", "\"a lighthouse\"");
    set(file, "/model_info/generation_settings", R"({"seed": 7, "steps": 20, "sampler": "euler", "cfg_scale": 7.5})");
    add_latent(file, "noise", {1, 4, 32, 32}, noise(4096, 3));
    std::vector<float> smooth(4096);
    for (size_t i = 0; i < smooth.size(); i++)
        smooth[i] = std::sin(static_cast<float>(i) / 50);
    add_latent(file, "smooth", {1, 4, 32, 32}, smooth);
    std::vector<uint16_t> halves(64, 0x3c00);
    uint32_t shape[] = {1, 1, 8, 8};
    ASSERT_GOOD(raiiaf_latent_add(file, "halves", shape, 4, RAIIAF_FLOAT16, halves.data(), 128, &error));
    std::string png = test::plain_png(16, 8, 10, 20, 30);
    ASSERT_GOOD(raiiaf_image_set(file, png.data(), png.size(), nullptr, &error));
    std::string environment = R"({"env_version": 1, "components": []})";
    ASSERT_GOOD(raiiaf_environment_set(file, environment.data(), environment.size(), &error));
}

TEST(New, ComesBackAsItWasBuilt)
{
    Variable epoch("SOURCE_DATE_EPOCH", "1700000000");
    File file;
    ASSERT_NO_FATAL_FAILURE(build(file));
    EXPECT_TRUE(raiiaf_edited(file));
    EXPECT_EQ(0u, raiiaf_file_size(file));
    std::vector<std::string> contents = test::contents(file);
    ASSERT_EQ(5u, contents.size());
    std::string saved = test::save_bytes(file);
    EXPECT_EQ(saved, test::save_bytes(file));

    File again;
    ASSERT_GOOD(test::open_bytes(again, saved, &error));
    EXPECT_GOOD(raiiaf_verify(again, 0, nullptr, nullptr, &error));
    EXPECT_EQ(RAIIAF_LAYOUT_33, raiiaf_layout_of(again));
    std::sort(contents.begin(), contents.end()); // saving may order chunks as the reference does
    std::vector<std::string> got = test::contents(again);
    std::sort(got.begin(), got.end());
    EXPECT_EQ(contents, got);
    EXPECT_EQ(0u, test::get(again, "/model_info/date").find("\"2023-11-14T22:13:20")) << test::manifest(again);
    EXPECT_EQ("\"\"", test::get(again, "/model_info/model_name"));
    EXPECT_EQ("[]", test::get(again, "/model_info/tags"));
    EXPECT_EQ("(none)", test::get(again, "/model_info/hardware_info")) << "nobody knows it";
    EXPECT_EQ("7.5", test::get(again, "/model_info/generation_settings/cfg_scale"));
    EXPECT_EQ("(none)", test::get(again, "/history")) << "nothing became anything else";

    File twin;
    ASSERT_NO_FATAL_FAILURE(build(twin));
    EXPECT_EQ(saved, test::save_bytes(twin)) << "same input, other bytes";
    raiiaf_save_options options{};
    options.threads = 4;
    EXPECT_EQ(saved, test::save_bytes(twin, &options)) << "threads show in the file";
    options.tool = "a test 1.0";
    EXPECT_EQ(saved, test::save_bytes(twin, &options)) << "what is new has a history";
}

TEST(New, NothingInIt)
{
    File file, again;
    ASSERT_GOOD(raiiaf_new(&file, nullptr, &error));
    EXPECT_EQ(0u, raiiaf_chunk_count(file));
    EXPECT_EQ(RAIIAF_NONE, raiiaf_image_chunk(file));
    std::string saved = test::save_bytes(file);
    ASSERT_GOOD(test::open_bytes(again, saved, &error));
    EXPECT_EQ(0u, raiiaf_chunk_count(again));
    for (const char *name : {"/model_info/model_name", "/model_info/version", "/model_info/prompt"})
        EXPECT_EQ("\"\"", test::get(again, name)) << name;
}

TEST(New, LatentsAreStoredSmall)
{
    File file;
    ASSERT_NO_FATAL_FAILURE(build(file));
    std::string saved = test::save_bytes(file);
    File again;
    ASSERT_GOOD(test::open_bytes(again, saved, &error));
    size_t i = raiiaf_latent_find(again, "smooth");
    ASSERT_NE(RAIIAF_NONE, i);
    raiiaf_chunk_info info = test::chunk_info(again, i);
    EXPECT_EQ(RAIIAF_ENCODING_ZFP, info.encoding);
    EXPECT_GT(info.size * 9 / 10, info.stored_size);
    for (const char *key : {"noise", "halves"}) {
        info = test::chunk_info(again, raiiaf_latent_find(again, key));
        EXPECT_GE(info.size + 12, info.stored_size) << key;
    }
}

TEST(LatentAdd, RefusesWhatTheReferenceWould)
{
    File file;
    ASSERT_GOOD(raiiaf_new(&file, nullptr, &error));
    std::string before = test::manifest(file);
    std::vector<float> data(64, 1.0f);
    const std::vector<std::vector<uint32_t>> shapes = {{64},         {8, 8},        {1, 8, 8},      {1, 1, 1, 8, 8},
                                                       {0, 1, 8, 8}, {1, 1, 0, 64}, {1, 1, 1, 8193}};
    for (const auto &shape : shapes) {
        size_t size = 4;
        for (uint32_t axis : shape)
            size *= axis;
        std::vector<float> tensor(size / 4 + 1, 1.0f);
        EXPECT_BAD(RAIIAF_ERROR_SCHEMA, raiiaf_latent_add(file, "k", shape.data(), static_cast<unsigned>(shape.size()),
                                                          RAIIAF_FLOAT32, tensor.data(), size, &error));
    }
    uint32_t shape[] = {1, 1, 8, 8};
    for (float odd : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                      -std::numeric_limits<float>::infinity()}) {
        data[63] = odd;
        EXPECT_BAD(RAIIAF_ERROR_SCHEMA,
                   raiiaf_latent_add(file, "k", shape, 4, RAIIAF_FLOAT32, data.data(), 256, &error));
    }
    std::vector<uint16_t> halves(64, 0x7c00);
    EXPECT_BAD(RAIIAF_ERROR_SCHEMA, raiiaf_latent_add(file, "k", shape, 4, RAIIAF_FLOAT16, halves.data(), 128, &error));
    data[63] = 1;
    for (size_t size : {size_t{0}, size_t{252}, size_t{260}}) {
        Error error;
        EXPECT_NE(RAIIAF_OK, raiiaf_latent_add(file, "k", shape, 4, RAIIAF_FLOAT32, data.data(), size, &error));
    }
    EXPECT_EQ(before, test::manifest(file));
    EXPECT_EQ(0u, raiiaf_chunk_count(file));
    EXPECT_GOOD(raiiaf_latent_add(file, "k", shape, 4, RAIIAF_FLOAT32, data.data(), 256, &error));
    EXPECT_EQ(1u, raiiaf_latent_count(file));
}

TEST(Latents, AreFoundByKeyThenByNumber)
{
    File file;
    ASSERT_NO_FATAL_FAILURE(open_golden(file, "key_oddities.raiiaf"));
    ASSERT_EQ(5u, raiiaf_latent_count(file));
    EXPECT_EQ(0u, raiiaf_latent_find(file, ""));
    EXPECT_EQ(1u, raiiaf_latent_find(file, "ключ 🗝"));
    EXPECT_EQ(2u, raiiaf_latent_find(file, "a/b\\c\"d"));
    EXPECT_EQ(3u, raiiaf_latent_find(file, "7"));
    EXPECT_EQ(4u, raiiaf_latent_find(file, "null"));
    EXPECT_EQ(4u, raiiaf_latent_find(file, "4"));
    EXPECT_EQ(RAIIAF_NONE, raiiaf_latent_find(file, "5"));
    EXPECT_EQ(RAIIAF_NONE, raiiaf_latent_find(file, "-1"));
    EXPECT_EQ(RAIIAF_NONE, raiiaf_latent_find(file, "4 "));
    EXPECT_EQ(RAIIAF_NONE, raiiaf_latent_find(file, "18446744073709551616"));
}

// ---- edits

TEST(Edit, UnknownChunksStay)
{
    for (const char *name : {"corrupt/unknown_type_extra.raiiaf", "corrupt/g5_unknown_type_extra.gen5",
                             "corrupt/r29_unknown_type.raiiaf", "corrupt/g5z_unknown_type.gen5"}) {
        File file;
        ASSERT_NO_FATAL_FAILURE(open_golden(file, name));
        std::vector<std::string> contents = test::contents(file);
        set(file, "/model_info/prompt", "\"x\"");
        std::string saved = test::save_bytes(file);
        File again;
        ASSERT_GOOD(test::open_bytes(again, saved, &error));
        EXPECT_GOOD(raiiaf_verify(again, 0, nullptr, nullptr, &error));
        EXPECT_EQ(contents, test::contents(again)) << name;
        EXPECT_EQ(RAIIAF_LAYOUT_33, raiiaf_layout_of(again));
    }
}

// The member that raiiaf-33 wants may be in the way already.
TEST(Edit, OfAPredecessorsFileWithTheSuccessorsName)
{
    for (const char *other : {"5", R"({"chunks": []})"}) {
        File plain, file, again;
        ASSERT_NO_FATAL_FAILURE(open_golden(plain, "g5_f32_raw.gen5"));
        std::string text = test::manifest(plain);
        text.insert(text.rfind('}'), R"(, "raiiaf_metadata": )" + std::string(other));
        std::string bytes = test::with_manifest(test::slurp(golden("g5_f32_raw.gen5")), text);
        ASSERT_GOOD(test::open_bytes(file, bytes, &error));
        set(file, "/model_info/prompt", "\"x\"");
        std::string saved = test::save_bytes(file);
        ASSERT_GOOD(test::open_bytes(again, saved, &error));
        EXPECT_EQ("\"x\"", test::get(again, "/model_info/prompt"));
        EXPECT_EQ(test::contents(plain), test::contents(again));
    }
}

TEST(Edit, LeavesWhatWasReadBefore)
{
    File file;
    ASSERT_GOOD(raiiaf_new(&file, nullptr, &error));
    const std::string first = test::plain_png(4, 4, 1, 2, 3), second = test::plain_png(4, 4, 3, 2, 1);
    ASSERT_GOOD(raiiaf_image_set(file, first.data(), first.size(), nullptr, &error));
    Buffer before, after;
    ASSERT_GOOD(raiiaf_chunk_read(file, 0, 0, &before, &error));
    ASSERT_GOOD(raiiaf_image_set(file, second.data(), second.size(), nullptr, &error));
    EXPECT_EQ(first, before.bytes());
    ASSERT_GOOD(raiiaf_chunk_read(file, 0, 0, &after, &error));
    ASSERT_GOOD(raiiaf_chunk_remove(file, 0, &error));
    EXPECT_EQ(second, after.bytes());
}

TEST(Edit, SeveralImagesAndEnvironments)
{
    File file;
    ASSERT_NO_FATAL_FAILURE(open_golden(file, "corrupt/dup_data.raiiaf"));
    ASSERT_EQ(2u, test::chunks_of(file, "DATA").size());
    EXPECT_EQ(test::chunks_of(file, "DATA").back(), raiiaf_image_chunk(file));
    std::string first = test::read_chunk(file, test::chunks_of(file, "DATA").front());
    std::string png = test::plain_png(3, 3, 9, 9, 9);
    ASSERT_GOOD(raiiaf_image_set(file, png.data(), png.size(), nullptr, &error));
    std::string saved = test::save_bytes(file);
    File again;
    ASSERT_GOOD(test::open_bytes(again, saved, &error));
    ASSERT_EQ(2u, test::chunks_of(again, "DATA").size());
    EXPECT_EQ(first, test::read_chunk(again, test::chunks_of(again, "DATA").front()));
    EXPECT_EQ(png, test::read_chunk(again, raiiaf_image_chunk(again)));
}

TEST(Edit, RemovedChunksAreGone)
{
    File file;
    ASSERT_NO_FATAL_FAILURE(open_golden(file, "trajectory.raiiaf"));
    size_t count = raiiaf_chunk_count(file);
    std::vector<std::string> contents = test::contents(file);
    ASSERT_GOOD(raiiaf_chunk_remove(file, 2, &error));
    contents.erase(contents.begin() + 2);
    EXPECT_EQ(contents, test::contents(file));
    EXPECT_BAD(RAIIAF_ERROR_MISSING, raiiaf_chunk_remove(file, count, &error));
    ASSERT_GOOD(raiiaf_image_remove(file, &error));
    EXPECT_EQ(RAIIAF_NONE, raiiaf_image_chunk(file));
    EXPECT_BAD(RAIIAF_ERROR_MISSING, raiiaf_image_remove(file, &error));
    ASSERT_GOOD(raiiaf_environment_set(file, nullptr, 0, &error));
    EXPECT_EQ(RAIIAF_NONE, raiiaf_environment_chunk(file));
    std::string saved = test::save_bytes(file);
    File again;
    ASSERT_GOOD(test::open_bytes(again, saved, &error));
    EXPECT_EQ(count - 3, raiiaf_chunk_count(again));
    EXPECT_EQ(test::contents(file), test::contents(again));
}

TEST(Edit, FailedOnesChangeNothing)
{
    File file;
    ASSERT_NO_FATAL_FAILURE(open_golden(file, "hw_rich.raiiaf"));
    std::string before = test::manifest(file);
    for (const char *path : {"/file_info/file_size", "/chunks/0/offset", "/chunks", "/history", "/capsule"})
        EXPECT_BAD(RAIIAF_ERROR_SCHEMA, raiiaf_set(file, path, "1", 1, &error));
    EXPECT_BAD(RAIIAF_ERROR_SCHEMA, raiiaf_set(file, "/model_info/prompt", "1", 1, &error));
    EXPECT_BAD(RAIIAF_ERROR_SCHEMA, raiiaf_set(file, "/model_info/generation_settings/steps", "0", 1, &error));
    EXPECT_BAD(RAIIAF_ERROR_SCHEMA, raiiaf_set_text(file, "seed", "a lot", &error));
    EXPECT_BAD(RAIIAF_ERROR_SCHEMA, raiiaf_unset(file, "/model_info/prompt", &error));
    EXPECT_BAD(RAIIAF_ERROR_MISSING, raiiaf_unset(file, "/model_info/none", &error));
    EXPECT_NE(RAIIAF_OK, raiiaf_set(file, "/model_info/prompt", "\"open", 5, nullptr));
    EXPECT_NE(RAIIAF_OK, raiiaf_environment_set(file, "{}", 2, nullptr));
    EXPECT_EQ(before, test::manifest(file));
    EXPECT_FALSE(raiiaf_edited(file));
}

TEST(Edit, HistoryOnlyWhereSomethingChanged)
{
    raiiaf_save_options options{};
    options.tool = "a test 1.0";
    options.date = "2026-01-02T03:04:05+00:00";
    File file;
    ASSERT_NO_FATAL_FAILURE(open_golden(file, "trajectory.raiiaf"));
    std::string before = test::chunk_info(file, raiiaf_image_chunk(file)).sha256;
    std::string bytes = test::slurp(golden("trajectory.raiiaf"));
    EXPECT_EQ(bytes, test::save_bytes(file, &options));

    set(file, "/model_info/prompt", test::get(file, "/model_info/prompt"));
    EXPECT_EQ(bytes, test::save_bytes(file, &options)) << "the same value is no edit";

    set(file, "/model_info/prompt", "\"new\"");
    std::string saved = test::save_bytes(file, &options);
    File again;
    ASSERT_GOOD(test::open_bytes(again, saved, &error));
    EXPECT_EQ("\"a test 1.0\"", test::get(again, "/history/0/tool"));
    EXPECT_EQ("\"metadata\"", test::get(again, "/history/0/action"));
    EXPECT_EQ("\"2026-01-02T03:04:05+00:00\"", test::get(again, "/history/0/date"));
    EXPECT_EQ("\"" + before + "\"", test::get(again, "/history/0/image_before"));
    EXPECT_EQ("\"" + before + "\"", test::get(again, "/history/0/image_after"));
    EXPECT_EQ(saved, test::save_bytes(again, &options));

    std::string png = test::plain_png(4, 4, 1, 1, 1);
    ASSERT_GOOD(raiiaf_image_set(again, png.data(), png.size(), nullptr, &error));
    std::string third = test::save_bytes(again, &options);
    File last;
    ASSERT_GOOD(test::open_bytes(last, third, &error));
    EXPECT_EQ("\"edited\"", test::get(last, "/history/1/action"));
    EXPECT_EQ("\"" + before + "\"", test::get(last, "/history/1/image_before"));
    EXPECT_EQ("\"" + test::sha256(png) + "\"", test::get(last, "/history/1/image_after"));
    EXPECT_EQ("(none)", test::get(last, "/history/2"));
    options.tool = nullptr;
    std::string silent = test::save_bytes(again, &options);
    File without;
    ASSERT_GOOD(test::open_bytes(without, silent, &error));
    EXPECT_EQ("(none)", test::get(without, "/history/1")) << "no tool, no entry";
}

TEST(Edit, TheImagesTextIsKept)
{
    File file;
    ASSERT_NO_FATAL_FAILURE(open_golden(file, "img_rgba_text.raiiaf"));
    std::string image = test::read_chunk(file, raiiaf_image_chunk(file));
    struct Texts {
        std::vector<std::string> digests;
    } texts;
    auto callback = [](void *user, const raiiaf_carrier *carrier) {
        std::string_view data(reinterpret_cast<const char *>(carrier->data), carrier->size);
        static_cast<Texts *>(user)->digests.push_back(test::sha256(data));
        return true;
    };
    ASSERT_GOOD(raiiaf_carrier_each(image.data(), image.size(), nullptr, callback, &texts, &error));
    ASSERT_LT(0u, texts.digests.size());
    std::string png = test::plain_png(4, 4, 1, 1, 1);
    ASSERT_GOOD(raiiaf_image_set(file, png.data(), png.size(), nullptr, &error));
    std::string saved = test::save_bytes(file);
    File again;
    ASSERT_GOOD(test::open_bytes(again, saved, &error));
    std::string carriers = test::get(again, "/source/carriers");
    for (const std::string &digest : texts.digests)
        EXPECT_NE(std::string::npos, carriers.find(digest)) << carriers;
}

// ---- save options

TEST(SaveOptions, DropLatents)
{
    File file;
    ASSERT_NO_FATAL_FAILURE(open_golden(file, "trajectory.raiiaf"));
    raiiaf_save_options options{};
    options.drop_latents = true;
    std::string saved = test::save_bytes(file, &options);
    EXPECT_EQ(9u, raiiaf_latent_count(file)) << "the file itself stays as it was";
    File again;
    ASSERT_GOOD(test::open_bytes(again, saved, &error));
    EXPECT_EQ(0u, raiiaf_latent_count(again));
    EXPECT_EQ(test::read_chunk(file, raiiaf_image_chunk(file)), test::read_chunk(again, raiiaf_image_chunk(again)));
    EXPECT_EQ(test::get(file, "/model_info"), test::get(again, "/model_info"));
    EXPECT_EQ(test::slurp(golden("trajectory.raiiaf")), test::save_bytes(file));
}

TEST(SaveOptions, Float16)
{
    File file;
    ASSERT_NO_FATAL_FAILURE(open_golden(file, "f32_zfp_basic.raiiaf"));
    raiiaf_save_options options{};
    options.float16 = true;
    std::string saved = test::save_bytes(file, &options);
    File again;
    ASSERT_GOOD(test::open_bytes(again, saved, &error));
    EXPECT_GOOD(raiiaf_verify(again, 0, nullptr, nullptr, &error));
    raiiaf_chunk_info info = test::chunk_info(again, raiiaf_latent_chunk(again, 0));
    EXPECT_EQ(RAIIAF_FLOAT16, info.dtype);
    EXPECT_EQ(32768u, info.size);
    EXPECT_EQ("\"F16\"", test::get(again, "/chunks/0/flags"));
    EXPECT_EQ("\"float16\"", test::get(again, "/chunks/0/extra/dtype"));
    raiiaf_statistics wide, narrow;
    std::string was = test::read_chunk(file, 0), is = test::read_chunk(again, 0);
    ASSERT_GOOD(raiiaf_latent_statistics(was.data(), was.size(), RAIIAF_FLOAT32, &wide, &error));
    ASSERT_GOOD(raiiaf_latent_statistics(is.data(), is.size(), RAIIAF_FLOAT16, &narrow, &error));
    EXPECT_NEAR(wide.maximum, narrow.maximum, 0.004);
    EXPECT_NEAR(wide.deviation, narrow.deviation, 0.001);
    EXPECT_EQ(wide.elements, narrow.elements);
    EXPECT_EQ(RAIIAF_FLOAT32, test::chunk_info(file, 0).dtype) << "the file itself stays as it was";
}

TEST(SaveOptions, RepackShrinksTheReferencesLatents)
{
    File file;
    ASSERT_NO_FATAL_FAILURE(open_golden(file, "f32_zfp_basic.raiiaf"));
    raiiaf_save_options options{};
    options.repack = true;
    std::string saved = test::save_bytes(file, &options);
    EXPECT_GT(287377u * 2 / 5, saved.size());
    EXPECT_EQ(saved, test::save_bytes(file, &options));
    File again;
    ASSERT_GOOD(test::open_bytes(again, saved, &error));
    EXPECT_EQ(test::contents(file), test::contents(again));
    EXPECT_EQ(saved, test::save_bytes(again)) << "packed already";
}

// ---- capsules

TEST(Capsule, WithoutLatentsOrChunks)
{
    File file;
    ASSERT_NO_FATAL_FAILURE(open_golden(file, "trajectory.raiiaf"));
    size_t sizes[3] = {};
    for (unsigned flags : {0u, RAIIAF_CAPSULE_NO_LATENTS, RAIIAF_CAPSULE_NO_CHUNKS}) {
        Buffer capsule;
        ASSERT_GOOD(raiiaf_capsule_make(file, nullptr, flags, &capsule, &error));
        sizes[flags] = capsule.size;
        std::string kept = capsule.bytes();
        File opened;
        ASSERT_GOOD(test::open_bytes(opened, kept, &error));
        EXPECT_TRUE(raiiaf_is_capsule(opened));
        EXPECT_EQ(flags ? 0u : 9u, raiiaf_latent_count(opened));
        EXPECT_EQ(flags & RAIIAF_CAPSULE_NO_CHUNKS, raiiaf_environment_chunk(opened) == RAIIAF_NONE ? 2u : 0u);
        EXPECT_EQ(test::get(file, "/model_info"), test::get(opened, "/model_info"));
        std::string png = test::read_chunk(file, raiiaf_image_chunk(file));
        ASSERT_GOOD(raiiaf_capsule_join(opened, nullptr, 0, &error));
        ASSERT_GOOD(raiiaf_image_set(opened, png.data(), png.size(), nullptr, &error));
        std::string saved = test::save_bytes(opened);
        File again;
        ASSERT_GOOD(test::open_bytes(again, saved, &error));
        EXPECT_GOOD(raiiaf_verify(again, 0, nullptr, nullptr, &error));
        EXPECT_EQ(png, test::read_chunk(again, raiiaf_image_chunk(again)));
    }
    EXPECT_GT(sizes[0], sizes[1]);
    EXPECT_GT(sizes[1], sizes[2]);
}

// A chunk without bytes may be recorded anywhere, even in the header.
TEST(Capsule, IsJoinedToTheVeryFileDespiteAnEmptyChunk)
{
    std::string plain = test::slurp(golden("img_rgb16.raiiaf"));
    File original;
    ASSERT_GOOD(test::open_bytes(original, plain, &error));
    for (const char *offset : {"0", "33", "100"}) {
        std::string text = test::manifest(original);
        text.insert(text.find('[', text.find("\"chunks\"")) + 1,
                    R"({"type": "NOTE", "compressed_size": 0, "offset": )" + std::string(offset) +
                        R"(, "uncompressed_size": 0, "hash": ")" + std::string(64, '0') + R"("}, )");
        std::string bytes = test::with_manifest(plain, text);
        File file, capsule;
        Buffer made, stored;
        ASSERT_GOOD(test::open_bytes(file, bytes, &error));
        ASSERT_GOOD(raiiaf_capsule_make(file, nullptr, 0, &made, &error));
        ASSERT_GOOD(raiiaf_chunk_read_stored(file, raiiaf_image_chunk(file), &stored, &error));
        ASSERT_GOOD(test::open_bytes(capsule, made.view(), &error));
        ASSERT_GOOD(raiiaf_capsule_join(capsule, stored.data, stored.size, &error));
        EXPECT_FALSE(raiiaf_edited(capsule)) << offset;
        EXPECT_TRUE(bytes == test::save_bytes(capsule)) << offset;
    }
}

TEST(Capsule, RefusesAnotherImageChunk)
{
    File file, other, capsule;
    ASSERT_NO_FATAL_FAILURE(open_golden(file, "img_rgba_text.raiiaf"));
    ASSERT_NO_FATAL_FAILURE(open_golden(other, "img_ga8.raiiaf"));
    Buffer made;
    ASSERT_GOOD(raiiaf_capsule_make(file, nullptr, 0, &made, &error));
    std::string kept = made.bytes();
    ASSERT_GOOD(test::open_bytes(capsule, kept, &error));
    std::string before = test::manifest(capsule);
    std::string stored = test::read_stored(other, raiiaf_image_chunk(other));
    EXPECT_BAD(RAIIAF_ERROR_HASH, raiiaf_capsule_join(capsule, stored.data(), stored.size(), &error));
    stored = test::read_stored(file, raiiaf_image_chunk(file));
    std::string damaged = stored;
    damaged[damaged.size() / 2] = static_cast<char>(damaged[damaged.size() / 2] ^ 1);
    EXPECT_BAD(RAIIAF_ERROR_HASH, raiiaf_capsule_join(capsule, damaged.data(), damaged.size(), &error));
    EXPECT_BAD(RAIIAF_ERROR_HASH, raiiaf_capsule_join(capsule, stored.data(), stored.size() - 1, &error));
    EXPECT_EQ(before, test::manifest(capsule));
    EXPECT_TRUE(raiiaf_is_capsule(capsule));
    EXPECT_GOOD(raiiaf_capsule_join(capsule, stored.data(), stored.size(), &error));
    EXPECT_EQ(test::slurp(golden("img_rgba_text.raiiaf")), test::save_bytes(capsule));

    EXPECT_BAD(RAIIAF_ERROR_ARGUMENT, raiiaf_capsule_join(other, stored.data(), stored.size(), &error));
    EXPECT_FALSE(raiiaf_is_capsule(other));
    EXPECT_EQ(nullptr, raiiaf_capsule_digest(other));
}

// Edits before making a capsule and after joining it count; those in between have nothing to refer to.
TEST(Capsule, EditsSurvive)
{
    File file;
    ASSERT_NO_FATAL_FAILURE(open_golden(file, "g5_f32_zstd.gen5"));
    std::string image = test::read_chunk(file, raiiaf_image_chunk(file));
    std::string latent = test::read_chunk(file, raiiaf_latent_chunk(file, 0));
    set(file, "/model_info/prompt", "\"first\"");
    Buffer made;
    ASSERT_GOOD(raiiaf_capsule_make(file, nullptr, 0, &made, &error));
    std::string kept = made.bytes();
    File capsule;
    ASSERT_GOOD(test::open_bytes(capsule, kept, &error));
    EXPECT_EQ("\"first\"", test::get(capsule, "/model_info/prompt"));
    File early;
    ASSERT_GOOD(test::open_bytes(early, kept, &error));
    set(early, "/model_info/version", "\"too early\"");
    EXPECT_BAD(RAIIAF_ERROR_ARGUMENT, raiiaf_capsule_join(early, nullptr, 0, &error));
    ASSERT_GOOD(raiiaf_capsule_join(capsule, nullptr, 0, &error));
    set(capsule, "/model_info/version", "\"second\"");
    ASSERT_GOOD(raiiaf_image_set(capsule, image.data(), image.size(), nullptr, &error));
    set(capsule, "/model_info/model_name", "\"third\"");
    std::string saved = test::save_bytes(capsule);
    File again;
    ASSERT_GOOD(test::open_bytes(again, saved, &error));
    EXPECT_EQ(RAIIAF_LAYOUT_33, raiiaf_layout_of(again));
    EXPECT_EQ("\"first\"", test::get(again, "/model_info/prompt"));
    EXPECT_EQ("\"second\"", test::get(again, "/model_info/version"));
    EXPECT_EQ("\"third\"", test::get(again, "/model_info/model_name"));
    EXPECT_EQ("(none)", test::get(again, "/capsule"));
    EXPECT_EQ(image, test::read_chunk(again, raiiaf_image_chunk(again)));
    EXPECT_EQ(latent, test::read_chunk(again, raiiaf_latent_chunk(again, 0)));
    EXPECT_FALSE(test::chunk_info(again, raiiaf_latent_chunk(again, 0)).stale) << "the picture is the same";
}

// A capsule is a file like any other: it may itself be saved, and a capsule's capsule still leads back.
TEST(Capsule, MayBeSavedItself)
{
    File file, capsule, again;
    ASSERT_NO_FATAL_FAILURE(open_golden(file, "img_palette8_trns.raiiaf"));
    Buffer made;
    ASSERT_GOOD(raiiaf_capsule_make(file, nullptr, 0, &made, &error));
    std::string kept = made.bytes();
    ASSERT_GOOD(test::open_bytes(capsule, kept, &error));
    EXPECT_EQ(kept, test::save_bytes(capsule));
    std::string stored = test::read_stored(file, raiiaf_image_chunk(file));
    ASSERT_GOOD(raiiaf_capsule_join(capsule, stored.data(), stored.size(), &error));
    Buffer second;
    ASSERT_GOOD(raiiaf_capsule_make(capsule, nullptr, 0, &second, &error));
    EXPECT_EQ(kept, second.bytes());
}

// ---- several threads

TEST(Threads, ReadOneFileAtTheSameTime)
{
    File file;
    ASSERT_NO_FATAL_FAILURE(open_golden(file, "many_latents_50.raiiaf"));
    std::vector<std::string> wanted = test::contents(file);
    std::vector<std::vector<std::string>> got(4);
    std::vector<std::thread> threads;
    for (auto &result : got)
        threads.emplace_back([&file, &result] { result = test::contents(file); });
    for (std::thread &thread : threads)
        thread.join();
    for (const auto &result : got)
        EXPECT_EQ(wanted, result);
}

} // namespace
