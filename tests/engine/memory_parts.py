"""Parts that run out of memory in batches that are not small, and a toy training of them.

As a script, with a folder: trains it with two processes, of which one runs out of memory.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from artschool import ranks
from artschool.components.builtins import load_builtins
from artschool.engine.run import Run
from artschool.registry import injectors
from artschool.registry.signature import Context
from tests.engine import toy_run
from tests.engine.forked import in_processes

TEXT = """
name: memory
seed: 3
data:
  train: {type: run_pairs, length: 40, batch_size: 8}
networks:
  gen: {type: run_generator}
  critic: {type: run_critic}
steps:
  gen:
    trains: gen
    optimizer: {type: adamw, lr: 1e-3}
    injectors: {up: {type: forward, network: gen, in: lq, out: sr}}
    losses: {pixel: {type: l1, in: [sr, hq], weight: 1.0}}
  critic:
    trains: critic
    optimizer: {type: adamw, lr: 1e-3}
    injectors:
      draw: {type: memory_noise, in: sr, out: drawn}
      early: {type: memory_full, in: sr, out: _}
      queue: {type: queue, in: sr, out: old, size: 12, shape: [3, 8, 8]}
      late: {type: memory_full, in: sr, out: fake}
      judge: {type: forward, network: critic, in: fake, out: logits}
      judged: {type: memory_full, in: logits, out: _}
    losses:
      gan: {type: discriminator_gan, kind: hinge, network: critic, fake: fake, real: hq, weight: 1.0}
      drawn: {type: mean, in: drawn, weight: 1.0}
      logits: {type: mean, in: logits, weight: 1.0}
train: {iterations: 5, device: cpu, on_out_of_memory: split}
log: {every: 1}
"""
FULL = "CUDA out of memory. Tried to allocate 2.00 GiB.\nA second line"
AT = 2
"""The iteration at which a part may run out of memory."""


@injectors.register("memory_full")
def full(
    x: Tensor, *, limit: int = 1000, passing: int = 0, rank: int = 0, backward: bool = False, context: Context
) -> Tensor:
    """x, but at iteration `AT` out of memory for more than `limit` samples.

    Args:
        passing: So many calls with more samples pass before.
        rank: The process that runs out of memory.
        backward: Whether that happens in the backward pass.
    """
    if not context.training or context.iteration != AT or len(x) <= limit or rank != ranks.rank():
        return x
    calls[0] += 1
    if calls[0] <= passing:
        return x
    if not backward:
        raise torch.OutOfMemoryError(FULL)

    def fail(gradient: Tensor) -> None:
        raise torch.OutOfMemoryError(FULL)

    x.register_hook(fail)  # type: ignore[no-untyped-call]  # torch
    return x


@injectors.register("memory_noise")
def noise(x: Tensor) -> Tensor:
    """(B, ...) to random numbers (B,)."""
    return torch.rand(len(x))


@injectors.register("memory_turned")
def turned(x: Tensor) -> Tensor:
    """(B, ...) to (..., B)."""
    return x.movedim(0, -1)


calls = [0]


def split_from_the_start(run: Run, pieces: int) -> None:
    """Let the step `critic` be split from iteration `AT` on."""

    def begin(iteration: int, folder: Path) -> None:
        if iteration == AT and run.context.splitting is not None:
            run.context.splitting.pieces["critic"] = pieces

    run.update_hooks.append(begin)


OPTIONS = "limit: 2, rank: 1"
FAULTS = {
    "early": f"steps.critic.injectors.early={{type: memory_full, in: sr, out: _, {OPTIONS}}}",
    "late": f"steps.critic.injectors.late={{type: memory_full, in: sr, out: fake, {OPTIONS}}}",
    "backward": f"steps.critic.injectors.judged={{type: memory_full, in: logits, out: _, {OPTIONS}, backward: true}}",
}


def train(folder: Path, *options: str, pieces: int = 0) -> dict[str, Any]:
    """Train the toy. Returns the tensors of the last iteration, the log and the notes.

    Args:
        pieces: With how many pieces the step `critic` begins iteration `AT`. 0: as it is.
    """
    from artschool.engine.captured_state import capture, optimizers_of

    calls[0] = 0
    folder.mkdir(parents=True, exist_ok=True)
    run = toy_run.load(folder, *options, text=TEXT)
    recorder = toy_run.recorded(run)
    if pieces:
        split_from_the_start(run, pieces)
    run.train()
    tensors, _ = capture(run, [], optimizers_of(run))
    records = [{name: value for name, value in record.items() if name != "seconds"} for record in recorder.records]
    return {"tensors": tensors, "records": records, "notes": recorder.notes}


def main(rank: int, folder: Path) -> None:
    """Train with two processes: each fault, and split from the start."""
    found = {case: train(folder / case, fault) for case, fault in FAULTS.items()}
    found["start"] = train(folder / "start", pieces=2)
    torch.save(found, folder / f"{rank}.pt")
    ranks.wait()
    ranks.stop()


if __name__ == "__main__":
    load_builtins()
    in_processes(2, lambda rank: main(rank, Path(sys.argv[1])))
