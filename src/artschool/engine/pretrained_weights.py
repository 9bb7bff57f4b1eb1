"""Loads pretrained weights into a network by name, without running code from the file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from artschool.engine.weight_names import MAX_NAMES, NamedTensors
from artschool.engine.weight_patterns import WeightPatterns
from artschool.errors import CheckpointError
from artschool.storage.tensors import read_content


@dataclass(frozen=True)
class LoadReport:
    """The result of loading weights.

    Attributes:
        loaded: Number of tensors loaded.
        missing: Names that the network has and the file does not.
        unexpected: Names that the file has and the network does not.
        removed: What was removed from the names of the file, without the prefix that the config file gives.
        skipped: Names that the config file leaves out.
        renamed: Name of the network by name of the file, where they differ.
    """

    loaded: int
    missing: list[str]
    unexpected: list[str]
    removed: tuple[str, ...] = ()
    skipped: Sequence[str] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_small_part(self) -> bool:
        """Whether less than half of the tensors were loaded, as where the names are those of another network."""
        return self.loaded < len(self.missing)

    def text(self, verb: str) -> str:
        """The numbers and the first names, such as `1 of 2 tensors loaded; 1 missing: bias`."""
        total = f" of {self.loaded + len(self.missing)}" if self.missing else ""
        parts = [f"{self.loaded}{total} tensor{'' if self.loaded == 1 and not total else 's'} {verb}"]
        renamed = [f"{old} -> {new}" for old, new in self.renamed.items()]
        for kind, names in (
            ("missing", self.missing),
            ("unexpected", self.unexpected),
            ("skipped", self.skipped),
            ("renamed", renamed),
        ):
            if names:
                parts.append(f"{len(names)} {kind}: {_listed(names)}")
        if self.removed:
            parts.append(f"removed from the names: {', '.join(self.removed)}")
        return "; ".join(parts)

    def __str__(self) -> str:
        return self.text("loaded")


def load_weights(
    network: nn.Module,
    source: Path | nn.Module,
    *,
    prefix: str = "",
    strict: bool = True,
    patterns: WeightPatterns | None = None,
    path: str = "",
) -> LoadReport:
    """Load weights into a network.

    Names may lie under the keys of nested mappings and under a prefix. Wrappers of torch, such as `module.`, are
    removed from them. Without `prefix`, a prefix that holds a whole network is found if exactly one fits.

    Args:
        network: Names that match a pattern of its attribute `unused_weights` are ignored. Its attribute
            `other_weight_names` has the names of its tensors by the names that other projects give to them.
        source: A file: `.safetensors`, `.pt`, `.pth` or `.ckpt`, or the index of a `.safetensors` file in parts, of
            which only tensors are read. Or another network.
        prefix: Load only names that start with it, and remove it from them.
        strict: Whether a missing or unexpected name is an error.
        patterns: Names that are skipped or renamed.
        path: Location of the network in the config file, for errors.

    Raises:
        CheckpointError: The file cannot be read, no name fits, a shape or type differs, several prefixes fit, a pattern
            matches nothing, or names differ and `strict` is true.
    """
    try:
        content = read_content(source) if isinstance(source, Path) else dict(source.state_dict())
        name = source if isinstance(source, Path) else "the other network"
        return _load(_Target(network, patterns or WeightPatterns()), content, name, prefix, strict=strict)
    except CheckpointError as error:
        raise CheckpointError(f"{path}.weights: {error}" if path else str(error)) from error


class _Target:
    """The tensors of a network that a file can hold.

    Attributes:
        own: The tensors to load, by name.
        skipped: The names of those that are not loaded.
        sought: The names under which a file may hold `own`.
    """

    def __init__(self, network: nn.Module, patterns: WeightPatterns) -> None:
        self.network, self.patterns = network, patterns
        state = {name: value for name, value in network.state_dict().items() if isinstance(value, Tensor)}
        self.own = {name: value for name, value in state.items() if not patterns.skips(name)}
        self.skipped = sorted(state.keys() - self.own.keys())
        self._aliases: Mapping[str, str] = getattr(network, "other_weight_names", {})
        self.sought = {other for name in self.own for other in patterns.names_in_file(name)} | self._aliases.keys()
        self._unused = tuple(getattr(network, "unused_weights", ()))

    def used(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The tensors under their names in the network, without those that it does not use and that are skipped.

        Raises:
            CheckpointError: Two names become the same.
        """
        used = {n: value for n, value in tensors.items() if not any(fnmatchcase(n, p) for p in self._unused)}
        renamed: dict[str, str] = {}
        for name in used:
            new = self._renamed(name)
            if renamed.setdefault(new, name) != name:
                raise CheckpointError(f"rename: {renamed[new]!r} and {name!r} both become {new!r}")
        return {new: used[name] for new, name in renamed.items() if not self.patterns.skips(new)}

    def _renamed(self, name: str) -> str:
        renamed = self.patterns.renamed(name)
        return self._aliases.get(renamed, renamed)

    def report(self, tensors: Mapping[str, Tensor], removed: tuple[str, ...] = ()) -> LoadReport:
        """Compare names."""
        found = self.used(tensors).keys()
        return LoadReport(
            len(found & self.own),
            sorted(self.own.keys() - found),
            sorted(found - self.own.keys()),
            removed,
            self.skipped,
            {name: new for name in sorted(tensors) if (new := self._renamed(name)) != name and new in self.own},
        )

    def has_same_names(self, tensors: Mapping[str, Tensor]) -> bool:
        """Whether nothing is missing or unexpected."""
        return self.used(tensors).keys() == self.own.keys()

    def differences(self, tensors: Mapping[str, Tensor]) -> list[str]:
        """The tensors that have the name of one of the network but another shape or an incompatible type."""
        lines = []
        for name in sorted(tensors.keys() & self.own.keys()):
            value, own = tensors[name], self.own[name]
            if value.shape != own.shape:
                lines.append(f"shape of {name} (expected {tuple(own.shape)}, got {tuple(value.shape)})")
            elif value.is_complex() > own.is_complex() or (own.is_floating_point() and not value.is_floating_point()):
                lines.append(f"type of {name} (expected {_dtype(own)}, got {_dtype(value)})")
        return lines


