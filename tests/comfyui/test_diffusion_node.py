"""Load Open-Sora-Plan / Latte Model: a MODEL that ComfyUI's own samplers run."""

import json
import threading

import pytest
import torch
from safetensors import safe_open

from odvae_core import diffusion
from odvae_core.preview import Preview, write_preview
from tests.comfyui.diffusion_graph import (
    CONFIGS,
    FOLDER,
    SHAPE,
    SampledGraph,
    make_network,
    make_texts,
    write_models,
)
from tests.comfyui.graph import Graph

pytestmark = pytest.mark.comfyui
SCALE = 0.18215


@pytest.fixture(scope="module", autouse=True)
def models(comfy):
    write_models(comfy)


@pytest.fixture(scope="module")
def sigmas():
    """ComfyUI's table, in float64."""
    kept = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64), 0)
    return ((1 - kept) / kept).sqrt()


def predict(name, network, x, timestep, conditions):
    """Guided noise of x, as the authors compute it."""
    t = torch.tensor([timestep], dtype=torch.float32)
    if name.startswith("text"):
        outputs = [network(x, t, context=context)[:, :4] for context in conditions]
    elif name == "plain":
        return network(x.transpose(1, 2), t).transpose(1, 2)[:, :4]
    else:
        labels = (torch.tensor([label]) for label in conditions)
        outputs = [network(x.transpose(1, 2), t, y).transpose(1, 2)[:, :4] for y in labels]
    return outputs[1] + 2.0 * (outputs[0] - outputs[1])


@torch.inference_mode()
def sample_by_hand(name, conditions, sigmas, steps=3, round_timesteps=False):
    """Euler from ComfyUI's noise of the seed 7, with timesteps that may be fractions."""
    noise = torch.randn(SHAPE, generator=torch.manual_seed(7))
    times = torch.linspace(999, 0, steps, dtype=torch.float64)
    low = times.floor().long()
    fraction = times - low
    logs = sigmas.log()
    levels = ((1 - fraction) * logs[low] + fraction * logs[(low + 1).clamp(max=999)]).exp()
    exact = low + (levels - sigmas[low]) / (sigmas[(low + 1).clamp(max=999)] - sigmas[low]).clamp(
        min=1e-9
    )
    x, network = noise * (1 + levels[0] ** 2).sqrt().float(), make_network(name)
    ends = torch.cat([levels[1:], levels.new_zeros(1)])
    for start, end, t in zip(levels, ends, exact, strict=True):
        scaled = x / (1 + start**2).sqrt().float()
        t = t.round() if round_timesteps else t
        x = x + (end - start).float() * predict(name, network, scaled, float(t), conditions)
    return x / SCALE


def conditions_of(name):
    return make_texts() if name.startswith("text") else (2, CONFIGS["class"].classes)


@pytest.mark.parametrize("name", CONFIGS)
def test_the_core_s_ksampler_samples_every_family(comfy, name, sigmas):
    sampled = SampledGraph(comfy, name)
    sampled.sample(conditions=sampled.add_conditions(label=2))
    result = sampled.run()
    expected = sample_by_hand(name, conditions_of(name), sigmas)
    assert (result - expected).abs().max() < 1e-4 * expected.abs().max()


def test_timesteps_keep_their_fractions(comfy, sigmas):
    sampled = SampledGraph(comfy, "text12")
    sampled.sample(steps=7)
    result, texts = sampled.run(), make_texts()
    expected = sample_by_hand("text12", texts, sigmas, steps=7)
    rounded = sample_by_hand("text12", texts, sigmas, steps=7, round_timesteps=True)
    largest = expected.abs().max()
    assert (result - expected).abs().max() < 1e-4 * largest
    assert (result - rounded).abs().max() > 3e-4 * largest


@pytest.mark.parametrize(("dtype", "most"), [("bf16", 0.1), ("fp16", 0.1), ("fp8", 0.5)])
def test_weights_may_be_in_any_format(comfy, dtype, most):
    for name in ("text12", "class"):
        full = SampledGraph(comfy, name)
        full.sample()
        expected = full.run()
        half = SampledGraph(comfy, name, dtype=dtype)
        half.sample()
        error = (half.run() - expected).abs().max() / expected.abs().max()
        assert 0 < error < most


def test_the_loader_says_what_it_loaded_and_which_latents_it_makes(comfy):
    graph = Graph()
    inputs = {"model": "text11.safetensors", "preset": "auto", "dtype": "bf16"}
    node = graph.add("ODVAELoadDiffusionModel", **inputs)
    graph.add("TestDump", value=node[1], name="info")
    (text,) = comfy.run(graph).outputs["2"]["text"]
    assert "family latte_t2v" in text
    assert "latents: 4 channels, 4x8x8, scale 0.18215, shift 0, of the VAE that it" in text
    assert "frames in training: 9" in text
    assert "weights in bfloat16, computed in float32" in text


def test_a_preset_of_another_model_is_refused(comfy):
    sampled = SampledGraph(comfy, "text11", preset="osp-v1.1-65x512x512")
    sampled.sample()
    assert (
        "28 layers have more than 280 tensors"
        in comfy.run(sampled.graph).error["exception_message"]
    )


