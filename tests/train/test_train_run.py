"""Runs in memory: which weights change, and that a resumed run equals an uninterrupted one."""

import math
from dataclasses import replace

import pytest
import torch

import odvae_core
from odvae_core.inflation import image_parent
from odvae_core.metrics.perceptual import random_lpips
from tests.train.small_runs import PHASES, SMALL, configure, draw_batch, train_steps
from train.config import (
    EmaConfig,
    ImageSpaceConfig,
    LossConfig,
    ModelConfig,
    OptimiserConfig,
    Phase,
    RunConfig,
)
from train.networks import choose_preset
from train.run import Run
from train.step import DivergedError, LossNetworks


def collect_state(run):
    """All tensors of a run's checkpoint, by name."""
    found = {}

    def walk(name, value):
        if isinstance(value, torch.Tensor):
            found[name] = value.detach().clone()
        elif isinstance(value, dict):
            for key, item in value.items():
                walk(f"{name}.{key}", item)

    walk("", {name: part.state_dict() for name, part in run.list_parts().items()})
    return found


def assert_same(one, other):
    one, other = collect_state(one), collect_state(other)
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


def test_a_network_overfits_one_batch(tmp_path):
    steps = 80
    run = Run(
        configure(
            tmp_path,
            phases=(Phase(until_step=steps, batch=2, frames=1, size=16),),
            loss=LossConfig(),
            model=ModelConfig(preset="odvae-tiny", images=True),
            optimiser=OptimiserConfig("muon", 3e-3, schedule="cosine", warm_up=2, clip=1e4),
        )
    )
    video = draw_batch(0, range(2), 1)
    errors = [run.train_step(video, range(2))["l1"] for _ in range(steps)]
    assert errors[-1] < errors[0] / 5


@pytest.mark.parametrize("cut", [1, 3, 5])
def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(tmp_path, cut):
    whole, first = Run(configure(tmp_path / "whole")), Run(configure(tmp_path / "cut"))
    train_steps(whole, 8)
    train_steps(first, cut)
    first.save()
    second = Run(configure(tmp_path / "cut"))
    second.resume()
    assert second.step == cut
    train_steps(second, 8 - cut)
    assert_same(whole, second)


def test_a_folder_with_another_network_s_run_is_refused(tmp_path):
    Run(configure(tmp_path)).save()
    wider = ModelConfig(preset="odvae-tiny", overrides=SMALL | {"width": 16})
    with pytest.raises(odvae_core.CheckpointError, match="holds another network"):
        Run(configure(tmp_path, model=wider)).resume()


def test_without_a_checkpoint_a_run_starts_at_step_0(tmp_path):
    run = Run(configure(tmp_path))
    run.resume()
    assert run.step == 0


def test_the_adversarial_loss_starts_with_its_phase(tmp_path):
    values = train_steps(Run(configure(tmp_path)), 5)
    assert ["adaptive_weight" in step for step in values] == [False] * 3 + [True] * 2
    assert all(math.isfinite(number) for step in values for number in step.values())


def test_a_step_changes_every_weight_of_the_vae(tmp_path):
    run = Run(configure(tmp_path))
    before = {name: weight.clone() for name, weight in run.vae.named_parameters()}
    train_steps(run, 2)
    still = [name for name, w in run.vae.named_parameters() if torch.equal(w, before[name])]
    assert still == []


def test_the_discriminator_changes_only_in_its_phase(tmp_path):
    run = Run(configure(tmp_path))
    weight = next(iter(run.discriminator.module.parameters()))
    before = weight.clone()
    train_steps(run, 3)
    assert torch.equal(weight, before)
    train_steps(run, 1)
    assert not torch.equal(weight, before)


def test_parts_frozen_in_a_phase_do_not_change_and_the_others_do(tmp_path):
    phases = (replace(PHASES[0], frozen=("encoder", "quant_conv")),)
    run = Run(configure(tmp_path, phases=phases))
    before = {name: weight.clone() for name, weight in run.vae.named_parameters()}
    train_steps(run, 2)
    moved = {
        name.split(".")[0]
        for name, w in run.vae.named_parameters()
        if not torch.equal(w, before[name])
    }
    assert moved == {"decoder", "post_quant_conv"}


def test_pieces_of_a_batch_add_up_to_the_batch(tmp_path):
    """Adam's first moments are compared: after one step they are the gradients."""
    phases = (replace(PHASES[0], batch=4),)
    whole = Run(configure(tmp_path / "whole", phases=phases))
    cut = replace(whole.config.run, folder=str(tmp_path / "cut"), accumulate=2)
    pieces = Run(configure(tmp_path / "cut", phases=phases, run=cut))
    train_steps(whole, 1)
    train_steps(pieces, 1)
    states = [run.objective.optimiser.state_dict()["state"] for run in (whole, pieces)]
    names = [name for name, _ in whole.objective.module.named_parameters()]
    assert len(states[0]) > 100
    for number, state in states[0].items():
        # The bias of keys does not change attention: its gradient is rounding.
        if not names[number].endswith("k.conv.bias"):
            difference = (state["exp_avg"] - states[1][number]["exp_avg"]).norm()
            assert difference <= 1e-4 * state["exp_avg"].norm(), names[number]


