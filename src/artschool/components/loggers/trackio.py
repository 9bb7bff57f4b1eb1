"""Trackio."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from artschool.components.loggers.tracker import Images, Tracker, flat
from artschool.extras import extra
from artschool.registry import loggers


@loggers.register("trackio")
class TrackioLogger(Tracker):
    """Log numbers, images and settings to a run of Trackio; a resumed run continues the same one.

    The file `trackio.id` of the run folder has the name of the run at Trackio: that of the file, and a random part. The
    configuration is logged with `${env:...}` unfilled.

    Args:
        project: Project at Trackio that the run belongs to.
        space: Space at Hugging Face that shows the project, such as `user/space`. null: only on this machine.

    Raises:
        ResourceError: The package is not installed.
    """

    program = "trackio"

    def __init__(self, *, project: str, space: str | None = None) -> None:
        super().__init__()
        with extra("trackio"):
            import trackio
        self._trackio: Any = trackio
        self._project, self._space = project, space
        self._run: Any = None

    def begin(self, known: str, name: str, config: Mapping[str, Any]) -> str:
        """Start the run, or resume it by its name."""
        name = known or f"{name}-{secrets.token_hex(4)}"
        self._run = self._trackio.init(
            project=self._project,
            name=name,
            space_id=self._space,
            config=dict(flat(config)),
            resume="allow",
            embed=False,
        )
        return name

    def numbers(self, numbers: Mapping[str, float], step: int) -> None:
        """Send the numbers."""
        self._run.log(dict(numbers), step=step)

    def images(self, key: str, images: Images, step: int) -> None:
        """Send images."""
        named = {f"pictures/{key}/{index}": self._trackio.Image(image) for index, image in enumerate(images)}
        self._run.log(named, step=step)

    def end(self, *, has_failed: bool) -> None:
        """Finish the run."""
        self._run.finish()
