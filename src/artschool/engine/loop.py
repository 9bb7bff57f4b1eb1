"""The training loop: batches through `train_iteration`; between them logs, pictures, evaluations, checkpoints."""

from __future__ import annotations

import math
import time
from contextlib import ExitStack
from typing import Any

from artschool import ranks
from artschool.data.seeds import seed_all
from artschool.engine import checkpoint
from artschool.engine.folder import make_folder
from artschool.engine.freeze import all_frozen
from artschool.engine.hooks import hooks
from artschool.engine.micro_batches import MicroBatches
from artschool.engine.pictures import draw
from artschool.engine.rollback import roll_back
from artschool.engine.run_state import RunState
from artschool.engine.signals import StopFlag, stop_flag
from artschool.engine.train_iteration import train_iteration
from artschool.engine.weight_checks import end_of_run_warnings, non_finite_weights
from artschool.errors import NumericsError, Stopped
from artschool.storage.durable import remove_leftovers, write_file


def train(run: RunState) -> None:
    """Train a run from where it stands to its last iteration. See `RunState.train`."""
    if run.iteration >= run.iterations:
        return None
    with stop_flag() as flag, all_frozen(run.networks.values()):
        _open_folder(run)
        while True:
            try:
                return _train_on(run, flag)
            except NumericsError as error:
                roll_back(run, error)


def _train_on(run: RunState, flag: StopFlag) -> None:
    """Train from where the run stands to its last iteration."""
    with ExitStack() as stack:
        for logger in run.loggers:
            stack.callback(logger.close)
            logger.start(run)
        for loader in run.loaders:
            loader.bad.note = run.note
            stack.callback(loader.bad.report)
        batches = run.data.load(run.iteration + run.shift, run.iterations + run.shift, run.device)
        stack.callback(batches.close)
        start = time.perf_counter() - run.seconds
        for batch in batches:
            states = _train_once(run, batch)
            run.seconds = time.perf_counter() - start
            saved = _between_iterations(run, states)
            exit_code = ranks.any_of(flag.exit_code)
            if exit_code and run.iteration < run.iterations:
                if not saved:
                    checkpoint.save(run)
                raise Stopped(f"stopped after iteration {run.iteration} and saved; the same command goes on", exit_code)
        for doubt in end_of_run_warnings(run):
            run.note(f"warning: {doubt}")


def _open_folder(run: RunState) -> None:
    """Write the file beside the run, as given and as meant."""
    if ranks.is_main():
        make_folder(run.folder)
        remove_leftovers(run.folder)
        for name, text in run.config_texts.items():
            write_file(run.folder / name, text.encode())
    ranks.wait()


def _train_once(run: RunState, batch: dict[str, Any]) -> MicroBatches:
    iteration = run.context.iteration = run.iteration
    position = iteration + run.shift
    seed_all(run.iteration_seeds(position, ranks.rank()), run.device)
    for hook in run.update_hooks:
        hook(iteration, run.folder)
    total = run.data.batches.size(position)
    states = MicroBatches(batch, run.sections.train.parts(iteration), total, run.device)
    train_iteration(run.steps, run.emas, states, run.context)
    run.iteration = iteration + 1
    return states


def _between_iterations(run: RunState, states: MicroBatches) -> bool:
    """Log, draw, evaluate and save what is due. Returns whether a checkpoint was saved."""
    finished, last = run.iteration, run.iterations
    for logger in run.loggers:
        logger.advance(run)
    pictures = run.sections.log.pictures
    if pictures and finished % pictures.every == 0:
        draw(run, pictures, states.first)
    record: dict[str, float] = {}
    if finished % run.sections.log.every == 0 or finished == last:
        record |= _numbers(run)
        try:
            _check_numbers(run)
        except NumericsError:
            _log(run, record)  # Those of the iterations that led to it.
            raise
    due = [evaluation for evaluation in run.evaluations if evaluation.is_due(finished, last)]
    for evaluation in due:
        run.evaluated |= evaluation.run(finished, run.device)
    if due:
        record |= run.evaluated
    if record:
        _log(run, record)
    improved = bool(due) and _improves(run, record)
    every = run.sections.checkpoint.every
    if improved or finished == last or (every is not None and finished % every == 0):
        checkpoint.save(run)
        return True
    return False


def _numbers(run: RunState) -> dict[str, float]:
    record = run.meters.drain()
    for step in run.steps:
        if not step.graph.when.active(run.iteration - 1):
            continue
        record |= step.log_data(run.iteration - 1)
        if step.update is None:
            continue
        rates = step.update.rates()
        names = ["lr"] if len(set(rates)) == 1 else [f"lr/{index}" for index in range(len(rates))]
        record |= {f"{step.graph.name}/{name}": rate for name, rate in zip(names, rates, strict=False)}
        if step.update.guard:
            record[f"{step.graph.name}/skipped"] = step.update.skips()[0]
        if run.sections.train.precision == "fp16":
            record[f"{step.graph.name}/scale"] = step.update.precision.scale
    for name, hook in hooks(run.networks, "get_debug_values"):
        record |= {f"{name}/{key}": float(value) for key, value in hook(run.iteration - 1, name).items()}
    return record


def _check_numbers(run: RunState) -> None:
    """Stop where the file says so. Looked at between log points only, which costs no synchronisation of its own."""
    section = run.sections.train
    for step in run.steps:
        if step.update is None or not step.update.guard:
            continue
        skipped, streak = step.update.skips()
        if section.non_finite == "stop" and skipped and section.precision != "fp16":
            raise NumericsError(
                f"steps.{step.graph.name}: non-finite gradients in {skipped} updates up to iteration {run.iteration}; "
                "`train.non_finite` asks to stop. The weights are those before; look at the losses or lower the rate"
            )
        if streak >= section.max_skips:
            raise NumericsError(
                f"steps.{step.graph.name}: {streak} updates in a row had non-finite gradients, up to iteration "
                f"{run.iteration}; `train.max_skips` allows {section.max_skips}"
            )


def _log(run: RunState, record: dict[str, float]) -> None:
    head = {"iteration": run.iteration - 1, "samples": run.samples, "seconds": round(run.seconds, 3)}
    for logger in run.loggers:
        logger.log({**head, **record})


def _improves(run: RunState, record: dict[str, float]) -> bool:
    best = run.sections.checkpoint.keep_best
    value = record.get(best.metric, math.nan) if best else math.nan
    if best is None or math.isnan(value):
        return False
    if run.best is not None and not (value > run.best[0] if best.mode == "max" else value < run.best[0]):
        return False
    spoiled = non_finite_weights(run)
    if ranks.any_of(bool(spoiled)):
        run.note(f"{best.metric} {value:.4g} after {run.iteration} iterations is not kept as the best: {spoiled}")
        return False
    run.best = (value, run.iteration)
    return True
