"""Small diffusion models in models/diffusion_models, and a graph that samples one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from odvae_core import diffusion
from odvae_core.diffusion import LatteConfig, LatteT2VConfig, Network, OpenSoraT2VConfig
from tests.comfyui.graph import Graph, Node
from tests.comfyui.server import Server

SIZE = {"layers": 2, "heads": 2, "head_dim": 24, "latent_frames": 3}
CAPTION = 16
CONFIGS = {
    "text11": LatteT2VConfig(**SIZE, caption_channels=CAPTION, sample_side=8),
    "text12": OpenSoraT2VConfig(**SIZE, caption_channels=CAPTION, sample_size=(8, 8)),
    "class": LatteConfig(**SIZE, side=8, classes=5),
    "plain": LatteConfig(**SIZE, side=8),
}
SHAPE = (1, 4, 3, 8, 8)
FOLDER = "models/diffusion_models"


def make_network(name: str) -> Network:
    """A small network; its random weights are the same every time."""
    generator = torch.Generator().manual_seed(0)
    network = diffusion.build(CONFIGS[name]).eval().requires_grad_(False)
    for weight in network.parameters():
        if weight.ndim != 3:  # not the fixed positions
            spread = 0.5 if weight.ndim < 2 else weight[0].numel() ** -0.5
            weight.copy_(torch.randn(weight.shape, generator=generator) * spread)
    return network


def write_models(comfy: Server) -> None:
    """Write all small networks."""
    for name in CONFIGS:
        diffusion.save(make_network(name), comfy.base / FOLDER / f"{name}.safetensors")


class SampledGraph:
    """A graph in which a small model is loaded; `sample` adds a KSampler."""

    def __init__(self, comfy: Server, name: str, **inputs: Any):
        self.comfy, self.graph, self.name = comfy, Graph(), name
        given = {"model": f"{name}.safetensors", "preset": "auto", "dtype": "fp32"} | inputs
        self.model = self.graph.add("ODVAELoadDiffusionModel", **given)

    def add_conditions(self, label: int = 0) -> tuple[Any, Any]:
        """Positive and negative CONDITIONINGs that the model takes."""
        if not self.name.startswith("text"):
            node = self.graph.add("ODVAELatteClass", model=self.model, label=label)
            return node[0], node[1]
        files = (self.comfy.put(features) for features in make_texts())
        nodes = [self.graph.add("TestConditioning", file=file) for file in files]
        return nodes[0], nodes[1]

    def sample(self, shape: tuple[int, ...] = SHAPE, **inputs: Any) -> Node:
        """A KSampler on an empty latent; its result is in the file `sampled`."""
        positive, negative = inputs.pop("conditions", None) or self.add_conditions()
        latent = inputs.pop("latent", None) or self.graph.add(
            "TestLatent", file=self.comfy.put(torch.zeros(shape))
        )
        settings = {
            "seed": 7,
            "steps": 3,
            "cfg": 2.0,
            "sampler_name": "euler",
            "scheduler": "normal",
            "denoise": 1.0,
        }
        given = {"positive": positive, "negative": negative, "latent_image": latent}
        node = self.graph.add("KSampler", model=self.model, **given, **(settings | inputs))
        self.graph.add("TestDump", value=node, name="sampled")
        return node

    def run(self, **options: Any) -> Tensor:
        """The sampled latent."""
        ended = self.comfy.run(self.graph, **options)
        assert ended.status == "success", ended.message
        self.ended = ended
        return self.comfy.take("sampled")


def make_texts() -> tuple[Tensor, Tensor]:
    """Features of a prompt and a negative prompt, of different lengths."""
    generator = torch.Generator().manual_seed(1)
    draw = (torch.randn(1, rows, CAPTION, generator=generator) for rows in (6, 4))
    positive, negative = draw
    return positive, negative
