"""Checks of a VAE's inputs and outputs: pieces of one clip, finite values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor


class NonFiniteError(ValueError):
    """NaN or infinity in a video, in a latent, or in a network's output for finite input."""


def check_finite(clip: Tensor, name: str, remedy: str) -> Tensor:
    """The clip [B, C, T, H, W]; raises `NonFiniteError` where it holds NaN or infinity.

    A clip through which a gradient is recorded is left to the training loop, and one without values
    (meta tensors, compilation) to the run.
    """
    if not has_values(clip) or (clip.requires_grad and torch.is_grad_enabled()):
        return clip
    low, high = clip.detach().aminmax()  # propagates NaN, and allocates nothing
    if low.isfinite() and high.isfinite():
        return clip
    broken = [i for i, frame in enumerate(clip.unbind(2)) if not frame.isfinite().all()]
    raise NonFiniteError(
        f"got NaN or infinity in {name}, in {len(broken)} of {clip.shape[2]} frames, first in "
        f"frame {broken[0]}: {remedy}"
    )


def has_values(clip: Tensor) -> bool:
    """Whether a tensor's values can be read."""
    return not (torch.compiler.is_compiling() or clip.is_meta or isinstance(clip, FakeTensor))


def check_pieces(
    chunks: Iterable[Tensor],
    check_chunk: Callable[[Tensor], None],
    check_frames: Callable[[int], None],
) -> Iterator[Tensor]:
    """The pieces of a clip that hold a frame, each checked, and at the end their frames in all.

    Raises `ValueError` where a piece differs from the first in more than its number of frames.
    """
    frames, first = 0, None
    for chunk in chunks:
        if chunk.ndim == 5 and not chunk.shape[2]:
            continue
        check_chunk(chunk)
        picture = (*chunk.shape[:2], *chunk.shape[3:])
        first = first or picture
        if picture != first:
            raise ValueError(
                f"got a chunk of shape {list(chunk.shape)} in a clip of batch {first[0]} and "
                f"{first[2]}x{first[3]}; the chunks of one clip differ in frames only: "
                "start another stream for another clip"
            )
        frames += chunk.shape[2]
        yield chunk
    check_frames(frames)
