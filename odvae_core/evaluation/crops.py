"""Clips for evaluation: which files they are, and the crops that the protocol cuts of them."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor

from ..video import ListedClip, ListingError, VideoError, VideoReader
from ..video.listing import VIDEOS, find_clips
from .protocol import PLACES, Protocol


def list_videos(inputs: Iterable[Path]) -> dict[str, Path]:
    """Files as they are, and the videos of folders and of the folders in them; {name: path}.

    A clip is named by its place below the folder that was given, so that other machines name it
    the same. Raises `ListingError`, also where two have one name.
    """
    clips: dict[str, Path] = {}
    for path in inputs:
        for clip in list_input(path):
            if clip.name in clips:
                raise ListingError(
                    f"got {clips[clip.name]} and {clip.file}, two clips named {clip.name}: rename "
                    "one, or evaluate the folder above both"
                )
            clips[clip.name] = clip.file
    return clips


def list_input(path: Path) -> list[ListedClip]:
    """One input's clips in the order of their names."""
    if not path.exists():
        raise ListingError(f"{path}: no such file or folder; check the path")
    if not path.is_dir():
        return [ListedClip(path.name, path)]
    videos = [clip for clip in find_clips(path) if not clip.is_picture]
    if not videos:
        endings = ", ".join(sorted(VIDEOS))
        raise ListingError(f"{path}: a folder without videos; they end in {endings}")
    return videos


def cut_crops(path: Path, protocol: Protocol) -> dict[int, Tensor]:
    """A clip's crops, of every short side: {side: [N, 3, frames, size, size] in [-1, 1]}.

    Raises `VideoError` where the clip is smaller than a short side, or shorter than a piece.
    """
    with VideoReader(path) as reader:
        native = min(reader.size)
    if native < max(protocol.sides):
        raise VideoError(
            f"{path}: has a short side of {native}, the protocol {max(protocol.sides)}; "
            "lower --short-side or --size"
        )
    return {side: cut_pieces(path, side, protocol) for side in protocol.sides}


def cut_pieces(path: Path, short_side: int, protocol: Protocol) -> Tensor:
    """The crops of a clip of this short side."""
    crops = []
    with VideoReader(path, short_side=short_side, stride=protocol.stride) as reader:
        for chunk in islice(reader.pieces(protocol.frames), protocol.pieces):
            if chunk.video.shape[2] < protocol.frames:
                break
            places = PLACES[: protocol.crops]
            crops += [cut_square(chunk.video, protocol.size, *place) for place in places]
    if not crops:
        raise VideoError(
            f"{path}: has fewer than {protocol.frames} frames at stride {protocol.stride}; "
            "lower --frames-per-clip or --stride"
        )
    return torch.cat(crops)


def cut_square(video: Tensor, size: int, down: float, right: float) -> Tensor:
    """A square out of every frame, so far down and to the right."""
    height, width = video.shape[-2:]
    top, left = round(down * (height - size)), round(right * (width - size))
    return video[..., top : top + size, left : left + size]
