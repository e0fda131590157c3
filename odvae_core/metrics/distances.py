"""Distances between sets of clips, from one row of features per clip; in float64.

The module `features` computes the features for FVD, KVD and the video Inception Score.
"""

import torch
from torch import Tensor


def frechet_distance(x: Tensor, y: Tensor) -> float:
    """The Frechet distance between the Gaussians of two sets of features [N, D] and [M, D].

    |mean x - mean y|^2 + tr(Sx + Sy - 2 (Sx Sy)^(1/2)), with covariances over N - 1 and M - 1.
    Heusel et al. 2017, eq. 6; Unterthiner et al. 2018 with I3D features. With fewer rows than
    columns the covariances are rank-deficient: the distance is defined, but far too large.
    ValueError: sets of fewer than two rows, of different widths, or with non-finite values.
    """
    x, y = check_features(x, y)
    means = (x.mean(dim=0) - y.mean(dim=0)).square().sum()
    x, y = (covariance_root(features) for features in (x, y))
    # Sx = x'x and Sy = y'y, so the eigenvalues of (Sx Sy)^(1/2) are the singular values of x y'.
    shared = torch.linalg.svdvals(x @ y.T).sum()
    return (means + x.square().sum() + y.square().sum() - 2 * shared).item()


def covariance_root(features: Tensor) -> Tensor:
    """[N, D] -> a triangular matrix R [min(N, D), D] such that R'R is the covariance."""
    centred = (features - features.mean(dim=0)) / (len(features) - 1) ** 0.5
    return torch.linalg.qr(centred, mode="r").R


def kernel_distance(x: Tensor, y: Tensor) -> float:
    """The kernel distance of two sets of features [N, D] and [M, D]; unbiased, so it may be
    negative.

    The squared maximum mean discrepancy with the kernel (a.b / D + 1)^3 (Binkowski et al. 2018, eq.
    3 and 4; KVD in Unterthiner et al. 2018), over all pairs of rows instead of random subsets.
    ValueError as in `frechet_distance`.
    """
    x, y = check_features(x, y)
    within = mean_kernel_of_pairs(x) + mean_kernel_of_pairs(y)
    return (within - 2 * polynomial_kernel(x, y).mean()).item()


def mean_kernel_of_pairs(features: Tensor) -> Tensor:
    """The mean kernel over all pairs of different rows."""
    kernels = polynomial_kernel(features, features)
    count = len(features)
    return (kernels.sum() - kernels.diagonal().sum()) / (count * (count - 1))


def polynomial_kernel(x: Tensor, y: Tensor) -> Tensor:
    """The kernel of every row of x with every row of y, [N, M]."""
    return (x @ y.T / x.shape[1] + 1) ** 3


def check_features(x: Tensor, y: Tensor, least: int = 2) -> tuple[Tensor, Tensor]:
    """Both sets in float64 on the CPU. Raises `ValueError` if no distance is defined."""
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or min(len(x), len(y)) < least:
        raise ValueError(
            f"got features {list(x.shape)} and {list(y.shape)}; a distance takes [N, D] and "
            "[M, D] with two rows or more each: evaluate more clips"
        )
    for features in (x, y):
        if not features.isfinite().all():
            raise ValueError(
                "got features with values that are not finite; leave out the clips they belong to"
            )
    return x.detach().cpu().double(), y.detach().cpu().double()


def inception_score(logits: Tensor, splits: int = 10) -> tuple[float, float]:
    """Mean and standard deviation over the splits of exp(E[KL(p(class | clip) || p(class))]).

    `logits` [N, classes], one row per clip; log probabilities are valid logits. The score is
    between 1 (all clips have the same class distribution) and the number of classes. Salimans et
    al. 2016; Saito et al. 2020 with C3D trained on UCF101. A split takes every `splits`-th row, so
    clips may be sorted by class. ValueError: more splits than rows, or non-finite rows.
    """
    if logits.ndim != 2 or not 1 <= splits <= len(logits):
        raise ValueError(
            f"got logits {list(logits.shape)} in {splits} splits; give [N, classes] with at least "
            "one row per split: evaluate more clips, or use fewer splits"
        )
    probabilities = logits.detach().cpu().double().softmax(dim=1)
    if probabilities.isnan().any():
        raise ValueError("got logits of nan or inf; leave out the clips they belong to")
    parts = [probabilities[start::splits] for start in range(splits)]
    entropy = torch.special.entr
    scores = torch.stack(
        [
            (entropy(part.mean(dim=0)).sum() - entropy(part).sum(dim=1).mean()).exp()
            for part in parts
        ]
    )
    return scores.mean().item(), scores.std(correction=0).item()
