"""Decode to Video File: LATENT -> VIDEO, with a few frames in memory."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import comfy.sd
import folder_paths
import torch
from comfy.cli_args import args
from comfy_api.latest import InputImpl, io, ui
from torch import Tensor

from ..odvae_core.layers.coder_pass import Coding
from ..odvae_core.padding import ClipSize, crop_stream
from ..odvae_core.planning import Plan, Request
from ..odvae_core.video import VideoWriter
from ..odvae_core.video.source import Source
from .convert import CLIP_SIZE_KEY, read_clip_size, to_clips
from .execution import Report, count_steps, describe_pass, run_first_plan_that_fits
from .latent_space import warn_of_other_space
from .memory import plan_pass
from .prefix import check_prefix, fill_prefix, make_output_path
from .progress import Progress, report_on_node
from .request import ScheduledNode, make_request, network_of
from .schema import advanced, make_schema, schedule_inputs
from .video_source import CHUNK_FRAMES, open_video_source

DEFAULT_RATE = Fraction(24)
"""Frames per second of a clip whose rate is unknown."""


class DecodeToVideoFile(ScheduledNode):
    """Latent -> a video file in ComfyUI's output folder."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return make_schema(
            "ODVAEDecodeToVideoFile",
            inputs=[
                io.Latent.Input("latent"),
                io.Vae.Input("vae"),
                *schedule_inputs(),
                io.String.Input("filename_prefix", default="video/ODVAE"),
                io.Float.Input("fps", default=0.0, min=0.0, max=1000.0, step=0.01),
                advanced(io.Int.Input("quality", default=18, min=0, max=51)),
                io.Video.Input("video", optional=True),
            ],
            outputs=[io.Video.Output()],
            hidden=[io.Hidden.unique_id, io.Hidden.prompt, io.Hidden.extra_pnginfo],
            is_output_node=True,
            search_aliases=["long video decode", "latent to video file", "save video"],
        )

    @classmethod
    def validate_inputs(
        cls,
        schedule: str | None = None,
        frames: int | None = None,
        tile: int | None = None,
        overlap: int | None = None,
        filename_prefix: str | None = None,
    ) -> bool:
        """Run `ScheduledNode.validate_inputs` and check the prefix, unless it is linked."""
        if filename_prefix is not None:
            check_prefix(fill_prefix(filename_prefix), Path(folder_paths.get_output_directory()))
        return super().validate_inputs(schedule, frames, tile, overlap)

    @classmethod
    def execute(
        cls,
        latent: dict[str, Any],
        vae: comfy.sd.VAE,
        schedule: str,
        frames: int,
        tile: int,
        overlap: int,
        filename_prefix: str,
        fps: float,
        quality: int,
        video: Any = None,
    ) -> io.NodeOutput:
        network = network_of(vae)
        request = make_request(schedule, frames, tile, overlap)
        base = Path(folder_paths.get_output_directory())
        prefix = fill_prefix(filename_prefix, cls.hidden.prompt, cls.hidden.extra_pnginfo)
        check_prefix(prefix, base)
        clips = to_clips(latent["samples"], getattr(vae, "images", False))
        network.check_latent(clips)
        check_single(clips)
        size = read_clip_size(latent, clips, network)
        warn_of_other_space(cls.hidden.unique_id, cls.hidden.prompt, network)
        path = make_output_path(prefix, ".mp4", base, (size.width, size.height))
        output = make_video_output(path, size, latent.get(CLIP_SIZE_KEY, {}), fps, quality, video)
        output.metadata = read_graph(cls.hidden.prompt, cls.hidden.extra_pnginfo)
        report = partial(report_on_node, cls.hidden.unique_id)
        decode_to_output(vae, clips, request, output, report)
        folder = path.parent.relative_to(base).as_posix()
        saved = ui.SavedResult(path.name, "" if folder == "." else folder, io.FolderType.output)
        return io.NodeOutput(InputImpl.VideoFromFile(str(path)), ui=ui.PreviewVideo([saved]))


@dataclass
class VideoOutput:
    """Settings of the output video: its size, its frames' times in seconds, its audio source."""

    path: Path
    size: ClipSize
    rate: Fraction
    times: list[Fraction]
    audio: Source | None
    quality: int
    metadata: dict[str, str]

    def write(self, chunks: Iterable[Tensor]) -> None:
        """Write all frames, [1, 3, T, H, W] in [-1, 1]. On an error no file is left."""
        written = 0
        with VideoWriter(
            self.path,
            (self.size.height, self.size.width),
            self.rate,
            quality=self.quality,
            audio_from=self.audio,
            metadata=self.metadata,
        ) as writer:
            for chunk in crop_stream(chunks, self.size):
                for piece in chunk.split(CHUNK_FRAMES, dim=2):
                    writer.write(piece, self.times[written : written + piece.shape[2]])
                    written += piece.shape[2]


def make_video_output(
    path: Path, size: ClipSize, stored: dict[str, Any], fps: float, quality: int, video: Any
) -> VideoOutput:
    """Rate, times and audio from the inputs, else from what the LATENT stores, else 24 fps and no
    audio."""
    video_input = video if video is not None else stored.get("video")
    source = open_video_source(video_input) if video_input is not None else None
    rate = source.rate if source else DEFAULT_RATE
    if fps:
        rate = Fraction(fps).limit_denominator(100_000)
    start = source.start if source else Fraction(0)
    times = [start + i / rate for i in range(size.frames)]
    if not fps and video is None and len(stored.get("times", ())) == size.frames:
        times = stored["times"]
    return VideoOutput(path, size, rate, times, source.audio if source else None, quality, {})


def decode_to_output(
    vae: comfy.sd.VAE, latent: Tensor, request: Request, output: VideoOutput, report: Report
) -> None:
    """Decode the latent into the file in pieces, or whole in RAM for the schedules that need it."""
    network = network_of(vae)
    latent = latent.to(torch.float32).cpu()
    shape = tuple(latent.shape)

    def run_plan(plan: Plan) -> None:
        report(describe_pass(network, Coding.DECODE, plan))
        progress = Progress(total=count_steps(network, Coding.DECODE, shape, plan))
        schedule, tiles = plan.schedule, plan.tiles
        if schedule.bounded:
            output.write(network.decode_stream(latent.split(1, dim=2), schedule, tiles, progress))
        else:
            output.write([network.decode(latent, schedule, tiles, progress)])

    plans = plan_pass(vae, network, Coding.DECODE, shape, request, held=False)
    run_first_plan_that_fits(plans, run_plan)


def read_graph(prompt: Any, extra: dict[str, Any] | None) -> dict[str, str]:
    """The graph as text metadata, from which ComfyUI restores it; empty if the user disabled
    metadata."""
    if args.disable_metadata:
        return {}
    graph = {**(extra or {}), **({"prompt": prompt} if prompt else {})}
    return {name: json.dumps(value) for name, value in graph.items()}


def check_single(clips: Tensor) -> None:
    """Raise `ValueError` unless there is one clip: a file contains one."""
    if clips.shape[0] != 1:
        raise ValueError(
            f"got a latent of {clips.shape[0]} clips; a video file contains one: choose it with "
            "ComfyUI's Latent From Batch"
        )
