"""A component that is none of its kind is refused by name, with its place and a fix, before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.reports.small import artschool

pytestmark = pytest.mark.usefixtures("registries")
PARTS = """
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from artschool import callbacks, datasets, injectors, losses, metrics, networks, optimizers
from artschool.registry import loggers

@datasets.register
class Numbers:
    def __len__(self): return 8
    def __getitem__(self, index): return {"x": torch.full((2,), float(index))}

class Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)
    def forward(self, x: Tensor) -> Tensor: return self.layer(x)

class Callback:
    def __init__(self, networks: Mapping[str, nn.Module]) -> None: pass
    def after_optimize(self, step): pass

class Logger:
    def start(self, run): pass
    def log(self, record): pass
    def advance(self, run): pass
    def picture(self, key, iteration, values): pass
    def note(self, message): pass
    def close(self): pass

class Metric:
    def update(self, x: Tensor): self.value = x.sum()
    def compute(self): return self.value
    def reset(self): pass

def same(x: Tensor) -> Tensor: return x
def mean(x: Tensor) -> Tensor: return x.mean()
network, callback, logger, injector, loss, metric = Layer, Callback, Logger, same, mean, Metric
optimizer = torch.optim.SGD
"""
REGISTER = """
for registry, part in (
    (networks, network), (callbacks, callback), (loggers, logger), (injectors, injector), (losses, loss),
    (metrics, metric), (optimizers, optimizer),
):
    registry.register("own", part)
"""
FILE = """
name: own
plugins: [parts.py]
data: {train: {type: numbers, batch_size: 2, keys: [x]}}
networks: {net: {type: own}}
steps:
  main:
    trains: net
    optimizer: {type: own, lr: 0.01}
    injectors: {z: {type: own, in: x, out: z}, y: {type: forward, network: net, in: z, out: y}}
    losses: {fit: {type: own, in: y, weight: 1.0}}
    callbacks: {seen: {type: own}}
train: {iterations: 4, device: cpu}
evaluate:
  held:
    data: train
    injectors: {y: {type: forward, network: net, in: x, out: y}}
    metrics: {m: {type: own, in: y}}
