"""The configuration of a run, read from TOML and `--set section.key=value`, and checked."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from .config_sections import (
    DataConfig,
    DiscriminatorConfig,
    EmaConfig,
    EvaluationConfig,
    ImageSpaceConfig,
    LossConfig,
    ModelConfig,
    OptimiserConfig,
    Phase,
    RunConfig,
)

CHOICES = {
    "data.crop": ("random", "center"),
    "data.augment": ("none", "mirror", "strong"),
    "optimiser.name": ("adam", "adamw", "muon"),
    "optimiser.schedule": ("constant", "cosine"),
    "loss.perceptual": ("none", "vgg", "alex"),
    "discriminator.mode": ("joint", "alternate"),
    "discriminator.norm": ("batch", "group"),
    "discriminator.loss": ("hinge", "vanilla"),
    "image_space.mapping": ("slice", "mean", "random"),
    "run.precision": ("no", "bf16", "fp16"),
    "run.trackers": ("tensorboard", "wandb"),
}
"""The allowed values of a key."""

T = TypeVar("T")


class ConfigError(ValueError):
    """A configuration that can't be used: the text has the key, the rule and the remedy."""


@dataclass(frozen=True)
class Config:
    """The whole configuration of a run."""

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
        self._check_choices()
        self._check_phases()
        for i, phase in enumerate(self.phases):
            self._check_losses(self.losses_of(phase), f"phases.{i}", phase.frozen)
        if self.model.images + bool(self.model.parent) + bool(self.model.start) > 1:
            raise ConfigError(
                "model.images, model.parent and model.start exclude each other: set one"
            )

    def _check_choices(self) -> None:
        for name, choices in CHOICES.items():
            section, key = name.split(".")
            value = getattr(getattr(self, section), key)
            for word in value if isinstance(value, tuple) else (value,):
                if word not in choices:
                    raise ConfigError(f"{name} is {word!r}; it is one of {', '.join(choices)}")

    def _check_phases(self) -> None:
        ends = [phase.until_step for phase in self.phases]
        if not ends or ends != sorted(set(ends)):
            raise ConfigError(f"phases end at steps {ends}; each must end after the one before it")
        weights = {entry.name for entry in fields(LossConfig) if entry.type == "float"}
        weights.remove("logvar")  # an initial value, which a phase can't change
        for i, phase in enumerate(self.phases):
            unknown = sorted(set(phase.losses) - weights)
            if unknown:
                raise ConfigError(
                    f"phases.{i}.losses has {unknown[0]!r}; the weights are {sorted(weights)}"
                )
            check_shapes(phase, f"phases.{i}")

    def _check_losses(self, loss: LossConfig, where: str, frozen: tuple[str, ...]) -> None:
        if loss.perceptual != "none" and not loss.perceptual_file:
            raise ConfigError(
                f"loss.perceptual is {loss.perceptual!r}; give the weights of its convolutions "
                "with loss.perceptual_file, or set loss.perceptual to none"
            )
        if not (loss.l1 or loss.l2 or (loss.perceptual != "none" and loss.perceptual_weight)):
            raise ConfigError(f"{where} has no reconstruction error with a weight: set l1 or l2")
        if loss.adversarial and "decoder" in frozen:
            raise ConfigError(
                f"{where} freezes the decoder, which an adversarial loss trains: set its "
                "losses.adversarial to 0, or don't freeze the decoder"
            )

    @property
    def steps(self) -> int:
        """The number of steps of the run."""
        return self.phases[-1].until_step

    @property
    def is_adversarial(self) -> bool:
        """Whether any phase has a discriminator."""
        return any(self.losses_of(phase).adversarial for phase in self.phases)

    def phase_at(self, step: int) -> Phase:
        """The phase of a step counted from 0."""
        return next(phase for phase in self.phases if step < phase.until_step)

    def losses_of(self, phase: Phase) -> LossConfig:
        """The loss weights of a phase."""
        return replace(self.loss, **phase.losses)  # pyright: ignore[reportArgumentType]


