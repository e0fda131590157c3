"""A VAE from ComfyUI's own loader runs in our nodes with its own weights: Wan and HunyuanVideo."""

import shutil

import pytest
import torch

import odvae_core
from odvae_core import Stream, Sweep, Whole
from odvae_core.padding import ClipSize, crop, pad
from odvae_core.video import VideoWriter, read_video
from tests.comfyui.graph import Graph
from tests.comfyui.tensors import CLOSE, assert_holds, make_frames, make_latent, to_image, to_video
from tests.comfyui.test_cancel import list_called

pytestmark = pytest.mark.comfyui
CUTS = {
    "wan": {"whole": Whole(), "exact": Stream(9), "stream": Stream(9)},
    "wan22": {"whole": Whole(), "stream": Stream(5)},
    "hunyuan": {"whole": Whole(), "exact": Sweep(9)},
    "hunyuan15": {"whole": Whole(), "stream": Stream(5)},
}
KINDS = pytest.mark.parametrize("kind", CUTS)


@pytest.fixture(scope="module")
def adopted(comfy):
    """Networks of the core, of the files that ComfyUI's Save VAE writes."""
    networks = {}
    for kind in CUTS:
        graph = Graph()
        vae = graph.add("TestComfyVae", kind=kind)
        graph.add("VAESave", vae=vae, filename_prefix=f"adopted/{kind}")
        assert comfy.run(graph).status == "success"
        (file,) = (comfy.base / "output/adopted").glob(f"{kind}_*.safetensors")
        shutil.copy(file, comfy.base / f"models/vae/{kind}.safetensors")
        networks[kind] = odvae_core.load(file)
    return networks


@KINDS
def test_the_tiled_nodes_give_what_the_core_gives(comfy, adopted, kind):
    graph, network = Graph(), adopted[kind]
    image, latent = make_frames(10, 36, 32), make_latent(3, channels=16)
    vae = graph.add("TestComfyVae", kind=kind)
    source = graph.add("TestImage", file=comfy.put(image))
    latents = graph.add("TestLatent", file=comfy.put(latent))
    for word in CUTS[kind]:
        cut = {"schedule": word, "frames": 9}
        encoded = graph.add("ODVAETemporalTiledEncode", image=source, vae=vae, **cut)
        graph.add("TestDump", value=encoded, name=f"encoded-{word}")
        decoded = graph.add("ODVAETemporalTiledDecode", latent=latents, vae=vae, **cut)
        graph.add("TestDump", value=decoded, name=f"decoded-{word}")
    run = comfy.run(graph)
    assert run.status == "success", run.message
    assert not any("run by ComfyUI" in text for text in run.texts)
    for word, schedule in CUTS[kind].items():
        expected = network.encode(pad(to_video(image), network), schedule).mode()
        torch.testing.assert_close(comfy.take(f"encoded-{word}"), expected, **CLOSE)
        expected = to_image(network.decode(latent, schedule))
        torch.testing.assert_close(comfy.take(f"decoded-{word}"), expected, **CLOSE)


def test_the_core_s_load_vae_decodes_wan_as_our_nodes_do(comfy, adopted):
    if comfy.version.startswith("0.3."):
        pytest.skip("its Load VAE takes Wan 2.1 in its own width alone")
    graph, latent = Graph(), make_latent(3, channels=16)
    vae = graph.add("VAELoader", vae_name="wan.safetensors")
    latents = graph.add("TestLatent", file=comfy.put(latent))
    graph.add("TestDump", value=graph.add("VAEDecode", vae=vae, samples=latents), name="core")
    for word in ("auto", "exact"):
        ours = graph.add("ODVAETemporalTiledDecode", latent=latents, vae=vae, schedule=word)
        graph.add("TestDump", value=ours, name=word)
    assert comfy.run(graph).status == "success"
    for word in ("auto", "exact"):
        core = comfy.take("core").flatten(0, -4)
        torch.testing.assert_close(comfy.take(word), core, **CLOSE)


@KINDS
def test_files_equal_the_whole_clip(comfy, adopted, tmp_path, kind):
    path, network, graph = comfy.base / "input/adopted.mp4", adopted[kind], Graph()
    with VideoWriter(path, (32, 48), 12, quality=1) as writer:
        writer.write(to_video(make_frames(10, 32, 48)))
    vae = graph.add("TestComfyVae", kind=kind)
    video = graph.add("LoadVideo", file=path.name)
    latent = graph.add("ODVAEEncodeVideoFile", video=video, vae=vae)
    graph.add("TestDump", value=latent, name="latent")
    film = graph.add("ODVAEDecodeToVideoFile", latent=latent, vae=vae, quality=0)
    run = comfy.run(graph)
    assert run.status == "success", run.message
    with torch.inference_mode():
        expected = network.encode(pad(read_video(path), network), Whole()).mode()
        decoded = crop(network.decode(expected, Whole()), ClipSize(10, 32, 48)).clamp(-1, 1)
    torch.testing.assert_close(comfy.take("latent"), expected, **CLOSE)
    (saved,) = run.outputs[film]["images"]
    film = comfy.base / "output" / saved["subfolder"] / saved["filename"]
    assert_holds(film, decoded, tmp_path)


