"""The device of a process, by its name."""

from __future__ import annotations

import torch

from artschool import ranks
from artschool.config.structure import Config
from artschool.errors import ConfigError
from artschool.faults import Fault, Place

COMMAND = Place("")
"""The location of what no file says."""


def choose_device(config: Config) -> torch.device:
    """The device of `train.device`. `auto` is a GPU if there is one. Each process uses its own GPU.

    Raises:
        ConfigError: The device does not exist.
    """
    return device_of(config.sections.train.device, config.tree.at(("train", "device")).place, "train.device")


def device_of(name: str, place: Place = COMMAND, path: str = "device") -> torch.device:
    """A device by its name. `auto` is a GPU if there is one. Each process uses its own GPU.

    Args:
        place: The location of the name, for the error.
        path: What the name is.

    Raises:
        ConfigError: The device does not exist.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(Fault(place, path, f"expected auto, cpu, cuda or another device, got {name!r}")) from None
    if device.type == "cpu":
        return device
    if device.type == "cuda" and device.index is None:
        device = torch.device("cuda", ranks.local_rank())
    kind = torch.get_device_module(device)
    number = kind.device_count() if kind.is_available() else 0
    if (device.index or 0) >= number:
        available = (
            f"{number} {device.type} device{'s' if number > 1 else ''}" if number else f"no {device.type} device"
        )
        message = f"{device} does not exist: this machine has {available}"
        in_file = "`train.device=cpu` on the command line trains without a GPU"
        fix = in_file if path == "train.device" else "`cpu` needs no GPU"
        raise ConfigError(Fault(place, path, message, f"`auto` uses a GPU if there is one. Fix: {fix}."))
    if device.type == "cuda":
        torch.cuda.set_device(device)
    return device
