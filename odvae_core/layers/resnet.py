"""The residual block, as two steps."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from .norm import ClipGroupNorm, activate
from .stream import Step, StreamState


class ResnetBlock(nn.Module):
    """norm, SiLU, convolution, twice, plus the block's input.

    `convs` are the classes of the first and second convolution; `norms` the two normalisations. A 1x1 convolution of the first
    class, `nin_shortcut` in the published checkpoints, brings the input to `out_channels`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        convs: tuple[type[nn.Module], type[nn.Module]],
        norms: tuple[nn.Module, nn.Module],
    ):
        super().__init__()
        self.norm1, self.norm2 = norms
        self.conv1 = convs[0](in_channels, out_channels)
        self.conv2 = convs[1](out_channels, out_channels)
        self.growth = max(1.0, out_channels / in_channels)
        if in_channels != out_channels:
            self.nin_shortcut = convs[0](in_channels, out_channels, 1)

    def steps(self) -> Iterator[Step]:
        yield Step(self.open, clip_norm(self.norm1), self.growth)
        yield Step(self.close, clip_norm(self.norm2))

    def open(self, x: Tensor, _: Tensor | None, state: StreamState | None):
        h = self.conv1(activate(self.norm1(x, state)), state)
        return h, self.nin_shortcut(x, state) if hasattr(self, "nin_shortcut") else x

    def close(self, x: Tensor, shortcut: Tensor | None, state: StreamState | None):
        h = self.conv2(activate(self.norm2(x, state)), state)
        assert shortcut is not None
        return h.add_(shortcut) if not h.requires_grad else h + shortcut, None

    def forward(self, x: Tensor, state: StreamState | None = None) -> Tensor:
        h, shortcut = self.open(x, None, state)
        return self.close(h, shortcut, state)[0]


def clip_norm(norm: nn.Module) -> nn.Module | None:
    """`norm` where its statistics span the clip, None where it works frame by frame."""
    return norm if isinstance(norm, ClipGroupNorm) else None
