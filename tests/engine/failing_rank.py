"""One of two processes fails, for `test_way_out.py`: in an iteration, or in an evaluation."""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from artschool import ranks
from artschool.components.builtins import load_builtins
from artschool.engine import heartbeats
from artschool.engine.evaluate import Evaluation
from artschool.registry import losses
from artschool.registry.signature import Context
from artschool.steps.state import State
from artschool.steps.step import RecordLoss
from tests.engine import toy_run
from tests.engine.forked import in_processes

LOSS = "steps.gen.losses.trouble={type: test_trouble_on_rank, in: sr, weight: 1.0}"


@dataclass(frozen=True)
class Case:
    """A run of two processes.

    Attributes:
        fails: The rank and the iteration of the trouble.
        options: Overrides of the file.
        folder: The case whose run is resumed. Empty: a new run.
        kills: Whether the trouble ends the process at once, as `kill -9` does.
        loss: The override with the loss that has trouble.
        is_late: Whether the other process is busy when the trouble comes, for longer than silence counts as busy.
    """

    fails: tuple[int, ...] = ()
    options: tuple[str, ...] = ()
    folder: str = ""
    kills: bool = False
    loss: str = LOSS
    is_late: bool = False


OPTIONS: tuple[str, ...] = ("checkpoint={every: 100}", "evaluate.held_out.every=4", "train.iterations=12")
FSDP, ZERO = ("train.parallel=shard",), ("steps.gen.optimizer.shard=true",)
CASES = {
    "look": Case(),
    **{
        name: case
        for kind, options in (("replicated", ()), ("fsdp", FSDP), ("zero", ZERO))
        for name, case in (
            (f"{kind}_whole", Case(options=options)),
            *((f"{kind}_{rank}", Case((rank, 7), options)) for rank in (0, 1)),
            *((f"{kind}_{rank}_resumed", Case(options=options, folder=f"{kind}_{rank}")) for rank in (0, 1)),
            # The critic is trained in even iterations, after the generator.
            (f"{kind}_updated", Case((1, 6), options, loss=LOSS.replace("gen", "critic"))),
        )
    },
    "zero_late": Case((0, 7), ZERO, is_late=True),
    "fsdp_killed": Case((1, 7), FSDP, kills=True),
}
now = Case()
"""The case that runs."""


def trouble(x: Tensor, context: Context) -> Tensor:
    """0, or an error on the rank and at the iteration of the case."""
    if (ranks.rank(), context.iteration) == now.fails and context.training:
        if now.kills:
            os._exit(0)
        raise ZeroDivisionError("trouble")
    if now.is_late and ranks.rank() != now.fails[0] and context.training:
        _be_late(context.iteration)
    return x.mean() * 0


def _be_late(iteration: int) -> None:
    """Say once what this process does, and then nothing for four seconds, as one that gets no processor."""
    if iteration == now.fails[1] - 1:
        time.sleep(2)
    if iteration == now.fails[1]:
        heartbeats.Heartbeats._exchange = lambda self: None  # type: ignore[method-assign]  # in this process
        time.sleep(4)


def train(folder: Path, case: str, rank: int) -> None:
    global now  # noqa: PLW0603  # in this process
    now = CASES[case]
    if now.is_late:
        heartbeats.RECORD_EVERY = heartbeats.SILENT_S = 1
    run_folder = folder / (now.folder or case)
    file = folder / f"{case}{rank}"
    file.mkdir(exist_ok=True)
    import artschool

    run = artschool.load(toy_run.write(file, now.loss, *OPTIONS, *now.options), run_dir=run_folder / "run")
    found: dict[str, object] = {"start": run.iteration}
    recorder = toy_run.recorded(run)
    if case == "look" and rank == 1:
        forward = Evaluation.forward

        def fails(self: Evaluation, state: State, iteration: int, record: RecordLoss) -> None:
            if iteration == 3:
                raise ZeroDivisionError("trouble")
            forward(self, state, iteration, record)

        Evaluation.forward = fails  # type: ignore[method-assign]  # in this process
    try:
        run.train()
    except Exception as error:
        found["error"] = f"{type(error).__name__}: {error}"
        found["notes"] = getattr(error, "__notes__", [])
    else:
        found["hash"] = toy_run.fingerprint(run)
    found |= {"iteration": run.iteration, "said": recorder.notes, "psnr": recorder.values("held_out/psnr")}
    (folder / f"{case}{rank}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    torch.set_num_threads(1)
    load_builtins()
    losses.register("test_trouble_on_rank", trouble)
    for name in sys.argv[2:] or CASES:
        in_processes(2, partial(train, Path(sys.argv[1]), name))
