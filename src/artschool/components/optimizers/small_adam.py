"""Adam of optional packages, with moments that take less memory."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from torch.optim.optimizer import Optimizer, ParamsT

from artschool.errors import ConfigError
from artschool.extras import extra
from artschool.ranks import is_sharded


def small_adam(
    params: ParamsT, name: str, module: str, kind: str, changes: type[Optimizer], options: Mapping[str, Any]
) -> Optimizer:
    """Build an optimizer of an optional package.

    Args:
        params: Parameters or groups of parameters.
        name: Its name in the file.
        module: The module of its class, such as `torchao.optim`. The extra is called like the package.
        kind: The name of its class.
        changes: A class whose methods take the place of those of its class.
        options: Its options. Those that are None have the default of the package.

    Raises:
        ResourceError: The package is not installed.
        ConfigError: A parameter is sharded.
    """
    with extra(module.partition(".")[0], f"optimizer {name!r}"):
        base = getattr(importlib.import_module(module), kind)
    given = {option: value for option, value in options.items() if value is not None}
    optimizer: Optimizer = type(base.__name__, (changes, base), {})(params, **given)
    if any(is_sharded(parameter) for group in optimizer.param_groups for parameter in group["params"]):
        raise ConfigError(
            f"{name} cannot save its state for networks that are sharded. Fix: write `parallel: replicate`"
        )
    return optimizer
