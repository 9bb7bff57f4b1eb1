"""The annotations of components, for plugins that import them from here. `artschool` itself has the common ones."""

from artschool.registry.signature import (
    Context,
    Count,
    Dataset,
    Fraction,
    Injector,
    Key,
    Loss,
    Metric,
    Natural,
    Network,
    NetworkName,
    NotNegative,
    Positive,
)
from artschool.registry.signature import UnitInterval as Share

__all__ = [
    "Context",
    "Count",
    "Dataset",
    "Fraction",
    "Injector",
    "Key",
    "Loss",
    "Metric",
    "Natural",
    "Network",
    "NetworkName",
    "NotNegative",
    "Positive",
    "Share",
]
