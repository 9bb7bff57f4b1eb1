"""Compute golden cases with our engine and compare: `python tests/goldens.py FOLDER`. See goldens/README.md.

A folder without `cases.json` holds trainings to resume; see `old_runs.py`.
"""

from __future__ import annotations

import importlib.util
import json
import math
import os
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

# The reference ran with these kernels. Others round otherwise: sums of thousands of terms are off by 4e-6.
os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX2")

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from artschool.build.bind import Binder
from artschool.build.run import build
from artschool.components.builtins import load_builtins
from artschool.components.diffusion.objectives import training_terms
from artschool.components.diffusion.process import GaussianProcess
from artschool.components.diffusion.respacing import space_timesteps
from artschool.components.diffusion.sampling import ddim_step
from artschool.components.diffusion.schedules import betas_of
from artschool.config.compose import finish
from artschool.config.source import Node, read_text
from artschool.config.structure import StepConfig, structure
from artschool.config.write import dump
from artschool.engine.freeze import all_frozen
from artschool.engine.meters import Meters
from artschool.engine.micro_batches import MicroBatches
from artschool.engine.run import Run
from artschool.engine.streams import Part
from artschool.engine.train_context import TrainContext
from artschool.engine.train_iteration import train_iteration
from artschool.engine.update import Update
from artschool.errors import ConfigError
from artschool.legacy.convert import convert
from artschool.read.check import check_tree
from artschool.registry import datasets, networks
from artschool.steps.state import State

# The folder of this file, also where it is run as a command.
sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.old_runs import OldRun, run_old

GOLDENS = Path(__file__).parent / "goldens"
DATA = {"train": {"mode": "golden_data", "batch_size": 1}}
TOLERANCES = {"optimizer": 1e-5, "diffusion_loss": 1e-5}
MEL_TOLERANCE = 1e-4
CPU = torch.device("cpu")
Problems = Iterator[str]


class UnsupportedError(Exception):
    """The case needs something that has no native counterpart yet."""


@dataclass
class Case:
    """A case with its tensors, by `<part>/...`."""

    data: dict[str, Any]
    tensors: dict[str, Tensor]
    toys: Mapping[str, Callable[[], nn.Module]]

    @property
    def name(self) -> str:
        return str(self.data["id"])

    @property
    def kind(self) -> str:
        """What is compared. Cases of a single network do not name it."""
        return str(self.data.get("kind", "network"))

    @property
    def tolerance(self) -> float:
        """How far a number may be off, relative to the larger of 1 and the number."""
        mel = "mel" in str(self.data.get("config", {}).get("type", ""))
        return MEL_TOLERANCE if mel else TOLERANCES.get(self.kind, 1e-6)

    def part(self, *names: str) -> dict[str, Tensor]:
        """The tensors below a part, by the rest of their names."""
        prefix = "/".join(names) + "/"
        return {name.removeprefix(prefix): t for name, t in self.tensors.items() if name.startswith(prefix)}

    def differences(self, what: str, found: Any, expected: Any) -> Problems:
        """A line for each tensor or number that is too far off."""
        left = torch.as_tensor(found).detach().double()
        right = torch.as_tensor(expected).detach().double()
        if left.shape != right.shape:
            yield f"{what}: shape {tuple(left.shape)}, expected {tuple(right.shape)}"
            return
        off = float(((left - right).abs() / right.abs().clamp(min=1)).max()) if left.numel() else 0.0
        if not off <= self.tolerance:
            yield f"{what}: off by {off:.2g}, allowed {self.tolerance:g}"

    def all_differences(self, what: str, found: Mapping[str, Any], expected: Mapping[str, Any]) -> Problems:
        """The differences of everything by name; a name that only one side has is one."""
        for name in sorted(found.keys() ^ expected.keys()):
            yield f"{what}{name}: {'not expected' if name in found else 'missing'}"
        for name in sorted(found.keys() & expected.keys()):
            yield from self.differences(f"{what}{name}", found[name], expected[name])


