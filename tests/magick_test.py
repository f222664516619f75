#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Drives every ImageMagick that a coder was built for, as its users do.

RAIIAF_HOSTS names them ("magick7-q16"), and MAGICK7_Q16 and MAGICK7_Q16_CODERS the program and its own coders; RAIIAF is
the command, RAIIAF_DATA the folder that holds golden/.  Needs Python's own library alone.
"""
import glob
import hashlib
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest
import zlib

GOLDEN = os.path.join(os.environ["RAIIAF_DATA"], "golden")
RAIIAF = os.environ["RAIIAF"]


def stories():
    """(path, story) of every golden file with an image."""
    for path in sorted(glob.glob(os.path.join(GOLDEN, "*.json"))):
        with open(path, encoding="utf-8") as file:
            story = json.load(file)
        if os.path.basename(path) != "INDEX.json" and story.get("image"):
            yield os.path.join(GOLDEN, story["file"]), story


def read(path):
    with open(path, "rb") as file:
        return file.read()


def write(path, data):
    with open(path, "wb") as file:
        file.write(data)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width=24, height=16, extra=(), after=(), depth=8):
    """An RGB gradient with further chunks before and after its pixels."""
    step = depth // 8
    rows = b"".join(b"\0" + bytes((x * 7 + y * 3 + c * 40 + k * 11) % 256 for x in range(width) for c in range(3)
                                  for k in range(step)) for y in range(height))
    head = struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, 0)
    return b"".join([b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", head), *extra, chunk(b"IDAT", zlib.compress(rows)), *after,
                     chunk(b"IEND", b"")])


def icc():
    """The least profile that libpng takes for one: a display profile without tags."""
    head = bytearray(132)
    head[0:4] = struct.pack(">I", 132)
    head[8:12] = b"\2\x40\0\0"
    head[12:24] = b"mntrRGB XYZ "
    head[36:40] = b"acsp"
    head[68:80] = bytes.fromhex("0000f6d6000100000000d32d")
    return chunk(b"iCCP", b"test\0\0" + zlib.compress(bytes(head)))


def command(*arguments):
    return subprocess.run([RAIIAF, *arguments], check=True, stdout=subprocess.PIPE).stdout


def info(path):
    story = json.loads(command("info", "--json", path))
    (story["metadata"],) = story["manifest"].values()
    return story


def digests(path):
    return [latent["sha256"] for latent in info(path)["latents"]]


def is_stale(path):
    return [record["extra"].get("stale", False) for record in info(path)["metadata"]["chunks"]
            if record["type"] == "LATN"]


class Host:
    def __init__(self, name):
        variable = name.upper().replace("-", "_")
        program = os.environ[variable]
        self.name = name
        self.seven = name.startswith("magick7")
        self.hdri = name.endswith("hdri")
        self.tools = {tool: [program] if tool == "convert" else
                      [program, tool] if self.seven else [program.replace("convert", tool)]
                      for tool in ("convert", "identify", "mogrify", "compare")}
        self.coders = os.environ[variable + "_CODERS"]
        self.modules = os.path.join(os.environ["TOP_BUILDDIR"], "magick-coder", name)
        self.environment = {**os.environ, "MAGICK_CODER_MODULE_PATH": f"{self.modules}:{self.coders}"}


class Case(unittest.TestCase):
    host = None

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="raiiaf-magick.")
        self.addCleanup(shutil.rmtree, self.folder)

    def at(self, name):
        return os.path.join(self.folder, name)

    def run_tool(self, tool, *arguments, **options):
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": self.host.environment,
                   "cwd": self.folder, "timeout": 300, **options}
        return subprocess.run([*self.host.tools[tool], *arguments], check=False, **options)

    def magick(self, *arguments, tool="convert", **options):
        done = self.run_tool(tool, *arguments, **options)
        self.assertEqual(done.returncode, 0, (arguments, done.stderr))
        return done.stdout

    def refused(self, *arguments, tool="convert", says, **options):
        done = self.run_tool(tool, *arguments, **options)
        self.assertNotEqual(done.returncode, 0, arguments)
        self.assertIn(says, done.stderr.decode("utf-8", "replace"))

    def pixels(self, path, *arguments):
        return self.magick(path, *arguments, "-depth", "16", "rgba:-")

    def make(self, name, image, *arguments):
        """A file of ours around these image bytes."""
        write(self.at("embedded"), image)
        command("create", "-o", self.at(name), "--image", self.at("embedded"), "--no-environment", *arguments)
        return self.at(name)

    def sample(self, name="img_rgba_text.raiiaf"):
        shutil.copyfile(os.path.join(GOLDEN, name), self.at(name))
        return self.at(name)

    def assertWhole(self, path, former, stale=False):
        """All that beside the picture was in the file `former` is in `path`."""
        now, then = info(path), info(former)
        self.assertEqual([(l["key"], l["sha256"]) for l in now["latents"]],
                         [(l["key"], l["sha256"]) for l in then["latents"]])
        self.assertEqual(now["metadata"]["model_info"], then["metadata"]["model_info"])
        self.assertEqual(now["environment"], then["environment"])
        self.assertEqual(set(is_stale(path)), {stale})
        command("verify", path)


class Reading(Case):
    FACTS = "%m %w %h %z %[colorspace] %[type] %A %[orientation] %g %x %y %U %[gamma] %r"

    def facts(self, path, *arguments):
        line = self.magick(*arguments, "-format", self.FACTS.replace("%m ", ""), path, tool="identify").decode()
        return line

    def test_pixels_and_facts_are_the_embedded_image_s(self):
        for path, story in stories():
            with self.subTest(story["file"]):
                command("extract", path, "--image", self.at("image"))
                self.assertEqual(self.pixels(path), self.pixels(self.at("image")))
                self.assertEqual(self.facts(path), self.facts(self.at("image")))

    def test_what_a_png_can_say_beside_its_pixels(self):
        extras = {"icc": [icc()], "gamma": [chunk(b"gAMA", struct.pack(">I", 55555))],
                  "size": [chunk(b"pHYs", struct.pack(">IIB", 3780, 3780, 1))],
                  "page": [chunk(b"oFFs", struct.pack(">iiB", 5, 7, 0))], "text": [chunk(b"tEXt", b"Comment\0hello")]}
        for name, chunks in extras.items():
            for depth in (8, 16):
                with self.subTest(name, depth=depth):
                    image = png(extra=chunks, depth=depth)
                    path = self.make("x.raiiaf", image)
                    write(self.at("x.png"), image)
                    self.assertEqual(self.facts(path), self.facts(self.at("x.png")))
                    self.assertEqual(self.pixels(path), self.pixels(self.at("x.png")))
                    for query in ("%[comment]", "%[profile:icc]"):
                        self.assertEqual(self.magick("-format", query, path, tool="identify"),
                                         self.magick("-format", query, self.at("x.png"), tool="identify"))
                    self.magick(path, self.at("y.raiiaf"))
                    self.assertEqual(read(self.at("y.raiiaf")), read(path))

    def test_orientation(self):
        tiff = b"MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"
        path = self.make("x.raiiaf", png(extra=[chunk(b"eXIf", tiff)]))
        command("extract", path, "--image", self.at("image.png"))
        for query in ("%[orientation]", "%[exif:orientation]"):
            self.assertEqual(self.magick("-format", query, path, tool="identify"),
                             self.magick("-format", query, self.at("image.png"), tool="identify"))

    def test_identify_decodes_no_pixel(self):
        """Pixels that nobody could decode, behind a head that is good."""
        image = png(64, 48)
        start = image.index(b"IDAT") + 8
        broken = image[:start] + b"\xff" * 20 + image[start + 20:]
        path = self.make("x.raiiaf", broken, "--set", "seed=7", "--set", "steps=2", "--set", "sampler=euler")
        self.assertIn(b" RAIIAF 64x48 ", self.magick(path, tool="identify"))
        self.assertEqual(self.magick("-ping", "-format", "%[raiiaf:seed]", path, tool="identify"), b"7")
        self.magick("-ping", path, "null:")
        self.refused(path, self.at("y.png"), says="")

    def test_properties(self):
        path = self.sample()
        query = "%[raiiaf:prompt]|%[raiiaf:seed]|%[raiiaf:cfg_scale]|%[raiiaf:deterministic]|%[raiiaf:os]"
        wanted = b"a lighthouse at dusk, volumetric light|42|7.5|true|linux"
        self.assertEqual(self.magick("-format", query, path, tool="identify"), wanted)
        self.assertEqual(self.magick(path, "-format", query, "info:"), wanted)
        command("extract", path, "--image", self.at("image.png"))
        self.assertEqual(self.magick(path, "-format", "%[parameters]", "info:"),
                         self.magick(self.at("image.png"), "-format", "%[parameters]", "info:"))

    def test_no_image(self):
        self.refused(self.sample("r29_no_image.raiiaf"), self.at("y.png"), says="raiiaf extract")
        self.assertFalse(os.path.exists(self.at("y.png")))

    def test_damage_is_told(self):
        path = self.sample()
        data = bytearray(read(path))
        data[len(data) // 2] ^= 1
        write(path, bytes(data))
        self.refused(path, self.at("y.png"), says="SHA-256")
        self.assertFalse(os.path.exists(self.at("y.png")))

    def test_region_and_scale_are_applied_once(self):
        path = self.make("x.raiiaf", png(64, 48))
        self.assertEqual(self.magick(path + "[50%]", "-format", "%w %h", "info:"), b"32 24")
        self.assertEqual(self.magick(path + "[10x8+3+4]", "-format", "%w %h", "info:"), b"10 8")

    def test_pipe_prefix_and_case(self):
        path = self.sample()
        data = read(path)
        self.assertEqual(self.magick("raiiaf:-", "raiiaf:-", input=data), data)
        shutil.copyfile(path, self.at("X.RAIIAF"))
        self.assertEqual(self.pixels(self.at("X.RAIIAF")), self.pixels(path))
        shutil.copyfile(os.path.join(GOLDEN, "g5_f32_raw.gen5"), self.at("x.gen5"))
        self.assertEqual(self.pixels(self.at("x.gen5")), self.pixels(f"raiiaf:{self.at('x.gen5')}"))

    def test_progress_is_told(self):
        done = self.run_tool("convert", "-monitor", self.sample(), self.at("y.raiiaf"))
        self.assertEqual(done.returncode, 0)
        self.assertIn(b"100%", done.stderr)


class Resaving(Case):
    def test_unchanged_is_the_very_file(self):
        for path, story in stories():
            with self.subTest(story["file"]):
                self.magick(path, self.at("y.raiiaf"))
                self.assertEqual(read(self.at("y.raiiaf")), read(path))

    def test_changed_pixels(self):
        path = self.sample("trajectory.raiiaf")
        self.magick(path, "-resize", "50%", self.at("y.raiiaf"))
        self.assertWhole(self.at("y.raiiaf"), path, stale=True)
        now = info(self.at("y.raiiaf"))
        (entry,) = now["metadata"]["history"]
        self.assertEqual(entry["action"], "edited")
        self.assertTrue(entry["tool"].startswith("ImageMagick "))
        self.assertEqual(entry["image_before"], info(path)["image"]["sha256"])
        self.assertEqual(entry["image_after"], now["image"]["sha256"])
        self.assertEqual(now["image"]["width"], info(path)["image"]["width"] // 2)

    def test_what_taint_does_not_tell(self):
        changes = [["-alpha", "off"], ["-repage", "100x100+1+2"], ["-orient", "LeftTop"],
                   ["-units", "PixelsPerInch", "-density", "300"], ["-set", "comment", "new"], ["-gamma", "2"]]
        path = self.sample()
        for change in changes:
            with self.subTest(change):
                self.magick(path, *change, self.at("y.raiiaf"))
                self.assertNotEqual(info(self.at("y.raiiaf"))["image"]["sha256"], info(path)["image"]["sha256"])
                self.assertEqual(digests(self.at("y.raiiaf")), digests(path))

    def test_quality_and_passthrough_write_anew(self):
        path = self.sample()
        for wish in (["-quality", "95"], ["-define", "png:color-type=6"], ["-define", "raiiaf:passthrough=false"]):
            with self.subTest(wish):
                self.magick(path, *wish, self.at("y.raiiaf"))
                self.assertNotEqual(info(self.at("y.raiiaf"))["image"]["sha256"], info(path)["image"]["sha256"])
                self.assertEqual(self.pixels(self.at("y.raiiaf")), self.pixels(path))
                self.assertWhole(self.at("y.raiiaf"), path)

    def test_text_of_the_image_survives_its_replacement(self):
        path = self.sample()
        command("extract", path, "--image", self.at("image.png"))
        text = "parameters"
        wanted = self.magick(self.at("image.png"), "-format", f"%[{text}]", "info:")
        self.assertTrue(wanted)
        self.magick(path, "-negate", self.at("y.raiiaf"))
        self.assertEqual(self.magick(self.at("y.raiiaf"), "-format", f"%[{text}]", "info:"), wanted)

    def test_set(self):
        path = self.sample()
        self.magick(path, "-set", "raiiaf:prompt", "new words", "-set", "raiiaf:seed", "18446744073709551615",
                    self.at("y.raiiaf"))
        now = info(self.at("y.raiiaf"))
        self.assertEqual(now["metadata"]["model_info"]["prompt"], "new words")
        self.assertEqual(now["metadata"]["model_info"]["generation_settings"]["seed"], 18446744073709551615)
        self.assertEqual(now["metadata"]["history"][0]["action"], "metadata")
        self.assertEqual(now["image"], info(path)["image"])
        self.assertEqual(set(is_stale(self.at("y.raiiaf"))), {False})

    def test_set_is_checked(self):
        path = self.sample()
        before = read(path)
        for value in ("0", "many", "1.5"):
            self.refused(path, "-set", "raiiaf:steps", value, path, says="steps")
            self.assertEqual(read(path), before)

    def test_strip(self):
        path = self.sample()
        self.magick(path, "-strip", self.at("y.raiiaf"))
        now = info(self.at("y.raiiaf"))
        self.assertEqual((now["latents"], now["environment"]), ([], None))
        self.assertEqual(now["metadata"]["model_info"]["prompt"], "")
        self.assertNotIn(b"lighthouse", command("extract", self.at("y.raiiaf"), "--manifest", "-"))
        self.assertNotIn(b"lighthouse", command("extract", self.at("y.raiiaf"), "--image", "-"))

    def test_detours_lose_nothing(self):
        for name in ("trajectory.raiiaf", "img_rgba_text.raiiaf", "img_gray16.raiiaf", "img_palette4.raiiaf",
                     "prompt_unicode.raiiaf", "img_rgba16_interlaced.raiiaf", "g5_f32_zstd.gen5"):
            path = self.sample(name)
            for way in ("png", "miff", "mpc"):
                with self.subTest(name, way=way):
                    self.magick(path, self.at("way." + way))
                    self.magick(self.at("way." + way), self.at("y.raiiaf"))
                    self.assertWhole(self.at("y.raiiaf"), path)
                    self.assertEqual(self.pixels(self.at("y.raiiaf")), self.pixels(path))

    def test_edit_on_a_detour_makes_stale(self):
        path = self.sample("trajectory.raiiaf")
        self.magick(path, self.at("way.png"))
        self.magick(self.at("way.png"), "-flip", self.at("y.raiiaf"))
        self.assertWhole(self.at("y.raiiaf"), path, stale=True)

    def test_large_capsule_through_png(self):
        values = b"".join(hashlib.sha512(str(i).encode()).digest() for i in range(6_400_000 // 16))
        # exponents of ordinary size: no NaN, no infinity
        data = bytearray(values)
        data[3::4] = bytes(0x3f if b & 1 else 0xbf for b in data[3::4])
        elements = len(data) // 4 // 4096 * 4096
        head = repr({"descr": "<f4", "fortran_order": False, "shape": (1, elements // 4096, 64, 64)})
        head += " " * (-(len(head) + 11) % 64) + "\n"
        write(self.at("a.npy"), b"\x93NUMPY\1\0" + struct.pack("<H", len(head)) + head.encode() + data[:elements * 4])
        path = self.make("x.raiiaf", png(), "--latent", "noise=" + self.at("a.npy"))
        self.assertGreater(os.path.getsize(path), 20_000_000)
        self.magick(path, self.at("way.png"))
        self.magick(self.at("way.png"), self.at("y.raiiaf"))
        self.assertWhole(self.at("y.raiiaf"), path)

    def test_defines(self):
        path = self.sample("trajectory.raiiaf")
        self.magick(path, "-define", "raiiaf:latents=drop", self.at("y.raiiaf"))
        self.assertEqual(info(self.at("y.raiiaf"))["latents"], [])
        self.assertEqual(info(self.at("y.raiiaf"))["image"], info(path)["image"])
        sizes = {}
        for carry in ("all", "manifest", "none"):
            self.magick("-define", "raiiaf:carry=" + carry, path, self.at(carry + ".png"))
            sizes[carry] = os.path.getsize(self.at(carry + ".png"))
            self.magick("-define", "raiiaf:carry=" + carry, path, self.at("same.raiiaf"))
            self.assertWhole(self.at("same.raiiaf"), path)
        self.assertGreater(sizes["all"], sizes["manifest"])
        self.assertGreater(sizes["manifest"], sizes["none"])
        self.assertNotIn(b"lighthouse", self.magick(self.at("none.png"), "-verbose", "info:"))
        self.refused("-define", "raiiaf:carry=nothing", path, self.at("y.png"), says="raiiaf:carry")

    def test_drift(self):
        path = self.sample("trajectory.raiiaf")
        done = self.run_tool("convert", "-define", "raiiaf:drift=warn", path, self.at("y.png"))
        self.assertIn(b"Environment component", done.stderr)
        self.assertTrue(os.path.exists(self.at("y.png")))


class Writing(Case):
    def test_from_anything_else(self):
        write(self.at("a.png"), png())
        self.magick(self.at("a.png"), self.at("y.raiiaf"))
        now = info(self.at("y.raiiaf"))
        self.assertEqual((now["latents"], now["environment"]), ([], None))
        self.assertEqual(now["metadata"]["model_info"]["prompt"], "")
        self.assertNotIn("generation_settings", now["metadata"]["model_info"])
        self.assertEqual(self.pixels(self.at("y.raiiaf")), self.pixels(self.at("a.png")))
        self.magick(self.at("a.png"), "-set", "raiiaf:prompt", "words", self.at("y.raiiaf"))
        self.assertEqual(info(self.at("y.raiiaf"))["metadata"]["model_info"]["prompt"], "words")

    def test_mogrify(self):
        path = self.sample("trajectory.raiiaf")
        shutil.copyfile(path, self.at("former.raiiaf"))
        self.magick("-negate", path, tool="mogrify")
        self.assertWhole(path, self.at("former.raiiaf"), stale=True)
        write(self.at("a.png"), png())
        self.magick("-format", "raiiaf", self.at("a.png"), tool="mogrify")
        command("verify", self.at("a.raiiaf"))

    def test_frames(self):
        for index in range(2):
            write(self.at(f"{index}.png"), png(20 + index, 10))
        self.magick(self.at("0.png"), self.at("1.png"), self.at("out.raiiaf"))
        self.assertEqual([info(self.at(f"out-{index}.raiiaf"))["image"]["width"] for index in range(2)], [20, 21])

    def test_two_files_keep_their_own(self):
        first, second = self.sample("trajectory.raiiaf"), self.sample("img_gray16.raiiaf")
        self.magick(first, second, self.at("out.raiiaf"))
        self.assertEqual(read(self.at("out-0.raiiaf")), read(first))
        self.assertEqual(read(self.at("out-1.raiiaf")), read(second))

    def test_cmyk(self):
        write(self.at("a.png"), png())
        self.magick(self.at("a.png"), "-colorspace", "CMYK", self.at("a.jpg"))
        self.magick(self.at("a.jpg"), self.at("y.raiiaf"))
        self.assertEqual(info(self.at("y.raiiaf"))["image"]["format"], "PNG")
        self.assertIn(b"RGB", self.magick("-format", "%[colorspace]", self.at("y.raiiaf"), tool="identify"))
        cmyk = self.make("c.raiiaf", read(self.at("a.jpg")))
        self.assertEqual(self.magick("-format", "%[colorspace]", cmyk, tool="identify"), b"CMYK")
        self.magick(cmyk, self.at("z.raiiaf"))
        self.assertEqual(read(self.at("z.raiiaf")), read(cmyk))

    def test_policies_hold(self):
        path = self.sample()
        for line, words in (('<policy domain="coder" rights="none" pattern="RAIIAF"/>', "polic"),
                            ('<policy domain="coder" rights="none" pattern="PNG"/>', "polic"),
                            ('<policy domain="resource" name="width" value="8"/>', "limit")):
            with self.subTest(line):
                os.makedirs(self.at("conf"), exist_ok=True)
                with open(self.at("conf/policy.xml"), "w", encoding="ascii") as file:
                    file.write(f"<policymap>{line}</policymap>")
                done = self.run_tool("convert", path, self.at("y.bmp"),
                                     env={**self.host.environment, "MAGICK_CONFIGURE_PATH": self.at("conf")})
                self.assertNotEqual(done.returncode, 0)
                self.assertFalse(os.path.exists(self.at("y.bmp")), done.stderr)

    def test_failed_write_leaves_the_old_file(self):
        path = self.sample("trajectory.raiiaf")
        before = read(path)
        arguments = " ".join(self.host.tools["convert"])
        done = subprocess.run(["sh", "-c", f'ulimit -f 16; trap "" XFSZ; exec {arguments} "$0" -negate -resize 900x900 "$0"',
                               path], env=self.host.environment, cwd=self.folder, stderr=subprocess.PIPE, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertEqual(read(path), before)
        self.assertEqual([name for name in os.listdir(self.folder) if name.endswith("raiiaf")], ["trajectory.raiiaf"])
        done = self.run_tool("convert", path, "raiiaf:/dev/full")
        self.assertNotEqual(done.returncode, 0)

    def test_wrong_depth_is_refused(self):
        others = [host for host in HOSTS if host.seven == self.host.seven and host.hdri != self.host.hdri]
        if not others:
            self.skipTest(f"no ImageMagick of another depth than {self.host.name} beside it")
        path = self.sample()
        done = self.run_tool("convert", path, self.at("y.png"), env={
            **self.host.environment, "MAGICK_CODER_MODULE_PATH": f"{others[0].modules}:{self.host.coders}"})
        self.assertNotEqual(done.returncode, 0)
        self.assertFalse(os.path.exists(self.at("y.png")))


HOSTS = [Host(name) for name in os.environ.get("RAIIAF_HOSTS", "").split()]


def load_tests(loader, _tests, _pattern):
    suite = unittest.TestSuite()
    for host in HOSTS:
        for case in (Reading, Resaving, Writing):
            suite.addTests(loader.loadTestsFromTestCase(type(f"{case.__name__}_{host.name}", (case,), {"host": host})))
    return suite


if __name__ == "__main__":
    if not HOSTS:
        print("skipped: no coder was built for any ImageMagick")
        sys.exit(77)
    unittest.main()