def test_recomputed_activations_give_the_same_step(tmp_path):
    plain = Run(configure(tmp_path / "plain"))
    model = replace(plain.config.model, recompute=True)
    lean = Run(configure(tmp_path / "lean", model=model))
    train_steps(plain, 4)
    train_steps(lean, 4)
    for one, other in zip(plain.vae.parameters(), lean.vae.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_a_step_that_is_not_finite_changes_nothing_and_is_counted(tmp_path):
    run = Run(configure(tmp_path))
    train_steps(run, 1)
    before = collect_state(run)
    bad = draw_batch(1, range(2))
    bad[0, 0, 0, 0, 0] = float("nan")
    values = run.train_step(bad, range(2))
    assert (values["skipped"], run.step) == (1, 2)
    after = collect_state(run)
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert '"skip"' in run.run_log.path.read_text()
    assert '"l1"' in run.run_log.path.read_text()


def test_too_many_steps_in_a_row_that_are_not_finite_end_the_run(tmp_path):
    run = Run(configure(tmp_path, run=RunConfig(str(tmp_path), precision="no", skip_limit=2)))
    bad = torch.full((2, 3, 5, 16, 16), float("nan"))
    run.train_step(bad, range(2))
    with pytest.raises(DivergedError, match="2 steps in a row were not finite"):
        run.train_step(bad, range(2))


def test_lpips_is_added_with_its_weight(tmp_path):
    run = Run(configure(tmp_path, loss=LossConfig(perceptual_weight=2.0)))
    run.step_runner.loss_networks = LossNetworks(perceptual=random_lpips("alex", 0))
    video = draw_batch(0, range(2), 1, 64)
    values = run.train_step(video, range(2))
    assert values["total"] == pytest.approx(values["l1"] + 2 * values["perceptual"], rel=1e-4)


def test_a_learnt_log_variance_changes(tmp_path):
    run = Run(configure(tmp_path, loss=LossConfig(learn_logvar=True)))
    variance = run.objective.module.variances["video"]
    assert variance.requires_grad
    train_steps(run, 2)
    assert variance != 0


def test_the_loss_of_the_frozen_2d_vae_changes_the_encoder(tmp_path):
    preset = choose_preset(ModelConfig(preset="odvae-tiny", overrides=SMALL))
    odvae_core.save(odvae_core.build(image_parent(preset)), tmp_path / "image.safetensors")
    space = ImageSpaceConfig(vae=str(tmp_path / "image.safetensors"), encode=True)
    run = Run(configure(tmp_path, image_space=space))
    before = [weight.clone() for weight in run.vae.get_submodule("encoder").parameters()]
    values = train_steps(run, 5)
    assert all(step["image"] > 0 for step in values)
    moved = run.vae.get_submodule("encoder").parameters()
    assert not any(torch.equal(a, b) for a, b in zip(before, moved, strict=True))


def test_the_average_starts_at_the_first_weights(tmp_path):
    run = Run(configure(tmp_path, ema=EmaConfig(decay=1.0)))
    before = {name: weight.clone() for name, weight in run.vae.named_parameters()}
    train_steps(run, 2)
    assert all(torch.equal(run.ema.shadow[name], weight) for name, weight in before.items())


def test_the_noise_of_a_sample_depends_only_on_its_index(tmp_path):
    run = Run(configure(tmp_path))
    video = draw_batch(0, range(4))
    whole = run.draw_noise(video, range(4))
    assert torch.equal(run.draw_noise(video[1::2], range(1, 4, 2)), whole[1::2])


def test_in_bf16_no_step_is_skipped_and_no_scaler_is_needed(tmp_path):
    run = Run(configure(tmp_path, run=RunConfig(str(tmp_path), precision="bf16")))
    assert not run.precision.scaler.is_enabled()
    values = train_steps(run, 6)
    assert values[-1]["skipped"] == 0
    assert all(math.isfinite(step["gradient"]) for step in values)


def test_a_failing_disk_does_not_end_a_run(tmp_path, monkeypatch, caplog):
    run = Run(configure(tmp_path))
    train_steps(run, 1)

    def refuse(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("train.evaluation.draw_contact_sheet", refuse)
    monkeypatch.setattr("odvae_core.files.tensorfile.save_file", refuse)
    monkeypatch.setattr("train.checkpoint_files.torch.save", refuse)
    crops = {16: draw_batch(0, range(1))}
    run.evaluate(crops)
    assert not run.save(best=True)
    train_steps(run, 1)
    assert run.step == 2
    messages = [record.getMessage() for record in caplog.records]
    assert [("No space left" in message) for message in messages] == [True] * 3
