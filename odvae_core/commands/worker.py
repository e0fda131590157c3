"""Which process of how many this one is: by its launcher's environment and by --shard."""

import os
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Worker:
    """One of `count` processes that share a job; `row` is its place among those of its machine.

    `launched`: a launcher started it beside others.
    """

    index: int
    count: int
    row: int = 0
    launched: bool = False

    @property
    def name(self) -> str:
        """`2of4` is the second of four."""
        return f"{self.index + 1}of{self.count}"

    def choose_device(self, name: str) -> str:
        """`auto` is a GPU of its own for each launched process of a machine that has GPUs."""
        if name == "auto" and self.launched and torch.cuda.is_available():
            return f"cuda:{self.row}"
        return name


def find_worker(shard: tuple[int, int]) -> Worker:
    """This process, by RANK, WORLD_SIZE and LOCAL_RANK, inside the `shard` (i, n) of the job.

    These variables are what torchrun and `accelerate launch` set. Raises `ValueError` where they
    contradict each other.
    """
    rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    row = os.environ.get("LOCAL_RANK")
    if not 0 <= rank < world:
        raise ValueError(
            f"got RANK {rank} and WORLD_SIZE {world} in the environment; ranks are 0 to "
            "WORLD_SIZE - 1: set both or neither"
        )
    index, count = shard
    return Worker((index - 1) * world + rank, count * world, int(row or 0), row is not None)
