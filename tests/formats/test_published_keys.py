"""odvae_core/formats: the authors' names, and what they tell of a network."""

import random
from dataclasses import replace

import pytest
import torch

from odvae_core.checkpoint.mismatch import build_empty, find_mismatch
from odvae_core.families.odvae_config import PRESETS, Level, OdvaeConfig
from odvae_core.formats import (
    infer_odvae,
    is_odvae,
    order_weights,
    select_weights,
    strip_owner,
    to_ldm,
)
from odvae_core.registry import read_config
from tests.checkpoints import build_small
from tests.golden import find_cases, read_case

ALIKE = {"keys_odvae_variant1_code_default", "odvae_variant1", "odvae_tail_variant1"}
"""Cases that pool time elsewhere than v1.0 was released, by layers without weights."""


def empty(shapes):
    """Tensors of no memory: shapes by name."""
    return {key: torch.empty(tuple(shape), device="meta") for key, shape in shapes}


def random_config(seed):
    """A mixture of OD-VAE's layers whose weights tell everything but what v1.0 assumes."""
    draw = random.Random(seed)
    pick = draw.choice
    blocks, attention = ("2d", "3d", "half"), pick(("frame", "2d", "temporal"))
    halving = [pick((("frame", "mixed"), ("space", "mixed"), ("joint", ""))) for _ in range(2)]
    doubling = [pick((("frame", "mixed"), ("space", "mixed"), ("joint", ""))) for _ in range(2)]
    downs = [(pick(("frame", "space")), ""), *halving, ("", "")]
    ups = [("", ""), (pick(("frame", "space")), ""), *doubling]
    return OdvaeConfig(
        tuple(
            Level(pick((1, 2)), pick(blocks), *down, pick(blocks), *up)
            for down, up in zip(downs, ups, strict=True)
        ),
        width=pick((32, 64)),
        blocks=pick((1, 2)),
        z_channels=pick((4, 8)),
        quant=pick(("2d", "3d")),
        embed_dim=pick((4, 6)),
        attention_resolutions=pick(((), (32,), (64, 128))),
        encoder_in=pick(("2d", "3d")),
        encoder_middle=pick(blocks),
        encoder_attention=attention,
        encoder_out=pick(("2d", "3d")),
        decoder_in=pick(("2d", "3d")),
        decoder_middle=pick(blocks),
        decoder_attention=attention,
        decoder_out=pick(("2d", "3d")),
    )


@pytest.mark.parametrize("name", [*find_cases("keys_odvae"), *find_cases("odvae_tail")])
def test_the_keys_of_a_published_model_tell_its_architecture(name):
    case, _ = read_case(name)
    tensors, config = empty(case["keys"]), read_config(case["config"])
    assert is_odvae(tensors)
    inferred, _ = infer_odvae(tensors)
    assert find_mismatch(build_empty(inferred), tensors) == ""
    assert (inferred == config) is (name not in ALIKE)


@pytest.mark.parametrize("name", find_cases("odvae_v"))
def test_the_keys_of_a_test_case_tell_its_architecture(name):
    case, _ = read_case(name)
    inferred, _ = infer_odvae(empty(case["keys"]))
    expected = read_config(case["config"])
    assert inferred == expected or name.startswith("odvae_variant1")
    assert find_mismatch(build_empty(inferred), build_empty(expected).state_dict()) == ""


@pytest.mark.parametrize("name", ["odvae-v1.0", "odvae-v1.1", "odvae-v1.2", "odvae-variant-2"])
def test_the_keys_of_a_preset_tell_its_architecture_in_the_published_reading(name):
    assert infer_odvae(build_empty(PRESETS[name]).state_dict())[0] == PRESETS[name]


@pytest.mark.parametrize("seed", range(12))
def test_the_keys_of_any_mixture_tell_its_architecture(seed):
    config = random_config(seed)
    assert infer_odvae(build_empty(config).state_dict())[0] == config


def test_what_keys_never_tell_is_told_as_an_assumption():
    _, v1_0 = infer_odvae(build_empty(PRESETS["odvae-v1.0"]).state_dict())
    assert v1_0 == (
        "attention mixes channels with time, as published with v1.0 (AttnBlock3D)",
        "time is pooled after encoder levels 0 and 1, as v1.0 was released",
        "time is interpolated after decoder levels 2 and 3, as v1.0 was released",
        "norms span the clip, in 32 groups, as published",
    )
    _, v1_2 = infer_odvae(build_empty(PRESETS["odvae-v1.2"]).state_dict())
    assert v1_2 == (
        "attention works frame by frame, as published from v1.1 on (AttnBlock3DFix)",
        "upsampling in time and space is linear, as published with v1.2",
        "norms span the clip, in 32 groups, as published",
    )


