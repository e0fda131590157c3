"""Load Open-Sora-Plan / Latte Model: a file of models/diffusion_models -> MODEL."""

from __future__ import annotations

from pathlib import Path

import comfy.model_management as mm
import comfy.model_patcher
import comfy.utils
import torch
from comfy_api.latest import io

from ..odvae_core import diffusion
from ..odvae_core.diffusion.config import DiffusionConfig
from ..odvae_core.files.tensorfile import read_tensor_file
from .diffusion_model import DTYPES, FP8, OdvaeLatent, make_patcher
from .fingerprint import fingerprint_file
from .latent_space import record_space
from .models import find_diffusion_model, list_diffusion_models
from .preview import read_factors
from .schema import check_choice, make_schema

AUTO = "auto"
WEIGHTS = {
    AUTO: None,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
    "fp32": torch.float32,
    "fp8": FP8,
}


class LoadDiffusionModel(io.ComfyNode):
    """A transformer of Open-Sora-Plan or Latte -> MODEL for the core's samplers."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        presets = [AUTO, *diffusion.list_presets()]
        return make_schema(
            "ODVAELoadDiffusionModel",
            inputs=[
                io.Combo.Input("model", options=list_diffusion_models()),
                io.Combo.Input("preset", options=presets, default=AUTO),
                io.Combo.Input("dtype", options=list(WEIGHTS), default=AUTO),
            ],
            outputs=[io.Model.Output(), io.String.Output()],
            search_aliases=["open-sora-plan", "lattet2v", "latte", "load diffusion model video"],
        )

    @classmethod
    def fingerprint_inputs(cls, model: str, **_: object) -> str:
        """Load the file again after it was replaced."""
        return f"{model} {fingerprint_file(find_diffusion_model(model))}"

    @classmethod
    def execute(cls, model: str, preset: str, dtype: str) -> io.NodeOutput:
        check_choice("preset", preset, [AUTO, *diffusion.list_presets()])
        check_choice("dtype", dtype, WEIGHTS)
        path = find_diffusion_model(model)
        given = None if preset == AUTO else preset
        patcher = load_patcher(path, given, WEIGHTS[dtype])
        network = patcher.model.diffusion_model.network
        space = record_space((model, preset), network)
        stored = patcher.model.get_dtype()
        weights, computed = (
            str(kind).removeprefix("torch.")
            for kind in (stored, patcher.model.manual_cast_dtype or stored)
        )
        lines = [
            network.provenance.describe(),
            f"latents: {space.describe()}",
            f"frames in training: {count_frames(network.config)}",
            f"weights in {weights}, computed in {computed}",
        ]
        return io.NodeOutput(patcher, "\n".join(lines))


def load_patcher(
    path: Path, preset: str | None, dtype: torch.dtype | None
) -> comfy.model_patcher.ModelPatcher:
    """The MODEL of a file; `dtype` None is ComfyUI's choice for this device.

    It stores the arguments to load it again, for ComfyUI's node that moves a model to another
    device.
    """
    dtype = dtype or choose_dtype(path)
    network = diffusion.load(path, torch.bfloat16 if dtype == FP8 else dtype, preset=preset)
    latent = OdvaeLatent(network.config, *read_factors(network))
    patcher = make_patcher(network, latent, dtype)
    patcher.cached_patcher_init = (load_patcher, (path, preset, dtype))
    return patcher


def count_frames(config: DiffusionConfig) -> int:
    """The frames of video of the clips in training."""
    return 1 + config.temporal_compression * (config.latent_frames - 1)


def choose_dtype(path: Path) -> torch.dtype:
    """ComfyUI's choice of the weights' dtype, by their number and their stored dtype."""
    tensors = read_tensor_file(path).tensors
    is_v12 = diffusion.FAMILIES["opensora_t2v"].is_ours(tensors)
    return mm.unet_dtype(
        model_params=comfy.utils.calculate_parameters(tensors),
        supported_dtypes=DTYPES["opensora_t2v" if is_v12 else "latte_t2v"],
        weight_dtype=comfy.utils.weight_dtype(tensors),
    )
