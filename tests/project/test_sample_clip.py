"""assets/sample.mp4: what the script renders is what the repository holds."""

from pathlib import Path

import pytest
import torch

from assets.render_sample import FRAMES, HEIGHT, RATE, WIDTH, render_frame, to_video
from odvae_core.metrics import psnr
from odvae_core.video import VideoReader

SAMPLE = Path(__file__).resolve().parents[2] / "assets" / "sample.mp4"


@pytest.fixture(scope="module")
def stored():
    """The clip as the repository holds it, [1, 3, 49, 192, 320]."""
    with VideoReader(SAMPLE) as reader:
        return torch.cat([chunk.video for chunk in reader.chunks(16)], dim=2)


def test_the_sample_is_small_enough_for_the_repository():
    assert SAMPLE.stat().st_size < 500_000


def test_the_sample_has_the_shape_and_rate_that_its_script_states(stored):
    assert stored.shape == (1, 3, FRAMES, HEIGHT, WIDTH)
    assert VideoReader(SAMPLE).fps == RATE


def test_the_sample_is_legal_for_the_encoder_as_it_is():
    assert FRAMES % 4 == 1
    assert (HEIGHT % 8, WIDTH % 8) == (0, 0)


@pytest.mark.parametrize("index", [0, 30, FRAMES - 1])
def test_a_frame_rendered_again_is_the_stored_one(stored, index):
    assert psnr(stored[:, :, index : index + 1], to_video(render_frame(index))).item() > 32


def test_the_sample_moves_and_is_textured(stored):
    assert stored.diff(dim=2).abs().mean(dim=(0, 1, 3, 4)).min() > 0.02
    assert stored.diff(dim=4).abs().mean() > 0.03
