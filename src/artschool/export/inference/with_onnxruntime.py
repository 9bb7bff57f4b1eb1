"""Run the network of this folder. Needs Python, numpy and onnxruntime.

python inference.py                     compare with the outputs at export
python inference.py IN.npz OUT.npz      read inputs by name, write outputs by name

In Python, `load()` returns the network as a function of the inputs that config.json lists:

    from inference import load
    network = load()
    outputs = network(x)  # arrays by name
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

FOLDER = Path(__file__).resolve().parent
TOLERANCE = 1e-4
"""The largest difference from the outputs at export that is no error, relative to the largest output above 1."""
TIES = 0.01
"""The share of whole numbers, such as codes, that may differ: rounding decides between two that are equally near."""


def load(providers: Sequence[str] = ("CPUExecutionProvider",)) -> Callable[..., dict[str, Any]]:
    """The network, as a function of its inputs in the order of config.json. Returns arrays by name."""
    config = read_config()
    session = onnxruntime.InferenceSession(str(FOLDER / config["file"]), providers=list(providers))
    inputs = [part["name"] for part in config["inputs"]]
    outputs = [part["name"] for part in config["outputs"]]

    def run(*values: Any) -> dict[str, Any]:
        return dict(zip(outputs, session.run(outputs, dict(zip(inputs, values, strict=True))), strict=True))

    return run


def read_config() -> Any:
    """The content of config.json."""
    return json.loads((FOLDER / "config.json").read_text(encoding="utf-8"))


def difference(values: Mapping[str, Any], expected: Mapping[str, Any]) -> float:
    """The largest difference, relative to the largest output above 1. Infinite if an output is missing.

    Of whole numbers, it is the share of those that differ, of which `TIES` counts as `TOLERANCE`.
    """
    largest = 0.0
    for name, value in expected.items():
        other = values.get(name)
        if other is None or other.shape != value.shape:
            return float("inf")
        if value.size:
            largest = max(largest, _apart(other, value))
    return largest


def main(arguments: list[str]) -> int:
    """Run on a file of inputs, or compare with the example."""
    inputs = [part["name"] for part in read_config()["inputs"]]
    network = load()
    if arguments:
        given = np.load(arguments[0], allow_pickle=False)
        np.savez(arguments[1], **network(*(given[name] for name in inputs)))
        return 0
    example = dict(np.load(FOLDER / "example.npz", allow_pickle=False))
    values = network(*(example[f"inputs.{name}"] for name in inputs))
    found = difference(values, {name: value for name, value in example.items() if not name.startswith("inputs.")})
    print(f"largest difference from the outputs at export: {found:.1e}")  # noqa: T201
    return 0 if found <= TOLERANCE else 1


def _apart(value: Any, expected: Any) -> float:
    if expected.dtype.kind != "f":
        return float((value != expected).mean()) * TOLERANCE / TIES
    scale = max(1.0, float(np.abs(expected.astype(np.float64)).max()))
    found = float(np.abs(value.astype(np.float64) - expected.astype(np.float64)).max()) / scale
    return found if np.isfinite(found) else float("inf")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
