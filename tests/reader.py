#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A second, tiny reader of .raiiaf and .gen5 files, to check the first.

Written from doc/format.md alone and in its order, sharing nothing with the C library; strict, not fast.

    reader.py [--strict-writer] [--fresh] FILE...

prints one JSON object a line for each file and exits with 1 if any is bad.  --strict-writer also checks what a writer
owes (a truthful header, chunks in order and without gaps...); --fresh what it owes for payloads that it encoded itself.
"""
import hashlib
import json
import re
import struct
import sys

import numpy
import zfpy
import zstandard

FILE_LIMIT, CHUNK_LIMIT, MANIFEST_LIMIT = 10 << 30, 2 << 30, 64 << 20
ELEMENT_LIMIT, DIMENSION_LIMIT, RANK_LIMIT, CHUNK_COUNT_LIMIT, DEPTH_LIMIT = 100_000_000, 8192, 8, 65536, 256
ZFP_FLOAT, ZFP_REVERSIBLE = 3, 2176
FLAGS = {b"F32\0": "float32", b"F16\0": "float16"}


class Bad(Exception):
    """The file breaks the format; the text says how."""


def check(condition, reason):
    if not condition:
        raise Bad(reason)


def is_size(value):
    return type(value) is int and 0 <= value < 1 << 64  # True and 33.0 are not integer tokens


# ---- 1. One family, six layouts


class Artifact:
    """What a file holds; warnings are contradictions that the format tolerates."""

    def __init__(self, data, name):
        self.data, self.name, self.warnings = data, name, []
        self.image = self.environment = None
        self.latents, self.unknown, self.encodings = [], [], []
        check(len(data) <= FILE_LIMIT, "file too large")
        self.read_header()
        self.read_manifest()
        self.read_records()
        for i, record in enumerate(self.chunks):
            try:
                self.read_chunk(record)
            except Bad as bad:
                raise Bad(f"{record['type']} {i + 1}: {bad}") from None

    def read_header(self):
        gen5 = self.data[:4] == b"GEN5"
        check(gen5 or self.data[:6] == b"raiiaf", "neither raiiaf nor GEN5")
        self.magic = "GEN5" if gen5 else "raiiaf"
        self.least_header = 32 if gen5 else 29
        check(len(self.data) >= self.least_header, "header cut")
        self.major, self.minor = self.data[4:6] if gen5 else self.data[6:8]
        check(self.major == 1, f"version {self.major}")
        self.table_offset, self.table_size = struct.unpack_from("<II", self.data, 8 if gen5 else 9)
        check(self.table_offset >= self.least_header, "manifest inside the header")
        check(self.table_offset + self.table_size <= len(self.data), "manifest beyond the end of the file")

    # ---- 3. The manifest

    def read_manifest(self):
        stored = self.data[self.table_offset : self.table_offset + self.table_size]
        body = unzstd(stored, MANIFEST_LIMIT + 12)
        kind, flags, size = split(body)
        check(kind == b"META", f"manifest of type {kind}")
        if flags != b"0000":
            self.warnings.append(f"the manifest has flags {flags}")
        check(size == len(body) - 12, "manifest's size lies")
        self.manifest = body[12:]
        document = parse_json(self.manifest)
        check(type(document) is dict, "manifest isn't an object")
        key = "gen5_metadata" if self.magic == "GEN5" else "raiiaf_metadata"
        self.metadata = document.get(key)
        check(type(self.metadata) is dict, f"no {key}")
        self.chunks = self.metadata.get("chunks")
        check(type(self.chunks) is list, "chunks isn't an array")
        check(len(self.chunks) <= CHUNK_COUNT_LIMIT, "too many chunks")

    def read_records(self):
        ranges = [(0, self.least_header), (self.table_offset, self.table_offset + self.table_size)]
        for i, record in enumerate(self.chunks):
            check(type(record) is dict, f"record {i} isn't an object")
            kind = record.get("type")
            check(type(kind) is str and len(kind) == 4 and kind.isascii(), f"record {i} has no type")
            for name in ("offset", "compressed_size", "uncompressed_size"):
                check(is_size(record.get(name)), f"record {i}: {name} isn't a size")
            start, end = record["offset"], record["offset"] + record["compressed_size"]
            check(start < end <= len(self.data), f"record {i} reaches beyond the file")
            check(record["uncompressed_size"] <= CHUNK_LIMIT, f"record {i}: payload too large")
            check(type(record.get("compressed", True)) is bool, f"record {i}: compressed isn't a boolean")
            digest = record.get("hash")
            check(type(digest) is str and len(digest) == 64, f"record {i} has no hash")
            check(all(c in "0123456789abcdefABCDEF" for c in digest), f"record {i}: hash isn't hexadecimal")
            ranges.append((start, end))
        ranges.sort()
        for (_, end), (start, _) in zip(ranges, ranges[1:]):
            check(start >= end, f"overlap at byte {start}")
        latents = [r for r in self.chunks if r["type"] == "LATN"]
        if self.magic == "GEN5":
            split_at = any("len_header" in r or "len_data" in r for r in latents)
            self.layout = "gen5-zfp" if split_at else "gen5"
        else:
            first = min([self.table_offset] + [r["offset"] for r in self.chunks])
            self.layout = "raiiaf-29" if first < 33 else "raiiaf-33"

    # ---- 2. Chunks

    def read_chunk(self, record):
        stored = self.data[record["offset"] : record["offset"] + record["compressed_size"]]
        kind, compressed = record["type"], record.get("compressed", True)
        if kind == "LATN":
            self.latents.append(self.read_latent(record, stored, compressed))
            return
        self.encodings.append("zstd" if compressed else "raw")
        if kind not in ("DATA", "ENVC"):
            self.unknown.append((record, stored))
            return
        payload, flags = self.open_chunk(record, stored, compressed)
        if flags != b"0000":
            self.warnings.append(f"{kind} has flags {flags}")
        verify(record, payload)
        if kind == "DATA":
            self.image = payload
        else:
            self.environment = self.read_environment(payload)

    def open_chunk(self, record, stored, compressed):
        body = unzstd(stored, record["uncompressed_size"] + 12) if compressed else stored
        kind, flags, size = split(body)
        check(kind == record["type"].encode(), f"the chunk says that it is {kind}")
        check(size == len(body) - 12 == record["uncompressed_size"], "sizes differ")
        return body[12:], flags

    def read_latent(self, record, stored, compressed):
        extra = record.get("extra")
        check(type(extra) is dict, "no extra")
        shape = extra.get("shape")
        check(type(shape) is list and 1 <= len(shape) <= RANK_LIMIT, "no shape")
        check(all(type(n) is int and 1 <= n <= DIMENSION_LIMIT for n in shape), "impossible shape")
        elements = int(numpy.prod(shape, dtype=object))
        check(elements <= ELEMENT_LIMIT, "too many elements")
        size = record["uncompressed_size"]
        floats = None
        if compressed and self.layout != "gen5":
            header, data = record.get("len_header"), record.get("len_data")
            check(is_size(header) and is_size(data) and header > 0 and data > 0, "no len_header or len_data")
            check(header + data == len(stored), "len_header and len_data aren't compressed_size")
            head = unzstd(stored[:header], 12)
            check(len(head) == 12, "not a chunk header alone")
            kind, flags, declared = split(head)
            check(kind == b"LATN" and declared == size, "chunk header differs from the record")
            floats, encoding = unzfp(stored[header:], elements)
        elif not compressed and self.layout == "gen5" and len(stored) == size:  # second draft: the tensor alone
            payload, encoding = stored, "bare"
            flags = str(record.get("flags")).encode() + b"\0"
        else:
            encoding = "zstd" if compressed else "raw"
            payload, flags = self.open_chunk(record, stored, compressed)
        check(flags in FLAGS, f"unknown element type {flags}")
        dtype = FLAGS[flags]
        if floats is not None:
            payload = floats.astype("<f2" if dtype == "float16" else "<f4").tobytes()
        if extra.get("dtype", dtype) != dtype or record.get("flags", flags[:3].decode()) != flags[:3].decode():
            self.warnings.append(f"record and chunk differ in type: {dtype}")
        check(len(payload) == size == elements * int(dtype[5:]) // 8, "shape and size differ")
        try:
            verify(record, payload)
        except Bad as bad:
            raise Bad("stored lossily" if encoding.endswith("lossy") else str(bad)) from None
        self.encodings.append(encoding)
        tensor = numpy.frombuffer(payload, "<f2" if dtype == "float16" else "<f4").reshape(shape)
        about = {"shape": shape, "dtype": dtype, "encoding": encoding, "sha256": sha256(payload)}
        return {"key": extra.get("key"), **about, "tensor": tensor}

    # ---- 4. The environment chunk

    def read_environment(self, payload):
        document = parse_json(payload)
        check(type(document) is dict, "environment isn't an object")
        components = document.get("components")
        check(type(components) is list, "components isn't an array")
        for component in components:
            check(type(component) is dict, "a component isn't an object")
            texts = [component.get(n) for n in ("component_id", "cononical_str", "component_sha256_digest")]
            check(all(type(t) is str for t in texts), "a component lacks a string")
            if sha256(texts[1].encode("utf-8", "surrogatepass")) != texts[2]:
                self.warnings.append(f"digest of {texts[0]} doesn't fit")
        if document.get("env_version") != 1:
            self.warnings.append("unknown env_version")
        return components

    def summary(self):
        return {
            "file": self.name,
            "layout": self.layout,
            "manifest": told(self.manifest),
            "image": None if self.image is None else told(self.image),
            "latents": [{k: l[k] for k in l if k != "tensor"} for l in self.latents],
            "environment": self.environment,
            "unknown": [{"type": r["type"], "stored_sha256": sha256(s)} for r, s in self.unknown],
            "encodings": self.encodings,
            "warnings": self.warnings,
        }


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def told(data):
    return {"bytes": len(data), "sha256": sha256(data)}


def verify(record, payload):
    check(sha256(payload) == record["hash"].lower(), "hash differs")


def split(body):
    check(len(body) >= 12, "no room for a chunk header")
    return body[:4], body[4:8], struct.unpack_from("<I", body, 8)[0]


def unzstd(stored, most):
    """The first frame, which must be a data frame that declares a size of at most `most`."""
    check(stored[:4] == b"\x28\xb5\x2f\xfd", "no zstd data frame")
    try:
        size = zstandard.get_frame_parameters(stored).content_size
        check(size <= most, f"declares {size} bytes, at most {most} expected")  # an unknown size is 2^64-1
        body = zstandard.ZstdDecompressor().decompress(stored) if size else b""
    except zstandard.ZstdError as error:
        raise Bad(f"zstd: {error}") from None
    check(len(body) == size, "zstd: fewer bytes than declared")
    return body


def unzfp(stored, elements):
    """The stream's floats and how it is encoded, after its header has been read by hand."""
    check(len(stored) >= 12 and stored[:3] == b"zfp", "no zfp stream")
    bits = int.from_bytes(stored[:12], "little") >> 32
    kind, rank, mode = (bits & 3) + 1, (bits >> 2 & 3) + 1, bits >> 52 & 0xFFF
    check(kind == ZFP_FLOAT, "zfp: not floats")
    width = 48 // rank
    shape = [(bits >> 4 + width * axis & (1 << width) - 1) + 1 for axis in range(rank)]
    check(int(numpy.prod(shape, dtype=object)) == elements, "zfp: shape differs")
    most = 64 + 5 * int(numpy.prod([(n + 3) // 4 * 4 for n in shape], dtype=object))
    try:  # zfp reads beyond the end of a cut stream: give it zeros there
        floats = zfpy.decompress_numpy(stored + bytes(max(0, most - len(stored))))
        return floats, f"zfp-{rank}d" + ("" if mode == ZFP_REVERSIBLE else "-lossy")
    except ValueError as error:
        raise Bad(f"zfp: {error}") from None


def parse_json(data):
    if hasattr(sys, "set_int_max_str_digits"):
        sys.set_int_max_str_digits(0)
    try:
        text = data.decode()
        check(json_depth(text) <= DEPTH_LIMIT, "JSON nested too deeply")
        return json.loads(text)
    except ValueError as error:  # UnicodeDecodeError and JSONDecodeError are ones
        raise Bad(f"JSON: {error}") from None


def json_depth(text):
    depth = most = 0
    for bracket in re.sub(r'"(?:\\.|[^"\\])*"|[^][{}]', "", text, flags=re.DOTALL):
        depth += 1 if bracket in "[{" else -1
        most = max(most, depth)
    return most


# ---- 7. What a writer owes its user


def check_writer(artifact, fresh):
    data, info = artifact.data, artifact.metadata.get("file_info")
    check(artifact.layout == "raiiaf-33", f"written as {artifact.layout}")
    header = struct.unpack_from("<6sBBBIIIQI", data)
    position = 33
    for i, record in enumerate(artifact.chunks):
        where = f"record {i}: "
        check(record.get("index") == i, where + "index")
        check(record["offset"] == position, where + f"gap, or out of order, at byte {position}")
        position += record["compressed_size"]
        check(type(record.get("compressed")) is bool, where + "compressed left out")
        check(type(record.get("extra")) is dict, where + "extra left out")
        check_record(artifact, i, record, where, fresh)
    check(position == artifact.table_offset, f"gap before the manifest, at byte {position}")
    check(not data[artifact.table_offset + artifact.table_size:].strip(b"\0"), "bytes after the manifest")
    count = len(artifact.chunks)
    check(header[5] == artifact.table_size and header[6] == count, "header's chunk_count lies")
    check(header[1:4] == (1, 0, 0) and header[8] == 0, "header's version, flags or reserved")
    check(header[7] == len(data), f"header's file_size is {header[7]}")
    truth = {"magic": "raiiaf", "version_major": 1, "version_minor": 0, "file_size": len(data), "chunk_count": count}
    check(type(info) is dict and truth.items() <= info.items(), f"file_info is {info}")
    model = artifact.metadata.get("model_info")
    required = {"model_name", "version", "date", "prompt", "tags"}
    check(not fresh or type(model) is dict and required <= model.keys(), "model_info")


def check_record(artifact, i, record, where, fresh):
    size, stored = record["uncompressed_size"], record["compressed_size"]
    encoding, lengths = artifact.encodings[i], (record.get("len_header", 0), record.get("len_data", 0))
    if record["type"] == "LATN":
        check(encoding == "raw" or encoding[:3] == "zfp", where + f"{encoding} isn't legal here")
        check(encoding != "raw" or lengths == (12, size), where + "len_header, len_data of a raw latent")
        dtype = {"float32": "F32", "float16": "F16"}[record["extra"].get("dtype")]
        check(record.get("flags") == dtype, where + "flags and dtype")
        check("key" in record["extra"], where + "no key")
        check(not fresh or encoding in ("raw", "zfp-2d", "zfp-3d"), where + f"{encoding} written")
        check(not fresh or encoding == "raw" or stored <= 0.98 * (size + 12), where + "zfp doesn't pay")
    elif record["type"] in ("DATA", "ENVC"):
        check(lengths == (None, None), where + "len_header, len_data aren't null")
        check(record.get("flags") == "0000", where + "flags")
        if fresh and record["type"] == "DATA":
            check(encoding == "raw" or stored <= 0.98 * (size + 12), where + "zstd doesn't pay")


def read(name):
    with open(name, "rb") as file:
        return Artifact(file.read(), name)


def main(arguments):
    names = [a for a in arguments if not a.startswith("--")]
    options = {a for a in arguments if a.startswith("--")}
    if not names or options - {"--strict-writer", "--fresh"}:
        print(__doc__, file=sys.stderr)
        return 2
    failed = False
    for name in names:
        try:
            artifact = read(name)
            if options:
                check_writer(artifact, "--fresh" in options)
            print(json.dumps(artifact.summary()))
        except (Bad, OSError) as error:
            print(f"{name}: {error}", file=sys.stderr)
            failed = True
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
