// SPDX-License-Identifier: MIT
//
// test_environment.cc - the environment chunk: what the capture sees in made-up systems, the form of the chunk, and
// how two of them differ.

#include "environment.h"
#include "support.h"

#include <dlfcn.h>
#include <sys/stat.h>
#include <sys/utsname.h>

using test::Buffer;
using test::Error;
using test::File;
using test::Json;

namespace
{

using Components = std::vector<std::pair<std::string, std::string>>;

// ---- what is written ----

std::string component(const std::string &id, const std::string &canonical, const std::string &digest)
{
    return R"({"component_id": ")" + id + R"(", "cononical_str": ")" + canonical +
           R"(", "component_sha256_digest": ")" + digest + R"("})";
}

std::string environment(const std::vector<std::string> &components)
{
    std::string json = R"({"env_version": 1, "components": [)";
    for (const std::string &text : components)
        json += (&text == &components.front() ? "" : ", ") + text;
    return json + "]}";
}

std::string environment_of(const Components &components)
{
    std::vector<std::string> texts;
    for (const auto &[id, canonical] : components)
        texts.push_back(component(id, canonical, test::sha256(canonical)));
    return environment(texts);
}

// As Python's json.dumps(..., indent=2) spells the reference's dictionary.
std::string reference_spelling(const Components &components)
{
    std::string json = "{\n  \"env_version\": 1,\n  \"components\": [";
    for (const auto &entry : components)
        json += std::string(&entry == &components.front() ? "" : ",") + "\n    {\n      \"component_id\": \"" +
                entry.first + "\",\n      \"cononical_str\": \"" + entry.second +
                "\",\n      \"component_sha256_digest\": \"" + test::sha256(entry.second) + "\"\n    }";
    return json + "\n  ]\n}";
}

std::string os_string()
{
    utsname name;
    EXPECT_EQ(0, uname(&name));
    return std::string("name=os;version=") + name.sysname + " " + name.release;
}

Components components_of(std::string_view json)
{
    Components found;
    Error error;
    auto callback = [](void *user, const raiiaf_component *c) {
        EXPECT_EQ(test::sha256(c->canonical), c->sha256);
        static_cast<Components *>(user)->emplace_back(c->id, c->canonical);
        return true;
    };
    EXPECT_EQ(RAIIAF_OK, raiiaf_environment_each(json.data(), json.size(), callback, &found, &error)) << error.text;
    return found;
}

std::vector<std::string> drift(std::string_view then, std::string_view now)
{
    std::vector<std::string> told;
    Error error;
    auto callback = [](void *user, const char *id, const char *text) {
        EXPECT_NE(nullptr, std::strstr(text, ("'" + std::string(id) + "'").c_str())) << text;
        static_cast<std::vector<std::string> *>(user)->push_back(text);
        return true;
    };
    EXPECT_EQ(RAIIAF_OK,
              raiiaf_environment_drift(then.data(), then.size(), now.data(), now.size(), callback, &told, &error))
        << error.text;
    return told;
}

// ---- made-up systems ----

class Capture : public testing::Test
{
  protected:
    // `zero` stands for the bytes that are 0.
    void file(const std::string &name, std::string bytes, mode_t mode = 0644, char zero = '\0')
    {
        std::filesystem::path place = root / name;
        std::filesystem::create_directories(place.parent_path());
        std::replace(bytes.begin(), bytes.end(), zero, '\0');
        test::spill(place, bytes);
        chmod(place.c_str(), mode);
    }
    void folder(const std::string &name)
    {
        std::filesystem::create_directories(root / name);
    }
    void link(const std::string &name, const std::string &target)
    {
        std::filesystem::create_directories((root / name).parent_path());
        std::filesystem::create_symlink(target, root / name);
    }
    // An interpreter for all that can be seen of it: a program with its version among other strings.
    void interpreter(const std::string &name, const std::string &version)
    {
        file(name, "ELF|lib/python3|" + version + "|%.80s (%.80s) %.80s|", 0755, '|');
    }
    void distribution(const std::string &site, const std::string &name, const std::string &version)
    {
        file(site + "/" + name + "-" + version + ".dist-info/METADATA", "Metadata-Version: 2.1\nName: " + name +
                                                                            "\nVersion: " + version +
                                                                            "\n\nVersion: 0.0 says the description\n");
    }
    std::string at(const std::string &name)
    {
        return (root / name).string();
    }

    Components captured()
    {
        Buffer json;
        Error error;
        roots.virtual_env = virtual_env.c_str();
        roots.conda_prefix = conda_prefix.c_str();
        roots.path = path.c_str();
        roots.python_path = python_path.c_str();
        roots.user_base = user_base.c_str();
        roots.nvml = nvml.c_str();
        EXPECT_EQ(RAIIAF_OK, rf_capture(&roots, &json, &error)) << error.text;
        Components found = components_of(json.view());
        EXPECT_EQ(reference_spelling(found), json.view());
        return found;
    }
    // What was captured of Python, without the system's own.
    std::vector<std::string> python()
    {
        std::vector<std::string> strings;
        Components all = captured();
        EXPECT_FALSE(all.empty());
        for (const auto &[id, canonical] : all)
            if (id != "os" && id != "gpu")
                strings.push_back(canonical);
        return strings;
    }

