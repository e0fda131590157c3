"""The `odvae` command, called in process on clips and models that the tests write themselves."""

import dataclasses
import io
import json
import subprocess
import sys
import time
import wave
from fractions import Fraction
from pathlib import Path

import av
import pytest
import torch
from safetensors.torch import save_file

import odvae_core as odvae
from odvae_core import cli
from odvae_core.commands import clips, measure, model, reconstruct
from odvae_core.commands.result import Result, write_result
from odvae_core.families.odvae_config import PRESETS
from odvae_core.latents import LatentFile
from odvae_core.metrics import psnr, quantize, ssim
from odvae_core.planning import FreeMemory
from odvae_core.video import VideoReader, VideoWriter, read_video
from tests.checkpoints import build_image_vae, write_diffusers_folder

ROOT = Path(__file__).resolve().parents[1]
TIMES = [Fraction(i, 24) + Fraction(i // 3, 48) for i in range(7)]  # a rate that varies


def draw_clip(frames, height, width):
    """Waves that travel, [1, 3, T, H, W]."""
    t, y, x = torch.meshgrid(
        *(torch.arange(n, dtype=torch.float32) for n in (frames, height, width)), indexing="ij"
    )
    return torch.stack([torch.sin(0.3 * x + 0.2 * t), torch.cos(0.2 * y - 0.3 * t), 0 * x])[None]


def write_clip(path, video, times=None, **options):
    """A video file of these frames."""
    with VideoWriter(path, video.shape[-2:], 24, **options) as writer:
        writer.write(video, times)


def luma_error(video, other):
    """Mean difference of brightness: files halve the resolution of colour."""
    weights = torch.tensor([0.2126, 0.7152, 0.0722]).view(1, 3, 1, 1, 1)
    return float(((video - other) * weights).sum(1).abs().mean())


def read_times(path):
    """The time of every frame of a file, seconds after the first."""
    with VideoReader(path) as reader:
        times = [time for chunk in reader.chunks(8) for time in chunk.times]
    return [time - times[0] for time in times]


def call(*arguments):
    """Run a command."""
    return cli.main([str(argument) for argument in arguments])


def ask(capsys, *arguments):
    """Run a command that ends well, with --json; return what it says."""
    capsys.readouterr()
    assert call(*arguments, "--json") == 0
    return json.loads(capsys.readouterr().out)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cli")


@pytest.fixture(scope="module")
def checkpoint(folder):
    torch.manual_seed(0)
    path = folder / "tiny.safetensors"
    odvae.save(odvae.build("odvae-tiny"), path)
    return path


@pytest.fixture(scope="module")
def vae(checkpoint):
    return odvae.load(checkpoint)


@pytest.fixture(scope="module")
def clip(folder):
    """Seven frames of 20x36 at a varying rate; the encoder takes neither."""
    path = folder / "clip.mp4"
    write_clip(path, draw_clip(7, 20, 36), TIMES)
    return path


@pytest.fixture
def latents(tmp_path, checkpoint, clip):
    path = tmp_path / "clip.safetensors"
    assert call("encode", clip, path, "--checkpoint", checkpoint) == 0
    return path


@torch.inference_mode()
def reconstruct_at_once(vae, video):
    """What the command must come to, without any file or cut."""
    decoded = vae.decode(vae.encode(odvae.padding.pad(video, vae)).mode())
    return odvae.padding.crop(decoded, odvae.padding.ClipSize.of(video))


# reconstruct


@pytest.mark.parametrize("schedule", ["auto", "whole", "exact", "stream"])
def test_every_exact_schedule_gives_the_reconstruction_of_the_whole_clip(
    tmp_path, checkpoint, vae, clip, capsys, schedule
):
    output = tmp_path / "out.mp4"
    facts = ask(
        capsys, "reconstruct", clip, output, "--checkpoint", checkpoint, "--schedule", schedule
    )
    video = read_video(clip)
    expected = quantize(reconstruct_at_once(vae, video))
    assert facts["psnr"] == pytest.approx(float(psnr(expected, video).mean()), abs=1e-3)
    assert facts["ssim"] == pytest.approx(float(ssim(expected, video).mean()), abs=1e-4)


def test_frames_size_and_varying_times_come_out_as_they_went_in(tmp_path, checkpoint, clip, capsys):
    output = tmp_path / "out.mp4"
    facts = ask(capsys, "reconstruct", clip, output, "--checkpoint", checkpoint)
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
    facts = ask(capsys, "reconstruct", clip, output, *options, "--checkpoint", checkpoint)
    assert (facts["frames"], facts["size"]) == (3, [16, 24])
    assert read_times(output) == TIMES[:6:2]


def test_a_stream_never_reads_far_ahead_of_what_is_written(tmp_path, checkpoint, monkeypatch):
    """So memory doesn't grow with the clip's length."""
    clip, lead = tmp_path / "long.mp4", []
    write_clip(clip, draw_clip(60, 8, 8))
    counts = {"read": 0, "written": 0}
    read, write = clips.Reading.chunks, VideoWriter.write

    def count_read(self):
        for chunk in read(self):
            counts["read"] += chunk.shape[2]
            lead.append(counts["read"] - counts["written"])
            yield chunk

    def count_written(self, video, times=None):
        counts["written"] += video.shape[2]
        write(self, video, times)

    monkeypatch.setattr(clips.Reading, "chunks", count_read)
    monkeypatch.setattr(VideoWriter, "write", count_written)
    options = ("--checkpoint", checkpoint, "--schedule", "stream", "--frames", 5)
    assert call("reconstruct", clip, tmp_path / "out.mp4", *options) == 0
    assert counts == {"read": 60, "written": 60}
    assert max(lead) < 30


def test_frames_too_small_for_ssim_are_reconstructed_without_it(tmp_path, checkpoint, capsys):
    clip = tmp_path / "small.mp4"
    write_clip(clip, draw_clip(1, 2, 4))
    facts = ask(capsys, "reconstruct", clip, tmp_path / "out.mp4", "--checkpoint", checkpoint)
    assert facts["frames"] == 1
    assert "psnr" in facts
    assert "ssim" not in facts


def test_auto_takes_a_finer_cut_where_memory_is_short(
    tmp_path, checkpoint, clip, capsys, monkeypatch
):
    def reconstruct(name, free):
        found = FreeMemory(free, free, shared=True)
        monkeypatch.setattr("odvae_core.commands.model.available_memory", lambda _: found)
        return ask(capsys, "reconstruct", clip, tmp_path / name, "--checkpoint", checkpoint)["run"]

    assert "stream, 5 frames at a time, exact" in reconstruct("a.mp4", 2**40)
    with pytest.raises(AssertionError):
        reconstruct("b.mp4", 100_000)
    assert "from file to file" in capsys.readouterr().err


def test_the_result_for_a_person_names_quality_speed_and_memory(tmp_path, checkpoint, clip, capsys):
    assert call("reconstruct", clip, tmp_path / "out.mp4", "--checkpoint", checkpoint) == 0
    text = capsys.readouterr().out
    for word in ("7 frames of 20x36", "dB, SSIM", "frames/s", "MiB", "frames at a time"):
        assert word in text


# encode, decode


def test_decoding_a_file_of_latents_gives_the_reconstruction(
    tmp_path, checkpoint, vae, clip, latents
):
    output = tmp_path / "out.mp4"
    assert call("decode", latents, output, "--checkpoint", checkpoint, "--quality", 0) == 0
    expected = reconstruct_at_once(vae, read_video(clip)).clamp(-1, 1)
    assert luma_error(read_video(output), expected) < 0.02
    assert read_times(output) == TIMES


def test_a_file_of_latents_tells_all_about_its_clip(latents, vae):
    file = LatentFile(latents)
    assert (file.info.frames, file.info.height, file.info.width) == (7, 20, 36)
    assert file.info.checkpoint_sha256 == vae.provenance.sha256
    assert (file.info.family, file.info.latent_scale) == (vae.family, vae.latent_scale)
    assert file.info.posterior == "mean"
    assert [time - file.times[0] for time in file.times] == TIMES


def test_encoded_latents_are_the_mean_of_the_posterior(latents, vae, clip):
    with torch.inference_mode():
        expected = vae.encode(odvae.padding.pad(read_video(clip), vae)).mode()
    (latent,) = LatentFile(latents).chunks(100)
    torch.testing.assert_close(latent, expected, atol=1e-4, rtol=1e-4)


def test_a_seed_gives_the_same_sample_however_the_clip_is_cut(tmp_path, checkpoint, clip):
    drawn = {}
    for schedule, seed in (("whole", 1), ("stream", 1), ("whole", 2)):
        path = tmp_path / f"{schedule}-{seed}.safetensors"
        options = ("--posterior", "sample", "--seed", seed, "--schedule", schedule)
        assert call("encode", clip, path, *options, "--checkpoint", checkpoint) == 0
        drawn[schedule, seed] = torch.cat(list(LatentFile(path).chunks(100)), dim=2)
        assert LatentFile(path).info.posterior == f"sample with seed {seed}"
    torch.testing.assert_close(drawn["whole", 1], drawn["stream", 1], atol=1e-4, rtol=1e-4)
    assert not torch.allclose(drawn["whole", 1], drawn["whole", 2], atol=1e-2)


def test_a_seed_gives_the_same_sample_by_file_and_by_tensor(tmp_path, checkpoint, vae, clip):
    path = tmp_path / "clip.safetensors"
    options = ("--posterior", "sample", "--seed", 5, "--checkpoint", checkpoint)
    assert call("encode", clip, path, *options) == 0
    posterior = vae.encode(odvae.padding.pad(read_video(clip), vae))
    drawn = posterior.sample(torch.Generator().manual_seed(5))
    written = torch.cat(list(LatentFile(path).chunks(100)), dim=2)
    torch.testing.assert_close(written, drawn, atol=1e-4, rtol=1e-4)


def test_latents_of_another_checkpoint_are_decoded_with_a_warning(tmp_path, vae, latents, capsys):
    sister = tmp_path / "sister.safetensors"
    odvae.save(vae, sister, dtype=torch.float16)
    assert call("decode", latents, tmp_path / "out.mp4", "--checkpoint", sister) == 0
    assert "was encoded with another checkpoint" in capsys.readouterr().err


def test_latents_with_other_channels_are_refused(tmp_path, latents, capsys):
    wide = tmp_path / "wide.safetensors"
    config = dataclasses.replace(PRESETS["odvae-tiny"], z_channels=8, embed_dim=8)
    odvae.save(odvae.build(config), wide)
    assert call("decode", latents, tmp_path / "out.mp4", "--checkpoint", wide) == 2
    assert "decode with the checkpoint that encoded" in capsys.readouterr().err
    assert not (tmp_path / "out.mp4").exists()


# bench, info, inflate


def test_bench_measures_every_schedule(checkpoint, capsys):
    options = ("--size", "16x24", "--clip-frames", 9, "--repeats", 1, "--checkpoint", checkpoint)
    facts = ask(capsys, "bench", *options)
    rows = {row["schedule"]: row for row in facts["schedules"]}
    assert list(rows) == ["whole", "paper", "published", "exact", "stream"]
    assert "published no sizes" in rows.pop("published")["refused"]
    for row in rows.values():
        assert row["encode_frames_per_second"] > 0
        assert row["decode_peak_memory_bytes"] > 2**20
    assert torch.__version__ in facts["environment"]
    assert call("bench", *options, "--schedule", "stream") == 0
    assert "whole" not in capsys.readouterr().out


def test_bench_refuses_a_clip_that_the_encoder_does_not_take(checkpoint, capsys):
    assert call("bench", "--clip-frames", 6, "--checkpoint", checkpoint) == 2
    assert "cut the clip to 5 or extend it to 9" in capsys.readouterr().err


def test_info_tells_what_a_checkpoint_is(checkpoint, vae, capsys):
    facts = ask(capsys, "info", checkpoint)
    assert facts["sha256"] == vae.provenance.sha256
    assert (facts["family"], facts["preset"]) == ("odvae", "odvae-tiny")
    assert (facts["latent_channels"], facts["temporal_compression"]) == (4, 4)
    assert facts["config"]["width"] == vae.config.width
    assert call("info", checkpoint) == 0
    assert vae.provenance.sha256 in capsys.readouterr().out


def test_info_tells_what_a_2d_vae_is(tmp_path, capsys):
    folder = write_diffusers_folder(build_image_vae(), tmp_path, scaling_factor=0.13025)
    facts = ask(capsys, "info", folder)
    assert (facts["temporal_compression"], facts["latent_scale"]) == (1, 0.13025)


def test_info_names_the_vae_of_another_design(tmp_path, capsys):
    weights = {"decoder.middle.0.residual.2.weight": torch.zeros(2, 2, 3, 3, 3)}
    save_file(weights, tmp_path / "wan.safetensors")
    facts = ask(capsys, "info", tmp_path / "wan.safetensors")
    assert facts["model"].startswith(
        "Wan 2.1 (also Qwen-Image) VAE, which this package doesn't support"
    )
    assert (facts["file"], facts["parameters"]) == ("wan.safetensors", 108)
    assert call("bench", "--checkpoint", tmp_path / "wan.safetensors") == 2


def test_inflate_writes_a_video_vae_and_proves_it(tmp_path, capsys):
    parent = odvae.build(dataclasses.replace(PRESETS["sd-vae"], width=32))
    odvae.save(parent, tmp_path / "sd.safetensors")
    output = tmp_path / "video.safetensors"
    options = ("--preset", "odvae-stream", "--mode", "tail")
    facts = ask(capsys, "inflate", tmp_path / "sd.safetensors", output, *options)
    assert facts["inflated"]
    assert facts["encode_difference"] < 1e-4
    assert odvae.load(output).family == "odvae"
    assert call("inflate", tmp_path / "sd.safetensors", output, *options) == 2
    assert "exists; give another name, or add --overwrite" in capsys.readouterr().err


# schedules and tiles, as the options name them


def test_tiles_overlap_by_an_eighth_unless_told(tmp_path, checkpoint, clip, capsys):
    for options, expected in (
        (("--tile", 16), "tiles of 16 that overlap by 0"),
        (("--tile", 16, "--overlap", 8), "tiles of 16 that overlap by 8"),
    ):
        output = tmp_path / "out.mp4"
        arguments = (clip, output, "--overwrite", "--checkpoint", checkpoint)
        assert expected in ask(capsys, "reconstruct", *arguments, *options)["run"]


def test_a_stream_that_is_approximate_says_so(tmp_path, clip, capsys):
    path = tmp_path / "clip-norms.safetensors"
    config = dataclasses.replace(PRESETS["odvae-tiny"], norm="clip")
    odvae.save(odvae.build(config), path)
    options = ("--schedule", "stream", "--frames", 5, "--checkpoint", path)
    assert call("reconstruct", clip, tmp_path / "out.mp4", *options) == 0
    captured = capsys.readouterr()
    assert "is approximate for this model" in captured.err
    assert "stream, 5 frames at a time, approximate in time" in captured.out


# what is shown and measured


@pytest.mark.parametrize(
    ("schedule", "bars"),
    [("stream", ["reconstruct: 100%"]), ("whole", ["encode: ", "decode: ", "reconstruct: 100%"])],
)
def test_a_terminal_gets_bars_that_reach_the_end(
    tmp_path, checkpoint, clip, monkeypatch, schedule, bars
):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    options = ("--schedule", schedule, "--checkpoint", checkpoint)
    assert call("reconstruct", clip, tmp_path / "out.mp4", *options) == 0
    shown = sys.stderr.getvalue()
    assert [bar for bar in bars if bar not in shown] == []
    assert "7/7" in shown


def test_peak_memory_is_that_of_the_moment_not_of_the_end():
    with measure.PeakMemory(torch.device("cpu")) as memory:
        before = memory.bytes
        large = torch.ones(2**26)
        time.sleep(20 * measure.SAMPLING)
        del large
    assert memory.bytes - before > 2**27


def test_the_stopwatch_counts_the_maker_of_items_not_their_user():
    def make():
        time.sleep(0.1)
        yield 1

    watch = measure.Stopwatch()
    for _ in watch.over(make()):
        time.sleep(0.3)
    assert 0.1 <= watch.seconds < 0.3


def test_an_infinite_figure_is_legal_json(capsys):
    write_result(Result({"psnr": float("inf"), "path": Path("a")}, []), as_json=True)
    assert json.loads(capsys.readouterr().out) == {"psnr": "inf", "path": "a"}


# errors


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--frames", 6), "1 + 4k"),
        (("--schedule", "whole", "--frames", 5), "takes none: leave frames out"),
        (("--tile", 20), "multiples of 8"),
        (("--overlap", 8), "without tiles"),
        (("--device", "abacus"), "try --device cpu"),
        (("--checkpoint", "none.safetensors"), "none.safetensors"),
        (("--start", 1000), "start earlier"),
        (("--crop", "64x64"), "cannot cut 64x64"),
    ],
)
def test_bad_options_are_one_line_and_status_2_and_leave_no_file(
    tmp_path, checkpoint, clip, capsys, options, message
):
    output = tmp_path / "out.mp4"
    assert call("reconstruct", clip, output, "--checkpoint", checkpoint, *options) == 2
    captured = capsys.readouterr()
    *_, last = captured.err.splitlines()
    assert message in last
    assert "Traceback" not in captured.err
    assert captured.out == ""
    assert list(tmp_path.iterdir()) == []


