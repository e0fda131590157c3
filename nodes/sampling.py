"""Sampler and sigmas of Open-Sora-Plan's pipelines, where ComfyUI's own differ from them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import comfy.model_patcher
import comfy.samplers
import torch
from comfy_api.latest import io
from torch import Tensor
from tqdm import tqdm

from ..odvae_core.diffusion import Latte
from ..odvae_core.diffusion.sampling import LINEAR, pndm_steps, space_leading
from .diffusion_model import LABEL_KEY, ComfyNetwork, ExactTimesteps
from .schema import make_schema


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
        timesteps = space_leading(total)[:steps].flip(0)
        sigmas = table[timesteps.to(table.device)].cpu()
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
    """The core's PNDM as a sampler of ComfyUI, for the sigmas of `LeadingSigmas`.

    The result is at the last timestep before 0, as in the authors' pipelines.
    """
    timesteps = [round(LINEAR.timestep_at(float(sigma))) for sigma in sigmas[:-1]]
    predict = NoisePredictor(model, extra_args or {})
    steps = tqdm(pndm_steps(predict, x, timesteps), total=len(timesteps) - 1, disable=disable)
    for number, x in enumerate(steps, 1):
        if callback is not None:
            sigma = sigmas[number]
            seen = {"x": x, "denoised": predict.denoised, "sigma": sigma, "sigma_hat": sigma}
            callback({"i": number, **seen})
    return x / (1 + sigmas[-2] ** 2).sqrt()


class NoisePredictor:
    """The noise that a model of ComfyUI predicts in x at a sigma; `denoised` is its last result."""

    def __init__(self, model: Any, extra_args: dict[str, Any]):
        self.model, self.extra_args = model, extra_args
        self.denoised: Tensor | None = None
        find_sampling(model.inner_model.model_patcher)

    def __call__(self, x: Tensor, sigma: float) -> Tensor:
        self.denoised = self.model(x, sigma * x.new_ones(len(x)), **self.extra_args)
        return (x - self.denoised) / sigma
