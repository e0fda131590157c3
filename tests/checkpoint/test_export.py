"""odvae_core/checkpoint/export.py: what is written loads again, here and in the authors' layout."""

import json
from dataclasses import replace

import pytest
import torch

import odvae_core as odvae
from odvae_core import cli
from odvae_core.checkpoint.export import AUTHORS, describe_as_published, export, to_published
from odvae_core.families import cvvae_config, ivvae_config, opsvae_config, wfvae_config
from odvae_core.registry import FAMILIES
from tests.checkpoints import build_image_vae, build_small, to_diffusers
from tests.golden import find_cases, read_case

SMALL_CVVAE = replace(
    cvvae_config.CVVAE,
    levels=tuple(replace(level, channels=32) for level in cvvae_config.CVVAE.levels),
    blocks=1,
)
SMALL_SD3 = replace(
    cvvae_config.CVVAE_SD3,
    levels=tuple(replace(level, channels=32) for level in cvvae_config.CVVAE_SD3.levels),
    blocks=1,
)
SMALL = {
    "odvae v1.2": lambda: build_small("odvae-v1.2"),
    "odvae v1.0": lambda: build_small("odvae-v1.0"),
    "cvvae": lambda: odvae.build(SMALL_CVVAE),
    "cvvae sd3": lambda: odvae.build(SMALL_SD3),
    "ivvae": lambda: odvae.build(ivvae_config.IvvaeConfig(4, 4, 1.3196, 0.1250)),
    "opsvae": lambda: odvae.build(opsvae_config.OpsvaeConfig(4, (32, 32, 32, 32), 1, 32, blocks=1)),
    "wfvae": lambda: odvae.build(wfvae_config.WfvaeConfig(4, 4, 4, 4)),
    "wfvae 8x8x8": lambda: odvae.build(wfvae_config.WfvaeConfig(4, 4, 4, 4, finest="joint")),
}


@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
@pytest.mark.parametrize("name", SMALL)
def test_a_folder_in_the_authors_layout_loads_again(tmp_path, name, dtype):
    vae = SMALL[name]().requires_grad_(False)
    config, weights = export(vae, tmp_path / "out", "authors", dtype)
    loaded = odvae.load(tmp_path / "out")
    assert loaded.config == vae.config
    assert loaded.provenance.assumptions == ()
    for key, value in vae.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], value.to(dtype or value.dtype).float()), key
    assert (config.name, weights.parent) == ("config.json", tmp_path / "out")


KEYS = [name for name in find_cases("keys_") if "latte" not in name and "opensora" not in name]


@pytest.mark.parametrize("case", KEYS)
def test_full_sized_exports_have_the_authors_keys_and_shapes(case):
    facts, _ = read_case(case)
    if "v131" in case or "tats" in case:
        pytest.skip("an older spelling, or no family")
    with torch.device("meta"):
        vae = odvae.build(facts["config"])
    fields = describe_as_published(vae)
    shapes = {key: list(value.shape) for key, value in to_published(vae).items()}
    assert shapes == dict(map(tuple, facts["keys"]))
    shared = set(fields) & set(facts["config"]) - {"scale", "shift", "vae_2d", "vae_temporal"}
    assert shared
    assert {key: fields[key] for key in shared} == {key: facts["config"][key] for key in shared}


def test_a_2d_vae_is_written_as_diffusers_autoencoder(tmp_path):
    vae = build_image_vae(latent_scale=0.5, latent_shift=0.25)
    export(vae, tmp_path, "diffusers")
    fields = json.loads((tmp_path / "config.json").read_text())
    assert (fields["_class_name"], fields["scaling_factor"]) == ("AutoencoderKL", 0.5)
    loaded = odvae.load(tmp_path, images=True)
    assert loaded.config == vae.config
    for key, value in vae.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], value), key


def test_diffusers_names_are_those_of_its_own_table(tmp_path):
    vae = build_image_vae()
    export(vae, tmp_path, "diffusers")
    tensors, _ = odvae.checkpoint.read_tensors(tmp_path / "diffusion_pytorch_model.safetensors")
    expected = to_diffusers(vae.state_dict())
    assert {k: v.shape for k, v in tensors.items()} == {k: v.shape for k, v in expected.items()}


def test_diffusers_itself_decodes_what_was_written(tmp_path):
    diffusers = pytest.importorskip("diffusers")
    vae = build_image_vae()
    export(vae, tmp_path, "diffusers")
    theirs = diffusers.AutoencoderKL.from_pretrained(tmp_path, local_files_only=True).eval()
    latent = torch.randn(1, 4, 2, 3, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = theirs.decode(latent).sample
    torch.testing.assert_close(vae.decode(latent[:, :, None])[:, :, 0], expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("preset", "kind", "text"),
    [
        ("odvae-stream", "authors", "has no word|can't express norm"),
        ("ivvae-2d", "authors", "can't express .*branches"),
        ("odvae-v1.2", "diffusers", "a video VAE of the family odvae; .*choose --format authors"),
        ("odvae-v1.2", "onnx", "got format 'onnx'; choose one of authors, diffusers"),
    ],
)
def test_what_the_authors_code_does_not_have_is_refused(tmp_path, preset, kind, text):
    with torch.device("meta"):
        vae = odvae.build(preset)
    with pytest.raises(ValueError, match=text):
        export(vae, tmp_path / "out", kind)
    assert not (tmp_path / "out").exists()


def test_a_scale_that_the_authors_fix_in_code_is_not_lost_silently():
    vae = odvae.build(replace(build_small().config, latent_scale=0.5))
    with pytest.raises(ValueError, match="can't express latent_scale of this VAE"):
        describe_as_published(vae)


def test_only_families_are_written():
    assert set(AUTHORS) <= set(FAMILIES)


def test_the_command_writes_a_folder_and_refuses_to_replace_one(tmp_path, capsys):
    odvae.save(odvae.build(wfvae_config.WfvaeConfig(4, 4, 4, 4)), tmp_path / "vae.safetensors")
    arguments = ["export", str(tmp_path / "vae.safetensors"), str(tmp_path / "out")]
    assert cli.main([*arguments, "--dtype", "fp16"]) == 0
    assert "as      authors of the family wfvae" in capsys.readouterr().out
    assert odvae.load(tmp_path / "out").provenance.dtype == torch.float16
    assert cli.main(arguments) == 2
    assert "holds files already" in capsys.readouterr().err
    assert cli.main([*arguments, "--overwrite"]) == 0
    assert odvae.load(tmp_path / "out").provenance.dtype == torch.float32
