"""Inputs and helpers shared by the nodes' schemas, for every supported version of ComfyUI.

A node's name, description and tooltips come from locales/en/nodeDefs.json.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

from comfy_api.latest import io

from ..odvae_core.constants import STRATEGIES

CATEGORY = "OD-VAE"
POSTERIORS = ("mean", "sample")
LOCALE = Path(__file__).parents[1] / "locales" / "en" / "nodeDefs.json"


def make_schema(
    node_id: str, inputs: list[io.Input], outputs: list[io.Output], **more: Any
) -> io.Schema:
    """A schema with its texts, and those fields of `more` that the installed ComfyUI has.

    ComfyUI 0.3.64 and 0.8.0 have no `search_aliases`.
    """
    texts = read_locale()[node_id]
    for node_input in inputs:
        text = texts["inputs"][node_input.id]
        node_input.tooltip = text["tooltip"]
        if text["name"] != node_input.id:
            node_input.display_name = text["name"]
    for slot, output in enumerate(outputs):
        text = texts["outputs"][str(slot)]
        output.display_name, output.tooltip = text["name"], text["tooltip"]
    known = io.Schema.__dataclass_fields__
    return io.Schema(
        node_id=node_id,
        display_name=texts["display_name"],
        category=CATEGORY,
        description=texts["description"],
        inputs=inputs,
        outputs=outputs,
        **{name: value for name, value in more.items() if name in known},
    )


@lru_cache
def read_locale() -> dict[str, Any]:
    """The English texts of all nodes, by node id."""
    return json.loads(LOCALE.read_text(encoding="utf-8"))


def advanced(widget: io.WidgetInput) -> io.WidgetInput:
    """Mark an input as advanced; ComfyUI before 0.33 has no such keyword and ignores the mark."""
    widget.extra_dict["advanced"] = True
    return widget


def check_choice(name: str, value: str, options: Iterable[str]) -> None:
    """Raise `ValueError` unless the value is one of the options; ComfyUI 0.3.64 doesn't check."""
    if value not in options:
        raise ValueError(
            f"got {name} {value!r}; it is one of {', '.join(options)}: choose one of these"
        )


def schedule_inputs() -> list[io.Input]:
    """The inputs that select schedule and tiles, with the same names and units on every node."""
    return [
        io.Combo.Input("schedule", options=list(STRATEGIES), default="auto"),
        io.Int.Input("frames", default=0, min=0, max=4097),
        io.Int.Input("tile", default=0, min=0, max=8192, step=8),
        advanced(io.Int.Input("overlap", default=-8, min=-8, max=4096, step=8)),
    ]


def posterior_inputs() -> list[io.Input]:
    """The inputs that select the posterior's mean or a sample."""
    # Without the last argument ComfyUI's page would change the seed after every run.
    seed = io.Int.Input("seed", default=0, min=0, max=2**64 - 1, control_after_generate=False)
    return [
        io.Combo.Input("posterior", options=list(POSTERIORS), default="mean"),
        advanced(seed),
    ]
