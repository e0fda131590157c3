"""The trunks of LPIPS, AlexNet and VGG16: their layers, and their weights from a local file.

AlexNet (Krizhevsky 2014) and VGG16 (Simonyan and Zisserman 2014) up to the last convolution, with
the keys of torchvision's files: `features.<index>.weight` and `.bias`.
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
    """A convolution followed by a ReLU; `index` is its index in torchvision's `features`."""

    index: int
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
"""LPIPS compares the output of each stage (Zhang et al. 2018)."""

SMALLEST = {"alex": 31, "vgg": 16}
"""The shortest side of a frame with which no stage's output is empty."""

NAMES = {"alex": "AlexNet", "vgg": "VGG16"}


def check_network(network: str) -> None:
    """Raise `ValueError` if there is no such trunk."""
    if network not in STAGES:
        raise ValueError(f"got network {network!r}; LPIPS has {' and '.join(STAGES)}: choose one")


def list_shapes(network: str) -> dict[str, tuple[int, ...]]:
    """The keys and shapes of a trunk's weights."""
    shapes: dict[str, tuple[int, ...]] = {}
    for conv in (conv for stage in STAGES[network] for conv in stage.convs):
        key = f"features.{conv.index}"
        shapes[f"{key}.weight"] = (conv.outputs, conv.inputs, conv.kernel, conv.kernel)
        shapes[f"{key}.bias"] = (conv.outputs,)
    return shapes


def read_trunk(network: str, path: Path) -> dict[str, Tensor]:
    """The weights of a trunk in float32, from torchvision's .pth or the output of `pack_trunk`.

    Other tensors of the file, such as torchvision's classifier, are ignored. Raises
    `CheckpointError` if the file contains another network or other objects than tensors.
    """
    check_network(network)
    tensors = read_tensor_file(path).tensors
    mismatch = find_mismatch(network, tensors)
    if mismatch is None:
        return {key: tensors[key].float() for key in list_shapes(network)}
    for other in STAGES:
        if find_mismatch(other, tensors) is None:
            raise CheckpointError(
                f"{path} contains {NAMES[other]}, not {NAMES[network]}: "
                f"give the file of {NAMES[network]}, or choose {other!r}"
            )
    raise CheckpointError(
        f"{path} isn't {NAMES[network]} as torchvision saves it ({mismatch}): "
        f"give torchvision's weights of {NAMES[network]}, or the output of pack_trunk"
    )


def find_mismatch(network: str, tensors: Mapping[str, Tensor]) -> str | None:
    """The first missing or wrong weight of a trunk, as text; None if all match."""
    for key, shape in list_shapes(network).items():
        if key not in tensors:
            return f"it has no {key}"
        if tuple(tensors[key].shape) != shape:
            return f"its {key} is {list(tensors[key].shape)}, not {list(shape)}"
    return None


def pack_trunk(source: Path, target: Path) -> str:
    """Write only the convolutions of torchvision's file, as float16 safetensors; returns the
    network.

    VGG16 shrinks from 528 MB to 29. Raises `CheckpointError` if the source contains neither trunk,
    or the target can't be written.
    """
    tensors = read_tensor_file(source).tensors
    for network in STAGES:
        if find_mismatch(network, tensors) is None:
            packed = {key: tensors[key].half().contiguous() for key in list_shapes(network)}
            facts = {"network": network, "source_sha256": hash_file(source)}
            write_safetensors(target, packed, facts)
            return network
    raise CheckpointError(
        f"{source} contains neither AlexNet nor VGG16 as torchvision saves them: "
        "give one of these two files"
    )


def draw_trunk(network: str, generator: torch.Generator) -> dict[str, Tensor]:
    """Random weights of a trunk that preserve the variance of activations; biases are zero."""
    check_network(network)
    drawn = {}
    for key, shape in list_shapes(network).items():
        weight = torch.randn(shape, generator=generator)
        scale = (2 / weight[0].numel()) ** 0.5  # He et al. 2015
        drawn[key] = weight * scale if len(shape) > 1 else torch.zeros(shape)
    return drawn
