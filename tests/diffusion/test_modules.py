"""Single modules of the diffusion transformers against the authors' outputs."""

from functools import partial

import pytest
import torch

from odvae_core.diffusion.layers import Block, CaptionProjection, Modulation, PatchEmbed
from odvae_core.diffusion.positions import (
    grid_sinusoids,
    rotary_table,
    rotate,
    sinusoids,
    stretch,
    time_features,
)
from tests.diffusion.vectors import FOLDER, read_case
from tests.golden import make_weights

pytestmark = [
    pytest.mark.skipif(not FOLDER.is_dir(), reason="no vectors beside the checkout"),
]


def fill(module, case, prefix):
    """A module with a case's weights."""
    weights = {key.removeprefix(prefix): value for key, value in make_weights(case).items()}
    module.load_state_dict(weights)
    return module.requires_grad_(False)


SPACING = 2**-14
"""Between float32 numbers near 999, the largest angle: machines round it to either neighbour."""


def check(found, expected, bound=2e-5):
    assert (found - expected).abs().max() <= bound


def test_positions_of_one_axis_equal_the_authors():
    _, tensors = read_case("lt110_mod_sincos1d")
    for name, expected in tensors.items():
        count, scale = (int(part.lstrip("lens")) for part in name.split("_"))
        check(sinusoids(torch.arange(count) / scale, 48), expected)


def test_positions_of_a_grid_equal_the_authors():
    _, tensors = read_case("lt110_mod_sincos2d")
    for name, expected in tensors.items():
        size, base, scale = name.split("_")
        rows, columns = (stretch(int(n), int(base[1:]), int(scale[1:])) for n in size.split("x"))
        check(grid_sinusoids(48, rows, columns), expected)


def test_positions_and_timesteps_of_latte_equal_the_authors():
    _, tensors = read_case("latte_mod_sincos")
    check(grid_sinusoids(48, torch.arange(4), torch.arange(4)), tensors["pos_8x8_patches4"])
    check(sinusoids(torch.arange(21), 48), tensors["temp_21"])
    check(time_features(torch.tensor([0.0, 37.0, 999.0])), tensors["t_freq"], SPACING)


def test_the_modulation_equals_the_authors():
    case, tensors = read_case("lt110_mod_AdaLayerNormSingle")
    embedded, values = fill(Modulation(48), case, "adaln_single.")(
        tensors["timestep"], torch.float32
    )
    check(time_features(tensors["timestep"]), tensors["time_proj"], SPACING)
    check(embedded, tensors["embedded"])
    check(values, tensors["out6"])


def test_the_caption_projection_equals_the_authors():
    case, tensors = read_case("lt110_mod_CaptionProjection")
    projection = fill(CaptionProjection(32, 48, (120, 32)), case, "caption_projection.")
    check(projection(tensors["x"]), tensors["out"])


def test_patches_equal_the_authors():
    case, tensors = read_case("os120_mod_PatchEmbed2D")
    tokens = fill(PatchEmbed(4, 72, 2), case, "pos_embed.")(tensors["x"])
    check(tokens.flatten(1, 2), tensors["out"])
    case, tensors = read_case("lt110_mod_PatchEmbed_same")
    tokens = fill(PatchEmbed(4, 48, 2), case, "pos_embed.")(tensors["x"][:, :, None])
    axis = torch.arange(8)
    check(tokens[:, 0] + grid_sinusoids(48, axis, axis), tensors["out"])


def test_rotations_equal_the_authors():
    _, tensors = read_case("os120_mod_RoPE3D")
    table = rotary_table((3, 4, 5), 24, (1.0, 1.0, 1.0), torch.device("cpu"))
    check(rotate(tensors["x"], *table), tensors["out"])


@pytest.mark.parametrize(
    ("name", "width", "size"),
    [("lt110_mod_spatial_block", 48, None), ("os120_mod_block", 72, (2, 3, 4))],
)
def test_a_block_equals_the_authors(name, width, size):
    case, tensors = read_case(name)
    block = fill(Block(width, 3, True), case, "transformer_blocks.0.")
    rotation = None
    if size is not None:
        table = rotary_table(size, 24, (1.0, 1.0, 1.0), torch.device("cpu"))
        rotation = partial(rotate, cos=table[0], sin=table[1])
    given = tensors["x"][:, None], tensors["t6"], tensors["context"]
    masks = tensors["context_bias"][:, None], tensors["self_bias"][:, None]
    check(block(*given, *masks, rotation)[:, 0], tensors["out"])
    check(block(*given, rotate=rotation)[:, 0], tensors["out_nomask"])
