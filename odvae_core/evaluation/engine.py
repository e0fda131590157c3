"""The evaluation: every candidate on the same crops, clip by clip, into a journal."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..metrics import quantize
from ..video import VideoError
from .candidates import Candidate
from .crops import cut_crops
from .journal import Journal, Line
from .metric_networks import MetricNetworks
from .protocol import Protocol
from .scores import Scores

log = logging.getLogger(__name__)

Crops = Mapping[int, Tensor]


def make_header(
    protocol: Protocol,
    candidates: Sequence[Candidate],
    networks: MetricNetworks,
    clips: Iterable[str],
) -> dict[str, Any]:
    """All that the figures of an evaluation depend on. Raises `ValueError` on two of one name."""
    names = [candidate.name for candidate in candidates]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"got two candidates named {name}; name them, as in first={name}")
    return {
        "protocol": protocol.to_dict(),
        "judges": dict(networks.sha256),
        "contenders": {candidate.name: candidate.facts for candidate in candidates},
        "clips": list(clips),
    }


@torch.no_grad()
def evaluate(
    clips: Iterable[tuple[str, Path]],
    candidates: Sequence[Candidate],
    protocol: Protocol,
    journal: Journal,
    networks: MetricNetworks | None = None,
) -> None:
    """Measure clips (name and path) that the journal doesn't hold yet.

    A clip that can't be read, is too short or too small is left out for all candidates, and so is
    one of which a candidate makes values that aren't finite; both are logged and written down.
    """
    networks = networks or MetricNetworks()
    cold = set(candidates)
    for name, path in clips:
        wanted = [one for one in candidates if (name, one.name) not in journal.lines]
        if not wanted or name in journal.left_out:
            continue
        try:
            crops = cut_crops(path, protocol)
        except VideoError as error:
            leave_out(journal, Line(name, reason=str(error)))
            continue
        warm_up(cold.intersection(wanted), crops)
        cold -= set(wanted)
        observe(name, crops, journal, networks)
        compare(name, crops, wanted, journal, networks)


def warm_up(candidates: Iterable[Candidate], crops: Crops) -> None:
    """Run each once: a first run would be timed too long."""
    crop = next(iter(crops.values()))[:1]
    for candidate in candidates:
        candidate.reconstruct(crop)


def compare(
    name: str,
    crops: Crops,
    candidates: Iterable[Candidate],
    journal: Journal,
    networks: MetricNetworks,
) -> None:
    """Measure a clip by all candidates, or up to the first that has no figures for it."""
    for candidate in candidates:
        line = measure(name, crops, candidate, networks)
        if line.reason:
            leave_out(journal, line)
            return
        journal.add(line)


def leave_out(journal: Journal, line: Line) -> None:
    """Say that a clip is no good, and why."""
    log.warning("left out: %s", line.reason)
    journal.add(line)


def observe(name: str, crops: Crops, journal: Journal, networks: MetricNetworks) -> None:
    """Keep the features of the clip itself, once."""
    if networks.features and (name, None) not in journal.lines:
        rows = [networks.observe(crop) for group in crops.values() for crop in group.split(1)]
        journal.add(Line(name, features=join(rows)))


def measure(name: str, crops: Crops, candidate: Candidate, networks: MetricNetworks) -> Line:
    """A candidate's line for a clip."""
    scores, rows = Scores(candidate.borders), []
    seconds, frames = 0.0, 0
    for side, group in crops.items():
        for crop in group.split(1):
            start = time.perf_counter()
            result = candidate.reconstruct(crop)
            seconds += time.perf_counter() - start
            frames += crop.shape[2]
            if not result.isfinite().all():
                reason = f"{name}: {candidate.name} makes values of it that aren't finite"
                return Line(name, candidate.name, reason)
            video, result = quantize(crop), quantize(result)
            scores.add(video, result, side, networks.compare(result, video))
            rows.append(networks.observe(result))
    sides = {str(side): psnr for side, psnr in scores.by_side().items()}
    figures, positions = scores.means(), scores.by_position()
    return Line(name, candidate.name, None, figures, sides, positions, frames, seconds, join(rows))


def join(rows: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Features of several crops, network by network: [N, D]."""
    return {name: torch.cat([row[name] for row in rows]) for name in rows[0]}


def take_shard(clips: Mapping[str, Path], shard: tuple[int, int]) -> list[tuple[str, Path]]:
    """The i-th of n shares of the clips: every n-th, from the i-th on.

    Raises `ValueError` where there are too few clips for this share to have one.
    """
    index, count = shard
    if index > len(clips):
        raise ValueError(
            f"{len(clips)} clips have no shard {index}/{count}: split them into {len(clips)} "
            "or fewer"
        )
    return list(clips.items())[index - 1 :: count]
