"""Media files that once cost more than their size warrants, or ended in a wrong error."""

import struct
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

from tests.media import draw_noise, draw_numbers, make_clip

SIDE = 16_200  # of a picture below FFmpeg's own bound, which took 4.6 GB out of 43 bytes


def make_gif(width: int, height: int) -> bytes:
    """A GIF of 43 bytes with a picture of one pixel on a screen of any size."""
    screen = struct.pack("<6sHHBBB", b"GIF89a", width, height, 0x80, 0, 0)
    colours = b"\0\0\0\xff\xff\xff" + b"\x21\xf9\x04\0\0\0\0\0"
    picture = struct.pack("<BHHHHB", 0x2C, 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\0\x3b"
    return screen + colours + picture


def patch(path: Path, mark: bytes, offset: int, form: str, *values: int) -> Path:
    """Write numbers behind a mark."""
    data = bytearray(path.read_bytes())
    struct.pack_into(form, data, data.index(mark) + offset, *values)
    path.write_bytes(data)
    return path


def write_gif(folder: Path) -> Path:
    path = folder / "screen.gif"
    path.write_bytes(make_gif(SIDE, SIDE))
    return path


def write_webp(folder: Path) -> Path:
    """A lossless WebP whose header states 16384x16384."""
    path = make_clip(folder / "large.webp", draw_noise(1), codec="libwebp", pix_fmt="bgra")
    data = bytearray(path.read_bytes())
    data[12:] = b"VP8L" + struct.pack("<IBI", len(data) - 20, 0x2F, 0x0FFFFFFF) + data[29:]
    path.write_bytes(data)
    return path


def write_table(folder: Path) -> Path:
    """An MP4 that states 20 million samples of one byte."""
    path = make_clip(folder / "table.mp4", draw_noise(3))
    patch(path, b"stsz", 8, ">II", 1, 20_000_000)
    return patch(path, b"stsc", 16, ">I", 20_000_000)


def write_run(folder: Path) -> Path:
    """A fragment of 20 million samples that it doesn't list."""
    options = {"movflags": "frag_keyframe+empty_moov"}
    path = make_clip(folder / "run.mp4", draw_noise(3), **options)
    return patch(path, b"trun", 4, ">II", 1, 20_000_000)


def write_nest(folder: Path) -> Path:
    """Boxes in boxes, thousands deep."""
    path = folder / "nest.mp4"
    content = b""
    for _ in range(3000):
        content = struct.pack(">I4s", len(content) + 8, b"moov") + content
    path.write_bytes(content)
    return path


def write_rate(folder: Path) -> Path:
    """An AVI of less than one frame in a year."""
    path = make_clip(folder / "slow.avi", draw_noise(3), codec="mpeg4")
    return patch(path, b"strh", 28, "<I", 2**28)


def write_clock(folder: Path) -> Path:
    """A Matroska file whose second frame comes years later."""
    times = [Fraction(0), Fraction(4 * 10**8)]
    return make_clip(folder / "years.mkv", draw_numbers(2), times=times)


WRITERS: tuple[Callable[[Path], Path], ...] = (
    write_gif,
    write_webp,
    write_table,
    write_run,
    write_nest,
    write_rate,
    write_clock,
)


def write_corpus(folder: Path) -> Iterator[Path]:
    """Every file of the corpus."""
    for write in WRITERS:
        yield write(folder)
