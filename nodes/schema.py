"""What the schemas of the nodes share, spelled for every supported version of ComfyUI.

The words of a node, its name, description and tooltips, are those of locales/en/nodeDefs.json.
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
WORDS = Path(__file__).parents[1] / "locales" / "en" / "nodeDefs.json"


def make_schema(
    node_id: str, inputs: list[io.Input], outputs: list[io.Output], **more: Any
) -> io.Schema:
    """A schema with its words, and of `more` the fields that this ComfyUI knows: 0.3.64 and 0.8.0
    have no `search_aliases`."""
    words = read_words()[node_id]
    for given in inputs:
        spelled = words["inputs"][given.id]
        given.tooltip = spelled["tooltip"]
        if spelled["name"] != given.id:
            given.display_name = spelled["name"]
    for slot, given in enumerate(outputs):
        spelled = words["outputs"][str(slot)]
        given.display_name, given.tooltip = spelled["name"], spelled["tooltip"]
    known = io.Schema.__dataclass_fields__
    return io.Schema(
        node_id=node_id,
        display_name=words["display_name"],
        category=CATEGORY,
        description=words["description"],
        inputs=inputs,
        outputs=outputs,
        **{name: value for name, value in more.items() if name in known},
    )


@lru_cache
def read_words() -> dict[str, Any]:
    return json.loads(WORDS.read_text(encoding="utf-8"))


def advanced(widget: io.WidgetInput) -> io.WidgetInput:
    """Mark a rare option: versions before 0.33 have no keyword for it, and ignore the mark."""
    widget.extra_dict["advanced"] = True
    return widget


def check_choice(name: str, value: str, options: Iterable[str]) -> None:
    """Raise `ValueError` unless the value is one of the options: 0.3.64 leaves that to the node."""
    if value not in options:
        raise ValueError(
            f"got {name} {value!r}; it is one of {', '.join(options)}: choose one of these"
        )


def cut_inputs() -> list[io.Input]:
    """How a clip is cut in time and space: the same five words and units on every node."""
    return [
        io.Combo.Input("schedule", options=list(STRATEGIES), default="auto"),
        io.Int.Input("frames", default=0, min=0, max=4097),
        io.Int.Input("tile", default=0, min=0, max=8192, step=8),
        advanced(io.Int.Input("overlap", default=-8, min=-8, max=4096, step=8)),
    ]


def posterior_inputs() -> list[io.Input]:
    """How a latent is taken from what the encoder finds."""
    # Without the last argument the page would draw a new seed with every run.
    seed = io.Int.Input("seed", default=0, min=0, max=2**64 - 1, control_after_generate=False)
    return [
        io.Combo.Input("posterior", options=list(POSTERIORS), default="mean"),
        advanced(seed),
    ]
