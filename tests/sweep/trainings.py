"""Stands in for the processes of a sweep: trainings that log numbers of a script and end with its exit code."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

EVERY = 10
"""Iterations between two evaluations."""
Script = Callable[[dict[str, str], int], tuple[list[float], int]]


class Trainings:
    """Called in place of `Child`.

    Args:
        script: Gives the evaluations and the exit code of a training, from its overrides and from how many trainings
            its run folder has had before.

    Attributes:
        started: The overrides of each training, in order.
        most: The most trainings at the same time.
    """

    def __init__(self, script: Script) -> None:
        self.started: list[dict[str, str]] = []
        self.environments: list[Mapping[str, str]] = []
        self.running: set[Training] = set()
        self.most = 0
        self._script = script

    def __call__(self, arguments: Sequence[str], output: Path, environment: Mapping[str, str]) -> Training:
        position = list(arguments).index("--run-dir")
        overrides = dict(text.split("=", 1) for text in arguments[1:position])
        overrides["folder"] = arguments[position + 1]
        before = sum(other["folder"] == overrides["folder"] for other in self.started)
        self.started.append(overrides)
        self.environments.append(environment)
        values, code = self._script(overrides, before)
        training = Training(self, Path(overrides["folder"]), values, code)
        self.running.add(training)
        self.most = max(self.most, len(self.running))
        return training


class Training:
    """Logs one evaluation whenever it is looked at."""

    def __init__(self, all_: Trainings, folder: Path, values: Sequence[float], code: int) -> None:
        self._all, self._values, self._code = all_, list(values), code
        self._log = folder / "metrics.jsonl"
        folder.mkdir(parents=True, exist_ok=True)
        self._done = 0

    def poll(self) -> int | None:
        """Log the next evaluation, or end."""
        if self._done == len(self._values):
            self._all.running.discard(self)
            return self._code
        self._done += 1
        numbers = [{"iteration": EVERY * i + EVERY - 1, "held_out/psnr": v} for i, v in enumerate(self._values)]
        self._log.write_text("".join(f"{json.dumps(record)}\n" for record in numbers[: self._done]))
        return None

    def end(self) -> None:
        """End as after SIGTERM."""
        self._values, self._code = self._values[: self._done], 143

    def kill(self) -> None:
        """End at once."""
        self.end()

    def last_line(self) -> str:
        """What it has printed last."""
        return "the last line"
