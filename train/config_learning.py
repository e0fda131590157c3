"""What the configuration says of losses and optimisers; `config.py` takes it into the whole."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class LossConfig:
    """Weights of the terms, in the units of the papers: errors are summed over a frame's values.

    `l1`, `l2`: absolute and squared error. `perceptual`: LPIPS, which counts once for every value
    of the frame, on the trunk in `perceptual_file`. `kl`: divergence in nats, summed over a clip.
    `adversarial`: times the adaptive weight. The sum of the first three is divided by exp(logvar)
    and logvar is added, per value; it is learnt where `learn_logvar` says so. `logvar_range` clamps
    the posterior's log variance, in training only.
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
    against the frames that `mapping` picks from each group of four. `encode` decodes the 2D
    encoder's latents of every fourth frame too, as clips of their own.
    """

    vae: str = ""
    decode: float = 1.0
    encode: bool = False
    mapping: str = "random"


@dataclass(frozen=True)
class OptimiserConfig:
    """Adam, AdamW or Muon; the rate rises over `warm_up` steps and then stays, or falls.

    `epsilon` is Adam's and AdamW's, below which gradients move a weight less. `final` is where a
    cosine ends, as a part of `learning_rate`. `clip` bounds the gradient's norm; 0 only logs it.
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
    """The weights' moving average; with `warm_up` its first updates count for more."""

    decay: float = 0.999
    warm_up: bool = False


@dataclass(frozen=True)
class DiscriminatorConfig:
    """The 3D PatchGAN. With "group" norm two processes equal one, with "batch" they don't."""

    width: int = 64
    layers: int = 3
    norm: str = "batch"
    loss: str = "hinge"
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
