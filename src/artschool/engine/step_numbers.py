"""The numbers of a log point that no loss or injector records, such as learning rates and skipped updates."""

from __future__ import annotations

from artschool.engine.decisions import NumberGate
from artschool.engine.hooks import hooks, logged
from artschool.engine.run_state import RunState
from artschool.engine.train_step import TrainStep
from artschool.engine.update import Update


def numbers_of_updates(run: RunState) -> dict[str, float]:
    """The learning rates and other numbers of every step that has trained since the last log point."""
    numbers: dict[str, float] = {}
    for step in run.steps:
        if step.update is not None and (last := _last_trained(run, step)) is not None:
            step.update.scheduled.set_rates(last)  # A run that resumes has set those of another iteration.
            numbers |= _update_numbers(step.graph.name, step.update)
    return numbers


def asked_numbers(run: RunState) -> dict[str, float]:
    """The numbers that callbacks, schedules, gates and networks know."""
    numbers: dict[str, float] = {}
    iteration = run.iteration - 1
    for step in run.steps:
        if step.graph.when.active(iteration):
            numbers |= step.log_data(iteration)
    numbers |= _changed_numbers(run)
    for path, decision in run.decisions.items():
        if isinstance(decision.follower, NumberGate):
            numbers[_name_of_gate(path)] = float(decision.follower.is_open)
    for name, hook in hooks(run.networks, "get_debug_values"):
        values = logged(f"networks.{name}.get_debug_values", hook(iteration, name))
        numbers |= {f"{name}/{key}": value for key, value in values.items()}
    return numbers


def _changed_numbers(run: RunState) -> dict[str, float]:
    """The scheduled numbers that have changed since the last log point, or all at the first one.

    What a number of the log changes is logged at each: its schedule does not know what it was.
    """
    last, every, start = run.iteration - 1, run.sections.log.every, run.sections.train.start_iteration
    before = last // every * every - 1
    is_first, followers = before < start, {decision.changes for decision in run.decisions.values()}
    values = {number: number.at(last) for number in run.context.numbers}
    return {
        number.name: value
        for number, value in values.items()
        if is_first or number.name in followers or number.at(before) != value
    }


def _name_of_gate(path: str) -> str:
    """The number that says whether a gate is open: `critic/open` for `steps.critic.while`."""
    return path.removeprefix("steps.").removesuffix("while").replace(".losses.", "/").replace(".", "/") + "open"


def _last_trained(run: RunState, step: TrainStep) -> int | None:
    """The last iteration since the last log point at which a step has trained. None: it has not."""
    every = run.sections.log.every
    since = (run.iteration - 1) // every * every
    for iteration in reversed(range(since, run.iteration)):
        if step.graph.when.active(iteration) and step.trainable(iteration):
            return iteration
    return None


def _update_numbers(step: str, update: Update) -> dict[str, float]:
    """The learning rates of a step, the number of its skipped updates, and with fp16 the scale of its loss."""
    rates = update.scheduled.rates()
    names = ["lr"] if len(set(rates)) == 1 else [f"lr/{index}" for index in range(len(rates))]
    numbers = {f"{step}/{name}": rate for name, rate in zip(names, rates, strict=False)}
    if update.skip_non_finite:
        numbers[f"{step}/skipped"] = update.skips().total
    if update.precision.kind == "fp16":
        numbers[f"{step}/scale"] = update.precision.scale
    return numbers
