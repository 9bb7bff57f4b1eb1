"""Train any set of PyTorch networks that learn together from one YAML file.

From Python: `run = artschool.load("x.yml"); run.train(); run.networks["gen"]`. For components of your own:
`from artschool import Context, Network, injectors, losses`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from artschool.registry import callbacks, datasets, injectors, losses, metrics, networks, optimizers, schedules
    from artschool.registry.signature import Context, Dataset, Injector, Loss, Metric, Network
    from artschool.start import load

__all__ = [
    "Context",
    "Dataset",
    "Injector",
    "Loss",
    "Metric",
    "Network",
    "callbacks",
    "datasets",
    "injectors",
    "load",
    "losses",
    "metrics",
    "networks",
    "optimizers",
    "schedules",
]


def __getattr__(name: str) -> Any:
    # Imported on first use, so that `artschool --help` need not wait for torch.
    if name not in __all__:
        raise AttributeError(f"module 'artschool' has no attribute {name!r}")
    if name == "load":
        from artschool.start import load

        return load
    from artschool.registry import registry, signature

    return getattr(signature if name[0].isupper() else registry, name)
