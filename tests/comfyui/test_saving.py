"""ComfyUI's nodes that save keep the metadata that Load OD-VAE needs."""

from pathlib import Path

import pytest
import torch

import odvae_core
from tests.comfyui.graph import Graph
from tests.comfyui.tensors import CLOSE, make_latent, to_image

pytestmark = pytest.mark.comfyui
CHECKPOINTS = ("default", "stream.safetensors", "ivvae.safetensors")


def save(comfy, checkpoint, **inputs):
    """Save a VAE with one of ComfyUI's ways; returns the files that are new in output/vae."""
    folder, graph = comfy.base / "output/vae", Graph()
    before = set(folder.glob("*"))
    vae = graph.add("ODVAELoad", checkpoint=checkpoint, dtype="fp32")
    graph.add(inputs.pop("kind"), vae=vae, **inputs)
    run = comfy.run(graph)
    assert run.status == "success", run.message
    return sorted(set(folder.glob("*")) - before)


def check_same(file: Path, original):
    loaded = odvae_core.load(file)
    assert loaded.config == original.config
    assert loaded.provenance.assumptions == ()
    for key, value in loaded.state_dict().items():
        torch.testing.assert_close(value, original.state_dict()[key].float())


@pytest.mark.parametrize("checkpoint", CHECKPOINTS)
def test_save_vae_keeps_the_configuration(comfy, networks, checkpoint):
    original = networks.get(checkpoint) or odvae_core.load("default")
    prefix = f"vae/{Path(checkpoint).stem}"
    (file,) = save(comfy, checkpoint, kind="VAESave", filename_prefix=prefix)
    check_same(file, original)
    graph = Graph()
    vae = graph.add("ODVAELoad", checkpoint=file.name, dtype="fp32")
    samples = graph.add("TestLatent", file=comfy.put(make_latent(2)))
    if original.latent_channels == 4:
        graph.add("TestDump", value=graph.add("VAEDecode", vae=vae, samples=samples), name="again")
        assert comfy.run(graph).status == "success"
        expected = to_image(original.decode(make_latent(2)))
        torch.testing.assert_close(comfy.take("again"), expected, **CLOSE)


@pytest.mark.parametrize("model", ["SD15", "SD3", "SVD_img2vid"])
def test_save_checkpoint_keeps_the_configuration_under_its_prefix(comfy, networks, model):
    name = f"{model}.safetensors"
    kind = {"kind": "TestSaveCheckpoint", "model": model, "file": name}
    (file,) = save(comfy, "stream.safetensors", **kind)
    check_same(file, networks["stream.safetensors"])