def test_an_output_that_exists_is_kept_unless_told(tmp_path, checkpoint, clip, capsys):
    output = tmp_path / "out.mp4"
    output.write_text("precious")
    assert call("reconstruct", clip, output, "--checkpoint", checkpoint) == 2
    assert "exists; give another name, or add --overwrite" in capsys.readouterr().err
    assert output.read_text() == "precious"
    assert call("reconstruct", clip, output, "--checkpoint", checkpoint, "--overwrite") == 0
    assert read_video(output).shape[2] == 7


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("clip.mp4", "input and output"),
        ("nowhere/out.mp4", "its folder doesn't exist"),
        ("out.avi", ".mp4"),
        (".", "is a folder"),
    ],
)
def test_an_output_that_cannot_be_is_refused(tmp_path, checkpoint, capsys, output, message):
    clip = tmp_path / "clip.mp4"
    write_clip(clip, draw_clip(5, 16, 16))
    before = clip.read_bytes()
    options = ("--checkpoint", checkpoint, "--overwrite")
    assert call("reconstruct", clip, tmp_path / output, *options) == 2
    assert message in capsys.readouterr().err
    assert clip.read_bytes() == before
    assert list(tmp_path.iterdir()) == [clip]


def test_a_missing_input_is_refused(tmp_path, checkpoint, capsys):
    assert call("encode", tmp_path / "none.mp4", tmp_path / "a.safetensors") == 2
    assert "no such file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "status"), [(RuntimeError("the disk melts"), 1), (KeyboardInterrupt(), 130)]
)
def test_a_failure_half_way_leaves_no_file(
    tmp_path, checkpoint, clip, monkeypatch, capsys, error, status
):
    written = []

    def fail_at_the_third(self, video, times=None):
        written.append(video)
        if len(written) == 3:
            raise error

    monkeypatch.setattr(reconstruct.VideoWriter, "write", fail_at_the_third)
    arguments = ("reconstruct", clip, tmp_path / "out.mp4", "--checkpoint", checkpoint)
    assert call(*arguments) == status
    assert "Traceback" not in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_traceback_is_shown_where_asked_for(tmp_path, capsys, monkeypatch):
    missing = tmp_path / "none.safetensors"
    assert call("info", missing, "--debug") == 2
    assert "Traceback" in capsys.readouterr().err
    monkeypatch.setenv("ODVAE_DEBUG", "1")
    assert call("info", missing) == 2
    assert "Traceback" in capsys.readouterr().err