@pytest.mark.parametrize(
    ("name", "other", "words"),
    [
        ("class", "text12", "connect both outputs of Latte Class"),
        ("text12", "plain", "connect both outputs of Open-Sora-Plan Text"),
    ],
)
def test_the_condition_of_another_model_is_refused(comfy, name, other, words):
    sampled, source = SampledGraph(comfy, name), SampledGraph(comfy, other)
    source.graph = sampled.graph
    source.model = source.graph.add(
        "ODVAELoadDiffusionModel", model=f"{other}.safetensors", preset="auto", dtype="fp32"
    )
    sampled.sample(conditions=source.add_conditions())
    assert words in comfy.run(sampled.graph).message


def test_a_label_that_the_model_has_not_is_refused(comfy):
    sampled = SampledGraph(comfy, "class")
    sampled.sample(conditions=sampled.add_conditions(label=5))
    assert "this model has 5 classes: choose 0 to 4" in comfy.run(sampled.graph).message
    other = SampledGraph(comfy, "text12")
    node = other.graph.add("ODVAELatteClass", model=other.model, label=0)
    other.sample(conditions=(node[0], node[1]))
    assert "no Latte" in comfy.run(other.graph).message


def test_two_clips_in_one_batch_are_sampled(comfy):
    sampled = SampledGraph(comfy, "text11")
    sampled.sample(shape=(2, *SHAPE[1:]))
    assert sampled.run().shape == (2, *SHAPE[1:])


def test_a_video_is_noised_in_part_and_sampled(comfy):
    results = []
    for latent in (torch.randn(SHAPE) * 40, torch.zeros(SHAPE)):
        sampled = SampledGraph(comfy, "text12")
        source = sampled.graph.add("TestLatent", file=comfy.put(latent))
        sampled.sample(latent=source, denoise=0.2)
        results.append(sampled.run() - latent)
    assert results[0].abs().mean() < 20  # most of the clip is kept
    assert (results[0] - results[1]).abs().mean() > 0.1  # and read


def test_progress_counts_steps_and_a_cancel_ends_the_run(comfy):
    sampled = SampledGraph(comfy, "text11")
    node = sampled.sample(steps=5)
    sampled.run()
    assert [value for value, _ in sampled.ended.progress_of(node)][-1] == 5
    longer = SampledGraph(comfy, "text11")
    longer.sample(steps=1000)
    cancelled = comfy.run(
        longer.graph, on_progress=lambda _: threading.Thread(target=comfy.interrupt).start()
    )
    assert cancelled.status == "error"
    assert "exception_message" not in cancelled.error


def test_what_save_model_writes_is_loaded_again_without_a_preset(comfy):
    sampled = SampledGraph(comfy, "text12")
    sampled.graph.add("ModelSave", model=sampled.model, filename_prefix="diffusion_models/kept")
    sampled.sample()
    expected = sampled.run()
    written = comfy.base / "output/diffusion_models/kept_00001_.safetensors"
    with safe_open(written, "pt") as file:
        assert "model.diffusion_model.proj_out.weight" in set(file.keys())
    assert diffusion.load(written).config == CONFIGS["text12"]
    written.rename(comfy.base / FOLDER / "kept.safetensors")
    again = SampledGraph(comfy, "text12", model="kept.safetensors")
    again.sample()
    torch.testing.assert_close(again.run(), expected)


def show_preview(comfy, model, latent):
    graph = Graph()
    loaded = graph.add("ODVAELoadDiffusionModel", model=model, preset="auto", dtype="fp32")
    source = graph.add("TestLatent", file=comfy.put(latent))
    graph.add("TestDump", value=graph.add("TestPreview", model=loaded, latent=source), name="seen")
    run = comfy.run(graph)
    assert run.status == "success", run.message
    return run.outputs["4"]["text"][0]


def test_previews_have_the_colours_of_the_file_beside_the_model(comfy):
    latent = torch.zeros(SHAPE)
    latent[:, 0] = 1 / SCALE
    assert "(8, 8) (172, 156, 168)" in show_preview(comfy, "text11.safetensors", latent)
    network = make_network("text11")
    diffusion.save(network, comfy.base / FOLDER / "red.safetensors")
    red = Preview(((1.0, -1.0, -1.0), *[(0.0, 0.0, 0.0)] * 3), (0.0, 0.0, 0.0), "", 30.0)
    write_preview(red, comfy.base / FOLDER / "red.preview.json")
    assert "(8, 8) (255, 0, 0)" in show_preview(comfy, "red.safetensors", latent)


def test_a_preview_of_other_channels_is_refused(comfy):
    diffusion.save(make_network("text11"), comfy.base / FOLDER / "wrong.safetensors")
    fields = {"factors": [[0, 0, 0]] * 16, "bias": [0, 0, 0], "psnr": 30}
    (comfy.base / FOLDER / "wrong.preview.json").write_text(json.dumps(fields))
    graph = Graph()
    inputs = {"model": "wrong.safetensors", "preset": "auto", "dtype": "fp32"}
    node = graph.add("ODVAELoadDiffusionModel", **inputs)
    graph.add("TestDump", value=node[1], name="info")
    assert "factors of 16 channels" in comfy.run(graph).message
