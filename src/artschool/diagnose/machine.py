"""The checks of a machine. Each yields findings, and changes nothing."""

from __future__ import annotations

import platform
import re
import resource
import shutil
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path

import torch

from artschool.data.workers import cores
from artschool.diagnose.finding import Finding
from artschool.diagnose.memory import available_memory
from artschool.engine.room import free_bytes, in_bytes
from artschool.paths import exists, is_dir
from artschool.release import VERSION
from artschool.wording.counting import counted

SHARED_MEMORY = Path("/dev/shm")
LEAST_SHARED_MEMORY = 1_000_000_000
LEAST_FILES = 1024
LEAST_DISK = 1_000_000_000
EARLIEST = 1_767_225_600
"""2026-01-01 UTC. This version is newer."""
_NEEDED = re.compile(
    r"(?P<name>[\w.-]+)\s*(\[[^]]*\])?\s*(>=(?P<least>[\d.]+))?[^;]*(;.*extra == ['\"](?P<extra>[\w-]+)['\"])?"
)


def versions() -> Iterator[Finding]:
    """Python, torch and artschool, and the packages that artschool uses. Those of extras may be missing."""
    yield Finding(
        "versions",
        f"artschool {VERSION}, torch {torch.__version__}, Python {platform.python_version()} on "
        f"{platform.system()} {platform.machine()}",
    )
    extras: dict[str, str] = {}
    try:
        required = distribution("artschool").requires or []
    except PackageNotFoundError:
        yield Finding("versions", "artschool is not installed and runs from its source; its packages were not compared")
        required = []
    for line in required:
        needed = _NEEDED.match(line)
        assert needed is not None
        name, least, extra = needed["name"], needed["least"] or "0", needed["extra"]
        try:
            found = version(name)
        except PackageNotFoundError:
            found = ""
        if extra:
            extras[name] = found
        if found and _parts(found) < _parts(least):
            yield Finding("versions", f"{name} {found} is too old", f"pip install '{name}>={least}'")
        elif not found and not extra:
            yield Finding("versions", f"{name} is not installed", f"pip install '{name}>={least}'")
    installed = ", ".join(f"{name} {found}" for name, found in extras.items() if found) or "none"
    missing = ", ".join(name for name, found in extras.items() if not found)
    yield Finding("extras", f"{installed}; not installed: {missing or 'none'}")


def devices() -> Iterator[Finding]:
    """The devices on which torch can train, and free memory."""
    number = cores()
    found = available_memory()
    limit = f" of the {in_bytes(found.limit)} that the container or job may take" if found and found.limit else ""
    memory = f", {in_bytes(found.available)} of memory available{limit}" if found else ""
    yield Finding("devices", f"cpu: {counted(number, 'core')}{memory}")
    for index in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(index)
        yield Finding(
            "devices",
            f"cuda:{index}: {torch.cuda.get_device_name(index)}, {in_bytes(free)} of {in_bytes(total)} free",
            "end the processes that `nvidia-smi` lists, if they are not yours" if free < total / 2 else "",
        )
    if torch.cuda.device_count() == 0 and exists(Path("/dev/nvidiactl")):
        built = f"is built for CUDA {torch.version.cuda}" if torch.version.cuda else "is built without CUDA"
        yield Finding(
            "devices",
            f"this machine has an NVIDIA driver, but torch {built} and finds no GPU",
            "compare the driver in `nvidia-smi` with the CUDA version of torch, and look at CUDA_VISIBLE_DEVICES",
        )


def shared_memory() -> Iterator[Finding]:
    """The memory through which the processes of several GPUs exchange tensors. Data workers do not use it."""
    if not is_dir(SHARED_MEMORY):
        return
    usage = shutil.disk_usage(SHARED_MEMORY)
    is_small = usage.free < LEAST_SHARED_MEMORY and torch.cuda.device_count() > 1
    yield Finding(
        "shared memory",
        f"{SHARED_MEMORY}: {in_bytes(usage.free)} of {in_bytes(usage.total)} free",
        "start the container with --shm-size=8g, or delete old files in it: NCCL needs it for several GPUs"
        if is_small
        else "",
    )


def open_files() -> Iterator[Finding]:
    """How many files a process may have open. Batches from workers take some."""
    limit, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield Finding(
        "open files",
        f"a process may open {limit if limit != resource.RLIM_INFINITY else 'any number of'} files",
        f"ulimit -n {65536 if most == resource.RLIM_INFINITY else most}" if 0 <= limit < LEAST_FILES else "",
    )


def clock() -> Iterator[Finding]:
    """Whether the clock is right, as far as it can be known."""
    now = time.time()
    text = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now))
    yield Finding("clock", text, "set the clock: it is before this version was made" if now < EARLIEST else "")


def working_folder() -> Iterator[Finding]:
    """The disk of the working folder."""
    yield from disk(Path(), LEAST_DISK, "")


def disk(folder: Path, needed: int, what: str) -> Iterator[Finding]:
    """Whether a disk has room.

    Args:
        needed: Number of bytes.
        what: What takes them, for the text.
    """
    free = free_bytes(folder)
    fix = f"free {in_bytes(needed - free)}, or lower `checkpoint.keep_last`" if free < needed else ""
    yield Finding("disk", f"{folder.absolute()}: {in_bytes(free)} free{what}", fix)


def _parts(text: str) -> list[int]:
    """The numbers of a version: `[2, 13, 0]` of `2.13.0+cpu`."""
    return [int(part) for part in re.findall(r"\d+", text.partition("+")[0])[:3]]
