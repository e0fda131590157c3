"""odvae_core/limits.py: no configuration, header, name or folder costs more than its size."""

import json
import struct

import pytest
import torch
from safetensors.torch import save_file

import odvae_core as odvae
from odvae_core import limits
from odvae_core.checkpoint.mismatch import build_empty
from odvae_core.config import check_fields, is_number
from odvae_core.families import cvvae_config, ivvae_config, odvae_config
from odvae_core.files.jsonfile import parse_fields
from odvae_core.files.tensorfile import read_tensor_file

PRESETS = {**odvae_config.PRESETS, **cvvae_config.PRESETS, **ivvae_config.PRESETS}


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_has_the_tensors_that_its_blocks_are_counted_with(name):
    config, weights = PRESETS[name], build_empty(PRESETS[name]).state_dict()
    blocks = len(config.widths) * (2 * config.blocks + 1)
    assert blocks * limits.BLOCK_TENSORS <= len(weights)
    assert max(config.widths) <= max(weight.numel() for weight in weights.values())


@pytest.mark.parametrize("field", ["blocks", "width"])
def test_what_the_tensors_can_not_hold_is_refused_before_anything_is_built(
    tmp_path, monkeypatch, field
):
    vae = odvae.load("default")
    config = {**json.loads(vae.provenance.metadata["config"]), field: 65536}
    metadata = {"format": "1", "family": "odvae", "config": json.dumps(config)}
    save_file(vae.state_dict(), tmp_path / "vae.safetensors", metadata)
    monkeypatch.setattr("odvae_core.checkpoint.detect.build_empty", pytest.fail)
    with pytest.raises(odvae.CheckpointError, match=r"but it holds|largest tensor"):
        odvae.load(tmp_path / "vae.safetensors")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"{" * 40, "more than 32 nested lists and objects"),
        (b'{"a": 1, "a": 1}', "the name 'a' comes twice"),
        (b'{"a": {"b": 1, "b": 2}}', "the name 'b' comes twice"),
        (b'{"a": NaN}', "NaN is not a JSON number"),
        (b'{"a": -Infinity}', "-Infinity is not a JSON number"),
        (b'{"a": ' + b"9" * 5000 + b"}", "Exceeds the limit"),
        (b"\xff", "can't decode"),
        (b"[]", "it holds no fields"),
        (b" " * (limits.CONFIG_BYTES + 1), "262,145 bytes of JSON; at most 262,144"),
    ],
)
def test_json_of_strangers_is_bounded_and_unambiguous(text, message):
    with pytest.raises(ValueError, match=message):
        parse_fields(text)


def test_brackets_within_words_have_no_depth():
    assert parse_fields('{"a": "' + "[" * 99 + '\\""}') == {"a": "[" * 99 + '"'}


@pytest.mark.parametrize("value", [True, "1", None, float("nan"), float("inf"), 1e40, 10**400, [1]])
def test_a_number_is_finite_and_no_truth_value(value):
    assert not is_number(value)


@pytest.mark.parametrize("scale", [0, 0.0, -1.0])
def test_a_scale_is_above_0(scale):
    with pytest.raises(ValueError, match=r"got latent_scale = .*; it is a number above 0"):
        ivvae_config.IvvaeConfig(4, latent_scale=scale)


def test_a_list_of_a_configuration_has_an_end():
    with pytest.raises(ValueError, match="at most 64"):
        check_fields(ivvae_config.IvvaeConfig(4, multipliers=(1,) * 65))


@pytest.mark.parametrize(
    ("names", "message"),
    [(["x" * 513], "513 characters in a name"), (map(str, range(2**16 + 1)), "65,537 tensors")],
)
def test_names_are_few_and_short(tmp_path, names, message):
    entry = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    header = json.dumps(dict.fromkeys(names, entry)).encode()
    path = tmp_path / "vae.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    with pytest.raises(odvae.CheckpointError, match=message):
        read_tensor_file(path)


def test_a_header_has_an_end(tmp_path):
    path = tmp_path / "vae.safetensors"
    path.write_bytes(struct.pack("<Q", 2**25) + b"{" + b" " * 99)
    with pytest.raises(odvae.CheckpointError, match="33,554,432 bytes of header; at most"):
        read_tensor_file(path)


def test_tensors_that_are_tied_to_others_are_read_where_they_are_few(tmp_path):
    weight = torch.rand(64, 64)
    content = {"state_dict": {"a": weight}, "ema_state_dict": {"module.a": weight}}
    torch.save(content, tmp_path / "vae.ckpt")
    assert len(read_tensor_file(tmp_path / "vae.ckpt").tensors) == 2
