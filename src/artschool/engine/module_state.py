"""The tensors of a module in a checkpoint. Buffers may have changed their shape since the module was built."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from artschool import ranks
from artschool.engine.shard_files import fill
from artschool.errors import CheckpointError
from artschool.storage.shards import Saved, copy_into

Kind = tuple[list[int], str]
"""Shape and dtype."""


def tensors_of(module: nn.Module, owner: str) -> dict[str, Tensor]:
    """The state of a module.

    Raises:
        CheckpointError: A value is not a tensor.
    """
    state = module.state_dict()
    for name, value in state.items():
        if not isinstance(value, Tensor):
            raise CheckpointError(
                f"{owner}: cannot save {name!r} of its state_dict (expected a tensor, got {type(value).__name__})"
            )
    return state


def buffer_kinds(module: nn.Module) -> dict[str, Kind | None]:
    """The kind of each buffer that checkpoints contain, by name. None: the buffer has no value."""
    return {
        f"{path}.{name}" if path else name: None if buffer is None else kind_of(buffer)
        for path, part in module.named_modules(remove_duplicate=False)
        for name, buffer in part._buffers.items()
        if name not in part._non_persistent_buffers_set
    }


def kind_of(tensor: Saved) -> Kind:
    """Shape and dtype, as JSON can represent them."""
    return list(tensor.shape), str(tensor.dtype)


def changed_buffers(module: nn.Module, built: Mapping[str, Kind | None]) -> dict[str, Kind | None]:
    """The buffers that differ in kind from when the module was built: the kind then, or None if there was none."""
    now = buffer_kinds(module)
    return {name: built.get(name) for name in {**built, **now} if built.get(name) != now.get(name)}


def first_misfit(module: nn.Module, saved: Mapping[str, Saved]) -> tuple[str, str, str] | None:
    """The first tensor that a module and a checkpoint do not both have in the same shape: name, expected, found."""
    own = module.state_dict()
    for name in sorted(saved.keys() | own.keys()):
        expected, found = (str(tuple(part[name].shape)) if name in part else "no tensor" for part in (own, saved))
        if expected != found:
            return name, expected, found
    return None


def load_tensors(module: nn.Module, saved: Mapping[str, Saved]) -> None:
    """Give a module the tensors of a checkpoint, which fit it. Of sharded tensors, only the own part is read.

    Tensors that the checkpoint has left out stay as they are.
    """
    own = module.state_dict()
    for name, value in saved.items():  # One after the other: a copy of all of them would need the memory twice.
        if ranks.is_sharded(own[name]):
            fill(own[name], value)
        else:
            copy_into(own[name], value)
    module.load_state_dict(own)  # For code of the module that makes something of its state.


def adapt_buffers(
    module: nn.Module,
    saved: Mapping[str, Saved],
    built_then: Mapping[str, Any],
    built_now: Mapping[str, Kind | None],
) -> None:
    """Give buffers the shape and dtype of those in a checkpoint, where the code of the module has changed them.

    A buffer is adapted only if it was built the same as in the run that saved it. Otherwise, an option has changed.

    Args:
        built_then: The result of `changed_buffers` when the checkpoint was saved.
        built_now: The kinds of the buffers of this run when it was built.
    """
    now, parameters = buffer_kinds(module), dict(module.named_parameters(remove_duplicate=False))
    for name in {**now, **saved, **built_then}:
        tensor = saved.get(name)
        kind = None if tensor is None else kind_of(tensor)
        then = built_then.get(name, kind)
        if name not in parameters and kind != now.get(name) and _same(then, built_now.get(name)):
            _set_buffer(module, name, tensor, keep_name=name in built_now)


def _same(one: Any, other: Any) -> bool:
    """Whether two kinds are the same. JSON turns tuples into lists."""
    return one == other if one is None or other is None else list(one) == list(other)


def _set_buffer(module: nn.Module, name: str, value: Saved | None, *, keep_name: bool) -> None:
    path, _, leaf = name.rpartition(".")
    try:
        owner = module.get_submodule(path)
    except AttributeError:
        return  # The code adds the submodule later; the comparison of names reports it.
    device = next((tensor.device for tensor in (*module.parameters(), *module.buffers())), torch.device("cpu"))
    new = None if value is None else torch.empty(value.shape, dtype=value.dtype, device=device)
    if leaf in owner._buffers and new is None and not keep_name:
        del owner._buffers[leaf]
    elif leaf in owner._buffers:
        owner._buffers[leaf] = new
    elif new is not None and not hasattr(owner, leaf):
        owner.register_buffer(leaf, new)
