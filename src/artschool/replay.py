"""Reproduces an incident of a run in one process, and finds the first tensor that went wrong."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import torch
from torch import Tensor

from artschool import ranks
from artschool.build.run import build
from artschool.config.compose import finish
from artschool.config.source import read_text
from artschool.config.standalone import standalone_text
from artschool.config.structure import Config
from artschool.engine.exits import without_exits
from artschool.engine.first_bad import FirstBad
from artschool.engine.freeze import all_frozen
from artschool.engine.incidents import BATCH, CHECKPOINT, FILE, bad_values, newest_incident
from artschool.engine.loop import train_once
from artschool.engine.real_view import can_be_non_finite, real_view
from artschool.engine.restore_run import restore
from artschool.engine.run import Run
from artschool.engine.streams import Part
from artschool.engine.watchdog import watched
from artschool.errors import CheckpointError, ConfigError
from artschool.paths import is_dir, is_file, read_file
from artschool.read.check import check_tree
from artschool.read.read import check_file
from artschool.storage import checkpoint_files
from artschool.storage.checkpoint_store import CheckpointStore
from artschool.storage.tensors import read_content
from artschool.wording.counting import iterations_of

Report = Callable[[str], None]
MOST_LISTED = 5
FIELDS = {
    **dict.fromkeys(("kind", "error", "class", "step"), str),
    **dict.fromkeys(("iteration", "last_iteration", "shift", "rollbacks", "world_size"), int),
    **dict.fromkeys(("streams", "numbers"), dict),
    "config": str | None,
    "overrides": list,
}
"""What a replay reads of an incident, and its types."""
MOST = 2**53
"""The largest number of an incident, as in the state of a checkpoint."""


@dataclass
class Replay:
    """What a replay found.

    Attributes:
        incident: The record of the incident.
        errors: What the iterations of the incident raised: class and message.
        skipped: The iterations and steps of which the update was skipped.
        found: A line for each tensor with NaN or infinity, in their order.
        losses: The losses of each iteration of the incident.
    """

    incident: Mapping[str, Any]
    errors: list[BaseException] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    found: list[str] = field(default_factory=list)
    losses: dict[int, dict[str, float]] = field(default_factory=dict)

    @property
    def is_reproduced(self) -> bool:
        """Whether the same went wrong as in the incident."""
        match self.incident["kind"]:
            case "nan":
                return bool(self.found)
            case "spike":
                return self._has_spike()
            case _:
                return any(type(error).__name__ == self.incident["class"] for error in self.errors)

    def _has_spike(self) -> bool:
        name = self.incident["step"]
        value, values = (
            self.incident["numbers"].get(name),
            [each[name] for each in self.losses.values() if name in each],
        )
        return bool(values) and isinstance(value, float) and abs(sum(values) / len(values) - value) <= 1e-2 * abs(value)

    def lines(self) -> Generator[str]:
        """What to print."""
        for iteration, losses in filter(itemgetter(1), self.losses.items()):  # An error may come before the first loss.
            yield f"iteration {iteration}: " + ", ".join(f"{name} {value:.4g}" for name, value in losses.items())
        yield from (f"raised: {type(error).__name__}: {error}" for error in self.errors)
        yield from self.skipped
        if self.found:
            yield f"first tensor that went wrong: {self.found[0]}"
            yield from (f"  then {line}" for line in self.found[1:MOST_LISTED])
        yield "reproduced" if self.is_reproduced else "not reproduced"


def replay(path: Path, report: Report = lambda line: None) -> Replay:
    """Train a run again up to an incident, from the checkpoint before it, and look at every tensor of its iterations.

    Writes no files. As in a run, what it waits for is watched: see `train.hang_timeout`. The recorded batch takes the
    place of what the data set returns, if the data set has changed.

    Args:
        path: The folder of an incident, or of a run with incidents, of which the newest is replayed.
        report: Called with messages for the user.

    Raises:
        ConfigError: There is no incident, or the config file has faults.
        CheckpointError: The checkpoint is damaged.
        DataError: The data set cannot be read.
    """
    folder = path if is_file(path / FILE) else newest_incident(path)
    if folder is None:
        raise ConfigError(f"{path}: has no incident (expected a folder with {FILE}, or a run folder with incidents)")
    incident = _read(folder / FILE)
    first_line = incident["error"].partition("\n")[0]
    report(f"{folder}: {incident['kind']} in iteration {incident['iteration']}: {first_line}")
    with TemporaryDirectory(prefix="artschool-replay-") as temporary, ranks.single_process():
        run = build(_config(incident, folder, report), Path(temporary), note=report)
        run.is_kept = False
        run.remember_built()
        _go_back(run, incident, folder, report)
        return _train(run, incident, folder, report)


def _read(file: Path) -> dict[str, Any]:
    try:
        incident = json.loads(read_file(file))
        missing = [name for name, kind in FIELDS.items() if not _fits(incident[name], kind)]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ConfigError(f"{file}: not an incident: {type(error).__name__}: {error}") from error
    if missing:
        raise ConfigError(f"{file}: not an incident: wrong {missing[0]!r}")
    return cast("dict[str, Any]", incident)


def _fits(value: object, kind: Any) -> bool:
    """Whether a value has a type; a number, whether it may count iterations as well."""
    return isinstance(value, kind) and (kind is not int or 0 <= cast("int", value) <= MOST)


def _config(incident: Mapping[str, Any], folder: Path, report: Report) -> Config:
    """The config of the incident: that of its file, unless the file has changed."""
    try:
        resolved = read_file(folder / "resolved.yml").decode()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{folder / 'resolved.yml'}: cannot be read: {error}") from error
    file = Path(incident["config"] or folder / "resolved.yml")
    if incident["config"] and is_file(file):
        try:
            config = check_file(file, incident["overrides"], announce=report)
        except ConfigError:
            config = None
        if config is not None and standalone_text(config.tree) == resolved:
            return config
    report(f"note: {file} has changed since; using {folder / 'resolved.yml'}")
    return check_tree(finish(read_text(resolved, str(folder / "resolved.yml")), file), announce=report)


def _go_back(run: Run, incident: Mapping[str, Any], folder: Path, report: Report) -> None:
    """Restore the newest checkpoint before the incident, and its position in the data and in the random numbers."""
    iteration = incident["iteration"]
    path = _checkpoint(folder, iteration)
    if path is not None:
        restore(run, checkpoint_files.load(path))
    source = "the beginning" if path is None else f"{path}, after {run.iteration} iterations"
    span = iterations_of(range(run.iteration, incident["last_iteration"] + 1))
    report(f"replaying {span} from {source}")
    if incident["world_size"] > 1:
        report(f"note: the run had {incident['world_size']} processes; in one process, random numbers differ")
    # Those of the checkpoint are others after a rollback.
    run.data_offset, run.rollbacks = incident["shift"], incident["rollbacks"]
    run.cool_rates()
    run.streams.go_to(
        {
            name: given - (iteration - run.iteration) if name in run.streams.fed else run.streams.given[name]
            for name, given in incident["streams"].items()
        }
    )


def _checkpoint(folder: Path, iteration: int) -> Path | None:
    """The checkpoint that the incident keeps, or the newest intact one of its run before it."""
    if is_dir(folder / CHECKPOINT):
        return folder / CHECKPOINT
    store = CheckpointStore(folder.parent.parent / "checkpoints")
    for number in reversed([number for number in store.numbers() if number <= iteration]):
        try:
            store.verify(number)
        except CheckpointError:
            continue
        return store.path(number)
    return None


def _train(run: Run, incident: Mapping[str, Any], folder: Path, report: Report) -> Replay:
    result, last = Replay(incident), incident["last_iteration"]
    for loader in run.loaders:
        loader.workers, loader.bad.note = 0, report
    batches = run.streams.iterations(last + 1 - run.iteration, run.device)
    with watched(run), all_frozen(run.networks.values()), closing(batches):
        while run.iteration < incident["iteration"]:
            train_once(run, next(batches))
        try:
            while run.iteration <= last:
                _watch(run, next(batches), result, folder, report)
        except Exception as error:  # That of the incident, or another one: the report compares them.
            result.errors.append(error)
    return result


def _watch(run: Run, batch: dict[str, Part], result: Replay, folder: Path, report: Report) -> None:
    """Train an iteration of the incident, and look at everything."""
    iteration, looking = run.iteration, FirstBad()
    if iteration == result.incident["iteration"] and result.incident["world_size"] == 1:
        batch = _recorded(batch, folder, report)
    result.found += bad_values({name: part.values for name, part in batch.items()})
    try:
        with without_exits(), looking.watching(run):
            train_once(run, batch)
    finally:
        result.found += looking.found
        result.losses[iteration] = looking.losses
    for step in run.steps:
        if step.update is not None and step.update.skip_non_finite and step.update.take_first_skip() == iteration:
            result.skipped.append(f"steps.{step.graph.name}: NaN or infinite gradients: the update is skipped")


def _recorded(batch: dict[str, Part], folder: Path, report: Report) -> dict[str, Part]:
    """The batch with the tensors that the incident has recorded, as far as they differ."""
    recorded = read_content(folder / BATCH) if is_file(folder / BATCH) else {}
    changed: dict[str, dict[str, Tensor]] = {}
    for name, value in recorded.items():
        stream, key = name.split("/", 1)
        now = batch[stream].values.get(key) if stream in batch else None
        if now is not None and not _equal(torch.as_tensor(now), value):
            report(f"note: data.{stream}: {key!r} has changed since; using the recorded values")
            changed.setdefault(stream, {})[key] = value
    return {name: part._replace(values={**part.values, **changed.get(name, {})}) for name, part in batch.items()}


def _equal(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.equal(
        *(torch.nan_to_num(real_view(tensor)) if can_be_non_finite(tensor) else tensor for tensor in (one, other)),
    )
