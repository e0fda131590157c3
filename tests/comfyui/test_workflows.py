"""Every workflow in API form runs in a real ComfyUI and returns the core's results."""

import json
import tomllib
from fractions import Fraction

import av
import pytest
import torch

import odvae_core
from odvae_core import Stream
from odvae_core.inflation import inflate
from odvae_core.metrics import psnr
from odvae_core.padding import ClipSize, crop
from odvae_core.video import VideoWriter, read_video
from tests.comfyui.conftest import make_network
from tests.comfyui.server import ROOT, Server
from tests.comfyui.tensors import CLOSE, to_image, to_video
from tests.comfyui.workflow_files import (
    CHECKPOINTS,
    CVVAE,
    FRAMES,
    HEIGHT,
    SAMPLE,
    VAE,
    VAE_V11,
    VAE_V12,
    WIDTH,
    WORKFLOWS,
    list_workflows,
    read_prompt,
)

pytestmark = pytest.mark.comfyui
PREFIX = "ODVAE"
FRONTEND_ONLY = "MarkdownNote"


class Played:
    """A workflow that ran: `take` reads what a node gave, by the kind of the node."""

    def __init__(self, workflow_server: Server, name: str):
        self.workflow_server, self.prompt = workflow_server, read_prompt(name)
        self.kinds = {}
        for number, node in list(self.prompt.items()):
            self.kinds.setdefault(node["class_type"], []).append(number)
        self.run = None

    def play(self, *watched: tuple[str, int]):
        """Run it, and keep these outputs, each a kind of node and its output's number."""
        for kind, slot in watched:
            for i, number in enumerate(self.kinds[kind]):
                dump = {"value": [number, slot], "name": f"{kind}-{slot}-{i}"}
                self.prompt[f"dump {kind} {slot} {i}"] = {"class_type": "TestDump", "inputs": dump}
        self.run = self.workflow_server.run(self.prompt)
        assert self.run.status == "success", self.run.message
        return self

    def take(self, kind: str, slot: int = 0, i: int = 0) -> torch.Tensor:
        return self.workflow_server.take(f"{kind}-{slot}-{i}")

    def file(self, kind: str):
        """The file that the node of this kind wrote."""
        (saved,) = next(iter(self.run.outputs[self.kinds[kind][0]].values()))[:1]
        return self.workflow_server.base / "output" / saved["subfolder"] / saved["filename"]


def count_frames(path) -> int:
    with av.open(str(path)) as file:
        return sum(1 for _ in file.decode(video=0))


CLIP = ("GetVideoComponents", 0)
ENCODED, DECODED = ("ODVAETemporalTiledEncode", 0), ("ODVAETemporalTiledDecode", 0)
"""The clip, its latent and its frames, by the nodes that most workflows have."""


@pytest.fixture(scope="module")
def clip(workflow_server):
    """The sample that the workflows load, [1, 3, 13, 48, 64]."""
    return read_video(workflow_server.base / SAMPLE)


@pytest.fixture(scope="module")
def default():
    return odvae_core.load("default", dtype=torch.float32)


@torch.inference_mode()
def test_reconstruct_and_compare_gives_the_core_s_clip_and_its_psnr(workflow_server, default):
    played = Played(workflow_server, "reconstruct_and_compare")
    played.play(CLIP, ENCODED, DECODED, ("ODVAECompareVideos", 3))
    clip = to_video(played.take(*CLIP))
    latent = default.encode(clip).mode()
    torch.testing.assert_close(played.take(*ENCODED), latent, **CLOSE)
    expected = to_image(default.decode(latent))
    torch.testing.assert_close(played.take(*DECODED), expected, **CLOSE)
    (text,) = played.run.outputs["dump ODVAECompareVideos 3 0"]["text"]
    measured = psnr(to_video(expected), clip).mean().item()
    assert float(text.split()[0]) == pytest.approx(measured, abs=0.01)
    assert count_frames(played.file("SaveVideo")) == FRAMES


@torch.inference_mode()
def test_long_video_file_to_file_gives_the_core_s_streamed_clip(workflow_server, clip, default):
    played = Played(workflow_server, "long_video_file_to_file").play(("ODVAEEncodeVideoFile", 0))
    latent = default.encode(clip, Stream()).mode()
    torch.testing.assert_close(played.take("ODVAEEncodeVideoFile"), latent, **CLOSE)
    written = read_video(played.file("ODVAEDecodeToVideoFile"))
    assert psnr(written, default.decode(latent, Stream()).clamp(-1, 1)).min() > 30  # lossy file


