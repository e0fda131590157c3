"""Every command takes ComfyUI's single files of Wan and HunyuanVideo; their scale is by channel."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

import odvae_core as odvae
from odvae_core.latents import LatentFile
from odvae_core.registry import family_of, read_config
from odvae_core.video import read_video
from tests.commands.calls import TIMES, call, call_json, luma_error, read_times, reconstruct_at_once
from tests.evaluation.small_evaluation import write_clips

NARROW = {
    "wan-2.1": {"width": 8, "decoder_width": 8},
    "wan-2.2": {"width": 8, "decoder_width": 8},
    "hunyuan-1.0": {"width": 32, "multipliers": (1, 1, 1, 1), "blocks": 1},
    "hunyuan-1.5": {"width": 64, "multipliers": (1, 1, 1, 1, 1), "blocks": 1},
}


@pytest.fixture(scope="module", params=NARROW)
def preset(request):
    return request.param


@pytest.fixture(scope="module")
def published(tmp_path_factory, preset):
    """A file of weights alone, as ComfyUI's are."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("lineage") / f"{preset}.safetensors"
    vae = odvae.build(replace(read_config(preset), **NARROW[preset]))
    save_file(dict(vae.state_dict()), path)
    return path


def test_info_tells_what_it_is(capsys, preset, published):
    facts, config = call_json(capsys, "info", published), read_config(preset)
    assert facts["family"] == family_of(config)
    assert facts["latent_channels"] == config.z_channels
    assert facts["decoder_streams_exactly"] == (preset != "hunyuan-1.0")
    assert call("info", published) == 0


def test_latents_go_through_a_file_and_come_back_as_the_clip(tmp_path, clip, published):
    latents, film = tmp_path / "clip.safetensors", tmp_path / "film.mp4"
    assert call("encode", clip, latents, "--checkpoint", published) == 0
    vae, info = odvae.load(published), LatentFile(latents).info
    assert (info.latent_scale, info.latent_shift) == (vae.latent_scale, vae.latent_shift)
    assert call("decode", latents, film, "--checkpoint", published, "--quality", 0) == 0
    expected = reconstruct_at_once(vae, read_video(clip)).clamp(-1, 1)
    assert luma_error(read_video(film), expected) < 0.02
    assert read_times(film) == TIMES


def test_it_is_a_candidate_of_an_evaluation(capsys, tmp_path, preset, published):
    clips = write_clips(tmp_path / "clips")
    options = ("--frames-per-clip", 5, "--size", 32, "--checkpoint", published)
    summary = call_json(capsys, "evaluate", clips, *options)
    (row,) = summary["contenders"]
    assert row["vcpr"] > 1


def test_a_dataset_states_a_scale_by_channel(tmp_path, preset, published):
    if not preset.startswith("wan"):
        pytest.skip("its scale is one number")
    vae = odvae.build(replace(read_config(preset), **NARROW[preset]))
    scaled = replace(
        vae.config,
        latent_scale=tuple(0.5 + i for i in range(vae.latent_channels)),
        latent_shift=(0.1,) * vae.latent_channels,
    )
    path, folder = tmp_path / "scaled.safetensors", tmp_path / "latents"
    odvae.save(odvae.build(scaled), path)
    clips = write_clips(tmp_path / "clips")
    for _ in range(2):  # the second run finds all done, under the same facts
        assert call("encode-dataset", clips, folder, "--checkpoint", path) == 0
    _, _, facts = next(iter(odvae.read_latents(folder)))
    assert tuple(facts["latent_scale"]) == scaled.latent_scale
