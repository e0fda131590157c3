"""Compare Videos: metrics of a clip against its reference, per frame."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from comfy_api.latest import io, ui
from torch import Tensor

from ..odvae_core.metrics import MAX_PSNR, MetricCollector
from .convert import check_image, to_video
from .plot import Curve, draw_plot
from .progress import CancelCheck, Progress, report_on_node
from .schema import advanced, make_schema

CHUNK_FRAMES = 16
"""Frames that are measured at a time."""


class CompareVideos(io.ComfyNode):
    """Two clips -> PSNR, SSIM and flicker as text and plot, and an image of the difference."""

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
            metrics = measure_frames(reference, image)
        report = metrics.describe()
        report_on_node(cls.hidden.unique_id, report.split("\n", 1)[0])
        plot = draw_plot(metrics.curves())
        side_by_side = draw_side_by_side(reference, image, amplify)
        preview = ui.PreviewImage(plot, cls=cls).as_dict() | {"text": [report]}
        return io.NodeOutput(report, plot, side_by_side, metrics.mean_psnr, ui=preview)


@dataclass(frozen=True)
class FrameMetrics:
    """PSNR in dB, SSIM and flicker of every frame; flicker from the second frame on."""

    psnr: list[float]
    ssim: list[float]
    flicker: list[float]

    @property
    def mean_psnr(self) -> float:
        """Mean PSNR in dB."""
        return mean(self.psnr)

    def curves(self) -> list[Curve]:
        """One curve for each metric."""
        return [
            Curve("PSNR (dB)", self.psnr),
            Curve("SSIM", self.ssim),
            Curve("flicker", self.flicker),
        ]

    def describe(self) -> str:
        """A line with the means, then a line for every frame."""
        lines = [
            f"PSNR {self.mean_psnr:.2f} dB, SSIM {mean(self.ssim):.4f}, "
            f"flicker {mean(self.flicker):.5f} over {len(self.psnr)} frames",
            "frame  PSNR    SSIM    flicker",
        ]
        for i, (psnr, ssim) in enumerate(zip(self.psnr, self.ssim, strict=True)):
            flicker = f"{self.flicker[i - 1]:.5f}" if i else ""
            lines.append(f"{i:5}  {psnr:6.2f}  {ssim:.4f}  {flicker}")
        return "\n".join(lines)


def mean(values: list[float]) -> float:
    """The mean; 0 for an empty list, such as the flicker of one frame."""
    return sum(values) / len(values) if values else 0.0


def measure_frames(reference: Tensor, image: Tensor) -> FrameMetrics:
    """The metrics of two IMAGEs [F, H, W, C] of one size, a few frames at a time."""
    progress, frames = Progress(), len(image)
    collector = MetricCollector(max_psnr=MAX_PSNR)
    for start in range(0, frames, CHUNK_FRAMES):
        progress(start, frames)
        overlap = min(start, 1)  # flicker compares the chunk's first frame with the one before
        chunk = slice(start - overlap, start + CHUNK_FRAMES)
        collector.add(to_video(image[chunk]), to_video(reference[chunk]), overlap)
    progress(frames, frames)
    return FrameMetrics(*(collector.per_frame(name) for name in ("psnr", "ssim", "flicker")))


def check_same_size(reference: Tensor, image: Tensor) -> None:
    """Raise `ValueError` unless both have the same number of frames of the same size."""
    if reference.shape[:3] != image.shape[:3]:
        raise ValueError(
            f"got a reference of {format_size(reference)} and an image of {format_size(image)}; "
            "both need the same: decode with Temporal-Tiled Decode, which restores the clip's own "
            "size, or trim and scale one"
        )


def format_size(image: Tensor) -> str:
    """The frames and size of an IMAGE as text."""
    frames, height, width = image.shape[:3]
    return f"{frames} frames of {width}x{height}"


def draw_side_by_side(reference: Tensor, image: Tensor, amplify: float) -> Tensor:
    """Reference, image and their amplified difference, side by side: IMAGE [F, H, 3W, 3]."""
    reference, image = reference[..., :3], image[..., :3]
    difference = (image - reference).abs_().mul_(amplify).clamp_(0, 1)
    return torch.cat([reference, image, difference], dim=2)
