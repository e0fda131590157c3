"""`odvae encode` and `odvae decode`: latent files."""

import dataclasses

import torch

import odvae_core as odvae
from odvae_core.families.odvae_config import PRESETS
from odvae_core.latents import LatentFile
from odvae_core.video import read_video
from tests.commands.calls import TIMES, call, luma_error, read_times, reconstruct_at_once


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
