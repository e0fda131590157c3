"""From a 2D VAE to a video VAE: how the 3D kernels start (OD-VAE, section 3.4)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .registry import build, read_config
from .checkpoint import read_tensors
from .families.odvae_config import SD_VAE, OdvaeConfig
from .published import to_ldm
from .vae import VideoVAE

PROOF_SIDE = 64
"""Height and width of the proof's picture, in pixels."""


def tail_inflate(weight: Tensor, frames: int) -> Tensor:
    """[O, I, H, W] -> [O, I, frames, H, W]: the image kernel at the newest frame, zeros before.

    A causal convolution so inflated equals the 2D one on every frame. OD-VAE, eq. 3.
    """
    inflated = weight.new_zeros(*weight.shape[:2], frames, *weight.shape[2:])
    inflated[:, :, -1] = weight
    return inflated


def average_inflate(weight: Tensor, frames: int) -> Tensor:
    """[O, I, H, W] -> [O, I, frames, H, W]: the image kernel, shared out evenly. OD-VAE, eq. 5.

    Equal to the 2D convolution on a still clip only.
    """
    return (weight / frames).unsqueeze(2).repeat(1, 1, frames, 1, 1)


def center_inflate(weight: Tensor, frames: int) -> Tensor:
    """[O, I, H, W] -> [O, I, frames, H, W]: the image kernel in the middle: a causal convolution so
    inflated lags a frame."""
    inflated = weight.new_zeros(*weight.shape[:2], frames, *weight.shape[2:])
    inflated[:, :, frames // 2] = weight
    return inflated


INFLATIONS: dict[str, Callable[[Tensor, int], Tensor]] = {
    "tail": tail_inflate,
    "average": average_inflate,
    "center": center_inflate,
}
MODES = (*INFLATIONS, "random")


@dataclass(frozen=True)
class Proof:
    """One picture through the 2D VAE and through the inflated one: pictures [3, H, W] in [-1, 1].

    `encode_difference` is the largest between the two latent means; `decode_difference` the largest
    between the two pictures decoded from the 2D VAE's latent.
    """

    picture: Tensor
    decoded_2d: Tensor
    decoded_3d: Tensor
    encode_difference: float
    decode_difference: float

    @property
    def decode_psnr(self) -> float:
        """Of the inflated VAE's picture against the 2D VAE's, in dB; infinite where they are equal."""
        error = (self.decoded_3d - self.decoded_2d).square().mean()
        return float(10 * torch.log10(4 / error))


@dataclass(frozen=True)
class Inflation:
    """What an inflated VAE has from its 2D parent: state dict keys, and sentences on what can't be
    equal."""

    mode: str
    copied: tuple[str, ...]
    inflated: tuple[str, ...]
    fresh: tuple[str, ...]
    differences: tuple[str, ...]
    proof: Proof


def inflate(
    source: str | Path | Mapping[str, Tensor],
    preset: str | OdvaeConfig | dict[str, Any] = "odvae-v1.2",
    mode: str = "tail",
) -> VideoVAE:
    """A video VAE that starts from a 2D VAE; its `inflation` says what it has from it.

    `source` is a file or a state dict in LDM names, diffusers names, or within a whole SD
    checkpoint. Width, multipliers, blocks and latent channels are read from it, the rest from
    `preset`. Modes: "tail", "average", "center" (see the functions above) and "random" (fresh
    weights, the paper's control). Raises `ValueError` on an unknown mode, a source that is no 2D
    VAE, or one whose levels the preset can't have.
    """
    if mode not in MODES:
        raise ValueError(f"got mode {mode!r}; the modes are {', '.join(MODES)}")
    tensors = read_tensors(source)[0] if isinstance(source, str | Path) else source
    parent = to_ldm(tensors)
    vae = build(like_parent(read_config(preset), parent))
    kept = {} if mode == "random" else inherit(vae.state_dict(), parent, INFLATIONS[mode])
    vae.load_state_dict(kept, strict=False)
    vae.eval()
    parent_vae = build(like_parent(replace(SD_VAE, norm_groups=vae.config.norm_groups), parent))
    parent_vae.load_state_dict(dict(parent))
    vae.inflation = describe(vae, parent_vae.eval(), mode, set(kept), set(parent))
    return vae


def like_parent(config: OdvaeConfig, parent: Mapping[str, Tensor]) -> OdvaeConfig:
    """`config` with the sizes of a 2D VAE in LDM names."""
    width = parent["encoder.conv_in.weight"].shape[0]
    multipliers = []
    while (key := f"encoder.down.{len(multipliers)}.block.0.conv1.weight") in parent:
        multipliers.append(parent[key].shape[0] // width)
    if len(multipliers) != len(config.levels):
        raise ValueError(
            f"the 2D VAE has {len(multipliers)} levels and the preset {len(config.levels)}; "
            "choose a preset of as many"
        )
    blocks = sum(f"encoder.down.0.block.{i}.conv1.weight" in parent for i in range(len(parent)))
    quant = parent.get("post_quant_conv.weight")
    z_channels = parent["decoder.conv_in.weight"].shape[1]
    return replace(
        config,
        levels=tuple(
            replace(level, multiplier=m)
            for level, m in zip(config.levels, multipliers, strict=True)
        ),
        width=width,
        blocks=blocks,
        z_channels=z_channels,
        embed_dim=z_channels if quant is None else quant.shape[1],
        quant=config.quant if quant is not None else "",
    )


def inherit(
    target: Mapping[str, Tensor],
    parent: Mapping[str, Tensor],
    inflate_kernel: Callable[[Tensor, int], Tensor],
) -> dict[str, Tensor]:
    """The weights that the parent gives, by the target's keys; the others are left out."""
    kept = {}
    for key, weight in target.items():
        name = parent_key(key, parent)
        if name is not None:
            value = parent[name]
            if value.ndim == 4 and weight.ndim == 5:
                value = inflate_kernel(value.float(), weight.shape[2])
            kept[key] = value.to(weight).clone()
    return kept


def parent_key(key: str, parent: Mapping[str, Tensor]) -> str | None:
    """The 2D VAE's name for a weight of ours: a 3D convolution has one `.conv` more."""
    owner, _, leaf = key.rpartition(".")
    shorter = f"{owner.removesuffix('.conv')}.{leaf}"
    return next((name for name in (key, shorter) if name in parent), None)


def describe(
    vae: VideoVAE, parent: VideoVAE, mode: str, kept: set[str], parent_keys: set[str]
) -> Inflation:
    """Sort the keys, name what differs by design, and run the proof."""
    keys = list(vae.state_dict())
    return Inflation(
        mode,
        copied=tuple(key for key in keys if key in kept and key in parent_keys),
        inflated=tuple(key for key in keys if key in kept and key not in parent_keys),
        fresh=tuple(key for key in keys if key not in kept),
        differences=tuple(name_differences(vae.config)),
        proof=prove(vae, parent),
    )


def name_differences(config: OdvaeConfig) -> list[str]:
    """Where this wiring can't do what the 2D VAE does, in words."""
    sentences = []
    for i, level in enumerate(config.levels):
        if level.up == "joint":
            sentences.append(
                f"decoder.up.{i}.upsample interpolates linearly in space "
                "where the 2D VAE repeats the nearest pixel"
            )
        if level.down_time == "mixed":
            sentences.append(
                f"encoder.down.{i}.time_downsample mixes in a convolution that the 2D VAE hasn't"
            )
        if level.up_time == "mixed":
            sentences.append(
                f"decoder.up.{i}.time_upsample mixes in a convolution that the 2D VAE hasn't"
            )
    if "temporal" in (config.encoder_attention, config.decoder_attention):
        sentences.append("attention is over time where the 2D VAE's is over the picture")
    return sentences


@torch.no_grad()
def prove(vae: VideoVAE, parent: VideoVAE) -> Proof:
    """A picture through both."""
    picture = proof_picture()[None, :, None]
    latent, latent_3d = parent.encode(picture).mode(), vae.encode(picture).mode()
    decoded, decoded_3d = parent.decode(latent), vae.decode(latent)
    return Proof(
        picture[0, :, 0],
        decoded[0, :, 0],
        decoded_3d[0, :, 0],
        float((latent_3d - latent).abs().max()),
        float((decoded_3d - decoded).abs().max()),
    )


def proof_picture() -> Tensor:
    """Waves of growing frequency with an edge across: [3, 64, 64] in [-1, 1]."""
    y, x = torch.meshgrid(*[torch.linspace(0, 1, PROOF_SIDE)] * 2, indexing="ij")
    waves = torch.stack(
        [torch.sin(6 * x + 20 * y * y), torch.cos(30 * x * y), torch.sin(25 * x * x)]
    )
    return torch.where(x + y > 1, 0.8 * waves, -0.5 * waves)
