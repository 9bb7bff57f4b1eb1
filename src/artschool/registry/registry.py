"""Registries of components: the names that a file may write after `type:`, by kind."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Collection
from dataclasses import replace
from functools import partial
from types import UnionType
from typing import Any, TypedDict, TypeVar, Union, Unpack, get_args, get_origin, overload

from torch import Tensor

from artschool.errors import ConfigError
from artschool.registry import entries
from artschool.registry.map_style import FIX, only_iterates
from artschool.registry.mean_over import Count, DeclaredMean, checked_mean
from artschool.registry.network_entry import NetworkEntry
from artschool.registry.ranges import IN, NO_RANGES, OUT, DeclaredValues, checked_values
from artschool.registry.read_signature import read_signature
from artschool.registry.registered import Kind, Registered, origin_of
from artschool.registry.roles import DeclaredRoles, checked_roles
from artschool.registry.signature import MISSING, Key, Role, Signature
from artschool.wording.names import allowed, closest_name
from artschool.wording.synonyms import TYPES

Target = TypeVar("Target", bound=Callable[..., Any])


class Declared(TypedDict, total=False):
    """What `register` takes besides the component."""

    roles: DeclaredRoles
    mean_over: DeclaredMean
    count: Count
    values: DeclaredValues


class Registry:
    """The components of one kind by name."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self._items: dict[str, Registered] = {}

    @overload
    def register(self, target: Target, /, **declared: Unpack[Declared]) -> Target: ...
    @overload
    def register(self, name: str, target: Target, /, **declared: Unpack[Declared]) -> Target: ...
    @overload
    def register(self, name: str = ..., /, **declared: Unpack[Declared]) -> Callable[[Target], Target]: ...
    def register(self, name: Any = None, target: Any = None, /, **declared: Unpack[Declared]) -> Any:
        """Register a function or class, as a decorator or by a call.

        ```python
        @losses.register
        @losses.register("pixel")
        @losses.register(roles=ComponentRole.CRITIC_LOSS, mean_over="samples")
        @losses.register(count=lambda mask: mask.sum())
        losses.register("l1", nn.L1Loss, roles={ComponentRole.MINIMIZED}, mean_over="samples")
        ```

        Without a name, a function is registered under its own name and a class under its own in snake_case.

        Args:
            name: The name in files, or the function or class itself.
            target: The function or class, after a name. Without it, the result is a decorator.
            roles: What the component is for, one role or several. Lint rules judge it accordingly.
            mean_over: What the value of a loss is a mean over, so that the parts of a batch can be weighted: `samples`,
                `places` (those that `count` counts) or `batch` (the loss compares samples with each other). Or a
                function of options, names of keys and nested losses that returns one of them.
            count: The number of places of a part, from options and keys of the loss that are parameters of `count`.
            values: The ranges of what the component reads and writes, or a function that returns them; see
                `DeclaredValues`. They are compared before training.

        Raises:
            ConfigError: A file could not use the component, the name is taken, or a declaration does not fit the
                component. The message says how to fix it.
        """
        if name is not None and not isinstance(name, str):
            return self._add(None, name, **declared)
        if target is not None:
            return self._add(name, target, **declared)
        return lambda decorated: self._add(name, decorated, **declared)

    def _add(
        self,
        given_name: str | None,
        target: Target,
        *,
        roles: DeclaredRoles = (),
        mean_over: DeclaredMean = None,
        count: Count = None,
        values: DeclaredValues = NO_RANGES,
    ) -> Target:
        name = given_name if given_name is not None else _snake_case(target.__name__)
        where = f"{self.kind.one} {name!r}"
        if not isinstance(target, type | partial) and not inspect.isroutine(target):
            raise ConfigError(f"{where} is an object of class {type(target).__name__}; register a function or class")
        known = self._items.get(name)
        if known is not None and origin_of(known.target) != origin_of(target):
            raise ConfigError(f"{where} is already registered by {origin_of(known.target)}; choose another name")
        try:
            provided = 0 if self.kind.provided_at_call and inspect.isclass(target) else self.kind.provided
            signature = _bounded(read_signature(target, provided=provided, calls=self.kind.calls), self.kind)
            _check_parameters(self.kind, signature)
            mean = checked_mean(self.kind.name, signature, mean_over, count)
            ranges = checked_values(_names_with_values(self.kind, signature), values)
            registered = Registered(self.kind, name, signature, checked_roles(self.kind.name, roles), mean, ranges)
            registered.model  # noqa: B018  # created now, to reject parameters that a file cannot express
        except ConfigError as error:
            raise ConfigError(f"{where} cannot be registered: {error}") from None
        self._items[name] = registered
        return target

    def get(self, name: str) -> Registered:
        """The component with a name.

        Raises:
            ConfigError: The name is unknown. The message lists the known names.
        """
        if name not in self._items:
            hint = other_kind(self, name) or allowed(
                f"Available {self.kind.many}", name, self._items, TYPES.get(self.kind.name)
            )
            raise ConfigError(f"unknown {self.kind.one} {name!r}. {hint}")
        return self._items[name]

    def __contains__(self, name: object) -> bool:
        return name in self._items

    def forget(self, prefix: str) -> None:
        """Unregister the components of modules whose names begin with a prefix."""
        self._items = {
            name: item for name, item in self._items.items() if not origin_of(item.target).startswith(prefix)
        }

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted(self._items)


