"""How much memory processes can still take, within the limit of their container or job."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

GROUPS = Path("/sys/fs/cgroup")
OWN_GROUPS = Path("/proc/self/cgroup")
_FILES = {
    "": ("", "memory.max", "memory.current", "inactive_file"),
    "memory": ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}
"""Of each version of control groups, by its controller: the folder of all groups, the files with the limit and with
what is used, and the line of `memory.stat` with the part of that which the kernel takes back when it needs it."""


class Memory(NamedTuple):
    """Memory in bytes.

    Attributes:
        available: What processes can still take.
        limit: What a container or job may take at most. None: all of the machine.
    """

    available: int
    limit: int | None


def available_memory() -> Memory | None:
    """The memory of this machine, or of the container or job where that has less. None: unknown."""
    try:
        found = re.search(r"^MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
    except OSError:
        return None
    return min([Memory(int(found[1]) * 1024, None), *_limits()], key=lambda memory: memory.available) if found else None


def _limits() -> Iterator[Memory]:
    """The limit of each control group of this process, and of those above it."""
    with suppress(OSError):
        for line in OWN_GROUPS.read_text().splitlines():
            _, controllers, group = line.split(":", 2)
            for controller in _FILES.keys() & controllers.split(","):
                # A container sees its own group as the uppermost one, whatever its name is outside.
                for folder in (Path(group[1:]), *Path(group[1:]).parents):
                    yield from _limit(folder, *_FILES[controller])


def _limit(group: Path, root: str, most: str, used: str, taken_back: str) -> Iterator[Memory]:
    folder = GROUPS / root / group
    with suppress(OSError, ValueError):  # No such group, or it has no limit.
        limit = int((folder / most).read_text())
        spare = re.search(rf"^{taken_back} (\d+)$", (folder / "memory.stat").read_text(), re.MULTILINE)
        yield Memory(max(0, limit - int((folder / used).read_text()) + (int(spare[1]) if spare else 0)), limit)
