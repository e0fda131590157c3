"""Time and peak memory of a command."""

import time

import torch

from odvae_core.commands import profiling


def test_peak_memory_is_that_of_the_moment_not_of_the_end():
    with profiling.PeakMemory(torch.device("cpu")) as memory:
        before = memory.bytes
        large = torch.ones(2**26)
        time.sleep(20 * profiling.SAMPLING_SECONDS)
        del large
    assert memory.bytes - before > 2**27


def test_the_stopwatch_counts_the_maker_of_items_not_their_user():
    def make():
        time.sleep(0.1)
        yield 1

    stopwatch = profiling.Stopwatch()
    for _ in stopwatch.time_items(make()):
        time.sleep(0.3)
    assert 0.1 <= stopwatch.seconds < 0.3
