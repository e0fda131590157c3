"""Training data: from files and rendered motion to batches that depend only on their key."""

from .batches import make_batches
from .clips import SkippedClip
from .loading import list_held_out, load_training_set
from .training_set import Batch, BrokenDataError, TrainingSet

__all__ = [
    "Batch",
    "BrokenDataError",
    "SkippedClip",
    "TrainingSet",
    "list_held_out",
    "load_training_set",
    "make_batches",
]
