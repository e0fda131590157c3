"""Progress bar, status text and cancelling of a running node."""

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
    """Context in which every PyTorch operation of this thread raises ComfyUI's interrupt once the
    user has cancelled.

    A cancel takes effect before the next operation, and no hooks stay on modules. In newer versions
    of ComfyUI the interrupt is not an `Exception`; nothing here catches it.
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
    """Updates the running node's progress bar over `parts` equal parts.

    Call it with the finished steps and the total steps of the current part. `total` is used where
    the caller passes None as total.
    """

    def __init__(self, parts: int = 1, total: int | None = None):
        self.bar = comfy.utils.ProgressBar(1)
        self.part, self.parts, self.total = 0, parts, total

    def __call__(self, done: int, total: int | None) -> None:
        total = total or max(self.total or 0, done + 1)
        self.bar.update_absolute(self.part * total + done, self.parts * total)

    def start_part(self, part: int) -> None:
        """Set the index of the current part."""
        self.part = part


def report_on_node(node_id: str | None, text: str) -> None:
    """Show a text on the node and log it."""
    log.info(text)
    show_on_node(node_id, text)


def warn_on_node(node_id: str | None, text: str) -> None:
    """Show a warning on the node and log it."""
    log.warning(text)
    show_on_node(node_id, text)


def show_on_node(node_id: str | None, text: str) -> None:
    """Show a text on the node, if ComfyUI passed its id."""
    if node_id is not None:
        PromptServer.instance.send_progress_text(text, node_id)
