"""The evaluation: runs every candidate on the same crops, clip by clip, and fills a journal."""

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
from .scores import CropScores

log = logging.getLogger(__name__)

Crops = Mapping[int, Tensor]


def make_header(
    protocol: Protocol,
    candidates: Sequence[Candidate],
    networks: MetricNetworks,
    clips: Iterable[str],
) -> dict[str, Any]:
    """Everything on which the results depend. Raises `ValueError` if two candidates have one
    name."""
    names = [candidate.name for candidate in candidates]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"got two candidates named {name}; rename one, as in first={name}")
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
    """Measure the clips (name and path) that the journal doesn't contain yet.

    A clip that can't be read, is too short or too small, or for which a candidate returns
    non-finite values, is left out for all candidates. The reason is logged and recorded in the
    journal.
    """
    networks = networks or MetricNetworks()
    not_warm = set(candidates)
    for name, path in clips:
        missing = [one for one in candidates if (name, one.name) not in journal.lines]
        if not missing or name in journal.left_out:
            continue
        try:
            crops = cut_crops(path, protocol)
        except VideoError as error:
            leave_out_clip(journal, Line(name, reason=str(error)))
            continue
        warm_up_candidates(not_warm.intersection(missing), crops)
        not_warm -= set(missing)
        record_clip_features(name, crops, journal, networks)
        evaluate_candidates(name, crops, missing, journal, networks)


def warm_up_candidates(candidates: Iterable[Candidate], crops: Crops) -> None:
    """Run each candidate once, so that the first run doesn't distort the measured time."""
    crop = next(iter(crops.values()))[:1]
    for candidate in candidates:
        candidate.reconstruct(crop)


def evaluate_candidates(
    name: str,
    crops: Crops,
    candidates: Iterable[Candidate],
    journal: Journal,
    networks: MetricNetworks,
) -> None:
    """Measure a clip with all candidates; stop at the first one without a valid result."""
    for candidate in candidates:
        line = score_candidate(name, crops, candidate, networks)
        if line.reason:
            leave_out_clip(journal, line)
            return
        journal.add(line)


def leave_out_clip(journal: Journal, line: Line) -> None:
    """Record a clip that is left out, and the reason."""
    log.warning("left out: %s", line.reason)
    journal.add(line)


def record_clip_features(
    name: str, crops: Crops, journal: Journal, networks: MetricNetworks
) -> None:
    """Keep the features of the clip itself, once."""
    if networks.features and (name, None) not in journal.lines:
        rows = [
            networks.compute_features(crop) for group in crops.values() for crop in group.split(1)
        ]
        journal.add(Line(name, features=join_features(rows)))


def score_candidate(
    name: str, crops: Crops, candidate: Candidate, networks: MetricNetworks
) -> Line:
    """A candidate's line for a clip."""
    scores, rows = CropScores(candidate.borders), []
    seconds, frames = 0.0, 0
    for side, group in crops.items():
        for crop in group.split(1):
            start = time.perf_counter()
            result = candidate.reconstruct(crop)
            seconds += time.perf_counter() - start
            frames += crop.shape[2]
            if not result.isfinite().all():
                reason = f"{name}: the reconstruction by {candidate.name} isn't finite"
                return Line(name, candidate.name, reason)
            video, result = quantize(crop), quantize(result)
            scores.add(video, result, side, networks.compute_distances(result, video))
            rows.append(networks.compute_features(result))
    sides = {str(side): psnr for side, psnr in scores.by_side().items()}
    figures, positions = scores.means(), scores.by_position()
    return Line(
        name, candidate.name, None, figures, sides, positions, frames, seconds, join_features(rows)
    )


def join_features(rows: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The features of several crops, by network: [N, D]."""
    return {name: torch.cat([row[name] for row in rows]) for name in rows[0]}


def select_shard(clips: Mapping[str, Path], shard: tuple[int, int]) -> list[tuple[str, Path]]:
    """The i-th of n parts of the clips: every n-th clip from the i-th.

    Raises `ValueError` if there are too few clips.
    """
    index, count = shard
    if index > len(clips):
        raise ValueError(
            f"{len(clips)} clips have no shard {index}/{count}: split them into {len(clips)} "
            "shards or fewer"
        )
    return list(clips.items())[index - 1 :: count]
