"""Times of a clip's frames, and the check that a clip is complete."""

import logging
from fractions import Fraction

from av import Packet, VideoFrame
from av import time_base as TIME_BASE
from av.container import InputContainer
from av.video.stream import VideoStream

from ..limits import FASTEST, LONGEST_CLIP
from .source import VideoError, tick_of

log = logging.getLogger(__name__)

DEFAULT_RATE = Fraction(25)  # of streams that state no rate
STATES_ITS_DURATION = {"matroska", "mp4"}  # for others FFmpeg may estimate it from the bit rate


def rate_of(stream: VideoStream) -> Fraction:
    """The stream's frames per second, if it states them, else a default."""
    return stream.average_rate or stream.guessed_rate or DEFAULT_RATE


def stated_end_seconds(container: InputContainer) -> Fraction | None:
    """The stated end in seconds on the file's own clock; None if none is stated."""
    if not container.duration:
        return None
    # Matroska states the time of the end, others the duration from the start.
    is_end = "matroska" in container.format.name.split(",")
    begin = 0 if is_end else container.start_time or 0
    return Fraction(begin + container.duration, TIME_BASE)


class FrameClock:
    """Computes each frame's time; warns once if the file's timestamps can't be used."""

    def __init__(self, stream: VideoStream, origin: Fraction, name: str) -> None:
        self.unit = tick_of(stream)
        self.step = 1 / rate_of(stream)
        self.origin = origin
        self.name = name
        self.time: Fraction | None = None
        self.frames = 0
        self.warned = False

    def time_frame(self, frame: VideoFrame) -> Fraction:
        """The time of the next frame in seconds."""
        stamp = frame.dts if frame.pts is None else frame.pts
        time = None if stamp is None else stamp * self.unit - self.origin
        if time is None or (self.time is not None and time - self.time < 1 / FASTEST):
            time = self._count_on()
        if abs(time) > LONGEST_CLIP:
            raise VideoError(
                f"{self.name}: has a frame at {float(time):.0f} s, after {self.describe()}; a clip "
                f"lasts up to {LONGEST_CLIP} s: export it again, or stop reading before this time"
            )
        self.time = time
        self.frames += 1
        return time

    def describe(self) -> str:
        """The frames read so far and the time of the last one."""
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


class EndCheck:
    """Distinguishes the end of a clip from a truncated file, by its packets and frames."""

    def __init__(self, container: InputContainer, stream: VideoStream, name: str) -> None:
        self.name = name
        self.stream = stream
        self.damaged = 0
        self.ends_damaged = False
        self.is_cut = False
        self.reached: Fraction | None = None
        states = STATES_ITS_DURATION & set(container.format.name.split(","))
        self.promised = stated_end_seconds(container) if states else None
        self.tolerance = max(3 / rate_of(stream), Fraction(1, 5))

    def note_packet(self, packet: Packet) -> None:
        """Record the end time of a packet and whether it is corrupt."""
        if packet.stream is self.stream and packet.size:
            self.is_cut = packet.is_corrupt
        if packet.pts is not None and packet.time_base:
            end = (packet.pts + (packet.duration or 0)) * packet.time_base
            self.reached = end if self.reached is None else max(self.reached, end)

    def note_frame(self, frame: VideoFrame) -> None:
        """Record whether a frame is corrupt."""
        self.damaged += frame.is_corrupt
        self.ends_damaged = frame.is_corrupt

    def check_complete(self, clock: FrameClock) -> None:
        """Raise `VideoError` if the clip ends too early; warn of damaged frames."""
        if not clock.frames:
            raise VideoError(f"{self.name}: no frame can be decoded; export the clip again")
        short = self.promised and self.reached and self.reached < self.promised - self.tolerance
        if short or self.is_cut or self.ends_damaged:
            raise VideoError(
                f"{self.name}: ends too early, after {clock.describe()}"
                + (f" of {float(self.promised or 0):.3f} s" if short else ", inside a frame")
                + "; download or export it again, or stop reading before this time"
            )
        if self.damaged:
            log.warning("%s: the decoder concealed %d damaged frames", self.name, self.damaged)
