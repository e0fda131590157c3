"""odvae_core/checkpoint/detect.py: published layouts load, others are refused."""

import json

import pytest
import torch
from safetensors.torch import save_file

import odvae_core as odvae
from tests.checkpoints import build_small
from tests.golden import read_case


@pytest.fixture(scope="module")
def vae():
    torch.manual_seed(0)
    return build_small()


@pytest.fixture(scope="module")
def config_json():
    """The config.json of the small v1.2, as its authors would write it."""
    fields = read_case("keys_odvae_v120")[0]["config"]
    small = {"hidden_size": 32, "hidden_size_mult": [1, 1, 1, 1], "num_res_blocks": 1}
    return {**fields, **small, "_class_name": "CausalVAEModel", "lr": 1e-5, "in_channels": 3}


@pytest.fixture
def folder(tmp_path, config_json):
    (tmp_path / "config.json").write_text(json.dumps(config_json))
    return tmp_path


def ema_of(vae):
    return {f"module.{key}": value + 1 for key, value in vae.state_dict().items()}


def v1_2_checkpoint(vae):
    """What v1.2's trainer wrote, discriminator and all."""
    return {
        "epoch": 1,
        "batch_idx": 7,
        "optimizer_state": {"gen_optimizer": {"state": {0: {"exp_avg": torch.rand(2)}}}},
        "state_dict": {
            "gen_model": {f"module.{key}": value for key, value in vae.state_dict().items()},
            "dics_model": {"module.main.0.weight": torch.rand(2)},
        },
        "ema_state_dict": ema_of(vae),
        "scaler_state": {},
    }


def lightning_checkpoint(vae):
    weights = {**vae.state_dict(), "loss.perceptual_loss.net.weight": torch.rand(2)}
    return {"state_dict": weights, "global_step": 9, "optimizer_states": [], "callbacks": {}}


def owned_by_a_diffusion_model(vae):
    weights = {f"first_stage_model.{key}": value for key, value in vae.state_dict().items()}
    return {"state_dict": {**weights, "model.diffusion_model.out.weight": torch.rand(2)}}


LAYOUTS = {
    "bare": lambda vae: vae.state_dict(),
    "DDP": lambda vae: {f"module.{key}": value for key, value in vae.state_dict().items()},
    "compiled": lambda vae: {f"_orig_mod.{key}": v for key, v in vae.state_dict().items()},
    "Lightning": lightning_checkpoint,
    "first_stage_model": owned_by_a_diffusion_model,
    "gen_model": lambda vae: {"gen_model": vae.state_dict()},
    "no EMA yet": lambda vae: {**v1_2_checkpoint(vae), "ema_state_dict": {}},
}


def assert_same_weights(loaded, expected):
    assert set(loaded.state_dict()) == set(expected)
    assert all(torch.equal(value, expected[key]) for key, value in loaded.state_dict().items())


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_of_a_pickle_is_loaded(vae, tmp_path, layout):
    path = tmp_path / "vae.pt"
    torch.save(LAYOUTS[layout](vae), path)
    loaded = odvae.load(path)
    assert loaded.config == vae.config
    assert_same_weights(loaded, vae.state_dict())
    assert loaded.provenance.layout.endswith("architecture inferred from its keys")
    assert any("frame by frame" in sentence for sentence in loaded.provenance.assumptions)


def test_a_folder_of_v1_2_gives_its_averaged_weights_or_its_raw_ones(vae, folder):
    torch.save(v1_2_checkpoint(vae), folder / "checkpoint.ckpt")
    ema, raw = odvae.load(folder), odvae.load(folder, weights="raw")
    assert ema.provenance.layout == "pickle, ema_state_dict, config.json"
    assert raw.provenance.layout == "pickle, state_dict.gen_model, config.json"
    assert ema.provenance.assumptions == raw.provenance.assumptions == ()
    assert ema.config == raw.config == vae.config
    assert_same_weights(raw, vae.state_dict())
    assert_same_weights(ema, {key: value + 1 for key, value in vae.state_dict().items()})


def test_a_folder_of_v1_1_and_before_gives_its_safetensors(vae, folder):
    weights = {**vae.state_dict(), "loss.logvar": torch.zeros(1)}
    save_file(weights, folder / "diffusion_pytorch_model.safetensors", {"format": "pt"})
    loaded = odvae.load(folder)
    assert loaded.provenance.layout == "safetensors, config.json"
    assert_same_weights(loaded, vae.state_dict())


def test_a_ckpt_in_a_folder_goes_before_safetensors_as_in_the_authors_loader(vae, folder):
    torch.save(ema_of(vae), folder / "checkpoint.ckpt")
    save_file(vae.state_dict(), folder / "diffusion_pytorch_model.safetensors")
    assert odvae.load(folder).provenance.path.name == "checkpoint.ckpt"