    test::Scratch root;
    rf_capture_roots roots{};
    std::string virtual_env, conda_prefix, path = "/nowhere", python_path, user_base,
                                           nvml = "/nowhere/libnvidia-ml.so.1";
};

using Strings = std::vector<std::string>;

TEST_F(Capture, SeesTheSystemWherePythonIsMissing)
{
    EXPECT_EQ((Components{{"os", os_string()}}), captured());
}

class Virtualenv : public Capture
{
  protected:
    Virtualenv()
    {
        interpreter("usr/bin/python3.11", "3.11.4");
        link("usr/bin/python3", "python3.11");
        distribution("usr/lib/python3/dist-packages", "numpy", "1.24.2");
        link("venv/bin/python3", at("usr/bin/python3"));
        folder(site);
        configure("false");
        virtual_env = at("venv");
    }
    void configure(const std::string &system_sites, const std::string &version = "version = 3.11.2")
    {
        file("venv/pyvenv.cfg", "home = " + at("usr/bin") + "\ninclude-system-site-packages = " + system_sites + "\n" +
                                    version + "\nexecutable = /usr/bin/python3.11\n");
    }
    const std::string site = "venv/lib/python3.11/site-packages";
};

TEST_F(Virtualenv, IsTheReferencesOrder)
{
    distribution(site, "torch", "2.3.1+cu121");
    distribution(site, "numpy", "1.26.4");
    file(site + "/torch/version.py", "from typing import Optional\n\n__all__ = ['__version__', 'debug', 'cuda']\n"
                                     "__version__ = '2.3.1+cu121'\ndebug = False\ncuda: Optional[str] = '12.1'\n"
                                     "git_version = '63d5e92'\nhip: Optional[str] = None\n");
    EXPECT_EQ((Components{{"torch", "name=torch;version=2.3.1;cuda=12.1"},
                          {"numpy", "name=numpy;version=1.26.4"},
                          {"python", "name=python;version=3.11.4"},
                          {"cuda", "name=cuda;version=12.1"},
                          {"os", os_string()}}),
              captured());
}

TEST_F(Virtualenv, LeavesOutWhatIsNotInstalled)
{
    EXPECT_EQ((Strings{"name=python;version=3.11.4"}), python());
}

TEST_F(Virtualenv, SeesTheSystemsPackagesOnlyIfAskedFor)
{
    configure("true");
    EXPECT_EQ((Strings{"name=numpy;version=1.24.2", "name=python;version=3.11.4"}), python());
    distribution(site, "numpy", "2.0.0");
    EXPECT_EQ((Strings{"name=numpy;version=2.0.0", "name=python;version=3.11.4"}), python());
}

TEST_F(Virtualenv, SeesTheUsersPackagesOnlyWithTheSystems)
{
    user_base = at("home/.local");
    distribution("home/.local/lib/python3.11/site-packages", "numpy", "1.25.0");
    EXPECT_EQ((Strings{"name=python;version=3.11.4"}), python());
    configure("true");
    EXPECT_EQ((Strings{"name=numpy;version=1.25.0", "name=python;version=3.11.4"}), python());
}

TEST_F(Virtualenv, TakesTheRecordedVersionWhereTheInterpreterTellsNone)
{
    std::filesystem::remove(root / "venv/bin/python3");
    EXPECT_EQ((Strings{"name=python;version=3.11.2"}), python());
    configure("false", "version_info = 3.11.2.final.0");
    EXPECT_EQ((Strings{"name=python;version=3.11.2"}), python());
    configure("false", "version_info = 3.11.0.candidate.2");
    EXPECT_EQ((Strings{"name=python;version=3.11.0rc2"}), python());
    configure("false", "virtualenv = 20.25.0\nversion-like = 3.9.0\n");
    EXPECT_EQ((Strings{}), python());
}

TEST_F(Virtualenv, IsFoundThroughPathWithoutBeingActive)
{
    std::filesystem::rename(root / "venv", root / "elsewhere");
    distribution("elsewhere/lib/python3.11/site-packages", "numpy", "1.26.0");
    virtual_env = "";
    path = at("elsewhere/bin//") + ":" + at("usr/bin");
    EXPECT_EQ((Strings{"name=numpy;version=1.26.0", "name=python;version=3.11.4"}), python());
}

TEST_F(Virtualenv, GivesWayWhereItIsGone)
{
    virtual_env = at("removed");
    path = at("usr/bin");
    EXPECT_EQ((Strings{"name=numpy;version=1.24.2", "name=python;version=3.11.4"}), python());
}

