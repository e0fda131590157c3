"""OD-VAE and its relatives: video to latents and back, for clips of any length."""

from . import fit
from .build import build
from .checkpoint import CheckpointError, load, save
from .inflate import inflate
from .posterior import Posterior
from .schedules import Stream, Sweep, Whole, Windows
from .tiling import Tiles
from .vae import VideoVAE

__all__ = [
    "CheckpointError",
    "Posterior",
    "Stream",
    "Sweep",
    "Tiles",
    "VideoVAE",
    "Whole",
    "Windows",
    "build",
    "fit",
    "inflate",
    "load",
    "save",
]
