"""Sets the flags that torch keeps for the whole process."""

from __future__ import annotations

import warnings

import torch

from artschool.config.train_section import TrainSection


def set_torch_flags(train: TrainSection, device: torch.device) -> None:
    """Set the flags of the section `train`."""
    torch.use_deterministic_algorithms(train.deterministic)
    torch.backends.cudnn.benchmark = train.cudnn_benchmark
    torch.autograd.set_detect_anomaly(train.detect_anomaly)
    precision = train.matmul_precision_on(device.type)
    if precision is not None:
        _set_matmul_precision(precision)


def _set_matmul_precision(precision: str) -> None:
    # Not through `fp32_precision`: torch raises an error where code of others then reads `allow_tf32`. Both of these
    # set the old and the new names. torch 2.9 to 2.12 warn about the second one.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.set_float32_matmul_precision(precision)
        torch.backends.cudnn.allow_tf32 = precision != "highest"
