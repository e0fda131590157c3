"""TATS' VQGAN (arXiv 2204.03638) as a candidate: a codec of whole clips of 4k frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log2
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..files.tensorfile import hash_file, naming, read_tensor_file
from ..padding import ClipSize, crop, pad_picture
from .candidates import Candidate, dtype_name

NAME = "TATS VQGAN"
OWN = ("encoder.", "decoder.", "pre_vq_conv.", "post_vq_conv.", "codebook.")
"""The prefixes of the codec in a checkpoint; discriminators and LPIPS lie beside it."""

PAPER_PARAMETERS = 52_192_773
"""What OD-VAE's Table 1 counts (52.19 M): the codec, both discriminators and LPIPS with VGG16."""


@dataclass(frozen=True)
class TatsConfig:
    """The arguments of the authors' `VQGAN`; `downsample` is of time, height and width."""

    embedding_dim: int = 256
    n_codes: int = 16384
    n_hiddens: int = 32
    downsample: tuple[int, ...] = (4, 8, 8)
    norm_type: str = "batch"
    padding_type: str = "replicate"

    @property
    def levels(self) -> int:
        return int(log2(max(self.downsample)))

    def stride(self, level: int) -> tuple[int, ...]:
        """Each axis is halved at the finest levels of the encoder."""
        return tuple(2 if level < log2(factor) else 1 for factor in self.downsample)


class SamePadConv3d(nn.Module):
    """A convolution padded by kernel - stride, the larger half in front."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int = 3,
        stride: Sequence[int] = (1, 1, 1),
        padding: str = "replicate",
    ):
        super().__init__()
        self.pad, self.padding = pad_widths(kernel, stride), padding
        self.conv = nn.Conv3d(in_channels, out_channels, kernel, tuple(stride))  # pyright: ignore

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, self.pad, mode=self.padding))


class SamePadConvTranspose3d(nn.Module):
    """A transposed convolution with a kernel of 4: each axis as many times larger as its stride."""

    def __init__(self, in_channels: int, out_channels: int, stride: Sequence[int]):
        super().__init__()
        self.pad = pad_widths(4, stride)
        self.convt = nn.ConvTranspose3d(in_channels, out_channels, 4, tuple(stride), 3)  # pyright: ignore

    def forward(self, x: Tensor) -> Tensor:
        return self.convt(F.pad(x, self.pad, mode="replicate"))


def pad_widths(kernel: int, stride: Sequence[int]) -> list[int]:
    """The arguments of `F.pad`: from the last axis to the first, in front and behind."""
    widths: list[int] = []
    for step in reversed(stride):
        missing = kernel - step
        widths += [missing - missing // 2, missing // 2]
    return widths


class ResBlock(nn.Module):
    """norm, SiLU, convolution, twice, plus the input."""

    def __init__(self, channels: int, norm_type: str):
        super().__init__()
        self.norm1, self.conv1 = make_norm(channels, norm_type), SamePadConv3d(channels, channels)
        self.norm2, self.conv2 = make_norm(channels, norm_type), SamePadConv3d(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        return x + self.conv2(F.silu(self.norm2(h)))


def make_norm(channels: int, norm_type: str) -> nn.Module:
    """Batch norm, whose stored statistics make it fixed in eval mode, or GroupNorm of the clip."""
    if norm_type == "batch":
        return nn.BatchNorm3d(channels)
    return nn.GroupNorm(32, channels, 1e-6)


class TatsEncoder(nn.Module):
    def __init__(self, config: TatsConfig):
        super().__init__()
        width, padding = config.n_hiddens, config.padding_type
        self.conv_first = SamePadConv3d(3, width, padding=padding)
        self.conv_blocks = nn.ModuleList()
        for level in range(config.levels):
            before, after = width * 2**level, width * 2 ** (level + 1)
            block = nn.Module()
            block.down = SamePadConv3d(before, after, 4, config.stride(level), padding)
            block.res = ResBlock(after, config.norm_type)
            self.conv_blocks.append(block)
        self.final_block = nn.Sequential(
            make_norm(width * 2**config.levels, config.norm_type), nn.SiLU()
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_first(x)
        for block in self.conv_blocks:
            x = block.res(block.down(x))  # pyright: ignore
        return self.final_block(x)


class TatsDecoder(nn.Module):
    """`final_block`, as its authors call it, runs first; time is doubled at the coarsest levels."""

    def __init__(self, config: TatsConfig):
        super().__init__()
        widest = config.n_hiddens * 2**config.levels
        self.final_block = nn.Sequential(make_norm(widest, config.norm_type), nn.SiLU())
        self.conv_blocks = nn.ModuleList()
        before = widest
        for level in range(config.levels):
            after = widest // 2**level
            block = nn.Module()
            block.up = SamePadConvTranspose3d(before, after, config.stride(level))
            block.res1 = ResBlock(after, config.norm_type)
            block.res2 = ResBlock(after, config.norm_type)
            self.conv_blocks.append(block)
            before = after
        self.conv_last = SamePadConv3d(before, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.final_block(x)
        for block in self.conv_blocks:
            x = block.res2(block.res1(block.up(x)))  # pyright: ignore
        return self.conv_last(x)


class Codebook(nn.Module):
    """The codes' vectors, and the state of their training."""

    embeddings: Tensor

    def __init__(self, count: int, width: int):
        super().__init__()
        self.register_buffer("embeddings", torch.randn(count, width))
        self.register_buffer("N", torch.zeros(count))
        self.register_buffer("z_avg", torch.zeros(count, width))

    def find_nearest(self, z: Tensor) -> Tensor:
        """[B, C, T, H, W] -> codes [B, T, H, W]; the first of equally near ones."""
        flat, table = z.movedim(1, -1).flatten(0, -2), self.embeddings
        distances = flat.square().sum(1, keepdim=True) - 2 * flat @ table.T
        codes = (distances + table.square().sum(1)).argmin(dim=1)
        return codes.view(z.shape[0], *z.shape[2:])

    def look_up(self, codes: Tensor) -> Tensor:
        """Codes [B, T, H, W] -> their vectors [B, C, T, H, W]."""
        return F.embedding(codes, self.embeddings).movedim(-1, 1)


