"""Proves that a checkpoint can hold what training has made, and that a new run can load it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn, strided
from torch._subclasses.fake_tensor import unset_fake_temporarily
from torch.optim import Optimizer

from artschool.config.structure import Config
from artschool.engine.run import Run
from artschool.errors import CheckpointError
from artschool.faults import Fault
from artschool.storage.checkpoint_files import encode_tensors
from artschool.storage.state_json import encode_state
from artschool.trace.fake import is_about_missing_values
from artschool.trace.keys import describe_kind

MOST_TEXT = 300
"""Maximum length of an error that a fault repeats."""


HINT = "Fix: keep it in a tensor, such as a buffer, or let get_extra_state return one."


def faults_at_start(config: Config, run: Run) -> list[Fault]:
    """What a checkpoint of the run could not hold even now. Needs no trace, and changes nothing."""
    modules = {f"networks.{name}": network for name, network in run.networks.items()} | run.modules
    found = []
    for path, module in modules.items():
        try:
            _try_to_write(module.state_dict())
        except CheckpointError as error:
            found.append(_fault(config, path, str(error).removeprefix(": "), HINT))
        except Exception:  # The code of a network can raise anything. What lasts ends the first save.
            continue
    return found


def _fault(config: Config, path: str, message: str, hint: str = "") -> Fault:
    return Fault(config.tree.at(path.split(".")).place, path, message, hint)


class SavedState:
    """Compares what a checkpoint of a run has to hold with what it can hold, and with what a new run can load.

    Args:
        run: The run before it has trained.

    Attributes:
        notes: What could not be proven without values.
    """

    def __init__(self, config: Config, run: Run) -> None:
        self.notes: list[str] = []
        self._config = config
        networks = {f"networks.{name}": network for name, network in run.networks.items()}
        averages = {f"ema.networks.{name}": ema.module for name, ema in run.emas.items()}
        self._averages = {f"ema.networks.{name}": ema.of for name, ema in run.emas.items()}
        self._modules: dict[str, nn.Module] = {**networks, **averages, **run.modules}
        updates = {
            step.graph.name: step.update for step in run.steps if step.update is not None and step.update.owns_optimizer
        }
        self._optimizers = {f"steps.{name}.optimizer": update.optimizer for name, update in updates.items()}
        self._at_start = {path: _described(module) for path, module in self._modules.items()}
        self._parts_at_start = {path: {*dict(module.named_modules())} for path, module in self._modules.items()}

    def faults(self) -> list[Fault]:
        """What a checkpoint of the run, which has trained, could not hold, and what a new run could not load."""
        found = {path: self._of_module(path, module) for path, module in self._modules.items()}
        found |= {path: self._attempt(path, partial(_try_optimizer, each)) for path, each in self._optimizers.items()}
        for path, of in self._averages.items():
            if found[f"networks.{of}"] is not None:
                found[path] = None  # An average has the mistakes of its network.
        return [fault for fault in found.values() if fault is not None]

    def _of_module(self, path: str, module: nn.Module) -> Fault | None:
        return self._attempt(path, partial(_try_module, module)) or self._changed(path, module)

    def _changed(self, path: str, module: nn.Module) -> Fault | None:
        """The fault of a module whose state_dict has other tensors after training than a resume can give a new one.

        A resume gives the submodules of a new module the buffers that they had when they were saved.
        """
        before, after = self._at_start[path], _described(module)
        parameters, parts = dict(module.named_parameters(remove_duplicate=False)), self._parts_at_start[path]
        for name in dict.fromkeys([*before, *after]):
            one, other = before.get(name, "missing"), after.get(name, "missing")
            is_buffer = name not in parameters and name.rpartition(".")[0] in parts
            if one != other and not is_buffer:
                message = f"no run could resume: {name!r} of its state_dict is {one} when built and {other} once it ran"
                return _fault(self._config, path, message, "Fix: register it in __init__ with its final shape.")
        return None

    def _attempt(self, path: str, attempt: Callable[[], object]) -> Fault | None:
        try:
            attempt()
        except CheckpointError as error:
            hint = HINT if path not in self._optimizers else ""
            return _fault(self._config, path, str(error).removeprefix(": "), hint)
        except Exception as error:  # The code of a plugin can raise anything.
            if not is_about_missing_values(error):
                text = " ".join(str(error).split())[:MOST_TEXT]
                return _fault(
                    self._config, path, f"its state cannot be saved and loaded: {type(error).__name__}: {text}"
                )
            self.notes.append(f"{path}: saving or loading its state reads the values of tensors; that was not traced")
        return None


def _try_module(module: nn.Module) -> None:
    """Write the state of a module to memory, and load it back."""
    state = module.state_dict()
    _try_to_write(state)
    module.load_state_dict(state)


def _try_optimizer(optimizer: Optimizer) -> None:
    """Write the state of an optimizer to memory, and load it back."""
    for owner, slots in optimizer.state.items():
        if not isinstance(owner, Tensor):
            raise CheckpointError(f"its state has {owner!r}, which belongs to no parameter, so no checkpoint holds it")
        _try_to_write({name: value for name, value in slots.items() if isinstance(value, Tensor)})
        encode_state({name: value for name, value in slots.items() if not isinstance(value, Tensor)})
    optimizer.load_state_dict(optimizer.state_dict())


def _try_to_write(tensors: Mapping[str, Any]) -> None:
    """Write tensors of the same names and types, without elements."""
    with unset_fake_temporarily():
        encode_tensors("", {name: _without_elements(value) for name, value in tensors.items()})


def _without_elements(value: Any) -> Any:
    is_dense = isinstance(value, Tensor) and value.layout is strided and not value.is_meta
    return torch.empty(0, dtype=value.dtype) if is_dense else value


def _described(module: nn.Module) -> dict[str, str]:
    """Shape and type of each tensor in the state_dict of a module; empty if that fails, which is found later."""
    try:
        state = module.state_dict()
    except Exception:  # The code of a network can raise anything.
        return {}
    return {name: describe_kind(value) for name, value in state.items() if isinstance(value, Tensor)}
