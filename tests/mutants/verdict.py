"""What becomes of a file: the check refuses it, or it trains; anything else is a hole in the check."""

from __future__ import annotations

import re
import shutil
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

import artschool
from artschool.config.structure import Component, Config
from artschool.engine.run import Run
from artschool.engine.train_step import TrainStep
from artschool.engine.unregistered import unregistered
from artschool.errors import ConfigError
from artschool.lint import Subject, lint
from artschool.read.read import check_file
from artschool.trace.trace import trace

NAME = "mutant.yml"
PLACE = re.compile(rf"\S*{NAME}:\d+:\d+: ")
OF_STILL_PARAMETERS = {"idle-schedule", "rate-zero"}
"""The lint rules that ask about parameters that do not move."""


@dataclass(frozen=True)
class Verdict:
    """`refused` by what the file says or by the trace, `linted`, `trained`, or a `hole`; and the words about it."""

    kind: Literal["refused", "traced", "linted", "trained", "hole"]
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
            still, harms = train(artschool.load(file, run_dir=run_folder))
            artschool.load(file, run_dir=run_folder)  # It loads what was saved.
        except Exception as error:
            return Verdict("hole", f"the run raises {type(error).__name__}: {error}")
        if harms:
            return Verdict("hole", "; ".join(harms))
        clipped = list(_clipped(config))
        if still and not _asks(config, OF_STILL_PARAMETERS):
            return Verdict("hole", f"does not move: {', '.join(still)}")
        if clipped and not _asks(config, {"wrong-range"}):
            return Verdict("hole", "; ".join(clipped))
        return Verdict("linted", "; ".join([*still, *clipped])) if still or clipped else Verdict("trained")


def train(run: Run) -> tuple[list[str], list[str]]:
    """Train to the end.

    Returns:
        Which parameters that some step trains have not moved, and what training did in silence.
    """
    trained = {id(p) for step in run.steps for iteration in range(run.iterations) for p in _trained(step, iteration)}
    before = {
        name: {key: p.detach().clone() for key, p in network.named_parameters()}
        for name, network in run.networks.items()
    }
    statistics = {name: value.clone() for name, value in _frozen_statistics(run)}
    run.train()
    still = [
        f"{name}.{key}"
        for name, network in run.networks.items()
        for key, p in network.named_parameters()
        if id(p) in trained and torch.equal(p, before[name][key])
    ]
    return still, list(_harms(run, statistics))


def _harms(run: Run, statistics: dict[str, Tensor]) -> Iterator[str]:
    """What a network did in training that nobody was told about."""
    for name, value in _frozen_statistics(run):
        if not torch.equal(value, statistics[name]):
            yield f"{name} moved, though its layer is frozen"
    for name, network in run.networks.items():
        if getattr(network, "harmed", False):
            yield f"{name} changed its input in place"
        for path, tensor in unregistered(network):
            if tensor.grad is not None:
                yield f"{name}.{path} got a gradient, and nothing trains it"


def _frozen_statistics(run: Run) -> Iterator[tuple[str, Tensor]]:
    """The running statistics of frozen batch norms in networks that a step trains, with their names.

    A network that no step trains may be called with `mode: train`, which asks for its statistics to move.
    """
    for name, network in {name: network for step in run.steps for name, network in step.networks.items()}.items():
        for path, module in network.named_modules():
            is_frozen = all(not parameter.requires_grad for parameter in module.parameters())
            if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.affine and is_frozen:
                yield from ((f"{name}.{path}.{own}", value) for own, value in module.named_buffers())


def _clipped(config: Config) -> Iterator[str]:
    """The keys of data sets whose values a metric or an image cuts off."""
    for evaluation in config.evaluations.values():
        highest = _highest(config.data[evaluation.section.data])
        for metric in evaluation.metrics.values():
            key = next((use.name for use in metric.reads if use.parameter == "real"), "")
            limit = metric.options().get("data_range", torch.inf)
            if highest.get(key, 0.0) > limit:
                yield f"{metric.path} cuts off the values of {key}"
    pictures = config.sections.log.pictures
    for key in pictures.keys if pictures else ():
        assert pictures is not None
        drawn = pictures.range_of(key)
        if not isinstance(drawn, str) and _highest(config.data["train"]).get(key, 0.0) > drawn[1]:
            yield f"the image of {key} is cut off"


def _highest(data: Component) -> dict[str, float]:
    """The largest possible value of the images of a data set, if it has the option `white`."""
    return {"image": float(data.options()["white"])} if "white" in data.options() else {}


def _asks(config: Config, rules: set[str]) -> bool:
    return any(finding.rule in rules for finding in lint(Subject(config)))


def _trained(step: TrainStep, iteration: int) -> list[torch.nn.Parameter]:
    return step.trainable(iteration) if step.graph.when.active(iteration) else []


def _refused(error: ConfigError, kind: Literal["refused", "traced"]) -> Verdict:
    homeless = [fault for fault in error.faults if not PLACE.match(str(fault))]
    return Verdict("hole", f"refused without a place: {homeless[0]}") if homeless else Verdict(kind, str(error))
