"""MLflow."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from artschool.components.loggers.tracker import Images, Tracker, flat
from artschool.extras import extra
from artschool.registry import loggers

MOST_PARAMETERS, LONGEST = 100, 500
"""Parameters of one request, and characters of one value, that every server takes."""


@loggers.register("mlflow")
class MlflowLogger(Tracker):
    """Log numbers, images and settings to a run of MLflow; a resumed run continues the same one.

    The file `mlflow.id` of the run folder identifies it. The configuration is logged with `${env:...}` unfilled.

    Args:
        experiment: Experiment at MLflow that the run belongs to. It is created if it does not exist.
        uri: Server or store. null: that of the variable `MLFLOW_TRACKING_URI`, or MLflow's default.

    Raises:
        ResourceError: The package is not installed.
    """

    program = "mlflow"

    def __init__(self, *, experiment: str, uri: str | None = None) -> None:
        super().__init__()
        with extra("mlflow"):
            import mlflow
        self._mlflow: Any = mlflow
        self._experiment, self._uri = experiment, uri
        self._client: Any = None
        self._id = ""

    def begin(self, known: str, name: str, config: Mapping[str, Any]) -> str:
        """Create the run, or set it to running."""
        self._client = self._mlflow.MlflowClient(tracking_uri=self._uri)
        if known:
            self._client.update_run(known, status="RUNNING")
            self._id = known
        else:
            found = self._client.get_experiment_by_name(self._experiment)
            experiment = found.experiment_id if found else self._client.create_experiment(self._experiment)
            self._id = str(self._client.create_run(experiment, run_name=name).info.run_id)
            self._log_parameters(config)
        self._client.log_dict(self._id, dict(config), "config.json")
        return self._id

    def numbers(self, numbers: Mapping[str, float], step: int) -> None:
        """Send the numbers in one request."""
        metric, now = self._mlflow.entities.Metric, int(time.time() * 1000)
        metrics = [metric(_name(name), value, now, step) for name, value in numbers.items()]
        self._client.log_batch(self._id, metrics=metrics)

    def images(self, key: str, images: Images, step: int) -> None:
        """Send images."""
        for index, image in enumerate(images):
            self._client.log_image(self._id, image, key=f"pictures/{key}/{index}", step=step)

    def end(self, *, has_failed: bool) -> None:
        """Set the run to finished or failed."""
        self._client.set_terminated(self._id, "FAILED" if has_failed else "FINISHED")

    def _log_parameters(self, config: Mapping[str, Any]) -> None:
        parameters = [self._mlflow.entities.Param(path, str(value)[:LONGEST]) for path, value in flat(config)]
        for start in range(0, len(parameters), MOST_PARAMETERS):
            self._client.log_batch(self._id, params=parameters[start : start + MOST_PARAMETERS])


def _name(name: str) -> str:
    """`critic/gan.real` for `critic/gan/real`: a store of files cannot have that below the number `critic/gan`."""
    step, slash, number = name.partition("/")
    return f"{step}{slash}{number.replace('/', '.')}"
