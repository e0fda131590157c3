"""The protocol: validation and text."""

import pytest

from odvae_core.evaluation import Protocol


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"crops": 6}, "a piece has 5: increase the pieces"),
        ({"frames": 1}, "give 2 or more"),
        ({"size": 8}, "SSIM takes sides of 11"),
        ({"size": 64, "short_sides": (128, 32)}, "short side of 32.*lower the size from 64"),
        ({"short_sides": (256, 256)}, "give each once"),
        ({"stride": 0}, "got stride = 0; give integers of 1 or more"),
    ],
)
def test_a_protocol_that_no_clip_can_meet_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        Protocol(**values)


def test_the_short_side_is_the_crops_own_size_where_none_is_named():
    assert Protocol(size=64).sides == (64,)
    assert Protocol(size=64, short_sides=(80, 96)).sides == (80, 96)


def test_a_protocol_is_one_line():
    line = Protocol(
        frames=17, size=64, short_sides=(80, 96), stride=3, crops=2, pieces=4
    ).describe()
    for words in ("17x64x64", "short side 80, 96", "stride 3", "crops 2", "pieces 4", "100 dB"):
        assert words in line
    assert "\n" not in line


def test_a_protocol_survives_json():
    protocol = Protocol(frames=5, size=16, short_sides=(20, 24))
    assert Protocol.from_dict(protocol.to_dict()) == protocol