TEST_F(Virtualenv, ReadsTorchsCudaWithoutRunningIt)
{
    const std::string version = site + "/torch/version.py";
    auto cuda = [&] { return python().at(0); };
    distribution(site, "torch", "2.3.1+cu118");
    EXPECT_EQ("name=torch;version=2.3.1;cuda=11.8", cuda()); // no version.py: the local part
    std::filesystem::remove_all(root / site / "torch-2.3.1+cu118.dist-info");
    distribution(site, "torch", "2.3.1+cu121.with.pypi.cudnn");
    EXPECT_EQ("name=torch;version=2.3.1;cuda=12.1", cuda());
    file(version, "cuda = \"10.2\"\n");
    EXPECT_EQ("name=torch;version=2.3.1;cuda=10.2", cuda());
    file(version, "cudart = '1'\ncuda: Optional[str] = None\n");
    EXPECT_EQ("name=torch;version=2.3.1;cuda=None", cuda());
    file(version, "  cuda = '9.0'\nif cuda == '9.1': pass\r\ncuda: Optional[str]\r\ncuda='9.2'\r\n");
    EXPECT_EQ("name=torch;version=2.3.1;cuda=9.2", cuda());
    file(version, "cuda = 'a;b'\n");
    EXPECT_EQ("name=torch;version=2.3.1;cuda=12.1", cuda());
    EXPECT_EQ("name=cuda;version=12.1", python().back());
}

TEST_F(Virtualenv, KnowsTorchWithoutCuda)
{
    for (const char *torch :
         {"2.3.1", "2.3.1+cpu", "2.3.1+rocm6.0", "2.3.1+cu", "2.3.1+cu1", "2.3.1+cu12x", "2.3.1+custom"}) {
        std::filesystem::remove_all(root / site);
        distribution(site, "torch", torch);
        EXPECT_EQ(
            (Strings{"name=torch;version=2.3.1;cuda=None", "name=python;version=3.11.4", "name=cuda;version=none"}),
            python())
            << torch;
    }
}

TEST_F(Virtualenv, ReadsEveryFormOfMetadata)
{
    auto numpy = [&] { return python().at(0); };
    file(site + "/numpy-1.20.0.egg-info", "Metadata-Version: 1.2\nName: numpy\nVersion: 1.20.0\n");
    EXPECT_EQ("name=numpy;version=1.20.0", numpy());
    file(site + "/numpy-1.21.0-py3.11.egg-info/PKG-INFO", "Name: numpy\r\nVersion:\t1.21.0 \r\n\r\nText\r\n");
    EXPECT_EQ("name=numpy;version=1.21.0", numpy());
    file(site + "/numpy-1.22.0.dist-info/METADATA", "Version: 1.22.0rc1");
    EXPECT_EQ("name=numpy;version=1.22.0rc1", numpy());
}

TEST_F(Virtualenv, TakesNothingElseForMetadata)
{
    distribution(site, "numpydoc", "1.5.0");
    distribution(site, "numpy_groupies", "0.11.1");
    distribution(site, "~umpy", "1.26.4");
    folder(site + "/numpy-9.9.dist-info");
    folder(site + "/numpy-9.8.dist-info/METADATA");
    file(site + "/numpy-9.7.dist-info/METADATA", "Name: numpy\n\nVersion: 9.7\n");
    file(site + "/numpy-9.6.dist-info/METADATA", "Version: nonsense;cuda=12\nVersion: <9.6>\n");
    file(site + "/numpy-9.5.dist-info/METADATA", "Version: " + std::string(500, '9') + "\n");
    file(site + "/numpy-9.4.dist-info/METADATA", "Name: numpy|\nVersion: 9.4\n", 0644, '|');
    file(site + "/numpy-9.3.dist-info/METADATA", "");
    file(site + "/numpy-9.2", "Version: 9.2\n");
    ASSERT_EQ(0, mkfifo((root / site / "numpy-9.1.egg-info").c_str(), 0600));
    link(site + "/numpy-9.0.egg-info", "numpy-9.0.egg-info");
    EXPECT_EQ((Strings{"name=python;version=3.11.4"}), python());
}

TEST_F(Virtualenv, PrefersPythonPath)
{
    distribution(site, "numpy", "1.26.4");
    distribution("extra/two", "numpy", "1.99.0");
    python_path = at("missing") + "::" + at("extra/two") + ":";
    EXPECT_EQ((Strings{"name=numpy;version=1.99.0", "name=python;version=3.11.4"}), python());
}

TEST_F(Virtualenv, SurvivesPathsThatAreTooLong)
{
    const std::string endless = "/" + std::string(3 * 4096, 'x');
    python_path = user_base = endless;
    configure("true", "version = 3.11.2\nhome = " + endless);
    file("venv/pyvenv.cfg", "include-system-site-packages = true\nversion = 3.11.2\nhome = " + endless);
    EXPECT_EQ((Strings{"name=python;version=3.11.4"}), python());
    virtual_env = conda_prefix = path = endless;
    EXPECT_EQ((Strings{}), python());
}

class Conda : public Capture
{
  protected:
    Conda()
    {
        file("conda/conda-meta/python-3.10.14-h955ad1f_1.json", "{}");
        file("conda/conda-meta/python-dateutil-2.9.0-py310_0.json", "{}");
        file("conda/conda-meta/python-3.9.0-h0_0.json.old", "{}");
        file("conda/conda-meta/history", "");
        distribution("conda/lib/python3.10/site-packages", "numpy", "1.26.4");
    }
};

TEST_F(Conda, IsReadFromItsRecords)
{
    conda_prefix = at("conda");
    EXPECT_EQ((Strings{"name=numpy;version=1.26.4", "name=python;version=3.10.14"}), python());
    std::filesystem::remove(root / "conda/conda-meta/python-3.10.14-h955ad1f_1.json");
    EXPECT_EQ(Strings{}, python());
}

