"""Functions and classes of a checkout as components: they get `opt`, `opt_net` and `env` as in DL-Art-School."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from artschool import ranks
from artschool.dlas.uses import Uses, uses_of
from artschool.errors import ConfigError
from artschool.registry.context import Context
from artschool.registry.signature import Network


class Options(dict[str, Any]):
    """A mapping in which a missing option is null."""

    def __missing__(self, name: str) -> None:
        return None


def options(value: Any) -> Any:
    """A plain value in which every mapping is `Options`."""
    if isinstance(value, Mapping):
        return Options({key: options(part) for key, part in value.items()})
    return [options(part) for part in value] if isinstance(value, list) else value


def network(name: str, function: Callable[..., nn.Module], opt: Options) -> Callable[..., nn.Module]:
    """A function `register_<name>(opt_net, opt)` as a component that takes any options.

    `opt_net["kwargs"]` has all of them, unless the entry has `kwargs`.
    """
    takes_others = len(inspect.signature(function).parameters) > 2  # the networks built before

    def build(**others: Any) -> nn.Module:
        return function(
            options({"which_model": name, "kwargs": others, **others}), opt, *([{}] if takes_others else [])
        )

    return build


def dataset(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A mode of `create_dataset(dataset_opt)` as a component that takes any options."""
    returns_collate = "return_collate" in inspect.signature(function).parameters

    def build(**others: Any) -> Any:
        opt = options({"mode": name, "name": name, "phase": "train", **others})
        if not returns_collate:
            return function(opt)
        built, collate = function(opt, return_collate=True)
        if collate is not None:
            raise ConfigError(
                f"data set {name!r} joins samples by a function of its own, {type(collate).__name__}, which is not "
                "called here\n    Fix: set `needs_collate: false` if it has this option, or `pad` and `trim`."
            )
        return built

    return build


class _State(dict[str, Any]):
    """The keys that an injector reads."""

    def __missing__(self, key: str) -> Any:
        raise ConfigError(f"the injector reads {key!r}, which none of its options names")


def injector(name: str, target: type[nn.Module], shared: Options) -> type[nn.Module]:
    """A class of injectors as a component, whose `opt` has the options of the class.

    `in:`, `out:` and `networks:` have what `opt` names, in the order of `uses`. The names there need not be the same.
    """

    class Adapted(nn.Module):
        def __init__(self, *, opt: dict[str, Any] | None = None) -> None:
            super().__init__()
            self.used = self.uses(opt or {})
            rank = ranks.rank() if ranks.world_size() > 1 else -1
            device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
            self.env: dict[str, Any] = {"device": device, "rank": rank, "dist": rank >= 0, "opt": shared}
            self.env |= {"step": 0, "training": True, "mega_batch_factor": 1, "generators": {}, "discriminators": {}}
            self.injector = target(options(_with_keys(name, opt or {})), self.env)

        @staticmethod
        def uses(opt: Mapping[str, Any]) -> Uses:
            return uses_of(target, _with_keys(name, opt))

        def forward(self, values: list[Tensor], *, networks: list[Network] | None = None, context: Context) -> Any:
            by_name = dict(zip(self.used.networks, networks or [], strict=True))
            self.env |= {"device": context.device, "step": context.iteration, "training": context.training}
            self.env |= {"generators": by_name, "discriminators": by_name}
            returned = self.injector(_State(zip(self.used.reads, values, strict=True)))
            results = [returned[key] for key in self.used.writes]
            return results[0] if len(results) == 1 else tuple(results)

    return Adapted


def _with_keys(name: str, opt: Mapping[str, Any]) -> dict[str, Any]:
    """The options of an injector. One inside another component has no keys of its own."""
    return {"type": name, "in": "in", "out": "out", **opt}
