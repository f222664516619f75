// SPDX-License-Identifier: MIT
//
// test_corrupt.cc - every damaged or odd file gets what its JSON advises, within bounded time and memory, and a
// rejected one gets the very error that tests/data/corrupt-ids.txt lists.  RAIIAF_UPDATE_IDS=FILE tells all errors
// there.

#include "support.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <map>
#include <set>
#include <sstream>

using test::Error;
using test::File;
using test::Json;

namespace
{

constexpr unsigned seconds_most = 60; // far beyond what the slowest takes, even where all else is busy
constexpr rlim_t memory_most = rlim_t{1} << 30;

// What a child found: its verdict, and complaints about how it was come by.
struct Report {
    std::string verdict, complaints;
};

void complain(Report &report, bool fine, const std::string &text)
{
    if (!fine)
        report.complaints += text + "\n";
}

void count_warning(void *user, const raiiaf_error *warning)
{
    if (warning->id && *warning->id && warning->text[0])
        ++*static_cast<unsigned *>(user);
}

void compare_latents(Report &report, const raiiaf_file *file, const Json &told)
{
    complain(report, told.size() == raiiaf_latent_count(file), "wrong number of latents");
    for (size_t n = 0; n < std::min(told.size(), raiiaf_latent_count(file)); n++) {
        size_t i = raiiaf_latent_chunk(file, n);
        raiiaf_chunk_info info = test::chunk_info(file, i);
        Json shape = told[n]["shape"];
        bool same = shape.size() == info.rank;
        for (unsigned axis = 0; same && axis < info.rank; axis++)
            same = shape[size_t{axis}].number() == info.shape[axis];
        complain(report, same, "wrong shape of latent " + std::to_string(n));
        std::string payload = test::read_chunk(file, i);
        complain(report, told[n]["sha256"].text() == test::sha256(payload), "wrong latent " + std::to_string(n));
        uint64_t width = told[n]["dtype"].text() == "float16" ? 2 : 4;
        uint64_t elements = 1;
        for (unsigned axis = 0; axis < info.rank; axis++)
            elements *= info.shape[axis];
        complain(report, payload.size() == elements * width, "wrong element type of latent " + std::to_string(n));
    }
}

void compare_rest(Report &report, const raiiaf_file *file, const Json &told)
{
    size_t image = raiiaf_image_chunk(file), environment = raiiaf_environment_chunk(file);
    if (told["image"].null())
        complain(report, image == RAIIAF_NONE, "an image from nowhere");
    else if (image == RAIIAF_NONE)
        complain(report, false, "no image");
    else
        complain(report, told["image"]["sha256"].text() == test::sha256(test::read_chunk(file, image)), "wrong image");

    if (told["env_components"].null())
        complain(report, environment == RAIIAF_NONE, "an environment from nowhere");
    else if (environment == RAIIAF_NONE)
        complain(report, false, "no environment");
    else {
        size_t count = 0;
        std::string json = test::read_chunk(file, environment);
        auto callback = [](void *user, const raiiaf_component *) {
            ++*static_cast<size_t *>(user);
            return true;
        };
        Error error;
        raiiaf_environment_each(json.data(), json.size(), callback, &count, &error);
        complain(report, error.status == RAIIAF_OK && count == told["env_components"].number(), "wrong environment");
    }
    for (size_t i = 0; i < told["unknown"].size(); i++)
        complain(report, test::chunks_of(file, told["unknown"][i].text().c_str()).size() == 1, "unknown chunk lost");
    if (told.has("prompt")) {
        raiiaf_value value;
        test::Buffer text;
        bool found =
            raiiaf_get(file, "/model_info/prompt", &value) && raiiaf_value_text(&value, &text, nullptr) == RAIIAF_OK;
        complain(report, found && text.view() == told["prompt"].text(), "wrong prompt");
    }
}

void check_text(Report &report, const Error &error, const char *name)
{
    complain(report, error.id && *error.id, "no id");
    complain(report, std::strstr(error.text, name), std::string("the text doesn't name the file: ") + error.text);
    static const std::set<raiiaf_status> fitting = {RAIIAF_ERROR_FORMAT, RAIIAF_ERROR_VERSION, RAIIAF_ERROR_DAMAGED,
                                                    RAIIAF_ERROR_HASH,   RAIIAF_ERROR_LOSSY,   RAIIAF_ERROR_LIMIT};
    complain(report, fitting.count(error.status), "status " + std::to_string(error.status) + ": " + error.text);
}

// Opens and verifies from a path or from memory; the verdict is "accepted" or "STATUS ID".
Report judge(const std::filesystem::path &path, const Json &story, bool from_memory)
{
    Report report;
    File file;
    Error error;
    unsigned warnings = 0;
    raiiaf_open_options options{nullptr, count_warning, &warnings};
    std::string bytes = from_memory ? test::slurp(path) : "", name = path.filename().string();
    if (from_memory)
        test::open_bytes(file, bytes, &error, &options, name.c_str());
    else
        raiiaf_open_path(&file, path.c_str(), &options, &error);
    complain(report, (error.status == RAIIAF_OK) == (file != nullptr), "status and file disagree");
    if (error.status == RAIIAF_OK)
        raiiaf_verify(file, 2, nullptr, nullptr, &error);
    if (error.status != RAIIAF_OK) {
        check_text(report, error, name.c_str());
        report.verdict = std::to_string(error.status) + " " + (error.id ? error.id : "?") + "\t" + error.text;
        return report;
    }
    report.verdict = warnings ? "accepted with warnings" : "accepted";
    Json told = story.has("expect") ? story["expect"] : story["reference"];
    compare_latents(report, file, told["latents"]);
    compare_rest(report, file, told);
    std::string saved = test::save_bytes(file), was = test::slurp(path);
    complain(report, saved == was, "an unedited save differs");
    return report;
}

// From a path and from memory, which must come to the same.
Report judge_both(const std::filesystem::path &path, const Json &story)
{
    Report report = judge(path, story, false), other = judge(path, story, true);
    report.complaints += other.complaints;
    complain(report,
             report.verdict.substr(0, report.verdict.find('\t')) == other.verdict.substr(0, other.verdict.find('\t')),
             "from memory: " + other.verdict);
    return report;
}

// In a process of its own, that may take neither much time nor much memory.
Report judge_apart(const std::filesystem::path &path, const Json &story)
{
    int ends[2];
    EXPECT_EQ(0, pipe(ends));
    pid_t child = fork();
    if (child == 0) {
        alarm(seconds_most);
        rlimit limit{memory_most, memory_most};
        if (!TEST_SANITIZED) // a sanitizer's shadow is larger than any limit
            setrlimit(RLIMIT_AS, &limit);
        Report report = judge_both(path, story);
        std::string text = report.verdict + "\n" + report.complaints;
        ssize_t written = write(ends[1], text.data(), text.size());
        _exit(written == static_cast<ssize_t>(text.size()) && !testing::Test::HasFailure() ? 0 : 1);
    }
    close(ends[1]);
    std::string text;
    char part[4096];
    for (ssize_t got; (got = read(ends[0], part, sizeof part)) > 0;)
        text.append(part, static_cast<size_t>(got));
    close(ends[0]);
    int status = 0;
    EXPECT_EQ(child, waitpid(child, &status, 0));
    EXPECT_FALSE(WIFSIGNALED(status)) << "signal " << WTERMSIG(status)
                                      << (WTERMSIG(status) == SIGALRM ? ", for taking too long" : "");
    EXPECT_EQ(0, WEXITSTATUS(status));
    size_t end = text.find('\n');
    return {text.substr(0, end), end == std::string::npos ? "" : text.substr(end + 1)};
}

std::map<std::string, std::string> listed_ids()
{
    std::map<std::string, std::string> ids;
    std::ifstream list(test::data_folder() / "corrupt-ids.txt");
    for (std::string line; std::getline(list, line);) {
        std::istringstream words(line);
        std::string name, id;
        if (line[0] != '#' && words >> name >> id)
            ids[name] = id;
    }
    return ids;
}

class Corrupt : public testing::TestWithParam<std::string>
{
};

TEST_P(Corrupt, GetsWhatItsStoryAdvises)
{
    std::filesystem::path folder = test::data_folder() / "golden" / "corrupt";
    Json story(folder / (GetParam() + ".json"));
    std::filesystem::path path = folder / story["file"].text();
    Report report = judge_apart(path, story);
    EXPECT_EQ("", report.complaints) << story["why"].text();
    bool accepted = report.verdict.compare(0, 8, "accepted") == 0;
    EXPECT_EQ(story["advice"].text() == "must_accept", accepted) << story["why"].text() << ": " << report.verdict;
    std::string verdict = report.verdict.substr(0, report.verdict.find('\t'));
    if (const char *update = std::getenv("RAIIAF_UPDATE_IDS"))
        std::ofstream(update, std::ios::app) << GetParam() << '\t' << report.verdict << '\n';
    static const std::map<std::string, std::string> ids = listed_ids();
    auto listed = ids.find(GetParam());
    ASSERT_NE(ids.end(), listed) << "corrupt-ids.txt doesn't name it: " << verdict;
    std::string id = verdict == "accepted with warnings" ? "warning"
                     : accepted                          ? verdict
                                                         : verdict.substr(verdict.find(' ') + 1);
    EXPECT_EQ(listed->second, id) << story["why"].text();
}

INSTANTIATE_TEST_SUITE_P(All, Corrupt, testing::ValuesIn(test::stories("golden/corrupt")), test::story_name);

TEST(CorruptFolder, IsWhole)
{
    EXPECT_LE(370u, test::stories("golden/corrupt").size()) << "look for tests/data at " << test::data_folder();
}

// A lossily stored latent is refused, but may be had by asking.
TEST(Lossy, ForTheAsking)
{
    std::filesystem::path folder = test::data_folder() / "golden" / "corrupt";
    for (const char *name : {"zfp_lossy_accuracy", "zfp_lossy_precision", "zfp_lossy_rate"}) {
        Json story(folder / (std::string(name) + ".json"));
        File file;
        ASSERT_GOOD(raiiaf_open_path(&file, (folder / story["file"].text()).c_str(), nullptr, &error));
        test::Buffer payload;
        EXPECT_BAD(RAIIAF_ERROR_LOSSY, raiiaf_chunk_read(file, 0, 0, &payload, &error));
        EXPECT_EQ(nullptr, payload.data);
        ASSERT_GOOD(raiiaf_chunk_read(file, 0, RAIIAF_READ_LOSSY, &payload, &error));
        EXPECT_EQ(story["reference"]["latents"][size_t{0}]["sha256"].text(), test::sha256(payload.view()));
    }
    // The flag excuses nothing else.
    File file;
    ASSERT_GOOD(raiiaf_open_path(&file, (folder / "hash_wrong_latn.raiiaf").c_str(), nullptr, &error));
    test::Buffer payload;
    EXPECT_BAD(RAIIAF_ERROR_HASH, raiiaf_chunk_read(file, 0, RAIIAF_READ_LOSSY, &payload, &error));
}

} // namespace
