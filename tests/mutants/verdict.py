"""What becomes of a file: the check refuses it, or it trains; anything else is a hole in the check."""

from __future__ import annotations

import re
import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

import artschool
from artschool.engine.run import Run
from artschool.engine.train_step import TrainStep
from artschool.errors import ConfigError
from artschool.read.read import check_file
from artschool.trace.trace import trace

NAME = "mutant.yml"
PLACE = re.compile(rf"\S*{NAME}:\d+:\d+: ")


@dataclass(frozen=True)
class Verdict:
    """`refused` by what the file says or by the trace, `trained`, or a `hole`; and the words about it."""

    kind: Literal["refused", "traced", "trained", "hole"]
    says: str = ""


def judge(text: str, folder: Path) -> Verdict:
    """Check a file, and train it where the check finds nothing. Plugins stand in the folder."""
    file = folder / NAME
    file.write_text(text)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            config = check_file(file)
        except ConfigError as error:
            return _refused(error, "refused")
        except Exception as error:
            return Verdict("hole", f"the check raises {type(error).__name__}: {error}")
        try:
            trace(config)
        except ConfigError as error:
            return _refused(error, "traced")
        except Exception as error:
            return Verdict("hole", f"the trace raises {type(error).__name__}: {error}")
        run_folder = folder / "run"
        shutil.rmtree(run_folder, ignore_errors=True)
        try:
            still = still_parameters(artschool.load(file, run_dir=run_folder))
        except Exception as error:
            return Verdict("hole", f"the run raises {type(error).__name__}: {error}")
        return Verdict("hole", f"does not move: {', '.join(still)}") if still else Verdict("trained")


def still_parameters(run: Run) -> list[str]:
    """Train to the end, and tell which parameters that some step trains have not moved."""
    trained = {id(p) for step in run.steps for iteration in range(run.iterations) for p in _trained(step, iteration)}
    before = {
        name: {key: p.detach().clone() for key, p in network.named_parameters()}
        for name, network in run.networks.items()
    }
    run.train()
    return [
        f"{name}.{key}"
        for name, network in run.networks.items()
        for key, p in network.named_parameters()
        if id(p) in trained and torch.equal(p, before[name][key])
    ]


def _trained(step: TrainStep, iteration: int) -> list[torch.nn.Parameter]:
    return step.trainable(iteration) if step.graph.when.active(iteration) else []


def _refused(error: ConfigError, kind: Literal["refused", "traced"]) -> Verdict:
    homeless = [fault for fault in error.faults if not PLACE.match(str(fault))]
    return Verdict("hole", f"refused without a place: {homeless[0]}") if homeless else Verdict(kind, str(error))
