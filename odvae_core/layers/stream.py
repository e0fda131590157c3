"""The contract of every layer: for any cut of a clip, the joined outputs equal the whole clip's.

A layer is called with a chunk of the clip and the `StreamState` of the pass that it belongs to, or
with the whole clip and no state. It may return fewer frames than it got, even none, and return the
rest with a later chunk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..constants import INDEX_LIMIT
from .reach import PICTURE, Reach, reach_of


@dataclass(frozen=True)
class Moments:
    """Count, mean and sum of squared deviations of each (batch item, group): both tensors [B, G].

    Kept in float32, in float64 for float64 features. Moments of two chunks add up to the moments of
    both (Chan et al. 1979).
    """

    count: int
    mean: Tensor
    deviation: Tensor

    @classmethod
    def of(cls, x: Tensor, groups: int) -> Moments:
        """The moments of features [B, C, T, H, W] over (C / groups, T, H, W)."""
        flat = x.reshape(x.shape[0], groups, -1)
        flat = flat.to(torch.promote_types(x.dtype, torch.float32))
        variance, mean = torch.var_mean(flat, dim=-1, correction=0)
        return cls(flat.shape[-1], mean, variance * flat.shape[-1])

    def __add__(self, other: Moments) -> Moments:
        count = self.count + other.count
        step = other.mean - self.mean
        mean = self.mean + step * (other.count / count)
        between = step.square() * (self.count * other.count / count)
        return Moments(count, mean, self.deviation + other.deviation + between)

    def to(self, device: torch.device | str) -> Moments:
        return Moments(self.count, self.mean.to(device), self.deviation.to(device))

    @property
    def variance(self) -> Tensor:
        return self.deviation / self.count


class StreamState:
    """The state of one pass over one clip between its chunks. Modules keep no state.

    `last` marks the clip's last chunk. `given` holds the moments of the whole clip for each norm
    where they are already known; without it a norm merges the moments of the chunks so far.
    `frame_moments` holds, for a norm of each frame, those of the chunk's frames where the chunk is
    a band of the picture: [B T, G].
    """

    def __init__(self, given: dict[nn.Module, Moments] | None = None):
        self.last = False
        self._given = given
        self._seen: dict[nn.Module, Moments] = {}
        self._frames: dict[tuple[nn.Module, str], Tensor] = {}
        self._called: set[nn.Module] = set()
        self.frame_moments: dict[nn.Module, Moments] = {}

    def recall(self, layer: nn.Module, name: str = "past") -> Tensor | None:
        """The frames that `layer` remembered under `name`, None at the clip's start."""
        return self._frames.get((layer, name))

    def remember(self, layer: nn.Module, frames: Tensor, name: str = "past") -> None:
        """Keep a copy of `frames` for the next chunk; a view would keep the whole chunk."""
        self._frames[layer, name] = frames.clone()

    def is_first_call(self, layer: nn.Module) -> bool:
        """Whether this is the first call by `layer` in this pass."""
        is_first_call = layer not in self._called
        self._called.add(layer)
        return is_first_call

    def moments(self, norm: nn.Module, x: Tensor, groups: int) -> Moments:
        """The statistics that `norm` must use for the chunk `x`."""
        if self._given is not None:
            return self._given[norm]
        moments = Moments.of(x, groups)
        if norm in self._seen:
            moments = self._seen[norm] + moments
        self._seen[norm] = moments
        return moments

    def move(self, device: torch.device | str) -> None:
        """Move the state to `device`, which must be the next chunk's."""
        self._frames = {key: frames.to(device) for key, frames in self._frames.items()}
        self._seen = {norm: moments.to(device) for norm, moments in self._seen.items()}


def starts_clip(layer: nn.Module, state: StreamState | None) -> bool:
    """Whether the chunk that `layer` is called with starts the clip; ask once in a call."""
    return state is None or state.is_first_call(layer)


