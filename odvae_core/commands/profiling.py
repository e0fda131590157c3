"""Time and peak memory of a command."""

import threading
import time
from collections.abc import Iterable, Iterator
from typing import Self, TypeVar

import psutil
import torch

T = TypeVar("T")
SAMPLING_SECONDS = 0.005  # between two measurements of a process's memory


class Stopwatch:
    """Measures the seconds that an iterable needs for its items, without those of its consumer."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def time_items(self, items: Iterable[T]) -> Iterator[T]:
        """The items, timed."""
        iterator = iter(items)
        while True:
            start = time.perf_counter()
            try:
                item = next(iterator)
            except StopIteration:
                return
            finally:
                self.seconds += time.perf_counter() - start
            yield item


class PeakMemory:
    """Context that measures `bytes`, the peak memory of a CUDA device or of this process (RSS)."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.bytes = 0
        self._ended = threading.Event()
        self._sampler = threading.Thread(target=self._sample_until_ended, daemon=True)

    def __enter__(self) -> Self:
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        else:
            self._sample()
            self._sampler.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.device.type == "cuda":
            self.bytes = torch.cuda.max_memory_allocated(self.device)
        else:
            self._sample()
            self._ended.set()
            self._sampler.join()

    def _sample_until_ended(self) -> None:
        while not self._ended.wait(SAMPLING_SECONDS):
            self._sample()

    def _sample(self) -> None:
        self.bytes = max(self.bytes, psutil.Process().memory_info().rss)
