#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Drives what a desktop shows .raiiaf files with: gdk-pixbuf and its thumbnailer, GIO, feh and Qt.

DESKTOP_PLUGINS names the plugins that were built ("gdk-pixbuf imlib2 qt"), TOP_BUILDDIR where; RAIIAF is the command,
RAIIAF_DATA the folder that holds golden/.  Needs Python's own library alone.
"""
import base64
import functools
import glob
import hashlib
import json
import os
import re
import shutil
import struct
import subprocess
import tempfile
import time
import unittest
import zlib

GOLDEN = os.path.join(os.environ["RAIIAF_DATA"], "golden")
BUILD, SOURCE = os.environ["TOP_BUILDDIR"], os.environ["TOP_SRCDIR"]
PLUGINS = os.environ["DESKTOP_PLUGINS"].split()
RAIIAF = os.environ["RAIIAF"]
PHOTO = os.path.join(GOLDEN, "img_512_photo.raiiaf")


def needs(plugin):
    return unittest.skipUnless(plugin in PLUGINS, f"{plugin} was left out: configure told why")


def stories():
    """(path, story) of every golden file."""
    for path in sorted(glob.glob(os.path.join(GOLDEN, "*.json"))):
        with open(path, encoding="utf-8") as file:
            story = json.load(file)
        if os.path.basename(path) != "INDEX.json":
            yield os.path.join(GOLDEN, story["file"]), story


def prompt_of(story):
    """The prompt as a host can show it: until its NUL, if it has one."""
    return model_info(story)["prompt"].split("\0")[0]


def model_info(story):
    """What the manifest says of the picture; a story or what raiiaf tells of a file."""
    (metadata,) = story["manifest"].values()
    return metadata["model_info"]


def pictures():
    """(path, story) of those with an image that every decoder knows, and a manifest that the story tells."""
    return [(path, story) for path, story in stories()
            if story["image"] and "manifest" in story and "webp" not in path]


@functools.cache
def damaged():
    """Some of the damaged files that can't be opened, or whose image can't."""
    found = []
    for path in sorted(glob.glob(os.path.join(GOLDEN, "corrupt", "*data*.raiiaf")) +
                       glob.glob(os.path.join(GOLDEN, "corrupt", "*.raiiaf"))[::12]):
        done = subprocess.run([RAIIAF, "extract", path, "--image", os.devnull], capture_output=True, check=False)
        if done.returncode:
            found.append(path)
    return found


def read(path):
    with open(path, "rb") as file:
        return file.read()


def info(path):
    return json.loads(subprocess.run([RAIIAF, "info", "--json", path], capture_output=True, check=True).stdout)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_text(data):
    """The tEXt and iTXt of a PNG, uncompressed ones."""
    texts, at = {}, 8
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        name, _, rest = data[at + 8:at + 8 + size].partition(b"\0")
        if kind == b"tEXt":
            texts[name.decode()] = rest.decode("latin-1")
        elif kind == b"iTXt" and rest[0] == 0:
            texts[name.decode()] = rest[2:].split(b"\0", 2)[2].decode()
        at += size + 12
    return texts


class Desktop:
    """A home of its own, where the desktop finds our plugins beside the system's."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="raiiaf-desktop-")
        self.inner = os.path.join(self.folder, "inner")
        packages = os.path.join(self.folder, "share", "mime", "packages")
        os.makedirs(packages)
        os.mkdir(self.inner)
        shutil.copy(os.path.join(SOURCE, "plugins", "desktop", "raiiaf.xml"), packages)
        self.run("update-mime-database", os.path.dirname(packages))
        self.environment = {**os.environ, "HOME": self.folder, "XDG_DATA_HOME": os.path.join(self.folder, "home"),
                            "XDG_DATA_DIRS": os.path.join(self.folder, "share") + ":/usr/local/share:/usr/share",
                            "QT_PLUGIN_PATH": self.place("qt", "libraiiaf_qt.so", "imageformats"),
                            "IMLIB2_LOADER_PATH": self.place("imlib2", "raiiaf.so"),
                            "GDK_PIXBUF_MODULE_FILE": os.path.join(self.folder, "loaders.cache")}
        if "imlib2" in PLUGINS:
            for loader in self.others("IMLIB2_SYSTEM_DIR"):
                os.symlink(loader, os.path.join(self.folder, "imlib2", os.path.basename(loader)))
        if "gdk-pixbuf" in PLUGINS:
            with open(self.environment["GDK_PIXBUF_MODULE_FILE"], "wb") as cache:
                cache.write(self.run(os.environ["GDK_PIXBUF_QUERY_LOADERS"],
                                     *self.others("GDK_PIXBUF_SYSTEM_DIR"),
                                     os.path.join(self.place("gdk-pixbuf", "libpixbufloader-raiiaf.so"),
                                                  "libpixbufloader-raiiaf.so")).stdout)

    @staticmethod
    def others(variable):
        """The host's own plugins."""
        paths = glob.glob(os.path.join(os.environ[variable], "*.so"))
        return [path for path in paths if "raiiaf" not in os.path.basename(path)]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.folder)

    def place(self, plugin, library, below=""):
        """The folder, named as the plugin, where its library is now."""
        folder = os.path.join(self.folder, plugin)
        os.makedirs(os.path.join(folder, below))
        if plugin in PLUGINS:
            os.symlink(os.path.join(BUILD, "plugins", plugin, ".libs", library), os.path.join(folder, below, library))
        return folder

    def run(self, *command, **options):
        return subprocess.run(command, env=getattr(self, "environment", None), capture_output=True, check=True,
                              timeout=60, **options)

    def inner_image(self, path, story):
        """The embedded image as a file of its own, or None."""
        if not story["image"]:
            return None
        out = os.path.join(self.inner, os.path.basename(path) + ".image")
        if not os.path.exists(out):
            self.run(RAIIAF, "extract", path, "--image", out)
        return out


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.desktop = desktop

    def setUp(self):
        self.folder = tempfile.mkdtemp(dir=self.desktop.folder)

    def path(self, name, data=None):
        path = os.path.join(self.folder, name)
        if data is not None:
            with open(path, "wb") as file:
                file.write(data)
        return path

    def lines(self, program, *words):
        return self.desktop.run(os.path.join(BUILD, "tests", program), *words).stdout.decode().splitlines()

    def every_picture(self, program):
        """The program says the same of every golden file as of the image in it."""
        with_image = [(path, self.desktop.inner_image(path, story)) for path, story in stories() if story["image"]]
        self.assertGreater(len(with_image), 30)
        ours = self.lines(program, *(path for path, image in with_image))
        theirs = self.lines(program, *(image for path, image in with_image))
        for (path, image), mine, other in zip(with_image, ours, theirs, strict=True):
            if other.startswith("error") and read(image)[8:12] == b"WEBP":
                self.assertTrue(mine.startswith("error "), path)  # the host lacks the decoder: so do we
            else:
                self.assertTrue(other.startswith("ok "), other)
                self.assertEqual(mine, other, path)

    def every_refusal(self, program):
        none = [path for path, story in stories() if not story["image"]]
        self.assertGreater(len(damaged()), 20)
        lines = self.lines(program, *none, *damaged())
        for path, line in zip(none + damaged(), lines, strict=True):
            self.assertRegex(line, "^error .", path)
        return lines


