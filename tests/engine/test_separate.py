"""An optimizer that looks at several parameters at once is refused where its parameters are divided."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from artschool.engine import separate
from artschool.engine.run import Run
from artschool.errors import ConfigError
from artschool.registry import optimizers
from tests.engine import toy_run
from tests.reports.small import artschool

pytestmark = pytest.mark.usefixtures("registries")

DIVIDED = {"shard": "steps.gen.optimizer.shard=true", "train.offload.optimizer": "train.offload={optimizer: cpu}"}
RMSPROP = "steps.gen.optimizer={type: rmsprop, lr: 1e-3}"


class Descent(Optimizer):
    """Gradient descent; its `factor` is what a test is about."""

    def __init__(self, params: Any, lr: float = 0.1) -> None:
        super().__init__(params, {"lr": lr})
        self.calls = 0

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update every parameter."""
        self.calls += 1
        factor = self.factor([p.grad for group in self.param_groups for p in group["params"] if p.grad is not None])
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.sub_(parameter.grad * factor, alpha=group["lr"])

    def factor(self, gradients: list[Tensor]) -> Tensor:
        """Of the update."""
        raise NotImplementedError


@optimizers.register("separate_clipped")
class Clipped(Descent):
    """Limits the norm of all large gradients."""

    def factor(self, gradients: list[Tensor]) -> Tensor:
        """At most 1."""
        norm: Tensor = torch.stack([gradient.norm() for gradient in gradients]).norm()
        return (20 / norm).clamp(max=1)


@optimizers.register("separate_counted")
class Counted(Descent):
    """Steps smaller and smaller, by a count outside of its groups."""

    def factor(self, gradients: list[Tensor]) -> Tensor:
        """One over the count."""
        return torch.tensor(1 / self.calls)


@optimizers.register("separate_closed")
class Closed(Descent):
    """Needs a closure, as LBFGS does."""

    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Call the closure."""
        if closure is None:
            raise TypeError("no closure\nand more")


def loaded(folder: Path, *overrides: str) -> Run:
    folder.mkdir(exist_ok=True)
    return toy_run.load(
        folder, f"plugins=['{Path(toy_run.__file__).resolve()}', '{Path(__file__).resolve()}']", *overrides
    )


@pytest.mark.parametrize("option", DIVIDED)
@pytest.mark.parametrize(
    ("optimizer", "problem"),
    [
        ("type: separate_clipped, lr: 0.1", "this one moves a parameter differently beside others"),
        ("type: separate_closed, lr: 0.1", "this one cannot be tried: TypeError: no closure"),
        ("type: pytorch_optimizer, name: prodigy", "this one computes 'd_numerator' from all parameters"),
    ],
    ids=["clipped", "closed", "prodigy"],
)
def test_an_optimizer_that_looks_at_all_parameters_is_refused(
    tmp_path: Path, option: str, optimizer: str, problem: str
) -> None:
    loaded(tmp_path / "whole", f"steps.gen.optimizer={{{optimizer}}}")
    with pytest.raises(ConfigError) as refusal:
        loaded(tmp_path, f"steps.gen.optimizer={{{optimizer}}}", DIVIDED[option])
    assert str(refusal.value).endswith(
        f"steps.gen.optimizer: `{option}` requires an optimizer that treats each parameter by itself, but {problem}. "
        f"Fix: remove `{option}`, or use another optimizer, such as adamw"
    )


def test_an_optimizer_that_counts_its_calls_can_be_shared_but_not_called_in_parts(tmp_path: Path) -> None:
    counted = "steps.gen.optimizer={type: separate_counted, lr: 0.1}"
    loaded(tmp_path, counted, DIVIDED["shard"])
    with pytest.raises(ConfigError, match="but this one moves a parameter differently beside others"):
        loaded(tmp_path, counted, DIVIDED["train.offload.optimizer"])


def test_the_trace_refuses_it_for_processes_to_come(tmp_path: Path) -> None:
    plugins = f"plugins=['{Path(toy_run.__file__).resolve()}', '{Path(__file__).resolve()}']"
    clipped = "steps.gen.optimizer={type: separate_clipped, lr: 0.1, shard: true}"
    code, printed = artschool("check", str(toy_run.write(tmp_path, plugins, clipped)), "--trace")
    assert code == 2
    assert "`shard` requires an optimizer that treats each parameter by itself" in printed


@pytest.mark.parametrize("option", DIVIDED)
@pytest.mark.parametrize(
    "name", ["adadelta", "adafactor", "adagrad", "adam", "adamax", "adamw", "asgd", "lamb", "lars", "nadam", "radam",
             "rmsprop", "rprop", "sgd"]
)  # fmt: skip
def test_every_built_in_optimizer_treats_each_parameter_by_itself(tmp_path: Path, name: str, option: str) -> None:
    loaded(tmp_path, f"steps.gen.optimizer={{type: {name}, lr: 1e-3, no_decay: [norm]}}", DIVIDED[option])


def test_trying_changes_no_random_number(tmp_path: Path) -> None:
    prints = []
    for name, changes in {"plain": (RMSPROP,), "divided": (RMSPROP, DIVIDED["shard"])}.items():
        run = loaded(tmp_path / name, "train.iterations=6", *changes)
        toy_run.recorded(run)
        prints.append(toy_run.fingerprint(run.train()))
    assert prints[0] == prints[1]


def test_large_parameters_take_no_memory() -> None:
    """Shapes are limited, and values are not read: 128 GiB on no device of this machine."""
    weights = [nn.Parameter(torch.empty(2**17, 2**17, device="meta").expand(2**17, 2**17)) for _ in range(2)]
    tried: list[torch.Size] = []

    def build(groups: list[dict[str, Any]]) -> Optimizer:
        tried.extend(parameter.shape for group in groups for parameter in group["params"])
        raise RuntimeError("seen")

    with pytest.raises(ConfigError, match="cannot be tried: RuntimeError: seen"):
        separate.check_separate(build, [{"params": weights}], "here", "shard")
    assert tried == [torch.Size([64, 64])] * 2
