"""How far ComfyUI's and diffusers' decoders of Wan and HunyuanVideo are from the whole clip.

    python -m benchmarks.lineage [--frames 33] [--side 96] [--vae hunyuan-1.5 ...]

One process for each row, on the CPU in float32: narrow networks with the random weights of
tests/lineage.py. Decibels are over the range of the whole clip's decode; they tell which decoder is
exact, not how released models look. Rows of ComfyUI need COMFYUI_PATH, those of diffusers its
package; the others are left out.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import odvae_core as odvae
from benchmarks.peak import measure_peak
from odvae_core.formats import to_native
from tests.lineage import CONFIGS, build_small, make_diffusers
from tests.lineage_reference import NETWORKS, prepare

CUTS = {
    "wan-2.1": odvae.Stream(5),
    "wan-2.2": odvae.Stream(5),
    "hunyuan-1.0": odvae.Sweep(5),
    "hunyuan-1.5": odvae.Stream(5),
}
DECODERS = {
    "whole": "this package, whole clip",
    "ours": "this package, {cut}",
    "core": "ComfyUI, VAE Decode",
    "core-tiled": "ComfyUI, VAE Decode (Tiled), {tile} pixels, 16 frames",
    "diffusers": "diffusers, as released",
    "diffusers-tiled": "diffusers, tiles of {tile} pixels",
}


def make_latent(name: str, frames: int, side: int) -> Tensor:
    """Latents that vary slowly in space and time, the same every time."""
    vae = build_small(name)
    generator = torch.Generator().manual_seed(0)
    small = side // vae.spatial_compression
    shape = 1, vae.latent_channels, 1 + (frames - 1) // 4, small, small
    coarse = torch.randn(*shape[:2], 4, 3, 3, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, shape[2:], mode="trilinear")
    return (smooth + 0.3 * torch.randn(shape, generator=generator)) / 2


def decode_ours(name: str, latent: Tensor, whole: bool) -> Any:
    vae, schedule = build_small(name).float(), odvae.Whole() if whole else CUTS[name]
    return lambda: vae.decode(latent, schedule)


def decode_by_core(name: str, latent: Tensor, comfyui: str, tile: int | None) -> Any:
    """ComfyUI's `VAE` around its own network, as its nodes call it."""
    prepare(comfyui)
    import comfy.model_management as mm  # pyright: ignore[reportMissingImports]
    import comfy.model_patcher as mp  # pyright: ignore[reportMissingImports]
    import comfy.sd  # pyright: ignore[reportMissingImports]

    from tests.lineage import fill

    network = NETWORKS[name]()
    if hasattr(network.decoder, "carried"):
        network.encoder.carried = network.decoder.carried = True  # as ComfyUI runs it
    space, vae = odvae.build(CONFIGS[name]).spatial_compression, comfy.sd.VAE(sd={})
    vae.first_stage_model, vae.latent_channels = fill(network).float(), latent.shape[1]
    vae.latent_dim, vae.vae_dtype, vae.size = 3, torch.float32, 0
    vae.device = vae.output_device = torch.device("cpu")
    vae.upscale_ratio = (lambda frames: max(0, frames * 4 - 3), space, space)
    vae.upscale_index_formula = (4, space, space)
    vae.patcher = mp.ModelPatcher(network, mm.get_torch_device(), torch.device("cpu"))
    vae.memory_used_decode = lambda shape, dtype: 1
    vae.process_output = lambda video: video
    if tile is None:
        return lambda: vae.decode(latent).movedim(-1, 1)
    sides = {"tile_x": tile // space, "tile_y": tile // space, "overlap": tile // 4 // space}
    cut = {"tile_t": 5, "overlap_t": 1}
    return lambda: vae.decode_tiled(latent, **sides, **cut).movedim(-1, 1)


def decode_by_diffusers(name: str, latent: Tensor, tile: int | None) -> Any:
    """diffusers' class with the same weights, under its own names."""
    vae, ours = make_diffusers(name).float(), build_small(name).float().state_dict()
    theirs = vae.state_dict()
    pairs = zip(theirs.items(), to_native(theirs), strict=True)
    vae.load_state_dict({key: ours[native].view_as(value) for (key, value), native in pairs})
    if tile is not None:
        sides = ("height", "width")
        sizes = {f"tile_sample_min_{side}": tile for side in sides}
        if name == "hunyuan-1.5":  # whose tiles are a fraction apart
            sizes |= {f"tile_latent_min_{side}": tile // 16 for side in sides}
        else:
            sizes |= {f"tile_sample_stride_{side}": tile * 3 // 4 for side in sides}
        vae.enable_tiling(**sizes)
    return lambda: vae.decode(latent).sample


def run_row(arguments: argparse.Namespace) -> None:
    """Decode in this process; write the video and print the peak."""
    name, decoder = arguments.name, arguments.decoder
    latent = make_latent(name, arguments.frames, arguments.side)
    tile = arguments.side * 2 // 3 if decoder.endswith("tiled") else None
    if decoder.startswith("core"):
        decode = decode_by_core(name, latent, arguments.comfyui, tile)
    elif decoder.startswith("diffusers"):
        decode = decode_by_diffusers(name, latent, tile)
    else:
        decode = decode_ours(name, latent, decoder == "whole")
    with torch.inference_mode():
        video, peak = measure_peak(decode)
    save_file({"video": video.float().contiguous()}, arguments.file)
    print(json.dumps(peak))


def compare(video: Tensor, whole: Tensor) -> str:
    """Decibels over the range of the whole clip, of the clip and of its worst frame."""
    error = (video.clamp(-1, 1) - whole.clamp(-1, 1)).double().square()
    span = (whole.clamp(-1, 1).max() - whole.clamp(-1, 1).min()).item()
    worst = error.mean(dim=(0, 1, 3, 4)).max().item()
    cells = [10 * math.log10(span**2 / e) if e > 0 else math.inf for e in (error.mean(), worst)]
    return " / ".join("equal" if db > 100 else f"{db:.1f}" for db in cells)


def list_rows() -> list[tuple[str, list[str]]]:
    """The decoders that can run here, and the command of each."""
    from tests.comfyui.server import find_comfyui, find_python

    comfyui, _ = find_comfyui()
    rows = [("whole", [sys.executable]), ("ours", [sys.executable])]
    if comfyui is not None:
        words = [str(find_python(comfyui))]
        rows += [(name, words) for name in ("core", "core-tiled")]
    if importlib.util.find_spec("diffusers") is not None:
        rows += [(name, [sys.executable]) for name in ("diffusers", "diffusers-tiled")]
    return rows


def print_table(arguments: argparse.Namespace) -> None:
    from tests.comfyui.server import find_comfyui
    from train.environment import ROOT, describe_environment

    size = f"{arguments.frames} frames of {arguments.side}x{arguments.side}"
    print(f"{size}, narrow networks with random weights, float32\n")
    print("| VAE | decoder | dB to the whole clip, mean / worst frame | peak, MiB |")
    print("|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.vae:
            for decoder, python in list_rows():
                file = Path(folder, f"{name}-{decoder}.safetensors")
                words = [*python, "-m", "benchmarks.lineage", "--name", name, "--decoder", decoder]
                words += ["--frames", str(arguments.frames), "--side", str(arguments.side)]
                words += ["--comfyui", str(find_comfyui()[0]), "--file", str(file)]
                run = subprocess.run(words, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
                peak = json.loads(run.stdout.splitlines()[-1]) / 2**20
                whole = load_file(Path(folder, f"{name}-whole.safetensors"))["video"]
                close = compare(load_file(file)["video"], whole)
                cut, tile = CUTS[name], arguments.side * 2 // 3
                name_of_cut = f"`{type(cut).__name__}({cut.frames})`"
                text = DECODERS[decoder].format(cut=name_of_cut, tile=tile)
                print(f"| {name} | {text} | {close} | {peak:.0f} |", flush=True)
    print(f"\n{describe_environment()}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=33)
    parser.add_argument("--side", type=int, default=96, help="height and width, in pixels")
    parser.add_argument("--vae", nargs="+", choices=list(CONFIGS), default=list(CONFIGS))
    for name in ("name", "decoder", "comfyui", "file"):
        parser.add_argument(f"--{name}", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.name is None:
        print_table(arguments)
    else:
        run_row(arguments)


if __name__ == "__main__":
    main()
