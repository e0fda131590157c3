"""Latte (Ma et al., 2024): the video transformer with which OD-VAE's paper compares VAEs."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from ..provenance import Provenance
from .config import LatteConfig
from .layers import PatchEmbed, gelu, modulate, unpatch
from .positions import TIME_CHANNELS, grid_sinusoids, sinusoids, time_features
from .text_to_video import check_latent


class FusedAttention(nn.Module):
    """Multi-head self-attention of tokens [B, N, C]; scores are never stored."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        pattern = "b n (three heads c) -> three b heads n c"
        q, k, v = rearrange(self.qkv(x), pattern, three=3, heads=self.heads)
        attended = F.scaled_dot_product_attention(q, k, v)
        return self.proj(rearrange(attended, "b heads n c -> b n (heads c)"))


class Mlp(nn.Module):
    """Two linear layers with a GELU between them."""

    def __init__(self, width: int):
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(gelu(self.fc1(x)))


def make_modulation(width: int, count: int) -> nn.Sequential:
    """From a clip's condition to `count` values a channel; zeros at the start of a training."""
    linear = nn.Linear(width, count * width)
    nn.init.zeros_(linear.weight)
    nn.init.zeros_(linear.bias)
    return nn.Sequential(nn.SiLU(), linear)


class LatteBlock(nn.Module):
    """Attention within the sequences of tokens [B, G, S, C], then a feed-forward layer."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.attn = FusedAttention(width, heads)
        self.mlp = Mlp(width)
        self.adaLN_modulation = make_modulation(width, 6)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        values = self.adaLN_modulation(condition)[:, None, None].chunk(6, dim=-1)
        shift, scale, gate, mlp_shift, mlp_scale, mlp_gate = values
        sequences = modulate(x, shift, scale).flatten(0, 1)
        x = x + gate * self.attn(sequences).view_as(x)
        return x + mlp_gate * self.mlp(modulate(x, mlp_shift, mlp_scale))


class FinalLayer(nn.Module):
    """Tokens to patches; zeros at the start of a training."""

    def __init__(self, width: int, channels: int):
        super().__init__()
        self.linear = nn.Linear(width, channels)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)
        self.adaLN_modulation = make_modulation(width, 2)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        shift, scale = self.adaLN_modulation(condition)[:, None, None].chunk(2, dim=-1)
        return self.linear(modulate(x, shift, scale))


class Latte(nn.Module):
    """Spatial and temporal blocks in turn; number of frames and side are fixed by the positions.

    The positions are weights of the checkpoint that aren't trained.
    """

    family = "latte"
    provenance: Provenance | None = None

    def __init__(self, config: LatteConfig):
        super().__init__()
        self.config = config
        width, rows = config.width, config.side // config.patch_size
        grid = grid_sinusoids(width, torch.arange(rows), torch.arange(rows))
        time = sinusoids(torch.arange(config.latent_frames), width)
        self.pos_embed = nn.Parameter(grid.float()[None], requires_grad=False)
        self.temp_embed = nn.Parameter(time.float()[None], requires_grad=False)
        self.x_embedder = PatchEmbed(config.in_channels, width, config.patch_size)
        layers = (nn.Linear(TIME_CHANNELS, width), nn.SiLU(), nn.Linear(width, width))
        self.t_embedder = nn.ModuleDict({"mlp": nn.Sequential(*layers)})
        if config.classes is not None:
            table = nn.Embedding(config.classes + 1, width)
            self.y_embedder = nn.ModuleDict({"embedding_table": table})
        self.blocks = nn.ModuleList(LatteBlock(width, config.heads) for _ in range(config.layers))
        self.final_layer = FinalLayer(width, config.patch_size**2 * config.out_channels)
        self.reset_embeddings()

    def reset_embeddings(self) -> None:
        """Random weights of the embeddings and projections as DiT's: Peebles and Xie, 2023."""
        for name, weight in self.named_parameters():
            if name.startswith(("t_embedder.mlp", "y_embedder")) and weight.ndim > 1:
                nn.init.normal_(weight, std=0.02)
            elif name.endswith(("attn.qkv.weight", "attn.proj.weight", "fc1.weight", "fc2.weight")):
                nn.init.xavier_uniform_(weight)
            elif name == "x_embedder.proj.weight":
                nn.init.xavier_uniform_(weight.view(len(weight), -1))
            elif name.endswith(".bias"):
                nn.init.zeros_(weight)

    @property
    def null_label(self) -> int:
        """The label of no class, for guidance. Raises `ValueError` on an unconditional model."""
        if self.config.classes is None:
            raise ValueError("this model is unconditional: it has no labels")
        return self.config.classes

    def forward(self, x: Tensor, timestep: Tensor, y: Tensor | None = None) -> Tensor:
        """Noisy latents [B, T, C, H, W] -> [B, T, out_channels, H, W]: time before the channels.

        `timestep` [B] may hold fractions; `y` [B] are the labels, up to `null_label`. Raises
        `ValueError` on sizes and labels that the network doesn't take.
        """
        self.check_input(x, timestep, y)
        tokens = self.x_embedder(x.transpose(1, 2))
        tokens = tokens + self.pos_embed.to(tokens)
        condition = self.t_embedder["mlp"](time_features(timestep).to(x.dtype))
        if y is not None:
            condition = condition + self.y_embedder["embedding_table"](y)
        for number, block in enumerate(self.blocks):
            if number % 2 == 0:
                tokens = block(tokens, condition)
                continue
            across = tokens.transpose(1, 2)
            if number == 1:
                across = across + self.temp_embed.to(across)
            tokens = block(across, condition).transpose(1, 2)
        patches = self.final_layer(tokens, condition)
        rows = self.config.side // self.config.patch_size
        return unpatch(patches, rows, self.config.patch_size).transpose(1, 2)

    def check_input(self, x: Tensor, timestep: Tensor, y: Tensor | None) -> None:
        """Raise `ValueError` on what the network doesn't take."""
        config = self.config
        check_latent(x, timestep, config.in_channels, axis=2)
        size = (config.latent_frames, config.side, config.side)
        if (x.shape[1], *x.shape[3:]) != size:
            raise ValueError(
                f"got {x.shape[1]} latent frames of {x.shape[3]}x{x.shape[4]}; this model takes "
                f"{size[0]} of {size[1]}x{size[2]}, with which it was trained"
            )
        if (y is None) != (config.classes is None):
            raise ValueError(
                f"got labels {'' if y is None else list(y.shape)}; this model has "
                f"{config.classes or 'no'} classes: "
                f"{'give y, a label for each clip' if y is None else 'leave y out'}"
            )
        if y is not None and (y.shape != x.shape[:1] or y.is_floating_point()):
            raise ValueError(
                f"got labels of shape {list(y.shape)} in {y.dtype}; give one integer for each of "
                f"{len(x)} clips"
            )