TEST_F(Conda, IsFoundThroughPathWithoutBeingActive)
{
    interpreter("conda/bin/python3.10", "3.10.14");
    link("conda/bin/python3", "python3.10");
    path = at("conda/bin");
    EXPECT_EQ((Strings{"name=numpy;version=1.26.4", "name=python;version=3.10.14"}), python());
}

TEST_F(Conda, ComesAfterAVirtualenv)
{
    conda_prefix = at("conda");
    virtual_env = at("venv");
    file("venv/pyvenv.cfg", "version = 3.12.1\n");
    EXPECT_EQ((Strings{"name=python;version=3.12.1"}), python());
    std::filesystem::remove(root / "venv/pyvenv.cfg");
    EXPECT_EQ((Strings{"name=numpy;version=1.26.4", "name=python;version=3.10.14"}), python());
}

class System : public Capture
{
  protected:
    System()
    {
        path = at("usr/local/bin") + ":" + at("usr/bin");
    }
};

TEST_F(System, IsDebians)
{
    interpreter("usr/bin/python3.13", "3.13.5");
    link("usr/bin/python3", "python3.13");
    folder("usr/lib/python3/dist-packages");
    distribution("usr/local/lib/python3.13/site-packages", "numpy", "9.9.9"); // of a Python built there
    EXPECT_EQ((Strings{"name=python;version=3.13.5"}), python());
    distribution("usr/lib/python3/dist-packages", "numpy", "2.2.4");
    EXPECT_EQ((Strings{"name=numpy;version=2.2.4", "name=python;version=3.13.5"}), python());
    distribution("usr/local/lib/python3.13/dist-packages", "numpy", "2.3.0");
    EXPECT_EQ((Strings{"name=numpy;version=2.3.0", "name=python;version=3.13.5"}), python());
    user_base = at("home/.local");
    distribution("home/.local/lib/python3.13/site-packages", "numpy", "2.4.0");
    EXPECT_EQ((Strings{"name=numpy;version=2.4.0", "name=python;version=3.13.5"}), python());
}

TEST_F(System, IsFedoras)
{
    interpreter("usr/bin/python3.12", "no version");
    link("usr/bin/python3", "python3.12");
    interpreter("usr/lib64/libpython3.12.so.1.0", "3.12.7");
    distribution("usr/lib64/python3.12/site-packages", "numpy", "1.26.4");
    EXPECT_EQ((Strings{"name=numpy;version=1.26.4", "name=python;version=3.12.7"}), python());
}

TEST_F(System, IsBuiltByItsUser)
{
    interpreter("usr/bin/python3.11", "3.11.2");
    link("usr/bin/python3", "python3.11");
    interpreter("usr/local/bin/python3.14", "3.14.0b2+");
    link("usr/local/bin/python3", "python3.14");
    distribution("usr/local/lib/python3.14/site-packages", "numpy", "2.3.0");
    EXPECT_EQ((Strings{"name=numpy;version=2.3.0", "name=python;version=3.14.0b2+"}), python());
}

TEST_F(System, PassesOverScripts)
{
    file("usr/local/bin/python3", "#!/bin/sh\nexec pyenv exec python3\n", 0755);
    interpreter("usr/bin/python3.11", "3.11.2");
    link("usr/bin/python3", "python3.11");
    EXPECT_EQ((Strings{"name=python;version=3.11.2"}), python());
}

TEST_F(System, NeedsToBeAProgram)
{
    interpreter("usr/bin/python3.11", "3.11.2");
    link("usr/bin/python3", "python3.11");
    chmod((root / "usr/bin/python3.11").c_str(), 0644);
    EXPECT_EQ((Strings{}), python());
    std::filesystem::remove(root / "usr/bin/python3");
    folder("usr/bin/python3");
    EXPECT_EQ((Strings{}), python());
}

TEST_F(System, HasItsSeriesFromTheLibraryWhereTheNameTellsNone)
{
    interpreter("usr/bin/python3", "3.11.2");
    EXPECT_EQ((Strings{}), python());
    folder("usr/lib/python3.11");
    EXPECT_EQ((Strings{"name=python;version=3.11.2"}), python());
    folder("usr/lib/python3.12"); // which of them?
    EXPECT_EQ((Strings{}), python());
}

// The version may lie anywhere in an interpreter, also across the windows in which it is read.
TEST_F(System, HasItsVersionWhereverItLies)
{
    link("usr/bin/python3", "python3.11");
    auto place = [&](size_t before, const std::string &after) {
        file("usr/bin/python3.11", std::string(before, '|') + "3.11.9" + after, 0755, '|');
        EXPECT_EQ((Strings{"name=python;version=3.11.9"}), python())
            << before << " before, " << after.size() << " after";
    };
    const std::string much = "|" + std::string(70000, 'x');
    std::vector<size_t> places = {0, 1, 31, 32, 33, 131008, 131072, 400000};
    for (size_t i = (1 << 16) - 40; i < (1 << 16) + 10; i++)
        places.push_back(i);
    for (size_t before : places) {
        place(before, "");
        place(before, "|");
        place(before, much);
    }
}

