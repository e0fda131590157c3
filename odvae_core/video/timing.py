"""When the frames of a clip come, and whether it ends where its file says."""

import logging
from fractions import Fraction

from av import Packet, VideoFrame
from av import time_base as TIME_BASE
from av.container import InputContainer
from av.video.stream import VideoStream

from ..limits import FASTEST, LONGEST_CLIP
from .source import VideoError, tick_of

log = logging.getLogger(__name__)

DEFAULT_RATE = Fraction(25)  # of streams that state no rate at all
STATES_ITS_DURATION = {"matroska", "mp4"}  # elsewhere FFmpeg may be guessing from the bit rate


def rate_of(stream: VideoStream) -> Fraction:
    """Frames per second, as far as the stream states them."""
    return stream.average_rate or stream.guessed_rate or DEFAULT_RATE


def stated_end(container: InputContainer) -> Fraction | None:
    """Seconds on the file's own clock at which it states to end, None where it states nothing."""
    if not container.duration:
        return None
    # Matroska states the time of the end, others how long the clip lasts from its start on.
    is_end = "matroska" in container.format.name.split(",")
    begin = 0 if is_end else container.start_time or 0
    return Fraction(begin + container.duration, TIME_BASE)


class Clock:
    """Gives each frame its time, and says once where the file's own stamps could not be used."""

    def __init__(self, stream: VideoStream, origin: Fraction, name: str) -> None:
        self.unit = tick_of(stream)
        self.step = 1 / rate_of(stream)
        self.origin = origin
        self.name = name
        self.time: Fraction | None = None
        self.frames = 0
        self.warned = False

    def read(self, frame: VideoFrame) -> Fraction:
        stamp = frame.dts if frame.pts is None else frame.pts
        time = None if stamp is None else stamp * self.unit - self.origin
        if time is None or (self.time is not None and time - self.time < 1 / FASTEST):
            time = self._count_on()
        if abs(time) > LONGEST_CLIP:
            raise VideoError(
                f"{self.name}: has a frame at {float(time):.0f} s, after {self.describe()}; a clip "
                f"lasts up to {LONGEST_CLIP} s: export it again, or read no further than this"
            )
        self.time = time
        self.frames += 1
        return time

    def describe(self) -> str:
        return f"{self.frames} frames, at {float(self.time or 0):.3f} s"

    def _count_on(self) -> Fraction:
        if not self.warned:
            self.warned = True
            log.warning(
                "%s: timestamps missing or not increasing; such frames are timed at %s frames/s",
                self.name,
                1 / self.step,
            )
        return Fraction(0) if self.time is None else self.time + self.step


class Ending:
    """Watches a clip go by, to tell an end from a break."""

    def __init__(self, container: InputContainer, stream: VideoStream, name: str) -> None:
        self.name = name
        self.stream = stream
        self.damaged = 0
        self.ends_damaged = False
        self.is_cut = False
        self.reached: Fraction | None = None
        states = STATES_ITS_DURATION & set(container.format.name.split(","))
        self.promised = stated_end(container) if states else None
        self.tolerance = max(3 / rate_of(stream), Fraction(1, 5))

    def note_packet(self, packet: Packet) -> None:
        if packet.stream is self.stream and packet.size:
            self.is_cut = packet.is_corrupt
        if packet.pts is not None and packet.time_base:
            end = (packet.pts + (packet.duration or 0)) * packet.time_base
            self.reached = end if self.reached is None else max(self.reached, end)

    def note_frame(self, frame: VideoFrame) -> None:
        self.damaged += frame.is_corrupt
        self.ends_damaged = frame.is_corrupt

    def check(self, clock: Clock) -> None:
        if not clock.frames:
            raise VideoError(f"{self.name}: not one frame decodes from here; export the clip again")
        short = self.promised and self.reached and self.reached < self.promised - self.tolerance
        if short or self.is_cut or self.ends_damaged:
            raise VideoError(
                f"{self.name}: ends too early, after {clock.describe()}"
                + (f" of {float(self.promised or 0):.3f} s" if short else ", inside a frame")
                + "; download or export it again, or read no further than this"
            )
        if self.damaged:
            log.warning("%s: the decoder patched %d damaged frames", self.name, self.damaged)
