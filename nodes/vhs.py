"""A load format for VideoHelperSuite with the frame counts and sizes that OD-VAE encodes."""

from __future__ import annotations

import sys

LOAD_FORMAT = {"target_rate": 24, "dim": (8, 0, 512, 512), "frames": (4, 1)}
"""24 frames per second; sides that are multiples of 8, by default 512 x 512; 1 + 4k frames."""


def register_load_format() -> None:
    """Add the format OD-VAE to VideoHelperSuite's load nodes.

    VideoHelperSuite reads the attribute `VHSLoadFormats` of ComfyUI's own `nodes` module and
    creates it if it is missing, so the order of loading doesn't matter. Without VideoHelperSuite
    the attribute has no effect.
    """
    core = sys.modules["nodes"]
    formats = getattr(core, "VHSLoadFormats", {})
    formats["OD-VAE"] = LOAD_FORMAT
    core.VHSLoadFormats = formats
