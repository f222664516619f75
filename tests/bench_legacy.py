#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What looking at other tools' images and converting them costs: files a second, beside exiftool, sha256sum and cp; in
TMPDIR or, without that, in /dev/shm, where no disk counts."""
import glob
import json
import os
import platform
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import zlib

import numpy

import bench
import bench_images

SAMPLES = os.path.join(os.environ.get("RAIIAF_SHARED", ""), "legacy")
RUNS = int(os.environ.get("BENCH_RUNS", "5"))
SMALL = 300_000  # bytes
FILES = 10_000
BYTES = int(os.environ.get("BENCH_CONVERT_BYTES", "1000000000"))
PEER = 9_800  # files a second: sd-parsers on one core of such a machine


def seconds(command, processors):
    start = time.perf_counter()
    subprocess.run(["taskset", "-c", processors, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                   check=False)
    return time.perf_counter() - start


def show(name, value, unit, **wanted):
    print(f"  {name:<58} {value:9.1f} {unit}{bench.verdict(name, round(value, 2), **wanted)}", flush=True)


def small_samples(folder):
    """The mix of samples, over and over, with what lies beside them; how many images."""
    with open(os.path.join(SAMPLES, "INDEX.json"), encoding="utf-8") as file:
        names = [entry["file"] for entry in json.load(file)]
    names = [name for name in names if os.path.getsize(os.path.join(SAMPLES, name)) <= SMALL]
    rounds = -(-FILES // len(names))
    for i in range(rounds):
        for kind in {os.path.dirname(name) for name in names}:
            for path in glob.glob(os.path.join(SAMPLES, kind, "*")):
                if not path.endswith(".expected.json") and os.path.getsize(path) <= SMALL:
                    target = os.path.join(folder, str(i), kind, os.path.basename(path))
                    os.makedirs(os.path.dirname(target), exist_ok=True)
                    shutil.copyfile(path, target)
    return rounds * len(names), rounds


def scan(scratch):
    bench.begin(f"raiiaf scan --json, {FILES} small samples, one core")
    folder = os.path.join(scratch, "small")
    count, rounds = small_samples(folder)
    command = [bench.RAIIAF, "scan", "--json", "-r"]
    rate = count / min(seconds([*command, folder], "0") for _ in range(RUNS))
    show("files a second", rate, "", least=3 * PEER)
    if shutil.which("exiftool"):
        few = [os.path.join(folder, str(i)) for i in range(max(1, rounds // 10))]
        peer = count / rounds * len(few) / seconds(["exiftool", "-q", "-j", "-r", *few], "0")
        show("times exiftool -j", rate / peer, "", least=50)
    else:
        print("  no exiftool is installed: not compared with it")
    one = bench.peak_memory([*command, os.path.join(folder, "0")]) / 1e6
    all_of_them = bench.peak_memory([*command, folder]) / 1e6
    show("memory, MB", all_of_them, "")
    show(f"memory, of that for {count // rounds} files", all_of_them / one, "times", most=1.2)
    shutil.rmtree(folder)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def write_pngs(folder):
    """1 GB of them, as Python writes them, each with a prompt of its own."""
    side, total, count = 1024, 0, 0
    os.makedirs(folder)
    data = []
    for _ in range(4):
        picture = bench_images.make("photo", side)
        picture = numpy.roll(picture, len(data) * 100, axis=0)
        rows = numpy.diff(picture, axis=0, prepend=numpy.zeros_like(picture[:1])).reshape(side, -1)
        data.append(zlib.compress(numpy.concatenate([numpy.full((side, 1), 2, numpy.uint8), rows], axis=1).tobytes()))
    while total < BYTES:
        pixels = data[count % len(data)]
        text = (f"parameters\0lighthouse {count}, {'detail, ' * 60}\nNegative prompt: blurry\nSteps: 20, Sampler: Euler a, "
                f"CFG scale: 7, Seed: {count}, Size: {side}x{side}, Model: sdxl, Version: v1.9.0")
        png = (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)) +
               chunk(b"tEXt", text.encode()) +
               b"".join(chunk(b"IDAT", pixels[i:i + 65536]) for i in range(0, len(pixels), 65536)) + chunk(b"IEND", b""))
        with open(os.path.join(folder, f"{count:05}.png"), "wb") as file:
            file.write(png)
        total += len(png)
        count += 1
    return count


def convert(scratch):
    bench.begin(f"raiiaf convert, {BYTES / 1e9:g} GB of PNGs")
    pngs, out = os.path.join(scratch, "png"), os.path.join(scratch, "out")
    count = write_pngs(pngs)
    processors = sorted(os.sched_getaffinity(0))
    one, two = str(processors[0]), ",".join(map(str, processors[:2]))

    def run(command, where):
        shutil.rmtree(out, ignore_errors=True)
        return seconds(command, where)
    runs = []
    for _ in range(RUNS):
        files = glob.glob(os.path.join(pngs, "*"))
        runs.append((run(["sha256sum", *files], one) + run(["cp", "-r", pngs, out], one),
                     run([bench.RAIIAF, "convert", "-o", out, pngs], one),
                     run([bench.RAIIAF, "convert", "-o", out, pngs], two)))
    peer, alone, together = (min(times) for times in zip(*runs))
    show("files a second, one core", count / alone, "")
    show("of those of sha256sum and cp", peer / alone, "times", least=0.6)
    if len(processors) > 1:
        show("two cores: of those on one", alone / together, "times", least=1.7)
    shutil.rmtree(out)


def main():
    print(f"\n{platform.platform()}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}, the best of {RUNS} runs")
    if not os.path.exists(os.path.join(SAMPLES, "INDEX.json")):
        print(f"no samples in {SAMPLES}: no figures of scanning")
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR", "/dev/shm")) as scratch:
        if os.path.exists(os.path.join(SAMPLES, "INDEX.json")):
            scan(scratch)
        convert(scratch)
    if bench.missed:
        print(f"\n{len(bench.missed)} missed" + "".join(f"\n  {name}" for name in bench.missed))


if __name__ == "__main__":
    sys.exit(main())
