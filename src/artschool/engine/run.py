"""A run that is ready to train."""

from __future__ import annotations

from typing import Self

from artschool.engine.loop import train
from artschool.engine.run_state import RunState


class Run(RunState):
    """A run that can be trained."""

    def __repr__(self) -> str:
        done = f"{self.iteration:,} of {self.iterations:,} iterations"
        return f"<{self.sections.name}: {done} on {self.device}: {', '.join(self.networks)}; {self.folder}>"

    def train(self) -> Self:
        """Train until the last iteration. Log, evaluate and save as configured.

        Returns immediately if the run is finished.

        Raises:
            Stopped: A signal arrived. A checkpoint is saved, so the same command resumes the run.
            NumericsError: Too many updates were non-finite.
            ResourceError: A checkpoint could not be written.
        """
        train(self)
        return self
