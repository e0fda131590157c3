"""Stream: depth first, exact where norms work per frame."""

import logging

import pytest
import torch

import odvae_core as odvae
from odvae_core.schedules.base import mark_last, recut
from tests.schedules.clips import (
    STREAMING,
    both_ways,
    make_clip,
    make_vae,
)


@pytest.mark.parametrize("preset", STREAMING)
@pytest.mark.parametrize("frames", [5, 9])
def test_a_stream_equals_the_whole_clip_where_norms_are_per_frame(preset, frames):
    vae, clip = make_vae(preset), make_clip()
    whole, streamed = (
        both_ways(vae, clip, odvae.Whole()),
        both_ways(vae, clip, odvae.Stream(frames)),
    )
    torch.testing.assert_close(streamed, whole, rtol=0, atol=1e-10)


@pytest.mark.parametrize("norm", ["clip", "frame"])
def test_attention_over_time_cannot_be_streamed(norm):
    vae = make_vae("odvae-v1.2", norm=norm, blocks=1, encoder_attention="temporal")
    assert not vae.encoder_pass().streams_exactly
    with pytest.raises(ValueError, match="its temporal attention sees all frames"):
        vae.encode(make_clip(5), odvae.Stream(5))


def test_a_stream_of_a_model_with_clip_norms_says_that_it_is_approximate(caplog):
    vae, clip = make_vae("odvae-v1.2"), make_clip()
    with caplog.at_level(logging.WARNING):
        mean = vae.encode(clip, odvae.Stream(5)).mean
    assert caplog.text.count("approximate") == 1
    assert (mean - vae.encode(clip).mean).abs().max() > 1e-6


def test_a_stream_of_chunks_says_so_too_and_carries_no_gradient(caplog):
    vae, clip = make_vae("odvae-v1.2"), make_clip(9)
    with caplog.at_level(logging.WARNING):
        list(vae.encode_stream(clip.split(4, dim=2), odvae.Stream(5)))
    assert caplog.text.count("approximate") == 1
    with pytest.raises(RuntimeError, match="only Whole and Windows carry gradients"):
        list(vae.requires_grad_().encode_stream([clip], odvae.Stream(5)))


def test_chunks_are_cut_again_to_the_wanted_lengths():
    clip = make_clip(14)
    for lengths in ((14,), (1,) * 14, (3, 0, 11)):
        chunks = list(recut(clip.split(lengths, dim=2), 5, 4))
        assert [chunk.shape[2] for chunk in chunks] == [5, 4, 4, 1]
        assert torch.equal(torch.cat(chunks, dim=2), clip)


def test_the_last_chunk_is_known_by_holding_one_back():
    assert [last for _, last in mark_last(make_clip(3).split(1, dim=2))] == [False, False, True]
    assert list(mark_last([])) == []
