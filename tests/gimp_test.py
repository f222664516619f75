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
import shutil
import struct
import subprocess
import sys
import tempfile
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
EVERYWHERE = ["test_everything_was_run", "test_edits_are_told", "test_nothing_done_is_no_edit", "test_a_wish_is_granted",
              "test_a_new_resolution_is_an_edit_that_leaves_latents_fresh"]
PROFILES = ["/usr/share/color/icc/ghostscript/a98.icc", "/usr/share/color/icc/colord/AdobeRGB1998.icc"]
THROUGH_XCF = ["img_gray8", "img_gray16", "img_palette8_trns", "img_rgb16", "img_rgba16_interlaced", "img_is_jpeg"]
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
        built = os.path.join(os.environ.get("TOP_BUILDDIR", "."), "gimp-plugin", name, "raiiaf")
        os.symlink(os.path.abspath(built), os.path.join(links, "raiiaf", "raiiaf"))
        for plug_in in NEEDED:
            os.symlink(os.path.join(os.environ[name.upper() + "_PLUGINS"], plug_in), os.path.join(links, plug_in))
        with open(os.path.join(folder, "gimprc"), "w", encoding="utf-8") as file:
            file.write(f'(plug-in-path {quote(links)})\n(temp-path {quote(folder)})\n(swap-path {quote(folder)})\n')

    def run(self, *steps, seconds=1200):
        """Runs steps in Script-Fu; a step that fails ends them all."""
        prelude = """
(define (load path) (car (gimp-file-load RUN-NONINTERACTIVE path path)))
(define (first-of image) (car (gimp-image-get-active-drawable image)))
(define (save image path) (gimp-file-save RUN-NONINTERACTIVE image (first-of image) path path))
(define (export image path drop float16 effort encode)
  (file-raiiaf-export RUN-NONINTERACTIVE image (first-of image) path path drop float16 effort encode))
(define (manifest image) (car (plug-in-raiiaf-info RUN-NONINTERACTIVE image (first-of image))))
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
"""
        script = os.path.join(self.folder, "script.scm")
        with open(script, "w", encoding="utf-8") as file:
            file.write(prelude + "\n".join(steps))
        load = f"(load {quote(script)})"
        command = [self.program, "-n", "-i", "-f", "-s", "-c"]
        if self.three:
            command += ["--batch-interpreter=plug-in-script-fu-eval", "-b", load, "--quit"]
        else:
            command += ["-d", "-b", load, "-b", "(gimp-quit 0)"]
        environment = dict(os.environ, GIMP2_DIRECTORY=self.folder, GIMP3_DIRECTORY=self.folder, HOME=self.folder,
                           XDG_CACHE_HOME=self.folder, XDG_CONFIG_HOME=self.folder, TMPDIR=self.folder)
        done = subprocess.run(command, env=environment, timeout=seconds, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        return done.returncode, done.stdout.decode("utf-8", "replace")


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
        cls.plan_edits()
        if WHOLE:
            cls.plan_golden()
            cls.plan_kinds()
            cls.plan_options()
            cls.plan_legacy()
            cls.plan_large()
        cls.step(f'(call-with-output-file {quote(cls.path("end"))} (lambda (port) (write "end" port)))')
        cls.code, cls.output = cls.gimp.run(*cls.steps)

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
        profile = next((path for path in PROFILES if os.path.exists(path)), None)
        exif = b"II*\0\x08\0\0\0\1\0\x0e\1\2\0\x05\0\0\0\x1a\0\0\0\0\0\0\0cats\0"
        kinds = {"exif": [(b"eXIf", exif)], "resolution": [(b"pHYs", struct.pack(">IIB", 5905, 5905, 1))],
                 "comment": [(b"tEXt", b"Comment\0painted")]}
        if profile:
            kinds["profile"] = [(b"iCCP", b"profile\0\0" + zlib.compress(read(profile)))]
        cls.kinds = []
        for name, chunks in kinds.items():
            write(cls.path(name + ".png"), png(40, 30, *chunks))
            raiiaf("create", "--image", cls.path(name + ".png"), "-o", cls.path(name + ".raiiaf"))
            cls.kinds.append(name)
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
        if "profile" not in self.kinds:
            print("no test of ICC profiles: none of", ", ".join(PROFILES), "is there", file=sys.stderr)
        for name in self.kinds:
            with self.subTest(name):
                self.assertEqual(read(self.path(name + ".again.raiiaf")), read(self.path(name + ".raiiaf")))
                self.assertEqual(read(self.path(name + ".xcf.raiiaf")), read(self.path(name + ".raiiaf")))

    # ---- edits ----

    @classmethod
    def plan_edits(cls):
        edits = {
            "inverted": "(gimp-drawable-invert (first-of image) FALSE)",
            "scaled": "(gimp-image-scale image 384 256)",
            "resolution": "(gimp-image-set-resolution image 150 150)",
            "undone": "(gimp-image-undo-group-start image) (gimp-image-undo-group-end image)",
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
        for name in ["inverted", "scaled", "two-layers"]:
            with self.subTest(name):
                after, history = self.history(name)
                self.assertEqual(history[-1]["action"], "edited")
                self.assertRegex(history[-1]["tool"], r"^GIMP 3\.0\." if self.gimp.three else r"^GIMP 2\.10\.")
                self.assertEqual(history[-1]["image_after"], after["image"]["sha256"])
                self.assertTrue(all(stale(after)))
        self.assertEqual(info(self.path("scaled.edited.raiiaf"))["image"]["width"], 384)

    def test_a_new_resolution_is_an_edit_that_leaves_latents_fresh(self):
        after, history = self.history("resolution")
        self.assertEqual(history[-1]["tool"][:5], "GIMP ")
        self.assertIn(b"pHYs" + struct.pack(">II", 5906, 5906), raiiaf("extract", self.path(
            "resolution.edited.raiiaf"), "--image", "-").stdout)
        self.assertFalse(any(stale(after)))

    def test_nothing_done_is_no_edit(self):
        self.assertEqual(read(self.path("undone.edited.raiiaf")), read(self.path("lighthouse.raiiaf")))

    def test_a_wish_is_granted(self):
        before, after = self.edited("wished")
        self.assertEqual((settings(before)["steps"], settings(after)["steps"]), (28, 29))
        self.assertEqual(before["image"]["sha256"], after["image"]["sha256"])

    def test_the_manifest_is_handed_out(self):
        with open(self.path("manifest.json"), encoding="utf-8") as file:
            self.assertEqual(file.read().encode(), raiiaf("extract", SAMPLE, "--manifest", "-").stdout)

    # ---- options ----

    @classmethod
    def plan_options(cls):
        for name, options in {"plain": "0 0 0 0", "dropped": "1 0 0 0", "halved": "0 1 0 0", "encoded": "0 0 1 1"}.items():
            cls.step(f"""(let ((image (load $file))) (export image $out {options}) (gimp-image-delete image))""",
                     file=SAMPLE, out=cls.path(name + ".option.raiiaf"))

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
        write(cls.path("text-prompt.png"), png(20, 10, (b"tEXt", b"parameters\0a blue fox\nSteps: 20, Sampler: Euler a, "
                                                        b"CFG scale: 7, Seed: 5, Size: 20x10, Model: fox")))
        for name in ["plain", "exif-prompt", "text-prompt"]:
            cls.step("(let ((image (load $file))) (save image $out) (gimp-image-delete image))",
                     file=cls.path(name + ".png"), out=cls.path(name + ".new.raiiaf"))
        if cls.gimp.three:
            cls.step("""(let ((image (load $file))) (gimp-image-attach-parasite image (list "png-raiiaf/tEXt" 3
  "parameters=a red fox")) (save image $out) (gimp-image-delete image))""",
                     file=cls.path("plain.png"), out=cls.path("published.png"))

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

    def test_64_latents_come_through_xcf(self):
        self.assertEqual(len(info(self.path("large.raiiaf"))["latents"]), 64)
        self.assertEqual(read(self.path("large.xcf.raiiaf")), read(self.path("large.raiiaf")))

    # ---- all of it ----

    def test_everything_was_run(self):
        self.assertTrue(os.path.exists(self.path("end")), self.output[-4000:])

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
    unittest.main(verbosity=2, defaultTest=None if WHOLE else [f"{name}.{test}" for name in GIMPS for test in EVERYWHERE])
