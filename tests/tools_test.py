#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Drives the raiiaf command as its users do.

RAIIAF is the command, RAIIAF_DATA the folder that holds golden/.  Needs Python's own library alone; what reader.py
can confirm besides is confirmed where its modules are installed.
"""
import ast
import glob
import hashlib
import json
import locale
import os
import re
import shutil
import stat
import struct
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
RAIIAF = os.environ.get("RAIIAF", os.path.join(HERE, "..", "tools", "raiiaf"))
GOLDEN = os.path.join(os.environ.get("RAIIAF_DATA", os.path.join(HERE, "data")), "golden")
COMMANDS = ["info", "verify", "extract", "create", "edit", "repack", "scan", "convert", "export", "dialects"]

sys.path.insert(0, HERE)
try:
    import reader
except ImportError as missing:
    print(f"without the check by reader.py: {missing}", file=sys.stderr)
    reader = None

locale.setlocale(locale.LC_ALL, "")


def golden(name):
    return os.path.join(GOLDEN, name)


def stories(folder):
    for path in sorted(glob.glob(os.path.join(glob.escape(folder), "*.json"))):
        if os.path.basename(path) != "INDEX.json":
            with open(path, encoding="utf-8") as file:
                story = json.load(file)
            yield os.path.join(folder, story["file"]), story


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def grouped(number):
    return locale.format_string("%d", number, grouping=True)


def metadata(manifest):
    (value,) = manifest.values()
    return value


def npy(values, shape, letter="f"):
    """A NumPy file of these numbers."""
    header = repr({"descr": {"f": "<f4", "e": "<f2", "d": "<f8"}[letter], "fortran_order": False, "shape": shape})
    header += " " * (-(len(header) + 11) % 64) + "\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header.encode() + struct.pack(
        f"<{len(values)}{letter}", *values)


def read_npy(data):
    """(header, tensor's bytes)"""
    assert data[:6] == b"\x93NUMPY", data[:16]
    size = struct.unpack_from("<H", data, 8)[0]
    assert (10 + size) % 16 == 0, size
    return ast.literal_eval(data[10:10 + size].decode()), data[10 + size:]


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="raiiaf-tools-")
        self.addCleanup(shutil.rmtree, self.folder)

    def path(self, name, data=None):
        path = os.path.join(self.folder, name)
        if data is not None:
            with open(path, "wb") as file:
                file.write(data if isinstance(data, bytes) else data.encode())
        return path

    def read(self, name):
        with open(self.path(name), "rb") as file:
            return file.read()

    def copy(self, name, to=None):
        return shutil.copyfile(golden(name), self.path(to or name))

    def run_raiiaf(self, *arguments, status=0, input=b"", env=None, **options):
        """(standard output, standard error), both bytes, of a call that has to end with `status`."""
        done = subprocess.run([RAIIAF, *arguments], input=input, stdout=options.pop("stdout", subprocess.PIPE),
                              stderr=subprocess.PIPE, cwd=self.folder, env=dict(os.environ, **(env or {})), **options)
        self.assertEqual(done.returncode, status, (arguments, (done.stdout or b"")[-500:], done.stderr[-2000:]))
        return done.stdout, done.stderr

    def ok(self, *arguments, **options):
        out, err = self.run_raiiaf(*arguments, **options)
        self.assertEqual(err, b"", arguments)
        return out

    def info(self, *paths, **options):
        return [json.loads(line) for line in self.ok("info", "--json", *paths, **options).splitlines()]

    def one_sentence(self, err, *parts):
        text = err.decode()
        self.assertEqual(text.count("\n"), 1, text)
        self.assertTrue(text.startswith("raiiaf: "), text)
        for part in parts:
            self.assertIn(part, text)

    def untouched(self, path):
        about = os.stat(path)
        with open(path, "rb") as file:
            return about.st_ino, about.st_mtime_ns, about.st_mode, file.read()

    def written(self, path, fresh=True):
        """What is written passes the second reader."""
        self.run_raiiaf("verify", path)
        if reader:
            artifact = reader.read(path)
            reader.check_writer(artifact, fresh)
            self.assertEqual(artifact.warnings, [])