class Type(Case):
    def content_type(self, path):
        out = self.desktop.run("gio", "info", "-a", "standard::content-type,standard::icon", path).stdout.decode()
        return re.search(r"standard::content-type: (\S+)", out).group(1)

    def test_by_name_and_by_content(self):
        for name, layout in (("f32_zfp_basic.raiiaf", 33), ("g5_unicode.gen5", 32), ("r29_f32_raw.raiiaf", 29)):
            path = os.path.join(GOLDEN, name)
            self.assertEqual(self.content_type(path), "image/x-raiiaf", layout)
            self.assertEqual(self.content_type(self.path("x", read(path))), "image/x-raiiaf", layout)
        self.assertEqual(self.content_type(self.path("unknown.RAIIAF", bytes(9))), "image/x-raiiaf")
        self.assertEqual(self.content_type(self.path("words", b"raiiaf is a format\n")), "text/plain")
        self.assertEqual(self.content_type(self.path("picture.png", read(os.path.join(
            self.desktop.inner_image(PHOTO, {"image": True}))))), "image/png")

    def test_entries(self):
        entries = glob.glob(os.path.join(BUILD, "plugins", "desktop", "*.desktop"))
        self.assertTrue(entries)
        self.desktop.run("desktop-file-validate", *entries)
        for path in entries:
            text = read(path).decode()
            self.assertNotIn("@", text)
            self.assertRegex(text, r"\nName=.+\nTryExec=\S+\nExec=\S+ %f\nMimeType=image/x-raiiaf;\n")

    def test_opens_with(self):
        """A viewer that is installed is offered, one that isn't is not."""
        folder = os.path.join(self.desktop.folder, "home", "applications")
        os.makedirs(folder, exist_ok=True)
        for path in glob.glob(os.path.join(BUILD, "plugins", "desktop", "*.desktop")):
            shutil.copy(path, folder)
        self.desktop.run("update-desktop-database", folder)
        out = self.desktop.run("gio", "mime", "image/x-raiiaf").stdout.decode()
        self.assertEqual("raiiaf-feh.desktop" in out, "imlib2" in PLUGINS)
        for name in ("eog", "gwenview", "nomacs"):
            self.assertEqual(f"raiiaf-{name}.desktop" in out,
                             os.path.exists(os.path.join(folder, f"raiiaf-{name}.desktop")) and
                             shutil.which(name) is not None, name)


