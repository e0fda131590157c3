"""odvae_core/metrics/streaming.py: statistics gathered clip by clip equal those of all rows."""

import numpy as np
import pytest
import torch

from odvae_core.metrics import (
    SetStatistics,
    compare_sets,
    frechet_distance,
    inception_score,
    kernel_distance,
)
from odvae_core.metrics.streaming import (
    ClassEntropies,
    FeatureMoments,
    frechet_distance_of_moments,
)


def draw(count, width, seed, shift=0.0):
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(width, width, generator=generator, dtype=torch.float64)
    rows = torch.randn(count, width, generator=generator, dtype=torch.float64)
    return rows @ mixing + shift


def gather(rows, size):
    moments = FeatureMoments()
    for part in rows.split(size):
        moments.add(part)
    return moments


@pytest.mark.parametrize("size", [1, 7, 90])
def test_moments_gathered_in_parts_are_those_of_all_rows(size):
    rows = draw(90, 12, 0, shift=1000.0)
    moments = gather(rows, size)
    np.testing.assert_allclose(moments.covariance, np.cov(rows.numpy().T), rtol=1e-7)
    np.testing.assert_allclose(moments.mean, rows.mean(dim=0), rtol=1e-12)


@pytest.mark.parametrize("counts", [(90, 70), (9, 8)])  # the second: fewer rows than columns
def test_the_frechet_distance_is_that_of_all_rows(counts):
    x, y = (draw(count, 12, seed, seed) for seed, count in enumerate(counts))
    streamed = frechet_distance_of_moments(gather(x, 4), gather(y, 5))
    assert streamed == pytest.approx(frechet_distance(x, y), rel=1e-6)


def test_the_frechet_distance_is_torch_fidelitys():
    """Its formula: the trace of the root of the product by its eigenvalues, in float64."""
    x, y = draw(200, 10, 0).numpy(), draw(150, 10, 1, 0.5).numpy()
    shared = np.cov(x.T) @ np.cov(y.T)
    trace = np.sqrt(np.linalg.eigvals(shared).astype(complex)).real.sum()
    difference = x.mean(axis=0) - y.mean(axis=0)
    expected = difference @ difference + np.trace(np.cov(x.T)) + np.trace(np.cov(y.T)) - 2 * trace
    streamed = frechet_distance_of_moments(*(gather(torch.from_numpy(z), 11) for z in (x, y)))
    assert streamed == pytest.approx(expected, rel=1e-9)


def test_the_kernel_distance_is_torch_fidelitys():
    """Its polynomial kernel of degree 3, gamma 1 / D, coefficient 1, unbiased, on all rows."""
    x, y = draw(40, 8, 0).numpy(), draw(40, 8, 1, 0.5).numpy()

    def kernel(a, b):
        return (a @ b.T / a.shape[1] + 1) ** 3

    n = len(x)
    within = sum((k.sum() - np.trace(k)) / (n * (n - 1)) for k in (kernel(x, x), kernel(y, y)))
    expected = within - 2 * kernel(x, y).mean()
    given = kernel_distance(torch.from_numpy(x), torch.from_numpy(y))
    assert given == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("splits", [1, 4])
def test_the_inception_score_is_that_of_all_rows(splits):
    logits = draw(50, 9, 3)
    entropies = ClassEntropies(splits)
    for part in logits.split(7):
        entropies.add(part)
    assert entropies.score() == pytest.approx(inception_score(logits, splits), rel=1e-12)


def test_the_inception_score_is_torch_fidelitys():
    logits = draw(60, 9, 4)
    p = torch.softmax(logits, dim=1).numpy()
    parts = [p[i::3] for i in range(3)]
    scores = [np.exp((q * np.log(q / q.mean(axis=0))).sum(axis=1).mean()) for q in parts]
    entropies = ClassEntropies(3)
    entropies.add(logits)
    assert entropies.score() == pytest.approx((np.mean(scores), np.std(scores)), rel=1e-9)


def test_two_sets_are_compared_by_what_was_gathered():
    sets = SetStatistics(2), SetStatistics(2)
    for seed, one in enumerate(sets):
        for row in draw(20, 6, seed, seed).split(1):
            one.add({"i3d": row, "c3d": row})
    figures = compare_sets(*sets)
    assert sets[0].clips == 20
    assert set(figures) == {"fvd", "kvd", "inception_score", "inception_score_std"}
    assert figures["fvd"] > 0
    assert compare_sets(sets[0], sets[0])["fvd"] == pytest.approx(0, abs=1e-6)


def test_too_few_clips_and_broken_features_are_refused():
    moments = FeatureMoments()
    moments.add(torch.randn(1, 4))
    with pytest.raises(ValueError, match="got 1 clips; a distance between sets takes two"):
        frechet_distance_of_moments(moments, moments)
    with pytest.raises(ValueError, match="not finite"):
        moments.add(torch.full((1, 4), torch.nan))
    with pytest.raises(ValueError, match="got 0 clips in 10 splits"):
        ClassEntropies().score()
    with pytest.raises(ValueError, match="nan or inf"):
        ClassEntropies().add(torch.full((1, 4), torch.nan))
