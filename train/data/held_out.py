"""The clips that are never trained on: those that the configuration names, or a share of all."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..config import EvaluationConfig
from .clip_facts import ClipFacts
from .clips import FileClip, count_spanned_frames

log = logging.getLogger(__name__)

HASHES = 2**64


def choose_held_out(
    files: Mapping[Path, ClipFacts], share: float, evaluation: EvaluationConfig
) -> list[Path]:
    """The files to hold out, in their order: of those that evaluations can use a share, or one.

    A file is chosen by the hash of its content, so other files, names and folders don't change the
    choice. Of a single file nothing is held out.
    """
    usable = [path for path, facts in files.items() if is_usable(facts, evaluation)]
    if not share or len(usable) < 2:
        if share:
            log.warning(
                "nothing is held out, so nothing is evaluated: %d of %d clips can be cut to "
                "evaluation's crops; add clips, lower evaluation.sides and evaluation.frames, or "
                "set data.held_out",
                len(usable),
                len(files),
            )
        return []
    chosen = [path for path in usable if files[path].content < share * HASHES]
    return chosen or [min(usable, key=lambda path: files[path].content)]


def is_usable(facts: ClipFacts, evaluation: EvaluationConfig) -> bool:
    """Whether evaluation's crops can be cut from a file."""
    span = count_spanned_frames(evaluation.frames, evaluation.stride)
    return facts.frames >= span and facts.side >= max(*evaluation.sides, evaluation.size)


def limit_clips(clips: Sequence[FileClip], most: int) -> list[FileClip]:
    """At most `most` of the clips in their order; those with the smallest hashes are kept."""
    kept = sorted(clips, key=lambda clip: clip.facts.content)[:most]
    return [clip for clip in clips if clip in kept]
