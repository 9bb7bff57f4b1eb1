"""Arguments and options that several commands take."""

from __future__ import annotations

from pathlib import Path

import click

FILE = click.Path(path_type=Path)

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
