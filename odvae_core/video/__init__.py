"""Clips in and out through PyAV, a few frames at a time."""

from .reader import Chunk, VideoReader, read_video
from .source import VideoError
from .writer import VideoWriter

__all__ = ["Chunk", "VideoError", "VideoReader", "VideoWriter", "read_video"]
