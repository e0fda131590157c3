"""Writes clips as H.264 with the time of every frame; the file appears when it is complete."""

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import numpy as np
from av import VideoFrame
from av.error import FFmpegError
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, VideoReformatter
from av.video.stream import VideoStream
from torch import Tensor

from ..files.atomic import BusyError, replacing
from ..limits import check_picture, check_rate
from .audio import open_audio
from .chunk import to_pictures
from .geometry import SCALER, Size
from .source import Source, VideoError, error_reason

log = logging.getLogger(__name__)

FORMATS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska"}  # the containers of H.264
# Frame times at all usual rates (also 24000/1001 and similar), milliseconds, GIF's hundredths of
# a second and MPEG's 90 kHz are whole numbers of ticks.
TICK = Fraction(1, 720_000)
LONGEST_STEP = (2**31 - 1) * TICK  # between two frames of MP4 and MOV, stored in 32 bits


class VideoWriter:
    """Writes a clip to an .mp4, .mov or .mkv file; use it as a context manager.

    size: (height, width). H.264 with CRF `quality` (0 lossless to 51), BT.709, limited range;
    yuv420p, or yuv444p if a side is odd (logged: some players reject it). audio_from: a file whose
    first audio stream is copied, or re-encoded to AAC if the container doesn't support it, and cut
    to the clip. metadata: text by key (Matroska stores the keys in capitals).

    The file appears when the block ends without an exception; otherwise there is no new file, and
    an old one is unchanged. VideoError: no frame was written, the system rejects the file, or
    another process writes it.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        size: Size,
        fps: Fraction | float,
        *,
        quality: int = 18,
        audio_from: Source | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        _check_options(Path(path), size, quality)
        self.path = Path(path)
        self.size = size
        self.fps = check_rate(fps)
        self.quality = quality
        self.audio_from = audio_from
        self.metadata = dict(metadata or {})
        self._scaler = VideoReformatter()
        self._origin: Fraction | None = None  # the caller's time of the first frame
        self._last = Fraction(0)  # the caller's time of the latest one

    def __enter__(self) -> Self:
        with self._naming_file(), ExitStack() as files:
            self._open(files.enter_context(replacing(self.path)), files)
            self._files = files.pop_all()
        return self

    def write(self, video: Tensor, times: Sequence[Fraction] | None = None) -> None:
        """Append frames: [1, 3, T, H, W] in [-1, 1], rounded to 8 bits, values outside clamped.

        times: seconds, one per frame, increasing from call to call; without them each frame follows
        the previous one after 1/fps. With audio_from they are its times (such as a reader's
        `times`): the audio starts at the first frame's time. ValueError: a wrong shape, count or
        order, or non-finite values.
        """
        frames = video.shape[2] if video.ndim == 5 else 0
        if video.shape != (1, 3, frames, *self.size):
            raise ValueError(
                f"got a video of shape {list(video.shape)}; this file takes "
                f"[1, 3, T, {self.size[0]}, {self.size[1]}]"
            )
        if not video.isfinite().all():
            raise ValueError("got NaN or infinite pixels; decode again in float32 or bfloat16")
        if times is not None and len(times) != frames:
            raise ValueError(f"got {len(times)} times for {frames} frames; give one per frame")
        with self._naming_file():
            for index, picture in enumerate(to_pictures(video)):
                self._write_picture(picture, self._next_time() if times is None else times[index])

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._naming_file():
            if kind is not None:
                self._files.__exit__(kind, error, trace)
                return
            with self._files:
                self._finish()

    @contextmanager
    def _naming_file(self) -> Iterator[None]:
        """Convert system errors to a `VideoError` that names the file."""
        try:
            yield
        except BusyError as error:
            raise VideoError(str(error)) from error
        except (FFmpegError, OSError) as error:
            raise VideoError(
                f"{self.path}: can't be written ({error_reason(error)}); "
                "check that its folder is writable and that the disk isn't full"
            ) from error

    def _open(self, aside: Path, files: ExitStack) -> None:
        format = FORMATS[self.path.suffix.lower()]
        options = {} if format == "matroska" else {"movflags": "use_metadata_tags+faststart"}
        self._output = files.enter_context(av.open(str(aside.absolute()), "w", format, options))
        self._output.metadata.update(self.metadata)
        self._stream = self._add_stream()
        self._audio = None
        if self.audio_from is not None:
            self._audio = open_audio(self.audio_from, self._output, files)

    def _add_stream(self) -> VideoStream:
        # Without B-frames the file ends with the last frame's time, also for a variable rate.
        options = {"crf": str(self.quality), "bf": "0"}
        stream = self._output.add_stream("libx264", self.fps, options)
        stream.height, stream.width = self.size
        stream.pix_fmt = "yuv420p"
        if self.size[0] % 2 or self.size[1] % 2:
            stream.pix_fmt = "yuv444p"
            log.info(
                "%s: %dx%d has an odd side, so it is yuv444p; some players reject that",
                self.path,
                *self.size,
            )
        context = stream.codec_context
        context.time_base = TICK
        context.color_range = ColorRange.MPEG
        context.colorspace = Colorspace.ITU709
        context.color_primaries = ColorPrimaries.BT709
        context.color_trc = ColorTrc.BT709
        return stream

    def _next_time(self) -> Fraction:
        return Fraction(0) if self._origin is None else self._last + 1 / self.fps

    def _write_picture(self, picture: np.ndarray, time: Fraction) -> None:
        if self._origin is None:
            self._origin = time
            if self._audio:
                self._audio.start_at(time)
        else:
            self._check_step(time)
        self._last = time
        frame = self._scaler.reformat(
            VideoFrame.from_ndarray(picture, "rgb24"),
            format=self._stream.pix_fmt,
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
            interpolation=SCALER,
        )
        frame.time_base = TICK
        frame.pts = round((time - self._origin) / TICK)
        frame.duration = round(1 / self.fps / TICK)
        self._output.mux(self._stream.encode(frame))
        if self._audio:
            self._audio.mux_until(time - self._origin)

    def _check_step(self, time: Fraction) -> None:
        """Raise `ValueError` if a frame can't follow the last one at this time."""
        step = f"got a frame at {float(time)} s after one at {float(self._last)} s"
        if time - self._last < TICK:
            raise ValueError(f"{step}; give increasing times")
        if time - self._last > LONGEST_STEP and self._output.format.name != "matroska":
            raise ValueError(
                f"{step}; {self.path.suffix} takes at most {int(LONGEST_STEP)} s between frames: "
                "name the file .mkv"
            )

    def _finish(self) -> None:
        if self._origin is None:
            raise VideoError(f"{self.path}: no frame was written; write at least one")
        if self._audio:
            self._audio.mux_rest(self._last - self._origin + 1 / self.fps)
        self._output.mux(self._stream.encode(None))


def _check_options(path: Path, size: Size, quality: int) -> None:
    if path.suffix.lower() not in FORMATS:
        raise VideoError(
            f"{path}: got the extension {path.suffix!r}; name the file {', '.join(FORMATS)}"
        )
    if min(size) < 1:
        raise ValueError(f"got the size {size[0]}x{size[1]}; sides are 1 or more")
    check_picture(*size)
    if not 0 <= quality <= 51:
        raise ValueError(f"got quality {quality}; CRF is 0 (lossless) to 51 (worst), 18 by default")
