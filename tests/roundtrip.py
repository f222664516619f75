#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Reads with reader.py what the raiiaf command writes: edits and repackings of every file in tests/data, and new files
with tensors of many shapes and kinds.  Nothing may be lost, and everything must be as a writer owes it.

RAIIAF is the command, RAIIAF_DATA the folder that holds golden/.
"""
import glob
import io
import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
try:
    import numpy

    import reader
except ImportError as missing:
    print(f"SKIP: {missing}: install python3-zstandard, python3-zfpy and python3-numpy", file=sys.stderr)
    sys.exit(77)

RAIIAF = os.environ.get("RAIIAF", os.path.join(HERE, "..", "tools", "raiiaf"))
GOLDEN = os.path.join(os.environ.get("RAIIAF_DATA", os.path.join(HERE, "data")), "golden")
passed, failures = 0, []


def expect(condition, what):
    global passed
    if condition:
        passed += 1
    else:
        failures.append(what)
        print(f"FAILED: {what}")


def raiiaf(*arguments):
    result = subprocess.run([RAIIAF, *arguments], capture_output=True, check=False)
    if result.returncode:
        raise RuntimeError(f"raiiaf {' '.join(arguments)}: {result.stderr.decode(errors='replace')}")
    return result.stdout


def read_written(name, path, fresh=False):
    """What a strict second reader makes of a file of ours, or None."""
    try:
        artifact = reader.read(path)
        reader.check_writer(artifact, fresh)
    except reader.Bad as bad:
        expect(False, f"{name}: {bad}")
        return None
    expect(not artifact.warnings, f"{name}: {artifact.warnings}")
    return artifact


def holdings(artifact):
    """Latents by what they are; those of the drafts of gen5 have no keys until they are written anew."""
    latents = [(l["key"], l["shape"], l["dtype"], l["sha256"]) for l in artifact.latents]
    unknown = [(r["type"], reader.sha256(s)) for r, s in artifact.unknown]
    return {"latents": latents, "image": artifact.image, "environment": artifact.environment, "unknown": unknown}


def compare(name, before, after):
    was, now = holdings(before), holdings(after)
    if any("key" not in r["extra"] for r in before.chunks if r["type"] == "LATN"):
        was["latents"] = [l[1:] for l in was["latents"]]
        now["latents"] = [l[1:] for l in now["latents"]]
    for part, value in was.items():
        expect(now[part] == value, f"{name}: {part} changed")


def same_description(a, b):
    """Compared as text: NaN differs from itself."""
    return json.dumps(a, sort_keys=True) == json.dumps(b, sort_keys=True)


def rewrite(path, scratch):
    name = os.path.basename(path)
    before = reader.read(path)
    edited, packed = (os.path.join(scratch, f"{kind}.raiiaf") for kind in ("edited", "packed"))

    with open(path, "rb") as source, open(edited, "wb") as target:
        target.write(source.read())
    raiiaf("edit", edited, "--set", "/roundtrip=one")
    after = read_written(f"{name}, edited", edited)
    if after:
        compare(f"{name}, edited", before, after)
        expect(after.metadata["roundtrip"] == "one", f"{name}: not edited")
        expect("model_info" not in before.metadata
               or same_description(before.metadata["model_info"], after.metadata["model_info"]),
               f"{name}: model_info changed")

    raiiaf("repack", "-o", packed, path)
    after = reader.read(packed)
    compare(f"{name}, packed", before, after)
    expect(same_description(before.metadata.get("model_info"), after.metadata.get("model_info")),
           f"{name}: model_info changed by packing")
    with open(path, "rb") as a, open(packed, "rb") as b:
        if a.read() != b.read():  # else nothing was to be gained, and it is the file that it was
            read_written(f"{name}, packed", packed)


def rewrite_all(scratch):
    for path in sorted(glob.glob(os.path.join(glob.escape(GOLDEN), "*.raiiaf")) +
                       glob.glob(os.path.join(glob.escape(GOLDEN), "*.gen5"))):
        rewrite(path, scratch)
    for path in sorted(glob.glob(os.path.join(glob.escape(GOLDEN), "corrupt", "*.json"))):
        with open(path, encoding="utf-8") as file:
            story = json.load(file)
        damaged = os.path.join(os.path.dirname(path), story["file"])
        # What contradicts itself there still does in a copy.
        if story["advice"] == "must_accept" and not reader.read(damaged).warnings:
            rewrite(damaged, scratch)


def tensors():
    """Shapes and contents that an encoder may treat each in its own way."""
    random = numpy.random.default_rng(1)
    shapes = [(1, 1, 1, 1), (1, 4, 64, 64), (2, 3, 5, 7), (1, 16, 33, 31), (4, 1, 1, 129), (1, 1, 8192, 1), (1, 3, 2, 8192)]
    for shape in shapes:
        count = int(numpy.prod(shape))
        ramp = numpy.linspace(-3, 3, count, dtype=numpy.float32).reshape(shape)
        noise = random.standard_normal(shape).astype(numpy.float32)
        for kind, tensor in (("noise", noise), ("ramp", ramp), ("smooth", numpy.sin(ramp)),
                             ("zero", numpy.zeros(shape, numpy.float32)),
                             ("steps", numpy.round(noise * 4).astype(numpy.float32) / 4)):
            yield f"{kind}-{'x'.join(map(str, shape))}", tensor
            yield f"{kind}16-{'x'.join(map(str, shape))}", tensor.astype(numpy.float16)
    bits = random.integers(0, 1 << 32, 4096, dtype=numpy.uint64).astype(numpy.uint32)
    wild = bits.view(numpy.float32).copy()
    wild[~numpy.isfinite(wild)] = -0.0
    yield "wild", wild.reshape(1, 4, 32, 32)
    tiny = numpy.array([0.0, -0.0, 1e-45, -1e-45, 1.1754944e-38, 3.4028235e38, -3.4028235e38, 1], numpy.float32)
    yield "extremes", numpy.tile(tiny, 64).reshape(1, 2, 16, 16)


def create_all(scratch):
    image = reader.read(os.path.join(GOLDEN, "img_512_photo.raiiaf")).image
    with open(os.path.join(scratch, "image.png"), "wb") as file:
        file.write(image)
    path, arguments, wanted = os.path.join(scratch, "new.raiiaf"), [], {}
    for key, tensor in tensors():
        npy = os.path.join(scratch, f"{key}.npy")
        numpy.save(npy, tensor if len(wanted) % 3 else numpy.asfortranarray(tensor))
        arguments += ["--latent", f"{key}={npy}"]
        wanted[key] = tensor
    raiiaf("create", "-o", path, "--image", os.path.join(scratch, "image.png"), "--set", "prompt=ein Leuchtturm, 灯台",
           "--set", "seed=18446744073709551615", "--set", "steps=20", "--set", "sampler=euler", *arguments)
    artifact = read_written("created", path, fresh=True)
    if not artifact:
        return
    expect(artifact.image == image, "created: image changed")
    expect(artifact.environment, "created: no environment")
    expect(artifact.metadata["model_info"]["prompt"] == "ein Leuchtturm, 灯台", "created: prompt changed")
    expect(artifact.metadata["model_info"]["generation_settings"]["seed"] == 2**64 - 1, "created: seed changed")
    got = {l["key"]: l["tensor"] for l in artifact.latents}
    expect(list(got) == list(wanted), "created: other latents, or in another order")
    for key, tensor in wanted.items():
        expect(key in got and got[key].dtype == tensor.dtype and got[key].tobytes() == tensor.tobytes(),
               f"created: {key} changed")
        npy = numpy.load(io.BytesIO(raiiaf("extract", path, "--latent", key, "-")))
        expect(npy.dtype == tensor.dtype and npy.tobytes() == tensor.tobytes(), f"extracted: {key} changed")
    packed = os.path.join(scratch, "packed-new.raiiaf")
    raiiaf("repack", "-o", packed, path)
    after = read_written("created and packed", packed)
    if after:
        compare("created and packed", artifact, after)
    narrow = os.path.join(scratch, "narrow.raiiaf")
    raiiaf("create", "-o", narrow, "--float16", "--no-environment", *arguments[:20])
    artifact = read_written("narrowed", narrow, fresh=True)
    for latent in artifact.latents if artifact else []:
        rounded = wanted[latent["key"]].astype(numpy.float16)
        expect(latent["tensor"].dtype == numpy.float16 and latent["tensor"].tobytes() == rounded.tobytes(),
               f"narrowed: {latent['key']} isn't rounded as numpy does")


with tempfile.TemporaryDirectory() as folder:
    rewrite_all(folder)
    create_all(folder)
print(f"{passed} passed, {len(failures)} failed, 0 skipped")
sys.exit(1 if failures else 0)
