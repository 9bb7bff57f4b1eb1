"""The cases of `tests.engine.failing_rank` on GPUs, for `test_several.py`."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path

import torch

from artschool.components.builtins import load_builtins
from artschool.registry import losses
from tests.engine import failing_rank
from tests.engine.forked import in_processes
from tests.gpu.marks import is_pretended

ON_GPUS = ("train.device=cuda", "train.deterministic=true")


def train(folder: Path, case: str, rank: int) -> None:
    if not is_pretended():
        failing_rank.train(folder, case, rank)
        return
    from tests.pretended_cuda.device import Factories

    os.environ["LOCAL_RANK"] = "0"  # Each has the only device.
    with Factories():  # type: ignore[no-untyped-call]  # torch
        failing_rank.train(folder, case, rank)


if __name__ == "__main__":
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
    if is_pretended():
        from tests.pretended_cuda.device import replace_functions

        replace_functions()
    torch.set_num_threads(1)
    load_builtins()
    losses.register("test_trouble_on_rank", failing_rank.trouble)
    failing_rank.OPTIONS = (*failing_rank.OPTIONS, *ON_GPUS)
    for name in sys.argv[2:]:
        in_processes(2, partial(train, Path(sys.argv[1]), name))
