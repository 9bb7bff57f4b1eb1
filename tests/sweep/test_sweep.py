"""Sweeps whose trainings are scripts. `test_processes` has real ones."""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from artschool.cli.sweep import print_result
from artschool.engine.signals import Interrupted, interrupting
from artschool.errors import ConfigError, ResourceError
from artschool.storage import run_lock
from artschool.sweep import Metric, Result, Settings, read_arguments, sweep
from artschool.sweep.result import result_of
from artschool.sweep.study import counted_trials, left_trials, new_trial, opened_study, require_optuna
from tests.engine import toy_run
from tests.little_room import little_room
from tests.sweep.trainings import Script, Trainings

LR = "steps.gen.optimizer.lr"
Open = Callable[[Settings], Any]


def quality(overrides: dict[str, str], before: int) -> tuple[list[float], int]:
    """A training that is best with a rate of 0.01."""
    value = -abs(math.log10(float(overrides[LR])) + 2)
    return [value - 1, value, value - 0.5], 0


class Swept:
    """Sweeps of a file, with their trainings and lines."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self.lines: list[str] = []
        file = toy_run.write(folder)
        parameters, _ = read_arguments([f"{LR}=log(1e-4, 1)"])
        self.settings = Settings(file, parameters, (), Metric("held_out/psnr", "max"), folder / "sweep", "toy")
        self.settings = replace(self.settings, trials=4, seed=3)

    def run(self, script: Script, **changes: Any) -> tuple[Result, Trainings]:
        trainings = Trainings(script)
        self._monkeypatch.setattr("artschool.sweep.trial.Child", trainings)
        return sweep(replace(self.settings, **changes), self.lines.append), trainings


@pytest.fixture
def swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, registries: None) -> Swept:
    require_optuna()
    monkeypatch.setattr("artschool.sweep.loop.POLL_S", 0.0)
    return Swept(tmp_path, monkeypatch)


@pytest.fixture
def open_study() -> Iterator[Open]:
    """Begins or joins a sweep, until the end of the test."""
    with ExitStack() as stack:
        yield lambda settings: stack.enter_context(opened_study(settings))


def test_the_best_trial_is_found_and_its_value_is_its_best_evaluation(swept: Swept) -> None:
    result, trainings = swept.run(quality, trials=5)
    rates = [float(overrides[LR]) for overrides in trainings.started]
    values = [-abs(math.log10(rate) + 2) for rate in rates]
    best = max(range(5), key=values.__getitem__)
    assert result.best is not None and result.best.trial == best
    assert result.best.value == pytest.approx(values[best])
    assert result.training == swept.settings.folder / f"{best:04}"
    assert [row.value for row in result.rows] == sorted((row.value for row in result.rows), key=lambda v: -(v or 0))
    assert {row.state for row in result.rows} == {"finished"} and result.rows[0].iterations == 30
    assert result.importance == {LR: pytest.approx(1.0)}
    assert len(set(rates)) == 5 and all(1e-4 <= rate <= 1 for rate in rates)
    assert trainings.started[0]["name"] == "toy-0000"


@pytest.mark.parametrize(
    ("length", "option"), [((), "iterations"), (("train.iterations=", "train.epochs=2"), "epochs")]
)
def test_the_command_to_train_longer_uses_the_unit_of_the_file(
    swept: Swept, length: tuple[str, ...], option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    swept.settings = replace(swept.settings, trials=1, overrides=length, folder=swept.settings.folder / option)
    result, _ = swept.run(quality)
    print_result(Console(width=200), swept.settings, result)
    best = f"{result.training}/config.yml"
    assert f"train longer: artschool train {best} train.{option}=NUMBER" in capsys.readouterr().out


@pytest.mark.soak
def test_jobs_train_at_the_same_time_and_share_the_cores(swept: Swept, monkeypatch: pytest.MonkeyPatch) -> None:
    """Soak: each database takes a while."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    result, trainings = swept.run(quality, jobs=2)
    assert trainings.most == 2 and len(result.rows) == 4
    devices = {environment["CUDA_VISIBLE_DEVICES"] for environment in trainings.environments}
    assert devices == {"3", "5"} and trainings.environments[0]["OMP_NUM_THREADS"] == "4"


