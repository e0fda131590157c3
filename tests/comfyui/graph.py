"""API prompts with the nodes' default inputs."""

from __future__ import annotations

from typing import Any

CUT = {"schedule": "auto", "frames": 0, "tile": 0, "overlap": 32}
DRAW = {"posterior": "mean", "seed": 0}
DEFAULTS = {
    "ODVAELoad": {"dtype": "fp32", "latents_4d": "one clip"},
    "ODVAETemporalTiledEncode": CUT | DRAW,
    "ODVAETemporalTiledDecode": CUT,
    "ODVAEEncodeVideoFile": CUT | DRAW,
    "ODVAEDecodeToVideoFile": CUT | {"filename_prefix": "video/ODVAE", "fps": 0.0, "quality": 18},
    "ODVAETailInflate": {"mode": "tail", "filename_prefix": "tail-inflated", "overwrite": False},
    "ODVAECompareVideos": {"amplify": 4.0},
    "ODVAEEmptyLatent": {"batch_size": 1},
    "VAEDecodeTiled": {
        "tile_size": 512,
        "overlap": 64,
        "temporal_size": 64,
        "temporal_overlap": 8,
    },
}
DEFAULTS["VAEEncodeTiled"] = DEFAULTS["VAEDecodeTiled"]


class Node(str):
    """A node's number; `node[1]` is a link to its second output."""

    __slots__ = ()

    def __getitem__(self, slot: Any) -> list[Any]:
        return [str(self), slot]


class Graph(dict[str, Any]):
    """An API prompt: `add` a node with its inputs; the rest are the nodes' defaults."""

    def add(self, kind: str, /, **inputs: Any) -> Node:
        node = Node(len(self) + 1)
        given = {
            name: value[0] if isinstance(value, Node) else value for name, value in inputs.items()
        }
        self[str(node)] = {"class_type": kind, "inputs": DEFAULTS.get(kind, {}) | given}
        return node