TEST_F(System, TakesNothingElseForAVersion)
{
    link("usr/bin/python3", "python3.11");
    auto version = [&](const std::string &strings) {
        file("usr/bin/python3.11", "ELF|" + strings, 0755, '|');
        Strings found = python();
        return found.empty() ? "" : found[0].substr(std::strlen("name=python;version="));
    };
    EXPECT_EQ("", version("3.11|3.11.|3.11.x|3.11.2c1|3.11.2rc|3.11.2000|3.111.2|"));
    // digits up to the end of what is looked at in one go
    EXPECT_EQ("", version(std::string((1 << 16) - 32 - std::strlen("ELF|"), '|') + "3.11." + std::string(27, '2')));
    EXPECT_EQ("", version("13.11.2|1.3.11.2|3.11.2-6|lib/3.11.2/bin|"));
    EXPECT_EQ("3.11.7", version("/opt/python/3.11.7|"));         // a tail that the linker shares
    EXPECT_EQ("", version("/opt/python/3.11.7|Python-3.11.8|")); // two that disagree
    EXPECT_EQ("3.11.9", version("/opt/python/3.11.7|3.11.9|"));  // on its own: no doubt
    EXPECT_EQ("3.11.9", version("3.11.9|/opt/python/3.11.7|"));
}

// ---- GPUs ----

class Gpu : public Capture
{
  protected:
    Gpu()
    {
        nvml = module("fake_nvml");
        setenv("FAKE_NVML_LOG", at("log").c_str(), 1);
    }
    ~Gpu() override
    {
        unsetenv("FAKE_NVML");
        unsetenv("FAKE_NVML_LOG");
    }
    static std::string module(const std::string &name)
    {
        const char *builddir = std::getenv("TOP_BUILDDIR");
        std::string path = std::string(builddir ? builddir : ".") + "/tests/.libs/" + name + ".so";
        EXPECT_TRUE(std::filesystem::exists(path)) << path;
        return path;
    }
    Components gpus(const char *role)
    {
        setenv("FAKE_NVML", role, 1);
        Components found;
        for (const auto &entry : captured())
            if (entry.first == "gpu")
                found.push_back(entry);
        return found;
    }
    std::string log()
    {
        return std::filesystem::exists(root / "log") ? test::slurp(root / "log") : "";
    }
    const Components three{{"gpu", "name=gpu;model=NVIDIA GeForce RTX 4090;driver=550.54.14"},
                           {"gpu", "name=gpu;model=NVIDIA A100-SXM4-80GB;driver=550.54.14"},
                           {"gpu", "name=gpu;model=NVIDIA H200;driver=550.54.14"}};
};

TEST_F(Gpu, AreToldEach)
{
    EXPECT_EQ(Components{}, gpus("0"));
    EXPECT_EQ(Components({three[0]}), gpus("1"));
    EXPECT_EQ(three, gpus("3"));
    EXPECT_EQ("shut down, 0 left\nshut down, 0 left\nshut down, 0 left\n", log());
    EXPECT_EQ(nullptr, dlopen(nvml.c_str(), RTLD_NOW | RTLD_NOLOAD)); // nothing stays behind in the host
}

TEST_F(Gpu, ComeLast)
{
    setenv("FAKE_NVML", "1", 1);
    EXPECT_EQ((Components{{"os", os_string()}, three[0]}), captured());
}

TEST_F(Gpu, OfOldDriversAreTold)
{
    nvml = module("fake_nvml_old");
    EXPECT_EQ(three, gpus("3"));
    EXPECT_EQ("shut down, 0 left\n", log());
}

TEST_F(Gpu, AreLeftOutWhereTheDriverFails)
{
    EXPECT_EQ(Components{}, gpus("3 no-init"));
    EXPECT_EQ("", log()); // what didn't start isn't shut down
    EXPECT_EQ(Components{}, gpus("3 no-driver"));
    EXPECT_EQ(Components{}, gpus("3 no-count"));
    EXPECT_EQ((Components{three[0], three[2]}), gpus("3 lost-second"));
    EXPECT_EQ("shut down, 0 left\nshut down, 0 left\nshut down, 0 left\n", log());
}

TEST_F(Gpu, SurviveAStrangeLibrary)
{
    EXPECT_EQ(Components{}, gpus("2 broken-name"));
    EXPECT_EQ((Components{{"gpu", "name=gpu;model=" + std::string(96, 'X') + ";driver=550.54.14"}}),
              gpus("1 endless-name"));
    EXPECT_EQ(256u, gpus("4000000000").size());
    file("text", "not a library");
    for (const std::string &library : {at("text"), at("missing"), at(""), std::string("libm.so.6")}) {
        nvml = library;
        EXPECT_EQ(Components{}, gpus("1")) << library;
    }
}