def test_a_decoder_without_time_weights_doubles_time_as_often_as_the_encoder_halves_it():
    linear = replace(
        PRESETS["odvae-v1.2"],
        levels=tuple(
            replace(level, up="space", up_time="linear") if level.up == "joint" else level
            for level in PRESETS["odvae-v1.2"].levels
        ),
    )
    inferred, assumptions = infer_odvae(build_empty(linear).state_dict())
    assert inferred == linear
    assert "time is interpolated after decoder levels 2 and 3, as v1.0 was released" in assumptions


def test_averaged_weights_come_first_and_raw_ones_can_be_chosen():
    tensors = {
        "ema_state_dict.module.a": torch.zeros(1),
        "state_dict.gen_model.a": torch.ones(1),
        "state_dict.dics_model.b": torch.ones(1),
    }
    ema, section = select_weights(tensors, "ema")
    assert (list(ema), float(ema["a"]), section) == (["a"], 0.0, "ema_state_dict")
    raw, section = select_weights(tensors, "raw")
    assert (list(raw), float(raw["a"]), section) == (["a"], 1.0, "state_dict.gen_model")


@pytest.mark.parametrize("wrapper", ["module.", "_orig_mod.", "module._orig_mod."])
def test_a_key_with_and_without_a_wrappers_name_is_refused(wrapper):
    tensors = {f"{wrapper}a.weight": torch.zeros(1), "b.weight": torch.zeros(1)}
    assert list(select_weights(tensors, "ema")[0]) == ["a.weight", "b.weight"]
    with pytest.raises(ValueError, match=r"it holds a\.weight twice, with and without a wrapper"):
        select_weights({**tensors, "a.weight": torch.zeros(1)}, "ema")


def test_raw_weights_are_refused_where_only_averaged_ones_are():
    with pytest.raises(ValueError, match=r"averaged \(EMA\) weights only; ask for weights='ema'"):
        select_weights({"ema_state_dict.a": torch.zeros(1)}, "raw")


@pytest.mark.parametrize("owner", ["", "first_stage_model.", "vae."])
def test_what_a_trainer_keeps_beside_the_vae_is_left_out(owner):
    keys = ("a", "loss.lpips.b", "perceptual_loss.c", "dics_model.d", "discriminator.e")
    tensors = {f"{owner}{key}": torch.zeros(1) for key in keys}
    others = {"model.diffusion_model.x": torch.zeros(1)} if owner else {}
    assert list(strip_owner(tensors | others)) == ["a"]


def test_an_odvae_folder_gives_its_ckpt_first_and_another_its_safetensors():
    assert order_weights({"hidden_size_mult": [1, 2]})[0] == ".ckpt"
    assert order_weights({"ch_mult": [1, 2]})[0] == ".safetensors"


@pytest.mark.parametrize("spelling", ["ldm", "diffusers", "old diffusers", "whole SD checkpoint"])
def test_every_spelling_of_the_2d_vae_becomes_ldms(spelling):
    rows = read_case("map_ldm_diffusers_2d")[0]["rows"]
    older = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    given = {}
    for ldm, shape, diffusers, diffusers_shape in rows:
        name = ldm if spelling == "ldm" else diffusers
        for new, old in older.items() if spelling == "old diffusers" else ():
            name = name.replace(f".{new}.", f".{old}.")
        if spelling == "whole SD checkpoint":
            name = f"first_stage_model.{ldm}"
        ours = spelling in ("ldm", "whole SD checkpoint")
        given[name] = torch.empty(shape if ours else diffusers_shape, device="meta")
    if spelling == "whole SD checkpoint":
        given["model.diffusion_model.time_embed.0.weight"] = torch.empty(4, 4, device="meta")
    found = {key: list(tensor.shape) for key, tensor in to_ldm(given).items()}
    assert found == {ldm: shape for ldm, shape, *_ in rows}


@pytest.mark.parametrize("preset", ["odvae-v1.0", "odvae-v1.2"])
def test_a_video_vae_is_no_2d_vae(preset):
    with pytest.raises(ValueError, match=r"got no 2D Stable Diffusion VAE.*encoder.conv_in"):
        to_ldm(build_small(preset).state_dict())
