#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Drives raiiaf export as its users do, and reads what comes of it by other means.

RAIIAF is the command, RAIIAF_DATA the folder that holds golden/.
"""
import json
import os
import struct
import sys
import unittest
import xml.etree.ElementTree as xml

import tools_test
from tools_test import Case, golden, sha256

NAMES = {
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "dc": "http://purl.org/dc/elements/1.1/",
    "iptc": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
}
FIELDS = ("prompt negative_prompt seed steps sampler scheduler cfg_scale guidance eta model_name model_hash width height "
          "date tags").split()
PNG = golden("img_palette8_trns.raiiaf")
WITH_TEXT = golden("img_rgba_text.raiiaf")
JPEG = golden("img_is_jpeg.raiiaf")


def chunks(png):
    """(type, data) of each chunk of a PNG."""
    at = 8
    while at < len(png):
        (size,) = struct.unpack_from(">I", png, at)
        yield png[at + 4:at + 8], png[at + 8:at + 8 + size]
        at += 12 + size


class Export(Case):
    def artifact(self, name, **source):
        """A copy of PNG that says that it was converted."""
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        settings = ["--set=seed=43", *(f"--set=/source/{key}={value}" for key, value in source.items())]
        self.ok("edit", PNG, "-o", path, *settings)
        return path

    def image(self, path):
        return self.ok("extract", path, "--image", "-")


class Texts(Export):
    def test_parameters(self):
        text = self.ok("export", "--parameters", PNG).decode()
        self.assertEqual(text.splitlines()[0], "a lighthouse at dusk, volumetric light")
        self.assertRegex(text.splitlines()[1], r"^Steps: 20, Sampler: euler, .*Seed: 42, .*Model: SDXL-base")
        self.ok("export", "--parameters", PNG, "-o", "x.txt")
        self.assertEqual(self.read("x.txt").decode() + "\n", text)
        two = self.ok("export", "--parameters", PNG, JPEG).decode()
        self.assertEqual(two.count("\n\n"), 1)
        self.assertTrue(two.startswith(text))

    def test_json(self):
        lines = [json.loads(line) for line in self.ok("export", "--json", PNG, JPEG).splitlines()]
        self.assertEqual([line["file"] for line in lines], [PNG, JPEG])
        for line in lines:
            self.assertEqual(list(line), ["file", "dialect", "tool", *FIELDS, "extra"])
        self.assertEqual(lines[0]["seed"], 42)
        self.assertIsNone(lines[0]["model_hash"])
        self.assertEqual(lines[0]["extra"], {"precision": "fp16", "deterministic": True})
        self.ok("export", "--json", PNG, JPEG, "-o", self.folder)
        told = json.loads(self.read("img_palette8_trns.json"))
        self.assertEqual(dict(told, file=PNG), lines[0])

    def test_xmp(self):
        description = xml.fromstring(self.ok("export", "--xmp", PNG)).find(".//rdf:Description", NAMES)
        self.assertEqual(description.find("dc:description/rdf:Alt/rdf:li", NAMES).text,
                         "a lighthouse at dusk, volumetric light")
        self.assertEqual([item.text for item in description.findall("dc:subject/rdf:Bag/rdf:li", NAMES)], ["test"])
        told = {name: description.find(f"iptc:{name}", NAMES).text for name in (
            "DigitalSourceType", "AIPromptInformation", "AISystemUsed", "AISystemVersionUsed")}
        self.assertEqual(told, {
            "DigitalSourceType": "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia",
            "AIPromptInformation": "a lighthouse at dusk, volumetric light",
            "AISystemUsed": "SDXL-base", "AISystemVersionUsed": "1.0"})
        for name in ("prompt_unicode.raiiaf", "prompt_surrogate.raiiaf"):  # NULs and lone surrogates in there
            xml.fromstring(self.ok("export", "--xmp", golden(name)))

    def test_standard_streams(self):
        with open(PNG, "rb") as file:
            data = file.read()
        self.assertEqual(json.loads(self.ok("export", "--json", "-", input=data))["file"], "-")
        png = self.ok("export", "--png", "-", PNG)
        self.assertTrue(png.startswith(b"\x89PNG"))
        _, err = self.run_raiiaf("export", "--png", "-", PNG, JPEG, status=2)
        self.assertIn(b"standard output", err)


class Png(Export):
    def test_image_is_untouched(self):
        self.ok("export", "--png", "x.png", PNG)
        found, before = list(chunks(self.read("x.png"))), list(chunks(self.image(PNG)))
        self.assertEqual([chunk for chunk in found if chunk in before], before)
        more = [name for name, _ in found if name in (b"raIf", b"raDA")]
        self.assertEqual(more, [b"raIf", b"raDA"])
        (parameters,) = [data for name, data in found if data.startswith(b"parameters\0")]
        self.assertIn(b"\0a lighthouse at dusk", parameters)
        self.assertEqual(len(found), len(before) + 3)
        self.ok("export", "--png", "y.png", WITH_TEXT)
        found, before = list(chunks(self.read("y.png"))), list(chunks(self.image(WITH_TEXT)))
        self.assertEqual([chunk for chunk in found if chunk[0] not in (b"raIf", b"raDA")], before)

    def test_times_and_names_come_back(self):
        self.artifact("a/one.raiiaf", file_name="first image.png", modified="2023-05-06T07:08:09+00:00")
        self.artifact("a/b/two.raiiaf", file_name="../second.png", modified="nonsense")
        self.artifact("a/b/three.raiiaf", file_name=".bashrc")
        self.ok("export", "--png", "out", "a")
        self.assertEqual(os.listdir(self.path("out")), ["first image.png"])
        self.assertEqual(os.stat(self.path("out/first image.png")).st_mtime, 1683356889)
        self.ok("export", "-r", "--png", "all/of/it/", "a")
        self.assertEqual(sorted(os.listdir(self.path("all/of/it/b"))), ["three.png", "two.png"])
        self.assertEqual(sorted(os.listdir(self.folder)), ["a", "all", "out"])

    def test_nothing_is_overwritten(self):
        self.ok("export", "--png", "x.png", PNG)
        kept = self.untouched(self.path("x.png"))
        _, err = self.run_raiiaf("export", "--png", "x.png", golden("img_1x1.raiiaf"), status=1)
        self.one_sentence(err, "x.png", "--overwrite")
        self.assertEqual(self.untouched(self.path("x.png")), kept)
        self.ok("export", "--overwrite", "--png", "x.png", golden("img_1x1.raiiaf"))
        self.assertNotEqual(self.untouched(self.path("x.png")), kept)
        path = self.artifact("y.raiiaf")
        kept = self.untouched(path)
        self.run_raiiaf("export", "--overwrite", "--png", path, path, status=2)
        self.assertEqual(self.untouched(path), kept)

    def test_what_is_replaced_keeps_its_place(self):
        """Links and permissions stay, as with all other outputs."""
        os.mkdir(self.path("there"))
        for name, call in (("x.png", ["--png", "x.png"]), ("y.txt", ["--parameters", "-o", "y.txt"])):
            path = self.path("there/" + name, b"former")
            os.chmod(path, 0o600)
            os.symlink("there/" + name, self.path(name))
            _, err = self.run_raiiaf("export", *call, PNG, status=1)
            self.one_sentence(err, name, "--overwrite")
            self.assertEqual(self.read(name), b"former")
            self.ok("export", "--overwrite", *call, PNG)
            self.assertTrue(os.path.islink(self.path(name)))
            self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
            self.assertIn(b"lighthouse", self.read("there/" + name))
        self.assertEqual(len(os.listdir(self.path("there"))), 2)

    def test_two_images_of_one_name(self):
        paths = [self.artifact(name + ".raiiaf", file_name="same.png") for name in ("one", "two", "three")]
        for option in ([], ["--overwrite"]):
            self.ok("export", *option, "--png", "out" + str(len(option)), *paths)
            self.assertEqual(sorted(os.listdir(self.path("out" + str(len(option))))),
                             ["same.png", "three.png", "two.png"])
        again = self.artifact("other/two.raiiaf", file_name="same.png")
        _, err = self.run_raiiaf("export", "--overwrite", "--png", "out", *paths, again, status=1)
        self.one_sentence(err, "two.png")

    def test_other_images(self):
        _, err = self.run_raiiaf("export", "--png", "x.png", JPEG, status=1)
        self.one_sentence(err, "JPEG", "extract --image")
        out, err = self.run_raiiaf("export", "--png", self.folder, JPEG, PNG)
        self.assertEqual(out, b"")
        self.one_sentence(err, "JPEG", "as it is")
        self.assertEqual(sha256(self.read("img_is_jpeg.jpg")), sha256(self.image(JPEG)))
        _, err = self.run_raiiaf("export", "--png", "y.png", golden("no_image_f16_raw.raiiaf"), status=1)
        self.one_sentence(err, "no image")
        self.assertEqual(sorted(os.listdir(self.folder)), ["img_is_jpeg.jpg", "img_palette8_trns.png"])

    def test_one_bad_file_of_many(self):
        self.artifact("in/a.raiiaf")
        self.path("in/b.raiiaf", b"nonsense")
        self.path("in/c.txt", b"no such file")
        self.artifact("in/d.raiiaf")
        _, err = self.run_raiiaf("export", "--png", "out", "in", status=1)
        self.one_sentence(err, "b.raiiaf")
        self.assertEqual(sorted(os.listdir(self.path("out"))), ["a.png", "d.png"])


class Usage(Export):
    def test_wrong_calls(self):
        for call in ([PNG], ["--json"], ["--json", "--xmp", PNG], ["--png"], ["--png", "a", "-o", "b", PNG], ["--nope", PNG],
                     ["--json", "-o", "", PNG, PNG]):
            out, err = self.run_raiiaf("export", *call, status=2)
            self.assertEqual(out, b"")
            self.assertIn(b"raiiaf export --help", err)
        self.run_raiiaf("export", "--png", "", PNG, status=1)
        self.assertEqual(os.listdir(self.folder), [])
        self.assertTrue(self.ok("export", "--help").startswith(b"Usage: raiiaf export"))


if __name__ == "__main__":
    if not os.access(tools_test.RAIIAF, os.X_OK):
        sys.exit(f"there is no {tools_test.RAIIAF}")
    unittest.main(verbosity=2)
