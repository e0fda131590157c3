"""`odvae encode-dataset`: the frames of the clips that are encoded."""

import json

import torch

import odvae_core as odvae
from odvae_core.commands.model import Model
from tests.dataset.encoding import FRAMES, PICTURE, call_json, encode_alone, read_all, read_lines
from tests.media import cut, draw_noise, make_clip


def test_pieces_follow_each_other_and_the_rest_is_left_out(folder, tmp_path, capsys):
    facts = call_json(capsys, folder, tmp_path / "l", "--frames-per-clip", 5, "--short-side", 16)
    samples = read_all(tmp_path / "l")
    starts = {path: [] for path in (*FRAMES, PICTURE)}
    for path, start in sorted(samples):
        starts[path].append(round(start * 24))
    assert starts == {"a.mp4": [0], "deep/b.mkv": [0, 5], "deep/c.mp4": [0], PICTURE: [0]}
    assert facts["frames"] == 4 * 5 + 1
    options = ("--start", 5 / 24, "--max-frames", 5, "--short-side", 16)
    alone = encode_alone(folder / "deep/b.mkv", tmp_path / "alone.safetensors", *options)
    second = next(samples[key] for key in samples if key[0] == "deep/b.mkv" and key[1])
    assert torch.equal(second, alone[0])
    names = [line["id"] for line in read_lines(tmp_path / "l" / "index.jsonl")]
    assert len(set(names)) == 5
    assert all(name[-6:] in ("-00000", "-00001") for name in names)


def test_a_manifest_cuts_and_its_columns_come_along(folder, tmp_path, capsys):
    manifest = folder / "list.csv"
    manifest.write_text(f"path,start,end,caption\ndeep/b.mkv,{2 / 24},{7 / 24},a storm\n")
    call_json(capsys, manifest, tmp_path / "l")
    ((_, latent, facts),) = odvae.read_latents(tmp_path / "l")
    assert (facts["frames"], facts["columns"]) == (5, {"caption": "a storm"})
    options = ("--start", 2 / 24, "--max-frames", 5)
    alone = encode_alone(folder / "deep/b.mkv", tmp_path / "alone.safetensors", *options)
    assert torch.equal(latent, alone[0])


def test_a_break_far_behind_the_end_of_a_stretch_does_no_harm(tmp_path, capsys):
    cut(make_clip(tmp_path / "cut.mp4", draw_noise(24), movflags="faststart"), 0.8)
    manifest = tmp_path / "list.jsonl"
    manifest.write_text(json.dumps({"path": "cut.mp4", "end": 4 / 24}))
    facts = call_json(capsys, manifest, tmp_path / "l")
    assert (facts["frames"], facts["broken"]) == (4, [])


def test_a_long_clip_comes_to_the_encoder_a_few_frames_at_a_time(tmp_path, monkeypatch, capsys):
    (tmp_path / "clips").mkdir()
    make_clip(tmp_path / "clips/long.mp4", draw_noise(41, 16, 16))
    lengths = []
    run = Model.encode

    def watch(self, chunks):
        yield from run(self, (lengths.append(chunk.shape[2]) or chunk for chunk in chunks))

    monkeypatch.setattr(Model, "encode", watch)
    call_json(capsys, tmp_path / "clips", tmp_path / "l")
    assert sum(lengths) == 1 + 41  # one is to try the options out
    assert max(lengths) <= 8
