"""The checks of a run folder. Each yields findings, and changes nothing."""

from __future__ import annotations

import json
import os
import re
import shlex
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from torch import Tensor

from artschool.config.report_sections import CheckpointSection
from artschool.diagnose.finding import Finding
from artschool.diagnose.machine import disk
from artschool.engine.real_view import can_be_non_finite
from artschool.engine.resume_report import value_at
from artschool.engine.room import in_bytes
from artschool.errors import CheckpointError
from artschool.paths import exists, is_dir, is_file, open_file, read_file
from artschool.show import folder as show
from artschool.storage import checkpoint_files
from artschool.storage.checkpoint_store import CheckpointStore
from artschool.storage.run_lock import holder

MOST_SECONDS_AHEAD = 60
"""How far the time of a file may be ahead of the clock. File servers have clocks of their own."""

MORE_LOOKS = 3
"""How often checkpoints that seem wrong are looked at again, as a training replaces and deletes some meanwhile."""


@dataclass
class RunFolder:
    """A run folder and its newest intact checkpoint.

    Attributes:
        newest: The folder of the checkpoint. None: there is none.
        state: What it contains besides tensors.
    """

    folder: Path
    newest: Path | None = None
    state: dict[str, Any] = field(default_factory=dict)

    def checks(self) -> list[Callable[[], Iterator[Finding]]]:
        """All checks, in order. Of a folder without a run, only what is wrong with it."""
        if not self._is_of_run():
            return [self.run]
        return [self.run, self.lock, self.end, self.checkpoints, self.disk, self.log, self.incident, self.clock]

    def run(self) -> Iterator[Finding]:
        """Whether the folder is that of a run, and can be written."""
        if not is_dir(self.folder):
            yield Finding("run", f"{self.folder}: not a folder", "name a run folder, such as runs/<name>")
        elif not self._is_of_run():
            yield Finding("run", f"{self.folder}: no run has trained in it", "name a run folder, such as runs/<name>")
        elif not os.access(self.folder, os.W_OK):
            yield Finding("run", f"{self.folder}: cannot be written", "change its owner or permissions")

    def lock(self) -> Iterator[Finding]:
        """Who trains in the folder."""
        who = holder(self.folder)
        yield Finding("lock", f"in use by {who}" if who else "nobody trains in the folder")

    def end(self) -> Iterator[Finding]:
        """Whether the run has ended in an orderly way, as `artschool runs` tells it."""
        run = show.RunFolder(self.folder, self.folder.name)
        run.update()
        status = run.status()
        of = f" of {status.iterations}" if status.iterations is not None else ""
        if status.state == "dead":
            text = f"the run has ended without finishing, after {status.iteration}{of} iterations: {status.detail}"
            fix = "run the same command again, which resumes from the newest checkpoint"
            memory = ". If nobody has killed it, memory may have run out: look for `oom` in what `dmesg` prints"
            yield Finding("end", text, fix + memory * (status.detail == "killed"))
        elif status.state == "stopped":
            yield Finding("end", f"stopped after {status.iteration}{of} iterations; the same command resumes it")

    def checkpoints(self) -> Iterator[Finding]:
        """Which checkpoints are intact and finite, and what is wrong with the others."""
        found = list(self._checkpoints_now())
        for _ in range(MORE_LOOKS):
            if not any(each.fix for each in found) or not holder(self.folder):
                break
            found = list(self._checkpoints_now())
        yield from found

    def _checkpoints_now(self) -> Iterator[Finding]:
        self.newest, self.state = None, {}
        sound: list[str] = []
        damaged: list[str] = []
        for path in _checkpoints(self.folder):
            try:
                loaded = checkpoint_files.load(path, mapped=True)
            except CheckpointError as error:
                damaged.append(str(error))
                continue
            self.newest, self.state = path, loaded.state
            bad = [f"{file}: {name}" for file, named in loaded.tensors.items() for name in _unsound(named)]
            if bad:
                fix = f"artschool train FILE --resume {path.parent}/<earlier one> --run-dir <new folder>"
                yield Finding("checkpoint", f"{path}: {bad[0]} and {len(bad) - 1} more contain NaN or infinity", fix)
            else:
                sound.append(path.name)
        taken = f"none is needed: a resume takes {self.newest}" if self.newest else "restore it from a copy"
        yield from (Finding("checkpoint", text, taken) for text in damaged)
        if sound:
            yield Finding("checkpoint", f"intact and finite: {', '.join(sound)}")
        elif _checkpoints(self.folder):
            yield Finding("checkpoint", "none is sound", "train again in another folder, with --run-dir")
        elif renamed := CheckpointStore(self.folder / "checkpoints").renamed():
            fix = "rename it to its number of iterations, such as 00000300"
            yield Finding("checkpoint", f"{renamed[-1]}: contains a checkpoint, but has not the name of one", fix)
        else:
            yield Finding("checkpoint", "none is saved yet")
        if self.newest is not None:
            last, end = self.state.get("iteration"), self.state.get("iterations")
            yield Finding("progress", f"{last} of {end} iterations are saved")

    def disk(self) -> Iterator[Finding]:
        """Whether the checkpoints that are still to come have room."""
        if self.newest is None:
            return
        size = sum(file.stat().st_size for file in self.newest.iterdir())
        config = self.state.get("config")
        last = value_at(config, "checkpoint", "keep_last") or CheckpointSection().keep_last
        # A new checkpoint is complete before the oldest is deleted. Of an unlimited number, one more is sure.
        most = 0 if last == "all" else last + 1 + (value_at(config, "checkpoint", "keep_best") is not None)
        missing = max(most - len(_checkpoints(self.folder)), 1)
        more = f"{missing} more checkpoint{'s' if missing > 1 else ''} of {in_bytes(size)}"
        yield from disk(self.folder, missing * size, f"; {more} may be saved")

    def log(self) -> Iterator[Finding]:
        """Whether each log point is in `metrics.jsonl` once, and whether numbers have become NaN."""
        file = self.folder / "metrics.jsonl"
        if not exists(file):
            return
        records, others, last = 0, 0, dict[str, Any]()
        steps, first = Counter[int](), dict[int, int]()
        # One line at a time: there may be gigabytes of them.
        with TextIOWrapper(open_file(file), "utf-8", errors="replace") as lines:
            for line in lines:
                if (record := _record(line)) is None:
                    others += 1
                    continue
                if last:
                    step = record["iteration"] - last["iteration"]
                    steps[step] += 1
                    first.setdefault(step, last["iteration"])
                records, last = records + 1, record
        text = f"{records} log points, up to iteration {last['iteration']}" if last else "no log points"
        yield Finding("log", f"{file.name}: {text}")
        every = steps.most_common(1)[0][0] if steps else 1
        if gaps := {step: count for step, count in steps.items() if step > every}:
            text = f"{sum(gaps.values())} gaps, the first after iteration {min(first[step] for step in gaps)}"
            fix = "look for warnings about loggers in the output; checkpoints are not affected"
            yield Finding("log", f"{file.name}: {text}", fix)
        repeated = sum(count for step, count in steps.items() if step <= 0)
        if repeated or others:
            text = f"{file.name}: {repeated} repeated log points, {others} lines that are none"
            yield Finding("log", text, "resume the run, which removes them after its checkpoint")
        bad = [name for name, value in last.items() if isinstance(value, str)]
        if bad:
            yield Finding("log", f"{', '.join(bad)} is NaN or infinite", "lower the learning rate, or check the data")

    def incident(self) -> Iterator[Finding]:
        """What has last gone wrong."""
        files = sorted(self.folder.glob("incidents/*/incident.json"), key=lambda file: file.stat().st_mtime)
        if not files:
            return
        record: dict[str, Any] = {}
        with suppress(OSError, ValueError):
            record = json.loads(read_file(files[-1]))
        lines = str(record.get("error", "cannot be read")).splitlines()
        what = f"{record.get('kind', 'unknown')} in iteration {record.get('iteration', 'unknown')}: {lines[0]}"
        path = files[-1].parent
        yield Finding(
            "incident", f"{path.name}: {what}", f"artschool replay {shlex.quote(str(path))}, then delete the folder"
        )

    def clock(self) -> Iterator[Finding]:
        """Whether files are from the future."""
        times = [file.stat().st_mtime for file in self.folder.glob("*") if is_file(file)]
        ahead = max(times, default=0.0) - time.time()
        if ahead > MOST_SECONDS_AHEAD:
            text = f"a file of the folder was written {ahead:.0f} seconds in the future"
            yield Finding("clock", text, "set the clocks of this machine and of the file server")

    def _is_of_run(self) -> bool:
        return any(exists(self.folder / name) for name in ("config.yml", "checkpoints"))


def _checkpoints(folder: Path) -> list[Path]:
    """The folders with the names of checkpoints, in the order of their numbers."""
    found = (folder / "checkpoints").glob("[0-9]*")
    return sorted((path for path in found if re.fullmatch(r"\d{8,}", path.name)), key=lambda path: int(path.name))


def _unsound(tensors: dict[str, Tensor]) -> Iterator[str]:
    """The tensors that contain NaN, or infinity beside numbers other than 0. A mask may consist of 0 and infinity."""
    for name, tensor in tensors.items():
        if not can_be_non_finite(tensor) or tensor.isfinite().all():
            continue
        if tensor.isnan().any() or tensor[tensor.isfinite()].any() or tensor.dim() == 0:
            yield name


def _record(line: str) -> dict[str, Any] | None:
    with suppress(ValueError):
        record = json.loads(line)
        if isinstance(record, dict) and isinstance(record.get("iteration"), int):
            return record
    return None
