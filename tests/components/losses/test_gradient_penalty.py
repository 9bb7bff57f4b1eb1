"""Penalties on the gradient of a critic."""

from __future__ import annotations

from typing import Any, Literal

import pytest
import torch
from torch import Tensor, nn, tensor

from artschool.components.losses.gradient_penalty import gradient_penalty
from artschool.errors import ConfigError

Kind = Literal["r1", "r2", "wgan_gp", "wgan_gp_real"]
KINDS: list[Kind] = ["r1", "r2", "wgan_gp", "wgan_gp_real"]


class Square(nn.Module):
    """`factor * sum x^2 / 2` of each sample, whose gradient is `factor * x`."""

    def __init__(self, factor: float = 2.0) -> None:
        super().__init__()
        self.factor = nn.Parameter(tensor(factor))

    def forward(self, x: Tensor) -> Tensor:
        return self.factor * x.square().flatten(1).sum(1) / 2


REAL, FAKE = tensor([[3.0, 4.0], [0.0, 1.0]]), tensor([[0.0, 2.0], [0.0, 0.0]])
# Gradients have the norms 10 and 2 at the real samples, 4 and 0 at the fakes.
VALUES: dict[Kind, float] = {
    "r1": (100 + 4) / 2 / 2,
    "r2": (16 + 0) / 2 / 2,
    "wgan_gp_real": (81 + 1) / 2,
}


@pytest.mark.parametrize("kind", VALUES)
def test_a_penalty_is_what_a_hand_computes(kind: Kind) -> None:
    assert gradient_penalty(Square(), REAL, FAKE, kind=kind).item() == VALUES[kind]


def test_wgan_gp_looks_between_pairs() -> None:
    class Keep(Square):
        def forward(self, x: Tensor) -> Tensor:
            self.seen = x.detach()
            return super().forward(x)

    network = Keep(1.0)
    real, fake = torch.ones(1000, 1), -torch.ones(1000, 1)
    torch.manual_seed(0)
    value = gradient_penalty(network, real, fake, kind="wgan_gp")
    assert network.seen.min() < -0.99 and network.seen.max() > 0.99
    assert network.seen.mean().abs() < 0.05
    assert value.item() == pytest.approx((network.seen.abs() - 1).square().mean().item())
    # A sample lies on the straight line of its pair.
    gradient_penalty(network, tensor([[1.0, 3.0]]), tensor([[2.0, 7.0]]), kind="wgan_gp")
    assert (network.seen[0, 1] - 3).item() == pytest.approx((network.seen[0, 0] - 1).item() * 4, rel=1e-5)


@pytest.mark.parametrize("kind", VALUES)
def test_the_critic_learns_from_it_and_samples_do_not(kind: Kind) -> None:
    network, real, fake = Square(), REAL.clone().requires_grad_(), FAKE.clone().requires_grad_()
    torch.autograd.backward(gradient_penalty(network, real, fake, kind=kind))
    assert network.factor.grad is not None
    # With norms f * n: d/df mean (f n)^2 / 2 = f mean n^2, and d/df mean (f n - 1)^2 = mean 2 n (f n - 1).
    slope = {"r1": 2 * (25 + 1) / 2, "r2": 2 * (4 + 0) / 2, "wgan_gp_real": (2 * 5 * 9 + 2 * 1 * 1) / 2}
    assert network.factor.grad.item() == pytest.approx(slope[kind])
    assert real.grad is None and fake.grad is None


def critic() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 3, 3), nn.Softplus(), nn.Flatten(), nn.Linear(12, 1))


@pytest.mark.parametrize("kind", KINDS)
def test_the_critics_gradient_is_that_of_finite_differences(kind: Kind) -> None:
    network = critic().double()
    real, fake = torch.randn(2, 2, 2, 4, 4, dtype=torch.float64)
    names, parameters = zip(*network.named_parameters(), strict=True)

    def penalty(*values: Tensor) -> Tensor:
        torch.manual_seed(1)

        class With(nn.Module):
            def forward(self, x: Tensor) -> Tensor:
                logits: Tensor = torch.func.functional_call(network, dict(zip(names, values, strict=True)), (x,))
                return logits

        return gradient_penalty(With(), real, fake, kind=kind)

    assert torch.autograd.gradcheck(penalty, [p.detach().requires_grad_() for p in parameters], atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("batch", [1, 3])
def test_a_frozen_critic_without_gradients_gives_the_same_value(kind: Kind, batch: int) -> None:
    network = critic()
    real, fake = torch.randn(2, batch, 2, 4, 4)
    torch.manual_seed(1)
    value = gradient_penalty(network, real, fake, kind=kind)
    network.requires_grad_(False)
    torch.manual_seed(1)
    with torch.no_grad():
        assert torch.equal(gradient_penalty(network, real, fake, kind=kind), value)


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_computed_in_float32_within_autocast(kind: Kind) -> None:
    network = critic()
    real, fake = torch.randn(2, 2, 2, 4, 4)
    torch.manual_seed(1)
    value = gradient_penalty(network, real, fake, kind=kind)
    torch.manual_seed(1)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(gradient_penalty(network, real, fake, kind=kind), value)
        halves = gradient_penalty(network, real.bfloat16(), fake.bfloat16(), kind=kind)
    assert halves.dtype == torch.float32
    assert halves.item() == pytest.approx(value.item(), rel=0.1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_flat_critic_has_a_finite_gradient(kind: Kind) -> None:
    network = Square(0.0)
    torch.autograd.backward(gradient_penalty(network, REAL, REAL, kind=kind))
    assert network.factor.grad is not None and network.factor.grad.isfinite()


def test_all_logits_of_a_sample_count_together() -> None:
    class Several(nn.Module):
        def forward(self, x: Tensor) -> list[Tensor]:
            return [x, x[:, :1] * 2]  # the gradient of the sum is (3, 1)

    assert gradient_penalty(Several(), REAL, kind="r1").item() == (9 + 1) / 2


def test_a_condition_is_passed_on_and_stays() -> None:
    class Conditional(nn.Module):
        def forward(self, x: Tensor, label: Tensor) -> Tensor:
            return x * label[:, None]

    value = gradient_penalty(Conditional(), [REAL, tensor([1, 2])], [FAKE, tensor([7, 7])], kind="wgan_gp")
    # Gradients are (1, 1) and (2, 2), whatever the point: the condition is that of the real samples.
    assert value.item() == pytest.approx(((2**0.5 - 1) ** 2 + (8**0.5 - 1) ** 2) / 2)


@pytest.mark.parametrize(
    ("kind", "given", "said"),
    [
        ("r1", {"fake": FAKE}, r"^gradient_penalty: kind r1 needs `real`$"),
        ("r2", {"real": REAL}, r"^gradient_penalty: kind r2 needs `fake`$"),
        ("wgan_gp", {"real": REAL}, r"^gradient_penalty: kind wgan_gp needs `fake`$"),
        (
            "wgan_gp",
            {"real": REAL, "fake": FAKE[:1]},
            r"real samples and fakes of equal shape, got \(2, 2\) and \(1, 2\)$",
        ),
    ],
)
def test_missing_samples_are_told(kind: Kind, given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        gradient_penalty(Square(), **given, kind=kind)
