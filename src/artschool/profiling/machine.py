"""What the device of a run can do."""

from __future__ import annotations

import re

import torch

from artschool.cost.hardware import GPUS, Gpu
from artschool.data.workers import cores
from artschool.engine.precision import DTYPES
from artschool.engine.run import Run
from artschool.profiling.peak import measured_peak
from artschool.profiling.report import Machine

AMPERE = 8
"""The major compute capability from which CUDA devices have TF32 and bfloat16."""
SLOWER = ("pcie", "nvl", "laptop", "max-q")
"""Variants of GPUs whose rates differ from those of the data sheet."""


def machine_of(run: Run) -> Machine:
    """The device of a run. If no data sheet of it is known, measures the FLOPs per second that it reaches."""
    device = run.device
    dtype = DTYPES.get(run.sections.train.precision, torch.float32)
    cpus = cores()
    if device.type != "cuda":
        number = torch.get_num_threads()
        threads = f", {number} thread{'s' if number > 1 else ''}" if device.type == "cpu" else ""
        peak, source = measured_peak(device, dtype)
        return Machine(device.type, f"{device.type}{threads}", cpus, peak_flops=peak, source=source)
    properties = torch.cuda.get_device_properties(device)
    is_new = properties.major >= AMPERE
    uses_tf32 = torch.get_float32_matmul_precision() != "highest"
    gpu = data_sheet(properties.name)
    if gpu is None:
        peak, source = measured_peak(device, dtype)
    else:
        kind = str(dtype).removeprefix("torch.")
        peak = gpu.fp32 if kind == "float32" and not uses_tf32 else gpu.rate(kind)
        source = f"in {kind} by its data sheet"
    return Machine(
        "cuda",
        properties.name,
        cpus,
        memory=properties.total_memory,
        has_tf32=is_new,
        uses_tf32=uses_tf32,
        has_bf16=is_new,
        peak_flops=peak,
        source=source,
    )


def data_sheet(name: str) -> Gpu | None:
    """The GPU that CUDA calls by a name, such as `NVIDIA A100-SXM4-80GB`. None: its rates are not known."""
    name = name.lower()
    if any(variant in name for variant in SLOWER):
        return None
    for gpu in GPUS.values():
        pattern = gpu.name.replace("rtx", "rtx ").replace("-", ".*-")
        if re.search(rf"\b{pattern}(gb)?\b", name):
            return gpu
    return None
