#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What GDAL takes for a .raiiaf file, beside its own PNG driver with the PNG in it."""
import os
import statistics
import subprocess
import sys
import tempfile
import time

if not os.path.exists(os.path.join(os.environ["TOP_BUILDDIR"], "plugins", "gdal", ".libs", "gdal_RAIIAF.so")):
    print("\nno driver for GDAL was built: no figures of it")
    sys.exit()

from gdal_test import RAIIAF, gdal  # which starts a Python that has GDAL's module

import bench
import bench_images


def read(path):
    start = time.perf_counter()
    gdal.Open(path).ReadRaster()
    return time.perf_counter() - start


def main():
    with tempfile.TemporaryDirectory() as scratch:
        bench.begin(f"GDAL {gdal.VersionInfo('RELEASE_NAME')}", f"{'ours':>40}{'compared':>13}{'ratio':>8}")
        for kind in bench_images.KINDS:
            pam, png, raiiaf = (os.path.join(scratch, f"x.{extension}") for extension in ("tif", "png", "raiiaf"))
            picture = bench_images.make(kind, 2048)
            memory = gdal.GetDriverByName("MEM").Create("", 2048, 2048, picture.shape[2])
            memory.WriteArray(picture.transpose(2, 0, 1))
            gdal.GetDriverByName("PNG").CreateCopy(png, memory)
            subprocess.run([RAIIAF, "create", "-o", raiiaf, "--image", png], check=True)
            if kind == bench_images.KINDS[0]:
                bench.pair("gdalinfo / gdalinfo of the PNG", ["gdalinfo", raiiaf], ["gdalinfo", png], os.environ, most=1.1)
            title = f"{kind} 2048x2048: read / read the PNG"
            runs = [(read(raiiaf), read(png)) for _ in range(bench.RUNS + 1)][1:]
            ratio = statistics.median(ours / theirs for ours, theirs in runs)
            ours, theirs = (statistics.median(times) * 1000 for times in zip(*runs))
            print(f"  {title:<44} {ours:9.1f} ms {theirs:9.1f} ms {ratio:7.2f}"
                  f"{bench.verdict(title, round(ratio, 2), 1.1)}", flush=True)


main()