@needs("gdk-pixbuf")
class Pixbuf(Case):
    def pixbuf(self, *words):
        """The picture's line, and its options."""
        (told,) = self.pixbufs(*words)
        return told

    def pixbufs(self, *words):
        """(line, options) of each file."""
        unescape = re.compile(r"\\([0-7]{3}|.)")
        letters = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v"}
        told = []
        for line in self.lines("desktop_pixbuf", *words):
            name, tab, text = line.partition("\t")
            if not tab:
                told.append((line, {}))
                continue
            raw = unescape.sub(lambda m: chr(int(m[1], 8)) if len(m[1]) == 3 else letters.get(m[1], m[1]), text)
            told[-1][1][name] = raw.encode("latin-1").decode()
        return told

    def save(self, *words, of=PHOTO, to="new.raiiaf"):
        out = self.path(to)
        lines = self.lines("desktop_pixbuf", f"save={'png' if to.endswith('png') else 'raiiaf'}:{out}", *words, of)
        self.assertEqual([line for line in lines if line.startswith("error")], [])
        return out

    def test_every_picture(self):
        self.every_picture("desktop_pixbuf")

    def test_every_refusal(self):
        lines = self.every_refusal("desktop_pixbuf")
        self.assertTrue(any("holds no image" in line for line in lines))

    def test_pieces(self):
        whole, _ = self.pixbuf(PHOTO)
        for piece in ("1000", "65536", "10000000"):
            self.assertEqual(self.pixbuf(f"piece={piece}", PHOTO)[0], whole)
        small = os.path.join(GOLDEN, "f32_zfp_basic.raiiaf")
        self.assertEqual(self.pixbuf("piece=1", small)[0], self.pixbuf(small)[0])

    def test_sizes(self):
        image = self.desktop.inner_image(PHOTO, {"image": True})
        for size in ("64x64", "100x40", "700x700", "512x512"):
            ours, _ = self.pixbuf(f"size={size}", PHOTO)
            self.assertIn(f"ok {size}x3", ours)
            self.assertEqual(ours, self.pixbuf(f"size={size}", image)[0])
            self.assertEqual(self.pixbuf(f"size={size}", "piece=4096", PHOTO)[0], ours)

    def test_options(self):
        wanted = pictures()
        for (path, story), (_, options) in zip(wanted, self.pixbufs("options", *(path for path, _ in wanted)), strict=True):
            if prompt_of(story):
                self.assertEqual(options["tEXt::prompt"], prompt_of(story), path)
                self.assertTrue(options["tEXt::parameters"].startswith(prompt_of(story)), path)
            self.assertEqual(hashlib.sha256(options["raiiaf::manifest"].encode()).hexdigest(),
                             story["manifest_text_sha256"], path)
        self.assertEqual(self.pixbuf("options", PHOTO)[1]["tEXt::seed"], "42")

    def test_saved_as_it_was(self):
        paths = [path for path, _ in pictures()]
        self.lines("desktop_pixbuf", f"save=raiiaf:{self.folder}/", *paths)
        for path in paths:
            self.assertEqual(read(self.path(os.path.basename(path))), read(path), path)

    def test_saved_with_another_prompt(self):
        out = self.save("key=tEXt::prompt=a harbour", "key=tEXt::seed=7")
        was, now = info(PHOTO), info(out)
        self.assertEqual((model_info(now)["prompt"], model_info(now)["generation_settings"]["seed"]), ("a harbour", 7))
        self.assertEqual(now["image"], was["image"])
        self.assertEqual(now["latents"], was["latents"])
        self.assertNotIn('"stale"', json.dumps(now["manifest"]))
        self.desktop.run(RAIIAF, "verify", out)

    def test_saved_with_another_picture(self):
        out = self.save("edit")
        was, now = info(PHOTO), info(out)
        self.assertEqual(model_info(now), model_info(was))
        self.assertNotEqual(now["image"]["sha256"], was["image"]["sha256"])
        self.assertEqual(now["latents"], was["latents"])
        self.assertEqual(json.dumps(now["manifest"]).count('"stale": true'), len(was["latents"]))
        self.desktop.run(RAIIAF, "verify", out)
        image = self.save("edit", to="edited.png")
        self.assertEqual(self.pixbuf(out), self.pixbuf(image))

    def test_saved_from_a_copy(self):
        """Which has the options alone: the settings stay, the latents are gone."""
        now = info(self.save("copy"))
        self.assertEqual(model_info(now), model_info(info(PHOTO)))
        self.assertEqual(now["latents"], [])

    def test_saved_from_elsewhere(self):
        """What a PNG tells is taken over; what nobody told isn't there."""
        text = "a cat\nNegative prompt: dogs\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 5, Size: 512x512"
        png = self.save(f"key=tEXt::parameters={text}", to="plain.png", of=self.desktop.inner_image(PHOTO, {"image": True}))
        told = model_info(info(self.save(of=png)))
        settings = told["generation_settings"]
        self.assertEqual((told["prompt"], settings["seed"], settings["steps"]), ("a cat", 5, 20))
        bare = self.desktop.inner_image(PHOTO, {"image": True})
        self.assertEqual(model_info(info(self.save(of=bare)))["prompt"], "")
        typed = self.save("key=tEXt::prompt=typed", of=bare, to="typed.raiiaf")
        self.assertEqual(model_info(info(typed))["prompt"], "typed")

    def test_saved_as_png(self):
        """The texts are options, which gdk-pixbuf saves when it is asked to, and only then."""
        self.assertEqual(png_text(read(self.save(to="plain.png"))), {})
        self.assertEqual(png_text(read(self.save("key=tEXt::prompt=shown", to="told.png"))), {"prompt": "shown"})

    def test_options_that_are_refused(self):
        for key, part in (("key=quality=90", "quality"), ("key=tEXt::steps=none", "steps"),
                          ("key=raiiaf::manifest={", "manifest")):
            lines = self.lines("desktop_pixbuf", f"save=raiiaf:{self.path('no.raiiaf')}", key, PHOTO)
            self.assertRegex(lines[-1], f"^error .*{part}")

    def test_thumbnailer(self):
        entry = read(os.path.join(BUILD, "plugins", "desktop", "raiiaf.thumbnailer")).decode()
        self.assertIn("MimeType=image/x-raiiaf;", entry)
        command = re.search(r"^Exec=(.*)$", entry, re.M).group(1)
        out = self.path("thumbnail.png")
        words = {"%s": "128", "%u": "file://" + PHOTO, "%o": out}
        self.desktop.run(*(words.get(word, word) for word in command.split()))
        self.assertEqual(struct.unpack_from(">II", read(out), 16), (128, 128))
        self.assertEqual(self.pixbuf(out)[0], self.pixbuf("size=128x128", PHOTO)[0])


