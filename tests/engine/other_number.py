"""Trains the toy GAN with a number of processes, then with another, for `test_other_number.py`."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

import artschool
from artschool import ranks
from artschool.components.builtins import load_builtins
from artschool.engine.run_state import RunState
from artschool.errors import Stopped
from tests.engine import sharded_parts, toy_parts, toy_run
from tests.engine.forked import in_processes

SHARDED = ("steps.gen.optimizer.shard=true", "steps.critic.optimizer.shard=true")
OPTIONS = (
    "networks.gen={type: toy_plain_generator}",
    "steps.gen.optimizer.eps=1e-4",
    "steps.gen.injectors.seen={type: part_witness, in: name, name: names, out: _}",
    "data.train.batch_size=7",  # 40 samples: five batches of 7 and one of 5, which 2 and 3 processes divide unevenly.
    "data.train.drop_last=false",
    "train.accumulate=2",
    "train.iterations=14",
    "checkpoint.every=100",
    "log.every=5",
    "evaluate={}",
)
SGD = (
    f"plugins=[{Path(toy_run.__file__)}, {Path(toy_parts.__file__)}, {Path(sharded_parts.__file__)}]",
    "steps.gen.optimizer={type: sgd, lr: 2e-2, momentum: 0.9, nesterov: true, weight_decay: 1e-2}",
    "steps.gen.losses.first={type: breaks, fake: sr, real: hq, weight: 0.1, before: 0}",
    "steps.gen.losses.later={type: breaks, fake: sr, real: hq, weight: 0.1, after: 10, before: 10}",
)
"""Iterations 0 and 10 do not update."""
NETWORKS = (*SGD, "train.parallel=shard")
SWITCH = 8
"""In the middle of the second epoch, and between two log points."""
CASES: dict[str, tuple[tuple[int, ...], tuple[str, ...]]] = {
    "1": ((1,), ()),
    "2 to 1": ((2, 1), ()),
    "1 to 2": ((1, 2), ()),
    "2 to 3": ((2, 3), ()),
    "2 to 3 sharded": ((2, 3), SHARDED),
    "3 to 1 sharded": ((3, 1), SHARDED),
    "1 to 2 sharded": ((1, 2), SHARDED),
    "1 sgd": ((1,), SGD),
    "2 to 1 sgd": ((2, 1), NETWORKS),
    "1 to 2 sgd": ((1, 2), NETWORKS),
    "2 to 3 sgd": ((2, 3), NETWORKS),
}


class Stops(toy_run.Recorder):
    """Sends the signal that stops the training after iteration `at`."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self._at = at

    def advance(self, run: RunState) -> None:
        super().advance(run)
        # Several processes look for signals at the beginning of an iteration.
        if run.iteration == self._at - (ranks.world_size() > 1):
            os.kill(os.getpid(), signal.SIGTERM)


def train(folder: Path, options: tuple[str, ...], at: int, rank: int) -> None:
    """Train to iteration `at`. Writes what each process saw, and rank 0 what it logged and how it resumed."""
    own = folder / f"{at}_{rank}"
    own.mkdir(parents=True)
    text = io.StringIO()
    file = toy_run.write(own, *OPTIONS, f"plugins=[{Path(toy_run.__file__)}, {Path(toy_parts.__file__)}]", *options)
    run = artschool.load(file, run_dir=folder / "run", console=Console(file=text, width=200))
    recorder = Stops(at)
    run.loggers = [recorder]
    toy_parts.SEEN.clear()
    with suppress(Stopped):
        run.train()
    ranks.wait()
    seen = [[iteration, names] for iteration, _, names in toy_parts.SEEN]
    found: dict[str, Any] = {"seen": seen, "text": text.getvalue(), "records": recorder.records}
    (own / "found.json").write_text(json.dumps(found))
    weights = {
        name: {key: ranks.whole(value) for key, value in network.state_dict().items()}
        for name, network in run.networks.items()
    }
    if rank == 0:
        torch.save(weights, own / "weights.pt")
    ranks.stop()


def main(folder: Path) -> None:
    """Train every case."""
    load_builtins()  # Once, before the processes are forked.
    for name, (numbers, options) in CASES.items():
        for number, at in zip(numbers, (SWITCH, 14) if len(numbers) > 1 else (14,), strict=True):
            in_processes(number, partial(train, folder / name, options, at))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
