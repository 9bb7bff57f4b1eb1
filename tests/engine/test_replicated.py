"""GAN, VQ and diffusion with two and three processes: the weights, averages and skips of one process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.engine.forked import run_script
from tests.engine.replicated import CASES, NUMBERS


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("replicated")
    run_script("tests.engine.replicated", folder)
    return folder


@pytest.mark.soak
@pytest.mark.parametrize("number", NUMBERS[1:])
@pytest.mark.parametrize("case", CASES)
def test_several_processes_give_the_weights_of_one(trained: Path, case: str, number: int) -> None:
    """Several processes: the first case trains all of them. Accumulation, gates, clipping, a skip, and averages."""
    same_as_one(trained, case, number)


def same_as_one(folder: Path, case: str, number: int) -> None:
    """Compare what a number of processes has found with what one has."""
    one, several = (torch.load(folder / f"{case}_{n}.pt") for n in (1, number))
    # Half precision rounds products of another number of samples differently.
    tolerance = 1e-6 if "fp16" not in case else 1e-3
    assert several["weights"].keys() == one["weights"].keys()
    for owner, tensors in one["weights"].items():
        for name, value in tensors.items():
            torch.testing.assert_close(several["weights"][owner][name], value, rtol=0, atol=tolerance)
    assert [several[key] for key in ("skips", "scales", "updates")] == [
        one[key] for key in ("skips", "scales", "updates")
    ]
    assert _skipped(one) == 1
    assert [*map(_finite, several["records"])] == [
        pytest.approx(_finite(r), rel=10 * tolerance, nan_ok=True) for r in one["records"]
    ]


def _skipped(found: dict[str, Any]) -> int:
    return sum(total for total, _ in found["skips"].values())


def _finite(record: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in record.items() if "spoil" not in name and "total" not in name}
