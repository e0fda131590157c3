"""OD-VAE and its relatives: video to latents and back, for clips of any length.

A name below is loaded when it is first used, so that `odvae --help` needn't wait for torch.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import fit as fit
    from .build import build as build
    from .checkpoint import CheckpointError as CheckpointError
    from .checkpoint import load as load
    from .checkpoint import save as save
    from .inflate import inflate as inflate
    from .posterior import Posterior as Posterior
    from .schedules import Stream as Stream
    from .schedules import Sweep as Sweep
    from .schedules import Whole as Whole
    from .schedules import Windows as Windows
    from .tiling import Tiles as Tiles
    from .vae import VideoVAE as VideoVAE

HOMES = {
    "CheckpointError": "checkpoint",
    "Posterior": "posterior",
    "Stream": "schedules",
    "Sweep": "schedules",
    "Tiles": "tiling",
    "VideoVAE": "vae",
    "Whole": "schedules",
    "Windows": "schedules",
    "build": "build",
    "fit": "fit",
    "inflate": "inflate",
    "load": "checkpoint",
    "save": "checkpoint",
}
"""Public name: the file that holds it; `fit` is the file itself."""


class LazyPackage(ModuleType):
    """This package: its public names appear on demand."""

    def __getattr__(self, name: str) -> Any:
        if name not in HOMES:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        home = import_module(f".{HOMES[name]}", self.__name__)
        self.__dict__[name] = getattr(home, name, home)
        return self.__dict__[name]

    def __setattr__(self, name: str, value: Any) -> None:
        """Importing the file build.py would bind it here, in place of the function `build`."""
        if not (name in HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *HOMES})


sys.modules[__name__].__class__ = LazyPackage
