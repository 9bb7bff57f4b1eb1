"""Console output during training: a live display on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from artschool.config.value_gates import rule_of
from artschool.config.when import ALWAYS
from artschool.engine.logger import Record
from artschool.engine.run_state import RunState
from artschool.wording.hidden import without_hidden

HEAD = ("iteration", "samples", "seconds")
BAR, NARROWEST = 40, 4
"""Largest and least width of a progress bar in characters."""


class ConsoleLogger:
    """Shows progress, speed, time left, and the latest numbers of each step and evaluation.

    The display marks numbers that are older than the last record with the iterations after which they were measured.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._latest: dict[str, tuple[int, dict[str, float]]] = {}
        self._logged = 0
        self._finished = self._start = self._total = 0
        self._started: float | None = None
        self._evaluating: tuple[str, int, int] | None = None

    def start(self, run: RunState) -> None:
        """Print the plan of the run and start the live display."""
        print_plan(self._console, run)
        self._latest.clear()  # A rollback discards what has been logged since.
        self._finished = self._start = run.iteration
        self._total, self._started = run.iterations, None
        if self._console.is_terminal:
            self._live = Live(get_renderable=self._render, console=self._console, refresh_per_second=4, transient=True)
            self._live.start()

    def advance(self, run: RunState) -> None:
        """Store the iteration for the next refresh of the display."""
        self._finished = run.iteration
        if self._started is None:  # The first iteration waits for workers and compilers, which is not the pace.
            self._start, self._started = run.iteration, time.perf_counter()

    def evaluating(self, name: str, done: int, total: int) -> None:
        """Store the progress of an evaluation for the next refresh of the display. Without one, nothing is shown."""
        self._evaluating = (name, done, total) if done < total else None

    def log(self, record: Record) -> None:
        """Show the numbers."""
        if self._live is None and self._console.quiet:
            return
        owners = group_by_owner(record)
        self._logged, self._evaluating = int(record["iteration"]) + 1, None
        for owner, values in owners.items():
            self._latest[owner] = (self._logged, values)
        if self._live is None:
            parts = [f"{owner}: {', '.join(_pairs(values))}" for owner, values in owners.items()]
            done = f"{self._logged:>{len(str(self._total))}}/{self._total}"
            self._console.out("  ".join([done, self._pace(), *parts]), highlight=False)

    def note(self, message: str) -> None:
        """Print the message."""
        self._console.print(without_hidden(message), soft_wrap=True, highlight=False, markup=False)

    def close(self) -> None:
        """Stop the live display and print its last state."""
        if self._live is not None:
            self._live.stop()
            self._live = None
            self._console.print(self._render())

    def _rate(self) -> float:
        elapsed = 0.0 if self._started is None else time.perf_counter() - self._started
        return (self._finished - self._start) / elapsed if elapsed > 0 else 0.0

    def _pace(self) -> str:
        rate = self._rate()
        if not rate and self._finished == self._total:
            return "all iterations finished"
        if not rate:
            return "no finished iteration yet" if self._started is None else "one iteration finished"
        speed = f"{rate:.1f} iterations/s" if rate >= 1 else f"{1 / rate:.1f} s/iteration"
        return f"{speed}, {format_seconds((self._total - self._finished) / rate)} left"

    def _render(self) -> Group:
        rows = [(self._finished, self._total, self._pace())]
        if (evaluating := self._evaluating) is not None:
            name, done, total = evaluating
            rows.append((done, total, f"evaluate {name}"))
        bar = Table.grid(padding=(0, 1))
        texts = max(len(f"{done}/{total}") + len(text) for done, total, text in rows)
        width = max(min(BAR, self._console.width - texts - 2), NARROWEST)
        for done, total, text in rows:
            bar.add_row(
                Text(f"{done}/{total}", style="bold"),
                ProgressBar(total=max(total, 1), completed=done, width=width),
                Text(text),
            )
        table = Table.grid(padding=(0, 2))
        for owner, (finished, values) in self._latest.items():
            cells = [Text.assemble((f"{name} ", "dim"), format_number(value)) for name, value in values.items()]
            if finished != self._logged:
                cells.append(Text(f"(after {finished})", style="dim"))
            table.add_row(Text(owner, style="bold cyan"), Text("   ").join(cells))
        return Group(bar, table)


