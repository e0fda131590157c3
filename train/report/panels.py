"""The panels of a report, and their lines from the histories of runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .history import History

NOISY, PLAIN, MARKED = "noisy", "plain", "marked"
"""How a line is drawn: faint, with its running mean; as it is; with a marker at each value."""


@dataclass(frozen=True)
class Line:
    """One quantity of one run; the numbers of both, from 0, select colour and line style."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    run: int
    quantity: int


@dataclass(frozen=True)
class Panel:
    """A plot of lines. `logarithmic` applies if all values are positive."""

    title: str
    lines: list[Line]
    form: str
    logarithmic: bool = False
    from_zero: bool = False


@dataclass(frozen=True)
class PanelSpec:
    """A panel of values of one kind of event over the steps."""

    title: str
    kind: str
    names: tuple[str, ...]
    form: str = NOISY
    logarithmic: bool = False
    from_zero: bool = False


PSNR = PanelSpec("held-out PSNR, dB", "evaluation", ("psnr",), MARKED)
PANEL_SPECS = (
    PanelSpec("held-out SSIM", "evaluation", ("ssim",), MARKED),
    PanelSpec("held-out flicker", "evaluation", ("flicker",), MARKED),
    PanelSpec("total loss", "step", ("total",), logarithmic=True),
    PanelSpec("error of the reconstruction", "step", ("l1", "l2"), logarithmic=True),
    PanelSpec("perceptual error", "step", ("perceptual",), logarithmic=True),
    PanelSpec("divergence (KL)", "step", ("kl",), logarithmic=True),
    PanelSpec("adversarial loss", "step", ("adversarial", "discriminator")),
    PanelSpec("adaptive weight", "step", ("adaptive_weight",), logarithmic=True),
    PanelSpec("the discriminator's logits", "step", ("logits_real", "logits_fake")),
    PanelSpec("gradient norm", "step", ("gradient",), logarithmic=True),
    PanelSpec("learning rate", "step", ("rate",), PLAIN, logarithmic=True),
    PanelSpec("skipped steps", "step", ("skipped",), PLAIN, from_zero=True),
    PanelSpec("seconds a step", "step", ("seconds_per_step",), from_zero=True),
)
"""The panels besides PSNR; those without data are not drawn."""


def find_panels(histories: list[History]) -> list[Panel]:
    """All panels with data."""
    panels = [
        make_panel(PSNR, histories),
        Panel("held-out PSNR by short side, dB", find_sides(histories), MARKED),
        Panel(
            "held-out PSNR: frame 0, frames of a group",
            find_positions(histories),
            MARKED,
        ),
        *(make_panel(spec, histories) for spec in PANEL_SPECS),
    ]
    return [panel for panel in panels if panel.lines]


def make_panel(spec: PanelSpec, histories: list[History]) -> Panel:
    """The panel of a spec, with a line for each run and quantity that was logged."""
    lines = []
    for run, history in enumerate(histories):
        for quantity, name in enumerate(spec.names):
            steps, values = history.series(spec.kind, name)
            label = name_line(histories, run, name if len(spec.names) > 1 else "")
            if steps:
                lines.append(Line(label, steps, values, run, quantity))
    return Panel(spec.title, lines, spec.form, spec.logarithmic, spec.from_zero)


def find_sides(histories: list[History]) -> list[Line]:
    """PSNR over the steps at each short side of the evaluations."""
    lines = []
    for run, history in enumerate(histories):
        names = {name for event in history.select("evaluation") for name in event}
        for quantity, side in enumerate(sorted(filter(str.isdecimal, names), key=int)):
            label = name_line(histories, run, side)
            lines.append(Line(label, *history.series("evaluation", side), run, quantity))
    return lines


def find_positions(histories: list[History]) -> list[Line]:
    """PSNR of frame 0, then of the frames 1 to 4 of a group, at each run's last evaluation."""
    lines = []
    for run, history in enumerate(histories):
        values = history.last("evaluation").get("positions", ())
        known = {position: value for position, value in enumerate(values) if value is not None}
        if known:
            label = name_line(histories, run, "")
            lines.append(Line(label, list(known), list(known.values()), run, 0))
    return lines


def find_baselines(histories: list[History]) -> dict[str, float]:
    """The `baselines` of the last evaluations: {name: PSNR}."""
    found: dict[str, float] = {}
    for history in histories:
        found |= history.last("evaluation").get("baselines", {})
    return found


def name_line(histories: list[History], run: int, quantity: str) -> str:
    """The label of a line: the run, if there are several, and the quantity."""
    names = [histories[run].name] * (len(histories) > 1) + [quantity]
    return " ".join(filter(None, names))