@torch.inference_mode()
def test_tail_inflate_gives_the_core_s_inflated_vae_beside_the_image_vae(workflow_server):
    played = Played(workflow_server, "tail_inflate_an_image_vae")
    played.play(CLIP, ENCODED, DECODED, ("VAEDecode", 0))
    clip = to_video(played.take(*CLIP))
    inflated = inflate(workflow_server.base / VAE, "odvae-stream")
    latent = inflated.encode(clip).mode()
    torch.testing.assert_close(played.take(*ENCODED), latent, **CLOSE)
    torch.testing.assert_close(played.take(*DECODED), to_image(inflated.decode(latent)), **CLOSE)
    image = make_network("sd-vae").eval()
    pictures = torch.cat([image.decode(image.encode(x).mode()) for x in clip.split(1, dim=2)], 2)
    torch.testing.assert_close(played.take("VAEDecode"), to_image(pictures), **CLOSE)


@torch.inference_mode()
def test_image_to_video_decodes_svd_s_frames_at_four_frames_each(workflow_server):
    played = Played(workflow_server, "image_to_video_with_svd").play(("KSampler", 0), DECODED)
    sampled = played.take("KSampler")
    assert sampled.shape == (3, 4, 6, 8)
    assert sampled.std() > 0
    inflated = inflate(workflow_server.base / VAE, "odvae-stream")
    expected = to_image(inflated.decode(sampled.movedim(0, 1)[None]))
    torch.testing.assert_close(played.take(*DECODED), expected, **CLOSE)
    assert count_frames(played.file("SaveVideo")) == 1 + 4 * 2


@torch.inference_mode()
def test_image_to_video_takes_a_cv_vae_which_shares_svd_s_latent_space(workflow_server):
    played = Played(workflow_server, "image_to_video_with_svd")
    (inflated,) = played.kinds["ODVAETailInflate"]
    inputs = {"checkpoint": "cvvae.safetensors", "dtype": "auto", "latents_4d": "one clip"}
    played.prompt[inflated] = {"class_type": "ODVAELoad", "inputs": inputs}
    sampled = played.play(("KSampler", 0), DECODED).take("KSampler")
    expected = odvae_core.load(workflow_server.base / CVVAE).decode(sampled.movedim(0, 1)[None])
    torch.testing.assert_close(played.take(*DECODED), to_image(expected), **CLOSE)
    assert count_frames(played.file("SaveVideo")) == 1 + 4 * 2


