"""Calling a network: its arguments, its method, its gradients and its mode."""

import pytest
import torch
from torch import Tensor, nn

from artschool.components.injectors.forward import forward
from artschool.errors import ConfigError


class Affine(nn.Module):
    """`scale * x + shift`, with a part that stays in eval mode whatever the rest does."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(3.0))
        self.dropout = nn.Dropout(0.5)
        self.pinned = nn.Dropout(0.5).eval()
        self.seen: list[tuple[bool, bool]] = []

    def forward(self, x: Tensor, shift: Tensor | float | None = None, *, times: int = 1) -> Tensor:
        self.seen.append((self.dropout.training, self.pinned.training))
        return times * (self.scale * x + (0.0 if shift is None else shift))

    def both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, self.scale * x

    def fail(self, x: Tensor) -> Tensor:
        raise RuntimeError("no")


def test_inputs_are_positional_and_may_be_numbers_or_nothing() -> None:
    x, network = torch.ones(2), Affine()
    assert forward(network, [x, 0.5]).tolist() == [3.5, 3.5]
    assert forward(network, [x, None]).tolist() == [3.0, 3.0]


def test_named_inputs_and_constants_are_keywords() -> None:
    value = forward(Affine(), [torch.ones(1)], named_inputs={"shift": torch.tensor([2.0])}, args={"times": 4})
    assert value.tolist() == [20.0]  # 4 * (3 * 1 + 2)


def test_an_argument_given_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^forward: duplicate argument shift in named_inputs and args\. Fix: "):
        forward(Affine(), [torch.ones(1)], named_inputs={"shift": torch.ones(1)}, args={"shift": 1.0})


def test_a_method_returns_what_it_returns() -> None:
    first, second = forward(Affine(), [torch.ones(1)], method="both")
    assert (first.tolist(), second.tolist()) == ([1.0], [3.0])


def test_an_unknown_method_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"^Affine has no method 'bth'\. Did you mean 'both'\?$"):
        forward(Affine(), [torch.ones(1)], method="bth")


def test_gradients_flow_unless_they_are_switched_off() -> None:
    network, x = Affine(), torch.full((2,), 2.0, requires_grad=True)
    torch.autograd.backward(forward(network, [x]).sum())
    assert x.grad is not None
    assert network.scale.grad is not None
    assert (x.grad.tolist(), network.scale.grad.item()) == ([3.0, 3.0], 4.0)
    assert not forward(network, [x], grad=False).requires_grad


def test_grad_does_not_switch_gradients_on_where_the_caller_has_them_off() -> None:
    with torch.no_grad():
        assert not forward(Affine(), [torch.ones(1)]).requires_grad


@pytest.mark.parametrize(("mode", "seen"), [("keep", (True, False)), ("eval", (False, False)), ("train", (True, True))])
def test_the_mode_holds_during_the_call_alone(mode: str, seen: tuple[bool, bool]) -> None:
    network = Affine()
    forward(network, [torch.ones(1)], mode=mode)  # type: ignore[arg-type]  # a parameter of the test is plain text
    assert network.seen == [seen]
    assert (network.training, network.dropout.training, network.pinned.training) == (True, True, False)


def test_modes_come_back_after_an_error() -> None:
    network = Affine()
    with pytest.raises(RuntimeError, match="no"):
        forward(network, [torch.ones(1)], method="fail", mode="eval")
    assert (network.training, network.dropout.training, network.pinned.training) == (True, True, False)


def test_a_frozen_network_in_eval_mode_stays_there_after_train() -> None:
    network = Affine().eval()
    forward(network, [torch.ones(1)], mode="train")
    assert network.seen == [(True, True)]
    assert not any(module.training for module in network.modules())
