"""`python -m train.export RUN FILE`: a run's averaged weights as the file that ships.

16 bits, with the network's configuration and the run's in the metadata.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

import odvae_core


def read_events(log: Path) -> list[dict]:
    """The lines of a run's log."""
    return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]


def summarise(events: list[dict]) -> dict[str, str]:
    """What the metadata say of a run: configuration, commit, and the last evaluation."""
    start = next(event for event in reversed(events) if event["event"] == "start")
    measured = [event for event in events if event["event"] == "evaluation"]
    return {
        "training": json.dumps(start["config"]),
        "training_commit": start["commit"],
        "training_steps": str(measured[-1]["step"]),
        "held_out_psnr": f"{measured[-1]['psnr']:.2f}",
    }


def export(run: Path, file: Path, **metadata: str) -> None:
    """Write RUN's `ema.safetensors` in float16, described by its log and by `metadata`."""
    vae = odvae_core.load(run / "ema.safetensors")
    facts = summarise(read_events(run / "log.jsonl"))
    odvae_core.save(vae, file, dtype=torch.float16, **facts, **metadata)


def main() -> None:
    """Read the command line and export."""
    parser = argparse.ArgumentParser(prog="python -m train.export", description=__doc__)
    parser.add_argument("run", type=Path, help="the run's folder")
    parser.add_argument("file", type=Path, help="the safetensors file to write")
    parser.add_argument("--title", required=True, help="one sentence: what this model is")
    parser.add_argument("--data", required=True, help="one sentence: what it was trained on")
    arguments = parser.parse_args()
    export(arguments.run, arguments.file, title=arguments.title, data=arguments.data)


if __name__ == "__main__":
    main()
