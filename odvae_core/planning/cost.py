"""The cost function by which the planner ranks cuts."""

from __future__ import annotations

from ..layers.coder_pass import CoderPass
from ..schedules import Schedule
from ..tiling import Tiles
from .need import Clip

Cost = tuple[int, bool, float, int]

CPU_TIME = {5: 0.9, 9: 0.92, 17: 0.95, 33: 1.0}
"""Time of a pass on a CPU in pieces of so many video frames, relative to the whole clip at once."""

LAUNCHES = 1.0
"""What a GPU loses at the start of every piece, in frames that it could have run in that time."""

PARKING = 1.5
"""About how many times longer a pass takes if its features go to the host and back."""


def cost_of(coder: CoderPass, schedule: Schedule, tiles: Tiles | None, clip: Clip) -> Cost:
    """What a cut costs, to be compared with others of the same clip: the least is the best.

    First its distance to the whole clip: 0 equal, 1 approximate in time, 2 in tiles. Then, for a
    clip in pieces, whether the schedule has to hold the whole clip. Then the time, then the frames
    at a time.
    """
    distance = 2 if tiles else int(not equals_whole(coder, schedule, clip))
    holds = not clip.held and not schedule.bounded
    frames = piece_frames(coder, schedule, clip)
    return distance, holds, relative_time(schedule, frames, clip.on_cpu), frames


def equals_whole(coder: CoderPass, schedule: Schedule, clip: Clip) -> bool:
    """Whether the result is the whole clip's: the schedule is exact, or a piece holds the clip."""
    return schedule.is_exact(coder) or clip.shape[2] <= schedule.cut(coder)[0]


def piece_frames(coder: CoderPass, schedule: Schedule, clip: Clip) -> int:
    """Video frames that go through the network at a time."""
    frames = 1 + (clip.shape[2] - 1) * coder.temporal_compression // coder.frames_in
    return min(frames, schedule.frames or frames)


def relative_time(schedule: Schedule, frames: int, on_cpu: bool) -> float:
    """The time of a pass relative to that of the whole clip at once."""
    if on_cpu:
        return next((time for size, time in CPU_TIME.items() if frames <= size), 1.1)
    return (1 + LAUNCHES / frames) * (PARKING if schedule.park else 1)
