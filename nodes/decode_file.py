"""Decode to Video File: LATENT -> VIDEO, a few frames in memory."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
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
from .convert import KEY, read_size, to_clips
from .execution import Say, count_steps, describe_pass, take_first_that_fits
from .feedback import Progress, tell
from .footage import AT_A_TIME, open_footage
from .memory import plan_pass
from .prefix import check_prefix, fill_prefix, place_output
from .request import CuttingNode, make_request, network_of
from .schema import advanced, cut_inputs, make_schema

DEFAULT_RATE = Fraction(24)
"""Frames per second of a clip that knows no other."""


class DecodeToVideoFile(CuttingNode):
    """Latent -> a video file in ComfyUI's output folder."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return make_schema(
            "ODVAEDecodeToVideoFile",
            inputs=[
                io.Latent.Input("latent"),
                io.Vae.Input("vae"),
                *cut_inputs(),
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
        """`CuttingNode.validate_inputs`, and the prefix unless it is linked."""
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
        network, node = network_of(vae), cls.hidden.unique_id
        request = make_request(schedule, frames, tile, overlap)
        base = Path(folder_paths.get_output_directory())
        prefix = fill_prefix(filename_prefix, cls.hidden.prompt, cls.hidden.extra_pnginfo)
        check_prefix(prefix, base)
        clips = to_clips(latent["samples"], getattr(vae, "images", False))
        network.check_latent(clips)
        check_single(clips)
        size = read_size(latent, clips, network)
        path = place_output(prefix, ".mp4", base, (size.width, size.height))
        film = plan_film(path, size, latent.get(KEY, {}), fps, quality, video)
        film.metadata = read_graph(cls.hidden.prompt, cls.hidden.extra_pnginfo)
        decode_to_film(vae, clips, request, film, lambda text: tell(node, text))
        folder = path.parent.relative_to(base).as_posix()
        saved = ui.SavedResult(path.name, "" if folder == "." else folder, io.FolderType.output)
        return io.NodeOutput(InputImpl.VideoFromFile(str(path)), ui=ui.PreviewVideo([saved]))


@dataclass
class Film:
    """A video file to be: its own size, its frames' times in seconds, whose sound it takes."""

    path: Path
    size: ClipSize
    rate: Fraction
    times: list[Fraction]
    sound: Source | None
    quality: int
    metadata: dict[str, str]

    def write(self, chunks: Iterable[Tensor]) -> None:
        """All frames, [1, 3, T, H, W] in [-1, 1]; a failure leaves no file."""
        written = 0
        with VideoWriter(
            self.path,
            (self.size.height, self.size.width),
            self.rate,
            quality=self.quality,
            audio_from=self.sound,
            metadata=self.metadata,
        ) as writer:
            for chunk in crop_stream(chunks, self.size):
                for piece in chunk.split(AT_A_TIME, dim=2):
                    writer.write(piece, self.times[written : written + piece.shape[2]])
                    written += piece.shape[2]


def plan_film(
    path: Path, size: ClipSize, noted: dict[str, Any], fps: float, quality: int, video: Any
) -> Film:
    """Rate, times and sound: as the inputs say, else as the latent does, else 24 and silent."""
    source = video if video is not None else noted.get("video")
    footage = open_footage(source) if source is not None else None
    rate = footage.rate if footage else DEFAULT_RATE
    if fps:
        rate = Fraction(fps).limit_denominator(100_000)
    start = footage.start if footage else Fraction(0)
    times = [start + i / rate for i in range(size.frames)]
    if not fps and video is None and len(noted.get("times", ())) == size.frames:
        times = noted["times"]
    return Film(path, size, rate, times, footage.sound if footage else None, quality, {})


def decode_to_film(
    vae: comfy.sd.VAE, latent: Tensor, request: Request, film: Film, say: Say
) -> None:
    """The latent piece by piece into the file, or, for the schedules that need it, whole in RAM."""
    network = network_of(vae)
    latent = latent.to(torch.float32).cpu()
    shape = tuple(latent.shape)

    def attempt(plan: Plan) -> None:
        say(describe_pass(Coding.DECODE, plan))
        progress = Progress(total=count_steps(network, Coding.DECODE, shape, plan))
        schedule, tiles = plan.schedule, plan.tiles
        if schedule.bounded:
            film.write(network.decode_stream(latent.split(1, dim=2), schedule, tiles, progress))
        else:
            film.write([network.decode(latent, schedule, tiles, progress)])

    plans = plan_pass(vae, network, Coding.DECODE, shape, request, held=False)
    take_first_that_fits(plans, attempt)


def read_graph(prompt: Any, extra: dict[str, Any] | None) -> dict[str, str]:
    """The graph as text for the file, so that ComfyUI restores it; none where the user switched
    that off."""
    if args.disable_metadata:
        return {}
    graph = {**(extra or {}), **({"prompt": prompt} if prompt else {})}
    return {name: json.dumps(value) for name, value in graph.items()}


def check_single(clips: Tensor) -> None:
    """Raise `ValueError` unless there is one clip: a file holds one."""
    if clips.shape[0] != 1:
        raise ValueError(
            f"got a latent of {clips.shape[0]} clips; a video file holds one: choose it with "
            "ComfyUI's Latent From Batch"
        )
