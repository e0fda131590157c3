"""IV-VAE equals its authors' code: whole models within 1e-4, modules within 2e-5."""

import pytest
import torch

import odvae_core as odvae
from odvae_core.families.ivvae_config import PRESETS
from odvae_core.layers import separated
from odvae_core.layers.group_causal import GroupCausalConv3d
from odvae_core.layers.norm import RMSNorm
from odvae_core.schedules import Report
from tests.golden import (
    build_case,
    build_empty,
    check_keys,
    find_cases,
    make_weights,
    read_case,
)

ILLEGAL = ("odd", "size")  # frames that are not 1 + 4k, or sides no multiples of 8
CASES = [name for name in find_cases("ivvae_") if "_mod_" not in name]
MODELS = [name for name in CASES if not any(word in name for word in (*ILLEGAL, "trace"))]
REFUSED = [name for name in CASES if any(word in name for word in ILLEGAL)]


def scaled(vae, latent):
    """As the authors' `encode` gives latents; ours are unscaled."""
    return vae.latent_scale * (latent - vae.latent_shift)


@pytest.mark.parametrize("schedule", [odvae.Whole(), odvae.Stream(5)])
@pytest.mark.parametrize("name", MODELS)
def test_a_model_equals_the_authors(name, schedule):
    case, golden = read_case(name)
    vae = build_case(case)
    posterior = vae.encode(golden["x"], schedule)
    torch.testing.assert_close(posterior.mean, golden["mean"], rtol=0, atol=1e-4)
    torch.testing.assert_close(posterior.logvar, golden["logvar"], rtol=0, atol=1e-4)
    torch.testing.assert_close(scaled(vae, posterior.mean), golden["z"], rtol=0, atol=1e-4)
    decoded = vae.decode(golden["mean"], schedule)
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
    kept = golden["x"][:, :, : golden["dec"].shape[2]]
    moments = odvae.Whole().run(vae.encoder_pass(), kept, None, Report(None))
    torch.testing.assert_close(vae.posterior(moments).mean, golden["mean"], rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", [name for name in CASES if "trace" in name])
def test_every_traced_layer_equals_the_authors_chunk_by_chunk(name):
    case, golden = read_case(name)
    vae, seen = build_case(case), {}
    for module_name, module in vae.named_modules():
        module.register_forward_hook(
            lambda _, __, output, key=module_name: seen.setdefault(key, []).append(output)
        )
    latent = vae.encode(golden["x"], odvae.Stream(5)).mean
    torch.testing.assert_close(scaled(vae, latent), golden["z"], rtol=0, atol=1e-4)
    torch.testing.assert_close(vae.decode(latent), golden["dec"], rtol=0, atol=1e-4)
    traced = {name.split(".", 1)[1] for name in golden if name.startswith("chunk")} & seen.keys()
    assert len(traced) > 4
    for layer in traced:
        theirs = [golden[key] for key in golden if key.split(".", 1)[-1] == layer]
        torch.testing.assert_close(
            torch.cat(seen[layer], dim=2), torch.cat(theirs, dim=2), rtol=0, atol=1e-4, msg=layer
        )


def block(conv):
    def build(in_dim_2d, out_dim_2d, **args):
        before, after = 2 * in_dim_2d, 2 * out_dim_2d

        def make(*channels):
            return conv(*channels, **({"group": args["t_c"]} if "t_c" in args else {}))

        norms = RMSNorm(before), RMSNorm(after)
        return separated.SeparatedBlock(before, after, (make, make), norms)

    return build


def resample(dim, mode, **_):
    layer = separated.SeparatedDown2x if mode.startswith("down") else separated.SeparatedUp2x
    return layer(2 * dim, time=mode.endswith("3d"))


MODULES = {
    "Group_Causal_Conv3d": lambda in_dim, out_dim, kernel, t_c, **_: GroupCausalConv3d(
        in_dim, out_dim, kernel, t_c
    ),
    "First_Sep_Conv3d": lambda in_dim_2d, out_dim_2d, kernel, t_c, **_: separated.SeparatedConv3d(
        in_dim_2d, 2 * out_dim_2d, kernel, t_c
    ),
    "Resample": resample,
    "Sep_RMS_norm": lambda dim_2d, **_: RMSNorm(2 * dim_2d),
    "Sep_AttentionBlock": lambda dim_2d, **_: separated.SeparatedAttention(2 * dim_2d),
    "Sep_ResidualBlock": block(separated.SeparatedConv3d),
    "Sep_ResidualBlock_2d": block(separated.SharedConv2d),
    "PAC": lambda in_dim_2d, out_dim_2d: separated.AtrousConvs(2 * in_dim_2d, 2 * out_dim_2d),
}


def list_clips(kind, golden):
    """Pairs of a clip and what comes out of its end.

    The authors' modules get a clip in pieces, with a cache of what came before; here all is joined.
    """
    if "cache" in golden:
        before = golden["x_group"][:, :, -1:]
        yield golden["x_first"], golden["y_first"]
        yield golden["x_first2"], golden["y_first2"]
        yield torch.cat([golden["cache"], golden["x_group"]], dim=2), golden["y_group"]
        yield torch.cat([before, golden["x_two_groups"]], dim=2), golden["y_two_groups"]
    elif kind == "Resample":
        yield golden["x_T1"], golden["y_T1"]
        for key in ("T2", "T4"):
            clip = golden[f"x_{key}"]
            later = golden.get(f"y_cached_{key}", golden[f"y_{key}"])
            yield torch.cat([clip[:, :, :1], clip], dim=2), later
    elif "y1" in golden:
        pieces = (torch.cat([golden[f"{name}0"], golden[f"{name}1"]], dim=2) for name in "xy")
        yield tuple(pieces)
    else:
        inputs = [key for key in golden if key.startswith("x")]
        yield from ((golden[key], golden[key.replace("x", "y", 1)]) for key in inputs)


@pytest.mark.parametrize("name", find_cases("ivvae_mod_"))
def test_a_module_equals_the_authors(name):
    case, golden = read_case(name)
    kind = case["config"]["class"]
    module = MODULES[kind](**case["config"]["args"]).requires_grad_(False)
    module.load_state_dict(make_weights(case))
    clips = list(list_clips(kind, golden))
    assert clips
    for clip, expected in clips:
        result = module(clip)[:, :, -expected.shape[2] :]
        torch.testing.assert_close(result, expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize("name", find_cases("keys_ivvae"))
def test_the_state_dict_has_the_published_names_and_shapes(name):
    case, _ = read_case(name)
    vae = build_empty(case)
    check_keys(vae, case)
    assert vae.config in PRESETS.values()
