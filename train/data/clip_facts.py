"""The facts about a file that samples need."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

TOLERANCE = 0.0005  # seconds: times in lists of clips are rounded


@dataclass(frozen=True, slots=True)
class ClipFacts:
    """A file's short side in pixels, as a player shows it, and the times of its frames in seconds.

    Frame k is at `first + k * step`, or at `times[k]` where frames are not evenly spaced. `content`
    is a hash of the file's size, beginning and end, the same wherever the file is.
    """

    side: int
    frames: int
    first: float
    step: float
    times: tuple[float, ...] = ()
    content: int = 0

    def time_of(self, frame: int) -> float:
        """The time of a frame in seconds, to within EVENNESS of a step."""
        return self.times[frame] if self.times else self.first + frame * self.step

    def time_before(self, frame: int) -> float:
        """A time between a frame and the one before it: reading from there starts at the frame."""
        if frame == 0:
            return 0.0
        return max(0.0, (self.time_of(frame - 1) + self.time_of(frame)) / 2)

    def count_before(self, seconds: float) -> int:
        """The number of frames before a time."""
        return bisect_left(range(self.frames), seconds - TOLERANCE, key=self.time_of)
