"""What LatteT2V and OpenSoraT2V share: the caption, the timestep, the last layer, the checks."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..provenance import Provenance
from .config import LatteT2VConfig, OpenSoraT2VConfig
from .layers import CaptionProjection, Modulation, PatchEmbed, mask_keys, modulate, unpatch


class TextToVideo(nn.Module):
    """A transformer from noisy latents, a timestep and a caption to the noise in the latents."""

    provenance: Provenance | None = None
    pos_embed: PatchEmbed
    proj_out: nn.Linear
    adaln_single: Modulation
    caption_projection: CaptionProjection

    def __init__(self, config: LatteT2VConfig | OpenSoraT2VConfig):
        super().__init__()
        self.config = config
        self.scale_shift_table = nn.Parameter(torch.randn(2, config.width) / config.width**0.5)
        self.pos_embed = PatchEmbed(config.in_channels, config.width, config.patch_size)

    def add_head(self, stored: tuple[int, int] | None = None) -> None:
        """Add the layers that follow the blocks in the published order of keys."""
        config = self.config
        self.proj_out = nn.Linear(config.width, config.patch_size**2 * config.out_channels)
        self.adaln_single = Modulation(config.width)
        self.caption_projection = CaptionProjection(config.caption_channels, config.width, stored)

    def forward(
        self,
        x: Tensor,
        timestep: Tensor,
        *,
        context: Tensor,
        context_mask: Tensor | None = None,
        pad_mask: Tensor | None = None,
    ) -> Tensor:
        """Noisy latents [B, C, T, H, W] -> [B, out_channels, T, H, W].

        `timestep` [B] may hold fractions. `context` is the caption's features [B, L, channels], or
        [B, 1, L, channels] as published; `context_mask` [B, L] or [B, 1, L] has 1 where a token is
        attended to. `pad_mask` [B, T, H, W] has 1 where a latent is no padding. Raises
        `ValueError` on sizes that the network doesn't take.
        """
        self.check_input(x, timestep, context, context_mask, pad_mask)
        embedding, modulation = self.adaln_single(timestep, x.dtype)
        caption = self.caption_projection(context.flatten(1, -2))
        mask = None if context_mask is None else context_mask.flatten(1)
        tokens = self.transform(
            x, modulation, caption, mask_keys(mask, x.dtype), pool_mask(pad_mask, self.config)
        )
        return self.finish(tokens, embedding, x.shape[3] // self.config.patch_size)

    def transform(
        self,
        x: Tensor,
        modulation: Tensor,
        caption: Tensor,
        caption_bias: Tensor | None,
        pad_mask: Tensor | None,
    ) -> Tensor:
        """The tokens [B, T, h * w, width] after all blocks; `pad_mask` is [B, T, h * w]."""
        raise NotImplementedError

    def finish(self, tokens: Tensor, embedding: Tensor, rows: int) -> Tensor:
        """Tokens [B, T, h * w, width] -> [B, out_channels, T, H, W]."""
        table = self.scale_shift_table.to(tokens) + embedding.to(tokens)[:, None]
        shift, scale = table[:, None, None].unbind(3)
        return unpatch(self.proj_out(modulate(tokens, shift, scale)), rows, self.config.patch_size)

    def check_input(
        self,
        x: Tensor,
        timestep: Tensor,
        context: Tensor,
        context_mask: Tensor | None,
        pad_mask: Tensor | None,
    ) -> None:
        """Raise `ValueError` on what the network doesn't take."""
        config = self.config
        check_latent(x, timestep, config.in_channels)
        patch = config.patch_size
        if x.shape[3] % patch or x.shape[4] % patch:
            pixels = patch * config.spatial_compression
            raise ValueError(
                f"got latents of {x.shape[3]}x{x.shape[4]}; patches of {patch} must divide both "
                f"sides: choose a video size in multiples of {pixels} pixels"
            )
        shape = list(context.shape)
        if context.ndim not in (3, 4) or (shape[0], shape[-1]) != (len(x), config.caption_channels):
            raise ValueError(
                f"got a context of shape {shape}; it is [{len(x)}, tokens, "
                f"{config.caption_channels}], the features of the model's text encoder"
            )
        if context_mask is not None and context_mask.numel() != context[..., 0].numel():
            raise ValueError(
                f"got a context_mask of shape {list(context_mask.shape)} for a context of {shape}: "
                "it has one value for each token"
            )
        if pad_mask is not None and pad_mask.shape != x[:, 0].shape:
            raise ValueError(
                f"got a pad_mask of shape {list(pad_mask.shape)}; it is [B, T, H, W] of the "
                f"latents, {list(x[:, 0].shape)}"
            )


def pool_mask(mask: Tensor | None, config: LatteT2VConfig | OpenSoraT2VConfig) -> Tensor | None:
    """A mask of latents [B, T, H, W] -> of tokens [B, T, h * w]: 1 where any latent has 1."""
    if mask is None:
        return None
    return (F.max_pool2d(mask.float(), config.patch_size) > 0).flatten(2)


def check_latent(x: Tensor, timestep: Tensor, channels: int, axis: int = 1) -> None:
    """Raise `ValueError` on latents or timesteps of a wrong shape; `axis` is the channels'."""
    layout = "[B, C, T, H, W]" if axis == 1 else "[B, T, C, H, W]"
    if x.ndim != 5 or x.shape[axis] != channels or 0 in x.shape:
        raise ValueError(
            f"got latents of shape {list(x.shape)}; they are {layout} with {channels} channels"
        )
    if timestep.shape != x.shape[:1]:
        raise ValueError(
            f"got timesteps of shape {list(timestep.shape)}; give one for each of {len(x)} clips"
        )