def _snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def _bounded(signature: Signature, kind: Kind) -> Signature:
    parameters = tuple(
        replace(parameter, role=Role.OPTION, annotation=_bound(parameter.annotation, kind.bounds[parameter.name]))
        if parameter.name in kind.bounds
        else parameter
        for parameter in signature.parameters
    )
    return replace(signature, parameters=parameters)


def _bound(annotation: Any, number: Any) -> Any:
    """Replace `float` by `number`, also inside unions, lists and tuples, and remove keys from unions."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation is float:
        return number
    if origin in (Union, UnionType):
        return Union[tuple(_bound(part, number) for part in arguments if part is not Key)]  # noqa: UP007  # a tuple
    if origin in (list, tuple):
        return origin[tuple(part if part is ... else _bound(part, number) for part in arguments)]
    return annotation


def _check_parameters(kind: Kind, signature: Signature) -> None:
    """Reject a signature that no entry of the kind can use."""
    reserved = {info.alias or name for name, info in kind.entry.model_fields.items()} | (
        {"in"} if kind.calls else set()
    )
    for parameter in signature.parameters:
        if parameter.name in reserved and parameter.name not in kind.bounds:
            raise ConfigError(
                f"parameter '{parameter.name}' has a name that is reserved for every {kind.one} "
                f"({', '.join(sorted(reserved))}); rename it, or register a function that wraps the component"
            )
        if parameter.role is Role.KEY and not kind.calls:
            raise ConfigError(f"parameter '{parameter.name}' is a Tensor, but {kind.name} read no keys; use an option")
        if parameter.role is Role.KEY and not parameter.at_call:
            raise ConfigError(
                f"parameter '{parameter.name}' of __init__ is a Tensor, but keys are known only at a call; "
                f"move it to {kind.calls[0]}"
            )
    built = signature.target if signature.is_class else signature.returns
    if kind.name == "datasets" and inspect.isclass(built) and only_iterates(built):
        raise ConfigError(f"a data set has samples by index (expected methods __len__ and __getitem__). Fix: {FIX}")
    if kind.name == "losses" and signature.returns not in (MISSING, Any, Tensor):
        raise ConfigError("a loss returns one scalar: annotate `-> Tensor`, and log other values through a Context")


def _names_with_values(kind: Kind, signature: Signature) -> Collection[str] | None:
    """What a component may declare the range of; None: keys that only its code knows."""
    keys = [parameter.name for parameter in signature.of(Role.KEY)]
    if kind.name == "datasets":
        return signature.yields
    return [IN, OUT] if kind.name == "networks" else [*keys, OUT] if kind.name == "injectors" else keys


injectors = Registry(Kind("injectors", "injector", entries.InjectorEntry, calls=("forward", "__call__")))
losses = Registry(Kind("losses", "loss", entries.LossEntry, calls=("forward", "__call__")))
networks = Registry(Kind("networks", "network", NetworkEntry))
datasets = Registry(Kind("datasets", "data set", entries.DatasetEntry))
metrics = Registry(Kind("metrics", "metric", entries.MetricEntry, calls=("update", "forward", "__call__")))
optimizers = Registry(
    Kind("optimizers", "optimizer", entries.OptimizerEntry, provided=1, bounds=entries.OPTIMIZER_BOUNDS)
)
schedules = Registry(
    Kind(
        "schedules",
        "schedule",
        entries.ScheduleEntry,
        provided=2,
        provided_at_call=True,
        nested=entries.ScheduleEntry,
    )
)
callbacks = Registry(Kind("callbacks", "callback", entries.CallbackEntry, provided=1))
loggers = Registry(Kind("loggers", "logger", entries.LoggerEntry))

REGISTRIES: dict[str, Registry] = {
    registry.kind.name: registry
    for registry in (injectors, losses, networks, datasets, metrics, optimizers, schedules, callbacks, loggers)
}


def other_kind(registry: Registry, name: str) -> str:
    """A sentence about a name that is known, or a synonym, in another kind; empty if there is none."""
    others = [other for other in REGISTRIES.values() if other is not registry]
    kinds = [_with_article(other.kind.one) for other in others if name in other]
    if not kinds and closest_name(name, registry.names(), TYPES.get(registry.kind.name)) is None:
        found = ((other.kind.one, synonym_of(other, name)) for other in others)
        kinds = [f"the {kind} {synonym!r}" for kind, synonym in found if synonym is not None]
    return f"{name!r} is {' and '.join(kinds)}, not {_with_article(registry.kind.one)}." if kinds else ""


def synonym_of(registry: Registry, name: str) -> str | None:
    """The component that other libraries call by a name, if the kind has one."""
    synonyms = TYPES.get(registry.kind.name)
    return synonyms.of(name, registry.names()) if synonyms is not None else None


def _with_article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"
