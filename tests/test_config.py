"""odvae_core/config.py and families/odvae_config.py"""

import json
from dataclasses import replace

import pytest

from odvae_core.config import from_dict, to_dict
from odvae_core.families.odvae_config import PRESETS, Level, OdvaeConfig


@pytest.mark.parametrize("name", PRESETS)
def test_a_configuration_comes_back_from_json(name):
    fields = json.loads(json.dumps(to_dict(PRESETS[name])))
    assert from_dict(OdvaeConfig, fields) == PRESETS[name]


def test_an_unknown_field_is_an_error_that_names_the_known_ones():
    with pytest.raises(ValueError, match=r"no field colour.*width"):
        from_dict(OdvaeConfig, {**to_dict(PRESETS["odvae-v1.2"]), "colour": "red"})


def test_a_missing_field_is_an_error_that_names_it():
    with pytest.raises(ValueError, match="levels"):
        from_dict(OdvaeConfig, {"width": 32})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"norm": "batch"}, "got norm = 'batch'; it is one of 'clip', 'frame'"),
        ({"width": 48}, "norm_groups = 32 must divide it"),
        ({"encoder_attention": "none"}, "got encoder_attention = 'none'"),
    ],
)
def test_a_value_that_builds_no_network_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        replace(PRESETS["odvae-v1.2"], **change)


def test_an_encoder_and_a_decoder_of_different_compression_are_refused():
    levels = list(PRESETS["odvae-v1.2"].levels)
    levels[1] = Level(2, "2d", "frame", "", "3d", "space", "")
    with pytest.raises(ValueError, match="halves time 1 times but the decoder doubles it 2 times"):
        OdvaeConfig(tuple(levels))


def test_a_last_level_that_halves_is_refused():
    levels = (*PRESETS["odvae-v1.2"].levels[:3], Level(4, "3d", "joint", "", "3d", "joint", ""))
    with pytest.raises(ValueError, match="last level halves nothing"):
        OdvaeConfig(levels)


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("width", 0, "a whole number from 1 to 65536"),
        ("width", [128], "a whole number from 1 to 65536"),
        ("blocks", -1, "a whole number from 1 to 65536"),
        ("z_channels", 1.5, "a whole number from 1 to 65536"),
        ("z_channels", True, "a whole number from 1 to 65536"),
        ("attention_resolutions", 32, "a list, each item a whole number"),
        ("levels", [], "a list of at least one Level"),
        ("levels", ["2d"], "a list of at least one Level"),
        ("levels", {}, "a list of at least one Level"),
        ("norm", ["clip"], "it is one of 'clip', 'frame'"),
    ],
)
def test_a_value_of_another_kind_is_refused_with_the_rule(field, value, rule):
    with pytest.raises(ValueError, match=rf"got {field} = .*{rule}"):
        from_dict(OdvaeConfig, {**to_dict(PRESETS["odvae-v1.2"]), field: value})


def test_a_count_that_no_network_has_is_refused_before_anything_is_built():
    with pytest.raises(ValueError, match="got blocks = 1000000000; it is a whole number from 1 to"):
        replace(PRESETS["odvae-v1.2"], blocks=10**9)
