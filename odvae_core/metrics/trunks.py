"""The image networks that LPIPS looks through: their layers, and their weights from a local file.

AlexNet (Krizhevsky 2014) and VGG16 (Simonyan and Zisserman 2014) up to their last convolution, with
the keys of torchvision's files: `features.<place in its list of layers>.weight` and `.bias`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..files.tensorfile import CheckpointError, hash_file, read_tensor_file, write_safetensors


@dataclass(frozen=True)
class Conv:
    """A convolution with a ReLU behind it; `place` is its place in torchvision's list of layers."""

    place: int
    inputs: int
    outputs: int
    kernel: int = 3
    stride: int = 1
    padding: int = 1


@dataclass(frozen=True)
class Stage:
    """A max pooling of stride 2 (`pool` is its kernel, 0 for none), then convolutions."""

    pool: int
    convs: tuple[Conv, ...]


STAGES = {
    "alex": (
        Stage(0, (Conv(0, 3, 64, kernel=11, stride=4, padding=2),)),
        Stage(3, (Conv(3, 64, 192, kernel=5, padding=2),)),
        Stage(3, (Conv(6, 192, 384),)),
        Stage(0, (Conv(8, 384, 256),)),
        Stage(0, (Conv(10, 256, 256),)),
    ),
    "vgg": (
        Stage(0, (Conv(0, 3, 64), Conv(2, 64, 64))),
        Stage(2, (Conv(5, 64, 128), Conv(7, 128, 128))),
        Stage(2, (Conv(10, 128, 256), Conv(12, 256, 256), Conv(14, 256, 256))),
        Stage(2, (Conv(17, 256, 512), Conv(19, 512, 512), Conv(21, 512, 512))),
        Stage(2, (Conv(24, 512, 512), Conv(26, 512, 512), Conv(28, 512, 512))),
    ),
}
"""LPIPS compares what each stage gives (Zhang et al. 2018)."""

SMALLEST = {"alex": 31, "vgg": 16}
"""The shortest side of a frame that leaves something to pool and convolve in every stage."""

NAMES = {"alex": "AlexNet", "vgg": "VGG16"}


def check_network(network: str) -> None:
    """Raise `ValueError` where there is no such trunk."""
    if network not in STAGES:
        raise ValueError(f"got network {network!r}; LPIPS has {' and '.join(STAGES)}: ask for one")


def list_shapes(network: str) -> dict[str, tuple[int, ...]]:
    """The keys of a trunk's weights, and their shapes."""
    shapes: dict[str, tuple[int, ...]] = {}
    for conv in (conv for stage in STAGES[network] for conv in stage.convs):
        key = f"features.{conv.place}"
        shapes[f"{key}.weight"] = (conv.outputs, conv.inputs, conv.kernel, conv.kernel)
        shapes[f"{key}.bias"] = (conv.outputs,)
    return shapes


def read_trunk(network: str, path: Path) -> dict[str, Tensor]:
    """The weights of a trunk in float32, from torchvision's .pth or what `pack_trunk` wrote.

    What else the file holds, torchvision's classifier, stays out. Raises `CheckpointError` where
    the file holds another network, or isn't one of tensors alone.
    """
    check_network(network)
    tensors = read_tensor_file(path).tensors
    misfit = find_misfit(network, tensors)
    if misfit is None:
        return {key: tensors[key].float() for key in list_shapes(network)}
    for other in STAGES:
        if find_misfit(other, tensors) is None:
            raise CheckpointError(
                f"{path} holds {NAMES[other]}, and {NAMES[network]} was asked for: "
                f"give the file of {NAMES[network]}, or ask for {other!r}"
            )
    raise CheckpointError(
        f"{path} is no {NAMES[network]} as torchvision saves it ({misfit}): "
        f"give its {NAMES[network]} weights, or a file that pack_trunk made of them"
    )


def find_misfit(network: str, tensors: Mapping[str, Tensor]) -> str | None:
    """What is wrong with these weights of a trunk first of all, in words; None where they fit."""
    for key, shape in list_shapes(network).items():
        if key not in tensors:
            return f"it has no {key}"
        if tuple(tensors[key].shape) != shape:
            return f"its {key} is {list(tensors[key].shape)}, not {list(shape)}"
    return None


def pack_trunk(source: Path, target: Path) -> str:
    """Write the convolutions of torchvision's file alone, as float16 safetensors; the network.

    VGG16 shrinks from 528 MB to 29. Raises `CheckpointError` where the source holds neither
    trunk, or the target can't be written.
    """
    tensors = read_tensor_file(source).tensors
    for network in STAGES:
        if find_misfit(network, tensors) is None:
            packed = {key: tensors[key].half().contiguous() for key in list_shapes(network)}
            facts = {"network": network, "source_sha256": hash_file(source)}
            write_safetensors(target, packed, facts)
            return network
    raise CheckpointError(
        f"{source} holds neither AlexNet nor VGG16 as torchvision saves them: "
        "give one of these two files"
    )


def draw_trunk(network: str, generator: torch.Generator) -> dict[str, Tensor]:
    """Random weights of a trunk that keep the size of what goes through it; no biases."""
    check_network(network)
    drawn = {}
    for key, shape in list_shapes(network).items():
        weight = torch.randn(shape, generator=generator)
        scale = (2 / weight[0].numel()) ** 0.5  # He et al. 2015
        drawn[key] = weight * scale if len(shape) > 1 else torch.zeros(shape)
    return drawn
