#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Drives the plug-in in the real GIMP, 2.10 or 3.0, without a display.

GIMP's start takes longer than most of what is tested here, so all but the failures happens in one run: each part below
adds its steps to one script, and the tests look at the files that are left.  RAIIAF_GIMPS names the plug-ins that were
built (gimp2, gimp3), GIMP2 and GIMP3 the programs, RAIIAF the command.
"""
import glob
import json
import os
import pathlib
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest
import zlib

HERE = os.path.dirname(os.path.abspath(__file__))
RAIIAF = os.environ.get("RAIIAF", "raiiaf")
GOLDEN = os.path.join(os.environ.get("RAIIAF_DATA", os.path.join(HERE, "data")), "golden")
SAMPLE = os.path.join(os.environ.get("TOP_SRCDIR", os.path.join(HERE, "..")), "doc", "sample", "lighthouse.raiiaf")
MAGICK = os.environ.get("MAGICK6_Q16") or os.environ.get("MAGICK7_Q16") or "convert"
GIMPS = os.environ.get("RAIIAF_GIMPS", "").split()
# Under other locales than this, what has to do with them: it takes a minute otherwise.
WHOLE = os.environ.get("LC_ALL", "C.UTF-8") == "C.UTF-8"
EVERYWHERE = ["test_edits_are_told", "test_nothing_done_is_no_edit", "test_a_wish_is_granted",
              "test_what_a_png_says_else_is_an_edit_that_leaves_latents_fresh"]
THROUGH_XCF = ["img_gray8", "img_gray16", "img_palette8_trns", "img_rgb16", "img_rgba16_interlaced", "img_is_jpeg"]
PIECE = 256 << 10  # no parasite is larger
# What stands in a folder of its own name in GIMP's list of plug-ins, and is needed here.
NEEDED = ["file-png", "file-jpeg", "file-webp", "file-bmp", "script-fu"]


def raiiaf(*arguments, check=True):
    return subprocess.run([RAIIAF, *arguments], check=check, capture_output=True)


def info(path):
    return json.loads(raiiaf("info", "--json", path).stdout)


def read(path):
    with open(path, "rb") as file:
        return file.read()


def write(path, data):
    with open(path, "wb") as file:
        file.write(data)


def png_chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, *chunks):
    """An RGBA PNG of a gradient, with further chunks before its pixels."""
    rows = b"".join(b"\0" + bytes(v for x in range(width) for v in (x % 256, y % 256, 128, 255 - x % 7))
                    for y in range(height))
    return (b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)) +
            b"".join(png_chunk(*chunk) for chunk in chunks) + png_chunk(b"IDAT", zlib.compress(rows)) +
            png_chunk(b"IEND", b""))


def png_chunks(data):
    """The last chunk of each kind, and the image's header as [width, height, depth, type]."""
    chunks, at = {}, 8
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        chunks[kind] = data[at + 8:at + 8 + size]
        at += size + 12
    return chunks, list(struct.unpack_from(">IIBB", chunks[b"IHDR"]))


