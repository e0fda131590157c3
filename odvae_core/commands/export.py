"""`odvae export`: a VAE as its authors' code, or diffusers, reads it."""

from argparse import Namespace

from ..checkpoint import load
from ..checkpoint.export import export
from .model import DTYPES
from .output import Result


def check_folder(options: Namespace) -> None:
    """Raise before any work if the folder can't be written, or holds files already."""
    if not options.folder.parent.is_dir():
        raise FileNotFoundError(f"{options.folder}: the folder above it doesn't exist; create it")
    if options.folder.exists() and not options.folder.is_dir():
        raise ValueError(f"{options.folder}: is a file; give the name of a folder")
    if not options.overwrite and options.folder.is_dir() and any(options.folder.iterdir()):
        raise FileExistsError(
            f"{options.folder}: holds files already; give another folder, or --overwrite"
        )


def run_export(options: Namespace) -> Result:
    """Write the folder; report its files."""
    check_folder(options)
    vae = load(options.checkpoint, images=True)
    assert vae.provenance is not None
    dtype = DTYPES.get(options.dtype, vae.provenance.dtype)
    files = export(vae, options.folder, options.format, dtype)
    facts = {"files": files, "family": vae.family, "format": options.format, "dtype": str(dtype)}
    lines = [f"wrote   {file}" for file in files]
    return Result(facts, [*lines, f"as      {options.format} of the family {vae.family}"])
