"""What registers in one line, and what is refused with which words."""

from __future__ import annotations

import abc
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import pytest
import torch
from torch import Tensor, nn
from torchmetrics.image import PeakSignalNoiseRatio

from artschool.build.bind import Binder
from artschool.config.component_reader import ComponentReader
from artschool.config.source import read_text
from artschool.engine.meters import Meters
from artschool.engine.train_context import TrainContext
from artschool.errors import ConfigError
from artschool.registry import (
    REGISTRIES,
    ComponentRole,
    Registry,
    datasets,
    injectors,
    losses,
    metrics,
    networks,
    optimizers,
    schedules,
)
from artschool.registry.roles import ROLES_BY_KIND
from artschool.registry.signature import Network

if TYPE_CHECKING:
    from decimal import Decimal


pytestmark = pytest.mark.usefixtures("registries")


def refusal(kind: str, target: Any, name: str = "probe") -> str:
    with pytest.raises(ConfigError) as error:
        REGISTRIES[kind].register(name, target)
    return str(error.value)


def test_a_function_keeps_its_name_and_a_class_gets_snake_case() -> None:
    @losses.register
    def pull(x: Tensor) -> Tensor:
        """Pull.

        Hard.
        """
        return x

    @networks.register
    class HTTPNet2D(nn.Module):
        def __init__(self, *, width: int = 3) -> None:
            """Build with width."""

    @injectors.register("other")
    def named(x: Tensor) -> Tensor:
        return x

    assert losses.get("pull").target is pull and injectors.get("other").target is named
    assert networks.get("http_net2_d").target is HTTPNet2D
    assert losses.get("pull").summary == "Pull."
    assert networks.get("http_net2_d").documentation == "Build with width."
    assert losses.get("pull").takes == ["in", "after", "before", "every", "weight", "while", "out", "x"]
    assert "pull" in losses and "pull" not in injectors and "named" not in injectors


def test_every_form_of_register_takes_roles() -> None:
    critic, penalty = ComponentRole.CRITIC_LOSS, ComponentRole.CRITIC_PENALTY

    @losses.register(roles=critic)
    def first(x: Tensor) -> Tensor:
        return x

    @losses.register("second", roles={critic, penalty})
    def other(x: Tensor) -> Tensor:
        return x

    @losses.register
    def third(x: Tensor) -> Tensor:
        return x

    assert losses.register("fourth", first, roles=[penalty]) is first
    assert losses.register(lambda_named("fifth"), roles=penalty).__name__ == "fifth"
    roles = {name: losses.get(name).roles for name in ("first", "second", "third", "fourth", "fifth")}
    assert roles == {
        "first": {critic},
        "second": {critic, penalty},
        "third": frozenset(),
        "fourth": {penalty},
        "fifth": {penalty},
    }


def lambda_named(name: str) -> Callable[[Tensor], Tensor]:
    def target(x: Tensor) -> Tensor:
        return x

    target.__name__ = name
    return target


def test_a_role_of_another_kind_or_of_none_is_refused() -> None:
    def pull(x: Tensor) -> Tensor:
        return x

    with pytest.raises(ConfigError) as error:
        losses.register("pull", pull, roles={ComponentRole.SAMPLER})
    assert str(error.value) == (
        "loss 'pull' cannot be registered: 'sampler' is not a role of losses. Available roles: critic_loss, "
        "critic_penalty, differentiates, generator_loss, minimized, second_order, takes_logits."
    )
    with pytest.raises(ConfigError, match=r"'critic_los' is not a role of losses\. .* Did you mean 'critic_loss'\?$"):
        losses.register("pull", pull, roles=["critic_los"])  # type: ignore[list-item]  # what no type checker saw
    with pytest.raises(ConfigError, match=r"'critic_loss' is not a role of datasets\. Available roles: none\.$"):
        datasets.register("pull", str, roles=ComponentRole.CRITIC_LOSS)
    assert "pull" not in losses


def test_each_role_belongs_to_one_kind_but_what_losses_and_injectors_do() -> None:
    listed = [role for roles in ROLES_BY_KIND.values() for role in roles]
    assert sorted(listed) == sorted([*ComponentRole, ComponentRole.DIFFERENTIATES])
    assert set(ROLES_BY_KIND) < set(REGISTRIES)


