"""What the schemas of the nodes share, spelled for every supported version of ComfyUI."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

CATEGORY = "OD-VAE"
SCHEDULES = ("auto", "whole", "paper", "exact", "stream")
POSTERIORS = ("mean", "sample")


def make_schema(**fields: Any) -> io.Schema:
    """A schema of the fields that this ComfyUI knows: 0.3.64 and 0.8.0 have no `search_aliases`."""
    known = io.Schema.__dataclass_fields__
    return io.Schema(
        category=CATEGORY, **{name: value for name, value in fields.items() if name in known}
    )


def advanced(widget: io.WidgetInput) -> io.WidgetInput:
    """Mark a rare option: versions before 0.33 have no keyword for it, and ignore the mark."""
    widget.extra_dict["advanced"] = True
    return widget


def vae_input() -> io.Input:
    return io.Vae.Input(
        "vae",
        tooltip="What Load OD-VAE returns, or any other causal video VAE that compresses time 4 "
        "times (HunyuanVideo, Wan). Other VAEs can't run the exact and stream schedules.",
    )


def latent_input() -> io.Input:
    return io.Latent.Input(
        "latent",
        tooltip="The latent to decode. Frames as a batch, as SVD and AnimateDiff give them, are "
        "one clip. The clip's own size rides along where the latent came from an OD-VAE node.",
    )


def cut_inputs(schedule_tooltip: str) -> list[io.Input]:
    """How a clip is cut in time and space: the same five words and units on every node."""
    return [
        io.Combo.Input(
            "schedule", options=list(SCHEDULES), default="auto", tooltip=schedule_tooltip
        ),
        io.Int.Input(
            "frames",
            default=0,
            min=0,
            max=4097,
            tooltip="How many video frames are worked on at a time: 1 + 4k, such as 9, 17 or 33. "
            "0 takes the schedule's own number (paper 33, exact 9, stream 17); auto chooses by "
            "itself.",
        ),
        io.Int.Input(
            "tile",
            default=0,
            min=0,
            max=8192,
            step=8,
            tooltip="Side of the square tiles in pixels, a multiple of 8. 0 takes no tiles, or, "
            "with auto, the largest that fit. Attention and norms see their tile only, so tiles "
            "change the picture a little: use them where the card is too small.",
        ),
        advanced(
            io.Int.Input(
                "overlap",
                default=32,
                min=0,
                max=4096,
                step=8,
                tooltip="How far neighbouring tiles overlap, in pixels: a multiple of 8, smaller "
                "than the tile. More hides seams better and takes longer.",
            )
        ),
    ]


SCHEDULE_TOOLTIP = (
    "How the clip is cut in time. auto: the whole clip if it fits, else the largest exact cut "
    "that fits, else an approximate one, and on out-of-memory the next smaller one. whole: no "
    "cut. paper: windows that share one frame, as the authors do; not equal to the whole clip. "
    "exact: equal to the whole clip, piece by piece, its features parked in RAM if need be. "
    "stream: the least memory; exact for models with per-frame norms, approximate for the others."
)
FILE_SCHEDULE_TOOLTIP = (
    "How the clip is cut in time. auto: stream where that is exact, else paper. stream and paper "
    "hold a few frames only, whatever the clip's length; paper, and stream on models with norms "
    "over the clip, are approximate. exact and whole hold the whole clip in RAM (up to 24 bytes a "
    "pixel and frame), exact its features too."
)


def posterior_inputs() -> list[io.Input]:
    return [
        io.Combo.Input(
            "posterior",
            options=list(POSTERIORS),
            default="mean",
            tooltip="mean: the most likely latent, the same every time. sample: a random one, as "
            "in training; the seed decides which.",
        ),
        advanced(
            io.Int.Input(
                "seed",
                default=0,
                min=0,
                max=0xFFFFFFFFFFFFFFFF,
                control_after_generate=False,  # else the page would draw a new one with every run
                tooltip="For sample only: the same seed gives the same latent, however the clip "
                "is cut.",
            )
        ),
    ]
