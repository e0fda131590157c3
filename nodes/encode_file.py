"""Encode Video File: VIDEO -> LATENT, a few frames in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import comfy.sd
import torch
from comfy_api.latest import io
from torch import Tensor

from ..odvae_core.fit import ClipSize, pad_stream
from ..odvae_core.schedules import Schedule, Stream, Windows
from ..odvae_core.tiling import Tiles
from ..odvae_core.video import Chunk
from .budget import list_file_cuts
from .convert import make_latent
from .cut import Cut, CuttingNode, network_of
from .encode import Draw, check_posterior
from .feedback import Progress, tell
from .footage import AT_A_TIME, Footage, open_footage
from .running import Say, count_steps, describe, take_first_that_fits
from .schema import cut_inputs, make_schema, posterior_inputs


class EncodeVideoFile(CuttingNode):
    """VIDEO -> latent, without ever holding the clip."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return make_schema(
            "ODVAEEncodeVideoFile",
            inputs=[
                io.Video.Input("video"),
                io.Vae.Input("vae"),
                *cut_inputs(),
                *posterior_inputs(),
            ],
            outputs=[io.Latent.Output()],
            hidden=[io.Hidden.unique_id],
            search_aliases=["long video encode", "stream encode", "video file to latent"],
        )

    @classmethod
    def execute(
        cls,
        video: Any,
        vae: comfy.sd.VAE,
        schedule: str,
        frames: int,
        tile: int,
        overlap: int,
        posterior: str,
        seed: int,
    ) -> io.NodeOutput:
        check_posterior(posterior, network_of(vae))
        cut, footage = Cut(schedule, frames, tile, overlap), open_footage(video)
        node = cls.hidden.unique_id
        found = encode_footage(
            vae, footage, cut, lambda: Draw(posterior, seed), lambda text: tell(node, text)
        )
        return io.NodeOutput(make_latent(found.latent, found.size, times=found.times, video=video))


@dataclass
class Encoded:
    """A clip's latent [1, C, T, h, w], its own size, and its frames' times in seconds."""

    latent: Tensor
    size: ClipSize
    times: list[Fraction]


def encode_footage(
    vae: comfy.sd.VAE, footage: Footage, cut: Cut, make_draw: Callable[[], Draw], say: Say
) -> Encoded:
    """The clip piece by piece, or, for the schedules that need it, whole in RAM."""
    network = network_of(vae)
    cut.check(network)

    def attempt(schedule: Schedule, tiles: Tiles | None) -> Encoded:
        say(describe(network, "encode", schedule, tiles))
        passed, draw = Passed(), make_draw()
        chunks = pad_stream(passed.note(footage.chunks(AT_A_TIME)), network)
        steps = count_steps(network, "encode", footage.count or 1, footage.size, (schedule, tiles))
        progress = Progress(total=steps)
        if isinstance(schedule, Stream | Windows):
            posteriors = network.encode_stream(chunks, schedule, tiles, progress)
        else:
            posteriors = [network.encode(torch.cat(list(chunks), 2), schedule, tiles, progress)]
        latents = [draw.of(posterior) for posterior in posteriors]
        return Encoded(torch.cat(latents, dim=2), passed.size, passed.times)

    cuts = list_file_cuts(vae, network, "encode", footage.size, cut)
    return take_first_that_fits(cuts, attempt)


class Passed:
    """What is known of a clip once its last chunk has passed."""

    def __init__(self):
        self.times: list[Fraction] = []

    def note(self, chunks: Iterable[Chunk]) -> Iterator[Tensor]:
        for chunk in chunks:
            self.times += chunk.times
            self.picture = chunk.video.shape[-2:]
            yield chunk.video

    @property
    def size(self) -> ClipSize:
        return ClipSize(len(self.times), *self.picture)
