"""Balance of the experts of a mixture."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn, tensor

from artschool.components.losses.load_balance import mixture_of_experts, switch_transformer_balance
from artschool.errors import ConfigError


class Router(nn.Module):
    """Tells what it is told to."""

    chosen: Tensor

    def __init__(self, logits: Tensor, chosen: Tensor, load: Tensor | None = None, *, called: bool = True) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits)
        self.register_buffer("chosen", chosen)
        self.load = load
        self.called = called

    def routing(self) -> dict[str, Tensor] | None:
        if not self.called:
            return None
        told = {"probabilities": self.logits.softmax(-1), "chosen": self.chosen}
        return told if self.load is None else {**told, "load": self.load}


EVEN = torch.eye(4)
ONE_SIDED = tensor([1.0, 0.0, 0.0, 0.0]).expand(4, 4).clone()


def test_an_even_switch_costs_1_and_a_one_sided_one_as_many_as_there_are_experts() -> None:
    assert switch_transformer_balance(Router(torch.zeros(4, 4), EVEN)).item() == 1.0
    assert switch_transformer_balance(Router(100 * ONE_SIDED, ONE_SIDED)).item() == 4.0


def test_a_switch_by_hand_over_all_places_and_routers() -> None:
    # Three of four places go to expert 0, whose mean probability is 0.75: 2 (0.75 * 0.75 + 0.25 * 0.25).
    probabilities = tensor([[[0.9, 0.1], [0.6, 0.4]], [[0.8, 0.2], [0.7, 0.3]]])
    chosen = tensor([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [1.0, 0.0]]])
    router = Router(probabilities.log(), chosen)
    torch.testing.assert_close(switch_transformer_balance(router), tensor(1.25))
    torch.testing.assert_close(switch_transformer_balance(nn.Sequential(router, nn.Identity(), router)), tensor(1.25))
    two = nn.Sequential(router, Router(probabilities.log(), chosen))
    torch.testing.assert_close(switch_transformer_balance(two), tensor(2.5))


def test_a_switch_learns_to_want_the_crowded_expert_less() -> None:
    router = Router(torch.zeros(4, 4), ONE_SIDED)
    (gradient,) = torch.autograd.grad(switch_transformer_balance(router), router.logits)
    assert (gradient[:, 0] > 0).all() and (gradient[:, 1:] < 0).all()


def test_importance_and_load_by_hand() -> None:
    # Two of three experts are chosen at each place; the gates are 0.5 / 0.8, 0.3 / 0.8 and so on.
    probabilities = tensor([[0.5, 0.3, 0.2], [0.2, 0.4, 0.4]])
    chosen = tensor([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]])
    load = tensor([[1.0, 0.5, 0.5], [1.0, 0.0, 0.0]])
    router = Router(probabilities.log(), chosen, load)
    # Importance 0.625, 0.875, 0.5: mean 2/3. Load 2, 0.5, 0.5: mean 1, variance 0.5.
    importance = ((0.625 - 2 / 3) ** 2 + (0.875 - 2 / 3) ** 2 + (0.5 - 2 / 3) ** 2) / 3 / (2 / 3) ** 2
    torch.testing.assert_close(mixture_of_experts(router, load_weight=0.0), tensor(importance))
    torch.testing.assert_close(mixture_of_experts(router, importance_weight=0.0), tensor(0.5))
    both = mixture_of_experts(router, importance_weight=2.0, load_weight=3.0)
    torch.testing.assert_close(both, tensor(2 * importance + 1.5))


def test_a_place_without_an_expert_has_no_importance() -> None:
    chosen = tensor([[1.0, 1.0], [0.0, 0.0]])
    router = Router(tensor([[0.75, 0.25], [0.5, 0.5]]).log(), chosen)
    value = mixture_of_experts(router, load_weight=0.0)  # 0.75 and 0.25: mean 0.5, variance 0.0625
    torch.testing.assert_close(value, tensor(0.25))
    (gradient,) = torch.autograd.grad(value, router.logits)
    assert gradient.isfinite().all()


def test_gradients_match_differences() -> None:
    torch.manual_seed(0)
    chosen = tensor([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]])

    def importance(logits: Tensor) -> Tensor:
        router = Router(torch.zeros(2, 3), chosen)
        del router.logits
        router.logits = logits  # type: ignore[assignment]  # a plain tensor, so that gradients reach it
        return mixture_of_experts(router, load_weight=0.0) + switch_transformer_balance(router)

    assert torch.autograd.gradcheck(importance, torch.randn(2, 3, dtype=torch.float64, requires_grad=True))


@pytest.mark.parametrize("loss", [switch_transformer_balance, mixture_of_experts])
def test_networks_without_routers_and_routers_without_a_call_are_told(loss: Callable[[nn.Module], Tensor]) -> None:
    with pytest.raises(ConfigError, match=r"^Linear has no router \(a module with a method `routing\(\)`\)$"):
        loss(nn.Linear(1, 1))
    idle = nn.Sequential(nn.Identity(), Router(torch.zeros(2, 2), torch.eye(2), called=False))
    with pytest.raises(ConfigError, match=r"^router '1' has not been called\. Fix: call the network before this loss$"):
        loss(idle)


def test_a_router_without_load_is_told() -> None:
    with pytest.raises(
        ConfigError, match=r"^mixture_of_experts: a router returns no `load`, .* write `load_weight: 0`$"
    ):
        mixture_of_experts(Router(torch.zeros(2, 2), torch.eye(2)))
