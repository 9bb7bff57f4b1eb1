"""Handles NaN and infinity in gradients and weights: stops a run, or warns at its end."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from artschool import ranks
from artschool.engine.run_state import RunState
from artschool.errors import NumericsError


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
    """Describe the weights, moving averages and buffers that contain NaN or infinity; waits for the device.

    Buffers may be infinite, as masks are, but not NaN. Returns an empty string if all are finite.
    """
    modules = {**run.networks, **{ema.name: ema.module for ema in run.emas.values()}}
    flags = {
        f"{owner}.{name}": _is_sound(ranks.local(tensor), is_weight=isinstance(tensor, nn.Parameter))
        for owner, module in modules.items()
        for name, tensor in [*module.named_parameters(), *module.named_buffers()]
        if tensor.is_floating_point() and tensor.dtype.itemsize > 1  # torch does not support isfinite for 8-bit floats.
    }
    if not flags:
        return ""
    unsound = (~torch.stack([flag.to(run.device) for flag in flags.values()])).int()
    ranks.largest_in_place(unsound)  # A process has only a part of a sharded weight.
    bad = [name for name, is_bad in zip(flags, unsound.tolist(), strict=True) if is_bad]
    if not bad:
        return ""
    more = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
    return f"{bad[0]}{more} contain{'' if more else 's'} NaN or infinity"


def _is_sound(tensor: Tensor, *, is_weight: bool) -> Tensor:
    return tensor.isfinite().all() if is_weight else ~tensor.isnan().any()
