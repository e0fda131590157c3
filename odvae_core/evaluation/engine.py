"""The evaluation: every contender on the same crops, clip by clip, into a journal."""

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
from .contenders import Contender
from .crops import cut_crops
from .journal import Journal, Line
from .judges import Judges
from .protocol import Protocol
from .scores import Scores

log = logging.getLogger(__name__)

Crops = Mapping[int, Tensor]


def make_header(
    protocol: Protocol, contenders: Sequence[Contender], judges: Judges, clips: Iterable[str]
) -> dict[str, Any]:
    """All that the figures of an evaluation depend on. Raises `ValueError` on two of one name."""
    names = [contender.name for contender in contenders]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"got two contenders named {name}; name them, as in first={name}")
    return {
        "protocol": protocol.to_dict(),
        "judges": dict(judges.sha256),
        "contenders": {contender.name: contender.facts for contender in contenders},
        "clips": list(clips),
    }


@torch.no_grad()
def evaluate(
    clips: Iterable[tuple[str, Path]],
    contenders: Sequence[Contender],
    protocol: Protocol,
    journal: Journal,
    judges: Judges | None = None,
) -> None:
    """Measure clips (name and path) that the journal doesn't hold yet.

    A clip that can't be read, is too short or too small is left out for all contenders, and so is
    one of which a contender makes values that aren't finite; both are logged and written down.
    """
    judges = judges or Judges()
    cold = set(contenders)
    for name, path in clips:
        wanted = [one for one in contenders if (name, one.name) not in journal.lines]
        if not wanted or name in journal.left_out:
            continue
        try:
            crops = cut_crops(path, protocol)
        except VideoError as error:
            leave_out(journal, Line(name, reason=str(error)))
            continue
        warm_up(cold.intersection(wanted), crops)
        cold -= set(wanted)
        observe(name, crops, journal, judges)
        compare(name, crops, wanted, journal, judges)


def warm_up(contenders: Iterable[Contender], crops: Crops) -> None:
    """Run each once: a first run would be timed too long."""
    crop = next(iter(crops.values()))[:1]
    for contender in contenders:
        contender.reconstruct(crop)


def compare(
    name: str, crops: Crops, contenders: Iterable[Contender], journal: Journal, judges: Judges
) -> None:
    """Measure a clip by all contenders, or up to the first that has no figures for it."""
    for contender in contenders:
        line = measure(name, crops, contender, judges)
        if line.reason:
            leave_out(journal, line)
            return
        journal.add(line)


def leave_out(journal: Journal, line: Line) -> None:
    """Say that a clip is no good, and why."""
    log.warning("left out: %s", line.reason)
    journal.add(line)


def observe(name: str, crops: Crops, journal: Journal, judges: Judges) -> None:
    """Keep the features of the clip itself, once."""
    if judges.features and (name, None) not in journal.lines:
        rows = [judges.observe(crop) for group in crops.values() for crop in group.split(1)]
        journal.add(Line(name, features=join(rows)))


def measure(name: str, crops: Crops, contender: Contender, judges: Judges) -> Line:
    """A contender's line for a clip."""
    scores, rows = Scores(contender.borders), []
    seconds, frames = 0.0, 0
    for side, group in crops.items():
        for crop in group.split(1):
            start = time.perf_counter()
            result = contender.reconstruct(crop)
            seconds += time.perf_counter() - start
            frames += crop.shape[2]
            if not result.isfinite().all():
                reason = f"{name}: {contender.name} makes values of it that aren't finite"
                return Line(name, contender.name, reason)
            video, result = quantize(crop), quantize(result)
            scores.add(video, result, side, judges.compare(result, video))
            rows.append(judges.observe(result))
    sides = {str(side): psnr for side, psnr in scores.by_side().items()}
    figures, positions = scores.means(), scores.by_position()
    return Line(name, contender.name, None, figures, sides, positions, frames, seconds, join(rows))


def join(rows: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Features of several crops, judge by judge: [N, D]."""
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
