"""Table 3 of the OD-VAE paper: operations and time of the four variants."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from statistics import median

import torch
from torch.utils.flop_counter import FlopCounterMode

from odvae_core import build
from odvae_core.layers.fast import plain_path
from odvae_core.registry import read_config
from odvae_core.vae import VideoVAE

from .experiment import Check, Experiment, ExperimentResult, Table
from .training import SMALL

VARIANTS = {
    "1: all 3D": "odvae-variant-1",
    "2: half of each block 2D": "odvae-variant-2",
    "3: outer levels of both 2D": "odvae-variant-3",
    "4: outer levels of the encoder 2D": "odvae-v1.2",
}
"""The paper's variants, and their presets."""

FULL = (25, 256, 256)
TIMED = (9, 128, 128)
ROUNDS = 3

TEXT = """\
The paper compares how fast four variants compress a clip: all convolutions 3D; every second one in
a block 2D; the outer levels of encoder and decoder 2D; only those of the encoder (the released
model). Operations are the multiply-adds of all convolutions at full width and 25x256x256, counted
without computing them. CPU seconds are of networks of width {width} on {timed}, the median of
{rounds} rounds, in the order of the rows in every round."""


def compare_operations(experiment: Experiment) -> ExperimentResult:
    """Count and time encoder and decoder of each variant."""
    counts = {name: count_operations(preset) for name, preset in VARIANTS.items()}
    seconds = time_variants(experiment.seed)
    text = TEXT.format(width=SMALL["width"], timed="x".join(map(str, TIMED)), rounds=ROUNDS)
    return ExperimentResult(
        "Table 3: operations of the four variants",
        text,
        [tabulate_costs(counts, seconds)],
        [],
        check_times(*(seconds[name] for name in VARIANTS)),
    )


@lru_cache
def count_operations(preset: str) -> tuple[float, float]:
    """Tera-multiply-adds of the convolutions of encoder and decoder, for a clip of `FULL` size."""
    with torch.device("meta"):
        vae = build(preset)
        video = torch.empty(1, 3, *FULL)
        latent = torch.empty(1, vae.latent_channels, *latent_size(vae, FULL))
    return count_convolutions(lambda: vae.encode(video)), count_convolutions(
        lambda: vae.decode(latent)
    )


def latent_size(vae: VideoVAE, size: tuple[int, int, int]) -> tuple[int, int, int]:
    """Frames, height and width of a clip's latent."""
    frames, height, width = size
    space = vae.spatial_compression
    return 1 + (frames - 1) // vae.temporal_compression, height // space, width // space


def count_convolutions(run: Callable[[], object]) -> float:
    """Tera-multiply-adds of the convolutions in a call, as the authors' code computes them."""
    with torch.no_grad(), plain_path(), FlopCounterMode(display=False) as counter:
        run()
    counts = counter.get_flop_counts()["Global"]
    return counts[torch.ops.aten.convolution] / 2e12


def time_variants(seed: int) -> dict[str, tuple[float, float]]:
    """CPU seconds of encoder and decoder of each small variant."""
    torch.manual_seed(seed)
    video = torch.rand(1, 3, *TIMED) * 2 - 1
    vaes = {name: build(narrow_preset(preset)).eval() for name, preset in VARIANTS.items()}
    rounds = [{name: time_passes(vae, video) for name, vae in vaes.items()} for _ in range(ROUNDS)]
    return {
        name: (median(each[name][0] for each in rounds), median(each[name][1] for each in rounds))
        for name in VARIANTS
    }


def narrow_preset(preset: str):
    """A preset at the width of the small trainings."""
    return replace(read_config(preset), **SMALL)


@torch.no_grad()
def time_passes(vae: VideoVAE, video: torch.Tensor) -> tuple[float, float]:
    """CPU seconds, over all threads, of encoding and of decoding."""
    start = time.process_time()
    latent = vae.encode(video).mode()
    middle = time.process_time()
    vae.decode(latent)
    return middle - start, time.process_time() - middle


def tabulate_costs(
    counts: dict[str, tuple[float, float]], seconds: dict[str, tuple[float, float]]
) -> Table:
    """Operations and seconds, also relative to the first variant."""
    first = next(iter(VARIANTS))
    rows = []
    for name in VARIANTS:
        parts = [
            mine / whole
            for figures in (counts, seconds)
            for mine, whole in zip(figures[name], figures[first], strict=True)
        ]
        rows.append((name, *counts[name], *parts[:2], *seconds[name], *parts[2:]))
    header = (
        "variant",
        "encoder, TMAC",
        "decoder, TMAC",
        "encoder / variant 1's",
        "decoder / variant 1's",
        "encoder, CPU s",
        "decoder, CPU s",
        "encoder / variant 1's, CPU s",
        "decoder / variant 1's, CPU s",
    )
    return Table("Operations of one clip of 25x256x256, and time of a small one", header, rows)


def check_times(
    whole: tuple[float, float],
    half: tuple[float, float],
    both: tuple[float, float],
    encoder: tuple[float, float],
) -> list[Check]:
    """Whether the CPU times have the order that led to the choice of variant 4."""
    parts = [seconds[0] / whole[0] for seconds in (encoder, half)]
    decoder = both[1] / encoder[1]
    return [
        Check(
            "variant 4 encodes faster than variant 2, and that faster than variant 1: in "
            f"{parts[0]:.2f} and {parts[1]:.2f} of its CPU time",
            encoder[0] < half[0] < whole[0],
        ),
        Check(
            f"variant 3 decodes faster than variant 4: in {decoder:.2f} of its CPU time",
            both[1] < encoder[1],
        ),
    ]
