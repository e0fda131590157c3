"""Figure 4 and tables 3 and 4: counted operations, compared schedules, and checks."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from odvae_core import build
from odvae_core.layers.fast import plain_path
from train.reproduce import figure_4, table_3, table_4
from train.reproduce.experiment import Table
from train.reproduce.report import format_table


@pytest.mark.parametrize(("lead", "passed"), [(0.5, True), (0.49, False)])
def test_tail_must_be_half_a_decibel_ahead_of_average(lead, passed):
    checks = figure_4.check_order({"tail": 20 + lead, "average": 20.0, "random": 12.0})
    assert [check.passed for check in checks] == [passed, True, True]


@pytest.mark.parametrize(("random", "passed"), [(19.0, True), (19.01, False)])
def test_tail_must_be_a_decibel_ahead_of_random(random, passed):
    checks = figure_4.check_order({"tail": 20.0, "average": 19.4, "random": random})
    assert [check.passed for check in checks] == [True, passed, True]


@pytest.mark.parametrize(("psnr", "passed"), [(21.91, True), (21.89, False)])
def test_variant_4_must_be_near_variant_1(psnr, passed):
    assert figure_4.check_choice(22.0, psnr).passed is passed


@torch.no_grad()
@plain_path()
def count_by_layers(vae, video, latent):
    """Multiply-adds of encoder and decoder, from the output size of each convolution."""
    counts = []

    def note(conv, inputs, output):
        counts[-1] += output.numel() * conv.weight[0].numel()

    hooks = [
        module.register_forward_hook(note)
        for module in vae.modules()
        if isinstance(module, nn.Conv2d | nn.Conv3d)
    ]
    for run, given in ((vae.encode, video), (vae.decode, latent)):
        counts.append(0)
        run(given)
    assert hooks
    return tuple(count / 1e12 for count in counts)


@pytest.mark.parametrize("preset", table_3.VARIANTS.values())
def test_every_multiply_add_of_every_convolution_is_counted(preset):
    with torch.device("meta"):
        vae = build(preset)
        video, latent = torch.empty(1, 3, 25, 256, 256), torch.empty(1, 4, 7, 32, 32)
    assert table_3.count_operations(preset) == count_by_layers(vae, video, latent)


def test_the_variants_operations_are_those_counted_from_the_papers_tables():
    counts = [table_3.count_operations(preset) for preset in table_3.VARIANTS.values()]
    assert counts[0] == pytest.approx((7.40, 17.28), rel=0.005)
    assert counts[1] == pytest.approx((4.82, 13.45), rel=0.005)
    parts = [(encoder / counts[0][0], decoder / counts[0][1]) for encoder, decoder in counts]
    assert parts[1] == pytest.approx((0.6532, 0.7790), abs=1e-4)
    assert parts[2] == pytest.approx((0.5095, 0.6081), abs=1e-4)
    assert parts[3] == pytest.approx((0.5095, 1.0), abs=1e-4)


@pytest.mark.parametrize(
    ("seconds", "passed"),
    [
        (((1.0, 2.0), (0.8, 1.7), (0.7, 1.4), (0.7, 2.0)), [True, True]),
        (((1.0, 2.0), (0.6, 1.7), (0.7, 1.4), (0.7, 2.0)), [False, True]),
        (((1.0, 2.0), (0.8, 1.7), (0.7, 2.1), (0.7, 2.0)), [True, False]),
    ],
)
def test_the_variants_must_have_the_paper_s_order_in_cpu_time(seconds, passed):
    assert [check.passed for check in table_3.check_times(*seconds)] == passed


def test_a_sweep_is_equal_and_windows_differ_on_random_weights():
    torch.manual_seed(0)
    vae = build(replace(build("odvae-v1.2").config, width=8, blocks=1, norm_groups=4)).eval()
    crops = torch.rand(1, 3, 33, 16, 16) * 2 - 1
    metrics = table_4.measure_schedules(vae, crops)
    assert metrics["Whole()"].difference == 0
    assert table_4.check_equal("it", "Sweep(9)", metrics).passed
    assert not table_4.check_equal("it", "Windows(9)", metrics).passed


def test_whole_loses_no_psnr_and_a_loss_of_one_decibel_fails():
    row = table_4.ScheduleMetrics(20.0, 0.0, 0.1, 0.1, 1.0)
    metrics = {"Whole()": row, "Windows(9)": replace(row, psnr=19.0)}
    assert table_4.check_cost("Whole()", metrics).passed
    assert not table_4.check_cost("Windows(9)", metrics).passed


def test_a_table_is_written_with_its_number_of_decimals():
    table = Table("t", ("a", "b", "c"), [("x", 1.0, 3)], digits=1)
    assert format_table(table) == "| a | b | c |\n|---|---|---|\n| x | 1.0 | 3 |"
