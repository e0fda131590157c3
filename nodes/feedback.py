"""What a running node tells: a bar that moves, a line of text on the node and in the log, and it
hears a cancel."""

from __future__ import annotations

import logging

import comfy.model_management as mm
import comfy.utils
from server import PromptServer

log = logging.getLogger(__name__)


class Progress:
    """Moves the running node's bar over `parts` equal parts and raises where the user cancels.

    Called with the steps done and the steps in all of the part in hand; `total` stands in where the
    core doesn't know these. ComfyUI's interrupt is no `Exception` in its newer versions: nothing
    here catches it.
    """

    def __init__(self, parts: int = 1, total: int | None = None):
        self.bar = comfy.utils.ProgressBar(1)
        self.part, self.parts, self.total = 0, parts, total

    def __call__(self, done: int, total: int | None) -> None:
        mm.throw_exception_if_processing_interrupted()
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
