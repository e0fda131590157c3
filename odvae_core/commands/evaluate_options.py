"""The options of `odvae evaluate`."""

from argparse import ArgumentParser
from pathlib import Path

from .option_groups import add_overwrite_option, add_run_options, positive, share


def add_evaluate_options(parser: ArgumentParser) -> None:
    """Which clips, which crops, who is compared, by what, and where the results go."""
    parser.epilog = "TATS and OPS-VAE are not included."
    add = parser.add_argument
    add("inputs", nargs="*", type=Path, metavar="clip", help="videos, or folders of videos")
    add_crop_options(parser)
    add_candidate_options(parser)
    add_network_options(parser)
    add_result_options(parser)
    add_run_options(parser.add_argument_group("how checkpoints run"))


def add_crop_options(parser: ArgumentParser) -> None:
    """What of a clip is measured."""
    add = parser.add_argument_group("the crops").add_argument
    add("--frames-per-clip", type=positive, default=33, metavar="N", help="frames of a piece")
    add("--size", type=positive, default=256, metavar="PIXELS", help="sides of the square crops")
    add(
        "--short-side",
        type=positive,
        action="append",
        metavar="PIXELS",
        help="resize to this first, again for each that is given; else to --size",
    )
    add("--stride", type=positive, default=1, metavar="N", help="take every N-th frame")
    add("--crops", type=positive, default=1, metavar="N", help="1: the centre; to 5: corners too")
    add("--pieces", type=positive, default=1, metavar="N", help="at most so many, in a row")


def add_candidate_options(parser: ArgumentParser) -> None:
    """Who is compared; the embedded model alone where none is named."""
    group = parser.add_argument_group("who is compared, each as often as you like")
    add = group.add_argument
    add(
        "--checkpoint",
        action="append",
        metavar="[NAME=]PATH",
        help="a file or a folder, 2D VAEs too, or `default`, which also runs where none is named",
    )
    add(
        "--baseline",
        action="append",
        metavar="NAME",
        help="bicubic-mean or bicubic-nearest: small pictures, one for each group of four frames",
    )
    add(
        "--diffusers",
        action="append",
        metavar="[NAME=]CLASS=FOLDER",
        help="a VAE that diffusers saved, as in AutoencoderKLTemporalDecoder=svd/vae",
    )


def add_network_options(parser: ArgumentParser) -> None:
    """Measures that need weights."""
    add = parser.add_argument_group("measures that need a weights file").add_argument
    add("--lpips-alex", type=Path, metavar="FILE", help="torchvision's AlexNet: LPIPS (alex)")
    add("--lpips-vgg", type=Path, metavar="FILE", help="torchvision's VGG16: LPIPS (vgg)")
    add("--i3d", type=Path, metavar="FILE", help="i3d_torchscript.pt of StyleGAN-V: rFVD, KVD")
    add("--c3d", type=Path, metavar="FILE", help="c3d_ucf101.pt of StyleGAN-V: Inception Score")


def add_result_options(parser: ArgumentParser) -> None:
    """Where results go, and how an evaluation goes on, is split and is joined."""
    add = parser.add_argument_group("the results").add_argument
    add("--csv", type=Path, metavar="FILE", help="write the figures of every clip")
    add("--plot", type=Path, metavar="FILE.png", help="write PSNR as a picture")
    add_overwrite_option(parser)
    add(
        "--journal",
        type=Path,
        metavar="FILE",
        help="keep the figures as they come; an evaluation that was interrupted goes on from here",
    )
    add(
        "--shard",
        type=share,
        default="1/1",
        metavar="I/N",
        help="measure the I-th of N shares of the clips, into a journal of its own",
    )
    add(
        "--merge",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="measure nothing: the table of these journals together",
    )
