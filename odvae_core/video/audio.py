"""Copies the audio of one file to another; re-encodes it to AAC where the container requires it."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack
from fractions import Fraction

from av import AudioFrame, Packet
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError

from .source import Source, error_reason, file_start, open_media, source_name, tick_of

log = logging.getLogger(__name__)

# Codecs that players support in each container; others are re-encoded.
COPIED = {
    "mp4": {"aac", "ac3", "alac", "eac3", "flac", "mp3", "opus"},
    "mov": {"aac", "ac3", "alac", "eac3", "mp3", "pcm_s16be", "pcm_s16le", "pcm_s24le"},
    "matroska": {"aac", "ac3", "alac", "dts", "eac3", "flac", "mp3", "opus", "pcm_s16le", "vorbis"},
}
TRIMMING = {"mp4", "mov"}  # can hide the start of a first packet that starts before the clip
OPUS_PRIMING = Fraction(7, 1000)  # seconds before 0 that Matroska declares and players skip
ENCODED_LAYOUTS = {"mono", "stereo", "5.1"}
AAC_RATES = {8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000}
BIT_RATE = 192_000

Piece = Packet | AudioFrame


def open_audio(source: Source, output: OutputContainer, files: ExitStack) -> "AudioTrack | None":
    """The first audio stream of `source`, ready to be muxed into `output`; None, logged, without
    one.

    Call it before the first packet is muxed; `files` closes the source.
    """
    container = files.enter_context(open_media(source))
    if not container.streams.audio:
        log.info("%s: has no audio; the output has none either", source_name(source))
        return None
    stream = container.streams.audio[0]
    if stream.codec_context is None:
        log.warning("%s: no decoder for its audio; the output has none", source_name(source))
        return None
    return AudioTrack(source_name(source), container, stream, output)


class AudioTrack:
    """An audio stream that is muxed into `output` along with the clip's frames.

    The source's time `origin`, in seconds, becomes the clip's zero. If the audio is damaged, it
    ends there with a warning.
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

    def start_at(self, origin: Fraction) -> None:
        """Set the source's time of the clip's first frame."""
        self._pieces = self._read_pieces(origin)
        self._waiting = next(self._pieces, None)

    def mux_until(self, until: Fraction) -> None:
        """Mux the audio that starts before `until` seconds of the clip."""
        while self._waiting is not None and self._waiting[0] < until:
            self._mux(self._waiting[1])
            self._waiting = next(self._pieces, None)

    def mux_rest(self, duration: Fraction) -> None:
        """Mux the rest of the clip's audio."""
        self.mux_until(duration)
        if not self._copies:
            self._output.mux(self._target.encode(None))  # flushes the encoder

    def _copy_stream(self) -> AudioStream:
        return self._output.add_stream_from_template(self._stream)

    def _encode_stream(self) -> AudioStream:
        log.info("%s: %s audio is re-encoded to AAC", self._name, self._codec)
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
        """Packets to copy or frames to encode, with their start in seconds of the clip."""
        tick = tick_of(self._stream)
        shift = round((origin + file_start(self._container)) / tick)
        try:
            for piece in self._demux():
                if piece.pts is None:
                    continue
                piece.pts = piece.dts = piece.pts - shift
                start = piece.pts * tick
                if self._belongs_to_clip(start, start + (piece.duration or 0) * tick):
                    yield start, piece
        except FFmpegError as error:
            log.warning(
                "%s: its audio is damaged (%s); the rest of the clip has none",
                self._name,
                error_reason(error),
            )

    def _demux(self) -> Iterator[Piece]:
        for packet in self._container.demux(self._stream):
            if not self._copies:
                yield from self._stream.decode(packet)
            elif packet.size:
                yield packet

    def _belongs_to_clip(self, start: Fraction, end: Fraction) -> bool:
        """Whether a piece is part of the clip's audio, which starts with a whole piece."""
        if self._copies and self._output.format.name in TRIMMING:
            return end >= 0
        return start >= (-OPUS_PRIMING if self._copies and self._codec == "opus" else 0)
