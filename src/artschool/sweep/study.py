"""The study of optuna: where it is stored, whose trials this process takes, and which values come next."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from artschool.errors import ConfigError, ResourceError, first_line
from artschool.extras import extra
from artschool.paths import is_dir, is_file
from artschool.storage.durable import make_folder
from artschool.storage.run_lock import RunLock, lock_folder
from artschool.sweep.settings import Settings
from artschool.wording.hidden import STARS, hide

if TYPE_CHECKING:
    from optuna import Study
    from optuna.samplers import BaseSampler
    from optuna.storages import BaseStorage, RDBStorage
    from optuna.trial import FrozenTrial, Trial

FILE = "study.db"
IDENTITY = "artschool"
"""Attribute of the study: what all processes of a sweep have in common."""
SURPLUS = "surplus"
"""Attribute of a trial that does not count: another machine has begun it at the same moment as the last one of the
sweep, or its process was killed before it had its values."""
FOLDER = "folder"
"""Attribute of a trial: its folder, from its start on."""
DRAW_S = 2.0
"""Seconds for which a trial of a living process may have no folder, while its values are drawn."""
BEGINNING = timedelta(minutes=1)
"""A trial of another machine that has no folder after this time was never begun. It takes less than a second."""
PAUSES = (0.0, 0.5, 1.5)
"""Seconds before each look at a storage: another process may just be creating its tables, or the study."""
STARTUP = 5
"""Trials that finish before any is pruned."""


def require_optuna() -> None:
    """Import optuna, and silence what it prints.

    Raises:
        ResourceError: It is not installed.
    """
    with extra("sweep"):
        import optuna
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)


def stored_identity(name: str, folder: Path, storage: str) -> dict[str, Any] | None:
    """What the processes of a sweep have in common. None: there is no sweep of this name."""
    if not storage and not is_file(folder / FILE):
        return None
    with suppress(KeyError), _opened(folder, storage) as opened:
        return _identity(name, opened)
    return None


@contextmanager
def opened_study(settings: Settings) -> Iterator[Study]:
    """Begin a sweep, or join it. Its storage is closed afterwards.

    Raises:
        ConfigError: There is another sweep of this name.
        ResourceError: The storage cannot be opened.
    """
    make_folder(settings.folder)
    with _opened(settings.folder, settings.storage) as storage:
        yield _created_or_joined(settings, storage)


def _created_or_joined(settings: Settings, storage: BaseStorage) -> Study:
    import optuna

    pruner = optuna.pruners.MedianPruner(STARTUP) if settings.is_pruning else optuna.pruners.NopPruner()
    direction: Literal["maximize", "minimize"] = "maximize" if settings.metric.mode == "max" else "minimize"
    try:  # Of sweeps that begin at the same moment, the storage lets one create the study.
        study = optuna.create_study(study_name=settings.name, storage=storage, direction=direction, pruner=pruner)
    except optuna.exceptions.DuplicatedStudyError:
        study = optuna.load_study(study_name=settings.name, storage=storage, pruner=pruner)
        known = _identity(settings.name, storage)
        if known is not None:
            if known != settings.identity:
                raise ConfigError(_difference(settings, known)) from None
            return study
        if study.user_attrs or study.get_trials(deepcopy=False):
            message = f"{settings.name}: a study of another program. Fix: choose another name with --name"
            raise ConfigError(message) from None
    study.set_user_attr(IDENTITY, settings.identity)
    return study


def _identity(name: str, storage: BaseStorage) -> dict[str, Any] | None:
    """What the processes have in common. None: the study is of another program, or its first process was killed."""
    import optuna

    for pause in PAUSES:
        time.sleep(pause)
        found = optuna.load_study(study_name=name, storage=storage).user_attrs.get(IDENTITY)
        if isinstance(found, dict):
            return found
    return None


def left_trials(settings: Settings, study: Study, note: Callable[[str], object]) -> Iterator[tuple[Trial, RunLock]]:
    """The unfinished trials whose process has ended, with the lock that makes them those of this process.

    One that was killed while it drew the values leaves a trial that cannot go on. It no longer counts.

    Args:
        note: Called before a wait for the process of another machine.
    """
    from optuna.trial import Trial, TrialState

    for frozen in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        number = frozen.number
        has_begun = is_dir(settings.output_of(number))
        if not has_begun:
            if not _is_nobodys(settings, frozen):
                continue
            has_begun = _begins(settings, number)
        lock = _lock(settings, number, note)
        # Its process may have finished it, and released the lock, since the list was read.
        if lock is None or not _is_running(study, number):
            continue
        trial = Trial(study, frozen._trial_id)
        if has_begun:
            yield trial, lock
        else:
            _give_up(study, trial)
            del lock


def new_trial(settings: Settings, study: Study) -> tuple[Trial, RunLock] | None:
    """The next trial. None: the sweep has all of its trials.

    Machines that count at the same moment may ask for one too many. Its number, which the storage gives, shows it.
    """

    count = len(counted_trials(study))
    if count >= settings.trials:
        return None
    study.sampler = _sampler(settings, count)
    trial = study.ask({parameter.path: parameter.distribution for parameter in settings.parameters})
    if sum(other.number < trial.number for other in counted_trials(study)) >= settings.trials:
        _give_up(study, trial)
        return None
    lock = _lock(settings, trial.number, lambda message: None)
    # Another process may have taken it for one of a killed process.
    is_own = lock is not None and _is_running(study, trial.number)
    return (trial, lock) if lock is not None and is_own else new_trial(settings, study)


def _is_nobodys(settings: Settings, trial: FrozenTrial) -> bool:
    """Whether a trial without a folder here is not of another machine, where it has one."""
    if not settings.storage:
        return True
    began = trial.datetime_start
    return FOLDER not in trial.user_attrs and began is not None and datetime.now() - began > BEGINNING


def _begins(settings: Settings, number: int) -> bool:
    """Whether a living process, which has just drawn the values of a trial, makes its folder."""
    deadline = time.monotonic() + DRAW_S
    while not (found := is_dir(settings.output_of(number))) and time.monotonic() < deadline:
        time.sleep(DRAW_S / 20)
    return found


def _is_running(study: Study, number: int) -> bool:
    from optuna.trial import TrialState

    return study.get_trials(deepcopy=False)[number].state is TrialState.RUNNING


def _give_up(study: Study, trial: Trial) -> None:
    """End a trial that no longer counts."""
    from optuna.trial import TrialState

    trial.set_user_attr(SURPLUS, value=True)
    study.tell(trial, state=TrialState.FAIL)


def counted_trials(study: Study) -> list[FrozenTrial]:
    """The trials of a sweep, without those that are given up."""
    return [trial for trial in study.get_trials(deepcopy=False) if SURPLUS not in trial.user_attrs]


def _lock(settings: Settings, number: int, note: Callable[[str], object]) -> RunLock | None:
    make_folder(settings.output_of(number))
    try:
        return lock_folder(settings.output_of(number), note)
    except ResourceError:
        return None


def _sampler(settings: Settings, count: int) -> BaseSampler:
    """A sampler for one trial. Its seed depends on the trials so far, so that a resumed sweep draws as another."""
    from optuna.samplers import TPESampler

    return TPESampler(seed=None if settings.seed is None else settings.seed + count, constant_liar=True)


@contextmanager
def _opened(folder: Path, storage: str) -> Iterator[BaseStorage]:
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import DBAPIError

    opened = _open(folder, storage)
    try:
        yield opened
    except (StorageInternalError, DBAPIError) as error:
        problem = first_line(error.__cause__ if isinstance(error.__cause__, DBAPIError) else error)
        where = "--storage" if storage else str(folder / FILE)
        fix = "Fix: make room, or the storage available, and run the same command again: trials go on where they were"
        raise ResourceError(f"{where}: the storage of the sweep has failed: {problem}. {fix}") from error
    finally:
        opened.remove_session()
        opened.engine.dispose()


def _open(folder: Path, storage: str) -> RDBStorage:
    import optuna
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import DBAPIError, SQLAlchemyError

    url = storage or f"sqlite:///{folder / FILE}"
    for pause in PAUSES:
        time.sleep(pause)
        try:
            hide(str(make_url(url).password or ""), STARS)
            return optuna.storages.RDBStorage(url)
        except (SQLAlchemyError, ImportError, ValueError, RuntimeError) as error:
            problem = error
            if not isinstance(error, DBAPIError | RuntimeError):
                break  # Waiting helps only if the database itself has refused.
    raise ResourceError(f"--storage: cannot open the storage of the sweep: {first_line(problem)}") from problem


def _difference(settings: Settings, known: dict[str, Any]) -> str:
    own = settings.identity
    differing = [f"{key} {_shown(known.get(key))}, now {_shown(own[key])}" for key in own if own[key] != known.get(key)]
    return (
        f"{settings.folder}: already is a sweep with other settings: {'; '.join(differing)}. "
        "Fix: choose another name with --name, or leave the settings out with --resume"
    )


def _shown(value: object) -> str:
    return " ".join(map(str, value)) or "none" if isinstance(value, list) else str(value)
