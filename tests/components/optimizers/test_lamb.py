"""LAMB against its formula."""

import copy
import math

import pytest
import torch
from torch import Tensor, nn

from artschool.components.optimizers.lamb import LAMB

GRADS = [torch.tensor([1.0, -2.0]), torch.tensor([0.5, 3.0]), torch.tensor([-1.0, 0.25])]


def by_formula(
    weight: list[float], *, rate: float, decay: float, bound: float = 10.0, eps: float = 1e-6
) -> list[float]:
    """Three steps with betas (0.9, 0.99), one number at a time."""
    mean, square = [0.0] * len(weight), [0.0] * len(weight)
    for grad in GRADS:
        update = []
        for i, g in enumerate(grad.tolist()):
            mean[i] = 0.9 * mean[i] + 0.1 * g
            square[i] = 0.99 * square[i] + 0.01 * g * g
            update.append(mean[i] / (math.sqrt(square[i]) + eps) + decay * weight[i])
        norm = min(math.hypot(*weight), bound)
        ratio = norm / math.hypot(*update) if norm else 1.0
        weight = [w - rate * ratio * u for w, u in zip(weight, update, strict=True)]
    return weight


def train(optimizer: torch.optim.Optimizer, param: Tensor, grads: list[Tensor]) -> None:
    for grad in grads:
        param.grad = grad.clone()
        optimizer.step()
        assert torch.equal(param.grad, grad)


@pytest.mark.parametrize(
    ("start", "decay"), [([3.0, 4.0], 0.0), ([3.0, 4.0], 0.1), ([30.0, 40.0], 0.1), ([0.0, 0.0], 0.1)]
)
def test_three_steps_match_the_formula(start: list[float], decay: float) -> None:
    param = nn.Parameter(torch.tensor(start))
    train(LAMB([param], lr=0.1, betas=(0.9, 0.99), weight_decay=decay), param, GRADS)
    assert param.tolist() == pytest.approx(by_formula(start, rate=0.1, decay=decay), rel=1e-5)


def test_the_bound_on_the_norm_can_be_moved() -> None:
    param = nn.Parameter(torch.tensor([3.0, 4.0]))
    train(LAMB([param], lr=0.1, betas=(0.9, 0.99), max_weight_norm=2.0), param, GRADS)
    assert param.tolist() == pytest.approx(by_formula([3.0, 4.0], rate=0.1, decay=0.0, bound=2.0), rel=1e-5)


def test_the_first_step_is_as_long_as_a_share_of_the_weights() -> None:
    param = nn.Parameter(torch.tensor([3.0, 4.0]))
    train(LAMB([param], lr=0.1), param, GRADS[:1])
    step = param.detach() - torch.tensor([3.0, 4.0])
    assert step.norm().item() == pytest.approx(0.1 * 5.0, rel=1e-5)


def test_exempt_parameters_get_adamw() -> None:
    ours, theirs = nn.Parameter(torch.tensor([3.0, 4.0])), nn.Parameter(torch.tensor([3.0, 4.0]))
    group = {"params": [ours], "exempt": True, "weight_decay": 0.0}
    train(LAMB([group], lr=0.1, betas=(0.9, 0.99), weight_decay=0.5), ours, GRADS)
    train(torch.optim.AdamW([theirs], lr=0.1, betas=(0.9, 0.99), weight_decay=0.0), theirs, GRADS)
    assert torch.equal(ours, theirs)


def test_no_gradient_no_change_and_zero_gradients_stay_finite() -> None:
    still, zero = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    optimizer = LAMB([still, zero], lr=0.1)
    zero.grad = torch.zeros(2)
    optimizer.step()
    assert still.tolist() == zero.tolist() == [1.0, 1.0]
    assert still not in optimizer.state


@pytest.mark.parametrize("exempt", [False, True])
def test_a_saved_optimizer_goes_on_to_the_same_bits(exempt: bool) -> None:
    whole, cut = nn.Parameter(torch.tensor([3.0, 4.0])), nn.Parameter(torch.tensor([3.0, 4.0]))
    train(LAMB([{"params": [whole], "exempt": exempt}], lr=0.1), whole, GRADS)
    first = LAMB([{"params": [cut], "exempt": exempt}], lr=0.1)
    train(first, cut, GRADS[:2])
    second = LAMB([{"params": [cut], "exempt": exempt}], lr=0.1)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    train(second, cut, GRADS[2:])
    assert torch.equal(whole, cut)
    assert all(isinstance(value, Tensor) for state in second.state.values() for value in state.values())


def test_a_closure_is_run_with_gradients() -> None:
    param = nn.Parameter(torch.tensor([3.0, 4.0]))
    optimizer = LAMB([param], lr=0.1)

    def closure() -> float:
        loss = param.square().sum()
        torch.autograd.backward(loss)
        return loss.item()

    assert optimizer.step(closure) == 25.0
    assert param.norm().item() < 5.0
