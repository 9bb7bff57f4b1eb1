"""Several processes with a GPU each: they train what one does, and save when one of them fails.

The GPUs of the others wait for it then, but not the processes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from artschool.storage.checkpoint_store import CheckpointStore
from tests.engine.forked import run_script
from tests.engine.replicated import CASES
from tests.engine.test_replicated import same_as_one
from tests.engine.test_way_out import SAVED
from tests.gpu.marks import ON_CUDA, is_pretended

pytestmark = [
    *ON_CUDA,
    pytest.mark.skipif(torch.cuda.device_count() < 2 and not is_pretended(), reason="needs two CUDA devices"),
]
KINDS = ["replicated", "zero", "fsdp"]
FILES = [
    "recipes/digits_stylegan.yml",
    *(f"tests/famous/{name}.yml" for name in ("dino", "fixmatch", "moco", "ppo", "vqgan")),
]
SHARDED_FILES = [f"tests/famous/{name}.yml" for name in ("dann", "fixmatch", "moco")]
"""Those that train with SGD, for which torch has no rule if parameters are sharded."""
NUMBERS = [2, 3] if is_pretended() else [n for n in (2, 3) if n <= torch.cuda.device_count()]
FAILING = [f"{kind}_{rank}" for kind in KINDS for rank in (0, 1)]
UPDATED = [f"{kind}_updated" for kind in KINDS]
WHOLE = [f"{kind}_{which}" for kind in KINDS for which in ("whole", "1_resumed")]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What both processes found, as `<case><rank>`, and the folder. Half a minute: ten groups of two processes."""
    folder = tmp_path_factory.mktemp("several")
    cases = [*FAILING, *UPDATED, *WHOLE]
    run_script("tests.gpu.several", folder, "failing", *cases)
    names = [f"{case}{rank}" for case in cases for rank in (0, 1)]
    return {name: json.loads((folder / f"{name}.json").read_text()) for name in names} | {"folder": folder}


@pytest.fixture(scope="module", params=["replicate", "shard"])
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with what one process and several found. Half a minute: each trains all cases."""
    folder: Path = tmp_path_factory.mktemp(request.param)
    run_script("tests.gpu.several", folder, request.param, *map(str, (1, *NUMBERS)))
    return folder


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("case", CASES)
def test_several_processes_give_the_weights_of_one(trained: Path, case: str, number: int) -> None:
    same_as_one(trained, case, number)


def test_trainings_wait_for_nothing(tmp_path: Path) -> None:
    """Half a minute: six trainings whose losses, buffers or missing gradients make processes communicate."""
    run_script("tests.gpu.several", tmp_path, "files", *FILES)


def test_sharded_trainings_wait_for_nothing(tmp_path: Path) -> None:
    """Several seconds: three trainings."""
    run_script("tests.gpu.several", tmp_path, "sharded files", *SHARDED_FILES)


@pytest.mark.parametrize("case", FAILING)
def test_processes_meet_and_save_whichever_fails(found: dict[str, Any], case: str) -> None:
    checkpoint = CheckpointStore(found["folder"] / case / "run/checkpoints").load(7)
    assert checkpoint.state["error"] == "ZeroDivisionError: trouble"
    for rank in (0, 1):
        assert found[f"{case}{rank}"]["notes"][-1] == SAVED.format(7)
        assert ("ZeroDivisionError" in found[f"{case}{rank}"]["error"]) == case.endswith(str(rank))


@pytest.mark.parametrize("kind", KINDS)
def test_the_run_that_is_resumed_ends_with_the_bits_of_one_without_an_error(found: dict[str, Any], kind: str) -> None:
    for rank in (0, 1):
        assert found[f"{kind}_1_resumed{rank}"]["start"] == 7
        assert found[f"{kind}_1_resumed{rank}"]["hash"] == found[f"{kind}_whole{rank}"]["hash"]


@pytest.mark.parametrize("case", UPDATED)
def test_what_one_process_has_updated_in_part_is_not_saved(found: dict[str, Any], case: str) -> None:
    for rank in (0, 1):
        note = found[f"{case}{rank}"]["notes"][-1]
        assert note.startswith("Iteration 6 has updated a part of the weights on rank ")
    assert not list((found["folder"] / case).glob("run/checkpoints/0*"))
