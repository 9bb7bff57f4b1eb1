"""A run folder that an earlier commit wrote resumes to the bits that the same commit ended at.

`stored_run/` holds the checkpoints after 6 and 12 iterations and the log of version 0.1.0 before its packages were
renamed. Its arithmetic is exact in float32, so that the numbers do not depend on the machine.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import artschool
from artschool.engine.run import Run

STORED = Path(__file__).parent / "stored_run"


@pytest.fixture(scope="module")
def resumed(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The stored run, trained from its sixth iteration to its end."""
    folder = tmp_path_factory.mktemp("stored") / "stored_run"
    shutil.copytree(STORED, folder)
    shutil.rmtree(folder / "checkpoints" / "00000012")
    run = artschool.load(folder / "run.yml", run_dir=folder)
    assert run.iteration == 6
    return run.train()


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
