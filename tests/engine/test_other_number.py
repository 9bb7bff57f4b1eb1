"""A run resumes with any number of processes: the same samples, weights and logged numbers as without a stop."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.engine.forked import run_script
from tests.engine.other_number import CASES, SWITCH

OTHERS = [name for name in CASES if " to " in name]


def whole_of(case: str) -> str:
    """The case with one process and the same optimizer."""
    return "1 sgd" if case.endswith("sgd") else "1"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("other_number")
    run_script("tests.engine.other_number", folder)
    return folder


def found(folder: Path, at: int) -> list[dict[str, Any]]:
    """What the processes that trained to iteration `at` wrote, by rank."""
    return [json.loads(file.read_text()) for file in sorted(folder.glob(f"{at}_*/found.json"))]


def samples(folder: Path) -> dict[int, list[str]]:
    """The samples of each iteration, over all processes, in the order of the batch."""
    names: dict[int, list[str]] = defaultdict(list)
    for at in (SWITCH, 14):
        for process in found(folder, at):
            for iteration, seen in process["seen"]:
                names[iteration] += seen
    return names


@pytest.mark.soak
@pytest.mark.parametrize("case", OTHERS)
def test_a_run_resumes_with_another_number_of_processes(trained: Path, case: str) -> None:
    """Several processes: the first case trains all of them."""
    whole, resumed = (torch.load(trained / name / "14_0" / "weights.pt") for name in (whole_of(case), case))
    for network, tensors in whole.items():
        for key, value in tensors.items():
            torch.testing.assert_close(resumed[network][key], value, rtol=0, atol=1e-6)
    before, after = CASES[case][0]
    assert (
        f"changed since the checkpoint: world_size: {before} -> {after} processes"
        in found(trained / case, 14)[0]["text"]
    )


@pytest.mark.soak
@pytest.mark.parametrize("case", OTHERS)
def test_each_sample_of_an_epoch_is_seen_once(trained: Path, case: str) -> None:
    """Several processes, if it is the first that needs the trained runs."""
    names = samples(trained / case)
    assert names == samples(trained / whole_of(case))
    for epoch in (range(6), range(6, 12)):
        seen = [name for iteration in epoch for name in names[iteration]]
        assert sorted(seen) == sorted(f"picture {index}" for index in range(40))


@pytest.mark.soak
@pytest.mark.parametrize("case", OTHERS)
def test_the_numbers_between_two_log_points_are_those_of_all_processes(trained: Path, case: str) -> None:
    """Several processes, if it is the first that needs the trained runs."""
    (whole,), (resumed, *_) = found(trained / whole_of(case), 14), found(trained / case, 14)
    expected = [record for record in whole["records"] if record["iteration"] >= SWITCH]
    assert len(expected) == len(resumed["records"]) == 2
    for record, other in zip(expected, resumed["records"], strict=True):
        del record["seconds"], other["seconds"]
        assert other == pytest.approx(record, rel=1e-5, abs=1e-6, nan_ok=True)
