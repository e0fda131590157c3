"""Mutators of configurations and of safetensors headers: JSON that says what no file should."""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path
from random import Random
from typing import Any

import torch

from tests.fuzz.seeds import PUBLISHED, read_seed, write_bare, write_ours

NUMBERS = (
    0, -1, 1, 3, 7, 64, 65536, 2**31, 2**63, 10**30, -(2**63), 0.5, -0.5, 1e308, -1e-308,
    float("nan"), float("inf"),
)  # fmt: skip
SIGNATURES = (True, False, None, "", "x", "2d", "joint", [], {}, [[]], [0], [None], ["x"], [True])
LARGE = 20_000


def draw_value(rng: Random) -> Any:
    """A value that a field of a configuration could be given."""
    if rng.random() < 0.5:
        return rng.choice(NUMBERS)
    if rng.random() < 0.8:
        return rng.choice(SIGNATURES)
    large = ([1] * LARGE, "x" * LARGE, [[1] * 9] * 99, {str(i): i for i in range(999)})
    return rng.choice(large)


def change_fields(rng: Random, fields: Any) -> Any:
    """A configuration with a field, or a field of a field, changed, dropped or added."""
    if isinstance(fields, list) and fields:
        index = rng.randrange(len(fields))
        match rng.randrange(4):
            case 0:
                return fields[:index]
            case 1:
                return fields * rng.choice((2, 3, 50))
            case _:
                inner = change_fields(rng, fields[index])
                return [*fields[:index], inner, *fields[index + 1 :]]
    if not isinstance(fields, dict) or not fields:
        return draw_value(rng)
    name = rng.choice(list(fields))
    match rng.randrange(8):
        case 0:
            return {key: value for key, value in fields.items() if key != name}
        case 1:
            return {**fields, rng.choice(("colour", "", "__class__", "self")): draw_value(rng)}
        case 2 | 3:
            return {**fields, name: draw_value(rng)}
        case _:
            return {**fields, name: change_fields(rng, fields[name])}


def change_text(rng: Random, text: str) -> str:
    """JSON that is broken, deep, long, or names a field twice."""
    match rng.randrange(8):
        case 0:
            return text[: rng.randrange(len(text))]
        case 1:
            return text.replace("{", '{"blocks": 65536, ', 1)
        case 2:
            depth = rng.choice((40, 900, 100_000))
            return rng.choice(("[", '{"a":')) * depth
        case 3:
            depth = rng.choice((40, 400, 900))
            deep = "[" * depth + "]" * depth
            return text.replace(":", f": {deep}, " + '"b":', 1)
        case 4:
            return text.replace("1", "9" * 5000, 1)
        case 5:
            return text + " " * 10**7
        case 6:
            return rng.choice(("", "null", "NaN", "3", '"x"', "\ufeff" + text, "\ud800", "\0"))
        case _:
            index = rng.randrange(len(text))
            return text[:index] + rng.choice('{}[],:"0-\\u') + text[index + 1 :]


def metadata_config(rng: Random, folder: Path) -> Path:
    """Our own file, whose configuration was changed."""
    seed = read_seed(rng.choice(("odvae-v1.2", "odvae-stream", "cvvae", "ivvae", "sd-vae")))
    metadata = dict(seed.metadata)
    fields = json.loads(metadata["config"])
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        fields = change_fields(rng, fields)
    metadata["config"] = json.dumps(fields)
    if rng.random() < 0.2:
        text = change_text(rng, seed.metadata["config"])
        metadata["config"] = text.encode("utf-8", "replace").decode()
    if rng.random() < 0.1:
        values = ("0", "-1", "2", "٣", "²", "1" * 5000, "", "x", "1e9")
        metadata[rng.choice(("format", "family", "version"))] = rng.choice(values)
    return write_ours(seed.weights, metadata, folder)


def config_json(rng: Random, folder: Path) -> Path:
    """A published config.json, in a folder or beside the weights, that was changed."""
    seed = read_seed(rng.choice(list(PUBLISHED)))
    fields = change_fields(rng, seed.published)
    text = json.dumps(fields)
    if rng.random() < 0.3:
        text = change_text(rng, text)
    (folder / "config.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    path = write_bare(seed.weights, folder)
    return folder if rng.random() < 0.5 else path


def change_entry(rng: Random, header: dict[str, Any]) -> None:
    """Change one tensor's entry of a safetensors header in place."""
    key = rng.choice([key for key in header if key != "__metadata__"])
    entry = header[key]
    names = ("BOOL", "U8", "U16", "U32", "U64", "I64", "C64", "F4", "F8_E4M3", "F8_E8M0", "XYZ", 3)
    match rng.randrange(7):
        case 0:
            entry["dtype"] = rng.choice((*names, None))
        case 1:
            entry["shape"] = [rng.choice(NUMBERS) for _ in range(rng.randrange(7))]
        case 2:
            entry["shape"] = rng.choice(([2**32, 2**32], [1] * 70, [0, 2**62], None, "x", {}))
        case 3:
            entry["data_offsets"] = [rng.choice(NUMBERS), rng.choice(NUMBERS)]
        case 4:
            entry["data_offsets"] = rng.choice(([], [0], None, [0, 0, 0], [8, 0], "x"))
        case 5:
            del entry[rng.choice(list(entry))]
        case _:
            header[rng.choice(("", "x" * 10**6, "a.b", "__metadata__"))] = dict(entry)


def safetensors_header(rng: Random, folder: Path) -> Path:
    """A safetensors file whose header was changed: its length, its text, or its entries."""
    seed = read_seed(rng.choice(("odvae-v1.2", "ivvae")))
    path = write_ours({k: v[:1] for k, v in seed.weights.items()}, seed.metadata, folder)
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    text, body = data[8 : 8 + length].decode(), data[8 + length :]
    declared = None
    match rng.randrange(6):
        case 0:
            declared = rng.choice(
                (0, 1, length - 1, length + 8, len(data), 2**31, 2**63, 2**64 - 1)
            )
        case 1:
            text = change_text(rng, text).encode("utf-8", "replace").decode()
        case 2:
            text = text.replace('"dtype"', '"dtype":"F64","dtype"', 1)
        case 3:
            first = text.index('{"', 1)
            text = text[:first] + text[first:].replace('":{', '":{"shape":[1],', 1)
        case _:
            header = json.loads(text)
            for _ in range(rng.choice((1, 1, 4))):
                change_entry(rng, header)
            text = json.dumps(header)
    head = text.encode()
    size = len(head) if declared is None else declared
    path.write_bytes(struct.pack("<Q", size) + head + body)
    return path


def beside_2d(rng: Random, folder: Path) -> Path:
    """A 2D VAE with a config.json whose scale and shift no VAE has."""
    fields = {"scaling_factor": draw_value(rng), "shift_factor": draw_value(rng)}
    words = {"_class_name": "AutoencoderKL", "latent_channels": 4}
    (folder / "config.json").write_text(json.dumps({**words, **fields}))
    weights = {key: torch.zeros_like(value) for key, value in read_seed("sd-vae").weights.items()}
    path = write_bare(weights, folder)
    return shutil.move(path, folder / "diffusion_pytorch_model.safetensors")


MUTATORS = (
    metadata_config,
    metadata_config,
    config_json,
    config_json,
    safetensors_header,
    beside_2d,
)
