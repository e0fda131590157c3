"""The sections of a configuration, one dataclass each; `config.py` joins and checks them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class ModelConfig:
    """The network: a preset's name, and its initial weights.

    `overrides` replaces fields of the preset's configuration, for example `width = 32`. `images`
    builds the preset's 2D parent, which codes every frame independently. `parent` is a 2D
    checkpoint to inflate with the mode `inflation`. `start` is a checkpoint to continue from; its
    configuration replaces the preset. Without either the weights are random. `recompute` saves
    memory: the activations of each step of the network are computed again in the backward pass.
    """

    preset: str = "odvae-v1.2"
    overrides: dict[str, Any] = field(default_factory=dict)
    images: bool = False
    parent: str = ""
    inflation: str = "tail"
    start: str = ""
    recompute: bool = False


@dataclass(frozen=True)
class SourceConfig:
    """One source of samples.

    `place` is a folder, searched recursively for videos and pictures, or a list of clips: CSV or
    JSONL with `path` and, optionally, `start` and `end` in seconds and `sha256`. It is relative to
    `data.path`. `include` are patterns such as "*.mp4" or "street/*"; a clip's name must match one.
    `weight`, divided by the sum of all weights, is the source's part of the samples.
    """

    place: str = "."
    weight: float = 1.0
    include: tuple[str, ...] = ("*",)


@dataclass(frozen=True)
class DataConfig:
    """The source of the samples, and how they are cropped.

    `path`: a folder or a list of clips. `held_out`: patterns of clips for evaluation only. Without
    them `held_out_share` of the clips that evaluations can use, or one, is held out, chosen by a
    hash of its content.
    `rendered`: the part of the samples that is rendered instead of read.
    `strides`: the smallest and the largest step between two frames of a sample.
    `sides`: the smallest and the largest short side that a clip is scaled to before the crop; 0 is
    the clip's own. Clips are never enlarged, and never made smaller than the crop: (0, 0) crops at
    the native size, (1, 1) scales the short side to the crop itself.
    `crop`: "random" or "center". `augment`: "none", "mirror" (left to right), or "strong" (all
    mirrors, time reversed, rows and columns exchanged, and colours).
    `cache`: decode all clips once and keep them in memory at the short sides `kept_sides`, of which
    the largest is then the clip's own: for few, short clips. Otherwise frames are decoded when
    needed.
    `broken_limit`: the part of the clips that may be unreadable before that is an error.
    """

    path: str = "clips"
    sources: tuple[SourceConfig, ...] = (SourceConfig(),)
    held_out: tuple[str, ...] = ()
    held_out_share: float = 0.01
    rendered: float = 0.0
    strides: tuple[int, int] = (1, 1)
    sides: tuple[int, int] = (0, 0)
    crop: str = "center"
    augment: str = "none"
    cache: bool = False
    kept_sides: tuple[int, ...] = (360, 180)
    broken_limit: float = 0.2


@dataclass(frozen=True)
class LossConfig:
    """Weights of the terms, in the units of the papers: errors are summed over a frame's values.

    `l1`, `l2`: absolute and squared error. `perceptual`: LPIPS, counted once for every value of
    the frame, with the convolutions in `perceptual_file`. `kl`: divergence in nats, summed over a
    clip. `adversarial`: multiplied by the adaptive weight. The sum of the first three is divided by
    exp(logvar) and logvar is added, per value; `learn_logvar` trains it. `logvar_range` clamps the
    posterior's log variance, in training only.
    """

    l1: float = 1.0
    l2: float = 0.0
    perceptual: str = "none"
    perceptual_file: str = ""
    perceptual_weight: float = 1.0
    kl: float = 1e-6
    adversarial: float = 0.0
    logvar: float = 0.0
    learn_logvar: bool = False
    logvar_range: tuple[float, float] = (-20.0, 4.0)


@dataclass(frozen=True)
class ImageSpaceConfig:
    """CV-VAE's regularisation towards the latent space of a frozen 2D VAE, the file `vae`.

    `decode` weighs the error of the 2D decoder's frames, made from the 3D encoder's latents,
    against the frames that `mapping` selects from each group of four. `encode` also decodes the 2D
    encoder's latents of every fourth frame with the video decoder, as additional clips.
    """

    vae: str = ""
    decode: float = 1.0
    encode: bool = False
    mapping: str = "random"


@dataclass(frozen=True)
class OptimiserConfig:
    """Adam, AdamW or Muon. The rate rises over `warm_up` steps; after them `schedule` holds.

    `epsilon` is that of Adam and AdamW. A cosine ends at `final` times `learning_rate`. `clip`
    limits the norm of the gradient; with 0 the norm is only logged.
    """

    name: str = "adam"
    learning_rate: float = 1e-5
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8
    weight_decay: float = 0.0
    schedule: str = "constant"
    warm_up: int = 0
    final: float = 0.0
    clip: float = 0.0


@dataclass(frozen=True)
class EmaConfig:
    """The moving average of the weights; `warm_up` gives its first updates more weight."""

    decay: float = 0.999
    warm_up: bool = False


@dataclass(frozen=True)
class DiscriminatorConfig:
    """The 3D PatchGAN. Several processes equal one with "group" norm, but not with "batch".

    `mode`: "joint" trains it in every step together with the VAE, from one pass for clips and
    reconstructions; "alternate" trains the VAE in even steps and the discriminator in odd ones,
    with clips and reconstructions in batches of their own, as the papers' authors do.
    """

    mode: str = "joint"
    width: int = 64
    layers: int = 3
    norm: str = "batch"
    loss: str = "hinge"
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)


@dataclass(frozen=True)
class Shape:
    """The shape of a batch; `batch` counts over all processes.

    `weight`, divided by the sum of all weights, is the part of a phase's steps with this shape.
    """

    batch: int
    frames: int
    size: int
    weight: float = 1.0


@dataclass(frozen=True)
class Phase:
    """The batches, losses and frozen parts until a step is reached.

    `shapes`: the shapes of the batches, of which each step draws one. `batch`, `frames` and `size`
    are the same for a single shape; with them `image_share` of the steps use `image_batch` single
    pictures instead. `losses` replaces weights of `loss`. `frozen` names the parts of the VAE that
    are not trained, for example "encoder" and "quant_conv" to train the decoder only.
    """

    until_step: int
    batch: int = 0
    frames: int = 0
    size: int = 0
    image_share: float = 0.0
    image_batch: int = 0
    shapes: tuple[Shape, ...] = ()
    losses: dict[str, float] = field(default_factory=dict)
    frozen: tuple[str, ...] = ()

    def list_shapes(self) -> tuple[Shape, ...]:
        """All shapes of the phase; pictures that `image_share` adds come first."""
        if self.shapes:
            return self.shapes
        shapes = (
            Shape(self.image_batch, 1, self.size, self.image_share),
            Shape(self.batch, self.frames, self.size, 1 - self.image_share),
        )
        return tuple(shape for shape in shapes if shape.weight)


@dataclass(frozen=True)
class EvaluationConfig:
    """Crops of the held-out clips: `per_clip` at each short side, the same in every evaluation.

    `clips` is the largest number of clips.
    """

    sides: tuple[int, ...] = (256,)
    per_clip: int = 1
    frames: int = 17
    size: int = 128
    stride: int = 2
    clips: int = 32


@dataclass(frozen=True)
class RunConfig:
    """The run's folder, its precision and processes, and how often it logs, evaluates and saves.

    `accumulate` splits the batch of a process into this many pieces. `precision` is accelerate's.
    `skip_limit` non-finite steps in a row end the run. The newest `keep` checkpoints and the best
    one are kept. `workers` processes of each process prepare batches; the batches don't depend on
    their number.
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
