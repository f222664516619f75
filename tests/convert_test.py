#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Drives raiiaf scan, convert and dialects as their users do, over other tools' images.

RAIIAF is the command; the images are those of RAIIAF_SHARED/legacy or, where there are none, of RAIIAF_DATA/legacy.
"""
import base64
import glob
import hashlib
import json
import os
import pty
import re
import resource
import shutil
import signal
import stat
import struct
import subprocess
import sys
import tempfile
import time
import unittest
import zlib

HERE = os.path.dirname(os.path.abspath(__file__))
RAIIAF = os.environ.get("RAIIAF", os.path.join(HERE, "..", "tools", "raiiaf"))
SHARED = os.path.join(os.environ.get("RAIIAF_SHARED", os.path.join(HERE, "..", "..", "shared")), "legacy")
OURS = os.path.join(os.environ.get("RAIIAF_DATA", os.path.join(HERE, "data")), "legacy")
FIELDS = ["prompt", "negative_prompt", "seed", "steps", "sampler", "scheduler", "cfg_scale", "model_name", "model_hash",
          "width", "height"]
CANONICAL = FIELDS + ["guidance", "eta", "date", "tags"]


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def slurp(path):
    with open(path, "rb") as file:
        return file.read()


def png(text="a lighthouse", side=8, noise=0):
    """A small PNG with A1111's text in it; `noise` bytes make it longer."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    pixels = zlib.compress(b"".join(b"\0" + bytes(3 * side) for _ in range(side)))
    parameters = f"parameters\0{text}\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 18446744073709551615, Size: 8x8"
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)) +
            chunk(b"tEXt", parameters.encode()) + (chunk(b"noIs", os.urandom(noise)) if noise else b"") +
            chunk(b"IDAT", pixels) + chunk(b"IEND", b""))


def jpeg(text="a lighthouse"):
    comment = f"{text}\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 8x8".encode()
    return (b"\xff\xd8\xff\xfe" + struct.pack(">H", len(comment) + 2) + comment +
            b"\xff\xc0\x00\x0b\x08\x00\x08\x00\x08\x01\x01\x11\x00\xff\xda\x00\x02\xff\xd9")


# ---- what README.txt beside the samples says of values ----

def normal(text):
    return re.sub(r"[ \t\n\v\f\r]+", " ", text).strip(" ")


def same(field, found, wanted):
    if found is None or wanted is None:
        return found is wanted
    if field in ("prompt", "negative_prompt"):
        return normal(found) == normal(wanted)
    if field == "model_name":
        return re.sub(r"\.(safetensors|ckpt)$", "", found) == re.sub(r"\.(safetensors|ckpt)$", "", wanted)
    return type(found) is not bool and found == wanted


def accepted(field, found, story):
    accept = story.get("accept") or {}
    if same(field, found, story[field]) or any(same(field, found, other) for other in accept.get(field, [])):
        return True
    parts = accept.get("prompt_parts", []) if field == "prompt" and found is not None else []
    return bool(parts) and all(normal(part) in normal(found) for part in parts)


def wrong_fields(line, story):
    accept = story.get("accept") or {}
    sets = [{}] + accept.get("any_base_sampler", [])
    sets += [accept["parameters"]] if isinstance(accept.get("parameters"), dict) else []
    return min(([(field, line[field], one.get(field, story[field])) for field in FIELDS
                 if not accepted(field, line[field], {**story, **one})] for one in sets), key=len)


class Sample:
    def __init__(self, folder, entry):
        self.path = os.path.join(folder, entry["file"])
        self.kind = entry["file"].split("/")[0]
        with open(os.path.join(folder, entry["expected"]), encoding="utf-8") as file:
            self.story = json.load(file)
        told = [item["sha256"] for key in ("raw", "sidecars") for item in self.story.get(key) or []]
        self.digests = {digest for digest in told if digest}
        self.bad = self.kind == "bad"


def samples():
    for folder in (SHARED, OURS):
        if os.path.exists(os.path.join(folder, "INDEX.json")):
            if folder == OURS:
                print(f"no samples in {SHARED}: only those of tests/data are converted", file=sys.stderr)
            with open(os.path.join(folder, "INDEX.json"), encoding="utf-8") as file:
                return folder, [Sample(folder, entry) for entry in json.load(file)]
    raise FileNotFoundError("no samples at all")


