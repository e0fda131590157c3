"""What there is to know of a clip before it is cut: its short side, and when its frames come."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from odvae_core.video import VideoError, VideoReader
from odvae_core.video.listing import is_picture
from odvae_core.video.source import open_media, tick_of

CHUNK = 64
PREVIEW = (16, 16)  # height and width that frames are decoded at where only their times count
EVEN = 0.25  # of a step: how far from an even beat a frame may be and still be found by counting
TOLERANCE = 0.0005  # seconds: times in lists of clips are written by people


@dataclass(frozen=True)
class Facts:
    """A file's short side in pixels, as a player shows it, and the seconds of its frames.

    Frame k comes at `first + k * step`, or at `times[k]` where frames come unevenly.
    """

    side: int
    frames: int
    first: float
    step: float
    times: tuple[float, ...] = ()

    def time_of(self, frame: int) -> float:
        """Seconds at which a frame comes, to within EVEN of a step."""
        return self.times[frame] if self.times else self.first + frame * self.step

    def time_before(self, frame: int) -> float:
        """A moment between a frame and the one before it: who reads from there, reads it first."""
        if frame == 0:
            return 0.0
        return max(0.0, (self.time_of(frame - 1) + self.time_of(frame)) / 2)

    def count_before(self, seconds: float) -> int:
        """How many frames come before a moment."""
        return bisect_left(range(self.frames), seconds - TOLERANCE, key=self.time_of)


def probe(path: Path) -> Facts:
    """Find out about a file. Raises VideoError where it can't be read.

    The list of frames in an MP4 is believed where it is complete and even; of other files every
    frame is decoded once, small.
    """
    with VideoReader(path) as reader:
        side, listed = min(reader.size), reader.frame_count
        first = next(reader.chunks(1)).times[0]
    if is_picture(path):
        return Facts(side, 1, float(first), 0.0)
    if listed:
        facts = fit_beat(side, read_index(path, first))
        if not facts.times:
            return facts
    return fit_beat(side, decode_times(path))


def read_index(path: Path, first: Fraction) -> list[Fraction]:
    """When the frames come, by the container's list of them. Raises VideoError on a cut file."""
    with open_media(path) as container:
        stream = container.streams.best("video")
        assert stream, "it was probed before"
        entries = [entry for entry in stream.index_entries if not entry.is_discard]
        ends = max(entry.pos + entry.size for entry in entries)
        if ends > path.stat().st_size:
            raise VideoError(
                f"{path}: has {path.stat().st_size} bytes, its frames end at {ends}; "
                "download or export it again"
            )
        ticks = sorted(entry.timestamp for entry in entries)
        return [first + (tick - ticks[0]) * tick_of(stream) for tick in ticks]


def decode_times(path: Path) -> list[Fraction]:
    """When the frames come, by decoding them all."""
    with VideoReader(path, size=PREVIEW) as reader:
        return [time for chunk in reader.chunks(CHUNK) for time in chunk.times]


def fit_beat(side: int, times: Sequence[Fraction]) -> Facts:
    """Facts of evenly spaced frames where a beat fits them, with all the times where none does."""
    first, spans = times[0], len(times) - 1
    step = (times[-1] - first) / max(1, spans)
    off = max(abs(time - first - index * step) for index, time in enumerate(times))
    uneven = () if off < EVEN * step or not spans else tuple(float(time) for time in times)
    return Facts(side, len(times), float(first), float(step), uneven)
