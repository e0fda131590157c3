"""A folder of clips and its latents, written once; tests only add manifests to the clips."""

import pytest

from tests.dataset.encoding import FRAMES, PICTURE, call
from tests.media import draw_noise, make_clip


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Three clips of noise and a picture, of sizes and lengths that the encoder doesn't take."""
    place = tmp_path_factory.mktemp("clips")
    (place / "deep").mkdir()
    for name, frames in FRAMES.items():
        make_clip(place / name, draw_noise(frames, 20, 36))
    make_clip(place / PICTURE, draw_noise(1, 18, 26), codec="png", pix_fmt="rgb24")
    return place


@pytest.fixture(scope="session")
def encoded(folder, tmp_path_factory):
    """The whole folder, encoded by one process."""
    place = tmp_path_factory.mktemp("encoded") / "latents"
    assert call("encode-dataset", folder, place, "--device", "cpu") == 0
    return place
