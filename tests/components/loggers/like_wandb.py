"""A stand-in for wandb, and for packages with its interface."""

from __future__ import annotations

from types import ModuleType, SimpleNamespace
from typing import Any


class LikeWandb(ModuleType):
    """A package with the functions of wandb, which keeps what it is given."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.started: list[dict[str, Any]] = []
        self.logged: list[tuple[int, dict[str, Any]]] = []
        self.finished = 0
        self.Image = lambda image: image.shape

    def init(self, **options: Any) -> SimpleNamespace:
        self.started.append(options)
        return SimpleNamespace(log=self._log, finish=self._finish)

    def _log(self, values: dict[str, Any], step: int) -> None:
        self.logged.append((step, values))

    def _finish(self) -> None:
        self.finished += 1
