"""Compare Videos: how far one clip is from another, frame by frame."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from comfy_api.latest import io, ui
from torch import Tensor

from ..odvae_core import metrics
from .convert import check_image, to_video
from .feedback import CancelCheck, Progress, tell
from .plot import Curve, draw_plot
from .schema import advanced, make_schema

AT_A_TIME = 16
"""Frames that are measured at once."""

IDENTICAL = 100.0
"""PSNR in dB at which frames count as identical; theirs is infinite."""


class CompareVideos(io.ComfyNode):
    """Two clips -> PSNR, SSIM and flicker as text and plot, and a picture of the difference."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return make_schema(
            "ODVAECompareVideos",
            inputs=[
                io.Image.Input("reference"),
                io.Image.Input("image"),
                advanced(io.Float.Input("amplify", default=4.0, min=1.0, max=100.0, step=0.5)),
            ],
            outputs=[
                io.String.Output(),
                io.Image.Output(),
                io.Image.Output(),
                io.Float.Output(),
            ],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
            search_aliases=["psnr", "ssim", "flicker", "video quality", "difference"],
        )

    @classmethod
    def execute(cls, reference: Tensor, image: Tensor, amplify: float) -> io.NodeOutput:
        check_image(reference, "reference")
        check_image(image)
        check_same_size(reference, image)
        with CancelCheck():
            measures = measure(reference, image)
        report = measures.describe()
        tell(cls.hidden.unique_id, report.split("\n", 1)[0])
        plot = draw_plot(measures.curves())
        beside = put_beside(reference, image, amplify)
        shown = ui.PreviewImage(plot, cls=cls).as_dict() | {"text": [report]}
        return io.NodeOutput(report, plot, beside, measures.mean_psnr, ui=shown)


@dataclass(frozen=True)
class Measures:
    """PSNR in dB, SSIM and flicker of every frame; flicker from the second frame on."""

    psnr: list[float]
    ssim: list[float]
    flicker: list[float]

    @property
    def mean_psnr(self) -> float:
        return mean(self.psnr)

    def curves(self) -> list[Curve]:
        return [
            Curve("PSNR (dB)", self.psnr),
            Curve("SSIM", self.ssim),
            Curve("flicker", self.flicker),
        ]

    def describe(self) -> str:
        """The means in the first line, then a line for every frame."""
        lines = [
            f"PSNR {self.mean_psnr:.2f} dB, SSIM {mean(self.ssim):.4f}, "
            f"flicker {mean(self.flicker):.5f} over {len(self.psnr)} frames",
            "frame  PSNR    SSIM    flicker",
        ]
        for i, (ratio, likeness) in enumerate(zip(self.psnr, self.ssim, strict=True)):
            change = f"{self.flicker[i - 1]:.5f}" if i else ""
            lines.append(f"{i:5}  {ratio:6.2f}  {likeness:.4f}  {change}")
        return "\n".join(lines)


def mean(values: list[float]) -> float:
    """The mean; 0 of nothing, as the flicker of one frame."""
    return sum(values) / len(values) if values else 0.0


def measure(reference: Tensor, image: Tensor) -> Measures:
    """Two IMAGEs [F, H, W, C] of one size -> their measures, a few frames at a time."""
    progress, frames = Progress(), len(image)
    psnrs, ssims, flickers = [], [], []
    for start in range(0, frames, AT_A_TIME):
        progress(start, frames)
        # One frame more at the front, for the change into the first one.
        piece = slice(max(0, start - 1), start + AT_A_TIME)
        videos = [to_video(frames_of[piece]) for frames_of in (image, reference)]
        new = [video[:, :, min(start, 1) :] for video in videos]
        psnrs += metrics.psnr(*new)[0].clamp(max=IDENTICAL).tolist()
        ssims += metrics.ssim(*new)[0].tolist()
        flickers += metrics.flicker(*videos)[0].tolist()
    progress(frames, frames)
    return Measures(psnrs, ssims, flickers)


def check_same_size(reference: Tensor, image: Tensor) -> None:
    """Raise `ValueError` unless both have as many frames of the same size."""
    if reference.shape[:3] != image.shape[:3]:
        raise ValueError(
            f"got a reference of {spell(reference)} and an image of {spell(image)}; both need the "
            "same: decode with Temporal-Tiled Decode, which gives the clip's own size back, or "
            "trim and scale one"
        )


def spell(image: Tensor) -> str:
    frames, height, width = image.shape[:3]
    return f"{frames} frames of {width}x{height}"


def put_beside(reference: Tensor, image: Tensor, amplify: float) -> Tensor:
    """Reference, image and their amplified difference, side by side: IMAGE [F, H, 3W, 3]."""
    reference, image = reference[..., :3], image[..., :3]
    difference = (image - reference).abs_().mul_(amplify).clamp_(0, 1)
    return torch.cat([reference, image, difference], dim=2)
