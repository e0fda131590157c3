"""OpenSoraT2V of Open-Sora-Plan v1.2: attention among all tokens of a clip, with 3D RoPE."""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn

from .config import OpenSoraT2VConfig
from .layers import Block, mask_keys
from .positions import grid_sinusoids, rotary_table, rotate, sinusoids, stretch
from .text_to_video import TextToVideo


class OpenSoraT2V(TextToVideo):
    """Blocks over all tokens of a clip, each with attention to the caption.

    Any number of frames, and any height and width that patches divide. An image is a clip of one
    frame. The rotations differ from the published code where it is defective: there two axes of
    the same length share one scale.
    """

    family = "opensora_t2v"
    config: OpenSoraT2VConfig

    def __init__(self, config: OpenSoraT2VConfig):
        super().__init__(config)
        self.transformer_blocks = nn.ModuleList(
            Block(config.width, config.heads, True) for _ in range(config.layers)
        )
        self.add_head()

    def transform(
        self,
        x: Tensor,
        modulation: Tensor,
        caption: Tensor,
        caption_bias: Tensor | None,
        pad_mask: Tensor | None,
    ) -> Tensor:
        config, patch = self.config, self.config.patch_size
        size = (x.shape[2], x.shape[3] // patch, x.shape[4] // patch)
        tokens, rotation = self.pos_embed(x), None
        if config.rope:
            cos, sin = rotary_table(size, config.head_dim, config.scales, x.device)
            rotation = partial(rotate, cos=cos, sin=sin)
        else:
            tokens = tokens + self.positions(*size).to(tokens)
        bias = None if pad_mask is None else mask_keys(pad_mask.flatten(1), tokens.dtype)
        clip = tokens.flatten(1, 2)[:, None]
        for block in self.transformer_blocks:
            clip = block(clip, modulation, caption, caption_bias, bias, rotation)
        return clip.view_as(tokens)

    def positions(self, frames: int, rows: int, columns: int) -> Tensor:
        """[frames, rows * columns, width]: all axes stretched onto the range in training."""
        config = self.config
        height, width = (side // config.patch_size for side in config.sample_size)
        counts = (frames, rows, columns)
        trained = (config.latent_frames, height, width)
        time, row, column = map(stretch, counts, trained, config.scales)
        grid = grid_sinusoids(config.width, row, column)
        return grid + sinusoids(time, config.width)[:, None]