log: {every: 1, loggers: {other: {type: own}}}
"""
METRIC = "own.yml:18:18: evaluate.held.metrics.m: "
CALLBACK = "own.yml:12:23: steps.main.callbacks.seen: "
LOGGER = "own.yml:19:34: log.loggers.other: "
OPTIMIZER = "own.yml:9:16: steps.main.optimizer: "
NETWORK = "own.yml:5:17: networks.net: "
PLUGIN = "own.yml:3:11: plugins.0: plugin 'parts.py': "
PLAIN = "but a component returns its result. Fix: write a plain function"
WRONG = {
    "a metric without update": (
        "class metric(nn.Module):\n  def forward(self, x: Tensor): return x\n  compute = reset = lambda self: 1.0",
        f"{METRIC}metric does not define update. Fix: add `def update(self, ...)`",
    ),
    "a metric with update alone": (
        "class metric:\n  def update(self, x: Tensor): pass",
        f"{METRIC}metric does not define compute and reset. Fix: add `def compute(self)`, `def reset(self)`",
    ),
    "compute that takes a value": (
        "class metric(Metric):\n  def compute(self, x): return 1.0",
        f"{METRIC}metric.compute does not take what it is called with: nothing. Fix: `def compute(self)`",
    ),
    "compute that is a number": (
        "class metric(Metric):\n  reset = 3",
        f"{METRIC}metric does not define reset. Fix: add `def reset(self)`",
    ),
    "a metric that returns text": (
        "def metric(x: Tensor): return 'good'",
        f"{METRIC}fails: TypeError: expected a tensor with one value for each sample, (B,), or a scalar tensor, "
        "got str",
    ),
    "an async metric": (
        "async def metric(x: Tensor): return x",
        f"{PLUGIN}metric 'own' cannot be registered: metric is `async`, {PLAIN}",
    ),
    "an injector that yields": (
        "def injector(x: Tensor):\n  yield x",
        f"{PLUGIN}injector 'own' cannot be registered: injector yields values, {PLAIN}",
    ),
    "an injector with a number for a method": (
        "class injector:\n  __call__ = 3",
        f"{PLUGIN}injector 'own' cannot be registered: injector does not define __call__. Fix: add one with a "
        "parameter for each key",
    ),
    "an injector that makes a number": (
        "class injector:\n  def __new__(cls): return 3\n  def __call__(self, x: Tensor): return x",
        "own.yml:10:20: steps.main.injectors.z: expected an object that can be called, got int. Fix: define `__call__`",
    ),
    "a network that is not set up": (
        "class network(nn.Module):\n  def __init__(self) -> None: self.size = 3",
        f"{NETWORK}network is a torch.nn.Module that is not set up. Fix: call `super().__init__()` first in its "
        "`__init__`",
    ),
    "a network that is text": ("def network(): return 'net'", f"{NETWORK}expected a torch.nn.Module, got str"),
    "a hook of a network": (
        "class network(Layer):\n  def get_debug_values(self, step): return {}",
        f"{NETWORK}network.get_debug_values does not take what it is called with: step, name. "
        "Fix: `def get_debug_values(self, step, name)`",
    ),
    "remarks that are a number": (
        "class Odd(Numbers):\n  remarks = 3\ndatasets.forget(Numbers.__module__)\ndatasets.register('numbers', Odd)",
        "own.yml:4:15: data.train: Odd.remarks: expected a list of sentences, got int",
    ),
    "a callback that is nothing": (
        "def callback(networks: Mapping[str, nn.Module]): pass",
        f"{CALLBACK}NoneType defines none of the methods before_step, before_optimize, after_optimize, log_data. "
        "Fix: define one",
    ),
    "a callback that takes no step": (
        "class callback(Callback):\n  def log_data(self): return {}",
        f"{CALLBACK}callback.log_data does not take what it is called with: step. Fix: `def log_data(self, step)`",
    ),
    "a callback with a number for a method": (
        "class callback(Callback):\n  before_step = 3",
        f"{CALLBACK}callback.before_step is no method, but int. Fix: `def before_step(self, step)`",
    ),
    "an optimizer without step": (
        "class optimizer(torch.optim.Optimizer):\n"
        "  def __init__(self, params, lr: float = 0.1) -> None: super().__init__(params, {'lr': lr})",
        f"{OPTIMIZER}optimizer does not define step. Fix: add `def step(self)`",
    ),
    "an optimizer that takes a value": (
        "class optimizer(torch.optim.SGD):\n  def step(self, loss): pass",
        f"{OPTIMIZER}optimizer.step does not take what it is called with: nothing. Fix: `def step(self)`",
    ),
    "an optimizer without groups": (
        "class optimizer:\n  def __init__(self, params, lr: float = 0.1) -> None: pass\n  def step(self): pass",
        f"{OPTIMIZER}expected a torch.optim.Optimizer, got optimizer",
    ),
    "an optimizer without a rate": (
        "class optimizer(torch.optim.SGD):\n  def __init__(self, params, lr: float = 0.1) -> None:\n"
        "    super().__init__(params, lr)\n    del self.param_groups[0]['lr']",
        f"{OPTIMIZER}optimizer has a parameter group without `lr`. Fix: pass `dict(lr=lr)` to `Optimizer.__init__` as "
        "defaults",
    ),
    "a logger that is nothing": (
        "def logger(): pass",
        f"{LOGGER}NoneType does not define log. Fix: add `def log(self, record)`",
    ),
    "a logger that takes no record": (
        "class logger(Logger):\n  def log(self): pass",
        f"{LOGGER}logger.log does not take what it is called with: record. Fix: `def log(self, record)`",
    ),
}


@pytest.mark.parametrize(("part", "refused"), WRONG.values(), ids=list(WRONG))
def test_a_component_that_is_none_of_its_kind_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str, refused: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("parts.py").write_text(f"{PARTS}{part}\n{REGISTER}")
    Path("own.yml").write_text(FILE)
    is_traced = not refused.startswith(LOGGER)
    code, printed = artschool(*(("check", "--trace") if is_traced else ("train", "--no-trace")), "own.yml")
    assert code == 2, printed
    assert refused in printed
    assert "Traceback" not in printed and not Path("runs").exists()


def test_what_a_component_returns_in_training_is_reported_with_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What only a run finds out, since it needs values."""
    monkeypatch.chdir(tmp_path)
    odd = (
        "class callback(Callback):\n  def log_data(self, step): return {} if step == 3 else 'many'\n"
        "class metric(Metric):\n  def compute(self): return 'good'\n"
    )
    Path("parts.py").write_text(f"{PARTS}{odd}{REGISTER}")
    Path("own.yml").write_text(FILE)
    _, printed = artschool("train", "own.yml")
    assert "steps.main.callbacks.seen: expected a mapping of numbers by name, got str" in printed
    assert "evaluate.held.metrics.m: expected one value from `compute`, got str" in printed


def test_a_static_method_takes_all_of_its_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    static = "class injector:\n  @staticmethod\n  def __call__(x: Tensor): return x\n"
    Path("parts.py").write_text(f"{PARTS}{static}{REGISTER}")
    Path("own.yml").write_text(FILE)
    code, printed = artschool("check", "--trace", "own.yml")
    assert code == 0, printed
