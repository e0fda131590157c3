"""The contract of every layer: chunked output, joined, is the whole-clip output.

So are its gradients, and the state of a pass may be parked on another device between its chunks.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode
from torch.func import functional_call

from odvae_core.layers import fast
from odvae_core.layers.stream import StreamState

close = partial(torch.testing.assert_close, rtol=0, atol=1e-10)


def draw_cuts(frames: int, count: int = 12) -> Iterator[list[int]]:
    """Ways to cut a clip: fixed ones, then random ones with empty chunks among them."""
    yield [frames]
    yield [1] * frames
    yield [1, frames - 1]
    yield [frames - 1, 1]
    draw = random.Random(0)
    for _ in range(count):
        lengths, left = [], frames
        while left:
            lengths.append(min(left, draw.choice([0, 1, 1, 2, 3, 5])))
            left -= lengths[-1]
        yield lengths


def run_chunks(layer: Callable[..., Tensor], chunks: list[Tensor], parking: str = "cpu") -> Tensor:
    """The joined outputs for consecutive chunks; empty ones are dropped on both sides.

    The state is on the device `parking` between the chunks.
    """
    state = StreamState()
    chunks = [chunk for chunk in chunks if chunk.shape[2]]
    outputs = []
    for i, chunk in enumerate(chunks):
        state.last = i == len(chunks) - 1
        state.move(chunk.device)
        outputs.append(layer(chunk, state))
        state.move(parking)
    return torch.cat([output for output in outputs if output.shape[2]], dim=2)


def assert_cutting_changes_nothing(layer: nn.Module, clip: Tensor) -> None:
    """Hold a layer to the contract, on many cuts of a float64 clip [B, C, T, H, W]."""
    with torch.no_grad():
        whole = layer(clip)
        for lengths in draw_cuts(clip.shape[2]):
            joined = run_chunks(layer, list(clip.split(lengths, dim=2)))
            close(joined, whole, msg=f"cut {lengths}")
    assert_the_fast_path_equals_the_plain_one(layer, clip)
    assert_gradients_are_those_of_the_clip(layer, clip)
    assert_state_comes_back_to_the_device(layer, clip)
    for dtype in (torch.float16, torch.bfloat16):
        assert_half_precision_rounds(layer, clip, dtype)


@contextmanager
def fast_at_any_size() -> Iterator[None]:
    """The faster forms of convolutions for small clips too."""
    with patch.object(fast, "LEAST_POSITIONS", 0), patch.object(fast, "LEAST_PICTURE", 0):
        yield


@torch.no_grad()
def assert_the_fast_path_equals_the_plain_one(layer: nn.Module, clip: Tensor) -> None:
    """For the clip, cut or not, and for its first frame alone, with folding at any size."""
    for given in (clip, clip[:, :, :1]):
        with fast.plain_path():
            plain = layer(given)
        with fast_at_any_size():
            close(layer(given), plain)
            close(run_chunks(layer, list(given.split(1, dim=2))), plain)


def assert_gradients_are_those_of_the_clip(layer: nn.Module, clip: Tensor) -> None:
    """Frame by frame as for the whole clip, and in float32 as in float64 up to rounding."""
    whole = compute_gradients(layer, clip, clip.shape[2])
    for chunked, expected in zip(compute_gradients(layer, clip, 1), whole, strict=True):
        close(chunked, expected)
    single = compute_gradients(copy.deepcopy(layer).float(), clip.float(), clip.shape[2])
    tolerance = 1e-5 * max(gradient.abs().max().item() for gradient in whole)
    for rounded, expected in zip(single, whole, strict=True):
        torch.testing.assert_close(rounded.double(), expected, rtol=1e-4, atol=tolerance)


def compute_gradients(layer: nn.Module, clip: Tensor, frames: int) -> list[Tensor]:
    """Of the clip and the weights, for a random direction, from chunks of so many `frames`."""
    clip = clip.detach().clone().requires_grad_()
    chunks = list(clip.split(frames, dim=2))
    output = run_chunks(layer, chunks) if len(chunks) > 1 else layer(clip)
    generator = torch.Generator().manual_seed(1)
    direction = torch.randn(output.shape, generator=generator, dtype=torch.float64).to(output)
    inputs = [clip, *layer.parameters()]
    gradients = torch.autograd.grad(output, inputs, direction, materialize_grads=True)
    return list(gradients)


def assert_state_comes_back_to_the_device(layer: nn.Module, clip: Tensor) -> None:
    """On another device than the CPU, whose place "meta" takes, with the state parked on the CPU.

    Fake tensors hold no values, but they refuse to mix devices.
    """
    tensors = layer.state_dict()
    with torch.no_grad(), FakeTensorMode() as fake:
        weights = {name: fake.from_tensor(tensor).to("meta") for name, tensor in tensors.items()}

        def run(chunk: Tensor, state: StreamState) -> Tensor:
            return functional_call(layer, weights, (chunk, state))

        chunks = list(fake.from_tensor(clip).to("meta").split(1, dim=2))
        assert run_chunks(run, chunks).device.type == "meta"


def assert_half_precision_rounds(layer: nn.Module, clip: Tensor, dtype: torch.dtype) -> None:
    """Chunks in half precision give what the whole clip gives, to 5 % of its largest value.

    The faster forms of convolutions are off there.
    """
    half, chunks = copy.deepcopy(layer).to(dtype), list(clip.to(dtype).split(2, dim=2))
    with torch.no_grad():
        whole = layer(clip)
        with fast.plain_path():
            plain = run_chunks(half, chunks)
        with fast_at_any_size():
            rounded = run_chunks(half, chunks)
    assert rounded.dtype == dtype
    close(rounded.double(), whole, atol=0.05 * whole.abs().max().item())
    close(rounded, plain, atol=0)


def random_clip(channels: int, frames: int, height: int = 6, width: int = 8) -> Tensor:
    """A reproducible float64 clip of two items."""
    generator = torch.Generator().manual_seed(channels * frames)
    return torch.randn(2, channels, frames, height, width, generator=generator, dtype=torch.float64)