FOLDER, SAMPLES = samples()


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="raiiaf-convert-")
        self.addCleanup(shutil.rmtree, self.folder)

    def path(self, name, data=None):
        path = os.path.join(os.fsencode(self.folder), os.fsencode(name))
        if data is not None:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.write(data)
        return path

    def run_raiiaf(self, *arguments, status=0, **options):
        """(standard output, standard error) of a call that has to end with `status`."""
        done = subprocess.run([RAIIAF, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=self.folder,
                              stdin=subprocess.DEVNULL, check=False, **options)
        self.assertEqual(done.returncode, status, (arguments, done.stdout[-500:], done.stderr[-2000:]))
        return done.stdout, done.stderr

    def ok(self, *arguments, **options):
        out, err = self.run_raiiaf(*arguments, **options)
        self.assertEqual(err, b"", arguments)
        return out

    def convert(self, *arguments, status=0, **options):
        """The lines of the report, by file."""
        report = os.path.join(self.folder, "report.ndjson")
        out, err = self.run_raiiaf("convert", "--report", report, *arguments, status=status, **options)
        lines = [json.loads(line) for line in slurp(report).splitlines()]
        os.unlink(report)
        if status == 0:
            self.assertEqual(err, b"")
        self.assertEqual(len({line["file"] for line in lines}), len(lines))
        self.last = out, err
        return {line["file"]: line for line in lines}

    def statuses(self, *arguments, **options):
        return {name: line["status"] for name, line in self.convert(*arguments, **options).items()}

    def image(self, artifact):
        return self.ok("extract", artifact, "--image", "-")

    def manifest(self, artifact):
        return json.loads(self.ok("info", "--json", artifact))["manifest"]["raiiaf_metadata"]

    def tree(self, folder="."):
        """Every file below a folder, by its path from there."""
        top = self.path(folder)
        return {os.path.relpath(os.path.join(at, name), top): slurp(os.path.join(at, name))
                for at, _, names in os.walk(top) for name in names}

    def names(self, folder="."):
        return sorted(os.fsdecode(name) for name in self.tree(folder))


class Samples(Case):
    """Every image there is."""

    @classmethod
    def setUpClass(cls):
        cls.out = tempfile.mkdtemp(prefix="raiiaf-samples-")
        cls.addClassCleanup(shutil.rmtree, cls.out)
        cls.done = subprocess.run([RAIIAF, "convert", "-r", "-o", cls.out, "--report", cls.out + "/report.ndjson", FOLDER],
                                  capture_output=True, check=False)
        cls.lines = {}
        for line in slurp(cls.out + "/report.ndjson").splitlines():
            cls.lines[json.loads(line)["file"]] = json.loads(line)

    def targets(self):
        for sample in SAMPLES:
            line = self.lines[sample.path]
            if line["status"] == "converted":
                yield sample, line["target"]
            else:
                self.assertTrue(sample.bad, line)
                self.assertEqual(line["status"], "failed")

    def test_each_is_told_by_the_rules(self):
        out, _ = self.run_raiiaf("scan", "--json", "-r", FOLDER,
                                 status=1 if any(line["status"] == "failed" for line in self.lines.values()) else 0)
        lines = {line["file"]: line for line in map(json.loads, out.splitlines())}
        checked = 0
        for sample in SAMPLES:
            line = lines.get(sample.path)
            if line is None:
                self.assertTrue(sample.bad, sample.path)
                continue
            with self.subTest(sample.path):
                checked += 1
                self.assertEqual(list(line), ["file", "dialect", "tool", *sorted(CANONICAL, key=list(line).index),
                                              "extra", "carriers"])
                if not sample.bad:
                    wanted = [sample.story["dialect"], *(sample.story.get("accept") or {}).get("dialect", [])]
                    self.assertIn(line["dialect"] or "none", wanted)
                self.assertEqual(wrong_fields(line, sample.story), [])
                self.assertLessEqual(sample.digests, {carrier["sha256"] for carrier in line["carriers"]})
        self.assertGreater(checked, 40)

    def test_each_gives_its_very_file_back(self):
        for sample, target in self.targets():
            with self.subTest(sample.path):
                self.assertEqual(self.image(target), slurp(sample.path))
                self.assertEqual(os.path.relpath(target, self.out).rsplit(".", 1)[0],
                                 os.path.relpath(sample.path, FOLDER).rsplit(".", 1)[0])
                self.assertEqual(os.stat(target).st_mtime_ns, os.stat(sample.path).st_mtime_ns)

    def test_each_carrier_can_be_had_again(self):
        for sample, target in self.targets():
            with self.subTest(sample.path):
                carriers = self.manifest(target)["source"].get("carriers", [])
                self.assertLessEqual(sample.digests, {carrier["sha256"] for carrier in carriers})
                # those that the image doesn't hold are in the manifest
                for carrier in carriers:
                    if ":" in carrier["kind"]:
                        continue
                    text = carrier["text"]
                    data = base64.b64decode(text) if carrier["encoding"] == "base64" else text.encode()
                    self.assertEqual(sha256(data), carrier["sha256"])

    def test_each_is_whole(self):
        targets = [target for _, target in self.targets()]
        self.ok("verify", "--quiet", *targets)
        self.assertGreater(len(targets), 40)

    def test_the_end_is_one_line(self):
        counts = [int(re.sub(r"\D", "", number)) for number in
                  re.findall(r"(\d\S*) (?:converted|up to date|failed)", self.done.stdout.decode())]
        statuses = [line["status"] for line in self.lines.values()]
        self.assertEqual(counts, [statuses.count(name) for name in ("converted", "up-to-date", "failed")])
        self.assertEqual(self.done.stdout.count(b"\n"), 1)
        self.assertEqual(self.done.returncode, 1 if "failed" in statuses else 0)

    def test_nothing_else_appears(self):
        made = {os.path.relpath(os.path.join(at, name), self.out) for at, _, names in os.walk(self.out) for name in names}
        wanted = {os.path.relpath(target, self.out) for _, target in self.targets()}
        self.assertEqual(made - {"report.ndjson"}, wanted)


class Scan(Case):
    def test_people_read_it(self):
        self.path("a.png", png("a [red] lighthouse"))
        out = self.ok("scan", "a.png").decode()
        self.assertTrue(out.startswith("a.png: a1111\n"), out)
        self.assertRegex(out, r"(?m)^  prompt +a \[red\] lighthouse$")
        self.assertRegex(out, r"(?m)^  seed +18446744073709551615$")

    def test_nothing_steers_the_terminal(self):
        self.path("\x1b[31m.png", png("a \x1b[2J \u202e lighthouse"))
        out = self.ok("scan", ".").decode()
        self.assertNotIn("\x1b", out)
        self.assertNotIn("\u202e", out)

    def test_folders(self):
        self.path("a/b/c.png", png())
        self.path("a/d.png", png())
        self.path("a/notes.txt", b"nothing")
        self.path("a/empty", b"")
        self.path("a/e.raiiaf", b"whatever")
        os.symlink(".", self.path("a/loop"))
        os.symlink("nowhere", self.path("a/dangling.png"))
        files = lambda *arguments: sorted(json.loads(line)["file"] for line in
                                          self.ok("scan", "--json", *arguments).splitlines())
        self.assertEqual(files("a"), ["a/d.png"])
        self.assertEqual(files("-r", "a/"), ["a/b/c.png", "a/d.png"])
        self.assertEqual(files("a/b", "a/d.png", "a/loop/d.png"), ["a/b/c.png", "a/d.png", "a/loop/d.png"])

    def test_other_formats_are_told_by_name(self):
        heads = {"GIF": b"GIF89a", "AVIF": b"\0\0\0\x20ftypavif", "MP4": b"\0\0\0\x20ftypisom",
                 "WebM": b"\x1a\x45\xdf\xa3"}
        for name, head in heads.items():
            path = self.path(f"x/{name}", head + bytes(100000))
            for arguments in (["x"], [path]):
                _, err = self.run_raiiaf("scan", *arguments, status=1)
                self.assertIn(name, err.decode())
            os.unlink(path)

    def test_other_files(self):
        self.path("x/broken.png", b"no image")
        self.path("x/empty.webp", b"")
        self.path("x/other.bin", b"no image")
        out, err = self.run_raiiaf("scan", "--json", "x", status=1)
        self.assertEqual((out, err.count(b"\n")), (b"", 2))
        self.assertIn(b"x/other.bin", self.run_raiiaf("scan", "x/other.bin", status=1)[1])
        self.assertIn(b"nowhere.png", self.run_raiiaf("scan", "nowhere.png", status=1)[1])

    def test_nothing_recognised(self):
        self.path("a.png", png().replace(b"parameters", b"Some title").replace(b":", b" "))
        line = json.loads(self.ok("scan", "--json", "a.png"))
        self.assertEqual([line[name] for name in CANONICAL], [None] * len(CANONICAL))
        self.assertEqual((line["dialect"], line["extra"]), (None, {}))
        self.assertEqual(len(line["carriers"]), 1)
        self.assertIn(b"a.png", self.ok("scan", "a.png"))

    def test_one_dialect_alone(self):
        self.path("a.png", png())
        self.assertEqual(json.loads(self.ok("scan", "--json", "--dialect", "comfyui", "a.png"))["dialect"], None)
        self.assertEqual(json.loads(self.ok("scan", "--json", "--dialect", "a1111", "a.png"))["dialect"], "a1111")
        for command in ("scan", "convert"):
            self.assertIn(b"nobody", self.run_raiiaf(command, "--dialect", "nobody", "a.png", status=2)[1])

    def test_names_of_any_bytes(self):
        names = [b"new\nline.png", b"bad\xff.png", "日本.png".encode(), b'"quoted\\.png', b"\x1b[31m.png"]
        for name in names:
            self.path(name, png())
        out = self.ok("scan", "--json", ".")
        found = [json.loads(line)["file"].encode("utf-8", "surrogateescape") for line in out.splitlines()]
        self.assertEqual(sorted(found), sorted(b"./" + name for name in names))

    def test_output_that_fills_up(self):
        self.path("a.png", png())
        with open("/dev/full", "wb") as full:
            done = subprocess.run([RAIIAF, "scan", "a.png"], cwd=self.folder, stdout=full, stderr=subprocess.PIPE,
                                  check=False)
        self.assertEqual(done.returncode, 1)


class Dialects(Case):
    def test_table(self):
        names = self.ok("dialects", "--names").decode().split()
        self.assertGreater(len(names), 25)
        table = self.ok("dialects").decode()
        for name in names:
            self.assertRegex(table, rf"(?m)^{re.escape(name)}  ")
        self.assertGreaterEqual(table.count("https://"), len(names) - 3)


class Completion(Case):
    FOLDER = os.path.join(os.environ.get("TOP_SRCDIR", os.path.join(HERE, "..")), "tools", "completion")

    def complete(self, *words):
        """What bash offers for the last of these words."""
        script = ('source "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _raiiaf; printf "%s\\n" "${COMPREPLY[@]}"')
        done = subprocess.run(["bash", "-c", script, os.path.join(self.FOLDER, "raiiaf"), RAIIAF, *words], check=True,
                              capture_output=True, text=True)
        self.assertEqual(done.stderr, "")
        return done.stdout.split()

    def options_of(self, command):
        return re.findall(r"(?m)^ +(?:-., )?(--[a-z0-9-]+)", self.ok(command, "--help").decode())

    def test_bash(self):
        listed = re.findall(r"(?m)^  ([a-z]+) ", self.ok("--help").decode())
        self.assertEqual(self.complete(""), listed)
        self.assertEqual(self.complete("dia"), ["dialects"])
        for command in listed:
            self.assertEqual(self.complete(command, "--"), self.options_of(command))
        self.assertEqual(self.complete("create", "--fl"), ["--float16"])
        self.assertEqual(self.complete("convert", "--dialect", "sw"), ["swarmui"])
        self.assertEqual(self.complete("convert", "x"), []) # file names, by bash itself

    def test_zsh(self):
        if not shutil.which("zsh"):
            self.skipTest("no zsh is installed")
        script = ('_call_program() { shift; "$@"; }; _describe() { print -rl -- ${(P)4}; }; program=$1; shift;'
                  'words=("$@"); CURRENT=$#; PREFIX=$words[-1]; source $program')
        for command in re.findall(r"(?m)^  ([a-z]+) ", self.ok("--help").decode()):
            offered = subprocess.run(["zsh", "-fc", script, "zsh", os.path.join(self.FOLDER, "_raiiaf"), RAIIAF, command, "--"],
                                     check=True, capture_output=True, text=True)
            self.assertEqual(offered.stderr, "")
            self.assertEqual([line.split(":")[0] for line in offered.stdout.splitlines()], self.options_of(command))
            self.assertNotRegex(offered.stdout, "(?m):$")


class Convert(Case):
    def test_beside_the_source(self):
        self.path("in/a.png", png())
        self.path("in/notes.txt", b"mine")
        before = self.tree("in")
        os.utime(self.path("in/a.png"), ns=(10**18, 1500000000123456789))
        line = self.convert("in")["in/a.png"]
        self.assertEqual(line, {"file": "in/a.png", "status": "converted", "target": "in/a.raiiaf", "dialect": "a1111",
                                "bytes": len(png()), "sha256": sha256(png()), "error_id": None, "error": None})
        after = self.tree("in")
        self.assertEqual(set(after) - set(before), {b"a.raiiaf"})
        self.assertEqual({name: after[name] for name in before}, before)
        self.assertEqual(os.stat(self.path("in/a.raiiaf")).st_mtime_ns, 1500000000123456789)
        manifest = self.manifest("in/a.raiiaf")
        self.assertEqual(manifest["model_info"]["generation_settings"]["seed"], 18446744073709551615)
        self.assertEqual(manifest["source"]["file_name"], "a.png")

    def test_permissions(self):
        for mode in (0o600, 0o640, 0o644, 0o444, 0o777):
            os.chmod(self.path("in/a.png", png()), mode)
            self.convert("--overwrite", "in", umask=0o022)
            self.assertEqual(stat.S_IMODE(os.stat(self.path("in/a.raiiaf")).st_mode), mode & 0o644)
            os.unlink(self.path("in/a.png"))

    def test_again(self):
        self.path("in/a.png", png())
        self.path("in/b/c.png", png("another"))
        self.assertEqual(set(self.statuses("-r", "in").values()), {"converted"})
        made = self.tree("in")
        inodes = [os.stat(self.path(name)).st_ino for name in ("in/a.raiiaf", "in/b/c.raiiaf")]
        self.assertEqual(set(self.statuses("-r", "in").values()), {"up-to-date"})
        self.assertEqual(self.tree("in"), made)
        self.assertEqual(inodes, [os.stat(self.path(name)).st_ino for name in ("in/a.raiiaf", "in/b/c.raiiaf")])
        self.assertEqual(set(self.statuses("-r", "--overwrite", "in").values()), {"converted"})
        self.assertEqual(self.tree("in"), made)

    def test_damaged_targets_are_made_anew(self):
        self.path("in/a.png", png(noise=5000))
        self.convert("in")
        whole = slurp(self.path("in/a.raiiaf"))
        flipped = bytearray(whole)
        flipped[3000] ^= 1
        for damage in (b"", whole[:1000], whole[:-40], bytes(len(whole)), bytes(flipped), b"no such file at all"):
            self.path("in/a.raiiaf", damage)
            self.assertEqual(self.statuses("in"), {"in/a.png": "converted"})
            self.assertEqual(self.tree("in"), {b"a.png": slurp(self.path("in/a.png")), b"a.raiiaf": whole})

    def test_what_others_made_stays(self):
        self.path("in/a.png", png())
        self.path("b.png", png("another"))
        self.ok("create", "-o", "in/a.raiiaf", "--image", "b.png", "--no-environment")
        others = slurp(self.path("in/a.raiiaf"))
        for arguments in ([], ["--overwrite"]):
            self.assertEqual(self.convert("in", *arguments)["in/a.png"]["target"], "in/a.png.raiiaf")
            self.assertEqual(self.names("in"), ["a.png", "a.png.raiiaf", "a.raiiaf"])
            self.assertEqual(slurp(self.path("in/a.raiiaf")), others)

    def test_a_source_that_changed_replaces_nothing(self):
        for text in ("one", "two", "three"):
            self.path("in/a.png", png(text))
            self.assertEqual(self.statuses("in"), {"in/a.png": "converted"})
            self.assertEqual(self.statuses("in"), {"in/a.png": "up-to-date"})
        artifacts = [name for name in self.names("in") if name != "a.png"]
        self.assertEqual(artifacts, [f"a.png.{sha256(png('three'))[:8]}.raiiaf", "a.png.raiiaf", "a.raiiaf"])
        self.assertEqual({self.image("in/" + name) for name in artifacts}, {png("one"), png("two"), png("three")})
        self.path("in/a.png", png("four"))
        self.assertEqual(self.convert("--overwrite", "in")["in/a.png"]["target"], "in/a.raiiaf")
        self.assertEqual(self.image("in/a.raiiaf"), png("four"))

    def test_edits_stay(self):
        self.path("in/a.png", png())
        self.convert("in")
        self.ok("edit", "in/a.raiiaf", "--set", "prompt=mine")
        edited = slurp(self.path("in/a.raiiaf"))
        self.assertEqual(self.statuses("in"), {"in/a.png": "up-to-date"})
        self.assertEqual(slurp(self.path("in/a.raiiaf")), edited)

    def test_bad_ones_dont_keep_the_rest(self):
        for i in range(50):
            self.path(f"in/{i}.png", png(str(i)) if i % 10 else b"")
        self.path("in/clip.mp4", b"\0\0\0\x20ftypisom" + bytes(1000))
        self.path("in/readme", b"text")
        lines = self.convert("in", status=1)
        failed = {name for name, line in lines.items() if line["status"] == "failed"}
        self.assertEqual(failed, {"in/clip.mp4"} | {f"in/{i}.png" for i in range(0, 50, 10)})
        self.assertEqual(len(lines), 51)
        self.assertEqual(lines["in/0.png"]["error_id"], "image-empty")
        self.assertIn("MP4", lines["in/clip.mp4"]["error"])
        self.assertEqual(self.last[1].count(b"\n"), 6)
        self.assertEqual(len([name for name in self.names("in") if name.endswith(".raiiaf")]), 45)

    def test_dry_run(self):
        self.path("in/a.png", png())
        before = self.tree("in")
        line = self.convert("-n", "-o", "out", "in")["in/a.png"]
        self.assertEqual((line["status"], line["target"]), ("planned", "out/a.raiiaf"))
        self.assertIn(b"in/a.png -> out/a.raiiaf (a1111)", self.last[0])
        self.convert("-n", "--delete-source", "--overwrite", "in")
        self.assertEqual(self.tree("in"), before)
        self.assertFalse(os.path.exists(self.path("out")))

    def test_links_and_loops(self):
        self.path("real/a.png", png())
        os.makedirs(self.path("in"))
        os.symlink("../real/a.png", self.path("in/b.png"))
        os.symlink("..", self.path("in/up"))
        os.symlink("nowhere", self.path("in/c.png"))
        self.assertEqual(self.statuses("-r", "in"), {"in/b.png": "converted"})
        self.assertEqual(self.names("real"), ["a.png"])

    def test_names_of_any_bytes(self):
        names = [b"new\nline", b"bad\xff", "日本".encode(), b'"quoted\\', b"\x1b[31m", b"-r", b" "]
        for name in names:
            self.path(b"in/" + name + b".png", png(repr(name)))
        self.convert("-o", "out", "in")
        self.assertEqual(sorted(self.tree("out")), sorted(name + b".raiiaf" for name in names))
        self.assertEqual(set(self.statuses("-o", "out", "in").values()), {"up-to-date"})

    def test_long_names(self):
        name = "x" * 251 + ".png"
        self.path("in/" + name, png())
        line = self.convert("in", status=1)["in/" + name]
        self.assertEqual((line["status"], self.names("in")), ("failed", [name]))
        short = "y" * 248 + ".png"
        self.path("in/" + short, png())
        self.assertEqual(self.convert("in", status=1)["in/" + short]["status"], "converted")

    def test_report_that_cant_be_written(self):
        self.path("in/a.png", png())
        self.run_raiiaf("convert", "--report", "nowhere/report", "in", status=1)
        self.assertEqual(self.names("in"), ["a.png"])
        self.run_raiiaf("convert", "--report", "/dev/full", "in", status=1)
        self.assertEqual(self.names("in"), ["a.png", "a.raiiaf"])

    def test_report_that_would_replace_a_file(self):
        self.path("in/a.png", png())
        self.path("in/b.png", png("another"))
        before = self.tree("in")
        _, err = self.run_raiiaf("convert", "--report", "in/a.png", "in/b.png", status=1) # --report in/*.png, say
        self.assertIn(b"in/a.png", err)
        self.assertEqual(self.tree("in"), before)
        for _ in range(2):
            self.ok("convert", "--report", "report", "in")
        self.assertEqual(slurp(self.path("report")).count(b"up-to-date"), 2)

    def test_wrong_use(self):
        self.path("a.png", png())
        for arguments in ([], ["-j", "0", "a.png"], ["-j", "x", "a.png"], ["--shard", "3", "a.png"],
                          ["--shard", "3/2", "a.png"], ["--shard", "1/0", "a.png"], ["-o", "", "a.png"], ["--what"]):
            _, err = self.run_raiiaf("convert", *arguments, status=2)
            self.assertIn(b"raiiaf convert --help", err)
        self.assertEqual(self.names(), ["a.png"])

    def test_unwritable_folders(self):
        if os.geteuid() == 0:
            self.skipTest("nothing is unwritable for root")
        self.path("in/a.png", png())
        self.path("out/x", b"")
        os.chmod(self.path("out"), 0o555)
        self.addCleanup(os.chmod, self.path("out"), 0o755)
        line = self.convert("-o", "out", "in", status=1)["in/a.png"]
        self.assertEqual((line["status"], line["error_id"]), ("failed", "create"))
        self.path("file", b"")
        self.convert("-o", "file", "in", status=1)

    def test_unreadable_files(self):
        if os.geteuid() == 0:
            self.skipTest("nothing is unreadable for root")
        self.path("in/a.png", png())
        self.path("in/b.png", png())
        self.path("in/c/d.png", png())
        os.chmod(self.path("in/a.png"), 0)
        os.chmod(self.path("in/c"), 0)
        self.addCleanup(os.chmod, self.path("in/c"), 0o755)
        self.assertEqual(self.statuses("-r", "in", status=1), {"in/a.png": "failed", "in/b.png": "converted"})

    def test_progress_on_a_terminal(self):
        for i in range(20):
            self.path(f"in/{i}.png", png(str(i)))
        try:
            master, terminal = pty.openpty()
        except OSError as error:
            self.skipTest(f"no terminal can be had here: {error}")
        done = subprocess.Popen([RAIIAF, "convert", "in"], cwd=self.folder, stdout=subprocess.PIPE, stderr=terminal)
        os.close(terminal)
        shown = b""
        try:
            while piece := os.read(master, 4096):
                shown += piece
        except OSError:
            pass
        os.close(master)
        out = done.communicate()[0]
        self.assertEqual(done.returncode, 0)
        self.assertIn(b"files/s", shown)
        self.assertTrue(shown.endswith(b"\r\x1b[K"), shown)
        self.assertEqual(out.count(b"\n"), 1)


class Collisions(Case):
    def test_one_name_in_a_folder(self):
        wanted = {"a.png": "a.raiiaf", "a.jpg": "a.jpg.raiiaf", "a.jpeg": "a.jpeg.raiiaf", "a.PNG": "a.PNG.raiiaf",
                  "a": f"a.{sha256(png('a'))[:8]}.raiiaf", "b.jpg": "b.raiiaf", "b.Png": "b.Png.raiiaf", "c": "c.raiiaf"}
        for name in wanted:
            self.path("in/" + name, jpeg(name) if "j" in name else png(name))
        for order in (list(wanted), list(reversed(wanted))):
            shutil.rmtree(self.path("out"), ignore_errors=True)
            for name in order:
                self.assertEqual(self.convert("-o", "out", "in/" + name)["in/" + name]["target"], "out/" + wanted[name])
        self.assertEqual(self.names("out"), sorted(wanted.values()))
        self.assertEqual(set(self.statuses("-o", "out", *["in/" + name for name in wanted]).values()), {"up-to-date"})
        for name, target in wanted.items():
            self.assertEqual(self.image("out/" + target), slurp(self.path("in/" + name)))

    def test_one_name_from_many_folders(self):
        for i in range(40):
            self.path(f"in/{i}/a.png", png(str(i % 20)))
        files = [f"in/{i}/a.png" for i in range(40)]
        first = self.convert("-o", "out", "-j", "4", *files)
        statuses = [line["status"] for line in first.values()]
        self.assertEqual((statuses.count("converted"), statuses.count("up-to-date")), (20, 20))
        images = {self.image("out/" + name) for name in self.names("out")}
        self.assertEqual(images, {png(str(i)) for i in range(20)})
        for arguments in ([], ["--overwrite"]):
            again = self.convert("-o", "out", *arguments, *reversed(files))
            self.assertEqual({name: line["target"] for name, line in again.items()},
                             {name: line["target"] for name, line in first.items()})
        self.assertEqual({self.image("out/" + name) for name in self.names("out")}, images)

    def test_processes_side_by_side(self):
        for i in range(60):
            self.path(f"in/{i}/a.png", png(str(i)))
        calls = [subprocess.Popen([RAIIAF, "convert", "-o", "out", *[f"in/{i}/a.png" for i in range(k, 60, 3)]],
                                  cwd=self.folder, stdout=subprocess.DEVNULL) for k in range(3)]
        self.assertEqual([call.wait() for call in calls], [0, 0, 0])
        self.assertEqual({self.image("out/" + name) for name in self.names("out")}, {png(str(i)) for i in range(60)})


class Shards(Case):
    def test_all_and_each_once(self):
        names = {f"in/{i % 7}/{i}.png" for i in range(200)}
        for name in names:
            self.path(name, png(name))
        for shards in ([f"{i}/4" for i in range(4)], [f"{i}/4" for i in range(1, 5)], ["1/1"]):
            parts = [set(self.convert("-n", "-r", "--shard", shard, "in")) for shard in shards]
            self.assertEqual(sum(map(len, parts)), 200)
            self.assertEqual(set().union(*parts), names)
            self.assertGreater(min(map(len, parts)), 20)
        # the same from wherever the folder is seen, and whatever else is in it
        part = set(self.convert("-n", "-r", "--shard", "2/4", "in"))
        os.rename(self.path("in"), self.path("elsewhere"))
        self.path("elsewhere/more/more.png", png())
        moved = {name.replace("elsewhere", "in") for name in self.convert("-n", "-r", "--shard", "2/4", "elsewhere")}
        self.assertEqual(moved - {"in/more/more.png"}, part)

    def test_shards_make_what_one_run_makes(self):
        for i in range(30):
            self.path(f"in/{i}.png", png(str(i)))
            self.path(f"in/{i}.jpg", jpeg(str(i)))
        self.convert("-o", "whole", "in")
        for i in range(3):
            self.convert("-o", "parts", "--shard", f"{i}/3", "in")
        self.assertEqual(self.tree("parts"), self.tree("whole"))
        self.assertEqual(len(self.tree("whole")), 60)


class Deleting(Case):
    def test_sources_go_once_they_are_safe(self):
        images = {f"{i}.png": png(str(i)) for i in range(40)}
        for name, data in images.items():
            self.path("in/" + name, data)
        self.path("in/broken.png", b"no image")
        self.path("in/notes.txt", b"mine")
        self.convert("--delete-source", "in", status=1)
        self.assertEqual(self.names("in"), sorted([f"{i}.raiiaf" for i in range(40)] + ["broken.png", "notes.txt"]))
        for name, data in images.items():
            self.assertEqual(self.image("in/" + name.replace("png", "raiiaf")), data)
        self.assertIn(b"40", self.last[0].split(b"(")[0].split(b"failed")[1])

    def test_sources_of_an_earlier_run(self):
        self.path("in/a.png", png())
        self.convert("in")
        self.assertEqual(self.statuses("--delete-source", "in"), {"in/a.png": "up-to-date"})
        self.assertEqual(self.names("in"), ["a.raiiaf"])

    def test_a_new_file_of_an_old_name(self):
        for i in range(3):
            self.path("in/a.png", png(str(i)))
            self.convert("--delete-source", "in")
        self.assertEqual({self.image("in/" + name) for name in self.names("in")}, {png(str(i)) for i in range(3)})

    def test_an_image_that_was_exchanged(self):
        self.path("in/a.png", png())
        self.convert("in")
        artifact = self.manifest("in/a.raiiaf")
        self.path("b.png", png("another"))
        self.path("m.json", json.dumps({"source": artifact["source"]}).encode())
        self.ok("create", "-o", "in/a.raiiaf", "--image", "b.png", "--manifest", "m.json", "--no-environment")
        _, err = self.run_raiiaf("convert", "--delete-source", "in", status=1)
        self.assertIn(b"in/a.png stays", err)
        self.assertEqual(self.names("in"), ["a.png", "a.raiiaf"])

    def test_an_image_that_cant_be_deleted(self):
        if os.geteuid() == 0:
            self.skipTest("nothing is unwritable for root")
        self.path("in/a.png", png())
        os.chmod(self.path("in"), 0o555)
        self.addCleanup(os.chmod, self.path("in"), 0o755)
        _, err = self.run_raiiaf("convert", "--delete-source", "-o", "out", "in", status=1)
        self.assertIn(b"in/a.png can't be deleted", err)
        self.assertEqual((self.names("in"), self.names("out")), (["a.png"], ["a.raiiaf"]))

    def test_damaged_targets_dont_count(self):
        self.path("in/a.png", png(noise=3000))
        image = slurp(self.path("in/a.png"))
        self.convert("in")
        data = bytearray(slurp(self.path("in/a.raiiaf")))
        data[2000] ^= 1
        self.path("in/a.raiiaf", bytes(data))
        self.assertEqual(self.statuses("--delete-source", "in"), {"in/a.png": "converted"})
        self.assertEqual(self.names("in"), ["a.raiiaf"])
        self.assertEqual(self.image("in/a.raiiaf"), image)


    def test_a_file_that_is_named_twice(self):
        self.path("in/a.png", png())
        self.assertEqual(self.ok("convert", "-j", "1", "--delete-source", "in", "in/../in/a.png").count(b"1 deleted"), 1)
        self.assertEqual(self.names("in"), ["a.raiiaf"])

    def test_exported_files_of_one_image(self):
        """The image is the same, what lies beside it isn't."""
        self.path("a.png", png())
        self.ok("convert", "a.png")
        wanted = set()
        for i in range(3):
            self.ok("edit", "a.raiiaf", f"--set=prompt={i}")
            self.ok("export", "--overwrite", "--png", "in/a.png", "a.raiiaf")
            wanted.add(slurp(self.path("a.raiiaf")))
            self.convert("--delete-source", "in")
        self.assertEqual(set(self.tree("in").values()), wanted)


class Returning(Case):
    """Files that come back out of our own PNGs."""

    def made(self, *settings):
        self.path("image.png", png().replace(b"parameters", b"Some title"))
        self.ok("create", "-o", "a.raiiaf", "--image", "image.png", "--no-environment", *settings)
        self.ok("export", "--png", "in/a.png", "a.raiiaf")

    def test_prompts_are_known(self):
        for prompt, wanted in (("a lighthouse", 0), ("", 1)):
            self.made("--set=prompt=" + prompt, "--set=seed=1", "--set=steps=2", "--set=sampler=euler")
            for arguments in (["-n"], []):
                self.convert("-o", "out" + prompt, *arguments, "in")
                self.assertEqual(self.last[0].count(b"without a known prompt"), wanted)
                self.assertEqual(self.last[0].count(b"nothing recognised"), wanted if arguments else 0)
            self.assertEqual(slurp(self.path(f"out{prompt}/a.raiiaf")), slurp(self.path("a.raiiaf")))
            shutil.rmtree(self.path("in"))
            os.unlink(self.path("a.raiiaf"))

    def test_names_and_times(self):
        names = [b"a.png", b"-.png", b"bad\xff.png", b"bad\xfe.png", b"new\nline.png"]
        for i, name in enumerate(names):
            self.path(b"in/" + name, png(str(i)))
            os.utime(self.path(b"in/" + name), ns=(0, 10**18 + i))
        self.path("in/b.jpg", jpeg())
        self.ok("convert", "-o", "out", "in")
        self.run_raiiaf("export", "--png", "back", "out")
        self.assertEqual(sorted(self.tree("back")), sorted(self.tree("in")))
        for i, name in enumerate(names):
            self.assertEqual(os.stat(self.path(b"back/" + name)).st_mtime_ns, 10**18 + i)
        self.ok("convert", "-o", "again", "back")
        self.assertEqual(self.tree("again"), self.tree("out"))

    def test_again(self):
        self.made()
        image = slurp(self.path("in/a.png"))
        self.path("in/edited.png", image.replace(b"Some title", b"Any titles"))
        for options, status in (([], "converted"), ([], "up-to-date"), (["--overwrite"], "converted")):
            self.assertEqual(self.statuses(*options, "in"), {"in/a.png": status, "in/edited.png": status})
            self.assertEqual(self.names("in"), ["a.png", "a.raiiaf", "edited.png", "edited.raiiaf"])
        self.assertEqual(slurp(self.path("in/a.raiiaf")), slurp(self.path("a.raiiaf")))

    def test_others_are_left_alone(self):
        self.made()
        self.ok("edit", "a.raiiaf", "--set=prompt=mine", "-o", "in/a.raiiaf")
        mine = slurp(self.path("in/a.raiiaf"))
        for options in ([], ["--overwrite"]):
            self.assertEqual(self.convert(*options, "in")["in/a.png"]["target"], "in/a.png.raiiaf")
            self.assertEqual(slurp(self.path("in/a.raiiaf")), mine)


class Interruptions(Case):
    COUNT = 2500

    def setUp(self):
        super().setUp()
        first = self.path("in/0.png", png(noise=20000))
        for i in range(1, self.COUNT):
            os.link(first, self.path(f"in/{i}.png"))

    def interrupt(self, number):
        """Ends a conversion in its middle.  In what a shell runs in the background, SIGINT is ignored."""
        call = subprocess.Popen([RAIIAF, "convert", "-j", "1", "-o", "out", "in"], cwd=self.folder,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
        while call.poll() is None and not (os.path.isdir(self.path("out")) and os.listdir(self.path("out"))):
            time.sleep(0.001)
        call.send_signal(number)
        out, err = call.communicate()
        self.assertEqual(call.returncode, -number)
        made = os.listdir(self.path("out"))
        self.assertTrue(0 < len(made) < self.COUNT, len(made))
        self.assertEqual([name for name in made if not name.endswith(b".raiiaf")], [])
        self.ok("verify", "--quiet", *[os.path.join(b"out", name) for name in made])
        return len(made), out, err

    def goes_on(self, made):
        out = self.ok("convert", "-o", "out", "in")
        self.assertRegex(re.sub(rb"(?<=\d)[.,'](?=\d)", b"", out),
                         b"^%d converted, %d up to date, 0 failed" % (self.COUNT - made, made))
        self.assertEqual(len(self.names("out")), self.COUNT)

    def test_kill(self):
        made, _, _ = self.interrupt(signal.SIGKILL)
        self.goes_on(made)

    def test_interrupt(self):
        made, out, err = self.interrupt(signal.SIGINT)
        self.assertEqual((out.count(b"\n"), err.count(b"\n")), (1, 1))
        self.goes_on(made)

    def test_terminate(self):
        self.interrupt(signal.SIGTERM)


class FullDisks(Case):
    def test_files_that_may_not_grow(self):
        self.path("in/small.png", png())
        self.path("in/large.png", png(noise=300000))
        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (100000, 100000))
        lines = self.convert("-o", "out", "in", status=1, preexec_fn=limit)
        self.assertEqual(lines["in/small.png"]["status"], "converted")
        self.assertEqual((lines["in/large.png"]["status"], lines["in/large.png"]["error_id"]), ("failed", "write"))
        self.assertEqual(self.names("out"), ["small.raiiaf"])
        self.assertEqual(self.statuses("-o", "out", "in"), {"in/small.png": "up-to-date", "in/large.png": "converted"})

    def test_a_full_disk(self):
        os.makedirs(self.path("out"))
        for i in range(20):
            self.path(f"in/{i}.png", png(noise=100000))
        script = ('"$0" convert -j 2 -o "$1" in 2>err >told; echo $? >status\n'
                  'ls -A "$1" >list; "$0" verify --quiet "$1"/*')
        if folder := os.environ.get("RAIIAF_SMALL_DISK"):
            command = ["sh", "-c", script + '; told=$?; rm -f "$1"/*; exit $told', os.path.abspath(RAIIAF), folder]
        else:
            command = ["unshare", "-rm", "sh", "-c", "mount -t tmpfs -o size=1m tmpfs out || exit 77\n" + script,
                       os.path.abspath(RAIIAF), "out"]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, check=False)
        if not os.path.exists(self.path("status")):
            self.skipTest(f"no file system can be mounted here: {done.stderr.decode().strip()}")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(slurp(self.path("status")), b"1\n")
        self.assertIn(b"once there is room", slurp(self.path("err")))
        self.assertTrue(all(name.endswith(b".raiiaf") for name in slurp(self.path("list")).split()))


if __name__ == "__main__":
    unittest.main(verbosity=2)
