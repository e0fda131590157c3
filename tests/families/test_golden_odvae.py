"""OD-VAE equals its authors' code: whole models within 1e-4, modules within 2e-5."""

import pytest
import torch

import odvae_core as odvae
from odvae_core.layers import attention, conv, norm, resample, resnet
from odvae_core.posterior import Posterior
from odvae_core.schedules import Report
from tests.golden import (
    build_case,
    build_empty,
    check_keys,
    find_cases,
    make_weights,
    read_case,
)

ILLEGAL = ("odd", "size", "tileS32_T2", "tileT9_T16")  # not 1 + 4k frames, or no multiples of 8
CASES = find_cases("odvae_v")
REFUSED = [name for name in CASES if any(word in name for word in ILLEGAL)]
MODELS = [name for name in CASES if name not in REFUSED]


def clip_norm(channels):
    return norm.ClipGroupNorm(32, channels, 1e-6)


def frame_norm(channels):
    return norm.FrameGroupNorm(32, channels, 1e-6)


def causal_conv(chan_in, chan_out, kernel_size, padding=0, stride=1):
    kernel = kernel_size if isinstance(kernel_size, int) else tuple(kernel_size)
    return conv.CausalConv3d(chan_in, chan_out, kernel, stride, padding)


def block(convs, make_norm):
    def build(in_channels, out_channels, **_):
        norms = make_norm(in_channels), make_norm(out_channels)
        return resnet.ResnetBlock(in_channels, out_channels, convs, norms)

    return build


MODULES = {
    "CausalConv3d": causal_conv,
    "Conv2d": lambda in_channels, out_channels, kernel_size, padding: conv.FrameConv2d(
        in_channels, out_channels, kernel_size, padding=padding
    ),
    "ResnetBlock2D": block((conv.FrameConv2d, conv.FrameConv2d), frame_norm),
    "ResnetBlock3D": block((conv.CausalConv3d, conv.CausalConv3d), clip_norm),
    "AttnBlock": lambda in_channels: attention.FrameAttention(
        in_channels, frame_norm(in_channels), conv.FrameConv2d
    ),
    "AttnBlock3D": lambda in_channels: attention.ChannelFrameAttention(
        in_channels, clip_norm(in_channels)
    ),
    "AttnBlock3DFix": lambda in_channels: attention.FrameAttention(
        in_channels, clip_norm(in_channels)
    ),
    "TemporalAttnBlock": lambda in_channels: attention.TemporalAttention(
        in_channels, clip_norm(in_channels)
    ),
    "Downsample": lambda in_channels, **_: resample.FrameDown2x(in_channels),
    "SpatialDownsample2x": lambda chan_in, chan_out: resample.SpaceDown2x(chan_in),
    "Spatial2xTime2x3DDownsample": lambda in_channels, **_: resample.JointDown2x(in_channels),
    "TimeDownsample2x": lambda **_: resample.AverageTimeDown2x(),
    "TimeDownsampleRes2x": lambda in_channels, **_: resample.MixedTimeDown2x(in_channels),
    "Upsample": lambda in_channels, **_: resample.FrameUp2x(in_channels),
    "SpatialUpsample2x": lambda chan_in, chan_out: resample.SpaceUp2x(chan_in),
    "Spatial2xTime2x3DUpsample": lambda in_channels, **_: resample.JointUp2x(in_channels),
    "TimeUpsample2x": lambda **_: resample.LinearTimeUp2x(),
    "TimeUpsampleRes2x": lambda in_channels, **_: resample.MixedTimeUp2x(in_channels),
}


def published_cut(runtime, clip):
    """The schedule and tiles that the authors' settings mean for a clip."""
    if not runtime.get("use_tiling"):
        return odvae.Whole(), None
    size = runtime["tile_sample_min_size"]
    overlap = int(size * runtime["tile_overlap_factor"])
    tiles = odvae.Tiles(size, overlap) if max(clip.shape[-2:]) > size else None
    latents = runtime["tile_latent_min_size_t"]
    if latents is None:  # v1.0 cuts space only
        return odvae.Whole(), tiles
    return odvae.Windows(runtime["tile_sample_min_size_t"], decode_frames=4 * latents - 3), tiles


