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

from ..odvae_core.fit import ClipSize, crop_stream
from ..odvae_core.schedules import Schedule, Stream, Windows
from ..odvae_core.tiling import Tiles
from ..odvae_core.video import VideoWriter
from ..odvae_core.video.source import Source
from .budget import list_file_cuts
from .convert import KEY, read_size, to_clips
from .cut import Cut, check_cut, network_of
from .feedback import Progress, tell
from .footage import AT_A_TIME, open_footage
from .models import place_output
from .running import Say, count_steps, describe, take_first_that_fits
from .schema import (
    FILE_SCHEDULE_TOOLTIP,
    advanced,
    cut_inputs,
    latent_input,
    make_schema,
    vae_input,
)

DEFAULT_RATE = Fraction(24)
"""Frames per second of a clip that knows no other."""


class DecodeToVideoFile(io.ComfyNode):
    """Latent -> a video file in ComfyUI's output folder."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return make_schema(
            node_id="ODVAEDecodeToVideoFile",
            display_name="Decode to Video File (OD-VAE)",
            description="Decodes a latent straight into an H.264 file in the output folder, in "
            "memory that does not grow with its length. The sound and the frame times of the "
            "encoded video come along, and so does the graph.",
            search_aliases=[
                "long video decode",
                "stream decode",
                "latent to video file",
                "save video",
            ],
            is_output_node=True,
            inputs=[
                latent_input(),
                vae_input(),
                *cut_inputs(FILE_SCHEDULE_TOOLTIP),
                io.String.Input(
                    "filename_prefix",
                    default="video/ODVAE",
                    tooltip="Folder and beginning of the file's name within ComfyUI's output "
                    "folder; a number is added.",
                ),
                io.Float.Input(
                    "fps",
                    default=0.0,
                    min=0.0,
                    max=1000.0,
                    step=0.01,
                    tooltip="Frames per second. 0 keeps the frame times of the encoded video, or "
                    "takes 24 where there are none.",
                ),
                advanced(
                    io.Int.Input(
                        "quality",
                        default=18,
                        min=0,
                        max=51,
                        tooltip="H.264's constant rate factor: 0 is lossless, 18 looks lossless, "
                        "28 is small.",
                    )
                ),
                io.Video.Input(
                    "video",
                    optional=True,
                    tooltip="Take sound and frame rate from this video: for latents that came "
                    "from disk and know no other.",
                ),
            ],
            outputs=[io.Video.Output(display_name="video", tooltip="The file that was written.")],
            hidden=[io.Hidden.unique_id, io.Hidden.prompt, io.Hidden.extra_pnginfo],
        )

    @classmethod
    def validate_inputs(
        cls, schedule: str | None, frames: int | None, tile: int | None, overlap: int | None
    ) -> bool | str:
        return check_cut(schedule, frames, tile, overlap)

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
        clips = to_clips(latent["samples"], getattr(vae, "images", False))
        network.check_latent(clips)
        check_single(clips)
        size = read_size(latent, clips, network)
        base = Path(folder_paths.get_output_directory())
        path = place_output(filename_prefix, ".mp4", base, size.width, size.height)
        film = plan_film(path, size, latent.get(KEY, {}), fps, quality, video)
        film.metadata = read_graph(cls.hidden.prompt, cls.hidden.extra_pnginfo)
        cut = Cut(schedule, frames, tile, overlap)
        decode_to_film(vae, clips, cut, film, lambda text: tell(node, text))
        folder = path.parent.relative_to(base).as_posix()
        saved = ui.SavedResult(path.name, "" if folder == "." else folder, io.FolderType.output)
        return io.NodeOutput(InputImpl.VideoFromFile(str(path)), ui=ui.PreviewVideo([saved]))


@dataclass
class Film:
    """A video file to be: its own size, when its frames are shown, whose sound it takes."""

    path: Path
    size: ClipSize
    rate: Fraction
    times: list[Fraction] | None
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
                    times = self.times and self.times[written : written + piece.shape[2]]
                    writer.write(piece, times)
                    written += piece.shape[2]


def plan_film(
    path: Path, size: ClipSize, noted: dict[str, Any], fps: float, quality: int, video: Any
) -> Film:
    """Rate, times and sound: as the inputs say, else as the latent does, else 24 and silent."""
    source = video if video is not None else noted.get("video")
    footage = open_footage(source) if source is not None else None
    rate = Fraction(fps).limit_denominator(100_000) if fps else None
    times = noted.get("times") if rate is None and video is None else None
    if times and len(times) != size.frames:
        times = None
    rate = rate or (footage.rate if footage else DEFAULT_RATE)
    return Film(path, size, rate, times, footage.sound if footage else None, quality, {})


def decode_to_film(vae: comfy.sd.VAE, latent: Tensor, cut: Cut, film: Film, say: Say) -> None:
    """The latent piece by piece into the file, or, for the schedules that need it, whole in RAM."""
    network = network_of(vae)
    cut.check(network)
    picture = (film.size.height, film.size.width)
    latent = latent.to(torch.float32).cpu()

    def attempt(schedule: Schedule, tiles: Tiles | None) -> None:
        say(describe(network, "decode", schedule, tiles))
        steps = count_steps(network, "decode", latent.shape[2], picture, (schedule, tiles))
        progress = Progress(total=steps)
        if isinstance(schedule, Stream | Windows):
            film.write(network.decode_stream(latent.split(1, dim=2), schedule, tiles, progress))
        else:
            film.write([network.decode(latent, schedule, tiles, progress)])

    take_first_that_fits(list_file_cuts(vae, network, "decode", picture, cut), attempt)


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
