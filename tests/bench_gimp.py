#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The plug-in's figures: loading and exporting in one session of the real GIMP, against its own PNG plug-in."""
import os
import statistics
import subprocess
import sys
import tempfile

import numpy

import bench
import bench_images
import gimp_test

RUNS = int(os.environ.get("BENCH_RUNS", "9"))
SIDE = 2048

# Seconds of each step, one row a run.
SCRIPT = """
(define (now) (let ((time (gettimeofday))) (+ (car time) (/ (cadr time) 1000000))))
(define (timed port step)
  (let* ((start (now)) (result (step))) (write (- (now) start) port) (display " " port) result))
(define (measure port)
  (let* ((picture (timed port (lambda () (load $png)))) (plain (timed port (lambda () (load $plain))))
         (large (timed port (lambda () (load $large)))))
    (timed port (lambda () (save picture $out-png)))
    (timed port (lambda () (save plain $out-plain)))
    (timed port (lambda () (save large $out-large)))
    (gimp-image-delete picture) (gimp-image-delete plain) (gimp-image-delete large)
    (newline port)))
(call-with-output-file $times (lambda (port) (let again ((runs $runs)) (measure port)
  (if (> runs 0) (again (- runs 1))))))
"""


def samples(folder):
    """A photograph as PNG, as .raiiaf, and with 64 latents."""
    path = {name: os.path.join(folder, name) for name in ["png.png", "plain.raiiaf", "large.raiiaf", "out.png",
                                                         "out-plain.raiiaf", "out-large.raiiaf", "times", "pam"]}
    bench_images.write_pam("rgba", SIDE, path["pam"])
    subprocess.run([os.environ.get("MAGICK6_Q16") or os.environ.get("MAGICK7_Q16") or "convert", path["pam"],
                    path["png.png"]], check=True)
    random = numpy.random.default_rng(7)
    arguments = []
    for i in range(64):
        numpy.save(os.path.join(folder, f"{i}.npy"), random.standard_normal((1, 16, 128, 128), dtype=numpy.float32))
        arguments += ["--latent", f"{i}={os.path.join(folder, str(i))}.npy"]
    for name, more in (("plain.raiiaf", []), ("large.raiiaf", arguments)):
        gimp_test.raiiaf("create", "--image", path["png.png"], *more, "-o", path[name])
    return path


def measure(name):
    with tempfile.TemporaryDirectory(prefix="raiiaf-bench-") as folder:
        profile = os.path.join(folder, "profile")
        os.mkdir(profile)
        path = samples(folder)
        gimp = gimp_test.Gimp(name, profile)
        script = SCRIPT.replace("$runs", str(RUNS))
        for mark, file in (("$png", "png.png"), ("$plain", "plain.raiiaf"), ("$large", "large.raiiaf"),
                           ("$out-png", "out.png"), ("$out-plain", "out-plain.raiiaf"),
                           ("$out-large", "out-large.raiiaf"), ("$times", "times")):
            script = script.replace(mark + " ", gimp_test.quote(path[file]) + " ").replace(
                mark + ")", gimp_test.quote(path[file]) + ")")
        code, output = gimp.run(script, seconds=60 * RUNS)
        if not os.path.exists(path["times"]):
            sys.exit(f"{gimp.program}: {code}\n{output}")
        with open(path["times"], encoding="ascii") as file:
            return [[float(number) for number in line.split()] for line in file][1:]  # the first run warms up


def main():
    for name in gimp_test.GIMPS:
        rows = measure(name)

        def median(figure):
            return statistics.median(figure(*row) for row in rows)

        def tell(what, value, unit, most):
            print(f"  {what:44} {value:6.2f} {unit}{bench.verdict(what, value, most=most)}")

        bench.begin({"gimp2": "GIMP 2.10", "gimp3": "GIMP 3.0"}[name], f", {SIDE} x {SIDE} RGBA, {RUNS} runs")
        print(f"  loading a PNG {median(lambda *t: t[0]):.2f} s, exporting one {median(lambda *t: t[3]):.2f} s")
        tell("loading a .raiiaf against its PNG", median(lambda *t: t[1] / t[0]), "x", 1.25)
        tell("exporting unchanged against a PNG export", median(lambda *t: t[4] / t[3]), "x", 0.5)
        tell("67 MB of latents when loading", median(lambda *t: t[2] - t[1]), "s", 0.5)
        tell("67 MB of latents when exporting", median(lambda *t: t[5] - t[4]), "s", 0.5)
    if bench.missed:
        print("\nmissed: " + "; ".join(bench.missed))


if __name__ == "__main__":
    main()
