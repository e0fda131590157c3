"""All experiments by name."""

from __future__ import annotations

from .scene import Experiment

EXPERIMENTS: dict[str, Experiment] = {}
"""OD-VAE's own."""

FAMILIES: dict[str, Experiment] = {}
"""Those of IV-VAE and CV-VAE: `--families`."""
