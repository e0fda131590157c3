"""Mutators of pickles, zip and tar files, and of what lies where a file should."""

from __future__ import annotations

import io
import os
import pickle
import tarfile
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import torch

from tests.fuzz.seeds import read_seed, write_ours

BUILTINS = (
    (b"builtins", b"bytearray", b"I100000000000\n"),
    (b"builtins", b"set", b"(I1\nI2\nt"),
    (b"collections", b"Counter", b"V" + b"x" * 99 + b"\n"),
    (b"builtins", b"eval", b"V1\n"),
    (b"torch", b"Size", b"(I1\nI2\nt"),
)


def make_cycle() -> dict[str, Any]:
    cycle: dict[str, Any] = {}
    cycle["state_dict"] = cycle
    return cycle


def make_fan(depth: int) -> dict[str, Any]:
    """Few dicts with very many paths through them."""
    fan: dict[str, Any] = {"weight": torch.zeros(1)}
    for _ in range(depth):
        fan = {"a": fan, "b": fan}
    return fan


def make_deep(depth: int) -> dict[str, Any]:
    deep: dict[str, Any] = {}
    for _ in range(depth):
        deep = {"a": deep}
    return deep


def expand_weights() -> dict[str, Any]:
    """Every weight far larger than what it is stored in."""
    weights = read_seed("odvae-v1.2").weights
    return {key: torch.zeros(1).expand(1 << 14, 1 << 13) for key in weights}


def alias_weights() -> dict[str, Any]:
    """Very many names for one storage."""
    shared = torch.zeros(1 << 20)
    return {f"encoder.down.{i}.block.0.conv1.weight": shared for i in range(2000)}


CONTENTS: tuple[Callable[[], Any], ...] = (
    make_cycle,
    lambda: make_fan(60),
    lambda: make_deep(200),
    expand_weights,
    alias_weights,
    lambda: {("a", 1): torch.zeros(1), 3: torch.zeros(2), None: torch.zeros(1)},
    lambda: {"a.b": torch.zeros(1), "a": {"b": torch.zeros(1)}},
    lambda: {"a": torch.zeros(3).to_sparse(), "encoder.conv_in.weight": torch.zeros(1)},
    lambda: {"encoder.conv_in.weight": torch.empty(2, 3, device="meta")},
    lambda: {"a": torch.quantize_per_tensor(torch.zeros(3), 1.0, 0, torch.qint8)},
    lambda: OrderedDict(read_seed("odvae-v1.2").weights),
    lambda: {k: torch.nn.Parameter(v) for k, v in read_seed("cvvae").weights.items()},
    lambda: {k: v.transpose(0, -1) if v.ndim else v for k, v in read_seed("ivvae").weights.items()},
    lambda: [read_seed("odvae-v1.2").weights],
    lambda: {"state_dict": {"module.x": torch.zeros(1), "x": torch.zeros(1)}},
    lambda: {"state_dict": read_seed("odvae-v1.2").weights, "model": {"x": torch.zeros(0)}},
)  # fmt: skip


def odd_content(rng: Random, folder: Path) -> Path:
    path = folder / "vae.pt"
    content = rng.choice(CONTENTS)()
    torch.save(content, path, _use_new_zipfile_serialization=rng.random() < 0.7)
    return path


def make_bytes(rng: Random, folder: Path) -> bytearray:
    """The bytes of a small good checkpoint of any kind."""
    seed = read_seed("ivvae")
    weights = {key: value[:1].clone() for key, value in list(seed.weights.items())[:40]}
    match rng.randrange(3):
        case 0:
            return bytearray(write_ours(weights, seed.metadata, folder).read_bytes())
        case kind:
            buffer = io.BytesIO()
            torch.save(weights, buffer, _use_new_zipfile_serialization=kind == 1)
            return bytearray(buffer.getvalue())


def flipped_bytes(rng: Random, folder: Path) -> Path:
    data = make_bytes(rng, folder)
    reach = min(len(data), rng.choice((64, 2000, len(data))))
    for _ in range(rng.choice((1, 1, 3, 20))):
        data[rng.randrange(reach)] = rng.randrange(256)
    (folder / "flipped.bin").write_bytes(data)
    return folder / "flipped.bin"


