"""Parameters that a network or component holds without registering them are found by the gradient that they get."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from artschool.errors import ConfigError
from artschool.registry import losses, networks
from artschool.trace.report import Trace
from tests.trace.traced_parts import TEXT, traced

SCALE = nn.Parameter(torch.ones(3))
FIX = (
    "Fix: keep layers in nn.ModuleList or nn.ModuleDict, and tensors in nn.Parameter. "
    "To leave them as they are, call their requires_grad_(False)."
)


@networks.register("hidden_layers")
class Hiding(nn.Module):
    """A layer that is registered, and others that are kept in another way."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.last = nn.Linear(3, 3)
        self.way = way
        self.kept: Any = None
        if way != "made_late":
            self.kept = self._made()

    def _made(self) -> Any:
        layer, scale = nn.Linear(3, 3, bias=False), torch.ones(3, requires_grad=True)
        ways: dict[str, Any] = {
            "in_a_list": [layer, nn.Linear(3, 3)],
            "made_late": [layer],
            "in_a_mapping": {"deep": (layer,)},
            "in_a_closure": lambda x: layer(x) + 1,
            "in_an_object": SimpleNamespace(inner=layer),
            "as_a_tensor": SimpleNamespace(scale=scale),
            "registered_too": [self.last],
            "frozen": [nn.Linear(3, 3).requires_grad_(False)],
            "checkpointed": [layer],
            "values": None,
        }
        return ways[self.way]

    def _hidden(self, x: Tensor) -> Any:
        self.kept = self._made() if self.kept is None else self.kept
        if isinstance(self.kept, SimpleNamespace):
            return self.kept.inner(x) if hasattr(self.kept, "inner") else x * self.kept.scale
        if isinstance(self.kept, list):
            for layer in self.kept:
                x = layer(x)
            return x
        if isinstance(self.kept, dict):
            return self.kept["deep"][0](x)
        return self.kept(x) if callable(self.kept) else x

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3) to the same."""
        if self.way == "values":
            self.input = x = x.detach().requires_grad_()  # As for a penalty on gradients.
        hidden = (
            checkpoint(self._hidden, x.requires_grad_(), use_reentrant=True)
            if self.way == "checkpointed"
            else (self._hidden(x))
        )
        result: Tensor = self.last(hidden)
        return result


@losses.register("hidden_scaled")
def scaled(x: Tensor) -> Tensor:
    """Scales by a parameter of its file."""
    return (x * SCALE).mean()


@losses.register("hidden_judge")
class Judge:
    """Is no module, and holds one."""

    def __init__(self) -> None:
        self.judge = nn.Linear(3, 1, bias=False)

    def __call__(self, x: Tensor) -> Tensor:
        """(B, 3) to a scalar."""
        result: Tensor = self.judge(x).mean()
        return result


@losses.register("hidden_bank")
class Bank(nn.Module):
    """A module that holds others in a list."""

    def __init__(self) -> None:
        super().__init__()
        self.filters = [nn.Linear(3, 3, bias=False)]

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3) to a scalar."""
        result: Tensor = self.filters[0](x).mean()
        return result


def traced_way(way: str) -> Trace:
    text = TEXT.replace(
        "networks: {net: {type: traced_linear}", f"networks: {{net: {{type: hidden_layers, way: {way}}}"
    )
    return traced("steps.second.losses.own.in=x", text=text)


@pytest.mark.parametrize(
    ("way", "names"),
    [
        ("in_a_list", "kept[0].weight, kept[1].bias, kept[1].weight"),
        ("made_late", "kept[0].weight"),
        ("in_a_mapping", "kept['deep'][0].weight"),
        ("in_a_closure", "kept.layer.weight"),
        ("in_an_object", "kept.inner.weight"),
        ("as_a_tensor", "kept.scale"),
        ("checkpointed", "kept[0].weight"),
    ],
)
def test_a_hidden_parameter_is_named(way: str, names: str) -> None:
    with pytest.raises(ConfigError) as error:
        traced_way(way)
    assert str(error.value) == (
        "toy.yml:4:17: networks.net: holds parameters that it does not register, so nothing trains or saves them: "
        f"{names}\n    {FIX}"
    )


@pytest.mark.parametrize("way", ["registered_too", "frozen", "values"])
def test_what_is_registered_frozen_or_a_value_is_sound(way: str) -> None:
    assert traced_way(way).reached["steps.main.losses.mean"].networks == {
        "net": dict.fromkeys(["last.weight", "last.bias"])
    }


@pytest.mark.parametrize(("loss", "name"), [("hidden_judge", "judge.weight"), ("hidden_bank", "filters[0].weight")])
def test_a_component_is_named(loss: str, name: str) -> None:
    with pytest.raises(ConfigError) as error:
        traced(text=TEXT.replace("{type: mean, in: y", f"{{type: {loss}, in: y"))
    assert str(error.value) == (
        "toy.yml:10:20: steps.main.losses.mean: holds parameters that it does not register, so nothing trains or saves "
        f"them: {name}\n    {FIX}"
    )


def test_a_parameter_of_a_plugins_file_is_found_at_the_loss() -> None:
    with pytest.raises(ConfigError) as error:
        traced(text=TEXT.replace("{type: mean, in: y", "{type: hidden_scaled, in: y"))
    assert str(error.value) == (
        "toy.yml:10:20: steps.main.losses.mean: reaches parameters that no network or component holds, so nothing "
        "trains or saves them: (3,)\n"
        "    Fix: make them part of a network that a step trains, or call their requires_grad_(False)."
    )
