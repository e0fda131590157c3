"""Caption cleaning against the recorded results of the authors' pipelines."""

import json
import sys
from pathlib import Path

import pytest

from odvae_core.diffusion.captions import clean_caption, lower_caption

RECORDS = Path(__file__).parents[2] / "tests/data/golden_diffusion"
VERSIONS = {"v1.1.0": False, "v1.2.0": True}
"""The pipelines whose results were recorded, and whether they keep Chinese characters."""


def list_cases():
    cases = []
    for version, keep in VERSIONS.items():
        recorded = json.loads((RECORDS / f"captions_{version}.json").read_text(encoding="utf-8"))
        cases += [(case, keep) for case in recorded["cases"]]
    return cases


@pytest.mark.parametrize(("case", "keep_chinese"), list_cases())
def test_a_caption_is_cleaned_as_recorded(case, keep_chinese):
    assert clean_caption(case["input"], keep_chinese) == case["output"]
    assert lower_caption(case["input"]) == case["no_clean"]


@pytest.mark.parametrize(
    ("caption", "cleaned"),
    [
        ("look at www.example.com/a-page now", "look at now"),
        ("a dog <b>runs</b> &amp; jumps", "a dog runs jumps"),
        ("by @somebody, 12345678 likes", "by , likes"),
        ("at 192.168.0.1 it rains", "at it rains"),
        ("free shipping: click on this, a red car page 3", "a red car"),
        ("model jc6640 on a table", "model on a table"),
        ("two+words%20and caf%C3%A9", "two words and caf\u00e9"),
        ("a \ufb01ne day", "a fine day"),
        ("'a quoted line'", "a quoted line"),
    ],
)
def test_addresses_codes_and_adverts_are_removed(caption, cleaned):
    assert clean_caption(caption, keep_chinese=False) == cleaned


@pytest.mark.parametrize("package", ["bs4", "ftfy"])
def test_without_its_packages_cleaning_is_refused(package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=f"needs {package}: pip install .* or choose no cleaning"):
        clean_caption("a cat", keep_chinese=True)
    assert lower_caption(" A cat ") == "a cat"
