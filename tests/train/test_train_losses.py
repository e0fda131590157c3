"""Loss values by hand, gradients everywhere."""

import math

import pytest
import torch
from torch.distributions import Normal, kl_divergence

import odvae_core
from odvae_core.posterior import Posterior
from train.config import LossConfig, ModelConfig
from train.losses import Objective, absolute_error, clamp_posterior, divergence, squared_error
from train.networks import image_parent, make_vae, quieten


def test_errors_are_means_over_all_values():
    video = torch.zeros(2, 3, 5, 8, 8)
    reconstruction = video.clone()
    reconstruction[0, 0, 0, 0, :4] = torch.tensor([1.0, -2.0, 3.0, -4.0])
    count = 2 * 3 * 5 * 8 * 8
    assert absolute_error(reconstruction, video).item() == pytest.approx(10 / count)
    assert squared_error(reconstruction, video).item() == pytest.approx(30 / count)


def test_divergence_is_in_nats_per_video_value():
    mean, logvar = torch.randn(2, 4, 2, 3, 3), torch.randn(2, 4, 2, 3, 3)
    video = torch.zeros(2, 3, 5, 24, 24)
    nats = kl_divergence(Normal(mean, torch.exp(logvar / 2)), Normal(0.0, 1.0)).sum()
    expected = nats / video.numel()
    torch.testing.assert_close(divergence(Posterior(mean, logvar), video), expected)


def test_the_log_variance_is_clamped_in_float32():
    moments = torch.tensor([50.0, -50.0, 1.0]).to(torch.bfloat16)
    posterior = clamp_posterior(Posterior(moments, moments), (-20.0, 4.0))
    assert posterior.logvar.tolist() == [4.0, -20.0, 1.0]
    assert posterior.mean.dtype == torch.float32


def test_the_total_weighs_the_terms_and_reaches_every_weight():
    config = LossConfig(l1=0.5, l2=2.0, kl=0.25)
    objective = Objective(odvae_core.build("odvae-tiny"), config)
    losses = objective(torch.rand(1, 3, 5, 16, 16) * 2 - 1, torch.Generator().manual_seed(0))
    weighed = 0.5 * losses["l1"] + 2 * losses["l2"] + 0.25 * losses["kl"]
    torch.testing.assert_close(losses["total"], weighed)
    losses["total"].backward()
    without = [name for name, weight in objective.named_parameters() if weight.grad is None]
    assert not without


def test_the_same_generator_gives_the_same_loss():
    objective = Objective(odvae_core.build("odvae-tiny"), LossConfig())
    video = torch.rand(1, 3, 5, 16, 16) * 2 - 1
    with torch.no_grad():
        first, second = (objective(video, torch.Generator().manual_seed(5)) for _ in range(2))
    assert first["total"] == second["total"]


def test_a_new_network_starts_with_little_noise():
    vae = quieten(odvae_core.build("odvae-tiny"))
    assert vae.encode(torch.zeros(1, 3, 1, 16, 16)).std.max() < math.exp(-2)


def test_the_tail_inflated_network_equals_its_image_parent_on_one_frame(tmp_path):
    preset = odvae_core.build("odvae-tiny").config
    parent = odvae_core.build(image_parent(preset)).eval()
    odvae_core.save(parent, tmp_path / "parent.safetensors")
    vae = make_vae(ModelConfig(parent=str(tmp_path / "parent.safetensors")))
    frame = torch.rand(1, 3, 1, 32, 32) * 2 - 1
    with torch.no_grad():
        torch.testing.assert_close(vae(frame), parent(frame), rtol=1e-4, atol=1e-4)
    assert vae.config == preset
    assert all(weight.requires_grad for weight in vae.parameters())
