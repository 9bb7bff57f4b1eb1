"""Out of memory in a step or an evaluation: an error that says what to change, or the step again, in smaller parts."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import torch
from torch import nn

from artschool import ranks
from artschool.data.samples import identity
from artschool.data.seeds import rng_state
from artschool.engine.buffers import Buffers, Copies
from artschool.engine.meters import Meters
from artschool.engine.micro_batches import MicroBatches
from artschool.engine.streams import Part
from artschool.errors import ArtschoolError, ResourceError, first_line
from artschool.shortages import causes, clear_frames, is_out_of_memory
from artschool.steps.call import describe_value

MAX_LISTED = 8
_OTHERS = "`activation_checkpointing` of the networks, `train.precision: bf16`, or smaller networks or samples"


def explain(error: Exception, step: str, iteration: int, batches: MicroBatches, *, is_split: bool) -> None:
    """If a step has run out of memory, say with which samples, and what to change.

    Args:
        is_split: Whether the passes of the step are split, so that something else needs the memory.

    Raises:
        ResourceError: It has.
    """
    cause = _out_of_memory(error)
    if cause is None:
        return
    smaller = (
        f"`train.on_out_of_memory: split`, `train.accumulate: {2 * batches.limit}`, a smaller `batch_size`, {_OTHERS}"
    )
    fix = f"`train.offload.optimizer: cpu`, {_OTHERS}" if is_split else smaller
    raise _of_step(step, iteration, batches, _with_place(cause, error), fix) from error


def explain_batch(error: Exception, where: str, stream: str, part: Part) -> None:
    """If an evaluation has run out of memory, say at which samples, and what to change.

    Frees what the frames of the error hold, since training may continue.

    Args:
        where: The evaluation, in words.
        stream: The data set, as an entry of `data`.
        part: The batch.

    Raises:
        ResourceError: It has.
    """
    if (cause := _out_of_memory(error)) is not None:
        fix = f"a smaller `data.{stream}.batch_size`, `train.precision: bf16`, or smaller networks or samples"
        problem = _with_place(cause, error)
        clear_frames(error)
        raise _explanation(f"{where}: out of memory", problem, {stream: part}, fix) from error


def _out_of_memory(error: Exception) -> BaseException | None:
    """The error, or what has caused it, if that is out of memory which is not explained yet."""
    if isinstance(error, ArtschoolError):
        return None
    return next(filter(is_out_of_memory, causes(error)), None)


def _with_place(cause: BaseException, error: Exception) -> str:
    """The first line of an error, and the component in which it was raised."""
    where = "".join(f"\n    in {note.splitlines()[0]}" for note in getattr(error, "__notes__", [])[:1])
    return f"{first_line(cause)}{where}"


class Pass(NamedTuple):
    """The forward and backward passes of a step in an iteration.

    Attributes:
        step: The name of the step.
        start: Called before each attempt.
        run: Does the passes over some micro-batches.
        undo: Called after an attempt that has failed in any process. Drops the gradients.
    """

    step: str
    start: Callable[[], None]
    run: Callable[[MicroBatches], None]
    undo: Callable[[], None]


class Splitting:
    """Repeats the passes of a step that runs out of memory with each micro-batch in twice as many pieces.

    All processes repeat them if one has to. What an attempt has changed is put back: buffers, random numbers, recorded
    numbers, values of keys, gradients. So the result is that of a step that began with as many pieces.

    Args:
        modules: Everything whose buffers a step may change.
        device: The device whose generator a step may use.
        note: Shows a message to the user.

    Attributes:
        pieces: The number of pieces of each step that has run out of memory, by name. They stay until the end.
    """

    def __init__(self, modules: Iterable[nn.Module], device: torch.device, note: Callable[[str], None]) -> None:
        self.pieces: dict[str, int] = {}
        self._buffers = Buffers(modules)
        self._device = device
        self._note = note

    def run(self, work: Pass, iteration: int, batches: MicroBatches, meters: Meters) -> None:
        """Do the passes of a step.

        Raises:
            ResourceError: A single sample takes too much memory, or a value of an earlier step cannot be cut.
        """
        pieces = batches.most_pieces(max(self.pieces.get(work.step, 1), batches.pieces))
        while (problem := self._try(work, batches, pieces, meters)) is not None:
            before, pieces = pieces, batches.most_pieces(2 * pieces)
            if pieces == before:
                number = batches.limit // batches.pieces * pieces
                tried = f"{problem}\n    The step was tried in {number} parts, and cannot be split further"
                raise _of_step(work.step, iteration, batches, tried, _OTHERS)
            self.pieces[work.step] = pieces
            self._note(
                f"warning: steps.{work.step}: out of memory at iteration {iteration} ({problem}). The step is redone "
                f"with {pieces} parts of each micro-batch, and so are the next ones"
            )

    def _try(self, work: Pass, batches: MicroBatches, pieces: int, meters: Meters) -> str | None:
        """Do the passes. Returns why they have failed in any process, after which everything is as before."""
        values, restore_rng, numbers = Copies(self._buffers.observe()), rng_state(self._device), meters.copy()
        cut: MicroBatches | None = None
        problem = None
        with ranks.attempt() as attempt:
            work.start()
            try:
                cut = batches.cut(pieces)
                work.run(cut)
                attempt.check()
            except ranks.AbandonedError:
                problem = "in another process"
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                problem = first_line(error)
            if cut is not None and problem is None:
                batches.adopt(cut)
                return None
            cut = None  # With the tensors of the attempt. The frames that had others went with the error.
            _free_memory(self._device)
            attempt.abandon()
        work.undo()
        values.write()
        self._buffers.put_back()
        restore_rng()
        meters.adopt(numbers)
        return problem


def _free_memory(device: torch.device) -> None:
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def _of_step(step: str, iteration: int, batches: MicroBatches, problem: str, fix: str) -> ResourceError:
    return _explanation(f"steps.{step}: out of memory at iteration {iteration}", problem, batches.parts, fix)


def _explanation(where: str, problem: str, parts: Mapping[str, Part], fix: str) -> ResourceError:
    described = "".join(_described(name, part) for name, part in parts.items())
    return ResourceError(f"{where}: {problem}{described}\n    Fix: try {fix}")


def _described(stream: str, part: Part) -> str:
    """The shapes and the samples of a batch, each in a line."""
    values = "".join(f"\n    {key}: {describe_value(value)}" for key, value in part.values.items())
    lists = {key: value for key, value in part.values.items() if isinstance(value, list)}
    samples = part.samples()
    named = [
        f"{position.sample} {identity({key: values[index] for key, values in lists.items()})}".strip()
        for index, position in enumerate(samples[:MAX_LISTED])
    ]
    more = ", ..." if len(samples) > MAX_LISTED else ""
    return f"{values}\n    samples of data.{stream}: {', '.join(named)}{more}" if named else values
