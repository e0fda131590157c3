"""A diffusion transformer of the core as ComfyUI's MODEL, for every sampler."""

from __future__ import annotations

from functools import partial
from typing import Any

import comfy.conds
import comfy.latent_formats
import comfy.model_base
import comfy.model_management as mm
import comfy.model_patcher
import comfy.model_sampling
import comfy.supported_models_base
import torch
from comfy.patcher_extension import WrapperExecutor, WrappersMP, get_all_wrappers
from torch import Tensor, nn

from ..odvae_core.diffusion import Latte, Network
from ..odvae_core.diffusion.config import WORK_VALUES, DiffusionConfig
from ..odvae_core.diffusion.read import pack_metadata
from ..odvae_core.formats import CONFIG_KEY
from ..odvae_core.scaling import scale_latent, unscale_latent
from .progress import CancelCheck

LABEL_KEY = "odvae_label"
"""Where a CONDITIONING stores the label of a class."""

PREFIX = "network."
FP8 = torch.float8_e4m3fn
HALF = [torch.float16, torch.bfloat16, torch.float32]
DTYPES = {"latte_t2v": HALF, "opensora_t2v": HALF[1:], "latte": HALF}
"""What a family computes in, best first; v1.2 was made for bfloat16."""


class OdvaeLatent(comfy.latent_formats.LatentFormat):
    """The latents of a model's VAE; factors give their colours, [channels][3]."""

    latent_dimensions = 3

    def __init__(self, config: DiffusionConfig, factors: Any = None, bias: Any = None):
        self.latent_channels = config.in_channels
        self.scale_factor, self.shift = config.latent_scale, config.latent_shift
        self.spacial_downscale_ratio = config.spatial_compression  # sic; read by 0.33
        self.temporal_downscale_ratio = config.temporal_compression
        self.latent_rgb_factors = factors
        self.latent_rgb_factors_bias = bias

    def process_in(self, latent: Tensor) -> Tensor:
        return scale_latent(latent, self.scale_factor, self.shift)

    def process_out(self, latent: Tensor) -> Tensor:
        return unscale_latent(latent, self.scale_factor, self.shift)


