"""A graph with a VAE for the tests of the tiled nodes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tests.comfyui.graph import Graph, Node
from tests.comfyui.server import Run, Server

STREAM, CLIP = "stream.safetensors", "clip.safetensors"
"""A model of per-frame norms, and one of norms over the clip."""


class VaeGraph:
    """A graph with a VAE, to which a test adds nodes; their outputs are read by name."""

    def __init__(self, comfy: Server, checkpoint: str = STREAM):
        self.comfy, self.graph = comfy, Graph()
        self.vae = self.graph.add("ODVAELoad", checkpoint=checkpoint)

    def encode(
        self, image: Tensor, name: str | None = None, vae: Node | None = None, **inputs: Any
    ) -> Node:
        source = self.graph.add("TestImage", file=self.comfy.put(image))
        node = self.graph.add(
            "ODVAETemporalTiledEncode", image=source, vae=vae or self.vae, **inputs
        )
        return self.dump(node, name)

    def decode(
        self,
        latent: Tensor | Node,
        name: str | None = None,
        vae: Node | None = None,
        **inputs: Any,
    ) -> Node:
        if isinstance(latent, torch.Tensor):
            latent = self.graph.add("TestLatent", file=self.comfy.put(latent))
        node = self.graph.add(
            "ODVAETemporalTiledDecode", latent=latent, vae=vae or self.vae, **inputs
        )
        return self.dump(node, name)

    def dump(self, node: Node, name: str | None) -> Node:
        self.graph.add("TestDump", value=node, name=name or f"node{node}")
        return node

    def run(self, **options: Any) -> Run:
        result = self.comfy.run(self.graph, **options)
        assert result.status == "success", result.message
        return result
