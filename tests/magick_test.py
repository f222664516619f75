#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Drives the coder as its users do: through convert, identify and mogrify of every ImageMagick it was built for.

RAIIAF_HOSTS names the folders in TOP_BUILDDIR/magick-coder (magick6-q16, magick7-q16, magick7-q16hdri); for each,
MAGICK6_Q16 and so on is the program, MAGICK6_Q16_CODERS the folder of ImageMagick's own coders.
"""
import base64
import glob
import gzip
import hashlib
import json
import os
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import unittest
import zlib

HERE = os.path.dirname(os.path.abspath(__file__))
RAIIAF = os.environ.get("RAIIAF", os.path.join(HERE, "..", "tools", "raiiaf"))
DATA = os.environ.get("RAIIAF_DATA", os.path.join(HERE, "data"))
GOLDEN = os.path.join(DATA, "golden")
MODULES = os.path.join(os.environ.get("TOP_BUILDDIR", os.path.join(HERE, "..")), "magick-coder")
PHOTO = os.path.join(GOLDEN, "img_512_photo.raiiaf")
WITH_TEXT = os.path.join(GOLDEN, "img_rgba_text.raiiaf")

sys.path.insert(0, HERE)
try:
    import reader
except ImportError as missing:
    print(f"without the check by reader.py: {missing}", file=sys.stderr)
    reader = None


def files_with_image():
    paths = sorted(glob.glob(os.path.join(GOLDEN, "*.raiiaf")) + glob.glob(os.path.join(GOLDEN, "*.gen5")))
    return [path for path in paths if facts(path)["image"] and facts(path)["image"]["bytes"]]


def read(path):
    with open(path, "rb") as file:
        return file.read()


def write(path, data):
    with open(path, "wb") as file:
        file.write(data)
    return path


def raiiaf(*arguments, **options):
    return subprocess.run([RAIIAF, *arguments], check=True, capture_output=True, **options).stdout


# Samples of what other tools write, each for something that ImageMagick reads in a way of its own.
LEGACY = ["a1111/syn-itxt-emoji.png", "a1111/syn-after-idat-ztxt.png", "a1111/syn-latin1.png",
          "a1111/syn-dup-parameters.png", "a1111/syn-png-exif.png", "a1111/syn-uc-be.jpg", "a1111/syn-jpeg-com.jpg",
          "a1111/syn-uc-ascii.webp", "comfyui/syn-efficient.png", "comfyui/syn-concat.png",
          "comfyui/syn-make-model.webp", "invokeai-v3/syn-v30.png", "novelai/syn-v3.png", "stealth/syn-alpha-info.png",
          "swarmui/syn-uc-utf16le.jpg", "fooocus/syn-ifd0.jpg", "easydiffusion/syn-sidecar-json.png",
          "stability-filename/2418427432_portrait_of_an_old_fisherman_oil_painting.png"]

KNOWN = {}


def facts(path):
    """What `raiiaf info --json` tells."""
    key = (path, os.stat(path).st_mtime_ns, os.stat(path).st_size)
    if key not in KNOWN:
        KNOWN[key] = json.loads(raiiaf("info", "--json", path))
    return KNOWN[key]


def metadata(path):
    (value,) = facts(path)["manifest"].values()
    return value


def settings(path):
    return metadata(path)["model_info"]


def image_of(path):
    return raiiaf("extract", path, "--image", "-")


def latents_of(path):
    return [latent["sha256"] for latent in facts(path)["latents"]]


def is_stale(path):
    """Whether the latents are; all of them have to agree."""
    stale = {chunk["extra"].get("stale", False) for chunk in metadata(path)["chunks"] if chunk["type"] == "LATN"}
    (answer,) = stale
    return answer


def actions(path):
    return [entry["action"] for entry in metadata(path).get("history", [])]


# ---- pictures of our own ----


def png_chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, before=b"", depth=8, color=2, after=b"", seed=7):
    """A PNG whose pixels follow a pattern; `before` and `after` are chunks around its pixels."""
    channels = {0: 1, 2: 3, 4: 2, 6: 4}[color]
    rows = bytearray()
    for y in range(height):
        rows.append(0)
        for x in range(width * channels):
            value = (x * seed + y * 3 + x * y) % (1 << depth)
            rows += value.to_bytes(depth // 8, "big")
    return (b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)) +
            before + png_chunk(b"IDAT", zlib.compress(bytes(rows))) + after + png_chunk(b"IEND", b""))


def png_chunks(data):
    position, found = 8, []
    while position < len(data):
        (size,) = struct.unpack(">I", data[position:position + 4])
        found.append((data[position + 4:position + 8], data[position + 8:position + 8 + size]))
        position += size + 12
    return found


def exif(orientation, resolution):
    """A TIFF structure with a description, an orientation and a resolution."""
    data, entries = b"", []

    def entry(tag, kind, count, value):
        entries.append(struct.pack("<HHI4s", tag, kind, count, value))

    start = 8 + 2 + 4 * 12 + 4
    entry(0x010E, 2, 6, struct.pack("<I", start))
    data += b"hello\0"
    entry(0x0112, 3, 1, struct.pack("<HH", orientation, 0))
    for tag in (0x011A, 0x011B):
        entry(tag, 5, 1, struct.pack("<I", start + len(data)))
        data += struct.pack("<II", resolution, 1)
    return (b"II*\0" + struct.pack("<IH", 8, len(entries)) + b"".join(entries) + struct.pack("<I", 0) + data)


# ---- the ImageMagicks ----


class Host:
    def __init__(self, name):
        self.name = name
        variable = name.upper().replace("-", "_")
        self.program = os.environ.get(variable, "")
        self.coders = os.environ.get(variable + "_CODERS", "")
        self.folder = os.path.join(MODULES, name)
        self.version = 6 if name.startswith("magick6") else 7

    def missing(self):
        for path in (self.program, self.coders, os.path.join(self.folder, "raiiaf.la")):
            if not path or not os.path.exists(path):
                return f"{self.name}: no {path or 'program'}"
        return None

    def command(self, tool):
        if self.version == 7:
            return [self.program] + ([tool] if tool != "convert" else [])
        folder, name = os.path.split(self.program)
        return [os.path.join(folder, name.replace("convert", tool))]


HOSTS = [Host(name) for name in os.environ.get("RAIIAF_HOSTS", "").split()]

# What identify can tell of a picture itself; %# is a digest of its pixels.
PICTURE = ("%wx%h|%z|%[colorspace]|%[type]|%A|%r|%#|%X%Y|%W%H|%x|%y|%U|%[orientation]|%[gamma]|%[rendering-intent]|"
           "%[png:*]|%[parameters]|%[prompt]|%[comment]|%[exif:ImageDescription]|%[icc:description]|%n")
PINGED = "%wx%h|%z|%[colorspace]|%A|%C|%n"


class Coder:
    """The tests; one class for each ImageMagick is made of it below."""

    host = None

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="raiiaf-magick-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.environment = dict(os.environ, HOME=self.folder, SOURCE_DATE_EPOCH="1800000000",
                                MAGICK_CODER_MODULE_PATH=f"{self.host.folder}:{self.host.coders}")
        self.environment.pop("VIRTUAL_ENV", None)
        self.turkish = os.environ.get("LC_ALL", "").startswith("tr_")
        if self.turkish:  # in which ImageMagick knows no format with an i in its name, be it GIF, MIFF or the prefix info:
            self.environment.update(LC_ALL="", LANG=os.environ["LC_ALL"], LC_CTYPE="C.UTF-8")

    def path(self, name):
        return os.path.join(self.folder, name)

    def run_tool(self, tool, *arguments, good=True, data=None, warns=False, before=None):
        """Runs a tool of ImageMagick; with `good` it has to succeed, silently unless it `warns`."""
        result = subprocess.run([*self.host.command(tool), *arguments], input=data, capture_output=True,
                                env=self.environment, cwd=self.folder, preexec_fn=before, timeout=300, check=False)
        told = result.stderr.decode(errors="replace")
        self.assertGreaterEqual(result.returncode, 0, f"died of a signal: {arguments} {told}")
        if good:
            self.assertEqual(0, result.returncode, f"{tool} {arguments}: {told}")
            if not warns:
                self.assertEqual("", told, f"{tool} {arguments}")
        elif good is False:
            self.assertTrue(result.returncode != 0 and told, f"{tool} {arguments} didn't fail")
        return result

    def convert(self, *arguments, **options):
        return self.run_tool("convert", *arguments, **options)

    def identify(self, *arguments, **options):
        return self.run_tool("identify", *arguments, **options).stdout.decode(errors="replace")

    def refused(self, *arguments, **options):
        """What a command that has to fail says."""
        return self.convert(*arguments, good=False, **options).stderr.decode(errors="replace")

    def picture(self, path, form=PICTURE, ping=False):
        # Properties that an image lacks are a warning of ImageMagick's.
        return self.identify(*(["-ping"] if ping else []), "-format", form, path, good=None)

    def make(self, name, image, *arguments):
        """A .raiiaf file around an image of ours."""
        write(self.path("embedded"), image)
        raiiaf("create", "-o", self.path(name), "--image", self.path("embedded"), "--no-environment", "--set",
               "prompt=a lighthouse", *arguments)
        return self.path(name)

    def check_written(self, path):
        """A file of ours is right, by our own check and by the second reader's."""
        raiiaf("verify", path)
        if reader:
            reader.read(path)

    # ---- reading ----

    def test_every_image_reads_as_by_its_own_coder(self):
        for path in files_with_image():
            with self.subTest(os.path.basename(path)):
                embedded = write(self.path("embedded.img"), image_of(path))
                self.assertEqual(self.picture(embedded), self.picture(path))
                self.assertEqual(self.picture(embedded, PINGED, ping=True), self.picture(path, PINGED, ping=True))

    def test_what_png_expresses_comes_through(self):
        profile = read("/usr/share/color/icc/ghostscript/srgb.icc") if os.path.exists(
            "/usr/share/color/icc/ghostscript/srgb.icc") else None
        cases = {
            "gamma": png_chunk(b"gAMA", struct.pack(">I", 100000)),
            "chromaticities": png_chunk(b"cHRM", struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000,
                                                             6000)),
            "page": png_chunk(b"oFFs", struct.pack(">iiB", 5, 7, 0)),
            "density": png_chunk(b"pHYs", struct.pack(">IIB", 2835, 5670, 1)),
            "intent": png_chunk(b"sRGB", b"\2"),
            "exif": png_chunk(b"eXIf", exif(6, 300)),
            "background": png_chunk(b"bKGD", struct.pack(">HHH", 255, 0, 128)),
        }
        if profile:
            cases["icc"] = png_chunk(b"iCCP", b"icc\0\0" + zlib.compress(profile))
        for name, chunks in cases.items():
            for depth, color in ((8, 2), (16, 2), (8, 0), (16, 0), (8, 6), (16, 6), (8, 4), (16, 4)):
                if name in ("background", "icc") and color not in (2, 6):
                    continue
                with self.subTest(f"{name}, {depth} bits, type {color}"):
                    image = png(24, 16, chunks, depth, color)
                    path = self.make("x.raiiaf", image)
                    self.assertEqual(self.picture(write(self.path("x.png"), image)), self.picture(path))
                    self.convert(path, self.path("y.raiiaf"))
                    self.assertEqual(read(path), read(self.path("y.raiiaf")))

    def test_settings_are_properties(self):
        for name in ("img_512_photo", "prompt_unicode", "g5_unicode", "prompt_100k"):
            (path,) = glob.glob(os.path.join(GOLDEN, name + ".*5")) + glob.glob(os.path.join(GOLDEN, name + ".raiiaf"))
            if not facts(path)["image"]:
                continue
            info = settings(path)
            for ping in (True, False):
                with self.subTest(f"{name}, {'pinged' if ping else 'read'}"):
                    self.assertEqual(info["prompt"].split("\0")[0].rstrip(" "),  # a property ends there
                                     self.picture(path, "%[raiiaf:prompt]", ping).rstrip(" "))
                    generation = info["generation_settings"]
                    told = self.picture(path, "%[raiiaf:seed]|%[raiiaf:steps]|%[raiiaf:sampler]|%[raiiaf:os]", ping)
                    self.assertEqual("|".join(str(part) for part in (generation["seed"], generation["steps"],
                                                                     generation["sampler"],
                                                                     info["hardware_info"]["os"])), told)

    def test_identify_decodes_nothing(self):
        data = bytearray(read(self.make("x.raiiaf", png(600, 400))))
        data[data.index(b"IDAT") + 2000] ^= 1
        damaged = write(self.path("damaged.raiiaf"), bytes(data))
        self.assertIn("600x400", self.identify(damaged))
        self.assertIn("600x400", self.identify("-ping", damaged))
        self.assertIn("SHA-256", self.refused(damaged, self.path("y.png")))
        self.assertFalse(os.path.exists(self.path("y.png")))

    def test_a_file_without_image_says_so(self):
        path = os.path.join(GOLDEN, "no_image_f16_raw.raiiaf")
        for told in (self.refused(path, self.path("y.png")), self.run_tool("identify", path, good=False).stderr.decode()):
            self.assertIn("no image", told)
            self.assertIn("raiiaf extract", told)

    def test_other_image_formats_are_left_alone(self):
        for name, content in {"svg": b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'></svg>",
                              "mvg": b"push graphic-context\nviewbox 0 0 9 9\npop graphic-context\n",
                              "msl": b"<?xml version='1.0'?><image><read filename='rose:'/></image>",
                              "ppm": b"P6 1 1 255\nabc", "text": b"hello", "xwd": b"xc:red"}.items():
            with self.subTest(name):
                told = self.refused(self.make("x.raiiaf", content), self.path("y.png"))
                self.assertIn("PNG, JPEG, WebP", told)
                self.assertFalse(os.path.exists(self.path("y.png")))

    def test_damaged_files_are_refused_or_read_but_never_crash(self):
        for path in sorted(glob.glob(os.path.join(GOLDEN, "corrupt", "*")))[::7]:
            if not path.endswith(".json"):
                with self.subTest(os.path.basename(path)):
                    self.convert("-limit", "memory", "512MiB", "raiiaf:" + path, "null:", good=None)

    def test_an_i_of_turkish(self):
        if self.turkish:
            self.environment["LC_ALL"] = os.environ["LC_ALL"]
        self.convert(PHOTO, self.path("y.raiiaf"))
        self.assertEqual(read(PHOTO), read(self.path("y.raiiaf")))
        self.convert(PHOTO, "-resize", "50%", self.path("y.raiiaf"))
        self.assertEqual(settings(PHOTO), settings(self.path("y.raiiaf")))
        folder = self.path("policy")
        os.mkdir(folder)
        write(os.path.join(folder, "policy.xml"),
              b'<policymap><policy domain="coder" rights="none" pattern="RAIIAF"/></policymap>')
        self.environment["MAGICK_CONFIGURE_PATH"] = folder
        self.refused(PHOTO, self.path("z.png"))

    def test_a_part_is_taken_once(self):
        self.assertEqual("256x256", self.convert(PHOTO + "[50%]", "-format", "%wx%h", "info:").stdout.decode())
        self.assertEqual("100x80+10+20",
                         self.convert(PHOTO + "[100x80+10+20]", "-format", "%wx%h%X%Y", "info:").stdout.decode())

    def test_another_extension_of_the_family(self):
        path = os.path.join(GOLDEN, "g5_unicode.gen5")
        self.assertIn(" RAIIAF 64x64 ", self.identify(path))
        self.convert(path, self.path("y.raiiaf"))
        self.assertEqual(read(path), read(self.path("y.raiiaf")))
        self.convert(path, "-resize", "50%", self.path("y.raiiaf"))
        self.assertEqual("raiiaf-33", facts(self.path("y.raiiaf"))["layout"])
        self.refused(PHOTO, "gen5:" + self.path("y.gen5"))

    def test_the_wrong_module_is_refused(self):
        for other in HOSTS:
            if other.name == self.host.name or other.version != self.host.version:
                continue
            self.environment["MAGICK_CODER_MODULE_PATH"] = f"{other.folder}:{self.host.coders}"
            self.refused(PHOTO, self.path("y.png"))

    # ---- writing what was read ----

    def test_nothing_changed_gives_the_same_bytes(self):
        for path in files_with_image():
            with self.subTest(os.path.basename(path)):
                self.convert(path, self.path("y.raiiaf"))
                self.assertEqual(read(path), read(self.path("y.raiiaf")))

    def test_pipes(self):
        self.assertEqual(read(PHOTO), self.convert("raiiaf:-", "raiiaf:-", data=read(PHOTO)).stdout)
        half = self.convert("raiiaf:-", "-resize", "50%", "raiiaf:-", data=read(PHOTO)).stdout
        path = write(self.path("half.raiiaf"), half)
        self.check_written(path)
        self.assertEqual(latents_of(PHOTO), latents_of(path))

    def test_compressed_files(self):
        with gzip.open(self.path("x.raiiaf.gz"), "wb") as file:
            file.write(read(PHOTO))
        self.convert("raiiaf:" + self.path("x.raiiaf.gz"), "raiiaf:" + self.path("y.raiiaf.gz"))
        with gzip.open(self.path("y.raiiaf.gz")) as file:
            self.assertEqual(read(PHOTO), file.read())

    def test_mogrify(self):
        path = self.path("x.raiiaf")
        shutil.copyfile(PHOTO, path)
        os.chmod(path, 0o644)
        self.run_tool("mogrify", path)
        self.assertEqual(read(PHOTO), read(path))
        self.run_tool("mogrify", "-resize", "30%", path)
        self.assertEqual(["x.raiiaf"], os.listdir(self.folder))
        self.check_written(path)
        self.assertEqual((154, "a lighthouse at dusk, volumetric light"),
                         (facts(path)["image"]["width"], settings(path)["prompt"]))

    def test_resizing_keeps_all_but_the_picture(self):
        for source in files_with_image():
            path = self.path("y.raiiaf")
            with self.subTest(os.path.basename(source)):
                self.convert(source, "-resize", "50%!", "-negate", path)
                self.check_written(path)
                self.assertEqual("raiiaf-33", facts(path)["layout"])
                self.assertEqual(settings(source), settings(path))
                self.assertEqual(latents_of(source), latents_of(path))
                self.assertEqual(facts(source)["environment"], facts(path)["environment"])
                if latents_of(path):
                    self.assertTrue(is_stale(path))
                self.assertEqual("edited", actions(path)[-1])
                entry = metadata(path)["history"][-1]
                self.assertTrue(entry["tool"].startswith(f"ImageMagick {self.host.version}."))
                self.assertEqual((facts(source)["image"]["sha256"], facts(path)["image"]["sha256"]),
                                 (entry["image_before"], entry["image_after"]))

    def test_changed_attributes_are_written_and_leave_latents_fresh(self):
        for change in (["-alpha", "on"], ["-set", "colorspace", "RGB"], ["-repage", "600x600+1+2"], ["-depth", "16"],
                       ["-orient", "left-top"], ["-set", "gamma", "1"], ["-interlace", "PNG"], ["-density", "300"],
                       ["-quality", "90"], ["-define", "png:bit-depth=16"], ["-units", "PixelsPerInch"],
                       ["-background", "red"], ["-red-primary", "0.5,0.3"], ["-set", "comment", "hello"],
                       ["-set", "foo", "bar"], ["-define", "raiiaf:passthrough=false"]):
            with self.subTest(" ".join(change)):
                path = self.path("y.raiiaf")
                self.convert(PHOTO, *change, path)
                self.assertNotEqual(image_of(PHOTO), image_of(path))
                self.assertFalse(is_stale(path))
                self.assertEqual(["converted"], actions(path))
        for change in (["-density", "300"], ["-comment", "hello"]):
            with self.subTest(" ".join(change) + ", before reading"):
                self.convert(*change, PHOTO, path)
                self.assertNotEqual(image_of(PHOTO), image_of(path))
        self.assertEqual("hello", self.picture(path, "%c"))

    def test_changed_pixels_make_latents_stale(self):
        for change in (["-negate"], ["-fill", "red", "-draw", "point 511,511"], ["-type", "grayscale"], ["-flip"],
                       ["-set", "colorspace", "HSL"], ["-colors", "16"], ["-crop", "512x511+0+0"]):
            with self.subTest(" ".join(change)):
                self.convert(PHOTO, *change, self.path("y.raiiaf"))
                self.assertTrue(is_stale(self.path("y.raiiaf")))

    def test_changes_that_cancel_out_are_none(self):
        for change in (["-negate", "-negate"], ["-flip", "-flip"], ["-resize", "100%"], ["+repage"], ["-fill", "red"],
                       ["-set", "raiiaf:seed", "42"], ["-write", "null:"]):
            with self.subTest(" ".join(change)):
                self.convert(PHOTO, *change, self.path("y.raiiaf"))
                self.assertEqual(read(PHOTO), read(self.path("y.raiiaf")))

    def test_settings_are_set_by_their_type(self):
        path = self.path("y.raiiaf")
        self.convert(PHOTO, "-set", "raiiaf:seed", "77", "-set", "raiiaf:cfg_scale", "3.5", "-set", "raiiaf:prompt",
                     "ein Löwe, {a}", "-set", "raiiaf:mine", "hello", path)
        self.check_written(path)
        self.assertEqual((77, 3.5), (settings(path)["generation_settings"]["seed"],
                                     settings(path)["generation_settings"]["cfg_scale"]))
        self.assertEqual("ein Löwe, {a}", settings(path)["prompt"])
        self.assertEqual("hello", self.picture(path, "%[raiiaf:mine]"))
        self.assertEqual(image_of(PHOTO), image_of(path))
        self.assertFalse(is_stale(path))
        self.assertEqual(["metadata"], actions(path))

    def test_a_refused_setting_leaves_the_target_alone(self):
        path = write(self.path("y.raiiaf"), b"as it was")
        for name, value in (("seed", "many"), ("seed", "-1"), ("steps", "0"), ("cpu_cores", "2.5")):
            with self.subTest(f"{name}={value}"):
                told = self.refused(PHOTO, "-set", "raiiaf:" + name, value, path)
                self.assertIn(name, told)
                self.assertIn("must be", told)
                self.assertEqual(b"as it was", read(path))

    def test_strip_drops_the_capsule(self):
        path = self.path("y.raiiaf")
        for change in (["-strip"], ["+profile", "*"], ["-resize", "50%", "-strip"]):
            with self.subTest(" ".join(change)):
                self.convert(PHOTO, *change, path)
                self.check_written(path)
                self.assertEqual("", settings(path)["prompt"])
                self.assertEqual([], latents_of(path))
                self.assertNotIn(b"lighthouse", read(path))
        self.convert(PHOTO, "-strip", "-set", "raiiaf:prompt", "for everybody", path)
        self.assertEqual("for everybody", settings(path)["prompt"])
        self.assertNotIn(b"SDXL", read(path))

    def test_through_other_formats_and_back(self):
        for source in files_with_image():
            for form in ("png", "miff", "mpc"):
                with self.subTest(f"{os.path.basename(source)}, {form}"):
                    between, path = self.path("between." + form), self.path("y.raiiaf")
                    self.convert(source, between, warns=True)
                    self.convert(between, path, warns=True)
                    self.check_written(path)
                    self.assertEqual(settings(source), settings(path))
                    self.assertEqual(latents_of(source), latents_of(path))
                    self.assertEqual(facts(source)["environment"], facts(path)["environment"])
                    if latents_of(path):
                        self.assertFalse(is_stale(path))
                    self.assertEqual(self.picture(source, "%#"), self.picture(path, "%#"))

    def test_odd_texts_survive_other_formats(self):
        texts = ["C:\\models\\x.safetensors", "a {brace} and } another", "columns=3 rows=4", "ends in \\", "two\nlines",
                 "", "{}", "=", "%w"]
        for text in texts:
            for form in ("png", "miff", "mpc"):
                with self.subTest(f"{text!r}, {form}"):
                    source = self.make("x.raiiaf", png(16, 16), "--set", "model_name=" + text)
                    self.convert(source, self.path("between." + form))
                    self.convert(self.path("between." + form), self.path("y.raiiaf"))
                    self.assertEqual(settings(source), settings(self.path("y.raiiaf")))

    def test_edits_in_other_formats_are_wishes(self):
        for form in ("png", "miff"):
            with self.subTest(form):
                self.convert(PHOTO, self.path("between." + form))
                self.convert(self.path("between." + form), "-set", "raiiaf:prompt", "new", self.path("y.raiiaf"))
                self.assertEqual("new", settings(self.path("y.raiiaf"))["prompt"])
                self.assertEqual(latents_of(PHOTO), latents_of(self.path("y.raiiaf")))

    def test_a_large_capsule_through_png(self):
        latent = b"".join(hashlib.sha512(i.to_bytes(4, "big")).digest() for i in range(1 << 10)) * 320
        latent = bytes(byte & 0x3F if i % 4 == 3 else byte for i, byte in enumerate(latent[:4096])) * 5120
        header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 5, 1024, 1024), }".ljust(117) + "\n"
        write(self.path("z.npy"), b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header.encode() + latent)
        source = self.make("x.raiiaf", png(64, 48), "--latent", "z=" + self.path("z.npy"))
        source_size = sum(chunk["compressed_size"] for chunk in metadata(source)["chunks"])
        if source_size < 20 << 20:  # whatever it was packed to, it has to be more than ImageMagick reads by itself
            raiiaf("create", "-o", source, "--image", self.path("embedded"), "--no-environment", "--set",
                   "prompt=a lighthouse", *self.many_latents())
        self.assertGreater(os.path.getsize(source), 20 << 20)
        large, path = self.path("large.png"), self.path("y.raiiaf")
        self.convert(source, large)
        self.convert(large, path, warns=True)
        self.check_written(path)
        self.assertEqual(latents_of(source), latents_of(path))
        self.assertFalse(is_stale(path))
        self.convert("PNG:" + large + "[50%]", path, warns=True)
        self.assertEqual(latents_of(source), latents_of(path))
        self.assertTrue(is_stale(path))
        self.convert(large, "-strip", path, warns=True)
        self.assertEqual([], latents_of(path))

    def many_latents(self):
        """Twenty-one megabytes that nothing packs."""
        arguments = []
        for n in range(6):
            path = self.path(f"n{n}.npy")
            header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 960, 960), }".ljust(117) + "\n"
            noise = bytearray(os.urandom(960 * 960 * 4))
            noise[3::4] = bytes(byte & 0xBF for byte in noise[3::4])  # neither NaN nor infinity
            write(path, b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header.encode() + bytes(noise))
            arguments += ["--latent", f"n{n}={path}"]
        return arguments

    def test_text_of_the_image_is_not_lost(self):
        before = {(kind, data.split(b"\0")[0]) for kind, data in png_chunks(image_of(WITH_TEXT))
                  if kind in (b"tEXt", b"zTXt", b"iTXt")}
        self.assertGreater(len(before), 3)
        for way in ([], ["between.png"]):
            with self.subTest(" ".join(way) or "at once"):
                path = self.path("y.raiiaf")
                source = WITH_TEXT
                for step in way:
                    self.convert(source, self.path(step))
                    source = self.path(step)
                self.convert(source, "-resize", "50%", path)
                after = {(kind, data.split(b"\0")[0]) for kind, data in png_chunks(image_of(path))}
                kept = {carrier["keyword"].encode() for carrier in metadata(path).get("source", {}).get("carriers", [])
                        if "text" in carrier}
                for kind, keyword in before:
                    self.assertTrue(keyword in kept or keyword in {word for _, word in after}, keyword)

    def test_a_new_image_holds_nothing_of_ours(self):
        self.convert(PHOTO, "-resize", "50%", "-set", "comment", "mine", self.path("y.raiiaf"))
        image = image_of(self.path("y.raiiaf"))
        self.assertNotIn(b"raiiaf", image)
        self.assertNotIn(b"date:", image)
        self.assertIn(b"mine", image)

    def test_the_same_input_gives_the_same_bytes(self):
        for name in ("1.raiiaf", "2.raiiaf"):
            self.convert(PHOTO, "-resize", "50%", self.path(name))
        self.assertEqual(read(self.path("1.raiiaf")), read(self.path("2.raiiaf")))

    def test_options_for_png_are_heeded(self):
        path = self.path("y.raiiaf")
        self.convert(PHOTO, "-resize", "50%", "-define", "png:bit-depth=16", path)
        self.assertEqual(16, facts(path)["image"]["depth"])
        self.convert(PHOTO, "-resize", "50%", "-define", "png:format=png8", path)
        self.assertIn(b"PLTE", [kind for kind, _ in png_chunks(image_of(path))])
        sizes = []
        for quality in ("95", "15", "00"):
            self.convert(PHOTO, "-resize", "50%", "-quality", quality, path)
            sizes.append(len(image_of(path)))
        self.assertEqual(len(set(sizes)), len(sizes), sizes)

    def test_a_capsule_of_another_image_is_joined_by_what_it_is(self):
        # Two files with the same image and different prompts, read and written by one command.
        one = self.make("1.raiiaf", png(32, 32), "--set", "prompt=one")
        two = self.make("2.raiiaf", png(32, 32), "--set", "prompt=two")
        self.convert(one, two, "-write", self.path("a%d.raiiaf"), "+delete", self.path("b.raiiaf"))
        self.assertEqual((read(one), read(two)), (read(self.path("a0.raiiaf")), read(self.path("a1.raiiaf"))))

    # ---- writing what comes from elsewhere ----

    def test_other_images_get_what_is_known(self):
        path = self.path("y.raiiaf")
        self.convert("-size", "64x48", "gradient:red-blue", self.path("x.jpg"))
        os.utime(self.path("x.jpg"), (1700000000, 1700000000))
        self.convert(self.path("x.jpg"), path)
        self.check_written(path)
        self.assertEqual({"model_name": "", "version": "", "date": "2023-11-14T22:13:20+00:00", "prompt": "", "tags": []},
                         settings(path))
        self.assertEqual((64, 48, "JPEG"), tuple(facts(path)["image"][key] for key in ("width", "height", "format")))
        self.assertEqual((None, []), (facts(path)["environment"], actions(path)))
        self.convert("xc:red", "-set", "raiiaf:prompt", "red", "-set", "raiiaf:seed", "5", path)
        self.assertEqual("red", settings(path)["prompt"])
        self.assertEqual("5", self.picture(path, "%[raiiaf:seed]"))
        self.refused("xc:red", "-set", "raiiaf:seed", "x", self.path("z.raiiaf"))
        self.assertFalse(os.path.exists(self.path("z.raiiaf")))

    def carriers_in(self, path):
        """The digests of all carriers that a file still has: in its image, or as text in its manifest."""
        image = write(self.path("carrying"), image_of(path))
        found = {carrier["sha256"] for carrier in json.loads(raiiaf("scan", "--json", image))["carriers"]}
        for carrier in metadata(path).get("source", {}).get("carriers", []):
            if "text" in carrier:
                text = carrier["text"]
                data = base64.b64decode(text) if carrier["encoding"] == "base64" else text.encode(carrier["encoding"])
                found.add(hashlib.sha256(data).hexdigest())
        return found

    def test_dialects_are_recognised(self):
        for name in LEGACY:
            source = self.path(os.path.basename(name))
            folder = os.path.dirname(os.path.join(DATA, "legacy", name))
            for beside in os.listdir(folder):
                if beside == os.path.basename(name) or beside.endswith((".txt", ".json")):
                    shutil.copyfile(os.path.join(folder, beside), self.path(beside))
            raiiaf("convert", "--overwrite", "-o", self.path("converted"), source)
            (converted,) = glob.glob(self.path("converted/*"))
            expected = metadata(converted)
            carriers = json.loads(raiiaf("scan", "--json", source))["carriers"]
            for tool, edit in (("convert", []), ("convert", ["-negate"]),
                               ("mogrify", ["-format", "raiiaf"]))[:2 if name != LEGACY[0] else 3]:
                with self.subTest(f"{name}: {tool} {' '.join(edit)}"):
                    path = self.path("y.raiiaf") if tool == "convert" else os.path.splitext(source)[0] + ".raiiaf"
                    arguments = [source, *edit, path] if tool == "convert" else [*edit, source]
                    self.run_tool(tool, *arguments, warns=True)
                    self.assertEqual(expected["model_info"], metadata(path)["model_info"])
                    for key in ("dialect", "tool", "file_name", "sha256", "settings"):
                        self.assertEqual(expected["source"].get(key), metadata(path)["source"].get(key))
                    if edit in ([], ["-format", "raiiaf"]):
                        self.assertEqual(read(source), image_of(path))
                    else:
                        self.assertEqual("PNG", facts(path)["image"]["format"])
                    self.assertLessEqual({carrier["sha256"] for carrier in carriers}, self.carriers_in(path))
                    self.assertEqual((None, []), (facts(path)["environment"], actions(path)))
            shutil.rmtree(self.path("converted"))
            for left in glob.glob(glob.escape(os.path.splitext(source)[0]) + "*"):
                os.unlink(left)

    def test_nothing_is_taken_from_a_source_that_is_not_the_image_s(self):
        self.environment.pop("SOURCE_DATE_EPOCH")  # with which version 6 doesn't tell when a file was changed
        path = self.path("y.raiiaf")

        def copy(sample, name):
            shutil.copyfile(os.path.join(DATA, "legacy", "a1111", sample), self.path(name))
            os.utime(self.path(name), (1700000000, 1700000000))
            return self.path(name), {carrier["sha256"] for carrier in
                                     json.loads(raiiaf("scan", "--json", self.path(name)))["carriers"]}

        source, carriers = copy("syn-multiline.png", "x.png")
        self.convert(source, path)
        self.assertEqual("a1111", metadata(path)["source"]["dialect"])
        for change in (["-strip"], ["-resize", "50%", "-strip"], ["+set", "parameters"], ["-negate", "+set", "parameters"]):
            with self.subTest(" ".join(change)):
                self.convert(source, *change, path)
                self.check_written(path)
                self.assertNotIn("dialect", metadata(path).get("source", {}))
                self.assertFalse(carriers & self.carriers_in(path))
        self.convert(source, "-strip", path)
        self.assertNotIn("source", metadata(path))
        source, carriers = copy("syn-uc-be.jpg", "x.jpg")
        for change in (["+profile", "exif"], ["+profile", "*"]):
            with self.subTest(" ".join(change)):
                self.convert(source, *change, path)
                self.assertFalse(carriers & self.carriers_in(path))
        source, carriers = copy("syn-dup-parameters.png", "x.png")  # of which ImageMagick reads one
        self.convert(source, "-negate", path)
        self.assertLessEqual(carriers, self.carriers_in(path))
        self.convert(source, "-negate", "-write", source, path)
        self.assertFalse(carriers <= self.carriers_in(path))
        source, carriers = copy("syn-dup-parameters.png", "x.png")
        self.convert("png:-", path, data=read(source))
        self.assertFalse(carriers <= self.carriers_in(path))

    def test_what_was_exported_comes_back(self):
        exported, path = self.path("x.png"), self.path("y.raiiaf")
        raiiaf("export", "--png", exported, PHOTO)
        self.convert(exported, path)
        self.assertEqual(read(PHOTO), read(path))
        self.convert(exported, "-resize", "50%", path)
        self.check_written(path)
        self.assertEqual((settings(PHOTO), latents_of(PHOTO)), (settings(path), latents_of(path)))
        self.assertTrue(is_stale(path))
        self.assertEqual(["edited"], actions(path))
        self.convert(exported, "-strip", path)
        self.assertEqual([], latents_of(path))

    def test_cmyk_becomes_rgb(self):
        self.convert("-size", "64x48", "gradient:red-blue", "-colorspace", "CMYK", self.path("x.jpg"))
        self.convert(self.path("x.jpg"), "-flip", self.path("y.raiiaf"))
        self.convert(self.path("x.jpg"), "-flip", self.path("y.png"))
        self.assertEqual(self.picture(self.path("y.png"), "%[colorspace]|%#"),
                         self.picture(self.path("y.raiiaf"), "%[colorspace]|%#"))

    def test_an_embedded_cmyk_image_keeps_its_bytes(self):
        self.convert("-size", "64x48", "gradient:red-blue", "-colorspace", "CMYK", self.path("x.jpg"))
        source = self.make("x.raiiaf", read(self.path("x.jpg")))
        self.assertEqual(self.picture(self.path("x.jpg")), self.picture(source))
        self.assertIn("CMYK", self.identify(source))
        if self.host.version == 7:
            self.convert(source, self.path("y.raiiaf"))
            self.assertEqual(read(source), read(self.path("y.raiiaf")))
        self.convert(source, "-negate", self.path("y.raiiaf"))
        self.assertEqual("PNG", facts(self.path("y.raiiaf"))["image"]["format"])

    def test_frames(self):
        self.convert(PHOTO, "(", "+clone", "-flip", ")", self.path("out.raiiaf"))
        self.assertEqual(["out-0.raiiaf", "out-1.raiiaf"], sorted(os.listdir(self.folder)))
        self.assertEqual(read(PHOTO), read(self.path("out-0.raiiaf")))
        self.assertTrue(is_stale(self.path("out-1.raiiaf")))
        self.convert(PHOTO, PHOTO, self.path("f%03d.raiiaf"))
        self.assertEqual((read(PHOTO), read(PHOTO)), (read(self.path("f000.raiiaf")), read(self.path("f001.raiiaf"))))

    def test_the_first_image_counts_when_several_become_one(self):
        self.convert(PHOTO, WITH_TEXT, "-append", self.path("y.raiiaf"))
        self.assertEqual(latents_of(PHOTO), latents_of(self.path("y.raiiaf")))
        self.assertTrue(is_stale(self.path("y.raiiaf")))

    # ---- defines ----

    def test_latents_can_be_dropped(self):
        path = self.path("y.raiiaf")
        self.convert(PHOTO, "-define", "raiiaf:latents=drop", path)
        self.check_written(path)
        self.assertEqual(([], image_of(PHOTO)), (latents_of(path), image_of(path)))
        self.convert("-define", "raiiaf:latents=drop", PHOTO, self.path("between.png"))
        self.convert(self.path("between.png"), path)
        self.assertEqual(([], settings(PHOTO)), (latents_of(path), settings(path)))
        self.convert("-define", "raiiaf:latents=keep", PHOTO, path)
        self.assertEqual(read(PHOTO), read(path))

    def test_carry_decides_what_travels(self):
        between, path = self.path("between.png"), self.path("y.raiiaf")
        for carry, prompt, latents in (("all", True, True), ("manifest", True, False), ("none", False, False)):
            with self.subTest(carry):
                self.convert("-define", "raiiaf:carry=" + carry, PHOTO, between)
                self.convert(between, path)
                self.assertEqual(settings(PHOTO)["prompt"] if prompt else "", settings(path)["prompt"])
                self.assertEqual(latents_of(PHOTO) if latents else [], latents_of(path))
                if not prompt:
                    self.assertNotIn(b"raiiaf", read(between))
                self.convert("-define", "raiiaf:carry=" + carry, PHOTO, path)
                self.assertEqual(read(PHOTO), read(path))
                self.convert("-define", "raiiaf:carry=" + carry, PHOTO, "-resize", "50%", path)
                self.assertEqual((settings(PHOTO), latents_of(PHOTO)), (settings(path), latents_of(path)))
                self.convert("-define", "raiiaf:carry=" + carry, PHOTO, "-strip", path)
                self.assertEqual(("", []), (settings(path)["prompt"], latents_of(path)))

    def test_profile_skip(self):
        self.convert("-define", "profile:skip=raiiaf", PHOTO, self.path("y.miff"))
        self.assertNotIn("raiiaf", self.picture(self.path("y.miff"), "%[profiles]"))

    def test_drift_is_told(self):
        path = os.path.join(GOLDEN, "img_512_photo.raiiaf")
        self.convert(path, "null:")
        told = self.convert("-define", "raiiaf:drift=warn", path, "null:", warns=True).stderr.decode()
        self.assertIn("Environment component 'os' differs:", told)
        self.assertIn("File: ", told)
        self.assertIn("Current: name=os;version=" + os.uname().sysname, told)

    def test_senseless_defines_are_refused(self):
        for define in ("raiiaf:carry=nothing", "raiiaf:cary=none", "raiiaf:latents=yes", "raiiaf:prompt=x"):
            with self.subTest(define):
                told = self.refused("-define", define, PHOTO, self.path("y.png"))
                self.assertIn(define, told)
                self.assertIn("raiiaf:carry=none", told)
                self.assertFalse(os.path.exists(self.path("y.png")))
                self.refused("xc:red", "-define", define, self.path("y.raiiaf"))
                self.assertFalse(os.path.exists(self.path("y.raiiaf")))

    # ---- as ImageMagick wants it ----

    def policy(self, *lines):
        folder = self.path("configure")
        os.makedirs(folder, exist_ok=True)
        write(os.path.join(folder, "policy.xml"),
              ("<policymap>" + "".join(f"<policy {line}/>" for line in lines) + "</policymap>").encode())
        self.environment["MAGICK_CONFIGURE_PATH"] = folder

    def test_policies(self):
        target = self.path("y.raiiaf")
        for lines, arguments in (
                (['domain="coder" rights="none" pattern="RAIIAF"'], [PHOTO, self.path("y.png")]),
                (['domain="coder" rights="none" pattern="PNG"'], [PHOTO, self.path("y.miff")]),
                (['domain="coder" rights="read" pattern="RAIIAF"'], ["xc:red", target]),
                (['domain="coder" rights="read" pattern="PNG"'], ["xc:red", target]),
                ([f'domain="path" rights="none" pattern="{target}"'], ["xc:red", target]),
                ([f'domain="path" rights="none" pattern="{PHOTO}"'], [PHOTO, self.path("y.png")])):
            with self.subTest(lines[0]):
                self.policy(*lines)
                told = self.refused(*arguments)
                self.assertRegex(told, "not (authorized|allowed)|NotAuthorized|security policy")
                self.assertFalse(os.path.exists(arguments[-1]))

    def test_resource_limits(self):
        for limit in (["width", "100"], ["height", "100"], ["area", "1KP", "-limit", "memory", "0", "-limit", "map", "0",
                                                           "-limit", "disk", "0"]):
            with self.subTest(" ".join(limit)):
                self.refused("-limit", *limit, PHOTO, self.path("y.png"))
                self.assertFalse(os.path.exists(self.path("y.png")))

    def test_a_montage_is_written(self):
        for _ in range(2):  # the second time over the first
            self.run_tool("montage", PHOTO, WITH_TEXT, "-geometry", "32x32+2+2", self.path("y.raiiaf"))
            self.assertEqual("72x36", self.picture(self.path("y.raiiaf"), "%wx%h"))

    def test_a_lack_of_resources_writes_no_other_picture(self):
        small = self.make("x.raiiaf", png(8, 8))
        self.convert(small, "-resize", "600x600!", self.path("large.raiiaf"))
        right = [self.picture(path, "%#") for path in (small, self.path("large.raiiaf"))]  # ImageMagick may go on so
        path = self.path("y.raiiaf")
        failed = []
        for limit in range(4, 41, 3):
            write(path, read(PHOTO))
            done = self.convert("-limit", "memory", "64KiB", "-limit", "map", "64KiB", "-limit", "disk", f"{limit}MiB",
                                small, "-resize", "600x600!", path, good=None)
            failed.append(done.returncode != 0)
            with self.subTest(limit=limit, failed=failed[-1]):
                self.assertTrue(read(path) == read(PHOTO) and failed[-1] or self.picture(path, "%#") in right)
        self.assertEqual({False, True}, set(failed))

    def test_the_progress_monitor_is_called(self):
        told = self.convert("-monitor", PHOTO, "-resize", "50%", self.path("y.raiiaf"), warns=True).stderr.decode()
        self.assertRegex(told.lower(), "load.image")
        self.assertRegex(told.lower(), "save.image")

    def test_a_full_disk_leaves_the_old_file(self):
        def small_files():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (100 << 10, 100 << 10))

        path = write(self.path("y.raiiaf"), b"as it was")
        self.refused(PHOTO, "-resize", "150%", path, before=small_files)
        self.refused(PHOTO, path, before=small_files)
        self.assertEqual(b"as it was", read(path))
        self.assertEqual(["y.raiiaf"], os.listdir(self.folder))
        self.refused(PHOTO, "raiiaf:/dev/full")
        self.refused(PHOTO, self.path("nowhere/y.raiiaf"))

    def test_permissions_and_links_stay(self):
        path, link = write(self.path("y.raiiaf"), b"old"), self.path("link.raiiaf")
        os.chmod(path, 0o640)
        os.symlink("y.raiiaf", link)
        self.convert(PHOTO, link)
        self.assertTrue(os.path.islink(link))
        self.assertEqual((read(PHOTO), 0o640), (read(path), os.stat(path).st_mode & 0o777))

    def test_it_is_listed(self):
        folder = self.path("coders")
        shutil.copytree(self.host.coders, folder)
        shutil.copy(os.path.join(self.host.folder, ".libs", "raiiaf.so"), folder)
        write(os.path.join(folder, "raiiaf.la"), b"dlname='raiiaf.so'\n")
        write(os.path.join(folder, "gen5.la"), b"dlname='raiiaf.so'\n")
        self.environment["MAGICK_CODER_MODULE_PATH"] = folder
        listed = self.convert("-list", "format", warns=True).stdout.decode()
        self.assertRegex(listed, r"(?m)^ *RAIIAF\*? .*rw- +Rich AI Image Artifact Format$")
        self.assertRegex(listed, r"(?m)^ *GEN5\*? .*r--")


for each_host in HOSTS:
    each_name = "Test" + each_host.name.replace("-", "_").title()
    globals()[each_name] = type(each_name, (Coder, unittest.TestCase), {"host": each_host})
    if each_host.missing():
        globals()[each_name] = unittest.skip(each_host.missing())(globals()[each_name])

if __name__ == "__main__":
    if not HOSTS:
        print("the coder was built for no ImageMagick: nothing to test")
        sys.exit(77)
    for each_host in HOSTS:
        if each_host.missing():
            print("skipped:", each_host.missing())
    unittest.main()
