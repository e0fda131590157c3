"""The experiments by name, and the run of those that the command line selects."""

from __future__ import annotations

import argparse
import sys
import time

import torch

from train.environment import describe_environment

from ..config import ConfigError
from .clips import prepare_clips
from .cvvae import compare_mappings
from .experiment import HELD_OUT, Experiment, ExperimentFunction, ExperimentResult
from .figure_4 import compare_inflations, compare_variants
from .ivvae import compare_parents, compare_rows
from .report import write_report
from .table_3 import compare_operations
from .table_4 import compare_schedules

EXPERIMENTS: dict[str, ExperimentFunction] = {
    "figure-4": compare_inflations,
    "table-4": compare_schedules,
    "table-3": compare_operations,
    "variants": compare_variants,
}
"""The experiments of OD-VAE."""

FAMILIES: dict[str, ExperimentFunction] = {
    "ivvae-ablation": compare_rows,
    "ivvae-parents": compare_parents,
    "cvvae-mappings": compare_mappings,
}
"""The experiments of IV-VAE and CV-VAE, for `--families`."""


def run_experiments(options: argparse.Namespace) -> bool:
    """Prepare the clips and run the experiments; whether all checks passed.

    The report is written after each experiment. Raises ConfigError for an unknown name, and
    without clips.
    """
    if options.clips is None:
        raise ConfigError("name a folder with clips: python -m train.reproduce CLIPS")
    experiments = choose_experiments(options.only, options.families)
    start = time.monotonic()
    torch.set_num_threads(options.threads)
    folder, left_out = prepare_clips(options.clips, options.held_out, options.output)
    for reason in left_out:
        print(f"left out: {reason}", file=sys.stderr)
    experiment = Experiment(folder, options.output, options.seed, options.steps_factor)
    earlier = len(list(options.output.glob("*/ema.safetensors")))
    page = options.output / ("families.md" if options.families else "report.md")
    results: dict[str, ExperimentResult] = {}
    for name, run_experiment in experiments.items():
        results[name] = run_experiment(experiment)
        seconds = time.monotonic() - start
        print_checks(name, results[name], seconds)
        write_report(page, results, describe_conditions(experiment, seconds, earlier))
    print(f"the report is {page}")
    return all(check.passed for result in results.values() for check in result.checks)


def choose_experiments(only: list[str] | None, families: bool) -> dict[str, ExperimentFunction]:
    """The experiments to run. Raises ConfigError for an unknown name."""
    if only is None:
        return FAMILIES if families else EXPERIMENTS
    known = {**EXPERIMENTS, **FAMILIES}
    unknown = sorted(set(only) - set(known))
    if unknown:
        raise ConfigError(f"--only got {unknown[0]!r}; the experiments are {', '.join(known)}")
    return {name: known[name] for name in only}


def print_checks(name: str, result: ExperimentResult, seconds: float) -> None:
    """Print a line for each check."""
    print(f"{name}, {seconds / 60:.1f} minutes after the start")
    for check in result.checks:
        print(f"  {'shown' if check.passed else 'NOT SHOWN'}: {check.sentence}")


def describe_conditions(experiment: Experiment, seconds: float, earlier: int) -> str:
    """Seed, clips, duration and environment of the experiments."""
    clips, held_out = (len(list(experiment.clips.glob(pattern))) for pattern in ("*.mkv", HELD_OUT))
    facts = [f"seed {experiment.seed}", f"{held_out} of {clips} clips held out"]
    if experiment.steps_factor != 1:
        facts.append(f"trainings {experiment.steps_factor:g} times as long as the default")
    facts.append(f"{seconds / 60:.1f} minutes")
    if earlier:
        facts.append(f"with {earlier} runs of earlier calls in the folder")
    return f"{', '.join(facts)}; {describe_environment()}"
