"""Averages of gradients over processes, and equal weights in all of them.

All processes run the same graph, since a step's batches have one shape. So a weight without a
gradient in one process has none in any, and needs no exchange.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor, nn

BUCKET = 8 * 2**20
"""Values that are exchanged at once: few messages, but the first is sent early."""


def count_processes() -> int:
    """The number of processes that train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def mean_over_processes(value: Tensor) -> Tensor:
    """The mean of each process's tensor, the same in all of them; `value` is overwritten."""
    if count_processes() > 1:
        dist.all_reduce(value)
    return value / count_processes()


@torch.no_grad()
def copy_from_first_process(module: nn.Module) -> None:
    """Give the module of every process the weights and buffers of process 0."""
    if count_processes() > 1:
        for value in (*module.parameters(), *module.buffers()):
            dist.broadcast(value, 0)


class GradientMean:
    """The mean over all processes of the gradients of a module's trained weights.

    The exchange runs during the backward pass: a bucket of weights is sent when it is complete and
    the buckets before it were sent, which is the same order in all processes. `close` removes the
    hooks, for example before other weights are frozen.
    """

    def __init__(self, weights: Iterable[nn.Parameter]):
        self.processes, self.active = count_processes(), False
        trained = [weight for weight in weights if weight.requires_grad]
        self.buckets = make_buckets(trained[::-1]) if self.processes > 1 else []
        self.number = {weight: i for i, bucket in enumerate(self.buckets) for weight in bucket}
        self.hooks = [w.register_post_accumulate_grad_hook(self.receive) for w in self.number]

    @contextmanager
    def exchanged(self) -> Iterator[None]:
        """Average the accumulated gradients; there is one backward pass inside the context."""
        self.active, self.sent = True, []
        self.missing = [len(bucket) for bucket in self.buckets]
        yield
        self.active = False
        while len(self.sent) < len(self.buckets):  # weights that this graph doesn't use
            self.send_next()
        for gradients, joined, work in self.sent:
            if work is not None:
                work.wait()
                parts = (joined / self.processes).split([g.numel() for g in gradients])
                views = [part.view_as(g) for part, g in zip(parts, gradients, strict=True)]
                torch._foreach_copy_(gradients, views)

    def receive(self, weight: Tensor) -> None:
        """Count a weight's gradient, and send the buckets that are complete."""
        if not self.active:
            return
        self.missing[self.number[weight]] -= 1  # pyright: ignore
        while len(self.sent) < len(self.buckets) and self.missing[len(self.sent)] == 0:
            self.send_next()

    def send_next(self) -> None:
        """Start the exchange of the next bucket."""
        bucket = self.buckets[len(self.sent)]
        gradients = [weight.grad for weight in bucket if weight.grad is not None]
        joined = torch.cat([g.flatten() for g in gradients]) if gradients else torch.empty(0)
        work = dist.all_reduce(joined, async_op=True) if gradients else None
        self.sent.append((gradients, joined, work))

    def close(self) -> None:
        """Remove the hooks."""
        for hook in self.hooks:
            hook.remove()


def make_buckets(weights: list[nn.Parameter]) -> list[list[nn.Parameter]]:
    """The weights in order, in groups of at most BUCKET values, or of one weight."""
    buckets, size = [[]], 0
    for weight in weights:
        if buckets[-1] and size + weight.numel() > BUCKET:
            buckets.append([])
            size = 0
        buckets[-1].append(weight)
        size += weight.numel()
    return buckets
