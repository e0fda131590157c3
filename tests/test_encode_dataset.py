"""`odvae encode-dataset`, called in process on small clips with the embedded model."""

import io
import json
import sys
import tarfile

import pytest
import safetensors.torch
import torch
from safetensors import safe_open

import odvae_core as odvae
from odvae_core import cli
from odvae_core.commands import encode_clip, encode_dataset, worker
from odvae_core.commands.model import Model
from odvae_core.commands.worker import Worker
from odvae_core.latents import LatentFile
from odvae_core.video import VideoReader
from tests.media import cut, draw_noise, make_clip

FRAMES = {"a.mp4": 7, "deep/b.mkv": 11, "deep/c.mp4": 5}
PICTURE = "still.png"


def call(*arguments):
    """Run a command."""
    return cli.main([str(argument) for argument in arguments])


def ask(capsys, *arguments):
    """Run encode-dataset, which must end well; return what it says."""
    capsys.readouterr()
    assert call("encode-dataset", *arguments, "--device", "cpu", "--json") == 0
    return json.loads(capsys.readouterr().out)


def read_lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def read_all(folder):
    """Path and start of every sample: its latent."""
    samples = {}
    for _, latent, facts in odvae.read_latents(folder):
        key = (facts["path"], facts["start"])
        assert key not in samples
        samples[key] = latent
    return samples


def assert_equal(folder, other):
    first, second = read_all(folder), read_all(other)
    assert first.keys() == second.keys()
    assert [key for key in first if not torch.equal(first[key], second[key])] == []


def encode_alone(clip, output, *options):
    """The latents [1, C, T, h, w] that `odvae encode` makes."""
    assert call("encode", clip, output, "--device", "cpu", *options) == 0
    (latent,) = LatentFile(output).chunks(1000)
    return latent


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three clips of noise and a picture, of sizes and lengths that the encoder doesn't take."""
    place = tmp_path_factory.mktemp("clips")
    (place / "deep").mkdir()
    for name, frames in FRAMES.items():
        make_clip(place / name, draw_noise(frames, 20, 36))
    make_clip(place / PICTURE, draw_noise(1, 18, 26), codec="png", pix_fmt="rgb24")
    return place


@pytest.fixture(scope="module")
def encoded(folder, tmp_path_factory):
    """The whole folder, encoded by one process."""
    place = tmp_path_factory.mktemp("encoded") / "latents"
    assert call("encode-dataset", folder, place, "--device", "cpu") == 0
    return place


# what is in the shards


def test_every_clip_is_encoded_as_odvae_encode_does(folder, encoded, tmp_path):
    samples = read_all(encoded)
    assert {path for path, _ in samples} == {*FRAMES, PICTURE}
    for name in (*FRAMES, PICTURE):
        alone = encode_alone(folder / name, tmp_path / "alone.safetensors", "--overwrite")
        assert torch.equal(samples[name, 0.0], alone[0])


def test_the_facts_say_what_a_sample_is(encoded, folder):
    facts = {facts["path"]: facts for _, _, facts in odvae.read_latents(encoded)}
    vae = odvae.load("default")
    clip = facts["deep/b.mkv"]
    assert (clip["frames"], clip["height"], clip["width"], clip["fps"]) == (11, 20, 36, 24.0)
    assert (clip["source_height"], clip["source_width"]) == (20, 36)
    assert clip["shape"] == [4, 4, 3, 5]
    assert (clip["family"], clip["checkpoint_sha256"]) == ("odvae", vae.provenance.sha256)
    assert (clip["latent_scale"], clip["latent_shift"]) == (vae.latent_scale, vae.latent_shift)
    assert (clip["posterior"], clip["run"][:6]) == ("mean", "Stream")
    assert facts[PICTURE]["fps"] is None
    assert facts[PICTURE]["shape"] == [4, 1, 3, 4]


def test_a_latent_decodes_to_its_clip_again(encoded):
    vae = odvae.load("default")
    for _, latent, facts in odvae.read_latents(encoded):
        size = odvae.fit.ClipSize(facts["frames"], facts["height"], facts["width"])
        video = odvae.fit.crop(vae.decode(latent[None]), size)
        assert video.shape == (1, 3, size.frames, size.height, size.width)


def test_a_shard_is_read_without_this_package(encoded):
    for line in read_lines(encoded / "index.jsonl"):
        with safe_open(encoded / line["shard"], "pt") as file:
            assert list(file.get_tensor(line["id"]).shape) == line["shape"]
            metadata = file.metadata()
            assert json.loads(metadata["dataset"]) == json.loads(
                (encoded / "dataset.json").read_text()
            )
            assert line["id"] in {clip["id"] for clip in json.loads(metadata["clips"])}


