"""What the loss of a step is a mean over, and which injectors must run before its places can be counted."""

from __future__ import annotations

from typing import Any

from artschool.config.component import Component, names_in
from artschool.config.structure import StepConfig
from artschool.registry.entries import InjectorEntry
from artschool.registry.mean_over import MeanOver


def mean_over(loss: Component) -> MeanOver | None:
    """What a loss is a mean over, with its options. None: it does not declare it."""
    declared = loss.registered.mean if loss.registered is not None else None
    return declared.of({name: _argument(loss, name) for name in declared.arguments}) if declared is not None else None


def is_counted(loss: Component) -> bool:
    """Whether a loss counts the places that it is a mean over. A loss around another one does not."""
    declared = loss.registered.mean if loss.registered is not None else None
    return declared is not None and declared.count is not None and mean_over(loss) is MeanOver.PLACES


def counted_keys(loss: Component) -> set[str]:
    """The keys that a loss counts."""
    declared = loss.registered.mean if loss.registered is not None else None
    return {key for name in (declared.keys if declared is not None else ()) for key in names_in(loss.option(name))}


def early_injectors(step: StepConfig, loss: Component) -> list[Component]:
    """The injectors of a step that lead to the keys that a loss counts."""
    needed, found = counted_keys(loss), []
    for injector in reversed(step.injectors_when(training=True)):
        if any(use.name in needed for use in injector.writes):
            needed |= {use.name for use in injector.reads}
            found.append(injector)
    return found[::-1]


def first_late(step: StepConfig, loss: Component) -> Component | None:
    """The first injector that the count of a loss needs, and that cannot run on all parts before the first backward.

    It calls a network with gradients, which would keep the activations of all parts.
    """
    return next((injector for injector in early_injectors(step, loss) if _keeps_activations(injector)), None)


def _keeps_activations(injector: Component) -> bool:
    return bool(injector.networks) and not (isinstance(injector.entry, InjectorEntry) and injector.entry.no_grad)


def _argument(loss: Component, name: str) -> Any:
    nested = loss.nested.get(name)
    if isinstance(nested, Component):
        return mean_over(nested)
    # A nested loss gets its keys from the loss around it.
    return getattr(loss.entry, f"option_{name}", None)
