"""Reports state of components that differs among processes: a checkpoint has that of rank 0."""

from __future__ import annotations

import torch
from torch import Tensor

from artschool import ranks
from artschool.engine.run_state import RunState
from artschool.engine.unsaved import hashes


def report_differing_buffers(run: RunState) -> None:
    """Warn about each buffer of which the processes have other values, once. Every process must call this."""
    if ranks.world_size() == 1:
        return
    first, *others = ranks.gather(hashes(_saved_buffers(run)))
    differing = {name for other in others for name in first.keys() | other if first.get(name) != other.get(name)}
    for name in sorted(differing - run.saver.differing):
        run.note(
            f"warning: {name}: differs among the processes, and checkpoints have that of rank 0: each process computes "
            "it from its own samples, and a resumed run is another one. "
            "Fix: compute it from those of all processes, with `artschool.all_gather`"
        )
    run.saver.differing |= differing


def _saved_buffers(run: RunState) -> dict[str, Tensor]:
    """Those of which each process has all elements."""
    found: dict[str, Tensor] = {}
    for owner, module in run.stateful.items():
        saved = module.state_dict(keep_vars=True)
        found |= {f"{owner}.{name}": buffer for name, buffer in module.named_buffers() if saved.get(name) is buffer}
    return {name: buffer for name, buffer in found.items() if type(buffer) is Tensor and buffer.layout == torch.strided}
