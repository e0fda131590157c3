"""Free memory by ComfyUI's count, and unloading of other models for a plan."""

from __future__ import annotations

from collections.abc import Iterator

import comfy.model_management as mm
import comfy.sd
import torch

from ..odvae_core.layers.coder_pass import Coding
from ..odvae_core.planning import Clip, FreeMemory, Plan, Request, available_memory, find_plans
from ..odvae_core.vae import VideoVAE
from .adopt import patcher_of
from .comfy_vae import ComfyVideoVAE
from .request import network_of


def plan_pass(
    vae: comfy.sd.VAE,
    network: VideoVAE,
    coding: Coding,
    shape: tuple[int, ...],
    request: Request,
    held: bool = True,
    results: int = 1,
) -> Iterator[Plan]:
    """The plans for a pass over an input of `shape` [1, C, T, H, W], the best first.

    Unloads other models for the best plan, loads the VAE and then yields the plans that fit.
    `held`: the whole clip and the whole result are in memory; otherwise both are processed in
    pieces. `results`: how many results are in memory at the same time.
    """

    def find_free(need) -> FreeMemory:
        reserve_memory(vae, network, need.device)
        return read_free_memory(vae)

    clip = Clip(shape, vae.device, held, vae.output_device == vae.device, results)
    return find_plans(network, network.coder_pass(coding), clip, request, find_free)


def reserve_memory(vae: comfy.sd.VAE, network: VideoVAE, need: float) -> None:
    """Load the VAE and unload other models until `need` bytes, or the whole device, are free.

    Networks of this pack are loaded whole: their layers can't be moved one by one.
    """
    need = min(need, mm.get_total_memory(vae.device))
    ours = not isinstance(network, ComfyVideoVAE)
    patcher = patcher_of(vae) if ours else vae.patcher
    mm.load_models_gpu([patcher], memory_required=need, force_full_load=ours or vae.disable_offload)
    if ours:
        network_of(vae)  # which shares the weights again, wherever they are now


def read_free_memory(vae: comfy.sd.VAE) -> FreeMemory:
    """The free bytes on the VAE's device, by ComfyUI's count, and on the host."""
    host = available_memory(torch.device("cpu"))
    if vae.device.type == "cpu":
        return host
    return FreeMemory(int(mm.get_free_memory(vae.device)), host.host, shared=False)