def test_running_out_of_memory_says_what_to_set(tmp_path, checkpoint, clip, monkeypatch, capsys):
    def fail(*_arguments):
        raise torch.OutOfMemoryError("tried to allocate 9 GiB")

    monkeypatch.setattr(model.Model, "encode", fail)
    arguments = ("reconstruct", clip, tmp_path / "out.mp4", "--checkpoint", checkpoint)
    assert call(*arguments) == 1
    assert "set a smaller --tile, fewer --frames" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("sing",),
        ("reconstruct", "clip.mp4"),
        ("info", "--frames", "0"),
        ("encode", "a", "b", "--frames", "0"),
        ("encode", "a", "b", "--size", "20"),
        ("encode", "a", "b", "--start", "-1"),
        ("encode", "a", "b", "--seed", "x"),
        ("encode", "a", "b", "--seed", "9" * 20),
        ("encode", "a", "b", "--max-frames", "9" * 12),
        ("encode", "a", "b", "--stride", "9" * 5000),
        ("encode", "a", "b", "--start", "1e999999999"),
        ("encode", "a", "b", "--start", "1e300"),
        ("encode", "a", "b", "--size", "8x٣"),
    ],
)
def test_a_wrong_call_ends_with_status_2(arguments, capsys):
    with pytest.raises(SystemExit) as exit:
        call(*arguments)
    assert exit.value.code == 2
    assert "usage: odvae" in capsys.readouterr().err


# in a process of their own


@pytest.mark.parametrize("command", ["", "reconstruct", "bench"])
def test_help_comes_at_once_and_without_torch(command):
    script = (
        "import sys, time\n"
        "from odvae_core.cli import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "except SystemExit as exit:\n    assert exit.code == 0\n"
        "assert 'torch' not in sys.modules and 'av' not in sys.modules\n"
        "assert time.process_time() < 1, time.process_time()\n"
    )
    arguments = [sys.executable, "-c", script, *filter(None, [command]), "--help"]
    result = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "usage: odvae" in result.stdout


def test_the_module_passes_the_exit_status_on(tmp_path):
    arguments = ["-m", "odvae_core", "info", str(tmp_path / "none.safetensors")]
    result = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stdout) == (2, "")
    assert len(result.stderr.splitlines()) == 1
    assert "none.safetensors" in result.stderr
