"""What losses declare about their means: what is taken, what is refused, and in which words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from artschool.errors import ConfigError
from artschool.registry import losses, metrics
from artschool.registry.mean_over import MeanOver
from artschool.registry.signature import Network

pytestmark = pytest.mark.usefixtures("registries")


def masked(network: Network, x: Tensor, mask: Tensor | None = None, *, power: float = 1.0) -> Tensor:
    """A loss."""
    raise NotImplementedError


def test_a_function_counts_what_it_takes() -> None:
    losses.register("masked", masked, count=lambda mask, power: mask.sum() * power)
    mean = losses.get("masked").mean
    assert mean is not None
    assert (mean.keys, mean.options, mean.of({})) == (("mask",), ("power",), MeanOver.PLACES)
    assert mean.count is not None
    assert mean.count(mask=torch.ones(3), power=2.0) == 6


def test_what_a_mean_is_over_may_depend_on_options_and_on_keys_that_are_given() -> None:
    losses.register(
        "masked",
        masked,
        mean_over=lambda mask, power: "batch" if power > 1 else "samples" if mask is None else "places",
        count=lambda mask: mask.sum(),
    )
    mean = losses.get("masked").mean
    assert mean is not None
    assert mean.arguments == ("mask", "power")
    assert mean.of({"mask": None, "power": 1.0}) is MeanOver.SAMPLES
    assert mean.of({"mask": "kept", "power": 1.0}) is MeanOver.PLACES
    assert mean.of({"mask": "kept", "power": 2.0}) is MeanOver.BATCH


def test_a_loss_may_declare_nothing() -> None:
    losses.register("masked", masked)
    assert losses.get("masked").mean is None


@pytest.mark.parametrize(
    ("declared", "problem"),
    [
        (
            {"mean_over": "sample"},
            "unknown mean_over 'sample'. Available: batch, places, samples. Did you mean 'samples'?",
        ),
        ({"mean_over": "places"}, "mean_over 'places' needs `count`, a function that counts the places"),
        ({"mean_over": "samples", "count": lambda x: x}, "mean_over 'samples' does not use `count`"),
        (
            {"count": lambda mesk: mesk},
            "count: 'mesk' is not a key or option of the loss. Available: mask, power, x. Did you mean 'mask'?",
        ),
        (
            {"mean_over": lambda network: "samples"},
            "mean_over: 'network' is not a key or option of the loss. Available: mask, power, x.",
        ),
    ],
)  # fmt: skip
def test_a_declaration_that_does_not_fit_is_refused(declared: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        losses.register("masked", masked, **declared)
    assert str(caught.value) == f"loss 'masked' cannot be registered: {problem}"


def test_other_kinds_declare_no_mean() -> None:
    score: Callable[..., Tensor] = masked
    with pytest.raises(ConfigError) as caught:
        metrics.register("masked", score, mean_over="samples")
    assert str(caught.value) == (
        "metric 'masked' cannot be registered: `mean_over` and `count` are for losses, not for metrics"
    )


def test_a_function_that_returns_another_word_is_refused_when_a_file_uses_the_loss() -> None:
    losses.register("masked", masked, mean_over=lambda power: "tokens")
    mean = losses.get("masked").mean
    assert mean is not None
    with pytest.raises(ConfigError, match=r"unknown mean_over 'tokens'\. Available: batch, places, samples\."):
        mean.of({"power": 1.0})
