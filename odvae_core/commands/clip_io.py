"""Opening input clips, checking output paths, and progress bars over frames."""

import os
from argparse import Namespace
from collections.abc import Iterable, Iterator
from pathlib import Path

from torch import Tensor
from tqdm import tqdm

from ..files.atomic import clear_leftovers
from ..limits import LONGEST_NAME
from ..padding import ClipSize
from ..video import VideoReader

READ_FRAMES = 8  # frames read at a time; schedules split them again


def open_clip(options: Namespace) -> VideoReader:
    """A reader of the input with the options of the clip."""
    return VideoReader(
        options.input,
        short_side=options.short_side,
        size=options.size,
        crop=options.crop,
        start=options.start,
        frames=options.max_frames,
        stride=options.stride,
    )


def expected_size(reader: VideoReader) -> ClipSize:
    """The clip's size as it is read; the number of frames may be an estimate."""
    return ClipSize(reader.expected_frames, *reader.size)


def check_outputs(options: Namespace, *outputs: Path | None) -> None:
    """Raise before any work if an output exists, would replace the input, or has no folder."""
    wanted = [path for path in outputs if path is not None]
    if len({path.resolve() for path in wanted}) < len(wanted):
        raise ValueError(f"got {wanted[0]} for two outputs; give each its own name")
    for path in wanted:
        if path.resolve() == options.input.resolve():
            raise ValueError(f"got {path} as input and output; give the output another name")
        check_output(path, options.overwrite)


def check_output(path: Path, overwrite: bool) -> None:
    """Raise if a file can't be written, or would replace another without `overwrite`.

    Temporary files of killed writers in its folder are removed.
    """
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path}: its folder doesn't exist; create it, or give another")
    if len(os.fsencode(path.name)) > LONGEST_NAME:
        raise ValueError(f"{path}: a name of more than {LONGEST_NAME} bytes; give a shorter one")
    if path.is_dir():
        raise ValueError(f"{path}: is a folder; give the name of a file")
    if path.exists() and not path.is_file():
        raise ValueError(f"{path}: is a device or a pipe; give the name of a file")
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path}: exists; give another name, or add --overwrite")
    clear_leftovers(path.parent)


def split_frames(chunks: Iterable[Tensor]) -> Iterator[Tensor]:
    """Chunks [B, C, T, H, W] as single frames."""
    for chunk in chunks:
        yield from chunk.split(1, dim=2)


def frame_progress_bar(chunks: Iterable[Tensor], title: str, total: int | None) -> Iterator[Tensor]:
    """The chunks [B, C, T, H, W], with a progress bar on stderr if it is a terminal."""
    with tqdm(desc=title, total=total, unit=" frames", disable=None) as bar:
        for chunk in chunks:
            bar.update(chunk.shape[2])
            yield chunk
