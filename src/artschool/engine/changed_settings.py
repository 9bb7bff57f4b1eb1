"""What has changed in the file since a checkpoint, and which changes a resume refuses unless the user allows them."""

from __future__ import annotations

import enum
from collections.abc import Collection, Mapping
from typing import Any, Protocol

from artschool.config.source import KeyPath
from artschool.config.streams import TRAIN
from artschool.diff.difference import Consequence, consequence_of
from artschool.diff.settings import Changed, changed_settings
from artschool.engine.run_state import RunState
from artschool.errors import CheckpointError
from artschool.storage.checkpoint_store import Checkpoint


class HasSettings(Protocol):
    """What is compared with the settings of a checkpoint. See `RunState`."""

    config: Any
    settings: Any


class Rule(enum.IntEnum):
    """What a resume does about a change."""

    FREE = 0
    """Report it. It does not change what a run has learned, so a finished run stays finished."""
    REPORTED = 1
    """Report it. A finished run would have to be trained again, so it is refused."""
    ASKED = 2
    """Refuse it. The checkpoint belongs to another experiment, unless the user says that it does not."""


RULES = {
    Consequence.ARCHITECTURE: Rule.ASKED,
    Consequence.INITIAL_WEIGHTS: Rule.REPORTED,
    Consequence.TRAINING: Rule.REPORTED,
    Consequence.OPTIMIZATION: Rule.REPORTED,
    Consequence.DATA: Rule.ASKED,
    Consequence.BATCHES: Rule.ASKED,
    Consequence.LENGTH: Rule.FREE,
    Consequence.COMPUTATION: Rule.REPORTED,
    Consequence.RANDOMNESS: Rule.ASKED,
    Consequence.AVERAGES: Rule.REPORTED,
    Consequence.EVALUATION: Rule.FREE,
    Consequence.CHECKPOINTS: Rule.FREE,
    Consequence.LOGS: Rule.FREE,
    Consequence.CODE: Rule.FREE,
    Consequence.SPEED: Rule.FREE,
}
"""The rule for a change, by what it affects. An added or removed entry, such as a network, is never asked for."""


def rule_of(change: Changed, streams: Collection[str] = (TRAIN,)) -> Rule:
    """The rule for a change.

    Args:
        streams: The data sets that steps train on, which are like `data.train`.
    """
    section, *names = change.path
    path = ("data", TRAIN, *names[1:]) if section == "data" and names and names[0] in streams else change.path
    rule = RULES[consequence_of(path)]
    return min(rule, Rule.REPORTED) if change.is_entry else rule


def changes_since(run: HasSettings, state: Mapping[str, Any]) -> list[Changed]:
    """What has changed since a checkpoint. One of an earlier version only knows what its file contained."""
    is_known = state.get("settings") is not None
    then, now = (state["settings"], run.settings) if is_known else (state["config"], run.config)
    return list(changed_settings(then, now))


def changes_at(run: HasSettings, state: Mapping[str, Any], *paths: str) -> str:
    """The changes at or below some paths as a sentence after an error. Empty: there are none."""
    below: list[KeyPath] = [tuple(path.split(".")) for path in paths]
    found = [str(each) for each in changes_since(run, state) if any(each.path[: len(at)] == at for at in below)]
    return f". Changed since the checkpoint: {'; '.join(found)}" if found else ""


def refuse_other_experiment(run: RunState, checkpoint: Checkpoint, allowed: Collection[str]) -> None:
    """Refuse to train on from the checkpoint of another experiment, although its weights fit.

    Args:
        allowed: Paths of settings that may have changed, such as `seed`, or that begin with such a path: `data`.

    Raises:
        CheckpointError: A setting has changed that is not allowed to.
    """
    state = checkpoint.state
    is_finished = state["iteration"] >= run.iterations and not state.get("pending", False)
    limit = Rule.REPORTED if is_finished else Rule.ASKED
    refused = [
        change
        for change in changes_since(run, state)
        if rule_of(change, run.streams.by_name) >= limit and not _is_allowed(change.path, allowed)
    ]
    if not refused:
        return
    lines = "".join(f"\n  {change}" for change in refused)
    keys = " ".join(f"--allow {'.'.join(change.path)}" for change in refused)
    what = "is the result of other settings" if is_finished else "belongs to a run with other settings"
    use = "keep it" if is_finished else "train on from it"
    raise CheckpointError(
        f"checkpoint {checkpoint.path}: {what}:{lines}\n"
        f"Fix: start a new run with another `name` or --run-dir, or {use} with {keys}"
    )


def _is_allowed(path: KeyPath, allowed: Collection[str]) -> bool:
    return any(path[: len(at)] == at for at in (tuple(key.split(".")) for key in allowed))
