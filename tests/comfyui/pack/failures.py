"""VAEs that run out of memory or are cancelled, for the tests."""

from __future__ import annotations

import copy
import sys
from functools import lru_cache

import comfy.model_management as mm
import comfy.model_patcher
import torch
from comfy_api.latest import io


class TestOutOfMemory(io.ComfyNode):
    """A VAE whose network runs out of memory wherever it sees more than so many frames at once."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TestOutOfMemory",
            category="test",
            inputs=[
                io.Vae.Input("vae"),
                io.Int.Input("limit", default=3),
                io.Combo.Input("kind", options=list(OUT_OF_MEMORY), default="cuda", optional=True),
            ],
            outputs=[io.Vae.Output()],
        )

    @classmethod
    def execute(cls, vae, limit, kind="cuda") -> io.NodeOutput:
        def refuse(module, inputs):
            if inputs[0].ndim == 5 and inputs[0].shape[2] > limit:
                raise OUT_OF_MEMORY[kind]

        return io.NodeOutput(hook_layers(vae, refuse))


OUT_OF_MEMORY = {
    "cuda": torch.cuda.OutOfMemoryError("injected by a test"),
    "accelerator": torch.AcceleratorError("CUDA error: out of memory"),
    "cpu": RuntimeError(
        "DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"
    ),
    "python": MemoryError("injected by a test"),
}


def hook_layers(vae, hook):
    """A copy of a VAE whose layers, of ours or of the network that adopts it, call `hook` first.

    ComfyUI keeps the VAE that came in for the next prompt, so it stays as it is.
    """
    hooked = copy.copy(vae)
    hooked.first_stage_model = copy.deepcopy(vae.first_stage_model)
    hooked.patcher = comfy.model_patcher.ModelPatcher(
        hooked.first_stage_model, vae.device, mm.vae_offload_device()
    )
    for module in network_of(hooked).modules():
        if not list(module.children()):
            module.register_forward_pre_hook(hook)
    return hooked


def network_of(vae):
    """The network by which the pack's nodes run a VAE."""
    name = next(name for name in sys.modules if name.endswith(".nodes.request"))
    return sys.modules[name].network_of(vae)


class TestCancelAtLayer(io.ComfyNode):
    """A VAE that is cancelled, as by the user, while its network runs its nth layer."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TestCancelAtLayer",
            category="test",
            inputs=[io.Vae.Input("vae"), io.Int.Input("layer")],
            outputs=[io.Vae.Output()],
            not_idempotent=True,
        )

    @classmethod
    def execute(cls, vae, layer) -> io.NodeOutput:
        CALLED.clear()

        def note(module, inputs):
            CALLED.append(type(module).__name__)
            if len(CALLED) == layer:
                mm.interrupt_current_processing()

        return io.NodeOutput(hook_layers(vae, note))


CALLED = []
"""The layers that a VAE of TestCancelAtLayer has run."""


class TestCalledLayers(io.ComfyNode):
    """How many layers have been run since TestCancelAtLayer."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TestCalledLayers",
            category="test",
            inputs=[],
            outputs=[],
            is_output_node=True,
            not_idempotent=True,
        )

    @classmethod
    def fingerprint_inputs(cls) -> float:
        return float("nan")

    @classmethod
    def execute(cls) -> io.NodeOutput:
        return io.NodeOutput(ui={"text": [" ".join(CALLED)]})


class TestFreeMemory(io.ComfyNode):
    """Pretend that so many megabytes are free, from here on; 0 ends the pretence."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TestFreeMemory",
            category="test",
            inputs=[io.Vae.Input("vae"), io.Float.Input("megabytes", default=0.0)],
            outputs=[io.Vae.Output()],
            is_output_node=True,
            not_idempotent=True,
        )

    @classmethod
    def execute(cls, vae, megabytes) -> io.NodeOutput:
        name = next(name for name in sys.modules if name.endswith(".nodes.memory"))
        measured, free = available_memory(name), int(megabytes * 2**20)
        kind = sys.modules[name].FreeMemory
        pretended = (lambda device: kind(free, free, shared=True)) if free else measured
        sys.modules[name].available_memory = pretended
        return io.NodeOutput(vae)


@lru_cache
def available_memory(name: str):
    """The pack's own function, remembered when it is first asked for."""
    return sys.modules[name].available_memory
