"""Sampler and sigmas of Open-Sora-Plan's pipelines, where ComfyUI's own differ from them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import comfy.model_patcher
import comfy.samplers
import torch
from comfy_api.latest import io
from torch import Tensor
from tqdm import trange

from ..odvae_core.diffusion import Latte
from .diffusion_model import LABEL_KEY, ComfyNetwork, ExactTimesteps
from .schema import make_schema

RUNGE_KUTTA_STEPS = 3
ADAMS_BASHFORTH = (55 / 24, -59 / 24, 37 / 24, -9 / 24)
"""Weights of the latest predictions, newest first (Liu et al., 2022, PNDM)."""


class PndmSampler(io.ComfyNode):
    """PNDM, with which Open-Sora-Plan v1.1 was sampled -> SAMPLER."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return make_schema(
            "ODVAESampler",
            inputs=[],
            outputs=[io.Sampler.Output()],
            search_aliases=["pndm", "plms", "open-sora-plan sampler"],
        )

    @classmethod
    def execute(cls) -> io.NodeOutput:
        return io.NodeOutput(comfy.samplers.KSAMPLER(sample_pndm))


class LeadingSigmas(io.ComfyNode):
    """Exact sigmas of the timesteps 0, r, 2r, ... with r = 1000 // steps -> SIGMAS."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return make_schema(
            "ODVAESigmas",
            inputs=[
                io.Model.Input("model"),
                io.Int.Input("steps", default=150, min=1, max=1000),
                io.Float.Input("denoise", default=1.0, min=0.001, max=1.0, step=0.01),
            ],
            outputs=[io.Sigmas.Output()],
            search_aliases=["ddim sigmas", "pndm sigmas", "leading timesteps"],
        )

    @classmethod
    def execute(
        cls, model: comfy.model_patcher.ModelPatcher, steps: int, denoise: float
    ) -> io.NodeOutput:
        table = find_sampling(model).sigmas
        total = round(steps / denoise)
        if total > len(table):
            raise ValueError(
                f"got steps = {steps} and denoise = {denoise}, {total} steps in all; there are "
                f"{len(table)} timesteps: lower steps, or raise denoise"
            )
        timesteps = torch.arange(total).flip(0) * (len(table) // total)
        sigmas = table[timesteps[-steps:].to(table.device)].cpu()
        return io.NodeOutput(torch.cat([sigmas, sigmas.new_zeros(1)]))


class LatteClass(io.ComfyNode):
    """The label of a class -> CONDITIONINGs for a Latte."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return make_schema(
            "ODVAELatteClass",
            inputs=[
                io.Model.Input("model"),
                io.Int.Input("label", default=0, min=0, max=100_000),
            ],
            outputs=[io.Conditioning.Output(), io.Conditioning.Output()],
            search_aliases=["class label", "class conditioning", "latte"],
        )

    @classmethod
    def execute(cls, model: comfy.model_patcher.ModelPatcher, label: int) -> io.NodeOutput:
        network = find_latte(model)
        classes = network.config.classes
        if classes is None:
            return io.NodeOutput([[None, {}]], [[None, {}]])
        if label >= classes:
            raise ValueError(
                f"got label {label}; this model has {classes} classes: choose 0 to {classes - 1}"
            )
        labels = label, network.null_label
        return io.NodeOutput(*([[None, {LABEL_KEY: value}]] for value in labels))


def find_sampling(model: comfy.model_patcher.ModelPatcher) -> ExactTimesteps:
    """The timesteps of a MODEL. Raises `ValueError` unless our loader made it."""
    sampling = model.get_model_object("model_sampling")
    if not isinstance(sampling, ExactTimesteps):
        raise ValueError(
            "got a MODEL with timesteps of its own; this node takes those of Load Open-Sora-Plan / "
            "Latte Model: use ComfyUI's BasicScheduler"
        )
    return sampling


def find_latte(model: comfy.model_patcher.ModelPatcher) -> Latte:
    """The Latte of a MODEL. Raises `ValueError` on any other."""
    network = model.model.diffusion_model
    if isinstance(network, ComfyNetwork) and isinstance(network.network, Latte):
        return network.network
    raise ValueError(
        "got a MODEL that is no Latte; the classes of Latte are its condition: use the text node "
        "of your model"
    )


def sample_pndm(
    model: Any,
    x: Tensor,
    sigmas: Tensor,
    extra_args: dict[str, Any] | None = None,
    callback: Callable[[dict[str, Any]], None] | None = None,
    disable: bool | None = None,
) -> Tensor:
    """PNDM (Liu et al., 2022) as in diffusers, for the sigmas of `LeadingSigmas`.

    Three steps by Runge-Kutta, four predictions each, then Adams-Bashforth. The result is at the
    last timestep before 0, as in the pipelines, which don't denoise it to the end.
    """
    steps = len(sigmas) - 2
    if steps < RUNGE_KUTTA_STEPS:
        raise ValueError(f"got {steps + 1} steps; PNDM takes at least {RUNGE_KUTTA_STEPS + 1}")
    predict = Predictor(model, extra_args or {})
    history: list[Tensor] = []
    for step in trange(steps, disable=disable):
        start, end = sigmas[step], sigmas[step + 1]
        noise = predict(x, start)
        history = [noise, *history[: len(ADAMS_BASHFORTH) - 1]]
        report_step(callback, step, start, x, x - start * noise)
        if step < RUNGE_KUTTA_STEPS:
            noise = predict.runge_kutta(x, noise, start, end)
        else:
            weighted = zip(ADAMS_BASHFORTH, history, strict=True)
            noise = sum(weight * past for weight, past in weighted)
        x = x + (end - start) * noise
    x = x / (1 + sigmas[-2] ** 2).sqrt()
    report_step(callback, steps, sigmas[-2], x, x)
    return x


def report_step(
    callback: Callable[[dict[str, Any]], None] | None,
    step: int,
    sigma: Tensor,
    x: Tensor,
    denoised: Tensor,
) -> None:
    """Tell ComfyUI which step this is, for the progress bar and the preview."""
    if callback is not None:
        callback({"i": step, "sigma": sigma, "sigma_hat": sigma, "x": x, "denoised": denoised})


class Predictor:
    """The noise that a model predicts in x at a sigma."""

    def __init__(self, model: Any, extra_args: dict[str, Any]):
        self.model, self.extra_args = model, extra_args
        patcher = model.inner_model.model_patcher
        self.sampling = find_sampling(patcher)

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        return (x - self.model(x, sigma * x.new_ones(len(x)), **self.extra_args)) / sigma

    def runge_kutta(self, x: Tensor, first: Tensor, start: Tensor, end: Tensor) -> Tensor:
        """The noise of a step of order four, whose prediction at its start is `first`."""
        middle = self.find_middle(start, end)
        second = self(x + (middle - start) * first, middle)
        third = self(x + (middle - start) * second, middle)
        fourth = self(x + (end - start) * third, end)
        return (first + 2 * second + 2 * third + fourth) / 6

    def find_middle(self, start: Tensor, end: Tensor) -> Tensor:
        """The sigma of the whole timestep at the middle of a step."""
        first, last = self.sampling.timestep(start), self.sampling.timestep(end)
        return self.sampling.sigmas.to(start)[(first - (first - last) // 2).round().long()]
