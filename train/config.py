"""A run's configuration: dataclasses, filled by `settings.py` from TOML and `--set`."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any

from .config_data import DataConfig
from .config_learning import (
    DiscriminatorConfig,
    EmaConfig,
    ImageSpaceConfig,
    LossConfig,
    OptimiserConfig,
)

CHOICES = {
    "data.crop": ("random", "center"),
    "data.augment": ("none", "mirror", "strong"),
    "optimiser.name": ("adam", "adamw", "muon"),
    "optimiser.schedule": ("constant", "cosine"),
    "loss.perceptual": ("none", "vgg", "alex"),
    "discriminator.norm": ("batch", "group"),
    "discriminator.loss": ("hinge", "vanilla"),
    "image_space.mapping": ("slice", "mean", "random"),
    "run.precision": ("no", "bf16", "fp16"),
    "run.trackers": ("tensorboard", "wandb"),
}
"""The words that a field takes."""


class ConfigError(ValueError):
    """A configuration that can't be used: names the key, the rule and the remedy."""


@dataclass(frozen=True)
class ModelConfig:
    """The network: a preset's name, and how it starts.

    `overrides` sets fields of the preset's configuration otherwise, as `width = 32`. `images`
    builds the preset's 2D parent, which codes every frame for itself. `parent` is a 2D checkpoint
    to inflate, in the mode `inflation`; `start` is a checkpoint to go on from as it is, whatever
    its preset; without either the weights are random. `recompute` trades time for memory: the
    activations of each step of the network are computed again in the backward pass.
    """

    preset: str = "odvae-v1.2"
    overrides: dict[str, Any] = field(default_factory=dict)
    images: bool = False
    parent: str = ""
    inflation: str = "tail"
    start: str = ""
    recompute: bool = False


@dataclass(frozen=True)
class Shape:
    """What a step's batch looks like; `batch` counts over all processes."""

    batch: int
    frames: int
    size: int


@dataclass(frozen=True)
class Phase:
    """Samples of one shape, until a step is reached.

    `batch` counts over all processes. `image_share` of the steps take `image_batch` single pictures
    instead. `losses` replaces weights of `loss`, `frozen` names the parts of the VAE that don't
    learn, for example "encoder" and "quant_conv" to train the decoder alone.
    """

    until_step: int
    batch: int
    frames: int
    size: int
    image_share: float = 0.0
    image_batch: int = 0
    losses: dict[str, float] = field(default_factory=dict)
    frozen: tuple[str, ...] = ()


@dataclass(frozen=True)
class EvaluationConfig:
    """Crops of the held-out clips: `per_clip` at each short side, the same ones every time."""

    sides: tuple[int, ...] = (256,)
    per_clip: int = 1
    frames: int = 17
    size: int = 128
    stride: int = 2


@dataclass(frozen=True)
class RunConfig:
    """Where the run lies, how it computes, how often it speaks.

    `accumulate` takes the batch of a process in so many pieces. `precision` is accelerate's.
    `skip_limit` non-finite steps in a row end the run; `keep` checkpoints stay beside the best.
    `workers` processes of each process prepare batches; the batches don't depend on how many.
    """

    folder: str = "runs/odvae"
    seed: int = 0
    precision: str = "bf16"
    accumulate: int = 1
    skip_limit: int = 20
    log_every: int = 20
    evaluate_every: int = 500
    save_every: int = 250
    keep: int = 3
    workers: int = 0
    trackers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Config:
    """Everything that decides what a run does."""

    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    image_space: ImageSpaceConfig = field(default_factory=ImageSpaceConfig)
    discriminator: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    ema: EmaConfig = field(default_factory=EmaConfig)
    phases: tuple[Phase, ...] = (Phase(until_step=100_000, batch=8, frames=25, size=256),)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    run: RunConfig = field(default_factory=RunConfig)

    def __post_init__(self):
        self._check_words()
        self._check_phases()
        for i, phase in enumerate(self.phases):
            self._check_losses(self.losses_of(phase), f"phases.{i}", phase.frozen)
        if self.model.images + bool(self.model.parent) + bool(self.model.start) > 1:
            raise ConfigError(
                "model.images, model.parent and model.start are three ways to begin: set one"
            )

    def _check_words(self) -> None:
        for place, words in CHOICES.items():
            section, key = place.split(".")
            value = getattr(getattr(self, section), key)
            for word in value if isinstance(value, tuple) else (value,):
                if word not in words:
                    raise ConfigError(f"{place} is {word!r}; it is one of {', '.join(words)}")

    def _check_phases(self) -> None:
        ends = [phase.until_step for phase in self.phases]
        if not ends or ends != sorted(set(ends)):
            raise ConfigError(f"phases end at steps {ends}; each must end after the one before it")
        weights = {entry.name for entry in fields(LossConfig) if entry.type == "float"}
        weights.remove("logvar")  # where it starts: no weight that a phase could change
        for i, phase in enumerate(self.phases):
            unknown = sorted(set(phase.losses) - weights)
            if unknown:
                raise ConfigError(
                    f"phases.{i}.losses has {unknown[0]!r}; the weights are {sorted(weights)}"
                )
            if phase.image_share and not phase.image_batch:
                raise ConfigError(f"phases.{i} has an image_share; set its image_batch too")

    def _check_losses(self, loss: LossConfig, where: str, frozen: tuple[str, ...]) -> None:
        if loss.perceptual != "none" and not loss.perceptual_file:
            raise ConfigError(
                f"loss.perceptual is {loss.perceptual!r}; name its trunk's weights with "
                "loss.perceptual_file, or set loss.perceptual to none"
            )
        if not (loss.l1 or loss.l2 or (loss.perceptual != "none" and loss.perceptual_weight)):
            raise ConfigError(f"{where} weighs no error of the reconstruction: set l1 or l2")
        if loss.adversarial and "decoder" in frozen:
            raise ConfigError(f"{where} freezes the decoder; an adversarial loss can't move it")

    @property
    def steps(self) -> int:
        """Length of the whole run."""
        return self.phases[-1].until_step

    @property
    def is_adversarial(self) -> bool:
        """Whether any phase has a discriminator."""
        return any(self.losses_of(phase).adversarial for phase in self.phases)

    def phase_at(self, step: int) -> Phase:
        """The phase that a step, counted from 0, belongs to."""
        return next(phase for phase in self.phases if step < phase.until_step)

    def losses_of(self, phase: Phase) -> LossConfig:
        """The weights that hold in a phase."""
        return replace(self.loss, **phase.losses)  # pyright: ignore[reportArgumentType]