@torch.inference_mode()
def test_video_to_video_samples_the_clip_s_own_latent_frames(workflow_server):
    played = Played(workflow_server, "video_to_video_with_sd15")
    played.play(("ImageScale", 0), ENCODED, ("KSampler", 0), DECODED)
    inflated = inflate(workflow_server.base / CHECKPOINTS[1], "odvae-stream")
    latent = inflated.encode(to_video(played.take("ImageScale"))).mode()
    torch.testing.assert_close(played.take(*ENCODED), latent, **CLOSE)
    sampled = played.take("KSampler")
    assert sampled.shape == (1 + FRAMES // 4, 4, 6, 8)
    assert (sampled - latent[0].movedim(1, 0)).abs().mean() > 0.01
    expected = to_image(inflated.decode(sampled.movedim(0, 1)[None]))
    torch.testing.assert_close(played.take(*DECODED), expected, **CLOSE)
    assert count_frames(played.file("SaveVideo")) == FRAMES


@torch.inference_mode()
@pytest.mark.parametrize(
    ("name", "sampler", "vae", "frames"),
    [
        ("text_to_video_v1_1", "SamplerCustom", VAE_V11, 65),
        ("text_to_video_v1_2_480p", "KSampler", VAE_V12, 29),
        ("text_to_video_v1_2_720p", "KSampler", VAE_V12, 93),
    ],
)
def test_text_to_video_samples_and_decodes_the_frames_of_the_model(
    workflow_server, name, sampler, vae, frames
):
    played = Played(workflow_server, name).play((sampler, 0), DECODED)
    sampled = played.take(sampler)
    assert sampled.shape == (1, 4, 1 + (frames - 1) // 4, HEIGHT // 8, WIDTH // 8)
    assert sampled.isfinite().all()
    assert sampled.std() > 0.1
    expected = odvae_core.load(workflow_server.base / vae).decode(sampled)
    torch.testing.assert_close(played.take(*DECODED), to_image(expected), **CLOSE)
    assert count_frames(played.file("SaveVideo")) == frames


@torch.inference_mode()
def test_class_to_video_decodes_latte_s_clip(workflow_server, default):
    played = Played(workflow_server, "class_to_video_with_latte").play(("KSampler", 0), DECODED)
    sampled = played.take("KSampler")
    assert sampled.shape == (1, 16, 5, 8, 8)
    torch.testing.assert_close(played.take(*DECODED), to_image(default.decode(sampled)), **CLOSE)
    assert count_frames(played.file("SaveVideo")) == 17


@torch.inference_mode()
def test_video_to_video_samples_the_clip_s_own_latent(workflow_server):
    played = Played(workflow_server, "video_to_video_v1_2")
    played.play(("ImageScale", 0), ENCODED, ("KSampler", 0), DECODED)
    vae = odvae_core.load(workflow_server.base / VAE_V12)
    latent = vae.encode(to_video(played.take("ImageScale"))).mode()
    torch.testing.assert_close(played.take(*ENCODED), latent, **CLOSE)
    sampled = played.take("KSampler")
    assert sampled.shape == latent.shape
    assert (sampled - latent).abs().mean() > 0.01
    torch.testing.assert_close(played.take(*DECODED), to_image(vae.decode(sampled)), **CLOSE)
    assert count_frames(played.file("SaveVideo")) == FRAMES


@torch.inference_mode()
def test_latents_come_back_from_disk_as_they_went(workflow_server, default):
    written = Played(workflow_server, "latents_to_disk").play(("ODVAEEncodeVideoFile", 0))
    latent = written.take("ODVAEEncodeVideoFile")
    read = Played(workflow_server, "latents_from_disk").play(("LoadLatent", 0))
    torch.testing.assert_close(read.take("LoadLatent"), latent, atol=0, rtol=0)
    film = read_video(read.file("ODVAEDecodeToVideoFile"))
    assert psnr(film, default.decode(latent, Stream()).clamp(-1, 1)).min() > 30


DECODED_BY_COMFYUI = {
    "wan_2_1_decode": None,
    "wan_2_2_decode": "wan22",
    "hunyuan_video_decode": "hunyuan",
}
"""The kind of narrow network that stands for the VAE; None where ComfyUI's loader takes one."""


@torch.inference_mode()
@pytest.mark.parametrize(("name", "kind"), DECODED_BY_COMFYUI.items())
def test_comfyui_s_vae_decodes_the_whole_clip_and_is_compared_with_the_tiled_node(
    workflow_server, tmp_path, name, kind
):
    played = Played(workflow_server, name)
    (loader,) = played.kinds["VAELoader"]
    if kind is None and workflow_server.version.startswith("0.3."):
        kind = "wan"  # its Load VAE takes Wan 2.1 in its own width alone
    if kind is not None:
        played.prompt[loader] = {"class_type": "TestComfyVae", "inputs": {"kind": kind}}
    played.prompt["save"] = {
        "class_type": "VAESave",
        "inputs": {"vae": [loader, 0], "filename_prefix": f"{name}/vae"},
    }
    played.play(("ODVAEEncodeVideoFile", 0), DECODED, ("VAEDecodeTiled", 0))
    (file,) = (workflow_server.base / "output" / name).glob("*.safetensors")
    vae = odvae_core.load(file)
    decoded = vae.decode(played.take("ODVAEEncodeVideoFile"), odvae_core.Whole())
    expected = crop(decoded, ClipSize(FRAMES, 48, 64))
    torch.testing.assert_close(played.take(*DECODED), to_image(expected), **CLOSE)
    assert played.take("VAEDecodeTiled").shape == played.take(*DECODED).shape
    film = read_video(played.file("ODVAEDecodeToVideoFile"))
    with VideoWriter(tmp_path / "film.mp4", (48, 64), Fraction(24), quality=18) as writer:
        writer.write(expected)
    assert psnr(film, read_video(tmp_path / "film.mp4")).min() > 35


def test_the_template_browser_offers_every_graph_with_its_thumbnail(workflow_server):
    assert sorted(workflow_server.get("/workflow_templates")["odvae"]) == sorted(list_workflows())
    for name in list_workflows():
        address = f"/api/workflow_templates/odvae/{name}"
        assert workflow_server.get(f"{address}.json")["nodes"]
        assert workflow_server.get(f"{address}.jpg") == (WORKFLOWS / f"{name}.jpg").read_bytes()


@pytest.mark.parametrize("name", list_workflows())
def test_a_graph_is_its_api_twin_drawn(name):
    graph = json.loads((WORKFLOWS / f"{name}.json").read_text())
    prompt = json.loads((WORKFLOWS / "api" / f"{name}.json").read_text())
    drawn = [node for node in graph["nodes"] if node["type"] != FRONTEND_ONLY]
    assert {str(node["id"]): node["type"] for node in drawn} == {
        number: node["class_type"] for number, node in prompt.items()
    }
    links = {(str(to), str(start), slot) for _, start, slot, to, _, _ in graph["links"]}
    assert links == {
        (number, *value)
        for number, node in prompt.items()
        for value in node["inputs"].values()
        if isinstance(value, list)
    }


@pytest.mark.parametrize("name", list_workflows())
def test_a_graph_says_which_pack_its_nodes_come_from(name):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    graph = json.loads((WORKFLOWS / f"{name}.json").read_text())
    ours = [node for node in graph["nodes"] if node["type"].startswith(PREFIX)]
    assert ours
    for node in ours:
        assert node["properties"]["cnr_id"] == project["name"]
        assert node["properties"]["ver"] == project["version"]


@pytest.mark.parametrize("name", list_workflows())
def test_a_graph_has_a_thumbnail_and_an_api_twin(name):
    assert (WORKFLOWS / f"{name}.jpg").stat().st_size < 100_000
    assert (WORKFLOWS / "api" / f"{name}.json").is_file()
