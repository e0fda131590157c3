"""The model card of an exported file: use, training data, training, metrics and limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from odvae_core.files.tensorfile import hash_file
from odvae_core.scaling import describe_factors

from ..run_log import flatten_config, select_environment
from .trained_run import TrainedRun

PROTOCOL = (
    "Means over the frames of held-out crops, reconstructed in memory from the posterior's mode "
    "and rounded to 8 bits; PSNR in dB. The crops: {crops}."
)
LIMITS = """\
- No other VAE can decode its latents, and a diffusion model that was trained on other latents can't
  use it.
- It was trained on the data listed under *Trained on*; videos unlike these and unlike the held-out
  clips may have a lower quality than the metrics below.
- A reconstruction differs from the clip: faces, text and small fast objects change. Don't use it as
  evidence.
"""


@dataclass(frozen=True)
class ExportedFile:
    """An exported file and its facts; `data` is the author's description of the training data."""

    file: Path
    dtype: str
    title: str
    data: str
    trained: TrainedRun
    normalised: bool


def write_card(exported: ExportedFile) -> str:
    """The card as Markdown."""
    sections = {
        "Use": describe_usage(exported),
        "Trained on": describe_data(exported),
        "How it was made": describe_training(exported),
        "What it reaches": describe_metrics(exported),
        "What it is not for": LIMITS,
    }
    parts = [f"# {exported.title}\n"]
    parts += [f"## {heading}\n\n{text.rstrip()}\n" for heading, text in sections.items()]
    return "\n".join(parts)


def describe_usage(exported: ExportedFile) -> str:
    """How to load the file, and the shape and scale of its latents."""
    vae, name = exported.trained.vae, exported.file.name
    count = sum(weight.numel() for weight in vae.parameters())
    spread = ", mean 0 and deviation 1 per channel on the held-out crops"
    return (
        f"A video VAE of the family {vae.family}, {count:,} parameters in {exported.dtype}. Put "
        f"`{name}` into ComfyUI's `models/vae` for *Load OD-VAE*, or take it to Python with "
        f'`odvae_core.load("{name}")`.\n\n'
        f"- latents: {vae.latent_channels} channels, {vae.temporal_compression}x in time and "
        f"{vae.spatial_compression}x{vae.spatial_compression} in space, latent scale "
        f"{describe_factors(vae.latent_scale)}, shift {describe_factors(vae.latent_shift)}"
        f"{spread if exported.normalised else ''}\n"
        f"- sha256: `{hash_file(exported.file)}`"
    )


def describe_data(exported: ExportedFile) -> str:
    """The author's description of the data, the hash of the list, and the settings."""
    start = exported.trained.start
    hashed = f"sha256 of the list of the data: `{start['data']}`\n\n" if start.get("data") else ""
    settings = list_settings(start["config"].get("data", {}))
    return f"{exported.data}\n\n{hashed}{settings}\n\nHeld-out clips were used for evaluation only."


def describe_training(exported: ExportedFile) -> str:
    """Steps, weights, configuration and environment."""
    trained, start = exported.trained, exported.trained.start
    kind = "the moving average of the weights" if trained.weights == "ema" else "the last weights"
    environment = [f"{name} {value}" for name, value in select_environment(start).items()]
    others = {name: table for name, table in start["config"].items() if name != "data"}
    return (
        f"{trained.step} steps of `python -m train`; these are {kind}. {', '.join(environment)}."
        f"\n\n{list_settings(others)}"
    )


def describe_metrics(exported: ExportedFile) -> str:
    """A table of the metrics of these weights, and how they were computed."""
    evaluation = exported.trained.evaluation
    if evaluation is None:
        return "These weights were not evaluated."
    rows = [f"| {name} | {value:.4g} |" for name, value in list_metrics(evaluation)]
    table = "\n".join(["| measure | value |", "|---|---|", *rows])
    settings = flatten_config(exported.trained.start["config"].get("evaluation", {}))
    crops = ", ".join(f"{name} {value}" for name, value in settings.items())
    return f"At step {evaluation['step']}:\n\n{table}\n\n{PROTOCOL.format(crops=crops)}"


def list_metrics(evaluation: Mapping[str, Any]) -> list[tuple[str, float]]:
    """The metrics of an evaluation with readable names; those by position in the group are last."""
    rows = []
    for name, value in evaluation.items():
        if type(value) in (int, float) and name not in ("step", "seconds"):
            rows.append((f"PSNR at short side {name}" if name.isdecimal() else name, value))
    for position, value in enumerate(evaluation.get("positions", ())):
        name = f"PSNR of frame {position} of a group" if position else "PSNR of the first frame"
        if value is not None:
            rows.append((name, value))
    return rows


def list_settings(config: Mapping[str, Any]) -> str:
    """A configuration as a block of `section.key = value`."""
    lines = [f"{name} = {value}" for name, value in flatten_config(config).items()]
    return "\n".join(["```", *lines, "```"])
