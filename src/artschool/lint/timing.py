"""Rules about gates, schedules, and intervals of saving and logging."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from artschool.config.step_parts import Run, components_of, readers_of
from artschool.config.structure import Component, StepConfig
from artschool.config.when import When, first_uncovered
from artschool.faults import Fault
from artschool.lint.rates import ALMOST_ZERO, RATE_SAMPLES
from artschool.lint.rule import rules_of
from artschool.lint.subject import StepLoss, Subject, fault, option, place_of
from artschool.registry.entries import ScheduleEntry

LONG_RUN = 10_000
IDLE_FRACTION = 0.2


def out_of_phase(subject: Subject) -> Iterator[Fault]:
    """The `every` of a loss and that of its step seldom coincide.

    Both count iterations from 0. A loss with `every: 4` in a step with `every: 6` trains only every 12 iterations, a
    third of what its line says. Make one number a multiple of the other.
    """
    for loss in _direct_losses(subject):
        loss_every, step_every = loss.outer.when.cycle, loss.step.section.trains_when.cycle
        both = loss_every & step_every
        if both is not None and both.of > max(loss_every.of, step_every.of):
            hint = (
                f"steps.{loss.step.name} trains every {step_every} iterations; see {place_of(loss.step.node, 'every')}."
            )
            yield fault(loss.outer, "every", f"is {loss_every}, but the loss trains only every {both} iterations", hint)


def never_trains(subject: Subject) -> Iterator[Fault]:
    """A loss is never computed at an iteration at which its step trains.

    The gates of the loss, its step and its optimizer do not overlap.
    """
    for loss in _direct_losses(subject):
        runs = (loss.step.section.when & loss.outer.when & subject.during).first() is not None
        if runs and loss.step.optimizer is not None and subject.trains_when(loss).first() is None:
            yield fault(loss.outer, "type", "is computed, but never at an iteration at which its step trains")


def wasted_work(subject: Subject) -> Iterator[Fault]:
    """A network, or an injector with a gate, runs at iterations at which nothing reads its outputs.

    Writer and reader are out of phase. Give the injector the gate of its reader: `every: 4` on both, or the same
    `after`.
    """
    pictures = subject.config.sections.log.pictures
    shown = set(pictures.keys) if pictures is not None else set()
    run_again = {step for evaluation in subject.config.evaluations.values() for step in evaluation.section.steps}
    readers_by_key = _readers_by_key(subject)
    for step in subject.config.steps.values():
        for component, when in components_of(step) if step.name not in run_again else ():
            keys = {use.name for use in component.writes}
            if component.kind != "injectors" or not keys or keys & shown:
                continue
            if not component.networks and component.when.every == 1:
                continue  # An injector without networks costs little.
            found = {number: reader for key in keys for number, reader in readers_by_key.get(key, ())}
            readers = [found[number] for number in sorted(found)]
            missed = first_uncovered(when & subject.during, [w for _, w in readers]) if readers else None
            if missed is not None:
                reader, gate = readers[0]
                hint = f"{reader.path}, at {place_of(reader.node)}, reads it {gate}."
                yield fault(component, "every", f"runs at iteration {missed}, at which nothing reads its outputs", hint)


def _readers_by_key(subject: Subject) -> Mapping[str, Sequence[tuple[int, Run]]]:
    """What reads each key, with its number in the order of the file."""
    found: defaultdict[str, list[tuple[int, Run]]] = defaultdict(list)
    runs = (run for step in subject.config.steps.values() for run in readers_of(step))
    for number, (component, when) in enumerate(runs):
        for use in component.reads:
            found[use.name].append((number, (component, when)))
    return found


def losses_for_the_log(subject: Subject) -> Iterator[Fault]:
    """The losses of a step with `every` run at iterations at which the step does not train.

    `every` of a step sets when it trains. Its injectors and losses also run at other iterations, at which the losses
    are only logged. Give the losses the same `every`, and also the injectors that only they read.
    """
    run_again = {step for evaluation in subject.config.evaluations.values() for step in evaluation.section.steps}
    for step in subject.config.steps.values():
        trains, missed = step.section.trains_when, {}
        if step.optimizer is None or step.name in run_again:
            continue
        for name, loss in step.losses.items():
            when = step.section.when & loss.when & subject.during
            fits = trains.every % when.every == 0 and (when & trains).first() is not None
            iteration = first_uncovered(when, [trains]) if fits else None  # Other rules report gates that do not fit.
            if iteration is not None:
                missed[name] = iteration
        if missed:
            run = f"{', '.join(missed)} also run{'s' if len(missed) == 1 else ''} at iteration {min(missed.values())}"
            message = f"is {trains.cycle}, but {run}, only to be logged"
            hint = f"Fix: write `every: {trains.cycle}` at the losses too, and at the injectors that only they read."
            yield Fault(place_of(step.node, "every"), f"steps.{step.name}.every", message, hint)


def late_milestones(subject: Subject) -> Iterator[Fault]:
    """A schedule has a milestone or a phase after the last iteration of its step.

    It is never reached. Perhaps the run was shortened, and its schedule was not.
    """
    for step, end in _ends(subject):
        for phase in step.schedule:
            start = _start(phase)
            if start > end:
                yield fault(phase, "from", f"is {start}, but the last iteration of the step is {end}")
            else:
                yield from _late_milestone(phase, start, end)


def unfinished_schedule(subject: Subject) -> Iterator[Fault]:
    """The step ends before half of the curve of its schedule.

    The rate hardly falls. Perhaps the run was shortened, and its schedule was not, or the schedule counts samples where
    iterations are meant. A number of epochs fits any data: `period: 100 epochs`.
    """
    for step, end in _ends(subject):
        phase = step.schedule[-1]  # The next phase ends an earlier one on purpose.
        left = end + 1 - _start(phase)
        for name in ("period", "iterations"):
            length = option(phase, name)
            if isinstance(length, int) and length > 2 * left > 0:
                yield fault(phase, name, f"is {length}, but the step ends {left} iterations after the schedule begins")


def endless_warmup(subject: Subject) -> Iterator[Fault]:
    """The warm-up ends after the training, so the configured learning rate is never reached."""
    for step, end in _ends(subject):
        for phase in step.schedule:
            warmup = phase.entry.warmup if isinstance(phase.entry, ScheduleEntry) else 0
            if warmup and _start(phase) <= end and _start(phase) + warmup > end + 1:
                yield fault(phase, "warmup", f"is {warmup}, but the last iteration of the step is {end}")


def idle_end(subject: Subject) -> Iterator[Fault]:
    """The learning rate falls to almost 0 long before the end.

    The last iterations cost as much as the others and change nothing. Let the schedule end with the training.
    """
    for step, end in _ends(subject):
        if any(group.schedule_from for group in getattr(step.optimizer and step.optimizer.entry, "param_groups", [])):
            continue  # The schedule of these groups starts later.
        start = step.section.after
        points = [start + (end - start) * i // RATE_SAMPLES for i in range(RATE_SAMPLES + 1)]
        rates = _rates(step, points)
        largest = max(rates, default=0.0)
        moving = [at for at, rate in zip(points, rates, strict=False) if rate > ALMOST_ZERO * largest]
        if largest and moving and end - moving[-1] > IDLE_FRACTION * (end - start):
            still, least = next(at for at in points if at > moving[-1]), ALMOST_ZERO * largest
            first = _first_at_most(least, step, moving[-1], still)
            message = f"brings the learning rate to almost 0 at iteration {first}, but the step runs until {end}"
            yield fault(step.schedule[-1], "type", message)


def unsaved_run(subject: Subject) -> Iterator[Fault]:
    """A long run saves no checkpoint before its end.

    If the run ends without warning, such as by a machine failure, all its work is lost. Write `checkpoint: {every:
    1000}`.
    """
    iterations = subject.iterations
    if iterations and iterations >= LONG_RUN and subject.config.sections.checkpoint.every is None:
        message = f"the run has {iterations} iterations, and no checkpoint is saved before the end"
        place, path = place_of(subject.config.tree, *subject.length_path), ".".join(subject.length_path)
        yield Fault(place, path, message, "Fix: write `checkpoint: {every: 1000}`.")


def never_logged(subject: Subject) -> Iterator[Fault]:
    """The interval of the log, or of its images, is longer than the run."""
    log, iterations = subject.config.sections.log, subject.iterations or 0
    pictures = [("log.pictures.every", log.pictures.due)] if log.pictures is not None else []
    for path, due in [("log.every", When(every=log.every)), *pictures]:
        written = subject.config.tree.at(path.split(".")[:-1]).get("every")
        first = due.first(1)
        if iterations and first is not None and first > iterations and written is not None:
            yield Fault(written.place, path, f"is {due.cycle}, but the run has {iterations} iterations")


def _direct_losses(subject: Subject) -> list[StepLoss]:
    return [loss for loss in subject.losses if loss.outer is loss.component]


def _ends(subject: Subject) -> Iterator[tuple[StepConfig, int]]:
    """Each step with a schedule, and the last iteration at which the step trains."""
    for step in subject.config.steps.values():
        end = _last(step, subject.during)
        if step.schedule and end is not None:
            yield step, end


def _last(step: StepConfig, during: When) -> int | None:
    """The last iteration at which a step trains; None if it never does, the end is unknown, or updates vary."""
    when = step.section.trains_when & during
    if step.section.batch_sizing is not None:
        return None
    return when.last()


def _late_milestone(phase: Component, start: int, end: int) -> Iterator[Fault]:
    """The first milestone of a phase after the step's last iteration, or the first end of its `step_size`."""
    milestones, size = option(phase, "milestones"), option(phase, "step_size")
    name, numbers = ("milestones", milestones) if isinstance(milestones, list) else ("step_size", [size])
    for index, milestone in enumerate(numbers):
        if isinstance(milestone, int) and start + milestone > end:
            node = phase.node.at((name, index) if numbers is milestones else (name,))
            message = f"{milestone} is never reached: the last iteration of the step is {end}"
            yield Fault(node.place or place_of(phase.node, name), f"{phase.path}.{name}", message)
            return


def _start(phase: Component) -> int:
    return phase.entry.from_ if isinstance(phase.entry, ScheduleEntry) else 0


def _rates(step: StepConfig, iterations: list[int]) -> list[float]:
    """The learning rates of a step at some iterations; none if it has no rate or its schedule fails."""
    base = option(step.optimizer, "lr") if step.optimizer is not None else None
    if not isinstance(base, int | float):
        return []
    try:
        schedule = step.rates
        return [schedule.rate(float(base), iteration) for iteration in iterations]
    except Exception:  # A plugin's schedule may raise anything; the check of the file reports it.
        return []


def _first_at_most(limit: float, step: StepConfig, above: int, below: int) -> int:
    """The first iteration whose rate is at most a limit, by bisection.

    Args:
        above: An iteration whose rate is above the limit.
        below: A later iteration whose rate is not.
    """
    while below - above > 1:
        middle = (above + below) // 2
        if any(rate > limit for rate in _rates(step, [middle])):
            above = middle
        else:
            below = middle
    return below


RULES = rules_of(
    out_of_phase,
    never_trains,
    wasted_work,
    losses_for_the_log,
    late_milestones,
    unfinished_schedule,
    endless_warmup,
    idle_end,
    unsaved_run,
    never_logged,
)
