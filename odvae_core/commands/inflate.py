"""`odvae inflate`: a 2D VAE's file to a video VAE's, with a proof of what was inherited."""

from argparse import Namespace
from typing import Any

import torch

from ..checkpoint import save
from ..files.atomic import replacing
from ..inflation import Inflation, inflate
from .clips import check_outputs
from .model import DTYPES
from .result import Result


def run(options: Namespace) -> Result:
    """Write the inflated VAE; say what it has from its parent, and prove it on a picture."""
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
    return Result(facts, describe(facts, inflation))


def describe(facts: dict[str, Any], inflation: Inflation) -> list[str]:
    """The result as a person reads it."""
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
