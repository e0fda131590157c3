"""A VAE that ComfyUI loaded, as a network of this pack that shares its weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import comfy.model_management as mm
import comfy.sd
import torch
from comfy.model_patcher import ModelPatcher
from torch import Tensor, nn

from ..odvae_core.checkpoint.detect import Contents, detect_network
from ..odvae_core.formats import to_native
from ..odvae_core.vae import VideoVAE

DTYPES = (torch.float32, torch.bfloat16, torch.float16)


@dataclass(frozen=True)
class Adopted:
    """A network of ours with ComfyUI's weights.

    `patcher` is None where the weights are ComfyUI's own tensors, which its patcher moves; else it
    moves the network's copies.
    """

    network: VideoVAE
    patcher: ModelPatcher | None


ADOPTED: WeakKeyDictionary[nn.Module, Adopted] = WeakKeyDictionary()
"""By ComfyUI's network."""


def adopt(vae: comfy.sd.VAE) -> VideoVAE:
    """The network of ours that has the weights of a VAE that ComfyUI loaded.

    It holds the same `Parameter` objects, so they follow ComfyUI's moves. With dynamic VRAM, where
    ComfyUI's stay in the file, it holds one copy in the VAE's dtype. Raises `ValueError` with the
    reason where its keys are of no family, or its weights are quantised or patched.
    """
    theirs, patcher = vae.first_stage_model, vae.patcher
    if patcher.patches:
        raise ValueError(f"{len(patcher.patches)} of its weights are patched")
    weights = read_weights(vae)
    adopted = ADOPTED.get(theirs)
    if adopted is None:
        adopted = ADOPTED[theirs] = make_adopted(vae, weights)
    if adopted.patcher is None:  # a patcher may have put other objects in their place
        share_weights(adopted.network, weights)
    return adopted.network


def patcher_of(vae: comfy.sd.VAE) -> ModelPatcher:
    """The patcher that loads the network which `adopt` returned, or the VAE's own."""
    adopted = ADOPTED.get(vae.first_stage_model)
    return adopted.patcher if adopted is not None and adopted.patcher is not None else vae.patcher


def is_dynamic(patcher: ModelPatcher) -> bool:
    """Whether ComfyUI loads this model's weights layer by layer while it runs; since 0.33."""
    return hasattr(patcher, "is_dynamic") and patcher.is_dynamic()


def read_weights(vae: comfy.sd.VAE) -> Mapping[str, Tensor]:
    """ComfyUI's weights, by the names of our networks. Raises `ValueError` on quantised ones."""
    weights = vae.first_stage_model.state_dict(keep_vars=True)
    if is_dynamic(vae.patcher):  # small ones are on the device, their originals in `backup`
        weights |= {key: saved.weight for key, saved in vae.patcher.backup.items()}
    for key, weight in weights.items():
        if type(weight) not in (Tensor, nn.Parameter) or weight.dtype not in DTYPES:
            kind = str(weight.dtype).removeprefix("torch.")
            raise ValueError(f"its weights are quantised ({key}: {type(weight).__name__} {kind})")
    return to_native(weights)


def make_adopted(vae: comfy.sd.VAE, weights: Mapping[str, Tensor]) -> Adopted:
    """Detect and build the network. Raises `ValueError` where there is none for these weights."""
    detected = detect_network(Contents(weights, weights.keys(), {}), None)
    network = detected.network.eval().requires_grad_(False)
    if not is_dynamic(vae.patcher):
        return Adopted(network, None)
    copies = {key: weight.detach().to("cpu", vae.vae_dtype) for key, weight in weights.items()}
    share_weights(network, copies)
    offload = mm.vae_offload_device()
    return Adopted(network, ModelPatcher(network, load_device=vae.device, offload_device=offload))


def share_weights(network: VideoVAE, weights: Mapping[str, Tensor]) -> None:
    """Make the network's parameters these very tensors."""
    ours = network.state_dict(keep_vars=True)
    if any(ours[key] is not weights[key] for key in ours):
        network.load_state_dict({key: weights[key] for key in ours}, assign=True)
