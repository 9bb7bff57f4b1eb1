"""Distance between the distributions of generated and real samples, by a kernel over their features."""

from __future__ import annotations

import torch
from torch import Tensor

from artschool import ranks
from artschool.components.losses.shapes import check_channels
from artschool.components.metrics.pooled import pooled_features
from artschool.errors import NumericsError
from artschool.registry import ComponentRole, metrics
from artschool.registry.ranges import input_of
from artschool.registry.signature import Network

_BLOCK = 4096
"""Number of rows of the kernel matrix that are in memory at the same time."""


@metrics.register(
    roles={ComponentRole.LOWER_IS_BETTER, ComponentRole.COMPARES_DISTRIBUTIONS},
    values=input_of("network", "fake", "real"),
)
class Kid:
    """Squared maximum mean discrepancy between the features of generated and of real samples.

    `mean_(i≠j) k(x_i, x_j) + mean_(i≠j) k(y_i, y_j) - 2 mean_(i,j) k(x_i, y_j)` with `k(x, y) = (x·y / D + 1)^3`. Lower
    is better. The estimate is unbiased: it is comparable between different numbers of samples, and may be negative for
    equal distributions. All pairs count instead of random subsets, so the same samples give the same value. The
    features of all samples stay in memory until the end.

    Source: Bińkowski et al. 2018, arXiv:1801.01401, section 3.
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
        check_channels("kid", fake=fake, real=real)
        self._fake.append(pooled_features(self._network, fake).cpu())
        self._real.append(pooled_features(self._network, real).cpu())

    def compute(self) -> float:
        """The discrepancy over all samples of all processes.

        Raises:
            NumericsError: There are fewer than two generated or fewer than two real samples.
        """
        return discrepancy(_gathered(self._fake), _gathered(self._real))

    def reset(self) -> None:
        """Forget all samples."""
        self._fake: list[Tensor] = []
        self._real: list[Tensor] = []


def discrepancy(x: Tensor, y: Tensor) -> float:
    """The unbiased estimate from vectors (N, D) and (M, D).

    Raises:
        NumericsError: N or M is below 2.
    """
    if min(len(x), len(y)) < 2:
        raise NumericsError(f"kid: needs at least two generated and two real samples, got {len(x)} and {len(y)}")
    return _mean_of_pairs(x) + _mean_of_pairs(y) - 2 * _sum(x, y) / (len(x) * len(y))


def _mean_of_pairs(x: Tensor) -> float:
    diagonal = float(_kernel(x.square().sum(1), x.shape[1]).sum())
    return (_sum(x, x) - diagonal) / (len(x) * (len(x) - 1))


def _sum(x: Tensor, y: Tensor) -> float:
    sums = [_kernel(rows @ y.T, x.shape[1]).sum() for rows in torch.split(x, _BLOCK)]
    return float(torch.stack(sums).sum())


def _kernel(products: Tensor, dimensions: int) -> Tensor:
    return (products / dimensions + 1) ** 3


def _gathered(features: list[Tensor]) -> Tensor:
    parts = [part for process in ranks.gather(features) for part in process]
    return torch.cat(parts) if parts else torch.empty(0, 1)