def test_a_torchmetrics_metric_registers_in_one_line_and_counts() -> None:
    metrics.register("psnr2", PeakSignalNoiseRatio)
    reader = ComponentReader()
    tree = read_text("{type: psnr2, in: [sr, hq], data_range: 2.0}", "x.yml")
    component = reader.component("metrics", tree, "evaluate.photos.metrics.psnr")
    assert reader.faults == [] and [use.name for use in component.reads] == ["sr", "hq"]
    call, metric = Binder({}, TrainContext(torch.device("cpu"), Meters())).metric(component)
    metric.update(preds=torch.zeros(1, 3, 4, 4), target=torch.full((1, 3, 4, 4), 0.2))  # type: ignore[attr-defined]  # an Accumulator by its class
    assert metric.compute().item() == pytest.approx(20.0)  # 10 log10(2^2 / 0.04)
    assert call.path == "evaluate.photos.metrics.psnr"


@pytest.mark.parametrize("target", [torch.optim.SGD, torch.optim.AdamW, torch.optim.Adafactor, torch.optim.Rprop])
def test_a_torch_optimizer_registers_in_one_line(target: type[torch.optim.Optimizer]) -> None:
    optimizers.register("mine", target)
    assert "lr" in optimizers.get("mine").takes and "params" not in optimizers.get("mine").takes


@pytest.mark.parametrize("name", ["sgd", "adamw", "adafactor", "lamb", "lars"])
def test_every_optimizer_refuses_a_rate_that_is_no_rate(name: str) -> None:
    reader = ComponentReader()
    for value in (".nan", ".inf", "-1", "fast", "[1]"):
        reader.component("optimizers", read_text(f"{{type: {name}, lr: {value}}}", "x.yml"), "o")
    said = [fault.message for fault in reader.faults]
    expected = ["a finite number", "a finite number", "0 or more", "a number", "a number"]
    assert [message.split(", got")[0] for message in said] == [f"expected {words}" for words in expected]


def test_bounds_fit_the_type_that_an_option_has() -> None:
    class Adan(torch.optim.SGD):
        def __init__(
            self,
            params: Any,
            lr: float | Tensor = 1e-3,
            betas: tuple[float, float, float] = (0.9, 0.9, 0.9),
            eps: tuple[float | None, float] = (None, 1e-3),
            momentum: str = "heavy",
        ) -> None: ...

    optimizers.register("adan", Adan)
    sound, wrong = ComponentReader(), ComponentReader()
    text = "{type: adan, betas: [0, 0.5, 0.9], eps: [null, 1], momentum: light}"
    assert sound.component("optimizers", read_text(text, "x"), "o").options() == {
        "lr": 1e-3,
        "betas": (0.0, 0.5, 0.9),
        "eps": (None, 1.0),
        "momentum": "light",
    }
    wrong.component("optimizers", read_text("{type: adan, lr: lq, betas: [0, 0, 1], eps: [-1, 1]}", "x"), "o")
    assert [str(fault) for fault in wrong.faults] == [
        "x:1:18: o.lr: expected a number, got text 'lq'",
        "x:1:36: o.betas.2: expected less than 1, got 1",
        "x:1:46: o.eps.0: expected 0 or more, got -1",
    ]


def test_a_function_with_some_of_its_arguments_registers() -> None:
    def power(x: Tensor, *, exponent: float, sign: bool = False) -> Tensor:
        return x**exponent

    injectors.register("squared", partial(power, exponent=2.0))
    component = ComponentReader().component("injectors", read_text("{type: squared, in: a, out: b}", "x"), "p")
    assert component.options() == {"exponent": 2.0, "sign": False}
    function, keys = Binder({}, TrainContext(torch.device("cpu"), Meters())).function(component)
    assert (function(x=torch.tensor(3.0)).item(), keys) == (9.0, {"x": "a"})


def test_a_union_keeps_what_a_file_can_give() -> None:
    def activated(
        x: Tensor, *, kind: str | Callable[[Tensor], Tensor] = torch.relu, device: torch.device | None = None
    ) -> Tensor:
        return x

    injectors.register(activated)
    assert injectors.get("activated").takes == [
        *("in", "after", "before", "every", "out", "only", "once", "no_grad", "precision"),
        *("x", "kind"),
    ]


