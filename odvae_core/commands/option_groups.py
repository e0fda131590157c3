"""Options that several commands share, and the kinds of their values."""

from argparse import ArgumentParser, ArgumentTypeError, _ArgumentGroup

from ..constants import STRATEGIES
from ..limits import LARGEST_COUNT, LARGEST_SEED, LONGEST_CLIP

DTYPES = ("auto", "bf16", "fp16", "fp32")
DEFAULT = "default"

SCHEDULE_HELP = """how a long clip is cut. whole: not at all; paper: windows of one length that
share a frame; published: the sizes of the authors' code; exact: equal to whole, at the least cost;
stream: chunk by chunk, for any length; auto: the best that fits into memory, exact if possible"""


def add_model_options(parser: ArgumentParser) -> None:
    """Which model, and how it runs."""
    group = parser.add_argument_group("the model, and how it runs")
    add = group.add_argument
    add("--checkpoint", default=DEFAULT, metavar="PATH", help="a file, a folder, or `default`")
    add_run_options(group)


def add_run_options(group: _ArgumentGroup) -> None:
    """How a model runs."""
    add = group.add_argument
    add("--schedule", choices=STRATEGIES, default="auto", help=SCHEDULE_HELP)
    add("--frames", type=positive, metavar="N", help="of a window, slab or chunk: 1 + 4k")
    add("--tile", type=positive, metavar="PIXELS", help="work in square tiles of this side")
    add("--overlap", type=natural, metavar="PIXELS", help="of tiles (default: an eighth of one)")
    add("--dtype", choices=DTYPES, default="auto", help="auto: bf16 on a GPU that has it, or fp32")
    add("--device", default="auto", help="cpu, cuda, cuda:1, ...; auto: a GPU if there is one")


def add_clip_options(parser: ArgumentParser) -> None:
    """What of a video is taken."""
    group = parser.add_argument_group("the clip")
    add_frame_options(group)
    add = group.add_argument
    add("--start", type=seconds, default=0.0, metavar="SECONDS", help="begin here")


def add_frame_options(group: _ArgumentGroup) -> None:
    """Which frames of a clip are taken, and how large."""
    either = group.add_mutually_exclusive_group()
    either.add_argument("--short-side", type=positive, metavar="PIXELS", help="resize it to this")
    either.add_argument("--size", type=height_and_width, metavar="HxW", help="resize to this")
    add = group.add_argument
    add("--crop", type=height_and_width, metavar="HxW", help="then cut this out of the middle")
    add("--stride", type=positive, default=1, metavar="N", help="take every N-th frame")
    add("--max-frames", type=positive, metavar="N", help="take at most so many frames")


def add_posterior_options(parser: ArgumentParser) -> None:
    """Which latent is drawn."""
    group = parser.add_argument_group("the latent")
    add = group.add_argument
    add(
        "--posterior", choices=("mean", "sample"), default="mean", help="the likeliest, or a random"
    )
    add("--seed", type=seed, default=0, metavar="N", help="of the random one")


def add_video_options(parser: ArgumentParser) -> None:
    """How a video is written."""
    add = parser.add_argument
    add("--quality", type=natural, default=18, metavar="CRF", help="0 is lossless, 51 the worst")
    add_overwrite_option(parser)


def add_overwrite_option(parser: ArgumentParser) -> None:
    """Whether outputs may replace files."""
    parser.add_argument("--overwrite", action="store_true", help="replace files that exist")


def add_report_options(parser: ArgumentParser) -> None:
    """How results and errors are told."""
    add = parser.add_argument
    add("--json", action="store_true", help="write the result as JSON on stdout")
    add("--debug", action="store_true", help="show an error's traceback (or set ODVAE_DEBUG)")


def positive(text: str) -> int:
    """A whole number, 1 or more."""
    return whole_number(text, 1, LARGEST_COUNT)


def natural(text: str) -> int:
    """A whole number, 0 or more."""
    return whole_number(text, 0, LARGEST_COUNT)


def seed(text: str) -> int:
    """A whole number of 63 bits."""
    return whole_number(text, 0, LARGEST_SEED)


def whole_number(text: str, least: int, most: int) -> int:
    """A whole number from `least` to `most`."""
    short = text.isascii() and text.isdecimal() and len(text) <= len(str(most))
    if not short or not least <= int(text) <= most:
        raise ArgumentTypeError(f"got {text[:40]!r}; give a whole number, {least} to {most}")
    return int(text)


def seconds(text: str) -> float:
    """A time, from 0 on."""
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


def share(text: str) -> tuple[int, int]:
    """`2/4` -> (2, 4): the second of four shares."""
    number, found, count = text.partition("/")
    if not found or positive(number) > positive(count):
        raise ArgumentTypeError(f"got {text!r}; give i/n with i from 1 to n, as in 2/4")
    return positive(number), positive(count)
