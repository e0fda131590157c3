"""odvae_core/layers/folding.py"""

import pytest
import torch

from odvae_core.layers.conv import CausalConv3d
from odvae_core.layers.folding import FoldDown2x, MeansCoder, RepeatConv3d, UnfoldUp2x
from odvae_core.layers.norm import RMSNorm
from odvae_core.layers.stream import advance
from tests.contract import assert_cutting_changes_nothing, random_clip, run_chunks

LAYERS = {
    "convolution": lambda: RepeatConv3d(8, 16),
    "down": lambda: FoldDown2x(8, 16, time=False),
    "down in time": lambda: FoldDown2x(8, 16, time=True),
    "up": lambda: UnfoldUp2x(8, 4, time=False),
    "up in time": lambda: UnfoldUp2x(8, 4, time=True),
}


@pytest.mark.parametrize("frames", [1, 7])
@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_gives_the_same_however_the_clip_is_cut(name, frames):
    torch.manual_seed(0)
    assert_cutting_changes_nothing(LAYERS[name]().double(), random_clip(8, frames))


def test_the_first_frame_stands_for_a_pair():
    down, up = FoldDown2x(8, 16, time=True).double(), UnfoldUp2x(8, 4, time=True).double()
    clip = random_clip(8, 5)
    assert down(clip).shape == (2, 16, 3, 3, 4)
    assert up(clip).shape == (2, 4, 9, 12, 16)
    for layer in (down, up):
        torch.testing.assert_close(layer(clip[:, :, :1]), layer(clip)[:, :, :1])


def test_the_path_without_weights_keeps_a_constant_clip():
    clip = torch.ones(1, 8, 3, 4, 4, dtype=torch.float64)
    for layer in (FoldDown2x(8, 16, time=True), UnfoldUp2x(8, 4, time=True), RepeatConv3d(8, 16)):
        for weight in layer.parameters():
            torch.nn.init.zeros_(weight)
        assert layer.double()(clip).eq(1).all()


@torch.no_grad()
def test_a_head_adds_the_means_of_its_input():
    norm, conv = RMSNorm(8, branches=1), CausalConv3d(8, 4)
    coder = MeansCoder([("norm_out", norm), ("conv_out", conv)]).double()
    clip = random_clip(8, 3)
    expected = conv(torch.nn.functional.silu(norm(clip))) + clip.unflatten(1, (4, 2)).mean(2)
    torch.testing.assert_close(advance(coder.steps(), clip)[0], expected)
    chunks = list(clip.split(1, dim=2))
    joined = run_chunks(lambda x, state: advance(coder.steps(), x, None, state)[0], chunks)
    torch.testing.assert_close(joined, expected)