// The public function looks where the environment variables point.
TEST_F(Gpu, AreCapturedThroughTheVariables)
{
    const std::vector<std::pair<const char *, std::string>> set = {{"RAIIAF_NVML", nvml},       {"FAKE_NVML", "1"},
                                                                   {"VIRTUAL_ENV", at("venv")}, {"CONDA_PREFIX", ""},
                                                                   {"PYTHONPATH", ""},          {"HOME", at("home")}};
    std::vector<std::pair<const char *, std::unique_ptr<std::string>>> before;
    for (const auto &[name, value] : set) {
        const char *old = std::getenv(name);
        before.emplace_back(name, old ? std::make_unique<std::string>(old) : nullptr);
        setenv(name, value.c_str(), 1);
    }
    file("venv/pyvenv.cfg", "version = 3.12.1\ninclude-system-site-packages = true\n");
    distribution("home/.local/lib/python3.12/site-packages", "numpy", "2.1.0");
    Buffer json;
    EXPECT_GOOD(raiiaf_environment_capture(&json, &error));
    for (const auto &[name, value] : before)
        value ? setenv(name, value->c_str(), 1) : unsetenv(name);
    Components wanted{
        {"numpy", "name=numpy;version=2.1.0"}, {"python", "name=python;version=3.12.1"}, {"os", os_string()}, three[0]};
    EXPECT_EQ(wanted, components_of(json.view()));
}

// ---- form ----

raiiaf_status each(std::string_view json, raiiaf_error *error)
{
    auto callback = [](void *, const raiiaf_component *) {
        ADD_FAILURE() << "told of a broken environment";
        return true;
    };
    return raiiaf_environment_each(json.data(), json.size(), callback, nullptr, error);
}

TEST(Environment, OfBrokenFormIsRefused)
{
    const std::string good = component("os", "x", test::sha256("x"));
    for (const std::string &json :
         {std::string(), std::string("{"), std::string("[]"), std::string("{}"), std::string(R"({"components": {}})"),
          std::string(R"({"components": null})"), environment({"1"}), environment({"{}"}), environment({good, "null"}),
          environment({R"({"component_id": "a", "cononical_str": "b"})"}),
          environment({R"({"component_id": 1, "cononical_str": "b", "component_sha256_digest": "c"})"}),
          environment({R"({"component_id": "a", "cononical_str": ["b"], "component_sha256_digest": "c"})"}),
          environment({R"({"component_id": "a", "canonical_str": "b", "component_sha256_digest": "c"})"}),
          environment({good}) + "x", "\xef\xbb\xbf" + environment({good}), environment({"\"\xff\""})}) {
        EXPECT_BAD(RAIIAF_ERROR_DAMAGED, each(json, &error)) << json;
        const std::string fine = environment_of({{"os", "x"}});
        auto never = [](void *, const char *, const char *) { return ADD_FAILURE(), true; };
        EXPECT_BAD(RAIIAF_ERROR_DAMAGED, raiiaf_environment_drift(json.data(), json.size(), fine.data(), fine.size(),
                                                                  never, nullptr, &error));
        EXPECT_BAD(RAIIAF_ERROR_DAMAGED, raiiaf_environment_drift(fine.data(), fine.size(), json.data(), json.size(),
                                                                  never, nullptr, &error));
        File file;
        ASSERT_GOOD(raiiaf_new(&file, nullptr, &error));
        EXPECT_BAD(RAIIAF_ERROR_DAMAGED, raiiaf_environment_set(file, json.data(), json.size(), &error));
        EXPECT_EQ(RAIIAF_NONE, raiiaf_environment_chunk(file));
    }
}

TEST(Environment, SaysWhichComponentIsBroken)
{
    const std::string json = environment({component("a", "b", "c"), R"({"component_id": "a", "cononical_str": "b"})"});
    Error error;
    raiiaf_environment_each(
        json.data(), json.size(), [](void *, const raiiaf_component *) { return true; }, nullptr, &error);
    EXPECT_STREQ("environment-form", error.id);
    EXPECT_STREQ("component 1 of the environment has no string \"component_sha256_digest\"", error.text);
}

TEST(Environment, StopsWhenTheCallerHasEnough)
{
    const std::string json = environment_of({{"a", "1"}, {"b", "2"}, {"c", "3"}}), none = environment({});
    int told = 0;
    EXPECT_GOOD(raiiaf_environment_each(
        json.data(), json.size(), [](void *user, const raiiaf_component *) { return ++*static_cast<int *>(user) < 2; },
        &told, &error));
    EXPECT_EQ(2, told);
    auto second = [](void *user, const char *, const char *) { return ++*static_cast<int *>(user) < 2; };
    told = 0;
    EXPECT_GOOD(raiiaf_environment_drift(json.data(), json.size(), none.data(), none.size(), second, &told, &error));
    EXPECT_EQ(2, told);
    told = 0;
    EXPECT_GOOD(raiiaf_environment_drift(none.data(), none.size(), json.data(), json.size(), second, &told, &error));
    EXPECT_EQ(2, told);
}

TEST(Environment, LastOfDuplicateNamesWins)
{
    const std::string json = R"({"components": [], "components": [{"component_id": "no", "cononical_str": 1,
        "cononical_str": "\u00e9", "component_sha256_digest": ")" +
                             test::sha256("\xc3\xa9") + R"(", "component_id": "yes"}]})";
    EXPECT_EQ((Components{{"yes", "\xc3\xa9"}}), components_of(json));
}

// ---- warnings of raiiaf_verify ----

