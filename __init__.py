"""OD-VAE for ComfyUI: the entry point by which ComfyUI finds the nodes."""

from .nodes import WEB_DIRECTORY, comfy_entrypoint

__all__ = ["WEB_DIRECTORY", "comfy_entrypoint"]
