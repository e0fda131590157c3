"""`odvae encode-dataset`: the content of the shards."""

import json
import tarfile

import pytest
import safetensors.torch
import torch
from safetensors import safe_open

import odvae_core as odvae
from odvae_core.video import VideoReader
from tests.dataset.encoding import (
    FRAMES,
    PICTURE,
    assert_equal,
    call_json,
    encode_alone,
    read_all,
    read_lines,
)


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
    assert clip["shape"] == [16, 4, 3, 5]
    assert (clip["family"], clip["checkpoint_sha256"]) == ("odvae", vae.provenance.sha256)
    assert (clip["latent_scale"], clip["latent_shift"]) == (vae.latent_scale, vae.latent_shift)
    assert (clip["posterior"], clip["run"][:6]) == ("mean", "stream")
    assert facts[PICTURE]["fps"] is None
    assert facts[PICTURE]["shape"] == [16, 1, 3, 4]


def test_a_latent_decodes_to_its_clip_again(encoded):
    vae = odvae.load("default")
    for _, latent, facts in odvae.read_latents(encoded):
        size = odvae.padding.ClipSize(facts["frames"], facts["height"], facts["width"])
        video = odvae.padding.crop(vae.decode(latent[None]), size)
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
    call_json(capsys, folder, tmp_path / "tars", "--format", "webdataset")
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
        assert facts["latent_scale"] == 1.0
        assert torch.equal(tensors["latent"], samples[facts["path"], 0.0])
    assert_equal(tmp_path / "tars", encoded)


@pytest.mark.parametrize("form", ["safetensors", "webdataset"])
def test_the_log_variance_is_kept_where_asked_for(folder, tmp_path, capsys, form):
    call_json(
        capsys, folder, tmp_path / "l", "--logvar", "--latent-dtype", "fp16", "--format", form
    )
    vae = odvae.load("default")
    with VideoReader(folder / "deep/c.mp4") as reader:
        (chunk,) = reader.chunks(5)
    expected = vae.encode(odvae.padding.pad(chunk.video, vae))
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
    call_json(capsys, folder, tmp_path / "l", "--posterior", "sample", "--seed", 3)
    facts = {facts["path"]: facts for _, _, facts in odvae.read_latents(tmp_path / "l")}
    assert len({clip["seed"] for clip in facts.values()}) == 4
    options = ("--posterior", "sample", "--seed", facts["a.mp4"]["seed"])
    alone = encode_alone(folder / "a.mp4", tmp_path / "alone.safetensors", *options)
    assert torch.equal(read_all(tmp_path / "l")["a.mp4", 0.0], alone[0])
