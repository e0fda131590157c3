"""Listing, reading and writing of clips through PyAV, a few frames at a time."""

from .chunk import Chunk, ChunkRecorder, take_until
from .listing import ListedClip, ListingError, list_clips
from .reader import VideoReader, read_video
from .source import VideoError
from .writer import VideoWriter

__all__ = [
    "Chunk",
    "ChunkRecorder",
    "ListedClip",
    "ListingError",
    "VideoError",
    "VideoReader",
    "VideoWriter",
    "list_clips",
    "read_video",
    "take_until",
]
