"""Numbers of iterations, which a file may also write in epochs or samples: `2 epochs`, `50k samples`."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Any, TypeAlias

from pydantic_core import PydanticCustomError, core_schema

from artschool.registry.signature import Count, Natural

ASSUMED_EPOCH = 1000
"""The number of iterations that an epoch is assumed to have where the data set cannot be built."""
FORM = r"^([0-9]+|[0-9]+\.[0-9]+)([kM]?) (epochs?|samples?)$"
WORDS = "text such as `2 epochs` or `50k samples`"
_AMOUNT = re.compile(FORM)
_LIKE_AMOUNT = re.compile(r"[0-9][0-9.,_]*\s*(?!e[0-9])[A-Za-z]")
_FACTORS = {"": 1, "k": 1_000, "M": 1_000_000}


@dataclass
class Units:
    """What an iteration is in other units. They are those of the data set that the steps train on.

    Attributes:
        batch_size: Number of samples in an iteration.
        per_epoch: Number of iterations in an epoch; None: unknown, and assumed to be `ASSUMED_EPOCH`.
        counts_epochs: Whether any number was given in epochs.
    """

    batch_size: int = 1
    per_epoch: int | None = None
    counts_epochs: bool = False

    def iterations(self, text: str) -> int | None:
        """The number of iterations that a text means, rounded up to a whole one; None for any other text."""
        found = _AMOUNT.match(text)
        if found is None:
            return None
        number, factor, unit = Fraction(found[1]), _FACTORS[found[2]], found[3]
        if unit.startswith("sample"):
            return math.ceil(number * factor / self.batch_size)
        self.counts_epochs = True
        return math.ceil(number * factor * (self.per_epoch or ASSUMED_EPOCH))


@dataclass(frozen=True)
class Amount:
    """Marks a whole number of iterations that may also be text with a unit. The validation's context is a `Units`.

    Attributes:
        least: The least number that the annotation accepts.
        is_last: Whether the number is the last iteration of a set. An amount from the start is then a length:
            `3 epochs` ends with the last iteration of the third epoch.
    """

    least: int = 0
    is_last: bool = False

    def iterations(self, text: str, units: Units) -> int | None:
        """The number for a text; None if the text is no amount."""
        number = units.iterations(text)
        return number - 1 if number is not None and self.is_last else number

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        """A schema that converts text before the number is validated."""
        return core_schema.with_info_before_validator_function(self._converted, handler(source))

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        """A number, or text with a unit."""
        return {"type": ["integer", "string"], "minimum": self.least, "pattern": FORM}

    def _converted(self, value: Any, info: Any) -> Any:
        if not isinstance(value, str) or not isinstance(info.context, Units):
            return value
        number = self.iterations(value, info.context)
        if number is None and _LIKE_AMOUNT.match(value):
            raise PydanticCustomError("amount", "a whole number or {words}", {"words": WORDS})
        return value if number is None else number


Iterations: TypeAlias = Annotated[Natural, Amount()]
"""A number of iterations, 0 or more. A file may also write `2 epochs` or `50k samples`."""
Interval: TypeAlias = Annotated[Count, Amount(least=1)]
"""A number of iterations, 1 or more. A file may also write `2 epochs` or `50k samples`."""
LastIteration: TypeAlias = Annotated[Natural, Amount(is_last=True)]
"""The last iteration of a set. `3 epochs`: that of the third epoch."""


def batches_per_epoch(length: int, batch_size: int, *, drop_last: bool) -> int:
    """The number of iterations in an epoch of a data set."""
    return length // batch_size if drop_last else -(-length // batch_size)
