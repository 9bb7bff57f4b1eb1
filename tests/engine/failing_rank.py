"""One of two processes fails, for `test_way_out.py`: in an iteration, or in an evaluation."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from artschool import ranks
from artschool.components.builtins import load_builtins
from artschool.engine.evaluate import Evaluation
from artschool.registry import losses
from artschool.registry.signature import Context
from artschool.steps.state import State
from artschool.steps.step import RecordLoss
from tests.engine import toy_run
from tests.engine.forked import in_processes

LOSS = "steps.gen.losses.trouble={type: test_trouble_on_rank, in: sr, weight: 1.0}"
OPTIONS = (LOSS, "checkpoint={every: 100}", "evaluate.held_out.every=4", "train.iterations=12")
CASES = {"whole": (), "main": (0, 7), "other": (1, 7), "sharded": (0, 7), "look": (), "resumed": ()}
FAILS: list[int] = []


def trouble(x: Tensor, context: Context) -> Tensor:
    """0, or an error on the rank and at the iteration of the case."""
    if [ranks.rank(), context.iteration] == FAILS and context.training:
        raise ZeroDivisionError("trouble")
    return x.mean() * 0


def train(folder: Path, case: str, rank: int) -> None:
    FAILS[:] = CASES[case]
    sharded = ("steps.gen.optimizer.shard=true",) if case == "sharded" else ()
    run_folder = folder / ("main" if case == "resumed" else case)
    file = folder / f"{case}{rank}"
    file.mkdir(exist_ok=True)
    import artschool

    run = artschool.load(toy_run.write(file, *OPTIONS, *sharded), run_dir=run_folder / "run")
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
    for name in CASES:
        in_processes(2, partial(train, Path(sys.argv[1]), name))