@pytest.mark.soak
def test_a_finished_sweep_trains_nothing_and_more_trials_continue_it(swept: Swept) -> None:
    """Soak: each database takes a while."""
    first, _ = swept.run(quality, trials=3)
    again, none = swept.run(quality, trials=3)
    assert again == first and none.started == []
    more, trainings = swept.run(quality, trials=5)
    assert [overrides["folder"][-4:] for overrides in trainings.started] == ["0003", "0004"]
    assert len(more.rows) == 5


@pytest.mark.soak
def test_a_resumed_sweep_draws_what_an_uninterrupted_one_draws(swept: Swept, tmp_path: Path) -> None:
    """Soak: each database takes a while."""
    for trials in (1, 2):
        parts, _ = swept.run(quality, trials=trials)
    whole, _ = swept.run(quality, folder=tmp_path / "whole", trials=2)
    assert [row.parameters for row in parts.rows] == [row.parameters for row in whole.rows]
    assert len({row.parameters[LR] for row in whole.rows}) == 2


@pytest.mark.soak
def test_bad_trials_are_pruned(swept: Swept) -> None:
    """Soak: each database takes a while. After five trials, one ends at an evaluation below the median."""

    def falling(overrides: dict[str, str], before: int) -> tuple[list[float], int]:
        start = -float(overrides["folder"][-4:])
        return [start, start + 0.1, start + 0.2], 0

    result, _ = swept.run(falling, trials=7)
    states = {row.trial: row.state for row in result.rows}
    assert states == {**dict.fromkeys(range(5), "finished"), 5: "pruned", 6: "pruned"}
    pruned = next(row for row in result.rows if row.trial == 5)
    assert pruned.value == -5.0 and pruned.iterations == 10
    assert "trial 5: pruned after 10 iterations" in swept.lines
    without, _ = swept.run(falling, trials=8, is_pruning=False)
    assert without.rows[-1].state == "pruned" and {row.trial: row.state for row in without.rows}[7] == "finished"


def test_a_diverged_trial_is_failed_and_the_sweep_goes_on(swept: Swept) -> None:
    def first_fails(overrides: dict[str, str], before: int) -> tuple[list[float], int]:
        return ([1.0], 4) if overrides["folder"].endswith("0000") else ([2.0], 0)

    result, trainings = swept.run(first_fails)
    assert len(trainings.started) == 4
    assert (result.rows[-1].trial, result.rows[-1].state) == (0, "failed")
    assert result.rows[-1].reason == "exit code 4: the last line"
    assert "trial 0: failed: exit code 4: the last line" in swept.lines


@pytest.mark.soak
def test_a_metric_that_is_never_a_number_fails_the_trial(swept: Swept) -> None:
    """Soak: each database takes a while."""
    result, _ = swept.run(lambda overrides, before: ([math.nan, math.nan], 0), trials=1)
    assert result.best is None and result.rows[0].reason == "held_out/psnr was never a number"


def test_a_fault_of_the_file_ends_the_sweep(swept: Swept) -> None:
    with pytest.raises(ConfigError, match="trial 0: the last line"):
        swept.run(lambda overrides, before: ([], 2))


def test_a_killed_training_goes_on_as_long_as_it_moves_forward(swept: Swept) -> None:
    def killed(overrides: dict[str, str], before: int) -> tuple[list[float], int]:
        number, values = int(overrides["folder"][-4:]), [1.0, 2.0, 3.0]
        if number == 0:
            return values[: before + 1], -9 if before < 2 else 0
        return values[:1], -9

    result, trainings = swept.run(killed, trials=2)
    states = {row.trial: row.state for row in result.rows}
    assert states == {0: "finished", 1: "failed"}
    started = [overrides["folder"][-4:] for overrides in trainings.started]
    assert started == ["0000"] * 3 + ["0001"] * 2
    assert len({overrides[LR] for overrides in trainings.started}) == 2


