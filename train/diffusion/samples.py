"""Samples of a Latte: latents by DDIM, and the clips that a VAE decodes of them."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

import odvae_core
from odvae_core.diffusion import Latte
from odvae_core.diffusion.sampling import LINEAR, predict_latte, sample_ddim, space_evenly
from odvae_core.scaling import unscale_latent
from odvae_core.vae import VideoVAE

from ..keyed_random import KeyedRandom
from .config import SamplesConfig
from .sheet import draw_clips


@torch.no_grad()
def sample_latents(
    network: Latte, seeds: range, steps: int, labels: list[int] | None = None, guidance: float = 1.0
) -> Tensor:
    """Latents [N, C, T, h, w] as the VAE gives them, one for each seed, with these labels."""
    config = network.config
    shape = (config.latent_frames, config.in_channels, config.side, config.side)
    device = network.pos_embed.device
    generators = [KeyedRandom(seed).generator for seed in seeds]
    noise = torch.stack([torch.randn(shape, generator=each) for each in generators]).to(device)
    given = None if labels is None else torch.tensor(labels, device=device)
    was_training = network.training
    predict = predict_latte(network.eval(), given, guidance)
    latents = sample_ddim(predict, noise, steps, LINEAR.respace(space_evenly(steps)))
    network.train(was_training)
    return unscale_latent(latents.transpose(1, 2), config.latent_scale, config.latent_shift)


@torch.no_grad()
def decode_clips(vae: VideoVAE, latents: Tensor) -> Tensor:
    """Clips [N, 3, T, H, W] in [-1, 1] on the CPU, decoded one by one."""
    weight = next(vae.parameters())
    clips = [vae.decode(latent.to(weight)) for latent in latents.split(1)]
    return torch.cat(clips).float().clamp(-1, 1).cpu()


def draw_samples(network: Latte, config: SamplesConfig, path: Path) -> None:
    """Draw a sheet of samples of all classes in turn, decoded with the configuration's VAE."""
    classes = network.config.classes
    labels = None if classes is None else [number % classes for number in range(config.count)]
    guidance = 1.0 if labels is None else config.guidance
    latents = sample_latents(network, range(config.count), config.steps, labels, guidance)
    vae = odvae_core.load(config.vae, device=network.pos_embed.device, images=True)
    draw_clips(decode_clips(vae, latents), path)
