"""The plans of a long 720p clip for cards of different memory, counted without a GPU.

    python -m benchmarks.cards [--preset odvae-v1.2 ...] [--frames 121] [--size 1280x720]

For each preset and card: the plan that `auto` takes to decode in bfloat16, its bytes on the device
and on the host beyond the weights, and its convolutions relative to the whole clip's, counted on
the first frames. A sweep of whole pictures convolves exactly what the whole clip does.
"""

from __future__ import annotations

import argparse

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

import odvae_core as odvae
from odvae_core.layers.coder_pass import CoderPass
from odvae_core.planning import Clip, FreeMemory, Plan, Request, find_plans
from odvae_core.planning.tracker import FusedAttention
from odvae_core.schedules import Report, Schedule
from train.environment import describe_environment

CARDS = (8, 12, 16, 24, 80)
"""GB of a card."""

USABLE = 0.9
"""The share of a card that the driver and other programs leave."""

HOST = 64
"""GB of free host memory."""

COUNTED = 5
"""Latent frames whose convolutions are counted."""

PRESETS = ("odvae-v1.2", "cvvae", "ivvae-z4", "wan-2.1", "wan-2.2", "hunyuan-1.0")


class Work(TorchDispatchMode):
    """Counts the multiplications of convolutions."""

    def __init__(self):
        super().__init__()
        self.multiplications = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if func is torch.ops.aten.convolution.default:
            self.multiplications += result.numel() * args[1][0].numel()
        return result


def count_multiplications(
    coder: CoderPass, shape: tuple[int, ...], schedule: Schedule, tiles: odvae.Tiles | None
) -> int:
    with (
        torch.no_grad(),
        FakeTensorMode(allow_non_fake_inputs=True),
        FusedAttention(),
        Work() as work,
    ):
        schedule.run(coder, torch.empty(shape, dtype=torch.bfloat16), tiles, Report(None))
    return work.multiplications


def plan_card(vae: odvae.VideoVAE, shape: tuple[int, ...], gigabytes: int) -> Plan | None:
    """The plan for a card, None where none fits."""
    weights = sum(weight.nbytes for weight in vae.decoder.parameters())
    free = FreeMemory(int(gigabytes * USABLE * 1e9) - weights, int(HOST * 1e9), shared=False)
    clip = Clip(shape, torch.device("cuda"))
    plans = find_plans(vae, vae.decoder_pass(), clip, Request("auto"), lambda need: free)
    try:
        return next(plans)
    except MemoryError:
        return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", nargs="+", default=PRESETS)
    parser.add_argument("--frames", type=int, default=121)
    parser.add_argument("--size", default="1280x720")
    options = parser.parse_args()
    width, height = map(int, options.size.split("x"))
    print("| preset | card | plan | device | host | work |\n|---|---|---|---|---|---|")
    for preset in options.preset:
        with torch.device("meta"):
            vae = odvae.build(preset).to(torch.bfloat16)
        coder, side = vae.decoder_pass(), vae.spatial_compression
        latents = 1 + (options.frames - 1) // vae.temporal_compression
        shape = (1, vae.latent_channels, latents, height // side, width // side)
        counted = (*shape[:2], min(COUNTED, latents), *shape[3:])
        whole = count_multiplications(coder, counted, odvae.Sweep(5), None)
        for card in CARDS:
            plan = plan_card(vae, shape, card)
            if plan is None:
                print(f"| {preset} | {card} GB | none fits | | | |", flush=True)
                continue
            work = count_multiplications(coder, counted, plan.schedule, plan.tiles) / whole
            print(
                f"| {preset} | {card} GB | {plan.describe()} | {plan.need.device / 1e9:.1f} GB | "
                f"{plan.need.host / 1e9:.1f} GB | {work:.2f} |",
                flush=True,
            )
    print(f"\n{describe_environment()}")


if __name__ == "__main__":
    main()
