"""Steps of `discriminator.mode = "alternate"` compared with the authors' own loss module.

    git clone https://github.com/PKU-YuanGroup/Open-Sora-Plan && cd Open-Sora-Plan
    git checkout v1.2.0 && cd -
    python -m benchmarks.authors_losses Open-Sora-Plan

Both get the same weights before every step, and their discriminators are in train mode. LPIPS is a
random network on both sides.
"""

from __future__ import annotations

import argparse
import copy
import sys
import tempfile
import types
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import torch
from torch import Tensor, nn

from odvae_core.metrics.perceptual import random_lpips
from tests.train.small_runs import PHASES, configure, draw_batch
from train.config import DiscriminatorConfig, LossConfig
from train.environment import describe_environment
from train.objective import VaeOutput
from train.run import Run

LOSSES = Path("opensora/models/causalvideovae/model/losses")
START, STEPS, SIZE = 2, 8, 32
LPIPS = random_lpips("vgg", seed=0)


class AuthorsLpips(nn.Module):
    """The same LPIPS behind the authors' interface: pictures [N, 3, H, W] to [N, 1, 1, 1]."""

    def forward(self, real: Tensor, fake: Tensor) -> Tensor:
        return LPIPS(fake[:, :, None], real[:, :, None]).reshape(-1, 1, 1, 1)


class AuthorsPosterior:
    """The divergence as the authors' module asks for it."""

    def __init__(self, output: VaeOutput):
        self.mean, self.logvar = output.mean, output.logvar

    def kl(self) -> Tensor:
        terms = self.mean.square() + self.logvar.exp() - 1 - self.logvar
        return 0.5 * terms.sum(dim=(1, 2, 3, 4))


def load_authors_losses(checkout: Path) -> nn.Module:
    """The authors' module; of the modules that it imports only those of its folder are loaded."""
    package = types.ModuleType("authors.losses")
    package.__path__ = [str(checkout / LOSSES)]
    unused = {"normalize": "ActNorm", "conv": "CausalConv3d"}
    sys.modules |= {"authors": types.ModuleType("authors"), "authors.losses": package}
    sys.modules["authors.modules"] = types.ModuleType("authors.modules")
    for name, member in unused.items():
        module = types.ModuleType(f"authors.modules.{name}")
        setattr(module, member, nn.Identity)
        sys.modules[module.__name__] = module
    lpips = types.ModuleType("authors.losses.lpips")
    lpips.LPIPS = AuthorsLpips  # pyright: ignore
    sys.modules["authors.losses.lpips"] = lpips
    module = import_module("authors.losses.perceptual_loss")
    return module.LPIPSWithDiscriminator3D(disc_start=START, kl_weight=1e-6, disc_weight=0.5)


def make_run(folder: str) -> Run:
    """A small run whose discriminator is the authors'."""
    phases = [
        replace(phase, until_step=end, size=SIZE)
        for phase, end in zip(PHASES, (START, STEPS), strict=True)
    ]
    config = configure(
        Path(folder),
        loss=LossConfig(adversarial=0.5),
        discriminator=DiscriminatorConfig(mode="alternate"),
        phases=tuple(phases),
    )
    run = Run(config)
    run.step_runner.loss_networks = replace(run.step_runner.loss_networks, perceptual=LPIPS)
    return run


def run_authors_step(run: Run, losses: nn.Module, video: Tensor) -> tuple[Tensor, dict[str, float]]:
    """The gradients of the authors' next step, and what they log of it."""
    objective = copy.deepcopy(run.objective.module)
    weights = run.discriminator.module.state_dict()  # pyright: ignore
    renamed = {name.replace("layers.", "main."): value for name, value in weights.items()}
    losses.get_submodule("discriminator").load_state_dict(renamed)
    output = objective(video, run.draw_noise(video, range(len(video))))
    trains_discriminator = run.step >= START and run.step % 2 == 1
    trained = losses.get_submodule("discriminator") if trains_discriminator else objective.vae
    (last,) = objective.last_weights()
    loss, logged = losses(
        video,
        output.reconstruction,
        AuthorsPosterior(output),
        int(trains_discriminator),
        run.step,
        last_layer=last,
    )
    gradients = torch.autograd.grad(loss, list(trained.parameters()))
    values = {name.removeprefix("train/"): float(value.mean()) for name, value in logged.items()}
    return torch.cat([gradient.flatten() for gradient in gradients]), values


def catch_gradients(run: Run) -> list[Tensor]:
    """A list to which every step of the run writes the gradient of what it trains."""
    caught, step_optimisers = [], run.step_runner.step_optimisers

    def record(trained, values):
        module = run.vae if trained[0] is run.objective else trained[0].module
        caught[:] = [torch.cat([weight.grad.flatten() for weight in module.parameters()])]
        return step_optimisers(trained, values)

    run.step_runner.step_optimisers = record
    return caught


NAMES = {
    "d_weight": "adaptive_weight",
    "g_loss": "adversarial",
    "disc_loss": "discriminator",
    "logits_real": "logits_real",
    "logits_fake": "logits_fake",
}
"""The authors' names of logged values, and ours."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkout", type=Path, help="a checkout of Open-Sora-Plan v1.2")
    losses = load_authors_losses(parser.parse_args().checkout)
    print("| step | value | authors | here | relative difference |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        run = make_run(folder)
        caught = catch_gradients(run)
        for step in range(STEPS):
            video = draw_batch(step, range(2), size=SIZE)
            gradient, logged = run_authors_step(run, losses, video)
            values = run.train_step(video, range(2))
            difference = (gradient - caught[0]).norm() / gradient.norm()
            norms = float(gradient.norm()), float(caught[0].norm())
            print(f"| {step} | gradient | {norms[0]:.6g} | {norms[1]:.6g} | {difference:.1e} |")
            for theirs, ours in NAMES.items():
                if theirs in logged and ours in values:
                    pair = logged[theirs], float(values[ours])
                    relative = abs(pair[0] - pair[1]) / abs(pair[0])
                    print(f"| {step} | {ours} | {pair[0]:.6g} | {pair[1]:.6g} | {relative:.1e} |")
    print(f"\n{describe_environment()}")


if __name__ == "__main__":
    main()
