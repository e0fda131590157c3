"""What every training run has: a folder with its log and its checkpoints, from which it resumes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import set_seed

from .agreement import agree_on_checkpoint
from .changes import check_same_run, list_changes, load_part, warn_of_changes
from .checkpoints import Checkpoints, Retention
from .config_sections import RunConfig
from .devices import Precision, make_accelerator
from .run_log import RunLog, check_trackers, publishable_config, start_trackers


class SavedRun(ABC):
    """The processes, the log and the checkpoints of a run; `config.run` are its settings."""

    def __init__(self, config: Any):
        settings: RunConfig = config.run
        check_trackers(settings.trackers)
        set_seed(settings.seed)
        self.config, self.step, self.skipped = config, 0, 0
        self.facts: dict[str, Any] = {}
        self.resumed_facts: dict[str, Any] = {}
        self.folder = Path(settings.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.accelerator = make_accelerator(settings)
        self.device = self.accelerator.device
        self.precision = Precision(settings.precision, self.device)
        self.checkpoints = Checkpoints(self.folder / "checkpoints", Retention(settings.keep))
        track = self.accelerator.log if settings.trackers else None
        self.run_log = RunLog(self.folder / "log.jsonl", self.is_main, track)

    @abstractmethod
    def list_parts(self) -> dict[str, Any]:
        """The objects whose state dicts make a checkpoint, by the name of their part."""

    @property
    def is_main(self) -> bool:
        """Whether this process writes the files."""
        return self.accelerator.is_main_process

    def any_process(self, flag: bool) -> bool:
        """Whether the flag is true in any process; the same result in all of them."""
        if self.accelerator.num_processes == 1:
            return flag
        return bool(self.accelerator.gather(torch.tensor([flag], device=self.device)).any())

    def log_start(self, facts: dict[str, Any]) -> None:
        """Log the start event, and what changed since the checkpoint that is resumed.

        `facts` and the number of processes go into checkpoints too.
        """
        self.facts = {**facts, "processes": self.accelerator.num_processes}
        if self.config.run.trackers:
            start_trackers(self.accelerator, self.folder.name, facts["config"])
        changed = list_changes(self.resumed_facts, self.facts) if self.resumed_facts else {}
        if self.is_main:
            warn_of_changes(changed)
        self.run_log.write("start", step=self.step, **self.facts, changed=changed)

    def count_facts(self) -> dict[str, Any]:
        """The values of a checkpoint that change with every step."""
        return {"skipped": self.skipped}

    def save(self, best: bool = False) -> bool:
        """Write a checkpoint, for which all processes wait; whether it is on the disk."""
        return self.any_process(self.is_main and self.write_checkpoint(best))

    def write_checkpoint(self, best: bool = False) -> bool:
        """Write a checkpoint in this process; whether it is on the disk."""
        facts = {**self.facts, **self.count_facts()}
        parts = {name: part.state_dict() for name, part in self.list_all_parts().items()}
        if self.checkpoints.save(self.step, parts, facts, best) is None:
            return False
        self.run_log.write("checkpoint", step=self.step, best=best)
        return True

    def list_all_parts(self) -> dict[str, Any]:
        """The parts, and the scaler of fp16."""
        scaler = self.precision.scaler
        return self.list_parts() | ({"scaler": scaler} if scaler.is_enabled() else {})

    def resume(self) -> dict[str, Any]:
        """Continue from process 0's newest complete checkpoint: its facts, none without one.

        Raises CheckpointError where it is of another network or missing in a process, and
        ConfigError where the configuration makes another run.
        """
        checkpoint = agree_on_checkpoint(self.checkpoints, self.is_main)
        if checkpoint is None:
            return {}
        facts = checkpoint.facts
        if "config" in facts:
            check_same_run(facts["config"], publishable_config(self.config))
        parts = self.list_all_parts()
        if "scaler" not in checkpoint.parts:  # the run was not in fp16 before
            parts.pop("scaler", None)
        for name, part in parts.items():
            load_part(checkpoint, name, part)
        self.step, self.skipped = checkpoint.step, facts["skipped"]
        self.resumed_facts = facts
        return facts
