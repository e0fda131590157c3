"""Distances of feature sets and the Inception Score, against closed forms and naive loops."""

import math

import pytest
import torch

from odvae_core.metrics import frechet_distance, inception_score, kernel_distance


@pytest.fixture
def sets():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(40, 6, generator=generator)
    mixing = torch.randn(6, 6, generator=generator)
    return x, torch.randn(30, 6, generator=generator) @ mixing + 0.5


def make_exact(features, mean, deviations):
    """Features with exactly this mean and this diagonal covariance over N - 1."""
    centred = features.double() - features.double().mean(dim=0)
    white = torch.linalg.qr(centred).Q * (len(features) - 1) ** 0.5
    return white * deviations + mean


def root(matrix):
    values, vectors = torch.linalg.eigh(matrix)
    return vectors @ values.clamp(min=0).sqrt().diag() @ vectors.T


def test_gaussians_along_the_same_axes_have_the_textbook_distance():
    """|0 - m|^2 + sum (s - t)^2, by hand: 9 + 16 + (1 - 2)^2 + (3 - 5)^2 = 30."""
    noise = torch.randn(2, 50, 2, generator=torch.Generator().manual_seed(0))
    x = make_exact(noise[0], torch.tensor([0.0, 0.0]), torch.tensor([1.0, 3.0]))
    y = make_exact(noise[1], torch.tensor([3.0, 4.0]), torch.tensor([2.0, 5.0]))
    assert frechet_distance(x, y) == pytest.approx(30, abs=1e-10)


def test_the_frechet_distance_is_that_of_the_matrix_square_root(sets):
    x, y = (features.double() for features in sets)
    covariance, other = x.T.cov(), y.T.cov()
    middle = root(root(covariance) @ other @ root(covariance))
    expected = (x.mean(0) - y.mean(0)).square().sum()
    expected += (covariance + other - 2 * middle).trace()
    assert frechet_distance(*sets) == pytest.approx(expected.item(), rel=1e-10)


def test_fewer_clips_than_features_give_the_distance_of_their_flat_gaussians():
    """Rank one each: sqrt(Sx Sy) has the trace |u.v| where Sx = u u' and Sy = v v'."""
    x = torch.tensor([[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]])
    y = torch.tensor([[3.0, 4.0, 0.0], [-3.0, -4.0, 0.0]])
    expected = 2 * 1 + 2 * 25 - 2 * (2**0.5 * 3 * 2**0.5)
    assert frechet_distance(x, y) == pytest.approx(expected, abs=1e-12)


def test_a_set_has_no_frechet_distance_from_itself_and_a_shift_costs_its_square(sets):
    x, _ = sets
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-10)
    assert frechet_distance(x, x.double() + 2) == pytest.approx(6 * 4, abs=1e-10)


@pytest.mark.parametrize("distance", [frechet_distance, kernel_distance])
def test_a_distance_is_the_same_from_both_sides(distance, sets):
    assert distance(*sets) == pytest.approx(distance(*reversed(sets)), rel=1e-12)
    assert distance(*sets) > 0


@pytest.mark.parametrize("distance", [frechet_distance, kernel_distance])
def test_half_precision_features_are_compared_in_float64(distance, sets):
    halves = [features.half() for features in sets]
    assert distance(*halves) == distance(*(features.double() for features in halves))


def test_the_kernel_distance_is_the_naive_sum_over_pairs(sets):
    x, y = (features.double().tolist() for features in sets)

    def kernel(a, b):
        return (sum(p * q for p, q in zip(a, b, strict=True)) / 6 + 1) ** 3

    def within(rows):
        pairs = [(a, b) for i, a in enumerate(rows) for j, b in enumerate(rows) if i != j]
        return sum(kernel(a, b) for a, b in pairs) / len(pairs)

    across = sum(kernel(a, b) for a in x for b in y) / (len(x) * len(y))
    expected = within(x) + within(y) - 2 * across
    assert kernel_distance(*sets) == pytest.approx(expected, rel=1e-10)


def test_the_kernel_distance_is_unbiased_so_halves_of_one_set_are_0_on_average():
    features = torch.randn(2000, 2, 20, 3, generator=torch.Generator().manual_seed(0))
    distances = torch.tensor([kernel_distance(x, y) for x, y in features])
    assert distances.min() < 0 < distances.max()
    assert abs(distances.mean()) < 4 * distances.std() / len(distances) ** 0.5


@pytest.mark.parametrize("distance", [frechet_distance, kernel_distance])
@pytest.mark.parametrize(("x", "y"), [((1, 4), (5, 4)), ((5, 4), (5, 3)), ((5, 4, 2), (5, 4))])
def test_sets_without_a_distance_are_refused(distance, x, y):
    with pytest.raises(ValueError, match="two rows or more"):
        distance(torch.zeros(x), torch.zeros(y))


@pytest.mark.parametrize("distance", [frechet_distance, kernel_distance])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_value_that_is_not_finite_is_refused(distance, value):
    broken = torch.zeros(3, 2)
    broken[1, 1] = value
    with pytest.raises(ValueError, match="not finite"):
        distance(torch.zeros(3, 2), broken)


def test_the_inception_score_of_uniform_classes_is_1():
    assert inception_score(torch.zeros(40, 7)) == (pytest.approx(1.0), pytest.approx(0.0))


def test_the_inception_score_of_sure_and_balanced_classes_is_their_number():
    logits = torch.eye(5).repeat_interleave(20, dim=0) * 1000
    assert inception_score(logits, splits=4) == (pytest.approx(5.0), pytest.approx(0.0))


def test_the_inception_score_of_a_hand_computed_pair():
    """Chances (3/4, 1/4) and (1/4, 3/4): KL from (1/2, 1/2) is 3/4 ln 3/2 + 1/4 ln 1/2."""
    logits = torch.tensor([[0.75, 0.25], [0.25, 0.75]]).log()
    expected = math.exp(0.75 * math.log(1.5) + 0.25 * math.log(0.5))
    assert inception_score(logits, splits=1) == (pytest.approx(expected), 0.0)


def test_the_splits_of_an_inception_score_take_turns_and_give_mean_and_deviation():
    """Even rows show two sure classes, odd ones a single one: scores of 2 and 1."""
    logits = torch.tensor([[1e3, 0.0], [1e3, 0.0], [0.0, 1e3], [1e3, 0.0]])
    assert inception_score(logits, splits=2) == (pytest.approx(1.5), pytest.approx(0.5))


def test_a_class_that_is_impossible_costs_nothing():
    logits = torch.tensor([[0.5, 0.5, 0.0], [0.5, 0.5, 0.0]]).log()
    assert inception_score(logits, splits=1)[0] == pytest.approx(1.0)


@pytest.mark.parametrize(("shape", "splits"), [((3, 4), 4), ((3, 4), 0), ((3,), 1)])
def test_splits_without_a_row_are_refused(shape, splits):
    with pytest.raises(ValueError, match=f"in {splits} splits"):
        inception_score(torch.zeros(shape), splits)


def test_logits_that_are_not_numbers_are_refused():
    with pytest.raises(ValueError, match="logits of nan or inf"):
        inception_score(torch.tensor([[0.0, math.nan]]), 1)
