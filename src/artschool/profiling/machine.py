"""What the device of a run can do."""

from __future__ import annotations

import os

import torch

from artschool.engine.precision import DTYPES
from artschool.engine.run import Run
from artschool.profiling.peak import measured_peak
from artschool.profiling.report import Machine

AMPERE = 8
"""The major compute capability from which CUDA devices have TF32 and bfloat16."""


def machine_of(run: Run) -> Machine:
    """The device of a run. Measures the FLOPs per second that it reaches."""
    device = run.device
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    peak, source = measured_peak(device, DTYPES.get(run.sections.train.precision, torch.float32))
    if device.type != "cuda":
        number = torch.get_num_threads()
        threads = f", {number} thread{'s' if number > 1 else ''}" if device.type == "cpu" else ""
        return Machine(device.type, f"{device.type}{threads}", cpus, peak_flops=peak, source=source)
    properties = torch.cuda.get_device_properties(device)
    is_new = properties.major >= AMPERE
    return Machine(
        "cuda",
        properties.name,
        cpus,
        memory=properties.total_memory,
        has_tf32=is_new,
        uses_tf32=torch.get_float32_matmul_precision() != "highest",
        has_bf16=is_new,
        peak_flops=peak,
        source=source,
    )
