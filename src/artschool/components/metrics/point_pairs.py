"""Distances of features at matching and at different points."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor

from artschool import ranks
from artschool.components.losses.shapes import check_channels
from artschool.errors import ConfigError
from artschool.registry import metrics

Kind = Literal["similar", "dissimilar", "ratio"]


@metrics.register
class PointPairContrast:
    """Mean distance of features at two points, over similar pairs or over dissimilar pairs.

    Args:
        kind: Result: `similar` or `dissimilar`, the mean Euclidean distance of these pairs, or `ratio`, the mean of
            dissimilar pairs divided by that of similar pairs. A ratio of 1 means uninformative features; higher is
            better.
    """

    def __init__(self, *, kind: Kind = "ratio") -> None:
        self._kind = kind
        self.reset()

    def update(self, features1: Tensor, features2: Tensor, points1: Tensor, points2: Tensor, similar: Tensor) -> None:
        """Add a batch with one pair for each sample.

        Args:
            features1: (B, C, H, W). Bilinear interpolation gives the features between pixels.
            features2: (B, C, H', W'). The same key as features1 for two points of one image.
            points1: (B, 2), x and y in 0..1 from the outer edge of the top left pixel.
            points2: (B, 2), x and y in 0..1, as `points1`, in features2.
            similar: (B,), not 0 for points that match.

        Raises:
            ConfigError: The features differ in their channels, or the points or `similar` have the wrong shape.
        """
        check_channels("point_pair_contrast", features1=features1, features2=features2)
        for name, found, expected in (
            ("points1", points1, (len(features1), 2)),
            ("points2", points2, (len(features1), 2)),
            ("similar", similar, (len(features1),)),
        ):
            if tuple(found.shape) != expected:
                raise ConfigError(f"point_pair_contrast: expected {name} of shape {expected}, got {tuple(found.shape)}")
        distances = (_at(features1, points1) - _at(features2, points2)).norm(dim=1).double()
        for kind, chosen in (("similar", similar != 0), ("dissimilar", similar == 0)):
            self._sums[kind] += float(distances[chosen].sum())
            self._counts[kind] += int(chosen.sum())

    def compute(self) -> float:
        """The distance or the ratio over all pairs of all processes. NaN if there are no pairs of a kind."""
        parts = ranks.gather((self._sums, self._counts))
        means = {}
        for kind in self._sums:
            count = sum(counts[kind] for _, counts in parts)
            means[kind] = sum(sums[kind] for sums, _ in parts) / count if count else float("nan")
        if self._kind != "ratio":
            return means[self._kind]
        return means["dissimilar"] / means["similar"] if means["similar"] else float("inf")

    def reset(self) -> None:
        """Forget all pairs."""
        self._sums = {"similar": 0.0, "dissimilar": 0.0}
        self._counts = {"similar": 0, "dissimilar": 0}


def _at(features: Tensor, points: Tensor) -> Tensor:
    """The features (B, C) at points."""
    grid = (2 * points.float() - 1).view(-1, 1, 1, 2)
    return F.grid_sample(features.float(), grid, padding_mode="border", align_corners=False)[:, :, 0, 0]
