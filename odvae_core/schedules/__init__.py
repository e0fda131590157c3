"""How a long clip is cut: four schedules over the same steps."""

from .base import Progress, Report, Schedule
from .stream import Stream
from .sweep import Sweep
from .whole import Whole
from .windows import Windows

__all__ = [
    "Progress",
    "Report",
    "Schedule",
    "Stream",
    "Sweep",
    "Whole",
    "Windows",
]
