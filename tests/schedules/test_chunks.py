"""odvae_core/vae.py: clips that come in chunks, and leave in chunks."""

import pytest
import torch
from torch._subclasses import FakeTensorMode

import odvae_core as odvae
from odvae_core.families.ivvae_config import IvvaeConfig
from tests.checkpoints import build_small, shrink

SMALL_IVVAE = IvvaeConfig(4, width=16, blocks=1)
CHUNKED = (odvae.Stream(5), odvae.Windows(5))


def make_clip(frames=9, height=16, width=24):
    generator = torch.Generator().manual_seed(frames)
    return torch.rand(1, 3, frames, height, width, generator=generator) * 2 - 1


@pytest.mark.parametrize("lengths", [(1,) * 17, (17,), (3, 0, 7, 2, 5), (16, 1)])
@pytest.mark.parametrize("schedule", [odvae.Stream(5), odvae.Windows(9)])
def test_a_stream_of_chunks_equals_the_clip_in_one_piece(schedule, lengths):
    vae, clip = build_small("odvae-tiny"), make_clip(17)
    posteriors = list(vae.encode_stream(clip.split(lengths, dim=2), schedule))
    latent = torch.cat([posterior.mean for posterior in posteriors], dim=2)
    torch.testing.assert_close(latent, vae.encode(clip, schedule).mean)
    chunks = list(vae.decode_stream(latent.split([2, 0, 3], dim=2), schedule))
    torch.testing.assert_close(torch.cat(chunks, dim=2), vae.decode(latent, schedule))


def test_tiles_of_a_stream_of_chunks_equal_those_of_the_clip():
    vae, clip = build_small("odvae-tiny"), make_clip(9, 24)
    tiles = odvae.Tiles(16, overlap=8)
    chunks = list(vae.encode_stream(clip.split(4, dim=2), odvae.Stream(5), tiles))
    latent = torch.cat([posterior.mean for posterior in chunks], dim=2)
    torch.testing.assert_close(latent, vae.encode(clip, odvae.Whole(), tiles).mean)
    video = torch.cat(list(vae.decode_stream([latent], odvae.Stream(5), tiles)), dim=2)
    torch.testing.assert_close(video, vae.decode(latent, odvae.Whole(), tiles))


@pytest.mark.parametrize("config", [shrink("odvae-stream"), shrink("odvae-v1.2"), SMALL_IVVAE])
def test_tiles_of_a_stream_come_back_to_the_networks_device(config):
    """Fake tensors on "meta" stand for a device that isn't here: they refuse to mix with others."""
    with FakeTensorMode(), torch.no_grad():
        with torch.device("meta"):
            vae = odvae.build(config)
        chunks, tiles = torch.empty(1, 3, 9, 16, 32).split(4, dim=2), odvae.Tiles(24, overlap=8)
        posteriors = list(vae.encode_stream(chunks, odvae.Stream(5), tiles))
        latents = [posterior.mean for posterior in posteriors]
        video = torch.cat(list(vae.decode_stream(latents, odvae.Stream(5), tiles)), dim=2)
        assert video.device.type == "cpu"
        assert video.shape == (1, 3, 9, 16, 32)


@pytest.mark.parametrize("schedule", [odvae.Whole(), odvae.Sweep()])
def test_a_stream_of_chunks_needs_a_schedule_that_needs_no_whole_clip(schedule):
    with pytest.raises(ValueError, match=r"takes Stream\(\) or Windows\(\)"):
        list(build_small("odvae-tiny").encode_stream([make_clip(5)], schedule))


@pytest.mark.parametrize("run", ["encode_stream", "decode_stream"])
@pytest.mark.parametrize(
    ("schedule", "tiles"),
    [(odvae.Whole(), None), (odvae.Stream(6), None), (odvae.Stream(5), odvae.Tiles(20, 4))],
)
def test_what_a_stream_cannot_do_is_refused_at_the_call(run, schedule, tiles):
    with pytest.raises(ValueError, match=r"takes (Stream|1 \+ 4k)|multiples of 8"):
        getattr(build_small("odvae-tiny"), run)(iter([]), schedule, tiles)


def test_a_stream_that_ends_at_an_illegal_length_says_so():
    with pytest.raises(ValueError, match="got 7 frames"):
        list(build_small("odvae-tiny").encode_stream([make_clip(7)], odvae.Stream(5)))


def test_a_stream_of_a_causal_encoder_gives_a_latent_as_soon_as_its_frames_are_there():
    vae, clip, read = build_small("odvae-tiny"), make_clip(13), []

    def chunks():
        for chunk in clip.split([5, 4, 4], dim=2):
            read.append(chunk)
            yield chunk

    next(vae.encode_stream(chunks(), odvae.Stream(5)))
    assert len(read) == 1


def test_a_stream_of_chunks_is_a_stream_where_no_schedule_is_given():
    vae, clip = build_small("odvae-tiny"), make_clip(21)
    given, default = (
        torch.cat([posterior.mean for posterior in stream], dim=2)
        for stream in (vae.encode_stream([clip], odvae.Stream()), vae.encode_stream([clip]))
    )
    assert torch.equal(default, given)
    assert sum(chunk.shape[2] for chunk in vae.decode_stream([given])) == 21


@pytest.mark.parametrize("schedule", CHUNKED)
def test_a_stream_without_a_frame_is_refused(schedule):
    vae, clip = build_small("odvae-tiny"), make_clip(5)
    for chunks in ([], [clip[:, :, :0]]):
        with pytest.raises(ValueError, match=r"got 0 frames; .*give at least one"):
            list(vae.encode_stream(chunks, schedule))
    with pytest.raises(ValueError, match=r"got 0 latent frames; .*give at least one"):
        list(vae.decode_stream([], schedule))


@pytest.mark.parametrize("schedule", CHUNKED)
def test_a_chunk_of_another_size_is_refused(schedule):
    vae, clip = build_small("odvae-tiny"), make_clip(5)
    with pytest.raises(ValueError, match=r"got a chunk of shape \[1, 3, 5, 8, 24\] in a clip of"):
        list(vae.encode_stream([clip, clip[..., :8, :]], schedule))
    latent = vae.encode(clip).mean
    with pytest.raises(ValueError, match=r"got a chunk of shape \[2, 4, 2, 2, 3\] in a clip of"):
        list(vae.decode_stream([latent, latent.repeat(2, 1, 1, 1, 1)], schedule))


def test_a_stream_refuses_a_chunk_that_asks_for_a_gradient():
    vae, clip = build_small("odvae-tiny"), make_clip(9)
    chunks = [clip[:, :, :5], clip[:, :, 5:].requires_grad_()]
    with pytest.raises(RuntimeError, match="where a gradient would be recorded"):
        list(vae.encode_stream(chunks, odvae.Stream(5)))
    latent = vae.encode(clip.detach()).mean.requires_grad_()
    with pytest.raises(RuntimeError, match="where a gradient would be recorded"):
        list(vae.decode_stream([latent], odvae.Stream(5)))


def test_windows_carry_the_gradient_of_every_chunk():
    vae, clip = build_small("odvae-tiny"), make_clip(9).requires_grad_()
    posteriors = vae.encode_stream(clip.split([2, 7], dim=2), odvae.Windows(5))
    sum(posterior.mean.sum() for posterior in posteriors).backward()
    assert clip.grad is not None
    assert clip.grad.abs().sum(dim=(0, 1, 3, 4)).gt(0).all()
