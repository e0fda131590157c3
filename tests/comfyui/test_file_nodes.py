"""Encode Video File and Decode to Video File: from and to disk, with times, audio and the graph."""

import json
from fractions import Fraction

import av
import pytest
import torch

from odvae_core import Stream, Sweep, Windows
from odvae_core.padding import ClipSize, crop, pad
from odvae_core.video import VideoReader, VideoWriter, read_video
from tests.comfyui.graph import Graph
from tests.comfyui.tensors import CLOSE, assert_holds, make_frames, make_latent, to_video

pytestmark = pytest.mark.comfyui
STREAM, CLIP = "stream.safetensors", "clip.safetensors"
RATE = Fraction(12)


def write_tone(path, seconds=1.0, rate=44100):
    """A file that holds a tone and nothing else."""
    wave = torch.sin(torch.arange(int(seconds * rate)) * 0.06).mul(8000).short()
    with av.open(str(path), "w") as output:
        stream = output.add_stream("aac", rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(wave[None].numpy(), format="s16", layout="mono")
        frame.sample_rate = rate
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            output.mux(packet)


@pytest.fixture(scope="module")
def clip(comfy, tmp_path_factory):
    """A clip of 11 frames of uneven length, 36 x 50, with a tone, in ComfyUI's input folder."""
    tone = tmp_path_factory.mktemp("tone") / "tone.m4a"
    write_tone(tone)
    path = comfy.base / "input/clip.mp4"
    times = [Fraction(i * i + 10 * i, 240) for i in range(11)]
    with VideoWriter(path, (36, 50), RATE, quality=1, audio_from=tone) as writer:
        writer.write(to_video(make_frames(11, 36, 50)), times)
    return path


def add_round(graph, vae, source, encode=(), decode=()):
    latent = graph.add("ODVAEEncodeVideoFile", video=source, vae=vae, **dict(encode))
    return latent, graph.add("ODVAEDecodeToVideoFile", latent=latent, vae=vae, **dict(decode))


def find_file(comfy, run, node):
    (saved,) = run.outputs[node]["images"]
    assert saved["type"] == "output"
    return comfy.base / "output" / saved["subfolder"] / saved["filename"]


@pytest.mark.parametrize(
    ("checkpoint", "cut", "schedule"),
    [
        (STREAM, {"schedule": "auto"}, Stream(33)),
        (CLIP, {"schedule": "auto"}, Windows(33)),
        (CLIP, {"schedule": "paper", "frames": 9}, Windows(9)),
        (CLIP, {"schedule": "exact", "frames": 5}, Sweep(5)),
        (CLIP, {"schedule": "stream", "frames": 5}, Stream(5)),
    ],
)
def test_a_file_is_encoded_and_decoded_as_the_core_does(
    comfy, networks, clip, tmp_path, checkpoint, cut, schedule
):
    graph, network = Graph(), networks[checkpoint]
    vae = graph.add("ODVAELoad", checkpoint=checkpoint)
    source = graph.add("LoadVideo", file=clip.name)
    latent, film = add_round(graph, vae, source, cut, {"quality": 0, **cut})
    graph.add("TestDump", value=latent, name="latent")
    run = comfy.run(graph)
    assert run.status == "success", run.message
    video = pad(read_video(clip), network)
    with torch.inference_mode():
        expected = network.encode(video, schedule).mode()
        decoded = crop(network.decode(expected, schedule), ClipSize(11, 36, 50)).clamp(-1, 1)
    torch.testing.assert_close(comfy.take("latent"), expected, **CLOSE)
    assert_holds(find_file(comfy, run, film), decoded, tmp_path)


def test_times_sound_and_graph_come_along(comfy, clip):
    graph = Graph()
    vae = graph.add("ODVAELoad", checkpoint=STREAM)
    _, film = add_round(graph, vae, graph.add("LoadVideo", file=clip.name))
    workflow = {"nodes": [], "version": 0.4}
    run = comfy.run(graph, extra_pnginfo={"workflow": workflow})
    assert run.status == "success", run.message
    path = find_file(comfy, run, film)
    with VideoReader(clip) as before, VideoReader(path) as after:
        times = [[t for chunk in r.chunks(4) for t in chunk.times] for r in (before, after)]
    assert [float(t) for t in times[1]] == pytest.approx([float(t) for t in times[0]], abs=1e-3)
    with av.open(str(path)) as file:
        assert [stream.codec_context.name for stream in file.streams.audio] == ["aac"]
        assert json.loads(file.metadata["workflow"]) == workflow
        assert json.loads(file.metadata["prompt"])[film]["class_type"] == "ODVAEDecodeToVideoFile"


def test_a_trimmed_video_is_encoded_as_trimmed(comfy, clip, networks):
    if "Video Slice" not in comfy.get("/object_info"):
        pytest.skip("this ComfyUI can't trim a video without decoding it")
    graph, network = Graph(), networks[STREAM]
    source = graph.add("LoadVideo", file=clip.name)
    window = {"start_time": 0.2, "duration": 0.3, "strict_duration": False}
    sliced = graph.add("Video Slice", video=source, **window)
    vae = graph.add("ODVAELoad", checkpoint=STREAM)
    latent, film = add_round(graph, vae, sliced)
    graph.add("TestDump", value=latent, name="latent")
    run = comfy.run(graph)
    assert run.status == "success", run.message
    with VideoReader(clip) as reader:
        times = [time for chunk in reader.chunks(4) for time in chunk.times]
    kept = [i for i, time in enumerate(times) if 0.2 <= time < 0.5]
    video = read_video(clip)[:, :, kept[0] : kept[-1] + 1]
    expected = network.encode(pad(video, network)).mode()
    torch.testing.assert_close(comfy.take("latent"), expected, **CLOSE)
    with av.open(str(find_file(comfy, run, film))) as file:
        assert file.streams.video[0].frames == len(kept)
        assert float(file.streams.audio[0].duration * file.streams.audio[0].time_base) < 0.4


def test_a_video_in_memory_keeps_its_rate_and_its_sound(comfy):
    graph = Graph()
    vae = graph.add("ODVAELoad", checkpoint=STREAM)
    image = graph.add("TestImage", file=comfy.put(make_frames(13)))
    source = graph.add("TestVideo", image=image, fps=12)
    latent, film = add_round(graph, vae, source)
    graph.add("TestDump", value=latent, name="latent")
    run = comfy.run(graph)
    assert run.status == "success", run.message
    with av.open(str(find_file(comfy, run, film))) as file:
        assert len(file.streams.audio) == 1
        assert file.streams.video[0].average_rate == 12
        assert file.streams.video[0].frames == 13


def test_a_latent_that_knows_no_video_is_decoded_at_24_frames_a_second_or_as_told(comfy, clip):
    graph = Graph()
    vae = graph.add("ODVAELoad", checkpoint=STREAM)
    latent = graph.add("TestLatent", file=comfy.put(make_latent(3)))
    source = graph.add("LoadVideo", file=clip.name)
    prefix = {"filename_prefix": "plain/film"}
    add = graph.add
    films = [
        add("ODVAEDecodeToVideoFile", latent=latent, vae=vae, **prefix),
        add("ODVAEDecodeToVideoFile", latent=latent, vae=vae, fps=30.0, **prefix),
        add("ODVAEDecodeToVideoFile", latent=latent, vae=vae, fps=9.0, video=source, **prefix),
    ]
    run = comfy.run(graph)
    assert run.status == "success", run.message
    found = []
    for film in films:
        with av.open(str(find_file(comfy, run, film))) as file:
            found.append((file.streams.video[0].average_rate, len(file.streams.audio)))
    assert found == [(24, 0), (30, 0), (9, 1)]


def test_a_written_video_goes_on_into_the_core_s_own_nodes(comfy, clip):
    graph = Graph()
    vae = graph.add("ODVAELoad", checkpoint=STREAM)
    _, film = add_round(graph, vae, graph.add("LoadVideo", file=clip.name))
    parts = graph.add("GetVideoComponents", video=film)
    graph.add("TestDump", value=parts, name="frames")
    run = comfy.run(graph)
    assert run.status == "success", run.message
    assert comfy.take("frames").shape == (11, 36, 50, 3)


def test_the_same_seed_samples_the_same_latent_by_file_and_by_frames(comfy, clip, networks):
    graph = Graph()
    vae = graph.add("ODVAELoad", checkpoint=STREAM)
    draw = {"posterior": "sample", "seed": 3}
    source = graph.add("LoadVideo", file=clip.name)
    latent = graph.add("ODVAEEncodeVideoFile", video=source, vae=vae, frames=5, **draw)
    graph.add("TestDump", value=latent, name="latent")
    assert comfy.run(graph).status == "success"
    network = networks[STREAM]
    posterior = network.encode(pad(read_video(clip), network))
    expected = posterior.sample(torch.Generator().manual_seed(3))
    torch.testing.assert_close(comfy.take("latent"), expected, **CLOSE)


def test_a_cancel_leaves_no_file(comfy, clip):
    graph = Graph()
    vae = graph.add("ODVAELoad", checkpoint=STREAM)
    latent = graph.add("TestLatent", file=comfy.put(make_latent(9, 12, 12)))
    prefix = {"filename_prefix": "cancelled/film", "schedule": "stream", "frames": 5}
    film = graph.add("ODVAEDecodeToVideoFile", latent=latent, vae=vae, **prefix)
    run = comfy.run(graph, on_progress=lambda event: comfy.interrupt())
    assert run.progress_of(film)
    assert "exception_message" not in run.error
    assert not list((comfy.base / "output/cancelled").iterdir())


def test_out_of_memory_starts_the_file_again_with_a_smaller_cut(comfy, clip, networks):
    graph = Graph()
    vae = graph.add("ODVAELoad", checkpoint=STREAM)
    short = graph.add("TestOutOfMemory", vae=vae, limit=9)
    latent, film = add_round(graph, short, graph.add("LoadVideo", file=clip.name))
    graph.add("TestDump", value=latent, name="latent")
    run = comfy.run(graph)
    assert run.status == "success", run.message
    network = networks[STREAM]
    expected = network.encode(pad(read_video(clip), network)).mode()
    torch.testing.assert_close(comfy.take("latent"), expected, **CLOSE)
    assert read_video(find_file(comfy, run, film)).shape[2] == 11


def test_several_clips_are_refused_in_words(comfy):
    graph = Graph()
    vae = graph.add("ODVAELoad", checkpoint=STREAM)
    latent = graph.add("TestLatent", file=comfy.put(torch.cat([make_latent(1), make_latent(1)])))
    graph.add("ODVAEDecodeToVideoFile", latent=latent, vae=vae)
    assert "a video file contains one" in comfy.run(graph).error["exception_message"]
