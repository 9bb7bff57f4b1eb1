"""KID: by hand, equal to torchmetrics over all samples, whole or in ragged parts."""

import pytest
import torch
from torch import Tensor, nn
from torchmetrics.image.kid import KernelInceptionDistance

from artschool.components.metrics import kid as module
from artschool.components.metrics.kid import Kid, discrepancy
from artschool.errors import NumericsError


def kid(fake: Tensor, real: Tensor, network: nn.Module | None = None, batch_size: int = 1000) -> float:
    metric = Kid(network or nn.Identity())
    for fakes, reals in zip(torch.split(fake, batch_size), torch.split(real, batch_size), strict=True):
        metric.update(fakes, reals)
    return metric.compute()


def test_kid_matches_a_sum_done_by_hand() -> None:
    x, y = torch.tensor([[0.0], [1.0]]), torch.tensor([[1.0], [2.0]])
    # Pairs: k(0, 1) = 1, k(1, 2) = 27; crosses: k(0, 1) = k(0, 2) = 1, k(1, 1) = 8, k(1, 2) = 27, mean 37 / 4.
    assert kid(x, y) == pytest.approx(1 + 27 - 2 * 37 / 4)


@pytest.mark.filterwarnings("ignore:Metric `Kernel Inception Distance` will save")  # So do we, and say so.
def test_kid_matches_torchmetrics_over_all_samples() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(27, 5)).requires_grad_(False)
    network.num_features = 5  # type: ignore[assignment]  # what torchmetrics asks for
    fake, real = torch.rand(20, 3, 3, 3), torch.rand(20, 3, 3, 3) ** 2
    theirs = KernelInceptionDistance(feature=network, subsets=1, subset_size=20)
    theirs.update(fake, real=False)
    theirs.update(real, real=True)
    assert kid(fake, real, network) == pytest.approx(float(theirs.compute()[0]), abs=1e-5)


def test_parts_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    fake, real = torch.randn(23, 4), torch.randn(23, 4) + 1
    whole = kid(fake, real)
    monkeypatch.setattr(module, "_BLOCK", 5)
    assert kid(fake, real, batch_size=4) == pytest.approx(whole, rel=1e-12)


def test_the_same_distribution_gives_nothing_on_average() -> None:
    torch.manual_seed(0)
    values = torch.tensor([discrepancy(*torch.randn(2, 20, 3).double()) for _ in range(300)])
    # Unbiased: the mean of 300 estimates is within three of its deviations.
    assert abs(float(values.mean())) < 3 * float(values.std()) / 300**0.5


def test_too_few_samples_are_told() -> None:
    with pytest.raises(NumericsError, match=r"^kid: needs at least two generated and two real samples, got 1 and 1$"):
        kid(torch.zeros(1, 2), torch.zeros(1, 2))
    with pytest.raises(NumericsError, match="got 0 and 0"):
        Kid(nn.Identity()).compute()
