"""The difference of an inflated video VAE from its 2D parent before training.

    python -m benchmarks.inflation [SD_VAE]

A picture, and the same picture as a still clip of nine frames, are coded by both. The table has the
largest differences of the latent and of the decoded picture, whose values are of order one. Without
a file the parent has random weights.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import torch

import odvae_core as odvae
from odvae_core.checkpoint import read_tensors
from odvae_core.formats import to_ldm
from odvae_core.inflation.report import proof_picture
from odvae_core.registry import read_config
from train.environment import describe_environment

PRESETS = ("odvae-stream", "odvae-v1.0", "odvae-v1.1", "odvae-v1.2")
MODES = ("tail", "average")


def make_parent() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return odvae.build(replace(read_config("sd-vae"), width=32)).state_dict()


def compare_still_clip(vae: odvae.VideoVAE, expected: torch.Tensor) -> float:
    """The largest difference of a decoded still clip from the 2D VAE's picture [3, H, W]."""
    still = proof_picture()[None, :, None].expand(-1, -1, 9, -1, -1)
    with torch.no_grad():
        video = vae.decode(vae.encode(still).mode())
    return float((video - expected[None, :, None]).abs().max())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sd_vae", nargs="?", help="a 2D VAE; random weights without one")
    path = parser.parse_args().sd_vae
    parent = make_parent() if path is None else to_ldm(read_tensors(path)[0])
    print("| preset | mode | latent | picture | picture, PSNR | still clip |")
    print("|---|---|---|---|---|---|")
    for preset in PRESETS:
        for mode in MODES:
            vae = odvae.inflate(parent, preset, mode)
            proof = vae.inflation.proof
            print(
                f"| {preset} | {mode} | {proof.encode_difference:.1e} "
                f"| {proof.decode_difference:.1e} | {proof.decode_psnr:.1f} dB "
                f"| {compare_still_clip(vae, proof.decoded_2d):.1e} |"
            )
    print(f"\n{path or 'random weights, width 32'}; {describe_environment()}")


if __name__ == "__main__":
    main()
