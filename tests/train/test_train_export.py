"""Exported files: metadata, model card, and normalised latents."""

import json
from dataclasses import replace

import pytest
import torch

import odvae_core
from odvae_core.families.odvae_config import SD_VAE
from odvae_core.registry import read_config
from train.checkpoints import Checkpoints, Retention
from train.config import Config, ModelConfig
from train.export.__main__ import export_run, main
from train.export.normalise import normalise_latents
from train.export.rescale import rescale_activations
from train.run_log import RunLog, describe_run, read_events

MEAN, STD = [0.5, -1.0, 2.0, 0.0], [2.0, 0.5, 1.5, 3.0]
CONFIG = Config(model=ModelConfig(preset="odvae-tiny"))


def move_weights(vae, seed):
    """Draw random weights, biases included, so that no term of the folding is zero."""
    generator = torch.Generator().manual_seed(seed)
    for weight in vae.parameters():
        weight.data += 0.1 * torch.randn(weight.shape, generator=generator).to(weight)
    return vae


@pytest.fixture(scope="module")
def vae():
    config = replace(read_config("odvae-tiny"), latent_scale=0.5)
    return move_weights(odvae_core.build(config), seed=0)


@pytest.fixture
def run(tmp_path, vae):
    """A run folder after its last evaluation, at step 7."""
    folder = tmp_path / "run"
    folder.mkdir()
    odvae_core.save(vae, folder / "ema.safetensors")
    run_log = RunLog(folder / "log.jsonl", active=True)
    run_log.write("start", step=0, **describe_run(CONFIG, vae), data="c0ffee", processes=2)
    values = {"psnr": 21.456, "144": 20.0, "positions": [22.0, 21.0, 20.5, 20.0]}
    run_log.write("evaluation", step=7, **values, latent_mean=MEAN, latent_std=STD, weights="ema")
    return folder


def test_an_exported_file_loads_with_the_metadata_of_its_training(run, tmp_path, vae):
    export_run(run, tmp_path / "model.safetensors", title="A test.")
    loaded = odvae_core.load(tmp_path / "model.safetensors")
    facts = loaded.provenance.metadata
    assert facts["training_steps"] == "7"
    assert facts["held_out_psnr"] == "21.46"
    assert (facts["title"], facts["weights"]) == ("A test.", "ema")
    assert json.loads(facts["training"])["model"]["preset"] == "odvae-tiny"
    for name, weight in rescale_activations(vae).state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], weight.half().float())


def test_the_card_has_data_configuration_metrics_and_protocol(run, tmp_path):
    export_run(run, tmp_path / "model.safetensors", title="A test", data="Clips of my own, CC0.")
    card = (tmp_path / "model.md").read_text()
    sha256 = odvae_core.load(tmp_path / "model.safetensors").provenance.sha256
    for line in (
        "# A test",
        f"- sha256: `{sha256}`",
        "Clips of my own, CC0.",
        "sha256 of the list of the data: `c0ffee`",
        "model.preset = odvae-tiny",
        "7 steps of `python -m train`; these are the moving average of the weights.",
        "processes 2",
        "| psnr | 21.46 |",
        "| PSNR at short side 144 | 20 |",
        "| PSNR of the first frame | 22 |",
        "| PSNR of frame 3 of a group | 20 |",
        "rounded to 8 bits",
        "## What it is not for",
    ):
        assert line in card


def test_raw_weights_are_those_of_the_newest_checkpoint(run, tmp_path, vae):
    raw = move_weights(odvae_core.build("odvae-tiny"), seed=1)
    state = {f"vae.{name}": weight for name, weight in raw.state_dict().items()}
    checkpoints = Checkpoints(run / "checkpoints", Retention())
    checkpoints.save(8, {"objective": {**state, "logvar": torch.zeros(())}}, {})
    export_run(run, tmp_path / "raw.safetensors", weights="raw", dtype="float32")
    loaded = odvae_core.load(tmp_path / "raw.safetensors")
    assert loaded.provenance.metadata["training_steps"] == "8"
    assert "held_out_psnr" not in loaded.provenance.metadata
    assert "These weights were not evaluated." in (tmp_path / "raw.md").read_text()
    for name, weight in rescale_activations(raw).state_dict().items():
        assert torch.equal(loaded.state_dict()[name], weight), name


