"""Options that several commands share, and the types of their values."""

from argparse import ArgumentParser, ArgumentTypeError, _ArgumentGroup

from ..constants import STRATEGIES
from ..limits import LARGEST_COUNT, LARGEST_SEED, LONGEST_CLIP

DTYPES = ("auto", "bf16", "fp16", "fp32")
DEFAULT = "default"

SCHEDULE_HELP = """how a long clip is split in time. whole: not at all; paper: windows of one length
that share a frame; published: the sizes of the authors' code; exact: equal to whole, at the lowest
cost; stream: chunk by chunk, for any length; auto: the best that fits into memory, exact if
possible"""


def add_model_options(parser: ArgumentParser) -> None:
    """The checkpoint, and how it runs."""
    group = parser.add_argument_group("the model, and how it runs")
    add = group.add_argument
    add("--checkpoint", default=DEFAULT, metavar="PATH", help="a file, a folder, or `default`")
    add_schedule_options(group)


def add_schedule_options(group: _ArgumentGroup) -> None:
    """Schedule, tiles, dtype and device."""
    add = group.add_argument
    add("--schedule", choices=STRATEGIES, default="auto", help=SCHEDULE_HELP)
    add("--frames", type=positive, metavar="N", help="frames of a window, slab or chunk: 1 + 4k")
    add("--tile", type=positive, metavar="PIXELS", help="use blended square tiles of this side")
    add(
        "--overlap",
        type=non_negative,
        metavar="PIXELS",
        help="overlap of tiles (default: an eighth of one)",
    )
    add(
        "--dtype",
        choices=DTYPES,
        default="auto",
        help="auto: bf16 on a GPU that supports it, else fp32",
    )
    add("--device", default="auto", help="cpu, cuda, cuda:1, ...; auto: a GPU if there is one")


def add_clip_options(parser: ArgumentParser) -> None:
    """The part of a video that is read."""
    group = parser.add_argument_group("clip")
    add_frame_options(group)
    add = group.add_argument
    add("--start", type=seconds, default=0.0, metavar="SECONDS", help="time of the first frame")


def add_frame_options(group: _ArgumentGroup) -> None:
    """The frames of a clip that are read, and their size."""
    either = group.add_mutually_exclusive_group()
    either.add_argument(
        "--short-side", type=positive, metavar="PIXELS", help="resize to this short side"
    )
    either.add_argument("--size", type=height_and_width, metavar="HxW", help="resize to this size")
    add = group.add_argument
    add("--crop", type=height_and_width, metavar="HxW", help="then crop the centre")
    add("--stride", type=positive, default=1, metavar="N", help="take every N-th frame")
    add("--max-frames", type=positive, metavar="N", help="take at most N frames")


def add_posterior_options(parser: ArgumentParser) -> None:
    """Whether the latent is the mean or a sample."""
    group = parser.add_argument_group("latent")
    add = group.add_argument
    add("--posterior", choices=("mean", "sample"), default="mean", help="mean, or a random sample")
    add("--seed", type=seed, default=0, metavar="N", help="seed of the sample")


def add_video_options(parser: ArgumentParser) -> None:
    """Settings of the output video."""
    add = parser.add_argument
    add(
        "--quality",
        type=non_negative,
        default=18,
        metavar="CRF",
        help="0 is lossless, 51 the worst",
    )
    add_overwrite_option(parser)


def add_overwrite_option(parser: ArgumentParser) -> None:
    """Whether outputs may replace existing files."""
    parser.add_argument("--overwrite", action="store_true", help="replace files that exist")


def add_report_options(parser: ArgumentParser) -> None:
    """The format of results and errors."""
    add = parser.add_argument
    add("--json", action="store_true", help="write the result as JSON to stdout")
    add("--debug", action="store_true", help="show an error's traceback (or set ODVAE_DEBUG)")


def positive(text: str) -> int:
    """An integer, 1 or more."""
    return whole_number(text, 1, LARGEST_COUNT)


def non_negative(text: str) -> int:
    """An integer, 0 or more."""
    return whole_number(text, 0, LARGEST_COUNT)


def seed(text: str) -> int:
    """An integer of 63 bits."""
    return whole_number(text, 0, LARGEST_SEED)


def whole_number(text: str, least: int, most: int) -> int:
    """An integer from `least` to `most`."""
    short = text.isascii() and text.isdecimal() and len(text) <= len(str(most))
    if not short or not least <= int(text) <= most:
        raise ArgumentTypeError(f"got {text[:40]!r}; give a whole number, {least} to {most}")
    return int(text)


def seconds(text: str) -> float:
    """A time of 0 seconds or more."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= LONGEST_CLIP:
        raise ArgumentTypeError(f"got {text[:40]!r}; give seconds, 0 to {LONGEST_CLIP}")
    return value


def height_and_width(text: str) -> tuple[int, int]:
    """`720x1280` -> (720, 1280)."""
    height, found, width = text.partition("x")
    if not found:
        raise ArgumentTypeError(f"got {text!r}; give height x width, as in 720x1280")
    return positive(height), positive(width)


def shard(text: str) -> tuple[int, int]:
    """`2/4` -> (2, 4): the second of four parts."""
    number, found, count = text.partition("/")
    if not found or positive(number) > positive(count):
        raise ArgumentTypeError(f"got {text!r}; give i/n with i from 1 to n, as in 2/4")
    return positive(number), positive(count)