class OdvaeModelConfig(comfy.supported_models_base.BASE):
    """ComfyUI's description of a model, for one network."""

    unet_extra_config: dict[str, Any] = {}  # noqa: RUF012 - as the base has it
    sampling_settings = {  # noqa: RUF012 - betas are linear, which ComfyUI calls sqrt_linear
        "beta_schedule": "sqrt_linear",
        "linear_start": 0.0001,
        "linear_end": 0.02,
        "timesteps": 1000,
    }

    def __init__(self, network: Network, latent_format: OdvaeLatent):
        super().__init__({})
        self.latent_format = latent_format
        self.supported_inference_dtypes = DTYPES[network.family]
        self.memory_usage_factor = WORK_VALUES * network.config.width / (0.01 * 2**20)
        self.metadata = pack_metadata(network)

    def process_unet_state_dict_for_saving(
        self, state_dict: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        """The network's own names, and its metadata, so that the written file can be loaded."""
        own = {key.removeprefix(PREFIX): value for key, value in state_dict.items()}
        return super().process_unet_state_dict_for_saving({**own, CONFIG_KEY: self.metadata})


class ExactTimesteps(comfy.model_sampling.ModelSamplingDiscrete, comfy.model_sampling.EPS):
    """Timesteps with their fractions, where ComfyUI rounds to the nearest of its table."""

    def timestep(self, sigma: Tensor) -> Tensor:
        table = self.sigmas.to(sigma.device)
        below = (torch.searchsorted(table, sigma, right=True) - 1).clamp(0, len(table) - 2)
        fraction = (sigma - table[below]) / (table[below + 1] - table[below])
        return (below + fraction).clamp(0, len(table) - 1)


class OdvaeModel(comfy.model_base.BaseModel):
    """ComfyUI's model around a network: noise prediction, text or a class as its condition."""

    def __init__(self, config: OdvaeModelConfig, network: Network):
        kind = comfy.model_base.ModelType.EPS
        super().__init__(config, kind, unet_model=partial(ComfyNetwork, network))
        self.model_sampling = ExactTimesteps(config)

    def extra_conds(self, **kwargs: Any) -> dict[str, Any]:
        conds = super().extra_conds(**kwargs)
        label = kwargs.get(LABEL_KEY)
        if label is not None:
            conds["y"] = comfy.conds.CONDRegular(torch.tensor([label]))
        return conds


class ComfyNetwork(nn.Module):
    """A network with the arguments of ComfyUI's, in layers whose weights ComfyUI loads and casts.

    `dtype` is that of the weights of linear layers; fp8 leaves the others in bfloat16.
    """

    def __init__(self, network: Network, dtype: torch.dtype, device: Any, operations: Any):
        super().__init__()
        self.dtype = dtype
        self.network = network.to(torch.bfloat16 if dtype == FP8 else dtype)
        replace_layers(self.network, operations, dtype)

    def forward(
        self,
        x: Tensor,
        timesteps: Tensor,
        context: Tensor | None = None,
        control: object = None,
        transformer_options: dict[str, Any] | None = None,
        y: Tensor | None = None,
        **_: object,
    ) -> Tensor:
        """Noisy latents [B, C, T, h, w] -> the noise in them, without its learned variance."""
        wrappers = get_all_wrappers(WrappersMP.DIFFUSION_MODEL, transformer_options or {})
        executor = WrapperExecutor.new_class_executor(self.predict, self, wrappers)
        return executor.execute(x, timesteps, context, y)

    def predict(
        self, x: Tensor, timesteps: Tensor, context: Tensor | None, y: Tensor | None
    ) -> Tensor:
        with CancelCheck():
            if isinstance(self.network, Latte):
                check_label(self.network, y)
                noise = self.network(x.transpose(1, 2), timesteps, y).transpose(1, 2)
            else:
                check_text(context)
                noise = self.network(x, timesteps, context=context)
        return noise[:, : x.shape[1]]


def check_label(network: Latte, y: Tensor | None) -> None:
    """Raise `ValueError` where the model has classes and the CONDITIONING none, or vice versa."""
    if (y is None) != (network.config.classes is None):
        raise ValueError(
            "got a conditioning without this model's class: connect both outputs of Latte Class "
            "for the same model"
        )


def check_text(context: Tensor | None) -> None:
    """Raise `ValueError` where the CONDITIONING has no text."""
    if context is None:
        raise ValueError(
            "got a conditioning without text: connect both outputs of Open-Sora-Plan Text"
        )


def replace_layers(module: nn.Module, operations: Any, dtype: torch.dtype) -> None:
    """Put the weights into ComfyUI's layers, which can be offloaded one by one."""
    for name, child in module.named_children():
        if isinstance(child, nn.Linear):
            layer = operations.Linear(child.in_features, child.out_features, device="meta")
            child = child.to(dtype)
        elif isinstance(child, nn.Conv2d):
            sizes = child.in_channels, child.out_channels, child.kernel_size, child.stride
            layer = operations.Conv2d(*sizes, device="meta")
        elif isinstance(child, nn.Embedding):
            layer = operations.Embedding(*child.weight.shape, device="meta")
        else:
            replace_layers(child, operations, dtype)
            continue
        layer.load_state_dict(child.state_dict(), assign=True)
        setattr(module, name, layer.requires_grad_(False))


def make_patcher(
    network: Network, latent_format: OdvaeLatent, dtype: torch.dtype
) -> comfy.model_patcher.ModelPatcher:
    """The MODEL of a network, with its weights in `dtype`."""
    config = OdvaeModelConfig(network, latent_format)
    device = mm.get_torch_device()
    cast = mm.unet_manual_cast(dtype, device, config.supported_inference_dtypes)
    config.set_inference_dtype(dtype, cast)
    model = OdvaeModel(config, network).eval().requires_grad_(False)
    return comfy.model_patcher.ModelPatcher(model, device, mm.unet_offload_device())