def test_seeds_are_averaged(swept: Swept) -> None:
    def by_seed(overrides: dict[str, str], before: int) -> tuple[list[float], int]:
        return [float(overrides["seed"])], 0

    result, trainings = swept.run(by_seed, trials=2, seeds=3)
    assert [overrides["seed"] for overrides in trainings.started] == ["7", "8", "9"] * 2
    assert result.best is not None and result.best.values == [7.0, 8.0, 9.0]
    assert result.best.value == 8.0 and result.best.spread == 1.0
    assert result.training == swept.settings.folder / "0000" / "seed2"


def test_a_signal_ends_the_trainings_and_the_same_command_goes_on_with_their_values(swept: Swept) -> None:
    def interrupts(overrides: dict[str, str], before: int) -> tuple[list[float], int]:
        if overrides["folder"].endswith("0001"):
            os.kill(os.getpid(), signal.SIGTERM)
        return [1.0, 2.0], 0

    trainings = Trainings(interrupts)
    swept._monkeypatch.setattr("artschool.sweep.trial.Child", trainings)
    with pytest.raises(Interrupted) as stopped, interrupting():
        sweep(swept.settings, swept.lines.append)
    assert stopped.value.exit_code == 143
    result, again = swept.run(quality)
    assert again.started[0]["folder"].endswith("0001")
    assert again.started[0][LR] == trainings.started[1][LR]
    assert len(result.rows) == 4 and {row.state for row in result.rows} == {"finished"}
    assert any(line.startswith("trial 1: goes on: ") for line in swept.lines)


