"""How a long clip is cut: five schedules over the same steps."""

from .base import Progress, Report, Schedule
from .pieces import Pieces
from .stream import Stream
from .sweep import Sweep
from .whole import Whole
from .windows import Windows

__all__ = [
    "Pieces",
    "Progress",
    "Report",
    "Schedule",
    "Stream",
    "Sweep",
    "Whole",
    "Windows",
]
