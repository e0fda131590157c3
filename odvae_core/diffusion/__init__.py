"""Diffusion transformers on video latents: Open-Sora-Plan's text-to-video models, and Latte."""

from .config import DiffusionConfig, LatteConfig, LatteT2VConfig, OpenSoraT2VConfig
from .families import FAMILIES, Network, build, list_presets
from .latte import Latte
from .latte_t2v import LatteT2V
from .opensora_t2v import OpenSoraT2V
from .read import load, pack_metadata, save

__all__ = [
    "FAMILIES",
    "DiffusionConfig",
    "Latte",
    "LatteConfig",
    "LatteT2V",
    "LatteT2VConfig",
    "Network",
    "OpenSoraT2V",
    "OpenSoraT2VConfig",
    "build",
    "list_presets",
    "load",
    "pack_metadata",
    "save",
]
