"""`state.json`: plain values as strict JSON, and NaN and infinities.

JSON has no numbers for them. They are written as `{"$float": "nan"}`, which differs from any text.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from artschool.errors import CheckpointError

_FLOAT = "$float"
MAX_DEPTH = 80
"""The deepest nesting of a state. That of a config file is 64."""
_TOO_DEEP = f"nested deeper than {MAX_DEPTH} levels"


def encode_state(state: Mapping[str, Any]) -> bytes:
    """The bytes of a strict JSON file. Tuples become lists. NaN and infinities are preserved.

    Raises:
        CheckpointError: JSON cannot represent a value.
    """
    return json.dumps(_to_json(state, "state"), allow_nan=False, indent=1).encode()


def decode_state(data: bytes) -> dict[str, Any]:
    """The inverse of `encode_state`.

    Raises:
        ValueError: The bytes are not a strict JSON object, or are nested too deeply.
    """
    try:
        state = json.loads(data, object_hook=_number_or_mapping, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    if not isinstance(state, dict):
        raise ValueError("not a JSON object")
    _limit_depth(state, MAX_DEPTH)
    return state


def _number_or_mapping(found: dict[str, Any]) -> Any:
    if set(found) != {_FLOAT}:
        return found
    if found[_FLOAT] not in ("nan", "inf", "-inf"):
        raise ValueError(f"not a number: {found[_FLOAT]!r}")
    return float(found[_FLOAT])


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _limit_depth(value: object, left: int) -> None:
    if left < 0:
        raise ValueError(_TOO_DEEP)
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            _limit_depth(part, left - 1)


def _to_json(value: object, path: str) -> object:
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {_FLOAT: str(float(value))}
    if isinstance(value, list | tuple):
        return [_to_json(item, f"{path}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str) or key == _FLOAT:
                raise CheckpointError(f"{path}: cannot save the key {key!r} (expected text other than {_FLOAT!r})")
        return {key: _to_json(item, f"{path}.{key}") for key, item in value.items()}
    raise CheckpointError(
        f"{path}: cannot save a value of type {type(value).__name__} (expected numbers, text, lists or mappings)"
    )
