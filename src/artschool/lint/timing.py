"""When things happen: gates, schedules, and the end of the run."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from math import lcm

from artschool.config.flow import components_of
from artschool.config.structure import Component, StepConfig
from artschool.config.when import When, first_uncovered
from artschool.engine.schedules import Phase, Schedule
from artschool.errors import Fault
from artschool.lint.rule import rules_of
from artschool.lint.subject import Subject, Term, fault, option, place_of
from artschool.registry.entries import ScheduleEntry

LONG_RUN = 10_000
NEARLY_ZERO = 1e-4
IDLE_SHARE = 0.2
WATCHED_POINTS = 200


def out_of_phase(subject: Subject) -> Iterator[Fault]:
    """A loss and its step act at multiples of numbers that do not fit.

    Iterations count from 0 for all, so what is active every 4 inside a step that trains every 6 moves something only
    every 12: a third of what its line says. Let one number be a multiple of the other.
    """
    for term in _top_terms(subject):
        own, around = term.holder.when.every, term.step.section.every
        both = lcm(own, around)
        if both > max(own, around):
            hint = f"steps.{term.step.name} trains every {around}, at {place_of(term.step.node, 'every')}."
            yield fault(term.holder, "every", f"is {own}, but the loss moves something only every {both}", hint)


def never_trains(subject: Subject) -> Iterator[Fault]:
    """The gates of a loss, its step and its optimizer leave no iteration at which it moves anything."""
    for term in _top_terms(subject):
        runs = (term.step.section.when & term.holder.when & subject.during).first() is not None
        if runs and term.step.optimizer is not None and subject.trains_when(term).first() is None:
            yield fault(term.holder, "type", "is computed, but never when its step trains")


def wasted_work(subject: Subject) -> Iterator[Fault]:
    """A network, or an injector with a gate, runs at iterations at which nobody reads what it gives.

    Producer and reader are out of phase. Give the injector the gate of its reader: `every: 4` on both, or the same
    `after`.
    """
    pictures = subject.config.sections.log.pictures
    shown = set(pictures.keys) if pictures is not None else set()
    run_again = {step for evaluation in subject.config.evaluations.values() for step in evaluation.section.steps}
    runs = [run for step in subject.config.steps.values() for run in components_of(step)]
    for step in subject.config.steps.values():
        for component, when in components_of(step) if step.name not in run_again else ():
            keys = {use.name for use in component.writes}
            if component.kind != "injectors" or not keys or keys & shown:
                continue
            if not component.networks and component.when.every == 1:
                continue  # It costs little.
            readers = [(c, w) for c, w in runs if any(use.name in keys for use in c.reads)]
            missed = first_uncovered(when & subject.during, [w for _, w in readers]) if readers else None
            if missed is not None:
                reader, gate = readers[0]
                hint = f"{reader.path}, at {place_of(reader.node)}, reads it {gate}."
                yield fault(component, "every", f"runs at iteration {missed}, when nobody reads what it gives", hint)


def losses_for_the_log(subject: Subject) -> Iterator[Fault]:
    """The losses of a step with `every` run at iterations at which it does not train.

    `every` of a step says when it trains, and all of it runs at the others too: the losses of those are logged, and
    nothing else comes of them. Give the losses the same `every`, and the injectors that only they read.
    """
    run_again = {step for evaluation in subject.config.evaluations.values() for step in evaluation.section.steps}
    for step in subject.config.steps.values():
        trains, missed = step.section.trains_when, {}
        if step.optimizer is None or step.name in run_again:
            continue
        for name, loss in step.losses.items():
            when = step.section.when & loss.when & subject.during
            fits = trains.every % when.every == 0 and (when & trains).first() is not None
            iteration = first_uncovered(when, [trains]) if fits else None  # Other rules object to what does not fit.
            if iteration is not None:
                missed[name] = iteration
        if missed:
            run = f"{', '.join(missed)} run{'s' if len(missed) == 1 else ''} at iteration {min(missed.values())}"
            message = f"is {trains.every}, and {run} as well, for the log alone"
            hint = f"Write `every: {trains.every}` there too, and at the injectors that nothing else reads."
            yield Fault(place_of(step.node, "every"), f"steps.{step.name}.every", message, hint)


def late_milestones(subject: Subject) -> Iterator[Fault]:
    """A schedule has a milestone, or a phase, after the step's end.

    It never comes: the file was shortened, perhaps, and its schedule was not.
    """
    for step, end in _ends(subject):
        for phase in step.schedule:
            start = _start(phase)
            if start > end:
                yield fault(phase, "from", f"is {start}, and the step's last iteration is {end}")
            else:
                yield from _late_milestone(phase, start, end)


def endless_warmup(subject: Subject) -> Iterator[Fault]:
    """The warm-up is not over when the training is, so the rate that the file names is never reached."""
    for step, end in _ends(subject):
        for phase in step.schedule:
            warmup = phase.entry.warmup if isinstance(phase.entry, ScheduleEntry) else 0
            if warmup and _start(phase) <= end and _start(phase) + warmup > end + 1:
                yield fault(phase, "warmup", f"is {warmup}, and the step's last iteration is {end}")


def idle_end(subject: Subject) -> Iterator[Fault]:
    """The rate falls to nothing long before the end.

    The last iterations then cost as much as the others and move nothing. Let the schedule end with the training.
    """
    for step, end in _ends(subject):
        if any(group.schedule_from for group in getattr(step.optimizer and step.optimizer.entry, "param_groups", [])):
            continue  # Their curve starts later.
        start = step.section.after
        points = [start + (end - start) * i // WATCHED_POINTS for i in range(WATCHED_POINTS + 1)]
        rates = _rates(step, points)
        largest = max(rates, default=0.0)
        moving = [at for at, rate in zip(points, rates, strict=False) if rate > NEARLY_ZERO * largest]
        if largest and moving and end - moving[-1] > IDLE_SHARE * (end - start):
            still, least = next(at for at in points if at > moving[-1]), NEARLY_ZERO * largest
            first = _first_at_most(least, step, moving[-1], still)
            message = f"brings the rate to nothing at iteration {first}, and the step goes on until {end}"
            yield fault(step.schedule[-1], "type", message)


def unsaved_run(subject: Subject) -> Iterator[Fault]:
    """A long run saves nothing before its end.

    What stops it without a warning, such as a lost machine, costs all of it. Write `checkpoint: {every: 1000}`.
    """
    iterations = subject.iterations
    if iterations and iterations >= LONG_RUN and subject.config.sections.checkpoint.every is None:
        place = place_of(subject.config.tree, "train", "iterations")
        message = f"is {iterations}, and no checkpoint is written before the last"
        yield Fault(place, "train.iterations", message, "Write `checkpoint: {every: 1000}`.")


def never_logged(subject: Subject) -> Iterator[Fault]:
    """The log, or its pictures, come less often than the run is long."""
    log, iterations = subject.config.sections.log, subject.iterations or 0
    pictures = log.pictures.every if log.pictures is not None else 0
    for path, every in (("log.every", log.every), ("log.pictures.every", pictures)):
        written = subject.config.tree.at(path.split(".")[:-1]).get("every")
        if iterations and every > iterations and written is not None:
            yield Fault(written.place, path, f"is {every}, and there are {iterations} iterations")


def _top_terms(subject: Subject) -> list[Term]:
    return [term for term in subject.terms if term.holder is term.loss]


def _ends(subject: Subject) -> Iterator[tuple[StepConfig, int]]:
    """Each step with a schedule, and the last iteration at which it trains."""
    for step in subject.config.steps.values():
        end = _last(step, subject.during)
        if step.schedule and end is not None:
            yield step, end


def _last(step: StepConfig, during: When) -> int | None:
    """The last iteration of a step that trains at all; none where the end is not known, or updates take several."""
    when = step.section.trains_when & during
    first = when.first()
    if first is None or when.before is None or step.section.batch_sizing is not None:
        return None
    return when.before - (when.before - first) % when.every


def _late_milestone(phase: Component, start: int, end: int) -> Iterator[Fault]:
    """The first milestone of a phase after the step's last iteration."""
    milestones = option(phase, "milestones")
    for index, milestone in enumerate(milestones if isinstance(milestones, list) else ()):
        if isinstance(milestone, int) and start + milestone > end:
            node = phase.node.at(("milestones", index))
            message = f"{milestone} is never reached: the step's last iteration is {end}"
            yield Fault(node.place or place_of(phase.node, "milestones"), f"{phase.path}.milestones", message)
            return


