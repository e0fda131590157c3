"""Figures of whole sets of clips, from one row of features a clip; in float64.

Which features make them FVD, KVD or a video Inception Score, `features` says.
"""

import torch
from torch import Tensor


def frechet_distance(x: Tensor, y: Tensor) -> float:
    """The Frechet distance of the Gaussians through two sets of features [N, D] and [M, D].

    |mean x - mean y|^2 + tr(Sx + Sy - 2 (Sx Sy)^(1/2)), with the covariances over N - 1 and M - 1.
    Heusel et al. 2017, eq. 6; Unterthiner et al. 2018 with I3D features. With fewer rows than
    columns the covariances are not of full rank: the figure is defined, but far too large.
    ValueError: sets of fewer than two rows, of different widths, or with non-finite values.
    """
    x, y = check_features(x, y)
    means = (x.mean(dim=0) - y.mean(dim=0)).square().sum()
    x, y = (spread(features) for features in (x, y))
    # Sx = x'x and Sy = y'y, so the eigenvalues of (Sx Sy)^(1/2) are the singular values of x y'.
    shared = torch.linalg.svdvals(x @ y.T).sum()
    return (means + x.square().sum() + y.square().sum() - 2 * shared).item()


def spread(features: Tensor) -> Tensor:
    """[N, D] -> a triangle R [min(N, D), D] with R'R the covariance."""
    centred = (features - features.mean(dim=0)) / (len(features) - 1) ** 0.5
    return torch.linalg.qr(centred, mode="r").R


def kernel_distance(x: Tensor, y: Tensor) -> float:
    """The kernel distance of two sets of features [N, D] and [M, D]; unbiased, so maybe below 0.

    The squared maximum mean discrepancy with the kernel (a.b / D + 1)^3 (Binkowski et al. 2018, eq.
    3 and 4; KVD in Unterthiner et al. 2018). All pairs of rows, no random subsets. ValueError as
    `frechet_distance`.
    """
    x, y = check_features(x, y)
    within = mean_of_pairs(x) + mean_of_pairs(y)
    return (within - 2 * compare_rows(x, y).mean()).item()


def mean_of_pairs(features: Tensor) -> Tensor:
    """The mean kernel of two different rows."""
    kernels = compare_rows(features, features)
    count = len(features)
    return (kernels.sum() - kernels.diagonal().sum()) / (count * (count - 1))


def compare_rows(x: Tensor, y: Tensor) -> Tensor:
    """The kernel of every row of x with every row of y, [N, M]."""
    return (x @ y.T / x.shape[1] + 1) ** 3


def check_features(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Both sets in float64 on the CPU. Raises `ValueError` where they have no distance."""
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or min(len(x), len(y)) < 2:
        raise ValueError(
            f"got features {list(x.shape)} and {list(y.shape)}; a distance of sets takes [N, D] "
            "and [M, D] with two rows or more each: evaluate more clips"
        )
    for features in (x, y):
        if not features.isfinite().all():
            raise ValueError(
                "got features with values that are not finite; leave out the clips they belong to"
            )
    return x.detach().cpu().double(), y.detach().cpu().double()


def inception_score(logits: Tensor, splits: int = 10) -> tuple[float, float]:
    """Mean and deviation over the splits of exp(E[KL(p(class | clip) || p(class))]).

    `logits` [N, classes], one row a clip; log probabilities are logits too. From 1 (all clips look
    the same) to the number of classes. Salimans et al. 2016; Saito et al. 2020 with C3D trained on
    UCF101. Every `splits`-th row goes into a split, so clips sorted by class do no harm.
    ValueError: more splits than rows, or rows that are no logits.
    """
    if logits.ndim != 2 or not 1 <= splits <= len(logits):
        raise ValueError(
            f"got logits {list(logits.shape)} in {splits} splits; take [N, classes] with a row or "
            "more for every split: evaluate more clips, or lower the splits"
        )
    chances = logits.detach().cpu().double().softmax(dim=1)
    if chances.isnan().any():
        raise ValueError("got logits of nan or inf; leave out the clips they belong to")
    parts = [chances[start::splits] for start in range(splits)]
    entropy = torch.special.entr
    scores = torch.stack(
        [
            (entropy(part.mean(dim=0)).sum() - entropy(part).sum(dim=1).mean()).exp()
            for part in parts
        ]
    )
    return scores.mean().item(), scores.std(correction=0).item()
