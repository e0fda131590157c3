"""Training data: from files and rendered motion to batches that depend on their key alone."""

from .batches import make_batches
from .clips import Skip
from .listing import list_held_out
from .loading import load_samples
from .samples import Batch, BrokenDataError, Samples

__all__ = [
    "Batch",
    "BrokenDataError",
    "Samples",
    "Skip",
    "list_held_out",
    "load_samples",
    "make_batches",
]
