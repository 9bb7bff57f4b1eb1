"""Run the network of this folder. Needs Python and torch.

python inference.py                   compare with the outputs at export
python inference.py IN.pt OUT.pt      read inputs by name with torch.load, write outputs by name with torch.save

In Python, `load()` returns the network as a function of the inputs that config.json lists:

    from inference import load
    network = load("cuda")
    with torch.no_grad():
        output = network(x)
"""

from __future__ import annotations

import json
import mmap
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

FOLDER = Path(__file__).resolve().parent
TOLERANCE = 1e-4
"""The largest difference from the outputs at export that is no error, relative to the largest output above 1."""
TIES = 0.01
"""The share of whole numbers, such as codes, that may differ: rounding decides between two that are equally near."""
TYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "BOOL": "bool", "U8": "uint8"}
"""Names of data types in safetensors files. Those of integers are `I64` and so on."""


def load(device: str = "cpu") -> Callable[..., Any]:
    """The network in eval mode, as a function of its inputs in the order of config.json."""
    config = read_config()
    file = FOLDER / config["file"]
    if file.suffix == ".pt2":
        from torch.export import load as load_program
        from torch.export.passes import move_to_device_pass

        return move_to_device_pass(load_program(file), device).module()
    network = load_network().to(device)
    call = network if config["method"] is None else getattr(network, config["method"])

    def run(*inputs: Tensor) -> Any:
        values = iter(inputs)
        arguments = [(part["name"], _argument(part, values)) for part in config["arguments"]]
        positional = arguments[: len(arguments) - config["keywords"]]
        return call(*(value for _, value in positional), **dict(arguments[len(positional) :]))

    return run


def load_network() -> Any:
    """The module in eval mode, with its weights. Folders with a program (.pt2) have none."""
    sys.path.insert(0, str(FOLDER))
    from network import build  # type: ignore[import-not-found]  # the package beside this file

    config = read_config()
    file = FOLDER / config["file"]
    network = build(**config["options"])
    network.load_state_dict(
        read_safetensors(file) if file.suffix == ".safetensors" else torch.load(file, weights_only=True)
    )
    return network.eval()


def read_config() -> Any:
    """The content of config.json."""
    return json.loads((FOLDER / "config.json").read_text(encoding="utf-8"))


def read_safetensors(file: Path) -> dict[str, Tensor]:
    """The tensors of a file, which is mapped into memory."""
    with file.open("rb") as stream:
        data = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY)
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    header.pop("__metadata__", None)
    return {name: _tensor(data, start, entry) for name, entry in header.items()}


def named(value: Any, name: str = "out") -> Iterator[tuple[str, Tensor]]:
    """The tensors of an output by name: `out`, or `out.0`, `out.1` and so on."""
    if isinstance(value, Tensor):
        yield name, value
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from named(part, f"{name}.{key}")
    elif isinstance(value, list | tuple):
        for index, part in enumerate(value):
            yield from named(part, f"{name}.{index}")


def seeded_outputs(network: Callable[..., Any], inputs: Sequence[Tensor]) -> dict[str, Tensor]:
    """The outputs by name. A network that draws random numbers draws the same ones in every call of this function."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return dict(named(network(*inputs)))


def difference(values: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> float:
    """The largest difference, relative to the largest output above 1. Infinite if an output is missing.

    Of whole numbers, it is the share of those that differ, of which `TIES` counts as `TOLERANCE`.
    """
    largest = 0.0
    for name, value in expected.items():
        other = values.get(name)
        if other is None or other.shape != value.shape:
            return float("inf")
        if value.numel():
            largest = max(largest, _apart(other, value))
    return largest


def main(arguments: list[str]) -> int:
    """Run on a file of inputs, or compare with the example."""
    inputs = [part["name"] for part in read_config()["inputs"]]
    network = load()
    with torch.no_grad():
        if arguments:
            given = torch.load(arguments[0], weights_only=True)
            torch.save(dict(named(network(*(given[name] for name in inputs)))), arguments[1])
            return 0
        example = read_safetensors(FOLDER / "example.safetensors")
        values = seeded_outputs(network, [example[f"inputs.{name}"] for name in inputs])
    found = difference(values, {name: value for name, value in example.items() if not name.startswith("inputs.")})
    print(f"largest difference from the outputs at export: {found:.1e}")  # noqa: T201
    return 0 if found <= TOLERANCE else 1


def _apart(value: Tensor, expected: Tensor) -> float:
    if not expected.is_floating_point():
        return float((value != expected).double().mean()) * TOLERANCE / TIES
    scale = expected.double().abs().max().clamp(min=1)
    apart = (value.double() - expected.double()).abs().max() / scale
    return float(apart.detach().nan_to_num(float("inf")))


def _argument(part: Any, values: Iterator[Tensor]) -> Any:
    if part["parts"] is not None:
        return [_argument(inner, values) for inner in part["parts"]]
    return next(values) if part["tensor"] else part["value"]


def _tensor(data: mmap.mmap, start: int, entry: Any) -> Tensor:
    name = TYPES.get(entry["dtype"], entry["dtype"].replace("I", "int").replace("U", "uint"))
    dtype, shape, (first, last) = getattr(torch, name), entry["shape"], entry["data_offsets"]
    if first == last:
        return torch.empty(shape, dtype=dtype)
    return torch.frombuffer(data, dtype=dtype, count=(last - first) // dtype.itemsize, offset=start + first).view(shape)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
