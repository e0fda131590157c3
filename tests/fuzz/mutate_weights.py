"""Mutators of weights: wrong shapes, types, names and values, in every published layout."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random

import torch
from torch import Tensor

from tests.fuzz.seeds import CONFIGS, read_seed, write_bare, write_ours

Weights = dict[str, Tensor]

DTYPES = (
    torch.float16, torch.bfloat16, torch.float64, torch.bool, torch.uint8, torch.int8, torch.int16,
    torch.int32, torch.int64, torch.uint16, torch.uint32, torch.uint64, torch.complex64,
    torch.float8_e4m3fn, torch.float8_e5m2,
)  # fmt: skip
VALUES = (float("nan"), float("inf"), -float("inf"), 1e38)


def pick_weights(rng: Random) -> tuple[str, Weights]:
    """A seed's name and a copy of its dict of weights."""
    name = rng.choice(list(CONFIGS))
    return name, dict(read_seed(name).weights)


def pick_keys(rng: Random, weights: Mapping[str, Tensor]) -> list[str]:
    """One key, or all that share a part of their names with it."""
    key = rng.choice(list(weights))
    if rng.random() < 0.6:
        return [key]
    part = rng.choice(key.split("."))
    return [other for other in weights if part in other.split(".")]


def change_shape(rng: Random, tensor: Tensor) -> Tensor:
    """The same kind of tensor in another shape."""
    shape = list(tensor.shape)
    axis = rng.randrange(len(shape)) if shape else 0
    changes: list[Callable[[], list[int]]] = [
        list,
        lambda: [0],
        lambda: [1],
        lambda: shape[:-1],
        lambda: shape[1:],
        lambda: [*shape, 1],
        lambda: [1, *shape],
        lambda: shape[::-1],
        lambda: [*shape[:axis], 0, *shape[axis + 1 :]],
        lambda: [*shape[:axis], 1, *shape[axis + 1 :]],
        lambda: [*shape[:axis], 2 * shape[axis], *shape[axis + 1 :]] if shape else [2],
        lambda: [*shape[:axis], shape[axis] + 1, *shape[axis + 1 :]] if shape else [3],
        lambda: [0] * len(shape),
        lambda: [1] * 8,
    ]
    return torch.zeros(rng.choice(changes)(), dtype=tensor.dtype)


def write(rng: Random, name: str, weights: Weights, folder: Path) -> Path:
    """Weights as a bare file, as ours, or as a pickle of one of the trainers' layouts."""
    match rng.randrange(5):
        case 0:
            return write_ours(weights, read_seed(name).metadata, folder)
        case 1:
            content = {"state_dict": {"gen_model": weights}, "ema_state_dict": {}}
        case 2:
            content = {"state_dict": {f"first_stage_model.{k}": v for k, v in weights.items()}}
        case _:
            return write_bare(weights, folder)
    torch.save(content, folder / "vae.ckpt", _use_new_zipfile_serialization=rng.random() < 0.7)
    return folder / "vae.ckpt"


def wrong_shape(rng: Random, folder: Path) -> Path:
    name, weights = pick_weights(rng)
    for key in pick_keys(rng, weights):
        weights[key] = change_shape(rng, weights[key])
    return write(rng, name, weights, folder)


def wrong_dtype(rng: Random, folder: Path) -> Path:
    name, weights = pick_weights(rng)
    dtype = rng.choice(DTYPES)
    for key in pick_keys(rng, weights) if rng.random() < 0.7 else list(weights):
        weights[key] = torch.zeros(weights[key].shape).to(dtype)
    return write(rng, name, weights, folder)


def wrong_value(rng: Random, folder: Path) -> Path:
    name, weights = pick_weights(rng)
    for key in pick_keys(rng, weights):
        weights[key] = torch.full_like(weights[key], rng.choice(VALUES))
    return write(rng, name, weights, folder)


def missing_keys(rng: Random, folder: Path) -> Path:
    name, weights = pick_weights(rng)
    for key in pick_keys(rng, weights):
        del weights[key]
    if rng.random() < 0.1:
        weights = dict(rng.sample(list(weights.items()), k=min(3, len(weights))))
    return write(rng, name, weights or {"x": torch.zeros(1)}, folder)


def change_key(rng: Random, key: str) -> str:
    """Another name, as a rule one that the code that reads names might trip over."""
    parts = key.split(".")
    numbers = [i for i, part in enumerate(parts) if part.isdigit()]
    if numbers and rng.random() < 0.5:
        parts[rng.choice(numbers)] = rng.choice(("9", "-1", "99999999999", "٣", "²", "9" * 5000))
        return ".".join(parts)
    changes = (
        f"module.{key}", f"_orig_mod.{key}", f"vae.{key}", f"ema_state_dict.{key}",
        f"first_stage_model.{key}", f"loss.{key}", f"{key}.conv", key.upper(), key + " ", "",
        ".", key.replace(".", ".."), "x" * 70_000, "\0", "encoder.down." * 900, f"gen_model.{key}",
    )  # fmt: skip
    return rng.choice(changes)


def other_keys(rng: Random, folder: Path) -> Path:
    name, weights = pick_weights(rng)
    keep = rng.random() < 0.5
    for key in pick_keys(rng, weights):
        tensor = weights[key] if keep else weights.pop(key)
        weights[change_key(rng, key)] = tensor
    return write(rng, name, weights, folder)


def mixed_seeds(rng: Random, folder: Path) -> Path:
    """Parts of two networks in one file."""
    name, weights = pick_weights(rng)
    _, other = pick_weights(rng)
    side = rng.choice(("encoder.", "decoder.", "decoder.mid"))
    weights = {key: value for key, value in weights.items() if not key.startswith(side)}
    weights |= {key: value for key, value in other.items() if key.startswith(side)}
    return write(rng, name, weights, folder)


MUTATORS = (
    wrong_shape, wrong_shape, wrong_shape, wrong_dtype, wrong_value, missing_keys, other_keys,
    mixed_seeds,
)  # fmt: skip
"""Wrong shapes come three times as often: they have the most ways to be wrong."""
