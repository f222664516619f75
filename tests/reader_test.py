#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Proves reader.py: every golden file gives what its JSON says, every damaged one gets what its `advice` asks."""
import glob
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
try:
    import reader
except ImportError as missing:
    print(f"SKIP: {missing}: install python3-zstandard, python3-zfpy and python3-numpy", file=sys.stderr)
    sys.exit(77)

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data", "golden")
failures = 0


def expect(name, what, got, wanted):
    global failures
    if got != wanted:
        failures += 1
        print(f"{name}: {what} is {got!r:.300}, not {wanted!r:.300}")


def told(folder):
    for path in sorted(glob.glob(os.path.join(glob.escape(folder), "*.json"))):
        if os.path.basename(path) != "INDEX.json":
            with open(path, encoding="utf-8") as file:
                story = json.load(file)
            yield os.path.join(folder, story["file"]), story


def latent(summary):
    return {k: summary[k] for k in ("key", "shape", "dtype", "sha256")}


def check_golden(path, story):
    artifact = reader.read(path)
    summary = artifact.summary()
    name = story["file"]
    expect(name, "layout", summary["layout"], story["layout"])
    expect(name, "manifest", summary["manifest"],
           {"bytes": story["manifest_text_bytes"], "sha256": story["manifest_text_sha256"]})
    if "manifest_text" in story:
        expect(name, "manifest's text", artifact.manifest.decode(), story["manifest_text"])
    expect(name, "image", summary["image"], story["image"])
    if "latents" in story:
        expect(name, "latents", [latent(l) for l in summary["latents"]], [latent(l) for l in story["latents"]])
    else:
        shape, dtype = story["latent_shape_all"], story["latent_dtype_all"]
        expect(name, "latents", [(l["sha256"], l["shape"], l["dtype"]) for l in summary["latents"]],
               [(digest, shape, dtype) for digest in story["latents_sha256_in_order"]])
    environment = summary["environment"]
    if environment is not None:
        environment = [{k: c[k] for k in ("component_id", "cononical_str")} |
                       {"sha256": c["component_sha256_digest"]} for c in environment]
    expect(name, "environment", environment, story["env"])
    expect(name, "warnings", summary["warnings"], [])


def check_damaged(path, story):
    name = story["file"]
    try:
        summary = reader.read(path).summary()
    except reader.Bad as bad:
        expect(name, f"refused ({bad})", "must_reject", story["advice"])
        return str(bad)
    expect(name, "accepted", "must_accept", story["advice"])
    wanted = story.get("expect") or {k: story["reference"][k] for k in ("latents", "image", "env_components")}
    latents = [{k: l[k] for k in ("shape", "dtype", "sha256")} for l in summary["latents"]]
    expect(name, "latents", latents, wanted["latents"])
    expect(name, "image", summary["image"], wanted["image"])
    environment = summary["environment"]
    expect(name, "environment", None if environment is None else len(environment), wanted["env_components"])
    expect(name, "unknown chunks", [u["type"] for u in summary["unknown"]], wanted.get("unknown", []))
    return "accepted"


golden = list(told(DATA))
damaged = list(told(os.path.join(DATA, "corrupt")))
for each in golden:
    check_golden(*each)
for each in damaged:
    verdict = check_damaged(*each)
    if "-v" in sys.argv:
        print(f"{each[1]['file']}: {verdict}")
if len(golden) < 80 or len(damaged) < 370:
    sys.exit(f"only {len(golden)} golden and {len(damaged)} damaged files in {DATA}")
print(f"{len(golden)} golden and {len(damaged)} damaged files, {failures} failures")
sys.exit(1 if failures else 0)
