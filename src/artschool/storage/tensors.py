"""Reads files of tensors without running code from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch._subclasses.fake_tensor import unset_fake_temporarily

from artschool.errors import CheckpointError


def read_content(file: Path) -> Any:
    """The content of a file, on the CPU: a mapping for `.safetensors`, otherwise the value given to `torch.save`.

    Raises:
        CheckpointError: The file is missing or damaged, has an unknown format, or contains code.
    """
    if not file.is_file():
        raise CheckpointError(f"{file}: file does not exist")
    try:
        # A trace has tensors without values, but it needs the real tensors of a file for their names and shapes.
        with unset_fake_temporarily():
            if file.suffix == ".safetensors":
                return load_file(file)
            if file.suffix in (".pt", ".pth", ".ckpt"):
                return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # A damaged file can raise any exception.
        # torch raises pickle's UnpicklingError for a file with code. pickle is not imported here on purpose.
        if type(error).__name__ != "UnpicklingError":
            raise CheckpointError(f"{file}: cannot read: {error}") from error
        if "Unsupported operand" in str(error):  # Not a pickle, such as a web page that was saved as weights.
            raise CheckpointError(f"{file}: cannot read: the file was not written by torch.save") from None
        raise CheckpointError(
            f"{file}: contains code, which is not run. Fix: save only `network.state_dict()`"
        ) from None
    raise CheckpointError(f"{file}: unknown format (expected .safetensors, .pt, .pth or .ckpt)")
