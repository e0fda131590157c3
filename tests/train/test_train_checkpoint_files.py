"""One checkpoint's files: loaded bit for bit as they were saved, and every change is detected."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from odvae_core import CheckpointError
from tests.train.small_checkpoints import (
    draw_parts,
    flatten_state,
    flip_a_bit,
    list_names,
    save_steps,
    truncate,
)
from train.checkpoint_files import open_checkpoint
from train.checkpoints import Checkpoints, Retention
from train.optimisers import Muon

FLOATS = (torch.float64, torch.float32, torch.bfloat16, torch.float16)


@pytest.mark.parametrize("dtype", [*FLOATS, torch.int64, torch.int32, torch.uint8, torch.bool])
def test_tensors_come_back_bit_for_bit(tmp_path, dtype):
    bits = torch.randint(0, 256, (64,), generator=torch.Generator().manual_seed(0)).byte()
    tensor = bits.bool() if dtype == torch.bool else bits.view(dtype)  # any bits: NaNs as well
    state = {"all": tensor, "scalar": tensor[0].clone(), "empty": tensor[:0].clone()}
    state["transposed"] = tensor[:4].clone().view(2, 2).T
    Checkpoints(tmp_path, Retention()).save(1, {"vae": state}, {})
    assert flatten_state(
        Checkpoints(tmp_path, Retention()).load_newest().load("vae")
    ) == flatten_state(state)


def take_steps(network, optimiser, count):
    for step in range(count):
        optimiser.zero_grad()
        network(torch.full((2, 16), 0.1 * (step + 1))).square().sum().backward()
        optimiser.step()


@pytest.mark.parametrize(
    "make",
    [
        lambda weights: torch.optim.Adam(weights, lr=1e-3),
        lambda weights: Muon(weights, 1e-3, (0.9, 0.99)),
    ],
    ids=["adam", "muon"],
)
def test_a_loaded_optimiser_continues_like_the_saved_one(tmp_path, make):
    torch.manual_seed(0)
    network, other = nn.Linear(16, 16), nn.Linear(16, 16)
    optimiser = make(network.parameters())
    take_steps(network, optimiser, 3)
    parts = {"vae": network.state_dict(), "optimiser": optimiser.state_dict()}
    saved = {name: flatten_state(part) for name, part in parts.items()}
    checkpoints = Checkpoints(tmp_path, Retention())
    checkpoints.save(3, parts, {})
    checkpoint = checkpoints.load_newest()
    assert {name: flatten_state(checkpoint.load(name)) for name in checkpoint.parts} == saved
    other.load_state_dict(checkpoint.load("vae"))
    resumed = make(other.parameters())
    resumed.load_state_dict(checkpoint.load("optimiser"))
    take_steps(network, optimiser, 2)
    take_steps(other, resumed, 2)
    assert flatten_state(other.state_dict()) == flatten_state(network.state_dict())
    assert flatten_state(resumed.state_dict()) == flatten_state(optimiser.state_dict())


def test_facts_come_back(tmp_path):
    facts = {"step": 7, "config": {"lr": 1e-5}, "best_psnr": float("-inf"), "commit": None}
    Checkpoints(tmp_path, Retention()).save(7, {}, facts)
    checkpoint = Checkpoints(tmp_path, Retention()).load_newest()
    assert (checkpoint.step, checkpoint.facts, checkpoint.parts) == (7, facts, ())


def test_a_part_that_was_not_saved_is_named(tmp_path):
    checkpoint = save_steps(tmp_path, 1).load_newest()
    with pytest.raises(CheckpointError, match="no part 'discriminator', only vae, optimiser"):
        checkpoint.load("discriminator")


@pytest.mark.parametrize(
    ("state", "place"),
    [
        ({"path": Path("clips")}, r"parts\.vae\.path is of type PosixPath"),
        ({"loss": [1.0, np.float64(2)]}, r"parts\.vae\.loss\[1\] is of type float64"),
        ({np.int64(3): 1}, r"parts\.vae is of type int64"),
    ],
)
def test_a_state_that_could_not_be_loaded_again_is_refused(tmp_path, state, place):
    checkpoints = save_steps(tmp_path, 1)
    with pytest.raises(TypeError, match=place):
        checkpoints.save(2, {"vae": state}, {})
    with pytest.raises(TypeError, match="JSON"):
        checkpoints.save(2, {}, {"path": Path("clips")})
    assert list_names(tmp_path) == ["step-00000001"]


def make_unreadable(folder):
    (folder / "trainer.json").unlink()
    (folder / "trainer.json").mkdir()


def leave_out_a_part(folder):
    manifest = json.loads((folder / "manifest.json").read_bytes())
    del manifest["files"]["optimiser.pt"]
    (folder / "manifest.json").write_text(json.dumps(manifest))


def put_a_list(folder):
    (folder / "manifest.json").write_text("[1, 2]")


DAMAGES = {
    truncate: "vae.pt was changed",
    flip_a_bit: "optimiser.pt was changed",
    make_unreadable: "can't be read completely.*trainer.json",
    leave_out_a_part: "manifest.json was changed",
    put_a_list: "manifest.json was changed",
    lambda folder: (folder / "vae.pt").unlink(): "can't be read completely.*vae.pt",
    lambda folder: (folder / "manifest.json").unlink(): "no readable manifest.json",
    lambda folder: (folder / "manifest.json").write_bytes(b"\xff"): "no readable manifest.json",
    lambda folder: (folder / "trainer.json").write_text("{}"): "trainer.json was changed",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_skipped_and_named(tmp_path, damage, caplog):
    checkpoints = save_steps(tmp_path, 1, 2, 3)
    damage(tmp_path / "step-00000003")
    newest = checkpoints.load_newest()
    assert newest.step == 2
    assert flatten_state(newest.load("vae")) == flatten_state(draw_parts(2)["vae"])
    (warning,) = caplog.messages
    assert warning.startswith(f"skipped: {tmp_path / 'step-00000003'}")
    with pytest.raises(CheckpointError, match=DAMAGES[damage]):
        open_checkpoint(tmp_path / "step-00000003")


@pytest.mark.parametrize("name", ["vae.pt", "trainer.json", "manifest.json"])
def test_every_flipped_bit_is_detected(tmp_path, name):
    save_steps(tmp_path, 1)
    path = tmp_path / "step-00000001"
    content = (path / name).read_bytes()
    for place in range(0, len(content), 1 + len(content) // 500):
        flipped = bytearray(content)
        flipped[place] ^= 1 << place % 8
        (path / name).write_bytes(flipped)
        with pytest.raises(CheckpointError):
            open_checkpoint(path)
    (path / name).write_bytes(content)
    open_checkpoint(path)
