"""Latents of many clips in a folder of shards: made by restartable workers, read anywhere."""

from .clips import Clip, DatasetError, list_clips
from .reading import read_latents
from .shards import Sample
from .store import Store

__all__ = ["Clip", "DatasetError", "Sample", "Store", "list_clips", "read_latents"]
