"""Load mT5: a small random mT5 gives what transformers makes of the same file."""

import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.comfyui.graph import Graph
from tests.comfyui.make_mt5 import TEXTS
from tests.comfyui.server import find_python

pytestmark = pytest.mark.comfyui
SCRIPT = Path(__file__).with_name("make_mt5.py")
FILES = {"mt5/model.safetensors", "inside.safetensors", "encoder.bin"}


@pytest.fixture(scope="module")
def mt5(comfy):
    """transformers' features by text; its files lie in models/text_encoders."""
    folder = comfy.base / "mt5"
    folder.mkdir()
    subprocess.run([find_python(comfy.comfyui), SCRIPT, folder], check=True, capture_output=True)
    target = comfy.base / "models/text_encoders"
    (target / "mt5").mkdir(parents=True)
    shutil.copy(folder / "spiece.model", target / "mt5")
    shutil.copy(folder / "mt5.safetensors", target / "mt5/model.safetensors")
    tensors = load_file(folder / "mt5.safetensors")
    encoder = {k: v for k, v in tensors.items() if k.startswith(("encoder.", "shared."))}
    shutil.copy(folder / "spiece.model", target)
    torch.save(encoder, target / "encoder.bin")
    pieces = torch.frombuffer(bytearray((folder / "spiece.model").read_bytes()), dtype=torch.uint8)
    save_file(encoder | {"spiece_model": pieces}, target / "inside.safetensors")
    (target / "alone").mkdir()
    save_file(encoder, target / "alone/encoder.safetensors")
    save_file({"weight": torch.zeros(2)}, target / "mt5/other.safetensors")
    expected = load_file(folder / "expected.safetensors")
    return {text: expected[f"features{number}"] for number, text in enumerate(TEXTS)}


def encode(comfy, file, dtype="fp32", prompt=TEXTS[0], negative=""):
    graph = Graph()
    clip = graph.add("ODVAELoadMT5", text_encoder=file, dtype=dtype)
    given = {"prompt": prompt, "negative": negative, "pipeline": "v1.2", "cleaning": "no cleaning"}
    node = graph.add("ODVAETextEncode", clip=clip, **given)
    graph.add("TestDump", value=node[0], name="positive")
    graph.add("TestDump", value=node[1], name="negative")
    return comfy.run(graph)


@pytest.mark.parametrize("file", sorted(FILES))
def test_features_are_transformers_in_every_layout(comfy, mt5, file):
    for prompt, negative in (TEXTS[:2], TEXTS[2:]):
        run = encode(comfy, file, prompt=prompt, negative=negative)
        assert run.status == "success", run.message
        torch.testing.assert_close(comfy.take("positive"), mt5[prompt], atol=2e-5, rtol=0)
        torch.testing.assert_close(comfy.take("negative"), mt5[negative], atol=2e-5, rtol=0)


@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
def test_half_precision_weights_give_close_features(comfy, mt5, dtype):
    run = encode(comfy, "mt5/model.safetensors", dtype)
    assert run.status == "success", run.message
    error = (comfy.take("positive") - mt5[TEXTS[0]]).abs().max()
    assert 0 < error < 0.1


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("mt5/other.safetensors", "it is no mT5 in the names of transformers"),
        ("alone/encoder.safetensors", "there is no spiece.model beside it"),
    ],
)
def test_what_is_no_mt5_or_has_no_tokenizer_is_refused(comfy, mt5, file, words):
    assert words in encode(comfy, file).message
