"""One iteration: a batch through every step, in file order."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from artschool import ranks
from artschool.engine.ema import Ema
from artschool.engine.micro_batches import MicroBatches
from artschool.engine.out_of_memory import explain
from artschool.engine.train_context import TrainContext
from artschool.engine.train_step import TrainStep


def train_iteration(
    steps: list[TrainStep], emas: Mapping[str, Ema], batches: MicroBatches, context: TrainContext
) -> None:
    """Run every active step as often as it repeats, then the moving averages of the networks that were updated."""
    context.training = True
    moved: dict[str, list[Tensor | None]] = {}
    for step in steps:
        if not step.graph.when.active(context.iteration):
            continue
        for own in step.batches(batches):
            context.buffers.begin()
            try:
                updated = step.run(own, context)
            except Exception as error:
                explain(error, step.graph.name, context.iteration, own, is_split=context.splitting is not None)
                raise
            for name, skipped in updated.items():
                moved.setdefault(name, []).append(skipped)
                ranks.broadcast(step.networks[name].buffers())
            context.buffers.settle(step.update.non_finite if step.update else None)
    for ema in emas.values():
        ema.follow(context.iteration, moved)
    context.training = False