@needs("qt")
class Qt(Case):
    def test_every_picture(self):
        self.every_picture("desktop_qt")

    def test_every_refusal(self):
        self.every_refusal("desktop_qt")

    def test_devices_and_sizes(self):
        image = self.desktop.inner_image(PHOTO, {"image": True})
        whole = self.lines("desktop_qt", PHOTO)
        self.assertEqual(self.lines("desktop_qt", "stream", PHOTO), whole)
        self.assertEqual(self.lines("desktop_qt", "inside", PHOTO), whole)
        self.assertEqual(self.lines("desktop_qt", "size=60x40", PHOTO), self.lines("desktop_qt", "size=60x40", image))

    def test_texts(self):
        told = []
        for line in self.lines("desktop_qt", "texts", *(path for path, _ in pictures())):
            name, tab, text = line.partition("\t")
            if tab:
                told[-1][name] = base64.b64decode(text).decode()
            else:
                told.append({})
        for (path, story), texts in zip(pictures(), told, strict=True):
            (before,) = (text for name, text in texts.items() if name.startswith("told "))
            self.assertEqual(before.split(), prompt_of(story).split(), path)
            if prompt_of(story):
                self.assertEqual(texts["prompt"], prompt_of(story), path)
                self.assertTrue(texts["parameters"].startswith(prompt_of(story)), path)
            settings = model_info(story).get("generation_settings", {})
            if "seed" in settings:
                self.assertEqual(texts["seed"], str(settings["seed"]), path)


