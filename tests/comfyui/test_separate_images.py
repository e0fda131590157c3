"""With latents_4d = separate images, ComfyUI's own nodes exchange batches of images in 4D."""

import pytest
import torch

from odvae_core import Tiles
from tests.comfyui.graph import Graph
from tests.comfyui.tensors import CLOSE, make_frames, make_latent, to_image, to_video
from tests.comfyui.workflow_files import CHECKPOINTS, SAMPLE, VAE_V11

pytestmark = pytest.mark.comfyui
STREAM, CLIP = "stream.safetensors", "clip.safetensors"
IMAGES = {"latents_4d": "separate images"}
TILED = {"tile_size": 64, "overlap": 16}
BOTH = pytest.mark.parametrize("checkpoint", [STREAM, CLIP])
VAE = VAE_V11.removeprefix("models/vae/")
SVD, SD15 = (name.removeprefix("models/checkpoints/") for name in CHECKPOINTS)
STEPS = {"seed": 0, "steps": 2, "cfg": 2.0, "sampler_name": "euler", "scheduler": "normal"}


def add_loader(graph, checkpoint="default"):
    return graph.add("ODVAELoad", checkpoint=checkpoint, **IMAGES)


def to_pictures(image):
    """IMAGE [F, H, W, 3] -> as many clips of one frame [F, 3, 1, H, W]."""
    return to_video(image)[0].movedim(1, 0).unsqueeze(2)


def encode(comfy, checkpoint, image, kind="VAEEncode", **inputs):
    graph = Graph()
    vae = add_loader(graph, checkpoint)
    pixels = graph.add("TestImage", file=comfy.put(image))
    graph.add("TestDump", value=graph.add(kind, vae=vae, pixels=pixels, **inputs), name="latent")
    run = comfy.run(graph)
    assert run.status == "success", run.message
    return comfy.take("latent")


def decode(comfy, checkpoint, latent, kind, **inputs):
    graph = Graph()
    vae = add_loader(graph, checkpoint)
    samples = graph.add("TestLatent", file=comfy.put(latent))
    graph.add("TestDump", value=graph.add(kind, vae=vae, samples=samples, **inputs), name="image")
    run = comfy.run(graph)
    assert run.status == "success", run.message
    return comfy.take("image")


@BOTH
def test_every_image_is_encoded_by_itself(comfy, networks, checkpoint):
    image = make_frames(3)
    latent = encode(comfy, checkpoint, image)
    expected = networks[checkpoint].encode(to_pictures(image)).mode().squeeze(2)
    assert latent.shape == (3, 4, 4, 4)
    torch.testing.assert_close(latent, expected, **CLOSE)


def test_every_image_is_encoded_in_tiles_and_none_is_dropped(comfy, networks):
    image = make_frames(3, 96, 128)
    latent = encode(comfy, STREAM, image, "VAEEncodeTiled", **TILED)
    pictures = networks[STREAM].encode(to_pictures(image), tiles=Tiles(64, overlap=16))
    torch.testing.assert_close(latent, pictures.mode().squeeze(2), **CLOSE)


def test_every_image_is_decoded_in_tiles(comfy, networks):
    latent = make_latent(3, 12, 16)[0].movedim(1, 0)
    image = decode(comfy, STREAM, latent, "VAEDecodeTiled", **TILED)
    expected = networks[STREAM].decode(latent.unsqueeze(2), tiles=Tiles(64, overlap=16))
    torch.testing.assert_close(image, to_image(expected), **CLOSE)


@pytest.mark.parametrize("kind", ["VAEDecode", "VAEDecodeTiled"])
def test_what_has_a_time_axis_remains_a_clip(comfy, networks, kind):
    latent = make_latent(3)
    sizes = {"tile_size": 512} if kind == "VAEDecodeTiled" else {}
    image = decode(comfy, STREAM, latent, kind, **sizes)
    torch.testing.assert_close(image, to_image(networks[STREAM].decode(latent)), **CLOSE)


def test_no_image_is_refused_in_words(comfy):
    graph = Graph()
    pixels = graph.add("TestImage", file=comfy.put(torch.rand(0, 16, 16, 3)))
    node = graph.add("VAEEncode", vae=add_loader(graph), pixels=pixels)
    graph.add("TestDump", value=node, name="latent")
    assert "at least one" in comfy.run(graph).error["exception_message"]


def add_prompts(graph, loader):
    return [graph.add("CLIPTextEncode", text="", clip=loader[1]) for _ in range(2)]


def add_sampled(graph, model, positive, negative, latent):
    linked = {"positive": positive, "negative": negative, "latent_image": latent}
    return graph.add("KSampler", model=model, **linked, **STEPS, denoise=0.5)


def load_frames(graph):
    source = graph.add("LoadVideo", file=SAMPLE.removeprefix("input/"))
    parts = graph.add("GetVideoComponents", video=source)
    return graph.add("ImageFromBatch", image=parts, batch_index=0, length=3)


@pytest.mark.parametrize("kind", ["VAEEncode", "VAEEncodeForInpaint"])
def test_stable_diffusion_samples_the_images(workflow_server, kind):
    graph = Graph()
    loader = graph.add("CheckpointLoaderSimple", ckpt_name=SD15)
    vae = add_loader(graph, VAE)
    frames = load_frames(graph)
    mask = {}
    if kind == "VAEEncodeForInpaint":
        solid = graph.add("SolidMask", value=1.0, width=64, height=48)
        mask = {"mask": solid, "grow_mask_by": 6}
    latent = graph.add(kind, vae=vae, pixels=frames, **mask)
    sampled = add_sampled(graph, loader, *add_prompts(graph, loader), latent)
    graph.add("TestDump", value=sampled, name="sampled")
    graph.add("TestDump", value=graph.add("VAEDecode", vae=vae, samples=sampled), name="image")
    run = workflow_server.run(graph)
    assert run.status == "success", run.message
    assert workflow_server.take("sampled").shape == (3, 4, 6, 8)
    assert workflow_server.take("image").shape == (3, 48, 64, 3)


def test_stable_video_diffusion_takes_the_first_image(workflow_server):
    graph = Graph()
    loader = graph.add("ImageOnlyCheckpointLoader", ckpt_name=SVD)
    vae = add_loader(graph, VAE)
    conditioning = graph.add(
        "SVD_img2vid_Conditioning",
        clip_vision=loader[1],
        init_image=load_frames(graph),
        vae=vae,
        width=64,
        height=48,
        video_frames=3,
        motion_bucket_id=127,
        fps=6,
        augmentation_level=0.0,
    )
    linked = [conditioning[slot] for slot in range(3)]
    sampled = add_sampled(graph, loader, *linked)
    graph.add("TestDump", value=graph.add("VAEDecode", vae=vae, samples=sampled), name="image")
    run = workflow_server.run(graph)
    assert run.status == "success", run.message
    assert workflow_server.take("image").shape == (3, 48, 64, 3)
