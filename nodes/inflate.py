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
from .fingerprint import RunHistory, fingerprint_file
from .models import find_2d_vae, list_2d_vaes
from .prefix import check_prefix, fill_prefix, make_output_path
from .progress import CancelCheck, report_on_node
from .schema import advanced, make_schema
from .vae import OdvaeVAE

EXCLUDED = ("odvae-stream", "odvae-tiny", "odvae-small", "sd-vae", "ivvae-2d")
"""Presets that are not listed again, differ only in size, or are not video VAEs."""

PRESETS = [
    "odvae-stream",
    *(name for name in odvae_config.PRESETS if name not in EXCLUDED),
    *(name for name in ivvae_config.PRESETS if name not in EXCLUDED),
]
PROOF_SCALE = 4
"""Factor by which the proof images are enlarged."""

RUN_HISTORY = RunHistory()


class TailInflate(io.ComfyNode):
    """A 2D VAE's file -> a video VAE's file, with a proof image."""

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
        """The error text of an invalid prefix, before anything runs. A linked prefix is None."""
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
        """Run the node again if its checkpoint or its written file was replaced or deleted."""
        return RUN_HISTORY.count_outdated((checkpoint, preset, mode, filename_prefix, overwrite))

    @classmethod
    def execute(
        cls, checkpoint: str, preset: str, mode: str, filename_prefix: str, overwrite: bool
    ) -> io.NodeOutput:
        prefix = fill_prefix(filename_prefix, cls.hidden.prompt, cls.hidden.extra_pnginfo)
        target = make_output_path(prefix, ".safetensors", output_folder(), numbered=not overwrite)
        source = find_2d_vae(checkpoint)
        files = {source: fingerprint_file(source)}
        inflated = inflate_file(source, target, preset, mode)
        inputs = (checkpoint, preset, mode, filename_prefix, overwrite)
        RUN_HISTORY.record(inputs, {**files, target: fingerprint_file(target)})
        written = f"output/vae/{target.relative_to(output_folder())}"
        report = f"{written}\n{describe_inflation(inflated.inflation)}"
        report_on_node(cls.hidden.unique_id, report)
        vae = OdvaeVAE(odvae_core.load(target))
        picture = draw_proof(inflated.inflation.proof)
        return io.NodeOutput(vae, report, picture, ui=ui.PreviewImage(picture, cls=cls))


def inflate_file(source: Path, target: Path, preset: str, mode: str) -> VideoVAE:
    """Inflate a 2D VAE's file and write the video VAE to `target`."""
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
    """The folder in which ComfyUI looks for VAEs that its nodes wrote."""
    return Path(folder_paths.get_output_directory()) / "vae"


def describe_inflation(inflation: Inflation) -> str:
    """The number of inherited weights, the proof and the differences, as lines of text."""
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
    """The test image, its 2D reconstruction and its reconstruction by the new VAE, side by side:
    IMAGE [1, H, W, 3]."""
    row = torch.cat([proof.picture, proof.decoded_2d, proof.decoded_3d], dim=-1)
    return to_image(F.interpolate(row[None], scale_factor=PROOF_SCALE)[:, :, None])
