"""What is free on the card by ComfyUI's count, and the room that it makes for a plan."""

from __future__ import annotations

from collections.abc import Iterator

import comfy.model_management as mm
import comfy.sd
import torch

from ..odvae_core.layers.coder_pass import Coding
from ..odvae_core.planning import Clip, FreeMemory, Plan, Request, available_memory, find_plans
from ..odvae_core.vae import VideoVAE


def plan_pass(
    vae: comfy.sd.VAE,
    network: VideoVAE,
    coding: Coding,
    shape: tuple[int, ...],
    request: Request,
    held: bool = True,
    results: int = 1,
) -> Iterator[Plan]:
    """The plans for a pass of an input of `shape` [1, C, T, H, W], the best first.

    Makes room for the best plan, loads the VAE and then takes what fits. `held`: the clip is in
    memory, as is the result; else both go by in pieces. `results`: how many of them live at a time.
    """

    def find_free(need) -> FreeMemory:
        make_room(vae, need.device)
        return free_memory(vae)

    clip = Clip(shape, vae.device, held, vae.output_device == vae.device, results)
    return find_plans(network, network.coder_pass(coding), clip, request, find_free)


def make_room(vae: comfy.sd.VAE, need: float) -> None:
    """Load the VAE, and unload other models until `need` bytes are free, or the whole card is."""
    need = min(need, mm.get_total_memory(vae.device))
    mm.load_models_gpu([vae.patcher], memory_required=need, force_full_load=vae.disable_offload)


def free_memory(vae: comfy.sd.VAE) -> FreeMemory:
    """Bytes that are free on the VAE's device, by ComfyUI's count, and on the host."""
    host = available_memory(torch.device("cpu"))
    if vae.device.type == "cpu":
        return host
    return FreeMemory(int(mm.get_free_memory(vae.device)), host.host, shared=False)
