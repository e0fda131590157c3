"""`odvae reconstruct`: file to file, in bounded memory."""

import dataclasses
import wave

import av
import pytest

import odvae_core as odvae
from odvae_core.families.odvae_config import PRESETS
from odvae_core.metrics import psnr, quantize, ssim
from odvae_core.planning import FreeMemory
from odvae_core.video import ChunkRecorder, VideoWriter, read_video
from tests.commands.calls import (
    TIMES,
    call,
    call_json,
    draw_clip,
    luma_error,
    read_times,
    reconstruct_at_once,
    write_clip,
)


@pytest.mark.parametrize("schedule", ["auto", "whole", "exact", "stream"])
def test_every_exact_schedule_gives_the_reconstruction_of_the_whole_clip(
    tmp_path, checkpoint, vae, clip, capsys, schedule
):
    output = tmp_path / "out.mp4"
    facts = call_json(
        capsys, "reconstruct", clip, output, "--checkpoint", checkpoint, "--schedule", schedule
    )
    video = read_video(clip)
    expected = quantize(reconstruct_at_once(vae, video))
    assert facts["psnr"] == pytest.approx(float(psnr(expected, video).mean()), abs=1e-3)
    assert facts["ssim"] == pytest.approx(float(ssim(expected, video).mean()), abs=1e-4)


def test_frames_size_and_varying_times_come_out_as_they_went_in(tmp_path, checkpoint, clip, capsys):
    output = tmp_path / "out.mp4"
    facts = call_json(capsys, "reconstruct", clip, output, "--checkpoint", checkpoint)
    assert (facts["frames"], facts["size"]) == (7, [20, 36])
    assert read_video(output).shape == (1, 3, 7, 20, 36)
    assert read_times(output) == TIMES


def test_the_written_video_is_the_reconstruction(tmp_path, checkpoint, vae, clip):
    output = tmp_path / "out.mp4"
    assert call("reconstruct", clip, output, "--checkpoint", checkpoint, "--quality", 0) == 0
    expected = reconstruct_at_once(vae, read_video(clip)).clamp(-1, 1)
    assert luma_error(read_video(output), expected) < 0.02


def test_side_by_side_shows_the_clip_on_the_left(tmp_path, checkpoint, clip):
    output, both = tmp_path / "out.mp4", tmp_path / "both.mp4"
    options = ("--side-by-side", both, "--checkpoint", checkpoint, "--quality", 0)
    assert call("reconstruct", clip, output, *options) == 0
    left, right = read_video(both).split(36, dim=-1)
    assert luma_error(left, read_video(clip)) < 0.02
    assert luma_error(right, read_video(output)) < 0.02
    assert read_times(both) == TIMES


def test_sound_comes_along(tmp_path, checkpoint):
    sound, clip, output = (tmp_path / name for name in ("tone.wav", "clip.mkv", "out.mp4"))
    with wave.open(str(sound), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(bytes(16000))
    write_clip(clip, draw_clip(6, 16, 16), audio_from=sound)
    assert call("reconstruct", clip, output, "--checkpoint", checkpoint) == 0
    with av.open(str(output)) as container:
        assert len(container.streams.audio) == 1


def test_options_of_the_clip_choose_what_is_read(tmp_path, checkpoint, clip, capsys):
    output = tmp_path / "out.mp4"
    options = ("--short-side", 16, "--crop", "16x24", "--stride", 2, "--max-frames", 3)
    facts = call_json(capsys, "reconstruct", clip, output, *options, "--checkpoint", checkpoint)
    assert (facts["frames"], facts["size"]) == (3, [16, 24])
    assert read_times(output) == TIMES[:6:2]


def test_a_stream_never_reads_far_ahead_of_what_is_written(tmp_path, checkpoint, monkeypatch):
    """So memory doesn't grow with the clip's length."""
    clip, lead = tmp_path / "long.mp4", []
    write_clip(clip, draw_clip(60, 8, 8))
    counts = {"read": 0, "written": 0}
    read, write = ChunkRecorder.record, VideoWriter.write

    def count_read(self, chunks):
        for chunk in read(self, chunks):
            counts["read"] += chunk.shape[2]
            lead.append(counts["read"] - counts["written"])
            yield chunk

    def count_written(self, video, times=None):
        counts["written"] += video.shape[2]
        write(self, video, times)

    monkeypatch.setattr(ChunkRecorder, "record", count_read)
    monkeypatch.setattr(VideoWriter, "write", count_written)
    options = ("--checkpoint", checkpoint, "--schedule", "stream", "--frames", 5)
    assert call("reconstruct", clip, tmp_path / "out.mp4", *options) == 0
    assert counts == {"read": 60, "written": 60}
    assert max(lead) < 30


def test_frames_too_small_for_ssim_are_reconstructed_without_it(tmp_path, checkpoint, capsys):
    clip = tmp_path / "small.mp4"
    write_clip(clip, draw_clip(1, 2, 4))
    facts = call_json(capsys, "reconstruct", clip, tmp_path / "out.mp4", "--checkpoint", checkpoint)
    assert facts["frames"] == 1
    assert "psnr" in facts
    assert "ssim" not in facts


def test_auto_takes_a_finer_cut_where_memory_is_short(
    tmp_path, checkpoint, clip, capsys, monkeypatch
):
    def reconstruct(name, free):
        found = FreeMemory(free, free, shared=True)
        monkeypatch.setattr("odvae_core.commands.model.available_memory", lambda _: found)
        return call_json(capsys, "reconstruct", clip, tmp_path / name, "--checkpoint", checkpoint)[
            "run"
        ]

    assert "stream, 5 frames at a time, exact" in reconstruct("a.mp4", 2**40)
    with pytest.raises(AssertionError):
        reconstruct("b.mp4", 100_000)
    assert "from file to file" in capsys.readouterr().err


def test_the_result_for_a_person_names_quality_speed_and_memory(tmp_path, checkpoint, clip, capsys):
    assert call("reconstruct", clip, tmp_path / "out.mp4", "--checkpoint", checkpoint) == 0
    text = capsys.readouterr().out
    for word in ("7 frames of 20x36", "dB, SSIM", "frames/s", "iB at most", "frames at a time"):
        assert word in text


def test_tiles_overlap_by_an_eighth_unless_told(tmp_path, checkpoint, clip, capsys):
    for options, expected in (
        (("--tile", 16), "tiles of 16 that overlap by 0"),
        (("--tile", 16, "--overlap", 8), "tiles of 16 that overlap by 8"),
    ):
        output = tmp_path / "out.mp4"
        arguments = (clip, output, "--overwrite", "--checkpoint", checkpoint)
        assert expected in call_json(capsys, "reconstruct", *arguments, *options)["run"]


def test_a_stream_that_is_approximate_says_so(tmp_path, clip, capsys):
    path = tmp_path / "clip-norms.safetensors"
    config = dataclasses.replace(PRESETS["odvae-tiny"], norm="clip")
    odvae.save(odvae.build(config), path)
    options = ("--schedule", "stream", "--frames", 5, "--checkpoint", path)
    assert call("reconstruct", clip, tmp_path / "out.mp4", *options) == 0
    captured = capsys.readouterr()
    assert "is approximate for this model" in captured.err
    assert "stream, 5 frames at a time, approximate in time" in captured.out
