"""Rescaled weights: activations in the range of float16, and the same results."""

from dataclasses import replace

import pytest
import torch

import odvae_core as odvae
from odvae_core.families.odvae_config import PRESETS
from tests.checkpoints import shrink
from train.export import rescale
from train.export.rescale import LIMIT, find_factor, measure_peak_inputs, rescale_activations


@pytest.fixture(autouse=True)
def small_clip(monkeypatch):
    """Render a smaller clip, which small models code fast."""
    monkeypatch.setattr(rescale, "SIZE", 32)


def make_loud(preset, **changes):
    """A small VAE whose residual features and blocks far exceed the limit.

    In float64 and with norms of no epsilon, so that no rounding hides a change by the rescaling.
    """
    torch.manual_seed(0)
    vae = odvae.build(replace(shrink(preset), norm_groups=8, **changes)).requires_grad_(False)
    for name, weight in vae.named_parameters():
        if weight.ndim == 1:
            weight += 0.1 * torch.randn_like(weight)
        if "sample" in name and weight.ndim > 1:
            weight *= 40
        if "conv1" in name or "conv2" in name:
            weight *= 3000
    for module in vae.modules():
        if isinstance(module, torch.nn.GroupNorm):
            module.eps = 0.0
    return vae.eval().double()


def find_loudest_norm_input(vae):
    peaks = measure_peak_inputs(vae)
    return max(peak for module, peak in peaks.items() if isinstance(module, torch.nn.GroupNorm))


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_a_rescaled_vae_gives_the_same_with_activations_below_the_limit(preset):
    vae = make_loud(preset)
    rescaled = rescale_activations(vae)
    assert find_loudest_norm_input(vae) > 50 * LIMIT
    assert find_loudest_norm_input(rescaled) <= LIMIT
    frames = 1 + vae.temporal_compression
    video = torch.rand(1, 3, frames, 16, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    video = video.double()
    mean, same_mean = vae.encode(video).mean, rescaled.encode(video).mean
    torch.testing.assert_close(same_mean, mean, rtol=0, atol=1e-9 * mean.abs().max().item())
    decoded = vae.decode(mean)
    scale = decoded.abs().max().item()
    torch.testing.assert_close(rescaled.decode(mean), decoded, rtol=0, atol=1e-9 * scale)


def test_other_widths_and_latent_channels_are_rescaled_too():
    vae = make_loud("odvae-stream", width=48, z_channels=16, embed_dim=16)
    assert find_loudest_norm_input(rescale_activations(vae)) <= LIMIT


def test_a_vae_with_small_activations_and_other_families_keep_their_weights():
    quiet = odvae.build(replace(shrink("odvae-stream"), norm_groups=8)).requires_grad_(False)
    for vae in (quiet, odvae.build("ivvae-z4")):
        weights = rescale_activations(vae).state_dict()
        assert all(torch.equal(weights[name], weight) for name, weight in vae.state_dict().items())


def test_a_factor_is_the_largest_power_of_two_within_the_limit():
    assert [find_factor(LIMIT * peak) for peak in (0.0, 0.1, 1, 1.1, 4, 100)] == [
        1,
        1,
        1,
        0.5,
        0.25,
        2**-7,
    ]
