"""The stretches of iterations at which the same parts are active."""

from __future__ import annotations

from pathlib import Path

import pytest
from bad_files import SOUND

from artschool.config.regimes import regimes
from artschool.legacy.read import check_any


@pytest.mark.parametrize(("start", "found"), [(0, [0, 600]), (300, [300, 600]), (799, [799])])
def test_a_run_has_the_regimes_that_it_comes_to(tmp_path: Path, start: int, found: list[int]) -> None:
    (tmp_path / "gan.yml").write_text(SOUND)
    assert regimes(check_any(tmp_path / "gan.yml", [f"train.start_iteration={start}"])) == found
