"""The marks of tests that need a CUDA device."""

from __future__ import annotations

import os

import pytest
import torch

ON_CUDA = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]
WATCHED = [*ON_CUDA, pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype")]
"""Of tests in which torch watches for waits. It warns when that is first switched on."""


def is_pretended() -> bool:
    """Whether the device is that of `tests.pretended_cuda`."""
    return "device.so" in os.environ.get("LD_PRELOAD", "")
