"""Small runs without files, for tests: a network of a few channels and noise for clips."""

from dataclasses import replace

import torch

from train.config import (
    Config,
    DiscriminatorConfig,
    LossConfig,
    ModelConfig,
    OptimiserConfig,
    Phase,
    RunConfig,
)
from train.keyed_random import KeyedRandom

SMALL = {"width": 8, "norm_groups": 4}
PHASES = (
    Phase(until_step=3, batch=2, frames=5, size=16, losses={"adversarial": 0.0}),
    Phase(until_step=8, batch=2, frames=5, size=16),
)


def configure(folder, **changes):
    """A configuration of eight steps; the discriminator starts at step 3."""
    config = Config(
        model=ModelConfig(preset="odvae-tiny", overrides=SMALL),
        loss=LossConfig(adversarial=0.5),
        discriminator=DiscriminatorConfig(width=8, norm="group"),
        optimiser=OptimiserConfig(learning_rate=1e-3, warm_up=2, schedule="cosine"),
        phases=PHASES,
        run=RunConfig(folder=str(folder), precision="no", log_every=1),
    )
    return replace(config, **changes)


def draw_batch(step, indices, frames=5, size=16):
    """Clips [B, 3, T, size, size] that depend on the step and their indices in the batch."""
    clips = [KeyedRandom(step, index).uniforms(3, frames, size, size) * 2 - 1 for index in indices]
    return torch.stack(clips)


def train_steps(run, steps, frames=5):
    """Run steps with the whole batch in one process; their logged values."""
    batch = run.config.phases[0].batch
    return [
        run.train_step(draw_batch(run.step, range(batch), frames), range(batch))
        for _ in range(steps)
    ]
