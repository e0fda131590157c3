"""Networks and clips for the tests of schedules."""

from dataclasses import replace

import torch

import odvae_core as odvae
from odvae_core.families.odvae_config import PRESETS
from odvae_core.layers.fast import plain_path

VIDEO_PRESETS = [name for name in PRESETS if name not in ("sd-vae", "odvae-v1.0")]
STREAMING = ("odvae-stream", "odvae-tiny", "odvae-small")


def make_vae(preset, width=32, dtype=torch.float64, **changes):
    """A small model whose norms are not at their first values."""
    torch.manual_seed(0)
    vae = odvae.build(replace(PRESETS[preset], width=width, **changes)).to(dtype).eval()
    with torch.no_grad():
        for weight in vae.parameters():
            if weight.ndim == 1:
                weight += 0.2 * torch.randn_like(weight)
    return vae.requires_grad_(False)


def make_clip(frames=17, height=16, width=24, dtype=torch.float64):
    generator = torch.Generator().manual_seed(frames)
    return torch.rand(1, 3, frames, height, width, generator=generator, dtype=dtype) * 2 - 1


def both_ways(vae, clip, schedule, tiles=None):
    """The latent, and the video of a latent that hangs on no schedule."""
    latent = clip[:, :1, :: vae.temporal_compression, ::8, ::8].repeat(
        1, vae.latent_channels, 1, 1, 1
    )
    return vae.encode(clip, schedule, tiles).mean, vae.decode(latent, schedule, tiles)


class ConvolvedFrames:
    """Counts the frames that go into the convolutions, and the largest tensor that one sees."""

    def __init__(self, vae):
        self.frames, self.largest = 0, 0
        self.hooks = [
            module.register_forward_hook(self.count)
            for module in vae.modules()
            if isinstance(module, torch.nn.Conv3d | torch.nn.Conv2d)
        ]

    def count(self, module, inputs, output):
        self.frames += output.shape[2]
        self.largest = max(self.largest, inputs[0].numel())

    def remove(self):
        for hook in self.hooks:
            hook.remove()


@plain_path()
def count_convolved(vae, clip, schedule):
    """Frames convolved by the encoder and by the decoder."""
    counter = ConvolvedFrames(vae)
    latent = vae.encode(clip, schedule).mean
    encoded = counter.frames
    vae.decode(latent, schedule)
    counter.remove()
    return encoded, counter.frames - encoded
