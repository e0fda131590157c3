"""Load mT5: Open-Sora-Plan v1.2's text encoder as a CLIP, which ComfyUI has no loader for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import comfy.sd
import comfy.utils
import torch
from comfy import sd1_clip
from comfy.supported_models_base import ClipTarget
from comfy.text_encoders.spiece_tokenizer import SPieceTokenizer
from comfy.text_encoders.t5 import T5
from comfy_api.latest import io
from torch import Tensor

from ..odvae_core.files.tensorfile import CheckpointError, read_tensor_file
from .fingerprint import fingerprint_file
from .models import find_text_encoder, list_text_encoders
from .schema import check_choice, make_schema

NAME = "mt5"
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
TOKENIZER_KEY = "spiece_model"
TOKENIZER_FILE = "spiece.model"
ENCODER = ("encoder.", "shared.")
EMBEDDING_COPY = "encoder.embed_tokens.weight"
TOO_LONG = 99_999_999
"""ComfyUI's own sign for a tokenizer that doesn't split long texts."""

FIXED = {
    "dense_act_fn": "gelu_pytorch_tanh",
    "is_gated_act": True,
    "layer_norm_epsilon": 1e-6,
    "model_type": "mt5",
}
"""What all sizes of mT5 share; the rest of the configuration is in the shapes of the weights."""


class LoadMT5(io.ComfyNode):
    """A file of models/text_encoders with its sentencepiece tokenizer -> CLIP."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return make_schema(
            "ODVAELoadMT5",
            inputs=[
                io.Combo.Input("text_encoder", options=list_text_encoders()),
                io.Combo.Input("dtype", options=list(DTYPES), default="bf16"),
            ],
            outputs=[io.Clip.Output()],
            search_aliases=["mt5-xxl", "load clip mt5", "open-sora-plan text encoder"],
        )

    @classmethod
    def fingerprint_inputs(cls, text_encoder: str, **_: object) -> str:
        """Load the file again after it was replaced."""
        return f"{text_encoder} {fingerprint_file(find_text_encoder(text_encoder))}"

    @classmethod
    def execute(cls, text_encoder: str, dtype: str) -> io.NodeOutput:
        check_choice("dtype", dtype, DTYPES)
        return io.NodeOutput(load_mt5(find_text_encoder(text_encoder), DTYPES[dtype]))


class MT5Model(sd1_clip.SDClipModel):
    """ComfyUI's T5 with mT5's vocabulary; padding is masked."""

    def __init__(
        self,
        device: torch.device | str = "cpu",
        dtype: torch.dtype | None = None,
        model_options: Mapping[str, Any] | None = None,
    ):
        super().__init__(
            device=device,
            dtype=dtype,
            textmodel_json_config=dict(FIXED),
            special_tokens={"end": 1, "pad": 0},
            model_class=T5,
            enable_attention_masks=True,
            model_options=dict(model_options or {}),
        )


class MT5ClipModel(sd1_clip.SD1ClipModel):
    """What a CLIP holds: one `MT5Model`."""

    def __init__(
        self,
        device: torch.device | str = "cpu",
        dtype: torch.dtype | None = None,
        model_options: Mapping[str, Any] | None = None,
    ):
        options = dict(model_options or {})
        super().__init__(device, dtype, options, name=NAME, clip_model=MT5Model)


class MT5PieceTokenizer(sd1_clip.SDTokenizer):
    """sentencepiece with the end token and without padding."""

    def __init__(
        self, embedding_directory: Any = None, tokenizer_data: Mapping[str, Any] | None = None
    ):
        data = dict(tokenizer_data or {})
        super().__init__(
            data[TOKENIZER_KEY],
            pad_with_end=False,
            embedding_directory=embedding_directory,
            embedding_key=NAME,
            tokenizer_class=SPieceTokenizer,
            has_start_token=False,
            pad_to_max_length=False,
            max_length=TOO_LONG,
            min_length=1,
            pad_token=0,
            tokenizer_data=data,
        )

    def state_dict(self) -> dict[str, Tensor]:
        return {TOKENIZER_KEY: self.tokenizer.serialize_model()}


class MT5Tokenizer(sd1_clip.SD1Tokenizer):
    """What a CLIP holds: one `MT5PieceTokenizer`."""

    def __init__(
        self, embedding_directory: Any = None, tokenizer_data: Mapping[str, Any] | None = None
    ):
        data = dict(tokenizer_data or {})
        super().__init__(embedding_directory, data, name=NAME, tokenizer=MT5PieceTokenizer)


def load_mt5(path: Path, dtype: torch.dtype) -> comfy.sd.CLIP:
    """The encoder of an mT5 of any size; the decoder's weights are left in the file.

    Raises `CheckpointError` on a file of something else or without a tokenizer.
    """
    tensors = read_tensor_file(path).tensors
    tokenizer = read_tokenizer(path, tensors)
    weights = {
        key: tensor
        for key, tensor in tensors.items()
        if key.startswith(ENCODER) and key != EMBEDDING_COPY
    }
    options = {"dtype": dtype, f"{NAME}_model_config": infer_config(path, weights)}
    clip = comfy.sd.CLIP(
        ClipTarget(MT5Tokenizer, MT5ClipModel),
        tokenizer_data={TOKENIZER_KEY: tokenizer},
        parameters=sum(weight.numel() for weight in weights.values()),
        model_options=options,
    )
    converted = {key: weight.to(dtype) for key, weight in weights.items()}
    missing, unexpected = clip.load_sd(converted)
    if missing or unexpected:
        raise CheckpointError(
            f"{path.name} lacks {missing[:3]} and has {unexpected[:3]}: it is no encoder of mT5; "
            "give the file of google/mt5-xxl or its encoder"
        )
    return clip


def read_tokenizer(path: Path, tensors: Mapping[str, Tensor]) -> Tensor:
    """The sentencepiece model as bytes: from the file itself, or from spiece.model beside it."""
    if TOKENIZER_KEY in tensors:
        return tensors[TOKENIZER_KEY]
    beside = path.with_name(TOKENIZER_FILE)
    if not beside.is_file():
        raise CheckpointError(
            f"{path.name} holds no tokenizer, and there is no {TOKENIZER_FILE} beside it: put the "
            f"{TOKENIZER_FILE} that belongs to the model into the same folder"
        )
    return torch.frombuffer(bytearray(beside.read_bytes()), dtype=torch.uint8)


def infer_config(path: Path, weights: Mapping[str, Tensor]) -> dict[str, int | float | str | bool]:
    """The configuration of an mT5 from the shapes of its weights."""
    attention = "encoder.block.0.layer.0.SelfAttention."
    gate = "encoder.block.0.layer.1.DenseReluDense.wi_1.weight"
    needed = ["shared.weight", f"{attention}q.weight", gate]
    bias = f"{attention}relative_attention_bias.weight"
    if missing := [key for key in (*needed, bias) if key not in weights]:
        raise CheckpointError(
            f"{path.name} has no {missing[0]}: it is no mT5 in the names of transformers; give "
            "the file of google/mt5-xxl or its encoder"
        )
    vocabulary, width = weights["shared.weight"].shape
    inner, heads = weights[needed[1]].shape[0], weights[bias].shape[1]
    blocks = {key.split(".")[2] for key in weights if key.startswith("encoder.block.")}
    return {
        **FIXED,
        "vocab_size": vocabulary,
        "d_model": width,
        "d_ff": weights[gate].shape[0],
        "num_heads": heads,
        "d_kv": inner // heads,
        "num_layers": len(blocks),
    }
