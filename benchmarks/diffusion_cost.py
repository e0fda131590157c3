"""What a released diffusion model costs: memory, operations of a clip, minutes at a given speed.

    python -m benchmarks.diffusion_cost [--tflops 20 80 150]

Nothing is measured: PyTorch counts the operations of one call on tensors without values, and the
minutes are those operations divided by the speeds given. A card reaches a part of its stated speed.
The work, activations of both halves of the guidance at once, is the estimate that ComfyUI gets.
"""

from __future__ import annotations

import argparse
import math

import torch
from torch.utils.flop_counter import FlopCounterMode

from odvae_core import diffusion
from odvae_core.diffusion.config import WORK_VALUES, DiffusionConfig

CLIPS = {
    "osp-v1.1-65x512x512": (65, 512, 512, 158),
    "osp-v1.1-221x512x512": (221, 512, 512, 158),
    "osp-v1.2-29x480p": (29, 480, 640, 100),
    "osp-v1.2-29x720p": (29, 720, 1280, 100),
    "osp-v1.2-93x480p": (93, 480, 640, 100),
    "osp-v1.2-93x720p": (93, 720, 1280, 100),
}
"""Preset -> frames, height, width and calls of the authors' sampler (PNDM, Euler ancestral)."""

CAPTION_TOKENS = 100
HALF_BYTES, GUIDED = 2, 2


def latent_size(config: DiffusionConfig, frames: int, height: int, width: int) -> tuple[int, ...]:
    """The latent frames, rows and columns of a clip."""
    space = config.spatial_compression
    return 1 + (frames - 1) // config.temporal_compression, height // space, width // space


def count_operations(config: DiffusionConfig, latent: tuple[int, ...]) -> int:
    """Floating-point operations of one call for one clip; a multiplication and addition are two."""
    with torch.device("meta"):
        network = diffusion.build(config)
        x = torch.zeros(1, config.in_channels, *latent)
        text = torch.zeros(1, CAPTION_TOKENS, config.caption_channels)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(x, torch.zeros(1), context=text)
    return counter.get_total_flops()


def count_parameters(config: DiffusionConfig) -> int:
    """The number of weights."""
    with torch.device("meta"):
        return sum(weight.numel() for weight in diffusion.build(config).parameters())


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tflops", type=float, nargs="+", default=[20.0, 80.0, 150.0])
    speeds = parser.parse_args().tflops
    heads = [f"minutes at {speed:g} TFLOP/s" for speed in speeds]
    print("| model | weights | work | TFLOP a call | PFLOP a clip |", " | ".join(heads), "|")
    print("|---" * (5 + len(heads)) + "|")
    for preset, (frames, height, width, calls) in CLIPS.items():
        config = diffusion.list_presets()[preset]
        latent = latent_size(config, frames, height, width)
        call = count_operations(config, latent)
        work = math.prod(latent) * config.width * WORK_VALUES * HALF_BYTES * GUIDED
        clip = call * calls * GUIDED
        cells = [
            preset,
            f"{count_parameters(config) * HALF_BYTES / 1e9:.1f} GB",
            f"{work / 1e9:.1f} GB",
            f"{call / 1e12:.0f}",
            f"{clip / 1e15:.1f}",
            *(f"{clip / speed / 60e12:.0f}" for speed in speeds),
        ]
        print("|", " | ".join(cells), "|")
    print(f"\n16 bits, guidance, {CAPTION_TOKENS} tokens of text; torch {torch.__version__}")


if __name__ == "__main__":
    main()
