"""Adds a checkpoint in today's format to those that every later version has to read.

Run `python -m tests.engine.store_run` before a release and after a change of the format, then commit the new folder of
`tests/engine/stored_run/formats/`. `test_stored_run.py` resumes from each of them.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import artschool
from artschool.storage.checkpoint_files import SCHEMA

STORED = Path(__file__).parent / "stored_run"
FORMATS = STORED / "formats"


def store() -> Path:
    """Train the first six iterations of `stored_run/run.yml`, and keep their checkpoint. Returns its folder."""
    folder = FORMATS / f"{artschool.__version__}-schema-{SCHEMA}"
    with tempfile.TemporaryDirectory() as temporary:
        run = artschool.load(STORED / "run.yml", ["train.iterations=6"], run_dir=Path(temporary) / "run")
        run.train()
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(run.store.path(6), folder)
    return folder


if __name__ == "__main__":
    print(store())  # noqa: T201  # the answer to a command
