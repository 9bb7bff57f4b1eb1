"""The names that `artschool` offers: everything that a user or a plugin imports."""

from artschool.components.injectors.reverse_gradient import reverse_gradient
from artschool.engine.data_examples import Example, NetworkCall
from artschool.engine.logger import Logger
from artschool.engine.run import Run
from artschool.engine.run_state import RunState
from artschool.errors import (
    ArtschoolError,
    CheckpointError,
    ConfigError,
    DataError,
    EndedByOther,
    NumericsError,
    ResourceError,
    StateError,
    Stopped,
)
from artschool.model.model import Model
from artschool.model.opening import open_run as open
from artschool.ranks import all_gather
from artschool.registry import (
    ComponentRole,
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
from artschool.registry.signature import (
    Context,
    Dataset,
    Injector,
    Loss,
    Metric,
    Network,
    Scheduled,
    ShapeOf,
)
from artschool.registry.units import Iterations
from artschool.start import load, load_trained

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
