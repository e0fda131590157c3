"""Open-Sora-Plan Text: rows of features as the authors' pipelines feed them."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.comfyui.graph import Graph
from tests.golden import make_weights, read_case

pytestmark = pytest.mark.comfyui
CASE = "t5_encoder_tiny"
CLOSE = {"atol": 2e-5, "rtol": 0}


@pytest.fixture(scope="module")
def recorded(comfy):
    """The recorded T5: the file of its weights in ComfyUI's input folder, prompt and features."""
    case, tensors = read_case(CASE)
    save_file(make_weights(case), comfy.base / "input" / "t5.safetensors")
    tokens = tensors["ids"][0][tensors["mask"][0] == 1].int().tolist()
    return " ".join(map(str, tokens[:-1])), tensors["out"]


def encode(comfy, kind="mochi", **inputs):
    """Run the node on a T5 of this kind; its two outputs are in the files positive and negative."""
    graph = Graph()
    clip = graph.add("TestSmallT5", kind=kind, file="t5.safetensors")
    given = {"negative": "", "pipeline": "v1.1", "cleaning": "no cleaning"} | inputs
    node = graph.add("ODVAETextEncode", clip=clip, **given)
    graph.add("TestDump", value=node[0], name="positive")
    graph.add("TestDump", value=node[1], name="negative")
    return comfy.run(graph)


def take(comfy):
    return comfy.take("positive"), comfy.take("negative")


@pytest.mark.parametrize("cleaning", ["as the authors", "no cleaning"])
def test_v1_1_cuts_the_negative_to_the_prompt_s_rows_with_features_of_padding(
    comfy, recorded, cleaning
):
    prompt, out = recorded
    run = encode(comfy, prompt=prompt, cleaning=cleaning)
    assert run.status == "success", run.message
    positive, negative = take(comfy)
    torch.testing.assert_close(positive, out[:1, :7], **CLOSE)
    torch.testing.assert_close(negative, out[1:, :7], **CLOSE)
    run = encode(comfy, prompt="", negative=prompt)
    assert run.status == "success", run.message
    positive, negative = take(comfy)
    torch.testing.assert_close(positive, out[1:, :1], **CLOSE)
    torch.testing.assert_close(negative, out[:1, :1], **CLOSE)


@pytest.mark.parametrize("kind", ["mochi", "pixart"])
@pytest.mark.parametrize("pipeline", ["v1.1, negative at its own length", "v1.2"])
def test_at_its_own_length_the_negative_has_its_own_tokens(comfy, recorded, pipeline, kind):
    prompt, out = recorded
    run = encode(comfy, kind, prompt=prompt, pipeline=pipeline)
    assert run.status == "success", run.message
    positive, negative = take(comfy)
    torch.testing.assert_close(positive, out[:1, :7], **CLOSE)
    torch.testing.assert_close(negative, out[1:, :1], **CLOSE)


def test_an_encoder_without_masks_is_refused_where_padding_is_needed(comfy, recorded):
    run = encode(comfy, "pixart", prompt=recorded[0])
    assert "load the text encoder with ComfyUI's Load CLIP as type mochi" in run.message


@pytest.mark.parametrize(("pipeline", "most"), [("v1.1", 300), ("v1.2", 512)])
def test_a_long_prompt_is_truncated_and_ends_with_the_end_token(comfy, recorded, pipeline, most):
    words = " ".join(str(2 + i % 90) for i in range(600))
    encode(comfy, prompt=words, pipeline=pipeline)
    whole = comfy.take("positive")
    assert whole.shape == (1, most, 32)
    encode(comfy, prompt=" ".join(words.split()[: most - 1]), pipeline=pipeline)
    assert torch.equal(comfy.take("positive"), whole)


def test_parentheses_carry_no_weight(comfy, recorded):
    prompt, out = recorded
    first, rest = prompt.split(maxsplit=1)
    run = encode(comfy, prompt=f"({first}) ({rest})", cleaning="as the authors")
    assert run.status == "success", run.message
    torch.testing.assert_close(comfy.take("positive"), out[:1, :7], **CLOSE)
    run = encode(comfy, prompt=f"({first}:1.5) {rest}")
    assert "invalid literal for int()" in run.message  # the tokenizer read the parenthesis


def test_another_clip_is_refused(workflow_server):
    graph = Graph()
    name = "v1-5-pruned-emaonly-fp16.safetensors"
    clip = graph.add("CheckpointLoaderSimple", ckpt_name=name)[1]
    inputs = {"negative": "", "pipeline": "v1.1", "cleaning": "no cleaning"}
    node = graph.add("ODVAETextEncode", clip=clip, prompt="a cat", **inputs)
    graph.add("TestDump", value=node, name="positive")
    assert "this node takes T5-XXL alone" in workflow_server.run(graph).message


def test_the_features_carry_no_mask(comfy, recorded):
    run = encode(comfy, prompt=recorded[0])
    texts = [Path(text["text"][0]) for text in run.outputs.values()]
    assert not any("attention_mask" in str(text) for text in texts)
