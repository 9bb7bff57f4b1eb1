"""Restores the optimizer of each step, as far as its state fits the optimizer that the file has now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from artschool import ranks
from artschool.engine import optimizer_state
from artschool.engine.checkpoint_state import ANOTHER, is_of_kind
from artschool.engine.optimizer_state import SavedOptimizer, Slots
from artschool.engine.restore_modules import OPTIMIZERS
from artschool.engine.resume_report import ResumeReport, value_at
from artschool.engine.run_state import RunState
from artschool.engine.train_step import TrainStep
from artschool.engine.update import Update
from artschool.errors import CheckpointError
from artschool.storage.checkpoint_store import Checkpoint
from artschool.storage.shards import Shards


def describe_optimizer(step: TrainStep, update: Update) -> dict[str, Any]:
    """What a later run compares with its own optimizer: class, number of groups, and networks."""
    optimizer = update.optimizer
    return {"type": type(optimizer).__name__, "groups": len(optimizer.param_groups), "networks": list(step.networks)}


class OptimizerRestorer:
    """Restores the optimizers of a run from a checkpoint. Every process must use it in the same order.

    Args:
        report: Records what is kept, new and dropped.

    Raises:
        CheckpointError: The checkpoint lacks a part of its optimizer state.
    """

    def __init__(self, run: RunState, checkpoint: Checkpoint, report: ResumeReport) -> None:
        self._state = checkpoint.state
        self._now = run.config
        self._location = f"checkpoint {checkpoint.path}"
        self._report = report
        tensors = checkpoint.saved(OPTIMIZERS)
        if len(tensors) != self._state["optimizer_tensors"]:
            raise CheckpointError(
                f"{self._location}: incomplete optimizer state (expected {self._state['optimizer_tensors']} tensors, "
                f"got {len(tensors)})"
            )
        self._values = {**tensors, **self._state["optimizer_scalars"]}

    def restore(self, steps: list[TrainStep]) -> None:
        """Restore the optimizers of all steps.

        Raises:
            CheckpointError: The state of a step is missing although the file that saved the checkpoint has it.
        """
        updates = {step.graph.name: (step, step.update) for step in steps if step.update is not None}
        for name, (step, update) in updates.items():
            if not update.owns_optimizer or self._was_shared(name):
                self._restore_counts(name, update)
            elif name in self._state["updates"]:
                self._restore_step(name, step, update)
            else:
                self._start_step(name)
            update.scheduled.set_rates(max(self._state["iteration"] - 1, 0))
        for name in self._state["updates"]:
            if name not in updates and not self._was_shared(name):
                self._report.drop(f"optimizer of steps.{name}")

    def _was_shared(self, name: str) -> bool:
        """Whether a step used the optimizer of another step when the checkpoint was saved."""
        then, owners = self._state["updates"], self._state["optimizers"]
        return name in then and owners is not None and name not in owners

    def _restore_counts(self, name: str, update: Update) -> None:
        """Restore the counters of a step that uses the optimizer of another step, now or when it was saved."""
        counts = self._state["updates"].get(name)
        if update.owns_optimizer:
            self._report.start(f"optimizer of steps.{name}", "starts without state; it was that of another step")
        elif counts is not None and not self._was_shared(name):
            self._report.drop(f"optimizer of steps.{name}, which now uses that of another step")
        if counts is not None:
            update.load_state_dict({**counts, "precision": update.precision.state_dict()})

    def _start_step(self, name: str) -> None:
        if isinstance(value_at(self._state["config"], "steps", name, "optimizer"), Mapping):
            raise CheckpointError(
                f"{self._location}: no optimizer state for step {name!r}, which the config file had when it was saved: "
                "the checkpoint is damaged. Fix: resume from another one with --resume"
            )
        self._report.start(f"optimizer of steps.{name}", "starts without state; the checkpoint does not have it")

    def _restore_step(self, name: str, step: TrainStep, update: Update) -> None:
        saved = SavedOptimizer.of_step(self._values, name)
        names = optimizer_state.names_of(update, step.networks)
        slots: dict[nn.Parameter, Slots] = {
            p: optimizer_state.joined(update, p, saved.slots.get(full, {})) for p, full in names.items()
        }
        others: set[str] = set()
        problem = self._change_of_optimizer(name, update, saved)
        if not problem and self._options(self._state["config"], name) != self._options(self._now, name):
            has_moved = self._state["updates"][name]["count"] > 0
            slots, others, problem = optimizer_state.fitting(update, slots, has_moved=has_moved)
        if not problem:
            self._refuse_other_kinds(name, update, slots, saved.groups)
        problem = next((text for text in ranks.gather(problem) if text), "")
        part = f"optimizer of steps.{name}"
        if problem:
            optimizer_state.load(update, {}, {})
            self._report.start(part, f"starts without state: {problem}")
        else:
            optimizer_state.load(update, slots, saved.groups)
            self._report.keep(part)
            for slot in sorted(others):
                self._report.drop(f"{slot!r} of the {part}")
            self._compare_parameters(name, step, update, saved)
        update.load_state_dict({**self._state["updates"][name], "precision": self._precision(name, update)})

    def _refuse_other_kinds(
        self, name: str, update: Update, slots: Mapping[nn.Parameter, Slots], groups: Mapping[int, Slots]
    ) -> None:
        """Refuse numbers, texts and lists in place of what the optimizer keeps there."""
        kept = [(update.optimizer.param_groups[index], written) for index, written in groups.items()]
        for parameter, own in slots.items():
            plain = {slot: value for slot, value in own.items() if not isinstance(value, Tensor | Shards)}
            if plain:
                kept.append((optimizer_state.needed_slots(update.optimizer, parameter) or {}, plain))
        for needed, saved in kept:
            for slot, value in saved.items():
                if slot == "params" or (slot in needed and not is_of_kind(value, needed[slot])):
                    raise CheckpointError(
                        f"{self._location}: optimizer of steps.{name}: {slot!r} has a value of another kind. {ANOTHER}"
                    )

    def _change_of_optimizer(self, name: str, update: Update, saved: SavedOptimizer) -> str:
        """Why no part of the state fits. Empty: nothing is known against it."""
        described = value_at(self._state, "optimizers", name)
        if described is None:  # An earlier version saved the checkpoint.
            then, now = (value_at(config, "steps", name, "optimizer", "type") for config in self._configs())
        else:
            then, now = described["type"], type(update.optimizer).__name__
        if then != now:
            return f"it was {then} and is {now}"
        number = len(update.optimizer.param_groups)
        expected = max(max(saved.groups, default=-1) + 1, 0 if described is None else described["groups"])
        if saved.groups and expected != number:
            return f"it keeps state by group of parameters, and had {expected} of them for {number} now"
        return ""

    def _configs(self) -> tuple[Any, Any]:
        return self._state["config"], self._now

    @staticmethod
    def _options(config: Any, step: str) -> Any:
        return value_at(config, "steps", step, "optimizer")

    def _compare_parameters(self, name: str, step: TrainStep, update: Update, saved: SavedOptimizer) -> None:
        """Report parameters that the step no longer trains, and networks that it did not train."""
        names = {p: f"{net}.{key}" for net, module in step.networks.items() for key, p in module.named_parameters()}
        trained = {names[parameter] for parameter in update.parameters}
        gone = len(saved.slots.keys() - trained)
        if gone:
            self._report.drop(
                f"state of {gone} parameters in the optimizer of steps.{name}, which no longer trains them"
            )
        described = value_at(self._state, "optimizers", name) or {"networks": list(step.networks)}
        for network in step.networks:
            if network not in described["networks"]:
                self._report.start(f"{network} in the optimizer of steps.{name}", "starts without state")

    def _precision(self, name: str, update: Update) -> dict[str, Any]:
        """The saved state of the precision, or that of a new run if the file has another precision now."""
        saved: dict[str, Any] = self._state["updates"][name]["precision"]
        own = update.precision.state_dict()
        if own and not saved:
            self._report.start(f"loss scale of steps.{name}", f"starts at {update.precision.scale:g}")
        elif saved and not own:
            self._report.drop(f"loss scale of steps.{name}")
        return saved if own and saved else own
