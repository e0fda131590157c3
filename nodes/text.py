"""Open-Sora-Plan Text: a prompt and a negative prompt -> two CONDITIONINGs."""

from __future__ import annotations

from typing import Any

import comfy.sd
from comfy.text_encoders.t5 import T5
from comfy_api.latest import io
from torch import nn

from ..odvae_core.diffusion.prompts import PIPELINES
from .schema import check_choice, make_schema

END, PAD = 1, 0
"""The end and padding tokens of T5 and mT5."""

CLEANING = ("as the authors", "no cleaning")
MASK_KEY = "attention_mask"
"""What ComfyUI's encoders add to a CONDITIONING; the rows are cut instead."""

Conditioning = list[list[Any]]


class TextEncode(io.ComfyNode):
    """CLIP, prompt and negative prompt -> CONDITIONINGs as the authors' pipelines make them."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return make_schema(
            "ODVAETextEncode",
            inputs=[
                io.Clip.Input("clip"),
                io.String.Input("prompt", multiline=True, dynamic_prompts=True),
                io.String.Input("negative", multiline=True, dynamic_prompts=True, default=""),
                io.Combo.Input("pipeline", options=list(PIPELINES), default=next(iter(PIPELINES))),
                io.Combo.Input("cleaning", options=list(CLEANING), default=CLEANING[0]),
            ],
            outputs=[io.Conditioning.Output(), io.Conditioning.Output()],
            search_aliases=["open-sora-plan prompt", "t5 text encode", "mt5 text encode"],
        )

    @classmethod
    def execute(
        cls, clip: comfy.sd.CLIP, prompt: str, negative: str, pipeline: str, cleaning: str
    ) -> io.NodeOutput:
        check_choice("pipeline", pipeline, PIPELINES)
        check_choice("cleaning", cleaning, CLEANING)
        text = PIPELINES[pipeline]
        texts = text.prepare(prompt, negative, clean=cleaning == CLEANING[0])
        encoder = TokenEncoder(clip)
        positive, other = (encoder.tokenize(given, text.max_tokens) for given in texts)
        rows = len(positive) if text.negative_rows_of_prompt else len(other)
        return io.NodeOutput(encoder.encode(positive, len(positive)), encoder.encode(other, rows))


class TokenEncoder:
    """The T5 or mT5 of a CLIP, without ComfyUI's weights in parentheses and its own lengths.

    Raises `ValueError` on a CLIP that is not one T5 or mT5.
    """

    def __init__(self, clip: comfy.sd.CLIP):
        self.clip, self.network = clip, find_t5(clip)
        self.name = clip.cond_stage_model.clip_name

    def tokenize(self, text: str, most: int) -> list[int]:
        """Tokens with the end token, truncated to `most`."""
        (pairs,) = self.clip.tokenize(text, disable_weights=True)[self.name]
        tokens = [token for token, _ in pairs]
        tokens = tokens[: tokens.index(END) + 1]
        return tokens if len(tokens) <= most else [*tokens[: most - 1], END]

    def encode(self, tokens: list[int], rows: int) -> Conditioning:
        """The features of the tokens, cut to so many rows, or with those of padding behind them."""
        padding = max(0, rows - len(tokens))
        if padding and not self.network.enable_attention_masks:
            raise ValueError(
                f"the negative prompt has {len(tokens)} tokens and the prompt {rows}, and this "
                "CLIP encodes padding without a mask: load the text encoder with ComfyUI's Load "
                "CLIP as type mochi, or choose a pipeline with the negative at its own length"
            )
        padded = tokens + [PAD] * padding
        pairs = {self.name: [[(token, 1.0) for token in padded]]}
        return [
            [features[:, :rows], {key: more[key] for key in more if key != MASK_KEY}]
            for features, more in self.clip.encode_from_tokens_scheduled(pairs)
        ]


def find_t5(clip: comfy.sd.CLIP) -> nn.Module:
    """The one text encoder of a CLIP. Raises `ValueError` unless it is a T5 or mT5."""
    model = clip.cond_stage_model
    network = getattr(model, getattr(model, "clip", ""), None)
    if network is None or not isinstance(network.transformer, T5):
        raise ValueError(
            f"got a CLIP of kind {type(model).__name__}; this node takes T5-XXL alone (v1.0, v1.1: "
            "ComfyUI's Load CLIP, type mochi) or mT5-XXL (v1.2: Load mT5)"
        )
    return network