def not_annotated(x: Tensor, y) -> Tensor: ...  # type: ignore[no-untyped-def, empty-body]  # the point of the test


def unresolved(x: Tensor, y: Decimal) -> Tensor: ...  # type: ignore[empty-body]  # never called


def unresolved_with_default(x: Tensor, y: Decimal = 3) -> Tensor: ...  # type: ignore[empty-body, assignment]  # never called


def starred(*xs: Tensor) -> Tensor: ...  # type: ignore[empty-body]  # never called


def module(x: Tensor, net: nn.Linear) -> Tensor: ...  # type: ignore[empty-body]  # never called


def callback(x: Tensor, function: Callable[[int], int]) -> Tensor: ...  # type: ignore[empty-body]  # never called


def text_or_key(x: Tensor | str) -> Tensor: ...  # type: ignore[empty-body]  # never called


def word_or_key(x: Tensor | Literal["mean"]) -> Tensor: ...  # type: ignore[empty-body]  # never called


def text_or_network(net: Network | str) -> Tensor: ...  # type: ignore[empty-body]  # never called


def key_or_network(x: Network | Tensor) -> Tensor: ...  # type: ignore[empty-body]  # never called


def reserved(x: Tensor, weight: float) -> Tensor: ...  # type: ignore[empty-body]  # never called


def by_position(x: Tensor, /) -> Tensor: ...  # type: ignore[empty-body]  # never called


def two_values(x: Tensor) -> tuple[Tensor, Tensor]: ...  # type: ignore[empty-body]  # never called


class TwoValues(nn.Module):
    def forward(self, x: Tensor) -> dict[str, Tensor]: ...  # type: ignore[empty-body]  # never called


class KeyWhenBuilt(nn.Module):
    def __init__(self, x: Tensor) -> None: ...

    def forward(self, y: Tensor) -> Tensor: ...  # type: ignore[empty-body]  # never called


class Abstract(abc.ABC):
    @abc.abstractmethod
    def forward(self, x: Tensor) -> Tensor: ...


class Twice(nn.Module):
    def __init__(self, scale: float = 1.0, bias: float = 0.0) -> None: ...

    def forward(self, x: Tensor, bias: float, scale: float = 1.0) -> Tensor: ...  # type: ignore[empty-body]  # never called


class Silent(nn.Module):
    def __init__(self) -> None: ...


class Plain:
    """No module, and nothing that can be called: `__call__` of its metaclass only makes it."""

    def __init__(self, scale: float = 1.0) -> None: ...

    def forward(self, x: Tensor) -> Tensor: ...  # type: ignore[empty-body]  # never called


class Heir(Plain):
    pass


TYPES = "Fix: take a number, text, a list or a mapping, `Tensor` for a key or `Network` for a network"
ANNOTATE = "Fix: annotate it with `Tensor` for a key, `Network` for a network, or the type of the option"
REFUSED: list[tuple[Any, str]] = [
    (not_annotated, f"not_annotated: parameter 'y' has no annotation. {ANNOTATE}"),
    (
        unresolved,
        f"unresolved: parameter 'y' has the annotation 'Decimal', which is not defined at run time. {ANNOTATE}",
    ),
    (starred, "starred takes *xs, but a file gives parameters by name. Fix: write `xs: list[Tensor]`"),
    (module, f"module: parameter 'net' has the type Linear, which a file cannot give. {TYPES}"),
    (callback, f"callback: parameter 'function' has the type Callable, which a file cannot give. {TYPES}"),
    (
        text_or_key,
        "text_or_key: parameter 'x' takes text or the name of a key, which a file cannot distinguish. "
        "Fix: split it into two parameters",
    ),
    (
        word_or_key,
        "word_or_key: parameter 'x' takes text or the name of a key, which a file cannot distinguish. "
        "Fix: split it into two parameters",
    ),
    (
        text_or_network,
        "text_or_network: parameter 'net' takes text or the name of a network, which a file cannot distinguish. "
        "Fix: split it into two parameters",
    ),
    (
        key_or_network,
        "key_or_network: parameter 'x' has several roles: key, network. Fix: split it into one parameter for each role",
    ),
    (
        reserved,
        "parameter 'weight' has a name that is reserved for every loss "
        "(after, before, every, in, out, type, weight, while); rename it, or register a function that wraps the "
        "component",
    ),
    (
        by_position,
        "by_position: parameter 'x' is positional-only, but a file gives parameters by name. Fix: remove the `/`",
    ),
    (two_values, "a loss returns one scalar: annotate `-> Tensor`, and log other values through a Context"),
    (TwoValues, "a loss returns one scalar: annotate `-> Tensor`, and log other values through a Context"),
    (
        KeyWhenBuilt,
        "parameter 'x' of __init__ is a Tensor, but keys are known only at a call; move it to forward",
    ),
    (Abstract, "Abstract is abstract: it does not define forward. Fix: register a subclass that does"),
    (
        Twice,
        "Twice has 'bias', 'scale' both in __init__ and in forward. Fix: rename the parameter in one of them",
    ),
    (Silent, "Silent does not define forward or __call__. Fix: add one with a parameter for each key"),
    (Plain, "Plain does not define __call__. Fix: add one with a parameter for each key"),
    (Heir, "Heir does not define __call__. Fix: add one with a parameter for each key"),
    (
        torch.relu,
        "_VariableFunctionsClass.relu has no signature that Python can read. "
        "Fix: wrap it in a function with annotated parameters",
    ),
]


