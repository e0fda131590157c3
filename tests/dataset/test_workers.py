"""`odvae encode-dataset`: resuming, and several workers."""

import io
import sys

import torch

from odvae_core.commands import encode_dataset
from odvae_core.commands.encode_dataset import Worker
from tests.dataset.encoding import assert_equal, call, call_json, read_all, read_lines
from tests.media import draw_noise, make_clip


def test_a_second_run_encodes_what_is_new_and_nothing_else(tmp_path, monkeypatch, capsys):
    (tmp_path / "clips").mkdir()
    make_clip(tmp_path / "clips/b.mp4", draw_noise(5, 16, 16))
    assert call_json(capsys, tmp_path / "clips", tmp_path / "l")["encoded"] == 1
    before = read_all(tmp_path / "l")
    make_clip(tmp_path / "clips/a.mp4", draw_noise(5, 16, 16))
    facts = call_json(capsys, tmp_path / "clips", tmp_path / "l")
    assert (facts["encoded"], facts["encoded_before"]) == (1, 1)
    monkeypatch.setattr(encode_dataset, "encode_clip", None)
    facts = call_json(capsys, tmp_path / "clips", tmp_path / "l")
    assert (facts["encoded"], facts["encoded_before"]) == (0, 2)
    after = read_all(tmp_path / "l")
    assert torch.equal(after["b.mp4", 0.0], before["b.mp4", 0.0])
    assert len(read_lines(tmp_path / "l" / "index.jsonl")) == 2


def test_two_shares_are_together_what_one_run_makes(folder, encoded, tmp_path, monkeypatch, capsys):
    counts = [
        call_json(capsys, folder, tmp_path / "l", "--shard", f"{i}/2")["encoded"] for i in (1, 2)
    ]
    assert counts == [2, 2]
    assert_equal(tmp_path / "l", encoded)
    assert len(read_lines(tmp_path / "l" / "index.jsonl")) == 4
    monkeypatch.setattr(encode_dataset, "encode_clip", None)
    again = [call_json(capsys, folder, tmp_path / "l", "--shard", f"{i}/3") for i in (1, 2, 3)]
    assert [facts["encoded"] for facts in again] == [0, 0, 0]


def test_launched_processes_share_the_work(folder, encoded, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank in ("1", "0"):
        monkeypatch.setenv("RANK", rank)
        monkeypatch.setenv("LOCAL_RANK", rank)
        assert call_json(capsys, folder, tmp_path / "l")["encoded"] == 2
    assert_equal(tmp_path / "l", encoded)
    names = sorted(path.name for path in (tmp_path / "l").glob("latents-*"))
    assert names == ["latents-1of2-00000.safetensors", "latents-2of2-00000.safetensors"]


def test_a_process_among_others_ends_well_though_its_clips_are_broken(tmp_path, capsys):
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips/text.mp4").write_text("not a clip")
    options = (tmp_path / "clips", tmp_path / "l")
    assert len(call_json(capsys, *options, "--shard", "1/2")["broken"]) == 1
    assert call_json(capsys, *options, "--shard", "2/2")["clips"] == 0
    assert call("encode-dataset", *options, "--device", "cpu") == 2


def test_ranks_and_shards_multiply(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "4")
    found = []
    for shard in ((1, 2), (2, 2)):
        for rank in range(4):
            monkeypatch.setenv("RANK", str(rank))
            found.append(encode_dataset.find_worker(shard).index)
            assert encode_dataset.find_worker(shard).count == 8
    assert found == list(range(8))


def test_each_launched_process_has_a_gpu_of_its_own(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert Worker(5, 8, local_rank=1, launched=True).choose_device("auto") == "cuda:1"
    assert Worker(5, 8, local_rank=1, launched=True).choose_device("cpu") == "cpu"
    assert Worker(0, 1).choose_device("auto") == "auto"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert Worker(5, 8, local_rank=1, launched=True).choose_device("auto") == "auto"


def test_a_terminal_gets_a_bar_over_the_clips(folder, tmp_path, monkeypatch, capsys):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr("sys.stderr", Terminal())
    assert call("encode-dataset", folder, tmp_path / "l", "--device", "cpu") == 0
    assert "encode 1of1: 100%" in sys.stderr.getvalue()
    assert "frames/s (24 frames in" in capsys.readouterr().out
