"""odvae_core/files/tensorfile.py: files of tensors, whole or refused."""

import os
import zipfile

import pytest
import torch
from safetensors.torch import save_file

from odvae_core.files.tensorfile import (
    CheckpointError,
    hash_file,
    read_tensor_file,
    write_safetensors,
)


class Payload:
    """What a pickle may ask for when it is read: a call."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


@pytest.fixture
def tensors():
    return {"a.weight": torch.rand(300, 40), "a.bias": torch.rand(300)}


@pytest.fixture(params=["zip", "legacy"])
def pickled(request, tensors, tmp_path):
    path = tmp_path / "weights.ckpt"
    zipped = request.param == "zip"
    torch.save({"state_dict": tensors}, path, _use_new_zipfile_serialization=zipped)
    return path


def test_safetensors_are_known_by_their_contents(tensors, tmp_path):
    path = tmp_path / "weights.ckpt"
    save_file(tensors, path, {"note": "kept"})
    content = read_tensor_file(path)
    assert (content.kind, content.metadata) == ("safetensors", {"note": "kept"})
    assert torch.equal(content.tensors["a.weight"], tensors["a.weight"])


def test_safetensors_whose_header_begins_like_a_pickle_are_known_too(tensors, tmp_path):
    path = tmp_path / "weights.safetensors"
    for length in range(0, 256, 8):  # headers come in eights
        save_file(tensors, path, {"note": "x" * length})
        if path.read_bytes()[0] == 0x80:
            break
    assert path.read_bytes()[0] == 0x80
    content = read_tensor_file(path)
    assert (content.kind, content.metadata["note"]) == ("safetensors", "x" * length)


def test_pickles_old_and_new_are_flattened(pickled, tensors):
    content = read_tensor_file(pickled)
    assert content.kind == "pickle"
    assert set(content.tensors) == {"state_dict.a.weight", "state_dict.a.bias"}
    assert torch.equal(content.tensors["state_dict.a.bias"], tensors["a.bias"])


def test_what_is_no_tensor_stays_out(tmp_path):
    state = {0: {"exp_avg": torch.rand(2)}}
    content = {"epoch": 3, "optimizer_state": {"state": state}, "weight": torch.rand(2)}
    torch.save(content, tmp_path / "weights.pt")
    assert list(read_tensor_file(tmp_path / "weights.pt").tensors) == ["weight"]


@pytest.mark.parametrize("kept", [4, 9, 200, 20_000])
def test_truncated_safetensors_are_refused(tensors, tmp_path, kept):
    path = tmp_path / "weights.safetensors"
    save_file(tensors, path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(CheckpointError, match=r"weights.safetensors .*download"):
        read_tensor_file(path)


@pytest.mark.parametrize("kept", [4, 20_000])
def test_truncated_pickles_are_refused(pickled, kept):
    pickled.write_bytes(pickled.read_bytes()[:kept])
    with pytest.raises(CheckpointError, match=r"weights.ckpt is .*damaged.*download"):
        read_tensor_file(pickled)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_that_wants_code_is_refused_and_the_code_never_runs(tmp_path, zipped):
    path, folder = tmp_path / "weights.ckpt", tmp_path / "made by the pickle"
    content = {"state_dict": {"weight": torch.rand(2)}, "hook": Payload(folder)}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match=r"would run code \(\w+.mkdir\).*never allowed"):
        read_tensor_file(path)
    assert not folder.exists()


def test_a_zip_that_is_no_checkpoint_is_refused(tmp_path):
    path = tmp_path / "weights.pt"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("readme.txt", "hello")
    with pytest.raises(CheckpointError, match=r"weights.pt is no PyTorch file of tensors"):
        read_tensor_file(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty: download"),
        (b"<html>404</html>", r"neither safetensors nor a PyTorch file; it begins with b'<html>"),
        (b"hello", "neither safetensors nor a PyTorch file"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer.*git lfs pull"),
    ],
)
def test_a_file_that_holds_no_tensors_is_refused(tmp_path, content, message):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        read_tensor_file(path)


def test_a_file_that_is_not_there_is_refused_by_name(tmp_path):
    with pytest.raises(CheckpointError, match=r"gone.pt can't be read .*check the path"):
        read_tensor_file(tmp_path / "gone.pt")


def test_a_written_file_is_read_back_and_nothing_lies_beside_it(tensors, tmp_path):
    path = tmp_path / "weights.safetensors"
    write_safetensors(path, tensors, {"note": "kept"})
    assert read_tensor_file(path).metadata == {"note": "kept"}
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("stage", ["save_file", "os.fsync"])
@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_a_crash_while_writing_leaves_the_old_file(tensors, tmp_path, monkeypatch, stage, error):
    path = tmp_path / "weights.safetensors"
    write_safetensors(path, tensors, {})
    before = hash_file(path)

    def fail(*_):
        raise error

    monkeypatch.setattr(f"odvae_core.files.tensorfile.{stage}", fail)
    with pytest.raises((CheckpointError, KeyboardInterrupt)):
        write_safetensors(path, {"b": torch.rand(2)}, {})
    assert hash_file(path) == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["weights.ckpt", "weights"])
def test_another_suffix_is_refused(tensors, tmp_path, name):
    with pytest.raises(CheckpointError, match=rf"got the file name '{name}'.*end it in"):
        write_safetensors(tmp_path / name, tensors, {})


def test_a_folder_that_is_not_there_is_refused(tensors, tmp_path):
    with pytest.raises(CheckpointError, match=r"can't be written .*check that its folder exists"):
        write_safetensors(tmp_path / "gone" / "weights.safetensors", tensors, {})
