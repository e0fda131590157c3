"""The model card beside an exported file: what it is, what made it, what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from odvae_core.files.tensorfile import hash_file

from .journal import flatten, name_environment
from .trained import Trained

PROTOCOL = (
    "Means over the frames of held-out crops, reconstructed in memory from the posterior's mode "
    "and rounded to 8 bits; PSNR in dB. The crops: {crops}."
)
LIMITS = """\
- Its latents are its own: another VAE can't decode them, and a diffusion model that was trained on
  other latents can't use it.
- It has seen what is listed under *Trained on*; footage unlike that and unlike the held-out clips
  may come out worse than the figures say.
- A reconstruction is not the clip: faces, writing and small fast things change. It is no evidence.
"""


@dataclass(frozen=True)
class Export:
    """A written file and all that is known of it; `data` is what its author says of the data."""

    file: Path
    dtype: str
    title: str
    data: str
    trained: Trained
    normalised: bool


def write_card(export: Export) -> str:
    """The card as Markdown."""
    sections = {
        "Use": describe_use(export),
        "Trained on": describe_data(export),
        "How it was made": describe_making(export),
        "What it reaches": describe_measures(export),
        "What it is not for": LIMITS,
    }
    parts = [f"# {export.title}\n"]
    parts += [f"## {heading}\n\n{text.rstrip()}\n" for heading, text in sections.items()]
    return "\n".join(parts)


def describe_use(export: Export) -> str:
    """Where the file goes, and what latents it makes."""
    vae, name = export.trained.vae, export.file.name
    count = sum(weight.numel() for weight in vae.parameters())
    spread = ", mean 0 and deviation 1 per channel on the held-out crops"
    return (
        f"A video VAE of the family {vae.family}, {count:,} parameters in {export.dtype}. Put "
        f"`{name}` into ComfyUI's `models/vae` for *Load OD-VAE*, or take it to Python with "
        f'`odvae_core.load("{name}")`.\n\n'
        f"- latents: {vae.latent_channels} channels, {vae.temporal_compression}x in time and "
        f"{vae.spatial_compression}x{vae.spatial_compression} in space, latent scale "
        f"{vae.latent_scale:g}, shift {vae.latent_shift:g}{spread if export.normalised else ''}\n"
        f"- sha256: `{hash_file(export.file)}`"
    )


def describe_data(export: Export) -> str:
    """The data in the exporter's words, the list's hash, and the settings."""
    start = export.trained.start
    hashed = f"sha256 of the list of the data: `{start['data']}`\n\n" if start.get("data") else ""
    settings = list_settings(start["config"].get("data", {}))
    return f"{export.data}\n\n{hashed}{settings}\n\nWhat is held out was measured on alone."


def describe_making(export: Export) -> str:
    """Steps, weights, configuration and environment."""
    trained, start = export.trained, export.trained.start
    kind = "the moving average of the weights" if trained.weights == "ema" else "the last weights"
    environment = [f"{name} {value}" for name, value in name_environment(start).items()]
    others = {name: table for name, table in start["config"].items() if name != "data"}
    return (
        f"{trained.step} steps of `python -m train`; these are {kind}. {', '.join(environment)}."
        f"\n\n{list_settings(others)}"
    )


def describe_measures(export: Export) -> str:
    """A table of what the run's evaluation of these weights gave, and how it measured."""
    evaluation = export.trained.evaluation
    if evaluation is None:
        return "These weights were not evaluated."
    rows = [f"| {name} | {value:.4g} |" for name, value in name_measures(evaluation)]
    table = "\n".join(["| measure | value |", "|---|---|", *rows])
    settings = flatten(export.trained.start["config"].get("evaluation", {}))
    crops = ", ".join(f"{name} {value}" for name, value in settings.items())
    return f"At step {evaluation['step']}:\n\n{table}\n\n{PROTOCOL.format(crops=crops)}"


def name_measures(evaluation: Mapping[str, Any]) -> list[tuple[str, float]]:
    """The figures of an evaluation with names for a reader; those by position in the group last."""
    rows = []
    for name, value in evaluation.items():
        if type(value) in (int, float) and name not in ("step", "seconds"):
            rows.append((f"PSNR at short side {name}" if name.isdecimal() else name, value))
    for place, value in enumerate(evaluation.get("positions", ())):
        name = f"PSNR of frame {place} of a group" if place else "PSNR of the first frame"
        if value is not None:
            rows.append((name, value))
    return rows


def list_settings(config: Mapping[str, Any]) -> str:
    """A configuration as a block of `section.key = value`."""
    lines = [f"{name} = {value}" for name, value in flatten(config).items()]
    return "\n".join(["```", *lines, "```"])
