"""`python -m train.diffusion.render FOLDER`: clips of moving shapes, in a folder for each class.

They are the data of the small demonstration model: `odvae encode-dataset` encodes them.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from odvae_core.video import VideoError, VideoWriter

from ..data.shapes import SHAPES, draw_shape_clip
from ..keyed_random import KeyedRandom

SHAPES_KEY, FPS = 76, 8


def write_shape_clips(folder: Path, count: int, frames: int, size: int, seed: int) -> None:
    """Write `count` clips, each class in turn; H.264 without loss except for the colour space."""
    names = list(SHAPES)
    for number in range(count):
        label = number % len(names)
        clip = draw_shape_clip(KeyedRandom(SHAPES_KEY, seed, number), label, frames, size)
        place = folder / names[label]
        place.mkdir(parents=True, exist_ok=True)
        with VideoWriter(place / f"{number:06d}.mkv", (size, size), FPS, quality=0) as writer:
            writer.write(clip[None])


def main(arguments: list[str]) -> int:
    """Write the clips that the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m train.diffusion.render", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=4000)
    parser.add_argument("--frames", type=int, default=17)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    try:
        write_shape_clips(options.folder, options.count, options.frames, options.size, options.seed)
    except (VideoError, OSError) as error:
        print(f"train.diffusion.render: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