@KINDS
def test_every_weight_is_comfyui_s_own_tensor(comfy, kind):
    graph, latent = Graph(), make_latent(2, channels=16)
    vae = graph.add("TestComfyVae", kind=kind)
    latents = graph.add("TestLatent", file=comfy.put(latent))
    narrow = kind == "hunyuan15" and comfy.version.startswith("0.3.")  # its class takes 32 channels
    for node in ("ODVAETemporalTiledDecode", "VAEDecode")[: 1 if narrow else 2]:
        inputs = {"latent" if node.startswith("ODVAE") else "samples": latents}
        graph.add("TestDump", value=graph.add(node, vae=vae, **inputs), name=node)
    counted = graph.add("TestSharedWeights", vae=vae)
    run = comfy.run(graph)
    assert run.status == "success", run.message
    (text,) = run.outputs[counted]["text"]
    shared, _, ours = text.split()
    assert shared == ours


def test_a_vae_whose_weights_stay_in_their_file_is_copied_once(comfy, adopted):
    graph, latent = Graph(), make_latent(3, channels=16)
    vae = graph.add("TestComfyVae", kind="wan", state="dynamic")
    latents = graph.add("TestLatent", file=comfy.put(latent))
    ours = graph.add("ODVAETemporalTiledDecode", latent=latents, vae=vae, schedule="exact")
    graph.add("TestDump", value=ours, name="dynamic")
    counted = graph.add("TestSharedWeights", vae=vae)
    run = comfy.run(graph)
    assert run.status == "success", run.message
    assert run.outputs[counted]["text"][0].startswith("0 of ")
    expected = to_image(adopted["wan"].decode(latent))
    torch.testing.assert_close(comfy.take("dynamic"), expected, **CLOSE)


@pytest.mark.parametrize(
    ("state", "reason"),
    [("patched", "1 of its weights are patched"), ("quantised", "its weights are quantised")],
)
def test_a_vae_that_cannot_be_adopted_says_so_on_the_node(comfy, state, reason):
    graph = Graph()
    vae = graph.add("TestComfyVae", kind="wan", state=state)
    latent = graph.add("TestLatent", file=comfy.put(make_latent(2, channels=16)))
    decoded = graph.add("ODVAETemporalTiledDecode", latent=latent, vae=vae)
    graph.add("TestDump", value=decoded, name="refused")
    run = comfy.run(graph)
    assert any(f"run by ComfyUI: {reason}" in text for text in run.texts)
    decoded = graph.add("ODVAETemporalTiledDecode", latent=latent, vae=vae, schedule="stream")
    graph.add("TestDump", value=decoded, name="refused")
    assert reason in comfy.run(graph).error["exception_message"]


def test_a_posterior_is_sampled_with_a_seed(comfy, adopted):
    graph, network, image = Graph(), adopted["wan"], make_frames(5)
    vae = graph.add("TestComfyVae", kind="wan")
    source = graph.add("TestImage", file=comfy.put(image))
    cut = {"posterior": "sample", "seed": 7}
    latent = graph.add("ODVAETemporalTiledEncode", image=source, vae=vae, **cut)
    graph.add("TestDump", value=latent, name="sampled")
    assert comfy.run(graph).status == "success"
    posterior = network.encode(to_video(image))
    expected = posterior.sample(torch.Generator().manual_seed(7))
    torch.testing.assert_close(comfy.take("sampled"), expected, **CLOSE)


@KINDS
@pytest.mark.parametrize(("limit", "status"), [(9, "success"), (0, "error")])
def test_auto_takes_an_exact_cut_that_fits_or_says_what_to_do(comfy, adopted, kind, limit, status):
    graph, latent = Graph(), make_latent(5, channels=16)
    vae = graph.add("TestComfyVae", kind=kind)
    short = graph.add("TestOutOfMemory", vae=vae, limit=limit)
    latents = graph.add("TestLatent", file=comfy.put(latent))
    decoded = graph.add("ODVAETemporalTiledDecode", latent=latents, vae=short)
    graph.add("TestDump", value=decoded, name="decoded")
    run = comfy.run(graph)
    assert run.status == status, run.message
    if status == "error":
        assert "set schedule to auto, or tile to 256" in run.error["exception_message"]
        return
    assert any("frames at a time, exact" in text for text in run.texts)
    expected = to_image(adopted[kind].decode(latent))
    torch.testing.assert_close(comfy.take("decoded"), expected, **CLOSE)


@KINDS
def test_no_layer_runs_after_a_cancel(comfy, kind):
    graph = Graph()
    vae = graph.add("TestComfyVae", kind=kind)
    cancelled = graph.add("TestCancelAtLayer", vae=vae, layer=5)
    latents = graph.add("TestLatent", file=comfy.put(make_latent(3, channels=16)))
    decoded = graph.add("ODVAETemporalTiledDecode", latent=latents, vae=cancelled)
    graph.add("TestDump", value=decoded, name="cancelled")
    run = comfy.run(graph)
    assert run.status == "error"
    assert "exception_message" not in run.error  # interrupted, not failed
    assert len(list_called(comfy)) == 5