std::vector<std::string> warnings(const std::string &json)
{
    std::vector<std::string> ids;
    Error error;
    File file, saved;
    raiiaf_open_options options{};
    options.warning = [](void *user, const raiiaf_error *warning) {
        EXPECT_NE('\0', warning->text[0]);
        static_cast<std::vector<std::string> *>(user)->push_back(warning->id);
    };
    options.warning_user = &ids;
    EXPECT_EQ(RAIIAF_OK, raiiaf_new(&file, nullptr, &error)) << error.text;
    EXPECT_EQ(RAIIAF_OK, raiiaf_environment_set(file, json.data(), json.size(), &error)) << error.text;
    const std::string bytes = test::save_bytes(file);
    EXPECT_EQ(RAIIAF_OK, test::open_bytes(saved, bytes, &error, &options)) << error.text;
    EXPECT_EQ(RAIIAF_OK, raiiaf_verify(saved, 1, nullptr, nullptr, &error)) << error.text;
    return ids;
}

TEST(Environment, IsWarnedOfWhatIsTolerated)
{
    const std::string good = component("os", "x", test::sha256("x"));
    std::string upper = test::sha256("x");
    std::transform(upper.begin(), upper.end(), upper.begin(), [](char c) { return c >= 'a' ? char(c - 32) : c; });
    EXPECT_EQ(Strings{}, warnings(environment({good})));
    EXPECT_EQ(Strings{}, warnings(environment({})));
    EXPECT_EQ(Strings{}, warnings(environment({component("os", "x", upper)})));
    EXPECT_EQ(Strings{"environment-digest"}, warnings(environment({good, component("os", "y", upper)})));
    EXPECT_EQ(Strings{"environment-digest"}, warnings(environment({component("os", "x", "no digest")})));
    EXPECT_EQ(Strings{"environment-digest"}, warnings(environment({component("os", "x\\u0000y", upper)})));
    EXPECT_EQ(Strings{"environment-version"}, warnings(R"({"components": []})"));
    EXPECT_EQ(Strings{"environment-version"}, warnings(R"({"env_version": 2, "components": []})"));
    EXPECT_EQ(Strings{"environment-version"}, warnings(R"({"env_version": "1", "components": []})"));
    EXPECT_EQ(Strings{"environment-key"}, warnings(R"({"env_version": 1, "components": [], "x": 1, "y": 2})"));
    EXPECT_EQ(Strings{"environment-key"},
              warnings(R"({"env_version": 1, "components": [{"x": 0, )" + good.substr(1) + "]}"));
}

class DamagedEnvironment : public testing::TestWithParam<std::pair<const char *, const char *>>
{
};

TEST_P(DamagedEnvironment, IsWarnedOf)
{
    const auto [name, id] = GetParam();
    const std::filesystem::path path = test::data_folder() / "golden" / "corrupt" / (std::string(name) + ".raiiaf");
    std::vector<std::string> ids;
    raiiaf_open_options options{};
    options.warning = [](void *user, const raiiaf_error *warning) {
        static_cast<std::vector<std::string> *>(user)->push_back(warning->id);
    };
    options.warning_user = &ids;
    File file;
    ASSERT_GOOD(raiiaf_open_path(&file, path.c_str(), &options, &error));
    EXPECT_GOOD(raiiaf_verify(file, 1, nullptr, nullptr, &error));
    EXPECT_EQ(*id ? Strings{id} : Strings{}, ids);
}

INSTANTIATE_TEST_SUITE_P(All, DamagedEnvironment,
                         testing::Values(std::pair("envc_bad_digest", "environment-digest"),
                                         std::pair("envc_extra_key", "environment-key"),
                                         std::pair("envc_version_2", "environment-version"),
                                         std::pair("envc_no_components", ""), std::pair("envc_uncompressed", "")),
                         [](const auto &story) { return std::string(story.param.first); });

TEST(Environment, WithoutComponentsIsAnError)
{
    File file;
    ASSERT_GOOD(raiiaf_open_path(&file, (test::data_folder() / "golden/corrupt/envc_empty_obj.raiiaf").c_str(), nullptr,
                                 &error));
    EXPECT_BAD(RAIIAF_ERROR_DAMAGED, raiiaf_verify(file, 1, nullptr, nullptr, &error));
}

// ---- set ----

TEST(Environment, IsSetReplacedAndTakenOut)
{
    File file;
    ASSERT_GOOD(raiiaf_new(&file, nullptr, &error));
    EXPECT_GOOD(raiiaf_environment_set(file, nullptr, 0, &error)); // there is none: fine
    for (const std::string &json : {environment_of({{"os", "first"}}), environment({})}) {
        ASSERT_GOOD(raiiaf_environment_set(file, json.data(), json.size(), &error));
        EXPECT_EQ(1u, raiiaf_chunk_count(file));
        EXPECT_EQ(json, test::read_chunk(file, raiiaf_environment_chunk(file)));
        File saved;
        const std::string bytes = test::save_bytes(file);
        ASSERT_GOOD(test::open_bytes(saved, bytes, &error));
        EXPECT_EQ(json, test::read_chunk(saved, raiiaf_environment_chunk(saved)));
    }
    ASSERT_GOOD(raiiaf_environment_set(file, nullptr, 0, &error));
    EXPECT_EQ(RAIIAF_NONE, raiiaf_environment_chunk(file));
    EXPECT_EQ(0u, raiiaf_chunk_count(file));
}

