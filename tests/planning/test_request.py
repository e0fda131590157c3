"""odvae_core/planning/request.py: what may be asked for."""

import pytest

from odvae_core.planning import Request
from tests.planning.networks import make_vae


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"strategy": "half"}, r"got schedule 'half'; it is one of auto, whole, paper, published"),
        ({"strategy": "whole", "frames": 9}, r"frames = 9, but schedule 'whole' takes none"),
        ({"strategy": "published", "frames": 9}, r"schedule 'published' takes none"),
        ({"frames": 6}, r"got frames = 6; pieces have 1 \+ 4k frames, at least 5: try 5 or 9"),
        ({"frames": 1}, r"got frames = 1; .*try 5 or 9"),
        ({"frames": -3}, r"got frames = -3; .*try 5 or 9"),
        ({"overlap": 32}, r"got an overlap of 32 without tiles: set a tile"),
        (
            {"tile": 64, "overlap": 64},
            r"got tiles of 64 pixels that overlap by 64; .*try 256 and 32",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_words(given, message):
    with pytest.raises(ValueError, match=message):
        Request(**given)


def test_sizes_that_do_not_suit_a_network_are_refused():
    coder = make_vae("odvae-v1.2").decoder_pass()
    with pytest.raises(ValueError, match=r"got tiles of 100 pixels .*multiples of 8: try 96 and 8"):
        Request("auto", None, 100, 12).check_coder(coder)
    Request("auto", 9, 96, 8).check_coder(coder)
