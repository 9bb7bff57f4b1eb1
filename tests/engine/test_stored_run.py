"""A run folder that an earlier commit wrote resumes to the bits that the same commit ended at.

`stored_run/` holds the checkpoints after 6 and 12 iterations and the log of version 0.1.0 before its packages were
renamed. `formats/` holds the checkpoint after 6 iterations in each later format; `store_run.py` adds one. The
arithmetic is exact in float32, so that the numbers do not depend on the machine.
"""

from __future__ import annotations

import io
import json
import platform
import shutil
from pathlib import Path

import pytest
import torch
from rich.console import Console

import artschool
from artschool.engine.run import Run
from artschool.storage.checkpoint_files import SCHEMA, verify
from tests.engine.sealed import seal
from tests.engine.store_run import FORMATS as FOLDER
from tests.engine.store_run import STORED

FORMATS = [STORED / "checkpoints" / "00000006", *sorted(FOLDER.iterdir())]


@pytest.fixture(scope="module", params=FORMATS, ids=lambda path: path.name)
def resumed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The stored run, trained from a checkpoint after its sixth iteration to its end."""
    folder = tmp_path_factory.mktemp("stored")
    shutil.copy(STORED / "metrics.jsonl", folder)
    shutil.copytree(request.param, folder / "checkpoints" / "00000006")
    run = artschool.load(STORED / "run.yml", run_dir=folder)
    assert run.iteration == 6
    return run.train()


def test_the_format_of_today_is_among_the_stored_ones() -> None:
    stored = {verify(path).schema for path in FORMATS}
    assert SCHEMA in stored, "run `python -m tests.engine.store_run` and commit the new folder"
    assert stored == set(range(1, SCHEMA + 1))


def test_other_versions_than_those_that_saved_it_are_told_in_one_line(tmp_path: Path) -> None:
    folder = shutil.copytree(FORMATS[-1], tmp_path / "run" / "checkpoints" / "00000006")
    seal(folder, versions={"artschool": "0.0.9", "torch": "2.10.0"})
    console = Console(record=True, width=200, file=io.StringIO())
    artschool.load(STORED / "run.yml", run_dir=tmp_path / "run", console=console)
    (line,) = [line for line in console.export_text().splitlines() if "versions: " in line]
    assert line.strip() == (
        f"changed since the checkpoint: versions: artschool 0.0.9 -> {artschool.__version__}, torch 2.10.0 -> "
        f"{torch.__version__}, python unknown -> {platform.python_version()}; the result may differ in some bits"
    )


@pytest.mark.parametrize(
    "file",
    ["critic.safetensors", "gen.safetensors", "gen.ema.safetensors", "state.optimizers.safetensors"],
)
def test_a_stored_run_resumes_to_the_stored_bits(resumed: Run, file: str) -> None:
    ours = resumed.folder / "checkpoints" / "00000012" / file
    assert ours.read_bytes() == (STORED / "checkpoints" / "00000012" / file).read_bytes()


def test_a_resumed_stored_run_logs_the_stored_numbers(resumed: Run) -> None:
    ours, stored = (
        [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        for folder in (resumed.folder, STORED)
    )
    for record in (*ours, *stored):
        del record["seconds"]
    assert ours == stored
