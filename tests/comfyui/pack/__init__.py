"""Nodes for the tests alone: tensors in and out, other VAEs, trouble."""

from __future__ import annotations

import copy
import sys
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import comfy.model_management as mm
import comfy.model_patcher
import folder_paths
import safetensors.torch
import torch
from comfy_api.latest import ComfyExtension, InputImpl, Types, io

import nodes

from .small_vae import SmallVae


class TestImage(io.ComfyNode):
    """An IMAGE from a file in the input folder."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TestImage",
            category="test",
            inputs=[io.String.Input("file")],
            outputs=[io.Image.Output()],
        )

    @classmethod
    def execute(cls, file) -> io.NodeOutput:
        return io.NodeOutput(read_tensor(file))


def read_tensor(file: str) -> torch.Tensor:
    path = Path(folder_paths.get_input_directory(), file)
    return safetensors.torch.load_file(path)["value"]


class TestLatent(io.ComfyNode):
    """A LATENT from a file in the input folder."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TestLatent",
            category="test",
            inputs=[io.String.Input("file")],
            outputs=[io.Latent.Output()],
        )

    @classmethod
    def execute(cls, file) -> io.NodeOutput:
        return io.NodeOutput({"samples": read_tensor(file)})


class TestDump(io.ComfyNode):
    """Whatever holds a tensor -> a file in the output folder; what holds none -> its text."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TestDump",
            category="test",
            inputs=[io.AnyType.Input("value"), io.String.Input("name")],
            outputs=[],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, value, name) -> io.NodeOutput:
        tensor = value["samples"] if isinstance(value, dict) else value
        path = Path(folder_paths.get_output_directory(), f"{name}.safetensors")
        text = ""
        if isinstance(tensor, torch.Tensor):
            safetensors.torch.save_file({"value": tensor.contiguous().cpu()}, path)
        else:
            text = str(value)
        keys = sorted(value) if isinstance(value, dict) else []
        return io.NodeOutput(ui={"text": [text or f"{list(tensor.shape)} {tensor.dtype} {keys}"]})


class TestOutOfMemory(io.ComfyNode):
    """A VAE whose network runs out of memory wherever it sees more than so many frames at once."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TestOutOfMemory",
            category="test",
            inputs=[io.Vae.Input("vae"), io.Int.Input("limit", default=3)],
            outputs=[io.Vae.Output()],
        )

    @classmethod
    def execute(cls, vae, limit) -> io.NodeOutput:
        def refuse(module, inputs):
            if inputs[0].ndim == 5 and inputs[0].shape[2] > limit:
                raise torch.cuda.OutOfMemoryError("injected by a test")

        # ComfyUI keeps the VAE that came in for the next prompt, so it stays as it is.
        short = copy.copy(vae)
        short.first_stage_model = copy.deepcopy(vae.first_stage_model)
        short.patcher = comfy.model_patcher.ModelPatcher(
            short.first_stage_model, vae.device, mm.vae_offload_device()
        )
        for module in short.first_stage_model.modules():
            if not list(module.children()):
                module.register_forward_pre_hook(refuse)
        return io.NodeOutput(short)


class TestReload(io.ComfyNode):
    """A VAE whose network is loaded once more, as Select VAE Device does for another card."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TestReload",
            category="test",
            inputs=[io.Vae.Input("vae")],
            outputs=[io.Vae.Output()],
        )

    @classmethod
    def execute(cls, vae) -> io.NodeOutput:
        load, arguments = vae.patcher.cached_patcher_init
        again = copy.copy(vae)
        again.patcher = load(*arguments)
        again.first_stage_model = again.patcher.model
        assert again.first_stage_model is not vae.first_stage_model
        return io.NodeOutput(again)


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


class TestForeignVae(io.ComfyNode):
    """ComfyUI's own video VAE classes, small and with random weights."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TestForeignVae",
            category="test",
            inputs=[io.Combo.Input("kind", options=["wan", "hunyuan", "image"])],
            outputs=[io.Vae.Output()],
        )

    @classmethod
    def execute(cls, kind) -> io.NodeOutput:
        return io.NodeOutput(SmallVae(kind))


class TestVideo(io.ComfyNode):
    """A VIDEO in memory, with a tone, as Create Video makes it."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TestVideo",
            category="test",
            inputs=[io.Image.Input("image"), io.Int.Input("fps", default=12)],
            outputs=[io.Video.Output()],
        )

    @classmethod
    def execute(cls, image, fps) -> io.NodeOutput:
        seconds = image.shape[0] / fps
        wave = torch.sin(torch.arange(int(seconds * 44100)) * 0.0627)[None, None].repeat(1, 2, 1)
        parts = Types.VideoComponents(
            images=image,
            audio={"waveform": wave * 0.3, "sample_rate": 44100},
            frame_rate=Fraction(fps),
        )
        return io.NodeOutput(InputImpl.VideoFromComponents(parts))


class TestVhsFormats(io.ComfyNode):
    """Offers the load formats that other packs have left for VideoHelperSuite, as its nodes do."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        formats = list(getattr(nodes, "VHSLoadFormats", {}))
        return io.Schema(
            node_id="TestVhsFormats",
            category="test",
            inputs=[io.Combo.Input("format", options=formats)],
            outputs=[],
        )

    @classmethod
    def execute(cls, format) -> io.NodeOutput:
        return io.NodeOutput()


class TestPack(ComfyExtension):
    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [
            TestImage,
            TestLatent,
            TestDump,
            TestOutOfMemory,
            TestReload,
            TestFreeMemory,
            TestForeignVae,
            TestVideo,
            TestVhsFormats,
        ]


async def comfy_entrypoint() -> TestPack:
    return TestPack()
