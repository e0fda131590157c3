"""taming-transformers' VQGAN f8 with 8192 entries (Esser et al. 2021) as a candidate.

Its quantiser is the Gumbel-softmax one: a projection gives a score for every entry. diffusers'
VQModel is another network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..families.odvae import decoder_layers, encoder_layers
from ..families.odvae_config import OdvaeConfig
from ..files.tensorfile import hash_file, naming, read_tensor_file
from ..formats import infer_sd_vae
from ..layers.coder import Coder
from ..layers.conv import FrameConv2d
from ..layers.stream import advance
from ..padding import ClipSize
from .candidates import Candidate, Compression, compute_vcpr, dtype_name, pad_and_crop

OWN = ("encoder.", "decoder.", "quant_conv.", "post_quant_conv.", "quantize.")
"""The prefixes of the codec in a checkpoint; losses lie beside it."""

RESOLUTION = 256
"""From which taming counts the resolutions of its attention."""


class GumbelQuantizer(nn.Module):
    """Scores of all entries, of which the best is taken; published as `GumbelQuantize`.

    The authors add Gumbel noise to the scores, in evaluation too; without it the code is the most
    likely one.
    """

    def __init__(self, channels: int, entries: int, width: int):
        super().__init__()
        self.proj = FrameConv2d(channels, entries, 1)
        self.embed = nn.Embedding(entries, width)

    def find_codes(self, z: Tensor) -> Tensor:
        """[B, C, T, H, W] -> codes [B, T, H, W]."""
        return self.proj(z).argmax(dim=1)

    def look_up(self, codes: Tensor) -> Tensor:
        """Codes [B, T, H, W] -> their vectors [B, C, T, H, W]."""
        return F.embedding(codes, self.embed.weight).movedim(-1, 1)


class Vqgan(nn.Module):
    """Frames in [-1, 1] to codes and back, each by itself.

    `config` is that of the decoder; the encoder ends in as many channels, without variances.
    """

    def __init__(self, config: OdvaeConfig, entries: int):
        super().__init__()
        self.config = config
        z, width = config.z_channels, config.embed_dim
        self.encoder = Coder(encoder_layers(replace(config, z_channels=z // 2)))
        self.decoder = Coder(decoder_layers(config))
        self.quant_conv, self.post_quant_conv = FrameConv2d(z, width, 1), FrameConv2d(width, z, 1)
        self.quantize = GumbelQuantizer(width, entries, width)

    def encode(self, video: Tensor) -> Tensor:
        """[B, 3, T, H, W] in [-1, 1] -> codes [B, T, H / 8, W / 8]."""
        return self.quantize.find_codes(self.quant_conv(advance(self.encoder.steps(), video)[0]))

    def decode(self, codes: Tensor) -> Tensor:
        latent = self.post_quant_conv(self.quantize.look_up(codes))
        return advance(self.decoder.steps(), latent)[0]

    def forward(self, video: Tensor) -> Tensor:
        return self.decode(self.encode(video))


def is_vqgan(tensors: Mapping[str, Tensor]) -> bool:
    """Tell whether these are a VQGAN's of taming-transformers."""
    return any(key.startswith("quantize.") for key in tensors) and (
        "encoder.down.0.block.0.norm1.weight" in tensors
    )


def read_vqgan_config(tensors: Mapping[str, Tensor]) -> tuple[OdvaeConfig, int]:
    """The configuration of a checkpoint and the number of its entries.

    Raises `ValueError` where its quantiser isn't the Gumbel one.
    """
    entries = tensors.get("quantize.embed.weight")
    if entries is None or "quantize.proj.weight" not in tensors:
        raise ValueError(
            "its quantiser is the nearest-neighbour one: give the OpenImages model f8 with 8192 "
            "entries, which is Gumbel-quantised"
        )
    config = infer_sd_vae(tensors, norm_groups=32)
    levels = range(len(config.levels))
    attends = tuple(
        RESOLUTION // 2**i for i in levels if f"encoder.down.{i}.attn.0.norm.weight" in tensors
    )
    config = replace(config, quant="2d", embed_dim=entries.shape[1], attention_resolutions=attends)
    return config, entries.shape[0]


def load_vqgan(path: Path) -> Vqgan:
    """A VQGAN from taming's Lightning checkpoint, or its state dict. Raises `CheckpointError`."""
    with naming(path):
        content = read_tensor_file(path)
        tensors = {key.removeprefix("state_dict."): value for key, value in content.tensors.items()}
        tensors = {key: value.clone() for key, value in tensors.items() if key.startswith(OWN)}
        if not is_vqgan(tensors):
            raise ValueError("it holds no VQGAN of taming-transformers")
        network = Vqgan(*read_vqgan_config(tensors))
        try:
            network.load_state_dict(tensors)
        except RuntimeError as error:
            raise ValueError(f"its weights don't fit ({error})") from error
    return network.eval().requires_grad_(False)


def make_vqgan_candidate(
    name: str, path: Path, dtype: torch.dtype, device: torch.device, video: ClipSize
) -> Candidate:
    """A VQGAN on whole crops of size `video`, frame by frame."""
    network = load_vqgan(path).to(device, dtype)
    grid = Compression(1, 2 ** (len(network.config.levels) - 1))
    facts = {
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "vcpr_paper": grid.spatial_compression**2,
        "vcpr": compute_vcpr(video, grid, 1),
        "run": f"frame by frame, {dtype_name(dtype)} on {device.type}",
        "sha256": hash_file(path),
        "note": "the best code of each position; the authors add noise to the scores",
    }

    def reconstruct(clip: Tensor) -> Tensor:
        return network(clip.to(device, dtype)).to(clip)

    return Candidate(name, pad_and_crop(reconstruct, grid), facts)
