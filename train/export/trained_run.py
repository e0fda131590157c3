"""A run's weights, their step, and the log's start event and evaluation of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import odvae_core
from odvae_core.vae import VideoVAE

from ..checkpoints import Checkpoints, Retention
from ..run_log import read_events


@dataclass(frozen=True)
class TrainedRun:
    """A run's VAE with its "ema" or "raw" `weights` of a step.

    `start` is the run's last start event. `evaluation` is that of these weights, None where they
    were not evaluated.
    """

    vae: VideoVAE
    weights: str
    step: int
    start: Mapping[str, Any]
    evaluation: Mapping[str, Any] | None

    @property
    def spread(self) -> tuple[list[float], list[float]]:
        """Mean and deviation of each latent channel. Raises ValueError if they were not logged."""
        if self.evaluation is None or "latent_mean" not in self.evaluation:
            raise ValueError(
                f"the log has no latent_mean and latent_std of these {self.weights} weights: "
                "evaluate the run once more, or export without --normalise"
            )
        return self.evaluation["latent_mean"], self.evaluation["latent_std"]


def load_trained(run: Path, weights: str) -> TrainedRun:
    """The averaged weights of the last evaluation ("ema"), or the newest checkpoint's own ("raw").

    Raises ValueError and OSError where the run has none.
    """
    events = read_events(run / "log.jsonl")
    start = find_start(events, run)
    vae, step = load_weights(run, weights)
    evaluation = find_evaluation(events, weights, step)
    if step is None:
        step = evaluation["step"] if evaluation else start["step"]
    return TrainedRun(vae, weights, step, start, evaluation)


def find_start(events: list[dict[str, Any]], run: Path) -> dict[str, Any]:
    """The last start of a run. Raises ValueError where its log has none."""
    starts = [event for event in events if event["event"] == "start"]
    if not starts:
        raise ValueError(f"{run / 'log.jsonl'} has no start event: give the run's own folder")
    return starts[-1]


def load_weights(run: Path, weights: str) -> tuple[VideoVAE, int | None]:
    """The VAE, and the step of its weights, None where the file has none.

    Raises ValueError where there is no checkpoint for raw weights.
    """
    vae = odvae_core.load(run / "ema.safetensors")
    if weights == "ema":
        step = vae.provenance.metadata.get("step")
        return vae, None if step is None else int(step)
    checkpoint = Checkpoints(run / "checkpoints", Retention()).load_newest()
    if checkpoint is None:
        raise ValueError(
            f"{run / 'checkpoints'} is empty: wait for a save, or export --weights ema"
        )
    state = checkpoint.load("objective")
    vae.load_state_dict({name: state[f"vae.{name}"] for name in vae.state_dict()})
    return vae, checkpoint.step


def find_evaluation(
    events: list[dict[str, Any]], weights: str, step: int | None
) -> dict[str, Any] | None:
    """The last evaluation of these weights, at this step unless it is None; None without one."""
    found = [
        event
        for event in events
        if event["event"] == "evaluation"
        and event.get("weights", "ema") == weights
        and step in (None, event["step"])
    ]
    return found[-1] if found else None
