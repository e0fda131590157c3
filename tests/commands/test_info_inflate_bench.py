"""`odvae info`, `odvae inflate` and `odvae bench`."""

import dataclasses

import torch
from safetensors.torch import save_file

import odvae_core as odvae
from odvae_core.families.odvae_config import PRESETS
from tests.checkpoints import build_image_vae, write_diffusers_folder
from tests.commands.calls import call, call_json


def test_bench_measures_every_schedule(checkpoint, capsys):
    options = ("--size", "16x24", "--clip-frames", 9, "--repeats", 1, "--checkpoint", checkpoint)
    facts = call_json(capsys, "bench", *options)
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
    facts = call_json(capsys, "info", checkpoint)
    assert facts["sha256"] == vae.provenance.sha256
    assert (facts["family"], facts["preset"]) == ("odvae", "odvae-tiny")
    assert (facts["latent_channels"], facts["temporal_compression"]) == (4, 4)
    assert facts["config"]["width"] == vae.config.width
    assert call("info", checkpoint) == 0
    assert vae.provenance.sha256 in capsys.readouterr().out


def test_info_tells_what_a_2d_vae_is(tmp_path, capsys):
    folder = write_diffusers_folder(build_image_vae(), tmp_path, scaling_factor=0.13025)
    facts = call_json(capsys, "info", folder)
    assert (facts["temporal_compression"], facts["latent_scale"]) == (1, 0.13025)


def test_info_names_the_vae_of_another_design(tmp_path, capsys):
    weights = {"decoder.up_blocks.0.temp_convs.0.weight": torch.zeros(2, 2, 3, 3, 3)}
    save_file(weights, tmp_path / "allegro.safetensors")
    facts = call_json(capsys, "info", tmp_path / "allegro.safetensors")
    assert facts["model"].startswith("Allegro VAE, which this package doesn't support")
    assert (facts["file"], facts["parameters"]) == ("allegro.safetensors", 108)
    assert call("bench", "--checkpoint", tmp_path / "allegro.safetensors") == 2


def test_inflate_writes_a_video_vae_and_proves_it(tmp_path, capsys):
    parent = odvae.build(dataclasses.replace(PRESETS["sd-vae"], width=32))
    odvae.save(parent, tmp_path / "sd.safetensors")
    output = tmp_path / "video.safetensors"
    options = ("--preset", "odvae-stream", "--mode", "tail")
    facts = call_json(capsys, "inflate", tmp_path / "sd.safetensors", output, *options)
    assert facts["inflated"]
    assert facts["encode_difference"] < 1e-4
    assert odvae.load(output).family == "odvae"
    assert call("inflate", tmp_path / "sd.safetensors", output, *options) == 2
    assert "exists; give another name, or add --overwrite" in capsys.readouterr().err
