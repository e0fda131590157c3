"""odvae_core/padding.py: any number of frames and pixels in, the same out."""

import pytest
import torch

import odvae_core as odvae
from odvae_core.padding import ClipSize, crop, crop_stream, pad, pad_stream


@pytest.fixture(scope="module")
def vae():
    with torch.device("meta"):
        return odvae.build("odvae-tiny")


@pytest.mark.parametrize(("frames", "padded"), [(1, 1), (2, 5), (5, 5), (6, 9), (17, 17)])
@pytest.mark.parametrize(("side", "padded_side"), [(1, 8), (8, 8), (13, 16), (33, 40)])
def test_a_clip_is_extended_to_the_next_legal_size_and_back(vae, frames, padded, side, padded_side):
    clip = torch.rand(1, 3, frames, side, 16)
    extended = pad(clip, vae)
    assert ClipSize.of(extended) == ClipSize(padded, padded_side, 16)
    assert torch.equal(crop(extended, ClipSize.of(clip)), clip)


def test_a_legal_clip_is_left_as_it_is(vae):
    clip = torch.rand(1, 3, 5, 16, 8)
    assert pad(clip, vae) is clip


def test_the_last_frame_is_repeated(vae):
    extended = pad(torch.rand(1, 3, 2, 8, 8), vae)
    for frame in (2, 3, 4):
        assert torch.equal(extended[:, :, frame], extended[:, :, 1])


def test_edges_are_mirrored(vae):
    row = torch.arange(5.0).expand(1, 3, 1, 8, 5)
    assert pad(row, vae)[0, 0, 0, 0].tolist() == [0, 1, 2, 3, 4, 3, 2, 1]


@pytest.mark.parametrize("frames", [1, 2, 7, 13])
@pytest.mark.parametrize("length", [1, 3, 20])
def test_a_stream_is_extended_like_the_clip_in_one_piece(vae, frames, length):
    clip = torch.rand(1, 3, frames, 11, 8)
    extended = torch.cat(list(pad_stream(clip.split(length, dim=2), vae)), dim=2)
    assert torch.equal(extended, pad(clip, vae))
    back = torch.cat(list(crop_stream(extended.split(4, dim=2), ClipSize.of(clip))), dim=2)
    assert torch.equal(back, clip)
