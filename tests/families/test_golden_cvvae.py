"""CV-VAE equals its authors' code: whole models within 1e-4, modules within 2e-5."""

import pytest
import torch

import odvae_core as odvae
from odvae_core.families.cvvae import DiffusersBlock
from odvae_core.families.cvvae_config import PRESETS
from odvae_core.layers import attention, centred, conv, norm, resnet
from odvae_core.schedules import Report
from tests.golden import (
    build_case,
    build_empty,
    check_keys,
    find_cases,
    make_weights,
    read_case,
)

ILLEGAL = ("odd", "size", "tile72")  # frames that are not 1 + 4k, or sides no multiples of 8
CASES = [name for name in find_cases("cvvae_") if "_mod_" not in name]
MODELS = [name for name in CASES if not any(word in name for word in ILLEGAL)]
REFUSED = [name for name in CASES if any(word in name for word in ILLEGAL)]


def published_cut(fields, clip):
    """The schedule and tiles that the authors' settings mean for a clip."""
    chunk, size = fields["en_de_n_frames_a_time"], fields["tile_spatial_size"]
    schedule = odvae.Windows(chunk + 1) if chunk else odvae.Whole()
    if max(clip.shape[-2:]) <= size:
        return schedule, None
    overlap = round(size * fields["tile_overlap_ratio"])
    return schedule, odvae.Tiles(size, overlap, stop_at_border=True)


def as_clip(x):
    """The authors take a picture for a clip of one frame."""
    return x if x.ndim == 5 else x[:, :, None]


@pytest.mark.parametrize("name", MODELS)
def test_a_model_equals_the_authors(name):
    case, golden = read_case(name)
    vae, clip = build_case(case), as_clip(golden["x"])
    schedule, tiles = published_cut(case["config"], clip)
    posterior = vae.encode(clip, schedule, tiles)
    torch.testing.assert_close(posterior.mean, golden["mean"], rtol=0, atol=1e-4)
    torch.testing.assert_close(posterior.logvar, golden["logvar"], rtol=0, atol=1e-4)
    decoded = vae.decode(golden["mean"], schedule, tiles)
    torch.testing.assert_close(decoded, golden["dec"], rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", REFUSED)
def test_a_clip_that_the_authors_code_cuts_silently_is_refused_and_fits(name):
    case, golden = read_case(name)
    vae = build_case(case)
    with pytest.raises(ValueError, match=r"takes (1 \+ 4k|multiples of 8)"):
        vae.encode(golden["x"])
    size = odvae.padding.ClipSize.of(golden["x"])
    fitted = vae.decode(vae.encode(odvae.padding.pad(golden["x"], vae)).mean)
    assert odvae.padding.ClipSize.of(odvae.padding.crop(fitted, size)) == size
    schedule, tiles = published_cut(case["config"], golden["x"])
    moments = schedule.run(vae.encoder_pass(), golden["x"], tiles, Report(None))
    torch.testing.assert_close(vae.posterior(moments).mean, golden["mean"], rtol=0, atol=1e-4)
    decoded = vae.decode(golden["mean"], schedule, tiles)
    torch.testing.assert_close(decoded, golden["dec"], rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", [name for name in CASES if "trace" in name])
def test_every_traced_layer_equals_the_authors(name):
    case, golden = read_case(name)
    vae, seen = build_case(case), {}
    for module_name, module in vae.named_modules():
        module.register_forward_hook(
            lambda _, __, output, key=f"at.{module_name}": seen.setdefault(key, output)
        )
    vae.decode(vae.encode(golden["x"]).mean)
    shared = seen.keys() & golden.keys()
    assert len(shared) > 5
    for key in shared:
        torch.testing.assert_close(seen[key], golden[key], rtol=0, atol=1e-4, msg=key)


def clip_norm(channels, eps=1e-5):
    return norm.ClipGroupNorm(32, channels, eps)


def block(kind, ends, space, eps, shortcut):
    def build(in_channels, out_channels, **_):
        def conv_3d(*channels):
            return centred.ClipConv3d(*channels, ends=ends, space=space)

        norms = clip_norm(in_channels, eps), clip_norm(out_channels, eps)
        return kind(in_channels, out_channels, (conv_3d, conv.FrameConv2d), norms, shortcut)

    return build


MODULES = {
    "CausalConv3d": lambda in_channels, out_channels, kernel_size, padding: centred.ClipConv3d(
        in_channels, out_channels, kernel_size, padding=padding
    ),
    "Downsample3D": lambda in_channels, down_time, **_: centred.ClipDown2x(in_channels, down_time),
    "Upsample3D": lambda in_channels, up_time, **_: centred.ClipUp2x(in_channels, up_time),
    "ResnetBlock3D": lambda causal, **args: block(
        resnet.ResnetBlock, "causal" if causal else "zeros", "zeros", 1e-5, None
    )(**args),
    "MemoryEfficientAttnBlock": lambda in_channels: attention.FrameAttention(
        in_channels, norm.FrameGroupNorm(32, in_channels, 1e-5), conv.FrameConv2d
    ),
    "MemoryEfficientAttnVideoBlock": lambda in_channels: attention.SpaceTimeAttention(
        in_channels, norm.FrameGroupNorm(32, in_channels, 1e-5)
    ),
    "sd3 AttentionWithExtraDim": lambda query_dim, **_: attention.LinearFrameAttention(
        query_dim, norm.FrameGroupNorm(32, query_dim, 1e-6)
    ),
    "sd3 Downsample3D": lambda channels, down_time, **_: centred.ClipDown2x(
        channels, down_time, space="replicate"
    ),
    "sd3 Upsample3D": lambda channels, up_time, **_: centred.ClipUp2x(
        channels, up_time, space="replicate"
    ),
    "sd3 ResnetBlock3D": lambda causal, **args: block(
        DiffusersBlock, "causal" if causal else "replicate", "replicate", 1e-6, conv.FrameConv2d
    )(**args),
}


@pytest.mark.parametrize("name", find_cases("cvvae_mod_"))
def test_a_module_equals_the_authors(name):
    case, golden = read_case(name)
    module = MODULES[case["config"]["class"]](**case["config"]["args"]).requires_grad_(False)
    module.load_state_dict(make_weights(case))
    inputs = [key for key in golden if key.startswith("x")]
    assert inputs
    for key in inputs:
        expected = golden[key.replace("x", "y", 1)]
        torch.testing.assert_close(module(golden[key]), expected, rtol=0, atol=2e-5, msg=key)


@pytest.mark.parametrize("name", find_cases("keys_cvvae"))
def test_the_state_dict_has_the_published_names_and_shapes(name):
    case, _ = read_case(name)
    vae = build_empty(case)
    check_keys(vae, case)
    assert vae.config in PRESETS.values()
