#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What a thumbnail of a .raiiaf file costs, beside one of the PNG in it."""
import os
import struct
import subprocess
import tempfile
import zlib

import numpy

import bench
import bench_images
from desktop_test import PLUGINS, Desktop, chunk

SIDE = 2048


def write_png(path):
    """Each row as its difference from the one above."""
    picture = bench_images.make("photo", SIDE)
    rows = numpy.diff(picture, axis=0, prepend=numpy.zeros_like(picture[:1])).reshape(SIDE, -1)
    raw = numpy.concatenate([numpy.full((SIDE, 1), 2, numpy.uint8), rows], axis=1).tobytes()
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)) +
                   chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b""))


def main():
    if "gdk-pixbuf" not in PLUGINS:
        print("\nno loader for gdk-pixbuf was built: no figures of thumbnails")
        return
    with tempfile.TemporaryDirectory() as scratch, Desktop() as desktop:
        png, raiiaf, out = (os.path.join(scratch, name) for name in ("x.png", "x.raiiaf", "thumbnail.png"))
        write_png(png)
        subprocess.run([bench.RAIIAF, "create", "-o", raiiaf, "--image", png], check=True)
        bench.begin("gdk-pixbuf-thumbnailer", f"{'ours':>33}{'compared':>13}{'ratio':>8}")
        ours, theirs = (["gdk-pixbuf-thumbnailer", "-s", "256", "file://" + path, out] for path in (raiiaf, png))
        bench.pair(f"photo {SIDE}x{SIDE}: thumbnail / of the PNG", ours, theirs, desktop.environment, most=1.15)


main()
