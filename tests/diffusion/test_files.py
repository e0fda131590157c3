"""Files of diffusion transformers: the published layouts, our own, and what is refused."""

import json

import pytest
import torch
from safetensors.torch import save_file

from odvae_core import CheckpointError, diffusion
from odvae_core.diffusion import presets
from odvae_core.diffusion.config import LatteConfig, LatteT2VConfig, OpenSoraT2VConfig
from odvae_core.diffusion.published import HEADS

T2V = {
    "_class_name": "LatteT2V",
    "_diffusers_version": "0.27.2",
    "num_layers": 1,
    "num_attention_heads": 2,
    "attention_head_dim": 12,
    "in_channels": 4,
    "out_channels": 8,
    "caption_channels": 16,
    "cross_attention_dim": 24,
    "attention_bias": True,
    "sample_size": [64, 64],
    "patch_size": 2,
    "patch_size_t": 1,
    "activation_fn": "gelu-approximate",
    "norm_type": "ada_norm_single",
    "norm_elementwise_affine": False,
    "norm_eps": 1e-06,
    "video_length": 17,
    "attention_mode": "xformers",
    "num_embeds_ada_norm": 1000,
    "use_linear_projection": False,
}
"""A config.json in the fields of v1.0."""

V11 = {**T2V, "compress_kv_factor": 1, "use_rope": False, "model_max_length": 300}
OPEN_SORA = {
    **{name: value for name, value in T2V.items() if name != "video_length"},
    "_class_name": "OpenSoraT2V",
    "out_channels": 4,
    "sample_size": [90, 160],
    "sample_size_t": 24,
    "downsampler": None,
    "use_rope": True,
    "use_stable_fp32": True,
    "interpolation_scale_t": 1.0,
    "interpolation_scale_h": 1.5,
    "interpolation_scale_w": 2.0,
    "decay": 0.9999,
    "optimization_step": 198000,
}
"""A config.json of v1.2, with the EMA's settings in it, as published."""

LATTE = LatteConfig(layers=2, heads=2, head_dim=12, latent_frames=3, side=4, classes=3)


def write_folder(folder, fields, name="diffusion_pytorch_model.safetensors"):
    """A folder as diffusers writes it: random weights and the config.json."""
    folder.mkdir(parents=True, exist_ok=True)
    network = diffusion.build(fields)
    save_file(network.state_dict(), folder / name, {"format": "pt"})
    (folder / "config.json").write_text(json.dumps(fields))
    return network


def check_equal(found, expected):
    assert found.state_dict().keys() == expected.state_dict().keys()
    for key, value in expected.state_dict().items():
        torch.testing.assert_close(found.state_dict()[key], value, rtol=0, atol=0)


@pytest.mark.parametrize("fields", [T2V, V11, OPEN_SORA])
@pytest.mark.parametrize("give_file", [False, True])
def test_a_published_folder_is_loaded(tmp_path, fields, give_file):
    network = write_folder(tmp_path, fields)
    path = tmp_path / "diffusion_pytorch_model.safetensors" if give_file else tmp_path
    loaded = diffusion.load(path)
    check_equal(loaded, network)
    assert loaded.config == network.config
    assert not loaded.training
    assert not any(weight.requires_grad for weight in loaded.parameters())
    assert "config.json" in loaded.provenance.layout
    assumed = "assumed: positions are those of v1.0" in loaded.provenance.describe()
    assert assumed == (fields is T2V)


def test_the_fields_of_v11_tell_its_temporal_positions():
    assert diffusion.build(T2V).config.temporal_scale == 3
    assert diffusion.build(V11).config.temporal_scale == 1
    assert diffusion.build({**V11, "video_length": 56}).config.temporal_scale == 3
    assert diffusion.build({**V11, "interpolation_scale_1d": 2}).config.temporal_scale == 2


def test_the_scales_of_v12_have_defaults():
    unset = {name: None for name in OPEN_SORA if name.startswith("interpolation_scale")}
    assert diffusion.build({**OPEN_SORA, **unset}).config.scales == (1.5, 3.0, 4.0)
    assert diffusion.build(OPEN_SORA).config.scales == (1.0, 1.5, 2.0)


RELEASED = {
    "osp-v1.1-65x512x512": {**V11, "num_layers": 28, "num_attention_heads": 16},
    "osp-v1.1-221x512x512": {
        **V11,
        "num_layers": 28,
        "num_attention_heads": 16,
        "video_length": 56,
    },
    "osp-v1.0-65x512x512": {**T2V, "num_layers": 28, "num_attention_heads": 16},
    "osp-v1.2-93x720p": {**OPEN_SORA, "num_layers": 32, "num_attention_heads": 24},
}


@pytest.mark.parametrize("preset", RELEASED)
def test_a_preset_is_the_published_configuration(preset):
    fields = RELEASED[preset]
    head_dim = 96 if preset.startswith("osp-v1.2") else 72
    width = fields["num_attention_heads"] * head_dim
    fields = {**fields, "attention_head_dim": head_dim, "cross_attention_dim": width}
    with torch.device("meta"):
        network = diffusion.build({**fields, "caption_channels": 4096})
    assert network.config == diffusion.list_presets()[preset]


