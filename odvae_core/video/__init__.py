"""Clips listed, and in and out through PyAV, a few frames at a time."""

from .listing import ListedClip, ListingError, list_place
from .reader import Chunk, VideoReader, read_video
from .source import VideoError
from .writer import VideoWriter

__all__ = [
    "Chunk",
    "ListedClip",
    "ListingError",
    "VideoError",
    "VideoReader",
    "VideoWriter",
    "list_place",
    "read_video",
]