class Usage(Case):
    def test_help(self):
        listed = self.ok("--help").decode()
        for command in COMMANDS:
            self.assertRegex(listed, rf"(?m)^  {command} +\w")
            text = self.ok(command, "--help").decode()
            self.assertTrue(text.startswith(f"Usage: raiiaf {command} "), text)
            self.assertEqual(text, self.ok(command, "-h").decode())
            self.assertEqual([line for line in text.splitlines() if len(line) > 80], [])

    def test_version(self):
        self.assertRegex(self.ok("--version"), rb"^raiiaf \d+\.\d+\.\d+\n$")

    def test_man_page_tells_every_command_and_option(self):
        with open(os.path.join(HERE, "..", "tools", "raiiaf.1"), encoding="ascii") as file:
            page = file.read().replace("\\-", "-")
        for command in COMMANDS:
            self.assertIn(f"\n.SS {command}\n", page)
            section = page.split(f"\n.SS {command}\n")[1].split("\n.SS ")[0].split("\n.SH ")[0]
            helped = re.findall(r"(?m)^ +(?:-., )?(--[a-z0-9-]+)", self.ok(command, "--help").decode())
            told = re.findall(r"(?m)(?<=^\.TP\n)\.B.*?(--[a-z0-9-]+)", section)
            self.assertEqual({*told, "--help"}, set(helped), command)

    def test_wrong_use(self):
        file = golden("img_1x1.raiiaf")
        for arguments, hint in [
            ((), "COMMAND --help"),
            (("nonsense",), "raiiaf --help"),
            (("info",), "raiiaf info --help"),
            (("info", "--nonsense", file), "raiiaf info --help"),
            (("verify",), "raiiaf verify --help"),
            (("extract", file), "raiiaf extract --help"),
            (("extract", "--image", "x.png"), "raiiaf extract --help"),
            (("extract", file, file, "--image", "x.png"), "raiiaf extract --help"),
            (("extract", file, "--latent", "0"), "raiiaf extract --help"),
            (("extract", file, "--image"), "raiiaf extract --help"),
            (("extract", file, "--image", "-", "--manifest", "-"), "raiiaf extract --help"),
            (("create",), "raiiaf create --help"),
            (("create", "x.png"), "raiiaf create --help"),
            (("create", "-o", "x.raiiaf", "x.png"), "raiiaf create --help"),
            (("create", "-o", "x.raiiaf", "--latent", "x.npy"), "raiiaf create --help"),
            (("create", "-o", "x.raiiaf", "--latent", "t=x.npy", "--latent", "t=y.npy"), "raiiaf create --help"),
            (("create", "-o", "x.raiiaf", "--set", "seed"), "raiiaf create --help"),
            (("create", "-o", "x.raiiaf", "--image", "-", "--manifest", "-"), "raiiaf create --help"),
            (("edit",), "raiiaf edit --help"),
            (("edit", file), "raiiaf edit --help"),
            (("edit", file, "--set", "seed"), "raiiaf edit --help"),
            (("edit", file, file, "--unset", "seed"), "raiiaf edit --help"),
            (("repack",), "raiiaf repack --help"),
            (("repack", "-o", "nowhere", file, file), "raiiaf repack --help"),
        ]:
            with self.subTest(arguments):
                out, err = self.run_raiiaf(*arguments, status=2)
                self.assertEqual(out, b"")
                self.assertIn(hint, err.decode())
        self.assertEqual(os.listdir(self.folder), [])

    def test_full_disk(self):
        file = golden("img_512_photo.raiiaf")
        for arguments in [("--help",), ("--version",), ("info", file), ("info", "--json", file), ("verify", file),
                          ("extract", file, "--image", "-"), ("create", "--no-environment", "-o", "-"),
                          ("edit", file, "--set", "prompt=x", "-o", "-"), ("repack", "-o", "-", file)]:
            with self.subTest(arguments), open("/dev/full", "wb") as full:
                _, err = self.run_raiiaf(*arguments, status=1, stdout=full)
                self.one_sentence(err, os.strerror(28))

    def test_closed_streams(self):
        file = golden("img_1x1.raiiaf")
        for command in ('info "$1" >&-', 'verify "$1" >&-', 'extract "$1" --image - >&-', 'create -o x.raiiaf --image - <&-',
                        'repack -o x.raiiaf "$1" >&-', 'info missing >&- 2>&-', "info - <&-"):
            done = subprocess.run(["sh", "-c", '"$0" ' + command, RAIIAF, file], cwd=self.folder, capture_output=True)
            self.assertEqual((done.returncode, done.stdout), (1, b""), (command, done.stderr))
        if os.path.exists(self.path("x.raiiaf")):
            self.ok("verify", "x.raiiaf")

    def test_reader_that_leaves(self):
        file = golden("prompt_100k.raiiaf")
        line = subprocess.run(["sh", "-c", '"$0" info --json "$@" | head -c 100', RAIIAF] + 50 * [file],
                              capture_output=True, check=True)
        self.assertEqual(len(line.stdout), 100)
        self.assertEqual(line.stderr, b"")


