"""Files of tensors, read without running any code that they hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch._subclasses.fake_tensor import unset_fake_temporarily

from artschool.errors import CheckpointError


def read_content(file: Path) -> Any:
    """What a file of tensors holds, on the CPU: for `.safetensors` a mapping, else whatever `torch.save` was given.

    Raises:
        CheckpointError: It is missing, damaged, of another format, or holds more than tensors and plain values.
    """
    if not file.is_file():
        raise CheckpointError(f"no weights file {file}")
    try:
        # A trace, in which tensors have no values, reads those of a file all the same: it has to know their shapes.
        with unset_fake_temporarily():
            if file.suffix == ".safetensors":
                return load_file(file)
            if file.suffix in (".pt", ".pth", ".ckpt"):
                return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # A damaged file may raise anything at all.
        # torch raises pickle's own error type for a file that holds code; that module is not imported here on purpose.
        if type(error).__name__ != "UnpicklingError":
            raise CheckpointError(f"{file} cannot be read: {error}") from error
        if "Unsupported operand" in str(error):  # No pickle at all, such as a web page that was saved as weights.
            raise CheckpointError(f"{file} cannot be read: torch.save did not write it") from None
        raise CheckpointError(
            f"{file} holds more than tensors, and loading it would run its code; save `network.state_dict()` alone"
        ) from None
    raise CheckpointError(f"{file}: weights are .safetensors, .pt, .pth or .ckpt")
