"""3D convolutions by what lies around the clip: over the past, or over both neighbours."""

from __future__ import annotations

from einops import rearrange
from torch import Tensor, nn

from .conv import Conv3d, Edge, pad_right_and_bottom
from .fast import Doubling, convolve_doubled, convolve_still, is_fast
from .reach import DOUBLES, HALVES, Reach, conv_reach
from .stream import StreamState, with_neighbours, with_past

BEFORE = {"causal": "replicate", "causal-zeros": "zeros", "inside": "nothing"}
"""The `ends` of causal convolutions, and what lies before the clip."""

TAPS_OF_STILL = {
    "causal": slice(None),
    "replicate": slice(None),
    "zeros": slice(1, 2),
    "causal-zeros": slice(2, 3),
}
"""By `ends`, the taps of a kernel of three frames that don't see zeros in a clip of one frame."""

BEFORE = {"causal": "replicate", "causal-zeros": "zeros", "inside": "nothing"}
"""The `ends` of causal convolutions, and what lies before the clip."""

TAPS_OF_STILL = {
    "causal": slice(None),
    "replicate": slice(None),
    "zeros": slice(1, 2),
    "causal-zeros": slice(2, 3),
}
"""By `ends`, the taps of a kernel of three frames that don't see zeros in a clip of one frame."""


class ClipConv3d(Conv3d):
    """A 3D convolution that is causal, or centred in time.

    A causal one's `ends` is "causal" (the first frame is repeated before the clip), "causal-zeros"
    or "inside" (nothing lies there: the first output needs three frames); a centred one's is what
    lies beyond both ends, "zeros" or "replicate". `space` is what lies around the picture, "zeros"
    or "replicate", half a kernel wide by default. Time kernels are of one or three frames.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int | tuple[int, int, int] = 3,
        stride: int | tuple[int, int, int] = 1,
        *,
        ends: str = "causal",
        space: Edge = "zeros",
        padding: int | None = None,
    ):
        if padding is None:
            padding = (kernel if isinstance(kernel, int) else kernel[-1]) // 2
        around = (0, padding, padding)
        super().__init__(in_channels, out_channels, kernel, stride, around, padding_mode=space)
        self.ends = ends
        self.looks_ahead = self.kernel_size[0] > 1 and ends not in BEFORE
        self.growth = max(1.0, out_channels / in_channels)
        self.reach = conv_reach(self)

    def forward(
        self, x: Tensor, state: StreamState | None = None, doubled: Doubling | None = None
    ) -> Tensor:
        """With `doubled`, of `x` with height and width doubled."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        is_still = state is None and x.shape[2] == 1 and self.ends in TAPS_OF_STILL
        if kernel > 1 and is_still and is_fast(x, self.weight):
            return convolve_still(self, x, TAPS_OF_STILL[self.ends], doubled)
        if kernel > 1 and self.ends in BEFORE:
            x = with_past(x, self, state, kernel, stride, BEFORE[self.ends])
        elif kernel > 1:
            x = with_neighbours(x, self, state, self.ends, stride)
        if x.shape[2] < kernel:
            return x[:, :, :0]  # too few frames for an output yet
        plain = super().forward
        return convolve_doubled(self, x, doubled, plain) if doubled else plain(x)


class ClipDown2x(nn.Module):
    """Halve height and width, and with `time` the frames.

    [B, C, 1 + 2n, 2H, 2W] -> [B, C, 1 + n, H, W]. With `space` "zeros" the picture is padded at its
    right and bottom, as in the 2D VAE; with "replicate" on all sides. Published as `Downsample3D`.
    """

    growth = 1.3

    def __init__(self, channels: int, time: bool, ends: str = "causal", space: Edge = "zeros"):
        super().__init__()
        stride = (2 if time else 1, 2, 2)
        padding = 0 if space == "zeros" else 1
        self.conv = ClipConv3d(
            channels, channels, 3, stride, ends=ends, space=space, padding=padding
        )
        self.pads_here = space == "zeros"
        self.reach = HALVES if self.pads_here else Reach(1, 0, down=2)

    def forward(self, x: Tensor, state: StreamState | None = None) -> Tensor:
        return self.conv(pad_right_and_bottom(x) if self.pads_here else x, state)


class ClipUp2x(nn.Module):
    """Double height and width (nearest), then convolve; with `time` into twice the frames.

    [B, C, 1 + n, H, W] -> [B, C, 1 + 2n, 2H, 2W]: the clip's first frame of the doubled is dropped.
    Published as `Upsample3D`.
    """

    reach = DOUBLES

    def __init__(self, channels: int, time: bool, ends: str = "replicate", space: Edge = "zeros"):
        super().__init__()
        self.times = 2 if time else 1
        self.growth = 4.0 * self.times
        self.conv = ClipConv3d(channels, self.times * channels, ends=ends, space=space)

    def forward(self, x: Tensor, state: StreamState | None = None) -> Tensor:
        h = self.conv(x, state, doubled="nearest")
        if self.times == 1 or not h.shape[2]:
            return h
        frames = rearrange(h, "b (n c) t h w -> b c (t n) h w", n=2)
        return frames[:, :, 1:] if state is None or state.is_first_call(self) else frames
