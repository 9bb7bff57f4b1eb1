"""The FLOPs per second that a device reaches in a matrix product."""

from __future__ import annotations

import time

import torch

TRIES = 5
SIZES = {"cpu": 1024, "cuda": 8192}
"""Rows of the square matrices: enough work to keep the device busy, little enough to be quick."""


def measured_peak(device: torch.device, dtype: torch.dtype) -> tuple[float, str]:
    """FLOPs per second of the fastest of some matrix products, and how they were measured.

    Half of them are multiplications. Settings of torch such as its number of threads and TF32 apply.
    """
    size = SIZES.get(device.type, 4096)
    matrix = torch.randn(size, size, device=device, dtype=dtype)
    result = torch.empty_like(matrix)
    fastest = float("inf")
    for _ in range(TRIES + 1):  # The first one also sets up the library.
        start = time.perf_counter()
        torch.mm(matrix, matrix, out=result)
        if device.type != "cpu":
            torch.get_device_module(device).synchronize()
        fastest = min(fastest, time.perf_counter() - start)
    name = str(dtype).removeprefix("torch.")
    return 2 * size**3 / fastest, f"measured: a product of {size} x {size} matrices in {name}"
