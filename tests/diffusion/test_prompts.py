"""Prompts and negative prompts of the released pipelines, against the recorded results."""

import json

import pytest

from odvae_core.diffusion.prompts import PIPELINES
from tests.diffusion.test_captions import RECORDS

RECORDED = {
    case["input"].strip(): case["output"]
    for case in json.loads((RECORDS / "captions_v1.2.0.json").read_text(encoding="utf-8"))["cases"]
}


def test_the_quality_words_of_v1_2_are_those_that_were_recorded():
    recorded = next(output for text, output in RECORDED.items() if "(masterpiece)" in text)
    faults = next(output for text, output in RECORDED.items() if text.startswith("nsfw"))
    pipeline = PIPELINES["v1.2 with quality words"]
    prompt = "A cat sits on a red sofa, 4k, shot on 35mm film"
    assert pipeline.prepare(prompt, "", clean=True) == (recorded, faults)
    assert pipeline.prepare(prompt, "a dog", clean=True)[1] == f"{faults} a dog"


@pytest.mark.parametrize("name", [name for name in PIPELINES if "quality" not in name])
def test_a_prompt_is_cleaned_and_nothing_is_added(name):
    texts = PIPELINES[name].prepare("A CAT, playing (piano)!", "", clean=True)
    assert texts == ("a cat, playing piano !", "")


def test_without_cleaning_a_prompt_is_in_lower_case():
    texts = PIPELINES["v1.1"].prepare(" A CAT (sitting)", "A dog", clean=False)
    assert texts == ("a cat (sitting)", "a dog")
