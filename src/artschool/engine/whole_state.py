"""The whole state of a run of one process as short texts by name, which two processes can compare."""

from __future__ import annotations

import hashlib
import random
import sys
from collections.abc import Iterator
from types import FunctionType, SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn, strided

from artschool.config.plugin_modules import PREFIX
from artschool.engine.captured_state import captured
from artschool.engine.restore_modules import MODULES, OPTIMIZERS
from artschool.engine.run_state import RunState
from artschool.engine.unregistered import GENERATORS, PLAIN, held
from artschool.engine.unsaved import hashes

State = dict[str, str]
"""By `<part>: <name>`, type, shape and hash of a tensor, or the text of another value."""

_PARTS = {
    "meters": "numbers to log",
    "optimizer_scalars": "optimizer state",
    "streams": "position in the data",
    "updates": "counts of updates",
}
_MOST_CHARACTERS = 60


def saved_state(run: RunState) -> State:
    """What a checkpoint of the run would contain now, except the config and the time.

    A name is such as `network gen: 0.weight` or `optimizer of steps.gen: gen.0.weight/exp_avg`.
    """
    tensors, state = captured(run)
    found = {
        f"{part}: {name}": text
        for file, named in tensors.items()
        for (part, name), text in zip((_part(run, file, name) for name in named), hashes(named).values(), strict=True)
    }
    plain = {key: value for key, value in state.items() if key not in ("seconds", "config", "settings")}
    for path, value in held(plain):
        key, *rest = path.removeprefix("[").removesuffix("]").replace("'", "").split("][")
        found[f"{_PARTS.get(key, 'progress')}: {'.'.join([key, *rest])}"] = repr(value)
    return found


def fingerprint(run: RunState) -> str:
    """A hash of `saved_state`."""
    return hashlib.sha256(repr(sorted(saved_state(run).items())).encode()).hexdigest()


def unsaved_state(run: RunState) -> State:
    """What networks, components, data sets and the modules of plugins hold and a checkpoint does not contain.

    A name is such as `networks.gen: 0.count`. Values below an attribute are hashed together.
    """
    known = {id(run.context), id(run.sections), *(id(module) for module in run.stateful.values())}
    found: State = {}
    for owner, value in _owners(run):
        values = held(value, known - {id(value)})
        found |= {f"{owner}: {name}": text for name, text in _by_attribute(values).items()}
        if isinstance(value, nn.Module):
            transient = hashes({name: tensor for name, tensor in _transient(value) if tensor.layout == strided})
            found |= {f"{owner}: {name}": text for name, text in transient.items()}
    return found


def text_of(value: object) -> str:
    """A hash of everything that a value holds, such as a batch."""
    return _hash([(path, _text(part)) for path, part in held(value)])


def _owners(run: RunState) -> Iterator[tuple[str, object]]:
    yield from ((f"networks.{name}", network) for name, network in run.networks.items())
    yield from run.modules.items()
    for step in run.steps:
        for call in (*step.graph.injectors, *step.graph.losses, *step.graph.late_injectors):
            yield call.path, call.function
    yield from ((loader.name, loader.dataset) for loader in run.loaders)
    for name, module in list(sys.modules.items()):
        if name.startswith(PREFIX):
            code = (type, FunctionType)
            values = {k: v for k, v in vars(module).items() if not k.startswith("__") and not isinstance(v, code)}
            yield f"plugin {name.removeprefix(PREFIX).rpartition('_')[0]}.py", SimpleNamespace(**values)


def _transient(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """The buffers that a module does not save."""
    saved = module.state_dict()
    yield from ((name, buffer) for name, buffer in module.named_buffers() if name not in saved)


def _part(run: RunState, file: str, name: str) -> tuple[str, str]:
    if file == MODULES:
        path, _, own = name.rpartition("/")
        return path, own
    if file == OPTIMIZERS:
        step, _, own = name.partition("/")
        return f"optimizer of steps.{step}", own
    return (f"network {file}" if file in run.networks else f"average {file}"), name


def _by_attribute(values: Iterator[tuple[str, Any]]) -> State:
    """The text of each attribute that is one value, and a hash of each with several."""
    found: State = {}
    digests: dict[str, Any] = {}
    for path, value in values:
        name, inner, _ = path.partition("[")
        text = _text(value)
        if inner:
            digests.setdefault(name, hashlib.sha256()).update(f"{path} {text}\n".encode())
        else:
            found[name] = text if len(text) <= _MOST_CHARACTERS else _hash(text)
    return {**found, **{name: digest.hexdigest()[:16] for name, digest in digests.items()}}


def _text(value: Any) -> str:
    if isinstance(value, PLAIN):
        return repr(value)
    if isinstance(value, Tensor):
        is_plain = value.layout == strided and not value.is_meta
        return hashes({"": value})[""] if is_plain else type(value).__name__
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {list(value.shape)} {_hash(value.tobytes())}"
    if isinstance(value, GENERATORS):
        return f"{type(value).__name__} {_hash(_state_of(value))}"
    return type(value).__name__


def _state_of(generator: Any) -> object:
    match generator:
        case torch.Generator():
            return generator.get_state().numpy().tobytes()
        case random.Random():
            return generator.getstate()
        case np.random.Generator():
            return generator.bit_generator.state
    return generator.get_state(legacy=True)


def _hash(data: object) -> str:
    return hashlib.sha256(data if isinstance(data, bytes) else repr(data).encode()).hexdigest()[:16]
