"""`python -m train.reproduce --diffusion`: the tables, their text and their checks."""

from __future__ import annotations

import argparse
import time
from functools import partial
from pathlib import Path

import torch

from odvae_core.metrics import load_features
from train.environment import describe_environment

from ...config import ConfigError
from ...data.shapes import SHAPES, draw_shape_clips
from ..drawing import draw_points
from ..experiment import Check, ExperimentResult, Table
from ..report import write_report
from .classifier import measure_accuracy, train_classifier
from .measure import REAL_KEY, Reference, RowResult, measure_row
from .settings import CPU, GPU, OURS, TABLES, Row, Settings
from .vaes import Setup, shrink

RECOGNISED = 0.7
"""The part of the sampled clips that must be recognised as their class."""

TEXT = """\
The paper trains Latte on the latents of several VAEs with the same settings (Table 2). Here every
row trains a Latte of {layers} layers and {width} channels on the latents of the same {clips} clips
of moving shapes, {frames} frames of {size}x{size}, in the same order, for {steps} steps of
{batch} clips, with latents scaled by 1 / standard deviation. {samples} clips are sampled (DDIM,
{sampling_steps} steps, guidance {guidance:g}) and decoded by the same VAE. Real clips that no row
was trained on are the reference. The Frechet distance is between features of the decoded clips: the
{features} values before the last layer of a classifier of the shapes, trained on real clips and the
same for all rows, which recognises {real:.0%} of the real clips. The accuracy is the part of the
sampled clips that it recognises as the class they were sampled with; by chance it would be
{chance:.0%}. Memory is that of a training step: weights, average, moments and its own tensors."""


def run_generation(options: argparse.Namespace, settings: Settings | None = None) -> bool:
    """Make the tables that the options name and the report; whether all checks passed."""
    torch.set_num_threads(options.threads)
    start = time.monotonic()
    tables = choose_tables(options.only)
    settings = settings or (GPU if torch.cuda.is_available() else CPU)
    settings = shrink(settings, options.steps_factor)
    setup = Setup(options.output, options.seed, settings)
    options.output.mkdir(parents=True, exist_ok=True)
    reference = make_reference(setup, options.i3d)
    page, results = options.output / "diffusion.md", {}
    for name, rows in tables.items():
        measured = {row: measure_row(setup, row, reference) for row in rows}
        results[name] = describe_table(name, measured, setup, reference)
        minutes = (time.monotonic() - start) / 60
        conditions = f"seed {options.seed}, {minutes:.1f} minutes; {describe_environment()}"
        write_report(page, results, conditions)
        for check in results[name].checks:
            print(f"  {'shown' if check.passed else 'NOT SHOWN'}: {check.sentence}")
    print(f"the report is {page}")
    return all(check.passed for result in results.values() for check in result.checks)


def choose_tables(only: list[str] | None) -> dict[str, tuple[Row, ...]]:
    """The tables to make; by default that of the VAEs. Raises ConfigError for an unknown name."""
    names = only or ["generation"]
    unknown = sorted(set(names) - set(TABLES))
    if unknown:
        raise ConfigError(f"--only got {unknown[0]!r}; the tables are {', '.join(TABLES)}")
    return {name: TABLES[name] for name in names}


def make_reference(setup: Setup, i3d: Path | None) -> Reference:
    """The real clips and the networks that all rows are measured with."""
    settings = setup.settings
    shape = settings.frames, settings.size
    real, labels = draw_shape_clips((REAL_KEY, setup.seed), settings.samples, *shape)
    classifier = train_classifier(setup.seed, *shape, settings.classifier_steps)
    return Reference(real, labels, classifier, load_features(i3d, "i3d") if i3d else None)


def describe_table(
    name: str, measured: dict[Row, RowResult], setup: Setup, reference: Reference
) -> ExperimentResult:
    """The table, its plot and its checks."""
    settings = setup.settings
    points = {row.name: (one.steps_per_second, one.distance) for row, one in measured.items()}
    labels = ("training steps per second", "Frechet distance of decoded samples")
    figure = draw_points(points, labels, setup.folder / f"{name}.png")
    rows = [(row.name, *make_cells(one)) for row, one in measured.items()]
    header = (
        "latents of",
        "tokens",
        "memory, MiB",
        "steps/s",
        "Frechet distance",
        "of reconstructions",
        "accuracy",
        "FVD",
        "KVD",
    )
    return ExperimentResult(
        "Table 2: a diffusion model on the latents of a VAE",
        describe_experiment(settings, reference),
        [Table(name, header, rows)],
        [figure],
        list_checks(measured),
    )


def describe_experiment(settings: Settings, reference: Reference) -> str:
    """The text above the table."""
    from odvae_core.diffusion import list_presets

    from .classifier import FEATURES

    preset = list_presets("latte")[settings.preset]
    network = {"layers": preset.layers, "heads": preset.heads, "head_dim": preset.head_dim}
    network |= settings.network
    return TEXT.format(
        **{key: getattr(settings, key) for key in ("clips", "frames", "size", "steps", "batch")},
        **{key: getattr(settings, key) for key in ("samples", "sampling_steps", "guidance")},
        layers=network["layers"],
        width=network["heads"] * network["head_dim"],
        features=FEATURES,
        real=measure_accuracy(reference.classifier, reference.real, reference.labels),
        chance=1 / len(SHAPES),
    )


def make_cells(result: RowResult) -> tuple[str | float, ...]:
    """The cells of a row behind its name."""
    optional = ("-" if value is None else value for value in (result.fvd, result.kvd))
    return (
        result.tokens,
        result.memory,
        result.steps_per_second,
        result.distance,
        result.ceiling,
        result.accuracy,
        *optional,
    )


def list_checks(measured: dict[Row, RowResult]) -> list[Check]:
    """What the paper's table shows, and that the samples are of their class."""
    ours = measured[OURS]
    checks = [
        Check(
            f"{ours.accuracy:.0%} of the clips sampled on OD-VAE's latents are recognised as their "
            f"class; at least {RECOGNISED:.0%} are wanted",
            ours.accuracy >= RECOGNISED,
        )
    ]
    for row, other in measured.items():
        if row.images:
            checks += compare_with_images(ours, other)
    return checks


def compare_with_images(ours: RowResult, images: RowResult) -> list[Check]:
    """The paper's three statements about OD-VAE and the 2D VAE."""
    say = partial("{} {:.2f} against {:.2f}".format)
    return [
        Check(
            say("OD-VAE's latents need less memory in training, MiB:", ours.memory, images.memory),
            ours.memory < images.memory,
        ),
        Check(
            say(
                "and more steps are trained in a second:",
                ours.steps_per_second,
                images.steps_per_second,
            ),
            ours.steps_per_second > images.steps_per_second,
        ),
        Check(
            say(
                "with a smaller Frechet distance after as many steps:",
                ours.distance,
                images.distance,
            ),
            ours.distance < images.distance,
        ),
    ]
