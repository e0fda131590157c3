"""Small checkpoints for tests, and ways to damage them."""

import os

import torch

from train.checkpoints import Checkpoints, Retention

EVERYTHING = Retention(newest=100)


def draw_parts(step):
    """Small states, different for each step."""
    generator = torch.Generator().manual_seed(step)
    return {
        "vae": {"weight": torch.randn(8, 8, generator=generator)},
        "optimiser": {"state": {0: {"step": torch.tensor(step)}}, "param_groups": [{"lr": 1e-5}]},
    }


def save_steps(folder, *steps, retention=EVERYTHING, best=()):
    checkpoints = Checkpoints(folder, retention)
    for step in steps:
        assert checkpoints.save(step, draw_parts(step), {"phase": "late"}, best=step in best)
    return checkpoints


def list_names(folder):
    return sorted(path.name for path in folder.iterdir())


def list_steps(checkpoints):
    return [int(path.name.split("-")[1]) for path in checkpoints.list_paths()]


def flatten_state(state):
    """The leaves of nested dicts, lists and tuples, with their keys; tensors as bytes."""
    if isinstance(state, dict):
        return [(key, *leaf) for key, value in state.items() for leaf in flatten_state(value)]
    if isinstance(state, list | tuple):
        return [
            (type(state), index, *leaf)
            for index, v in enumerate(state)
            for leaf in flatten_state(v)
        ]
    if isinstance(state, torch.Tensor):
        bits = state.detach().contiguous().reshape(-1).view(torch.uint8)
        return [(state.dtype, tuple(state.shape), bytes(bits.tolist()))]
    return [(type(state), state)]


def truncate(folder):
    os.truncate(folder / "vae.pt", (folder / "vae.pt").stat().st_size - 1)


def flip_a_bit(folder):
    content = bytearray((folder / "optimiser.pt").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "optimiser.pt").write_bytes(content)
