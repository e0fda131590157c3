"""Table 2 of the OD-VAE paper at the size of the machine: diffusion models on latents of VAEs."""

from .experiments import run_generation

__all__ = ["run_generation"]
