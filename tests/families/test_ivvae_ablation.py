"""IV-VAE's ablation by configuration: every row streams exactly and starts as its 2D VAE."""

from dataclasses import replace

import pytest
import torch

import odvae_core as odvae
from odvae_core.families.ivvae_config import PRESETS, IvvaeConfig
from odvae_core.inflation import image_parent
from odvae_core.layers.unseparated import SeparatedCausalConv3d

ROWS = {
    "A": {"keyframes": False, "grouped": False, "perception": False, "half_start": False},
    "B": {"keyframes": False, "perception": False, "half_start": False},
    "C": {"grouped": False, "perception": False},
    "D": {"perception": False},
    "E": {},
}
HALF = {"keyframes": False, "grouped": False, "perception": False}
"""Row A from a 2D VAE of half the latent channels."""
NETWORKS = {**ROWS, "A, half start": HALF, "B, half start": {"keyframes": False}}
SMALL = IvvaeConfig(4, 4, 1.3196, 0.1250, multipliers=(1, 2, 2, 2), blocks=1)


@pytest.fixture(params=NETWORKS.values(), ids=list(NETWORKS))
def config(request):
    return replace(SMALL, **request.param)


def draw_clip(frames=13):
    generator = torch.Generator().manual_seed(frames)
    return torch.rand(1, 3, frames, 16, 16, generator=generator, dtype=torch.float64) * 2 - 1


def build(config):
    torch.manual_seed(0)
    return odvae.build(config).double().eval().requires_grad_(False)


def start_from_parent(config):
    parent = build(image_parent(config))
    vae = odvae.inflate(parent.state_dict(), config, mode="branches")
    return vae.double().requires_grad_(False), parent


@pytest.mark.parametrize("schedule", [odvae.Stream(5), odvae.Sweep(9, rows=8)])
def test_every_network_streams_and_sweeps_in_bands_exactly(config, schedule):
    vae, clip = build(config), draw_clip()
    latent = vae.encode(clip).mean
    torch.testing.assert_close(vae.encode(clip, schedule).mean, latent, rtol=0, atol=1e-12)
    video = vae.decode(latent)
    assert (latent.shape[:3], video.shape) == ((1, 4, 4), clip.shape)
    torch.testing.assert_close(vae.decode(latent, schedule), video, rtol=0, atol=1e-12)


def test_a_still_clip_starts_as_the_2d_vaes_picture_in_every_frame(config):
    vae, parent = start_from_parent(config)
    still = draw_clip(1).expand(-1, -1, 9, -1, -1)
    reconstruction = vae.decode(vae.encode(still).mean)
    torch.testing.assert_close(reconstruction, parent(still), rtol=0, atol=1e-6)
    assert vae.inflation.proof.encode_difference < 1e-5
    assert vae.inflation.proof.decode_difference < 1e-5


def test_a_saved_network_keeps_its_switches(config, tmp_path):
    vae, clip = build(config).float(), draw_clip(5).float()
    odvae.save(vae, tmp_path / "vae.safetensors")
    loaded = odvae.load(tmp_path / "vae.safetensors")
    assert loaded.config == config
    assert torch.equal(loaded.encode(clip).mean, vae.encode(clip).mean)


def count_parameters(config):
    with torch.device("meta"):
        return sum(weight.numel() for weight in odvae.build(config).parameters())


def test_the_rows_with_keyframes_have_the_parameters_of_the_paper():
    """104 million in C and D, 107 in E; A and B, whose layers aren't published, are larger here."""
    counts = {
        name: round(count_parameters(replace(PRESETS["ivvae-z4"], **switches)) / 1e6)
        for name, switches in ROWS.items()
    }
    assert counts == {"A": 137, "B": 137, "C": 104, "D": 104, "E": 107}


@pytest.mark.parametrize("name", ROWS)
def test_the_parent_of_a_row_has_all_or_half_of_its_latent_channels(name):
    parent = image_parent(replace(SMALL, **ROWS[name]))
    assert parent.branches == 1
    assert (parent.z_channels, parent.width) == ((4, 8) if name in "AB" else (2, 4))
    assert parent.perception == (name == "E")


def test_the_half_start_of_a_network_without_keyframes_leaves_the_other_channels_to_training():
    vae, parent = start_from_parent(replace(SMALL, **HALF))
    clip = draw_clip(5)
    posterior = parent.encode(clip[:, :, :1])
    moments = vae.encode(clip[:, :, :1])
    for inherited, expected in (
        (moments.mean, posterior.mean),
        (moments.logvar, posterior.logvar),
    ):
        torch.testing.assert_close(inherited[:, :2], expected, rtol=0, atol=1e-6)
    latent = vae.encode(clip).mean
    changed = latent.clone()
    changed[:, 2:] += 1
    assert torch.equal(vae.decode(changed), vae.decode(latent))
    assert latent[:, 2:].std() > 0
    assert "half the latent channels" in vae.inflation.differences[1]


def test_a_causal_convolution_sees_no_later_frame():
    torch.manual_seed(0)
    layer = SeparatedCausalConv3d(4, 6).double()
    clip = torch.rand(1, 4, 5, 6, 6, dtype=torch.float64)
    other = clip.clone()
    other[:, :, 3:] = 0
    same, changed = layer(clip), layer(other)
    assert torch.equal(changed[:, :, :3], same[:, :, :3])
    assert not torch.equal(changed[:, 3:, 3], same[:, 3:, 3])


def test_grouped_convolutions_see_the_rest_of_their_group_and_causal_ones_do_not():
    """Through the decoder's last level, whose frames are in groups of four."""
    for grouped in (True, False):
        vae = build(replace(SMALL, keyframes=False, grouped=grouped))
        conv = vae.encoder.get_submodule("conv1")
        clip = draw_clip(5)
        other = clip.clone()
        other[:, :, 4] = 0
        difference = (conv(clip) - conv(other)).abs().amax((0, 1, 3, 4))
        assert (difference > 0).tolist() == [False, False, False, grouped, True]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"half_start": False}, "got keyframes without half_start"),
        ({"branches": 1, "grouped": False}, "got branches = 1 and a switch of the video VAE"),
        ({"grouped": 1}, "got grouped = 1; it is true or false"),
    ],
)
def test_switches_that_do_not_fit_are_an_error(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(SMALL, **changes)