def _start(phase: Component) -> int:
    return phase.entry.from_ if isinstance(phase.entry, ScheduleEntry) else 0


def _rates(step: StepConfig, iterations: list[int]) -> list[float]:
    """The rates of a base rate of 1e-3 or the optimizer's own; nothing where somebody's schedule fails."""
    base = option(step.optimizer, "lr") if step.optimizer is not None else None
    if not isinstance(base, int | float):
        return []
    try:
        schedule = Schedule([_phase(phase) for phase in step.schedule])
        return [schedule.rate(float(base), iteration) for iteration in iterations]
    except Exception:  # a plugin's schedule may raise anything, and it is not ours to tell here
        return []


def _first_at_most(least: float, step: StepConfig, moving: int, still: int) -> int:
    """The first iteration at so low a rate, between one at a higher rate and one at a rate as low."""
    while still - moving > 1:
        middle = (moving + still) // 2
        if any(rate > least for rate in _rates(step, [middle])):
            moving = middle
        else:
            still = middle
    return still


def _phase(component: Component) -> Phase:
    entry = component.entry
    assert isinstance(entry, ScheduleEntry) and component.registered is not None
    return Phase(partial(component.registered.target, **component.options()), entry.from_, entry.scale, entry.warmup)


RULES = rules_of(
    out_of_phase,
    never_trains,
    wasted_work,
    losses_for_the_log,
    late_milestones,
    endless_warmup,
    idle_end,
    unsaved_run,
    never_logged,
)
