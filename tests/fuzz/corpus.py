"""Checkpoints that once broke the loader: each a name and how to write it into a folder."""

from __future__ import annotations

import json
import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import torch

from tests.fuzz.mutate_pickles import alias_weights, expand_weights, make_cycle, make_fan
from tests.fuzz.seeds import publish_odvae, read_seed, write_bare, write_ours


def write_config(folder: Path, **fields: object) -> Path:
    """Our own file of the narrow v1.2, with fields of its configuration changed."""
    seed = read_seed("odvae-v1.2")
    config = json.loads(seed.metadata["config"]) | fields
    return write_ours(seed.weights, {**seed.metadata, "config": json.dumps(config)}, folder)


def write_config_json(folder: Path, text: str) -> Path:
    """Good weights with a config.json beside them."""
    (folder / "config.json").write_text(text)
    return write_bare(read_seed("odvae-v1.2").weights, folder)


def write_shape(folder: Path, seed: str, key: str, shape: list[int]) -> Path:
    """Weights of which one has another shape."""
    return write_bare({**read_seed(seed).weights, key: torch.zeros(shape)}, folder)


def write_pickle(folder: Path, content: object) -> Path:
    torch.save(content, folder / "vae.ckpt")
    return folder / "vae.ckpt"


def write_program(folder: Path, program: bytes) -> Path:
    """A zip file of PyTorch's that holds a pickle of our own."""
    with zipfile.ZipFile(folder / "vae.ckpt", "w") as file:
        file.writestr("archive/data.pkl", program)
        file.writestr("archive/version", "3\n")
        file.writestr("archive/byteorder", "little")
    return folder / "vae.ckpt"


def write_doubled_header(folder: Path) -> Path:
    """safetensors that name a tensor twice."""
    entry = '"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'
    header = ("{" + entry + "," + entry + "}").encode()
    path = folder / "vae.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 4)
    return path


def write_packed_zip(folder: Path) -> Path:
    """A zip file of 0.1 MiB that unpacks to 100 MiB."""
    path = folder / "vae.ckpt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("archive/data.pkl", b"\x80\x02}." + b"\0" * 10**8)
    return path


def write_pipe(folder: Path) -> Path:
    os.mkfifo(folder / "vae.safetensors")
    return folder / "vae.safetensors"


def write_device(folder: Path) -> Path:
    (folder / "vae.ckpt").symlink_to("/dev/zero")
    return folder / "vae.ckpt"


def write_many_files(folder: Path) -> Path:
    """A folder of more files than a checkpoint has."""
    write_config_json(folder, json.dumps(publish_odvae()))
    for i in range(5000):
        (folder / f"{i}.txt").touch()
    return folder


def write_module_doubles(folder: Path) -> Path:
    weights = dict(read_seed("odvae-v1.2").weights)
    key = next(iter(weights))
    return write_bare({**weights, f"module.{key}": torch.zeros(1)}, folder)


def write_dtype(folder: Path, dtype: torch.dtype) -> Path:
    weights = read_seed("odvae-v1.2").weights.items()
    return write_bare({key: value.to(dtype) for key, value in weights}, folder)


def write_overflowing_parent(folder: Path) -> Path:
    """A 2D VAE of finite weights whose activations overflow."""
    weights = dict(read_seed("sd-vae").weights)
    key = "decoder.conv_in.weight"
    return write_bare({**weights, key: torch.full_like(weights[key], 3e38)}, folder)


IV, CV, OD = "encoder.conv1.conv_2d.weight", "decoder.conv_in.weight", "encoder.conv_in.weight"
BROKEN: dict[str, Callable[[Path], Path]] = {
    "65536 blocks": lambda folder: write_config(folder, blocks=65536),
    "a width beyond its tensors": lambda folder: write_config(folder, width=65536),
    "65536 blocks in the config.json of a folder": lambda folder: (
        write_config_json(folder, json.dumps({**publish_odvae(), "num_res_blocks": 65536})).parent
    ),
    "a scale of 0": lambda folder: write_config(folder, latent_scale=0),
    "a negative scale": lambda folder: write_config(folder, latent_scale=-1.0),
    "a scale that is true": lambda folder: write_config(folder, latent_scale=True),
    "a scale that is NaN": lambda folder: write_config(folder, latent_scale=float("nan")),
    "a shift without end": lambda folder: write_config(folder, latent_shift=1e308),
    "a scale of 400 digits": lambda folder: write_config(folder, latent_scale=10**400),
    "deep JSON in a field": lambda folder: write_config(
        folder, colour=json.loads("[" * 600 + "]" * 600)
    ),
    "a config that names a field twice": lambda folder: (
        write_config_json(folder, '{"hidden_size": 32, ' + json.dumps(publish_odvae())[1:]).parent
    ),
    "expanded tensors": lambda folder: write_pickle(folder, expand_weights()),
    "tensors that share one storage": lambda folder: write_pickle(folder, alias_weights()),
    "a dict within itself": lambda folder: write_pickle(folder, make_cycle()),
    "dicts of very many paths": lambda folder: write_pickle(folder, make_fan(60)),
    "a bytearray of 100 GB": lambda folder: write_program(
        folder, b"\x80\x02cbuiltins\nbytearray\n(I100000000000\ntR."
    ),
    "a packed zip file": write_packed_zip,
    "a header that names a tensor twice": write_doubled_header,
    "a key with and without module.": write_module_doubles,
    "a 2D VAE that overflows": write_overflowing_parent,
    "an IV-VAE's weight without axes": lambda folder: write_shape(folder, "ivvae", IV, []),
    "an IV-VAE of width 0": lambda folder: write_shape(folder, "ivvae", IV, [0, 3, 3, 3]),
    "a CV-VAE's weight of one axis": lambda folder: write_shape(folder, "cvvae", CV, [4]),
    "an OD-VAE of width 0": lambda folder: write_shape(folder, "odvae-v1.2", OD, [0, 3, 3, 3]),
    "an OD-VAE's weight without axes": lambda folder: write_shape(folder, "odvae-v1.2", OD, []),
    "a 2D VAE of a wrong shape": lambda folder: write_shape(folder, "sd-vae", OD, [32, 3, 3, 1]),
    "unsigned integers of 64 bits": lambda folder: write_dtype(folder, torch.uint64),
    "8-bit floating point": lambda folder: write_dtype(folder, torch.float8_e4m3fn),
    "a pipe": write_pipe,
    "a device": write_device,
    "a folder of 5000 files": write_many_files,
}
