"""Initial 3D kernels from 2D kernels."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor


def tail_inflate(weight: Tensor, frames: int) -> Tensor:
    """[O, I, H, W] -> [O, I, frames, H, W]: the image kernel at the newest frame, zeros before.

    A causal convolution so inflated equals the 2D one on every frame. OD-VAE, eq. 3.
    """
    inflated = weight.new_zeros(*weight.shape[:2], frames, *weight.shape[2:])
    inflated[:, :, -1] = weight
    return inflated


def average_inflate(weight: Tensor, frames: int) -> Tensor:
    """[O, I, H, W] -> [O, I, frames, H, W]: the image kernel, shared out evenly. OD-VAE, eq. 5.

    Equal to the 2D convolution on a still clip only.
    """
    return (weight / frames).unsqueeze(2).repeat(1, 1, frames, 1, 1)


def center_inflate(weight: Tensor, frames: int) -> Tensor:
    """[O, I, H, W] -> [O, I, frames, H, W]: the image kernel in the middle, zeros around.

    A causal convolution of three frames so inflated lags a frame.
    """
    inflated = weight.new_zeros(*weight.shape[:2], frames, *weight.shape[2:])
    inflated[:, :, frames // 2] = weight
    return inflated


INFLATIONS: dict[str, Callable[[Tensor, int], Tensor]] = {
    "tail": tail_inflate,
    "average": average_inflate,
    "center": center_inflate,
}
