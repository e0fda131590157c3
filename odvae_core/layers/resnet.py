"""The residual block, as two steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from torch import Tensor, nn

from .coder import add_submodule
from .norm import activate, group_norm
from .reach import join_reaches, reach_of
from .stream import Step, StreamState, advance, delay_to_match, growth_of


class ResnetBlock(nn.Module):
    """norm, SiLU, convolution, twice, plus the block's input.

    `convs` make the first and the second convolution; `norms` are the two normalisations. A 1x1
    convolution, made by `shortcut` or else as the first, brings the input to `out_channels`.
    `names` are those of the published checkpoints.
    """

    names = ("norm1", "conv1", "norm2", "conv2", "nin_shortcut")

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        convs: tuple[Callable[..., nn.Module], Callable[..., nn.Module]],
        norms: tuple[nn.Module, nn.Module],
        shortcut: Callable[..., nn.Module] | None = None,
    ):
        super().__init__()
        conv1, conv2 = convs[0](in_channels, out_channels), convs[1](out_channels, out_channels)
        parts = [norms[0], conv1, norms[1], conv2]
        if in_channels != out_channels:
            parts.append((shortcut or convs[0])(in_channels, out_channels, 1))
        for name, part in zip(self.names, parts, strict=False):
            add_submodule(self, name, part)
        self.reach = join_reaches(reach_of(conv1), reach_of(conv2))
        self.changes_channels = in_channels != out_channels

    def steps(self) -> Iterator[Step]:
        norm1, conv1, norm2, conv2 = (self.get_submodule(name) for name in self.names[:4])
        yield Step(self.open, group_norm(norm1), growth_of(conv1), reach_of(conv1))
        yield Step(self.close, group_norm(norm2), growth_of(conv2), reach_of(conv2))

    def open(self, x: Tensor, _: Tensor | None, state: StreamState | None):
        h = self._convolve(x, self.names[0], self.names[1], state)
        if self.changes_channels:
            x = self.get_submodule(self.names[4])(x, state)
        return h, delay_to_match(x, h.shape[2], self, state, "open")

    def close(self, x: Tensor, shortcut: Tensor | None, state: StreamState | None):
        h = self._convolve(x, self.names[2], self.names[3], state)
        assert shortcut is not None
        shortcut = delay_to_match(shortcut, h.shape[2], self, state, "close")
        if not h.shape[2]:
            return h, None
        return h.add_(shortcut) if not h.requires_grad else h + shortcut, None

    def forward(self, x: Tensor, state: StreamState | None = None) -> Tensor:
        return advance(self.steps(), x, None, state)[0]

    def _convolve(self, x: Tensor, norm: str, conv: str, state: StreamState | None) -> Tensor:
        return self.get_submodule(conv)(activate(self.get_submodule(norm)(x, state)), state)


class DiffusersBlock(ResnetBlock):
    """The residual block in diffusers' names."""

    names = (*ResnetBlock.names[:4], "conv_shortcut")
