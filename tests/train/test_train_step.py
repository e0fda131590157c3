"""The names of values that are not finite, which a skipped step logs."""

from train.step import name_non_finite


def test_the_terms_that_are_not_finite_are_named():
    values = {"l1": 0.5, "kl": float("inf"), "gradient": float("nan")}
    assert name_non_finite(values) == ["kl", "gradient"]