def test_the_metrics_are_those_of_the_step_of_the_averaged_weights(run, tmp_path, vae):
    odvae_core.save(vae, run / "ema.safetensors", step="7")
    RunLog(run / "log.jsonl", active=True).write("evaluation", step=9, psnr=30.0, weights="ema")
    export_run(run, tmp_path / "model.safetensors")
    facts = odvae_core.load(tmp_path / "model.safetensors").provenance.metadata
    assert (facts["training_steps"], facts["held_out_psnr"]) == ("7", "21.46")


@pytest.mark.parametrize("preset", ["odvae-tiny", "2d"])
def test_normalised_latents_give_the_same_reconstruction(preset):
    config = replace(SD_VAE, width=16, blocks=1, norm_groups=4) if preset == "2d" else preset
    vae = move_weights(odvae_core.build(config), seed=2).double().eval()
    normal = normalise_latents(vae, MEAN, STD)
    frames = 1 + vae.temporal_compression
    video = torch.rand(1, 3, frames, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    video = video.double()
    shift, scale = (torch.tensor(values).view(1, -1, 1, 1, 1) for values in (MEAN, STD))
    with torch.no_grad():
        before, after = vae.encode(video), normal.encode(video)
        torch.testing.assert_close(after.mean, (before.mean - shift) / scale, rtol=0, atol=1e-9)
        torch.testing.assert_close(after.std * scale, before.std, rtol=1e-9, atol=0)
        same = normal.decode(after.mode())
        torch.testing.assert_close(same, vae.decode(before.mode()), rtol=0, atol=1e-9)


def test_the_file_of_a_normalised_vae_carries_latents_of_mean_0_and_deviation_1(tmp_path, vae):
    video = torch.rand(2, 3, 5, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        latent = vae.encode(video).mode().double()
    dims = (0, 2, 3, 4)
    values = {"latent_mean": latent.mean(dims).tolist(), "latent_std": latent.std(dims).tolist()}
    odvae_core.save(vae, tmp_path / "ema.safetensors")
    run_log = RunLog(tmp_path / "log.jsonl", active=True)
    run_log.write("start", step=0, **describe_run(CONFIG, vae))
    run_log.write("evaluation", step=7, psnr=20.0, **values, weights="ema")
    export_run(tmp_path, tmp_path / "model.safetensors", dtype="float32", normalise=True)
    loaded = odvae_core.load(tmp_path / "model.safetensors")
    with torch.no_grad():
        latent = loaded.encode(video).mode().double()
    torch.testing.assert_close(latent.mean(dims), torch.zeros(4).double(), rtol=0, atol=1e-4)
    torch.testing.assert_close(latent.std(dims), torch.ones(4).double(), rtol=0, atol=1e-4)
    assert (loaded.latent_scale, vae.latent_scale) == (1.0, 0.5)
    assert (
        "latent scale 1, shift 0, mean 0 and deviation 1 per channel"
        in (tmp_path / "model.md").read_text()
    )


def test_a_vae_without_quant_convs_is_refused():
    vae = odvae_core.build("ivvae-z4")
    with pytest.raises(ValueError, match=r"family ivvae has no quant_conv.*without --normalise"):
        normalise_latents(vae, MEAN, STD)


@pytest.mark.parametrize(("mean", "std"), [(MEAN[:3], STD[:3]), (MEAN, [1.0, 1.0, 0.0, 1.0])])
def test_statistics_that_do_not_fit_the_latents_are_refused(vae, mean, std):
    with pytest.raises(ValueError, match="latents of 4 channels need as many of both"):
        normalise_latents(vae, mean, std)


def test_normalising_without_latent_statistics_is_refused(run, tmp_path, capsys):
    events = [event for event in read_events(run / "log.jsonl") if event["event"] == "start"]
    (run / "log.jsonl").write_text("\n".join(map(json.dumps, events)))
    assert main([str(run), str(tmp_path / "model.safetensors"), "--normalise"]) == 1
    assert (
        "the log has no latent_mean and latent_std of these ema weights" in capsys.readouterr().err
    )
    assert not (tmp_path / "model.safetensors").exists()


def test_a_folder_without_a_run_is_refused_in_one_line(tmp_path, capsys):
    assert main([str(tmp_path), str(tmp_path / "model.safetensors")]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_raw_weights_without_a_checkpoint_are_refused(run, tmp_path, capsys):
    assert main([str(run), str(tmp_path / "model.safetensors"), "--weights", "raw"]) == 1
    assert "checkpoints is empty" in capsys.readouterr().err
