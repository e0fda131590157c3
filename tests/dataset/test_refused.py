"""`odvae encode-dataset`: broken clips and invalid options."""

import json

import pytest
import torch

import odvae_core as odvae
from odvae_core.checks import NonFiniteError
from odvae_core.commands import encode_dataset, encode_dataset_clip
from tests.dataset.encoding import call, call_json, read_all, read_lines
from tests.media import cut, draw_noise, make_clip


def test_broken_clips_are_named_counted_and_listed_until_they_are_mended(tmp_path, capsys):
    clips, latents = tmp_path / "clips", tmp_path / "l"
    clips.mkdir()
    make_clip(clips / "good.mp4", draw_noise(9, 16, 16))
    make_clip(clips / "short.mp4", draw_noise(3, 16, 16))
    (clips / "text.mp4").write_text("not a clip")
    (clips / "empty.mp4").touch()
    cut(make_clip(clips / "cut.mp4", draw_noise(24), movflags="faststart"), 0.8)
    options = (clips, latents, "--frames-per-clip", 5)
    facts = call_json(capsys, *options)
    assert (facts["clips"], facts["encoded"]) == (5, 1)
    bad = ["cut.mp4", "empty.mp4", "short.mp4", "text.mp4"]
    assert [clip["path"] for clip in facts["broken"]] == bad
    listed = read_lines(latents / "broken.jsonl")
    assert sorted(line["path"] for line in listed) == bad
    assert all(line["path"] in line["reason"] for line in listed)
    make_clip(clips / "text.mp4", draw_noise(5, 16, 16))
    assert call("encode-dataset", *options, "--device", "cpu") == 0
    assert "left out 3 clips" in capsys.readouterr().out
    assert sorted(line["path"] for line in read_lines(latents / "broken.jsonl")) == bad[:3]
    assert [path for path, _ in sorted(read_all(latents))] == ["good.mp4", "text.mp4"]


def test_clips_that_a_manifest_names_but_nobody_has_are_listed(folder, tmp_path, capsys):
    manifest = folder / "missing.jsonl"
    lines = [{"path": "none.mp4"}, {"path": "a.mp4"}, {"path": "a.mp4", "end": 0.001, "start": 0}]
    manifest.write_text("\n".join(map(json.dumps, lines)))
    facts = call_json(capsys, manifest, tmp_path / "l")
    reasons = [clip["reason"] for clip in facts["broken"]]
    assert facts["encoded"] == 2  # the frame at 0 s lies before 0.001 s
    assert len(reasons) == 1
    assert "none.mp4: no such file" in reasons[0]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MemoryError("no plan fits"), "a.mp4: out of memory"),
        (torch.OutOfMemoryError("9 GiB"), "a.mp4: out of memory"),
        (NonFiniteError("got NaN"), "a.mp4: got NaN"),
    ],
)
def test_a_clip_that_the_network_fails_at_is_listed_and_the_others_are_encoded(
    folder, tmp_path, monkeypatch, capsys, error, reason
):
    run = encode_dataset_clip.encode_clip

    def fail(clip, vae, options):
        if clip.name == "a.mp4":
            raise error
        return run(clip, vae, options)

    monkeypatch.setattr(encode_dataset, "encode_clip", fail)
    facts = call_json(capsys, folder, tmp_path / "l")
    assert facts["encoded"] == 3
    assert reason in facts["broken"][0]["reason"]


def test_latents_that_are_not_finite_are_never_kept(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(
        encode_dataset_clip, "draw_latents", lambda *_: iter([torch.full((1, 4, 1, 2, 2), 7e4)])
    )
    options = (folder, tmp_path / "l", "--device", "cpu")
    assert call("encode-dataset", *options, "--latent-dtype", "fp16") == 2
    captured = capsys.readouterr().err
    assert "not one of 4 clips could be encoded" in captured
    assert "a.mp4: its latents aren't finite" in captured
    assert read_all(tmp_path / "l") == {}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--stride", 2), "with stride 1, but this run has 2"),
        (("--latent-dtype", "bf16"), "with latent_dtype 'fp32', but this run has 'bf16'"),
        (("--format", "webdataset"), "with shards 'safetensors', but this run has 'webdataset'"),
        (("--posterior", "sample"), "with posterior 'mean', but this run has 'sample 0'"),
        (("--logvar", "--posterior", "sample"), "leave out one of the two"),
        (("--frames-per-clip", 9, "--max-frames", 5), "raise the one or lower the other"),
    ],
)
def test_other_options_into_the_same_folder_are_refused(folder, encoded, capsys, options, message):
    before = sorted(encoded.rglob("*"))
    assert call("encode-dataset", folder, encoded, "--device", "cpu", *options) == 2
    assert message in capsys.readouterr().err
    assert sorted(encoded.rglob("*")) == before


@pytest.mark.parametrize(
    ("options", "message"), [(("--tile", 20), "multiples of 8"), (("--frames", 6), "1 + 4k")]
)
def test_options_that_cannot_be_claim_no_folder(folder, tmp_path, capsys, options, message):
    assert call("encode-dataset", folder, tmp_path / "l", "--device", "cpu", *options) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "l").exists()


def test_another_checkpoint_into_the_same_folder_is_refused(folder, encoded, tmp_path, capsys):
    other = tmp_path / "other.safetensors"
    odvae.save(odvae.build("odvae-tiny"), other)
    options = ("--device", "cpu", "--checkpoint", other)
    assert call("encode-dataset", folder, encoded, *options) == 2
    captured = capsys.readouterr().err
    assert "with checkpoint_sha256" in captured
    assert "give the options of the first run, or another folder" in captured


def test_a_rank_without_a_world_is_refused(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("RANK", "1")
    assert call("encode-dataset", folder, tmp_path / "l") == 2
    assert "set both or neither" in capsys.readouterr().err


@pytest.mark.parametrize("shard", ["3/2", "0/2", "2", "a/b"])
def test_a_share_that_is_none_is_a_wrong_call(folder, tmp_path, capsys, shard):
    with pytest.raises(SystemExit):
        call("encode-dataset", folder, tmp_path / "l", "--shard", shard)
    assert "usage: odvae" in capsys.readouterr().err