class Tats(nn.Module):
    """Video in [-0.5, 0.5] of 4k frames to codes [B, k, H / 8, W / 8], and back."""

    def __init__(self, config: TatsConfig):
        super().__init__()
        self.config = config
        widest = config.n_hiddens * 2**config.levels
        self.encoder, self.decoder = TatsEncoder(config), TatsDecoder(config)
        padding = config.padding_type
        self.pre_vq_conv = SamePadConv3d(widest, config.embedding_dim, 1, padding=padding)
        self.post_vq_conv = SamePadConv3d(config.embedding_dim, widest, 1)
        self.codebook = Codebook(config.n_codes, config.embedding_dim)

    def encode(self, video: Tensor) -> Tensor:
        return self.codebook.find_nearest(self.pre_vq_conv(self.encoder(video)))

    def decode(self, codes: Tensor) -> Tensor:
        return self.decoder(self.post_vq_conv(self.codebook.look_up(codes)))

    def reconstruct(self, video: Tensor) -> Tensor:
        """A clip [B, 3, T, H, W] in [-1, 1] to the same, clamped to it as published.

        The last frame is repeated up to 4k frames, the picture mirrored to multiples of 8.
        """
        size = ClipSize.of(video)
        time, *space = self.config.downsample
        padded = ClipSize(
            -(-size.frames // time) * time,
            *(
                -(-s // step) * step
                for s, step in zip((size.height, size.width), space, strict=True)
            ),
        )
        video = pad_picture(video, padded)
        repeated = video[:, :, -1:].expand(-1, -1, padded.frames - size.frames, -1, -1)
        video = torch.cat([video, repeated], dim=2)
        return crop(2 * self.decode(self.encode(video / 2)).clamp(-0.5, 0.5), size)


def is_tats(tensors: Mapping[str, Tensor]) -> bool:
    """Tell whether these are TATS'."""
    return {"codebook.embeddings", "encoder.conv_first.conv.weight"} <= set(tensors)


def read_tats_config(
    tensors: Mapping[str, Tensor], arguments: Mapping[str, Any]
) -> tuple[TatsConfig, str]:
    """The configuration of a checkpoint, and what was assumed, as a sentence or "".

    Shapes don't tell the downsampling, for every kernel is 4 wide: `arguments` do, those of the
    training that the checkpoint stores. Raises `ValueError` on another network.
    """
    stem = tensors["encoder.conv_first.conv.weight"]
    if stem.ndim != 5 or stem.shape[1] != 3:
        raise ValueError(f"its first weight is {list(stem.shape)}: give a TATS of colour video")
    codes, width = tensors["codebook.embeddings"].shape
    levels = len([key for key in tensors if key.startswith("encoder.") and ".down.conv.w" in key])
    found = {
        "embedding_dim": width,
        "n_codes": codes,
        "n_hiddens": stem.shape[0],
        "norm_type": "batch" if "encoder.final_block.0.running_mean" in tensors else "group",
    }
    stored = {name: arguments[name] for name in ("downsample", "padding_type") if name in arguments}
    if "downsample" in stored:
        stored["downsample"] = tuple(stored["downsample"])
    config = TatsConfig(**found, **stored)
    if config.levels != levels or len(config.downsample) != 3:
        raise ValueError(f"it has {levels} levels, which isn't downsampling by {config.downsample}")
    assumed = "" if "downsample" in stored else "downsampling of 4x8x8 is assumed"
    return config, assumed


def load_tats(path: Path) -> tuple[Tats, str]:
    """A TATS and what was assumed of it, from a Lightning checkpoint or its state dict.

    Raises `CheckpointError`.
    """
    with naming(path):
        content = read_tensor_file(path)
        tensors = {key.removeprefix("state_dict."): value for key, value in content.tensors.items()}
        tensors = {key: value for key, value in tensors.items() if key.startswith(OWN)}
        if not is_tats(tensors):
            raise ValueError("it holds no VQGAN of TATS")
        config, assumed = read_tats_config(tensors, content.arguments)
        network = Tats(config).eval().requires_grad_(False)
        missing = {key for key in network.state_dict() if "num_batches" not in key} - set(tensors)
        if missing:
            raise ValueError(f"{len(missing)} keys are missing, first {sorted(missing)[0]}")
        try:
            network.load_state_dict(
                {key: value.clone() for key, value in tensors.items()}, strict=False
            )
        except RuntimeError as error:
            raise ValueError(f"its weights don't fit ({error})") from error
    return network, assumed


def make_tats_candidate(
    name: str, path: Path, dtype: torch.dtype, device: torch.device, video: ClipSize
) -> Candidate:
    """TATS on whole crops of size `video`."""
    network, assumed = load_tats(path)
    network = network.to(device, dtype)
    time, space = network.config.downsample[:2]
    frames = -(-video.frames // time) * time
    codebook = network.codebook.embeddings.numel()
    parameters = sum(parameter.numel() for parameter in network.parameters())
    notes = [
        f"clips are extended to {frames} frames, a multiple of {time}",
        f"{(parameters + codebook) / 1e6:.2f} M with its codebook; the paper's "
        f"{PAPER_PARAMETERS / 1e6:.2f} M counts discriminators and LPIPS too",
    ]
    facts = {
        "parameters": parameters,
        "vcpr_paper": time * space**2,
        "vcpr": 3.0 * time * space**2,
        "run": f"whole crops, {dtype_name(dtype)} on {device.type}",
        "sha256": hash_file(path),
        "note": "; ".join(filter(None, [*notes, assumed])),
    }

    def reconstruct(clip: Tensor) -> Tensor:
        return network.reconstruct(clip.to(device, dtype)).to(clip)

    return Candidate(name, reconstruct, facts)