def test_a_webdataset_has_a_pair_of_files_for_each_sample(folder, encoded, tmp_path, capsys):
    ask(capsys, folder, tmp_path / "tars", "--format", "webdataset")
    (shard,) = (tmp_path / "tars").glob("*.tar")
    with tarfile.open(shard) as tar:
        names = tar.getnames()
        content = {name: tar.extractfile(name).read() for name in names}
    keys = [name.split(".", 1) for name in names]  # as webdataset groups them
    assert [suffix for _, suffix in keys] == ["json", "safetensors"] * 4
    assert [key for key, _ in keys[0::2]] == [key for key, _ in keys[1::2]]
    samples = read_all(encoded)
    for key, _ in keys[0::2]:
        facts = json.loads(content[f"{key}.json"])
        tensors = safetensors.torch.load(content[f"{key}.safetensors"])
        assert facts["id"] == key
        assert facts["latent_scale"] == pytest.approx(0.18215)
        assert torch.equal(tensors["latent"], samples[facts["path"], 0.0])
    assert_equal(tmp_path / "tars", encoded)


@pytest.mark.parametrize("form", ["safetensors", "webdataset"])
def test_the_log_variance_is_kept_where_asked_for(folder, tmp_path, capsys, form):
    ask(capsys, folder, tmp_path / "l", "--logvar", "--latent-dtype", "fp16", "--format", form)
    vae = odvae.load("default")
    with VideoReader(folder / "deep/c.mp4") as reader:
        (chunk,) = reader.chunks(5)
    expected = vae.encode(odvae.fit.pad(chunk.video, vae))
    for _, latent, facts in odvae.read_latents(tmp_path / "l"):
        assert latent.dtype == facts["logvar"].dtype == torch.float16
        if facts["path"] == "deep/c.mp4":
            torch.testing.assert_close(latent.float(), expected.mean[0], atol=1e-2, rtol=1e-2)
            torch.testing.assert_close(
                facts["logvar"].float(), expected.logvar[0], atol=2e-2, rtol=1e-2
            )


def test_random_latents_differ_by_clip_and_each_is_drawn_again_by_its_seed(
    folder, tmp_path, capsys
):
    ask(capsys, folder, tmp_path / "l", "--posterior", "sample", "--seed", 3)
    facts = {facts["path"]: facts for _, _, facts in odvae.read_latents(tmp_path / "l")}
    assert len({clip["seed"] for clip in facts.values()}) == 4
    options = ("--posterior", "sample", "--seed", facts["a.mp4"]["seed"])
    alone = encode_alone(folder / "a.mp4", tmp_path / "alone.safetensors", *options)
    assert torch.equal(read_all(tmp_path / "l")["a.mp4", 0.0], alone[0])


# what is taken of the clips


def test_pieces_follow_each_other_and_the_rest_is_left_out(folder, tmp_path, capsys):
    facts = ask(capsys, folder, tmp_path / "l", "--frames-per-clip", 5, "--short-side", 16)
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
    ask(capsys, manifest, tmp_path / "l")
    ((_, latent, facts),) = odvae.read_latents(tmp_path / "l")
    assert (facts["frames"], facts["columns"]) == (5, {"caption": "a storm"})
    options = ("--start", 2 / 24, "--max-frames", 5)
    alone = encode_alone(folder / "deep/b.mkv", tmp_path / "alone.safetensors", *options)
    assert torch.equal(latent, alone[0])


def test_a_break_far_behind_the_end_of_a_stretch_does_no_harm(tmp_path, capsys):
    cut(make_clip(tmp_path / "cut.mp4", draw_noise(24), movflags="faststart"), 0.8)
    manifest = tmp_path / "list.jsonl"
    manifest.write_text(json.dumps({"path": "cut.mp4", "end": 4 / 24}))
    facts = ask(capsys, manifest, tmp_path / "l")
    assert (facts["frames"], facts["broken"]) == (4, [])


def test_a_long_clip_comes_to_the_encoder_a_few_frames_at_a_time(tmp_path, monkeypatch, capsys):
    (tmp_path / "clips").mkdir()
    make_clip(tmp_path / "clips/long.mp4", draw_noise(41, 16, 16))
    lengths = []
    run = Model.encode

    def watch(self, chunks):
        yield from run(self, (lengths.append(chunk.shape[2]) or chunk for chunk in chunks))

    monkeypatch.setattr(Model, "encode", watch)
    ask(capsys, tmp_path / "clips", tmp_path / "l")
    assert sum(lengths) == 1 + 41  # one is to try the options out
    assert max(lengths) <= 8


# going on, and sharing the work


def test_a_second_run_encodes_what_is_new_and_nothing_else(tmp_path, monkeypatch, capsys):
    (tmp_path / "clips").mkdir()
    make_clip(tmp_path / "clips/b.mp4", draw_noise(5, 16, 16))
    assert ask(capsys, tmp_path / "clips", tmp_path / "l")["encoded"] == 1
    before = read_all(tmp_path / "l")
    make_clip(tmp_path / "clips/a.mp4", draw_noise(5, 16, 16))
    facts = ask(capsys, tmp_path / "clips", tmp_path / "l")
    assert (facts["encoded"], facts["encoded_before"]) == (1, 1)
    monkeypatch.setattr(encode_dataset, "encode_clip", None)
    facts = ask(capsys, tmp_path / "clips", tmp_path / "l")
    assert (facts["encoded"], facts["encoded_before"]) == (0, 2)
    after = read_all(tmp_path / "l")
    assert torch.equal(after["b.mp4", 0.0], before["b.mp4", 0.0])
    assert len(read_lines(tmp_path / "l" / "index.jsonl")) == 2


