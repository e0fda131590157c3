"""A run's configuration: dataclasses, filled from TOML and from `--set section.key=value`."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

T = TypeVar("T")


class ConfigError(ValueError):
    """A configuration that can't be used: names the key, the rule and the remedy."""


@dataclass(frozen=True)
class ModelConfig:
    """The network: a preset's name, and how it starts.

    `images` builds the preset's 2D parent, which codes every frame for itself. `parent` is a 2D
    checkpoint to inflate, `start` a checkpoint to go on from as it is, whatever its preset; both ""
    start from random weights.
    """

    preset: str = "odvae-tiny"
    images: bool = False
    parent: str = ""
    inflation: str = "tail"
    start: str = ""


@dataclass(frozen=True)
class DataConfig:
    """Where samples come from.

    `path` is a folder, `clips` and `held_out` the names of files in it. `rendered` is the part of
    samples that is drawn instead. A real crop is cut from the clip scaled to a short side between
    `min_side` and `max_side` pixels, with a frame stride from 1 to `max_stride`; clips are kept in
    memory at `kept_sides`.
    """

    path: str = "clips"
    clips: tuple[str, ...] = ()
    held_out: tuple[str, ...] = ()
    rendered: float = 0.5
    min_side: int = 128
    max_side: int = 360
    kept_sides: tuple[int, ...] = (360, 180)
    max_stride: int = 3


@dataclass(frozen=True)
class LossConfig:
    """Weights of the terms, all per video value: absolute and squared error, divergence in nats.

    The log variance is clamped in training only.
    """

    l1: float = 1.0
    l2: float = 0.0
    kl: float = 1e-6
    logvar_range: tuple[float, float] = (-20.0, 4.0)


@dataclass(frozen=True)
class OptimiserConfig:
    """Muon; the rate rises over `warm_up` steps, then falls along a cosine to `final` of it."""

    learning_rate: float = 6e-3
    betas: tuple[float, float] = (0.9, 0.99)
    warm_up: int = 100
    final: float = 0.01
    clip: float = 1.0
    ema_half_life: float = 0.02
    """As a part of the run's steps."""
    skip_limit: int = 20
    """Non-finite steps in a row that end the run."""


@dataclass(frozen=True)
class Phase:
    """Samples of one shape, until a step is reached. `batch` counts over all processes."""

    until_step: int
    batch: int
    frames: int
    size: int


@dataclass(frozen=True)
class EvaluationConfig:
    """Crops of the held-out clips: `per_clip` at each short side, the same ones every time."""

    sides: tuple[int, ...] = (144, 256, 480)
    per_clip: int = 1
    frames: int = 17
    size: int = 128
    stride: int = 2


@dataclass(frozen=True)
class RunConfig:
    """Where the run lies and how often it speaks. `precision` is accelerate's: "no" or "bf16"."""

    folder: str = "runs/tiny"
    seed: int = 0
    precision: str = "bf16"
    log_every: int = 20
    evaluate_every: int = 500
    save_every: int = 250


@dataclass(frozen=True)
class Config:
    """Everything that decides what a run does."""

    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    phases: tuple[Phase, ...] = (Phase(until_step=1000, batch=4, frames=9, size=64),)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    run: RunConfig = field(default_factory=RunConfig)

    def __post_init__(self):
        ends = [phase.until_step for phase in self.phases]
        if not ends or ends != sorted(set(ends)):
            raise ConfigError(f"phases end at steps {ends}; each must end after the one before it")

    @property
    def steps(self) -> int:
        """Length of the whole run."""
        return self.phases[-1].until_step

    def phase_at(self, step: int) -> Phase:
        """The phase that a step, counted from 0, belongs to."""
        return next(phase for phase in self.phases if step < phase.until_step)


def load_config(path: Path, settings: list[str]) -> Config:
    """Read a TOML file and lay `section.key=value` settings over it.

    Raises ConfigError on an unknown key and on a value of another type.
    """
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    for setting in settings:
        override(table, setting)
    return build(Config, table)


def override(table: dict[str, Any], setting: str) -> None:
    """Put one `section.key=value` into a table; the value is TOML, or else a plain text."""
    name, equals, text = setting.partition("=")
    if not equals:
        raise ConfigError(f"--set got {setting!r}; write it as section.key=value")
    *sections, key = name.split(".")
    for section in sections:
        table = table.setdefault(section, {})
    try:
        table[key] = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        table[key] = text


def build(cls: type[T], table: dict[str, Any], where: str = "") -> T:
    """Make a dataclass of a table; `where` names the place in error messages."""
    known = [entry.name for entry in fields(cls)]  # pyright: ignore[reportArgumentType]
    unknown = sorted(set(table) - set(known))
    if unknown:
        raise ConfigError(f"unknown key {where}{unknown[0]}; the keys here are {', '.join(known)}")
    hints = get_type_hints(cls)
    values = {name: convert(hints[name], value, where + name) for name, value in table.items()}
    try:
        return cls(**values)
    except TypeError as error:
        raise ConfigError(f"{where or 'the configuration'}: {error}") from None


def convert(hint: Any, value: Any, where: str) -> Any:
    """One value as its field's type wants it: lists become tuples, tables dataclasses."""
    if is_dataclass(hint) and isinstance(value, dict):
        return build(hint, value, where + ".")  # pyright: ignore[reportArgumentType]
    if get_origin(hint) is tuple and isinstance(value, list):
        kinds = get_args(hint)
        kinds = kinds[:1] * len(value) if kinds[-1] is Ellipsis else kinds
        if len(kinds) != len(value):
            raise ConfigError(f"{where} has {len(value)} values; it takes {len(kinds)}")
        return tuple(convert(kind, item, where) for kind, item in zip(kinds, value, strict=True))
    if hint is float and type(value) is int:
        return float(value)
    if type(value) is not hint:
        kind = getattr(hint, "__name__", str(hint))
        raise ConfigError(f"{where} is {value!r}; it takes a value of type {kind}")
    return value
