"""ComfyUI's own T5 for Mochi and PixArt, with the weights of a file and words that are numbers."""

from __future__ import annotations

from pathlib import Path

import comfy.sd
import comfy.text_encoders.genmo
import comfy.text_encoders.pixart_t5
import folder_paths
import safetensors.torch
import torch
from comfy import sd1_clip
from comfy.supported_models_base import ClipTarget
from comfy_api.latest import io

CONFIG = {
    "d_ff": 64,
    "d_kv": 8,
    "d_model": 32,
    "num_heads": 4,
    "num_layers": 3,
    "vocab_size": 97,
}
ENCODERS = {
    "mochi": comfy.text_encoders.genmo.MochiT5XXL,
    "pixart": comfy.text_encoders.pixart_t5.PixArtT5XXL,
}


class Numbers:
    """A tokenizer of numbers: "5 17" has the tokens 5 and 17, and 1 at the end."""

    @classmethod
    def from_pretrained(cls, path, **options):
        return cls()

    def __call__(self, text):
        return {"input_ids": [*map(int, text.split()), 1]}

    def get_vocab(self):
        return {str(i): i for i in range(CONFIG["vocab_size"])}


class NumberTokenizer(sd1_clip.SDTokenizer):
    def __init__(self, embedding_directory=None, tokenizer_data=None):
        super().__init__(
            pad_with_end=False,
            tokenizer_class=Numbers,
            has_start_token=False,
            pad_to_max_length=False,
            max_length=99999999,
            min_length=20,
        )


class NumberClipTokenizer(sd1_clip.SD1Tokenizer):
    def __init__(self, embedding_directory=None, tokenizer_data=None):
        super().__init__(clip_name="t5xxl", tokenizer=NumberTokenizer)


class TestSmallT5(io.ComfyNode):
    """A CLIP as Load CLIP makes it for a type, narrow."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TestSmallT5",
            category="test",
            inputs=[io.Combo.Input("kind", options=list(ENCODERS)), io.String.Input("file")],
            outputs=[io.Clip.Output()],
        )

    @classmethod
    def execute(cls, kind, file) -> io.NodeOutput:
        options = {"t5xxl_model_config": CONFIG, "dtype": torch.float32}
        target = ClipTarget(NumberClipTokenizer, ENCODERS[kind])
        clip = comfy.sd.CLIP(target, model_options=options)
        weights = safetensors.torch.load_file(Path(folder_paths.get_input_directory(), file))
        missing, unexpected = clip.load_sd(weights)
        assert not missing, missing
        assert set(unexpected) <= {"encoder.embed_tokens.weight"}, unexpected
        return io.NodeOutput(clip)
