"""What a command measures while it works: time, peak memory, and how near a reconstruction is."""

import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Self, TypeVar

import psutil
import torch
from torch import Tensor

from ..metrics import flicker, psnr, quantize, ssim
from ..metrics.fidelity import WINDOW

T = TypeVar("T")
SAMPLING = 0.005  # seconds between two looks at a process's memory


class Stopwatch:
    """Seconds spent waiting for the items of an iterable, not those spent on using them."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def over(self, items: Iterable[T]) -> Iterator[T]:
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
    """The most memory inside the `with`: `bytes` of a CUDA device, else this process's resident."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.bytes = 0
        self._ended = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        else:
            self._look()
            self._watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.device.type == "cuda":
            self.bytes = torch.cuda.max_memory_allocated(self.device)
        else:
            self._look()
            self._ended.set()
            self._watcher.join()

    def _watch(self) -> None:
        while not self._ended.wait(SAMPLING):
            self._look()

    def _look(self) -> None:
        self.bytes = max(self.bytes, psutil.Process().memory_info().rss)


class Scores:
    """PSNR and SSIM of frames, and flicker between them, gathered piece by piece."""

    def __init__(self) -> None:
        self._values: defaultdict[str, list[Tensor]] = defaultdict(list)

    def add(self, video: Tensor, reconstruction: Tensor) -> None:
        """Compare frames [B, 3, T, H, W] in [-1, 1]; the reconstruction is rounded to 8 bits first.

        Frames smaller than SSIM's window have none, and one frame alone can't flicker.
        """
        rounded = quantize(reconstruction)
        self._values["psnr"].append(psnr(rounded, video).flatten())
        if min(video.shape[-2:]) >= WINDOW:
            self._values["ssim"].append(ssim(rounded, video).flatten())
        if video.shape[2] > 1:
            self._values["flicker"].append(flicker(rounded, video).flatten())

    def means(self) -> dict[str, float]:
        """The mean of every measure over all that was added."""
        return {name: float(torch.cat(values).mean()) for name, values in self._values.items()}