def check_shapes(phase: Phase, where: str) -> None:
    """Raise ConfigError where the shapes of a phase's batches are missing, doubled or invalid."""
    single = {name: getattr(phase, name) for name in ("batch", "frames", "size")}
    pictures = {"image_share": phase.image_share, "image_batch": phase.image_batch}
    doubled = [name for name, value in (single | pictures).items() if value]
    if phase.shapes and doubled:
        raise ConfigError(f"{where} has shapes and {doubled[0]}; set one of them")
    missing = [name for name, value in single.items() if not value]
    if missing and not phase.shapes:
        raise ConfigError(f"{where} is missing {', '.join(missing)}; set them, or shapes")
    if phase.image_share and not phase.image_batch:
        raise ConfigError(f"{where} has an image_share; set its image_batch too")
    for shape in phase.list_shapes():
        if min(shape.batch, shape.frames, shape.size) < 1 or shape.weight <= 0:
            raise ConfigError(
                f"{where} has a {shape}; batch, frames and size are 1 or more, weight is above 0"
            )


def load_config(path: Path, settings: list[str]) -> Config:
    """Read a TOML file and apply `section.key=value` settings to it.

    Raises ConfigError for invalid TOML, an unknown key, and a value of another type.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is no TOML file: {error}") from None
    for setting in settings:
        apply_setting(table, setting)
    return build_config(Config, table)


def apply_setting(table: dict[str, Any], setting: str) -> None:
    """Write one `section.key=value` into a table; a value that is no TOML is a string."""
    name, equals, text = setting.partition("=")
    if not equals:
        raise ConfigError(f"--set got {setting!r}; write it as section.key=value")
    *sections, key = name.split(".")
    for section in sections:
        table = table.setdefault(section, {})
        if not isinstance(table, dict):
            raise ConfigError(f"--set got {name}; {section} is no section: set it as a whole")
    try:
        table[key] = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        table[key] = text


def build_config(cls: type[T], table: dict[str, Any], where: str = "") -> T:
    """Make a dataclass from a table; `where` is the prefix of keys in error messages."""
    known = [entry.name for entry in fields(cls)]  # pyright: ignore[reportArgumentType]
    unknown = sorted(set(table) - set(known))
    if unknown:
        raise ConfigError(f"unknown key {where}{unknown[0]}; the keys here are {', '.join(known)}")
    hints = get_type_hints(cls)
    values = {
        name: convert_value(hints[name], value, where + name) for name, value in table.items()
    }
    try:
        return cls(**values)
    except TypeError as error:
        raise ConfigError(f"{where or 'the configuration'}: {error}") from None


def convert_value(hint: Any, value: Any, where: str) -> Any:
    """A value as its field's type: lists become tuples, tables become dataclasses."""
    if is_dataclass(hint) and isinstance(value, dict):
        return build_config(hint, value, where + ".")  # pyright: ignore[reportArgumentType]
    if get_origin(hint) is tuple and isinstance(value, list):
        kinds = get_args(hint)
        kinds = kinds[:1] * len(value) if kinds[-1] is Ellipsis else kinds
        if len(kinds) != len(value):
            raise ConfigError(f"{where} has {len(value)} values; it takes {len(kinds)}")
        pairs = zip(kinds, value, strict=True)
        return tuple(convert_value(kind, item, where) for kind, item in pairs)
    if get_origin(hint) is dict and isinstance(value, dict):
        kind = get_args(hint)[1]
        return {key: convert_value(kind, item, f"{where}.{key}") for key, item in value.items()}
    if hint is float and type(value) is int:
        return float(value)
    if hint is not Any and type(value) is not hint:
        kind = getattr(hint, "__name__", str(hint))
        raise ConfigError(f"{where} is {value!r}; it takes a value of type {kind}")
    return value