class Info(Case):
    def test_json_tells_what_golden_files_hold(self):
        told = list(stories(GOLDEN))
        self.assertGreaterEqual(len(told), 80)
        for (path, story), got in zip(told, self.info(*[path for path, _ in told]), strict=True):
            with self.subTest(story["file"]):
                self.assertEqual(set(got), {"file", "layout", "manifest", "image", "latents", "environment", "drift"})
                self.assertEqual((got["file"], got["layout"]), (path, story["layout"]))
                if "manifest" in story:
                    self.assertEqual(repr(got["manifest"]), repr(story["manifest"]))
                self.check_image(got["image"], story["image"])
                self.check_latents(got, story)
                self.check_environment(got["environment"], story["env"])

    def check_image(self, got, story):
        if story is None:
            self.assertIsNone(got)
            return
        self.assertEqual(set(got), {"format", "width", "height", "depth", "bytes", "sha256"})
        self.assertEqual((got["bytes"], got["sha256"]), (story["bytes"], story["sha256"]))

    def check_latents(self, info, story):
        got = info["latents"]
        self.assertEqual([l["index"] for l in got], list(range(len(got))))
        for l in got:
            self.assertEqual(set(l), {"index", "key", "shape", "dtype", "bytes", "sha256", "encoding"})
            self.assertIn(l["encoding"], ("raw", "zstd", "zfp"))
        if "latents" in story:
            self.assertEqual([(l["shape"], l["dtype"], l["bytes"], l["sha256"]) for l in got],
                             [(l["shape"], l["dtype"], l["bytes"], l["sha256"]) for l in story["latents"]])
            records = [r for r in metadata(info["manifest"])["chunks"] if r["type"] == "LATN"]
            for l, record in zip(got, records, strict=True):
                key = record["extra"].get("key", "")
                self.assertEqual(l["key"], key if isinstance(key, str) else json.dumps(key))
        else:
            self.assertEqual([l["sha256"] for l in got], story["latents_sha256_in_order"])

    def check_environment(self, got, story):
        if story is None:
            self.assertIsNone(got)
            return
        self.assertEqual([(c["component_id"], c["cononical_str"], c["component_sha256_digest"])
                          for c in got["components"]],
                         [(c["component_id"], c["cononical_str"], c["sha256"]) for c in story])

    def test_json_image(self):
        for name, wanted in {"img_512_photo": ("PNG", 512, 512, 8), "img_gray16": ("PNG", None, None, 16),
                             "img_gray1": ("PNG", None, None, 1), "img_is_jpeg": ("JPEG", None, None, 8),
                             "img_is_webp": ("WebP", None, None, 8), "img_1x1": ("PNG", 1, 1, 8)}.items():
            image = self.info(golden(name + ".raiiaf"))[0]["image"]
            self.assertEqual((image["format"], image["depth"]), (wanted[0], wanted[3]), name)
            self.assertGreater(image["width"] * image["height"], 0)
            if wanted[1]:
                self.assertEqual((image["width"], image["height"]), wanted[1:3], name)

    def test_json_keeps_the_manifest_to_the_byte(self):
        for name in ["settings_nonfinite.raiiaf", "seed_over_u64.raiiaf", "prompt_surrogate.raiiaf", "g5_unicode.gen5"]:
            manifest = re.sub(rb"\n *", b" ", self.ok("extract", golden(name), "--manifest", "-"))
            self.assertIn(b'"manifest": ' + manifest + b', "image": ', self.ok("info", "--json", golden(name)))

    def test_json_of_an_indented_manifest_is_one_line(self):
        manifest = {"raiiaf_metadata": {"model_info": {"prompt": "two\nlines"}, "more": {"a": [1, 2]}}}
        path = self.path("x.raiiaf")
        self.ok("create", "-o", path, "--no-environment", "--manifest", "-",
                input=json.dumps(manifest, indent=2).replace("\n", "\r\n").encode())
        self.assertIn(b"\n", self.ok("extract", path, "--manifest", "-"))
        got = metadata(self.info(path)[0]["manifest"])
        self.assertEqual(got["model_info"]["prompt"], "two\nlines")
        self.assertEqual(got["more"], {"a": [1, 2]})

    def test_text_for_people(self):
        out = self.ok("info", golden("hw_rich.raiiaf")).decode()
        for part in [golden("hw_rich.raiiaf"), "raiiaf-33", grouped(5279), "a lighthouse at dusk, volumetric light", "seed",
                     "42", "7.5", "euler", "gpu.7.name", "H100-7", "1x4x8x8", "float32", "zfp", grouped(3897),
                     "Environment", "numpy"]:
            self.assertIn(part, out)
        for line in out.splitlines():
            self.assertEqual(line, line.rstrip())

    def test_every_golden_file_for_people(self):
        for path, story in stories(GOLDEN):
            out = self.ok("info", path, env={"COLUMNS": "100"})
            self.assertNotRegex(out.decode(), "[\0-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", path)
            self.assertIn(story["layout"], out.decode())
            if story["image"]:
                self.assertIn(story["image"]["sha256"], out.decode())

    def test_prompt_is_wrapped(self):
        prompt = " ".join(f"word{i}" for i in range(200)) + "\n\nsecond  paragraph " + "x" * 300 + "\r\n" + "\u5b57" * 90
        path = self.path("x.raiiaf")
        self.ok("create", "-o", path, "--no-environment", "--set", "prompt=" + prompt)
        for columns in (40, 72, 200):
            lines = self.ok("info", path, env={"COLUMNS": str(columns)}).decode().split("Prompt\n")[1].splitlines()
            width = lambda line: len(line) + sum(c == "\u5b57" for c in line)
            self.assertTrue(all(width(line) <= columns for line in lines), lines)
            self.assertGreater(max(map(width, lines)), columns - 8)
            self.assertEqual("".join("".join(lines).split()).count("x"), 300)
            self.assertEqual(re.findall(r"word\d+", "\n".join(lines)), [f"word{i}" for i in range(200)])
            self.assertIn("", lines)

    def test_terminal_is_safe(self):
        evil = "red \x1b[31m bell \x07 c1 \x9b2J del \x7f turn \u202e nul \0 end"
        manifest = {"model_info": {"prompt": evil, "model_name": "a\x1b]0;title\x07", "tags": ["\x1b[2J"]},
                    "\x1b[1mname": 1}
        path = self.path("x.raiiaf")
        self.path("t.npy", npy([0.5] * 16, (1, 1, 4, 4)))
        self.ok("create", "-o", path, "--no-environment", "--manifest", "-", "--latent", "k\x1b[5m=t.npy",
                input=json.dumps(manifest).encode())
        out = self.ok("info", path).decode()
        self.assertNotRegex(out, "[\0-\x09\x0b-\x1f\x7f-\x9f\u202e]")
        for part in ["\\x1b[31m", "\\x07", "\\x9b2J", "\\x7f", "\\u202e", "\\x00", "k\\x1b[5m", "a\\x1b]0;title"]:
            self.assertIn(part, out)
        self.assertNotIn("\x1b", self.ok("info", "--json", path).decode())
        self.assertEqual(metadata(self.info(path)[0]["manifest"])["model_info"]["prompt"], evil)
        out, err = self.run_raiiaf("verify", "no\x1b[31m\nfile", status=1)
        self.assertNotIn(b"\x1b", out + err)
        self.one_sentence(err, "no\\x1b[31m\\x0afile")
        self.assertEqual(out.count(b"\n"), 1)

    def test_names(self):
        for name in ["with space and 'quotes\".raiiaf", "-dash.raiiaf", "\u00fc\u5b57.raiiaf", "new\nline.raiiaf",
                     "*?[].raiiaf"]:
            self.copy("img_1x1.raiiaf", name)
            (got,) = self.info("--", name)
            self.assertEqual(got["file"], name)
        name = os.fsencode(self.folder) + b"/latin-\xe9.raiiaf"
        shutil.copyfile(golden("img_1x1.raiiaf"), name)
        line = self.ok("info", "--json", name)
        self.assertEqual(json.loads(line)["file"].encode("utf-8", "surrogateescape"), name)
        self.assertIn(b"latin-\\xe9.raiiaf: OK", self.ok("verify", name))

    def test_one_wrong_file_stops_nothing(self):
        good, bad = golden("img_1x1.raiiaf"), golden(os.path.join("corrupt", "flip_meta_mid.raiiaf"))
        self.assertTrue(os.path.exists(bad))
        for flag in ([], ["--json"]):
            out, err = self.run_raiiaf("info", *flag, good, "missing.raiiaf", bad, self.folder, good, status=1)
            self.assertEqual(out.count(good.encode()), 2)
            self.assertEqual(err.count(b"\n"), 3, err)
            self.assertIn(b"missing.raiiaf", err)
            self.assertIn(b"flip_meta_mid.raiiaf", err)

    def test_damaged_environment_leaves_the_rest(self):
        path = golden(os.path.join("corrupt", "hash_wrong_envc.raiiaf"))
        out, err = self.run_raiiaf("info", "--json", path, status=1)
        self.one_sentence(err, "hash_wrong_envc.raiiaf", "ENVC")
        got = json.loads(out)
        self.assertEqual((got["environment"], got["drift"]), (None, []))
        self.assertEqual(got["image"]["format"], "PNG")
        out, err = self.run_raiiaf("info", path, status=1)
        self.assertIn(b"PNG", out)

    def test_standard_input(self):
        path = golden("hw_rich.raiiaf")
        with open(path, "rb") as file:
            data = file.read()
        (got,), (wanted,) = self.info("-", input=data), self.info(path)
        self.assertEqual(got, dict(wanted, file="-"))
        self.assertIn(b"H100-7", self.ok("info", "-", input=data))

    def test_drift(self):
        self.ok("create", "-o", "here.raiiaf")
        (here,) = self.info("here.raiiaf")
        self.assertEqual(here["drift"], [])
        out = self.ok("info", "here.raiiaf").decode()
        self.assertNotIn("differs", out)
        now = {c["component_id"]: c for c in here["environment"]["components"]}
        self.assertIn(f"name=os;version={os.uname().sysname} {os.uname().release}", now["os"]["cononical_str"])
        (there,) = self.info(golden("env_with_gpu.raiiaf"))
        then = {c["component_id"]: c for c in there["environment"]["components"]}
        wanted = [f"Environment component '{i}' missing in current system" for i in then if i not in now]
        wanted += [f"Environment component '{i}' missing in file" for i in now if i not in then]
        wanted += [f"Environment component '{i}' differs:\n  File: {then[i]['cononical_str']}\n"
                   f"  Current: {now[i]['cononical_str']}" for i in then
                   if i in now and then[i]["component_sha256_digest"] != now[i]["component_sha256_digest"]]
        self.assertTrue(wanted)
        self.assertEqual(sorted(there["drift"]), sorted(wanted))
        out = self.ok("info", golden("env_with_gpu.raiiaf"), env={"COLUMNS": "200"}).decode()
        for text in wanted:
            self.assertIn("\n".join("    " + line for line in text.split("\n")), out)

    def test_history_and_stale_marks(self):
        path = self.path("x.raiiaf")
        tensor = struct.pack("<16f", *[0.5] * 16)
        record = {"type": "LATN", "flags": "F32", "uncompressed_size": 64, "len_header": 12, "len_data": 64}
        extra = {"shape": [1, 1, 4, 4], "dtype": "float32"}
        write_file(path, [(record | {"extra": extra | {"key": "old", "stale": True}}, tensor),
                          (record | {"extra": extra | {"key": "new"}}, tensor)],
                   history=[{"date": "2026-11-21T00:00:00+00:00", "tool": "ImageMagick 7", "action": "edited"}, 7,
                            {"action": "metadata"}])
        out = self.ok("info", path).decode()
        self.assertRegex(out, r"(?m)^ +0  old  1x1x4x4  float32  raw +76 +64  stale$")
        self.assertRegex(out, r"(?m)^ +1  new  1x1x4x4  float32  raw +76 +64$")
        self.assertRegex(out, r"(?m)^ +2026-11-21T00:00:00\+00:00  edited +ImageMagick 7$")
        self.assertRegex(out, r"(?m)^ +metadata$")
        self.assertIn(b"2 latents", self.ok("verify", path))

    def test_a_large_file_takes_little_memory(self):
        small, large = self.path("small.raiiaf"), self.path("large.raiiaf")
        picture = self.ok("extract", golden("img_1x1.raiiaf"), "--image", "-")
        for path, size in ((small, len(picture)), (large, 1 << 30)):
            write_file(path, [({"type": "DATA", "flags": "0000", "uncompressed_size": size}, picture)])
        image = self.info(large)[0]["image"]
        self.assertEqual((image["format"], image["width"], image["bytes"]), ("PNG", 1, 1 << 30))
        self.assertLess(self.peak(large) - self.peak(small), 4 << 20)
        limit = 'ulimit -d 20480 && exec "$0" "$@" >/dev/null'
        if subprocess.run(["sh", "-c", limit, RAIIAF, "--version"], capture_output=True).returncode == 0:
            subprocess.run(["sh", "-c", limit, RAIIAF, "info", large], check=True)
        else:
            print("even --version takes 20 MB here, as programs with sanitizers do", end=" ", file=sys.stderr)

    def peak(self, path):
        """The most memory that info takes; the shell between keeps Python's own out of it."""
        process = subprocess.Popen(["sh", "-c", '"$0" info "$1" >/dev/null; exit $?', RAIIAF, path])
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        self.assertEqual(process.returncode, 0)
        return usage.ru_maxrss << 10


