"""odvae_core/families/wfvae.py: it streams exactly, and its published files load."""

import json
import random
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

import odvae_core as odvae
from odvae_core.checkpoint.export import describe_as_published, to_published
from odvae_core.families.wfvae_config import PRESETS, SCALE_888, WfvaeConfig
from odvae_core.formats import wfvae_from_published
from odvae_core.layers.stream import StreamState, advance
from odvae_core.registry import name_preset

TINY = WfvaeConfig(4, 4, 4, 4)
CONFIGS = {
    "4x8x8": TINY,
    "8x8x8": replace(TINY, finest="joint"),
    "two blocks beside": replace(TINY, flow_blocks=2, decoder_flow=8),
    "no attention": replace(TINY, attention="", blocks=1, decoder_blocks=1),
}
BY_CHANNEL = {"latent_scale": (0.5, 1.0, 2.0, 4.0), "latent_shift": (0.0, 0.1, 0.2, -0.3)}


def make_vae(config=TINY):
    torch.manual_seed(0)
    return odvae.build(config).double().eval().requires_grad_(False)


def make_clip(frames=17, height=16, width=24):
    generator = torch.Generator().manual_seed(frames)
    clip = torch.rand(2, 3, frames, height, width, generator=generator, dtype=torch.float64)
    return clip * 2 - 1


def draw_lengths(frames, seed):
    draw, lengths = random.Random(seed), []
    while sum(lengths) < frames:
        lengths.append(min(draw.choice([1, 1, 2, 3, 5]), frames - sum(lengths)))
    return lengths


def compare(given, expected):
    torch.testing.assert_close(given, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_stream_and_a_sweep_equal_the_whole_clip(name):
    vae, clip = make_vae(CONFIGS[name]), make_clip()
    latent = vae.encode(clip, odvae.Whole()).mean
    video = vae.decode(latent, odvae.Whole())
    assert video.shape == clip.shape
    for schedule in (odvae.Stream(9), odvae.Sweep(9)):
        compare(vae.encode(clip, schedule).mean, latent)
        compare(vae.decode(latent, schedule), video)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("seed", range(4))
def test_steps_that_get_any_chunks_give_the_whole_clip(name, seed):
    vae, clip = make_vae(CONFIGS[name]), make_clip(25, 8, 8)
    latent = vae.encode(clip, odvae.Whole()).mean
    chunks = clip.split(draw_lengths(25, seed), dim=2)
    compare(run_steps(vae.encoder_pass(), chunks).chunk(2, dim=1)[0], latent)
    chunks = latent.split(draw_lengths(latent.shape[2], seed), dim=2)
    compare(run_steps(vae.decoder_pass(), chunks), vae.decode(latent, odvae.Whole()))


def run_steps(coder, chunks):
    """The chunks as they are, without a schedule that regroups them."""
    state, outputs = StreamState(), []
    for i, chunk in enumerate(chunks):
        state.last = i == len(chunks) - 1
        outputs.append(advance(coder.steps, chunk, None, state)[0])
    return torch.cat([output for output in outputs if output.shape[2]], dim=2)


def test_no_latent_depends_on_later_frames():
    vae, clip = make_vae(), make_clip(13)
    other = clip.clone()
    other[:, :, 5:] = 0
    compare(vae.encode(other).mean[:, :, :2], vae.encode(clip).mean[:, :, :2])


def test_gradients_reach_every_weight_and_are_the_same_recomputed():
    vae, clip = make_vae().requires_grad_(), make_clip(5)
    gradients = []
    for schedule in (odvae.Whole(), odvae.Whole(recompute=True)):
        vae.zero_grad()
        vae.decode(vae.encode(clip, schedule).mean, schedule).square().mean().backward()
        gradients.append([weight.grad.clone() for weight in vae.parameters()])
    assert all(gradient.abs().max() > 0 for gradient in gradients[0][:10])
    compare(gradients[1], gradients[0])


def test_presets_are_the_published_configurations():
    with torch.device("meta"):
        counts = {
            name: sum(weight.numel() for weight in odvae.build(name).parameters())
            for name in PRESETS
        }
    assert counts == {
        "wfvae-s4": 146_496_708,
        "wfvae-s8": 147_347_660,
        "wfvae-l16": 317_081_244,
        "wfvae-888": 227_035_624,
    }
    for name, preset in PRESETS.items():
        with torch.device("meta"):
            fields = describe_as_published(odvae.build(name))
        assert name_preset(wfvae_from_published(fields)) == name
        assert preset.z_channels == fields["latent_dim"]
    assert PRESETS["wfvae-888"].latent_scale == SCALE_888


@pytest.fixture
def vae():
    return odvae.build(TINY).requires_grad_(False)


def write_folder(vae, folder, fields=None, tensors=None):
    folder.mkdir(exist_ok=True)
    fields = describe_as_published(vae) if fields is None else fields
    (folder / "config.json").write_text(json.dumps(fields))
    save_file(to_published(vae) if tensors is None else tensors, folder / "weights.safetensors")
    return folder


def assert_same_weights(loaded, vae):
    for key, value in vae.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], value), key


