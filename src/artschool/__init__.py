"""Train any set of PyTorch networks that learn together from one YAML file.

From Python: `run = artschool.load("x.yml"); run.train(); run.networks["gen"]`. For components of your own:
`from artschool import Context, Network, injectors, losses`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from artschool.engine.run import Logger, Run
    from artschool.errors import (
        ArtschoolError,
        CheckpointError,
        ConfigError,
        DataError,
        NumericsError,
        ResourceError,
        StateError,
        Stopped,
    )
    from artschool.registry import (
        callbacks,
        datasets,
        injectors,
        loggers,
        losses,
        metrics,
        networks,
        optimizers,
        schedules,
    )
    from artschool.signature import Context, Dataset, Injector, Loss, Metric, Network
    from artschool.start import load, load_trained

__version__ = "0.1.0"

__all__ = [
    "ArtschoolError",
    "CheckpointError",
    "ConfigError",
    "Context",
    "DataError",
    "Dataset",
    "Injector",
    "Logger",
    "Loss",
    "Metric",
    "Network",
    "NumericsError",
    "ResourceError",
    "Run",
    "StateError",
    "Stopped",
    "__version__",
    "callbacks",
    "datasets",
    "injectors",
    "load",
    "load_trained",
    "loggers",
    "losses",
    "metrics",
    "networks",
    "optimizers",
    "schedules",
]

# The same modules as above, for `__getattr__`: a type checker cannot read a table, and an import would load torch.
_MODULES = {
    "engine.run": ("Logger", "Run"),
    "errors": (
        *("ArtschoolError", "CheckpointError", "ConfigError", "DataError"),
        *("NumericsError", "ResourceError", "StateError", "Stopped"),
    ),
    "registry": (
        *("callbacks", "datasets", "injectors", "loggers", "losses"),
        *("metrics", "networks", "optimizers", "schedules"),
    ),
    "signature": ("Context", "Dataset", "Injector", "Loss", "Metric", "Network"),
    "start": ("load", "load_trained"),
}
_MODULE_OF = {name: f"{__name__}.{module}" for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that `artschool --help` does not wait for torch."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULE_OF[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
