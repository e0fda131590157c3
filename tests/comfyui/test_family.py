"""CV-VAE, IV-VAE, WF-VAE and OPS-VAE work in every node in the same way as OD-VAE."""

import pytest
import torch

from odvae_core import Pieces, Stream, Sweep, Whole, Windows
from odvae_core.padding import ClipSize, crop, pad
from odvae_core.video import VideoWriter, read_video
from tests.comfyui.graph import Graph
from tests.comfyui.tensors import CLOSE, assert_holds, make_frames, make_latent, to_image, to_video

pytestmark = pytest.mark.comfyui
CUTS = {
    "cvvae.safetensors": {"paper": Windows(9), "exact": Sweep(9)},
    "ivvae.safetensors": {"paper": Windows(9), "exact": Stream(9), "stream": Stream(9)},
    "wfvae.safetensors": {"paper": Windows(9), "exact": Stream(9), "stream": Stream(9)},
}
FAMILY = pytest.mark.parametrize("checkpoint", CUTS)


@FAMILY
def test_the_tiled_nodes_give_what_the_core_gives(comfy, networks, checkpoint):
    graph, network = Graph(), networks[checkpoint]
    image, latent = make_frames(18, 36, 32), make_latent(5)
    vae = graph.add("ODVAELoad", checkpoint=checkpoint)
    source = graph.add("TestImage", file=comfy.put(image))
    latents = graph.add("TestLatent", file=comfy.put(latent))
    for word in CUTS[checkpoint]:
        cut = {"schedule": word, "frames": 9}
        encoded = graph.add("ODVAETemporalTiledEncode", image=source, vae=vae, **cut)
        graph.add("TestDump", value=encoded, name=f"encoded-{word}")
        decoded = graph.add("ODVAETemporalTiledDecode", latent=latents, vae=vae, **cut)
        graph.add("TestDump", value=decoded, name=f"decoded-{word}")
    run = comfy.run(graph)
    assert run.status == "success", run.message
    for word, schedule in CUTS[checkpoint].items():
        expected = network.encode(pad(to_video(image), network), schedule).mode()
        torch.testing.assert_close(comfy.take(f"encoded-{word}"), expected, **CLOSE)
        expected = to_image(network.decode(latent, schedule))
        torch.testing.assert_close(comfy.take(f"decoded-{word}"), expected, **CLOSE)


@FAMILY
def test_the_core_nodes_decode_a_batch_of_frames_as_one_clip_to_four_frames_each(
    comfy, networks, checkpoint
):
    graph, latent = Graph(), make_latent(3)
    vae = graph.add("ODVAELoad", checkpoint=checkpoint)
    frames = graph.add("TestLatent", file=comfy.put(latent[0].movedim(1, 0)))
    graph.add("TestDump", value=graph.add("VAEDecode", vae=vae, samples=frames), name="frames")
    apart = graph.add("ODVAELoad", checkpoint=checkpoint, latents_4d="separate images")
    graph.add("TestDump", value=graph.add("VAEDecode", vae=apart, samples=frames), name="apart")
    run = comfy.run(graph)
    assert run.status == "success", run.message
    expected = to_image(networks[checkpoint].decode(latent))
    assert len(expected) == 9
    torch.testing.assert_close(comfy.take("frames"), expected, **CLOSE)
    expected = to_image(networks[checkpoint].decode(latent[0].movedim(1, 0).unsqueeze(2)))
    torch.testing.assert_close(comfy.take("apart"), expected, **CLOSE)


@pytest.mark.parametrize(
    ("checkpoint", "schedule"),
    [
        ("cvvae.safetensors", Whole()),
        ("ivvae.safetensors", Stream(5)),
        ("wfvae.safetensors", Stream(5)),
        ("opsvae.safetensors", Pieces(17)),
    ],
)
def test_files_equal_the_whole_clip_by_themselves(comfy, networks, tmp_path, checkpoint, schedule):
    path, network, graph = comfy.base / "input/family.mp4", networks[checkpoint], Graph()
    with VideoWriter(path, (32, 40), 12, quality=1) as writer:
        writer.write(to_video(make_frames(20, 32, 40)))
    vae = graph.add("ODVAELoad", checkpoint=checkpoint)
    video = graph.add("LoadVideo", file=path.name)
    latent = graph.add("ODVAEEncodeVideoFile", video=video, vae=vae)
    graph.add("TestDump", value=latent, name="latent")
    film = graph.add("ODVAEDecodeToVideoFile", latent=latent, vae=vae, quality=0)
    run = comfy.run(graph)
    assert run.status == "success", run.message
    with torch.inference_mode():
        expected = network.encode(pad(read_video(path), network), schedule).mode()
        decoded = crop(network.decode(expected, schedule), ClipSize(20, 32, 40)).clamp(-1, 1)
    torch.testing.assert_close(comfy.take("latent"), expected, **CLOSE)
    (saved,) = run.outputs[film]["images"]
    film = comfy.base / "output" / saved["subfolder"] / saved["filename"]
    assert_holds(film, decoded, tmp_path)


@pytest.mark.parametrize("frames", [1, 18, 30])
def test_pieces_of_17_frames_are_clips_of_their_own_in_the_nodes_and_in_the_core_nodes(
    comfy, networks, frames
):
    graph, network = Graph(), networks["opsvae.safetensors"]
    image = make_frames(frames, 32, 40)
    vae = graph.add("ODVAELoad", checkpoint="opsvae.safetensors")
    source = graph.add("TestImage", file=comfy.put(image))
    ours = graph.add("ODVAETemporalTiledEncode", image=source, vae=vae)
    theirs = graph.add("VAEEncode", pixels=source, vae=vae)
    graph.add("TestDump", value=ours, name="ours")
    graph.add("TestDump", value=theirs, name="theirs")
    decoded = graph.add("ODVAETemporalTiledDecode", latent=ours, vae=vae)
    graph.add("TestDump", value=decoded, name="decoded")
    graph.add("TestDump", value=graph.add("VAEDecode", vae=vae, samples=theirs), name="core")
    run = comfy.run(graph)
    assert run.status == "success", run.message
    expected = network.encode(pad(to_video(image), network)).mode()
    assert expected.shape[2] == {1: 1, 18: 6, 30: 9}[frames]
    torch.testing.assert_close(comfy.take("ours"), expected, **CLOSE)
    torch.testing.assert_close(comfy.take("theirs"), expected, **CLOSE)
    video = to_image(network.decode(expected))
    torch.testing.assert_close(comfy.take("core"), video, **CLOSE)
    torch.testing.assert_close(comfy.take("decoded"), video[:frames], **CLOSE)
    assert len(comfy.take("decoded")) == frames


def test_another_cut_than_its_pieces_is_refused_in_words(comfy):
    graph = Graph()
    vae = graph.add("ODVAELoad", checkpoint="opsvae.safetensors")
    latent = graph.add("TestLatent", file=comfy.put(make_latent(5)))
    cut = {"schedule": "exact", "frames": 9}
    decoded = graph.add("ODVAETemporalTiledDecode", latent=latent, vae=vae, **cut)
    graph.add("TestDump", value=decoded, name="refused")
    run = comfy.run(graph)
    assert run.status == "error"
    assert "independent pieces of 17 frames: choose auto" in run.message
