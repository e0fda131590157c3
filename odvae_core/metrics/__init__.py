"""How near a reconstruction is to its clip: figures per frame, from video in [-1, 1]."""

from .fidelity import flicker, psnr, quantize, ssim

__all__ = ["flicker", "psnr", "quantize", "ssim"]
