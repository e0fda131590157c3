"""Figure 4 of the OD-VAE paper: tail initialisation learns faster than average and random ones."""

from __future__ import annotations

from statistics import fmean
from typing import Any

from .course import Course
from .drawing import draw_traces
from .finding import Check, Finding, Table
from .recipe import train_inflated, train_parent
from .scene import Scene

INFLATIONS = ("tail", "average", "random")
AHEAD_OF_AVERAGE, AHEAD_OF_RANDOM = 0.5, 1.0
"""By how many dB tail initialisation must be ahead at the end."""

TEXT = """\
The paper starts its video VAE from a 2D one in three ways: the 2D kernel at the newest frame of the
3D kernel (tail), shared out over its frames (average), and not at all (random). Tail reconstructs
best after any number of steps. Here one 2D VAE, trained on frames of the clips to {parent:.2f} dB,
is the parent of all; samples, their order and the posterior's noise are the same."""


def compare_inflations(scene: Scene) -> Finding:
    """Train from one parent, inflated in each way."""
    parent = train_parent(scene)
    courses = {name: train_inflated(scene, inflation=name) for name in INFLATIONS}
    traces = {name: course.trace() for name, course in courses.items()}
    labels = "steps", "held-out PSNR, dB"
    figure = draw_traces(traces, labels, scene.folder / "figure-4.png")
    return Finding(
        "Figure 4: tail, average and random initialisation",
        TEXT.format(parent=parent.last["psnr"]),
        [tabulate_steps(courses), tabulate_frames(courses)],
        [figure],
        check_order({name: course.last["psnr"] for name, course in courses.items()}),
    )


def tabulate_steps(courses: dict[str, Course]) -> Table:
    """PSNR over the steps."""
    steps = list(next(iter(courses.values())).evaluations)
    rows = [(name, *course.trace()[1]) for name, course in courses.items()]
    return Table("Held-out PSNR, dB, after so many steps", ("start", *map(str, steps)), rows)


def tabulate_frames(courses: dict[str, Course]) -> Table:
    """PSNR of the first frame, which a causal network codes as a picture, and of the others."""
    rows = []
    for name, course in courses.items():
        start, end = course.evaluations[0], course.last
        rows.append((name, *split_frames(start), *split_frames(end)))
    header = ("start", "frame 0, start", "later frames, start", "frame 0, end", "later frames, end")
    return Table("The first frame and the moving ones, PSNR, dB", header, rows)


def split_frames(evaluation: dict[str, Any]) -> tuple[float, float]:
    """PSNR of frame 0 and of all later frames: of each place in their groups there are as many."""
    first, *later = evaluation["positions"]
    return first, fmean(later)


def check_order(psnr: dict[str, float]) -> list[Check]:
    """What the figure shows, in numbers."""
    return [
        check_lead(psnr, "tail", "average", AHEAD_OF_AVERAGE),
        check_lead(psnr, "tail", "random", AHEAD_OF_RANDOM),
        check_lead(psnr, "average", "random", 0.0),
    ]


def check_lead(psnr: dict[str, float], first: str, second: str, least: float) -> Check:
    """Whether one start ends ahead of another by at least so many dB."""
    lead = psnr[first] - psnr[second]
    rule = f"{first} ends ahead of {second} by {least} dB or more: {lead:+.2f} dB"
    return Check(rule, lead >= least)
