"""Reads the folder of a run, also while the run writes it. Raises nothing for what is damaged: that is missing."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from artschool.config.origin import CONFIG_FILE, RUN_FILE
from artschool.errors import ConfigError
from artschool.paths import exists, is_dir, is_file, read_file
from artschool.show.log import METRICS, Log, json_lines
from artschool.storage.run_lock import FILE as LOCK_FILE
from artschool.storage.run_lock import is_held

STARTS_FILE = "starts.jsonl"
SIGNS = (RUN_FILE, STARTS_FILE, METRICS, "checkpoints")
"""A folder with one of these is that of a run."""
DEEPEST = 4
"""How many folders deep runs are looked for."""
RECENT = 20
"""Number of log points whose mean is the speed."""
FATAL = ("error", "memory", "hang")
"""The kinds of incidents that may end a run."""


@dataclass(frozen=True)
class Best:
    """The best value of the metric of `checkpoint.keep_best`, or the last one of another metric."""

    name: str
    value: float
    iteration: int
    is_last: bool = False


@dataclass(frozen=True)
class Status:
    """What a run does, and how far it is.

    Attributes:
        state: `trains`, `finished`, `stopped`, `dead` (it ended with an error, or was killed) or `damaged` (nothing can
            be read).
        detail: What has last gone wrong. Empty: nothing.
        iteration: Number of finished iterations.
        iterations: Total number of iterations. None: unknown.
        speed: Iterations in a second at the last log points. None: unknown.
        size: Bytes on the disk.
        written: When the run last wrote, in seconds since 1970. 0.0: unknown.
    """

    state: str
    detail: str
    iteration: int
    iterations: int | None
    speed: float | None
    best: Best | None
    size: int
    written: float

    @property
    def seconds_left(self) -> float | None:
        """How long the rest takes at this speed. None: unknown, or the run does not train."""
        if self.state != "trains" or not self.speed or self.iterations is None:
            return None
        return max(self.iterations - self.iteration, 0) / self.speed


@dataclass
class RunFolder:
    """A run folder, of which `update` reads what is new.

    Attributes:
        name: The name of the run in a list of runs.
        starts: A record of each start and resume of the run, in order.
        incidents: What has gone wrong, in order.
        saved: What the newest checkpoint says of itself: `iteration`, `iterations`, `settings` and so on.
    """

    folder: Path
    name: str
    log: Log = field(init=False)
    starts: list[dict[str, Any]] = field(default_factory=list)
    incidents: list[dict[str, Any]] = field(default_factory=list)
    saved: dict[str, Any] = field(default_factory=dict)
    _saved_from: Path | None = None

    def __post_init__(self) -> None:
        self.log = Log(self.folder / METRICS)

    def update(self) -> None:
        """Read what has changed."""
        self.log.update()
        self.starts = list(json_lines(self.folder / STARTS_FILE))
        self.incidents = list(_incidents(self.folder))
        newest = next(reversed(checkpoints(self.folder)), None)
        if newest is not None and newest != self._saved_from:
            self.saved, self._saved_from = read_json(newest / "state.json"), newest

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of the file with every default, as the run has last started. Empty: unknown."""
        found = [start["settings"] for start in self.starts if isinstance(start.get("settings"), dict)]
        stored = self.saved.get("settings")
        return found[-1] if found else stored if isinstance(stored, dict) else {}

    def setting(self, *path: str) -> Any:
        """A setting. None: it is unknown."""
        found: Any = self.settings
        for name in path:
            found = found.get(name) if isinstance(found, dict) else None
        return found

    @property
    def evaluations(self) -> list[str]:
        """The numbers of evaluations in the log."""
        names = self.setting("evaluate")
        owners = tuple(names) if isinstance(names, dict) else ()
        return [name for name in self.log.curves if name.partition("/")[0] in owners]

    def status(self) -> Status:
        """What the run does. Call `update` before."""
        lives = is_held(self.folder)
        iteration = max(_count(self.saved.get("iteration")) or 0, self.log.finished)
        total = next((n for n in self._totals() if n is not None), None)
        has_ended = total is not None and iteration >= total and not self.saved.get("pending", False)
        detail = self._fatal()
        state = "stopped"
        if lives:
            state, detail = "trains", ""
        elif has_ended and _count(self.saved.get("iteration")) == iteration:
            state, detail = "finished", ""
        elif not iteration and (wrong := self._damage()):
            state, detail = "damaged", wrong
        elif detail or exists(self.folder / LOCK_FILE):
            state, detail = "dead", detail or "killed"
        return Status(
            state, detail, iteration, total, self._speed(), self.best(), size_of(self.folder), self._written()
        )

    def best(self, name: str | None = None) -> Best | None:
        """The best value of `checkpoint.keep_best`, or the last one of a metric. None: there is none yet.

        Args:
            name: The metric. None: that of `keep_best`, or the first one of the evaluations.
        """
        chosen, mode = (
            self.setting("checkpoint", "keep_best", "metric"),
            self.setting("checkpoint", "keep_best", "mode"),
        )
        if name is None:
            name = chosen if isinstance(chosen, str) else next(iter(self.evaluations), None)
        if name is None or not (curve := self.log.curves.get(name)):
            return None
        points = [(value, at + 1) for at, value in zip(*curve, strict=True) if math.isfinite(value)]
        if not points:
            return None
        if name == chosen and mode in ("min", "max"):
            value, at = (min if mode == "min" else max)(points, key=lambda point: point[0])
            return Best(name, value, at)
        return Best(name, *points[-1], is_last=True)

    def _totals(self) -> Iterator[int | None]:
        """What says how many iterations there are, the best source first."""
        start = self.starts[-1] if self.starts else {}
        stored = _count(self.saved.get("iterations"))
        if (_count(self.saved.get("iteration")) or 0) > (_count(start.get("iteration")) or 0):
            yield stored  # `train.stop` may have ended the training early.
        yield _count(start.get("iterations"))
        yield stored
        yield _count(self.setting("train", "iterations"))

    def _fatal(self) -> str:
        """The last incident, if the run has ended with it. Empty: it has not."""
        last = self.incidents[-1] if self.incidents else {}
        at = _count(last.get("iteration")) or 0
        is_end = last.get("kind") in FATAL and at >= (_count(self.saved.get("iteration")) or 0)
        return f"{last['kind']} in iteration {at}: {first_line(last.get('error'))}" if is_end else ""

    def _speed(self) -> float | None:
        """Iterations in a second at the last log points. None: unknown."""
        iterations, seconds = (values[-RECENT:] for values in self.log.curves.get("seconds", ([], [])))
        if not seconds or seconds[-1] <= seconds[0]:
            return None
        return (iterations[-1] - iterations[0]) / (seconds[-1] - seconds[0])

    def _written(self) -> float:
        times = [0.0]
        for name in (RUN_FILE, STARTS_FILE, METRICS, "checkpoints", "incidents"):
            with suppress(OSError):
                times.append((self.folder / name).stat().st_mtime)
        return max(times)

    def _damage(self) -> str:
        """Why nothing can be read. Empty: there is nothing yet."""
        if self.log.bad_lines:
            return f"metrics.jsonl: {self.log.bad_lines} lines are no records"
        files = [(RUN_FILE, is_file), (METRICS, is_file), ("checkpoints", is_dir)]
        for name, is_right in files:
            path = self.folder / name
            if exists(path) and not (is_right(path) and os.access(path, os.R_OK)):
                return f"{name}: cannot be read"
        if exists(self.folder / RUN_FILE) and not read_json(self.folder / RUN_FILE):
            return f"{RUN_FILE}: cannot be read"
        return ""