def zstd_stored(data):
    """A zstd frame that holds `data` uncompressed."""
    frame = struct.pack("<IBI", 0xFD2FB528, 0xA0, len(data))
    blocks = [data[i:i + 65536] for i in range(0, len(data), 65536)]
    for i, block in enumerate(blocks):
        frame += struct.pack("<I", (i == len(blocks) - 1) | len(block) << 3)[:3] + block
    return frame


def write_file(path, chunks, **members):
    """A file by hand: chunks are (record's members, payload or as much of it as isn't a hole)."""
    records, offset = [], 33
    with open(path, "wb") as file:
        for members_of_record, payload in chunks:
            size = members_of_record["uncompressed_size"]
            records.append({"index": len(records), "offset": offset, "compressed_size": 12 + size, "hash": sha256(payload),
                            "extra": {}, "compressed": False, "len_header": None, "len_data": None} | members_of_record)
            file.seek(offset)
            flags = members_of_record["flags"].encode().ljust(4, b"\0")
            file.write(members_of_record["type"].encode() + flags + struct.pack("<I", size) + payload)
            offset += 12 + size
        manifest = json.dumps({"raiiaf_metadata": {"file_info": {}, "model_info": {}, "chunks": records} | members})
        table = zstd_stored(b"META0000" + struct.pack("<I", len(manifest)) + manifest.encode())
        file.seek(offset)
        file.write(table)
        file.seek(0)
        file.write(struct.pack("<6sBBBIIIQI", b"raiiaf", 1, 0, 0, offset, len(table), 1, offset + len(table), 0))


class Verify(Case):
    def test_golden_files(self):
        told = list(stories(GOLDEN))
        lines = self.ok("verify", *[path for path, _ in told]).decode().splitlines()
        for line, (path, story) in zip(lines, told, strict=True):
            self.assertTrue(line.startswith(f"{path}: OK ({story['layout']}, "), line)
            self.assertEqual("environment" in line, story["env"] is not None, line)
            self.assertEqual("no image" in line, story["image"] is None, line)
        self.assertTrue(any(line.endswith(": OK (raiiaf-33, PNG 512x512, 1 latent, environment)") for line in lines))

    def test_damaged_files(self):
        told = list(stories(os.path.join(GOLDEN, "corrupt")))
        self.assertGreaterEqual(len(told), 370)
        out, err = self.run_raiiaf("verify", *[path for path, _ in told], status=1)
        for line, (path, story) in zip(out.decode().splitlines(), told, strict=True):
            wanted = ": FAILED" if story["advice"] == "must_reject" else ": OK ("
            self.assertTrue(line.startswith(path + wanted), line)
        rejected = [path for path, story in told if story["advice"] == "must_reject"]
        errors = [line for line in err.decode().splitlines() if not line.startswith("raiiaf: warning: ")]
        for line, path in zip(errors, rejected, strict=True):
            self.assertTrue(line.startswith(f"raiiaf: {path}: "), line)

    def test_quiet(self):
        self.assertEqual(self.ok("verify", "--quiet", golden("img_1x1.raiiaf")), b"")
        out, err = self.run_raiiaf("verify", "-q", golden("img_1x1.raiiaf"), "missing", status=1)
        self.assertEqual(out, b"missing: FAILED\n")
        self.one_sentence(err, "missing")

    def test_standard_input(self):
        with open(golden("img_1x1.raiiaf"), "rb") as file:
            data = file.read()
        self.assertEqual(self.ok("verify", "-", input=data)[:17], b"-: OK (raiiaf-33,")
        self.run_raiiaf("verify", "-", input=data[:-1], status=1)
        self.run_raiiaf("verify", "-", input=b"", status=1)