def test_a_folder_as_published_loads(vae, tmp_path):
    loaded = odvae.load(write_folder(vae, tmp_path))
    assert (loaded.config, loaded.provenance.assumptions) == (TINY, ())
    assert_same_weights(loaded, vae)


def test_averaged_weights_without_the_wavelets_load(vae, tmp_path):
    averaged = {f"module.{key}": value for key, value in vae.state_dict().items()}
    last = {key: torch.zeros_like(value) for key, value in to_published(vae).items()}
    content = {"ema_state_dict": averaged, "state_dict": {"gen_model": last}}
    torch.save(content, tmp_path / "merged.ckpt")
    loaded = odvae.load(tmp_path / "merged.ckpt")
    assert_same_weights(loaded, vae)
    assert any("linearly in time" in text for text in loaded.provenance.assumptions)


def test_the_keys_of_open_sora_plan_1_3_load_and_stored_filters_are_not_read(vae, tmp_path):
    tensors = {
        key.replace("wavelet_transform", "wavelet_tranform"): value + 5 * ("wavelet" in key)
        for key, value in to_published(vae).items()
    }
    save_file(tensors, tmp_path / "vae.safetensors")
    assert_same_weights(odvae.load(tmp_path / "vae.safetensors"), vae)


@pytest.mark.parametrize("name", CONFIGS)
def test_an_architecture_is_read_from_the_weights(tmp_path, name):
    vae = odvae.build(CONFIGS[name]).requires_grad_(False)
    save_file(to_published(vae), tmp_path / "vae.safetensors")
    assert odvae.load(tmp_path / "vae.safetensors").config == CONFIGS[name]


def test_scale_and_shift_by_channel_are_kept_and_applied(tmp_path):
    vae = odvae.build(replace(TINY, **BY_CHANNEL)).requires_grad_(False)
    loaded = odvae.load(write_folder(vae, tmp_path / "theirs"))
    odvae.save(loaded, tmp_path / "ours.safetensors")
    for one in (loaded, odvae.load(tmp_path / "ours.safetensors")):
        assert (one.latent_scale, one.latent_shift) == tuple(BY_CHANNEL.values())
        scaled = one.scale_latent(torch.ones(1, 4, 1, 1, 1)).flatten()
        torch.testing.assert_close(scaled, torch.tensor([0.5, 0.9, 1.6, 5.2]))


def test_fewer_equal_factors_than_channels_are_one_factor(vae):
    fields = describe_as_published(vae)
    fields |= {"scale": [0.5] * 2, "shift": [0.0]}
    assert wfvae_from_published(fields).latent_scale == 0.5
    with pytest.raises(ValueError, match="got 2 values of scale for 4 channels"):
        wfvae_from_published({**fields, "scale": [0.5, 0.6]})


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"_class_name": "WFVAE2Model"}, "the class WFVAE2Model; no release of WF-VAE has it"),
        ({"norm_type": "groupnorm"}, "'groupnorm'; a WF-VAE here has 'layernorm'; no release"),
        ({"t_interpolation": "nearest"}, "'nearest'; a WF-VAE here has 'trilinear'; no release"),
        ({"l1_upsample_wavelet": "InverseHaarWaveletTransform3D"}, "all of a picture, or all of"),
    ],
)
def test_unreleased_configurations_are_refused_in_words(vae, tmp_path, change, text):
    fields = describe_as_published(vae) | change
    with pytest.raises(odvae.CheckpointError, match=text):
        odvae.load(write_folder(vae, tmp_path, fields))


def test_weights_with_norms_over_groups_are_refused_in_words(vae, tmp_path):
    tensors = {key.replace(".norm.", "."): value for key, value in to_published(vae).items()}
    tensors = {key.replace("norm_out.norm", "norm_out"): v for key, v in tensors.items()}
    save_file(tensors, tmp_path / "vae.safetensors")
    with pytest.raises(odvae.CheckpointError, match=r"norms over groups .*no release of WF-VAE"):
        odvae.load(tmp_path / "vae.safetensors")
