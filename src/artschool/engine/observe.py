"""Observes the first batches and calls of a training, for `data_examples.json`."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial, wraps
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from artschool.data.collate import size_of
from artschool.engine.data_examples import FILE, DataExamples, Example, NetworkCall, NetworkInput, read_data_examples
from artschool.errors import CheckpointError
from artschool.storage.durable import write_file


class Observer:
    """Observes the first batch of each data set, and the first call of each network and method, in the main process.

    A call is observed once, so that later ones cost nothing.

    Args:
        methods: The methods of each network that the file calls.

    Attributes:
        has_news: Whether something was observed that the file does not contain yet.
    """

    has_news = False

    def __init__(self, methods: Mapping[str, Sequence[str]]) -> None:
        self._methods = methods
        self._data: dict[str, dict[str, Example]] = {}
        self._calls: dict[str, NetworkCall] = {}
        self._passed: set[str] = set()
        self._is_started = False

    def start(self, folder: Path, networks: Mapping[str, nn.Module], averages: Mapping[str, nn.Module]) -> None:
        """Take in what the run folder knows already, and wait for calls of the other networks.

        Args:
            averages: A moving average of some networks.
        """
        try:
            known = read_data_examples(folder)
        except CheckpointError:
            known = DataExamples()
        self._data |= {name: dict(keys) for name, keys in known.data.items()}
        self._calls |= known.calls
        self._is_started = True
        for name, network in networks.items():
            for module in (network, averages[name]) if name in averages else (network,):
                if name not in self._calls:
                    self._watch(name, module)
                for method in self._methods.get(name, ()):
                    if f"{name}.{method}" not in self._calls and callable(getattr(module, method, None)):
                        self._watch_method(name, module, method)

    def see(self, data: str, batch: Mapping[str, Any]) -> None:
        """Observe a batch: the first one of a data set, and one after each `look_again`, which may add classes."""
        if data in self._passed or not self._is_started:
            return
        self._passed.add(data)
        known = self._data.setdefault(data, {})
        size = size_of(batch)
        for key, value in batch.items():
            if key not in known:
                self._learn(known, key, _example(value, size))
            elif known[key].classes is not None and isinstance(value, Tensor):
                found = _example(value, size)
                if (found.classes or 0) > (known[key].classes or 0):
                    self._learn(known, key, found)

    def look_again(self) -> None:
        """Observe the next batch of each data set as well."""
        self._passed.clear()

    def write(self, folder: Path) -> None:
        """Write what has been observed into the run folder."""
        self.has_news = False
        write_file(folder / FILE, DataExamples(self._data, self._calls).encode())

    def _learn(self, known: dict[str, Example], key: str, example: Example) -> None:
        known[key] = example
        self.has_news = True

    def _call(self, name: str, method: str | None, function: Callable[..., Any], args: Any, named: Any) -> None:
        owner = name if method is None else f"{name}.{method}"
        if owner not in self._calls:
            self._calls[owner] = _described(method, function, args, named)
            self.has_news = True

    def _watch(self, name: str, module: nn.Module) -> None:
        def seen(module: nn.Module, args: Any, named: Any) -> None:
            handle.remove()
            self._call(name, None, type(module).forward, args, named)

        handle = module.register_forward_pre_hook(seen, with_kwargs=True)

    def _watch_method(self, name: str, module: nn.Module, method: str) -> None:
        own, function = vars(module).get(method), getattr(module, method)

        @wraps(function)
        def seen(*args: Any, **named: Any) -> Any:
            if own is None:
                delattr(module, method)
            else:
                setattr(module, method, own)
            self._call(name, method, getattr(type(module), method, function), args, named)
            return function(*args, **named)

        setattr(module, method, seen)


def _described(method: str | None, function: Callable[..., Any], args: Sequence[Any], named: Any) -> NetworkCall:
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    names = [parameter.name for parameter in parameters if parameter.kind in kinds and parameter.name != "self"]
    given = [(names[index] if index < len(names) else "", value) for index, value in enumerate(args)]
    first = next((value for _, value in [*given, *named.items()] if isinstance(value, Tensor) and value.dim()), None)
    describe = partial(_input, size=None if first is None else len(first))
    return NetworkCall(method, tuple(describe(*pair) for pair in [*given, *named.items()]), len(named))


def _input(name: str, value: Any, size: int | None) -> NetworkInput:
    if isinstance(value, Tensor):
        shape = (1, *value.shape[1:]) if value.dim() and len(value) == size else tuple(value.shape)
        return NetworkInput(name, Example(shape, *_kind(value)))
    if isinstance(value, list | tuple):
        return NetworkInput(name, parts=tuple(_input("", part, size) for part in value))
    return NetworkInput(
        name, value=value if value is None or isinstance(value, bool | int | float | str) else str(value)
    )


def _example(value: Any, size: int) -> Example:
    """What a value of a batch says about its key."""
    if not isinstance(value, Tensor):
        return Example()
    shape = tuple(value.shape[1:]) if value.dim() and len(value) == size else tuple(value.shape)
    dtype, low, high = _kind(value)
    is_whole = value.dim() == 1 and not value.is_floating_point() and value.dtype is not torch.bool
    is_class = is_whole and low is not None and high is not None and low >= 0
    return Example(shape, dtype, low, high, int(high) + 1 if is_class and high is not None else None)


def _kind(value: Tensor) -> tuple[str, float | None, float | None]:
    """The dtype, and the least and the greatest value. Waits for the device."""
    dtype = str(value.dtype).removeprefix("torch.")
    if not value.numel() or value.is_complex():
        return dtype, None, None
    try:
        numbers = value.detach().to(torch.float32 if value.is_floating_point() else torch.int64)
        low, high = (float(end) for end in numbers.aminmax())
    except (RuntimeError, TypeError, NotImplementedError):  # Tensors of other layouts.
        return dtype, None, None
    return dtype, low if math.isfinite(low) else None, high if math.isfinite(high) else None
