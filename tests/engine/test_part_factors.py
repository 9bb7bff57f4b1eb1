"""Factors of losses over places: their values by hand, and nothing where nothing is to correct."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor

from artschool import ranks
from artschool.config.when import ALWAYS, When
from artschool.engine.meters import Meters
from artschool.engine.micro_batches import MicroBatches
from artschool.engine.part_factors import part_factors
from artschool.engine.streams import Part
from artschool.engine.train_context import TrainContext
from artschool.errors import StateError
from artschool.faults import Place
from artschool.steps.call import Call, InjectorCall, LossCall
from artschool.steps.step import NO_FACTORS, Step

CPU = torch.device("cpu")
HERE = Place("s.yml")


def loss_over(mask: str, **more: Any) -> LossCall:
    path = f"steps.s.losses.{mask}"
    count = Call(path, HERE, lambda mask: mask.sum(), {"mask": mask}, ALWAYS)
    when = more.pop("when", ALWAYS)
    return LossCall(path, HERE, lambda mask: mask.mean(), {"mask": mask}, when, weight=1.0, name=mask, count=count)


def step_of(*losses: LossCall, injectors: tuple[InjectorCall, ...] = (), **more: Any) -> Step:
    return Step("s", ALWAYS, injectors, losses, frozenset(), **more)


def factors(step: Step, values: dict[str, Tensor], parts: int, iteration: int = 0) -> list[dict[str, float]]:
    context = TrainContext(CPU, Meters())
    context.iteration = iteration
    batches = MicroBatches({"train": Part(values, len(next(iter(values.values()))))}, parts, CPU)
    found = part_factors(step, batches, context, nullcontext)
    return [{name: value.item() for name, value in each.items()} for _, each in zip(batches, found, strict=False)]


def test_a_part_is_weighted_by_its_places_instead_of_its_samples() -> None:
    # Three samples with 1, 2 and 5 places, cut into parts of 1 and 2 samples.
    values = {"x": torch.tensor([[1, 0, 0, 0, 0], [1, 1, 0, 0, 0], [1, 1, 1, 1, 1]])}
    first, second = factors(step_of(loss_over("x")), values, 2)
    assert first["x"] == pytest.approx(1 / 8 * 3)
    assert second["x"] == pytest.approx(7 / 8 * 3 / 2)


@pytest.mark.parametrize(("samples", "parts"), [(7, 3), (49, 6), (1000, 7)])
def test_equal_places_change_no_bit(samples: int, parts: int) -> None:
    found = factors(step_of(loss_over("x")), {"x": torch.ones(samples, 3)}, parts)
    assert [torch.tensor(each["x"]).item() for each in found] == [1.0] * parts


def test_without_any_place_parts_are_weighted_by_their_samples() -> None:
    assert factors(step_of(loss_over("x")), {"x": torch.zeros(4, 3)}, 2) == [{"x": 1.0}, {"x": 1.0}]


def test_a_part_without_places_adds_nothing_even_if_its_loss_is_not_a_number() -> None:
    call = loss_over("x")
    call.function = lambda mask: mask.sum() / mask.sum() * 5  # Not a number without places.
    values = {"x": torch.tensor([[0.0, 0.0], [1.0, 1.0]])}
    step, context = step_of(call), TrainContext(CPU, Meters())
    batches = MicroBatches({"train": Part(values, 2)}, 2, CPU)
    recorded: list[float] = []
    for (state, share), factor in zip(batches, part_factors(step, batches, context, nullcontext), strict=True):
        total = step.forward(state, 0, lambda name, value: None, factor)
        assert total is not None
        recorded.append(total.item() * share)
    assert recorded == [0.0, 5.0]


def test_a_whole_batch_and_a_loss_at_rest_cost_nothing() -> None:
    values = {"x": torch.ones(4, 3)}
    never = step_of(loss_over("x", when=When(after=5)))
    assert factors(step_of(loss_over("x")), values, 1) == [NO_FACTORS]
    assert factors(never, values, 2) == [NO_FACTORS, NO_FACTORS]
    assert factors(never, values, 2, iteration=5) == [{"x": 1.0}, {"x": 1.0}]


def test_injectors_run_once_and_only_those_that_lead_to_a_count_run_early() -> None:
    calls: list[str] = []

    def note(name: str) -> InjectorCall:
        def function(x: Tensor) -> Tensor:
            calls.append(name)
            return x

        return InjectorCall(f"steps.s.injectors.{name}", HERE, function, {"x": "x"}, ALWAYS, out=name)

    step = step_of(
        loss_over("mask"), injectors=(note("other"), note("mask")), counted_first=frozenset({"steps.s.injectors.mask"})
    )
    batches, context = MicroBatches({"train": Part({"x": torch.ones(2, 3)}, 2)}, 2, CPU), TrainContext(CPU, Meters())
    for (state, _), factor in zip(batches, part_factors(step, batches, context, nullcontext), strict=True):
        step.forward(state, 0, lambda name, value: None, factor)
    assert calls == ["mask", "mask", "other", "other"]


def test_a_part_that_the_step_skips_has_no_places(monkeypatch: pytest.MonkeyPatch) -> None:
    sums: list[Tensor] = []
    monkeypatch.setattr(ranks, "world_size", lambda: 2)
    monkeypatch.setattr(ranks, "sum_in_place", sums.extend)
    step = step_of(loss_over("x"), requires=["missing"])
    batches = MicroBatches({"train": Part({"x": torch.ones(4, 3)}, 8)}, 1, CPU)
    part_factors(step, batches, TrainContext(CPU, Meters()), nullcontext)
    # It takes part in the sum over processes nevertheless.
    assert [total.tolist() for total in sums] == [[0.0]]


def test_counts_may_be_numbers_and_must_be_one() -> None:
    call = loss_over("x")
    assert call.count is not None
    call.count.function = lambda mask: int(mask.shape[0]) ** 2
    first, second = factors(step_of(call), {"x": torch.ones(3, 2)}, 2)
    assert [first["x"], second["x"]] == pytest.approx([1 / 5 * 3, 4 / 5 * 3 / 2])
    call.count.function = lambda mask: mask.sum(1)
    with pytest.raises(StateError) as caught:
        factors(step_of(call), {"x": torch.ones(3, 2)}, 2)
    assert str(caught.value) == "s.yml: steps.s.losses.x: expected a number from `count`, got (1,) float32 on cpu"
