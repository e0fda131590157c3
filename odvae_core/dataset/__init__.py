"""Latents of many clips as a folder of shards, written by workers that can be restarted."""

from .folder import ShardWriter, read_latents
from .shards import DatasetError, Sample

__all__ = ["DatasetError", "Sample", "ShardWriter", "read_latents"]
