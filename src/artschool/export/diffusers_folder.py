"""Writes a model of diffusers as `from_pretrained` reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from artschool.errors import ConfigError
from artschool.export.called import CalledNetwork, calls_networks
from artschool.export.inference.with_torch import TOLERANCE, difference, named
from artschool.export.program import quiet
from artschool.export.subject import Subject


def write_diffusers(subject: Subject, called: CalledNetwork, folder: Path) -> float:
    """Write a model of diffusers, read it again, and compare.

    Returns:
        The largest difference.

    Raises:
        ConfigError: The network is not a model of diffusers, or it computes something else when it is read.
    """
    network: Any = called.network
    if not type(network).__module__.startswith("diffusers."):
        raise ConfigError(
            f"{subject.name}: is of type {subject.type!r}, which diffusers does not know. "
            "Fix: choose another format, or train a model of diffusers: `{type: diffusers, model: UNet2DModel, ...}`"
        )
    with quiet():
        network.save_pretrained(folder)
        read = type(network).from_pretrained(folder, local_files_only=True, use_safetensors=True).eval()
    read.register_forward_hook(lambda module, args, output: output.to_tuple())
    inputs = called.random_inputs()
    with calls_networks():
        theirs = dict(named(CalledNetwork(read, subject.call)(*inputs)))
        ours = dict(named(called(*inputs)))
    if len(theirs) == 1:
        theirs = dict(zip(ours, theirs.values(), strict=True))
    found = difference(theirs, ours)
    if found > TOLERANCE:
        raise ConfigError(f"{subject.name}: cannot be exported to diffusers: its outputs differ by {found:.1e}")
    return found
