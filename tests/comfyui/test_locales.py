"""Tooltips, help pages and both languages of every node, as ComfyUI serves them."""

import json
import re

import pytest

from tests.comfyui.server import ROOT

pytestmark = pytest.mark.comfyui
IDS = {
    "ODVAELoad",
    "ODVAETemporalTiledEncode",
    "ODVAETemporalTiledDecode",
    "ODVAEEncodeVideoFile",
    "ODVAEDecodeToVideoFile",
    "ODVAETailInflate",
    "ODVAECompareVideos",
    "ODVAEEmptyLatent",
    "ODVAEFramesToLatentVideo",
    "ODVAELatentVideoToFrames",
    "ODVAELoadDiffusionModel",
    "ODVAETextEncode",
    "ODVAELoadMT5",
    "ODVAELatteClass",
    "ODVAESampler",
    "ODVAESigmas",
}
LANGUAGES = ("en", "zh")
CHINESE = re.compile(r"[\u4e00-\u9fff]")


@pytest.fixture(scope="module")
def info(comfy):
    nodes = comfy.get("/object_info")
    return {name: nodes[name] for name in nodes if name.startswith("ODVAE")}


def list_inputs(node):
    """Name and description of every input, whatever its group."""
    groups = (node["input"].get(group, {}) for group in ("required", "optional"))
    return {name: spec for group in groups for name, spec in group.items()}


def read_node_texts(node):
    """A node's texts from its schema, in the form of a locale file."""
    inputs = {
        name: {"name": spec[1].get("display_name", name), "tooltip": spec[1]["tooltip"]}
        for name, spec in list_inputs(node).items()
    }
    named = zip(node["output_name"], node["output_tooltips"], strict=True)
    outputs = {str(i): {"name": name, "tooltip": tip} for i, (name, tip) in enumerate(named)}
    words = {"display_name": node["display_name"], "description": node["description"]}
    return words | {"inputs": inputs, "outputs": outputs}


def without_options(words):
    inputs = {
        name: {key: text for key, text in given.items() if key != "options"}
        for name, given in words["inputs"].items()
    }
    return words | {"inputs": inputs}


def read_locale(language):
    return json.loads((ROOT / "locales" / language / "nodeDefs.json").read_text(encoding="utf-8"))


def test_the_pack_loads_with_all_its_nodes(comfy, info):
    assert set(info) == IDS
    assert "IMPORT FAILED" not in comfy.read_log()
    assert {node["category"] for node in info.values()} == {"OD-VAE"}


def test_every_input_and_output_has_a_tooltip(info):
    for node in info.values():
        assert node["description"]
        assert all(spec[1]["tooltip"] for spec in list_inputs(node).values())
        assert all(node["output_tooltips"])


def test_rare_options_are_marked_and_nodes_have_aliases_where_the_version_knows_them(info):
    rare = {
        name
        for node in info.values()
        for name, spec in list_inputs(node).items()
        if spec[1].get("advanced")
    }
    assert rare == {"latents_4d", "overlap", "seed", "quality", "overwrite", "amplify"}
    if any("search_aliases" in node for node in info.values()):
        assert all(node["search_aliases"] for node in info.values())


def test_the_seed_stays_as_it_is_from_run_to_run(info):
    seed = list_inputs(info["ODVAETemporalTiledEncode"])["seed"][1]
    assert seed["control_after_generate"] is False


def test_the_english_locale_is_what_the_schemas_say(info):
    assert {name: read_node_texts(node) for name, node in info.items()} == {
        name: without_options(words) for name, words in read_locale("en").items()
    }


def test_the_chinese_locale_says_the_same_in_chinese(info):
    chinese, english = read_locale("zh"), read_locale("en")
    assert chinese.keys() == english.keys()
    for name, words in chinese.items():
        assert words["inputs"].keys() == english[name]["inputs"].keys()
        assert words["outputs"].keys() == english[name]["outputs"].keys()
        assert CHINESE.search(words["description"])
        for part in ("inputs", "outputs"):
            assert all(CHINESE.search(given["tooltip"]) for given in words[part].values())


@pytest.mark.parametrize("language", LANGUAGES)
def test_options_are_translated_by_the_values_that_exist(info, language):
    for name, words in read_locale(language).items():
        for given, spec in list_inputs(info[name]).items():
            translated = words["inputs"][given].get("options")
            if translated:
                values = spec[1].get("options") or spec[0]
                assert sorted(translated) == sorted(values)


def test_comfyui_serves_both_languages(comfy):
    served = comfy.get("/i18n")
    for language in LANGUAGES:
        assert served[language]["nodeDefs"]["ODVAELoad"] == read_locale(language)["ODVAELoad"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_comfyui_serves_a_help_page_for_every_node_with_its_pictures(comfy, language):
    for name in IDS:
        page = comfy.get(f"/extensions/odvae/docs/{name}/{language}.md").decode()
        assert page.startswith("# ")
        assert bool(CHINESE.search(page)) is (language == "zh")
        for picture in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", page):
            assert comfy.get(f"/extensions/odvae/docs/{name}/{picture}").startswith(b"\x89PNG")


def test_a_load_format_waits_for_video_helper_suite(comfy):
    served = comfy.get("/object_info/TestVhsFormats")["TestVhsFormats"]
    options = list_inputs(served)["format"]
    assert "OD-VAE" in (options[1].get("options") or options[0])
