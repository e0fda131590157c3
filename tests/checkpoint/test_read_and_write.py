"""odvae_core/checkpoint/: weights in and out, and where they came from."""

import hashlib
import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

import odvae_core as odvae
from odvae_core.checkpoint import read_tensors
from odvae_core.checkpoint.location import locate
from odvae_core.config import to_dict
from odvae_core.families.odvae_config import PRESETS
from odvae_core.files.tensorfile import hash_file
from odvae_core.version import read_version
from tests.checkpoints import build_small
from tests.golden import make_weights, read_case


@pytest.fixture(scope="module")
def vae():
    torch.manual_seed(0)
    return build_small()


@pytest.fixture
def file(vae, tmp_path):
    path = tmp_path / "vae.safetensors"
    odvae.save(vae, path)
    return path


def read_metadata(path):
    with safe_open(path, "pt") as file:
        return file.metadata()


def equal(left, right):
    """Whether two VAEs have the same weights under the same names."""
    left, right = left.state_dict(), right.state_dict()
    return set(left) == set(right) and all(torch.equal(left[key], right[key]) for key in left)


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_comes_back_from_its_file_as_it_was(tmp_path, preset):
    vae = build_small(preset)
    odvae.save(vae, tmp_path / "vae.safetensors")
    loaded = odvae.load(tmp_path / "vae.safetensors")
    assert loaded.config == vae.config
    assert loaded.provenance.assumptions == ()
    assert equal(loaded, vae)


def test_a_loaded_vae_is_frozen_and_in_eval_mode_and_works(vae, file):
    loaded = odvae.load(file)
    assert not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    clip = torch.rand(1, 3, 5, 16, 16) * 2 - 1
    torch.testing.assert_close(loaded(clip), vae(clip))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_a_file_keeps_the_type_it_was_saved_in(vae, tmp_path, dtype):
    path = tmp_path / "vae.safetensors"
    odvae.save(vae, path, dtype)
    loaded = odvae.load(path, dtype)
    assert {parameter.dtype for parameter in loaded.parameters()} == {dtype}
    assert loaded.provenance.dtype == dtype
    for key, value in loaded.state_dict().items():
        assert torch.equal(value, vae.state_dict()[key].to(dtype))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_load_converts_to_the_type_that_is_asked_for(file, dtype):
    loaded = odvae.load(file, dtype)
    assert {parameter.dtype for parameter in loaded.parameters()} == {dtype}
    assert loaded.provenance.dtype == torch.float32


def test_load_gives_float32_where_nothing_is_asked_for(vae, tmp_path):
    weights = {key: value.half() for key, value in vae.state_dict().items()}
    weights["encoder.conv_in.weight"] = weights["encoder.conv_in.weight"].bfloat16()
    torch.save(weights, tmp_path / "vae.pt")
    loaded = odvae.load(tmp_path / "vae.pt")
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}


def test_a_loaded_vae_no_longer_needs_its_file(vae, file):
    loaded = odvae.load(file)
    file.write_bytes(b"\0" * file.stat().st_size)
    assert equal(loaded, vae)


def test_the_provenance_says_what_was_found(vae, file):
    provenance = odvae.load(file).provenance
    assert provenance.path == file
    assert provenance.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert provenance.layout == "safetensors, configuration in its metadata"
    assert provenance.family == "odvae"
    assert provenance.preset is None
    assert provenance.parameters == sum(p.numel() for p in vae.parameters())
    assert f"sha256: {provenance.sha256}" in provenance.describe()


def test_a_full_sized_preset_is_recognised_by_name(tmp_path):
    vae = odvae.build("odvae-tiny")
    odvae.save(vae, tmp_path / "vae.safetensors", torch.bfloat16)
    assert odvae.load(tmp_path / "vae.safetensors").provenance.preset == "odvae-tiny"


def test_a_file_explains_itself(vae, tmp_path):
    path = tmp_path / "vae.safetensors"
    odvae.save(vae, path, steps="1000")
    metadata = read_metadata(path)
    assert metadata["format"] == "1"
    assert metadata["family"] == "odvae"
    assert json.loads(metadata["config"]) == json.loads(json.dumps(to_dict(vae.config)))
    assert metadata["version"] == read_version()
    assert metadata["steps"] == "1000"


def test_a_saved_copy_names_the_file_that_it_came_from(file, tmp_path):
    loaded = odvae.load(file)
    odvae.save(loaded, tmp_path / "copy.safetensors", torch.float16)
    metadata = read_metadata(tmp_path / "copy.safetensors")
    assert metadata["source"] == file.name
    assert metadata["source_sha256"] == loaded.provenance.sha256


def test_what_was_inflated_names_the_2d_vae_that_it_came_from(tmp_path):
    parent, file = build_small("sd-vae"), tmp_path / "child.safetensors"
    odvae.save(parent, tmp_path / "parent.safetensors")
    odvae.save(odvae.inflate(tmp_path / "parent.safetensors", "odvae-stream"), file)
    assert read_metadata(file)["source"] == "parent.safetensors"
    assert read_metadata(file)["source_sha256"] == hash_file(tmp_path / "parent.safetensors")
    odvae.save(odvae.inflate(parent.state_dict(), "odvae-stream"), file)
    assert read_metadata(file)["source"] == "odvae_core.inflate"
    assert "source_sha256" not in read_metadata(file)