@pytest.mark.soak
def test_a_trial_of_a_living_process_is_left_to_it(
    swept: Swept, open_study: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Soak: each database takes a while."""
    swept.run(quality, trials=1)
    open_study(swept.settings).ask()
    swept.settings.output_of(1).mkdir()
    held = run_lock.lock_folder(swept.settings.output_of(1))

    def in_use(folder: Path, note: object) -> None:
        raise ResourceError(f"{folder}: in use by another process")

    with monkeypatch.context() as context:
        context.setattr("artschool.sweep.study.lock_folder", in_use)
        result, trainings = swept.run(quality, trials=2)
    assert trainings.started == [] and {row.state for row in result.rows} == {"finished", "running"}
    del held


def test_two_sweeps_that_count_at_the_same_moment_keep_to_their_trials(
    swept: Swept, open_study: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the count and the question of the one, the other takes the last trial."""
    from artschool.sweep import study as module

    swept.run(quality, trials=3)
    one, other = open_study(swept.settings), open_study(swept.settings)
    sampler, taken = module._sampler, []

    def slowly(settings: Settings, count: int) -> Any:
        with monkeypatch.context() as context:
            context.setattr(module, "_sampler", sampler)
            taken.append(new_trial(settings, other))
        return sampler(settings, count)

    monkeypatch.setattr(module, "_sampler", slowly)
    assert new_trial(swept.settings, one) is None
    assert taken[0] is not None and taken[0][0].number == 3
    assert sorted(row.trial for row in result_of(swept.settings, one).rows) == [0, 1, 2, 3]
    monkeypatch.setattr(module, "_sampler", sampler)
    assert new_trial(swept.settings, one) is None
    found = new_trial(replace(swept.settings, trials=5), one)
    assert found is not None and found[0].number == 5


def test_two_sweeps_of_one_name_that_begin_at_the_same_moment_are_told_apart(
    swept: Swept, open_study: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the one has found no study, the other creates it."""
    import optuna

    create = optuna.create_study

    def slowly(**options: Any) -> Any:
        monkeypatch.setattr(optuna, "create_study", create)
        open_study(swept.settings)
        return create(**options)

    monkeypatch.setattr(optuna, "create_study", slowly)
    with pytest.raises(
        ConfigError, match=r"already is a sweep with other settings: metric held_out/psnr:max, now .*:min"
    ):
        open_study(replace(swept.settings, metric=Metric("held_out/psnr", "min")))


def test_a_trial_whose_process_was_killed_before_it_had_its_values_is_replaced(swept: Swept, open_study: Open) -> None:
    swept._monkeypatch.setattr("artschool.sweep.study.DRAW_S", 0.1)
    open_study(swept.settings).ask()
    result, trainings = swept.run(quality, trials=1)
    assert [overrides["folder"][-4:] for overrides in trainings.started] == ["0001"]
    assert [(row.trial, row.state) for row in result.rows] == [(1, "finished")]


def test_a_trial_that_another_machine_begins_is_left_to_it(swept: Swept, open_study: Open) -> None:
    """In a storage of several machines, a trial has its folder on one of them."""
    from optuna.trial import TrialState

    settings = replace(swept.settings, storage=f"sqlite:///{swept.settings.folder.parent / 'shared.db'}")
    study = open_study(settings)
    study.ask()
    assert list(left_trials(settings, study, print)) == []
    assert [trial.state for trial in study.trials] == [TrialState.RUNNING]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("artschool.sweep.study.BEGINNING", timedelta(0))
        patch.setattr("artschool.sweep.study.DRAW_S", 0.1)
        assert list(left_trials(settings, study, print)) == []
    assert [trial.state for trial in study.trials] == [TrialState.FAIL]
    assert counted_trials(study) == []


def test_a_trial_whose_values_a_living_process_draws_is_left_to_it(
    swept: Swept, open_study: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = open_study(swept.settings)
    study.ask()

    lock, is_drawn = run_lock.lock_folder, list[float]()

    def wait(seconds: float) -> None:
        """The other process goes on."""
        is_drawn.append(seconds)
        swept.settings.output_of(0).mkdir(parents=True, exist_ok=True)

    def lock_of(folder: Path, note: Any) -> Any:
        if is_drawn:
            raise ResourceError(f"{folder}: in use by another process")
        return lock(folder, note)

    with monkeypatch.context() as patch:
        patch.setattr("artschool.sweep.study.lock_folder", lock_of)
        patch.setattr("time.sleep", wait)
        assert list(left_trials(swept.settings, study, print)) == []
    assert len(counted_trials(study)) == 1


def test_the_trial_of_a_process_that_is_killed_goes_on_in_the_sweep_that_remains(
    swept: Swept, open_study: Open
) -> None:
    other: list[Any] = [new_trial(swept.settings, open_study(swept.settings))]

    def killed(overrides: dict[str, str], before: int) -> tuple[list[float], int]:
        other.clear()
        return quality(overrides, before)

    with pytest.MonkeyPatch.context() as patch:
        lock = run_lock.lock_folder

        def lock_of(folder: Path, note: Any) -> Any:
            if other and folder.name == "0000":
                raise ResourceError(f"{folder}: in use by another process")
            return lock(folder, note)

        patch.setattr("artschool.sweep.study.lock_folder", lock_of)
        result, trainings = swept.run(killed, trials=2)
    assert [overrides["folder"][-4:] for overrides in trainings.started] == ["0001", "0000"]
    assert {row.state for row in result.rows} == {"finished"}


def test_a_trial_that_was_given_up_while_its_values_were_drawn_is_not_trained(
    swept: Swept, open_study: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second process begins before the first one, which is stopped, holds the lock of its trial."""
    monkeypatch.setattr("artschool.sweep.study.DRAW_S", 0.1)
    one, other = open_study(swept.settings), open_study(swept.settings)
    ask, begun = type(one).ask, list[Any]()

    def slowly(study: Any, *given: Any) -> Any:
        trial = ask(study, *given)
        if not begun:
            begun.append(list(left_trials(swept.settings, other, print)))
        return trial

    monkeypatch.setattr(type(one), "ask", slowly)
    found = new_trial(swept.settings, one)
    assert begun == [[]]
    assert found is not None and found[0].number == 1


def test_a_sweep_that_was_killed_before_it_had_its_settings_begins_again(
    swept: Swept, open_study: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    import optuna

    swept.settings.folder.mkdir()
    url = f"sqlite:///{swept.settings.folder / 'study.db'}"
    study = optuna.create_study(study_name="toy", storage=url, direction="maximize")
    monkeypatch.setattr("artschool.sweep.study.PAUSES", (0.0,))
    assert open_study(swept.settings).user_attrs == {"artschool": swept.settings.identity}
    study.set_user_attr("artschool", "theirs")
    with pytest.raises(ConfigError, match="toy: a study of another program"):
        open_study(swept.settings)


def test_a_trial_that_ends_while_it_is_looked_at_is_not_trained_again(swept: Swept, open_study: Open) -> None:
    import optuna

    study = open_study(swept.settings)
    found = new_trial(swept.settings, study)
    assert found is not None
    trial, lock = found
    lock_of, state = run_lock.lock_folder, optuna.trial.TrialState.COMPLETE

    def finished(folder: Path, note: object) -> Any:
        """The other process ends between the list of its trials and the lock."""
        study.tell(trial, 1.0, state)
        return lock_of(folder)

    del lock, found
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("artschool.sweep.study.lock_folder", finished)
        assert list(left_trials(swept.settings, study, print)) == []


def test_everything_is_checked_before_the_first_trial(swept: Swept) -> None:
    cases = {
        (f"{LR}=uniform(-1, 1)",): rf"{LR}.*-1",
        (f"{LR}=uniform(0.1, 1)", "steps.gen.optimizer.eps=uniform(-1, 1)"): r"eps",
        ("steps.gen.optimizer.rate=log(1e-4, 1)",): "unknown option",
        ("data.train.batch_size=choice(4, 8, many)",): "expected .*whole number.*many",
        (): "a sweep has no parameters",
    }
    for arguments, message in cases.items():
        parameters, overrides = read_arguments(arguments)
        with pytest.raises(ConfigError, match=message):
            swept.run(quality, parameters=parameters, overrides=overrides)
    with pytest.raises(ConfigError, match=r"(?s)no evaluation reports 'held/psnr'.*held_out/psnr"):
        swept.run(quality, metric=Metric("held/psnr", "max"))
    assert not swept.settings.folder.exists()


@pytest.mark.soak
def test_another_sweep_of_the_name_is_refused(swept: Swept) -> None:
    """Soak: each database takes a while."""
    swept.run(quality, trials=1)
    with pytest.raises(ConfigError, match=r"already is a sweep with other settings: seeds 1, now 2.*--name"):
        swept.run(quality, seeds=2)


def test_a_storage_that_cannot_be_opened_is_an_error_without_the_password(swept: Swept) -> None:
    with pytest.raises(ResourceError, match="cannot open the storage") as error:
        swept.run(quality, storage="nosuch://user:secretword@127.0.0.1:1/db")
    assert "secretword" not in str(error.value)


@pytest.mark.soak
def test_a_metric_of_the_end_alone_prunes_nothing_and_says_so(swept: Swept) -> None:
    """Soak: each database takes a while."""
    swept.run(quality, trials=1, overrides=("evaluate.held_out.every=null",))
    assert swept.lines[0].startswith("note: no trial is pruned, since held_out/psnr is measured only at the end")


def test_a_missing_package_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ResourceError, match=r"pip install 'artschool\[sweep\]'"):
        require_optuna()


def test_a_storage_without_room_is_an_error_and_the_sweep_goes_on_later(swept: Swept) -> None:
    def fills(overrides: dict[str, str], before: int) -> tuple[list[float], int]:
        room.enter_context(little_room(1000))
        return quality(overrides, before)

    with ExitStack() as room, pytest.raises(ResourceError, match=r"study\.db: the storage of the sweep has failed: "):
        swept.run(fills)
    result, _ = swept.run(quality)
    assert [row.state for row in result.rows] == ["finished"] * 4
