"""The discriminator, and the fused adversarial step compared with the naive one."""

import pytest
import torch
from torch import nn

from train.config import DiscriminatorConfig
from train.discriminator import Discriminator
from train.losses import (
    absolute_error,
    adaptive_weight,
    adaptive_weight_of_layer,
    discriminator_loss,
    generator_loss,
    run_discriminator,
)

GROUP = DiscriminatorConfig(width=16, norm="group")


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def make_discriminator(config=GROUP):
    return Discriminator(config).double()


def make_clips():
    video = torch.rand(2, 3, 5, 16, 16, dtype=torch.float64) * 2 - 1
    return video, (video + 0.1 * torch.randn_like(video))


def test_a_patch_has_a_logit():
    assert Discriminator(GROUP)(torch.zeros(2, 3, 17, 64, 64)).shape == (2, 1, 5, 8, 8)


def test_a_picture_is_a_clip_too():
    assert Discriminator(GROUP)(torch.zeros(2, 3, 1, 32, 32)).shape == (2, 1, 1, 4, 4)


def test_more_layers_see_larger_patches():
    deeper = DiscriminatorConfig(width=16, layers=4, norm="group")
    assert Discriminator(deeper)(torch.zeros(1, 3, 5, 64, 64)).shape == (1, 1, 2, 4, 4)


@pytest.mark.parametrize(("norm", "kind"), [("batch", nn.BatchNorm3d), ("group", nn.GroupNorm)])
def test_the_norm_is_the_configurations(norm, kind):
    layers = Discriminator(DiscriminatorConfig(width=16, norm=norm)).layers
    norms = [layer for layer in layers if isinstance(layer, nn.BatchNorm3d | nn.GroupNorm)]
    assert [type(layer) for layer in norms] == [kind] * 3


def test_the_paper_s_discriminator_has_its_size():
    parameters = sum(w.numel() for w in Discriminator(DiscriminatorConfig()).parameters())
    assert parameters == 64 * 3 * 27 + 64 + 27 * (
        64 * 128 + 128 * 256 + 256 * 512 + 512
    ) + 1 + 2 * (128 + 256 + 512)


class OneLayer(nn.Module):
    """A generator with one layer."""

    def __init__(self):
        super().__init__()
        self.last = nn.Conv3d(3, 3, 1).double()

    def forward(self, video):
        return self.last(video)


def compute_naively(generator, discriminator, clips, strength):
    """Gradients and losses of the naive step, which propagates every loss through all layers."""
    video, noisy = clips
    reconstruction = generator(noisy)
    error = absolute_error(reconstruction, video)
    real, fake = discriminator(torch.cat([video, reconstruction])).chunk(2)
    weight = generator.last.weight
    norms = [
        torch.autograd.grad(x, weight, retain_graph=True)[0] for x in (error, generator_loss(fake))
    ]
    d = adaptive_weight(norms[0].float(), norms[1].float())
    total = error + strength * d * generator_loss(fake)
    gradients = torch.autograd.grad(total, list(generator.parameters()))
    real, fake = discriminator(torch.cat([video, reconstruction.detach()])).chunk(2)
    return d, gradients, discriminator_loss(real, fake, "hinge").detach()


@pytest.mark.parametrize("norm", ["group", "batch"])
def test_the_fused_step_equals_the_naive_one(norm):
    clips, generator = make_clips(), OneLayer()
    discriminator = make_discriminator(DiscriminatorConfig(width=16, norm=norm))
    d, gradients, loss = compute_naively(generator, discriminator, clips, 0.5)

    video, noisy = clips
    reconstruction = generator(noisy)
    leaf = reconstruction.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(absolute_error(leaf, video), leaf)
    adversarial = run_discriminator(discriminator, leaf, video, GROUP)
    last = [generator.last.weight]
    weight = adaptive_weight_of_layer(reconstruction, last, gradient, adversarial.gradient)
    reconstruction.backward(gradient + 0.5 * weight * adversarial.gradient)

    torch.testing.assert_close(weight, d)
    torch.testing.assert_close(adversarial.discriminator_loss.detach(), loss)
    for parameter, expected in zip(generator.parameters(), gradients, strict=True):
        torch.testing.assert_close(parameter.grad, expected, rtol=1e-6, atol=1e-9)


def test_a_discriminator_pass_leaves_no_gradient_in_the_discriminator():
    discriminator = make_discriminator()
    video, noisy = make_clips()
    adversarial = run_discriminator(discriminator, noisy.requires_grad_(), video, GROUP)
    assert all(weight.grad is None for weight in discriminator.parameters())
    adversarial.discriminator_loss.backward()
    assert all(weight.grad is not None for weight in discriminator.parameters())
