"""Tail-Inflate Checkpoint: a 2D VAE -> a video VAE."""

from __future__ import annotations

from pathlib import Path

import folder_paths
import torch
import torch.nn.functional as F
from comfy_api.latest import io, ui
from torch import Tensor

from .. import odvae_core
from ..odvae_core.families import ivvae_config, odvae_config
from ..odvae_core.files.tensorfile import hash_file
from ..odvae_core.inflation import MODES, Inflation, Proof, inflate
from ..odvae_core.vae import VideoVAE
from .convert import to_image
from .feedback import CancelCheck, tell
from .models import find_2d_vae, list_2d_vaes, stamp_file
from .prefix import check_prefix, fill_prefix, place_output
from .runs import Runs
from .schema import advanced, make_schema
from .vae import OdvaeVAE

NO_TARGETS = ("odvae-stream", "odvae-tiny", "sd-vae", "ivvae-2d")
"""Presets that aren't offered after the first: named already, only smaller, no video VAEs."""

PRESETS = [
    "odvae-stream",
    *(name for name in odvae_config.PRESETS if name not in NO_TARGETS),
    *(name for name in ivvae_config.PRESETS if name not in NO_TARGETS),
]
ENLARGED = 4
"""How many times larger than life the proof is shown."""

RUNS = Runs()


class TailInflate(io.ComfyNode):
    """A 2D VAE's file -> a video VAE's, with a proof of what was kept."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return make_schema(
            "ODVAETailInflate",
            inputs=[
                io.Combo.Input("checkpoint", options=list_2d_vaes()),
                io.Combo.Input("preset", options=PRESETS, default=PRESETS[0]),
                io.Combo.Input("mode", options=list(MODES), default="tail"),
                io.String.Input("filename_prefix", default="tail-inflated"),
                advanced(io.Boolean.Input("overwrite", default=False)),
            ],
            outputs=[io.Vae.Output(), io.String.Output(), io.Image.Output()],
            hidden=[io.Hidden.unique_id, io.Hidden.prompt, io.Hidden.extra_pnginfo],
            is_output_node=True,
            search_aliases=["2d to 3d vae", "inflate vae", "tail initialization"],
        )

    @classmethod
    def validate_inputs(cls, filename_prefix: str | None = None) -> bool | str:
        """What is wrong with the prefix, before anything runs; None where it is linked."""
        if filename_prefix is None:
            return True
        try:
            check_prefix(fill_prefix(filename_prefix), output_folder())
        except ValueError as error:
            return str(error)
        return True

    @classmethod
    def fingerprint_inputs(
        cls,
        checkpoint: str | None,
        preset: str | None,
        mode: str | None,
        filename_prefix: str | None,
        overwrite: bool | None,
    ) -> int:
        """The node runs again where its checkpoint, or the file that it wrote, was replaced or
        deleted."""
        return RUNS.count_outdated((checkpoint, preset, mode, filename_prefix, overwrite))

    @classmethod
    def execute(
        cls, checkpoint: str, preset: str, mode: str, filename_prefix: str, overwrite: bool
    ) -> io.NodeOutput:
        prefix = fill_prefix(filename_prefix, cls.hidden.prompt, cls.hidden.extra_pnginfo)
        target = place_output(prefix, ".safetensors", output_folder(), numbered=not overwrite)
        source = find_2d_vae(checkpoint)
        read = {source: stamp_file(source)}
        inflated = inflate_file(source, target, preset, mode)
        inputs = (checkpoint, preset, mode, filename_prefix, overwrite)
        RUNS.record(inputs, {**read, target: stamp_file(target)})
        report = f"output/vae/{target.relative_to(output_folder())}\n{describe(inflated.inflation)}"
        tell(cls.hidden.unique_id, report)
        vae = OdvaeVAE(odvae_core.load(target))
        picture = draw_proof(inflated.inflation.proof)
        return io.NodeOutput(vae, report, picture, ui=ui.PreviewImage(picture, cls=cls))


def inflate_file(source: Path, target: Path, preset: str, mode: str) -> VideoVAE:
    """The video VAE of a 2D VAE's file, written to `target`."""
    with CancelCheck():
        inflated = inflate(source, preset, mode)
    odvae_core.save(
        inflated,
        target,
        source=source.name,
        source_sha256=hash_file(source),
        inflation=f"{mode} into {preset}",
    )
    return inflated


def output_folder() -> Path:
    """Where ComfyUI looks for VAEs that it wrote itself."""
    return Path(folder_paths.get_output_directory()) / "vae"


def describe(inflation: Inflation) -> str:
    """What was inherited, what could not be, and the proof, as lines of text."""
    proof = inflation.proof
    lines = [
        f"{inflation.mode}: {len(inflation.copied)} weights copied, {len(inflation.inflated)} "
        f"inflated, {len(inflation.fresh)} new",
        f"largest difference of the latents from the 2D VAE's: {proof.encode_difference:.2g}",
        f"PSNR of its picture against the 2D VAE's: {proof.decode_psnr:.1f} dB",
        *(f"differs: {sentence}" for sentence in inflation.differences),
    ]
    return "\n".join(lines)


def draw_proof(proof: Proof) -> Tensor:
    """The picture, through the 2D VAE, and through the new one, side by side: IMAGE [1, H, W,
    3]."""
    row = torch.cat([proof.picture, proof.decoded_2d, proof.decoded_3d], dim=-1)
    return to_image(F.interpolate(row[None], scale_factor=ENLARGED)[:, :, None])
