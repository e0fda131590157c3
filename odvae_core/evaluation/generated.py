"""Generated clips against real ones: FVD, KVD and the Inception Score between two folders."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from ..metrics import SetStatistics, compare_sets, quantize
from ..video import VideoError
from .crops import cut_crops
from .metric_networks import MetricNetworks
from .protocol import Protocol

log = logging.getLogger(__name__)

SPLITS = 10
"""Splits of the Inception Score, as published (Salimans et al. 2016; Saito et al. 2020)."""


@torch.no_grad()
def gather_statistics(
    clips: Iterable[tuple[str, Path]],
    protocol: Protocol,
    networks: MetricNetworks,
    most: int | None,
) -> tuple[SetStatistics, list[str]]:
    """The statistics of a set's clips, at most so many, and why clips were left out.

    One clip is in memory at a time. A crop of every short side, piece and position counts as a
    clip.
    """
    statistics, left_out = SetStatistics(SPLITS), []
    for name, path in clips:
        if most is not None and statistics.clips >= most:
            break
        try:
            crops = cut_crops(path, protocol)
        except VideoError as error:
            log.warning("left out: %s", error)
            left_out.append(f"{name}: {error}")
            continue
        rows = (crop for group in crops.values() for crop in group.split(1))
        missing = None if most is None else most - statistics.clips
        for crop in islice(rows, missing):
            statistics.add(networks.compute_features(quantize(crop)))
    return statistics, left_out


def compare_folders(
    real: Mapping[str, Path],
    generated: Mapping[str, Path],
    protocol: Protocol,
    networks: MetricNetworks,
    most: int | None = None,
) -> dict[str, Any]:
    """FVD, KVD and Inception Score of generated clips, and what they depend on.

    Raises `ValueError` without a metric network, or with too few clips.
    """
    if not networks.features:
        raise ValueError(
            "got no metric network; give the published TorchScript files: --i3d for FVD and KVD, "
            "--c3d for the Inception Score"
        )
    sets = {"real": real, "generated": generated}
    gathered = {
        name: gather_statistics(clips.items(), protocol, networks, most)
        for name, clips in sets.items()
    }
    counts = {name: statistics.clips for name, (statistics, _) in gathered.items()}
    figures = compare_sets(gathered["real"][0], gathered["generated"][0])
    return {
        "figures": figures,
        "clips": counts,
        "left_out": {name: reasons for name, (_, reasons) in gathered.items()},
        "protocol": describe_protocol(protocol, counts, networks, most),
    }


def describe_protocol(
    protocol: Protocol, counts: Mapping[str, int], networks: MetricNetworks, most: int | None
) -> str:
    """Everything on which the figures depend, in one line."""
    files = ", ".join(f"{name} {digest[:12]}" for name, digest in networks.sha256.items())
    limit = "" if most is None else f", at most {most}"
    return (
        f"{protocol.frames}x{protocol.size}x{protocol.size}, stride {protocol.stride}, from each "
        f"clip's start, pieces {protocol.pieces}, crops {protocol.crops} (centre first), "
        f"{counts['real']} real and {counts['generated']} generated samples{limit}, rounded to "
        f"8 bits, covariances over N - 1, kernel over all pairs, Inception Score in {SPLITS} "
        f"splits, {files}"
    )


def describe_comparison(result: Mapping[str, Any]) -> list[str]:
    """The result as lines of text."""
    figures, lines = result["figures"], []
    if "fvd" in figures:
        lines += [f"FVD  {figures['fvd']:.2f}", f"KVD  {figures['kvd']:.2f}"]
    if "inception_score" in figures:
        spread = figures["inception_score_std"]
        lines.append(f"IS   {figures['inception_score']:.2f} +- {spread:.2f} over splits")
    for name, reasons in result["left_out"].items():
        lines += [f"left out of the {name} clips: {reason}" for reason in reasons]
    few = min(result["clips"].values())
    if "fvd" in figures and few <= 400:
        lines.append(
            f"FVD of {few} clips with 400 features is far too large: compare it only with one of "
            "as many clips"
        )
    return [*lines, f"protocol: {result['protocol']}"]