class Extract(Case):
    def test_everything_of_golden_files(self):
        for path, story in stories(GOLDEN):
            if "latents" not in story:
                continue
            with self.subTest(story["file"]):
                arguments = ["--manifest", "m.json"]
                arguments += ["--image", "i.png"] if story["image"] else []
                arguments += ["--environment", "e.json"] if story["env"] is not None else []
                (info,) = self.info(path)
                for n, latent in enumerate(info["latents"]):
                    arguments += ["--latent", latent["key"] or str(n), f"{n}.npy"]
                self.ok("extract", path, *arguments)
                self.check(story, info)

    def check(self, story, info):
        self.assertEqual(sha256(self.read("m.json")), story["manifest_text_sha256"])
        if story["image"]:
            self.assertEqual(sha256(self.read("i.png")), story["image"]["sha256"])
        if story["env"] is not None:
            self.assertEqual(json.loads(self.read("e.json")), info["environment"])
        for n, latent in enumerate(story["latents"]):
            header, tensor = read_npy(self.read(f"{n}.npy"))
            self.assertEqual(header, {"descr": {"float32": "<f4", "float16": "<f2"}[latent["dtype"]],
                                      "fortran_order": False, "shape": tuple(latent["shape"])})
            self.assertEqual(sha256(tensor), latent["sha256"])

    def test_odd_keys(self):
        path = golden("key_oddities.raiiaf")
        for n, latent in enumerate(self.info(path)[0]["latents"]):
            _, tensor = read_npy(self.ok("extract", path, "--latent", latent["key"], "-"))
            self.assertEqual(sha256(tensor), latent["sha256"])

    def test_preview(self):
        self.ok("extract", golden("img_512_photo.raiiaf"), "--latent-preview", "0", "p.png", "--latent=0", "t.npy")
        with open(self.path("p.png"), "rb") as file:
            png = file.read()
        self.assertEqual(png[:8], b"\x89PNG\r\n\x1a\n")
        header, _ = read_npy(self.read("t.npy"))
        self.assertEqual(struct.unpack(">II", png[16:24]), header["shape"][:1:-1])

    def test_standard_streams(self):
        with open(golden("img_512_photo.raiiaf"), "rb") as file:
            data = file.read()
        out = self.ok("extract", "-", "--image", "-", "--manifest", "m.json", input=data)
        self.assertEqual(sha256(out), self.info(golden("img_512_photo.raiiaf"))[0]["image"]["sha256"])
        self.assertTrue(os.path.exists(self.path("m.json")))

    def test_outputs_do_not_replace_each_other(self):
        file = golden("img_512_photo.raiiaf")
        self.path("old", "old")
        os.link(self.path("old"), self.path("same"))
        for a, b in ("new", "new"), ("old", "old"), ("old", "same"):
            _, err = self.run_raiiaf("extract", file, "--image", a, "--manifest", b, status=2)
            self.assertIn(b"one output would replace another", err)
        self.assertEqual(sorted(os.listdir(self.folder)), ["old", "same"])
        self.assertEqual(self.read("old"), b"old")
        self.ok("extract", file, "--image", "/dev/null", "--manifest", "/dev/null")

    def test_what_is_not_there(self):
        out, err = self.run_raiiaf("extract", golden("no_image_f16_raw.raiiaf"), "--image", "i.png", "--latent",
                                   "nonsense", "n.npy", "--latent", "99", "99.npy", "--manifest", "m.json", status=1)
        self.assertEqual(err.count(b"\n"), 3)
        self.assertEqual(os.listdir(self.folder), ["m.json"])
        _, err = self.run_raiiaf("extract", golden("g5old2_f32_raw.gen5"), "--environment", "-", status=1)
        self.one_sentence(err, "g5old2_f32_raw.gen5")

    def test_lossy(self):
        path = golden(os.path.join("corrupt", "zfp_lossy_rate.raiiaf"))
        _, err = self.run_raiiaf("extract", path, "--latent", "0", "t.npy", status=1)
        self.one_sentence(err, "--accept-lossy", "zfp_lossy_rate.raiiaf")
        self.assertEqual(os.listdir(self.folder), [])
        self.run_raiiaf("extract", path, "--latent", "0", "t.npy", "--accept-lossy")
        (info,) = self.info(path)
        header, tensor = read_npy(self.read("t.npy"))
        self.assertEqual((list(header["shape"]), len(tensor)),
                         (info["latents"][0]["shape"], info["latents"][0]["bytes"]))

    def test_failing_output_leaves_the_old_file(self):
        bad = golden(os.path.join("corrupt", "hash_wrong_data.raiiaf"))
        self.assertTrue(os.path.exists(bad))
        old = self.path("old.png", b"old")
        self.run_raiiaf("extract", bad, "--image", old, status=1)
        self.assertEqual(self.read(old), b"old")
        file = golden("img_1x1.raiiaf")
        for target in ["no/such/folder.png", self.folder]:
            _, err = self.run_raiiaf("extract", file, "--image", target, status=1)
            self.one_sentence(err, target)
        self.assertEqual(os.listdir(self.folder), ["old.png"])

    @unittest.skipIf(os.geteuid() == 0, "root may write into any folder")
    def test_folder_without_permission(self):
        os.mkdir(self.path("closed"), 0o500)
        _, err = self.run_raiiaf("extract", golden("img_1x1.raiiaf"), "--image", "closed/i.png", status=1)
        self.one_sentence(err, "closed/i.png", os.strerror(13))

    def test_never_over_its_input(self):
        path = self.copy("img_1x1.raiiaf")
        before = self.untouched(path)
        os.symlink(path, self.path("link"))
        for target in [path, "link"]:
            self.run_raiiaf("extract", path, "--image", target, status=2)
        self.assertEqual(self.untouched(path), before)


