"""odvae_core/families/cvvae.py: the same, however a clip is cut, and what it refuses."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

import odvae_core as odvae
from odvae_core.families.cvvae_config import PRESETS, CvvaeConfig, Level
from odvae_core.formats import infer_cvvae
from odvae_core.layers import centred
from tests.contract import draw_cuts
from tests.golden import find_cases, make_weights, read_case

TINY = CvvaeConfig(
    levels=(
        Level(8, "joint", ""),
        Level(8, "space", "joint"),
        Level(16, "joint", "space"),
        Level(16, "", "joint"),
    ),
    blocks=1,
    norm_groups=4,
)
KINDS = {
    "cvvae": TINY,
    "cvvae-sd3": replace(TINY, parent="sd3", z_channels=16, decoder_attention="frame"),
    "causal decoder": replace(TINY, decoder_time="causal", decoder_attention="frame"),
    "causal sd3": replace(TINY, parent="sd3", decoder_time="causal", decoder_attention="frame"),
    "3d blocks": replace(TINY, second_conv="3d"),
    "centred encoder": replace(TINY, encoder_time="centred", encoder_attention="space-time"),
    "centred sd3": replace(TINY, parent="sd3", encoder_time="centred", decoder_attention="frame"),
    "attention at levels": replace(TINY, attention_resolutions=(32, 128)),
}


def test_the_presets_have_the_papers_sizes():
    with torch.device("meta"):
        vaes = [odvae.build(name) for name in ("cvvae", "cvvae-sd3")]
    counts = [sum(weight.numel() for weight in vae.parameters()) for vae in vaes]
    assert counts == [182_446_475, 181_892_515]
    assert [vae.latent_channels for vae in vaes] == [4, 16]
    assert [(vae.temporal_compression, vae.spatial_compression) for vae in vaes] == [(4, 8)] * 2
    assert [vae.latent_scale for vae in vaes] == [0.18215, 1.5305]


def make_vae(config):
    """A small model whose norms are not at their first values."""
    torch.manual_seed(0)
    vae = odvae.build(config).double().eval()
    with torch.no_grad():
        for weight in vae.parameters():
            if weight.ndim == 1:
                weight += 0.2 * torch.randn_like(weight)
    return vae.requires_grad_(False)


def make_clip(frames=17, height=16, width=24):
    generator = torch.Generator().manual_seed(frames)
    clip = torch.rand(1, 3, frames, height, width, generator=generator, dtype=torch.float64)
    return clip * 2 - 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sweep", [odvae.Sweep(5), odvae.Sweep(9, park=True)])
def test_a_sweep_equals_the_whole_clip(kind, sweep):
    vae, clip = make_vae(KINDS[kind]), make_clip()
    latent = vae.encode(clip).mean
    torch.testing.assert_close(vae.encode(clip, sweep).mean, latent, rtol=0, atol=1e-10)
    whole = vae.decode(latent)
    torch.testing.assert_close(vae.decode(latent, sweep), whole, rtol=0, atol=1e-10)


@pytest.mark.parametrize("lengths", list(draw_cuts(9, count=6)))
@pytest.mark.parametrize("kind", ["cvvae", "cvvae-sd3"])
def test_a_sweep_equals_the_whole_clip_for_any_partition_of_it(monkeypatch, kind, lengths):
    vae, clip = make_vae(KINDS[kind]), make_clip(9, 16, 16)
    latent = vae.encode(make_clip(33, 16, 16)).mean
    whole = vae.encode(clip).mean, vae.decode(latent)
    pieces = [length for length in lengths if length]
    monkeypatch.setattr(
        "odvae_core.schedules.sweep.cut_clip", lambda clip, *_: iter(clip.split(pieces, dim=2))
    )
    swept = vae.encode(clip, odvae.Sweep()).mean, vae.decode(latent, odvae.Sweep())
    torch.testing.assert_close(swept, whole, rtol=0, atol=1e-10)


def count_convolved(vae, latent, schedule):
    """Frames that come out of all 3D convolutions as a latent is decoded."""
    frames = []
    hooks = [
        module.register_forward_hook(lambda _, __, output: frames.append(output.shape[2]))
        for module in vae.modules()
        if isinstance(module, centred.ClipConv3d)
    ]
    vae.decode(latent, schedule)
    for hook in hooks:
        hook.remove()
    return sum(frames)


@pytest.mark.parametrize("kind", KINDS)
def test_a_sweep_convolves_exactly_the_frames_of_the_whole_clip(kind):
    vae = make_vae(KINDS[kind])
    latent = vae.encode(make_clip()).mean
    whole = count_convolved(vae, latent, odvae.Whole())
    assert count_convolved(vae, latent, odvae.Sweep(5)) == whole > 0


def test_a_sweep_shows_temporal_attention_rows_of_the_picture(monkeypatch):
    """The features of all frames never lie on the device at once, however long the clip is."""
    vae, sizes = make_vae(TINY), []
    layer = vae.decoder.get_submodule("mid.attn_1")
    layer.norm_t.register_forward_pre_hook(lambda _, inputs: sizes.append(inputs[0].numel()))
    latent = torch.randn(1, 4, 17, 8, 4, dtype=torch.float64)
    swept = vae.decode(latent, odvae.Sweep(9))
    of_a_slab = 16 * 3 * 8 * 4
    assert max(sizes) <= of_a_slab
    assert sum(sizes) == 16 * 17 * 8 * 4
    torch.testing.assert_close(swept, vae.decode(latent), rtol=0, atol=1e-10)


def test_progress_counts_up_to_its_total_through_temporal_attention():
    vae, calls = make_vae(TINY), []
    latent = vae.encode(make_clip()).mean
    vae.decode(latent, odvae.Sweep(9), progress=lambda *call: calls.append(call))
    done, totals = zip(*calls, strict=True)
    assert list(done) == sorted(done)
    assert done[-1] == totals[-1]


def test_a_stream_through_temporal_attention_is_refused_with_the_reason():
    vae = make_vae(TINY)
    latent = vae.encode(make_clip(9)).mean
    with pytest.raises(ValueError, match=r"temporal attention sees all frames.*Sweep"):
        vae.decode(latent, odvae.Stream(5))
    with pytest.raises(ValueError, match=r"temporal attention sees all frames.*Sweep"):
        list(vae.decode_stream([latent], odvae.Stream(5)))


@pytest.mark.parametrize("tiles", [None, odvae.Tiles(16, overlap=8)])
def test_a_stream_without_temporal_attention_gives_every_frame(tiles):
    """It withholds frames, even whole chunks, that wait for later ones."""
    vae = make_vae(KINDS["cvvae-sd3"])
    latent = vae.encode(make_clip()).mean
    chunks = list(vae.decode_stream(latent.split(1, dim=2), odvae.Stream(5), tiles))
    assert all(chunk.shape[2] for chunk in chunks)
    assert torch.cat(chunks, dim=2).shape == (1, 3, 17, 16, 24)


def test_the_decoder_is_not_causal_but_the_encoder_is_apart_from_its_norms():
    vae = make_vae(TINY)
    latent = vae.encode(make_clip(9)).mean
    other = latent.clone()
    other[:, :, -1] += 1
    changed = (vae.decode(other) - vae.decode(latent)).abs().amax(dim=(0, 1, 3, 4))
    assert (changed > 1e-6).all()


def test_a_gradient_goes_through_both_ways():
    vae = make_vae(TINY).requires_grad_()
    clip = make_clip(5, 16, 16).requires_grad_()
    vae(clip).square().mean().backward()
    assert clip.grad.abs().sum() > 0
    assert not [name for name, weight in vae.named_parameters() if weight.grad is None]


def test_published_windows_and_tiles_are_the_authors():
    for preset in PRESETS:
        assert odvae.Windows.published(preset) == odvae.Windows(17)
        assert odvae.Tiles.published(preset) == odvae.Tiles(576, 128, stop_at_border=True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"decoder_attention": "linear"}, r"decoder_attention = 'linear'; it is one of"),
        ({"norm_groups": 16}, r"got a level of 8 channels; norm_groups = 16 must divide it"),
        ({"levels": TINY.levels[1:]}, r"finest level's up must be ''"),
        ({"levels": (*TINY.levels[:3], Level(16, "", "space"))}, r"make them equal"),
        ({"parent": "sd3"}, r"parent 'sd3' has 'frame' attention"),
    ],
)
def test_a_configuration_that_fits_no_network_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(TINY, **changes)


@pytest.mark.parametrize(
    ("field", "value"), [("use_3d_conv", False), ("double_z", False), ("encoder_attn_type", "none")]
)
def test_a_published_configuration_that_can_not_be_built_is_refused(field, value):
    case, _ = read_case(find_cases("keys_cvvae_vae3d")[0])
    with pytest.raises(ValueError, match=f"got {field} = {value!r}"):
        odvae.build({**case["config"], field: value})


@pytest.mark.parametrize("kind", KINDS)
def test_the_keys_tell_the_wiring_but_for_what_is_causal(kind):
    levels = tuple(replace(level, channels=4 * level.channels) for level in TINY.levels)
    config = replace(
        KINDS[kind], levels=levels, norm_groups=32, encoder_time="causal", decoder_time="centred"
    )
    with torch.device("meta"):
        weights = odvae.build(config).state_dict()
    scale = {"latent_scale": config.latent_scale, "latent_shift": config.latent_shift}
    inferred, assumptions = infer_cvvae(weights)
    assert replace(inferred, **scale) == config
    assert "causal" in assumptions[0]


@pytest.mark.parametrize("name", ["cvvae_T1_32x48", "cvvae_sd3_T1_32x48"])
def test_a_published_folder_is_loaded_with_or_without_its_configuration(tmp_path, name):
    case, golden = read_case(name)
    save_file(make_weights(case), tmp_path / "diffusion_pytorch_model.safetensors")
    alone = odvae.load(tmp_path / "diffusion_pytorch_model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(case["config"]))
    for vae in (alone, odvae.load(tmp_path)):
        assert vae.family == "cvvae"
        torch.testing.assert_close(vae.encode(golden["x"]).mean, golden["mean"], rtol=0, atol=1e-4)
    assert any("causal" in sentence for sentence in alone.provenance.assumptions)
