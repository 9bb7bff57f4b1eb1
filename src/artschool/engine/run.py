"""A run: everything that a checked file became, ready to train."""

from __future__ import annotations

from typing import Self

from artschool.engine.loop import train
from artschool.engine.run_state import RunState


class Run(RunState):
    """A run that can be trained."""

    def train(self) -> Self:
        """Train until the last iteration; save, log and evaluate as the file says.

        A run that is finished returns at once.

        Raises:
            Stopped: A signal arrived. The run is saved, and the same command resumes it.
            NumericsError: Too many updates were not finite, and the file asks to stop.
            ResourceError: A checkpoint could not be written.
        """
        train(self)
        return self