@pytest.mark.parametrize("name", MODELS)
def test_a_model_equals_the_authors(name):
    case, golden = read_case(name)
    vae, (schedule, tiles) = build_case(case), published_cut(case["runtime"], golden["x"])
    posterior = vae.encode(golden["x"], schedule, tiles)
    torch.testing.assert_close(posterior.mean, golden["mean"], rtol=0, atol=1e-4)
    torch.testing.assert_close(posterior.logvar, golden["logvar"], rtol=0, atol=1e-4)
    decoded = vae.decode(golden["mean"], schedule, tiles)
    torch.testing.assert_close(decoded, golden["dec"], rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", find_cases("odvae_v120_trace"))
def test_every_traced_layer_equals_the_authors(name):
    case, golden = read_case(name)
    vae, seen = build_case(case), {}
    for module_name, module in vae.named_modules():
        module.register_forward_hook(
            lambda _, __, output, key=f"at.{module_name}": seen.setdefault(key, output)
        )
    vae.decode(vae.encode(golden["x"]).mean)
    shared = seen.keys() & golden.keys()
    assert len(shared) > 10
    for key in shared:
        torch.testing.assert_close(seen[key], golden[key], rtol=0, atol=1e-4, msg=key)


@pytest.mark.parametrize("name", REFUSED)
def test_a_clip_that_the_authors_code_cuts_silently_is_refused_and_fits(name):
    case, golden = read_case(name)
    vae = build_case(case)
    with pytest.raises(ValueError, match=r"takes (1 \+ 4k|multiples of 8)"):
        vae.encode(golden["x"])
    size = odvae.padding.ClipSize.of(golden["x"])
    padded = odvae.padding.pad(golden["x"], vae)
    decoded = odvae.padding.crop(vae.decode(vae.encode(padded).mean), size)
    assert odvae.padding.ClipSize.of(decoded) == size
    schedule, tiles = published_cut(case["runtime"], golden["x"])
    moments = schedule.run(vae.encoder_pass(), golden["x"], tiles, Report(None))
    torch.testing.assert_close(vae.posterior(moments).mean, golden["mean"], rtol=0, atol=1e-4)
    decoded = vae.decode(golden["mean"], schedule, tiles)
    torch.testing.assert_close(decoded, golden["dec"], rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", [n for n in find_cases("odvae_mod") if "posterior" not in n])
def test_a_module_equals_the_authors(name):
    case, golden = read_case(name)
    module = MODULES[case["config"]["class"]](**case["config"]["args"]).requires_grad_(False)
    module.load_state_dict(make_weights(case))
    inputs = [key for key in golden if key.startswith("x")]
    assert inputs
    for key in inputs:
        expected = golden[key.replace("x", "y", 1)]
        torch.testing.assert_close(module(golden[key]), expected, rtol=0, atol=2e-5, msg=key)


def test_a_posterior_equals_the_authors_but_for_a_kl_of_each_clip():
    _, golden = read_case("odvae_mod_posterior")
    posterior = Posterior.from_moments(golden["params"])
    for name in ("mean", "logvar", "std", "var"):
        torch.testing.assert_close(getattr(posterior, name), golden[name], rtol=2e-5, atol=2e-5)
    torch.testing.assert_close(posterior.kl(), golden["kl"].sum(1), rtol=2e-5, atol=0)


@pytest.mark.parametrize("name", find_cases("keys_odvae"))
def test_the_state_dict_has_the_published_names_and_shapes(name):
    case, _ = read_case(name)
    check_keys(build_empty(case), case)


@pytest.mark.parametrize("name", find_cases("odvae_tail"))
def test_tail_inflation_equals_the_authors(name):
    case, golden = read_case(name)
    parent = {
        key: value.to(torch.float32)
        for key, value in make_weights(
            {"keys": case["keys_2d"], "weight_salt": case["weight_salt_2d"]}
        ).items()
    }
    vae = odvae.inflate(parent, case["config"], mode="tail")
    fresh = {key: value for key, value in make_weights(case).items() if key in vae.inflation.fresh}
    fresh = {k: torch.tensor([2.0]) if k.endswith("mix_factor") else v for k, v in fresh.items()}
    vae.load_state_dict(fresh, strict=False)
    with torch.no_grad():
        posterior = vae.encode(golden["x1"][:, :, None])
        torch.testing.assert_close(posterior.mean, golden["mean_T1"], rtol=0, atol=1e-4)
        torch.testing.assert_close(posterior.logvar, golden["logvar_T1"], rtol=0, atol=1e-4)
        decoded = vae.decode(golden["mean2d"][:, :, None])
        torch.testing.assert_close(decoded, golden["dec_T1_of_mean2d"], rtol=0, atol=1e-4)
        latent = vae.encode(golden["x_video"]).mean
        torch.testing.assert_close(latent, golden["mean_video"], rtol=0, atol=1e-4)
        torch.testing.assert_close(vae.decode(latent), golden["dec_video"], rtol=0, atol=1e-4)
