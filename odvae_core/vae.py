"""The interface of every video VAE: encode, decode, and both as streams."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn

from .checks import check_finite, check_pieces
from .config import NetworkConfig
from .layers.coder_pass import CoderPass, Coding
from .posterior import Posterior
from .provenance import Inflation, Provenance
from .scaling import Factors, scale_latent, unscale_latent
from .schedules import Progress, Report, Schedule, Stream, Whole
from .schedules.base import records_gradient
from .tiling import Tiles, count_tiles

WHOLE, STREAM = Whole(), Stream()
CPU_FRAMES = 5
"""Video frames of a chunk on a CPU, where the temporal compression allows so few."""


class VideoVAE(nn.Module, ABC):
    """A VAE for clips [B, 3, 1 + ck, H, W] in [-1, 1], c being its temporal compression.

    Subclasses define the modules, under their published names, and the steps that run them. A clip
    stays on its device: chunks are moved to the network's device and type, and results back.
    Gradients follow the caller's grad mode.
    """

    family: ClassVar[str]
    config: NetworkConfig
    temporal_compression: int
    spatial_compression: int
    latent_channels: int
    latent_scale: Factors
    latent_shift: Factors
    piece_frames: int | None = None  # of the independent pieces into which clips are cut, if any
    stream_schedule: Schedule = STREAM  # of a stream for which none is given
    provenance: Provenance | None = None  # set by `load`
    inflation: Inflation | None = None  # set by `inflate`

    @abstractmethod
    def encoder_pass(self) -> CoderPass:
        """The encoder: from video to moments [B, 2C, T, H, W]."""

    @abstractmethod
    def decoder_pass(self) -> CoderPass:
        """The decoder: from latents to video."""

    def default_schedule(self, coder: CoderPass, clip: Tensor) -> Schedule:
        """Stream where it is exact and the clip longer than a chunk, else Whole.

        Whole also where a gradient is recorded or the pass is compiled. On a CPU the chunks are
        shorter, which takes less memory.
        """
        if torch.compiler.is_compiling() or records_gradient(coder, clip):
            return WHOLE
        on_cpu = next(coder.module.parameters()).device.type == "cpu"
        stream = Stream(max(CPU_FRAMES, 1 + self.temporal_compression)) if on_cpu else STREAM
        short = clip.shape[2] <= stream.cut(coder)[0]
        return stream if coder.streams_exactly and not short else WHOLE

    def coder_pass(self, coding: Coding) -> CoderPass:
        """The encoder or the decoder."""
        return self.encoder_pass() if coding is Coding.ENCODE else self.decoder_pass()

    def estimate_bytes(self, coder: CoderPass, shape: tuple[int, ...]) -> int | None:
        """Bytes that a pass over a piece of `shape` takes; None where a planner has to count."""
        return None

    def posterior(self, moments: Tensor) -> Posterior:
        """The posterior of the encoder's output."""
        return Posterior.from_moments(moments)

    def encode(
        self,
        video: Tensor,
        schedule: Schedule | None = None,
        tiles: Tiles | None = None,
        progress: Progress | None = None,
    ) -> Posterior:
        """Posterior of a video's latents, unscaled.

        [B, 3, 1 + ck, H, W] in [-1, 1] -> [B, C, 1 + k, H / s, W / s], s being the spatial
        compression. Without a schedule `default_schedule` chooses. Raises `ValueError` for other
        frame counts and sizes, which `odvae_core.padding` pads, and for values that aren't finite.
        """
        self.check_video(video)
        self.check_frames(video.shape[2], schedule)
        return self.posterior(self._run(self.encoder_pass(), video, schedule, tiles, progress))

    def decode(
        self,
        latent: Tensor,
        schedule: Schedule | None = None,
        tiles: Tiles | None = None,
        progress: Progress | None = None,
    ) -> Tensor:
        """Video of latents, unscaled.

        [B, C, 1 + k, H, W] -> [B, 3, 1 + ck, sH, sW]; values may pass [-1, 1] a little. Without
        a schedule `default_schedule` chooses. Raises `ValueError` for a tensor that is no latent
        of this VAE, and for values that aren't finite.
        """
        self.check_latent(latent)
        return self._run(self.decoder_pass(), latent, schedule, tiles, progress)

    def forward(self, video: Tensor) -> Tensor:
        """Reconstruct a clip from the mode of its posterior."""
        return self.decode(self.encode(video).mode())

    def scale_latent(self, latent: Tensor) -> Tensor:
        """Latents as diffusion models of this VAE use them: (latent - shift) * scale."""
        return scale_latent(latent, self.latent_scale, self.latent_shift)

    def unscale_latent(self, latent: Tensor) -> Tensor:
        """The inverse of `scale_latent`: what a diffusion model made, as `decode` takes it."""
        return unscale_latent(latent, self.latent_scale, self.latent_shift)

    def encode_stream(
        self,
        chunks: Iterable[Tensor],
        schedule: Schedule | None = None,
        tiles: Tiles | None = None,
        progress: Progress | None = None,
    ) -> Iterator[Posterior]:
        """Posteriors of consecutive latent frames, from consecutive pieces of one clip.

        The pieces [B, 3, T, H, W] are of any length, but have 1 + ck frames in all, else the last
        step raises `ValueError`. Memory doesn't grow with the clip's length. A schedule or tiles
        that can't run this VAE are refused at the call.
        """
        schedule = schedule or self.stream_schedule
        check_frames = partial(self.check_frames, schedule=schedule)
        checked = check_pieces(chunks, self.check_video, check_frames)
        moments = self._stream(self.encoder_pass(), checked, schedule, tiles, progress)
        return map(self.posterior, moments)

    def decode_stream(
        self,
        chunks: Iterable[Tensor],
        schedule: Schedule | None = None,
        tiles: Tiles | None = None,
        progress: Progress | None = None,
    ) -> Iterator[Tensor]:
        """Consecutive pieces of a video, from consecutive latent frames of one clip.

        The latents are [B, C, T, H, W], of any length. Memory doesn't grow with the clip's length.
        Raises `ValueError` as `decode` does.
        """
        schedule = schedule or self.stream_schedule
        checked = check_pieces(chunks, self.check_latent, self.check_latent_frames)
        return self._stream(self.decoder_pass(), checked, schedule, tiles, progress)

    def check_video(self, video: Tensor) -> None:
        """Raise `ValueError` where this is no video that the encoder takes, whatever its length."""
        if video.ndim != 5 or video.shape[1] != 3 or not video.is_floating_point():
            raise ValueError(
                f"got a {video.dtype} tensor of shape {list(video.shape)}; "
                "the encoder takes floating-point video [batch, 3, frames, height, width] "
                "in [-1, 1]"
            )
        if 0 in video.shape:
            raise ValueError(f"got an empty video of shape {list(video.shape)}; it needs a frame")
        step = self.spatial_compression
        for name, side in (("height", video.shape[3]), ("width", video.shape[4])):
            if side % step:
                smaller, larger = side // step * step, (side // step + 1) * step
                cure = (
                    f"crop it to {smaller} or pad it to {larger}"
                    if smaller
                    else f"pad it to {step}"
                )
                raise ValueError(
                    f"got a {name} of {side} pixels; the encoder takes multiples of {step}: "
                    f"{cure}, as odvae_core.padding does"
                )

    def check_frames(self, frames: int, schedule: Schedule | None = None) -> None:
        """Raise `ValueError` where a clip hasn't 1 + ck frames, whatever the schedule."""
        step = self.temporal_compression
        if not frames:
            raise ValueError(f"got 0 frames; the encoder takes 1 + {step}k: give at least one")
        if (frames - 1) % step:
            shorter = 1 + (frames - 1) // step * step
            raise ValueError(
                f"got {frames} frames; the encoder takes 1 + {step}k: "
                f"cut the clip to {shorter} or extend it to {shorter + step}, "
                "as odvae_core.padding does"
            )

    def check_latent(self, latent: Tensor) -> None:
        """Raise `ValueError` where this is no latent of this VAE."""
        if latent.ndim != 5 or not latent.is_floating_point() or 0 in latent.shape:
            raise ValueError(
                f"got a {latent.dtype} tensor of shape {list(latent.shape)}; "
                f"the decoder takes floating-point latents [batch, {self.latent_channels}, frames, "
                "height, width], none of these 0"
            )
        if latent.shape[1] != self.latent_channels:
            raise ValueError(
                f"got a latent of {latent.shape[1]} channels; "
                f"this VAE's have {self.latent_channels}: decode it with the VAE that its model "
                "was trained with"
            )

    def check_latent_frames(self, frames: int) -> None:
        """Raise `ValueError` where a clip of latents has no frame."""
        if not frames:
            raise ValueError("got 0 latent frames; the decoder takes 1 + k: give at least one")

    def _run(
        self,
        coder: CoderPass,
        clip: Tensor,
        schedule: Schedule | None,
        tiles: Tiles | None,
        progress: Progress | None,
    ) -> Tensor:
        schedule = schedule or self.default_schedule(coder, clip)
        if tiles is not None:
            tiles.check_compression(self.spatial_compression)
        schedule.check_coder(coder)
        schedule.check_gradient(coder, clip)
        count = schedule.count(coder, clip.shape[2]) * count_tiles(
            tiles, *coder.picture_size(clip.shape)
        )
        result = schedule.run(coder, check_given(coder, clip), tiles, Report(progress, count))
        return check_result(coder, result)

    def _stream(
        self,
        coder: CoderPass,
        chunks: Iterable[Tensor],
        schedule: Schedule,
        tiles: Tiles | None,
        progress: Progress | None,
    ) -> Iterator[Tensor]:
        if tiles is not None:
            tiles.check_compression(self.spatial_compression)
        schedule.check_coder(coder)
        checked = (check_given(coder, schedule.check_gradient(coder, chunk)) for chunk in chunks)
        results = schedule.stream(coder, checked, tiles, Report(progress))
        return (check_result(coder, result) for result in results)


def check_given(coder: CoderPass, clip: Tensor) -> Tensor:
    """The video or latent; raises `NonFiniteError` where it holds NaN or infinity.

    Not checked where a gradient is recorded: training loops handle such values themselves.
    """
    if records_gradient(coder, clip):
        return clip
    if coder.coding is Coding.ENCODE:
        return check_finite(clip, "the video", "correct what gives it")
    return check_finite(
        clip, "the latent", "the model that made it diverged: lower its guidance, or use bf16 there"
    )


def check_result(coder: CoderPass, result: Tensor) -> Tensor:
    """Moments or video; raises `NonFiniteError` where the network overflowed."""
    weight = next(coder.module.parameters())
    dtype = str(weight.dtype).removeprefix("torch.")
    name = f"what the network gave in {dtype} when it {coder.coding.value}d"
    return check_finite(result, name, "load it with dtype bf16 or fp32, or check its weights")
