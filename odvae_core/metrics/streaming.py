"""Statistics of a set of clips, gathered clip by clip: for FVD, KVD and the Inception Score."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from .distances import check_features, kernel_distance


@dataclass
class FeatureMoments:
    """Count, mean and scatter of rows of features, in float64, in memory of one size."""

    count: int = 0
    mean: Tensor = field(default_factory=lambda: torch.zeros(0))
    scatter: Tensor = field(default_factory=lambda: torch.zeros(0, 0))

    def add(self, rows: Tensor) -> None:
        """Add rows [N, D]. Raises `ValueError` on values that aren't finite."""
        rows, _ = check_features(rows, rows, least=1)
        mean = rows.mean(dim=0)
        centred = rows - mean
        scatter = centred.T @ centred
        if self.count:
            step = mean - self.mean
            total = self.count + len(rows)
            scatter += self.scatter + torch.outer(step, step) * (self.count * len(rows) / total)
            mean = self.mean + step * (len(rows) / total)
        self.count, self.mean, self.scatter = self.count + len(rows), mean, scatter

    @property
    def covariance(self) -> Tensor:
        """Over count - 1, as torch-fidelity and StyleGAN-V take it."""
        if self.count < 2:
            raise ValueError(f"got {self.count} clips; a distance between sets takes two or more")
        return self.scatter / (self.count - 1)


def frechet_distance_of_moments(x: FeatureMoments, y: FeatureMoments) -> float:
    """`frechet_distance` of two sets by their moments.

    |mean x - mean y|^2 + tr(Sx) + tr(Sy) - 2 tr((Sx Sy)^(1/2)), the last from the eigenvalues of
    Rx Sy Rx, Rx being the root of Sx, which are those of Sx Sy.
    """
    values, vectors = torch.linalg.eigh(x.covariance)
    root = (vectors * values.clamp_min(0).sqrt()) @ vectors.T
    shared = torch.linalg.eigvalsh(root @ y.covariance @ root).clamp_min(0).sqrt().sum()
    means = (x.mean - y.mean).square().sum()
    return (means + x.covariance.trace() + y.covariance.trace() - 2 * shared).item()


@dataclass
class ClassEntropies:
    """What the Inception Score needs of each split: a sum of probabilities and one of entropies.

    Clip i belongs to split i modulo `splits`, so clips may be sorted by class.
    """

    splits: int = 10
    count: int = 0
    probabilities: list[Tensor] = field(default_factory=list)
    entropies: list[float] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)

    def add(self, logits: Tensor) -> None:
        """Add rows [N, classes] of logits or log probabilities. `ValueError`: nan or inf."""
        for row in logits.detach().cpu().double().softmax(dim=1):
            if row.isnan().any():
                raise ValueError("got logits of nan or inf; leave out the clips they belong to")
            split = self.count % self.splits
            if split == len(self.counts):
                self.probabilities.append(torch.zeros_like(row))
                self.entropies.append(0.0)
                self.counts.append(0)
            self.probabilities[split] += row
            self.entropies[split] += float(torch.special.entr(row).sum())
            self.counts[split] += 1
            self.count += 1

    def score(self) -> tuple[float, float]:
        """Mean and standard deviation over the splits. `ValueError`: fewer clips than splits."""
        if self.count < self.splits:
            raise ValueError(
                f"got {self.count} clips in {self.splits} splits; give more clips or fewer splits"
            )
        sums = zip(self.probabilities, self.entropies, self.counts, strict=True)
        scores = torch.tensor(
            [
                float(torch.special.entr(total / count).sum()) - entropy / count
                for total, entropy, count in sums
            ],
            dtype=torch.float64,
        ).exp()
        return scores.mean().item(), scores.std(correction=0).item()


@dataclass
class SetStatistics:
    """What is kept of a set of clips: moments and, for KVD, the float32 features themselves.

    10,000 clips of I3D's 400 features take 16 MB.
    """

    splits: int = 10
    moments: FeatureMoments = field(default_factory=FeatureMoments)
    rows: list[Tensor] = field(default_factory=list)
    classes: ClassEntropies = field(default_factory=ClassEntropies)
    clips: int = 0

    def __post_init__(self) -> None:
        self.classes.splits = self.splits

    def add(self, features: dict[str, Tensor]) -> None:
        """Add clips by their features of the networks `i3d` and `c3d`, as far as there are any."""
        self.clips += max((len(rows) for rows in features.values()), default=0)
        if "i3d" in features:
            self.moments.add(features["i3d"])
            self.rows.append(features["i3d"].float())
        if "c3d" in features:
            self.classes.add(features["c3d"])


def compare_sets(real: SetStatistics, generated: SetStatistics) -> dict[str, float]:
    """FVD, KVD and the Inception Score of generated clips, as far as features were given.

    Raises `ValueError` where there are too few clips.
    """
    figures: dict[str, float] = {}
    if real.rows and generated.rows:
        figures["fvd"] = frechet_distance_of_moments(real.moments, generated.moments)
        figures["kvd"] = kernel_distance(torch.cat(generated.rows), torch.cat(real.rows))
    if generated.classes.count:
        mean, spread = generated.classes.score()
        figures |= {"inception_score": mean, "inception_score_std": spread}
    return figures
