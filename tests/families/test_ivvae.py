"""odvae_core/families/ivvae.py: causal from group to group, so it streams exactly."""

from dataclasses import replace

import pytest
import torch

import odvae_core as odvae
from odvae_core.families.ivvae_config import PRESETS, IvvaeConfig
from odvae_core.formats import infer_ivvae
from odvae_core.layers.group_causal import GroupCausalConv3d
from odvae_core.registry import name_preset
from tests.golden import find_cases, read_case

TINY = IvvaeConfig(4, 4, 1.3196, 0.1250, multipliers=(1, 2, 2, 2), blocks=1)
PUBLISHED = [name for name, preset in PRESETS.items() if preset.branches == 2]


def make_vae(config=TINY):
    torch.manual_seed(0)
    return odvae.build(config).double().eval().requires_grad_(False)


def make_clip(frames=17, height=16, width=24):
    generator = torch.Generator().manual_seed(frames)
    clip = torch.rand(2, 3, frames, height, width, generator=generator, dtype=torch.float64)
    return clip * 2 - 1


def both_ways(vae, clip, schedule):
    latent = vae.encode(clip).mean
    posterior = vae.encode(clip, schedule)
    return posterior.mean, posterior.logvar, vae.decode(latent, schedule)


@pytest.mark.parametrize("schedule", [odvae.Stream(5), odvae.Stream(13), odvae.Sweep(9)])
@pytest.mark.parametrize("blocks", [1, 2])
def test_a_stream_and_a_sweep_equal_the_whole_clip(schedule, blocks):
    vae, clip = make_vae(replace(TINY, blocks=blocks)), make_clip()
    cut = both_ways(vae, clip, schedule)
    torch.testing.assert_close(cut, both_ways(vae, clip, odvae.Whole()), rtol=0, atol=1e-12)


@pytest.mark.parametrize("lengths", [(1,) * 17, (17,), (3, 0, 7, 2, 5), (5, 4, 8)])
@pytest.mark.parametrize("frames", [5, 9])
def test_a_stream_of_chunks_of_any_length_equals_the_whole_clip(lengths, frames):
    vae, clip, schedule = make_vae(), make_clip(), odvae.Stream(frames)
    posteriors = list(vae.encode_stream(clip.split(lengths, dim=2), schedule))
    latent = torch.cat([posterior.mean for posterior in posteriors], dim=2)
    torch.testing.assert_close(latent, vae.encode(clip).mean, rtol=0, atol=1e-12)
    for cut in ([1] * 5, [2, 3], [5]):
        video = torch.cat(list(vae.decode_stream(latent.split(cut, dim=2), schedule)), dim=2)
        torch.testing.assert_close(video, vae.decode(latent), rtol=0, atol=1e-12)


def test_a_stream_gives_a_group_as_soon_as_its_frames_are_there():
    vae, clip, read = make_vae(), make_clip(13), []

    def chunks():
        for chunk in clip.split([5, 4, 4], dim=2):
            read.append(chunk)
            yield chunk

    assert next(vae.encode_stream(chunks(), odvae.Stream(5))).mean.shape[2] == 2
    assert len(read) == 1


def test_the_whole_clip_is_one_batch_however_long_it_is():
    """No convolution is called once a group: a longer clip takes as many calls."""
    vae, calls = make_vae(), []
    for module in vae.modules():
        if isinstance(module, GroupCausalConv3d) and module.kernel_size[0] == 3:
            module._conv_forward = lambda *args, run=module._conv_forward: (
                calls.append(1) or run(*args)
            )
    counts = []
    for frames in (5, 17):
        calls.clear()
        latent = vae.encode(make_clip(frames), odvae.Whole()).mode()
        vae.decode(latent, odvae.Whole())
        counts.append(len(calls))
    assert counts[0] == counts[1] > 0


def test_no_latent_depends_on_later_frames_and_no_frame_on_later_latents():
    vae, clip = make_vae(), make_clip(13)
    latent = vae.encode(clip).mean
    for frame in (1, 4, 5, 12):
        other = clip.clone()
        other[:, :, frame:] = 0
        same = 1 + (frame - 1) // 4
        again = vae.encode(other).mean
        torch.testing.assert_close(again[:, :, :same], latent[:, :, :same], rtol=0, atol=1e-12)
        assert (again[:, :, same:] - latent[:, :, same:]).abs().max() > 1e-6
    other = latent.clone()
    other[:, :, 2:] = 0
    same = vae.decode(other)[:, :, :5], vae.decode(latent)[:, :, :5]
    torch.testing.assert_close(*same, rtol=0, atol=1e-12)


