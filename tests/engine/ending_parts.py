"""A data set whose samples take time, and a network that does when it is built or called."""

from __future__ import annotations

import time
from pathlib import Path

from torch import Tensor, nn

from artschool.registry import datasets, networks
from tests.engine import toy_run
from tests.engine.toy_run import Pair, Pairs

PLUGINS = f"plugins=[{Path(__file__).resolve()}]"
"""The override with which a file finds these parts, and those of the toy run, which the import registers."""


@datasets.register("ending_pairs")
class SlowPairs(Pairs):
    """Pairs of which each takes `seconds`, and number `hangs_at` an hour.

    The file `mark` is created when number `marks_at` is read.
    """

    def __init__(
        self,
        length: int = 8,
        seconds: float = 0.0,
        hangs_at: int | None = None,
        mark: str = "",
        marks_at: int | None = None,
    ) -> None:
        super().__init__(length)
        self._seconds, self._hangs_at, self._mark, self._marks_at = seconds, hangs_at, mark, marks_at

    def __getitem__(self, index: int) -> Pair:
        if index == self._marks_at:
            Path(self._mark).touch()
        time.sleep(3600 if index == self._hangs_at else self._seconds)
        return super().__getitem__(index)


@networks.register("ending_generator")
class SlowGenerator(nn.Module):
    """The generator of the toy run, which takes `build` seconds to build and `call` seconds for each call.

    It creates the file `mark` when it starts to wait.
    """

    def __init__(self, mark: str, build: float = 0.0, call: float = 0.0) -> None:
        super().__init__()
        self._mark, self._call = Path(mark), call
        self.generator = toy_run.run_generator()
        self._wait(build)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, 3, 2H, 2W)."""
        self._wait(self._call)
        return self.generator(x)  # type: ignore[no-any-return]  # Modules return anything.

    def _wait(self, seconds: float) -> None:
        if seconds:
            self._mark.touch()
            time.sleep(seconds)
