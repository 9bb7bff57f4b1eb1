"""Weights & Biases."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from artschool.errors import ResourceError
from artschool.registry import loggers


@loggers.register("wandb")
class WandbLogger:
    """Numbers and pictures as a run of Weights & Biases, which goes on as the same one after a resume.

    It sends the file to their servers, with `${env:...}` unfilled; `mode: offline` keeps all in the run's folder.

    Args:
        project: The project at Weights & Biases that the run is part of.
        entity: The user or team that owns the project; your own default without it.
        mode: `online` sends as it goes, `offline` keeps all in the run's folder, `disabled` does nothing.

    Raises:
        ResourceError: The package is not installed.
    """

    def __init__(
        self,
        *,
        project: str,
        entity: str | None = None,
        mode: Literal["online", "offline", "disabled"] = "online",
    ) -> None:
        try:
            import wandb
        except ModuleNotFoundError as error:
            raise ResourceError("log.loggers: wandb is not installed: pip install 'artschool[wandb]'") from error
        self._wandb: Any = wandb
        self._project, self._entity, self._mode = project, entity, mode
        self._run: Any = None

    def start(self, run: Any) -> None:
        """Begin or go on; the folder decides which run it is."""
        folder = Path(run.folder).resolve()
        self._run = self._wandb.init(
            project=self._project,
            entity=self._entity,
            mode=self._mode,
            name=run.sections.name,
            id=hashlib.sha256(str(folder).encode()).hexdigest()[:16],
            resume="allow",
            dir=str(folder),
            config=run.config,
        )

    def advance(self, run: Any) -> None:
        """Nothing to do."""

    def log(self, record: Mapping[str, float]) -> None:
        """Send the numbers."""
        self._run.log(dict(record), step=int(record["iteration"]))

    def picture(self, key: str, iteration: int, values: Tensor) -> None:
        """Send images, (B, 1 or 3, H, W) or (B, H, W) in 0..1; anything else is left out."""
        images = values.unsqueeze(1) if values.dim() == 3 else values
        if images.dim() != 4 or images.shape[1] not in (1, 3) or not images.is_floating_point():
            return
        pixels = images.detach().float().cpu().nan_to_num().clamp(0, 1).permute(0, 2, 3, 1).numpy()
        self._run.log({f"pictures/{key}": [self._wandb.Image(image) for image in pixels]}, step=iteration - 1)

    def note(self, message: str) -> None:
        """Nothing: numbers and pictures only."""

    def close(self) -> None:
        """Finish the run."""
        if self._run is not None:
            self._run.finish()
            self._run = None