def test_a_config_beside_a_file_is_used_where_it_fits(vae, folder, config_json):
    fields = {**config_json, "decoder_attention": "AttnBlock3D"}
    (folder / "config.json").write_text(json.dumps(fields))
    torch.save(vae.state_dict(), folder / "vae.pt")
    loaded = odvae.load(folder / "vae.pt")
    assert loaded.config.decoder_attention == "scrambled"
    assert loaded.provenance.layout == "pickle, config.json beside it"
    assert loaded.provenance.assumptions == ()


@pytest.mark.parametrize(
    "text", ["{broken", '{"hidden_size": 64}', '{"architectures": ["T5"]}', "[]", None]
)
def test_a_config_beside_a_file_is_passed_over_where_it_does_not_fit(vae, folder, text):
    other = read_case("keys_odvae_v110")[0]["config"]
    (folder / "config.json").write_text(json.dumps(other) if text is None else text)
    torch.save(vae.state_dict(), folder / "vae.pt")
    loaded = odvae.load(folder / "vae.pt")
    assert loaded.config == vae.config
    belongs = "the config.json beside the file belongs to other weights"
    assert belongs in loaded.provenance.assumptions


def test_a_config_beside_a_file_tells_where_v1_0_pools(tmp_path):
    vae = build_small("odvae-v1.0")
    fields = dict(read_case("keys_odvae_v100_release_json")[0]["config"])
    fields |= {"hidden_size": 32, "hidden_size_mult": [1, 1, 1, 1], "num_res_blocks": 1}
    fields["encoder_temporal_downsample"] = ["", "TimeDownsample2x", "TimeDownsample2x", ""]
    torch.save(vae.state_dict(), tmp_path / "vae.pt")
    assumed = odvae.load(tmp_path / "vae.pt")
    (tmp_path / "config.json").write_text(json.dumps(fields))
    told = odvae.load(tmp_path / "vae.pt")
    assert [level.down_time for level in assumed.config.levels] == ["average", "average", "", ""]
    assert [level.down_time for level in told.config.levels] == ["", "average", "average", ""]
    assert_same_weights(told, assumed.state_dict())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{broken", r"config.json: it is no JSON .*export it again"),
        ("[]", r"config.json: it holds no fields"),
        ('{"sample_size": 8}', r"config.json describes no VAE of ours .*sample_size"),
    ],
)
def test_a_folder_with_a_broken_config_is_refused(vae, folder, text, message):
    (folder / "config.json").write_text(text)
    torch.save(vae.state_dict(), folder / "vae.ckpt")
    with pytest.raises(odvae.CheckpointError, match=message):
        odvae.load(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"decoder_attention": "FlashBlock"}, r"decoder_attention = 'FlashBlock'; known are"),
        ({"hidden_size": "wide"}, "got width = 'wide'; it is a whole number"),
        ({"z_channels": -1}, "got z_channels = -1; it is a whole number from 1 to 65536"),
        ({"hidden_size_mult": 4}, "no network can be built of the configuration"),
        ({"hidden_size_mult": []}, "the lists of this config.json differ in length"),
    ],
)
def test_a_folder_whose_config_no_network_has_is_refused(vae, folder, config_json, change, message):
    (folder / "config.json").write_text(json.dumps({**config_json, **change}))
    torch.save(vae.state_dict(), folder / "vae.ckpt")
    with pytest.raises(odvae.CheckpointError, match=rf"config.json describes no VAE .*{message}"):
        odvae.load(folder)


def test_a_folder_whose_config_does_not_fit_is_refused(vae, folder, config_json):
    (folder / "config.json").write_text(json.dumps({**config_json, "hidden_size": 64}))
    torch.save(vae.state_dict(), folder / "vae.ckpt")
    message = r"don't fit its config.json \(\d+ shapes differ: encoder.conv_in.weight is \[32, 3"
    with pytest.raises(odvae.CheckpointError, match=message):
        odvae.load(folder)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "holds a config.json but no weights"),
        (["a.ckpt", "b.ckpt"], r"several weights \(a.ckpt, b.ckpt\): give one of them"),
    ],
)
def test_a_folder_without_one_file_of_weights_is_refused(folder, files, message):
    for name in files:
        (folder / name).touch()
    with pytest.raises(odvae.CheckpointError, match=message):
        odvae.load(folder)


def test_a_folder_without_a_config_is_refused(tmp_path):
    with pytest.raises(odvae.CheckpointError, match=r"folder without a config\.json"):
        odvae.load(tmp_path)
