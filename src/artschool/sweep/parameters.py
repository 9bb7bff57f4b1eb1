"""The parameters of a sweep: `path=log(1e-4, 1e-2)`, `uniform`, `int` or `choice`."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from artschool.errors import ConfigError

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

_RANGE = re.compile(r"(?P<path>[^=\s]+)=\s*(?P<kind>log|uniform|int|choice)\s*\((?P<inside>.*)\)\s*", re.DOTALL)


@dataclass(frozen=True)
class Parameter:
    """A setting of the file that has another value in each trial.

    Attributes:
        path: Its path in the file, such as `steps.gen.optimizer.lr`.
        kind: How values are drawn. `log`: uniformly in the logarithm. `uniform`: uniformly. `int`: whole numbers.
            `choice`: one of `values`.
        values: The lowest and the highest value, or the choices, as written.
    """

    path: str
    kind: str
    values: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.path}={self.kind}({', '.join(self.values)})"

    @property
    def distribution(self) -> BaseDistribution:
        """What optuna draws from. The choices are texts, so that a choice may be a list or a mapping."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        if self.kind == "choice":
            return CategoricalDistribution(self.values)
        low, high = self.values
        if self.kind == "int":
            return IntDistribution(int(low), int(high))
        return FloatDistribution(float(low), float(high), log=self.kind == "log")


def parameter_of(text: str) -> Parameter | None:
    """The parameter that an argument describes. None: it is an override.

    Raises:
        ConfigError: The range is wrong.
    """
    match = _RANGE.fullmatch(text)
    if match is None:
        return None
    path, kind = match["path"], match["kind"]
    values = _parts(text, match["inside"])
    if kind == "choice":
        if len(values) < 2 or len(set(values)) < len(values):
            raise ConfigError(f"{text}: expected two or more different values, got {len(set(values))}")
        return Parameter(path, kind, values)
    _check_ends(text, kind, values)
    return Parameter(path, kind, values)


def assignments(values: Mapping[str, Any]) -> list[str]:
    """The overrides that give the parameters of a trial their values."""
    return [f"{path}={value}" for path, value in values.items()]


def short_names(paths: list[str]) -> dict[str, str]:
    """Each path with its shortest end that no other path has: `steps.gen.optimizer.lr` -> `lr`."""
    names = {}
    for path in paths:
        parts = path.split(".")
        ends = [".".join(parts[start:]) for start in range(len(parts) - 1, -1, -1)]
        others = [f".{other}" for other in paths if other != path]
        names[path] = next((end for end in ends if not any(o.endswith(f".{end}") for o in others)), path)
    return names


def _parts(text: str, inside: str) -> tuple[str, ...]:
    """The values between the parentheses, as written. They are parts of a YAML list."""
    written = f"[{inside}]"
    try:
        node = yaml.compose(written, Loader=yaml.CSafeLoader)
    except yaml.YAMLError:
        node = None
    if not isinstance(node, yaml.SequenceNode):
        raise ConfigError(f"{text}: expected values with commas between them")
    return tuple(written[part.start_mark.index : part.end_mark.index] for part in node.value)


def _check_ends(text: str, kind: str, values: tuple[str, ...]) -> None:
    number = int if kind == "int" else float
    try:
        low, high = map(number, values)
    except ValueError:
        what = "two whole numbers" if kind == "int" else "two numbers"
        raise ConfigError(f"{text}: expected {what}, the lowest and the highest value") from None
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ConfigError(f"{text}: expected the lowest value first, got {values[0]} and {values[1]}")
    if kind == "log" and low <= 0:
        raise ConfigError(f"{text}: expected a lowest value above 0, since it is drawn in the logarithm")
