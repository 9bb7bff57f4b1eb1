"""A run that is ready to train."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

from artschool.engine.loop import train
from artschool.engine.run_state import RunState
from artschool.show.notebook import NetworkRow, as_html


class Run(RunState):
    """A run that can be trained."""

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

    def __repr__(self) -> str:
        """Name, progress, device, networks and folder, on one line."""
        progress = f"{self.iteration:,} of {self.iterations:,} iterations on {self.device}"
        return f"<run {self.sections.name}: {progress}; {', '.join(self.networks)}; {self.folder}>"

    def _repr_html_(self) -> str:
        """What a notebook shows: the networks, and the newest images and a curve of the run folder."""
        title = f"{self.sections.name}: {self.iteration:,} of {self.iterations:,} iterations on {self.device}"
        return as_html(title, self._rows(), self.folder)

    def _rows(self) -> Iterator[NetworkRow]:
        # Not those that require gradients, since all are frozen between two steps.
        trained = {parameter for step in self.steps if step.update for parameter in step.update.parameters}
        for name, network in self.networks.items():
            parameters = list(network.parameters())
            size, moved = (sum(p.numel() for p in part) for part in (parameters, trained.intersection(parameters)))
            how = "frozen" if not moved else "trained" if moved == size else f"{moved:,} of them trained"
            averages = [f", averaged as {ema.name}" for ema in self.emas.values() if ema.of == name]
            yield NetworkRow(name, type(network).__name__.removeprefix("FSDP"), size, how + "".join(averages))