def test_the_log_variance_is_not_clamped():
    vae = make_vae()
    vae.conv1.conv_2d.bias += 100
    assert vae.encode(make_clip(5)).logvar.max() > 50


def test_latents_are_unscaled_and_the_vae_says_what_a_consumer_applies():
    with torch.device("meta"):
        scales = {
            name: (vae.latent_scale, vae.latent_shift)
            for name in PUBLISHED
            for vae in [odvae.build(name)]
        }
    assert scales == {
        "ivvae-z4": (1.3196, 0.1250),
        "ivvae-z8": (1.0940, -0.0322),
        "ivvae-z16": (0.9697, -0.1553),
        "ivvae-z16-wide": (0.7619, -0.0483),
    }


def test_the_presets_have_the_papers_sizes():
    with torch.device("meta"):
        vaes = [odvae.build(name) for name in PUBLISHED]
    counts = [sum(weight.numel() for weight in vae.parameters()) for vae in vaes]
    assert counts == [107_170_842, 107_379_150, 107_798_550, 241_854_742]
    assert [(vae.temporal_compression, vae.spatial_compression) for vae in vaes] == [(4, 8)] * 4


@pytest.mark.parametrize("name", PRESETS)
def test_the_keys_tell_the_preset_and_so_its_scale(name):
    with torch.device("meta"):
        weights = odvae.build(name).state_dict()
    config, assumptions = infer_ivvae(weights)
    assert name_preset(config) == name
    assert "scaled" in assumptions[0]


def test_keys_of_another_architecture_tell_it_without_a_scale():
    config = replace(TINY, latent_scale=1.0, latent_shift=0.0, multipliers=(1, 2, 4))
    with torch.device("meta"):
        weights = odvae.build(config).state_dict()
    assert infer_ivvae(weights) == (config, ("latents are neither scaled nor shifted",))
    del weights["decoder.conv1.conv.weight"]
    with pytest.raises(ValueError, match=r"decoder\.conv1\.conv\.weight is missing"):
        infer_ivvae(weights)


def test_a_gradient_goes_through_both_ways():
    vae = make_vae().requires_grad_()
    clip = make_clip(9, 16, 16).requires_grad_()
    posterior = vae.encode(clip)
    (vae.decode(posterior.sample()).square().mean() + posterior.kl().mean()).backward()
    assert (clip.grad.abs().amax(dim=(0, 1, 3, 4)) > 0).all()
    assert not [name for name, weight in vae.named_parameters() if weight.grad is None]


def test_the_2d_vae_of_one_branch_takes_every_frame_by_itself():
    vae, clip = make_vae(replace(TINY, z_channels=2, branches=1)), make_clip(3)
    posterior = vae.encode(clip)
    assert posterior.mean.shape == (2, 2, 3, 2, 3)
    torch.testing.assert_close(vae.encode(clip[:, :, 1:2]).mean, posterior.mean[:, :, 1:2])
    assert vae.decode(posterior.mean).shape == clip.shape
    assert not [name for name in vae.state_dict() if "3d" in name or "time" in name]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"z_channels": 5}, r"got 5 latent channels; both halves have as many: try 6"),
        ({"branches": 3}, r"got branches = 3"),
        ({"multipliers": (1, 2)}, r"got 2 levels; time is halved twice"),
    ],
)
def test_a_configuration_that_fits_no_network_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(TINY, **changes)


@pytest.mark.parametrize(
    ("field", "value"), [("temperal_downsample", [True, True, False]), ("attn_scales", [0.25])]
)
def test_published_arguments_that_can_not_be_built_are_refused(field, value):
    case, _ = read_case(find_cases("keys_ivvae_z4")[0])
    with pytest.raises(ValueError, match=f"got {field}"):
        odvae.build({**case["config"], field: value})


def test_a_published_file_is_a_bare_state_dict_and_found_by_its_keys(tmp_path):
    vae, clip = make_vae().float(), make_clip(5).float()
    torch.save(vae.state_dict(), tmp_path / "ivvae_z4.pth")
    loaded = odvae.load(tmp_path / "ivvae_z4.pth")
    assert loaded.family == "ivvae"
    assert torch.equal(loaded.encode(clip).mean, vae.encode(clip).mean)


def test_a_saved_file_keeps_the_scale(tmp_path):
    vae = make_vae().float()
    odvae.save(vae, tmp_path / "mine.safetensors")
    loaded = odvae.load(tmp_path / "mine.safetensors")
    assert loaded.config == vae.config
    assert (loaded.latent_scale, loaded.latent_shift) == (1.3196, 0.1250)