class Create(Case):
    def setUp(self):
        super().setUp()
        self.picture = self.ok("extract", golden("img_512_photo.raiiaf"), "--image", "-")
        self.path("i.png", self.picture)
        self.values = [((i * 2654435761) % 1000 - 500) / 100 for i in range(4 * 16 * 16)]
        self.path("t.npy", npy(self.values, (1, 4, 16, 16)))
        self.path("h.npy", npy([0.5] * 64, (1, 1, 8, 8), "e"))

    def test_everything(self):
        manifest = {"raiiaf_metadata": {
            "model_info": {"model_name": "m", "tags": ["a", "b"], "generation_settings":
                           {"seed": 1, "steps": 20, "sampler": "euler", "more": [1, {"x": -0.0}]}}, "ours": 12345678901234567890123}}
        self.path("m.json", json.dumps(manifest))
        self.ok("create", "-o", "x.raiiaf", "--image", "i.png", "--latent", "first=t.npy", "--latent", "second=h.npy",
                "--manifest", "m.json", "--set", "prompt=a = b", "--set", "seed=42", "--set",
                "/model_info/generation_settings/cfg_scale=7.5")
        (info,) = self.info("x.raiiaf")
        self.written(self.path("x.raiiaf"))
        self.assertEqual((info["image"]["format"], info["image"]["width"], info["image"]["sha256"]),
                         ("PNG", 512, sha256(self.picture)))
        tensor = struct.pack("<1024f", *self.values)
        self.assertEqual([(l["key"], l["shape"], l["dtype"], l["sha256"]) for l in info["latents"]],
                         [("first", [1, 4, 16, 16], "float32", sha256(tensor)),
                          ("second", [1, 1, 8, 8], "float16", sha256(struct.pack("<64e", *[0.5] * 64)))])
        got = metadata(info["manifest"])
        self.assertEqual((got["model_info"]["prompt"], got["model_info"]["tags"], got["ours"]),
                         ("a = b", ["a", "b"], 12345678901234567890123))
        self.assertEqual(got["model_info"]["generation_settings"],
                         {"seed": 42, "steps": 20, "sampler": "euler", "more": [1, {"x": -0.0}], "cfg_scale": 7.5})
        self.assertNotIn("history", got)
        self.assertNotIn("stale", json.dumps(got))
        self.assertIn("os", [c["component_id"] for c in info["environment"]["components"]])
        self.assertEqual(os.stat(self.path("x.raiiaf")).st_mode & 0o777, 0o666 & ~umask())

    def test_refused_latents_are_named(self):
        self.path("flat.npy", npy([1.0] * 4, (4,)))
        self.path("nan.npy", npy([float("nan")] * 4, (1, 1, 2, 2)))
        for name in "flat.npy", "nan.npy":
            _, err = self.run_raiiaf("create", "-o", "x.raiiaf", "--latent", "good=t.npy", "--latent", "k=" + name,
                                     status=1)
            self.one_sentence(err, f"raiiaf: {name}: ")
        self.assertFalse(os.path.exists(self.path("x.raiiaf")))

    def test_links_that_lead_nowhere_yet(self):
        os.mkdir(self.path("below"))
        os.symlink("below/b", self.path("a"))
        os.symlink("../c", self.path("below/b"))
        self.ok("create", "-o", "a", "--no-environment")
        self.assertTrue(os.path.islink(self.path("a")) and os.path.islink(self.path("below/b")))
        self.assertFalse(os.path.islink(self.path("c")))
        self.ok("verify", "c")
        os.symlink("y", self.path("x"))
        os.symlink("x", self.path("y"))
        _, err = self.run_raiiaf("create", "-o", "x", "--no-environment", status=1)
        self.one_sentence(err, "raiiaf: x: ")
        self.assertTrue(os.path.islink(self.path("x")) and os.path.islink(self.path("y")))

    def test_little(self):
        self.ok("create", "-o", "x.raiiaf", "--no-environment", env={"SOURCE_DATE_EPOCH": "1700000000"})
        (info,) = self.info("x.raiiaf")
        self.written(self.path("x.raiiaf"))
        self.assertEqual((info["image"], info["latents"], info["environment"]), (None, [], None))
        model = metadata(info["manifest"])["model_info"]
        self.assertTrue(model["date"].startswith("2023-11-14T22:13:20"), model)
        self.assertEqual((model["prompt"], model["tags"]), ("", []))

    def test_reproducible(self):
        for name in ("a.raiiaf", "b.raiiaf"):
            self.ok("create", "-o", name, "--image", "i.png", "--latent", "t=t.npy", "--set", "prompt=x",
                    env={"SOURCE_DATE_EPOCH": "1700000000"})
        self.assertEqual(self.read("a.raiiaf"), self.read("b.raiiaf"))

    def test_float16(self):
        self.ok("create", "-o", "x.raiiaf", "--no-environment", "--latent", "t=t.npy", "--float16")
        self.written(self.path("x.raiiaf"))
        (info,) = self.info("x.raiiaf")
        self.assertEqual((info["latents"][0]["dtype"], info["latents"][0]["sha256"]),
                         ("float16", sha256(struct.pack("<1024e", *self.values))))

    def test_standard_streams(self):
        data = self.ok("create", "-o", "-", "--image", "-", "--no-environment", input=self.picture)
        (info,) = self.info("-", input=data)
        self.assertEqual(info["image"]["sha256"], sha256(self.picture))
        data = self.ok("create", "-o", "-", "--latent", "t=-", "--no-environment",
                       input=self.read("t.npy"))
        self.assertEqual(self.info("-", input=data)[0]["latents"][0]["shape"], [1, 4, 16, 16])

    def test_an_image_of_another_kind_is_kept_with_a_warning(self):
        _, err = self.run_raiiaf("create", "-o", "x.raiiaf", "--no-environment", "--image", "t.npy")
        self.one_sentence(err, "raiiaf: ")
        self.assertEqual(self.ok("extract", "x.raiiaf", "--image", "-"), self.read("t.npy"))
        image = self.info("x.raiiaf")[0]["image"]
        self.assertEqual((image["format"], image["width"], image["height"], image["depth"]), ("unknown", None, None, None))

    def test_refusals_leave_no_file(self):
        self.path("three.npy", npy([0.5] * 16, (1, 4, 4)))
        self.path("nan.npy", npy([float("nan")] * 16, (1, 1, 4, 4)))
        self.path("bad.json", "{")
        self.path("typed.json", '{"model_info": {"prompt": 7}}')
        self.path("x.raiiaf", b"old")
        for arguments in [("--image", "missing.png"), ("--image", self.folder), ("--latent", "t=missing.npy"), ("--latent", "t=i.png"),
                          ("--latent", "t=three.npy"), ("--latent", "t=nan.npy"), ("--manifest", "bad.json"),
                          ("--manifest", "typed.json"), ("--manifest", "i.png"),
                          ("--set", "/model_info/generation_settings/seed=-1"), ("--set", "seed=one"),
                          ("--set", "/model_info/generation_settings/deterministic=maybe"), ("--set", "/chunks=[]")]:
            with self.subTest(arguments):
                _, err = self.run_raiiaf("create", "-o", "x.raiiaf", "--no-environment", *arguments, status=1)
                self.one_sentence(err)
                self.assertEqual(self.read("x.raiiaf"), b"old")
        names = {"i.png", "t.npy", "h.npy", "three.npy", "nan.npy", "bad.json", "typed.json", "x.raiiaf"}
        self.assertEqual(set(os.listdir(self.folder)), names)

    def test_numbers_in_every_locale(self):
        self.ok("create", "-o", "x.raiiaf", "--no-environment", "--set", "/model_info/generation_settings/cfg_scale=7.5",
                "--set", "seed=1234567", "--set", "steps=20", "--set", "sampler=INDIGO")
        self.assertIn(b'"cfg_scale": 7.5', self.ok("info", "--json", "x.raiiaf"))
        self.assertIn(b'1234567', self.ok("info", "--json", "x.raiiaf"))
        self.assertIn("7.5", self.ok("info", "x.raiiaf").decode())

    def test_never_over_its_image(self):
        self.run_raiiaf("create", "-o", "i.png", "--image", "i.png", status=2)
        self.assertEqual(self.read("i.png"), self.picture)


def umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


class Edit(Case):
    def test_set_and_unset(self):
        path = self.copy("img_512_photo.raiiaf")
        before = self.info(path)[0]
        os.chmod(path, 0o640)
        self.ok("edit", path, "--set", "prompt=another", "--set", "seed=7", "--unset",
                "/model_info/generation_settings/eta", "--set", "/model_info/tags=[\"x\"]")
        after = self.info(path)[0]
        self.written(path, fresh=False)
        self.assertEqual([after[k] for k in ("image", "latents", "environment")],
                         [before[k] for k in ("image", "latents", "environment")])
        old, new = metadata(before["manifest"]), metadata(after["manifest"])
        self.assertIn("eta", old["model_info"]["generation_settings"])
        old["model_info"].update(prompt="another", tags=["x"])
        old["model_info"]["generation_settings"]["seed"] = 7
        del old["model_info"]["generation_settings"]["eta"]
        self.assertEqual(new["model_info"], old["model_info"])
        (entry,) = new["history"]
        self.assertRegex(entry["tool"], r"^raiiaf \d+\.\d+\.\d+$")
        self.assertEqual(entry["image_before"], entry["image_after"])
        self.assertNotIn("stale", json.dumps(new["chunks"]))
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o640)
        self.assertEqual(os.listdir(self.folder), ["img_512_photo.raiiaf"])

    def test_spelling_stays(self):
        for name in ("seed_over_u64", "settings_nonfinite", "prompt_surrogate", "hw_rich"):
            path = self.copy(name + ".raiiaf")
            before = self.ok("extract", path, "--manifest", "-")
            self.ok("edit", path, "--set", "/model_info/version=edited")
            after = self.ok("extract", path, "--manifest", "-")
            cut = lambda text: re.search(rb'"model_info": ?\{.*?\}(?=,\s*"chunks")', text, re.S).group()
            self.assertEqual(re.sub(rb'("version": ?)"[^"]*"', rb'\1"edited"', cut(before)), cut(after))

    def test_files_end_with_their_manifest(self):
        """Hardly ever zeros behind it are needed to make its file_size true."""
        padded, paths = 0, [path for path, _ in stories(GOLDEN)]
        for path in paths:
            data = self.ok("edit", path, "--set", "/x=1", "-o", "-", env={"SOURCE_DATE_EPOCH": "1700000000"})
            start, size = struct.unpack("<II", data[9:17])
            padded += start + size < len(data)
        self.assertGreater(len(paths), 50)
        self.assertLess(padded, len(paths) / 10)

    def test_order(self):
        path = self.copy("hw_rich.raiiaf")
        self.ok("edit", path, "--set", "/x=1", "--unset", "/x", "--set", "/y=2", "--set", "/y=3")
        got = metadata(self.info(path)[0]["manifest"])
        self.assertNotIn("x", got)
        self.assertEqual(got["y"], 3)

    def test_nothing_to_change(self):
        path = self.copy("hw_rich.raiiaf")
        before = self.untouched(path)
        for change in ("seed=42", "/model_info/generation_settings/cfg_scale=7.5"):
            _, err = self.run_raiiaf("edit", path, "--set", change)
            self.one_sentence(err, path)
            self.assertEqual(self.untouched(path), before)
        self.run_raiiaf("edit", path, "--set", "seed=42", "-o", "copy.raiiaf")
        self.assertEqual(self.read("copy.raiiaf"), before[3])

    def test_refusals_leave_the_file(self):
        path = self.copy("hw_rich.raiiaf")
        before = self.untouched(path)
        for arguments in [("--set", "seed=-1"), ("--set", "seed=1.5"), ("--set", "steps=0"), ("--unset", "/no/such"),
                          ("--unset", "/model_info/prompt"), ("--unset", "prompt"), ("--set", "/file_info=1"),
                          ("--set", "/history=[]"), ("--set", "prompt=good", "--set", "seed=bad"), ("--unset", "nonsense"),
                          ("--set", "cfg_scale=1e400"), ("--set", "cfg_scale=NaN")]:
            with self.subTest(arguments):
                _, err = self.run_raiiaf("edit", path, *arguments, status=1)
                self.one_sentence(err, path)
                self.assertEqual(self.untouched(path), before)
        _, err = self.run_raiiaf("edit", "missing.raiiaf", "--set", "seed=1", status=1)
        self.one_sentence(err, "missing.raiiaf")
        self.assertEqual(os.listdir(self.folder), ["hw_rich.raiiaf"])

    def test_output_and_streams(self):
        path = self.copy("hw_rich.raiiaf")
        before = self.untouched(path)
        self.ok("edit", path, "--set", "seed=8", "-o", "other.raiiaf")
        data = self.ok("edit", "-", "--set", "seed=9", input=before[3])
        self.assertEqual(self.untouched(path), before)
        seed = lambda info: metadata(info[0]["manifest"])["model_info"]["generation_settings"]["seed"]
        self.assertEqual((seed(self.info("other.raiiaf")), seed(self.info("-", input=data))), (8, 9))

    def test_old_layouts_become_todays(self):
        for name in ("g5_f32_zstd.gen5", "r29_f32_zfp.raiiaf", "g5old2_f32_raw.gen5"):
            path = self.copy(name)
            before = self.info(path)[0]
            self.ok("edit", path, "--set", "prompt=new")
            self.written(path, fresh=False)
            after = self.info(path)[0]
            self.assertEqual(after["layout"], "raiiaf-33")
            self.assertEqual([l["sha256"] for l in after["latents"]], [l["sha256"] for l in before["latents"]])
            self.assertEqual(list(after["manifest"]), ["raiiaf_metadata"])

    def test_a_damaged_image_is_told_and_kept(self):
        path = self.copy(os.path.join("corrupt", "hash_wrong_data.raiiaf"), "x.raiiaf")
        for arguments in ((), ("-o", "y.raiiaf")):
            _, err = self.run_raiiaf("edit", path, "--set", "prompt=x" + str(arguments), *arguments)
            self.one_sentence(err, path, "warning", "DATA", "SHA-256")
            self.run_raiiaf("verify", arguments[-1] if arguments else path, status=1)
        self.run_raiiaf("edit", path, "--set", "seed=-1", status=1)

    def test_symbolic_link(self):
        path = self.copy("hw_rich.raiiaf")
        os.symlink("hw_rich.raiiaf", self.path("link"))
        self.ok("edit", "link", "--set", "seed=8")
        self.assertTrue(os.path.islink(self.path("link")))
        self.assertEqual(metadata(self.info(path)[0]["manifest"])["model_info"]["generation_settings"]["seed"], 8)

    @unittest.skipIf(os.geteuid() == 0, "root may write into any folder")
    def test_folder_without_permission(self):
        os.mkdir(self.path("closed"))
        path = self.copy("hw_rich.raiiaf", "closed/hw_rich.raiiaf")
        os.chmod(self.path("closed"), 0o500)
        before = self.untouched(path)
        _, err = self.run_raiiaf("edit", path, "--set", "seed=8", status=1)
        os.chmod(self.path("closed"), 0o700)
        self.one_sentence(err, path, os.strerror(13))
        self.assertEqual(self.untouched(path), before)


