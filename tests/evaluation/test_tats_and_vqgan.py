"""odvae_core/evaluation/tats.py, vqgan.py, table_1.py, generated.py and published_protocols.py."""

import argparse
import json
import os
import pickle
import sys
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

import odvae_core as odvae
from odvae_core import cli
from odvae_core.evaluation import list_protocols, read_protocol
from odvae_core.evaluation.tats import Tats, TatsConfig, load_tats
from odvae_core.evaluation.vqgan import Vqgan, load_vqgan
from odvae_core.families.odvae_config import SD_VAE, Level
from odvae_core.files.tensorfile import read_tensor_file
from tests.checkpoints import build_image_vae, build_small, write_diffusers_folder
from tests.evaluation.small_evaluation import write_clips

FEW = ("--frames-per-clip", 5, "--size", 16)
SMALL_TATS = TatsConfig(16, 32, 4)
SMALL_VQGAN = replace(
    SD_VAE,
    levels=tuple(
        Level(1, "2d", "frame" if i < 3 else "", "", "2d", "frame" if i else "", "")
        for i in range(4)
    ),
    width=32,
    blocks=1,
    z_channels=32,
    embed_dim=32,
    attention_resolutions=(32,),
)


def make_tats(config=SMALL_TATS):
    torch.manual_seed(0)
    return Tats(config).eval().requires_grad_(False)


def write_lightning(network, path, **arguments):
    """A checkpoint as Lightning writes it, with the argparse.Namespace of the authors' script."""
    beside = {"perceptual_model.net.weight": torch.zeros(2), "image_discriminator.a": torch.ones(1)}
    content = {
        "epoch": 3,
        "state_dict": {**network.state_dict(), **beside},
        "hyper_parameters": {"args": argparse.Namespace(**arguments)},
    }
    torch.save(content, path)
    return path


