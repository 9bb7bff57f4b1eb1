"""The names of tensors in files of other projects: nested mappings, wrappers, and the prefix of a whole network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import Tensor

from artschool.wording.counting import counted

WRAPPERS = ("module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
"""Parts of names that torch adds: DDP, `torch.compile`, FSDP, checkpoint wrappers."""
HOLDERS = ("state_dict", "model_state_dict", "model", "net", "network", "params", "params_ema", "ema", "model_ema")
"""Parts of names that projects add to the names of a whole network."""
MAX_NAMES = 8


@dataclass(frozen=True)
class NamedTensors:
    """The tensors of a file. The keys of nested mappings are parts of the names, like the names of modules.

    Attributes:
        tensors: The tensors by name.
        levels: By name, the keys of the mappings around the tensor, such as `state_dict.`.
        wrappers: The wrappers that have been removed from the names.
    """

    tensors: Mapping[str, Tensor]
    levels: Mapping[str, str]
    wrappers: tuple[str, ...] = ()

    @classmethod
    def of(cls, content: Any) -> NamedTensors:
        """All tensors in nested mappings."""
        found = dict(_flat(content, ""))
        return cls({name: tensor for name, (tensor, _) in found.items()}, {name: at for name, (_, at) in found.items()})

    def unwrapped(self, own: Collection[str]) -> NamedTensors:
        """The tensors with the wrappers of torch removed from their names.

        Args:
            own: Names of the network. Wrappers that are parts of them stay.
        """
        parts = {part for name in own for part in name.split(".")}
        wrappers = tuple(part for part in WRAPPERS if part not in parts)
        names = {name: _without(name, wrappers) for name in self.tensors}
        if len({*names.values()}) < len(names):
            return self
        used = {part for name in names if names[name] != name for part in name.split(".")}
        return NamedTensors(
            {names[name]: tensor for name, tensor in self.tensors.items()},
            {names[name]: _without(level, wrappers) for name, level in self.levels.items()},
            tuple(part for part in wrappers if part in used),
        )

    def under(self, prefix: str) -> NamedTensors:
        """The tensors whose names start with a prefix, without it."""
        names = [name for name in self.tensors if name.startswith(prefix)]
        return NamedTensors(
            {name.removeprefix(prefix): self.tensors[name] for name in names},
            {name.removeprefix(prefix): self.levels[name][len(prefix) :] for name in names},
            self.wrappers,
        )

    def at(self, prefix: str) -> dict[str, Tensor]:
        """The tensors whose names start with a prefix, without it and without those in further nested mappings."""
        names = [name for name in self.tensors if name.startswith(prefix) and prefix.startswith(self.levels[name])]
        return {name.removeprefix(prefix): self.tensors[name] for name in names}

    def matches(self, own: Collection[str]) -> Counter[str]:
        """By prefix, the number of names that are names of the network without it."""
        counts: Counter[str] = Counter()
        for name, level in self.levels.items():
            for start in _starts(name, len(level)):
                counts[name[:start]] += name[start:] in own
        return counts

    def is_holder(self, prefix: str) -> bool:
        """Whether a prefix holds a whole network: all names have it, or keys of mappings and usual words make it up."""
        level = max((at for at in self._levels if prefix.startswith(at)), key=len)
        rest = prefix.removeprefix(level).rstrip(".")
        known = not rest or all(part in HOLDERS for part in rest.split("."))
        return known or all(name.startswith(prefix) for name in self.tensors)

    @cached_property
    def _levels(self) -> set[str]:
        return {*self.levels.values(), ""}

    def outline(self) -> str:
        """The first parts of the names, and the number of tensors of each."""
        counts = Counter(f"{name.partition('.')[0]}{'.' if '.' in name else ''}" for name in self.tensors)
        shown = [f"{first} ({counted(count, 'tensor')})" for first, count in sorted(counts.items())[:MAX_NAMES]]
        more = f" and {len(counts) - MAX_NAMES} more" if len(counts) > MAX_NAMES else ""
        return f"The file contains: {', '.join(shown)}{more}"


def _flat(content: Any, level: str) -> Iterator[tuple[str, tuple[Tensor, str]]]:
    if not isinstance(content, Mapping):
        return
    for key, value in content.items():
        if isinstance(value, Tensor):
            yield f"{level}{key}", (value, level)
        else:
            yield from _flat(value, f"{level}{key}.")


def _without(name: str, wrappers: Collection[str]) -> str:
    return ".".join(part for part in name.split(".") if part not in wrappers)


def _starts(name: str, first: int) -> Iterator[int]:
    """The positions in a name, from `first` on, at which a part begins."""
    yield first
    yield from (index + 1 for index in range(first, len(name)) if name[index] == ".")
