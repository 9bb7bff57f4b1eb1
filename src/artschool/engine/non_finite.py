"""NaN and infinity in gradients and weights: when they stop a run, and what it warns about at its end."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from artschool.engine.run_state import RunState
from artschool.errors import NumericsError


def check_skipped_updates(run: RunState) -> None:
    """Stop where the file says so. Looked at between log points only, which costs no synchronisation of its own."""
    section = run.sections.train
    for step in run.steps:
        if step.update is None or not step.update.skip_non_finite:
            continue
        skipped, consecutive = step.update.skips()
        if section.non_finite == "stop" and skipped and section.precision != "fp16":
            raise NumericsError(
                f"steps.{step.graph.name}: non-finite gradients in {skipped} updates up to iteration {run.iteration}; "
                "`train.non_finite` asks to stop. The weights are those before; look at the losses or lower the rate"
            )
        if consecutive >= section.max_skips:
            raise NumericsError(
                f"steps.{step.graph.name}: {consecutive} updates in a row had non-finite gradients, up to iteration "
                f"{run.iteration}; `train.max_skips` allows {section.max_skips}"
            )


def end_of_run_warnings(run: RunState) -> Iterator[str]:
    """What its user should know at the end of a run that went through; waits for the device."""
    for step in run.steps:
        if step.update is not None and step.update.skipped_every_update:
            yield (
                f"steps.{step.graph.name} moved nothing: all of its {step.update.skips().total} updates had NaN or "
                "infinite gradients and were skipped; look at its losses, and at the data that they read"
            )
    if spoiled := non_finite_weights(run):
        yield spoiled


def non_finite_weights(run: RunState) -> str:
    """Names the weights, averages and buffers that no evaluation should trust, if there are any; waits for the device.

    A buffer may well be infinite, as a mask is, and is bad where it is NaN.
    """
    modules = {**run.networks, **{f"{name}.ema": ema.module for name, ema in run.emas.items()}}
    flags = {
        f"{owner}.{name}": (tensor.isfinite().all() if isinstance(tensor, nn.Parameter) else ~tensor.isnan().any())
        for owner, module in modules.items()
        for name, tensor in [*module.named_parameters(), *module.named_buffers()]
        if tensor.is_floating_point() and tensor.dtype.itemsize > 1  # Eight bits have no such functions.
    }
    sound = torch.stack([*flags.values()]).tolist() if flags else []
    bad = [name for name, is_sound in zip(flags, sound, strict=True) if not is_sound]
    if not bad:
        return ""
    more = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
    return f"{bad[0]}{more} hold{'' if more else 's'} numbers that are NaN or infinite"
