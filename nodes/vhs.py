"""VideoHelperSuite's load nodes learn which frame counts and sizes our encoders take."""

from __future__ import annotations

import sys

LOAD_FORMAT = {"target_rate": 24, "dim": (8, 0, 512, 512), "frames": (4, 1)}
"""Frames per second; sides that are multiples of 8, 512 x 512 offered; 1 + 4k frames."""


def register_load_format() -> None:
    """Offer the format OD-VAE in VideoHelperSuite's load nodes.

    Their pack reads this attribute of ComfyUI's own `nodes` module and makes it where it is
    missing, so it works whichever pack is loaded first; without that pack nobody reads it.
    """
    core = sys.modules["nodes"]
    formats = getattr(core, "VHSLoadFormats", {})
    formats["OD-VAE"] = LOAD_FORMAT
    core.VHSLoadFormats = formats
