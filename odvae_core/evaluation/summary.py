"""From a journal to the table: means over clips, and metrics of the whole set."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ..metrics import frechet_distance, inception_score, kernel_distance
from .journal import Journal, Line
from .metric_networks import METRICS_OF_NETWORKS
from .protocol import Protocol

SPLITS = 1
"""Number of splits of the clips for the Inception Score."""


def summarise(journal: Journal) -> dict[str, Any]:
    """The results of an evaluation.

    Means are over the clips that every candidate reconstructed. `contenders`: one table row for
    each candidate; `clips`: the metrics of each clip; `left_out`: clip and reason; `missing`: clips
    that the journal doesn't contain yet; `notes`: sentences for below the table.
    """
    header = journal.header
    names = list(header["contenders"])
    left_out = {
        clip: journal.left_out[clip] for clip in header["clips"] if clip in journal.left_out
    }
    missing = [
        clip
        for clip in header["clips"]
        if clip not in left_out and any((clip, name) not in journal.lines for name in names)
    ]
    done = [clip for clip in header["clips"] if clip not in left_out and clip not in missing]
    rows = [summarise_candidate(name, done, journal) for name in names] if done else []
    for row in rows:
        row["speed_ratio"] = row["frames_per_second"] / rows[0]["frames_per_second"]
    protocol = Protocol.from_dict(header["protocol"]).describe()
    return {
        "protocol": f"{protocol}, clips {len(done)}{format_networks(header['judges'])}",
        "contenders": rows,
        "clips": [list_metrics(journal.lines[clip, name]) for clip in done for name in names],
        "left_out": [{"clip": clip, "reason": reason} for clip, reason in left_out.items()],
        "missing": missing,
        "notes": [*note_missing_networks(header["judges"]), *note_set_size(done, journal)],
    }


def format_networks(sha256: Mapping[str, str]) -> str:
    """The metric networks, for the protocol's line."""
    return "".join(f", {name} {digest[:12]}" for name, digest in sha256.items())


def list_metrics(line: Line) -> dict[str, Any]:
    """A line's metrics as a row of JSON and CSV."""
    facts = {"clip": line.clip, "contender": line.candidate, "frames": line.frames}
    return {**facts, **line.figures, **name_psnr_columns(line.sides, line.positions)}


def name_psnr_columns(sides: Mapping[str, float], positions: Sequence[float]) -> dict[str, float]:
    """PSNR by short side and by position, under column names."""
    named = {f"psnr_side_{side}": psnr for side, psnr in sides.items()}
    return named | {f"psnr_position_{i}": psnr for i, psnr in enumerate(positions)}


def summarise_candidate(name: str, clips: Sequence[str], journal: Journal) -> dict[str, Any]:
    """One row: facts, means over clips, speed, and the metrics of the set of all crops."""
    lines = [journal.lines[clip, name] for clip in clips]
    figures = average_clips([line.figures for line in lines])
    if "border" in figures:
        figures["border_ratio"] = divide(figures["border"], figures["elsewhere"])
    positions = average_clips([dict(enumerate(line.positions)) for line in lines])
    return {
        "name": name,
        **journal.header["contenders"][name],
        "mean": figures,
        "sides": average_clips([line.sides for line in lines]),
        "positions": list(positions.values()),
        "frames_per_second": divide(
            sum(line.frames for line in lines), math.fsum(line.seconds for line in lines)
        ),
        **measure_sets(lines, [journal.lines.get((clip, None)) for clip in clips]),
    }


def average_clips(values: Sequence[Mapping[Any, float]]) -> dict[Any, float]:
    """The mean of each metric; every clip has the same ones."""
    return {name: math.fsum(value[name] for value in values) / len(values) for name in values[0]}


def divide(value: float, by: float) -> float:
    """A ratio; 1 if both are 0, infinite if only `by` is 0."""
    if by:
        return value / by
    return math.inf if value else 1.0


def measure_sets(lines: Sequence[Line], originals: Sequence[Line | None]) -> dict[str, float]:
    """rFVD, KVD and Inception Score, if there are features of enough crops."""
    found = join_features(lines)
    references = join_features([line for line in originals if line is not None])
    figures: dict[str, float] = {}
    if "i3d" in found and len(found["i3d"]) > 1:
        figures["rfvd"] = frechet_distance(found["i3d"], references["i3d"])
        figures["kvd"] = kernel_distance(found["i3d"], references["i3d"])
    if "c3d" in found:
        figures["inception_score"] = inception_score(found["c3d"], SPLITS)[0]
        figures["clips_inception_score"] = inception_score(references["c3d"], SPLITS)[0]
    return figures


def join_features(lines: Iterable[Line]) -> dict[str, Tensor]:
    """The features of all clips, by network: [N, D]."""
    lines = list(lines)
    names = lines[0].features if lines else ()
    return {name: torch.cat([line.features[name] for line in lines]) for name in names}


def note_missing_networks(sha256: Mapping[str, str]) -> list[str]:
    """The metrics that were not measured."""
    absent = [measure for name, measure in METRICS_OF_NETWORKS.items() if name not in sha256]
    return [f"not measured, no weights file given: {', '.join(absent)}"] if absent else []


def note_set_size(clips: Sequence[str], journal: Journal) -> list[str]:
    """Notes on the reliability of distances between sets."""
    lines = [journal.lines[clip, None] for clip in clips if (clip, None) in journal.lines]
    features = join_features(lines).get("i3d")
    if features is None:
        return []
    count, width = features.shape
    if count < 2:
        return ["rFVD and KVD compare sets: they need two crops or more"]
    if count <= width:
        return [
            f"rFVD of {count} crops with {width} features is far too large: compare it only with "
            "an rFVD of the same number of crops of the same clips"
        ]
    return []
