"""Latent files: everything is restored, also in chunks, and a wrong file raises an error with a
reason."""

import dataclasses
from fractions import Fraction

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from odvae_core import build
from odvae_core.latents import LatentError, LatentFile, LatentInfo, write_latents

INFO = LatentInfo(
    family="odvae",
    checkpoint_sha256="ab" * 32,
    frames=7,
    height=20,
    width=36,
    fps=Fraction(30000, 1001),
    latent_scale=0.18215,
    latent_shift=0.0,
    posterior="sample with seed 3",
    run="Stream(frames=17), no tiles, float32 on cpu",
    version="0.1.0",
)
TIMES = [Fraction(i * i, 24) for i in range(7)]  # a rate that varies


@pytest.fixture
def latent():
    return torch.randn(1, 4, 3, 3, 5, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def path(tmp_path, latent):
    path = tmp_path / "clip.safetensors"
    write_latents(path, latent, TIMES, INFO)
    return path


@pytest.fixture(scope="module")
def vae():
    with torch.device("meta"):
        return build("odvae-tiny")


def rewrite(path, **changes):
    """The same tensors with other metadata; a change to None leaves a field out."""
    with safe_open(path, "pt") as file:
        metadata = {**file.metadata(), **changes}
    save_file(
        load_file(path), path, {name: text for name, text in metadata.items() if text is not None}
    )


def test_latents_times_and_information_come_back_as_they_were(path, latent):
    file = LatentFile(path)
    assert file.info == INFO
    assert file.times == TIMES
    assert file.shape == latent.shape
    assert torch.equal(torch.cat(list(file.chunks(8)), dim=2), latent)


@pytest.mark.parametrize("frames", [1, 2])
def test_latents_are_read_in_pieces(path, latent, frames):
    chunks = list(LatentFile(path).chunks(frames))
    assert max(chunk.shape[2] for chunk in chunks) == frames
    assert torch.equal(torch.cat(chunks, dim=2), latent)


def test_the_loader_of_comfyui_finds_unscaled_latents_under_its_own_names(path, latent):
    tensors = load_file(path)
    assert "latent_format_version_0" in tensors  # without it, that loader multiplies
    assert torch.equal(tensors["latent_tensor"], latent)


def test_the_vae_that_encoded_may_decode(path, vae):
    LatentFile(path).check_vae(vae)


def test_another_family_is_refused(path, vae):
    rewrite(path, family="ivvae")
    with pytest.raises(LatentError, match=r"family ivvae.*family odvae; decode with"):
        LatentFile(path).check_vae(vae)


@pytest.mark.parametrize(
    "shape", [(1, 16, 3, 3, 5), (1, 4, 2, 3, 5), (1, 4, 3, 4, 5), (2, 4, 3, 3, 5)]
)
def test_latents_that_do_not_fit_the_clip_or_the_vae_are_refused(tmp_path, vae, shape):
    path = tmp_path / "clip.safetensors"
    write_latents(path, torch.zeros(shape), TIMES, INFO)
    with pytest.raises(LatentError, match=r"have shape \[1, 4, 3, 3, 5\]: decode with"):
        LatentFile(path).check_vae(vae)


def test_a_missing_time_is_noticed(tmp_path, vae, latent):
    path = tmp_path / "clip.safetensors"
    write_latents(path, latent, TIMES[:-1], INFO)
    with pytest.raises(LatentError, match="and 6 times for 7 frames"):
        LatentFile(path).check_vae(vae)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "odvae"}, "don't describe an encoded clip; give a file"),
        ({"format": "2", "version": "0.9.0"}, r"format 2, written by odvae 0\.9\.0; .* install"),
        ({"frames": None}, "damaged .*frames.* encode the clip again"),
        ({"frames": "many"}, "damaged .*many.* encode the clip again"),
        ({"fps": "1/0"}, r"damaged .*Fraction\(1, 0\).* encode the clip again"),
        ({"fps": "0"}, r"damaged .*0 frames per second.* encode the clip again"),
        ({"fps": "1e999999999"}, "damaged .*1e999999999.*n/d.* encode the clip again"),
        ({"fps": "1/1000000"}, "damaged .*1/1000000 frames per second; give .* encode"),
        ({"frames": "-7"}, "damaged .*-7.*whole number.* encode the clip again"),
        ({"frames": "0"}, "damaged .*0 frames of 20x36.* encode the clip again"),
        ({"frames": "9" * 4000}, "damaged .{,100}whole number of at most 18 digits.* encode"),
        ({"height": "999999", "width": "999999"}, "damaged .*picture of 999999x999999.* encode"),
        ({"latent_scale": "nan"}, "damaged .*nan.*finite.* encode the clip again"),
    ],
)
def test_other_metadata_are_refused(path, changes, message):
    rewrite(path, **changes)
    with pytest.raises(LatentError, match=message):
        LatentFile(path)


@pytest.mark.parametrize("times", [[[1, 0]], [[2, 1], [1, 1]], [1, 2], [[0.5, 1.0]], [[2**62, 1]]])
def test_times_that_are_no_increasing_fractions_are_refused(path, times):
    tensors = {**load_file(path), "frame_times": torch.tensor(times)}
    with safe_open(path, "pt") as file:
        save_file(tensors, path, file.metadata())
    with pytest.raises(LatentError, match=r"its times are damaged.* encode the clip again"):
        LatentFile(path)


def test_a_file_that_may_not_be_read_is_refused(path, monkeypatch):
    def forbid(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.open", forbid)
    with pytest.raises(
        LatentError, match=r"clip\.safetensors: can't be read \(Permission denied\)"
    ):
        LatentFile(path)


def test_a_missing_a_truncated_and_another_file_are_refused(path, tmp_path):
    with pytest.raises(LatentError, match="no such file; check"):
        LatentFile(tmp_path / "none.safetensors")
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(LatentError, match="not a complete latent file"):
        LatentFile(path)
    path.write_text("these are no latents")
    with pytest.raises(LatentError, match="not a complete latent file"):
        LatentFile(path)


def test_a_name_that_is_not_safetensors_is_refused_and_nothing_is_written(tmp_path, latent):
    with pytest.raises(LatentError, match=r"'clip.pt'; .* end it in \.safetensors"):
        write_latents(tmp_path / "clip.pt", latent, TIMES, INFO)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_older_file_as_it_was(path, latent, monkeypatch):
    before = path.read_bytes()

    def fail(*_arguments):
        raise OSError("no space left")

    monkeypatch.setattr("odvae_core.files.tensorfile.save_file", fail)
    with pytest.raises(ValueError, match="no space left"):
        write_latents(path, latent, TIMES, dataclasses.replace(INFO, frames=8))
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]