def test_two_shares_are_together_what_one_run_makes(folder, encoded, tmp_path, monkeypatch, capsys):
    counts = [ask(capsys, folder, tmp_path / "l", "--shard", f"{i}/2")["encoded"] for i in (1, 2)]
    assert counts == [2, 2]
    assert_equal(tmp_path / "l", encoded)
    assert len(read_lines(tmp_path / "l" / "index.jsonl")) == 4
    monkeypatch.setattr(encode_dataset, "encode_clip", None)
    again = [ask(capsys, folder, tmp_path / "l", "--shard", f"{i}/3") for i in (1, 2, 3)]
    assert [facts["encoded"] for facts in again] == [0, 0, 0]


def test_launched_processes_share_the_work(folder, encoded, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank in ("1", "0"):
        monkeypatch.setenv("RANK", rank)
        monkeypatch.setenv("LOCAL_RANK", rank)
        assert ask(capsys, folder, tmp_path / "l")["encoded"] == 2
    assert_equal(tmp_path / "l", encoded)
    names = sorted(path.name for path in (tmp_path / "l").glob("latents-*"))
    assert names == ["latents-1of2-00000.safetensors", "latents-2of2-00000.safetensors"]


def test_a_process_among_others_ends_well_though_its_clips_are_broken(tmp_path, capsys):
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips/text.mp4").write_text("not a clip")
    options = (tmp_path / "clips", tmp_path / "l")
    assert len(ask(capsys, *options, "--shard", "1/2")["broken"]) == 1
    assert ask(capsys, *options, "--shard", "2/2")["clips"] == 0
    assert call("encode-dataset", *options, "--device", "cpu") == 2


def test_ranks_and_shards_multiply(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "4")
    found = []
    for shard in ((1, 2), (2, 2)):
        for rank in range(4):
            monkeypatch.setenv("RANK", str(rank))
            found.append(worker.find_worker(shard).index)
            assert worker.find_worker(shard).count == 8
    assert found == list(range(8))


def test_each_launched_process_has_a_gpu_of_its_own(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert Worker(5, 8, row=1, launched=True).choose_device("auto") == "cuda:1"
    assert Worker(5, 8, row=1, launched=True).choose_device("cpu") == "cpu"
    assert Worker(0, 1).choose_device("auto") == "auto"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert Worker(5, 8, row=1, launched=True).choose_device("auto") == "auto"


# what can't be


def test_broken_clips_are_named_counted_and_listed_until_they_are_mended(tmp_path, capsys):
    clips, latents = tmp_path / "clips", tmp_path / "l"
    clips.mkdir()
    make_clip(clips / "good.mp4", draw_noise(9, 16, 16))
    make_clip(clips / "short.mp4", draw_noise(3, 16, 16))
    (clips / "text.mp4").write_text("not a clip")
    (clips / "empty.mp4").touch()
    cut(make_clip(clips / "cut.mp4", draw_noise(24), movflags="faststart"), 0.8)
    options = (clips, latents, "--frames-per-clip", 5)
    facts = ask(capsys, *options)
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
    facts = ask(capsys, manifest, tmp_path / "l")
    reasons = [clip["reason"] for clip in facts["broken"]]
    assert facts["encoded"] == 2  # the frame at 0 s lies before 0.001 s
    assert len(reasons) == 1
    assert "none.mp4: no such file" in reasons[0]


@pytest.mark.parametrize("error", [MemoryError("no cut fits"), torch.OutOfMemoryError("9 GiB")])
def test_a_clip_that_is_too_large_is_listed_and_the_others_are_encoded(
    folder, tmp_path, monkeypatch, capsys, error
):
    run = encode_clip.encode_clip

    def fail(clip, vae, options):
        if clip.name == "a.mp4":
            raise error
        return run(clip, vae, options)

    monkeypatch.setattr(encode_dataset, "encode_clip", fail)
    facts = ask(capsys, folder, tmp_path / "l")
    assert facts["encoded"] == 3
    assert "a.mp4: out of memory" in facts["broken"][0]["reason"]


def test_latents_that_are_not_finite_are_never_kept(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(
        encode_clip, "draw_latents", lambda *_: iter([torch.full((1, 4, 1, 2, 2), 7e4)])
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


def test_a_terminal_gets_a_bar_over_the_clips(folder, tmp_path, monkeypatch, capsys):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr("sys.stderr", Terminal())
    assert call("encode-dataset", folder, tmp_path / "l", "--device", "cpu") == 0

    assert "encode 1of1: 100%" in sys.stderr.getvalue()
    assert "frames/s (24 frames in" in capsys.readouterr().out
