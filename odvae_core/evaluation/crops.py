"""The clips of an evaluation, and the crops that the protocol defines."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor

from ..video import ListedClip, ListingError, VideoError, VideoReader
from ..video.listing import VIDEOS, find_clips
from .protocol import CROP_POSITIONS, Protocol


def list_videos(inputs: Iterable[Path]) -> dict[str, Path]:
    """Files, and the videos of folders and their subfolders: {name: path}.

    A clip's name is its path relative to the given folder, so it is the same on other machines.
    Raises `ListingError`, also if two clips have the same name.
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
    """The clips of one input, sorted by name."""
    if not path.exists():
        raise ListingError(f"{path}: no such file or folder; check the path")
    if not path.is_dir():
        return [ListedClip(path.name, path)]
    videos = [clip for clip in find_clips(path) if not clip.is_picture]
    if not videos:
        endings = ", ".join(sorted(VIDEOS))
        raise ListingError(f"{path}: a folder without videos; their names end in {endings}")
    return videos


def cut_crops(path: Path, protocol: Protocol) -> dict[int, Tensor]:
    """A clip's crops for every short side: {side: [N, 3, frames, size, size] in [-1, 1]}.

    Raises `VideoError` if the clip is smaller than a short side, or shorter than a piece.
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
    """The crops of a clip, resized to this short side."""
    crops = []
    with VideoReader(path, short_side=short_side, stride=protocol.stride) as reader:
        for chunk in islice(reader.pieces(protocol.frames), protocol.pieces):
            if chunk.video.shape[2] < protocol.frames:
                break
            positions = CROP_POSITIONS[: protocol.crops]
            crops += [crop_square(chunk.video, protocol.size, *position) for position in positions]
    if not crops:
        raise VideoError(
            f"{path}: has fewer than {protocol.frames} frames at stride {protocol.stride}; "
            "lower --frames-per-clip or --stride"
        )
    return torch.cat(crops)


def crop_square(video: Tensor, size: int, down: float, right: float) -> Tensor:
    """A square of every frame; `down` and `right` in [0, 1] place it between the edges."""
    height, width = video.shape[-2:]
    top, left = round(down * (height - size)), round(right * (width - size))
    return video[..., top : top + size, left : left + size]
