"""Two processes on machines with a disk each resume a run, for `test_together.py`."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from unittest.mock import patch

import artschool
from artschool import ranks
from artschool.components.builtins import load_builtins
from artschool.errors import ArtschoolError
from artschool.start import load_trained
from artschool.storage import checkpoint_files
from tests.engine import toy_run
from tests.engine.forked import in_processes

RUN = Path("run")  # Relative: each process has a working directory of its own.
NEWEST = RUN / "checkpoints" / "00000010"


def damage(folder: Path) -> None:
    file = folder / NEWEST / "gen.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"?")


def exchange(folder: Path) -> None:
    """Another run."""
    shutil.rmtree(folder / NEWEST)
    shutil.copytree(folder.parents[1] / "other" / NEWEST, folder / NEWEST)


Change = Callable[[Path], object]
CASES: dict[str, tuple[int, Change | None]] = {
    "equal": (0, None),
    "main_damaged": (0, damage),
    "missing": (1, lambda folder: shutil.rmtree(folder / RUN)),
    "damaged": (1, damage),
    "exchanged": (1, exchange),
}
"""The process whose disk differs, and how."""


def resume(folder: Path, file: Path, rank: int, *, trains: bool) -> None:
    """Load the run on the disk of this process. Write how often it hashed a checkpoint, and what became of the run."""
    os.chdir(folder / f"rank{rank}")
    os.environ["LOCAL_RANK"] = "0"
    found: dict[str, object] = {}
    with patch.object(checkpoint_files, "verify", wraps=checkpoint_files.verify) as verify:
        try:
            run = artschool.load(file, run_dir=RUN) if trains else load_trained(file, run_dir=RUN)
            found["iteration"] = run.iteration
        except ArtschoolError as error:
            found |= {"code": error.exit_code, "error": str(error)}
    found["hashed"] = verify.call_count
    (folder / f"found{rank}{'' if trains else '_trained'}.json").write_text(json.dumps(found))
    ranks.stop()


def main(folder: Path) -> None:
    """Train two runs of one process, and resume the first one in every case."""
    load_builtins()
    for name, seed in (("run", 1), ("other", 2)):
        (folder / name).mkdir()
        toy_run.load(folder / name, f"seed={seed}", "train.iterations=10", "evaluate={}").train()
    file = toy_run.write(folder, "seed=1", "train.iterations=10", "evaluate={}")
    for case, (changed, change) in CASES.items():
        for rank in range(2):
            shutil.copytree(folder / "run" / RUN, folder / case / f"rank{rank}" / RUN)
            if change is not None and rank == changed:
                change(folder / case / f"rank{rank}")
        for trains in (True, False):
            in_processes(2, partial(resume, folder / case, file, trains=trains))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
