"""The stretches of iterations at which the same parts are active."""

from __future__ import annotations

from pathlib import Path

import pytest

from artschool.read.read import check_file
from artschool.trace.regimes import regimes, representatives
from tests.config.bad_files import SOUND


@pytest.mark.parametrize(("start", "found"), [(0, {0: 600, 600: 200}), (300, {300: 300, 600: 200}), (799, {799: 1})])
def test_a_run_has_the_regimes_that_it_comes_to(tmp_path: Path, start: int, found: dict[int, int]) -> None:
    (tmp_path / "gan.yml").write_text(SOUND)
    assert regimes(check_file(tmp_path / "gan.yml", [f"train.start_iteration={start}"]), 800) == found


def test_the_iterations_of_regimes_are_those_of_the_run(tmp_path: Path) -> None:
    (tmp_path / "gan.yml").write_text(SOUND)
    gates = ["steps.gen.every=2", "steps.critic.every=3", "steps.gen.losses.adversarial.after=605"]
    config = check_file(tmp_path / "gan.yml", gates)
    counts: dict[int, int] = {}
    seen: dict[tuple[bool, ...], int] = {}
    for i in range(800):
        active = (i >= 100, i >= 600, i >= 605, i % 2 == 0, i >= 600 and i % 3 == 0)
        first = seen.setdefault(active, i)
        counts[first] = counts.get(first, 0) + 1
    assert regimes(config, 800, starts=[100]) == counts


def test_regimes_that_meet_after_a_long_time_are_found(tmp_path: Path) -> None:
    (tmp_path / "gan.yml").write_text(SOUND)
    gates = ["steps.gen.every={of: 128, at: 5}", "steps.critic.every={of: 1171, at: 3}"]
    config = check_file(tmp_path / "gan.yml", [*gates, "steps.critic.after=0", "train.iterations=300000"])
    counts: dict[int, int] = {}
    seen: dict[tuple[bool, ...], int] = {}
    for i in range(300_000):
        first = seen.setdefault((i % 128 == 5, i % 1171 == 3, i >= 600), i)
        counts[first] = counts.get(first, 0) + 1
    found = regimes(config, 300_000)
    assert found == counts and 1 in found.values()


def test_an_average_with_an_interval_has_regimes(tmp_path: Path) -> None:
    (tmp_path / "gan.yml").write_text(SOUND)
    file = check_file(tmp_path / "gan.yml", ["ema.networks={gen: {every: {of: 100, at: 7}, start: 3}}"])
    # Iterations 0 to 2, 3 to 599, 600 to 799 and the multiples of 100 plus 7.
    assert regimes(file, 800) == {0: 3, 3: 591, 7: 6, 600: 198, 607: 2}
    assert representatives(file, [0, 3, 7, 600, 607]) == [0, 607]
    assert representatives(file, [3, 7]) == [7]


def test_a_regime_whose_steps_run_as_elsewhere_is_covered(tmp_path: Path) -> None:
    (tmp_path / "gan.yml").write_text(SOUND)
    file = check_file(tmp_path / "gan.yml", ["steps.gen.losses.adversarial.after=700"])
    assert list(regimes(file, 800)) == [0, 600, 700]
    # At 600 the generator runs as at 0; at 700 with another loss, and the critic on what that one made.
    assert representatives(file, [0, 600, 700]) == [600, 700]
    assert representatives(file, [0]) == [0]
