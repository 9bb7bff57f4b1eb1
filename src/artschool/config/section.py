"""What all sections of a file have in common, and the entries of components in them, which are not validated yet."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict

from artschool.registry.signature import Marker, Role

RawDataset = Annotated[dict[str, Any], Marker(Role.NESTED, "datasets")]
"""The entry of a component, not validated yet, like those below."""
RawNetwork = Annotated[dict[str, Any], Marker(Role.NESTED, "networks")]
RawOptimizer = Annotated[dict[str, Any], Marker(Role.NESTED, "optimizers")]
RawInjector = Annotated[dict[str, Any], Marker(Role.NESTED, "injectors")]
RawLoss = Annotated[dict[str, Any], Marker(Role.NESTED, "losses")]
RawCallback = Annotated[dict[str, Any], Marker(Role.NESTED, "callbacks")]
RawMetric = Annotated[dict[str, Any], Marker(Role.NESTED, "metrics")]
RawLogger = Annotated[dict[str, Any], Marker(Role.NESTED, "loggers")]


class Section(BaseModel):
    """A mapping of the file. Unknown options are faults."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, protected_namespaces=())
