"""What reads the gradients of losses: ratios, the ledger, GradNorm, uncertainties and reversed gradients."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import artschool
from artschool.components.gradients import gradient_products, tensor_at
from artschool.components.injectors.gradient_ratio import gradient_ratio
from artschool.components.injectors.loss_gradients import loss_gradients
from artschool.components.losses.contrastive import info_nce
from artschool.components.losses.gradnorm import Gradnorm
from artschool.components.losses.uncertainty import uncertainty
from artschool.components.networks.numbers import Numbers
from artschool.engine.meters import Meters
from artschool.engine.precision import Precision
from artschool.engine.train_context import TrainContext
from artschool.errors import ConfigError
from artschool.registry.signature import Context

SOURCE = TrainContext(torch.device("cpu"), Meters())


def context(source: TrainContext = SOURCE) -> Context:
    return Context(source, "step/ledger")


def two(x: Tensor) -> tuple[Tensor, Tensor]:
    """Losses with the gradients (3, 4) and (0, 10) at `x` = (1, 1)."""
    return (x * torch.tensor([3.0, 4.0])).sum(), 10 * x[1]


def ones() -> Tensor:
    return torch.ones(2, requires_grad=True)


def test_products_are_those_of_gradients() -> None:
    x = ones()
    assert gradient_products([*two(x), torch.zeros(())], x, context()).tolist() == [
        [25, 40, 0],
        [40, 100, 0],
        [0, 0, 0],
    ]
    assert x.grad is None


def test_the_scale_of_fp16_changes_no_ratio_and_keeps_small_gradients() -> None:
    source = TrainContext(torch.device("cpu"), Meters())
    source.precision = Precision("fp16", torch.device("cpu"))
    x = ones()
    assert gradient_products(two(x), x, context(source)).tolist() == [[25, 40], [40, 100]]
    tiny = (x.half() * 1e-4).sum().float() * 1e-4  # The gradient, 1e-8, is 0 in fp16.
    found = gradient_products([tiny], x, context(source)).sqrt().item()
    assert found == pytest.approx(math.sqrt(2) * 1e-8, rel=1e-2)


def test_the_ratio_of_vqgan() -> None:
    x = ones()
    one, other = two(x)
    ratio = gradient_ratio(one, other, at=x, factor=0.8, eps=1.0, context=context())
    assert ratio.item() == pytest.approx(0.8 * 5 / 11)
    assert not ratio.requires_grad
    both = gradient_ratio([one, other], other, at=x, context=context())
    assert both.item() == pytest.approx(math.hypot(3, 14) / 10, rel=1e-6)
    assert gradient_ratio(one, 0 * other, at=x, max=7.0, context=context()).item() == 7
    assert gradient_ratio(one * math.inf, other, at=x, max=7.0, context=context()).isnan()
    with torch.no_grad():
        assert gradient_ratio(*two(x), at=x, context=context()).item() == 0


def test_a_tensor_is_named_in_one_way() -> None:
    layer = nn.Linear(1, 1)
    assert tensor_at(layer, "weight", None) is layer.weight
    for wrong in ((None, None, None), (layer, None, None), (layer, "weight", ones()), (None, "weight", ones())):
        with pytest.raises(ConfigError, match="expected `network` and `parameter`, or `at`"):
            tensor_at(*wrong)
    with pytest.raises(ConfigError, match=r"no parameter 'wieght'.*Did you mean 'weight'"):
        tensor_at(layer, "wieght", None)


def test_the_ledger_logs_norms_and_cosines() -> None:
    source = TrainContext(torch.device("cpu"), Meters())
    source.training = True
    x = ones()
    one, other = two(x)
    loss_gradients(losses={"a": one, "b": other, "c": torch.zeros(())}, at=x, context=context(source))
    assert source.meters.drain() == pytest.approx(
        {
            "step/ledger/norm/a": 5,
            "step/ledger/norm/b": 10,
            "step/ledger/norm/c": 0,
            "step/ledger/cosine/a/b": 0.8,
            "step/ledger/cosine/a/c": 0,
            "step/ledger/cosine/b/c": 0,
        }
    )


def test_uncertainties_by_hand() -> None:
    s = Numbers(count=2, initial=math.log(4))
    values = [torch.tensor(8.0, requires_grad=True), torch.tensor(2.0)]
    loss = uncertainty(values, log_variances=s, factor=[0.5, 1.0])
    assert loss.item() == pytest.approx(8 / 8 + 2 / 4 + math.log(4))
    torch.autograd.backward(loss)
    assert values[0].grad == 0.125
    assert s.values.grad is not None
    assert s.values.grad.tolist() == pytest.approx([0.5 - 1.0, 0.5 - 0.5])
    with pytest.raises(ConfigError, match="got 1 losses, 2 log-variances and 1 factors"):
        uncertainty(values[:1], log_variances=s)


def test_gradnorm_by_hand() -> None:
    weights, x = Numbers(count=2, initial=1.0, sum=2), ones()
    balance = Gradnorm(alpha=0.5)

    def value(factors: tuple[float, float]) -> Any:
        values = [factor * loss for factor, loss in zip(factors, two(x), strict=True)]
        return balance(values, weights=weights, at=x, context=context())

    assert value((1.0, 1.0)).item() == 2.5 + 2.5  # Norms 5 and 10, mean 7.5, equal rates.
    loss = value((1.0, 0.25))  # Norms 5 and 2.5, mean 3.75; rates 1 and 0.25, of mean 0.625.
    targets = [3.75 * 1.6**0.5, 3.75 * 0.4**0.5]
    assert loss.item() == pytest.approx(abs(5 - targets[0]) + abs(2.5 - targets[1]))
    torch.autograd.backward(loss)
    assert weights.values.grad is not None
    assert weights.values.grad.tolist() == pytest.approx([5, 2.5])
    assert x.grad is None
    with pytest.raises(ConfigError, match="expected a weight for each of 1 losses, got 2 weights"):
        balance([two(x)[0]], weights=weights, at=x, context=context())


def test_numbers_keep_their_sum() -> None:
    numbers = Numbers(count=2, initial=1.0, sum=2)
    with torch.no_grad():
        numbers.values.copy_(torch.tensor([1.0, 3.0]))
    numbers.after_step(0)
    assert [number.item() for number in numbers()] == [0.5, 1.5]
    with pytest.raises(ConfigError, match="initial: expected a number above 0"):
        Numbers(count=2, sum=1)


def test_a_reversed_gradient() -> None:
    x = ones()
    same = artschool.reverse_gradient(x, factor=torch.tensor(2.0))
    assert torch.equal(same, x)
    torch.autograd.backward(two(same)[0])
    assert x.grad is not None
    assert x.grad.tolist() == [-6, -8]


def test_other_negatives_by_hand() -> None:
    x = torch.eye(2)
    loss = info_nce(x, x, negatives=torch.tensor([[1.0, 0.0]]), temperature=0.5)
    assert loss.item() == pytest.approx((math.log(2) + math.log1p(math.exp(-2))) / 2)
    with pytest.raises(ConfigError, match="`symmetric` has no meaning with `negatives`"):
        info_nce(x, x, negatives=x, symmetric=True)


def test_one_process_gathers_its_own_rows() -> None:
    x = ones()
    assert artschool.all_gather(x, gradient=True) is x
    assert not artschool.all_gather(x).requires_grad
