"""Compare Videos measures a clip against its reference and shows the difference."""

import pytest
import torch

from odvae_core import metrics
from tests.comfyui.graph import Graph
from tests.comfyui.tensors import CLOSE, make_frames, to_video

pytestmark = pytest.mark.comfyui


def compare(comfy, reference, image, **inputs):
    graph = Graph()
    node = graph.add(
        "ODVAECompareVideos",
        reference=graph.add("TestImage", file=comfy.put(reference)),
        image=graph.add("TestImage", file=comfy.put(image)),
        **inputs,
    )
    for slot, name in enumerate(["report", "plot", "beside", "psnr"]):
        graph.add("TestDump", value=node[slot], name=name)
    return comfy.run(graph), node


def test_the_measures_are_the_core_s_over_more_frames_than_are_measured_at_once(comfy):
    reference = make_frames(20)
    image = (reference + 0.1 * make_frames(21)[1:]).clamp(0, 1)
    run, node = compare(comfy, reference, image)
    assert run.status == "success", run.message
    (report,) = run.outputs[node]["text"]
    videos = to_video(image), to_video(reference)
    means = [float(measure(*videos).mean()) for measure in (metrics.psnr, metrics.ssim)]
    change = float(metrics.flicker(*videos).mean())
    assert f"PSNR {means[0]:.2f} dB, SSIM {means[1]:.4f}, flicker {change:.5f}" in report
    assert len(report.splitlines()) == 2 + 20


def test_the_difference_is_amplified_beside_both_clips(comfy):
    reference, image = make_frames(3), make_frames(4)[1:]
    run, node = compare(comfy, reference, image, amplify=2.0)
    assert run.status == "success", run.message
    difference = ((image - reference).abs() * 2).clamp(0, 1)
    expected = torch.cat([reference, image, difference], dim=2)
    torch.testing.assert_close(comfy.take("beside"), expected, **CLOSE)
    plot = comfy.take("plot")
    assert plot.shape[0] == 1
    assert plot.std() > 0.05
    assert [picture["type"] for picture in run.outputs[node]["images"]] == ["temp"]


def test_identical_clips_count_as_100_db(comfy):
    image = make_frames(1)
    run, node = compare(comfy, image, image)
    assert run.status == "success", run.message
    assert "PSNR 100.00 dB, SSIM 1.0000" in run.outputs[node]["text"][0]


def test_clips_of_different_sizes_are_refused_in_words(comfy):
    run, _ = compare(comfy, make_frames(5), make_frames(4))
    assert "5 frames of 32x32 and an image of 4 frames" in run.error["exception_message"]
