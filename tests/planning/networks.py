"""Small networks without weights, for planning."""

from dataclasses import replace

import torch

import odvae_core as odvae
from odvae_core.planning import Clip, FreeMemory, Request, find_plans
from odvae_core.registry import read_config

GIB = 2**30
CPU, GPU = torch.device("cpu"), torch.device("cuda")
PLENTY = FreeMemory(1000 * GIB, 1000 * GIB, shared=False)


def make_vae(preset):
    with torch.device("meta"):
        return odvae.build(replace(read_config(preset), width=32, blocks=1))


def make_clip(vae, coding, frames, side, device=GPU, **more):
    """A clip of so many video frames and pixels, as the encoder's or the decoder's input."""
    if coding == "encode":
        return Clip((1, 3, frames, side, side), device, **more)
    latents, small = 1 + (frames - 1) // vae.temporal_compression, side // vae.spatial_compression
    return Clip((1, vae.latent_channels, latents, small, small), device, **more)


def list_plans(vae, coding, clip, request=None, free=PLENTY):
    """The plans that fit, the best first; each is counted when it is asked for."""
    coder = vae.encoder_pass() if coding == "encode" else vae.decoder_pass()
    return find_plans(vae, coder, clip, request or Request(), lambda need: free)


def plan_best(*arguments, **more):
    """The best plan that fits."""
    return next(list_plans(*arguments, **more))
