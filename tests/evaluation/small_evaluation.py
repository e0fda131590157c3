"""A small evaluation: three clips, one of them too short, and quick candidates."""

from pathlib import Path

import torch

from odvae_core.evaluation import (
    Candidate,
    Journal,
    MetricNetworks,
    Protocol,
    evaluate,
    list_videos,
    make_header,
    summarise,
)
from tests.media import draw_noise, draw_numbers, make_clip

PROTOCOL = Protocol(frames=5, size=16, pieces=2)
LEVEL = 1 / 127.5
"""One of 255 levels of grey."""


def write_clips(folder: Path) -> Path:
    """a.mkv and b.mkv of 11 frames of 32x48, and short.mkv of 3."""
    folder.mkdir(exist_ok=True)
    for name, pictures in (
        ("a.mkv", draw_noise(11)),
        ("b.mkv", draw_numbers(11)),
        ("short.mkv", draw_numbers(3)),
    ):
        make_clip(folder / name, pictures, codec="ffv1")
    return folder


def brighten(name: str, levels: float) -> Candidate:
    """A candidate that brightens every frame by this number of levels, clamped to 255."""
    return Candidate(name, lambda video: video + levels * LEVEL, {"parameters": 0, "vcpr": 1.0})


def make_networks() -> MetricNetworks:
    """Networks without weights: the mean difference, and the mean colours."""
    return MetricNetworks(
        {"lpips_alex": lambda video, reference: (video - reference).mean(dim=(1, 3, 4))},
        {
            "i3d": lambda video: video.mean(dim=(2, 3, 4)),
            "c3d": lambda video: video[:, 0, 0, 0, :4],
        },
        {"lpips_alex": "a" * 64, "i3d": "b" * 64, "c3d": "c" * 64},
    )


def run(
    folder: Path,
    candidates: list[Candidate],
    path: Path | None = None,
    networks: MetricNetworks | None = None,
    share: slice = slice(None),
    protocol: Protocol = PROTOCOL,
) -> dict:
    """Evaluate a folder's clips, or a share of them; the summary."""
    clips = list_videos([folder])
    journal = Journal(make_header(protocol, candidates, networks or MetricNetworks(), clips), path)
    evaluate(list(clips.items())[share], candidates, protocol, journal, networks)
    return summarise(journal)


def without_times(summary: dict) -> dict:
    """The summary without the measured times, which differ between runs."""
    timed = ("frames_per_second", "speed_ratio")
    rows = [
        {name: value for name, value in row.items() if name not in timed}
        for row in summary["contenders"]
    ]
    return {**summary, "contenders": rows}


def is_noise(video: torch.Tensor) -> bool:
    """Whether the frames are those of a.mkv: those of b.mkv are of one colour."""
    return bool(video.std(dim=(3, 4)).mean() > 0.1)


def break_on_noise(video: torch.Tensor) -> torch.Tensor:
    """A candidate's failure, with noise only."""
    return torch.full_like(video, torch.nan) if is_noise(video) else video
