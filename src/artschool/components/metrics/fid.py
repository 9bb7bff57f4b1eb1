"""Distance between the distributions of generated and real samples, by the moments of their features."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from artschool import ranks
from artschool.components.losses.shapes import check_channels
from artschool.components.metrics.pooled import pooled_features
from artschool.errors import NumericsError
from artschool.registry import ComponentRole, metrics
from artschool.registry.ranges import input_of
from artschool.registry.signature import Network


@metrics.register(
    roles={ComponentRole.LOWER_IS_BETTER, ComponentRole.COMPARES_DISTRIBUTIONS},
    values=input_of("network", "fake", "real"),
)
class Fid:
    """Fréchet distance between Gaussians fitted to the features of generated and of real samples.

    `|m - n|^2 + tr(S + T - 2 (S T)^(1/2))` for means m, n and unbiased covariances S, T. Lower is better, 0 at best.
    Sums are kept in float64 and divided once, so a smaller last batch and several processes change nothing. Few samples
    bias the value upwards: compare only values over the same number of samples.

    Source: Heusel et al. 2017, arXiv:1706.08500, eq. 6; there the network is Inception-v3.
    """

    def __init__(self, network: Network) -> None:
        """Measure with the features of a network.

        Args:
            network: Network that maps samples to features (B, D), or to maps (B, D, ...), which are averaged over their
                positions. If it returns several maps, the last is used.
        """
        self._network = network
        self.reset()

    def update(self, fake: Tensor, real: Tensor) -> None:
        """Add a batch.

        Args:
            fake: Generated samples (B, ...), in the shape and value range of the network.
            real: Real samples (B, ...), in the shape and value range of the network. Their number may differ.

        Raises:
            ConfigError: The numbers of channels of fake and real differ.
        """
        check_channels("fid", fake=fake, real=real)
        self._fake.add(pooled_features(self._network, fake))
        self._real.add(pooled_features(self._network, real))

    def compute(self) -> float:
        """The distance over all samples of all processes.

        Raises:
            NumericsError: There are fewer than two generated or fewer than two real samples.
        """
        return frechet_distance(*self._fake.gathered().estimate(), *self._real.gathered().estimate())

    def reset(self) -> None:
        """Forget all samples."""
        self._fake, self._real = Moments(), Moments()


@dataclass
class Moments:
    """Number of feature vectors, their sum, and the sum of their outer products."""

    count: int = 0
    total: Tensor | None = None
    products: Tensor | None = None

    def add(self, features: Tensor) -> None:
        """Add vectors (B, D)."""
        total, products = features.sum(0), features.T @ features
        self.count += len(features)
        self.total = total if self.total is None else self.total + total
        self.products = products if self.products is None else self.products + products

    def gathered(self) -> Moments:
        """The sums over all processes, on the CPU."""
        merged = Moments()
        for count, total, products in ranks.gather((self.count, _on_cpu(self.total), _on_cpu(self.products))):
            if total is None or products is None:
                continue  # A process without a batch.
            merged.count += count
            merged.total = total if merged.total is None else merged.total + total
            merged.products = products if merged.products is None else merged.products + products
        return merged

    def estimate(self) -> tuple[Tensor, Tensor]:
        """Mean (D,) and unbiased covariance (D, D).

        Raises:
            NumericsError: There are fewer than two vectors.
        """
        if self.count < 2 or self.total is None or self.products is None:
            raise NumericsError(
                f"fid: a covariance needs at least two samples, got {self.count}. Fix: evaluate on more"
            )
        mean = self.total / self.count
        return mean, (self.products - self.count * torch.outer(mean, mean)) / (self.count - 1)


def frechet_distance(mean: Tensor, covariance: Tensor, other_mean: Tensor, other_covariance: Tensor) -> float:
    """Squared Fréchet distance between two Gaussians: means (D,), covariances (D, D). NaN if one is not finite.

    The trace of `(S T)^(1/2)` equals that of `(S^(1/2) T S^(1/2))^(1/2)`. This matrix is symmetric: its eigenvalues are
    real, and negative only by rounding, even with fewer samples than features.
    """
    if not (covariance.isfinite().all() and other_covariance.isfinite().all()):
        return math.nan  # torch fails to compute eigenvalues.
    values, vectors = torch.linalg.eigh(covariance)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    cross = torch.linalg.eigvalsh(root @ other_covariance @ root).clamp(min=0).sqrt().sum()
    distance = (mean - other_mean).square().sum() + covariance.trace() + other_covariance.trace() - 2 * cross
    return max(float(distance), 0.0)


def _on_cpu(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.cpu()
