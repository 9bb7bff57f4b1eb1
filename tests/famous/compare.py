"""Train a file, and a loop written by hand that has the same start, batches and random numbers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import artschool
from artschool.engine.run import Run
from artschool.engine.streams import Part

FOLDER = Path(__file__).parent
ITERATIONS = 20
TOLERANCE = 1e-5
Loop = Callable[[Mapping[str, nn.Module], "Batches"], Iterator[Mapping[str, Tensor]]]
"""Trains networks in place, one iteration for each batch. Yields the losses of the iteration by their names in the log.

The networks have the names of the file, and their averages too: `gen.ema`. Components with buffers have their paths.
"""


class Batches:
    """The batches of a run, each with the keys of all streams of an iteration.

    Before each of them, the generators are seeded as for an iteration.
    """

    def __init__(self, run: Run) -> None:
        self._run = run

    def __iter__(self) -> Iterator[dict[str, Any]]:
        run = self._run
        for iteration, parts in enumerate(run.streams.iterations(run.iterations, run.device)):
            run.seeding.begin(iteration)
            yield _values(parts)

    def fresh(self, stream: str) -> dict[str, Any]:
        """The next batch of a stream, inside an iteration."""
        return _values(self._run.streams.take([stream]))


def _values(parts: Mapping[str, Part]) -> dict[str, Any]:
    return {key: value for part in parts.values() for key, value in part.values.items()}


def check_against(loop: Loop, name: str, folder: Path) -> None:
    """Assert that `<name>.yml`, with a resume in the middle, and a loop have equal losses and final weights."""
    records = [*_train(name, folder, ITERATIONS // 2), *_train(name, folder, ITERATIONS)]
    by_hand = _untrained(name, folder / "by_hand", ITERATIONS)
    networks = _networks(by_hand)
    for network in by_hand.networks.values():
        network.requires_grad_(True)
    losses = [
        {key: value.item() for key, value in row.items()}
        for row in loop({**by_hand.modules, **networks}, Batches(by_hand))
    ]
    assert len(losses) == len(records) == ITERATIONS
    for iteration, (row, record) in enumerate(zip(losses, records, strict=True)):
        logged = {key: record.get(key, float("nan")) for key in row}
        assert logged == pytest.approx(row, rel=TOLERANCE, abs=TOLERANCE), f"losses of iteration {iteration}"
    trained = _untrained(name, folder, ITERATIONS)
    assert trained.iteration == ITERATIONS
    for owner, network in _networks(trained).items():
        expected = networks[owner].state_dict()
        torch.testing.assert_close(dict(network.state_dict()), dict(expected), rtol=TOLERANCE, atol=TOLERANCE)


def _untrained(name: str, folder: Path, iterations: int) -> Run:
    """The run of a file, or what its newest checkpoint has."""
    overrides = [f"train.iterations={iterations}", "log.every=1", "train.device=cpu"]
    return artschool.load(FOLDER / f"{name}.yml", overrides, run_dir=folder)


def _train(name: str, folder: Path, iterations: int) -> list[dict[str, float]]:
    """Train or resume a run. Returns its new records."""
    run = _untrained(name, folder, iterations)
    start = run.iteration
    run.train()
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines][start:]


def _networks(run: Run) -> dict[str, nn.Module]:
    return {**run.networks, **{ema.name: ema.module for ema in run.emas.values()}}
