"""Aim."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from artschool.components.loggers.tracker import Images, Tracker, flat
from artschool.extras import extra
from artschool.registry import loggers


@loggers.register("aim")
class AimLogger(Tracker):
    """Log numbers, images and settings to a run of Aim; a resumed run continues the same one.

    The file `aim.id` of the run folder identifies it. The configuration is logged with `${env:...}` unfilled.

    Args:
        experiment: Experiment at Aim that the run belongs to.
        repo: Folder or server (`aim://host:port`) of the repository. null: the folder `.aim` of the working folder or
            of one above it.

    Raises:
        ResourceError: The package is not installed.
    """

    program = "aim"

    def __init__(self, *, experiment: str, repo: str | None = None) -> None:
        super().__init__()
        with extra("aim"):
            import aim
        self._aim: Any = aim
        self._experiment, self._repo = experiment, repo
        self._run: Any = None

    def begin(self, known: str, name: str, config: Mapping[str, Any]) -> str:
        """Open the run. A killed process may have left it locked, so it is resumed by force."""
        options = {"system_tracking_interval": None, "capture_terminal_logs": False}
        self._run = self._aim.Run(
            known or None, repo=self._repo, experiment=self._experiment, force_resume=bool(known), **options
        )
        self._run.name = name
        self._run["hparams"] = {path: _plain(value) for path, value in flat(config)}
        return str(self._run.hash)

    def numbers(self, numbers: Mapping[str, float], step: int) -> None:
        """Send the numbers."""
        for name, value in numbers.items():
            self._run.track(value, name=name, step=step)

    def images(self, key: str, images: Images, step: int) -> None:
        """Send images."""
        self._run.track([self._aim.Image(image) for image in images], name=f"pictures/{key}", step=step)

    def end(self, *, has_failed: bool) -> None:
        """Close the run."""
        self._run.close()


def _plain(value: Any) -> Any:
    return value if isinstance(value, bool | int | float | str) else str(value)