def group_by_owner(record: Record) -> dict[str, dict[str, float]]:
    """The numbers of each step and evaluation by their short names, without `skipped` if it is 0."""
    owners: dict[str, dict[str, float]] = defaultdict(dict)
    for name, value in record.items():
        owner, _, short = name.partition("/")
        if name not in HEAD and (short != "skipped" or value):
            owners[owner][short] = value
    return owners


def _pairs(values: Mapping[str, float]) -> list[str]:
    return [f"{name} {format_number(value)}" for name, value in values.items()]


def print_plan(console: Console, run: RunState) -> None:
    """Print the parts of a run and its folder."""
    lines: list[tuple[str, str, str]] = []
    # Not those that require gradients, since all are frozen between two steps.
    trained = {parameter for step in run.steps if step.update for parameter in step.update.parameters}
    averages = run.sections.ema.averages.values() if run.sections.ema is not None else ()
    for name, network in run.networks.items():
        size = sum(parameter.numel() for parameter in network.parameters())
        part = sum(parameter.numel() for parameter in network.parameters() if parameter in trained)
        how = "frozen" if not part else "trained" if part == size else f"{part:,} of them trained"
        average = "".join(f", {average.summary}" for average in averages if average.of == name)
        kind = type(network).__name__.removeprefix("FSDP")  # torch gives a sharded network a class of its own.
        lines.append(("network", name, f"{kind}, {size:,} parameters, {how}{average}"))
    for step in run.steps:
        section = run.sections.steps[step.graph.name]
        gate = "" if section.trains_when == ALWAYS else f", {section.trains_when}"
        gate += "" if section.while_ is None else f", {rule_of(section.while_)}"
        fresh = f", on fresh batches of {', '.join(step.data)}" if step.data else ""
        times = f", {step.repeat} times" if step.repeat > 1 else ""
        lines.append(("step", step.graph.name, f"trains {', '.join(step.networks)}{gate}{fresh}{times}"))
    for name, stream in run.streams.by_name.items():
        lines.append(("data", name, f"{stream.batches.length:,} samples in batches of {stream.batches.batch_size}"))
    for evaluation in run.evaluations:
        every = f"every {evaluation.every} iterations and at the end" if evaluation.every else "at the end"
        lines.append(("evaluate", evaluation.name, f"{evaluation.batches.length:,} samples, {every}"))
    resumed = f", {run.iteration:,} of them finished" if run.iteration else ""
    products = run.sections.train.matmul_precision_on(run.device.type)
    precision = f"{run.sections.train.precision}{f' (products: {products})' if products else ''}"
    train = f"{run.iterations:,} iterations{resumed}, {precision} on {run.device}"
    lines += [("train", "", train), ("writes", "", str(run.folder))]
    width = max(len(name) for _, name, _ in lines)
    for kind, name, text in lines:
        console.print(f"{kind:<8}  {name:<{width}}  {text}", soft_wrap=True, highlight=False, markup=False)


def print_end(console: Console, folder: str, values: Mapping[str, float], best: tuple[float, int] | None) -> None:
    """Print the last evaluation, the best checkpoint if `checkpoint.keep_best` is set, and the run folder."""
    for name, value in values.items():
        console.print(f"{name} {format_number(value)}", highlight=False)
    if best is not None:
        console.print(f"best {format_number(best[0])} after {best[1]} iterations: checkpoints/{best[1]:08}")
    written = _written(Path(folder))
    text = f"done: {written} are in {folder}" if written else f"done: {folder}"
    console.print(text, soft_wrap=True, markup=False)


WRITTEN = {
    "checkpoints": "checkpoints/*",
    "metrics.jsonl": "metrics.jsonl",
    "pictures": "pictures/*/*",
    "TensorBoard events": "events.out.tfevents.*",
}
"""What a run writes, by the name in the message at its end."""


def _written(folder: Path) -> str:
    found = [name for name, pattern in WRITTEN.items() if any(folder.glob(pattern))]
    return " and ".join(filter(None, (", ".join(found[:-1]), *found[-1:])))


def format_number(value: float) -> str:
    """Four significant digits."""
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e6 else f"{value:.4g}"


def format_seconds(seconds: float) -> str:
    """`59 s`, `4:07`, `13:04:07`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
