"""Arguments and options that several commands take."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from artschool.model.model import Model

FILE = click.Path(path_type=Path)


class Count(click.IntRange):
    """A whole number within limits, which help texts call N."""

    name = "n"


CONFIG = click.argument("config", type=FILE)
OVERRIDES = click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
RUN_FOLDER = click.option("--run-dir", type=FILE, help="Folder of the run. [default: runs/<name>]")
CHECKPOINT = click.option(
    "--checkpoint",
    default="last",
    show_default=True,
    metavar="best|last|N|FOLDER",
    help="Checkpoint: best by checkpoint.keep_best, the newest, after N iterations, or a folder.",
)
DEVICE = click.option("--device", default="auto", show_default=True, help="Device, such as cpu or cuda:1.")
NO_AVERAGE = click.option(
    "--no-average", "raw", is_flag=True, help="Use the networks themselves, not their moving averages."
)


@dataclass(frozen=True)
class TrainedRun:
    """The run that a command uses, and what of it.

    Attributes:
        run: The run folder, or a config file.
        checkpoint: Which checkpoint, as `artschool.open` takes it.
        raw: Whether networks are used themselves, in place of their moving averages.
        device: The device of the networks.
    """

    run: Path
    checkpoint: str
    raw: bool
    device: str = "cpu"

    def open(self, report: Callable[[str], None]) -> Model:
        """Open the run. `report` is called with messages."""
        from artschool.model.opening import open_run

        return open_run(self.run, self.checkpoint, self.device, average=not self.raw, report=report)


@dataclass(frozen=True)
class AppliedFiles:
    """The files that a run is applied to, and where its results are written.

    Attributes:
        inputs: Files, folders and patterns.
        output: The folder of the results, or the result of a single input.
        suffix: Ending of the results. None: the usual one.
        overwrite: Whether results that exist are replaced.
    """

    inputs: Sequence[str]
    output: Path
    suffix: str | None
    overwrite: bool


def grouped(**groups: type) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Let a command take options that belong together as one value.

    Args:
        groups: The dataclass of each parameter of the command. Its fields are named like the options.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def call(**options: Any) -> None:
            values = {}
            for name, group in groups.items():
                given = {field.name: options.pop(field.name) for field in fields(group) if field.name in options}
                values[name] = group(**given)
            command(**values, **options)

        return call

    return decorate
