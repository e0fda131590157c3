"""A file of other weights, or of too few or too many, is refused in words."""

import json
import re

import pytest
import torch
from safetensors.torch import save_file

import odvae_core as odvae
from odvae_core.config import to_dict
from tests.checkpoints import build_small
from tests.golden import read_case


@pytest.fixture(scope="module")
def weights():
    torch.manual_seed(0)
    return build_small().state_dict()


@pytest.fixture
def refusal(tmp_path):
    """The text with which weights are refused."""

    def load(weights, metadata=None, **arguments):
        save_file(weights, tmp_path / "vae.safetensors", metadata)
        with pytest.raises(odvae.CheckpointError) as raised:
            odvae.load(tmp_path / "vae.safetensors", **arguments)
        assert str(raised.value).startswith(str(tmp_path / "vae.safetensors"))
        return str(raised.value)

    return load


def without(weights, keys):
    return {key: value for key, value in weights.items() if key not in keys}


def explain(vae):
    """The metadata of a file of ours."""
    return {"format": "1", "family": "odvae", "config": json.dumps(to_dict(vae.config))}


@pytest.mark.parametrize("described", [True, False])
def test_missing_keys_are_counted_and_the_first_five_named(refusal, weights, described):
    gone = [key for key in weights if key.startswith("decoder.up.1.block.1")]
    metadata = explain(build_small()) if described else None
    text = refusal(without(weights, gone), metadata)
    assert f"8 keys are missing: {', '.join(gone[:5])}, ..." in text


def test_unexpected_keys_are_counted_and_the_first_five_named(refusal, weights):
    extra = {f"adapter.{i}": torch.rand(2) for i in range(7)}
    text = refusal({**weights, **extra})
    assert (
        "7 keys are unexpected: adapter.0, adapter.1, adapter.2, adapter.3, adapter.4, ..." in text
    )


@pytest.mark.parametrize(
    "layer", ["encoder.conv_in", "decoder.conv_in", "encoder.down.1.downsample", "quant_conv"]
)
def test_a_missing_layer_is_named_even_where_the_wiring_follows_from_it(refusal, weights, layer):
    gone = [key for key in weights if key.startswith(f"{layer}.")]
    text = refusal(without(weights, gone))
    assert re.search(rf"\d+ keys are missing: .*{gone[0]}", text)


def test_a_shape_that_does_not_fit_is_named_with_the_right_one(refusal, weights):
    wrong = {**weights, "decoder.conv_out.conv.bias": torch.zeros(4)}
    text = refusal(wrong)
    assert "1 shapes differ: decoder.conv_out.conv.bias is [4] instead of [3]" in text


def test_a_2d_vae_is_to_be_inflated(refusal):
    assert "a plain 2D Stable Diffusion VAE" in refusal(build_small("sd-vae").state_dict())


def test_a_2d_vae_in_diffusers_names_or_inside_a_checkpoint_is_to_be_inflated(refusal):
    rows = read_case("map_ldm_diffusers_2d")[0]["rows"]
    assert "inflate it" in refusal({row[2]: torch.zeros(row[3]) for row in rows})
    assert "inflate it" in refusal(
        {f"first_stage_model.{row[0]}": torch.zeros(row[1]) for row in rows}
    )


@pytest.mark.parametrize(
    ("family", "keys"),
    [
        ("Allegro", ["decoder.up_blocks.0.temp_convs.0.conv1.0.weight"]),
        ("LTX-Video", ["decoder.up_blocks.0.res_blocks.0.conv1.conv.weight"]),
        ("WF-VAE 2", ["encoder.down_blocks.0.in_flow_conv.weight"]),
    ],
)
def test_the_vae_of_another_design_is_named(refusal, family, keys):
    text = refusal({key: torch.zeros(2, 2, 1, 1, 1) for key in keys})
    assert f"it is the {family} VAE, which this package doesn't support" in text


def test_weights_of_no_vae_are_refused_with_their_first_keys(refusal):
    text = refusal({f"layer.{i}.weight": torch.rand(2) for i in range(9)})
    assert "its 9 keys are layer.0.weight, layer.1.weight, " in text


def test_a_pickle_without_tensors_is_refused(tmp_path):
    for content in ({}, {"epoch": 1}, [torch.zeros(2)]):
        torch.save(content, tmp_path / "vae.ckpt")
        with pytest.raises(odvae.CheckpointError, match="holds no tensors: give a file of weights"):
            odvae.load(tmp_path / "vae.ckpt")


def test_a_trainers_averages_beside_the_weights_are_no_part_of_the_vae(tmp_path, weights):
    averages = {"model_ema.decay": torch.tensor(0.9), "model_ema.num_updates": torch.tensor(3)}
    torch.save({"state_dict": {**weights, **averages}}, tmp_path / "vae.ckpt")
    assert odvae.load(tmp_path / "vae.ckpt").state_dict().keys() == weights.keys()


def test_a_file_of_losses_alone_is_refused(refusal):
    assert "holds no tensors of a VAE" in refusal({"loss.weight": torch.rand(2)})


def test_metadata_without_a_configuration_is_refused(refusal, weights):
    assert "no config or no family" in refusal(weights, {"format": "1", "family": "odvae"})


def test_metadata_of_an_unknown_family_or_field_is_refused(refusal, weights):
    metadata = explain(build_small())
    assert "got family 'other'" in refusal(weights, {**metadata, "family": "other"})
    fields = json.dumps({**json.loads(metadata["config"]), "colour": "red"})
    assert "no field colour" in refusal(weights, {**metadata, "config": fields})
    assert "holds no fields" in refusal(weights, {**metadata, "config": "[]"})
    for broken in ("{broken", "[" * 100_000):
        assert "config can't be used: it is no JSON" in refusal(
            weights, {**metadata, "config": broken}
        )


def test_metadata_of_another_configuration_is_refused(refusal, weights):
    assert "don't fit its configuration in its metadata" in refusal(
        weights, explain(build_small("odvae-v1.1"))
    )
