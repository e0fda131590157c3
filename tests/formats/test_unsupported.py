"""odvae_core/formats/unsupported.py: any VAE that diffusers or ComfyUI know is named."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import odvae_core as odvae
from odvae_core.formats import (
    is_hunyuan,
    is_hunyuan15,
    is_sd_vae,
    is_wan,
    name_unsupported,
    to_native,
)
from odvae_core.formats.unsupported import SIGNATURES
from tests.golden import find_cases, read_case
from tests.list_vae_keys import list_all

DATA = Path(__file__).parents[1] / "data" / "vae_keys.json"
"""Made by tests/list_vae_keys.py."""

DIFFUSERS = {
    "AsymmetricAutoencoderKL": "asymmetric 2D (AsymmetricAutoencoderKL)",
    "AutoencoderDC": "DC-AE",
    "AutoencoderKL": None,
    "AutoencoderKLAllegro": "Allegro",
    "AutoencoderKLCogVideoX": "CogVideoX",
    "AutoencoderKLCosmos": "Cosmos",
    "AutoencoderKLFlux2": "Flux.2",
    "AutoencoderKLHunyuanImage": "HunyuanImage 2.1",
    "AutoencoderKLHunyuanImageRefiner": None,
    "AutoencoderKLHunyuanVideo": None,
    "AutoencoderKLHunyuanVideo15": None,
    "AutoencoderKLKVAE": "Kandinsky KVAE",
    "AutoencoderKLKVAEAudio": "Kandinsky audio (KVAE)",
    "AutoencoderKLKVAEVideo": "Kandinsky KVAE",
    "AutoencoderKLLTX2Audio": "LTX audio",
    "AutoencoderKLLTX2Video": "LTX-Video",
    "AutoencoderKLLTXVideo": "LTX-Video",
    "AutoencoderKLMagvit": "EasyAnimate (Magvit)",
    "AutoencoderKLMiniMaxH3": "MiniMax H3",
    "AutoencoderKLMiniMaxH3Audio": "MiniMax H3 audio",
    "AutoencoderKLMochi": "Mochi",
    "AutoencoderKLQwenImage": None,
    "AutoencoderKLQwenImage21": "Qwen-Image 2.1",
    "AutoencoderKLTemporalDecoder": "Stable Video Diffusion",
    "AutoencoderKLWan": None,
    "AutoencoderKLWan (2.2)": None,
    "AutoencoderOobleck": "Stable Audio (Oobleck)",
    "AutoencoderSAME": "Stable Audio 3 (SAME)",
    "AutoencoderTiny": "TAESD",
    "AutoencoderVidTok": "VidTok",
    "ConsistencyDecoderVAE": "consistency decoder",
    "Cosmos3AVAEAudioTokenizer": "Cosmos audio",
    "Kandinsky6SRVAE": "Kandinsky KVAE",
    "LTX2VideoDiffusionDecoderModel": "LTX-Video diffusion decoder",
    "LongCatAudioDiTVae": "LongCat audio",
    "MMAudioVAE": "MMAudio",
    "MMAudioVocoder": "MMAudio",
    "MiniMaxMusic3Vocoder": "MiniMax Music",
    "VQModel": "VQGAN (VQModel)",
}
"""diffusers' autoencoders and our name of each; None: one that is loaded."""

LOADED = {
    "AutoencoderKL": is_sd_vae,
    "AutoencoderKLHunyuanImageRefiner": is_hunyuan15,
    "AutoencoderKLHunyuanVideo": is_hunyuan,
    "AutoencoderKLHunyuanVideo15": is_hunyuan15,
    "AutoencoderKLQwenImage": is_wan,
    "AutoencoderKLWan": is_wan,
    "AutoencoderKLWan (2.2)": is_wan,
}
"""What recognises those that are loaded, under the names of our networks."""