TEST(Environment, OfAGoldenFileIsReplacedWithoutTouchingTheRest)
{
    const std::filesystem::path path = test::data_folder() / "golden" / "env_with_gpu.raiiaf";
    File file, saved;
    ASSERT_GOOD(raiiaf_open_path(&file, path.c_str(), nullptr, &error));
    const std::vector<std::string> before = test::contents(file);
    const std::string json = environment_of({{"os", "name=os;version=Linux 1"}});
    ASSERT_GOOD(raiiaf_environment_set(file, json.data(), json.size(), &error));
    const std::string bytes = test::save_bytes(file);
    ASSERT_GOOD(test::open_bytes(saved, bytes, &error));
    const std::vector<std::string> after = test::contents(saved);
    ASSERT_EQ(before.size(), after.size());
    for (size_t i = 0; i < before.size(); i++)
        EXPECT_EQ(i == raiiaf_environment_chunk(saved), before[i] != after[i]);
    EXPECT_EQ(json, test::read_chunk(saved, raiiaf_environment_chunk(saved)));
}

// ---- drift ----

TEST(Drift, IsToldInTheReferencesWords)
{
    const std::string then = environment_of({{"torch", "name=torch;version=2.3.1;cuda=12.1"},
                                             {"python", "name=python;version=3.11.2"},
                                             {"gpu", "name=gpu;model=NVIDIA A100;driver=535.129.01"}});
    const std::string now = environment_of({{"python", "name=python;version=3.11.2"},
                                            {"cuda", "name=cuda;version=12.1"},
                                            {"gpu", "name=gpu;model=NVIDIA GeForce RTX 4090;driver=550.40.07"}});
    EXPECT_EQ((Strings{"Environment component 'torch' missing in current system",
                       "Environment component 'gpu' differs:\n"
                       "  File: name=gpu;model=NVIDIA A100;driver=535.129.01\n"
                       "  Current: name=gpu;model=NVIDIA GeForce RTX 4090;driver=550.40.07",
                       "Environment component 'cuda' missing in file"}),
              drift(then, now));
}

TEST(Drift, PairsSeveralGpusInOrder)
{
    const std::string one = environment_of({{"gpu", "A"}}),
                      same = environment_of({{"os", "x"}, {"gpu", "A"}, {"gpu", "B"}}),
                      other = environment_of({{"gpu", "A"}, {"os", "x"}, {"gpu", "C"}, {"gpu", "B"}});
    EXPECT_EQ(Strings{}, drift(same, same));
    EXPECT_EQ((Strings{"Environment component 'gpu' differs:\n  File: B\n  Current: C",
                       "Environment component 'gpu' missing in file"}),
              drift(same, other));
    EXPECT_EQ((Strings{"Environment component 'gpu' differs:\n  File: C\n  Current: B",
                       "Environment component 'gpu' missing in current system"}),
              drift(other, same));
    EXPECT_EQ((Strings{"Environment component 'os' missing in current system",
                       "Environment component 'gpu' missing in current system"}),
              drift(same, one));
}

TEST(Drift, IsDecidedByTheRecordedDigest)
{
    const std::string digest = test::sha256("x");
    std::string upper = digest;
    std::transform(upper.begin(), upper.end(), upper.begin(), [](char c) { return c >= 'a' ? char(c - 32) : c; });
    EXPECT_EQ(Strings{},
              drift(environment({component("os", "x", upper)}), environment({component("os", "x", digest)})));
    EXPECT_EQ(Strings{},
              drift(environment({component("os", "y", digest)}), environment({component("os", "x", digest)})));
    EXPECT_EQ(Strings{"Environment component 'os' differs:\n  File: x\n  Current: x"},
              drift(environment({component("os", "x", "zz")}), environment({component("os", "x", digest)})));
}

TEST(Drift, CopesWithManyComponents)
{
    Components many;
    for (int i = 0; i < 20000; i++)
        many.emplace_back(i % 2 ? "gpu" : "os", "same");
    const std::string then = environment_of(many);
    EXPECT_EQ(Strings{}, drift(then, then));
    many.pop_back();
    EXPECT_EQ(1u, drift(then, environment_of(many)).size());
}

class GoldenEnvironment : public testing::TestWithParam<std::string>
{
};

TEST_P(GoldenEnvironment, IsSpeltAsOursAndDoesNotDriftFromItself)
{
    const std::filesystem::path folder = test::data_folder() / "golden";
    Json story(folder / (GetParam() + ".json"));
    File file;
    ASSERT_GOOD(raiiaf_open_path(&file, (folder / story["file"].text()).c_str(), nullptr, &error));
    const size_t i = raiiaf_environment_chunk(file);
    ASSERT_EQ(story["env"].size() == 0, i == RAIIAF_NONE);
    if (i == RAIIAF_NONE)
        return;
    const std::string json = test::read_chunk(file, i);
    const Components components = components_of(json);
    EXPECT_EQ(story["env"].size(), components.size());
    EXPECT_EQ(reference_spelling(components), json);
    EXPECT_EQ(Strings{}, drift(json, json));
    EXPECT_EQ(components.size(), drift(json, environment({})).size());
}

INSTANTIATE_TEST_SUITE_P(All, GoldenEnvironment, testing::ValuesIn(test::stories("golden")), test::story_name);

} // namespace
