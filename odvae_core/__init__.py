"""OD-VAE and its relatives: video to latents and back, for clips of any length."""

from .build import build
from .posterior import Posterior
from .schedules import Stream, Sweep, Whole, Windows
from .tiling import Tiles
from .vae import VideoVAE

__all__ = ["Posterior", "Stream", "Sweep", "Tiles", "VideoVAE", "Whole", "Windows", "build"]
