"""VAEs from files and to files."""

from ..files.tensorfile import CheckpointError
from ..provenance import Provenance
from .read import load, load_image_parent, read_tensors
from .write import save

__all__ = ["CheckpointError", "Provenance", "load", "load_image_parent", "read_tensors", "save"]
