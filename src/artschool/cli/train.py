"""`artschool train`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from artschool import ranks
from artschool.engine.ending import ending_together
from artschool.engine.signals import interrupting
from artschool.logs.console import print_end
from artschool.start import load


def train_command(
    config: Path,
    overrides: Sequence[str],
    run_dir: Path | None,
    *,
    resume: str,
    branch: str | None,
    allow: Sequence[str],
    traced: bool,
) -> None:
    """Train a file, or resume from its newest checkpoint."""
    console = Console(highlight=False)
    with ending_together(), interrupting():
        options: dict[str, Any] = {"resume": resume, "branch": branch, "allow": allow, "traced": traced}
        run = load(config, overrides, run_dir=run_dir, **options, console=console)
        if run.is_finished:
            if ranks.is_main():
                why = f": {run.stop_reason}" if run.stop_reason else ""
                number = f"{run.iteration} of {run.iterations} iterations"
                console.print(f"{run.folder}: already finished ({number}){why}", soft_wrap=True)
            return
        run.train()
        if ranks.is_main():
            print_end(console, str(run.folder), run.last_evaluation, run.best)
