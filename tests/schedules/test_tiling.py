"""odvae_core/tiling.py"""

import pytest
import torch

from odvae_core.tiling import Tiles, blend, count_tiles, run_tiled


def identity(tile, _):
    return tile.clone()


def test_tiles_of_the_identity_give_the_picture_back():
    clip = torch.rand(1, 2, 3, 20, 27)
    torch.testing.assert_close(run_tiled(identity, clip, 8, 3, scale=(1, 1)), clip)


def test_tiles_go_on_until_one_would_start_behind_the_picture():
    seen = []

    def run(tile, key):
        seen.append((key, tuple(tile.shape[-2:])))
        return tile.clone()

    run_tiled(run, torch.rand(1, 1, 1, 8, 15), 8, 1, scale=(1, 1))
    assert seen == [
        ((0, 0), (8, 8)),
        ((0, 1), (8, 8)),
        ((0, 2), (8, 1)),
        ((1, 0), (1, 8)),
        ((1, 1), (1, 8)),
        ((1, 2), (1, 1)),
    ]
    assert count_tiles(Tiles(8, overlap=1), 8, 15) == len(seen)


def test_tiles_that_stop_at_the_border_go_on_until_one_reaches_it():
    seen = []

    def run(tile, key):
        seen.append((key, tuple(tile.shape[-2:])))
        return tile.clone()

    clip = torch.rand(1, 1, 1, 8, 15)
    torch.testing.assert_close(run_tiled(run, clip, 8, 1, (1, 1), stop_at_border=True), clip)
    assert seen == [((0, 0), (8, 8)), ((0, 1), (8, 8))]
    assert count_tiles(Tiles(8, overlap=1, stop_at_border=True), 8, 15) == len(seen)
    seen.clear()
    run_tiled(run, clip[..., :5, :], 8, 1, (1, 1), stop_at_border=True)
    assert seen == [((0, 0), (5, 8)), ((0, 1), (5, 8))]


def test_published_tiles_are_the_authors():
    assert Tiles.published("odvae-v1.2") == Tiles(256, overlap=32)
    assert Tiles.published("cvvae") == Tiles(576, overlap=128, stop_at_border=True)
    with pytest.raises(ValueError, match=r"odvae-variant-1.*tiles are published for"):
        Tiles.published("odvae-variant-1")


def test_a_blend_fades_linearly_from_the_tile_before():
    before, tile = torch.zeros(1, 1, 1, 1, 4), torch.ones(1, 1, 1, 1, 6)
    faded = blend(before, tile, 4, dim=-1).flatten()
    torch.testing.assert_close(faded, torch.tensor([0, 0.25, 0.5, 0.75, 1, 1]))


def test_without_overlap_nothing_is_blended():
    clip = torch.rand(1, 1, 1, 8, 8)
    assert torch.equal(run_tiled(identity, clip, 4, 0, scale=(1, 1)), clip)


def test_the_output_has_its_own_size():
    clip = torch.rand(1, 1, 2, 16, 24)
    halved = run_tiled(lambda tile, _: tile[..., ::2, ::2], clip, 8, 4, scale=(1, 2))
    torch.testing.assert_close(halved, clip[..., ::2, ::2])


@pytest.mark.parametrize(("size", "overlap"), [(32, 32), (32, 40), (32, -8)])
def test_a_tile_not_larger_than_its_overlap_is_refused(size, overlap):
    with pytest.raises(ValueError, match="smaller than the tile"):
        Tiles(size, overlap)


@pytest.mark.parametrize(("size", "overlap"), [(36, 8), (32, 4)])
def test_a_tile_off_the_latent_grid_is_refused_with_the_nearest(size, overlap):
    with pytest.raises(ValueError, match=r"multiples of 8.*try"):
        Tiles(size, overlap).check_compression(8)
