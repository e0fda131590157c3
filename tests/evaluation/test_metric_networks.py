"""MetricNetworks come from files that the user names."""

import pytest
import torch
from torch import Tensor, nn

from odvae_core.evaluation import load_metric_networks
from odvae_core.files.tensorfile import CheckpointError, hash_file
from odvae_core.metrics import load_lpips
from odvae_core.metrics.trunks import draw_trunk

VIDEO = torch.rand(1, 3, 2, 64, 64) * 2 - 1


class Network(nn.Module):
    """Called as StyleGAN-V's I3D, and as its C3D."""

    def forward(
        self,
        x: Tensor,
        rescale: bool = False,
        resize: bool = False,
        return_features: bool = False,
    ) -> Tensor:
        return x.float().mean(dim=(2, 3, 4))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("networks")
    torch.save(draw_trunk("alex", torch.Generator().manual_seed(0)), folder / "alex.pth")
    with pytest.warns(DeprecationWarning, match="script"):
        torch.jit.script(Network()).save(str(folder / "network.pt"))
    return folder


def test_lpips_is_of_each_frame(folder):
    path = folder / "alex.pth"
    networks = load_metric_networks({"lpips_alex": path}, torch.device("cpu"))
    (values,) = networks.compute_distances(VIDEO, VIDEO.flip(2)).values()
    assert torch.equal(values, load_lpips("alex", path)(VIDEO, VIDEO.flip(2)))
    assert values.shape == (1, 2)
    assert networks.sha256 == {"lpips_alex": hash_file(path)}


def test_features_are_of_each_clip(folder):
    path = folder / "network.pt"
    networks = load_metric_networks({"i3d": path, "c3d": path}, torch.device("cpu"))
    assert {name: rows.shape for name, rows in networks.compute_features(VIDEO).items()} == {
        "i3d": (1, 3),
        "c3d": (1, 3),
    }
    assert networks.sha256 == dict.fromkeys(("i3d", "c3d"), hash_file(path))
    assert networks.compute_distances(VIDEO, VIDEO) == {}


def test_a_file_of_something_else_is_refused(folder):
    with pytest.raises(CheckpointError, match=r"alex\.pth isn't a TorchScript file"):
        load_metric_networks({"i3d": folder / "alex.pth"}, torch.device("cpu"))
    with pytest.raises(ValueError, match="'vgg'; choose one of lpips_alex, lpips_vgg, i3d, c3d"):
        load_metric_networks({"vgg": folder / "alex.pth"}, torch.device("cpu"))
