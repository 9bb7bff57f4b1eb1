"""Optimizers of the package pytorch-optimizer, by name."""

from __future__ import annotations

import importlib
import inspect
from typing import Any, Literal

from torch.optim.optimizer import Optimizer, ParamsT

from artschool.extras import extra
from artschool.registry import optimizers
from artschool.wording.names import allowed

# fmt: off
Name = Literal[
    "accsgd", "adabelief", "adabound", "adagc", "adai", "adalite", "adamc", "adamg", "adamod", "adamp", "adams",
    "adamwsn", "adan", "adanorm", "adapnm", "adasmooth", "adatam", "ademamix", "adopt", "aida", "alice", "amos",
    "ano", "apollo", "apollodqn", "avagrad", "bcos", "came", "conda", "dadaptadagrad", "dadaptadam",
    "dadaptadan", "dadaptlion", "dadaptsgd", "diffgrad", "exadam", "fadam", "fira", "flashadamw", "focus",
    "fromage", "ftrl", "galore", "grams", "gravity", "grokfastadamw", "kate", "laprop", "lion", "mars", "msvag",
    "nero", "novograd", "padam", "pid", "pnm", "prodigy", "qhadam", "qhm", "racs", "ranger", "rose", "scion",
    "scionlight", "sgdp", "sgdsai", "sgdw", "shampoo", "signsgd", "simplifiedademamix", "sm3", "srmm",
    "stableadamw", "swats", "tam", "tiger", "vsgd", "yogi",
]
# fmt: on
"""Optimizers of version 4.1 that need only gradients, take parameters of any shape, keep one set of weights and resume
bit-exactly. Optimizers that are components already, such as `adamw`, are left out."""


@optimizers.register
def pytorch_optimizer(
    params: ParamsT,
    *,
    name: Name,
    lr: float | None = None,
    weight_decay: float | None = None,
    options: dict[str, Any] | None = None,
) -> Optimizer:
    """An optimizer of the package pytorch-optimizer, such as Lion. Requires `pip install 'artschool[optim]'`.

    `found_inf` is not supported, so skipping a non-finite update costs one synchronization per step.

    Args:
        params: Parameters or groups of parameters, as for every PyTorch optimizer.
        name: Name of the optimizer in the package, in lower case.
        lr: Learning rate. null: the default of the optimizer.
        weight_decay: Weight decay. null: the default of the optimizer.
        options: Other options of the optimizer, by name.

    Raises:
        ValueError: The optimizer does not have one of the options.
        ResourceError: The package is not installed.
    """
    with extra("optim", f"optimizer {name!r}"):
        package = importlib.import_module("pytorch_optimizer")
    target = package.load_optimizer(name)
    given = {"lr": lr, "weight_decay": weight_decay}
    chosen = {key: value for key, value in given.items() if value is not None} | (options or {})
    known = [key for key in inspect.signature(target).parameters if key not in ("params", "kwargs")]
    for key in chosen:
        if key not in known:  # The optimizer would ignore it.
            raise ValueError(f"unknown option {key!r} of {name}. {allowed('Available options', key, known)}")
    optimizer: Optimizer = target(params, **chosen)
    return optimizer
