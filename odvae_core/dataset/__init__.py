"""Latents of many clips in a folder of shards: made by restartable workers, read anywhere."""

from .reading import read_latents
from .shards import DatasetError, Sample
from .store import Store

__all__ = ["DatasetError", "Sample", "Store", "read_latents"]
