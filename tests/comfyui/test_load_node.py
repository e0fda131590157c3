"""Load OD-VAE takes files that ComfyUI lists, describes them, and rejects others with a reason."""

import hashlib

import pytest
import torch
from safetensors.torch import save_file

from tests.comfyui.graph import Graph
from tests.comfyui.tensors import CLOSE, make_latent, to_image

pytestmark = pytest.mark.comfyui


def load(comfy, **inputs):
    graph = Graph()
    node = graph.add("ODVAELoad", **inputs)
    graph.add("TestDump", value=node[0], name="vae")
    dump = graph.add("TestDump", value=node[1], name="info")
    run = comfy.run(graph)
    return run, run.outputs.get(dump, {}).get("text", [""])[0]


def test_it_says_what_it_found(comfy, networks):
    run, info = load(comfy, checkpoint="clip.safetensors", dtype="bf16")
    assert run.status == "success", run.message
    file = comfy.base / "models/vae/clip.safetensors"
    count = sum(weight.numel() for weight in networks["clip.safetensors"].state_dict().values())
    for words in (
        "family odvae",
        hashlib.sha256(file.read_bytes()).hexdigest(),
        f"{count:,}",
        "4 channels, 4x8x8, scale 0.18215",
        "runs in bfloat16",
    ):
        assert words in info


def test_the_embedded_model_loads_without_a_file(comfy):
    run, info = load(comfy, checkpoint="default")
    assert run.status == "success", run.message
    assert "odvae-small" in info


def test_a_file_of_another_family_is_refused_with_what_to_do(comfy):
    tensors = {"decoder.conv_in.weight": torch.zeros(4, 4, 3, 3), "encoder.x": torch.zeros(1)}
    save_file(tensors, comfy.base / "models/vae/other.safetensors")
    run, _ = load(comfy, checkpoint="other.safetensors")
    assert run.status == "error"
    assert run.error["exception_type"].endswith("CheckpointError")
    assert "other.safetensors" in run.error["exception_message"]


def test_comfyui_can_load_the_vae_once_more_for_another_card(comfy, networks):
    graph = Graph()
    vae = graph.add("TestReload", vae=graph.add("ODVAELoad", checkpoint="clip.safetensors"))
    samples = graph.add("TestLatent", file=comfy.put(make_latent(2)))
    graph.add("TestDump", value=graph.add("VAEDecode", vae=vae, samples=samples), name="again")
    run = comfy.run(graph)
    assert run.status == "success", run.message
    expected = to_image(networks["clip.safetensors"].decode(make_latent(2)))
    torch.testing.assert_close(comfy.take("again"), expected, **CLOSE)


@pytest.mark.parametrize(
    "name", ["../vae/clip.safetensors", "/etc/passwd", "none.safetensors", "../../input/x.pt"]
)
def test_only_files_that_comfyui_lists_are_opened(comfy, name):
    run, _ = load(comfy, checkpoint=name)
    assert run.status in ("invalid", "error")
    words = ("doesn't list", "not in list")  # 0.3.64 leaves the check to the node
    assert any(word in run.message for word in words)


@pytest.mark.parametrize("inputs", [{"dtype": "fp8"}, {"latents_4d": "frames"}])
def test_an_option_that_does_not_exist_is_refused_in_words(comfy, inputs):
    run, _ = load(comfy, checkpoint="stream.safetensors", **inputs)
    assert run.status in ("invalid", "error")
    assert any(words in run.message for words in ("choose one of these", "not in list"))


def test_a_file_that_was_replaced_is_loaded_anew(comfy, networks):
    import odvae_core

    path = comfy.base / "models/vae/replaced.safetensors"
    odvae_core.save(networks["clip.safetensors"], path)
    _, first = load(comfy, checkpoint=path.name)
    odvae_core.save(networks["stream.safetensors"], path)
    _, second = load(comfy, checkpoint=path.name)
    assert first
    assert second
    assert first != second
