"""A small classifier of shapes: it measures the accuracy of sampled clips, and their features."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...data.shapes import SHAPES, draw_shape_clips

FEATURES = 32
STEPS, BATCH, RATE = 400, 32, 3e-3
CLIPS_KEY = 71
"""The first number of the random keys of its training clips, which nothing else uses."""


class ShapeClassifier(nn.Module):
    """Three convolutions over space and time, the mean of their features, and a linear layer."""

    def __init__(self):
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv3d(3, 16, 3, (1, 2, 2), 1),
            nn.ReLU(),
            nn.Conv3d(16, 32, 3, 2, 1),
            nn.ReLU(),
            nn.Conv3d(32, FEATURES, 3, 1, 1),
            nn.ReLU(),
        )
        self.head = nn.Linear(FEATURES, len(SHAPES))

    def features(self, clips: Tensor) -> Tensor:
        """Clips [N, 3, T, H, W] in [-1, 1] -> [N, FEATURES]: the largest value of each channel."""
        return self.convolutions(clips).amax(dim=(2, 3, 4))

    def forward(self, clips: Tensor) -> Tensor:
        """Clips -> logits of the classes [N, classes]."""
        return self.head(self.features(clips))


def train_classifier(seed: int, frames: int, size: int, steps: int = STEPS) -> ShapeClassifier:
    """Train on real clips, each of them seen once."""
    torch.manual_seed(seed)
    classifier = ShapeClassifier()
    optimiser = torch.optim.Adam(classifier.parameters(), RATE)
    for step in range(steps):
        clips, labels = draw_shape_clips((CLIPS_KEY, seed, step), BATCH, frames, size)
        loss = F.cross_entropy(classifier(clips), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return classifier.eval().requires_grad_(False)


def measure_accuracy(classifier: ShapeClassifier, clips: Tensor, labels: Tensor) -> float:
    """The part of the clips that are recognised as their label."""
    predicted = torch.cat([classifier(part) for part in clips.split(BATCH)]).argmax(1)
    return float((predicted == labels).float().mean())


def compute_features(classifier: ShapeClassifier, clips: Tensor) -> Tensor:
    """The features [N, FEATURES] of clips."""
    return torch.cat([classifier.features(part) for part in clips.split(BATCH)])