def with_past(
    x: Tensor,
    layer: nn.Module,
    state: StreamState | None,
    kernel: int,
    stride: int = 1,
    before: str = "replicate",
) -> Tensor:
    """Put the frames that a causal window of `kernel` frames still needs in front of the chunk.

    [B, C, T, H, W] -> [B, C, past + T, H, W], maybe fewer than `kernel` frames. Before the clip lie
    kernel - 1 times its first frame ("replicate"), as many "zeros", or "nothing". What the next
    output needs is remembered: the phase of the stride, not a fixed count.
    """
    past = None if state is None else state.recall(layer)
    if past is None:
        first = torch.zeros_like(x[:, :, :1]) if before == "zeros" else x[:, :, :1]
        past = first.expand(-1, -1, 0 if before == "nothing" else kernel - 1, -1, -1)
    window = torch.cat([past, x], dim=2)
    if state is not None:
        given = max(0, (window.shape[2] - kernel) // stride + 1)
        state.remember(layer, window[:, :, given * stride :])
    return window


def with_neighbours(
    x: Tensor, layer: nn.Module, state: StreamState | None, ends: str, stride: int = 1
) -> Tensor:
    """Put around the chunk the frames that a centred window of three frames still needs.

    [B, C, T, H, W] -> [B, C, T', H, W], maybe fewer than three frames. Beyond both ends of the clip
    lies a frame of "zeros", or its outermost frame again ("replicate"). The window of a chunk's
    last frame is complete only with the next chunk.
    """
    beyond = torch.zeros_like if ends == "zeros" else torch.clone
    past = None if state is None else state.recall(layer)
    parts = [beyond(x[:, :, :1]) if past is None else past, x]
    if state is None or state.last:
        parts.append(beyond(x[:, :, -1:]))
    window = torch.cat(parts, dim=2)
    if state is not None:
        given = max(0, (window.shape[2] - 3) // stride + 1)
        state.remember(layer, window[:, :, given * stride :])
    return window


def delay_to_match(
    shortcut: Tensor, frames: int, layer: nn.Module, state: StreamState | None, name: str
) -> Tensor:
    """Delay `shortcut` so that it has as many frames as the parallel branch."""
    past = None if state is None else state.recall(layer, name)
    if past is None and shortcut.shape[2] == frames:
        return shortcut
    assert state is not None, (shortcut.shape[2], frames)
    if past is not None:
        shortcut = torch.cat([past, shortcut], dim=2)
    state.remember(layer, shortcut[:, :, frames:], name)
    return shortcut[:, :, :frames]


@dataclass(frozen=True)
class Step:
    """One step of a coder.

    `run(x, shortcut, state)` returns the next pair, always of equally many frames.

    `norm` is the group norm that the step starts with, if any: a sweep gathers its statistics
    before it runs the step. `growth` bounds how many times more elements the largest tensor within
    the step has than `x`. `reach` tells on which rows of the picture an output row depends, once
    the statistics are known. `across_time` says that each position of the picture needs all its
    frames and no other position: the step withholds the clip, and a sweep runs it on rows.
    """

    run: Callable[[Tensor, Tensor | None, StreamState | None], tuple[Tensor, Tensor | None]]
    norm: nn.Module | None = None
    growth: float = 1.0
    reach: Reach = PICTURE
    across_time: bool = False

    def most_frames(self, x: Tensor) -> int:
        """The most frames of `x` for which every tensor within the step has 32-bit indices."""
        return int((INDEX_LIMIT - 1) // (x[:, :, :1].numel() * self.growth))


def layer_step(
    run: Callable[..., Tensor],
    norm: nn.Module | None = None,
    like: nn.Module | None = None,
    reach: Reach | None = None,
) -> Step:
    """A step that doesn't use the shortcut.

    Growth and, unless given, reach are those of `like`, else of `run`.
    """
    layer = run if like is None else like

    def run_step(x: Tensor, shortcut: Tensor | None, state: StreamState | None):
        return run(x, state), shortcut

    return Step(run_step, norm, growth_of(layer), reach or reach_of(layer))


def growth_of(layer: object) -> float:
    """How many times more elements than its input a layer's largest tensor has, as declared."""
    return getattr(layer, "growth", 1.0)


def advance(
    steps: Iterable[Step],
    x: Tensor,
    shortcut: Tensor | None = None,
    state: StreamState | None = None,
    report: Callable[[], None] | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Run a chunk through `steps`; stop where a layer withholds all its frames.

    `report` is called after each step. Raises `ValueError` before tensors that 32-bit indices can't
    address, which convolution kernels use.
    """
    for step in steps:
        if not torch.compiler.is_compiling() and x.shape[2] > step.most_frames(x):
            raise ValueError(
                f"features of shape {list(x.shape)} would exceed 32-bit indices: take smaller "
                "pieces or tiles, or Sweep, which cuts finer where it must"
            )
        x, shortcut = step.run(x, shortcut, state)
        if report is not None:
            report()
        if not x.shape[2]:
            break  # withheld: the layers behind see no empty chunk
    return x, shortcut
