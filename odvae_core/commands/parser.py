"""The command line's options. Nothing here imports torch, so that `--help` is fast."""

from argparse import Action, ArgumentDefaultsHelpFormatter, ArgumentParser
from collections.abc import Callable
from pathlib import Path

from .shared_options import (
    DEFAULT,
    DTYPES,
    add_clip_options,
    add_frame_options,
    add_model_options,
    add_overwrite_option,
    add_posterior_options,
    add_report_options,
    add_schedule_options,
    add_video_options,
    height_and_width,
    positive,
    shard,
)

MODES = ("tail", "average", "center", "random", "branches")
PREVIEW_FRAMES = 33
VIDEO_HELP = "the video file to write: .mp4, .mkv or .mov"


def make_parser() -> ArgumentParser:
    """The parser of all commands."""
    parser = ArgumentParser(
        prog="odvae", description="Encode video to latents and back with OD-VAE, CV-VAE or IV-VAE."
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, (summary, add_options) in COMMANDS.items():
        about = f"{summary[0].upper()}{summary[1:]}."
        command = commands.add_parser(name, help=summary, description=about, formatter_class=Help)
        add_options(command)
        add_report_options(command)
    return parser


class Help(ArgumentDefaultsHelpFormatter):
    """Adds the default to the help of every option that has one."""

    def _get_help_string(self, action: Action) -> str | None:
        if action.default is None or action.default is False:
            return action.help
        return super()._get_help_string(action)


def add_info_options(parser: ArgumentParser) -> None:
    parser.add_argument("checkpoint", nargs="?", default=DEFAULT, help="a file or folder")


def add_reconstruct_options(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("input", type=Path, help="a video file")
    add("output", type=Path, help=VIDEO_HELP)
    add("--side-by-side", type=Path, metavar="PATH", help="also write clip and result side by side")
    add_video_options(parser)
    add_clip_options(parser)
    add_posterior_options(parser)
    add_model_options(parser)


def add_encode_options(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("input", type=Path, help="a video file")
    add("output", type=Path, metavar="latent", help="the latent file to write: .safetensors")
    add_overwrite_option(parser)
    add_clip_options(parser)
    add_posterior_options(parser)
    add_model_options(parser)


def add_dataset_options(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("input", type=Path, metavar="clips", help="a folder, or a manifest: .csv or .jsonl")
    add("output", type=Path, metavar="latents", help="the folder to write, or to continue")
    add("--shard", type=shard, default="1/1", metavar="I/N", help="encode every N-th clip from I")
    group = parser.add_argument_group("clips")
    group.add_argument(
        "--frames-per-clip",
        type=positive,
        metavar="N",
        help="split videos into pieces of N frames and omit the remainder (default: whole videos)",
    )
    add_frame_options(group)
    add_posterior_options(parser)
    add = parser.add_argument_group("shards").add_argument
    add("--images", action="store_true", help="also take a 2D VAE, which encodes frame by frame")
    add("--logvar", action="store_true", help="store the log variance as well as the mean")
    add("--latent-dtype", choices=DTYPES[1:], default="fp32", help="dtype of the stored latents")
    add("--format", choices=("safetensors", "webdataset"), default="safetensors", help="file type")
    add("--shard-size", type=positive, default=256, metavar="MIB", help="approximate size")
    add_model_options(parser)


def add_decode_options(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("input", type=Path, metavar="latent", help="a file that `odvae encode` wrote")
    add("output", type=Path, help=VIDEO_HELP)
    add("--audio-from", type=Path, metavar="PATH", help="copy the audio of this file")
    add_video_options(parser)
    add_model_options(parser)


def add_inflate_options(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("input", type=Path, metavar="sd_vae", help="a file of a 2D VAE or of a whole SD checkpoint")
    add("output", type=Path, help="the video VAE to write: .safetensors")
    add("--preset", default="odvae-v1.2", help="configuration of the video VAE")
    add("--mode", choices=MODES, default="tail", help="position of the 2D kernels in the 3D ones")
    add("--dtype", choices=DTYPES, default="auto", help="dtype of the file; auto: fp32")
    add_overwrite_option(parser)


def add_evaluate_options(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("inputs", nargs="*", type=Path, metavar="clip", help="videos, or folders of videos")
    add_crop_options(parser)
    add_candidate_options(parser)
    add_paper_options(parser)
    add_network_options(parser)
    add_result_options(parser)
    add_schedule_options(parser.add_argument_group("how checkpoints run"))


def add_crop_options(parser: ArgumentParser) -> None:
    """The options that define the crops."""
    add = parser.add_argument_group("crops").add_argument
    add("--frames-per-clip", type=positive, metavar="N", help="frames of a crop (33)")
    add("--size", type=positive, metavar="PIXELS", help="side of the square crops (256)")
    add(
        "--short-side",
        type=positive,
        action="append",
        metavar="PIXELS",
        help="resize to this short side first; may be repeated (default: --size)",
    )
    add("--stride", type=positive, metavar="N", help="take every N-th frame (1)")
    add("--crops", type=positive, metavar="N", help="1: the centre; to 5: corners too (1)")
    add("--pieces", type=positive, metavar="N", help="at most N consecutive pieces (1)")
    add("--clips", type=positive, metavar="N", help="the first N clips (all)")
    add("--clip-list", type=Path, metavar="FILE", help="only the clips that a list names")


def add_candidate_options(parser: ArgumentParser) -> None:
    """The options that name the candidates; the embedded model if there are none."""
    add = parser.add_argument_group("candidates, each option may be repeated").add_argument
    add(
        "--checkpoint",
        action="append",
        metavar="[NAME=]PATH",
        help="a file or a folder, also of a 2D VAE, or `default`, which also runs if none is named",
    )
    add(
        "--baseline",
        action="append",
        metavar="NAME",
        help="bicubic-mean or bicubic-nearest: one small picture for each group of four frames",
    )
    add(
        "--diffusers",
        action="append",
        metavar="[NAME=]CLASS=FOLDER",
        help="a VAE that diffusers saved, as in AutoencoderKLTemporalDecoder=svd/vae",
    )


def add_paper_options(parser: ArgumentParser) -> None:
    """The options that stand for the papers' tables."""
    add = parser.add_argument_group("the papers' tables").add_argument
    add(
        "--protocol",
        metavar="NAME",
        help="crops of a paper's table, or a .toml file; given options change them; "
        "odvae-webvid, odvae-panda, odvae-ucf101, odvae-skytimelapse, wfvae-kinetics-400, "
        "ivvae-kinetics-600, ivvae-activitynet, ivvae-motionhd",
    )
    add("--table-1", type=Path, metavar="DIR", help="OD-VAE's Table 1 from the checkpoints in DIR")
    add(
        "--generated",
        nargs=2,
        type=Path,
        metavar=("REAL", "GENERATED"),
        help="FVD, KVD and Inception Score between two folders of clips (16 frames)",
    )


def add_network_options(parser: ArgumentParser) -> None:
    """The weights files of metric networks."""
    add = parser.add_argument_group("metrics that need a weights file").add_argument
    add("--lpips-alex", type=Path, metavar="FILE", help="torchvision's AlexNet: LPIPS (alex)")
    add("--lpips-vgg", type=Path, metavar="FILE", help="torchvision's VGG16: LPIPS (vgg)")
    add("--i3d", type=Path, metavar="FILE", help="i3d_torchscript.pt of StyleGAN-V: rFVD, KVD")
    add("--c3d", type=Path, metavar="FILE", help="c3d_ucf101.pt of StyleGAN-V: Inception Score")


def add_result_options(parser: ArgumentParser) -> None:
    """The options for output files, and for resuming, splitting and merging evaluations."""
    add = parser.add_argument_group("results").add_argument
    add("--csv", type=Path, metavar="FILE", help="write the metrics of every clip")
    add("--plot", type=Path, metavar="FILE.png", help="write a plot of PSNR")
    add_overwrite_option(parser)
    journal = "store metrics after each clip; an interrupted evaluation continues from this file"
    add("--journal", type=Path, metavar="FILE", help=journal)
    add(
        "--shard",
        type=shard,
        default="1/1",
        metavar="I/N",
        help="measure the I-th of N parts of the clips, into a journal of its own",
    )
    merge = "measure nothing: print the table of these journals together"
    add("--merge", nargs="+", type=Path, metavar="FILE", help=merge)


def add_preview_options(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("input", type=Path, metavar="clips", help="a folder, or a manifest: .csv or .jsonl")
    add("output", type=Path, help="the file to write: NAME.preview.json beside a model NAME")
    add_overwrite_option(parser)
    add_frame_options(parser.add_argument_group("clips"))
    parser.set_defaults(max_frames=PREVIEW_FRAMES)
    add_model_options(parser)


def add_export_options(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("checkpoint", help="a file or a folder, also of a 2D VAE, or `default`")
    add("folder", type=Path, help="the folder to write: config.json and weights")
    add(
        "--format",
        choices=("authors", "diffusers"),
        default="authors",
        help="as the family's authors read it, or a 2D VAE as diffusers' AutoencoderKL",
    )
    add("--dtype", choices=DTYPES, default="auto", help="dtype of the weights; auto: the file's")
    add_overwrite_option(parser)


def add_bench_options(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("--size", type=height_and_width, default="256x256", metavar="HxW", help="size of the clip")
    add("--clip-frames", type=positive, default=33, metavar="N", help="frames of the clip")
    add("--repeats", type=positive, default=3, metavar="N", help="report the median of N runs")
    add_model_options(parser)


COMMANDS: dict[str, tuple[str, Callable[[ArgumentParser], None]]] = {
    "info": ("describe a checkpoint", add_info_options),
    "reconstruct": ("encode and decode a video, file to file", add_reconstruct_options),
    "encode": ("write the latents of a video", add_encode_options),
    "encode-dataset": ("write the latents of a folder of clips for training", add_dataset_options),
    "decode": ("write the video of latents", add_decode_options),
    "inflate": ("make a video VAE from a 2D VAE", add_inflate_options),
    "export": ("write a VAE as its authors' code reads it", add_export_options),
    "evaluate": ("compare checkpoints and baselines on clips", add_evaluate_options),
    "fit-preview": ("fit the colours of previews to a VAE's latents", add_preview_options),
    "bench": ("measure speed and memory of the schedules", add_bench_options),
}
