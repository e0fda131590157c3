"""IV-VAE's network with causal instead of group causal convolutions."""

import pytest
import torch

import odvae_core
from odvae_core.layers.group_causal import GroupCausalConv3d
from train.config import ModelConfig
from train.networks import make_vae
from train.reproduce.causality import (
    CausalReplacement,
    delay_kernels,
    list_group_causal,
    make_causal,
)

IVVAE = {"width": 4, "blocks": 1}


@pytest.fixture
def inflated(tmp_path):
    """A small IV-VAE inflated from a 2D VAE: its weights of other frames are 0."""
    torch.manual_seed(0)
    path = tmp_path / "parent.safetensors"
    odvae_core.save(make_vae(ModelConfig("ivvae-z4", IVVAE, images=True)), path)
    return make_vae(ModelConfig("ivvae-z4", IVVAE, parent=str(path), inflation="branches")).eval()


@torch.no_grad()
def reconstruct(vae, video):
    return vae.decode(vae.encode(video).mode())


def test_the_causal_network_computes_the_same_as_the_group_causal_one_before_training(inflated):
    video = torch.rand(1, 3, 9, 16, 16) * 2 - 1
    expected = reconstruct(inflated, video)
    delay_kernels(inflated)
    make_causal(inflated)
    torch.testing.assert_close(reconstruct(inflated, video), expected)


def test_the_causal_network_has_the_same_weights_and_no_group_causal_convolution(inflated):
    before = dict(inflated.named_parameters())
    make_causal(inflated)
    after = dict(inflated.named_parameters())
    assert before.keys() == after.keys()
    assert all(before[name] is weight for name, weight in after.items())
    kinds = {type(layer.conv_3d) for layer in list_group_causal(inflated)}
    assert kinds == {CausalReplacement}
    wide = [layer for layer in inflated.modules() if isinstance(layer, GroupCausalConv3d)]
    assert all(type(conv) is CausalReplacement or conv.kernel_size[0] == 1 for conv in wide)


def find_reach(conv, frame):
    """The output frames that change with one input frame."""
    clip = torch.randn(1, 4, 9, 3, 3)
    changed = clip.clone()
    changed[:, :, frame] += 1
    difference = (conv(clip) - conv(changed)).abs().amax(dim=(0, 1, 3, 4))
    return difference.nonzero().flatten().tolist()


@torch.no_grad()
def test_a_causal_kernel_depends_on_two_earlier_frames_and_no_later_one():
    grouped = GroupCausalConv3d(4, 4)
    causal = CausalReplacement(grouped)
    assert [find_reach(grouped, frame) for frame in (5, 6)] == [[5, 6], [5, 6, 7]]
    assert [find_reach(causal, frame) for frame in (5, 6)] == [[5, 6, 7], [6, 7, 8]]
