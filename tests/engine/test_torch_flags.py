"""The flags that torch keeps for the whole process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from artschool.build.torch_flags import set_torch_flags
from artschool.config.sections import TrainSection
from tests.engine import toy_run

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)


def _set_defaults() -> None:
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = True


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    _set_defaults()  # Another test may have trained with other flags.
    yield
    _set_defaults()
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize(
    ("chosen", "device", "deterministic", "expected"),
    [
        (None, CPU, False, ("highest", True)),
        (None, CUDA, False, ("high", True)),
        (None, CUDA, True, ("highest", True)),
        ("highest", CUDA, False, ("highest", False)),
        ("high", CUDA, True, ("high", True)),
        ("medium", CPU, False, ("medium", True)),
    ],
)
def test_products_have_the_chosen_precision(
    chosen: str | None, device: torch.device, deterministic: bool, expected: tuple[str, bool]
) -> None:
    section = TrainSection.model_validate({"iterations": 1, "matmul_precision": chosen, "deterministic": deterministic})
    set_torch_flags(section, device)
    assert (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32) == expected
    # Code of others reads the old names, the new ones, or both: torch refuses an inconsistent mix.
    assert torch.backends.cuda.matmul.allow_tf32 is (expected[0] != "highest")
    with torch.backends.cudnn.flags(enabled=True):
        pass


def test_the_run_sets_them(tmp_path: Path) -> None:
    toy_run.load(tmp_path, "train.matmul_precision=high")
    assert torch.get_float32_matmul_precision() == "high"
