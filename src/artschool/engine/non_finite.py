"""Handles NaN and infinity in gradients and weights: reports them, and stops a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from artschool import ranks
from artschool.engine.incidents import record_incident
from artschool.engine.optimizer_state import in_parts
from artschool.engine.real_view import can_be_non_finite
from artschool.engine.run_state import RunState
from artschool.errors import NumericsError

MOST_AT_ONCE = 2**22
"""Maximum number of elements to look at together, which takes memory for as many."""


def check_skipped_updates(run: RunState) -> None:
    """Stop the run if its gradients were non-finite more often than the config allows.

    Called at log points, which wait for the device anyway.

    Raises:
        NumericsError: `train.non_finite` is `stop` and an update was skipped, or `train.max_skips` is reached.
    """
    section = run.sections.train
    for step in run.steps:
        if step.update is None or not step.update.skip_non_finite:
            continue
        skipped, consecutive = step.update.skips()
        if section.non_finite == "stop" and skipped and section.precision != "fp16":
            raise NumericsError(
                f"steps.{step.graph.name}: NaN or infinite gradients in {_updates(skipped)} up to iteration "
                f"{run.iteration}, and `train.non_finite` is `stop`. These did not change the weights. "
                "Fix: check the losses, or lower the learning rate"
            )
        if consecutive >= section.max_skips:
            raise NumericsError(
                f"steps.{step.graph.name}: NaN or infinite gradients in {_updates(consecutive)} in a row, up to "
                f"iteration {run.iteration}; the limit is `train.max_skips: {section.max_skips}`"
            )


def report_skipped_updates(run: RunState) -> None:
    """Report and record the first of the updates that were skipped since the last log point, which is called at those.

    Overflow in fp16 is reported only if it ends the run: the scale of the loss causes it, and follows.
    """
    for step in run.steps:
        first = step.update.take_first_skip() if step.update is not None and step.update.skip_non_finite else None
        is_news = first is not None and run.sections.train.precision != "fp16" and step.graph.name not in run.skipping
        run.skipping -= {step.graph.name}
        if first is None:
            continue
        run.skipping |= {step.graph.name}
        if is_news:
            problem = f"steps.{step.graph.name}: NaN or infinite gradients in iteration {first}"
            run.note(f"warning: {problem}. The update is skipped; weights, buffers and averages stay as before it")
            if ranks.is_main():
                record_incident(run, "nan", problem, step=step.graph.name, iterations=range(first, first + 1))
    for owner, count in run.context.buffers.spoiled().items():
        run.note(
            f"warning: {owner}: buffers became NaN or infinite in {count} iteration{'' if count == 1 else 's'} since "
            "the last log point, and were restored, although the gradients were finite"
        )


def _updates(count: int) -> str:
    return "1 update" if count == 1 else f"{count} updates"


def end_of_run_warnings(run: RunState) -> Iterator[str]:
    """Warnings about non-finite numbers, for the end of a completed run; waits for the device."""
    for step in run.steps:
        if step.update is not None and step.update.skipped_every_update:
            yield (
                f"steps.{step.graph.name}: nothing was trained: NaN or infinite gradients in every update "
                f"({step.update.skips().total} skipped). Fix: check the losses and the data that they read"
            )
    if problem := non_finite_weights(run):
        yield problem


def non_finite_weights(run: RunState) -> str:
    """Describe what `find_non_finite` finds. Waits for the device. Every process must call this."""
    return find_non_finite(run)()


def find_non_finite(run: RunState) -> Callable[[], str]:
    """Look for NaN and infinity in the state of a run, on the device. Every process must call this.

    Weights must be finite. Buffers and the state of optimizers may be infinite, as masks are, but not NaN.

    Returns:
        A function that waits for the device and describes what contains them; empty if nothing does.
    """
    flags = {
        f"{owner}.{name}": _is_sound(tensor, is_weight=isinstance(tensor, nn.Parameter))
        for owner, module in run.stateful.items()
        for name, tensor in [*module.named_parameters(), *module.named_buffers()]
        if _can_look(tensor)
    }
    for step in run.steps:
        if step.update is not None and step.update.owns_optimizer:
            states = [value for state in step.update.optimizer.state.values() for value in in_parts(state).values()]
            sound = [_is_sound(value, is_weight=False) for value in states if _can_look(value)]
            # One flag for each optimizer: its state may be divided among processes.
            flags[f"the optimizer of steps.{step.graph.name}"] = (
                torch.stack([flag.to(run.device) for flag in sound]).all() if sound else torch.tensor(True)
            )
    if not flags:
        return str
    unsound = (~torch.stack([flag.to(run.device) for flag in flags.values()])).int()
    ranks.largest_in_place(unsound)  # A process has only a part of a sharded weight.
    return partial(_described, list(flags), unsound)


def _described(names: Sequence[str], unsound: Tensor) -> str:
    bad = [name for name, is_bad in zip(names, unsound.tolist(), strict=True) if is_bad]
    if not bad:
        return ""
    more = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
    return f"{bad[0]}{more} contain{'' if more else 's'} NaN or infinity"


def _can_look(value: object) -> bool:
    return isinstance(value, Tensor) and can_be_non_finite(value)


def _is_sound(tensor: Tensor, *, is_weight: bool) -> Tensor:
    tensor = ranks.local(tensor)
    is_large = tensor.numel() > MOST_AT_ONCE
    parts = torch.split(tensor, max(MOST_AT_ONCE * len(tensor) // tensor.numel(), 1)) if is_large else (tensor,)
    found = [part.isfinite().all() if is_weight else ~part.isnan().any() for part in parts]
    return torch.stack(found).all() if is_large else found[0]