@pytest.mark.parametrize(("target", "why"), REFUSED, ids=lambda part: getattr(part, "__name__", ""))
def test_what_a_file_could_not_use_is_refused(target: Any, why: str) -> None:
    assert refusal("losses", target) == f"loss 'probe' cannot be registered: {why}"
    assert "probe" not in losses


@pytest.mark.parametrize(("kind", "methods"), [("injectors", "__call__"), ("metrics", "update or __call__")])
def test_a_plain_class_that_cannot_be_called_is_refused_for_every_kind_that_is_called(kind: str, methods: str) -> None:
    assert refusal(kind, Plain).endswith(f"Plain does not define {methods}. Fix: add one with a parameter for each key")


def test_a_class_inherits_the_method_that_takes_keys() -> None:
    class Called:
        def __call__(self, x: Tensor) -> Tensor:
            return x

    class Inherits(Called):
        pass

    assert losses.register("probe", Inherits) is Inherits
    assert [parameter.name for parameter in losses.get("probe").signature.parameters] == ["x"]


def test_a_network_and_a_schedule_read_no_keys() -> None:
    why = "cannot be registered: parameter '{}' is a Tensor, but {} read no keys; use an option"
    assert refusal("networks", KeyWhenBuilt) == f"network 'probe' {why.format('x', 'networks')}"

    def curve(rate: float, iteration: int, x: Tensor) -> float: ...  # type: ignore[empty-body]  # never called

    assert refusal("schedules", curve) == f"schedule 'probe' {why.format('x', 'schedules')}"


def test_an_object_is_refused() -> None:
    assert refusal("losses", nn.L1Loss()) == ("loss 'probe' is an object of class L1Loss; register a function or class")
    assert refusal("losses", 3) == "loss 'probe' is an object of class int; register a function or class"


def test_a_name_is_taken_once_in_a_kind_and_its_owner_may_come_again() -> None:
    assert refusal("losses", TwoValues, "l1") == (
        "loss 'l1' is already registered by artschool.components.losses.pixel.l1; choose another name"
    )
    losses.register("l1", losses.get("l1").target)
    schedules.register("l1", schedules.get("constant").target)


def test_what_somebody_else_left_unresolved_is_read_from_its_default() -> None:
    losses.register("probe", unresolved_with_default)
    reader = ComponentReader()
    reader.component("losses", read_text("{type: probe, in: a, weight: 1, y: z}", "x"), "p")
    assert [str(fault) for fault in reader.faults] == ["x:1:36: p.y: expected a whole number, got text 'z'"]


def test_an_unknown_name_lists_what_there_is() -> None:
    few = Registry(networks.kind)
    for name in ("rrdb", "patch_critic"):
        few.register(name, networks.get(name).target)
    with pytest.raises(ConfigError) as error:
        few.get("rddb")
    assert str(error.value) == "unknown network 'rddb'. Available networks: patch_critic, rrdb. Did you mean 'rrdb'?"
