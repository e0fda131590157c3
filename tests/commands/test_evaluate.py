"""`odvae evaluate`, called in process."""

import csv
import json

import pytest
import torch

import odvae_core as odvae
from odvae_core import cli
from odvae_core.commands import evaluate as command
from odvae_core.evaluation import list_protocols
from odvae_core.files.tensorfile import hash_file
from odvae_core.metrics import flicker, psnr, quantize, ssim
from odvae_core.video import read_video
from tests.checkpoints import build_image_vae, write_diffusers_folder
from tests.evaluation.small_evaluation import without_times, write_clips

FEW = ("--frames-per-clip", 5, "--size", 16)


def call(*arguments):
    return cli.main(["evaluate", *(str(argument) for argument in arguments)])


def call_json(capsys, *arguments):
    """The JSON result of an evaluation that succeeds."""
    capsys.readouterr()
    assert call(*arguments, "--json") == 0
    return json.loads(capsys.readouterr().out)


def call_refused(capsys, *arguments):
    """The last line on stderr of an evaluation that is rejected."""
    capsys.readouterr()
    assert call(*arguments) == 2
    return capsys.readouterr().err.splitlines()[-1]


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return write_clips(tmp_path_factory.mktemp("evaluate") / "clips")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("checkpoint") / "tiny.safetensors"
    odvae.save(odvae.build("odvae-tiny"), path)
    return path


def test_it_measures_in_memory_from_the_posteriors_mean_and_rounds_to_8_bits(
    clips, checkpoint, capsys
):
    path = clips / "a.mkv"
    options = ("--frames-per-clip", 5, "--size", 32, "--pieces", 2, "--checkpoint", checkpoint)
    facts = call_json(capsys, path, *options)
    video, vae = read_video(path)[..., 8:40], odvae.load(checkpoint)
    pieces = [video[:, :, :5], video[:, :, 5:10]]
    pairs = [(quantize(vae.decode(vae.encode(piece).mode())), piece) for piece in pieces]
    (row,) = facts["contenders"]
    for name, score in (("psnr", psnr), ("ssim", ssim), ("flicker", flicker)):
        expected = float(torch.stack([score(*pair) for pair in pairs]).mean())
        assert row["mean"][name] == pytest.approx(expected, rel=1e-3), name
        assert facts["clips"][0][name] == pytest.approx(expected, rel=1e-3), name


def test_the_embedded_model_runs_where_nobody_is_named(clips, capsys):
    facts = call_json(capsys, clips, *FEW)
    assert [row["name"] for row in facts["contenders"]] == ["default"]
    assert facts["contenders"][0]["sha256"] == odvae.load("default").provenance.sha256
    assert [entry["clip"] for entry in facts["clips"]] == ["a.mkv", "b.mkv"]
    assert [entry["clip"] for entry in facts["left_out"]] == ["short.mkv"]


def test_a_2d_vae_as_published_is_compared_frame_by_frame(clips, tmp_path, capsys):
    folder = write_diffusers_folder(build_image_vae(), tmp_path)
    facts = call_json(capsys, clips / "a.mkv", *FEW, "--checkpoint", folder)
    (row,) = facts["contenders"]
    assert row["sha256"] == hash_file(folder / "diffusion_pytorch_model.safetensors")
    vae = odvae.load(folder, images=True)
    assert row["parameters"] == sum(weight.numel() for weight in vae.parameters())


def test_many_candidates_stand_in_one_table(clips, checkpoint, capsys):
    who = ("--checkpoint", checkpoint, "--checkpoint", "other=default")
    assert (
        call(clips, *FEW, *who, "--baseline", "bicubic-mean", "--baseline", "bicubic-nearest") == 0
    )
    lines = capsys.readouterr().out.splitlines()
    names = [line.split()[0] for line in lines[1:5]]
    assert names == ["tiny.safetensors", "other", "bicubic-mean", "bicubic-nearest"]
    assert lines[-1].startswith("protocol: 5x16x16, stride 1")
    assert "left out: 1 clips" in lines


def test_a_class_of_diffusers_is_asked_for_with_its_folder(clips, capsys, monkeypatch):
    asked = []

    def enter(name, class_name, folder, dtype, device, size):
        asked.append((name, class_name, str(folder), size.frames))
        return command.make_baseline_candidate("bicubic-mean", size)

    monkeypatch.setattr(command, "make_diffusers_candidate", enter)
    call_json(capsys, clips, *FEW, "--diffusers", "VQModel=some/vqgan")
    call_json(capsys, clips, *FEW, "--diffusers", "ours=VQModel=some/vqgan")
    assert asked == [("VQModel", "VQModel", "some/vqgan", 5), ("ours", "VQModel", "some/vqgan", 5)]
    assert "give CLASS=FOLDER" in call_refused(capsys, clips, *FEW, "--diffusers", "VQModel")


