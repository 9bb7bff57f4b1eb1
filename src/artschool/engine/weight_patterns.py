"""Names of weights that are skipped, and names that other projects have given to the same weights."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

from artschool.errors import CheckpointError
from artschool.wording.names import nearest


class WeightPatterns:
    """The patterns of a config file.

    Args:
        skip: Patterns of names of the network that are not loaded.
        rename: Names of the network by names of the file. Each `*` of a name is what it is in the other.

    Raises:
        CheckpointError: A name and its new name differ in their number of `*`.
    """

    def __init__(self, skip: Sequence[str] = (), rename: Mapping[str, str] | None = None) -> None:
        self._skip = skip
        self._rename = rename or {}
        for old, new in self._rename.items():
            if old.count("*") != new.count("*"):
                raise CheckpointError(f"rename: {old!r} and {new!r} differ in their number of `*`")

    def skips(self, name: str) -> bool:
        """Whether a name of the network is skipped."""
        return any(fnmatchcase(name, pattern) for pattern in self._skip)

    def renamed(self, name: str) -> str:
        """The name in the network of a name in the file."""
        return _first(name, self._rename.items())

    def names_in_file(self, name: str) -> set[str]:
        """The names in a file that a name in the network may have."""
        return {name} | {_first(name, [(new, old)]) for old, new in self._rename.items()}

    def check(self, in_file: Collection[str], in_network: Collection[str]) -> None:
        """Refuse patterns that match nothing.

        Raises:
            CheckpointError: A pattern matches no name.
        """
        for pattern in self._rename:
            _require("rename", pattern, in_file, "the file")
        for pattern in self._skip:
            _require("skip", pattern, {*in_network, *map(self.renamed, in_file)}, "the network or the file")


def _first(name: str, patterns: Iterable[tuple[str, str]]) -> str:
    """A name with the parts of the first pattern that matches it put into its counterpart, or the name itself."""
    for old, new in patterns:
        match = re.fullmatch(_regex(old), name)
        if match:
            texts = new.split("*")
            return "".join(f"{text}{part}" for text, part in zip(texts, [*match.groups(), ""], strict=True))
    return name


def _regex(pattern: str) -> str:
    return "(.*)".join(map(re.escape, pattern.split("*")))


def _require(option: str, pattern: str, names: Collection[str], where: str) -> None:
    if not any(re.fullmatch(_regex(pattern), name) or fnmatchcase(name, pattern) for name in names):
        listed = f"{', '.join(sorted(names)[:8])}{', ...' if len(names) > 8 else ''}"
        hint = nearest(pattern, [*names, *{f"{name.partition('.')[0]}.*" for name in names}])
        problem = f"{option}: {pattern!r} matches no name of {where}"
        raise CheckpointError(f"{problem}. Available names: {listed}. {hint}".strip())
