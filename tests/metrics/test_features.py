"""Features from TorchScript files: how they are called, and which files are refused."""

import warnings

import pytest
import torch
from torch import Tensor, nn

from odvae_core.files.tensorfile import CheckpointError, hash_file
from odvae_core.metrics import inception_score, load_features


class I3D(nn.Module):
    """The signature of StyleGAN-V's I3D; its features are the keywords and the bytes."""

    def __init__(self):
        super().__init__()
        self.dropout = nn.Dropout(1.0)

    def forward(
        self,
        x: Tensor,
        rescale: bool = False,
        resize: bool = False,
        return_features: bool = False,
    ) -> Tensor:
        assert x.dtype == torch.uint8
        assert rescale
        assert resize
        assert return_features
        assert x.shape[2] >= 9
        return self.dropout(x.float().mean(dim=2)[:, :, 0])[:, 0]


class Classes(nn.Module):
    """The signature of StyleGAN-V's C3D: probabilities of classes from bytes."""

    def forward(self, x: Tensor) -> Tensor:
        bright = x.float().mean(dim=(1, 2, 3, 4)) / 255
        return torch.stack([bright, 1 - bright], dim=1)


class Logits(nn.Module):
    """A classifier without its softmax."""

    def forward(self, x: Tensor) -> Tensor:
        bright = x.float().mean(dim=(1, 2, 3, 4)) / 255
        return torch.stack([2 * bright, -bright], dim=1)


class Pixels(nn.Module):
    """A network of another kind: it gives a picture."""

    def forward(self, x: Tensor) -> Tensor:
        return x.float()


@pytest.fixture
def write(tmp_path):
    """Write a network as TorchScript; the path."""

    def save(network, name="network.pt"):
        with warnings.catch_warnings():  # PyTorch advises against the format
            warnings.simplefilter("ignore", DeprecationWarning)
            torch.jit.save(torch.jit.script(network), tmp_path / name)
        return tmp_path / name

    return save


def test_i3d_gets_bytes_and_the_published_keywords_and_runs_in_eval_mode(write):
    features = load_features(write(I3D().train()), "i3d")
    ramp = torch.linspace(-1, 1, 256).view(1, 1, 1, 1, 256).expand(2, 3, 9, 4, 256)
    rows = features(ramp)
    torch.testing.assert_close(rows, torch.arange(256.0).expand(2, 256))


def test_values_outside_of_the_range_are_clamped_like_in_a_file(write):
    features = load_features(write(I3D()), "i3d")
    video = torch.tensor([-3.0, 3.0]).view(1, 1, 1, 1, 2).expand(1, 3, 9, 4, 2)
    assert features(video).tolist() == [[0.0, 255.0]]


def test_c3d_gives_log_probabilities_whose_inception_score_is_that_of_its_classes(write):
    """A white and a black clip are two sure classes."""
    features = load_features(write(Classes()), "c3d")
    rows = features(torch.tensor([1.0, -1.0]).view(2, 1, 1, 1, 1).expand(2, 3, 16, 8, 8))
    assert rows.exp().tolist() == [[1.0, 0.0], [0.0, 1.0]]
    assert inception_score(rows, splits=1)[0] == pytest.approx(2.0)


def test_logits_of_c3d_stay_as_they_are(write):
    features = load_features(write(Logits()), "c3d")
    assert features(torch.ones(1, 3, 16, 8, 8)).tolist() == [[2.0, -1.0]]


def test_features_carry_no_gradient(write):
    features = load_features(write(Logits()), "c3d")
    assert not features(torch.ones(1, 3, 16, 8, 8, requires_grad=True)).requires_grad


def test_features_say_which_file_they_are_from(write):
    path = write(I3D())
    features = load_features(path, "i3d")
    assert (features.kind, features.sha256) == ("i3d", hash_file(path))


def test_a_video_that_the_network_can_not_take_is_refused_with_its_shape(write):
    features = load_features(write(I3D()), "i3d")
    with pytest.raises(ValueError, match=r"\[1, 3, 5, 8, 8\].*about 10 frames"):
        features(torch.zeros(1, 3, 5, 8, 8))


def test_a_file_of_the_other_kind_is_refused_when_it_is_called(write):
    features = load_features(write(Classes()), "i3d")
    with pytest.raises(ValueError, match=r"network\.pt failed on.*check that it is the file"):
        features(torch.zeros(1, 3, 16, 8, 8))


def test_a_network_that_gives_no_rows_is_refused(write):
    features = load_features(write(Pixels()), "c3d")
    with pytest.raises(ValueError, match=r"returned \[2, 3, 16, 8, 8\] for 2 videos.*\[2, D\]"):
        features(torch.zeros(2, 3, 16, 8, 8))


@pytest.mark.parametrize("shape", [(3, 16, 8, 8), (1, 1, 16, 8, 8)])
def test_what_is_no_video_is_refused(write, shape):
    features = load_features(write(Classes()), "c3d")
    with pytest.raises(ValueError, match=r"give \[B, 3, T, H, W\]"):
        features(torch.zeros(shape))


def test_a_file_of_weights_alone_is_no_torchscript(tmp_path):
    torch.save({"weight": torch.zeros(2)}, tmp_path / "weights.pt")
    with pytest.raises(CheckpointError, match=r"weights\.pt isn't a TorchScript.*weights alone"):
        load_features(tmp_path / "weights.pt", "i3d")


def test_a_truncated_file_is_refused(write):
    path = write(I3D())
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(CheckpointError, match="or is damaged"):
        load_features(path, "i3d")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"none\.pt can't be read.*check the path"):
        load_features(tmp_path / "none.pt", "i3d")


def test_another_kind_is_refused(write):
    with pytest.raises(ValueError, match="got kind 'r3d'; choose one of 'i3d', 'c3d'"):
        load_features(write(I3D()), "r3d")
