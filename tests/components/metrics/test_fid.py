"""FID: in closed form for Gaussians, equal to torchmetrics, whole or in ragged parts, and where samples are few."""

import math

import pytest
import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance

from artschool.components.metrics.fid import Fid, frechet_distance
from artschool.errors import ConfigError, NumericsError


def fid(fake: Tensor, real: Tensor, network: nn.Module | None = None, batch_size: int = 1000) -> float:
    metric = Fid(network or nn.Identity())
    for fakes, reals in zip(torch.split(fake, batch_size), torch.split(real, batch_size), strict=True):
        metric.update(fakes, reals)
    return metric.compute()


def points(mean: list[float], deviation: list[float]) -> Tensor:
    """Samples whose mean and unbiased covariance are exactly these: two on each axis, of n - 1 = 2 D - 1 degrees."""
    axes = torch.diag(torch.tensor(deviation, dtype=torch.float64)) * ((2 * len(mean) - 1) / 2) ** 0.5
    return torch.cat([axes, -axes]) + torch.tensor(mean, dtype=torch.float64)


def test_fid_of_gaussians_is_their_frechet_distance_in_closed_form() -> None:
    # Diagonal covariances: |m - n|^2 + sum (s - t)^2 = (3^2 + 4^2) + (1 - 2)^2 + (3 - 1)^2.
    fake, real = points([0.0, 0.0], [1.0, 3.0]), points([3.0, 4.0], [2.0, 1.0])
    assert fid(fake, real) == pytest.approx(25 + 1 + 4, rel=1e-6)


def test_frechet_distance_knows_covariances_that_do_not_commute() -> None:
    a = torch.tensor([[2.0, 1.0], [1.0, 1.0]], dtype=torch.float64)
    b = torch.tensor([[1.0, 0.0], [0.0, 4.0]], dtype=torch.float64)
    # For 2 x 2 matrices tr (A B)^(1/2) = sqrt(tr(A B) + 2 sqrt(det A det B)), here sqrt(6 + 2 * sqrt(1 * 4)).
    zero = torch.zeros(2, dtype=torch.float64)
    assert frechet_distance(zero, a, zero, b) == pytest.approx(3 + 5 - 2 * 10**0.5, rel=1e-12)


def test_equal_samples_have_no_distance() -> None:
    x = torch.randn(50, 6, generator=torch.Generator().manual_seed(0))
    assert fid(x, x.clone()) == pytest.approx(0.0, abs=1e-10)


def test_fid_of_samples_with_nan_is_nan() -> None:
    """As of a generator that has diverged. torch cannot compute the eigenvalues."""
    x = torch.randn(50, 6, generator=torch.Generator().manual_seed(0))
    bad = x.clone()
    bad[3, 2] = math.nan
    assert math.isnan(fid(bad, x)) and math.isnan(fid(x, bad))


@pytest.mark.parametrize("number", [7, 100], ids=["fewer samples than features", "more"])
def test_fid_matches_torchmetrics_on_any_network(number: int) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()).requires_grad_(False)
    network.num_features = 16  # type: ignore[assignment]  # what torchmetrics asks for
    fake, real = torch.rand(number, 3, 8, 8), torch.rand(number, 3, 8, 8) ** 2
    theirs = FrechetInceptionDistance(feature=network).double()
    theirs.update(fake, real=False)
    theirs.update(real, real=True)
    assert fid(fake, real, network) == pytest.approx(float(theirs.compute()), rel=1e-4)


def test_ragged_batches_change_nothing() -> None:
    torch.manual_seed(0)
    fake, real = torch.randn(23, 4), torch.randn(23, 4) + 1
    assert fid(fake, real, batch_size=5) == pytest.approx(fid(fake, real), rel=1e-12)


def test_maps_are_averaged_over_places_and_the_last_of_several_counts() -> None:
    class Maps(nn.Module):
        def forward(self, x: Tensor) -> dict[str, Tensor]:
            return {"first": x * 7, "last": x}

    torch.manual_seed(0)
    fake, real = torch.randn(9, 4, 3, 2), torch.randn(9, 4, 3, 2) + 1
    averaged = [x.double().mean((2, 3)) for x in (fake, real)]
    assert fid(fake, real, Maps()) == pytest.approx(fid(averaged[0], averaged[1]), rel=1e-6)


def test_a_new_evaluation_starts_anew() -> None:
    metric = Fid(nn.Identity())
    for _ in range(2):
        metric.update(torch.randn(4, 2) * 9, torch.randn(4, 2))
        metric.reset()
    metric.update(points([0.0, 0.0], [1.0, 1.0]), points([1.0, 0.0], [1.0, 1.0]))
    assert metric.compute() == pytest.approx(1.0, rel=1e-5)


def test_one_sample_and_a_network_without_features_are_told() -> None:
    with pytest.raises(
        NumericsError, match=r"^fid: a covariance needs at least two samples, got 1\. Fix: evaluate on more$"
    ):
        fid(torch.zeros(1, 2), torch.zeros(1, 2))
    with pytest.raises(ConfigError, match=r"must return \(B, D\) or feature maps \(B, D, \.\.\.\), got \(4,\)"):
        fid(torch.zeros(4, 2), torch.zeros(4, 2), Flat())


class Flat(nn.Module):
    """One number a sample."""

    def forward(self, x: Tensor) -> Tensor:
        return x.sum(1)
