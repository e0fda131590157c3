"""What a resumed run says of changed settings, and what it refuses."""

import pytest

from train.changes import check_same_run, list_changes

SAVED = {
    "run": {"seed": 0, "workers": 4},
    "model": {"preset": "odvae-tiny", "overrides": {"width": 8}},
    "optimiser": {"name": "adam", "learning_rate": 1e-5, "betas": [0.9, 0.999]},
    "phases": [{"until_step": 5, "losses": {}}],
}


def change(section, **values):
    return {**SAVED, section: {**SAVED[section], **values}}


def test_changes_are_listed_item_by_item():
    now = change("optimiser", learning_rate=2e-5, betas=[0.5, 0.9])
    assert list_changes(SAVED, now) == {
        "optimiser.learning_rate": [1e-5, 2e-5],
        "optimiser.betas": [[0.9, 0.999], [0.5, 0.9]],
    }


def test_added_and_removed_items_are_listed_with_none():
    phases = [{"until_step": 7, "losses": {"adversarial": 0.5}}]
    assert list_changes({"phases": SAVED["phases"]}, {"phases": phases, "data": "a"}) == {
        "phases.0.until_step": [5, 7],
        "phases.0.losses.adversarial": [None, 0.5],
        "data": [None, "a"],
    }


def test_counts_are_no_changes():
    assert list_changes({"skipped": 1, "best": 20.0, "data": "a"}, {"data": "a"}) == {}


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (change("run", seed=1), r"run\.seed is 1; .* trained with 0: set it to that"),
        (change("model", overrides={"width": 16}), r"model\.overrides\.width is 16"),
        (change("model", overrides={"width": 8, "blocks": 1}), r"blocks is 1; .* with None"),
        (change("optimiser", name="muon"), r"optimiser\.name is 'muon'"),
    ],
)
def test_what_makes_it_another_run_is_refused(now, words):
    with pytest.raises(ValueError, match=words):
        check_same_run(SAVED, now)


@pytest.mark.parametrize(
    "now", [change("run", workers=0), change("optimiser", learning_rate=1.0), {**SAVED, "ema": {}}]
)
def test_other_settings_may_change(now):
    check_same_run(SAVED, now)