def call_json(capsys, *arguments):
    capsys.readouterr()
    assert cli.main(["evaluate", *(str(argument) for argument in arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def call_refused(capsys, *arguments):
    capsys.readouterr()
    assert cli.main(["evaluate", *(str(argument) for argument in arguments)]) == 2
    return capsys.readouterr().err.splitlines()[-1]


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return write_clips(tmp_path_factory.mktemp("evaluate") / "clips")


def test_lightnings_arguments_are_plain_data_and_no_code_runs(tmp_path):
    network = make_tats(replace(SMALL_TATS, downsample=(2, 8, 8)))
    path = write_lightning(network, tmp_path / "tats.ckpt", downsample=(2, 8, 8), lr=3e-4, f=[1])
    content = read_tensor_file(path)
    assert content.arguments == {"downsample": (2, 8, 8), "lr": 3e-4, "f": [1]}
    loaded, assumed = load_tats(path)
    assert (loaded.config.downsample, assumed) == ((2, 8, 8), "")
    video = torch.rand(1, 3, 4, 16, 16) - 0.5
    assert torch.equal(loaded.encode(video), network.encode(video))


def test_a_pickle_that_would_run_code_is_refused_as_before(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.system, ("true",)

    torch.save({"state_dict": {"a": torch.ones(1)}, "hyper_parameters": Evil()}, tmp_path / "x.pt")
    with pytest.raises(odvae.CheckpointError, match=r"would run code \((posix|nt)\.system"):
        read_tensor_file(tmp_path / "x.pt")
    assert pickle.loads(pickle.dumps(argparse.Namespace(a=1))).a == 1


def test_without_arguments_the_downsampling_of_the_paper_is_assumed_and_said(tmp_path):
    tensors = make_tats().state_dict()
    save_file(tensors, tmp_path / "tats.safetensors")
    loaded, assumed = load_tats(tmp_path / "tats.safetensors")
    assert (loaded.config, assumed) == (SMALL_TATS, "downsampling of 4x8x8 is assumed")


@pytest.mark.parametrize("frames", [1, 4, 5, 17])
def test_tats_extends_clips_to_4k_frames_and_returns_as_many(frames):
    video = torch.rand(1, 3, frames, 20, 28) * 2 - 1
    result = make_tats().reconstruct(video)
    assert result.shape == video.shape
    assert result.abs().max() <= 1


def test_tats_is_a_candidate_by_its_content_and_its_parameters_are_explained(
    clips, tmp_path, capsys
):
    path = write_lightning(make_tats(), tmp_path / "ucf.ckpt", downsample=(4, 8, 8))
    facts = call_json(capsys, clips / "a.mkv", *FEW, "--checkpoint", f"tats={path}")
    (row,) = facts["contenders"]
    assert (row["name"], row["vcpr_paper"], row["vcpr"]) == ("tats", 256, 768)
    assert "extended to 8 frames" in row["note"]
    assert "the paper's 52.19 M counts discriminators and LPIPS" in row["note"]
    with torch.device("meta"):
        full = Tats(TatsConfig())
    codec = sum(weight.numel() for weight in full.parameters())
    assert (codec, codec + full.codebook.embeddings.numel()) == (23_652_227, 27_846_531)


def test_load_names_tats_and_does_not_load_it(tmp_path):
    path = write_lightning(make_tats(), tmp_path / "ucf.ckpt")
    with pytest.raises(odvae.CheckpointError, match="the TATS VQGAN VAE"):
        odvae.load(path)


def test_the_vqgan_of_the_table_has_its_69_million_parameters():
    levels = tuple(
        replace(level, multiplier=multiplier)
        for level, multiplier in zip(SMALL_VQGAN.levels, (1, 1, 2, 4), strict=True)
    )
    config = replace(SMALL_VQGAN, levels=levels, width=128, blocks=2, z_channels=256, embed_dim=256)
    with torch.device("meta"):
        network = Vqgan(config, 8192)
    assert sum(weight.numel() for weight in network.parameters()) == 68_995_971


def test_a_vqgan_is_read_from_tamings_checkpoint_and_is_a_candidate(clips, tmp_path, capsys):
    torch.manual_seed(0)
    network = Vqgan(SMALL_VQGAN, 64).requires_grad_(False)
    weights = {**network.state_dict(), "loss.discriminator.main.0.weight": torch.ones(1)}
    torch.save({"state_dict": weights, "global_step": 5}, tmp_path / "last.ckpt")
    loaded = load_vqgan(tmp_path / "last.ckpt")
    assert loaded.config == SMALL_VQGAN
    video = torch.rand(1, 3, 2, 16, 16) * 2 - 1
    assert torch.equal(loaded.encode(video), network.encode(video))
    facts = call_json(capsys, clips / "a.mkv", *FEW, "--checkpoint", tmp_path / "last.ckpt")
    (row,) = facts["contenders"]
    assert (row["vcpr_paper"], row["vcpr"]) == (64, 192)


def test_a_vqgan_with_the_other_quantiser_is_refused_in_words(tmp_path):
    weights = dict(Vqgan(SMALL_VQGAN, 64).state_dict())
    weights["quantize.embedding.weight"] = weights.pop("quantize.embed.weight")
    del weights["quantize.proj.weight"], weights["quantize.proj.bias"]
    torch.save({"state_dict": weights}, tmp_path / "last.ckpt")
    with pytest.raises(odvae.CheckpointError, match="nearest-neighbour one: give the OpenImages"):
        load_vqgan(tmp_path / "last.ckpt")


@pytest.mark.skipif("TAMING_PATH" not in os.environ, reason="needs taming-transformers")
def test_codes_and_reconstructions_equal_tamings_own_modules(monkeypatch):
    """Its encoder, its quantiser's scores without noise, and its decoder, on the same weights."""
    monkeypatch.setattr(sys, "path", [os.environ["TAMING_PATH"], *sys.path])
    from taming.modules.diffusionmodules.model import Decoder, Encoder  # pyright: ignore
    from taming.modules.vqvae.quantize import GumbelQuantize  # pyright: ignore

    torch.manual_seed(0)
    ours = Vqgan(SMALL_VQGAN, 64).eval().requires_grad_(False)
    design = {
        "ch": 32,
        "out_ch": 3,
        "ch_mult": (1, 1, 1, 1),
        "num_res_blocks": 1,
        "attn_resolutions": [32],
        "in_channels": 3,
        "resolution": 256,
        "z_channels": 32,
    }
    encoder, decoder = Encoder(double_z=False, **design), Decoder(**design)
    quantizer = GumbelQuantize(32, 32, 64)
    for theirs, part in ((encoder, "encoder"), (decoder, "decoder"), (quantizer, "quantize")):
        theirs.load_state_dict(getattr(ours, part).state_dict())
        theirs.eval()
    video = torch.rand(1, 3, 1, 64, 64) * 2 - 1
    with torch.no_grad():
        latent = ours.quant_conv(encoder(video[:, :, 0])[:, :, None])[:, :, 0]
        codes = quantizer.proj(latent).argmax(dim=1)
        entries = quantizer.embed(codes).movedim(-1, 1)
        expected = decoder(ours.post_quant_conv(entries[:, :, None])[:, :, 0])
    assert torch.equal(ours.encode(video)[:, 0], codes)
    torch.testing.assert_close(ours(video)[:, :, 0], expected, rtol=0, atol=1e-5)


@pytest.fixture
def table(tmp_path):
    """A folder with four of the table's seven, in the layouts of their publishers."""
    folder = tmp_path / "table"
    folder.mkdir()
    write_lightning(make_tats(), folder / "ucf.ckpt", downsample=(4, 8, 8))
    write_diffusers_folder(build_image_vae(), folder / "sd")
    save_file(build_small().state_dict(), folder / "odvae.safetensors")
    torch.manual_seed(0)
    torch.save({"state_dict": Vqgan(SMALL_VQGAN, 64).state_dict()}, folder / "last.ckpt")
    (folder / "notes.txt").write_text("no weights")
    return folder


def test_table_1_finds_its_rows_by_what_the_files_are_and_names_the_missing(clips, table, capsys):
    facts = call_json(capsys, clips / "a.mkv", *FEW, "--table-1", table)
    rows = {row["name"]: row for row in facts["contenders"]}
    assert list(rows) == ["VQGAN", "TATS", "SD-VAE", "OD-VAE"]
    assert [row["vcpr_paper"] for row in rows.values()] == [64, 256, 64, 256]
    assert (
        cli.main(["evaluate", str(clips / "a.mkv"), *map(str, FEW), "--table-1", str(table)]) == 0
    )
    text = capsys.readouterr().out
    for name in ("SVD-VAE", "CV-VAE", "OPS-VAE"):
        assert f"missing {name}: published as " in text
    assert "missing TATS" not in text


def test_two_files_of_one_row_and_a_folder_of_none_are_refused(clips, table, tmp_path, capsys):
    write_lightning(make_tats(), table / "sky.ckpt")
    text = call_refused(capsys, clips, *FEW, "--table-1", table)
    assert "got two files of TATS" in text
    (tmp_path / "empty").mkdir()
    text = call_refused(capsys, clips, *FEW, "--table-1", tmp_path / "empty")
    assert "holds no checkpoint of Table 1; missing VQGAN: published as CompVis" in text


class Colours(torch.nn.Module):
    """Stands for I3D and for C3D: 4 features, whatever the arguments."""

    def forward(
        self,
        video: torch.Tensor,
        rescale: bool = False,
        resize: bool = False,
        return_features: bool = False,
    ) -> torch.Tensor:
        means = video.float().mean(dim=[2, 3, 4]) / 255
        return torch.cat([means, video.float().std(dim=[1, 2, 3, 4]).unsqueeze(1) / 255], dim=1)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_generated_clips_are_compared_with_real_ones(clips, tmp_path, capsys):
    torch.jit.script(Colours()).save(str(tmp_path / "network.pt"))
    files = ("--i3d", tmp_path / "network.pt", "--c3d", tmp_path / "network.pt")
    options = (*FEW, "--pieces", 2, "--crops", 5, *files)
    facts = call_json(capsys, "--generated", clips, clips, *options)
    assert facts["figures"]["fvd"] == pytest.approx(0, abs=1e-6)
    assert facts["clips"] == {"real": 20, "generated": 20}
    assert set(facts["figures"]) == {"fvd", "kvd", "inception_score", "inception_score_std"}
    assert "20 real and 20 generated samples" in facts["protocol"]
    assert "5x16x16, stride 1, from each clip's start" in facts["protocol"]
    assert len(facts["left_out"]["real"]) == 1
    few = call_json(capsys, "--generated", clips, clips, *options, "--clips", 12)
    assert few["clips"] == {"real": 12, "generated": 12}


def test_generated_needs_a_network_and_nothing_else(clips, capsys):
    assert "give the published TorchScript" in call_refused(capsys, "--generated", clips, clips)
    text = call_refused(capsys, clips, "--generated", clips, clips)
    assert "got --generated and inputs" in text


@pytest.mark.parametrize("name", list_protocols())
def test_every_protocol_names_its_table_and_can_be_used(name):
    protocol = read_protocol(name)
    assert "arXiv" in protocol.table
    assert protocol.split
    assert protocol.describe()[0] == f"protocol {name}: {protocol.table}"
    assert 256 <= protocol.crops["size"] <= 1080


def test_a_protocol_gives_the_crops_and_options_change_them(clips, tmp_path, capsys):
    file = tmp_path / "mine.toml"
    file.write_text('table = "mine"\nsplit = "all"\nframes = 5\nsize = 16\npieces = 2\nclips = 1\n')
    facts = call_json(capsys, clips, "--protocol", file, "--size", 24)
    assert "5x24x24, stride 1" in facts["protocol"]
    assert {entry["clip"] for entry in facts["clips"]} == {"a.mkv"}
    (tmp_path / "list.txt").write_text("b\n")
    facts = call_json(capsys, clips, *FEW, "--clip-list", tmp_path / "list.txt")
    assert {entry["clip"] for entry in facts["clips"]} == {"b.mkv"}


def test_bad_protocols_and_lists_are_refused(clips, tmp_path, capsys):
    assert "choose one of ivvae-activitynet" in call_refused(capsys, clips, "--protocol", "fid")
    file = tmp_path / "mine.toml"
    file.write_text("frame = 5")
    assert "unknown fields ['frame'], missing ['split', 'table']" in call_refused(
        capsys, clips, "--protocol", file
    )
    (tmp_path / "list.txt").write_text("z\n")
    text = call_refused(capsys, clips, *FEW, "--clip-list", tmp_path / "list.txt")
    assert "names none of the 3 clips" in text
