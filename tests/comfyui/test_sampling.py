"""Sampling in ComfyUI equals the recorded runs of the authors' pipelines."""

import pytest
import torch

from odvae_core import diffusion
from tests.comfyui.graph import Graph
from tests.diffusion.vectors import FOLDER, build_case, read_case

pytestmark = [
    pytest.mark.comfyui,
    pytest.mark.skipif(not FOLDER.exists(), reason="the vectors are not beside the checkout"),
]
SCALE = 0.18215
TIGHT, LOOSE = 2e-5, 1e-4


@pytest.fixture(scope="module")
def sample(comfy):
    """Run a recorded case in ComfyUI; the error relative to the largest value, and the result."""

    def run(name, make_sampler, make_sigmas, scaled=False, cfg=7.5):
        case, tensors = read_case(name)
        file = f"{name}.safetensors"
        diffusion.save(build_case(case), comfy.base / "models/diffusion_models" / file)
        graph = Graph()
        model = graph.add("ODVAELoadDiffusionModel", model=file, preset="auto", dtype="fp32")
        noise, expected = read_start(tensors, scaled)
        positive, negative = add_conditions(comfy, graph, model, tensors)
        guider = graph.add("CFGGuider", model=model, positive=positive, negative=negative, cfg=cfg)
        out = graph.add(
            "SamplerCustomAdvanced",
            noise=graph.add("TestNoise", file=comfy.put(noise)),
            guider=guider,
            sampler=make_sampler(graph, tensors),
            sigmas=make_sigmas(graph, model),
            latent_image=graph.add("TestLatent", file=comfy.put(torch.zeros_like(noise))),
        )
        graph.add("TestDump", value=out, name=name)
        ended = comfy.run(graph)
        assert ended.status == "success", ended.message
        result = comfy.take(name) * SCALE
        return (result - expected).abs().max().item() / expected.abs().max().item()

    return run


def read_start(tensors, scaled):
    """The start noise [B, C, T, h, w] and the recorded end; ComfyUI multiplies by the sigma."""
    noise = tensors["noise"] if "noise" in tensors else tensors["z"].transpose(1, 2)
    expected = tensors["out"] if "noise" in tensors else tensors["out"].transpose(1, 2)
    if scaled:
        betas = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
        kept = torch.cumprod(1 - betas, 0)[scaled]
        sigma = ((1 - kept) / kept).sqrt()
        noise = noise * ((1 + sigma**2).sqrt() / sigma).float()
    return noise, expected


def add_conditions(comfy, graph, model, tensors):
    if "noise" not in tensors:
        node = graph.add("ODVAELatteClass", model=model, label=0)
        return node[0], node[1]
    names = ("positive", "negative") if "positive" in tensors else ("fed_positive", "fed_negative")
    nodes = []
    for name in names:
        mask = tensors.get(f"{name}_mask")
        rows = tensors[name].shape[1] if mask is None else int(mask.sum())
        features = tensors[name][:, :rows].contiguous()
        nodes.append(graph.add("TestConditioning", file=comfy.put(features)))
    return nodes


def use(kind):
    return lambda graph, _: graph.add("KSamplerSelect", sampler_name=kind)


def use_pndm(graph, _):
    return graph.add("ODVAESampler")


def use_leading(graph, model):
    return graph.add("ODVAESigmas", model=model, steps=4, denoise=1.0)


def use_normal(graph, model):
    inputs = {"scheduler": "normal", "steps": 4, "denoise": 1.0}
    return graph.add("BasicScheduler", model=model, **inputs)


@pytest.mark.parametrize(
    "name", ["lt110_sample_ddim4", "lt110_sample_ddim4_prompt", "os120_sample_ddim4"]
)
def test_ddim_is_euler_on_leading_sigmas(sample, name):
    assert sample(name, use("euler"), use_leading, scaled=750) < TIGHT


def test_pndm_equals_the_pipeline_s(sample):
    assert sample("lt110_sample_pndm4", use_pndm, use_leading, scaled=750) < TIGHT


def test_euler_equals_the_pipeline_s_with_the_core_s_scheduler(sample):
    assert sample("lt110_sample_euler4", use("euler"), use_normal) < LOOSE


def test_euler_ancestral_equals_the_pipeline_s_with_its_noise(sample, comfy):
    def use_ancestral(graph, tensors):
        noise = torch.stack([tensors[f"step_noise_{step}"] for step in range(4)])
        return graph.add("TestAncestralSampler", file=comfy.put(noise))

    assert sample("os120_sample_eulera4", use_ancestral, use_normal) < LOOSE


def test_an_unconditional_latte_equals_its_authors_ddim(sample):
    assert sample("latte_sample_ddim4_uncond", use("euler"), use_normal, cfg=1.0) < LOOSE


def test_a_defect_of_the_pipeline_is_not_imitated(sample):
    assert sample("lt110_sample_ddim4_clip", use("euler"), use_leading, scaled=750) > 0.1
