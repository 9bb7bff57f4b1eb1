"""Train any set of PyTorch networks that learn together from one YAML file.

In Python: `run = artschool.load("x.yml"); run.train(); run.networks["gen"]`. For your own components:
`from artschool import Context, Network, injectors, losses`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from artschool.release import VERSION

if TYPE_CHECKING:
    from artschool.public import (
        ArtschoolError,
        CheckpointError,
        ComponentRole,
        ConfigError,
        Context,
        DataError,
        Dataset,
        EndedByOther,
        Example,
        Injector,
        Iterations,
        Logger,
        Loss,
        Metric,
        Model,
        Network,
        NetworkCall,
        NumericsError,
        ResourceError,
        Run,
        RunState,
        Scheduled,
        ShapeOf,
        StateError,
        Stopped,
        all_gather,
        callbacks,
        datasets,
        injectors,
        load,
        load_trained,
        loggers,
        losses,
        metrics,
        networks,
        open,
        optimizers,
        reverse_gradient,
        schedules,
    )

__version__ = VERSION

__all__ = [
    "ArtschoolError",
    "CheckpointError",
    "ComponentRole",
    "ConfigError",
    "Context",
    "DataError",
    "Dataset",
    "EndedByOther",
    "Example",
    "Injector",
    "Iterations",
    "Logger",
    "Loss",
    "Metric",
    "Model",
    "Network",
    "NetworkCall",
    "NumericsError",
    "ResourceError",
    "Run",
    "RunState",
    "Scheduled",
    "ShapeOf",
    "StateError",
    "Stopped",
    "__version__",
    "all_gather",
    "callbacks",
    "datasets",
    "injectors",
    "load",
    "load_trained",
    "loggers",
    "losses",
    "metrics",
    "networks",
    "open",
    "optimizers",
    "reverse_gradient",
    "schedules",
]


def __getattr__(name: str) -> Any:
    """Import the public names on first use, so that `artschool --help` does not wait for torch."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from artschool.torch_version import check_torch

    check_torch()
    from artschool import public

    return getattr(public, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
