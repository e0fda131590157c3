"""Memory, time and error of each schedule, compared with the whole clip.

    python -m benchmarks.schedules [--frames 17 65 257] [--preset odvae-v1.2 | --default]

A preset has a quarter of its width and random weights. One process for each row. Peak memory is
without the weights, the input and the result; the largest tensor is the largest input of a
convolution, in millions of elements. Errors are PSNR in dB against the whole clip, over its range.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time

import torch
from torch import Tensor, nn

import odvae_core as odvae
from benchmarks.narrow import build_narrow
from benchmarks.peak import measure_peak
from odvae_core.video import read_video
from train.environment import ROOT, describe_environment

SCHEDULES = {
    "Whole()": odvae.Whole(),
    "Windows(9)": odvae.Windows(9),
    "Stream(9)": odvae.Stream(9),
    "Sweep(9)": odvae.Sweep(9),
}
HEAD = (
    "| schedule | frames | encode peak, MiB | decode peak, MiB | largest tensor, M | seconds "
    "| encode error | decode error |\n|---|---|---|---|---|---|---|---|"
)


class LargestInput:
    """The number of elements of the largest input of a convolution."""

    def __init__(self, vae: nn.Module):
        self.elements = 0
        for module in vae.modules():
            if isinstance(module, nn.Conv3d | nn.Conv2d):
                module.register_forward_pre_hook(self.record)

    def record(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self.elements = max(self.elements, inputs[0].numel())


def make_model(arguments: argparse.Namespace) -> odvae.VideoVAE:
    """The embedded default, or a preset with random weights, also of its norms."""
    if arguments.default:
        return odvae.load("default")
    torch.manual_seed(0)
    vae = build_narrow(arguments.preset)
    with torch.no_grad():
        for weight in vae.parameters():
            if weight.ndim == 1:
                weight += 0.2 * torch.randn_like(weight)
    return vae.eval().requires_grad_(False)


def make_clip(frames: int, side: int) -> Tensor:
    """The sample clip, repeated forwards and backwards, cropped to `side` pixels."""
    clip = read_video(ROOT / "assets" / "sample.mp4", size=(side, side))
    loop = torch.cat([clip, clip.flip(2)[:, :, 1:-1]], dim=2)
    return torch.cat([loop] * -(-frames // loop.shape[2]), dim=2)[:, :, :frames].contiguous()


def compute_psnr(whole: Tensor, other: Tensor) -> float:
    """PSNR of `other` against `whole`, over the range of `whole`; infinite where they are equal."""
    error = (whole - other).square().mean().sqrt()
    return float(20 * torch.log10((whole.max() - whole.min()) / error))


def measure_pass(arguments: argparse.Namespace) -> dict[str, float]:
    """One row: a direction under a schedule, then its error."""
    vae, schedule = make_model(arguments), SCHEDULES[arguments.schedule]
    clip = make_clip(arguments.frames[0], arguments.side)
    encode = arguments.direction == "encode"
    try:
        schedule.check_coder(vae.encoder_pass() if encode else vae.decoder_pass())
    except ValueError:
        return {}
    with torch.inference_mode():
        # a small clip first: memory that the first call allocates permanently is not counted
        vae.decode(vae.encode(clip[:, :, :5, :16, :16]).mean)
        given = clip if encode else vae.encode(clip, odvae.Sweep(9)).mean

        def run(cut: odvae.Schedule) -> Tensor:
            return vae.encode(given, cut).mean if encode else vae.decode(given, cut)

        largest, start = LargestInput(vae), time.perf_counter()
        result, peak = measure_peak(lambda: run(schedule))
        seconds, elements = time.perf_counter() - start, largest.elements
        error = compute_psnr(run(odvae.Whole()), result)
    return {"peak": peak / 2**20, "largest": elements / 1e6, "seconds": seconds, "error": error}


def measure_in_child(arguments: argparse.Namespace, name: str, frames: int, direction: str) -> dict:
    """`measure_pass` in a new process."""
    words = [sys.executable, "-m", "benchmarks.schedules", "--child"]
    words += ["--schedule", name, "--frames", str(frames), "--direction", direction]
    words += ["--side", str(arguments.side)]
    words += ["--default"] if arguments.default else ["--preset", arguments.preset]
    run = subprocess.run(words, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(run.stdout.splitlines()[-1])


def format_psnr(psnr: float) -> str:
    return "equal" if psnr == float("inf") else f"{psnr:.0f} dB"


def format_row(name: str, frames: int, encode: dict, decode: dict) -> str:
    """A row of the table, with "refused" for passes that the network doesn't support."""
    passes = [one for one in (encode, decode) if one]
    peaks = [f"{one['peak']:.0f}" if one else "refused" for one in (encode, decode)]
    errors = [format_psnr(one["error"]) if one else "refused" for one in (encode, decode)]
    largest = max((one["largest"] for one in passes), default=0)
    seconds = sum(one["seconds"] for one in passes)
    cells = [f"`{name}`", str(frames), *peaks, f"{largest:.1f}", f"{seconds:.1f}", *errors]
    return f"| {' | '.join(cells)} |"


def print_table(arguments: argparse.Namespace) -> None:
    model = "embedded default" if arguments.default else f"{arguments.preset}, a quarter as wide"
    print(f"{model}, {arguments.side}x{arguments.side}, float32\n\n{HEAD}")
    for frames in arguments.frames:
        for name in SCHEDULES:
            encode, decode = (
                measure_in_child(arguments, name, frames, coding) for coding in ("encode", "decode")
            )
            print(format_row(name, frames, encode, decode), flush=True)
    print(f"\n{describe_environment()}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, nargs="+", default=[17, 65, 257])
    parser.add_argument("--side", type=int, default=64, help="height and width, in pixels")
    parser.add_argument("--preset", default="odvae-v1.2")
    parser.add_argument("--default", action="store_true", help="the embedded default instead")
    parser.add_argument("--schedule", help=argparse.SUPPRESS)
    parser.add_argument("--direction", help=argparse.SUPPRESS)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(measure_pass(arguments)))
    else:
        print_table(arguments)


if __name__ == "__main__":
    main()
