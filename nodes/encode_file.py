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

from ..odvae_core.layers.coder_pass import Coding
from ..odvae_core.padding import ClipSize, pad_stream
from ..odvae_core.planning import Plan, Request
from ..odvae_core.video import Chunk
from .convert import make_latent
from .encode import Draw, check_posterior
from .execution import Say, count_steps, describe_pass, take_first_that_fits
from .feedback import Progress, tell
from .footage import AT_A_TIME, Footage, open_footage
from .memory import plan_pass
from .request import CuttingNode, make_request, network_of
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
        request, footage = make_request(schedule, frames, tile, overlap), open_footage(video)
        node = cls.hidden.unique_id
        found = encode_footage(
            vae, footage, request, lambda: Draw(posterior, seed), lambda text: tell(node, text)
        )
        return io.NodeOutput(make_latent(found.latent, found.size, times=found.times, video=video))


@dataclass
class Encoded:
    """A clip's latent [1, C, T, h, w], its own size, and its frames' times in seconds."""

    latent: Tensor
    size: ClipSize
    times: list[Fraction]


def encode_footage(
    vae: comfy.sd.VAE,
    footage: Footage,
    request: Request,
    make_draw: Callable[[], Draw],
    say: Say,
) -> Encoded:
    """The clip piece by piece, or, for the schedules that need it, whole in RAM."""
    network = network_of(vae)
    size = ClipSize(footage.expected_frames, *footage.size).padded(network)
    shape = (1, 3, size.frames, size.height, size.width)

    def attempt(plan: Plan) -> Encoded:
        say(describe_pass(Coding.ENCODE, plan))
        schedule, tiles = plan.schedule, plan.tiles
        passed, draw = Passed(), make_draw()
        chunks = pad_stream(passed.note(footage.chunks(AT_A_TIME)), network)
        progress = Progress(total=count_steps(network, Coding.ENCODE, shape, plan))
        if schedule.bounded:
            posteriors = network.encode_stream(chunks, schedule, tiles, progress)
        else:
            posteriors = [network.encode(torch.cat(list(chunks), 2), schedule, tiles, progress)]
        latents = [draw.of(posterior) for posterior in posteriors]
        return Encoded(torch.cat(latents, dim=2), passed.size, passed.times)

    plans = plan_pass(vae, network, Coding.ENCODE, shape, request, held=False)
    return take_first_that_fits(plans, attempt)


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