def test_windows_have_an_error_at_their_borders(clips, checkpoint, capsys):
    options = ("--frames-per-clip", 11, "--size", 16, "--checkpoint", checkpoint)
    (windows,) = call_json(capsys, clips, *options, "--schedule", "paper", "--frames", 5)[
        "contenders"
    ]
    (whole,) = call_json(capsys, clips, *options, "--schedule", "whole")["contenders"]
    assert windows["mean"]["border_ratio"] > 0
    assert "border" not in whole["mean"]


def test_results_are_written_as_csv_and_png(clips, tmp_path, capsys):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    table, plot = tmp_path / "results.csv", tmp_path / "psnr.png"
    who = ("--baseline", "bicubic-mean")
    call_json(capsys, clips, *FEW, *who, "--csv", table, "--plot", plot)
    with table.open(newline="") as file:
        assert [row["clip"] for row in csv.DictReader(file)] == ["a.mkv", "b.mkv", "mean"]
    assert plot.read_bytes().startswith(b"\x89PNG")
    assert "exists; give another name" in call_refused(capsys, clips, *FEW, *who, "--csv", table)


def test_an_interrupted_evaluation_goes_on_where_it_was(clips, tmp_path, capsys, monkeypatch):
    journal = tmp_path / "journal.jsonl"
    options = (clips, *FEW, "--baseline", "bicubic-mean", "--baseline", "bicubic-nearest")
    enter, left = command.make_baseline_candidate, [6]

    def interrupt(name, size):
        candidate = enter(name, size)

        def reconstruct(video):
            left[0] -= 1
            if not left[0]:
                raise KeyboardInterrupt
            return candidate.reconstruct(video)

        return command.Candidate(candidate.name, reconstruct, candidate.facts)

    with monkeypatch.context() as patch:
        patch.setattr(command, "make_baseline_candidate", interrupt)
        assert call(*options, "--journal", journal) == 130
    assert 1 < len(journal.read_text().splitlines()) < 6
    resumed = call_json(capsys, *options, "--journal", journal)
    assert without_times(resumed) == without_times(call_json(capsys, *options))


def test_shards_are_merged_into_the_whole(clips, tmp_path, capsys):
    paths = [tmp_path / f"{index}.jsonl" for index in (1, 2)]
    options = (clips, *FEW, "--baseline", "bicubic-mean")
    for index, path in enumerate(paths, 1):
        call_json(capsys, *options, "--shard", f"{index}/2", "--journal", path)
    merged = call_json(capsys, "--merge", *paths)
    assert without_times(merged) == without_times(call_json(capsys, *options))
    assert merged["missing"] == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--crops", 6), "a piece has 5"),
        (("--frames-per-clip", 1), "give 2 or more"),
        (("--size", 8), "SSIM takes sides of 11"),
        (("--short-side", 12), "smaller than the crops"),
        (("--size", 64), "not one of 3 clips could be evaluated"),
        (("--shard", "4/4"), "3 clips have no shard 4/4"),
        (("--baseline", "lanczos"), "choose one of bicubic-mean"),
        (("--checkpoint", "default", "--checkpoint", "default"), "two candidates named default"),
        (("--i3d", "none.pt"), "none.pt can't be read"),
        (("--plot", "psnr.jpg"), "end the name in .png"),
        (("--journal", "no/such/folder.jsonl"), "its folder doesn't exist; create it"),
        (("--merge", "a.jsonl"), "got --merge and inputs"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line(clips, capsys, options, message):
    assert message in call_refused(capsys, clips, *FEW, *options)


def test_a_call_without_clips_is_refused(capsys):
    assert "name videos or folders of videos" in call_refused(capsys)


def test_a_clip_that_is_not_there_is_refused(tmp_path, capsys):
    assert "no.mp4: no such file or folder" in call_refused(capsys, tmp_path / "no.mp4")


def test_help_names_the_papers_protocols(capsys):
    with pytest.raises(SystemExit):
        call("--help")
    text = "".join(capsys.readouterr().out.split())  # names are wrapped at their hyphens
    assert all(name in text for name in list_protocols())
