"""odvae_core/video: the sound of a clip, copied, re-encoded, or dropped."""

from fractions import Fraction

import av
import numpy as np
import pytest

from odvae_core.video import VideoError, VideoReader, VideoWriter
from tests.media import cut, draw_numbers, make_clip, make_sounding_clip


def copy(source, target, *, audio_from=None, start=0, frames=None):
    """The clip, or a piece of it, through reader and writer, with its own or another's sound."""
    with (
        VideoReader(source, start=start, frames=frames) as reader,
        VideoWriter(target, reader.size, reader.fps, audio_from=audio_from or source) as writer,
    ):
        for chunk in reader.chunks(5):
            writer.write(chunk.video, chunk.times)
    return target


def read_packets(path):
    """The sound's packets, without those that only prime a decoder."""
    with av.open(str(path)) as container:
        packets = container.demux(container.streams.audio[0])
        return [bytes(packet) for packet in packets if packet.size and packet.pts >= 0]


def read_sound(path):
    """(codec, loudness by half seconds of the clip, seconds of its end)."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        loudness = {}
        for frame in container.decode(stream):
            loudness.setdefault(int(2 * frame.time), []).append(np.abs(frame.to_ndarray()).max())
            end = frame.time + frame.samples / frame.sample_rate
        medians = [float(np.median(values)) for _, values in sorted(loudness.items())]
        return stream.codec_context.codec.canonical_name, medians, end


@pytest.fixture(scope="module")
def sounding(tmp_path_factory):
    """Two seconds; the tone is at 0.2, 0.4, 0.6, 0.8 of the scale by half seconds."""
    return make_sounding_clip(tmp_path_factory.mktemp("sound") / "source.mp4")


@pytest.mark.parametrize("extension", [".mp4", ".mov", ".mkv"])
def test_sound_is_copied_packet_by_packet(sounding, tmp_path, extension):
    path = copy(sounding, tmp_path / f"clip{extension}")
    assert read_packets(path) == read_packets(sounding)
    codec, loudness, end = read_sound(path)
    assert codec == "aac"
    assert loudness == pytest.approx([0.2, 0.4, 0.6, 0.8], abs=0.05)
    assert end == pytest.approx(2, abs=0.03)


@pytest.mark.parametrize("extension", [".mp4", ".mov", ".mkv"])
def test_sound_is_cut_to_the_clip_and_stays_with_its_pictures(sounding, tmp_path, extension):
    path = copy(sounding, tmp_path / f"clip{extension}", start=Fraction(1, 2), frames=24)
    _, loudness, end = read_sound(path)
    assert loudness[:2] == pytest.approx([0.4, 0.6], abs=0.05)
    assert end == pytest.approx(1, abs=0.03)
    reader = VideoReader(path)
    assert sum(len(chunk.times) for chunk in reader.chunks(9)) == 24


@pytest.mark.parametrize(
    ("extension", "audio", "codec", "target"),
    [
        (".avi", "pcm_s16le", "mpeg4", ".mp4"),
        (".webm", "libopus", "libvpx", ".mov"),
        (".avi", "pcm_u8", "mpeg4", ".mkv"),
    ],
)
def test_sound_that_a_container_does_not_take_is_re_encoded(
    tmp_path, extension, audio, codec, target
):
    source = make_sounding_clip(tmp_path / f"source{extension}", audio=audio, codec=codec)
    found, loudness, end = read_sound(
        copy(source, tmp_path / f"clip{target}", start=Fraction(1, 2))
    )
    assert found == "aac"
    assert loudness[:3] == pytest.approx([0.4, 0.6, 0.8], abs=0.05)
    assert end == pytest.approx(1.5, abs=0.05)


def test_opus_is_copied_into_mp4_and_matroska(tmp_path):
    source = make_sounding_clip(tmp_path / "source.mkv", audio="libopus")
    for target in (".mp4", ".mkv"):
        codec, loudness, _ = read_sound(copy(source, tmp_path / f"clip{target}"))
        assert codec == "opus"
        assert loudness[:4] == pytest.approx([0.2, 0.4, 0.6, 0.8], abs=0.05)


def test_a_clip_without_sound_stays_silent(tmp_path):
    source = make_clip(tmp_path / "source.mp4", draw_numbers(9))
    with av.open(str(copy(source, tmp_path / "clip.mp4"))) as container:
        assert not container.streams.audio


def test_sound_ends_where_its_file_does_and_the_pictures_go_on(tmp_path):
    whole = make_sounding_clip(tmp_path / "whole.mkv", audio="flac")
    broken = cut(make_sounding_clip(tmp_path / "broken.mkv", audio="flac"), 0.5)
    path = copy(whole, tmp_path / "clip.mp4", audio_from=broken)
    assert sum(len(chunk.times) for chunk in VideoReader(path).chunks(9)) == 48
    assert 0.5 < read_sound(path)[2] < 1.6


def test_a_sound_file_that_is_missing_is_an_error_and_leaves_nothing(tmp_path):
    writer = VideoWriter(tmp_path / "clip.mp4", (32, 48), 24, audio_from=tmp_path / "none.mp4")
    with pytest.raises(VideoError, match="no such file"):
        writer.__enter__()
    assert not list(tmp_path.iterdir())
