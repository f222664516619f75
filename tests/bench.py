#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The project's figures, side by side in one run: what is ours against what it is compared with.

Each pair runs in turn, A B A B; a ratio is the median of the ratios of such pairs, so that a machine that grows slower
or faster meanwhile doesn't show.  Images are made by bench_images.py and are the same in every run.
"""
import os
import platform
import shlex
import statistics
import subprocess
import sys
import tempfile
import time

import numpy

import bench_images

BUILD = os.environ["TOP_BUILDDIR"]
RAIIAF = os.environ.get("RAIIAF", os.path.join(BUILD, "tools", "raiiaf"))
SIZES = [int(s) for s in os.environ.get("BENCH_SIZES", "512 1024 2048").split()]
RUNS = int(os.environ.get("BENCH_RUNS", "9"))
# The Python reference in process, on a machine such as this: seconds to encode and decode, bytes.
REFERENCE = {"encode": 2.27, "decode": 3.43, "bytes": 253e6}
missed = []
section = ""


def verdict(name, value, most=None, least=None):
    if most is None and least is None:
        return ""
    good = value <= most if most is not None else value >= least
    if not good:
        missed.append(f"{section}: {name}")
    wanted = f"at most {most}" if most is not None else f"at least {least}"
    return f"   {wanted}: {'kept' if good else 'MISSED'}"


def begin(title, header=""):
    global section
    section = title
    print(f"\n{title}{header}")


def run(command, environment):
    """Seconds that a command takes."""
    start = time.perf_counter()
    result = subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    seconds = time.perf_counter() - start
    if result.returncode or result.stderr:
        sys.exit(f"{shlex.join(command)}: {result.stderr.decode(errors='replace') or result.returncode}")
    return seconds


# The peak of a process counts what it was forked from: so this is the smallest Python that there is, about 9 MB.
PEAK = """
import os, sys
null = os.open(os.devnull, os.O_WRONLY)
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, null, 1)])
print(os.wait4(child, 0)[2].ru_maxrss * 1024)
"""


def peak_memory(command):
    result = subprocess.run([sys.executable, "-I", "-S", "-c", PEAK, *command], capture_output=True, check=True)
    return int(result.stdout)


def pair(name, ours, theirs, environment, most=None, note=""):
    runs = [(run(ours, environment), run(theirs, environment)) for _ in range(RUNS + 1)][1:]
    ratio = statistics.median(a / b for a, b in runs)
    a, b = (statistics.median(times) * 1000 for times in zip(*runs))
    print(f"  {name:<44} {a:9.1f} ms {b:9.1f} ms {ratio:7.2f}{verdict(name, round(ratio, 2), most)}{note}", flush=True)


class Host:
    """An ImageMagick with our module beside its own."""

    def __init__(self, name, scratch):
        variable = name.upper().replace("-", "_")
        program, coders = os.environ[variable], os.environ[variable + "_CODERS"]
        base = os.path.basename(program)
        if base.startswith("magick"):
            self.convert, self.identify = [program], [program, "identify"]
        else:
            self.convert = [program]
            self.identify = [os.path.join(os.path.dirname(program), base.replace("convert", "identify"))]
        modules = os.path.join(scratch, name)
        os.mkdir(modules)
        os.symlink(os.path.abspath(os.path.join(BUILD, "magick-coder", name, ".libs", "raiiaf.so")),
                   os.path.join(modules, "raiiaf.so"))
        with open(os.path.join(modules, "raiiaf.la"), "w", encoding="ascii") as file:
            file.write("dlname='raiiaf.so'\n")
        self.environment = {**os.environ, "MAGICK_CODER_MODULE_PATH": f"{modules}:{coders}"}
        version = subprocess.run([*self.convert, "-version"], capture_output=True, text=True, check=True).stdout
        self.name = version.split("\n", maxsplit=1)[0].removeprefix("Version: ").split(" http")[0]


def size_of(path):
    return os.path.getsize(path)


def images(host, sources, scratch):
    begin(host.name, f"{'ours':>{58 - len(host.name)}}{'compared':>13}{'ratio':>8}")
    new_png, new_raiiaf = (os.path.join(scratch, f"new.{e}") for e in ("png", "raiiaf"))
    for kind, side, png in sources:
        title, raiiaf = f"{kind} {side}x{side}", png.replace(".png", ".raiiaf")
        pair(f"{title}: read / read the PNG", [*host.convert, raiiaf, "null:"], [*host.convert, png, "null:"],
             host.environment, most=1.05)
        pair(f"{title}: re-save / read the PNG", [*host.convert, raiiaf, new_raiiaf], [*host.convert, png, "null:"],
             host.environment, most=1.15)
        if open(new_raiiaf, "rb").read() != open(raiiaf, "rb").read():
            sys.exit(f"{title}: an unchanged re-save isn't the same file")
        pair(f"{title}: write new pixels / write PNG", [*host.convert, png, "-flip", new_raiiaf],
             [*host.convert, png, "-flip", new_png], host.environment, most=0.45 if kind == "photo" else 1.0)
        ratio = size_of(new_raiiaf) / size_of(new_png)
        print(f"  {title + ': bytes of the file / of the PNG':<44} {size_of(new_raiiaf):12d} {size_of(new_png):12d}"
              f" {ratio:7.2f}{verdict(title + ' bytes', round(ratio, 2), 1.12)}")
        pair(f"{title}: write the PNG's own / write PNG", [*host.convert, png, new_raiiaf],
             [*host.convert, png, new_png], host.environment, most=1.0)


def identify(host, png, large):
    for size, raiiaf in large:
        pair(f"identify, {size} / identify the PNG", [*host.identify, raiiaf], [*host.identify, png],
             host.environment, most=1.15)


def make_large(scratch, png):
    """Files of 10 MB and 1 GB: the same image, and latents that nothing can shrink."""
    random = numpy.random.default_rng(7)
    files = []
    for size, side, count in (("10 MB", 800, 1), ("1 GB", 4096, 4)):
        npy, raiiaf = os.path.join(scratch, "large.npy"), os.path.join(scratch, f"{side}.raiiaf")
        bits = random.integers(0, 1 << 32, 4 * side * side, dtype=numpy.uint32) & numpy.uint32(0xBFFFFFFF)  # finite
        numpy.save(npy, bits.view(numpy.float32).reshape(1, 4, side, side))
        latents = [f"--latent=k{i}={npy}" for i in range(count)]
        subprocess.run([RAIIAF, "create", "-o", raiiaf, "--image", png, *latents], check=True)
        os.unlink(npy)
        files.append((size, raiiaf))
    return files


def memory(large):
    begin("raiiaf info")
    for size, raiiaf in large:
        command, name = [RAIIAF, "info", raiiaf], f"info, {size}"
        seconds = statistics.median(run(command, os.environ) for _ in range(RUNS))
        peak = peak_memory(command)
        print(f"  {name:<44} {seconds * 1000:9.1f} ms {peak / 1e6:9.1f} MB{verdict(name, peak / 1e6, 20)}")


def latents():
    begin("64 latents of (1,16,128,128) float32, two threads, in process")
    program = os.path.join(BUILD, "tests", "bench_latents")
    lines = subprocess.run([program], capture_output=True, text=True, check=True).stdout.splitlines()
    for line in lines:
        kind, size, encode, decode, stored = line.split()
        for what, seconds in (("encode", float(encode)), ("decode", float(decode))):
            speed, name = int(size) / 1e6 / seconds, f"{kind}: {what}"
            if kind == "noise":
                times = REFERENCE[what] / seconds
                print(f"  {name:<44} {seconds * 1000:9.1f} ms {speed:9.0f} MB/s; the reference takes"
                      f" {times:.1f} times as long{verdict(name, times, least=10)}")
            else:
                print(f"  {name:<44} {seconds * 1000:9.1f} ms {speed:9.0f} MB/s{verdict(name, speed, least=200)}")
        ratio = int(stored) / REFERENCE["bytes"]
        note = f" {ratio:.3f} of the reference's{verdict('noise: bytes', ratio, 0.27)}" if kind == "noise" else ""
        print(f"  {kind + ': bytes':<44} {int(stored):12d} of {size}{note}")


def main():
    print(f"{platform.platform()}, {os.cpu_count()} processors, {RUNS} runs each")
    with tempfile.TemporaryDirectory() as scratch:
        latents()
        hosts = [Host(name, scratch) for name in os.environ.get("RAIIAF_HOSTS", "").split()]
        if not hosts:
            print("\nno ImageMagick that a coder was built for: no figures of images")
            return
        sources = []
        for side in SIZES:
            for kind in bench_images.KINDS:
                png = os.path.join(scratch, f"{kind}{side}.png")
                pam = bench_images.write_pam(kind, side, png.replace(".png", ".pam"))
                subprocess.run([*hosts[0].convert, pam, png], check=True)
                os.unlink(pam)
                subprocess.run([RAIIAF, "create", "-o", png.replace(".png", ".raiiaf"), "--image", png], check=True)
                sources.append((kind, side, png))
        large = make_large(scratch, sources[0][2])
        memory(large)
        for host in hosts:
            images(host, sources, scratch)
            identify(host, sources[0][2], large)
    print(f"\n{len(missed)} missed" + "".join(f"\n  {name}" for name in missed))


if __name__ == "__main__":
    main()
