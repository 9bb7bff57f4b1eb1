"""Groups of processes with a GPU each, for `test_several.py`: the cases of the same tests on the CPU."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path

import torch

from artschool import ranks
from artschool.components.builtins import load_builtins
from artschool.registry import losses
from tests.engine import failing_rank, replicated
from tests.engine.forked import in_processes
from tests.gpu.marks import is_pretended
from tests.gpu.test_trainings import ROOT, train_watched

ON_GPUS = ("train.device=cuda", "train.deterministic=true")


def train(kind: str, folder: Path, case: str, rank: int) -> None:
    """Train a case in this process."""
    if kind == "failing":
        failing_rank.train(folder, case, rank)
    elif kind in ("replicate", "shard"):
        replicated.OPTIONS = (*ON_GPUS, f"train.parallel={kind}")
        replicated.train(folder, int(case), rank)
    else:
        train_watched(ROOT / case, folder / case, *(("train.parallel=shard",) if kind == "sharded files" else ()))
        ranks.stop()


def pretend(kind: str, folder: Path, case: str, rank: int) -> None:
    """The same on a pretended device, which is the only one of each process."""
    from tests.pretended_cuda.device import Factories

    os.environ["LOCAL_RANK"] = "0"
    with Factories():  # type: ignore[no-untyped-call]  # torch
        train(kind, folder, case, rank)


def main(folder: Path, kind: str, *cases: str) -> None:
    """Train the cases of `failing_rank`, those of `replicated` with so many processes, or of files."""
    if is_pretended():
        from tests.pretended_cuda.device import replace_functions

        replace_functions()
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
    torch.set_num_threads(1)
    load_builtins()
    losses.register("test_trouble_on_rank", failing_rank.trouble)
    failing_rank.OPTIONS = (*failing_rank.OPTIONS, *ON_GPUS)
    for case in cases:
        number = int(case) if case.isdigit() else 2
        in_processes(number, partial(pretend if is_pretended() else train, kind, folder, case))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
