"""`data_examples.json`: what the data of a run is like and how its networks are called, for use without the data."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from artschool.errors import CheckpointError, first_line
from artschool.paths import read_file

FILE = "data_examples.json"


@dataclass(frozen=True)
class Example:
    """The values of a key.

    Attributes:
        shape: Shape of one sample, without the dimension of the batch.
        dtype: Data type, such as `float32`. Empty: the values are no tensors.
        low: Least value. None: there is none, or it is not known.
        high: Greatest value.
        classes: Number of classes of whole numbers, one of which belongs to each sample: one more than the greatest of
            them. None: other values.
    """

    shape: tuple[int, ...] = ()
    dtype: str = ""
    low: float | None = None
    high: float | None = None
    classes: int | None = None


@dataclass(frozen=True)
class NetworkInput:
    """An argument of a call of a network.

    Attributes:
        name: Name of the parameter. Empty: it has none.
        example: Shape, dtype and range of a tensor. The first dimension is 1 if it is that of the batch. None: not a
            tensor.
        value: A number, text, or null, of an argument that is not a tensor.
        parts: The arguments in a list or tuple.
    """

    name: str
    example: Example | None = None
    value: Any = None
    parts: tuple[NetworkInput, ...] | None = None


@dataclass(frozen=True)
class NetworkCall:
    """A call of a network.

    Attributes:
        method: The method. None: the network itself.
        inputs: The arguments: positional ones first.
        keywords: How many of the last ones are given by name.
    """

    method: str | None
    inputs: tuple[NetworkInput, ...]
    keywords: int = 0


@dataclass(frozen=True)
class DataExamples:
    """What is known of the data of a run and of the calls of its networks.

    Attributes:
        data: By data set and key, as the data set names it.
        calls: By network, such as `vq`, or by network and method, such as `vq.encode`.
    """

    data: Mapping[str, Mapping[str, Example]] = field(default_factory=dict)
    calls: Mapping[str, NetworkCall] = field(default_factory=dict)

    def encode(self) -> bytes:
        """The content of the file."""
        return json.dumps(asdict(self), indent=1).encode()

    def example(self, names: Sequence[str], key: str) -> Example | None:
        """The values of a key in the first of some data sets that has it. None: not known.

        It has the most classes that any data set is known to have: a batch that was looked at may lack some.
        """
        found = next((self.data[name][key] for name in names if key in self.data.get(name, {})), None)
        if found is None or found.classes is None:
            return found
        classes = (keys[key].classes or 0 for keys in self.data.values() if key in keys)
        return replace(found, classes=max(classes))


_ADAPTER = TypeAdapter(DataExamples)


def read_data_examples(folder: Path) -> DataExamples:
    """What the run folder says. A folder without the file says nothing.

    Raises:
        CheckpointError: The file is damaged.
    """
    file = folder / FILE
    try:
        return _ADAPTER.validate_json(read_file(file))
    except FileNotFoundError:
        return DataExamples()
    except (OSError, ValidationError) as error:
        raise CheckpointError(f"{file}: cannot be read: {first_line(error)}. Fix: remove the file") from error
