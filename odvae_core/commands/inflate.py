"""`odvae inflate`: makes a video VAE's file from a 2D VAE's file, with a proof."""

from argparse import Namespace
from typing import Any

import torch

from ..checkpoint import save
from ..files.atomic import replacing
from ..inflation import Inflation, inflate
from .clip_io import check_outputs
from .model import DTYPES
from .output import Result


def run_inflate(options: Namespace) -> Result:
    """Write the inflated VAE; report the inherited weights and the proof on a test picture."""
    check_outputs(options, options.output)
    with replacing(options.output) as aside:
        vae = inflate(options.input, options.preset, options.mode)
        save(vae, aside, dtype=DTYPES.get(options.dtype, torch.float32))
    inflation = vae.inflation
    assert inflation is not None
    facts = {
        "output": options.output,
        "preset": options.preset,
        "mode": inflation.mode,
        "copied": inflation.copied,
        "inflated": inflation.inflated,
        "fresh": inflation.fresh,
        "differences": inflation.differences,
        "encode_difference": inflation.proof.encode_difference,
        "decode_difference": inflation.proof.decode_difference,
        "decode_psnr": inflation.proof.decode_psnr,
    }
    return Result(facts, describe_inflation(facts, inflation))


def describe_inflation(facts: dict[str, Any], inflation: Inflation) -> list[str]:
    """The numbers of weights, the differences and the proof, as lines of text."""
    kinds = {"copied": inflation.copied, "inflated": inflation.inflated, "fresh": inflation.fresh}
    counts = ", ".join(f"{len(keys)} {kind}" for kind, keys in kinds.items())
    return [
        f"wrote   {facts['output']} ({facts['preset']}, mode {facts['mode']})",
        f"weights {counts}",
        *(f"differs {sentence}" for sentence in facts["differences"]),
        f"proof   against the 2D VAE, on a picture: latents differ by at most "
        f"{facts['encode_difference']:.2g}, decoded pictures by {facts['decode_difference']:.2g} "
        f"(PSNR {facts['decode_psnr']:.1f} dB)",
    ]
