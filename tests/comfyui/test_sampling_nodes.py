"""The sampler and the sigmas of Open-Sora-Plan's pipelines."""

import pytest
import torch

from tests.comfyui.diffusion_graph import SHAPE, SampledGraph, write_models

pytestmark = pytest.mark.comfyui


@pytest.fixture(scope="module", autouse=True)
def models(comfy):
    write_models(comfy)


def list_sigmas(comfy, **inputs):
    sampled = SampledGraph(comfy, "plain")
    sigmas = sampled.graph.add("ODVAESigmas", model=sampled.model, **inputs)
    sampled.graph.add("TestDump", value=sigmas, name="sigmas")
    run = comfy.run(sampled.graph)
    return run, comfy.take("sigmas") if run.status == "success" else None


def sigma_of(timesteps):
    kept = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64), 0)
    return ((1 - kept) / kept).sqrt()[timesteps].float()


def test_sigmas_are_those_of_leading_timesteps_and_0(comfy):
    _, sigmas = list_sigmas(comfy, steps=150, denoise=1.0)
    expected = sigma_of(torch.arange(149, -1, -1) * 6)
    torch.testing.assert_close(sigmas[:-1], expected, atol=0, rtol=1e-5)
    assert (len(sigmas), sigmas[-1]) == (151, 0)


def test_denoise_takes_the_last_steps_of_more(comfy):
    _, sigmas = list_sigmas(comfy, steps=5, denoise=0.5)
    expected = sigma_of(torch.tensor([400, 300, 200, 100, 0]))
    torch.testing.assert_close(sigmas[:-1], expected, atol=0, rtol=1e-5)


def test_more_steps_than_timesteps_are_refused(comfy):
    run, _ = list_sigmas(comfy, steps=600, denoise=0.5)
    assert "1200 steps in all; there are 1000 timesteps" in run.message


def sample_pndm(comfy, steps):
    sampled = SampledGraph(comfy, "plain")
    graph = sampled.graph
    positive, negative = sampled.add_conditions()
    node = graph.add(
        "SamplerCustom",
        model=sampled.model,
        add_noise=True,
        noise_seed=1,
        cfg=1.0,
        positive=positive,
        negative=negative,
        sampler=graph.add("ODVAESampler"),
        sigmas=graph.add("ODVAESigmas", model=sampled.model, steps=steps, denoise=1.0),
        latent_image=graph.add("TestLatent", file=comfy.put(torch.zeros(SHAPE))),
    )
    graph.add("TestDump", value=node, name="pndm")
    return node, comfy.run(graph)


def test_pndm_reports_each_step(comfy):
    node, run = sample_pndm(comfy, 8)
    assert run.status == "success", run.message
    assert run.progress_of(node)[-1] == (8, 8)
    assert comfy.take("pndm").isfinite().all()


def test_pndm_of_too_few_steps_is_refused(comfy):
    assert "got 3 steps; give 4 to 1000" in sample_pndm(comfy, 3)[1].message


def test_a_model_of_another_loader_is_refused(workflow_server):
    sampled = SampledGraph(workflow_server, "plain")
    del sampled.graph["1"]
    model = sampled.graph.add(
        "CheckpointLoaderSimple", ckpt_name="v1-5-pruned-emaonly-fp16.safetensors"
    )
    sigmas = sampled.graph.add("ODVAESigmas", model=model, steps=4, denoise=1.0)
    sampled.graph.add("TestDump", value=sigmas, name="sigmas")
    assert "use ComfyUI's BasicScheduler" in workflow_server.run(sampled.graph).message