SINGLE_FILES = {
    "TATS VQGAN": [{"codebook.embeddings": 2, "encoder.conv_first.conv.weight": 5}],
    "WF-VAE 2": [{"encoder.down_blocks.0.in_flow_conv.weight": 4}],
    "LTX-Video": [
        {"per_channel_statistics.mean-of-means": 1, "decoder.conv_in.conv.weight": 5},
        {"decoder.up_blocks.0.res_blocks.0.conv1.conv.weight": 5},
    ],
    "LTX-Video diffusion decoder": [{"decoder.conv_in_x_t.weight": 2}],
    "LTX audio": [{"vocoder.resblocks.0.convs1.0.weight": 3}],
    "CogVideoX": [{"decoder.mid_block.resnets.0.norm1.norm_layer.weight": 1}],
    "Mochi": [
        {"decoder.blocks.2.blocks.3.stack.5.weight": 5},
        {"encoder.layers.4.layers.1.attn_block.attn.qkv.weight": 2},
    ],
    "Cosmos": [{"decoder.unpatcher3d.wavelets": 1}],
    "Stable Video Diffusion": [
        {"decoder.mid.block_1.mix_factor": 1, "decoder.conv_in.weight": 4},
        {"decoder.up.0.block.0.time_stack.in_layers.2.weight": 5},
    ],
    "TAEHV": [{"decoder.22.bias": 1, "decoder.1.weight": 4}],
    "TAESD": [{"taesd_decoder.1.weight": 4}, {"1.weight": 4, "3.conv.0.weight": 4}],
    "SeedVR2": [{"decoder.up_blocks.2.upsamplers.0.upscale_conv.weight": 5}],
    "DC-AE": [{"encoder.stages.0.op_list.0.main.conv1.conv.weight": 4}],
    "Flux.2": [{"bn.running_mean": 1, "decoder.conv_in.weight": 4}],
    "Stable Cascade": [{"vquantizer.codebook.weight": 2}],
    "ACE-Step audio": [{"vocoder.backbone.channel_layers.0.0.bias": 1}],
    "Hunyuan3D": [{"geo_decoder.cross_attn_decoder.ln_1.bias": 1}],
    "TRELLIS 2": [{"shape_dec.blocks.1.16.to_subdiv.weight": 2}],
    "TripoSplat": [{"gs.base_offset_scale": 1, "octree.out_proj.weight": 2}],
    "RAE": [{"decoder.decoder_pred.weight": 2, "decoder.decoder_layers.0.output.dense.bias": 1}],
    "Mage": [{"student.dconv_encoder.proj_out.weight": 2}],
}
"""Keys by which ComfyUI, or its authors' code, knows a file, and their dimensions."""


def empty(shapes):
    """Tensors of no memory: shapes by name."""
    return {key: torch.empty(tuple(shape), device="meta") for key, shape in shapes}


@pytest.mark.parametrize("name", DIFFUSERS)
def test_every_autoencoder_of_diffusers_is_named(name):
    tensors = empty(json.loads(DATA.read_text())[name].items())
    assert name_unsupported(tensors) == DIFFUSERS[name]
    assert DIFFUSERS[name] or LOADED[name](to_native(tensors))


def test_the_stored_keys_are_of_the_autoencoders_in_the_table():
    assert json.loads(DATA.read_text()).keys() == DIFFUSERS.keys()


def test_the_stored_keys_are_those_of_the_installed_diffusers():
    pytest.importorskip("diffusers")
    stored, installed = json.loads(DATA.read_text()), list_all()
    for name in stored.keys() & installed.keys():
        assert stored[name] == installed[name], name


@pytest.mark.parametrize(
    ("name", "keys"), [(name, keys) for name, rows in SINGLE_FILES.items() for keys in rows]
)
def test_files_of_other_layouts_are_named(name, keys):
    assert name_unsupported(empty((key, [1] * ndim) for key, ndim in keys.items())) == name


def test_every_row_of_the_table_is_tested():
    assert SIGNATURES.keys() == {*SINGLE_FILES, *filter(None, DIFFUSERS.values())}


@pytest.mark.parametrize("name", [n for n in find_cases("keys_") if "tats" not in n])
def test_no_vae_of_these_families_is_taken_for_another_or_a_2d_one(name):
    tensors = empty(read_case(name)[0]["keys"])
    assert name_unsupported(tensors) is None
    assert not is_sd_vae(tensors)


def test_errors_of_load_and_inflate_use_the_name(tmp_path):
    path = tmp_path / "vae.safetensors"
    save_file({"codebook.embeddings": torch.zeros(1)}, path)
    for read in (odvae.load, odvae.inflate):
        with pytest.raises(odvae.CheckpointError, match="the TATS VQGAN VAE"):
            read(path)


def test_a_vae_with_counters_of_whole_numbers_is_named_all_the_same(tmp_path):
    keys = json.loads(DATA.read_text())["AutoencoderKLFlux2"]
    counters = {key for key in keys if key.endswith("num_batches_tracked")}
    tensors = {key: torch.zeros([1] * len(shape)) for key, shape in keys.items()}
    tensors |= {key: torch.zeros((), dtype=torch.int64) for key in counters}
    save_file(tensors, tmp_path / "vae.safetensors")
    with pytest.raises(odvae.CheckpointError, match=r"Flux\.2 VAE, which this package doesn.t"):
        odvae.load(tmp_path / "vae.safetensors")