def test_a_pickle_of_a_latte_training_gives_the_averaged_weights(tmp_path, monkeypatch):
    monkeypatch.setitem(HEADS, LATTE.width, LATTE.heads)
    last, averaged = diffusion.build(LATTE), diffusion.build(LATTE)
    parts = {"model": last.state_dict(), "ema": averaged.state_dict()}
    torch.save({**parts, "opt": {"state": {0: torch.zeros(3)}}}, tmp_path / "0200000.pt")
    loaded = diffusion.load(tmp_path / "0200000.pt")
    check_equal(loaded, averaged)
    assert loaded.config == LATTE
    assert "3 classes" in loaded.provenance.describe()
    assert "0.18215" in loaded.provenance.describe()


@pytest.mark.parametrize("size", presets.SIZES)
def test_the_published_sizes_of_latte_are_told_by_their_weights(size):
    with torch.device("meta"):
        network = diffusion.build(f"latte-{size}-ucf101")
    from odvae_core.diffusion.published import infer_latte

    assert infer_latte(network.state_dict()) == network.config


def test_the_weights_of_a_latte_of_another_width_do_not_tell_its_heads(tmp_path):
    save_file(diffusion.build(LATTE).state_dict(), tmp_path / "latte.safetensors")
    with pytest.raises(CheckpointError, match=r"width is 24.*heads isn't known.*preset"):
        diffusion.load(tmp_path / "latte.safetensors")


OURS = [
    LATTE,
    LatteConfig(layers=2, heads=2, head_dim=12, latent_frames=3, side=4, in_channels=8),
    LatteT2VConfig(layers=1, heads=2, head_dim=12, caption_channels=16, temporal_scale=3.0),
    OpenSoraT2VConfig(layers=1, heads=2, head_dim=12, caption_channels=16, scales=(1, 1.5, 2.0)),
]


@pytest.mark.parametrize("config", OURS)
def test_a_saved_network_explains_itself(tmp_path, config):
    network = diffusion.build(config)
    diffusion.save(network, tmp_path / "a.safetensors", torch.bfloat16, classes='["a"]')
    loaded = diffusion.load(tmp_path / "a.safetensors")
    assert loaded.config == config
    assert loaded.provenance.assumptions == ()
    assert loaded.provenance.dtype == torch.bfloat16
    assert loaded.provenance.metadata["classes"] == '["a"]'
    key = next(iter(network.state_dict()))
    torch.testing.assert_close(
        loaded.state_dict()[key], network.state_dict()[key].bfloat16().float()
    )


def test_a_file_of_comfyui_keeps_the_configuration(tmp_path):
    network = diffusion.build(LATTE)
    inside = {**network.state_dict(), "odvae_config": diffusion.pack_metadata(network)}
    prefixed = {f"model.diffusion_model.{key}": value for key, value in inside.items()}
    save_file(prefixed, tmp_path / "saved.safetensors")
    loaded = diffusion.load(tmp_path / "saved.safetensors")
    check_equal(loaded, network)
    assert loaded.config == LATTE


SMALL_T2V = LatteT2VConfig(layers=1, heads=2, head_dim=12, caption_channels=16)
SMALL_PRESETS = {
    "one": SMALL_T2V,
    "two": LatteT2VConfig(layers=1, heads=2, head_dim=12, caption_channels=16, temporal_scale=3.0),
}


@pytest.fixture
def ambiguous(tmp_path, monkeypatch):
    """A file of weights alone, which fit both of the presets."""
    monkeypatch.setattr(presets, "LATTE_T2V", SMALL_PRESETS)
    family = diffusion.FAMILIES["latte_t2v"]
    changed = type(family)(
        family.network,
        family.config,
        SMALL_PRESETS,
        *(family.marker, family.from_published),
        family.is_ours,
    )
    monkeypatch.setitem(diffusion.FAMILIES, "latte_t2v", changed)
    path = tmp_path / "weights" / "model.safetensors"
    path.parent.mkdir()
    save_file(diffusion.build(SMALL_T2V).state_dict(), path)
    return path


def test_weights_that_fit_several_presets_are_refused_with_their_names(ambiguous):
    with pytest.raises(CheckpointError, match="fit one, two, which differ in how positions"):
        diffusion.load(ambiguous)
    loaded = diffusion.load(ambiguous, preset="two")
    assert loaded.config.temporal_scale == 3
    assert "preset two, as given" in loaded.provenance.layout


def test_the_config_of_other_weights_beside_a_file_is_left_out(ambiguous):
    (ambiguous.parent / "config.json").write_text(json.dumps({**T2V, "num_layers": 2}))
    with pytest.raises(CheckpointError, match="fit one, two"):
        diffusion.load(ambiguous)
    (ambiguous.parent / "config.json").write_text(json.dumps(V11))
    assert diffusion.load(ambiguous).config.temporal_scale == 1


