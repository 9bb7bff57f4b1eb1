"""The optimizers of the package pytorch-optimizer, by name."""

from __future__ import annotations

import importlib
import inspect
from typing import Any, Literal

from torch.optim.optimizer import Optimizer, ParamsT

from artschool.errors import ResourceError, allowed
from artschool.registry import optimizers

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
"""Those of version 4.1 that train parameters of any shape by their gradients alone, keep one set of weights, and resume
to the last bit; without those that have a name of their own here, such as `adamw`."""


@optimizers.register
def pytorch_optimizer(
    params: ParamsT,
    *,
    name: Name,
    lr: float | None = None,
    weight_decay: float | None = None,
    options: dict[str, Any] | None = None,
) -> Optimizer:
    """One of the optimizers of the package pytorch-optimizer, such as Lion: `pip install 'artschool[optim]'`.

    None of them supports `found_inf`, so that skipping a non-finite update costs one synchronisation per step.

    Args:
        params: As for every PyTorch optimizer.
        name: The optimizer's name in that package, in lower case.
        lr: Learning rate; the optimizer's own default where it is not given.
        weight_decay: Weight decay; the optimizer's own default where it is not given.
        options: The optimizer's other options by name.

    Raises:
        ValueError: It has no such option.
        ResourceError: The package is not installed.
    """
    try:
        package = importlib.import_module("pytorch_optimizer")
    except ModuleNotFoundError:
        raise ResourceError(
            f"optimizer {name!r} needs the package pytorch-optimizer: pip install pytorch-optimizer"
        ) from None
    target = package.load_optimizer(name)
    given = {"lr": lr, "weight_decay": weight_decay}
    chosen = {key: value for key, value in given.items() if value is not None} | (options or {})
    known = [key for key in inspect.signature(target).parameters if key not in ("params", "kwargs")]
    for key in chosen:
        if key not in known:  # It would take and ignore it.
            raise ValueError(f"{name} has no option {key!r}. {allowed('It has', key, known)}")
    optimizer: Optimizer = target(params, **chosen)
    return optimizer
