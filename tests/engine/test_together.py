"""What rank 0 decides for all processes, and failures that end all of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from artschool import ranks
from artschool.engine.together import by_main, together
from artschool.errors import CheckpointError
from artschool.storage import checkpoint_files
from tests.engine import toy_run
from tests.engine.chosen import CASES
from tests.engine.forked import run_script

REFUSED = {
    "missing": "rank 1: run/checkpoints/00000010: folder does not exist",
    "damaged": "rank 1: run/checkpoints/00000010/gen.safetensors: damaged: its SHA-256 differs",
    "exchanged": "rank 1: run/checkpoints/00000010: differs from the checkpoint that rank 0 has found",
}


@pytest.fixture
def second_of_two(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """This process is rank 1 of two. What rank 0 sends, which the test fills in."""
    sent: list[Any] = []
    monkeypatch.setattr(ranks, "world_size", lambda: 2)
    monkeypatch.setattr(ranks, "rank", lambda: 1)
    monkeypatch.setattr(ranks, "is_main", lambda: False)
    monkeypatch.setattr(ranks, "gather", lambda value, group=None: [sent.pop(0), value])
    return sent


def test_one_process_works_alone() -> None:
    assert together(lambda: 3) == by_main(lambda: 3) == 3
    with pytest.raises(CheckpointError, match=r"^own$"):
        by_main(lambda: (_ for _ in ()).throw(CheckpointError("own")))


def test_the_error_of_another_process_is_raised(second_of_two: list[Any]) -> None:
    second_of_two += [CheckpointError("of rank 0")]
    with pytest.raises(CheckpointError, match=r"^of rank 0$"):
        together(lambda: 3)


def test_only_rank_0_works(second_of_two: list[Any]) -> None:
    second_of_two += [None, "found"]
    assert by_main(lambda: pytest.fail("rank 1 has no work")) == "found"


def test_an_error_of_python_is_raised_here_and_reported_to_the_others(second_of_two: list[Any]) -> None:
    second_of_two += [None]
    with pytest.raises(ZeroDivisionError):
        together(lambda: 1 // 0)
    assert not second_of_two  # The other process does not wait.


def test_a_resume_hashes_each_file_once(tmp_path: Path) -> None:
    options = ("train.iterations=2", "evaluate={}")
    toy_run.load(tmp_path, *options).train()
    with patch.object(checkpoint_files, "verify", wraps=checkpoint_files.verify) as verify:
        assert toy_run.load(tmp_path, *options).iteration == 2
    assert verify.call_count == 1


@pytest.mark.soak
def test_rank_0_chooses_for_all(tmp_path: Path) -> None:
    """About 20 s: ten groups of two processes."""
    run_script("tests.engine.chosen", tmp_path)
    for case in CASES:
        for suffix in ("", "_trained"):
            found = [json.loads((tmp_path / case / f"found{rank}{suffix}.json").read_text()) for rank in range(2)]
            if case in REFUSED:
                assert found[0]["code"] == found[1]["code"] == CheckpointError.exit_code
                assert found[0]["error"] == found[1]["error"]
                assert found[0]["error"].startswith(REFUSED[case])
                continue
            iteration, hashed = (5, 2) if case == "main_damaged" else (10, 1)
            assert [process["iteration"] for process in found] == [iteration, iteration]
            assert [process["hashed"] for process in found] == [hashed, 1]
