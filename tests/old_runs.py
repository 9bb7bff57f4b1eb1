"""Resume trainings of DL-Art-School from its own checkpoints and compare: a kind of `tests/goldens.py`.

A folder has `networks.py` and, for each case, what the reference wrote and computed.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from artschool.build.run import build
from artschool.engine.freeze import all_frozen
from artschool.engine.micro_batches import MicroBatches
from artschool.engine.old_checkpoints import restore_old
from artschool.engine.run import Run
from artschool.engine.streams import Part
from artschool.engine.train_iteration import train_iteration
from artschool.read.read import check_file

TOLERANCE, WEIGHTS_TOLERANCE = 1e-6, 1e-5


@dataclass(frozen=True)
class OldRun:
    """A folder of a case."""

    folder: Path

    @cached_property
    def expected(self) -> dict[str, Any]:
        """Numbers of the reference."""
        data: dict[str, Any] = json.loads((self.folder / "expected.json").read_text())
        corrected: dict[str, Any] = data.get("corrected", {})
        return data | corrected

    @cached_property
    def tensors(self) -> dict[str, Tensor]:
        """Its tensors. Those without its faults take the place of those with them."""
        tensors = load_file(self.folder / "expected.safetensors")
        corrected = {n.removeprefix("corrected/"): t for n, t in tensors.items() if n.startswith("corrected/")}
        return {name: t for name, t in tensors.items() if not name.startswith("corrected/")} | corrected

    def tensors_of(self, part: str) -> dict[str, Tensor]:
        """Those below a part, by the rest of their names."""
        return {n.removeprefix(part): t for n, t in self.tensors.items() if n.startswith(part)}

    def batches(self) -> dict[int, dict[str, Tensor]]:
        """The batches by number."""
        batches: dict[int, dict[str, Tensor]] = {}
        for name, tensor in load_file(self.folder / "batches.safetensors").items():
            number, key = name.split("/")
            batches.setdefault(int(number), {})[key] = tensor
        return batches


def run_old(case: OldRun) -> list[str]:
    """What differs."""
    return list(_differences(case))


def _differences(case: OldRun) -> Iterator[str]:
    """The state after resuming, then losses and rates of each iteration, weights and averages."""
    checked = check_file(case.folder / "config.yml", ["train.device=cpu", "checkpoint.keep_last=3"])
    with tempfile.TemporaryDirectory() as name:
        run = build(checked, Path(name))
        restore_old(run, case.folder / case.expected["state"])
        yield from _different_slots(run, case.tensors_of("slots/"))
        batches = case.batches()
        for index, expected in enumerate(case.expected["after"]):
            yield from _different_iteration(run, batches[expected["batch"]], expected, f"iteration {index + 4}: ")
    for name, network in run.networks.items():
        yield from _different(f"final/{name}/", network.state_dict(), case.tensors_of(f"final/{name}/"))
        averages = run.emas[name].module if name in run.emas else network
        yield from _different(f"ema/{name}/", averages.state_dict(), case.tensors_of(f"ema/{name}/"))


def _different_slots(run: Run, expected: Mapping[str, Tensor]) -> Iterator[str]:
    """The optimizers' states by the identity of parameters."""
    names: dict[Tensor, str] = {
        p: f"{name}.{own}" for name, network in run.networks.items() for own, p in network.named_parameters()
    }
    found = {
        f"{names[parameter]}/{slot}": torch.as_tensor(value, dtype=torch.float32)
        for step in run.steps
        if step.update is not None
        for parameter, slots in step.update.optimizer.state.items()
        for slot, value in slots.items()
        if value is not None
    }
    used = {name: value for name, value in expected.items() if name in found or name.endswith(("exp_avg", "buffer"))}
    yield from _different("slots/", found, used)


def _different_iteration(run: Run, batch: dict[str, Tensor], expected: dict[str, Any], at: str) -> Iterator[str]:
    run.context.iteration = run.iteration
    rates = [
        scheduled.schedule.rate(base, run.iteration)
        for scheduled in (step.update.scheduled for step in run.steps if step.update)
        for base in scheduled.base_rates
    ]
    if len({*map(float, rates)} ^ {rate for group in expected["rates"] for rate in group}):
        yield f"{at}rates {rates}, expected {expected['rates']}"
    before = {name: [p.detach().clone() for p in n.parameters()] for name, n in run.networks.items()}
    with all_frozen(run.networks.values()):
        states = MicroBatches(
            {"train": Part(batch, len(next(iter(batch.values()))))}, run.sections.train.accumulate, torch.device("cpu")
        )
        train_iteration(run.steps, run.emas, states, run.context)
    run.iteration += 1
    moved = [name for name, n in run.networks.items() if not all(map(torch.equal, before[name], n.parameters()))]
    if moved != expected["moved"]:
        yield f"{at}{moved} moved, expected {expected['moved']}"
    logged = {name.replace("/", "_").split("_", 1)[1]: value for name, value in run.meters.drain().items()}
    for name, value in expected["losses"].items():
        own = next((number for key, number in logged.items() if name == f"loss_{key}"), None)
        if own is not None and abs(own - value) > TOLERANCE * max(1, abs(value)):
            yield f"{at}{name} {own}, expected {value}"


def _different(what: str, found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> Iterator[str]:
    for name in sorted(found.keys() ^ expected.keys()):
        yield f"{what}{name}: {'not expected' if name in found else 'missing'}"
    for name in sorted(found.keys() & expected.keys()):
        left, right = found[name].double(), expected[name].double()
        off = float(((left - right).abs() / right.abs().clamp(min=1)).max()) if left.numel() else 0.0
        if not off <= WEIGHTS_TOLERANCE:
            yield f"{what}{name}: off by {off:.2g}"
