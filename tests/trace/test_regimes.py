"""The stretches of iterations at which the same parts are active."""

from __future__ import annotations

from pathlib import Path

import pytest

from artschool.read.read import check_file
from artschool.trace.regimes import regimes, representatives
from tests.config.bad_files import SOUND


@pytest.mark.parametrize(("start", "found"), [(0, [0, 600]), (300, [300, 600]), (799, [799])])
def test_a_run_has_the_regimes_that_it_comes_to(tmp_path: Path, start: int, found: list[int]) -> None:
    (tmp_path / "gan.yml").write_text(SOUND)
    assert regimes(check_file(tmp_path / "gan.yml", [f"train.start_iteration={start}"])) == found


def test_a_regime_whose_steps_run_as_elsewhere_is_covered(tmp_path: Path) -> None:
    (tmp_path / "gan.yml").write_text(SOUND)
    file = check_file(tmp_path / "gan.yml", ["steps.gen.losses.adversarial.after=700"])
    assert regimes(file) == [0, 600, 700]
    # At 600 the generator runs as at 0; at 700 with another loss, and the critic on what that one made.
    assert representatives(file, [0, 600, 700]) == [600, 700]
    assert representatives(file, [0]) == [0]
