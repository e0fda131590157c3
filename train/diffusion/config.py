"""The configuration of a training on latents, read from TOML and `--set section.key=value`."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..config import ConfigError, apply_setting, build_config
from ..config_sections import EmaConfig, OptimiserConfig, RunConfig

CHOICES = {
    "data.labels": ("none", "folder", "column"),
    "data.scale": ("family", "std"),
    "optimiser.name": ("adam", "adamw", "muon"),
    "optimiser.schedule": ("constant", "cosine"),
    "run.precision": ("no", "bf16", "fp16"),
}
"""The allowed values of a key."""


@dataclass(frozen=True)
class ModelConfig:
    """The network: the sizes of a preset of Latte, with `overrides`, for example `layers = 8`.

    Channels, frames, side and classes are those of the latents. `start` is a checkpoint of the same
    network whose weights are the initial ones; otherwise they are random.
    """

    preset: str = "latte-s-sky"
    overrides: dict[str, Any] = field(default_factory=dict)
    start: str = ""


@dataclass(frozen=True)
class LatentsConfig:
    """A folder that `odvae encode-dataset` wrote, and what is read from it.

    `labels`: "none" for an unconditional model; "folder", the first folder in a clip's path, as in
    UCF101; or "column", the column `column` of the list of clips. `label_dropout` is the part of
    the samples that is trained without its label, for guidance. `scale`: "family", the scale and
    shift of the VAE's family; or "std", 1 / standard deviation of the latents in the folder.
    """

    path: str = "latents"
    labels: str = "none"
    column: str = "label"
    label_dropout: float = 0.1
    scale: str = "family"


@dataclass(frozen=True)
class StepsConfig:
    """The number of steps and the batch, counted over all processes.

    `optimiser.clip` holds from step `clip_from` on; before it the norm is only logged.
    """

    steps: int = 200_000
    batch: int = 5
    clip_from: int = 0


@dataclass(frozen=True)
class SamplesConfig:
    """Samples that are drawn at every evaluation, where `vae` names the VAE that decodes them.

    "default" is the embedded VAE. `count` clips in `steps` steps of DDIM; `guidance` is that of the
    labels, which are 0, 1, ... in turn.
    """

    vae: str = ""
    count: int = 4
    steps: int = 50
    guidance: float = 4.0


@dataclass(frozen=True)
class DiffusionConfig:
    """The whole configuration of a run."""

    model: ModelConfig = field(default_factory=ModelConfig)
    data: LatentsConfig = field(default_factory=LatentsConfig)
    training: StepsConfig = field(default_factory=StepsConfig)
    optimiser: OptimiserConfig = field(
        default_factory=lambda: OptimiserConfig(name="adamw", learning_rate=1e-4)
    )
    ema: EmaConfig = field(default_factory=lambda: EmaConfig(decay=0.9999))
    samples: SamplesConfig = field(default_factory=SamplesConfig)
    run: RunConfig = field(default_factory=lambda: RunConfig(folder="runs/latte"))

    def __post_init__(self):
        for name, choices in CHOICES.items():
            section, key = name.split(".")
            value = getattr(getattr(self, section), key)
            if value not in choices:
                raise ConfigError(f"{name} is {value!r}; it is one of {', '.join(choices)}")
        steps, batch = self.training.steps, self.training.batch
        if steps < 1 or batch < 1:
            raise ConfigError(f"training.steps is {steps}, batch {batch}; both are 1 or more")
        if not 0 <= self.data.label_dropout < 1:
            raise ConfigError(
                f"data.label_dropout is {self.data.label_dropout}; it is a part from 0 to below 1"
            )

    @property
    def steps(self) -> int:
        """The number of steps of the run."""
        return self.training.steps


def load_config(path: Path, settings: list[str]) -> DiffusionConfig:
    """Read a TOML file and apply `section.key=value` settings to it. Raises ConfigError."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is no TOML file: {error}") from None
    for setting in settings:
        apply_setting(table, setting)
    return build_config(DiffusionConfig, table)
