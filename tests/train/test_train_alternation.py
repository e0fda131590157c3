"""`discriminator.mode = "alternate"` beside the steps of the authors' trainers in plain PyTorch."""

import copy
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from tests.train.small_runs import PHASES, configure, draw_batch
from train.config import Config, ConfigError, DiscriminatorConfig, LossConfig, build_config
from train.discriminator import trains_discriminator_only
from train.run import Run

ADVERSARIAL = LossConfig(adversarial=0.5)
STEPS = {"vae": (2, 4), "discriminator": (3, 5)}
"""Steps of the first adversarial phase, which starts at step 2."""


def make_run(folder, mode="alternate", **changes):
    phases = tuple(
        replace(phase, until_step=end, size=16) for phase, end in zip(PHASES, (2, 6), strict=True)
    )
    config = configure(
        folder,
        discriminator=DiscriminatorConfig(mode, width=8, norm="batch"),
        phases=phases,
        **changes,
    )
    return Run(config)


def draw_step(run):
    """The clips of a run's next step."""
    return draw_batch(run.step, range(2), size=16)


def catch_gradients(run):
    """A list that every step of the run writes the gradients of the trained modules to."""
    caught, step_optimisers = [], run.step_runner.step_optimisers

    def record(trained, values):
        modules = [run.vae if one is run.objective else one.module for one in trained]
        caught[:] = [[w.grad.clone() for w in module.parameters()] for module in modules]
        return step_optimisers(trained, values)

    run.step_runner.step_optimisers = record
    return caught


def reconstruct(run, video):
    """The reconstruction of a step and the posterior, with a graph to a copy of the VAE."""
    objective = copy.deepcopy(run.objective.module)
    output = objective(video, run.draw_noise(video, range(len(video))))
    return objective, output


def vae_step(run, video):
    """The authors' step of the VAE: its gradients, the adaptive weight, the adversarial loss."""
    objective, output = reconstruct(run, video)
    error = (output.reconstruction - video).abs().transpose(1, 2).flatten(0, 1).sum() / 10
    divergence = 0.5 * (output.mean.square() + output.logvar.exp() - 1 - output.logvar).sum() / 2
    adversarial = -copy.deepcopy(run.discriminator.module)(output.reconstruction).mean()
    (last,) = objective.last_weights()
    norms = [
        torch.autograd.grad(x, last, retain_graph=True)[0].norm() for x in (error, adversarial)
    ]
    weight = 0.5 * (norms[0] / (norms[1] + 1e-4)).clamp(0, 1e4).detach()
    total = error + 1e-6 * divergence + weight * adversarial
    gradients = torch.autograd.grad(total, list(objective.vae.parameters()))
    return gradients, weight, adversarial.detach()


def discriminator_step(run, video):
    """The authors' step of the discriminator: its gradients and its loss."""
    _, output = reconstruct(run, video)
    discriminator = copy.deepcopy(run.discriminator.module)
    real, fake = discriminator(video), discriminator(output.reconstruction.detach())
    loss = 0.5 * (F.relu(1 - real).mean() + F.relu(1 + fake).mean())
    return torch.autograd.grad(loss, list(discriminator.parameters())), loss.detach()


def assert_close(values, expected):
    """Equal to 1e-5 of the expected gradient's norm, and to 1e-5 of each logged value."""
    for value, other in zip(values[1:], expected[1:], strict=True):
        assert value == pytest.approx(float(other), rel=1e-5, abs=1e-8)
    joined = [torch.cat([g.flatten() for g in gradients]) for gradients in (values[0], expected[0])]
    assert (joined[0] - joined[1]).norm() <= 1e-5 * joined[1].norm()


def test_every_step_has_the_gradients_and_losses_of_the_authors_alternation(tmp_path):
    run = make_run(tmp_path, loss=ADVERSARIAL)
    caught = catch_gradients(run)
    train_steps_of(run, 2)
    for step in range(2, 6):
        video = draw_step(run)
        is_vae_step = step in STEPS["vae"]
        expected = (vae_step if is_vae_step else discriminator_step)(run, video)
        values = run.train_step(video, range(2))
        names = ("adaptive_weight", "adversarial") if is_vae_step else ("discriminator",)
        (gradients,) = caught
        assert_close((gradients, *(values[name] for name in names)), expected)


