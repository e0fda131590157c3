"""The losses, compared with values by hand, in the units of the papers."""

import math

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from odvae_core.posterior import Posterior
from train.config import LossConfig
from train.losses import (
    absolute_error,
    adaptive_weight,
    clamp_posterior,
    discriminator_loss,
    divergence,
    generator_loss,
    perceptual_error,
    reconstruction_errors,
    squared_error,
    values_of_frame,
    weigh_by_variance,
)

SHAPE = (2, 3, 5, 8, 8)
VALUES = 3 * 8 * 8


def make_pair(difference=0.25):
    video = torch.zeros(SHAPE)
    return video + difference, video


def test_absolute_error_is_summed_over_a_frame_and_averaged_over_frames():
    assert absolute_error(*make_pair()) == pytest.approx(0.25 * VALUES)


def test_squared_error_is_summed_over_a_frame_and_averaged_over_frames():
    assert squared_error(*make_pair()) == pytest.approx(0.0625 * VALUES)


def test_one_wrong_value_counts_for_one_frame_of_ten():
    video = torch.zeros(SHAPE)
    wrong = video.clone()
    wrong[1, 2, 3, 4, 5] = 3.0
    assert absolute_error(wrong, video) == pytest.approx(3.0 / 10)


def test_lpips_counts_once_for_every_value_of_the_frame():
    distances = torch.tensor([[0.1, 0.3, 0.2, 0.0, 0.4]] * 2)
    assert perceptual_error(distances, torch.zeros(SHAPE)) == pytest.approx(0.2 * VALUES)


def test_a_frame_has_channels_times_height_times_width_values():
    assert values_of_frame(torch.zeros(SHAPE)) == VALUES


def test_a_log_variance_of_zero_changes_nothing():
    assert weigh_by_variance(torch.tensor(7.0), torch.tensor(0.0), VALUES) == 7.0


def test_a_log_variance_divides_the_error_and_is_added_per_value():
    weighed = weigh_by_variance(torch.tensor(7.0), torch.tensor(math.log(2)), VALUES)
    assert weighed == pytest.approx(3.5 + VALUES * math.log(2))


def test_the_best_log_variance_is_the_logarithm_of_the_mean_error():
    variance = torch.tensor(math.log(7.0 / VALUES), requires_grad=True)
    weigh_by_variance(torch.tensor(7.0), variance, VALUES).backward()
    assert variance.grad == pytest.approx(0.0, abs=1e-4)


def test_the_divergence_is_summed_over_a_clip_and_averaged_over_clips():
    generator = torch.Generator().manual_seed(0)
    mean = torch.randn(2, 4, 2, 3, 3, generator=generator)
    logvar = torch.randn(2, 4, 2, 3, 3, generator=generator)
    expected = kl_divergence(Normal(mean, (logvar / 2).exp()), Normal(0.0, 1.0)).sum() / 2
    torch.testing.assert_close(divergence(Posterior(mean, logvar)), expected)


def test_a_standard_normal_has_no_divergence():
    zeros = torch.zeros(1, 4, 2, 3, 3)
    assert divergence(Posterior(zeros, zeros)) == 0


def test_the_log_variance_is_clamped_for_training():
    logvar = torch.tensor([-100.0, 0.0, 100.0]).view(1, 3, 1, 1, 1)
    posterior = clamp_posterior(torch.zeros_like(logvar), logvar, (-20.0, 4.0))
    assert posterior.logvar.flatten().tolist() == [-20.0, 0.0, 4.0]


def test_the_hinge_loss_has_a_margin_of_one():
    real, fake = torch.tensor([0.5, 2.0]), torch.tensor([-0.5, -2.0])
    assert discriminator_loss(real, fake, "hinge") == pytest.approx(0.5 * (0.25 + 0.25))


def test_the_vanilla_loss_is_the_softplus():
    zero = torch.zeros(3)
    assert discriminator_loss(zero, zero, "vanilla") == pytest.approx(math.log(2))


def test_the_generator_loss_falls_with_higher_logits():
    assert generator_loss(torch.tensor([1.0, 3.0])) == -2.0


def test_the_adaptive_weight_is_the_ratio_of_norms():
    strong, weak = torch.tensor([3.0, 4.0]), torch.tensor([0.0, 0.5])
    assert adaptive_weight(strong, weak) == pytest.approx(5 / 0.5001)


def test_the_adaptive_weight_is_bounded_where_the_adversarial_gradient_is_zero():
    weight = adaptive_weight(torch.tensor([3.0, 4.0]), torch.zeros(2))
    assert weight == 1e4


def test_only_terms_with_a_weight_are_computed():
    reconstruction, video = make_pair()
    errors = reconstruction_errors(reconstruction, video, None, LossConfig(l1=0.0, l2=2.0))
    assert list(errors) == ["l2"]
    assert errors["l2"][0] == 2.0
    distances = torch.full((2, 5), 0.5)
    errors = reconstruction_errors(reconstruction, video, distances, LossConfig())
    assert {name: float(error) for name, (_, error) in errors.items()} == pytest.approx(
        {"l1": 0.25 * VALUES, "perceptual": 0.5 * VALUES}
    )
