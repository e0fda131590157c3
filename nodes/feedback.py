"""What a running node shows, a progress bar and a line of text on the node and in the log, and how
it stops when the user cancels."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import comfy.model_management as mm
import comfy.utils
from server import PromptServer
from torch.overrides import TorchFunctionMode

log = logging.getLogger(__name__)


class CancelCheck(TorchFunctionMode):
    """Within it, every PyTorch operation of this thread starts with a check whether the user has
    cancelled, and then raises ComfyUI's interrupt.

    A cancel is thus delayed by one operation at most. Modules keep no hooks. The interrupt is no
    `Exception` in newer versions of ComfyUI: nothing here catches it.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        mm.throw_exception_if_processing_interrupted()
        return func(*args, **(kwargs or {}))


class Progress:
    """Moves the running node's bar over `parts` equal parts.

    Called with the steps done and the steps in all of the part in hand; `total` stands in where the
    core doesn't know these.
    """

    def __init__(self, parts: int = 1, total: int | None = None):
        self.bar = comfy.utils.ProgressBar(1)
        self.part, self.parts, self.total = 0, parts, total

    def __call__(self, done: int, total: int | None) -> None:
        total = total or max(self.total or 0, done + 1)
        self.bar.update_absolute(self.part * total + done, self.parts * total)

    def begin(self, part: int) -> None:
        self.part = part


def tell(node_id: str | None, text: str) -> None:
    """Show a text on the node, and log it."""
    log.info(text)
    show(node_id, text)


def warn(node_id: str | None, text: str) -> None:
    """Show a warning on the node, and log it."""
    log.warning(text)
    show(node_id, text)


def show(node_id: str | None, text: str) -> None:
    if node_id is not None:
        PromptServer.instance.send_progress_text(text, node_id)
