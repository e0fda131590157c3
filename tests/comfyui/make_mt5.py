"""A small random mT5 with a tokenizer, and what transformers makes of texts with it.

python make_mt5.py FOLDER, with ComfyUI's interpreter, which has transformers and sentencepiece.
Writes mt5.safetensors (in the names of transformers, with a decoder), spiece.model, and
expected.safetensors with the tokens and features of every text.
"""

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

TEXTS = ("a cat sits on a red sofa.", "東京の夜", "a dog runs", "")
CORPUS = [*TEXTS, "the sun sets over the sea", "a red car drives through the night", "夜の海"]
SIZES = {
    "d_model": 32,
    "d_ff": 48,
    "d_kv": 8,
    "num_heads": 3,
    "num_layers": 2,
    "num_decoder_layers": 1,
}


def train_tokenizer(folder: Path):
    """A sentencepiece model with mT5's special tokens."""
    import sentencepiece

    texts = folder / "corpus.txt"
    texts.write_text("\n".join(CORPUS * 20), encoding="utf-8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(texts),
        model_prefix=str(folder / "spiece"),
        vocab_size=80,
        hard_vocab_limit=False,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        minloglevel=2,
    )
    return sentencepiece.SentencePieceProcessor(model_file=str(folder / "spiece.model"))


def main(folder: Path) -> None:
    """Write everything into the folder."""
    import transformers

    pieces = train_tokenizer(folder)
    torch.manual_seed(0)
    config = transformers.MT5Config(
        vocab_size=pieces.get_piece_size(), feed_forward_proj="gated-gelu", **SIZES
    )
    whole = transformers.MT5ForConditionalGeneration(config).eval()
    with torch.no_grad():
        for weight in whole.parameters():
            weight.add_(torch.randn_like(weight) * 0.1)
    weights = {key: weight.clone() for key, weight in whole.state_dict().items()}
    save_file(weights, folder / "mt5.safetensors")
    expected = {}
    for number, text in enumerate(TEXTS):
        tokens = torch.tensor([[*pieces.encode(text), config.eos_token_id]])
        with torch.inference_mode():
            features = whole.encoder(tokens).last_hidden_state
        expected |= {f"tokens{number}": tokens, f"features{number}": features}
    save_file(expected, folder / "expected.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
