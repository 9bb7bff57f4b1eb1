"""LARS against its formula."""

import copy
import math

import pytest
import torch
from torch import Tensor, nn

from artschool.components.optimizers.lars import LARS

START = [3.0, 4.0]
GRADS = [torch.tensor([1.0, -2.0]), torch.tensor([0.5, 3.0]), torch.tensor([-1.0, 0.25])]


def by_formula(*, rate: float, decay: float, trust: float, clip: bool, momentum: float) -> list[float]:
    weight, buffer = list(START), [0.0, 0.0]
    for grad in GRADS:
        norm, grad_norm = math.hypot(*weight), math.hypot(*grad.tolist())
        ratio = trust * norm / (grad_norm + decay * norm + 1e-8)
        if clip:
            ratio = min(ratio / rate, 1.0)
        update = [(g + decay * w) * ratio for g, w in zip(grad.tolist(), weight, strict=True)]
        buffer = [momentum * b + u for b, u in zip(buffer, update, strict=True)]
        weight = [w - rate * b for w, b in zip(weight, buffer, strict=True)]
    return weight


def train(optimizer: torch.optim.Optimizer, param: Tensor, grads: list[Tensor]) -> None:
    for grad in grads:
        param.grad = grad.clone()
        optimizer.step()
        assert torch.equal(param.grad, grad)


@pytest.mark.parametrize("clip", [True, False])
@pytest.mark.parametrize("trust", [0.01, 0.5])  # with clip, the larger one reaches the bound
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_three_steps_match_the_formula(clip: bool, trust: float, decay: float) -> None:
    param = nn.Parameter(torch.tensor(START))
    optimizer = LARS([param], lr=0.2, momentum=0.9, weight_decay=decay, trust_coefficient=trust, clip=clip)
    train(optimizer, param, GRADS)
    expected = by_formula(rate=0.2, decay=decay, trust=trust, clip=clip, momentum=0.9)
    assert param.tolist() == pytest.approx(expected, rel=1e-5)


def test_exempt_parameters_have_no_momentum() -> None:
    param = nn.Parameter(torch.tensor(START))
    group = {"params": [param], "exempt": True, "weight_decay": 0.0}
    optimizer = LARS([group], lr=0.2, momentum=0.9, weight_decay=0.1, trust_coefficient=0.01)
    train(optimizer, param, GRADS)
    expected = by_formula(rate=0.2, decay=0.0, trust=0.01, clip=True, momentum=0.0)
    assert param.tolist() == pytest.approx(expected, rel=1e-5)
    assert not optimizer.state


def test_zero_weights_move_by_plain_sgd_and_zero_gradients_not_at_all() -> None:
    fresh, still = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.ones(2))
    optimizer = LARS([fresh, still], lr=0.2, weight_decay=0.1)
    fresh.grad, still.grad = torch.tensor([1.0, -2.0]), torch.zeros(2)
    optimizer.step()
    assert fresh.tolist() == pytest.approx([-0.2, 0.4])
    assert still.tolist() == [1.0, 1.0]


def test_a_rate_of_zero_moves_nothing_and_stays_finite() -> None:
    param = nn.Parameter(torch.tensor(START))
    train(LARS([param], lr=0.0, weight_decay=0.1), param, GRADS)
    assert param.tolist() == START


def test_a_saved_optimizer_goes_on_to_the_same_bits() -> None:
    whole, cut = nn.Parameter(torch.tensor(START)), nn.Parameter(torch.tensor(START))
    train(LARS([whole], lr=0.2), whole, GRADS)
    first = LARS([cut], lr=0.2)
    train(first, cut, GRADS[:2])
    second = LARS([cut], lr=0.2)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    train(second, cut, GRADS[2:])
    assert torch.equal(whole, cut)
    assert all(isinstance(value, Tensor) for state in second.state.values() for value in state.values())


def test_a_closure_is_run_with_gradients() -> None:
    param = nn.Parameter(torch.tensor(START))

    def closure() -> float:
        loss = param.square().sum()
        torch.autograd.backward(loss)
        return loss.item()

    assert LARS([param], lr=0.2).step(closure) == 25.0
    assert param.norm().item() < 5.0
