"""LatteT2V of Open-Sora-Plan v1.0 and v1.1: attention within frames and across them in turn."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .config import LatteT2VConfig
from .layers import Block, mask_keys
from .positions import grid_sinusoids, sinusoids, stretch
from .text_to_video import TextToVideo, check_latent

STORED_TOKENS = 120
"""Rows of the unused buffer `caption_projection.y_embedding`."""

SCALED_SIDE = 64
"""The side of the latents above which spatial positions are scaled down."""


class LatteT2V(TextToVideo):
    """Pairs of a spatial block, which also attends to the caption, and a temporal block.

    Any height and width that patches divide, stretched onto the positions in training. A single
    frame is an image: temporal blocks are skipped. Clips may be shorter than `latent_frames`, with
    which the published models were trained, but not longer.
    """

    family = "latte_t2v"
    config: LatteT2VConfig

    def __init__(self, config: LatteT2VConfig):
        super().__init__(config)
        width, heads = config.width, config.heads
        pairs = range(config.layers)
        self.transformer_blocks = nn.ModuleList(Block(width, heads, True) for _ in pairs)
        self.temporal_transformer_blocks = nn.ModuleList(Block(width, heads, False) for _ in pairs)
        self.add_head((STORED_TOKENS, config.caption_channels))

    def transform(
        self,
        x: Tensor,
        modulation: Tensor,
        caption: Tensor,
        caption_bias: Tensor | None,
        pad_mask: Tensor | None,
    ) -> Tensor:
        patch = self.config.patch_size
        tokens = self.pos_embed(x)
        tokens = tokens + self.spatial_positions(x.shape[3] // patch, x.shape[4] // patch).to(
            tokens
        )
        bias = None if pad_mask is None else mask_keys(pad_mask.flatten(0, 1), tokens.dtype)
        pairs = zip(self.transformer_blocks, self.temporal_transformer_blocks, strict=True)
        for number, (spatial, temporal) in enumerate(pairs):
            tokens = spatial(tokens, modulation, caption, caption_bias, bias)
            if x.shape[2] > 1:
                across = tokens.transpose(1, 2)
                if number == 0:
                    across = across + self.temporal_positions(x.shape[2]).to(across)
                tokens = temporal(across, modulation).transpose(1, 2)
        return tokens

    def spatial_positions(self, rows: int, columns: int) -> Tensor:
        """[rows * columns, width]: both axes stretched onto the range in training."""
        side = self.config.sample_side
        base, scale = side // self.config.patch_size, max(side // SCALED_SIDE, 1)
        stretched = (stretch(count, base, scale) for count in (rows, columns))
        return grid_sinusoids(self.config.width, *stretched)

    def temporal_positions(self, frames: int) -> Tensor:
        """[frames, width]."""
        return sinusoids(torch.arange(frames) / self.config.temporal_scale, self.config.width)

    def check_input(
        self,
        x: Tensor,
        timestep: Tensor,
        context: Tensor,
        context_mask: Tensor | None,
        pad_mask: Tensor | None,
    ) -> None:
        check_latent(x, timestep, self.config.in_channels)
        super().check_input(x, timestep, context, context_mask, pad_mask)
        most = self.config.latent_frames
        if x.shape[2] > most:
            raise ValueError(
                f"got {x.shape[2]} latent frames; this model was trained with {most} "
                f"({1 + self.config.temporal_compression * (most - 1)} frames of video) and has no "
                "positions for more: make the clip shorter"
            )