def _load(target: _Target, content: Any, file: Path | str, prefix: str, *, strict: bool) -> LoadReport:
    named = NamedTensors.of(content).unwrapped(target.sought)
    if not named.tensors:
        keys = f", only the keys {_listed([*map(str, content)])}" if isinstance(content, Mapping) and content else ""
        raise CheckpointError(f"{file}: no named tensors found{keys}")
    if prefix:
        named = _under(named, target, prefix, file)
    chosen = _choose(named, target, file, strict=strict)
    target.patterns.check(named.at(chosen), [*target.own, *target.skipped])
    removed = tuple(part for part in (chosen, *(f"{wrapper}." for wrapper in named.wrappers)) if part)
    tensors, report = target.used(named.at(chosen)), target.report(named.at(chosen), removed)
    if not report.loaded or (strict and (report.missing or report.unexpected)):
        hints = _hints(named, target, report, chosen)
        raise CheckpointError(f"{file}: does not fit the network: {report.text('match')}{hints}")
    differences = target.differences(tensors)
    if differences:
        raise CheckpointError(f"{file}: {_listed(f'wrong {line}' for line in differences)}{_anew(target, tensors)}")
    target.network.load_state_dict({name: tensors[name] for name in tensors.keys() & target.own}, strict=False)
    return report


def _under(named: NamedTensors, target: _Target, prefix: str, file: Path | str) -> NamedTensors:
    """The tensors under a prefix of the config file, which may lie in the mappings that hold a whole network."""
    given = prefix.rstrip(".") + "."
    parts = [part for part in given.split(".")[:-1] if part not in named.wrappers]
    plain = "".join(f"{part}." for part in parts)
    starts = [start for start in (plain, prefix) if any(name.startswith(start) for name in named.tensors)]
    if not starts:
        levels = sorted({level for name, level in named.levels.items() if name.startswith(level + plain)})
        if len(levels) > 1:
            raise CheckpointError(f"{file}: {_several([level + plain for level in levels])}")
        starts = [level + plain for level in levels]
    if not starts:
        raise CheckpointError(f"{file}: no name starts with {prefix!r}. {named.outline()}")
    return max((named.under(start) for start in starts), key=lambda found: max(found.matches(target.sought).values()))


def _choose(named: NamedTensors, target: _Target, file: Path | str, *, strict: bool) -> str:
    """The prefix under which the network lies. Empty if none is better.

    Raises:
        CheckpointError: Several fit.
    """
    counts = {
        prefix: count for prefix, count in named.matches(target.sought).items() if count and named.is_holder(prefix)
    }
    most = max(counts.values(), default=0)
    best = [prefix for prefix in counts if counts[prefix] == most]
    fitting = [prefix for prefix in best if target.has_same_names(named.at(prefix))]
    if not fitting:
        fitting = best[:1] if strict else best
    if "" in fitting:
        return ""
    if len(fitting) > 1:
        fitting = [prefix for prefix in fitting if not target.differences(target.used(named.at(prefix)))] or fitting
    if len(fitting) > 1:
        raise CheckpointError(f"{file}: {_several(sorted(fitting))}")
    return fitting[0] if fitting else ""


def _several(prefixes: list[str]) -> str:
    shown = ", ".join(prefix or "(none)" for prefix in prefixes)
    last = prefixes[-1]
    return f"several prefixes fit: {shown}. Fix: choose one, such as `weights: {{file: ..., prefix: {last}}}`"


def _hints(named: NamedTensors, target: _Target, report: LoadReport, chosen: str) -> str:
    """What to write instead."""
    prefix, count = named.matches(target.sought).most_common(1)[0]
    first = ". Fix: if this is intended, write `weights: {file: ..., strict: false}`"
    lines = [first if report.loaded else f". {named.outline()}"]
    if count > report.loaded and prefix != chosen:
        lines += [f"Did you mean `prefix: {prefix}`? {count} of {len(target.own)} tensors match with it."]
    return "\n    ".join(lines)


def _anew(target: _Target, tensors: Mapping[str, Tensor]) -> str:
    """How to leave out the layers whose shapes differ."""
    common = tensors.keys() & target.own.keys()
    names = [name for name in common if tensors[name].shape != target.own[name].shape]
    patterns = sorted({f"{name.rpartition('.')[0]}.*" if "." in name else name for name in names})
    return f". Fix: to start these layers anew, write `skip: [{', '.join(patterns)}]`" if patterns else ""


def _listed(names: Iterable[str]) -> str:
    names = [*names]
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return f"{', '.join(names[:MAX_NAMES])}{more}"


def _dtype(value: Tensor) -> str:
    return str(value.dtype).removeprefix("torch.")