def find_runs(paths: list[Path]) -> list[RunFolder]:
    """The runs in folders, each once, and those that are named.

    Raises:
        ConfigError: A path is not a folder.
    """
    found: dict[Path, RunFolder] = {}
    for path in paths:
        if not is_dir(path):
            raise ConfigError(f"{path}: not a folder (expected a run folder, or a folder with runs, such as runs)")
        for folder in _runs_below(path, DEEPEST):
            name = folder.relative_to(path).as_posix() if folder != path else folder.resolve().name
            found.setdefault(folder.resolve(), RunFolder(folder, name))
    runs = list(found.values())
    names = [run.name for run in runs]
    for run in runs:
        if names.count(run.name) > 1:
            run.name = str(run.folder)
    return runs


def _runs_below(folder: Path, depth: int) -> Iterator[Path]:
    below: list[Path] = []
    with suppress(OSError):  # A folder of somebody else. The ones beside it are found.
        if any(exists(folder / name) for name in SIGNS):
            yield folder
            return
        below = sorted(folder.iterdir()) if depth else []
    for path in below:
        with suppress(OSError):
            if is_dir(path) and not path.name.startswith("."):
                yield from _runs_below(path, depth - 1)


def checkpoints(folder: Path) -> list[Path]:
    """The folders of the checkpoints of a run, by number."""
    with suppress(OSError):
        found = [path for path in (folder / "checkpoints").iterdir() if re.fullmatch(r"\d{8,}", path.name)]
        return sorted(found, key=lambda path: int(path.name))
    return []


def size_of(folder: Path) -> int:
    """The bytes of all files below a folder. A file with several names counts once; links are not followed."""
    sizes: dict[tuple[int, int], int] = {}
    for parent, _, files in os.walk(folder):
        for name in files:
            with suppress(OSError):
                found = os.lstat(os.path.join(parent, name))  # noqa: PTH118  a path is slower
                sizes[found.st_dev, found.st_ino] = found.st_size
    return sum(sizes.values())


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object. Empty: the file is missing or damaged."""
    with suppress(OSError, ValueError, RecursionError):
        found = json.loads(read_file(path))
        return found if isinstance(found, dict) else {}
    return {}


def read_text(path: Path) -> str:
    """A text. Empty: the file is missing or cannot be read."""
    with suppress(OSError):
        return read_file(path).decode(errors="replace")
    return ""


def config_text(run: RunFolder) -> str:
    """The file of a run, as given."""
    return read_text(run.folder / CONFIG_FILE)


def first_line(value: object) -> str:
    """The first line of a text of an incident."""
    return (str(value or "").strip().splitlines() or ["unknown"])[0]


def _incidents(folder: Path) -> Iterator[dict[str, Any]]:
    """The incidents in the order in which they were recorded, with the name of their folder and their time."""
    found = []
    for file in folder.glob("incidents/*/incident.json"):
        with suppress(OSError):
            found.append((file.stat().st_mtime, file))
    for time, file in sorted(found):
        when = datetime.fromtimestamp(time, UTC).isoformat(timespec="seconds")
        yield read_json(file) | {"name": file.parent.name, "time": when}


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
