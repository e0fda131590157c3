"""Layers of Open-Sora-Plan's transformers, with the key names of the published checkpoints.

Tokens are [B, G, S, C]: G sequences of S tokens for each clip. Self-attention stays within a
sequence; the modulation and the caption are those of the clip.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from .positions import TIME_CHANNELS, time_features

Rotate = Callable[[Tensor], Tensor]
"""Turns queries or keys [B, heads, tokens, channels] by their positions."""

NORM_EPS = 1e-6
MASKED = -10_000.0
"""What is added to the scores of masked keys: below it float16 would overflow."""


def normalise(x: Tensor) -> Tensor:
    """LayerNorm over the channels, without weights."""
    return F.layer_norm(x, x.shape[-1:], eps=NORM_EPS)


def modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Normalise, then scale and shift by the timestep's values."""
    return normalise(x) * (1 + scale) + shift


def gelu(x: Tensor) -> Tensor:
    """GELU in its tanh approximation, as published."""
    return F.gelu(x, approximate="tanh")


def mask_keys(mask: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    """A mask [B, keys] of 1 and 0 as what is added to the scores, [B, 1, 1, keys]."""
    return None if mask is None else (MASKED * (1 - mask.to(dtype)))[:, None, None]


class Attention(nn.Module):
    """Multi-head attention of tokens [B, N, C] to keys [B, M, C]; scores are never stored."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(width, width)
        self.to_k = nn.Linear(width, width)
        self.to_v = nn.Linear(width, width)
        self.to_out = nn.ModuleList([nn.Linear(width, width)])

    def forward(
        self, x: Tensor, keys: Tensor, bias: Tensor | None = None, rotate: Rotate | None = None
    ) -> Tensor:
        q, k, v = (
            rearrange(project(tokens), "b n (heads c) -> b heads n c", heads=self.heads)
            for project, tokens in ((self.to_q, x), (self.to_k, keys), (self.to_v, keys))
        )
        if rotate is not None:
            q, k = rotate(q), rotate(k)
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        return self.to_out[0](rearrange(attended, "b heads n c -> b n (heads c)"))


class GeluLinear(nn.Module):
    """A linear layer with a GELU after it."""

    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.proj = nn.Linear(width, hidden)

    def forward(self, x: Tensor) -> Tensor:
        return gelu(self.proj(x))


class FeedForward(nn.Module):
    """Two linear layers; the identity has the place of the published dropout."""

    def __init__(self, width: int):
        super().__init__()
        hidden = 4 * width
        self.net = nn.Sequential(GeluLinear(width, hidden), nn.Identity(), nn.Linear(hidden, width))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class Block(nn.Module):
    """Self-attention, attention to the caption where the block has it, and a feed-forward layer.

    The caption's attention has no norm, modulation or gate, as published.
    """

    def __init__(self, width: int, heads: int, captioned: bool):
        super().__init__()
        self.scale_shift_table = nn.Parameter(torch.randn(6, width) / width**0.5)
        self.attn1 = Attention(width, heads)
        self.attn2 = Attention(width, heads) if captioned else None
        self.ff = FeedForward(width)

    def forward(
        self,
        x: Tensor,
        modulation: Tensor,
        context: Tensor | None = None,
        context_bias: Tensor | None = None,
        bias: Tensor | None = None,
        rotate: Rotate | None = None,
    ) -> Tensor:
        """Tokens [B, G, S, C] with `modulation` [B, 6 C] and the caption `context` [B, L, C].

        `bias` is added to the scores within the B * G sequences, `context_bias` to the caption's.
        """
        table = self.scale_shift_table.to(x) + modulation.to(x).unflatten(1, (6, -1))
        shift, scale, gate, ff_shift, ff_scale, ff_gate = table[:, None, None].unbind(3)
        sequences = modulate(x, shift, scale).flatten(0, 1)
        x = x + gate * self.attn1(sequences, sequences, bias, rotate).view_as(x)
        if self.attn2 is not None and context is not None:
            x = x + self.attn2(x.flatten(1, 2), context, context_bias).view_as(x)
        return x + ff_gate * self.ff(modulate(x, ff_shift, ff_scale))


class PatchEmbed(nn.Module):
    """[B, C, T, H, W] -> tokens [B, T, h * w, width], row by row."""

    def __init__(self, channels: int, width: int, patch: int):
        super().__init__()
        self.proj = nn.Conv2d(channels, width, patch, stride=patch)

    def forward(self, x: Tensor) -> Tensor:
        frames = self.proj(rearrange(x, "b c t h w -> (b t) c h w"))
        return rearrange(frames, "(b t) c h w -> b t (h w) c", b=x.shape[0])


def unpatch(tokens: Tensor, rows: int, patch: int) -> Tensor:
    """Tokens [B, T, h * w, p * p * C] -> [B, C, T, H, W]; their channels are (row, column, C)."""
    pattern = "b t (h w) (p q c) -> b c t (h p) (w q)"
    return rearrange(tokens, pattern, h=rows, p=patch, q=patch)


class TimestepEmbedder(nn.Module):
    """The features of a timestep through two linear layers: [B] -> [B, width]."""

    def __init__(self, width: int):
        super().__init__()
        self.linear_1 = nn.Linear(TIME_CHANNELS, width)
        self.linear_2 = nn.Linear(width, width)

    def forward(self, timestep: Tensor, dtype: torch.dtype) -> Tensor:
        return self.linear_2(F.silu(self.linear_1(time_features(timestep).to(dtype))))


class Modulation(nn.Module):
    """A timestep as its embedding [B, width], and as the modulation of all blocks [B, 6 width]."""

    def __init__(self, width: int):
        super().__init__()
        self.emb = nn.ModuleDict({"timestep_embedder": TimestepEmbedder(width)})
        self.linear = nn.Linear(width, 6 * width)

    def forward(self, timestep: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        embedding = self.emb["timestep_embedder"](timestep, dtype)
        return embedding, self.linear(F.silu(embedding))


class CaptionProjection(nn.Module):
    """Features of a text encoder through two linear layers.

    `stored` is the shape of a buffer that LatteT2V's checkpoints have and no code uses.
    """

    def __init__(self, channels: int, width: int, stored: tuple[int, int] | None = None):
        super().__init__()
        if stored is not None:
            self.register_buffer("y_embedding", torch.zeros(stored))
        self.linear_1 = nn.Linear(channels, width)
        self.linear_2 = nn.Linear(width, width)

    def forward(self, context: Tensor) -> Tensor:
        return self.linear_2(gelu(self.linear_1(context)))
