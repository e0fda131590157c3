"""Windows: the papers' temporal tiling."""

import pytest
import torch

import odvae_core as odvae
from tests.schedules.clips import make_clip, make_vae


@pytest.mark.parametrize("schedule", [odvae.Whole(), odvae.Windows(5)])
def test_whole_and_windows_carry_gradients(schedule):
    vae = make_vae("odvae-tiny", dtype=torch.float32).requires_grad_()
    clip = make_clip(9, 16, 16, torch.float32).requires_grad_()
    latent = vae.encode(clip, schedule).sample()
    vae.decode(latent, schedule).square().mean().backward()
    assert clip.grad is not None
    assert clip.grad.abs().sum() > 0
    assert not [name for name, weight in vae.named_parameters() if weight.grad is None]


def test_windows_share_one_frame_that_is_dropped():
    vae, clip = make_vae("odvae-v1.2"), make_clip(13)
    windows = [vae.encode(clip[:, :, start : start + 9]).mean for start in (0, 8)]
    expected = torch.cat([windows[0], windows[1][:, :, 1:]], dim=2)
    torch.testing.assert_close(vae.encode(clip, odvae.Windows(9)).mean, expected)


def test_windows_longer_than_the_clip_are_the_whole_clip():
    vae, clip = make_vae("odvae-v1.2"), make_clip(9)
    assert torch.equal(vae.encode(clip, odvae.Windows()).mean, vae.encode(clip).mean)


def test_published_windows_have_upstreams_own_sizes():
    assert odvae.Windows.published("odvae-v1.2") == odvae.Windows(33, decode_frames=61)
    assert odvae.Windows.published("odvae-v1.1") == odvae.Windows(65)
    with pytest.raises(ValueError, match=r"odvae-v1\.0.*windows are published for"):
        odvae.Windows.published("odvae-v1.0")


def test_windows_refuse_frames_to_decode_that_cannot_be():
    with pytest.raises(ValueError, match="got decode_frames=0"):
        odvae.Windows(5, 0)


@pytest.mark.parametrize("coding", ["encode", "decode"])
def test_windows_say_where_the_network_starts_anew(coding):
    vae = make_vae("odvae-v1.2")
    coder = vae.encoder_pass() if coding == "encode" else vae.decoder_pass()
    assert list(odvae.Windows(5, 9).seams(coder, 17)) == ([5, 9, 13] if coding == "encode" else [9])
    assert list(odvae.Stream(5).seams(coder, 17)) == []
