#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Drives GDAL with our driver as its users do: gdalinfo, gdal_translate and Python's osgeo.gdal.

RAIIAF is the command, RAIIAF_DATA the folder that holds golden/, TOP_BUILDDIR where the driver was built.
"""
import ctypes
import glob
import hashlib
import http.server
import json
import locale
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import unittest
import unittest.mock
import xml.etree.ElementTree
import zipfile

BUILD = os.environ["TOP_BUILDDIR"]
DRIVER = os.path.join(BUILD, "plugins", "gdal", ".libs")
LIBRARY = os.path.join(BUILD, "core", ".libs")
if os.environ.get("GDAL_DRIVER_PATH") != DRIVER or LIBRARY not in os.environ.get("LD_LIBRARY_PATH", "").split(":"):
    # Both are looked at when a process starts.
    environment = {**os.environ, "GDAL_DRIVER_PATH": DRIVER, "GDAL_PAM_ENABLED": "YES",
                   "LD_LIBRARY_PATH": ":".join(filter(None, [LIBRARY, os.environ.get("LD_LIBRARY_PATH")]))}
    # The system's Python has GDAL's module, whichever comes first on the path.
    for python in (sys.executable, "/usr/bin/python3"):
        if not subprocess.run([python, "-c", "import numpy; from osgeo import gdal, gdal_array"], check=False,
                              stderr=subprocess.DEVNULL).returncode:
            os.execve(python, [python, *sys.argv], environment)
    print("SKIP: no Python with osgeo.gdal and numpy: install python3-gdal", file=sys.stderr)
    sys.exit(77)

import numpy
from osgeo import gdal

RAIIAF = os.environ["RAIIAF"]
GOLDEN = os.path.join(os.environ["RAIIAF_DATA"], "golden")
gdal.UseExceptions()


def golden(name):
    return os.path.join(GOLDEN, name)


def stories():
    for path in sorted(glob.glob(golden("*.json"))):
        if os.path.basename(path) != "INDEX.json":
            with open(path, encoding="utf-8") as file:
                story = json.load(file)
            yield golden(story["file"]), story


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def slurp(path):
    with open(path, "rb") as file:
        return file.read()


def run(*command, environment=None):
    return subprocess.run(command, env={**os.environ, **(environment or {})}, capture_output=True, check=False)


def info(path):
    return json.loads(run(RAIIAF, "info", "--json", path).stdout)


def metadata(path):
    dataset = gdal.Open(path)
    (value,) = json.loads(dataset.GetMetadata_List("json:RAIIAF")[0]).values()
    return value


def tensor(dataset):
    """The bytes of the latent as the file has it."""
    values = dataset.ReadAsArray()
    return values.astype("<f2" if dataset.GetMetadataItem("SOURCE_DATA_TYPE") == "Float16" else "<f4").tobytes()


def form(dataset):
    bands = [dataset.GetRasterBand(i + 1) for i in range(dataset.RasterCount)]
    tables = [band.GetColorTable() for band in bands]
    return [dataset.RasterXSize, dataset.RasterYSize, dataset.GetMetadataItem("NODATA_VALUES")] + [
        (band.DataType, band.GetColorInterpretation(), band.GetNoDataValue(), band.GetMaskFlags(),
         band.GetMetadataItem("NBITS", "IMAGE_STRUCTURE"),
         table and [table.GetColorEntry(i) for i in range(table.GetCount())]) for band, table in zip(bands, tables)]


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)

    def place(self, name):
        return os.path.join(self.folder, name)

    def copy(self, name):
        shutil.copyfile(golden(name), self.place(name))
        return self.place(name)

    def translate(self, source, target, *options, form="RAIIAF"):
        result = run("gdal_translate", "-q", "-of", form, *options, source, target)
        self.assertEqual((0, b""), (result.returncode, result.stderr), (source, options))
        return target

    def image_of(self, path, name="image"):
        result = run(RAIIAF, "extract", path, "--image", self.place(name))
        self.assertEqual(0, result.returncode, result.stderr)
        return self.place(name)


class Reading(Case):
    def test_every_golden_file_gives_its_image_and_latents(self):
        for path, story in stories():
            with self.subTest(story["file"]):
                dataset = gdal.Open(path)
                if dataset.RasterCount:
                    alone = gdal.Open(self.image_of(path))
                    self.assertEqual(form(alone), form(dataset))
                    self.assertTrue(numpy.array_equal(alone.ReadAsArray(), dataset.ReadAsArray()))
                self.assertEqual(bool(story["image"]), bool(dataset.RasterCount))
                subdatasets = dataset.GetSubDatasets()
                if "latents" in story:
                    self.assertEqual(len(story["latents"]), len(subdatasets))
                for (name, _), latent in zip(subdatasets[:20], story.get("latents", [])):
                    one = gdal.Open(name)
                    self.assertEqual(list(latent["shape"]), [int(n) for n in one.GetMetadataItem("SHAPE").split(",")])
                    self.assertEqual(latent["sha256"], sha256(tensor(one)), name)

    def test_zfp_works_where_libcfitsio_is_loaded(self):
        path = golden("f32_zfp_basic.raiiaf")
        dataset = gdal.Open(f'RAIIAF:"{path}":latent:0')
        self.assertEqual(dataset.GetMetadataItem("SHA256"), sha256(tensor(dataset)))
        loaded = slurp("/proc/self/maps")
        self.assertIn(b"libzfp", loaded)
        self.assertIn(b"libcfitsio", loaded, "this GDAL doesn't load libcfitsio: nothing was shown")

    def test_gdalinfo_tells_settings_and_latents(self):
        told = json.loads(run("gdalinfo", "-json", "-mdd", "json:RAIIAF", golden("f32_zfp_basic.raiiaf")).stdout)
        self.assertEqual("RAIIAF", told["driverShortName"])
        self.assertEqual([128, 128], told["size"])
        self.assertEqual(["Red", "Green", "Blue", "Alpha"], [band["colorInterpretation"] for band in told["bands"]])
        self.assertEqual("42", told["metadata"][""]["SEED"])
        self.assertIn("lighthouse", told["metadata"][""]["PROMPT"])
        self.assertIn("raiiaf_metadata", told["metadata"]["json:RAIIAF"])
        self.assertIn("[1,4,64,64] initial_noise (Float32)", told["metadata"]["SUBDATASETS"]["SUBDATASET_1_DESC"])

    def test_a_latent_tells_its_axes_and_statistics(self):
        name = f'RAIIAF:"{golden("g5_f32_raw.gen5")}":latent:b'
        told = json.loads(run("gdalinfo", "-json", "-stats", "--config", "GDAL_PAM_ENABLED", "NO", name).stdout)
        self.assertEqual([f"n{n} c{c}" for n in range(3) for c in range(2)],
                         [band["description"] for band in told["bands"]])
        self.assertEqual({"KEY": "b", "SHAPE": "3,2,5,7", "SOURCE_DATA_TYPE": "Float32"},
                         {key: told["metadata"][""][key] for key in ("KEY", "SHAPE", "SOURCE_DATA_TYPE")})
        values = gdal.Open(name).ReadAsArray()[3]
        self.assertAlmostEqual(float(values.min()), told["bands"][3]["minimum"], 2)

    def test_environment(self):
        dataset = gdal.Open(golden("env_with_gpu.raiiaf"))
        self.assertIn("json:RAIIAF_ENVIRONMENT", dataset.GetMetadataDomainList())
        self.assertIn("components", json.loads(dataset.GetMetadata_List("json:RAIIAF_ENVIRONMENT")[0]))

    def test_latents_alone(self):
        dataset = gdal.Open(golden("no_image_f32_zfp.raiiaf"))
        self.assertEqual(0, dataset.RasterCount)
        self.assertEqual(1, len(dataset.GetSubDatasets()))

    def test_blocks_in_any_order(self):
        path = golden("img_rgba16_interlaced.raiiaf")
        whole = gdal.Open(path).ReadAsArray()
        dataset = gdal.Open(path)
        for y in reversed(range(dataset.RasterYSize)):
            band = y % 4
            self.assertEqual(whole[band, y].tobytes(), dataset.GetRasterBand(band + 1).ReadBlock(0, y))
        self.assertEqual((20, 10), dataset.GetRasterBand(1).ReadAsArray(buf_xsize=10, buf_ysize=20).shape)

    def test_virtual_files(self):
        path = golden("f32_zfp_basic.raiiaf")
        whole = gdal.Open(path).ReadAsArray()
        with zipfile.ZipFile(self.place("a.zip"), "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(path, "x.raiiaf")
        gdal.FileFromMemBuffer("/vsimem/x.raiiaf", slurp(path))
        self.addCleanup(gdal.Unlink, "/vsimem/x.raiiaf")
        for name in ("/vsimem/x.raiiaf", f"/vsizip/{self.place('a.zip')}/x.raiiaf"):
            dataset = gdal.Open(name)
            self.assertTrue(numpy.array_equal(whole, dataset.ReadAsArray()), name)
            self.assertEqual((4, 64, 64), gdal.Open(dataset.GetSubDatasets()[0][0]).ReadAsArray().shape, name)

    def test_gdalinfo_takes_three_ranged_reads(self):
        npy = self.place("noise.npy")
        numpy.save(npy, numpy.random.default_rng(1).standard_normal((1, 4, 256, 256), numpy.float32))
        image = self.image_of(golden("img_512_photo.raiiaf"))
        run(RAIIAF, "create", "-o", self.place("x.raiiaf"), "--image", image, f"--latent=a={npy}")
        data, reads = slurp(self.place("x.raiiaf")), []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_HEAD(self):
                self.answer(False)

            def do_GET(self):
                self.answer(True)

            def answer(self, body):
                there = self.path.endswith("/x.raiiaf")
                span = self.headers.get("Range", f"bytes=0-{len(data) - 1}").removeprefix("bytes=").split("-")
                first, last = int(span[0]), min(int(span[1]), len(data) - 1)
                self.send_response(404 if not there else 206 if "Range" in self.headers else 200)
                self.send_header("Content-Length", str(last - first + 1 if there else 0))
                if "Range" in self.headers:
                    self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
                self.end_headers()
                if body and there:
                    reads.append((first, last))
                    self.wfile.write(data[first:last + 1])

            def log_message(self, *_):
                pass

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            self.addCleanup(server.shutdown)
            here = f"127.0.0.1:{server.server_port}"
            amazon = {"AWS_S3_ENDPOINT": here, "AWS_NO_SIGN_REQUEST": "YES", "AWS_HTTPS": "NO",
                      "AWS_VIRTUAL_HOSTING": "FALSE"}
            for url, settings in ((f"/vsicurl/http://{here}/x.raiiaf", {}), ("/vsis3/bucket/x.raiiaf", amazon)):
                reads.clear()
                told = run("gdalinfo", url, environment={"no_proxy": "*", **settings})
                self.assertIn(b"ColorInterp=Red", told.stdout, told.stderr)
                self.assertLessEqual(len(reads), 3, reads)
                self.assertLess(sum(last - first + 1 for first, last in reads), len(data) // 2)

    def test_damage_is_an_error(self):
        path = self.copy("img_rgba_text.raiiaf")
        chunk = next(c for c in json.loads(gdal.Open(path).GetMetadata_List("json:RAIIAF")[0])["raiiaf_metadata"]["chunks"]
                     if c["type"] == "DATA")
        data = bytearray(slurp(path))
        data[chunk["offset"] + chunk["compressed_size"] - 40] ^= 1
        with open(path, "wb") as file:
            file.write(data)
        dataset = gdal.Open(path)
        for _ in range(2):
            with self.assertRaises(RuntimeError):
                dataset.ReadRaster()
        copied = run("gdal_translate", "-q", "-of", "RAIIAF", path, self.place("copy.raiiaf"))
        self.assertEqual((0, 1), (copied.returncode, copied.stderr.count(b"\n")), copied.stderr)
        self.assertIn(b"its SHA-256 is not the recorded one", copied.stderr)
        self.assertEqual(bytes(data), slurp(self.place("copy.raiiaf")))

    def test_corrupt_files_are_refused_or_read(self):
        refused = 0
        for path in sorted(glob.glob(golden("corrupt/*.raiiaf")) + glob.glob(golden("corrupt/*.gen5"))):
            try:
                dataset = gdal.Open(path)
                for name in [path] + [name for name, _ in dataset.GetSubDatasets()[:3]]:
                    dataset = gdal.Open(name)
                    if dataset.RasterCount:
                        dataset.ReadRaster()
            except RuntimeError:
                refused += 1
        self.assertGreater(refused, 20)

    def test_what_the_file_says_is_not_said_beside_it(self):
        path = self.copy("f32_zfp_basic.raiiaf")
        run("gdalinfo", "-stats", path)
        run("gdalinfo", "-stats", f'RAIIAF:"{path}":latent:0')
        beside = slurp(path + ".aux.xml")
        self.assertIn(b"STATISTICS_MEAN", beside)
        self.assertNotIn(b"lighthouse", beside)
        self.assertNotIn(b"SUBDATASET_1_NAME", beside)
        self.assertIn(b"STATISTICS_MEAN", run("gdalinfo", path).stdout)

    def test_no_such_latent(self):
        path = golden("f32_zfp_basic.raiiaf")
        for name, told in (("RAIIAF:", "RAIIAF:: can't be read"), (f"RAIIAF:{path}", "RAIIAF:.*raiiaf: can't be read"),
                           (f'RAIIAF:"{path}":other:0', "other:0: can't be read"),
                           (f'RAIIAF:"{path}":latent:7', "no latent '7'"),
                           ("RAIIAF:nowhere.raiiaf:latent:0", "nowhere.raiiaf: can't be read")):
            with self.assertRaisesRegex(RuntimeError, told):
                gdal.Open(name)


class Translated(Case):
    def setUp(self):
        super().setUp()
        # glibc ignores LANGUAGE where LC_MESSAGES is C or, since 2.39, C.UTF-8.
        made = run("localedef", "-i", "de_DE", "-f", "UTF-8", self.place("de_DE.UTF-8"))
        if made.returncode != 0:
            print("SKIP: localedef makes no locale de_DE.UTF-8 (package locales): German isn't tested here",
                  file=sys.stderr)
            self.skipTest("no locale de_DE.UTF-8")
        with unittest.mock.patch.dict(os.environ, LOCPATH=os.path.dirname(self.place("de_DE.UTF-8"))):
            locale.setlocale(locale.LC_MESSAGES, "de_DE.UTF-8")
        self.addCleanup(locale.setlocale, locale.LC_MESSAGES, "C")
        with self.assertRaises(RuntimeError):  # the library has looked for its catalogue, and won't again
            gdal.Open("RAIIAF:")
        self.catalogues = os.path.join(os.environ["TOP_SRCDIR"], "po")

    def speak(self, language):
        folder = self.place(language)  # one for each: gettext remembers what it found in a folder
        place = os.path.join(folder, language, "LC_MESSAGES")
        os.makedirs(place)
        made = run("msgfmt", "-o", os.path.join(place, "raiiaf.mo"), os.path.join(self.catalogues, language + ".po"))
        self.assertEqual(0, made.returncode, made.stderr)
        before = os.environ.get("LANGUAGE")
        self.addCleanup(lambda: os.environ.pop("LANGUAGE") if before is None else os.environ.update(LANGUAGE=before))
        os.environ["LANGUAGE"] = language
        locale.bindtextdomain("raiiaf", folder)

    def test_german(self):
        self.speak("de")
        for name, sentence in ((f'RAIIAF:"{golden("img_1x1.raiiaf")}":latent:7', "es gibt kein Latent „7“"),
                               ("RAIIAF:nowhere.raiiaf:latent:0", "nowhere.raiiaf: kann nicht gelesen werden")):
            with self.assertRaisesRegex(RuntimeError, sentence):
                gdal.Open(name)
        with self.assertRaisesRegex(RuntimeError, "RAIIAF nimmt 1 bis 4 Bänder Byte oder UInt16, nicht 5 × Byte;"):
            gdal.GetDriverByName("RAIIAF").CreateCopy(self.place("a"), gdal.GetDriverByName("MEM").Create("", 4, 4, 5))

    def test_options_are_xml_in_each_language(self):
        driver = gdal.GetDriverByName("RAIIAF")
        register = ctypes.CDLL(os.path.join(DRIVER, "gdal_RAIIAF.so")).GDALRegister_RAIIAF
        self.addCleanup(driver.Register)
        told = set()
        for path in glob.glob(os.path.join(self.catalogues, "*.po")):
            self.speak(os.path.basename(path)[:-3])
            gdal.GetDriverByName("RAIIAF").Deregister()
            register()
            options = gdal.GetDriverByName("RAIIAF").GetMetadataItem("DMD_CREATIONOPTIONLIST")
            names = {option.get("name"): option.get("description")
                     for option in xml.etree.ElementTree.fromstring(options)}
            self.assertIn("SEED", names)
            told.add(names["LATENT"])
        self.assertEqual(5, len(told), told)


class Copying(Case):
    def test_nothing_changed_gives_the_same_bytes(self):
        for name in ("img_rgba_text.raiiaf", "img_is_jpeg.raiiaf", "g5_f32_zstd.gen5", "img_palette8_trns.raiiaf"):
            target = self.translate(golden(name), self.place("new.raiiaf"))
            self.assertEqual(slurp(golden(name)), slurp(target), name)
        target = gdal.GetDriverByName("RAIIAF").CreateCopy(self.place("l.raiiaf"), gdal.Open(golden("r29_no_image.raiiaf")))
        self.assertIsNotNone(target)
        self.assertEqual(slurp(golden("r29_no_image.raiiaf")), slurp(self.place("l.raiiaf")))

    def test_the_same_pixels_by_another_way_give_the_same_bytes(self):
        source = golden("f32_zfp_basic.raiiaf")
        self.translate(source, self.place("a.vrt"), form="VRT")
        self.assertEqual(slurp(source), slurp(self.translate(self.place("a.vrt"), self.place("a.raiiaf"))))

    def test_many_latents_are_read_by_several_threads(self):
        source, driver = gdal.Open(golden("g5_many_50.gen5")), gdal.GetDriverByName("RAIIAF")
        for _ in range(40):
            driver.CreateCopy(self.place("a.raiiaf"), source, options=["SEED=5"])
        self.assertEqual([latent["sha256"] for latent in info(golden("g5_many_50.gen5"))["latents"]],
                         [latent["sha256"] for latent in info(self.place("a.raiiaf"))["latents"]])

    def test_a_file_onto_itself(self):
        path = self.copy("f32_zfp_basic.raiiaf")
        gdal.GetDriverByName("RAIIAF").CreateCopy(path, gdal.Open(path), options=["SEED=7"])
        self.assertEqual("7", gdal.Open(path).GetMetadataItem("SEED"))
        self.assertEqual(info(golden("f32_zfp_basic.raiiaf"))["latents"][0]["sha256"], info(path)["latents"][0]["sha256"])

    def test_other_pixels_make_latents_stale(self):
        source = golden("f32_zfp_basic.raiiaf")
        target = self.translate(source, self.place("a.raiiaf"), "-srcwin", "8", "16", "40", "30")
        dataset, before = gdal.Open(target), gdal.Open(source)
        self.assertTrue(numpy.array_equal(before.ReadAsArray(8, 16, 40, 30), dataset.ReadAsArray()))
        self.assertEqual(before.GetMetadataItem("PROMPT"), dataset.GetMetadataItem("PROMPT"))
        latent = gdal.Open(dataset.GetSubDatasets()[0][0])
        self.assertEqual("YES", latent.GetMetadataItem("STALE"))
        self.assertEqual(gdal.Open(before.GetSubDatasets()[0][0]).GetMetadataItem("SHA256"), sha256(tensor(latent)))
        (entry,) = metadata(target)["history"]
        version = gdal.VersionInfo("RELEASE_NAME")
        self.assertEqual((f"GDAL {version}", "edited"), (entry["tool"], entry["action"]))
        self.assertEqual(info(source)["image"]["sha256"], entry["image_before"])
        self.assertEqual(0, run(RAIIAF, "verify", target).returncode)

    def test_one_bit_stays_one_bit(self):
        target = self.translate(golden("img_gray1.raiiaf"), self.place("a.raiiaf"), "-srcwin", "0", "0", "16", "9")
        dataset = gdal.Open(target)
        self.assertEqual("1", dataset.GetRasterBand(1).GetMetadataItem("NBITS", "IMAGE_STRUCTURE"))

    def test_an_image_of_another_tool_brings_its_prompt(self):
        image = self.image_of(golden("img_rgba_text.raiiaf"), "a.png")
        text = self.place("cat.png")
        self.translate(image, text, "-mo", "parameters=a cat\nSteps: 20, Sampler: Euler, Seed: 7", "-co",
                       "WRITE_METADATA_AS_TEXT=YES", form="PNG")
        if os.path.exists(text + ".aux.xml"):
            os.unlink(text + ".aux.xml")
        whole = self.translate(text, self.place("a.raiiaf"))
        self.assertEqual(slurp(text), slurp(self.image_of(whole)))
        part = self.translate(text, self.place("b.raiiaf"), "-srcwin", "0", "0", "9", "9")
        for path in (whole, part):
            self.assertEqual("a cat", gdal.Open(path).GetMetadataItem("PROMPT"))

    def test_creation_options(self):
        image = self.image_of(golden("img_rgb16.raiiaf"), "a.png")
        with open(self.place("more.json"), "w", encoding="utf-8") as file:
            json.dump({"model_info": {"prompt": "a dog", "tags": ["x", "y"], "version": "2"}}, file)
        values = numpy.arange(4 * 6 * 5, dtype=numpy.float32).reshape(1, 4, 6, 5) / 7
        numpy.save(self.place("noise.npy"), values)
        target = self.translate(image, self.place("a.raiiaf"), "-co", f"METADATA={self.place('more.json')}",
                                "-co", "PROMPT=ein Kätzchen", "-co", "MODEL=m", "-co", "SEED=18446744073709551615",
                                "-co", "STEPS=3", "-co", "SAMPLER=euler", "-co", f"LATENT={self.place('noise.npy')}",
                                "-co", f"LATENT=z={self.place('noise.npy')}")
        dataset = gdal.Open(target)
        self.assertEqual(["ein Kätzchen", "m", "18446744073709551615", "3", "euler", "2", "y"],
                         [dataset.GetMetadataItem(name) for name in
                          ("PROMPT", "MODEL_NAME", "SEED", "STEPS", "SAMPLER", "VERSION", "TAGS.1")])
        self.assertEqual(slurp(image), slurp(self.image_of(target)))
        latents = [gdal.Open(name) for name, _ in dataset.GetSubDatasets()]
        self.assertEqual(["noise", "z"], [latent.GetMetadataItem("KEY") for latent in latents])
        self.assertEqual([values.tobytes()] * 2, [tensor(latent) for latent in latents])
        half = self.translate(target, self.place("b.raiiaf"), "-co", "FLOAT16=YES")
        self.assertEqual("Float16", gdal.Open(f'RAIIAF:"{half}":latent:z').GetMetadataItem("SOURCE_DATA_TYPE"))

    def test_a_latent_through_gdal_keeps_its_hash(self):
        image = self.image_of(golden("img_1x1.raiiaf"), "a.png")
        for name in ("f32_zfp_basic.raiiaf", "f16_raw_native.raiiaf", "multi_shapes_f16_raw.raiiaf"):
            latent = f'RAIIAF:"{golden(name)}":latent:{int(name.startswith("multi"))}'
            before = gdal.Open(latent).GetMetadata()
            tif = self.translate(latent, self.place("a.tif"), form="GTiff")
            for source in (latent, tif):
                target = self.translate(image, self.place("a.raiiaf"), "-co", f"LATENT={source}")
                self.assertNotIn("history", metadata(target), "a new file")
                after = gdal.Open(f'RAIIAF:"{target}":latent:0')
                self.assertEqual(before, after.GetMetadata())
                self.assertEqual(before["SHA256"], sha256(tensor(after)))

    def test_a_picture_of_a_latent(self):
        latent = f'RAIIAF:"{golden("f32_zfp_basic.raiiaf")}":latent:0'
        target = self.translate(latent, self.place("a.raiiaf"), "-b", "1", "-ot", "Byte", "-scale", "-3", "3")
        self.assertEqual((1, []), (gdal.Open(target).RasterCount, gdal.Open(target).GetSubDatasets()))

    def test_edited_metadata_is_taken(self):
        target = self.translate(golden("img_ga8.raiiaf"), self.place("a.raiiaf"), "-mo", "PROMPT=a dog")
        self.assertEqual("a dog", gdal.Open(target).GetMetadataItem("PROMPT"))

    def test_georeferencing_stays_beside_it(self):
        target = self.translate(golden("img_ga8.raiiaf"), self.place("a.raiiaf"), "-a_ullr", "0", "10", "10", "0")
        self.assertEqual((0.0, 10.0), (gdal.Open(target).GetGeoTransform()[0], gdal.Open(target).GetGeoTransform()[3]))

    def test_what_it_cannot_hold(self):
        memory = gdal.GetDriverByName("MEM")
        driver = gdal.GetDriverByName("RAIIAF")
        for bands, kind in ((5, gdal.GDT_Byte), (1, gdal.GDT_Float32), (3, gdal.GDT_Int16), (0, gdal.GDT_Byte)):
            with self.assertRaisesRegex(RuntimeError, "1 to 4 bands of Byte or UInt16"):
                driver.CreateCopy(self.place("a.raiiaf"), memory.Create("", 4, 4, bands, kind))
        for option in ("SEED=x", "METADATA=nowhere.json", "LATENT=nowhere.npy", "LATENT=nowhere.tif"):
            with self.assertRaises(RuntimeError, msg=option):
                driver.CreateCopy(self.place("a.raiiaf"), gdal.Open(golden("img_ga8.raiiaf")), options=[option])
        self.assertEqual([], os.listdir(self.folder))
        with open(self.place("bad.json"), "w", encoding="utf-8") as file:
            file.write("{")
        with self.assertRaisesRegex(RuntimeError, "bad.json"):
            driver.CreateCopy(self.place("a.raiiaf"), gdal.Open(golden("img_ga8.raiiaf")),
                              options=["METADATA=" + self.place("bad.json")])
        self.assertEqual(["bad.json"], os.listdir(self.folder))

    def test_an_interrupt_leaves_nothing(self):
        driver = gdal.GetDriverByName("RAIIAF")
        for source, when in ((gdal.Open(golden("img_512_photo.raiiaf")), 0), (gdal.Open(golden("f32_zfp_basic.raiiaf")), 0),
                             (gdal.GetDriverByName("MEM").Create("", 300, 300, 3), 0.01),
                             (gdal.GetDriverByName("MEM").Create("", 300, 300, 3), 0.5)):
            for target in (self.place("a.raiiaf"), "/vsimem/a.raiiaf"):
                with self.assertRaises(RuntimeError):
                    driver.CreateCopy(target, source, callback=lambda done, *_: int(done < when))
                self.assertEqual(9, gdal.GetLastErrorNo(), "CPLE_UserInterrupt")
                self.assertIsNone(gdal.VSIStatL(target))
        self.assertEqual([], os.listdir(self.folder))

    def test_into_virtual_files(self):
        source = golden("img_rgba_text.raiiaf")
        self.translate(source, f"/vsizip/{self.place('a.zip')}/x.raiiaf")
        with zipfile.ZipFile(self.place("a.zip")) as archive:
            self.assertEqual(slurp(source), archive.read("x.raiiaf"))
        result = run("gdal_translate", "-q", "-of", "RAIIAF", source, "/vsistdout/")
        self.assertEqual((0, slurp(source)), (result.returncode, result.stdout))

    def test_a_png_of_it(self):
        target = self.translate(golden("img_palette4.raiiaf"), self.place("a.png"), form="PNG")
        self.assertEqual(form(gdal.Open(golden("img_palette4.raiiaf"))), form(gdal.Open(target)))


if __name__ == "__main__":
    unittest.main()