def load_cases(folder: Path) -> list[Case]:
    """The cases of a folder; their networks become components."""
    load_builtins()
    datasets.register("golden_data", golden_data)
    toys = _toys(folder / "toys.py") if (folder / "toys.py").exists() else {}
    for name, toy in toys.items():
        networks.register(name, _factory(toy))
    by_case: dict[str, dict[str, Tensor]] = {}
    listed = json.loads((folder / "cases.json").read_text())
    names = {case["id"] for case in listed}
    for name, tensor in load_file(folder / "tensors.safetensors").items():
        case, rest = _split(name, names)
        by_case.setdefault(case, {})[rest] = tensor
    return [Case(case, by_case.get(case["id"], {}), toys) for case in listed]


def _split(name: str, cases: Collection[str]) -> tuple[str, str]:
    """The case in the name of a tensor, `<case>/<rest>` or `<part>/<case>/<rest>`, and the name without it."""
    parts = name.split("/")
    cuts = ((start, end) for start in (0, 1) for end in range(start + 1, len(parts) + 1))
    start, end = next(cut for cut in cuts if "/".join(parts[slice(*cut)]) in cases)
    return "/".join(parts[start:end]), "/".join(parts[:start] + parts[end:])


def _toys(file: Path) -> dict[str, Callable[[], nn.Module]]:
    spec = importlib.util.spec_from_file_location(f"golden_toys_{abs(hash(file))}", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    toys: dict[str, Callable[[], nn.Module]] = getattr(module, "TOYS", None) or module.MORE
    return toys


def _factory(toy: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    def make() -> nn.Module:
        """A network of the cases."""
        return toy()

    return make


def golden_data() -> list[dict[str, Tensor]]:
    """One sample that nobody reads: the batches come from the case."""
    return [{"unread": torch.zeros(1)}]


def run_case(case: Case) -> list[str]:
    """What differs.

    Raises:
        UnsupportedError: Something in it has no native counterpart yet.
    """
    kind = case.kind
    if kind not in KINDS:
        raise UnsupportedError(f"no native component for {kind}")
    return list(KINDS[kind](case))


def tree_of(old: dict[str, Any]) -> Node:
    """An old file, converted.

    Raises:
        UnsupportedError: The importer refuses it.
    """
    tree, notes = convert(read_text(dump(old), "case.yml", yaml11=True))
    if notes.faults:
        raise UnsupportedError("; ".join(fault.message for fault in notes.faults))
    return finish(tree, Path("case.yml"))


def built(case: Case, old: dict[str, Any], weights: Mapping[str, dict[str, Tensor]]) -> Run:
    """The run of an old file, its networks with the weights of the case."""
    with tempfile.TemporaryDirectory() as folder:
        path = {}
        for name, tensors in weights.items():
            path[f"pretrain_model_{name}"] = f"{folder}/{name}.safetensors"
            save_file(tensors, path[f"pretrain_model_{name}"])
        old = {"name": "golden", "datasets": DATA, "path": path, **old}
        tree = tree_of(old)
        tree = finish(tree, Path("case.yml"), ["train.device=cpu"])
        return build(check_tree(tree), Path(folder))


def update_of(run: Run, index: int = 0) -> Update:
    update = run.steps[index].update
    assert update is not None
    return update


def one_step(case: Case, **parts: Any) -> tuple[StepConfig, Binder, dict[str, nn.Module], TrainContext]:
    """A step that holds one component, and what calls it."""
    named = case.data.get("networks") or {"unused": "toy_pair"}
    trained = case.data.get("trained") or next(iter(named))
    step = {"training": trained, "optimizer_params": {"lr": 0.1}, **parts}
    models = {name: {"which_model": toy} for name, toy in named.items()}
    old = {"name": "golden", "datasets": DATA, "networks": models, "steps": {"step": step}, "train": {"niter": 1}}
    config, faults = structure(tree_of(old))
    if faults or config is None:
        raise ConfigError(faults)
    modules = {name: case.toys[toy]() for name, toy in named.items()}
    for name, module in modules.items():
        if weights := case.part("weights", name):
            module.load_state_dict(weights)
    context = TrainContext(CPU, Meters())
    context.iteration, context.training = case.data["step"], case.data.get("training", True)
    return config.steps["step"], Binder(modules, context), modules, context


def injector(case: Case) -> Problems:
    step, binder, _, _ = one_step(case, injectors={"case": case.data["config"]})
    state = State(case.part("in"), writer="data")
    for component in step.injectors.values():
        binder.injector(component)(state)
    for key, kind in case.data["outputs"].items():
        if key not in state.values:
            yield f"{key}: not written"
        elif isinstance(kind, dict):
            yield from case.differences(key, state.values[key], kind["value"])
        elif kind == "tensor":
            yield from case.differences(key, state.values[key], case.tensors[f"out/{key}"])
        else:
            expected = case.part("out", key)
            yield from case.all_differences(f"{key}/", dict(zip(expected, state.values[key], strict=True)), expected)


def loss(case: Case) -> Problems:
    """Value, logged numbers and gradients of a loss.

    A loss that calls networks finds those of the case, frozen or not as the case made them; one that holds another is
    one component here, with the keys of both. One that draws at random has several right values, and no gradients
    to compare.
    """
    step, binder, modules, context = one_step(case, losses={"case": case.data["config"]})
    inputs = {key: value.requires_grad_(value.is_floating_point()) for key, value in case.part("in").items()}
    value = binder.loss(step.losses["case"], "step", "case")(State(inputs, writer="data"))
    if "value_one_of" in case.data:
        if not any(abs(value.item() - one) <= case.tolerance * max(1, abs(one)) for one in case.data["value_one_of"]):
            yield f"value: {value.item()} is none of {case.data['value_one_of']}"
        return
    yield from case.differences("value", value, case.data["value"])
    logged = {name.removeprefix("step/case/"): number for name, number in context.meters.drain().items()}
    yield from case.all_differences("metric ", logged, case.data["metrics"])
    leaves = {f"grad/{key}": inputs[key] for key in case.data["grads"]}
    for name, module in modules.items():
        for parameter_name, parameter in module.named_parameters():
            if f"param_grad/{name}/{parameter_name}" in case.tensors:
                leaves[f"param_grad/{name}/{parameter_name}"] = parameter
    gradients = torch.autograd.grad(value, list(leaves.values()), allow_unused=True, materialize_grads=True)
    for name, gradient in zip(leaves, gradients, strict=True):
        yield from case.differences(name, gradient, case.tensors[name])


def lr(case: Case) -> Problems:
    step = {
        "training": "net",
        "optimizer_params": {"lr": case.data["base_lr"]},
        "injectors": {"f": {"type": "generator", "generator": "net", "in": "x", "out": ["y", "z"]}},
        "losses": {"l": {"type": "direct", "key": "y", "weight": 1}},
    }
    expected = case.data["lr"]
    train = {"niter": len(expected), **case.data["config"]}
    old = {"networks": {"net": {"which_model": "toy_pair"}}, "steps": {"step": step}, "train": train}
    scheduled = update_of(built(case, old, {})).scheduled
    for iteration, rate in enumerate(expected):
        found = {scheduled.schedule.rate(base, iteration) for base in scheduled.base_rates}
        if len(found) != 1 or not math.isclose(found.pop(), rate, rel_tol=case.tolerance):
            first = scheduled.schedule.rate(scheduled.base_rates[0], iteration)
            yield f"iteration {iteration}: {first}, expected {rate}"


def optimizer(case: Case) -> Problems:
    step = {
        "training": "net",
        **case.data["config"],
        "injectors": {"f": {"type": "generator", "generator": "net", "in": ["x", "token"], "out": "y"}},
        "losses": {"l": {"type": "direct", "key": "y", "weight": 1}},
    }
    model = {"which_model": case.data["network"]}
    old = {"networks": {"net": model}, "steps": {"step": step}, "train": {"niter": case.data["steps"]}}
    run = built(case, old, {"net": case.part("weights")})
    parameters = dict(run.networks["net"].named_parameters())
    for index in range(case.data["steps"]):
        for name, gradient in case.part("grads", str(index)).items():
            parameters[name].grad = gradient.clone()
        update = update_of(run)
        update.prepare(index)
        update(run.meters)
    yield from case.all_differences("final/", parameters, case.part("final"))


def training(case: Case) -> Problems:
    config = case.data["config"]
    run = built(case, config, {name: case.part("weights", name) for name in config["networks"]})
    for index, expected in enumerate(case.data["trace"]):
        batch = case.part("batches", str(index))
        yield from _rates(case, run, index, expected["lr"])
        run.context.iteration = index
        total = len(next(iter(batch.values())))
        with all_frozen(run.networks.values()):
            states = MicroBatches({"train": Part(batch, total)}, run.sections.train.accumulate, CPU)
            train_iteration(run.steps, run.emas, states, run.context)
        logged = {name: value for name, value in run.meters.drain().items() if not name.endswith("/grad_norm")}
        yield from case.all_differences(
            f"iteration {index}: ", logged, _our_names(expected["metrics"], config["steps"])
        )
    for name, network in run.networks.items():
        yield from case.all_differences(f"final/{name}/", network.state_dict(), case.part("final", name))
        if averaged := case.part("ema", name):
            # The average of what never moves is itself, and we keep none.
            module = run.emas[name].module if name in run.emas else network
            yield from case.all_differences(f"ema/{name}/", module.state_dict(), averaged)


def _rates(case: Case, run: Run, index: int, expected: list[list[float]]) -> Problems:
    """Rates of all groups of all optimizers; the reference splits LAMB in two."""
    optimizers = [step.update.scheduled for step in run.steps if step.update]
    found = [scheduled.schedule.rate(base, index) for scheduled in optimizers for base in scheduled.base_rates]
    yield from case.differences(f"iteration {index}: rates", found, [rate for group in expected for rate in group])


def _our_names(metrics: Mapping[str, float], steps: Mapping[str, Any]) -> dict[str, float]:
    """The reference's names of logged numbers in ours."""
    named = {}
    for step, content in steps.items():
        totals = {f"loss_{content['training']}_total": f"{step}/total"}
        for old, value in metrics.items():
            own = totals.get(old)
            for loss_name in content["losses"]:
                if old == f"loss_{loss_name}":
                    own = f"{step}/{loss_name}"
                elif old.startswith(f"loss_{loss_name}_") and old not in totals:
                    own = f"{step}/{loss_name}/{old.removeprefix(f'loss_{loss_name}_')}"
            if own is not None:
                named[own] = value
        if f"{step}/total" not in named:
            # The reference leaves it out where a step runs and does not train; it is the same sum of the same losses.
            terms = {f"{step}/{name}": loss["weight"] for name, loss in content["losses"].items()}
            active = [named[name] * weight for name, weight in terms.items() if name in named]
            named |= {f"{step}/total": sum(active)} if active else {}
    return named


def network(case: Case) -> Problems:
    """One forward pass of a network with the weights of the case."""
    step = {
        "training": "net",
        "optimizer_params": {"lr": 0.1},
        "injectors": {"call": {"type": "generator", "generator": "net", "in": "image", "out": "out"}},
        "losses": {"loss": {"type": "direct", "key": "out", "weight": 1.0}},
    }
    old = {"networks": {"net": case.data["network"]}, "steps": {"step": step}, "train": {"niter": 1}}
    module = built(case, old, {"net": case.part("weights")}).networks["net"]
    module.train(case.data["mode"] == "train")
    with torch.no_grad():
        result = module(case.tensors["in"])
    out = {f"out/{i}": value for i, value in enumerate(result)} if isinstance(result, tuple) else {"out": result}
    expected = {name: value for name, value in case.tensors.items() if name.partition("/")[0] == "out"}
    yield from case.all_differences("", out, expected)
    after = {name: value for name, value in module.state_dict().items() if name in case.part("after")}
    yield from case.all_differences("after/", after, case.part("after"))


def diffusion_betas(case: Case) -> Problems:
    config = case.data["config"]
    found = betas_of(config["schedule_name"], config["num_diffusion_timesteps"])
    yield from case.differences("betas", found, torch.tensor(case.data["betas"], dtype=torch.float64))


def diffusion_respacing(case: Case) -> Problems:
    found = space_timesteps(case.data["num_timesteps"], case.data["section_counts"])
    yield from case.differences("timesteps", found, case.data["timesteps"])


def diffusion_loss(case: Case) -> Problems:
    config, given, weights = case.data["config"], case.part("in"), case.part("weights", "net")
    mean, variance = config["model_mean_type"], config["model_var_type"]
    betas = betas_of(config["schedule"], config["num_timesteps"])
    prediction = {"start_x": "x0", "previous_x": "previous"}.get(mean, mean)
    process = GaussianProcess(betas, prediction=prediction, variance=variance)
    x0, noise, t = given["x_start"], given["noise"], given["t"]
    x_t = process.noised(x0, noise, t)
    times = nn.functional.linear(t[:, None] / 100, weights["t.weight"], weights["t.bias"])
    output = nn.functional.conv2d(x_t, weights["c.weight"], weights["c.bias"], padding=1) + times[:, :, None, None]
    terms = training_terms(process, output, x0, noise, t, objective=config["loss_type"])
    vb = terms.vb if "vb" in case.data["outputs"] else torch.zeros_like(terms.loss)
    out = {"mse": terms.loss, "loss": terms.loss + vb, "vb": vb, "x_start_predicted": terms.x0, "x_t": x_t}
    yield from case.all_differences(
        "out/", {name: out[name] for name in [*case.data["outputs"], "x_t"]}, case.part("out")
    )
    reverse = process.reverse(output, x_t, t, clip=True)
    by_name = {**reverse._asdict(), "pred_xstart": reverse.x0}
    yield from case.all_differences("p/", {name: by_name[name] for name in case.part("p")}, case.part("p"))
    sample, _ = ddim_step(process, reverse.x0, x_t, t)
    yield from case.all_differences("ddim/", {"sample": sample, "pred_xstart": reverse.x0}, case.part("ddim"))


KINDS: dict[str, Callable[[Case], Problems]] = {
    "diffusion_betas": diffusion_betas,
    "diffusion_loss": diffusion_loss,
    "diffusion_respacing": diffusion_respacing,
    "injector": injector,
    "loss": loss,
    "lr": lr,
    "network": network,
    "optimizer": optimizer,
    "training": training,
}


def load_old_runs(folder: Path) -> dict[str, OldRun]:
    """The trainings of a folder by name; their networks and data become components."""
    load_builtins()
    datasets.register("stored_batches", lambda: [{"unread": torch.zeros(1)}] * 8)
    for name, toy in (_toys(GOLDENS / "toys.py") | _toys(folder / "networks.py")).items():
        networks.register(name, _factory(toy))
    return {file.parent.name: OldRun(file.parent) for file in sorted(folder.glob("*/expected.json"))}


def comparisons(folder: Path) -> dict[str, Callable[[], list[str]]]:
    """By the name of a case, what finds its differences."""
    if (folder / "cases.json").exists():
        return {case.name: partial(run_case, case) for case in load_cases(folder)}
    return {name: partial(run_old, case) for name, case in load_old_runs(folder).items()}


def main(folder: Path) -> int:
    """Run every case and print what is not as expected."""
    passed = failed = 0
    for name, compare in comparisons(folder).items():
        try:
            problems = compare()
        except UnsupportedError as error:
            problems = [f"unsupported {name}: {error}"]
        except Exception as error:  # One broken case does not hide the others.
            problems = [f"failed {name}: {type(error).__name__}: {error}"]
        else:
            problems = [f"failed {name}: {problem}" for problem in problems]
        passed, failed = passed + (not problems), failed + bool(problems)
        if problems:
            more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
            print(problems[0].replace("\n", " ") + more)  # noqa: T201  # this is a command
    print(f"{passed} passed, {failed} failed")  # noqa: T201
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
