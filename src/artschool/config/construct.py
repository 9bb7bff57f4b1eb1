"""Calls the class or factory of a component. Exceptions get the location of the component."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from typing import Any

from artschool.config.component import Component
from artschool.errors import CheckpointError, ConfigError, DataError, ResourceError
from artschool.registry.built import misfit
from artschool.registry.plugin_line import plugin_line
from artschool.shortages import shortages_raised
from artschool.storage.processes import ended_if_forked


def construct(component: Component, options: Mapping[str, Any], *provided: Any) -> Any:
    """Call the class or factory of a component. Exceptions get the location of the component.

    Raises:
        ArtschoolError: The component rejected its options, failed, needs a package that is not installed, or has built
            something else than a component of its kind.
    """
    assert component.registered is not None
    try:
        with shortages_raised(), ended_if_forked(lambda: component.path):
            built = component.registered.target(*provided, **options)
    except ModuleNotFoundError as error:
        raise ResourceError(
            f"{component.node.place}: {component.path}: requires the package {error.name!r}, which is not installed"
        ) from error
    except (ConfigError, ResourceError, DataError, CheckpointError) as error:
        raise type(error)(f"{component.node.place}: {component.path}: {error}") from error
    except (ValueError, TypeError, AssertionError, RuntimeError, ArithmeticError) as error:
        problem = f"rejected its options: {error}{plugin_line(error, component.registered.target)}"
        raise ConfigError(f"{component.node.place}: {component.path}: {component.registered.name} {problem}") from error
    except (Exception, SystemExit) as error:  # A bug in the component; the message contains its line.
        frames = traceback.extract_tb(error.__traceback__)[1:2]
        first = "".join(f"\n    at {frame.filename}:{frame.lineno}: {frame.line}" for frame in frames)
        at = plugin_line(error, component.registered.target) or first
        problem = f"{component.registered.name} raised {type(error).__name__}: {error}{at}"
        is_data = component.kind == "datasets" and isinstance(error, OSError)
        raise (DataError if is_data else ConfigError)(f"{component.node.place}: {component.path}: {problem}") from error
    if (unfit := misfit(component.kind, built)) is not None:
        raise ConfigError(f"{component.node.place}: {component.path}: {unfit}")
    return built


def construct_dataset(
    component: Component,
    note: Callable[[str], None] = lambda message: None,
    construct: Callable[[Component, Mapping[str, Any]], Any] = construct,
) -> Any:
    """Build a data set with those inside it. No sample is loaded.

    Args:
        component: The data set.
        note: Called with each of the `remarks` of the data sets, such as files that were passed over.
        construct: Builds one component with its options.

    Raises:
        ArtschoolError: As for `construct`.
    """
    inner = {
        name: [construct_dataset(part, note, construct) for part in parts]
        if isinstance(parts, list)
        else construct_dataset(parts, note, construct)
        for name, parts in component.nested.items()
    }
    built = construct(component, {**component.options(), **inner})
    for remark in getattr(built, "remarks", ()):
        note(f"{component.path}: {remark}")
    return built