def cut_bytes(rng: Random, folder: Path) -> Path:
    data = make_bytes(rng, folder)
    start, end = sorted(rng.randrange(len(data)) for _ in range(2))
    kept = rng.choice((data[:end], data[:start] + data[end:], data + data[start:end]))
    (folder / "cut.bin").write_bytes(kept)
    return folder / "cut.bin"


def zip_members(rng: Random, folder: Path) -> Path:
    """A zip file whose members were renamed, dropped, doubled, compressed, or made large."""
    buffer, path = io.BytesIO(), folder / "vae.ckpt"
    torch.save({"x.weight": torch.zeros(9)}, buffer)
    kind = rng.choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED))
    drop = rng.choice(("data.pkl", "version", "data/0", "byteorder", "none"))
    with zipfile.ZipFile(buffer) as good, zipfile.ZipFile(path, "w", kind) as bad:
        for name in good.namelist():
            if name.endswith(drop):
                continue
            data = good.read(name)
            if name.endswith("data.pkl") and rng.random() < 0.3:
                data += b"\0" * 10**8
            if name.endswith("data/0") and rng.random() < 0.3:
                data = b"\0" * 10**8
            bad.writestr(rng.choice((name, name, name, f"../{name}", name.upper())), data)
        for i in range(rng.choice((0, 0, 3, 3000))):
            bad.writestr(f"archive/data/x{i}", b"")
    return path


def raw_pickle(rng: Random, folder: Path) -> Path:
    """A pickle of few bytes that asks for much, alone or within a zip file."""
    module, name, arguments = rng.choice(BUILTINS)
    call = b"c" + module + b"\n" + name + b"\n(" + arguments + b"tR."
    deep = b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b"."
    program = rng.choice((b"\x80\x02" + call, deep, b"\x80\x02\x8b\xff\xff\xff\x7f", b"\x80\x02."))
    if rng.random() < 0.5:
        (folder / "raw.pt").write_bytes(program)
        return folder / "raw.pt"
    with zipfile.ZipFile(folder / "raw.pt", "w") as file:
        file.writestr("archive/data.pkl", program)
        file.writestr("archive/version", "3\n")
        file.writestr("archive/byteorder", "little")
    return folder / "raw.pt"


def old_tar(rng: Random, folder: Path) -> Path:
    """A tar file as PyTorch before 0.1.10 wrote it, of members that are wrong."""
    path = folder / "vae.pt"
    names = ("sys_info", "pickle", "storages", "tensors")
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        if rng.random() < 0.5:
            tar.addfile(tarfile.TarInfo("\udc80"))  # the first byte of a pickle
        for name in rng.sample(names, k=rng.randrange(5)):
            data = rng.choice((b"", pickle.dumps(1), pickle.dumps({}), os.urandom(9)))
            info = tarfile.TarInfo(name)
            info.size = len(data)
            info.type = rng.choice((tarfile.REGTYPE, tarfile.REGTYPE, tarfile.SYMTYPE))
            info.linkname = "/etc/passwd"
            tar.addfile(info, io.BytesIO(data))
    if rng.random() < 0.2:
        path.write_bytes(path.read_bytes()[: rng.randrange(1500)])
    return path


def no_file(rng: Random, folder: Path) -> Path:
    """A pipe, a device, a folder, a loop of links, or nothing, where a file should be."""
    path = folder / rng.choice(("vae.safetensors", "vae.ckpt"))
    match rng.randrange(6):
        case 0:
            os.mkfifo(path)
        case 1:
            path.symlink_to(rng.choice(("/dev/zero", "/dev/null", "/proc/self/mem")))
        case 2:
            path.symlink_to(path)
        case 3:
            path.mkdir()
        case 4:
            (folder / "config.json").symlink_to("/dev/zero")
            write_ours({"x": torch.zeros(1)}, {}, folder)
            return folder
        case _:
            os.mkfifo(folder / "config.json")
            write_ours({"x": torch.zeros(1)}, {}, folder)
            return folder
    return path


MUTATORS = (odd_content, flipped_bytes, cut_bytes, zip_members, raw_pickle, old_tar, no_file)
