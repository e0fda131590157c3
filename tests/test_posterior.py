"""odvae_core/posterior.py"""

import torch
from torch.distributions import Normal, kl_divergence

from odvae_core import Posterior


def make_posterior(frames=5):
    torch.manual_seed(0)
    return Posterior.from_moments(torch.randn(2, 8, frames, 3, 4))


def cut(posterior, start, stop):
    return Posterior(posterior.mean[:, :, start:stop], posterior.logvar[:, :, start:stop])


def test_the_same_seed_gives_the_same_latent_however_the_clip_is_cut():
    posterior = make_posterior()
    whole = posterior.sample(torch.Generator().manual_seed(7))
    generator = torch.Generator().manual_seed(7)
    pieces = [cut(posterior, 0, 2).sample(generator), cut(posterior, 2, 5).sample(generator)]
    assert torch.equal(torch.cat(pieces, dim=2), whole)


def test_another_seed_gives_another_latent():
    posterior = make_posterior()
    seeds = [posterior.sample(torch.Generator().manual_seed(seed)) for seed in (1, 2)]
    assert not torch.equal(*seeds)


def test_samples_have_the_posteriors_mean_and_spread():
    mean, logvar = torch.full((1, 1, 1, 200, 200), 3.0), torch.full((1, 1, 1, 200, 200), -2.0)
    sample = Posterior(mean, logvar).sample(torch.Generator().manual_seed(0))
    torch.testing.assert_close(sample.mean(), torch.tensor(3.0), rtol=0, atol=0.01)
    torch.testing.assert_close(sample.std(), torch.tensor(-1.0).exp(), rtol=0, atol=0.01)


def test_the_mode_is_the_mean():
    posterior = make_posterior()
    assert torch.equal(posterior.mode(), posterior.mean)


def test_the_divergence_is_that_of_two_normals_for_each_clip():
    posterior = make_posterior()
    normal = Normal(posterior.mean, posterior.std)
    expected = kl_divergence(normal, Normal(0, 1)).sum(dim=(1, 2, 3, 4))
    torch.testing.assert_close(posterior.kl(), expected)


def test_the_log_variance_is_clamped_as_published():
    posterior = Posterior.from_moments(torch.tensor([0.0, 100.0]).view(1, 2, 1, 1, 1))
    assert posterior.logvar.item() == 20


def test_a_sample_carries_gradients():
    mean = torch.zeros(1, 1, 1, 2, 2, requires_grad=True)
    logvar = torch.zeros(1, 1, 1, 2, 2, requires_grad=True)
    Posterior(mean, logvar).sample().sum().backward()
    assert mean.grad is not None
    assert logvar.grad is not None


def test_its_repr_is_one_line_without_values():
    posterior = Posterior(torch.zeros(1, 4, 3, 2, 2), torch.zeros(1, 4, 3, 2, 2))
    assert repr(posterior) == "Posterior([1, 4, 3, 2, 2], float32 on cpu)"
