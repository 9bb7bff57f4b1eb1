"""The result of an iteration, and work that only looks at it, which may fail without ending the training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from artschool.engine.exits import without_exits
from artschool.engine.micro_batches import MicroBatches
from artschool.engine.run_state import RunState
from artschool.engine.saving import is_sharded
from artschool.engine.together import together
from artschool.errors import ConfigError, StateError, describe
from artschool.shortages import clear_frames


@dataclass(slots=True)
class Outcome:
    """The result of an iteration, which the actions after it read and write.

    Attributes:
        batches: The micro-batches of the iteration, with the values that its steps have kept. None: the run has resumed
            after the iteration.
        numbers: Numbers to log, by name.
        failures: The errors of what only looks at the result, in spite of which the run goes on.
    """

    batches: MicroBatches | None = None
    numbers: dict[str, float] = field(default_factory=dict)
    failures: list[Exception] = field(default_factory=list)


def attempt(run: RunState, outcome: Outcome, what: str, work: Callable[[], object]) -> None:
    """Do work that only looks at the result. If it fails in any process, the run goes on without its numbers.

    Raises:
        Exception: The error of the work: it is a mistake of the file, `train.on_look_error` is `stop`, or the processes
            of a sharded run would wait for each other.
    """
    numbers = dict(outcome.numbers)

    def guarded() -> None:
        try:
            with without_exits(what):
                work()
        finally:
            run.working_folder.keep(run.note)

    if run.sections.train.on_look_error == "stop" or is_sharded(run):
        guarded()
        return
    try:
        together(guarded)
    except (ConfigError, StateError):
        raise
    except Exception as error:  # Of a logger, a metric or a component: it must not take the training along.
        clear_frames(error)  # They may hold all memory of the device.
        outcome.numbers = numbers
        outcome.failures.append(error)
        run.note(f"warning: {what} failed after iteration {run.iteration}: {describe(error)}")
