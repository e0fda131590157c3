"""odvae_core/checks.py: NaN and infinity never pass silently."""

import pytest
import torch

import odvae_core as odvae
from odvae_core.checks import NonFiniteError
from tests.checkpoints import build_small

NAN, INFINITY = float("nan"), float("inf")


def make_clip(frames=9):
    return torch.rand(1, 3, frames, 16, 24, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize("value", [NAN, INFINITY, -INFINITY])
@pytest.mark.parametrize("schedule", [odvae.Whole(), odvae.Stream(5), odvae.Windows(5)])
def test_a_video_that_is_not_finite_is_refused_by_its_frame(schedule, value):
    vae, clip = build_small("odvae-tiny"), make_clip()
    clip[0, 1, 6, 3, 4] = value
    with pytest.raises(NonFiniteError, match=r"in the video, in 1 of 9 frames, first in frame 6"):
        vae.encode(clip, schedule)


def test_a_latent_that_is_not_finite_is_refused_as_the_samplers():
    vae = build_small("odvae-tiny")
    latent = vae.encode(make_clip()).mean
    latent[:, :, 1:] = NAN
    with pytest.raises(NonFiniteError, match=r"in the latent, in 2 of 3 .*model that made"):
        vae.decode(latent)
    with pytest.raises(NonFiniteError, match="in the latent"):
        list(vae.decode_stream(latent.split(1, dim=2)))


@pytest.mark.parametrize("coding", ["encode", "decode"])
def test_a_network_that_overflows_is_named_with_its_dtype(coding):
    vae = build_small("odvae-tiny")
    latent = vae.encode(make_clip()).mean
    head = (vae.encoder if coding == "encode" else vae.decoder).conv_out
    with torch.no_grad():
        head.conv.weight.mul_(INFINITY)
    with pytest.raises(NonFiniteError, match=rf"the network gave in float32 when it {coding}d"):
        vae.encode(make_clip()) if coding == "encode" else vae.decode(latent)


def test_a_pass_that_records_a_gradient_is_left_to_its_training_loop():
    vae, clip = build_small("odvae-tiny"), make_clip()
    clip[0, 0, 0] = NAN
    assert vae.encode(clip.requires_grad_(), odvae.Whole()).mean.isnan().any()
