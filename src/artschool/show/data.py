"""What the page shows of runs, as plain values."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from artschool.paths import is_file
from artschool.show.differences import changes, comparison
from artschool.show.folder import RunFolder, config_text, first_line, read_json
from artschool.show.log import HEAD, Curve, thinned
from artschool.show.media import media
from artschool.show.times import profiled, times
from artschool.show.words import best_in_words, pace, progress, size_in_words

Link = Callable[[RunFolder, str], str]
"""Gives the address of a file of a run, by its path relative to the run folder."""
Choice = Callable[[Mapping[int, str]], Mapping[int, str]]
"""Chooses files from those of a group."""

MOST_POINTS = 2000
"""Maximum number of points of a curve of a single run. Those of 20 runs have a fifth of it."""
FEWEST_POINTS = 400
DRAWINGS = {"graph": "graph.svg", "plan": "plan.svg"}
LAST_LINES = 40
"""Number of lines of a traceback that are shown."""


def page_data(runs: Sequence[RunFolder], link: Link, choice: Choice = lambda files: files) -> dict[str, Any]:
    """Read what is new of all runs."""
    for run in runs:
        run.update()
    most = max(MOST_POINTS * 4 // max(len(runs), 4), FEWEST_POINTS)
    return {
        "runs": [_run(run, most, link, choice) for run in runs],
        "differences": comparison([run.settings for run in runs]) if len(runs) > 1 else [],
    }


def _run(run: RunFolder, most: int, link: Link, choice: Choice) -> dict[str, Any]:
    status = run.status()
    curves = {name: curve for name, curve in run.log.curves.items() if name not in HEAD}
    seconds = run.log.curves.get("seconds", ([], []))
    evaluated = {at for name in run.evaluations for at in run.log.curves[name][0]}
    return {
        "name": run.name,
        "folder": str(run.folder),
        **asdict(status),
        "secondsLeft": status.seconds_left,
        "words": {
            "progress": progress(status),
            "pace": pace(status),
            "size": size_in_words(status.size),
            "best": best_in_words(status.best),
        },
        "keepBest": run.setting("checkpoint", "keep_best"),
        "evaluations": run.evaluations,
        "seconds": _plain(thinned(seconds, most)),
        "curves": {name: _plain(thinned(curve, most)) for name, curve in curves.items()},
        "summary": {name: _summary(curve) for name, curve in curves.items()},
        "media": {
            group: [[iteration, link(run, path)] for iteration, path in choice(files).items()]
            for group, files in media(run.folder).items()
        },
        "drawings": {name: link(run, file) for name, file in DRAWINGS.items() if is_file(run.folder / file)},
        "config": config_text(run),
        "overrides": read_json(run.folder / "run.json").get("overrides", []),
        "starts": _starts(run),
        "incidents": [_incident(record) for record in run.incidents],
        "times": times(seconds, evaluated),
        "profile": profiled(read_json(run.folder / "profile.json")),
        "badLines": run.log.bad_lines,
    }


def _starts(run: RunFolder) -> list[dict[str, Any]]:
    """When the run was started, where, and what had changed since the start before."""
    found = []
    before: Mapping[str, Any] = {}
    for start in run.starts:
        settings = start.get("settings") if isinstance(start.get("settings"), dict) else {}
        environment = start.get("environment")
        found.append(
            {
                "time": str(start.get("time", "")),
                "iteration": start.get("iteration"),
                "environment": environment if isinstance(environment, dict) else {},
                "changes": changes(before, settings) if before and settings else [],
            }
        )
        before = settings or before
    return found


def _incident(record: Mapping[str, Any]) -> dict[str, Any]:
    lines = record.get("traceback")
    text = "".join(map(str, lines)) if isinstance(lines, list) else ""
    bad = record.get("bad_values")
    return {
        "name": str(record["name"]),
        "time": str(record["time"]),
        "kind": str(record.get("kind", "unknown")),
        "iteration": record.get("iteration"),
        "step": str(record.get("step") or ""),
        "error": first_line(record.get("error")),
        "traceback": "\n".join(text.splitlines()[-LAST_LINES:]),
        "badValues": [str(each) for each in bad] if isinstance(bad, list) else [],
    }


def _plain(curve: Curve) -> list[list[Any]]:
    """A curve as JSON has it: by number of finished iterations, six digits, and null for what is no number."""
    return [
        [at + 1 for at in curve[0]],
        [float(f"{value:.6g}") if math.isfinite(value) else None for value in curve[1]],
    ]


def _summary(curve: Curve) -> dict[str, Any]:
    """The last, the smallest and the largest value of a curve, each with its number of finished iterations."""
    points = [(value, at + 1) for at, value in zip(*curve, strict=True)]
    sound = [point for point in points if math.isfinite(point[0])]
    by_value = {"min": min(sound, default=None), "max": max(sound, default=None)}
    last = points[-1] if math.isfinite(points[-1][0]) else ("NaN", points[-1][1])
    bad = [at for value, at in points if not math.isfinite(value)]
    return {"last": last, **by_value, "bad": len(bad), "firstBad": bad[0] if bad else None}
