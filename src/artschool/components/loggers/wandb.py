"""Weights & Biases."""

from __future__ import annotations

import io
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from artschool.components.loggers.tracker import read_id, write_id
from artschool.extras import extra
from artschool.media.pixels import images_of
from artschool.registry import loggers

FILE = "wandb.id"
"""The file of a run folder with the id of its run at Weights & Biases."""


@loggers.register("wandb")
class WandbLogger:
    """Log numbers and images to a run of Weights & Biases; a resumed run continues the same one.

    The file `wandb.id` of the run folder identifies it, so that a folder that was moved continues it, too.

    The configuration file is uploaded with `${env:...}` unfilled. `mode: offline` keeps everything in the run's folder.

    Args:
        project: Project at Weights & Biases that the run belongs to.
        entity: User or team that owns the project. null: your default entity.
        mode: Upload mode: `online` uploads during the run, `offline` stores everything in the run's folder, `disabled`
            logs nothing.

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
        with extra("wandb"):
            import wandb
        self._wandb: Any = wandb
        self._project, self._entity, self._mode = project, entity, mode
        self._run: Any = None

    def start(self, run: Any) -> None:
        """Start or resume the run whose id is in the run folder."""
        folder = Path(run.folder).resolve()
        self._run = self._wandb.init(
            project=self._project,
            entity=self._entity,
            mode=self._mode,
            name=run.sections.name,
            id=_id_of(folder),
            resume="allow",
            dir=str(folder),
            config=run.config,
        )

    def log(self, record: Mapping[str, float]) -> None:
        """Send the numbers."""
        self._run.log(dict(record), step=int(record["iteration"]))

    def picture(self, key: str, iteration: int, values: Tensor) -> None:
        """Send images, (B, 1 or 3, H, W) or (B, H, W) in 0..1; ignore other tensors."""
        images = images_of(values)
        if images:
            self._run.log({f"pictures/{key}": [self._wandb.Image(image) for image in images]}, step=iteration - 1)

    def audio(self, key: str, iteration: int, waves: Sequence[Tensor], rate: int) -> None:
        """Send sound, (C, T) for each sample."""
        sounds = [self._wandb.Audio(wave.float().T.numpy(), sample_rate=rate) for wave in waves]
        self._run.log({f"audio/{key}": sounds}, step=iteration - 1)

    def video(self, key: str, iteration: int, gif: bytes) -> None:
        """Send an animated image."""
        self._run.log({f"video/{key}": self._wandb.Video(io.BytesIO(gif), format="gif")}, step=iteration - 1)

    def close(self) -> None:
        """Finish the run."""
        if self._run is not None:
            self._run.finish()
            self._run = None


def _id_of(folder: Path) -> str:
    """The id in a run folder, or a new one."""
    file = folder / FILE
    known = read_id(file)
    if known:
        return known
    new = secrets.token_hex(8)
    write_id(file, new)
    return new