def test_the_config_of_other_weights_in_a_folder_is_an_error(tmp_path):
    write_folder(tmp_path, V11)
    (tmp_path / "config.json").write_text(
        json.dumps({**V11, "attention_head_dim": 18, "cross_attention_dim": 36})
    )
    with pytest.raises(CheckpointError, match=r"don't fit its config\.json"):
        diffusion.load(tmp_path)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("OpenSoraInpaint", "image-to-video model .OpenSoraInpaint."),
        ("AllegroTransformer3DModel", "Allegro, whose weights have the same names"),
        ("LatteTransformer3DModel", "Latte-1"),
    ],
)
@pytest.mark.parametrize("give_file", [False, True])
def test_other_classes_are_named_and_refused(tmp_path, name, words, give_file):
    write_folder(tmp_path, OPEN_SORA)
    (tmp_path / "config.json").write_text(json.dumps({**OPEN_SORA, "_class_name": name}))
    path = tmp_path / "diffusion_pytorch_model.safetensors" if give_file else tmp_path
    with pytest.raises(CheckpointError, match=words):
        diffusion.load(path)


def test_the_weights_of_the_image_to_video_model_are_refused(tmp_path):
    tensors = diffusion.build(OPEN_SORA).state_dict()
    tensors["pos_embed_masked_hidden_states.0.proj.weight"] = torch.zeros(24, 4, 2, 2)
    save_file(tensors, tmp_path / "i2v.safetensors")
    with pytest.raises(CheckpointError, match="OpenSoraInpaint"):
        diffusion.load(tmp_path / "i2v.safetensors")


BROKEN = [
    ({"compress_kv_factor": 2}, "compress_kv_factor = 2; only 1"),
    ({"use_rope": True}, "use_rope = True; only False"),
    ({"norm_type": "layer_norm"}, "only 'ada_norm_single'"),
    ({"cross_attention_dim": 25}, "heads . head_dim = 24"),
    ({"num_layers": 10**6}, "layers"),
    ({"num_layers": "28"}, "num_layers = '28'"),
    ({"attention_head_dim": -4}, "above 0"),
    ({"sample_size": [64, 64, 64]}, "a whole number, or two"),
    ({"sample_size": "64"}, "sample_size = '64'"),
    ({"interpolation_scale_1d": -1.0, "num_attention_heads": 60_000}, "cross_attention_dim"),
]


@pytest.mark.parametrize(("changes", "words"), BROKEN)
def test_a_config_that_no_release_has_is_an_error(tmp_path, changes, words):
    write_folder(tmp_path, V11)
    (tmp_path / "config.json").write_text(json.dumps({**V11, **changes}))
    with pytest.raises(CheckpointError, match=words):
        diffusion.load(tmp_path)


def test_a_vae_is_refused_with_the_function_that_loads_it(tmp_path):
    import odvae_core

    odvae_core.save(odvae_core.build("odvae-tiny"), tmp_path / "vae.safetensors")
    with pytest.raises(CheckpointError, match="family odvae, no diffusion model"):
        diffusion.load(tmp_path / "vae.safetensors")


def test_a_diffusion_model_is_no_vae(tmp_path):
    import odvae_core

    diffusion.save(diffusion.build(LATTE), tmp_path / "latte.safetensors")
    with pytest.raises(CheckpointError, match=r"family 'latte'.*odvae_core\.diffusion\.load"):
        odvae_core.load(tmp_path / "latte.safetensors")


def test_unknown_weights_are_refused(tmp_path):
    save_file({"a": torch.zeros(2)}, tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match="no diffusion model of the families"):
        diffusion.load(tmp_path / "a.safetensors")


def test_missing_and_foreign_keys_are_refused(tmp_path):
    tensors = diffusion.build(V11).state_dict()
    del tensors["proj_out.bias"]
    tensors["extra.weight"] = torch.zeros(2)
    save_file(tensors, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(V11))
    with pytest.raises(
        CheckpointError, match=r"1 keys are missing: proj_out\.bias; 1 keys are unexp"
    ):
        diffusion.load(tmp_path)


@pytest.mark.parametrize(
    ("config", "family", "words"),
    [
        ("osp-v9", None, "the presets are osp-v1.0-17x256x256"),
        ("latte-s-sky", "opensora_t2v", "the presets are osp-v1.2"),
        ({"layers": 2, "depth": 3}, "latte", "no field depth"),
        ({"layers": 2}, "vae", "the families are latte_t2v, opensora_t2v, latte"),
        (3, None, "of type int"),
        ({"layers": 3, "heads": 2, "head_dim": 12}, "latte", "layers are pairs"),
        ({"heads": 1, "head_dim": 6}, "latte_t2v", "multiple of 4"),
        ({"heads": 2, "head_dim": 16}, "opensora_t2v", "multiple of 6"),
        ({"scales": (0.0, 1.0, 1.0)}, "opensora_t2v", "numbers above 0"),
        ({"layers": 2, "heads": 2, "head_dim": 12, "classes": 0}, "latte", "or none"),
        ({"layers": 2, "heads": 2, "head_dim": 12, "learn_sigma": 1}, "latte", "true or false"),
    ],
)
def test_a_bad_configuration_is_an_error(config, family, words):
    with pytest.raises(ValueError, match=words):
        diffusion.build(config, family)