def icc_profile():
    """A display's, of RGB with a gamma of 2.2 and primaries of its own."""
    def xyz(*numbers):
        return b"XYZ \0\0\0\0" + b"".join(struct.pack(">i", round(number * 65536)) for number in numbers)
    text = b"test\0"
    curve = b"curv\0\0\0\0" + struct.pack(">IHH", 1, 0x233, 0)
    tags = {b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(79), b"cprt": b"text\0\0\0\0" + text,
            b"wtpt": xyz(0.9642, 1, 0.8249), b"rXYZ": xyz(0.61, 0.311, 0.02), b"gXYZ": xyz(0.205, 0.626, 0.061),
            b"bXYZ": xyz(0.149, 0.063, 0.744), b"rTRC": curve, b"gTRC": curve, b"bTRC": curve}
    table, body = struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        table += name + struct.pack(">II", 132 + 12 * len(tags) + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    head = (struct.pack(">I4sI", 128 + len(table) + len(body), b"", 0x02100000) + b"mntrRGB XYZ " +
            struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + xyz(0.9642, 1, 0.8249)[8:])
    return head + bytes(128 - len(head)) + table + body


def pixels(path):
    """A picture's samples, whatever the form of its file."""
    return subprocess.run([MAGICK, path, "-alpha", "set", "-depth", "16", "RGBA:-"], check=True,
                          capture_output=True).stdout


def settings(told):
    info_of_model = told["manifest"]["raiiaf_metadata"]["model_info"]
    return {**info_of_model, **info_of_model.get("generation_settings", {})}


def stale(told):
    return [record["extra"].get("stale", False) for record in told["manifest"]["raiiaf_metadata"]["chunks"]
            if record["type"] == "LATN"]


def npy(shape, data):
    header = repr({"descr": "<f4", "fortran_order": False, "shape": shape}).encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + data


def writers(folder):
    """The processes that have a file in this folder open."""
    found = []
    for link in glob.glob("/proc/[0-9]*/fd/*"):
        try:
            if os.readlink(link).startswith(folder + "/"):
                found.append(int(link.split("/")[2]))
        except OSError:  # gone, or somebody else's
            pass
    return found


def quote(text):
    return '"' + str(text).replace("\\", "\\\\").replace('"', '\\"') + '"'


class Gimp:
    """A GIMP with a profile of its own, in which nothing but the plug-ins needed is there."""

    def __init__(self, name, folder):
        self.name = name
        self.three = name == "gimp3"
        self.folder = folder
        self.program = os.environ[name.upper()]
        links = os.path.join(folder, "plug-ins")
        os.makedirs(os.path.join(links, "raiiaf"))
        built = os.path.join(os.path.abspath(os.environ.get("TOP_BUILDDIR", ".")), "gimp-plugin", name)
        # The program itself, where libtool has put a script in its place that only starts it.
        self.library = os.path.join(built, "..", "..", "core", ".libs")
        program = os.path.join(built, ".libs", "raiiaf")
        os.symlink(program if os.path.exists(program) else os.path.join(built, "raiiaf"),
                   os.path.join(links, "raiiaf", "raiiaf"))
        for plug_in in NEEDED:
            os.symlink(os.path.join(os.environ[name.upper() + "_PLUGINS"], plug_in), os.path.join(links, plug_in))
        with open(os.path.join(folder, "gimprc"), "w", encoding="utf-8") as file:
            file.write(f'(plug-in-path {quote(links)})\n(temp-path {quote(folder)})\n(swap-path {quote(folder)})\n')

    def command(self, *steps, files=()):
        """What runs steps in Script-Fu, and its environment; a step that fails ends them all."""
        prelude = """
(define (load path) (car (gimp-file-load RUN-NONINTERACTIVE path path)))
(define (first-of image) (car (gimp-image-get-active-drawable image)))
(define (save image path) (gimp-file-save RUN-NONINTERACTIVE image (first-of image) path path))
(define (export image path drop float16 effort encode)
  (file-raiiaf-export RUN-NONINTERACTIVE image (first-of image) path path drop float16 effort encode))
(define (manifest image) (car (plug-in-raiiaf-info RUN-NONINTERACTIVE image (first-of image))))
(define (thumbnail path) (car (file-raiiaf-load-thumb path 128)))
(define (opened) (vector->list (cadr (gimp-image-list))))
(define width-of gimp-image-width)
(define (parasites image) (cadr (gimp-image-get-parasite-list image)))
"""
        if self.three:
            prelude = """
(define (load path) (car (gimp-file-load RUN-NONINTERACTIVE path)))
(define (first-of image) (vector-ref (car (gimp-image-get-selected-drawables image)) 0))
(define (save image path) (gimp-file-save RUN-NONINTERACTIVE image path))
(define (export image path drop float16 effort encode)
  (file-raiiaf-export #:run-mode RUN-NONINTERACTIVE #:image image #:file path #:drop-latents drop #:float16 float16
    #:effort (vector-ref #("normal" "fast" "smallest") effort) #:encode encode))
(define (manifest image) (car (plug-in-raiiaf-info #:run-mode RUN-NONINTERACTIVE #:image image
                                                   #:drawables (car (gimp-image-get-selected-drawables image)))))
(define (thumbnail path) (car (file-raiiaf-load-thumb #:file path #:thumb-size 128)))
(define (opened) (vector->list (car (gimp-get-images))))
(define width-of gimp-image-get-width)
(define (parasites image) (car (gimp-image-get-parasite-list image)))
"""
        script = os.path.join(self.folder, "script.scm")
        with open(script, "w", encoding="utf-8") as file:
            file.write(prelude + "\n".join(steps))
        load = f"(load {quote(script)})"
        command = [self.program, "-n", "-i", "-f", "-s", "-c", *files]
        if self.three:
            command += ["--batch-interpreter=plug-in-script-fu-eval", "-b", load, "--quit"]
        else:
            command += ["-d", "-b", load, "-b", "(gimp-quit 0)"]
        environment = dict(os.environ, GIMP2_DIRECTORY=self.folder, GIMP3_DIRECTORY=self.folder, HOME=self.folder,
                           XDG_CACHE_HOME=self.folder, XDG_CONFIG_HOME=self.folder, TMPDIR=self.folder,
                           LD_LIBRARY_PATH=self.library)
        return {"args": command, "env": environment, "stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE,
                "stderr": subprocess.STDOUT}

    def run(self, *steps, files=(), seconds=1200):
        done = subprocess.run(**self.command(*steps, files=files), timeout=seconds, check=False)
        return done.returncode, done.stdout.decode("utf-8", "replace")


class Screen:
    """An X server in which windows of a GIMP's plug-ins open, and somebody who types and looks."""

    def __init__(self, folder):
        read_end, write_end = os.pipe()
        self.server = subprocess.Popen(["Xvfb", "-displayfd", str(write_end), "-screen", "0", "800x640x24", "-fbdir",
                                        folder, "-nolisten", "tcp"], pass_fds=[write_end], stderr=subprocess.DEVNULL)
        os.close(write_end)
        with os.fdopen(read_end) as file:
            self.display = ":" + file.readline().strip()
        self.pixels = os.path.join(folder, "Xvfb_screen0")

    def xdotool(self, *arguments):
        done = subprocess.run(["xdotool", *arguments], env=dict(os.environ, DISPLAY=self.display), check=False,
                              capture_output=True)
        return done.stdout.decode().split()

    @staticmethod
    def wait(what, happened, seconds=300):
        """For something to happen; returns what it gives."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = happened()
            if found:
                return found
            time.sleep(0.1)
        raise AssertionError(what)

    def look(self):
        """What is to be seen, once that stays the same for a while."""
        seen, since, end = None, 0, time.monotonic() + 20
        while time.monotonic() < min(since + 0.5, end) or seen is None:
            now = zlib.crc32(read(self.pixels))
            if now != seen:
                seen, since = now, time.monotonic()
            time.sleep(0.1)
        return seen

    def press(self, key):
        """Types until that shows: a window that isn't ready loses a key.  What may show nothing begins with a ~."""
        before = self.look()
        if key.startswith("~"):
            self.xdotool("key", key[1:])
            return
        for _ in range(5):
            self.xdotool(*(["type", "--delay", "50", key[5:]] if key.startswith("text:") else ["key", key]))
            try:
                self.wait(key, lambda: zlib.crc32(read(self.pixels)) != before, seconds=30)
                return
            except AssertionError:
                pass
        raise AssertionError(f"nothing happens when {key} is pressed")

    def windows(self, title):
        return self.xdotool("search", "--onlyvisible", "--name", title)

    def turn_to(self, title):
        window = self.wait(f"the window {title} never came", lambda: self.windows(title))[0]
        self.look()

        def focused():
            self.xdotool("windowfocus", window)
            return self.xdotool("getwindowfocus", "-f") == [window]
        self.wait(f"the window {title} takes no keys", focused)

    def answer(self, title, *keys):
        """Types into the next window of this title, which then closes."""
        self.turn_to(title)
        for key in keys:
            self.press(key)
        self.wait(f"the window {title} stays", lambda: not self.windows(title))

    def close(self):
        self.server.terminate()
        self.server.wait()


class GimpCase:
    """The tests of one GIMP; a class for each is made below."""
    NAME = None

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="raiiaf-gimp-")
        profile = os.path.join(cls.folder, "profile")
        os.mkdir(profile)
        cls.gimp = Gimp(cls.NAME, profile)
        cls.steps = []
        cls.files = []  # on the command line
        cls.plan_edits()
        if WHOLE:
            cls.plan_golden()
            cls.plan_kinds()
            cls.plan_ways_in()
            cls.plan_options()
            cls.plan_legacy()
            cls.plan_large()
        cls.step(f'(call-with-output-file {quote(cls.path("end"))} (lambda (port) (write "end" port)))')
        _, output = cls.gimp.run(*cls.steps, files=cls.files)
        if not os.path.exists(cls.path("end")):
            shutil.rmtree(cls.folder)
            raise AssertionError(f"GIMP didn't come to the end:\n{output[-6000:]}")

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    @classmethod
    def path(cls, name):
        return os.path.join(cls.folder, name)

    @classmethod
    def step(cls, body, **paths):
        """Adds a step; $NAME is a path in the folder, or the one given."""
        for name, path in paths.items():
            body = body.replace("$" + name, quote(path))
        cls.steps.append(body)

    # ---- every golden file with an image ----

    @classmethod
    def plan_golden(cls):
        cls.golden = []
        for story in sorted(glob.glob(os.path.join(glob.escape(GOLDEN), "*.json"))):
            with open(story, encoding="utf-8") as file:
                told = json.load(file)
            path = os.path.join(GOLDEN, told.get("file", ""))
            image = info(path)["image"] if "file" in told else None
            if not image:
                continue
            name = os.path.basename(story)[:-5]
            picture = cls.path(f"{name}.{image['format'].lower()}")
            raiiaf("extract", path, "--image", picture)
            cls.golden.append((name, path, picture))
            cls.step("(let ((image (load $file))) (save image $png) (save image $again) (gimp-image-delete image))",
                     file=path, png=cls.path(name + ".gimp.png"), again=cls.path(name + ".raiiaf"))
            if name.startswith("img_"):  # those that GIMP and ImageMagick may decode differently, for one
                cls.step("(let ((picture (load $file))) (save picture $png) (gimp-image-delete picture))",
                         file=picture, png=cls.path(name + ".png.gimp.png"))
            if name in THROUGH_XCF:
                cls.plan_xcf(name, path)

    @classmethod
    def plan_xcf(cls, name, path):
        cls.step("""(let ((image (load $file))) (save image $xcf) (gimp-image-delete image))
(let* ((image (load $xcf)) (copy (car (gimp-image-duplicate image))))
  (gimp-image-delete image) (save copy $again) (gimp-image-delete copy))""",
                 file=path, xcf=cls.path(name + ".xcf"), again=cls.path(name + ".xcf.raiiaf"))

    def test_golden_files_have_their_pictures_pixels(self):
        self.assertGreater(len(self.golden), 15)
        for name, _, picture in self.golden:
            with self.subTest(name):
                same = self.path(name + ".png.gimp.png")
                self.assertEqual(pixels(self.path(name + ".gimp.png")),
                                 pixels(same if os.path.exists(same) else picture))

    def test_golden_files_are_exported_to_the_byte(self):
        for name, path, _ in self.golden:
            with self.subTest(name):
                self.assertEqual(read(self.path(name + ".raiiaf")), read(path))

    def test_golden_files_come_through_xcf_to_the_byte(self):
        through = [entry for entry in self.golden if entry[0] in THROUGH_XCF]
        self.assertEqual(len(through), len(THROUGH_XCF))
        for name, path, _ in through:
            with self.subTest(name):
                self.assertEqual(read(self.path(name + ".xcf.raiiaf")), read(path))

    # ---- a profile, a resolution, Exif, junk between chunks ----

    @classmethod
    def plan_kinds(cls):
        exif = b"II*\0\x08\0\0\0\1\0\x0e\1\2\0\x05\0\0\0\x1a\0\0\0\0\0\0\0cats\0"
        kinds = {"exif": [(b"eXIf", exif)], "resolution": [(b"pHYs", struct.pack(">IIB", 5905, 5905, 1))],
                 "comment": [(b"tEXt", b"Comment\0painted")],
                 "profile": [(b"iCCP", b"profile\0\0" + zlib.compress(icc_profile()))]}
        cls.kinds = []
        for name, chunks in kinds.items():
            write(cls.path(name + ".png"), png(40, 30, *chunks))
            raiiaf("create", "--image", cls.path(name + ".png"), "-o", cls.path(name + ".raiiaf"))
            cls.kinds.append(name)
            cls.step("""(let ((image (load $file))) (gimp-drawable-invert (first-of image) FALSE) (save image $out)
  (gimp-image-delete image))""", file=cls.path(name + ".raiiaf"), out=cls.path(name + ".inverted.raiiaf"))
        # A foreign writer's file: bytes that no record claims, before the manifest.
        data = read(SAMPLE)
        table = struct.unpack_from("<I", data, 9)[0]
        junk = b"bytes that no record claims"
        write(cls.path("junk.raiiaf"), data[:9] + struct.pack("<I", table + len(junk)) + data[13:table] + junk +
              data[table:])
        cls.kinds.append("junk")
        for name in cls.kinds:
            cls.step("""(let ((image (load $file))) (save image $again) (gimp-image-delete image))""",
                     file=cls.path(name + ".raiiaf"), again=cls.path(name + ".again.raiiaf"))
            cls.plan_xcf(name, cls.path(name + ".raiiaf"))

    def test_files_with_more_than_pixels_are_exported_to_the_byte(self):
        for name in self.kinds:
            with self.subTest(name):
                self.assertEqual(read(self.path(name + ".again.raiiaf")), read(self.path(name + ".raiiaf")))
                self.assertEqual(read(self.path(name + ".xcf.raiiaf")), read(self.path(name + ".raiiaf")))

    def test_edited_pictures_keep_profile_resolution_exif_and_comment(self):
        def chunk(name, *kinds):
            raiiaf("extract", self.path(name + ".inverted.raiiaf"), "--image", self.path(name + ".inverted.png"))
            chunks, _ = png_chunks(read(self.path(name + ".inverted.png")))
            return next((chunks[kind] for kind in kinds if kind in chunks), b"")
        self.assertEqual(zlib.decompress(chunk("profile", b"iCCP").split(b"\0", 2)[2]), icc_profile())
        self.assertEqual(chunk("resolution", b"pHYs"), struct.pack(">IIB", 5905, 5905, 1))
        exif, text = chunk("exif", b"eXIf"), chunk("exif", b"zTXt")
        if text:  # 2.10 writes it as ImageMagick does
            exif = bytes.fromhex("".join(zlib.decompress(text.split(b"\0", 2)[2]).decode().split("\n")[3:]))
        self.assertIn(b"cats", exif)
        self.assertIn(b"painted", chunk("comment", b"tEXt", b"iTXt"))
        if self.gimp.three:  # 2.10 writes its own sRGB where there is none
            self.assertEqual(chunk("resolution", b"iCCP"), b"")

    # ---- edits ----

    @classmethod
    def plan_edits(cls):
        scheme = "" if cls.gimp.three else "file://"
        edits = {
            "inverted": "(gimp-drawable-invert (first-of image) FALSE)",
            "scaled": "(gimp-image-scale image 384 256)",
            "resolution": "(gimp-image-set-resolution image 150 150)",
            "cropped": "(gimp-image-crop image 128 96 8 16)",
            "comment": '(gimp-image-attach-parasite image (list "gimp-comment" 3 "painted over"))',
            "profile": f"(gimp-image-set-color-profile-from-file image {quote(scheme + cls.path('test.icc'))})",
            "duplicated": """(let ((copy (car (gimp-image-duplicate image)))) (gimp-image-delete image)
              (set! image copy))""",
            "two-layers": """(let ((copy (car (gimp-layer-copy (first-of image) FALSE))))
              (gimp-image-insert-layer image copy 0 0) (gimp-layer-set-opacity copy 40)
              (gimp-drawable-invert copy FALSE))""",
            "wished": """(let* ((found (car (gimp-image-get-parasite image "raiiaf/manifest")))
              (text (list-ref found 2)) (start (string-search "28" text)))
              (gimp-image-attach-parasite image (list "raiiaf/manifest" 3 (string-append
                (substring text 0 start) "29" (substring text (+ start 2) (string-length text))))))"""}
        # TinyScheme has no search for a text in a text.
        cls.step("""(define (string-search what text)
  (let ((size (string-length what)))
    (let look ((at 0)) (if (string=? what (substring text at (+ at size))) at (look (+ at 1))))))""")
        write(cls.path("test.icc"), icc_profile())
        raiiaf("edit", SAMPLE, "--set", "steps=28", "--set", "seed=7", "--output", cls.path("lighthouse.raiiaf"))
        for name, edit in edits.items():
            cls.step(f"""(let ((image (load $file))) {edit} (save image $out) (gimp-image-delete image))""",
                     file=cls.path("lighthouse.raiiaf"), out=cls.path(name + ".edited.raiiaf"))
        cls.step("""(let ((image (load $file)))
  (call-with-output-file $out (lambda (port) (display (manifest image) port))) (gimp-image-delete image))""",
                 file=SAMPLE, out=cls.path("manifest.json"))

    def edited(self, name):
        before, after = info(self.path("lighthouse.raiiaf")), info(self.path(name + ".edited.raiiaf"))
        raiiaf("verify", self.path(name + ".edited.raiiaf"))
        self.assertEqual([latent["sha256"] for latent in before["latents"]],
                         [latent["sha256"] for latent in after["latents"]])
        self.assertEqual(before["environment"], after["environment"])
        return before, after

    def history(self, name):
        _, after = self.edited(name)
        return after, after["manifest"]["raiiaf_metadata"].get("history", [])

    def test_edits_are_told(self):
        for name in ["inverted", "scaled", "cropped", "two-layers"]:
            with self.subTest(name):
                after, history = self.history(name)
                self.assertEqual(history[-1]["action"], "edited")
                self.assertRegex(history[-1]["tool"], r"^GIMP 3\.0\." if self.gimp.three else r"^GIMP 2\.10\.")
                self.assertEqual(history[-1]["image_after"], after["image"]["sha256"])
                self.assertTrue(all(stale(after)))
        self.assertEqual(info(self.path("scaled.edited.raiiaf"))["image"]["width"], 384)

    def test_what_a_png_says_else_is_an_edit_that_leaves_latents_fresh(self):
        wanted = {"resolution": (b"pHYs", struct.pack(">II", 5906, 5906)), "comment": (b"tEXt", b"painted over"),
                  "profile": (b"iCCP", b"")}
        for name, (kind, text) in wanted.items():
            with self.subTest(name):
                after, history = self.history(name)
                self.assertEqual((history[-1]["action"], history[-1]["tool"][:5]), ("converted", "GIMP "))
                image = raiiaf("extract", self.path(name + ".edited.raiiaf"), "--image", "-").stdout
                self.assertIn(text, png_chunks(image)[0][kind])
                self.assertFalse(any(stale(after)))

    def test_nothing_done_is_no_edit(self):
        self.assertEqual(read(self.path("duplicated.edited.raiiaf")), read(self.path("lighthouse.raiiaf")))

    def test_a_wish_is_granted(self):
        before, after = self.edited("wished")
        self.assertEqual((settings(before)["steps"], settings(after)["steps"]), (28, 29))
        self.assertEqual(before["image"]["sha256"], after["image"]["sha256"])

    def test_the_manifest_is_handed_out(self):
        with open(self.path("manifest.json"), encoding="utf-8") as file:
            self.assertEqual(file.read().encode(), raiiaf("extract", SAMPLE, "--manifest", "-").stdout)

    # ---- other ways in ----

    @classmethod
    def plan_ways_in(cls):
        shutil.copy(SAMPLE, cls.path("no-extension"))
        shutil.copy(os.path.join(GOLDEN, "g5_f32_raw.gen5"), cls.path("no-extension-either"))
        for name in ["no-extension", "no-extension-either"]:
            cls.step("(let ((image (load $file))) (save image $out) (gimp-image-delete image))",
                     file=cls.path(name), out=cls.path(name + ".raiiaf"))
        cls.files += [SAMPLE, pathlib.Path(os.path.abspath(SAMPLE)).as_uri()]
        cls.step("""(let ((names (list $one $two))) (for-each (lambda (image) (if (= (car (width-of image)) 768)
  (begin (save image (car names)) (set! names (cdr names))))) (opened)))""",
                 one=cls.path("command-line.raiiaf"), two=cls.path("uri.raiiaf"))
        raiiaf("extract", SAMPLE, "--image", cls.path("sample.png"))
        for name, path in {"layer": SAMPLE, "layer.png": cls.path("sample.png")}.items():
            cls.step("""(let* ((image (car (gimp-image-new 768 512 RGB)))
  (layer (car (gimp-file-load-layer RUN-NONINTERACTIVE image $file))))
  (gimp-image-insert-layer image layer 0 0) (save image $out) (gimp-image-delete image))""",
                     file=path, out=cls.path(name + ".gimp.png"))
        cls.step("""(let ((image (thumbnail $file))) (save image $out) (call-with-output-file $list (lambda (port)
  (write (parasites image) port))) (gimp-image-delete image))""",
                 file=SAMPLE, out=cls.path("thumbnail.png"), list=cls.path("thumbnail.parasites"))

    def test_files_are_known_by_their_first_bytes(self):
        self.assertEqual(read(self.path("no-extension.raiiaf")), read(SAMPLE))
        self.assertEqual(read(self.path("no-extension-either.raiiaf")), read(self.path("no-extension-either")))

    def test_files_open_from_the_command_line_and_as_dropped(self):
        for name in ["command-line.raiiaf", "uri.raiiaf"]:
            with self.subTest(name):
                self.assertEqual(read(self.path(name)), read(SAMPLE))

    def test_files_open_as_layers(self):
        self.assertEqual(pixels(self.path("layer.gimp.png")), pixels(self.path("layer.png.gimp.png")))

    def test_files_open_for_thumbnails_without_their_latents(self):
        self.assertEqual(pixels(self.path("thumbnail.png")), pixels(self.path("sample.png")))
        self.assertNotIn(b"raiiaf/", read(self.path("thumbnail.parasites")))

    # ---- options ----

    @classmethod
    def plan_options(cls):
        cls.encoded = ["img_gray8", "img_gray16", "img_palette8_trns", "img_rgb16", "img_ga8"]
        wishes = {"plain": "0 0 0 0", "dropped": "1 0 0 0", "halved": "0 1 0 0", "encoded": "0 0 1 1"}
        for name, options in wishes.items():
            cls.step(f"""(let ((image (load $file))) (export image $out {options}) (gimp-image-delete image))""",
                     file=SAMPLE, out=cls.path(name + ".option.raiiaf"))

        for name in cls.encoded:
            cls.step("(let ((image (load $file))) (export image $out 0 0 1 1) (gimp-image-delete image))",
                     file=os.path.join(GOLDEN, name + ".raiiaf"), out=cls.path(name + ".encoded.raiiaf"))

    def test_a_new_png_is_of_the_same_kind(self):
        for name in self.encoded:
            with self.subTest(name):
                picture = self.path(name + ".encoded.png")
                raiiaf("extract", self.path(name + ".encoded.raiiaf"), "--image", picture)
                self.assertEqual(pixels(picture), pixels(self.path(name + ".gimp.png")))
                self.assertEqual(png_chunks(read(picture))[1], png_chunks(read(self.path(name + ".png")))[1])

    def test_options_do_as_they_say(self):
        path = "{}.option.raiiaf".format
        self.assertEqual(read(self.path(path("plain"))), read(SAMPLE))
        self.assertEqual(info(self.path(path("dropped")))["latents"], [])
        self.assertEqual({latent["dtype"] for latent in info(self.path(path("halved")))["latents"]}, {"float16"})
        encoded = info(self.path(path("encoded")))
        self.assertNotEqual(encoded["image"]["sha256"], info(SAMPLE)["image"]["sha256"])
        self.assertFalse(any(stale(encoded)))

    # ---- what was never a .raiiaf ----

    @classmethod
    def plan_legacy(cls):
        write(cls.path("plain.png"), png(20, 10))
        # Exif's user comment is where GIMP still shows a prompt.
        comment = b"UNICODE\0" + "a red fox\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 5".encode("utf-16-le")
        exif = (b"II*\0\x08\0\0\0\1\0\x69\x87\4\0\1\0\0\0\x1a\0\0\0\0\0\0\0" + b"\1\0\x86\x92\7\0" +
                struct.pack("<II", len(comment), 0x2c) + b"\0\0\0\0" + comment)
        write(cls.path("exif-prompt.png"), png(20, 10, (b"eXIf", exif)))
        prompt = b"a blue fox\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 5, Size: 30x10, Model: fox"
        write(cls.path("text-prompt.png"), png(30, 10, (b"tEXt", b"parameters\0" + prompt)))
        for name in ["plain", "exif-prompt", *([] if cls.gimp.three else ["text-prompt"])]:
            cls.step("(let ((image (load $file))) (save image $out) (gimp-image-delete image))",
                     file=cls.path(name + ".png"), out=cls.path(name + ".new.raiiaf"))
        # Of what a script opens, GIMP 3.0 doesn't know the file; what a user opens takes a display in GIMP 2.10.
        if cls.gimp.three:
            cls.files.append(cls.path("text-prompt.png"))
            cls.step("(for-each (lambda (image) (if (= (car (width-of image)) 30) (save image $out))) (opened))",
                     out=cls.path("text-prompt.new.raiiaf"))

    def test_an_image_that_was_never_a_raiiaf(self):
        raiiaf("verify", self.path("plain.new.raiiaf"))
        told = info(self.path("plain.new.raiiaf"))
        self.assertEqual((told["image"]["format"], told["image"]["width"], told["latents"]), ("PNG", 20, []))
        self.assertEqual(settings(told).get("prompt"), "")

    def test_a_prompt_that_gimp_loses_is_had_from_the_file(self):
        told = settings(info(self.path("text-prompt.new.raiiaf")))
        self.assertEqual((told.get("prompt"), told.get("model_name")), ("a blue fox", "fox"))

    def test_a_prompt_that_gimp_still_shows_is_kept(self):
        self.assertEqual(settings(info(self.path("exif-prompt.new.raiiaf"))).get("prompt"), "a red fox")

    # ---- much ----

    @classmethod
    def plan_large(cls):
        write(cls.path("large.png"), png(128, 128))
        tensor = os.urandom(1 << 16) * 16
        floats = bytearray(tensor)
        floats[3::4] = bytes(len(floats) // 4)  # small numbers: no NaN or infinity
        arguments = []
        for i in range(64):
            floats[0] = i
            write(cls.path(f"{i}.npy"), npy((1, 16, 128, 128), bytes(floats)))
            arguments += ["--latent", f"{i}={cls.path(f'{i}.npy')}"]
        raiiaf("create", "--image", cls.path("large.png"), *arguments, "-o",
               cls.path("large.raiiaf"))
        cls.plan_xcf("large", cls.path("large.raiiaf"))
        cls.step("""(let ((image (load $xcf))) (call-with-output-file $out (lambda (port) (display (list-ref
  (car (gimp-image-get-parasite image "raiiaf/index")) 2) port)))
  (call-with-output-file $flags (lambda (port) (for-each (lambda (name)
    (write (list-ref (car (gimp-image-get-parasite image name)) 1) port) (newline port)) (parasites image))))
  (gimp-image-delete image))""",
                 xcf=cls.path("large.xcf"), out=cls.path("large.index"), flags=cls.path("large.flags"))

    def test_64_latents_come_through_xcf(self):
        self.assertEqual(len(info(self.path("large.raiiaf"))["latents"]), 64)
        self.assertEqual(read(self.path("large.xcf.raiiaf")), read(self.path("large.raiiaf")))

    def test_chunks_are_split(self):
        with open(self.path("large.index"), encoding="ascii") as file:
            sizes = [int(line.split()[1]) for line in file]
        self.assertGreater(len(sizes), 64)
        self.assertEqual(max(sizes), PIECE)
        self.assertEqual(sum(sizes), os.path.getsize(self.path("large.raiiaf")))

    def test_parasites_are_saved_and_can_be_undone(self):
        self.assertGreater(read(self.path("large.flags")).split().count(b"3"), 64)

    def test_nothing_is_left_of_an_export_that_was_cancelled(self):
        folder = self.path("cancelled")
        os.mkdir(folder)
        script = "(let ((image (load $file))) (export image $out 0 0 2 0))"
        script = script.replace("$file", quote(self.path("large.raiiaf"))).replace("$out", quote(folder + "/it.raiiaf"))
        with subprocess.Popen(**self.gimp.command(script)) as gimp:
            self.addCleanup(gimp.kill)
            writer = Screen.wait("nothing is written", lambda: writers(folder))
            os.kill(writer[0], signal.SIGKILL)  # as GIMP does
            gimp.communicate(timeout=300)
        self.assertEqual(os.listdir(folder), [])

    # ---- dialogs ----

    def test_dialogs(self):
        interactive = "RUN-INTERACTIVE image (first-of image)"
        info_call = f"(plug-in-raiiaf-info {interactive})"
        export_call = f"(file-raiiaf-export {interactive} $out $out 1 1 2 1)"
        if self.gimp.three:
            info_call = """(plug-in-raiiaf-info #:run-mode RUN-INTERACTIVE #:image image
  #:drawables (car (gimp-image-get-selected-drawables image)))"""
            export_call = "(file-raiiaf-export #:run-mode RUN-INTERACTIVE #:image image #:file $out)"
        script = (f"(let ((image (load $file))) {info_call} (save image $prompt) (save image $png) {export_call}"
                  f" {export_call.replace('$out', '$none')})")
        names = {"file": SAMPLE, "prompt": self.path("typed.raiiaf"), "png": self.path("typed.png"),
                 "out": self.path("dialog.raiiaf"), "none": self.path("cancelled.raiiaf")}
        for name, path in names.items():
            script = script.replace("$" + name, quote(path))
        screen = Screen(self.folder)
        self.addCleanup(screen.close)
        command = self.gimp.command(script)
        command["args"][0] = command["args"][0].replace("-console", "")
        command["env"].update(DISPLAY=screen.display, GTK2_RC_FILES=self.path("gtkrc"))
        self.stop_cursors(command["env"]["XDG_CONFIG_HOME"])
        gimp = subprocess.Popen(**command)
        self.addCleanup(gimp.stdout.close)
        self.addCleanup(gimp.wait)
        self.addCleanup(gimp.kill)
        publish = ["alt+w"] if self.gimp.three else []
        # The prompt is typed anew; what is then copied as text goes after the negative prompt.
        screen.turn_to("Generation Info")
        for key in ["Right", "Right", "Tab", "space"]:
            screen.press(key)
        screen.answer("Save Latent", "~ctrl+a", "text:" + self.path("saved.npy"), "Return")
        screen.answer("Generation Info", "shift+Tab", "Left", "Left", "Tab", "ctrl+a", "text:a red fox", *publish,
                      "alt+t", "shift+Tab", *["shift+Tab"] * len(publish), "~ctrl+End", "ctrl+v", "alt+o")
        screen.answer("Export Image", "alt+e" if self.gimp.three else "Return")
        screen.answer("Export Image", "Escape")
        output = gimp.communicate(timeout=300)[0].decode("utf-8", "replace")
        self.assertEqual(read(self.path("saved.npy")), raiiaf("extract", SAMPLE, "--latent", "0", "-").stdout, output)
        told = settings(info(self.path("typed.raiiaf")))
        self.assertEqual(told["prompt"], "a red fox", output)
        self.assertRegex(told["negative_prompt"], "^people, text, frame.*a red fox\nNegative prompt: .*\nSteps: 28, ")
        self.assertEqual(read(self.path("dialog.raiiaf"))[:6], b"raiiaf")
        self.assertEqual(settings(info(self.path("dialog.raiiaf"))), told)
        self.assertEqual([latent["dtype"] for latent in info(self.path("dialog.raiiaf"))["latents"]],
                         [latent["dtype"] for latent in info(SAMPLE)["latents"]])
        self.assertFalse(os.path.exists(self.path("cancelled.raiiaf")))
        texts = png_chunks(read(self.path("typed.png")))[0].get(b"iTXt", b"")
        self.assertEqual(b"parameters\0" in texts and b"a red fox" in texts, self.gimp.three)

    def stop_cursors(self, folder):
        """From blinking, which would pass for a key's effect."""
        write(self.path("gtkrc"), b"gtk-cursor-blink = 0\n")
        os.makedirs(os.path.join(folder, "gtk-3.0"), exist_ok=True)
        write(os.path.join(folder, "gtk-3.0", "settings.ini"), b"[Settings]\ngtk-cursor-blink = 0\n")

    # ---- all of it ----

    def test_bad_files_give_a_sentence(self):
        with open(os.path.join(GOLDEN, "no_image_f16_raw.raiiaf"), "rb") as file:
            write(self.path("bad-no-image.raiiaf"), file.read())
        data = read(SAMPLE)
        write(self.path("bad-cut.raiiaf"), data[:len(data) // 2])
        damaged = bytearray(data)
        at = data.index(b"IDAT") + 1000
        damaged[at] ^= 1
        write(self.path("bad-hash.raiiaf"), damaged)
        wanted = {"bad-no-image": "holds no image; raiiaf extract", "bad-cut": "cut or damaged", "bad-hash": "SHA-256"}
        for name, sentence in wanted.items():
            with self.subTest(name):
                path = self.path(name + ".raiiaf")
                code, output = self.gimp.run(f"(load {quote(path)})")
                if self.gimp.three:
                    self.assertEqual(code, 70, output)
                line = next((line for line in output.splitlines() if path + ":" in line), "")
                self.assertIn(sentence, line, output)
                self.assertNotIn("/proc/", output)
                self.assertNotIn("/gimp-", output)
                self.assertNotIn("stray image", output)


for each in GIMPS:
    globals()[each] = type(each, (GimpCase, unittest.TestCase), {"NAME": each})

if __name__ == "__main__":
    if not GIMPS:
        print("no GIMP to test: the plug-in was built for none")
        sys.exit(77)
    wanted = None if WHOLE else [f"{name}.{test}" for name in GIMPS for test in EVERYWHERE]
    unittest.main(verbosity=2, defaultTest=wanted)
