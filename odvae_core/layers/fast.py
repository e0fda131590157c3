"""Faster forms of convolutions, equal to the plain ones to rounding. Layers call them here.

`plain_path` switches all of them off. They are also off where a gradient is recorded, in half
precision and under autocast, compilation and export.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Doubling = Literal["nearest", "linear"]
"""How height and width are doubled before a convolution."""

_enabled = ContextVar("fast convolutions", default=True)

LEAST_POSITIONS = 512
"""Positions of all frames from which on nearest phases are faster (benchmarks/fast_path.py)."""

LEAST_PICTURE = 1024
"""Positions of a frame from which on `convolve_start` and linear phases are faster (the same)."""


@contextmanager
def plain_path() -> Generator[None]:
    """Within it, layers use PyTorch's own convolutions, as the authors' code does."""
    token = _enabled.set(False)
    try:
        yield
    finally:
        _enabled.reset(token)


def is_fast(x: Tensor, weight: Tensor) -> bool:
    """Whether the faster forms are used for this input: not in half precision.

    There a rounded sum of rounded weights would add its own error to that of the plain form.
    """
    if torch.compiler.is_compiling() or not _enabled.get():
        return False
    if x.dtype.itemsize < 4 or uses_autocast(x.device.type):
        return False
    return not (torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad))


def uses_onednn(x: Tensor) -> bool:
    """Whether oneDNN's kernel can be called directly: float32 values on the CPU, no autocast.

    Compilation, export and tensor subclasses such as fake tensors keep PyTorch's own operator.
    """
    return (
        not torch.compiler.is_compiling()
        and _enabled.get()
        and type(x) in (Tensor, nn.Parameter)
        and x.device.type == "cpu"
        and x.dtype == torch.float32
        and torch.backends.mkldnn.is_available()
        and not uses_autocast("cpu")
    )


def uses_autocast(device: str) -> bool:
    """Whether convolutions on this type of device are cast; False for "meta", which has no cast."""
    return torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)


def convolve_3d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: tuple[int, ...] = (1, 1, 1),
    padding: tuple[int, ...] = (0, 0, 0),
) -> Tensor:
    """`F.conv3d` with oneDNN's kernel on the CPU, also for small inputs.

    For a single small float32 clip PyTorch chooses a kernel that unfolds the input, at many times
    the time and memory (benchmarks/conv3d.py). For kernels of size 1 that kernel is faster.
    """
    if weight.shape[2:] == (1, 1, 1) or not uses_onednn(x):
        return F.conv3d(x, weight, bias, stride, padding)
    return torch.mkldnn_convolution(x, weight, bias, padding, stride, (1, 1, 1), 1)


def convolve_start(conv: nn.Conv3d, x: Tensor, doubled: Doubling | None = None) -> Tensor | None:
    """A causal convolution from the clip's start on, where the repeated first frame saves taps.

    Of a kernel of 3 in time, the first output then needs one tap and the second two. None where
    that isn't faster. With `doubled`, of `x` with height and width doubled.
    """
    if not is_fast(x, conv.weight):
        return None
    if x.shape[2] == 1:
        return convolve_still(conv, x, doubled=doubled)
    fits = conv.kernel_size[0] == 3 and conv.stride[0] == 1 and conv.padding_mode == "zeros"
    if doubled or not fits or x.shape[3] * x.shape[4] < LEAST_PICTURE:
        return None
    weight, bias = conv.weight, conv.bias
    pair = torch.cat([weight[:, :, :2].sum(2, keepdim=True), weight[:, :, 2:]], dim=2)
    assert not isinstance(conv.padding, str)
    stride, padding = conv.stride, conv.padding
    outputs = [convolve_still(conv, x[:, :, :1])]
    outputs.append(convolve_3d(x[:, :, :2], pair, bias, stride, padding))
    if x.shape[2] > 2:
        outputs.append(convolve_3d(x, weight, bias, stride, padding))
    return torch.cat(outputs, dim=2)


def convolve_still(
    conv: nn.Conv3d, frame: Tensor, taps: slice = slice(None), doubled: Doubling | None = None
) -> Tensor:
    """The convolution of a clip that repeats one frame [B, C, 1, H, W]: its taps in time summed.

    `taps` selects those that see the frame; the others see zeros. With `doubled`, of the frame with
    height and width doubled.
    """
    if doubled and not is_faster_by_phases(frame, doubled):
        frame, doubled = double_space(frame, doubled), None
    weight, x = conv.weight[:, :, taps].sum(2), frame[:, :, 0]
    if doubled:
        return BY_PHASES[doubled](x, weight, conv.bias, conv.padding_mode)[:, :, None]
    assert not isinstance(conv.padding, str)
    padding = conv.padding[1:]
    if conv.padding_mode != "zeros":
        x = F.pad(x, (padding[1],) * 2 + (padding[0],) * 2, mode=conv.padding_mode)
        padding = (0, 0)
    return F.conv2d(x, weight, conv.bias, conv.stride[1:], padding)[:, :, None]


def convolve_doubled(
    conv: nn.Conv2d | nn.Conv3d,
    x: Tensor,
    doubled: Doubling = "nearest",
    plain: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """The convolution of `x` [..., H, W] with height and width doubled: [..., 2H, 2W].

    Its kernel is 3 x 3 in space, with padding 1. `plain` is the convolution itself, by default a
    call of `conv`.
    """
    if is_fast(x, conv.weight) and is_faster_by_phases(x, doubled):
        return BY_PHASES[doubled](x, conv.weight, conv.bias, conv.padding_mode)
    return (plain or conv)(double_space(x, doubled))


def is_faster_by_phases(x: Tensor, doubled: Doubling) -> bool:
    """Whether a convolution by phases is faster than the plain one, for features of this size."""
    if doubled == "linear":
        return x.shape[-2] * x.shape[-1] >= LEAST_PICTURE
    return x.numel() >= LEAST_POSITIONS * x.shape[1]


def double_space(x: Tensor, doubled: Doubling) -> Tensor:
    """`x` [..., H, W] with height and width doubled, by "nearest" or "linear" interpolation."""
    mode = "nearest" if doubled == "nearest" else "bilinear" if x.ndim == 4 else "trilinear"
    return F.interpolate(x, scale_factor=(1, 2, 2)[5 - x.ndim :], mode=mode)


def convolve_nearest(x: Tensor, weight: Tensor, bias: Tensor | None, padding_mode: str) -> Tensor:
    """A convolution of repeated pixels, phase by phase.

    A kernel of 3 over doubled pixels meets only two of the given ones, so each of the four phases
    of the output is a convolution of `x` by 2 x 2: 16 multiplications instead of 36.
    """
    mode = "constant" if padding_mode == "zeros" else padding_mode
    padded = pad_picture(x, mode)
    height, width = x.shape[-2:]
    output: Tensor | None = None
    for row, rows in enumerate(halve_kernel(weight, dim=-2)):
        for column, kernel in enumerate(halve_kernel(rows, dim=-1)):
            near = padded[..., row : row + height + 1, column : column + width + 1]
            phase = convolve(near, kernel, bias)
            if output is None:
                output = phase.new_empty(*phase.shape[:-2], height, 2, width, 2)
            output[..., row, :, column] = phase
    assert output is not None
    return output.view(*output.shape[:-4], 2 * height, 2 * width)


def convolve_linear(x: Tensor, weight: Tensor, bias: Tensor | None, padding_mode: str) -> Tensor:
    """A convolution of linearly interpolated pixels, as a smoothed one of repeated pixels.

    Doubling by linear interpolation repeats pixels, then smooths them by (1, 2, 1) / 4. Smoothing
    and convolution commute, but for the outermost pixels, whose neighbours are zeros after the
    interpolation; those are computed directly.
    """
    assert padding_mode == "zeros"
    padded = pad_picture(x, "replicate")
    columns: list[list[Tensor]] = [[], []]
    for rows in halve_kernel(weight, dim=-2):
        phases = [convolve(padded, kernel, bias) for kernel in halve_kernel(rows, dim=-1)]
        for column, smoothed in zip(columns, smooth_phases(*phases, dim=-1), strict=True):
            column.append(smoothed)
        del phases
    height, width = x.shape[-2:]
    shape = columns[0][0].shape[:-2]
    output = columns[0][0].new_empty(*shape, height, 2, width, 2)
    for i, column in enumerate(columns):
        output[..., 0, :, i], output[..., 1, :, i] = smooth_phases(*column, dim=-2)
    output = output.view(*shape, 2 * height, 2 * width)
    top, bottom = double_space(x[..., :2, :], "linear"), double_space(x[..., -2:, :], "linear")
    output[..., :1, :] = convolve(top[..., :2, :], weight[..., 1:, :], bias, (0, 1))
    output[..., -1:, :] = convolve(bottom[..., -2:, :], weight[..., :2, :], bias, (0, 1))
    left, right = double_space(x[..., :2], "linear"), double_space(x[..., -2:], "linear")
    output[..., :1] = convolve(left[..., :2], weight[..., 1:], bias, (1, 0))
    output[..., -1:] = convolve(right[..., -2:], weight[..., :2], bias, (1, 0))
    return output


BY_PHASES = {"nearest": convolve_nearest, "linear": convolve_linear}


def smooth_phases(first: Tensor, second: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Even and odd positions of a line smoothed by (1, 2, 1) / 4, from its two phases.

    The line is second[0], first[0], second[1], first[1], ...; its ends are dropped.
    """
    count = first.shape[dim] - 1
    (first, after_first), (second, after_second) = (
        (phase.narrow(dim, 0, count), phase.narrow(dim, 1, count)) for phase in (first, second)
    )
    even = (second + after_second).add_(first, alpha=2).mul_(0.25)
    odd = (first + after_first).add_(after_second, alpha=2).mul_(0.25)
    return even, odd


def convolve(
    x: Tensor, weight: Tensor, bias: Tensor | None, padding: tuple[int, int] = (0, 0)
) -> Tensor:
    """A convolution in 2D or 3D, with `padding` of height and width."""
    if x.ndim == 4:
        return F.conv2d(x, weight, bias, padding=padding)
    return convolve_3d(x, weight, bias, padding=(0, *padding))


def pad_picture(x: Tensor, mode: str) -> Tensor:
    """`x` [..., H, W] with a pixel more on every side."""
    return F.pad(x, (1, 1, 1, 1) + (0, 0) * (x.ndim - 4), mode=mode)


def halve_kernel(weight: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Kernels of 2 for the first and the second of two equal pixels, from a kernel of 3."""
    first, middle, last = weight.split(1, dim)
    return torch.cat([first, middle + last], dim), torch.cat([first + middle, last], dim)
