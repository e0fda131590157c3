"""Table 4 of the OD-VAE paper: the quality loss of temporal tiling."""

from __future__ import annotations

from dataclasses import astuple, dataclass

import torch
from torch import Tensor

import odvae_core
from odvae_core import Stream, Sweep, Whole, Windows
from odvae_core.metrics import border_error, psnr, quantize
from odvae_core.schedules import Schedule
from odvae_core.vae import VideoVAE

from ..config import EvaluationConfig
from .experiment import SIDE, Check, Experiment, ExperimentResult, Table
from .training import SIZE, train_inflated

LENGTH = 33
PROTOCOL = EvaluationConfig(sides=(SIDE,), per_clip=2, frames=LENGTH, size=SIZE, stride=2)
SCHEDULES: dict[str, tuple[Schedule, int]] = {
    "Whole()": (Whole(), 9),
    "Windows(17)": (Windows(17), 17),
    "Windows(9)": (Windows(9), 9),
    "Sweep(9)": (Sweep(9), 9),
    "Stream(9)": (Stream(9), 9),
}
"""The schedules, and the window length at whose borders the error of each is measured."""

EQUAL = 1e-4
"""The largest difference that counts as rounding, for a range of 2."""
COST = 0.1
"""The largest loss of PSNR by windows, in dB."""

TEXT = """\
The paper codes long clips in windows that share one frame: temporal tiling. Its loss of quality is
measured here together with `Sweep` and `Stream`, on {count} held-out crops of {length} frames of
{size}x{size}, every second frame of the clip. The error at borders is that of the changes between
frames, of pixels from 0 to 1, where windows join; for `Whole` it is measured at the borders of
`Windows(9)`, for comparison."""


@dataclass(frozen=True)
class ScheduleMetrics:
    """Metrics of a schedule: PSNR in dB against the crops, and the difference from Whole.

    `difference` is the largest of a pixel in [-1, 1]; the errors are `border_error`'s.
    """

    psnr: float
    difference: float
    at_borders: float
    elsewhere: float
    ratio: float


def compare_schedules(experiment: Experiment) -> ExperimentResult:
    """Compare all schedules with the tail-inflated model and the embedded one."""
    crops = experiment.cut_crops(PROTOCOL)
    trained = odvae_core.load(train_inflated(experiment).weights)
    embedded = odvae_core.load("default")
    ours, default = (measure_schedules(vae, crops) for vae in (trained, embedded))
    return ExperimentResult(
        "Table 4: the cost of temporal tiling",
        TEXT.format(count=len(crops), length=LENGTH, size=SIZE),
        [
            tabulate_schedules("The tail-inflated model", ours),
            tabulate_schedules("The embedded model", default),
        ],
        [],
        [
            check_equal("the tail-inflated model", "Sweep(9)", ours),
            check_equal("the embedded model", "Sweep(9)", default),
            check_equal("the embedded model", "Stream(9)", default),
            check_cost("Windows(17)", ours),
            check_cost("Windows(9)", ours),
        ],
    )


def measure_schedules(vae: VideoVAE, crops: Tensor) -> dict[str, ScheduleMetrics]:
    """The metrics of every schedule on the same crops [N, 3, T, H, W]."""
    whole = reconstruct(vae, crops, Whole())
    return {
        name: measure_schedule(reconstruct(vae, crops, schedule), whole, crops, window)
        for name, (schedule, window) in SCHEDULES.items()
    }


@torch.inference_mode()
def reconstruct(vae: VideoVAE, crops: Tensor, schedule: Schedule) -> Tensor:
    """Encode and decode every crop with a schedule."""
    return torch.cat(
        [vae.decode(vae.encode(crop, schedule).mode(), schedule) for crop in crops.split(1)]
    )


def measure_schedule(video: Tensor, whole: Tensor, crops: Tensor, window: int) -> ScheduleMetrics:
    """The metrics of one schedule; windows of `window` frames share one frame."""
    borders = range(window, crops.shape[2], window - 1)
    return ScheduleMetrics(
        float(psnr(quantize(video), crops).mean()),
        float((video - whole).abs().max()),
        *border_error(video, crops, borders),
    )


def tabulate_schedules(title: str, metrics: dict[str, ScheduleMetrics]) -> Table:
    """A row for each schedule."""
    whole = metrics["Whole()"].psnr
    rows = [(name, row.psnr, row.psnr - whole, *astuple(row)[1:]) for name, row in metrics.items()]
    header = (
        "schedule",
        "PSNR, dB",
        "against Whole, dB",
        "largest difference to Whole, of 2",
        "error at borders",
        "elsewhere",
        "ratio",
    )
    return Table(title, header, rows, digits=4)


def check_equal(model: str, name: str, metrics: dict[str, ScheduleMetrics]) -> Check:
    """Whether the result of a schedule equals that of the whole clip."""
    difference = metrics[name].difference
    return Check(
        f"{name} equals Whole() on {model}: the largest difference is {difference:.1e}",
        difference <= EQUAL,
    )


def check_cost(name: str, metrics: dict[str, ScheduleMetrics]) -> Check:
    """Whether windows lose little PSNR."""
    cost = metrics["Whole()"].psnr - metrics[name].psnr
    return Check(f"{name} costs at most {COST} dB of PSNR: {cost:.3f} dB", cost <= COST)
