"""OD-VAE and its relatives: video to latents and back, for clips of any length.

A name below is loaded when it is first used, so that `odvae --help` needn't wait for torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import diffusion as diffusion
    from . import padding as padding
    from .checkpoint import CheckpointError as CheckpointError
    from .checkpoint import load as load
    from .checkpoint import save as save
    from .dataset import read_latents as read_latents
    from .inflation import inflate as inflate
    from .modules import DecoderModule as DecoderModule
    from .modules import EncoderModule as EncoderModule
    from .posterior import Posterior as Posterior
    from .registry import build as build
    from .schedules import Pieces as Pieces
    from .schedules import Stream as Stream
    from .schedules import Sweep as Sweep
    from .schedules import Whole as Whole
    from .schedules import Windows as Windows
    from .tiling import Tiles as Tiles
    from .vae import VideoVAE as VideoVAE

HOMES = {
    "CheckpointError": "checkpoint",
    "DecoderModule": "modules",
    "EncoderModule": "modules",
    "Pieces": "schedules",
    "Posterior": "posterior",
    "Stream": "schedules",
    "Sweep": "schedules",
    "Tiles": "tiling",
    "VideoVAE": "vae",
    "Whole": "schedules",
    "Windows": "schedules",
    "build": "registry",
    "diffusion": "diffusion",
    "inflate": "inflation",
    "load": "checkpoint",
    "padding": "padding",
    "read_latents": "dataset",
    "save": "checkpoint",
}
"""Public name -> the module that holds it; `padding` and `diffusion` are the modules themselves."""


def __getattr__(name: str) -> Any:
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = import_module(f".{HOMES[name]}", __name__)
    return getattr(home, name, home)


def __dir__() -> list[str]:
    return sorted({*globals(), *HOMES})
