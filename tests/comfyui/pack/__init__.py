"""Nodes for the tests: tensors in and out, other VAEs, and simulated failures."""

from __future__ import annotations

import copy
from fractions import Fraction
from pathlib import Path

import comfy.supported_models
import comfy.utils
import folder_paths
import safetensors.torch
import torch
from comfy_api.latest import ComfyExtension, InputImpl, Types, io

import nodes

from .failures import (
    TestCalledLayers,
    TestCancelAtLayer,
    TestFreeMemory,
    TestOutOfMemory,
    network_of,
)
from .sampling import NODES as SAMPLING_NODES
from .small_t5 import TestSmallT5
from .small_vae import MAKERS, SmallVae

STATES = ["plain", "patched", "quantised", "dynamic"]


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
    """Writes a tensor to a file in the output folder, a CONDITIONING's features too; other values
    are returned as text."""

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
        if isinstance(value, list):  # a CONDITIONING
            ((tensor, value),) = value
        path = Path(folder_paths.get_output_directory(), f"{name}.safetensors")
        text = ""
        if isinstance(tensor, torch.Tensor):
            safetensors.torch.save_file({"value": tensor.contiguous().cpu()}, path)
        else:
            text = str(value)
        keys = sorted(value) if isinstance(value, dict) else []
        return io.NodeOutput(ui={"text": [text or f"{list(tensor.shape)} {tensor.dtype} {keys}"]})


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


class TestComfyVae(io.ComfyNode):
    """ComfyUI's own video VAE classes, small and with random weights."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TestComfyVae",
            category="test",
            inputs=[
                io.Combo.Input("kind", options=list(MAKERS)),
                io.Combo.Input("state", options=STATES, default="plain", optional=True),
            ],
            outputs=[io.Vae.Output()],
        )

    @classmethod
    def execute(cls, kind, state="plain") -> io.NodeOutput:
        return io.NodeOutput(SmallVae(kind, state))


class TestSharedWeights(io.ComfyNode):
    """How many weights of the network in the nodes are a VAE's own."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TestSharedWeights",
            category="test",
            inputs=[io.Vae.Input("vae")],
            outputs=[],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, vae) -> io.NodeOutput:
        ours = dict(network_of(vae).named_parameters())
        theirs = dict(vae.first_stage_model.named_parameters())
        shared = sum(weight is theirs[name] for name, weight in ours.items())
        return io.NodeOutput(ui={"text": [f"{shared} of {len(ours)}"]})


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
    """Offers the load formats of the attribute that VideoHelperSuite's nodes read."""

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


class TestSaveCheckpoint(io.ComfyNode):
    """Saves a VAE as Save Checkpoint does for a kind of model, without the model."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TestSaveCheckpoint",
            category="test",
            inputs=[io.Vae.Input("vae"), io.String.Input("model"), io.String.Input("file")],
            outputs=[],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, vae, model, file) -> io.NodeOutput:
        config = getattr(comfy.supported_models, model)({})
        tensors = config.process_vae_state_dict_for_saving(vae.get_sd())
        tensors["model.diffusion_model.out.2.bias"] = torch.zeros(4)
        path = Path(folder_paths.get_output_directory(), "vae", file)
        path.parent.mkdir(exist_ok=True)
        comfy.utils.save_torch_file(tensors, str(path), metadata={"prompt": "{}"})
        return io.NodeOutput()


class TestPack(ComfyExtension):
    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [
            TestImage,
            TestLatent,
            TestDump,
            TestOutOfMemory,
            TestCancelAtLayer,
            TestCalledLayers,
            TestReload,
            TestFreeMemory,
            TestComfyVae,
            TestSharedWeights,
            TestVideo,
            TestVhsFormats,
            TestSaveCheckpoint,
            TestSmallT5,
            *SAMPLING_NODES,
        ]


async def comfy_entrypoint() -> TestPack:
    return TestPack()
