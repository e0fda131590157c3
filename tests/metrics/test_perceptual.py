"""LPIPS: its values against torchmetrics' own code, its gradient, and the files it is read from."""

import pytest
import torch
from safetensors import safe_open
from torch import nn
from torchmetrics.functional.image import lpips as theirs

from odvae_core.files.tensorfile import CheckpointError, hash_file
from odvae_core.metrics import load_lpips, pack_trunk, perceptual, random_lpips
from odvae_core.metrics.trunks import SMALLEST

NETWORKS = ("alex", "vgg")
VGG16 = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0)


def build_alexnet():
    """torchvision's AlexNet.features, layer by layer."""
    return nn.Sequential(
        *(nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(64, 192, 5, 1, 2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(192, 384, 3, 1, 1), nn.ReLU()),
        *(nn.Conv2d(384, 256, 3, 1, 1), nn.ReLU()),
        *(nn.Conv2d(256, 256, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(3, 2)),
    )


def build_vgg16():
    """torchvision's VGG.features in configuration D; 0 is a pooling."""
    layers, channels = [], 3
    for width in VGG16:
        layers += [nn.Conv2d(channels, width, 3, 1, 1), nn.ReLU()] if width else [nn.MaxPool2d(2)]
        channels = width or channels
    return nn.Sequential(*layers)


BUILD = {"alex": build_alexnet, "vgg": build_vgg16}


@pytest.fixture(scope="module")
def published():
    """Both networks as torchvision has them, with random weights."""
    torch.manual_seed(0)
    return {network: BUILD[network]() for network in NETWORKS}


@pytest.fixture(scope="module")
def files(published, tmp_path_factory):
    """Both networks as torchvision saves them: features and a classifier, pickled."""
    folder = tmp_path_factory.mktemp("trunks")
    for network, features in published.items():
        state = {f"features.{key}": value for key, value in features.state_dict().items()}
        state["classifier.6.weight"] = torch.zeros(10, 4)
        torch.save(state, folder / f"{network}.pth")
    return {network: folder / f"{network}.pth" for network in NETWORKS}


@pytest.fixture(scope="module")
def clips():
    generator = torch.Generator().manual_seed(1)
    reference = torch.rand(2, 3, 2, 40, 32, generator=generator) * 2 - 1
    noise = torch.randn(2, 3, 2, 40, 32, generator=generator)
    return (reference + 0.3 * noise).clamp(-1, 1), reference


@pytest.fixture(scope="module")
def stand_in():
    return random_lpips("alex", seed=0)


@pytest.mark.parametrize("network", NETWORKS)
def test_every_frame_has_the_distance_that_torchmetrics_gives_it(
    network, published, files, clips, monkeypatch
):
    """Their code on the same trunk, which they take from torchvision, and on their own heads."""
    monkeypatch.setattr(theirs, "_get_tv_model_features", lambda *_: published[network])
    model = theirs._LPIPS(pretrained=True, net=network, pnet_rand=True)
    ours = load_lpips(network, files[network])(*clips)
    assert ours.shape == (2, 2)
    for t in range(2):
        frames = (clip[:, :, t] for clip in clips)
        torch.testing.assert_close(ours[:, t], model(*frames).flatten(), rtol=1e-5, atol=1e-7)


def test_a_distance_is_the_weighted_squared_difference_of_unit_features():
    """Red of 2 beside a constant 1.5 is the direction (0.8, 0.6); red of 0 is (0, 1).

    0.5 * 0.8^2 + 2 * (0.6 - 1)^2 = 0.64; the later stages give 0 for both.
    """
    model = random_lpips("alex", seed=0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        first = model.features["0"]
        first.weight[0, 0, 5, 5] = 1  # the pixel in the middle of the kernel
        first.bias[1] = 1.5
        model.heads[0][:2] = torch.tensor([0.5, 2.0])
    video, reference = (torch.full((1, 3, 1, 31, 31), -0.030 + 0.458 * red) for red in (2.0, 0.0))
    torch.testing.assert_close(model(video, reference), torch.tensor([[0.64]]))


def test_identical_videos_have_the_distance_0(stand_in, clips):
    assert stand_in(clips[0], clips[0]).tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_the_distance_is_the_same_from_both_sides(stand_in, clips):
    there, back = stand_in(*clips), stand_in(*reversed(clips))
    assert (there > 0).all()
    torch.testing.assert_close(there, back)


def test_more_noise_is_further_away(stand_in, clips):
    video, reference = clips
    halfway = (video + reference) / 2
    assert (stand_in(halfway, reference) < stand_in(video, reference)).all()


def test_the_gradient_goes_to_the_video_and_to_nothing_else(stand_in, clips):
    video, reference = (clip.clone().requires_grad_() for clip in clips)
    stand_in(video, reference).sum().backward()
    assert video.grad.abs().sum() > 0
    assert reference.grad is None
    assert [key for key, value in stand_in.named_parameters() if value.requires_grad] == []


def test_the_gradient_is_that_of_finite_differences(clips):
    model = random_lpips("alex", seed=0).double()
    video, reference = (clip[:1, :, :1, :31, :31].double() for clip in clips)
    direction = torch.randn(video.shape, generator=torch.Generator().manual_seed(2)).double()
    video.requires_grad_()
    (gradient,) = torch.autograd.grad(model(video, reference).sum(), video)
    step = 1e-6 * direction
    with torch.no_grad():
        rise = model(video + step, reference) - model(video - step, reference)
    torch.testing.assert_close((gradient * direction).sum(), rise.sum() / 2e-6, rtol=1e-4, atol=0)


def test_identical_flat_frames_have_a_finite_gradient():
    """All features may be 0 there, where the length of a vector has no slope."""
    model = random_lpips("vgg", seed=0)
    with torch.no_grad():
        for key, value in model.named_parameters():
            if key.startswith("features.0"):
                value.zero_()
    grey = torch.zeros(1, 3, 1, 16, 16, requires_grad=True)
    model(grey, grey.detach()).sum().backward()
    assert grey.grad.isfinite().all()


def test_a_half_precision_video_is_compared_in_the_precision_of_the_weights(stand_in, clips):
    video, reference = (clip.bfloat16() for clip in clips)
    torch.testing.assert_close(
        stand_in(video, reference), stand_in(video.float(), reference.float())
    )


def test_autocast_runs_the_trunk_in_16_bit_and_compares_in_32(stand_in, clips):
    with torch.autocast("cpu", torch.bfloat16):
        distance = stand_in(*clips)
    assert distance.dtype == torch.float32
    assert not torch.equal(distance, stand_in(*clips))
    torch.testing.assert_close(distance, stand_in(*clips), rtol=0.02, atol=0)


def test_a_random_trunk_depends_on_its_seed_alone_and_leaves_the_random_state():
    state = torch.get_rng_state()
    first, again, other = (random_lpips("alex", seed) for seed in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(map(torch.equal, first.parameters(), again.parameters()))
    assert not torch.equal(first.features["0"].weight, other.features["0"].weight)


def test_a_random_trunk_is_never_called_lpips(stand_in):
    assert (stand_in.network, stand_in.sha256) == ("random-alex", None)


def test_a_trunk_says_which_network_and_file_it_is(files):
    model = load_lpips("alex", files["alex"])
    assert (model.network, model.sha256) == ("alex", hash_file(files["alex"]))
    assert not model.training


@pytest.mark.parametrize("network", NETWORKS)
def test_the_smallest_side_is_the_least_that_every_stage_can_take(network):
    model = random_lpips(network, seed=0)
    side = SMALLEST[network]
    clip = torch.zeros(1, 3, 1, side, side + 8)
    assert model(clip, clip).tolist() == [[0.0]]
    small = clip[..., :-1, :]
    with pytest.raises(ValueError, match=rf"{side - 1}x{side + 8}.*{side} or more"):
        model(small, small)
    model.check_videos = lambda *_: None
    with pytest.raises(RuntimeError, match="too small"):
        model(small, small)


@pytest.mark.parametrize(
    ("video", "reference"),
    [((1, 3, 2, 32, 32), (1, 3, 1, 32, 32)), ((1, 1, 2, 32, 32),) * 2, ((3, 2, 32, 32),) * 2],
)
def test_videos_of_other_shapes_are_refused(stand_in, video, reference):
    with pytest.raises(ValueError, match=r"one shape \[B, 3, T, H, W\]"):
        stand_in(torch.zeros(video), torch.zeros(reference))


@pytest.mark.parametrize("network", NETWORKS)
def test_a_packed_trunk_holds_the_convolutions_alone_and_gives_nearly_the_same(
    network, files, clips, tmp_path
):
    target = tmp_path / "trunk.safetensors"
    assert pack_trunk(files[network], target) == network
    with safe_open(target, "pt") as packed:
        assert all(key.startswith("features.") for key in packed.keys())  # noqa: SIM118
        assert packed.metadata() == {
            "network": network,
            "source_sha256": hash_file(files[network]),
        }
    assert target.stat().st_size < files[network].stat().st_size / 1.9
    packed, whole = (load_lpips(network, path)(*clips) for path in (target, files[network]))
    torch.testing.assert_close(packed, whole, rtol=2e-3, atol=0)


def test_a_packed_trunk_can_be_packed_again(files, tmp_path):
    pack_trunk(files["alex"], tmp_path / "once.safetensors")
    pack_trunk(tmp_path / "once.safetensors", tmp_path / "twice.safetensors")
    once, twice = (load_lpips("alex", tmp_path / f"{n}.safetensors") for n in ("once", "twice"))
    assert all(map(torch.equal, once.parameters(), twice.parameters()))


def test_the_other_network_is_refused_by_name(files):
    with pytest.raises(CheckpointError, match=r"vgg\.pth contains VGG16, not AlexNet"):
        load_lpips("alex", files["vgg"])


def test_an_unknown_network_is_refused(files):
    with pytest.raises(ValueError, match="got network 'squeeze'; LPIPS has alex and vgg"):
        load_lpips("squeeze", files["alex"])


def test_a_trunk_without_a_layer_is_refused(files, tmp_path):
    state = torch.load(files["alex"])
    del state["features.8.bias"]
    torch.save(state, tmp_path / "short.pth")
    with pytest.raises(CheckpointError, match=r"short\.pth isn't AlexNet.*no features\.8\.bias"):
        load_lpips("alex", tmp_path / "short.pth")
    with pytest.raises(CheckpointError, match="neither AlexNet nor VGG16"):
        pack_trunk(tmp_path / "short.pth", tmp_path / "packed.safetensors")
    assert not (tmp_path / "packed.safetensors").exists()


def test_a_trunk_of_another_width_is_refused(files, tmp_path):
    state = torch.load(files["alex"])
    state["features.3.weight"] = state["features.3.weight"][:100].clone()
    torch.save(state, tmp_path / "narrow.pth")
    shapes = r"features\.3\.weight is \[100, 64, 5, 5\], not \[192, 64, 5, 5\]"
    with pytest.raises(CheckpointError, match=shapes):
        load_lpips("alex", tmp_path / "narrow.pth")


def test_a_file_that_is_missing_or_no_weights_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"none\.pth can't be read.*check the path"):
        load_lpips("alex", tmp_path / "none.pth")
    (tmp_path / "page.pth").write_text("<!DOCTYPE html>")
    with pytest.raises(CheckpointError, match="neither safetensors nor a PyTorch file"):
        load_lpips("alex", tmp_path / "page.pth")


def test_without_torchmetrics_the_error_names_what_to_install(files, monkeypatch):
    monkeypatch.setattr(perceptual, "find_spec", lambda _: None)
    with pytest.raises(ImportError, match="run `pip install torchmetrics`"):
        load_lpips("alex", files["alex"])
