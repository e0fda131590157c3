"""Wan and HunyuanVideo equal ComfyUI's own classes and diffusers', however the clip is cut."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

import odvae_core as odvae
from odvae_core import Stream, Sweep, Whole
from odvae_core.registry import FAMILIES, family_of, read_config
from tests.contract import draw_cuts
from tests.lineage import (
    AS_COMFYUI,
    CONFIGS,
    DIFFUSERS,
    build_small,
    hash_names,
    make_diffusers,
    make_inputs,
    read_vectors,
    thin,
)

EVERY = pytest.mark.parametrize("name", CONFIGS)
SCHEDULES = [Whole(), Stream(5), Stream(9), Sweep(5)]
EXACT = {"rtol": 0, "atol": 1e-10}

PRESETS = {
    "wan-2.1": (126.9, 16, 8),
    "wan-2.2": (704.7, 48, 16),
    "hunyuan-1.0": (246.5, 16, 8),
    "hunyuan-1.5": (1260.6, 32, 16),
}
"""Millions of parameters, latent channels and spatial compression of the published models."""


def list_schedules(vae):
    """The schedules that are exact for both halves."""
    coders = vae.encoder_pass(), vae.decoder_pass()
    return [item for item in SCHEDULES if all(map(item.is_exact, coders))]


@EVERY
def test_the_names_of_the_weights_are_those_of_comfyui(name):
    assert hash_names(build_small(name)) == read_vectors(name)[1]


@EVERY
def test_every_exact_schedule_gives_what_comfyui_s_class_gives_in_float64(name):
    vae = build_small(name, **AS_COMFYUI.get(name, {}))
    (video, latent), (golden, _) = make_inputs(name), read_vectors(name)
    schedules = list_schedules(vae)
    assert len(schedules) >= 2
    for schedule in schedules:
        torch.testing.assert_close(vae.encode(video, schedule).mean, golden["mean"], **EXACT)
        torch.testing.assert_close(thin(vae.decode(latent, schedule)), golden["video"], **EXACT)


@pytest.mark.parametrize("name", AS_COMFYUI)
def test_the_authors_form_is_swept_exactly_too(name):
    vae, (video, latent) = build_small(name), make_inputs(name)
    mean, decoded = vae.encode(video).mean, vae.decode(latent)
    assert (thin(decoded) - read_vectors(name)[0]["video"]).abs().max() > 1e-3
    for schedule in (Sweep(5), Sweep(9)):
        torch.testing.assert_close(vae.encode(video, schedule).mean, mean, **EXACT)
        torch.testing.assert_close(vae.decode(latent, schedule), decoded, **EXACT)


@EVERY
def test_float32_is_near_it(name):
    vae = build_small(name, **AS_COMFYUI.get(name, {})).float()
    (video, latent), (golden, _) = make_inputs(name), read_vectors(name)
    mean, decoded = vae.encode(video.float()).mean, thin(vae.decode(latent.float()))
    for result, expected in ((mean, golden["mean"]), (decoded, golden["video"])):
        torch.testing.assert_close(result.double(), expected, rtol=0, atol=2e-5)


@EVERY
def test_pieces_of_any_length_give_what_the_clip_gives(name):
    vae, (video, latent) = build_small(name), make_inputs(name)
    if not vae.decoder_pass().streams_exactly:
        pytest.skip("its norms span the clip")
    mean, decoded = vae.encode(video).mean, vae.decode(latent)
    for lengths in list(draw_cuts(video.shape[2], 3)):
        pieces = vae.encode_stream(video.split(lengths, dim=2), Stream(5))
        torch.testing.assert_close(torch.cat([p.mean for p in pieces], dim=2), mean, **EXACT)
    for lengths in list(draw_cuts(latent.shape[2], 3)):
        pieces = vae.decode_stream(latent.split(lengths, dim=2), Stream(5))
        torch.testing.assert_close(torch.cat(list(pieces), dim=2), decoded, **EXACT)


@EVERY
def test_a_clip_of_one_frame_is_the_start_of_a_longer_one(name):
    vae, (video, latent) = build_small(name), make_inputs(name)
    if not vae.decoder_pass().streams_exactly:
        pytest.skip("its norms span the clip")
    first = vae.encode(video[:, :, :1]).mean
    torch.testing.assert_close(first, vae.encode(video).mean[:, :, :1], **EXACT)
    picture = vae.decode(latent[:, :, :1])
    torch.testing.assert_close(picture, vae.decode(latent)[:, :, :1], **EXACT)


@EVERY
def test_a_single_file_is_recognised_by_its_keys(name, tmp_path):
    vae = build_small(name).float()
    inside = {f"vae.{key}": tensor for key, tensor in vae.state_dict().items()}
    for tensors in (dict(vae.state_dict()), inside):
        save_file(tensors, tmp_path / "vae.safetensors")
        loaded = odvae.load(tmp_path / "vae.safetensors")
        assert loaded.config == vae.config
        torch.testing.assert_close(dict(loaded.state_dict()), dict(vae.state_dict()))


@pytest.mark.parametrize("name", PRESETS)
def test_the_presets_are_the_published_models(name, tmp_path):
    config = read_config(name)
    with torch.device("meta"):
        vae = odvae.build(config)
    millions, channels, space = PRESETS[name]
    parameters = sum(parameter.numel() for parameter in vae.parameters()) / 1e6
    assert parameters == pytest.approx(millions, abs=0.05)
    assert (vae.latent_channels, vae.spatial_compression) == (channels, space)
    found, assumptions = FAMILIES[family_of(config)].infer(vae.state_dict())
    assert found == config
    assert any("published" in assumption for assumption in assumptions)


@EVERY
def test_a_file_that_lost_a_level_is_refused(name, tmp_path):
    vae = build_small(name).float()
    kept = {key: t for key, t in vae.state_dict().items() if "decoder" not in key}
    save_file(kept, tmp_path / "vae.safetensors")
    with pytest.raises(odvae.CheckpointError):
        odvae.load(tmp_path / "vae.safetensors")


@pytest.mark.parametrize("name", DIFFUSERS)
def test_a_folder_of_diffusers_gives_what_its_class_gives(name, tmp_path):
    pytest.importorskip("diffusers")
    theirs = make_diffusers(name).float()
    theirs.save_pretrained(tmp_path)
    vae, (video, latent) = odvae.load(tmp_path, torch.float64), make_inputs(name)
    assert vae.config == replace(CONFIGS[name], **changes_of(vae))
    theirs = theirs.double()
    posterior = theirs.encode(video).latent_dist
    torch.testing.assert_close(vae.encode(video).mean, posterior.mean, **EXACT)
    torch.testing.assert_close(vae.encode(video).logvar, posterior.logvar, **EXACT)
    decoded = theirs.decode(latent * 0.3).sample.clamp(-1, 1)  # Wan's clamps by itself
    ours = vae.decode(latent * 0.3).clamp(-1, 1)  # and upsamples in float32
    torch.testing.assert_close(ours, decoded, rtol=0, atol=1e-6)


def changes_of(vae):
    """The scale and shift of the latents, which a config.json states."""
    return {"latent_scale": vae.latent_scale, "latent_shift": vae.latent_shift}