class Repack(Case):
    def content(self, path, **options):
        """What repacking may not change; of each record what it says of its payload, and its further members."""
        (info,) = self.info(path, **options)
        got = metadata(info["manifest"])
        records = [((r["type"], r["uncompressed_size"], r["hash"]), r["extra"]) for r in got.pop("chunks")]
        got.pop("file_info")
        return repr((got, [facts for facts, _ in records], info["image"], info["environment"])), [e for _, e in records]

    def assert_same(self, new, old):
        self.assertEqual(new[0], old[0])
        for extra, wanted in zip(new[1], old[1], strict=True):
            self.assertEqual({name: extra[name] for name in wanted}, wanted)

    def latents_stored(self, path):
        records = metadata(self.info(path)[0]["manifest"])["chunks"]
        return sum(record["compressed_size"] for record in records if record["type"] == "LATN")

    def test_every_golden_file(self):
        os.mkdir(self.path("packed"))
        paths = [path for path, _ in stories(GOLDEN)]
        lines = self.ok("repack", "-o", "packed", *paths).decode().splitlines()
        for path, line in zip(paths, lines, strict=True):
            packed = os.path.join(self.folder, "packed", os.path.basename(path))
            before, after = os.path.getsize(path), os.path.getsize(packed)
            with self.subTest(os.path.basename(path)):
                self.assert_same(self.content(packed), self.content(path))
                self.assertTrue(line.startswith(f"{path}: {grouped(before)} "), line)
                if after < before:
                    self.assertIn(f"{grouped(before)} -> {grouped(after)} bytes (", line)
                    self.assertIn(f"({round(100 * (before - after) / before)} % smaller)", line)
                    self.written(packed, fresh=False)
                else:
                    self.assertEqual(self.read(packed), self.read(path))

    def test_the_references_own_latents_shrink_to_about_a_quarter(self):
        path = self.copy("f32_zfp_basic.raiiaf")
        os.chmod(path, 0o604)
        os.symlink("f32_zfp_basic.raiiaf", self.path("link"))
        before, stored = self.content(path), self.latents_stored(path)
        self.ok("repack", "link")
        self.assertLess(self.latents_stored(path), 0.27 * stored)
        self.assert_same(self.content(path), before)
        self.assertTrue(os.path.islink(self.path("link")))
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o604)
        self.assertEqual(sorted(os.listdir(self.folder)), ["f32_zfp_basic.raiiaf", "link"])
        packed = self.untouched(path)
        self.assertIn(grouped(len(packed[3])), self.ok("repack", path).decode())
        self.assertEqual(self.untouched(path), packed)

    def test_streams(self):
        with open(golden("f32_zfp_basic.raiiaf"), "rb") as file:
            data = file.read()
        out, err = self.run_raiiaf("repack", "-", input=data)
        self.assertLess(len(out), len(data))
        self.assert_same(self.content("-", input=out), self.content("-", input=data))
        self.assertIn(grouped(len(data)), err.decode())
        self.ok("repack", "-o", "x.raiiaf", golden("f32_zfp_basic.raiiaf"))
        self.assertEqual(self.read("x.raiiaf"), out)

    def test_results_do_not_replace_each_other(self):
        os.mkdir(self.path("a"))
        os.mkdir(self.path("out"))
        files = self.copy("img_1x1.raiiaf", "x.raiiaf"), self.copy("f32_zfp_basic.raiiaf", "a/x.raiiaf")
        _, err = self.run_raiiaf("repack", "-o", "out", *files, status=2)
        self.assertIn(files[1].encode(), err)
        self.assertEqual(os.listdir(self.path("out")), [])
        self.ok("repack", *files)

    def test_unknown_chunks_and_damage(self):
        unknown = self.copy(os.path.join("corrupt", "unknown_type_extra.raiiaf"), "unknown_type_extra.raiiaf")
        before = self.content(unknown)
        self.run_raiiaf("repack", unknown)
        self.assert_same(self.content(unknown), before)
        for name in ("hash_wrong_latn", "hash_wrong_data", "hash_wrong_envc"):
            path = self.copy(os.path.join("corrupt", name + ".raiiaf"), name + ".raiiaf")
            kept = self.untouched(path)
            _, err = self.run_raiiaf("repack", path, golden("img_1x1.raiiaf"), "-o", self.folder, status=1)
            self.assertIn(name, err.decode())
            self.assertEqual(self.untouched(path), kept)
            self.assertTrue(os.path.exists(self.path("img_1x1.raiiaf")))


if __name__ == "__main__":
    if not os.access(RAIIAF, os.X_OK):
        sys.exit(f"there is no {RAIIAF}")
    unittest.main(verbosity=2)
