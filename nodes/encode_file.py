"""Encode Video File: VIDEO -> LATENT, with a few frames in memory."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Any

import comfy.sd
import torch
from comfy_api.latest import io
from torch import Tensor

from ..odvae_core.layers.coder_pass import Coding
from ..odvae_core.padding import ClipSize, pad_stream
from ..odvae_core.planning import Plan, Request
from ..odvae_core.video import ChunkRecorder
from .convert import make_latent
from .encode import LatentSampler, check_posterior
from .execution import Report, count_steps, describe_pass, run_first_plan_that_fits
from .memory import plan_pass
from .progress import Progress, report_on_node
from .request import ScheduledNode, make_request, network_of
from .schema import make_schema, posterior_inputs, schedule_inputs
from .video_source import CHUNK_FRAMES, VideoSource, open_video_source


class EncodeVideoFile(ScheduledNode):
    """VIDEO -> latent, without holding the clip in memory."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return make_schema(
            "ODVAEEncodeVideoFile",
            inputs=[
                io.Video.Input("video"),
                io.Vae.Input("vae"),
                *schedule_inputs(),
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
        request, source = make_request(schedule, frames, tile, overlap), open_video_source(video)
        report = partial(report_on_node, cls.hidden.unique_id)
        clip = encode_video_source(vae, source, request, posterior, seed, report)
        return io.NodeOutput(make_latent(clip.latent, clip.size, times=clip.times, video=video))


@dataclass
class EncodedClip:
    """A clip's latent [1, C, T, h, w], its own size, and its frames' times in seconds."""

    latent: Tensor
    size: ClipSize
    times: list[Fraction]


def encode_video_source(
    vae: comfy.sd.VAE,
    source: VideoSource,
    request: Request,
    posterior: str,
    seed: int,
    report: Report,
) -> EncodedClip:
    """Encode the clip in pieces, or whole in RAM for the schedules that need it."""
    network = network_of(vae)
    size = ClipSize(source.expected_frames, *source.size).padded(network)
    shape = (1, 3, size.frames, size.height, size.width)

    def run_plan(plan: Plan) -> EncodedClip:
        report(describe_pass(network, Coding.ENCODE, plan))
        schedule, tiles = plan.schedule, plan.tiles
        recorder, sampler = ChunkRecorder(), LatentSampler(posterior, seed)
        chunks = pad_stream(recorder.record(source.chunks(CHUNK_FRAMES)), network)
        progress = Progress(total=count_steps(network, Coding.ENCODE, shape, plan))
        if schedule.bounded:
            posteriors = network.encode_stream(chunks, schedule, tiles, progress)
        else:
            posteriors = [network.encode(torch.cat(list(chunks), 2), schedule, tiles, progress)]
        latent = torch.cat([sampler.draw(piece) for piece in posteriors], dim=2)
        clip_size = ClipSize(len(recorder.times), *recorder.picture_size)
        return EncodedClip(latent, clip_size, recorder.times)

    plans = plan_pass(vae, network, Coding.ENCODE, shape, request, held=False)
    return run_first_plan_that_fits(plans, run_plan)
