"""What training makes can be saved and loaded again, or the trace says what cannot."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from artschool.engine.ema import Ema
from artschool.errors import ConfigError
from artschool.registry import networks, optimizers
from artschool.trace.report import Trace
from tests.trace.traced_parts import TEXT, traced

PLACE = "toy.yml:4:17: networks.net: "
KEEP = "\n    Fix: keep it in a tensor, such as a buffer, or let get_extra_state return one."
REGISTER = "\n    Fix: register it in __init__ with its final shape."


class Base(nn.Module):
    """A layer, and something in its state."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3) to the same."""
        result: Tensor = self.linear(x)
        return result


class Extra(Base):
    """Extra state of a given kind."""

    def __init__(self, value: Any, loads: bool = True) -> None:
        super().__init__()
        self.value = value
        self.loads = loads

    def get_extra_state(self) -> Any:
        return self.value

    def set_extra_state(self, state: Any) -> None:
        if not self.loads:
            raise KeyError("seen")


class Late(Base):
    """Makes a buffer when it first runs, or makes it longer."""

    def __init__(self, length: int = 0) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(length) if length else None)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3) to the same."""
        self.mean = x.detach().mean(0)
        return super().forward(x)


class LateLayer(Base):
    """Makes a layer with buffers when it first runs, or when it is first evaluated."""

    def __init__(self, evaluated: bool = False) -> None:
        super().__init__()
        self.evaluated = evaluated

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3) to the same."""
        if not hasattr(self, "norm") and (not self.training or not self.evaluated):
            self.norm = nn.BatchNorm1d(3, affine=False)
        return super().forward(x)


class Renamed(Base):
    """Saves under another name than it loads."""

    def __init__(self) -> None:
        super().__init__()
        self._register_state_dict_hook(self._rename)  # type: ignore[no-untyped-call]  # torch

    @staticmethod
    def _rename(module: nn.Module, state: dict[str, Any], prefix: str, _: Any) -> None:
        state[f"{prefix}bias"] = state.pop(f"{prefix}linear.bias")


class Shared(Base):
    """A view of its weight and a transposed buffer, which have to be copied to be saved."""

    def __init__(self) -> None:
        super().__init__()
        self.view = self.linear.weight
        self.register_buffer("turned", torch.zeros(4, 5).t())


class Holding(Base):
    """A buffer of a type or layout that no file of tensors holds."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.register_buffer(
            "kept", torch.eye(3).to_sparse() if kind == "sparse" else torch.zeros(3, dtype=torch.complex128)
        )


class Quantized(Base):
    """A frozen parameter of whole numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.ones(3, dtype=torch.int8), requires_grad=False)


@networks.register("saved_kind")
def kind(kind: str) -> nn.Module:
    """A network with something in its state."""
    made: dict[str, Any] = {
        "a mapping": lambda: Extra({"seen": 3}),
        "a number": lambda: Extra(3),
        "a tensor": lambda: Extra(torch.zeros(2)),
        "not loaded": lambda: Extra(torch.zeros(2), loads=False),
        "late": Late,
        "longer": lambda: Late(1),
        "late layer": LateLayer,
        "late layer in evaluations": lambda: LateLayer(evaluated=True),
        "quantized": Quantized,
        "renamed": Renamed,
        "shared": Shared,
        "sparse": lambda: Holding("sparse"),
        "complex128": lambda: Holding("complex128"),
    }
    network: nn.Module = made[kind]()
    return network


@optimizers.register("saved_optimizer")
class Remembering(Optimizer):
    """Descends, and remembers something of each parameter."""

    def __init__(self, parameters: Iterable[Any], lr: float = 0.1, remembers: str = "numbers") -> None:
        super().__init__(parameters, {"lr": lr})
        self.remembers = remembers

    def step(self, closure: Any = None) -> None:  # type: ignore[override]  # no loss is returned
        values: dict[str, Any] = {"numbers": [1, 2.5, "a"], "a set": {1, 2}, "nothing": None}
        for parameter in (p for group in self.param_groups for p in group["params"] if p.grad is not None):
            parameter.data.sub_(parameter.grad, alpha=0.1)
            self.state[parameter]["seen"] = values.get(self.remembers, torch.zeros_like(parameter))
        if self.remembers == "beside":
            self.state["count"] = 3  # type: ignore[index]  # some optimizers do so

    def load_state_dict(self, state: Any) -> None:
        if self.remembers == "not loaded":
            raise ValueError("no seen")
        super().load_state_dict(state)