def train_steps_of(run, steps):
    for _ in range(steps):
        run.train_step(draw_step(run), range(2))


def test_the_joint_mode_has_other_gradients_through_the_batch_norm(tmp_path):
    run = make_run(tmp_path, "joint", loss=ADVERSARIAL)
    caught = catch_gradients(run)
    train_steps_of(run, 2)
    video = draw_step(run)
    expected, *_ = vae_step(run, video)
    run.train_step(video, range(2))
    gradients, _ = caught
    with pytest.raises(AssertionError):
        assert_close((gradients,), (expected,))


def copy_weights(module):
    return [weight.detach().clone() for weight in module.parameters()]


def is_same(weights, module):
    return all(map(torch.equal, weights, copy_weights(module)))


def test_even_steps_train_the_vae_and_its_average_and_odd_steps_the_discriminator(tmp_path):
    run = make_run(tmp_path, loss=ADVERSARIAL)
    train_steps_of(run, 2)
    for step in range(2, 6):
        vae, discriminator = copy_weights(run.vae), copy_weights(run.discriminator.module)
        average = copy.deepcopy(run.ema.state_dict())
        values = run.train_step(draw_step(run), range(2))
        is_vae_step = step in STEPS["vae"]
        assert is_same(vae, run.vae) != is_vae_step
        assert is_same(discriminator, run.discriminator.module) == is_vae_step
        assert equal_states(average, run.ema.state_dict()) != is_vae_step
        assert ("l1" in values, "logits_real" in values) == (is_vae_step, not is_vae_step)
        assert ("gradient" if is_vae_step else "discriminator_gradient") in values
        assert not any(w.grad is not None for w in run.discriminator.module.parameters())


def equal_states(one, other):
    if isinstance(one, dict):
        return all(equal_states(one[name], other[name]) for name in one)
    return torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other


@pytest.mark.parametrize("step", [0, 1, 2, 3])
def test_steps_without_an_adversarial_loss_or_in_joint_mode_train_the_vae(step):
    alternate = DiscriminatorConfig("alternate")
    assert trains_discriminator_only(alternate, ADVERSARIAL, step) == (step % 2 == 1)
    assert not trains_discriminator_only(alternate, LossConfig(), step)
    assert not trains_discriminator_only(DiscriminatorConfig("joint"), ADVERSARIAL, step)


@pytest.mark.parametrize("cut", [3, 4])
def test_a_run_resumes_bit_for_bit_before_either_kind_of_step(tmp_path, cut):
    whole, first = (make_run(tmp_path / name, loss=ADVERSARIAL) for name in ("whole", "cut"))
    train_steps_of(whole, 6)
    train_steps_of(first, cut)
    first.save()
    second = make_run(tmp_path / "cut", loss=ADVERSARIAL)
    second.resume()
    train_steps_of(second, 6 - cut)
    for one, other in zip(whole.list_parts().values(), second.list_parts().values(), strict=True):
        assert equal_states(one.state_dict(), other.state_dict())


def test_pieces_of_a_batch_have_the_gradient_of_the_whole_without_a_batch_norm(tmp_path):
    gradients = []
    for accumulate in (1, 2):
        config = make_run(tmp_path / str(accumulate), loss=ADVERSARIAL).config
        run = Run(
            replace(
                config,
                discriminator=replace(config.discriminator, norm="group"),
                run=replace(config.run, accumulate=accumulate),
            )
        )
        caught, run.step = catch_gradients(run), 3
        train_steps_of(run, 1)
        gradients.append(caught[0])
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-6)


def test_an_unknown_mode_is_an_error():
    with pytest.raises(ConfigError, match="'turns'; it is one of joint, alt"):
        build_config(Config, {"discriminator": {"mode": "turns"}})