def test_the_source_may_be_named_by_the_caller(vae, tmp_path):
    path = tmp_path / "vae.safetensors"
    odvae.save(vae, path, source="a training run", source_sha256="0" * 64)
    assert read_metadata(path)["source"] == "a training run"


@pytest.mark.parametrize("metadata", [{"format": "2"}, {"steps": 1000}])
def test_metadata_that_is_reserved_or_no_string_is_refused(vae, tmp_path, metadata):
    with pytest.raises(ValueError, match="choose a string, or another name"):
        odvae.save(vae, tmp_path / "vae.safetensors", **metadata)


def test_weights_that_are_not_finite_are_never_saved(tmp_path):
    vae = build_small()
    vae.encoder.conv_in.bias[0] = float("nan")
    with pytest.raises(odvae.CheckpointError, match=r"vae.*encoder.conv_in.bias holds.*finite"):
        odvae.save(vae, tmp_path / "vae.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_weights_too_large_for_float16_are_never_saved_in_it(tmp_path):
    vae = build_small()
    vae.encoder.conv_in.bias[0] = 1e5
    with pytest.raises(odvae.CheckpointError, match=r"too large for torch.float16: choose"):
        odvae.save(vae, tmp_path / "vae.safetensors", torch.float16)


def test_float64_is_not_written(vae, tmp_path):
    with pytest.raises(odvae.CheckpointError, match=r"got dtype torch.float64; choose one of"):
        odvae.save(vae, tmp_path / "vae.safetensors", torch.float64)


def test_a_newer_format_is_refused_with_the_version_that_wrote_it(vae, file):
    save_file(vae.state_dict(), file, {**read_metadata(file), "format": "2", "version": "9.1.0"})
    with pytest.raises(odvae.CheckpointError, match=r"format 2, written by odvae 9.1.0.*update"):
        odvae.load(file)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(vae, file, value):
    weights = {key: tensor.clone() for key, tensor in vae.state_dict().items()}
    weights["decoder.conv_out.conv.bias"][1] = value
    save_file(weights, file, read_metadata(file))
    with pytest.raises(odvae.CheckpointError, match=r"vae.*decoder.conv_out.conv.bias.*finite"):
        odvae.load(file)


def test_a_weight_too_large_for_the_asked_type_is_refused(vae, file):
    weights = {key: tensor.clone() for key, tensor in vae.state_dict().items()}
    weights["decoder.conv_out.conv.bias"][1] = 1e5
    save_file(weights, file, read_metadata(file))
    assert odvae.load(file, torch.bfloat16) is not None
    with pytest.raises(odvae.CheckpointError, match=r"too large for torch\.float16"):
        odvae.load(file, torch.float16)


def test_weights_of_whole_numbers_are_refused(vae, tmp_path):
    weights = {key: tensor.to(torch.int8) for key, tensor in vae.state_dict().items()}
    save_file(weights, tmp_path / "vae.safetensors")
    with pytest.raises(odvae.CheckpointError, match=r"stored as torch.int8.*plain float32"):
        odvae.load(tmp_path / "vae.safetensors")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"weights": "best"}, "got weights = 'best'; choose one of ema, raw"),
        ({"family": "svd"}, "got family 'svd'; the families are odvae"),
        ({"dtype": torch.int8}, "got dtype torch.int8; choose one of"),
    ],
)
def test_a_bad_argument_is_refused_before_any_file_is_read(arguments, message):
    with pytest.raises(ValueError, match=message) as raised:
        odvae.load("no such file", **arguments)
    assert not isinstance(raised.value, odvae.CheckpointError)


def test_missing_default_weights_are_said_to_be_missing(monkeypatch, tmp_path):
    monkeypatch.setattr("odvae_core.checkpoint.location.resources.files", lambda package: tmp_path)
    with pytest.raises(odvae.CheckpointError, match="default weights are missing"):
        locate("default")


def test_read_tensors_gives_whatever_a_file_holds_by_plain_names(tmp_path):
    weight = torch.rand(2, 2)
    torch.save({"state_dict": {"module.layer.weight": weight}, "epoch": 3}, tmp_path / "any.ckpt")
    tensors, metadata = read_tensors(tmp_path / "any.ckpt")
    assert list(tensors) == ["layer.weight"]
    assert metadata == {}


def test_a_vae_with_the_authors_weights_is_loaded_and_gives_their_numbers(tmp_path):
    case, tensors = read_case("odvae_v120_T5_32x48")
    torch.save(make_weights(case), tmp_path / "vae.pt")
    loaded = odvae.load(tmp_path / "vae.pt")
    mean = loaded.encode(tensors["x"]).mean
    torch.testing.assert_close(mean, tensors["mean"], atol=1e-4, rtol=0)
