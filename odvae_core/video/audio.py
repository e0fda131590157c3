"""The sound of one file on its way into another: copied where the container takes it, else AAC."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack
from fractions import Fraction

from av import AudioFrame, Packet
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError

from .source import Source, file_start, name_of, open_media, reason, tick_of

log = logging.getLogger(__name__)

# What players expect in each container; the rest is re-encoded.
COPIED = {
    "mp4": {"aac", "ac3", "alac", "eac3", "flac", "mp3", "opus"},
    "mov": {"aac", "ac3", "alac", "eac3", "mp3", "pcm_s16be", "pcm_s16le", "pcm_s24le"},
    "matroska": {"aac", "ac3", "alac", "dts", "eac3", "flac", "mp3", "opus", "pcm_s16le", "vorbis"},
}
TRIMMING = {"mp4", "mov"}  # can hide the head of a first packet that began before the clip
OPUS_PRIMING = Fraction(7, 1000)  # seconds before zero that Matroska declares and players skip
ENCODED_LAYOUTS = {"mono", "stereo", "5.1"}
AAC_RATES = {8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000}
BIT_RATE = 192_000

Piece = Packet | AudioFrame


def open_audio(source: Source, output: OutputContainer, files: ExitStack) -> "AudioTrack | None":
    """The first audio stream of `source`, ready to go into `output`; None, logged, without one.

    Call before the first packet is muxed; `files` closes the source.
    """
    container = files.enter_context(open_media(source))
    if not container.streams.audio:
        log.info("%s: has no sound; neither has the clip", name_of(source))
        return None
    stream = container.streams.audio[0]
    if stream.codec_context is None:
        log.warning("%s: no decoder for its sound; the clip has none", name_of(source))
        return None
    return AudioTrack(name_of(source), container, stream, output)


class AudioTrack:
    """An audio stream, muxed into `output` as the clip's pictures go by.

    The source's time `origin`, in seconds, becomes the clip's zero. Where the sound breaks, it ends
    with a warning.
    """

    def __init__(
        self,
        name: str,
        container: InputContainer,
        stream: AudioStream,
        output: OutputContainer,
    ) -> None:
        self._name = name
        self._container = container
        self._stream = stream
        self._output = output
        self._codec = stream.codec_context.codec.canonical_name
        self._copies = self._codec in COPIED[output.format.name]
        self._target = self._copy_stream() if self._copies else self._encode_stream()
        self._pieces: Iterator[tuple[Fraction, Piece]] = iter(())
        self._waiting: tuple[Fraction, Piece] | None = None

    def start(self, origin: Fraction) -> None:
        """Line the sound up: `origin` is the source's time of the clip's first frame."""
        self._pieces = self._read_pieces(origin)
        self._waiting = next(self._pieces, None)

    def advance(self, until: Fraction) -> None:
        """Mux the sound that begins before `until` seconds of the clip."""
        while self._waiting is not None and self._waiting[0] < until:
            self._mux(self._waiting[1])
            self._waiting = next(self._pieces, None)

    def finish(self, duration: Fraction) -> None:
        """Mux the rest of the clip's sound."""
        self.advance(duration)
        if not self._copies:
            self._output.mux(self._target.encode(None))  # what the encoder still holds

    def _copy_stream(self) -> AudioStream:
        return self._output.add_stream_from_template(self._stream)

    def _encode_stream(self) -> AudioStream:
        log.info("%s: %s sound is re-encoded to AAC", self._name, self._codec)
        rate = self._stream.rate if self._stream.rate in AAC_RATES else max(AAC_RATES)
        target = self._output.add_stream("aac", rate=rate)
        layout = self._stream.layout.name
        target.layout = layout if layout in ENCODED_LAYOUTS else "stereo"
        target.bit_rate = BIT_RATE
        return target

    def _mux(self, piece: Piece) -> None:
        if isinstance(piece, Packet):
            piece.stream = self._target
            self._output.mux(piece)
        else:
            self._output.mux(self._target.encode(piece))

    def _read_pieces(self, origin: Fraction) -> Iterator[tuple[Fraction, Piece]]:
        """Packets to copy or frames to encode, on the clip's clock, with their first seconds."""
        tick = tick_of(self._stream)
        shift = round((origin + file_start(self._container)) / tick)
        try:
            for piece in self._demux():
                if piece.pts is None:
                    continue
                piece.pts = piece.dts = piece.pts - shift
                begin = piece.pts * tick
                if self._is_heard(begin, begin + (piece.duration or 0) * tick):
                    yield begin, piece
        except FFmpegError as error:
            log.warning(
                "%s: its sound breaks (%s); the clip goes on without", self._name, reason(error)
            )

    def _demux(self) -> Iterator[Piece]:
        for packet in self._container.demux(self._stream):
            if not self._copies:
                yield from self._stream.decode(packet)
            elif packet.size:
                yield packet

    def _is_heard(self, begin: Fraction, end: Fraction) -> bool:
        """Whether a piece belongs to the clip's sound, which begins with a whole one."""
        if self._copies and self._output.format.name in TRIMMING:
            return end >= 0
        return begin >= (-OPUS_PRIMING if self._copies and self._codec == "opus" else 0)
