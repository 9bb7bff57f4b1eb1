"""`artschool train`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from artschool import ranks
from artschool.logs.console import print_end
from artschool.start import load


def train_command(config: Path, overrides: Sequence[str], run_dir: Path | None, resume: str, *, traced: bool) -> None:
    """Train a file, or resume from its newest checkpoint."""
    console = Console(highlight=False)
    try:
        run = load(config, overrides, run_dir=run_dir, resume=resume, traced=traced, console=console)
        if run.is_finished:
            if ranks.is_main():
                why = f": {run.stop_reason}" if run.stop_reason else ""
                number = f"{run.iteration} of {run.iterations} iterations"
                console.print(f"{run.folder}: already finished ({number}){why}", soft_wrap=True)
            return
        run.train()
        # A process that leaves the group while another is still working may crash the other.
        ranks.wait()
        if ranks.is_main():
            print_end(console, str(run.folder), run.last_evaluation, run.best)
    finally:
        ranks.stop()