def trace_of(kind: str, *overrides: str, more: str = "") -> Trace:
    text = TEXT.replace("{net: {type: traced_linear}", f"{{net: {{type: saved_kind, kind: {kind}}}")
    return traced(*overrides, text=text + more)


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (
            "a mapping",
            f"cannot save '_extra_state' (expected a dense tensor with data, got a value of type dict){KEEP}",
        ),
        ("a number", f"cannot save '_extra_state' (expected a dense tensor with data, got a value of type int){KEEP}"),
        ("sparse", f"cannot save 'kept' (expected a dense tensor with data, got a sparse or meta tensor){KEEP}"),
        ("complex128", f"cannot save 'kept': torch.complex128{KEEP}"),
        ("not loaded", "its state cannot be saved and loaded: KeyError: 'seen'"),
        (
            "renamed",
            "its state cannot be saved and loaded: RuntimeError: Error(s) in loading state_dict for Renamed: "
            'Missing key(s) in state_dict: "linear.bias". Unexpected key(s) in state_dict: "bias".',
        ),
        (
            "late layer",
            "no run could resume: 'norm.running_mean' of its state_dict is missing when built and (3,) float32 once it "
            f"ran{REGISTER}",
        ),
    ],
)
def test_a_state_that_cannot_be_saved_or_loaded_is_reported(kind: str, says: str) -> None:
    with pytest.raises(ConfigError) as error:
        trace_of(kind)
    assert str(error.value) == PLACE + says


@pytest.mark.parametrize("kind", ["a tensor", "shared", "late", "longer", "quantized"])
def test_a_state_of_tensors_is_sound(kind: str) -> None:
    found = trace_of(kind, "ema={decay: 0.5, networks: [net]}")
    assert (found.notes, found.warnings) == ([], []) and found.checkpoint > 0


def test_a_mistake_of_a_network_is_not_repeated_for_its_average() -> None:
    with pytest.raises(ConfigError) as error:
        trace_of("a number", "ema={decay: 0.5, networks: [net]}")
    assert [fault.path for fault in error.value.faults] == ["networks.net"]


def test_what_only_an_evaluation_makes_is_reported() -> None:
    more = """
evaluate:
  held:
    data: train
    injectors: {call: {type: forward, network: net, in: x, out: y}}
    metrics: {error: {type: psnr, in: [y, x]}}
"""
    with pytest.raises(ConfigError) as error:
        trace_of("late layer in evaluations", more=more)
    assert str(error.value).startswith(f"{PLACE}no run could resume: 'norm.running_mean' of its state_dict is missing")


@pytest.mark.parametrize(
    ("remembers", "says"),
    [
        ("a set", "state.seen: cannot save a value of type set (expected numbers, text, lists or mappings)"),
        ("beside", "its state has 'count', which belongs to no parameter, so no checkpoint holds it"),
        ("not loaded", "its state cannot be saved and loaded: ValueError: no seen"),
    ],
)
def test_the_state_of_an_optimizer_is_saved_too(remembers: str, says: str) -> None:
    text = TEXT.replace(
        "{type: adam, lr: 0.1}\n    injectors", f"{{type: saved_optimizer, remembers: {remembers}}}\n    injectors"
    )
    with pytest.raises(ConfigError) as error:
        traced(text=text)
    assert str(error.value) == f"toy.yml:8:16: steps.main.optimizer: {says}"


@pytest.mark.parametrize("remembers", ["numbers", "nothing", "tensors"])
def test_an_optimizer_may_remember_numbers_and_tensors(remembers: str) -> None:
    text = TEXT.replace(
        "{type: adam, lr: 0.1}\n    injectors", f"{{type: saved_optimizer, remembers: {remembers}}}\n    injectors"
    )
    found = traced(text=text)
    assert (found.notes, found.warnings) == ([], []) and found.checkpoint > 0


@pytest.mark.parametrize("average", ["0.5", "{every: {of: 2, at: 1}}"])
def test_averages_are_updated(average: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(ema: Ema, found_inf: Any) -> None:
        raise RuntimeError("sizes differ")

    monkeypatch.setattr(Ema, "update", fail)
    text = TEXT + f"ema: {{decay: 0.5, networks: {{net: {average}, other: 0.9}}}}\n"
    with pytest.raises(ConfigError) as error:
        traced(text=text)
    says = "toy.yml:16:35: ema.networks.net: cannot be updated: RuntimeError: sizes differ"
    assert str(error.value).splitlines()[0] == says
