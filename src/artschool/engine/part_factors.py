"""Factors of the losses of a micro-batch, by which losses over places are weighted by their places."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from itertools import repeat
from typing import Any

import torch
from torch import Tensor

from artschool import ranks
from artschool.engine.micro_batches import MicroBatches
from artschool.engine.train_context import TrainContext
from artschool.steps.call import LossCall
from artschool.steps.state import State
from artschool.steps.step import NO_FACTORS, Step


def part_factors(
    step: Step, batches: MicroBatches, context: TrainContext, autocast: Callable[[], AbstractContextManager[Any]]
) -> Iterable[Mapping[str, Tensor]]:
    """For each micro-batch, a factor for each loss that is weighted by something else, by the name of the loss.

    A micro-batch is weighted by its share of the samples of the first stream. The factor corrects this to its share of
    the places of all micro-batches of all processes, `(places / all places) / share`, or to its share of the samples of
    the stream that the loss is a mean over. Does not wait for the device.
    """
    is_whole = batches.limit == 1
    if is_whole and ranks.world_size() == 1:
        return repeat(NO_FACTORS)
    # The same losses on every process, whatever its data, because the counts are summed over processes.
    counted = step.counted(context.iteration, is_whole=is_whole)
    of_streams = _of_streams(step, batches, context.device) if step.streams else repeat(NO_FACTORS)
    if not counted:
        return of_streams
    rows, shares = [], []
    for state, share in batches:
        context.share = share
        with autocast():
            if step.takes(state):
                step.inject_early(state, context.iteration, is_whole=is_whole)
            rows.append(_counts(step, counted, state, context.device))
        shares.append(share)
    counts = torch.stack(rows)
    totals = counts.sum(0)
    ranks.sum_in_place([totals])
    # Without any place, the losses are what they are without places.
    factors = (torch.where(totals > 0, row / (totals * share), 1.0) for row, share in zip(counts, shares, strict=True))
    return [
        {**other, **dict(zip((loss.name for loss in counted), row.unbind(), strict=True))}
        for other, row in zip(of_streams, factors)  # noqa: B905  # the first may have no end
    ]


def _of_streams(step: Step, batches: MicroBatches, device: torch.device) -> Iterator[Mapping[str, Tensor]]:
    """For each micro-batch, the factor of each loss that is a mean over samples of another stream than the first."""
    for ratios in batches.ratios():
        others = {loss: ratios[stream] for loss, stream in step.streams.items() if ratios[stream] != 1}
        yield {loss: torch.full((), ratio, device=device) for loss, ratio in others.items()}


def _counts(step: Step, counted: list[LossCall], state: State, device: torch.device) -> Tensor:
    """The number of places of each loss in a micro-batch, 0 if the step skips it."""
    if not step.takes(state):
        return torch.zeros(len(counted), dtype=torch.float64, device=device)
    places = [loss.places(state) for loss in counted]
    # `full` does not wait for the device, as `tensor` would.
    return torch.stack(
        [
            n.double() if isinstance(n, Tensor) else torch.full((), float(n), dtype=torch.float64, device=device)
            for n in places
        ]
    )