class Glycin(Case):
    """What Loupe loads with.  Outside its sandbox, which shows a loader nothing but /usr."""

    def test_every_picture(self):
        data = os.path.join(self.desktop.folder, "share")
        loaders = os.path.join(data, "glycin-loaders", "1+", "conf.d")
        os.makedirs(loaders)
        program = self.path("loader", f"""#!/bin/sh
export GDK_PIXBUF_MODULE_FILE='{self.desktop.environment["GDK_PIXBUF_MODULE_FILE"]}'
exec '{BUILD}/plugins/glycin/glycin-raiiaf'
""".encode())
        os.chmod(program, 0o755)
        entry = read(os.path.join(BUILD, "plugins", "glycin", "glycin-raiiaf.conf")).decode()
        self.assertRegex(entry, r"^\[loader:image/x-raiiaf\]\nExec=/.*/glycin-loaders/1\+/glycin-raiiaf\n$")
        with open(os.path.join(loaders, "glycin-raiiaf.conf"), "w", encoding="ascii") as file:
            file.write(re.sub("Exec=.*", f"Exec={program}", entry))
        paths = [path for path, _ in pictures()]
        ours, theirs = self.lines("desktop_glycin", "no", *paths), self.lines("desktop_pixbuf", *paths)
        self.assertEqual(ours, theirs)
        none = [path for path, story in stories() if not story["image"]][:3]
        for line in self.lines("desktop_glycin", "no", *none, *damaged()[:10]):
            self.assertRegex(line, "^error .*LoadingError")


if "glycin" not in PLUGINS:
    del Glycin
    print("no glycin 1 on this system: what Loupe loads isn't tested")


class Screen:
    """An X server whose screen is a file that we read."""

    def __init__(self, folder):
        read_end, write_end = os.pipe()
        self.server = subprocess.Popen(["Xvfb", "-displayfd", str(write_end), "-screen", "0", "640x560x24", "-fbdir", folder,
                                        "-nolisten", "tcp"], pass_fds=[write_end], stderr=subprocess.DEVNULL)
        os.close(write_end)
        with os.fdopen(read_end) as file:
            self.display = ":" + file.readline().strip()
        self.file = os.path.join(folder, "Xvfb_screen0")

    def rows(self, width, height):
        """The upper left corner, as RGB."""
        data = read(self.file)
        head = struct.unpack_from(">25I", data)
        start, stride = head[0] + 12 * head[19], head[12]
        for y in range(height):
            row = data[start + y * stride:start + y * stride + 4 * width]
            yield bytes(row[x + c] for x in range(0, 4 * width, 4) for c in (2, 1, 0))

    def close(self):
        self.server.terminate()
        self.server.wait()


def png_rows(data):
    """An 8-bit RGB PNG that isn't interlaced."""
    width, height = struct.unpack_from(">II", data, 16)
    at, stream = 8, b""
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        stream += data[at + 8:at + 8 + size] if kind == b"IDAT" else b""
        at += size + 12
    raw, above = zlib.decompress(stream), bytes(3 * width)
    for y in range(height):
        kind, *row = raw[y * (3 * width + 1):(y + 1) * (3 * width + 1)]
        for x, value in enumerate(row):
            a, b, c = row[x - 3] if x > 2 else 0, above[x], above[x - 3] if x > 2 else 0
            p = a + b - c
            paeth = min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]
            row[x] = value + (0, a, b, (a + b) // 2, paeth)[kind] & 255
        above = bytes(row)
        yield above


@needs("imlib2")
class Feh(Case):
    def listed(self, *paths):
        """Those of the files that feh takes for pictures."""
        done = subprocess.run(["feh", "--list", *paths], env=self.desktop.environment, capture_output=True, check=False)
        self.assertGreaterEqual(done.returncode, 0, done.stderr)
        return [line.split("\t")[-1] for line in done.stdout.decode().splitlines()[1:]]

    def test_list(self):
        paths = [path for path, _ in stories()]
        self.assertEqual(sorted(self.listed(*paths)), [path for path, story in stories() if story["image"]])
        self.assertEqual(self.listed(*damaged()[::4], PHOTO), [PHOTO])

    def test_on_a_screen(self):
        screen = Screen(self.folder)
        self.addCleanup(screen.close)
        picture = os.path.join(GOLDEN, "smooth_final_latent.raiiaf")
        viewer = subprocess.Popen(["feh", "-x", "-g", "256x256+0+0", picture], stderr=subprocess.PIPE,
                                  env={**self.desktop.environment, "DISPLAY": screen.display})
        self.addCleanup(viewer.communicate)
        self.addCleanup(viewer.kill)
        wanted = list(png_rows(read(self.desktop.inner_image(picture, {"image": True}))))
        for _ in range(100):
            seen = list(screen.rows(256, 256))
            if seen == wanted:
                break
            time.sleep(0.1)
        self.assertEqual(hashlib.sha256(b"".join(seen)).hexdigest(), hashlib.sha256(b"".join(wanted)).hexdigest())


if __name__ == "__main__":
    with Desktop() as desktop:
        unittest.main()
