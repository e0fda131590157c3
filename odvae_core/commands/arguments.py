"""The command line. Nothing here imports torch, so that `--help` comes at once."""

from argparse import Action, ArgumentDefaultsHelpFormatter, ArgumentParser
from collections.abc import Callable
from pathlib import Path

from .evaluate_options import add_evaluate_options
from .option_groups import (
    DEFAULT,
    DTYPES,
    add_clip_options,
    add_frame_options,
    add_model_options,
    add_overwrite_option,
    add_posterior_options,
    add_report_options,
    add_video_options,
    height_and_width,
    positive,
    share,
)

MODES = ("tail", "average", "center", "random", "branches")
VIDEO_HELP = "a video to write: .mp4, .mkv or .mov"


def make_parser() -> ArgumentParser:
    """The whole command line."""
    parser = ArgumentParser(
        prog="odvae", description="Video to latents and back: OD-VAE and its relatives."
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, (summary, add_options) in COMMANDS.items():
        about = f"{summary[0].upper()}{summary[1:]}."
        command = commands.add_parser(name, help=summary, description=about, formatter_class=Help)
        add_options(command)
        add_report_options(command)
    return parser


class Help(ArgumentDefaultsHelpFormatter):
    """Names the default of every option that has one."""

    def _get_help_string(self, action: Action) -> str | None:
        if action.default is None or action.default is False:
            return action.help
        return super()._get_help_string(action)


def add_info_options(parser: ArgumentParser) -> None:
    parser.add_argument("checkpoint", nargs="?", default=DEFAULT, help="a file or folder")


def add_reconstruct_options(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("input", type=Path, help="a video")
    add("output", type=Path, help=VIDEO_HELP)
    add("--side-by-side", type=Path, metavar="PATH", help="write clip and result in one picture")
    add_video_options(parser)
    add_clip_options(parser)
    add_posterior_options(parser)
    add_model_options(parser)


def add_encode_options(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("input", type=Path, help="a video")
    add("output", type=Path, metavar="latent", help="latents to write: .safetensors")
    add_overwrite_option(parser)
    add_clip_options(parser)
    add_posterior_options(parser)
    add_model_options(parser)


def add_dataset_options(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("input", type=Path, metavar="clips", help="a folder, or a manifest: .csv or .jsonl")
    add("output", type=Path, metavar="latents", help="the folder to fill, or to go on filling")
    add(
        "--shard", type=share, default="1/1", metavar="I/N", help="encode every N-th, from the I-th"
    )
    group = parser.add_argument_group("the clips")
    group.add_argument(
        "--frames-per-clip",
        type=positive,
        metavar="N",
        help="cut videos into pieces of so many frames and leave the rest out; else whole",
    )
    add_frame_options(group)
    add_posterior_options(parser)
    add = parser.add_argument_group("the shards").add_argument
    add("--logvar", action="store_true", help="keep the log variance beside the mean")
    add("--latent-dtype", choices=DTYPES[1:], default="fp32", help="of the latents")
    add("--format", choices=("safetensors", "webdataset"), default="safetensors", help="of a shard")
    add("--shard-size", type=positive, default=256, metavar="MIB", help="of a shard, about")
    add_model_options(parser)


def add_decode_options(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("input", type=Path, metavar="latent", help="a file that `odvae encode` wrote")
    add("output", type=Path, help=VIDEO_HELP)
    add("--audio-from", type=Path, metavar="PATH", help="copy the sound of this file")
    add_video_options(parser)
    add_model_options(parser)


def add_inflate_options(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("input", type=Path, metavar="sd_vae", help="a 2D VAE's file, or a whole SD checkpoint")
    add("output", type=Path, help="the video VAE to write: .safetensors")
    add("--preset", default="odvae-v1.2", help="wiring of the video VAE")
    add("--mode", choices=MODES, default="tail", help="where the image kernels go")
    add("--dtype", choices=DTYPES, default="auto", help="of the file; auto: fp32")
    add_overwrite_option(parser)


def add_bench_options(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("--size", type=height_and_width, default="256x256", metavar="HxW", help="of the clip")
    add("--clip-frames", type=positive, default=33, metavar="N", help="of the clip")
    add("--repeats", type=positive, default=3, metavar="N", help="the median of so many runs")
    add_model_options(parser)


COMMANDS: dict[str, tuple[str, Callable[[ArgumentParser], None]]] = {
    "info": ("say what a checkpoint is", add_info_options),
    "reconstruct": ("encode and decode a video, file to file", add_reconstruct_options),
    "encode": ("write the latents of a video", add_encode_options),
    "encode-dataset": ("write the latents of a folder, to train on", add_dataset_options),
    "decode": ("write the video of latents", add_decode_options),
    "inflate": ("make a video VAE out of a 2D one", add_inflate_options),
    "evaluate": ("compare checkpoints and baselines on clips", add_evaluate_options),
    "bench": ("measure speed and memory of the schedules", add_bench_options),
}
