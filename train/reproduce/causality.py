"""IV-VAE's network with causal instead of group causal convolutions, for a comparison."""

from __future__ import annotations

import torch
from torch import Tensor

from odvae_core.layers.conv import Conv3d
from odvae_core.layers.group_causal import GroupCausalConv3d
from odvae_core.layers.separated import SeparatedConv3d
from odvae_core.vae import VideoVAE


class CausalReplacement(GroupCausalConv3d):
    """A causal convolution with the weights of a group causal one.

    Its kernel covers the frame and the two before it. It takes whole clips only; the first frame is
    repeated before the clip.
    """

    unstreamable = whole_clip_only = "its causal convolutions take whole clips only"

    def __init__(self, grouped: GroupCausalConv3d):
        super().__init__(grouped.in_channels, grouped.out_channels, group=grouped.group)
        self.weight, self.bias = grouped.weight, grouped.bias

    def over_groups(self, frames: Tensor, is_first_call: bool) -> Tensor:
        assert is_first_call, "only whole clips are supported"
        return Conv3d.forward(self, torch.cat([frames[:, :, [0, 0]], frames], dim=2))


def list_group_causal(vae: VideoVAE) -> list[SeparatedConv3d]:
    """The layers of an IV-VAE that contain a group causal convolution."""
    layers = [layer for layer in vae.modules() if isinstance(layer, SeparatedConv3d)]
    return [
        layer for layer in layers if layer.conv_3d is not None and layer.conv_3d.kernel_size[0] > 1
    ]


def make_causal(vae: VideoVAE) -> None:
    """Replace the group causal convolutions of an IV-VAE; the weights are the same objects."""
    for layer in list_group_causal(vae):
        layer.conv_3d = CausalReplacement(layer.conv_3d)  # pyright: ignore[reportArgumentType]


@torch.no_grad()
def delay_kernels(vae: VideoVAE) -> None:
    """Move the weights of the current frame from the middle (group causal) to the end (causal).

    If the weights of other frames are 0, the causal network then computes the same.
    """
    for layer in list_group_causal(vae):
        weight = layer.conv_3d.weight  # pyright: ignore[reportOptionalMemberAccess]
        weight.copy_(weight.roll(1, dims=2))
