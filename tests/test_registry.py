"""odvae_core/registry.py: from a name or a configuration to a network."""

import pytest

import odvae_core as odvae
from odvae_core.checkpoint.mismatch import build_empty
from odvae_core.config import to_dict
from odvae_core.registry import FAMILIES, family_of, name_preset, read_config
from tests.checkpoints import shrink
from tests.golden import find_cases, read_case

PRESETS = [(family, name) for family, item in FAMILIES.items() for name in item.presets]
PUBLISHED = {
    "keys_odvae_v100_release_json": "odvae-v1.0",
    "keys_odvae_v110": "odvae-v1.1",
    "keys_odvae_v120": "odvae-v1.2",
    "keys_odvae_variant1_fix": "odvae-variant-1",
    "keys_odvae_variant3": "odvae-variant-3",
}


@pytest.mark.parametrize(("family", "name"), PRESETS)
def test_a_preset_is_known_by_its_name_and_its_family(family, name):
    config = read_config(name)
    assert family_of(config) == family
    assert name_preset(config) == name
    assert build_empty(config).family == family


@pytest.mark.parametrize("case", [case for case in PUBLISHED if case in find_cases("keys_odvae")])
def test_a_published_configuration_is_its_preset(case):
    assert name_preset(read_config(read_case(case)[0]["config"])) == PUBLISHED[case]


def test_a_network_is_built_from_a_configuration_or_its_dict_and_can_be_trained():
    config = shrink("odvae-v1.2")
    vae = odvae.build(to_dict(config))
    assert vae.config == odvae.build(config).config == config
    assert vae.training
    assert all(parameter.requires_grad for parameter in vae.parameters())
    assert vae.provenance is None


def test_an_unknown_preset_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"got preset 'odvae-v9'; the presets are odvae-v1.0, "):
        odvae.build("odvae-v9")


def test_an_unknown_family_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"got family 'sora'; the families are odvae"):
        odvae.build("odvae-v1.2", family="sora")


@pytest.mark.parametrize("config", [None, 128, ["odvae-v1.2"]])
def test_what_is_no_configuration_is_refused(config):
    with pytest.raises(ValueError, match=r"type \w+; give a preset's name, a dict, or OdvaeConfig"):
        odvae.build(config)


def test_a_dict_with_an_unknown_field_is_refused():
    with pytest.raises(ValueError, match="no field colour"):
        odvae.build({**to_dict(shrink("odvae-v1.2")), "colour": "red"})
